//! Reads servers and login: the declaration, then a service file, then libpq's variables, then its
//! defaults.

mod login;
mod migrations_table;
mod sources;

use std::time::Duration;

pub(super) use login::{Bind, Credentials, Login};
use migrations_table::MigrationsTable;
use sources::Sources;

use super::{
    dsn::{self, Dialect, Params},
    hosts, os_user,
    parameters::label,
    passfile, service,
    ssl::{self, Encryption},
    values::{self, choice},
};
use crate::{
    connect::Endpoint,
    kinds::scram,
    probe::{Order, Start},
    spec::{ConfigError, Key, Spec},
};

/// The keys for the login. The URL may contain one too.
pub static KEYS: &[Key] = &[
    Key { name: "user", value: "NAME", help: "role to log in as; overrides the URL" },
    Key { name: "password", value: "PASSWORD", help: "the role's password; overrides the URL" },
    Key {
        name: "passfile",
        value: "PATH",
        help: "password file as ~/.pgpass; overrides the URL and PGPASSFILE",
    },
];

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
    ///
    /// pgjdbc's `ConnectionFactoryImpl.openConnectionImpl` catches every `SQLException` and goes on
    /// while `hostIter.hasNext()`. Npgsql's `NpgsqlMultiHostDataSource.TryGetIdleOrNew` collects
    /// every exception, and throws them together behind the last host.
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
        let env = sources::environment(spec)?;
        let os_user = os_user::current();
        let home = spec
            .env
            .var("HOME")
            .map_err(|message| spec.error(message))?
            .filter(|home| !home.is_empty());
        let home = home.or_else(|| os_user.as_ref().map(|user| user.home.clone()));
        if let Some(service) = declared.get("service").or_else(|| env.get("service")) {
            let files = sources::service_files(spec, &declared, home.as_deref())?;
            let service = service::read(service, &files).map_err(|message| spec.error(message))?;
            declared = declared.or(service);
        }
        values::check_empty(&declared, &env).map_err(|message| spec.error(message))?;
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
        sources::refuse_pieces_of_passwords(all).map_err(wrong)?;
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
        let passfile = sources::password_file(spec, all, home)?;
        // The key `passfile` overrides a password in the URL. Elsewhere a password overrides the
        // file, as in libpq.
        let file_first = spec.key("passfile").is_some() && spec.key("password").is_none();
        let keys = sources::scram_keys(all).map_err(wrong)?;
        let server = |place: hosts::Place| {
            let of_file = || {
                let fields = [place.named.as_str(), &place.port, &database, &user];
                passfile.text.as_deref().and_then(|text| passfile::lookup(text, fields))
            };
            let given = || own("password");
            let password =
                if file_first { of_file().or_else(given) } else { given().or_else(of_file) };
            let password = password.map(|password| Credentials::Password(spec.secret(password)));
            Server {
                // In libpq too, a password overrides the keys, but only where a method asks for it.
                credentials: keys.clone().map(Credentials::ScramKeys).or(password),
                derived: None,
                endpoint: place.endpoint,
                host: place.host,
                down: false,
            }
        };
        let servers = places.into_iter().map(server).collect();
        let wanted = choice(all, "target_session_attrs", &Wanted::WORDS).map_err(wrong)?;
        let starts = [("disable", Start::First), ("random", Start::Random)];
        let start = choice(all, "load_balance_hosts", &starts).map_err(wrong)?;
        let login = Login::read(all, user, database).map_err(wrong)?;
        let access = Access {
            login: Login { passfile_note: passfile.note, ..login },
            encryption,
            wanted: wanted.unwrap_or(Wanted::Any),
            connect_timeout: connect_timeout(all).map_err(|message| spec.error(message))?,
            after_refusal: AfterRefusal::of(declared.dialect()),
            require_peer: own("requirepeer"),
        };
        Ok(Self {
            servers,
            order: Order::new(start.unwrap_or(Start::First)),
            access,
            schema: own("schema"),
            migrations_table: MigrationsTable::read(all).map_err(|message| spec.error(message))?,
        })
    }

    /// Returns the addresses of all servers.
    pub fn endpoints(&self) -> Vec<&Endpoint> {
        self.servers.iter().map(|server| &server.endpoint).collect()
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
