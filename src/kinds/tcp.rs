//! `tcp:` — the server accepts a connection, which with `hold` stays open. The weakest check.

use std::time::Duration;

use tokio::{io::AsyncReadExt, time::timeout};

use crate::{
    connect::Endpoint,
    probe::{Attempt, AttemptFuture, Class, Failure, Probe, Verdict},
    spec::{ConfigError, Key, Kind, Spec},
    text::short_time,
    wait::settings::duration,
};

/// The kind.
pub static KIND: Kind = Kind {
    name: "tcp",
    schemes: &["tcp"],
    usage: "tcp://HOST:PORT, HOST:PORT",
    summary: "a connection is accepted",
    keys: &[&[Key {
        name: "hold",
        value: "DURATION",
        help: "the connection must still be open after this time: some proxies accept and close",
    }]],
    build,
    ..Kind::DEFAULT
};

struct Tcp {
    endpoint: Endpoint,
    hold: Option<Duration>,
}

fn build(spec: &Spec) -> Result<Box<dyn Probe>, ConfigError> {
    let parts = spec.parts()?;
    if parts.userinfo.is_some() || parts.path.raw().len() > 1 || parts.query.is_some() {
        return Err(spec.error("tcp: takes a host and a port and nothing else"));
    }
    let hold = spec.key("hold").map(duration).transpose();
    let hold = hold.map_err(|message| spec.key_error("hold", message))?;
    let server = spec.server(&parts.servers)?;
    match server.port {
        Some(port) if !server.host.is_empty() => {
            Ok(Box::new(Tcp { endpoint: Endpoint::Tcp(server.host, port), hold }))
        }
        _ => Err(spec.error("tcp: needs a host and a port, e.g. tcp://cache:6379")),
    }
}

impl Probe for Tcp {
    fn attempt<'a>(&'a mut self, attempt: &'a Attempt<'a>) -> AttemptFuture<'a> {
        Box::pin(async { self.ask(attempt).await.map_or_else(Verdict::from, Verdict::ready) })
    }

    fn is_local(&self) -> bool {
        self.endpoint.is_local()
    }

    fn least_time(&self) -> Option<(&'static str, Duration)> {
        self.hold.map(|hold| ("hold", hold))
    }
}

impl Tcp {
    async fn ask(&self, attempt: &Attempt<'_>) -> Result<String, Failure> {
        match self.hold {
            None => {
                attempt.reach(&self.endpoint).await?;
                Ok("accepts connections".to_owned())
            }
            // Boxed, because every other attempt would reserve memory for its buffer.
            Some(hold) => Box::pin(self.stays_open(attempt, hold)).await,
        }
    }

    async fn stays_open(&self, attempt: &Attempt<'_>, hold: Duration) -> Result<String, Failure> {
        let mut stream = attempt.connect(&self.endpoint).await?;
        attempt.stage(format!(
            "connected to {}, but not yet for {}",
            self.endpoint,
            short_time(hold)
        ));
        match timeout(hold, read_to_end(&mut stream)).await {
            Err(_) => Ok(format!("accepts connections, still open after {}", short_time(hold))),
            Ok(()) => Err(Failure::new(
                Class::Connect,
                format!(
                    "connection accepted, and closed within {} ({})",
                    short_time(hold),
                    self.endpoint
                ),
            )),
        }
    }
}

/// Reads until the server closes, because some servers send first.
async fn read_to_end(stream: &mut (impl AsyncReadExt + Unpin)) {
    let mut discarded = [0; 4096];
    while stream.read(&mut discarded).await.is_ok_and(|read| read > 0) {}
}
