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
    Report, Subject, Verbosity, elapsed_text,
    plain::{end_lines, settled_line},
    progress::Progress,
    write,
};
use crate::{
    event::{End, Event},
    keys::Timeout,
    wait::Listener,
};

const FRAMES: [char; 10] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];

/// The report for a person who watches.
pub struct Live {
    began: Instant,
    dependencies: Vec<Progress>,
    frame: usize,
    /// How many lines are drawn below the last plain one.
    drawn: usize,
    color: bool,
}

impl Live {
    pub fn new(subjects: Vec<Subject>) -> Self {
        let color = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        // The first frame comes with the first tick: what is ready at once needs none.
        Self { began: Instant::now(), dependencies: Progress::of(subjects), frame: 0, drawn: 0, color }
    }

    /// Erases the moving lines, writes `above` for good, and draws the moving ones again; all in one write.
    fn draw(&mut self, above: &str) {
        let (columns, rows) = size();
        let lines = moving_lines(&self.dependencies, self.began.elapsed(), FRAMES[self.frame % FRAMES.len()], rows);
        let mut out = self.erased() + above;
        for line in &lines {
            let cut: String = line.chars().take(columns.saturating_sub(1)).collect();
            out += &if self.color { format!("\u{1b}[2m{cut}\u{1b}[0m\n") } else { format!("{cut}\n") };
        }
        self.drawn = lines.len();
        write(&out, Duration::ZERO);
    }

    /// What takes the cursor back to the first moving line and erases from there.
    fn erased(&self) -> String {
        match self.drawn {
            0 => String::new(),
            drawn => format!("\u{1b}[{drawn}A\r\u{1b}[J"),
        }
    }
}

impl Listener for Live {
    fn event(&mut self, event: Event) {
        let progress = &mut self.dependencies[event.dependency];
        progress.note(&event);
        if let Some((_, text)) = settled_line(&event).filter(|(least, _)| *least <= Verbosity::Normal) {
            let line = format!("afterall: {}: {text}\n", progress.subject.name);
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
        let mut out = self.erased();
        for line in end_lines(&self.dependencies, end) {
            out += &format!("afterall: {line}\n");
        }
        self.drawn = 0;
        write(&out, Duration::from_millis(50));
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

/// A line for each dependency that still waits, as many as fit into `rows`.
fn moving_lines(dependencies: &[Progress], elapsed: Duration, spinner: char, rows: usize) -> Vec<String> {
    let waiting: Vec<_> = dependencies.iter().filter(|progress| !progress.settled).collect();
    let width = waiting.iter().map(|progress| progress.subject.name.chars().count()).max().unwrap_or(0);
    let room = rows.saturating_sub(2).max(1);
    let shown = if waiting.len() > room { room - 1 } else { waiting.len() };
    let mut lines: Vec<String> = Vec::new();
    for progress in &waiting[..shown] {
        let left = match progress.subject.timeout {
            Timeout::After(timeout) => format!("{} left", elapsed_text(timeout.saturating_sub(elapsed))),
            Timeout::Once => "one attempt".to_owned(),
            Timeout::Never => "no limit".to_owned(),
        };
        let last = progress.last.as_ref().map_or("asking", |(failure, _)| failure.message.as_str());
        lines.push(format!("{spinner} {:width$}  {:>6}  {left:>11}  {last}", progress.subject.name, elapsed_text(elapsed)));
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
        event::What,
        probe::{Class, Failure},
    };

    #[test]
    fn each_dependency_that_waits_has_a_line_and_the_rest_is_counted() {
        let subject = |name: &str, timeout| Subject { name: name.to_owned(), timeout };
        let mut all = Progress::of(vec![
            subject("db", Timeout::After(Duration::from_secs(60))),
            subject("cache", Timeout::Never),
            subject("nats", Timeout::Never),
        ]);
        let what = What::NotYet(Failure::new(Class::Connect, "connection refused (127.0.0.1:1)"));
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
        assert_eq!(moving_lines(&all, seconds, '⠋', 4).last().map(String::as_str), Some("  and 2 more"));
        all[0].settled = true;
        assert_eq!(moving_lines(&all, seconds, '⠋', 24).len(), 2);
    }
}
