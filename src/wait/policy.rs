//! Pure decisions: what a verdict means for the wait, and when to ask again. Clock and randomness are handed in.

use std::time::Duration;

use crate::{
    probe::{Class, Cost, Failure, Verdict},
    wait::settings::{Backoff, Settings, Until},
};

/// The shortest pause where the target is on this machine.
const LOCAL_INTERVAL: Duration = Duration::from_millis(10);
/// The shortest pause elsewhere.
const REMOTE_INTERVAL: Duration = Duration::from_millis(50);
/// What polling adds to a wait stays below this share of what was waited anyway.
const SHARE_OF_WAIT: f64 = 0.005;
/// The shortest pause where each attempt leaves a line in the server's log.
const LOGGED_INTERVAL: Duration = Duration::from_millis(500);
/// The last attempt begins at least so long before the deadline.
const LAST_ATTEMPT: Duration = Duration::from_millis(20);

/// What a verdict means for the wait.
#[derive(Debug)]
pub enum NextStep {
    /// What was wanted is so; the text says what answered.
    Ready(String),
    /// Ask again.
    Again(Failure),
    /// Asking again cannot help, or `fail-fast` says not to.
    Hopeless(Failure),
}

/// Judges by `until` and `fail-fast`.
pub fn judge(verdict: Verdict, settings: &Settings) -> NextStep {
    let verdict = match settings.until {
        Until::Ready => verdict,
        Until::Down => match verdict {
            Verdict::Ready(detail) => {
                Verdict::NotYet(Failure::new(Class::Absent, format!("still there: {detail}")))
            }
            Verdict::NotYet(failure) if failure.means_down => {
                Verdict::Ready(format!("gone: {}", failure.message))
            }
            other => other,
        },
    };
    match verdict {
        Verdict::Ready(detail) => NextStep::Ready(detail),
        Verdict::Hopeless(failure) => NextStep::Hopeless(failure),
        Verdict::NotYet(failure) if settings.fail_fast.contains(&failure.class) => {
            NextStep::Hopeless(failure)
        }
        Verdict::NotYet(failure) => NextStep::Again(failure),
    }
}

/// The pace of one dependency's attempts.
#[derive(Debug)]
pub struct Pace {
    interval: Duration,
    max_interval: Duration,
    backoff: Backoff,
    jitter: f64,
    seen: Vec<Class>,
    /// When the pace last started anew, on the dependency's own clock.
    anew: Duration,
    /// Consecutive failures since then.
    failures: u32,
}

impl Pace {
    /// The pace that `settings` ask for; `local` is whether the target is on this machine.
    pub fn new(settings: &Settings, local: bool) -> Self {
        let usual = if local { LOCAL_INTERVAL } else { REMOTE_INTERVAL };
        Self {
            interval: settings.interval.unwrap_or(usual).min(settings.max_interval),
            max_interval: settings.max_interval,
            backoff: settings.backoff,
            jitter: settings.jitter,
            seen: Vec::new(),
            anew: Duration::ZERO,
            failures: 0,
        }
    }

    /// The pause after an attempt that took `took` and failed at `now`. `random` is from 0 to 1.
    ///
    /// A class seen for the first time in this wait starts the pace anew: something has moved. A return to an earlier one does
    /// not, or a server that crashes in a loop would be asked at full speed for ever.
    pub fn pause(
        &mut self,
        failure: &Failure,
        took: Duration,
        now: Duration,
        random: f64,
    ) -> Duration {
        let is_new = !self.seen.contains(&failure.class);
        if is_new {
            self.seen.push(failure.class);
            self.anew = now;
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        let pause = match self.backoff {
            // What an attempt took that met the change itself says little: it may have stood in the queue of a server that was just
            // coming up. It is the next one that tells what asking costs.
            Backoff::Adaptive if is_new => self.adaptive(failure.cost, Duration::ZERO, now),
            Backoff::Adaptive => self.adaptive(failure.cost, took, now),
            Backoff::Linear => self.interval.saturating_mul(self.failures),
            Backoff::Exponential => self.interval.saturating_mul(1 << (self.failures - 1).min(30)),
            Backoff::Constant => self.interval,
        };
        let pause = pause.min(self.max_interval).mul_f64(1.0 - self.jitter * random);
        // What the server asks for is a minimum, so it is jittered upwards, and beyond our own longest pause if need be.
        match failure.retry_after.filter(|after| !after.is_zero()) {
            Some(after) => pause.max(after.mul_f64(1.0 + self.jitter * random)),
            None => pause,
        }
    }

    fn adaptive(&self, cost: Cost, took: Duration, now: Duration) -> Duration {
        let waited = now.saturating_sub(self.anew).mul_f64(SHARE_OF_WAIT);
        let spared = match cost {
            Cost::Nothing => Duration::ZERO,
            Cost::Answer => took.saturating_mul(10),
            Cost::Login => took.saturating_mul(100),
            Cost::Logged => took.saturating_mul(100).max(LOGGED_INTERVAL),
        };
        self.interval.max(waited).max(spared)
    }

    /// A success ends a run of failures.
    pub fn succeeded(&mut self) {
        self.failures = 0;
    }
}

/// When the next attempt begins, given the pause after one that ended at `now` and took `took`. `None`: the time is up.
///
/// A pause that would end too near the deadline for one more attempt ends earlier, so that a wait does not end on a sleep.
pub fn next_attempt(
    pause: Duration,
    now: Duration,
    took: Duration,
    deadline: Option<Duration>,
    attempt_timeout: Duration,
) -> Option<Duration> {
    let next = now.saturating_add(pause);
    let Some(deadline) = deadline else { return Some(next) };
    let reserve = (took * 2).max(LAST_ATTEMPT).min(attempt_timeout / 2);
    let last = deadline.saturating_sub(reserve);
    match next {
        next if next <= last => Some(next),
        _ if now < last => Some(last),
        next if next < deadline => Some(next),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
