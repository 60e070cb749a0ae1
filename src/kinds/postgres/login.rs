//! Logs in on an open connection: startup packet, authentication, and the server's parameters, up
//! to ReadyForQuery.

use std::io;

use fallible_iterator::FallibleIterator;
use postgres_protocol::{
    authentication::{
        md5_hash,
        sasl::{SCRAM_SHA_256, SCRAM_SHA_256_PLUS},
    },
    message::{
        backend::{Message, ParameterStatusBody},
        frontend,
    },
};

use super::{
    classify::PgError,
    session::{About, Session},
    sqlstate,
    ssl::CertMode,
    target::{Access, Bind, Credentials, Login, Server},
    wire::{Error, Notices, Wire, let_others_run},
};
use crate::{
    kinds::scram::{self, Binding, Exchange, Hash, derive, prepared},
    probe::{Attempt, Class, Cost, Failure},
    tls::ClientCertificate,
};

/// A failed login, and the progress that it made.
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
    /// Returns true if the server rejects this way of connecting. The other way, with or without
    /// TLS, may then succeed.
    pub(super) fn is_rejected_by_hba(&self) -> bool {
        match &self.error {
            Error::Server(error) if !self.authenticated => {
                error.code == sqlstate::INVALID_AUTHORIZATION
            }
            _ => false,
        }
    }

    /// Returns true if the server is starting or stopping.
    pub(super) fn is_starting_up(&self) -> bool {
        matches!(&self.error, Error::Server(error) if error.is_starting())
    }

    /// Returns true if TLS failed. Under TLS 1.3 a refusal of our certificate arrives only now.
    pub(super) fn is_tls_failure(&self) -> bool {
        matches!(&self.error, Error::Failed(failure) if failure.class == Class::Tls)
    }
}

/// Writes the startup packet into the wire's output.
///
/// Only the necessary parameters are written, because a pooler rejects unknown ones. With
/// client_encoding, names and messages are readable in any database.
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
    let encoding = login.client_encoding.as_deref().unwrap_or("UTF8");
    let start = wire.output.len();
    frontend::startup_message(parameters.chain([("client_encoding", encoding)]), &mut wire.output)
        .map_err(unsendable)?;
    // The library writes version 3.0 after the length.
    let version = &mut wire.output[start + 4..start + 8];
    version.copy_from_slice(&login.protocol.asked.to_be_bytes());
    wire.least_protocol = login.protocol.least;
    Ok(())
}

/// The library rejects texts with a NUL.
fn unsendable(error: io::Error) -> Failure {
    Failure::new(Class::Config, format!("cannot be sent to a server: {error}"))
}

/// Logs in, up to ReadyForQuery. After AuthenticationOk the server still checks roles, rights and
/// limits.
pub(super) async fn login(
    attempt: &Attempt<'_>,
    access: &Access,
    server: &mut Server,
    mut wire: Wire,
) -> Result<Session, Refused> {
    let login = &access.login;
    let mut conversation = Conversation {
        login,
        cert_mode: access.encryption.cert_mode,
        credentials: server.credentials.as_ref(),
        derived: &mut server.derived,
        scram: None,
        bound: false,
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
    cert_mode: CertMode,
    credentials: Option<&'a Credentials>,
    derived: &'a mut Option<scram::Derived>,
    /// A SASL exchange that has not ended.
    scram: Option<Exchange>,
    /// The exchange is bound to the TLS connection.
    bound: bool,
    cost: Cost,
    /// The server sent AuthenticationOk.
    done: bool,
}

impl<'a> Conversation<'a> {
    async fn run(
        &mut self,
        attempt: &Attempt<'_>,
        wire: &mut Wire,
        about: &mut About,
    ) -> Result<(), Error> {
        let to = wire.endpoint.to_string();
        let (mut notices, mut messages) = (Notices::default(), 0);
        attempt.stage(format!("connected to {to}, but no answer to the startup packet"));
        startup(self.login, wire)?;
        wire.send().await?;
        loop {
            messages += 1;
            let_others_run(messages).await;
            match wire.receive().await? {
                Message::AuthenticationOk => {
                    if self.scram.is_some() {
                        return Err(broken(
                            "it ended SCRAM without proving that it knows the password",
                            wire,
                        )
                        .into());
                    }
                    self.check_bound(wire)?;
                    self.check_certificate(wire)?;
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
                Message::ParameterStatus(body) => {
                    note(about, &body);
                    notices.count(wire)?;
                }
                Message::NoticeResponse(_) | Message::NotificationResponse(_) => {
                    notices.count(wire)?;
                }
                request if !self.done => {
                    notices.count(wire)?;
                    self.answer(request, wire).await?;
                    attempt.stage(format!("connected to {to}, but no answer to the password"));
                    wire.send().await?;
                }
                _ => return Err(broken("a message out of turn", wire).into()),
            }
        }
    }

    /// Writes the reply to a request for authentication into the wire's output.
    async fn answer(&mut self, request: Message, wire: &mut Wire) -> Result<(), Failure> {
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
                self.begin_scram(&mechanisms, wire)
            }
            Message::AuthenticationSaslContinue(body) => {
                self.continue_scram(body.data(), wire).await
            }
            Message::AuthenticationSaslFinal(body) => {
                let exchange = self
                    .scram
                    .take()
                    .ok_or_else(|| broken("SCRAM ends that did not begin", wire))?;
                exchange.verify(body.data()).map_err(|message| {
                    Failure::new(Class::Auth, format!("{message} ({})", wire.endpoint))
                })
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

    /// Chooses one of the mechanisms and writes the first message of SCRAM.
    fn begin_scram(&mut self, mechanisms: &[String], wire: &mut Wire) -> Result<(), Failure> {
        let offers = |mechanism: &str| mechanisms.iter().any(|name| name == mechanism);
        let end_point = wire.end_point.clone().filter(|_| self.login.bind != Bind::Disable);
        let (mechanism, binding) = match end_point {
            Some(hash) if offers(SCRAM_SHA_256_PLUS) => {
                (SCRAM_SHA_256_PLUS, Binding::EndPoint(hash))
            }
            Some(_) => (SCRAM_SHA_256, Binding::NotOffered),
            None => (SCRAM_SHA_256, Binding::Unsupported),
        };
        if !offers(mechanism) {
            return Err(unsupported(&format!("SASL with {}", mechanisms.join(", ")), wire));
        }
        self.bound = mechanism == SCRAM_SHA_256_PLUS;
        self.check_method("scram-sha-256", wire)?;
        self.credentials(wire)?;
        let (exchange, first) =
            Exchange::begin(Hash::Sha256, "", binding).map_err(|message| broken(&message, wire))?;
        self.cost = Cost::Login;
        self.scram = Some(exchange);
        frontend::sasl_initial_response(mechanism, first.as_bytes(), &mut wire.output)
            .map_err(unsendable)
    }

    /// Writes the proof of the password for the server's challenge.
    async fn continue_scram(&mut self, challenge: &[u8], wire: &mut Wire) -> Result<(), Failure> {
        let credentials = self.credentials(wire)?;
        let exchange =
            self.scram.as_mut().ok_or_else(|| broken("SCRAM goes on that did not begin", wire))?;
        let challenge = exchange
            .challenge(challenge)
            .map_err(|message| broken(&format!("SCRAM: {message}"), wire))?;
        let keys = match credentials {
            Credentials::ScramKeys(keys) => keys.clone(),
            Credentials::Password(password) => {
                let password = prepared(password.reveal());
                derive(Hash::Sha256, self.derived, &challenge, &password).await?
            }
        };
        let last = exchange.answer(&challenge, &keys);
        frontend::sasl_response(last.as_bytes(), &mut wire.output).map_err(unsendable)
    }

    /// Under `channel_binding=require`, rejects everything but an exchange with channel binding.
    fn check_bound(&self, wire: &Wire) -> Result<(), Failure> {
        if self.bound || self.login.bind != Bind::Require {
            return Ok(());
        }
        let message = match wire.end_point {
            None if !wire.encrypted => "the connection has no TLS to bind the login to",
            None => "the server's certificate gives nothing to bind the login to",
            Some(_) => "the server does not bind the login to the TLS connection",
        };
        let message =
            format!("{message}, and channel_binding=require wants it ({})", wire.endpoint);
        Err(Failure::new(Class::Auth, message))
    }

    /// Under `sslcertmode=require`, checks that the server asked for our certificate and got it.
    fn check_certificate(&self, wire: &Wire) -> Result<(), Failure> {
        let message = match (self.cert_mode, wire.client_certificate) {
            (CertMode::Require, ClientCertificate::NotRequested) => {
                "the server did not ask for a client certificate"
            }
            (CertMode::Require, ClientCertificate::NotSent) => {
                "the server admitted us without a client certificate"
            }
            _ => return Ok(()),
        };
        let message = format!("{message}, and sslcertmode=require wants one ({})", wire.endpoint);
        Err(Failure::new(Class::Auth, message))
    }

    fn check_method(&self, method: &str, wire: &Wire) -> Result<(), Failure> {
        self.check_bound(wire)?;
        if self.login.require_auth.allows(method) {
            Ok(())
        } else {
            Err(self.not_allowed(method, wire))
        }
    }

    /// Returns the password, for a method that sends it or a hash of it.
    fn password(&mut self, method: &str, wire: &Wire) -> Result<&'a str, Failure> {
        self.check_method(method, wire)?;
        match self.credentials(wire)? {
            Credentials::Password(password) => {
                self.cost = self.cost.max(Cost::Login);
                Ok(password.reveal())
            }
            Credentials::ScramKeys(_) => {
                let message = format!(
                    "the server asks for a password by {method}, and scram_client_key serves \
                    scram-sha-256 alone"
                );
                Err(Failure::new(Class::Auth, format!("{message} ({})", wire.endpoint)))
            }
        }
    }

    /// Returns the password or the SCRAM keys. Their lack is retried, because pg_hba.conf may still
    /// change.
    fn credentials(&self, wire: &Wire) -> Result<&'a Credentials, Failure> {
        if let Some(credentials) = self.credentials {
            return Ok(credentials);
        }
        const HINT: &str = "give one in the URL (${file:/run/secrets/x} keeps it out of the text), \
            by the key password or passfile, by PGPASSWORD or in ~/.pgpass";
        let note =
            self.login.passfile_note.as_ref().map(|note| format!("; {note}")).unwrap_or_default();
        let message = format!(
            "the server asks for a password of {:?}, and none is given{note}",
            self.login.user
        );
        Err(Failure::new(Class::Auth, format!("{message} ({})", wire.endpoint)).hint(HINT))
    }

    fn not_allowed(&self, method: &str, wire: &Wire) -> Failure {
        let message = format!(
            "the server wants authentication by {method}, which require_auth does not allow"
        );
        Failure::new(Class::Auth, format!("{message} ({})", wire.endpoint))
    }
}

fn unsupported(method: &str, wire: &Wire) -> Failure {
    Failure::new(
        Class::Config,
        format!(
            "the server wants authentication by {method}, which is not supported ({})",
            wire.endpoint
        ),
    )
}

fn broken(message: &str, wire: &Wire) -> Failure {
    Failure::new(
        Class::Protocol,
        format!("PostgreSQL's protocol is broken: {message} ({})", wire.endpoint),
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
