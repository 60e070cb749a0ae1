//! A nats-server in operator mode: its configuration, and `.creds` files signed for it. The same
//! files as `nsc` makes.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};

/// A key of one role: the prefixes of github.com/nats-io/nkeys.
struct Key {
    prefix: u8,
    seed: [u8; 32],
}

const OPERATOR: u8 = 14 << 3;
const ACCOUNT: u8 = 0;
const USER: u8 = 20 << 3;

impl Key {
    fn pair(&self) -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&self.seed).unwrap()
    }

    fn public(&self) -> String {
        base32([&[self.prefix], self.pair().public_key().as_ref()].concat())
    }

    fn seed(&self) -> String {
        base32([&[18 << 3 | self.prefix >> 5, (self.prefix & 31) << 3][..], &self.seed].concat())
    }

    fn jwt(&self, subject: &Self, nats: Value) -> String {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let claims = json!({
            "jti": "x", "iat": 1_700_000_000, "iss": self.public(), "name": "test",
            "sub": subject.public(), "nats": nats,
        });
        let text = format!(
            "{}.{}",
            encode(br#"{"typ":"JWT","alg":"ed25519-nkey"}"#),
            encode(claims.to_string().as_bytes())
        );
        format!("{text}.{}", encode(self.pair().sign(text.as_bytes()).as_ref()))
    }
}

/// With its checksum, CRC-16/XMODEM.
fn base32(mut bytes: Vec<u8>) -> String {
    let mut sum: u16 = 0;
    for byte in &bytes {
        sum ^= u16::from(*byte) << 8;
        for _ in 0..8 {
            sum = if sum & 0x8000 != 0 { sum << 1 ^ 0x1021 } else { sum << 1 };
        }
    }
    bytes.extend(sum.to_le_bytes());
    let bits: String = bytes.iter().map(|byte| format!("{byte:08b}")).collect();
    let letters = bits.as_bytes().chunks(5).map(|chunk| {
        let value = chunk.iter().fold(0, |value, bit| value << 1 | usize::from(*bit == b'1'))
            << (5 - chunk.len());
        char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[value])
    });
    letters.collect()
}

/// One of the two keys that a test has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Which {
    Right,
    Another,
}

pub struct Operator {
    operator: Key,
    account: Key,
    user: Key,
}

impl Operator {
    pub fn new() -> Self {
        let key = |prefix, n| Key { prefix, seed: [n; 32] };
        Self { operator: key(OPERATOR, 1), account: key(ACCOUNT, 2), user: key(USER, 3) }
    }

    /// The server's part.
    pub fn config(&self) -> String {
        let limits = json!({"subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "w\
            ildcards": true, "conn": -1, "leaf": -1});
        let operator = self.operator.jwt(&self.operator, json!({"type": "operator", "version": 2}));
        let account = self
            .operator
            .jwt(&self.account, json!({"type": "account", "version": 2, "limits": limits}));
        let name = self.account.public();
        format!(
            "operator: \"{operator}\"\nresolver: MEMORY\nresolver_preload: {{ {name}: \
            \"{account}\" }}"
        )
    }

    /// The user's `.creds` file.
    pub fn creds(&self) -> String {
        self.creds_with(&self.user.seed())
    }

    /// A `.creds` file whose seed does not belong to the JWT.
    pub fn creds_with_another_seed(&self) -> String {
        self.creds_with(&Key { prefix: USER, seed: [4; 32] }.seed())
    }

    fn creds_with(&self, seed: &str) -> String {
        let user = json!({
            "type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1,
            "pub": {}, "sub": {},
        });
        let jwt = self.account.jwt(&self.user, user);
        format!(
            "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
             ************************* IMPORTANT *************************\n\
             NKEY Seed printed below can be used to sign and prove identity.\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        )
    }

    /// The key that `creds` name, and the one of `creds_with_another_seed`: a signature of the
    /// server's nonce.
    pub fn sign(which: Which, nonce: &[u8]) -> Vec<u8> {
        let seed = if which == Which::Right { 3 } else { 4 };
        Key { prefix: USER, seed: [seed; 32] }.pair().sign(nonce).as_ref().to_vec()
    }

    /// The seed of an unknown user.
    pub fn another_nkey() -> String {
        Key { prefix: USER, seed: [4; 32] }.seed()
    }

    /// The user's public key and seed, for a server that knows it by its nkey alone.
    pub fn nkey(&self) -> (String, String) {
        (self.user.public(), self.user.seed())
    }
}
