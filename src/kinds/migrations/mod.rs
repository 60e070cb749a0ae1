//! `migrations+postgres:`, `migrations+mysql:` — every wanted migration is recorded as applied by
//! the tool that runs them.
//!
//! ```text
//! declaration -> look: one attempt
//!   folder: dir -> Listing -> files, readers -> Wanted ----\
//!   database: relations -> detect -> rows, locks, rows -----> condition -> Decision -> Verdict
//! ```
//!
//! Strictly read-only: the tools' own status commands create tables, this kind never does.
//!
//! **Another database** implements [`database::Database`] in a file of its own, as [`postgres`]
//! does, and asks the same [`look::Look`] by [`look::Look::verdict`]. The table of tools serves it
//! too. Its SELECTs are standard SQL with names in double quotes and `||`, but for those that need
//! another text per database. [`tool::Family::has`] distinguishes the types of columns.

mod condition;
mod database;
mod declaration;
mod detect;
mod dir;
pub mod documented;
mod files;
mod folder;
mod glob;
mod graph;
mod job;
mod key;
mod locks;
mod look;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "mysql")]
mod mysql_tools;
mod name;
#[cfg(feature = "postgres")]
mod postgres;
mod readers;
mod records;
mod row;
mod tool;
mod tools;
mod wanted;

#[cfg(feature = "mysql")]
pub use mysql::KIND as ON_MYSQL;
#[cfg(feature = "postgres")]
pub use postgres::KIND as ON_POSTGRES;

use crate::spec::Key;

static KEYS: &[Key] = &[
    Key {
        name: "tool",
        value: "NAME",
        help: "who writes the table, e.g. rails, flyway, alembic (default: auto, by its columns)",
    },
    Key {
        name: "dir",
        value: "PATH[+PATH]",
        help: "every migration in it is applied: directories, patterns with * and ?, or one file \
            of names",
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
        help: "the Django applications whose migrations count (default: all in dir but those of \
            tests)",
    },
    Key {
        name: "column",
        value: "NAME",
        help: "the column of table with a migration's name, where no known tool writes it",
    },
    Key {
        name: "where",
        value: "SQL",
        help: "which rows of that table are applied migrations, e.g. status = 'done' (default: \
            all)",
    },
    Key {
        name: "order",
        value: "number|dotted|text",
        help: "how keys of that table follow each other: then version is the least that is wanted",
    },
    Key {
        name: "key-pattern",
        value: "REGEX",
        help: "the part of a file's name (with a /: of its path) that is the key in the table: a \
            regex with one capture",
    },
];

#[cfg(all(test, feature = "postgres"))]
mod declaration_tests;
#[cfg(test)]
mod directory_tests;
#[cfg(test)]
mod tests;
