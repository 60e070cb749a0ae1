//! `--once`: reports each dependency's state on stdout, in one table or as one object per line.

use std::{
    io::{self, IsTerminal, Write},
    time::Duration,
};

use serde_json::json;

use super::{
    Context, View, json,
    layout::{Style, is_color_allowed, padded, shortened, width, wrapped},
    state::DependencyState,
    stderr::Patience,
    words,
};
use crate::{
    exit::Exit,
    signals,
    spec::ConfigError,
    text::seconds,
    wait::event::{End, Event, EventKind},
};

/// The narrowest column for reasons. A narrower terminal gets them below the row.
const MIN_REASON: usize = 30;

/// A dependency that cannot be asked, because its declaration has a mistake.
#[derive(Clone, Debug)]
pub struct Unaskable {
    name: String,
    reason: String,
}

impl Unaskable {
    /// Returns the dependencies that have the errors, each once.
    pub fn all(errors: &[ConfigError]) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        for error in errors {
            let name = error.dependency().unwrap_or_default();
            let reason = error.without_name();
            match all.iter_mut().find(|unaskable| unaskable.name == name) {
                Some(known) => known.reason = format!("{}; {reason}", known.reason),
                None => all.push(Self { name: name.to_owned(), reason: reason.to_owned() }),
            }
        }
        all
    }

    /// Returns the line for an annotation: `db: cannot be asked: the variable X is not set`.
    pub(super) fn line(&self) -> String {
        format!("{}: {CANNOT_BE_ASKED}: {}", self.name, self.reason)
    }
}

/// The state of an [`Unaskable`].
const CANNOT_BE_ASKED: &str = "cannot be asked";

/// The state of a dependency that is one of several, where another is ready.
const NOT_NEEDED: &str = "not needed";

/// The report of a single look.
pub(super) struct Once {
    is_json: bool,
    unaskable: Vec<Unaskable>,
}

impl Once {
    pub(super) fn new(is_json: bool, unaskable: Vec<Unaskable>) -> Self {
        Self { is_json, unaskable }
    }
}

impl View for Once {
    fn event(&mut self, _event: &Event, _started: &[usize], _context: &mut Context) {}

    fn tick(&mut self, _context: &mut Context) {}

    fn end(&mut self, end: End, context: &mut Context) {
        if let End::Signal(signal) = end {
            let line = format!("ended by {}", signals::name(signal));
            return context.log.line(&line, Patience::Moment);
        }
        let dependencies = &context.wait.dependencies;
        let text = if self.is_json {
            let mistakes = self.unaskable.iter().map(error_object);
            dependencies.iter().map(object).chain(mistakes).collect()
        } else {
            let mistakes = self.unaskable.iter().map(Row::of_mistake);
            let rows: Vec<Row> = dependencies.iter().map(Row::new).chain(mistakes).collect();
            table(&rows, Paper::stdout())
        };
        // If stdout is broken, only the exit code can report the fault.
        let _ = io::stdout().write_all(text.as_bytes());
    }
}

fn object(dependency: &DependencyState) -> String {
    let name = Some(dependency.name.as_str());
    let Some(event) = &dependency.outcome else { return json::object("unready", name, []) };
    let kind = match event.kind {
        EventKind::Ready(_) => "ready",
        EventKind::Hopeless(_) => "hopeless",
        EventKind::NotNeeded => "unneeded",
        _ => "unready",
    };
    json::object(kind, name, json::fields(event))
}

fn error_object(unaskable: &Unaskable) -> String {
    let message = format!("{CANNOT_BE_ASKED}: {}", unaskable.reason);
    let fields = [("exit", json!(Exit::Usage.code())), ("message", json!(message))];
    json::object("error", Some(&unaskable.name), fields)
}

/// The output for the table.
#[derive(Clone, Copy)]
struct Paper {
    /// The width of the terminal; `None` for a file or a pipe, where each row is one line.
    columns: Option<usize>,
    color: bool,
}

impl Paper {
    fn stdout() -> Self {
        let stdout = io::stdout();
        if !stdout.is_terminal() {
            return Self { columns: None, color: false };
        }
        let size = rustix::termios::tcgetwinsize(&stdout);
        let columns = size.map_or(80, |size| usize::from(size.ws_col));
        let columns = if columns == 0 { 80 } else { columns };
        Self { columns: Some(columns), color: is_color_allowed() }
    }
}

/// One row of the table.
struct Row {
    is_ready: bool,
    name: String,
    state: &'static str,
    took: String,
    reason: String,
    hint: Option<String>,
}

impl Row {
    fn new(dependency: &DependencyState) -> Self {
        let event = dependency.outcome.as_ref();
        let (is_ready, state, reason, hint) = match event.map(|event| &event.kind) {
            Some(EventKind::Ready(ready)) => (true, "ready", ready.detail.clone(), None),
            Some(EventKind::NotNeeded) => {
                (true, NOT_NEEDED, "another one is enough".to_owned(), None)
            }
            kind => match kind.and_then(EventKind::failure) {
                Some(failure) => {
                    let reason = format!("{} [class={}]", failure.message, failure.class);
                    let hint = words::hint_of(failure).map(|hint| format!("hint: {hint}"));
                    (false, "not ready", reason, hint)
                }
                None => (false, "not ready", "no attempt came to an end".to_owned(), None),
            },
        };
        let took = event.map(|event| took(event.elapsed)).unwrap_or_default();
        Self { is_ready, name: dependency.name.clone(), state, took, reason, hint }
    }

    fn of_mistake(unaskable: &Unaskable) -> Self {
        Self {
            is_ready: false,
            name: unaskable.name.clone(),
            state: CANNOT_BE_ASKED,
            took: String::new(),
            reason: unaskable.reason.clone(),
            hint: None,
        }
    }

    fn style(&self) -> Style {
        if self.is_ready { Style::Good } else { Style::Bad }
    }
}

fn took(elapsed: Duration) -> String {
    if elapsed < Duration::from_secs(1) {
        format!("{:.1} ms", elapsed.as_secs_f64() * 1000.0)
    } else {
        seconds(elapsed)
    }
}

/// Returns the rows, then a line with the totals.
fn table(rows: &[Row], paper: Paper) -> String {
    let widest = |text: fn(&Row) -> &str| rows.iter().map(|row| width(text(row))).max();
    let names = widest(|row| &row.name).unwrap_or(0);
    let names = paper.columns.map_or(names, |columns| names.min((columns / 3).max(12)));
    let states = widest(|row| row.state).unwrap_or(0);
    let times = widest(|row| &row.took).unwrap_or(0);
    // Mark, name, state, time, and the gaps between them.
    let head = 2 + names + 2 + states + 2 + times + 2;
    let mut out = String::new();
    for row in rows {
        let mark = if row.is_ready { '✓' } else { '✗' };
        let name = padded(&shortened(&row.name, names), names);
        let state = padded(row.state, states);
        let start = row.style().paint(&format!("{mark} {name}  {state}"), paper.color);
        out += &format!("{start}  {:>times$}", row.took);
        match paper.columns {
            None => {
                out += &format!("  {}", row.reason);
                out.extend(row.hint.iter().map(|hint| format!(" {hint}")));
                out.push('\n');
            }
            Some(columns) => out += &wrapped_reason(row, head, columns),
        }
    }
    let wanted = rows.iter().filter(|row| row.state != NOT_NEEDED);
    let (wanted, ready) = (wanted.clone().count(), wanted.filter(|row| row.is_ready).count());
    let style = if ready == wanted { Style::Good } else { Style::Bad };
    out + &style.paint(&format!("{ready} of {wanted} ready"), paper.color) + "\n"
}

/// Puts reason and hint beside the head of a row, or below it if the terminal is too narrow.
fn wrapped_reason(row: &Row, head: usize, columns: usize) -> String {
    let beside = columns.saturating_sub(head);
    let is_beside = beside >= MIN_REASON;
    let (indent, width) = if is_beside { (head, beside) } else { (4, columns.saturating_sub(4)) };
    let texts = [Some(&row.reason), row.hint.as_ref()];
    let lines = texts.into_iter().flatten().flat_map(|text| wrapped(text, width));
    let mut out = String::new();
    for (n, line) in lines.enumerate() {
        if n == 0 && is_beside {
            out += &format!("  {line}");
        } else {
            out += &format!("\n{}{line}", " ".repeat(indent));
        }
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Row> {
        let row = |is_ready, name: &str, took: &str, reason: &str, hint: Option<&str>| Row {
            is_ready,
            name: name.to_owned(),
            state: if is_ready { "ready" } else { "not ready" },
            took: took.to_owned(),
            reason: reason.to_owned(),
            hint: hint.map(str::to_owned),
        };
        let refused = "connection refused (127.0.0.1:1) [class=connect]";
        vec![
            row(true, "db", "1.2 ms", "PostgreSQL 15.18", None),
            row(false, "cache", "12.0 ms", refused, Some("hint: is it started?")),
        ]
    }

    #[test]
    fn a_file_gets_one_line_per_row() {
        let paper = Paper { columns: None, color: false };
        let want = "\
✓ db     ready       1.2 ms  PostgreSQL 15.18
✗ cache  not ready  12.0 ms  connection refused (127.0.0.1:1) [class=connect] hint: is it started?
1 of 2 ready
";
        assert_eq!(table(&rows(), paper), want);
    }

    #[test]
    fn a_terminal_gets_wrapped_reasons() {
        let at = |columns| table(&rows(), Paper { columns: Some(columns), color: false });
        let want = "\
✓ db     ready       1.2 ms  PostgreSQL 15.18
✗ cache  not ready  12.0 ms  connection refused (127.0.0.1:1)
                             [class=connect]
                             hint: is it started?
1 of 2 ready
";
        assert_eq!(at(64), want);
        let want = "\
✓ db     ready       1.2 ms
    PostgreSQL 15.18
✗ cache  not ready  12.0 ms
    connection refused (127.0.0.1:1)
    [class=connect]
    hint: is it started?
1 of 2 ready
";
        assert_eq!(at(40), want);
    }

    #[test]
    fn colour_follows_the_state() {
        let text = table(&rows(), Paper { columns: Some(80), color: true });
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("\u{1b}[32m✓ db     ready    \u{1b}[0m"), "{text:?}");
        assert!(lines[1].starts_with("\u{1b}[31m✗ cache"), "{text:?}");
        assert_eq!(lines.last(), Some(&"\u{1b}[31m1 of 2 ready\u{1b}[0m"));
    }
}
