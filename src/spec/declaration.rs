//! One declaration as it was written: name, scheme, what follows it, keys.

use super::{
    ConfigError,
    expand::{Env, Text},
    url::{
        check_authority, has_userinfo_per_server, is_bare_ipv6, is_hierarchical, is_host_port,
        is_scheme, needs_brackets, servers_of, split_authority, without_userinfo,
    },
};
use crate::text::one_line;

/// A key with its value, read both ways: as one, and as a list of parts joined by `+`.
pub struct KeyValue {
    /// As it was written; not yet known to exist.
    pub name: String,
    /// The whole value, decoded.
    pub value: String,
    /// The parts between literal `+`, each decoded.
    pub items: Vec<String>,
    /// File and line, where it stands in a file.
    pub at: Option<String>,
}

/// One declaration as it was written: split, expanded, and not yet looked up or checked.
pub struct Declaration {
    /// The name that was given, if one was.
    pub name: Option<String>,
    /// The name that it goes by otherwise.
    pub default_name: String,
    /// Before the colon, in lower case.
    pub scheme: String,
    /// What follows the scheme's colon.
    pub rest: Text,
    /// What stands behind the `#`.
    pub keys: Vec<KeyValue>,
    /// Set where `HOST:PORT` was written and HOST is the name of a scheme.
    pub host_named: Option<String>,
}

impl Declaration {
    /// Reads `[NAME=]URL[#KEY[=VALUE][,KEY[=VALUE]]...]`. `place` is where it stands, for errors where it has no name.
    pub fn parse(place: &str, text: &str, env: &Env) -> Result<Self, ConfigError> {
        let (name, text) = split_name(text);
        Self::read(name, text, env).map_err(|what| ConfigError::at(name.unwrap_or(place), what))
    }

    fn read(name: Option<&str>, text: &str, env: &Env) -> Result<Self, String> {
        let text = expand_url(text, env)?;
        let (url, keys) = match text.split_once('#') {
            Some((url, keys)) => (url, read_keys(&keys)?),
            None => (text, Vec::new()),
        };
        Self::from_url(name.map(str::to_owned), &url, keys)
    }

    /// The same from a URL whose expansions are still opaque, and keys that were read elsewhere.
    pub fn from_url(name: Option<String>, url: &Text, keys: Vec<KeyValue>) -> Result<Self, String> {
        // The application's own connection string is read as it stands, and is called by its variable.
        let (default_name, url) = match (url.as_value(), migrations_of(url)) {
            (Some(value), _) => (Some(url.display_redacted()), Text::literal(value)),
            (None, Some(value)) => {
                (Some(url.display_redacted()), Text::literal(&format!("{MIGRATIONS}{value}")))
            }
            (None, None) => (None, url.clone()),
        };
        if url.is_empty() {
            return Err("nothing to wait for: the URL is empty".to_owned());
        }
        // A connection string of key=value pairs may stand on several lines; a URL may not.
        let is_odd =
            |c: char| c.is_control() && (url.raw().contains("//") || !c.is_ascii_whitespace());
        if url.raw().contains(is_odd) {
            return Err("a control character in the URL".to_owned());
        }
        let mut host_named = None;
        let (scheme, rest) = match url.split_once(':') {
            _ if is_host_port(url.raw()) => {
                host_named = url.split_once(':').map(|(host, _)| host.display_redacted());
                ("tcp".to_owned(), url.part(&format!("//{}", url.raw())))
            }
            _ if is_bare_ipv6(url.raw()) => {
                return Err(needs_brackets(url.raw()));
            }
            Some((scheme, rest)) if is_scheme(scheme.raw()) => {
                (scheme.raw().to_ascii_lowercase(), rest)
            }
            _ => {
                return Err("not a URL and not HOST:PORT (e.g. postgres://app@db/app, cache:6379)"
                    .to_owned());
            }
        };
        // `postgres:${DSN}`: a connection string that is no URL, or a URL of the same scheme, whole in a variable.
        let (default_name, scheme, rest) = match rest.as_value() {
            Some(value) => {
                let name = default_name.or_else(|| Some(url.display_redacted()));
                let inner = value.split_once("://").filter(|(inner, _)| is_scheme(inner));
                match inner {
                    Some((inner, _)) => {
                        let same = value[inner.len() + 1..].to_owned();
                        (name, with_inner(&scheme, inner), Text::literal(&same))
                    }
                    None => (name, scheme, Text::literal(value)),
                }
            }
            None => (default_name, scheme, rest),
        };
        let rest = join_servers(&scheme, rest);
        if is_hierarchical(&scheme) {
            check_authority(&scheme, &rest)?;
        }
        let default_name = default_name.unwrap_or_else(|| default_name_of(&scheme, &rest));
        Ok(Self { name, default_name, scheme, rest, keys, host_named })
    }
}

const MIGRATIONS: &str = "migrations+";

/// Expands a URL, in which `env:NAME` stands for `${NAME}`: that is to be seen before anything is expanded.
pub fn expand_url(text: &str, env: &Env) -> Result<Text, String> {
    let (migrations, url) = match text.strip_prefix(MIGRATIONS) {
        Some(url) => (MIGRATIONS, url),
        None => ("", text),
    };
    match url.strip_prefix("env:") {
        Some(rest) => match rest.split_once('#') {
            Some((variable, keys)) => {
                Text::expand(&format!("{migrations}${{{variable}}}#{keys}"), env)
            }
            None => Text::expand(&format!("{migrations}${{{rest}}}"), env),
        },
        None => Text::expand(text, env),
    }
}

/// The value of `migrations+${URL}`.
fn migrations_of(url: &Text) -> Option<String> {
    let rest = url.strip_prefix(MIGRATIONS)?;
    rest.as_value().map(str::to_owned)
}

/// `postgres:${DSN}` where DSN is `postgresql://...` is that URL; `migrations+` stays in front.
fn with_inner(scheme: &str, inner: &str) -> String {
    match scheme.strip_prefix(MIGRATIONS) {
        Some(_) if !inner.starts_with(MIGRATIONS) => {
            format!("{MIGRATIONS}{inner}").to_ascii_lowercase()
        }
        _ => inner.to_ascii_lowercase(),
    }
}

/// Splits `NAME=` off, where `SCHEME:`, `HOST:PORT`, `${` or `env:` follows it.
fn split_name(text: &str) -> (Option<&str>, &str) {
    let Some((name, rest)) = text.split_once('=') else { return (None, text) };
    let before_keys = rest.split('#').next().unwrap_or_default();
    let follows = before_keys.strip_prefix(MIGRATIONS).unwrap_or(before_keys).starts_with("${")
        || is_host_port(before_keys)
        || is_bare_ipv6(before_keys)
        || before_keys.split_once(':').is_some_and(|(scheme, _)| is_scheme(scheme));
    if is_name(name) && follows { (Some(name), rest) } else { (None, text) }
}

/// `[A-Za-z0-9][A-Za-z0-9_.-]*`.
pub fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}

fn read_keys(keys: &Text) -> Result<Vec<KeyValue>, String> {
    keys.split(',').map(|key| read_key(&key)).collect()
}

fn read_key(key: &Text) -> Result<KeyValue, String> {
    let (name, value) = match key.split_once('=') {
        Some((name, value)) => (name, value),
        None => (key.clone(), key.part("true")),
    };
    let known_shape =
        !name.is_empty() && name.raw().chars().all(|c| c.is_ascii_lowercase() || c == '-');
    if !known_shape {
        // What stands here may be the tail of a password whose # or , is not encoded: it is not shown.
        return Err(
            "behind the # stand KEY=VALUE pairs, joined by commas (a literal comma in a value is %2C, a # in the URL is %23)"
                .to_owned(),
        );
    }
    let name = name.raw().to_owned();
    let decoded = |text: Text| text.percent_decoded().map_err(|what| format!("{name}: {what}"));
    let items = value.split('+').map(decoded).collect::<Result<_, _>>()?;
    Ok(KeyValue { value: decoded(value)?, items, name, at: None })
}

/// `nats://a,nats://b` is `nats://a,b`.
fn join_servers(scheme: &str, rest: Text) -> Text {
    match has_userinfo_per_server(scheme) {
        true => rest.part(&rest.raw().replace(&format!(",{scheme}://"), ",")),
        false => rest,
    }
}

/// Scheme, host, port and path: no userinfo, no query, and expansions as they were written.
fn default_name_of(scheme: &str, rest: &Text) -> String {
    let shown = match rest.strip_prefix("//") {
        Some(rest) if is_hierarchical(scheme) => {
            let (authority, path) = split_authority(&rest);
            let path = path
                .raw()
                .split('?')
                .next()
                .map(|raw| path.part(raw).display_redacted())
                .unwrap_or_default();
            let servers = servers_of(scheme, &authority);
            let servers: Vec<_> = servers
                .split(',')
                .map(|server| without_userinfo(&server).display_redacted())
                .collect();
            format!("//{}{}", servers.join(","), if path == "/" { "" } else { &path })
        }
        _ if scheme == "exec" => match rest.split(' ').find(|word| !word.is_empty()) {
            // `PGPASSWORD=x psql` is a mistake, and about to be said.
            Some(word) => {
                word.split('=').next().map(|word| word.display_redacted()).unwrap_or_default()
            }
            None => String::new(),
        },
        _ if !is_hierarchical(scheme) => rest.display_redacted(),
        // A connection string of key=value pairs: where its password stands is known to its kind alone.
        _ => return scheme.to_owned(),
    };
    one_line(&format!("{scheme}:{shown}"), 120)
}
