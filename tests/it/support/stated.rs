//! Scripted servers in Python whose replies follow a state, which a test changes at any time.

use super::certs::Identity;
use super::dir::Dir;
use super::ports::Address;
use super::process::{Scope, Server};
use super::python::python;
use rustix::process::Signal;
use std::ffi::OsStr;
use std::fs;
use std::net::SocketAddr;

pub struct Stated {
    // Fields are dropped in this order: the server first, then its files and its address.
    server: Server,
    dir: Dir,
    at: SocketAddr,
    _address: Address,
}

impl Stated {
    /// A broker that speaks Kafka's protocol.
    pub fn kafka(identity: Option<&Identity>, state: &str) -> Self {
        Self::started("kafka.py", include_str!("kafka.py"), identity, state)
    }

    /// A server that speaks MongoDB's protocol.
    pub fn mongodb(identity: Option<&Identity>, state: &str) -> Self {
        Self::started("mongodb.py", include_str!("mongodb.py"), identity, state)
    }

    fn started(name: &'static str, script: &str, identity: Option<&Identity>, state: &str) -> Self {
        let (dir, address) = (Dir::new(), Address::claim());
        let at = address.free();
        dir.write(name, script);
        let (program, script, place) = (python(), dir.text(name), at.to_string());
        let file = dir.text("state");
        let mut words: Vec<&OsStr> = vec![program.as_os_str(), script.as_ref(), place.as_ref()];
        words.push(file.as_ref());
        if let Some(identity) = identity {
            words.extend([identity.cert_text(), identity.key_text()].map(OsStr::new));
        }
        write(&dir, at, state);
        let log = dir.join("log");
        let mut server = Server::start(name, &words, &log, Signal::TERM, Scope::Process);
        server.wait_until_up(|| super::dir::read_lossy(&log).contains("started"));
        Self { server, dir, at, _address: address }
    }

    /// Changes the state; `@PORT` in it is the server's own port, and `@IP` its address.
    pub fn set(&self, state: &str) {
        write(&self.dir, self.at, state);
    }

    pub fn state(&self) -> String {
        self.dir.read("state")
    }

    pub fn address(&self) -> SocketAddr {
        self.at
    }

    pub fn pause(&self) {
        self.server.pause();
    }
}

/// The server never reads half of a state.
fn write(dir: &Dir, at: SocketAddr, state: &str) {
    let state = state.replace("@PORT", &at.port().to_string());
    dir.write("state.new", state.replace("@IP", &at.ip().to_string()));
    fs::rename(dir.join("state.new"), dir.join("state")).unwrap();
}
