//! The meaning of Kafka's error codes.

use std::fmt;

use crate::probe::{Class, Failure};

/// Returns the failure for the error `code` of the server at `place`. `subject` is what the code is
/// about, e.g. a topic.
pub(super) fn code_failure(
    code: i16,
    subject: impl fmt::Display,
    place: impl fmt::Display,
) -> Failure {
    let (name, class, hint) = meaning(code);
    Failure::new(class, format!("{subject}: {name} ({place})")).with_hint(hint)
}

/// Name, class and hint of an error. Source:
/// <https://kafka.apache.org/protocol#protocol_error_codes>.
fn meaning(code: i16) -> (String, Class, Option<&'static str>) {
    const CODES: [(i16, &str, Class, Option<&str>); 18] = [
        (-1, "UNKNOWN_SERVER_ERROR", Class::Busy, None),
        (3, "UNKNOWN_TOPIC_OR_PARTITION", Class::Absent, Some("the topic does not exist yet")),
        (5, "LEADER_NOT_AVAILABLE", Class::Busy, None),
        (6, "NOT_LEADER_OR_FOLLOWER", Class::Busy, None),
        (7, "REQUEST_TIMED_OUT", Class::Busy, None),
        (8, "BROKER_NOT_AVAILABLE", Class::Busy, None),
        (13, "NETWORK_EXCEPTION", Class::Busy, None),
        (17, "INVALID_TOPIC_EXCEPTION", Class::Config, Some("no topic can have that name")),
        (
            29,
            "TOPIC_AUTHORIZATION_FAILED",
            Class::Auth,
            Some("no right to describe it, or not yet; a topic that is not there looks the same"),
        ),
        (
            31,
            "CLUSTER_AUTHORIZATION_FAILED",
            Class::Auth,
            Some("a right is missing, or not yet granted"),
        ),
        (33, "UNSUPPORTED_SASL_MECHANISM", Class::Auth, None),
        (
            34,
            "ILLEGAL_SASL_STATE",
            Class::Auth,
            Some("this listener takes no login: without user and sasl, or another port"),
        ),
        (35, "UNSUPPORTED_VERSION", Class::Protocol, None),
        (41, "NOT_CONTROLLER", Class::Busy, None),
        (42, "INVALID_REQUEST", Class::Protocol, None),
        (
            58,
            "SASL_AUTHENTICATION_FAILED",
            Class::Auth,
            Some("wrong password, or the user does not exist yet"),
        ),
        (
            72,
            "LISTENER_NOT_FOUND",
            Class::Busy,
            Some("the leader has no listener of this one's name (advertised.listeners)"),
        ),
        (89, "THROTTLING_QUOTA_EXCEEDED", Class::Busy, None),
    ];
    match CODES.iter().find(|(known, ..)| *known == code) {
        Some((_, name, class, hint)) => ((*name).to_owned(), *class, *hint),
        // The server answers and does not serve.
        None => (format!("error {code}"), Class::Busy, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_class() {
        for (code, name, class) in [
            (3, "UNKNOWN_TOPIC_OR_PARTITION", Class::Absent),
            (5, "LEADER_NOT_AVAILABLE", Class::Busy),
            (17, "INVALID_TOPIC_EXCEPTION", Class::Config),
            (29, "TOPIC_AUTHORIZATION_FAILED", Class::Auth),
            (35, "UNSUPPORTED_VERSION", Class::Protocol),
            (58, "SASL_AUTHENTICATION_FAILED", Class::Auth),
            (14, "error 14", Class::Busy),
        ] {
            let failure = code_failure(code, "topic t", "k:9092");
            assert_eq!(
                (failure.class, failure.message.to_string()),
                (class, format!("topic t: {name} (k:9092)"))
            );
        }
    }
}
