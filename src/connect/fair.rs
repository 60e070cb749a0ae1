//! A stream that makes way for other tasks after every few KiB.
//!
//! tokio lets a task read 128 times before it makes way. Two hundred servers that send without end
//! would then delay every deadline, and every signal, by seconds.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The bytes that a task reads before it makes way. The smallest frames of HTTP/2 cost some 75 ns a
/// byte, so a share of them takes 0.15 ms, and those of 200 dependencies take 30 ms.
const SHARE: usize = 2 * 1024;

/// A connection that is read in shares.
pub struct FairStream<S> {
    inner: S,
    /// The bytes that were read since the task last made way.
    taken: usize,
}

impl<S> FairStream<S> {
    /// Wraps `inner`.
    pub fn new(inner: S) -> Self {
        Self { inner, taken: 0 }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for FairStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.taken >= SHARE {
            self.taken = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let room = buffer.remaining().min(SHARE - self.taken);
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(room));
        let polled = Pin::new(&mut self.inner).poll_read(context, &mut part);
        let read = part.filled().len();
        buffer.advance(read);
        if polled.is_pending() {
            self.taken = 0
        } else {
            self.taken += read
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for FairStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use tokio::io::AsyncReadExt;

    use super::*;

    /// A server that always has more to read.
    struct Endless;

    impl AsyncRead for Endless {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            buffer.initialize_unfilled().fill(b'x');
            buffer.advance(buffer.remaining());
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn others_run_after_every_share() {
        static TURNS: AtomicUsize = AtomicUsize::new(0);
        let other = tokio::spawn(async {
            loop {
                TURNS.fetch_add(1, Relaxed);
                tokio::task::yield_now().await;
            }
        });
        let mut read = vec![0; 16 * SHARE];
        FairStream::new(Endless).read_exact(&mut read).await.unwrap();
        assert!(read.iter().all(|byte| *byte == b'x'));
        assert!(TURNS.load(Relaxed) >= 15, "{TURNS:?}");
        other.abort();
    }
}
