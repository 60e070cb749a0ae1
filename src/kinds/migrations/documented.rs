//! The tools as documentation shows them; read from the table itself, so that it cannot go stale.

use super::{
    tool::{Files, Home, Lock, Tool},
    tools::{TOOLS, names},
};

/// One tool, a row of the documentation.
pub struct Documented {
    /// As `tool=` has it.
    pub name: &'static str,
    /// Its tables, with the schema where that is its own.
    pub tables: Vec<String>,
    /// What its files are called; none where a directory cannot be compared.
    pub files: Vec<&'static str>,
    /// The states of a migration that it records, beside applied.
    pub states: Vec<&'static str>,
    /// What shows a migrator at work.
    pub at_work: Vec<String>,
    /// What cannot be known; or why the tool is refused.
    pub unknown: Vec<String>,
}

/// Every tool, by name.
pub fn documented() -> Vec<Documented> {
    names().into_iter().map(of).collect()
}

fn of(name: &'static str) -> Documented {
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
        for state in ["failed", "dirty", "unfinished", "reverted", "rolled back", "baseline"] {
            if entry.rows.contains(&format!("'{state}'")) {
                add(&mut tool.states, state);
            }
        }
        for lock in entry.locks {
            add(&mut tool.at_work, shown(lock, entry.table));
        }
        let unknown = match entry.refused {
            Some(why) => format!("refused: {why}"),
            None => entry.unknown.to_owned(),
        };
        add(&mut tool.unknown, unknown);
        if entry.refused.is_none() {
            add(&mut tool.at_work, "locks on the table".to_owned());
        }
    }
    // The tools' own signs come first.
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
        Lock::Advisory(_) => "advisory lock".to_owned(),
        Lock::Row { table: pattern, .. } => format!("row in `{}`", pattern.replace("{}", table)),
    }
}
