//! `nats:`, `tls:` — INFO, TLS if either side asks for it, CONNECT, and the PONG to our PING.

mod failure;
mod info;
mod jetstream;
mod login;
mod nkey;
mod wire;

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;

use crate::{
    connect::{Endpoint, Stream},
    probe::{
        Attempt, AttemptFuture, Class, Failure, ListedServer, Order, Probe, Start, Turn,
        TurnFuture, Verdict, try_servers,
    },
    spec::{ConfigError, Grammar, Key, Kind, Spec},
    tls::{KEYS as TLS_KEYS, Tls},
};
use info::Info;
use jetstream::JetStream;
use login::Login;
use wire::{Op, Wire};

/// The kind.
pub static KIND: Kind = Kind {
    name: "nats",
    schemes: &["nats", "tls"],
    grammar: Grammar::ServersWithLogins,
    usage: "nats://[USER:PASSWORD@]HOST[:PORT][,HOST[:PORT]...]",
    summary: "INFO, TLS if asked, CONNECT, PONG",
    keys: &[KEYS, TLS_KEYS],
    build,
    ..Kind::DEFAULT
};

static KEYS: &[Key] = &[
    Key { name: "user", value: "NAME", help: "user to log in as" },
    Key { name: "password", value: "PASSWORD", help: "the user's password" },
    Key { name: "token", value: "TOKEN", help: "token to log in with" },
    Key { name: "nkey", value: "PATH", help: "file with the seed of the user's nkey" },
    Key { name: "creds", value: "PATH", help: ".creds file: the user's JWT and nkey seed" },
    Key { name: "jetstream", value: "", help: "JetStream must reply too" },
    Key {
        name: "stream",
        value: "NAME",
        help: "this stream must have a leader and a majority of its replicas",
    },
    Key { name: "domain", value: "NAME", help: "JetStream domain of jetstream and stream" },
    Key {
        name: "inbox-prefix",
        value: "SUBJECT",
        help: "prefix of the subject for replies; default _INBOX",
    },
    Key { name: "tls-first", value: "", help: "start with TLS, for a server with handshake_first" },
];

const PORT: u16 = 4222;

/// The longest wait for INFO from a server that may wait for a TLS handshake instead.
const INFO_SHARE: Duration = Duration::from_secs(1);

struct Nats {
    servers: Vec<Listed>,
    order: Order,
}

/// A server of the list, with what its last attempt learned.
struct Listed {
    server: Server,
    /// The server sends no INFO before the TLS handshake (`handshake_first`).
    tls_first: bool,
}

/// A connection on which the server has sent INFO.
struct Opened<'a> {
    wire: Wire<'a>,
    info: Info,
    encrypted: bool,
}

struct Server {
    endpoint: Endpoint,
    host: String,
    login: Arc<Login>,
    shared: Arc<Shared>,
}

/// The settings that all servers of a list share.
struct Shared {
    tls: Tls,
    /// Only INFO may be exchanged in clear.
    must_tls: bool,
    /// Not even INFO may be exchanged in clear.
    tls_first: bool,
    /// A client certificate may identify us.
    client_cert: bool,
    jetstream: JetStream,
}

fn build(spec: &Spec) -> Result<Box<dyn Probe>, ConfigError> {
    let parts = spec.parts()?;
    if parts.path.raw().len() > 1 || parts.query.is_some() {
        return Err(spec.error("nats: takes servers and nothing behind them"));
    }
    let tls_first = spec.flag("tls-first")?;
    let shared = Arc::new(Shared {
        tls: Tls::from_spec(spec)?,
        must_tls: spec.scheme == "tls" || Tls::is_asked_for(spec) || tls_first,
        tls_first,
        client_cert: spec.key("cert").is_some(),
        jetstream: JetStream::from_spec(spec)?,
    });
    let mut servers: Vec<Listed> = Vec::new();
    // A server without userinfo has that of the server before it: `user:password@a,b` means both.
    let first = parts.authority.split(',').next();
    let first = first.and_then(|server| server.rsplit_once('@')).map(|(userinfo, _)| userinfo);
    let mut login = Login::from_keys(spec, first.as_ref())?.map(Arc::new);
    let by_keys = login.is_some();
    for text in parts.authority.split(',') {
        let (userinfo, server) = match text.rsplit_once('@') {
            Some((userinfo, server)) => (Some(userinfo), server),
            None => (None, text),
        };
        if let Some(userinfo) = userinfo.filter(|_| !by_keys) {
            login = Some(Arc::new(Login::from_userinfo(spec, &userinfo)?));
        }
        let server = spec.server(&server)?;
        if server.host.is_empty() {
            return Err(spec.error("nats: needs a host, e.g. nats://nats:4222"));
        }
        let server = Server {
            endpoint: Endpoint::Tcp(server.host.clone(), server.port.unwrap_or(PORT)),
            host: server.host,
            login: login.clone().unwrap_or_else(|| Arc::new(Login::Nobody)),
            shared: Arc::clone(&shared),
        };
        servers.push(Listed { server, tls_first });
    }
    Ok(Box::new(Nats { servers, order: Order::new(Start::Next) }))
}

impl Probe for Nats {
    fn attempt<'a>(&'a mut self, attempt: &'a Attempt<'a>) -> AttemptFuture<'a> {
        Box::pin(async { try_servers(attempt, &mut self.servers, &mut self.order).await.verdict() })
    }

    fn is_local(&self) -> bool {
        self.servers.iter().all(|listed| listed.server.endpoint.is_local())
    }
}

impl ListedServer for Listed {
    fn ask<'a>(&'a mut self, attempt: &'a Attempt<'a>) -> TurnFuture<'a> {
        Box::pin(async move {
            let asked = self.server.ask(attempt, &mut self.tls_first).await;
            Turn::from(asked.map_or_else(Verdict::from, Verdict::ready))
        })
    }
}

impl Server {
    async fn ask(&self, attempt: &Attempt<'_>, tls_first: &mut bool) -> Result<String, Failure> {
        let Opened { mut wire, info, encrypted } = self.open(attempt, tls_first).await?;
        if info.lame_duck {
            wire.close().await;
            return Err(Failure::new(
                Class::Busy,
                format!("the server is in lame duck mode, about to shut down ({})", self.endpoint),
            ));
        }
        attempt.stage(format!("connected to {}, but no answer to CONNECT and PING", self.endpoint));
        let options = self.login.connect_options(&info, encrypted);
        log_in(&mut wire, &options).await.map_err(|failure| match *self.login {
            Login::Nobody if failure.class == Class::Auth && !self.shared.client_cert => {
                failure.hint("no credentials were given: user and password, token, nkey or creds")
            }
            _ => failure,
        })?;
        let mut detail = vec![format!("NATS {}", info.version)];
        detail.extend(self.shared.jetstream.ask(attempt, &mut wire, &info).await?);
        wire.close().await;
        Ok(detail.join(", "))
    }

    /// Opens a connection up to INFO, encrypted where either side wants it.
    async fn open(
        &self,
        attempt: &Attempt<'_>,
        tls_first: &mut bool,
    ) -> Result<Opened<'_>, Failure> {
        if *tls_first {
            return self.open_tls_first(attempt, tls_first).await;
        }
        let stream = attempt.connect(&self.endpoint).await?;
        let mut wire = Wire::new(stream, &self.endpoint);
        attempt.stage(format!("connected to {}, but no NATS INFO", self.endpoint));
        let info = if self.shared.must_tls {
            match timeout(INFO_SHARE.min(attempt.remaining() / 4), wire.first_info()).await {
                Ok(info) => info?,
                Err(_) => {
                    drop(wire);
                    return self.open_tls_first(attempt, tls_first).await;
                }
            }
        } else {
            wire.first_info().await.map_err(|failure| {
                if failure.class == Class::Connect && wire.has_received_nothing() {
                    failure.hint("a server with handshake_first needs the key tls-first")
                } else {
                    failure
                }
            })?
        };
        if !self.shared.must_tls && !info.tls_required {
            return Ok(Opened { wire, info, encrypted: false });
        }
        if !info.tls_required && !info.tls_available {
            return Err(Failure::new(
                Class::Tls,
                format!("the server does not offer TLS ({})", self.endpoint),
            ));
        }
        let stream = self.shake_hands(attempt, wire.into_stream().await?).await?;
        Ok(Opened { wire: Wire::new(stream, &self.endpoint), info, encrypted: true })
    }

    /// Opens a connection to a server that sends nothing before the TLS handshake.
    ///
    /// Unless the key tls-first is set, an attempt after a failed handshake waits for INFO again.
    async fn open_tls_first(
        &self,
        attempt: &Attempt<'_>,
        tls_first: &mut bool,
    ) -> Result<Opened<'_>, Failure> {
        *tls_first = self.shared.tls_first;
        let stream = attempt.connect(&self.endpoint).await?;
        let shaken = self.shake_hands(attempt, stream).await;
        let is_plaintext = shaken.as_ref().is_err_and(|failure| failure.plaintext_reply.is_some());
        *tls_first |= match &shaken {
            Ok(_) => true,
            Err(failure) => failure.class == Class::Tls && !is_plaintext,
        };
        let stream = shaken.map_err(|failure| {
            if is_plaintext && self.shared.tls_first {
                failure.hint("the server sends INFO first: use tls: without tls-first")
            } else {
                failure
            }
        })?;
        attempt.stage(format!("connected to {} by TLS, but no NATS INFO", self.endpoint));
        let mut wire = Wire::new(stream, &self.endpoint);
        let info = wire.first_info().await?;
        Ok(Opened { wire, info, encrypted: true })
    }

    async fn shake_hands(
        &self,
        attempt: &Attempt<'_>,
        stream: Box<dyn Stream>,
    ) -> Result<Box<dyn Stream>, Failure> {
        self.shared.tls.connect(attempt, &self.host, stream).await.map_err(|failure| {
            // A full server sends INFO and then, still in clear, -ERR.
            let reply = failure.plaintext_reply.as_deref();
            match reply.and_then(|reply| reply.strip_prefix("-ERR ")) {
                Some(text) => failure::err_failure(text, &self.endpoint),
                None => failure,
            }
        })
    }
}

/// Sends CONNECT and PING, and waits for PONG, which a server sends only after it has accepted the
/// login.
async fn log_in(wire: &mut Wire<'_>, options: &serde_json::Value) -> Result<(), Failure> {
    wire.send(format!("CONNECT {options}\r\nPING\r\n").as_bytes()).await?;
    loop {
        match wire.next().await? {
            Op::Pong => return Ok(()),
            Op::Ping => wire.send(b"PONG\r\n").await?,
            Op::Info(_) | Op::Ok | Op::Message { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests;
