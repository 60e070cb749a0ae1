//! Scripted probes, and a wait that is put together from them and run under a paused clock.

use std::{
    sync::{Arc, Mutex, atomic::AtomicUsize, atomic::Ordering::SeqCst},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use crate::{
    connect::Net,
    probe::{Attempt, AttemptFuture, Class, Failure, Probe, Verdict},
    secret::Secrets,
    wait::{
        Dependency, Listener, Needs, Pauses, WaitContext,
        event::{End, Event, EventKind},
        settings::{Backoff, Settings, Timeout},
        wait,
    },
};

pub(super) const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// The behaviour of one attempt.
pub(super) enum Step {
    Ready,
    Fails(Class),
    Says(Verdict),
    /// Comes to its end after a while.
    Takes(u64, Box<Step>),
    Hangs,
    Panics,
    /// Before there is a future that could be polled.
    PanicsAtOnce,
}

pub(super) use Step::{Fails, Hangs, Panics, PanicsAtOnce, Ready, Says, Takes};

type Script = Box<dyn FnMut(usize, u64) -> Step + Send>;

struct Scripted {
    script: Script,
    began: Instant,
    asked: Arc<Mutex<Vec<u64>>>,
    open: Arc<AtomicUsize>,
}

struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

impl Probe for Scripted {
    fn attempt<'a>(&'a mut self, _: &'a Attempt<'a>) -> AttemptFuture<'a> {
        let now = self.began.elapsed().as_millis() as u64;
        let number = {
            let mut asked = self.asked.lock().unwrap();
            asked.push(now);
            asked.len()
        };
        let mut step = (self.script)(number, now);
        assert!(!matches!(step, PanicsAtOnce), "at once");
        self.open.fetch_add(1, SeqCst);
        let open = Open(Arc::clone(&self.open));
        Box::pin(async move {
            let _open = open;
            loop {
                match step {
                    Ready => return Verdict::ready("fine"),
                    Fails(class) => return Verdict::NotYet(Failure::new(class, class.name())),
                    Says(verdict) => return verdict,
                    Takes(long, then) => {
                        tokio::time::sleep(ms(long)).await;
                        step = *then;
                    }
                    Hangs => std::future::pending().await,
                    Panics | PanicsAtOnce => panic!("a defect"),
                }
            }
        })
    }
}

/// The events, each with its time: `"100 a: connect"`.
struct Heard {
    began: Instant,
    ready: Arc<Notify>,
    names: Vec<String>,
    lines: Vec<String>,
    ticks: Vec<u64>,
}

impl Listener for Heard {
    fn event(&mut self, event: Event) {
        let said = |failure: Failure| {
            let hint = failure.hint.as_ref();
            hint.map_or(failure.message.to_string(), |hint| format!("{} ({hint})", failure.message))
        };
        let or_none = |failure: Option<Failure>| failure.map_or("nothing".to_owned(), said);
        let kind = match event.kind {
            EventKind::NotYet(failure) => said(failure),
            EventKind::Ready(ready) => {
                self.ready.notify_one();
                format!("ready: {}", ready.detail)
            }
            EventKind::Confirmed => "confirmed".to_owned(),
            EventKind::Lost(failure) => format!("lost: {}", said(failure)),
            EventKind::TimedOut(failure) => format!("timed out: {}", or_none(failure)),
            EventKind::Proceeded(failure) => format!("proceeded: {}", or_none(failure)),
            EventKind::Hopeless(failure) => format!("hopeless: {}", said(failure)),
            EventKind::NotNeeded => "not needed".to_owned(),
        };
        let now = self.began.elapsed().as_millis();
        let name = &self.names[event.dependency];
        self.lines.push(format!(
            "{now} {name}: {kind} [{} {}]",
            event.attempts,
            event.elapsed.as_millis()
        ));
    }

    fn tick(&mut self) {
        self.ticks.push(self.began.elapsed().as_millis() as u64);
    }
}

/// A wait that is put together and then run once.
pub(super) struct Wait {
    pub(super) began: Instant,
    pub(super) names: Vec<String>,
    pub(super) dependencies: Vec<Dependency>,
    pub(super) asked: Vec<Arc<Mutex<Vec<u64>>>>,
    pub(super) open: Arc<AtomicUsize>,
    pub(super) deadline: Option<u64>,
    pub(super) open_attempts: usize,
    pub(super) signal: Option<(u64, i32)>,
    /// How long the process stands still after its first report of a ready dependency.
    pub(super) stands_still: u64,
    pub(super) random: fn() -> f64,
    pub(super) ask_all: bool,
}

pub(super) struct Ended {
    pub(super) end: End,
    pub(super) took: u64,
    pub(super) lines: Vec<String>,
    pub(super) ticks: Vec<u64>,
    /// When each dependency was asked.
    pub(super) asked: Vec<Vec<u64>>,
}

impl Wait {
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            names: Vec::new(),
            dependencies: Vec::new(),
            asked: Vec::new(),
            open: Arc::default(),
            deadline: None,
            open_attempts: 1000,
            signal: None,
            stands_still: 0,
            random: || 0.0,
            ask_all: false,
        }
    }

    /// Adds a dependency that is asked every 100 ms for 60 s; `set` changes its settings.
    pub(super) fn on(
        self,
        name: &str,
        set: impl FnOnce(&mut Settings),
        script: impl FnMut(usize, u64) -> Step + Send + 'static,
    ) -> Self {
        let mut settings = Settings {
            interval: Some(ms(100)),
            backoff: Backoff::Constant,
            jitter: 0.0,
            ..Settings::default()
        };
        set(&mut settings);
        let after = settings.after.clone();
        let after: Vec<&str> = after.iter().map(String::as_str).collect();
        self.add(name, settings, &after, Needs::All, script)
    }

    /// Adds a choice, whose probe is ready.
    pub(super) fn any(self, name: &str, of: &[&str]) -> Self {
        self.add(name, Settings::default(), of, Needs::One, |_, _| Ready)
    }

    fn add(
        mut self,
        name: &str,
        settings: Settings,
        after: &[&str],
        needs: Needs,
        script: impl FnMut(usize, u64) -> Step + Send + 'static,
    ) -> Self {
        let place = |first: &&str| self.names.iter().position(|name| name == first).unwrap();
        let after = after.iter().map(place).collect();
        let asked = Arc::<Mutex<Vec<u64>>>::default();
        let script = Box::new(script);
        let probe = Scripted {
            script,
            began: self.began,
            asked: Arc::clone(&asked),
            open: Arc::clone(&self.open),
        };
        let (probe, secrets) = (Box::new(probe), Secrets::default());
        secrets.take("s3cr3t");
        self.names.push(name.to_owned());
        self.dependencies.push(Dependency { settings, probe, secrets, after, needs });
        self.asked.push(asked);
        self
    }

    pub(super) async fn run(self) -> Ended {
        let ready = Arc::<Notify>::default();
        let mut heard = Heard {
            began: self.began,
            ready: Arc::clone(&ready),
            names: self.names,
            lines: Vec::new(),
            ticks: Vec::new(),
        };
        let world = WaitContext {
            net: Net::new(|_, _| panic!("no name is to be looked up")),
            open_attempts: self.open_attempts,
            random: self.random,
            pauses: Pauses::by_runtime(),
            deadline: self.deadline.map(ms),
            tick: ms(1000),
            ask_all: self.ask_all,
        };
        let (signal, stands_still) = (self.signal, ms(self.stands_still));
        let stop = async move {
            if !stands_still.is_zero() {
                ready.notified().await;
                tokio::time::advance(stands_still).await;
            }
            match signal {
                Some((at, number)) => {
                    tokio::time::sleep(ms(at)).await;
                    number
                }
                None => std::future::pending().await,
            }
        };
        let end = wait(self.dependencies, world, stop, &mut heard).await;
        assert_eq!(self.open.load(SeqCst), 0, "an attempt outlives the wait");
        let took = self.began.elapsed().as_millis() as u64;
        let asked = self.asked.iter().map(|asked| asked.lock().unwrap().clone()).collect();
        Ended { end, took, lines: heard.lines, ticks: heard.ticks, asked }
    }
}

pub(super) fn plain(_: &mut Settings) {}

pub(super) fn timeout(ms: u64) -> impl FnOnce(&mut Settings) {
    move |settings| settings.timeout = Timeout::After(Duration::from_millis(ms))
}

/// Ready from this time on.
pub(super) fn ready_from(at: u64) -> impl FnMut(usize, u64) -> Step + Send {
    move |_, now| if now >= at { Ready } else { Fails(Class::Connect) }
}

pub(super) fn never(_: usize, _: u64) -> Step {
    Fails(Class::Connect)
}
