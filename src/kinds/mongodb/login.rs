//! The login by each mechanism.
//!
//! Source: the drivers' specification "Authentication".

use md5::{Digest, Md5};

use super::{
    bson::Builder,
    failure::{code, reply_failure},
    message::{Reply, ask, odd},
    target::Login,
    uri::Mechanism,
};
use crate::{
    kinds::{
        scram::{self, Binding, Exchange, Hash, prepared},
        wire::Wire,
    },
    probe::{Class, Cost, Failure},
};

/// The user's name as `hello` takes it, to list the user's mechanisms.
pub(super) fn name_for_hello(login: &Login, database: &str) -> Option<String> {
    login.mechanism.is_none().then(|| format!("{database}.{}", login.user))
}

/// A login that has begun: the connection, the user, and the database that holds the user.
struct Session<'a> {
    wire: &'a mut Wire,
    login: &'a Login,
    database: &'a str,
}

/// Logs in a user of `database`. `offered` are the user's mechanisms, as far as the server lists
/// them.
pub(super) async fn log_in(
    wire: &mut Wire,
    login: &Login,
    database: &str,
    offered: &[String],
) -> Result<(), Failure> {
    // A server that lists no mechanisms knows only the old one.
    let best = if offered.iter().any(|name| name == Mechanism::ScramSha256.name()) {
        Mechanism::ScramSha256
    } else {
        Mechanism::ScramSha1
    };
    let mut session = Session { wire, login, database };
    match login.mechanism.unwrap_or(best) {
        Mechanism::Plain => {
            let payload = format!("\0{}\0{}", login.user, login.password.reveal());
            session.start(Mechanism::Plain, payload.as_bytes()).await.map(drop)
        }
        Mechanism::X509 => session.by_certificate().await,
        mechanism @ (Mechanism::ScramSha1 | Mechanism::ScramSha256) => {
            session.scram(mechanism).await
        }
    }
}

impl Session<'_> {
    async fn by_certificate(&mut self) -> Result<(), Failure> {
        let command = Builder::default().i32("authenticate", 1);
        let command = command.text("mechanism", Mechanism::X509.name());
        let command = match self.login.user.as_str() {
            "" => command,
            user => command.text("user", user),
        };
        self.succeed(command).await.map(drop)
    }

    async fn scram(&mut self, mechanism: Mechanism) -> Result<(), Failure> {
        let login = self.login;
        let (hash, password) = match mechanism {
            Mechanism::ScramSha1 => (Hash::Sha1, digested(login).into_bytes()),
            _ => (Hash::Sha256, prepared(login.password.reveal())),
        };
        let begun = Exchange::begin(hash, &login.user, Binding::Unsupported);
        let (mut exchange, first) = begun.map_err(|message| self.broken(&message))?;
        let reply = self.start(mechanism, first.as_bytes()).await?;
        let conversation = reply.document().number("conversationId").unwrap_or_default() as i32;
        let payload = reply.document().binary("payload").unwrap_or_default();
        let challenge = exchange.challenge(payload).map_err(|message| self.broken(&message))?;
        let keys = scram::derive_shared(hash, &login.derived, &challenge, &password).await?;
        let last = exchange.answer(&challenge, &keys);
        let mut reply = self.go_on(conversation, last.as_bytes()).await?;
        let proof = exchange.verify(reply.document().binary("payload").unwrap_or_default());
        proof.map_err(|message| self.wire.failure(Class::Auth, message))?;
        // Servers before 4.4 want one message more, which is empty.
        if !reply.document().is_true("done") {
            reply = self.go_on(conversation, b"").await?;
        }
        if reply.document().is_true("done") {
            Ok(())
        } else {
            Err(odd(self.wire, "a login without an end"))
        }
    }

    async fn start(&mut self, mechanism: Mechanism, payload: &[u8]) -> Result<Reply, Failure> {
        let options = Builder::default().bool("skipEmptyExchange", true);
        let command = Builder::default()
            .i32("saslStart", 1)
            .text("mechanism", mechanism.name())
            .binary("payload", payload)
            .document("options", options);
        self.succeed(command).await
    }

    async fn go_on(&mut self, conversation: i32, payload: &[u8]) -> Result<Reply, Failure> {
        let command = Builder::default().i32("saslContinue", 1);
        let command = command.i32("conversationId", conversation).binary("payload", payload);
        self.succeed(command).await
    }

    async fn succeed(&mut self, command: Builder) -> Result<Reply, Failure> {
        let reply = ask(self.wire, command, self.database).await?;
        match code(reply.document()) {
            None => Ok(reply),
            // The server logs the refusal.
            Some(_) => {
                Err(reply_failure(reply.document(), self.wire.endpoint()).cost(Cost::Logged))
            }
        }
    }

    fn broken(&self, message: &str) -> Failure {
        self.wire.failure(Class::Protocol, format_args!("SCRAM: {message}"))
    }
}

/// The password of SCRAM-SHA-1, which is a digest.
fn digested(login: &Login) -> String {
    let text = format!("{}:mongo:{}", login.user, login.password.reveal());
    Md5::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
