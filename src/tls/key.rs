//! Private keys in every form that OpenSSL reads: PEM or DER, in clear or encrypted.

use aes::{Aes128, Aes192, Aes256};
use base64::{Engine, engine::general_purpose::STANDARD};
use cbc::{
    Decryptor,
    cipher::{
        BlockCipher, BlockDecryptMut, KeyInit, KeyIvInit, block_padding::Pkcs7,
        crypto_common::KeySizeUser,
    },
};
use des::TdesEde3;
use md5::{Digest, Md5};
use pkcs8::EncryptedPrivateKeyInfo;
use rustls::pki_types::{
    PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer, pem::PemObject,
};

use super::der::{Reader, SEQUENCE};
use crate::secret::Secret;

/// The most rounds that an encrypted key may need; they take some seconds. OpenSSL's default is
/// 2,048.
const MAX_ROUNDS: u32 = 10_000_000;

const NO_PASSWORD: &str =
    "the private key is encrypted, and must be in clear (sslpassword opens that of PostgreSQL)";
const WRONG_PASSWORD: &str = "sslpassword does not open the encrypted private key";

/// Reads a private key, and decrypts an encrypted one with `password`.
///
/// # Errors
/// The fault of the file, without any of its text.
pub(super) fn read_key(
    bytes: &[u8],
    password: Option<&Secret>,
) -> Result<PrivateKeyDer<'static>, String> {
    if bytes.first() == Some(&SEQUENCE) {
        return if is_encrypted(bytes) {
            open_pkcs8(bytes, password)
        } else {
            PrivateKeyDer::try_from(bytes.to_vec())
                .map_err(|_| "must be a private key, in PEM or DER".to_owned())
        };
    }
    let text = String::from_utf8_lossy(bytes);
    if let Some(encrypted) = section(&text, "ENCRYPTED PRIVATE KEY") {
        return open_pkcs8(&encrypted.bytes()?, password);
    }
    for (label, form) in [("RSA PRIVATE KEY", Form::Rsa), ("EC PRIVATE KEY", Form::Ec)] {
        if let Some(section) = section(&text, label).filter(|section| section.info.is_some()) {
            return open_traditional(&section, form, password);
        }
    }
    PrivateKeyDer::from_pem_slice(bytes).map_err(|_| "holds no PEM private key".to_owned())
}

/// Returns true if DER is an EncryptedPrivateKeyInfo (RFC 5958, section 3): a private key begins
/// with its version.
pub(super) fn is_encrypted(der: &[u8]) -> bool {
    Reader(der).expect(SEQUENCE).is_some_and(|value| {
        let first = Reader(value).next();
        first.is_some_and(|first| first.tag == SEQUENCE)
    })
}

fn open_pkcs8(der: &[u8], password: Option<&Secret>) -> Result<PrivateKeyDer<'static>, String> {
    const UNKNOWN: &str = "the private key is encrypted by an algorithm that is not supported \
                           (openssl pkcs8 -topk8 -v2 aes-256-cbc makes one that is)";
    let password = password.ok_or(NO_PASSWORD)?;
    let encrypted = EncryptedPrivateKeyInfo::try_from(der).map_err(|_| UNKNOWN.to_owned())?;
    let rounds = encrypted
        .encryption_algorithm
        .pbes2()
        .and_then(|parameters| parameters.kdf.pbkdf2())
        .map_or(0, |kdf| kdf.iteration_count);
    if rounds > MAX_ROUNDS {
        return Err(format!(
            "the private key's encryption must take at most {MAX_ROUNDS} rounds, not {rounds}"
        ));
    }
    if encrypted.encryption_algorithm.pbes2().is_none() {
        return Err(UNKNOWN.to_owned());
    }
    let key = encrypted.decrypt(password.reveal()).map_err(|_| WRONG_PASSWORD.to_owned())?;
    Ok(PrivatePkcs8KeyDer::from(key.as_bytes().to_vec()).into())
}

/// The content of an encrypted key in OpenSSL's older form.
#[derive(Clone, Copy)]
enum Form {
    Rsa,
    Ec,
}

/// A section of a PEM file with headers (RFC 1421, section 4.6).
struct Section<'a> {
    /// `DEK-Info`: the cipher and its initial vector.
    info: Option<&'a str>,
    body: &'a str,
}

impl Section<'_> {
    fn bytes(&self) -> Result<Vec<u8>, String> {
        let body: String = self.body.split_whitespace().collect();
        STANDARD.decode(body).map_err(|_| "broken PEM".to_owned())
    }
}

fn section<'a>(text: &'a str, label: &str) -> Option<Section<'a>> {
    let (_, rest) = text.split_once(&format!("-----BEGIN {label}-----"))?;
    let (inside, _) = rest.split_once("-----END ")?;
    // Headers end with an empty line.
    let headers = inside.replace("\r\n", "\n");
    let info = inside.lines().find_map(|line| line.trim().strip_prefix("DEK-Info:"));
    if !headers.contains("\n\n") || info.is_none() {
        return Some(Section { info: None, body: inside });
    }
    let end =
        inside.find("\r\n\r\n").map(|at| at + 4).or_else(|| inside.find("\n\n").map(|at| at + 2));
    Some(Section { info: info.map(str::trim), body: &inside[end?..] })
}

/// Decrypts OpenSSL's older form: the key by one round of MD5 (EVP_BytesToKey), CBC, PKCS #7.
fn open_traditional(
    section: &Section<'_>,
    form: Form,
    password: Option<&Secret>,
) -> Result<PrivateKeyDer<'static>, String> {
    let password = password.ok_or(NO_PASSWORD)?;
    let (cipher, vector) =
        section.info.and_then(|info| info.split_once(',')).ok_or("broken PEM")?;
    let vector = from_hex(vector.trim()).ok_or("broken PEM")?;
    let sealed = section.bytes()?;
    let opened = match cipher.trim() {
        "AES-128-CBC" => open_cbc::<Aes128>(&sealed, &vector, password),
        "AES-192-CBC" => open_cbc::<Aes192>(&sealed, &vector, password),
        "AES-256-CBC" => open_cbc::<Aes256>(&sealed, &vector, password),
        "DES-EDE3-CBC" => open_cbc::<TdesEde3>(&sealed, &vector, password),
        _ => {
            return Err("the private key must be encrypted by AES-CBC or DES-EDE3-CBC".to_owned());
        }
    };
    let opened = opened.ok_or(WRONG_PASSWORD)?;
    // Once in 256 times a wrong password leads to valid padding.
    if Reader(&opened).expect(SEQUENCE).is_none() {
        return Err(WRONG_PASSWORD.to_owned());
    }
    Ok(match form {
        Form::Rsa => PrivatePkcs1KeyDer::from(opened).into(),
        Form::Ec => PrivateSec1KeyDer::from(opened).into(),
    })
}

fn open_cbc<C: BlockCipher + BlockDecryptMut + KeyInit + KeySizeUser>(
    sealed: &[u8],
    vector: &[u8],
    password: &Secret,
) -> Option<Vec<u8>> {
    let key = bytes_to_key(password.reveal().as_bytes(), vector.get(..8)?, C::key_size());
    let decryptor = Decryptor::<C>::new_from_slices(&key, vector).ok()?;
    decryptor.decrypt_padded_vec_mut::<Pkcs7>(sealed).ok()
}

fn bytes_to_key(password: &[u8], salt: &[u8], length: usize) -> Vec<u8> {
    let (mut key, mut last) = (Vec::new(), Vec::new());
    while key.len() < length {
        last = Md5::new()
            .chain_update(&last)
            .chain_update(password)
            .chain_update(salt)
            .finalize()
            .to_vec();
        key.extend_from_slice(&last);
    }
    key.truncate(length);
    key
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() {
        return None;
    }
    let digits = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    text.as_bytes().chunks(2).map(digits).collect()
}
