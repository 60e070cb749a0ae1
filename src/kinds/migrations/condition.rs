//! Compares the recorded migrations with the wanted ones. Pure: rows, locks and a condition in, a
//! decision out.

use super::{
    key::Order,
    locks::Held,
    records::{Records, Status},
    row::{Row, State},
    tool::{Record, Tool},
    wanted::{Wanted, WantedMigration},
};
use crate::probe::Class;

/// Names that a message lists; the rest is counted.
const NAMED: usize = 3;

/// The condition that the migrations must fulfil.
#[derive(Clone, Copy)]
pub(super) enum Condition<'a> {
    /// Every migration of a directory.
    Dir(&'a Wanted),
    /// One migration. Where one row includes all before it, a later one counts too. The graph lists
    /// the migrations that a head includes.
    Version(&'a str, Option<&'a Wanted>),
    /// Something is applied, nothing has failed, and no migrator is at work.
    Clean,
}

/// The findings of one transaction.
pub(super) struct Seen<'a> {
    /// The tool that owns the table.
    pub tool: &'a Tool,
    /// The table, for people.
    pub table: String,
    /// Its rows.
    pub rows: Vec<Row>,
    /// The rows changed within the transaction.
    pub changing: bool,
    /// The signs of a migrator at work.
    pub held: Vec<Held>,
    /// A lock table that the user may not read.
    pub unreadable_lock_table: Option<String>,
    /// The server is a standby: its rows may lag, and its primary's locks are invisible.
    pub standby: bool,
    /// A migrator at work cannot be seen, so that a failed migration looks like a running one.
    pub hidden: bool,
    /// The part of a failed migration that stays in the database.
    pub remains: Option<&'static str>,
}

/// The decision on the findings.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// The condition holds.
    Ready {
        /// The applied migrations, for people.
        detail: String,
        /// The number of wanted migrations. Zero if none was declared.
        wanted: usize,
    },
    /// The condition does not hold yet.
    NotYet {
        /// The class of the failure.
        class: Class,
        /// The migrations that are missing, failed or in progress.
        message: String,
        /// A possible meaning of the state.
        hint: Option<String>,
        /// The number of wanted migrations that are not applied.
        missing: usize,
    },
    /// Only an operator can decide, or the table is about to change.
    Wrong(String),
}

impl Decision {
    fn absent(message: String) -> Self {
        Self::not_yet(Class::Absent, message, None)
    }

    fn not_yet(class: Class, message: String, hint: Option<String>) -> Self {
        Decision::NotYet { class, message, hint, missing: 0 }
    }

    /// Returns the decision with the number of wanted migrations that are not applied.
    fn lacking(self, missing: usize) -> Self {
        match self {
            Decision::NotYet { class, message, hint, .. } => {
                Decision::NotYet { class, message, hint, missing }
            }
            decision => decision,
        }
    }
}

impl Seen<'_> {
    /// Decides whether the condition holds.
    pub(super) fn decide(&self, condition: Condition) -> Decision {
        if self.tool.record == Record::Latest {
            if self.rows.len() > 1 {
                return Decision::Wrong(format!(
                    "{} rows, where one is the whole record {}",
                    self.rows.len(),
                    self.place()
                ));
            }
            // One row is the whole record, so an uncertain row makes every migration uncertain.
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
        let expanded = wanted.graph.as_ref().map(|graph| graph.expand(&self.rows));
        let rows = expanded.as_ref().map_or(&self.rows, |expanded| &expanded.rows);
        let ahead = expanded.as_ref().and_then(|expanded| expanded.ahead.as_deref());
        let is_pending = |want: &WantedMigration| {
            let pending = expanded.as_ref().map(|expanded| &expanded.pending);
            pending.is_some_and(|pending| want.keys.iter().any(|key| pending.contains(key)))
        };
        let records = Records::new(self.tool, rows);
        let status = |want: &WantedMigration| match records.status(want) {
            // A later release wrote a head that this directory does not know: it comes after all of
            // ours.
            Status::Missing if ahead.is_some() && !is_pending(want) => Status::Done,
            status => status,
        };
        let statuses: Vec<(&str, Status)> =
            wanted.list.iter().map(|want| (want.label.as_str(), status(want))).collect();
        let all = statuses.len();
        let of = |status: Status| {
            statuses
                .iter()
                .filter(|(_, of)| *of == status)
                .map(|(label, _)| *label)
                .collect::<Vec<_>>()
        };
        let (failed, unfinished) = (of(Status::Failed), of(Status::Unfinished));
        let lacking = statuses.iter().filter(|(_, status)| *status != Status::Done).count();
        let total = format!("of {all} migrations");
        if !failed.is_empty() {
            return self.failed(&failed, &total).lacking(lacking);
        }
        if !unfinished.is_empty() {
            return self.unfinished(&unfinished, &total).lacking(lacking);
        }
        let missing: Vec<String> = statuses
            .iter()
            .filter_map(|(label, status)| match status {
                Status::Missing => Some((*label).to_owned()),
                Status::RolledBack => Some(format!("{label} (rolled back)")),
                _ => None,
            })
            .collect();
        if !missing.is_empty() {
            let (count, names) = (missing.len(), some_of(&missing));
            return Decision::absent(format!(
                "{count} {total} missing: {names}{} {}",
                self.at_work(),
                self.place()
            ))
            .lacking(lacking);
        }
        let mut remarks = self.remarks(&records, &wanted.list);
        if let Some(head) = ahead {
            remarks.push_str(&format!(
                "; the database is at {head}, which this directory does not know: ahead of it"
            ));
        }
        let detail = format!("{all} {total} applied {}{remarks}", self.place());
        Decision::Ready { detail, wanted: all }
    }

    fn version(&self, version: &str, graph: Option<&Wanted>) -> Decision {
        let rows = match graph.and_then(|wanted| wanted.graph.as_ref()) {
            Some(graph) => graph.expand(&self.rows).rows,
            None => self.rows.clone(),
        };
        let records = Records::new(self.tool, &rows);
        let is_minimum = self.tool.record.is_minimum();
        let want = self.want_of(version);
        if is_minimum && !want.keys.iter().any(|key| self.tool.order.has(key)) {
            return Decision::Wrong(format!("version: must be a number, e.g. 42 {}", self.place()));
        }
        let at_least = is_minimum.then(|| {
            format!("at {}, at least {version} is wanted", records.latest().unwrap_or("nothing"))
        });
        match records.status(&want) {
            Status::Done => {
                let remarks = self.remarks(&records, std::slice::from_ref(&want));
                let message = at_least.unwrap_or_else(|| format!("{version} is applied"));
                let detail = format!("{message} {}{remarks}", self.place());
                Decision::Ready { detail, wanted: 1 }
            }
            Status::Failed => self.failed(&[version], "").lacking(1),
            Status::Unfinished => self.unfinished(&[version], "").lacking(1),
            status @ (Status::Missing | Status::RolledBack) => {
                let how =
                    if status == Status::RolledBack { "is rolled back" } else { "is not applied" };
                let message = at_least.unwrap_or_else(|| format!("{version} {how}"));
                let hint = match records.latest() {
                    Some(latest) => format!("the latest that is recorded is {latest}"),
                    None => "nothing is recorded".to_owned(),
                };
                let message = format!("{message}{} {}", self.at_work(), self.place());
                Decision::not_yet(Class::Absent, message, Some(hint)).lacking(1)
            }
        }
    }

    /// The migration that `version` names, by each of its spellings.
    fn want_of(&self, version: &str) -> WantedMigration {
        let mut keys = vec![version.to_owned(), (self.tool.key)(version)];
        // `20240101120000_name`, although the table records the number alone.
        let digits = version.bytes().take_while(u8::is_ascii_digit).count();
        if self.tool.order == Order::Number && version[digits..].starts_with(['_', '-']) {
            keys.push((self.tool.key)(&version[..digits]));
        }
        WantedMigration { label: version.to_owned(), keys, ..WantedMigration::default() }
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
            Some(Held::Row { holder, table, release }) => {
                let message = format!("locked by {holder}, as {table} says {}", self.place());
                let hint = format!("a migrator is at work, or was killed; {release}");
                return Decision::not_yet(Class::Absent, message, Some(hint));
            }
            Some(live) => return self.in_progress(&live.to_string()),
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
            return Decision::absent(format!("no migration is applied yet {}", self.place()));
        }
        let message = match (self.tool.record, records.latest()) {
            (Record::Latest | Record::Highest, Some(latest)) => format!("at {latest}"),
            (Record::Heads, Some(_)) => format!("at {}", some_of(&of(State::is_done))),
            (_, Some(latest)) => format!("{applied} applied, the latest {latest}"),
            (_, None) => format!("{applied} applied"),
        };
        let detail = format!(
            "{message}, none failed, nobody seen at work {}{}",
            self.place(),
            self.standby_remark()
        );
        Decision::Ready { detail, wanted: 0 }
    }

    fn failed(&self, names: &[&str], total: &str) -> Decision {
        let counted =
            if total.is_empty() { String::new() } else { format!("{} {total} ", names.len()) };
        let names = some_of(names);
        if self.is_live() || self.changing {
            return self.in_progress(&format!("{names}, and a migrator is at work"));
        }
        let remains = self.remains.map(|remains| format!("; {remains}")).unwrap_or_default();
        if self.hidden {
            let message = format!("{counted}still at work, or FAILED: {names} {}", self.place());
            let hint = format!("{} takes no lock on this server{remains}", self.tool.name);
            return Decision::not_yet(Class::Absent, message, Some(hint));
        }
        let message = format!("{counted}FAILED: {names} {}", self.place());
        let hint =
            format!("no migrator is at work: repair the migration, or run it again{remains}");
        Decision::not_yet(Class::Failed, message, Some(hint))
    }

    fn unfinished(&self, names: &[&str], total: &str) -> Decision {
        let counted =
            if total.is_empty() { String::new() } else { format!("{} {total} ", names.len()) };
        let message = format!(
            "in progress: {counted}begun and not finished: {}{} {}",
            some_of(names),
            self.at_work(),
            self.place()
        );
        let hint = (!self.is_live())
            .then(|| "nobody holds the tool's lock: the migrator may have been killed".to_owned());
        Decision::not_yet(Class::Absent, message, hint)
    }

    fn in_progress(&self, message: &str) -> Decision {
        Decision::absent(format!("in progress: {message} {}", self.place()))
    }

    /// `(rails, public.schema_migrations)`.
    fn place(&self) -> String {
        match self.tool.name {
            "" => format!("({})", self.table),
            name => format!("({name}, {})", self.table),
        }
    }

    fn at_work(&self) -> &'static str {
        if self.is_live() || self.changing { ", a migrator is at work" } else { "" }
    }

    fn is_live(&self) -> bool {
        self.held.iter().any(Held::is_live)
    }

    /// Remarks on failed or unfinished migrations that do not block.
    fn remarks(&self, records: &Records, wanted: &[WantedMigration]) -> String {
        let mut remarks = String::new();
        for state in [State::Failed, State::Unfinished] {
            let keys = records.unwanted(&self.rows, state, wanted);
            if !keys.is_empty() {
                remarks.push_str(&format!("; not wanted and {}: {}", state.name(), some_of(&keys)));
            }
        }
        if let Some(held) = self.held.first() {
            remarks.push_str(&match held {
                Held::Row { holder, table, .. } => format!("; locked by {holder}, as {table} says"),
                _ => "; a migrator is at work".to_owned(),
            });
        }
        if let Some(table) = &self.unreadable_lock_table {
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

#[cfg(test)]
#[path = "condition_tests.rs"]
mod tests;
