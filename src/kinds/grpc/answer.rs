//! The meaning of an answer: HTTP status, grpc-status, and the message of grpc.health.v1.

use crate::{
    probe::{Class, Failure},
    text::one_line,
};

/// The longest text of the server's own, in characters.
const MAX_WORDS: usize = 220;

/// `HealthCheckResponse.ServingStatus` (grpc.health.v1).
const SERVING: u64 = 1;
const NOT_SERVING: u64 = 2;

/// A server's answer.
pub(super) struct Answer<'a> {
    /// The HTTP status.
    pub(super) status: u16,
    pub(super) content_type: &'a str,
    /// `grpc-status`, from the trailers, or from the headers of a response that has nothing else.
    pub(super) grpc_status: Option<&'a str>,
    /// `grpc-message`, percent-encoded.
    pub(super) grpc_message: &'a str,
    pub(super) body: &'a [u8],
}

/// The subject of a message: the server or one service.
fn whose(service: &str) -> String {
    match service {
        "" => "the server".to_owned(),
        service => format!("service {service}"),
    }
}

/// Returns `Ok` if the answer reports `service` as SERVING.
///
/// Source: <https://github.com/grpc/grpc/blob/master/doc/health-checking.md>, and its
/// `PROTOCOL-HTTP2.md`.
pub(super) fn judge(answer: &Answer<'_>, service: &str) -> Result<(), Failure> {
    if answer.status != 200 {
        return Err(http_failure(answer.status));
    }
    if !answer.content_type.starts_with("application/grpc") {
        let message =
            one_line(&format!("not gRPC: its answer is {}", answer.content_type), MAX_WORDS);
        return Err(Failure::new(Class::Protocol, message));
    }
    match answer.grpc_status {
        Some("0") => read_health(answer.body, service),
        Some(status) => Err(status_failure(status, answer.grpc_message, service)),
        None => Err(Failure::new(Class::Protocol, "not gRPC: an answer without grpc-status")),
    }
}

/// A proxy answered in the server's place.
fn http_failure(status: u16) -> Failure {
    let class = match status {
        401 | 403 => Class::Auth,
        404 => Class::Absent,
        429 | 500..=599 => Class::Busy,
        _ => Class::Protocol,
    };
    Failure::new(class, format!("HTTP status {status}, where gRPC has 200"))
}

fn status_failure(status: &str, message: &str, service: &str) -> Failure {
    const NAMES: [&str; 17] = [
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    ];
    let number = status.parse::<usize>().unwrap_or(2);
    let name = NAMES.get(number).copied().unwrap_or("UNKNOWN");
    let class = match name {
        "NOT_FOUND" | "UNIMPLEMENTED" => Class::Absent,
        "PERMISSION_DENIED" | "UNAUTHENTICATED" => Class::Auth,
        "DEADLINE_EXCEEDED" => Class::Timeout,
        "INVALID_ARGUMENT" => Class::Protocol,
        _ => Class::Busy,
    };
    let words = match decoded(message) {
        words if words.is_empty() => name.to_owned(),
        words => format!("{name}: {words}"),
    };
    let failure = Failure::new(class, one_line(&words, MAX_WORDS));
    match name {
        "NOT_FOUND" => failure.hint(format!("{} is not registered, or not yet", whose(service))),
        "UNIMPLEMENTED" => failure
            .hint("there is no health service (grpc.health.v1): tcp: asks for the port alone"),
        _ => failure,
    }
}

/// `grpc-message` is percent-encoded (`PROTOCOL-HTTP2.md`, "Responses").
fn decoded(message: &str) -> String {
    percent_encoding::percent_decode_str(message).decode_utf8_lossy().into_owned()
}

fn read_health(body: &[u8], service: &str) -> Result<(), Failure> {
    let odd = || Failure::new(Class::Protocol, "not grpc.health.v1: a message of another shape");
    let status = status_of(body).ok_or_else(odd)?;
    match status {
        SERVING => Ok(()),
        NOT_SERVING => Err(Failure::new(Class::Busy, format!("NOT_SERVING ({})", whose(service)))),
        _ => Err(Failure::new(Class::Busy, format!("UNKNOWN ({})", whose(service)))),
    }
}

/// The field `status` of a HealthCheckResponse in its frame: a flag, a length, then protobuf.
fn status_of(body: &[u8]) -> Option<u64> {
    let (head, message) = body.split_at_checked(5)?;
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
    if head[0] != 0 || length != message.len() {
        return None;
    }
    let (mut rest, mut status) = (message, 0);
    while !rest.is_empty() {
        let tag = varint(&mut rest)?;
        match tag & 7 {
            0 if tag >> 3 == 1 => status = varint(&mut rest)?,
            0 => drop(varint(&mut rest)?),
            1 => rest = rest.get(8..)?,
            2 => {
                let length = usize::try_from(varint(&mut rest)?).ok()?;
                rest = rest.get(length..)?;
            }
            5 => rest = rest.get(4..)?,
            _ => return None,
        }
    }
    Some(status)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_has_its_class() {
        let serving = b"\0\0\0\0\x02\x08\x01";
        let answer = |status, grpc_status, body| Answer {
            status,
            content_type: "application/grpc+proto",
            grpc_status,
            grpc_message: "no%20such",
            body,
        };
        for (status, grpc_status, body, want) in [
            (200, Some("0"), &serving[..], None),
            (
                200,
                Some("0"),
                b"\0\0\0\0\x02\x08\x02",
                Some((Class::Busy, "NOT_SERVING (service a)")),
            ),
            (200, Some("0"), b"\0\0\0\0\0", Some((Class::Busy, "UNKNOWN (service a)"))),
            (200, Some("0"), b"\0\0\0\0\x02\x08\x03", Some((Class::Busy, "UNKNOWN (service a)"))),
            (
                200,
                Some("0"),
                b"",
                Some((Class::Protocol, "not grpc.health.v1: a message of another shape")),
            ),
            (
                200,
                Some("0"),
                b"\0\0\0\0\x01\x08",
                Some((Class::Protocol, "not grpc.health.v1: a message of another shape")),
            ),
            (200, Some("5"), b"", Some((Class::Absent, "NOT_FOUND: no such"))),
            (200, Some("12"), b"", Some((Class::Absent, "UNIMPLEMENTED: no such"))),
            (200, Some("14"), b"", Some((Class::Busy, "UNAVAILABLE: no such"))),
            (200, Some("16"), b"", Some((Class::Auth, "UNAUTHENTICATED: no such"))),
            (200, Some("7"), b"", Some((Class::Auth, "PERMISSION_DENIED: no such"))),
            (200, Some("8"), b"", Some((Class::Busy, "RESOURCE_EXHAUSTED: no such"))),
            (200, Some("4"), b"", Some((Class::Timeout, "DEADLINE_EXCEEDED: no such"))),
            (200, Some("99"), b"", Some((Class::Busy, "UNKNOWN: no such"))),
            (200, None, b"", Some((Class::Protocol, "not gRPC: an answer without grpc-status"))),
            (503, None, b"", Some((Class::Busy, "HTTP status 503, where gRPC has 200"))),
            (404, None, b"", Some((Class::Absent, "HTTP status 404, where gRPC has 200"))),
            (401, None, b"", Some((Class::Auth, "HTTP status 401, where gRPC has 200"))),
        ] {
            let failure = judge(&answer(status, grpc_status, body), "a").err();
            let found = failure.map(|failure| (failure.class, failure.message.to_string()));
            assert_eq!(found, want.map(|(class, text)| (class, text.to_owned())));
        }
        let html = Answer { content_type: "text/html", ..answer(200, None, b"") };
        assert_eq!(
            judge(&html, "").unwrap_err().message.as_str(),
            "not gRPC: its answer is text/html"
        );
    }

    #[test]
    fn other_fields_of_the_message_are_skipped() {
        let body = b"\0\0\0\0\x0d\x12\x02ab\x1d\x01\x02\x03\x04\x20\x05\x08\x01";
        assert_eq!(status_of(body), Some(1));
        assert_eq!(varint(&mut &b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"[..]), None);
    }
}
