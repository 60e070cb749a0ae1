//! The contract between a kind of dependency and the rest: what one attempt may say, and how it is asked.

use std::{fmt, future::Future, pin::Pin, time::Duration};

use tokio::time::Instant;

use crate::{
    connect::Net,
    spec::{ConfigError, Spec},
    text::{MAX_FOREIGN, one_line},
};

/// What one attempt found.
#[derive(Debug)]
pub enum Verdict {
    /// The dependency is ready; the text says what answered, e.g. `PostgreSQL 15.18`.
    Ready(String),
    /// Not ready, but the other side can still mend it.
    NotYet(Failure),
    /// Wrong on our side: no further attempt can succeed.
    Hopeless(Failure),
}

/// Why an attempt did not find the dependency ready.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What sort of failure it is; `fail-fast` and the pace go by it.
    pub class: Class,
    /// The other side's own words where there are any: one line, no control characters, no secret.
    pub message: String,
    /// What an ambiguous state may mean, for the person who reads it at night.
    pub hint: Option<String>,
    /// The earliest time to ask again that the server named.
    pub retry_after: Option<Duration>,
    /// What the attempt cost the other side.
    pub cost: Cost,
    /// The failure shows that nobody is there, which is what `until=down` waits for.
    pub gone: bool,
}

impl Failure {
    /// A failure with the cost that is usual for its class. The message is cut to one harmless line.
    pub fn new(class: Class, message: impl AsRef<str>) -> Self {
        let cost = match class {
            Class::Dns | Class::Connect | Class::Timeout | Class::Local => Cost::Nothing,
            Class::Auth => Cost::Logged,
            _ => Cost::Answer,
        };
        Self { class, message: one_line(message.as_ref(), MAX_FOREIGN), hint: None, retry_after: None, cost, gone: false }
    }

    /// Adds what the state may mean.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says what the attempt cost, where it differs from what is usual for the class.
    pub fn cost(mut self, cost: Cost) -> Self {
        self.cost = cost;
        self
    }

    /// Marks a failure that shows that nobody is there: refused, unreachable, no such name, file or socket.
    pub fn gone(mut self) -> Self {
        self.gone = true;
        self
    }

    /// The verdict that follows from the class alone: what is wrong on our side is hopeless, the rest is not yet.
    pub fn verdict(self) -> Verdict {
        match self.class {
            Class::Config => Verdict::Hopeless(self),
            _ => Verdict::NotYet(self),
        }
    }
}

impl From<Failure> for Verdict {
    fn from(failure: Failure) -> Self {
        failure.verdict()
    }
}

/// The sorts of failure, from the one that is met first to the one that is met last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// A limit of this process or machine (descriptors, memory, ports, addresses): ours, never the dependency's.
    Local,
    /// The name does not resolve.
    Dns,
    /// Refused, unreachable, reset, closed before a byte.
    Connect,
    /// The attempt's own bound.
    Timeout,
    /// Handshake refused, certificate not trusted.
    Tls,
    /// Garbage, or another protocol.
    Protocol,
    /// Credentials refused, or a right is missing.
    Auth,
    /// The server answers, and says that it cannot serve now.
    Busy,
    /// The server serves, but what is asked for is not there.
    Absent,
    /// A wanted migration is recorded as failed, and no migrator is at work.
    Failed,
    /// Wrong on our side.
    Config,
}

impl Class {
    /// Every class of a dependency, in the order of the documentation. `Local` is not one of them.
    pub const ALL: [Class; 10] = [
        Class::Dns,
        Class::Connect,
        Class::Timeout,
        Class::Tls,
        Class::Auth,
        Class::Busy,
        Class::Absent,
        Class::Failed,
        Class::Protocol,
        Class::Config,
    ];

    /// The word that messages and `fail-fast` use.
    pub fn name(self) -> &'static str {
        match self {
            Class::Local => "local",
            Class::Dns => "dns",
            Class::Connect => "connect",
            Class::Timeout => "timeout",
            Class::Tls => "tls",
            Class::Protocol => "protocol",
            Class::Auth => "auth",
            Class::Busy => "busy",
            Class::Absent => "absent",
            Class::Failed => "failed",
            Class::Config => "config",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What an attempt cost the other side; the pace is held back accordingly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cost {
    /// No live server answered: a refused connection, an unknown name, silence.
    Nothing,
    /// A live server answered.
    Answer,
    /// A live server went through a login for us.
    Login,
    /// A login, or the refusal of one, that left a line in the server's log.
    Logged,
}

/// What one attempt is given.
pub struct Attempt<'a> {
    /// Names and connections, shared by all dependencies.
    pub net: &'a Net,
    /// When the attempt will be cut, whatever it is doing.
    pub deadline: Instant,
    stage: &'a Stage,
}

/// What an attempt is doing, so that a cut one can still say how far it came.
#[derive(Debug, Default)]
pub struct Stage(std::sync::Mutex<String>);

impl Stage {
    /// The last thing the attempt said that it was doing.
    pub fn take(&self) -> String {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

impl<'a> Attempt<'a> {
    /// An attempt that is cut at `deadline`.
    pub fn new(net: &'a Net, deadline: Instant, stage: &'a Stage) -> Self {
        Self { net, deadline, stage }
    }

    /// The same attempt with an earlier end, for one server of a list.
    pub fn until(&self, deadline: Instant) -> Self {
        Self { deadline: deadline.min(self.deadline), ..*self }
    }

    /// Says what comes next, e.g. `connected to 127.0.0.1:4222, but no NATS INFO`: the message if the attempt is cut there.
    pub fn stage(&self, what: impl Into<String>) {
        *self.stage.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = what.into();
    }

    /// What is left of the attempt.
    pub fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// The failure of an attempt that was cut now.
    pub fn timed_out(&self, bound: Duration) -> Failure {
        let stage = self.stage.take();
        let what = if stage.is_empty() { "no answer" } else { &stage };
        Failure::new(Class::Timeout, format!("{what} within {}", seconds(bound)))
    }
}

/// A duration as messages show it, e.g. `0.2s`, `12.0s`.
pub fn seconds(duration: Duration) -> String {
    if duration < Duration::from_millis(100) {
        format!("{}ms", duration.as_millis())
    } else {
        format!("{:.1}s", duration.as_secs_f64())
    }
}

/// The future of one attempt. It may be dropped at any await and leaves nothing behind.
pub type Attempting<'a> = Pin<Box<dyn Future<Output = Verdict> + Send + 'a>>;

/// One dependency as its kind sees it.
pub trait Probe: Send {
    /// Asks once. Never sleeps, retries or prints. `self` may keep what makes the next attempt cheaper.
    fn attempt<'a>(&'a mut self, attempt: &'a Attempt<'a>) -> Attempting<'a>;

    /// Whether the target is on this machine, so that asking often costs the network nothing.
    fn is_local(&self) -> bool {
        false
    }
}

/// A kind of dependency: what help, man page, completions and the check of keys walk.
pub struct Kind {
    /// The name that messages use.
    pub name: &'static str,
    /// The schemes that it answers to, without the colon; the first is the usual one.
    pub schemes: &'static [&'static str],
    /// How its URL is written, for help.
    pub usage: &'static str,
    /// When it is ready, for help.
    pub summary: &'static str,
    /// The keys of its own, beside the common ones.
    pub keys: &'static [&'static [Key]],
    /// Proves the declaration right and makes the probe. Reads files that the declaration names, opens no connection.
    pub build: fn(&Spec) -> Result<Box<dyn Probe>, ConfigError>,
}

impl Kind {
    /// The kind's own keys.
    pub fn own_keys(&self) -> impl Iterator<Item = &'static Key> {
        self.keys.iter().copied().flatten()
    }
}

/// A key behind the `#`.
pub struct Key {
    /// As it is written.
    pub name: &'static str,
    /// What stands for its value in help, e.g. `PATH`.
    pub value: &'static str,
    /// What it does, for help.
    pub help: &'static str,
}
