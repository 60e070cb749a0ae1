//! `--print-plan`: what would be waited for, and how, so that a deployment can be checked before it runs. No secret is in it.

use std::{fmt::Write, time::Duration};

use crate::{
    keys::{COMMON, Settings, Timeout, written},
    plan::{Plan, Planned},
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
    let Planned { kind, settings, spec, target } = planned;
    let mut lines = vec![("kind", kind.name.to_owned()), ("target", target.clone()), ("ready when", kind.summary.to_owned())];
    let common = COMMON.iter().map(|common| (common.key.name, (common.show)(settings)));
    lines.extend(common.filter(|(_, value)| !value.is_empty()));
    // A kind's own keys may hold secrets, so only their names are told.
    lines.extend(spec.key_names().map(|name| (name, "(set)".to_owned())));
    lines
}

/// Budgets that cannot work: what an operator would want to know before the night.
pub fn warnings(planned: &[Planned], deadline: Option<Duration>) -> Vec<String> {
    let mut warnings = Vec::new();
    for Planned { spec, settings, .. } in planned {
        if let Timeout::After(timeout) = settings.timeout
            && settings.attempt_timeout > timeout
            && !timeout.is_zero()
        {
            // The default bound under a short timeout is no mistake: it is cut by the timeout.
            if settings.attempt_timeout != Settings::default().attempt_timeout {
                warnings.push(format!("{}: attempt-timeout is longer than timeout, which cuts it", spec.name));
            }
        }
    }
    let longest = || planned.iter().filter_map(|end| chain(planned, end, planned.len())).max();
    if let Some(deadline) = deadline
        && let Some(longest) = longest()
        && longest > deadline
    {
        let (longest, deadline) = (written(longest), written(deadline));
        warnings.push(format!(
            "the timeouts of the longest chain of after add up to {longest}, more than the deadline of {deadline}"
        ));
    }
    warnings
}

/// The timeouts of a dependency and of the longest chain before it; `None` without any `after`, or without a limit.
fn chain(planned: &[Planned], end: &Planned, depth: usize) -> Option<Duration> {
    let first = planned.iter().filter(|other| end.settings.after.contains(&other.spec.name) && depth > 0);
    let before = first.map(|other| chain(planned, other, depth - 1).or(own(other))).collect::<Option<Vec<_>>>()?;
    Some(own(end)? + before.into_iter().max()?)
}

fn own(planned: &Planned) -> Option<Duration> {
    match planned.settings.timeout {
        Timeout::After(timeout) => Some(timeout),
        Timeout::Once => Some(planned.settings.attempt_timeout),
        Timeout::Never => None,
    }
}
