//! A migrator at work, one that was killed, and the effect of their locks.

use super::{WATCHER, directory, files, is_not_ready, is_ready, load, once, server, url};
use crate::support::{Afterall, ms, secs};
use std::fs;

#[test]
fn a_table_locked_whole_is_in_progress() {
    let server = server();
    let ef = load(&server, "SYNTHETIC-efcore");
    let mut migrator = server.session(&ef);
    migrator.run("begin; lock table \"__EFMigrationsHistory\" in access exclusive mode;");
    let waiting = Afterall::waiting_for([url(&server, &ef, "version=20240102120000_AddB")]).spawn();
    waiting.wait_for_stderr(
        "in progress: the table is locked as a whole (efcore, public.\"__EFMigrationsHistory\")",
        secs(20),
    );
    assert!(!server.log().contains("lock timeout"));
    migrator.run("commit;");
    waiting.done().code(0).any_stderr();
}

#[test]
fn a_lock_queued_behind_a_reader_is_in_progress_too() {
    let server = server();
    let ef = load(&server, "SYNTHETIC-efcore");
    let mut reader = server.session(&ef);
    reader.run("begin; lock table \"__EFMigrationsHistory\" in access share mode;");
    let mut migrator = server.session(&ef);
    migrator.send("begin; lock table \"__EFMigrationsHistory\" in access exclusive mode;");
    crate::support::wait_until("the lock is waited for", secs(20), || {
        server.psql("select count(*) from pg_locks where not granted") == "1"
    });
    is_not_ready(
        &server,
        &ef,
        "",
        "in progress: public.\"__EFMigrationsHistory\" is locked by a migrator (55P03: canceling \
        statement due to lock timeout)",
    );
}

#[test]
fn a_dirty_version_is_in_progress_while_the_migrators_lock_is_held() {
    let server = server();
    let golang = load(&server, "golang-migrate-inprogress");
    // `crc32("public\0schema_migrations\0/NAME") * 1486364155`, by the tool's own rule for a URL.
    let key = golang_key(&format!("/{golang}"));
    let mut migrator = server.session(&golang);
    migrator.run(&format!("select pg_advisory_lock({key});"));
    let message = "in progress: 3 is dirty, and a migrator is at work (golang-migrate, \
        public.schema_migrations) [class=absent]";
    is_not_ready(&server, &golang, "version=1", message);
    is_not_ready(&server, &golang, "", message);
    let waiting = Afterall::waiting_for([url(&server, &golang, "fail-fast=failed")]).spawn();
    waiting.wait_for_stderr("in progress: 3 is dirty", secs(20));
    migrator.run("update schema_migrations set dirty = false;");
    waiting.wait_for_stderr("in progress", secs(20));
    migrator.run(&format!("select pg_advisory_unlock({key});"));
    waiting.done().code(0).stderr_has("at 3, none failed, nobody seen at work");
}

/// CRC-32, bit by bit.
fn golang_key(database: &str) -> u32 {
    let text = format!("public\0schema_migrations\0{database}");
    let step = |crc: u32| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
    let crc = !text
        .bytes()
        .fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(byte), |crc, _| step(crc)));
    crc.wrapping_mul(1_486_364_155)
}

#[test]
fn a_clean_state_during_a_run_is_not_ready() {
    let server = server();
    for (fixture, lock) in [
        ("node-pg-migrate", "select pg_advisory_lock(7241865325823964)"),
        ("sqitch", "select pg_advisory_lock(75474063)"),
        ("prisma", "select pg_advisory_lock(72707369)"),
        ("goose", "select pg_advisory_lock(4097083626)"),
        ("knex", "begin; update knex_migrations_lock set is_locked = 1"),
        (
            "drizzle",
            "begin; insert into drizzle.__drizzle_migrations(id, hash, created_at) values (9, 'x', \
            9)",
        ),
        ("dbmate", "begin; lock table schema_migrations in share update exclusive mode"),
    ] {
        let database = load(&server, fixture);
        once(&server, &database, "").code(0).any_stdout();
        let mut migrator = server.session(&database);
        migrator.run(&format!("{lock};"));
        is_not_ready(&server, &database, "", "in progress: ");
    }
}

#[test]
fn a_newer_migration_does_not_hold_up_an_older_release() {
    let server = server();
    let prisma = load(&server, "prisma-inprogress");
    let older =
        directory(&["20240101120000_init/migration.sql", "20240102120000_add/migration.sql"]);
    let mut migrator = server.session(&prisma);
    migrator.run(
        "select pg_advisory_lock(72707369); begin; lock table _prisma_migrations in row exclusive \
        mode;",
    );
    let keys = format!("dir={}", older.path().display());
    is_ready(
        &server,
        &prisma,
        &keys,
        "2 of 2 migrations applied (prisma, public._prisma_migrations); not wanted and unfinished: \
        20240103120000_slow; \
         a migrator is at work",
    );
    is_not_ready(&server, &prisma, "", "in progress: its advisory lock is held (server process ");
    drop(migrator);
    let failed = load(&server, "prisma-failed");
    let said = "2 of 2 migrations applied (prisma, public._prisma_migrations); not wanted and \
        failed: 20240104120000_bad";
    is_ready(&server, &failed, &keys, said);
}

#[test]
fn a_stale_lock_row_blocks_clean_alone() {
    let server = server();
    let liquibase = load(&server, "liquibase-inprogress");
    let holder = "locked by vm (fd00:0:0:0:0:0:0:2%eth0) since 2026-11-21 00:10:51.051008, as \
        public.databasechangeloglock says";
    once(&server, &liquibase, "")
        .code(69)
        .stdout_has(holder)
        .stdout_has("liquibase release-locks takes a stale one away");
    is_ready(
        &server,
        &liquibase,
        "version=v1",
        &format!("v1 is applied (liquibase, public.databasechangelog); {holder}"),
    );
    let yoyo = load(&server, "yoyo");
    server
        .psql_in(&yoyo, "insert into yoyo_lock(locked, ctime, pid) values (1, '2024-01-01', 4711)");
    is_not_ready(
        &server,
        &yoyo,
        "",
        "locked by process 4711 since 2024-01-01 00:00:00, as public.yoyo_lock says",
    );
    let knex = load(&server, "knex-complete");
    server.psql_in(&knex, "update knex_migrations_lock set is_locked = 1");
    is_not_ready(&server, &knex, "", "locked by somebody, as public.knex_migrations_lock says");
    is_ready(
        &server,
        &knex,
        &format!("dir={}", files("knex")),
        "3 of 3 migrations applied (knex, public.knex_migrations); locked by somebody, as \
        public.knex_migrations_lock says",
    );
}

#[test]
fn an_unreadable_lock_table_blocks_clean_alone() {
    let server = server();
    let knex = load(&server, "knex-complete");
    server.psql_in(&knex, &format!("revoke select on knex_migrations_lock from {WATCHER}"));
    is_not_ready(
        &server,
        &knex,
        "",
        "watcher may not read public.knex_migrations: GRANT SELECT ON public.knex_migrations_lock \
        TO watcher;",
    );
    is_ready(
        &server,
        &knex,
        &format!("dir={}", files("knex")),
        "3 of 3 migrations applied (knex, public.knex_migrations); public.knex_migrations_lock may \
        not be read",
    );
}

#[test]
fn a_standby_is_mentioned() {
    let server = server();
    let rails = load(&server, "rails-6.1-complete");
    server.stop(crate::support::Shutdown::Fast);
    let signal = server.data().join("standby.signal");
    fs::write(&signal, "").unwrap();
    fs::set_permissions(&signal, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    server.start();
    is_ready(
        &server,
        &rails,
        "version=20240301000000",
        "20240301000000 is applied (rails, public.schema_migrations); on a standby, which may lag \
        and shows no locks of its primary",
    );
    once(&server, &rails, "").code(0).stdout_has("on a standby").took(..ms(20_000));
}
