//! Real tools at work, slowly, while `afterall` waits with `dir=`: the command starts once the last
//! migration is committed.

mod tools;

use super::{WATCHER, database, server, url};
use crate::support::process::program;
use crate::support::{Afterall, Dir, LONG, Postgres, secs, wait_until};
use std::process::{Command, Stdio};

/// Steps that each tool takes; each sleeps in the database, then writes its number down.
const STEPS: usize = 4;

/// The SQL of step `n`.
fn step(n: usize) -> String {
    let first = if n == 1 { "create table steps(n int); " } else { "" };
    format!("{first}select pg_sleep(0.3); insert into steps values ({n});")
}

/// The command is one more look at the database at the time of its start.
fn what_is_there(server: &Postgres) -> Vec<String> {
    let psql = program("psql", "postgresql-client");
    let mut words = vec![psql.to_str().unwrap().to_owned()];
    let port = server.port().to_string();
    words.extend(
        ["-XAt", "-h", &server.host(), "-p", &port, "-U", WATCHER, "-d", "app"].map(str::to_owned),
    );
    words.extend(["-c".to_owned(), "select coalesce(max(n), 0) from steps".to_owned()]);
    words
}

/// Starts the wait, then the tool. `place` is the end of the ready line.
#[track_caller]
fn is_waited_for(server: &Postgres, migrations: &str, mut migrator: Command, place: &str) {
    let keys = format!("dir={migrations},max-interval=100ms,timeout=9m");
    let waiting =
        Afterall::waiting_for([url(server, "app", &keys)]).becoming(what_is_there(server)).spawn();
    waiting.wait_for_stderr("no migration table yet", secs(20));
    migrator.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = migrator.spawn().unwrap().wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let done = waiting.done();
    done.code(0)
        .stdout(&format!("{STEPS}\n"))
        .stderr_has(&format!("{STEPS} of {STEPS} migrations applied {place}"));
}

/// Without `dir`: the end of a tool that shows signs of work is waited for all the same.
#[track_caller]
fn is_at_work_to_its_end(server: &Postgres, mut migrator: Command) {
    let keys = "max-interval=100ms,timeout=9m";
    let waiting = Afterall::waiting_for([url(server, "app", keys)])
        .arg("-v")
        .becoming(what_is_there(server))
        .spawn();
    waiting.wait_for_stderr("no migration table yet", secs(20));
    migrator.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let migrator = migrator.spawn().unwrap();
    waiting.wait_for_stderr("in progress: its advisory lock is held", LONG);
    let done = waiting.done();
    assert!(migrator.wait_with_output().unwrap().status.success());
    done.code(0).stdout(&format!("{STEPS}\n")).any_stderr();
}

/// A server with an empty database that the watcher may read.
fn empty() -> Postgres {
    let server = server();
    database(&server, "app");
    server
}

fn path(dir: &Dir, name: &str) -> String {
    dir.join(name).to_str().unwrap().to_owned()
}

/// Timestamped names: `20240101120001_step_1.EXTENSION`.
fn timestamped(extension: &str, text: impl Fn(usize) -> String) -> Dir {
    let dir = Dir::new();
    for n in 1..=STEPS {
        dir.write(&format!("migrations/2024010112000{n}_step_{n}.{extension}"), text(n));
    }
    dir
}

#[test]
fn sequel_with_timestamps() {
    let server = empty();
    let dir = timestamped("rb", |n| format!("Sequel.migration {{ up {{ run '{}' }} }}", step(n)));
    let migrations = path(&dir, "migrations");
    is_waited_for(
        &server,
        &migrations,
        tools::sequel(&server, &migrations),
        "(sequel, public.schema_migrations)",
    );
}

#[test]
fn sequel_with_numbers() {
    let server = empty();
    let dir = Dir::new();
    for n in 1..=STEPS {
        dir.write(
            &format!("migrations/00{n}_step.rb"),
            format!("Sequel.migration {{ up {{ run '{}' }} }}", step(n)),
        );
    }
    let migrations = path(&dir, "migrations");
    is_waited_for(
        &server,
        &migrations,
        tools::sequel(&server, &migrations),
        "(sequel, public.schema_info)",
    );
}

fn rails_files() -> Dir {
    timestamped("rb", |n| {
        format!(
            "class Step{n} < ActiveRecord::Migration[6.0]\n  def up\n    execute '{}'\n  end\n\
             end\n",
            step(n)
        )
    })
}

#[test]
fn rails() {
    let server = empty();
    let dir = rails_files();
    let migrations = path(&dir, "migrations");
    is_waited_for(
        &server,
        &migrations,
        tools::rails(&server, &migrations),
        "(rails, public.schema_migrations)",
    );
}

#[test]
fn rails_shows_that_it_is_at_work() {
    let server = empty();
    let dir = rails_files();
    is_at_work_to_its_end(&server, tools::rails(&server, &path(&dir, "migrations")));
}

#[test]
fn a_newer_migration_does_not_hold_up_a_restart() {
    let server = empty();
    let older = rails_files();
    for n in 3..=STEPS {
        std::fs::remove_file(older.join(format!("migrations/2024010112000{n}_step_{n}.rb")))
            .unwrap();
    }
    let older = path(&older, "migrations");
    assert!(tools::rails(&server, &older).status().unwrap().success());
    let newer = rails_files();
    newer.write(
        "migrations/20240101120003_step_3.rb",
        "class Step3 < ActiveRecord::Migration[6.0]\n  def up\n    execute 'select \
        pg_sleep(600)'\n  end\nend\n",
    );
    let mut migrator = tools::rails(&server, &path(&newer, "migrations"));
    let mut migrator =
        migrator.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_until("the newer release migrates", LONG, || {
        server.psql("select count(*) from pg_stat_activity where wait_event = 'PgSleep'") == "1"
    });
    let restarted = Afterall::waiting_for([url(&server, "app", &format!("dir={older}"))])
        .becoming(what_is_there(&server))
        .run();
    let said =
        "2 of 2 migrations applied (rails, public.schema_migrations); a migrator is at work [";
    restarted.code(0).stdout("2\n").stderr_has(said);
    migrator.kill().unwrap();
    migrator.wait().unwrap();
}

#[test]
fn alembic() {
    let server = empty();
    let dir = Dir::new();
    for n in 1..=STEPS {
        let follows = if n == 1 { "None".to_owned() } else { format!("'aaaa000{}'", n - 1) };
        let text = format!(
            "from alembic import op\nrevision: str = 'aaaa000{n}'\ndown_revision = {follows}\n\n\n\
            def upgrade():\n    op.execute(\"{}\")\n",
            step(n)
        );
        dir.write(&format!("script/versions/aaaa000{n}_step.py"), text);
    }
    let migrations = path(&dir, "script/versions");
    is_waited_for(
        &server,
        &migrations,
        tools::alembic(&server, &dir),
        "(alembic, public.alembic_version)",
    );
}

#[test]
fn django() {
    let server = empty();
    let dir = Dir::new();
    dir.write("shop/__init__.py", "");
    dir.write("shop/migrations/__init__.py", "");
    for n in 1..=STEPS {
        let follows = if n == 1 { String::new() } else { format!("('shop', '000{}_step')", n - 1) };
        let text = format!(
            "from django.db import migrations\n\n\nclass Migration(migrations.Migration):\n    \
            dependencies = [{follows}]\n    \
             operations = [migrations.RunSQL(\"{}\")]\n",
            step(n)
        );
        dir.write(&format!("shop/migrations/000{n}_step.py"), text);
    }
    let migrations = path(&dir, "shop/migrations");
    is_waited_for(
        &server,
        &migrations,
        tools::django(&server, &dir),
        "(django, public.django_migrations)",
    );
}

#[test]
fn knex() {
    let server = empty();
    let dir = timestamped("js", |n| {
        format!(
            "exports.up = (knex) => knex.raw('{}');\nexports.down = async () => {{}};\n",
            step(n)
        )
    });
    let migrations = path(&dir, "migrations");
    is_waited_for(
        &server,
        &migrations,
        tools::knex(&server, &migrations),
        "(knex, public.knex_migrations)",
    );
}

#[test]
fn sqlx() {
    let server = empty();
    let dir = timestamped("sql", step);
    let migrations = path(&dir, "migrations");
    is_waited_for(
        &server,
        &migrations,
        tools::sqlx(&server, &migrations),
        "(sqlx, public._sqlx_migrations)",
    );
}

#[test]
fn sqlx_shows_that_it_is_at_work() {
    let server = empty();
    let dir = timestamped("sql", step);
    is_at_work_to_its_end(&server, tools::sqlx(&server, &path(&dir, "migrations")));
}

/// Not a test of its own: the process in which sqlx runs, since it is a library. Started by the
/// tests above.
#[test]
fn sqlx_migrator() {
    let Some(migrations) = std::env::var_os("SQLX_MIGRATIONS") else { return };
    let url = std::env::var("SQLX_URL").unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let migrator =
            sqlx_core::migrate::Migrator::new(std::path::Path::new(&migrations)).await.unwrap();
        let mut connection =
            <sqlx_postgres::PgConnection as sqlx_core::connection::Connection>::connect(&url)
                .await
                .unwrap();
        migrator.run_direct(&mut connection).await.unwrap();
    });
}
