//! From a connection to a session: greeting, TLS, the answer of a plugin.
//!
//! A connection that ends between greeting and login counts towards `max_connect_errors`, which
//! blocks the whole host. Every attempt that reads a greeting therefore goes on to a login, even if
//! its outcome is known.

use super::{
    failure::{ACCESS_DENIED, Error, Phase, ServerError},
    greeting::{Greeting, capability},
    packet::{Fields, Packets, put_string},
    params::Mode,
    plugins::{Plugin, with_nul},
    rsa::seal,
    session::Session,
    target::{Server, Target},
};
use crate::{
    connect::Endpoint,
    kinds::wire::Wire,
    probe::{Attempt, Class, Cost, Failure, compute},
    secret::Secret,
    text::one_line,
};

/// utf8mb4_general_ci, which every server has (MySQL manual, "Supported Character Sets").
const UTF8MB4: u8 = 45;
const MAX_PACKET: u32 = 1 << 24;
/// The most packets of one authentication.
const MAX_ROUNDS: usize = 16;

/// Opens a session on one server.
pub(super) async fn log_in(
    attempt: &Attempt<'_>,
    target: &Target,
    server: &Server,
) -> Result<Session, Failure> {
    let endpoint = &server.endpoint;
    let stream = attempt.connect(endpoint).await?;
    attempt.stage(format!("connected to {endpoint}, but no greeting of MySQL"));
    let mut packets = Packets::new(Wire::new(stream, endpoint.clone()));
    let greeting = greet(&mut packets).await?;
    let has_tls = greeting.has(capability::SSL) && matches!(endpoint, Endpoint::Tcp(..));
    let mode = target.encryption.mode;
    if mode >= Mode::Required && !has_tls && matches!(endpoint, Endpoint::Tcp(..)) {
        decline(attempt, packets, capabilities(target, &greeting)).await;
        let message =
            format!("the server does not offer TLS, and ssl-mode={} wants it", mode.word());
        return Err(Failure::new(Class::Tls, format!("{message} ({endpoint})")).cost(Cost::Logged));
    }
    let encrypted = has_tls && mode != Mode::Disabled;
    let capabilities =
        capabilities(target, &greeting) | if encrypted { capability::SSL } else { 0 };
    if encrypted {
        packets = encrypt(attempt, target, server, packets, capabilities).await?;
    }
    let mut login = Login {
        attempt,
        target,
        greeting: &greeting,
        capabilities,
        packets,
        is_private: encrypted || matches!(endpoint, Endpoint::Unix(_)),
    };
    attempt.stage(format!("connected to {endpoint}, but no answer to the login"));
    match login.run().await {
        Ok(()) => Ok(Session::new(login.packets.logged_in(), &greeting)),
        Err(Error::Failed(failure)) => Err(failure),
        Err(Error::Server(error)) => {
            let failure = error.failure(Phase::Login, endpoint);
            Err(match error.code {
                ACCESS_DENIED if has_tls && !encrypted => {
                    failure.hint("wrong password, no such user yet, or the server wants TLS for it")
                }
                ACCESS_DENIED if target.password.is_none() => {
                    failure.hint("no password was given, or the user does not exist yet")
                }
                _ => failure,
            })
        }
    }
}

/// The first packet: a greeting, or the reason why there is none.
async fn greet(packets: &mut Packets) -> Result<Greeting, Failure> {
    let payload = packets.receive().await?;
    match payload[0] {
        0xff => {
            let error = ServerError::parse(&payload);
            Err(error.failure(Phase::Login, packets.wire.endpoint()))
        }
        _ => Greeting::parse(&payload).ok_or_else(|| packets.garbage("not MySQL")),
    }
}

fn capabilities(target: &Target, greeting: &Greeting) -> u32 {
    let optional = capability::PLUGIN_AUTH | capability::LENENC_AUTH | capability::DEPRECATE_EOF;
    let database = if target.database.is_some() { capability::CONNECT_WITH_DB } else { 0 };
    let always = capability::LONG_PASSWORD
        | capability::PROTOCOL_41
        | capability::TRANSACTIONS
        | capability::SECURE_CONNECTION;
    always | database | (optional & greeting.capabilities)
}

/// The common beginning of SSLRequest and of the login.
fn head(capabilities: u32) -> Vec<u8> {
    let mut out = capabilities.to_le_bytes().to_vec();
    out.extend(MAX_PACKET.to_le_bytes());
    out.push(UTF8MB4);
    out.extend([0; 23]);
    out
}

/// Ends a login that must not succeed: without user, database and password.
async fn decline(attempt: &Attempt<'_>, mut packets: Packets, capabilities: u32) {
    let mut out = head(capabilities);
    // The user and the length of the answer; then the database and the plugin.
    out.extend(b"\0\0");
    if capabilities & capability::CONNECT_WITH_DB != 0 {
        out.push(0);
    }
    if capabilities & capability::PLUGIN_AUTH != 0 {
        out.extend(Plugin::Native.name().as_bytes());
        out.push(0);
    }
    let ended = async {
        packets.send(&out).await?;
        for _ in 0..MAX_ROUNDS {
            match packets.receive().await?[0] {
                0 => return packets.command(1, "").await,
                0xff => return Ok(()),
                // Another plugin: there is no password for it either.
                _ => packets.send(&[]).await?,
            }
        }
        Ok(())
    };
    let _ = tokio::time::timeout(attempt.remaining() / 4, ended).await;
    packets.wire.close().await;
}

/// Asks for TLS; nothing else is sent in clear.
///
/// MariaDB takes the capabilities from this packet alone. One that is missing here is off in the
/// session, e.g. the database of the login.
async fn encrypt(
    attempt: &Attempt<'_>,
    target: &Target,
    server: &Server,
    mut packets: Packets,
    capabilities: u32,
) -> Result<Packets, Failure> {
    let endpoint = packets.wire.endpoint().clone();
    if !packets.wire.received().is_empty() {
        return Err(packets.odd("bytes behind the greeting"));
    }
    packets.send(&head(capabilities)).await?;
    let sequence = packets.sequence;
    let stream = packets.wire.into_stream();
    let tls = target.encryption.tls(&endpoint)?;
    let shaken = tls.handshake_to_its_end(attempt, &server.host, stream).await;
    // The server logs a connection that ends here.
    let (stream, refusal) = shaken.map_err(|failure| failure.cost(Cost::Logged))?;
    let packets = Packets::over(Wire::new(stream, endpoint), sequence);
    match refusal {
        None => Ok(packets),
        Some(refusal) => {
            decline(attempt, packets, capabilities).await;
            Err(refusal.cost(Cost::Logged))
        }
    }
}

struct Login<'a> {
    attempt: &'a Attempt<'a>,
    target: &'a Target,
    greeting: &'a Greeting,
    /// The capabilities in the login, and in the request for TLS before it.
    capabilities: u32,
    packets: Packets,
    /// The connection is encrypted or local: nobody on the way can read it.
    is_private: bool,
}

impl Login<'_> {
    fn password(&self) -> &str {
        self.target.password.as_ref().map(Secret::reveal).unwrap_or_default()
    }

    /// The first answer of a plugin. Over a protected channel `sha256_password` takes the password
    /// at once.
    fn answer(&self, plugin: Plugin, nonce: &[u8]) -> Vec<u8> {
        match plugin {
            Plugin::Sha256 if self.is_private && !self.password().is_empty() => {
                with_nul(self.password())
            }
            plugin => plugin.answer(self.password(), nonce),
        }
    }

    async fn run(&mut self) -> Result<(), Error> {
        // A plugin that this client lacks is named by the server when it asks for it by AuthSwitch.
        let mut plugin = match Plugin::named(&self.greeting.plugin) {
            Some(Plugin::Clear) | None => Plugin::Native,
            Some(plugin) => plugin,
        };
        let mut nonce = self.greeting.nonce.clone();
        let mut out = head(self.capabilities);
        out.extend(self.target.user.as_bytes());
        out.push(0);
        put_string(&mut out, &self.answer(plugin, &nonce));
        if let Some(database) = &self.target.database {
            out.extend(database.as_bytes());
            out.push(0);
        }
        if self.capabilities & capability::PLUGIN_AUTH != 0 {
            out.extend(plugin.name().as_bytes());
            out.push(0);
        }
        self.packets.send(&out).await?;
        for _ in 0..MAX_ROUNDS {
            let reply = self.packets.receive().await?;
            match reply[0] {
                0 => return Ok(()),
                0xff => return Err(ServerError::parse(&reply).into()),
                0xfe if reply.len() > 1 => {
                    let mut fields = Fields(&reply[1..]);
                    let name = String::from_utf8_lossy(fields.until_nul()).into_owned();
                    plugin = match self.switched(&name) {
                        Ok(plugin) => plugin,
                        Err(refusal) => return Err(self.give_up(refusal).await),
                    };
                    nonce = fields.0.strip_suffix(b"\0").unwrap_or(fields.0).to_vec();
                    let answer = self.answer(plugin, &nonce);
                    self.packets.send(&answer).await?;
                }
                0xfe => {
                    let refusal = self.unsupported("mysql_old_password");
                    return Err(self.give_up(refusal).await);
                }
                1 => self.more(plugin, &reply[1..], &nonce).await?,
                _ => {
                    return Err(self
                        .packets
                        .odd("an answer to the login of an unknown sort")
                        .into());
                }
            }
        }
        Err(self.packets.odd("a login without an end").into())
    }

    /// Answers without a password, so that the server ends the login itself. A connection that just
    /// ends counts towards the block of the host.
    async fn give_up(&mut self, refusal: Failure) -> Error {
        let ended = async {
            self.packets.send(&[]).await?;
            match self.packets.receive().await?[0] {
                0 => self.packets.command(1, "").await,
                _ => Ok(()),
            }
        };
        let _ = tokio::time::timeout(self.attempt.remaining() / 4, ended).await;
        refusal.into()
    }

    /// Handles a server's request for another plugin.
    fn switched(&self, name: &str) -> Result<Plugin, Failure> {
        let plugin = Plugin::named(name).ok_or_else(|| self.unsupported(name))?;
        // Any server could ask for the password in clear. Only a verified server receives it.
        let is_trusted = self.is_private && self.target.encryption.proves_server(self.endpoint());
        match plugin {
            Plugin::Clear if !is_trusted => Err(self
                .packets
                .wire
                .failure(
                    Class::Auth,
                    "the server asks for the password in clear (mysql_clear_password)",
                )
                .hint(
                    "given only over TLS with ssl-mode=VERIFY_CA or VERIFY_IDENTITY, or on a \
                    socket",
                )),
            plugin => Ok(plugin),
        }
    }

    /// AuthMoreData: `caching_sha2_password` has the user in its cache (3) or wants the password
    /// (4).
    async fn more(&mut self, plugin: Plugin, data: &[u8], nonce: &[u8]) -> Result<(), Error> {
        match (plugin, data) {
            (Plugin::CachingSha2, [3]) => Ok(()),
            (Plugin::CachingSha2, [4]) if self.is_private => {
                let password = with_nul(self.password());
                Ok(self.packets.send(&password).await?)
            }
            (Plugin::CachingSha2, [4]) => Ok(self.packets.send(&[2]).await?),
            (Plugin::Sha256, [..]) if self.is_private => {
                let password = with_nul(self.password());
                Ok(self.packets.send(&password).await?)
            }
            // Returns the server's public key, which seals the password on an unencrypted
            // connection.
            (Plugin::CachingSha2 | Plugin::Sha256, pem) => {
                let (password, nonce, pem) =
                    (self.password().to_owned(), nonce.to_vec(), pem.to_vec());
                // The arithmetic of a long key takes milliseconds.
                let sealed = compute(usize::MAX, move || seal(&password, &nonce, &pem)).await?;
                let sealed =
                    sealed.ok_or_else(|| self.packets.odd("a public key that cannot be read"))?;
                Ok(self.packets.send(&sealed).await?)
            }
            _ => Err(self.packets.odd("more than its plugin has to say").into()),
        }
    }

    fn endpoint(&self) -> &Endpoint {
        self.packets.wire.endpoint()
    }

    fn unsupported(&self, plugin: &str) -> Failure {
        let plugin = one_line(plugin, 60);
        let message =
            format!("the server wants the authentication plugin {plugin}, which this client lacks");
        // A server asks a user that does not exist for the plugin of some other user.
        let failure = self.packets.wire.failure(Class::Auth, message).cost(Cost::Logged);
        failure.hint("the user has that plugin, or does not exist yet")
    }
}
