//! `postgres:` — logged in, and ReadyForQuery: never just a port, never AuthenticationOk.
//!
//! ```text
//! dsn, service, hosts, passfile, os_user, ssl -> target
//! target -> ask -> open -> login -> session -> a Question
//! ```
//!
//! The migrations kind uses [`Target`], [`Question`] and [`Session`] too.

mod ask;
mod classify;
mod dsn;
mod hosts;
mod login;
mod open;
mod os_user;
pub mod parameters;
mod passfile;
mod query;
mod service;
mod session;
pub mod sqlstate;
mod ssl;
mod target;
mod values;
mod wire;

pub use ask::Question;
pub use classify::Phase;
pub use session::{Error, Session};
pub use target::{KEYS as LOGIN_KEYS, Target};

use crate::{
    connect::Endpoint,
    probe::{Attempt, AttemptFuture, Probe},
    spec::{ConfigError, Key, Kind, Spec},
    tls,
};
use query::Check;

/// The kind.
pub static KIND: Kind = Kind {
    name: "postgres",
    schemes: &["postgres", "postgresql"],
    dialects: &[DIALECTS],
    has_drivers: true,
    usage: "postgres://[USER[:PASSWORD]@]HOST[:PORT][,...][/DATABASE][?...], postgres:host=HOST \
        ...",
    summary: "logged in and ready for a query",
    keys: &[QUERY, LOGIN_KEYS, tls::KEYS],
    build,
    ..Kind::DEFAULT
};

static QUERY: &[Key] = &[Key {
    name: "query",
    value: "SQL",
    help: "one statement that answers with one row, its first column boolean true",
}];

/// Other drivers' schemes for a PostgreSQL, beside `postgres+DRIVER` and `postgresql+DRIVER`: JDBC,
/// Ecto, PHP, Django's and Rails' PostGIS, golang-migrate's.
pub static DIALECTS: &[&str] =
    &["jdbc:postgresql", "ecto", "pgsql", "psql", "postgis", "pgx", "pgx4", "pgx5"];

struct Postgres {
    target: Target,
    check: Check,
}

fn build(spec: &Spec) -> Result<Box<dyn Probe>, ConfigError> {
    let query = spec.owned("query");
    if query.as_ref().is_some_and(|query| query.trim().is_empty() || query.contains('\0')) {
        return Err(
            spec.key_error("query", "must be one SQL statement, e.g. select count(*) > 0 from t")
        );
    }
    Ok(Box::new(Postgres { target: Target::from_spec(spec)?, check: Check { query } }))
}

impl Probe for Postgres {
    fn attempt<'a>(&'a mut self, attempt: &'a Attempt<'a>) -> AttemptFuture<'a> {
        Box::pin(self.target.ask(attempt, &mut self.check))
    }

    fn is_local(&self) -> bool {
        self.target.is_local()
    }

    fn servers(&self) -> Vec<&Endpoint> {
        self.target.endpoints()
    }
}
