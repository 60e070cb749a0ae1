//! TLS for every kind: one rustls setup with ring, checked at build and made at the first
//! handshake.

mod chain;
mod der;
mod failure;
mod files;
mod key;
mod names;
mod verify;

use std::{
    io,
    net::IpAddr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use rustls::{
    ClientConfig, SignatureScheme,
    client::{ResolvesClientCert, Resumption, danger::ServerCertVerifier},
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, CertificateRevocationListDer, ServerName},
    sign::CertifiedKey,
};
use tokio_rustls::TlsConnector;

use crate::{
    connect::{Endpoint, RecordingStream, Stream},
    probe::{Attempt, Class, Failure},
    secret::Secret,
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

/// How much of the server's certificate is verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verify {
    /// Chain, dates and name.
    #[default]
    Full,
    /// Chain and dates, not the name (libpq's `verify-ca`).
    Chain,
    /// Nothing is verified: the connection is encrypted only (libpq's `require`).
    Nothing,
}

/// The paths of the files that a TLS setup reads.
#[derive(Clone, Debug, Default)]
pub struct TlsFiles {
    /// The certificates to trust. None, or `system`, means the system's certificates.
    pub ca: Option<String>,
    /// The client certificate and its chain.
    pub cert: Option<String>,
    /// The client certificate's private key.
    pub key: Option<String>,
}

impl TlsFiles {
    /// Returns the files that the TLS keys of a declaration name. A file of `self` replaces a key
    /// that is not set.
    #[must_use]
    pub fn overridden_by(self, spec: &Spec) -> Self {
        Self {
            ca: spec.owned("ca").or(self.ca),
            cert: spec.owned("cert").or(self.cert),
            key: spec.owned("key").or(self.key),
        }
    }
}

/// The names of a certificate that count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Names {
    /// The names of its subjectAltName extension (RFC 9525).
    #[default]
    Alternative,
    /// As in libpq and OpenSSL: without such names, the subject's common name, also of an X.509
    /// version 1 certificate.
    SubjectOrAlternative,
}

/// The versions of TLS that the client offers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Versions {
    /// 1.2 and 1.3.
    #[default]
    Both,
    /// Only 1.2.
    Only12,
    /// Only 1.3.
    Only13,
}

/// The use of Server Name Indication in the handshake (RFC 6066, section 3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServerNameIndication {
    /// The handshake names the server, unless the name is an address.
    #[default]
    Send,
    /// The handshake does not name the server.
    Omit,
}

/// All TLS settings of one dependency.
#[derive(Default)]
pub struct TlsSetup {
    /// The files to read.
    pub files: TlsFiles,
    /// The password of an encrypted private key.
    pub key_password: Option<Secret>,
    /// Files with lists of revoked certificates.
    pub crls: Vec<String>,
    /// The name that the certificate must have, if it differs from the host.
    pub server_name: Option<String>,
    /// How much of the server's certificate is verified.
    pub verify: Verify,
    /// The names of the certificate that count.
    pub names: Names,
    /// The versions that the client offers.
    pub versions: Versions,
    /// The use of Server Name Indication.
    pub sni: ServerNameIndication,
}

/// A connection after a TLS handshake.
pub struct Secured {
    /// The connection.
    pub stream: Box<dyn Stream>,
    /// The hash of the server's certificate for channel binding: `tls-server-end-point` (RFC 5929).
    pub end_point: Option<Vec<u8>>,
    /// The protocol that the server chose from those of [`Tls::with_alpn`] (RFC 7301).
    pub alpn: Option<Vec<u8>>,
    /// The use of our certificate.
    pub client_certificate: ClientCertificate,
}

/// The use of our certificate in a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCertificate {
    /// The server did not ask for one.
    NotRequested,
    /// The server asked for one, and we have none.
    NotSent,
    /// The server asked for one, and got it.
    Sent,
}

/// Sends the client certificate, if any, and records that the server asked for it. Each handshake
/// has its own.
#[derive(Debug)]
struct ClientResolver {
    certificate: Option<Arc<CertifiedKey>>,
    requested: AtomicBool,
}

impl ResolvesClientCert for ClientResolver {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.requested.store(true, Relaxed);
        self.certificate.clone()
    }

    fn has_certs(&self) -> bool {
        self.certificate.is_some()
    }
}

/// An error in a TLS setting: the key and the message.
struct Problem {
    key: &'static str,
    message: String,
}

impl Problem {
    /// Returns a function that makes an error in the setting `key` from a message.
    fn of(key: &'static str) -> impl Fn(String) -> Self {
        move |message| Self { key, message }
    }
}

/// The TLS client of one dependency. Its files are read and checked; the rest is made at the first
/// handshake.
pub struct Tls {
    /// `None` means the system's certificates.
    ca: Option<Vec<CertificateDer<'static>>>,
    client: Option<Arc<CertifiedKey>>,
    crls: Vec<CertificateRevocationListDer<'static>>,
    server_name: Option<ServerName<'static>>,
    verify: Verify,
    names: Names,
    versions: Versions,
    sni: ServerNameIndication,
    alpn: Vec<Vec<u8>>,
    config: OnceLock<Result<Arc<ClientConfig>, Failure>>,
}

/// A verifier for one handshake, in place of the setup's own.
type OtherVerifier = Option<Arc<dyn ServerCertVerifier>>;

impl Tls {
    /// Returns true if a declaration sets any of the TLS keys.
    pub fn is_asked_for(spec: &Spec) -> bool {
        KEYS.iter().any(|key| {
            spec.key(key.name).is_some_and(|value| (key.name, value) != ("insecure", "false"))
        })
    }

    /// Reads the TLS keys of a declaration. Errors name the key and the path, never the file's
    /// content.
    pub fn from_spec(spec: &Spec) -> Result<Self, ConfigError> {
        let setup = TlsSetup {
            files: TlsFiles::default().overridden_by(spec),
            server_name: spec.owned("server-name"),
            verify: if spec.flag("insecure")? { Verify::Nothing } else { Verify::Full },
            ..TlsSetup::default()
        };
        Self::read(setup).map_err(|problem| spec.key_error(problem.key, problem.message))
    }

    /// Makes the client from settings that the caller has read.
    ///
    /// # Errors
    /// A wrong file or name. The error names the path, never the file's content.
    pub fn new(
        files: TlsFiles,
        server_name: Option<String>,
        verify: Verify,
    ) -> Result<Self, String> {
        Self::with_setup(TlsSetup { files, server_name, verify, ..TlsSetup::default() })
    }

    /// Makes the client from all possible settings.
    ///
    /// # Errors
    /// The same errors as [`Tls::new`].
    pub fn with_setup(setup: TlsSetup) -> Result<Self, String> {
        Self::read(setup).map_err(|problem| problem.message)
    }

    /// Offers these protocols in the handshake, the preferred one first (RFC 7301), e.g. `h2`.
    ///
    /// Call it before the first handshake.
    #[must_use]
    pub fn with_alpn(mut self, protocols: &[&[u8]]) -> Self {
        self.alpn = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        self
    }

    fn read(setup: TlsSetup) -> Result<Self, Problem> {
        let TlsSetup { files, key_password, crls, server_name, verify, names, versions, sni } =
            setup;
        let server_name = server_name.map(|name| name_of(&name)).transpose();
        let server_name = server_name.map_err(Problem::of("server-name"))?;
        let ca = files.ca.filter(|path| path != "system");
        let ca = ca.map(|path| files::read_ca(&path)).transpose().map_err(Problem::of("ca"))?;
        let client = match (files.cert, files.key) {
            (Some(cert), Some(key)) => {
                Some(Arc::new(files::read_client(&cert, &key, key_password.as_ref())?))
            }
            (Some(_), None) => {
                let message = "a client certificate needs its private key beside it";
                return Err(Problem::of("cert")(message.to_owned()));
            }
            (None, Some(_)) => {
                let message = "a private key needs its client certificate beside it";
                return Err(Problem::of("key")(message.to_owned()));
            }
            (None, None) => None,
        };
        let (paths, mut crls) = (crls, Vec::new());
        for path in &paths {
            crls.extend(files::read_crls(path).map_err(Problem::of("sslcrl"))?);
        }
        let alpn = Vec::new();
        let config = OnceLock::new();
        let tls =
            Self { ca, client, crls, server_name, verify, names, versions, sni, alpn, config };
        if !tls.crls.is_empty() && verify != Verify::Nothing {
            // Malformed lists are found now, not at the first handshake.
            tls.verifier().map_err(|failure| Problem::of("sslcrl")(failure.message.to_string()))?;
        }
        Ok(tls)
    }

    fn verifier(&self) -> Result<verify::Verifier, Failure> {
        verify::Verifier::new(self.verify, self.names, self.ca.as_deref(), &self.crls)
    }

    /// Does the TLS handshake on an open connection. The certificate must be valid for `host`,
    /// unless another name is set.
    pub async fn connect(
        &self,
        attempt: &Attempt<'_>,
        host: &str,
        stream: Box<dyn Stream>,
    ) -> Result<Box<dyn Stream>, Failure> {
        Ok(self.handshake(attempt, host, stream).await?.stream)
    }

    /// Does the handshake, and returns its results beside the connection.
    pub async fn handshake(
        &self,
        attempt: &Attempt<'_>,
        host: &str,
        stream: Box<dyn Stream>,
    ) -> Result<Secured, Failure> {
        self.shake_hands(attempt, host, stream, None).await
    }

    /// Does the handshake to its end even if the certificate is not trusted. Returns that failure
    /// beside the connection, over which nothing secret may then be sent.
    ///
    /// With a client certificate the handshake breaks off: it would name us to a stranger.
    #[cfg(feature = "mysql")]
    pub async fn handshake_to_its_end(
        &self,
        attempt: &Attempt<'_>,
        host: &str,
        stream: Box<dyn Stream>,
    ) -> Result<(Box<dyn Stream>, Option<Failure>), Failure> {
        if self.verify == Verify::Nothing || self.client.is_some() {
            return Ok((self.connect(attempt, host, stream).await?, None));
        }
        let deferred = Arc::new(verify::Deferred::new(Arc::new(self.verifier()?)));
        let other = Arc::clone(&deferred) as Arc<dyn ServerCertVerifier>;
        let secured = self.shake_hands(attempt, host, stream, Some(other)).await?;
        let refusal = deferred.refusal().map(|error| {
            let error = io::Error::new(io::ErrorKind::InvalidData, error);
            failure::handshake(&error, &[], &self.context(host))
        });
        Ok((secured.stream, refusal))
    }

    async fn shake_hands(
        &self,
        attempt: &Attempt<'_>,
        host: &str,
        stream: Box<dyn Stream>,
        other: OtherVerifier,
    ) -> Result<Secured, Failure> {
        let name = match &self.server_name {
            Some(name) => name.clone(),
            None => name_of(host).map_err(|message| {
                Failure::new(Class::Config, format!("{message}: {host}; set server-name"))
            })?,
        };
        let config = self.config.get_or_init(|| self.config()).clone()?;
        let resolver = Arc::new(ClientResolver {
            certificate: self.client.clone(),
            requested: AtomicBool::new(false),
        });
        let mut config = ClientConfig::clone(&config);
        config.client_auth_cert_resolver = Arc::clone(&resolver) as Arc<dyn ResolvesClientCert>;
        if let Some(verifier) = other {
            config.dangerous().set_certificate_verifier(verifier);
        }
        attempt.stage(format!("connected to {host}, but no end of the TLS handshake"));
        let (stream, first) = RecordingStream::new(stream);
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
        let stream = stream
            .map_err(|error| failure::handshake(&error, &first.bytes(), &self.context(host)))?;
        let (_, session) = stream.get_ref();
        let certificate = session.peer_certificates().and_then(<[_]>::first);
        Ok(Secured {
            end_point: certificate.and_then(|certificate| der::end_point(certificate)),
            alpn: session.alpn_protocol().map(<[u8]>::to_vec),
            client_certificate: match (resolver.requested.load(Relaxed), &self.client) {
                (false, _) => ClientCertificate::NotRequested,
                (true, None) => ClientCertificate::NotSent,
                (true, Some(_)) => ClientCertificate::Sent,
            },
            stream: Box::new(stream),
        })
    }

    fn context<'a>(&self, host: &'a str) -> failure::HandshakeContext<'a> {
        failure::HandshakeContext {
            host,
            own_ca: self.ca.is_some(),
            client_cert: self.client.is_some(),
        }
    }

    fn config(&self) -> Result<Arc<ClientConfig>, Failure> {
        let internal = |error: rustls::Error| {
            Failure::new(Class::Config, format!("TLS cannot be set up: {error}"))
        };
        let versions: &[_] = match self.versions {
            Versions::Both => rustls::ALL_VERSIONS,
            Versions::Only12 => &[&rustls::version::TLS12],
            Versions::Only13 => &[&rustls::version::TLS13],
        };
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)
            .map_err(internal)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(self.verifier()?))
            // Each handshake has its own certificate resolver.
            .with_no_client_auth();
        config.enable_sni = self.sni == ServerNameIndication::Send;
        config.alpn_protocols.clone_from(&self.alpn);
        // A resumed session would skip the certificates, which the probe must check.
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

/// Connects to `endpoint`, by TLS if `tls` is set. A Unix socket needs no TLS.
pub async fn connect_to(
    attempt: &Attempt<'_>,
    endpoint: &Endpoint,
    tls: Option<&Tls>,
) -> Result<Box<dyn Stream>, Failure> {
    let stream = attempt.connect(endpoint).await?;
    match (tls, endpoint) {
        (Some(tls), Endpoint::Tcp(host, _)) => tls.connect(attempt, host, stream).await,
        _ => Ok(stream),
    }
}

/// Returns true if a file holds an encrypted private key in DER.
pub fn holds_encrypted_der(path: &str) -> bool {
    files::read_file(path).is_ok_and(|bytes| key::is_encrypted(&bytes))
}

/// Returns true if a server's first bytes are a TLS record: an alert or a handshake message (RFC
/// 8446, section 5.1).
pub fn is_tls_record(first: &[u8]) -> bool {
    matches!(first, [0x15 | 0x16, 3, ..])
}

/// Returns the failure of reading or writing on an open TLS stream.
///
/// Under TLS 1.3 our handshake ends before the server checks our certificate. If it refuses the
/// certificate, its alert comes with the first read.
pub fn tls_stream_failure(error: &io::Error, endpoint: &Endpoint) -> Failure {
    failure::late(error, endpoint)
}

/// Returns the one provider. The process-wide default is not used, because other code could have
/// set it.
fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(ring::default_provider())))
}

/// Returns a name or address in TLS's form: without brackets, IPv6 zone or the final dot of an
/// absolute name. Only this machine knows the zone.
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
