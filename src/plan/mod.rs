//! From declarations to dependencies: names, defaults, duplicates, unknown keys, order.

mod order;
pub mod print;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    time::Duration,
};

use crate::{
    kinds,
    probe::Probe,
    spec::{ConfigError, Declaration, Declared, KeyValue, Kind, Mistakes, Spec, expand::Env},
    wait::{
        Dependency, Needs,
        settings::{
            OnTimeout, PAUSES, Settings, Timeout, Until, common, format_duration, unknown_key,
        },
    },
};

/// A declaration with its kind and its settings, before any I/O.
pub struct Planned {
    /// Its kind.
    pub kind: &'static Kind,
    /// The spec from which the kind builds.
    pub spec: Spec,
    /// Scheme, servers and path, redacted for messages.
    pub target: String,
    /// The dependencies that come first, by their places in the plan.
    pub after: Vec<usize>,
    /// The settings of the wait.
    pub settings: Settings,
}

/// All dependencies, and remarks for the operator.
pub struct Plan {
    /// The dependencies in the order of declaration.
    pub planned: Vec<Planned>,
    /// Remarks on the declarations.
    pub notes: Vec<String>,
}

/// Gives every declaration its name, its kind and its settings. No I/O.
///
/// Unknown schemes and keys, duplicate names, invalid values and an impossible `after` go into
/// `mistakes`. The rest is planned.
pub fn plan(declared: Declared, defaults: &Settings, env: &Env, mistakes: &mut Mistakes) -> Plan {
    let Declared { declarations, mut broken, mut notes } = declared;
    // Each is some hundred bytes, and growing lists would copy thousands of them several times.
    let mut read = Vec::with_capacity(declarations.len());
    for mut declaration in declarations {
        let kind = kinds::find(&declaration.scheme, declaration.rest.raw())
            .map_err(|message| declaration.error(message));
        let named = kind.and_then(|kind| Ok((kind, declaration.read_as(kind)?)));
        match mistakes.keep(named) {
            Some((kind, target)) => read.push((declaration, kind, target)),
            None => broken.extend(declaration.name),
        }
    }
    let targets = read.iter().map(|(declaration, _, target)| (declaration, target.as_str()));
    let names = names(targets, mistakes);
    let mut planned = Vec::with_capacity(read.len());
    for ((mut declaration, kind, target), name) in read.into_iter().zip(names) {
        notes.extend(suggest_protocol_check(&name, kind, &declaration));
        notes.extend(declaration.notes(kind.grammar));
        let keys = std::mem::take(&mut declaration.keys);
        let (settings, own) = match kind.alternatives {
            None => settings(&name, kind, keys, defaults, mistakes),
            Some(read) => (choice(&name, read(&declaration.rest), &keys, mistakes), Vec::new()),
        };
        let spec = declaration.into_spec(name, kind, own, env);
        planned.push(Planned { kind, spec, target, settings, after: Vec::new() });
    }
    order::resolve(&mut planned, &broken, mistakes);
    let mut seen = BTreeSet::new();
    notes.retain(|note| seen.insert(note.clone()));
    Plan { planned, notes }
}

/// Returns remarks on time limits that cannot work together.
pub fn warnings(planned: &[Planned], deadline: Option<Duration>) -> Vec<String> {
    let mut warnings = Vec::new();
    for Planned { spec, settings, .. } in planned {
        // A default bound that exceeds a short timeout needs no remark: the timeout cuts it.
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
        let (longest, deadline) = (format_duration(longest), format_duration(deadline));
        warnings.push(format!(
            "the timeouts of the longest chain of after add up to {longest}, more than the \
            deadline of {deadline}"
        ));
    }
    warnings
}

/// Reduces the wait to a single look: one attempt per dependency, at once.
pub fn once(planned: &mut [Planned]) {
    for Planned { settings, after, kind, .. } in planned {
        settings.timeout = Timeout::Once;
        if kind.alternatives.is_none() {
            after.clear();
        }
        settings.successes = 1;
        settings.on_timeout = OnTimeout::Fail;
    }
}

/// Has every kind check its declaration and build its probe. Returns the dependencies and all
/// remarks. Reads the files that declarations name.
///
/// Errors of a kind go into `mistakes`. A dependency with a mistake is left out.
pub fn build(planned: Vec<Planned>, mistakes: &mut Mistakes) -> (Vec<Dependency>, Vec<String>) {
    let mut dependencies = Vec::<Dependency>::with_capacity(planned.len());
    let mut notes = Vec::new();
    let mut kept = Vec::new();
    for Planned { kind, spec, settings, after, .. } in planned {
        let probe = (kind.build)(&spec).and_then(|probe| {
            check_bound(probe.as_ref(), &spec, &settings)?;
            Ok(probe)
        });
        let probe = probe.map_err(|error| error.without(spec.secrets()));
        let probe = mistakes.keep(probe.map_err(|error| error.with_dependency(&spec.name)));
        notes.extend(spec.notes());
        let probe = probe.filter(|_| !mistakes.concern(&spec.name));
        kept.push(probe.is_some().then_some(dependencies.len()));
        let needs = needs_of(kind);
        dependencies.extend(probe.map(|probe| Dependency {
            secrets: spec.secrets().clone(),
            settings,
            probe,
            after,
            needs,
        }));
    }
    // Places in the plan become places among those that are left.
    if dependencies.len() < kept.len() {
        for dependency in &mut dependencies {
            let after = dependency.after.iter().filter_map(|&place| kept[place]);
            dependency.after = after.collect();
        }
    }
    (dependencies, notes)
}

/// Checks that an attempt has the time that a success takes.
fn check_bound(probe: &dyn Probe, spec: &Spec, settings: &Settings) -> Result<(), ConfigError> {
    let Some((key, least)) = probe.least_time().filter(|_| settings.until == Until::Ready) else {
        return Ok(());
    };
    let (name, bound) = match settings.timeout {
        Timeout::After(timeout) if timeout < settings.attempt_timeout => ("timeout", timeout),
        _ => ("attempt-timeout", settings.attempt_timeout),
    };
    if least < bound {
        return Ok(());
    }
    let bound = format_duration(bound);
    Err(spec.key_error(key, format_args!("must be shorter than {name}, which is {bound}")))
}

/// Returns whether a dependency of this kind needs all of those that come first, or one.
pub fn needs_of(kind: &Kind) -> Needs {
    if kind.alternatives.is_some() { Needs::One } else { Needs::All }
}

/// Returns a name for each declaration. A declaration without a name gets its `target` as name.
fn names<'a>(
    declarations: impl Iterator<Item = (&'a Declaration, &'a str)> + Clone,
    mistakes: &mut Mistakes,
) -> Vec<String> {
    // The number that was given last with each name.
    let mut taken = BTreeMap::new();
    for name in declarations.clone().filter_map(|(declaration, _)| declaration.name.as_deref()) {
        if taken.insert(Cow::Borrowed(name), 1).is_some() {
            mistakes.push(ConfigError::at(name, "the name is given to two dependencies"));
        }
    }
    let mut names = Vec::new();
    for (declaration, target) in declarations {
        names.push(match &declaration.name {
            Some(name) => name.clone(),
            None => free_name(target, &mut taken),
        });
    }
    names
}

/// Returns the target as a name. The first free number follows a name that is taken.
fn free_name<'a>(target: &'a str, taken: &mut BTreeMap<Cow<'a, str>, usize>) -> String {
    let mut number = match taken.entry(Cow::Borrowed(target)) {
        Entry::Vacant(free) => {
            free.insert(1);
            return target.to_owned();
        }
        Entry::Occupied(last) => *last.get(),
    };
    let name = loop {
        number += 1;
        let name = format!("{target}-{number}");
        if !taken.contains_key(name.as_str()) {
            break name;
        }
    };
    taken.insert(Cow::Borrowed(target), number);
    taken.insert(Cow::Owned(name.clone()), 1);
    name
}

/// Returns the settings of a choice: the names of its alternatives, which have their own keys.
fn choice(
    name: &str,
    names: Result<Vec<String>, String>,
    keys: &[KeyValue],
    mistakes: &mut Mistakes,
) -> Settings {
    let names = mistakes.keep(names.map_err(|message| ConfigError::at(name, message)));
    if let Some(key) = keys.first() {
        let message = format_args!("{}: must be a key of the named dependencies", key.name);
        mistakes.push(ConfigError::at(name, message));
    }
    Settings { after: names.unwrap_or_default(), ..Settings::default() }
}

/// Applies the common keys to the settings, and returns the kind's own keys too.
fn settings(
    name: &str,
    kind: &Kind,
    keys: Vec<KeyValue>,
    defaults: &Settings,
    mistakes: &mut Mistakes,
) -> (Settings, Vec<KeyValue>) {
    let mut settings = defaults.clone();
    let mut own = Vec::new();
    let mut seen = BTreeSet::new();
    let mut last_pause = None;
    for key in keys {
        let place = key.at.as_ref().map(|at| format!("{at}: ")).unwrap_or_default();
        let place = format!("{place}{name}: {}", key.name);
        if !kind.repeats.contains(&key.name.as_str()) && !seen.insert(key.name.clone()) {
            mistakes.push(ConfigError::at(place, "is given twice").with_dependency(name));
        } else if let Some(common) = common(&key.name) {
            if PAUSES.contains(&key.name.as_str()) {
                last_pause = Some((key.name.clone(), place.clone()));
            }
            let set = (common.set)(&mut settings, &key);
            let error = |message| ConfigError::at(place, message).with_dependency(name);
            mistakes.keep(set.map_err(error));
        } else if kind.own_keys().any(|own| own.name == key.name) {
            own.push(key);
        } else {
            let error = ConfigError::at(name, unknown_key(kind, &key.name));
            mistakes.push(error.with_dependency(name));
        }
    }
    // Mistakes in the defaults are reported where the user sets them.
    if let Some((pause, place)) = last_pause {
        let error = |message| ConfigError::at(place, message).with_dependency(name);
        mistakes.keep(settings.check(&pause).map_err(error));
    }
    (settings, own)
}

/// Returns a remark that suggests a protocol's check. `postgres:5432` is only a TCP check of a host
/// called postgres, and the user may have meant more.
fn suggest_protocol_check(name: &str, kind: &Kind, declaration: &Declaration) -> Option<String> {
    if kind.name != "tcp" {
        return None;
    }
    let end = declaration.rest.raw().rsplit(':').next();
    let port: Option<u16> = end.and_then(|end| end.parse().ok());
    let harmed = kinds::KINDS.iter().find_map(|other| {
        let (harmed, harm) = other.harmed_by_connects?;
        (port == Some(harmed)).then_some((other.schemes[0], harm))
    });
    if let Some((other, harm)) = harmed {
        return Some(format!("{name}: {harm}; {other}://USER@HOST asks without that"));
    }
    let host = declaration.bare_host.as_deref()?;
    let better = kinds::known(host, "")?;
    (better.name != kind.name && better.grammar.has_servers()).then(|| {
        let (address, summary) = (declaration.rest.display_redacted(), better.summary);
        format!("{name}: waits for the port alone; {host}:{address} checks more ({summary})")
    })
}

#[cfg(test)]
mod tests;
