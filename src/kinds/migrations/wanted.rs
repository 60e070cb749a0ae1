//! The migrations that a directory asks for, and for some tools their graph.

use std::collections::HashMap;

use super::graph::Graph;

/// One migration that has to be recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct WantedMigration {
    /// Its name in messages.
    pub label: String,
    /// Its own names, in the tool's spelling. A row with any of them is this migration and no
    /// other.
    pub keys: Vec<String>,
    /// Names of other migrations that include this one: a row with any of them counts too.
    pub included_in: Vec<String>,
    /// A later one that is recorded counts too.
    pub or_later: bool,
    /// The migrations that a squashed one replaces. If there are any, they alone decide: all of
    /// them must be recorded.
    pub replaces: Vec<String>,
}

impl WantedMigration {
    /// A migration with one name.
    pub(super) fn new(label: impl Into<String>, key: impl Into<String>) -> Self {
        Self { label: label.into(), keys: vec![key.into()], ..Self::default() }
    }
}

/// Everything that a directory asks for.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    /// The migrations, in the tool's order.
    pub list: Vec<WantedMigration>,
    /// The graph, if the table holds heads alone.
    pub graph: Option<Graph>,
}

impl Wanted {
    /// A list without a graph.
    pub(super) fn list(list: Vec<WantedMigration>) -> Self {
        Self { list, graph: None }
    }

    /// Returns two migrations that share a key, and the key. One row would count for both.
    pub(super) fn shared_key(&self) -> Option<(&WantedMigration, &WantedMigration, &str)> {
        let mut of: HashMap<&str, &WantedMigration> = HashMap::new();
        for want in &self.list {
            for key in &want.keys {
                match of.insert(key, want) {
                    Some(other) if !std::ptr::eq(other, want) => return Some((other, want, key)),
                    _ => {}
                }
            }
        }
        None
    }
}
