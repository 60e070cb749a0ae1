//! MySQL and MariaDB as databases of a look: information_schema, named locks, and the meaning of
//! errors.

use super::{
    KEYS,
    database::{Answer, Database, Names, Refusal, Relation, Surroundings},
    declaration::{self, Named},
    locks::Held,
    look::Look,
    mysql_tools::on_mysql,
    name::{TableName, quoted},
    tool::{LockKey, Tool},
};
use crate::{
    connect::Endpoint,
    kinds::{
        mysql::{DIALECTS, Error, Phase, Question, Session, Target, ask, shown as shown_target},
        options::LOGIN_KEYS,
        rows::Rows,
    },
    probe::{Attempt, AttemptFuture, Cost, Failure, Order, Probe, Start, Verdict},
    spec::{ConfigError, Grammar, Kind, Spec},
    tls,
};

/// The kind.
pub static KIND: Kind = Kind {
    name: "migrations-mysql",
    schemes: &["migrations+mysql", "migrations+mariadb"],
    dialects: &[DIALECTS],
    has_drivers: true,
    prefix: "migrations+",
    grammar: Grammar::Own(shown_target),
    usage: "migrations+mysql://USER[:PASSWORD]@HOST[:PORT][,...]/DATABASE[?...]",
    summary: "every wanted migration is recorded as applied",
    keys: &[KEYS, LOGIN_KEYS, tls::KEYS],
    build,
    ..Kind::DEFAULT
};

struct Migrations {
    target: Target,
    order: Order,
    look: Look,
}

fn build(spec: &Spec) -> Result<Box<dyn Probe>, ConfigError> {
    let target = Target::from_spec(spec)?;
    if target.database().is_none() {
        return Err(spec.error("needs a database, e.g. migrations+mysql://app@db/app"));
    }
    let table = target.migrations_table().map(TableName::read).transpose();
    let table =
        table.map_err(|message| spec.error(format_args!("x-migrations-table: {message}")))?;
    let look = declaration::read(spec, Named { table, schema: None }, on_mysql)?;
    Ok(Box::new(Migrations { target, order: Order::new(Start::First), look }))
}

impl Probe for Migrations {
    fn attempt<'a>(&'a mut self, attempt: &'a Attempt<'a>) -> AttemptFuture<'a> {
        Box::pin(async move {
            match self.look.list(attempt).await {
                Ok(()) => ask(&self.target, &mut self.order, attempt, &mut self.look).await,
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
            let begun = Mysql::begin(attempt, session, self.has_declared_sql()).await;
            self.verdict(attempt, begun).await
        })
    }
}

/// Makes the server accept names in double quotes and `||`, which the table of tools uses.
const STANDARD_SQL: &str = "SET SESSION sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT'";

/// Every column of the tables with these names, in lower case. A user sees only tables to which it
/// has a right.
const RELATIONS: &str = "SELECT table_schema, table_name, column_name, column_type \
    FROM information_schema.columns WHERE table_schema NOT IN \
    ('mysql', 'information_schema', 'performance_schema', 'sys') AND lower(table_name) IN ";

/// Database, user, 1 if the server accepts no writes, as a replica, and 0 if the case of a table's
/// name counts.
const SURROUNDINGS: &str = "SELECT database(), substring_index(current_user(), '@', 1), \
    @@global.read_only, @@global.lower_case_table_names";

/// The error numbers of a lock timeout, of a table or column that is gone, and of a missing right.
const LOCKED: [u16; 2] = [1205, 3572];
const GONE: [u16; 2] = [1146, 1054];
const DENIED: [u16; 2] = [1142, 1143];
/// The errors that an invalid condition of the operator causes.
const WRONG_CONDITION: [u16; 4] = [1054, 1064, 1305, 1630];

/// A read-only session.
pub(super) struct Mysql<'a> {
    session: &'a mut Session,
    user: String,
    /// The server ignores the case of a table's name.
    ignores_case: bool,
    /// The SELECT contains a column or condition of the operator, so its errors are the
    /// declaration's.
    declared_sql: bool,
}

impl<'a> Mysql<'a> {
    /// Makes the session read-only, with standard SQL.
    ///
    /// No transaction is begun: it would keep a lock on the table, and the migrator's ALTER would
    /// wait for it.
    pub(super) async fn begin(
        attempt: &Attempt<'_>,
        session: &'a mut Session,
        declared_sql: bool,
    ) -> Result<Self, Failure> {
        let begun = match session.read_only(attempt).await {
            Ok(()) => session.query(STANDARD_SQL).await.map(drop),
            Err(error) => Err(error),
        };
        begun.map_err(|error| session.failure(error, Phase::Command))?;
        Ok(Self { session, user: String::new(), ignores_case: false, declared_sql })
    }

    async fn query(&mut self, sql: &str, table: &str) -> Result<Rows, Failure> {
        match self.session.query(sql).await {
            Ok(rows) => Ok(rows),
            Err(error) => Err(self.refused(error, table)),
        }
    }

    /// Returns the failure for a refusal while `table` is being read.
    fn refused(&self, error: Error, table: &str) -> Failure {
        let Error::Server(refusal) = &error else {
            return self.session.failure(error, Phase::Command);
        };
        let meaning = match refusal.code {
            code if LOCKED.contains(&code) => Refusal::Locked,
            code if self.declared_sql && WRONG_CONDITION.contains(&code) => Refusal::Condition,
            code if GONE.contains(&code) => Refusal::Gone,
            code if DENIED.contains(&code) => Refusal::Denied,
            _ => Refusal::Other,
        };
        let words = format!("{}: {}", refusal.code, refusal.message);
        let other = self.session.failure(error, Phase::Command);
        meaning.failure((table, &self.user), words, other)
    }
}

impl Database for Mysql<'_> {
    fn endpoint(&self) -> String {
        self.session.endpoint().to_string()
    }

    fn cost(&self) -> Cost {
        Cost::Login
    }

    fn surroundings(&mut self) -> Answer<'_, Surroundings> {
        Box::pin(async move {
            let rows = self.query(SURROUNDINGS, "").await?;
            let mut values = rows.values().map(Option::unwrap_or_default);
            let mut next = || values.next().unwrap_or_default().to_owned();
            let (database, user, standby) = (next(), next(), next() == "1");
            self.user.clone_from(&user);
            self.ignores_case = next() != "0";
            Ok(Surroundings { path: vec![database.clone()], user, database, standby })
        })
    }

    fn relations<'a>(&'a mut self, names: &'a Names) -> Answer<'a, Vec<Relation>> {
        Box::pin(async move {
            let tables = names.tables.iter();
            let list: Vec<_> = tables.map(|name| literal(&name.to_lowercase())).collect();
            let order = "ORDER BY table_schema, table_name, ordinal_position";
            let sql = format!("{RELATIONS} ({}) {order}", list.join(", "));
            let mut found = relations(&self.query(&sql, "").await?);
            for relation in &mut found {
                if self.ignores_case {
                    spell(&mut relation.name, &names.tables);
                }
                for (column, _) in &mut relation.columns {
                    spell(column, &names.columns);
                }
            }
            Ok(found)
        })
    }

    fn rows<'a>(&'a mut self, sql: &'a str, table: &'a Relation) -> Answer<'a, Rows> {
        Box::pin(async move { self.query(sql, &table.full_name()).await })
    }

    /// Named locks only: other locks are visible to administrators alone. A SELECT that waits for
    /// an ALTER fails after a second, which has the same meaning.
    fn locks<'a>(
        &'a mut self,
        _tables: &'a [&'a Relation],
        keys: &'a [LockKey],
    ) -> Answer<'a, Vec<Held>> {
        Box::pin(async move {
            let name = |key: &'a LockKey| match key {
                LockKey::Name(name) => Some(name),
                LockKey::Number(_) => None,
            };
            let names: Vec<&String> = keys.iter().filter_map(name).collect();
            if names.is_empty() {
                return Ok(Vec::new());
            }
            let uses: Vec<_> =
                names.iter().map(|name| format!("IS_USED_LOCK({})", literal(name))).collect();
            let rows = self.query(&format!("SELECT {}", uses.join(", ")), "").await?;
            let pids = rows.values().flatten();
            Ok(pids.map(|pid| Held::Advisory { pid: Some(pid.to_owned()) }).collect())
        })
    }

    fn quoted(&self, name: &str) -> String {
        quoted(name)
    }

    fn remains(&self) -> Option<&'static str> {
        Some("DDL is not transactional here, so half of its changes may remain")
    }

    /// sqlx takes its lock by `GET_LOCK(name, -1)`, which MariaDB answers with NULL and no lock.
    fn hides_migrator(&self, tool: &Tool) -> bool {
        tool.name == "sqlx" && self.session.is_mariadb()
    }
}

/// Returns a text as a quoted literal, with backslashes escaped.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// Gives a name the spelling of the known one, if they differ in case alone. MySQL ignores the case
/// of a column, and Liquibase writes its columns in capitals.
fn spell(name: &mut String, known: &[String]) {
    if let Some(known) = known.iter().find(|known| known.eq_ignore_ascii_case(name)) {
        name.clone_from(known);
    }
}

/// Reads the rows of [`RELATIONS`], one for each column.
fn relations(rows: &Rows) -> Vec<Relation> {
    let mut relations: Vec<Relation> = Vec::new();
    for row in rows.iter() {
        let [Some(schema), Some(name), Some(column), Some(column_type)] = row[..] else {
            continue;
        };
        let column = (column.to_owned(), family(column_type).to_owned());
        match relations.last_mut() {
            Some(last) if (&*last.schema, &*last.name) == (schema, name) => {
                last.columns.push(column)
            }
            _ => relations.push(Relation {
                id: name.to_owned(),
                schema: schema.to_owned(),
                name: name.to_owned(),
                // A row is visible only with a right on the table.
                reachable: true,
                readable: true,
                columns: vec![column],
            }),
        }
    }
    relations
}

/// Returns PostgreSQL's name of a MySQL type, which the table of tools uses.
fn family(column_type: &str) -> &str {
    let word = column_type.split(['(', ' ']).next().unwrap_or(column_type);
    match word {
        "tinyint" if column_type.starts_with("tinyint(1)") => "bool",
        "tinyint" | "smallint" | "mediumint" | "int" | "bigint" => "int8",
        "varchar" | "char" | "tinytext" | "text" | "mediumtext" | "longtext" => "text",
        "datetime" | "timestamp" => "timestamp",
        word => word,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_gathered_by_table_and_typed_by_family() {
        let row = |values: [&'static str; 4]| values.map(Some);
        let rows = Rows::of(&[
            row(["app", "m", "id", "int(10) unsigned"]),
            row(["app", "m", "done", "tinyint(1)"]),
            row(["app", "m", "at", "datetime(6)"]),
            row(["app", "n", "name", "varchar(255)"]),
        ]);
        let found: Vec<_> = relations(&rows)
            .into_iter()
            .map(|relation| {
                (relation.name, relation.columns.into_iter().map(|(_, t)| t).collect::<Vec<_>>())
            })
            .collect();
        assert_eq!(
            found,
            [
                (
                    "m".to_owned(),
                    vec!["int8".to_owned(), "bool".to_owned(), "timestamp".to_owned()]
                ),
                ("n".to_owned(), vec!["text".to_owned()]),
            ]
        );
        assert_eq!(literal(r"a'b\"), r"'a''b\\'");
    }
}
