//! Classifies a server's refusal by its SQLSTATE and its phase. Pure.

use std::fmt;

use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::ErrorFields;

use super::sqlstate;
use crate::{
    probe::{Class, Cost, Failure},
    text::one_line,
};

/// The longest part of a message that quotes the server. The server's name follows it.
const MAX_WORDS: usize = 220;

/// An ErrorResponse of a server, or of a pooler in front of it (PostgreSQL manual, section 55.8).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PgError {
    /// SQLSTATE (manual, appendix A).
    pub code: String,
    /// The primary message.
    pub message: String,
    /// The detail, empty where there is none.
    pub detail: String,
    /// The server's own hint, empty where there is none.
    pub hint: String,
}

/// The phase in which a server refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Before the first ReadyForQuery.
    Login,
    /// A login whose startup packet held options of the declaration.
    LoginWithOptions,
    /// In answer to our own commands around a query.
    Command,
    /// In answer to a query that the declaration brought.
    Query,
}

impl PgError {
    /// Reads the fields of an ErrorResponse. Bytes that are not UTF-8 are replaced.
    pub fn read(mut fields: ErrorFields<'_>) -> Self {
        let mut error = Self::default();
        while let Ok(Some(field)) = fields.next() {
            let value = String::from_utf8_lossy(field.value_bytes()).into_owned();
            match field.type_() {
                b'C' => error.code = value,
                b'M' => error.message = value,
                b'D' => error.detail = value,
                b'H' => error.hint = value,
                _ => {}
            }
        }
        error
    }

    /// Returns the error as a failure whose message names `place`.
    pub fn failure(&self, phase: Phase, place: impl fmt::Display) -> Failure {
        let (class, hint) = meaning(self, phase);
        let mut words = one_line(&self.message, MAX_WORDS);
        // After a login, a detail may quote rows.
        if phase.is_login() && !self.detail.is_empty() {
            let room = MAX_WORDS.saturating_sub(words.chars().count());
            words = format!("{words}: {}", one_line(&self.detail, room.max(80)));
        }
        let message = match self.code.as_str() {
            "" => format!("{words} ({place})"),
            code => format!("{}: {words} ({place})", one_line(code, 5)),
        };
        // By default a server logs every refusal. But a start ends soon, and a closed standby may
        // be promoted at any moment. So such a server is asked often.
        let cost = if self.is_starting() { Cost::Answer } else { Cost::Logged };
        let failure = Failure::new(class, message).cost(cost);
        match hint {
            Some(hint) => failure.hint(hint),
            None if phase.is_login() && !self.hint.is_empty() => {
                failure.hint(one_line(&self.hint, MAX_WORDS))
            }
            None => failure,
        }
    }

    /// Returns true if the server accepts no connections yet, or no longer.
    pub fn is_starting(&self) -> bool {
        self.code == sqlstate::CANNOT_CONNECT_NOW
    }

    /// Returns true if the server is a standby that never accepts connections (`hot_standby =
    /// off`).
    fn is_closed_standby(&self) -> bool {
        self.is_starting() && self.detail.starts_with("Hot standby mode is disabled")
    }
}

impl Phase {
    fn is_login(self) -> bool {
        matches!(self, Phase::Login | Phase::LoginWithOptions)
    }
}

impl fmt::Display for PgError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, one_line(&self.message, MAX_WORDS))
    }
}

type Meaning = (Class, Option<&'static str>);

const TRIGGER: &str =
    "a login trigger of the database, or a setting of the role, refuses the login";
const PASSWORD: &str = "wrong password, or the role or its password does not exist yet";

fn meaning(error: &PgError, phase: Phase) -> Meaning {
    const ROLE: &str =
        "the role does not exist yet or may not log in, or pg_hba.conf does not admit it this way";
    const CONNECT: &str = "the right to connect may still have to be granted";
    const RIGHT: &str = "the right may still have to be granted";
    const LOCKED: &str = "another transaction holds a lock on what is asked, as migrations do";
    const CLOSED: &str =
        "hot_standby = off: this standby takes no connections before it is promoted";
    match error.code.as_str() {
        sqlstate::INVALID_PASSWORD => (Class::Auth, Some(PASSWORD)),
        sqlstate::INVALID_AUTHORIZATION => (Class::Auth, Some(ROLE)),
        sqlstate::INSUFFICIENT_PRIVILEGE => {
            (Class::Auth, Some(if phase.is_login() { CONNECT } else { RIGHT }))
        }
        sqlstate::INVALID_CATALOG_NAME | sqlstate::DATABASE_DROPPED => (Class::Absent, None),
        sqlstate::CANNOT_CONNECT_NOW if error.is_closed_standby() => (Class::Busy, Some(CLOSED)),
        sqlstate::LOCK_NOT_AVAILABLE => (Class::Busy, Some(LOCKED)),
        sqlstate::QUERY_CANCELED | sqlstate::TRANSACTION_TIMEOUT => (Class::Timeout, None),
        // Poolers use one SQLSTATE for nearly every refusal.
        sqlstate::PROTOCOL_VIOLATION
        | sqlstate::CONNECTION_FAILURE
        | sqlstate::INTERNAL_ERROR
        | sqlstate::SYSTEM_ERROR
        | "" => pooler_meaning(error).unwrap_or_else(|| class_meaning(error, phase)),
        // Options that the server's command line does not know, and values that no server knows.
        sqlstate::SYNTAX_ERROR
            if phase == Phase::LoginWithOptions
                && error.message.starts_with("invalid command-line argument") =>
        {
            (Class::Config, None)
        }
        sqlstate::INVALID_PARAMETER_VALUE if phase == Phase::LoginWithOptions => {
            (Class::Config, None)
        }
        sqlstate::UNDEFINED_COLUMN | sqlstate::SYNTAX_ERROR | sqlstate::READ_ONLY_TRANSACTION
            if phase == Phase::Query =>
        {
            (Class::Config, None)
        }
        sqlstate::UNDEFINED_TABLE | sqlstate::UNDEFINED_FUNCTION | sqlstate::UNDEFINED_OBJECT => {
            (Class::Absent, None)
        }
        _ => class_meaning(error, phase),
    }
}

/// The class that the first two characters of a SQLSTATE name.
fn class_meaning(error: &PgError, phase: Phase) -> Meaning {
    let class = match error.code.get(..2).unwrap_or_default() {
        "08" if error.code != sqlstate::PROTOCOL_VIOLATION => Class::Connect,
        "28" => Class::Auth,
        // Resources; object states; operators; the system; conflicts; bugs, which a restart ends.
        "53" | "55" | "57" | "58" | "40" | "XX" => Class::Busy,
        "3F" => Class::Absent,
        // A statement that is invalid whatever the database contains.
        "42" if phase == Phase::Query => Class::Config,
        "" | "08" | "0A" if phase.is_login() => Class::Protocol,
        // A login event trigger raised the error (PostgreSQL 17). Whatever its SQLSTATE, it rejects
        // logins now.
        _ if phase.is_login() => return (Class::Auth, Some(TRIGGER)),
        _ => Class::Absent,
    };
    (class, None)
}

/// PgBouncer's words (its `objects.c` and `client.c`), and Supavisor's.
fn pooler_meaning(error: &PgError) -> Option<Meaning> {
    let words = error.message.to_lowercase();
    let says = |any: &[&str]| any.iter().any(|text| words.contains(text));
    const SERVER_SIDE: &str = "the pooler answers, but cannot log in to the server behind it";
    let behind = words.starts_with("server login");
    Some(
        if says(&[
            "starting up",
            "shutting down",
            "too many",
            "no more connections",
            "max client connections",
            "remaining connection slots",
        ]) {
            (Class::Busy, None)
        } else if says(&["no such database"]) || (says(&["database"]) && says(&["does not exist"]))
        {
            (Class::Absent, behind.then_some(SERVER_SIDE))
        } else if says(&[
            "no such user",
            "authentication failed",
            "auth failed",
            "not allowed",
            "tenant or user not found",
            "does not exist",
        ]) {
            (Class::Auth, Some(if behind { SERVER_SIDE } else { PASSWORD }))
        } else if behind
            || says(&["cannot connect to server", "server conn crashed", "server_lifetime"])
        {
            (Class::Connect, Some(SERVER_SIDE))
        } else if says(&["query_wait_timeout", "is disabled", "is paused", "pause"]) {
            (Class::Busy, None)
        } else if says(&["unsupported startup parameter"]) {
            (Class::Config, None)
        } else {
            return None;
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_its_class() {
        use {Class::*, Phase::*};
        for (code, message, phase, want) in [
            ("28P01", "password authentication failed for user \"app\"", Login, Auth),
            ("28000", "role \"app\" does not exist", Login, Auth),
            (
                "28000",
                "no pg_hba.conf entry for host \"::1\", user \"app\", database \"app\", no \
                encryption",
                Login,
                Auth,
            ),
            ("28P02", "?", Login, Auth),
            ("42501", "permission denied for database \"app\"", Login, Auth),
            ("42501", "permission denied for table x", Query, Auth),
            ("42501", "permission denied for table x", Command, Auth),
            ("3D000", "database \"app\" does not exist", Login, Absent),
            ("57P03", "the database system is starting up", Login, Busy),
            ("57P03", "the database system is shutting down", Login, Busy),
            ("53300", "sorry, too many clients already", Login, Busy),
            ("53200", "out of memory", Query, Busy),
            ("53400", "?", Login, Busy),
            ("55000", "database \"app\" is not currently accepting connections", Login, Busy),
            ("57P01", "terminating connection due to administrator command", Query, Busy),
            (
                "57P02",
                "terminating connection because of crash of another server process",
                Query,
                Busy,
            ),
            ("57P04", "database dropped", Query, Absent),
            ("08006", "?", Login, Connect),
            ("08P01", "insufficient data left in message", Login, Protocol),
            ("0A000", "unsupported frontend protocol 3.0", Login, Protocol),
            (
                "42601",
                "invalid command-line argument for server process: x",
                LoginWithOptions,
                Config,
            ),
            ("42601", "syntax error at or near \"x\"", LoginWithOptions, Auth),
            ("42601", "syntax error at or near \"x\"", Login, Auth),
            ("22023", "invalid value for parameter \"client_encoding\"", LoginWithOptions, Config),
            ("22023", "?", Login, Auth),
            ("P0001", "Login forbidden", Login, Auth),
            ("42703", "column \"x\" does not exist", Login, Auth),
            ("25006", "cannot execute INSERT in a read-only transaction", Login, Auth),
            ("42P01", "relation \"x\" does not exist", Login, Absent),
            ("25P04", "terminating connection due to transaction timeout", Query, Timeout),
            ("42704", "unrecognized configuration parameter \"x\"", Login, Absent),
            ("42601", "syntax error at or near \"x\"", Query, Config),
            ("42703", "column \"x\" does not exist", Query, Config),
            ("42703", "column \"x\" does not exist", Command, Absent),
            ("25006", "cannot execute INSERT in a read-only transaction", Query, Config),
            ("42804", "argument of WHERE must be type boolean, not type integer", Query, Config),
            ("42P01", "relation \"x\" does not exist", Query, Absent),
            ("3F000", "schema \"x\" does not exist", Query, Absent),
            ("42883", "function x() does not exist", Query, Absent),
            ("22012", "division by zero", Query, Absent),
            ("P0001", "not yet", Query, Absent),
            ("57014", "canceling statement due to statement timeout", Query, Timeout),
            ("55P03", "canceling statement due to lock timeout", Query, Busy),
            ("40001", "canceling statement due to conflict with recovery", Query, Busy),
            ("XX000", "cache lookup failed for relation 1", Query, Busy),
            // PgBouncer and Supavisor.
            ("08P01", "no such database: app", Login, Absent),
            ("08P01", "no such user: app", Login, Auth),
            ("08P01", "SASL authentication failed", Login, Auth),
            (
                "08P01",
                "server login failed: FATAL password authentication failed for user \"app\"",
                Login,
                Auth,
            ),
            ("08P01", "server login failed: FATAL database \"app\" does not exist", Login, Absent),
            ("08P01", "server login failed: FATAL role \"app\" does not exist", Login, Auth),
            ("08P01", "server login failed: FATAL the database system is starting up", Login, Busy),
            (
                "08P01",
                "server login has been failing, try again later (server_login_retry)",
                Login,
                Connect,
            ),
            ("08P01", "pgbouncer cannot connect to server", Login, Connect),
            ("08P01", "query_wait_timeout", Login, Busy),
            ("08P01", "no more connections allowed (max_client_conn)", Login, Busy),
            ("08P01", "database \"app\" is disabled", Login, Busy),
            ("08P01", "unsupported startup parameter: options", Login, Config),
            ("XX000", "Tenant or user not found", Login, Auth),
            ("", "could not fork new process for connection", Login, Protocol),
        ] {
            let error = PgError {
                code: code.to_owned(),
                message: message.to_owned(),
                ..PgError::default()
            };
            assert_eq!(error.failure(phase, "db:5432").class, want, "{code} {message}");
        }
    }

    #[test]
    fn the_message_begins_with_the_sqlstate_and_ends_with_the_place() {
        let error =
            PgError { code: "28P01".to_owned(), message: "no\nx".to_owned(), ..PgError::default() };
        let failure = error.failure(Phase::Login, "db:5432");
        assert_eq!(&*failure.message, "28P01: no (db:5432)");
        assert_eq!(
            failure.hint.as_deref(),
            Some("wrong password, or the role or its password does not exist yet")
        );
        assert_eq!(failure.cost, Cost::Logged);
        let long =
            PgError { code: "57P03".to_owned(), message: "x".repeat(1000), ..PgError::default() };
        let failure = long.failure(Phase::Login, "db:5432");
        assert!(failure.message.ends_with("x… (db:5432)"), "{}", failure.message);
        assert_eq!(failure.cost, Cost::Answer);
    }

    #[test]
    fn details_that_tell_states_apart_are_shown_at_login() {
        let error = |detail: &str| PgError {
            code: sqlstate::CANNOT_CONNECT_NOW.to_owned(),
            message: "the database system is not accepting connections".to_owned(),
            detail: detail.to_owned(),
            hint: "the server's hint".to_owned(),
        };
        let failure = error("Hot standby mode is disabled.").failure(Phase::Login, "db");
        assert_eq!(
            &*failure.message,
            "57P03: the database system is not accepting connections: Hot standby mode is \
            disabled. (db)"
        );
        assert!(failure.hint.as_ref().unwrap().starts_with("hot_standby = off"));
        assert_eq!(failure.cost, Cost::Answer, "a promotion is to be noticed soon");
        let failure = error("Consistent recovery state has not been yet reached.");
        let failure = failure.failure(Phase::Login, "db");
        assert_eq!(
            (failure.cost, failure.hint.as_deref()),
            (Cost::Answer, Some("the server's hint"))
        );
        let failure = error("Key (password)=(x) exists.").failure(Phase::Query, "db");
        assert!(!failure.message.contains("Key"), "{}", failure.message);
    }
}
