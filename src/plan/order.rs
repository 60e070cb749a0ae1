//! The order of the plan: resolves `after` to places, rejects cycles, and sums the timeouts of the
//! longest chain.

use std::{collections::BTreeMap, fmt, time::Duration};

use super::Planned;
use crate::{
    spec::{ConfigError, Mistakes},
    text::nearest,
    wait::settings::Timeout,
};

/// Resolves every `after` to places in the plan.
///
/// Unknown names and cycles go into `mistakes`. `broken` are the names of dependencies that are
/// declared and cannot be planned.
pub(super) fn resolve(planned: &mut [Planned], broken: &[String], mistakes: &mut Mistakes) {
    if planned.iter().all(|planned| planned.settings.after.is_empty()) {
        return;
    }
    let mut places = BTreeMap::new();
    places.extend(planned.iter().enumerate().map(|(n, p)| (p.spec.name.clone(), n)));
    for n in 0..planned.len() {
        let mut after = Vec::new();
        for name in &planned[n].settings.after {
            match places.get(name) {
                Some(place) => after.push(*place),
                None if broken.contains(name) => {}
                None => mistakes.push(unknown(planned, n, name)),
            }
        }
        planned[n].after = after;
    }
    for choice in planned.iter().filter(|planned| planned.is_choice()) {
        let nested = choice.after.iter().find(|&&place| planned[place].is_choice());
        if let Some(&nested) = nested {
            let name = &planned[nested].spec.name;
            let message = format_args!("must not name {name}, which is a choice itself");
            mistakes.push(choice.order_error(message));
        }
    }
    if let Err(n) = sorted(planned) {
        mistakes.push(planned[n].order_error("must not lead back to itself"));
    }
}

impl Planned {
    /// Returns true if one of several other dependencies is enough for it.
    pub(super) fn is_choice(&self) -> bool {
        self.kind.alternatives.is_some()
    }

    /// Makes an error about the names of other dependencies.
    fn order_error(&self, message: impl fmt::Display) -> ConfigError {
        if self.is_choice() {
            self.spec.error(message)
        } else {
            self.spec.key_error("after", message)
        }
    }
}

fn unknown(planned: &[Planned], n: usize, name: &str) -> ConfigError {
    let others = planned
        .iter()
        .enumerate()
        .filter(|(other, _)| *other != n)
        .map(|(_, other)| other.spec.name.as_str());
    let near =
        nearest(name, others).map(|near| format!(", did you mean {near}?")).unwrap_or_default();
    planned[n].order_error(format_args!("must name a dependency; none is called {name}{near}"))
}

/// Returns a topological order (Kahn 1962), or a place on a cycle.
fn sorted(planned: &[Planned]) -> Result<Vec<usize>, usize> {
    let mut waits_for: Vec<usize> = planned.iter().map(|p| p.after.len()).collect();
    let mut order: Vec<usize> = (0..planned.len()).filter(|&n| waits_for[n] == 0).collect();
    let mut blocks = vec![Vec::new(); planned.len()];
    for (n, p) in planned.iter().enumerate() {
        p.after.iter().for_each(|&first| blocks[first].push(n));
    }
    let mut done = 0;
    while let Some(&first) = order.get(done) {
        done += 1;
        for &n in &blocks[first] {
            waits_for[n] -= 1;
            if waits_for[n] == 0 {
                order.push(n);
            }
        }
    }
    // Each place that is left waits for another one that is left. Following these links leads onto
    // a cycle.
    let Some(mut left) = (0..planned.len()).find(|&n| waits_for[n] > 0) else { return Ok(order) };
    for _ in 0..planned.len() {
        left = planned[left].after.iter().copied().find(|&n| waits_for[n] > 0).unwrap_or(left);
    }
    Err(left)
}

/// Returns the longest time that a chain of `after` may take. `None`: no chain, or none with a
/// limit.
pub(super) fn longest_chain(planned: &[Planned]) -> Option<Duration> {
    let mut until: Vec<Option<Duration>> = vec![None; planned.len()];
    for n in sorted(planned).unwrap_or_default() {
        let before = planned[n].after.iter().map(|&first| until[first]).collect::<Option<Vec<_>>>();
        until[n] = before.and_then(|before| {
            Some(own(&planned[n])? + before.into_iter().max().unwrap_or_default())
        });
    }
    let chained = planned.iter().zip(until).filter(|(p, _)| !p.after.is_empty() && !p.is_choice());
    chained.filter_map(|(_, until)| until).max()
}

fn own(planned: &Planned) -> Option<Duration> {
    match planned.settings.timeout {
        _ if planned.is_choice() => Some(Duration::ZERO),
        Timeout::After(timeout) => Some(timeout),
        Timeout::Once => Some(planned.settings.attempt_timeout),
        Timeout::Never => None,
    }
}
