//! One look at the database, in one read-only transaction: find the table, read rows and locks, decide.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::{
    condition::{Condition, Decision, Seen},
    detect::{Found, RELATIONS, Relation, SURROUNDINGS, Search, lock_table},
    locks::{HELD, Held, advisory_keys, live},
    name::{quoted, search_path, shown},
    row::{Row, State},
    tool::{Lock, Tool},
};
use crate::{
    kinds::postgres::{Error, Phase, Question, Session},
    probe::{Attempt, AttemptFuture, Class, Cost, Failure, Verdict},
    text::{MAX_FOREIGN, one_line},
};

/// What only an operator can decide is looked at once more after this: a migrator may be in the midst of it.
const ONE_MORE_LOOK: Duration = Duration::from_secs(1);

/// What is wanted of the table.
pub enum Wish {
    /// What the directory holds.
    Dir,
    /// One migration.
    Version(String),
    /// That nothing has failed and nobody is at work.
    Clean,
}

/// What is asked of a server.
pub struct Look {
    search: Search,
    /// The tables to look for, as an array that the server reads.
    names: String,
    wish: Wish,
    /// The schema that the URL itself names, in place of the search path.
    schema: Option<String>,
    /// What was found unclear, and when for the first time.
    unclear: Mutex<Option<(Instant, String)>>,
}

/// Where we are.
struct Surroundings {
    path: Vec<String>,
    user: String,
    database: String,
    standby: bool,
}

/// One attempt's transaction.
struct Looking<'a> {
    session: &'a mut Session,
    /// What is being read, for messages.
    table: String,
    user: String,
}

impl Question for Look {
    fn ask<'a>(
        &'a mut self,
        attempt: &'a Attempt<'a>,
        session: &'a mut Session,
    ) -> AttemptFuture<'a> {
        Box::pin(async move {
            match self.look(attempt, session).await {
                // Names and keys are the other side's words.
                Ok(detail) => Verdict::Ready(one_line(&detail, MAX_FOREIGN)),
                Err(failure) => Failure {
                    hint: failure.hint.map(|hint| one_line(&hint, MAX_FOREIGN)),
                    ..failure
                }
                .verdict(),
            }
        })
    }
}

impl Look {
    /// A look for the table that `search` describes.
    pub fn new(search: Search, wish: Wish, schema: Option<String>) -> Self {
        let escaped =
            |name: &String| format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""));
        let names = search.names().iter().map(escaped).collect::<Vec<_>>().join(",");
        Self { search, names: format!("{{{names}}}"), wish, schema, unclear: Mutex::new(None) }
    }

    async fn look(&self, attempt: &Attempt<'_>, session: &mut Session) -> Result<String, Failure> {
        // Rows that a policy hides would look like migrations that are missing: with this, the server refuses instead.
        let begun = session.read_only(attempt, &["SET LOCAL row_security = off"]).await;
        begun.map_err(|error| session.failure(error, Phase::Command))?;
        attempt
            .stage(format!("logged in to {}, but no answer about its tables", session.endpoint()));
        let mut looking = Looking { session, table: String::new(), user: String::new() };
        let here = self.surroundings(&mut looking).await?;
        looking.user.clone_from(&here.user);
        let relations = looking.relations(&self.names).await?;
        let (place, relation) = match self.search.find(&relations, &here.path) {
            Found::Table(place, relation) => (place, relation),
            Found::Unclear(what) => return Err(self.unclear(looking.session, what)),
            Found::None(looked_for, others) => {
                let failure = looking.failure(
                    Class::Absent,
                    format!("no migration table yet (looked for {looked_for})"),
                );
                return Err(match others {
                    Some(others) => failure.hint(others),
                    None => failure,
                });
            }
        };
        let entry = &self.search.entries[place];
        looking.table = relation.full_name();
        let lock_tables = lock_tables(&entry.tool, relation, &relations);
        let mut needed: Vec<&Relation> = vec![relation];
        needed.extend(beside(relation, &relations, |name| entry.tool.reads.contains(&name)));
        let blind = lock_tables
            .iter()
            .find(|(_, table)| !table.readable)
            .map(|(_, table)| table.full_name());
        if matches!(self.wish, Wish::Clean) {
            needed.extend(lock_tables.iter().map(|(_, table)| *table));
        }
        looking.check_rights(&needed)?;
        attempt.stage(format!(
            "logged in to {}, but no answer about {}",
            looking.session.endpoint(),
            looking.table
        ));
        let seen = self.read(&mut looking, &entry.tool, relation, &lock_tables, &here).await?;
        let seen = Seen { blind, standby: here.standby, ..seen };
        let condition = match (&self.wish, &entry.wanted) {
            (Wish::Dir, Some(wanted)) => Condition::Dir(wanted),
            (Wish::Version(version), wanted) => Condition::Version(version, wanted.as_ref()),
            (Wish::Clean | Wish::Dir, _) => Condition::Clean,
        };
        let decision = seen.decide(condition);
        if let Decision::Wrong(what) = decision {
            return Err(self.unclear(looking.session, format!("{}: {what}", looking.table)));
        }
        *self.unclear.lock().unwrap_or_else(PoisonError::into_inner) = None;
        match decision {
            Decision::Ready(detail) => Ok(detail),
            Decision::NotYet(class, what, hint) => {
                let failure = looking.failure(class, what);
                Err(match hint {
                    Some(hint) => failure.hint(hint),
                    None => failure,
                })
            }
            Decision::Wrong(what) => Err(looking.failure(Class::Config, what)),
        }
    }

    async fn surroundings(&self, looking: &mut Looking<'_>) -> Result<Surroundings, Failure> {
        let rows = looking.rows(SURROUNDINGS, &[]).await?;
        let mut values = rows.into_iter().flatten().map(Option::unwrap_or_default);
        let mut next = || values.next().unwrap_or_default();
        let (path, user, database, standby) = (next(), next(), next(), next() == "true");
        let path = match &self.schema {
            Some(schema) => vec![schema.clone()],
            None => search_path(&path, &user),
        };
        Ok(Surroundings { path, user, database, standby })
    }

    /// Locks, rows, and where more than that is to be known, locks and rows again.
    ///
    /// A look at the locks comes first, since a table that a migrator has locked whole would hold us up, and leave a line in
    /// the server's log. What is clean in the midst of a run is so for an instant only, and what looks failed may just have
    /// been mended: there, rows before and after the locks have to agree.
    async fn read<'s>(
        &'s self,
        looking: &mut Looking<'_>,
        tool: &'s Tool,
        relation: &Relation,
        lock_tables: &[(&'static Lock, &Relation)],
        here: &Surroundings,
    ) -> Result<Seen<'s>, Failure> {
        let keys = advisory_keys(tool, &relation.schema, &relation.name, &here.database);
        let mut oids = vec![relation.oid.as_str()];
        oids.extend(lock_tables.iter().map(|(_, table)| table.oid.as_str()));
        let oids = format!("{{{}}}", oids.join(","));
        let rows_of = rows_of(tool, relation, self.search.column.as_deref());
        let mut held = looking.held(&oids, &keys).await?;
        if held
            .iter()
            .any(|held| matches!(held, Held::Live(what) if what.contains("AccessExclusiveLock")))
        {
            let what = format!(
                "in progress: the table is locked as a whole ({}, {})",
                tool.name, looking.table
            );
            return Err(looking.failure(Class::Absent, what));
        }
        let rows = looking.history(&rows_of).await?;
        let doubtful =
            rows.iter().any(|row| row.state.is_failed() || row.state == State::Unfinished);
        let mut changing = false;
        if matches!(self.wish, Wish::Clean) || doubtful {
            held.extend(looking.held(&oids, &keys).await?);
            held.dedup();
            held.extend(looking.lock_rows(lock_tables).await?);
            changing = looking.history(&rows_of).await? != rows;
        } else {
            held.extend(looking.lock_rows(lock_tables).await?);
        }
        Ok(Seen {
            tool,
            table: looking.table.clone(),
            rows,
            changing,
            held,
            blind: None,
            standby: false,
        })
    }

    /// A config error, once it was seen twice.
    fn unclear(&self, session: &Session, what: String) -> Failure {
        let now = Instant::now();
        let mut unclear = self.unclear.lock().unwrap_or_else(PoisonError::into_inner);
        let since = match unclear.take() {
            Some((since, before)) if before == what => since,
            _ => now,
        };
        let left = (since + ONE_MORE_LOOK).saturating_duration_since(now);
        *unclear = Some((since, what.clone()));
        let mut failure = match left.is_zero() && since != now {
            true => Failure::new(Class::Config, format!("{what} (after one more look)")),
            false => Failure::new(Class::Absent, what)
                .hint("to be looked at once more, in case a migrator is changing it"),
        };
        failure.retry_after = (failure.class != Class::Config).then_some(left);
        failure.cost(session.cost())
    }
}

impl Looking<'_> {
    fn failure(&self, class: Class, what: impl AsRef<str>) -> Failure {
        Failure::new(class, what).cost(self.session.cost())
    }

    async fn rows(
        &mut self,
        sql: &str,
        params: &[Option<&str>],
    ) -> Result<Vec<Vec<Option<String>>>, Failure> {
        match self.session.rows(sql, params).await {
            Ok(rows) => Ok(rows),
            Err(error) => Err(self.refused(error)),
        }
    }

    /// What a refusal means while the table is being read.
    fn refused(&self, error: Error) -> Failure {
        let Error::Server(refusal) = &error else {
            return self.session.failure(error, Phase::Command);
        };
        let (table, user) = (&self.table, shown(&self.user));
        let logged = |class, what: String| Failure::new(class, what).cost(Cost::Logged);
        match refusal.code.as_str() {
            "55P03" => logged(
                Class::Absent,
                format!("in progress: {table} is locked by a migrator ({refusal})"),
            ),
            // It was there a moment ago.
            "42P01" | "3F000" | "42703" => {
                logged(Class::Absent, format!("{table} changed while it was read ({refusal})"))
            }
            "42501" if refusal.message.contains("row-level security") => {
                let hint = format!(
                    "policies hide rows of {table} from {user}: read it as its owner, or ALTER ROLE {user} BYPASSRLS"
                );
                self.session.failure(error, Phase::Command).hint(hint)
            }
            "42501" => {
                let hint = format!("GRANT SELECT ON {table} TO {user};");
                self.session.failure(error, Phase::Command).hint(hint)
            }
            _ => self.session.failure(error, Phase::Command),
        }
    }

    async fn relations(&mut self, names: &str) -> Result<Vec<Relation>, Failure> {
        let rows = self.rows(RELATIONS, &[Some(names)]).await?;
        Ok(rows.iter().filter_map(|row| Relation::read(row)).collect())
    }

    /// Whether everything that has to be read may be.
    fn check_rights(&self, tables: &[&Relation]) -> Result<(), Failure> {
        let user = shown(&self.user);
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
        match grants.is_empty() {
            true => Ok(()),
            false => Err(self.failure(
                Class::Auth,
                format!("{user} may not read {}: {}", self.table, grants.join(" ")),
            )),
        }
    }

    async fn history(&mut self, sql: &str) -> Result<Vec<Row>, Failure> {
        let rows = self.rows(sql, &[]).await?;
        let read = |row: Vec<Option<String>>| {
            let mut values = row.into_iter();
            let (key, state) = (values.next()??, values.next()??);
            // Several names in one column stand on lines of their own.
            let aliases = values
                .flatten()
                .flat_map(|names| names.lines().map(str::to_owned).collect::<Vec<_>>())
                .collect();
            Some(Row { key, state: State::read(&state)?, aliases })
        };
        Ok(rows.into_iter().filter_map(read).collect())
    }

    async fn held(&mut self, oids: &str, keys: &[i64]) -> Result<Vec<Held>, Failure> {
        Ok(live(&self.rows(HELD, &[Some(oids)]).await?, keys))
    }

    async fn lock_rows(
        &mut self,
        tables: &[(&'static Lock, &Relation)],
    ) -> Result<Vec<Held>, Failure> {
        let mut held = Vec::new();
        for (lock, table) in tables.iter().filter(|(_, table)| table.readable && table.reachable) {
            let Lock::Row { holders, release, .. } = *lock else { continue };
            let sql = holders.replace("{l}", &quoted_name(table));
            for holder in self.rows(&sql, &[]).await?.into_iter().flatten().flatten() {
                held.push(Held::Row { holder, table: table.full_name(), release });
            }
        }
        Ok(held)
    }
}

fn beside<'a>(
    relation: &Relation,
    relations: &'a [Relation],
    wanted: impl Fn(&str) -> bool,
) -> impl Iterator<Item = &'a Relation> {
    relations.iter().filter(move |other| other.schema == relation.schema && wanted(&other.name))
}

/// The tool's lock tables that are there.
fn lock_tables<'a>(
    tool: &Tool,
    relation: &Relation,
    relations: &'a [Relation],
) -> Vec<(&'static Lock, &'a Relation)> {
    let find = |lock: &'static Lock| {
        let name = lock_table(lock, &relation.name)?;
        let table = beside(relation, relations, |other| other == name).next()?;
        Some((lock, table))
    };
    tool.locks.iter().filter_map(find).collect()
}

fn quoted_name(relation: &Relation) -> String {
    format!("{}.{}", quoted(&relation.schema), quoted(&relation.name))
}

/// The tool's SELECT with its names in place; every name is quoted.
fn rows_of(tool: &Tool, relation: &Relation, column: Option<&str>) -> String {
    // One pass: a name may itself hold what looks like a place.
    let mut sql = String::new();
    let mut rest = tool.rows;
    while let Some(at) = rest.find('{') {
        sql.push_str(&rest[..at]);
        match rest.get(at..at + 3) {
            Some("{t}") => sql.push_str(&quoted_name(relation)),
            Some("{s}") => sql.push_str(&quoted(&relation.schema)),
            Some("{c}") => sql.push_str(&quoted(column.unwrap_or_default())),
            other => sql.push_str(other.unwrap_or_default()),
        }
        rest = rest.get(at + 3..).unwrap_or_default();
    }
    sql + rest
}
