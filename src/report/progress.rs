//! What is known of each dependency, and what was said of it: when a line is due.

use std::time::{Duration, Instant};

use super::ReportedDependency;
use crate::{
    probe::{Class, Failure},
    wait::event::{Event, EventKind},
};

/// At most one line per dependency in this time, where only the class changes.
const CHANGES_AT_MOST_EVERY: Duration = Duration::from_secs(1);
/// While nothing changes, a line in this time.
const STILL_WAITING_EVERY: Duration = Duration::from_secs(10);

/// How far one dependency's wait has come, for whoever shows it.
pub struct Progress {
    pub subject: ReportedDependency,
    /// Ready, proceeded past, or what ended the wait.
    pub settled: bool,
    /// The newest failure, and the event that told of it.
    pub last: Option<(Failure, Event)>,
    said: Option<(Class, Instant)>,
}

impl Progress {
    /// One for each dependency, in the plan's order.
    pub fn of(subjects: Vec<ReportedDependency>) -> Vec<Self> {
        subjects
            .into_iter()
            .map(|subject| Self { subject, settled: false, last: None, said: None })
            .collect()
    }

    /// Takes an event in.
    pub fn note(&mut self, event: &Event) {
        match &event.what {
            EventKind::NotYet(failure) | EventKind::Lost(failure) => {
                self.settled = false;
                self.last = Some((failure.clone(), event.clone()));
            }
            EventKind::Ready(_)
            | EventKind::Confirmed
            | EventKind::TimedOut(_)
            | EventKind::Proceeded(_)
            | EventKind::Hopeless(_) => self.settled = true,
        }
    }

    /// Whether a line is due: the first failure, a change of class, or a long time without one.
    pub fn is_due(&self, now: Instant) -> bool {
        let Some((failure, _)) = self.last.as_ref().filter(|_| !self.settled) else { return false };
        match self.said {
            None => true,
            Some((class, at)) if class != failure.class => now - at >= CHANGES_AT_MOST_EVERY,
            Some((_, at)) => now - at >= STILL_WAITING_EVERY,
        }
    }

    /// Remembers that the newest failure was said.
    pub fn said(&mut self, now: Instant) {
        self.said = self.last.as_ref().map(|(failure, _)| (failure.class, now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::settings::Timeout;

    #[test]
    fn a_line_is_due_at_first_then_on_a_change_then_now_and_then() {
        let subject = ReportedDependency { name: "db".to_owned(), timeout: Timeout::Never };
        let mut progress = Progress::of(vec![subject]).remove(0);
        let start = Instant::now();
        let mut seen = Vec::new();
        for (at, class) in [
            (0, Class::Connect),
            (100, Class::Busy),
            (900, Class::Busy),
            (1000, Class::Busy),
            (1100, Class::Connect),
            (2000, Class::Connect),
            (11_900, Class::Connect),
            (12_000, Class::Connect),
        ] {
            let what = EventKind::NotYet(Failure::new(class, "x"));
            progress.note(&Event { dependency: 0, what, attempts: 1, elapsed: Duration::ZERO });
            let now = start + Duration::from_millis(at);
            if progress.is_due(now) {
                progress.said(now);
                seen.push(at);
            }
        }
        assert_eq!(seen, [0, 1000, 2000, 12_000]);
    }
}
