//! What a NATS server's refusals mean.

use std::fmt;

use crate::{
    probe::{Class, Cost, Failure},
    text::{one_line, quoted},
};

/// The longest part of a message that is the server's own; what follows it says where.
const MAX_WORDS: usize = 220;

/// The failure that `-ERR 'text'` of the server at `place` stands for.
///
/// The texts are those of nats-server's `errors.go` and of its clients' handlers; a text alone tells them apart.
pub(super) fn of_err(text: &str, place: impl fmt::Display) -> Failure {
    let text = one_line(text.trim().trim_matches('\''), MAX_WORDS);
    let class = class_of(&text.to_ascii_lowercase());
    // nats-server writes whatever it refuses a client into its log.
    let failure = Failure::new(class, format!("-ERR '{text}' ({place})")).cost(Cost::Logged);
    match class {
        Class::Auth if text.starts_with("Permissions") => {
            failure.hint("this user has no right to that, or not yet")
        }
        Class::Auth => {
            failure.hint("the credentials are wrong, or the server does not know them yet")
        }
        Class::Tls => failure.hint("use the scheme tls:"),
        Class::Protocol if text.contains("Port") => {
            failure.hint("clients have a port of their own, usually 4222")
        }
        _ => failure,
    }
}

fn class_of(text: &str) -> Class {
    const CLASSES: [(&str, Class); 12] = [
        ("authorization violation", Class::Auth),
        // User Authentication Expired, Account Authentication Expired, User Authentication Revoked, Authentication Timeout.
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

/// The failure of a port on which something else than NATS speaks first.
pub(super) fn not_nats(said: &[u8], place: &str) -> Failure {
    match quoted(said) {
        Some(line) => Failure::new(Class::Protocol, format!("not NATS, it says: {line} ({place})")),
        None => Failure::new(Class::Protocol, format!("not NATS ({place})")),
    }
}

/// The failure that a JetStream answer stands for; `what` was asked for.
pub(super) fn of_jetstream(code: u64, description: &str, what: &str) -> Failure {
    let class = match code {
        // "JetStream not enabled", "... not enabled for account": nobody but an administrator will change that.
        _ if description.contains("not enabled") => Class::Absent,
        401 | 403 => Class::Auth,
        429 | 503 => Class::Busy,
        _ => Class::Absent,
    };
    Failure::new(class, format!("{what}: {code} {description}").trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_its_class_and_is_told_in_the_servers_words() {
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
            let failure = of_err(text, "a:4222");
            assert_eq!((failure.class, failure.message), (class, format!("-ERR {text} (a:4222)")));
            assert_eq!(
                failure.hint.is_some(),
                matches!(class, Class::Auth | Class::Tls) || text.contains("Port"),
                "{text}"
            );
        }
    }

    #[test]
    fn what_jetstream_refuses_is_told_from_what_it_lacks() {
        for (code, description, class) in [
            (404, "stream not found", Class::Absent),
            (503, "JetStream not enabled for account", Class::Absent),
            (503, "JetStream system temporarily unavailable", Class::Busy),
            (403, "not permitted", Class::Auth),
            (500, "general failure", Class::Absent),
        ] {
            let failure = of_jetstream(code, description, "stream ORDERS");
            assert_eq!(
                (failure.class, failure.message),
                (class, format!("stream ORDERS: {code} {description}"))
            );
        }
    }
}
