//! Every fixture with its tool and table, and the verdict of each of the three conditions.

use super::{
    WATCHER, database, directory, files, grant, is_not_ready, is_ready, load, once, server,
};
use crate::support::process::program;
use crate::support::{Afterall, Postgres, secs, wait_until};
use std::process::Command;

/// The expected findings of a fixture.
struct Expected {
    fixture: &'static str,
    /// `(tool, table)` as messages end.
    place: &'static str,
    /// Ready with neither `dir` nor `version`; else the expected message.
    clean: Result<&'static str, &'static str>,
    /// The directory of migrations, and the expected message.
    dir: Option<(&'static str, Result<&'static str, &'static str>)>,
    /// A version that is applied, and one that is not.
    versions: (&'static str, &'static str),
}

const fn ready(
    fixture: &'static str,
    place: &'static str,
    clean: &'static str,
    dir: Option<(&'static str, Result<&'static str, &'static str>)>,
    versions: (&'static str, &'static str),
) -> Expected {
    Expected { fixture, place, clean: Ok(clean), dir, versions }
}

const fn blocked(
    fixture: &'static str,
    place: &'static str,
    clean: &'static str,
    dir: Option<(&'static str, Result<&'static str, &'static str>)>,
    versions: (&'static str, &'static str),
) -> Expected {
    Expected { fixture, place, clean: Err(clean), dir, versions }
}

#[rustfmt::skip]
static EXPECTED: &[Expected] = &[
    ready("rails-6.1", "(rails, public.schema_migrations)", "2 applied, the latest 20240215093000",
        Some(("rails", Err("1 of 3 migrations missing: 20240301000000_slow"))), ("20240215093000", "20240301000000")),
    ready("rails-6.1-complete", "(rails, public.schema_migrations)", "3 applied, the latest 20240301000000",
        Some(("rails", Ok("3 of 3 migrations applied"))), ("20240301000000_slow", "20250101000000")),
    ready("dbmate", "(dbmate, public.schema_migrations)", "2 applied, the latest 20240102120000",
        Some(("dbmate", Err("1 of 3 migrations missing: 20240103120000_slow"))), ("20240102120000", "20240103120000")),
    ready("dbmate-complete", "(dbmate, public.schema_migrations)", "3 applied, the latest 20240103120000",
        Some(("dbmate", Ok("3 of 3 migrations applied"))), ("20240103120000", "2")),
    ready("golang-migrate", "(golang-migrate, public.schema_migrations)", "at 2",
        Some(("golang-migrate", Err("2 of 4 migrations missing: 000003_slow, 000004_bad"))), ("2", "3")),
    ready("golang-migrate-complete", "(golang-migrate, public.schema_migrations)", "at 3",
        Some(("golang-migrate", Err("1 of 4 migrations missing: 000004_bad"))), ("1", "4")),
    ready("sequel-timestamp", "(sequel, public.schema_migrations)", "2 applied, the latest 20240102120000_add_n.rb",
        Some(("sequel-timestamp", Ok("2 of 2 migrations applied"))), ("20240102120000_Add_N.rb", "20240102120000_other.rb")),
    ready("sequel-integer", "(sequel, public.schema_info)", "at 2",
        Some(("sequel-integer", Ok("2 of 2 migrations applied"))), ("1", "3")),
    ready("sqlx", "(sqlx, public._sqlx_migrations)", "2 applied, the latest 20240102120000",
        Some(("sqlx", Err("1 of 3 migrations missing: 20240103120000_slow"))), ("20240102120000", "20240103120000")),
    ready("sqlx-complete", "(sqlx, public._sqlx_migrations)", "3 applied, the latest 20240103120000",
        Some(("sqlx", Ok("3 of 3 migrations applied"))), ("20240103120000", "1")),
    ready("diesel", "(diesel, public.__diesel_schema_migrations)", "3 applied, the latest 202401021200000000",
        Some(("diesel", Err("1 of 4 migrations missing: 2024-01-03-120000_slow"))), ("2024-01-01-120000", "20240103120000")),
    ready("refinery", "(refinery, public.refinery_schema_history)", "3 applied, the latest 3",
        Some(("refinery", Err("1 of 4 migrations missing: V4__slow"))), ("3", "4")),
    ready("refinery-complete", "(refinery, public.refinery_schema_history)", "4 applied, the latest 4",
        Some(("refinery", Ok("4 of 4 migrations applied"))), ("4", "5")),
    ready("sea-orm", "(sea-orm, public.seaql_migrations)", "2 applied, the latest m20240102_000001_b",
        Some(("sea-orm", Ok("2 of 2 migrations applied"))), ("m20240102_000001_b", "m20240103_000001_c")),
    ready("prisma", "(prisma, public._prisma_migrations)", "2 applied, the latest 20240102120000_add",
        Some(("prisma", Err("2 of 4 migrations missing: 20240103120000_slow, 20240104120000_bad"))),
        ("20240102120000_add", "20240103120000_slow")),
    blocked("prisma-inprogress", "(prisma, public._prisma_migrations)", "in progress: begun and not finished: 20240103120000_slow",
        Some(("prisma", Err("in progress: 1 of 4 migrations begun and not finished: 20240103120000_slow"))),
        ("20240102120000_add", "20240103120000_slow")),
    blocked("prisma-failed", "(prisma, public._prisma_migrations)", "FAILED: 20240104120000_bad",
        Some(("prisma", Err("1 of 4 migrations FAILED: 20240104120000_bad"))), ("20240103120000_slow", "20240104120000_bad")),
    ready("drizzle", "(drizzle, drizzle.__drizzle_migrations)", "2 applied, the latest 1795219420669",
        Some(("drizzle", Ok("2 of 2 migrations applied"))), ("1795219420669", "1795219420670")),
    blocked("drizzle-inprogress-empty", "(drizzle, drizzle.__drizzle_migrations)", "no migration is applied yet",
        Some(("drizzle", Err("2 of 2 migrations missing: 0000_first, 0001_second"))), ("", "1795219420669")),
    ready("SYNTHETIC-drizzlev1", "(drizzle, drizzle.__drizzle_migrations)", "1 applied, the latest 1704110400000",
        None, ("20240101120000_first", "20240102120000_second")),
    ready("goose", "(goose, public.goose_db_version)", "2 applied, the latest 20240102120000",
        Some(("goose", Err("1 of 3 migrations missing: 20240103120000_slow"))), ("00001", "20240103120000")),
    ready("alembic", "(alembic, public.alembic_version)", "at ae1027a6acf0",
        Some(("alembic", Err("1 of 3 migrations missing: ffff00000001_slow"))), ("ae1027a6acf0", "1975ea83b712")),
    ready("django", "(django, public.django_migrations)", "20 applied, the latest shop.0002_item_price",
        Some(("django", Err("1 of 3 migrations missing: shop.0003_slow"))), ("shop.0002_item_price", "shop.0003_slow")),
    ready("aerich", "(aerich, public.aerich)", "2 applied, the latest models.1_20261120235808_add_age.py",
        Some(("aerich", Ok("2 of 2 migrations applied"))), ("models.1_20261120235808_add_age", "models.2_x")),
    ready("yoyo", "(yoyo, public._yoyo_migration)", "2 applied, the latest 0002.add",
        Some(("yoyo", Err("1 of 3 migrations missing: 0003.slow"))), ("0002.add", "0003.slow")),
    ready("knex", "(knex, public.knex_migrations)", "2 applied, the latest 20240102120000_add_name",
        Some(("knex", Err("1 of 3 migrations missing: 20240103120000_slow"))), ("20240102120000_add_name.ts", "20240103120000_slow.js")),
    ready("knex-inprogress", "(knex, public.knex_migrations)", "2 applied, the latest 20240102120000_add_name",
        Some(("knex", Err("1 of 3 migrations missing: 20240103120000_slow"))), ("20240102120000_add_name", "20240103120000_slow")),
    ready("knex-complete", "(knex, public.knex_migrations)", "3 applied, the latest 20240103120000_slow",
        Some(("knex", Ok("3 of 3 migrations applied"))), ("20240103120000_slow.js", "x")),
    ready("sequelize", "(sequelize, public.\"SequelizeMeta\")", "1 applied, the latest 20240101120000-create-users",
        Some(("sequelize", Err("1 of 2 migrations missing: 20240102120000-slow"))),
        ("20240101120000-create-users.js", "20240102120000-slow.js")),
    ready("umzug", "(sequelize, public.\"SequelizeMeta\")", "1 applied, the latest 20240101120000-create-users",
        Some(("sequelize", Err("1 of 2 migrations missing: 20240102120000-slow"))),
        ("20240101120000-create-users", "20240102120000-slow")),
    ready("typeorm", "(typeorm, public.migrations)", "2 applied, the latest 1700000100000",
        Some(("typeorm", Err("1 of 3 migrations missing: 1700000200000-Slow"))), ("AddName1700000100000", "1700000200000")),
    ready("typeorm-complete", "(typeorm, public.migrations)", "3 applied, the latest 1700000200000",
        Some(("typeorm", Ok("3 of 3 migrations applied"))), ("1700000200000", "1")),
    ready("db-migrate", "(db-migrate, public.migrations)", "1 applied, the latest 20240101120000-create-a",
        Some(("db-migrate", Ok("1 of 1 migrations applied"))), ("20240101120000-create-a", "20240102120000-b")),
    ready("node-pg-migrate", "(node-pg-migrate, public.pgmigrations)", "2 applied, the latest 1700000100000_add-name",
        Some(("node-pg-migrate", Err("1 of 3 migrations missing: 1700000200000_slow"))),
        ("1700000100000_add-name", "1700000200000_slow")),
    ready("node-pg-migrate-complete", "(node-pg-migrate, public.pgmigrations)", "3 applied, the latest 1700000200000_slow",
        Some(("node-pg-migrate", Ok("3 of 3 migrations applied"))), ("1700000200000_slow.js", "x")),
    ready("graphile-migrate", "(graphile-migrate, graphile_migrate.migrations)", "1 applied, the latest 000001",
        Some(("graphile-migrate", Ok("1 of 1 migrations applied"))), ("000001.sql", "000002.sql")),
    ready("sqitch", "(sqitch, sqitch.changes)", "2 applied, the latest flipr:users",
        Some(("sqitch", Err("2 of 4 migrations missing: slow, bad"))), ("@v1.0", "slow")),
    ready("liquibase", "(liquibase, public.databasechangelog)", "3 applied, the latest 3::bob::changelog.yaml",
        None, ("create-addr::alice", "slow::alice")),
    blocked("liquibase-inprogress", "(liquibase, public.databasechangelog)",
        "locked by vm (fd00:0:0:0:0:0:0:2%eth0) since 2026-11-21 00:10:51.051008, as public.databasechangeloglock says",
        None, ("v1", "slow::alice")),
    ready("kysely", "(kysely, public.kysely_migration)", "2 applied, the latest 20240102_k",
        Some(("kysely", Ok("2 of 2 migrations applied"))), ("20240102_k", "20240103_k")),
    ready("postgrator", "(postgrator, public.schemaversion)", "2 applied, the latest 2",
        Some(("postgrator", Ok("2 of 2 migrations applied"))), ("002", "3")),
    ready("mikro-orm", "(mikro-orm, public.mikro_orm_migrations)", "2 applied, the latest Migration20240101120002",
        Some(("mikro-orm", Ok("2 of 2 migrations applied"))), ("Migration20240101120002.ts", "Migration20240101120003")),
    ready("alembic-branches", "(alembic, public.alembic_version)", "at m1",
        Some(("alembic-branches", Ok("5 of 5 migrations applied"))), ("m1", "a1")),
    ready("django-squashed", "(django, public.django_migrations)", "3 applied, the latest shop.0001_squashed_0002_m",
        Some(("django-squashed", Ok("3 of 3 migrations applied"))), ("shop.0002_m", "shop.0003_x")),
    blocked("SYNTHETIC-atlas", "(atlas, public.atlas_schema_revisions)", "FAILED: 20240102120000", None,
        ("20240101120000", "20240103120000")),
    blocked("SYNTHETIC-flyway", "(flyway, public.flyway_schema_history)", "FAILED: 10", None, ("0.9", "2.1")),
    ready("SYNTHETIC-flyway3", "(flyway, public.schema_version)", "1 applied, the latest 1", None, ("1.0", "1.0.1")),
    ready("SYNTHETIC-efcore", "(efcore, public.\"__EFMigrationsHistory\")", "2 applied, the latest 20240102120000_addb",
        None, ("20240102120000_AddB", "20240103120000_AddC")),
    ready("SYNTHETIC-doctrine", "(doctrine, public.doctrine_migration_versions)", "1 applied, the latest 20240101120000",
        None, ("DoctrineMigrations\\Version20240101120000", "Version20240102120000")),
    ready("SYNTHETIC-phinx", "(phinx, public.phinxlog)", "1 applied, the latest 20240101120000",
        None, ("20240101120000", "20240102120000")),
    ready("SYNTHETIC-sqlmigrate", "(sql-migrate, public.gorp_migrations)", "1 applied, the latest 1_initial.sql",
        None, ("1_initial.sql", "2_more.sql")),
];

#[test]
fn every_fixture_answers_all_three_conditions() {
    let server = server();
    for expected in EXPECTED {
        let database = load(&server, expected.fixture);
        let place = expected.place;
        match expected.clean {
            Ok(detail) => is_ready(
                &server,
                &database,
                "",
                &format!("{detail}, none failed, nobody seen at work {place}"),
            ),
            Err(message) => is_not_ready(&server, &database, "", &format!("{message} {place}")),
        }
        let tool = place.split(',').next().unwrap().trim_start_matches('(');
        // With the tool's name and without, the answers are the same.
        for tool in [String::new(), format!(",tool={tool}")] {
            if let Some((dir, answer)) = expected.dir {
                let keys = format!("dir={}{tool}", files(dir));
                match answer {
                    Ok(detail) => is_ready(&server, &database, &keys, &format!("{detail} {place}")),
                    Err(message) => {
                        is_not_ready(&server, &database, &keys, &format!("{message} {place}"))
                    }
                }
            }
            let (applied, missing) = expected.versions;
            if !applied.is_empty() {
                let done = once(&server, &database, &format!("version={applied}{tool}")).code(0);
                done.stdout_has("  ready  ").stdout_has(place);
            }
            once(&server, &database, &format!("version={missing}{tool}"))
                .code(69)
                .stdout_has(place);
        }
    }
}

#[test]
fn every_fixture_is_expected() {
    let names = std::fs::read_dir(super::fixtures())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> =
        names.filter_map(|name| name.strip_suffix(".sql").map(str::to_owned)).collect();
    // These are in tests of their own.
    const ELSEWHERE: [&str; 4] = [
        "SYNTHETIC-bun",
        "SYNTHETIC-gormigrate",
        "golang-migrate-dirty",
        "golang-migrate-inprogress",
    ];
    names.retain(|name| !ELSEWHERE.contains(&name.as_str()));
    let mut expected: Vec<_> =
        EXPECTED.iter().map(|expected| expected.fixture.to_owned()).collect();
    names.sort();
    expected.sort();
    assert_eq!(names, expected);
}

/// Everything that is in the database, without what pg_dump makes up for each dump.
fn dump(server: &Postgres, database: &str) -> String {
    let mut command = Command::new(program("pg_dump", "postgresql-client"));
    command.args([
        "-h",
        &server.socket_dir(),
        "-p",
        &server.port().to_string(),
        "-U",
        "postgres",
        "-d",
        database,
    ]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .filter(|line| !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict"))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn a_database_is_never_changed() {
    let server = server();
    server.psql("create role owner login superuser");
    database(&server, "nothing");
    let mut databases = vec!["nothing".to_owned()];
    for fixture in [
        "sequel-timestamp",
        "golang-migrate-dirty",
        "sqitch",
        "knex",
        "liquibase-inprogress",
        "drizzle-inprogress-empty",
    ] {
        databases.push(load(&server, fixture));
    }
    for database in databases {
        let before = dump(&server, &database);
        let writes = |server: &Postgres| {
            let sum = "select coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0) from pg_stat_all_tables where schemaname !~ '^pg_'";
            server.psql_in(&database, sum)
        };
        let written = writes(&server);
        for keys in [
            "",
            "#version=1",
            "#tool=rails,version=1",
            "#tool=golang-migrate,version=1",
            "#tool=sequel,version=1",
        ] {
            let url = format!("migrations+{}{keys}", server.url("owner", "", &database));
            let _ = Afterall::once().arg(url).run().any_stdout().any_stderr().status();
        }
        assert_eq!(dump(&server, &database), before, "{database}");
        assert_eq!(writes(&server), written, "{database}");
    }
    wait_until("no session stays behind", secs(20), || {
        server.psql("select count(*) from pg_stat_activity where usename = 'owner'") == "0"
    });
}

#[test]
fn a_failed_migration_is_reported_and_retried() {
    let server = server();
    let dirty = load(&server, "golang-migrate-dirty");
    let place = "(golang-migrate, public.schema_migrations) [class=failed]";
    for keys in [String::new(), "version=1".to_owned(), format!("dir={}", files("golang-migrate"))]
    {
        is_not_ready(&server, &dirty, &keys, &format!("FAILED: 4 is dirty {place}"));
    }
    let failed = load(&server, "prisma-failed");
    let keys = format!("dir={},fail-fast=failed", files("prisma"));
    let done = Afterall::waiting_for([super::url(&server, &failed, &keys)]).run();
    done.code(69).stderr_has(
        "1 of 4 migrations FAILED: 20240104120000_bad (prisma, public._prisma_migrations)",
    );
}

#[test]
fn a_failed_sqitch_change_stays_failed_until_deployed() {
    let server = server();
    let sqitch = load(&server, "sqitch");
    let event = |event: &str| {
        let columns = "event, change_id, change, project, committer_name, committer_email, planned_at, planner_name, planner_email";
        server.psql_in(
            &sqitch,
            &format!("insert into sqitch.events({columns}) values ('{event}', 'c3', 'slow', 'flipr', 't', 't', now(), 't', 't')"),
        );
    };
    event("fail");
    let keys = format!("dir={}", files("sqitch"));
    is_not_ready(
        &server,
        &sqitch,
        &keys,
        "1 of 4 migrations FAILED: slow (sqitch, sqitch.changes) [class=failed]",
    );
    is_not_ready(
        &server,
        &sqitch,
        "",
        "FAILED: flipr:slow (sqitch, sqitch.changes) [class=failed]",
    );
    event("deploy");
    is_not_ready(
        &server,
        &sqitch,
        &keys,
        "2 of 4 migrations missing: slow, bad (sqitch, sqitch.changes)",
    );
    server.psql_in(&sqitch, &format!("revoke select on sqitch.events from {WATCHER}"));
    let said = "watcher may not read sqitch.changes: GRANT SELECT ON sqitch.events TO watcher;";
    is_not_ready(&server, &sqitch, &keys, said);
}

#[test]
fn flyways_baseline_includes_what_comes_before_it() {
    let server = server();
    let flyway = load(&server, "SYNTHETIC-flyway");
    let mut scripts = vec![
        "V0_9__old.sql",
        "V1__base.sql",
        "V1_2__add_b.sql",
        "V2__java_one.sql",
        "R__views.sql",
        "U2__undo.sql",
    ];
    let dir = directory(&scripts);
    let place = "(flyway, public.flyway_schema_history)";
    let said = format!("5 of 5 migrations applied {place}; not wanted and failed: 10");
    is_ready(&server, &flyway, &format!("dir={}", dir.path().display()), &said);
    scripts.push("V10__conc.sql");
    let dir = directory(&scripts);
    is_not_ready(
        &server,
        &flyway,
        &format!("dir={}", dir.path().display()),
        &format!("1 of 6 migrations FAILED: V10__conc {place}"),
    );
    scripts.pop();
    scripts.extend(["R__procedures.sql", "V1_10__later.sql"]);
    let dir = directory(&scripts);
    let said = format!("2 of 7 migrations missing: V1_10__later, R__procedures {place}");
    is_not_ready(&server, &flyway, &format!("dir={}", dir.path().display()), &said);
}

#[test]
fn unsound_tools_are_refused_with_the_reason() {
    let server = server();
    let bun = load(&server, "SYNTHETIC-bun");
    is_not_ready(
        &server,
        &bun,
        "",
        "public.bun_migrations is bun's: it records a migration before running it",
    );
    let gormigrate = load(&server, "SYNTHETIC-gormigrate");
    let done = Afterall::waiting_for([super::url(&server, &gormigrate, "")]).run();
    done.code(69)
        .stderr_has("public.migrations is gormigrate's")
        .stderr_has("(after one more look)");
    let done = once(&server, &bun, "tool=bun").code(64);
    done.stderr_has("bun cannot be checked: it records a migration before running it");
}

#[test]
fn alembic_knows_what_a_head_stands_for_where_the_files_are_given() {
    let server = server();
    let alembic = load(&server, "alembic");
    let keys = format!("tool=alembic,dir={},version=1975ea83b712", files("alembic"));
    is_ready(&server, &alembic, &keys, "1975ea83b712 is applied (alembic, public.alembic_version)");
    server.psql_in(&alembic, "update alembic_version set version_num = 'cccc00000001'");
    is_ready(
        &server,
        &alembic,
        &format!("dir={}", files("alembic")),
        "3 of 3 migrations applied (alembic, public.alembic_version); the database is at cccc00000001, \
         which this directory does not know: ahead of it",
    );
}

#[test]
fn tools_without_a_fixture_are_detected_too() {
    let server = server();
    for (name, ddl, version, place) in [
        (
            "ecto",
            "create table schema_migrations(version bigint primary key, inserted_at timestamp(0)); \
             insert into schema_migrations values (20240101, now())",
            "20240101",
            "(ecto, public.schema_migrations)",
        ),
        (
            "supabase",
            "create schema supabase_migrations; create table supabase_migrations.schema_migrations(version text primary key, \
             statements text[], name text); insert into supabase_migrations.schema_migrations values ('20240101', '{}', 'a')",
            "20240101",
            "(supabase, supabase_migrations.schema_migrations)",
        ),
        (
            "tern",
            "create table schema_version(version int4 primary key); insert into schema_version values (3)",
            "2",
            "(tern, public.schema_version)",
        ),
        (
            "laravel",
            "create table migrations(id serial primary key, migration varchar(255), batch int); \
             insert into migrations(migration, batch) values ('2024_01_01_000000_a', 1)",
            "2024_01_01_000000_a",
            "(laravel, public.migrations)",
        ),
        (
            "pgroll",
            "create schema pgroll; create table pgroll.migrations(schema name, name text, migration jsonb, created_at timestamp, \
             updated_at timestamp, parent text, done bool, resulting_schema jsonb); \
             insert into pgroll.migrations values ('public', '01_a', '{}', now(), now(), null, true, '{}')",
            "01_a",
            "(pgroll, pgroll.migrations)",
        ),
    ] {
        database(&server, name);
        server.psql_in(name, ddl);
        grant(&server, name);
        is_ready(
            &server,
            name,
            &format!("version={version}"),
            &match name {
                "tern" => format!("at 3, at least 2 is wanted {place}"),
                _ => format!("{version} is applied {place}"),
            },
        );
        once(&server, name, "").code(0).stdout_has(place);
    }
}
