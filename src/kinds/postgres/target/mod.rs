//! Where to connect and as whom: the declaration, then a service file, then libpq's variables, then its defaults.

use std::time::Duration;

use super::{
    classify::Phase,
    dsn::{self, Dialect, Params},
    hosts, os_user, passfile, service,
    ssl::{self, Encryption},
};
use crate::{
    connect::Endpoint,
    probe::{Order, Start},
    secret::Secret,
    spec::{ConfigError, Key, Spec},
};

/// The keys that say who logs in; the URL may say it too.
pub static KEYS: &[Key] = &[
    Key { name: "user", value: "NAME", help: "role to log in as; beats the URL" },
    Key { name: "password", value: "PASSWORD", help: "its password; beats the URL" },
    Key {
        name: "passfile",
        value: "PATH",
        help: "password file as ~/.pgpass; beats the URL and PGPASSFILE",
    },
];

/// libpq's variables (PostgreSQL manual, section 34.15).
const VARIABLES: &[(&str, &str)] = &[
    ("PGAPPNAME", "application_name"),
    ("PGCHANNELBINDING", "channel_binding"),
    ("PGCONNECT_TIMEOUT", "connect_timeout"),
    ("PGDATABASE", "dbname"),
    ("PGGSSENCMODE", "gssencmode"),
    ("PGHOST", "host"),
    ("PGHOSTADDR", "hostaddr"),
    ("PGOPTIONS", "options"),
    ("PGPASSFILE", "passfile"),
    ("PGPASSWORD", "password"),
    ("PGPORT", "port"),
    ("PGREQUIREAUTH", "require_auth"),
    ("PGREQUIRESSL", "requiressl"),
    ("PGSERVICE", "service"),
    ("PGSSLCERT", "sslcert"),
    ("PGSSLKEY", "sslkey"),
    ("PGSSLMODE", "sslmode"),
    ("PGSSLROOTCERT", "sslrootcert"),
    ("PGTARGETSESSIONATTRS", "target_session_attrs"),
    ("PGUSER", "user"),
];

/// What to reach: the servers of one declaration and the login that they share.
pub struct Target {
    /// In the order of the declaration.
    pub(super) servers: Vec<Server>,
    pub(super) order: Order,
    pub(super) access: Access,
    schema: Option<String>,
    migrations_table: Option<MigrationsTable>,
}

/// What all servers of a target have in common.
pub(super) struct Access {
    pub(super) login: Login,
    pub(super) encryption: Encryption,
    pub(super) wanted: Wanted,
    /// What `connect_timeout` leaves to each server until it is ready for a query.
    pub(super) connect_timeout: Option<Duration>,
    pub(super) after_refusal: AfterRefusal,
}

/// What a driver does when one of several hosts refuses the login.
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
    /// None: the first schema of the search path.
    pub schema: Option<String>,
    /// As the database has it: neither quoted nor folded.
    pub table: String,
}

impl MigrationsTable {
    /// Reads `x-migrations-table`, which under `x-migrations-table-quoted` is `"table"` or `"schema"."table"`.
    fn read(params: &Params) -> Result<Option<Self>, String> {
        const SHAPE: &str = "x-migrations-table: must be quoted where x-migrations-table-quoted is set, \
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
    /// What its certificate must be valid for.
    pub(super) host: String,
    pub(super) password: Option<Secret>,
    /// The last attempt found it down or starting, or did not come to its end.
    pub(super) down: bool,
}

/// What the startup packet says, and what may be sent after it.
pub(super) struct Login {
    pub(super) user: String,
    pub(super) database: String,
    pub(super) application_name: String,
    pub(super) options: Option<String>,
    pub(super) search_path: Option<String>,
    /// Set in the transaction of a question, for drivers that set it after the login.
    pub(super) session_search_path: Option<String>,
    pub(super) require_auth: RequireAuth,
    /// Why no password was found in a file where one was looked for.
    pub(super) passfile_note: Option<String>,
}

impl Login {
    /// Statements that make a transaction see what the application's own sessions see.
    pub(super) fn session_setup(&self) -> Vec<String> {
        let path = self.session_search_path.as_ref().map(|path| {
            let literal = path.replace('\'', "''").replace('\\', "\\\\");
            format!("SELECT pg_catalog.set_config('search_path', E'{literal}', true)")
        });
        path.into_iter().collect()
    }

    /// When a refusal of this login comes, and whether our own options may have caused it.
    pub(super) fn phase(&self) -> Phase {
        match self.options.is_some() || self.search_path.is_some() {
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
                "require_auth: lists some of {}, either all with a ! or none",
                METHODS.join(", ")
            )),
        }
    }

    pub(super) fn allows(&self, method: &str) -> bool {
        self.methods.is_empty() || self.methods.iter().any(|name| name == method) != self.negated
    }
}

/// libpq's `target_session_attrs`: which servers of a list will do.
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
    fn read(text: &str) -> Option<Self> {
        Some(match text {
            "any" => Wanted::Any,
            "read-write" => Wanted::ReadWrite,
            "read-only" => Wanted::ReadOnly,
            "primary" => Wanted::Primary,
            "standby" => Wanted::Standby,
            "prefer-standby" => Wanted::PreferStandby,
            _ => return None,
        })
    }
}

impl Target {
    /// Reads a declaration: its URL or connection string, its keys, and what service files, password files and variables add.
    ///
    /// # Errors
    /// What is contradictory, unknown or unreadable. No error shows a value that may be a secret.
    pub fn from_spec(spec: &Spec) -> Result<Self, ConfigError> {
        let mut declared = dsn::read(spec)?;
        for key in ["user", "password", "passfile"] {
            if let Some(value) = spec.key(key) {
                declared.set(key, value);
            }
        }
        let env = environment(spec)?;
        let os_user = os_user::current();
        let home =
            spec.env.var("HOME").map_err(|what| spec.error(what))?.filter(|home| !home.is_empty());
        let home = home.or_else(|| os_user.as_ref().map(|user| user.home.clone()));
        if let Some(service) = declared.get("service").or_else(|| env.get("service")) {
            let files = service_files(spec, &declared, home.as_deref())?;
            let service = service::read(service, &files).map_err(|what| spec.error(what))?;
            declared = declared.or(service);
        }
        let all = declared.clone().or(env);
        Self::build(spec, &declared, &all, home.as_deref(), os_user.map(|user| user.name))
    }

    fn build(
        spec: &Spec,
        declared: &Params,
        all: &Params,
        home: Option<&str>,
        os_user: Option<String>,
    ) -> Result<Self, ConfigError> {
        refuse_unsupported(all).map_err(|what| spec.error(what))?;
        let own = |keyword: &str| all.get(keyword).map(str::to_owned);
        let user_variable = || spec.env.var("USER").ok().flatten().filter(|user| !user.is_empty());
        let user = own("user").or(os_user).or_else(user_variable).ok_or_else(|| {
            spec.error("no user: the URL, the key user, PGUSER and USER name none, and /etc/passwd does not know our uid")
        })?;
        let database = own("dbname").unwrap_or_else(|| user.clone());
        let places = hosts::read(all).map_err(|what| spec.error(what))?;
        let networked = places.iter().any(|place| matches!(place.endpoint, Endpoint::Tcp(..)));
        let encryption = ssl::read(spec, declared, all, home, networked)?;
        let (passfile, passfile_note) = passwords(spec, all, home)?;
        // The key `passfile` beats a password in the URL; elsewhere a password beats the file, as in libpq.
        let file_first = spec.key("passfile").is_some() && spec.key("password").is_none();
        let servers = places
            .into_iter()
            .map(|place| {
                let of_file = || {
                    let fields = [place.named.as_str(), &place.port, &database, &user];
                    passfile.as_deref().and_then(|text| passfile::lookup(text, fields))
                };
                let given = || own("password");
                let password =
                    if file_first { of_file().or_else(given) } else { given().or_else(of_file) };
                Server {
                    password: password.map(|password| spec.secret(password)),
                    endpoint: place.endpoint,
                    host: place.host,
                    down: false,
                }
            })
            .collect();
        let wanted = match all.get("target_session_attrs") {
            Some(word) => Wanted::read(word).ok_or_else(|| {
                spec.error("target_session_attrs: is one of any, read-write, read-only, primary, standby, prefer-standby")
            })?,
            None => Wanted::Any,
        };
        let require_auth = all
            .get("require_auth")
            .map(RequireAuth::read)
            .transpose()
            .map_err(|what| spec.error(what))?;
        let login = Login {
            application_name: own("application_name").unwrap_or_else(|| "afterall".to_owned()),
            options: own("options"),
            search_path: own("search_path"),
            session_search_path: own("session_search_path"),
            require_auth: require_auth.unwrap_or_default(),
            passfile_note,
            user,
            database,
        };
        let access = Access {
            login,
            encryption,
            wanted,
            connect_timeout: connect_timeout(all).map_err(|what| spec.error(what))?,
            after_refusal: AfterRefusal::of(declared.dialect()),
        };
        let target = Self {
            servers,
            order: Order::new(Start::First),
            access,
            schema: own("schema"),
            migrations_table: MigrationsTable::read(all).map_err(|what| spec.error(what))?,
        };
        let login = &target.access.login;
        let texts = [&login.user, &login.database, &login.application_name];
        match texts.iter().any(|text| text.contains('\0')) {
            true => Err(spec.error("a NUL in the user, the database or the application name")),
            false => Ok(target),
        }
    }

    /// Whether every server is on this machine.
    pub fn is_local(&self) -> bool {
        self.servers.iter().all(|server| server.endpoint.is_local())
    }

    /// The schema that Prisma's `schema` or JDBC's `currentSchema` names: where the application keeps its tables.
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
    for (variable, keyword) in VARIABLES {
        if let Some(value) = spec.env.var(variable).map_err(|what| spec.error(what))? {
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
    let variable = |name: &str| spec.env.var(name).map_err(|what| spec.error(what));
    let own = match (declared.get("servicefile"), variable("PGSERVICEFILE")?) {
        (Some(file), _) => Some(file.to_owned()),
        (None, Some(file)) => Some(file),
        (None, None) => home.map(|home| format!("{home}/.pg_service.conf")),
    };
    // Debian's libpq looks there; others are told by the variable.
    let system = variable("PGSYSCONFDIR")?.unwrap_or_else(|| "/etc/postgresql-common".to_owned());
    Ok(own.into_iter().chain([format!("{system}/pg_service.conf")]).collect())
}

/// The password file's text, or why it was ignored.
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
        // Nobody named the usual one: that it is not there is no news.
        Err(_) if all.get("passfile").is_none() && std::fs::metadata(&path).is_err() => {
            Ok((None, None))
        }
        Err(why) => Ok((None, Some(why))),
    }
}

fn refuse_unsupported(all: &Params) -> Result<(), String> {
    match (all.get("channel_binding"), all.get("gssencmode")) {
        (None | Some("disable" | "prefer"), None | Some("disable" | "prefer")) => Ok(()),
        (Some("require"), _) => {
            Err("channel_binding=require: is not supported (prefer is, which goes on without)"
                .to_owned())
        }
        (_, Some("require")) => Err("gssencmode=require: GSSAPI is not supported".to_owned()),
        (None | Some("disable" | "prefer"), _) => {
            Err("gssencmode: is one of disable, prefer, require".to_owned())
        }
        _ => Err("channel_binding: is one of disable, prefer, require".to_owned()),
    }
}

/// Whole seconds; nothing, 0 and less mean no bound of its own.
fn connect_timeout(all: &Params) -> Result<Option<Duration>, String> {
    let Some(text) = all.get("connect_timeout") else { return Ok(None) };
    match text.trim().parse::<i32>() {
        Ok(seconds) => {
            Ok(u64::try_from(seconds).ok().filter(|seconds| *seconds > 0).map(Duration::from_secs))
        }
        Err(_) => Err("connect_timeout: is a whole number of seconds".to_owned()),
    }
}

#[cfg(test)]
mod tests;
