//! Our verdict beside psql's: ready exactly where libpq gets in.

use crate::support::postgres::libpq;
use crate::support::{Afterall, Authority, Dir, Postgres};
use std::thread;

/// The connection strings that were tried. The two never disagree.
#[derive(Default)]
pub(super) struct Compared {
    tried: usize,
    ready: usize,
    differences: Vec<String>,
}

impl Compared {
    pub(super) fn compare(&mut self, pairs: &str, env: &[(&str, &str)]) {
        let theirs = libpq(pairs, env);
        let run = Afterall::once().arg(format!("db=postgres:{pairs}"));
        let done = env.iter().fold(run, |run, (name, value)| run.env(name, value)).run();
        let code = done.status().code();
        let said = format!("{}{}", done.stdout_text(), done.stderr_text());
        assert!(matches!(code, Some(0 | 64 | 69)), "{pairs}: {said}");
        self.tried += 1;
        self.ready += usize::from(theirs.is_ok());
        if theirs.is_ok() != (code == Some(0)) {
            self.differences
                .push(format!("{pairs} {env:?}\n  psql: {theirs:?}\n  we: {code:?} {said}"));
        }
    }

    #[track_caller]
    pub(super) fn agree(&self) {
        assert!(self.differences.is_empty(), "{}", self.differences.join("\n"));
        assert!(
            self.ready > 0 && self.ready < self.tried,
            "{} of {} are ready: that compares little",
            self.ready,
            self.tried
        );
    }
}

#[test]
fn every_sslmode_root_and_host_name_matches_psql() {
    let (authority, stranger, home) =
        (Authority::new("authority"), Authority::new("stranger"), Dir::new());
    home.write(".postgresql/root.crt", std::fs::read(authority.cert_path()).unwrap());
    let (with, without) = (Postgres::started(), Postgres::started());
    with.tls(&authority.server(&["localhost"]), None);
    for role in ["anyhow", "encrypted", "plain"] {
        with.psql(&format!("create role {role} login"));
        without.psql(&format!("create role {role} login"));
    }
    let rules = [
        "host all anyhow all trust",
        "hostssl all encrypted all trust",
        "hostnossl all plain all trust",
    ];
    with.hba(&rules);
    without.hba(&rules);
    let servers = [
        (&with, "anyhow"),
        (&with, "encrypted"),
        (&with, "plain"),
        (&without, "anyhow"),
        (&without, "encrypted"),
    ];
    let (empty, home) = (home.text("empty"), home.path().to_str().unwrap());
    let (ours, theirs) = (authority.cert_text(), stranger.cert_text());
    let roots =
        [("", empty.as_str()), ("", home), (ours, &empty), (theirs, &empty), (theirs, home)];
    let compare = |(server, role): (&Postgres, &str)| {
        let mut compared = Compared::default();
        for host in ["localhost", &server.host()] {
            for mode in ["", "disable", "allow", "prefer", "require", "verify-ca", "verify-full"] {
                for (root, home) in roots {
                    let named = |key: &str, value: &str| {
                        if value.is_empty() { String::new() } else { format!(" {key}={value}") }
                    };
                    let to = format!(
                        "host={host} hostaddr={} port={} dbname=postgres user={role}",
                        server.host(),
                        server.port()
                    );
                    let pairs = to + &named("sslmode", mode) + &named("sslrootcert", root);
                    compared.compare(&pairs, &[("HOME", home)]);
                }
            }
        }
        compared
    };
    thread::scope(|scope| {
        let all: Vec<_> =
            servers.into_iter().map(|server| scope.spawn(move || compare(server))).collect();
        let mut total = Compared::default();
        for compared in all {
            let compared = compared.join().unwrap();
            total.tried += compared.tried;
            total.ready += compared.ready;
            total.differences.extend(compared.differences);
        }
        assert_eq!(total.tried, 5 * 2 * 7 * 5);
        total.agree();
    });
}

/// The one exception. libpq refuses to verify if no root is named. The drivers of Go and .NET read
/// the same URLs and trust the system's roots. So does afterall: that verifies no less.
#[test]
fn without_a_root_the_systems_are_trusted_with_a_remark() {
    let authority = Authority::new("authority");
    let server = Postgres::started();
    server.tls(&authority.server(&["localhost", &server.host()]), None);
    let pairs = format!(
        "host={} port={} dbname=postgres user=postgres sslmode=verify-full",
        server.host(),
        server.port()
    );
    let complaint = libpq(&pairs, &[("HOME", "/none")]).unwrap_err();
    assert!(complaint.contains("root certificate file"), "{complaint}");
    let run = |ca: &str| {
        let run = Afterall::once().arg("-v").arg(format!("db=postgres:{pairs}"));
        run.env("HOME", "/none").env("SSL_CERT_FILE", ca).env("SSL_CERT_DIR", "/none").run()
    };
    let remark = "afterall: db: sslmode=verify-full names no sslrootcert: the system's \
        certificates are trusted (libpq would refuse)\n";
    run(authority.cert_text()).code(0).stdout_has("ready").stderr(remark);
    run(Authority::new("stranger").cert_text()).code(69).stdout_has("[class=tls]").stderr(remark);
}

#[test]
fn client_certificates_log_in_as_psqls_do() {
    let (authority, stranger, dir) =
        (Authority::new("authority"), Authority::new("stranger"), Dir::new());
    let server = Postgres::started();
    server.tls(&authority.server(&["localhost"]), Some(authority.cert_path()));
    server.psql(
        "create role app login; create role other login; create role strict login password \
        's3cr3t'",
    );
    server.hba(&[
        "hostssl all strict all scram-sha-256 clientcert=verify-full",
        "hostssl all all all cert",
    ]);
    let (app, strict, wrong) =
        (authority.client("app"), authority.client("strict"), stranger.client("app"));
    let readable = dir.write("readable.key", std::fs::read(&app.key).unwrap());
    let group = dir.write_with_mode("group.key", 0o640, std::fs::read(&app.key).unwrap());
    let (readable, group) = (readable.to_str().unwrap(), group.to_str().unwrap());
    let mut compared = Compared::default();
    for mode in ["disable", "prefer", "require", "verify-full"] {
        for role in ["app", "other", "strict password=s3cr3t", "strict password=wrong"] {
            for (cert, key) in [
                ("", ""),
                (app.cert_text(), app.key_text()),
                (strict.cert_text(), strict.key_text()),
                (wrong.cert_text(), wrong.key_text()),
                (app.cert_text(), strict.key_text()),
                (app.cert_text(), readable),
                (app.cert_text(), group),
            ] {
                let identity = if cert.is_empty() {
                    String::new()
                } else {
                    format!(" sslcert={cert} sslkey={key}")
                };
                let root = authority.cert_text();
                let pairs = format!(
                    "host=localhost hostaddr={} port={} dbname=postgres",
                    server.host(),
                    server.port()
                );
                compared.compare(
                    &format!("{pairs} user={role} sslmode={mode} sslrootcert={root}{identity}"),
                    &[],
                );
            }
        }
    }
    compared.agree();
    let url = format!(
        "db=postgres://app@{}/postgres?sslmode=require&sslcert={}&sslkey={readable}",
        server.address(),
        app.cert_text()
    );
    let done = Afterall::waiting_for([url]).run().code(64);
    done.stderr_has(&format!("db: sslkey: {readable}: its mode is 0644, and must be 0600 or less"));
}

#[test]
fn passwords_log_in_as_psqls_do_whatever_the_server_asks_for() {
    let server = Postgres::started();
    server.psql("create role scram login password 's3cr3t'; create role empty login");
    server.psql(
        "set password_encryption = md5; create role old login password 's3cr3t'; create role clear \
        login password 's3cr3t'",
    );
    server.hba(&[
        "host all old all md5",
        "host all clear all password",
        "host all empty all scram-sha-256",
        "host all all all md5",
    ]);
    let mut compared = Compared::default();
    for role in ["scram", "old", "clear", "empty", "missing"] {
        for password in ["", " password=s3cr3t", " password=wrong", " password='s3cr3t '"] {
            let pairs = format!(
                "host={} port={} dbname=postgres user={role}{password}",
                server.host(),
                server.port()
            );
            compared.compare(&pairs, &[]);
        }
    }
    for (name, value) in [
        ("PGPASSWORD", "s3cr3t"),
        ("PGPASSWORD", "wrong"),
        ("PGUSER", "old"),
        ("PGSSLMODE", "require"),
        ("PGSSLMODE", "x"),
    ] {
        compared.compare(
            &format!("host={} port={} dbname=postgres user=scram", server.host(), server.port()),
            &[(name, value)],
        );
        compared.compare(
            &format!(
                "host={} port={} dbname=postgres user=old password=s3cr3t",
                server.host(),
                server.port()
            ),
            &[(name, value)],
        );
    }
    compared.agree();
}

#[test]
fn password_files_services_and_variables_lead_where_psqls_do() {
    let (server, home) = (Postgres::started(), Dir::new());
    server.psql(
        "create role app login password 's3cr3t'; create role other login password 'an:ot\\her'",
    );
    server.psql("create database app owner app");
    server.hba(&["host all all all scram-sha-256"]);
    let (host, port) = (server.host(), server.port().to_string());
    home.write_secret(
        ".pgpass",
        format!(
            "# comment\n{host}:{port}:app:app:s3cr3t\n*:*:postgres:other:an\\:ot\\\\her\n\
            *:1:*:*:wrong\n*:*:*:app:wrong\n"
        ),
    );
    let readable = home.write("readable", "*:*:*:*:s3cr3t\n").display().to_string();
    let second = home.write_secret("second", "*:*:*:app:s3cr3t\n").display().to_string();
    let service = format!(
        "[app]\nhost={host}\nport={port}\nuser=app\n[other]\nhost={host}\nport={port}\nuser=other\n\
        dbname=postgres\n"
    );
    home.write(".pg_service.conf", &service);
    let services = home.write("services", service.replace("[app]", "[mine]")).display().to_string();
    let base = home.path().to_str().unwrap();
    let mut compared = Compared::default();
    let to = format!("host={host} port={port}");
    for (pairs, env) in [
        (format!("{to} user=app dbname=app"), &[][..]),
        (format!("{to} user=app"), &[]),
        (format!("{to} user=app dbname=postgres"), &[]),
        (format!("{to} user=other dbname=postgres"), &[]),
        (format!("{to} user=other dbname=app"), &[]),
        (format!("{to} user=app dbname=postgres"), &[("PGPASSFILE", second.as_str())]),
        (format!("{to} user=app dbname=postgres passfile={second}"), &[("PGPASSFILE", "/none")]),
        (format!("{to} user=app dbname=postgres passfile={readable}"), &[]),
        (format!("{to} user=app dbname=postgres passfile=/none"), &[]),
        (format!("{to} user=app dbname=app"), &[("PGPASSWORD", "wrong")]),
        ("service=app".to_owned(), &[]),
        ("service=other".to_owned(), &[]),
        ("service=other user=app dbname=app".to_owned(), &[]),
        ("service=mine".to_owned(), &[]),
        ("service=mine".to_owned(), &[("PGSERVICEFILE", services.as_str())]),
        ("service=none".to_owned(), &[]),
        ("service=app port=1".to_owned(), &[]),
        ("dbname=app".to_owned(), &[("PGSERVICE", "app")]),
        ("dbname=app".to_owned(), &[("PGSERVICE", "app"), ("PGPORT", "1")]),
        (
            "dbname=postgres".to_owned(),
            &[("PGHOST", host.as_str()), ("PGPORT", port.as_str()), ("PGUSER", "other")],
        ),
        (
            "user=app".to_owned(),
            &[("PGHOSTADDR", host.as_str()), ("PGPORT", port.as_str()), ("PGDATABASE", "app")],
        ),
        (
            "user=app".to_owned(),
            &[("PGHOSTADDR", host.as_str()), ("PGHOST", "none.test"), ("PGPORT", port.as_str())],
        ),
        (format!("{to} user=app dbname=app target_session_attrs=standby"), &[]),
        (format!("{to} user=app dbname=app target_session_attrs=read-write"), &[]),
        (format!("{to} user=app dbname=app target_session_attrs=master"), &[]),
        (format!("host=127.0.0.1,{host} port=1,{port} user=app dbname=app"), &[]),
        (format!("host=127.0.0.1,{host} port=1,{port},2 user=app dbname=app"), &[]),
        (format!("host={host} port=0 user=app dbname=app"), &[]),
        (format!("{to} user=app dbname=app connect_timeout=x"), &[]),
        (format!("{to} user=app dbname=app options='-c search_path=x'"), &[]),
        (format!("{to} user=app dbname=app options='-c nonsense=x'"), &[]),
    ] {
        let env: Vec<_> = env.iter().copied().chain([("HOME", base)]).collect();
        compared.compare(&pairs, &env);
    }
    compared.agree();
}

#[test]
fn of_primary_and_standby_those_are_chosen_that_psql_chooses() {
    let (primary, standby) = (Postgres::started(), Postgres::standby());
    let server = |server: &Postgres| (server.host(), server.port().to_string());
    let (p, s) = (server(&primary), server(&standby));
    let mut compared = Compared::default();
    for servers in [vec![&p], vec![&s], vec![&p, &s], vec![&s, &p], vec![&s, &s]] {
        let join = |part: &dyn Fn(&(String, String)) -> &str| {
            servers.iter().map(|server| part(server)).collect::<Vec<_>>().join(",")
        };
        let (hosts, ports) = (join(&|server| &server.0), join(&|server| &server.1));
        for attrs in ["any", "read-write", "read-only", "primary", "standby", "prefer-standby"] {
            let pairs = format!(
                "host={hosts} port={ports} user=postgres dbname=postgres \
                target_session_attrs={attrs}"
            );
            compared.compare(&pairs, &[]);
        }
    }
    assert_eq!(compared.tried, 5 * 6);
    compared.agree();
}

#[test]
fn every_parameter_decides_as_it_does_for_psql() {
    let (authority, server, none) =
        (Authority::new("authority"), Postgres::started(), Postgres::started());
    server.tls(&authority.server(&["localhost"]), None);
    server.conf("ssl_max_protocol_version = 'TLSv1.2'");
    server.reload();
    server.psql("create role app login password 's3cr3t'; create role old login");
    server.psql("set password_encryption = md5; alter role old password 's3cr3t'");
    server.hba(&["local all all trust", "host all old all md5", "host all all all scram-sha-256"]);
    none.hba(&["host all all all trust"]);
    let user = String::from_utf8(
        std::process::Command::new("stat")
            .args(["-c", "%U"])
            .arg(server.data())
            .output()
            .unwrap()
            .stdout,
    )
    .unwrap();
    let socket = format!("requirepeer={} host={}", user.trim(), server.socket_dir());
    let wrong = format!("requirepeer=nobody_at_all host={}", server.socket_dir());
    let mut compared = Compared::default();
    for parameters in [
        "",
        "keepalives=0",
        "keepalives=x",
        "keepalives_idle=x",
        "tcp_user_timeout=10",
        "tcp_user_timeout=abc",
        "client_encoding=LATIN1",
        "client_encoding=auto",
        "client_encoding=bogus",
        "replication=off",
        "replication=true",
        "gssencmode=disable",
        "gssencmode=require",
        "gssencmode=x",
        "krbsrvname=x",
        "sslcompression=1",
        "sslsni=0",
        "fallback_application_name=x",
        "require_auth=x",
        "channel_binding=require",
        "channel_binding=prefer",
        "channel_binding=x",
        "channel_binding=require sslmode=disable",
        "channel_binding=require user=old",
        "channel_binding=prefer user=old",
        "ssl_min_protocol_version=TLSv1.3",
        "ssl_min_protocol_version=TLSv1.2",
        "ssl_max_protocol_version=TLSv1.2",
        "ssl_min_protocol_version=x",
        "ssl_min_protocol_version=TLSv1.3 sslmode=disable",
        "sslcert=/none sslkey=/none",
        "sslkey=/none",
        "sslrootcert=/none",
        "sslrootcert=/none sslmode=verify-ca",
        "connect_timeout=0",
        "password='' ",
        &socket,
        &wrong,
    ] {
        // psql 15 does not know require_auth.
        if parameters.starts_with("require_auth") {
            continue;
        }
        for mode in ["prefer", "require"] {
            let pairs = format!(
                "host={} port={} dbname=postgres user=app password=s3cr3t sslmode={mode} \
                {parameters}",
                server.host(),
                server.port()
            );
            compared.compare(&pairs, &[("HOME", "/none")]);
        }
    }
    let to = format!("host={} port={} dbname=postgres user=app", none.host(), none.port());
    for (name, value) in [
        ("PGCHANNELBINDING", "require"),
        ("PGSSLMINPROTOCOLVERSION", "x"),
        ("PGSSLCERT", "/none"),
        ("PGCLIENTENCODING", "bogus"),
        ("PGSSLSNI", "0"),
        ("PGGSSENCMODE", "x"),
    ] {
        compared.compare(&to, &[(name, value)]);
    }
    compared.agree();
}

#[test]
fn a_refusal_ends_the_list_as_it_does_for_psql() {
    let (refuses, admits) = (Postgres::started(), Postgres::started());
    for server in [&refuses, &admits] {
        server.psql(
            "create role app login password 's3cr3t'; create role full login password 's3cr3t' \
            connection limit 0",
        );
        server.hba(&["host all all all scram-sha-256"]);
    }
    refuses.psql("alter role app password 'other'");
    admits.psql("alter role full connection limit -1");
    let starting = Postgres::starting_up();
    let mut compared = Compared::default();
    let gone = ("127.0.0.1".to_owned(), "1".to_owned());
    let at = |server: &Postgres| (server.host(), server.port().to_string());
    for first in [at(&refuses), at(&starting), gone] {
        for (user, database) in
            [("app", "postgres"), ("full", "postgres"), ("full", "here"), ("nobody", "postgres")]
        {
            let (host, port) = at(&admits);
            compared.compare(
                &format!(
                    "host={},{host} port={},{port} user={user} password=s3cr3t dbname={database}",
                    first.0, first.1
                ),
                &[],
            );
        }
    }
    compared.agree();
    // pgjdbc goes on, and a refusal is reported as the end of the list.
    let (first, second) = (refuses.address(), admits.address());
    let jdbc = format!("jdbc:postgresql://{first},{second}/postgres?user=app&password=s3cr3t");
    Afterall::once().arg(jdbc).run().code(0).stdout_has("ready");
    let url = format!("postgres://app:s3cr3t@{first},{second}/postgres");
    let done = Afterall::once().arg(url).run().code(69);
    done.stdout_has("28P01").stdout_has("a refusal ends the list of servers");
}
