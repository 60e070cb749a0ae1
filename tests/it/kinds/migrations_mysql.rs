//! `migrations+mysql:` against a real MariaDB with the tables that the real tools left there.

mod live;
mod tables;
mod tools;

use crate::support::{Afterall, MariaDb, look::once};
use live::Gate;
use std::path::Path;

fn fixtures() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/migrations/mysql")
}

/// Fixture, the key of the condition (`@` is the fixtures' directory), class or `ready`, words.
const CASES: &[(&str, &str, &str, &str)] = &[
    ("rails-6.1", "dir=@/dirs/rails", "ready", "rails"),
    ("sequel-timestamp", "dir=@/dirs/sequel-timestamp", "ready", "sequel"),
    ("sequel-integer", "dir=@/dirs/sequel-integer", "ready", "sequel"),
    ("django", "dir=@/dirs/django", "ready", "django"),
    ("dbmate", "dir=@/dirs/dbmate", "ready", "dbmate"),
    ("yoyo", "dir=@/dirs/yoyo", "ready", "yoyo"),
    ("knex", "dir=@/dirs/knex", "ready", "knex"),
    ("sequelize", "dir=@/dirs/sequelize", "ready", "sequelize"),
    ("typeorm", "dir=@/dirs/typeorm", "ready", "typeorm"),
    ("db-migrate", "dir=@/dirs/db-migrate", "ready", "db-migrate"),
    ("drizzle", "dir=@/dirs/drizzle", "ready", "drizzle"),
    ("mikro-orm", "dir=@/dirs/mikro-orm", "ready", "mikro-orm"),
    ("sqlx", "dir=@/dirs/sqlx", "ready", "sqlx"),
    ("kysely", "version=2024-01-02-b", "ready", "kysely"),
    ("alembic", "version=aaaa00000002", "ready", "alembic"),
    ("alembic", "dir=@/dirs/alembic", "absent", "aaaa00000003"),
    ("sqlx-failed", "dir=@/dirs/sqlx-failed", "absent", "still at work, or FAILED"),
    ("sqlx-failed", "tool=sqlx", "absent", "half of its changes may remain"),
    ("knex-stalelock", "tool=knex", "absent", "knex_migrations_lock"),
    ("liquibase", "version=v9", "ready", "liquibase"),
    ("liquibase", "version=2::bob", "absent", "not applied"),
    ("liquibase", "tool=liquibase", "ready", "2 applied"),
    ("rails-6.1", "version=20250101000000", "absent", ""),
];

#[test]
fn the_tables_of_the_real_tools_are_read_and_not_changed() {
    let server = MariaDb::started(&[]);
    server
        .sql("create user app identified by 's3cr3t'; create user stranger identified by 's3cr3t'");
    let database = |fixture: &str| fixture.replace(['-', '.'], "_");
    let mut loaded = Vec::new();
    for (fixture, ..) in CASES {
        if loaded.contains(fixture) {
            continue;
        }
        loaded.push(fixture);
        let name = database(fixture);
        server.sql(&format!("create database {name}; grant select on {name}.* to app"));
        let dump = std::fs::read_to_string(fixtures().join(format!("{fixture}.sql"))).unwrap();
        server.sql_in(&name, &dump);
    }
    server.sql("grant create temporary tables on rails_6_1.* to stranger");
    let names: Vec<_> = loaded.iter().map(|fixture| database(fixture)).collect();
    let before = server.dump(&names);
    let url = |user: &str, fixture: &str, key: &str| {
        let key = key.replace('@', fixtures().to_str().unwrap());
        let (at, name) = (server.address(), database(fixture));
        format!("schema=migrations+mysql://{user}:s3cr3t@{at}/{name}#{key}")
    };
    for (fixture, key, class, says) in CASES {
        let done = Afterall::once().arg(url("app", fixture, key)).run();
        let code = done.status().code();
        let said = done.any_stderr();
        let said = said.stdout_text();
        let as_expected = match *class {
            "ready" => code == Some(0),
            class => code == Some(69) && said.contains(&format!("[class={class}]")),
        };
        assert!(
            as_expected && said.contains(says),
            "{fixture}#{key}: expected {class}: {says}\n{said}"
        );
    }
    // The database of the URL is another one.
    for (key, code, says) in [
        ("tool=rails,table=rails_6_1.schema_migrations,dir=@/dirs/rails", 0, "rails"),
        ("table=rails_6_1.schema_migrations,column=version,version=20240101120000", 0, "ready"),
        ("tool=rails,table=rails_6_1.schema_migrations,version=20250101000000", 69, "absent"),
        ("tool=rails,table=none.schema_migrations,dir=@/dirs/rails", 69, "none.schema_migrations"),
        ("tool=rails,dir=@/dirs/rails", 69, "class=absent"),
    ] {
        let done = Afterall::once().arg(url("app", "knex", key)).run();
        done.code(code).stdout_has(says);
    }
    // A user without a right sees no table.
    let done = Afterall::once().arg(url("stranger", "rails-6.1", "tool=rails")).run();
    done.code(69).stdout_has("[class=");
    assert_eq!(server.dump(&names), before, "nothing was written");
}

/// Without `dir` and `version`, the named lock that the tool takes is the sign of its work. The
/// names are those of the tools' own code, worked out by the server.
#[test]
fn a_migrator_is_seen_by_its_named_lock() {
    let server = MariaDb::started(&[]);
    server.sql("create user app identified by 's3cr3t'; grant select on *.* to app");
    for (tool, tables, lock) in [
        (
            "rails",
            "create table schema_migrations (version varchar(255)); create table \
            ar_internal_metadata (`key` varchar(255), value varchar(255), created_at datetime, \
            updated_at datetime); insert into schema_migrations values ('20240101120000')",
            "2053462845 * crc32(database())",
        ),
        (
            "kysely",
            "create table kysely_migration (name varchar(255), timestamp varchar(255)); create \
            table kysely_migration_lock (id varchar(255), is_locked int); insert into \
            kysely_migration values ('a', '2024-01-01T00:00:00Z')",
            "'ea586330-2c93-47c8-908d-981d9d270f9d'",
        ),
        (
            "golang-migrate",
            "create table schema_migrations (version bigint, dirty boolean); insert into \
            schema_migrations values (2, 1)",
            "crc32(concat(database(), ':schema_migrations')) * 1486364155 % 4294967296",
        ),
    ] {
        let database = tool.replace('-', "_");
        server.sql(&format!("create database {database}"));
        server.sql_in(&database, tables);
        let (at, has_failed) = (server.address(), tool == "golang-migrate");
        let url = format!("migrations+mysql://app:s3cr3t@{at}/{database}#tool={tool}");
        let done = once(&url).code(if has_failed { 69 } else { 0 });
        if has_failed {
            done.stdout_has("[class=failed]").stdout_has("half of its changes may remain");
        } else {
            done.stdout_has("nobody seen at work");
        }
        let name = server.sql_in(&database, &format!("select {lock}"));
        let gate = Gate::closed(&server, &name);
        once(&url).code(69).stdout_has("in progress").stdout_has("[class=absent]");
        drop(gate);
        once(&url).code(if has_failed { 69 } else { 0 }).any_stdout();
    }
}

#[test]
fn tables_are_found_whatever_the_case_of_their_names_and_columns() {
    // The server makes all names of tables lower-case.
    let server = MariaDb::started(&["--lower-case-table-names=1"]);
    server.sql("create user app identified by 's3cr3t'; grant select on *.* to app");
    for (name, tables, key) in [
        (
            "liquibase",
            "create table DATABASECHANGELOG (ID varchar(255), AUTHOR varchar(255), FILENAME \
            varchar(255), ORDEREXECUTED int, EXECTYPE varchar(10), TAG varchar(255)); \
            create table DATABASECHANGELOGLOCK (ID int, LOCKED bit, LOCKGRANTED datetime, LOCKEDBY \
            varchar(255)); \
            insert into DATABASECHANGELOG values ('1', 'bob', 'c.sql', 1, 'EXECUTED', null); \
            insert into DATABASECHANGELOGLOCK values (1, 0, null, null)",
            "tool=liquibase",
        ),
        (
            "sequelize",
            "create table SequelizeMeta (name varchar(255)); \
            insert into SequelizeMeta values ('1-a.js')",
            "version=1-a.js",
        ),
        (
            "aerich",
            "create table aerich (id int, version varchar(255), app varchar(100), content json); \
            insert into aerich values (1, '0_a.py', 'models', '{}')",
            "version=models.0_a",
        ),
        (
            "own",
            "create table Changes (Name varchar(255)); insert into Changes values ('a')",
            "table=Changes,column=NAME,version=a",
        ),
    ] {
        server.sql(&format!("create database {name}"));
        server.sql_in(name, tables);
        let at = server.address();
        let url = format!("migrations+mysql://app:s3cr3t@{at}/{name}#{key}");
        Afterall::new().args(["--once", &url]).run().code(0).stdout_has("ready");
    }
    server.sql_in("liquibase", "update DATABASECHANGELOGLOCK set LOCKED = 1, LOCKEDBY = 'me'");
    let url = format!("migrations+mysql://app:s3cr3t@{}/liquibase", server.address());
    Afterall::new().args(["--once", &url]).run().code(69).stdout_has("locked by me");
}
