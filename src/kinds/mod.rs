//! The kinds of dependency. A kind is one file and two adjacent lines here.

use crate::{spec::Kind, text::nearest};

#[rustfmt::skip]
mod list {
    use crate::spec::Kind;

    /// Every kind, in the order of the documentation.
    pub static KINDS: &[&Kind] = &[
        &super::postgres::KIND,
        &super::migrations::KIND,
        &super::nats::KIND,
        &super::http::KIND,
        &super::tcp::KIND,
        &super::unix::KIND,
        &super::dns::KIND,
        &super::file::KIND,
        &super::command::KIND,
    ];
}
pub use list::KINDS;

pub mod command;
pub mod dns;
pub mod file;
pub mod http;
pub mod migrations;
pub mod nats;
pub mod postgres;
pub mod tcp;
pub mod unix;

/// The kind that answers to `scheme`.
pub fn find(scheme: &str) -> Option<&'static Kind> {
    let (migrations, plain) = match scheme.strip_prefix("migrations+") {
        Some(plain) => ("migrations+", plain),
        None => ("", scheme),
    };
    // `postgresql+psycopg2`, `jdbc`, `ecto`: what other drivers call a PostgreSQL.
    let plain = if postgres::is_dialect(plain) { "postgres" } else { plain };
    let scheme = format!("{migrations}{plain}");
    KINDS.iter().copied().find(|kind| kind.schemes.contains(&scheme.as_str()))
}

/// Every scheme of every kind.
pub fn schemes() -> impl Iterator<Item = &'static str> {
    KINDS.iter().flat_map(|kind| kind.schemes.iter().copied())
}

/// What to say of a scheme that no kind answers to.
pub fn unknown(scheme: &str) -> String {
    #[rustfmt::skip]
    const OTHERS: [&str; 16] = [
        "mysql", "mariadb", "redis", "rediss", "valkey", "mongodb", "mongodb+srv", "amqp", "amqps", "kafka", "mssql", "sqlserver",
        "oracle", "cassandra", "sqlite", "memcached",
    ];
    if OTHERS.contains(&scheme.trim_start_matches("migrations+")) {
        return format!(
            "{scheme}: is not checked by its own protocol; tcp://HOST:PORT waits for the port, exec: for a command"
        );
    }
    match nearest(scheme, schemes()) {
        Some(near) => format!("unknown scheme {scheme}:, did you mean {near}:?"),
        None => format!(
            "unknown scheme {scheme}:, known are {}",
            schemes().collect::<Vec<_>>().join(", ")
        ),
    }
}
