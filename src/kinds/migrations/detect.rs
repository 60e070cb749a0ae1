//! Which table is the tool's: found in the catalog, which every role may read, and known by its columns.

use super::{
    name::{TableName, shown},
    tool::{Home, Lock, Tool},
    tools::TOOLS,
    wanted::Wanted,
};

/// Every table called as `$1` has it, with what we may do and its columns; no right is needed to ask.
///
/// `information_schema` hides what a role may not read, and a schema without USAGE turns a table into 42P01: neither can
/// tell "not yet" from "not for you".
pub const RELATIONS: &str = "SELECT c.oid::text, n.nspname::text, c.relname::text, \
    pg_catalog.has_schema_privilege(n.oid, 'USAGE')::text, pg_catalog.has_any_column_privilege(c.oid, 'SELECT')::text, \
    pg_catalog.string_agg(a.attname::text || ':' || t.typname::text, pg_catalog.chr(10) ORDER BY a.attnum) \
    FROM pg_catalog.pg_class c \
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
    JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' \
    AND c.relname = ANY ($1::text[]) GROUP BY n.nspname, c.relname, c.oid, n.oid ORDER BY n.nspname, c.relname";

/// Where we are: search path, role, database, and whether the server is a standby.
pub const SURROUNDINGS: &str = "SELECT pg_catalog.current_setting('search_path'), current_user::text, \
    pg_catalog.current_database()::text, pg_catalog.pg_is_in_recovery()::text";

/// A table of the catalog.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Relation {
    /// Its OID.
    pub oid: String,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// We have USAGE on its schema.
    pub reachable: bool,
    /// We have SELECT on some of its columns.
    pub readable: bool,
    /// Names and types, in order.
    pub columns: Vec<(String, String)>,
}

impl Relation {
    /// Reads a row of [`RELATIONS`].
    pub fn read(row: &[Option<String>]) -> Option<Self> {
        let [Some(oid), Some(schema), Some(name), Some(usage), Some(select), Some(columns)] = row
        else {
            return None;
        };
        let column = |line: &str| {
            line.rsplit_once(':').map(|(name, typname)| (name.to_owned(), typname.to_owned()))
        };
        Some(Self {
            oid: oid.clone(),
            schema: schema.clone(),
            name: name.clone(),
            reachable: usage == "true",
            readable: select == "true",
            columns: columns.split('\n').filter_map(column).collect(),
        })
    }

    /// `schema.table`, for people.
    pub fn full_name(&self) -> String {
        format!("{}.{}", shown(&self.schema), shown(&self.name))
    }

    fn columns_shown(&self) -> String {
        let column = |(name, typname): &(String, String)| format!("{} {typname}", shown(name));
        self.columns.iter().take(8).map(column).collect::<Vec<_>>().join(", ")
    }
}

/// A tool that may be meant, with what its reading of the directory wants.
pub struct Entry {
    /// The tool.
    pub tool: Tool,
    /// What the directory wants, if there is one.
    pub wanted: Option<Wanted>,
}

/// What is looked for.
pub struct Search {
    /// The tools that may be meant, in order.
    pub entries: Vec<Entry>,
    /// The operator's own table.
    pub table: Option<TableName>,
    /// The operator's own column.
    pub column: Option<String>,
}

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// The table, by the places of tool and table.
    Table(usize, &'a Relation),
    /// None yet. The second text names tables that are there and cannot be it.
    None(String, Option<String>),
    /// Something that only an operator can decide, unless it is gone a moment later.
    Unclear(String),
}

impl Search {
    /// The names to look for: of every table that may be it, of those beside it, and of those that would be mistaken for it.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        if let Some(table) = &self.table {
            names.push(table.table.clone());
        }
        for tool in self.entries.iter().map(|entry| &entry.tool).chain(TOOLS) {
            let table = self.table.as_ref().map_or(tool.table, |table| table.table.as_str());
            names.push(tool.table.to_owned());
            names.extend(
                tool.sibling.into_iter().chain(tool.reads.iter().copied()).map(str::to_owned),
            );
            names.extend(tool.locks.iter().filter_map(|lock| lock_table(lock, table)));
        }
        names.retain(|name| !name.is_empty());
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Decides. `path` is the search path.
    pub fn find<'a>(&self, relations: &'a [Relation], path: &[String]) -> Found<'a> {
        let mut candidates: Vec<(usize, &Relation)> = Vec::new();
        let mut strange: Vec<&Relation> = Vec::new();
        for relation in relations {
            match self.entry_of(relation, relations, path) {
                Some(place) => candidates.push((place, relation)),
                None if self.is_strange(relation, path) => strange.push(relation),
                None => {}
            }
        }
        // A tool that changed its table leaves the old one behind.
        let superseded = |(place, relation): &(usize, &Relation)| {
            candidates.iter().any(|(other, beside)| {
                other < place
                    && self.name(*other) == self.name(*place)
                    && beside.schema == relation.schema
            })
        };
        let remaining: Vec<_> =
            candidates.iter().filter(|candidate| !superseded(candidate)).copied().collect();
        match (remaining.as_slice(), strange.first()) {
            ([(place, relation)], _) => match self.entries[*place].tool.refused {
                None => Found::Table(*place, relation),
                Some(why) => Found::Unclear(format!(
                    "{} is {}'s: {why}; use postgres: with a query instead",
                    relation.full_name(),
                    self.name(*place)
                )),
            },
            ([], None) => Found::None(self.looked_for(path), self.others(relations, path)),
            ([], Some(relation)) => Found::Unclear(self.mistake(relation, path)),
            (several, _) => {
                let names: Vec<_> = several
                    .iter()
                    .map(|(place, relation)| {
                        format!("{} ({})", relation.full_name(), self.name(*place))
                    })
                    .collect();
                Found::Unclear(format!(
                    "several migration tables: {}; say which by tool= or table=",
                    names.join(", ")
                ))
            }
        }
    }

    fn name(&self, place: usize) -> &'static str {
        self.entries[place].tool.name
    }

    /// The entry whose table this is.
    fn entry_of(
        &self,
        relation: &Relation,
        relations: &[Relation],
        path: &[String],
    ) -> Option<usize> {
        if let Some(column) = &self.column {
            let has = relation.columns.iter().any(|(name, _)| name == column);
            return (self.is_named(relation, path) && has).then_some(0);
        }
        let fits = |place: &usize| {
            let tool = &self.entries[*place].tool;
            tool.shape.fits(&relation.columns) && self.is_place_of(tool, relation, path)
        };
        let mut fitting: Vec<usize> = (0..self.entries.len()).filter(fits).collect();
        if self.table.is_some()
            && fitting.iter().any(|place| self.entries[*place].tool.table == relation.name)
        {
            fitting.retain(|place| self.entries[*place].tool.table == relation.name);
        }
        let has_sibling = |place: &usize| match self.entries[*place].tool.sibling {
            Some(sibling) => relations
                .iter()
                .any(|other| other.schema == relation.schema && other.name == sibling),
            None => true,
        };
        fitting.iter().find(|place| has_sibling(place)).or(fitting.first()).copied()
    }

    /// Whether the table stands where the operator, or else this tool, has put it.
    fn is_place_of(&self, tool: &Tool, relation: &Relation, path: &[String]) -> bool {
        match &self.table {
            Some(TableName { schema: Some(schema), table }) => {
                // A name that says too little counts elsewhere only for a tool that was asked for.
                let may_be_there = match tool.home {
                    Home::Only(own) => relation.schema == own || self.tools() == 1,
                    Home::SearchPath | Home::Also(_) => true,
                };
                relation.schema == *schema && relation.name == *table && may_be_there
            }
            Some(TableName { schema: None, table }) => {
                relation.name == *table
                    && (tool.home.has(&relation.schema, path)
                        || Home::SearchPath.has(&relation.schema, path))
            }
            None => relation.name == tool.table && tool.home.has(&relation.schema, path),
        }
    }

    /// Whether some tool that is meant would have its table just here.
    fn is_named(&self, relation: &Relation, path: &[String]) -> bool {
        match self.entries.is_empty() {
            true => false,
            false => self.entries.iter().any(|entry| self.is_place_of(&entry.tool, relation, path)),
        }
    }

    /// Whether a table has the name of one that is meant, and is none.
    ///
    /// Another tool's is a mistake only where no other table can be meant: it may serve somebody else.
    fn is_strange(&self, relation: &Relation, path: &[String]) -> bool {
        let is_theirs = TOOLS
            .iter()
            .any(|tool| tool.table == relation.name && tool.shape.fits(&relation.columns));
        match is_theirs && self.column.is_none() {
            true => {
                !self.entries.is_empty()
                    && self
                        .entries
                        .iter()
                        .all(|entry| self.is_place_of(&entry.tool, relation, path))
            }
            false => self.is_named(relation, path),
        }
    }

    /// What is wrong with a table that has the right name.
    fn mistake(&self, relation: &Relation, path: &[String]) -> String {
        let table = relation.full_name();
        if let Some(column) = &self.column {
            return format!(
                "{table} has no column {} (it has {})",
                shown(column),
                relation.columns_shown()
            );
        }
        let meant: Vec<&Entry> = self
            .entries
            .iter()
            .filter(|entry| self.is_place_of(&entry.tool, relation, path))
            .take(2)
            .collect();
        let theirs = TOOLS
            .iter()
            .find(|tool| tool.table == relation.name && tool.shape.fits(&relation.columns));
        match (theirs, meant.as_slice()) {
            (Some(theirs), [entry]) => {
                let ours = &entry.tool;
                let why = match entry.wanted {
                    Some(_) => {
                        format!("the files in dir are {}'s (such as {})", ours.name, ours.example)
                    }
                    None => format!("tool={} is wanted", ours.name),
                };
                format!("{table} is {}'s, but {why}", theirs.name)
            }
            (Some(theirs), [_, _, ..]) => {
                format!(
                    "{table} is {}'s, but none of the files in dir is (such as {})",
                    theirs.name, theirs.example
                )
            }
            _ => format!(
                "{table} has columns that no {} has ({}): name the tool's own by table=, or this one's column by column=",
                meant
                    .first()
                    .filter(|_| meant.len() == 1)
                    .map_or("known tool's", |entry| entry.tool.name),
                relation.columns_shown()
            ),
        }
    }

    fn looked_for(&self, path: &[String]) -> String {
        let tables = match &self.table {
            Some(TableName { schema: Some(schema), table }) => {
                return format!("{}.{}", shown(schema), shown(table));
            }
            Some(TableName { schema: None, table }) => shown(table),
            None => {
                let mut tables: Vec<_> =
                    self.entries.iter().map(|entry| shown(entry.tool.table)).collect();
                tables.dedup();
                match tables.len() {
                    0..=4 => tables.join(", "),
                    _ => format!("the tables of {} tools", self.tools()),
                }
            }
        };
        let fixed = self.entries.iter().filter_map(|entry| match entry.tool.home {
            Home::Only(schema) | Home::Also(schema) => Some(schema.to_owned()),
            Home::SearchPath => None,
        });
        let on_path = self.entries.iter().any(|entry| !matches!(entry.tool.home, Home::Only(_)));
        let mut schemas: Vec<_> = path.iter().filter(|_| on_path).cloned().collect();
        if self.tools() == 1 {
            schemas.extend(fixed);
        }
        schemas.dedup();
        match schemas.is_empty() {
            true => tables,
            false => format!("{tables} in {}", schemas.join(", ")),
        }
    }

    fn tools(&self) -> usize {
        let mut names: Vec<_> = self.entries.iter().map(|entry| entry.tool.name).collect();
        names.sort_unstable();
        names.dedup();
        names.len()
    }

    /// Tables of tools that are not meant.
    fn others(&self, relations: &[Relation], path: &[String]) -> Option<String> {
        if self.table.is_some() {
            return None;
        }
        let theirs = |relation: &Relation| {
            let fits = |tool: &&Tool| {
                tool.table == relation.name
                    && tool.home.has(&relation.schema, path)
                    && tool.shape.fits(&relation.columns)
            };
            let tool = TOOLS.iter().find(fits)?;
            Some(format!("{} ({})", relation.full_name(), tool.name))
        };
        // Where a migrator has a search path of its own, ours does not lead to its table.
        let off_path = |relation: &&Relation| {
            let ours =
                |tool: &Tool| tool.table == relation.name && tool.shape.fits(&relation.columns);
            !path.contains(&relation.schema) && self.entries.iter().any(|entry| ours(&entry.tool))
        };
        if let Some(relation) = relations.iter().find(off_path) {
            let table = relation.full_name();
            return Some(format!(
                "there is {table}, which is not on the search path: if it is the one, say table={table}"
            ));
        }
        let others: Vec<_> = relations.iter().filter_map(theirs).take(3).collect();
        (!others.is_empty())
            .then(|| format!("there is {}, which is not what is asked for", others.join(", ")))
    }
}

/// The table of a lock that is a row, beside the history table `table`.
pub fn lock_table(lock: &Lock, table: &str) -> Option<String> {
    match lock {
        Lock::Row { table: pattern, .. } => Some(pattern.replace("{}", table)),
        Lock::Advisory(_) => None,
    }
}

#[cfg(test)]
#[path = "detect_tests.rs"]
mod tests;
