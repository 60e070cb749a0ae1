//! Brokers, login and wanted topics: the URL, then the keys.

use crate::{
    connect::Endpoint,
    kinds::{
        options::{TlsOptions, pairs, truth},
        scram::{Derived, Hash},
    },
    secret::Secret,
    spec::{ConfigError, Key, Spec},
    text::nearest,
    tls::{Tls, Verify},
};

const PORT: u16 = 9092;
/// The longest name of a topic, in bytes (`Topic.MAX_NAME_LENGTH` of Kafka).
const MAX_TOPIC: usize = 249;
/// The most topics of one declaration.
const MAX_TOPICS: usize = 1000;

pub(super) static KEYS: &[Key] = &[
    Key {
        name: "topic",
        value: "NAME+NAME",
        help: "topics that must exist, with a leader for every partition; also in the path",
    },
    Key { name: "partitions", value: "N", help: "how many partitions each topic must have" },
    Key { name: "brokers", value: "N", help: "how many brokers the cluster must have" },
    Key {
        name: "sasl",
        value: "plain|scram-sha-256|scram-sha-512",
        help: "how to log in; needs a user",
    },
    Key {
        name: "advertised",
        value: "true|false",
        help: "connect to the brokers' advertised addresses too, as clients do; default: true",
    },
];

/// The brokers of one declaration, their login, and the wanted state.
pub(super) struct Target {
    pub(super) servers: Vec<Endpoint>,
    /// `None` means in clear.
    pub(super) tls: Option<Tls>,
    pub(super) login: Option<Login>,
    pub(super) wanted: Wanted,
    /// The advertised addresses must be within reach.
    pub(super) advertised: bool,
}

/// The wanted state of a cluster.
pub(super) struct Wanted {
    pub(super) topics: Vec<String>,
    pub(super) brokers: usize,
    pub(super) partitions: usize,
}

/// A login by SASL.
pub(super) struct Login {
    pub(super) mechanism: Mechanism,
    pub(super) user: String,
    pub(super) password: Secret,
    /// The keys that SCRAM derives from the password, kept for the next attempt.
    pub(super) derived: tokio::sync::Mutex<Option<Derived>>,
}

/// The mechanisms of SASL that need no more than a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mechanism {
    Plain,
    Scram(Hash),
}

impl Mechanism {
    const ALL: [(&str, Mechanism); 3] = [
        ("PLAIN", Mechanism::Plain),
        ("SCRAM-SHA-256", Mechanism::Scram(Hash::Sha256)),
        ("SCRAM-SHA-512", Mechanism::Scram(Hash::Sha512)),
    ];

    /// The name in the protocol.
    pub(super) fn name(self) -> &'static str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::Scram(Hash::Sha512) => "SCRAM-SHA-512",
            Mechanism::Scram(_) => "SCRAM-SHA-256",
        }
    }
}

/// The options in the query, by the names of Kafka's clients.
#[derive(Default)]
struct Options {
    tls: TlsOptions,
    encrypted: Option<bool>,
    mechanism: Option<Mechanism>,
    user: Option<String>,
    password: Option<Secret>,
}

impl Options {
    /// The names of the Java client and of librdkafka, with dots, dashes or underscores. Other
    /// options (groups, batches, timeouts) do not change whether the cluster is ready.
    fn read(spec: &Spec, pairs: Vec<(String, String)>) -> Result<Self, ConfigError> {
        let mut options = Self::default();
        for (name, value) in pairs {
            match name.to_ascii_lowercase().replace(['-', '_'], ".").as_str() {
                "security.protocol" => {
                    options.encrypted = Some(match value.to_ascii_uppercase().as_str() {
                        "SSL" | "SASL_SSL" => true,
                        "PLAINTEXT" | "SASL_PLAINTEXT" => false,
                        _ => {
                            return Err(spec.error(format_args!(
                                "{name}: must be PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"
                            )));
                        }
                    });
                }
                "sasl.mechanism" | "sasl.mechanisms" => {
                    options.mechanism = Some(mechanism(spec, &name, &value)?);
                }
                "sasl.username" => options.user = Some(value),
                "sasl.password" => options.password = Some(spec.secret(value)),
                "ssl.ca.location" => options.tls.files.ca = Some(value),
                "ssl.certificate.location" => options.tls.files.cert = Some(value),
                "ssl.key.location" => options.tls.files.key = Some(value),
                "ssl.endpoint.identification.algorithm" if matches!(&*value, "" | "none") => {
                    options.tls.verify = Some(Verify::Chain);
                }
                "enable.ssl.certificate.verification" if truth(&value) == Some(false) => {
                    options.tls.verify = Some(Verify::Nothing);
                }
                _ => {}
            }
        }
        Ok(options)
    }
}

fn mechanism(spec: &Spec, name: &str, value: &str) -> Result<Mechanism, ConfigError> {
    let word = value.to_ascii_uppercase();
    let found = Mechanism::ALL.iter().find(|(known, _)| *known == word);
    found.map(|(_, mechanism)| *mechanism).ok_or_else(|| {
        let near = nearest(&word, Mechanism::ALL.map(|(known, _)| known)).unwrap_or("PLAIN");
        spec.error(format_args!(
            "{name}: must be plain, scram-sha-256 or scram-sha-512, e.g. {}",
            near.to_ascii_lowercase()
        ))
    })
}

impl Target {
    pub(super) fn from_spec(spec: &Spec) -> Result<Self, ConfigError> {
        // `kafka:${BROKERS}`, where the variable holds the clients' list of `HOST:PORT`.
        let parts = if spec.rest.raw().starts_with("//") {
            spec.parts()?
        } else {
            spec.parts_of(&spec.rest.part(&format!("//{}", spec.rest.raw())))?
        };
        let mut options = Options::read(spec, pairs(spec, parts.query.as_ref())?)?;
        let (mut servers, mut userinfo) = (Vec::new(), None);
        for text in parts.authority.split(',') {
            let (own, server) = match text.rsplit_once('@') {
                Some((own, server)) => (Some(own), server),
                None => (None, text),
            };
            match (&userinfo, own) {
                (None, Some(own)) => userinfo = Some(own),
                (Some(first), Some(own)) if first.expanded() != own.expanded() => {
                    return Err(spec.error("must have the same user and password at every server"));
                }
                _ => {}
            }
            let server = spec.server(&server)?;
            if server.host.is_empty() {
                return Err(spec.error("needs a host, e.g. kafka://kafka:9092"));
            }
            servers.push(Endpoint::Tcp(server.host, server.port.unwrap_or(PORT)));
        }
        let of_url = userinfo.map(|userinfo| spec.userinfo(&userinfo)).transpose()?;
        let (user, password) =
            of_url.map_or((None, None), |(user, password)| (Some(user), password));
        options.user = spec.owned("user").or(options.user).or(user);
        options.password = spec.secret_key("password").or(options.password).or(password);
        if let Some(word) = spec.key("sasl") {
            options.mechanism = Some(mechanism(spec, "sasl", word)?);
        }
        let encrypted =
            spec.scheme != "kafka" || options.encrypted.unwrap_or_else(|| Tls::is_asked_for(spec));
        let tls = std::mem::take(&mut options.tls);
        let path = spec.decoded("topic", &parts.path)?;
        Ok(Self {
            servers,
            tls: encrypted.then(|| tls.read(spec, spec.key("key"))).transpose()?,
            login: login(spec, options)?,
            wanted: Wanted {
                topics: topics(spec, path.trim_matches('/'))?,
                brokers: number(spec, "brokers")?,
                partitions: number(spec, "partitions")?,
            },
            advertised: match spec.key("advertised") {
                Some(_) => spec.flag("advertised")?,
                None => true,
            },
        })
    }
}

fn login(spec: &Spec, options: Options) -> Result<Option<Login>, ConfigError> {
    let user = options.user.filter(|user| !user.is_empty());
    match (options.mechanism, user, options.password) {
        (None, None, None) => Ok(None),
        (Some(mechanism), Some(user), Some(password)) => {
            Ok(Some(Login { mechanism, user, password, derived: tokio::sync::Mutex::default() }))
        }
        (None, ..) => Err(spec.key_error(
            "sasl",
            "must be set where there is a user: plain, scram-sha-256 or scram-sha-512",
        )),
        (Some(_), ..) => Err(spec.key_error(
            "sasl",
            "must have a user and a password, e.g. kafka://app:${PASSWORD}@kafka:9092",
        )),
    }
}

fn topics(spec: &Spec, path: &str) -> Result<Vec<String>, ConfigError> {
    let mut topics: Vec<String> = Vec::new();
    let of_key = spec.list("topic").unwrap_or_default().iter().map(String::as_str);
    for topic in Some(path).filter(|path| !path.is_empty()).into_iter().chain(of_key) {
        let is_part = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        // The rules of Kafka's own `Topic.validate`.
        if topic.is_empty()
            || topic.len() > MAX_TOPIC
            || matches!(topic, "." | "..")
            || !topic.chars().all(is_part)
        {
            return Err(spec.key_error(
                "topic",
                "must be a name of 1 to 249 letters, digits, dots, dashes or underscores, e.g. \
                orders",
            ));
        }
        if !topics.iter().any(|known| known == topic) {
            topics.push(topic.to_owned());
        }
    }
    match topics.len() {
        0 if spec.key("partitions").is_some() => {
            Err(spec.key_error("partitions", "must have a topic beside it"))
        }
        count if count > MAX_TOPICS => {
            Err(spec.key_error("topic", format_args!("must be at most {MAX_TOPICS} names")))
        }
        _ => Ok(topics),
    }
}

fn number(spec: &Spec, key: &str) -> Result<usize, ConfigError> {
    let Some(value) = spec.key(key) else { return Ok(0) };
    let number = value.parse::<u16>().ok().filter(|number| *number > 0);
    let wrong = || spec.key_error(key, "must be a number from 1 to 65535, e.g. 3");
    number.map(usize::from).ok_or_else(wrong)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
