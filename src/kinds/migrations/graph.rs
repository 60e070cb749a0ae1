//! A graph of revisions, for a table that holds heads alone. A head includes every revision before
//! it.

use std::collections::{HashMap, HashSet};

use super::row::{Row, State};

/// A revision and its predecessors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Revision {
    /// Its name in the table.
    pub id: String,
    /// Its name in messages.
    pub label: String,
    /// Its predecessors and dependencies, by id or by branch label.
    pub parents: Vec<String>,
    /// Names of the branch that begins here.
    pub labels: Vec<String>,
}

/// The meaning of the recorded heads.
pub(super) struct Expanded {
    /// The heads, and every revision that they include.
    pub rows: Vec<Row>,
    /// A head that the directory does not know.
    pub ahead: Option<String>,
    /// The revisions that follow a head that the directory knows.
    pub pending: HashSet<String>,
}

/// Every revision of a directory.
#[derive(Clone, Debug, Default)]
pub(super) struct Graph {
    revisions: Vec<Revision>,
    /// Ids and labels, by place.
    places: HashMap<String, usize>,
}

impl Graph {
    /// Ties revisions together. A parent that is not among them was pruned, and is skipped. Of two
    /// revisions with one id, the later one counts.
    pub(super) fn new(revisions: Vec<Revision>) -> Self {
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

    /// The revisions with their places, each after its predecessors.
    pub(super) fn in_order(&self) -> Vec<(usize, &Revision)> {
        let (mut order, mut seen) = (Vec::new(), HashSet::new());
        for start in 0..self.revisions.len() {
            // A revision is placed when it is met for the second time, after its parents.
            let mut stack = vec![(start, false)];
            while let Some((place, parents_done)) = stack.pop() {
                if parents_done {
                    order.push((place, &self.revisions[place]));
                } else if seen.insert(place) {
                    stack.push((place, true));
                    stack.extend(self.parents(place).map(|parent| (parent, false)));
                }
            }
        }
        order
    }

    /// Adds a row for every revision that the recorded heads include.
    pub(super) fn expand(&self, heads: &[Row]) -> Expanded {
        let mut unknown = None;
        let named: HashSet<&str> = heads.iter().map(|head| head.key.as_str()).collect();
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
            if !named.contains(key.as_str()) {
                rows.push(Row { key: key.clone(), state: State::Applied, aliases: Vec::new() });
            }
        }
        Expanded { rows, ahead: unknown, pending: self.pending(heads) }
    }

    /// Returns the revisions that follow a recorded head. None of them is applied: Alembic replaces
    /// a head's row by that of its successor.
    fn pending(&self, heads: &[Row]) -> HashSet<String> {
        let mut children = vec![Vec::new(); self.revisions.len()];
        for place in 0..self.revisions.len() {
            for parent in self.parents(place) {
                children[parent].push(place);
            }
        }
        let known = heads.iter().filter_map(|head| self.places.get(&head.key).copied());
        let (mut pending, mut next) = (HashSet::new(), Vec::<usize>::new());
        known.for_each(|place| next.extend(&children[place]));
        while let Some(place) = next.pop() {
            if pending.insert(self.revisions[place].id.clone()) {
                next.extend(&children[place]);
            }
        }
        pending
    }

    /// Returns the places of all revisions that are connected to one of `start`, in either
    /// direction.
    pub(super) fn tied_to(&self, start: impl Iterator<Item = usize>) -> HashSet<usize> {
        let mut beside = vec![Vec::new(); self.revisions.len()];
        for place in 0..self.revisions.len() {
            for parent in self.parents(place) {
                beside[place].push(parent);
                beside[parent].push(place);
            }
        }
        let (mut tied, mut next) = (HashSet::new(), start.collect::<Vec<_>>());
        while let Some(place) = next.pop() {
            if tied.insert(place) {
                next.extend(&beside[place]);
            }
        }
        tied
    }

    fn parents(&self, place: usize) -> impl Iterator<Item = usize> {
        self.revisions[place].parents.iter().filter_map(|parent| self.places.get(parent).copied())
    }
}
