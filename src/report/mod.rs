//! The only printer. Everything about the wait goes to stderr; it neither blocks the wait nor ends
//! it.
//!
//! A [`Report`] receives the engine's events, keeps one [`WaitState`], and lets one view show it.

mod github;
mod json;
mod layout;
mod live;
mod log;
mod once;
mod plain;
mod schedule;
mod state;
mod stderr;
mod systemd;
mod words;

use std::{
    io::{self, IsTerminal},
    time::{Duration, Instant},
};

pub use log::Log;
pub use once::Unaskable;
pub use state::ReportedDependency;
use state::WaitState;
pub use stderr::raw_line;
use systemd::Systemd;

use crate::wait::{
    Listener,
    event::{End, Event},
};

/// How much is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Only the end of the wait, and dependencies that were proceeded past.
    Quiet,
    /// The first failure, changes, occasional repeats, and ready dependencies.
    Normal,
    /// Every attempt.
    Verbose,
}

/// How the wait is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `live` if a person watches, else `plain`.
    Auto,
    /// A line per dependency that moves while it waits.
    Live,
    /// A line per event.
    Plain,
    /// An object per line.
    Json,
}

impl Format {
    /// Every format with its name in the option.
    pub const ALL: [(&str, Format); 4] = [
        ("auto", Format::Auto),
        ("live", Format::Live),
        ("plain", Format::Plain),
        ("json", Format::Json),
    ];

    /// Reads the option.
    ///
    /// # Errors
    /// Names the choices.
    pub fn parse(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|(name, _)| *name == text);
        let names = || Self::ALL.map(|(name, _)| name).join(", ");
        found.map(|(_, format)| format).ok_or_else(|| format!("must be one of {}", names()))
    }

    /// Returns true if the view is live. `auto` is live only where stderr is a terminal that can
    /// move its cursor, and somebody watches it.
    fn is_live(self) -> bool {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let is_dumb = || variable("TERM").is_none_or(|term| term == "dumb");
        let is_watched = || {
            io::stderr().is_terminal()
                && !is_dumb()
                && variable("CI").is_none()
                && !rustix::process::getpid().is_init()
        };
        self == Format::Live || self == Format::Auto && is_watched()
    }
}

/// The user's choices for the report.
#[derive(Clone, Copy, Debug)]
pub struct ReportOptions {
    /// How the wait is shown.
    pub format: Format,
    /// How much is reported.
    pub verbosity: Verbosity,
    /// The timeout of everything that still waits.
    pub deadline: Option<Duration>,
}

/// Receives the events of the wait, and shows them.
pub struct Report {
    view: Box<dyn View>,
    log: Log,
    wait: WaitState,
    verbosity: Verbosity,
    systemd: Option<Systemd>,
    /// The dependencies of a look that have a mistake.
    unaskable: Vec<Unaskable>,
}

impl Report {
    /// Makes the report of a wait. It notifies systemd too, if NOTIFY_SOCKET is set.
    pub fn for_wait(
        log: Log,
        dependencies: Vec<ReportedDependency>,
        options: ReportOptions,
    ) -> Self {
        let verbosity = options.verbosity;
        let view: Box<dyn View> = match options.format {
            Format::Json => Box::new(json::Json),
            // A report of every attempt is a log, which the live view cannot show.
            format if verbosity == Verbosity::Normal && format.is_live() => {
                Box::<live::Live>::default()
            }
            _ => Box::new(plain::Plain),
        };
        let wait = WaitState::new(dependencies, options.deadline);
        let systemd = Systemd::listening();
        let mut report = Self { view, log, wait, verbosity, systemd, unaskable: Vec::new() };
        report.show(|view, context| view.begin(context));
        report.tell_systemd();
        report
    }

    /// Makes the report of `--once` on stdout, as a table or as JSON.
    pub fn for_look(
        log: Log,
        dependencies: Vec<ReportedDependency>,
        unaskable: Vec<Unaskable>,
        options: ReportOptions,
    ) -> Self {
        let is_json = options.format == Format::Json;
        let view = Box::new(once::Once::new(is_json, unaskable.clone()));
        let wait = WaitState::new(dependencies, options.deadline);
        Self { view, log, wait, verbosity: options.verbosity, systemd: None, unaskable }
    }

    /// Returns true if a dependency of the look has a mistake.
    pub fn has_unaskable(&self) -> bool {
        !self.unaskable.is_empty()
    }

    /// Reports how the wait ended.
    pub fn end(&mut self, end: End) {
        if self.wait.dependencies.is_empty() && end == End::Ready {
            return;
        }
        if let Some(systemd) = &self.systemd {
            systemd.ended(end, &self.wait);
        }
        self.show(|view, context| view.end(end, context));
        let unaskable = self.unaskable.iter().map(Unaskable::line);
        let lines: Vec<String> = match end {
            End::TimedOut | End::Hopeless => {
                words::not_ready(&self.wait).chain(unaskable).collect()
            }
            End::Ready => unaskable.collect(),
            End::Signal(_) => Vec::new(),
        };
        if !lines.is_empty() {
            self.log.annotation(&lines.join("\n"));
        }
    }

    /// Reports that the command takes our place.
    pub fn becoming(&mut self, command: &str) {
        if let Some(systemd) = &self.systemd {
            systemd.starting(command);
        }
        self.show(|view, context| view.becoming(command, context));
    }

    /// Returns the log, for what is reported after the wait.
    pub fn into_log(mut self) -> Log {
        let log = std::mem::take(&mut self.log);
        self.systemd = None;
        // The process ends, or becomes the command. To free the states of a thousand dependencies
        // would take a fiftieth of their start.
        std::mem::forget(self);
        log
    }

    /// Returns the interval at which the report needs `tick`.
    pub fn tick_every(&self) -> Duration {
        self.view.tick_every()
    }

    fn show(&mut self, show: impl FnOnce(&mut dyn View, &mut Context)) {
        let Self { view, log, wait, verbosity, .. } = self;
        show(view.as_mut(), &mut Context { log, wait, verbosity: *verbosity });
    }

    fn tell_systemd(&mut self) {
        if let Some(systemd) = &mut self.systemd {
            systemd.update(&self.wait);
        }
    }
}

impl Listener for Report {
    fn event(&mut self, event: Event) {
        let started = self.wait.note(&event, Instant::now());
        self.show(|view, context| view.event(&event, &started, context));
        self.tell_systemd();
    }

    fn tick(&mut self) {
        self.show(|view, context| view.tick(context));
        self.tell_systemd();
    }
}

/// One way to show a wait.
trait View: Send {
    /// The wait begins.
    fn begin(&mut self, _context: &mut Context) {}

    /// Shows an event, which started the clocks of `started`. The state includes the event already.
    fn event(&mut self, event: &Event, started: &[usize], context: &mut Context);

    /// Time has passed.
    fn tick(&mut self, context: &mut Context);

    /// The wait is over.
    fn end(&mut self, end: End, context: &mut Context);

    /// The command takes our place.
    fn becoming(&mut self, _command: &str, _context: &mut Context) {}

    /// The interval between two calls of `tick`.
    fn tick_every(&self) -> Duration {
        Duration::from_secs(1)
    }
}

/// The data that a view uses.
struct Context<'a> {
    log: &'a mut Log,
    wait: &'a mut WaitState,
    verbosity: Verbosity,
}
