//! One request and its response over HTTP/2 (RFC 9113), on a connection of its own.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use h2::{RecvStream, client};
use http::{HeaderMap, Request, StatusCode};
use tokio::time::timeout;

use crate::{
    connect::{Endpoint, FirstBytes, RecordingStream, Stream, stream_failure},
    probe::{Attempt, Class, Failure},
    text::it_says,
    tls::{is_tls_record, tls_stream_failure},
};

/// The name of HTTP/2 in a TLS handshake.
pub(super) const ALPN: &[u8] = b"h2";

/// The longest list of headers that is taken, in bytes.
const MAX_HEADERS: u32 = 16 * 1024;

/// A request.
pub(super) struct Call {
    /// Its URI is absolute.
    pub(super) request: Request<()>,
    pub(super) content: Option<Bytes>,
    /// The scheme that a hint names if the server speaks TLS, e.g. `https:`.
    pub(super) with_tls: &'static str,
}

/// How much of a body to read.
pub(super) struct Part {
    /// In bytes.
    pub(super) max: usize,
    /// The longest time to read it. `None`: until the attempt ends.
    pub(super) within: Option<Duration>,
}

/// Returns how much of the body is needed for a status.
///
/// No type parameter: the connection's code exists once for all callers.
pub(super) type PartOf<'a> = &'a (dyn Fn(StatusCode) -> Part + Sync);

/// A response.
pub(super) struct Response {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    /// True if the body is longer than the part that was read. There are no trailers then.
    #[cfg_attr(not(feature = "http"), allow(dead_code, reason = "only http: reads parts"))]
    pub(super) cut: bool,
    pub(super) trailers: HeaderMap,
}

/// Makes a call and reads the response.
pub(super) async fn exchange(
    attempt: &Attempt<'_>,
    stream: Box<dyn Stream>,
    endpoint: &Endpoint,
    call: Call,
    part: PartOf<'_>,
) -> Result<Response, Failure> {
    attempt.stage(format!("connected to {endpoint}, but no response"));
    let (stream, first) = RecordingStream::new(stream);
    // h2 hands on only the text of an error, and TLS reports e.g. an alert of the server by one.
    let lost = Arc::new(OnceLock::new());
    let stream = stream.on_read_error({
        let (lost, endpoint) = (Arc::clone(&lost), endpoint.clone());
        move |error| {
            let _ = lost.set(tls_stream_failure(error, &endpoint));
        }
    });
    let with_tls = call.with_tls;
    let failed = |error: h2::Error| {
        let lost = lost.get().filter(|lost| lost.class == Class::Tls).cloned();
        lost.unwrap_or_else(|| failure(&error, &first, endpoint, with_tls))
    };
    let mut builder = client::Builder::new();
    builder.max_header_list_size(MAX_HEADERS).enable_push(false);
    let (sender, connection) = builder.handshake(stream).await.map_err(failed)?;
    let response = respond(sender, call, part);
    tokio::pin!(response);
    tokio::select! {
        biased;
        response = &mut response => response.map_err(failed),
        // The connection ended first. Its error is more informative than that of the call.
        ended = connection => match ended {
            Err(error) => Err(failed(error)),
            Ok(()) => response.await.map_err(failed),
        },
    }
}

async fn respond(
    sender: client::SendRequest<Bytes>,
    Call { request, content, .. }: Call,
    part: PartOf<'_>,
) -> Result<Response, h2::Error> {
    let mut sender = sender.ready().await?;
    let (response, mut sending) = sender.send_request(request, content.is_none())?;
    if let Some(content) = content {
        sending.send_data(content, true)?;
    }
    let (head, mut stream) = response.await?.into_parts();
    let Part { max, within } = part(head.status);
    let mut body = Vec::new();
    let reading = read(&mut body, &mut stream, max);
    let cut = match within {
        None => reading.await?,
        Some(within) => !matches!(timeout(within, reading).await, Ok(Ok(false))),
    };
    let trailers = if cut { None } else { stream.trailers().await? };
    Ok(Response {
        status: head.status,
        headers: head.headers,
        body,
        cut,
        trailers: trailers.unwrap_or_default(),
    })
}

/// Reads up to `max` bytes. Returns true if there are more.
async fn read(body: &mut Vec<u8>, stream: &mut RecvStream, max: usize) -> Result<bool, h2::Error> {
    while let Some(chunk) = stream.data().await {
        let chunk = chunk?;
        stream.flow_control().release_capacity(chunk.len())?;
        let left = max - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(left)]);
        if chunk.len() > left {
            return Ok(true);
        }
    }
    Ok(false)
}

fn failure(error: &h2::Error, first: &FirstBytes, endpoint: &Endpoint, with_tls: &str) -> Failure {
    let first = first.bytes();
    // The type of the first frame is SETTINGS (RFC 9113, section 3.4).
    if first.len() > 3 && first[3] != 4 {
        if is_tls_record(&first) {
            let failure = Failure::new(Class::Protocol, format!("not HTTP/2 ({endpoint})"));
            return failure.hint(format!("the server speaks TLS: use {with_tls}"));
        }
        let message = format!("not HTTP/2{} ({endpoint})", it_says(&first));
        return Failure::new(Class::Protocol, message);
    }
    if let Some(error) = error.get_io() {
        return tls_stream_failure(error, endpoint);
    }
    if error.is_go_away() || error.is_reset() {
        let reason = error.reason().unwrap_or(h2::Reason::NO_ERROR);
        let reason = reason.description();
        if !error.is_remote() {
            let message = format!("the server breaks the rules of HTTP/2: {reason} ({endpoint})");
            return Failure::new(Class::Protocol, message);
        }
        let what = if error.is_reset() { "request" } else { "connection" };
        let message = format!("the server ends the {what}: {reason} ({endpoint})");
        return Failure::new(Class::Busy, message);
    }
    if first.is_empty() {
        stream_failure(&std::io::ErrorKind::UnexpectedEof.into(), endpoint)
    } else {
        Failure::new(Class::Protocol, format!("HTTP/2: {error} ({endpoint})"))
    }
}
