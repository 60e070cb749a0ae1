//! Verifies chains of a server certificate of X.509 version 1, which OpenSSL accepts and webpki
//! cannot read.
//!
//! `openssl x509 -req` without an extension file makes such certificates. So does the recipe of
//! PostgreSQL's manual.

use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError,
    pki_types::{CertificateDer, SignatureVerificationAlgorithm, UnixTime},
};

use super::{der::Certificate, failure::Unsupported, provider};

/// The longest chain, in certificates. Real chains are shorter.
const MAX_DEPTH: usize = 8;

/// Returns true if `leaf` is of X.509 version 1.
pub(super) fn is_version_1(leaf: &[u8]) -> bool {
    Certificate::read(leaf).is_some_and(|leaf| leaf.version == 1)
}

/// Verifies the chain from `leaf` to one of `trusted`: signatures, dates, and the issuers' right to
/// issue.
///
/// # Errors
/// The same errors as webpki.
pub(super) fn verify(
    leaf: &CertificateDer<'_>,
    presented: &[CertificateDer<'_>],
    trusted: &[CertificateDer<'_>],
    now: UnixTime,
) -> Result<(), Error> {
    let read = |der| Certificate::read(der).ok_or(CertificateError::BadEncoding);
    let mut current = read(leaf)?;
    for below in 0..MAX_DEPTH {
        check_dates(&current, now)?;
        let issuers = |pool: &'_ [CertificateDer<'_>]| -> Vec<usize> {
            let issued = |der: &CertificateDer<'_>| {
                Certificate::read(der).is_some_and(|issuer| issuer.subject == current.issuer)
            };
            pool.iter().enumerate().filter(|(_, der)| issued(der)).map(|(n, _)| n).collect()
        };
        let mut last = Error::InvalidCertificate(CertificateError::UnknownIssuer);
        for index in issuers(trusted) {
            let issuer = read(&trusted[index])?;
            match check_signature(&current, &issuer) {
                Ok(()) => return check_dates(&issuer, now),
                Err(error) => last = error,
            }
        }
        let next = issuers(presented).into_iter().find_map(|index| {
            let issuer = Certificate::read(&presented[index])?;
            let issues = may_issue(&issuer, below) && check_signature(&current, &issuer).is_ok();
            issues.then_some(issuer)
        });
        current = next.ok_or(last)?;
    }
    Err(CertificateError::UnknownIssuer.into())
}

fn check_dates(certificate: &Certificate<'_>, now: UnixTime) -> Result<(), Error> {
    let (not_before, not_after) = (certificate.not_before, certificate.not_after);
    if now < not_before {
        return Err(CertificateError::NotValidYetContext { time: now, not_before }.into());
    }
    if now > not_after {
        return Err(CertificateError::ExpiredContext { time: now, not_after }.into());
    }
    Ok(())
}

/// Returns true if an intermediate certificate belongs to an authority. It must have no critical
/// extension that this code does not know. `below` is the number of intermediate certificates
/// between it and the server's.
fn may_issue(certificate: &Certificate<'_>, below: usize) -> bool {
    const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
    const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
    let mut is_authority = false;
    for extension in certificate.extensions() {
        let Some(extension) = extension else { return false };
        match extension.id {
            // SEQUENCE { cA BOOLEAN, pathLenConstraint INTEGER OPTIONAL }
            BASIC_CONSTRAINTS => {
                is_authority = match extension.value {
                    [0x30, 3, 1, 1, 0xff] => true,
                    [0x30, 6, 1, 1, 0xff, 2, 1, most] => below <= usize::from(*most),
                    _ => false,
                }
            }
            // keyCertSign is the sixth bit.
            KEY_USAGE => match extension.value {
                [0x03, _, _, bits, ..] if bits & 0x04 != 0 => {}
                _ => return false,
            },
            _ if extension.critical => return false,
            _ => {}
        }
    }
    is_authority
}

fn check_signature(certificate: &Certificate<'_>, issuer: &Certificate<'_>) -> Result<(), Error> {
    let algorithms = provider().signature_verification_algorithms.all;
    let mut fitting = algorithms.iter().filter(|algorithm| {
        algorithm.signature_alg_id().as_ref() == certificate.signature_algorithm
            && algorithm.public_key_alg_id().as_ref() == issuer.key_algorithm
    });
    match fitting.next() {
        Some(algorithm) => algorithm
            .verify_signature(issuer.key, certificate.signed, certificate.signature)
            .map_err(|_| CertificateError::BadSignature.into()),
        None => {
            Err(Unsupported::signature(certificate.signature_algorithm, issuer.key_algorithm)
                .into())
        }
    }
}

/// Verifies the server's signature in the handshake with the key of `leaf`, for any version of the
/// certificate.
pub(super) fn verify_handshake(
    message: &[u8],
    leaf: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
) -> Result<(), Error> {
    let leaf = Certificate::read(leaf).ok_or(CertificateError::BadEncoding)?;
    let fits = |algorithm: &&&dyn SignatureVerificationAlgorithm| {
        algorithm.public_key_alg_id().as_ref() == leaf.key_algorithm
    };
    let mapping = provider().signature_verification_algorithms.mapping;
    let of_scheme = mapping.iter().find(|(scheme, _)| *scheme == signature.scheme);
    match of_scheme.and_then(|(_, algorithms)| algorithms.iter().find(fits)) {
        Some(algorithm) => algorithm
            .verify_signature(leaf.key, message, signature.signature())
            .map_err(|_| CertificateError::BadSignature.into()),
        None => Err(Unsupported::key(leaf.key_algorithm).into()),
    }
}

impl From<Unsupported> for Error {
    fn from(unsupported: Unsupported) -> Self {
        CertificateError::Other(OtherError(std::sync::Arc::new(unsupported))).into()
    }
}
