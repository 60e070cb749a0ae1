//! Pure decisions: what follows a verdict, and when the next attempt begins. The caller passes
//! clock and randomness in.

use std::time::Duration;

use crate::{
    probe::{Class, Cost, Failure, Ready, Verdict},
    wait::settings::{Backoff, Settings, Until},
};

/// Default of `interval` where the target is on this machine.
const LOCAL_INTERVAL: Duration = Duration::from_millis(10);
/// Default of `interval` where the target is elsewhere.
const REMOTE_INTERVAL: Duration = Duration::from_millis(50);
/// The pause of a wait that is one second old, where the target is on this machine.
///
/// A wait of unknown length has two costs: a late notice, on average half a pause, and each
/// attempt. Let `c` be the cost of an attempt in seconds of delay. The wait is as likely to end
/// between 1 and 2 seconds as between 100 and 200. After `t` seconds the chance to end in the next
/// second is then 1/t. A pause `p` costs p/2 x 1/t for lateness and c/p for attempts. The sum is
/// least at p = sqrt(2 c t). An attempt on this machine costs 50 us of CPU, so p = 10 ms x sqrt(t).
/// A fixed share of `t` asks too often early and too rarely late.
///
/// 3.5% are added, because jitter shortens the pauses by 5% on average.
const LOCAL_PAUSE_AT_1S: Duration = Duration::from_micros(10_350);
/// The pause of a wait that is one second old, where the target is elsewhere. An attempt there
/// costs both sides and the network about 200 us.
const REMOTE_PAUSE_AT_1S: Duration = Duration::from_millis(20);
/// The pause is at least this many times as long as a server took to answer.
const TIMES_AN_ANSWER: u32 = 10;
/// The pause is at least this many times as long as a server took for a login.
const TIMES_A_LOGIN: u32 = 100;
/// The first pause where each attempt leaves a line in the server's log.
const LOGGED_INTERVAL: Duration = Duration::from_millis(500);
/// From this time on, attempts that leave a line in the server's log are `max-interval` apart.
const LOGGED_SLOWEST_FROM: Duration = Duration::from_secs(15);
/// The longest `Retry-After` that is obeyed: a proxy's wrong header must not cost a day.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);
/// The least random part by which a `Retry-After` is lengthened, whatever `jitter` is. All waiters
/// of a fleet receive the same figure and would return at the same instant.
const MIN_RETRY_AFTER_JITTER: f64 = 0.3;
/// The last attempt begins at least this long before the deadline.
const LAST_ATTEMPT: Duration = Duration::from_millis(20);

/// The next step after a verdict.
#[derive(Debug)]
pub enum NextStep {
    /// The dependency is in the wanted state.
    Ready(Ready),
    /// Retry after a pause.
    Again(Failure),
    /// No retry can succeed, or `fail-fast` names the failure's class.
    Hopeless(Failure),
}

/// The next step after `verdict`, by `until` and `fail-fast`.
pub fn next_step(verdict: Verdict, settings: &Settings) -> NextStep {
    let verdict = match settings.until {
        Until::Ready => verdict,
        Until::Down => match verdict {
            Verdict::Ready(ready) => Verdict::NotYet(Failure::new(
                Class::Absent,
                format!("still there: {}", ready.detail),
            )),
            Verdict::NotYet(failure) if failure.means_down => {
                Verdict::ready(format!("gone: {}", failure.message))
            }
            other => other,
        },
    };
    match verdict {
        Verdict::Ready(ready) => NextStep::Ready(ready),
        Verdict::Hopeless(failure) => NextStep::Hopeless(failure),
        Verdict::NotYet(failure) if settings.fail_fast.contains(&failure.class) => {
            NextStep::Hopeless(failure)
        }
        Verdict::NotYet(failure) => NextStep::Again(failure),
    }
}

/// The progress of one dependency's wait. Both times are on the dependency's own clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Time since the wait for this dependency began.
    pub now: Duration,
    /// When the wait for this dependency is over; `None` if it may last for ever.
    pub deadline: Option<Duration>,
}

/// The pace of one dependency's attempts.
#[derive(Debug)]
pub struct Pace {
    interval: Duration,
    pause_at_1s: Duration,
    max_interval: Duration,
    attempt_timeout: Duration,
    backoff: Backoff,
    jitter: f64,
    seen: Vec<Class>,
    /// Time of the last reset, on the dependency's own clock.
    reset_at: Duration,
    /// Consecutive failures since the last reset.
    failures: u32,
    answers: RecentAnswers,
}

impl Pace {
    /// The pace that `settings` ask for; `is_local` is whether the target is on this machine.
    pub fn new(settings: &Settings, is_local: bool) -> Self {
        let (interval, pause_at_1s) = if is_local {
            (LOCAL_INTERVAL, LOCAL_PAUSE_AT_1S)
        } else {
            (REMOTE_INTERVAL, REMOTE_PAUSE_AT_1S)
        };
        Self {
            interval: settings.interval.unwrap_or(interval).min(settings.max_interval),
            pause_at_1s,
            max_interval: settings.max_interval,
            attempt_timeout: settings.attempt_timeout,
            backoff: settings.backoff,
            jitter: settings.jitter,
            seen: Vec::new(),
            reset_at: Duration::ZERO,
            failures: 0,
            answers: RecentAnswers::default(),
        }
    }

    /// The pause after an attempt that took `took` and failed at `now`. `random` is from 0 to 1.
    ///
    /// A class that is seen for the first time in this wait resets the pace: something has changed.
    /// A return to an earlier class does not. Otherwise a server that crashes in a loop would be
    /// asked at full speed for ever.
    pub fn after_failure(
        &mut self,
        failure: &Failure,
        took: Duration,
        now: Duration,
        random: f64,
    ) -> Duration {
        if !self.seen.contains(&failure.class) {
            self.seen.push(failure.class);
            self.reset_at = now;
            self.failures = 0;
            self.answers = RecentAnswers::default();
        }
        self.failures = self.failures.saturating_add(1);
        if failure.cost > Cost::Nothing {
            self.answers.push(took);
        }
        let pause = match self.backoff {
            Backoff::Adaptive => {
                self.adaptive(failure.cost, took, now.saturating_sub(self.reset_at))
            }
            Backoff::Linear => self.interval.saturating_mul(self.failures),
            Backoff::Exponential => self.interval.saturating_mul(1 << (self.failures - 1).min(30)),
            Backoff::Constant => self.interval,
        };
        let pause = pause.min(self.max_interval).mul_f64(1.0 - self.jitter * random);
        // The server's wish is a minimum, so jitter lengthens it, beyond `max-interval` if need be.
        match failure.retry_after.filter(|after| !after.is_zero()) {
            Some(after) => {
                let jitter = self.jitter.max(MIN_RETRY_AFTER_JITTER);
                pause.max(after.min(MAX_RETRY_AFTER).mul_f64(1.0 + jitter * random))
            }
            None => pause,
        }
    }

    /// The pause after a success that is not enough, because `successes` asks for more.
    pub fn after_success(&mut self) -> Duration {
        self.failures = 0;
        self.max_interval
    }

    /// The longest of what the wait's age, the server's speed and the server's log call for.
    /// `age` is the time since the last reset.
    fn adaptive(&self, cost: Cost, took: Duration, age: Duration) -> Duration {
        // From the beginning of one attempt to that of the next: an attempt delays the notice, too.
        let by_age = self.pause_at_1s.mul_f64(age.as_secs_f64().sqrt()).saturating_sub(took);
        let by_speed = match cost {
            Cost::Nothing => Duration::ZERO,
            // The first attempt after a change may have queued in a server that was just coming
            // up. Its duration is not representative.
            _ if self.failures == 1 => Duration::ZERO,
            Cost::Answer => self.answers.fastest().saturating_mul(TIMES_AN_ANSWER),
            Cost::Login | Cost::Logged => self.answers.fastest().saturating_mul(TIMES_A_LOGIN),
        };
        let by_log = if cost == Cost::Logged { self.logged(age) } else { Duration::ZERO };
        self.interval.max(by_age).max(by_speed).max(by_log)
    }

    /// Grows from 500 ms to `max-interval` within 15 s. A fleet that waits for a role must not fill
    /// the server's log.
    fn logged(&self, age: Duration) -> Duration {
        let grown = (age.as_secs_f64() / LOGGED_SLOWEST_FROM.as_secs_f64()).min(1.0);
        LOGGED_INTERVAL + self.max_interval.saturating_sub(LOGGED_INTERVAL).mul_f64(grown)
    }

    /// When the next attempt begins, given the pause after one that took `took`. `None`: too late.
    ///
    /// A pause that would end too near the deadline for one more attempt ends earlier. So a wait
    /// does not end on a sleep.
    pub fn next_attempt(&self, pause: Duration, took: Duration, clock: Clock) -> Option<Duration> {
        let next = clock.now.saturating_add(pause);
        let Some(deadline) = clock.deadline else { return Some(next) };
        let reserve = (took * 2).max(LAST_ATTEMPT).min(self.attempt_timeout / 2);
        let last = deadline.saturating_sub(reserve);
        match next {
            next if next <= last => Some(next),
            _ if clock.now < last => Some(last),
            next if next < deadline => Some(next),
            _ => None,
        }
    }
}

/// How long the last three attempts took that a live server answered.
///
/// The smallest counts. A server that is just coming up may answer slowly once. That must not buy a
/// long pause at the very moment at which it becomes ready.
#[derive(Debug, Default)]
struct RecentAnswers {
    took: [Option<Duration>; 3],
}

impl RecentAnswers {
    fn push(&mut self, took: Duration) {
        self.took = [Some(took), self.took[0], self.took[1]];
    }

    fn fastest(&self) -> Duration {
        self.took.iter().flatten().min().copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
