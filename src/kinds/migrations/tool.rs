//! What a migration tool is to us: data. Its table, how the table is told from others, one SELECT, its locks, its files.

use super::{dir::Listing, key::Order, wanted::Wanted};

/// One tool and one of the tables that it may write. A tool that has had several tables has several entries of one name.
#[derive(Clone, Copy)]
pub struct Tool {
    /// As `tool=` and messages have it.
    pub name: &'static str,
    /// The table, unless the operator names another.
    pub table: &'static str,
    /// Where the tool puts it.
    pub home: Home,
    /// The columns by which the table is known.
    pub shape: Shape,
    /// A table of the same schema that tells the tool from another one whose table is the same.
    pub sibling: Option<&'static str>,
    /// Tables of the same schema that `rows` reads too.
    pub reads: &'static [&'static str],
    /// One SELECT: key, state, and further names by which the migration is known. `{t}` is the quoted table, `{s}` its quoted schema.
    pub rows: &'static str,
    /// How a key is written so that table, file name and `version` agree.
    pub key: fn(&str) -> String,
    /// How keys follow each other.
    pub order: Order,
    /// What the rows are.
    pub record: Record,
    /// What shows a migrator at work.
    pub locks: &'static [Lock],
    /// How a directory is read.
    pub files: Files,
    /// What a file of this tool is called, for messages and documentation.
    pub example: &'static str,
    /// Why the tool's table proves nothing, if it does not.
    pub refused: Option<&'static str>,
    /// What neither rows nor locks can tell, for documentation.
    pub unknown: &'static str,
}

/// The usual: a row for each migration, under its own name.
pub const EACH: Tool = Tool {
    name: "",
    table: "",
    home: Home::SearchPath,
    shape: Shape::AtLeast(&[]),
    sibling: None,
    reads: &[],
    rows: "",
    key: super::key::exact,
    order: Order::Text,
    record: Record::Each,
    locks: &[],
    files: Files::Undefined("its migrations have no files that could be compared"),
    example: "",
    refused: None,
    unknown: "a migration that runs or has failed: it has no row, as if it had not begun",
};

/// Where a tool puts its table.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Home {
    /// In the first schema of the search path in which it may.
    SearchPath,
    /// There, or in this schema.
    Also(&'static str),
    /// In this schema: the table's name alone says too little.
    Only(&'static str),
}

impl Home {
    /// Whether a table in `schema` can be the tool's, `path` being the search path.
    pub fn has(self, schema: &str, path: &[String]) -> bool {
        let on_path = || path.iter().any(|on| on == schema);
        match self {
            Home::SearchPath => on_path(),
            Home::Also(own) => schema == own || on_path(),
            Home::Only(own) => schema == own,
        }
    }
}

/// The columns by which a table is known, by name and family of types.
#[derive(Clone, Copy)]
pub enum Shape {
    /// These and no others: for names that several tools use.
    Exactly(&'static [(&'static str, Family)]),
    /// These among others.
    AtLeast(&'static [(&'static str, Family)]),
}

/// Types that tools exchange freely between their versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// `int2`, `int4`, `int8`.
    Int,
    /// `varchar`, `text`, `bpchar`.
    Str,
    /// `timestamp`, with a time zone or without.
    Time,
    /// `bool`.
    Bool,
    /// `json`, `jsonb`.
    Json,
    /// Whatever it is.
    Any,
}

impl Family {
    /// Whether a type, by its name in pg_type, is of this family.
    pub fn has(self, typname: &str) -> bool {
        match self {
            Family::Int => matches!(typname, "int2" | "int4" | "int8"),
            Family::Str => matches!(typname, "varchar" | "text" | "bpchar"),
            Family::Time => matches!(typname, "timestamp" | "timestamptz"),
            Family::Bool => typname == "bool",
            Family::Json => matches!(typname, "json" | "jsonb"),
            Family::Any => true,
        }
    }
}

impl Shape {
    /// Whether a table with these columns, each a name and a type, has this shape.
    pub fn fits(&self, columns: &[(String, String)]) -> bool {
        let (wanted, others) = match self {
            Shape::Exactly(wanted) => (wanted, false),
            Shape::AtLeast(wanted) => (wanted, true),
        };
        let has = |(name, family): &(&str, Family)| {
            columns.iter().any(|(column, typname)| column == name && family.has(typname))
        };
        wanted.iter().all(has) && (others || columns.len() == wanted.len())
    }
}

/// What the rows of a table are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record {
    /// One for each migration.
    Each,
    /// One alone, with the latest version.
    Latest,
    /// One for each head of a graph of revisions.
    Heads,
}

/// What shows a migrator at work.
#[derive(Clone, Copy)]
pub enum Lock {
    /// Session or transaction advisory locks with these keys, from schema, table and database.
    Advisory(fn(&str, &str, &str) -> Vec<i64>),
    /// A row in a table of the same schema. Such a row outlives a migrator that was killed.
    Row {
        /// The table; `{}` is the history table's own name.
        table: &'static str,
        /// One SELECT with a row for each holder, in one column. `{l}` is the quoted lock table.
        holders: &'static str,
        /// How an operator takes a stale one away.
        release: &'static str,
    },
}

/// How a directory becomes a list of wanted migrations.
#[derive(Clone, Copy)]
pub enum Files {
    /// Each file whose name matches is one. The capture is its key.
    Named {
        /// Which part of a path is matched.
        scope: Scope,
        /// A regular expression with one capture.
        pattern: &'static str,
        /// What is left out, if anything.
        except: &'static str,
    },
    /// By a reader of the tool's own. An empty list: these are not its files.
    Read(fn(&Listing) -> Result<Wanted, String>),
    /// Not at all, and why, and what to use.
    Undefined(&'static str),
}

/// Which part of a path a file pattern is matched with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The names of the files of the directory itself.
    Flat,
    /// The names of files at any depth.
    Deep,
    /// Whole paths below the directory; the first component is what the migration is called.
    Path,
}
