//! libpq's TLS parameters: they decide which connections use TLS, and how the server's certificate
//! is verified.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::{
    dsn::{Dialect, Params},
    parameters::label,
    values::{choice, switch},
};
use crate::{
    os::describe,
    sort::sort,
    spec::{ConfigError, Spec},
    text::path_shown,
    tls::{
        Names, ServerNameIndication, Tls, TlsFiles, TlsSetup, Verify, Versions, holds_encrypted_der,
    },
};

/// libpq's sslmode (PostgreSQL manual, section 32.19), the strict ones last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mode {
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
    pub(super) fn word(self) -> &'static str {
        Self::WORDS[self as usize].0
    }
}

/// libpq's sslnegotiation: the beginning of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Negotiation {
    /// PostgreSQL's own request for TLS.
    #[default]
    Request,
    /// The TLS handshake, with ALPN `postgresql` (PostgreSQL 17, and TLS terminators).
    Direct,
}

/// libpq's sslcertmode: the answer to a server that asks for our certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum CertMode {
    /// The certificate is never sent.
    Disable,
    /// The certificate is sent if we have one.
    #[default]
    Allow,
    /// The server must ask, and receives the certificate.
    Require,
}

/// The encryption of connections over the network.
#[derive(Debug)]
pub(super) struct Encryption {
    /// The connections that are encrypted.
    pub mode: Mode,
    /// The beginning of an encrypted connection.
    pub negotiation: Negotiation,
    /// The rule for our certificate.
    pub cert_mode: CertMode,
    /// The TLS setup. `None` if the mode is `disable`, or if every server is on this machine.
    pub tls: Option<Tls>,
}

/// The protocol that a server with direct TLS must agree to (registered with IANA).
pub(super) const ALPN: &[u8] = b"postgresql";

/// Everything that the parameters ask for.
#[derive(Debug)]
struct Requested {
    mode: Mode,
    verify: Verify,
    negotiation: Negotiation,
    cert_mode: CertMode,
    versions: Versions,
    sni: ServerNameIndication,
    files: TlsFiles,
    crls: Vec<String>,
}

/// Reads sslmode and the parameters that belong to it. `declared` comes from the declaration;
/// `effective` adds service files and the environment.
pub(super) fn read(
    spec: &Spec,
    declared: &Params,
    effective: &Params,
    home: Option<&str>,
    networked: bool,
) -> Result<Encryption, ConfigError> {
    let asked = decide(spec, declared, effective, home)?;
    let Requested { mode, negotiation, cert_mode, .. } = asked;
    if mode == Mode::Disable || !networked {
        return Ok(Encryption { mode, negotiation, cert_mode, tls: None });
    }
    // OpenSSL then wants a list of every authority, and finds none.
    if asked.verify != Verify::Nothing
        && let Some(dir) = effective.get("sslcrldir")
        && hashed_crls(dir).is_empty()
    {
        return Err(spec.error(
            "sslcrldir: must hold a revocation list under the name that openssl rehash gives it, \
            e.g. 1a2b3c4d.r0",
        ));
    }
    let crls = existing_crls(spec, asked.crls);
    let files =
        existing(spec, effective, asked.files, mode).map_err(|message| spec.error(message))?;
    // If our own keys ask for verification, they trust the system's roots, as documented.
    if mode >= Mode::VerifyCa && files.ca.is_none() && !Tls::is_asked_for(spec) {
        let mode = mode.word();
        spec.note(format_args!(
            "sslmode={mode} names no sslrootcert: the system's certificates are trusted (libpq \
            would refuse)"
        ));
    }
    if spec.key("key").is_none()
        && let Some(path) = &files.key
    {
        check_key_file(path).map_err(|message| spec.error(format_args!("sslkey: {message}")))?;
        // pgjdbc reads such a key, and libpq does not.
        if declared.dialect() != Dialect::Jdbc && holds_encrypted_der(path) {
            return Err(spec.error(format_args!(
                "sslkey: {path}: an encrypted key must be PEM, as libpq does not read it in DER"
            )));
        }
    }
    let key_password = effective.get("sslpassword").map(|password| spec.secret(password));
    // A missing file of sslrootcert may have been removed above.
    let unverified = mode < Mode::VerifyCa && files.ca.is_none();
    let verify = if unverified { Verify::Nothing } else { asked.verify };
    let tls = Tls::with_setup(TlsSetup {
        files,
        key_password,
        crls,
        server_name: spec.owned("server-name"),
        verify,
        names: Names::SubjectOrAlternative,
        versions: asked.versions,
        sni: asked.sni,
    });
    let tls = tls.map_err(|message| spec.error(message))?;
    let tls = match negotiation {
        Negotiation::Request => tls,
        Negotiation::Direct => tls.with_alpn(&[ALPN]),
    };
    Ok(Encryption { mode, negotiation, cert_mode, tls: Some(tls) })
}

fn decide(
    spec: &Spec,
    declared: &Params,
    effective: &Params,
    home: Option<&str>,
) -> Result<Requested, ConfigError> {
    let (mode, insecure) = mode(spec, declared, effective)?;
    let wrong = |message: String| spec.error(message);
    let negotiations = [("postgres", Negotiation::Request), ("direct", Negotiation::Direct)];
    let negotiation =
        choice(effective, "sslnegotiation", &negotiations).map_err(wrong)?.unwrap_or_default();
    if negotiation == Negotiation::Direct && mode < Mode::Require {
        return Err(spec.error(format_args!(
            "sslmode={} is too weak for sslnegotiation=direct: must be require, verify-ca or \
            verify-full",
            mode.word()
        )));
    }
    let cert_modes = [
        ("disable", CertMode::Disable),
        ("allow", CertMode::Allow),
        ("require", CertMode::Require),
    ];
    let cert_mode =
        choice(effective, "sslcertmode", &cert_modes).map_err(wrong)?.unwrap_or_default();
    let sni = match switch(effective, "sslsni").map_err(wrong)? {
        Some(false) => ServerNameIndication::Omit,
        _ => ServerNameIndication::Send,
    };
    let mut files = files(spec, effective, home, insecure);
    if cert_mode == CertMode::Disable {
        (files.cert, files.key) = (None, None);
    }
    let verify = match mode {
        Mode::VerifyFull => Verify::Full,
        Mode::VerifyCa => Verify::Chain,
        _ if insecure || files.ca.is_none() => Verify::Nothing,
        _ => Verify::Chain,
    };
    let versions = versions(effective).map_err(wrong)?;
    let crls = crls(effective, home);
    Ok(Requested { mode, verify, negotiation, cert_mode, versions, sni, files, crls })
}

/// Returns the mode, and true if the certificate is never verified.
fn mode(spec: &Spec, declared: &Params, effective: &Params) -> Result<(Mode, bool), ConfigError> {
    // pg's (node) word for encryption without verification, which libpq's `require` is too.
    let no_verify = |params: &Params| params.get("sslmode") == Some("no-verify");
    let read = |params: &Params| {
        if no_verify(params) {
            Ok(Some(Mode::Require))
        } else {
            choice(params, "sslmode", &Mode::WORDS).map_err(|message| spec.error(message))
        }
    };
    let written = read(declared)?;
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
    let system = spec.key("ca").is_none() && effective.get("sslrootcert") == Some("system");
    let mode = match written {
        Some(mode) => mode,
        None if insecure => Mode::Require,
        None if named.is_some() => Mode::VerifyFull,
        None => match read(effective)? {
            Some(mode) => mode,
            None if system => Mode::VerifyFull,
            None if effective.get("requiressl") == Some("1") => Mode::Require,
            None => Mode::Prefer,
        },
    };
    if system && !insecure && mode != Mode::VerifyFull {
        let mode = mode.word();
        return Err(spec.error(format_args!(
            "sslmode={mode} is too weak for sslrootcert=system: must be verify-full, as libpq has \
            it"
        )));
    }
    let insecure = insecure || effective.get("no-verify").is_some() || no_verify(effective);
    Ok((mode, insecure))
}

/// libpq's bounds on the TLS version.
fn versions(params: &Params) -> Result<Versions, String> {
    const WORDS: [(&str, u8); 4] = [("TLSv1", 0), ("TLSv1.1", 1), ("TLSv1.2", 2), ("TLSv1.3", 3)];
    let (least, most) = ("ssl_min_protocol_version", "ssl_max_protocol_version");
    let min = choice(params, least, &WORDS)?.unwrap_or(2);
    let max = choice(params, most, &WORDS)?.unwrap_or(3);
    if max < 2 {
        return Err(format!(
            "{}: must be TLSv1.2 or TLSv1.3: older versions are not supported",
            label(most)
        ));
    }
    match (min, max) {
        (3, 2) => Err(format!("{}: must not be above {most}", label(least))),
        (3, _) => Ok(Versions::Only13),
        (_, 2) => Ok(Versions::Only12),
        _ => Ok(Versions::Both),
    }
}

/// The files that are named, else those that libpq finds under `~/.postgresql`.
///
/// libpq refuses to verify if no file is named and none found. Drivers of other languages (pgx,
/// Npgsql) read the same URLs and then trust the system's authorities. So does afterall: that
/// verifies no less.
fn files(spec: &Spec, params: &Params, home: Option<&str>, insecure: bool) -> TlsFiles {
    let given =
        |key: &str, keyword: &str| spec.key(key).or_else(|| params.get(keyword)).map(str::to_owned);
    let found = |file: &str| in_home(home, file);
    let ca = given("ca", "sslrootcert").or_else(|| found("root.crt").filter(|_| !insecure));
    let cert = given("cert", "sslcert").or_else(|| found("postgresql.crt"));
    // libpq looks at a key only beside a certificate; the key `key` without one is an error.
    let key = spec.owned("key").or_else(|| {
        cert.as_ref()?;
        params.get("sslkey").map(str::to_owned).or_else(|| found("postgresql.key"))
    });
    TlsFiles { ca, cert, key }
}

/// The lists of revoked certificates that are named, else the one that libpq finds under
/// `~/.postgresql`.
fn crls(params: &Params, home: Option<&str>) -> Vec<String> {
    let mut crls: Vec<_> = params.get("sslcrl").map(str::to_owned).into_iter().collect();
    match params.get("sslcrldir") {
        Some(dir) => crls.extend(hashed_crls(dir)),
        None if crls.is_empty() => crls.extend(in_home(home, "root.crl")),
        None => {}
    }
    crls
}

/// A file that libpq finds by its name alone.
fn in_home(home: Option<&str>, file: &str) -> Option<String> {
    home.map(|home| format!("{home}/.postgresql/{file}")).filter(|path| Path::new(path).exists())
}

/// The files of a directory that `openssl rehash` has prepared: `HASH.r0`, `HASH.r1` and so on.
fn hashed_crls(dir: &str) -> Vec<String> {
    let is_crl = |path: &PathBuf| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        let number = extension.and_then(|extension| extension.strip_prefix('r'));
        number
            .is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
    };
    let entries = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut paths: Vec<_> = entries.filter(is_crl).map(|path| path.display().to_string()).collect();
    sort(&mut paths);
    paths
}

/// Removes missing files that libpq's own parameters name, as libpq does.
///
/// Images set such parameters to paths without a file on purpose. Our own keys stay strict.
fn existing(
    spec: &Spec,
    params: &Params,
    mut files: TlsFiles,
    mode: Mode,
) -> Result<TlsFiles, String> {
    let left_out = |keyword: &str, consequence: &str| {
        spec.note(format_args!("{}: names no file, {consequence}", label(keyword)));
    };
    if spec.key("cert").is_none() && files.cert.as_deref().is_some_and(is_missing) {
        left_out("sslcert", "so no client certificate is sent, as libpq has it");
        files.cert = None;
        if spec.key("key").is_none() {
            files.key = None;
        }
    }
    let of_libpq = spec.key("ca").is_none() && files.ca.as_deref() != Some("system");
    if of_libpq && mode < Mode::VerifyCa && files.ca.as_deref().is_some_and(is_missing) {
        left_out("sslrootcert", "so the server's certificate is not verified, as libpq has it");
        files.ca = None;
    }
    if let (Some(_), None, Some(path)) = (&files.cert, &files.key, params.get("sslcert")) {
        return Err(format!(
            "sslcert: {} needs its private key, by sslkey or ~/.postgresql/postgresql.key",
            path_shown(path)
        ));
    }
    Ok(files)
}

/// The lists that exist. libpq goes on without one that does not.
fn existing_crls(spec: &Spec, mut crls: Vec<String>) -> Vec<String> {
    let named = crls.len();
    crls.retain(|path| !is_missing(path));
    if crls.len() < named {
        let label = label("sslcrl");
        spec.note(format_args!("{label}: names no file, so it is left out, as libpq has it"));
    }
    crls
}

fn is_missing(path: &str) -> bool {
    fs::metadata(path).is_err_and(|error| {
        matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
    })
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
        "{path}: its mode is {mode:04o}, and must be 0600 or less, or 0640 or less where root owns \
        it"
    ))
}

#[cfg(test)]
mod tests;
