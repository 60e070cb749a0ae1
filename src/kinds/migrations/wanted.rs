//! What a directory asks for: a list of migrations, and for some tools the graph that ties them together.

use super::graph::Graph;

/// One migration that has to be recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Want {
    /// What messages call it.
    pub label: String,
    /// Any of these names, in the tool's writing, is this migration.
    pub keys: Vec<String>,
    /// A later one that is recorded will do.
    pub or_later: bool,
    /// All of these together will do: what a squashed migration replaces.
    pub or_all: Vec<String>,
}

impl Want {
    /// A migration with one name.
    pub fn new(label: impl Into<String>, key: impl Into<String>) -> Self {
        Self { label: label.into(), keys: vec![key.into()], ..Self::default() }
    }
}

/// Everything that a directory asks for.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// In the tool's order.
    pub list: Vec<Want>,
    /// Where the table holds heads alone.
    pub graph: Option<Graph>,
}
