//! The query of a URL, in which drivers put their options: pairs of names and values, and those of
//! TLS. And the keys of a login.

#[cfg(any(feature = "mysql", feature = "kafka", feature = "mongodb"))]
use crate::spec::Key;
use crate::{
    spec::{ConfigError, Spec, expand::Text},
    tls::{Tls, TlsFiles, Verify},
};

/// The pairs behind the `?`, each percent-decoded. A name without a value has an empty one.
///
/// # Errors
/// Percent-encoding that is not valid. The error shows neither name nor value.
pub(super) fn pairs(
    spec: &Spec,
    query: Option<&Text>,
) -> Result<Vec<(String, String)>, ConfigError> {
    let decoded = |text: &Text| spec.decoded("query", text);
    let Some(query) = query else { return Ok(Vec::new()) };
    let parts = query.split('&').filter(|pair| !pair.is_empty());
    parts
        .map(|pair| match pair.split_once('=') {
            Some((name, value)) => Ok((decoded(&name)?, decoded(&value)?)),
            None => Ok((decoded(&pair)?, String::new())),
        })
        .collect()
}

/// The keys of a login, for kinds whose URL may contain one too.
#[cfg(any(feature = "mysql", feature = "kafka", feature = "mongodb"))]
pub(super) static LOGIN_KEYS: &[Key] = &[
    Key { name: "user", value: "NAME", help: "user to log in as; overrides the URL" },
    Key { name: "password", value: "PASSWORD", help: "the user's password; overrides the URL" },
];

/// Reads a driver's word for a boolean. Returns `None` for any other word.
#[cfg(any(feature = "redis", feature = "mysql", feature = "amqp", feature = "kafka"))]
pub(super) fn truth(word: &str) -> Option<bool> {
    match word.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// The TLS options of a URL. Our own keys override them.
#[cfg_attr(
    not(any(feature = "redis", feature = "amqp", feature = "kafka")),
    allow(dead_code, reason = "the other kinds have options of their own")
)]
#[derive(Default)]
pub(super) struct TlsOptions {
    pub(super) files: TlsFiles,
    pub(super) verify: Option<Verify>,
    pub(super) server_name: Option<String>,
}

#[cfg_attr(
    not(any(feature = "redis", feature = "amqp", feature = "kafka")),
    allow(dead_code, reason = "the other kinds have options of their own")
)]
impl TlsOptions {
    /// The TLS setup; `key` is the path of the client certificate's private key, if a key names
    /// one.
    ///
    /// # Errors
    /// A file cannot be read, or settings contradict each other.
    pub(super) fn read(self, spec: &Spec, key: Option<&str>) -> Result<Tls, ConfigError> {
        let mut files = self.files;
        let key = key.map(str::to_owned).or(files.key.take());
        let files = TlsFiles { key, ..files.overridden_by(spec) };
        let verify = verify(spec, self.verify)?;
        Tls::new(files, spec.owned("server-name").or(self.server_name), verify)
            .map_err(|message| spec.error(message))
    }
}

/// Returns how much of the certificate is verified. Our own keys come before the option of a URL.
pub(super) fn verify(spec: &Spec, option: Option<Verify>) -> Result<Verify, ConfigError> {
    Ok(if spec.flag("insecure")? {
        Verify::Nothing
    } else if spec.key("ca").is_some() {
        // A `ca` means that the certificate is verified.
        Verify::Full
    } else {
        option.unwrap_or(Verify::Full)
    })
}
