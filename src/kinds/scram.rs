//! The client's side of SCRAM (RFC 5802), for every kind whose servers ask for it.
//!
//! postgres-protocol has SCRAM too. But it refuses more than 100,000 rounds, and computes them on
//! the runtime's thread. And it accepts no keys in place of a password.

use std::{
    io,
    sync::{Arc, Weak},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use ring::{
    digest::digest,
    hmac,
    rand::{SecureRandom, SystemRandom},
};
use tokio::sync::oneshot;

use crate::{blocking::on_thread, probe::Failure, text::one_line};

/// The most rounds that a server may ask for. OWASP recommends 600,000, which take some tenths of a
/// second.
pub(in crate::kinds) const MAX_ROUNDS: u32 = 5_000_000;

/// The most rounds on the runtime's own thread: some milliseconds, and twice PostgreSQL's default.
const ROUNDS_AT_ONCE: u32 = 8_192;

/// The longest reason of a refusal, in characters.
const MAX_REASON: usize = 200;

/// The rounds between two checks that the attempt still needs the result.
const ROUNDS_BETWEEN_LOOKS: u32 = 1_024;

/// The hash function of a mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kinds) enum Hash {
    /// `SCRAM-SHA-1`, which old MongoDB servers offer.
    #[cfg(feature = "mongodb")]
    Sha1,
    /// `SCRAM-SHA-256` (RFC 7677).
    Sha256,
    /// `SCRAM-SHA-512`, which Kafka offers.
    #[cfg(feature = "kafka")]
    Sha512,
}

impl Hash {
    fn hmac(self) -> hmac::Algorithm {
        match self {
            #[cfg(feature = "mongodb")]
            Hash::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Hash::Sha256 => hmac::HMAC_SHA256,
            #[cfg(feature = "kafka")]
            Hash::Sha512 => hmac::HMAC_SHA512,
        }
    }

    fn sign(self, key: &[u8], message: &[u8]) -> hmac::Tag {
        hmac::sign(&hmac::Key::new(self.hmac(), key), message)
    }
}

/// The keys that prove knowledge of the password, one for each side.
#[derive(Clone)]
pub(in crate::kinds) struct Keys {
    /// `ClientKey` of RFC 5802.
    pub(in crate::kinds) client: Vec<u8>,
    /// `ServerKey` of RFC 5802.
    pub(in crate::kinds) server: Vec<u8>,
}

impl Keys {
    fn of(hash: Hash, salted: &[u8]) -> Self {
        let key = |name: &[u8]| hash.sign(salted, name).as_ref().to_vec();
        Self { client: key(b"Client Key"), server: key(b"Server Key") }
    }
}

/// The keys of one hash, salt and number of rounds. Kept from attempt to attempt.
pub(in crate::kinds) struct Derived {
    hash: Hash,
    salt: Vec<u8>,
    rounds: u32,
    state: State,
}

enum State {
    Known(Keys),
    /// A thread computes them. An attempt that is cut leaves the work to the next one.
    Pending {
        salted: oneshot::Receiver<Vec<u8>>,
        /// Ends the thread's work when it is dropped.
        _wanted: Arc<()>,
    },
}

/// The binding of a login to its TLS connection (RFC 5802, section 6).
pub(in crate::kinds) enum Binding {
    /// The connection has nothing to bind to.
    Unsupported,
    /// We could bind, but the server offers no binding. A server that did offer one thus detects
    /// that its offer was removed.
    #[cfg(feature = "postgres")]
    NotOffered,
    /// `tls-server-end-point`: the hash of the server's certificate.
    #[cfg(feature = "postgres")]
    EndPoint(Vec<u8>),
}

impl Binding {
    fn header(&self) -> &'static str {
        match self {
            Binding::Unsupported => "n,,",
            #[cfg(feature = "postgres")]
            Binding::NotOffered => "y,,",
            #[cfg(feature = "postgres")]
            Binding::EndPoint(_) => "p=tls-server-end-point,,",
        }
    }

    /// The header, and the data to which the login is bound.
    fn bytes(&self) -> Vec<u8> {
        let header = self.header().as_bytes();
        match self {
            #[cfg(feature = "postgres")]
            Binding::EndPoint(hash) => [header, hash].concat(),
            _ => header.to_vec(),
        }
    }
}

/// An exchange that has begun: the first message is sent.
pub(in crate::kinds) struct Exchange {
    hash: Hash,
    binding: Binding,
    /// `client-first-message-bare`.
    first: String,
    nonce: String,
    /// The signature that proves that the server knows the password; set by [`Exchange::answer`].
    expected: Option<hmac::Tag>,
}

/// The challenge in the server's first message.
pub(in crate::kinds) struct Challenge {
    text: String,
    nonce: String,
    salt: Vec<u8>,
    rounds: u32,
}

impl Exchange {
    /// Begins an exchange and returns the client's first message. `user` is empty where the
    /// protocol carries the name elsewhere.
    pub(in crate::kinds) fn begin(
        hash: Hash,
        user: &str,
        binding: Binding,
    ) -> Result<(Self, String), String> {
        let mut random = [0; 18];
        SystemRandom::new().fill(&mut random).map_err(|_| "no random numbers")?;
        Ok(Self::with_nonce(hash, user, binding, STANDARD.encode(random)))
    }

    fn with_nonce(hash: Hash, user: &str, binding: Binding, nonce: String) -> (Self, String) {
        let user = user.replace('=', "=3D").replace(',', "=2C");
        let bare = format!("n={user},r={nonce}");
        let first = format!("{}{bare}", binding.header());
        (Self { hash, binding, first: bare, nonce, expected: None }, first)
    }

    /// Reads the server's first message.
    pub(in crate::kinds) fn challenge(&self, message: &[u8]) -> Result<Challenge, String> {
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
    pub(in crate::kinds) fn answer(&mut self, challenge: &Challenge, keys: &Keys) -> String {
        let bound = STANDARD.encode(self.binding.bytes());
        let bare = format!("c={bound},r={}", challenge.nonce);
        let signed = format!("{},{},{bare}", self.first, challenge.text);
        let stored = digest(self.hash.hmac().digest_algorithm(), &keys.client);
        let signature = self.hash.sign(stored.as_ref(), signed.as_bytes());
        let mut proof = keys.client.clone();
        for (byte, other) in proof.iter_mut().zip(signature.as_ref()) {
            *byte ^= other;
        }
        self.expected = Some(self.hash.sign(&keys.server, signed.as_bytes()));
        format!("{bare},p={}", STANDARD.encode(proof))
    }

    /// Checks that the server's last message proves that the server knows the password.
    ///
    /// # Errors
    /// The server's own reason, e.g. `unknown-user`, or a missing proof.
    pub(in crate::kinds) fn verify(&self, message: &[u8]) -> Result<(), String> {
        if let Some(reason) = message.strip_prefix(b"e=") {
            let reason = one_line(&String::from_utf8_lossy(reason), MAX_REASON);
            return Err(format!("the server refuses the login: {reason}"));
        }
        let signature = message.strip_prefix(b"v=").and_then(|text| STANDARD.decode(text).ok());
        // The time of this comparison is useful only to a server that already knows the password.
        match (signature, &self.expected) {
            (Some(signature), Some(expected)) if signature == expected.as_ref() => Ok(()),
            _ => Err("the server cannot prove that it knows the password".to_owned()),
        }
    }
}

/// The keys of `password`, from `known` where that is for the same salt. `known` belongs to one
/// password.
///
/// Many rounds are computed on a thread. An attempt that is cut does not end them: a slow machine
/// would never be done. Another salt does, so that a server cannot have more than one thread at
/// work.
///
/// # Errors
/// Where no thread can be started.
pub(in crate::kinds) async fn derive(
    hash: Hash,
    known: &mut Option<Derived>,
    challenge: &Challenge,
    password: &[u8],
) -> Result<Keys, Failure> {
    let (salt, rounds) = (&challenge.salt, challenge.rounds);
    let derived = match known {
        Some(derived) if (derived.hash, derived.rounds, &derived.salt) == (hash, rounds, salt) => {
            derived
        }
        _ => known.insert(begin(hash, salt, rounds, password)?),
    };
    let salted = match &mut derived.state {
        State::Known(keys) => return Ok(keys.clone()),
        State::Pending { salted, .. } => salted.await,
    };
    let Ok(salted) = salted else {
        *known = None;
        return Err(Failure::local(&io::ErrorKind::BrokenPipe.into(), "a thread was lost"));
    };
    let keys = Keys::of(hash, &salted);
    derived.state = State::Known(keys.clone());
    Ok(keys)
}

/// [`derive`] for a login that several servers share. They are asked in turn, so that no one waits.
#[cfg(any(feature = "kafka", feature = "mongodb"))]
pub(in crate::kinds) async fn derive_shared(
    hash: Hash,
    known: &tokio::sync::Mutex<Option<Derived>>,
    challenge: &Challenge,
    password: &[u8],
) -> Result<Keys, Failure> {
    derive(hash, &mut *known.lock().await, challenge, password).await
}

fn begin(hash: Hash, salt: &[u8], rounds: u32, password: &[u8]) -> Result<Derived, Failure> {
    let wanted = Arc::new(());
    let still_wanted = Arc::downgrade(&wanted);
    let state = if rounds <= ROUNDS_AT_ONCE {
        let salted = salted(hash, password, salt, rounds, &still_wanted);
        State::Known(Keys::of(hash, &salted))
    } else {
        let (sender, receiver) = oneshot::channel();
        let (salt, password) = (salt.to_vec(), password.to_vec());
        let work = move || {
            let _ = sender.send(salted(hash, &password, &salt, rounds, &still_wanted));
        };
        on_thread(work).map_err(|error| Failure::local(&error, "starting a thread"))?;
        State::Pending { salted: receiver, _wanted: wanted }
    };
    Ok(Derived { hash, salt: salt.to_vec(), rounds, state })
}

/// `SaltedPassword` of RFC 5802: PBKDF2. Ends early if the result is no longer needed.
///
/// ring has PBKDF2 too, but its loop cannot be ended.
fn salted(hash: Hash, password: &[u8], salt: &[u8], rounds: u32, wanted: &Weak<()>) -> Vec<u8> {
    let key = hmac::Key::new(hash.hmac(), password);
    let mut last = hmac::sign(&key, &[salt, &[0, 0, 0, 1]].concat());
    let mut sum = last.as_ref().to_vec();
    for round in 1..rounds {
        if round % ROUNDS_BETWEEN_LOOKS == 0 && wanted.strong_count() == 0 {
            return sum;
        }
        last = hmac::sign(&key, last.as_ref());
        for (byte, other) in sum.iter_mut().zip(last.as_ref()) {
            *byte ^= other;
        }
    }
    sum
}

/// The password after SASLprep (RFC 4013); as it is where SASLprep forbids it, as in libpq.
#[cfg(any(feature = "postgres", feature = "mongodb"))]
pub(in crate::kinds) fn prepared(password: &str) -> Vec<u8> {
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

    const CLIENT_NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
    const CHALLENGE: &str =
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

    fn begun(user: &str) -> (Exchange, String) {
        let nonce = CLIENT_NONCE.to_owned();
        Exchange::with_nonce(Hash::Sha256, user, Binding::Unsupported, nonce)
    }

    async fn keys(challenge: &Challenge) -> Keys {
        derive(Hash::Sha256, &mut None, challenge, b"pencil").await.unwrap()
    }

    /// RFC 7677, section 3, but for the user's name, which PostgreSQL takes from the startup
    /// packet.
    #[tokio::test]
    async fn the_exchange_of_the_rfc_is_reproduced() {
        let (mut exchange, first) = begun("");
        assert_eq!(first, "n,,n=,r=rOprNGfwEbeRWgbNEkqO");
        let challenge = exchange.challenge(CHALLENGE.as_bytes()).unwrap();
        let keys = keys(&challenge).await;
        // Computed with Python's hashlib and hmac.
        assert_eq!(STANDARD.encode(&keys.server), "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=");
        let last = exchange.answer(&challenge, &keys);
        assert!(last.starts_with("c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p="));
        for (message, says) in [
            (&b"v=AAAA"[..], "the server cannot prove that it knows the password"),
            (b"", "the server cannot prove that it knows the password"),
            (b"e=unknown-user", "the server refuses the login: unknown-user"),
        ] {
            assert_eq!(exchange.verify(message).unwrap_err(), says);
        }
        let proof = format!("v={}", STANDARD.encode(exchange.expected.unwrap()));
        assert!(exchange.verify(proof.as_bytes()).is_ok());
    }

    /// The whole exchanges of RFC 7677, section 3, and of RFC 5802, section 5.
    #[tokio::test]
    async fn a_user_name_is_part_of_the_proof() {
        let (mut exchange, first) = begun("user");
        assert_eq!(first, "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let challenge = exchange.challenge(CHALLENGE.as_bytes()).unwrap();
        let last = exchange.answer(&challenge, &keys(&challenge).await);
        assert!(last.ends_with("p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="), "{last}");
        assert!(exchange.verify(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=").is_ok());
        assert_eq!(begun("a=b,c").1, "n,,n=a=3Db=2Cc,r=rOprNGfwEbeRWgbNEkqO");
    }

    #[cfg(feature = "mongodb")]
    #[tokio::test]
    async fn the_exchange_of_the_first_rfc_is_reproduced() {
        let nonce = "fyko+d2lbbFgONRv9qkxdawL".to_owned();
        let (mut exchange, _) =
            Exchange::with_nonce(Hash::Sha1, "user", Binding::Unsupported, nonce);
        let text = "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096";
        let challenge = exchange.challenge(text.as_bytes()).unwrap();
        let keys = derive(Hash::Sha1, &mut None, &challenge, b"pencil").await.unwrap();
        let last = exchange.answer(&challenge, &keys);
        assert!(last.ends_with(",p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts="), "{last}");
        assert!(exchange.verify(b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=").is_ok());
    }

    #[test]
    fn a_challenge_is_bounded_and_for_this_exchange() {
        let (exchange, _) = begun("");
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
        let (exchange, _) = begun("");
        let text = CHALLENGE.replace("4096", "20000");
        let challenge = exchange.challenge(text.as_bytes()).unwrap();
        let (sha256, mut known) = (Hash::Sha256, None);
        // An attempt that is cut at once leaves the work to the next one.
        let cut =
            tokio::time::timeout(Duration::ZERO, derive(sha256, &mut known, &challenge, b"pencil"));
        assert!(cut.await.is_err());
        assert!(matches!(known.as_ref().unwrap().state, State::Pending { .. }));
        let keys = derive(sha256, &mut known, &challenge, b"pencil").await.unwrap();
        let again = derive(sha256, &mut known, &challenge, b"x").await.unwrap();
        assert!(known.is_some() && keys.client == again.client);
        // The result is no longer needed: far fewer rounds are computed.
        let unfinished = salted(sha256, b"pencil", &challenge.salt, 20_000, &Weak::new());
        assert_ne!(Keys::of(sha256, &unfinished).client, keys.client);
        let other = begun("").0;
        let other = other.challenge(CHALLENGE.as_bytes()).unwrap();
        let other = derive(sha256, &mut known, &other, b"pencil").await.unwrap();
        assert_ne!(other.client, keys.client, "another salt or count is computed anew");
        // A server may offer another mechanism for the same salt later.
        #[cfg(feature = "kafka")]
        {
            let sha512 = derive(Hash::Sha512, &mut known, &challenge, b"pencil").await.unwrap();
            assert_eq!(sha512.client.len(), 64);
        }
    }
}
