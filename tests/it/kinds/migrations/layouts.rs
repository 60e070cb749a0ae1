//! Directories and tables as projects have them, each with the verdict that the tool itself gives.

use super::{WATCHER, database, server};
use crate::support::{Afterall, Dir};

/// The expected verdict.
enum Verdict {
    /// Exit code 0.
    Ready,
    /// Exit code 69: missing, or a question to the operator.
    NotReady,
}
use Verdict::{NotReady, Ready};

struct Layout {
    name: &'static str,
    /// Paths and contents below the directory.
    files: &'static [(&'static str, &'static str)],
    /// Keys of the dependency; `{}` is the directory.
    keys: &'static str,
    /// Further parameters of the URL.
    query: &'static str,
    verdict: Verdict,
    /// The text that the line must contain.
    text: &'static str,
}

const ALEMBIC: &str =
    "create table alembic_version(version_num varchar(32)); insert into alembic_version values ";
const DJANGO: &str = "create table django_migrations(id serial, app varchar, name varchar, \
    applied timestamptz default now()); insert into django_migrations(app, name) values ";
const TYPEORM: &str = "create table migrations(id serial, \"timestamp\" bigint, name varchar); \
    insert into migrations(timestamp, name) values ";
const EFCORE: &str = "create table \"__EFMigrationsHistory\"(\"MigrationId\" varchar(150), \
    \"ProductVersion\" varchar(32)); insert into \"__EFMigrationsHistory\" values ";
const NODE_PG: &str = "(id serial, name varchar(255), run_on timestamp)";
const FLYWAY: &str = "create table flyway_schema_history(installed_rank int, version varchar, \
    type varchar, script varchar, success bool)";
const SQITCH: &str = "create schema sqitch; create table sqitch.changes(change_id text, \
    change text, project text, committed_at timestamptz); \
    create table sqitch.tags(tag text, change_id text); create table sqitch.events(event text, \
    change_id text, change text, project text, committed_at timestamptz)";
const ATLAS: &str = "create schema atlas_schema_revisions; \
    create table atlas_schema_revisions.atlas_schema_revisions(version varchar, type bigint, \
    applied bigint, total bigint, error text); \
    insert into atlas_schema_revisions.atlas_schema_revisions values ";
const CLASS: &str = "class Migration(migrations.Migration):\n    pass\n";
const NESTED: &[(&str, &str)] = &[
    ("a_base.py", "revision = 'a'\ndown_revision = None\n"),
    ("y2024/b.py", "revision = 'b'\ndown_revision = 'a'\n"),
    ("y2025/c.py", "revision = 'c'\ndown_revision = 'b'\n"),
];

/// A layout without its database, which the tests state beside it.
fn layout(
    name: &'static str,
    files: &'static [(&'static str, &'static str)],
    keys: &'static str,
    query: &'static str,
    verdict: Verdict,
    text: &'static str,
) -> Layout {
    Layout { name, files, keys, query, verdict, text }
}

/// Asks for each layout in a database of its own.
#[track_caller]
fn have_the_verdict_of_the_tool(layouts: impl IntoIterator<Item = (Layout, String)>) {
    let server = server();
    for (place, (layout, sql)) in layouts.into_iter().enumerate() {
        let name = format!("layout_{place}");
        database(&server, &name);
        server.psql_in(&name, &sql);
        super::grant(&server, &name);
        let dir = Dir::new();
        for (path, text) in layout.files {
            dir.write(path, text);
        }
        let keys = layout.keys.replace("{}", &dir.path().display().to_string());
        let mut url = server.url(WATCHER, "", &name);
        if !layout.query.is_empty() {
            let separator = if url.contains('?') { "&" } else { "?" };
            url = format!("{url}{separator}{}", layout.query.trim_start_matches('&'));
        }
        let done = Afterall::once().arg(format!("m=migrations+{url}#{keys}")).run();
        let done = done.any_stdout().any_stderr();
        let code = match layout.verdict {
            Ready => 0,
            NotReady => 69,
        };
        let shown = done.stdout_text();
        assert!(
            done.status().code() == Some(code) && shown.contains(layout.text),
            "{}: wanted {code} and {:?}: {shown}",
            layout.name,
            layout.text
        );
    }
}

#[test]
#[rustfmt::skip]
fn alembics_revisions_are_followed() {
    have_the_verdict_of_the_tool([
        (layout("nested revisions, at the base", NESTED, "dir={}", "", NotReady, "2 of 3 migrations missing: b, c"),
            format!("{ALEMBIC} ('a')")),
        (layout("nested revisions, at the head", NESTED, "dir={}", "", Ready, "3 of 3 migrations applied (alembic, "),
            format!("{ALEMBIC} ('c')")),
        (layout("an archive that no chain ties to the rest",
            &[("new.py", "revision = 'new'\ndown_revision = None"), ("archive/old.py", "revision = 'old'\ndown_revision = None")],
            "dir={}", "", Ready, "1 of 1 migrations applied"),
            format!("{ALEMBIC} ('new')")),
        (layout("a head in the archive is not a later release's",
            &[("new.py", "revision = 'new'\ndown_revision = None"), ("archive/old.py", "revision = 'old'\ndown_revision = None")],
            "dir={}", "", NotReady, "1 of 1 migrations missing: new"),
            format!("{ALEMBIC} ('old')")),
        (layout("strings that look like assignments",
            &[("a.py", "revision = u'a'; down_revision = None\n"),
              ("b.py", "\"\"\"Follows\nrevision = 'x'\n\"\"\"\nrevision = (r'''b''')\ndown_revision = 'a',\n"),
              ("c.py", "# -*- coding: latin-1 -*-\nfrom typing import Union\nrevision: str = 'c'\ndown_revision: Union[str, None] = \\\n  'b'\n")],
            "dir={}", "", NotReady, "1 of 3 migrations missing: c"),
            format!("{ALEMBIC} ('b')")),
        (layout("a head that no file has, beside one that is behind",
            &[("a.py", "revision = 'a'\ndown_revision = None"), ("e.py", "revision = 'e'\ndown_revision = 'a'"),
              ("c.py", "revision = 'c'\ndown_revision = 'a'"), ("d.py", "revision = 'd'\ndown_revision = 'c'")],
            "dir={}", "", NotReady, "1 of 4 migrations missing: d"),
            format!("{ALEMBIC} ('later'), ('c')")),
        (layout("a head that no file has, beside one that is at its end",
            &[("a.py", "revision = 'a'\ndown_revision = None"), ("e.py", "revision = 'e'\ndown_revision = 'a'"),
              ("c.py", "revision = 'c'\ndown_revision = 'a'")],
            "dir={}", "", Ready, "the database is at later, which this directory does not know"),
            format!("{ALEMBIC} ('later'), ('c')")),
    ]);
}

#[test]
#[rustfmt::skip]
fn djangos_applications_are_told_apart() {
    have_the_verdict_of_the_tool([
        (layout("a squashed migration that names its predecessors by a variable",
            &[("shop/migrations/0001_s.py", "OLD = [('shop', 'a')]\nclass Migration(m.Migration):\n    replaces = OLD\n")],
            "dir={}", "", NotReady, "1 of 1 migrations missing: shop.0001_s"),
            format!("{DJANGO} ('shop', '0001_s')")),
        (layout("an application with a label, one of the tests, and a module that is not a migration",
            &[("core/apps.py", "class C(AppConfig):\n    label = 'acme_core'\n    name = 'acme.core'\n"),
              ("core/migrations/0001_initial.py", CLASS), ("core/migrations/helper.py", "def helper(): pass\n"),
              ("core/tests/dummy/migrations/0001_initial.py", CLASS)],
            "dir={}", "", Ready, "1 of 1 migrations applied (django, "),
            format!("{DJANGO} ('acme_core', '0001_initial')")),
        (layout("the applications that the operator names",
            &[("a/migrations/0001_initial.py", CLASS), ("b/migrations/0001_initial.py", CLASS)],
            "dir={},apps=a", "", Ready, "1 of 1 migrations applied (django, "),
            format!("{DJANGO} ('a', '0001_initial')")),
        (layout("a squashed migration without those that it replaces",
            &[("shop/migrations/0001_squashed.py", "class Migration(m.Migration):\n    replaces = [('shop', '0001_a'), ('shop', '0002_b')]\n")],
            "dir={}", "", NotReady, "1 of 1 migrations missing: shop.0001_squashed"),
            format!("{DJANGO} ('shop', '0001_squashed'), ('shop', '0001_a')")),
    ]);
}

#[test]
#[rustfmt::skip]
fn typeorms_classes_are_found() {
    have_the_verdict_of_the_tool([
        (layout("classes as a bundler writes them",
            &[("all.js", "var A1700000000000 = class { up() {} };\nvar B1700000000001 = class { up() {} };")],
            "dir={}", "", NotReady, "1 of 2 migrations missing: B1700000000001 (typeorm, "),
            format!("{TYPEORM} (1700000000000, 'A1700000000000')")),
        (layout("two classes with one number",
            &[("1700000000000-A.js", "class A1700000000000 {}"), ("1700000000000-B.js", "class B1700000000000 {}")],
            "dir={}", "", NotReady, "1 of 2 migrations missing: 1700000000000-B (typeorm, "),
            format!("{TYPEORM} (1700000000000, 'A1700000000000')")),
        (layout("a class whose number is not its file's",
            &[("1700000000099-A.js", "class A1700000000000 {}"), ("B.ts", "export class B { name = 'B1700000000001' }")],
            "dir={}", "", Ready, "2 of 2 migrations applied (typeorm, "),
            format!("{TYPEORM} (1700000000000, 'A1700000000000'), (1700000000001, 'B1700000000001')")),
    ]);
}

#[test]
#[rustfmt::skip]
fn doctrines_namespaces_count() {
    have_the_verdict_of_the_tool([
        (layout("a namespace in a comment", &[("Version1.php", "<?php\n/*\nnamespace Old;\n*/\nnamespace A;\nclass Version1 {}")],
            "dir={}", "", NotReady, "1 of 1 migrations missing: Version1 (doctrine, "),
            "create table doctrine_migration_versions(version varchar, executed_at timestamp); \
             insert into doctrine_migration_versions values ('Old\\Version1', now())".to_owned()),
        (layout("classes of one name in two namespaces",
            &[("a/Version1.php", "<?php\nnamespace A;\nclass Version1 {}"), ("b/Version1.php", "<?php\nnamespace B;\nclass Version1 {}")],
            "dir={}", "", NotReady, "1 of 2 migrations missing: Version1 (doctrine, "),
            "create table doctrine_migration_versions(version varchar, executed_at timestamp); \
             insert into doctrine_migration_versions values ('A\\Version1', now())".to_owned()),
    ]);
}

#[test]
#[rustfmt::skip]
fn flyways_names_are_read() {
    have_the_verdict_of_the_tool([
        (layout("versions without a description", &[("V1.sql", ""), ("V2.sql", "")],
            "dir={}", "", NotReady, "1 of 2 migrations missing: V2 (flyway, "),
            format!("{FLYWAY}; insert into flyway_schema_history values (1, '1', 'SQL', 'V1.sql', true)")),
        (layout("a repeatable migration below the location", &[("migration/V1__a.sql", ""), ("migration/R__v.sql", "")],
            "dir={}", "", Ready, "2 of 2 migrations applied (flyway, "),
            format!("{FLYWAY}; insert into flyway_schema_history values (1, '1', 'SQL', 'V1__a.sql', true), (2, null, 'SQL', 'R__v.sql', true)")),
        (layout("a version with dots keeps them in its name", &[("V13.1__index.sql", ""), ("R__v1.2_views.sql", "")],
            "dir={}", "", NotReady, "2 of 2 migrations missing: V13.1__index, R__v1.2_views (flyway, "),
            FLYWAY.to_owned()),
    ]);
}

#[test]
#[rustfmt::skip]
fn sqitchs_last_event_of_a_change_decides() {
    have_the_verdict_of_the_tool([
        (layout("a change that failed under another id before", &[("sqitch.plan", "% project = p\na 2026 t\n")],
            "dir={}", "", Ready, "1 of 1 migrations applied (sqitch, "),
            format!("{SQITCH}; insert into sqitch.events values ('fail', 'old', 'a', 'p', now()), ('deploy', 'new', 'a', 'p', now() + '1s'); \
             insert into sqitch.changes values ('new', 'a', 'p', now())")),
        (layout("a rework that failed", &[("sqitch.plan", "%project=p\na 2026 t\n@v1 2026 t\na [a@v1] 2026 t\n")],
            "dir={}", "", NotReady, "1 of 2 migrations FAILED: a (sqitch, "),
            format!("{SQITCH}; insert into sqitch.events values ('deploy', 'one', 'a', 'p', now()), ('fail', 'two', 'a', 'p', now() + '1s'); \
             insert into sqitch.changes values ('one', 'a', 'p', now())")),
    ]);
}

#[test]
#[rustfmt::skip]
fn atlas_runs_directories_of_other_tools() {
    have_the_verdict_of_the_tool([
        (layout("a comment about checkpoints", &[("1_a.sql", ""), ("2_b.sql", "-- see atlas:checkpoint\n")],
            "dir={}", "", NotReady, "1 of 2 migrations missing: 2_b (atlas, "), format!("{ATLAS} ('1', 2, 1, 1)")),
        (layout("a directory of golang-migrate's that Atlas runs", &[("1_a.up.sql", ""), ("1_a.down.sql", ""), ("2_b.up.sql", "")],
            "dir={}", "", NotReady, "1 of 2 migrations missing: 2_b (atlas, "), format!("{ATLAS} ('1', 2, 1, 1)")),
        (layout("a directory of Flyway's that Atlas runs", &[("V1__a.sql", ""), ("U1__a.sql", ""), ("V2__b.sql", "")],
            "dir={}", "", NotReady, "1 of 2 migrations missing: V2__b (atlas, "), format!("{ATLAS} ('1', 2, 1, 1)")),
    ]);
}

#[test]
#[rustfmt::skip]
fn the_rows_of_other_tools_are_understood() {
    have_the_verdict_of_the_tool([
        (layout("ids in the Designer files, and a class that EF Core does not see",
            &[("20250101000000_A.cs", "class A : Migration {}"), ("20250101000000_A.Designer.cs", "[Migration(\"20250101000000_Old\")]"),
              ("20250102000000_B.cs", "class B : Migration {}")],
            "dir={}", "", Ready, "1 of 1 migrations applied (efcore, "),
            format!("{EFCORE} ('20250101000000_Old', '8')")),
        (layout("journal entries with one time",
            &[("meta/_journal.json", r#"{"entries": [{"when": 100, "tag": "0000_a"}, {"when": 100, "tag": "0001_b"}]}"#),
              ("0000_a.sql", ""), ("0001_b.sql", "create table b();")],
            "dir={}", "", NotReady, "1 of 2 migrations missing: 0001_b (drizzle, "),
            "create schema drizzle; create table drizzle.__drizzle_migrations(id serial, hash text, created_at bigint); \
             insert into drizzle.__drizzle_migrations(hash, created_at) values \
             ('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855', 100)".to_owned()),
        (layout("committed and current migrations", &[("committed/000001-a.sql", ""), ("current/1-current.sql", "")],
            "dir={}", "", Ready, "1 of 1 migrations applied (graphile-migrate, "),
            "create schema graphile_migrate; create table graphile_migrate.migrations(hash text, previous_hash text, \
             filename text, date timestamptz); insert into graphile_migrate.migrations(filename) values ('000001.sql')".to_owned()),
        (layout("a changeset by its file", &[],
            "version=db/a.sql::1::bob", "", Ready, "db/a.sql::1::bob is applied (liquibase, "),
            "create table databasechangelog(id varchar, author varchar, filename varchar, exectype varchar, orderexecuted int, tag varchar); \
             insert into databasechangelog values ('1', 'bob', 'db/a.sql', 'EXECUTED', 1, null)".to_owned()),
        (layout("a failed row is a failed migration", &[("1_a.sql", ""), ("2_b.sql", "")],
            "dir={}", "", NotReady, "1 of 2 migrations FAILED: 2_b (sqlx, "),
            "create table _sqlx_migrations(version bigint, success bool, checksum bytea, execution_time bigint); \
             insert into _sqlx_migrations values (1, true, '', 1), (2, false, '', 1)".to_owned()),
        (layout("a migration that was rolled back", &[("1_a/migration.sql", "")],
            "dir={}", "", NotReady, "1 of 1 migrations missing: 1_a (rolled back) (prisma, "),
            "create table _prisma_migrations(migration_name varchar, finished_at timestamptz, rolled_back_at timestamptz, logs text); \
             insert into _prisma_migrations values ('1_a', null, now(), 'error')".to_owned()),
        (layout("a version below zero", &[], "version=0", "", NotReady, "at -1, at least 0 is wanted (golang-migrate, "),
            "create table schema_migrations(version bigint, dirty bool); insert into schema_migrations values (-1, false)".to_owned()),
    ]);
}

#[test]
#[rustfmt::skip]
fn a_tools_table_may_have_another_name() {
    have_the_verdict_of_the_tool([
        (layout("node-pg-migrate in the table of db-migrate", &[("1_a.js", ""), ("2_b.sql", "")],
            "dir={}", "", NotReady, "rows that db-migrate does not write"),
            format!("create table migrations{NODE_PG}; insert into migrations(name, run_on) values ('1_a', now())")),
        (layout("node-pg-migrate in a table of any name", &[("1_a.js", ""), ("2_b.sql", "")],
            "dir={},table=own", "", NotReady, "1 of 2 migrations missing: 2_b (node-pg-migrate, "),
            format!("create table own{NODE_PG}; insert into own(name, run_on) values ('1_a', now())")),
        (layout("db-migrate in a table of any name", &[("1_a.js", ""), ("2_b.sql", "")],
            "dir={},table=own", "", Ready, "1 of 1 migrations applied (db-migrate, "),
            format!("create table own{NODE_PG}; insert into own(name, run_on) values ('/1_a', now())")),
        (layout("kysely in a table of its own", &[("1_a.js", "")],
            "dir={},table=own", "", NotReady, "1 of 1 migrations missing: 1_a (kysely, "),
            "create table own(name varchar, timestamp varchar)".to_owned()),
        (layout("mikro-orm in a table of its own", &[("Migration1.js", ""), ("index.js", "")],
            "dir={},table=own", "", Ready, "1 of 1 migrations applied (mikro-orm, "),
            "create table own(id serial, name varchar, executed_at timestamptz); insert into own(name) values ('Migration1')".to_owned()),
    ]);
}

#[test]
#[rustfmt::skip]
fn an_own_table_is_read_by_its_columns() {
    have_the_verdict_of_the_tool([
        (layout("an own table with paths", &[("1/a.sql", ""), ("2/a.sql", "")],
            "dir={},table=own,column=file,key-pattern=^(.%2B[.]sql)$", "", NotReady, "1 of 2 migrations missing: 2/a.sql (public.own)"),
            "create table own(file text); insert into own values ('1/a.sql')".to_owned()),
        (layout("an own table with a status that nobody explained", &[("1_a.sql", "")],
            "dir={},table=own,column=version,key-pattern=^([0-9]%2B)_", "", NotReady, "public.own has a column status, which may tell"),
            "create table own(version int, status text); insert into own values (1, 'failed')".to_owned()),
        (layout("an own table with a column that may tell of failures", &[("1_a.sql", "")],
            "dir={},table=own,column=version,key-pattern=^([0-9]%2B)_", "", NotReady, "public.own has a column is_dirty, which may tell"),
            "create table own(version int, is_dirty bool, applied_at date); insert into own values (1, true)".to_owned()),
        (layout("an own table of numbers", &[("001_a.sql", ""), ("002_b.sql", "")],
            "dir={},table=own,column=version,key-pattern=^([0-9]%2B)_", "", NotReady, "1 of 2 migrations missing: 002_b (public.own)"),
            "create table own(version int); insert into own values (1)".to_owned()),
        (layout("an own table with a condition", &[("1_a.sql", ""), ("2_b.sql", "")],
            "dir={},table=own,column=version,key-pattern=^([0-9]%2B)_,where=status = 'passed'", "", NotReady,
            "1 of 2 migrations missing: 2_b (public.own)"),
            "create table own(version int, status text); insert into own values (1, 'passed'), (2, 'failed')".to_owned()),
        (layout("a condition that is none", &[],
            "table=own,column=version,version=1,where=status ==", "", NotReady, "where= must be a condition on its columns (42"),
            "create table own(version int, status text)".to_owned()),
        (layout("at least a version of an own table", &[],
            "table=own,column=version,version=1.18,order=dotted", "", Ready, "at 1.19, at least 1.18 is wanted (public.own)"),
            "create table own(version text); insert into own values ('1.9'), ('1.19')".to_owned()),
        (layout("less than a version of an own table", &[],
            "table=own,column=version,version=20,order=number", "", NotReady, "at 9, at least 20 is wanted (public.own)"),
            "create table own(version int); insert into own values (3), (9)".to_owned()),
    ]);
}

#[test]
#[rustfmt::skip]
fn several_directories_and_files_of_names_are_read() {
    have_the_verdict_of_the_tool([
        (layout("two directories side by side", &[("migrate/1_a.rb", ""), ("post_migrate/2_b.rb", ""), ("seeds/3_c.rb", "")],
            "dir={}/*migrate", "", Ready, "2 of 2 migrations applied (rails, "),
            "create table schema_migrations(version varchar); create table ar_internal_metadata(key varchar); \
             insert into schema_migrations values ('1'), ('2')".to_owned()),
        (layout("two directories by name", &[("migrate/1_a.sql", ""), ("post/2_b.sql", "")],
            "dir={}/migrate+{}/post,tool=dbmate", "", NotReady, "1 of 2 migrations missing: 2_b (dbmate, "),
            "create table schema_migrations(version varchar); insert into schema_migrations values ('1')".to_owned()),
        (layout("a file of names", &[("names.txt", "./1_a.sql\n./2_b.sql\n")],
            "dir={}/names.txt,tool=dbmate", "", NotReady, "1 of 2 migrations missing: 2_b (dbmate, "),
            "create table schema_migrations(version varchar); insert into schema_migrations values ('1')".to_owned()),
        (layout("a file of names with a byte order mark", &[("names.txt", "\u{feff}1_a.sql\r\n2_b.sql\r\n")],
            "dir={}/names.txt,tool=dbmate", "", NotReady, "1 of 2 migrations missing: 1_a (dbmate, "),
            "create table schema_migrations(version varchar); insert into schema_migrations values ('2')".to_owned()),
    ]);
}

#[test]
#[rustfmt::skip]
fn a_hint_tells_where_to_look() {
    have_the_verdict_of_the_tool([
        (layout("one level too high", &[("director/20240101000000_a.rb", ""), ("dns/20240101000001_b.rb", ""), ("digests.json", "{}")],
            "dir={}", "", NotReady, "is sequel's, and files of sequel's lie one level below, in director/, dns/"),
            "create table schema_migrations(filename text)".to_owned()),
        (layout("another table off the search path", &[("1_a.sql", "")],
            "dir={},tool=dbmate", "", NotReady, "hint: there is auth.schema_migrations, which is not on the search path"),
            "create table schema_migrations(version varchar); create schema auth; create table auth.schema_migrations(version varchar)".to_owned()),
        (layout("why a table is not what is asked for", &[("1_a.sql", "")],
            "dir={}", "", NotReady, "(sequel), but dir holds no files of sequel's (such as 20240101120000_name.rb)"),
            "create table schema_migrations(filename text)".to_owned()),
    ]);
}

#[test]
#[rustfmt::skip]
fn parameters_of_the_url_name_the_table() {
    have_the_verdict_of_the_tool([
        (layout("the table that the URL names", &[("1_a.up.sql", ""), ("2_b.up.sql", "")],
            "dir={}", "&x-migrations-table=own", NotReady, "1 of 2 migrations missing: 2_b (golang-migrate, public.own)"),
            "create table schema_migrations(version bigint, dirty bool); insert into schema_migrations values (5, false); \
             create table own(version bigint, dirty bool); insert into own values (1, false)".to_owned()),
        (layout("the quoted table that the URL names", &[("1_a.up.sql", "")],
            "dir={}", "&x-migrations-table=%22lib%22.%22own%22&x-migrations-table-quoted=1", Ready,
            "1 of 1 migrations applied (golang-migrate, lib.own)"),
            "create schema lib; create table lib.own(version bigint, dirty bool); insert into lib.own values (1, false)".to_owned()),
        (layout("the search path that the URL names", &[("1_a.rb", "")],
            "dir={},tool=rails", "&schema_search_path=lib", NotReady, "1 of 1 migrations missing: 1_a (rails, lib.schema_migrations)"),
            "create table schema_migrations(version varchar); insert into schema_migrations values ('1'); \
             create schema lib; create table lib.schema_migrations(version varchar)".to_owned()),
    ]);
}
