//! The only printer. Everything about the wait goes to stderr; it must neither block the wait nor end it.

mod json;
mod live;
mod notify;
mod once;
mod plain;
mod progress;

use std::{
    io::{self, IsTerminal, Write},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

pub use notify::Notifying;

use crate::{
    event::{End, Event},
    keys::{Settings, Timeout},
    probe::Failure,
    wait::Listener,
};

/// The longest line, in bytes: what a pipe that polls as writable takes at once is PIPE_BUF, 4,096.
const MAX_LINE: usize = 4_000;

/// A reader was given a moment and did not use it. There is no second one, or two hundred last lines would take ten seconds.
static NOBODY_READS: AtomicBool = AtomicBool::new(false);

/// How much is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Only what ends the wait or is left behind.
    Quiet,
    /// The first failure, changes, a line now and then, and what became ready.
    Normal,
    /// Every attempt.
    Verbose,
}

/// How the wait is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `live` where a person watches, `plain` elsewhere.
    Auto,
    /// A line per dependency that moves while it waits.
    Live,
    /// A line per event.
    Plain,
    /// An object per line.
    Json,
}

impl Format {
    /// Every format, as it is written.
    pub const ALL: [(&str, Format); 4] =
        [("auto", Format::Auto), ("live", Format::Live), ("plain", Format::Plain), ("json", Format::Json)];

    /// Reads the option.
    ///
    /// # Errors
    /// Names the choices.
    pub fn parse(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|(name, _)| *name == text);
        found.map(|(_, format)| format).ok_or_else(|| format!("is one of {}", Self::ALL.map(|(name, _)| name).join(", ")))
    }

    /// Settles `auto`: live only where stderr is a terminal that can move its cursor, and somebody watches it.
    pub fn settled(self) -> Self {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let is_dumb = || variable("TERM").is_none_or(|term| term == "dumb");
        let is_first = || rustix::process::getpid().is_init();
        match self {
            Format::Auto if io::stderr().is_terminal() && !is_dumb() && variable("CI").is_none() && !is_first() => Format::Live,
            Format::Auto => Format::Plain,
            format => format,
        }
    }
}

/// What a report is about: one dependency.
#[derive(Clone, Debug)]
pub struct Subject {
    /// What messages call it.
    pub name: String,
    /// How long it may take.
    pub timeout: Timeout,
}

impl Subject {
    /// The subject of these settings.
    pub fn new(name: &str, settings: &Settings) -> Self {
        Self { name: name.to_owned(), timeout: settings.timeout }
    }
}

/// Somebody who hears of the wait, and of how it ended.
pub trait Report: Listener {
    /// The wait is over; what the events did not say is said now.
    fn end(&mut self, end: End);

    /// The command takes our place.
    fn becoming(&mut self, _command: &str) {}

    /// How often it wants to hear that time has passed.
    fn tick_every(&self) -> Duration {
        Duration::from_secs(1)
    }
}

/// The report for a wait.
pub fn report(format: Format, subjects: Vec<Subject>, verbosity: Verbosity) -> Box<dyn Report> {
    match format.settled() {
        Format::Json => Box::new(json::Json::new(subjects, verbosity)),
        // Every attempt is a log, and a log does not move.
        Format::Live if verbosity == Verbosity::Normal => Box::new(live::Live::new(subjects)),
        _ => Box::new(plain::Plain::new(subjects, verbosity)),
    }
}

/// The report for `--once`: on stdout, for people or, in JSON, for scripts.
pub fn once(format: Format, subjects: Vec<Subject>) -> Box<dyn Report> {
    Box::new(once::Once::new(subjects, format == Format::Json))
}

/// A remark on what was declared, before anything is waited for.
pub fn note(format: Format, text: &str) {
    match format {
        Format::Json => json::note(text),
        _ => line(text),
    }
}

/// Writes one line to stderr, prefixed. A full pipe that nobody reads loses the line rather than hold up the wait.
pub fn line(text: &str) {
    write(&prefixed(text), Duration::ZERO);
}

/// The same for what is said last: a reader that is merely slow is given a moment, once.
pub fn last_line(text: &str) {
    write(&prefixed(text), Duration::from_millis(50));
}

fn prefixed(text: &str) -> String {
    let end = (0..=text.len().min(MAX_LINE)).rev().find(|&n| text.is_char_boundary(n)).unwrap_or_default();
    format!("afterall: {}\n", &text[..end])
}

/// Writes to stderr what fits at once. Whether it was taken.
fn write(text: &str, patience: Duration) -> bool {
    let stderr = io::stderr();
    let patience = if NOBODY_READS.load(Relaxed) { Duration::ZERO } else { patience };
    let mut fds = [PollFd::new(&stderr, PollFlags::OUT)];
    let at_most = Timespec { tv_sec: 0, tv_nsec: patience.subsec_nanos().into() };
    let is_taken = poll(&mut fds, Some(&at_most)).is_ok_and(|ready| ready > 0);
    if is_taken {
        // A closed or broken stderr is no reason to keep a service from starting.
        let _ = stderr.lock().write_all(text.as_bytes());
    } else if !patience.is_zero() {
        NOBODY_READS.store(true, Relaxed);
    }
    is_taken
}

/// `message [class=connect attempt=3 elapsed=0.2s] hint: ...`
fn described(failure: &Failure, counted: &str, event: &Event) -> String {
    let hint = failure.hint.as_ref().map(|hint| format!(" hint: {hint}")).unwrap_or_default();
    let Event { attempts, elapsed, .. } = event;
    let elapsed = elapsed_text(*elapsed);
    format!("{} [class={} {counted}={attempts} elapsed={elapsed}]{hint}", failure.message, failure.class)
}

/// The same where no attempt may have come to an end.
fn described_last(failure: Option<&Failure>, event: &Event) -> String {
    match failure {
        Some(failure) => described(failure, "attempts", event),
        None => format!("no attempt came to an end [elapsed={}]", elapsed_text(event.elapsed)),
    }
}

fn elapsed_text(elapsed: Duration) -> String {
    format!("{:.1}s", elapsed.as_secs_f64())
}
