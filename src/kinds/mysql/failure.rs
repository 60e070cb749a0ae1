//! The meaning of a MySQL or MariaDB server's errors.

use crate::{
    connect::Endpoint,
    probe::{Class, Cost, Failure},
    text::one_line,
};

/// The longest part of a message that is the server's own, in characters.
const MAX_WORDS: usize = 220;

/// An ERR packet: a number, a SQLSTATE, and the server's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerError {
    /// MySQL's or MariaDB's own number, e.g. 1045.
    pub code: u16,
    /// Empty before the login, where the packet has none.
    pub sqlstate: String,
    /// The server's words.
    pub message: String,
}

/// The reason why a conversation broke off. It is small, because every `?` copies it.
#[derive(Debug)]
pub enum Error {
    /// The server refused, in its own words.
    Server(Box<ServerError>),
    /// Everything else.
    Failed(Failure),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Error::Failed(failure)
    }
}

impl From<ServerError> for Error {
    fn from(error: ServerError) -> Self {
        Error::Server(Box::new(error))
    }
}

/// The phase of the conversation in which an error came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Before the login succeeded.
    Login,
    /// A statement of ours.
    Command,
    /// The statement of the key `query`.
    Query,
}

impl ServerError {
    /// Reads the payload of an ERR packet.
    pub(super) fn parse(payload: &[u8]) -> Self {
        let code = match payload {
            [_, low, high, ..] => u16::from_le_bytes([*low, *high]),
            _ => 0,
        };
        let rest = payload.get(3..).unwrap_or_default();
        // `#` and five characters, once the login has begun.
        let (sqlstate, message) = match rest {
            [b'#', tail @ ..] if tail.len() >= 5 => tail.split_at(5),
            _ => (&[][..], rest),
        };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code, sqlstate: text(sqlstate), message: text(message) }
    }

    /// Returns the failure that the error means.
    pub fn failure(&self, phase: Phase, endpoint: &Endpoint) -> Failure {
        let (class, cost, hint) = self.meaning(phase);
        let words = one_line(&self.message, MAX_WORDS);
        let message = format!("{}: {words} ({endpoint})", self.code);
        Failure::new(class, message).cost(cost).with_hint(hint)
    }

    fn meaning(&self, phase: Phase) -> (Class, Cost, Option<&'static str>) {
        let row = CODES.iter().find(|row| row.code == self.code);
        match row {
            Some(Row { class: Class::Absent, code: NO_COLUMN | SYNTAX, .. })
                if phase == Phase::Query =>
            {
                (Class::Config, Cost::Login, None)
            }
            Some(row) => (row.class, row.cost, row.hint),
            // An unknown refusal of the login; an unknown error of a statement.
            None if phase == Phase::Login => (Class::Auth, Cost::Logged, None),
            None => (Class::Absent, Cost::Login, None),
        }
    }
}

/// Errors that callers distinguish.
pub(super) const ACCESS_DENIED: u16 = 1045;
pub(super) const NO_TABLE: u16 = 1146;
pub(super) const UNKNOWN_VARIABLE: u16 = 1193;
const NO_COLUMN: u16 = 1054;
const SYNTAX: u16 = 1064;

struct Row {
    code: u16,
    class: Class,
    cost: Cost,
    hint: Option<&'static str>,
}

const fn row(code: u16, class: Class, cost: Cost, hint: Option<&'static str>) -> Row {
    Row { code, class, cost, hint }
}

const NO_GRANT: Option<&str> = Some("the right is missing, or not granted yet");

/// The error numbers of MySQL's `mysqld_error.h` and MariaDB's `errmsg-utf8.txt` that distinguish
/// states.
#[rustfmt::skip]
const CODES: &[Row] = &[
    row(1040, Class::Busy, Cost::Login, None),      // Too many connections
    row(1042, Class::Busy, Cost::Answer, None),     // Can't get hostname for your address
    row(1043, Class::Protocol, Cost::Logged, None), // Bad handshake
    row(1044, Class::Auth, Cost::Logged, Some("the database, or the right to it (GRANT), does not \
        exist yet")),
    row(1045, Class::Auth, Cost::Logged, Some("wrong password, or the user or its password does \
        not exist yet, or not for this host")),
    row(1047, Class::Busy, Cost::Login, Some("the node is not in the primary component of its \
        Galera cluster")),
    row(1049, Class::Absent, Cost::Login, None),    // Unknown database
    row(1053, Class::Busy, Cost::Answer, None),     // Server shutdown in progress
    row(NO_COLUMN, Class::Absent, Cost::Login, None),
    row(SYNTAX, Class::Absent, Cost::Login, None),
    row(1077, Class::Busy, Cost::Answer, None),     // Normal shutdown
    row(1079, Class::Busy, Cost::Answer, None),     // Shutdown complete
    row(1129, Class::Auth, Cost::Answer, Some("only an administrator can mend that: FLUSH HOSTS, \
        or mariadb-admin flush-hosts")),
    row(1130, Class::Auth, Cost::Logged, Some("no account for this host, or not yet")),
    row(1142, Class::Auth, Cost::Login, NO_GRANT),
    row(1143, Class::Auth, Cost::Login, NO_GRANT),
    row(NO_TABLE, Class::Absent, Cost::Login, None),
    row(1156, Class::Protocol, Cost::Logged, None), // Got packets out of order
    row(1203, Class::Busy, Cost::Login, None),      // more than max_user_connections
    row(1205, Class::Busy, Cost::Login, Some("another session holds a lock on the table")),
    row(1226, Class::Busy, Cost::Login, None),      // exceeded a resource
    row(1227, Class::Auth, Cost::Login, NO_GRANT),
    // Client does not support authentication protocol. A missing user seems to have any plugin.
    row(1251, Class::Auth, Cost::Logged, Some("the plugin of this user is not supported, or the \
        user does not exist yet")),
    row(1290, Class::Busy, Cost::Login, None),      // running with --read-only and the like
    row(1370, Class::Auth, Cost::Login, NO_GRANT),
    row(1524, Class::Auth, Cost::Logged, Some("the server lacks the plugin of this user")),
    row(1698, Class::Auth, Cost::Logged, Some("this user logs in by the Unix socket alone \
        (unix_socket, auth_socket)")),
    row(1792, Class::Config, Cost::Login, Some("the statement writes, and a probe only reads")),
    row(1820, Class::Auth, Cost::Login, Some("the password has expired")),
    row(1862, Class::Auth, Cost::Logged, Some("the password has expired")),
    row(1969, Class::Timeout, Cost::Login, None),   // max_statement_time exceeded
    row(3024, Class::Timeout, Cost::Login, None),   // max_execution_time exceeded
    row(3032, Class::Busy, Cost::Login, None),      // offline mode
    row(3118, Class::Auth, Cost::Logged, Some("the account is locked")),
    row(3159, Class::Tls, Cost::Logged, Some("ssl-mode=REQUIRED, or a TLS key")),
    row(3572, Class::Busy, Cost::Login, None),      // NOWAIT
    row(4151, Class::Auth, Cost::Logged, Some("the account is locked")),
    row(9001, Class::Busy, Cost::Login, Some("ProxySQL reaches no server behind it")),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_read_with_and_without_a_sqlstate() {
        let before = ServerError::parse(b"\xff\x10\x04Too many connections");
        assert_eq!((before.code, before.sqlstate.as_str()), (1040, ""));
        assert_eq!(before.message, "Too many connections");
        let after = ServerError::parse(b"\xff\x15\x04#28000Access denied for user 'app'@'%'");
        assert_eq!((after.code, after.sqlstate.as_str()), (1045, "28000"));
        for odd in [&b"\xff"[..], b"\xff\x01", b"\xff\x10\x04#28"] {
            ServerError::parse(odd);
        }
    }

    #[test]
    fn every_error_has_its_class() {
        use Phase::{Command, Login, Query};
        for (code, phase, class) in [
            (1040, Login, Class::Busy),
            (1044, Login, Class::Auth),
            (1045, Login, Class::Auth),
            (1047, Command, Class::Busy),
            (1049, Login, Class::Absent),
            (1053, Login, Class::Busy),
            (1054, Query, Class::Config),
            (1064, Query, Class::Config),
            (1054, Command, Class::Absent),
            (1129, Login, Class::Auth),
            (1130, Login, Class::Auth),
            (1142, Query, Class::Auth),
            (1146, Query, Class::Absent),
            (1156, Login, Class::Protocol),
            (1205, Query, Class::Busy),
            (1226, Login, Class::Busy),
            (1698, Login, Class::Auth),
            (1792, Query, Class::Config),
            (1820, Command, Class::Auth),
            (1969, Query, Class::Timeout),
            (3024, Query, Class::Timeout),
            (3159, Login, Class::Tls),
            (4151, Login, Class::Auth),
            (5555, Login, Class::Auth),
            (5555, Query, Class::Absent),
        ] {
            let error = ServerError { code, sqlstate: String::new(), message: "no".to_owned() };
            let failure = error.failure(phase, &Endpoint::Tcp("db".to_owned(), 3306));
            assert_eq!(failure.class, class, "{code}");
            assert_eq!(&*failure.message, format!("{code}: no (db:3306)"));
        }
    }

    #[test]
    fn the_table_has_each_number_once_and_in_order() {
        assert!(CODES.windows(2).all(|rows| rows[0].code < rows[1].code));
    }
}
