//! A graph of revisions, for a table that holds heads alone: what a head stands for is everything that it comes after.

use std::collections::{HashMap, HashSet};

use super::row::{Row, State};

/// A revision and what it comes after.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revision {
    /// As the table has it.
    pub id: String,
    /// What messages call it.
    pub label: String,
    /// The revisions that must come first, by id or by branch label: those that it follows, and those that it depends on.
    pub parents: Vec<String>,
    /// Names of the branch that begins here.
    pub labels: Vec<String>,
}

/// Every revision of a directory.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    revisions: Vec<Revision>,
    /// Ids and labels, by place.
    places: HashMap<String, usize>,
}

impl Graph {
    /// Ties revisions together. A parent that is not among them is passed over: it was pruned.
    pub fn new(revisions: Vec<Revision>) -> Self {
        let mut places = HashMap::new();
        for (place, revision) in revisions.iter().enumerate() {
            for label in &revision.labels {
                places.entry(label.clone()).or_insert(place);
            }
        }
        for (place, revision) in revisions.iter().enumerate() {
            places.insert(revision.id.clone(), place);
        }
        Self { revisions, places }
    }

    /// The revisions, each behind what it comes after.
    pub fn in_order(&self) -> Vec<&Revision> {
        let (mut order, mut seen) = (Vec::new(), HashSet::new());
        for start in 0..self.revisions.len() {
            // A revision is left for good when it is met for the second time, its parents being done.
            let mut stack = vec![(start, false)];
            while let Some((place, parents_done)) = stack.pop() {
                if parents_done {
                    order.push(&self.revisions[place]);
                } else if seen.insert(place) {
                    stack.push((place, true));
                    stack.extend(self.parents(place).map(|parent| (parent, false)));
                }
            }
        }
        order
    }

    /// The rows that there would be if the table held every revision that its heads stand for, and a head that this
    /// directory does not know, if there is one.
    pub fn expand(&self, heads: &[Row]) -> (Vec<Row>, Option<String>) {
        let mut unknown = None;
        let mut reached = HashSet::new();
        let mut next = Vec::new();
        for head in heads {
            match self.places.get(&head.key) {
                Some(place) => next.push(*place),
                None => unknown = unknown.or_else(|| Some(head.key.clone())),
            }
        }
        while let Some(place) = next.pop() {
            if reached.insert(place) {
                next.extend(self.parents(place));
            }
        }
        let mut rows: Vec<_> = heads.to_vec();
        for place in reached {
            let key = &self.revisions[place].id;
            if !heads.iter().any(|head| head.key == *key) {
                rows.push(Row { key: key.clone(), state: State::Applied, aliases: Vec::new() });
            }
        }
        (rows, unknown)
    }

    fn parents(&self, place: usize) -> impl Iterator<Item = usize> {
        self.revisions[place].parents.iter().filter_map(|parent| self.places.get(parent).copied())
    }
}
