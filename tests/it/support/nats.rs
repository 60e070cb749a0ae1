//! A real nats-server.

use super::dir::Dir;
use super::ports::Address;
use super::process::{Scope, Server, program};
use super::wait::{LONG, wait_until};
use rustix::process::Signal;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

const PACKAGE: &str = "nats-server";

/// The program: the one that TEST_NATS_SERVER names, or Debian's.
fn chosen() -> PathBuf {
    std::env::var_os("TEST_NATS_SERVER").map_or_else(|| program("nats-server", PACKAGE), Into::into)
}

/// The newest program that tests/servers/get fetches, unless TEST_NATS_SERVER names another.
///
/// For what Debian's 2.9 does not have.
fn newest() -> PathBuf {
    const PINNED: &str = include_str!("../../servers/nats.txt");
    if std::env::var_os("TEST_NATS_SERVER").is_some() {
        return chosen();
    }
    let pin = PINNED.lines().last().and_then(|line| line.split([' ', '=']).nth(2));
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let path = target.join(format!("servers/nats-{}/nats-server", pin.unwrap()));
    assert!(
        path.is_file(),
        "{} is missing, and the tests need it: tests/servers/get",
        path.display()
    );
    path
}

pub struct Nats {
    // Fields drop in this order: the server, then its files and its address.
    server: Mutex<Option<Server>>,
    program: PathBuf,
    dir: Dir,
    at: SocketAddr,
    _address: Address,
}

impl Nats {
    /// Prepares a server. `listen`, `pid_file` and `log_file` are added; `@DIR@` in the text is the
    /// server's directory.
    pub fn new(config: &str) -> Self {
        Self::of(chosen(), config)
    }

    /// As `new`, but of today's version where Debian's is too old.
    pub fn newest(config: &str) -> Self {
        Self::of(newest(), config)
    }

    fn of(program: PathBuf, config: &str) -> Self {
        let address = Address::claim();
        let nats = Self {
            program,
            server: Mutex::new(None),
            dir: Dir::new(),
            at: address.free(),
            _address: address,
        };
        nats.configure(config);
        nats
    }

    pub fn started(config: &str) -> Self {
        let nats = Self::new(config);
        nats.start();
        nats
    }

    /// Rewrites the config file; a running server reads it at `reload`.
    pub fn configure(&self, config: &str) {
        let dir = self.dir.path().display();
        let config = config.replace("@DIR@", self.dir.path().to_str().unwrap());
        let own =
            format!("listen: \"{}\"\npid_file: \"{dir}/pid\"\nlog_file: \"{dir}/log\"\n", self.at);
        self.dir.write("nats.conf", own + &config + "\n");
    }

    pub fn start(&self) {
        let mut slot = self.server.lock().unwrap();
        assert!(slot.is_none(), "nats-server was already started");
        let config = self.dir.join("nats.conf");
        let words = [self.program.as_os_str(), "--config".as_ref(), config.as_os_str()];
        let before = self.count("Server is ready");
        // Output from before the log file is open, e.g. for a rejected config, goes to the same
        // file.
        let mut server = Server::start(
            "nats-server",
            &words,
            &self.dir.join("log"),
            Signal::TERM,
            Scope::Process,
        );
        // The log is read instead of connecting, because a test may count connections.
        server.wait_until_up(|| self.count("Server is ready") > before);
        *slot = Some(server);
    }

    pub fn stop(&self) {
        let mut server = self.server.lock().unwrap().take().expect("nats-server is running");
        server.signal(Signal::TERM);
        server.wait_until_down();
    }

    /// Ends it as a crash does. Returns when it is gone.
    pub fn kill(&self) {
        let mut server = self.server.lock().unwrap().take().expect("nats-server is running");
        server.signal(Signal::KILL);
        server.wait_until_down();
    }

    pub fn is_running(&self) -> bool {
        self.server.lock().unwrap().as_mut().is_some_and(Server::is_up)
    }

    pub fn pause(&self) {
        self.with(Server::pause);
    }

    pub fn resume(&self) {
        self.with(Server::resume);
    }

    pub fn signal(&self, signal: Signal) {
        self.with(|server| server.signal(signal));
    }

    /// Returns once the new configuration is active.
    pub fn reload(&self) {
        let before = self.count("Reloaded server configuration");
        let failed = self.count("Failed to reload");
        let target = format!("reload={}", self.dir.text("pid"));
        let status = Command::new(&self.program).args(["--signal", &target]).status().unwrap();
        assert!(status.success(), "nats-server --signal {target}: {status}");
        wait_until("nats-server has reloaded its configuration", LONG, || {
            assert!(self.count("Failed to reload") == failed, "{}", self.log());
            self.count("Reloaded server configuration") > before
        });
    }

    /// A file beside the config, for its `include`s.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        self.dir.write(name, text)
    }

    pub fn log(&self) -> String {
        self.dir.read("log")
    }

    pub fn dir(&self) -> &Dir {
        &self.dir
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

    pub fn url(&self) -> String {
        format!("nats://{}", self.at)
    }

    fn count(&self, needle: &str) -> usize {
        self.log().matches(needle).count()
    }

    fn with(&self, act: impl FnOnce(&Server)) {
        act(self.server.lock().unwrap().as_ref().expect("nats-server is running"));
    }
}
