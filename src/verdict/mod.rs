//! The verdict of one attempt, and its failure.

mod message;
mod stage;

use std::{
    fmt, io,
    net::SocketAddr,
    ops::{Deref, DerefMut},
    sync::Arc,
    time::Duration,
};

pub use message::Message;
pub use stage::Stage;

use crate::os::describe;

/// The verdict of one attempt.
#[derive(Debug)]
pub enum Verdict {
    /// The dependency is ready.
    Ready(Ready),
    /// Not ready, but the other side can still mend it.
    NotYet(Failure),
    /// Wrong on our side: no further attempt can succeed.
    Hopeless(Failure),
}

impl Verdict {
    /// Ready; `detail` names what answered, e.g. `PostgreSQL 15.18`.
    pub fn ready(detail: impl Into<String>) -> Self {
        Verdict::Ready(Ready::new(detail))
    }
}

/// The report of an attempt that found the dependency ready.
#[derive(Clone, Debug)]
pub struct Ready {
    /// The text that names what answered, e.g. `PostgreSQL 15.18`. One line, no secret.
    pub detail: String,
    /// The migrations that earlier attempts found missing. Zero if nothing was missing.
    pub awaited_migrations: usize,
}

impl Ready {
    /// A report that nothing was missing before.
    pub fn new(detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), awaited_migrations: 0 }
    }
}

/// The reason why an attempt did not find the dependency ready.
///
/// A failure is one pointer. Its fields take some 150 bytes, which every `?` between the server and
/// the verdict would copy: a tenth of the kinds' code. The engine and the report keep the same
/// failure, so its copies share the fields.
#[derive(Clone, Debug)]
pub struct Failure(Arc<Reason>);

/// The fields of a [`Failure`].
#[derive(Clone, Debug)]
pub struct Reason {
    /// The class of the failure. `fail-fast` and the pace depend on it.
    pub class: Class,
    /// The message, with the other side's own words if there are any: one line, no control
    /// characters, no secret.
    pub message: Message,
    /// A possible meaning of an ambiguous state, for the operator.
    pub hint: Option<String>,
    /// The earliest time to ask again that the server named.
    pub retry_after: Option<Duration>,
    /// The attempt's cost to the other side.
    pub cost: Cost,
    /// True if the failure shows that no server is there, which fulfils `until=down`.
    pub means_down: bool,
    /// No later attempt can succeed, whatever the class.
    pub is_final: bool,
    /// The line that the server sent in clear where a TLS handshake was wanted.
    pub plaintext_reply: Option<String>,
}

impl Failure {
    /// A failure with the cost that is usual for its class. The message is cut to one harmless
    /// line.
    pub fn new(class: Class, message: impl Into<String>) -> Self {
        Self::of_text(class, message.into())
    }

    /// The failure of an address that refuses connections.
    pub fn refused(by: SocketAddr) -> Self {
        Self::of(Class::Connect, Message::refused(by)).means_down()
    }

    // Compiled once for all types of texts, and called in hundreds of places.
    #[inline(never)]
    fn of_text(class: Class, message: String) -> Self {
        Self::of(class, Message::from(message).one_line())
    }

    fn of(class: Class, message: Message) -> Self {
        let cost = match class {
            Class::Dns | Class::Connect | Class::Timeout | Class::Local => Cost::Nothing,
            Class::Auth => Cost::Logged,
            _ => Cost::Answer,
        };
        Self(Arc::new(Reason {
            class,
            message,
            hint: None,
            retry_after: None,
            cost,
            means_down: false,
            is_final: false,
            plaintext_reply: None,
        }))
    }

    /// Changes fields, e.g. `failure.with(|reason| reason.means_down = false)`.
    pub fn with(mut self, change: impl FnOnce(&mut Reason)) -> Self {
        change(&mut self);
        self
    }

    /// A limit of this process or this machine; `doing` is what could not be done, e.g. `looking up
    /// db`.
    pub fn local(error: &io::Error, doing: impl fmt::Display) -> Self {
        Self::new(Class::Local, format!("a limit of this process: {} ({doing})", describe(error)))
    }

    /// Adds what the state may mean.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds a hint, if there is one.
    pub fn with_hint(self, hint: Option<&str>) -> Self {
        match hint {
            Some(hint) => self.hint(hint),
            None => self,
        }
    }

    /// Sets the cost, where it differs from what is usual for the class.
    pub fn cost(mut self, cost: Cost) -> Self {
        self.cost = cost;
        self
    }

    /// Marks a failure that shows that nothing is there: refused, unreachable, no such name, file
    /// or socket.
    pub fn means_down(mut self) -> Self {
        self.means_down = true;
        self
    }

    /// Marks a failure that no later attempt can mend, e.g. a sandbox that forbids sockets.
    pub fn is_final(mut self) -> Self {
        self.is_final = true;
        self
    }

    /// The verdict of an attempt that ended with this failure: hopeless for an error on our side,
    /// else not yet.
    pub fn verdict(self) -> Verdict {
        match self.class {
            Class::Config => Verdict::Hopeless(self),
            _ if self.is_final => Verdict::Hopeless(self),
            _ => Verdict::NotYet(self),
        }
    }
}

impl Deref for Failure {
    type Target = Reason;

    fn deref(&self) -> &Reason {
        &self.0
    }
}

impl DerefMut for Failure {
    fn deref_mut(&mut self) -> &mut Reason {
        Arc::make_mut(&mut self.0)
    }
}

impl From<Failure> for Verdict {
    fn from(failure: Failure) -> Self {
        failure.verdict()
    }
}

/// The classes of failures, in the order in which an attempt meets them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// A limit of this process or machine (descriptors, memory, ports, addresses): ours, never the
    /// dependency's.
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
    /// The server replies that it cannot serve now.
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

/// An attempt's cost to the other side. Pauses grow with it.
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
