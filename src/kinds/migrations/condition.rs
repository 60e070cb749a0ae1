//! Whether what is recorded is what is wanted. Pure: rows, locks and the wish in, a decision out.

use super::{
    key::Order,
    locks::Held,
    records::{Fate, Records},
    row::{Row, State},
    tool::{Record, Tool},
    wanted::{Want, Wanted},
};
use crate::probe::Class;

/// Names that a message lists; the rest is counted.
const NAMED: usize = 3;

/// What is wanted.
#[derive(Clone, Copy)]
pub enum Condition<'a> {
    /// Every migration of a directory.
    Dir(&'a Wanted),
    /// One migration, or at least it where one row is the whole record; with the graph that tells what a head stands for.
    Version(&'a str, Option<&'a Wanted>),
    /// Something is applied, nothing has failed, nobody is at work.
    Clean,
}

/// What was seen in one transaction.
pub struct Seen<'a> {
    /// Whose table it is.
    pub tool: &'a Tool,
    /// The table, for people.
    pub table: String,
    /// What it holds.
    pub rows: Vec<Row>,
    /// It held something else a moment later.
    pub changing: bool,
    /// What shows a migrator at work.
    pub held: Vec<Held>,
    /// A lock table that we may not read.
    pub blind: Option<String>,
    /// The server is a standby: its rows may lag, and its primary's locks are not seen.
    pub standby: bool,
}

/// What follows.
#[derive(Debug, PartialEq, Eq)]
pub enum Decision {
    /// So it is.
    Ready(String),
    /// Not yet, and what that may mean.
    NotYet(Class, String, Option<String>),
    /// The question cannot be answered.
    Wrong(String),
}

impl Seen<'_> {
    /// Decides.
    pub fn decide(&self, condition: Condition) -> Decision {
        if self.tool.record == Record::Latest {
            if self.rows.len() > 1 {
                return Decision::Wrong(format!(
                    "{} rows, where one is the whole record {}",
                    self.rows.len(),
                    self.place()
                ));
            }
            // One row is the whole record: while that is in doubt, so is everything.
            if let Some(row) = self.rows.iter().find(|row| row.state.is_failed()) {
                return self.failed(&[&format!("{} is dirty", row.key)], "");
            }
        }
        match condition {
            Condition::Clean => self.clean(),
            Condition::Dir(wanted) => self.dir(wanted),
            Condition::Version(version, graph) => self.version(version, graph),
        }
    }

    fn dir(&self, wanted: &Wanted) -> Decision {
        let (rows, ahead) = match &wanted.graph {
            Some(graph) => graph.expand(&self.rows),
            None => (self.rows.clone(), None),
        };
        let records = Records::new(self.tool, &rows);
        let fate = |want: &Want| match records.fate(want) {
            // A head that this directory does not know comes from a later release: whatever it is, it comes after ours.
            Fate::Missing if ahead.is_some() => Fate::Done,
            fate => fate,
        };
        let fates: Vec<(&str, Fate)> =
            wanted.list.iter().map(|want| (want.label.as_str(), fate(want))).collect();
        let all = fates.len();
        let of = |fate: Fate| {
            fates.iter().filter(|(_, of)| *of == fate).map(|(label, _)| *label).collect::<Vec<_>>()
        };
        let (failed, unfinished) = (of(Fate::Failed), of(Fate::Unfinished));
        let missing: Vec<String> = fates
            .iter()
            .filter_map(|(label, fate)| match fate {
                Fate::Missing => Some((*label).to_owned()),
                Fate::RolledBack => Some(format!("{label} (rolled back)")),
                _ => None,
            })
            .collect();
        let total = format!("of {all} migrations");
        if !failed.is_empty() {
            return self.failed(&failed, &total);
        }
        if !unfinished.is_empty() {
            return self.unfinished(&unfinished, &total);
        }
        if !missing.is_empty() {
            let names = some_of(&missing);
            let what = format!(
                "{} {total} missing: {names}{} {}",
                missing.len(),
                self.at_work(),
                self.place()
            );
            return Decision::NotYet(Class::Absent, what, None);
        }
        let mut remarks = self.remarks(|row| !records.is_wanted(row, &wanted.list));
        if let Some(head) = ahead {
            remarks.push_str(&format!(
                "; the database is at {head}, which this directory does not know: ahead of it"
            ));
        }
        Decision::Ready(format!("{all} {total} applied {}{remarks}", self.place()))
    }

    fn version(&self, version: &str, graph: Option<&Wanted>) -> Decision {
        let rows = match graph.and_then(|wanted| wanted.graph.as_ref()) {
            Some(graph) => graph.expand(&self.rows).0,
            None => self.rows.clone(),
        };
        let records = Records::new(self.tool, &rows);
        let key = (self.tool.key)(version);
        if self.tool.record == Record::Latest && !is_number(&key) {
            return Decision::Wrong(format!("version: is a number {}", self.place()));
        }
        let mut want = Want {
            label: version.to_owned(),
            keys: vec![version.to_owned(), key],
            ..Want::default()
        };
        // `20240101120000_name` where the table has the number alone.
        let digits = version.bytes().take_while(u8::is_ascii_digit).count();
        if self.tool.order == Order::Number && version[digits..].starts_with(['_', '-']) {
            want.keys.push((self.tool.key)(&version[..digits]));
        }
        let at_least = match self.tool.record {
            Record::Latest => Some(format!(
                "at {}, at least {version} is wanted",
                records.latest().unwrap_or("nothing")
            )),
            Record::Each | Record::Heads => None,
        };
        match records.fate(&want) {
            Fate::Done => {
                let remarks =
                    self.remarks(|row| !records.is_wanted(row, std::slice::from_ref(&want)));
                let what = at_least.unwrap_or_else(|| format!("{version} is applied"));
                Decision::Ready(format!("{what} {}{remarks}", self.place()))
            }
            Fate::Failed => self.failed(&[version], ""),
            Fate::Unfinished => self.unfinished(&[version], ""),
            fate @ (Fate::Missing | Fate::RolledBack) => {
                let how =
                    if fate == Fate::RolledBack { "is rolled back" } else { "is not applied" };
                let what = at_least.unwrap_or_else(|| format!("{version} {how}"));
                let what = format!("{what}{} {}", self.at_work(), self.place());
                let latest = records
                    .latest()
                    .map(|latest| format!("the latest that is recorded is {latest}"));
                Decision::NotYet(
                    Class::Absent,
                    what,
                    Some(latest.unwrap_or_else(|| "nothing is recorded".to_owned())),
                )
            }
        }
    }

    fn clean(&self) -> Decision {
        let records = Records::new(self.tool, &self.rows);
        let of = |state: fn(State) -> bool| -> Vec<&str> {
            self.rows.iter().filter(|row| state(row.state)).map(|row| row.key.as_str()).collect()
        };
        let failed = of(State::is_failed);
        if !failed.is_empty() {
            return self.failed(&failed, "");
        }
        match self.held.first() {
            Some(Held::Live(what)) => return self.in_progress(what),
            Some(Held::Row { holder, table, release }) => {
                let what = format!("locked by {holder}, as {table} says {}", self.place());
                let hint = format!("a migrator is at work, or was killed; {release}");
                return Decision::NotYet(Class::Absent, what, Some(hint));
            }
            None => {}
        }
        let unfinished = of(|state| state == State::Unfinished);
        if !unfinished.is_empty() {
            return self.unfinished(&unfinished, "");
        }
        if self.changing {
            return self.in_progress("the table has just changed");
        }
        let applied = of(State::is_done)
            .into_iter()
            .filter(|key| *key != "0" && !key.starts_with('-'))
            .count();
        if applied == 0 {
            return Decision::NotYet(
                Class::Absent,
                format!("no migration is applied yet {}", self.place()),
                None,
            );
        }
        let what = match (self.tool.record, records.latest()) {
            (Record::Latest, Some(latest)) => format!("at {latest}"),
            (Record::Heads, Some(_)) => format!("at {}", some_of(&of(State::is_done))),
            (_, Some(latest)) => format!("{applied} applied, the latest {latest}"),
            (_, None) => format!("{applied} applied"),
        };
        Decision::Ready(format!(
            "{what}, none failed, nobody seen at work {}{}",
            self.place(),
            self.standby_remark()
        ))
    }

    fn failed(&self, names: &[&str], total: &str) -> Decision {
        let live = self.held.iter().any(|held| matches!(held, Held::Live(_)));
        let counted =
            if total.is_empty() { String::new() } else { format!("{} {total} ", names.len()) };
        let names = some_of(names);
        if live || self.changing {
            return self.in_progress(&format!("{names}, and a migrator is at work"));
        }
        let what = format!("{counted}FAILED: {names} {}", self.place());
        let hint = "no migrator is at work: somebody has to mend it, or to run it again";
        Decision::NotYet(Class::Failed, what, Some(hint.to_owned()))
    }

    fn unfinished(&self, names: &[&str], total: &str) -> Decision {
        let counted =
            if total.is_empty() { String::new() } else { format!("{} {total} ", names.len()) };
        let what = format!(
            "in progress: {counted}begun and not finished: {}{} {}",
            some_of(names),
            self.at_work(),
            self.place()
        );
        let live = self.held.iter().any(|held| matches!(held, Held::Live(_)));
        let hint = (!live)
            .then(|| "nobody holds the tool's lock: the migrator may have been killed".to_owned());
        Decision::NotYet(Class::Absent, what, hint)
    }

    fn in_progress(&self, what: &str) -> Decision {
        Decision::NotYet(Class::Absent, format!("in progress: {what} {}", self.place()), None)
    }

    /// `(rails, public.schema_migrations)`.
    fn place(&self) -> String {
        match self.tool.name {
            "" => format!("({})", self.table),
            name => format!("({name}, {})", self.table),
        }
    }

    fn at_work(&self) -> &'static str {
        let live = self.held.iter().any(|held| matches!(held, Held::Live(_)));
        if live || self.changing { ", a migrator is at work" } else { "" }
    }

    /// What does not block, and yet should be known.
    fn remarks(&self, unwanted: impl Fn(&Row) -> bool) -> String {
        let mut remarks = String::new();
        for (state, word) in [(State::Failed, "failed"), (State::Unfinished, "unfinished")] {
            let keys: Vec<_> = self
                .rows
                .iter()
                .filter(|row| row.state == state && unwanted(row))
                .map(|row| &row.key)
                .collect();
            if !keys.is_empty() {
                remarks.push_str(&format!("; not wanted and {word}: {}", some_of(&keys)));
            }
        }
        if let Some(held) = self.held.first() {
            remarks.push_str(&match held {
                Held::Live(_) => "; a migrator is at work".to_owned(),
                Held::Row { holder, table, .. } => format!("; locked by {holder}, as {table} says"),
            });
        }
        if let Some(table) = &self.blind {
            remarks.push_str(&format!("; {table} may not be read"));
        }
        remarks.push_str(self.standby_remark());
        remarks
    }

    fn standby_remark(&self) -> &'static str {
        if self.standby {
            "; on a standby, which may lag and shows no locks of its primary"
        } else {
            ""
        }
    }
}

fn some_of(names: &[impl AsRef<str>]) -> String {
    let mut some: Vec<&str> = names.iter().take(NAMED).map(AsRef::as_ref).collect();
    let more = format!("{} more", names.len().saturating_sub(NAMED));
    if names.len() > NAMED {
        some.push(&more);
    }
    some.join(", ")
}

fn is_number(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
#[path = "condition_tests.rs"]
mod tests;
