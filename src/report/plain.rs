//! Plain lines: the log of a wait.

use std::time::Instant;

use super::{
    Context, Verbosity, View,
    state::Line,
    stderr::Patience,
    words::{self, Hint, end_lines, event_line, least_verbosity},
};
use crate::wait::event::{End, Event};

/// The report as the lines of a log.
pub(super) struct Plain;

impl View for Plain {
    fn event(&mut self, event: &Event, _started: &[usize], context: &mut Context) {
        let place = event.dependency;
        if let Some(least) = least_verbosity(event) {
            if context.verbosity >= least
                && let Some(line) = event_line(event)
            {
                let name = &context.wait.dependencies[place].name;
                context.log.line(&format!("{name}: {line}"), Patience::Moment);
            }
            return;
        }
        let now = Instant::now();
        match context.verbosity {
            Verbosity::Quiet => {}
            Verbosity::Normal => print_due(context, place, now),
            Verbosity::Verbose => print(context, place, now),
        }
    }

    fn tick(&mut self, context: &mut Context) {
        if context.verbosity > Verbosity::Quiet {
            let now = Instant::now();
            (0..context.wait.dependencies.len()).for_each(|place| print_due(context, place, now));
        }
    }

    fn end(&mut self, end: End, context: &mut Context) {
        for line in end_lines(context.wait, end) {
            context.log.line(&line, Patience::Moment);
        }
        if end == End::Ready && context.verbosity > Verbosity::Quiet {
            context.log.line(&words::done(context.wait, Instant::now()), Patience::Moment);
        }
    }

    fn becoming(&mut self, command: &str, context: &mut Context) {
        if context.verbosity == Verbosity::Verbose {
            context.log.line(&format!("becoming {command}"), Patience::None);
        }
    }
}

fn print_due(context: &mut Context, place: usize, now: Instant) {
    match context.wait.due(place, now) {
        Some(Line::Failure(_)) => print(context, place, now),
        Some(Line::Blocked) => {
            let name = &context.wait.dependencies[place].name;
            let text = words::waits_for(&context.wait.blocked_by(place));
            context.log.line(&format!("{name}: {text}"), Patience::None);
            context.wait.printed(place, now);
        }
        None => {}
    }
}

fn print(context: &mut Context, place: usize, now: Instant) {
    if let Some(line) = waiting_line(context, place) {
        context.log.line(&line, Patience::None);
    }
    context.wait.printed(place, now);
}

/// Writes the line of a dependency's newest failure, with the hint only in the first line of its
/// class.
pub(super) fn waiting_line(context: &mut Context, place: usize) -> Option<String> {
    let dependency = &mut context.wait.dependencies[place];
    let event = dependency.failure.clone()?;
    let failure = event.kind.failure()?;
    let hint = if dependency.is_new_hint(failure) { Hint::Show } else { Hint::Omit };
    Some(format!("{}: {}", dependency.name, words::waiting(failure, &event, hint)))
}
