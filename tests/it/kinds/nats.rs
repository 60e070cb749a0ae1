//! `nats:` and `tls:` against a real nats-server; scripted servers only for what a real one cannot
//! show.

mod client;
mod cluster;
mod handshake_first;
mod operator;
mod tls_first;

use crate::support::look::{not_ready, once};
use crate::support::{
    Afterall, Authority, Dir, Identity, Nats, Reserved, Scripted, ms, secs, sh, wait_for,
};
use operator::Operator;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

#[track_caller]
fn ready(url: &str) {
    once(url).code(0).stdout_has("NATS 2.");
}

#[test]
fn every_login_method_succeeds_and_leaves_the_servers_log_empty() {
    let server = Nats::started("authorization { user: u, password: \"p@ss,w\" }");
    let (host, port) = (server.host(), server.port());
    ready(&format!("nats://u:p%40ss%2Cw@{host}:{port}"));
    ready(&format!("nats://{host}:{port}#user=u,password=p@ss%2Cw"));
    ready(&format!("nats://u@{host}:{port}#password=p@ss%2Cw"));
    Afterall::waiting_for([format!("nats://u:${{PW}}@{host}:{port}")])
        .env("PW", "p@ss,w")
        .run()
        .code(0)
        .any_stderr();
    assert!(!server.log().contains("[ERR]"), "{}", server.log());
    let token = Nats::started("authorization { token: \"t0k/3n\" }");
    ready(&format!("nats://t0k%2F3n@{}", token.address()));
    ready(&format!("nats://{}#token=t0k/3n", token.address()));
    assert!(!token.log().contains("[ERR]"), "{}", token.log());
}

#[test]
fn nkeys_and_creds_files_sign_the_servers_nonce() {
    let (operator, dir) = (Operator::new(), Dir::new());
    let (public, seed) = operator.nkey();
    let by_nkey = Nats::started(&format!("authorization {{ users: [ {{ nkey: {public} }} ] }}"));
    for (name, text) in [
        ("seed.nk", format!("{seed}\n")),
        ("both.nk", format!("{seed}\r\n{public}\r\n")),
        ("comment.nk", format!("# of app\n{seed}\n")),
    ] {
        let path = dir.write_secret(name, text);
        ready(&format!("{}#nkey={}", by_nkey.url(), path.display()));
    }
    not_ready(&by_nkey.url(), "auth", "no credentials were given");
    let by_jwt = Nats::started(&operator.config());
    let creds = dir.write_secret("user.creds", operator.creds());
    ready(&format!("{}#creds={}", by_jwt.url(), creds.display()));
    let wrong = dir.write_secret("wrong.creds", operator.creds_with_another_seed());
    not_ready(
        &format!("{}#creds={}", by_jwt.url(), wrong.display()),
        "auth",
        "-ERR 'Authorization Violation'",
    );
}

#[test]
fn a_late_user_is_waited_for_and_its_password_is_hidden() {
    let server = Nats::started("authorization { token: other }");
    let url = format!("bus=nats://app:s3cr3t@{}", server.address());
    let waiting = Afterall::waiting_for([url]).becoming(sh("echo started")).spawn();
    let refused =
        format!("bus: waiting: -ERR 'Authorization Violation' ({}) [class=auth", server.address());
    waiting.wait_for_stderr(&refused, secs(20));
    server.configure("authorization { user: app, password: s3cr3t }");
    server.reload();
    waiting
        .done()
        .code(0)
        .stdout("started\n")
        .stderr_has("bus: ready: NATS 2.")
        .says_nowhere("s3cr3t");
}

#[test]
fn mutual_tls_with_users_that_are_mapped_late_is_waited_for() {
    let (ca, other) = (Authority::new("ca"), Authority::new("other"));
    let server = Nats::new("");
    let identity = ca.server(&[&server.host()]);
    let tls = format!(
        "tls {{ cert_file: \"{}\", key_file: \"{}\", ca_file: \"{}\", verify_and_map: true }}",
        identity.cert_text(),
        identity.key_text(),
        ca.cert_text()
    );
    let client =
        |client: &Identity| format!("cert={},key={}", client.cert_text(), client.key_text());
    let (known, stranger) = (ca.client("app"), other.client("app"));
    server.configure(&format!("{tls}\nauthorization {{ token: first }}"));
    server.start();
    let url = format!("{}#ca={}", server.url(), ca.cert_text());
    let waiting = Afterall::waiting_for([format!("bus={url},{}", client(&known))]).spawn();
    waiting.wait_for_stderr("-ERR 'Authorization Violation'", secs(20));
    server.configure(&format!("{tls}\nauthorization {{ users: [ {{ user: \"CN=app\" }} ] }}"));
    server.reload();
    waiting.done().code(0).stderr_has("bus: ready: NATS 2.");
    not_ready(&url, "tls", "client certificate");
    not_ready(&format!("{url},{}", client(&stranger)), "tls", "client certificate");
    not_ready(
        &format!("{url},server-name=other.test,{}", client(&known)),
        "tls",
        "certificate not valid for other.test: it is for",
    );
    not_ready(
        &format!("{}#ca={},{}", server.url(), other.cert_text(), client(&known)),
        "tls",
        "certificate not trusted",
    );
}

#[test]
fn a_certificate_that_is_its_own_authority_is_accepted_as_ca() {
    let server = Nats::new("");
    let identity = Identity::self_signed(&[&server.host()]);
    server.configure(&format!(
        "tls {{ cert_file: \"{}\", key_file: \"{}\" }}",
        identity.cert_text(),
        identity.key_text()
    ));
    server.start();
    let url = format!("tls://{}", server.address());
    ready(&format!("{url}#ca={}", identity.cert_text()));
    ready(&format!("{url}#insecure"));
    not_ready(&url, "tls", "ca=PATH names whom to trust");
}

#[test]
fn tls_that_was_asked_for_is_never_done_without() {
    let server = Nats::started("");
    not_ready(&format!("tls://u:p@{}", server.address()), "tls", "the server does not offer TLS");
}

#[test]
fn jetstream_and_a_stream_are_asked_for_by_name() {
    let server = Nats::started("jetstream { store_dir: \"@DIR@/js\" }");
    once(&format!("{}#jetstream", server.url())).code(0).stdout_has(", JetStream");
    not_ready(
        &format!("{}#stream=ORDERS", server.url()),
        "absent",
        "stream ORDERS: 404 stream not found",
    );
    let without = Nats::started("");
    not_ready(&format!("{}#jetstream", without.url()), "absent", "JetStream is not enabled");
    assert!(!server.log().contains("[ERR]"), "{}", server.log());
}

#[test]
fn lists_are_read_as_nats_go_reads_them() {
    let (server, dead) = (Nats::started(""), Reserved::new());
    let (live, dead) = (server.address(), dead.address());
    for list in [
        format!("nats://{dead}, nats://{live}"),
        format!("nats://{dead},nats://{live},"),
        format!("nats://{dead}/,nats://{live}/"),
        format!("nats://{dead},,{live}"),
        format!(" nats://{live} "),
        format!(",nats://{dead},{live}"),
    ] {
        let run = Afterall::once().arg("env:NATS_URL").env("NATS_URL", &list);
        run.run().code(0).stdout_has("NATS 2.");
    }
}

#[test]
fn a_full_server_is_busy() {
    let server = Nats::started("max_connections: 1");
    // Until the server has dropped the connection that found it started, it refuses the holder too.
    let holder = wait_for("a client that the server takes", secs(30), || {
        let mut holder = TcpStream::connect(server.address()).unwrap();
        holder.write_all(b"CONNECT {}\r\nPING\r\n").ok()?;
        let lines = BufReader::new(holder.try_clone().unwrap()).lines();
        let is_taken = lines.map_while(Result::ok).any(|line| line == "PONG");
        is_taken.then_some(holder)
    });
    not_ready(&server.url(), "busy", "-ERR 'maximum connections exceeded'");
    drop(holder);
}

#[test]
fn a_dead_or_silent_first_server_does_not_hide_the_second() {
    let (server, silent, dead) = (Nats::started(""), Scripted::silent(), Reserved::new());
    for first in [dead.address(), silent.address()] {
        let url = format!("nats://{first},{}#attempt-timeout=1s", server.address());
        once(&url).code(0).stdout_has("NATS 2.");
    }
}

#[test]
fn another_protocol_and_a_silent_port_are_recognized() {
    let ssh = Scripted::saying_then_closing("SSH-2.0-OpenSSH_9.2\r\n");
    not_ready(
        &format!("nats://{}", ssh.address()),
        "protocol",
        "not NATS, it says: SSH-2.0-OpenSSH_9.2",
    );
    let silent = Scripted::silent();
    let url = format!("nats://{}#attempt-timeout=200ms", silent.address());
    not_ready(&url, "timeout", "but no NATS INFO within 0.2s");
    let endless = Scripted::dripping("INFO ", ms(1));
    let url = format!("nats://{}#attempt-timeout=200ms", endless.address());
    not_ready(&url, "timeout", "but no NATS INFO within 0.2s");
}

#[test]
fn an_authorization_violation_is_final_where_fail_fast_says_so() {
    let server = Nats::started("authorization { user: app, password: s3cr3t }");
    let bus = format!("bus=nats://app:other@{}#fail-fast=auth,timeout=50s", server.address());
    Afterall::waiting_for([bus])
        .run()
        .code(69)
        .stderr_has("bus: cannot become ready: -ERR 'Authorization Violation'");
}
