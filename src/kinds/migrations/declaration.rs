//! A declaration's keys, proved right before the first attempt.

use regex_lite::Regex;

use super::{
    detect::Search,
    folder::{Folder, Request},
    key::Order,
    look::{Goal, Look, Missing},
    name::TableName,
    tool::{Home, Record, Shape, Tool},
    tools::{TOOLS, UNKNOWN, named_tool, names},
};
use crate::{
    spec::{ConfigError, Spec},
    text::nearest,
};

/// The value of `tool` that leaves the tool to be detected.
const AUTO: &str = "auto";

/// The tool whose URL may name its table.
const GOLANG_MIGRATE: &str = "golang-migrate";

/// The schema and table that a URL names.
#[derive(Default)]
pub(super) struct Named {
    /// The schema in which the application keeps its tables, in place of the search path.
    pub schema: Option<String>,
    /// The table of golang-migrate.
    pub table: Option<TableName>,
}

/// Reads the look that a declaration asks for. `named` comes from its URL. `dialect` returns a
/// tool's form for this database, or `None` if it has none.
///
/// # Errors
/// Keys that are unknown to a tool, contradict each other or name an unusable directory.
pub(super) fn read(
    spec: &Spec,
    named: Named,
    dialect: fn(&Tool) -> Option<Tool>,
) -> Result<Look, ConfigError> {
    let mut tool = match spec.key("tool").filter(|name| *name != AUTO) {
        Some(name) => Some(known(name).map_err(|message| spec.key_error("tool", message))?),
        None => None,
    };
    let mut table = spec
        .key("table")
        .map(TableName::read)
        .transpose()
        .map_err(|message| spec.key_error("table", message))?;
    let column = plain(spec, "column", "must be the name of a column, e.g. version")?;
    let condition = plain(spec, "where", "must be a condition, e.g. status = 'done'")?;
    check_pairs(spec)?;
    // golang-migrate alone has this parameter.
    if let Some(named) = named.table.filter(|_| table.is_none()) {
        if tool.is_some_and(|tool| tool != GOLANG_MIGRATE) {
            return Err(spec.key_error(
                "tool",
                "must be golang-migrate, whose table x-migrations-table in the URL names",
            ));
        }
        tool = Some(GOLANG_MIGRATE);
        table = Some(named);
    }
    let (dir, version) = (spec.list("dir"), spec.key("version"));
    // Only the files show which revisions precede a head of Alembic: `dir` then explains `version`.
    if dir.is_some() && version.is_some() && tool != Some("alembic") {
        return Err(spec.error(
            "dir and version exclude each other: dir wants every migration in it, version one",
        ));
    }
    let mut tools: Vec<Tool> =
        meant(tool, column.is_some()).filter_map(|tool| dialect(&tool)).collect();
    if tools.is_empty() {
        return Err(spec.key_error("tool", "must be one that keeps its table in this database"));
    }
    if let Some(order) = order(spec)? {
        for tool in &mut tools {
            (tool.order, tool.record) = (order, Record::Highest);
        }
    }
    let folder = match dir {
        Some(paths) => {
            let request = request(spec, paths, tool, column.is_some())?;
            let folder = Folder::new(request, &tools);
            let is_one_tool = tool.is_some() || column.is_some();
            folder.check(is_one_tool).map_err(|message| spec.key_error("dir", message))?;
            Some(folder)
        }
        None => None,
    };
    let goal = match (version, dir) {
        (Some(version), _) => {
            check_version(spec, version, &tools)?;
            Goal::Version(version.to_owned())
        }
        (None, Some(_)) => Goal::Dir,
        (None, None) => Goal::Clean,
    };
    let schema = named.schema;
    let search = Search { tools, table, column, has_dir: folder.is_some() };
    Ok(Look { search, goal, folder, schema, condition, unclear: None, missing: Missing::default() })
}

/// The text of a key that must not be empty.
fn plain(spec: &Spec, key: &str, must_be: &str) -> Result<Option<String>, ConfigError> {
    match spec.key(key) {
        Some(text) if text.trim().is_empty() || text.contains('\0') => {
            Err(spec.key_error(key, must_be))
        }
        text => Ok(text.map(str::to_owned)),
    }
}

/// Rejects keys that have no meaning without another key.
fn check_pairs(spec: &Spec) -> Result<(), ConfigError> {
    for (key, other, why) in [
        ("column", "table", "needs table=, whose column it is"),
        ("where", "column", "needs table= and column=, whose rows it selects"),
        ("order", "column", "needs table= and column=, whose keys it orders"),
        ("key-pattern", "dir", "needs dir=, whose files it reads"),
        ("apps", "dir", "needs dir=, whose applications it names"),
    ] {
        if spec.key(key).is_some() && spec.key(other).is_none() {
            return Err(spec.key_error(key, why));
        }
    }
    Ok(())
}

fn order(spec: &Spec) -> Result<Option<Order>, ConfigError> {
    match spec.key("order") {
        None => Ok(None),
        Some("number") => Ok(Some(Order::Number)),
        Some("dotted") => Ok(Some(Order::Dotted)),
        Some("text") => Ok(Some(Order::Text)),
        Some(_) => Err(spec.key_error("order", "must be number, dotted or text")),
    }
}

/// The version must be a number if one row includes all versions before it.
fn check_version(spec: &Spec, version: &str, tools: &[Tool]) -> Result<(), ConfigError> {
    if version.trim().is_empty() || version.contains('\0') {
        return Err(spec.key_error("version", "must be a migration's key in the table"));
    }
    let [only] = tools else { return Ok(()) };
    if !only.record.is_minimum() || only.order.has(&(only.key)(version)) {
        return Ok(());
    }
    Err(match (only.name, only.order) {
        ("", Order::Dotted) => {
            spec.key_error("version", "must be numbers between dots with order=dotted, e.g. 1.18")
        }
        ("", _) => spec.key_error("version", "must be a number with order=number, e.g. 42"),
        (name, _) => {
            spec.key_error("version", format_args!("must be a number with tool={name}, e.g. 42"))
        }
    })
}

/// The name of a tool that can be read.
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
    // The keys table and column describe one table, whatever tool its files belong to.
    let described = |tool: &Tool| Tool {
        rows: UNKNOWN.rows,
        states: &[],
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

/// Returns the rules by which the directory is read.
fn request(
    spec: &Spec,
    paths: &[String],
    tool: Option<&'static str>,
    own_column: bool,
) -> Result<Request, ConfigError> {
    let pattern = match spec.key("key-pattern") {
        None => None,
        Some(_) if tool.is_none() && !own_column => {
            return Err(spec.key_error(
                "key-pattern",
                "needs tool=, or table= and column=: it does not name a table",
            ));
        }
        Some(pattern) => {
            let regex =
                compile(pattern).map_err(|message| spec.key_error("key-pattern", message))?;
            Some((pattern.to_owned(), regex))
        }
    };
    let apps = spec.list("apps").unwrap_or_default().to_vec();
    if !apps.is_empty() && !matches!(tool, None | Some("django" | "aerich")) {
        return Err(spec.key_error("apps", "needs tool=django or tool=aerich"));
    }
    if apps.iter().any(|app| app.trim().is_empty()) {
        return Err(spec.key_error("apps", "must be labels of applications, e.g. shop+blog"));
    }
    Ok(Request { paths: paths.to_vec(), apps, pattern })
}

fn compile(pattern: &str) -> Result<Regex, &'static str> {
    match Regex::new(pattern) {
        Ok(regex) if regex.captures_len() == 2 => Ok(regex),
        Ok(_) => Err("must have exactly one (...), around the key, e.g. ^V([0-9]+)__"),
        Err(_) => Err("must be a regular expression, e.g. ^V([0-9]+)__"),
    }
}
