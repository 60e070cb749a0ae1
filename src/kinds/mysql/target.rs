//! Reads servers and login: the connection string, then the keys, then the variables of MySQL's
//! clients.

use super::{
    dsn,
    params::{Mode, Params},
};
use crate::{
    connect::Endpoint,
    probe::{Class, Failure},
    secret::Secret,
    spec::{ConfigError, Spec},
    tls::{Tls, Verify},
};

const PORT: u16 = 3306;

/// The servers of one declaration and the login that they share.
pub struct Target {
    pub(super) servers: Vec<Server>,
    pub(super) user: String,
    pub(super) password: Option<Secret>,
    pub(super) database: Option<String>,
    pub(super) encryption: Encryption,
    migrations_table: Option<String>,
}

/// One server.
pub(super) struct Server {
    pub(super) endpoint: Endpoint,
    /// The name that its certificate must be valid for.
    pub(super) host: String,
}

/// The encryption of connections over the network.
pub(super) struct Encryption {
    pub(super) mode: Mode,
    tls: Option<Tls>,
}

impl Encryption {
    /// The TLS setup for a server that offers TLS.
    pub(super) fn tls(&self, endpoint: &Endpoint) -> Result<&Tls, Failure> {
        self.tls.as_ref().ok_or_else(|| {
            Failure::new(Class::Config, format!("TLS is not set up for a socket ({endpoint})"))
        })
    }

    /// Returns true if the server at `endpoint` has proved who it is.
    pub(super) fn proves_server(&self, endpoint: &Endpoint) -> bool {
        matches!(endpoint, Endpoint::Unix(_)) || self.mode >= Mode::VerifyCa
    }
}

impl Target {
    /// Reads the declaration.
    ///
    /// # Errors
    /// A connection string, key or variable that cannot work.
    pub fn from_spec(spec: &Spec) -> Result<Self, ConfigError> {
        let mut params = Params::default();
        dsn::read(spec, &mut params)?;
        let variable = |name: &str| spec.env.var(name).map_err(|message| spec.error(message));
        let user = spec.owned("user").or(params.user.take());
        let user = user.filter(|user| !user.is_empty()).ok_or_else(|| {
            spec.error(
                "needs a user, e.g. mysql://app@db/app; without a login there is no harmless \
                question",
            )
        })?;
        let password = match spec.secret_key("password").or(params.password.take()) {
            Some(password) => Some(password),
            None => variable("MYSQL_PWD")?.map(|password| spec.secret(password)),
        };
        let database = params.database.take().filter(|database| !database.is_empty());
        let mut servers = Vec::new();
        if let Some(path) = params.socket.take() {
            servers.push(Server { endpoint: Endpoint::Unix(path), host: "localhost".to_owned() });
        } else {
            let (host, port) = (variable("MYSQL_HOST")?, variable("MYSQL_TCP_PORT")?);
            let port = port.and_then(|port| port.parse().ok()).unwrap_or(PORT);
            for server in &params.servers {
                let named = Some(server.host.clone()).filter(|host| !host.is_empty());
                let host = named.or_else(|| host.clone()).ok_or_else(|| {
                    spec.error("needs a host, e.g. mysql://app@db/app (or the variable MYSQL_HOST)")
                })?;
                let endpoint = Endpoint::Tcp(host.clone(), server.port.unwrap_or(port));
                servers.push(Server { endpoint, host });
            }
        }
        let texts = [Some(&user), database.as_ref()];
        if texts.iter().flatten().any(|text| text.contains('\0')) {
            return Err(spec.error("the user and the database must hold no NUL"));
        }
        Ok(Self {
            servers,
            user,
            password,
            database,
            encryption: encryption(spec, &mut params)?,
            migrations_table: params.migrations_table,
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

    /// The database.
    pub fn database(&self) -> Option<&str> {
        self.database.as_deref()
    }

    /// golang-migrate's `x-migrations-table`.
    pub fn migrations_table(&self) -> Option<&str> {
        self.migrations_table.as_deref()
    }
}

/// Our own keys mean VERIFY_IDENTITY, `insecure` means REQUIRED, as for Postgres. The clients'
/// default is PREFERRED.
fn encryption(spec: &Spec, params: &mut Params) -> Result<Encryption, ConfigError> {
    let insecure = spec.flag("insecure")?;
    let named = ["ca", "cert", "server-name"].into_iter().find(|key| spec.key(key).is_some());
    if let (Some(key), Some(mode)) = (named, params.mode)
        && mode < Mode::Required
    {
        let message = format!("contradicts ssl-mode={}, which does without TLS", mode.word());
        return Err(spec.key_error(key, message));
    }
    if insecure && let Some(mode) = params.mode.filter(|mode| *mode != Mode::Required) {
        return Err(
            spec.key_error("insecure", format_args!("contradicts ssl-mode={}", mode.word()))
        );
    }
    let mode = match (params.mode, named) {
        (Some(mode), Some("ca" | "server-name")) => mode.max(Mode::VerifyCa),
        (Some(mode), _) => mode,
        (None, _) if insecure => Mode::Required,
        (None, Some(_)) => Mode::VerifyIdentity,
        (None, None) => Mode::Preferred,
    };
    if mode == Mode::Disabled {
        return Ok(Encryption { mode, tls: None });
    }
    let verify = match mode {
        Mode::VerifyIdentity => Verify::Full,
        Mode::VerifyCa => Verify::Chain,
        _ => Verify::Nothing,
    };
    let mut files = std::mem::take(&mut params.files);
    // Prisma calls the authority's certificate so.
    if files.key.is_none() && spec.key("key").is_none() && files.ca.is_none() {
        files.ca = files.cert.take();
    }
    let server_name = spec.owned("server-name");
    let tls = Tls::new(files.overridden_by(spec), server_name, verify)
        .map_err(|message| spec.error(message))?;
    Ok(Encryption { mode, tls: Some(tls) })
}
