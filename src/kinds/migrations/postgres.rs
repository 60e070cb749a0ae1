//! PostgreSQL as a database of a look: catalogs, advisory locks, and the meaning of errors.

use super::{
    KEYS,
    database::{Answer, Database, Names, Refusal, Relation, Surroundings},
    declaration::{self, Named},
    locks::Held,
    look::Look,
    name::{TableName, quoted, search_path, shown},
    tool::LockKey,
};
use crate::{
    connect::Endpoint,
    kinds::{
        postgres::{DIALECTS, Error, LOGIN_KEYS, Phase, Question, Session, Target, sqlstate},
        rows::Rows,
    },
    probe::{Attempt, AttemptFuture, Cost, Failure, Probe, Verdict},
    sort::sort_by_key,
    spec::{ConfigError, Kind, Spec},
    tls,
};

/// The kind.
pub static KIND: Kind = Kind {
    name: "migrations",
    schemes: &["migrations+postgres", "migrations+postgresql"],
    dialects: &[DIALECTS],
    has_drivers: true,
    prefix: "migrations+",
    usage: "migrations+postgres://[USER[:PASSWORD]@]HOST[:PORT][,...][/DATABASE][?...]",
    summary: "every wanted migration is recorded as applied",
    keys: &[KEYS, LOGIN_KEYS, tls::KEYS],
    build,
    ..Kind::DEFAULT
};

struct Migrations {
    target: Target,
    look: Look,
}

fn build(spec: &Spec) -> Result<Box<dyn Probe>, ConfigError> {
    let target = Target::from_spec(spec)?;
    let named = target.migrations_table();
    let table =
        named.map(|named| TableName { schema: named.schema.clone(), table: named.table.clone() });
    let url = Named { table, schema: target.schema().map(str::to_owned) };
    let look = declaration::read(spec, url, |tool| Some(*tool))?;
    Ok(Box::new(Migrations { target, look }))
}

impl Probe for Migrations {
    fn attempt<'a>(&'a mut self, attempt: &'a Attempt<'a>) -> AttemptFuture<'a> {
        Box::pin(async move {
            match self.look.list(attempt).await {
                Ok(()) => self.target.ask(attempt, &mut self.look).await,
                Err(failure) => Verdict::from(failure),
            }
        })
    }

    fn is_local(&self) -> bool {
        self.target.is_local()
    }

    fn servers(&self) -> Vec<&Endpoint> {
        self.target.endpoints()
    }
}

impl Question for Look {
    fn ask<'a>(
        &'a mut self,
        attempt: &'a Attempt<'a>,
        session: &'a mut Session,
    ) -> AttemptFuture<'a> {
        Box::pin(async move {
            let begun = Postgres::begin(attempt, session, self.has_declared_sql()).await;
            self.verdict(attempt, begun).await
        })
    }
}

/// Every table with a name of `$1`, with the role's rights and its columns. The query needs no
/// right.
///
/// `information_schema` hides tables that a role may not read, and without USAGE on a schema its
/// tables cause 42P01. Neither distinguishes a missing table from a missing right.
const RELATIONS: &str = "SELECT c.oid::text, n.nspname::text, c.relname::text, \
    pg_catalog.has_schema_privilege(n.oid, 'USAGE')::text, \
    pg_catalog.has_any_column_privilege(c.oid, 'SELECT')::text, \
    pg_catalog.string_agg(a.attname::text || ':' || t.typname::text, pg_catalog.chr(10) \
    ORDER BY a.attnum) \
    FROM pg_catalog.pg_class c \
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
    JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') \
    AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND c.relname = ANY ($1::text[]) \
    GROUP BY n.nspname, c.relname, c.oid, n.oid ORDER BY n.nspname, c.relname";

/// Search path, role, database, and whether the server is a standby.
const SURROUNDINGS: &str = "SELECT pg_catalog.current_setting('search_path'), current_user::text, \
    pg_catalog.current_database()::text, pg_catalog.pg_is_in_recovery()::text";

/// Every granted lock that another session holds on this database's advisory keys, and on the
/// tables `$1`.
///
/// Every role may read locks, other users' included. A 64-bit advisory key is split into two halves
/// (manual, 54.13).
const LOCKS: &str = "SELECT l.locktype, ((l.classid::bigint << 32) | l.objid::bigint)::text, \
    l.mode, l.pid::text \
    FROM pg_catalog.pg_locks l WHERE l.granted AND l.pid <> pg_catalog.pg_backend_pid() \
    AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d \
    WHERE d.datname = pg_catalog.current_database()) \
    AND ((l.locktype = 'advisory' AND l.objsubid = 1) \
    OR (l.locktype = 'relation' AND l.relation = ANY ($1::oid[])))";

/// The errors that an invalid condition of the operator causes.
const WRONG_CONDITION: [&str; 6] = [
    sqlstate::SYNTAX_ERROR,
    sqlstate::UNDEFINED_COLUMN,
    sqlstate::DATATYPE_MISMATCH,
    sqlstate::UNDEFINED_FUNCTION,
    sqlstate::CARDINALITY_VIOLATION,
    sqlstate::GROUPING_ERROR,
];
/// The errors of a table or column that is gone.
const GONE: [&str; 3] =
    [sqlstate::UNDEFINED_TABLE, sqlstate::INVALID_SCHEMA_NAME, sqlstate::UNDEFINED_COLUMN];

/// A session in one read-only transaction.
pub(super) struct Postgres<'a> {
    session: &'a mut Session,
    user: String,
    /// The SELECT contains a column or condition of the operator, so its errors are the
    /// declaration's.
    declared_sql: bool,
}

impl<'a> Postgres<'a> {
    /// Begins the transaction.
    ///
    /// Rows that a policy hides would look like missing migrations. With `row_security` off the
    /// server refuses instead.
    pub(super) async fn begin(
        attempt: &Attempt<'_>,
        session: &'a mut Session,
        declared_sql: bool,
    ) -> Result<Self, Failure> {
        let begun = session.read_only(attempt, &["SET LOCAL row_security = off"]).await;
        begun.map_err(|error| session.failure(error, Phase::Command))?;
        Ok(Self { session, user: String::new(), declared_sql })
    }

    async fn query(
        &mut self,
        sql: &str,
        params: &[Option<&str>],
        table: &str,
    ) -> Result<Rows, Failure> {
        match self.session.rows(sql, params).await {
            Ok(rows) => Ok(rows),
            Err(error) => Err(self.refused(error, table)),
        }
    }

    /// Returns the failure for a refusal while `table` is being read.
    fn refused(&self, error: Error, table: &str) -> Failure {
        let Error::Server(refusal) = &error else {
            return self.session.failure(error, Phase::Command);
        };
        let meaning = match refusal.code.as_str() {
            sqlstate::LOCK_NOT_AVAILABLE => Refusal::Locked,
            code if self.declared_sql && WRONG_CONDITION.contains(&code) => Refusal::Condition,
            code if GONE.contains(&code) => Refusal::Gone,
            sqlstate::INSUFFICIENT_PRIVILEGE if refusal.message.contains("row-level security") => {
                let hint = format!(
                    "policies hide rows of {table} from {user}: read it as its owner, or ALTER \
                    ROLE {user} BYPASSRLS",
                    user = shown(&self.user)
                );
                return self.session.failure(error, Phase::Command).hint(hint);
            }
            sqlstate::INSUFFICIENT_PRIVILEGE => Refusal::Denied,
            _ => Refusal::Other,
        };
        let words = refusal.to_string();
        let other = self.session.failure(error, Phase::Command);
        meaning.failure((table, &self.user), words, other)
    }
}

impl Database for Postgres<'_> {
    fn endpoint(&self) -> String {
        self.session.endpoint().to_string()
    }

    fn cost(&self) -> Cost {
        self.session.cost()
    }

    fn surroundings(&mut self) -> Answer<'_, Surroundings> {
        Box::pin(async move {
            let rows = self.query(SURROUNDINGS, &[], "").await?;
            let mut values = rows.values().map(Option::unwrap_or_default);
            let mut next = || values.next().unwrap_or_default().to_owned();
            let (path, user, database, standby) = (next(), next(), next(), next() == "true");
            self.user.clone_from(&user);
            Ok(Surroundings { path: search_path(&path, &user), user, database, standby })
        })
    }

    fn relations<'a>(&'a mut self, names: &'a Names) -> Answer<'a, Vec<Relation>> {
        Box::pin(async move {
            let rows = self.query(RELATIONS, &[Some(&array(&names.tables))], "").await?;
            Ok(rows.iter().filter_map(|row| relation(&row)).collect())
        })
    }

    fn rows<'a>(&'a mut self, sql: &'a str, table: &'a Relation) -> Answer<'a, Rows> {
        Box::pin(async move { self.query(sql, &[], &table.full_name()).await })
    }

    fn locks<'a>(
        &'a mut self,
        tables: &'a [&'a Relation],
        keys: &'a [LockKey],
    ) -> Answer<'a, Vec<Held>> {
        Box::pin(async move {
            let ids: Vec<&str> = tables.iter().map(|table| table.id.as_str()).collect();
            let ids = format!("{{{}}}", ids.join(","));
            Ok(held(&self.query(LOCKS, &[Some(&ids)], "").await?, keys))
        })
    }

    fn quoted(&self, name: &str) -> String {
        quoted(name)
    }
}

/// Names as an array that the server reads.
fn array(names: &[String]) -> String {
    let escaped =
        |name: &String| format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""));
    format!("{{{}}}", names.iter().map(escaped).collect::<Vec<_>>().join(","))
}

/// Reads a row of [`RELATIONS`].
fn relation(row: &[Option<&str>]) -> Option<Relation> {
    let [Some(id), Some(schema), Some(name), Some(usage), Some(select), Some(columns)] = *row
    else {
        return None;
    };
    let column = |line: &str| {
        line.rsplit_once(':').map(|(name, typname)| (name.to_owned(), typname.to_owned()))
    };
    Some(Relation {
        id: id.to_owned(),
        schema: schema.to_owned(),
        name: name.to_owned(),
        reachable: usage == "true",
        readable: select == "true",
        columns: columns.split('\n').filter_map(column).collect(),
    })
}

/// Reads the locks of a migrator with these keys from the answer to [`LOCKS`].
fn held(rows: &Rows, keys: &[LockKey]) -> Vec<Held> {
    let mut held = Vec::new();
    for row in rows.iter() {
        let [Some(kind), key, Some(mode), pid] = row[..] else { continue };
        let key = key.and_then(|key| key.parse().ok()).map(LockKey::Number);
        let pid = pid.map(str::to_owned);
        match kind {
            "advisory" if key.is_some_and(|key| keys.contains(&key)) => {
                held.push(Held::Advisory { pid });
            }
            // Autovacuum holds such a lock too. Only a superuser could distinguish it, and it ends
            // soon.
            "relation" if writes(mode) => {
                held.push(Held::Table { mode: mode.to_owned(), pid });
            }
            _ => {}
        }
    }
    // The tool's own lock proves more than a write does.
    sort_by_key(&mut held, |held| !matches!(held, Held::Advisory { .. }));
    held
}

fn writes(mode: &str) -> bool {
    !matches!(mode, "AccessShareLock" | "RowShareLock" | "SIReadLock")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_is_no_migrator() {
        let row = |values: [&'static str; 4]| values.map(Some);
        let rows = Rows::of(&[
            row(["advisory", "7", "ExclusiveLock", "1"]),
            row(["relation", "0", "AccessShareLock", "3"]),
            row(["relation", "0", "ShareUpdateExclusiveLock", "4"]),
            row(["advisory", "8", "ExclusiveLock", "2"]),
        ]);
        let held: Vec<_> = held(&rows, &[LockKey::Number(8)]).iter().map(Held::to_string).collect();
        assert_eq!(
            held,
            [
                "its advisory lock is held (server process 2)",
                "the table is locked in mode ShareUpdateExclusiveLock (server process 4)",
            ]
        );
    }
}
