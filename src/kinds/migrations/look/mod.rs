//! One look at the database, in one read-only transaction: find the table, read rows and locks,
//! decide.

mod find;
mod rows;

use std::time::Duration;

use find::Target;
use rows::{beside, check_rights, history, lock_rows, lock_tables};
use tokio::time::Instant;

use super::{
    condition::{Condition, Decision, Seen},
    database::{Database, Relation, Surroundings, lock_keys},
    detect::Search,
    folder::Folder,
    locks::Held,
    row::{Row, State},
    tool::Lock,
};
use crate::{
    probe::{Attempt, Class, Failure, Ready, Verdict},
    text::{MAX_FOREIGN, one_line},
};

/// A finding that only an operator can mend is checked once more after this time. A migrator may be
/// changing it.
const SECOND_LOOK: Duration = Duration::from_secs(1);

/// The wanted state of the table.
pub(super) enum Goal {
    /// Every migration of the directory.
    Dir,
    /// One migration.
    Version(String),
    /// Nothing has failed, and no migrator is at work.
    Clean,
}

/// The question of every attempt.
pub(super) struct Look {
    /// The tools and the table to look for.
    pub search: Search,
    /// The wanted state.
    pub goal: Goal,
    /// The directory, where one is given.
    pub folder: Option<Folder>,
    /// The schema that the URL itself names, in place of the search path.
    pub schema: Option<String>,
    /// The operator's condition on the rows of a table of their own.
    pub condition: Option<String>,
    /// An unclear finding, and the time of its first appearance.
    pub unclear: Option<(Instant, String)>,
    /// The wanted migrations that the attempts so far found missing.
    pub missing: Missing,
}

/// The number of wanted migrations that were missing.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Missing {
    /// No attempt has reached the table.
    #[default]
    Unknown,
    /// The most that one attempt found missing.
    Some(usize),
    /// There was no table yet.
    All,
}

impl Missing {
    /// Returns the number of migrations that were waited for.
    fn awaited(self, wanted: usize) -> usize {
        match self {
            Missing::Unknown => 0,
            Missing::Some(most) => most.min(wanted),
            Missing::All => wanted,
        }
    }
}

/// The reason why an attempt ends early.
enum Stop {
    /// The failure is the attempt's.
    Failed(Failure),
    /// Wanted migrations are missing.
    Lacking(Failure, Missing),
    /// Only an operator can decide, unless it changes a moment later.
    Unclear(String),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Stop::Failed(failure)
    }
}

/// The rows and the locks that were read.
struct Reading {
    rows: Vec<Row>,
    changing: bool,
    held: Vec<Held>,
}

impl Look {
    /// Returns true if the SELECT holds a column or condition that the user declares.
    pub(super) fn has_declared_sql(&self) -> bool {
        self.condition.is_some() || self.search.column.is_some()
    }

    /// Lists the directory, so that no session waits for the file system.
    ///
    /// # Errors
    /// The directory cannot be listed, or no tool understands its files.
    pub(super) async fn list(&self, attempt: &Attempt<'_>) -> Result<(), Failure> {
        let Some(folder) = &self.folder else { return Ok(()) };
        attempt.stage(format!("{} is not listed", folder.shown()));
        folder.listing().await.map(drop)
    }

    /// One look through a session that `begun` has made read-only.
    pub(super) async fn verdict(
        &mut self,
        attempt: &Attempt<'_>,
        begun: Result<impl Database, Failure>,
    ) -> Verdict {
        let database: &mut dyn Database = &mut match begun {
            Ok(database) => database,
            Err(failure) => return failure.verdict(),
        };
        let found = self.look(attempt, database).await;
        if !matches!(found, Err(Stop::Unclear(_))) {
            self.unclear = None;
        }
        let failure = match found {
            // Names and keys are the other side's words.
            Ok((detail, wanted)) => {
                return Verdict::Ready(Ready {
                    detail: one_line(&detail, MAX_FOREIGN),
                    awaited_migrations: self.missing.awaited(wanted),
                });
            }
            Err(Stop::Failed(failure)) => failure,
            Err(Stop::Lacking(failure, missing)) => {
                self.missing = self.missing.max(missing);
                failure
            }
            Err(Stop::Unclear(message)) => self.unclear(message).cost(database.cost()),
        };
        let hint = failure.hint.as_ref().map(|hint| one_line(hint, MAX_FOREIGN));
        failure.with(|reason| reason.hint = hint).verdict()
    }

    /// Returns what is applied, and the number of wanted migrations.
    async fn look(
        &self,
        attempt: &Attempt<'_>,
        database: &mut dyn Database,
    ) -> Result<(String, usize), Stop> {
        let endpoint = database.endpoint();
        attempt.stage(format!("logged in to {endpoint}, but no answer about its tables"));
        let mut here = database.surroundings().await?;
        if let Some(schema) = &self.schema {
            here.path = vec![schema.clone()];
        }
        let relations = database.relations(&self.search.names()).await?;
        let target = self.target(attempt, database, &relations, &here).await?;
        let name = target.table.full_name();
        let lock_tables = lock_tables(target.tool, target.table, &relations);
        let mut needed: Vec<&Relation> = vec![target.table];
        needed.extend(beside(target.table, &relations, |name| target.tool.reads.contains(&name)));
        if matches!(self.goal, Goal::Clean) {
            needed.extend(lock_tables.iter().map(|(_, table)| *table));
        }
        check_rights(database, &here.user, &name, &needed)?;
        attempt.stage(format!("logged in to {endpoint}, but no answer about {name}"));
        let reading = self.read(database, &target, &lock_tables, &here).await?;
        let unreadable_lock_table = lock_tables.iter().find(|(_, table)| !table.readable);
        let seen = Seen {
            tool: target.tool,
            table: name.clone(),
            rows: reading.rows,
            changing: reading.changing,
            held: reading.held,
            unreadable_lock_table: unreadable_lock_table.map(|(_, table)| table.full_name()),
            standby: here.standby,
            hidden: database.hides_migrator(target.tool),
            remains: database.remains(),
        };
        let condition = match (&self.goal, &target.wanted) {
            (Goal::Dir, Some(wanted)) => Condition::Dir(wanted),
            (Goal::Version(version), wanted) => Condition::Version(version, wanted.as_deref()),
            (Goal::Clean | Goal::Dir, _) => Condition::Clean,
        };
        match seen.decide(condition) {
            Decision::Ready { detail, wanted } => Ok((detail, wanted)),
            Decision::NotYet { class, message, hint, missing } => {
                let failure = database.failure(class, &message);
                let off_path = || self.search.off_path(&[target.tool], &relations, &here.path);
                let hint = hint.or_else(|| off_path().filter(|_| class == Class::Absent));
                let failure = failure.with(|reason| reason.hint = hint);
                Err(Stop::Lacking(failure, Missing::Some(missing)))
            }
            Decision::Wrong(message) => Err(Stop::Unclear(format!("{name}: {message}"))),
        }
    }

    /// Reads locks, then rows. If they may be changing, reads both again.
    ///
    /// Locks come first. A SELECT on a table that a migrator has locked would block, and leave a
    /// line in the server's log. A clean state in the middle of a run is short, and a failed row
    /// may just have been repaired. In both cases the rows before and after the locks must agree.
    async fn read(
        &self,
        database: &mut dyn Database,
        target: &Target<'_>,
        lock_tables: &[(&'static Lock, &Relation)],
        here: &Surroundings,
    ) -> Result<Reading, Failure> {
        let Target { tool, table, .. } = target;
        let keys = lock_keys(tool, table, &here.database);
        let mut tables = vec![*table];
        tables.extend(lock_tables.iter().map(|(_, table)| *table));
        let sql = self.rows_of(database, tool, table);
        let mut held = database.locks(&tables, &keys).await?;
        if held.iter().any(Held::blocks_reads) {
            let (tool, table) = (tool.name, table.full_name());
            let message = format!("in progress: the table is locked as a whole ({tool}, {table})");
            return Err(database.failure(Class::Absent, &message));
        }
        let rows = history(database, tool, table, &sql).await?;
        let is_doubtful =
            rows.iter().any(|row| row.state.is_failed() || row.state == State::Unfinished);
        let mut changing = false;
        if matches!(self.goal, Goal::Clean) || is_doubtful {
            held.extend(database.locks(&tables, &keys).await?);
            held.dedup();
            held.extend(lock_rows(database, lock_tables).await?);
            changing = history(database, tool, table, &sql).await? != rows;
        } else {
            held.extend(lock_rows(database, lock_tables).await?);
        }
        Ok(Reading { rows, changing, held })
    }

    /// A config error, once it was seen twice.
    fn unclear(&mut self, message: String) -> Failure {
        let now = Instant::now();
        let since = match self.unclear.take() {
            Some((since, before)) if before == message => since,
            _ => now,
        };
        let left = (since + SECOND_LOOK).saturating_duration_since(now);
        self.unclear = Some((since, message.clone()));
        if left.is_zero() && since != now {
            return Failure::new(Class::Config, format!("{message} (after one more look)"));
        }
        let mut failure = Failure::new(Class::Absent, message)
            .hint("to be looked at once more, in case a migrator is changing it");
        failure.retry_after = Some(left);
        failure
    }
}
