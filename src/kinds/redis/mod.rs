//! `redis:`, `rediss:`, `valkey:`: logged in, PONG, and nothing that PONG hides.
//!
//! A server that loads, a replica without its data and a cluster that does not serve all answer PING.
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

use std::sync::Arc;

use crate::{
    connect::Endpoint,
    probe::{Attempt, AttemptFuture, Failure, Probe, Verdict, try_servers},
    spec::{ConfigError, Kind, Spec},
    tls::KEYS as TLS_KEYS,
};
use target::{KEYS, Target};

/// The kind.
pub static KIND: Kind = Kind {
    name: "redis",
    schemes: &["redis", "rediss", "valkey", "valkeys"],
    dialects: &[DIALECTS],
    usage: "redis://[[USER]:PASSWORD@]HOST[:PORT][,...][/DATABASE], redis+unix:///PATH, redis+sentinel://HOST[,...]/MASTER",
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

struct Redis {
    servers: Vec<Server>,
    first: usize,
}

/// One server of the list, or one Sentinel.
struct Server {
    endpoint: Endpoint,
    target: Arc<Target>,
}

fn build(spec: &Spec) -> Result<Box<dyn Probe>, ConfigError> {
    let target = Arc::new(Target::from_spec(spec)?);
    let server =
        |endpoint: &Endpoint| Server { endpoint: endpoint.clone(), target: Arc::clone(&target) };
    Ok(Box::new(Redis { servers: target.servers.iter().map(server).collect(), first: 0 }))
}

impl Probe for Redis {
    fn attempt<'a>(&'a mut self, attempt: &'a Attempt<'a>) -> AttemptFuture<'a> {
        Box::pin(try_servers(attempt, &self.servers, &mut self.first, |attempt, server| {
            Box::pin(
                async move { server.ask(attempt).await.map_or_else(Verdict::from, Verdict::Ready) },
            )
        }))
    }

    fn is_local(&self) -> bool {
        self.servers.iter().all(|server| server.endpoint.is_local())
    }
}

impl Server {
    async fn ask(&self, attempt: &Attempt<'_>) -> Result<String, Failure> {
        match &self.target.sentinel {
            Some(sentinel) => sentinel::ask(attempt, &self.target, sentinel, &self.endpoint).await,
            None => session::ask(attempt, &self.target, &self.endpoint).await,
        }
    }
}

#[cfg(test)]
mod tests;
