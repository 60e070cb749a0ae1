//! Decides when a dependency that is not ready gets its next line. Pure: callers pass the time.

use std::time::Duration;

use crate::probe::Class;

const MINUTE: Duration = Duration::from_secs(60);
/// The time between two lines of different classes.
const CHANGE: Duration = Duration::from_secs(1);

/// The time and the class of the last line. All times count from the start of the dependency's
/// clock.
#[derive(Clone, Debug, Default)]
pub(super) struct Schedule {
    last: Option<(Class, Duration)>,
    /// The classes that had a line.
    classes: Vec<Class>,
    /// The classes whose hint was printed, each with that hint.
    hints: Vec<(Class, String)>,
}

/// The reason why a line is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// The first failure.
    First,
    /// The class differs from that of the last line.
    Change,
    /// The state has not changed for a while.
    Repeat,
}

impl Schedule {
    /// Returns the reason for a line at `now` for a failure of this class, if one is due.
    pub(super) fn due(&self, class: Class, now: Duration) -> Option<Due> {
        let Some((last, at)) = self.last else { return Some(Due::First) };
        let since = now.saturating_sub(at);
        if last == class {
            (since >= between_repeats(now)).then_some(Due::Repeat)
        } else {
            let is_new = !self.classes.contains(&class);
            let at_most_every = if is_new { CHANGE } else { between_returns(now) };
            (since >= at_most_every).then_some(Due::Change)
        }
    }

    /// Records that a line of this class was printed at `now`.
    pub(super) fn printed(&mut self, class: Class, now: Duration) {
        self.last = Some((class, now));
        if !self.classes.contains(&class) {
            self.classes.push(class);
        }
    }

    /// Records `hint` as printed. Returns true if it is new for its class.
    pub(super) fn is_new_hint(&mut self, class: Class, hint: &str) -> bool {
        match self.hints.iter_mut().find(|(known, _)| *known == class) {
            Some((_, known)) if known == hint => false,
            Some((_, known)) => {
                hint.clone_into(known);
                true
            }
            None => {
                self.hints.push((class, hint.to_owned()));
                true
            }
        }
    }
}

/// Returns the time between two lines while nothing changes. Long waits need fewer lines.
fn between_repeats(now: Duration) -> Duration {
    Duration::from_secs(match now {
        now if now < MINUTE => 10,
        now if now < 5 * MINUTE => 30,
        _ => 60,
    })
}

/// Returns the time before a further line of the same class. A server that crashes in a loop
/// returns to the same classes again and again.
fn between_returns(now: Duration) -> Duration {
    if now < MINUTE { CHANGE } else { Duration::from_secs(10) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The times, in milliseconds, at which lines are printed for these failures.
    fn printed(failures: impl IntoIterator<Item = (u64, Class)>) -> Vec<u64> {
        let mut schedule = Schedule::default();
        let is_printed = |(at, class): &(u64, Class)| {
            let now = Duration::from_millis(*at);
            let due = schedule.due(*class, now).is_some();
            if due {
                schedule.printed(*class, now);
            }
            due
        };
        failures.into_iter().filter(is_printed).map(|(at, _)| at).collect()
    }

    #[test]
    fn the_first_failure_and_changes_are_due_at_most_once_a_second() {
        let failures = [
            (0, Class::Connect),
            (100, Class::Busy),
            (900, Class::Busy),
            (1000, Class::Busy),
            (1100, Class::Connect),
            (2000, Class::Connect),
            (11_900, Class::Connect),
            (12_000, Class::Connect),
        ];
        assert_eq!(printed(failures), [0, 1000, 2000, 12_000]);
    }

    #[test]
    fn repeats_become_rarer_with_time() {
        let seconds = printed((0..600).map(|second| (second * 1000, Class::Connect)));
        let seconds: Vec<u64> = seconds.into_iter().map(|at| at / 1000).collect();
        let want =
            [0, 10, 20, 30, 40, 50, 80, 110, 140, 170, 200, 230, 260, 290, 350, 410, 470, 530, 590];
        assert_eq!(seconds, want);
    }

    #[test]
    fn a_crash_loop_gets_few_lines() {
        let classes = [Class::Connect, Class::Busy];
        let failures = (0..600).map(|n| (60_000 + n * 1000, classes[n as usize % 2]));
        // The first class, the second a second later, then one line every 11 s.
        assert_eq!(printed(failures).len(), 2 + 598 / 11);
    }

    #[test]
    fn a_hint_is_new_once_per_class() {
        let mut schedule = Schedule::default();
        let shown = [
            (Class::Auth, "a"),
            (Class::Auth, "a"),
            (Class::Tls, "b"),
            (Class::Auth, "a"),
            (Class::Auth, "c"),
        ];
        let new = shown.map(|(class, hint)| schedule.is_new_hint(class, hint));
        assert_eq!(new, [true, false, true, false, true]);
    }
}
