//! Tests of the harness itself, without the binary.

use crate::support::process::program;
use crate::support::{
    Address, Afterall, Authority, BlackHole, Counted, Http, Identity, LONG, Nats, Nginx, Postgres,
    Reserved, Scripted, Shutdown, ms, response, secs, sh, wait_until,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

/// Returns all bytes until the other side closes or is silent for a while.
fn ask(at: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect_timeout(&at, LONG).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Returns the server's first bytes.
fn greeting(at: SocketAddr) -> String {
    let mut stream = TcpStream::connect_timeout(&at, LONG).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    let mut bytes = [0; 512];
    let read = stream.read(&mut bytes).unwrap_or(0);
    String::from_utf8_lossy(&bytes[..read]).into_owned()
}

fn refuses(at: SocketAddr) -> bool {
    TcpStream::connect_timeout(&at, LONG)
        .is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

#[test]
fn postgres_starts_stops_and_starts_again() {
    let pg = Postgres::new();
    assert!(refuses(pg.address()));
    pg.start();
    assert_eq!(pg.psql("select 40 + 2"), "42");
    pg.stop(Shutdown::Fast);
    assert!(refuses(pg.address()));
    pg.start();
    pg.stop(Shutdown::Immediate);
    pg.start();
    pg.login("postgres", "", "postgres").unwrap();
}

#[test]
fn postgres_that_starts_up_says_so_until_it_is_promoted() {
    let pg = Postgres::starting_up();
    let refusal = pg.login("postgres", "", "postgres").unwrap_err();
    assert!(refusal.contains(Postgres::starting_up_words()), "{refusal}");
    pg.promote();
    assert_eq!(pg.psql("select 1"), "1");
}

#[test]
fn postgres_that_waits_for_its_clients_takes_no_new_ones() {
    let pg = Postgres::started();
    let client = pg.session("postgres");
    pg.begin_stop(Shutdown::Smart);
    wait_until("newcomers are rejected", secs(20), || {
        pg.login("postgres", "", "postgres")
            .is_err_and(|refusal| refusal.contains("is shutting down"))
    });
    drop(client);
    wait_until("postgres is gone", secs(20), || refuses(pg.address()));
}

#[test]
fn the_harness_gets_in_whatever_the_access_rules_say() {
    let pg = Postgres::started();
    pg.psql("create role app login password 'right'");
    pg.hba(&["host all all all scram-sha-256"]);
    pg.login("app", "right", "postgres").unwrap();
    let refusal = pg.login("app", "wrong", "postgres").unwrap_err();
    assert!(refusal.contains("password authentication failed"), "{refusal}");
    pg.hba(&[]);
    let refusal = pg.login("app", "right", "postgres").unwrap_err();
    assert!(refusal.contains("no pg_hba.conf entry"), "{refusal}");
    assert_eq!(pg.psql_as("app", "postgres", "select current_user"), "app");
    assert_eq!(pg.psql("select session_user"), "postgres");
}

#[test]
fn a_session_holds_its_lock_until_it_is_dropped() {
    let pg = Postgres::started();
    pg.psql("create table t (n int)");
    let mut holder = pg.session("postgres");
    holder.run("begin; lock table t in access exclusive mode;");
    let mut waiter = pg.session("postgres");
    waiter.send("select count(*) from t;");
    let blocked = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'";
    wait_until("the other session is blocked", secs(20), || pg.psql(blocked) == "1");
    drop(holder);
    assert_eq!(waiter.finish(), "0");
}

#[test]
fn postgres_speaks_tls_with_our_certificates() {
    let authority = Authority::new("tests");
    let pg = Postgres::new();
    pg.tls(&authority.server(&["db.test", &pg.host()]), None);
    pg.hba(&["hostssl all all all trust"]);
    pg.start();
    pg.login("postgres", "", "postgres").unwrap();
    let uses_tls = "select count(*) from pg_stat_ssl join pg_stat_activity using (pid) where ssl";
    let _client = pg.session_as("postgres", "", "postgres");
    // A server's process ends a little later than its client.
    wait_until("one session uses TLS", LONG, || pg.psql(uses_tls) == "1");
}

#[test]
fn a_paused_postgres_accepts_and_is_silent() {
    let pg = Postgres::started();
    pg.pause();
    let mut stream = TcpStream::connect_timeout(&pg.address(), LONG).unwrap();
    stream.set_read_timeout(Some(ms(50))).unwrap();
    // SSLRequest: any server that is awake answers with one byte.
    stream.write_all(&[0, 0, 0, 8, 4, 210, 22, 47]).unwrap();
    assert_eq!(stream.read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::WouldBlock);
    pg.resume();
    stream.set_read_timeout(Some(secs(20))).unwrap();
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 1);
}

#[test]
fn nats_greets_and_reloads() {
    let nats = Nats::new("include \"auth.json\"");
    nats.write("auth.json", r#"{"authorization": {"token": "t"}}"#);
    assert!(refuses(nats.address()));
    nats.start();
    let info = greeting(nats.address());
    assert!(info.starts_with("INFO {") && info.contains("\"auth_required\":true"), "{info}");
    nats.write("auth.json", "{}");
    nats.reload();
    let info = greeting(nats.address());
    assert!(!info.contains("\"auth_required\":true"), "{info}");
    nats.stop();
    assert!(refuses(nats.address()));
}

#[test]
fn nginx_answers_and_reloads() {
    let nginx = Nginx::serving("location / { return 200 'first'; }");
    let get = "GET /ready HTTP/1.0\r\n\r\n";
    assert!(ask(nginx.address(), get).ends_with("first"));
    nginx.serve("location / { return 503; }");
    nginx.reload();
    assert!(ask(nginx.address(), get).starts_with("HTTP/1.1 503"));
    nginx.pause();
    assert!(TcpStream::connect_timeout(&nginx.address(), LONG).is_ok(), "the kernel still accepts");
    nginx.resume();
    nginx.stop();
    assert!(refuses(nginx.address()));
}

#[test]
fn nginx_serves_tls_to_clients_that_have_a_certificate() {
    let authority = Authority::new("tests");
    let server = authority.server(&["api.test"]);
    let nginx = Nginx::serving_mutual_tls(
        &server,
        authority.cert_path(),
        "location / { return 200 'ok'; }",
    );
    let get = |identity: Option<&Identity>| {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&authority.cert).unwrap()).unwrap();
        let config =
            ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
        let config =
            config.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
        let config = match identity {
            None => config.with_no_client_auth(),
            Some(Identity { cert, key, .. }) => {
                let chain = vec![CertificateDer::from_pem_file(cert).unwrap()];
                config
                    .with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(key).unwrap())
                    .unwrap()
            }
        };
        let name = "api.test".try_into().unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut stream = StreamOwned::new(connection, TcpStream::connect(nginx.address()).unwrap());
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    };
    assert!(get(None).contains("No required SSL certificate was sent"));
    assert!(get(Some(&authority.client("scheduler"))).ends_with("ok"));
}

#[test]
fn a_black_hole_swallows_connection_attempts() {
    let mut hole = BlackHole::new();
    let error = TcpStream::connect_timeout(&hole.address(), ms(300)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    hole.open();
    TcpStream::connect_timeout(&hole.address(), LONG).unwrap();
}

#[test]
fn a_reserved_port_refuses_until_it_listens() {
    let port = Reserved::new();
    let at = port.address();
    assert!(refuses(at));
    let server = port.serve(|_, mut stream| drop(stream.write_all(b"hello")));
    assert_eq!(ask(at, ""), "hello");
    assert_eq!(server.connections(), 1);
    drop(server);
    wait_until("the port is given up", LONG, || refuses(at));
}

#[test]
fn scripted_faults_are_what_they_say() {
    assert_eq!(ask(Scripted::closing().address(), ""), "");
    assert_eq!(ask(Scripted::saying_then_closing("bye").address(), "hi"), "bye");
    assert_eq!(greeting(Scripted::saying("hello").address()), "hello");

    let server = Scripted::resetting();
    // The reset may come before `connect` returns.
    let reset = TcpStream::connect(server.address()).and_then(|mut at| at.read(&mut [0; 1]));
    assert_eq!(reset.unwrap_err().kind(), ErrorKind::ConnectionReset);

    let server = Scripted::silent();
    let mut silent = TcpStream::connect(server.address()).unwrap();
    silent.set_read_timeout(Some(ms(50))).unwrap();
    assert_eq!(silent.read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn scripted_http_answers_by_number_and_notes_arrivals() {
    let http = Http::answering(|number, _| response(if number == 1 { 503 } else { 200 }, "body"));
    let before = Instant::now();
    assert!(ask(http.address(), "GET /a HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 503"));
    assert!(ask(http.address(), "GET /b HTTP/1.1\r\n\r\n").ends_with("body"));
    assert_eq!(http.count(), 2);
    assert!(http.requests()[1].text.starts_with("GET /b"));
    assert!(http.arrivals().windows(2).all(|pair| before < pair[0] && pair[0] < pair[1]));
}

#[test]
fn addresses_are_never_shared() {
    let addresses: Vec<_> = (0..100).map(|_| Address::claim()).collect();
    let mut ips: Vec<_> = addresses.iter().map(Address::ip).collect();
    ips.sort();
    ips.dedup();
    assert_eq!(ips.len(), 100);
}

#[test]
fn executions_are_counted() {
    let command = Counted::new();
    assert_eq!(command.runs(), 0);
    for _ in 0..2 {
        assert!(Command::new(command.path()).status().unwrap().success());
    }
    assert_eq!(command.runs(), 2);
    let [shell, flag, script] = sh("exit 3");
    assert_eq!(Command::new(shell).args([flag, script]).status().unwrap().code(), Some(3));
}

/// The builder around a script in the binary's place.
fn instead_of_the_binary(script: &str) -> Afterall {
    Afterall::new().under(sh(script))
}

#[test]
fn a_run_is_told_apart_by_code_streams_and_signal() {
    instead_of_the_binary("echo out; echo err >&2; exit 3")
        .run()
        .code(3)
        .stdout("out\n")
        .stderr("err\n");
    let running = instead_of_the_binary("echo up >&2; exec sleep 50").spawn();
    running.wait_for_stderr("up", secs(20));
    assert!(running.is_running());
    running.signal(15);
    running.done().signal(15).stderr_has("up").stderr_lacks("down").took(..secs(20));
}

#[test]
#[should_panic(expected = "expected silence on stdout")]
fn output_of_which_a_test_does_not_speak_fails_it() {
    instead_of_the_binary("echo out").run().code(0);
}

#[test]
#[should_panic(expected = "the test says nothing about the exit")]
fn an_exit_of_which_a_test_does_not_speak_fails_it() {
    instead_of_the_binary("exit 0").run().any_stderr();
}

#[test]
#[should_panic(expected = "nobody holds stdout or stderr any longer")]
fn a_process_left_behind_fails_the_test() {
    instead_of_the_binary("sleep 50 &").run().code(0);
}

#[test]
#[should_panic(expected = "apt-get install -y its-package")]
fn a_missing_program_fails_the_test_with_the_install_command() {
    program("no-such-server", "its-package");
}
