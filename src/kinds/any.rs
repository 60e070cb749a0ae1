//! `any:` — one of several dependencies is ready. It asks nothing itself.

use std::collections::BTreeSet;

use crate::{
    probe::{Attempt, AttemptFuture, Probe, Verdict},
    spec::{ConfigError, Grammar, Kind, Spec, declaration::is_name, expand::Text},
};

/// The kind.
pub static KIND: Kind = Kind {
    name: "any",
    schemes: &["any"],
    grammar: Grammar::AsWritten,
    alternatives: Some(names),
    usage: "any:NAME+NAME",
    summary: "one of the dependencies with these names is ready; the others are then not waited \
        for",
    build,
    ..Kind::DEFAULT
};

struct Any(String);

/// Returns the names of the alternatives.
///
/// # Errors
/// There are fewer than two names, or one is not valid or occurs twice.
fn names(rest: &Text) -> Result<Vec<String>, String> {
    let names: Vec<String> = rest.expanded().split('+').map(str::to_owned).collect();
    let mut seen = BTreeSet::new();
    if names.len() > 1 && names.iter().all(|name| is_name(name) && seen.insert(name)) {
        Ok(names)
    } else {
        Err("must be the names of at least two dependencies, e.g. any:primary+replica".to_owned())
    }
}

fn build(spec: &Spec) -> Result<Box<dyn Probe>, ConfigError> {
    let names = names(&spec.rest).map_err(|message| spec.error(message))?;
    Ok(Box::new(Any(names.join(", "))))
}

impl Probe for Any {
    /// The engine starts this attempt once an alternative is ready.
    fn attempt<'a>(&'a mut self, _: &'a Attempt<'a>) -> AttemptFuture<'a> {
        Box::pin(async { Verdict::ready(format!("one of {} is ready", self.0)) })
    }

    fn is_local(&self) -> bool {
        true
    }

    /// The confirming round asks the alternative itself.
    fn leaves_a_trace(&self) -> bool {
        true
    }
}
