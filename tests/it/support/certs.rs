//! Certificate authorities and the certificates that they sign, as PEM files.

use super::dir::Dir;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A certificate with its key; the files live as long as the value or its authority.
#[derive(Clone)]
pub struct Identity {
    pub cert: PathBuf,
    pub key: PathBuf,
    _dir: Arc<Dir>,
}

impl Identity {
    pub fn cert_text(&self) -> &str {
        self.cert.to_str().unwrap()
    }

    pub fn key_text(&self) -> &str {
        self.key.to_str().unwrap()
    }

    /// The TLS of a server that shows this certificate.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        let cert = CertificateDer::from_pem_file(&self.cert).unwrap();
        let key = PrivateKeyDer::from_pem_file(&self.key).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider);
        let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        Arc::new(config.with_single_cert(vec![cert], key).unwrap())
    }

    /// A certificate that signs itself.
    pub fn self_signed(names: &[&str]) -> Self {
        let key = KeyPair::generate().unwrap();
        let cert = server_params(names).self_signed(&key).unwrap();
        write(&Arc::new(Dir::new()), "self-signed", &cert.pem(), &key)
    }
}

pub struct Authority {
    dir: Arc<Dir>,
    issuer: Issuer<'static, KeyPair>,
    issued: AtomicUsize,
    /// The path for the key `ca`.
    pub cert: PathBuf,
}

impl Authority {
    /// A new authority with a key of its own, even where the name is used already.
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let dir = Arc::new(Dir::new());
        let cert = dir.write("ca.pem", params.self_signed(&key).unwrap().pem());
        Self { dir, issuer: Issuer::new(params, key), issued: AtomicUsize::new(0), cert }
    }

    pub fn cert_text(&self) -> &str {
        self.cert.to_str().unwrap()
    }

    pub fn cert_path(&self) -> &Path {
        &self.cert
    }

    /// A server's certificate for these names and IP addresses.
    pub fn server(&self, names: &[&str]) -> Identity {
        self.sign("server", server_params(names))
    }

    /// A certificate that expired in 2001.
    pub fn expired_server(&self, names: &[&str]) -> Identity {
        let mut params = server_params(names);
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(2001, 1, 1);
        self.sign("expired", params)
    }

    pub fn client(&self, common_name: &str) -> Identity {
        self.client_with_subject(&[(DnType::CommonName, common_name)])
    }

    /// The parts in the order in which nats-server's `verify_and_map` compares them.
    pub fn client_with_subject(&self, subject: &[(DnType, &str)]) -> Identity {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        for (kind, value) in subject {
            params.distinguished_name.push(kind.clone(), *value);
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign("client", params)
    }

    fn sign(&self, role: &str, params: CertificateParams) -> Identity {
        let n = self.issued.fetch_add(1, Ordering::Relaxed);
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        write(&self.dir, &format!("{role}-{n}"), &cert.pem(), &key)
    }
}

fn server_params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
}

fn write(dir: &Arc<Dir>, name: &str, cert: &str, key: &KeyPair) -> Identity {
    Identity {
        cert: dir.write(&format!("{name}.pem"), cert),
        key: dir.write_secret(&format!("{name}.key"), key.serialize_pem()),
        _dir: Arc::clone(dir),
    }
}
