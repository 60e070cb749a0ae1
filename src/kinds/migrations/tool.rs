//! A migration tool as data: its table, the columns that identify the table, one SELECT, its locks,
//! its files.

use super::{dir::Listing, key::Order, row::State, wanted::Wanted};

/// One tool and one of the tables that it may write. A tool that has had several tables has several
/// entries of one name.
#[derive(Clone, Copy)]
pub(super) struct Tool {
    /// The name for `tool=` and messages.
    pub name: &'static str,
    /// The table, unless the operator names another.
    pub table: &'static str,
    /// The schemas where the tool puts its table.
    pub home: Home,
    /// The columns that identify the table.
    pub shape: Shape,
    /// A table of the same schema that only this tool has, where another tool uses the same history
    /// table.
    pub sibling: Option<&'static str>,
    /// A condition on `t`. Every row of this tool fulfils it, and no row of another tool with the
    /// same columns does. Empty if rows cannot decide.
    pub mark: &'static str,
    /// Tables of the same schema that `rows` reads too.
    pub reads: &'static [&'static str],
    /// One SELECT: key, state (a [`State`]'s name), and further names of the migration. `{t}` is
    /// the quoted table, `{s}` its quoted schema, `{c}` the operator's column, `{w}` the operator's
    /// condition.
    pub rows: &'static str,
    /// The states besides applied that the SELECT distinguishes.
    #[allow(dead_code, reason = "the documentation shows it")]
    pub states: &'static [State],
    /// Normalises a key, so that table, file name and `version` agree.
    pub key: fn(&str) -> String,
    /// The order of keys.
    pub order: Order,
    /// The meaning of one row.
    pub record: Record,
    /// The signs of a migrator at work.
    pub locks: &'static [Lock],
    /// The way to read a directory.
    pub files: Files,
    /// An example of a file's name, for messages and documentation.
    pub example: &'static str,
    /// The reason why the tool is refused, if its table proves nothing.
    pub refused: Option<&'static str>,
    /// The facts that neither rows nor locks show, for documentation.
    #[allow(dead_code, reason = "the documentation shows it")]
    pub unknown: &'static str,
}

/// The most frequent values: one row for each migration, under its own name.
pub(super) const EACH: Tool = Tool {
    name: "",
    table: "",
    home: Home::SearchPath,
    shape: Shape::AtLeast(&[]),
    sibling: None,
    mark: "",
    reads: &[],
    rows: "",
    states: &[],
    key: super::key::as_is,
    order: Order::Text,
    record: Record::Each,
    locks: &[],
    files: Files::Undefined("its migrations have no files that could be compared"),
    example: "",
    refused: None,
    unknown: "a migration that runs or has failed: it has no row, as if it had not begun",
};

/// The schemas where a tool puts its table.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Home {
    /// In the first writable schema of the search path.
    SearchPath,
    /// On the search path, or in this schema.
    Also(&'static str),
    /// In this schema alone, because the table's name is too common elsewhere.
    Only(&'static str),
}

impl Home {
    /// Returns true if a table in `schema` can be the tool's, `path` being the search path.
    pub(super) fn has(self, schema: &str, path: &[String]) -> bool {
        let on_path = || path.iter().any(|on| on == schema);
        match self {
            Home::SearchPath => on_path(),
            Home::Also(own) => schema == own || on_path(),
            Home::Only(own) => schema == own,
        }
    }
}

/// A column: its name and its family of types.
pub(super) type Column = (&'static str, Family);

/// The columns that identify a table.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    /// These and no others: for names of tables that several tools use.
    Exactly(&'static [Column]),
    /// These among others.
    AtLeast(&'static [Column]),
    /// The first columns, and at most the second ones beside them. They identify little: other
    /// columns are tolerated only if the table has the tool's own name.
    Little(&'static [Column], &'static [Column]),
}

/// Types that tools exchange freely between their versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
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
    /// Returns true if a type of PostgreSQL, by its name in pg_type, is of this family.
    pub(super) fn has(self, typname: &str) -> bool {
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

/// The degree to which a shape fits a table. More columns are more specific, and an exact fit is
/// more specific than a partial one.
pub(super) type Fit = (usize, bool);

impl Shape {
    /// The names of its columns.
    pub(super) fn columns(&self) -> impl Iterator<Item = &'static str> + use<> {
        let (wanted, optional): (&[Column], &[Column]) = match *self {
            Shape::Exactly(wanted) | Shape::AtLeast(wanted) => (wanted, &[]),
            Shape::Little(wanted, optional) => (wanted, optional),
        };
        wanted.iter().chain(optional).map(|(name, _)| *name)
    }

    /// Returns the fit of a table with these columns, each a name and a type, or `None`. `own_name`
    /// is true if the table has the tool's default name.
    pub(super) fn fit(&self, columns: &[(String, String)], own_name: bool) -> Option<Fit> {
        let (wanted, optional): (&[Column], &[Column]) = match self {
            Shape::Exactly(wanted) | Shape::AtLeast(wanted) => (wanted, &[]),
            Shape::Little(wanted, optional) => (wanted, optional),
        };
        let has = |(name, family): &&Column| {
            columns.iter().any(|(column, typname)| column == name && family.has(typname))
        };
        let found = wanted.len() + optional.iter().filter(has).count();
        let whole = found == columns.len();
        let tolerant = match self {
            Shape::Exactly(_) => false,
            Shape::AtLeast(_) => true,
            Shape::Little(..) => own_name,
        };
        (wanted.iter().all(|column| has(&column)) && (whole || tolerant)).then_some((found, whole))
    }
}

/// The meaning of one row of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// One migration.
    Each,
    /// The latest migration, and all before it. The table has one row.
    Latest,
    /// The row with the highest key: that migration, and all before it.
    Highest,
    /// One head of a graph of revisions, and all revisions before it.
    Heads,
}

impl Record {
    /// Returns true if one row includes all migrations before it.
    pub(super) fn is_minimum(self) -> bool {
        matches!(self, Record::Latest | Record::Highest)
    }
}

/// The key of a lock that ends with its session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LockKey {
    /// The key of an advisory lock of PostgreSQL.
    Number(i64),
    /// The name of a lock of MySQL (`GET_LOCK`).
    Name(String),
}

/// The signs of a migrator at work.
#[derive(Clone, Copy)]
pub(super) enum Lock {
    /// Session or transaction advisory locks with these keys, from schema, table and database.
    Advisory(fn(&str, &str, &str) -> Vec<i64>),
    /// A named lock of MySQL, from schema, table and database.
    #[cfg_attr(not(feature = "mysql"), expect(dead_code, reason = "only MySQL has named locks"))]
    Named(fn(&str, &str, &str) -> String),
    /// A row in a table of the same schema. Such a row outlives a migrator that was killed.
    Row {
        /// The table; `{}` is the history table's own name.
        table: &'static str,
        /// One SELECT with a row for each holder, in one column. `{l}` is the quoted lock table.
        holders: &'static str,
        /// The way to remove a stale row.
        release: &'static str,
    },
}

/// The way in which a directory becomes a list of wanted migrations.
#[derive(Clone, Copy)]
pub(super) enum Files {
    /// Each file with a matching name is a migration. The capture is its key.
    Named {
        /// The part of a path that is matched.
        scope: Scope,
        /// A regular expression with one capture.
        pattern: &'static str,
        /// A regular expression for files that are left out, or nothing.
        except: &'static str,
    },
    /// Code for this tool reads the directory.
    Read(Reader),
    /// The directory cannot be read. The text is the reason and the alternative.
    Undefined(&'static str),
}

/// A tool's own code for reading a directory.
#[derive(Clone, Copy)]
pub(super) struct Reader {
    /// True if some of the files look like the tool's, by their names alone.
    pub recognises: fn(&Listing) -> bool,
    /// Reads the files. An empty list means that none is a migration of this tool.
    pub read: fn(&Listing) -> Result<Wanted, String>,
    /// True if the files have to be opened. If so, a list of names is not enough.
    pub opens_files: bool,
}

/// The part of a path that a file pattern is matched with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// The names of the files of the directory itself.
    Flat,
    /// The names of files at any depth.
    Deep,
    /// Whole paths below the directory. The first component is the migration's name.
    Path,
}
