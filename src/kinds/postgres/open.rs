//! Opens a session on a server, with TLS by sslmode. Sends a ping first if a login could be wasted.

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
    connect::{Endpoint, FairStream},
    probe::{Attempt, Class, Cost, Failure},
    tls::Tls,
};

/// The server logs each handshake that fails.
fn logged(failure: Failure) -> Failure {
    match failure.class {
        Class::Tls => failure.cost(Cost::Logged),
        _ => failure,
    }
}

/// libpq's requirepeer: the server on a Unix socket must run as this user.
fn check_peer(stream: &UnixStream, path: &str, user: &str) -> Result<(), Failure> {
    let peer = stream.peer_cred().ok().and_then(|peer| os_user::of_uid(peer.uid()));
    let message = match peer {
        Some(peer) if peer.name == user => return Ok(()),
        Some(peer) => format!("the server runs as {}", peer.name),
        None => "the server runs as a user whom /etc/passwd does not know".to_owned(),
    };
    Err(Failure::new(Class::Auth, format!("{message}, and requirepeer wants {user} ({path})"))
        .cost(Cost::Answer))
}

/// One server during the opening of a session.
pub(super) struct Opening<'a> {
    attempt: &'a Attempt<'a>,
    access: &'a Access,
    server: &'a mut Server,
    /// The server accepted a connection, so later failures are not the network's.
    pub(super) connected: bool,
}

enum Answer {
    Encrypted(Wire),
    /// The server has no TLS, so the connection continues in clear.
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

    /// Opens a session, and records whether the server is down or starting.
    pub(super) async fn open(&mut self) -> Result<Session, Error> {
        // If the attempt is cut, the server counts as down.
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
                Err(refused) if refused.is_rejected_by_hba() => match self.request_tls(tls).await {
                    Ok(Answer::Encrypted(wire)) => {
                        self.login(wire).await.map_err(|refused| refused.error)
                    }
                    _ => Err(refused.error),
                },
                done => done.map_err(|refused| refused.error),
            },
            Mode::Prefer => {
                // While the server starts, a handshake would be wasted like a login.
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
                    let message = format!(
                        "the server does not support TLS, and sslmode={} wants it",
                        mode.word()
                    );
                    Err(Failure::new(Class::Tls, format!("{message} ({})", self.server.endpoint))
                        .into())
                }
            },
        }
    }

    /// Opens a session with TLS if the server has TLS and admits the client, else without.
    async fn preferred(&mut self, tls: &Tls) -> Result<Session, Error> {
        let first = match self.request_tls(tls).await {
            Ok(Answer::Plain(wire)) => {
                return self.login(wire).await.map_err(|refused| refused.error);
            }
            Ok(Answer::Encrypted(wire)) => match self.login(wire).await {
                Err(refused) if refused.is_rejected_by_hba() || refused.is_tls_failure() => {
                    refused.error
                }
                done => return done.map_err(|refused| refused.error),
            },
            Err(Error::Failed(failure)) if failure.class == Class::Tls => Error::Failed(failure),
            Err(error) => return Err(error),
        };
        match (self.plain().await, first) {
            (Ok(session), _) => Ok(session),
            // Neither way is admitted. The failure with TLS is the more informative one.
            (Err(second), first @ Error::Server(_)) if second.is_rejected_by_hba() => Err(first),
            (Err(second), Error::Failed(first)) if !second.is_starting_up() => {
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
                let stream = self.attempt.connect_unix(path).await?;
                self.connected = true;
                check_peer(&stream, path, user)?;
                Box::new(FairStream::new(stream))
            }
            (endpoint, _) => self.attempt.connect(endpoint).await?,
        };
        self.connected = true;
        Ok(Wire::new(stream, self.server.endpoint.clone()))
    }

    /// Connects and asks for TLS. Sends nothing else in clear.
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

    /// Begins with the TLS handshake. The server must choose PostgreSQL by ALPN, as in libpq.
    async fn shake_hands_directly(&self, tls: &Tls, wire: Wire) -> Result<Wire, Failure> {
        const HINT: &str =
            "servers before PostgreSQL 17 want to be asked for TLS first: sslnegotiation=postgres";
        let secured = tls.handshake(self.attempt, &self.server.host, wire.stream).await;
        let secured = secured.map_err(|failure| match failure.hint {
            None => logged(failure).hint(HINT),
            Some(_) => logged(failure),
        })?;
        if secured.alpn.as_deref() != Some(ALPN) {
            let message =
                "the server did not agree to ALPN postgresql, and sslnegotiation=direct wants it";
            let message = format!("{message} ({})", self.server.endpoint);
            return Err(Failure::new(Class::Tls, message).cost(Cost::Logged));
        }
        Ok(Wire::secured(secured, self.server.endpoint.clone()))
    }

    /// Checks the server as `pg_isready` does: sends a startup packet and reads the first reply.
    /// This has a connection of its own and no login.
    async fn ping(&mut self) -> Result<(), Error> {
        let mut wire = self.connect().await?;
        self.attempt.stage(format!(
            "connected to {}, but no answer to the startup packet",
            self.server.endpoint
        ));
        startup(&self.access.login, &mut wire)?;
        wire.send().await?;
        match wire.receive().await? {
            // The server may admit with TLS what it rejects in clear.
            Message::ErrorResponse(body) => match PgError::read(body.fields()) {
                error if error.code == sqlstate::INVALID_AUTHORIZATION => Ok(()),
                error => Err(Error::Server(error)),
            },
            Message::AuthenticationOk => {
                // With `trust` the server sends the whole login at once. Unread bytes would reset
                // the connection.
                let bound = self.attempt.remaining() / 4;
                let _ = timeout(bound, wire.close(Drain::Yes)).await;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
