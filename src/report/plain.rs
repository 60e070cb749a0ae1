//! Plain lines: the first failure at once, then a line when the class changes, then one every 10 s, then the end.

use std::time::{Duration, Instant};

use super::{Verbosity, described, elapsed_text, last_line, line};
use crate::{
    event::{End, Event, What},
    probe::{Class, Failure},
    signals,
    wait::Listener,
};

/// At most one line per dependency in this time, where only the class changes.
const CHANGES_AT_MOST_EVERY: Duration = Duration::from_secs(1);
/// While nothing changes, a line in this time.
const STILL_WAITING_EVERY: Duration = Duration::from_secs(10);

/// What is known of each dependency, and what was said of it.
pub struct Plain {
    verbosity: Verbosity,
    dependencies: Vec<State>,
}

struct State {
    name: String,
    settled: bool,
    /// The newest failure that was not said yet, or was said long ago.
    last: Option<(Failure, Event)>,
    said: Option<(Class, Instant)>,
}

impl Plain {
    /// A report on dependencies of these names.
    pub fn new(names: impl IntoIterator<Item = String>, verbosity: Verbosity) -> Self {
        let dependencies = names.into_iter().map(|name| State { name, settled: false, last: None, said: None }).collect();
        Self { verbosity, dependencies }
    }

    /// Says how the wait ended, where the events did not say it all.
    pub fn end(&self, end: End) {
        let waiting = || self.dependencies.iter().filter(|state| !state.settled);
        match end {
            End::Ready => {}
            End::TimedOut | End::Hopeless => {
                for state in waiting() {
                    match &state.last {
                        Some((failure, event)) => {
                            last_line(&format!("{}: not ready: {}", state.name, described(failure, "attempts", event)));
                        }
                        None => last_line(&format!("{}: not ready: no attempt came to an end", state.name)),
                    }
                }
            }
            End::Signal(signal) => {
                let names: Vec<_> = waiting().map(|state| state.name.as_str()).collect();
                last_line(&format!("ended by {} while waiting for {}", signals::name(signal), names.join(", ")));
            }
        }
    }

    fn not_yet(&mut self, failure: Failure, event: Event) {
        let verbosity = self.verbosity;
        let state = &mut self.dependencies[event.dependency];
        state.last = Some((failure, event));
        match verbosity {
            Verbosity::Quiet => {}
            Verbosity::Verbose => state.say(),
            Verbosity::Normal => state.say_if_due(Instant::now()),
        }
    }

    /// Says what settles a dependency, one way or the other.
    fn settle(&mut self, event: &Event, least: Verbosity, text: &str) {
        let state = &mut self.dependencies[event.dependency];
        state.settled = true;
        if self.verbosity >= least {
            last_line(&format!("{}: {text}", state.name));
        }
    }
}

impl State {
    fn say_if_due(&mut self, now: Instant) {
        let Some((failure, _)) = &self.last else { return };
        let due = match self.said {
            None => true,
            Some((class, at)) if class != failure.class => now - at >= CHANGES_AT_MOST_EVERY,
            Some((_, at)) => now - at >= STILL_WAITING_EVERY,
        };
        if due {
            self.say();
        }
    }

    fn say(&mut self) {
        if let Some((failure, event)) = &self.last {
            line(&format!("{}: waiting: {}", self.name, described(failure, "attempt", event)));
            self.said = Some((failure.class, Instant::now()));
        }
    }
}

impl Listener for Plain {
    fn event(&mut self, event: Event) {
        let or_none = |failure: Option<Failure>| match failure {
            Some(failure) => described(&failure, "attempts", &event),
            None => format!("no attempt came to an end [elapsed={}]", elapsed_text(event.elapsed)),
        };
        match event.what.clone() {
            What::NotYet(failure) => self.not_yet(failure, event),
            What::Lost(failure) => {
                self.dependencies[event.dependency].settled = false;
                self.not_yet(failure, event);
            }
            What::Ready(detail) => {
                let Event { attempts, elapsed, .. } = &event;
                let text = format!("ready: {detail} [attempts={attempts} elapsed={}]", elapsed_text(*elapsed));
                self.settle(&event, Verbosity::Normal, &text);
            }
            What::TimedOut(failure) => self.settle(&event, Verbosity::Quiet, &format!("timed out: {}", or_none(failure))),
            What::Proceeded(failure) => {
                self.settle(&event, Verbosity::Quiet, &format!("going on without it: timed out: {}", or_none(failure)));
            }
            What::Hopeless(failure) => {
                let text = format!("cannot become ready: {}", described(&failure, "attempts", &event));
                self.settle(&event, Verbosity::Quiet, &text);
            }
        }
    }

    fn tick(&mut self) {
        if self.verbosity == Verbosity::Normal {
            let now = Instant::now();
            self.dependencies.iter_mut().filter(|state| !state.settled).for_each(|state| state.say_if_due(now));
        }
    }
}
