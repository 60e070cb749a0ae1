//! The whole wait: a table that appears late, migrations that come one by one.

use super::{database, directory, server, url};
use crate::support::{Afterall, secs, sh, wait_until};

#[test]
fn a_late_table_and_each_migration_are_waited_for() {
    let server = server();
    let dir = directory(&["20240101120000_a.rb", "20240102120000_b.rb", "20240103120000_c.rb"]);
    let keys = format!("tool=rails,max-interval=50ms,dir={}", dir.path().display());
    // The database itself comes late too.
    let waiting = Afterall::waiting_for([url(&server, "app", &keys)])
        .arg("-v")
        .becoming(sh("echo started"))
        .spawn();
    waiting.wait_for_stderr("3D000: database \"app\" does not exist", secs(20));
    database(&server, "app");
    waiting.wait_for_stderr(
        "no migration table yet (looked for schema_migrations in watcher, public)",
        secs(20),
    );
    server.psql_in("app", "create table schema_migrations(version varchar primary key)");
    waiting.wait_for_stderr(
        "3 of 3 migrations missing: 20240101120000_a, 20240102120000_b, 20240103120000_c (rails, \
        public.schema_migrations)",
        secs(20),
    );
    server.psql_in("app", "insert into schema_migrations values ('20240103120000')");
    waiting.wait_for_stderr(
        "2 of 3 migrations missing: 20240101120000_a, 20240102120000_b (",
        secs(20),
    );
    server.psql_in("app", "insert into schema_migrations values ('20240101120000')");
    waiting.wait_for_stderr("1 of 3 migrations missing: 20240102120000_b (", secs(20));
    assert_eq!(waiting.stdout_so_far(), "");
    let mut session = server.session("app");
    session.run("begin; insert into schema_migrations values ('20240102120000');");
    waiting.wait_for_stderr(
        "1 of 3 migrations missing: 20240102120000_b, a migrator is at work (",
        secs(20),
    );
    assert_eq!(waiting.stdout_so_far(), "", "what is not committed does not count");
    session.run("commit;");
    waiting
        .done()
        .code(0)
        .stdout("started\n")
        .stderr_has("3 of 3 migrations applied (rails, public.schema_migrations)");
}

#[test]
fn the_last_line_counts_the_migrations_that_were_missing() {
    let server = server();
    let dir = directory(&["20240101120000_a.rb", "20240102120000_b.rb", "20240103120000_c.rb"]);
    let table = "create table schema_migrations(version varchar primary key)";
    let insert = "insert into schema_migrations values";
    let two = format!("{insert} ('20240101120000'), ('20240102120000')");
    let third = format!("{insert} ('20240103120000')");
    let part = format!("{table}; {two}");
    let whole = format!("{table}; {two}; {third}");
    for (format, before, message, after, want) in [
        ("plain", "", "no migration table", &whole, " for 3 migrations)"),
        ("plain", &part, "1 of 3", &third, " for 1 migration)"),
        ("json", &part, "1 of 3", &third, "\"migrations\":1}"),
    ] {
        let name = format!("{format}{}", before.len());
        database(&server, &name);
        server.psql_in(&name, before);
        let keys = format!("tool=rails,max-interval=50ms,dir={}", dir.path().display());
        let schema = url(&server, &name, &keys);
        let options = ["--format", format];
        let waiting = Afterall::waiting_for(["file:/", schema.as_str()]).args(options).spawn();
        waiting.wait_for_stderr(message, secs(20));
        server.psql_in(&name, &format!("begin; {after}; commit"));
        let done = waiting.done().code(0);
        let last = done.stderr_text().lines().last().unwrap_or_default();
        assert!(last.contains("schema") && last.ends_with(want), "{last}");
    }
}

#[test]
fn a_row_that_is_replaced_is_never_seen_missing() {
    let server = server();
    database(&server, "app");
    server.psql_in(
        "app",
        "create table schema_migrations(version bigint primary key, dirty boolean not null); \
        insert into schema_migrations values (1, false)",
    );
    let waiting = Afterall::waiting_for([url(&server, "app", "version=3,max-interval=10ms")])
        .arg("-v")
        .spawn();
    waiting.wait_for_stderr(
        "at 1, at least 3 is wanted (golang-migrate, public.schema_migrations)",
        secs(20),
    );
    let mut session = server.session("app");
    for _ in 0..100 {
        session.run(
            "begin; truncate schema_migrations; insert into schema_migrations values (2, false); \
            commit;",
        );
    }
    session.run(
        "begin; truncate schema_migrations; insert into schema_migrations values (3, true); \
        commit;",
    );
    waiting.wait_for_stderr("FAILED: 3 is dirty", secs(20));
    session.run(
        "begin; truncate schema_migrations; insert into schema_migrations values (3, false); \
        commit;",
    );
    waiting.done().code(0).stderr_lacks("at nothing").any_stderr();
}

#[test]
fn nothing_stays_open_between_attempts() {
    let server = server();
    database(&server, "app");
    let waiting = Afterall::waiting_for([url(
        &server,
        "app",
        "tool=rails,interval=300ms,max-interval=300ms",
    )])
    .spawn();
    waiting.wait_for_stderr("no migration table yet", secs(20));
    let sessions =
        || server.psql("select count(*) from pg_stat_activity where usename = 'watcher'");
    wait_until("the session ends", secs(20), || sessions() == "0");
    // A migrator may lock and change everything at any time.
    server.psql_in(
        "app",
        "create table schema_migrations(version varchar); insert into schema_migrations values \
        ('1')",
    );
    waiting.done().code(0).any_stderr();
    assert!(!server.log().contains("ERROR"), "{}", server.log());
}
