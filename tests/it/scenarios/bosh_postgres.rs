//! BOSH's PostgreSQL: it serves long before `create-database` has made the database, the role and
//! its rights, one after the other.

use crate::support::{Afterall, Counted, Postgres, secs, sh, wait_until};

/// The lines about the dependency, in order.
#[track_caller]
fn said_in_order(text: &str, needles: &[&str]) {
    let mut rest = text;
    for needle in needles {
        let found = rest.find(needle).unwrap_or_else(|| {
            panic!("{needle:?} is missing, or precedes the expected text before it:\n{text}")
        });
        rest = &rest[found..];
    }
}

#[test]
fn a_service_starts_once_after_server_database_and_role_appear_in_turn() {
    let postgres = Postgres::new();
    let service = Counted::doing("exec sleep 600");
    let url = format!("db={}", postgres.url("bosh", "", "bosh"));
    let waiting = Afterall::waiting_for([url]).becoming([service.path()]).spawn();
    waiting.wait_for_stderr("[class=connect", secs(20));
    postgres.start();
    // The role is looked up before the database.
    waiting.wait_for_stderr("28000: role \"bosh\" does not exist", secs(20));
    postgres.psql("create role bosh login");
    waiting.wait_for_stderr("3D000: database \"bosh\" does not exist", secs(20));
    assert_eq!(service.runs(), 0);
    postgres.psql("create database bosh");
    waiting.wait_for_stderr("db: ready: PostgreSQL", secs(20));
    wait_until("the service runs", secs(20), || service.runs() == 1);
    assert_eq!(service.pids(), [waiting.pid()]);
    said_in_order(&waiting.stderr_so_far(), &["[class=connect", "28000", "3D000", "db: ready: "]);
}

#[test]
fn a_query_waits_for_the_right_to_create_tables() {
    let postgres = Postgres::started();
    postgres.psql("create role bosh login");
    postgres.psql("create database bosh");
    // The default since PostgreSQL 15.
    postgres.psql_in("bosh", "revoke create on schema public from public");
    let url = postgres.url("bosh", "", "bosh");
    let migrate = format!(
        "exec {} -X -q -v ON_ERROR_STOP=1 {url} -c 'create table t ()'",
        Postgres::programs().join("psql").display()
    );
    // With the login alone the first migration fails, as it did for others.
    let failed = Afterall::waiting_for(["-q", &url]).becoming(sh(&migrate)).run();
    failed.code(1).stderr_has("permission denied for schema public");

    let query = format!("db={url}#query=select has_schema_privilege('public'%2C 'create')");
    let waiting = Afterall::waiting_for([query]).becoming(sh(&migrate)).spawn();
    waiting.wait_for_stderr("db: waiting: ", secs(20));
    postgres.psql_in("bosh", "grant all on schema public to bosh");
    waiting.done().code(0).any_stderr();
    assert_eq!(postgres.psql_in("bosh", "select count(*) from t"), "0");
}
