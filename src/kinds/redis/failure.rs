//! The meaning of a Redis server's error replies.

use std::fmt;

use crate::{
    probe::{Class, Failure},
    text::one_line,
};

/// The longest part of a message that is the server's own, in characters. The server's address
/// follows.
const MAX_WORDS: usize = 220;

/// The failure for the error reply `text` (without its `-`) of the server at `place`.
///
/// The codes and texts are those of Redis 7.0's source (`server.c`, `acl.c`, `networking.c`,
/// `db.c`).
pub(super) fn error_failure(text: &str, place: impl fmt::Display) -> Failure {
    let text = one_line(text, MAX_WORDS);
    let (class, hint) = meaning(&text);
    Failure::new(class, format!("-{text} ({place})")).with_hint(hint)
}

/// Returns true if the error reply `text` means that the command is unknown, or forbidden to this
/// user.
pub(super) fn is_denied(text: &str) -> bool {
    text.starts_with("NOPERM") || text.starts_with("ERR unknown command")
}

fn meaning(text: &str) -> (Class, Option<&'static str>) {
    const CODES: [(&str, Class, Option<&str>); 14] = [
        ("LOADING", Class::Busy, None),
        ("MASTERDOWN", Class::Busy, None),
        (
            "MISCONF",
            Class::Busy,
            Some("the server refuses writes until it can save its data to disk again"),
        ),
        ("BUSY", Class::Busy, None),
        ("CLUSTERDOWN", Class::Busy, None),
        ("TRYAGAIN", Class::Busy, None),
        ("NOREPLICAS", Class::Busy, None),
        ("NOTREADY", Class::Busy, None),
        (
            "NOAUTH",
            Class::Auth,
            Some(
                "no credentials were given: redis://:PASSWORD@HOST, or redis://USER:PASSWORD@HOST",
            ),
        ),
        (
            "WRONGPASS",
            Class::Auth,
            Some("wrong password, or the user does not exist yet or is off"),
        ),
        ("NOPERM", Class::Auth, Some("this user has no right to that command or key, or not yet")),
        (
            "DENIED",
            Class::Auth,
            Some("protected mode: set a password on the server, or protected-mode no"),
        ),
        ("MOVED", Class::Busy, Some("the slot moved again while it was asked for")),
        ("ASK", Class::Busy, Some("the slot moved again while it was asked for")),
    ];
    // Replies that begin with ERR differ in their text alone.
    const TEXTS: [(&str, Class, Option<&str>); 9] = [
        ("max number of clients", Class::Busy, None),
        ("invalid password", Class::Auth, Some("wrong password, or it is not set yet")),
        (
            "without any password configured",
            Class::Auth,
            Some("the server has no password yet, or needs none"),
        ),
        ("no password is set", Class::Auth, Some("the server has no password yet, or needs none")),
        (
            "wrong number of arguments for 'auth'",
            Class::Auth,
            Some(
                "before Redis 6 there are no users: give the password alone, \
                redis://:PASSWORD@HOST",
            ),
        ),
        (
            "SELECT is not allowed in cluster mode",
            Class::Config,
            Some("a cluster has the database 0 alone"),
        ),
        (
            "DB index is out of range",
            Class::Absent,
            Some("the server has fewer databases than that (databases in redis.conf)"),
        ),
        ("invalid DB index", Class::Absent, None),
        ("Protocol error", Class::Protocol, None),
    ];
    let code = text.split(' ').next().unwrap_or_default();
    let by_code = CODES.iter().find(|(known, ..)| *known == code);
    let by_text = TEXTS.iter().find(|(part, ..)| code == "ERR" && text.contains(part));
    match by_code.or(by_text) {
        Some((_, class, hint)) => (*class, *hint),
        None if text.starts_with("ERR unknown command") => (Class::Absent, None),
        // The server answers and does not serve. Proxies have words of their own for that.
        None => (Class::Busy, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_reply_has_its_class() {
        for (text, class) in [
            ("LOADING Redis is loading the dataset in memory", Class::Busy),
            (
                "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
                Class::Busy,
            ),
            ("MISCONF Redis is configured to save RDB snapshots, but", Class::Busy),
            ("BUSY Redis is busy running a script.", Class::Busy),
            ("CLUSTERDOWN Hash slot not served", Class::Busy),
            ("CLUSTERDOWN The cluster is down", Class::Busy),
            ("ERR max number of clients reached", Class::Busy),
            ("NOAUTH Authentication required.", Class::Auth),
            ("WRONGPASS invalid username-password pair or user is disabled.", Class::Auth),
            ("NOPERM this user has no permissions to run the 'exists' command", Class::Auth),
            ("DENIED Redis is running in protected mode because", Class::Auth),
            ("ERR invalid password", Class::Auth),
            (
                "ERR AUTH <password> called without any password configured for the default user.",
                Class::Auth,
            ),
            ("ERR Client sent AUTH, but no password is set", Class::Auth),
            ("ERR wrong number of arguments for 'auth' command", Class::Auth),
            ("ERR SELECT is not allowed in cluster mode", Class::Config),
            ("ERR DB index is out of range", Class::Absent),
            ("ERR unknown command 'EXISTS', with args beginning with: 'a' ", Class::Absent),
            ("ERR Protocol error: invalid bulk length", Class::Protocol),
            ("ERR upstream failure", Class::Busy),
            ("no upstream host", Class::Busy),
        ] {
            let failure = error_failure(text, "a:6379");
            assert_eq!(failure.class, class, "{text}");
            assert_eq!(&*failure.message, format!("-{} (a:6379)", text.trim()));
            assert!(failure.class != Class::Auth || failure.hint.is_some(), "{text}");
        }
    }
}
