//! `mongodb:` against servers of other makers: SecantusDB, which is a replica set's primary with
//! users, and NX-27017, which stands alone. pymongo judges both.

use super::*;
use std::net::{SocketAddr, TcpStream};

/// SecantusDB on a port of its own.
struct Secantus {
    server: Server,
    dir: Dir,
    at: SocketAddr,
    address: Address,
}

impl Secantus {
    fn start(dir: Dir, address: Address, at: SocketAddr, options: &[&str]) -> Self {
        let (program, host, port) = (python(), at.ip().to_string(), at.port().to_string());
        assert!(package_file("secantus").is_dir());
        let (log, data) = (dir.join("log"), dir.text("data"));
        let start = "import sys; from secantus.cli import main; sys.exit(main())";
        let words = ["-c", start, "--host", &host, "--port", &port, "--storage-path", &data];
        let mut all: Vec<&OsStr> = vec![program.as_os_str()];
        all.extend(words.iter().chain(options).map(OsStr::new));
        let server = Server::start("secantusd", &all, &log, Signal::KILL, Scope::Process);
        Self { server, dir, at, address }
    }

    fn started(options: &[&str]) -> Self {
        let (dir, address) = (Dir::new(), Address::claim());
        let at = address.free();
        let mut server = Self::start(dir, address, at, options);
        server.server.wait_until_up(|| TcpStream::connect(at).is_ok());
        server
    }

    /// Ends the server, and starts it on the same data.
    fn restarted(self, options: &[&str]) -> Self {
        let Self { mut server, dir, at, address } = self;
        server.signal(Signal::TERM);
        server.wait_until_down();
        let mut server = Self::start(dir, address, at, options);
        server.server.wait_until_up(|| TcpStream::connect(at).is_ok());
        server
    }

    /// Runs one command as pymongo sends it, without a login.
    fn run(&self, command: &str) {
        const SCRIPT: &str = "
import sys, json, pymongo
client = pymongo.MongoClient(sys.argv[1], directConnection=True, serverSelectionTimeoutMS=60000)
print(client.admin.command(json.loads(sys.argv[2]))['ok'])
";
        let url = format!("mongodb://{}", self.at);
        assert_eq!(printed(SCRIPT, &[&url, command]), "1.0", "{command}");
    }
}

const USER: &str = r#"{"createUser": "app", "pwd": "s3cr3t",
    "roles": ["readWriteAnyDatabase", "clusterMonitor"]}"#;

#[test]
fn secantusdb_is_waited_for_from_nothing_to_its_user() {
    let (dir, address) = (Dir::new(), Address::claim());
    let at = address.free();
    let declared = format!(
        "db=mongodb://app:s3cr3t@{at}/shop?authSource=admin&replicaSet=secantus#timeout=50s"
    );
    let waiting = Afterall::waiting_for([declared]).becoming(sh("echo started")).spawn();
    waiting.wait_for_stderr("db: waiting: connection refused", secs(20));
    let server = Secantus::start(dir, address, at, &[]);
    waiting.wait_for_stderr("db: waiting: AuthenticationFailed 18", secs(40));
    server.run(USER);
    waiting.done().code(0).stdout("started\n").stderr_has("db: ready: MongoDB, the primary of");
    let server = server.restarted(&["--auth"]);
    let rows = [
        ("", "/", "auth", "no credentials were given"),
        ("app:s3cr3t@", "/", "ready", "the primary of secantus"),
        ("app:s3cr3t@", "/?authMechanism=SCRAM-SHA-256", "ready", "the primary of secantus"),
        ("app:s3cr3t@", "/?readPreference=nearest", "ready", "the primary of secantus"),
        ("app:wrong@", "/", "auth", "AuthenticationFailed 18"),
        ("app:s3cr3t@", "/shop", "auth", "AuthenticationFailed 18"),
        ("app:s3cr3t@", "/?authMechanism=PLAIN", "auth", "Unsupported SASL mechanism"),
        ("app:s3cr3t@", "/?readPreference=secondary", "busy", "and a secondary is wanted"),
        ("app:s3cr3t@", "/?replicaSet=rs0", "absent", "and replicaSet=rs0 wants another"),
    ];
    for (login, rest, class, says) in rows {
        let url = format!("mongodb://{login}{at}{rest}");
        match class {
            "ready" => ready(&url, says),
            class => not_ready(&url, class, says),
        }
        pymongo_agrees(&url, class);
    }
    server.server.pause();
    let url = format!("mongodb://app:s3cr3t@{at}/#attempt-timeout=300ms");
    not_ready(&url, "timeout", "but no answer from MongoDB within 0.3s");
}

#[test]
fn a_command_that_fails_beside_a_good_hello_is_waited_out() {
    let server = Secantus::started(&["--enable-test-commands"]);
    let url = format!("mongodb://{}", server.at);
    for (data, class, says) in [
        (r#""errorCode": 189"#, "busy", "PrimarySteppedDown 189"),
        (r#""errorCode": 91"#, "busy", "ShutdownInProgress 91"),
        (r#""closeConnection": true"#, "connect", "connection closed by the server"),
    ] {
        server.run(&format!(
            r#"{{"configureFailPoint": "failCommand", "mode": "alwaysOn",
                "data": {{"failCommands": ["listDatabases"], {data}}}}}"#
        ));
        not_ready(&url, class, says);
        pymongo_agrees(&url, class);
    }
    server.run(r#"{"configureFailPoint": "failCommand", "mode": "off"}"#);
    ready(&url, "the primary of secantus");
    pymongo_finds(&url);
}

#[test]
fn secantusdb_with_tls_is_asked_by_tls_alone() {
    let authority = Authority::new("mongodb");
    let identity = authority.server(&["127.0.0.1"]);
    let options = ["--tls-cert-file", identity.cert_text(), "--tls-key-file", identity.key_text()];
    let server = Secantus::started(&options);
    let url = format!("mongodb://{}/", server.at);
    not_ready(&url, "connect", "tls=true then");
    not_ready(&format!("{url}?tls=true"), "tls", "");
    let trusted =
        format!("{url}?tls=true&tlsCAFile={}&tlsAllowInvalidHostnames=true", authority.cert_text());
    ready(&trusted, "the primary of secantus");
    pymongo_finds(&trusted);
}

#[test]
fn nx_27017_is_ready_where_pymongo_finds_it() {
    let (dir, address) = (Dir::new(), Address::claim());
    let at = address.free();
    let (program, host, port) = (python(), at.ip().to_string(), at.port().to_string());
    let module = package_file("nx_27017");
    assert!(module.is_dir());
    let (log, pid) = (dir.text("nx.log"), dir.text("nx.pid"));
    let start = "import sys; from nx_27017.nx_27017 import main; sys.exit(main())";
    let words = ["-c", start, "--data-dir", "memory", "--host", &host, "-p", &port];
    let words = [&words[..], &["--log-file", &log, "--pid-file", &pid]].concat();
    let mut all: Vec<&OsStr> = vec![program.as_os_str()];
    all.extend(words.iter().map(OsStr::new));
    let url = format!("mongodb://{at}");
    let waiting = Afterall::waiting_for([format!("db={url}")]).becoming(sh("echo started")).spawn();
    waiting.wait_for_stderr("db: waiting: connection refused", secs(20));
    let log = dir.join("log");
    let _server = Server::start("nx-27017", &all, &log, Signal::KILL, Scope::Process);
    waiting.done().code(0).stdout("started\n").stderr_has("db: ready: MongoDB, a standalone");
    pymongo_finds(&url);
}
