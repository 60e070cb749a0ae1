//! JSON lines: one object per event. The manual documents the schema.

use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use super::{
    Context, Verbosity, View,
    state::{Line, WaitState},
    stderr::Patience,
};
use crate::{
    probe::{Failure, Ready},
    signals,
    wait::{
        event::{End, Event, EventKind},
        settings::Timeout,
    },
};

/// The longest string in its escaped form, in bytes. No object has more than three such strings, so
/// that an object fits into one line.
const MAX_STRING: usize = 1_200;

/// The fields of an object other than its time, event and dependency.
type Fields = Vec<(&'static str, Value)>;

/// The report as objects, for programs that read logs.
pub(super) struct Json;

impl View for Json {
    fn begin(&mut self, context: &mut Context) {
        for place in 0..context.wait.dependencies.len() {
            if context.wait.dependencies[place].started.is_some() {
                print_start(context, place);
            } else {
                print(context, Verbosity::Normal, "blocked", place, after(context.wait, place));
            }
        }
    }

    fn event(&mut self, event: &Event, started: &[usize], context: &mut Context) {
        let (least, name, patience) = match &event.kind {
            EventKind::Ready(_) => (Verbosity::Normal, "ready", Patience::Moment),
            EventKind::Confirmed => (Verbosity::Normal, "confirm", Patience::None),
            EventKind::Lost(_) => (Verbosity::Normal, "confirm", Patience::None),
            EventKind::TimedOut(_) => (Verbosity::Quiet, "timeout", Patience::Moment),
            EventKind::Proceeded(_) => (Verbosity::Quiet, "proceed", Patience::Moment),
            EventKind::Hopeless(_) => (Verbosity::Quiet, "hopeless", Patience::Moment),
            EventKind::NotNeeded => (Verbosity::Normal, "unneeded", Patience::None),
            EventKind::NotYet(_) => (Verbosity::Verbose, "attempt", Patience::None),
        };
        if context.verbosity >= least {
            let dependency = &context.wait.dependencies[event.dependency].name;
            context.log.object(name, Some(dependency), fields(event), patience);
        }
        started.iter().for_each(|&place| print_start(context, place));
        print_change(context, event.dependency, Instant::now());
    }

    fn tick(&mut self, context: &mut Context) {
        let now = Instant::now();
        (0..context.wait.dependencies.len()).for_each(|place| print_change(context, place, now));
    }

    fn end(&mut self, end: End, context: &mut Context) {
        match end {
            End::Ready if context.verbosity > Verbosity::Quiet => {
                let fields = done(context.wait, Instant::now());
                context.log.object("done", None, fields, Patience::Moment);
            }
            End::Ready => {}
            End::TimedOut | End::Hopeless => {
                let waiting: Vec<usize> = context.wait.waiting().collect();
                for place in waiting {
                    let dependency = &context.wait.dependencies[place];
                    let mut fields = after(context.wait, place);
                    fields.extend(dependency.failure.iter().flat_map(self::fields));
                    let name = Some(dependency.name.as_str());
                    context.log.object("waiting", name, fields, Patience::Moment);
                }
            }
            End::Signal(signal) => {
                let fields = [("signal", json!(signals::name(signal)))];
                context.log.object("signal", None, fields, Patience::Moment);
            }
        }
    }

    fn becoming(&mut self, command: &str, context: &mut Context) {
        if context.verbosity > Verbosity::Quiet {
            context.log.object("exec", None, [("command", json!(command))], Patience::None);
        }
    }
}

fn print_start(context: &mut Context, place: usize) {
    let timeout = match context.wait.dependencies[place].timeout {
        Timeout::After(timeout) => json!(timeout.as_secs_f64()),
        Timeout::Once => json!(0),
        Timeout::Never => Value::Null,
    };
    print(context, Verbosity::Normal, "start", place, vec![("timeout", timeout)]);
}

/// Writes the first failure, changes of class, and occasional repeats.
fn print_change(context: &mut Context, place: usize, now: Instant) {
    let Some(Line::Failure(_)) = context.wait.due(place, now) else { return };
    if let Some(event) = &context.wait.dependencies[place].failure {
        print(context, Verbosity::Normal, "change", place, fields(event));
    }
    context.wait.printed(place, now);
}

fn print(context: &mut Context, least: Verbosity, event: &str, place: usize, fields: Fields) {
    if context.verbosity >= least {
        let name = &context.wait.dependencies[place].name;
        context.log.object(event, Some(name), fields, Patience::None);
    }
}

/// Returns the names of the dependencies that one waits for before its own clock starts.
fn after(wait: &WaitState, place: usize) -> Fields {
    match wait.blocked_by(place).as_slice() {
        [] => Vec::new(),
        names => vec![("after", names_value(names))],
    }
}

/// Returns the fields of a wait that succeeded.
fn done(wait: &WaitState, now: Instant) -> Fields {
    let mut fields = vec![("elapsed", rounded(now - wait.began))];
    if let Some(last) = wait.last_ready() {
        fields.push(("last", json!(last.name)));
        fields.extend(last.outcome.iter().map(|event| ("waited", rounded(event.elapsed))));
        fields.extend(last.ready().and_then(awaited));
    }
    let proceeded = wait.proceeded();
    if !proceeded.is_empty() {
        fields.push(("without", names_value(&proceeded)));
    }
    fields
}

/// Returns the fields of an event.
pub(super) fn fields(event: &Event) -> Fields {
    let mut fields = vec![("attempts", json!(event.attempts)), ("elapsed", rounded(event.elapsed))];
    match &event.kind {
        EventKind::Ready(ready) => {
            fields.push(("message", json!(ready.detail)));
            fields.extend(awaited(ready));
        }
        EventKind::Confirmed => fields.push(("ready", json!(true))),
        EventKind::Lost(_) => fields.push(("ready", json!(false))),
        _ => {}
    }
    fields.extend(event.kind.failure().into_iter().flat_map(failure_fields));
    fields
}

/// Returns the number of migrations that were waited for, if any.
fn awaited(ready: &Ready) -> Option<(&'static str, Value)> {
    (ready.awaited_migrations > 0).then(|| ("migrations", json!(ready.awaited_migrations)))
}

fn failure_fields(failure: &Failure) -> Fields {
    let mut fields =
        vec![("class", json!(failure.class.name())), ("message", json!(&*failure.message))];
    fields.extend(failure.hint.as_ref().map(|hint| ("hint", json!(hint))));
    fields
}

/// Returns seconds, rounded to milliseconds.
fn rounded(duration: Duration) -> Value {
    json!((duration.as_secs_f64() * 1000.0).round() / 1000.0)
}

/// Returns an array of as many names as fit into one string's length. An ellipsis replaces the
/// rest.
fn names_value(names: &[&str]) -> Value {
    let mut left = MAX_STRING;
    let fits = |name: &&&str| {
        let len = json!(name).to_string().len() + 1;
        left = left.saturating_sub(len);
        left > 0
    };
    let mut shown: Vec<&str> = names.iter().take_while(fits).copied().collect();
    if shown.len() < names.len() {
        shown.push("…");
    }
    json!(shown)
}

/// Returns one object as a line, with its fields in an order for human readers.
pub(super) fn object(
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

/// Returns a value's JSON text. A long string is cut here, because a cut object would be invalid.
fn bounded(value: &Value) -> String {
    let written = value.to_string();
    let Some(text) = value.as_str().filter(|_| written.len() > MAX_STRING) else { return written };
    let mut len = "\"…\"".len();
    let fits = |c: &char| {
        // The length of the escaped text, without the quotes.
        len += json!(c).to_string().len() - 2;
        len <= MAX_STRING
    };
    json!(text.chars().take_while(fits).chain(['…']).collect::<String>()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_always_fits_into_a_pipe() {
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
                line.len() <= super::super::stderr::MAX_LINE
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

    #[test]
    fn a_long_array_of_names_ends_in_an_ellipsis() {
        let names: Vec<String> = (0..1_000).map(|n| format!("name-{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let value = names_value(&names);
        assert!(value.to_string().len() <= MAX_STRING + 10, "{value}");
        assert_eq!(value.as_array().and_then(|names| names.last()), Some(&json!("…")));
        assert_eq!(names_value(&names[..2]), json!(["name-0", "name-1"]));
    }
}
