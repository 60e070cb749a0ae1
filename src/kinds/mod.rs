//! The kinds of dependency. Each kind has one module and two lines here, under its cargo feature.

use crate::{
    spec::{self, Kind},
    text::nearest,
};

#[rustfmt::skip]
mod list {
    use crate::spec::Kind;

    /// Every kind, in the order of the documentation.
    pub static KINDS: &[&Kind] = &[
        #[cfg(feature = "postgres")]
        &super::postgres::KIND,
        #[cfg(feature = "postgres")]
        &super::migrations::ON_POSTGRES,
        #[cfg(feature = "nats")]
        &super::nats::KIND,
        #[cfg(feature = "http")]
        &super::http::KIND,
        #[cfg(feature = "redis")]
        &super::redis::KIND,
        #[cfg(feature = "mysql")]
        &super::mysql::KIND,
        #[cfg(feature = "mysql")]
        &super::migrations::ON_MYSQL,
        #[cfg(feature = "grpc")]
        &super::grpc::KIND,
        #[cfg(feature = "amqp")]
        &super::amqp::KIND,
        #[cfg(feature = "kafka")]
        &super::kafka::KIND,
        #[cfg(feature = "mongodb")]
        &super::mongodb::KIND,
        #[cfg(feature = "memcached")]
        &super::memcached::KIND,
        #[cfg(feature = "k8s")]
        &super::k8s::KIND,
        &super::tcp::KIND,
        &super::unix::KIND,
        &super::dns::KIND,
        &super::file::KIND,
        &super::command::KIND,
        &super::any::KIND,
        #[cfg(test)]
        &super::fake::KIND,
    ];
}
pub use list::KINDS;

#[cfg(feature = "amqp")]
pub mod amqp;
pub mod any;
pub mod command;
pub mod dns;
#[cfg(test)]
mod fake;
pub mod file;
#[cfg(feature = "grpc")]
pub mod grpc;
#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "grpc")]
mod http2;
#[cfg(feature = "k8s")]
pub mod k8s;
#[cfg(feature = "kafka")]
pub mod kafka;
#[cfg(any(
    feature = "redis",
    feature = "amqp",
    feature = "grpc",
    feature = "kafka",
    feature = "memcached"
))]
mod listed;
#[cfg(feature = "memcached")]
pub mod memcached;
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub mod migrations;
#[cfg(feature = "mongodb")]
pub mod mongodb;
#[cfg(feature = "mysql")]
pub mod mysql;
#[cfg(feature = "nats")]
pub mod nats;
#[cfg(any(
    feature = "redis",
    feature = "mysql",
    feature = "amqp",
    feature = "kafka",
    feature = "mongodb"
))]
mod options;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod rows;
#[cfg(any(feature = "postgres", feature = "kafka", feature = "mongodb"))]
mod scram;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod semicolons;
pub mod tcp;
pub mod unix;
#[cfg(any(
    feature = "redis",
    feature = "mysql",
    feature = "amqp",
    feature = "kafka",
    feature = "mongodb",
    feature = "memcached"
))]
mod wire;

/// Returns the kind of `SCHEME:REST`, by its own scheme or by another driver's scheme.
///
/// # Errors
/// The scheme is unknown. The message suggests the right one.
pub fn find(scheme: &str, rest: &str) -> Result<&'static Kind, String> {
    known(scheme, rest).ok_or_else(|| match spec::slip_behind_scheme(rest) {
        Some(remedy) if !is_left_out(scheme) => remedy.to_owned(),
        _ => unknown(scheme),
    })
}

/// Returns the kind of `SCHEME:REST`, if there is one.
pub fn known(scheme: &str, rest: &str) -> Option<&'static Kind> {
    let kinds = || KINDS.iter().copied();
    kinds()
        .find(|kind| kind.schemes.contains(&scheme))
        .or_else(|| kinds().find(|kind| kind.has_dialect(scheme, rest)))
}

/// Returns every scheme of every kind.
pub fn schemes() -> impl Iterator<Item = &'static str> {
    KINDS.iter().flat_map(|kind| kind.schemes.iter().copied())
}

/// Schemes and dialects of the kinds that a build may leave out, up to their first `+` or `-`.
#[rustfmt::skip]
const OPTIONAL: &[&str] = &[
    "postgres", "postgresql", "ecto", "pgsql", "psql", "postgis", "pgx", "pgx4", "pgx5",
    "nats", "tls", "http", "https", "redis", "rediss", "valkey", "valkeys", "mysql", "mariadb",
    "mysql2", "trilogy", "grpc", "grpcs", "amqp", "amqps", "pyamqp", "librabbitmq", "rabbitmq",
    "rabbitmqs", "kafka", "kafkas", "mongodb", "memcached", "memcache", "mc", "k8s",
];

/// Returns true if a build with every kind may know `scheme`, and this build does not.
pub fn is_left_out(scheme: &str) -> bool {
    let plain = scheme.strip_prefix("migrations+").unwrap_or(scheme);
    let base = plain.split(['+', '-']).next().unwrap_or(plain);
    OPTIONAL.contains(&base) && known(base, "").is_none()
}

fn unknown(scheme: &str) -> String {
    #[rustfmt::skip]
    const OTHERS: [&str; 14] = [
        "mssql", "sqlserver", "oracle", "cassandra", "sqlite", "etcd", "ftp", "ldap", "ldaps",
        "mqtt", "smtp", "ssh", "ws", "wss",
    ];
    let plain = KINDS.iter().filter(|kind| !kind.prefix.is_empty());
    let plain = plain.filter_map(|kind| scheme.strip_prefix(kind.prefix)).next().unwrap_or(scheme);
    if is_left_out(plain) {
        return format!("{scheme}: is not in this build (a cargo feature leaves it out)");
    }
    if OTHERS.contains(&plain) {
        return format!(
            "{scheme}: is not checked by its own protocol; tcp://HOST:PORT waits for the port, \
            exec: for a command"
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

#[cfg(test)]
mod tests {
    use super::*;

    const ALWAYS: [&str; 7] = ["tcp", "unix", "dns", "file", "exec", "any", "fake"];

    #[test]
    fn the_kinds_that_a_build_may_leave_out_are_known_by_name() {
        for kind in KINDS.iter().filter(|kind| !ALWAYS.contains(&kind.name)) {
            let dialects = kind.dialects.iter().copied().flatten();
            let dialects = dialects.filter(|dialect| !dialect.contains(':'));
            for scheme in kind.schemes.iter().chain(dialects) {
                let plain = scheme.strip_prefix(kind.prefix).unwrap_or(scheme);
                let base = plain.split(['+', '-']).next().unwrap();
                assert!(OPTIONAL.contains(&base), "{scheme}");
                assert!(!is_left_out(scheme), "{scheme}");
            }
        }
    }

    #[test]
    fn a_scheme_of_a_kind_that_is_left_out_is_no_typing_error() {
        for base in OPTIONAL {
            let is_here = known(base, "").is_some();
            for scheme in [base.to_string(), format!("{base}+x"), format!("migrations+{base}")] {
                let says_so = unknown(&scheme).contains("is not in this build");
                assert_eq!(says_so, !is_here, "{scheme}");
            }
        }
    }
}
