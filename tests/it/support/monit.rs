//! A real monit in namespaces that end with the test, together with all that monit starts.

use super::dir::Dir;
use super::process::{Scope, Server, program};
use rustix::process::{Signal, getuid};
use std::ffi::OsString;

pub struct Monit {
    // Dropped first: its end kills everything that it started, daemons too.
    _server: Server,
}

impl Monit {
    /// With cycles of one second. `services` are `check` statements; logs and state go to `dir`.
    pub fn start(dir: &Dir, services: &str) -> Self {
        let at = |name: &str| dir.text(name);
        let own = format!(
            "set daemon 1\nset log {}\nset pidfile {}\nset idfile {}\nset statefile {}\n",
            at("monit.log"),
            at("monit.pid"),
            at("monit.id"),
            at("monit.state")
        );
        let config = dir.write_secret("monitrc", own + services);
        // A pid namespace ends with its first process, and an ipc namespace with its last. No
        // daemon and no shared memory is left behind.
        let mut words: Vec<OsString> = vec![program("unshare", "util-linux").into()];
        if !getuid().is_root() {
            words.extend(["--user", "--map-current-user"].map(OsString::from));
        }
        words.extend(
            ["--pid", "--ipc", "--fork", "--mount-proc", "--kill-child=KILL", "--"]
                .map(OsString::from),
        );
        words.extend([
            program("tini", "tini").into(),
            "--".into(),
            program("monit", "monit").into(),
        ]);
        words.extend(["-I".into(), "-c".into(), config.into_os_string()]);
        let words: Vec<_> = words.iter().map(OsString::as_os_str).collect();
        // unshare ignores SIGTERM as long as its child lives.
        Self {
            _server: Server::start(
                "monit",
                &words,
                &dir.join("monit.out"),
                Signal::QUIT,
                Scope::Process,
            ),
        }
    }
}
