//! A real redis-server: standalone, replica, Sentinel or node of a cluster.

use super::dir::Dir;
use super::ports::Address;
use super::process::{Scope, Server, program};
use super::wait::{LONG, wait_until};
use rustix::process::Signal;
use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::sync::{Arc, Mutex};

const PACKAGE: &str = "redis-server";

pub struct Redis {
    // Fields are dropped in this order: the server first, then its files and its address.
    server: Mutex<Option<Server>>,
    dir: Dir,
    at: SocketAddr,
    address: Arc<Address>,
}

impl Redis {
    /// Prepared, not started. `@DIR@` in the lines is the server's own directory.
    pub fn new(lines: &str) -> Self {
        Self::beside(Arc::new(Address::claim()), lines)
    }

    pub fn started(lines: &str) -> Self {
        let redis = Self::new(lines);
        redis.start();
        redis
    }

    /// On the address of another server, as the nodes of a cluster.
    pub fn beside(address: Arc<Address>, lines: &str) -> Self {
        // A cluster's node listens on the port 10,000 above it too.
        let at = loop {
            let at = address.free();
            if at.port() < 50_000 {
                break at;
            }
        };
        let redis = Self { server: Mutex::new(None), dir: Dir::new(), at, address };
        redis.configure(lines);
        redis
    }

    /// Rewrites the configuration, for the next start.
    pub fn configure(&self, lines: &str) {
        let dir = self.dir.path().display();
        let lines = lines.replace("@DIR@", self.dir.path().to_str().unwrap());
        let (ip, port) = (self.at.ip(), self.at.port());
        let own = format!(
            "bind {ip}\nport {port}\ndir {dir}\nlogfile {dir}/log\nunixsocket {dir}/sock\nsave \
            \"\"\n"
        );
        // Sentinel rewrites its file.
        self.dir.write_with_mode("redis.conf", 0o666, own + &lines + "\n");
    }

    /// Returns when it has loaded its data, and has written the last line about its start.
    pub fn start(&self) {
        self.run(&[], "Ready to accept connections");
    }

    /// Returns when it listens; it may still load its data.
    pub fn start_loading(&self) {
        self.run(&[], "Server initialized");
    }

    pub fn start_sentinel(&self) {
        self.run(&["--sentinel"], "Sentinel ID is");
    }

    fn run(&self, options: &[&str], last_line: &str) {
        let mut slot = self.server.lock().unwrap();
        assert!(slot.is_none(), "redis-server was already started");
        let (config, program) = (self.dir.join("redis.conf"), program("redis-server", PACKAGE));
        let mut words = vec![program.as_os_str(), config.as_os_str()];
        words.extend(options.iter().map(|option| std::ffi::OsStr::new(*option)));
        let starts = || self.log().matches(last_line).count();
        let before = starts();
        let log = self.dir.join("log");
        let mut server = Server::start("redis-server", &words, &log, Signal::TERM, Scope::Process);
        server.wait_until_up(|| starts() > before);
        *slot = Some(server);
    }

    pub fn stop(&self) {
        let mut server = self.server.lock().unwrap().take().expect("redis-server is running");
        server.signal(Signal::KILL);
        server.wait_until_down();
    }

    pub fn pause(&self) {
        self.server.lock().unwrap().as_ref().expect("redis-server is running").pause();
    }

    /// Returns the output of redis-cli, the real client.
    pub fn cli(&self, words: &[&str]) -> String {
        let output = self.cli_command().args(words).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn cli_command(&self) -> Command {
        // `--cluster create` waits for the nodes for ever.
        let mut command = Command::new(program("timeout", "coreutils"));
        command.arg("60").arg(program("redis-cli", PACKAGE));
        command.args(["-h", &self.host(), "-p", &self.port().to_string()]);
        command.env_remove("REDISCLI_AUTH");
        command
    }

    /// Waits until redis-cli prints a text that holds `needle`.
    #[track_caller]
    pub fn wait_for(&self, words: &[&str], needle: &str) {
        wait_until(&format!("{words:?} says {needle}"), LONG, || self.cli(words).contains(needle));
    }

    pub fn log(&self) -> String {
        self.dir.read("log")
    }

    pub fn dir(&self) -> &Dir {
        &self.dir
    }

    pub fn ip(&self) -> IpAddr {
        self.at.ip()
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

    pub fn claimed(&self) -> Arc<Address> {
        Arc::clone(&self.address)
    }

    pub fn url(&self) -> String {
        format!("redis://{}", self.at)
    }
}
