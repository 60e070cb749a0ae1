//! Reads servers, login, queue and exchange: first the URL in each driver's form, then the keys.

use crate::{
    connect::Endpoint,
    kinds::{
        listed::endpoints,
        options::{TlsOptions, pairs, truth},
    },
    secret::Secret,
    spec::{ConfigError, Key, Spec, expand::Text},
    tls::{Tls, Verify},
};

const PORT: u16 = 5672;
const TLS_PORT: u16 = 5671;
/// The longest name of the protocol, in bytes.
const MAX_NAME: usize = 255;

pub(super) static KEYS: &[Key] = &[
    Key { name: "queue", value: "NAME", help: "queue that must exist (asked passively)" },
    Key { name: "exchange", value: "NAME", help: "exchange that must exist (asked passively)" },
    Key { name: "vhost", value: "NAME", help: "vhost to open; overrides the URL" },
    Key {
        name: "user",
        value: "NAME",
        help: "user to log in as; overrides the URL; default guest",
    },
    Key { name: "password", value: "PASSWORD", help: "the user's password; overrides the URL" },
];

/// The servers, the login and the objects of one declaration.
pub(super) struct Target {
    pub(super) servers: Vec<Endpoint>,
    pub(super) vhost: String,
    pub(super) queue: Option<String>,
    pub(super) exchange: Option<String>,
    /// `None` means in clear.
    pub(super) tls: Option<Tls>,
    login: Login,
}

enum Login {
    /// User and password.
    Plain(String, Secret),
    /// The certificate identifies the user.
    External,
}

impl Target {
    pub(super) fn from_spec(spec: &Spec) -> Result<Self, ConfigError> {
        let parts = spec.parts()?;
        let mut tls = TlsOptions::default();
        let (mut external, mut encrypted) = (false, false);
        for (name, value) in pairs(spec, parts.query.as_ref())? {
            match name.as_str() {
                "cacertfile" => tls.files.ca = Some(value),
                "certfile" => tls.files.cert = Some(value),
                "keyfile" => tls.files.key = Some(value),
                "verify" if value == "verify_none" => tls.verify = Some(Verify::Nothing),
                "server_name_indication" if value != "disable" => tls.server_name = Some(value),
                // Celery's and kombu's.
                "ssl" => encrypted = truth(&value) == Some(true),
                "auth_mechanism" => external = value.eq_ignore_ascii_case("external"),
                _ => {}
            }
        }
        let (user, password) = spec.login(parts.userinfo.as_ref())?;
        let certified = spec.key("cert").is_some() || tls.files.cert.is_some();
        let login = match (user, password) {
            (None, None) if external || certified => Login::External,
            (user, password) => Login::Plain(
                user.unwrap_or_else(|| "guest".to_owned()),
                password.unwrap_or_else(|| spec.secret("guest")),
            ),
        };
        let encrypted = encrypted
            || matches!(spec.scheme.as_str(), "amqps" | "rabbitmqs" | "amqp+ssl")
            || Tls::is_asked_for(spec);
        let port = if encrypted { TLS_PORT } else { PORT };
        let servers = endpoints(spec, &parts.servers, port, "amqp://app@mq/vhost")?;
        let path = spec.decoded("vhost", &without_names_of_symfony(&parts.path))?;
        let vhost = spec.key("vhost").map_or_else(|| vhost(&path), str::to_owned);
        let name = |key| spec.owned(key);
        let target = Self {
            servers,
            vhost,
            queue: name("queue"),
            exchange: name("exchange"),
            tls: encrypted.then(|| tls.read(spec, spec.key("key"))).transpose()?,
            login,
        };
        for (key, name) in [("queue", &target.queue), ("exchange", &target.exchange)] {
            if name.as_ref().is_some_and(|name| name.is_empty() || name.len() > MAX_NAME) {
                return Err(spec.key_error(key, "must be a name of 1 to 255 bytes, e.g. orders"));
            }
        }
        if target.vhost.len() > MAX_NAME {
            Err(spec.error("the vhost must have at most 255 bytes"))
        } else {
            Ok(target)
        }
    }

    /// The mechanism of the login, and its response.
    pub(super) fn response(&self) -> (&'static str, Vec<u8>) {
        match &self.login {
            Login::Plain(user, password) => {
                ("PLAIN", format!("\0{user}\0{}", password.reveal()).into_bytes())
            }
            Login::External => ("EXTERNAL", Vec::new()),
        }
    }
}

/// Symfony Messenger writes the exchange behind the vhost: `/%2f/messages`. Where the slash of the
/// vhost is encoded, another slash is no part of the vhost.
fn without_names_of_symfony(path: &Text) -> Text {
    let end = path.raw().match_indices('/').nth(1).map(|(end, _)| end);
    match end.map(|end| &path.raw()[..end]) {
        Some(vhost) if vhost.to_ascii_lowercase().contains("%2f") => path.part(vhost),
        _ => path.clone(),
    }
}

/// The vhost of a decoded path. `/` alone is the vhost `/`, as the drivers have it, not an empty
/// one.
fn vhost(path: &str) -> String {
    match path.strip_prefix('/') {
        None | Some("" | "/") => "/".to_owned(),
        Some(name) => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::expand::Env;

    #[test]
    fn the_option_ssl_means_tls_and_its_port() {
        for (url, want) in [
            ("amqp://u:p@mq?ssl=true", ("mq:5671", true)),
            ("amqp://u:p@mq:1?ssl=1", ("mq:1", true)),
            ("amqp://u:p@mq?ssl=false", ("mq:5672", false)),
            ("amqps://u:p@mq", ("mq:5671", true)),
        ] {
            let env = Env::new(|_| None);
            let spec = Spec::parse("mq", &crate::kinds::amqp::KIND, url, &env).unwrap();
            let target = Target::from_spec(&spec).unwrap();
            assert_eq!((&*target.servers[0].to_string(), target.tls.is_some()), want, "{url}");
        }
    }

    #[test]
    fn the_exchange_of_symfony_is_no_part_of_the_vhost() {
        for (path, want) in [
            ("/%2f/messages", "/%2f"),
            ("/%2Fapp/messages/more", "/%2Fapp"),
            ("/%2F", "/%2F"),
            ("/app/x", "/app/x"),
            ("//", "//"),
            ("", ""),
        ] {
            assert_eq!(without_names_of_symfony(&Text::literal(path)).raw(), want);
        }
    }

    #[test]
    fn a_vhost_is_read_as_the_drivers_read_it() {
        // The paths are decoded: %2F is a slash.
        for (path, want) in [("", "/"), ("/", "/"), ("//", "/"), ("/app", "app"), ("//app", "/app")]
        {
            assert_eq!(vhost(path), want, "{path:?}");
        }
    }
}
