//! What the waiter tells the world. Events go out, a value comes back; nobody prints amid the work.

use std::time::Duration;

use crate::probe::Failure;

/// Something that happened to one dependency.
#[derive(Clone, Debug)]
pub struct Event {
    /// Its place in the plan.
    pub dependency: usize,
    /// What happened.
    pub what: EventKind,
    /// Attempts so far.
    pub attempts: u32,
    /// Since its own clock started.
    pub elapsed: Duration,
}

/// What can happen to a dependency.
#[derive(Clone, Debug)]
pub enum EventKind {
    /// An attempt found it not ready; it will be asked again.
    NotYet(Failure),
    /// It is ready; the text says what answered.
    Ready(String),
    /// It was ready, and the confirming round found that it still is.
    Confirmed,
    /// It was ready, and the confirming round found that it is not any more.
    Lost(Failure),
    /// It was not ready in time; `None` if no attempt came to an end.
    TimedOut(Option<Failure>),
    /// It was not ready in time, and the wait goes on without it.
    Proceeded(Option<Failure>),
    /// It cannot become ready.
    Hopeless(Failure),
}

impl EventKind {
    /// The failure that the event reports, if any.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            EventKind::NotYet(failure)
            | EventKind::Lost(failure)
            | EventKind::Hopeless(failure) => Some(failure),
            EventKind::TimedOut(failure) | EventKind::Proceeded(failure) => failure.as_ref(),
            EventKind::Ready(_) | EventKind::Confirmed => None,
        }
    }
}

/// How the wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Everything is ready or was proceeded past.
    Ready,
    /// Something was not ready in time.
    TimedOut,
    /// Something cannot become ready.
    Hopeless,
    /// A signal came.
    Signal(i32),
}
