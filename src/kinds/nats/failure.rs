//! Classifies a NATS server's refusals.

use std::fmt;

use crate::{
    probe::{Class, Cost, Failure},
    text::{it_says, one_line},
};

/// The longest part of the server's text in a message, in characters. The place follows it.
const MAX_WORDS: usize = 220;

/// The failure that `-ERR 'text'` of the server at `place` means.
///
/// The texts are those of nats-server's `errors.go` and of its clients' handlers. NATS has no error
/// codes.
pub(super) fn err_failure(text: &str, place: impl fmt::Display) -> Failure {
    let text = one_line(text.trim().trim_matches('\''), MAX_WORDS);
    let class = class_of(&text.to_ascii_lowercase());
    // nats-server logs every -ERR that it sends.
    let failure = Failure::new(class, format!("-ERR '{text}' ({place})")).cost(Cost::Logged);
    match class {
        Class::Auth if text.starts_with("Permissions") => {
            failure.hint("this user does not have that permission, or not yet")
        }
        Class::Auth => {
            failure.hint("the credentials are wrong, or the server does not know them yet")
        }
        Class::Tls => failure.hint("use the scheme tls:"),
        Class::Protocol if text.contains("Port") => {
            failure.hint("clients must use the client port, usually 4222")
        }
        _ => failure,
    }
}

fn class_of(text: &str) -> Class {
    const CLASSES: [(&str, Class); 12] = [
        ("authorization violation", Class::Auth),
        // User Authentication Expired, Account Authentication Expired, User Authentication Revoked,
        // Authentication Timeout.
        ("authentication", Class::Auth),
        ("permissions violation", Class::Auth),
        ("credentials", Class::Auth),
        ("maximum", Class::Busy),
        ("throttl", Class::Busy),
        ("server shutdown", Class::Busy),
        ("stale connection", Class::Busy),
        ("slow consumer", Class::Busy),
        ("no responders", Class::Busy),
        ("tls required", Class::Tls),
        ("", Class::Protocol),
    ];
    CLASSES
        .iter()
        .find(|(part, _)| text.contains(part))
        .map_or(Class::Protocol, |(_, class)| *class)
}

/// The failure of a port whose server sends something else than NATS first.
pub(super) fn not_nats(first: &[u8], place: &str) -> Failure {
    Failure::new(Class::Protocol, format!("not NATS{} ({place})", it_says(first)))
}

/// The failure that an error of the JetStream API means. `label` names the request.
pub(super) fn jetstream_failure(code: u64, description: &str, label: &str) -> Failure {
    let class = match code {
        // "JetStream not enabled", "... not enabled for account": only an administrator can change
        // that.
        _ if description.contains("not enabled") => Class::Absent,
        401 | 403 => Class::Auth,
        429 | 503 => Class::Busy,
        _ => Class::Absent,
    };
    Failure::new(class, format!("{label}: {code} {description}").trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_err_has_a_class_and_keeps_its_text() {
        for (text, class) in [
            ("'Authorization Violation'", Class::Auth),
            ("'Authentication Timeout'", Class::Auth),
            ("'User Authentication Expired'", Class::Auth),
            ("'User Authentication Revoked'", Class::Auth),
            ("'Account Authentication Expired'", Class::Auth),
            ("'Permissions Violation for Publish to \"$JS.API.INFO\"'", Class::Auth),
            ("'maximum connections exceeded'", Class::Busy),
            ("'maximum account active connections exceeded'", Class::Busy),
            ("'Connection throttling is active. Please try again later.'", Class::Busy),
            ("'Server Shutdown'", Class::Busy),
            ("'Secure Connection - TLS Required'", Class::Tls),
            ("'Attempted To Connect To Route Port'", Class::Protocol),
            ("'Unknown Protocol Operation'", Class::Protocol),
            ("'Parser Error'", Class::Protocol),
        ] {
            let failure = err_failure(text, "a:4222");
            assert_eq!(
                (failure.class, failure.message.to_string()),
                (class, format!("-ERR {text} (a:4222)"))
            );
            assert_eq!(
                failure.hint.is_some(),
                matches!(class, Class::Auth | Class::Tls) || text.contains("Port"),
                "{text}"
            );
        }
    }

    #[test]
    fn every_error_of_the_jetstream_api_has_a_class() {
        for (code, description, class) in [
            (404, "stream not found", Class::Absent),
            (503, "JetStream not enabled for account", Class::Absent),
            (503, "JetStream system temporarily unavailable", Class::Busy),
            (403, "not permitted", Class::Auth),
            (500, "general failure", Class::Absent),
        ] {
            let failure = jetstream_failure(code, description, "stream ORDERS");
            assert_eq!(
                (failure.class, failure.message.to_string()),
                (class, format!("stream ORDERS: {code} {description}"))
            );
        }
    }
}
