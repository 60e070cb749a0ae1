//! The PEM files that a TLS setup names: read at build, and proved to hold what they should.

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};

use super::Problem;
use crate::{os::read_bytes, text::path_shown};

/// The largest PEM file that is read, in bytes; the system's bundles have a quarter of a megabyte.
const MAX_PEM: u64 = 4 << 20;

/// The certificates to trust. At least one, and each of a form that can be trusted at all.
pub(super) fn read_ca(path: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let certs = read_certs(path)?;
    let mut roots = RootCertStore::empty();
    for (n, cert) in certs.iter().enumerate() {
        roots
            .add(cert.clone())
            .map_err(|_| format!("{path}: certificate {} cannot be read", n + 1))?;
    }
    Ok(certs)
}

/// A client certificate with the private key that belongs to it.
pub(super) fn read_client(cert: &str, key: &str) -> Result<CertifiedKey, Problem> {
    let certs = read_certs(cert).map_err(|what| Problem { key: "cert", what })?;
    let private = read_key(key).map_err(|what| Problem { key: "key", what })?;
    CertifiedKey::from_der(certs, private, &super::provider()).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => Problem {
            key: "key",
            what: format!("{key} is not the private key of the certificate {cert}"),
        },
        rustls::Error::InvalidCertificate(_) => {
            Problem { key: "cert", what: format!("{cert}: the first certificate cannot be read") }
        }
        // rustls has its own words for what is wrong with a key; none of them quotes it.
        other => Problem { key: "key", what: format!("{key}: not a usable private key ({other})") },
    })
}

fn read_certs(path: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = read_pem(path)?;
    let certs = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    match certs {
        Ok(certs) if !certs.is_empty() => Ok(certs),
        Ok(_) if pem.first() == Some(&0x30) => {
            Err(format!("{path}: is DER, and PEM is wanted (openssl x509 -inform der)"))
        }
        Ok(_) => Err(format!("{path}: holds no PEM certificate")),
        Err(_) => Err(format!("{path}: broken PEM")),
    }
}

fn read_key(path: &str) -> Result<PrivateKeyDer<'static>, String> {
    let pem = read_pem(path)?;
    let encrypted = [&b"ENCRYPTED PRIVATE KEY"[..], b"Proc-Type: 4,ENCRYPTED"];
    if encrypted.iter().any(|mark| pem.windows(mark.len()).any(|window| window == *mark)) {
        return Err(format!(
            "{path}: the private key is encrypted, and nobody is there to type its passphrase"
        ));
    }
    PrivateKeyDer::from_pem_slice(&pem).map_err(|_| format!("{path}: holds no PEM private key"))
}

fn read_pem(path: &str) -> Result<Vec<u8>, String> {
    read_bytes(path, MAX_PEM).map_err(|what| format!("{}: {what}", path_shown(path)))
}
