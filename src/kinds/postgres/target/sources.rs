//! The sources of parameters besides the declaration: variables, service files, password files.

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::{
    kinds::{
        postgres::{
            dsn::Params,
            parameters::{self, label},
            passfile,
        },
        scram,
    },
    spec::{ConfigError, Spec},
};

/// The parameters of one target, by their source.
pub(super) struct Sources {
    /// The declaration and the service file that it names.
    pub(super) declared: Params,
    /// The declared parameters and those of the environment.
    pub(super) effective: Params,
}

pub(super) fn environment(spec: &Spec) -> Result<Params, ConfigError> {
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
pub(super) fn service_files(
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

/// The password file.
#[derive(Default)]
pub(super) struct PasswordFile {
    /// Its content, if it can be used.
    pub(super) text: Option<String>,
    /// The reason why a server has no password from it.
    pub(super) note: Option<String>,
}

/// Reads the password file.
pub(super) fn password_file(
    spec: &Spec,
    all: &Params,
    home: Option<&str>,
) -> Result<PasswordFile, ConfigError> {
    let path = all
        .get("passfile")
        .map(str::to_owned)
        .or_else(|| home.map(|home| format!("{home}/.pgpass")));
    let Some(path) = path else { return Ok(PasswordFile::default()) };
    match passfile::read(&path) {
        Ok(text) => Ok(PasswordFile {
            text: Some(text),
            note: Some(format!("{path} has no line for this host, port, database and user")),
        }),
        Err(why) if spec.key("passfile").is_some() => Err(spec.key_error("passfile", why)),
        // A missing default ~/.pgpass is not an error.
        Err(_) if all.get("passfile").is_none() && std::fs::metadata(&path).is_err() => {
            Ok(PasswordFile::default())
        }
        Err(why) => Ok(PasswordFile { text: None, note: Some(why) }),
    }
}

/// Reads libpq's SCRAM keys, which replace a password.
pub(super) fn scram_keys(params: &Params) -> Result<Option<scram::Keys>, String> {
    let key = |name: &str| -> Result<Option<[u8; 32]>, String> {
        let Some(text) = params.get(name) else { return Ok(None) };
        let key = STANDARD.decode(text).ok().and_then(|key| key.try_into().ok());
        key.map(Some).ok_or_else(|| format!("{name}: must be 32 bytes in Base64"))
    };
    match (key("scram_client_key")?, key("scram_server_key")?) {
        (None, None) => Ok(None),
        (Some(client), Some(server)) => {
            Ok(Some(scram::Keys { client: client.to_vec(), server: server.to_vec() }))
        }
        _ => {
            Err("scram_client_key: must come with scram_server_key, and the other way round"
                .to_owned())
        }
    }
}

/// Refuses a user, a database or a host that holds a password, which a wrong separator put there:
/// `user=app;password=x`.
pub(super) fn refuse_pieces_of_passwords(params: &Params) -> Result<(), String> {
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
