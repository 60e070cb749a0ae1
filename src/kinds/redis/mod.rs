//! `redis:`, `rediss:`, `valkey:`: logged in, PONG, and nothing that PONG hides.
//!
//! A server that loads, a replica without its data and a cluster that does not serve all answer
//! PING.
//!
//! ```text
//! target -> [sentinel] -> session -> resp
//!                         info, failure
//! ```

mod failure;
mod info;
mod resp;
mod sentinel;
mod session;
mod target;

use crate::{
    connect::Endpoint,
    kinds::listed::{Asked, Question, probe},
    probe::{Attempt, Probe},
    spec::{ConfigError, Kind, Spec},
    tls::KEYS as TLS_KEYS,
};
use target::{KEYS, Target};

/// The kind.
pub static KIND: Kind = Kind {
    name: "redis",
    schemes: &["redis", "rediss", "valkey", "valkeys"],
    dialects: &[DIALECTS],
    usage: "redis://[[USER]:PASSWORD@]HOST[:PORT][,...][/DATABASE], redis+unix:///PATH, \
        redis+sentinel://HOST[,...]/MASTER",
    summary: "PONG, not loading, a replica linked, a cluster that covers its slots",
    keys: &[KEYS, TLS_KEYS],
    build,
    ..Kind::DEFAULT
};

/// Schemes of drivers: for a Unix socket, for Sentinels, and for the seeds of a cluster.
const DIALECTS: &[&str] = &[
    "redis+unix",
    "redis-socket",
    "redis+socket",
    "redis+sentinel",
    "redis-sentinel",
    "rediss+sentinel",
    "rediss-sentinel",
    "valkey+unix",
    "valkey+sentinel",
    "redis+cluster",
    "redis-cluster",
    "rediss+cluster",
    "rediss-cluster",
];

fn build(spec: &Spec) -> Result<Box<dyn Probe>, ConfigError> {
    let target = Target::from_spec(spec)?;
    let servers = target.servers.clone();
    Ok(probe(target, &servers))
}

impl Question for Target {
    fn ask<'a>(&'a self, attempt: &'a Attempt<'a>, endpoint: &'a Endpoint) -> Asked<'a> {
        Box::pin(async move {
            match &self.sentinel {
                Some(sentinel) => sentinel::ask(attempt, self, sentinel, endpoint).await,
                None => session::ask(attempt, self, endpoint).await,
            }
        })
    }
}

#[cfg(test)]
mod tests;
