//! One frame of the live view: computes the moving lines from a state, a time and a size. Pure.

use std::time::Instant;

use super::super::{
    layout::{Style, cut, padded, shortened, width, wrapped},
    state::{Left, WaitState},
    words,
};
use crate::{
    probe::{Class, Failure},
    text::seconds,
    wait::event::Event,
};

const SPINNER: [char; 10] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
/// The widest name column.
const MAX_NAME: usize = 24;
/// The narrowest name column beside both clocks. A narrower terminal gets no clock of the remaining
/// time.
const MIN_NAME: usize = 8;
/// The indentation of reason and hint below their line.
const INDENT: usize = 4;
/// The narrowest terminal that gets reasons and hints below their lines.
const MIN_WRAPPED: usize = 20;

/// The size of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Size {
    pub columns: usize,
    pub rows: usize,
}

/// The moving lines, each with its coloured pieces.
pub(in super::super) struct Frame(Vec<Line>);

type Line = Vec<(Style, String)>;

/// The data that the lines of one dependency show.
struct Row {
    style: Style,
    name: String,
    elapsed: String,
    left: String,
    reason: String,
    hint: Option<String>,
}

/// The widths of the columns.
struct Columns {
    usable: usize,
    name: usize,
    elapsed: usize,
    /// `None` on a terminal that is too narrow for it.
    left: Option<usize>,
}

impl Frame {
    /// Returns the frame of all dependencies that wait, in as many rows as fit.
    pub(super) fn new(wait: &WaitState, now: Instant, ticks: usize, size: Size) -> Self {
        let waiting = wait.waiting().count();
        let room = size.rows.saturating_sub(2).max(1);
        let shown = if waiting > room { room - 1 } else { waiting };
        let row = |place| Row::new(wait, place, now);
        let rows: Vec<Row> = wait.waiting().take(shown).map(row).collect();
        let columns = Columns::new(&rows, size.columns.saturating_sub(1));
        let spinner = SPINNER[ticks % SPINNER.len()];
        // Every dependency gets its first line; reasons and hints share the room that is left.
        let is_wrapped = columns.usable >= MIN_WRAPPED;
        let mut spare = if is_wrapped { room.saturating_sub(waiting) } else { 0 };
        let mut lines = Vec::new();
        for row in &rows {
            let block = row.lines(spinner, &columns, spare);
            spare = spare.saturating_sub(block.len() - 1);
            lines.extend(block);
        }
        if shown < waiting {
            let more = format!("  and {} more", waiting - shown);
            lines.push(vec![(Style::Dim, cut(&more, columns.usable).to_owned())]);
        }
        Self(lines)
    }

    /// Returns the frame as text.
    pub(super) fn text(&self, color: bool) -> String {
        let line = |line: &Line| -> String {
            let pieces = line.iter().map(|(style, text)| style.paint(text, color));
            pieces.chain(["\n".to_owned()]).collect()
        };
        self.0.iter().map(line).collect()
    }

    /// Returns the width of every line.
    pub(super) fn widths(&self) -> Vec<usize> {
        self.0.iter().map(|line| line.iter().map(|(_, text)| width(text)).sum()).collect()
    }
}

impl Row {
    fn new(wait: &WaitState, place: usize, now: Instant) -> Self {
        let dependency = &wait.dependencies[place];
        let name = dependency.name.clone();
        let blockers = wait.blocked_by(place);
        if !blockers.is_empty() {
            let reason = words::waits_for(&blockers);
            let (elapsed, left) = (String::new(), String::new());
            return Self { style: Style::Dim, name, elapsed, left, reason, hint: None };
        }
        let elapsed = seconds(now - dependency.started.unwrap_or(now));
        let left = match wait.left(place, now) {
            Left::OneAttempt => "one attempt".to_owned(),
            Left::NoLimit => "no limit".to_owned(),
            Left::Time(left) => format!("{} left", seconds(left)),
        };
        let newest = dependency.failure.as_ref().zip(dependency.newest_failure());
        let Some((event, failure)) = newest else {
            let reason = "first attempt".to_owned();
            return Self { style: Style::Plain, name, elapsed, left, reason, hint: None };
        };
        let hint = words::hint_of(failure).map(|hint| format!("hint: {hint}"));
        let reason = reason(failure, event);
        Self { style: style_of(failure.class), name, elapsed, left, reason, hint }
    }

    /// Returns the lines of this dependency: one, and at most `spare` more.
    fn lines(&self, spinner: char, columns: &Columns, spare: usize) -> Vec<Line> {
        let mut head = self.head(spinner, columns);
        let used: usize = head.iter().map(|(_, text)| width(text)).sum();
        let beside = columns.usable.saturating_sub(used + 2);
        let below = columns.usable.saturating_sub(INDENT);
        let mut details = Vec::new();
        if width(&self.reason) <= beside {
            head.push((Style::Plain, format!("  {}", self.reason)));
        } else if spare == 0 {
            if beside > 0 {
                let start = cut(&self.reason, beside - 1);
                head.push((Style::Plain, format!("  {start}…")));
            }
        } else {
            details.extend(wrapped(&self.reason, below));
        }
        details.extend(self.hint.iter().flat_map(|hint| wrapped(hint, below)));
        let is_cut = details.len() > spare;
        details.truncate(spare);
        if let Some(last) = details.last_mut().filter(|_| is_cut) {
            *last = format!("{}…", cut(last, below.saturating_sub(1)));
        }
        let indented = |text| vec![(Style::Plain, format!("{}{text}", " ".repeat(INDENT)))];
        std::iter::once(head).chain(details.into_iter().map(indented)).collect()
    }

    /// Returns the line of spinner, name and clocks.
    fn head(&self, spinner: char, columns: &Columns) -> Line {
        let Columns { usable, name: names, elapsed, left } = columns;
        let name = padded(&shortened(&self.name, *names), *names);
        let name = format!("{spinner} {name}");
        let mut clocks = format!("  {:>elapsed$}", self.elapsed);
        if let Some(left) = left {
            clocks += &format!("  {:>left$}", self.left);
        }
        let name = cut(&name, *usable).to_owned();
        let clocks = cut(&clocks, usable.saturating_sub(width(&name))).to_owned();
        vec![(self.style, name), (Style::Dim, clocks)]
    }
}

impl Columns {
    fn new(rows: &[Row], usable: usize) -> Self {
        let widest = |text: fn(&Row) -> &str| rows.iter().map(|row| width(text(row))).max();
        let name = widest(|row| &row.name).unwrap_or(0).min(MAX_NAME);
        // The width is fixed, so that the columns do not move as the seconds grow.
        let elapsed = widest(|row| &row.elapsed).unwrap_or(0).max(6);
        let left = widest(|row| &row.left).unwrap_or(0).max(11);
        let beside_both = usable.saturating_sub(2 + 2 + elapsed + 2 + left);
        if beside_both >= name.min(MIN_NAME) {
            return Self { usable, name: name.min(beside_both), elapsed, left: Some(left) };
        }
        let beside_one = usable.saturating_sub(2 + 2 + elapsed);
        Self { usable, name: name.min(beside_one), elapsed, left: None }
    }
}

/// Returns the failure in the words of the log.
fn reason(failure: &Failure, event: &Event) -> String {
    let (class, attempts) = (failure.class, event.attempts);
    format!("{} [class={class} attempt={attempts}]", failure.message)
}

fn style_of(class: Class) -> Style {
    // A failed migration does not recover by itself.
    if class == Class::Failed { Style::Bad } else { Style::Warning }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{super::super::state::ReportedDependency, *};
    use crate::wait::{Needs, event::EventKind, settings::Timeout};

    /// Returns a state in which db has this failure, cache is probed, and schema waits for both.
    fn three(failure: Failure) -> WaitState {
        let reported = |name: &str, timeout, after: &[usize]| ReportedDependency {
            name: name.to_owned(),
            timeout,
            after: after.to_vec(),
            needs: Needs::All,
        };
        let mut wait = WaitState::new(
            vec![
                reported("db", Timeout::After(Duration::from_secs(60)), &[]),
                reported("cache", Timeout::Never, &[]),
                reported("schema", Timeout::Never, &[0, 1]),
            ],
            None,
        );
        let kind = EventKind::NotYet(failure);
        let event = Event { dependency: 0, kind, attempts: 37, elapsed: Duration::ZERO };
        let began = wait.began;
        wait.note(&event, began);
        wait
    }

    fn refused() -> Failure {
        Failure::new(Class::Connect, "connection refused (127.0.0.1:1)")
    }

    fn drawn(wait: &WaitState, seconds: u64, columns: usize, rows: usize) -> Vec<String> {
        let now = wait.began + Duration::from_secs(seconds);
        let frame = Frame::new(wait, now, 0, Size { columns, rows });
        assert!(frame.widths().iter().all(|width| *width < columns), "{}", frame.text(false));
        assert!(frame.0.len() < rows, "{}", frame.text(false));
        frame.text(false).lines().map(|line| line.trim_end().to_owned()).collect()
    }

    #[test]
    fn a_wide_terminal_gets_one_line_for_each_dependency() {
        assert_eq!(
            drawn(&three(refused()), 12, 110, 24),
            [
                "⠋ db       12.0s   48.0s left  connection refused (127.0.0.1:1) [class=connect \
                attempt=37]",
                "⠋ cache    12.0s     no limit  first attempt",
                "⠋ schema                       waits for db, cache",
            ]
        );
    }

    #[test]
    fn a_reason_that_does_not_fit_is_wrapped_below_with_its_hint() {
        let failure = refused().hint("is the server started, and is this its port?");
        assert_eq!(
            drawn(&three(failure), 557, 50, 24),
            [
                "⠋ db      9m 17s    0.0s left",
                "    connection refused (127.0.0.1:1)",
                "    [class=connect attempt=37]",
                "    hint: is the server started, and is this its",
                "    port?",
                "⠋ cache   9m 17s     no limit  first attempt",
                "⠋ schema",
                "    waits for db, cache",
            ]
        );
    }

    #[test]
    fn a_narrow_terminal_gets_no_clock_of_what_is_left() {
        assert_eq!(
            drawn(&three(refused()), 12, 24, 24)[..4],
            [
                "⠋ db       12.0s",
                "    connection refused",
                "    (127.0.0.1:1)",
                "    [class=connect",
            ]
        );
        for columns in 1..24 {
            drawn(&three(refused()), 12, columns, 24);
        }
    }

    #[test]
    fn a_low_terminal_gets_first_lines_before_reasons_and_counts_the_rest() {
        let lines = |rows| drawn(&three(refused()), 12, 60, rows);
        assert_eq!(
            lines(5),
            [
                "⠋ db       12.0s   48.0s left  connection refused (127.0.0…",
                "⠋ cache    12.0s     no limit  first attempt",
                "⠋ schema                       waits for db, cache",
            ]
        );
        assert_eq!(lines(6)[1], "    connection refused (127.0.0.1:1) [class=connect…");
        assert_eq!(lines(4).last().map(String::as_str), Some("  and 2 more"));
    }

    #[test]
    fn a_long_name_is_shortened_to_24_columns() {
        let mut wait = three(refused());
        wait.dependencies[1].name = "postgres://primary.example:5432/app".to_owned();
        let line = drawn(&wait, 12, 120, 24).remove(1);
        assert_eq!(line, "⠋ postgres://p…le:5432/app   12.0s     no limit  first attempt");
    }
}
