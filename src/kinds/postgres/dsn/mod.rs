//! Reads connection strings of PostgreSQL: libpq's URLs and key=value strings, and other drivers'
//! dialects.

mod npgsql;

use std::collections::BTreeMap;

use super::parameters;
use crate::{
    kinds::semicolons,
    spec::{ConfigError, Spec, expand::Text},
};

/// The driver whose rules a connection string follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Dialect {
    /// libpq, and the drivers that read its URLs.
    #[default]
    Libpq,
    /// psycopg 3 under SQLAlchemy: libpq's strings, but psycopg itself tries the hosts in turn.
    Psycopg3,
    /// pgjdbc's.
    Jdbc,
    /// Npgsql's.
    Npgsql,
}

/// The parameters of a connection string, by libpq's keywords. They include passwords and are never
/// shown.
#[derive(Clone, Default)]
pub(super) struct Params {
    values: BTreeMap<&'static str, String>,
    /// The names of parameters that are ignored.
    passed_over: Vec<String>,
    dialect: Dialect,
}

/// Keywords of other drivers that libpq lacks: the place of tables, and results of a dialect's own
/// words.
const OWN_KEYWORDS: &[&str] = &[
    // Set if a dialect encrypts without verifying.
    "no-verify",
    "requiressl",
    // The schema of Prisma's and JDBC's tables.
    "schema",
    "search_path",
    "session_search_path",
    "x-migrations-table",
    "x-migrations-table-quoted",
];

/// Other drivers' names for libpq's keywords: pgx and lib/pq, SQLAlchemy, JDBC, Prisma, Ecto.
const ALIASES: &[(&str, &str)] = &[
    ("database", "dbname"),
    ("username", "user"),
    ("hostname", "host"),
    ("socket_dir", "host"),
    ("ApplicationName", "application_name"),
    ("connectTimeout", "connect_timeout"),
    ("channelBinding", "channel_binding"),
    ("requireAuth", "require_auth"),
    ("currentSchema", "schema"),
    ("gssEncMode", "gssencmode"),
    ("sslNegotiation", "sslnegotiation"),
    // Rails sends SET after the login, where a pooler lets it through.
    ("schema_search_path", "session_search_path"),
];

impl Params {
    /// Returns the value of a keyword. An empty value counts as unset, as nearly everywhere in
    /// libpq.
    pub(super) fn get(&self, keyword: &str) -> Option<&str> {
        self.values.get(keyword).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Returns the value of a keyword as it is written, which may be empty.
    pub(super) fn written(&self, keyword: &str) -> Option<&str> {
        self.values.get(keyword).map(String::as_str)
    }

    /// Whose rules the string follows.
    pub(super) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Sets one of libpq's keywords. Other parameters are ignored: a pool's size, a cache, a
    /// driver's switch.
    pub(super) fn set(&mut self, keyword: &str, value: impl Into<String>) {
        let known = ALIASES
            .iter()
            .find(|(alias, _)| *alias == keyword)
            .map_or(keyword, |(_, keyword)| keyword);
        let own = || OWN_KEYWORDS.iter().copied().find(|name| *name == known);
        match parameters::find(known).map(|parameter| parameter.name).or_else(own) {
            Some(known) => drop(self.values.insert(known, value.into())),
            None => self.pass_over(keyword),
        }
    }

    /// Records that `key` is ignored. A text that cannot be a key may be the tail of a password and
    /// is not recorded.
    fn pass_over(&mut self, key: &str) {
        let is_key = key.len() <= 40 && key.starts_with(|c: char| c.is_ascii_alphabetic());
        if is_key && key.chars().all(|c| c.is_ascii_alphabetic() || "_-. ".contains(c)) {
            self.passed_over.push(key.to_owned());
        }
    }

    /// Adds the parameters of `other` that are not set here.
    pub(super) fn or(mut self, other: Params) -> Self {
        for (keyword, value) in other.values {
            let mine = self.values.entry(keyword).or_default();
            if mine.is_empty() {
                *mine = value;
            }
        }
        self
    }
}

/// Reads the text after the scheme's colon.
pub(super) fn read(spec: &Spec) -> Result<Params, ConfigError> {
    let scheme =
        spec.scheme.rsplit_once("migrations+").map_or(spec.scheme.as_str(), |(_, scheme)| scheme);
    let (rest, dialect) = match spec.rest.strip_prefix("jdbc:") {
        Some(rest) => (rest, Dialect::Jdbc),
        None => (spec.rest.clone(), dialect_of(scheme)),
    };
    let mut params = if dialect == Dialect::Jdbc {
        let Some(rest) = rest.strip_prefix("postgresql:") else {
            return Err(spec.error("of the jdbc: URLs, only jdbc:postgresql: is understood"));
        };
        if rest.raw().starts_with("//") {
            read_url(spec, &rest, dialect)?
        } else {
            // jdbc:postgresql:DATABASE?...
            read_url(
                spec,
                &rest.part(&format!("///{}", rest.raw().trim_start_matches('/'))),
                dialect,
            )?
        }
    } else if rest.raw().starts_with("//") {
        read_url(spec, &rest, dialect)?
    } else if let Some(pairs) = pairs_of_pdo(&rest) {
        read_pairs(&pairs).map_err(|message| spec.error(message))?
    } else {
        match npgsql::read(&rest) {
            Some(params) => params,
            None => read_pairs(&rest).map_err(|message| spec.error(message))?,
        }
    };
    if params.dialect == Dialect::Libpq {
        params.dialect = dialect;
    }
    if !params.passed_over.is_empty() {
        spec.note(format_args!(
            "ignored, because they do not concern the connection: {}",
            params.passed_over.join(", ")
        ));
    }
    for secret in
        ["password", "sslpassword", "scram_client_key", "scram_server_key", "oauth_client_secret"]
    {
        if let Some(secret) = params.get(secret) {
            spec.secret(secret);
        }
    }
    Ok(params)
}

/// `//[USER[:PASSWORD]@][HOST[:PORT]][,...][/DATABASE][?KEY=VALUE&...]`.
fn read_url(spec: &Spec, rest: &Text, dialect: Dialect) -> Result<Params, ConfigError> {
    // The parts are read by the declaration's own grammar, which JDBC's prefix would hide from it.
    let url = Spec::new(
        spec.name.clone(),
        spec.scheme.clone(),
        rest.clone(),
        Vec::new(),
        spec.env.clone(),
    );
    let parts = url.parts()?;
    let mut params = Params::default();
    if let Some(userinfo) = &parts.userinfo {
        let (user, password) = url.userinfo(userinfo)?;
        params.set("user", user);
        if let Some(password) = password {
            params.set("password", password.reveal());
        }
    }
    let servers = url.servers(&parts.servers)?;
    params.set("host", joined(servers.iter().map(|server| server.host.clone())));
    params.set(
        "port",
        joined(
            servers
                .iter()
                .map(|server| server.port.map(|port| port.to_string()).unwrap_or_default()),
        ),
    );
    if dialect == Dialect::Jdbc && params.get("host").is_none() {
        params.set("host", "localhost");
    }
    if let Some(database) = parts.path.strip_prefix("/") {
        params.set("dbname", spec.decoded("database", &database)?);
    }
    let mut pairs = Vec::new();
    for pair in parts.query.iter().flat_map(|query| query.split('&').collect::<Vec<_>>()) {
        let (key, value) = pair.split_once('=').unwrap_or_else(|| (pair.clone(), pair.part("")));
        let value = match dialect {
            // pgjdbc decodes `+` to a space as in a form, but a `+` in an expansion stays a plus.
            Dialect::Jdbc => value.part(&value.raw().replace('+', " ")),
            _ => value,
        };
        pairs.push((spec.decoded("query", &key)?, spec.decoded("query", &value)?));
    }
    read_query(&mut params, pairs, dialect).map_err(|message| spec.error(message))?;
    Ok(params)
}

/// Returns the dialect of the driver that a scheme names.
fn dialect_of(scheme: &str) -> Dialect {
    match scheme.split_once('+').map_or(scheme, |(_, driver)| driver) {
        "jdbc" => Dialect::Jdbc,
        "psycopg" | "psycopg_async" => Dialect::Psycopg3,
        _ => Dialect::Libpq,
    }
}

/// Joins with commas, as libpq does. A single empty item yields an empty text.
fn joined(values: impl Iterator<Item = String>) -> String {
    values.collect::<Vec<_>>().join(",")
}

/// The pairs behind the `?`.
fn read_query(
    params: &mut Params,
    pairs: Vec<(String, String)>,
    dialect: Dialect,
) -> Result<(), String> {
    // Prisma's `sslcert` is the authority's certificate, and its `sslaccept` decides if the server
    // is verified.
    let prisma = pairs.iter().any(|(key, _)| key == "sslaccept" || key == "sslidentity");
    let (mut hosts, mut ports, mut ssl, mut accept) = (Vec::new(), Vec::new(), None, None);
    for (key, value) in pairs {
        match key.as_str() {
            // SQLAlchemy repeats `host=NAME:PORT`.
            "host" => match value.split_once(':') {
                Some((host, port))
                    if !port.is_empty() && port.chars().all(|c| c.is_ascii_digit()) =>
                {
                    hosts.push(host.to_owned());
                    ports.push(port.to_owned());
                }
                _ => {
                    ports.extend(value.split(',').map(|_| String::new()));
                    hosts.push(value);
                }
            },
            "ssl" => ssl = Some(value),
            "sslaccept" => accept = Some(value),
            "sslcert" if prisma => params.set("sslrootcert", value),
            "sslfactory" if value.ends_with("NonValidatingFactory") => {
                params.set("no-verify", "true")
            }
            // sqlx: `options[search_path]=x` is `-c search_path=x`, its blanks escaped.
            key if key.starts_with("options[") && key.ends_with(']') => {
                let escaped = value.replace('\\', "\\\\").replace(' ', "\\ ");
                let option = format!("-c {}={escaped}", &key[8..key.len() - 1]);
                let before = params.get("options").map(|all| format!("{all} ")).unwrap_or_default();
                params.set("options", before + &option);
            }
            // pgjdbc's word for a server without GSSAPI in which encryption by it is optional.
            "gssEncMode" if value == "allow" => params.set("gssencmode", "prefer"),
            "loadBalanceHosts" => params.set("load_balance_hosts", load_balance(&value)),
            "targetServerType" => params.set("target_session_attrs", server_type(&value)?),
            _ => params.set(&key, value),
        }
    }
    if !hosts.is_empty() {
        params.set("host", joined(hosts.into_iter()));
        if ports.iter().any(|port| !port.is_empty()) {
            params.set("port", joined(ports.into_iter()));
        }
    }
    match accept.as_deref() {
        Some("strict") if params.get("sslmode").is_none_or(|mode| mode == "require") => {
            params.set("sslmode", "verify-full")
        }
        Some("accept_invalid_certs") => params.set("no-verify", "true"),
        _ => {}
    }
    if let Some(ssl) = ssl
        && params.get("sslmode").is_none()
    {
        read_ssl(params, &ssl, dialect);
    }
    Ok(())
}

/// Reads a driver's `ssl` as libpq's `sslmode`.
fn read_ssl(params: &mut Params, ssl: &str, dialect: Dialect) {
    let jdbc = dialect == Dialect::Jdbc;
    match ssl {
        // NonValidatingFactory: encrypted, and nothing is verified.
        "" | "true" | "1" | "on" if jdbc && params.get("no-verify").is_none() => {
            params.set("sslmode", "verify-full")
        }
        "" | "true" | "1" | "on" => params.set("sslmode", "require"),
        "false" | "0" | "off" if jdbc => {}
        "false" | "0" | "off" => params.set("sslmode", "disable"),
        // asyncpg: `ssl=verify-full`. An unknown word is refused where sslmode is read.
        mode => params.set("sslmode", mode),
    }
}

/// JDBC's and Npgsql's boolean in libpq's words.
fn load_balance(value: &str) -> &'static str {
    if value.eq_ignore_ascii_case("true") { "random" } else { "disable" }
}

/// JDBC's `targetServerType` in libpq's words.
fn server_type(value: &str) -> Result<&'static str, String> {
    Ok(match value {
        "any" | "preferPrimary" => "any",
        "primary" | "master" => "primary",
        "secondary" | "slave" => "standby",
        "preferSecondary" | "preferSlave" => "prefer-standby",
        _ => {
            return Err(
                "targetServerType: must be one of any, primary, secondary, preferSecondary, \
                preferPrimary"
                    .to_owned(),
            );
        }
    })
}

/// Returns libpq's pairs of a string of PHP's PDO, `host=db;dbname=app;user=app`. PDO puts a blank
/// in place of each semicolon, and libpq reads the result.
///
/// Npgsql has no `dbname` and no `user`. In libpq's own string a semicolon is part of a value, and
/// a blank and the next key follow this value.
fn pairs_of_pdo(text: &Text) -> Option<Text> {
    let parts = semicolons::parts(text.raw()).filter(|_| text.raw().contains(';'))?;
    let is_pdo = parts.iter().any(|(key, _)| key == "dbname" || key == "user")
        && parts.iter().all(|(key, value)| {
            parameters::find(key).is_some()
                && value.split_whitespace().skip(1).all(|word| !word.contains('='))
        });
    is_pdo.then(|| text.part(&text.raw().replace(';', " ")))
}

/// `KEY=VALUE KEY='VALUE' ...` with libpq's quoting: a backslash takes the next character as it is,
/// in quotes and out of them.
fn read_pairs(text: &Text) -> Result<Params, &'static str> {
    const SHAPE: &str = "the connection string is neither //HOST... nor KEY=VALUE pairs";
    let mut params = Params::default();
    let mut chars = text.raw().chars().peekable();
    loop {
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        if chars.peek().is_none() {
            return Ok(params);
        }
        let mut key = String::new();
        while let Some(c) = chars.next_if(|c| *c != '=' && !c.is_whitespace()) {
            key.push(c);
        }
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        if key.is_empty() || chars.next() != Some('=') {
            return Err(SHAPE);
        }
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        let quoted = chars.next_if_eq(&'\'').is_some();
        let mut value = String::new();
        loop {
            match chars.next() {
                Some('\'') if quoted => break,
                Some('\\') => value.extend(chars.next()),
                Some(c) if !quoted && c.is_whitespace() => break,
                Some(c) => value.push(c),
                None if quoted => return Err("a quote in the connection string is not closed"),
                None => break,
            }
        }
        params.set(&key, text.part(&value).expanded());
    }
}

#[cfg(test)]
mod tests;
