use std::collections::HashSet;

use regex_lite::Regex;

use super::{
    readers,
    row::State,
    tool::{Files, Lock},
    tools::{TOOLS, names},
};
use crate::{probe::Probe, spec::Spec};

#[test]
fn every_tool_is_well_formed() {
    let mut seen = HashSet::new();
    for tool in TOOLS {
        assert!(!tool.name.is_empty() && !tool.table.is_empty(), "{}", tool.name);
        // A second entry for the same table differs in its columns alone.
        seen.insert(tool.name);
        if tool.refused.is_some() {
            continue;
        }
        assert!(tool.rows.contains("{t}"), "{}: its SELECT names the table", tool.name);
        let states = states_in(tool.rows);
        assert!(states.contains(&State::Applied), "{}: its SELECT has no applied", tool.name);
        let others: HashSet<_> =
            states.into_iter().filter(|state| *state != State::Applied).collect();
        assert_eq!(others, tool.states.iter().copied().collect(), "{}: its states", tool.name);
        for lock in tool.locks {
            if let Lock::Row { holders, .. } = lock {
                assert!(holders.contains("{l}"), "{}", tool.name);
            }
        }
        if let Files::Named { pattern, except, .. } = tool.files {
            let compiled = Regex::new(pattern).unwrap();
            assert_eq!(compiled.captures_len(), 2, "{}: one capture", tool.name);
            Regex::new(except).unwrap();
            let name = if pattern.contains('/') {
                tool.example
            } else {
                tool.example.rsplit('/').next().unwrap()
            };
            assert!(compiled.is_match(name), "{}: {} is no example", tool.name, tool.example);
        }
    }
    assert_eq!(seen.len(), names().len());
}

/// The states that a SELECT returns: its literals behind THEN and ELSE, and the one that is its
/// second column.
fn states_in(sql: &str) -> HashSet<State> {
    let literal = |text: &str| {
        let word = text.trim_start().strip_prefix('\'')?.split('\'').next()?;
        Some(State::read(word).unwrap_or_else(|| panic!("{word} is no state: {sql}")))
    };
    // A CASE makes the second column; elsewhere the second column is a literal.
    let behind = |mark: &str| sql.split(mark).skip(1).filter_map(literal).collect::<Vec<_>>();
    let cases = [behind("THEN "), behind("ELSE ")].concat();
    let columns = sql.split(", '").skip(1).filter_map(|text| {
        let (word, after) = text.split_once('\'')?;
        let is_column = after.starts_with(" FROM") || after.starts_with(", ");
        (is_column && !word.starts_with(['/', '^'])).then(|| literal(&format!("'{word}'")))?
    });
    cases.into_iter().chain(columns).collect()
}

#[test]
fn a_misspelt_state_fails_the_check_of_the_tools() {
    let sql = "SELECT t.version, CASE WHEN t.success THEN 'applied' ELSE 'faild' END FROM {t} t";
    assert!(std::panic::catch_unwind(|| states_in(sql)).is_err());
}

#[test]
fn every_tool_of_the_documentation_is_there() {
    const WANTED: &str = "aerich alembic atlas bun db-migrate dbmate diesel django doctrine \
        drizzle ecto efcore flyway golang-migrate \
        goose gormigrate graphile-migrate knex kysely laravel liquibase mikro-orm node-pg-migrate \
        pgroll phinx postgrator prisma \
        rails refinery sea-orm sequel sequelize sqitch sql-migrate sqlx supabase tern typeorm \
        yoyo";
    assert_eq!(names(), WANTED.split_whitespace().collect::<Vec<_>>());
}

fn refused(keys: &[(&str, &str)]) -> String {
    match built(keys) {
        Ok(_) => panic!("it was built"),
        Err(error) => error,
    }
}

fn built(keys: &[(&str, &str)]) -> Result<Box<dyn Probe>, String> {
    let keys = keys
        .iter()
        .map(|(name, value)| crate::spec::KeyValue {
            name: (*name).to_owned(),
            value: (*value).to_owned(),
            items: value.split('+').map(str::to_owned).collect(),
            at: None,
        })
        .collect();
    let rest = crate::spec::expand::Text::literal("//app@127.0.0.1:5432/app");
    let env = crate::spec::expand::Env::new(|_| None);
    let spec = Spec::new("schema".to_owned(), "migrations+postgres".to_owned(), rest, keys, env);
    (super::postgres::KIND.build)(&spec).map_err(|error| error.to_string())
}

#[test]
fn an_error_states_what_would_be_right() {
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().join("empty");
    let sql = dir.path().join("sql");
    std::fs::create_dir_all(&empty).unwrap();
    std::fs::create_dir_all(&sql).unwrap();
    std::fs::write(sql.join("20240101_a.sql"), "").unwrap();
    let (empty, sql) = (empty.to_str().unwrap(), sql.to_str().unwrap());
    let above = dir.path().to_str().unwrap();
    for (keys, want) in [
        (vec![("tool", "rials")], "schema: tool: unknown tool, did you mean rails?".to_owned()),
        (
            vec![("tool", "bun")],
            "schema: tool: bun cannot be checked: it records a migration before running it, so \
            that a row proves nothing; \
             use postgres: with a query instead"
                .to_owned(),
        ),
        (
            vec![("dir", sql), ("version", "1")],
            "schema: dir and version exclude each other: dir wants every migration in it, version \
            one"
            .to_owned(),
        ),
        (vec![("column", "x")], "schema: column: needs table=, whose column it is".to_owned()),
        (
            vec![("table", "a.b.c")],
            "schema: table: must be TABLE or SCHEMA.TABLE, e.g. app.schema_migrations".to_owned(),
        ),
        (
            vec![("key-pattern", "(x)")],
            "schema: key-pattern: needs dir=, whose files it reads".to_owned(),
        ),
        (
            vec![("version", " ")],
            "schema: version: must be a migration's key in the table".to_owned(),
        ),
        (
            vec![("version", "x"), ("tool", "tern")],
            "schema: version: must be a number with tool=tern, e.g. 42".to_owned(),
        ),
        (
            vec![("dir", empty)],
            format!(
                "schema: dir: {empty} holds no migration of any known tool (for others: table=, \
                column= and key-pattern=)"
            ),
        ),
        (
            vec![("dir", sql), ("tool", "rails")],
            format!(
                "schema: dir: {sql} holds no migration of rails's (such as 20240101120000_name.rb)"
            ),
        ),
        (
            vec![("dir", sql), ("table", "t"), ("column", "c"), ("key-pattern", "x")],
            "schema: key-pattern: must have exactly one (...), around the key, e.g. ^V([0-9]+)__"
                .to_owned(),
        ),
        (
            vec![("dir", sql), ("key-pattern", "(x)")],
            "schema: key-pattern: needs tool=, or table= and column=: it does not name a table"
                .to_owned(),
        ),
        (
            vec![("where", "true")],
            "schema: where: needs table= and column=, whose rows it selects".to_owned(),
        ),
        (
            vec![("table", "t"), ("column", "c"), ("where", " ")],
            "schema: where: must be a condition, e.g. status = 'done'".to_owned(),
        ),
        (
            vec![("table", "t"), ("column", "c"), ("order", "up")],
            "schema: order: must be number, dotted or text".to_owned(),
        ),
        (
            vec![("table", "t"), ("column", "c"), ("order", "dotted"), ("version", "v1")],
            "schema: version: must be numbers between dots with order=dotted, e.g. 1.18".to_owned(),
        ),
        (
            vec![("dir", sql), ("tool", "rails"), ("apps", "shop")],
            "schema: apps: needs tool=django or tool=aerich".to_owned(),
        ),
        (
            vec![("dir", above), ("tool", "dbmate")],
            format!(
                "schema: dir: {above} holds no migration of dbmate's (such as \
                20240101120000_name.sql): \
                 files of dbmate's lie one level below, in sql/"
            ),
        ),
        (
            vec![("dir", empty), ("tool", "dbmate")],
            format!(
                "schema: dir: {empty} holds no migration of dbmate's (such as \
                20240101120000_name.sql)"
            ),
        ),
        (
            vec![("dir", sql), ("tool", "liquibase")],
            format!("schema: dir: {}", readers::liquibase::INSTEAD),
        ),
    ] {
        assert_eq!(refused(&keys), want);
    }
    for keys in [
        vec![],
        vec![("dir", sql)],
        vec![("dir", sql), ("table", "t"), ("column", "c")],
        vec![("tool", "auto")],
    ] {
        built(&keys).map(drop).unwrap();
    }
}
