//! Servers, login and wanted part: the connection string, then the keys.

use super::{
    member::{Role, Wanted},
    uri::{Mechanism, Options},
};
use crate::{
    connect::Endpoint,
    kinds::{
        options::{pairs, verify},
        scram::Derived,
    },
    secret::Secret,
    spec::{ConfigError, Key, Spec},
    tls::{Tls, TlsFiles, TlsSetup},
};

const PORT: u16 = 27017;

pub(super) static KEYS: &[Key] = &[
    Key {
        name: "role",
        value: "primary|secondary|any",
        help: "part in the replica set that a server must have; overrides readPreference",
    },
    Key {
        name: "replica-set",
        value: "NAME",
        help: "replica set that the servers must belong to; overrides replicaSet",
    },
];

/// The servers of one declaration, their login, and the wanted part.
pub(super) struct Target {
    pub(super) source: Source,
    pub(super) wanted: Wanted,
    /// `None` means in clear.
    pub(super) tls: Option<Tls>,
    pub(super) login: Option<Login>,
}

/// The source of the servers' addresses.
pub(super) enum Source {
    Listed(Vec<Endpoint>),
    /// SRV records below this name.
    Records(Records),
}

/// `mongodb+srv:`.
pub(super) struct Records {
    pub(super) host: String,
    /// The service in the records' name, `mongodb` as a rule.
    pub(super) service: String,
    /// Options of the TXT record that the URL overrides.
    pub(super) overridden: Vec<&'static str>,
}

/// A login, and where the user is.
pub(super) struct Login {
    pub(super) user: String,
    pub(super) password: Secret,
    /// `None` means the best mechanism that the server offers for the user.
    pub(super) mechanism: Option<Mechanism>,
    /// The database that holds the user.
    pub(super) database: String,
    /// The keys that SCRAM derives from the password, kept for the next attempt.
    pub(super) derived: tokio::sync::Mutex<Option<Derived>>,
}

impl Target {
    pub(super) fn from_spec(spec: &Spec) -> Result<Self, ConfigError> {
        let parts = spec.parts()?;
        let options = Options::read(spec, pairs(spec, parts.query.as_ref())?)?;
        let of_records = spec.scheme == "mongodb+srv";
        let mut servers = Vec::new();
        for server in spec.servers(&parts.servers)? {
            if server.host.is_empty() {
                return Err(spec.error("needs a host, e.g. mongodb://app@db/app"));
            }
            if of_records && (server.port.is_some() || !servers.is_empty()) {
                return Err(spec.error("mongodb+srv: must have one name, without a port"));
            }
            servers.push(if server.host.starts_with('/') {
                Endpoint::Unix(server.host)
            } else {
                Endpoint::Tcp(server.host, server.port.unwrap_or(PORT))
            });
        }
        let wanted = wanted(spec, &options, servers.len(), of_records)?;
        let (user, password) = spec.login(parts.userinfo.as_ref())?;
        let path = spec.decoded("database", &parts.path)?;
        let login = login(spec, &options, user, password, path.trim_start_matches('/'))?;
        let source = match servers.first() {
            Some(Endpoint::Tcp(host, _)) if of_records => Source::Records(Records {
                host: host.trim_end_matches('.').to_owned(),
                service: options.service.clone().unwrap_or_else(|| "mongodb".to_owned()),
                overridden: [
                    ("authSource", options.source.is_some()),
                    ("replicaSet", wanted.set.is_some()),
                    ("loadBalanced", options.balanced.is_some()),
                ]
                .into_iter()
                .filter_map(|(name, is_overridden)| is_overridden.then_some(name))
                .collect(),
            }),
            _ => Source::Listed(servers),
        };
        Ok(Self { source, wanted, tls: tls(spec, options, of_records)?, login })
    }
}

fn wanted(
    spec: &Spec,
    options: &Options,
    servers: usize,
    of_records: bool,
) -> Result<Wanted, ConfigError> {
    let direct = options.direct.unwrap_or(false);
    let balanced = options.balanced.unwrap_or(false);
    let set = match spec.key("replica-set") {
        Some("") => return Err(spec.key_error("replica-set", "must be a name, e.g. rs0")),
        own => own.map(str::to_owned).or_else(|| options.set.clone()),
    };
    if direct && (servers > 1 || of_records) {
        return Err(spec.error("directConnection=true must have one server"));
    }
    if balanced && (servers > 1 || direct || set.is_some()) {
        return Err(spec.error(
            "loadBalanced=true must have one server, and neither replicaSet nor directConnection",
        ));
    }
    let role = match spec.key("role") {
        // A driver uses the one declared server, whatever the readPreference.
        None => options.role.filter(|_| !direct),
        Some("primary") => Some(Role::Primary),
        Some("secondary") => Some(Role::Secondary),
        Some("any") => Some(Role::Any),
        Some(_) => return Err(spec.key_error("role", "must be primary, secondary or any")),
    };
    let usual = if direct { Role::Any } else { Role::Primary };
    let role = role.unwrap_or(usual);
    if !options.tags.is_empty() && role == Role::Primary {
        return Err(spec.error("readPreferenceTags: must have a readPreference beside it"));
    }
    let strict = spec.key("role").is_some();
    let tags = if direct { Vec::new() } else { options.tags.clone() };
    Ok(Wanted { role, set, tags, direct, balanced, strict, several: servers > 1 })
}

fn login(
    spec: &Spec,
    options: &Options,
    user: Option<String>,
    password: Option<Secret>,
    path: &str,
) -> Result<Option<Login>, ConfigError> {
    let mechanism = options.mechanism;
    let (user, password) = match (user, password, mechanism) {
        (None, None, None) => return Ok(None),
        // The certificate names the user.
        (user, None, Some(Mechanism::X509)) => (user.unwrap_or_default(), spec.secret("")),
        (Some(_), Some(_), Some(Mechanism::X509)) => {
            return Err(spec.error("MONGODB-X509 must have no password"));
        }
        (Some(user), Some(password), _) => (user, password),
        (Some(_), None, _) => {
            return Err(spec.error(
                "must have a password beside the user, e.g. mongodb://app:${PASSWORD}@db/app",
            ));
        }
        (None, ..) => {
            return Err(spec.error("must have a user, e.g. mongodb://app:${PASSWORD}@db/app"));
        }
    };
    let is_external = mechanism.is_some_and(Mechanism::is_external);
    let usual = match (is_external, path) {
        (true, _) => "$external",
        (false, "") => "admin",
        (false, path) => path,
    };
    let database = options.source.as_deref().unwrap_or(usual);
    if is_external && database != "$external" && mechanism == Some(Mechanism::X509) {
        return Err(spec.error("authSource: must be $external with MONGODB-X509"));
    }
    if [user.as_str(), database].iter().any(|text| text.contains('\0')) || database.is_empty() {
        return Err(spec.error("user and authSource must be names without a NUL"));
    }
    Ok(Some(Login {
        user,
        password,
        mechanism,
        database: database.to_owned(),
        derived: tokio::sync::Mutex::default(),
    }))
}

fn tls(spec: &Spec, options: Options, of_records: bool) -> Result<Option<Tls>, ConfigError> {
    // SRV records come over an unprotected network, so that TLS is the default there.
    let usual = of_records || Tls::is_asked_for(spec);
    if !options.encrypted.unwrap_or(usual) {
        if Tls::is_asked_for(spec) {
            return Err(spec.error("tls=false contradicts the keys for TLS"));
        }
        return Ok(None);
    }
    let verify = verify(spec, options.verify)?;
    // One file holds both, as the drivers have it.
    let setup = TlsSetup {
        files: TlsFiles {
            ca: options.ca,
            cert: options.cert_and_key.clone(),
            key: options.cert_and_key,
        }
        .overridden_by(spec),
        key_password: options.key_password,
        crls: options.crl.into_iter().collect(),
        server_name: spec.owned("server-name"),
        verify,
        ..TlsSetup::default()
    };
    Tls::with_setup(setup).map(Some).map_err(|message| spec.error(message))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
