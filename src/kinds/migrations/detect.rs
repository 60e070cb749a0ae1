//! Finds the tool's table in the catalog, by name and columns. Pure: relations in, a finding out.
//!
//! ```text
//! relations -> candidates (shape, place) -> tools whose files are in dir
//!           -> choose (sibling, most specific shape)
//! ```
//!
//! Where the shape of one table fits two tools equally well, the rows decide. `afterall`
//! never guesses.

use super::{
    database::{Names, Relation},
    name::{TableName, shown},
    tool::{Fit, Home, Lock, Tool},
    tools::TOOLS,
};
use crate::sort::{sort, sort_by_key};
use std::collections::HashSet;

/// The tools and the table to look for.
pub(super) struct Search {
    /// The tools that may be meant, in order.
    pub tools: Vec<Tool>,
    /// The operator's own table.
    pub table: Option<TableName>,
    /// The operator's own column.
    pub column: Option<String>,
    /// True if a directory is given: its files can identify the tool.
    pub has_dir: bool,
}

/// A table that may be one of the tool's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate<'a> {
    /// The tool's place among those that may be meant.
    pub place: usize,
    /// The table.
    pub table: &'a Relation,
    /// The degree to which the table's columns fit the tool.
    fit: Fit,
}

/// The result of a search.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// The table of one tool.
    Table(Candidate<'a>),
    /// One table that several tools write alike. Its rows must decide.
    Alike(Vec<Candidate<'a>>),
    /// No table yet.
    Nothing {
        /// The schemas and names that were searched.
        looked_for: String,
        /// Existing tables that are not the wanted one.
        hint: Option<String>,
    },
    /// Something that only an operator can decide, unless it changes a moment later.
    Unclear(String),
}

impl Search {
    /// The names to look for: of every table that may be meant, of those beside it, and of those
    /// that may be mistaken for it.
    pub(super) fn names(&self) -> Names {
        let mut names: Vec<String> = Vec::new();
        if let Some(table) = &self.table {
            names.push(table.table.clone());
        }
        for tool in self.tools.iter().chain(TOOLS) {
            let table = self.table.as_ref().map_or(tool.table, |table| table.table.as_str());
            names.push(tool.table.to_owned());
            names.extend(
                tool.sibling.into_iter().chain(tool.reads.iter().copied()).map(str::to_owned),
            );
            names.extend(tool.locks.iter().filter_map(|lock| lock_table(lock, table)));
        }
        let mut seen = HashSet::new();
        names.retain(|name| !name.is_empty() && seen.insert(name.clone()));
        let known = TOOLS.iter().flat_map(|tool| tool.shape.columns());
        // The operator's spelling comes first, because it is compared with the table's.
        let columns = self.column.iter().cloned().chain(known.map(str::to_owned)).collect();
        Names { tables: names, columns }
    }

    /// Every table that has the place and the shape of some tool that may be meant.
    pub(super) fn candidates<'a>(
        &self,
        relations: &'a [Relation],
        path: &[String],
    ) -> Vec<Candidate<'a>> {
        let mut candidates = Vec::new();
        for table in relations {
            let first = candidates.len();
            for (place, tool) in self.tools.iter().enumerate() {
                if let Some(fit) = self.fit(tool, table, path) {
                    candidates.push(Candidate { place, table, fit });
                }
            }
            // A tool whose default table has this name takes precedence.
            let is_usual = |candidate: &Candidate| self.tool(candidate).table == table.name;
            if candidates[first..].iter().any(is_usual) {
                let mut place = 0;
                candidates.retain(|candidate| {
                    place += 1;
                    place <= first || is_usual(candidate)
                });
            }
        }
        candidates
    }

    fn fit(&self, tool: &Tool, table: &Relation, path: &[String]) -> Option<Fit> {
        if !self.is_place_of(tool, table, path) {
            return None;
        }
        match &self.column {
            Some(column) => table.has_column(column).then_some((1, false)),
            None => tool.shape.fit(&table.columns, tool.table == table.name),
        }
    }

    fn tool(&self, candidate: &Candidate) -> &Tool {
        &self.tools[candidate.place]
    }

    /// Decides between candidates. If a directory is given, it holds files of each. Returns `None`
    /// if there is no candidate.
    pub(super) fn choose<'a>(
        &self,
        candidates: &[Candidate<'a>],
        relations: &[Relation],
    ) -> Option<Found<'a>> {
        let mut remaining: Vec<Candidate> = Vec::new();
        for candidate in candidates {
            let same: Vec<_> =
                candidates.iter().filter(|other| other.table == candidate.table).copied().collect();
            if self.best(same, relations).contains(candidate) {
                remaining.push(*candidate);
            }
        }
        // A tool that changed its table leaves the old one behind.
        let is_superseded = |candidate: &Candidate| {
            remaining.iter().any(|other| {
                other.place < candidate.place
                    && self.tool(other).name == self.tool(candidate).name
                    && other.table != candidate.table
                    && other.table.schema == candidate.table.schema
            })
        };
        let remaining: Vec<_> =
            remaining.iter().filter(|candidate| !is_superseded(candidate)).copied().collect();
        let first = remaining.first()?;
        if remaining.iter().any(|other| other.table != first.table) {
            let names: Vec<_> = remaining.iter().map(|candidate| self.shown(candidate)).collect();
            return Some(Found::Unclear(format!(
                "several migration tables: {}; say which by tool= or table=",
                names.join(", ")
            )));
        }
        let is_one_tool =
            remaining.iter().all(|other| self.tool(other).name == self.tool(first).name);
        Some(match self.tool(first).refused {
            Some(why) => Found::Unclear(format!(
                "{} is {}'s: {why}; use postgres: with a query instead",
                first.table.full_name(),
                self.tool(first).name
            )),
            None if is_one_tool => Found::Table(*first),
            None => Found::Alike(remaining),
        })
    }

    /// Returns the best fitting of the candidates for one table.
    fn best<'a>(&self, mut same: Vec<Candidate<'a>>, relations: &[Relation]) -> Vec<Candidate<'a>> {
        let has_sibling = |candidate: &Candidate| {
            self.tool(candidate).sibling.map(|sibling| {
                let schema = &candidate.table.schema;
                relations.iter().any(|other| other.schema == *schema && other.name == sibling)
            })
        };
        if same.iter().any(|candidate| has_sibling(candidate) == Some(true)) {
            same.retain(|candidate| has_sibling(candidate) == Some(true));
        }
        let best = same.iter().map(|candidate| candidate.fit).max();
        same.retain(|candidate| Some(candidate.fit) == best);
        // Without files, tools whose tables are alike differ in nothing that counts; a missing
        // sibling decides.
        let decided = self.has_dir || same.iter().all(|other| !self.tool(other).mark.is_empty());
        if !decided {
            sort_by_key(&mut same, |candidate| has_sibling(candidate) == Some(false));
            same.truncate(1);
        }
        same
    }

    fn shown(&self, candidate: &Candidate) -> String {
        format!("{} ({})", candidate.table.full_name(), self.tool(candidate).name)
    }

    /// Returns the message for a table whose rows fit several tools.
    pub(super) fn alike(&self, candidates: &[Candidate]) -> String {
        let names: Vec<_> = candidates.iter().map(|candidate| self.tool(candidate).name).collect();
        let table = candidates.first().map(|of| of.table.full_name()).unwrap_or_default();
        match names.as_slice() {
            [only] => format!(
                "{table} has the columns of {only}'s table, but rows that {only} does not write: \
                say which by tool= and table="
            ),
            names => {
                format!("{table} may be the table of {}: say which by tool=", names.join(" or "))
            }
        }
    }

    /// Returns the finding where there is no candidate. `meant` is true for each tool whose files
    /// lie in the directory.
    pub(super) fn nothing<'a>(
        &self,
        relations: &'a [Relation],
        path: &[String],
        meant: &[bool],
    ) -> Found<'a> {
        let meant: Vec<&Tool> = self
            .tools
            .iter()
            .zip(meant)
            .filter(|(_, meant)| **meant)
            .map(|(tool, _)| tool)
            .collect();
        let strange = relations.iter().find(|table| self.is_strange(&meant, table, path));
        match strange {
            Some(table) => Found::Unclear(self.mistake(&meant, table, path)),
            None => Found::Nothing {
                looked_for: self.looked_for(&meant, path),
                hint: self.others(&meant, relations, path),
            },
        }
    }

    /// Tools that are not meant, but whose tables are there.
    pub(super) fn theirs<'a>(
        &self,
        relations: &'a [Relation],
        path: &'a [String],
    ) -> impl Iterator<Item = (&'static Tool, &'a Relation)> {
        let fits = |table: &Relation, tool: &&Tool| {
            tool.table == table.name
                && tool.home.has(&table.schema, path)
                && tool.shape.fit(&table.columns, true).is_some()
        };
        let none = self.table.is_some();
        let tables = relations.iter().filter(move |_| !none);
        tables.filter_map(move |table| Some((TOOLS.iter().find(|tool| fits(table, tool))?, table)))
    }

    /// Returns true if the table is where the operator, or else this tool, has put it.
    fn is_place_of(&self, tool: &Tool, table: &Relation, path: &[String]) -> bool {
        match &self.table {
            Some(TableName { schema: Some(schema), table: name }) => {
                // A name that is too common counts elsewhere only for a tool that was asked for.
                let may_be_there = match tool.home {
                    Home::Only(own) => table.schema == own || count(&self.tools) == 1,
                    Home::SearchPath | Home::Also(_) => true,
                };
                table.schema == *schema && table.name == *name && may_be_there
            }
            Some(TableName { schema: None, table: name }) => {
                table.name == *name
                    && (tool.home.has(&table.schema, path)
                        || Home::SearchPath.has(&table.schema, path))
            }
            None => table.name == tool.table && tool.home.has(&table.schema, path),
        }
    }

    /// Returns true if a table has the name of one that is meant, and other columns.
    ///
    /// Another tool's table is a mistake only if no other table can be meant: it may serve another
    /// service.
    fn is_strange(&self, meant: &[&Tool], table: &Relation, path: &[String]) -> bool {
        let is_theirs = TOOLS
            .iter()
            .any(|tool| tool.table == table.name && tool.shape.fit(&table.columns, true).is_some());
        let mut here = meant.iter().map(|tool| self.is_place_of(tool, table, path));
        if is_theirs && self.column.is_none() {
            !meant.is_empty() && here.all(|here| here)
        } else {
            here.any(|here| here)
        }
    }

    /// Describes the mistake in a table that has the right name.
    fn mistake(&self, meant: &[&Tool], table: &Relation, path: &[String]) -> String {
        let name = table.full_name();
        if let Some(column) = &self.column {
            return format!(
                "{name} has no column {} (it has {})",
                shown(column),
                table.columns_shown()
            );
        }
        let here: Vec<&&Tool> =
            meant.iter().filter(|tool| self.is_place_of(tool, table, path)).collect();
        let theirs = TOOLS.iter().find(|tool| {
            tool.table == table.name && tool.shape.fit(&table.columns, true).is_some()
        });
        match (theirs, here.as_slice()) {
            (Some(theirs), [ours]) => {
                let why = if self.has_dir {
                    format!("the files in dir are {}'s (such as {})", ours.name, ours.example)
                } else {
                    format!("tool={} is wanted", ours.name)
                };
                format!("{name} is {}'s, but {why}", theirs.name)
            }
            (Some(theirs), [_, _, ..]) => format!(
                "{name} is {}'s, but none of the files in dir is (such as {})",
                theirs.name, theirs.example
            ),
            (_, here) => format!(
                "{name} has columns that no {} has ({}): name the tool's own by table=, or this \
                one's column by column=",
                if let [only] = here { only.name } else { "known tool's" },
                table.columns_shown()
            ),
        }
    }

    fn looked_for(&self, meant: &[&Tool], path: &[String]) -> String {
        let tables = match &self.table {
            Some(TableName { schema: Some(schema), table }) => {
                return format!("{}.{}", shown(schema), shown(table));
            }
            Some(TableName { schema: None, table }) => shown(table),
            None => {
                let mut tables: Vec<_> = meant.iter().map(|tool| shown(tool.table)).collect();
                tables.dedup();
                match tables.len() {
                    0..=4 => tables.join(", "),
                    _ => format!("the tables of {} tools", count(meant.iter().copied())),
                }
            }
        };
        let fixed = meant.iter().filter_map(|tool| match tool.home {
            Home::Only(schema) | Home::Also(schema) => Some(schema.to_owned()),
            Home::SearchPath => None,
        });
        let on_path = meant.iter().any(|tool| !matches!(tool.home, Home::Only(_)));
        let mut schemas: Vec<_> = path.iter().filter(|_| on_path).cloned().collect();
        if count(meant.iter().copied()) == 1 {
            schemas.extend(fixed);
        }
        schemas.dedup();
        if schemas.is_empty() { tables } else { format!("{tables} in {}", schemas.join(", ")) }
    }

    /// A hint that names tables of tools that are not meant, or tables off the search path.
    fn others(&self, meant: &[&Tool], relations: &[Relation], path: &[String]) -> Option<String> {
        if let Some(hint) = self.off_path(meant, relations, path) {
            return Some(hint);
        }
        let others: Vec<_> = self.theirs(relations, path).take(3).collect();
        let (first, _) = others.first()?;
        let names: Vec<_> = others
            .iter()
            .map(|(tool, table)| format!("{} ({})", table.full_name(), tool.name))
            .collect();
        let why = match (self.has_dir, others.len(), first.example) {
            (true, 1, example) if !example.is_empty() => {
                format!("dir holds no files of {}'s (such as {example})", first.name)
            }
            (true, ..) => "dir holds no files of theirs".to_owned(),
            (false, ..) => "which is not what is asked for".to_owned(),
        };
        Some(if self.has_dir {
            format!("there is {}, but {why}", names.join(", "))
        } else {
            format!("there is {}, {why}", names.join(", "))
        })
    }

    /// A hint that names a fitting table off the search path: a migrator may have a search path of
    /// its own.
    pub(super) fn off_path(
        &self,
        meant: &[&Tool],
        relations: &[Relation],
        path: &[String],
    ) -> Option<String> {
        let is_off_path = |table: &&Relation| {
            let fits = |tool: &&&Tool| {
                let is_elsewhere = !tool.home.has(&table.schema, path);
                tool.table == table.name
                    && is_elsewhere
                    && tool.shape.fit(&table.columns, true).is_some()
            };
            !path.contains(&table.schema) && meant.iter().any(|tool| fits(&tool))
        };
        let table =
            relations.iter().find(is_off_path).filter(|_| self.table.is_none())?.full_name();
        Some(format!(
            "there is {table}, which is not on the search path: if it is the one, say table={table}"
        ))
    }
}

/// Returns the number of tools. Several entries may have one name.
fn count<'a>(tools: impl IntoIterator<Item = &'a Tool>) -> usize {
    let mut names: Vec<_> = tools.into_iter().map(|tool| tool.name).collect();
    sort(&mut names);
    names.dedup();
    names.len()
}

/// The table of a lock that is a row, beside the history table `table`.
pub(super) fn lock_table(lock: &Lock, table: &str) -> Option<String> {
    match lock {
        Lock::Row { table: pattern, .. } => Some(pattern.replace("{}", table)),
        Lock::Advisory(_) | Lock::Named(_) => None,
    }
}

#[cfg(test)]
#[path = "detect_tests.rs"]
mod tests;
