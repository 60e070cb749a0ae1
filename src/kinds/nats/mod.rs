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
use jetstream::Wanted;
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
    Key { name: "jetstream", value: "", help: "JetStream must answer too" },
    Key { name: "stream", value: "NAME", help: "JetStream must have this stream" },
];

const PORT: u16 = 4222;

/// The longest wait for an INFO from a server that may be waiting for our handshake.
const INFO_SHARE: Duration = Duration::from_secs(1);

struct Nats {
    servers: Vec<Listed>,
    order: Order,
}

/// A server of the list, with what its last attempt learned.
struct Listed {
    server: Server,
    /// It sent no INFO: it waits for the handshake (`handshake_first`).
    tls_first: bool,
}

struct Server {
    endpoint: Endpoint,
    host: String,
    login: Arc<Login>,
    shared: Arc<Shared>,
}

/// What all servers of a list have in common.
struct Shared {
    tls: Tls,
    /// Nothing but INFO is exchanged in clear.
    must_tls: bool,
    /// The server may know us by our certificate.
    client_cert: bool,
    wanted: Option<Wanted>,
}

fn build(spec: &Spec) -> Result<Box<dyn Probe>, ConfigError> {
    let parts = spec.parts()?;
    if parts.path.raw().len() > 1 || parts.query.is_some() {
        return Err(spec.error("nats: takes servers and nothing behind them"));
    }
    let shared = Arc::new(Shared {
        tls: Tls::from_spec(spec)?,
        must_tls: spec.scheme == "tls" || Tls::is_asked_for(spec),
        client_cert: spec.key("cert").is_some(),
        wanted: Wanted::from_spec(spec)?,
    });
    let mut servers: Vec<Listed> = Vec::new();
    // A server without userinfo has that of the one before: `user:password@a,b` means both.
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
        servers.push(Listed { server, tls_first: false });
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
            Turn::from(asked.map_or_else(Verdict::from, Verdict::Ready))
        })
    }
}

impl Server {
    async fn ask(&self, attempt: &Attempt<'_>, tls_first: &mut bool) -> Result<String, Failure> {
        let (mut wire, info, tls) = self.open(attempt, tls_first).await?;
        if info.lame_duck {
            wire.close().await;
            return Err(Failure::new(
                Class::Busy,
                format!("the server is in lame duck mode, about to shut down ({})", self.endpoint),
            ));
        }
        attempt.stage(format!("connected to {}, but no answer to CONNECT and PING", self.endpoint));
        let options = self.login.connect_options(&info, tls);
        log_in(&mut wire, &options).await.map_err(|failure| match *self.login {
            Login::Nobody if failure.class == Class::Auth && !self.shared.client_cert => {
                failure.hint("no credentials were given: user and password, token, nkey or creds")
            }
            _ => failure,
        })?;
        let mut detail = format!("NATS {}", info.version);
        if let Some(wanted) = &self.shared.wanted {
            attempt.stage(format!("logged in to {}, but no answer from JetStream", self.endpoint));
            wanted.ask(&mut wire, &info).await?;
            detail = format!("{detail}, {}", wanted.shown());
        }
        wire.close().await;
        Ok(detail)
    }

    /// A connection on which INFO was said, encrypted where either side wants it.
    async fn open(
        &self,
        attempt: &Attempt<'_>,
        tls_first: &mut bool,
    ) -> Result<(Wire<'_>, Info, bool), Failure> {
        if *tls_first {
            return self.open_tls_first(attempt, tls_first).await;
        }
        let stream = attempt.connect(&self.endpoint).await?;
        let mut wire = Wire::new(stream, &self.endpoint);
        attempt.stage(format!("connected to {}, but no NATS INFO", self.endpoint));
        let info = match self.shared.must_tls {
            false => wire.first_info().await?,
            true => match timeout(INFO_SHARE.min(attempt.remaining() / 4), wire.first_info()).await
            {
                Ok(info) => info?,
                Err(_) => {
                    drop(wire);
                    return self.open_tls_first(attempt, tls_first).await;
                }
            },
        };
        if !self.shared.must_tls && !info.tls_required {
            return Ok((wire, info, false));
        }
        if !info.tls_required && !info.tls_available {
            return Err(Failure::new(
                Class::Tls,
                format!("the server does not offer TLS ({})", self.endpoint),
            ));
        }
        let stream = self.shake_hands(attempt, wire.into_stream().await?).await?;
        Ok((Wire::new(stream, &self.endpoint), info, true))
    }

    /// For a server that says nothing before the handshake. If it does not shake hands, the next attempt waits for INFO again.
    async fn open_tls_first(
        &self,
        attempt: &Attempt<'_>,
        tls_first: &mut bool,
    ) -> Result<(Wire<'_>, Info, bool), Failure> {
        *tls_first = false;
        let stream = attempt.connect(&self.endpoint).await?;
        let shaken = self.shake_hands(attempt, stream).await;
        *tls_first = match &shaken {
            Ok(_) => true,
            Err(failure) => failure.class == Class::Tls && failure.plaintext_reply.is_none(),
        };
        let stream = shaken?;
        attempt.stage(format!("connected to {} by TLS, but no NATS INFO", self.endpoint));
        let mut wire = Wire::new(stream, &self.endpoint);
        let info = wire.first_info().await?;
        Ok((wire, info, true))
    }

    async fn shake_hands(
        &self,
        attempt: &Attempt<'_>,
        stream: Box<dyn Stream>,
    ) -> Result<Box<dyn Stream>, Failure> {
        self.shared.tls.connect(attempt, &self.host, stream).await.map_err(|failure| {
            // A server that is full says INFO and then, still in clear, -ERR.
            let reply = failure.plaintext_reply.as_deref();
            match reply.and_then(|reply| reply.strip_prefix("-ERR ")) {
                Some(text) => failure::of_err(text, &self.endpoint),
                None => failure,
            }
        })
    }
}

/// CONNECT, and the PONG to our own PING: a server sends it only to whom it has let in.
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
