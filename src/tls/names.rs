//! The names of a certificate that count for a host, by libpq's rules.

use std::net::IpAddr;

use rustls::pki_types::ServerName;

use super::der::{Certificate, Reader};

/// Returns true if libpq accepts `certificate` for `name` (`fe-secure-common.c`).
///
/// The alternative names come first. The common name counts if none of them has the host's type, a
/// name or an address.
pub(super) fn matches(certificate: &[u8], name: &ServerName<'_>) -> bool {
    let Some(certificate) = Certificate::read(certificate) else { return false };
    let host = name.to_str();
    let address = host.parse::<IpAddr>().ok();
    let mut common_name_counts = true;
    for alternative in alternative_names(&certificate) {
        let (is_of_the_sort, matches) = match alternative {
            // libpq compares these with a host that is an address, too.
            Alternative::Name(pattern) => (address.is_none(), name_matches(pattern, &host)),
            Alternative::Address(bytes) => {
                (address.is_some(), address.is_some_and(|address| is_address(address, bytes)))
            }
        };
        if matches {
            return true;
        }
        common_name_counts &= !is_of_the_sort;
    }
    common_name_counts
        && certificate.common_name().is_some_and(|pattern| name_matches(pattern, &host))
}

enum Alternative<'a> {
    Name(&'a str),
    Address(&'a [u8]),
}

/// Returns the dNSName and iPAddress entries of the subjectAltName extension (RFC 5280, section
/// 4.2.1.6).
fn alternative_names<'a>(certificate: &Certificate<'a>) -> Vec<Alternative<'a>> {
    const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
    let mut names = Vec::new();
    let extensions = certificate.extensions().flatten();
    for extension in extensions.filter(|extension| extension.id == SUBJECT_ALT_NAME) {
        let mut entries = Reader(Reader(extension.value).expect(0x30).unwrap_or_default());
        while let Some(entry) = entries.next() {
            match entry.tag {
                0x82 => {
                    names.extend(std::str::from_utf8(entry.value).ok().map(Alternative::Name));
                }
                0x87 => names.push(Alternative::Address(entry.value)),
                _ => {}
            }
        }
    }
    names
}

/// Returns true if the pattern matches. `*.` matches one label. A name with a NUL matches nothing.
fn name_matches(pattern: &str, host: &str) -> bool {
    if pattern.contains('\0') {
        return false;
    }
    if pattern.eq_ignore_ascii_case(host) {
        return true;
    }
    let Some(suffix) = pattern.strip_prefix('*').filter(|suffix| suffix.starts_with('.')) else {
        return false;
    };
    let (label, rest) = host.split_at(host.find('.').unwrap_or(host.len()));
    !label.is_empty() && suffix.len() > 1 && rest.eq_ignore_ascii_case(suffix)
}

fn is_address(address: IpAddr, bytes: &[u8]) -> bool {
    match address {
        IpAddr::V4(address) => address.octets() == bytes,
        IpAddr::V6(address) => address.octets() == bytes,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    fn certificate(common_name: &str, alternatives: Vec<SanType>) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.subject_alt_names = alternatives;
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn the_common_name_counts_where_libpq_lets_it() {
        let name = |name: &str| SanType::DnsName(name.try_into().unwrap());
        let address = SanType::IpAddress("10.0.0.1".parse().unwrap());
        for (common_name, alternatives, host, want) in [
            ("db", vec![], "db", true),
            ("DB", vec![], "db", true),
            ("*.example", vec![], "db.example", true),
            ("*.example", vec![], "a.db.example", false),
            ("*.example", vec![], ".example", false),
            ("d*.example", vec![], "db.example", false),
            ("db", vec![name("other")], "db", false),
            ("db", vec![address.clone()], "db", true),
            ("x", vec![name("db")], "db", true),
            ("10.0.0.1", vec![], "10.0.0.1", true),
            ("10.0.0.1", vec![address.clone()], "10.0.0.2", false),
            ("x", vec![address], "10.0.0.1", true),
            ("x", vec![name("10.0.0.1")], "10.0.0.1", true),
            ("10.0.0.1", vec![name("x")], "10.0.0.1", true),
        ] {
            let certificate = certificate(common_name, alternatives.clone());
            let Ok(server) = ServerName::try_from(host) else { continue };
            assert_eq!(
                matches(&certificate, &server),
                want,
                "{common_name} {alternatives:?} {host}"
            );
        }
    }
}
