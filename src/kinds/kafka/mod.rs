//! `kafka:`, `kafkas:` — a broker answers, with a leader for every partition of the topics.
//!
//! Clients connect to the addresses that the brokers advertise. So a broker at an address that this
//! host cannot reach is not ready, whatever the bootstrap server answers.
//!
//! ```text
//! target -> session -> message
//!                      metadata, failure
//! ```

mod failure;
mod message;
mod metadata;
mod session;
mod target;

use crate::{
    connect::Endpoint,
    kinds::{
        listed::{Asked, Question, probe},
        options::LOGIN_KEYS,
    },
    probe::{Attempt, Probe},
    spec::{ConfigError, Grammar, Kind, Spec},
    tls::KEYS as TLS_KEYS,
};
use target::{KEYS, Target};

/// The kind.
pub static KIND: Kind = Kind {
    name: "kafka",
    schemes: &["kafka", "kafkas", "kafka+ssl"],
    grammar: Grammar::ServersWithLogins,
    usage: "kafka://[USER:PASSWORD@]HOST[:PORT][,...][/TOPIC]",
    summary: "brokers that this host reaches, a leader for every partition of the topics",
    keys: &[KEYS, LOGIN_KEYS, TLS_KEYS],
    build,
    ..Kind::DEFAULT
};

fn build(spec: &Spec) -> Result<Box<dyn Probe>, ConfigError> {
    let target = Target::from_spec(spec)?;
    let servers = target.servers.clone();
    Ok(probe(target, &servers))
}

impl Question for Target {
    fn ask<'a>(&'a self, attempt: &'a Attempt<'a>, endpoint: &'a Endpoint) -> Asked<'a> {
        Box::pin(session::ask(attempt, self, endpoint))
    }
}
