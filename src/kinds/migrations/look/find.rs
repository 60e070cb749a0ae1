//! Finds the table of a look, its tool, and the wanted migrations.

use std::sync::Arc;

use super::{Look, Missing, Stop, rows::check_rights};
use crate::{
    kinds::migrations::{
        database::{Database, Relation, Surroundings},
        detect::{Candidate, Found},
        folder::{Folder, wrong},
        name::shown,
        tool::{Files, Home, Tool},
        wanted::Wanted,
    },
    probe::{Attempt, Class, Failure},
};

/// The table that an attempt found, and its tool.
pub(super) struct Target<'a> {
    pub(super) tool: &'a Tool,
    pub(super) table: &'a Relation,
    pub(super) wanted: Option<Arc<Wanted>>,
}

impl Look {
    /// Finds the table and its tool, and reads the directory as that tool does.
    pub(super) async fn target<'a>(
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
                .values()
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
        if self.search.column.is_none() || self.condition.is_some() {
            return Ok(());
        }
        let own = self.search.column.as_deref();
        let mut names = table.columns.iter().map(|(name, _)| name);
        let telling = names.find(|name| tells_of_failure(name) && own != Some(name.as_str()));
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
                Stop::Lacking(failure.with(|reason| reason.hint = hint), Missing::All)
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
}

/// Returns true if a column's name suggests that its value distinguishes failed rows.
fn tells_of_failure(name: &str) -> bool {
    const ALONE: [&str; 5] = ["applied", "is_applied", "ok", "done", "rolled_back_at"];
    const WORDS: [&str; 11] = [
        "status",
        "state",
        "success",
        "successful",
        "succeeded",
        "failed",
        "failure",
        "dirty",
        "error",
        "outcome",
        "result",
    ];
    let name = name.to_ascii_lowercase();
    // `migration_status`, `is_dirty`, `error_message`; not `state_hash`.
    let is_at_end = |word: &str| {
        name.strip_suffix(word).is_some_and(|rest| rest.is_empty() || rest.ends_with('_'))
    };
    ALONE.contains(&name.as_str())
        || WORDS.iter().any(|word| is_at_end(word))
        || name.starts_with("error_")
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
