//! One request and its response on one connection, within the attempt's own future.

use std::{
    future::Future,
    io,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use http_body_util::{BodyExt, Empty};
use hyper::{Request, StatusCode, body::Bytes, body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::timeout,
};

use super::{answer::Answer, failure};
use crate::{
    connect::{Endpoint, RecordingStream, Stream},
    probe::{Attempt, Failure},
};

/// The largest response head and the parser's largest buffer, in bytes.
const MAX_HEAD: usize = 64 * 1024;

/// The most bytes up to the end of the response's head, including interim responses (1xx).
const MAX_BEFORE_BODY: usize = 256 * 1024;

/// The most bytes to read of an unneeded body. A small body is read whole, so that the server can
/// finish.
pub(super) const MAX_LINE: usize = 16 * 1024;

/// The longest time to read an unneeded body.
pub(super) const COURTESY: Duration = Duration::from_millis(100);

/// Returns how many bytes of the body are needed for a status. `None`: the body is not needed.
///
/// No type parameter: the connection's code exists once for all callers.
pub(in crate::kinds) type MaxBody<'a> = &'a (dyn Fn(StatusCode) -> Option<usize> + Sync);

/// Sends `request` and reads the response.
pub(in crate::kinds) async fn exchange(
    attempt: &Attempt<'_>,
    stream: Box<dyn Stream>,
    endpoint: &Endpoint,
    request: Request<Empty<Bytes>>,
    max_body: MaxBody<'_>,
) -> Result<Answer, Failure> {
    attempt.stage(format!("connected to {endpoint}, but no response"));
    let (stream, first) = RecordingStream::new(stream);
    let fail = |error: hyper::Error| failure::exchange_failure(&error, &first.bytes(), endpoint);
    let budget = Arc::new(AtomicUsize::new(MAX_BEFORE_BODY));
    let stream = Budgeted { stream, budget: Arc::clone(&budget) };
    let mut http = http1::Builder::new();
    // curl and others accept a header of several lines (RFC 9112, section 5.2).
    http.max_buf_size(MAX_HEAD).allow_obsolete_multiline_headers_in_responses(true);
    let (mut sender, connection) = http.handshake(TokioIo::new(stream)).await.map_err(fail)?;
    let mut connection = pin!(connection);
    let response = beside(connection.as_mut(), async {
        sender.ready().await?;
        sender.send_request(request).await
    });
    let (head, mut body) = response.await.map_err(fail)?.into_parts();
    // The body has its own bounds.
    budget.store(usize::MAX, Relaxed);
    let (status, headers) = (head.status, head.headers);
    let answer = match max_body(status) {
        Some(max) => {
            attempt.stage(format!(
                "{} from {endpoint}, but its body did not end",
                failure::shown(status)
            ));
            let (body, cut) =
                beside(connection.as_mut(), read(&mut body, max)).await.map_err(fail)?;
            Answer { status, headers, body, cut }
        }
        None => {
            let mut read = Vec::new();
            let reading = beside(connection.as_mut(), read_into(&mut read, &mut body, MAX_LINE));
            let cut = !matches!(
                timeout(COURTESY.min(attempt.remaining() / 4), reading).await,
                Ok(Ok(false))
            );
            Answer { status, headers, body: read, cut }
        }
    };
    if !answer.cut {
        // The request asked the server to close. Only our own close is left, TLS included.
        drop(sender);
        let _ = timeout(COURTESY.min(attempt.remaining() / 4), connection).await;
    }
    Ok(answer)
}

/// Drives the connection until `work` ends.
async fn beside<T>(connection: impl Future, work: impl Future<Output = T>) -> T {
    let (mut connection, mut work) = (pin!(connection), pin!(work));
    tokio::select! {
        biased;
        done = &mut work => return done,
        _ = &mut connection => {}
    }
    // The connection has ended. `work` gets its error, if there is one.
    work.await
}

async fn read(body: &mut Incoming, max: usize) -> Result<(Vec<u8>, bool), hyper::Error> {
    let mut out = Vec::new();
    let cut = read_into(&mut out, body, max).await?;
    Ok((out, cut))
}

/// Reads up to `max` bytes. Returns true if there are more.
async fn read_into(
    out: &mut Vec<u8>,
    body: &mut Incoming,
    max: usize,
) -> Result<bool, hyper::Error> {
    while let Some(frame) = body.frame().await {
        if let Some(data) = frame?.data_ref() {
            let left = max - out.len();
            out.extend(data.iter().take(left));
            if data.len() > left {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// A stream that limits how many bytes can be read.
///
/// hyper skips interim responses without a limit, and a server may send them without end.
struct Budgeted {
    stream: RecordingStream,
    budget: Arc<AtomicUsize>,
}

impl AsyncRead for Budgeted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let left = self.budget.load(Relaxed);
        if left == 0 {
            return Poll::Ready(Err(failure::HEAD_TOO_LONG.into()));
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        let read = buffer.filled().len().saturating_sub(before);
        self.budget.store(left.saturating_sub(read), Relaxed);
        polled
    }
}

impl AsyncWrite for Budgeted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
