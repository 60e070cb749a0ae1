//! `memcached:` against a real memcached.

use crate::support::look::{not_ready, once};
use crate::support::{
    Dir, Scripted,
    ports::Address,
    process::{Scope, Server, program},
    secs, wait_until,
};
use rustix::process::Signal;
use std::ffi::OsStr;
use std::net::{SocketAddr, TcpStream};

pub(crate) struct Memcached {
    server: Server,
    dir: Dir,
    at: SocketAddr,
    _address: Address,
}

impl Memcached {
    pub(crate) fn address(&self) -> SocketAddr {
        self.at
    }

    pub(crate) fn started(options: &[&str]) -> Self {
        let (dir, address) = (Dir::new(), Address::claim());
        let at = address.free();
        dir.write("users", "app:s3cr3t\n");
        let (ip, port) = (at.ip().to_string(), at.port().to_string());
        let program = program("memcached", "memcached");
        let users = dir.text("users");
        let own = ["-v", "-l", &ip, "-p", &port, "-u", "root"];
        let options: Vec<_> = options.iter().map(|word| word.replace("@USERS@", &users)).collect();
        let mut words: Vec<&OsStr> = vec![program.as_os_str()];
        words.extend(own.iter().map(|word| OsStr::new(*word)));
        words.extend(options.iter().map(OsStr::new));
        let log = dir.join("log");
        let server = Server::start("memcached", &words, &log, Signal::TERM, Scope::Process);
        wait_until("memcached listens", secs(30), || TcpStream::connect(at).is_ok());
        Self { server, dir, at, _address: address }
    }
}

#[test]
fn a_server_is_ready_once_it_tells_its_version() {
    let server = Memcached::started(&[]);
    let before = server.dir.read("log");
    once(&format!("memcached://{}", server.at)).code(0).stdout_has("memcached 1.");
    once(&format!("mc://{}", server.at)).code(0).any_stdout();
    assert_eq!(server.dir.read("log"), before, "an attempt leaves no line in the server's log");
    server.server.pause();
    let url = format!("memcached://{}#attempt-timeout=200ms", server.at);
    not_ready(&url, "timeout", "but no answer from memcached within 0.2s");
    let locked = Memcached::started(&["-Y", "@USERS@"]);
    once(&format!("memcached://app:s3cr3t@{}", locked.at)).code(0).stdout_has("memcached 1.");
    not_ready(&format!("memcached://{}", locked.at), "auth", "no credentials were given");
    not_ready(&format!("memcached://app:wrong@{}", locked.at), "auth", "CLIENT_ERROR");
}

#[test]
fn what_is_no_memcached_is_named() {
    for (says, class, want) in [
        ("HTTP/1.1 400 Bad Request\r\n\r\n", "protocol", "not memcached, it says: HTTP/1.1 400"),
        ("\x15\x03\x01\0\x02\x02\x28", "protocol", "not memcached"),
        ("ERROR Too many open connections\r\n", "busy", "Too many open connections"),
    ] {
        let server = Scripted::answering_then_closing(says);
        not_ready(&format!("memcached://{}", server.address()), class, want);
    }
}
