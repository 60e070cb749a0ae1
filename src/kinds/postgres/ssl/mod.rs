//! libpq's sslmode: which connections begin with TLS, and what of the server's certificate is verified.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use super::dsn::Params;
use crate::{
    os::describe,
    spec::{ConfigError, Spec},
    text::{nearest, path_shown},
    tls::{Tls, TlsFiles, Verify},
};

/// libpq's sslmode (PostgreSQL manual, section 34.19), the strict ones last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// Never TLS.
    Disable,
    /// TLS where a plain connection is not admitted.
    Allow,
    /// Plain where the server has no TLS.
    Prefer,
    /// TLS; the certificate's chain is verified where an authority was named.
    Require,
    /// TLS, and the certificate's chain is verified.
    VerifyCa,
    /// TLS, and the certificate's chain and name are verified.
    VerifyFull,
}

impl Mode {
    const WORDS: [(&'static str, Mode); 6] = [
        ("disable", Mode::Disable),
        ("allow", Mode::Allow),
        ("prefer", Mode::Prefer),
        ("require", Mode::Require),
        ("verify-ca", Mode::VerifyCa),
        ("verify-full", Mode::VerifyFull),
    ];

    /// The word for it.
    pub fn word(self) -> &'static str {
        Self::WORDS[self as usize].0
    }

    fn read(word: &str) -> Result<Self, String> {
        if let Some((_, mode)) = Self::WORDS.iter().find(|(name, _)| *name == word) {
            return Ok(*mode);
        }
        let words = Self::WORDS.map(|(name, _)| name);
        Err(match nearest(&word.to_ascii_lowercase(), words) {
            Some(near) => format!("sslmode (or PGSSLMODE): not a mode; did you mean {near}?"),
            None => format!("sslmode (or PGSSLMODE): not a mode; they are {}", words.join(", ")),
        })
    }
}

/// How connections over the network are protected.
#[derive(Debug)]
pub struct Encryption {
    /// Which ones are.
    pub mode: Mode,
    /// With what; none where the mode is `disable`, or where there is no network between us and any server.
    pub tls: Option<Tls>,
}

/// Everything that was asked for.
#[derive(Debug)]
struct Asked {
    mode: Mode,
    verify: Verify,
    files: TlsFiles,
}

/// Reads sslmode and all that belongs to it. `declared` is what the declaration says, `all` what the environment adds to it.
pub fn read(
    spec: &Spec,
    declared: &Params,
    all: &Params,
    home: Option<&str>,
    networked: bool,
) -> Result<Encryption, ConfigError> {
    let asked = decide(spec, declared, all, home)?;
    if asked.mode == Mode::Disable || !networked {
        return Ok(Encryption { mode: asked.mode, tls: None });
    }
    // Where our own keys ask for verification, the system's roots are what they are documented to trust.
    if asked.mode >= Mode::VerifyCa && asked.files.ca.is_none() && !Tls::is_asked_for(spec) {
        let mode = asked.mode.word();
        spec.note(format_args!(
            "sslmode={mode} names no sslrootcert: the system's certificates are trusted (libpq would refuse)"
        ));
    }
    if spec.key("key").is_none()
        && let Some(path) = &asked.files.key
    {
        check_key_file(path).map_err(|what| spec.error(format_args!("sslkey: {what}")))?;
    }
    let server_name = spec.key("server-name").map(str::to_owned);
    let tls = Tls::new(asked.files, server_name, asked.verify).map_err(|what| spec.error(what))?;
    Ok(Encryption { mode: asked.mode, tls: Some(tls) })
}

fn decide(
    spec: &Spec,
    declared: &Params,
    all: &Params,
    home: Option<&str>,
) -> Result<Asked, ConfigError> {
    // pg's (node) word for encryption without verification, which libpq's `require` is too.
    let no_verify = |word: &str| word == "no-verify";
    let read = |word: &str| {
        Mode::read(if no_verify(word) { "require" } else { word }).map_err(|what| spec.error(what))
    };
    let written = declared.get("sslmode").map(read).transpose()?;
    let insecure = spec.flag("insecure")?;
    let named = ["ca", "cert", "server-name"].into_iter().find(|key| spec.key(key).is_some());
    if let (Some(key), Some(mode)) = (named, written)
        && mode < Mode::Require
    {
        return Err(spec.key_error(
            key,
            format_args!(
                "contradicts sslmode={}, under which the server need not prove itself",
                mode.word()
            ),
        ));
    }
    if let (true, Some(mode)) = (insecure, written)
        && mode != Mode::Require
    {
        return Err(spec.key_error("insecure", format_args!("contradicts sslmode={}", mode.word())));
    }
    if insecure && declared.get("sslrootcert").is_some() {
        return Err(spec.key_error("insecure", "contradicts sslrootcert"));
    }
    let system = spec.key("ca").is_none() && all.get("sslrootcert") == Some("system");
    let mode = match (written, all.get("sslmode")) {
        (Some(mode), _) => mode,
        (None, _) if insecure => Mode::Require,
        (None, _) if named.is_some() => Mode::VerifyFull,
        (None, Some(word)) => read(word)?,
        (None, None) if system => Mode::VerifyFull,
        (None, None) if all.get("requiressl") == Some("1") => Mode::Require,
        (None, None) => Mode::Prefer,
    };
    if system && !insecure && mode != Mode::VerifyFull {
        let mode = mode.word();
        return Err(spec.error(format_args!(
            "sslmode={mode} is too weak for sslrootcert=system (libpq wants verify-full there)"
        )));
    }
    let insecure =
        insecure || all.get("no-verify").is_some() || all.get("sslmode").is_some_and(no_verify);
    let files = files(spec, all, home, insecure);
    let verify = match mode {
        Mode::VerifyFull => Verify::Full,
        Mode::VerifyCa => Verify::Chain,
        _ if insecure || files.ca.is_none() => Verify::Nothing,
        _ => Verify::Chain,
    };
    Ok(Asked { mode, verify, files })
}

/// The files that were named, else those that libpq finds under `~/.postgresql`.
///
/// libpq refuses to verify where none is named and none found. The drivers of other languages (pgx, Npgsql), whose URLs these
/// are too, take the system's authorities then, and so do we: that verifies no less.
fn files(spec: &Spec, all: &Params, home: Option<&str>, insecure: bool) -> TlsFiles {
    let given =
        |key: &str, keyword: &str| spec.key(key).or_else(|| all.get(keyword)).map(str::to_owned);
    let found = |file: &str| {
        home.map(|home| format!("{home}/.postgresql/{file}"))
            .filter(|path| Path::new(path).exists())
    };
    let ca = given("ca", "sslrootcert").or_else(|| found("root.crt").filter(|_| !insecure));
    let cert = given("cert", "sslcert").or_else(|| found("postgresql.crt"));
    // A key of its own is kept, so that one without a certificate is told.
    let key =
        given("key", "sslkey").or_else(|| cert.as_ref().and_then(|_| found("postgresql.key")));
    TlsFiles { ca, cert, key }
}

/// libpq's rule: 0600 or less; 0640 or less where the file is root's, for keys that a group shares.
fn check_key_file(path: &str) -> Result<(), String> {
    let metadata =
        fs::metadata(path).map_err(|e| format!("{}: {}", path_shown(path), describe(&e)))?;
    let forbidden = if metadata.uid() == 0 { 0o037 } else { 0o077 };
    if metadata.mode() & forbidden == 0 {
        return Ok(());
    }
    let mode = metadata.mode() & 0o777;
    Err(format!(
        "{path}: its mode is {mode:04o}, and libpq wants 0600 or less, or 0640 or less where root owns it"
    ))
}

#[cfg(test)]
mod tests;
