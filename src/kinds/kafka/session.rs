//! The conversation with one broker: versions, login, metadata, and a word with the brokers at the
//! advertised addresses.

use std::{
    future::{Future, poll_fn},
    task::Poll,
    time::Duration,
};

use tokio::time::timeout;

use super::{
    failure::code_failure,
    message::{Api, Arguments, Fields, odd, receive, receive_bare},
    metadata::Metadata,
    target::{Login, Mechanism, Target},
};
use crate::{
    connect::Endpoint,
    kinds::{
        scram::{self, Binding, Exchange, Hash},
        wire::Wire,
    },
    probe::{Attempt, Class, Cost, Failure, compute},
    text::{one_line, short_time},
};

/// The versions of Metadata that [`Metadata::parse`] reads. Before version 4 a question for a topic
/// creates it.
const METADATA: (i16, i16) = (1, 8);
/// The first version of Metadata that can be asked for a topic without creating it.
const ASKS_ONLY: i16 = 4;
/// The most advertised addresses that are asked in one attempt.
const MAX_ADVERTISED: usize = 16;
/// The most advertised addresses that are asked at once.
const AT_ONCE: usize = 4;
/// The most kinds of request in a list of versions.
const MAX_APIS: usize = 1000;
/// The longest part of a message that is the server's own, in characters.
const MAX_WORDS: usize = 200;

/// Asks the broker at `endpoint` for everything that `target` wants. Returns the detail of success.
pub(super) async fn ask(
    attempt: &Attempt<'_>,
    target: &Target,
    endpoint: &Endpoint,
) -> Result<String, Failure> {
    let wire = Wire::open(attempt, endpoint, target.tls.as_ref(), "Kafka").await?;
    let mut session = Session { target, wire, sent: 0, versions: None };
    let metadata = match session.ask(attempt).await {
        Ok(metadata) => metadata,
        Err(failure) => return Err(session.explain(failure)),
    };
    session.wire.close().await;
    let costly = |failure: Failure| match target.login {
        Some(_) => failure.cost(Cost::Login),
        None => failure,
    };
    metadata.check(&target.wanted, endpoint).map_err(costly)?;
    if target.advertised {
        reach(attempt, target, &metadata, endpoint).await.map_err(costly)?;
    }
    Ok(metadata.detail(&target.wanted))
}

struct Session<'a> {
    target: &'a Target,
    wire: Wire,
    /// The number of requests so far.
    sent: i32,
    /// The versions that the broker supports, once it has replied.
    versions: Option<Versions>,
}

/// The versions of the requests that matter, oldest and newest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Versions {
    metadata: Option<(i16, i16)>,
    /// The login's messages are requests, not bare bytes.
    authenticate: bool,
}

impl Session<'_> {
    async fn ask(&mut self, attempt: &Attempt<'_>) -> Result<Metadata, Failure> {
        let versions = self.versions().await?;
        if let Some(login) = &self.target.login {
            attempt
                .stage(format!("connected to {}, but no end of the login", self.wire.endpoint()));
            self.log_in(login, versions.authenticate).await?;
        }
        attempt.stage(format!("connected to {}, but no metadata", self.wire.endpoint()));
        let Some((oldest, newest)) = versions.metadata else {
            let message = "the port serves no metadata";
            return Err(self
                .wire
                .failure(Class::Protocol, message)
                .hint("a controller's port does not: clients need a broker's listener"));
        };
        let version = newest.min(METADATA.1);
        if version < oldest.max(METADATA.0) {
            let message =
                format!("the broker's metadata has the versions {oldest} to {newest} only");
            return Err(self.wire.failure(Class::Protocol, message));
        }
        self.metadata(version).await
    }

    async fn request(
        &mut self,
        api: Api,
        version: i16,
        arguments: Arguments,
    ) -> Result<bytes::BytesMut, Failure> {
        self.sent += 1;
        let mut out = Vec::new();
        arguments.put(&mut out, api, version, self.sent);
        self.wire.send(&out).await?;
        receive(&mut self.wire, self.sent).await
    }

    /// Every broker knows version 0, which needs no login.
    async fn versions(&mut self) -> Result<Versions, Failure> {
        let body = self.request(Api::Versions, 0, Arguments::default()).await?;
        let read = read_versions(&body);
        let (error, versions) = read.ok_or_else(|| odd(&self.wire, "a list of versions"))?;
        if error != 0 {
            return Err(code_failure(error, "the list of versions", self.wire.endpoint()));
        }
        self.versions = Some(versions);
        Ok(versions)
    }

    async fn log_in(&mut self, login: &Login, is_framed: bool) -> Result<(), Failure> {
        let mechanism = login.mechanism.name();
        let version = i16::from(is_framed);
        let arguments = Arguments::default().text(mechanism);
        let body = self.request(Api::SaslHandshake, version, arguments).await?;
        let (error, offered) =
            read_handshake(&body).ok_or_else(|| odd(&self.wire, "the start of a login"))?;
        match error {
            0 => {}
            33 => {
                let message =
                    format!("the broker offers no {mechanism} login, it offers: {offered}");
                return Err(self.wire.failure(Class::Auth, message));
            }
            code => return Err(code_failure(code, "login", self.wire.endpoint())),
        }
        match login.mechanism {
            Mechanism::Plain => {
                let token = format!("\0{}\0{}", login.user, login.password.reveal());
                self.authenticate(token.as_bytes(), is_framed).await.map(drop)
            }
            Mechanism::Scram(hash) => self.scram(login, hash, is_framed).await,
        }
    }

    async fn scram(&mut self, login: &Login, hash: Hash, is_framed: bool) -> Result<(), Failure> {
        let begun = Exchange::begin(hash, &login.user, Binding::Unsupported);
        let (mut exchange, first) =
            begun.map_err(|message| self.wire.failure(Class::Protocol, message))?;
        let reply = self.authenticate(first.as_bytes(), is_framed).await?;
        let challenge = exchange.challenge(&reply).map_err(|message| {
            self.wire.failure(Class::Protocol, format_args!("SCRAM: {message}"))
        })?;
        // Kafka's clients send the password as it is, without SASLprep (`ScramFormatter`).
        let password = login.password.reveal().as_bytes();
        let keys = scram::derive_shared(hash, &login.derived, &challenge, password).await?;
        let last = exchange.answer(&challenge, &keys);
        let reply = self.authenticate(last.as_bytes(), is_framed).await?;
        exchange.verify(&reply).map_err(|message| self.wire.failure(Class::Auth, message))
    }

    /// Sends one message of the login and returns the broker's. Brokers before 1.0 frame neither.
    async fn authenticate(&mut self, token: &[u8], is_framed: bool) -> Result<Vec<u8>, Failure> {
        let arguments = Arguments::default().bytes(token);
        if !is_framed {
            let mut out = (token.len() as u32).to_be_bytes().to_vec();
            out.extend(token);
            self.wire.send(&out).await?;
            return match receive_bare(&mut self.wire).await {
                Ok(reply) => Ok(reply.to_vec()),
                Err(failure) if failure.class == Class::Connect => {
                    let message = "the broker closed the connection at the login";
                    Err(self
                        .wire
                        .failure(Class::Auth, message)
                        .hint("wrong password, or no such user yet"))
                }
                Err(failure) => Err(failure),
            };
        }
        let body = self.request(Api::SaslAuthenticate, 0, arguments).await?;
        let mut fields = Fields(&body);
        let read = (fields.i16(), fields.text(), fields.bytes());
        let (Some(error), Some(text), Some(reply)) = read else {
            return Err(odd(&self.wire, "a login's answer"));
        };
        if error == 0 {
            return Ok(reply.to_vec());
        }
        let text = one_line(&String::from_utf8_lossy(text), MAX_WORDS);
        let step = if text.is_empty() { "login" } else { &text };
        Err(code_failure(error, step, self.wire.endpoint()))
    }

    async fn metadata(&mut self, version: i16) -> Result<Metadata, Failure> {
        let topics = &self.target.wanted.topics;
        // An old broker creates a topic that a request names. The request for all topics names
        // none.
        let mut arguments = if version < ASKS_ONLY && !topics.is_empty() {
            Arguments::default().i32(-1)
        } else {
            topics
                .iter()
                .fold(Arguments::default().i32(topics.len() as i32), |all, name| all.text(name))
        };
        if version >= ASKS_ONLY {
            arguments = arguments.bool(false);
        }
        if version >= 8 {
            arguments = arguments.bool(false).bool(false);
        }
        let body = self.request(Api::Metadata, version, arguments).await?;
        let (size, topics) = (body.len(), topics.clone());
        compute(size, move || Metadata::parse(&body, version, &topics))
            .await?
            .ok_or_else(|| odd(&self.wire, "metadata"))
    }

    /// Adds a possible meaning of a closed connection: a broker closes without a message.
    fn explain(&self, failure: Failure) -> Failure {
        if failure.class != Class::Connect {
            return failure;
        }
        match (&self.versions, &self.target.tls, &self.target.login) {
            (None, None, _) if !self.wire.heard() => failure.hint(
                "a port that wants TLS closes so: it is kafkas: then; a broker before 0.10 too",
            ),
            (Some(_), _, None) => {
                failure.hint("a listener that wants a login closes so: user, password and sasl")
            }
            _ => failure,
        }
    }
}

/// The error and the versions in a response to ApiVersions.
fn read_versions(body: &[u8]) -> Option<(i16, Versions)> {
    let mut fields = Fields(body);
    let (error, mut versions) = (fields.i16()?, Versions::default());
    for _ in 0..fields.count().filter(|count| *count <= MAX_APIS)? {
        let (api, oldest, newest) = (fields.i16()?, fields.i16()?, fields.i16()?);
        match api {
            api if api == Api::Metadata as i16 => versions.metadata = Some((oldest, newest)),
            api if api == Api::SaslAuthenticate as i16 => versions.authenticate = true,
            _ => {}
        }
    }
    Some((error, versions))
}

/// The error and the mechanisms in a response to SaslHandshake.
fn read_handshake(body: &[u8]) -> Option<(i16, String)> {
    let mut fields = Fields(body);
    let (error, mut names) = (fields.i16()?, Vec::new());
    for _ in 0..fields.count().filter(|count| *count <= MAX_APIS)? {
        names.push(String::from_utf8_lossy(fields.text()?).into_owned());
    }
    Some((error, one_line(&names.join(", "), MAX_WORDS)))
}

/// Asks the brokers that clients of the topics need, at their advertised addresses: all leaders.
/// Without a topic, any one broker is enough.
async fn reach(
    attempt: &Attempt<'_>,
    target: &Target,
    metadata: &Metadata,
    asked: &Endpoint,
) -> Result<(), Failure> {
    let needed = metadata.needed();
    let any = needed.are_none();
    let mut brokers: Vec<_> =
        metadata.brokers.iter().filter(|(id, _)| any || needed.contain(*id)).collect();
    if any && brokers.iter().any(|(_, address)| address == asked) {
        return Ok(());
    }
    brokers.retain(|(_, address)| address != asked);
    brokers.truncate(MAX_ADVERTISED);
    // Where one is enough, the others are left alone: a handshake that is cut may be logged.
    let at_once = if any { 1 } else { AT_ONCE };
    let (rounds, mut first) = (brokers.len().div_ceil(at_once), None);
    for (round, some) in brokers.chunks(at_once).enumerate() {
        let bound = attempt.remaining().mul_f64(0.9) / (rounds - round) as u32;
        match meet_all(attempt, target, some, bound).await {
            Ok(()) if any => return Ok(()),
            Ok(()) => {}
            Err(failure) if any && failure.class != Class::Local => {
                first.get_or_insert(failure);
            }
            Err(failure) => return Err(failure),
        }
    }
    first.map_or(Ok(()), Err)
}

/// Asks `brokers` at once, for at most `bound`. Returns the first failure.
async fn meet_all(
    attempt: &Attempt<'_>,
    target: &Target,
    brokers: &[&(i32, Endpoint)],
    bound: Duration,
) -> Result<(), Failure> {
    let meeting = |(id, address): &(i32, Endpoint)| {
        let (id, address) = (*id, address.clone());
        Box::pin(async move {
            let met = timeout(bound, meet(attempt, target, &address)).await;
            let met = met.unwrap_or_else(|_| {
                let message = format!("no answer within {}", short_time(bound));
                Err(Failure::new(Class::Timeout, message))
            });
            met.map_err(|failure| named(id, &address, failure))
        })
    };
    let mut meetings: Vec<_> = brokers.iter().map(|broker| meeting(broker)).collect();
    poll_fn(|context| {
        let mut failed = None;
        meetings.retain_mut(|meeting| match meeting.as_mut().poll(context) {
            Poll::Pending => true,
            Poll::Ready(met) => {
                failed = failed.take().or(met.err());
                false
            }
        });
        match failed {
            Some(failure) => Poll::Ready(Err(failure)),
            None if meetings.is_empty() => Poll::Ready(Ok(())),
            None => Poll::Pending,
        }
    })
    .await
}

/// Begins a conversation with the broker at an advertised address. A proxy may accept a connection
/// in place of a broker that is not there.
async fn meet(attempt: &Attempt<'_>, target: &Target, address: &Endpoint) -> Result<(), Failure> {
    let wire = Wire::open(attempt, address, target.tls.as_ref(), "Kafka").await?;
    let mut session = Session { target, wire, sent: 0, versions: None };
    match session.versions().await {
        Ok(_) => {
            session.wire.close().await;
            Ok(())
        }
        Err(failure) => Err(session.explain(failure)),
    }
}

/// Adds to the failure which broker advertises `address`.
fn named(id: i32, address: &Endpoint, failure: Failure) -> Failure {
    if failure.class == Class::Local {
        return failure;
    }
    let outcome = match failure.class {
        Class::Dns | Class::Connect | Class::Timeout => "which this host does not reach",
        _ => "which is no broker for clients",
    };
    let message = format!("broker {id} advertises {address}, {outcome}: {}", failure.message);
    Failure::new(failure.class, message)
        .cost(Cost::Answer)
        .hint("clients use that address: advertised.listeners must name one that this host reaches")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_and_mechanisms_are_read() {
        let body = b"\0\0\0\0\0\x03\0\x03\0\0\0\x09\0\x12\0\0\0\x03\0\x24\0\0\0\x02";
        let versions = Versions { metadata: Some((0, 9)), authenticate: true };
        assert_eq!(read_versions(body), Some((0, versions)));
        assert_eq!(read_versions(b"\0\x23\0\0\0\0"), Some((35, Versions::default())));
        assert_eq!(read_versions(b"\0\0\x7f\xff\xff\xff"), None);
        assert_eq!(read_versions(&body[..20]), None);
        let body = b"\0\x21\0\0\0\x02\0\x05PLAIN\0\x06GSSAPI";
        assert_eq!(read_handshake(body), Some((33, "PLAIN, GSSAPI".to_owned())));
    }
}
