//! Npgsql's `Host=db;Username=app;SSL Mode=Require`: pairs joined by semicolons, as all of ADO.NET
//! has them.

use super::{Dialect, Params};
use crate::{
    kinds::semicolons::{bare, parts},
    spec::expand::Text,
};

/// Npgsql's names in lower case without spaces and underscores, each with libpq's keyword.
const NAMES: &[(&str, &str)] = &[
    ("host", "host"),
    ("server", "host"),
    ("port", "port"),
    ("database", "dbname"),
    ("db", "dbname"),
    ("username", "user"),
    ("userid", "user"),
    ("uid", "user"),
    ("password", "password"),
    ("pwd", "password"),
    ("psw", "password"),
    ("passfile", "passfile"),
    ("sslmode", "sslmode"),
    ("sslcertificate", "sslcert"),
    ("sslkey", "sslkey"),
    ("rootcertificate", "sslrootcert"),
    ("timeout", "connect_timeout"),
    ("applicationname", "application_name"),
    ("searchpath", "search_path"),
    ("options", "options"),
    ("channelbinding", "channel_binding"),
    ("targetsessionattributes", "target_session_attrs"),
    ("requireauth", "require_auth"),
    ("trustservercertificate", "no-verify"),
    ("sslpassword", "sslpassword"),
    ("sslnegotiation", "sslnegotiation"),
    ("loadbalancehosts", "load_balance_hosts"),
    ("gssencryptionmode", "gssencmode"),
    ("clientencoding", "client_encoding"),
];

/// Reads `text` if it is one of Npgsql's strings. libpq separates pairs by spaces: there a
/// semicolon is part of a value.
pub(super) fn read(text: &Text) -> Option<Params> {
    let parts = parts(text.raw())?;
    let keyword =
        |key: &str| NAMES.iter().find(|(name, _)| *name == bare(key)).map(|(_, keyword)| *keyword);
    let starts_so = parts.iter().take(2).all(|(key, _)| keyword(key).is_some());
    let has_capitals = parts.iter().any(|(key, _)| key.contains(char::is_uppercase));
    if parts.is_empty() || !starts_so || !(text.raw().contains(';') || has_capitals) {
        return None;
    }
    let mut params = Params { dialect: Dialect::Npgsql, ..Params::default() };
    for (key, value) in parts {
        let value = text.part(&value).expanded();
        match keyword(&key) {
            Some("host") => set_hosts(&mut params, &value),
            Some("no-verify") if !value.eq_ignore_ascii_case("true") => {}
            Some("sslmode") => params.set("sslmode", mode(&value)),
            Some("target_session_attrs") => {
                params.set("target_session_attrs", value.to_ascii_lowercase())
            }
            Some("load_balance_hosts") => {
                params.set("load_balance_hosts", super::load_balance(&value))
            }
            Some("channel_binding" | "require_auth" | "sslnegotiation" | "gssencmode") => {
                params.set(keyword(&key).unwrap_or_default(), value.to_ascii_lowercase());
            }
            Some(keyword) => params.set(keyword, value),
            // Npgsql refuses libpq's words. To ignore them would ask another database or user.
            None if matches!(&*bare(&key), "dbname" | "user") => params.set(&bare(&key), value),
            None => params.pass_over(&key),
        }
    }
    Some(params)
}

/// `a:5432,b` is a list of hosts with their ports.
fn set_hosts(params: &mut Params, list: &str) {
    let servers: Vec<(&str, &str)> = list
        .split(',')
        .map(|server| match server.rsplit_once(':') {
            Some((host, port))
                if !host.contains(':') && port.chars().all(|c| c.is_ascii_digit()) =>
            {
                (host, port)
            }
            _ => (server, ""),
        })
        .collect();
    params.set("host", servers.iter().map(|(host, _)| *host).collect::<Vec<_>>().join(","));
    if servers.iter().any(|(_, port)| !port.is_empty()) {
        params.set("port", servers.iter().map(|(_, port)| *port).collect::<Vec<_>>().join(","));
    }
}

/// `VerifyFull` is libpq's `verify-full`.
fn mode(word: &str) -> String {
    match bare(word).as_str() {
        "verifyca" => "verify-ca".to_owned(),
        "verifyfull" => "verify-full".to_owned(),
        other => other.to_owned(),
    }
}
