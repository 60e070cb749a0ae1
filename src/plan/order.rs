//! What comes first: `after` resolved to places, proved free of circles, and what its longest chain may take.

use std::{collections::HashMap, time::Duration};

use super::Planned;
use crate::{spec::ConfigError, text::nearest, wait::settings::Timeout};

/// Resolves every `after` to places in the plan.
///
/// # Errors
/// A name that nothing has, and a chain that comes back to where it began.
pub fn resolve(planned: &mut [Planned]) -> Result<(), ConfigError> {
    let places: HashMap<String, usize> =
        planned.iter().enumerate().map(|(n, p)| (p.spec.name.clone(), n)).collect();
    for n in 0..planned.len() {
        let named =
            planned[n].settings.after.iter().map(|name| places.get(name).copied().ok_or(name));
        planned[n].after = match named.collect::<Result<_, _>>() {
            Ok(after) => after,
            Err(name) => return Err(unknown(planned, n, name)),
        };
    }
    match sorted(planned) {
        Ok(_) => Ok(()),
        Err(n) => Err(planned[n].spec.key_error("after", "it would wait for itself")),
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
    planned[n].spec.key_error("after", format_args!("there is no dependency called {name}{near}"))
}

/// The places so that each stands behind those it waits for (Kahn 1962); else a place on a circle.
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
    // Whatever is left waits for something that is left; following that long enough leads onto a circle.
    let Some(mut left) = (0..planned.len()).find(|&n| waits_for[n] > 0) else { return Ok(order) };
    for _ in 0..planned.len() {
        left = planned[left].after.iter().copied().find(|&n| waits_for[n] > 0).unwrap_or(left);
    }
    Err(left)
}

/// What the longest chain of `after` may take in all; `None` where there is none, or none with a limit.
pub fn longest_chain(planned: &[Planned]) -> Option<Duration> {
    let mut until: Vec<Option<Duration>> = vec![None; planned.len()];
    for n in sorted(planned).unwrap_or_default() {
        let before = planned[n].after.iter().map(|&first| until[first]).collect::<Option<Vec<_>>>();
        until[n] = before.and_then(|before| {
            Some(own(&planned[n])? + before.into_iter().max().unwrap_or_default())
        });
    }
    let chained = planned.iter().zip(until).filter(|(p, _)| !p.after.is_empty());
    chained.filter_map(|(_, until)| until).max()
}

fn own(planned: &Planned) -> Option<Duration> {
    match planned.settings.timeout {
        Timeout::After(timeout) => Some(timeout),
        Timeout::Once => Some(planned.settings.attempt_timeout),
        Timeout::Never => None,
    }
}
