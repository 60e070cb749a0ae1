//! `migrations+postgres:` — every wanted migration is recorded as applied by the tool that runs them.
//!
//! ```text
//! declaration -> look: one attempt
//!   folder: dir -> Listing -> files, readers -> Wanted ----\
//!   database: relations -> detect -> rows, locks, rows -----> condition -> Decision -> Verdict
//! ```
//!
//! Strictly read-only: the tools' own status commands create tables, this kind never does.
//!
//! **Another database** implements [`database::Database`] in a file of its own, as [`postgres`] does, and asks the same
//! [`look::Look`] by [`look::Look::verdict`]. The table of tools serves it too. Its SELECTs are standard SQL with names
//! in double quotes and `||`, but for those that need another text per database. Types of columns are told apart by
//! [`tool::Family::has`].

mod condition;
mod database;
mod declaration;
mod detect;
mod dir;
mod documented;
mod files;
mod folder;
mod glob;
mod graph;
mod job;
mod key;
mod locks;
mod look;
mod name;
mod postgres;
mod readers;
mod records;
mod row;
mod tool;
mod tools;
mod wanted;

pub use documented::{Documented, documented};

use declaration::Named;
use look::Look;
use name::TableName;

use super::postgres::{DIALECTS, LOGIN_KEYS, Target};
use crate::{
    probe::{Attempt, AttemptFuture, Probe, Verdict},
    spec::{ConfigError, Key, Kind, Spec},
    tls,
};

/// The kind.
pub static KIND: Kind = Kind {
    name: "migrations",
    schemes: &["migrations+postgres", "migrations+postgresql"],
    dialects: &[DIALECTS],
    has_drivers: true,
    prefix: "migrations+",
    usage: "migrations+postgres://[USER[:PASSWORD]@]HOST[:PORT][,...][/DATABASE][?...]",
    summary: "every wanted migration is recorded as applied",
    keys: &[KEYS, LOGIN_KEYS, tls::KEYS],
    build,
    ..Kind::DEFAULT
};

static KEYS: &[Key] = &[
    Key {
        name: "tool",
        value: "NAME",
        help: "who writes the table, e.g. rails, flyway, alembic (default: auto, by its columns)",
    },
    Key {
        name: "dir",
        value: "PATH[+PATH]",
        help: "every migration in it is applied: directories, patterns with * and ?, or one file of names",
    },
    Key {
        name: "version",
        value: "KEY",
        help: "this migration is applied (with neither dir nor version: none failed, none runs)",
    },
    Key {
        name: "table",
        value: "[SCHEMA.]TABLE",
        help: "the table, where it is not the tool's usual one",
    },
    Key {
        name: "apps",
        value: "LABEL[+LABEL]",
        help: "the Django applications whose migrations count (default: all in dir but those of tests)",
    },
    Key {
        name: "column",
        value: "NAME",
        help: "the column of table with a migration's name, where no known tool writes it",
    },
    Key {
        name: "where",
        value: "SQL",
        help: "which rows of that table are applied migrations, e.g. status = 'done' (default: all)",
    },
    Key {
        name: "order",
        value: "number|dotted|text",
        help: "how keys of that table follow each other: then version is the least that is wanted",
    },
    Key {
        name: "key-pattern",
        value: "REGEX",
        help: "the part of a file's name (with a /: of its path) that is the key in the table: a regex with one capture",
    },
];

struct Migrations {
    target: Target,
    look: Look,
}

impl Probe for Migrations {
    fn attempt<'a>(&'a mut self, attempt: &'a Attempt<'a>) -> AttemptFuture<'a> {
        Box::pin(async move {
            if let Some(folder) = &self.look.folder {
                attempt.stage(format!("{} is not listed", folder.shown()));
                // No session waits for the file system.
                if let Err(failure) = folder.listing().await {
                    return Verdict::from(failure);
                }
            }
            self.target.ask(attempt, &mut self.look).await
        })
    }

    fn is_local(&self) -> bool {
        self.target.is_local()
    }
}

fn build(spec: &Spec) -> Result<Box<dyn Probe>, ConfigError> {
    let target = Target::from_spec(spec)?;
    let table = target
        .migrations_table()
        .map(|named| TableName { schema: named.schema.clone(), table: named.table.clone() });
    let named = Named { schema: target.schema().map(str::to_owned), table };
    let look = declaration::read(spec, named)?;
    Ok(Box::new(Migrations { target, look }))
}

#[cfg(test)]
mod tests;
