//! The client's side of SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677).
//!
//! postgres-protocol has SCRAM too, but refuses more than 100,000 rounds, computes them on the
//! runtime's thread and accepts no keys in place of a password.

use std::{
    io,
    sync::{Arc, Weak},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use ring::{
    digest::{SHA256, digest},
    hmac::{self, HMAC_SHA256},
    rand::{SecureRandom, SystemRandom},
};
use tokio::sync::oneshot;

use crate::{
    probe::{Failure, blocking::on_thread},
    secret::Secret,
};

/// The most rounds that a server may ask for. OWASP recommends 600,000, which take some tenths of a
/// second.
pub(super) const MAX_ROUNDS: u32 = 5_000_000;

/// The most rounds on the runtime's own thread: some milliseconds, and twice PostgreSQL's default.
const ROUNDS_AT_ONCE: u32 = 8_192;

/// The rounds between two checks that the attempt still needs the result.
const ROUNDS_BETWEEN_LOOKS: u32 = 1_024;

/// The keys that prove knowledge of the password, one for each side.
#[derive(Clone)]
pub(super) struct Keys {
    /// `ClientKey` of RFC 5802.
    pub(super) client: [u8; 32],
    /// `ServerKey` of RFC 5802.
    pub(super) server: [u8; 32],
}

impl Keys {
    fn of(salted: &[u8; 32]) -> Self {
        let key = |name: &[u8]| bytes(sign(salted, name));
        Self { client: key(b"Client Key"), server: key(b"Server Key") }
    }
}

/// The keys of one salt and number of rounds. Kept from attempt to attempt.
pub(super) struct Derived {
    salt: Vec<u8>,
    rounds: u32,
    state: State,
}

enum State {
    Known(Keys),
    /// A thread computes them. An attempt that is cut leaves the work to the next one.
    Pending {
        salted: oneshot::Receiver<[u8; 32]>,
        /// Ends the thread's work when it is dropped.
        _wanted: Arc<()>,
    },
}

/// The binding of a login to its TLS connection (RFC 5802, section 6).
pub(super) enum Binding {
    /// The connection has nothing to bind to.
    Unsupported,
    /// We could bind, but the server offers no binding. A server that did offer one thus detects
    /// that its offer was removed.
    NotOffered,
    /// `tls-server-end-point`: the hash of the server's certificate.
    EndPoint(Vec<u8>),
}

impl Binding {
    fn header(&self) -> &'static str {
        match self {
            Binding::Unsupported => "n,,",
            Binding::NotOffered => "y,,",
            Binding::EndPoint(_) => "p=tls-server-end-point,,",
        }
    }
}

/// An exchange that has begun: the first message is sent.
pub(super) struct Exchange {
    binding: Binding,
    nonce: String,
    /// The signature that proves that the server knows the password; set by [`Exchange::answer`].
    expected: Option<hmac::Tag>,
}

/// The challenge in the server's first message.
pub(super) struct Challenge {
    text: String,
    nonce: String,
    salt: Vec<u8>,
    rounds: u32,
}

impl Exchange {
    /// Begins an exchange and returns the client's first message.
    pub(super) fn begin(binding: Binding) -> Result<(Self, String), String> {
        let mut random = [0; 18];
        SystemRandom::new().fill(&mut random).map_err(|_| "no random numbers")?;
        Ok(Self::with_nonce(binding, STANDARD.encode(random)))
    }

    fn with_nonce(binding: Binding, nonce: String) -> (Self, String) {
        let first = format!("{}n=,r={nonce}", binding.header());
        (Self { binding, nonce, expected: None }, first)
    }

    /// Reads the server's first message.
    pub(super) fn challenge(&self, message: &[u8]) -> Result<Challenge, String> {
        let text = std::str::from_utf8(message).map_err(|_| "the challenge is not UTF-8")?;
        let mut fields = text.split(',');
        let mut field = |name: &str| {
            let field = fields.next().and_then(|field| field.strip_prefix(name));
            field.ok_or_else(|| format!("the challenge lacks {name}"))
        };
        let (nonce, salt, rounds) = (field("r=")?, field("s=")?, field("i=")?);
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err("the challenge has another nonce".to_owned());
        }
        let salt = STANDARD.decode(salt).map_err(|_| "the challenge's salt is not Base64")?;
        let rounds = rounds.parse().ok().filter(|rounds| *rounds > 0);
        let rounds: u32 = rounds.ok_or("the challenge's number of rounds is not one")?;
        if rounds > MAX_ROUNDS {
            return Err(format!(
                "the server asks for {rounds} rounds, and afterall computes at most {MAX_ROUNDS}"
            ));
        }
        Ok(Challenge { text: text.to_owned(), nonce: nonce.to_owned(), salt, rounds })
    }

    /// The client's last message.
    pub(super) fn answer(&mut self, challenge: &Challenge, keys: &Keys) -> String {
        let mut bound = self.binding.header().as_bytes().to_vec();
        if let Binding::EndPoint(hash) = &self.binding {
            bound.extend_from_slice(hash);
        }
        let bare = format!("c={},r={}", STANDARD.encode(bound), challenge.nonce);
        let signed = format!("n=,r={},{},{bare}", self.nonce, challenge.text);
        let stored = digest(&SHA256, &keys.client);
        let mut proof = keys.client;
        for (byte, other) in proof.iter_mut().zip(sign(stored.as_ref(), signed.as_bytes()).as_ref())
        {
            *byte ^= other;
        }
        self.expected = Some(sign(&keys.server, signed.as_bytes()));
        format!("{bare},p={}", STANDARD.encode(proof))
    }

    /// Returns true if the server's last message proves that it knows the password.
    pub(super) fn is_proved_by(&self, message: &[u8]) -> bool {
        let Some(expected) = &self.expected else { return false };
        let signature = message.strip_prefix(b"v=").and_then(|text| STANDARD.decode(text).ok());
        // The time of this comparison is useful only to a server that already knows the password.
        signature.is_some_and(|signature| signature == expected.as_ref())
    }
}

/// The keys of `password`, from `known` where that is for the same salt.
///
/// Many rounds are computed on a thread. An attempt that is cut does not end them: a slow machine
/// would never be done. Another salt does, so that a server cannot have more than one thread at
/// work.
///
/// # Errors
/// Where no thread can be started.
pub(super) async fn derive(
    known: &mut Option<Derived>,
    challenge: &Challenge,
    password: &Secret,
) -> Result<Keys, Failure> {
    let (salt, rounds) = (&challenge.salt, challenge.rounds);
    let derived = match known {
        Some(derived) if (derived.rounds, &derived.salt) == (rounds, salt) => derived,
        _ => known.insert(begin(salt, rounds, &prepared(password.reveal()))?),
    };
    let salted = match &mut derived.state {
        State::Known(keys) => return Ok(keys.clone()),
        State::Pending { salted, .. } => salted.await,
    };
    let Ok(salted) = salted else {
        *known = None;
        return Err(Failure::local(&io::ErrorKind::BrokenPipe.into(), "a thread was lost"));
    };
    let keys = Keys::of(&salted);
    derived.state = State::Known(keys.clone());
    Ok(keys)
}

fn begin(salt: &[u8], rounds: u32, password: &[u8]) -> Result<Derived, Failure> {
    let wanted = Arc::new(());
    let still_wanted = Arc::downgrade(&wanted);
    let state = if rounds <= ROUNDS_AT_ONCE {
        State::Known(Keys::of(&salted(password, salt, rounds, &still_wanted)))
    } else {
        let (sender, receiver) = oneshot::channel();
        let (salt, password) = (salt.to_vec(), password.to_vec());
        let work = move || {
            let _ = sender.send(salted(&password, &salt, rounds, &still_wanted));
        };
        on_thread(work).map_err(|error| Failure::local(&error, "starting a thread"))?;
        State::Pending { salted: receiver, _wanted: wanted }
    };
    Ok(Derived { salt: salt.to_vec(), rounds, state })
}

/// `SaltedPassword` of RFC 5802: PBKDF2 with HMAC-SHA-256. Ends early if the result is no longer
/// needed.
///
/// ring has PBKDF2 too, but its loop cannot be ended.
fn salted(password: &[u8], salt: &[u8], rounds: u32, wanted: &Weak<()>) -> [u8; 32] {
    let key = hmac::Key::new(HMAC_SHA256, password);
    let mut last = bytes(hmac::sign(&key, &[salt, &[0, 0, 0, 1]].concat()));
    let mut sum = last;
    for round in 1..rounds {
        if round % ROUNDS_BETWEEN_LOOKS == 0 && wanted.strong_count() == 0 {
            return sum;
        }
        last = bytes(hmac::sign(&key, &last));
        for (byte, other) in sum.iter_mut().zip(last) {
            *byte ^= other;
        }
    }
    sum
}

fn sign(key: &[u8], message: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(HMAC_SHA256, key), message)
}

fn bytes(tag: hmac::Tag) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(tag.as_ref());
    bytes
}

/// The password after SASLprep (RFC 4013); as it is where SASLprep forbids it, as in libpq.
fn prepared(password: &str) -> Vec<u8> {
    match stringprep::saslprep(password) {
        Ok(prepared) => prepared.into_owned().into_bytes(),
        Err(_) => password.as_bytes().to_vec(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::secret::Secrets;

    fn secret(text: &str) -> Secret {
        Secrets::default().take(text)
    }

    const CLIENT_NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
    const CHALLENGE: &str =
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

    async fn keys(challenge: &Challenge) -> Keys {
        derive(&mut None, challenge, &secret("pencil")).await.unwrap()
    }

    /// RFC 7677, section 3, but for the user's name, which PostgreSQL takes from the startup
    /// packet.
    #[tokio::test]
    async fn the_exchange_of_the_rfc_is_reproduced() {
        let (mut exchange, first) =
            Exchange::with_nonce(Binding::Unsupported, CLIENT_NONCE.to_owned());
        assert_eq!(first, "n,,n=,r=rOprNGfwEbeRWgbNEkqO");
        let challenge = exchange.challenge(CHALLENGE.as_bytes()).unwrap();
        let keys = keys(&challenge).await;
        // Computed with Python's hashlib and hmac.
        assert_eq!(STANDARD.encode(keys.server), "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=");
        let last = exchange.answer(&challenge, &keys);
        assert!(last.starts_with("c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p="));
        assert!(!exchange.is_proved_by(b"v=AAAA") && !exchange.is_proved_by(b"e=other-error"));
        let proof = format!("v={}", STANDARD.encode(exchange.expected.unwrap()));
        assert!(exchange.is_proved_by(proof.as_bytes()));
    }

    #[test]
    fn a_challenge_is_bounded_and_for_this_exchange() {
        let (exchange, _) = Exchange::with_nonce(Binding::Unsupported, CLIENT_NONCE.to_owned());
        let rounds = |n: &str| CHALLENGE.replace("4096", n);
        for (message, want) in [
            (rounds("600000"), ""),
            (rounds("5000000"), ""),
            (
                rounds("5000001"),
                "the server asks for 5000001 rounds, and afterall computes at most 5000000",
            ),
            (rounds("0"), "the challenge's number of rounds is not one"),
            (rounds("99999999999"), "the challenge's number of rounds is not one"),
            (CHALLENGE.replace("rOp", "xxx"), "the challenge has another nonce"),
            (format!("r={CLIENT_NONCE},s=AA==,i=1"), "the challenge has another nonce"),
            ("m=x,r=a".to_owned(), "the challenge lacks r="),
            (CHALLENGE.replace("W22", "!"), "the challenge's salt is not Base64"),
        ] {
            let got = exchange.challenge(message.as_bytes()).err().unwrap_or_default();
            assert_eq!(got, want, "{message}");
        }
    }

    #[tokio::test]
    async fn many_rounds_are_computed_on_a_thread_and_remembered() {
        let (exchange, _) = Exchange::with_nonce(Binding::Unsupported, CLIENT_NONCE.to_owned());
        let text = CHALLENGE.replace("4096", "20000");
        let challenge = exchange.challenge(text.as_bytes()).unwrap();
        let (password, mut known) = (secret("pencil"), None);
        // An attempt that is cut at once leaves the work to the next one.
        let cut = tokio::time::timeout(Duration::ZERO, derive(&mut known, &challenge, &password));
        assert!(cut.await.is_err());
        assert!(matches!(known.as_ref().unwrap().state, State::Pending { .. }));
        let keys = derive(&mut known, &challenge, &password).await.unwrap();
        let again = derive(&mut known, &challenge, &secret("x")).await.unwrap();
        assert!(known.is_some() && keys.client == again.client);
        // The result is no longer needed: far fewer rounds are computed.
        assert_ne!(salted(b"pencil", &challenge.salt, 20_000, &Weak::new())[..], keys.client[..]);
        let other = Exchange::with_nonce(Binding::Unsupported, CLIENT_NONCE.to_owned()).0;
        let other = other.challenge(CHALLENGE.as_bytes()).unwrap();
        let other = derive(&mut known, &other, &password).await.unwrap();
        assert_ne!(other.client, keys.client, "another salt or count is computed anew");
    }
}
