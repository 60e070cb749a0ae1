//! The wait for one dependency: asks, sleeps and emits events until the dependency is settled.

use std::{
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use tokio::{
    sync::{Semaphore, SemaphorePermit, mpsc},
    task::yield_now,
    time::{Instant, timeout_at},
};

use crate::{
    connect::Net,
    probe::{Attempt, Class, Failure, Probe, Ready, Stage, Verdict},
    secret::Secrets,
    text::{MAX_FOREIGN, cut_to_one_line},
    wait::{
        choice::Needs,
        event::{Event, EventKind},
        pauses::Pauses,
        policy::{self, Clock, NextStep, Pace},
        settings::{OnTimeout, Settings, Timeout},
    },
};

/// One thing to wait for.
pub struct Dependency {
    /// How to wait for it.
    pub settings: Settings,
    /// How to ask it.
    pub probe: Box<dyn Probe>,
    /// Values that must not be shown, even where the other side echoes them.
    pub secrets: Secrets,
    /// The dependencies that come first, by their place in the plan.
    pub after: Vec<usize>,
    /// The rule for `after`: all of them, or one.
    pub needs: Needs,
}

/// The state that all tasks share.
pub(super) struct Shared {
    pub(super) net: Net,
    pub(super) permits: Semaphore,
    pub(super) random: fn() -> f64,
    pub(super) pauses: Pauses,
    pub(super) deadline: Option<Instant>,
    pub(super) events: mpsc::UnboundedSender<Event>,
    pub(super) ask_all: bool,
}

impl Shared {
    /// Waits for a permit, until this time at the latest.
    async fn permit(&self, until: Option<Instant>) -> Option<SemaphorePermit<'_>> {
        let permit = self.permits.acquire();
        let permit = match until {
            Some(until) => timeout_at(until, permit).await.ok()?,
            None => permit.await,
        };
        permit.ok()
    }
}

/// The outcome of one dependency's task.
pub(super) enum Outcome {
    Ready,
    /// No longer ready. It is asked again after this pause.
    Lost(Duration),
    TimedOut,
    Hopeless,
}

/// One dependency and the progress of its wait.
///
/// It lives in a box, because it is moved into a task and back. The task would hold it twice: as an
/// argument and as a variable.
pub(super) struct Waiter {
    pub(super) place: usize,
    pub(super) dependency: Dependency,
    pace: Pace,
    attempts: u32,
    /// When its clock started.
    pub(super) began: Instant,
    /// How long the last attempt took.
    took: Duration,
    /// When the last attempt ended.
    pub(super) answered: Instant,
    last: Option<Failure>,
}

impl Waiter {
    pub(super) fn new(place: usize, dependency: Dependency) -> Box<Self> {
        let pace = Pace::new(&dependency.settings, dependency.probe.is_local());
        let now = Instant::now();
        Box::new(Self {
            place,
            dependency,
            pace,
            attempts: 0,
            began: now,
            took: Duration::ZERO,
            answered: now,
            last: None,
        })
    }

    pub(super) fn is_once(&self) -> bool {
        self.dependency.settings.timeout == Timeout::Once
    }

    /// Asks until the dependency is ready, its time is up, or no retry can succeed. The first
    /// attempt is made after `pause`.
    pub(super) async fn wait(
        mut self: Box<Self>,
        shared: Arc<Shared>,
        until: Option<Instant>,
        pause: Duration,
    ) -> (Box<Self>, Outcome) {
        let mut successes = 0;
        if !pause.is_zero() && !self.sleep(&shared, pause, until).await {
            return self.timed_out(&shared);
        }
        loop {
            let Some(verdict) = self.ask(&shared, until).await else {
                return self.timed_out(&shared);
            };
            let pause = match policy::next_step(verdict, &self.dependency.settings) {
                NextStep::Ready(ready) => {
                    successes += 1;
                    if self.is_once() || successes >= self.dependency.settings.successes {
                        self.emit(&shared, EventKind::Ready(ready));
                        return (self, Outcome::Ready);
                    }
                    self.pace.after_success()
                }
                NextStep::Hopeless(failure) => return self.hopeless(&shared, failure),
                NextStep::Again(failure) if self.is_once() => {
                    self.last = Some(failure);
                    return self.timed_out(&shared);
                }
                NextStep::Again(failure) => {
                    successes = 0;
                    self.note_failure(&shared, failure, EventKind::NotYet)
                }
            };
            if !self.sleep(&shared, pause, until).await {
                return self.timed_out(&shared);
            }
        }
    }

    /// Asks once more, just before the command is started.
    pub(super) async fn confirm(mut self: Box<Self>, shared: Arc<Shared>) -> (Box<Self>, Outcome) {
        // An attempt that only the deadline cut has not failed: the earlier success remains valid.
        let Some(verdict) = self.ask(&shared, shared.deadline).await else {
            return (self, Outcome::Ready);
        };
        // An answer counts, however late it is read: the process may have been stopped meanwhile.
        let is_cut = matches!(&verdict, Verdict::NotYet(late) if late.class == Class::Timeout);
        if is_cut && shared.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return (self, Outcome::Ready);
        }
        match policy::next_step(verdict, &self.dependency.settings) {
            NextStep::Ready(_) => {
                self.emit(&shared, EventKind::Confirmed);
                (self, Outcome::Ready)
            }
            NextStep::Hopeless(failure) => self.hopeless(&shared, failure),
            NextStep::Again(failure) => {
                let Dependency { settings, probe, .. } = &self.dependency;
                self.pace = Pace::new(settings, probe.is_local());
                let pause = self.note_failure(&shared, failure, EventKind::Lost);
                (self, Outcome::Lost(pause))
            }
        }
    }

    /// Records and reports a failure that is to be retried. Returns the pause before the retry.
    fn note_failure(
        &mut self,
        shared: &Shared,
        failure: Failure,
        kind: fn(Failure) -> EventKind,
    ) -> Duration {
        let now = self.answered - self.began;
        let pause = self.pace.after_failure(&failure, self.took, now, (shared.random)());
        self.last = Some(failure.clone());
        self.emit(shared, kind(failure));
        pause
    }

    /// Sleeps until the next attempt is due. False: no further attempt fits in, and the time is up.
    async fn sleep(&mut self, shared: &Shared, pause: Duration, until: Option<Instant>) -> bool {
        let clock = Clock {
            now: self.began.elapsed(),
            deadline: until.map(|until| until.saturating_duration_since(self.began)),
        };
        let next = self.pace.next_attempt(pause, self.took, clock);
        match (next, until) {
            (Some(next), _) => shared.pauses.until(self.began + next).await,
            (None, Some(until)) => shared.pauses.until(until).await,
            (None, None) => {}
        }
        next.is_some()
    }

    fn hopeless(self: Box<Self>, shared: &Shared, failure: Failure) -> (Box<Self>, Outcome) {
        self.emit(shared, EventKind::Hopeless(failure));
        (self, Outcome::Hopeless)
    }

    fn timed_out(self: Box<Self>, shared: &Shared) -> (Box<Self>, Outcome) {
        let last = self.last.clone();
        let kind = match self.dependency.settings.on_timeout {
            OnTimeout::Fail => EventKind::TimedOut(last),
            OnTimeout::Proceed => EventKind::Proceeded(last),
        };
        self.emit(shared, kind);
        (self, Outcome::TimedOut)
    }

    /// Makes one attempt within its bound. Returns `None` if the deadline cut it and an earlier
    /// failure is more informative.
    async fn ask(&mut self, shared: &Shared, until: Option<Instant>) -> Option<Verdict> {
        // Descriptors are limited. Waiting for them takes the dependency's time, not the attempt's.
        let _permit = match shared.permits.try_acquire() {
            Ok(permit) => permit,
            // Boxed, because every wait would reserve memory for it, and few come here.
            Err(_) => Box::pin(shared.permit(until)).await?,
        };
        let begins = Instant::now();
        let own_bound = begins + self.dependency.settings.attempt_timeout;
        let bound = until.map_or(own_bound, |until| until.min(own_bound));
        let stage = Stage::default();
        let attempt = Attempt::new(&shared.net, bound, &stage);
        self.attempts += 1;
        let mut asking = pin!(catch_panics(self.dependency.probe.as_mut(), &attempt));
        let asked = match timeout_at(bound, asking.as_mut()).await {
            Ok(verdict) => Ok(verdict),
            // The process may have been stopped (SIGSTOP) until after the bound. An answer that has
            // arrived meanwhile counts: the reactor sees it first, and the attempt then reads it.
            Err(elapsed) => {
                yield_now().await;
                let answered = poll_fn(|context| Poll::Ready(asking.as_mut().poll(context))).await;
                if let Poll::Ready(verdict) = answered { Ok(verdict) } else { Err(elapsed) }
            }
        };
        self.answered = Instant::now();
        self.took = self.answered - begins;
        let verdict = match asked {
            Ok(verdict) => verdict,
            Err(_) if bound < own_bound && self.last.is_some() => return None,
            Err(_) => Verdict::NotYet(attempt.timed_out(bound - begins)),
        };
        Some(redacted(verdict, &self.dependency.secrets))
    }

    fn emit(&self, shared: &Shared, kind: EventKind) {
        let event = Event {
            dependency: self.place,
            kind,
            attempts: self.attempts,
            elapsed: self.began.elapsed(),
        };
        // Sending fails only after the end, when the receiver is gone.
        let _ = shared.events.send(event);
    }
}

/// The verdict of one attempt. A panic is a failed attempt, not the end of PID 1.
async fn catch_panics(probe: &mut dyn Probe, attempt: &Attempt<'_>) -> Verdict {
    // The block makes the guard cover what `attempt` does before its first await.
    let mut attempting = pin!(async { probe.attempt(attempt).await });
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| attempting.as_mut().poll(context))) {
        Ok(poll) => poll,
        Err(_) => Poll::Ready(Verdict::NotYet(Failure::new(
            Class::Protocol,
            "the probe failed: this is a defect of afterall",
        ))),
    })
    .await
}

/// The verdict without any secret that the other side has echoed.
fn redacted(verdict: Verdict, secrets: &Secrets) -> Verdict {
    let clean = |failure: Failure| {
        // The text of a refused connection is not made here.
        if secrets.is_empty() {
            return failure;
        }
        failure.with(|reason| {
            reason.message = secrets.hide(&*reason.message).into();
            reason.hint = reason.hint.take().map(|hint| secrets.hide_in_own(hint));
        })
    };
    match verdict {
        Verdict::Ready(ready) => Verdict::Ready(Ready {
            detail: cut_to_one_line(secrets.hide(ready.detail), MAX_FOREIGN),
            ..ready
        }),
        Verdict::NotYet(failure) => Verdict::NotYet(clean(failure)),
        Verdict::Hopeless(failure) => Verdict::Hopeless(clean(failure)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_hidden_in_a_text_that_is_not_made_yet() {
        let refused = || Verdict::NotYet(Failure::refused("127.0.0.1:9".parse().unwrap()));
        let message = |secrets: &Secrets| match redacted(refused(), secrets) {
            Verdict::NotYet(failure) => failure.message.to_string(),
            other => format!("{other:?}"),
        };
        let secrets = Secrets::default();
        assert_eq!(message(&secrets), "connection refused (127.0.0.1:9)");
        secrets.take("127.0.0.1");
        assert_eq!(message(&secrets), "connection refused (***:9)");
    }
}
