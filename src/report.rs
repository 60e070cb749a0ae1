//! The only printer. Everything about the wait goes to stderr; it must neither block the wait nor end it.

mod plain;

use std::{
    io::{self, Write},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

pub use plain::Plain;

use crate::{event::Event, probe::Failure};

/// The longest line, in bytes: what a pipe that polls as writable takes at once is PIPE_BUF, 4,096.
const MAX_LINE: usize = 4_000;

/// A reader was given a moment and did not use it; there is no second one.
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

/// Writes one line to stderr, prefixed. A full pipe that nobody reads loses the line rather than hold up the wait.
pub fn line(text: &str) {
    let patience = Timespec { tv_sec: 0, tv_nsec: 0 };
    write_line(text, &patience);
}

/// The same for what is said last: a reader that is merely slow is given a moment, once.
pub fn last_line(text: &str) {
    let patience = Timespec { tv_sec: 0, tv_nsec: if NOBODY_READS.load(Relaxed) { 0 } else { 50_000_000 } };
    write_line(text, &patience);
}

fn write_line(text: &str, patience: &Timespec) {
    let stderr = io::stderr();
    let mut fds = [PollFd::new(&stderr, PollFlags::OUT)];
    let writable = poll(&mut fds, Some(patience)).is_ok_and(|n| n > 0);
    if writable {
        let end = (0..=text.len().min(MAX_LINE)).rev().find(|&n| text.is_char_boundary(n)).unwrap_or_default();
        let text = &text[..end];
        // A closed or broken stderr is no reason to keep a service from starting.
        let _ = stderr.lock().write_all(format!("afterall: {text}\n").as_bytes());
    } else if patience.tv_nsec > 0 {
        NOBODY_READS.store(true, Relaxed);
    }
}

/// `message [class=connect attempt=3 elapsed=0.2s] hint: ...`
fn described(failure: &Failure, counted: &str, event: &Event) -> String {
    let hint = failure.hint.as_ref().map(|hint| format!(" hint: {hint}")).unwrap_or_default();
    let Event { attempts, elapsed, .. } = event;
    let elapsed = elapsed_text(*elapsed);
    format!("{} [class={} {counted}={attempts} elapsed={elapsed}]{hint}", failure.message, failure.class)
}

fn elapsed_text(elapsed: Duration) -> String {
    format!("{:.1}s", elapsed.as_secs_f64())
}
