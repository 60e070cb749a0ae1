//! systemd: `STATUS=` follows the wait, and `EXTEND_TIMEOUT_USEC=` keeps the unit from timing out
//! within our own timeouts.
//!
//! Never `READY=1`: the command sends it, and NOTIFY_SOCKET stays for the command. Source:
//! sd_notify(3).

use std::{
    ffi::OsStr,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixDatagram},
        },
    },
    time::{Duration, Instant},
};

use super::{state::WaitState, words};
use crate::{
    probe::Class,
    text::one_line,
    wait::{event::End, settings::Timeout},
};

/// How far each message extends a unit's timeout. The command has the last extension to start up.
const EXTENSION: Duration = Duration::from_secs(30);
/// The time between two extensions.
const PUSH_EVERY: Duration = Duration::from_secs(5);
/// The time between two statuses that name the same dependencies.
const STATUS_EVERY: Duration = Duration::from_secs(1);
/// The longest status, in characters.
const MAX_STATUS: usize = 300;

/// A dependency in a status, and the class of its failure.
type Named = (usize, Option<Class>);

/// The service manager's notification socket.
pub(super) struct Systemd {
    socket: UnixDatagram,
    address: SocketAddr,
    /// The last status: its text, its time, and the dependencies in it.
    sent: Option<(String, Instant, Vec<Named>)>,
    pushed: Option<Instant>,
}

impl Systemd {
    /// Returns the socket that NOTIFY_SOCKET names, or `None` if there is no usable one.
    pub(super) fn listening() -> Option<Self> {
        let path = std::env::var_os("NOTIFY_SOCKET")?;
        let address = address(&path)?;
        let socket = UnixDatagram::unbound().ok()?;
        // A stuck service manager must not delay the wait.
        socket.set_nonblocking(true).ok()?;
        Some(Self { socket, address, sent: None, pushed: None })
    }

    /// Sends the status if it is new, and the extension if it is due.
    pub(super) fn update(&mut self, wait: &WaitState) {
        let now = Instant::now();
        let waiting: Vec<usize> = wait.waiting().collect();
        // An unlimited wait must not extend the unit's timeout for ever.
        let is_bounded = !waiting.is_empty()
            && waiting.iter().all(|&place| wait.dependencies[place].timeout != Timeout::Never);
        let mut message = String::new();
        if let Some(status) = self.due_status(wait, &waiting, now) {
            message += &format!("STATUS={status}\n");
        }
        if is_bounded && self.pushed.is_none_or(|pushed| now - pushed >= PUSH_EVERY) {
            message += &format!("EXTEND_TIMEOUT_USEC={}\n", EXTENSION.as_micros());
            self.pushed = Some(now);
        }
        self.send(&message);
    }

    /// Sends the status of a wait that is over.
    pub(super) fn ended(&self, end: End, wait: &WaitState) {
        let status = match end {
            End::Ready => "all dependencies are ready".to_owned(),
            End::TimedOut | End::Hopeless => {
                let places = 0..wait.dependencies.len();
                let lost = places.filter(|&place| !wait.dependencies[place].is_passed());
                listed("not ready:", wait, &lost.collect::<Vec<_>>())
            }
            End::Signal(_) => return,
        };
        self.send(&format!("STATUS={status}\n"));
    }

    /// Sends the status that the command starts.
    pub(super) fn starting(&self, command: &str) {
        self.send(&format!("STATUS={}\n", one_line(&format!("starting {command}"), MAX_STATUS)));
    }

    /// Returns the status if it is new. A change of the dependencies or their classes counts at
    /// once. The rest of a reason may change with every attempt, and counts once a second.
    fn due_status(&mut self, wait: &WaitState, waiting: &[usize], now: Instant) -> Option<String> {
        let class = |place: usize| wait.dependencies[place].newest_failure().map(|f| f.class);
        let named: Vec<Named> = waiting.iter().map(|&place| (place, class(place))).collect();
        if let Some((_, at, last)) = &self.sent
            && *last == named
            && now - *at < STATUS_EVERY
        {
            return None;
        }
        // No status before the end is known: the last ones may be lost, or be confirmed.
        if waiting.is_empty() {
            return None;
        }
        let status = listed("waiting for", wait, waiting);
        if self.sent.as_ref().is_some_and(|(sent, ..)| *sent == status) {
            return None;
        }
        self.sent = Some((status.clone(), now, named));
        Some(status)
    }

    fn send(&self, message: &str) {
        if !message.is_empty() {
            // A manager that does not read must not delay the wait.
            let _ = self.socket.send_to_addr(message.as_bytes(), &self.address);
        }
    }
}

fn address(path: &OsStr) -> Option<SocketAddr> {
    match path.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name).ok(),
        _ => SocketAddr::from_pathname(path).ok(),
    }
}

/// Returns e.g. `waiting for db: connection refused (10.0.0.5:5432)`, with all of these
/// dependencies.
fn listed(state: &str, wait: &WaitState, places: &[usize]) -> String {
    let mut is_reason_known = false;
    let mut item = |&place: &usize| {
        let name = &wait.dependencies[place].name;
        let Some(reason) = words::short_reason(wait, place) else { return name.clone() };
        is_reason_known = true;
        format!("{name}: {reason}")
    };
    // Text beyond the cut is not built.
    let items: Vec<String> = places.iter().take(MAX_STATUS / 2).map(&mut item).collect();
    let separator = if is_reason_known { "; " } else { ", " };
    one_line(&format!("{state} {}", items.join(separator)), MAX_STATUS)
}
