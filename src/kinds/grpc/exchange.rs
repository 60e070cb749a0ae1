//! One call of grpc.health.v1.Health/Check over HTTP/2.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Uri,
    header::{CONTENT_TYPE, TE, USER_AGENT},
};

use super::answer::{Answer, judge};
use crate::{
    connect::Endpoint,
    kinds::http2::{self, Call, Part},
    probe::{Attempt, Class, Failure},
    spec::{ConfigError, Spec},
    tls::{self, Tls},
};

/// The longest answer that is read, in bytes. A health answer has 7.
const MAX_BODY: usize = 64 * 1024;

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
    let stream = tls::connect_to(attempt, endpoint, health.tls.as_ref()).await?;
    let request = request(health, endpoint)
        .map_err(|_| Failure::new(Class::Config, "the address is no authority of HTTP"))?;
    let call = Call { request, content: Some(message(&health.service)), with_tls: "grpcs:" };
    let whole = |_| Part { max: MAX_BODY, within: None };
    let response = http2::exchange(attempt, stream, endpoint, call, &whole).await?;
    // Only a response without a body may have its status in the headers ("Trailers-Only" in
    // `PROTOCOL-HTTP2.md`). A status before the body says nothing about the call's end.
    let is_whole = response.body.is_empty() && response.trailers.is_empty();
    let last = if is_whole { &response.headers } else { &response.trailers };
    let field = |name| text(last, &name);
    let answer = Answer {
        status: response.status.as_u16(),
        content_type: text(&response.headers, &CONTENT_TYPE).unwrap_or_default(),
        grpc_status: field(HeaderName::from_static("grpc-status")),
        grpc_message: field(HeaderName::from_static("grpc-message")).unwrap_or_default(),
        body: &response.body,
    };
    match judge(&answer, &health.service) {
        Ok(()) if health.service.is_empty() => Ok("gRPC SERVING".to_owned()),
        Ok(()) => Ok(format!("gRPC SERVING ({})", health.service)),
        Err(failure) => {
            let message = format!("{} ({endpoint})", failure.message);
            Err(failure.with(|reason| reason.message = message.into()))
        }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn request(health: &Health, endpoint: &Endpoint) -> Result<Request<()>, http::uri::InvalidUri> {
    let scheme = if health.tls.is_some() { "https" } else { "http" };
    let authority = match endpoint {
        Endpoint::Unix(_) => "localhost".to_owned(),
        endpoint => endpoint.to_string(),
    };
    let uri = format!("{scheme}://{authority}/grpc.health.v1.Health/Check").parse::<Uri>()?;
    let mut request = Request::new(());
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri;
    let headers = request.headers_mut();
    *headers = health.headers.clone();
    // A declared header overrides ours.
    for (name, value) in [
        (CONTENT_TYPE, "application/grpc"),
        (TE, "trailers"),
        (USER_AGENT, concat!("afterall/", env!("CARGO_PKG_VERSION"))),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
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
        message.extend(service.as_bytes());
    }
    let mut frame = vec![0];
    frame.extend((message.len() as u32).to_be_bytes());
    frame.extend(message);
    frame.into()
}
