//! The meaning of the codes with which a broker closes a connection or a channel.

use std::fmt;

use crate::{
    probe::{Class, Cost, Failure},
    text::one_line,
};

/// The longest part of a message that is the server's own, in characters.
const MAX_WORDS: usize = 220;

/// The failure for a close with `code` and `text` by the server at `place`.
///
/// Source: AMQP 0-9-1, section 1.2 ("constants"); the texts are RabbitMQ's.
pub(super) fn close_failure(code: u16, text: &str, place: impl fmt::Display) -> Failure {
    let (class, hint) = meaning(code, text.trim_end());
    let text = one_line(text, MAX_WORDS);
    // The broker logs every connection that was opened.
    Failure::new(class, format!("{code} {text} ({place})")).cost(Cost::Logged).with_hint(hint)
}

/// Names in the text are the user's own, e.g. a vhost called `limits`. So its ends decide.
fn meaning(code: u16, text: &str) -> (Class, Option<&'static str>) {
    match code {
        320 => (Class::Busy, None), // CONNECTION_FORCED: the broker shuts down.
        403 if text.starts_with("ACCESS_REFUSED - Login was refused") => (
            Class::Auth,
            Some(
                "wrong password, or the user does not exist yet; guest may log in from the \
                broker's own machine alone",
            ),
        ),
        403 => (Class::Auth, Some("a right is missing, or not granted yet")),
        404 if text.ends_with(" is down or inaccessible") => (Class::Busy, None),
        404 => (Class::Absent, None),
        530 if text.ends_with(" is reached") => (Class::Busy, None), // A limit of connections.
        530 if text.ends_with(" not found") => {
            (Class::Absent, Some("the vhost does not exist yet"))
        }
        530 => (Class::Auth, Some("the user has no permission for that vhost, or not yet")),
        541 | 506 => (Class::Busy, None),
        501..=505 | 540 => (Class::Protocol, None),
        _ => (Class::Absent, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_close_has_its_class() {
        for (code, text, class) in [
            (
                320,
                "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'",
                Class::Busy,
            ),
            (
                403,
                "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN.",
                Class::Auth,
            ),
            (403, "ACCESS_REFUSED - configure access to queue 'q' refused", Class::Auth),
            (404, "NOT_FOUND - no queue 'nope' in vhost '/app'", Class::Absent),
            (404, "NOT_FOUND - no exchange 'nope' in vhost '/app'", Class::Absent),
            (
                404,
                "NOT_FOUND - home node 'rabbit@a' of durable queue 'q' in vhost '/' is down or \
                inaccessible",
                Class::Busy,
            ),
            (530, "NOT_ALLOWED - vhost /nope not found", Class::Absent),
            (530, "NOT_ALLOWED - access to vhost '/app' refused for user 'app2'", Class::Auth),
            (530, "NOT_ALLOWED - vhost limits not found", Class::Absent),
            (
                530,
                "NOT_ALLOWED - access to vhost 'not found' refused for user 'limit'",
                Class::Auth,
            ),
            (
                530,
                "NOT_ALLOWED - connection refused for user 'adm': user connection limit (0) is \
                reached",
                Class::Busy,
            ),
            (404, "NOT_FOUND - no queue 'is down or inaccessible' in vhost '/'", Class::Absent),
            (
                530,
                "NOT_ALLOWED - access to vhost '/app' refused for user 'adm': connection limit (0) \
                is reached",
                Class::Busy,
            ),
            (
                541,
                "INTERNAL_ERROR - access to vhost '/app' refused for user 'adm': vhost '/app' is \
                down",
                Class::Busy,
            ),
            (501, "FRAME_ERROR", Class::Protocol),
        ] {
            let failure = close_failure(code, text, "mq:5672");
            assert_eq!(failure.class, class, "{text}");
            assert_eq!(
                (failure.cost, failure.message.to_string()),
                (Cost::Logged, format!("{code} {text} (mq:5672)"))
            );
        }
    }
}
