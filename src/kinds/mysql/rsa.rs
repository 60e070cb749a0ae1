//! RSAES-OAEP with SHA-1 (RFC 8017, section 7.1), by which `caching_sha2_password` seals a password
//! without TLS.
//!
//! Besides the password only public values take part: the server's key and its random bytes.

use crypto_bigint::{NonZero, Uint};
use ring::{
    digest::{SHA1_FOR_LEGACY_USE_ONLY, digest},
    rand::{SecureRandom, SystemRandom},
};
use rustls::pki_types::{SubjectPublicKeyInfoDer, pem::PemObject};

/// The bytes of a SHA-1.
const HASH: usize = 20;
/// The longest modulus, in bytes: 8,192 bits. Longer ones would hold up the runtime.
const MAX_MODULUS: usize = 1024;
/// A number of that length, in limbs of 8 bytes.
type Number = Uint<{ MAX_MODULUS / 8 }>;

/// Seals `password`, mixed with the server's `nonce`, with the public key in `pem`.
///
/// Returns `None` if the key cannot be read or is too short for the password.
pub(super) fn seal(password: &str, nonce: &[u8], pem: &[u8]) -> Option<Vec<u8>> {
    let key = PublicKey::parse(SubjectPublicKeyInfoDer::from_pem_slice(pem).ok()?.as_ref())?;
    let mixed: Vec<u8> = super::plugins::with_nul(password)
        .iter()
        .zip(nonce.iter().cycle())
        .map(|(byte, random)| byte ^ random)
        .collect();
    let mut seed = [0; HASH];
    SystemRandom::new().fill(&mut seed).ok()?;
    key.encrypt(&mixed, &seed)
}

struct PublicKey {
    modulus: NonZero<Number>,
    exponent: u64,
    /// Bytes of the modulus.
    size: usize,
}

impl PublicKey {
    /// Reads a SubjectPublicKeyInfo (RFC 5280, section 4.1) of an RSA key (RFC 8017, appendix
    /// A.1.1).
    fn parse(der: &[u8]) -> Option<Self> {
        let (info, _) = element(0x30, der)?;
        let (_algorithm, rest) = element(0x30, info)?;
        let (bits, _) = element(0x03, rest)?;
        // The first byte is the number of unused bits: zero.
        let (key, _) = element(0x30, bits.strip_prefix(&[0])?)?;
        let (modulus, rest) = element(0x02, key)?;
        let (exponent, _) = element(0x02, rest)?;
        let modulus = modulus.strip_prefix(&[0]).unwrap_or(modulus);
        if !(64..=MAX_MODULUS).contains(&modulus.len()) || exponent.len() > 5 {
            return None;
        }
        Some(Self {
            size: modulus.len(),
            modulus: NonZero::new(number(modulus)).into_option()?,
            exponent: exponent.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)),
        })
    }

    /// Returns `base` to the power of the exponent, bit by bit from the highest.
    ///
    /// The library's own function is for secret exponents of any length, and three times as large.
    /// An exponent here has at most 40 bits, of which two are usually 1.
    fn power(&self, base: &Number) -> Number {
        let mut power = Number::ONE;
        for bit in (0..u64::BITS - self.exponent.leading_zeros()).rev() {
            power = power.square_mod_vartime(&self.modulus);
            if self.exponent >> bit & 1 == 1 {
                power = power.mul_mod_vartime(base, &self.modulus);
            }
        }
        power
    }

    fn encrypt(&self, message: &[u8], seed: &[u8; HASH]) -> Option<Vec<u8>> {
        let room = self.size.checked_sub(2 * HASH + 2)?;
        let padding = room.checked_sub(message.len())?;
        let mut block = digest(&SHA1_FOR_LEGACY_USE_ONLY, b"").as_ref().to_vec();
        block.extend(std::iter::repeat_n(0, padding));
        block.push(1);
        block.extend(message);
        mask(&mut block, seed);
        let mut seed = *seed;
        mask(&mut seed, &block);
        let padded = [&[0], &seed[..], &block].concat();
        let sealed = self.power(&number(&padded)).to_be_bytes();
        Some(sealed.as_ref()[MAX_MODULUS - self.size..].to_vec())
    }
}

/// Reads a number, the highest byte first. The caller bounds its length.
fn number(bytes: &[u8]) -> Number {
    let mut padded = [0; MAX_MODULUS];
    padded[MAX_MODULUS - bytes.len()..].copy_from_slice(bytes);
    Number::from_be_slice(&padded)
}

/// XORs `target` with MGF1 of `seed` (RFC 8017, appendix B.2.1).
fn mask(target: &mut [u8], seed: &[u8]) {
    for (counter, chunk) in (0_u32..).zip(target.chunks_mut(HASH)) {
        let input = [seed, &counter.to_be_bytes()].concat();
        let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, &input);
        chunk.iter_mut().zip(hash.as_ref()).for_each(|(byte, mask)| *byte ^= mask);
    }
}

/// Returns the content of a DER element with this tag, and the bytes after it.
fn element(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = der.strip_prefix(&[tag])?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        short @ 0..=0x7f => (usize::from(short), rest),
        0x81 => (usize::from(*rest.first()?), &rest[1..]),
        0x82 => (usize::from(*rest.first()?) << 8 | usize::from(*rest.get(1)?), &rest[2..]),
        _ => return None,
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn key(modulus: &[u8], exponent: u64, size: usize) -> PublicKey {
        let modulus = NonZero::new(number(modulus)).into_option().unwrap();
        PublicKey { modulus, exponent, size }
    }

    #[test]
    fn keys_that_cannot_be_used_are_refused() {
        for der in
            [&b""[..], b"\x30", b"\x30\x82\x01", b"\x30\x02\x30\x00", b"\x30\x03\x30\x00\x03"]
        {
            assert!(PublicKey::parse(der).is_none());
        }
        assert!(seal("pw", b"nonce", b"no PEM").is_none());
        let small = key(&[33], 3, 64);
        assert!(small.encrypt(&[1; 23], &[0; HASH]).is_none(), "longer than the key has room for");
    }

    #[test]
    fn powers_are_those_of_whole_numbers() {
        // 3^40 has 64 bits.
        for (base, exponent, modulus, want) in [
            (2, 10, 1_000, 24),
            (7, 0, 1_000, 1),
            (3, 40, u64::MAX, 12_157_665_459_056_928_801),
            (5, 65_537, 65_537, 5),
        ] {
            let power = key(&modulus.to_be_bytes(), exponent, 64).power(&Number::from_u64(base));
            assert_eq!(power, Number::from_u64(want), "{base}^{exponent}");
        }
    }

    #[test]
    fn squaring_modulo_a_prime_comes_back() {
        // 2^521 - 1 is a prime: x to its power is x again, modulo that prime.
        let mut prime = [0xff; 66];
        prime[0] = 1;
        let secret = number(&[0x5a; 65]);
        let squares = (0..521).fold(secret, |power, _| key(&prime, 2, 66).power(&power));
        // x^(2^521) is x^(prime + 1), and so the square of x.
        assert_eq!(squares, key(&prime, 2, 66).power(&secret));
        let long = key(&[0xe1; MAX_MODULUS], 65_537, MAX_MODULUS);
        let sealed = long.encrypt(b"password", &[7; HASH]).unwrap();
        assert_eq!(sealed.len(), MAX_MODULUS);
    }
}
