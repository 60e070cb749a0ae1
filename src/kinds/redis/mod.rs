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

use crate::{
    probe::{Attempt, AttemptFuture, Probe, Verdict, try_servers},
    spec::{ConfigError, Kind, Spec},
    tls::KEYS as TLS_KEYS,
};
use target::{KEYS, Target};

/// The kind.
pub static KIND: Kind = Kind {
    name: "redis",
    schemes: &["redis", "rediss", "valkey", "valkeys", "redis+unix", "redis+sentinel", "rediss+sentinel"],
    usage: "redis://[[USER]:PASSWORD@]HOST[:PORT][,...][/DATABASE], redis+unix://PATH, redis+sentinel://HOST[,...]/MASTER",
    summary: "PONG, not loading, a replica linked, a cluster that covers its slots",
    keys: &[KEYS, TLS_KEYS],
    build,
};

struct Redis {
    target: Target,
    first: usize,
}

fn build(spec: &Spec) -> Result<Box<dyn Probe>, ConfigError> {
    Ok(Box::new(Redis { target: Target::from_spec(spec)?, first: 0 }))
}

impl Probe for Redis {
    fn attempt<'a>(&'a mut self, attempt: &'a Attempt<'a>) -> AttemptFuture<'a> {
        let Self { target, first } = self;
        let target = &*target;
        Box::pin(async move {
            try_servers(attempt, &target.servers, first, |attempt, server| {
                Box::pin(async move {
                    let asked = match &target.sentinel {
                        Some(sentinel) => sentinel::ask(attempt, target, sentinel, server).await,
                        None => session::ask(attempt, target, server).await,
                    };
                    asked.map_or_else(Verdict::from, Verdict::Ready)
                })
            })
            .await
        })
    }

    fn is_local(&self) -> bool {
        self.target.is_local()
    }
}

#[cfg(test)]
mod tests;
