//! `migrations+postgres:` against a real PostgreSQL: tables that real tools wrote, and real tools
//! at work.

mod fixtures;
mod layouts;
mod live;
mod locks;
mod tables;
mod waiting;

use crate::support::{Afterall, Dir, Done, Postgres};
use std::path::{Path, PathBuf};

/// The asking role: it may log in and read granted tables, and nothing else.
const WATCHER: &str = "watcher";

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/migrations")
}

/// The directory of migrations that a fixture came from.
fn files(of: &str) -> String {
    fixtures().join("dirs").join(of).to_str().unwrap().to_owned()
}

/// A server with the role that asks.
fn server() -> Postgres {
    let server = Postgres::started();
    server.psql(&format!("create role {WATCHER} login"));
    server
}

/// A database of its own for a fixture, in which the watcher may read.
fn load(server: &Postgres, fixture: &str) -> String {
    let database = fixture.to_lowercase();
    server.psql(&format!("create database \"{database}\""));
    let text = std::fs::read_to_string(fixtures().join(format!("{fixture}.sql"))).unwrap();
    server.psql_in(&database, &text);
    grant(server, &database);
    database
}

/// Lets the watcher read everything that is there.
fn grant(server: &Postgres, database: &str) {
    let grants = format!(
        "do $$ declare s name; begin
            for s in select nspname from pg_namespace where nspname !~ '^pg_' and nspname <> \
            'information_schema' loop
                execute format('grant usage on schema %I to {WATCHER}', s);
                execute format('grant select on all tables in schema %I to {WATCHER}', s);
            end loop;
        end $$"
    );
    server.psql_in(database, &grants);
}

/// A new database, in which the watcher may read whatever the superuser makes.
fn database(server: &Postgres, name: &str) {
    server.psql(&format!("create database \"{name}\""));
    server.psql_in(name, &format!("alter default privileges grant select on tables to {WATCHER}"));
}

/// The dependency, as the watcher asks for it.
fn url(server: &Postgres, database: &str, keys: &str) -> String {
    let keys = if keys.is_empty() { String::new() } else { format!("#{keys}") };
    format!("schema=migrations+{}{keys}", server.url(WATCHER, "", database))
}

/// One attempt: its line of the table.
fn once(server: &Postgres, database: &str, keys: &str) -> Done {
    Afterall::once().arg(url(server, database, keys)).run()
}

#[track_caller]
fn is_ready(server: &Postgres, database: &str, keys: &str, detail: &str) {
    once(server, database, keys).code(0).stdout_has(&format!("  {detail}\n"));
}

#[track_caller]
fn is_not_ready(server: &Postgres, database: &str, keys: &str, message: &str) {
    once(server, database, keys).code(69).stdout_has(&format!("  {message}"));
}

/// A directory with these files, all empty.
fn directory(files: &[&str]) -> Dir {
    let dir = Dir::new();
    for file in files {
        dir.write(file, "");
    }
    dir
}
