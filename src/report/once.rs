//! `--once`: one table on stdout, or an object per line: what is up, and why the rest is not.

use std::io::Write;

use super::{Report, ReportedDependency, json, progress::Progress};
use crate::{
    signals,
    wait::{
        Listener,
        event::{End, Event, EventKind},
    },
};

/// The report of a single look.
pub struct Once {
    json: bool,
    dependencies: Vec<(Progress, Option<Event>)>,
}

impl Once {
    pub fn new(subjects: Vec<ReportedDependency>, json: bool) -> Self {
        Self {
            json,
            dependencies: Progress::of(subjects)
                .into_iter()
                .map(|progress| (progress, None))
                .collect(),
        }
    }
}

impl Listener for Once {
    fn event(&mut self, event: Event) {
        let (progress, seen) = &mut self.dependencies[event.dependency];
        progress.note(&event);
        *seen = Some(event);
    }

    fn tick(&mut self) {}
}

impl Report for Once {
    fn end(&mut self, end: End) {
        if let End::Signal(signal) = end {
            return super::last_line(&format!("ended by {}", signals::name(signal)));
        }
        let text = if self.json { self.objects() } else { self.table() };
        // What is left to do with a broken stdout is to end with the right code.
        let _ = std::io::stdout().write_all(text.as_bytes());
    }
}

impl Once {
    fn objects(&self) -> String {
        let of = |(progress, event): &(Progress, Option<Event>)| match event {
            Some(event) => {
                json::object(state(event), Some(&progress.subject.name), json::fields(event))
            }
            None => json::object("timeout", Some(&progress.subject.name), []),
        };
        self.dependencies.iter().map(of).collect()
    }

    fn table(&self) -> String {
        let width = self
            .dependencies
            .iter()
            .map(|(progress, _)| progress.subject.name.chars().count())
            .max()
            .unwrap_or(0);
        let row = |(progress, event): &(Progress, Option<Event>)| {
            let name = &progress.subject.name;
            let Some(event) = event else {
                return format!("{name:width$}  {:10}  no attempt came to an end\n", "not ready");
            };
            let trip = format!("{:.1} ms", event.elapsed.as_secs_f64() * 1000.0);
            let (state, what) = match &event.what {
                EventKind::Ready(detail) => ("ready", detail.clone()),
                EventKind::TimedOut(Some(failure)) | EventKind::Hopeless(failure) => {
                    let hint = failure
                        .hint
                        .as_ref()
                        .map(|hint| format!(" hint: {hint}"))
                        .unwrap_or_default();
                    ("not ready", format!("{} [class={}]{hint}", failure.message, failure.class))
                }
                _ => ("not ready", "no attempt came to an end".to_owned()),
            };
            format!("{name:width$}  {state:10}  {trip:>10}  {what}\n")
        };
        self.dependencies.iter().map(row).collect()
    }
}

fn state(event: &Event) -> &'static str {
    match event.what {
        EventKind::Ready(_) => "ready",
        EventKind::Hopeless(_) => "hopeless",
        _ => "timeout",
    }
}
