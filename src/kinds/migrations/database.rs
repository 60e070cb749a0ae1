//! The interface of a look to a database of any protocol: surroundings, tables, rows as text, and
//! locks.
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
use crate::{
    kinds::rows::Rows,
    probe::{Class, Cost, Failure},
};

/// The future answer to a request.
pub(super) type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send + 'a>>;

/// A logged-in session in a read-only transaction.
///
/// An error is a [`Failure`] that already has its class: only the protocol knows what its codes
/// mean.
pub(super) trait Database: Send {
    /// Host and port, for messages.
    fn endpoint(&self) -> String;

    /// The session's cost to the server so far.
    fn cost(&self) -> Cost;

    /// The session's search path, user and database.
    fn surroundings(&mut self) -> Answer<'_, Surroundings>;

    /// Returns every table with one of these names, in any schema. The request must need no right
    /// on the table: an unreadable table would look like a missing one.
    ///
    /// Where the database ignores the case of a name, the answer has the spelling of `names`.
    fn relations<'a>(&'a mut self, names: &'a Names) -> Answer<'a, Vec<Relation>>;

    /// The rows of one SELECT on `table`, every column as text. Messages name the table.
    fn rows<'a>(&'a mut self, sql: &'a str, table: &'a Relation) -> Answer<'a, Rows>;

    /// The locks that other sessions hold on these tables or under these keys, a tool's own locks
    /// first.
    fn locks<'a>(
        &'a mut self,
        tables: &'a [&'a Relation],
        keys: &'a [LockKey],
    ) -> Answer<'a, Vec<Held>>;

    /// Returns a name as a statement quotes it.
    fn quoted(&self, name: &str) -> String;

    /// The part of a failed migration that stays in the database. `None`: DDL is transactional.
    fn remains(&self) -> Option<&'static str> {
        None
    }

    /// Returns true if nobody can see whether a migrator of this tool is at work.
    fn hides_migrator(&self, _tool: &Tool) -> bool {
        false
    }

    /// Returns a failure with the session's cost.
    fn failure(&self, class: Class, message: &str) -> Failure {
        Failure::new(class, message).cost(self.cost())
    }

    /// Returns the full name of a table as a statement quotes it.
    fn quoted_table(&self, table: &Relation) -> String {
        format!("{}.{}", self.quoted(&table.schema), self.quoted(&table.name))
    }
}

/// The names that a look searches the catalog for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    /// The tables.
    pub tables: Vec<String>,
    /// The columns that tools or the operator name.
    pub columns: Vec<String>,
}

/// The meaning of a refusal while a table is being read.
pub(super) enum Refusal {
    /// Another session holds a lock on the table.
    Locked,
    /// The operator's condition or column is invalid.
    Condition,
    /// The table or a column existed a moment ago.
    Gone,
    /// The user may not read the table.
    Denied,
    /// Any other error.
    Other,
}

impl Refusal {
    /// Returns the failure of reading `table` as `user`. `error` is the server's error, and `other`
    /// its failure without a table.
    pub(super) fn failure(
        &self,
        (table, user): (&str, &str),
        error: impl std::fmt::Display,
        other: Failure,
    ) -> Failure {
        let cost = other.cost;
        let own = |class, message: String| Failure::new(class, message).cost(cost);
        match self {
            Refusal::Locked => {
                let message = format!("in progress: {table} is locked by a migrator ({error})");
                own(Class::Absent, message)
            }
            Refusal::Condition => {
                let message =
                    format!("{table}: where= must be a condition on its columns ({error})");
                own(Class::Config, message)
            }
            Refusal::Gone => {
                own(Class::Absent, format!("{table} changed while it was read ({error})"))
            }
            Refusal::Denied => other.hint(format!("GRANT SELECT ON {table} TO {};", shown(user))),
            Refusal::Other => other,
        }
    }
}

/// A session's search path, user and database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Surroundings {
    /// The schemas in which a name without a schema is looked up, in order.
    pub path: Vec<String>,
    /// The user that is logged in.
    pub user: String,
    /// The database.
    pub database: String,
    /// The server is a standby: its rows may lag, and its primary's locks are invisible.
    pub standby: bool,
}

/// A table of the catalog.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Relation {
    /// The database's own identifier, e.g. an OID.
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

    /// Returns true if it has a column of this name.
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
