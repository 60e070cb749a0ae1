//! `http:`, `https:` and `http+unix:` against a real nginx; scripted servers only for what a real
//! one cannot show.

mod client;
mod proxy;

use crate::support::look::{not_ready, once};
use crate::support::{
    Afterall, Authority, Http, Identity, Nginx, Reserved, Scripted, ms, response_with, secs, sh,
};
use std::io::{Read, Write};

#[track_caller]
fn ready(url: &str) {
    once(url).code(0).stdout_has("200 OK");
}

#[test]
fn a_proxy_before_its_backend_is_waited_for() {
    let upstream = Reserved::new();
    let nginx =
        Nginx::serving(&format!("location / {{ proxy_pass http://{}; }}", upstream.address()));
    let waiting = Afterall::waiting_for([format!("api={}", nginx.url("/ready"))])
        .becoming(sh("echo started"))
        .spawn();
    waiting.wait_for_stderr(
        "api: waiting: status 502 Bad Gateway, wanted 200-299 [class=absent",
        secs(20),
    );
    let _upstream = Http::on(upstream, |_, _| response_with(200, &[], "ok"));
    waiting.done().code(0).stdout("started\n").stderr_has("api: ready: 200 OK");
}

#[test]
fn statuses_and_bodies_are_what_was_asked_for() {
    let nginx = Nginx::serving(
        "location /up { return 200 '{\"status\":\"UP\",\"db\":{\"ready\":false}}'; }
         location /busy { return 503; } location /no { return 403; } location /none { return 404; \
         } location /moved { return 302 /up; }",
    );
    ready(&nginx.url("/up"));
    ready(&nginx.url("/up#method=HEAD"));
    ready(&nginx.url("/up#match=\"status\":\"UP\""));
    ready(&nginx.url("/up#json=/status==UP"));
    ready(&nginx.url("/moved#redirects=1"));
    once(&nginx.url("/no#status=2xx+403")).code(0).stdout_has("403 Forbidden");
    not_ready(&nginx.url("/up#json=/db/ready"), "absent", "200 OK, but /db/ready is false");
    not_ready(&nginx.url("/up#match=DOWN"), "absent", "200 OK, but the body does not match");
    not_ready(&nginx.url("/busy"), "busy", "status 503 Service Unavailable, wanted 200-299");
    not_ready(&nginx.url("/none"), "absent", "status 404 Not Found, wanted 200-299");
    not_ready(&nginx.url("/no"), "auth", "status 403 Forbidden, wanted 200-299");
    not_ready(&nginx.url("/moved"), "absent", "status 302 Found, wanted 200-299");
}

#[cfg(feature = "grpc")]
#[test]
fn http2_is_spoken_in_clear_and_inside_tls() {
    let site = "location /up { return 200 '{\"up\":true}'; } location /busy { return 503; }
        location /moved { return 302 /up; } location /host { return 200 $http_host; }";
    let clear = Nginx::new(&format!("server {{ listen @LISTEN@ http2; {site} }}"));
    clear.start();
    let ca = Authority::new("ca");
    let tls = Nginx::new("");
    let identity = ca.server(&[&tls.host()]);
    let (cert, key) = (identity.cert_text(), identity.key_text());
    tls.configure(&format!(
        "server {{ listen @LISTEN@ ssl http2; ssl_certificate {cert}; ssl_certificate_key {key}; \
         {site} }}"
    ));
    tls.start();
    let trusted = format!("ca={}", ca.cert_text());
    for (nginx, keys, url) in [
        (&clear, "http-version=2", &(|path: &str| clear.url(path)) as &dyn Fn(&str) -> String),
        (&tls, &*format!("http-version=2,{trusted}"), &|path| tls.https_url(path)),
    ] {
        ready(&format!("{}#{keys},json=/up==true", url("/up")));
        ready(&format!("{}#{keys},redirects=1", url("/moved")));
        ready(&format!("{}#{keys},method=HEAD", url("/up")));
        ready(&format!("{}#{keys},header=Host: api.test,match=^api.test$", url("/host")));
        let busy = format!("{}#{keys}", url("/busy"));
        not_ready(&busy, "busy", "status 503 Service Unavailable, wanted 200-299");
        let log = nginx.access_log();
        assert!(log.lines().count() >= 6 && !log.contains("HTTP/1"), "{log}");
    }
    not_ready(&clear.url("/up"), "protocol", "hint: http-version=2 speaks it");
    let wrong = clear.url("/up").replace("http:", "https:");
    not_ready(&format!("{wrong}#http-version=2,{trusted}"), "tls", "tls");
    not_ready(
        &tls.https_url("/up#http-version=2").replace("https:", "http:"),
        "protocol",
        "not HTTP/2",
    );
    let old = Nginx::serving("location / { return 200 ok; }");
    not_ready(&old.url("/#http-version=2"), "protocol", "not HTTP/2, it says:");
    let old = Nginx::serving_tls(&identity, "location / { return 200 ok; }");
    let old = format!("{}#http-version=2,server-name={},{trusted}", old.https_url("/"), tls.host());
    not_ready(&old, "tls", "no application protocol");
}

#[cfg(feature = "grpc")]
#[test]
fn http2_refuses_what_it_cannot_carry() {
    for (keys, says) in [
        ("http-version=2,proxy=http://127.0.0.1:1", "a proxy passes HTTP/2 on inside TLS alone"),
        ("http-version=3", "http-version: must be 1.1 or 2"),
        ("http-version=2,header=Upgrade: websocket", "HTTP/2 has no header upgrade"),
    ] {
        once(&format!("http://127.0.0.1:1/#{keys}")).code(64).stderr_has(says);
    }
}

#[test]
fn a_unix_socket_is_asked_as_a_port_is() {
    let nginx = Nginx::new(
        "server { listen @LISTEN@; listen unix:@DIR@/x.sock; location /ready { return 200 ok; } }",
    );
    nginx.start();
    let socket = nginx.dir().path().join("x.sock").display().to_string().replace('/', "%2F");
    ready(&format!("http+unix://{socket}/ready"));
    not_ready(&format!("http+unix://{socket}.none/ready"), "connect", "no such file or directory");
}

#[test]
fn the_servers_certificate_is_verified_against_ca_and_name() {
    let (ca, other) = (Authority::new("ca"), Authority::new("other"));
    let nginx = Nginx::new("");
    let identity = ca.server(&[&nginx.host(), "api.test"]);
    nginx.serve_tls(&identity, "location / { return 200 ok; }");
    nginx.start();
    let url = |keys: &str| format!("{}#{keys}", nginx.https_url("/"));
    ready(&url(&format!("ca={}", ca.cert_text())));
    ready(&url(&format!("ca={},server-name=api.test", ca.cert_text())));
    ready(&url("insecure"));
    let log = nginx.log();
    assert!(
        !["[info]", "[warn]", "[error]", "[crit]"].iter().any(|level| log.contains(level)),
        "{log}"
    );
    not_ready(&url(&format!("ca={}", other.cert_text())), "tls", "certificate not trusted");
    not_ready(
        &url(&format!("ca={},server-name=x.test", ca.cert_text())),
        "tls",
        "certificate not valid for x.test: it is for",
    );
    not_ready(
        &nginx.url("/"),
        "protocol",
        "the port speaks TLS: The plain HTTP request was sent to HTTPS port",
    );
    nginx.serve_tls(&ca.expired_server(&[&nginx.host()]), "location / { return 200 ok; }");
    nginx.reload();
    not_ready(&url(&format!("ca={}", ca.cert_text())), "tls", "certificate expired");
    let own = Identity::self_signed(&[&nginx.host()]);
    nginx.serve_tls(&own, "location / { return 200 ok; }");
    nginx.reload();
    ready(&url(&format!("ca={}", own.cert_text())));
}

#[test]
fn a_server_that_wants_a_client_certificate_says_so() {
    let ca = Authority::new("ca");
    let server = ca.server(&["api.test"]);
    let nginx = Nginx::serving_mutual_tls(&server, ca.cert_path(), "location / { return 200 ok; }");
    let client = ca.client("app");
    let url = format!("{}#ca={},server-name=api.test", nginx.https_url("/"), ca.cert_text());
    ready(&format!("{url},cert={},key={}", client.cert_text(), client.key_text()));
    not_ready(&url, "tls", "400: No required SSL certificate was sent");
}

#[test]
fn a_system_without_trusted_certificates_is_told_at_once_what_to_do() {
    let nginx = Nginx::serving_tls(
        &Authority::new("ca").server(&["api.test"]),
        "location / { return 200 ok; }",
    );
    let done = Afterall::waiting_for([nginx.https_url("/")])
        .env("SSL_CERT_FILE", "/dev/null")
        .env("SSL_CERT_DIR", "/none")
        .run();
    done.code(69)
        .stderr_has("this system has no trusted certificates")
        .stderr_has("ca=PATH names the certificate to trust");
}

#[test]
fn what_a_server_echoes_of_our_secrets_is_hidden() {
    let server =
        Http::answering(|_, request| response_with(500, &[], &request.replace("\r\n", " ")));
    let keys = "bearer=b34r3r-s3cr3t,header=X-Key: h34d3r-s3cr3t";
    let done = once(&format!("{}#{keys}", server.url("/x?token=qu3ry-s3cr3t")));
    done.code(69)
        .stdout_has("status 500 Internal Server Error, wanted 200-299: GET /x?token=***")
        .says_nowhere("s3cr3t");
}

#[test]
fn retry_after_is_a_minimum() {
    let server = Http::answering(|n, _| match n {
        1 => response_with(503, &[("Retry-After", "1")], ""),
        _ => response_with(200, &[], ""),
    });
    Afterall::waiting_for([server.url("/")])
        .run()
        .code(0)
        .stderr_has("[class=busy")
        .took(ms(1000)..secs(20));
    assert_eq!(server.count(), 2);
}

#[test]
fn a_port_that_speaks_something_else_is_told_for_what_it_is() {
    let ssh = Scripted::answering_then_closing("SSH-2.0-OpenSSH_9.2\r\n");
    not_ready(
        &format!("http://{}/", ssh.address()),
        "protocol",
        "not HTTP, it says: SSH-2.0-OpenSSH_9.2",
    );
    not_ready(
        &format!("https://{}/#insecure", ssh.address()),
        "tls",
        "the server does not speak TLS, it says: SSH-2.0-OpenSSH_9.2",
    );
    let closing = Scripted::answering_then_closing("");
    not_ready(
        &format!("http://{}/", closing.address()),
        "connect",
        "connection closed without a response",
    );
    let half = Scripted::answering_then_closing("HTTP/1.1 200 OK\r\nContent-Le");
    not_ready(&format!("http://{}/", half.address()), "connect", "the response ends half-way");
    let dripping = Scripted::dripping("HTTP/1.1 200 OK\r\nX: y\r\n", ms(5));
    let url = format!("http://{}/#attempt-timeout=300ms", dripping.address());
    once(&url).code(69).stdout_has("[class=").took(ms(0)..secs(10));
}

#[test]
fn a_body_whose_end_tls_does_not_confirm_is_named() {
    let tls = Identity::self_signed(&["localhost"]).server_config();
    let server = Scripted::new(move |_, stream| {
        let tls = rustls::ServerConnection::new(tls.clone()).unwrap();
        let mut stream = rustls::StreamOwned::new(tls, stream);
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nready");
    });
    let url = format!("https://{}/#insecure", server.address());
    once(&url).code(0).stdout_has("200 OK");
    once(&format!("{url},match=ready"))
        .code(69)
        .stdout_has("the response ends half-way")
        .stdout_has("hint: the server closes without close_notify");
}

#[test]
fn a_dead_target_of_a_redirect_does_not_mean_that_the_server_is_gone() {
    let dead = Reserved::new();
    let server = Nginx::serving(&format!("return 302 http://{}/;", dead.address()));
    once(&format!("{}#redirects=1,until=down", server.url("/")))
        .code(69)
        .stdout_has("connection refused")
        .stdout_has("[class=connect]");
}

#[test]
fn a_header_of_several_lines_is_accepted() {
    let old = "HTTP/1.1 200 OK\r\nServer: a\r\n b\r\nContent-Length: 0\r\n\r\n";
    let server = Scripted::answering_then_closing(old);
    once(&format!("http://{}/", server.address())).code(0).stdout_has("200 OK");
}

#[test]
fn fail_fast_makes_a_401_final_and_a_paused_server_is_cut() {
    let server = Nginx::serving("location = /closed { return 401; } location / { return 200 ok; }");
    let api = format!("api={}#fail-fast=auth,timeout=50s", server.url("/closed"));
    Afterall::waiting_for([api])
        .run()
        .code(69)
        .stderr_has("api: cannot become ready: status 401 Unauthorized");
    server.pause();
    let api = format!("api={}#timeout=2s,attempt-timeout=500ms", server.url("/"));
    Afterall::waiting_for([api])
        .run()
        .code(124)
        .stderr_has("api: timed out: connected to ")
        .stderr_has("[class=timeout attempts=");
    server.resume();
}
