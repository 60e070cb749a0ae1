//! Every known failure of the protocols of Postgres, NATS and HTTP, with its class and its words.

use crate::support::{Afterall, Authority, Identity, Nats, Nginx, Postgres, Reserved, Scripted};

/// `config` may be found before the first attempt, where there is no class to show, or in one.
#[track_caller]
fn fails(url: &str, class: &str, says: &str) {
    let done = Afterall::once().arg(format!("x={url}")).run();
    let code = done.status().code();
    let said = format!("{}{}", done.stdout_text(), done.stderr_text());
    let as_expected = match code {
        Some(64) => class == "config",
        Some(69) => said.contains(&format!(" [class={class}]")),
        _ => false,
    };
    assert!(as_expected && said.contains(says), "{url}: expected {class}: {says}\n{code:?} {said}");
}

const NATS_SAYS: &str = "INFO {\"server_id\":\"x\",\"version\":\"2.9.10\"}\r\n";
const HTTP_SAYS: &str = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";

#[test]
fn every_failure_of_postgres_has_its_class_and_its_words() {
    let server = Postgres::started();
    for sql in [
        "create role app login password 's3cr3t'",
        "create role full login connection limit 0",
        "create role asleep nologin",
        "create role rejected login",
        "create role trusted login",
        "create table t (done boolean)",
        "create database closed allow_connections false",
        "create database private",
        "revoke connect on database private from public",
    ] {
        server.psql(sql);
    }
    server.hba(&[
        "host all rejected all reject",
        "hostssl all encrypted all trust",
        "host all full,trusted,asleep,nobody,postgres all trust",
        "host all all all scram-sha-256",
    ]);
    let starting = Postgres::starting_up();
    let (dead, silent, closing) = (Reserved::new(), Scripted::silent(), Scripted::closing());
    let (nats, http) = (Scripted::saying(NATS_SAYS), Scripted::answering_then_closing(HTTP_SAYS));
    let url = |role: &str, rest: &str| format!("postgres://{role}@{}/{rest}", server.address());
    for (url, class, says) in [
        (format!("postgres://app@{}/x", dead.address()), "connect", "connection refused"),
        (format!("postgres://app@{}/x", closing.address()), "connect", ""),
        (
            format!("postgres://app@{}/x#attempt-timeout=200ms", silent.address()),
            "timeout",
            "no answer to the request for TLS within 0.2s",
        ),
        (
            format!("postgres://app@{}/x?sslmode=disable#attempt-timeout=200ms", silent.address()),
            "timeout",
            "no answer to the startup packet within 0.2s",
        ),
        (starting.superuser_url(), "busy", &format!("57P03: {}", Postgres::starting_up_words())),
        (url("full", "postgres"), "busy", "53300: too many connections for role \"full\""),
        (
            url("app:wr0ng", "postgres"),
            "auth",
            "28P01: password authentication failed for user \"app\"",
        ),
        (
            url("missing:x", "postgres"),
            "auth",
            "hint: wrong password, or the role or its password does not exist yet",
        ),
        (url("nobody", "postgres"), "auth", "28000: role \"nobody\" does not exist"),
        (url("asleep", "postgres"), "auth", "28000: role \"asleep\" is not permitted to log in"),
        (url("rejected", "postgres"), "auth", "28000: pg_hba.conf rejects connection"),
        (
            url("app", "postgres"),
            "auth",
            "the server asks for a password of \"app\", and none is given",
        ),
        (url("trusted", "none"), "absent", "3D000: database \"none\" does not exist"),
        (
            url("trusted", "closed"),
            "busy",
            "55000: database \"closed\" is not currently accepting connections",
        ),
        (url("trusted", "private"), "auth", "42501: permission denied for database \"private\""),
        (
            url("trusted", "postgres?sslmode=require"),
            "tls",
            "the server does not support TLS, and sslmode=require wants it",
        ),
        (
            url("trusted", "postgres?target_session_attrs=standby"),
            "absent",
            "the server is not a standby",
        ),
        (
            url(
                "trusted",
                "postgres?options=-c%20default_transaction_read_only%3Don&target_session_attrs=read\
                -write",
            ),
            "absent",
            "the session is read-only",
        ),
        (
            url("trusted", "postgres?options=-c%20nonsense%3Don"),
            "absent",
            "42704: unrecognized configuration parameter",
        ),
        (
            url("trusted", "postgres#query=select true from missing"),
            "absent",
            "42P01: relation \"missing\" does not exist",
        ),
        (
            url("trusted", "postgres#query=select done from t"),
            "auth",
            "42501: permission denied for table t",
        ),
        (
            url("trusted", "postgres#query=select nope"),
            "config",
            "42703: column \"nope\" does not exist",
        ),
        (
            url("postgres", "postgres#query=insert into t values (true) returning true"),
            "config",
            "25006: cannot execute INSERT in a read-only transaction",
        ),
        (
            url("trusted", "postgres#query=select pg_sleep(60) is null,attempt-timeout=500ms"),
            "timeout",
            "",
        ),
        (
            url("trusted", "postgres?channel_binding=require"),
            "auth",
            "the connection has no TLS to bind the login to",
        ),
        (
            format!("postgres://app@{}/x", nats.address()),
            "protocol",
            "not PostgreSQL, it says: INFO {\"server_id\":\"x\"",
        ),
        (
            format!("postgres://app@{}/x", http.address()),
            "protocol",
            "not PostgreSQL, it says: HTTP/1.1 400 Bad Request",
        ),
    ] {
        fails(&url, class, says);
    }
    server.tls(&Authority::new("a").server(&["db.test"]), None);
    let ca = Authority::new("b");
    fails(
        &url("trusted", &format!("postgres#ca={}", ca.cert_text())),
        "tls",
        "certificate not trusted",
    );
    fails(&url("trusted", "postgres#ca=/none"), "config", "/none: no such file or directory");
}

#[test]
fn every_failure_of_nats_has_its_class_and_its_words() {
    let (ca, other) = (Authority::new("ca"), Authority::new("other"));
    let (open, token) = (Nats::started(""), Nats::started("authorization { token: t }"));
    let mutual = Nats::new("");
    let identity = ca.server(&[&mutual.host()]);
    let files = |identity: &Identity| {
        format!("cert_file: \"{}\", key_file: \"{}\"", identity.cert_text(), identity.key_text())
    };
    mutual.configure(&format!(
        "tls {{ {}, ca_file: \"{}\", verify: true }}",
        files(&identity),
        ca.cert_text()
    ));
    mutual.start();
    let (dead, silent, closing) = (Reserved::new(), Scripted::silent(), Scripted::closing());
    let (http, ssh) = (Scripted::saying(HTTP_SAYS), Scripted::saying("SSH-2.0-OpenSSH_9.2\r\n"));
    let refusing = |text: &str| Scripted::saying(format!("{NATS_SAYS}-ERR '{text}'\r\n"));
    let (late, leaving) =
        (refusing("Authentication Timeout"), Scripted::saying("INFO {\"ldm\":true}\r\n"));
    let (full, route) =
        (refusing("maximum connections exceeded"), refusing("Attempted To Connect To Route Port"));
    let at = |server: &Scripted| format!("nats://{}", server.address());
    for (url, class, says) in [
        (format!("nats://{}", dead.address()), "connect", "connection refused".to_owned()),
        (at(&closing), "connect", "connection closed by the server".to_owned()),
        (
            format!("{}#attempt-timeout=200ms", at(&silent)),
            "timeout",
            format!("connected to {}, but no NATS INFO within 0.2s", silent.address()),
        ),
        (at(&http), "protocol", "not NATS, it says: HTTP/1.1 400 Bad Request".to_owned()),
        (at(&ssh), "protocol", "not NATS, it says: SSH-2.0-OpenSSH_9.2".to_owned()),
        (token.url(), "auth", format!("-ERR 'Authorization Violation' ({})", token.address())),
        (token.url(), "auth", "no credentials were given".to_owned()),
        (
            format!("{}#token=wr0ng", token.url()),
            "auth",
            "the credentials are wrong, or the server does not know them yet".to_owned(),
        ),
        (at(&late), "auth", format!("-ERR 'Authentication Timeout' ({})", late.address())),
        (at(&full), "busy", format!("-ERR 'maximum connections exceeded' ({})", full.address())),
        (at(&leaving), "busy", "the server is in lame duck mode".to_owned()),
        (at(&route), "protocol", "clients must use the client port, usually 4222".to_owned()),
        (format!("tls://{}", open.address()), "tls", "the server does not offer TLS".to_owned()),
        (
            format!("{}#ca={}", mutual.url(), other.cert_text()),
            "tls",
            "certificate not trusted".to_owned(),
        ),
        (format!("{}#ca={}", mutual.url(), ca.cert_text()), "tls", "client certificate".to_owned()),
        (
            format!("{}#ca={},server-name=x.test", mutual.url(), ca.cert_text()),
            "tls",
            "certificate not valid for x.test: it is for".to_owned(),
        ),
        (
            format!("{}#ca=/none", open.url()),
            "config",
            "ca: /none: no such file or directory".to_owned(),
        ),
        (format!("{}#jetstream", open.url()), "absent", "JetStream is not enabled".to_owned()),
        (
            format!("ws://{}", open.address()),
            "config",
            "ws: is not checked by its own protocol".to_owned(),
        ),
        ("nats://a:x".to_owned(), "config", "the port must be a number".to_owned()),
    ] {
        fails(&url, class, &says);
    }
}

#[test]
fn every_failure_of_http_has_its_class_and_its_words() {
    let (ca, other) = (Authority::new("ca"), Authority::new("other"));
    let web = Nginx::serving(
        "location /401 { return 401; } location /403 { return 403; } location /429 { return 429; } \
        location /503 { return 503; }
         location /404 { return 404; } location /302 { return 302 /; } location / { return 200 \
         '{\"ready\":false}'; }",
    );
    let tls = Nginx::serving_tls(&ca.server(&["api.test"]), "location / { return 200 ok; }");
    let mutual = Nginx::serving_mutual_tls(
        &ca.server(&["api.test"]),
        ca.cert_path(),
        "location / { return 200 ok; }",
    );
    let (dead, silent, closing) =
        (Reserved::new(), Scripted::silent(), Scripted::answering_then_closing(""));
    let (nats, postgres) = (Scripted::saying(NATS_SAYS), Postgres::started());
    let large = Scripted::new(|_, mut stream| {
        let _ = std::io::Read::read(&mut stream, &mut [0; 4096]);
        let _ = std::io::Write::write_all(&mut stream, b"HTTP/1.1 200 OK\r\n\r\n");
        // An endless file.
        while std::io::Write::write_all(&mut stream, &[b' '; 65_536]).is_ok() {}
    });
    let trusting = |keys: &str| format!("{}#ca={}{keys}", tls.https_url("/"), ca.cert_text());
    for (url, class, says) in [
        (format!("http://{}/", dead.address()), "connect", "connection refused"),
        (
            format!("http://{}/", closing.address()),
            "connect",
            "connection closed without a response",
        ),
        (
            format!("http://{}/#attempt-timeout=200ms", silent.address()),
            "timeout",
            "but no response within 0.2s",
        ),
        (
            format!("https://{}/#insecure,attempt-timeout=200ms", silent.address()),
            "timeout",
            "no end of the TLS handshake within 0.2s",
        ),
        (
            web.url("/401"),
            "auth",
            "status 401 Unauthorized, wanted 200-299 [class=auth] hint: no credentials were sent",
        ),
        (
            web.url("/403#bearer=x"),
            "auth",
            "hint: the credentials are wrong, or the server does not know them yet",
        ),
        (web.url("/429"), "busy", "status 429 Too Many Requests"),
        (web.url("/503"), "busy", "status 503 Service Unavailable"),
        (web.url("/404"), "absent", "status 404 Not Found, wanted 200-299"),
        (web.url("/302"), "absent", "status 302 Found, wanted 200-299"),
        (web.url("/#json=/ready"), "absent", "200 OK, but /ready is false"),
        (web.url("/#match=true"), "absent", "200 OK, but the body does not match"),
        (
            format!("http://{}/#match=x", large.address()),
            "absent",
            "the first MiB of the body does not match",
        ),
        (format!("http://{}/#json=/x", large.address()), "absent", "the body is larger than 1 MiB"),
        (format!("http://{}/", nats.address()), "protocol", "not HTTP, it says: INFO"),
        (
            format!("http://{}/", postgres.address()),
            "connect",
            "connection closed without a response",
        ),
        (
            tls.url("/"),
            "protocol",
            "the port speaks TLS: The plain HTTP request was sent to HTTPS port",
        ),
        (
            web.https_url("/#insecure"),
            "tls",
            "the server does not speak TLS, it says: HTTP/1.1 400 Bad Request",
        ),
        (web.https_url("/#insecure"), "tls", "hint: the port speaks plain HTTP: use http:"),
        (trusting(""), "tls", "certificate not valid for 127."),
        (
            trusting(",server-name=x.test"),
            "tls",
            "certificate not valid for x.test: it is for api.test",
        ),
        (
            format!("{}#ca={}", tls.https_url("/"), other.cert_text()),
            "tls",
            "hint: it was issued by none of the certificates in ca",
        ),
        (
            format!("{}#ca={},server-name=api.test", mutual.https_url("/"), ca.cert_text()),
            "tls",
            "400: No required SSL certificate was sent",
        ),
        (
            format!("{}#ca=/none", tls.https_url("/")),
            "config",
            "ca: /none: no such file or directory",
        ),
        (
            "http+unix://%2Fnone.sock/".to_owned(),
            "connect",
            "no such file or directory (/none.sock)",
        ),
    ] {
        fails(&url, class, says);
    }
}
