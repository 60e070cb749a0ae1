//! A primary and its streaming standby, as failover leaves them: ready exactly where psql gets in.

use crate::support::postgres::libpq;
use crate::support::{Afterall, Dir, LONG, Postgres, Shutdown, secs, wait_until};

struct Pair {
    a: Postgres,
    b: Postgres,
}

impl Pair {
    /// `a` is the primary, and `b` has received everything.
    fn new() -> Self {
        let a = Postgres::started();
        let b = Postgres::standby_of(&a);
        a.psql("create table t ()");
        wait_until("the standby has received the table", LONG, || {
            b.psql("select to_regclass('t') is not null") == "t"
        });
        Self { a, b }
    }

    fn url(&self, attrs: &str) -> String {
        let (a, b) = (self.a.address(), self.b.address());
        format!("db=postgres://postgres@{a},{b}/postgres?target_session_attrs={attrs}")
    }

    /// psql's outcome with both servers as hosts, each with its seconds.
    fn psql(&self, attrs: &str, patience: u32) -> Result<(), String> {
        let (a, b) = (&self.a, &self.b);
        libpq(
            &format!(
                "host={},{} port={},{} user=postgres dbname=postgres connect_timeout={patience} \
                target_session_attrs={attrs}",
                a.host(),
                b.host(),
                a.port(),
                b.port()
            ),
            &[],
        )
    }

    /// Compares one attempt with psql for every value of `target_session_attrs`.
    #[track_caller]
    fn agrees_with_psql(&self, state: &str) {
        for attrs in ["any", "read-write", "read-only", "primary", "standby", "prefer-standby"] {
            let url = self.url(attrs) + "#attempt-timeout=60s";
            let done = Afterall::once().arg(&url).run().any_stdout().any_stderr();
            let theirs = self.psql(attrs, 30);
            let ours = done.status().code();
            let said = done.stdout_text();
            assert_eq!(ours == Some(0), theirs.is_ok(), "{state}, {attrs}: {said} {theirs:?}");
        }
    }

    /// A wait for a writable server that begins now.
    fn waits_for_the_primary(&self) -> crate::support::Running {
        let waiting = Afterall::waiting_for([self.url("read-write")]).spawn();
        waiting.wait_for_stderr("db: waiting: ", secs(20));
        waiting
    }
}

#[test]
fn a_promoted_standby_is_found_after_a_crash() {
    let pair = Pair::new();
    pair.agrees_with_psql("primary and standby");
    pair.a.stop(Shutdown::Immediate);
    pair.agrees_with_psql("the primary crashed");
    let waiting = pair.waits_for_the_primary();
    pair.b.promote();
    waiting.done().code(0).stderr_has("db: ready: PostgreSQL ");
    pair.agrees_with_psql("the standby is promoted");
    // The old primary returns and still acts as a primary.
    pair.a.start();
    pair.agrees_with_psql("two primaries");
}

#[test]
fn a_promoted_standby_is_found_during_a_smart_shutdown() {
    let pair = Pair::new();
    let session = pair.a.session("postgres");
    pair.a.begin_stop(Shutdown::Smart);
    wait_until("the primary rejects newcomers", LONG, || {
        pair.a.login("postgres", "", "postgres").is_err()
    });
    pair.agrees_with_psql("the primary shuts down");
    let waiting = pair.waits_for_the_primary();
    pair.b.promote();
    waiting.done().code(0).any_stderr();
    pair.agrees_with_psql("the standby is promoted during the shutdown");
    drop(session);
}

#[test]
fn a_primary_that_crashes_while_another_dependency_is_awaited_is_lost() {
    let (pair, dir) = (Pair::new(), Dir::new());
    let gate = format!("gate=file:{}", dir.text("gate"));
    let waiting = Afterall::waiting_for([pair.url("read-write"), gate]).spawn();
    waiting.wait_for_stderr("db: ready: PostgreSQL ", secs(20));
    let ready = waiting.elapsed();
    pair.a.stop(Shutdown::Immediate);
    wait_until("the success is older than a second", LONG, || waiting.elapsed() > ready + secs(1));
    dir.write("gate", "");
    waiting.wait_for_stderr("db: waiting: ", secs(20));
    pair.b.promote();
    waiting.done().code(0).any_stderr();
}

#[test]
fn a_promoted_standby_is_found_beside_a_frozen_primary() {
    let pair = Pair::new();
    pair.a.pause();
    let waiting = pair.waits_for_the_primary();
    pair.b.promote();
    let promoted = waiting.elapsed();
    let done = waiting.done().code(0).any_stderr();
    // Half of an attempt of 5 s is the frozen server's share. The rest is for a loaded machine.
    let late = done.elapsed() - promoted;
    assert!(late < secs(30), "found {late:?} after the promotion: {}", done.stderr_text());
    assert_eq!(pair.psql("read-write", 10), Ok(()));
    pair.a.resume();
}
