//! The conversation with one server: log in, INFO, PING, then what the declaration asks for.

use tokio::time::timeout;

use super::{
    failure::{error_failure, is_denied},
    info::{Info, Link, Mode, Role},
    resp::{Reply, command, read},
    target::{Login, Target, WantedRole},
};
use crate::{
    connect::{Endpoint, Stream},
    kinds::wire::Wire,
    probe::{Attempt, Class, Failure, compute},
    tls::Tls,
};

/// Hash slots of a cluster (Redis cluster specification, "Key distribution model").
const SLOTS: &str = "16384";

/// Asks the server at `endpoint` for everything that `target` wants. Returns the detail of success.
pub(super) async fn ask(
    attempt: &Attempt<'_>,
    target: &Target,
    endpoint: &Endpoint,
) -> Result<String, Failure> {
    let mut wire = connect(attempt, target, endpoint).await?;
    let asked = Session { attempt, target, wire: &mut wire }.ask().await;
    match asked {
        Ok(detail) => {
            wire.close().await;
            Ok(detail)
        }
        // A port that wants TLS closes without a word.
        Err(failure)
            if failure.class == Class::Connect && !wire.heard() && target.tls.is_none() =>
        {
            Err(failure.hint("a port that wants TLS closes so: it is rediss: then"))
        }
        Err(failure) => Err(failure),
    }
}

/// Opens a connection, encrypted where the declaration wants it.
pub(super) async fn connect(
    attempt: &Attempt<'_>,
    target: &Target,
    endpoint: &Endpoint,
) -> Result<Wire, Failure> {
    let mut stream = attempt.connect(endpoint).await?;
    if let (Some(tls), Endpoint::Tcp(host, _)) = (&target.tls, endpoint) {
        stream = shake_hands(attempt, tls, host, stream).await?;
    }
    attempt.stage(format!("connected to {endpoint}, but no answer from Redis"));
    Ok(Wire::new(stream, endpoint.clone()))
}

/// A Redis without TLS takes a handshake for the start of a command and waits for its end.
async fn shake_hands(
    attempt: &Attempt<'_>,
    tls: &Tls,
    host: &str,
    stream: Box<dyn Stream>,
) -> Result<Box<dyn Stream>, Failure> {
    // This limit is a little shorter than the attempt's, so that the hint is reported.
    let bound = attempt.remaining().mul_f64(0.95);
    match timeout(bound, tls.connect(attempt, host, stream)).await {
        Ok(shaken) => shaken,
        Err(_) => Err(attempt
            .timed_out(bound)
            .hint("a port without TLS keeps silent so: it is redis: then")),
    }
}

/// Appends AUTH to `out`.
pub(super) fn authenticate(out: &mut Vec<u8>, login: &Login) {
    let password = login.password.reveal();
    match &login.user {
        Some(user) => command(out, &["AUTH", user.reveal(), password]),
        None => command(out, &["AUTH", password]),
    }
}

/// The reply to AUTH, as it must be.
pub(super) async fn authenticated(wire: &mut Wire, login: &Login) -> Result<(), Failure> {
    expect_status(wire).await.map_err(|failure| {
        if login.is_user_alone && failure.class == Class::Auth {
            failure.hint(
                "the URL names a user and no password; a password alone is written \
            redis://:PASSWORD@HOST",
            )
        } else {
            failure
        }
    })
}

async fn expect_status(wire: &mut Wire) -> Result<(), Failure> {
    match read(wire).await? {
        Reply::Status(_) => Ok(()),
        other => Err(unexpected(wire, other)),
    }
}

/// Returns the failure of an unexpected reply.
pub(super) fn unexpected(wire: &Wire, reply: Reply) -> Failure {
    match reply {
        Reply::Error(text) => error_failure(&text, wire.endpoint()),
        _ => wire.failure(Class::Protocol, "not Redis: a reply of another type than was asked for"),
    }
}

struct Session<'a> {
    attempt: &'a Attempt<'a>,
    target: &'a Target,
    wire: &'a mut Wire,
}

impl Session<'_> {
    async fn ask(&mut self) -> Result<String, Failure> {
        let wanted = &self.target.wanted;
        let mut out = Vec::new();
        if let Some(login) = &self.target.login {
            authenticate(&mut out, login);
        }
        // INFO first: a server that loads answers it, and its numbers make the better message.
        command(&mut out, &["INFO"]);
        command(&mut out, &["PING"]);
        if wanted.database > 0 {
            command(&mut out, &["SELECT", &wanted.database.to_string()]);
        }
        self.wire.send(&out).await?;
        if let Some(login) = &self.target.login {
            authenticated(self.wire, login).await?;
        }
        let info = self.info().await?;
        if let Some(info) = &info {
            self.check(info)?;
        }
        let has_pong = self.pong().await?;
        if wanted.database > 0 {
            expect_status(self.wire).await?;
        }
        let info = match info {
            Some(info) => Some(info),
            None => self.without_info(has_pong).await?,
        };
        let mut detail = match &info {
            Some(info) => info.product.clone(),
            None => "Redis; without INFO, ROLE and HELLO replication is not checked".to_owned(),
        };
        if wanted.cluster || info.is_some_and(|info| info.mode == Mode::Cluster) {
            self.cluster().await?;
            detail += ", cluster";
        }
        if let Some(key) = &wanted.key {
            self.key(key).await?;
            detail = format!("{detail}, key {key}");
        }
        Ok(detail)
    }

    /// Returns INFO's reply, or `None` if this user may not run it or a proxy does not know it.
    async fn info(&mut self) -> Result<Option<Info>, Failure> {
        match read(self.wire).await? {
            Reply::Text(Some(text)) => {
                Ok(Some(compute(text.len(), move || Info::parse(&text)).await?))
            }
            Reply::Error(text) if is_denied(&text) => Ok(None),
            other => Err(unexpected(self.wire, other)),
        }
    }

    /// Asks a server that does not answer INFO by other commands. `None`: a proxy, which knows none
    /// of them.
    ///
    /// An application's user often lacks INFO and ROLE (`-@dangerous`). HELLO needs no right and
    /// names the role. PING and DBSIZE are refused while the data is loaded.
    async fn without_info(&mut self, has_pong: bool) -> Result<Option<Info>, Failure> {
        let mut out = Vec::new();
        command(&mut out, &["HELLO"]);
        command(&mut out, &["ROLE"]);
        if !has_pong {
            command(&mut out, &["DBSIZE"]);
        }
        self.wire.send(&out).await?;
        let hello = self.array().await?;
        let role = self.array().await?;
        if !has_pong {
            match read(self.wire).await? {
                Reply::Integer(_) => {}
                Reply::Error(text) if is_denied(&text) => return Err(self.nothing_allowed()),
                other => return Err(unexpected(self.wire, other)),
            }
        }
        let Some(info) = Info::without_info(hello.as_deref(), role.as_deref()) else {
            return match self.target.wanted.role {
                Some(_) => Err(self.no_role("the role is not known")),
                None => Ok(None),
            };
        };
        self.check(&info)?;
        match info.role {
            Role::Replica(Link::Unknown) => {
                Err(self.no_role("its link to its master is not known"))
            }
            _ => Ok(Some(info)),
        }
    }

    /// Reads an array, or `None` if this user may not run the command or a proxy does not know it.
    async fn array(&mut self) -> Result<Option<Vec<Reply>>, Failure> {
        match read(self.wire).await? {
            Reply::Array(Some(elements)) => Ok(Some(elements)),
            Reply::Error(text) if is_denied(&text) => Ok(None),
            other => Err(unexpected(self.wire, other)),
        }
    }

    fn no_role(&self, what: &str) -> Failure {
        let message = format!("{what}, because this user may run neither INFO nor ROLE");
        self.wire.failure(Class::Auth, message).hint("the right is +role or +info (ACL SETUSER)")
    }

    fn nothing_allowed(&self) -> Failure {
        let message = "this user may run neither PING nor INFO nor DBSIZE, so that a server that \
            loads its data looks like any other";
        self.wire.failure(Class::Auth, message).hint("the right is +ping (ACL SETUSER)")
    }

    /// Compares the server's report about itself with the wanted state.
    fn check(&self, info: &Info) -> Result<(), Failure> {
        let product = &info.product;
        if info.mode == Mode::Sentinel {
            let message = format!("{product} is a Sentinel, not a server with data");
            return Err(self
                .wire
                .failure(Class::Absent, message)
                .hint("sentinel=MASTER asks it for the address of a master"));
        }
        if let Some(progress) = &info.loading {
            let message = format!("{product} is loading its data: {progress}");
            return Err(self.wire.failure(Class::Busy, message.trim_end_matches([':', ' '])));
        }
        if self.target.wanted.cluster && info.mode != Mode::Cluster {
            return Err(self
                .wire
                .failure(Class::Absent, format_args!("{product} is no cluster's node")));
        }
        match (&info.role, self.target.wanted.role) {
            (Role::Replica(_), Some(WantedRole::Master)) => {
                let message = format!("{product} is a replica, and role=master wants a master");
                Err(self.wire.failure(Class::Absent, message))
            }
            (Role::Replica(_), None) if self.target.sentinel.is_some() => {
                Err(self.wire.failure(Class::Busy, format_args!("{product} is a replica")))
            }
            (Role::Master, Some(WantedRole::Replica)) => {
                let message = format!("{product} is a master, and role=replica wants a replica");
                Err(self.wire.failure(Class::Absent, message))
            }
            (Role::Replica(Link::Down(why)), _) => Err(self
                .wire
                .failure(Class::Busy, format_args!("{product} is a replica that {why}"))),
            _ => Ok(()),
        }
    }

    /// Reads the reply to PING. False: this user may not run it.
    async fn pong(&mut self) -> Result<bool, Failure> {
        match read(self.wire).await? {
            Reply::Status(_) | Reply::Text(Some(_)) => Ok(true),
            Reply::Error(text) if is_denied(&text) => Ok(false),
            other => Err(unexpected(self.wire, other)),
        }
    }

    /// The cluster's state: it serves, and nodes that are up cover every slot.
    async fn cluster(&mut self) -> Result<(), Failure> {
        let mut out = Vec::new();
        command(&mut out, &["CLUSTER", "INFO"]);
        self.wire.send(&out).await?;
        let text = match read(self.wire).await? {
            Reply::Text(Some(text)) => text,
            Reply::Error(text) if is_denied(&text) && !self.target.wanted.cluster => {
                return self.cluster_by_key().await;
            }
            other => return Err(unexpected(self.wire, other)),
        };
        match compute(text.len(), move || not_serving(&text)).await? {
            Some(message) => Err(self.wire.failure(Class::Busy, message)),
            None => Ok(()),
        }
    }

    /// The cluster's state for a user without CLUSTER INFO: while the cluster is down, a node
    /// refuses every key, whether it exists or not.
    async fn cluster_by_key(&mut self) -> Result<(), Failure> {
        // The wanted key is asked for anyway.
        if self.target.wanted.key.is_some() {
            return Ok(());
        }
        let mut out = Vec::new();
        command(&mut out, &["EXISTS", "afterall"]);
        self.wire.send(&out).await?;
        match read(self.wire).await? {
            Reply::Integer(_) => Ok(()),
            Reply::Error(text) if Redirect::read(&text, self.wire.endpoint()).is_some() => Ok(()),
            Reply::Error(text) if is_denied(&text) => {
                let message = "the cluster's state is not known, because this user may run neither \
                    CLUSTER INFO nor EXISTS on any key";
                Err(self.wire.failure(Class::Auth, message).hint(
                    "the right is +cluster|info (ACL SETUSER), or exists=NAME is a key that this \
                    user may read",
                ))
            }
            other => Err(unexpected(self.wire, other)),
        }
    }

    async fn key(&mut self, key: &str) -> Result<(), Failure> {
        let mut out = Vec::new();
        command(&mut out, &["EXISTS", key]);
        self.wire.send(&out).await?;
        let reply = match read(self.wire).await? {
            Reply::Error(text) => match Redirect::read(&text, self.wire.endpoint()) {
                Some(redirect) => self.follow(&redirect, key).await?,
                None => Reply::Error(text),
            },
            reply => reply,
        };
        match reply {
            Reply::Integer(0) => {
                Err(self.wire.failure(Class::Absent, format_args!("no key {key}")))
            }
            Reply::Integer(_) => Ok(()),
            other => Err(unexpected(self.wire, other)),
        }
    }

    /// Asks the node of a cluster that has the key.
    async fn follow(&mut self, redirect: &Redirect, key: &str) -> Result<Reply, Failure> {
        let wire = connect(self.attempt, self.target, &redirect.endpoint).await;
        // The node that redirects is up.
        let mut wire = wire.map_err(|failure| failure.with(|reason| reason.means_down = false))?;
        let mut out = Vec::new();
        if let Some(login) = &self.target.login {
            authenticate(&mut out, login);
        }
        if redirect.asking {
            command(&mut out, &["ASKING"]);
        }
        command(&mut out, &["EXISTS", key]);
        wire.send(&out).await?;
        if let Some(login) = &self.target.login {
            authenticated(&mut wire, login).await?;
        }
        if redirect.asking {
            expect_status(&mut wire).await?;
        }
        let reply = read(&mut wire).await?;
        if let Reply::Error(_) = reply {
            return Err(unexpected(&wire, reply));
        }
        wire.close().await;
        Ok(reply)
    }
}

/// Returns the reason why a cluster does not serve, from the reply to CLUSTER INFO.
fn not_serving(info: &str) -> Option<String> {
    let value = |name: &str| {
        info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
    };
    let (state, slots) = (value("cluster_state"), value("cluster_slots_ok"));
    let (state, slots) = (state.unwrap_or("unknown"), slots.unwrap_or("0"));
    match (state, slots) {
        ("ok", SLOTS) => None,
        _ => Some(format!("cluster state {state}, {slots} of {SLOTS} slots are served")),
    }
}

/// `MOVED SLOT HOST:PORT` or `ASK SLOT HOST:PORT`; without a host it is the same host.
#[derive(Debug, PartialEq, Eq)]
struct Redirect {
    endpoint: Endpoint,
    /// The slot is on its way there: the command must be announced by ASKING.
    asking: bool,
}

impl Redirect {
    fn read(text: &str, from: &Endpoint) -> Option<Self> {
        let mut words = text.split(' ');
        let asking = match words.next()? {
            "MOVED" => false,
            "ASK" => true,
            _ => return None,
        };
        let (host, port) = words.nth(1)?.rsplit_once(':')?;
        let host = match (host.trim_matches(['[', ']']), from) {
            ("" | "?", Endpoint::Tcp(host, _)) => host,
            ("" | "?", Endpoint::Unix(_)) => "127.0.0.1",
            (host, _) => host,
        };
        let endpoint = Endpoint::Tcp(host.to_owned(), port.parse().ok()?);
        Some(Self { endpoint, asking })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_names_the_node_that_has_the_key() {
        let from = Endpoint::Tcp("a".to_owned(), 6379);
        let read = |text: &str| Redirect::read(text, &from);
        let to = |host: &str, port, asking| {
            Some(Redirect { endpoint: Endpoint::Tcp(host.to_owned(), port), asking })
        };
        assert_eq!(read("MOVED 15495 127.0.0.1:27203"), to("127.0.0.1", 27203, false));
        assert_eq!(read("ASK 1 b.test:1"), to("b.test", 1, true));
        assert_eq!(read("MOVED 1 :7000"), to("a", 7000, false));
        assert_eq!(read("MOVED 1 2001:db8::1:7000"), to("2001:db8::1", 7000, false));
        for odd in ["ERR no", "MOVED", "MOVED 1", "MOVED 1 b", "MOVED 1 b:x"] {
            assert_eq!(read(odd), None, "{odd}");
        }
    }

    #[test]
    fn a_cluster_serves_only_with_every_slot_covered() {
        let info = |state: &str, slots: &str| {
            not_serving(&format!("cluster_state:{state}\r\ncluster_slots_ok:{slots}\r\n"))
        };
        assert_eq!(info("ok", "16384"), None);
        for (state, slots) in [("fail", "16384"), ("ok", "10923"), ("fail", "0")] {
            let want = format!("cluster state {state}, {slots} of 16384 slots are served");
            assert_eq!(info(state, slots), Some(want));
        }
        let unknown = "cluster state unknown, 0 of 16384 slots are served";
        assert_eq!(not_serving("").as_deref(), Some(unknown));
    }
}
