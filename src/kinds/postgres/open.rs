//! From a server's address to a session: with or without TLS as sslmode has it, and a ping first where a login would be wasted.

use postgres_protocol::message::{backend::Message, frontend};
use tokio::{net::UnixStream, time::timeout};

use super::{
    classify::PgError,
    login::{Refused, login, startup},
    os_user,
    session::Session,
    sqlstate,
    ssl::{ALPN, Mode, Negotiation},
    target::{Access, Server},
    wire::{Drain, Error, Wire},
};
use crate::{
    connect::Endpoint,
    probe::{Attempt, Class, Cost, Failure},
    tls::Tls,
};

/// A handshake that fails is a line in the server's log.
fn logged(failure: Failure) -> Failure {
    match failure.class {
        Class::Tls => failure.cost(Cost::Logged),
        _ => failure,
    }
}

/// libpq's requirepeer: the server behind a Unix socket must run as this user.
fn check_peer(stream: &UnixStream, path: &str, user: &str) -> Result<(), Failure> {
    let peer = stream.peer_cred().ok().and_then(|peer| os_user::of_uid(peer.uid()));
    let what = match peer {
        Some(peer) if peer.name == user => return Ok(()),
        Some(peer) => format!("the server runs as {}", peer.name),
        None => "the server runs as a user whom /etc/passwd does not know".to_owned(),
    };
    Err(Failure::new(Class::Auth, format!("{what}, and requirepeer wants {user} ({path})"))
        .cost(Cost::Answer))
}

/// One server while a session on it is opened.
pub(super) struct Opening<'a> {
    attempt: &'a Attempt<'a>,
    access: &'a Access,
    server: &'a mut Server,
    /// A connection was accepted: what fails from now on is no matter of the network.
    pub(super) connected: bool,
}

enum Answer {
    Encrypted(Wire),
    /// The server has no TLS; the connection goes on in clear.
    Plain(Wire),
}

impl<'a> Opening<'a> {
    pub(super) fn new(
        attempt: &'a Attempt<'a>,
        access: &'a Access,
        server: &'a mut Server,
    ) -> Self {
        Self { attempt, access, server, connected: false }
    }

    /// Opens a session, and remembers whether the server is down or starting.
    pub(super) async fn open(&mut self) -> Result<Session, Error> {
        // An attempt that is cut before it ends has found nobody there.
        let was_down = std::mem::replace(&mut self.server.down, true);
        let opened = self.open_as_configured(was_down).await;
        self.server.down = match &opened {
            Ok(_) => false,
            Err(Error::Server(error)) => error.is_starting(),
            Err(Error::Failed(failure)) => {
                matches!(failure.class, Class::Dns | Class::Connect | Class::Timeout)
            }
        };
        opened
    }

    async fn open_as_configured(&mut self, was_down: bool) -> Result<Session, Error> {
        let access = self.access;
        let (Some(tls), Endpoint::Tcp(..)) = (&access.encryption.tls, &self.server.endpoint) else {
            return self.plain().await.map_err(|refused| refused.error);
        };
        match access.encryption.mode {
            Mode::Disable => self.plain().await.map_err(|refused| refused.error),
            Mode::Allow => match self.plain().await {
                Err(refused) if refused.by_admission() => match self.request_tls(tls).await {
                    Ok(Answer::Encrypted(wire)) => {
                        self.login(wire).await.map_err(|refused| refused.error)
                    }
                    _ => Err(refused.error),
                },
                done => done.map_err(|refused| refused.error),
            },
            Mode::Prefer => {
                // While the server starts, a handshake would be as wasted as a login.
                if was_down {
                    self.ping().await?;
                }
                self.preferred(tls).await
            }
            mode @ (Mode::Require | Mode::VerifyCa | Mode::VerifyFull) => match self
                .request_tls(tls)
                .await?
            {
                Answer::Encrypted(wire) => self.login(wire).await.map_err(|refused| refused.error),
                Answer::Plain(_) => {
                    let what = format!(
                        "the server does not support TLS, and sslmode={} wants it",
                        mode.word()
                    );
                    Err(Failure::new(Class::Tls, format!("{what} ({})", self.server.endpoint))
                        .into())
                }
            },
        }
    }

    /// With TLS where the server has it and admits it, else without.
    async fn preferred(&mut self, tls: &Tls) -> Result<Session, Error> {
        let first = match self.request_tls(tls).await {
            Ok(Answer::Plain(wire)) => {
                return self.login(wire).await.map_err(|refused| refused.error);
            }
            Ok(Answer::Encrypted(wire)) => match self.login(wire).await {
                Err(refused) if refused.by_admission() || refused.by_tls() => refused.error,
                done => return done.map_err(|refused| refused.error),
            },
            Err(Error::Failed(failure)) if failure.class == Class::Tls => Error::Failed(failure),
            Err(error) => return Err(error),
        };
        match (self.plain().await, first) {
            (Ok(session), _) => Ok(session),
            // Admitted neither way: the first words are those of the better one.
            (Err(second), first @ Error::Server(_)) if second.by_admission() => Err(first),
            (Err(second), Error::Failed(first)) if !matches!(&second.error, Error::Server(error) if error.is_starting()) =>
            {
                let second = match second.error {
                    Error::Server(error) => {
                        error.failure(self.access.login.phase(), &self.server.endpoint)
                    }
                    Error::Failed(failure) => failure,
                };
                Err(second.hint(format!("that is without TLS; with TLS: {}", first.message)).into())
            }
            (Err(second), _) => Err(second.error),
        }
    }

    async fn plain(&mut self) -> Result<Session, Refused> {
        let wire = self.connect().await?;
        self.login(wire).await
    }

    async fn login(&mut self, wire: Wire) -> Result<Session, Refused> {
        login(self.attempt, self.access, self.server, wire).await
    }

    async fn connect(&mut self) -> Result<Wire, Failure> {
        let stream = match (&self.server.endpoint, &self.access.require_peer) {
            (Endpoint::Unix(path), Some(user)) => {
                let stream = self.attempt.connect_unix(path)?;
                self.connected = true;
                check_peer(&stream, path, user)?;
                Box::new(stream)
            }
            (endpoint, _) => self.attempt.connect(endpoint).await?,
        };
        self.connected = true;
        Ok(Wire::new(stream, self.server.endpoint.clone()))
    }

    /// Connects and asks for TLS; nothing else is sent in clear.
    async fn request_tls(&mut self, tls: &Tls) -> Result<Answer, Error> {
        let mut wire = self.connect().await?;
        if self.access.encryption.negotiation == Negotiation::Direct {
            return Ok(Answer::Encrypted(self.shake_hands_directly(tls, wire).await?));
        }
        self.attempt.stage(format!(
            "connected to {}, but no answer to the request for TLS",
            self.server.endpoint
        ));
        frontend::ssl_request(&mut wire.output);
        wire.send().await?;
        match wire.receive_byte().await? {
            b'S' => {
                let secured = tls
                    .handshake(self.attempt, &self.server.host, wire.stream)
                    .await
                    .map_err(logged)?;
                Ok(Answer::Encrypted(Wire::secured(secured, self.server.endpoint.clone())))
            }
            b'N' => Ok(Answer::Plain(wire)),
            _ => match wire.receive().await? {
                Message::ErrorResponse(body) => Err(Error::Server(PgError::read(body.fields()))),
                _ => Err(Failure::new(
                    Class::Protocol,
                    format!("not PostgreSQL ({})", self.server.endpoint),
                )
                .into()),
            },
        }
    }

    /// Begins with the TLS handshake, and wants the server to agree to speak PostgreSQL, as libpq does.
    async fn shake_hands_directly(&self, tls: &Tls, wire: Wire) -> Result<Wire, Failure> {
        const HINT: &str =
            "servers before PostgreSQL 17 want to be asked for TLS first: sslnegotiation=postgres";
        let secured = tls.handshake(self.attempt, &self.server.host, wire.stream).await;
        let secured = secured.map_err(|failure| match failure.hint {
            None => logged(failure).hint(HINT),
            Some(_) => logged(failure),
        })?;
        if secured.alpn.as_deref() != Some(ALPN) {
            let what =
                "the server did not agree to ALPN postgresql, and sslnegotiation=direct wants it";
            let what = format!("{what} ({})", self.server.endpoint);
            return Err(Failure::new(Class::Tls, what).cost(Cost::Logged));
        }
        Ok(Wire::secured(secured, self.server.endpoint.clone()))
    }

    /// What `pg_isready` does: a startup packet, then the first answer; on a connection of its own, without a login.
    async fn ping(&mut self) -> Result<(), Error> {
        let mut wire = self.connect().await?;
        self.attempt.stage(format!(
            "connected to {}, but no answer to the startup packet",
            self.server.endpoint
        ));
        startup(&self.access.login, &mut wire)?;
        wire.send().await?;
        match wire.receive().await? {
            // Not admitted in clear: with TLS it may be.
            Message::ErrorResponse(body) => match PgError::read(body.fields()) {
                error if error.code == sqlstate::INVALID_AUTHORIZATION => Ok(()),
                error => Err(Error::Server(error)),
            },
            Message::AuthenticationOk => {
                // Everybody is trusted: what follows is the whole login, and dropping that unread would reset the connection.
                let bound = self.attempt.remaining() / 4;
                let _ = timeout(bound, wire.close(Drain::Yes)).await;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
