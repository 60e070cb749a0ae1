//! systemd: `STATUS=` follows the wait, and `EXTEND_TIMEOUT_USEC=` keeps the unit from timing out while we are within our own
//! timeouts. Never `READY=1`: that is the command's to say, and NOTIFY_SOCKET stays for it (sd_notify(3)).

use std::{
    ffi::OsString,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixDatagram},
        },
    },
    time::{Duration, Instant},
};

use super::{Report, ReportedDependency, progress::Progress};
use crate::{
    text::one_line,
    wait::{
        Listener,
        event::{End, Event},
        settings::Timeout,
    },
};

/// How far a unit's timeout is pushed each time. The last push is what the command has to come up in.
const EXTENSION: Duration = Duration::from_secs(30);
/// How often it is pushed.
const PUSH_EVERY: Duration = Duration::from_secs(5);
/// The longest status, in characters.
const STATUS: usize = 200;

/// A report that also tells systemd.
pub struct SystemdNotify {
    inner: Box<dyn Report>,
    socket: UnixDatagram,
    address: SocketAddr,
    dependencies: Vec<Progress>,
    status: String,
    pushed: Option<Instant>,
}

impl SystemdNotify {
    /// Wraps `inner` where `socket`, the value of NOTIFY_SOCKET, names one that can be sent to.
    pub fn wrap(
        inner: Box<dyn Report>,
        socket: Option<OsString>,
        subjects: Vec<ReportedDependency>,
    ) -> Box<dyn Report> {
        let opened = socket.as_ref().and_then(|path| {
            let address = match path.as_bytes() {
                [b'@', name @ ..] => SocketAddr::from_abstract_name(name).ok()?,
                _ => SocketAddr::from_pathname(path).ok()?,
            };
            let socket = UnixDatagram::unbound().ok()?;
            // A service manager that is stuck must not hold us up.
            socket.set_nonblocking(true).ok()?;
            Some((socket, address))
        });
        let Some((socket, address)) = opened else { return inner };
        let dependencies = Progress::of(subjects);
        let mut notifying =
            Self { inner, socket, address, dependencies, status: String::new(), pushed: None };
        notifying.tell();
        Box::new(notifying)
    }

    fn tell(&mut self) {
        let waiting: Vec<_> =
            self.dependencies.iter().filter(|progress| !progress.settled).collect();
        let names: Vec<_> = waiting.iter().map(|progress| progress.subject.name.as_str()).collect();
        let status = match names.is_empty() {
            true => "all dependencies are ready".to_owned(),
            false => one_line(&format!("waiting for {}", names.join(", ")), STATUS),
        };
        // A wait without end must not keep a unit alive without end.
        let is_bounded = !waiting.is_empty()
            && waiting.iter().all(|progress| progress.subject.timeout != Timeout::Never);
        let mut message = String::new();
        if status != self.status {
            message += &format!("STATUS={status}\n");
            self.status = status;
        }
        if is_bounded && self.pushed.is_none_or(|pushed| pushed.elapsed() >= PUSH_EVERY) {
            message += &format!("EXTEND_TIMEOUT_USEC={}\n", EXTENSION.as_micros());
            self.pushed = Some(Instant::now());
        }
        self.send(&message);
    }

    fn send(&self, message: &str) {
        if !message.is_empty() {
            // Telling is a courtesy; who does not listen is not waited for.
            let _ = self.socket.send_to_addr(message.as_bytes(), &self.address);
        }
    }
}

impl Listener for SystemdNotify {
    fn event(&mut self, event: Event) {
        self.dependencies[event.dependency].note(&event);
        self.inner.event(event);
        self.tell();
    }

    fn tick(&mut self) {
        self.inner.tick();
        self.tell();
    }
}

impl Report for SystemdNotify {
    fn end(&mut self, end: End) {
        self.inner.end(end);
    }

    fn becoming(&mut self, command: &str) {
        self.send(&format!("STATUS={}\n", one_line(&format!("starting {command}"), STATUS)));
        self.inner.becoming(command);
    }

    fn tick_every(&self) -> Duration {
        self.inner.tick_every()
    }
}
