//! `postgres:` against a real PostgreSQL; scripted servers only for what a real one cannot show.

mod clients;
mod dialects;
mod failover;
mod libpq;
mod pooler;
mod tls;

use crate::support::look::once;
use crate::support::{
    Afterall, Authority, Dir, Postgres, Scripted, Shutdown, ms, secs, sh, wait_until,
};
use std::io::Read;
use std::sync::{Arc, Mutex};

/// A server's process ends a little later than its client.
fn no_session_is_left(server: &Postgres) {
    let left = "select count(*) from pg_stat_activity where application_name = 'afterall'";
    wait_until("the server has ended all our sessions", secs(20), || server.psql(left) == "0");
}

fn with_query(server: &Postgres, sql: &str) -> String {
    let sql: String = sql.bytes().map(|byte| format!("%{byte:02X}")).collect();
    format!("{}#query={sql}", server.superuser_url())
}

#[test]
fn a_late_role_password_and_database_are_waited_for() {
    let server = Postgres::started();
    server.hba(&["host all all all scram-sha-256"]);
    let waiting = Afterall::waiting_for([format!("db={}", server.url("app", "s3cr3t", "app"))])
        .becoming(sh("echo started"))
        .spawn();
    waiting.wait_for_stderr("28P01: password authentication failed for user \"app\"", secs(20));
    waiting.wait_for_stderr(
        "wrong password, or the role or its password does not exist yet",
        secs(20),
    );
    server.psql("create role app login password 's3cr3t'");
    waiting.wait_for_stderr("3D000: database \"app\" does not exist", secs(20));
    server.psql("create database app");
    waiting
        .done()
        .code(0)
        .stdout("started\n")
        .stderr_has("db: ready: PostgreSQL ")
        .says_nowhere("s3cr3t");
}

#[test]
fn a_server_that_is_starting_is_waited_for() {
    let server = Postgres::starting_up();
    let waiting = Afterall::waiting_for([format!("db={}", server.superuser_url())]).spawn();
    waiting.wait_for_stderr(&format!("57P03: {}", Postgres::starting_up_words()), secs(20));
    server.promote();
    waiting.done().code(0).stderr_has("[class=busy attempt=1");
}

#[test]
fn a_server_in_shutdown_is_busy_and_a_stopped_one_is_down() {
    let server = Postgres::started();
    let session = server.session("postgres");
    server.begin_stop(Shutdown::Smart);
    let waiting =
        Afterall::waiting_for([format!("db={}#until=down", server.superuser_url())]).spawn();
    waiting.wait_for_stderr("57P03: the database system is shutting down", secs(20));
    drop(session);
    waiting.done().code(0).any_stderr();
}

#[test]
fn a_server_that_is_paused_costs_one_attempt_and_no_more() {
    let server = Postgres::started();
    server.pause();
    let url = format!("db={}#attempt-timeout=1s", server.superuser_url());
    let waiting = Afterall::waiting_for([url]).spawn();
    waiting.wait_for_stderr("no answer to the request for TLS within 1.0s", secs(20));
    server.resume();
    waiting.done().code(0).any_stderr();
}

#[test]
fn a_server_that_is_full_is_waited_for() {
    let server = Postgres::new();
    for line in ["max_connections = 5", "superuser_reserved_connections = 1", "max_wal_senders = 1"]
    {
        server.conf(line);
    }
    server.start();
    // One session, and none that may still be ending.
    let mut superuser = server.session("postgres");
    superuser.run("create role app login;");
    let taken: Vec<_> = (0..3).map(|_| server.session_as("app", "", "postgres")).collect();
    let waiting =
        Afterall::waiting_for([format!("db={}", server.url("app", "", "postgres"))]).spawn();
    waiting.wait_for_stderr("53300: remaining connection slots are reserved", secs(20));
    drop(taken);
    waiting.done().code(0).stderr_has("[class=busy attempt=1");
}

#[test]
fn a_success_leaves_no_line_in_the_servers_log() {
    let authority = Authority::new("authority");
    let server = Postgres::started();
    server.tls(&authority.server(&["127.0.0.1", "localhost"]), None);
    server.psql(
        "create role app login password 'x'; set password_encryption = md5; create role old login \
        password 'x'",
    );
    server.hba(&[
        "local all all trust",
        "host all postgres all trust",
        "host all old all md5",
        "host all all all scram-sha-256",
    ]);
    let before = server.log().len();
    let socket =
        format!("postgres:host={} port={} user=postgres", server.socket_dir(), server.port());
    let urls = [
        server.superuser_url(),
        format!("{}?sslmode=disable", server.superuser_url()),
        format!("{}?target_session_attrs=read-write&sslmode=require", server.superuser_url()),
        server.url("app", "x", "postgres"),
        format!("{}?sslmode=require", server.url("old", "x", "postgres")),
        format!("{}#query=select%20true", server.url("app", "x", "postgres")),
        socket,
    ];
    for url in &urls {
        for _ in 0..5 {
            once(url).code(0).stdout_has("ready");
        }
    }
    assert_eq!(server.log_after(before), "");
    no_session_is_left(&server);
}

#[test]
fn every_sslmode_says_why_it_does_not_get_in() {
    let (authority, stranger) = (Authority::new("authority"), Authority::new("stranger"));
    let server = Postgres::started();
    server.tls(&authority.server(&["localhost"]), Some(&authority.cert));
    server.psql("create role plain login; create role tls login; create role \"cert\" login");
    server.hba(&[
        "hostnossl all plain all trust",
        "hostssl all tls all trust",
        "hostssl all cert all cert",
        "host all postgres all trust",
    ]);
    let client = authority.client("cert");
    let (ours, theirs) = (authority.cert_text(), stranger.cert_text());
    let (port, address) = (server.port(), server.host());
    let identity = format!("sslcert={} sslkey={}", client.cert_text(), client.key_text());
    for (user, rest, want) in [
        ("postgres", "sslmode=disable", "ready"),
        ("postgres", "sslmode=require", "ready"),
        ("postgres", &format!("sslmode=require sslrootcert={ours}"), "ready"),
        ("postgres", &format!("sslmode=require sslrootcert={theirs}"), "class=tls"),
        ("postgres", &format!("sslmode=prefer sslrootcert={theirs}"), "ready"),
        ("postgres", &format!("sslmode=verify-ca sslrootcert={ours}"), "ready"),
        ("postgres", &format!("sslmode=verify-ca sslrootcert={theirs}"), "class=tls"),
        (
            "postgres",
            &format!("sslmode=verify-full sslrootcert={ours}"),
            "certificate not valid for",
        ),
        ("postgres", &format!("sslmode=verify-full sslrootcert={ours} host=localhost"), "ready"),
        ("plain", "sslmode=prefer", "ready"),
        ("plain", "sslmode=allow", "ready"),
        ("plain", "sslmode=require", "28000: no pg_hba.conf entry"),
        ("tls", "sslmode=disable", "28000: no pg_hba.conf entry"),
        ("tls", "sslmode=allow", "ready"),
        ("tls", "sslmode=prefer", "ready"),
        ("cert", "sslmode=require", "class=auth"),
        ("cert", &format!("sslmode=require {identity}"), "ready"),
    ] {
        let url = format!(
            "db=postgres:host={address} hostaddr={address} port={port} dbname=postgres user={user} \
            {rest}"
        );
        once(&url).code(if want == "ready" { 0 } else { 69 }).stdout_has(want);
    }
}

#[test]
fn required_tls_sends_only_the_tls_request_in_clear() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let ears = Arc::clone(&heard);
    let server = Scripted::new(move |_, mut stream| {
        let mut bytes = vec![0; 1024];
        let n = stream.read(&mut bytes).unwrap_or(0);
        ears.lock().unwrap().push(bytes[..n].to_vec());
    });
    for rest in [
        "?sslmode=require",
        "?sslmode=verify-ca",
        "?sslmode=verify-full",
        "#server-name=x",
        "#insecure",
    ] {
        let url = format!("db=postgres://app:s3cr3t@{}/app{rest}", server.address());
        Afterall::new().args(["-t", "150ms"]).arg(url).run().code(124).any_stderr();
    }
    let heard = heard.lock().unwrap();
    assert!(heard.len() >= 5, "one attempt each");
    // An attempt that the deadline cut may have reported nothing yet.
    let is_request = |bytes: &Vec<u8>| bytes.is_empty() || bytes == &[0, 0, 0, 8, 4, 210, 22, 47];
    assert!(heard.iter().all(is_request), "{heard:?}");
}

#[test]
fn a_query_is_true_or_waited_for_or_wrong() {
    let server = Postgres::started();
    server.psql("create table t (done boolean, n int); insert into t values (true, 1)");
    for (sql, code, want) in [
        ("select true", 0, "ready"),
        ("select done, n from t;", 0, "ready"),
        ("select false", 69, "query: false"),
        ("select null::boolean", 69, "query: NULL"),
        ("select true where false", 69, "query: no row"),
        ("select true from generate_series(1, 3)", 69, "query: several rows"),
        ("select true from missing", 69, "42P01: relation \"missing\" does not exist"),
        ("select missing()", 69, "class=absent"),
        ("select 1", 69, "its first column must be boolean, and is integer (127.0.0.1"),
        ("selec true", 69, "42601: syntax error"),
        ("select nope from t", 69, "42703: column \"nope\" does not exist"),
        ("select true; select true", 69, "42601"),
        (
            "insert into t values (true, 2) returning true",
            69,
            "25006: cannot execute INSERT in a read-only transaction",
        ),
        ("truncate t", 69, "must be a SELECT"),
        ("commit", 69, "must be a SELECT"),
        ("select done from t where n = $1", 69, "must have no parameters"),
    ] {
        let want = want.replace("127.0.0.1", &server.host());
        once(&with_query(&server, sql)).code(code).stdout_has(&want);
    }
    assert_eq!(server.psql("select count(*) from t"), "1");
}

#[test]
fn a_true_query_is_ready_and_an_invalid_one_is_final() {
    let server = Postgres::started();
    server.psql("create table t (done boolean); insert into t values (false)");
    let waiting =
        Afterall::waiting_for([format!("db={}", with_query(&server, "select done from t"))])
            .spawn();
    waiting.wait_for_stderr("query: false", secs(20));
    server.psql("update t set done = true");
    waiting.done().code(0).any_stderr();
    let wrong = format!("db={}", with_query(&server, "select 1"));
    Afterall::waiting_for([wrong])
        .run()
        .code(69)
        .stderr_has("cannot become ready")
        .took(..secs(20));
}

#[test]
fn a_query_behind_a_lock_delays_nothing_else() {
    let server = Postgres::started();
    server.psql("create table t (done boolean); insert into t values (true)");
    let mut migrator = server.session("postgres");
    migrator.run("begin; lock table t in access exclusive mode;");
    let url = format!("db={},attempt-timeout=500ms", with_query(&server, "select done from t"));
    let waiting = Afterall::waiting_for([url]).spawn();
    waiting.wait_for_stderr("55P03: canceling statement due to lock timeout", secs(20));
    migrator.run("commit;");
    waiting.done().code(0).stderr_has("another transaction holds a lock");
}

#[test]
fn a_password_that_is_missing_is_waited_for() {
    let server = Postgres::started();
    server.psql("create role app login password 'x'");
    server.hba(&["host all all all scram-sha-256"]);
    let url = format!("db={}", server.url("app", "", "postgres"));
    const ASKED: &str = "the server asks for a password of \"app\", and none is given";
    Afterall::once().arg(&url).run().code(69).stdout_has(ASKED);
    // The other side can mend it too: pg_hba.conf may be provisioned late.
    let waiting = Afterall::waiting_for([&url]).spawn();
    waiting.wait_for_stderr(ASKED, secs(20));
    server.hba(&["host all all all trust"]);
    waiting.done().code(0).stderr_has("[class=auth").stderr_has("ready");
    server.hba(&["host all all all scram-sha-256"]);
    // From a variable, a file, a service and a key.
    let dir = Dir::new();
    let passfile = dir.write_secret("pgpass", "*:*:postgres:app:x\n").display().to_string();
    let readable =
        dir.write_with_mode("readable", 0o644, "*:*:postgres:app:x\n").display().to_string();
    let service = dir
        .write("services", "[mine]\nuser=app\npassword=x\ndbname=postgres\n")
        .display()
        .to_string();
    let once = || Afterall::once();
    once().arg(&url).env("PGPASSWORD", "x").run().code(0).any_stdout();
    once().arg(&url).env("PGPASSFILE", &passfile).run().code(0).any_stdout();
    once().arg(&url).env("PGPASSFILE", &readable).run().code(69).stdout_has("its mode is 0644");
    once().arg(format!("{url}#passfile={passfile}")).run().code(0).any_stdout();
    once().arg(format!("{url}#password=x")).run().code(0).any_stdout();
    let (host, port) = (server.host(), server.port().to_string());
    let elsewhere = [
        ("PGHOST", host.as_str()),
        ("PGPORT", &port),
        ("PGSERVICEFILE", &service),
        ("PGSERVICE", "mine"),
    ];
    let from_env =
        elsewhere.iter().fold(once(), |afterall, (name, value)| afterall.env(name, value));
    from_env.arg("postgres:").run().code(0).any_stdout();
}

#[test]
fn what_is_not_postgresql_is_told_for_what_it_is() {
    for (says, want) in [
        (&b"INFO {\"server_id\":\"x\"}\r\n"[..], "not PostgreSQL, it says: INFO"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "not PostgreSQL, it says: HTTP/1.1 400 Bad Request"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "not PostgreSQL, it says: SSH-2.0-OpenSSH_9.2"),
        (b"J\0\0\0\x0a8.0.36\0", "not PostgreSQL"),
        (b"R\x7f\xff\xff\xff", "not PostgreSQL"),
    ] {
        let server = Scripted::saying(says);
        for rest in ["", "?sslmode=disable", "?sslmode=require"] {
            let url = format!("postgres://app@{}/app{rest}", server.address());
            once(&url).code(69).stdout_has(want).took(..secs(4));
        }
    }
    let closing = Scripted::closing();
    let done = once(&format!("postgres://app@{}/app", closing.address()));
    done.code(69).stdout_has("[class=connect]");
}

#[test]
fn of_several_servers_the_one_that_is_wanted_is_found() {
    let (standby, primary) = (Postgres::started(), Postgres::started());
    // The parameter that read-write checks has the same value on a standby.
    standby.psql("alter system set default_transaction_read_only = on");
    standby.reload();
    let list = |attrs: &str| {
        format!(
            "postgres://postgres@{},{}/postgres?target_session_attrs={attrs}",
            standby.address(),
            primary.address()
        )
    };
    once(&list("read-write")).code(0).stdout_has("ready");
    once(&list("read-only")).code(0).stdout_has("ready");
    once(&list("prefer-standby")).code(0).stdout_has("ready");
    once(&list("standby")).code(69).stdout_has("target_session_attrs=standby wants one");
    // A silent server has its share of the attempt and no more.
    standby.pause();
    let bounded = format!("{}#attempt-timeout=6s", list("any"));
    once(&bounded).code(0).stdout_has("ready");
    standby.resume();
    no_session_is_left(&primary);
}

#[test]
fn connect_timeout_bounds_each_server_until_it_is_ready_for_a_query() {
    let (silent, server) = (Scripted::silent(), Postgres::started());
    let alone =
        format!("postgres://u@{}/x?connect_timeout=1#attempt-timeout=20s", silent.address());
    once(&alone).code(69).stdout_has("within 1.0s [class=timeout]").took(ms(1000)..secs(10));
    let list = format!(
        "postgres://postgres@{},{}/postgres?connect_timeout=1#attempt-timeout=30s",
        silent.address(),
        server.address()
    );
    once(&list).code(0).stdout_has("ready").took(ms(1000)..secs(10));
}

#[test]
fn what_is_wrong_with_a_declaration_is_found_before_the_first_attempt() {
    for (url, want) in [
        ("postgres://db?sslmode=requrie", "verify-full; did you mean require?"),
        ("postgres://db?sslmode=disable#ca=/c", "db: ca: contradicts sslmode=disable"),
        (
            "postgres://db?channel_binding=maybe",
            "db: channel_binding (or PGCHANNELBINDING): must be one of disable, prefer, require",
        ),
        ("postgres://db?sslmode=verify-full&sslrootcert=/none", "/none: no such file or directory"),
        ("postgres://db#query=", "db: query: must be one SQL statement"),
        ("postgres:host=db,x port=1,2,3", "db: 3 ports for 2 hosts"),
        ("jdbc:sqlserver://db/app", "of the jdbc: URLs, only those of a known kind are understood"),
    ] {
        Afterall::waiting_for([format!("db={url}")])
            .run()
            .code(64)
            .stderr_has(want)
            .took(..ms(10_000));
    }
}

#[test]
fn a_wrong_password_is_retried_unless_fail_fast_makes_it_final() {
    let server = Postgres::started();
    server.psql("create role app login password 's3cr3t'");
    server.hba(&["host all all all scram-sha-256"]);
    let db = format!("db={}", server.url("app", "another", "postgres"));
    const HINT: &str = "hint: wrong password, or the role or its password does not exist yet\n";
    let done =
        Afterall::waiting_for([&db]).args(["-t", "1500ms"]).becoming(sh("echo started")).run();
    done.code(124).took(ms(1500)..secs(3)).stderr_has("db: timed out: 28P01: ").stderr_has(HINT);
    let done = Afterall::waiting_for([&db])
        .args(["--fail-fast", "auth", "-t", "50s"])
        .becoming(sh("echo started"))
        .run();
    done.code(69).took(..secs(5)).stderr_has("db: cannot become ready: 28P01: ").stderr_has(HINT);
}

#[test]
fn attempts_on_a_paused_server_are_cut_and_the_timeout_ends_them() {
    let server = Postgres::started();
    server.pause();
    let db = format!("db={}#timeout=2s,attempt-timeout=500ms", server.superuser_url());
    let done = Afterall::waiting_for([db]).becoming(sh("echo started")).run();
    done.code(124)
        .took(secs(2)..secs(3))
        .stderr_has("db: timed out: connected to ")
        .stderr_has("[class=timeout attempts=");
    server.resume();
}
