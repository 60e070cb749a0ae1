//! `memcached:` — the server reports its version. It has no other states, e.g. of loading.

use crate::{
    connect::Endpoint,
    kinds::{
        listed::{Asked, Question, endpoints, probe},
        wire::Wire,
    },
    probe::{Attempt, Class, Failure, Probe},
    secret::Secret,
    spec::{ConfigError, Key, Kind, Spec},
    text::one_line,
    tls::{KEYS as TLS_KEYS, Tls},
};

/// The kind.
pub static KIND: Kind = Kind {
    name: "memcached",
    schemes: &["memcached"],
    dialects: &[&["memcache", "mc"]],
    usage: "memcached://[USER:PASSWORD@]HOST[:PORT][,...]",
    summary: "the server tells its version",
    keys: &[KEYS, TLS_KEYS],
    build,
    ..Kind::DEFAULT
};

static KEYS: &[Key] = &[
    Key {
        name: "user",
        value: "NAME",
        help: "user of an authentication file (-Y); overrides the URL",
    },
    Key { name: "password", value: "PASSWORD", help: "the user's password; overrides the URL" },
];

const PORT: u16 = 11211;
/// The longest line, in bytes. An answer to `version` has about 20.
const MAX_LINE: usize = 4096;

/// The `version` request, with login and TLS.
struct Version {
    login: Option<(String, Secret)>,
    tls: Option<Tls>,
}

fn build(spec: &Spec) -> Result<Box<dyn Probe>, ConfigError> {
    let parts = spec.parts()?;
    let (user, password) = spec.login(parts.userinfo.as_ref())?;
    let login = match (user, password) {
        (Some(user), Some(password)) => Some((user, password)),
        (None, None) => None,
        _ => return Err(spec.error("must have a user and a password, or neither")),
    };
    if let Some((user, password)) = &login
        && [user.as_str(), password.reveal()].iter().any(|text| text.contains(['\r', '\n']))
    {
        return Err(spec.error("user and password must hold no line break"));
    }
    let tls = Tls::is_asked_for(spec).then(|| Tls::from_spec(spec)).transpose()?;
    let servers = endpoints(spec, &parts.servers, PORT, "memcached://cache")?;
    Ok(probe(Version { login, tls }, &servers))
}

impl Question for Version {
    fn ask<'a>(&'a self, attempt: &'a Attempt<'a>, endpoint: &'a Endpoint) -> Asked<'a> {
        Box::pin(self.ask_server(attempt, endpoint))
    }
}

impl Version {
    async fn ask_server(
        &self,
        attempt: &Attempt<'_>,
        endpoint: &Endpoint,
    ) -> Result<String, Failure> {
        let mut wire = Wire::open(attempt, endpoint, self.tls.as_ref(), "memcached").await?;
        if let Some((user, password)) = &self.login {
            // Source: memcached's doc/protocol.txt, "Authentication": a `set` of any key, whose
            // value is the login.
            let login = format!("{user} {}", password.reveal());
            wire.send(format!("set x 0 0 {}\r\n{login}\r\n", login.len()).as_bytes()).await?;
            answer(&mut wire, "STORED").await?;
        }
        wire.send(b"version\r\n").await?;
        let version = answer(&mut wire, "VERSION").await?;
        wire.close().await;
        Ok(format!("memcached {}", one_line(&version, 40)))
    }
}

/// The rest of the line that begins with `wanted`.
async fn answer(wire: &mut Wire, wanted: &str) -> Result<String, Failure> {
    wire.fill_to(1).await?;
    // Every answer is a word in capitals. Other protocols are reported without waiting for the end
    // of their line.
    let line =
        if wire.received()[0].is_ascii_uppercase() { wire.line(MAX_LINE).await? } else { None };
    let Some(line) = line else {
        return Err(wire.foreign("not memcached", None));
    };
    let line = String::from_utf8_lossy(&line).into_owned();
    match line.strip_prefix(wanted) {
        Some(rest) if rest.is_empty() || rest.starts_with(' ') => Ok(rest.trim().to_owned()),
        _ => Err(line_failure(&line, &wire.endpoint().to_string())),
    }
}

fn line_failure(line: &str, place: &str) -> Failure {
    let line = one_line(line, 220);
    let failure = |class| Failure::new(class, format!("{line} ({place})"));
    match line.as_str() {
        text if text.contains("Too many open connections") => failure(Class::Busy),
        text if text.starts_with("CLIENT_ERROR") && text.contains("unauthenticated") => {
            failure(Class::Auth).hint("no credentials were given: user and password")
        }
        text if text.starts_with("CLIENT_ERROR") && text.contains("authentication") => {
            failure(Class::Auth).hint("wrong password, or no such user")
        }
        text if text.starts_with("SERVER_ERROR") => failure(Class::Busy),
        // A server that knows neither login nor version.
        text if text.starts_with("ERROR") => failure(Class::Protocol),
        _ => Failure::new(Class::Protocol, format!("not memcached, it says: {line} ({place})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_has_its_class() {
        for (line, class) in [
            ("ERROR Too many open connections", Class::Busy),
            ("CLIENT_ERROR unauthenticated", Class::Auth),
            ("CLIENT_ERROR authentication failure", Class::Auth),
            ("SERVER_ERROR out of memory", Class::Busy),
            ("ERROR", Class::Protocol),
            ("HTTP/1.1 400 Bad Request", Class::Protocol),
        ] {
            let failure = line_failure(line, "a:11211");
            assert_eq!(failure.class, class, "{line}");
            assert!(failure.message.ends_with(&format!("{line} (a:11211)")), "{}", failure.message);
        }
    }
}
