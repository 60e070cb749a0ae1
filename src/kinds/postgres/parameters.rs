//! libpq's connection parameters (version 18), each with its effect here.
//!
//! The list is libpq's own (`PQconndefaults`). URLs, connection strings, service files and
//! variables name the same parameters. So one list serves all of them and the manual.

/// One of libpq's connection parameters.
pub struct Parameter {
    /// The keyword in a connection string, a URL and a service file.
    pub name: &'static str,
    /// The variable that libpq reads where the connection string does not set the keyword.
    pub variable: Option<&'static str>,
    /// The parameter's effect here.
    pub treatment: Treatment,
}

/// The effect of a parameter here.
pub enum Treatment {
    /// The same effect as in libpq.
    Honoured,
    /// Only these values are accepted. Others ask for unsupported features.
    Only(&'static [&'static str], &'static str),
    /// No value that libpq accepts can change the verdict, for this reason.
    NoEffect(Values, #[allow(dead_code, reason = "the manual prints it")] &'static str),
}

/// The values that libpq accepts.
pub enum Values {
    /// Every text.
    Any,
    /// A whole number.
    Integer,
}

use Treatment::{Honoured, NoEffect, Only};

const fn parameter(
    name: &'static str,
    variable: Option<&'static str>,
    treatment: Treatment,
) -> Parameter {
    Parameter { name, variable, treatment }
}

const fn honoured(name: &'static str, variable: &'static str) -> Parameter {
    parameter(name, Some(variable), Honoured)
}

const KEEPALIVE: &str = "it concerns idle connections, and an attempt's connection is never idle";
const NO_GSSAPI: &str = "it concerns GSSAPI: a server that asks for GSSAPI is refused by name";
const NO_OAUTH: &str = "it concerns OAuth: a server that asks for OAuth is refused by name";
/// libpq also reads `0` and `1`.
const OFF: &[&str] = &["0", "no", "off", "false"];

/// Every connection parameter of libpq 18, in the order of its manual (section 32.1.2).
pub static PARAMETERS: &[Parameter] = &[
    honoured("host", "PGHOST"),
    honoured("hostaddr", "PGHOSTADDR"),
    honoured("port", "PGPORT"),
    honoured("dbname", "PGDATABASE"),
    honoured("user", "PGUSER"),
    honoured("password", "PGPASSWORD"),
    honoured("passfile", "PGPASSFILE"),
    honoured("require_auth", "PGREQUIREAUTH"),
    honoured("channel_binding", "PGCHANNELBINDING"),
    honoured("connect_timeout", "PGCONNECT_TIMEOUT"),
    honoured("client_encoding", "PGCLIENTENCODING"),
    honoured("options", "PGOPTIONS"),
    honoured("application_name", "PGAPPNAME"),
    parameter("fallback_application_name", None, Honoured),
    parameter("keepalives", None, NoEffect(Values::Integer, KEEPALIVE)),
    parameter("keepalives_idle", None, NoEffect(Values::Integer, KEEPALIVE)),
    parameter("keepalives_interval", None, NoEffect(Values::Integer, KEEPALIVE)),
    parameter("keepalives_count", None, NoEffect(Values::Integer, KEEPALIVE)),
    parameter(
        "tcp_user_timeout",
        None,
        NoEffect(Values::Integer, "attempt-timeout bounds every attempt"),
    ),
    parameter("replication", None, Only(OFF, "a replication connection answers no query")),
    parameter(
        "gssencmode",
        Some("PGGSSENCMODE"),
        Only(&["disable", "prefer"], "encryption by GSSAPI is not supported"),
    ),
    honoured("sslmode", "PGSSLMODE"),
    honoured("sslnegotiation", "PGSSLNEGOTIATION"),
    parameter(
        "sslcompression",
        Some("PGSSLCOMPRESSION"),
        NoEffect(Values::Any, "no TLS library of today compresses"),
    ),
    honoured("sslcert", "PGSSLCERT"),
    honoured("sslkey", "PGSSLKEY"),
    parameter(
        "sslkeylogfile",
        None,
        NoEffect(
            Values::Any,
            "it writes the session's keys to a file for debugging; afterall never does",
        ),
    ),
    parameter("sslpassword", None, Honoured),
    honoured("sslcertmode", "PGSSLCERTMODE"),
    honoured("sslrootcert", "PGSSLROOTCERT"),
    honoured("sslcrl", "PGSSLCRL"),
    honoured("sslcrldir", "PGSSLCRLDIR"),
    honoured("sslsni", "PGSSLSNI"),
    honoured("requirepeer", "PGREQUIREPEER"),
    honoured("ssl_min_protocol_version", "PGSSLMINPROTOCOLVERSION"),
    honoured("ssl_max_protocol_version", "PGSSLMAXPROTOCOLVERSION"),
    honoured("min_protocol_version", "PGMINPROTOCOLVERSION"),
    honoured("max_protocol_version", "PGMAXPROTOCOLVERSION"),
    parameter("krbsrvname", Some("PGKRBSRVNAME"), NoEffect(Values::Any, NO_GSSAPI)),
    parameter("gsslib", Some("PGGSSLIB"), NoEffect(Values::Any, NO_GSSAPI)),
    parameter("gssdelegation", Some("PGGSSDELEGATION"), NoEffect(Values::Any, NO_GSSAPI)),
    parameter("scram_client_key", None, Honoured),
    parameter("scram_server_key", None, Honoured),
    honoured("service", "PGSERVICE"),
    // Its variable is read with the file itself: a service file cannot name another one.
    parameter("servicefile", Some("PGSERVICEFILE"), Honoured),
    honoured("target_session_attrs", "PGTARGETSESSIONATTRS"),
    honoured("load_balance_hosts", "PGLOADBALANCEHOSTS"),
    parameter("oauth_issuer", None, NoEffect(Values::Any, NO_OAUTH)),
    parameter("oauth_client_id", None, NoEffect(Values::Any, NO_OAUTH)),
    parameter("oauth_client_secret", None, NoEffect(Values::Any, NO_OAUTH)),
    parameter("oauth_scope", None, NoEffect(Values::Any, NO_OAUTH)),
];

/// The parameter of this name.
pub(super) fn find(name: &str) -> Option<&'static Parameter> {
    PARAMETERS.iter().find(|parameter| parameter.name == name)
}

/// `NAME (or VARIABLE)`, for messages.
pub(super) fn label(name: &str) -> String {
    match find(name).and_then(|parameter| parameter.variable) {
        Some(variable) => format!("{name} (or {variable})"),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The list of libpq 18.0 itself (`PQconndefaults`).
    const LIBPQ_18: &str = "service servicefile user password passfile channel_binding \
        connect_timeout dbname host \
        hostaddr port client_encoding options application_name fallback_application_name \
        keepalives keepalives_idle \
        keepalives_interval keepalives_count tcp_user_timeout sslmode sslnegotiation \
        sslcompression sslcert sslkey \
        sslcertmode sslpassword sslrootcert sslcrl sslcrldir sslsni requirepeer require_auth \
        min_protocol_version \
        max_protocol_version ssl_min_protocol_version ssl_max_protocol_version gssencmode \
        krbsrvname gsslib \
        gssdelegation replication target_session_attrs load_balance_hosts scram_client_key \
        scram_server_key \
        oauth_issuer oauth_client_id oauth_client_secret oauth_scope sslkeylogfile";

    #[test]
    fn every_parameter_of_libpq_18_is_listed_once() {
        let mut libpq: Vec<_> = LIBPQ_18.split_whitespace().collect();
        let mut ours: Vec<_> = PARAMETERS.iter().map(|parameter| parameter.name).collect();
        libpq.sort_unstable();
        ours.sort_unstable();
        assert_eq!(ours, libpq);
    }
}
