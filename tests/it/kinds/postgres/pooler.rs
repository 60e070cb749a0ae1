//! PgBouncer in front of a server. It answers in its own words, even if it has not reached the
//! server.

use crate::support::look::once;
use crate::support::postgres::libpq;
use crate::support::{Afterall, LONG, PgBouncer, Postgres, Shutdown, secs, sh, wait_until};
use std::io::{Read, Write};
use std::net::TcpStream;

fn with_users() -> Postgres {
    let server = Postgres::started();
    server.psql(
        "create role app login password 's3cr3t'; create table t (done boolean); insert into t \
        values (true); grant select on t to app",
    );
    server.hba(&["host all all all scram-sha-256"]);
    server
}

const MODES: [&str; 2] = ["session", "transaction"];

#[test]
fn a_session_through_it_asks_what_it_wants_in_every_pool_mode() {
    let server = with_users();
    for (mode, auth) in
        MODES.iter().flat_map(|mode| ["scram-sha-256", "md5", "plain"].map(|auth| (mode, auth)))
    {
        // All attempts share one connection behind it, so leftovers of one would affect the next.
        let settings = format!(
            "pool_mode = {mode}\nauth_type = {auth}\ndefault_pool_size = 1\nserver_reset_query ="
        );
        let bouncer = PgBouncer::before(&server, &settings);
        let url = format!("postgres://app:s3cr3t@{}/postgres", bouncer.address());
        for _ in 0..3 {
            once(&url).code(0).stdout_has("ready");
            once(&format!("{url}#query=select done from t")).code(0).stdout_has("ready");
            once(&format!("{url}#query=select not done from t"))
                .code(69)
                .stdout_has("query: false");
            once(&format!("{url}#query=select nope from t"))
                .code(69)
                .stdout_has("42703: column \"nope\" does not exist");
            once(&format!("{url}?target_session_attrs=read-write")).code(0).stdout_has("ready");
            once(&format!("{url}?target_session_attrs=standby")).code(69).stdout_has("standby");
            once(&format!("{url}?pgbouncer=true&connection_limit=1&statement_cache_size=0"))
                .code(0)
                .stdout_has("ready");
        }
        let open = "select count(*) from pg_stat_activity where state like 'idle in%'";
        wait_until("no transaction is left open", LONG, || server.psql(open) == "0");
        assert!(!bouncer.log().contains("unclean server"), "{}", bouncer.log());
    }
}

#[test]
fn each_refusal_is_classified_and_psql_is_refused_too() {
    let server = with_users();
    let settings = "pool_mode = transaction\nauth_type = scram-sha-256\nmax_client_conn = 20\n\
        server_login_retry = 1";
    let bouncer = PgBouncer::before(&server, settings);
    let (host, port) = (bouncer.host(), bouncer.port());
    for (rest, class, says) in [
        ("user=app password=wr0ng dbname=postgres", "auth", "08P01: SASL authentication failed"),
        (
            "user=nobody password=s3cr3t dbname=postgres",
            "auth",
            "wrong password, or the role or its password does not exist yet",
        ),
        ("user=app password=s3cr3t dbname=none", "absent", "no such database: none"),
        (
            "user=app password=s3cr3t dbname=missing",
            "absent",
            "database \"missing\" does not exist",
        ),
        // The server does not know this parameter, and the pooler forwards it unchanged.
        (
            "user=other password=s3cr3t dbname=postgres",
            "auth",
            "password authentication failed for user \"other\"",
        ),
        (
            "user=app password=s3cr3t dbname=postgres sslmode=require",
            "tls",
            "the server does not support TLS",
        ),
        (
            "user=app password=s3cr3t dbname=postgres options='-c geqo=off'",
            "config",
            "unsupported startup parameter",
        ),
    ] {
        let pairs = format!("host={host} port={port} {rest}");
        let complaint = libpq(&pairs, &[]).expect_err(rest);
        let done =
            once(&format!("db=postgres:{pairs}")).code(69).stdout_has(&format!("[class={class}]"));
        assert!(
            done.stdout_text().contains(says),
            "{rest}: {}\npsql: {complaint}",
            done.stdout_text()
        );
    }
    let full =
        PgBouncer::before(&server, "pool_mode = session\nauth_type = trust\nmax_client_conn = 1");
    let mut taken = TcpStream::connect(full.address()).unwrap();
    let parameters = b"\0\x03\0\0user\0app\0database\0postgres\0\0";
    taken
        .write_all(&[&(parameters.len() as u32 + 4).to_be_bytes()[..], parameters].concat())
        .unwrap();
    // The login is accepted: AuthenticationOk.
    taken.read_exact(&mut [0; 9]).unwrap();
    let url = format!("db=postgres://app@{}/postgres", full.address());
    once(&url)
        .code(69)
        .stdout_has("no more connections allowed (max_client_conn)")
        .stdout_has("[class=busy]");
}

#[test]
fn a_server_behind_it_that_comes_late_is_waited_for() {
    for mode in MODES {
        let server = with_users();
        server.stop(Shutdown::Fast);
        let settings = format!(
            "pool_mode = {mode}\nauth_type = scram-sha-256\nserver_login_retry = 1\n\
            server_connect_timeout = 2"
        );
        let bouncer = PgBouncer::before(&server, &settings);
        let url =
            format!("db=postgres://app:s3cr3t@{}/postgres#attempt-timeout=5s", bouncer.address());
        let waiting = Afterall::waiting_for([url]).becoming(sh("echo started")).spawn();
        waiting.wait_for_stderr("db: waiting: ", secs(20));
        server.start();
        waiting
            .done()
            .code(0)
            .stdout("started\n")
            .stderr_has("db: ready: PostgreSQL ")
            .says_nowhere("s3cr3t");
    }
}
