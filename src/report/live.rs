//! The live view: the dependencies that still wait, redrawn in place. An outcome becomes a plain
//! line above them.
//!
//! Only text is written and no state of the terminal changes, so that nothing has to be restored.
//! At the end the moving lines are erased, and the cursor is where the command expects it. No write
//! may block: a terminal that is stopped by Ctrl-S must delay neither the wait nor a signal.

mod frame;

use std::{
    io,
    time::{Duration, Instant},
};

use self::frame::{Frame, Size};
use super::{
    Context, Verbosity, View,
    layout::{Style, is_color_allowed},
    schedule::Due,
    state::{Line, WaitState},
    stderr::{Patience, prefixed},
    words::{self, Hint, end_lines, event_line, least_verbosity},
};
use crate::wait::event::{End, Event, EventKind};

/// The most text that is kept for a stopped terminal, in bytes. It may be stopped for days.
const MAX_UNSENT: usize = 64 * 1024;
/// Plain lines of this size, in bytes, are drawn before the next tick.
const DRAW_AT: usize = 16 * 1024;
/// How long no tick draws after a change of the terminal's size. tmux reports a further change up
/// to 250 ms late, and a frame between two changes would make the rows on the screen unknown.
const SETTLING: Duration = Duration::from_millis(300);

/// The report for a person who watches.
pub(super) struct Live {
    ticks: usize,
    /// The widths of the lines that were drawn below the last plain one.
    drawn: Vec<usize>,
    /// The terminal's size at the last tick.
    size: Size,
    /// The last change of that size.
    resized: Option<Instant>,
    /// Plain lines that the terminal has not accepted yet.
    unsent: String,
    /// True if the terminal has accepted the last frame.
    is_accepted: bool,
    color: bool,
}

impl Default for Live {
    /// The first frame comes with the first tick, so that dependencies that are ready at once cause
    /// none.
    fn default() -> Self {
        Self {
            ticks: 0,
            drawn: Vec::new(),
            size: terminal_size(),
            resized: None,
            unsent: String::new(),
            is_accepted: true,
            color: is_color_allowed(),
        }
    }
}

impl View for Live {
    fn event(&mut self, event: &Event, _started: &[usize], context: &mut Context) {
        let is_shown = least_verbosity(event).is_none_or(|least| least <= Verbosity::Normal);
        let above = match event_line(event) {
            Some(line) if is_shown => {
                self.named(context.wait, event.dependency, style_of(&event.kind), &line)
            }
            Some(_) => return,
            None => match self.left_class(event.dependency, context) {
                Some(line) => line,
                None => return,
            },
        };
        if self.unsent.len() + above.len() <= MAX_UNSENT {
            self.unsent += &above;
        }
        // The next tick draws the frame, because a frame for each of a thousand events would take a
        // second.
        if self.unsent.len() >= DRAW_AT && self.is_accepted {
            self.draw(context);
        }
    }

    fn tick(&mut self, context: &mut Context) {
        self.ticks += 1;
        if !self.is_resizing() {
            self.draw(context);
        }
    }

    fn end(&mut self, end: End, context: &mut Context) {
        context.log.raw(&(self.erased(terminal_size().columns) + &self.unsent), Patience::Moment);
        self.drawn.clear();
        self.unsent.clear();
        let lines = end_lines(context.wait, end);
        lines.iter().for_each(|line| self.last_line(line, Style::Bad, context));
        if end == End::Ready {
            self.last_line(&words::done(context.wait, Instant::now()), Style::Good, context);
        }
    }

    fn tick_every(&self) -> Duration {
        Duration::from_millis(100)
    }
}

impl Live {
    /// Returns true if the terminal's size has changed lately.
    fn is_resizing(&mut self) -> bool {
        let (now, size) = (Instant::now(), terminal_size());
        if size != self.size {
            self.size = size;
            self.resized = Some(now);
        }
        self.resized.is_some_and(|resized| now - resized < SETTLING)
    }

    /// Erases the moving lines, writes the plain lines for good, and draws the moving lines again,
    /// all in one write.
    fn draw(&mut self, context: &mut Context) {
        let size = terminal_size();
        let frame = Frame::new(context.wait, Instant::now(), self.ticks, size);
        let out = self.erased(size.columns) + &self.unsent + &frame.text(self.color);
        // A text that the terminal accepted in part is finished before the next one. One that it
        // did not accept at all leaves the screen as it was.
        self.is_accepted = context.log.raw(&out, Patience::None);
        if self.is_accepted {
            self.unsent.clear();
            self.drawn = frame.widths();
        }
    }

    /// Returns the escapes that move the cursor to the first moving line and erase from there. A
    /// terminal that has become narrower has broken long lines into several rows.
    ///
    /// The escapes never erase from the first place of the screen. tmux would take that for
    /// `clear`, and keep a copy of the screen in its history.
    fn erased(&self, columns: usize) -> String {
        match self.drawn.iter().map(|width| width.div_ceil(columns).max(1)).sum::<usize>() {
            0 => String::new(),
            rows => format!("\u{1b}[{rows}A\r\u{1b}[K\n\u{1b}[J\u{1b}[A"),
        }
    }

    /// Returns a plain line about the previous class of a dependency, if one is due. The moving
    /// line shows only the new class, and the log would show both.
    fn left_class(&self, place: usize, context: &mut Context) -> Option<String> {
        let now = Instant::now();
        let Line::Failure(due) = context.wait.due(place, now)? else { return None };
        context.wait.printed(place, now);
        if due != Due::Change {
            return None;
        }
        let event = context.wait.dependencies[place].failure_before.as_ref()?;
        let text = words::waiting(event.kind.failure()?, event, Hint::Show);
        Some(self.named(context.wait, place, Style::Warning, &text))
    }

    /// A plain line with the dependency's name in colour.
    fn named(&self, wait: &WaitState, place: usize, style: Style, text: &str) -> String {
        let name = style.paint(&wait.dependencies[place].name, self.color);
        prefixed(&format!("{name}: {text}"))
    }

    /// A line of the end, its first word in colour.
    fn last_line(&self, line: &str, style: Style, context: &mut Context) {
        let (start, rest) = line.split_at(line.find([':', ' ']).unwrap_or(line.len()));
        let start = style.paint(start, self.color);
        context.log.line(&format!("{start}{rest}"), Patience::Moment);
    }
}

fn style_of(kind: &EventKind) -> Style {
    match kind {
        EventKind::Ready(_) | EventKind::Confirmed | EventKind::NotNeeded => Style::Good,
        EventKind::NotYet(_) | EventKind::Lost(_) | EventKind::Proceeded(_) => Style::Warning,
        EventKind::TimedOut(_) | EventKind::Hopeless(_) => Style::Bad,
    }
}

/// Returns the current size of the terminal, which the user may have resized since the last frame.
fn terminal_size() -> Size {
    match rustix::termios::tcgetwinsize(io::stderr()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => {
            Size { columns: size.ws_col.into(), rows: size.ws_row.into() }
        }
        _ => Size { columns: 80, rows: 24 },
    }
}
