//! `tcp:` — a connection is accepted. The floor: it says that somebody listens, and nothing more.

use crate::{
    connect::Endpoint,
    probe::{Attempt, AttemptFuture, Probe, Verdict},
    spec::{ConfigError, Kind, Spec},
};

/// The kind.
pub static KIND: Kind = Kind {
    name: "tcp",
    schemes: &["tcp"],
    usage: "tcp://HOST:PORT, HOST:PORT",
    summary: "a connection is accepted",
    keys: &[],
    build,
    ..Kind::DEFAULT
};

struct Tcp {
    endpoint: Endpoint,
}

fn build(spec: &Spec) -> Result<Box<dyn Probe>, ConfigError> {
    let parts = spec.parts()?;
    if parts.userinfo.is_some() || parts.path.raw().len() > 1 || parts.query.is_some() {
        return Err(spec.error("tcp: takes a host and a port and nothing else"));
    }
    let server = spec.server(&parts.servers)?;
    match server.port {
        Some(port) if !server.host.is_empty() => {
            Ok(Box::new(Tcp { endpoint: Endpoint::Tcp(server.host, port) }))
        }
        _ => Err(spec.error("tcp: needs a host and a port, e.g. tcp://cache:6379")),
    }
}

impl Probe for Tcp {
    fn attempt<'a>(&'a mut self, attempt: &'a Attempt<'a>) -> AttemptFuture<'a> {
        Box::pin(async {
            match attempt.connect(&self.endpoint).await {
                Ok(_) => Verdict::Ready("accepts connections".to_owned()),
                Err(failure) => failure.verdict(),
            }
        })
    }

    fn is_local(&self) -> bool {
        self.endpoint.is_local()
    }
}
