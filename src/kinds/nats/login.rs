//! Credentials: read from the declaration once, sent in CONNECT.

use serde_json::{Map, Value};

use super::{info::Info, nkey::Nkey};
use crate::{
    os::read_small,
    secret::Secret,
    spec::{ConfigError, Spec, expand::Text},
    text::path_shown,
};

/// The credentials for one server.
pub(super) enum Login {
    /// No credentials. A client certificate may identify us.
    Nobody,
    Password {
        user: String,
        password: Option<Secret>,
    },
    Token(Secret),
    Nkey(Nkey),
    /// A `.creds` file: a JWT, and the key that the JWT names.
    Jwt {
        jwt: Secret,
        nkey: Nkey,
    },
}

impl Login {
    /// Reads the credentials from the keys, if there are any. `userinfo` may hold the user of the
    /// key `password`.
    ///
    /// Files are read once: rotating credentials requires a restart of the service anyway.
    pub(super) fn from_keys(
        spec: &Spec,
        userinfo: Option<&Text>,
    ) -> Result<Option<Self>, ConfigError> {
        let ways = [&["user", "password"][..], &["token"], &["nkey"], &["creds"]];
        let given: Vec<_> =
            ways.iter().filter_map(|way| way.iter().find(|key| spec.key(key).is_some())).collect();
        if let [_, second, ..] = given[..] {
            return Err(spec.key_error(
                second,
                format_args!("must not stand beside {}: one way to log in is enough", given[0]),
            ));
        }
        if let Some(path) = spec.key("creds") {
            return creds(spec, path).map(Some).map_err(|message| {
                spec.key_error("creds", format_args!("{}: {message}", path_shown(path)))
            });
        }
        if let Some(path) = spec.key("nkey") {
            let nkey = read_small(path)
                .and_then(|text| Nkey::from_seed(spec.secret(seed_of(&text)?).reveal()));
            return nkey.map(|nkey| Some(Login::Nkey(nkey))).map_err(|message| {
                spec.key_error("nkey", format_args!("{}: {message}", path_shown(path)))
            });
        }
        if let Some(token) = spec.secret_key("token") {
            return Ok(Some(Login::Token(token)));
        }
        let user = match (spec.key("user"), userinfo) {
            (Some(user), _) => Some(user.to_owned()),
            (None, Some(userinfo)) => Some(spec.userinfo(userinfo)?.0),
            (None, None) => None,
        };
        match (user, spec.secret_key("password")) {
            (None, Some(_)) => Err(spec.key_error("password", "needs a user")),
            (Some(user), password) if spec.key("user").is_some() || password.is_some() => {
                Ok(Some(Login::Password { user, password }))
            }
            _ => Ok(None),
        }
    }

    /// Reads `user:password@` or, as every NATS client does, `token@`.
    pub(super) fn from_userinfo(spec: &Spec, userinfo: &Text) -> Result<Self, ConfigError> {
        Ok(match spec.userinfo(userinfo)? {
            (user, Some(password)) => Login::Password { user, password: Some(password) },
            (token, None) => Login::Token(spec.secret(token)),
        })
    }

    /// The options of CONNECT for a server that sent `info`. `tls` is true if the connection is
    /// encrypted.
    pub(super) fn connect_options(&self, info: &Info, tls: bool) -> Value {
        // A server without nkeys sends no nonce and ignores the signature, as with the real client.
        let nonce = info.nonce.as_deref().unwrap_or_default();
        let mut options = Map::new();
        let mut put = |key: &str, value: Value| options.insert(key.to_owned(), value);
        put("verbose", false.into());
        put("pedantic", false.into());
        put("tls_required", tls.into());
        put("lang", "rust".into());
        put("version", env!("CARGO_PKG_VERSION").into());
        put("protocol", 1.into());
        put("name", "afterall".into());
        // The server then replies at once to a request without a subscriber.
        put("headers", true.into());
        put("no_responders", true.into());
        match self {
            Login::Nobody => {}
            Login::Password { user, password } => {
                put("user", user.as_str().into());
                put("pass", password.as_ref().map(Secret::reveal).unwrap_or_default().into());
            }
            Login::Token(token) => {
                put("auth_token", token.reveal().into());
            }
            Login::Nkey(nkey) => {
                put("nkey", nkey.public().into());
                put("sig", nkey.sign(nonce).into());
            }
            Login::Jwt { jwt, nkey } => {
                put("jwt", jwt.reveal().into());
                put("sig", nkey.sign(nonce).into());
            }
        }
        Value::Object(options)
    }
}

fn creds(spec: &Spec, path: &str) -> Result<Login, String> {
    let text = read_small(path)?;
    let jwt = block(&text, "eyJ").ok_or("not a .creds file: holds no JWT")?;
    let seed = block(&text, "SU").ok_or("not a .creds file: holds no user's nkey seed")?;
    let nkey = Nkey::from_seed(spec.secret(seed).reveal())?;
    Ok(Login::Jwt { jwt: spec.secret(jwt), nkey })
}

/// The seed in a file as `nk`, `nsc` or an editor writes it: the first line that begins with `SU`.
///
/// Other lines may hold the public key or a comment (ParseDecoratedNKey of
/// github.com/nats-io/nkeys).
fn seed_of(text: &str) -> Result<&str, String> {
    let mut lines = text.lines().map(|line| line.trim_start_matches('\u{feff}').trim());
    let is_public = |line: &str| line.starts_with('U') && line.len() == 56;
    match lines.clone().find(|line| line.starts_with("SU")) {
        Some(seed) => Ok(seed),
        None if lines.any(is_public) => {
            Err("holds a public key, but must hold the seed, which begins with SU".to_owned())
        }
        None => Err("must hold a user's nkey seed, which begins with SU".to_owned()),
    }
}

/// The line of a decorated file that begins with `prefix`, between `-----BEGIN ...-----` and its
/// end.
fn block<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let mut inside = false;
    let mut lines = text.lines().map(|line| line.trim_start_matches('\u{feff}').trim());
    lines.find(|line| {
        if line.starts_with("---") {
            inside = line.contains("BEGIN");
        }
        inside && line.starts_with(prefix)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_found_in_every_file_that_tools_write() {
        let public = format!("U{}", "A".repeat(55));
        let no_seed = "must hold a user's nkey seed, which begins with SU";
        for (text, want) in [
            ("SUABC".to_owned(), Ok("SUABC")),
            ("SUABC\r\n".to_owned(), Ok("SUABC")),
            ("\u{feff}SUABC\n".to_owned(), Ok("SUABC")),
            (format!("SUABC\n{public}\n"), Ok("SUABC")),
            (format!("# of app\n\n{public}\n  SUABC  \n"), Ok("SUABC")),
            ("-----BEGIN USER NKEY SEED-----\nSUABC\n------END".to_owned(), Ok("SUABC")),
            (public, Err("holds a public key, but must hold the seed, which begins with SU")),
            ("SAABC".to_owned(), Err(no_seed)),
            (String::new(), Err(no_seed)),
        ] {
            assert_eq!(seed_of(&text), want.map_err(str::to_owned), "{text:?}");
        }
    }
}
