//! `--print-plan`: what would be waited for, and how, so that a deployment can be checked before it runs. No secret is in it.

use std::{fmt::Write, time::Duration};

use crate::{
    plan::{Plan, Planned},
    wait::settings::{COMMON, written},
};

/// The plan as text for people; each setting as it would be written.
pub fn text(plan: &Plan, deadline: Option<Duration>, command: Option<&str>) -> String {
    let mut out = String::new();
    for planned in &plan.planned {
        let _ = writeln!(out, "{}", planned.spec.name);
        for (name, value) in lines(planned) {
            let _ = writeln!(out, "  {name:16} {value}");
        }
    }
    if let Some(deadline) = deadline {
        let _ = writeln!(out, "deadline           {}", written(deadline));
    }
    let _ = match command {
        Some(command) => writeln!(out, "command            {command}"),
        None => writeln!(out, "no command: exit 0 when all is ready"),
    };
    out
}

fn lines(planned: &Planned) -> Vec<(&str, String)> {
    let Planned { kind, settings, spec, target, .. } = planned;
    let mut lines = vec![
        ("kind", kind.name.to_owned()),
        ("target", target.clone()),
        ("ready when", kind.summary.to_owned()),
    ];
    let common = COMMON.iter().map(|common| (common.key.name, (common.show)(settings)));
    lines.extend(common.filter(|(_, value)| !value.is_empty()));
    // A kind's own keys may hold secrets, so only their names are told.
    lines.extend(spec.key_names().map(|name| (name, "(set)".to_owned())));
    lines
}
