//! The contract between a kind of dependency and the rest: one attempt and its verdict.

pub mod json;
pub mod pattern;
pub mod servers;

use std::{future::Future, net::SocketAddr, pin::Pin, time::Duration};

use tokio::{net::UnixStream, time::Instant};

pub use pattern::Pattern;
pub use servers::{ListedServer, Order, Start, Turn, TurnFuture, try_servers};

pub use crate::{
    blocking::{BlockingLane, compute},
    verdict::{Class, Cost, Failure, Message, Ready, Stage, Verdict},
};

#[cfg(feature = "mongodb")]
use crate::connect::{Record, RecordType};
use crate::{
    connect::{Endpoint, Family, Net, Stream},
    text::short_time,
};

/// The means of one attempt: network, deadline and stage.
pub struct Attempt<'a> {
    /// Names and connections, shared by all dependencies.
    pub net: &'a Net,
    /// The time at which the attempt is cut.
    pub deadline: Instant,
    stage: &'a Stage,
}

impl<'a> Attempt<'a> {
    /// An attempt that is cut at `deadline`.
    pub fn new(net: &'a Net, deadline: Instant, stage: &'a Stage) -> Self {
        Self { net, deadline, stage }
    }

    /// Returns this attempt with an earlier deadline, for one server of a list.
    pub fn with_deadline(&self, deadline: Instant) -> Self {
        Self { deadline: deadline.min(self.deadline), ..*self }
    }

    /// Records the next stage, e.g. `connected to 127.0.0.1:4222, but no NATS INFO`: the message if
    /// the attempt is cut there.
    pub fn stage(&self, stage: impl Into<String>) {
        self.stage.set(stage);
    }

    /// Connects to `endpoint`: see [`Net::connect`].
    pub async fn connect(&self, endpoint: &Endpoint) -> Result<Box<dyn Stream>, Failure> {
        self.net.connect(endpoint, self.remaining(), self.stage).await
    }

    /// Connects to `endpoint`, and closes the connection at once: see [`Net::reach`].
    pub async fn reach(&self, endpoint: &Endpoint) -> Result<(), Failure> {
        self.net.reach(endpoint, self.remaining(), self.stage).await
    }

    /// Looks `host` up: see [`Net::addresses`].
    pub async fn addresses(&self, host: &str, family: Family) -> Result<Vec<SocketAddr>, Failure> {
        self.net.addresses(host, family, self.stage).await
    }

    /// Looks up the records of `name`: see [`Net::records`].
    #[cfg(feature = "mongodb")]
    pub async fn records(&self, name: &str, kind: RecordType) -> Result<Vec<Record>, Failure> {
        self.net.records(name, kind, self.stage).await
    }

    /// Connects to a Unix socket, for kinds that check the user of the server: see
    /// [`Net::connect_unix`].
    pub async fn connect_unix(&self, path: &str) -> Result<UnixStream, Failure> {
        self.net.connect_unix(path, self.stage).await
    }

    /// Returns the time that is left for the attempt.
    pub fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// The failure of an attempt that was cut now.
    pub fn timed_out(&self, bound: Duration) -> Failure {
        let stage = self.stage.take();
        let reached = if stage.is_empty() { "no answer" } else { &stage };
        Failure::new(Class::Timeout, format!("{reached} within {}", short_time(bound)))
    }
}

/// The future of one attempt. It may be dropped at any await and leaves nothing behind.
pub type AttemptFuture<'a> = Pin<Box<dyn Future<Output = Verdict> + Send + 'a>>;

/// One dependency as its kind sees it.
pub trait Probe: Send {
    /// Asks once. Never sleeps, retries or prints. `self` may keep what makes the next attempt
    /// cheaper.
    fn attempt<'a>(&'a mut self, attempt: &'a Attempt<'a>) -> AttemptFuture<'a>;

    /// Returns true if the target is on this machine, so that asking often costs the network
    /// nothing.
    fn is_local(&self) -> bool {
        false
    }

    /// Returns the servers that are asked, where the URL may not name them: parameters, variables
    /// and files can.
    fn servers(&self) -> Vec<&Endpoint> {
        Vec::new()
    }

    /// Returns the shortest time of a successful attempt, and the key that demands it.
    fn least_time(&self) -> Option<(&'static str, Duration)> {
        None
    }

    /// Returns true if every attempt, a successful one too, leaves a line in the server's log.
    ///
    /// Such a success is not asked again to confirm it.
    fn leaves_a_trace(&self) -> bool {
        false
    }
}
