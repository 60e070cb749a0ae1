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
        &super::redis::KIND,
        &super::tcp::KIND,
        &super::unix::KIND,
        &super::dns::KIND,
        &super::file::KIND,
        &super::command::KIND,
        #[cfg(test)]
        &super::fake::KIND,
    ];
}
pub use list::KINDS;

pub mod command;
pub mod dns;
#[cfg(test)]
mod fake;
pub mod file;
pub mod http;
pub mod migrations;
pub mod nats;
pub mod postgres;
mod query;
pub mod redis;
pub mod tcp;
pub mod unix;
mod wire;

/// The kind that answers to `SCHEME:REST`: by its own scheme, or by another driver's word for it.
///
/// # Errors
/// The scheme is unknown; the message says what would be right.
pub fn find(scheme: &str, rest: &str) -> Result<&'static Kind, String> {
    let kinds = || KINDS.iter().copied();
    kinds()
        .find(|kind| kind.schemes.contains(&scheme))
        .or_else(|| kinds().find(|kind| kind.has_dialect(scheme, rest)))
        .ok_or_else(|| unknown(scheme))
}

/// Every scheme of every kind.
pub fn schemes() -> impl Iterator<Item = &'static str> {
    KINDS.iter().flat_map(|kind| kind.schemes.iter().copied())
}

fn unknown(scheme: &str) -> String {
    #[rustfmt::skip]
    const OTHERS: [&str; 16] = [
        "mysql", "mariadb", "redis", "rediss", "valkey", "mongodb", "mongodb+srv", "amqp", "amqps", "kafka", "mssql", "sqlserver",
        "oracle", "cassandra", "sqlite", "memcached",
    ];
    let plain = KINDS.iter().filter(|kind| !kind.prefix.is_empty());
    let plain = plain.filter_map(|kind| scheme.strip_prefix(kind.prefix)).next().unwrap_or(scheme);
    if OTHERS.contains(&plain) {
        return format!(
            "{scheme}: is not checked by its own protocol; tcp://HOST:PORT waits for the port, exec: for a command"
        );
    }
    let dialects = KINDS.iter().flat_map(|kind| kind.dialects.iter().copied().flatten());
    let mut inner = dialects.filter_map(|dialect| dialect.split_once(':'));
    if inner.any(|(outer, _)| outer == plain) {
        return format!("of the {plain}: URLs, only those of a known kind are understood");
    }
    match nearest(scheme, schemes()) {
        Some(near) => format!("unknown scheme {scheme}:, did you mean {near}:?"),
        None => format!(
            "unknown scheme {scheme}:, known are {}",
            schemes().collect::<Vec<_>>().join(", ")
        ),
    }
}
