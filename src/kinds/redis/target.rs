//! Reads servers, login and wanted state: first the URL in each driver's form, then the keys.

use crate::{
    connect::Endpoint,
    kinds::{
        listed::endpoints,
        options::{TlsOptions, pairs, truth},
    },
    secret::Secret,
    spec::{ConfigError, Key, Spec},
    text::{nearest, path_shown},
    tls::{Tls, Verify},
};

/// The port of a server (Redis documentation, "Configuration").
const PORT: u16 = 6379;
/// The port of a Sentinel.
const SENTINEL_PORT: u16 = 26379;

pub(super) static KEYS: &[Key] = &[
    Key { name: "role", value: "master|replica", help: "role that the server must have" },
    Key {
        name: "exists",
        value: "NAME",
        help: "key that must exist; key=NAME does too where no cert is given",
    },
    Key {
        name: "sentinel",
        value: "MASTER",
        help: "the servers are Sentinels: ask them for the master of this name",
    },
    Key { name: "user", value: "NAME", help: "ACL user to log in as; overrides the URL" },
    Key { name: "password", value: "PASSWORD", help: "the user's password; overrides the URL" },
    Key { name: "sentinel-user", value: "NAME", help: "ACL user of the Sentinels" },
    Key {
        name: "sentinel-password",
        value: "PASSWORD",
        help: "password of the Sentinels; default: that of the server, where one is asked for",
    },
];

/// The servers, the login and the wanted state of one declaration.
pub(super) struct Target {
    pub(super) servers: Vec<Endpoint>,
    pub(super) login: Option<Login>,
    pub(super) sentinel: Option<Sentinel>,
    /// `None` means in clear.
    pub(super) tls: Option<Tls>,
    pub(super) wanted: Wanted,
}

/// The arguments of AUTH.
#[derive(Clone)]
pub(super) struct Login {
    pub(super) user: Option<Secret>,
    pub(super) password: Secret,
    /// The URL names a user and no password, as other drivers write a password.
    pub(super) is_user_alone: bool,
}

/// The servers of the declaration are Sentinels.
pub(super) struct Sentinel {
    pub(super) master: String,
    pub(super) login: Option<Login>,
}

/// The properties that a server must have.
pub(super) struct Wanted {
    pub(super) database: u32,
    pub(super) role: Option<WantedRole>,
    pub(super) key: Option<String>,
    /// The scheme names a cluster, so a server outside a cluster is wrong.
    pub(super) cluster: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WantedRole {
    Master,
    Replica,
}

/// The parts of the scheme, e.g. `rediss+sentinel`.
struct Scheme {
    encrypted: bool,
    unix: bool,
    sentinel: bool,
    cluster: bool,
}

impl Scheme {
    fn read(scheme: &str) -> Self {
        let (base, suffix) = scheme.split_once(['+', '-']).unwrap_or((scheme, ""));
        Self {
            encrypted: matches!(base, "rediss" | "valkeys"),
            unix: matches!(suffix, "unix" | "socket"),
            sentinel: suffix == "sentinel",
            cluster: suffix == "cluster",
        }
    }
}

impl Target {
    pub(super) fn from_spec(spec: &Spec) -> Result<Self, ConfigError> {
        let scheme = Scheme::read(&spec.scheme);
        let parts = spec.parts()?;
        let options = Options::read(spec, pairs(spec, parts.query.as_ref())?)?;
        let path = spec.decoded("path", &parts.path)?;
        let path = if scheme.unix {
            Path { database: None, master: None }
        } else {
            Path::read(spec, &path, scheme.sentinel)?
        };
        let master = spec.owned("sentinel").or(path.master).or(options.master);
        let sentinel = sentinel(spec, &scheme, master)?;
        let servers = if scheme.unix {
            vec![socket(spec)?]
        } else {
            let port = if sentinel.is_some() { SENTINEL_PORT } else { PORT };
            endpoints(spec, &parts.servers, port, &format!("{}://cache:6379", spec.scheme))?
        };
        let (user, password) = match &parts.userinfo {
            // Users often write a password in place of the user.
            Some(userinfo) => {
                let (user, password) = spec.userinfo(userinfo)?;
                (Some(spec.secret(user)), password)
            }
            None => (None, None),
        };
        // In redis-py too, a user or a password before the host overrides that of the query.
        let is_set = |secret: &Secret| !secret.reveal().is_empty();
        let user = spec.secret_key("user").or(user.filter(is_set)).or(options.user);
        let password = spec.secret_key("password").or(password.filter(is_set)).or(options.password);
        let user = user.filter(is_set);
        // `redis://:${PASSWORD}@host` with an empty variable is a URL without a login, as in the
        // drivers.
        let password = password.filter(|password| user.is_some() || !password.reveal().is_empty());
        let is_user_alone = password.is_none();
        let login = match (user, password) {
            (None, None) => None,
            (user, password) => Some(Login {
                user,
                password: password.unwrap_or_else(|| spec.secret("")),
                is_user_alone,
            }),
        };
        let key = exists(spec)?;
        if scheme.unix && wants_tls(spec) {
            return Err(spec.error("a Unix socket needs no TLS: the TLS keys must go"));
        }
        let encrypted = scheme.encrypted || options.encrypted || wants_tls(spec);
        let private = spec.key("cert").and(spec.key("key"));
        if let Some(path) = private.filter(|path| !std::path::Path::new(path).exists()) {
            let what = "must be the file of the cert's private key; a key of Redis is exists=NAME";
            return Err(spec.key_error("key", format_args!("{}: {what}", path_shown(path))));
        }
        let tls = encrypted.then(|| options.tls.read(spec, private)).transpose()?;
        Ok(Self {
            servers,
            login,
            sentinel,
            tls,
            wanted: Wanted {
                database: options.database.or(path.database).unwrap_or(0),
                role: role(spec)?,
                key,
                cluster: scheme.cluster,
            },
        })
    }
}

fn role(spec: &Spec) -> Result<Option<WantedRole>, ConfigError> {
    match spec.key("role") {
        None => Ok(None),
        Some("master" | "primary") => Ok(Some(WantedRole::Master)),
        Some("replica" | "slave") => Ok(Some(WantedRole::Replica)),
        Some(_) => Err(spec.key_error("role", "must be master or replica")),
    }
}

/// `key` is the private key of a `cert`; without one there is nothing that it could belong to.
fn exists(spec: &Spec) -> Result<Option<String>, ConfigError> {
    let key = spec.key("key").filter(|_| spec.key("cert").is_none());
    match (spec.key("exists"), key) {
        (Some(_), Some(_)) => {
            Err(spec.key_error("key", "must have a cert beside it, or be exists"))
        }
        (Some(""), _) => Err(spec.key_error("exists", "must be a key's name, e.g. app:ready")),
        (_, Some("")) => Err(spec.key_error("key", "must be a key's name, e.g. app:ready")),
        // A private key without its certificate, rather than a key of Redis.
        (None, Some(path)) if path.starts_with('/') => Err(spec.key_error(
            "key",
            "a private key must have its cert beside it; a key of Redis with this name is exists=",
        )),
        (exists, key) => Ok(exists.or(key).map(str::to_owned)),
    }
}

/// Returns true if the TLS keys ask for TLS. `key` alone does not count.
fn wants_tls(spec: &Spec) -> bool {
    ["ca", "cert", "server-name"].iter().any(|key| spec.key(key).is_some())
        || spec.key("insecure").is_some_and(|value| value != "false")
}

fn sentinel(
    spec: &Spec,
    scheme: &Scheme,
    master: Option<String>,
) -> Result<Option<Sentinel>, ConfigError> {
    match master {
        Some(master) if master.is_empty() => {
            Err(spec.key_error("sentinel", "must be a master's name, e.g. mymaster"))
        }
        Some(_) if scheme.cluster || scheme.unix => {
            Err(spec.key_error("sentinel", "must go with the scheme redis: or rediss:"))
        }
        Some(master) => Ok(Some(Sentinel { master, login: sentinel_login(spec) })),
        None if scheme.sentinel => Err(spec.error(format_args!(
            "needs the master's name, e.g. {}://sentinel/mymaster or #sentinel=mymaster",
            spec.scheme
        ))),
        None => Ok(None),
    }
}

fn sentinel_login(spec: &Spec) -> Option<Login> {
    let (user, password) =
        (spec.secret_key("sentinel-user"), spec.secret_key("sentinel-password")?);
    let is_login = user.is_some() || !password.reveal().is_empty();
    is_login.then_some(Login { user, password, is_user_alone: false })
}

fn socket(spec: &Spec) -> Result<Endpoint, ConfigError> {
    let parts = spec.parts()?;
    let path = spec.decoded("path", &parts.path)?;
    if parts.servers.is_empty() && path.len() > 1 {
        Ok(Endpoint::Unix(path))
    } else {
        Err(spec.error(format_args!(
            "needs the path of a socket, e.g. {}:///run/redis/redis.sock",
            spec.scheme
        )))
    }
}

/// The parts of the path: `/DATABASE`, or `/MASTER[/DATABASE]` for Sentinels.
struct Path {
    master: Option<String>,
    database: Option<u32>,
}

impl Path {
    fn read(spec: &Spec, path: &str, is_sentinel: bool) -> Result<Self, ConfigError> {
        let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let is_number = |part: &&str| part.bytes().all(|byte| byte.is_ascii_digit());
        let named = is_sentinel && parts.first().is_some_and(|first| !is_number(first));
        let master = named.then(|| parts.remove(0).to_owned());
        match parts[..] {
            [] => Ok(Self { master, database: None }),
            [number] => Ok(Self { master, database: Some(database(spec, number)?) }),
            _ => Err(spec.error("the path must be a database's number, e.g. /0")),
        }
    }
}

fn database(spec: &Spec, text: &str) -> Result<u32, ConfigError> {
    text.parse().map_err(|_| spec.error("the database must be a number, e.g. redis://cache:6379/0"))
}

/// The options in the query that matter, by the names that the drivers give them.
#[derive(Default)]
struct Options {
    database: Option<u32>,
    user: Option<Secret>,
    password: Option<Secret>,
    master: Option<String>,
    encrypted: bool,
    tls: TlsOptions,
}

impl Options {
    /// redis-py and celery (`db`, `ssl_*`), Lettuce (`database`, `sentinelMasterId`), go-redis
    /// (`skip_verify`). Other options (pools, timeouts) do not change whether the server is ready.
    fn read(spec: &Spec, pairs: Vec<(String, String)>) -> Result<Self, ConfigError> {
        let mut options = Self::default();
        for (name, value) in pairs {
            let tls = &mut options.tls;
            match name.as_str() {
                "db" | "database" => options.database = Some(database(spec, &value)?),
                "username" | "user" => options.user = Some(spec.secret(value)),
                "password" => options.password = Some(spec.secret(value)),
                "sentinelMasterId" | "master_name" => options.master = Some(value),
                "ssl" | "tls" => options.encrypted = flag(spec, &name, &value)?,
                "ssl_cert_reqs" => tls.verify = Some(cert_reqs(spec, &value)?),
                "ssl_check_hostname" if truth(&value) == Some(false) => {
                    tls.verify = Some(tls.verify.unwrap_or(Verify::Chain));
                }
                "skip_verify" | "insecure" if flag(spec, &name, &value)? => {
                    tls.verify = Some(Verify::Nothing);
                }
                "ssl_ca_certs" => tls.files.ca = Some(value),
                "ssl_certfile" => tls.files.cert = Some(value),
                "ssl_keyfile" => tls.files.key = Some(value),
                _ => {}
            }
        }
        Ok(options)
    }
}

fn flag(spec: &Spec, name: &str, value: &str) -> Result<bool, ConfigError> {
    truth(value).ok_or_else(|| spec.error(format_args!("{name}: must be true or false")))
}

fn cert_reqs(spec: &Spec, value: &str) -> Result<Verify, ConfigError> {
    let word = value.to_ascii_lowercase();
    match word.trim_start_matches("cert_") {
        "none" => Ok(Verify::Nothing),
        "optional" | "required" => Ok(Verify::Full),
        _ => {
            let near = nearest(&word, ["none", "optional", "required"]).unwrap_or("required");
            Err(spec.error(format_args!(
                "ssl_cert_reqs: must be none, optional or required, e.g. {near}"
            )))
        }
    }
}
