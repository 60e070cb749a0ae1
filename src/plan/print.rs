//! `--print-plan`: prints the dependencies and their settings, so that a deployment can be checked
//! before it runs. It prints no secret.

use std::{fmt::Write, time::Duration};

use serde_json::{Map, Value, json};

use crate::{
    plan::Planned,
    text::harmless,
    wait::{
        Dependency,
        settings::{COMMON, format_duration},
    },
};

/// The part of the plan after the dependencies.
pub struct Ending {
    /// The timeout of all dependencies that still wait.
    pub deadline: Option<Duration>,
    /// The command's name.
    pub command: Option<String>,
    /// The reason why the command cannot be executed here.
    pub problem: Option<String>,
}

/// A dependency as it is printed.
pub struct Entry {
    name: String,
    /// The settings, in the form of a declaration.
    lines: Vec<(String, String)>,
}

/// The place behind the line `target`.
const AFTER_TARGET: usize = 2;

/// Returns the entries of a plan, before its probes are built.
pub fn entries(planned: &[Planned]) -> Vec<Entry> {
    let entry =
        |planned: &Planned| Entry { name: planned.spec.name.clone(), lines: lines(planned) };
    planned.iter().map(entry).collect()
}

/// Adds the servers that each dependency asks, where its target may not name them.
pub fn add_servers(entries: &mut [Entry], built: &[Dependency]) {
    // A look leaves out what has a mistake.
    if built.len() != entries.len() {
        return;
    }
    for (entry, dependency) in entries.iter_mut().zip(built) {
        let servers = dependency.probe.servers();
        if !servers.is_empty() {
            let servers: Vec<String> = servers.iter().map(ToString::to_string).collect();
            let servers = dependency.secrets.hide(harmless(&servers.join(", ")));
            entry.lines.insert(AFTER_TARGET, ("servers".to_owned(), servers));
        }
    }
}

/// Returns the plan as text for people, or as one JSON object.
pub fn plan(entries: Vec<Entry>, ending: &Ending, is_json: bool) -> String {
    if is_json { json(entries, ending) } else { text(&entries, ending) }
}

fn text(entries: &[Entry], ending: &Ending) -> String {
    let mut out = String::new();
    for entry in entries {
        let _ = writeln!(out, "{}", entry.name);
        for (name, value) in &entry.lines {
            let _ = writeln!(out, "  {name:16} {value}");
        }
    }
    if let Some(deadline) = ending.deadline {
        let _ = writeln!(out, "deadline           {}", format_duration(deadline));
    }
    let _ = match &ending.command {
        Some(command) => writeln!(out, "command            {command}"),
        None => writeln!(out, "no command: exit 0 when all is ready"),
    };
    if let Some(problem) = &ending.problem {
        let _ = writeln!(out, "here               {problem}");
    }
    out
}

fn json(entries: Vec<Entry>, ending: &Ending) -> String {
    let entry = |entry: Entry| {
        let fields = entry.lines.into_iter().map(|(name, value)| (field(&name), value.into()));
        let name = ("name".to_owned(), entry.name.into());
        Value::Object([name].into_iter().chain(fields).collect::<Map<_, _>>())
    };
    let dependencies: Vec<Value> = entries.into_iter().map(entry).collect();
    let plan = json!({
        "dependencies": dependencies,
        "deadline": ending.deadline.map(format_duration),
        "command": ending.command,
        "problem": ending.problem,
    });
    format!("{plan}\n")
}

/// Returns the name of a key in JSON: `attempt-timeout` is `attempt_timeout`, as in the events.
fn field(name: &str) -> String {
    name.replace(['-', ' '], "_")
}

fn lines(planned: &Planned) -> Vec<(String, String)> {
    let Planned { kind, settings, spec, target, .. } = planned;
    let is_choice = planned.is_choice();
    let mut lines = vec![
        ("kind", kind.name.to_owned()),
        ("target", target.clone()),
        ("ready when", kind.summary.to_owned()),
    ];
    let common = COMMON.iter().map(|common| (common.key.name, (common.show)(settings)));
    // A choice has no settings: each alternative has its own.
    lines.extend(common.filter(|(_, value)| !value.is_empty() && !is_choice));
    // A kind's own keys may hold secrets, so only their names are printed.
    lines.extend(spec.key_names().map(|name| (name, "(set)".to_owned())));
    lines.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
