//! From an open connection to ReadyForQuery: the startup packet, authentication, and what the server tells of itself.

use std::io;

use fallible_iterator::FallibleIterator;
use postgres_protocol::{
    authentication::{
        md5_hash,
        sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256},
    },
    message::{
        backend::{Message, ParameterStatusBody},
        frontend,
    },
};

use super::{
    classify::PgError,
    session::{About, Session},
    target::{Login, Server},
    wire::{Error, Wire},
};
use crate::{
    probe::{Attempt, Class, Cost, Failure},
    secret::Secret,
};

/// A login that did not succeed, and how far it came.
pub(super) struct Refused {
    pub(super) error: Error,
    authenticated: bool,
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self { error: Error::Failed(failure), authenticated: false }
    }
}

impl Refused {
    /// Whether the server does not admit this way of connecting, so that the other, with or without TLS, may be admitted.
    pub(super) fn by_admission(&self) -> bool {
        !self.authenticated && matches!(&self.error, Error::Server(error) if error.code == "28000")
    }

    /// Whether TLS is what failed: under TLS 1.3 a refusal of our certificate arrives only now.
    pub(super) fn by_tls(&self) -> bool {
        matches!(&self.error, Error::Failed(failure) if failure.class == Class::Tls)
    }
}

/// Puts the startup packet into the wire.
///
/// Only what is needed: a pooler refuses parameters that it does not know. The encoding makes names in tables and
/// messages readable whatever the database's own is.
pub(super) fn startup(login: &Login, wire: &mut Wire) -> Result<(), Failure> {
    let parameters = [
        ("user", Some(&login.user)),
        ("database", Some(&login.database)),
        ("application_name", Some(&login.application_name)),
        ("options", login.options.as_ref()),
        ("search_path", login.search_path.as_ref()),
    ];
    let parameters =
        parameters.iter().filter_map(|(name, value)| value.map(|value| (*name, value.as_str())));
    frontend::startup_message(parameters.chain([("client_encoding", "UTF8")]), &mut wire.output)
        .map_err(unsendable)
}

/// The library refuses texts that hold a NUL.
fn unsendable(error: io::Error) -> Failure {
    Failure::new(Class::Config, format!("cannot be sent to a server: {error}"))
}

/// Logs in. AuthenticationOk is not the end: roles, rights and limits are looked at after it.
pub(super) async fn login(
    attempt: &Attempt<'_>,
    login: &Login,
    server: &Server,
    mut wire: Wire,
) -> Result<Session, Refused> {
    let mut conversation = Conversation {
        login,
        password: server.password.as_ref(),
        scram: None,
        cost: Cost::Answer,
        done: false,
    };
    let mut about = About::default();
    let refused = match conversation.run(attempt, &mut wire, &mut about).await {
        Ok(()) => {
            wire.logged_in = true;
            return Ok(Session::new(wire, about, conversation.cost, login.session_setup()));
        }
        Err(error) => error,
    };
    Err(Refused { error: refused, authenticated: conversation.done })
}

struct Conversation<'a> {
    login: &'a Login,
    password: Option<&'a Secret>,
    /// An exchange whose end is still to come.
    scram: Option<ScramSha256>,
    cost: Cost,
    /// AuthenticationOk was said.
    done: bool,
}

impl Conversation<'_> {
    async fn run(
        &mut self,
        attempt: &Attempt<'_>,
        wire: &mut Wire,
        about: &mut About,
    ) -> Result<(), Error> {
        let to = wire.endpoint.to_string();
        attempt.stage(format!("connected to {to}, but no answer to the startup packet"));
        startup(self.login, wire)?;
        wire.send().await?;
        loop {
            match wire.receive().await? {
                Message::AuthenticationOk => {
                    if self.scram.is_some() {
                        return Err(broken(
                            "it ended SCRAM without proving that it knows the password",
                            wire,
                        )
                        .into());
                    }
                    if self.cost == Cost::Answer && !self.login.require_auth.allows("none") {
                        return Err(self.not_allowed("none", wire).into());
                    }
                    self.done = true;
                    attempt.stage(format!("authenticated by {to}, but no ReadyForQuery"));
                }
                Message::ReadyForQuery(_) if self.done => return Ok(()),
                Message::ErrorResponse(body) => {
                    return Err(Error::Server(PgError::read(body.fields())));
                }
                Message::ParameterStatus(body) => note(about, &body),
                Message::BackendKeyData(_)
                | Message::NoticeResponse(_)
                | Message::NotificationResponse(_) => {}
                request if !self.done => {
                    self.answer(request, wire)?;
                    attempt.stage(format!("connected to {to}, but no answer to the password"));
                    wire.send().await?;
                }
                _ => return Err(broken("a message out of turn", wire).into()),
            }
        }
    }

    /// Answers a request for authentication, into the wire's output.
    fn answer(&mut self, request: Message, wire: &mut Wire) -> Result<(), Failure> {
        match request {
            Message::AuthenticationCleartextPassword => {
                let password = self.password("password", wire)?;
                frontend::password_message(password.as_bytes(), &mut wire.output)
                    .map_err(unsendable)
            }
            Message::AuthenticationMd5Password(body) => {
                let password = self.password("md5", wire)?;
                let hash = md5_hash(self.login.user.as_bytes(), password.as_bytes(), body.salt());
                frontend::password_message(hash.as_bytes(), &mut wire.output).map_err(unsendable)
            }
            Message::AuthenticationSasl(body) => {
                let mechanisms: Vec<_> =
                    body.mechanisms().map(|name| Ok(name.to_owned())).collect().unwrap_or_default();
                if !mechanisms.iter().any(|name| name == SCRAM_SHA_256) {
                    return Err(unsupported(&format!("SASL with {}", mechanisms.join(", ")), wire));
                }
                let password = self.password("scram-sha-256", wire)?;
                let scram = ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported());
                self.cost = Cost::Login;
                let sent = frontend::sasl_initial_response(
                    SCRAM_SHA_256,
                    scram.message(),
                    &mut wire.output,
                );
                self.scram = Some(scram);
                sent.map_err(unsendable)
            }
            Message::AuthenticationSaslContinue(body) => {
                let scram = self
                    .scram
                    .as_mut()
                    .ok_or_else(|| broken("SCRAM goes on that did not begin", wire))?;
                scram.update(body.data()).map_err(|e| broken(&format!("SCRAM: {e}"), wire))?;
                frontend::sasl_response(scram.message(), &mut wire.output).map_err(unsendable)
            }
            Message::AuthenticationSaslFinal(body) => {
                let mut scram = self
                    .scram
                    .take()
                    .ok_or_else(|| broken("SCRAM ends that did not begin", wire))?;
                let what = "the server cannot prove that it knows the password";
                scram
                    .finish(body.data())
                    .map_err(|_| Failure::new(Class::Auth, format!("{what} ({})", wire.endpoint)))
            }
            Message::AuthenticationGss | Message::AuthenticationGssContinue(_) => {
                Err(unsupported("GSSAPI", wire))
            }
            Message::AuthenticationSspi => Err(unsupported("SSPI", wire)),
            Message::AuthenticationKerberosV5 => Err(unsupported("Kerberos 5", wire)),
            Message::AuthenticationScmCredential => Err(unsupported("SCM credentials", wire)),
            _ => Err(broken("a message out of turn", wire)),
        }
    }

    fn password(&mut self, method: &str, wire: &Wire) -> Result<String, Failure> {
        if !self.login.require_auth.allows(method) {
            return Err(self.not_allowed(method, wire));
        }
        if let Some(password) = self.password {
            self.cost = self.cost.max(Cost::Login);
            return Ok(password.reveal().to_owned());
        }
        const HINT: &str = "give one in the URL (${file:/run/secrets/x} keeps it out of the text), by the key password or passfile, \
                            by PGPASSWORD or in ~/.pgpass";
        let note =
            self.login.passfile_note.as_ref().map(|note| format!("; {note}")).unwrap_or_default();
        let what = format!(
            "the server asks for a password of {:?}, and none is given{note}",
            self.login.user
        );
        Err(Failure::new(Class::Config, format!("{what} ({})", wire.endpoint)).hint(HINT))
    }

    fn not_allowed(&self, method: &str, wire: &Wire) -> Failure {
        let what = format!(
            "the server wants authentication by {method}, which require_auth does not allow"
        );
        Failure::new(Class::Auth, format!("{what} ({})", wire.endpoint))
    }
}

fn unsupported(what: &str, wire: &Wire) -> Failure {
    Failure::new(
        Class::Config,
        format!(
            "the server wants authentication by {what}, which is not supported ({})",
            wire.endpoint
        ),
    )
}

fn broken(what: &str, wire: &Wire) -> Failure {
    Failure::new(
        Class::Protocol,
        format!("PostgreSQL's protocol is broken: {what} ({})", wire.endpoint),
    )
}

fn note(about: &mut About, body: &ParameterStatusBody) {
    let (Ok(name), Ok(value)) = (body.name(), body.value()) else { return };
    match name {
        "server_version" => about.server_version = value.to_owned(),
        "in_hot_standby" => about.in_hot_standby = Some(value == "on"),
        "default_transaction_read_only" => about.default_read_only = Some(value == "on"),
        _ => {}
    }
}
