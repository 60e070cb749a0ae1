//! Which server certificates are accepted: rustls's own rules, and what OpenSSL users expect beside them.

use std::sync::{Arc, OnceLock};

use rustls::{
    CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::{verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};

use super::{Verify, provider};
use crate::probe::{Class, Failure};

/// Verifies as much as `verify` says, against the system's roots or those that were given.
#[derive(Debug)]
pub(super) struct Verifier {
    verify: Verify,
    /// None where nothing is verified.
    webpki: Option<Arc<WebPkiServerVerifier>>,
    /// What `ca` holds.
    own: Vec<CertificateDer<'static>>,
}

impl Verifier {
    pub(super) fn new(
        verify: Verify,
        ca: Option<&[CertificateDer<'static>]>,
    ) -> Result<Self, Failure> {
        let own = ca.unwrap_or_default().to_vec();
        let roots = match (verify, ca) {
            (Verify::Nothing, _) => return Ok(Self { verify, webpki: None, own }),
            (_, Some(ca)) => {
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(ca.iter().cloned());
                Arc::new(roots)
            }
            (_, None) => system_roots()?,
        };
        let webpki = WebPkiServerVerifier::builder_with_provider(roots, provider()).build();
        let webpki = webpki
            .map_err(|e| Failure::new(Class::Config, format!("no certificate to trust: {e}")))?;
        Ok(Self { verify, webpki: Some(webpki), own })
    }

    /// Accepts what rustls refuses and OpenSSL does not: the server's very certificate, given as its own authority.
    ///
    /// The dates were checked before: webpki looks at them before it asks what a certificate may be used for and who issued it.
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
            // The name is looked at last, so this says that all the rest is right.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if self.verify == Verify::Chain => Ok(ServerCertVerified::assertion()),
            Err(error) => self.pinned(leaf, name, error).map(|()| ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        // Where any certificate will do, its signature proves nothing, and one of X.509 version 1 would fail here.
        match self.verify {
            Verify::Nothing => Ok(HandshakeSignatureValid::assertion()),
            _ => verify_tls12_signature(
                message,
                leaf,
                signature,
                &provider().signature_verification_algorithms,
            ),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match self.verify {
            Verify::Nothing => Ok(HandshakeSignatureValid::assertion()),
            _ => verify_tls13_signature(
                message,
                leaf,
                signature,
                &provider().signature_verification_algorithms,
            ),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

/// The system's trusted certificates, read once: it takes milliseconds, and images from scratch have none.
fn system_roots() -> Result<Arc<RootCertStore>, Failure> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let roots = ROOTS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(roots)
    });
    match roots.is_empty() {
        false => Ok(Arc::clone(roots)),
        true => Err(Failure::new(
            Class::Config,
            "this system has no trusted certificates (no ca-certificates in the image?)",
        )
        .hint("ca=PATH names the certificate to trust")),
    }
}
