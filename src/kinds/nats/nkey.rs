//! NATS nkeys: the seed of an Ed25519 key in base32 with a checksum (github.com/nats-io/nkeys).

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use data_encoding::BASE32_NOPAD;
use ring::signature::{Ed25519KeyPair, KeyPair};

/// The first letter of a user's public key is `U`, of its seed `SU`.
const PREFIX_SEED: u8 = 18 << 3;
const PREFIX_USER: u8 = 20 << 3;

/// A user's key pair.
pub(super) struct Nkey(Ed25519KeyPair);

impl Nkey {
    /// Reads a seed as `nk` and `nsc` write it. The error never holds it.
    pub(super) fn from_seed(seed: &str) -> Result<Self, String> {
        let raw = BASE32_NOPAD.decode(seed.as_bytes());
        let raw = raw.map_err(|_| "not an nkey seed: broken base32")?;
        let (body, sum) = raw.split_at_checked(34).ok_or("not an nkey seed: too short")?;
        if *sum != crc16(body).to_le_bytes() {
            return Err("not an nkey seed: its checksum is wrong".to_owned());
        }
        // The two prefixes take five bits each, and share two bytes.
        if body[0] & 0xf8 != PREFIX_SEED {
            return Err("not an nkey seed: a seed begins with S".to_owned());
        }
        if (body[0] & 7) << 5 | body[1] >> 3 != PREFIX_USER {
            return Err("not a user's nkey seed: it begins with SU".to_owned());
        }
        let pair =
            Ed25519KeyPair::from_seed_unchecked(&body[2..]).map_err(|_| "not an nkey seed")?;
        Ok(Self(pair))
    }

    /// The public key, as servers have it in their configuration.
    pub(super) fn public(&self) -> String {
        let mut raw = vec![PREFIX_USER];
        raw.extend(self.0.public_key().as_ref());
        raw.extend(crc16(&raw).to_le_bytes());
        BASE32_NOPAD.encode(&raw)
    }

    /// The signature of the server's nonce, as CONNECT carries it.
    pub(super) fn sign(&self, nonce: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.0.sign(nonce.as_bytes()))
    }
}

/// CRC-16 with the polynomial 0x1021, from 0 (XMODEM).
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte) << 8, |crc, _| {
            if crc & 0x8000 != 0 { crc << 1 ^ 0x1021 } else { crc << 1 }
        })
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// From the documentation of NATS (Security, NKeys).
    const SEED: &str = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";
    const PUBLIC: &str = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";

    #[test]
    fn a_seed_gives_the_public_key_that_the_documentation_shows() {
        assert_eq!(Nkey::from_seed(SEED).unwrap().public(), PUBLIC);
        assert_eq!(crc16(b"123456789"), 0x31c3);
    }

    #[test]
    fn a_signature_is_one_that_the_public_key_verifies() {
        let nkey = Nkey::from_seed(SEED).unwrap();
        let signature = URL_SAFE_NO_PAD.decode(nkey.sign("nonce")).unwrap();
        let public = ring::signature::UnparsedPublicKey::new(
            &ring::signature::ED25519,
            nkey.0.public_key().as_ref(),
        );
        public.verify(b"nonce", &signature).unwrap();
    }

    #[test]
    fn what_is_no_users_seed_is_refused() {
        for (seed, want) in [
            ("", "not an nkey seed: too short"),
            ("su", "not an nkey seed: broken base32"),
            (&SEED.replace("3VY", "3VA"), "not an nkey seed: its checksum is wrong"),
            (PUBLIC, "not an nkey seed: its checksum is wrong"),
            // An account's, from the same documentation's tools.
            (
                "SAACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY",
                "not an nkey seed: its checksum is wrong",
            ),
        ] {
            assert_eq!(Nkey::from_seed(seed).err().as_deref(), Some(want), "{seed}");
        }
    }
}
