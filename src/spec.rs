//! One parsed declaration: name, scheme, target, keys. What it prints never holds a secret.

use std::{cell::RefCell, fmt};

use crate::{
    expand::{Env, Text},
    text::{MAX_FOREIGN, Secret, hide, one_line},
};

/// Something that the command line, the environment or a file says wrongly. Never holds a value, only names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(String);

impl ConfigError {
    /// What is wrong, where, and what would be right.
    pub fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }

    /// The same, said of `place`.
    pub fn at(place: impl fmt::Display, what: impl fmt::Display) -> Self {
        Self(format!("{place}: {what}"))
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

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
            (Some(value), _) => (Some(url.shown()), Text::literal(value)),
            (None, Some(value)) => (Some(url.shown()), Text::literal(&format!("{MIGRATIONS}{value}"))),
            (None, None) => (None, url.clone()),
        };
        if url.is_empty() {
            return Err("nothing to wait for: the URL is empty".to_owned());
        }
        // A connection string of key=value pairs may stand on several lines; a URL may not.
        let is_odd = |c: char| c.is_control() && (url.raw().contains("//") || !c.is_ascii_whitespace());
        if url.raw().contains(is_odd) {
            return Err("a control character in the URL".to_owned());
        }
        let mut host_named = None;
        let (scheme, rest) = match url.split_once(':') {
            _ if is_host_port(url.raw()) => {
                host_named = url.split_once(':').map(|(host, _)| host.shown());
                ("tcp".to_owned(), url.part(&format!("//{}", url.raw())))
            }
            _ if is_bare_ipv6(url.raw()) => {
                return Err(needs_brackets(url.raw()));
            }
            Some((scheme, rest)) if is_scheme(scheme.raw()) => (scheme.raw().to_ascii_lowercase(), rest),
            _ => return Err("not a URL and not HOST:PORT (e.g. postgres://app@db/app, cache:6379)".to_owned()),
        };
        // `postgres:${DSN}`: a connection string that is no URL, or a URL of the same scheme, whole in a variable.
        let (default_name, scheme, rest) = match rest.as_value() {
            Some(value) => {
                let name = default_name.or_else(|| Some(url.shown()));
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
            Some((variable, keys)) => Text::expand(&format!("{migrations}${{{variable}}}#{keys}"), env),
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
        Some(_) if !inner.starts_with(MIGRATIONS) => format!("{MIGRATIONS}{inner}").to_ascii_lowercase(),
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
    name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}

fn is_scheme(scheme: &str) -> bool {
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

/// `HOST:DIGITS` or `[V6]:DIGITS`, and nothing else.
fn is_host_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let host_ok = match host.strip_prefix('[') {
        Some(v6) => v6.strip_suffix(']').is_some_and(|v6| v6.contains(':')),
        None => !host.is_empty() && !host.contains(['/', '?', ':', '@', '=', ' ', ',', '[', ']']),
    };
    host_ok && !port.is_empty() && port.chars().all(|c| c.is_ascii_digit())
}

/// An IPv6 address, with or without a port, that stands without its brackets.
fn is_bare_ipv6(text: &str) -> bool {
    let address = text.split('%').next().unwrap_or_default();
    address.matches(':').count() >= 2
        && address.chars().all(|c| c.is_ascii_hexdigit() || c == ':' || c == '.')
        && (address.parse::<std::net::Ipv6Addr>().is_ok()
            || address.rsplit_once(':').is_some_and(|(host, _)| host.parse::<std::net::Ipv6Addr>().is_ok()))
}

/// What would be right in place of a bare IPv6 address: what reads as a port is taken for one.
fn needs_brackets(text: &str) -> String {
    let is_address = |text: &str| text.split('%').next().is_some_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok());
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if is_address(host) => match port.parse::<u16>() {
            Ok(port) if port > 0 => (host, port),
            // No port, but no part of the address either.
            _ if !is_address(text) => (host, 443),
            _ => (text, 443),
        },
        _ => (text, 443),
    };
    format!("an IPv6 address needs brackets, e.g. [{host}]:{port}")
}

fn read_keys(keys: &Text) -> Result<Vec<KeyValue>, String> {
    keys.split(',').map(|key| read_key(&key)).collect()
}

fn read_key(key: &Text) -> Result<KeyValue, String> {
    let (name, value) = match key.split_once('=') {
        Some((name, value)) => (name, value),
        None => (key.clone(), key.part("true")),
    };
    let known_shape = !name.is_empty() && name.raw().chars().all(|c| c.is_ascii_lowercase() || c == '-');
    if !known_shape {
        // What stands here may be the tail of a password whose # or , is not encoded: it is not shown.
        return Err(
            "behind the # stand KEY=VALUE pairs, joined by commas (a literal comma in a value is %2C, a # in the URL is %23)"
                .to_owned(),
        );
    }
    let name = name.raw().to_owned();
    let decoded = |text: Text| text.decoded().map_err(|what| format!("{name}: {what}"));
    let items = value.split('+').map(decoded).collect::<Result<_, _>>()?;
    Ok(KeyValue { value: decoded(value)?, items, name, at: None })
}

/// Whether `//` starts an authority behind this scheme; behind the others stands a path or a command as written.
fn is_hierarchical(scheme: &str) -> bool {
    !matches!(scheme, "file" | "unix" | "exec" | "dns")
}

/// Whether each server of a list may bring its own `USER:PASSWORD@`, as NATS has it.
fn has_userinfo_per_server(scheme: &str) -> bool {
    matches!(scheme, "nats" | "tls")
}

/// `nats://a,nats://b` is `nats://a,b`.
fn join_servers(scheme: &str, rest: Text) -> Text {
    match has_userinfo_per_server(scheme) {
        true => rest.part(&rest.raw().replace(&format!(",{scheme}://"), ",")),
        false => rest,
    }
}

/// Proves the servers well formed before anything is named after them.
///
/// Where a password holds a `/`, `?`, `#` or `@` that is not encoded, its pieces stand where host, port, path or keys are
/// expected. That is found here, and said without showing the pieces.
fn check_authority(scheme: &str, rest: &Text) -> Result<(), String> {
    let Some(rest) = rest.strip_prefix("//") else { return Ok(()) };
    let (authority, rest) = split_authority(&rest);
    for server in servers_of(scheme, &authority).split(',') {
        read_server(&without_userinfo(&server))?;
    }
    let before_value = rest.raw().split('=').next().unwrap_or_default();
    if before_value.contains('@') && !scheme.starts_with("http") {
        return Err(format!("an @ behind the host {ENCODE}"));
    }
    Ok(())
}

const ENCODE: &str = "(a / ? # or @ in a password must be percent-encoded, or come from a variable)";

/// Scheme, host, port and path: no userinfo, no query, and expansions as they were written.
fn default_name_of(scheme: &str, rest: &Text) -> String {
    let shown = match rest.strip_prefix("//") {
        Some(rest) if is_hierarchical(scheme) => {
            let (authority, path) = split_authority(&rest);
            let path = path.raw().split('?').next().map(|raw| path.part(raw).shown()).unwrap_or_default();
            let servers = servers_of(scheme, &authority);
            let servers: Vec<_> = servers.split(',').map(|server| without_userinfo(&server).shown()).collect();
            format!("//{}{}", servers.join(","), if path == "/" { "" } else { &path })
        }
        _ if scheme == "exec" => match rest.split(' ').find(|word| !word.is_empty()) {
            // `PGPASSWORD=x psql` is a mistake, and about to be said.
            Some(word) => word.split('=').next().map(|word| word.shown()).unwrap_or_default(),
            None => String::new(),
        },
        _ if !is_hierarchical(scheme) => rest.shown(),
        // A connection string of key=value pairs: where its password stands is known to its kind alone.
        _ => return scheme.to_owned(),
    };
    crate::text::one_line(&format!("{scheme}:{shown}"), 120)
}

/// The servers of an authority; with their userinfo where each may have one.
fn servers_of(scheme: &str, authority: &Text) -> Text {
    if has_userinfo_per_server(scheme) { authority.clone() } else { without_userinfo(authority) }
}

fn without_userinfo(server: &Text) -> Text {
    server.rsplit_once('@').map_or_else(|| server.clone(), |(_, server)| server)
}

/// Splits what follows `//` before the first `/` or `?`.
fn split_authority(rest: &Text) -> (Text, Text) {
    let end = rest.raw().find(['/', '?']).unwrap_or(rest.raw().len());
    (rest.part(&rest.raw()[..end]), rest.part(&rest.raw()[end..]))
}

/// One `HOST[:PORT]`. No error shows the text: where a password's `/` or `@` is not encoded, a piece of it stands here.
fn read_server(text: &Text) -> Result<Server, String> {
    let (host, port) = match text.strip_prefix("[") {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or("a [ is not closed by ]")?;
            match port.strip_prefix(":") {
                Some(port) => (host, Some(port)),
                None if port.is_empty() => (host, None),
                None => return Err(format!("only :PORT can follow the ] {ENCODE}")),
            }
        }
        None if is_bare_ipv6(text.raw()) => {
            return Err(needs_brackets(text.raw()));
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text.clone(), None),
        },
    };
    let port = match port.filter(|port| !port.is_empty()) {
        Some(port) => match port.plain().parse::<u16>() {
            Ok(port) if port > 0 => Some(port),
            _ => return Err(format!("the port is not a number from 1 to 65535 {ENCODE}")),
        },
        None => None,
    };
    let host = host.decoded().map_err(|e| format!("the host {e}"))?;
    // The directory of a Unix socket, or an abstract one, percent-encoded as libpq has it.
    let is_path = host.starts_with(['/', '@']);
    let is_v6 = host.split('%').next().is_some_and(|host| host.parse::<std::net::Ipv6Addr>().is_ok());
    let is_odd = |c: char| c.is_whitespace() || c.is_control() || "@?#\"<>[]".contains(c);
    if !is_path && (host.contains(is_odd) || (host.contains(':') && !is_v6)) {
        return Err(format!("the host is neither a name nor an address {ENCODE}"));
    }
    Ok(Server { host, port })
}

/// One server of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// A name or an address, an IPv6 one without its brackets. May be empty where a kind has a default.
    pub host: String,
    /// Its port, if one was given.
    pub port: Option<u16>,
}

/// The parts of `//[USERINFO@]SERVERS[/PATH][?QUERY]`, still undecoded.
pub struct Parts {
    /// Userinfo and servers together, for a kind in which each server may have its own.
    pub authority: Text,
    /// Before the last `@` of the authority.
    pub userinfo: Option<Text>,
    /// The servers, joined by commas.
    pub servers: Text,
    /// With its leading slash; empty if there is none.
    pub path: Text,
    /// Behind the `?`.
    pub query: Option<Text>,
}

/// A declaration that has its name and its scheme's kind: what a kind builds from.
pub struct Spec {
    /// What messages call it.
    pub name: String,
    /// Before the colon, in lower case.
    pub scheme: String,
    /// What follows the scheme's colon.
    pub rest: Text,
    /// The process's variables, for kinds that honour some.
    pub env: Env,
    keys: Vec<KeyValue>,
    secrets: RefCell<Vec<Secret>>,
    notes: RefCell<Vec<String>>,
}

impl Spec {
    /// Puts a spec together from a declaration and the kind's own part of its keys.
    pub fn new(name: String, scheme: String, rest: Text, keys: Vec<KeyValue>, env: Env) -> Self {
        Self { name, scheme, rest, env, keys, secrets: RefCell::default(), notes: RefCell::default() }
    }

    /// An error about this dependency.
    pub fn error(&self, what: impl fmt::Display) -> ConfigError {
        ConfigError::at(&self.name, what)
    }

    /// An error about one of its keys.
    pub fn key_error(&self, key: &str, what: impl fmt::Display) -> ConfigError {
        ConfigError::at(&self.name, format_args!("{key}: {what}"))
    }

    /// A key's value.
    pub fn key(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// The names of its own keys.
    pub fn key_names(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|key| key.name.as_str())
    }

    /// Every value of a key that repeats.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.keys.iter().filter(move |key| key.name == name).map(|key| key.value.as_str())
    }

    /// The parts of a key whose value is a list.
    pub fn list(&self, name: &str) -> Option<&[String]> {
        self.keys.iter().find(|key| key.name == name).map(|key| key.items.as_slice())
    }

    /// A key that is `true` or `false`; a bare one means true.
    pub fn flag(&self, name: &str) -> Result<bool, ConfigError> {
        match self.key(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(self.key_error(name, "is true or false")),
        }
    }

    /// Takes in a value that must never be shown, not even where a server echoes it.
    pub fn secret(&self, value: impl Into<String>) -> Secret {
        let secret = Secret::new(value);
        self.secrets.borrow_mut().push(secret.clone());
        secret
    }

    /// A key's value as a secret.
    pub fn secret_key(&self, name: &str) -> Option<Secret> {
        self.key(name).map(|value| self.secret(value))
    }

    /// Every secret that was taken in so far.
    pub fn secrets(&self) -> Vec<Secret> {
        self.secrets.borrow().clone()
    }

    /// A remark for whoever asks for every detail (`-v`). Holds names, never a value.
    pub fn note(&self, what: impl fmt::Display) {
        self.notes.borrow_mut().push(format!("{}: {what}", self.name));
    }

    /// Every remark that was made so far, fit to be shown.
    pub fn notes(&self) -> Vec<String> {
        self.notes.borrow().iter().map(|note| hide(&one_line(note, MAX_FOREIGN), &self.secrets.borrow())).collect()
    }

    /// Splits `//[USERINFO@]SERVERS[/PATH][?QUERY]`.
    pub fn parts(&self) -> Result<Parts, ConfigError> {
        let Some(rest) = self.rest.strip_prefix("//") else {
            return Err(self.error(format_args!("{0}: is followed by //, e.g. {0}://host", self.scheme)));
        };
        let (authority, rest) = split_authority(&rest);
        let (userinfo, servers) = match authority.rsplit_once('@') {
            Some((userinfo, servers)) => (Some(userinfo), servers),
            None => (None, authority.clone()),
        };
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (rest, None),
        };
        Ok(Parts { authority, userinfo, servers, path, query })
    }

    /// User and password, each decoded.
    pub fn userinfo(&self, userinfo: &Text) -> Result<(String, Option<Secret>), ConfigError> {
        let (user, password) = match userinfo.split_once(':') {
            Some((user, password)) => (user, Some(password)),
            None => (userinfo.clone(), None),
        };
        let decoded = |what: &str, text: Text| text.decoded().map_err(|e| self.error(format_args!("the {what} {e}")));
        let password = password.map(|text| decoded("password", text)).transpose()?;
        Ok((decoded("user", user)?, password.map(|password| self.secret(password))))
    }

    /// A list of `HOST[:PORT]`, joined by commas.
    pub fn servers(&self, servers: &Text) -> Result<Vec<Server>, ConfigError> {
        servers.split(',').map(|server| self.server(&server)).collect()
    }

    /// One `HOST[:PORT]`.
    pub fn server(&self, text: &Text) -> Result<Server, ConfigError> {
        read_server(text).map_err(|what| self.error(what))
    }
}

impl fmt::Debug for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spec").field("name", &self.name).field("scheme", &self.scheme).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
