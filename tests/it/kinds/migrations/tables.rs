//! Detection of the table, rights on it, and the contents of a directory.

use super::{WATCHER, database, directory, files, is_not_ready, is_ready, load, once, server, url};
use crate::support::{Afterall, ms, secs};

#[test]
fn several_tables_are_named_and_none_is_guessed() {
    let server = server();
    let rails = load(&server, "rails-6.1-complete");
    server.psql_in(
        &rails,
        "create schema watcher; create table watcher.schema_migrations(version varchar primary \
        key)",
    );
    super::grant(&server, &rails);
    let done = Afterall::waiting_for([url(&server, &rails, "")]).run();
    let said = "several migration tables: public.schema_migrations (rails), \
        watcher.schema_migrations (dbmate); \
        say which by tool= or table=";
    done.code(69).stderr_has(said).stderr_has("(after one more look)").took(ms(1000)..secs(10));
    is_ready(
        &server,
        &rails,
        "table=public.schema_migrations,version=20240301000000",
        "20240301000000 is applied (rails, public.schema_migrations)",
    );
    is_not_ready(
        &server,
        &rails,
        "table=watcher.schema_migrations",
        "no migration is applied yet (dbmate, watcher.schema_migrations)",
    );
}

#[test]
fn a_short_doubt_does_not_end_the_wait() {
    let server = server();
    database(&server, "moment");
    server.psql_in("moment", "create table schema_migrations(id int)");
    let waiting = Afterall::waiting_for([url(&server, "moment", "version=1")]).spawn();
    waiting.wait_for_stderr(
        "public.schema_migrations has columns that no known tool's has (id int4)",
        secs(20),
    );
    server.psql_in(
        "moment",
        "drop table schema_migrations; create table schema_migrations(version bigint, dirty bool); \
        insert into schema_migrations values (1, false)",
    );
    waiting
        .done()
        .code(0)
        .stderr_has("at 1, at least 1 is wanted (golang-migrate, public.schema_migrations)");
}

#[test]
fn files_and_table_of_different_tools_are_reported() {
    let server = server();
    let golang = load(&server, "golang-migrate");
    let dir = directory(&["20240101120000_a.exs"]);
    let done =
        Afterall::waiting_for([url(&server, &golang, &format!("dir={}", dir.path().display()))])
            .run();
    done.code(69).stderr_has(
        "public.schema_migrations is golang-migrate's, but the files in dir are ecto's (such as ",
    );
    // If the tool may still create a table of another name, the existing one may be another
    // service's.
    let dir = directory(&["20240101120000_a.sql"]);
    let keys = format!("dir={}", dir.path().display());
    is_not_ready(&server, &golang, &keys, "no migration table yet (looked for the tables of ");
    once(&server, &golang, &keys)
        .code(69)
        .stdout_has("hint: there is public.schema_migrations (golang-migrate)");
}

#[test]
fn a_missing_right_is_reported_as_the_grant() {
    let server = server();
    database(&server, "rights");
    server.psql_in(
        "rights",
        "create schema app; create table app.schema_migrations(version varchar); insert into \
        app.schema_migrations values ('1')",
    );
    server.psql_in(
        "rights",
        &format!(
            "alter role {WATCHER} in database rights set search_path = app, public; revoke select \
            on app.schema_migrations from {WATCHER}"
        ),
    );
    let waiting =
        Afterall::waiting_for([url(&server, "rights", "version=1")]).becoming(["true"]).spawn();
    waiting.wait_for_stderr(
        "watcher may not read app.schema_migrations: GRANT USAGE ON SCHEMA app TO watcher; GRANT \
        SELECT ON app.schema_migrations TO watcher;",
        secs(20),
    );
    let logged = server.log().len();
    server.psql_in("rights", &format!("grant usage on schema app to {WATCHER}"));
    is_not_ready(
        &server,
        "rights",
        "version=1",
        "watcher may not read app.schema_migrations: GRANT SELECT ON app.schema_migrations TO \
        watcher; [class=auth]",
    );
    assert_eq!(server.log_after(logged), "", "nothing was refused by the server");
    server.psql_in("rights", &format!("grant select on app.schema_migrations to {WATCHER}"));
    waiting.done().code(0).stderr_has("1 is applied (dbmate, app.schema_migrations)");
}

#[test]
fn rows_hidden_by_a_policy_are_an_error() {
    let server = server();
    let rails = load(&server, "rails-6.1-complete");
    server.psql_in(&rails, "alter table schema_migrations enable row level security");
    is_not_ready(
        &server,
        &rails,
        "",
        "42501: query would be affected by row-level security policy",
    );
    once(&server, &rails, "").code(69).stdout_has("ALTER ROLE watcher BYPASSRLS");
}

#[test]
fn a_directory_must_hold_migrations_and_be_the_only_match() {
    let server = server();
    let rails = load(&server, "rails-6.1-complete");
    let empty = directory(&[]);
    let path = empty.path().display();
    once(&server, &rails, &format!("dir={path}"))
        .code(64)
        .stderr_has("schema: dir: ")
        .stderr_has("holds no migration of any known tool");
    once(&server, &rails, &format!("dir={path}/none"))
        .code(64)
        .stderr_has("none: no such file or directory");
    once(&server, &rails, &format!("dir={path}/no*"))
        .code(64)
        .stderr_has("no*: matches no directory");
    let gems = directory(&[
        "ruby/3.2.0/gems/bosh-director-1.2/db/migrations/20240101120000_a.rb",
        "ruby/3.2.0/gems/bosh-agent-1/x",
    ]);
    let pattern = |tail: &str| {
        format!("dir={}/ruby/*/gems/bosh-director-*/db/migrations{tail}", gems.path().display())
    };
    is_ready(
        &server,
        &rails,
        &pattern(""),
        "1 of 1 migrations applied (rails, public.schema_migrations)",
    );
    gems.write("ruby/3.3.0/gems/bosh-director-1.3/db/migrations/20240101120000_a.rb", "");
    let done = once(&server, &rails, &pattern("")).code(64);
    done.stderr_has("matches 2 directories, and one is wanted: ")
        .stderr_has("bosh-director-1.2/db/migrations, ");
}

#[test]
fn sequel_records_names_in_lower_case() {
    let server = server();
    let sequel = load(&server, "sequel-timestamp");
    let dir = directory(&[
        "20240101120000_CREATE_A.rb",
        "20240102120000_Add_N.RB",
        "20240103120000_Third.rb",
    ]);
    is_not_ready(
        &server,
        &sequel,
        &format!("dir={}", dir.path().display()),
        "1 of 3 migrations missing: 20240103120000_Third (sequel, public.schema_migrations)",
    );
    server.psql_in(&sequel, "insert into schema_migrations values ('20240103120000_third.rb')");
    is_ready(
        &server,
        &sequel,
        &format!("dir={}", dir.path().display()),
        "3 of 3 migrations applied (sequel, public.schema_migrations)",
    );
    // A numbered directory has a table of its own, whatever else is there.
    let numbered = directory(&["001_a.rb", "002_b.rb"]);
    is_not_ready(
        &server,
        &sequel,
        &format!("tool=sequel,dir={}", numbered.path().display()),
        "no migration table yet (looked for schema_info in watcher, public)",
    );
}

#[test]
fn an_unknown_table_is_described_by_the_operator() {
    let server = server();
    database(&server, "own");
    server.psql_in(
        "own",
        "create table \"Odd Table\"(\"The Key\" text, x int); insert into \"Odd Table\" values \
        ('0001', 1), ('0002', 2)",
    );
    let described = "table=\"Odd Table\",column=The Key";
    let place = "(public.\"Odd Table\")";
    is_ready(
        &server,
        "own",
        &format!("{described},version=0002"),
        &format!("0002 is applied {place}"),
    );
    is_not_ready(
        &server,
        "own",
        &format!("{described},version=2"),
        &format!("2 is not applied {place}"),
    );
    is_ready(
        &server,
        "own",
        described,
        &format!("2 applied, the latest 0002, none failed, nobody seen at work {place}"),
    );
    let dir = directory(&["change-0001.txt", "change-0002.txt", "change-0003.txt", "README"]);
    let dir = format!("dir={}", dir.path().display());
    let keys = format!("{described},{dir},key-pattern=^change-([0-9]%2B)[.]txt$");
    is_not_ready(&server, "own", &keys, &format!("1 of 3 migrations missing: change-0003 {place}"));
    server.psql_in("own", "insert into \"Odd Table\" values ('0003', 3)");
    is_ready(&server, "own", &keys, &format!("3 of 3 migrations applied {place}"));
    // Without a pattern, the file's name is the key, with its extension or without.
    server.psql_in(
        "own",
        "create table plain(name text); insert into plain values ('change-0001'), \
        ('change-0002.txt'), ('README')",
    );
    is_not_ready(
        &server,
        "own",
        &format!("table=plain,column=name,{dir}"),
        "1 of 4 migrations missing: change-0003 (public.plain)",
    );
    let done =
        Afterall::waiting_for([url(&server, "own", "table=plain,column=nome,version=1")]).run();
    done.code(69)
        .stderr_has("public.plain has no column nome (it has name text) (after one more look)");
    is_not_ready(
        &server,
        "own",
        "table=later,column=name,version=1",
        "no migration table yet (looked for later in watcher, public)",
    );
}

#[test]
fn a_directory_of_liquibase_is_refused() {
    let server = server();
    let liquibase = load(&server, "liquibase");
    const INSTEAD: &str = "use version=ID::AUTHOR or version=TAG of the last changeset";
    let dir = files("liquibase");
    once(&server, &liquibase, &format!("dir={dir},tool=liquibase")).code(64).stderr_has(INSTEAD);
    // The files may be those of another tool, until the table is there.
    once(&server, &liquibase, &format!("dir={dir}")).code(69).stdout_has(INSTEAD);
}

#[test]
fn the_schema_in_a_url_replaces_the_search_path() {
    let server = server();
    let prisma = load(&server, "prisma");
    server.psql_in(&prisma, "create schema app; alter table _prisma_migrations set schema app");
    super::grant(&server, &prisma);
    is_not_ready(
        &server,
        &prisma,
        "tool=prisma",
        "no migration table yet (looked for _prisma_migrations in watcher, public)",
    );
    let url = format!(
        "migrations+{}?schema=app#version=20240102120000_add",
        server.url(WATCHER, "", &prisma)
    );
    let done = Afterall::once().arg(url).run();
    done.code(0).stdout_has("20240102120000_add is applied (prisma, app._prisma_migrations)");
}
