//! Verifies server certificates by rustls's rules, and by the further rules that OpenSSL users
//! expect.

use std::sync::{Arc, OnceLock};
#[cfg(feature = "mysql")]
use std::sync::{Mutex, PoisonError};

use rustls::{
    CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        VerifierBuilderError, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, CertificateRevocationListDer, ServerName, UnixTime},
    server::ParsedCertificate,
};

use super::{
    Names, Verify, chain,
    der::Certificate,
    failure::{MIN_RSA_BITS, Unsupported},
    names, provider,
};
use crate::probe::{Class, Failure};

/// Verifies as much as `verify` demands, with the system's trusted certificates or the declared
/// ones.
#[derive(Debug)]
pub(super) struct Verifier {
    verify: Verify,
    names: Names,
    /// True if lists of revoked certificates are checked.
    has_crls: bool,
    /// `None` if nothing is verified.
    webpki: Option<Arc<WebPkiServerVerifier>>,
    /// The certificates in `ca`.
    own: Vec<CertificateDer<'static>>,
}

impl Verifier {
    pub(super) fn new(
        verify: Verify,
        names: Names,
        ca: Option<&[CertificateDer<'static>]>,
        crls: &[CertificateRevocationListDer<'static>],
    ) -> Result<Self, Failure> {
        let own = ca.unwrap_or_default().to_vec();
        let has_crls = !crls.is_empty();
        let roots = match (verify, ca) {
            (Verify::Nothing, _) => {
                return Ok(Self { verify, names, has_crls, webpki: None, own });
            }
            (_, Some(ca)) => {
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(ca.iter().cloned());
                Arc::new(roots)
            }
            (_, None) => system_roots()?,
        };
        // As in OpenSSL: if there is a list, every certificate of the chain needs a list that has
        // not expired.
        let webpki = WebPkiServerVerifier::builder_with_provider(roots, provider())
            .with_crls(crls.iter().cloned())
            .enforce_revocation_expiration()
            .build();
        let webpki = webpki.map_err(|error| {
            let message = match error {
                VerifierBuilderError::InvalidCrl(_) => {
                    "must be lists of revoked certificates of version 2, without indirect entries"
                }
                _ => "no certificate to trust",
            };
            Failure::new(Class::Config, message)
        })?;
        Ok(Self { verify, names, has_crls, webpki: Some(webpki), own })
    }

    /// Returns true if the name is acceptable although webpki rejects it.
    fn name_is_right(&self, leaf: &CertificateDer<'_>, name: &ServerName<'_>) -> bool {
        self.verify == Verify::Chain
            || self.names == Names::SubjectOrAlternative && names::matches(leaf, name)
    }

    /// Verifies a certificate of X.509 version 1, which webpki cannot read.
    fn version_1(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.has_crls {
            return Err(Unsupported::new(
                "certificate is of X.509 version 1, and sslcrl is not supported with that",
            )
            .into());
        }
        chain::verify(leaf, intermediates, &self.own, now)?;
        if self.name_is_right(leaf, name) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::NotValidForNameContext {
                expected: name.to_owned(),
                presented: Vec::new(),
            }
            .into())
        }
    }

    /// Rejects a signature that this build cannot verify. The error names the algorithm of the
    /// server's key.
    fn check_scheme(
        &self,
        leaf: &CertificateDer<'_>,
        scheme: SignatureScheme,
    ) -> Result<(), Error> {
        let leaf = Certificate::read(leaf).ok_or(CertificateError::BadEncoding)?;
        if let Some(bits) = short_rsa_key(&leaf) {
            return Err(Unsupported::short_rsa_key("its", bits).into());
        }
        if provider().signature_verification_algorithms.supported_schemes().contains(&scheme) {
            return Ok(());
        }
        Err(Unsupported::key(leaf.key_algorithm).into())
    }

    /// Names the short RSA key of an authority, on which ring fails as on a wrong signature.
    fn name_short_key(&self, intermediates: &[CertificateDer<'_>], error: Error) -> Error {
        if error != Error::InvalidCertificate(CertificateError::BadSignature) {
            return error;
        }
        let authorities = intermediates.iter().chain(&self.own);
        let mut short = authorities.filter_map(|authority| {
            Certificate::read(authority).and_then(|authority| short_rsa_key(&authority))
        });
        match short.next() {
            Some(bits) => Unsupported::short_rsa_key("its authority's", bits).into(),
            None => error,
        }
    }

    /// Accepts the server's own certificate as its authority, as OpenSSL does and rustls does not.
    ///
    /// webpki has checked the dates already: it does so before it checks usage and issuer.
    fn pinned(
        &self,
        leaf: &CertificateDer<'_>,
        name: &ServerName<'_>,
        error: Error,
    ) -> Result<(), Error> {
        let dates_wrong = matches!(
            error,
            Error::InvalidCertificate(
                CertificateError::Expired
                    | CertificateError::ExpiredContext { .. }
                    | CertificateError::NotValidYet
                    | CertificateError::NotValidYetContext { .. }
                    | CertificateError::BadEncoding
            )
        );
        if dates_wrong || !self.own.iter().any(|own| own == leaf) {
            return Err(error);
        }
        match self.verify {
            Verify::Full => verify_server_name(&ParsedCertificate::try_from(leaf)?, name),
            Verify::Chain | Verify::Nothing => Ok(()),
        }
    }
}

/// rustls's check of a signature, for one version of TLS.
type Check = fn(
    &[u8],
    &CertificateDer<'_>,
    &DigitallySignedStruct,
    &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error>;

impl Verifier {
    /// Verifies the server's signature in the handshake.
    fn verify_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
        check: Check,
    ) -> Result<HandshakeSignatureValid, Error> {
        // If any certificate is accepted, its signature proves nothing, and a certificate of X.509
        // version 1 would fail here.
        match self.verify {
            Verify::Nothing => Ok(HandshakeSignatureValid::assertion()),
            _ if chain::is_version_1(leaf) => chain::verify_handshake(message, leaf, signature)
                .map(|()| HandshakeSignatureValid::assertion()),
            _ => {
                self.check_scheme(leaf, signature.scheme)?;
                check(message, leaf, signature, &provider().signature_verification_algorithms)
            }
        }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(webpki) = &self.webpki else { return Ok(ServerCertVerified::assertion()) };
        match webpki.verify_server_cert(leaf, intermediates, name, ocsp, now) {
            Ok(verified) => Ok(verified),
            // webpki checks the name last, so this error means that all else is valid.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if self.name_is_right(leaf, name) => Ok(ServerCertVerified::assertion()),
            Err(_) if self.names == Names::SubjectOrAlternative && chain::is_version_1(leaf) => {
                self.version_1(leaf, intermediates, name, now)
            }
            Err(error) => {
                let error = self.name_short_key(intermediates, error);
                self.pinned(leaf, name, error).map(|()| ServerCertVerified::assertion())
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_signature(message, leaf, signature, verify_tls12_signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_signature(message, leaf, signature, verify_tls13_signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let mut schemes = provider().signature_verification_algorithms.supported_schemes();
        // ring cannot verify these. They are offered all the same: `insecure` accepts them, and
        // otherwise the failure can name them.
        schemes.push(SignatureScheme::ECDSA_NISTP521_SHA512);
        schemes.push(SignatureScheme::ED448);
        schemes
    }
}

/// Lets a handshake end whatever the certificate, and keeps the first error for the caller.
#[cfg(feature = "mysql")]
#[derive(Debug)]
pub(super) struct Deferred {
    verifier: Arc<Verifier>,
    refusal: Mutex<Option<Error>>,
}

#[cfg(feature = "mysql")]
impl Deferred {
    pub(super) fn new(verifier: Arc<Verifier>) -> Self {
        Self { verifier, refusal: Mutex::new(None) }
    }

    /// The first error of the verification.
    pub(super) fn refusal(&self) -> Option<Error> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keep<T>(&self, verified: Result<T, Error>, accepted: T) -> Result<T, Error> {
        verified.or_else(|error| {
            self.refusal.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            Ok(accepted)
        })
    }
}

#[cfg(feature = "mysql")]
impl ServerCertVerifier for Deferred {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.verifier.verify_server_cert(leaf, intermediates, name, ocsp, now);
        self.keep(verified, ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let verified = self.verifier.verify_tls12_signature(message, leaf, signature);
        self.keep(verified, HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let verified = self.verifier.verify_tls13_signature(message, leaf, signature);
        self.keep(verified, HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

/// The size in bits of an RSA key that is too short for ring.
fn short_rsa_key(certificate: &Certificate<'_>) -> Option<usize> {
    certificate.rsa_bits().filter(|bits| *bits < MIN_RSA_BITS)
}

/// Returns the system's trusted certificates. They are read once, because reading takes
/// milliseconds. Images from scratch have none.
fn system_roots() -> Result<Arc<RootCertStore>, Failure> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let roots = ROOTS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(roots)
    });
    if roots.is_empty() {
        Err(Failure::new(
            Class::Config,
            "this system has no trusted certificates (no ca-certificates in the image?)",
        )
        .hint("ca=PATH names the certificate to trust"))
    } else {
        Ok(Arc::clone(roots))
    }
}
