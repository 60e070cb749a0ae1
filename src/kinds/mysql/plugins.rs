//! Authentication plugins: a client's reply to the server's random bytes.

use curve25519_dalek::{
    Scalar, constants::ED25519_BASEPOINT_POINT, edwards::EdwardsBasepointTable,
    traits::BasepointTable,
};
use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA512};

/// The plugins that this client takes part in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plugin {
    /// SHA-1, up to MySQL 5.7 and in MariaDB.
    Native,
    /// SHA-256 with a cache in the server, the default since MySQL 8.
    CachingSha2,
    /// SHA-256 without a cache.
    Sha256,
    /// The password as it is, for PAM and cloud tokens.
    Clear,
    /// MariaDB's `ed25519`.
    Ed25519,
    /// The operating system's user, known by the socket.
    Socket,
}

impl Plugin {
    /// The plugin that a server calls `name`.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "mysql_native_password" => Some(Self::Native),
            "caching_sha2_password" => Some(Self::CachingSha2),
            "sha256_password" => Some(Self::Sha256),
            "mysql_clear_password" => Some(Self::Clear),
            "client_ed25519" => Some(Self::Ed25519),
            "auth_socket" | "unix_socket" => Some(Self::Socket),
            _ => None,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Native => "mysql_native_password",
            Self::CachingSha2 => "caching_sha2_password",
            Self::Sha256 => "sha256_password",
            Self::Clear => "mysql_clear_password",
            Self::Ed25519 => "client_ed25519",
            Self::Socket => "auth_socket",
        }
    }

    /// The first answer. It never holds the password itself, unless the plugin is
    /// [`Plugin::Clear`].
    pub(super) fn answer(self, password: &str, nonce: &[u8]) -> Vec<u8> {
        match self {
            Self::Clear => with_nul(password),
            Self::Socket => Vec::new(),
            _ if password.is_empty() => Vec::new(),
            Self::Native => native(password.as_bytes(), nonce),
            Self::CachingSha2 => caching_sha2(password.as_bytes(), nonce),
            // Asks for the server's public key.
            Self::Sha256 => vec![1],
            Self::Ed25519 => ed25519(password.as_bytes(), nonce),
        }
    }
}

/// The password as a protected channel carries it.
pub(super) fn with_nul(password: &str) -> Vec<u8> {
    [password.as_bytes(), b"\0"].concat()
}

fn hash(algorithm: &'static ring::digest::Algorithm, parts: &[&[u8]]) -> Vec<u8> {
    let mut context = Context::new(algorithm);
    parts.iter().for_each(|part| context.update(part));
    context.finish().as_ref().to_vec()
}

fn xor(a: &[u8], b: &[u8]) -> Vec<u8> {
    a.iter().zip(b).map(|(a, b)| a ^ b).collect()
}

/// SHA1(password) XOR SHA1(nonce, SHA1(SHA1(password))).
fn native(password: &[u8], nonce: &[u8]) -> Vec<u8> {
    let sha1 = |parts: &[&[u8]]| hash(&SHA1_FOR_LEGACY_USE_ONLY, parts);
    let once = sha1(&[password]);
    let twice = sha1(&[&once]);
    xor(&once, &sha1(&[&nonce[..nonce.len().min(20)], &twice]))
}

/// SHA256(password) XOR SHA256(SHA256(SHA256(password)), nonce).
fn caching_sha2(password: &[u8], nonce: &[u8]) -> Vec<u8> {
    let once = hash(&SHA256, &[password]);
    let twice = hash(&SHA256, &[&once]);
    xor(&once, &hash(&SHA256, &[&twice, nonce]))
}

/// An Ed25519 signature (RFC 8032) of the nonce, whose secret is the password of any length.
///
/// Source: MariaDB, `plugin/auth_ed25519/ref10/sign.c`: the seed is SHA-512 of the password itself.
fn ed25519(password: &[u8], nonce: &[u8]) -> Vec<u8> {
    let secret = hash(&SHA512, &[password]);
    let mut low = [0; 32];
    low.copy_from_slice(&secret[..32]);
    low[0] &= 248;
    low[31] &= 63;
    low[31] |= 64;
    let scalar = Scalar::from_bytes_mod_order(low);
    // The crate's constant table is 30 KB of the binary; one login makes it in 0.1 ms.
    let base = EdwardsBasepointTable::create(&ED25519_BASEPOINT_POINT);
    let public = base.mul_base(&scalar).compress();
    let wide = |parts: &[&[u8]]| {
        let mut bytes = [0; 64];
        bytes.copy_from_slice(&hash(&SHA512, parts));
        Scalar::from_bytes_mod_order_wide(&bytes)
    };
    let r = wide(&[&secret[32..], nonce]);
    let point = base.mul_base(&r).compress();
    let challenge = wide(&[point.as_bytes(), public.as_bytes(), nonce]);
    let s = challenge * scalar + r;
    [point.as_bytes().as_slice(), s.as_bytes().as_slice()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_those_of_the_documented_formulas() {
        let nonce = b"abcdefghijklmnopqrst";
        let hex =
            |bytes: Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        // By Python's hashlib.
        assert_eq!(
            hex(Plugin::Native.answer("secret", nonce)),
            "8817c50fa779daef010ee7577825b0847df9842e"
        );
        assert_eq!(
            hex(Plugin::CachingSha2.answer("secret", nonce)),
            "c76e2898612a4cf042c77fa8c4702c4c64c0c2c557c53c4d75595aaa6abae809"
        );
        // By the formulas of RFC 8032 in Python's integers.
        assert_eq!(
            hex(Plugin::Ed25519.answer("secret", nonce)),
            "02aa00f98a3a714b78102d6721f0f70d1251563f6d9039331033762a6315c097\
            1b0748ea34233e2f326abd09bf7c380e679e9c3f5e67020e11993d0b16a0cd0f"
        );
        assert_eq!(Plugin::Clear.answer("secret", nonce), b"secret\0");
        for plugin in [Plugin::Native, Plugin::CachingSha2, Plugin::Sha256, Plugin::Ed25519] {
            assert!(plugin.answer("", nonce).is_empty(), "{plugin:?}: no password, no answer");
            assert_eq!(Plugin::named(plugin.name()), Some(plugin));
        }
        assert_eq!(Plugin::named("dialog"), None);
    }
}
