//! Connection strings in every driver's form: URL, JDBC, Go's `user:password@tcp(host:port)/db`,
//! PDO's `host=h;dbname=d` and ADO.NET's `Server=h;Database=d`.

use super::params::{Mode, Params};
use crate::{
    kinds::{
        options::{pairs, truth},
        semicolons,
    },
    spec::{ConfigError, Spec, expand::Text},
    text::nearest,
};

/// The form of a connection string, by its first characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// `//user:password@host:port/database?options`.
    Url,
    /// `user:password@tcp(host:port)/database?options`, also behind `//`, or without the `tcp`.
    Go,
    /// `host=h;port=3306;dbname=d`, or `Server=h;Port=3306;Database=d;User ID=u`.
    Pairs,
}

impl Form {
    fn of(text: &str) -> Self {
        let is_go = ["@(", "tcp(", "tcp6(", "unix("].iter().any(|mark| text.contains(mark));
        let equals = text.find('=').unwrap_or(usize::MAX);
        let other = text.find(['@', '(', '/']).unwrap_or(usize::MAX);
        if is_go {
            Self::Go
        } else if text.starts_with("//") {
            Self::Url
        } else if equals < other {
            Self::Pairs
        } else {
            Self::Go
        }
    }
}

/// Returns the text after the scheme, without JDBC's word before the `//`:
/// `jdbc:mysql:replication://`.
fn body(rest: &Text) -> Text {
    let inner = ["mysql:", "mariadb:"].iter().any(|inner| rest.raw().starts_with(inner));
    match rest.raw().find("//") {
        Some(at) if inner => rest.part(&rest.raw()[at..]),
        _ => rest.clone(),
    }
}

/// Checks the shape, and returns the dependency's name: host and database, never a login.
pub fn shown(rest: &Text) -> Result<String, String> {
    let rest = body(rest);
    match Form::of(rest.raw()) {
        Form::Url => crate::spec::read_servers(&rest),
        Form::Go => {
            let (_, target) = split_go(&rest);
            let shown = target.split('?').next();
            Ok(shown.map(|target| target.display_redacted()).unwrap_or_default())
        }
        Form::Pairs => Ok(String::new()),
    }
}

/// Reads a connection string into `params`.
pub(super) fn read(spec: &Spec, params: &mut Params) -> Result<(), ConfigError> {
    let rest = body(&spec.rest);
    match Form::of(rest.raw()) {
        Form::Url => read_url(spec, &rest, params),
        Form::Go => read_go(spec, &rest, params),
        Form::Pairs => read_pairs(spec, &rest, params),
    }
}

fn read_url(spec: &Spec, rest: &Text, params: &mut Params) -> Result<(), ConfigError> {
    let parts = spec.parts_of(rest)?;
    if let Some(userinfo) = &parts.userinfo {
        let (user, password) = spec.userinfo(userinfo)?;
        params.user = Some(user).filter(|user| !user.is_empty());
        params.password = password;
    }
    params.servers = spec.servers(&parts.servers)?;
    let path = spec.decoded("database", &parts.path)?;
    params.database = Some(path.trim_start_matches('/').to_owned());
    for (name, value) in pairs(spec, parts.query.as_ref())? {
        option(spec, params, &name, value)?;
    }
    Ok(())
}

/// Go splits at the last `/`, and before that at the last `@`; nothing is percent-encoded but the
/// options.
fn split_go(rest: &Text) -> (Option<Text>, Text) {
    let rest = rest.strip_prefix("//").unwrap_or_else(|| rest.clone());
    let raw = rest.raw();
    // The options may hold a slash.
    let address_end = raw.find(')').map_or(0, |at| at + 1);
    let end = raw[address_end..].find('/').map_or(raw.len(), |at| address_end + at);
    match raw[..end].rfind('@') {
        Some(at) => (Some(rest.part(&raw[..at])), rest.part(&raw[at + 1..])),
        None => (None, rest.clone()),
    }
}

fn read_go(spec: &Spec, rest: &Text, params: &mut Params) -> Result<(), ConfigError> {
    let wrong = || {
        spec.error(
            "must be USER:PASSWORD@tcp(HOST:PORT)/DATABASE, e.g. mysql:app:${PW}@tcp(db:3306)/app",
        )
    };
    let (userinfo, target) = split_go(rest);
    if let Some(userinfo) = userinfo {
        let (user, password) = match userinfo.split_once(':') {
            Some((user, password)) => (user, Some(password)),
            None => (userinfo, None),
        };
        params.user = Some(user.expanded()).filter(|user| !user.is_empty());
        params.password = password.map(|password| spec.secret(password.expanded()));
    }
    let (address, path) = match target.raw().find(')') {
        Some(end) => {
            let (address, rest) = target.raw().split_at(end + 1);
            (Some(target.part(address)), target.part(rest))
        }
        None => (None, target),
    };
    let path = path.strip_prefix("/").ok_or_else(wrong)?;
    let (database, options) = match path.split_once('?') {
        Some((database, options)) => (database, Some(options)),
        None => (path, None),
    };
    params.database = Some(spec.decoded("database", &database)?);
    match address {
        Some(address) => {
            let (protocol, inner) = address.split_once('(').ok_or_else(wrong)?;
            let inner = inner.part(inner.raw().trim_end_matches(')'));
            match protocol.raw() {
                "" | "tcp" | "tcp6" => params.servers = vec![spec.server(&inner)?],
                "unix" => params.socket = Some(inner.expanded()),
                _ => return Err(wrong()),
            }
        }
        // As the driver itself has it.
        None => params.servers = spec.servers(&Text::literal("127.0.0.1"))?,
    }
    for (name, value) in pairs(spec, options.as_ref())? {
        option(spec, params, &name, value)?;
    }
    Ok(())
}

fn read_pairs(spec: &Spec, rest: &Text, params: &mut Params) -> Result<(), ConfigError> {
    let (mut host, mut port) = (String::new(), None);
    let parts = semicolons::parts(rest.raw())
        .ok_or_else(|| spec.error("must be NAME=VALUE pairs, e.g. mysql:host=db;dbname=app"))?;
    for (name, value) in parts {
        let value = rest.part(&value).expanded();
        match semicolons::bare(&name).as_str() {
            "host" | "server" | "datasource" | "address" | "addr" | "networkaddress" => {
                host = value;
            }
            "port" => {
                let number = value.parse::<u16>().ok().filter(|port| *port > 0);
                let wrong = || spec.error("port: must be a number from 1 to 65535, e.g. 3306");
                port = Some(number.ok_or_else(wrong)?);
            }
            "dbname" | "database" | "initialcatalog" => params.database = Some(value),
            "uid" | "userid" => params.user = Some(value),
            "pwd" => params.password = Some(spec.secret(value)),
            other => option(spec, params, other, value)?,
        }
    }
    if !host.is_empty() || params.socket.is_none() {
        params.servers = spec.servers(&Text::literal(&host))?;
        params.servers.iter_mut().for_each(|server| server.port = server.port.or(port));
    }
    Ok(())
}

/// One option, by the names that the drivers give it. Those that do not change whether the server
/// is ready are skipped.
fn option(spec: &Spec, params: &mut Params, name: &str, value: String) -> Result<(), ConfigError> {
    let plain = name.to_ascii_lowercase().replace(['-', '_'], "");
    let flag =
        || truth(&value).ok_or_else(|| spec.error(format_args!("{name}: must be true or false")));
    match plain.as_str() {
        "user" | "username" => params.user = Some(value),
        "password" | "pass" => params.password = Some(spec.secret(value)),
        "socket" | "unixsocket" | "socketpath" | "localsocket" => params.socket = Some(value),
        "sslmode" => params.mode = Some(mode(spec, name, &value)?),
        "tls" => params.mode = Some(go_tls(&value)),
        "usessl" | "ssl" if value.trim_start().starts_with('{') => {
            // mysql2 (node): ssl={"rejectUnauthorized":false}
            let accepts_all = value.replace(' ', "").contains("\"rejectUnauthorized\":false");
            params.at_least(if accepts_all { Mode::Required } else { Mode::VerifyIdentity });
        }
        "usessl" | "ssl" => {
            if flag()? {
                params.at_least(Mode::Required)
            } else {
                params.mode = Some(Mode::Disabled)
            }
        }
        "requiressl" if flag()? => params.at_least(Mode::Required),
        "ssldisabled" if flag()? => params.mode = Some(Mode::Disabled),
        "verifyservercertificate" | "sslverifycert" if flag()? => params.at_least(Mode::VerifyCa),
        "sslverifyidentity" | "sslcheckhostname" if flag()? => {
            params.at_least(Mode::VerifyIdentity)
        }
        "sslcheckhostname" => params.mode = params.mode.map(|mode| mode.min(Mode::VerifyCa)),
        "sslaccept" if value == "strict" => params.at_least(Mode::VerifyIdentity),
        "sslca" | "serversslcert" | "xtlsca" | "sslrootcert" => {
            params.files.ca = Some(value);
            params.at_least(Mode::VerifyCa);
        }
        "sslcert" | "clientcert" | "xtlscert" => params.files.cert = Some(value),
        "sslkey" | "clientkey" | "xtlskey" => params.files.key = Some(value),
        "xtlsinsecureskipverify" if flag()? => params.mode = Some(Mode::Required),
        "xmigrationstable" => params.migrations_table = Some(value),
        _ => {}
    }
    Ok(())
}

fn mode(spec: &Spec, name: &str, value: &str) -> Result<Mode, ConfigError> {
    let word = value.to_ascii_lowercase().replace('-', "_");
    Mode::named(&word).ok_or_else(|| {
        let known = Mode::WORDS.map(|(word, _)| word);
        let near = nearest(&word.to_ascii_uppercase(), known).unwrap_or("REQUIRED");
        spec.error(format_args!("{name}: must be one of {}, e.g. {near}", known.join(", ")))
    })
}

/// Go's `tls`; another name is that of a setup in the program, which verifies.
fn go_tls(value: &str) -> Mode {
    match value {
        "false" | "0" => Mode::Disabled,
        "preferred" => Mode::Preferred,
        "skip-verify" => Mode::Required,
        _ => Mode::VerifyIdentity,
    }
}
