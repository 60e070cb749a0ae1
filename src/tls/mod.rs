//! TLS for every kind: one rustls setup with ring, proved right at build, made only when first needed.

mod failure;
mod files;
mod verify;

use std::{
    io,
    net::IpAddr,
    sync::{Arc, OnceLock},
};

use rustls::{
    ClientConfig,
    client::Resumption,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, ServerName},
    sign::{CertifiedKey, SingleCertAndKey},
};
use tokio_rustls::TlsConnector;

use crate::{
    connect::{Endpoint, RecordingStream, Stream},
    probe::{Attempt, Class, Failure},
    spec::{ConfigError, Key, Spec},
};

/// The TLS keys, the same for every kind.
pub static KEYS: &[Key] = &[
    Key {
        name: "ca",
        value: "PATH",
        help: "PEM file with the only certificates to trust; default: the system's",
    },
    Key { name: "cert", value: "PATH", help: "PEM file with our client certificate and its chain" },
    Key { name: "key", value: "PATH", help: "PEM file with the client certificate's private key" },
    Key {
        name: "server-name",
        value: "NAME",
        help: "name or address that the server's certificate must have; default: the host",
    },
    Key { name: "insecure", value: "", help: "trust any certificate" },
];

/// What of the server's certificate is verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verify {
    /// Its chain, its dates and its name.
    Full,
    /// Its chain and its dates, not the name (libpq's `verify-ca`).
    Chain,
    /// Nothing: encryption without knowing with whom (libpq's `require`).
    Nothing,
}

/// The files that a TLS setup reads, each a path.
#[derive(Clone, Debug, Default)]
pub struct TlsFiles {
    /// The certificates to trust; none, or `system`, means those of the system.
    pub ca: Option<String>,
    /// The client certificate and its chain.
    pub cert: Option<String>,
    /// The client certificate's private key.
    pub key: Option<String>,
}

/// What is wrong with a TLS setting: the key that it came from, and the words for it.
struct Problem {
    key: &'static str,
    what: String,
}

/// How one dependency speaks TLS. Its files were read and proved right; the rest is made at the first handshake.
pub struct Tls {
    /// None: the system's.
    ca: Option<Vec<CertificateDer<'static>>>,
    client: Option<Arc<CertifiedKey>>,
    server_name: Option<ServerName<'static>>,
    verify: Verify,
    alpn: Vec<Vec<u8>>,
    config: OnceLock<Result<Arc<ClientConfig>, Failure>>,
}

impl Tls {
    /// Whether a declaration sets any of the TLS keys.
    pub fn is_asked_for(spec: &Spec) -> bool {
        KEYS.iter().any(|key| {
            spec.key(key.name).is_some_and(|value| (key.name, value) != ("insecure", "false"))
        })
    }

    /// Reads the TLS keys of a declaration. Errors name the key and the path, never what the file holds.
    pub fn from_spec(spec: &Spec) -> Result<Self, ConfigError> {
        let owned = |key: &str| spec.key(key).map(str::to_owned);
        let files = TlsFiles { ca: owned("ca"), cert: owned("cert"), key: owned("key") };
        let verify = if spec.flag("insecure")? { Verify::Nothing } else { Verify::Full };
        Self::read(files, owned("server-name"), verify)
            .map_err(|problem| spec.key_error(problem.key, problem.what))
    }

    /// The same from settings that were read elsewhere, as Postgres has its own. The error names the path.
    pub fn new(
        files: TlsFiles,
        server_name: Option<String>,
        verify: Verify,
    ) -> Result<Self, String> {
        Self::read(files, server_name, verify).map_err(|problem| problem.what)
    }

    fn read(files: TlsFiles, server_name: Option<String>, verify: Verify) -> Result<Self, Problem> {
        let server_name = server_name.map(|name| name_of(&name)).transpose();
        let server_name = server_name.map_err(|what| Problem { key: "server-name", what })?;
        let ca = files.ca.filter(|path| path != "system");
        let ca = ca
            .map(|path| files::read_ca(&path).map_err(|what| Problem { key: "ca", what }))
            .transpose()?;
        let client = match (files.cert, files.key) {
            (Some(cert), Some(key)) => Some(Arc::new(files::read_client(&cert, &key)?)),
            (Some(_), None) => {
                return Err(Problem {
                    key: "cert",
                    what: "a client certificate needs its private key beside it".to_owned(),
                });
            }
            (None, Some(_)) => {
                return Err(Problem {
                    key: "key",
                    what: "a private key needs its client certificate beside it".to_owned(),
                });
            }
            (None, None) => None,
        };
        let (alpn, config) = (Vec::new(), OnceLock::new());
        Ok(Self { ca, client, server_name, verify, alpn, config })
    }

    /// Offers these application protocols in the handshake (RFC 7301).
    pub fn with_alpn(mut self, protocols: &[&[u8]]) -> Self {
        self.alpn = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        self
    }

    /// Speaks TLS on an open connection. `host` is what the certificate must be valid for, unless another name was set.
    pub async fn connect(
        &self,
        attempt: &Attempt<'_>,
        host: &str,
        stream: Box<dyn Stream>,
    ) -> Result<Box<dyn Stream>, Failure> {
        let name = match &self.server_name {
            Some(name) => name.clone(),
            None => name_of(host).map_err(|what| {
                Failure::new(Class::Config, format!("{what}: {host}; set server-name"))
            })?,
        };
        let config = self.config.get_or_init(|| self.config()).clone()?;
        attempt.stage(format!("connected to {host}, but no end of the TLS handshake"));
        let (stream, first) = RecordingStream::new(stream);
        match TlsConnector::from(config).connect(name, stream).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(failure::handshake(&error, &first.bytes(), &self.told(host))),
        }
    }

    fn told<'a>(&self, host: &'a str) -> failure::Told<'a> {
        failure::Told { host, own_ca: self.ca.is_some(), client_cert: self.client.is_some() }
    }

    fn config(&self) -> Result<Arc<ClientConfig>, Failure> {
        let internal = |error: rustls::Error| {
            Failure::new(Class::Config, format!("TLS cannot be set up: {error}"))
        };
        let verifier = verify::Verifier::new(self.verify, self.ca.as_deref())?;
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(internal)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match &self.client {
            Some(client) => builder
                .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(client)))),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols.clone_from(&self.alpn);
        // A resumed session skips the certificates of both sides, which are part of what is asked.
        config.resumption = Resumption::disabled();
        Ok(Arc::new(config))
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls")
            .field("server_name", &self.server_name)
            .field("verify", &self.verify)
            .finish_non_exhaustive()
    }
}

/// The failure of reading or writing on an open TLS stream.
///
/// Under TLS 1.3 the server looks at our certificate after the handshake has ended for us: its refusal is an alert
/// that comes with the first read.
pub fn tls_stream_failure(error: &io::Error, endpoint: &Endpoint) -> Failure {
    failure::late(error, endpoint)
}

/// One provider for everything, never the process-wide default: nobody else can have installed another.
fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(ring::default_provider())))
}

/// A name or an address as TLS knows it: without an IPv6 zone, which means something on this machine only, without
/// brackets, and without the dot that ends an absolute name.
fn name_of(host: &str) -> Result<ServerName<'static>, String> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let bare = bare.split_once('%').map_or(bare, |(address, _)| address);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Ok(ServerName::from(address));
    }
    let bare = bare.strip_suffix('.').unwrap_or(bare);
    ServerName::try_from(bare.to_owned())
        .map_err(|_| "neither a host name nor an address".to_owned())
}

#[cfg(test)]
mod tests;
