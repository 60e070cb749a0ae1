//! One call of grpc.health.v1.Health/Check over HTTP/2.

use bytes::Bytes;
use h2::{RecvStream, client};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};

use super::answer::{Answer, judge};
use crate::{
    connect::{Endpoint, FirstBytes, RecordingStream, stream_failure},
    probe::{Attempt, Class, Failure},
    spec::{ConfigError, Spec},
    text::quoted,
    tls::{Tls, tls_stream_failure},
};

/// The longest answer that is read, in bytes. A health answer has 7.
const MAX_BODY: usize = 64 * 1024;
/// The longest list of headers that is taken, in bytes.
const MAX_HEADERS: u32 = 16 * 1024;

/// The question that every server is asked.
pub(super) struct Health {
    pub(super) service: String,
    pub(super) headers: HeaderMap,
    /// `None` means in clear.
    pub(super) tls: Option<Tls>,
}

/// The headers that the declaration adds.
pub(super) fn headers(spec: &Spec) -> Result<HeaderMap, ConfigError> {
    let mut headers = HeaderMap::new();
    for header in spec.all("header") {
        let wrong = || spec.key_error("header", "must be NAME: VALUE, e.g. x-api-key: ${KEY}");
        let (name, value) = header.split_once(':').ok_or_else(wrong)?;
        let name = name.trim().to_ascii_lowercase();
        let name = HeaderName::try_from(name.as_str()).map_err(|_| wrong())?;
        // A value may be a token.
        let value = spec.secret(value.trim());
        let value = HeaderValue::from_str(value.reveal()).map_err(|_| wrong())?;
        headers.append(name, value);
    }
    Ok(headers)
}

/// Asks the server at `endpoint`. Returns the detail of a ready dependency.
pub(super) async fn ask(
    attempt: &Attempt<'_>,
    health: &Health,
    endpoint: &Endpoint,
) -> Result<String, Failure> {
    let mut stream = attempt.connect(endpoint).await?;
    if let (Some(tls), Endpoint::Tcp(host, _)) = (&health.tls, endpoint) {
        stream = tls.connect(attempt, host, stream).await?;
    }
    attempt.stage(format!("connected to {endpoint}, but no answer from gRPC"));
    let (stream, first) = RecordingStream::new(stream);
    let told = |error: h2::Error| error_failure(&error, &first, endpoint);
    let mut builder = client::Builder::new();
    builder.max_header_list_size(MAX_HEADERS).enable_push(false);
    let (sender, connection) = builder.handshake::<_, Bytes>(stream).await.map_err(told)?;
    let call = call(sender, health, endpoint);
    tokio::pin!(call);
    tokio::select! {
        biased;
        answered = &mut call => answered.unwrap_or_else(|error| Err(told(error))),
        // The connection ended first. Its error is more informative than that of the call.
        ended = connection => match ended {
            Err(error) => Err(told(error)),
            Ok(()) => call.await.unwrap_or_else(|error| Err(told(error))),
        },
    }
}

/// The request, and its answer; the outer error is the transport's.
async fn call(
    sender: client::SendRequest<Bytes>,
    health: &Health,
    endpoint: &Endpoint,
) -> Result<Result<String, Failure>, h2::Error> {
    let mut sender = sender.ready().await?;
    let request = match request(health, endpoint) {
        Ok(request) => request,
        Err(_) => {
            return Ok(Err(Failure::new(Class::Config, "the address is no authority of HTTP")));
        }
    };
    let (response, mut body) = sender.send_request(request, false)?;
    body.send_data(message(&health.service), true)?;
    let (head, stream) = response.await?.into_parts();
    let (body, trailers) = read(stream).await?;
    let text = |map: &HeaderMap, name| {
        map.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).map(str::to_owned)
    };
    let field = |name| text(&trailers, name).or_else(|| text(&head.headers, name));
    let (grpc_status, grpc_message) = (field("grpc-status"), field("grpc-message"));
    let content_type = text(&head.headers, "content-type").unwrap_or_default();
    let answer = Answer {
        status: head.status.as_u16(),
        content_type: &content_type,
        grpc_status: grpc_status.as_deref(),
        grpc_message: grpc_message.as_deref().unwrap_or_default(),
        body: &body,
    };
    Ok(judge(&answer, &health.service)
        .map(|()| match health.service.as_str() {
            "" => "gRPC SERVING".to_owned(),
            service => format!("gRPC SERVING ({service})"),
        })
        .map_err(|failure| {
            let message = format!("{} ({endpoint})", failure.message);
            Failure { message, ..failure }
        }))
}

fn request(health: &Health, endpoint: &Endpoint) -> Result<Request<()>, http::Error> {
    let scheme = if health.tls.is_some() { "https" } else { "http" };
    let authority = match endpoint {
        Endpoint::Unix(_) => "localhost".to_owned(),
        endpoint => endpoint.to_string(),
    };
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(format!("{scheme}://{authority}/grpc.health.v1.Health/Check"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("user-agent", concat!("afterall/", env!("CARGO_PKG_VERSION")))
        .body(())?;
    request.headers_mut().extend(health.headers.clone());
    Ok(request)
}

/// A HealthCheckRequest in its frame.
fn message(service: &str) -> Bytes {
    let mut message = Vec::new();
    if !service.is_empty() {
        message.push(0x0a);
        let mut length = service.len();
        while length >= 0x80 {
            message.push(length as u8 | 0x80);
            length >>= 7;
        }
        message.push(length as u8);
        message.extend(service.bytes());
    }
    let mut frame = vec![0];
    frame.extend((message.len() as u32).to_be_bytes());
    frame.extend(message);
    frame.into()
}

/// The body, cut at its bound, and the trailers.
async fn read(mut stream: RecvStream) -> Result<(Vec<u8>, HeaderMap), h2::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = stream.data().await {
        let chunk = chunk?;
        stream.flow_control().release_capacity(chunk.len())?;
        let room = MAX_BODY - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if body.len() >= MAX_BODY {
            return Ok((body, HeaderMap::new()));
        }
    }
    Ok((body, stream.trailers().await?.unwrap_or_default()))
}

fn error_failure(error: &h2::Error, first: &FirstBytes, endpoint: &Endpoint) -> Failure {
    let first = first.bytes();
    // The type of the first frame is SETTINGS (RFC 9113, section 3.4).
    if first.len() > 3 && first[3] != 4 {
        let failure = match (&first[..], quoted(&first)) {
            ([0x15 | 0x16, 3, ..], _) => {
                Failure::new(Class::Protocol, format!("not HTTP/2 ({endpoint})"))
                    .hint("the server speaks TLS: use the scheme grpcs:")
            }
            (_, Some(line)) => {
                Failure::new(Class::Protocol, format!("not HTTP/2, it says: {line} ({endpoint})"))
            }
            _ => Failure::new(Class::Protocol, format!("not HTTP/2 ({endpoint})")),
        };
        return failure;
    }
    if let Some(error) = error.get_io() {
        return tls_stream_failure(error, endpoint);
    }
    if error.is_go_away() || error.is_reset() {
        let reason =
            error.reason().map(|reason| reason.description().to_owned()).unwrap_or_default();
        return Failure::new(
            Class::Busy,
            format!("the server ends the connection: {reason} ({endpoint})"),
        );
    }
    let eof = std::io::ErrorKind::UnexpectedEof.into();
    match first.is_empty() {
        true => stream_failure(&eof, endpoint),
        false => Failure::new(Class::Protocol, format!("HTTP/2: {error} ({endpoint})")),
    }
}
