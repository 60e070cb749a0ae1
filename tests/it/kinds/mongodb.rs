//! `mongodb:` against scripted servers, which pymongo judges too.

mod makers;

use crate::support::look::{not_ready, once, ready};
use crate::support::process::{Scope, Server, program};
use crate::support::python::{package_file, printed};
use crate::support::{
    Address, Afterall, Authority, Dir, Done, Reserved, Scripted, Stated, python, secs, sh,
};
use rustix::process::Signal;
use std::ffi::OsStr;
use std::net::UdpSocket;
use std::process::Command;
use std::thread;

/// `usable`, or the name of pymongo's error. A client that shall find its server has time for it.
const PYMONGO: &str = "
import sys, pymongo
patience = int(sys.argv[2])
try:
    client = pymongo.MongoClient(
        sys.argv[1], serverSelectionTimeoutMS=patience, connectTimeoutMS=patience)
    command = {'listDatabases': 1, 'nameOnly': True}
    client.admin.command(command, read_preference=client.read_preference)
    print('usable')
except Exception as error: print(type(error).__name__)
";

/// Asks for a server that pymongo shall find.
fn pymongo_finds(url: &str) {
    assert_eq!(printed(PYMONGO, &[url, "60000"]), "usable", "{url}");
}

/// The outcome for a server that is not usable, for which pymongo does not wait long.
fn pymongo(url: &str) -> String {
    printed(PYMONGO, &[url, "1500"])
}

/// pymongo's outcome must be ours.
#[track_caller]
fn pymongo_agrees(url: &str, class: &str) {
    match class {
        "ready" => pymongo_finds(url),
        class => assert_ne!(pymongo(url), "usable", "{class}: {url}"),
    }
}

/// A replica set's member: its own address, the part that it has, and more fields.
fn member(part: &str, more: &str) -> String {
    format!(
        r#"{{"hello": {{{part} "setName": "rs0", "me": "@IP:@PORT",
            "hosts": ["@IP:@PORT"]{more}}}}}"#
    )
}

const PRIMARY: &str = r#""isWritablePrimary": true, "secondary": false,"#;
const SECONDARY: &str = r#""isWritablePrimary": false, "secondary": true,"#;
const STANDALONE: &str = r#"{"hello": {"isWritablePrimary": true}}"#;

/// Asks a server in this state, as pymongo does too: the state, the query, the class, the message.
#[track_caller]
fn compare(server: &Stated, (state, query, class, says): (&str, &str, &str, &str)) {
    server.set(state);
    let url = format!("mongodb://{}/?{query}", server.address());
    match class {
        "ready" => ready(&url, says),
        class => not_ready(&url, class, says),
    }
    pymongo_agrees(&url, class);
}

#[test]
fn every_state_has_the_outcome_of_pymongo() {
    // The state, the query, the class, and the message.
    let arbiter = r#""isWritablePrimary": false, "arbiterOnly": true,"#;
    let starting = r#""isWritablePrimary": false, "secondary": false,"#;
    let ghost = r#"{"hello": {"isWritablePrimary": false, "isreplicaset": true,
        "info": "Does not have a valid replica set config"}}"#;
    let mongos = r#"{"hello": {"isWritablePrimary": true, "msg": "isdbgrid"}}"#;
    let old = r#"{"modern": false, "hello": {"ismaster": true}}"#;
    let locked = r#"{"hello": {"isWritablePrimary": true}, "auth": true}"#;
    let cosmos = r#"{"cosmos": true, "hello": {"ismaster": true}}"#;
    let balanced = r#"{"hello": {"isWritablePrimary": true, "msg": "isdbgrid",
        "serviceId": "x"}}"#;
    let down = r#"{"hello": {"ok": 0, "code": 91, "codeName": "ShutdownInProgress",
        "errmsg": "The server is in quiesce mode and will shut down"}}"#;
    let hidden = r#", "hidden": true"#;
    let tags = r#", "tags": {"dc": "ny"}"#;
    // What `hello` says is not what the next command meets.
    let stepped_down = r#"{"hello": {"isWritablePrimary": true}, "error": {"ok": 0, "code": 189,
        "codeName": "PrimarySteppedDown", "errmsg": "in the middle of a stepdown"}}"#;
    let without_shards = r#"{"hello": {"isWritablePrimary": true, "msg": "isdbgrid"},
        "error": {"ok": 0, "code": 133, "codeName": "FailedToSatisfyReadPreference",
        "errmsg": "Could not find host matching read preference"}}"#;
    let rows: [(&str, &str, &str, &str); 32] = [
        (stepped_down, "", "busy", "PrimarySteppedDown 189: in the middle of a stepdown"),
        (without_shards, "", "busy", "FailedToSatisfyReadPreference 133"),
        (STANDALONE, "", "ready", "MongoDB, a standalone server"),
        (STANDALONE, "readPreference=secondary", "ready", "MongoDB, a standalone server"),
        (STANDALONE, "replicaSet=rs0", "absent", "a standalone server, and replicaSet=rs0 wants"),
        (old, "", "ready", "MongoDB, a standalone server"),
        (mongos, "", "ready", "MongoDB, a mongos"),
        (ghost, "", "absent", "the replica set is not initiated yet"),
        (&member(PRIMARY, ""), "", "ready", "MongoDB, the primary of rs0"),
        (&member(PRIMARY, ""), "replicaSet=rs0", "ready", "MongoDB, the primary of rs0"),
        (
            &member(PRIMARY, ""),
            "replicaSet=rs1",
            "absent",
            "the primary of rs0, and replicaSet=rs1",
        ),
        (&member(PRIMARY, ""), "readPreference=secondary", "busy", "and a secondary is wanted"),
        (&member(PRIMARY, ""), "readPreference=secondaryPreferred", "ready", "the primary of rs0"),
        (&member(SECONDARY, ""), "", "busy", "a secondary of rs0, which knows no primary"),
        (&member(SECONDARY, ""), "readPreference=secondary", "ready", "a secondary of rs0"),
        (&member(SECONDARY, ""), "readPreference=nearest", "ready", "a secondary of rs0"),
        (&member(SECONDARY, ""), "directConnection=true", "ready", "a secondary of rs0"),
        (
            &member(SECONDARY, ""),
            "directConnection=true&readPreference=primary",
            "ready",
            "a secondary of rs0",
        ),
        (
            &member(PRIMARY, tags),
            "directConnection=true&readPreference=secondary&readPreferenceTags=dc:la",
            "ready",
            "the primary of rs0",
        ),
        (
            &member(SECONDARY, tags),
            "readPreference=secondary&readPreferenceTags=dc:ny",
            "ready",
            "a secondary of rs0",
        ),
        (
            &member(SECONDARY, tags),
            "readPreference=secondary&readPreferenceTags=dc:la",
            "absent",
            "without the wanted tags",
        ),
        (
            &member(PRIMARY, tags),
            "readPreference=secondaryPreferred&readPreferenceTags=dc:la",
            "ready",
            "the primary of rs0",
        ),
        (
            &member(PRIMARY, tags),
            "readPreference=nearest&readPreferenceTags=dc:la",
            "absent",
            "without the wanted tags",
        ),
        (&member(SECONDARY, hidden), "readPreference=nearest", "busy", "a hidden member of rs0"),
        (&member(SECONDARY, hidden), "directConnection=true", "ready", "a hidden member of rs0"),
        (&member(arbiter, ""), "readPreference=nearest", "busy", "an arbiter of rs0"),
        (&member(starting, ""), "readPreference=nearest", "busy", "a member that is starting"),
        (down, "", "busy", "ShutdownInProgress 91: The server is in quiesce mode"),
        (locked, "", "auth", "no credentials were given"),
        (cosmos, "", "auth", "CommandNotSupported 115: Command listDatabases not supported"),
        (balanced, "loadBalanced=true", "ready", "MongoDB, a mongos"),
        (mongos, "loadBalanced=true", "absent", "no load balancer's service answers"),
    ];
    // pymongo takes its time before it gives up.
    thread::scope(|scope| {
        for rows in rows.chunks(6) {
            scope.spawn(move || {
                let server = Stated::mongodb(None, STANDALONE);
                rows.iter().for_each(|row| compare(&server, *row));
            });
        }
    });
    let server = Stated::mongodb(None, STANDALONE);
    let at = server.address();
    not_ready(&format!("mongodb://{at}/#role=secondary"), "absent", "and a secondary is wanted");
    let other = Reserved::new();
    let several = format!("mongodb://{at},{}/", other.address());
    not_ready(&several, "absent", "drivers skip it in a list of several servers");
    assert_eq!(pymongo(&several), "ServerSelectionTimeoutError");
    server.set(&member(SECONDARY, ""));
    not_ready(&format!("mongodb://{at}/?directConnection=true#role=primary"), "busy", "no primary");
    ready(&format!("mongodb://{at}/#role=any,replica-set=rs0"), "a secondary of rs0");
    server.pause();
    not_ready(
        &format!("mongodb://{at}#attempt-timeout=300ms"),
        "timeout",
        "but no answer from MongoDB within 0.3s",
    );
}

#[test]
fn every_login_has_the_outcome_of_pymongo() {
    let users = r#""users": {
        "admin.app": ["s3cr3t/#", "SCRAM-SHA-256", "SCRAM-SHA-1"],
        "admin.new": ["pIX", "SCRAM-SHA-256"],
        "shop.a,b=c": ["s3cr3t", "SCRAM-SHA-1"]}"#;
    let modern = format!(r#"{{"hello": {{"isWritablePrimary": true}}, "auth": true, {users}}}"#);
    let old =
        format!(r#"{{"modern": false, "hello": {{"ismaster": true}}, "auth": true, {users}}}"#);
    let server = Stated::mongodb(None, &modern);
    let at = server.address();
    // Azure Cosmos DB knows both names of the first command, and serves the old one alone.
    let cosmos = modern.replace(r#"{"hello""#, r#"{"cosmos": true, "hello""#);
    for state in [&modern, &old, &cosmos] {
        server.set(state);
        let rows = [
            ("app:s3cr3t%2F%23", "", "ready"),
            ("app:s3cr3t%2F%23", "/?authMechanism=SCRAM-SHA-1", "ready"),
            ("app:s3cr3t%2F%23", "/?authMechanism=SCRAM-SHA-256", "ready"),
            ("app:s3cr3t%2F%23", "/shop?authSource=admin", "ready"),
            ("app:s3cr3t%2F%23", "/shop", "auth"),
            ("app:wrong", "", "auth"),
            ("nobody:s3cr3t", "", "auth"),
            // SASLprep turns the Roman numeral into letters.
            ("new:p%E2%85%A8", "", "ready"),
            ("new:pIX", "/?authMechanism=SCRAM-SHA-1", "auth"),
            ("a%2Cb%3Dc:s3cr3t", "/shop", "ready"),
        ];
        thread::scope(|scope| {
            for (login, rest, class) in rows {
                scope.spawn(move || {
                    let url = format!("mongodb://{login}@{at}{rest}");
                    match class {
                        "ready" => ready(&url, "MongoDB, a standalone server"),
                        class => not_ready(&url, class, "AuthenticationFailed 18"),
                    }
                    pymongo_agrees(&url, class);
                });
            }
        });
    }
}

#[test]
fn a_user_that_appears_late_is_waited_for() {
    let state = |users: &str| {
        format!(r#"{{"hello": {{"isWritablePrimary": true}}, "auth": true, "users": {{{users}}}}}"#)
    };
    let server = Stated::mongodb(None, &state(""));
    let url = format!("db=mongodb://app:s3cr3t@{}/shop?authSource=admin", server.address());
    let waiting = Afterall::waiting_for([url]).becoming(sh("echo started")).spawn();
    waiting.wait_for_stderr("db: waiting: AuthenticationFailed 18", secs(20));
    server.set(&state(r#""admin.app": ["s3cr3t", "SCRAM-SHA-256"]"#));
    let done = waiting.done().code(0).stdout("started\n");
    done.stderr_has("db: ready: MongoDB, a standalone").says_nowhere("s3cr3t");
}

#[test]
fn the_primary_is_asked_at_its_own_address() {
    let primary = Stated::mongodb(None, STANDALONE);
    let secondary = Stated::mongodb(None, STANDALONE);
    let dead = Reserved::new();
    let (first, second) = (primary.address(), secondary.address());
    let names = |me: &str, primary: &str| {
        format!(
            r#""setName": "rs0", "me": "{me}", "primary": "{primary}",
                "hosts": ["{primary}", "{second}"]"#
        )
    };
    let state = |part: &str, names: &str| format!(r#"{{"hello": {{{part} {names}}}}}"#);
    let both = |address: &str| {
        primary.set(&state(PRIMARY, &names(address, address)));
        secondary.set(&state(SECONDARY, &names(&second.to_string(), address)));
    };
    both(&first.to_string());
    let url = format!("mongodb://{second}/?replicaSet=rs0");
    ready(&url, &format!("the primary of rs0 ({first})"));
    pymongo_finds(&url);
    ready(&format!("mongodb://{first}/?readPreference=secondary"), &format!("of rs0 ({second})"));
    ready(&format!("mongodb://{second},{first}"), &format!("the primary of rs0 ({first})"));
    // The secondary has not heard of the primary, or not yet.
    let unaware =
        format!(r#""setName": "rs0", "me": "{second}", "hosts": ["{second}", "{first}"]"#);
    secondary.set(&state(SECONDARY, &unaware));
    ready(&url, &format!("the primary of rs0 ({first})"));
    pymongo_finds(&url);
    primary.set(&state(SECONDARY, &unaware.replace(&second.to_string(), &first.to_string())));
    not_ready(&url, "busy", &format!("which knows no primary ({second})"));
    // On this host, another server has the address that the member knows.
    secondary.set(&state(SECONDARY, &names(&second.to_string(), &first.to_string())));
    let other = state(PRIMARY, &names(&first.to_string(), &first.to_string()));
    let other = other.replace("rs0", "rs1");
    for (other, is) in [(STANDALONE, "a standalone server"), (&other, "the primary of rs1")] {
        primary.set(other);
        let url = format!("mongodb://{second}/");
        not_ready(&url, "absent", &format!("names {first}, which is {is}, and no member"));
        assert_eq!(pymongo(&url), "ServerSelectionTimeoutError", "{is}");
    }
    // The members know the primary by an address that this host does not reach.
    for (address, class, says) in [
        (
            dead.address().to_string(),
            "connect",
            "which this host does not reach: connection refused",
        ),
        ("no-such-host.invalid:27017".to_owned(), "dns", "which this host does not reach"),
    ] {
        both(&address);
        for url in [format!("mongodb://{second}/"), format!("mongodb://{first}/")] {
            not_ready(&url, class, says);
            not_ready(
                &url,
                class,
                &format!("names {address}").replace(
                    "names",
                    if url.contains(&second.to_string()) { "names" } else { "names itself" },
                ),
            );
            assert_eq!(pymongo(&url), "ServerSelectionTimeoutError", "{url}");
        }
        let direct = format!("mongodb://{first}/?directConnection=true");
        ready(&direct, "the primary of rs0");
        pymongo_finds(&direct);
    }
}

#[test]
fn a_server_with_tls_is_asked_by_tls_alone() {
    let authority = Authority::new("mongo");
    let identity = authority.server(&["mongo.test"]);
    let server = Stated::mongodb(Some(&identity), STANDALONE);
    let (at, ca) = (server.address(), authority.cert_text());
    let url = format!("mongodb://{at}/?tls=true");
    let any_name = format!("{url}&tlsCAFile={ca}&tlsAllowInvalidHostnames=true");
    ready(&any_name, "MongoDB, a standalone server");
    pymongo_finds(&any_name);
    ready(&format!("{url}#ca={ca},server-name=mongo.test"), "MongoDB, a standalone server");
    ready(&format!("{url}&tlsAllowInvalidCertificates=true"), "MongoDB, a standalone server");
    let strict = format!("{url}&tlsCAFile={ca}");
    not_ready(&strict, "tls", "");
    assert_eq!(pymongo(&strict), "ServerSelectionTimeoutError");
    not_ready(&url, "tls", "");
    let done = once(&format!("mongodb://{at}")).code(69).any_stdout();
    assert!(done.stdout_text().contains("tls=true"), "{}", done.stdout_text());
}

#[test]
fn a_directory_or_a_certificate_knows_the_user() {
    let authority = Authority::new("mongo");
    let identity = authority.server(&["mongo.test"]);
    let client = authority.client("app");
    let dir = Dir::new();
    let read = |path: &str| std::fs::read_to_string(path).unwrap();
    let pair = format!("{}{}", read(client.cert_text()), read(client.key_text()));
    dir.write_secret("client.pem", pair);
    let ca = authority.cert_text();
    let state = format!(
        r#"{{"hello": {{"isWritablePrimary": true}}, "auth": true, "ca": "{ca}",
             "users": {{"$external.": [""], "$external.app": ["s3cr3t", "PLAIN"]}}}}"#
    );
    let server = Stated::mongodb(Some(&identity), &state);
    let at = server.address();
    let tls = format!("tls=true&tlsCAFile={ca}&tlsAllowInvalidHostnames=true");
    let certified = format!("{tls}&tlsCertificateKeyFile={}", dir.text("client.pem"));
    for (login, options, class) in [
        ("", format!("authMechanism=MONGODB-X509&{certified}"), "ready"),
        ("", format!("authMechanism=MONGODB-X509&{tls}"), "auth"),
        ("app:s3cr3t@", format!("authMechanism=PLAIN&{tls}"), "ready"),
        ("app:wrong@", format!("authMechanism=PLAIN&{tls}"), "auth"),
    ] {
        let url = format!("mongodb://{login}{at}/?{options}");
        match class {
            "ready" => ready(&url, "MongoDB, a standalone server"),
            class => not_ready(&url, class, "AuthenticationFailed 18"),
        }
        pymongo_agrees(&url, class);
    }
}

/// A name server for SRV and TXT records, and the files that lead to it. None unless we are root.
struct Names {
    dir: Dir,
}

impl Names {
    fn new(hosts: &str, host: &str, port: u16, text: &'static str) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let (dir, address) = (Dir::new(), Address::claim());
        let socket = UdpSocket::bind((address.ip(), 53)).unwrap();
        dir.write("hosts", hosts);
        dir.write("resolv.conf", format!("nameserver {}\n", address.ip()));
        dir.write("nsswitch.conf", "hosts: files\n");
        let mut srv = [0, 0, 0, 0].to_vec();
        srv.extend(port.to_be_bytes());
        for label in host.split('.') {
            srv.push(label.len() as u8);
            srv.extend(label.bytes());
        }
        srv.push(0);
        thread::spawn(move || {
            let _address = address;
            let mut packet = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut packet) {
                let end = 12 + packet[12..length].iter().position(|byte| *byte == 0).unwrap() + 5;
                let data = match packet[end - 3] {
                    33 => srv.clone(),
                    16 if !text.is_empty() => [&[text.len() as u8][..], text.as_bytes()].concat(),
                    _ => Vec::new(),
                };
                let mut answer = packet[..end].to_vec();
                answer[2..4].copy_from_slice(&[0x81, 0x80]);
                answer[6..12].fill(0);
                if !data.is_empty() {
                    answer[7] = 1;
                    answer.extend([0xc0, 12, 0, packet[end - 3], 0, 1, 0, 0, 0, 9]);
                    answer.extend((data.len() as u16).to_be_bytes());
                    answer.extend(data);
                }
                let _ = socket.send_to(&answer, from);
            }
        });
        Some(Self { dir })
    }

    fn words(&self) -> [String; 5] {
        let dir = self.dir.path().display();
        let script = format!(
            "for f in hosts resolv.conf nsswitch.conf; do mount --bind {dir}/$f /etc/$f; done; \
            exec \"$@\""
        );
        ["--mount", "--", "sh", "-ec", &script].map(str::to_owned)
    }

    fn once(&self, url: &str) -> Done {
        let words = [&["unshare".to_owned()][..], &self.words(), &["sh".to_owned()]].concat();
        Afterall::once().under(words).arg(url).run()
    }

    fn pymongo(&self, url: &str) -> String {
        let mut command = Command::new(program("unshare", "util-linux"));
        command.args(self.words()).arg("sh").arg(python()).args(["-c", PYMONGO, url, "30000"]);
        String::from_utf8_lossy(&command.output().unwrap().stdout).trim().to_owned()
    }
}

#[test]
fn servers_and_options_come_from_records() {
    let state = r#"{"hello": {"isWritablePrimary": true, "setName": "rs0",
        "me": "a.mongo.test:@PORT", "hosts": ["a.mongo.test:@PORT"]}, "auth": true,
        "users": {"users.app": ["s3cr3t", "SCRAM-SHA-256"]}}"#;
    let server = Stated::mongodb(None, state);
    let (ip, port) = (server.address().ip(), server.address().port());
    let hosts = format!("{ip} a.mongo.test a.other.test\n");
    let text = "authSource=users&replicaSet=rs0";
    let Some(names) = Names::new(&hosts, "a.mongo.test", port, text) else { return };
    let url = "mongodb+srv://app:s3cr3t@c.mongo.test/shop?tls=false";
    names.once(url).code(0).stdout_has(&format!("the primary of rs0 (a.mongo.test:{port})"));
    assert_eq!(names.pymongo(url), "usable");
    let other = format!("{url}&replicaSet=rs1");
    names.once(&other).code(69).stdout_has("replicaSet=rs1 wants another");
    let other = format!("{url}&authSource=shop");
    names.once(&other).code(69).stdout_has("AuthenticationFailed 18");
    assert_eq!(names.pymongo(&other), "OperationFailure");
    // TLS is the default, and this server has none.
    names.once("mongodb+srv://c.mongo.test").code(69).stdout_has("[class=");
    // A record must not lead the login to another domain.
    let names = Names::new(&hosts, "a.other.test", port, "").unwrap();
    names.once(url).code(69).stdout_has("a.other.test is outside of the domain mongo.test");
    assert_eq!(names.pymongo(url), "ConfigurationError");
    let names = Names::new(&hosts, "a.mongo.test", port, "tls=false").unwrap();
    names.once(url).code(69).stdout_has("only authSource, replicaSet and loadBalanced are allowed");
    assert_eq!(names.pymongo(url), "ConfigurationError");
}

#[test]
fn what_is_no_mongodb_is_named() {
    for (says, class, want) in [
        ("HTTP/1.1 400 Bad Request\r\n\r\n", "protocol", "not MongoDB, it says: HTTP/1.1 400"),
        ("\x15\x03\x01\0\x02\x02\x50\0\0\0\0\0\0\0\0\0", "protocol", "tls=true is missing"),
        ("short", "connect", "connection closed by the server"),
    ] {
        let server = Scripted::answering_then_closing(says);
        not_ready(&format!("mongodb://{}", server.address()), class, want);
    }
    let server = Scripted::closing();
    not_ready(&format!("mongodb://{}", server.address()), "connect", "tls=true then");
}
