//! Our verdict beside a real client's: ready exactly where async-nats gets in.

use super::operator::{Operator, Which};
use crate::support::{Afterall, Authority, Dir, Identity, Nats, Reserved, Scripted, secs};
use async_nats::ConnectOptions;
use std::path::PathBuf;
use std::time::Duration;

/// A login as our keys and as async-nats's options.
struct Way {
    keys: String,
    options: ConnectOptions,
}

impl Way {
    fn new(keys: impl Into<String>, options: ConnectOptions) -> Self {
        Self { keys: keys.into(), options }
    }

    fn nobody() -> Self {
        Self::new("", ConnectOptions::new())
    }

    fn password(user: &str, password: &str) -> Self {
        let options = ConnectOptions::with_user_and_password(user.to_owned(), password.to_owned());
        Self::new(format!("user={user},password={password}"), options)
    }

    fn token(token: &str) -> Self {
        Self::new(format!("token={token}"), ConnectOptions::with_token(token.to_owned()))
    }

    fn nkey(dir: &Dir, seed: &str) -> Self {
        let path = dir.write_secret(&format!("{seed}.nk"), seed);
        Self::new(format!("nkey={}", path.display()), ConnectOptions::with_nkey(seed.to_owned()))
    }

    /// async-nats reads `.creds` files with a regular expression, a dependency that we avoid. It
    /// gets their parts.
    fn creds(dir: &Dir, operator: &Operator, which: Which) -> Self {
        let (name, text) = match which {
            Which::Right => ("right.creds", operator.creds()),
            Which::Another => ("wrong.creds", operator.creds_with_another_seed()),
        };
        let path = dir.write_secret(name, &text);
        let jwt = text.lines().find(|line| line.starts_with("eyJ")).unwrap().to_owned();
        let options =
            ConnectOptions::with_jwt(
                jwt,
                move |nonce| async move { Ok(Operator::sign(which, &nonce)) },
            );
        Self::new(format!("creds={}", path.display()), options)
    }

    fn trusting(self, ca: &Authority) -> Self {
        let keys = self.and(&format!("ca={}", ca.cert_text()));
        Self { keys, options: self.options.add_root_certificates(ca.cert.clone()) }
    }

    fn with_certificate(self, client: &Identity) -> Self {
        let keys = self.and(&format!("cert={},key={}", client.cert_text(), client.key_text()));
        let options = self
            .options
            .add_client_certificate(PathBuf::from(&client.cert), PathBuf::from(&client.key));
        Self { keys, options }
    }

    fn and(&self, more: &str) -> String {
        let comma = if self.keys.is_empty() { "" } else { "," };
        format!("{}{comma}{more}", self.keys)
    }
}

/// Returns true if both got in. Panics where they disagree.
#[track_caller]
fn both(servers: &str, way: Way) -> bool {
    both_within(secs(30), servers, way)
}

/// As `both`, for servers that may be silent.
#[track_caller]
fn both_within(patience: Duration, servers: &str, way: Way) -> bool {
    let bound = format!("attempt-timeout={}s", patience.as_secs());
    let url = format!("bus=nats://{servers}#{}", way.and(&bound));
    let done = Afterall::once().arg(&url).run();
    let ours = done.status().code();
    let addresses: Vec<String> =
        servers.split(',').map(|server| format!("nats://{server}")).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let theirs = runtime.block_on(async {
        let options = way
            .options
            .connection_timeout(patience)
            .ignore_discovered_servers()
            .retain_servers_order();
        let client = options.connect(addresses).await.map_err(|error| error.to_string())?;
        client.flush().await.map_err(|error| error.to_string())
    });
    let said = format!("{}{}", done.stdout_text(), done.stderr_text());
    assert_eq!(
        ours == Some(0),
        theirs.is_ok(),
        "{url}\nwe: {ours:?} {said}\nasync-nats: {theirs:?}"
    );
    theirs.is_ok()
}

fn tls(server: &Identity, more: &str) -> String {
    format!(
        "tls {{ cert_file: \"{}\", key_file: \"{}\", {more} }}",
        server.cert_text(),
        server.key_text()
    )
}

#[test]
fn every_login_method_matches_async_nats_at_every_server() {
    let (operator, dir) = (Operator::new(), Dir::new());
    let (public, seed) = operator.nkey();
    let stranger = Operator::another_nkey();
    let servers = [
        ("open", Nats::started("")),
        ("password", Nats::started("authorization { user: u, password: \"p4ss\" }")),
        ("token", Nats::started("authorization { token: t0k3n }")),
        ("nkey", Nats::started(&format!("authorization {{ users: [ {{ nkey: {public} }} ] }}"))),
        ("creds", Nats::started(&operator.config())),
        (
            "accounts",
            Nats::started(
                "accounts { a { users: [ { user: u, password: p4ss } ] } }\nno_auth_user: u",
            ),
        ),
    ];
    let ways: [(&str, &dyn Fn() -> Way); 10] = [
        ("nobody", &Way::nobody),
        ("right password", &|| Way::password("u", "p4ss")),
        ("wrong password", &|| Way::password("u", "wr0ng")),
        ("another user", &|| Way::password("x", "p4ss")),
        ("right token", &|| Way::token("t0k3n")),
        ("wrong token", &|| Way::token("wr0ng")),
        ("right nkey", &|| Way::nkey(&dir, &seed)),
        ("wrong nkey", &|| Way::nkey(&dir, &stranger)),
        ("right creds", &|| Way::creds(&dir, &operator, Which::Right)),
        ("wrong creds", &|| Way::creds(&dir, &operator, Which::Another)),
    ];
    let mut let_in = Vec::new();
    for (server, nats) in &servers {
        for (way, make) in &ways {
            if both(&nats.address().to_string(), make()) {
                let_in.push((*server, *way));
            }
        }
    }
    for (server, way) in [
        ("password", "right password"),
        ("token", "right token"),
        ("nkey", "right nkey"),
        ("creds", "right creds"),
    ] {
        assert!(let_in.contains(&(server, way)), "{let_in:?}");
        assert_eq!(let_in.iter().filter(|(other, _)| *other == server).count(), 1, "{let_in:?}");
    }
    assert!(
        let_in.contains(&("open", "nobody")) && let_in.contains(&("accounts", "nobody")),
        "{let_in:?}"
    );
}

#[test]
fn mutual_tls_ends_as_async_nats_does_with_every_certificate() {
    let (ca, other) = (Authority::new("ca"), Authority::new("other"));
    let nats = |name_is_right: bool, more: &str, rest: &str| {
        let server = Nats::new("");
        let name = if name_is_right { server.host() } else { "elsewhere.test".to_owned() };
        server.configure(&format!("{}\n{rest}", tls(&ca.server(&[&name]), more)));
        server.start();
        server
    };
    let clients = format!("ca_file: \"{}\"", ca.cert_text());
    let users = "authorization { users: [ { user: \"CN=app\" } ] }";
    let servers = [
        ("tls", nats(true, "timeout: 2", "")),
        ("another name", nats(false, "timeout: 2", "")),
        ("verify", nats(true, &format!("{clients}, verify: true"), "")),
        ("map", nats(true, &format!("{clients}, verify_and_map: true"), users)),
        (
            "token phase",
            nats(
                true,
                &format!("{clients}, verify_and_map: true"),
                "authorization { token: f0oBar }",
            ),
        ),
        ("in clear", Nats::started("")),
    ];
    let (mapped, unmapped, foreign) = (ca.client("app"), ca.client("nobody"), other.client("app"));
    let ways: [(&str, &dyn Fn() -> Way); 6] = [
        ("no certificate", &|| Way::nobody().trusting(&ca)),
        ("mapped", &|| Way::nobody().trusting(&ca).with_certificate(&mapped)),
        ("unmapped", &|| Way::nobody().trusting(&ca).with_certificate(&unmapped)),
        ("foreign", &|| Way::nobody().trusting(&ca).with_certificate(&foreign)),
        ("distrusting", &|| Way::nobody().trusting(&other).with_certificate(&mapped)),
        ("trusting the system", &Way::nobody),
    ];
    let mut let_in = Vec::new();
    for (server, nats) in &servers {
        for (way, make) in &ways {
            // With `ca` or `cert` we speak TLS or not at all; async-nats would go on in clear.
            if *server == "in clear" && *way != "trusting the system" {
                continue;
            }
            if both(&nats.address().to_string(), make()) {
                let_in.push((*server, *way));
            }
        }
    }
    let expected = [
        ("tls", "no certificate"),
        ("tls", "mapped"),
        ("tls", "unmapped"),
        ("tls", "foreign"),
        ("verify", "mapped"),
        ("verify", "unmapped"),
        ("map", "mapped"),
        ("in clear", "trusting the system"),
    ];
    assert_eq!(let_in, expected);
}

#[test]
fn dead_silent_and_foreign_servers_match_async_nats() {
    let (live, dead, silent) = (Nats::started(""), Reserved::new(), Scripted::silent());
    let http = Scripted::answering_then_closing("HTTP/1.1 400 Bad Request\r\n\r\n");
    let (ssh, closing) = (Scripted::saying("SSH-2.0-OpenSSH_9.2\r\n"), Scripted::closing());
    let (live, dead, silent) = (live.address(), dead.address(), silent.address());
    for (servers, gets_in) in [
        (format!("{live}"), true),
        (format!("{dead}"), false),
        (format!("{}", http.address()), false),
        (format!("{}", ssh.address()), false),
        (format!("{}", closing.address()), false),
        (format!("{dead},{live}"), true),
        (format!("{live},{dead}"), true),
        (format!("{dead},{dead}"), false),
    ] {
        assert_eq!(both(&servers, Way::nobody()), gets_in, "{servers}");
    }
    assert!(!both_within(secs(2), &silent.to_string(), Way::nobody()), "{silent}");
}

/// The start of BOSH's NATS: a token that no client has, then the users, then a reload.
#[test]
fn late_users_make_both_clients_ready_at_the_same_moment() {
    let ca = Authority::new("ca");
    let server = Nats::new("");
    let config = |auth: &str| {
        let clients = format!("ca_file: \"{}\", verify_and_map: true", ca.cert_text());
        format!("{}\ninclude \"auth.json\"\n# {auth}", tls(&ca.server(&[&server.host()]), &clients))
    };
    server.write("auth.json", "{ \"authorization\": { \"token\": \"f0oBar\" } }");
    server.configure(&config("token"));
    server.start();
    let client = ca.client_with_subject(&[
        (rcgen::DnType::OrganizationName, "Cloud Foundry"),
        (rcgen::DnType::CommonName, "default.hm.bosh-internal"),
    ]);
    let way = || Way::nobody().trusting(&ca).with_certificate(&client);
    let address = server.address().to_string();
    assert!(!both(&address, way()), "in the token phase");
    let url = format!("bus=nats://{address}#{}", way().keys);
    let waiting = Afterall::waiting_for([url]).becoming(["echo", "started"]).spawn();
    waiting.wait_for_stderr("bus: waiting: -ERR 'Authorization Violation'", secs(20));
    let user = "CN=default.hm.bosh-internal,O=Cloud Foundry";
    server.write(
        "auth.json",
        &format!("{{ \"authorization\": {{ \"users\": [ {{ \"user\": \"{user}\" }} ] }} }}"),
    );
    assert!(!both(&address, way()), "written, and not yet read");
    server.reload();
    waiting.done().code(0).stdout("started\n").stderr_has("bus: ready: NATS 2.");
    assert!(both(&address, way()), "once the users are known");
}

#[test]
fn a_stream_that_is_made_late_is_waited_for() {
    let server = Nats::started("jetstream { store_dir: \"@DIR@/js\" }");
    let waiting = Afterall::waiting_for([format!("orders={}#stream=ORDERS", server.url())]).spawn();
    waiting.wait_for_stderr("orders: waiting: stream ORDERS: 404 stream not found", secs(20));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = async_nats::connect(server.url()).await.unwrap();
        let config = r#"{"name":"ORDERS","subjects":["orders.*"],"storage":"memory"}"#;
        let answer = client.request("$JS.API.STREAM.CREATE.ORDERS", config.into()).await.unwrap();
        assert!(!String::from_utf8_lossy(&answer.payload).contains("error"), "{answer:?}");
    });
    waiting.done().code(0).stderr_has("orders: ready: NATS 2.").stderr_has(", stream ORDERS");
}
