//! Plain lines: the first failure at once, then a line when the class changes, then one every 10 s, then the end.

use std::time::Instant;

use super::{
    Report, ReportedDependency, Verbosity, described, described_last, elapsed_text, last_line,
    line, progress::Progress,
};
use crate::{
    signals,
    wait::{
        Listener,
        event::{End, Event, EventKind},
    },
};

/// The report as lines of a log.
pub struct Plain {
    verbosity: Verbosity,
    dependencies: Vec<Progress>,
}

impl Plain {
    pub fn new(subjects: Vec<ReportedDependency>, verbosity: Verbosity) -> Self {
        Self { verbosity, dependencies: Progress::of(subjects) }
    }
}

impl Listener for Plain {
    fn event(&mut self, event: Event) {
        let progress = &mut self.dependencies[event.dependency];
        progress.note(&event);
        match settled_line(&event) {
            Some((least, text)) if self.verbosity >= least => {
                last_line(&format!("{}: {text}", progress.subject.name))
            }
            Some(_) => {}
            None => {
                let now = Instant::now();
                if self.verbosity == Verbosity::Verbose
                    || (self.verbosity == Verbosity::Normal && progress.is_due(now))
                {
                    say(progress, now);
                }
            }
        }
    }

    fn tick(&mut self) {
        if self.verbosity == Verbosity::Normal {
            let now = Instant::now();
            self.dependencies
                .iter_mut()
                .filter(|progress| progress.is_due(now))
                .for_each(|progress| say(progress, now));
        }
    }
}

impl Report for Plain {
    fn end(&mut self, end: End) {
        for text in end_lines(&self.dependencies, end) {
            last_line(&text);
        }
    }

    fn becoming(&mut self, command: &str) {
        if self.verbosity == Verbosity::Verbose {
            line(&format!("becoming {command}"));
        }
    }
}

fn say(progress: &mut Progress, now: Instant) {
    if let Some((failure, event)) = &progress.last {
        line(&format!(
            "{}: waiting: {}",
            progress.subject.name,
            described(failure, "attempt", event)
        ));
    }
    progress.said(now);
}

/// What is said of an event that settles a dependency, and how much must be wanted for it to be said.
pub fn settled_line(event: &Event) -> Option<(Verbosity, String)> {
    match &event.what {
        EventKind::NotYet(_) | EventKind::Lost(_) => None,
        EventKind::Ready(detail) => {
            let elapsed = elapsed_text(event.elapsed);
            Some((
                Verbosity::Normal,
                format!("ready: {detail} [attempts={} elapsed={elapsed}]", event.attempts),
            ))
        }
        EventKind::Confirmed => {
            Some((Verbosity::Verbose, format!("still ready [attempts={}]", event.attempts)))
        }
        EventKind::TimedOut(failure) => Some((
            Verbosity::Quiet,
            format!("timed out: {}", described_last(failure.as_ref(), event)),
        )),
        EventKind::Proceeded(failure) => {
            let last = described_last(failure.as_ref(), event);
            Some((Verbosity::Quiet, format!("going on without it: timed out: {last}")))
        }
        EventKind::Hopeless(failure) => Some((
            Verbosity::Quiet,
            format!("cannot become ready: {}", described(failure, "attempts", event)),
        )),
    }
}

/// What is said at the end of those that were still waited for.
pub fn end_lines(dependencies: &[Progress], end: End) -> Vec<String> {
    let waiting = dependencies.iter().filter(|progress| !progress.settled);
    match end {
        End::Ready => Vec::new(),
        End::TimedOut | End::Hopeless => {
            let of = |progress: &Progress| match &progress.last {
                Some((failure, event)) => described(failure, "attempts", event),
                None => "no attempt came to an end".to_owned(),
            };
            waiting
                .map(|progress| format!("{}: not ready: {}", progress.subject.name, of(progress)))
                .collect()
        }
        End::Signal(signal) => {
            let names: Vec<_> = waiting.map(|progress| progress.subject.name.as_str()).collect();
            let names = if names.is_empty() { "the command".to_owned() } else { names.join(", ") };
            vec![format!("ended by {} while waiting for {names}", signals::name(signal))]
        }
    }
}
