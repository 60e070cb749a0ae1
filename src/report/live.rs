//! The live view: a line per dependency that still waits, redrawn in place; what is settled becomes a plain line above it.
//!
//! Nothing of the terminal's state is changed, only text is written, so there is nothing to restore: at the end the moving lines
//! are erased and the cursor stands where the command expects it. Drawn by hand, since every write has to be one that cannot
//! block us: a terminal stopped by Ctrl-S must not hold up the wait, or a signal.

use std::{
    io,
    time::{Duration, Instant},
};

use super::{
    A_MOMENT, Report, ReportedDependency, Verbosity, elapsed_text, last_line,
    plain::{end_lines, settled_line},
    prefixed,
    progress::Progress,
    write,
};
use crate::wait::{
    Listener,
    event::{End, Event},
    settings::Timeout,
};

const FRAMES: [char; 10] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];

/// What is kept for a terminal that takes nothing, in bytes. It may be stopped for days.
const MAX_UNSAID: usize = 64 * 1024;

/// The report for a person who watches.
pub struct Live {
    began: Instant,
    dependencies: Vec<Progress>,
    frame: usize,
    /// The widths of the lines that are drawn below the last plain one.
    drawn: Vec<usize>,
    /// Plain lines that the terminal did not take yet.
    unsaid: String,
    color: bool,
}

impl Live {
    pub fn new(subjects: Vec<ReportedDependency>) -> Self {
        let color = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        // The first frame comes with the first tick: what is ready at once needs none.
        Self {
            began: Instant::now(),
            dependencies: Progress::of(subjects),
            frame: 0,
            drawn: Vec::new(),
            unsaid: String::new(),
            color,
        }
    }

    /// Erases the moving lines, writes `above` for good, and draws the moving ones again; all in one write.
    fn draw(&mut self, above: &str) {
        if self.unsaid.len() + above.len() <= MAX_UNSAID {
            self.unsaid += above;
        }
        let (columns, rows) = size();
        let lines = moving_lines(
            &self.dependencies,
            self.began.elapsed(),
            FRAMES[self.frame % FRAMES.len()],
            rows,
        );
        let lines: Vec<&str> =
            lines.iter().map(|line| cut(line, columns.saturating_sub(1))).collect();
        let mut out = self.erased(columns) + &self.unsaid;
        for line in &lines {
            out += &if self.color {
                format!("\u{1b}[2m{line}\u{1b}[0m\n")
            } else {
                format!("{line}\n")
            };
        }
        // What a stopped terminal does not take stays as it is, and is said later; what it takes a part of is finished first.
        if write(&out, Duration::ZERO) {
            self.unsaid.clear();
            self.drawn = lines.iter().map(|line| line.chars().map(width).sum()).collect();
        }
    }

    /// What takes the cursor back to the first moving line and erases from there. A terminal that has become narrower since has
    /// broken the lines that no longer fit.
    fn erased(&self, columns: usize) -> String {
        match self.drawn.iter().map(|width| width.div_ceil(columns).max(1)).sum::<usize>() {
            0 => String::new(),
            rows => format!("\u{1b}[{rows}A\r\u{1b}[J"),
        }
    }
}

impl Listener for Live {
    fn event(&mut self, event: Event) {
        let progress = &mut self.dependencies[event.dependency];
        progress.note(&event);
        if let Some((_, text)) =
            settled_line(&event).filter(|(least, _)| *least <= Verbosity::Normal)
        {
            let line = prefixed(&format!("{}: {text}", progress.subject.name));
            self.draw(&line);
        }
    }

    fn tick(&mut self) {
        self.frame += 1;
        self.draw("");
    }
}

impl Report for Live {
    fn end(&mut self, end: End) {
        write(&(self.erased(size().0) + &self.unsaid), A_MOMENT);
        self.drawn.clear();
        self.unsaid.clear();
        for text in end_lines(&self.dependencies, end) {
            last_line(&text);
        }
    }

    fn tick_every(&self) -> Duration {
        Duration::from_millis(100)
    }
}

/// Columns and rows of the terminal now; it may have been resized since the last frame.
fn size() -> (usize, usize) {
    match rustix::termios::tcgetwinsize(io::stderr()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col.into(), size.ws_row.into()),
        _ => (80, 24),
    }
}

/// As much of `line` as fits into `columns`.
fn cut(line: &str, columns: usize) -> &str {
    let mut left = columns;
    let end = line.char_indices().find(|(_, c)| match left.checked_sub(width(*c)) {
        Some(less) => {
            left = less;
            false
        }
        None => true,
    });
    end.map_or(line, |(end, _)| &line[..end])
}

/// The columns that a letter takes: two for the wide ones of East Asia and for emoji (Unicode, annex 11), one for all others. What
/// takes none, such as an accent of its own, is counted too, so that a line is rather too short than too long.
fn width(c: char) -> usize {
    match u32::from(c) {
        0x1100..=0x115f
        | 0x2e80..=0x303e
        | 0x3041..=0xa4cf
        | 0xa960..=0xa97c
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff => 2,
        0xfe30..=0xfe6f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f300..=0x1faff
        | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

/// A line for each dependency that still waits, as many as fit into `rows`.
fn moving_lines(
    dependencies: &[Progress],
    elapsed: Duration,
    spinner: char,
    rows: usize,
) -> Vec<String> {
    let waiting: Vec<_> = dependencies.iter().filter(|progress| !progress.settled).collect();
    let width =
        waiting.iter().map(|progress| progress.subject.name.chars().count()).max().unwrap_or(0);
    let room = rows.saturating_sub(2).max(1);
    let shown = if waiting.len() > room { room - 1 } else { waiting.len() };
    let mut lines: Vec<String> = Vec::new();
    for progress in &waiting[..shown] {
        let left = match progress.subject.timeout {
            Timeout::After(timeout) => {
                format!("{} left", elapsed_text(timeout.saturating_sub(elapsed)))
            }
            Timeout::Once => "one attempt".to_owned(),
            Timeout::Never => "no limit".to_owned(),
        };
        let last = progress.last.as_ref().map_or("asking", |(failure, _)| failure.message.as_str());
        lines.push(format!(
            "{spinner} {:width$}  {:>6}  {left:>11}  {last}",
            progress.subject.name,
            elapsed_text(elapsed)
        ));
    }
    if shown < waiting.len() {
        lines.push(format!("  and {} more", waiting.len() - shown));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        probe::{Class, Failure},
        wait::event::EventKind,
    };

    #[test]
    fn a_line_is_cut_by_the_columns_that_it_takes() {
        for (line, columns, want) in [
            ("abc", 3, "abc"),
            ("abcd", 3, "abc"),
            ("漢字", 3, "漢"),
            ("a漢字", 3, "a漢"),
            ("x", 0, ""),
        ] {
            assert_eq!(cut(line, columns), want);
        }
    }

    #[test]
    fn each_dependency_that_waits_has_a_line_and_the_rest_is_counted() {
        let subject = |name: &str, timeout| ReportedDependency { name: name.to_owned(), timeout };
        let mut all = Progress::of(vec![
            subject("db", Timeout::After(Duration::from_secs(60))),
            subject("cache", Timeout::Never),
            subject("nats", Timeout::Never),
        ]);
        let what =
            EventKind::NotYet(Failure::new(Class::Connect, "connection refused (127.0.0.1:1)"));
        all[0].note(&Event { dependency: 0, what, attempts: 1, elapsed: Duration::ZERO });
        let seconds = Duration::from_secs(12);
        assert_eq!(
            moving_lines(&all, seconds, '⠋', 24),
            [
                "⠋ db      12.0s   48.0s left  connection refused (127.0.0.1:1)",
                "⠋ cache   12.0s     no limit  asking",
                "⠋ nats    12.0s     no limit  asking",
            ]
        );
        assert_eq!(
            moving_lines(&all, seconds, '⠋', 4).last().map(String::as_str),
            Some("  and 2 more")
        );
        all[0].settled = true;
        assert_eq!(moving_lines(&all, seconds, '⠋', 24).len(), 2);
    }
}
