//! One request and its response on one connection, all within the attempt's own future.

use std::{future::Future, pin::pin, time::Duration};

use http_body_util::{BodyExt, Empty};
use hyper::{Request, StatusCode, body::Bytes, body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use super::{answer::Answer, failure};
use crate::{
    connect::{Endpoint, RecordingStream, Stream},
    probe::{Attempt, Failure},
};

/// The largest body that is looked into, in bytes.
const MAX_BODY: usize = 1 << 20;

/// What is read of a body for its first line, or so that the server is not cut off in the middle of a small one.
const MAX_LINE: usize = 16 * 1024;

/// How long a body may take that nothing depends on.
const COURTESY: Duration = Duration::from_millis(100);

/// Sends `request` and takes in the response; its whole body only if `needs_body` says so of its status.
pub(super) async fn exchange(
    attempt: &Attempt<'_>,
    stream: Box<dyn Stream>,
    endpoint: &Endpoint,
    request: Request<Empty<Bytes>>,
    needs_body: impl Fn(StatusCode) -> bool,
) -> Result<Answer, Failure> {
    attempt.stage(format!("connected to {endpoint}, but no response"));
    let (stream, first) = RecordingStream::new(stream);
    let fail = |error: hyper::Error| failure::of_exchange(&error, &first.bytes(), endpoint);
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(fail)?;
    let mut connection = pin!(connection);
    let response = beside(connection.as_mut(), async {
        sender.ready().await?;
        sender.send_request(request).await
    });
    let (head, mut body) = response.await.map_err(fail)?.into_parts();
    let (status, headers) = (head.status, head.headers);
    let answer = match needs_body(status) {
        true => {
            attempt.stage(format!(
                "{} from {endpoint}, but its body did not end",
                failure::shown(status)
            ));
            let (body, cut) =
                beside(connection.as_mut(), read(&mut body, MAX_BODY)).await.map_err(fail)?;
            Answer { status, headers, body, cut }
        }
        false => {
            let mut said = Vec::new();
            let reading = beside(connection.as_mut(), read_into(&mut said, &mut body, MAX_LINE));
            let cut = !matches!(
                timeout(COURTESY.min(attempt.remaining() / 4), reading).await,
                Ok(Ok(false))
            );
            Answer { status, headers, body: said, cut }
        }
    };
    if !answer.cut {
        // The connection was asked to close: what is left to do is to say so, TLS included.
        drop(sender);
        let _ = timeout(COURTESY.min(attempt.remaining() / 4), connection).await;
    }
    Ok(answer)
}

/// Drives the connection while `work` waits for it, and no longer.
async fn beside<T>(connection: impl Future, work: impl Future<Output = T>) -> T {
    let (mut connection, mut work) = (pin!(connection), pin!(work));
    tokio::select! {
        biased;
        done = &mut work => return done,
        _ = &mut connection => {}
    }
    // The connection has ended, with or without an error that `work` is told of.
    work.await
}

async fn read(body: &mut Incoming, max: usize) -> Result<(Vec<u8>, bool), hyper::Error> {
    let mut out = Vec::new();
    let cut = read_into(&mut out, body, max).await?;
    Ok((out, cut))
}

/// Reads up to `max` bytes; whether there are more.
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
