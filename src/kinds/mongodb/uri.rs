//! The options of a connection string, each by its meaning for readiness.
//!
//! Source: the drivers' specifications "URI Options" and "Connection String". Names are matched
//! without regard to case.

use super::member::Role;
use crate::{
    secret::Secret,
    spec::{ConfigError, Spec},
    text::nearest,
    tls::Verify,
};

/// Options that cannot change whether a server is ready: pools, times, retries, formats.
static WITHOUT_EFFECT: &[&str] = &[
    "appName",
    "authMechanismProperties",
    "autoReconnect",
    "compressors",
    "connect",
    "connectTimeoutMS",
    "document_class",
    "enableOverloadRetargeting",
    "enableUtf8Validation",
    "family",
    "forceServerObjectId",
    "fsync",
    "gssapiServiceName",
    "heartbeatFrequencyMS",
    "j",
    "journal",
    "keepAlive",
    "localThresholdMS",
    "maxAdaptiveRetries",
    "maxConnecting",
    "maxConnectionIdleTimeMS",
    "maxIdleTimeMS",
    "maxLifeTimeMS",
    "maxPoolSize",
    "minHeartbeatFrequencyMS",
    "minPoolSize",
    "monitorCommands",
    "noDelay",
    "poolSize",
    "promoteLongs",
    "promoteValues",
    "readConcernLevel",
    "retryReads",
    "retryWrites",
    "safe",
    "serverMonitoringMode",
    "serverSelectionTimeoutMS",
    "serverSelectionTryOnce",
    "socketTimeoutMS",
    "srvMaxHosts",
    "timeoutMS",
    "tlsDisableCertificateRevocationCheck",
    "tlsDisableOCSPEndpointCheck",
    "tz_aware",
    "unicode_decode_error_handler",
    "useNewUrlParser",
    "useUnifiedTopology",
    "uuidRepresentation",
    "w",
    "waitQueueMultiple",
    "waitQueueSize",
    "waitQueueTimeoutMS",
    "wTimeoutMS",
    "zlibCompressionLevel",
];

/// Options that have an effect here.
static WITH_EFFECT: &[&str] = &[
    "authMechanism",
    "authSource",
    "directConnection",
    "loadBalanced",
    "maxStalenessSeconds",
    "proxyHost",
    "proxyPassword",
    "proxyPort",
    "proxyUsername",
    "readPreference",
    "readPreferenceTags",
    "replicaSet",
    "slaveOk",
    "srvServiceName",
    "ssl",
    "sslCertificateAuthorityFile",
    "sslClientCertificateKeyFile",
    "sslClientCertificateKeyPassword",
    "tls",
    "tlsAllowInvalidCertificates",
    "tlsAllowInvalidHostnames",
    "tlsCAFile",
    "tlsCertificateKeyFile",
    "tlsCertificateKeyFilePassword",
    "tlsCRLFile",
    "tlsInsecure",
];

/// The options that matter.
#[derive(Default)]
pub(super) struct Options {
    pub(super) set: Option<String>,
    pub(super) source: Option<String>,
    pub(super) mechanism: Option<Mechanism>,
    pub(super) direct: Option<bool>,
    pub(super) balanced: Option<bool>,
    pub(super) role: Option<Role>,
    pub(super) tags: Vec<Vec<(String, String)>>,
    pub(super) encrypted: Option<bool>,
    pub(super) ca: Option<String>,
    pub(super) cert_and_key: Option<String>,
    pub(super) key_password: Option<Secret>,
    pub(super) crl: Option<String>,
    pub(super) verify: Option<Verify>,
    pub(super) service: Option<String>,
}

/// The mechanism of the login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mechanism {
    ScramSha1,
    ScramSha256,
    /// For directory servers: the password in clear.
    Plain,
    X509,
}

impl Mechanism {
    const ALL: [(&str, Mechanism); 4] = [
        ("SCRAM-SHA-256", Mechanism::ScramSha256),
        ("SCRAM-SHA-1", Mechanism::ScramSha1),
        ("PLAIN", Mechanism::Plain),
        ("MONGODB-X509", Mechanism::X509),
    ];

    /// The name in the protocol.
    pub(super) fn name(self) -> &'static str {
        let named = Self::ALL.iter().find(|(_, mechanism)| *mechanism == self);
        named.map_or("", |(name, _)| name)
    }

    /// Returns true if the users belong to no database.
    pub(super) fn is_external(self) -> bool {
        matches!(self, Mechanism::Plain | Mechanism::X509)
    }

    fn read(spec: &Spec, value: &str) -> Result<Self, ConfigError> {
        let word = value.to_ascii_uppercase();
        match Self::ALL.iter().find(|(name, _)| *name == word) {
            Some((_, mechanism)) => Ok(*mechanism),
            None => Err(spec.error(
                "authMechanism: must be SCRAM-SHA-256, SCRAM-SHA-1, PLAIN or MONGODB-X509; \
                 afterall knows no other login (without user and authMechanism it asks without \
                 one)",
            )),
        }
    }
}

impl Options {
    /// Reads the pairs of the query, or of a TXT record.
    pub(super) fn read(spec: &Spec, pairs: Vec<(String, String)>) -> Result<Self, ConfigError> {
        let mut options = Self::default();
        for (name, value) in pairs {
            options.take(spec, &name, value)?;
        }
        Ok(options)
    }

    fn take(&mut self, spec: &Spec, name: &str, value: String) -> Result<(), ConfigError> {
        let truth = || match value.as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(spec.error(format_args!("{name}: must be true or false"))),
        };
        match name.to_ascii_lowercase().as_str() {
            "replicaset" => self.set = Some(value).filter(|set| !set.is_empty()),
            "authsource" => self.source = Some(value),
            "authmechanism" => self.mechanism = Some(Mechanism::read(spec, &value)?),
            "directconnection" => self.direct = Some(truth()?),
            "loadbalanced" => self.balanced = Some(truth()?),
            "readpreference" => self.role = Some(role(spec, &value)?),
            "slaveok" if truth()? => self.role = Some(Role::Any),
            "readpreferencetags" => self.tags.push(tags(spec, &value)?),
            "maxstalenessseconds" if value != "-1" => {
                spec.note("maxStalenessSeconds is not checked: a secondary may lag behind");
            }
            // The drivers refuse to connect.
            "tls" | "ssl" if self.encrypted.is_some_and(|other| Ok(other) != truth()) => {
                truth()?;
                return Err(spec.error("tls and ssl: must not contradict each other"));
            }
            "tls" | "ssl" => self.encrypted = Some(truth()?),
            "tlscafile" | "sslcertificateauthorityfile" => self.ca = Some(value),
            "tlscertificatekeyfile" | "sslclientcertificatekeyfile" => {
                self.cert_and_key = Some(value);
            }
            "tlscertificatekeyfilepassword" | "sslclientcertificatekeypassword" => {
                self.key_password = Some(spec.secret(value));
            }
            "tlscrlfile" => self.crl = Some(value),
            "tlsinsecure" | "tlsallowinvalidcertificates" if truth()? => {
                self.verify = Some(Verify::Nothing);
            }
            "tlsallowinvalidhostnames" if truth()? && self.verify.is_none() => {
                self.verify = Some(Verify::Chain);
            }
            "srvservicename" => self.service = Some(value),
            "proxyhost" | "proxyport" | "proxyusername" | "proxypassword" => {
                return Err(spec.error(format_args!(
                    "{name}: must be left out; afterall reaches MongoDB without a proxy only"
                )));
            }
            _ => note_unknown(spec, name),
        }
        Ok(())
    }
}

/// The drivers skip an option that they do not know, and so does this.
fn note_unknown(spec: &Spec, name: &str) {
    let known = || WITH_EFFECT.iter().chain(WITHOUT_EFFECT).copied();
    if known().any(|known| known.eq_ignore_ascii_case(name)) {
        return;
    }
    match nearest(name, known()) {
        Some(near) => spec.note(format_args!(
            "an option of the URL is unknown and skipped; did you mean {near}?"
        )),
        None => spec.note("an option of the URL is unknown and skipped"),
    }
}

fn role(spec: &Spec, value: &str) -> Result<Role, ConfigError> {
    match value.to_ascii_lowercase().as_str() {
        "primary" => Ok(Role::Primary),
        "secondary" => Ok(Role::Secondary),
        "primarypreferred" | "secondarypreferred" => Ok(Role::Preferred),
        "nearest" => Ok(Role::Any),
        _ => Err(spec.error(
            "readPreference: must be primary, primaryPreferred, secondary, secondaryPreferred or \
            nearest",
        )),
    }
}

/// `dc:ny,rack:1`; nothing at all is a set that every server has.
fn tags(spec: &Spec, value: &str) -> Result<Vec<(String, String)>, ConfigError> {
    let pairs = value.split(',').filter(|pair| !pair.is_empty());
    let pair = |pair: &str| {
        let (name, value) = pair.split_once(':')?;
        Some((name.to_owned(), value.to_owned()))
    };
    pairs.map(pair).collect::<Option<_>>().ok_or_else(|| {
        spec.error("readPreferenceTags: must be NAME:VALUE pairs, e.g. dc:ny,rack:1")
    })
}
