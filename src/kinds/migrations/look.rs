//! One look at the database, in one read-only transaction: find the table, read rows and locks,
//! decide.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    condition::{Condition, Decision, Seen},
    database::{Database, Relation, Surroundings, TextRow, lock_keys},
    detect::{Candidate, Found, Search, lock_table},
    folder::{Folder, wrong},
    locks::Held,
    name::shown,
    row::{Row, State},
    tool::{Files, Home, Lock, Tool},
    wanted::Wanted,
};
use crate::{
    probe::{Attempt, Class, Failure, Ready, Verdict},
    text::{MAX_FOREIGN, one_line},
};

/// A finding that only an operator can mend is checked once more after this time: a migrator may be
/// changing it.
const SECOND_LOOK: Duration = Duration::from_secs(1);

/// The wanted state of the table.
pub(super) enum Wish {
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
    pub wish: Wish,
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

/// The table that an attempt found, and its tool.
struct Target<'a> {
    tool: &'a Tool,
    table: &'a Relation,
    wanted: Option<Arc<Wanted>>,
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

    /// One look through a session in a read-only transaction.
    pub(super) async fn verdict(
        &mut self,
        attempt: &Attempt<'_>,
        database: &mut dyn Database,
    ) -> Verdict {
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
        let hint = failure.hint.map(|hint| one_line(&hint, MAX_FOREIGN));
        Failure { hint, ..failure }.verdict()
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
        if matches!(self.wish, Wish::Clean) {
            needed.extend(lock_tables.iter().map(|(_, table)| *table));
        }
        check_rights(database, &here.user, &name, &needed)?;
        attempt.stage(format!("logged in to {endpoint}, but no answer about {name}"));
        let reading = self.read(database, &target, &lock_tables, &here).await?;
        let blind = lock_tables.iter().find(|(_, table)| !table.readable);
        let seen = Seen {
            tool: target.tool,
            table: name.clone(),
            rows: reading.rows,
            changing: reading.changing,
            held: reading.held,
            blind: blind.map(|(_, table)| table.full_name()),
            standby: here.standby,
        };
        let condition = match (&self.wish, &target.wanted) {
            (Wish::Dir, Some(wanted)) => Condition::Dir(wanted),
            (Wish::Version(version), wanted) => Condition::Version(version, wanted.as_deref()),
            (Wish::Clean | Wish::Dir, _) => Condition::Clean,
        };
        match seen.decide(condition) {
            Decision::Ready { detail, wanted } => Ok((detail, wanted)),
            Decision::NotYet { class, message, hint, missing } => {
                let failure = database.failure(class, &message);
                let off_path = || self.search.off_path(&[target.tool], &relations, &here.path);
                let hint = hint.or_else(|| off_path().filter(|_| class == Class::Absent));
                Err(Stop::Lacking(Failure { hint, ..failure }, Missing::Some(missing)))
            }
            Decision::Wrong(message) => Err(Stop::Unclear(format!("{name}: {message}"))),
        }
    }

    /// Finds the table and its tool, and reads the directory as that tool does.
    async fn target<'a>(
        &'a self,
        attempt: &Attempt<'_>,
        database: &mut dyn Database,
        relations: &'a [Relation],
        here: &'a Surroundings,
    ) -> Result<Target<'a>, Stop> {
        let path = &here.path;
        let mut candidates = self.search.candidates(relations, path);
        if let Some(folder) = &self.folder {
            attempt.stage(format!("{} is not read", folder.shown()));
            let places = candidates.iter().map(|candidate| candidate.place).collect();
            let mut has_files = folder.recognised(places).await?.into_iter();
            candidates.retain(|_| has_files.next() == Some(true));
        }
        loop {
            let chosen = match self.search.choose(&candidates, relations) {
                None => return Err(self.no_table(database, relations, path).await?),
                Some(Found::Table(chosen)) => vec![chosen],
                Some(Found::Alike(chosen)) => chosen,
                // Some of these tables may be those of tools that have no files in the directory
                // after all.
                Some(Found::Unclear(_)) if self.folder.is_some() => candidates.clone(),
                Some(Found::Unclear(message)) => return Err(Stop::Unclear(message)),
                Some(Found::Nothing { looked_for, .. }) => return Err(Stop::Unclear(looked_for)),
            };
            let mut readings = Vec::new();
            for candidate in &chosen {
                let reading = match &self.folder {
                    Some(folder) => Some(folder.reading(candidate.place).await?),
                    None => None,
                };
                readings.push(reading);
            }
            let is_empty = |place: usize| match &readings[place] {
                Some(Ok(wanted)) => wanted.list.is_empty(),
                _ => false,
            };
            if let Some(empty) = (0..chosen.len()).find(|place| is_empty(*place)) {
                let place = chosen[empty].place;
                candidates.retain(|candidate| candidate.place != place);
                continue;
            }
            let place = match self.search.choose(&candidates, relations) {
                // A table may have the name and the columns of one tool, and the rows of another.
                Some(Found::Table(only)) if self.is_detected(&only) => {
                    self.by_rows(database, &[only], &here.user).await?
                }
                Some(Found::Table(_)) => 0,
                Some(Found::Alike(alike)) => self.by_rows(database, &alike, &here.user).await?,
                Some(Found::Unclear(message)) => return Err(Stop::Unclear(message)),
                Some(Found::Nothing { .. }) | None => continue,
            };
            let (tool, table) = (&self.search.tools[chosen[place].place], chosen[place].table);
            self.check_own_table(table)?;
            return match readings.swap_remove(place) {
                None => Ok(Target { tool, table, wanted: None }),
                Some(Ok(wanted)) => Ok(Target { tool, table, wanted: Some(wanted) }),
                Some(Err(message)) => Err(wrong(&message).cost(database.cost()).into()),
            };
        }
    }

    /// Returns true if a candidate's tool was detected, and its rows differ from those of other
    /// tools.
    fn is_detected(&self, candidate: &Candidate<'_>) -> bool {
        let tool = &self.search.tools[candidate.place];
        !tool.mark.is_empty() && self.search.tools.iter().any(|other| other.name != tool.name)
    }

    /// Returns the tool that wrote a table, by its rows.
    async fn by_rows(
        &self,
        database: &mut dyn Database,
        alike: &[Candidate<'_>],
        user: &str,
    ) -> Result<usize, Stop> {
        let Some(table) = alike.first().map(|candidate| candidate.table) else {
            return Ok(0);
        };
        let unclear = || Stop::Unclear(self.search.alike(alike));
        check_rights(database, user, &table.full_name(), &[table])?;
        let (mut fitting, mut is_empty) = (Vec::new(), false);
        for (place, candidate) in alike.iter().enumerate() {
            let mark = self.search.tools[candidate.place].mark;
            if mark.is_empty() {
                return Err(unclear());
            }
            let sql = format!(
                "SELECT count(*), sum(CASE WHEN {mark} THEN 1 ELSE 0 END) FROM {} t",
                database.quoted_table(table)
            );
            let rows = database.rows(&sql, table).await?;
            let counts: Vec<u64> = rows
                .into_iter()
                .flatten()
                .map(|count| count.and_then(|count| count.parse().ok()).unwrap_or(0))
                .collect();
            is_empty |= counts.first() == Some(&0);
            if counts.first() == counts.get(1) {
                fitting.push(place);
            }
        }
        match fitting.as_slice() {
            _ if is_empty && alike.len() == 1 => Ok(0),
            _ if is_empty => {
                let message = format!("no migration is applied yet ({})", table.full_name());
                let failure = database.failure(Class::Absent, &message);
                Err(Stop::Lacking(failure.hint(self.search.alike(alike)), Missing::All))
            }
            [only] => Ok(*only),
            _ => Err(unclear()),
        }
    }

    /// A column of the operator's own table may record failures. Only `where` defines its meaning.
    fn check_own_table(&self, table: &Relation) -> Result<(), Stop> {
        const TELLING: [&str; 10] = [
            "status",
            "state",
            "success",
            "successful",
            "failed",
            "dirty",
            "error",
            "is_applied",
            "applied",
            "rolled_back_at",
        ];
        if self.search.column.is_none() || self.condition.is_some() {
            return Ok(());
        }
        let own = self.search.column.as_deref();
        let telling = table.columns.iter().map(|(name, _)| name).find(|name| {
            TELLING.contains(&name.to_ascii_lowercase().as_str()) && own != Some(name.as_str())
        });
        match telling {
            None => Ok(()),
            Some(column) => Err(Stop::Unclear(format!(
                "{} has a column {}, which may tell that a migration failed: where= must say which \
                rows are applied, e.g. \
                 where={} or where=true for all",
                table.full_name(),
                shown(column),
                example(column)
            ))),
        }
    }

    /// Returns the finding while there is no table.
    async fn no_table(
        &self,
        database: &mut dyn Database,
        relations: &[Relation],
        path: &[String],
    ) -> Result<Stop, Failure> {
        let mut meant = vec![true; self.search.tools.len()];
        if let Some(folder) = &self.folder {
            meant = folder.recognised((0..meant.len()).collect()).await?;
            if let Some(off) = self.one_level_off(folder, relations, path, &meant).await? {
                return Ok(Stop::Unclear(off));
            }
        }
        Ok(match self.search.nothing(relations, path, &meant) {
            Found::Nothing { looked_for, hint } => {
                let message = format!("no migration table yet (looked for {looked_for})");
                let failure = database.failure(Class::Absent, &message);
                Stop::Lacking(Failure { hint, ..failure }, Missing::All)
            }
            Found::Unclear(message) => Stop::Unclear(message),
            Found::Table(_) | Found::Alike(_) => {
                Stop::Unclear("the table was just made".to_owned())
            }
        })
    }

    /// Reports a `dir` that is one level too high or too low for the tool whose table exists.
    ///
    /// If the recognised files could belong to a tool with another table, that table may still
    /// appear.
    async fn one_level_off(
        &self,
        folder: &Folder,
        relations: &[Relation],
        path: &[String],
        meant: &[bool],
    ) -> Result<Option<String>, Failure> {
        let meant = self.search.tools.iter().zip(meant).filter(|(_, is_meant)| **is_meant);
        let tables: Vec<&str> = meant
            .filter(|(tool, _)| {
                let opens = matches!(tool.files, Files::Read(reader) if reader.opens_files);
                !opens && !matches!(tool.home, Home::Only(_))
            })
            .map(|(tool, _)| tool.table)
            .collect();
        for (tool, table) in self.search.theirs(relations, path) {
            if tables.is_empty() || tables.iter().any(|name| *name != table.name) {
                continue;
            }
            if let Some(place) = folder.one_level_off(tool).await? {
                let table = table.full_name();
                return Ok(Some(format!("dir: {table} is {}'s, and {place}", tool.name)));
            }
        }
        Ok(None)
    }

    /// Reads locks, then rows. If they may be changing, reads both again.
    ///
    /// Locks come first: a SELECT on a table that a migrator has locked whole would block, and
    /// leave a line in the server's log. A clean state in the middle of a run is short, and a
    /// failed row may just have been repaired. In both cases the rows before and after the locks
    /// must agree.
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
        if matches!(self.wish, Wish::Clean) || is_doubtful {
            held.extend(database.locks(&tables, &keys).await?);
            held.dedup();
            held.extend(lock_rows(database, lock_tables).await?);
            changing = history(database, tool, table, &sql).await? != rows;
        } else {
            held.extend(lock_rows(database, lock_tables).await?);
        }
        Ok(Reading { rows, changing, held })
    }

    /// The tool's SELECT with its names in place; every name is quoted.
    fn rows_of(&self, database: &dyn Database, tool: &Tool, table: &Relation) -> String {
        let column = self.search.column.as_deref().unwrap_or_default();
        // One pass, because a name may itself contain a placeholder.
        let mut sql = String::new();
        let mut rest = tool.rows;
        while let Some(at) = rest.find('{') {
            sql.push_str(&rest[..at]);
            match rest.get(at..at + 3) {
                Some("{t}") => sql.push_str(&database.quoted_table(table)),
                Some("{s}") => sql.push_str(&database.quoted(&table.schema)),
                Some("{c}") => sql.push_str(&database.quoted(column)),
                Some("{w}") => sql.push_str(self.condition.as_deref().unwrap_or("true")),
                other => sql.push_str(other.unwrap_or_default()),
            }
            rest = rest.get(at + 3..).unwrap_or_default();
        }
        sql + rest
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

/// An example of a condition on a column.
fn example(column: &str) -> String {
    match column.to_ascii_lowercase().as_str() {
        "failed" | "dirty" => format!("not {column}"),
        "success" | "successful" | "is_applied" | "applied" => column.to_owned(),
        "error" | "rolled_back_at" => format!("{column} is null"),
        _ => format!("{column} = 'done'"),
    }
}

/// The rows of a history table.
async fn history(
    database: &mut dyn Database,
    tool: &Tool,
    table: &Relation,
    sql: &str,
) -> Result<Vec<Row>, Failure> {
    let mut rows = Vec::new();
    for row in database.rows(sql, table).await? {
        let row = read_row(row).map_err(|state| {
            let message = format!(
                "{}: the SELECT for {} returned the state {state:?}, which is none of the known \
                ones",
                table.full_name(),
                tool.name
            );
            database.failure(Class::Protocol, &message)
        })?;
        rows.push(row);
    }
    Ok(rows)
}

/// Key, state, and further names. The error is a state that does not exist.
fn read_row(row: TextRow) -> Result<Row, String> {
    let mut values = row.into_iter();
    // A row whose key is NULL names no migration, but its state counts.
    let key = values.next().flatten().unwrap_or_else(|| "NULL".to_owned());
    let word = values.next().flatten().unwrap_or_default();
    let state = State::read(&word).ok_or(word)?;
    // Several names in one column are on lines of their own.
    let names = |names: String| names.lines().map(str::to_owned).collect::<Vec<_>>();
    Ok(Row { key, state, aliases: values.flatten().flat_map(names).collect() })
}

/// The rows of the tool's lock tables.
async fn lock_rows(
    database: &mut dyn Database,
    tables: &[(&'static Lock, &Relation)],
) -> Result<Vec<Held>, Failure> {
    let mut held = Vec::new();
    for (lock, table) in tables.iter().filter(|(_, table)| table.readable && table.reachable) {
        let Lock::Row { holders, release, .. } = *lock else { continue };
        let sql = holders.replace("{l}", &database.quoted_table(table));
        for holder in database.rows(&sql, table).await?.into_iter().flatten().flatten() {
            held.push(Held::Row { holder, table: table.full_name(), release });
        }
    }
    Ok(held)
}

/// Fails with the statements that give the missing rights.
fn check_rights(
    database: &dyn Database,
    user: &str,
    table: &str,
    tables: &[&Relation],
) -> Result<(), Failure> {
    let user = shown(user);
    let mut grants: Vec<String> = Vec::new();
    for table in tables {
        if !table.reachable {
            grants.push(format!("GRANT USAGE ON SCHEMA {} TO {user};", shown(&table.schema)));
        }
        if !table.readable {
            grants.push(format!("GRANT SELECT ON {} TO {user};", table.full_name()));
        }
    }
    grants.dedup();
    if grants.is_empty() {
        return Ok(());
    }
    let message = format!("{user} may not read {table}: {}", grants.join(" "));
    Err(database.failure(Class::Auth, &message))
}

fn beside<'a>(
    table: &Relation,
    relations: &'a [Relation],
    wanted: impl Fn(&str) -> bool,
) -> impl Iterator<Item = &'a Relation> {
    relations.iter().filter(move |other| other.schema == table.schema && wanted(&other.name))
}

/// The tool's lock tables that are there.
fn lock_tables<'a>(
    tool: &Tool,
    table: &Relation,
    relations: &'a [Relation],
) -> Vec<(&'static Lock, &'a Relation)> {
    let find = |lock: &'static Lock| {
        let name = lock_table(lock, &table.name)?;
        let found = beside(table, relations, |other| other == name).next()?;
        Some((lock, found))
    };
    tool.locks.iter().filter_map(find).collect()
}
