//! Servers that are silent before the TLS handshake (`handshake_first`). Debian's nats-server is
//! too old for it, so a real one runs behind a relay that speaks TLS.

use crate::support::{Address, Afterall, Authority, Identity, Nats, Scripted, ms, secs};
use async_nats::ConnectOptions;
use std::net::SocketAddr;
use std::thread;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

struct Relay {
    at: SocketAddr,
    // The relay ends with it.
    _stop: oneshot::Sender<()>,
    _address: Address,
}

impl Relay {
    fn before(server: SocketAddr, address: Address, identity: &Identity) -> Self {
        let acceptor = TlsAcceptor::from(identity.server_config());
        let at = address.free();
        let listener = std::net::TcpListener::bind(at).unwrap();
        listener.set_nonblocking(true).unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                let serving = async {
                    while let Ok((client, _)) = listener.accept().await {
                        let acceptor = acceptor.clone();
                        tokio::spawn(async move {
                            let (Ok(mut client), Ok(mut server)) =
                                (acceptor.accept(client).await, TcpStream::connect(server).await)
                            else {
                                return;
                            };
                            let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                        });
                    }
                };
                tokio::select! {
                    () = serving => {}
                    _ = stopped => {}
                }
            });
        });
        Self { at, _stop: stop, _address: address }
    }
}

#[test]
fn a_handshake_first_server_is_served_as_by_async_nats() {
    let (ca, other) = (Authority::new("ca"), Authority::new("other"));
    let server = Nats::started("authorization { user: u, password: p4ss }");
    let address = Address::claim();
    let identity = ca.server(&[&address.ip().to_string()]);
    let relay = Relay::before(server.address(), address, &identity);
    for (ca, password, gets_in) in
        [(&ca, "p4ss", true), (&ca, "wr0ng", false), (&other, "p4ss", false)]
    {
        let url = format!("bus=tls://u:{password}@{}#ca={}", relay.at, ca.cert_text());
        let done = Afterall::once().arg(&url).run();
        let code = done.status().code();
        let said = done.stdout_text().to_owned();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let options = ConnectOptions::with_user_and_password("u".to_owned(), password.to_owned())
            .connection_timeout(secs(30));
        let options = options.add_root_certificates(ca.cert.clone()).require_tls(true).tls_first();
        let theirs = runtime.block_on(options.connect(format!("tls://{}", relay.at)));
        assert_eq!(
            (code == Some(0), theirs.is_ok()),
            (gets_in, gets_in),
            "{url}: {said} {:?}",
            theirs.err()
        );
    }
    // With the key no INFO is waited for, and a server that sends INFO first is not one of these.
    let first = format!("nats://u:p4ss@{}#tls-first,ca={}", relay.at, ca.cert_text());
    Afterall::once().arg(first).run().code(0).stdout_has("NATS 2.");
    let plain = format!("nats://u:p4ss@{}#tls-first,insecure", server.address());
    let done = Afterall::once().arg(plain).run().code(69);
    done.stdout_has("[class=tls]").stdout_has("the server sends INFO first");
    // Detected once, and not again in every attempt.
    let url = format!(
        "bus=tls://u:p4ss@{}#ca={},successes=3,max-interval=50ms,interval=10ms",
        relay.at,
        ca.cert_text()
    );
    Afterall::waiting_for([url]).run().code(0).stderr_has("attempts=3").took(..secs(10));
}

#[test]
fn a_silent_server_is_tried_both_ways_and_never_gets_the_password() {
    let silent = Scripted::silent();
    let url = format!("bus=tls://u:p4ss@{}#insecure,attempt-timeout=1s", silent.address());
    let done = Afterall::once().arg(url).run().code(69).took(ms(1000)..secs(10));
    done.stdout_has("[class=timeout]").stdout_has("within 1.0s");
}
