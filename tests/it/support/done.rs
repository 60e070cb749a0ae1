//! The result of a run, with strict assertions.

use std::cell::Cell;
use std::ops::{Bound, RangeBounds};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::thread;
use std::time::Duration;

/// A run that has ended. The exit must be asserted, and a stream without an assertion must be
/// empty.
pub struct Done {
    status: ExitStatus,
    stdout: String,
    stderr: String,
    elapsed: Duration,
    exit_told: Cell<bool>,
    stdout_told: Cell<bool>,
    stderr_told: Cell<bool>,
}

impl Done {
    pub(super) fn new(
        status: ExitStatus,
        stdout: String,
        stderr: String,
        elapsed: Duration,
    ) -> Self {
        let told = || Cell::new(false);
        Self {
            status,
            stdout,
            stderr,
            elapsed,
            exit_told: told(),
            stdout_told: told(),
            stderr_told: told(),
        }
    }

    #[track_caller]
    pub fn code(self, expected: i32) -> Self {
        self.exit_told.set(true);
        assert!(
            self.status.code() == Some(expected),
            "expected exit code {expected}\n{}",
            self.story()
        );
        self
    }

    /// Expects that the signal itself ended the process, not an exit code of 128+n.
    #[track_caller]
    pub fn signal(self, expected: i32) -> Self {
        self.exit_told.set(true);
        assert!(
            self.status.signal() == Some(expected),
            "expected signal {expected}\n{}",
            self.story()
        );
        self
    }

    #[track_caller]
    pub fn stdout(self, expected: &str) -> Self {
        self.stdout_told.set(true);
        assert!(self.stdout == expected, "expected stdout {expected:?}\n{}", self.story());
        self
    }

    #[track_caller]
    pub fn stdout_has(self, needle: &str) -> Self {
        self.stdout_told.set(true);
        assert!(self.stdout.contains(needle), "expected {needle:?} in stdout\n{}", self.story());
        self
    }

    #[track_caller]
    pub fn stdout_lacks(self, needle: &str) -> Self {
        assert!(
            !self.stdout.contains(needle),
            "expected no {needle:?} in stdout\n{}",
            self.story()
        );
        self
    }

    #[track_caller]
    pub fn stderr(self, expected: &str) -> Self {
        self.stderr_told.set(true);
        assert!(self.stderr == expected, "expected stderr {expected:?}\n{}", self.story());
        self
    }

    #[track_caller]
    pub fn stderr_has(self, needle: &str) -> Self {
        self.stderr_told.set(true);
        assert!(self.stderr.contains(needle), "expected {needle:?} in stderr\n{}", self.story());
        self
    }

    /// Expects that the text is absent. The stream must still be asserted otherwise, or be empty.
    #[track_caller]
    pub fn stderr_lacks(self, needle: &str) -> Self {
        assert!(
            !self.stderr.contains(needle),
            "expected no {needle:?} in stderr\n{}",
            self.story()
        );
        self
    }

    /// Expects the text exactly so many times.
    #[track_caller]
    pub fn stderr_has_times(self, times: usize, needle: &str) -> Self {
        self.stderr_told.set(true);
        let found = self.stderr.matches(needle).count();
        assert!(
            found == times,
            "expected {needle:?} {times} times in stderr, found {found}\n{}",
            self.story()
        );
        self
    }

    /// Accepts any output.
    pub fn any_stderr(self) -> Self {
        self.stderr_told.set(true);
        self
    }

    pub fn any_stdout(self) -> Self {
        self.stdout_told.set(true);
        self
    }

    /// Expects that neither stream holds the text, e.g. a secret.
    #[track_caller]
    pub fn says_nowhere(self, needle: &str) -> Self {
        self.stderr_lacks(needle).stdout_lacks(needle)
    }

    /// Expects a duration, from the start of the process to its end. The range's end leaves room
    /// for a busy machine.
    #[track_caller]
    pub fn took(self, range: impl RangeBounds<Duration> + std::fmt::Debug) -> Self {
        const GRACE: Duration = Duration::from_secs(20);
        let graced = self.elapsed.saturating_sub(GRACE);
        let is_early = match range.start_bound() {
            Bound::Included(start) | Bound::Excluded(start) => self.elapsed < *start,
            Bound::Unbounded => false,
        };
        let is_late = match range.end_bound() {
            Bound::Included(end) | Bound::Excluded(end) => graced > *end,
            Bound::Unbounded => false,
        };
        assert!(!is_early && !is_late, "expected it to take {range:?}\n{}", self.story());
        self
    }

    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    pub fn status(&self) -> ExitStatus {
        self.exit_told.set(true);
        self.status
    }

    /// The text itself, for other assertions.
    pub fn stderr_text(&self) -> &str {
        self.stderr_told.set(true);
        &self.stderr
    }

    pub fn stdout_text(&self) -> &str {
        self.stdout_told.set(true);
        &self.stdout
    }

    fn story(&self) -> String {
        let Self { status, stdout, stderr, elapsed, .. } = self;
        format!("{status} after {elapsed:?}\n--- stdout\n{stdout}--- stderr\n{stderr}---")
    }
}

impl Drop for Done {
    fn drop(&mut self) {
        if thread::panicking() {
            return;
        }
        assert!(self.exit_told.get(), "the test says nothing about the exit\n{}", self.story());
        assert!(
            self.stdout_told.get() || self.stdout.is_empty(),
            "expected silence on stdout\n{}",
            self.story()
        );
        assert!(
            self.stderr_told.get() || self.stderr.is_empty(),
            "expected silence on stderr\n{}",
            self.story()
        );
    }
}
