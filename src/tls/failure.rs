//! Explains a failed handshake to the person who has to repair it.

use std::{fmt, io, net::IpAddr, time::Duration};

use rustls::{
    AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible,
    pki_types::UnixTime,
};

use super::{der::algorithm_name, is_tls_record};
use crate::{
    connect::{Endpoint, is_local_limit, stream_failure},
    os::describe,
    probe::{Class, Cost, Failure},
    text::{it_says, quoted},
};

/// An algorithm that this build's TLS library does not support.
#[derive(Debug)]
pub(super) struct Unsupported(String);

impl Unsupported {
    pub(super) fn new(words: impl Into<String>) -> Self {
        Self(words.into())
    }

    /// An unsupported signature: the algorithms of the signature and of the issuer's key.
    pub(super) fn signature(signature: &[u8], key: &[u8]) -> Self {
        let (signature, key) = (algorithm_name(signature), algorithm_name(key));
        Self(format!("{CANNOT_VERIFY}: it is signed by {signature} (issuer's key: {key}), {LACKS}"))
    }

    /// An RSA key that is too short to be verified. `whose` is `its` or the authority's.
    pub(super) fn short_rsa_key(whose: &str, bits: usize) -> Self {
        Self(format!(
            "{CANNOT_VERIFY}: {whose} RSA key has {bits} bits, and must have at least \
            {MIN_RSA_BITS}"
        ))
    }

    /// An unsupported key, whose owner's signatures cannot be verified.
    pub(super) fn key(key: &[u8]) -> Self {
        Self(format!("{CANNOT_VERIFY}: its key is {}, {LACKS}", algorithm_name(key)))
    }
}

/// The shortest RSA key that ring verifies with, in bits.
pub(super) const MIN_RSA_BITS: usize = 2048;

const CANNOT_VERIFY: &str = "certificate cannot be verified";
const LACKS: &str = "which this build does not support";

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unsupported {}

/// The facts of our side that a message depends on.
pub(super) struct HandshakeContext<'a> {
    /// The server.
    pub(super) host: &'a str,
    /// The user declares `ca`, so the system's certificates do not count.
    pub(super) own_ca: bool,
    /// We have a client certificate.
    pub(super) client_cert: bool,
}

const NO_TLS: &str = "the server does not speak TLS";

/// Returns the failure of a handshake. `first` holds the server's first bytes.
pub(super) fn handshake(
    error: &io::Error,
    first: &[u8],
    context: &HandshakeContext<'_>,
) -> Failure {
    let host = context.host;
    let may_be_tls = matches!(first, [] | [0x15 | 0x16]) || is_tls_record(first);
    if !may_be_tls {
        let failure = Failure::new(Class::Tls, format!("{NO_TLS}{} ({host})", it_says(first)));
        return failure.with(|reason| reason.plaintext_reply = quoted(first));
    }
    match inner(error) {
        Some(error) => with_cause(error, context),
        None if is_local_limit(error) => {
            Failure::new(Class::Local, format!("a limit of this process: {}", describe(error)))
        }
        None => {
            let message = match error.kind() {
                io::ErrorKind::UnexpectedEof => "connection closed by the server".to_owned(),
                _ => describe(error),
            };
            let class = if first.is_empty() { Class::Connect } else { Class::Tls };
            Failure::new(class, format!("{message} in the TLS handshake ({host})"))
        }
    }
}

/// Returns the failure of an open TLS stream.
pub(super) fn late(error: &io::Error, endpoint: &Endpoint) -> Failure {
    match inner(error) {
        Some(Error::AlertReceived(alert)) => {
            let (message, hint) = alert_words(*alert, None);
            let failure = Failure::new(Class::Tls, format!("{message} ({endpoint})"));
            failure.cost(Cost::Logged).with_hint(hint)
        }
        Some(error) => {
            Failure::new(Class::Tls, format!("TLS broke: {} ({endpoint})", plain(error)))
        }
        None => stream_failure(error, endpoint),
    }
}

fn inner(error: &io::Error) -> Option<&Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref::<Error>())
}

fn with_cause(error: &Error, context: &HandshakeContext<'_>) -> Failure {
    let (message, hint) = match error {
        Error::InvalidCertificate(error) => certificate_words(error, context),
        Error::AlertReceived(alert) => alert_words(*alert, Some(context.client_cert)),
        Error::InvalidMessage(
            InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
        ) => (NO_TLS.to_owned(), None),
        Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        ) => ("the server speaks neither TLS 1.2 nor 1.3".to_owned(), None),
        // The other messages of rustls hold no Rust structure.
        other => (format!("TLS handshake: {}", plain(other)), None),
    };
    // One side has sent the reason in an alert, and servers log alerts.
    let failure = Failure::new(Class::Tls, format!("{message} ({})", context.host));
    failure.cost(Cost::Logged).with_hint(hint)
}

/// Describes the fault of the server's certificate.
fn certificate_words(
    error: &CertificateError,
    context: &HandshakeContext<'_>,
) -> (String, Option<&'static str>) {
    match error {
        CertificateError::UnknownIssuer if context.own_ca => (
            "certificate not trusted".to_owned(),
            Some("it was issued by none of the certificates in ca"),
        ),
        CertificateError::UnknownIssuer => (
            "certificate not trusted".to_owned(),
            Some("it was issued by nobody this system trusts; ca=PATH names whom to trust"),
        ),
        CertificateError::NotValidForNameContext { expected, presented } => {
            let whose = match presented.as_slice() {
                [] => "it names no host (no subjectAltName)".to_owned(),
                names => format!(
                    "it is for {}",
                    names.iter().map(|name| plain_name(name)).collect::<Vec<_>>().join(", ")
                ),
            };
            let message = format!("certificate not valid for {}: {whose}", expected.to_str());
            (message, Some("server-name=NAME sets the name to expect"))
        }
        CertificateError::ExpiredContext { time, not_after } => {
            (format!("certificate expired {} ago", apart(*time, *not_after)), None)
        }
        CertificateError::NotValidYetContext { time, not_before } => (
            format!("certificate not valid for another {}", apart(*not_before, *time)),
            Some("one of the two clocks may be wrong"),
        ),
        CertificateError::BadSignature => (
            "certificate not trusted: another authority of the same name signed it".to_owned(),
            Some("ca may hold an older or a newer one"),
        ),
        CertificateError::Revoked => ("certificate is revoked".to_owned(), None),
        CertificateError::UnknownRevocationStatus => (
            "certificate not trusted: no list of revoked certificates comes from its authority"
                .to_owned(),
            Some("sslcrl must hold a list of every authority in the chain"),
        ),
        CertificateError::ExpiredRevocationListContext { time, next_update } => (
            format!(
                "certificate not trusted: the list of revoked certificates expired {} ago",
                apart(*time, *next_update)
            ),
            None,
        ),
        CertificateError::UnsupportedSignatureAlgorithmContext {
            signature_algorithm_id, ..
        } => {
            let name = algorithm_name(signature_algorithm_id);
            (format!("{CANNOT_VERIFY}: it is signed by {name}, {LACKS}"), None)
        }
        CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext {
            signature_algorithm_id,
            public_key_algorithm_id,
        } => {
            let words = Unsupported::signature(signature_algorithm_id, public_key_algorithm_id);
            (words.0, None)
        }
        CertificateError::BadEncoding => ("certificate is not well formed".to_owned(), None),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => (
            "certificate not trusted: it is not for a server".to_owned(),
            Some("its extendedKeyUsage must hold serverAuth"),
        ),
        CertificateError::Other(other) if unsupported(other).is_some() => {
            (unsupported(other).unwrap_or_default().to_owned(), None)
        }
        // webpki's own errors are wrapped. The names of these two explain too little.
        other => match format!("{other:?}") {
            words if words.contains("UnsupportedCertVersion") => (
                "certificate is of X.509 version 1".to_owned(),
                Some("issue it as version 3, with a subjectAltName"),
            ),
            words if words.contains("CaUsedAsEndEntity") => (
                "certificate not trusted: it is that of an authority, not of a server".to_owned(),
                None,
            ),
            _ => ("certificate not trusted: its form is not supported".to_owned(), None),
        },
    }
}

/// Returns rustls's message for an error, without the Rust structure at the end of some.
fn plain(error: &Error) -> String {
    match error {
        Error::PeerIncompatible(_) => "the two sides have nothing in common".to_owned(),
        Error::PeerMisbehaved(_) => "the server broke the protocol".to_owned(),
        Error::InvalidMessage(_) => "the server sent a message that is not well formed".to_owned(),
        Error::InappropriateMessage { .. } | Error::InappropriateHandshakeMessage { .. } => {
            "the server sent a message out of turn".to_owned()
        }
        Error::InvalidCertRevocationList(_) => {
            "a list of revoked certificates is not usable".to_owned()
        }
        other => other.to_string(),
    }
}

fn unsupported(error: &rustls::OtherError) -> Option<&str> {
    error.0.downcast_ref::<Unsupported>().map(|unsupported| unsupported.0.as_str())
}

/// Returns a name without rustls's wrapping, e.g. `a` for `DnsName("a")`.
fn plain_name(name: &str) -> String {
    let inside = name.split_once('(').and_then(|(_, name)| name.strip_suffix(')'));
    let name = inside.unwrap_or(name).trim_matches('"');
    name.parse::<IpAddr>().map_or_else(|_| name.to_owned(), |address| address.to_string())
}

fn apart(later: UnixTime, earlier: UnixTime) -> humantime::FormattedDuration {
    let seconds = later.as_secs().saturating_sub(earlier.as_secs());
    // Two units are precise enough.
    let unit = match seconds {
        0..60 => 1,
        60..86_400 => 60,
        _ => 3_600,
    };
    humantime::format_duration(Duration::from_secs(seconds / unit * unit))
}

/// Explains the server's alert (RFC 8446, section 6.2). `client_cert` is true if we have a
/// certificate; `None` if unknown.
fn alert_words(
    alert: AlertDescription,
    client_cert: Option<bool>,
) -> (String, Option<&'static str>) {
    use AlertDescription as A;
    const GIVE: &str = "cert=PATH and key=PATH give one";
    let name = alert_name(alert);
    match alert {
        A::CertificateRequired | A::NoCertificate => {
            (format!("the server wants a client certificate (alert: {name})"), Some(GIVE))
        }
        A::BadCertificate
        | A::UnsupportedCertificate
        | A::CertificateRevoked
        | A::CertificateExpired
        | A::CertificateUnknown
        | A::UnknownCA
        | A::AccessDenied
        | A::DecryptError => match client_cert {
            Some(true) => {
                (format!("the server refused our client certificate (alert: {name})"), None)
            }
            Some(false) => {
                (format!("the server wants a client certificate (alert: {name})"), Some(GIVE))
            }
            None => (
                format!("the server refused our client certificate, or wants one (alert: {name})"),
                Some(GIVE),
            ),
        },
        A::HandshakeFailure if client_cert == Some(false) => (
            format!("the server refused the handshake (alert: {name})"),
            Some("it may want a client certificate: cert=PATH, key=PATH"),
        ),
        A::UnrecognisedName => (
            format!("the server does not know itself by that name (alert: {name})"),
            Some("server-name=NAME sets another"),
        ),
        A::ProtocolVersion => {
            (format!("the server speaks neither TLS 1.2 nor 1.3 (alert: {name})"), None)
        }
        _ => (format!("the server refused the handshake (alert: {name})"), None),
    }
}

/// Returns an alert's name in lower-case words, e.g. `bad certificate`.
fn alert_name(alert: AlertDescription) -> String {
    let mut out = String::new();
    for c in format!("{alert:?}").replace("CA", "Ca").chars() {
        if c.is_uppercase() && !out.is_empty() {
            out.push(' ');
        }
        out.extend(c.to_lowercase());
    }
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn context(own_ca: bool, client_cert: bool) -> HandshakeContext<'static> {
        HandshakeContext { host: "db", own_ca, client_cert }
    }

    fn of(error: Error, first: &[u8]) -> (Class, String) {
        let error = io::Error::new(io::ErrorKind::InvalidData, error);
        let failure = handshake(&error, first, &context(true, false));
        (failure.class, failure.message.to_string())
    }

    #[test]
    fn every_failure_of_a_handshake_is_told_for_what_it_is() {
        const TLS: &[u8] = &[0x16, 3, 3, 0];
        let now = UnixTime::since_unix_epoch(Duration::from_secs(1_000_000));
        let then = UnixTime::since_unix_epoch(Duration::from_secs(1_000_000 - 3 * 86_400 - 70));
        for (error, first, want) in [
            (CertificateError::UnknownIssuer.into(), TLS, "certificate not trusted (db)"),
            (
                CertificateError::ExpiredContext { time: now, not_after: then }.into(),
                TLS,
                "certificate expired 3days ago (db)",
            ),
            (
                CertificateError::NotValidYetContext { time: then, not_before: now }.into(),
                TLS,
                "certificate not valid for another 3days (db)",
            ),
            (
                CertificateError::NotValidForNameContext {
                    expected: super::super::name_of("db").unwrap(),
                    presented: vec![
                        "DnsName(\"other\")".to_owned(),
                        "IpAddress(127.0.0.1)".to_owned(),
                    ],
                }
                .into(),
                TLS,
                "certificate not valid for db: it is for other, 127.0.0.1 (db)",
            ),
            (
                CertificateError::NotValidForNameContext {
                    expected: super::super::name_of("db").unwrap(),
                    presented: vec![],
                }
                .into(),
                TLS,
                "certificate not valid for db: it names no host (no subjectAltName) (db)",
            ),
            (
                CertificateError::Other(rustls::OtherError(Arc::new(io::Error::other(
                    "UnsupportedCertVersion",
                ))))
                .into(),
                TLS,
                "certificate is of X.509 version 1 (db)",
            ),
            (
                Error::AlertReceived(AlertDescription::CertificateRequired),
                TLS,
                "the server wants a client certificate (alert: certificate required) (db)",
            ),
            (
                Error::AlertReceived(AlertDescription::UnknownCA),
                TLS,
                "the server wants a client certificate (alert: unknown ca) (db)",
            ),
            (
                Error::AlertReceived(AlertDescription::InternalError),
                TLS,
                "the server refused the handshake (alert: internal error) (db)",
            ),
            (
                Error::InvalidMessage(InvalidMessage::InvalidContentType),
                b"HTTP/1.1 400 Bad Request\r\n",
                "the server does not speak TLS, it says: HTTP/1.1 400 Bad Request (db)",
            ),
            (
                Error::InvalidMessage(InvalidMessage::InvalidContentType),
                &[0xff, 0],
                "the server does not speak TLS (db)",
            ),
        ] {
            assert_eq!(of(error, first), (Class::Tls, want.to_owned()));
        }
    }

    #[test]
    fn a_close_in_the_handshake_is_tls_only_after_server_bytes() {
        for (first, class) in [(&[][..], Class::Connect), (&[0x16, 3, 3][..], Class::Tls)] {
            let failure =
                handshake(&io::ErrorKind::UnexpectedEof.into(), first, &context(false, false));
            let want = "connection closed by the server in the TLS handshake (db)".to_owned();
            assert_eq!((failure.class, failure.message.to_string()), (class, want));
        }
    }

    #[test]
    fn a_client_certificate_refused_after_the_handshake_is_a_tls_failure() {
        let endpoint = Endpoint::Tcp("db".to_owned(), 5432);
        let alert = Error::AlertReceived(AlertDescription::BadCertificate);
        let failure = late(&io::Error::new(io::ErrorKind::InvalidData, alert), &endpoint);
        assert_eq!(failure.class, Class::Tls);
        assert_eq!(
            &*failure.message,
            "the server refused our client certificate, or wants one (alert: bad certificate) \
            (db:5432)"
        );
        let failure = late(&io::ErrorKind::UnexpectedEof.into(), &endpoint);
        assert_eq!(
            (failure.class, failure.message.as_str()),
            (Class::Connect, "connection closed by the server (db:5432)")
        );
    }
}
