//! The events of a wait, for the report. The engine emits them and prints nothing.

use std::time::Duration;

use crate::probe::{Failure, Ready};

/// Something that happened to one dependency.
#[derive(Clone, Debug)]
pub struct Event {
    /// Its place in the plan.
    pub dependency: usize,
    /// The kind of event.
    pub kind: EventKind,
    /// Attempts so far.
    pub attempts: u32,
    /// Time since its own clock started.
    pub elapsed: Duration,
}

/// The kinds of events.
#[derive(Clone, Debug)]
pub enum EventKind {
    /// An attempt failed; a retry follows.
    NotYet(Failure),
    /// An attempt found it ready.
    Ready(Ready),
    /// The confirming round found it still ready.
    Confirmed,
    /// The confirming round found it no longer ready; a retry follows.
    Lost(Failure),
    /// Its time is up. The last failure; `None` if no attempt came to an end.
    TimedOut(Option<Failure>),
    /// Its time is up, and the wait goes on without it.
    Proceeded(Option<Failure>),
    /// No retry can succeed.
    Hopeless(Failure),
    /// Another one of several is ready, and one is enough.
    NotNeeded,
}

impl EventKind {
    /// The failure that the event reports, if any.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            EventKind::NotYet(failure)
            | EventKind::Lost(failure)
            | EventKind::Hopeless(failure) => Some(failure),
            EventKind::TimedOut(failure) | EventKind::Proceeded(failure) => failure.as_ref(),
            EventKind::Ready(_) | EventKind::Confirmed | EventKind::NotNeeded => None,
        }
    }
}

/// How the wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Everything is ready or was proceeded past.
    Ready,
    /// A dependency was not ready in time.
    TimedOut,
    /// A dependency cannot become ready.
    Hopeless,
    /// A signal with this number arrived.
    Signal(i32),
}
