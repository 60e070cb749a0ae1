//! A real PgBouncer in front of a real PostgreSQL.

use super::dir::Dir;
use super::ports::Address;
use super::postgres::{Postgres, unprivileged_identity};
use super::process::{Scope, Server, program};
use rustix::process::Signal;
use std::ffi::OsStr;
use std::net::SocketAddr;

pub struct PgBouncer {
    // Fields drop in this order: the server, then its files and its address.
    _server: Server,
    dir: Dir,
    at: SocketAddr,
    _address: Address,
}

impl PgBouncer {
    /// A pooler before `postgres`, for the databases `postgres` and `missing`, and the users `app`
    /// and `other` with the password `s3cr3t`. `settings` are lines of the section `[pgbouncer]`.
    pub fn before(postgres: &Postgres, settings: &str) -> Self {
        let address = Address::claim();
        let (dir, at) = (Dir::new(), address.free());
        let behind = format!("host={} port={}", postgres.host(), postgres.port());
        dir.write("users", "\"app\" \"s3cr3t\"\n\"other\" \"s3cr3t\"\n");
        let config = format!(
            "[databases]\npostgres = {behind}\nmissing = {behind}\n[pgbouncer]\nlisten_addr = {}\n\
            listen_port = {}\n\
             unix_socket_dir =\nauth_file = {}\n{settings}\n",
            at.ip(),
            at.port(),
            dir.text("users"),
        );
        let config = dir.write("pgbouncer.ini", config);
        let (log, program) = (dir.join("log"), program("pgbouncer", "pgbouncer"));
        let words: [&OsStr; 2] = [program.as_os_str(), config.as_os_str()];
        let mut server = Server::start_as(
            unprivileged_identity(),
            "pgbouncer",
            &words,
            &log,
            Signal::TERM,
            Scope::Process,
        );
        server.wait_until_up(|| dir.read("log").contains("process up"));
        Self { _server: server, dir, at, _address: address }
    }

    pub fn log(&self) -> String {
        self.dir.read("log")
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
}
