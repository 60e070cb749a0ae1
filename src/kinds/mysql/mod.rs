//! `mysql:`, `mariadb:` — logged in, and serving: never just a port, never a greeting without a
//! login.
//!
//! ```text
//! dsn -> target -> ask -> login -> session -> a Question
//!                         greeting, plugins, rsa, packet, failure
//! ```

mod ask;
mod dsn;
mod failure;
mod greeting;
mod login;
mod packet;
mod params;
mod plugins;
mod query;
mod rsa;
mod session;
mod target;

pub use ask::{Question, ask};
pub use dsn::shown;
pub use failure::{Error, Phase};
pub use session::Session;
pub use target::Target;

use crate::{
    connect::Endpoint,
    kinds::options::LOGIN_KEYS,
    probe::{Attempt, AttemptFuture, Order, Probe, Start},
    spec::{ConfigError, Grammar, Key, Kind, Spec},
    tls::KEYS as TLS_KEYS,
};
use query::Check;

/// The kind.
pub static KIND: Kind = Kind {
    name: "mysql",
    schemes: &["mysql", "mariadb"],
    dialects: &[DIALECTS],
    has_drivers: true,
    grammar: Grammar::Own(dsn::shown),
    usage: "mysql://USER[:PASSWORD]@HOST[:PORT][,...][/DATABASE][?...], \
        mysql:USER:PASSWORD@tcp(HOST:PORT)/DATABASE",
    summary: "logged in and serving (a Galera node in its primary component)",
    keys: &[KEYS, LOGIN_KEYS, TLS_KEYS],
    harmed_by_connects: Some((
        3306,
        "a MySQL counts bare connects, and then blocks this host (max_connect_errors)",
    )),
    build,
    ..Kind::DEFAULT
};

/// Other drivers' schemes for a MySQL, beside `mysql+DRIVER`: Rails' and JDBC's.
pub const DIALECTS: &[&str] = &["mysql2", "trilogy", "jdbc:mysql", "jdbc:mariadb"];

static KEYS: &[Key] = &[
    Key {
        name: "query",
        value: "SQL",
        help: "one SELECT that answers with one row, its first column 1 (a condition)",
    },
    Key { name: "writable", value: "", help: "the server must take writes (read_only is off)" },
];

struct Mysql {
    target: Target,
    order: Order,
    check: Check,
}

fn build(spec: &Spec) -> Result<Box<dyn Probe>, ConfigError> {
    let query = spec.owned("query");
    if query.as_ref().is_some_and(|query| query.trim().is_empty() || query.contains('\0')) {
        return Err(
            spec.key_error("query", "must be one SQL statement, e.g. select count(*) > 0 from t")
        );
    }
    let check = Check { query, writable: spec.flag("writable")? };
    let target = Target::from_spec(spec)?;
    Ok(Box::new(Mysql { target, order: Order::new(Start::First), check }))
}

impl Probe for Mysql {
    fn attempt<'a>(&'a mut self, attempt: &'a Attempt<'a>) -> AttemptFuture<'a> {
        Box::pin(ask(&self.target, &mut self.order, attempt, &mut self.check))
    }

    fn is_local(&self) -> bool {
        self.target.is_local()
    }

    fn servers(&self) -> Vec<&Endpoint> {
        self.target.endpoints()
    }
}

#[cfg(test)]
mod tests;
