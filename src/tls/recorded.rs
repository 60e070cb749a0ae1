//! A stream that remembers the first bytes it gave, so that a server that speaks no TLS can be quoted.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::connect::Stream;

/// Enough for the first line of an answer.
const KEPT: usize = 256;

pub(super) struct Recorded {
    inner: Box<dyn Stream>,
    first: Vec<u8>,
}

impl Recorded {
    pub(super) fn new(inner: Box<dyn Stream>) -> Self {
        Self { inner, first: Vec::new() }
    }

    pub(super) fn first_bytes(&self) -> &[u8] {
        &self.first
    }
}

impl AsyncRead for Recorded {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(context, buffer);
        let left = KEPT.saturating_sub(self.first.len());
        let new = buffer.filled().get(before..).unwrap_or_default();
        self.first.extend(new.iter().take(left));
        polled
    }
}

impl AsyncWrite for Recorded {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
