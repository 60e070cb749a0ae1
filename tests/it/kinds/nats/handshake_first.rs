//! A real server that is silent before the TLS handshake (`handshake_first`, since nats-server
//! 2.10).

use crate::support::look::once;
use crate::support::{Authority, Nats, secs};
use async_nats::ConnectOptions;

#[test]
fn a_handshake_first_server_is_ready_where_async_nats_logs_in() {
    let (ca, other) = (Authority::new("ca"), Authority::new("other"));
    let server = Nats::newest("");
    let identity = ca.server(&[&server.host()]);
    for mode in ["true", "auto", "\"300ms\""] {
        server.configure(&format!(
            "tls {{ cert_file: \"{}\", key_file: \"{}\", handshake_first: {mode} }}\n\
             authorization {{ user: u, password: p4ss }}",
            identity.cert_text(),
            identity.key_text()
        ));
        server.start();
        for (ca, password, gets_in) in
            [(&ca, "p4ss", true), (&ca, "wr0ng", false), (&other, "p4ss", false)]
        {
            let url = format!("tls://u:{password}@{}", server.address());
            let done = once(&format!("bus={url}#ca={}", ca.cert_text())).any_stdout();
            let theirs = async_nats(&server, password, ca);
            assert_eq!(
                (done.status().code() == Some(0), theirs.is_ok()),
                (gets_in, gets_in),
                "{mode} {url}: {} {theirs:?}",
                done.stdout_text()
            );
        }
        server.stop();
    }
}

#[test]
fn tls_first_leaves_a_handshake_first_servers_log_clean() {
    let ca = Authority::new("ca");
    let server = Nats::newest("");
    let identity = ca.server(&[&server.host()]);
    server.configure(&format!(
        "tls {{ cert_file: \"{}\", key_file: \"{}\", handshake_first: true }}",
        identity.cert_text(),
        identity.key_text()
    ));
    server.start();
    let url = format!("tls://{}#tls-first,ca={}", server.address(), ca.cert_text());
    once(&url).code(0).stdout_has("NATS 2.");
    assert!(!server.log().contains("[ERR]"), "{}", server.log());
}

fn async_nats(server: &Nats, password: &str, ca: &Authority) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let options = ConnectOptions::with_user_and_password("u".to_owned(), password.to_owned())
        .connection_timeout(secs(30))
        .add_root_certificates(ca.cert.clone())
        .require_tls(true)
        .tls_first();
    let connected = runtime.block_on(options.connect(format!("tls://{}", server.address())));
    connected.map(drop).map_err(|error| error.to_string())
}
