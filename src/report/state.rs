//! The state of every dependency. Log, live view, table and systemd's status show it.

use std::time::{Duration, Instant};

use super::schedule::{Due, Schedule};
use crate::{
    probe::{Failure, Ready},
    wait::{
        Needs,
        event::{Event, EventKind},
        settings::Timeout,
    },
};

/// The time after which a line reports a dependency that waits for others.
const BLOCKED_LINE: Duration = Duration::from_secs(1);

/// The facts of a dependency that the report needs before the wait.
#[derive(Clone, Debug)]
pub struct ReportedDependency {
    /// Its name in messages.
    pub name: String,
    /// The timeout of its wait.
    pub timeout: Timeout,
    /// The dependencies that come first, by their place in the plan.
    pub after: Vec<usize>,
    /// The rule for `after`: all of them, or one.
    pub needs: Needs,
}

/// The state of the whole wait.
pub(super) struct WaitState {
    pub began: Instant,
    /// The timeout of everything that still waits.
    deadline: Option<Duration>,
    pub dependencies: Vec<DependencyState>,
    /// The number of dependencies whose clock has not started.
    blocked: usize,
    /// The dependency that became ready last.
    last_ready: Option<usize>,
    /// The time at which the first dependency was lost again. All of these waits together have one
    /// timeout.
    waited_again: Option<Instant>,
}

/// The state of one dependency.
pub(super) struct DependencyState {
    pub name: String,
    pub timeout: Timeout,
    after: Vec<usize>,
    needs: Needs,
    /// The start of its clock; `None` while it waits for others.
    pub started: Option<Instant>,
    /// The start of its timeout.
    counts_from: Option<Instant>,
    /// The newest failure.
    pub failure: Option<Event>,
    /// The last failure of another class than the newest one's.
    pub failure_before: Option<Event>,
    /// The end of its wait: ready, proceeded past, timed out, hopeless.
    pub outcome: Option<Event>,
    schedule: Schedule,
    is_blocked_line_printed: bool,
}

/// The time that a dependency has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    OneAttempt,
    NoLimit,
    Time(Duration),
}

/// The content of a line about a dependency that is not ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Its newest failure.
    Failure(Due),
    /// The dependencies that it waits for.
    Blocked,
}

impl WaitState {
    pub(super) fn new(dependencies: Vec<ReportedDependency>, deadline: Option<Duration>) -> Self {
        let began = Instant::now();
        let dependencies = dependencies.into_iter().map(|reported| {
            let started = reported.after.is_empty().then_some(began);
            DependencyState {
                name: reported.name,
                timeout: reported.timeout,
                after: reported.after,
                needs: reported.needs,
                started,
                counts_from: started,
                failure: None,
                failure_before: None,
                outcome: None,
                schedule: Schedule::default(),
                is_blocked_line_printed: false,
            }
        });
        let dependencies: Vec<DependencyState> = dependencies.collect();
        let blocked = dependencies.iter().filter(|state| state.started.is_none()).count();
        Self { began, deadline, dependencies, blocked, last_ready: None, waited_again: None }
    }

    /// Applies an event. Returns the dependencies whose clock it starts.
    pub(super) fn note(&mut self, event: &Event, now: Instant) -> Vec<usize> {
        let dependency = &mut self.dependencies[event.dependency];
        match &event.kind {
            EventKind::NotYet(_) => dependency.failed(event),
            EventKind::Lost(_) => {
                dependency.failed(event);
                dependency.outcome = None;
                dependency.counts_from = Some(*self.waited_again.get_or_insert(now));
            }
            // The earlier outcome names the server that replied.
            EventKind::Confirmed => {}
            EventKind::Ready(_) => {
                dependency.outcome = Some(event.clone());
                self.last_ready = Some(event.dependency);
            }
            EventKind::TimedOut(_)
            | EventKind::Proceeded(_)
            | EventKind::Hopeless(_)
            | EventKind::NotNeeded => {
                dependency.outcome = Some(event.clone());
            }
        }
        self.start_unblocked(now)
    }

    fn start_unblocked(&mut self, now: Instant) -> Vec<usize> {
        if self.blocked == 0 {
            return Vec::new();
        }
        let places = 0..self.dependencies.len();
        let free = |&place: &usize| {
            self.dependencies[place].started.is_none() && self.blockers(place).next().is_none()
        };
        let started: Vec<usize> = places.filter(free).collect();
        self.blocked -= started.len();
        for &place in &started {
            self.dependencies[place].started = Some(now);
            self.dependencies[place].counts_from = Some(now);
        }
        started
    }

    /// Returns the dependencies that one still waits for before its own clock starts.
    fn blockers(&self, place: usize) -> impl Iterator<Item = &DependencyState> {
        let dependency = &self.dependencies[place];
        let after = if dependency.started.is_none() { dependency.after.as_slice() } else { &[] };
        let mut first = after.iter().map(|&first| &self.dependencies[first]);
        let has_one = dependency.needs == Needs::One && first.any(|first| first.ready().is_some());
        let first = after.iter().map(|&first| &self.dependencies[first]);
        first.filter(move |first| !has_one && !first.is_passed())
    }

    /// Returns the names of the dependencies that one still waits for.
    pub(super) fn blocked_by(&self, place: usize) -> Vec<&str> {
        self.blockers(place).map(|first| first.name.as_str()).collect()
    }

    /// Returns the places of all dependencies that still wait, in the plan's order.
    pub(super) fn waiting(&self) -> impl Iterator<Item = usize> {
        (0..self.dependencies.len()).filter(|&place| self.dependencies[place].is_waiting())
    }

    /// Returns the line that is due for a dependency, if any.
    pub(super) fn due(&self, place: usize, now: Instant) -> Option<Line> {
        let dependency = &self.dependencies[place];
        if !dependency.is_waiting() {
            return None;
        }
        let Some(started) = dependency.started else {
            let is_due = !dependency.is_blocked_line_printed && now - self.began >= BLOCKED_LINE;
            return is_due.then_some(Line::Blocked);
        };
        let class = dependency.newest_failure()?.class;
        dependency.schedule.due(class, now - started).map(Line::Failure)
    }

    /// Records that a line was printed.
    pub(super) fn printed(&mut self, place: usize, now: Instant) {
        let dependency = &mut self.dependencies[place];
        let class = dependency.newest_failure().map(|failure| failure.class);
        match (dependency.started, class) {
            (None, _) => dependency.is_blocked_line_printed = true,
            (Some(started), Some(class)) => dependency.schedule.printed(class, now - started),
            (Some(_), None) => {}
        }
    }

    /// Returns the time that a dependency has left at `now`, within the deadline.
    pub(super) fn left(&self, place: usize, now: Instant) -> Left {
        let dependency = &self.dependencies[place];
        let counted = now - dependency.counts_from.unwrap_or(now);
        let own = match dependency.timeout {
            Timeout::Once => return Left::OneAttempt,
            Timeout::After(timeout) => Some(timeout.saturating_sub(counted)),
            Timeout::Never => None,
        };
        let deadline = self.deadline.map(|deadline| deadline.saturating_sub(now - self.began));
        own.into_iter().chain(deadline).min().map_or(Left::NoLimit, Left::Time)
    }

    /// Returns the dependency that became ready last, if there were several.
    pub(super) fn last_ready(&self) -> Option<&DependencyState> {
        let last = self.last_ready.filter(|_| self.dependencies.len() > 1)?;
        Some(&self.dependencies[last])
    }

    /// Returns the names of the dependencies that were proceeded past.
    pub(super) fn proceeded(&self) -> Vec<&str> {
        let proceeded = self.dependencies.iter().filter(|dependency| {
            let kind = dependency.outcome.as_ref().map(|event| &event.kind);
            matches!(kind, Some(EventKind::Proceeded(_)))
        });
        proceeded.map(|dependency| dependency.name.as_str()).collect()
    }
}

impl DependencyState {
    fn failed(&mut self, event: &Event) {
        let class = |event: &Event| event.kind.failure().map(|failure| failure.class);
        let last = self.failure.replace(event.clone());
        if let Some(last) = last.filter(|last| class(last) != class(event)) {
            self.failure_before = Some(last);
        }
    }

    /// Returns true if its wait goes on.
    pub(super) fn is_waiting(&self) -> bool {
        self.outcome.is_none()
    }

    /// Returns true if the dependencies after it may start: it is ready, was proceeded past, or is
    /// not needed.
    pub(super) fn is_passed(&self) -> bool {
        let kind = self.outcome.as_ref().map(|event| &event.kind);
        matches!(kind, Some(EventKind::Ready(_) | EventKind::Proceeded(_) | EventKind::NotNeeded))
    }

    /// Returns the report of the attempt that found it ready.
    pub(super) fn ready(&self) -> Option<&Ready> {
        match self.outcome.as_ref().map(|event| &event.kind) {
            Some(EventKind::Ready(ready)) => Some(ready),
            _ => None,
        }
    }

    /// Returns the newest failure without its time.
    pub(super) fn newest_failure(&self) -> Option<&Failure> {
        self.failure.as_ref().and_then(|event| event.kind.failure())
    }

    /// Records the hint of this failure as printed. Returns true if it is new for its class.
    pub(super) fn is_new_hint(&mut self, failure: &Failure) -> bool {
        let hint = failure.hint.as_deref();
        hint.is_some_and(|hint| self.schedule.is_new_hint(failure.class, hint))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::{Class, Ready};

    const NONE: [usize; 0] = [];

    fn event(dependency: usize, kind: EventKind) -> Event {
        Event { dependency, kind, attempts: 1, elapsed: Duration::ZERO }
    }

    fn dependency(name: &str, after: &[usize]) -> ReportedDependency {
        let timeout = Timeout::After(Duration::from_secs(60));
        let (name, after) = (name.to_owned(), after.to_vec());
        ReportedDependency { name, timeout, after, needs: Needs::All }
    }

    #[test]
    fn the_clock_behind_after_starts_when_the_others_are_ready() {
        let plan = vec![dependency("schema", &[1, 2]), dependency("db", &[]), dependency("n", &[])];
        let mut state = WaitState::new(plan, None);
        let [one, five, nine] = [1, 5, 9].map(|n| state.began + Duration::from_secs(n));
        assert_eq!(state.blocked_by(0), ["db", "n"]);
        assert_eq!(state.due(0, one), Some(Line::Blocked));
        state.printed(0, one);
        assert_eq!(state.due(0, five), None);
        assert_eq!(state.note(&event(1, EventKind::Ready(Ready::new("x"))), one), NONE);
        assert_eq!(state.blocked_by(0), ["n"]);
        assert_eq!(state.note(&event(2, EventKind::Proceeded(None)), five), [0]);
        assert_eq!(state.left(0, nine), Left::Time(Duration::from_secs(56)));
        let failure = Failure::new(Class::Absent, "x");
        assert_eq!(state.note(&event(0, EventKind::NotYet(failure)), five), NONE);
        assert_eq!(state.due(0, five), Some(Line::Failure(Due::First)));
        assert_eq!(state.proceeded(), ["n"]);
    }

    #[test]
    fn a_failed_wait_starts_no_clock() {
        for kind in [EventKind::TimedOut(None), EventKind::Hopeless(Failure::new(Class::Tls, "x"))]
        {
            let mut state =
                WaitState::new(vec![dependency("db", &[]), dependency("n", &[0])], None);
            let now = state.began;
            assert_eq!(state.note(&event(0, kind), now), NONE);
            assert_eq!(state.blocked_by(1), ["db"]);
        }
    }

    #[test]
    fn the_deadline_limits_what_is_left() {
        let plan = vec![ReportedDependency { timeout: Timeout::Never, ..dependency("db", &[]) }];
        let at =
            |state: &WaitState, seconds| state.left(0, state.began + Duration::from_secs(seconds));
        assert_eq!(at(&WaitState::new(plan.clone(), None), 1), Left::NoLimit);
        let state = WaitState::new(plan, Some(Duration::from_secs(10)));
        assert_eq!(at(&state, 4), Left::Time(Duration::from_secs(6)));
        assert_eq!(at(&state, 11), Left::Time(Duration::ZERO));
    }
}
