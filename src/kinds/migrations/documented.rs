//! The tools as documentation shows them, read from the table of tools.
#![allow(dead_code, reason = "the tests write the documentation from it")]

use super::{
    row::State,
    tool::{Files, Home, Lock, Tool},
    tools::{TOOLS, names},
};

/// One tool, a row of the documentation.
pub struct Documented {
    /// Its name for `tool=`.
    pub name: &'static str,
    /// Its tables, with the schema where the tool has one of its own.
    pub tables: Vec<String>,
    /// Examples of its files. Empty if its directory cannot be compared.
    pub files: Vec<&'static str>,
    /// The states that it records beside applied.
    pub states: Vec<&'static str>,
    /// The signs of a migrator at work.
    pub at_work: Vec<String>,
    /// The facts that cannot be known, or the reason why the tool is refused.
    pub unknown: Vec<String>,
}

/// Every tool, by name.
pub fn documented() -> Vec<Documented> {
    names().into_iter().map(document_tool).collect()
}

fn document_tool(name: &'static str) -> Documented {
    let mut tool = Documented {
        name,
        tables: vec![],
        files: vec![],
        states: vec![],
        at_work: vec![],
        unknown: vec![],
    };
    for entry in TOOLS.iter().filter(|entry| entry.name == name) {
        add(&mut tool.tables, table(entry));
        if !matches!(entry.files, Files::Undefined(_)) && !entry.example.is_empty() {
            add(&mut tool.files, entry.example);
        }
        let mut states: Vec<State> =
            entry.states.iter().copied().filter(|state| *state != State::Marker).collect();
        states.sort_by_key(|state| std::cmp::Reverse(*state));
        for state in states {
            add(&mut tool.states, state.name());
        }
        for lock in entry.locks {
            add(&mut tool.at_work, shown(lock, entry.table));
        }
        let unknown = match entry.refused {
            Some(why) => format!("refused: {why}"),
            None => entry.unknown.to_owned(),
        };
        add(&mut tool.unknown, unknown);
        #[cfg(feature = "mysql")]
        if entry.refused.is_none() {
            for more in super::mysql_tools::unknown_on_mysql(entry) {
                add(&mut tool.unknown, (*more).to_owned());
            }
        }
        if entry.refused.is_none() {
            add(&mut tool.at_work, "locks on the table".to_owned());
        }
    }
    // The tool's own signs come first.
    tool.at_work.sort_by_key(|sign| sign.starts_with("locks"));
    tool
}

fn add<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}

fn table(entry: &Tool) -> String {
    match entry.home {
        Home::SearchPath => entry.table.to_owned(),
        Home::Also(schema) | Home::Only(schema) => format!("{schema}.{}", entry.table),
    }
}

fn shown(lock: &Lock, table: &str) -> String {
    match lock {
        Lock::Advisory(_) | Lock::Named(_) => "advisory lock".to_owned(),
        Lock::Row { table: pattern, .. } => format!("row in `{}`", pattern.replace("{}", table)),
    }
}
