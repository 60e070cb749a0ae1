//! Reads the rows of a history table and of lock tables, and checks the right to read them.

use super::Look;
use crate::{
    kinds::migrations::{
        database::{Database, Relation},
        detect::lock_table,
        locks::Held,
        name::shown,
        row::{Row, State},
        tool::{Lock, Tool},
    },
    probe::{Class, Failure},
};

impl Look {
    /// The tool's SELECT with its names in place; every name is quoted.
    pub(super) fn rows_of(&self, database: &dyn Database, tool: &Tool, table: &Relation) -> String {
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
}

/// The rows of a history table.
pub(super) async fn history(
    database: &mut dyn Database,
    tool: &Tool,
    table: &Relation,
    sql: &str,
) -> Result<Vec<Row>, Failure> {
    let mut rows = Vec::new();
    for row in database.rows(sql, table).await?.iter() {
        let row = read_row(&row).map_err(|state| {
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
fn read_row(row: &[Option<&str>]) -> Result<Row, String> {
    let mut values = row.iter().copied();
    // A row whose key is NULL names no migration, but its state counts.
    let key = values.next().flatten().unwrap_or("NULL").to_owned();
    let word = values.next().flatten().unwrap_or_default();
    let state = State::read(word).ok_or(word)?;
    // Several names in one column are on lines of their own.
    let aliases = values.flatten().flat_map(str::lines).map(str::to_owned).collect();
    Ok(Row { key, state, aliases })
}

/// The rows of the tool's lock tables.
pub(super) async fn lock_rows(
    database: &mut dyn Database,
    tables: &[(&'static Lock, &Relation)],
) -> Result<Vec<Held>, Failure> {
    let mut held = Vec::new();
    for (lock, table) in tables.iter().filter(|(_, table)| table.readable && table.reachable) {
        let Lock::Row { holders, release, .. } = *lock else { continue };
        let sql = holders.replace("{l}", &database.quoted_table(table));
        for holder in database.rows(&sql, table).await?.values().flatten() {
            held.push(Held::Row { holder: holder.to_owned(), table: table.full_name(), release });
        }
    }
    Ok(held)
}

/// Fails with the statements that give the missing rights.
pub(super) fn check_rights(
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

pub(super) fn beside<'a>(
    table: &Relation,
    relations: &'a [Relation],
    wanted: impl Fn(&str) -> bool,
) -> impl Iterator<Item = &'a Relation> {
    relations.iter().filter(move |other| other.schema == table.schema && wanted(&other.name))
}

/// The tool's lock tables that are there.
pub(super) fn lock_tables<'a>(
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
