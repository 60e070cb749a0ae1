//! A bounded reader of DER without copies, for the parts of X.509 that webpki does not expose.

use ring::digest::{SHA256, SHA384, SHA512, digest};
use rustls::pki_types::UnixTime;

use crate::civil::days_from_civil;

pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OBJECT_ID: u8 = 0x06;

/// One element: its tag, its value, and all of its bytes.
#[derive(Clone, Copy)]
pub(super) struct Element<'a> {
    pub(super) tag: u8,
    pub(super) value: &'a [u8],
    pub(super) whole: &'a [u8],
}

/// The sequence of elements in a value.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    /// Returns the next element. `None`: there is none, or it is malformed.
    pub(super) fn next(&mut self) -> Option<Element<'a>> {
        let (&[tag, length], rest) = self.0.split_first_chunk()?;
        let (length, rest) = match length {
            0..=0x7f => (usize::from(length), rest),
            0x81..=0x83 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
                (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
            }
            _ => return None,
        };
        let (value, rest) = rest.split_at_checked(length)?;
        let whole = &self.0[..self.0.len() - rest.len()];
        self.0 = rest;
        Some(Element { tag, value, whole })
    }

    /// Returns the next element, which must have this tag.
    pub(super) fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next().filter(|element| element.tag == tag).map(|element| element.value)
    }

    /// Returns the next element if it has this tag; else consumes nothing.
    pub(super) fn optional(&mut self, tag: u8) -> Option<&'a [u8]> {
        match self.0.first() {
            Some(first) if *first == tag => self.expect(tag),
            _ => None,
        }
    }
}

/// The parts of a certificate that this crate reads (RFC 5280, section 4.1).
pub(super) struct Certificate<'a> {
    /// 1 or 3; 2 is not in use.
    pub(super) version: u8,
    pub(super) issuer: &'a [u8],
    pub(super) not_before: UnixTime,
    pub(super) not_after: UnixTime,
    pub(super) subject: &'a [u8],
    /// SubjectPublicKeyInfo with its tag.
    pub(super) public_key_info: &'a [u8],
    /// The algorithm of the public key: the content of its SEQUENCE.
    pub(super) key_algorithm: &'a [u8],
    pub(super) key: &'a [u8],
    /// The signed bytes.
    pub(super) signed: &'a [u8],
    /// The algorithm of the signature: the content of its SEQUENCE.
    pub(super) signature_algorithm: &'a [u8],
    pub(super) signature: &'a [u8],
    extensions: &'a [u8],
}

/// An extension: its object identifier, whether it is critical, and its value.
pub(super) struct Extension<'a> {
    pub(super) id: &'a [u8],
    pub(super) critical: bool,
    pub(super) value: &'a [u8],
}

impl<'a> Certificate<'a> {
    /// Reads a certificate. `None`: the bytes are not a certificate.
    pub(super) fn read(der: &'a [u8]) -> Option<Self> {
        let mut parts = Reader(Reader(der).expect(SEQUENCE)?);
        let to_be_signed = parts.next().filter(|element| element.tag == SEQUENCE)?;
        let signature_algorithm = parts.expect(SEQUENCE)?;
        let signature = bits(parts.expect(BIT_STRING)?)?;
        let mut fields = Reader(to_be_signed.value);
        let version = match fields.optional(0xa0) {
            Some(version) => Reader(version).expect(INTEGER)?.first()?.checked_add(1)?,
            None => 1,
        };
        fields.expect(INTEGER)?;
        fields.expect(SEQUENCE)?;
        let issuer = fields.expect(SEQUENCE)?;
        let mut dates = Reader(fields.expect(SEQUENCE)?);
        let (not_before, not_after) = (time(dates.next()?)?, time(dates.next()?)?);
        let subject = fields.expect(SEQUENCE)?;
        let public_key_info = fields.next().filter(|element| element.tag == SEQUENCE)?;
        let mut key = Reader(public_key_info.value);
        let key_algorithm = key.expect(SEQUENCE)?;
        let key = bits(key.expect(BIT_STRING)?)?;
        let (_, _) = (fields.optional(0x81), fields.optional(0x82));
        let extensions = match fields.optional(0xa3) {
            Some(extensions) => Reader(extensions).expect(SEQUENCE)?,
            None => &[],
        };
        Some(Self {
            version,
            issuer,
            not_before,
            not_after,
            subject,
            public_key_info: public_key_info.whole,
            key_algorithm,
            key,
            signed: to_be_signed.whole,
            signature_algorithm,
            signature,
            extensions,
        })
    }

    /// Returns the extensions. After a malformed extension comes one `None` and the end.
    pub(super) fn extensions(&self) -> impl Iterator<Item = Option<Extension<'a>>> {
        let mut rest = Reader(self.extensions);
        std::iter::from_fn(move || {
            if rest.0.is_empty() {
                return None;
            }
            let extension = || {
                let mut fields = Reader(rest.expect(SEQUENCE)?);
                let id = fields.expect(OBJECT_ID)?;
                let critical = fields.optional(0x01).is_some_and(|value| value != [0]);
                Some(Extension { id, critical, value: fields.expect(0x04)? })
            };
            let extension = { extension }();
            if extension.is_none() {
                rest.0 = &[];
            }
            Some(extension)
        })
    }

    /// The size of an RSA key in bits (RFC 8017, appendix A.1.1). `None` for another kind of key.
    pub(super) fn rsa_bits(&self) -> Option<usize> {
        const RSA_ENCRYPTION: &[u8] =
            &[OBJECT_ID, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
        if !self.key_algorithm.starts_with(RSA_ENCRYPTION) {
            return None;
        }
        let modulus = Reader(Reader(self.key).expect(SEQUENCE)?).expect(INTEGER)?;
        let digits = modulus.strip_prefix(&[0]).unwrap_or(modulus);
        Some(digits.len() * 8 - digits.first()?.leading_zeros() as usize)
    }

    /// Returns the first common name of the subject.
    pub(super) fn common_name(&self) -> Option<&'a str> {
        const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
        let mut sets = Reader(self.subject);
        while let Some(set) = sets.next() {
            let mut attributes = Reader(set.value);
            while let Some(attribute) = attributes.next() {
                let mut parts = Reader(attribute.value);
                if parts.expect(OBJECT_ID)? == COMMON_NAME {
                    return std::str::from_utf8(parts.next()?.value).ok();
                }
            }
        }
        None
    }
}

/// Returns the bytes of a BIT STRING that ends with a whole byte.
fn bits(value: &[u8]) -> Option<&[u8]> {
    value.split_first().filter(|(unused, _)| **unused == 0).map(|(_, bytes)| bytes)
}

/// Reads a UTCTime or GeneralizedTime (RFC 5280, section 4.1.2.5).
fn time(element: Element<'_>) -> Option<UnixTime> {
    let text = std::str::from_utf8(element.value).ok()?.strip_suffix('Z')?;
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<u32>().ok();
    let (year, rest) = match (element.tag, text.len()) {
        (0x17, 12) => {
            (number(0..2).map(|year| if year < 50 { 2000 + year } else { 1900 + year })?, 2)
        }
        (0x18, 14) => (number(0..4)?, 4),
        _ => return None,
    };
    let field = |n: usize| number(rest + 2 * n..rest + 2 * n + 2);
    let (month, day) = (field(0)?, field(1)?);
    let seconds = field(2)? * 3600 + field(3)? * 60 + field(4)?;
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let since = std::time::Duration::from_secs(
        u64::try_from(days_from_civil(year.into(), month.into(), day.into())).ok()? * 86_400
            + u64::from(seconds),
    );
    Some(UnixTime::since_unix_epoch(since))
}

const SHA256_ID: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];
const SHA384_ID: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02];
const SHA512_ID: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03];

/// Returns `tls-server-end-point`: the hash of the server's certificate, with the hash function of
/// its signature (RFC 5929, section 4).
///
/// `None` if the signature names no hash function: Ed25519 has none.
pub(super) fn end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
    const ECDSA: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04];
    let mut algorithm = Reader(Certificate::read(certificate)?.signature_algorithm);
    let id = algorithm.expect(OBJECT_ID)?;
    let function = match (id.strip_prefix(RSA), id.strip_prefix(ECDSA)) {
        // MD5 and SHA-1 are replaced by SHA-256.
        (Some([4 | 5 | 11]), _) | (_, Some([1] | [3, 2])) => &SHA256,
        (Some([12]), _) | (_, Some([3, 3])) => &SHA384,
        (Some([13]), _) | (_, Some([3, 4])) => &SHA512,
        // RSA-PSS names the function in its parameters. Without parameters it means SHA-1.
        (Some([10]), _) => {
            let hash = algorithm.expect(SEQUENCE).and_then(|parameters| {
                let hash = Reader(parameters).optional(0xa0)?;
                Reader(Reader(hash).expect(SEQUENCE)?).expect(OBJECT_ID)
            });
            match hash {
                None | Some(SHA256_ID) => &SHA256,
                Some(SHA384_ID) => &SHA384,
                Some(SHA512_ID) => &SHA512,
                Some(_) => return None,
            }
        }
        _ => return None,
    };
    Some(digest(function, certificate).as_ref().to_vec())
}

/// Returns an algorithm's name in the standards, for messages.
pub(super) fn algorithm_name(algorithm: &[u8]) -> String {
    const NAMES: &[(&[u8], &str)] = &[
        (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01], "RSA"),
        (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x04], "RSA with MD5"),
        (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x05], "RSA with SHA-1"),
        (
            &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a],
            "RSA-PSS with an unusual salt or hash",
        ),
        (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b], "RSA with SHA-256"),
        (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0e], "RSA with SHA-224"),
        (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01], "ECDSA with SHA-1"),
        (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x01], "ECDSA with SHA-224"),
        (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02], "ECDSA with SHA-256"),
        (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03], "ECDSA with SHA-384"),
        (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04], "ECDSA with SHA-512"),
        (&[0x2b, 0x65, 0x70], "Ed25519"),
        (&[0x2b, 0x65, 0x71], "Ed448"),
        (&[0x2a, 0x86, 0x48, 0xce, 0x38, 0x04, 0x01], "DSA"),
    ];
    const CURVES: &[(&[u8], &str)] = &[
        (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07], "P-256"),
        (&[0x2b, 0x81, 0x04, 0x00, 0x22], "P-384"),
        (&[0x2b, 0x81, 0x04, 0x00, 0x23], "P-521"),
        (&[0x2b, 0x81, 0x04, 0x00, 0x0a], "secp256k1"),
    ];
    const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
    let mut parts = Reader(algorithm);
    let id = parts.expect(OBJECT_ID).unwrap_or_default();
    let find = |table: &[(&[u8], &'static str)], id: &[u8]| {
        table.iter().find(|(known, _)| *known == id).map(|(_, name)| *name)
    };
    if id == EC {
        let curve = parts.expect(OBJECT_ID).unwrap_or_default();
        return match find(CURVES, curve) {
            Some(curve) => format!("ECDSA on the curve {curve}"),
            None => "ECDSA on an unusual curve".to_owned(),
        };
    }
    find(NAMES, id).map_or_else(|| format!("the algorithm {}", dotted(id)), str::to_owned)
}

/// Returns an object identifier in its dotted form.
fn dotted(id: &[u8]) -> String {
    let mut out = String::new();
    let mut number: u64 = 0;
    for (n, byte) in id.iter().take(32).enumerate() {
        number = number << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            match n {
                0 => out = format!("{}.{}", number / 40, number % 40),
                _ => out.push_str(&format!(".{number}")),
            }
            number = 0;
        }
    }
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn certificate() -> Vec<u8> {
        let mut params = rcgen::CertificateParams::new(vec!["db".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2024, 2, 29);
        params.not_after = rcgen::date_time_ymd(2060, 1, 1);
        params.distinguished_name.push(rcgen::DnType::CommonName, "the name");
        let key = rcgen::KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn a_certificate_is_read() {
        let der = certificate();
        let read = Certificate::read(&der).unwrap();
        assert_eq!((read.version, read.issuer == read.subject), (3, true));
        assert_eq!(read.not_before.as_secs(), 1_709_164_800);
        assert_eq!(read.not_after.as_secs(), 2_840_140_800);
        assert_eq!(algorithm_name(read.key_algorithm), "ECDSA on the curve P-256");
        assert_eq!(algorithm_name(read.signature_algorithm), "ECDSA with SHA-256");
        assert!(read.extensions().all(|extension| extension.is_some()));
        assert!(read.extensions().count() > 0);
        assert_eq!(end_point(&der).unwrap(), digest(&SHA256, &der).as_ref());
        assert!(read.common_name().is_some());
    }

    #[test]
    fn a_broken_certificate_is_none_and_no_panic() {
        let der = certificate();
        for length in 0..der.len() {
            assert!(Certificate::read(&der[..length]).is_none(), "{length}");
            assert!(end_point(&der[..length]).is_none(), "{length}");
        }
        for n in 0..der.len() {
            for value in [0, 0x30, 0x7f, 0x80, 0x83, 0xff] {
                let mut broken = der.clone();
                broken[n] = value;
                if let Some(read) = Certificate::read(&broken) {
                    let _ = (read.common_name(), read.extensions().count(), end_point(&broken));
                }
            }
        }
    }

    #[test]
    fn an_unknown_algorithm_is_named_by_its_number() {
        assert_eq!(algorithm_name(&[0x06, 0x03, 0x2a, 0x03, 0x04]), "the algorithm 1.2.3.4");
        assert_eq!(algorithm_name(&[]), "the algorithm ");
    }
}
