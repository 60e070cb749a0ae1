//! The sentences that log, live view and table share.

use std::time::{Duration, Instant};

use super::{
    Verbosity,
    state::{DependencyState, WaitState},
};
use crate::{
    probe::{Failure, Ready},
    signals,
    text::{one_line, seconds},
    wait::event::{End, Event, EventKind},
};

/// The longest hint, in characters. Hints are ours, but may quote names from outside.
const MAX_HINT: usize = 1_000;

/// The treatment of a failure's hint in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hint {
    Show,
    Omit,
}

/// Returns the lowest verbosity that prints the line of an event; `None` for a failure after which
/// the wait goes on.
pub(super) fn least_verbosity(event: &Event) -> Option<Verbosity> {
    match event.kind {
        EventKind::NotYet(_) | EventKind::Lost(_) => None,
        EventKind::Ready(_) | EventKind::NotNeeded => Some(Verbosity::Normal),
        EventKind::Confirmed => Some(Verbosity::Verbose),
        EventKind::TimedOut(_) | EventKind::Proceeded(_) | EventKind::Hopeless(_) => {
            Some(Verbosity::Quiet)
        }
    }
}

/// Returns the line of an event that ends or renews a dependency's wait, without the dependency's
/// name; `None` for a failure.
pub(super) fn event_line(event: &Event) -> Option<String> {
    let attempts = event.attempts;
    Some(match &event.kind {
        EventKind::NotYet(_) | EventKind::Lost(_) => return None,
        EventKind::Ready(Ready { detail, .. }) => {
            let elapsed = seconds(event.elapsed);
            format!("ready: {detail} [attempts={attempts} elapsed={elapsed}]")
        }
        EventKind::Confirmed => format!("still ready [attempts={attempts}]"),
        EventKind::TimedOut(_) => format!("timed out: {}", last_failure(event)),
        EventKind::Proceeded(_) => {
            format!("going on without it: timed out: {}", last_failure(event))
        }
        EventKind::Hopeless(_) => format!("cannot become ready: {}", last_failure(event)),
        EventKind::NotNeeded => "not needed: another one is ready".to_owned(),
    })
}

/// Returns the line of a failure after which the wait goes on: `waiting: connection refused
/// (127.0.0.1:1) [class=connect attempt=3 elapsed=0.2s]`.
pub(super) fn waiting(failure: &Failure, event: &Event, hint: Hint) -> String {
    format!("waiting: {}", described(failure, "attempt", event, hint))
}

/// Returns the line of a dependency with `after`: `waits for db, nats`.
pub(super) fn waits_for(names: &[&str]) -> String {
    format!("waits for {}", names.join(", "))
}

fn last_failure(event: &Event) -> String {
    match event.kind.failure() {
        Some(failure) => described(failure, "attempts", event, Hint::Show),
        None => format!("no attempt came to an end [elapsed={}]", seconds(event.elapsed)),
    }
}

fn described(failure: &Failure, counted: &str, event: &Event, hint: Hint) -> String {
    let hint = hint_of(failure).filter(|_| hint == Hint::Show);
    let hint = hint.map(|hint| format!(" hint: {hint}")).unwrap_or_default();
    let facts = facts(failure, counted, event);
    format!("{} {facts}{hint}", failure.message)
}

/// Returns the facts of a failure: `[class=connect attempt=3 elapsed=0.2s]`.
fn facts(failure: &Failure, counted: &str, event: &Event) -> String {
    let (class, attempts, elapsed) = (failure.class, event.attempts, seconds(event.elapsed));
    format!("[class={class} {counted}={attempts} elapsed={elapsed}]")
}

/// Returns the hint of a failure, made safe for one line.
pub(super) fn hint_of(failure: &Failure) -> Option<String> {
    failure.hint.as_ref().map(|hint| one_line(hint, MAX_HINT))
}

/// Returns the last lines of the dependencies that still wait.
pub(super) fn end_lines(wait: &WaitState, end: End) -> Vec<String> {
    match end {
        End::Ready => Vec::new(),
        End::TimedOut | End::Hopeless => {
            let line = |place: usize| {
                let dependency = &wait.dependencies[place];
                format!("{}: not ready: {}", dependency.name, reason(wait, place))
            };
            wait.waiting().map(line).collect()
        }
        End::Signal(signal) => {
            let names: Vec<&str> =
                wait.waiting().map(|place| wait.dependencies[place].name.as_str()).collect();
            let names = if names.is_empty() { "the command".to_owned() } else { names.join(", ") };
            vec![format!("ended by {} while waiting for {names}", signals::name(signal))]
        }
    }
}

/// Returns the reason why a dependency that still waits is not ready.
fn reason(wait: &WaitState, place: usize) -> String {
    let blockers = wait.blocked_by(place);
    if !blockers.is_empty() {
        return waits_for(&blockers);
    }
    match &wait.dependencies[place].failure {
        Some(event) => last_failure(event),
        None => "no attempt came to an end".to_owned(),
    }
}

/// Returns the short reason for a status or an annotation: `connection refused (10.0.0.5:5432)`.
pub(super) fn short_reason(wait: &WaitState, place: usize) -> Option<String> {
    let blockers = wait.blocked_by(place);
    if !blockers.is_empty() {
        return Some(waits_for(&blockers));
    }
    let dependency = &wait.dependencies[place];
    let outcome = dependency.outcome.as_ref().and_then(|event| event.kind.failure());
    outcome.or(dependency.newest_failure()).map(|failure| failure.message.to_string())
}

/// Returns a line for each dependency that is not ready: `db: not ready: connection refused`.
pub(super) fn not_ready(wait: &WaitState) -> impl Iterator<Item = String> {
    let line = |(place, dependency): (usize, &DependencyState)| {
        if dependency.is_passed() {
            return None;
        }
        let reason = short_reason(wait, place);
        let reason = reason.unwrap_or_else(|| "no attempt came to an end".to_owned());
        Some(format!("{}: not ready: {reason}", dependency.name))
    };
    wait.dependencies.iter().enumerate().filter_map(line)
}

/// Returns the last line of a wait that succeeded: `ready after 42.3s; schema was last (waited
/// 38.1s for 3 migrations)`.
pub(super) fn done(wait: &WaitState, now: Instant) -> String {
    let total = now - wait.began;
    let proceeded = wait.proceeded();
    let without = match proceeded.as_slice() {
        [] => String::new(),
        names => format!(" without {}", names.join(", ")),
    };
    let last = wait.last_ready().map(|last| {
        let own = last.outcome.as_ref().map_or(total, |event| event.elapsed);
        // A clock that started with ours would repeat the total.
        let is_shorter = total.saturating_sub(own) > Duration::from_millis(200);
        let time = if is_shorter { format!(" {}", seconds(own)) } else { String::new() };
        let migrations = match last.ready().map_or(0, |ready| ready.awaited_migrations) {
            0 => String::new(),
            1 => " for 1 migration".to_owned(),
            count => format!(" for {count} migrations"),
        };
        match (time.as_str(), migrations.as_str()) {
            ("", "") => format!("; {} was last", last.name),
            _ => format!("; {} was last (waited{time}{migrations})", last.name),
        }
    });
    format!("ready after {}{without}{}", seconds(total), last.unwrap_or_default())
}
