//! Reads and checks the files that a TLS setup names, at build.

use base64::{Engine, engine::general_purpose::STANDARD};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, CertificateRevocationListDer, pem::PemObject},
    sign::CertifiedKey,
};

use super::{Problem, der::Certificate, der::algorithm_name, key::read_key, provider};
use crate::{
    os::read_bytes,
    secret::Secret,
    text::{path_shown, strip_byte_order_mark},
};

/// The largest accepted file, in bytes. The system's bundles have a quarter of a megabyte.
const MAX_PEM: u64 = 4 << 20;

/// Returns the certificates to trust: at least one, and each usable as a trust anchor.
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

/// Returns a client certificate with its private key.
///
/// The server judges the certificate's form, so a certificate of X.509 version 1 is sent unchanged.
pub(super) fn read_client(
    cert: &str,
    key: &str,
    password: Option<&Secret>,
) -> Result<CertifiedKey, Problem> {
    let certs = read_certs(cert).map_err(Problem::of("cert"))?;
    let of_key = |message: String| Problem::of("key")(format!("{}: {message}", path_shown(key)));
    let private = read_file(key).map_err(Problem::of("key"))?;
    let private = read_key(&private, password).map_err(of_key)?;
    let certificate = certs.first().and_then(|first| Certificate::read(first));
    let certificate = certificate.ok_or_else(|| {
        let message = format!("{}: the first certificate cannot be read", path_shown(cert));
        Problem::of("cert")(message)
    })?;
    let signing = provider().key_provider.load_private_key(private).map_err(|_| {
        let algorithm = algorithm_name(certificate.key_algorithm);
        of_key(format!(
            "must be a private key that this build supports, and the certificate's is {algorithm}"
        ))
    })?;
    let public = signing.public_key();
    if public.is_some_and(|public| public.as_ref() != certificate.public_key_info) {
        let message =
            format!("{} is not the private key of the certificate {cert}", path_shown(key));
        return Err(Problem::of("key")(message));
    }
    Ok(CertifiedKey::new(certs, signing))
}

/// Returns the lists of revoked certificates in a PEM file.
pub(super) fn read_crls(path: &str) -> Result<Vec<CertificateRevocationListDer<'static>>, String> {
    let pem = read_file(path)?;
    let crls = CertificateRevocationListDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    match crls {
        Ok(crls) if !crls.is_empty() => Ok(crls),
        _ => Err(format!("{path}: must hold a list of revoked certificates in PEM")),
    }
}

fn read_certs(path: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = read_file(path)?;
    let certs = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    match certs {
        Ok(certs) if !certs.is_empty() => Ok(certs),
        Ok(_) if pem.first() == Some(&0x30) => {
            Err(format!("{path}: is DER, and PEM is wanted (openssl x509 -inform der)"))
        }
        Ok(_) if is_encoded_pem(&pem) => Err(format!(
            "{path}: is base64 of a PEM file, encoded once too often (a Secret's data made from \
            data?): base64 -d decodes it"
        )),
        Ok(_) => Err(format!("{path}: holds no PEM certificate")),
        Err(_) => Err(format!("{path}: broken PEM")),
    }
}

/// Returns true if a file is the base64 of a PEM file, as in a Secret that was encoded twice.
fn is_encoded_pem(bytes: &[u8]) -> bool {
    let text: Vec<u8> = bytes.iter().filter(|byte| !byte.is_ascii_whitespace()).copied().collect();
    let start = text.get(..text.len().min(64)).unwrap_or_default();
    STANDARD
        .decode(&start[..start.len() / 4 * 4])
        .is_ok_and(|start| start.starts_with(b"-----BEGIN "))
}

/// Returns a file's content without a byte order mark.
pub(super) fn read_file(path: &str) -> Result<Vec<u8>, String> {
    let bytes = read_bytes(path, MAX_PEM);
    let bytes = bytes.map_err(|message| format!("{}: {message}", path_shown(path)))?;
    Ok(strip_byte_order_mark(&bytes).to_vec())
}
