//! A real MariaDB server, with a data directory of its own.

use super::dir::Dir;
use super::ports::Address;
use super::process::{Scope, Server, program};
use super::template::{copy, run, template};
use rustix::process::{Signal, getuid};
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;

const PACKAGE: &str = "mariadb-server";
/// A small redo log: the usual one is 96 MB, which every server would copy.
const LOG_SIZE: &str = "--innodb-log-file-size=4M";

pub struct MariaDb {
    // Fields are dropped in this order: the server first, then its files and its address.
    server: Mutex<Option<Server>>,
    dir: Dir,
    at: SocketAddr,
    _address: Address,
}

impl MariaDb {
    /// Prepared, not started: root logs in without a password.
    pub fn new() -> Self {
        let (dir, address) = (Dir::new(), Address::claim());
        let at = address.free();
        copy(&data_directory(), &dir.join("data"));
        Self { server: Mutex::new(None), dir, at, _address: address }
    }

    pub fn started(options: &[&str]) -> Self {
        let server = Self::new();
        server.start(options);
        server
    }

    /// Returns when it serves.
    pub fn start(&self, options: &[&str]) {
        let before = self.count("ready for connections");
        self.start_without_waiting(options);
        let mut slot = self.server.lock().unwrap();
        let server = slot.as_mut().expect("mariadbd is running");
        server.wait_until_up(|| self.count("ready for connections") > before);
    }

    pub fn start_without_waiting(&self, options: &[&str]) {
        let mut slot = self.server.lock().unwrap();
        assert!(slot.is_none(), "mariadbd was already started");
        let mut words: Vec<OsString> = vec![program("mariadbd", PACKAGE).into()];
        let own = [
            "--no-defaults".to_owned(),
            format!("--datadir={}", self.dir.text("data")),
            format!("--socket={}", self.socket()),
            // A server that starts removes the temporary files that it finds, those of others too.
            format!("--tmpdir={}", self.dir.mkdir("tmp").display()),
            format!("--pid-file={}", self.dir.text("pid")),
            format!("--bind-address={}", self.at.ip()),
            format!("--port={}", self.at.port()),
            "--innodb-buffer-pool-size=8M".to_owned(),
            LOG_SIZE.to_owned(),
            "--innodb-flush-log-at-trx-commit=0".to_owned(),
            // The end of the load is a line in the log, at any time after the start.
            "--innodb-buffer-pool-load-at-startup=0".to_owned(),
            "--aria-pagecache-buffer-size=4M".to_owned(),
            "--skip-name-resolve".to_owned(),
        ];
        words.extend(own.iter().map(OsString::from));
        words.extend(as_root().iter().map(OsString::from));
        words.extend(options.iter().map(OsString::from));
        let words: Vec<_> = words.iter().map(OsString::as_os_str).collect();
        let log = self.dir.join("log");
        *slot = Some(Server::start("mariadbd", &words, &log, Signal::TERM, Scope::Process));
    }

    pub fn stop(&self) {
        let mut server = self.server.lock().unwrap().take().expect("mariadbd is running");
        server.signal(Signal::TERM);
        server.wait_until_down();
    }

    pub fn pause(&self) {
        self.server.lock().unwrap().as_ref().expect("mariadbd is running").pause();
    }

    pub fn resume(&self) {
        self.server.lock().unwrap().as_ref().expect("mariadbd is running").resume();
    }

    /// Runs statements as root, and returns the rows, columns separated by tabs.
    #[track_caller]
    pub fn sql(&self, statements: &str) -> String {
        self.sql_in("", statements)
    }

    #[track_caller]
    pub fn sql_in(&self, database: &str, statements: &str) -> String {
        self.try_sql(database, statements).unwrap_or_else(|error| panic!("{statements}: {error}"))
    }

    pub fn try_sql(&self, database: &str, statements: &str) -> Result<String, String> {
        let socket = format!("--socket={}", self.socket());
        client(&[&socket, "--user=root", "-e", statements, "-D", database])
    }

    /// Returns everything in these databases, as mariadb-dump writes it.
    pub fn dump(&self, databases: &[String]) -> String {
        let mut command = Command::new(program("mariadb-dump", "mariadb-client"));
        command.args(["--no-defaults", "--user=root", "--skip-dump-date", "--skip-comments"]);
        command.arg(format!("--socket={}", self.socket())).arg("--databases").args(databases);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Returns the real client's outcome of a login over TCP: nothing, or its error.
    pub fn client(&self, words: &[&str]) -> Result<String, String> {
        let (host, port) = (self.at.ip().to_string(), self.at.port().to_string());
        client(&[&["-h", &host, "-P", &port, "-e", "select 1"], words].concat())
    }

    pub fn log(&self) -> String {
        self.dir.read("log")
    }

    fn count(&self, needle: &str) -> usize {
        self.log().matches(needle).count()
    }

    pub fn socket(&self) -> String {
        self.dir.text("sock")
    }

    pub fn dir(&self) -> &Dir {
        &self.dir
    }

    pub fn address(&self) -> SocketAddr {
        self.at
    }

    pub fn host(&self) -> String {
        self.at.ip().to_string()
    }

    pub fn port(&self) -> u16 {
        self.at.port()
    }
}

fn data_directory() -> PathBuf {
    template("mariadb", |dir| {
        let data = dir.join("data");
        let mut install = Command::new(program("mariadb-install-db", PACKAGE));
        // Without the anonymous user, who comes before any `user@%` on the socket.
        install.args([
            "--no-defaults",
            "--skip-test-db",
            "--auth-root-authentication-method=normal",
            LOG_SIZE,
        ]);
        install.env("TMPDIR", dir.path());
        run(install.arg(format!("--datadir={}", data.display())).args(as_root()));
        data
    })
}

/// MariaDB runs as root only with an option.
fn as_root() -> &'static [&'static str] {
    if getuid().is_root() { &["--user=root"] } else { &[] }
}

fn client(words: &[&str]) -> Result<String, String> {
    let mut command = Command::new(program("mariadb", "mariadb-client"));
    command.args(["--no-defaults", "--batch", "--skip-column-names"]).args(words);
    let output = command.env_remove("MYSQL_PWD").output().unwrap();
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }
}
