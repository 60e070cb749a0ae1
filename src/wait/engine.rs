//! The engine: one task per dependency, each on its own clock with absolute deadlines, and one confirming round at the end.

use std::{
    collections::HashSet,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
    time::{Instant, sleep_until, timeout_at},
};

use crate::{
    connect::Net,
    probe::{Attempt, Class, Failure, Probe, Stage, Verdict},
    secret::{Secret, hide, hide_in_own},
    text::{MAX_FOREIGN, one_line},
    wait::{
        event::{End, Event, EventKind},
        policy::{self, NextStep, Pace},
        settings::{OnTimeout, Settings, Timeout},
    },
};

/// A success older than this is asked again before the command is started.
const FRESH: Duration = Duration::from_secs(1);

/// One thing to wait for.
pub struct Dependency {
    /// What messages call it.
    pub name: String,
    /// How it is waited for.
    pub settings: Settings,
    /// How it is asked.
    pub probe: Box<dyn Probe>,
    /// What must not be shown, even where the other side echoes it.
    pub secrets: Vec<Secret>,
    /// The dependencies that come first, by their place in the plan.
    pub after: Vec<usize>,
}

/// What the engine is handed from outside.
pub struct WaitContext {
    /// The network.
    pub net: Net,
    /// Attempts that may be open at once.
    pub open_attempts: usize,
    /// A number from 0 to 1, drawn for each pause.
    pub random: fn() -> f64,
    /// A timeout of everything that still waits.
    pub deadline: Option<Duration>,
    /// How often `tick` is called.
    pub tick: Duration,
    /// Ask everything, whatever is found first; for a look rather than a wait.
    pub ask_all: bool,
}

/// Who hears of what happens.
pub trait Listener {
    /// Something happened to a dependency.
    fn event(&mut self, event: Event);
    /// Time has passed.
    fn tick(&mut self);
}

struct Shared {
    net: Net,
    permits: Semaphore,
    random: fn() -> f64,
    deadline: Option<Instant>,
    events: mpsc::UnboundedSender<Event>,
    ask_all: bool,
}

/// Waits until every dependency is ready or was proceeded past, or until the first reason not to.
pub async fn wait(
    dependencies: Vec<Dependency>,
    world: WaitContext,
    stop: impl Future<Output = i32>,
    listener: &mut (impl Listener + ?Sized),
) -> End {
    let (events, mut happened) = mpsc::unbounded_channel();
    let shared = Arc::new(Shared {
        permits: Semaphore::new(world.open_attempts),
        deadline: world.deadline.map(|deadline| Instant::now() + deadline),
        net: world.net,
        random: world.random,
        events,
        ask_all: world.ask_all,
    });
    let mut stop = pin!(stop);
    let mut round = Round::new(dependencies, shared);
    round.unblock();
    let mut next_tick = Instant::now() + world.tick;
    let end = loop {
        if let Some(end) = round.advance() {
            break end;
        }
        tokio::select! {
            biased;
            signal = &mut stop => break End::Signal(signal),
            Some(event) = happened.recv() => listener.event(event),
            Some(done) = round.tasks.join_next() => {
                // A task cannot panic, since attempts are guarded, and is aborted only below. Should one be lost all the same,
                // nobody knows any more whether its dependency is ready.
                let Ok((waiter, outcome)) = done else { break End::Hopeless };
                if let Some(end) = round.settle(waiter, outcome) {
                    break end;
                }
            }
            () = sleep_until(next_tick) => {
                listener.tick();
                next_tick = Instant::now() + world.tick;
            }
        }
    };
    // Attempts that are cut here close what they hold before the command takes our place.
    round.tasks.shutdown().await;
    while let Ok(event) = happened.try_recv() {
        listener.event(event);
    }
    end
}

/// What has been settled, and what is being asked.
struct Round {
    shared: Arc<Shared>,
    tasks: JoinSet<(Waiter, Outcome)>,
    /// Not started yet: something comes first.
    blocked: Vec<Waiter>,
    /// Settled, with the time of the last success; `None` if it was proceeded past or is not to be confirmed.
    settled: Vec<(Waiter, Option<Instant>)>,
    /// The confirming round is under way, and so far nothing has failed in it.
    confirming: bool,
    /// When the first re-wait began; all of them together have one timeout.
    waited_again: Option<Instant>,
    /// What the end will be, where everything is asked first.
    end: End,
}

impl Round {
    fn new(dependencies: Vec<Dependency>, shared: Arc<Shared>) -> Self {
        let blocked = dependencies
            .into_iter()
            .enumerate()
            .map(|(place, dependency)| Waiter::new(place, dependency))
            .collect();
        Self {
            shared,
            tasks: JoinSet::new(),
            blocked,
            settled: Vec::new(),
            confirming: false,
            waited_again: None,
            end: End::Ready,
        }
    }

    /// The end, once nothing is left to ask; before that, the confirming round.
    fn advance(&mut self) -> Option<End> {
        if !self.tasks.is_empty() || !self.blocked.is_empty() {
            return None;
        }
        if self.confirming || self.shared.ask_all {
            return Some(self.end);
        }
        let now = Instant::now();
        let stale = |(_, asked): &mut (Waiter, Option<Instant>)| {
            asked.is_some_and(|asked| now - asked > FRESH)
        };
        for (waiter, _) in self.settled.extract_if(.., stale) {
            let shared = Arc::clone(&self.shared);
            self.tasks.spawn(async move { waiter.confirm(&shared).await });
        }
        self.confirming = true;
        self.tasks.is_empty().then_some(End::Ready)
    }

    /// Starts what nothing stands before any more.
    fn unblock(&mut self) {
        if self.blocked.is_empty() {
            return;
        }
        let settled: HashSet<usize> = self.settled.iter().map(|(waiter, _)| waiter.place).collect();
        let free = |waiter: &mut Waiter| {
            waiter.dependency.after.iter().all(|first| settled.contains(first))
        };
        for waiter in self.blocked.extract_if(.., free) {
            let shared = Arc::clone(&self.shared);
            self.tasks.spawn(async move {
                let until = waiter.deadline(Instant::now());
                waiter.wait(&shared, until, Duration::ZERO).await
            });
        }
    }

    /// Takes in what became of one dependency. The end, if it decides that.
    fn settle(&mut self, waiter: Waiter, outcome: Outcome) -> Option<End> {
        match outcome {
            Outcome::Ready => {
                let confirmable = waiter.dependency.settings.timeout != Timeout::Once;
                self.settled.push((waiter, confirmable.then(Instant::now)));
            }
            Outcome::Lost(pause) => {
                self.confirming = false;
                let since = *self.waited_again.get_or_insert_with(Instant::now);
                let shared = Arc::clone(&self.shared);
                self.tasks.spawn(async move {
                    let until = waiter.deadline(since);
                    waiter.wait(&shared, until, pause).await
                });
            }
            Outcome::TimedOut => match waiter.dependency.settings.on_timeout {
                OnTimeout::Proceed => self.settled.push((waiter, None)),
                OnTimeout::Fail => return self.failed(waiter, End::TimedOut),
            },
            Outcome::Hopeless => return self.failed(waiter, End::Hopeless),
        }
        self.unblock();
        None
    }

    fn failed(&mut self, waiter: Waiter, end: End) -> Option<End> {
        if !self.shared.ask_all {
            return Some(end);
        }
        self.settled.push((waiter, None));
        self.end = end;
        None
    }
}

/// What became of a dependency.
enum Outcome {
    Ready,
    /// Not ready any more; to be asked again after a pause.
    Lost(Duration),
    TimedOut,
    Hopeless,
}

/// One dependency and how far its wait has come.
struct Waiter {
    place: usize,
    dependency: Dependency,
    pace: Pace,
    attempts: u32,
    /// When its clock started.
    began: Instant,
    last: Option<Failure>,
}

impl Waiter {
    fn new(place: usize, dependency: Dependency) -> Self {
        let pace = Pace::new(&dependency.settings, dependency.probe.is_local());
        Self { place, dependency, pace, attempts: 0, began: Instant::now(), last: None }
    }

    /// When its own time is up, if that began at `since`.
    fn deadline(&self, since: Instant) -> Option<Instant> {
        match self.dependency.settings.timeout {
            Timeout::After(timeout) => Some(since + timeout),
            Timeout::Once | Timeout::Never => None,
        }
    }

    /// Asks until it is ready, its time is up, or nothing can help; the first time after `pause`.
    async fn wait(
        mut self,
        shared: &Shared,
        until: Option<Instant>,
        pause: Duration,
    ) -> (Self, Outcome) {
        if self.attempts == 0 {
            self.began = Instant::now();
        }
        let until = [until, shared.deadline].into_iter().flatten().min();
        let settings = self.dependency.settings.clone();
        let mut successes = 0;
        if !pause.is_zero() {
            // Even a sleep of nothing waits for the next tick of the timer, a millisecond.
            let begin = Instant::now() + pause;
            sleep_until(until.map_or(begin, |until| until.min(begin))).await;
        }
        loop {
            let Some((verdict, took)) = self.ask(shared, until).await else {
                return self.timed_out(shared);
            };
            let judgement = policy::judge(verdict, &settings);
            let now = self.began.elapsed();
            let pause = match judgement {
                NextStep::Ready(detail) => {
                    successes += 1;
                    self.pace.succeeded();
                    if successes >= settings.successes || settings.timeout == Timeout::Once {
                        self.tell(shared, EventKind::Ready(detail));
                        return (self, Outcome::Ready);
                    }
                    settings.max_interval
                }
                NextStep::Hopeless(failure) => {
                    self.tell(shared, EventKind::Hopeless(failure));
                    return (self, Outcome::Hopeless);
                }
                NextStep::Again(failure) => {
                    successes = 0;
                    let pause = self.pace.pause(&failure, took, now, (shared.random)());
                    self.last = Some(failure.clone());
                    if settings.timeout == Timeout::Once {
                        return self.timed_out(shared);
                    }
                    self.tell(shared, EventKind::NotYet(failure));
                    pause
                }
            };
            let deadline = until.map(|until| until.saturating_duration_since(self.began));
            match policy::next_attempt(pause, now, took, deadline, settings.attempt_timeout) {
                Some(next) => sleep_until(self.began + next).await,
                None => {
                    sleep_until(until.unwrap_or_else(Instant::now)).await;
                    return self.timed_out(shared);
                }
            }
        }
    }

    /// Asks once more, just before the command is started.
    async fn confirm(mut self, shared: &Shared) -> (Self, Outcome) {
        let settings = self.dependency.settings.clone();
        // An attempt that only the deadline cut has not failed: the earlier success stands.
        let Some((verdict, took)) = self.ask(shared, shared.deadline).await else {
            return (self, Outcome::Ready);
        };
        if shared.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return (self, Outcome::Ready);
        }
        match policy::judge(verdict, &settings) {
            NextStep::Ready(_) => {
                self.tell(shared, EventKind::Confirmed);
                (self, Outcome::Ready)
            }
            NextStep::Hopeless(failure) => {
                self.tell(shared, EventKind::Hopeless(failure));
                (self, Outcome::Hopeless)
            }
            NextStep::Again(failure) => {
                self.pace = Pace::new(&settings, self.dependency.probe.is_local());
                let pause =
                    self.pace.pause(&failure, took, self.began.elapsed(), (shared.random)());
                self.last = Some(failure.clone());
                self.tell(shared, EventKind::Lost(failure));
                (self, Outcome::Lost(pause))
            }
        }
    }

    fn timed_out(self, shared: &Shared) -> (Self, Outcome) {
        let last = self.last.clone();
        self.tell(
            shared,
            match self.dependency.settings.on_timeout {
                OnTimeout::Fail => EventKind::TimedOut(last),
                OnTimeout::Proceed => EventKind::Proceeded(last),
            },
        );
        (self, Outcome::TimedOut)
    }

    /// One attempt, bounded whole, and what it took. `None`: the time was up before it came to an end that says more than is known.
    async fn ask(
        &mut self,
        shared: &Shared,
        until: Option<Instant>,
    ) -> Option<(Verdict, Duration)> {
        // Descriptors are limited; what an attempt waits for them is not its own time, but is the dependency's.
        let permit = shared.permits.acquire();
        let _permit = match until {
            Some(until) => timeout_at(until, permit).await.ok()?,
            None => permit.await,
        };
        let attempt_timeout = self.dependency.settings.attempt_timeout;
        let begins = Instant::now();
        let own_bound = begins + attempt_timeout;
        let bound = until.map_or(own_bound, |until| until.min(own_bound));
        let stage = Stage::default();
        let attempt = Attempt::new(&shared.net, bound, &stage);
        self.attempts += 1;
        let verdict =
            match timeout_at(bound, guarded(self.dependency.probe.as_mut(), &attempt)).await {
                Ok(verdict) => verdict,
                // Cut short by the deadline, it says less than the failure before it.
                Err(_) if bound < own_bound && self.last.is_some() => return None,
                Err(_) => Verdict::NotYet(attempt.timed_out(bound - begins)),
            };
        Some((without_secrets(verdict, &self.dependency.secrets), begins.elapsed()))
    }

    fn tell(&self, shared: &Shared, what: EventKind) {
        let event = Event {
            dependency: self.place,
            what,
            attempts: self.attempts,
            elapsed: self.began.elapsed(),
        };
        // Nobody listens any more once the end is decided.
        let _ = shared.events.send(event);
    }
}

/// An attempt that panics is a failed attempt, not the end of PID 1.
async fn guarded(probe: &mut dyn Probe, attempt: &Attempt<'_>) -> Verdict {
    // Within the guard, even what comes before the attempt's first await.
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

fn without_secrets(verdict: Verdict, secrets: &[Secret]) -> Verdict {
    let clean = |failure: Failure| Failure {
        message: hide(&failure.message, secrets),
        hint: failure.hint.map(|hint| hide_in_own(&hint, secrets)),
        ..failure
    };
    match verdict {
        Verdict::Ready(detail) => Verdict::Ready(one_line(&hide(&detail, secrets), MAX_FOREIGN)),
        Verdict::NotYet(failure) => Verdict::NotYet(clean(failure)),
        Verdict::Hopeless(failure) => Verdict::Hopeless(clean(failure)),
    }
}

#[cfg(test)]
mod tests;
