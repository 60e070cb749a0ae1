//! A real nginx, as web server, TLS endpoint or proxy.

use super::certs::Identity;
use super::dir::Dir;
use super::ports::Address;
use super::process::{Scope, Server, program};
use super::wait::{LONG, wait_until};
use rustix::process::{Signal, getuid};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

const PACKAGE: &str = "nginx-light";

pub struct Nginx {
    // Fields drop in this order: the server, then its files and its address.
    server: Mutex<Option<Server>>,
    dir: Dir,
    at: SocketAddr,
    _address: Address,
}

impl Nginx {
    /// Prepares a server. `http` is the content of `http {}`. There `@LISTEN@` is the address and
    /// port, `@IP@` the address, and `@DIR@` the server's directory.
    pub fn new(http: &str) -> Self {
        let address = Address::claim();
        let nginx = Self {
            server: Mutex::new(None),
            dir: Dir::new(),
            at: address.free(),
            _address: address,
        };
        nginx.configure(http);
        nginx
    }

    /// One `server {}` in clear with these directives: `Nginx::serving("location / { return 200 ok;
    /// }")`.
    pub fn serving(directives: &str) -> Self {
        let nginx = Self::new(&clear(directives));
        nginx.start();
        nginx
    }

    /// One `server {}` with TLS.
    pub fn serving_tls(identity: &Identity, directives: &str) -> Self {
        let nginx = Self::new(&with_tls(identity, directives));
        nginx.start();
        nginx
    }

    /// One `server {}` with TLS that accepts only clients with a certificate of this authority.
    pub fn serving_mutual_tls(identity: &Identity, clients: &Path, directives: &str) -> Self {
        let mutual = format!(
            "ssl_client_certificate {}; ssl_verify_client on; {directives}",
            clients.display()
        );
        Self::serving_tls(identity, &mutual)
    }

    /// Rewrites the config file; a running server reads it at `reload`.
    pub fn configure(&self, http: &str) {
        let http = http
            .replace("@LISTEN@", &self.at.to_string())
            .replace("@IP@", &self.at.ip().to_string())
            .replace("@DIR@", self.dir.path().to_str().unwrap());
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .map(|kind| format!("    {kind}_temp_path tmp_{kind};\n"))
            .collect();
        // As root, workers would become `nobody` and could not read their files.
        let user = if getuid().is_root() { "user root;\n" } else { "" };
        let config = format!(
            "{user}daemon off;\nworker_processes 1;\npid pid;\nerror_log log notice;\n\
             events {{ worker_connections 256; }}\n\
             http {{\n    access_log access.log;\n{temporary}{http}\n}}\n"
        );
        self.dir.write("nginx.conf", config);
    }

    /// `configure` for a single `server {}` in clear.
    pub fn serve(&self, directives: &str) {
        self.configure(&clear(directives));
    }

    /// `configure` for a single `server {}` with TLS.
    pub fn serve_tls(&self, identity: &Identity, directives: &str) {
        self.configure(&with_tls(identity, directives));
    }

    pub fn start(&self) {
        let mut slot = self.server.lock().unwrap();
        assert!(slot.is_none(), "nginx was already started");
        let program = program("nginx", PACKAGE);
        let [prefix, config, log] =
            [self.dir.path().to_owned(), self.dir.join("nginx.conf"), self.dir.join("log")];
        let words = [
            program.as_os_str(),
            "-p".as_ref(),
            prefix.as_os_str(),
            "-c".as_ref(),
            config.as_os_str(),
        ];
        let words: Vec<_> = words.into_iter().chain(["-e".as_ref(), log.as_os_str()]).collect();
        let mut server = Server::start("nginx", &words, &log, Signal::TERM, Scope::Group);
        let pid = server.pid().as_raw_pid().to_string();
        // nginx writes the pid file once it listens. A connection instead could disturb a test that
        // counts them.
        server.wait_until_up(|| self.dir.read("pid").trim() == pid);
        *slot = Some(server);
    }

    pub fn stop(&self) {
        let mut server = self.server.lock().unwrap().take().expect("nginx is running");
        server.signal(Signal::TERM);
        server.wait_until_down();
    }

    /// Returns once no worker with the old configuration accepts connections.
    pub fn reload(&self) {
        let emergencies = self.count("[emerg]");
        let before = self.count("gracefully shutting down");
        self.with(|server| server.signal(Signal::HUP));
        wait_until("nginx has reloaded its configuration", LONG, || {
            assert!(self.count("[emerg]") == emergencies, "{}", self.log());
            self.count("gracefully shutting down") > before
        });
    }

    pub fn pause(&self) {
        self.with(Server::pause);
    }

    pub fn resume(&self) {
        self.with(Server::resume);
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        self.dir.write(name, text)
    }

    /// The error log, at level `notice`.
    pub fn log(&self) -> String {
        self.dir.read("log")
    }

    pub fn access_log(&self) -> String {
        self.dir.read("access.log")
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

    /// `path` with its slash: `nginx.url("/ready")`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.at)
    }

    pub fn https_url(&self, path: &str) -> String {
        format!("https://{}{path}", self.at)
    }

    fn count(&self, needle: &str) -> usize {
        self.log().matches(needle).count()
    }

    fn with(&self, act: impl FnOnce(&Server)) {
        act(self.server.lock().unwrap().as_ref().expect("nginx is running"));
    }
}

fn clear(directives: &str) -> String {
    format!("server {{ listen @LISTEN@; {directives} }}")
}

fn with_tls(identity: &Identity, directives: &str) -> String {
    let [cert, key] = [identity.cert.display(), identity.key.display()];
    format!(
        "server {{ listen @LISTEN@ ssl; ssl_certificate {cert}; ssl_certificate_key {key}; \
        {directives} }}"
    )
}
