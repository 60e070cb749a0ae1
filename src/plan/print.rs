//! `--print-plan`: prints the dependencies and their settings, so that a deployment can be checked
//! before it runs. It prints no secret.

use std::{fmt::Write, time::Duration};

use serde_json::{Map, Value, json};

use crate::{
    plan::{Plan, Planned},
    wait::settings::{COMMON, format_duration},
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

/// Returns the plan as text for people. Settings have the form of a declaration.
pub fn text(plan: &Plan, ending: &Ending) -> String {
    let mut out = String::new();
    for planned in &plan.planned {
        let _ = writeln!(out, "{}", planned.spec.name);
        for (name, value) in lines(planned) {
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

/// Returns the plan as one JSON object.
pub fn json(plan: &Plan, ending: &Ending) -> String {
    let dependencies: Vec<Value> = plan
        .planned
        .iter()
        .map(|planned| {
            let fields =
                lines(planned).into_iter().map(|(name, value)| (field(name), value.into()));
            let name = ("name".to_owned(), planned.spec.name.as_str().into());
            Value::Object([name].into_iter().chain(fields).collect::<Map<_, _>>())
        })
        .collect();
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

fn lines(planned: &Planned) -> Vec<(&str, String)> {
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
    lines
}
