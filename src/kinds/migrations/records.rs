//! The rows of a table by migration, and the fate of each wanted migration.

use crate::sort::sort;
use std::{cmp::Ordering, collections::HashSet};

use super::{
    key::compare,
    row::{Row, State},
    tool::Tool,
    wanted::WantedMigration,
};

/// The recorded fate of one wanted migration.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// Recorded as applied, or included in a migration that is.
    Done,
    /// Not recorded.
    Missing,
    /// Recorded as undone.
    RolledBack,
    /// Recorded as begun.
    Unfinished,
    /// Recorded as failed.
    Failed,
}

/// The rows, with their keys in the tool's spelling.
pub(super) struct Records<'a> {
    tool: &'a Tool,
    /// Every name of every row, and the row's state.
    names: Vec<(String, State)>,
    /// The keys of applied rows. A baseline includes every migration before it.
    done: Vec<(String, State)>,
    /// The highest of those keys, where the tool's keys have an order.
    highest: Option<usize>,
    /// The highest of the baselines.
    baseline: Option<usize>,
}

impl<'a> Records<'a> {
    /// Reads the rows of one table.
    pub(super) fn new(tool: &'a Tool, rows: &[Row]) -> Self {
        let mut names = Vec::new();
        let mut done = Vec::new();
        for row in rows {
            let key = (tool.key)(&row.key);
            if row.state.is_done() {
                done.push((key.clone(), row.state));
            }
            names.extend(row.aliases.iter().map(|alias| (alias.clone(), row.state)));
            names.push((row.key.clone(), row.state));
            names.push((key, row.state));
        }
        sort(&mut names);
        let highest = |of: fn(State) -> bool| {
            let mut highest: Option<usize> = None;
            let all = done.iter().enumerate();
            for (place, (key, _)) in
                all.filter(|(_, (key, state))| of(*state) && tool.order.has(key))
            {
                let is_higher = highest.is_none_or(|at| {
                    compare(tool.order, key, &done[at].0) == Some(Ordering::Greater)
                });
                if is_higher {
                    highest = Some(place);
                }
            }
            highest
        };
        let (highest, baseline) = (highest(|_| true), highest(|state| state == State::Baseline));
        Self { tool, names, done, highest, baseline }
    }

    /// Returns the state recorded under this name; of several rows, the most serious one.
    fn state(&self, key: &str) -> Option<State> {
        let start = self.names.partition_point(|(name, _)| name.as_str() < key);
        self.names[start..]
            .iter()
            .take_while(|(name, _)| name == key)
            .map(|(_, state)| *state)
            .max()
    }

    fn is_done(&self, key: &str) -> bool {
        self.state(key).is_some_and(State::is_done)
    }

    /// Returns the fate of a wanted migration.
    pub(super) fn status(&self, want: &WantedMigration) -> Status {
        if self.tool.record.is_minimum() {
            let reached = want.keys.iter().any(|key| self.reaches(self.highest, key));
            return if reached { Status::Done } else { Status::Missing };
        }
        let recorded = want.keys.iter().filter_map(|key| self.state(key)).max();
        match recorded {
            Some(State::Failed | State::Dirty) => return Status::Failed,
            Some(State::Unfinished) => return Status::Unfinished,
            _ => {}
        }
        let is_done = match want.replaces.as_slice() {
            [] => recorded.is_some_and(State::is_done) || self.is_included(want),
            replaced => replaced.iter().all(|key| self.is_done(key)),
        };
        match recorded {
            _ if is_done => Status::Done,
            Some(State::RolledBack | State::Reverted) => Status::RolledBack,
            _ => Status::Missing,
        }
    }

    /// Returns true if a row for another migration counts for this one.
    fn is_included(&self, want: &WantedMigration) -> bool {
        let at = if want.or_later { self.highest } else { self.baseline };
        want.included_in.iter().any(|key| self.is_done(key))
            || want.keys.iter().any(|key| self.reaches(at, key))
    }

    fn reaches(&self, at: Option<usize>, key: &str) -> bool {
        at.is_some_and(|at| self.at_least(&self.done[at].0, key))
    }

    fn at_least(&self, at: &str, key: &str) -> bool {
        matches!(compare(self.tool.order, at, key), Some(Ordering::Greater | Ordering::Equal))
    }

    /// The latest by the tool's order, or, where keys do not show one, by the order of the rows.
    pub(super) fn latest(&self) -> Option<&str> {
        let last = || self.done.last().map(|(key, _)| key.as_str());
        self.highest.map(|at| self.done[at].0.as_str()).or_else(last)
    }

    /// The keys of rows in this state that belong to none of these migrations.
    pub(super) fn unwanted<'r>(
        &self,
        rows: &'r [Row],
        state: State,
        list: &[WantedMigration],
    ) -> Vec<&'r str> {
        let mut found = rows.iter().filter(|row| row.state == state).peekable();
        if found.peek().is_none() {
            return Vec::new();
        }
        let keys: HashSet<&str> =
            list.iter().flat_map(|want| &want.keys).map(String::as_str).collect();
        let is_wanted = |row: &Row| {
            keys.contains(row.key.as_str())
                || keys.contains((self.tool.key)(&row.key).as_str())
                || row.aliases.iter().any(|alias| keys.contains(alias.as_str()))
        };
        found.filter(|row| !is_wanted(row)).map(|row| row.key.as_str()).collect()
    }
}
