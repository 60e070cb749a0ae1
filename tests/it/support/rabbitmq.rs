//! A real RabbitMQ, with an Erlang port mapper of its own.

use super::dir::Dir;
use super::ports::{Address, LocalPort};
use super::process::{Scope, Server, program};
use rustix::process::Signal;
use std::ffi::OsStr;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

const PACKAGE: &str = "rabbitmq-server";
const COOKIE: &str = "afterallafterall";

pub struct RabbitMq {
    // Fields are dropped in this order: the servers first, then their files and their address.
    server: Server,
    _mapper: Server,
    dir: Dir,
    at: SocketAddr,
    mapper_port: LocalPort,
    _distribution: LocalPort,
    _address: Address,
}

impl RabbitMq {
    /// Boots for some seconds. `up` is false if the test observes the boot.
    pub fn started(config: &str, up: bool) -> Self {
        let (dir, address) = (Dir::new(), Address::claim());
        let at = address.free();
        // Erlang's own ports are bound on 127.0.0.1.
        let (mapper_port, distribution) = (LocalPort::claim(), LocalPort::claim());
        let base = dir.path().display();
        dir.write_with_mode(".erlang.cookie", 0o400, COOKIE);
        dir.write("rabbit.conf", config.replace("@DIR@", dir.path().to_str().unwrap()));
        dir.write("plugins", "[].\n");
        let ip = at.ip().to_string();
        // Without its own port mapper, Erlang starts one that outlives all tests.
        let (epmd, port) = (program("epmd", PACKAGE), mapper_port.number().to_string());
        let words = [epmd.as_os_str(), "-port".as_ref(), OsStr::new(&port)];
        let words = [&words[..], &["-address".as_ref(), OsStr::new("127.0.0.1")]].concat();
        let log = dir.join("epmd.log");
        let mapper = Server::start("epmd", &words, &log, Signal::TERM, Scope::Process);
        let script = format!(
            "export HOME={base} ERL_EPMD_PORT={port} ERL_EPMD_ADDRESS=127.0.0.1
             export RABBITMQ_NODENAME=afterall@localhost RABBITMQ_MNESIA_BASE={base}/data
             export RABBITMQ_LOG_BASE={base} RABBITMQ_NODE_IP_ADDRESS={ip}
             export RABBITMQ_NODE_PORT={} RABBITMQ_DIST_PORT={}
             export RABBITMQ_CONFIG_FILE={base}/rabbit RABBITMQ_ENABLED_PLUGINS_FILE={base}/plugins
             export RABBITMQ_CONF_ENV_FILE=/dev/null
             export RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='+S 2:2 +sbwt none -kernel \
             inet_dist_use_interface {{127,0,0,1}}'
             exec {}",
            at.port(),
            distribution.number(),
            broker().display()
        );
        let words = ["/bin/sh", "-c", &script].map(OsStr::new);
        let log = dir.join("out");
        let server = Server::start("rabbitmq-server", &words, &log, Signal::TERM, Scope::Group);
        let mut broker = Self {
            server,
            _mapper: mapper,
            dir,
            at,
            mapper_port,
            _distribution: distribution,
            _address: address,
        };
        if up {
            broker.wait_until_up();
        }
        broker
    }

    pub fn wait_until_up(&mut self) {
        let log = self.dir.join("afterall@localhost.log");
        self.server
            .wait_until_up(|| super::dir::read_lossy(&log).contains("Server startup complete"));
    }

    /// Evaluates an Erlang expression in the broker like rabbitmqctl, which takes seconds.
    #[track_caller]
    pub fn eval(&self, expression: &str) {
        let mut command = Command::new(program("erl_call", "erlang-base"));
        command.args(["-sname", "afterall@localhost", "-c", COOKIE, "-e"]);
        command
            .env("HOME", self.dir.path())
            .env("ERL_EPMD_PORT", self.mapper_port.number().to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(format!("{expression}.\n").as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.starts_with("{ok"), "{expression}: {said}");
    }

    pub fn pause(&self) {
        self.server.pause();
    }

    pub fn log(&self) -> String {
        self.dir.read("afterall@localhost.log")
    }

    pub fn address(&self) -> SocketAddr {
        self.at
    }
}

/// Debian's script of this name changes to another user.
fn broker() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/rabbitmq/lib").into_iter().flatten().flatten();
    let scripts = versions.map(|version| version.path().join("sbin/rabbitmq-server"));
    let found = scripts.filter(|path| path.is_file()).max();
    found.unwrap_or_else(|| super::process::missing("rabbitmq-server", PACKAGE))
}
