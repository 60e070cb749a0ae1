//! `migrations+postgres:` — every wanted migration is recorded as applied by the tool that runs them.
//!
//! ```text
//! dir -> wanted (+ readers, graph, key) --\
//! tools -> detect -> look: rows, locks, rows -> condition -> Verdict
//! ```
//!
//! Strictly read-only: the tools' own status commands create tables, this one never does.

mod condition;
mod detect;
mod dir;
mod documented;
mod files;
mod graph;
mod key;
mod locks;
mod look;
mod name;
mod readers;
mod records;
mod row;
mod tool;
mod tools;
mod wanted;

pub use documented::{Documented, documented};

use regex_lite::Regex;

use self::{
    detect::{Entry, Search},
    dir::Listing,
    look::{Look, Wish},
    name::TableName,
    tool::{Files, Home, Record, Shape, Tool},
    tools::{TOOLS, UNKNOWN, named_tool, names},
    wanted::Wanted,
};
use super::postgres::{DIALECTS, LOGIN_KEYS, Target};
use crate::{
    probe::{Attempt, AttemptFuture, Probe},
    spec::{ConfigError, Key, Kind, Spec},
    text::nearest,
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
        value: "PATH",
        help: "every migration in this directory is applied; *, ? and [...] may stand for one",
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
        name: "column",
        value: "NAME",
        help: "the column of table with a migration's name, where no known tool writes it",
    },
    Key {
        name: "key-pattern",
        value: "REGEX",
        help: "what of a file's name stands in the table: a regex with one capture",
    },
];

/// What the tool is where it is to be found out.
const AUTO: &str = "auto";

struct Migrations {
    target: Target,
    look: Look,
}

impl Probe for Migrations {
    fn attempt<'a>(&'a mut self, attempt: &'a Attempt<'a>) -> AttemptFuture<'a> {
        Box::pin(self.target.ask(attempt, &mut self.look))
    }

    fn is_local(&self) -> bool {
        self.target.is_local()
    }
}

fn build(spec: &Spec) -> Result<Box<dyn Probe>, ConfigError> {
    let target = Target::from_spec(spec)?;
    let tool = match spec.key("tool").filter(|name| *name != AUTO) {
        Some(name) => Some(known(name).map_err(|what| spec.key_error("tool", what))?),
        None => None,
    };
    let table = spec
        .key("table")
        .map(TableName::read)
        .transpose()
        .map_err(|what| spec.key_error("table", what))?;
    let column = spec
        .key("column")
        .filter(|column| !column.is_empty() && !column.contains('\0'))
        .map(str::to_owned);
    if spec.key("column").is_some() && column.is_none() {
        return Err(spec.key_error("column", "is the name of a column"));
    }
    if column.is_some() && table.is_none() {
        return Err(spec.key_error("column", "needs table=, whose column it is"));
    }
    let (dir, version) = (spec.key("dir"), spec.key("version"));
    if spec.key("key-pattern").is_some() && dir.is_none() {
        return Err(spec.key_error("key-pattern", "needs dir=, whose files it reads"));
    }
    // A head of Alembic's says nothing about what comes before it without the files: there, dir explains version.
    if dir.is_some() && version.is_some() && tool != Some("alembic") {
        return Err(spec.error(
            "dir and version exclude each other: dir wants every migration in it, version one",
        ));
    }
    let entries = match dir {
        Some(dir) => {
            wanted(spec, tool, column.is_some(), dir).map_err(|what| spec.key_error("dir", what))?
        }
        None => meant(tool, column.is_some()).map(|tool| Entry { tool, wanted: None }).collect(),
    };
    let wish = match (version, dir) {
        (Some(version), _) if version.trim().is_empty() || version.contains('\0') => {
            return Err(spec.key_error("version", "is the key of a migration as the table has it"));
        }
        (Some(version), _) => Wish::Version(version.to_owned()),
        (None, Some(_)) => Wish::Dir,
        (None, None) => Wish::Clean,
    };
    if let (Wish::Version(version), [only]) = (&wish, entries.as_slice())
        && only.tool.record == Record::Latest
        && !version.bytes().all(|b| b.is_ascii_digit())
    {
        return Err(
            spec.key_error("version", format_args!("is a number with tool={}", only.tool.name))
        );
    }
    let look =
        Look::new(Search { entries, table, column }, wish, target.schema().map(str::to_owned));
    Ok(Box::new(Migrations { target, look }))
}

/// The name of a tool that we can read.
fn known(name: &str) -> Result<&'static str, String> {
    let Some(tool) = named_tool(name).next() else {
        return Err(match nearest(name, names()) {
            Some(near) => format!("unknown tool, did you mean {near}?"),
            None => format!("unknown tool; known are {}", names().join(", ")),
        });
    };
    match tool.refused {
        Some(why) => Err(format!(
            "{} cannot be checked: {why}; use postgres: with a query instead",
            tool.name
        )),
        None => Ok(tool.name),
    }
}

/// The tools that may be meant.
fn meant(tool: Option<&'static str>, own_column: bool) -> impl Iterator<Item = Tool> {
    // Whoever names table and column describes one table, be its files some tool's or nobody's.
    let described = |tool: &Tool| Tool {
        rows: UNKNOWN.rows,
        shape: Shape::AtLeast(&[]),
        home: Home::SearchPath,
        reads: &[],
        ..*tool
    };
    let named = TOOLS.iter().filter(move |entry| tool.is_none_or(|name| entry.name == name));
    let unknown = std::iter::once(UNKNOWN).filter(move |_| own_column && tool.is_none());
    let described = named.clone().take(usize::from(own_column && tool.is_some())).map(described);
    unknown.chain(described).chain(named.filter(move |_| !own_column).copied())
}

/// The tools of which the directory holds migrations, and those.
fn wanted(
    spec: &Spec,
    tool: Option<&'static str>,
    own_column: bool,
    dir: &str,
) -> Result<Vec<Entry>, String> {
    let listing = Listing::read(dir)?;
    let pattern = match spec.key("key-pattern") {
        Some(_) if tool.is_none() && !own_column => {
            return Err(
                "key-pattern needs tool=, or table= and column=: it does not say where to look"
                    .to_owned(),
            );
        }
        Some(pattern) => Some(compile(pattern)?),
        None => None,
    };
    let mut entries = Vec::new();
    for tool in meant(tool, own_column) {
        let read = match &pattern {
            Some(pattern) => Wanted::by_pattern(&listing, pattern, tool.key),
            None if tool.name.is_empty() => Wanted::by_file_name(&listing),
            None => Wanted::of(&tool, &listing)?,
        };
        if !read.list.is_empty() {
            entries.push(Entry { tool, wanted: Some(read) });
        }
    }
    if entries.is_empty() {
        return Err(nothing_in(dir, tool));
    }
    Ok(entries)
}

fn nothing_in(dir: &str, tool: Option<&'static str>) -> String {
    let entries = || tool.into_iter().flat_map(named_tool);
    let mut examples: Vec<_> =
        entries().map(|entry| entry.example).filter(|example| !example.is_empty()).collect();
    examples.dedup();
    match (tool, entries().next().map(|entry| entry.files)) {
        (Some("liquibase"), _) => readers::liquibase::INSTEAD.to_owned(),
        (Some(tool), Some(Files::Undefined(why))) => format!("{tool}: {why}; use version="),
        (Some(tool), _) => {
            format!("{dir} holds no migration of {tool}'s (such as {})", examples.join(" or "))
        }
        (None, _) => format!(
            "{dir} holds no migration of any known tool (for others: table=, column= and key-pattern=)"
        ),
    }
}

fn compile(pattern: &str) -> Result<Regex, String> {
    match Regex::new(pattern) {
        Ok(regex) if regex.captures_len() == 2 => Ok(regex),
        Ok(_) => {
            Err("key-pattern needs exactly one (...), around what stands in the table".to_owned())
        }
        Err(_) => Err("key-pattern is not a regular expression".to_owned()),
    }
}

#[cfg(test)]
mod tests;
