//! A stream that records the first bytes received and ignores EPIPE on write.
//!
//! A server that speaks another protocol can then be quoted. What a server sent before it closed
//! can still be read.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Stream, is_closed};

/// Enough for the first line of an answer, in bytes.
const KEPT: usize = 256;

/// A stream that records its [`FirstBytes`].
pub struct RecordingStream {
    inner: Box<dyn Stream>,
    first: FirstBytes,
    on_read_error: Option<OnReadError>,
}

type OnReadError = Box<dyn Fn(&io::Error) + Send>;

/// The first bytes that a server sent. Outlives the stream.
#[derive(Clone, Default)]
pub struct FirstBytes(Arc<Mutex<Vec<u8>>>);

impl FirstBytes {
    /// Returns at most 256 bytes.
    pub fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn record(&self, new: &[u8]) {
        let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = KEPT.saturating_sub(first.len());
        first.extend(new.iter().take(left));
    }
}

impl RecordingStream {
    /// Wraps `inner` and starts recording.
    pub fn new(inner: Box<dyn Stream>) -> (Self, FirstBytes) {
        let first = FirstBytes::default();
        (Self { inner, first: first.clone(), on_read_error: None }, first)
    }

    /// Calls `look` with every error of a read, before the reader gets the error.
    pub fn on_read_error(mut self, look: impl Fn(&io::Error) + Send + 'static) -> Self {
        self.on_read_error = Some(Box::new(look));
        self
    }
}

impl AsyncRead for RecordingStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(context, buffer);
        self.first.record(buffer.filled().get(before..).unwrap_or_default());
        if let (Poll::Ready(Err(error)), Some(look)) = (&polled, &self.on_read_error) {
            look(error);
        }
        polled
    }
}

impl AsyncWrite for RecordingStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.inner).poll_write(context, bytes) {
            // The reason for which the server closed, e.g. a TLS alert, can still be read.
            Poll::Ready(Err(error)) if is_closed(&error) => Poll::Ready(Ok(bytes.len())),
            polled => polled,
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
