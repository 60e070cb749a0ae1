//! Reads servers and login: the declaration, then a service file, then libpq's variables, then its
//! defaults.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{
    classify::Phase,
    dsn::{self, Dialect, Params},
    hosts, os_user,
    parameters::{self, label},
    passfile, scram, service,
    ssl::{self, Encryption},
    values::{self, choice},
    wire::{PROTOCOL_3_0, PROTOCOL_3_2},
};
use crate::{
    connect::Endpoint,
    probe::{Order, Start},
    secret::Secret,
    spec::{ConfigError, Key, Spec},
};

/// The keys for the login. The URL may contain one too.
pub static KEYS: &[Key] = &[
    Key { name: "user", value: "NAME", help: "role to log in as; beats the URL" },
    Key { name: "password", value: "PASSWORD", help: "its password; beats the URL" },
    Key {
        name: "passfile",
        value: "PATH",
        help: "password file as ~/.pgpass; beats the URL and PGPASSFILE",
    },
];

/// The parameters of one target, by their source.
struct Sources {
    /// The declaration and the service file that it names.
    declared: Params,
    /// The declared parameters and those of the environment.
    effective: Params,
}

/// The servers of one declaration, and the login that they share.
pub struct Target {
    /// The servers, in the order of the declaration.
    pub(super) servers: Vec<Server>,
    pub(super) order: Order,
    pub(super) access: Access,
    schema: Option<String>,
    migrations_table: Option<MigrationsTable>,
}

/// The settings that all servers of a target share.
pub(super) struct Access {
    pub(super) login: Login,
    pub(super) encryption: Encryption,
    pub(super) wanted: Wanted,
    /// The time that `connect_timeout` allows each server until it is ready for a query.
    pub(super) connect_timeout: Option<Duration>,
    pub(super) after_refusal: AfterRefusal,
    /// The user as whom a server behind a Unix socket must run.
    pub(super) require_peer: Option<String>,
}

/// A driver's reaction when one of several hosts refuses the login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AfterRefusal {
    /// libpq, asyncpg and pgx report the refusal.
    Stop,
    /// pgjdbc, Npgsql and psycopg 3 try the next host.
    TryNext,
}

impl AfterRefusal {
    fn of(dialect: Dialect) -> Self {
        match dialect {
            Dialect::Libpq => AfterRefusal::Stop,
            Dialect::Psycopg3 | Dialect::Jdbc | Dialect::Npgsql => AfterRefusal::TryNext,
        }
    }
}

/// The table that golang-migrate's `x-migrations-table` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigrationsTable {
    /// `None` means the first schema of the search path.
    pub schema: Option<String>,
    /// The name in the database, neither quoted nor folded.
    pub table: String,
}

impl MigrationsTable {
    /// Reads `x-migrations-table`, which under `x-migrations-table-quoted` is `"table"` or
    /// `"schema"."table"`.
    fn read(params: &Params) -> Result<Option<Self>, String> {
        const SHAPE: &str = "x-migrations-table: must be quoted where x-migrations-table-quoted is \
            set, \
                             e.g. \"migrate\".\"schema_migrations\"";
        let Some(name) = params.get("x-migrations-table") else { return Ok(None) };
        let quoted = match params.get("x-migrations-table-quoted") {
            None | Some("0" | "f" | "F" | "false" | "FALSE" | "False") => false,
            Some("1" | "t" | "T" | "true" | "TRUE" | "True") => true,
            Some(_) => return Err("x-migrations-table-quoted: must be true or false".to_owned()),
        };
        if !quoted {
            return Ok(Some(Self { schema: None, table: name.to_owned() }));
        }
        let inside = name.strip_prefix('"').and_then(|name| name.strip_suffix('"')).ok_or(SHAPE)?;
        let parts: Vec<_> = inside.split("\".\"").collect();
        match parts.as_slice() {
            [table] if !table.contains('"') => {
                Ok(Some(Self { schema: None, table: (*table).to_owned() }))
            }
            [schema, table] if !schema.contains('"') && !table.contains('"') => {
                Ok(Some(Self { schema: Some((*schema).to_owned()), table: (*table).to_owned() }))
            }
            _ => Err(SHAPE.to_owned()),
        }
    }
}

/// One server.
pub(super) struct Server {
    pub(super) endpoint: Endpoint,
    /// The name that its certificate must be valid for.
    pub(super) host: String,
    pub(super) credentials: Option<Credentials>,
    /// The keys derived from the password in the last attempt.
    pub(super) derived: Option<scram::Derived>,
    /// The last attempt found the server down or starting, or was cut.
    pub(super) down: bool,
}

/// The credentials of a login.
#[derive(Clone)]
pub(super) enum Credentials {
    /// A password.
    Password(Secret),
    /// libpq's scram_client_key and scram_server_key.
    ScramKeys(scram::Keys),
}

/// The versions of the protocol that are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Protocol {
    /// The version in the startup packet.
    pub(super) asked: u32,
    /// The lowest version that the server may negotiate.
    pub(super) least: u32,
}

impl Protocol {
    fn read(params: &Params) -> Result<Self, String> {
        const WORDS: [(&str, u32); 3] =
            [("3.0", PROTOCOL_3_0), ("3.2", PROTOCOL_3_2), ("latest", PROTOCOL_3_2)];
        let (least, most) = ("min_protocol_version", "max_protocol_version");
        let min = choice(params, least, &WORDS)?.unwrap_or(PROTOCOL_3_0);
        // As in libpq: 3.0 unless the user asks for more, because some poolers do not negotiate.
        let max = choice(params, most, &WORDS)?.unwrap_or(min);
        match min > max {
            true => Err(format!("{}: must not be above {most}", label(least))),
            false => Ok(Self { asked: max, least: min }),
        }
    }
}

/// libpq's `channel_binding`: a login then proves that both ends share one TLS connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Bind {
    Disable,
    #[default]
    Prefer,
    Require,
}

impl Bind {
    const WORDS: [(&str, Bind); 3] =
        [("disable", Bind::Disable), ("prefer", Bind::Prefer), ("require", Bind::Require)];
}

/// The contents of the startup packet, and the statements that may follow it.
pub(super) struct Login {
    pub(super) user: String,
    pub(super) database: String,
    pub(super) application_name: String,
    pub(super) options: Option<String>,
    pub(super) search_path: Option<String>,
    /// Set in the transaction of a question, for drivers that set it after the login.
    pub(super) session_search_path: Option<String>,
    /// `None` means UTF-8: names and messages are then readable whatever the database's encoding.
    pub(super) client_encoding: Option<String>,
    pub(super) protocol: Protocol,
    pub(super) bind: Bind,
    pub(super) require_auth: RequireAuth,
    /// The reason why the password file held no password.
    pub(super) passfile_note: Option<String>,
}

impl Login {
    /// Statements that make a transaction see what the application's own sessions see.
    pub(super) fn session_setup(&self) -> Vec<String> {
        let path = self.session_search_path.as_ref().map(|path| {
            let literal = path.replace('\'', "''").replace('\\', "\\\\");
            format!("SELECT pg_catalog.set_config('search_path', E'{literal}', true)")
        });
        let encoding = self.client_encoding.as_ref();
        let encoding = encoding.map(|_| "SET LOCAL client_encoding = 'UTF8'".to_owned());
        encoding.into_iter().chain(path).collect()
    }

    /// The phase of a refusal of this login. It records if our own options may be the cause.
    pub(super) fn phase(&self) -> Phase {
        let own = [&self.options, &self.search_path, &self.client_encoding];
        match own.iter().any(|option| option.is_some()) {
            true => Phase::LoginWithOptions,
            false => Phase::Login,
        }
    }
}

/// libpq's `require_auth`: the ways of authentication that we take part in; empty means all.
#[derive(Default)]
pub(super) struct RequireAuth {
    methods: Vec<String>,
    negated: bool,
}

impl RequireAuth {
    fn read(text: &str) -> Result<Self, String> {
        const METHODS: [&str; 7] =
            ["password", "md5", "gss", "sspi", "scram-sha-256", "oauth", "none"];
        let methods: Vec<_> = text.split(',').map(str::trim).collect();
        let negated = methods.iter().all(|method| method.starts_with('!'));
        let methods: Vec<_> = methods
            .iter()
            .map(|method| if negated { &method[1..] } else { method })
            .map(str::to_owned)
            .collect();
        match methods.iter().all(|method| METHODS.contains(&method.as_str())) {
            true => Ok(Self { methods, negated }),
            false => Err(format!(
                "{}: must list some of {}, either all with a ! or none",
                label("require_auth"),
                METHODS.join(", ")
            )),
        }
    }

    pub(super) fn allows(&self, method: &str) -> bool {
        self.methods.is_empty() || self.methods.iter().any(|name| name == method) != self.negated
    }
}

/// libpq's `target_session_attrs`: the servers of a list that are acceptable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Any,
    ReadWrite,
    ReadOnly,
    Primary,
    Standby,
    PreferStandby,
}

impl Wanted {
    const WORDS: [(&str, Wanted); 6] = [
        ("any", Wanted::Any),
        ("read-write", Wanted::ReadWrite),
        ("read-only", Wanted::ReadOnly),
        ("primary", Wanted::Primary),
        ("standby", Wanted::Standby),
        ("prefer-standby", Wanted::PreferStandby),
    ];
}

impl Target {
    /// Reads a declaration: its URL or connection string, its keys, and what service files,
    /// password files and variables add.
    ///
    /// # Errors
    /// Contradictory, unknown or unreadable settings. No error shows a value that may be a secret.
    pub fn from_spec(spec: &Spec) -> Result<Self, ConfigError> {
        let mut declared = dsn::read(spec)?;
        for key in ["user", "password", "passfile"] {
            if let Some(value) = spec.key(key) {
                declared.set(key, value);
            }
        }
        let env = environment(spec)?;
        let os_user = os_user::current();
        let home = spec
            .env
            .var("HOME")
            .map_err(|message| spec.error(message))?
            .filter(|home| !home.is_empty());
        let home = home.or_else(|| os_user.as_ref().map(|user| user.home.clone()));
        if let Some(service) = declared.get("service").or_else(|| env.get("service")) {
            let files = service_files(spec, &declared, home.as_deref())?;
            let service = service::read(service, &files).map_err(|message| spec.error(message))?;
            declared = declared.or(service);
        }
        let effective = declared.clone().or(env);
        let sources = Sources { declared, effective };
        Self::build(spec, &sources, home.as_deref(), os_user.map(|user| user.name))
    }

    fn build(
        spec: &Spec,
        sources: &Sources,
        home: Option<&str>,
        os_user: Option<String>,
    ) -> Result<Self, ConfigError> {
        let Sources { declared, effective: all } = sources;
        let wrong = |message: String| spec.error(message);
        values::check(all).map_err(wrong)?;
        refuse_pieces_of_passwords(all).map_err(wrong)?;
        let own = |keyword: &str| all.get(keyword).map(str::to_owned);
        let user_variable = || spec.env.var("USER").ok().flatten().filter(|user| !user.is_empty());
        let user = own("user").or(os_user).or_else(user_variable).ok_or_else(|| {
            spec.error(
                "no user: the URL, the key user, PGUSER and USER name none, and /etc/passwd does \
                not know our uid",
            )
        })?;
        let database = own("dbname").unwrap_or_else(|| user.clone());
        let places = hosts::read(all).map_err(|message| spec.error(message))?;
        let networked = places.iter().any(|place| matches!(place.endpoint, Endpoint::Tcp(..)));
        let encryption = ssl::read(spec, declared, all, home, networked)?;
        let (passfile, passfile_note) = passwords(spec, all, home)?;
        // The key `passfile` beats a password in the URL; elsewhere a password beats the file, as
        // in libpq.
        let file_first = spec.key("passfile").is_some() && spec.key("password").is_none();
        let keys = scram_keys(all).map_err(wrong)?;
        let servers: Vec<Server> = places
            .into_iter()
            .map(|place| {
                let of_file = || {
                    let fields = [place.named.as_str(), &place.port, &database, &user];
                    passfile.as_deref().and_then(|text| passfile::lookup(text, fields))
                };
                let given = || own("password");
                let password =
                    if file_first { of_file().or_else(given) } else { given().or_else(of_file) };
                let password =
                    password.map(|password| Credentials::Password(spec.secret(password)));
                Server {
                    // A password beats the keys in libpq too, but only where a method asks for it.
                    credentials: keys.clone().map(Credentials::ScramKeys).or(password),
                    derived: None,
                    endpoint: place.endpoint,
                    host: place.host,
                    down: false,
                }
            })
            .collect();
        let wanted = choice(all, "target_session_attrs", &Wanted::WORDS).map_err(wrong)?;
        let starts = [("disable", Start::First), ("random", Start::Random)];
        let start = choice(all, "load_balance_hosts", &starts).map_err(wrong)?;
        let require_auth = all
            .get("require_auth")
            .map(RequireAuth::read)
            .transpose()
            .map_err(|message| spec.error(message))?;
        let login = Login {
            application_name: own("application_name")
                .or_else(|| own("fallback_application_name"))
                .unwrap_or_else(|| "afterall".to_owned()),
            options: own("options"),
            search_path: own("search_path"),
            session_search_path: own("session_search_path"),
            client_encoding: own("client_encoding").filter(|encoding| encoding != "auto"),
            protocol: Protocol::read(all).map_err(wrong)?,
            bind: choice(all, "channel_binding", &Bind::WORDS).map_err(wrong)?.unwrap_or_default(),
            require_auth: require_auth.unwrap_or_default(),
            passfile_note,
            user,
            database,
        };
        let access = Access {
            login,
            encryption,
            wanted: wanted.unwrap_or(Wanted::Any),
            connect_timeout: connect_timeout(all).map_err(|message| spec.error(message))?,
            after_refusal: AfterRefusal::of(declared.dialect()),
            require_peer: own("requirepeer"),
        };
        let target = Self {
            servers,
            order: Order::new(start.unwrap_or(Start::First)),
            access,
            schema: own("schema"),
            migrations_table: MigrationsTable::read(all).map_err(|message| spec.error(message))?,
        };
        let login = &target.access.login;
        let texts = [&login.user, &login.database, &login.application_name];
        match texts.iter().any(|text| text.contains('\0')) {
            true => Err(spec.error("a NUL in the user, the database or the application name")),
            false => Ok(target),
        }
    }

    /// Returns true if every server is on this machine.
    pub fn is_local(&self) -> bool {
        self.servers.iter().all(|server| server.endpoint.is_local())
    }

    /// The schema that Prisma's `schema` or JDBC's `currentSchema` names: where the application
    /// keeps its tables.
    pub fn schema(&self) -> Option<&str> {
        self.schema.as_deref()
    }

    /// The table that the URL itself names for the application's migrations.
    pub fn migrations_table(&self) -> Option<&MigrationsTable> {
        self.migrations_table.as_ref()
    }
}

fn environment(spec: &Spec) -> Result<Params, ConfigError> {
    let mut params = Params::default();
    // libpq still reads the variable of a parameter that is gone.
    let variables = parameters::PARAMETERS
        .iter()
        .filter_map(|parameter| Some((parameter.variable?, parameter.name)))
        .chain([("PGREQUIRESSL", "requiressl")]);
    for (variable, keyword) in variables {
        if let Some(value) = spec.env.var(variable).map_err(|message| spec.error(message))? {
            params.set(keyword, value);
        }
    }
    Ok(params)
}

/// The user's own file, then the system's.
fn service_files(
    spec: &Spec,
    declared: &Params,
    home: Option<&str>,
) -> Result<Vec<String>, ConfigError> {
    let variable = |name: &str| spec.env.var(name).map_err(|message| spec.error(message));
    let own = match (declared.get("servicefile"), variable("PGSERVICEFILE")?) {
        (Some(file), _) => Some(file.to_owned()),
        (None, Some(file)) => Some(file),
        (None, None) => home.map(|home| format!("{home}/.pg_service.conf")),
    };
    // Debian's libpq looks in this directory. Other builds need the variable.
    let system = variable("PGSYSCONFDIR")?.unwrap_or_else(|| "/etc/postgresql-common".to_owned());
    Ok(own.into_iter().chain([format!("{system}/pg_service.conf")]).collect())
}

/// Returns the password file's text, or the reason why it is ignored.
fn passwords(
    spec: &Spec,
    all: &Params,
    home: Option<&str>,
) -> Result<(Option<String>, Option<String>), ConfigError> {
    let path = all
        .get("passfile")
        .map(str::to_owned)
        .or_else(|| home.map(|home| format!("{home}/.pgpass")));
    let Some(path) = path else { return Ok((None, None)) };
    match passfile::read(&path) {
        Ok(text) => Ok((
            Some(text),
            Some(format!("{path} has no line for this host, port, database and user")),
        )),
        Err(why) if spec.key("passfile").is_some() => Err(spec.key_error("passfile", why)),
        // A missing default ~/.pgpass is not an error.
        Err(_) if all.get("passfile").is_none() && std::fs::metadata(&path).is_err() => {
            Ok((None, None))
        }
        Err(why) => Ok((None, Some(why))),
    }
}

/// Reads libpq's SCRAM keys, which replace a password.
fn scram_keys(params: &Params) -> Result<Option<scram::Keys>, String> {
    let key = |name: &str| -> Result<Option<[u8; 32]>, String> {
        let Some(text) = params.get(name) else { return Ok(None) };
        let key = STANDARD.decode(text).ok().and_then(|key| key.try_into().ok());
        key.map(Some).ok_or_else(|| format!("{name}: must be 32 bytes in Base64"))
    };
    match (key("scram_client_key")?, key("scram_server_key")?) {
        (None, None) => Ok(None),
        (Some(client), Some(server)) => Ok(Some(scram::Keys { client, server })),
        _ => {
            Err("scram_client_key: must come with scram_server_key, and the other way round"
                .to_owned())
        }
    }
}

/// Refuses a user, a database or a host that holds a password, which a wrong separator put there:
/// `user=app;password=x`.
fn refuse_pieces_of_passwords(params: &Params) -> Result<(), String> {
    for name in ["user", "dbname", "host", "application_name"] {
        let value = params.get(name).unwrap_or_default().to_ascii_lowercase();
        let holds = |word: &str| {
            value.split_once(word).is_some_and(|(_, rest)| rest.trim_start().starts_with('='))
        };
        if ["password", "passwd", "pwd"].into_iter().any(holds) {
            return Err(format!(
                "{}: must not hold a password: the separator before it is wrong (a URL has &, \
                pairs have a blank, Npgsql has ;)",
                label(name)
            ));
        }
    }
    Ok(())
}

/// Reads whole seconds. Unset, 0 and less mean no bound.
fn connect_timeout(all: &Params) -> Result<Option<Duration>, String> {
    let Some(text) = all.get("connect_timeout") else { return Ok(None) };
    match text.trim().parse::<i32>() {
        Ok(seconds) => {
            Ok(u64::try_from(seconds).ok().filter(|seconds| *seconds > 0).map(Duration::from_secs))
        }
        Err(_) => {
            Err(format!("{}: must be a whole number of seconds, e.g. 3", label("connect_timeout")))
        }
    }
}

#[cfg(test)]
mod tests;
