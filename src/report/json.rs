//! JSON lines: one object per event. The schema is part of the manual.

use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use super::{A_MOMENT, Report, ReportedDependency, Verbosity, progress::Progress, write};
use crate::{
    probe::Failure,
    signals,
    wait::{
        Listener,
        event::{End, Event, EventKind},
        settings::Timeout,
    },
};

/// The longest string as it is written, in bytes: three of them, which no object exceeds, and the rest fit into one line.
const MAX_STRING: usize = 1_200;

/// The report as objects, for whatever reads logs.
pub struct Json {
    verbosity: Verbosity,
    dependencies: Vec<Progress>,
}

impl Json {
    pub fn new(subjects: Vec<ReportedDependency>, verbosity: Verbosity) -> Self {
        let json = Self { verbosity, dependencies: Progress::of(subjects) };
        if verbosity > Verbosity::Quiet {
            for progress in &json.dependencies {
                let timeout = match progress.subject.timeout {
                    Timeout::After(timeout) => json!(timeout.as_secs_f64()),
                    Timeout::Once => json!(0),
                    Timeout::Never => Value::Null,
                };
                say("start", Some(&progress.subject.name), [("timeout", timeout)]);
            }
        }
        json
    }
}

impl Listener for Json {
    fn event(&mut self, event: Event) {
        let progress = &mut self.dependencies[event.dependency];
        progress.note(&event);
        let (least, name) = match &event.what {
            EventKind::Ready(_) => (Verbosity::Normal, "ready"),
            EventKind::Confirmed => (Verbosity::Normal, "confirm"),
            EventKind::Lost(_) => (Verbosity::Normal, "confirm"),
            EventKind::TimedOut(_) => (Verbosity::Quiet, "timeout"),
            EventKind::Proceeded(_) => (Verbosity::Quiet, "proceed"),
            EventKind::Hopeless(_) => (Verbosity::Quiet, "hopeless"),
            EventKind::NotYet(_) => (Verbosity::Verbose, "attempt"),
        };
        if self.verbosity >= least {
            say(name, Some(&progress.subject.name), fields(&event));
        }
        self.changes();
    }

    fn tick(&mut self) {
        self.changes();
    }
}

impl Json {
    /// The first failure, changes of class, and a line now and then.
    fn changes(&mut self) {
        let now = Instant::now();
        for progress in self.dependencies.iter_mut().filter(|progress| progress.is_due(now)) {
            if let Some((_, event)) =
                progress.last.as_ref().filter(|_| self.verbosity > Verbosity::Quiet)
            {
                say("change", Some(&progress.subject.name), fields(event));
            }
            progress.said(now);
        }
    }
}

impl Report for Json {
    fn end(&mut self, end: End) {
        match end {
            End::Ready => {}
            End::TimedOut | End::Hopeless => {
                for progress in self.dependencies.iter().filter(|progress| !progress.settled) {
                    let fields =
                        progress.last.as_ref().map(|(_, event)| fields(event)).unwrap_or_default();
                    say("waiting", Some(&progress.subject.name), fields);
                }
            }
            End::Signal(signal) => say("signal", None, [("signal", json!(signals::name(signal)))]),
        }
    }

    fn becoming(&mut self, command: &str) {
        if self.verbosity > Verbosity::Quiet {
            say("exec", None, [("command", json!(command))]);
        }
    }
}

/// What an event tells beside its name and its dependency.
pub fn fields(event: &Event) -> Vec<(&'static str, Value)> {
    let mut fields = vec![
        ("attempts", json!(event.attempts)),
        ("elapsed", json!((event.elapsed.as_secs_f64() * 1000.0).round() / 1000.0)),
    ];
    let of = |failure: &Failure| {
        let mut fields =
            vec![("class", json!(failure.class.name())), ("message", json!(failure.message))];
        fields.extend(failure.hint.as_ref().map(|hint| ("hint", json!(hint))));
        fields
    };
    match &event.what {
        EventKind::Ready(detail) => fields.push(("message", json!(detail))),
        EventKind::Confirmed => fields.push(("ready", json!(true))),
        EventKind::Lost(failure) => {
            fields.push(("ready", json!(false)));
            fields.extend(of(failure));
        }
        EventKind::NotYet(failure) | EventKind::Hopeless(failure) => fields.extend(of(failure)),
        EventKind::TimedOut(failure) | EventKind::Proceeded(failure) => {
            fields.extend(failure.iter().flat_map(of))
        }
    }
    fields
}

/// One object, its fields in an order that people can read.
pub fn object(
    event: &str,
    dependency: Option<&str>,
    fields: impl IntoIterator<Item = (&'static str, Value)>,
) -> String {
    let time = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
    let first = [("time", json!(time)), ("event", json!(event)), ("dependency", json!(dependency))];
    let fields: Vec<_> = first
        .into_iter()
        .chain(fields)
        .map(|(name, value)| format!("\"{name}\":{}", bounded(&value)))
        .collect();
    format!("{{{}}}\n", fields.join(","))
}

/// The value as it is written, a long string cut: an object that is cut itself would be none.
fn bounded(value: &Value) -> String {
    let written = value.to_string();
    let Some(text) = value.as_str().filter(|_| written.len() > MAX_STRING) else { return written };
    let mut len = "\"…\"".len();
    let fits = |c: &char| {
        // As escaped, without the quotes.
        len += json!(c).to_string().len() - 2;
        len <= MAX_STRING
    };
    json!(text.chars().take_while(fits).chain(['…']).collect::<String>()).to_string()
}

/// What is remarked upon before the wait.
pub fn note(message: &str) {
    say("note", None, [("message", json!(message))]);
}

fn say(
    event: &str,
    dependency: Option<&str>,
    fields: impl IntoIterator<Item = (&'static str, Value)>,
) {
    let patience = match event {
        "ready" | "timeout" | "proceed" | "hopeless" | "waiting" | "signal" => A_MOMENT,
        _ => Duration::ZERO,
    };
    write(&object(event, dependency, fields), patience);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_a_line_that_a_pipe_takes_at_once_whatever_it_tells() {
        for piece in ["x", "\"", "\u{1}", "漢", "\u{fffd}"] {
            let long = piece.repeat(5_000);
            let fields = [
                ("attempts", json!(u64::MAX)),
                ("class", json!("connect")),
                ("message", json!(long)),
                ("hint", json!(long)),
            ];
            let line = object("hopeless", Some(&long), fields);
            assert!(
                line.len() <= super::super::MAX_LINE
                    && line.ends_with("}\n")
                    && line.lines().count() == 1,
                "{}",
                line.len()
            );
            let object: Value = serde_json::from_str(&line).unwrap_or_default();
            for name in ["dependency", "message", "hint"] {
                let kept = object[name]
                    .as_str()
                    .and_then(|kept| kept.strip_suffix('…'))
                    .unwrap_or_default();
                assert!(kept.len() > 100 && long.starts_with(kept), "{piece:?} {name}: {line}");
            }
        }
        assert_eq!(bounded(&json!("a\"b")), r#""a\"b""#);
    }
}
