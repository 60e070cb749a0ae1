//! Standard error as a value that never blocks: signals are read by the thread that writes here.

use std::{
    cell::OnceCell,
    io::{self, IsTerminal},
    os::fd::{AsFd, OwnedFd},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{FileType, Mode, OFlags},
    io::Errno,
};

/// The longest line, in bytes. A pipe that polls as writable takes PIPE_BUF (4,096) bytes at once.
pub(super) const MAX_LINE: usize = 4_000;
/// The bytes that a terminal that polls as writable takes at once. Its buffer grows by 256, and a
/// line feed becomes two bytes.
const MAX_TO_TERMINAL: usize = 128;

/// The time for which a write may wait for a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// A text that the reader does not accept at once is lost.
    None,
    /// A slow reader gets 50 ms. For texts that decide or end something.
    Moment,
}

impl Patience {
    fn duration(self) -> Duration {
        match self {
            Patience::None => Duration::ZERO,
            Patience::Moment => Duration::from_millis(50),
        }
    }
}

/// Standard error, and the bytes that it has not accepted yet.
#[derive(Default)]
pub(super) struct Stderr {
    /// The rest of a text that was accepted in part. The next text follows it, so that no text
    /// starts in the middle of another's line.
    unsent: Vec<u8>,
    /// True if a slow reader has used its 50 ms. It gets them only once, or two hundred last lines
    /// would delay the end by ten seconds.
    reader_is_gone: bool,
    own: OnceCell<Option<OwnedFd>>,
}

impl Stderr {
    /// Writes what the reader accepts in time. Returns true if any of it was accepted. The rest
    /// then precedes the next text. A text of which nothing was accepted is dropped.
    pub(super) fn write(&mut self, text: &str, patience: Patience) -> bool {
        let patience = if self.reader_is_gone { Patience::None } else { patience };
        let before = self.unsent.len();
        self.unsent.extend_from_slice(text.as_bytes());
        let sent = self.send(patience.duration());
        if sent < self.unsent.len() && patience != Patience::None {
            self.reader_is_gone = true;
        }
        let is_begun = sent > before;
        if !is_begun {
            self.unsent.truncate(before);
        }
        self.unsent.drain(..sent);
        is_begun
    }

    /// Sends from `unsent` without ever blocking. Returns the number of bytes that were accepted.
    fn send(&self, patience: Duration) -> usize {
        let (stderr, own) = (io::stderr(), self.own.get_or_init(reopened).as_ref());
        let fd = own.map_or(stderr.as_fd(), AsFd::as_fd);
        let is_shared_terminal = own.is_none() && stderr.is_terminal();
        let at_once = if is_shared_terminal { MAX_TO_TERMINAL } else { MAX_LINE };
        let until = Instant::now() + patience;
        let mut sent = 0;
        while sent < self.unsent.len() {
            if !is_writable(&fd, until.saturating_duration_since(Instant::now())) {
                break;
            }
            match rustix::io::write(fd, chunk(&self.unsent[sent..], at_once)) {
                Ok(0) | Err(Errno::AGAIN) => break,
                Ok(count) => sent += count,
                // A closed or broken stderr must not keep a service from starting.
                Err(_) => return self.unsent.len(),
            }
        }
        sent
    }
}

/// Writes one line to standard error, past every [`Stderr`]. It is for a panic, which may come from
/// any thread and in the middle of another write. The line is lost where writing could block.
pub fn raw_line(text: &str) {
    let (stderr, line) = (io::stderr(), prefixed(text));
    let at_once = if stderr.is_terminal() { MAX_TO_TERMINAL } else { MAX_LINE };
    for part in line.as_bytes().chunks(at_once) {
        if !is_writable(&stderr.as_fd(), Duration::ZERO)
            || rustix::io::write(&stderr, part).is_err()
        {
            return;
        }
    }
}

/// Returns a line of the log with prefix and line feed. It is cut to the length that a pipe takes
/// at once.
pub(super) fn prefixed(text: &str) -> String {
    let fits = (0..=text.len().min(MAX_LINE)).rev().find(|&end| text.is_char_boundary(end));
    let end = fits.unwrap_or_default();
    format!("afterall: {}\n", &text[..end])
}

fn is_writable(fd: &impl AsFd, within: Duration) -> bool {
    let at_most = Timespec { tv_sec: 0, tv_nsec: within.subsec_nanos().into() };
    let ready = poll(&mut [PollFd::new(fd, PollFlags::OUT)], Some(&at_most));
    ready.is_ok_and(|ready| ready > 0)
}

/// Returns as many whole lines as `max` bytes hold, or else a part of one. Another process's text
/// then comes between lines, not within one.
fn chunk(bytes: &[u8], max: usize) -> &[u8] {
    let most = &bytes[..bytes.len().min(max)];
    let lines = most.iter().rposition(|byte| *byte == b'\n').map_or(most.len(), |end| end + 1);
    &most[..lines]
}

/// Opens the pipe or terminal behind stderr once more, without blocking.
///
/// The descriptor itself is shared, so O_NONBLOCK on it would affect the command and the shell too.
/// Without /proc, or on another user's terminal, writes are limited to chunks that fit.
fn reopened() -> Option<OwnedFd> {
    let stderr = io::stderr();
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&stderr).ok()?.st_mode);
    // A file never blocks, and a new descriptor would write from its start.
    if kind != FileType::Fifo && !stderr.is_terminal() {
        return None;
    }
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    rustix::fs::open("/proc/self/fd/2", flags, Mode::empty()).ok()
}
