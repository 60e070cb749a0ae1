//! The rows of a table, asked by migration: what became of each one that is wanted.

use std::cmp::Ordering;

use super::{
    key::compare,
    row::{Row, State},
    tool::{Record, Tool},
    wanted::Want,
};

/// What became of one wanted migration.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Recorded as applied, or stood for by what is.
    Done,
    /// Not recorded.
    Missing,
    /// Taken back.
    RolledBack,
    /// Begun.
    Unfinished,
    /// Failed.
    Failed,
}

/// The rows, with their keys in the tool's writing.
pub struct Records<'a> {
    tool: &'a Tool,
    /// Every name that a row goes by, and its state.
    names: Vec<(String, State)>,
    /// The keys alone, of what is done, and whether it stands for what comes before.
    done: Vec<(String, State)>,
}

impl<'a> Records<'a> {
    /// Puts them together.
    pub fn new(tool: &'a Tool, rows: &[Row]) -> Self {
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
        names.sort();
        Self { tool, names, done }
    }

    /// What is recorded of any of these names; the worst of it, where there are several rows.
    fn state(&self, key: &str) -> Option<State> {
        let start = self.names.partition_point(|(name, _)| name.as_str() < key);
        self.names[start..]
            .iter()
            .take_while(|(name, _)| name == key)
            .map(|(_, state)| *state)
            .max()
    }

    /// What became of a wanted migration.
    pub fn fate(&self, want: &Want) -> Fate {
        if self.tool.record == Record::Latest {
            let reached =
                want.keys.iter().any(|key| self.done.iter().any(|(at, _)| self.at_least(at, key)));
            return if reached { Fate::Done } else { Fate::Missing };
        }
        let recorded = want.keys.iter().filter_map(|key| self.state(key)).max();
        match recorded {
            Some(state) if state.is_done() => return Fate::Done,
            Some(State::Failed | State::Dirty) => return Fate::Failed,
            Some(State::Unfinished) => return Fate::Unfinished,
            _ => {}
        }
        let covers = |(at, state): &(String, State)| {
            let stands_for_earlier = want.or_later || *state == State::Baseline;
            stands_for_earlier && want.keys.iter().any(|key| self.at_least(at, key))
        };
        let is_done = |key: &String| self.state(key).is_some_and(State::is_done);
        if self.done.iter().any(covers)
            || (!want.or_all.is_empty() && want.or_all.iter().all(is_done))
        {
            return Fate::Done;
        }
        match recorded {
            Some(State::RolledBack | State::Reverted) => Fate::RolledBack,
            _ => Fate::Missing,
        }
    }

    fn at_least(&self, at: &str, key: &str) -> bool {
        matches!(compare(self.tool.order, at, key), Some(Ordering::Greater | Ordering::Equal))
    }

    /// The latest by the tool's order, or, where keys do not show one, by the order of the rows.
    pub fn latest(&self) -> Option<&str> {
        let mut latest: Option<&str> = None;
        for (key, _) in &self.done {
            let later = latest
                .is_none_or(|latest| compare(self.tool.order, key, latest) != Some(Ordering::Less));
            if later {
                latest = Some(key);
            }
        }
        latest
    }

    /// Whether a row is one of these.
    pub fn is_wanted(&self, row: &Row, list: &[Want]) -> bool {
        let key = (self.tool.key)(&row.key);
        list.iter().any(|want| want.keys.iter().any(|wanted| *wanted == key || *wanted == row.key))
    }
}
