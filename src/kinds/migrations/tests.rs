use std::collections::HashSet;

use regex_lite::Regex;

use super::{
    row::State,
    tool::{Files, Lock},
    tools::{TOOLS, names},
};

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
