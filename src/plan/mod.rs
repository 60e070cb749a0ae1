//! From declarations to dependencies: names, defaults, duplicates, unknown keys, what comes first.

mod order;
pub mod print;

use std::{collections::HashSet, time::Duration};

use crate::wait::settings::unknown_key;
use crate::{
    kinds,
    spec::{ConfigError, Declaration, Kind, Spec, expand::Env},
    wait::{
        Dependency,
        settings::{OnTimeout, Settings, Timeout, written},
    },
};

/// A declaration with its kind and its settings; nothing outside the process was looked at yet.
pub struct Planned {
    /// Its kind.
    pub kind: &'static Kind,
    /// What its kind builds from.
    pub spec: Spec,
    /// Scheme, servers and path, fit to be shown.
    pub target: String,
    /// What comes first, by its place in the plan.
    pub after: Vec<usize>,
    /// How it is waited for.
    pub settings: Settings,
}

/// All that is waited for, and what the operator should know about it.
pub struct Plan {
    /// In the order of declaration.
    pub planned: Vec<Planned>,
    /// Remarks on what was declared.
    pub notes: Vec<String>,
}

/// Gives every declaration its name, its kind and its settings. No I/O.
///
/// # Errors
/// An unknown scheme or key, a name given twice, a value that its key does not take, an `after` that cannot be.
pub fn plan(
    declarations: Vec<Declaration>,
    defaults: &Settings,
    env: &Env,
) -> Result<Plan, ConfigError> {
    let mut read = Vec::new();
    for mut declaration in declarations {
        let kind = kinds::find(&declaration.scheme, declaration.rest.raw())
            .map_err(|message| declaration.error(message))?;
        let target = declaration.read_as(kind)?;
        read.push((declaration, kind, target));
    }
    let names = names(read.iter().map(|(declaration, _, target)| (declaration, target.as_str())))?;
    let mut notes = Vec::new();
    let mut planned = Vec::new();
    for ((declaration, kind, target), name) in read.into_iter().zip(names) {
        notes.extend(suggest_protocol_check(&name, kind, &declaration));
        let (settings, own) = settings(&name, kind, declaration.keys, defaults)?;
        let spec = Spec::new(name, declaration.scheme, declaration.rest, own, env.clone());
        planned.push(Planned { kind, spec, target, settings, after: Vec::new() });
    }
    order::resolve(&mut planned)?;
    Ok(Plan { planned, notes })
}

/// Budgets that cannot work: what an operator would want to know before the night.
pub fn warnings(planned: &[Planned], deadline: Option<Duration>) -> Vec<String> {
    let mut warnings = Vec::new();
    for Planned { spec, settings, .. } in planned {
        // The default bound under a short timeout is no mistake: it is cut by the timeout.
        let is_set = settings.attempt_timeout != Settings::default().attempt_timeout;
        if let Timeout::After(timeout) = settings.timeout
            && settings.attempt_timeout > timeout
            && is_set
        {
            warnings.push(format!(
                "{}: attempt-timeout is longer than timeout, which cuts it",
                spec.name
            ));
        }
    }
    if let Some(deadline) = deadline
        && let Some(longest) = order::longest_chain(planned)
        && longest > deadline
    {
        let (longest, deadline) = (written(longest), written(deadline));
        warnings.push(format!(
            "the timeouts of the longest chain of after add up to {longest}, more than the deadline of {deadline}"
        ));
    }
    warnings
}

/// Makes a look of the wait: one attempt each, at once.
pub fn once(planned: &mut [Planned]) {
    for Planned { settings, after, .. } in planned {
        settings.timeout = Timeout::Once;
        after.clear();
        settings.successes = 1;
        settings.on_timeout = OnTimeout::Fail;
    }
}

/// Has every kind prove its declaration right, and returns its remarks too. Reads the files that declarations name.
///
/// # Errors
/// What a kind finds wrong.
pub fn build(planned: Vec<Planned>) -> Result<(Vec<Dependency>, Vec<String>), ConfigError> {
    let (mut dependencies, mut notes) = (Vec::new(), Vec::new());
    for Planned { kind, spec, settings, after, .. } in planned {
        let probe = (kind.build)(&spec)?;
        notes.extend(spec.notes());
        dependencies.push(Dependency {
            secrets: spec.secrets(),
            name: spec.name,
            settings,
            probe,
            after,
        });
    }
    Ok((dependencies, notes))
}

/// A name for each declaration; `target` is what one without a name is called by.
fn names<'a>(
    declarations: impl Iterator<Item = (&'a Declaration, &'a str)> + Clone,
) -> Result<Vec<String>, ConfigError> {
    let mut taken = HashSet::new();
    for name in declarations.clone().filter_map(|(declaration, _)| declaration.name.as_ref()) {
        if !taken.insert(name.clone()) {
            return Err(ConfigError::at(name, "the name is given to two dependencies"));
        }
    }
    let mut names = Vec::new();
    for (declaration, target) in declarations {
        names.push(declaration.name.clone().unwrap_or_else(|| {
            let numbered = (2..).map(|n| format!("{target}-{n}"));
            // The first free name is taken; there always is one.
            std::iter::once(target.to_owned())
                .chain(numbered)
                .find(|name| taken.insert(name.clone()))
                .unwrap_or_default()
        }));
    }
    Ok(names)
}

/// Splits the keys into the common ones, taken in, and the kind's own.
fn settings(
    name: &str,
    kind: &Kind,
    keys: Vec<crate::spec::KeyValue>,
    defaults: &Settings,
) -> Result<(Settings, Vec<crate::spec::KeyValue>), ConfigError> {
    let mut settings = defaults.clone();
    let mut own = Vec::new();
    let mut seen = HashSet::new();
    for key in keys {
        if !kind.repeats.contains(&key.name.as_str()) && !seen.insert(key.name.clone()) {
            return Err(ConfigError::at(name, format_args!("{}: is given twice", key.name)));
        }
        let place = key.at.as_ref().map(|at| format!("{at}: ")).unwrap_or_default();
        let wrong = |what| {
            ConfigError::at(format_args!("{place}{name}"), format_args!("{}: {what}", key.name))
        };
        if settings.apply(&key).map_err(wrong)? {
            continue;
        }
        if !kind.own_keys().any(|own| own.name == key.name) {
            return Err(ConfigError::at(name, unknown_key(kind, &key.name)));
        }
        own.push(key);
    }
    settings.check().map_err(|what| ConfigError::at(name, what))?;
    Ok((settings, own))
}

/// `postgres:5432` is a port on a host called postgres; whoever wrote it may have meant more.
fn suggest_protocol_check(name: &str, kind: &Kind, declaration: &Declaration) -> Option<String> {
    let address = declaration.rest.display_redacted();
    if kind.name == "tcp" {
        for (other, (port, harm)) in kinds::KINDS
            .iter()
            .filter_map(|other| Some((other.schemes[0], other.harmed_by_connects?)))
        {
            if address.ends_with(&format!(":{port}")) {
                return Some(format!("{name}: {harm}; {other}://USER@HOST asks without that"));
            }
        }
    }
    let host = declaration.bare_host.as_deref()?;
    let better = kinds::find(host, "").ok()?;
    (better.name != kind.name && better.grammar.has_servers()).then(|| {
        let summary = better.summary;
        format!("{name}: waits for the port alone; {host}:{address} checks more ({summary})")
    })
}

#[cfg(test)]
mod tests;
