//! The engine: one task per dependency, each on its own clock with absolute deadlines, then one
//! confirming round.

use std::{collections::BTreeSet, future::Future, pin::pin, sync::Arc, time::Duration};

use tokio::{
    sync::{Semaphore, mpsc},
    task::{AbortHandle, JoinError, JoinSet},
    time::{Instant, sleep},
};

use crate::{
    connect::Net,
    probe::{Class, Failure},
    wait::{
        choice::{Choices, GivenUp},
        event::{End, Event, EventKind},
        pauses::Pauses,
        settings::{OnTimeout, Timeout},
        waiter::{Dependency, Outcome, Shared, Waiter},
    },
};

/// A success that is older is confirmed before the command is started.
const FRESH: Duration = Duration::from_secs(1);

/// Timeouts this close together are one instant: the runtime ends some in whole milliseconds.
const SAME_INSTANT: Duration = Duration::from_millis(5);

/// The environment of the engine: network, randomness and limits.
pub struct WaitContext {
    /// The network.
    pub net: Net,
    /// Attempts that may be open at once.
    pub open_attempts: usize,
    /// Returns a number from 0 to 1; called for each pause.
    pub random: fn() -> f64,
    /// The sleeps between attempts.
    pub pauses: Pauses,
    /// A timeout of everything that still waits.
    pub deadline: Option<Duration>,
    /// How often `tick` is called.
    pub tick: Duration,
    /// Ask every dependency, whatever the others answer: for a look rather than a wait.
    pub ask_all: bool,
}

/// The receiver of everything that happens during the wait.
pub trait Listener {
    /// Something happened to a dependency.
    fn event(&mut self, event: Event);
    /// Time has passed.
    fn tick(&mut self);
}

/// Waits until every dependency is ready or was proceeded past, or until the first reason to stop.
pub async fn wait(
    dependencies: Vec<Dependency>,
    context: WaitContext,
    stop: impl Future<Output = i32>,
    listener: &mut (impl Listener + ?Sized),
) -> End {
    let (events, mut happened) = mpsc::unbounded_channel();
    let shared = Arc::new(Shared {
        permits: Semaphore::new(context.open_attempts),
        deadline: context.deadline.map(|deadline| Instant::now() + deadline),
        net: context.net,
        random: context.random,
        pauses: context.pauses,
        events,
        ask_all: context.ask_all,
    });
    let mut stop = pin!(stop);
    let mut run = Run::new(dependencies, shared);
    run.begin();
    let mut tick = pin!(sleep(context.tick));
    let end = loop {
        if let Some(end) = run.advance() {
            break end;
        }
        tokio::select! {
            biased;
            signal = &mut stop => break End::Signal(signal),
            Some(event) = happened.recv() => listener.event(event),
            Some(joined) = run.tasks.join_next() => run.joined(joined),
            () = &mut tick => {
                listener.tick();
                tick.set(sleep(context.tick));
            }
        }
    };
    // Attempts that are cut here close their connections before the command takes our place.
    run.tasks.shutdown().await;
    while let Ok(event) = happened.try_recv() {
        listener.event(event);
    }
    // All connections are closed, and the process ends soon, so the memory is kept. To free a
    // thousand probes would take a tenth of their start.
    std::mem::forget(run);
    end
}

/// The state of the whole wait: which dependencies are settled, and which are being asked.
struct Run {
    shared: Arc<Shared>,
    tasks: JoinSet<(Box<Waiter>, Outcome)>,
    /// The tasks, by the place of their dependency in the plan.
    running: Vec<Option<Running>>,
    /// Not started yet, because another dependency comes first.
    #[allow(clippy::vec_box, reason = "a waiter moves from here into its task in one box")]
    blocked: Vec<Box<Waiter>>,
    /// Settled, with the time of the last success; `None` if it was proceeded past or is not to be
    /// confirmed.
    settled: Vec<(Box<Waiter>, Option<Instant>)>,
    /// The dependencies of which one is enough.
    choices: Choices,
    /// No longer waited for, because an alternative is ready.
    unneeded: BTreeSet<usize>,
    /// The confirming round is in progress, and nothing has failed in it yet.
    confirming: bool,
    /// The start of the first re-wait. All re-waits together have one timeout.
    waited_again: Option<Instant>,
    /// The end of the wait, once the tasks that still run have ended.
    end: Option<End>,
}

/// The engine's record of a dependency while a task owns its waiter.
struct Running {
    task: AbortHandle,
    began: Instant,
    /// The latest end of the task.
    until: Option<Instant>,
    /// The task makes one attempt, which comes to its own end even if another dependency has
    /// failed.
    is_once: bool,
}

impl Run {
    fn new(dependencies: Vec<Dependency>, shared: Arc<Shared>) -> Self {
        let running = dependencies.iter().map(|_| None).collect();
        let choices = Choices::new(&dependencies);
        let blocked = dependencies
            .into_iter()
            .enumerate()
            .map(|(place, dependency)| Waiter::new(place, dependency))
            .collect();
        Self {
            shared,
            tasks: JoinSet::new(),
            running,
            blocked,
            settled: Vec::new(),
            choices,
            unneeded: BTreeSet::new(),
            confirming: false,
            waited_again: None,
            end: None,
        }
    }

    /// Starts every dependency that waits for no other.
    fn begin(&mut self) {
        for choice in self.choices.empty() {
            self.exhausted(choice, GivenUp::TimedOut);
        }
        self.unblock();
    }

    /// The end, once nothing is left to ask. Before that, starts the confirming round.
    fn advance(&mut self) -> Option<End> {
        if !self.tasks.is_empty() || !self.blocked.is_empty() {
            return None;
        }
        if self.end.is_some() {
            return self.end;
        }
        if self.confirming || self.shared.ask_all {
            return Some(End::Ready);
        }
        self.confirm();
        self.tasks.is_empty().then_some(End::Ready)
    }

    /// Asks every dependency again whose success is no longer fresh.
    fn confirm(&mut self) {
        self.confirming = true;
        let now = Instant::now();
        let is_stale = |(waiter, asked): &mut (Box<Waiter>, Option<Instant>)| {
            asked.is_some_and(|asked| now - asked > FRESH)
                && !waiter.dependency.probe.leaves_a_trace()
        };
        for (waiter, _) in self.settled.extract_if(.., is_stale).collect::<Vec<_>>() {
            self.spawn(waiter, self.shared.deadline, Waiter::confirm);
        }
    }

    /// Starts each dependency whose predecessors are all settled.
    fn unblock(&mut self) {
        if self.blocked.is_empty() {
            return;
        }
        let mut passed = self.unneeded.clone();
        passed.extend(self.settled.iter().map(|(waiter, _)| waiter.place));
        let is_free = |waiter: &mut Box<Waiter>| {
            let mut after = waiter.dependency.after.iter();
            !self.choices.is_open(waiter.place) && after.all(|first| passed.contains(first))
        };
        // One reading of the clock: equal timeouts then end in the same instant.
        let now = Instant::now();
        for mut waiter in self.blocked.extract_if(.., is_free).collect::<Vec<_>>() {
            waiter.began = now;
            self.wait(waiter, now, Duration::ZERO);
        }
    }

    /// Starts the wait for one dependency, first asked after `pause`. Its timeout counts from
    /// `since`.
    fn wait(&mut self, waiter: Box<Waiter>, since: Instant, pause: Duration) {
        let own = match waiter.dependency.settings.timeout {
            Timeout::After(timeout) => Some(since + timeout),
            Timeout::Once | Timeout::Never => None,
        };
        let until = [own, self.shared.deadline].into_iter().flatten().min();
        self.spawn(waiter, until, move |waiter, shared| waiter.wait(shared, until, pause));
    }

    /// Starts a task that ends at `until` at the latest.
    fn spawn<F>(
        &mut self,
        waiter: Box<Waiter>,
        until: Option<Instant>,
        task: impl FnOnce(Box<Waiter>, Arc<Shared>) -> F,
    ) where
        F: Future<Output = (Box<Waiter>, Outcome)> + Send + 'static,
    {
        let (place, began, is_once) = (waiter.place, waiter.began, waiter.is_once());
        let task = self.tasks.spawn(task(waiter, Arc::clone(&self.shared)));
        self.running[place] = Some(Running { task, began, until, is_once });
    }

    /// Records how a task ended.
    fn joined(&mut self, joined: Result<(Box<Waiter>, Outcome), JoinError>) {
        match joined {
            Ok((waiter, outcome)) => {
                self.running[waiter.place] = None;
                self.settle(waiter, outcome);
            }
            Err(error) if error.is_cancelled() => {}
            Err(error) => self.lost(error),
        }
    }

    /// Ends the wait after a defect in a task: the state of its dependency is unknown.
    fn lost(&mut self, error: JoinError) {
        let is_lost = |running: &Option<Running>| {
            running.as_ref().is_some_and(|running| running.task.id() == error.id())
        };
        if let Some(dependency) = self.running.iter().position(is_lost)
            && let Some(running) = self.running[dependency].take()
        {
            let failure = Failure::new(
                Class::Local,
                "internal error: the wait for this dependency has broken off; please report it",
            );
            self.emit(dependency, running.began.elapsed(), EventKind::Hopeless(failure));
        }
        self.stop(End::Hopeless);
    }

    /// Records what became of one dependency, and starts what follows from it.
    fn settle(&mut self, waiter: Box<Waiter>, outcome: Outcome) {
        match outcome {
            // The task ended in the instant in which it was no longer needed.
            _ if self.unneeded.contains(&waiter.place) => {}
            Outcome::Ready => {
                // A busy machine may come here long after the answer.
                let asked = (!waiter.is_once()).then_some(waiter.answered);
                let place = waiter.place;
                self.settled.push((waiter, asked));
                self.withdraw_others(place);
            }
            Outcome::Lost(pause) => {
                self.confirming = false;
                let since = *self.waited_again.get_or_insert_with(Instant::now);
                if self.end.is_none() {
                    self.wait(waiter, since, pause);
                }
            }
            Outcome::TimedOut if waiter.dependency.settings.on_timeout == OnTimeout::Proceed => {
                let place = waiter.place;
                self.settled.push((waiter, None));
                self.give_up(place, GivenUp::Proceeded);
            }
            Outcome::TimedOut => self.failed(waiter, End::TimedOut),
            Outcome::Hopeless => self.failed(waiter, End::Hopeless),
        }
        self.give_up_stuck();
        self.unblock();
    }

    /// Gives up the alternatives that come after one that was given up, if no other is left.
    fn give_up_stuck(&mut self) {
        let blocked = self.blocked.iter();
        let blocked: Vec<_> =
            blocked.map(|waiter| (waiter.place, waiter.dependency.after.as_slice())).collect();
        for (place, why) in self.choices.stuck(&blocked) {
            let found = self.blocked.iter().position(|waiter| waiter.place == place);
            let Some(waiter) = found.map(|at| self.blocked.remove(at)) else { continue };
            let failure = Failure::new(Class::Absent, "what must come first is not ready");
            let elapsed = waiter.began.elapsed();
            match why {
                GivenUp::Hopeless => {
                    self.emit(place, elapsed, EventKind::Hopeless(failure));
                    self.failed(waiter, End::Hopeless);
                }
                _ => {
                    self.emit(place, elapsed, EventKind::TimedOut(Some(failure)));
                    self.failed(waiter, End::TimedOut);
                }
            }
        }
    }

    /// Cuts the alternatives of a dependency that is ready.
    fn withdraw_others(&mut self, ready: usize) {
        for place in self.choices.ready(ready) {
            let is_ready = |(waiter, asked): &(Box<Waiter>, Option<Instant>)| {
                waiter.place == place && asked.is_some()
            };
            if self.settled.iter().any(is_ready) || !self.unneeded.insert(place) {
                continue;
            }
            if let Some(running) = self.running[place].take() {
                running.task.abort();
                self.emit(place, running.began.elapsed(), EventKind::NotNeeded);
            } else {
                self.emit(place, Duration::ZERO, EventKind::NotNeeded);
            }
            self.blocked.retain(|waiter| waiter.place != place);
        }
    }

    /// Records that a dependency is lost. Returns true if an open choice may do without it.
    fn give_up(&mut self, place: usize, why: GivenUp) -> bool {
        let loss = self.choices.given_up(place, why);
        for (choice, why) in loss.exhausted {
            self.exhausted(choice, why);
        }
        loss.is_alternative
    }

    /// Settles a choice that has no alternative left.
    fn exhausted(&mut self, choice: usize, why: GivenUp) {
        let found = self.blocked.iter().position(|waiter| waiter.place == choice);
        let Some(waiter) = found.map(|at| self.blocked.remove(at)) else { return };
        let elapsed = waiter.began.elapsed();
        let failure = Failure::new(Class::Absent, "none of them is ready");
        match why {
            GivenUp::Proceeded => {
                self.emit(choice, elapsed, EventKind::Proceeded(Some(failure)));
                self.settled.push((waiter, None));
            }
            GivenUp::TimedOut => {
                self.emit(choice, elapsed, EventKind::TimedOut(Some(failure)));
                self.failed(waiter, End::TimedOut);
            }
            GivenUp::Hopeless => {
                self.emit(choice, elapsed, EventKind::Hopeless(failure));
                self.failed(waiter, End::Hopeless);
            }
        }
    }

    /// Reports what the engine itself decided about a dependency.
    fn emit(&self, dependency: usize, elapsed: Duration, kind: EventKind) {
        let _ = self.shared.events.send(Event { dependency, kind, attempts: 0, elapsed });
    }

    fn failed(&mut self, waiter: Box<Waiter>, end: End) {
        let why = if end == End::Hopeless { GivenUp::Hopeless } else { GivenUp::TimedOut };
        if self.give_up(waiter.place, why) {
            return;
        }
        self.settled.push((waiter, None));
        if self.shared.ask_all {
            self.end = Some(self.worse(end));
        } else {
            self.stop(end);
        }
    }

    /// Ends the wait: starts nothing more, and cuts what could go on.
    ///
    /// An only attempt (`timeout=0`) comes to its own end. A dependency whose time is up in this
    /// very instant reports its own timeout, as the first one does.
    fn stop(&mut self, end: End) {
        self.end = Some(self.worse(end));
        self.blocked.clear();
        let now = Instant::now() + SAME_INSTANT;
        let goes_on = |running: &&Running| running.until.is_none_or(|until| until > now);
        self.running
            .iter()
            .flatten()
            .filter(|running| !running.is_once)
            .filter(goes_on)
            .for_each(|running| running.task.abort());
    }

    /// `end`, unless the wait ends already as hopeless. The exit code must not depend on chance.
    fn worse(&self, end: End) -> End {
        match self.end {
            Some(End::Hopeless) => End::Hopeless,
            _ => end,
        }
    }
}

#[cfg(test)]
mod tests;
