//! What a look needs from a database, whatever its protocol: where it is, its tables, rows as text,
//! and locks.
//!
//! One implementation per protocol, e.g. [`postgres`](super::postgres). The SELECTs come from the
//! table of tools; an implementation runs them as they are. In them names have double quotes and
//! `||` joins text, as in standard SQL.

use std::{future::Future, pin::Pin};

use super::{
    locks::Held,
    name::shown,
    tool::{LockKey, Tool},
};
use crate::probe::{Class, Cost, Failure};

/// What a request to the database returns.
pub(super) type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send + 'a>>;

/// A row as text; NULL is `None`.
pub(super) type TextRow = Vec<Option<String>>;

/// A logged-in session in a read-only transaction.
///
/// An error is a [`Failure`] that already has its class: only the protocol knows what its codes
/// mean.
pub(super) trait Database: Send {
    /// Host and port, for messages.
    fn endpoint(&self) -> String;

    /// What the session has cost the server so far.
    fn cost(&self) -> Cost;

    /// Where the session is.
    fn surroundings(&mut self) -> Answer<'_, Surroundings>;

    /// Every table that is called by one of these names, in any schema. Asking must need no right
    /// on the table, or a table that may not be read looks like one that does not exist.
    fn relations<'a>(&'a mut self, names: &'a [String]) -> Answer<'a, Vec<Relation>>;

    /// The rows of one SELECT on `table`, every column as text. Messages name the table.
    fn rows<'a>(&'a mut self, sql: &'a str, table: &'a Relation) -> Answer<'a, Vec<TextRow>>;

    /// The locks that other sessions hold on these tables or under these keys, a tool's own locks
    /// first.
    fn locks<'a>(
        &'a mut self,
        tables: &'a [&'a Relation],
        keys: &'a [LockKey],
    ) -> Answer<'a, Vec<Held>>;

    /// A name as a statement has it.
    fn quoted(&self, name: &str) -> String;

    /// A failure with what the session has cost.
    fn failure(&self, class: Class, what: &str) -> Failure {
        Failure::new(class, what).cost(self.cost())
    }

    /// The full name of a table as a statement has it.
    fn quoted_table(&self, table: &Relation) -> String {
        format!("{}.{}", self.quoted(&table.schema), self.quoted(&table.name))
    }
}

/// Where a session is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Surroundings {
    /// The schemas in which a name without a schema is looked up, in order.
    pub path: Vec<String>,
    /// Who is logged in.
    pub user: String,
    /// The database.
    pub database: String,
    /// The server is a standby: its rows may lag, and its primary's locks are invisible.
    pub standby: bool,
}

/// A table of the catalog.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Relation {
    /// What the database itself calls it, e.g. an OID.
    pub id: String,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// The user may look into its schema.
    pub reachable: bool,
    /// The user may read at least one of its columns.
    pub readable: bool,
    /// Names and types of its columns, in order.
    pub columns: Vec<(String, String)>,
}

impl Relation {
    /// `schema.table`, for people.
    pub(super) fn full_name(&self) -> String {
        format!("{}.{}", shown(&self.schema), shown(&self.name))
    }

    /// Its first columns with their types, for people.
    pub(super) fn columns_shown(&self) -> String {
        let column = |(name, typname): &(String, String)| format!("{} {typname}", shown(name));
        self.columns.iter().take(8).map(column).collect::<Vec<_>>().join(", ")
    }

    /// Whether it has a column of this name.
    pub(super) fn has_column(&self, name: &str) -> bool {
        self.columns.iter().any(|(column, _)| column == name)
    }
}

/// The keys of the locks that a tool takes while it migrates this table.
pub(super) fn lock_keys(tool: &Tool, table: &Relation, database: &str) -> Vec<LockKey> {
    let keys = |lock: &super::tool::Lock| match lock {
        super::tool::Lock::Advisory(keys) => {
            let keys = keys(&table.schema, &table.name, database);
            keys.into_iter().map(LockKey::Number).collect()
        }
        super::tool::Lock::Named(name) => {
            vec![LockKey::Name(name(&table.schema, &table.name, database))]
        }
        super::tool::Lock::Row { .. } => Vec::new(),
    };
    tool.locks.iter().flat_map(keys).collect()
}
