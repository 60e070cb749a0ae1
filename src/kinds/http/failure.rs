//! The failures of a response with a wrong status, and of a connection without a response.

use std::{error::Error, io};

use hyper::StatusCode;

use super::{answer::Answer, retry_after};
use crate::{
    connect::Endpoint,
    probe::{Class, Failure},
    text::{it_says, one_line, quoted, short_time},
    tls::{is_tls_record, tls_stream_failure},
};

/// The longest part of a body's first line in messages, in characters.
const SHOWN: usize = 120;

/// The error kind for a server that sends too many bytes before its response.
pub(super) const HEAD_TOO_LONG: io::ErrorKind = io::ErrorKind::FileTooLarge;

/// `status 502 Bad Gateway, wanted 200-299: first line of the body`.
pub(in crate::kinds) fn status_failure(
    answer: &Answer,
    wanted: &str,
    credentials: bool,
) -> Failure {
    let status = answer.status;
    let line = first_line(answer);
    if status == StatusCode::BAD_REQUEST
        && let Some(failure) = bad_request(&String::from_utf8_lossy(&answer.body))
    {
        return failure;
    }
    let detail = line.map(|line| format!(": {line}")).unwrap_or_default();
    let class = class_of(status);
    let retry_after = (class == Class::Busy).then(|| retry_after::parse(&answer.headers)).flatten();
    let asked = retry_after
        .map(|after| format!(", asked to wait {}", short_time(after)))
        .unwrap_or_default();
    let message = format!("status {}, wanted {wanted}{asked}{detail}", shown(status));
    let failure = Failure::new(class, message).with(|reason| reason.retry_after = retry_after);
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if !credentials => {
            failure.hint("no credentials were sent")
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            failure.hint("the credentials are wrong, or the server does not know them yet")
        }
        StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
            failure.hint("the proxy wants a user and a password in its URL")
        }
        _ => failure,
    }
}

fn class_of(status: StatusCode) -> Class {
    match status.as_u16() {
        401 | 403 | 407 => Class::Auth,
        429 | 503 => Class::Busy,
        _ => Class::Absent,
    }
}

/// Returns the failure that a 400 about TLS means. nginx, Apache and Go each have their own text
/// for it.
fn bad_request(body: &str) -> Option<Failure> {
    const WANTS_TLS: [&str; 3] = [
        "The plain HTTP request was sent to HTTPS port",
        "Client sent an HTTP request to an HTTPS server",
        "speaking plain HTTP to an SSL-enabled server port",
    ];
    const CERTIFICATE: [&str; 2] =
        ["No required SSL certificate was sent", "The SSL certificate error"];
    let find =
        |phrases: &[&'static str]| phrases.iter().copied().find(|phrase| body.contains(phrase));
    if let Some(phrase) = find(&WANTS_TLS) {
        return Some(speaks_tls(&format!(": {phrase}")));
    }
    let phrase = find(&CERTIFICATE)?;
    let failure = Failure::new(
        Class::Tls,
        format!("the server refused our client certificate, or wants one (400: {phrase})"),
    );
    Some(failure.hint("cert=PATH and key=PATH give one"))
}

fn speaks_tls(detail: &str) -> Failure {
    Failure::new(Class::Protocol, format!("the port speaks TLS{detail}")).hint("use https:")
}

/// `502 Bad Gateway`.
pub(super) fn shown(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(reason) => format!("{} {reason}", status.as_u16()),
        None => status.as_u16().to_string(),
    }
}

/// Returns the first line of a text, or the title of a page, unless it only repeats the status.
fn first_line(answer: &Answer) -> Option<String> {
    let text = quoted(&answer.body).map(|_| String::from_utf8_lossy(&answer.body))?;
    let line = if text.trim_start().starts_with('<') {
        let (_, title) = text.split_once("<title>")?;
        one_line(title.split_once("</title>")?.0, SHOWN)
    } else {
        one_line(&text, SHOWN)
    };
    // The title of nginx's pages repeats the status with nginx's own reason, e.g. "502 Bad
    // Gateway".
    let repeats = line.starts_with(answer.status.as_str())
        || Some(line.as_str()) == answer.status.canonical_reason();
    (!line.is_empty() && !repeats).then_some(line)
}

/// Returns the failure of an exchange without a whole response. `first` holds the server's first
/// bytes.
pub(super) fn exchange_failure(error: &hyper::Error, first: &[u8], endpoint: &Endpoint) -> Failure {
    let begins = |word: &[u8]| first.iter().zip(word).all(|(a, b)| a == b);
    match first {
        [] => {}
        _ if is_tls_record(first) => return speaks_tls(""),
        // A SETTINGS frame: RFC 9113, section 3.4.
        [0, 0, _, 4, 0, ..] => {
            let message = format!("the server speaks HTTP/2 only ({endpoint})");
            let failure = Failure::new(Class::Protocol, message);
            return if cfg!(feature = "grpc") {
                failure.hint("http-version=2 speaks it")
            } else {
                failure
            };
        }
        _ if begins(b"HTTP/") => {}
        _ => {
            let message = format!("not HTTP{} ({endpoint})", it_says(first));
            return Failure::new(Class::Protocol, message);
        }
    }
    let io = std::iter::successors(error.source(), |error| (*error).source())
        .find_map(|error| error.downcast_ref::<io::Error>());
    match io {
        Some(io) if io.kind() == HEAD_TOO_LONG => Failure::new(
            Class::Protocol,
            format!("not HTTP/1: more than 256 KiB before the response ({endpoint})"),
        ),
        Some(io) if is_of_hyper(io) => {
            Failure::new(Class::Protocol, format!("not HTTP/1: {io} ({endpoint})"))
        }
        Some(io) if io.kind() != io::ErrorKind::UnexpectedEof => tls_stream_failure(io, endpoint),
        _ if error.is_parse() => {
            Failure::new(Class::Protocol, format!("not HTTP/1: {error} ({endpoint})"))
        }
        _ if first.is_empty() => Failure::new(
            Class::Connect,
            format!("connection closed without a response ({endpoint})"),
        ),
        io => {
            let message = format!("the response ends half-way ({endpoint})");
            let failure = Failure::new(Class::Connect, message);
            // The TLS library has no kind of error for it.
            if io.is_some_and(|io| io.to_string().contains("close_notify")) {
                failure.hint(
                    "the server closes without close_notify: without Content-Length, the end of \
                    its body is uncertain",
                )
            } else {
                failure
            }
        }
    }
}

/// Returns true if the error is hyper's, about the chunks of a body. Errors of rustls have the same
/// kinds.
fn is_of_hyper(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput)
        && error.get_ref().is_some_and(|inner| !inner.is::<rustls::Error>())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use hyper::HeaderMap;

    fn answer(status: u16, body: &str) -> Answer {
        let body = body.as_bytes().to_vec();
        Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body,
            cut: false,
        }
    }

    #[test]
    fn every_status_has_a_class_and_quotes_its_body() {
        const HTTPS: &str = "<html><head><title>400 The plain HTTP request was sent to HTTPS \
            port</title></head></html>";
        for (status, body, class, want) in [
            (401, "", Class::Auth, "status 401 Unauthorized, wanted 200-299"),
            (403, "\nno way\nat all", Class::Auth, "status 403 Forbidden, wanted 200-299: no way"),
            (407, "", Class::Auth, "status 407 Proxy Authentication Required, wanted 200-299"),
            (404, "Not Found", Class::Absent, "status 404 Not Found, wanted 200-299"),
            (429, "", Class::Busy, "status 429 Too Many Requests, wanted 200-299"),
            (
                503,
                r#"{"status":"DOWN"}"#,
                Class::Busy,
                r#"status 503 Service Unavailable, wanted 200-299: {"status":"DOWN"}"#,
            ),
            (
                502,
                "<html>\r\n<head><title>502 Bad Gateway</title></head>",
                Class::Absent,
                "status 502 Bad Gateway, wanted 200-299",
            ),
            (302, "", Class::Absent, "status 302 Found, wanted 200-299"),
            (299, "", Class::Absent, "status 299, wanted 200-299"),
            (
                500,
                "\u{1f}\u{8b}\u{0}",
                Class::Absent,
                "status 500 Internal Server Error, wanted 200-299",
            ),
            (
                400,
                HTTPS,
                Class::Protocol,
                "the port speaks TLS: The plain HTTP request was sent to HTTPS port",
            ),
            (
                400,
                "Client sent an HTTP request to an HTTPS server.\n",
                Class::Protocol,
                "the port speaks TLS: Client sent an HTTP request to an HTTPS server",
            ),
            (
                400,
                "<title>400 No required SSL certificate was sent</title>",
                Class::Tls,
                "the server refused our client certificate, or wants one (400: No required SSL \
                certificate was sent)",
            ),
        ] {
            let failure = status_failure(&answer(status, body), "200-299", true);
            assert_eq!((failure.class, failure.message.as_str()), (class, want), "{status}");
        }
    }

    #[test]
    fn retry_after_counts_only_where_the_server_is_busy() {
        for (status, want) in [(503, Some(7)), (429, Some(7)), (404, None)] {
            let mut answer = answer(status, "");
            answer.headers.insert("retry-after", "7".parse().unwrap());
            let failure = status_failure(&answer, "200", false);
            assert_eq!(failure.retry_after.map(|d| d.as_secs()), want);
            let is_reported = failure.message.ends_with(", wanted 200, asked to wait 7.0s");
            assert_eq!(is_reported, want.is_some(), "{}", failure.message);
        }
    }
}
