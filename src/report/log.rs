//! The lines that afterall writes to standard error, in the format that the user chose.

use serde_json::{Value, json};

use super::{
    Format, github,
    json::object,
    stderr::{Patience, Stderr, prefixed},
};
use crate::exit::Exit;

/// Standard error with its format: plain lines, or JSON objects. The process has one.
#[derive(Default)]
pub struct Log {
    stderr: Stderr,
    is_json: bool,
}

impl Log {
    /// A log of plain lines.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes objects from here on if `format` is `json`.
    pub fn set_format(&mut self, format: Format) {
        self.is_json = format == Format::Json;
    }

    /// Writes a remark on what the user declared, before the wait.
    pub fn note(&mut self, message: &str) {
        if self.is_json {
            self.object("note", None, [("message", json!(message))], Patience::None);
        } else {
            self.line(message, Patience::None);
        }
    }

    /// Writes why the process ends with `exit` and starts no command: one line per error.
    pub fn error(&mut self, exit: Exit, message: &str) {
        if self.is_json {
            let fields = [("exit", json!(exit.code())), ("message", json!(message))];
            self.object("error", None, fields, Patience::Moment);
        } else {
            self.line(message, Patience::Moment);
            self.annotation(message);
        }
    }

    /// Writes the `::error::` line that GitHub shows beside the job, where GitHub runs us.
    pub(super) fn annotation(&mut self, message: &str) {
        if !self.is_json && github::is_runner() {
            self.stderr.write(&github::error(message), Patience::Moment);
        }
    }

    /// Writes one plain line with our prefix.
    pub(super) fn line(&mut self, text: &str, patience: Patience) {
        self.stderr.write(&prefixed(text), patience);
    }

    /// Writes one object.
    pub(super) fn object(
        &mut self,
        event: &str,
        dependency: Option<&str>,
        fields: impl IntoIterator<Item = (&'static str, Value)>,
        patience: Patience,
    ) {
        self.stderr.write(&object(event, dependency, fields), patience);
    }

    /// Writes text as it is, for the live view. Returns true if any of it was accepted.
    pub(super) fn raw(&mut self, text: &str, patience: Patience) -> bool {
        self.stderr.write(text, patience)
    }
}
