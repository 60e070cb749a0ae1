//! The only printer. Everything about the wait goes to stderr; it must neither block the wait nor end it.

mod json;
mod live;
mod notify;
mod once;
mod plain;
mod progress;

use std::{
    io::{self, IsTerminal},
    os::fd::{AsFd, OwnedFd},
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{FileType, Mode, OFlags},
    io::Errno,
};

pub use notify::SystemdNotify;

use crate::{
    probe::Failure,
    wait::{
        Listener,
        event::{End, Event},
        settings::{Settings, Timeout},
    },
};

/// The longest line, in bytes: what a pipe that polls as writable takes at once is PIPE_BUF, 4,096.
const MAX_LINE: usize = 4_000;
/// What a terminal that polls as writable takes at once, in bytes: its buffer grows by 256, and a line's end becomes two bytes.
const MAX_TO_TERMINAL: usize = 128;
/// How long a reader that is merely slow is waited for.
const A_MOMENT: Duration = Duration::from_millis(50);

/// A reader was given a moment and did not use it. There is no second one, or two hundred last lines would take ten seconds.
static NOBODY_READS: AtomicBool = AtomicBool::new(false);

/// What is left of a text that was taken in part. It comes before all others, or they would start in the middle of its line.
static REST: Mutex<Vec<u8>> = Mutex::new(Vec::new());

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
        found
            .map(|(_, format)| format)
            .ok_or_else(|| format!("is one of {}", Self::ALL.map(|(name, _)| name).join(", ")))
    }

    /// Settles `auto`: live only where stderr is a terminal that can move its cursor, and somebody watches it.
    pub fn settled(self) -> Self {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let is_dumb = || variable("TERM").is_none_or(|term| term == "dumb");
        let is_first = || rustix::process::getpid().is_init();
        match self {
            Format::Auto
                if io::stderr().is_terminal()
                    && !is_dumb()
                    && variable("CI").is_none()
                    && !is_first() =>
            {
                Format::Live
            }
            Format::Auto => Format::Plain,
            format => format,
        }
    }
}

/// What a report is about: one dependency.
#[derive(Clone, Debug)]
pub struct ReportedDependency {
    /// What messages call it.
    pub name: String,
    /// How long it may take.
    pub timeout: Timeout,
}

impl ReportedDependency {
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
pub fn report(
    format: Format,
    subjects: Vec<ReportedDependency>,
    verbosity: Verbosity,
) -> Box<dyn Report> {
    match format.settled() {
        Format::Json => Box::new(json::Json::new(subjects, verbosity)),
        // Every attempt is a log, and a log does not move.
        Format::Live if verbosity == Verbosity::Normal => Box::new(live::Live::new(subjects)),
        _ => Box::new(plain::Plain::new(subjects, verbosity)),
    }
}

/// The report for `--once`: on stdout, for people or, in JSON, for scripts.
pub fn once(format: Format, subjects: Vec<ReportedDependency>) -> Box<dyn Report> {
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
    write(&prefixed(text), A_MOMENT);
}

fn prefixed(text: &str) -> String {
    let end = (0..=text.len().min(MAX_LINE))
        .rev()
        .find(|&n| text.is_char_boundary(n))
        .unwrap_or_default();
    format!("afterall: {}\n", &text[..end])
}

/// Writes to stderr what is taken within `patience`. Whether it was begun: then the rest of it follows before the next text.
fn write(text: &str, patience: Duration) -> bool {
    // Held only by ourselves, in the middle of a write that panics.
    let Ok(mut rest) = REST.try_lock() else { return false };
    let patience = if NOBODY_READS.load(Relaxed) { Duration::ZERO } else { patience };
    let before = rest.len();
    rest.extend_from_slice(text.as_bytes());
    let taken = send(&rest, patience);
    if taken < rest.len() && !patience.is_zero() {
        NOBODY_READS.store(true, Relaxed);
    }
    let is_begun = taken > before;
    if !is_begun {
        rest.truncate(before);
    }
    rest.drain(..taken);
    is_begun
}

/// How many of these bytes stderr takes without ever blocking: signals are read by this very thread.
fn send(bytes: &[u8], patience: Duration) -> usize {
    let (stderr, own) = (io::stderr(), unblocking());
    let fd = own.map_or(stderr.as_fd(), AsFd::as_fd);
    let at_once = if own.is_none() && stderr.is_terminal() { MAX_TO_TERMINAL } else { MAX_LINE };
    let until = Instant::now() + patience;
    let mut taken = 0;
    while taken < bytes.len() {
        let left = until.saturating_duration_since(Instant::now());
        let at_most = Timespec { tv_sec: 0, tv_nsec: left.subsec_nanos().into() };
        if !poll(&mut [PollFd::new(&fd, PollFlags::OUT)], Some(&at_most))
            .is_ok_and(|ready| ready > 0)
        {
            break;
        }
        match rustix::io::write(fd, chunk(&bytes[taken..], at_once)) {
            Ok(0) | Err(Errno::AGAIN) => break,
            Ok(count) => taken += count,
            // A closed or broken stderr is no reason to keep a service from starting.
            Err(_) => return bytes.len(),
        }
    }
    taken
}

/// As many whole lines as `max` holds, or else a part of one: another's words come between lines rather than within one.
fn chunk(bytes: &[u8], max: usize) -> &[u8] {
    let most = &bytes[..bytes.len().min(max)];
    let lines = most.iter().rposition(|byte| *byte == b'\n').map_or(most.len(), |end| end + 1);
    &most[..lines]
}

/// The pipe or terminal that stderr is, opened once more: O_NONBLOCK on the one that we share would be the command's, and the
/// shell's, too. Without /proc, or where the terminal is another user's, chunks that fit have to do.
fn unblocking() -> Option<&'static OwnedFd> {
    static OWN: OnceLock<Option<OwnedFd>> = OnceLock::new();
    let open = || {
        let stderr = io::stderr();
        let kind = FileType::from_raw_mode(rustix::fs::fstat(&stderr).ok()?.st_mode);
        // A file would be written from its start, and never blocks.
        if kind != FileType::Fifo && !stderr.is_terminal() {
            return None;
        }
        let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        rustix::fs::open("/proc/self/fd/2", flags, Mode::empty()).ok()
    };
    OWN.get_or_init(open).as_ref()
}

/// `message [class=connect attempt=3 elapsed=0.2s] hint: ...`
fn described(failure: &Failure, counted: &str, event: &Event) -> String {
    let hint = failure.hint.as_ref().map(|hint| format!(" hint: {hint}")).unwrap_or_default();
    let Event { attempts, elapsed, .. } = event;
    let elapsed = elapsed_text(*elapsed);
    format!(
        "{} [class={} {counted}={attempts} elapsed={elapsed}]{hint}",
        failure.message, failure.class
    )
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
