//! A real PostgreSQL server, with a data directory of its own.

use super::certs::Identity;
use super::dir::Dir;
use super::ports::Address;
use super::process::{self, Scope, Server, missing};
use super::psql::{self, Session};
use super::template::{copy, run, template};
use super::wait::{LONG, wait_until};
use rustix::process::{Signal, getuid};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock};

const PACKAGE: &str = "postgresql";

/// For setpriv: the user of Debian's package, because PostgreSQL refuses to run as root.
const UNPRIVILEGED: [&str; 3] = ["--reuid=postgres", "--regid=postgres", "--clear-groups"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// Waits for clients to leave; new clients get 57P03.
    Smart,
    /// Disconnects clients.
    Fast,
    /// Stops as after a crash: the next start recovers.
    Immediate,
}

pub struct Postgres {
    // Fields drop in this order: the server, then its files and its address.
    server: Mutex<Option<Server>>,
    dir: Dir,
    at: SocketAddr,
    _address: Address,
}

impl Postgres {
    /// Prepares a server with the superuser `postgres`, the database `postgres`, and trust for all.
    pub fn new() -> Self {
        Self::on(Address::claim())
    }

    pub fn on(address: Address) -> Self {
        let dir = Dir::new();
        copy(&data_directory(), &dir.join("data"));
        // A directory whose path is short enough for a socket.
        chown(&dir.mkdir("socket"));
        let postgres =
            Self { server: Mutex::new(None), dir, at: address.free(), _address: address };
        let socket = postgres.socket_dir();
        for line in [
            &format!("listen_addresses = '{}'", postgres.host()),
            &format!("port = {}", postgres.port()),
            &format!("unix_socket_directories = '{socket}'"),
            "fsync = off",
            "full_page_writes = off",
            "synchronous_commit = off",
            "autovacuum = off",
            "jit = off",
            "shared_buffers = 16MB",
            // The default before PostgreSQL 14 is md5.
            "password_encryption = scram-sha-256",
            // /dev/shm is small in a container, and a killed server would leave its files there.
            "dynamic_shared_memory_type = mmap",
        ] {
            postgres.conf(line);
        }
        postgres.hba(&["local all all trust", "host all all all trust"]);
        postgres
    }

    pub fn started() -> Self {
        let postgres = Self::new();
        postgres.start();
        postgres
    }

    /// A standby that rejects every login with 57P03 until `promote`.
    pub fn starting_up() -> Self {
        let postgres = Self::new();
        postgres.conf("hot_standby = off");
        chown(&postgres.dir.write("data/standby.signal", ""));
        postgres.start();
        postgres
    }

    /// A standby without a primary: it accepts logins and is read-only.
    pub fn standby() -> Self {
        let postgres = Self::new();
        chown(&postgres.dir.write("data/standby.signal", ""));
        postgres.start();
        wait_until("the standby takes logins", LONG, || {
            postgres.login("postgres", "", "postgres").is_ok()
        });
        postgres
    }

    /// A standby that streams from `primary`, which must be as new as this one.
    ///
    /// All servers begin as copies of one data directory, so that no backup is needed.
    pub fn standby_of(primary: &Self) -> Self {
        let standby = Self::new();
        let (host, port) = (primary.socket_dir(), primary.port());
        standby.conf(&format!("primary_conninfo = 'host={host} port={port} user=postgres'"));
        standby.conf("wal_retrieve_retry_interval = 100ms");
        chown(&standby.dir.write("data/standby.signal", ""));
        standby.start();
        standby
    }

    /// Returns once the server accepts logins, or is a standby that accepts none. It makes no
    /// connection, so that the log holds only what the test did.
    pub fn start(&self) {
        self.start_without_waiting();
        self.wait_until_up();
    }

    pub fn start_without_waiting(&self) {
        let mut slot = self.server.lock().unwrap();
        assert!(slot.is_none(), "postgres was already started");
        let (program, data) = (program("postgres"), self.data());
        let words = [program.as_os_str(), OsStr::new("-D"), data.as_os_str()];
        let identity = unprivileged_identity();
        // SIGQUIT is the quickest end that still releases System V shared memory.
        let log = self.dir.join("log");
        *slot = Some(Server::start_as(
            identity,
            "postgres",
            &words,
            &log,
            Signal::QUIT,
            Scope::Process,
        ));
    }

    /// The command that starts the server in the foreground, for a supervisor.
    pub fn command_line(&self) -> Vec<String> {
        let identity: &[&str] = if getuid().is_root() { &UNPRIVILEGED } else { &[] };
        let own = [program("postgres"), "-D".into(), self.data()]
            .map(|word| word.to_str().unwrap().to_owned());
        ["setpriv"]
            .iter()
            .chain(identity)
            .map(|&word| word.to_owned())
            .chain(["--".to_owned()])
            .chain(own)
            .collect()
    }

    /// The directory of psql and the other clients.
    pub fn programs() -> PathBuf {
        clients()
    }

    /// The server's own words while it starts up.
    pub fn starting_up_words() -> &'static str {
        if server().0 < 14 {
            "the database system is starting up"
        } else {
            "the database system is not accepting connections"
        }
    }

    /// Returns once the server is up; a standby that takes no logins is up.
    pub fn wait_until_up(&self) {
        self.wait_for_status(&["ready", "standby"]);
    }

    fn wait_for_status(&self, wanted: &[&str]) {
        let mut slot = self.server.lock().unwrap();
        let server = slot.as_mut().expect("postgres is running");
        let pid = server.pid().as_raw_pid().to_string();
        let file = self.data().join("postmaster.pid");
        // The first line is the pid, the eighth the status. `pg_ctl -w` reads the same file.
        server.wait_until_up(|| {
            let text = fs::read_to_string(&file).unwrap_or_default();
            let lines: Vec<&str> = text.lines().map(str::trim).collect();
            lines.first() == Some(&pid.as_str())
                && lines.get(7).is_some_and(|status| wanted.contains(status))
        });
    }

    /// Returns once the server is gone. `Smart` waits for the last client.
    pub fn stop(&self, how: Shutdown) {
        self.begin_stop(how);
        let mut server = self.server.lock().unwrap().take().expect("postgres is running");
        server.wait_until_down();
    }

    pub fn begin_stop(&self, how: Shutdown) {
        let signal = match how {
            Shutdown::Smart => Signal::TERM,
            Shutdown::Fast => Signal::INT,
            Shutdown::Immediate => Signal::QUIT,
        };
        self.with(|server| server.signal(signal));
    }

    /// Freezes the postmaster: the kernel accepts connections, and nothing answers.
    pub fn pause(&self) {
        self.with(Server::pause);
    }

    pub fn resume(&self) {
        self.with(Server::resume);
    }

    pub fn promote(&self) {
        let mut command = unprivileged(&program("pg_ctl"));
        run(command.args(["promote", "-s", "-w", "-D"]).arg(self.data()));
        // pg_ctl goes by the control file, which is written before logins are accepted.
        self.wait_for_status(&["ready"]);
    }

    /// Appends a line to postgresql.conf. A running server reads it at `reload` or at its next
    /// start.
    pub fn conf(&self, line: &str) {
        self.dir.append("data/postgresql.conf", line);
    }

    /// Replaces pg_hba.conf, and reloads it if the server runs. The superuser may always log in by
    /// the socket.
    pub fn hba(&self, lines: &[&str]) {
        let text = format!("local all,replication postgres trust\n{}\n", lines.join("\n"));
        chown(&self.dir.write("data/pg_hba.conf", text));
        if self.server.lock().unwrap().is_some() {
            self.reload();
        }
    }

    /// Returns once new connections use the new configuration.
    pub fn reload(&self) {
        let before = self.count("reloading configuration files");
        self.with(|server| server.signal(Signal::HUP));
        // The postmaster logs this line and reloads before it accepts a connection.
        wait_until("postgres reloads", LONG, || {
            self.count("reloading configuration files") > before
        });
    }

    /// Turns TLS on. `clients` is the authority of client certificates, which
    /// `clientcert=verify-full` in an hba line demands.
    pub fn tls(&self, identity: &Identity, clients: Option<&Path>) {
        self.tls_files(&identity.cert, &identity.key, clients);
    }

    /// Turns TLS on with the certificate and key in these files.
    pub fn tls_files(&self, cert: &Path, key: &Path, clients: Option<&Path>) {
        let install = |from: &Path, name: &str| {
            chown(&self.dir.write_secret(&format!("data/{name}"), fs::read(from).unwrap()));
        };
        install(cert, "server.crt");
        install(key, "server.key");
        self.conf("ssl = on");
        if let Some(ca) = clients {
            install(ca, "clients.pem");
            self.conf("ssl_ca_file = 'clients.pem'");
        }
        if self.server.lock().unwrap().is_some() {
            self.reload();
        }
    }

    /// Runs SQL as the superuser, in the database `postgres`, whatever pg_hba.conf says.
    #[track_caller]
    pub fn psql(&self, sql: &str) -> String {
        self.psql_in("postgres", sql)
    }

    #[track_caller]
    pub fn psql_in(&self, database: &str, sql: &str) -> String {
        psql::run(self.psql_command(database), sql).unwrap_or_else(|error| panic!("{sql}\n{error}"))
    }

    /// Runs SQL with this role's rights, over the superuser's connection.
    #[track_caller]
    pub fn psql_as(&self, user: &str, database: &str, sql: &str) -> String {
        let mut command = self.psql_command(database);
        command.args(["-c", &format!("set session authorization \"{user}\"")]);
        psql::run(command, sql).unwrap_or_else(|error| panic!("{sql}\n{error}"))
    }

    /// psql's outcome over TCP: nothing, or its error.
    pub fn login(&self, user: &str, password: &str, database: &str) -> Result<(), String> {
        let mut command =
            psql::command(&program("psql"), &self.host(), self.port(), user, database);
        command.arg("-w").env("PGPASSWORD", password);
        psql::run(command, "select 1").map(drop)
    }

    /// Opens a connection of the superuser to this database.
    pub fn session(&self, database: &str) -> Session {
        Session::open(self.psql_command(database))
    }

    /// Opens a connection of this role over TCP.
    pub fn session_as(&self, user: &str, password: &str, database: &str) -> Session {
        let mut command =
            psql::command(&program("psql"), &self.host(), self.port(), user, database);
        command.arg("-w").env("PGPASSWORD", password);
        Session::open(command)
    }

    pub fn log(&self) -> String {
        self.dir.read("log")
    }

    /// The log without its first `length` bytes.
    pub fn log_after(&self, length: usize) -> String {
        self.log().split_off(length)
    }

    pub fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    pub fn socket_dir(&self) -> String {
        self.dir.text("socket")
    }

    pub fn host(&self) -> String {
        self.at.ip().to_string()
    }

    pub fn port(&self) -> u16 {
        self.at.port()
    }

    pub fn address(&self) -> SocketAddr {
        self.at
    }

    /// The URL; an empty password is left out.
    pub fn url(&self, user: &str, password: &str, database: &str) -> String {
        let secret =
            if password.is_empty() { String::new() } else { format!(":{}", percent(password)) };
        format!("postgres://{}{secret}@{}/{}", percent(user), self.at, percent(database))
    }

    /// The superuser's URL, for tests that are not about logins.
    pub fn superuser_url(&self) -> String {
        self.url("postgres", "", "postgres")
    }

    fn psql_command(&self, database: &str) -> Command {
        psql::command(&program("psql"), &self.socket_dir(), self.port(), "postgres", database)
    }

    fn count(&self, needle: &str) -> usize {
        self.log().matches(needle).count()
    }

    #[track_caller]
    fn with(&self, act: impl FnOnce(&Server)) {
        act(self.server.lock().unwrap().as_ref().expect("postgres is running"));
    }
}

/// For setpriv: the user of PostgreSQL and of all that belongs to it.
pub fn unprivileged_identity() -> &'static [&'static str] {
    if getuid().is_root() { &UNPRIVILEGED } else { &[] }
}

/// psql's outcome with these KEY=VALUE pairs: nothing, or its error. Its environment is `env`
/// alone.
pub fn libpq(pairs: &str, env: &[(&str, &str)]) -> Result<(), String> {
    let mut command = psql::bare(&program("psql"));
    command.args(["-w", "-d", pairs]).envs(env.iter().copied());
    psql::run(command, "select 1").map(drop)
}

/// One of the server's own programs (postgres, initdb, pg_ctl) or of its clients (psql).
fn program(name: &str) -> PathBuf {
    let dir = if name == "psql" { clients() } else { server().1.clone() };
    let path = dir.join(name);
    if path.is_file() { path } else { missing(name, PACKAGE) }
}

/// Debian's newest clients. The servers that tests/servers/get fetches bring none.
fn clients() -> PathBuf {
    debian().1
}

/// Major version and programs of the server: those that TEST_POSTGRES names, or Debian's newest.
fn server() -> &'static (u32, PathBuf) {
    static SERVER: OnceLock<(u32, PathBuf)> = OnceLock::new();
    SERVER.get_or_init(|| match std::env::var_os("TEST_POSTGRES") {
        Some(dir) => (major(Path::new(&dir)), dir.into()),
        None => debian(),
    })
}

/// The 18 of `postgres (PostgreSQL) 18.4`.
fn major(dir: &Path) -> u32 {
    let output = Command::new(dir.join("postgres")).arg("--version").output();
    let output = output.unwrap_or_else(|error| panic!("TEST_POSTGRES={}: {error}", dir.display()));
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text.split_whitespace().nth(2).and_then(|word| word.split('.').next());
    version.and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("no version: {text:?}"))
}

fn debian() -> (u32, PathBuf) {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    versions
        .filter_map(|entry| {
            Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin")))
        })
        .filter(|(_, dir)| dir.join("initdb").is_file())
        .max()
        .unwrap_or_else(|| missing("initdb", PACKAGE))
}

fn data_directory() -> PathBuf {
    let (version, _) = server();
    template(&format!("postgres-{version}"), |dir| {
        chown(&dir.mkdir("made"));
        let data = dir.join("made/data");
        let mut command = unprivileged(&program("initdb"));
        command.args([
            "-U",
            "postgres",
            "--auth=trust",
            "--locale=C",
            "-E",
            "UTF8",
            "--no-sync",
            "--wal-segsize=1",
        ]);
        run(command.arg("-D").arg(&data));
        data
    })
}

fn chown(path: &Path) {
    if getuid().is_root() {
        run(Command::new("chown").arg("postgres:postgres").arg(path));
    }
}

fn unprivileged(program: &Path) -> Command {
    let mut command = Command::new(process::program("setpriv", "util-linux"));
    if getuid().is_root() {
        command.args(UNPRIVILEGED);
    }
    // PostgreSQL's programs warn about a directory that their user cannot enter.
    command.arg("--").arg(program).current_dir("/");
    command
}

/// Percent-encodes all but the unreserved characters of RFC 3986.
fn percent(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
