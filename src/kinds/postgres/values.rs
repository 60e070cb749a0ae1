//! The values of libpq's parameters: rejects invalid ones, and translates words.

use super::{
    dsn::{Dialect, Params},
    parameters::{
        PARAMETERS,
        Treatment::{Honoured, NoEffect, Only},
        Values, label,
    },
};
use crate::text::nearest;

/// The parameters of words and numbers, for which libpq refuses an empty value. Elsewhere an empty
/// value counts as unset.
const NEVER_EMPTY: &[&str] = &[
    "channel_binding",
    "connect_timeout",
    "gssencmode",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "load_balance_hosts",
    "max_protocol_version",
    "min_protocol_version",
    "sslcertmode",
    "sslmode",
    "sslnegotiation",
    "target_session_attrs",
    "tcp_user_timeout",
];

/// Rejects empty values that libpq would reject. A declared parameter hides its variable in `env`.
///
/// # Errors
/// The parameter's name.
pub(super) fn check_empty(declared: &Params, env: &Params) -> Result<(), String> {
    let is_empty = |name: &&&str| declared.written(name).or(env.written(name)) == Some("");
    match NEVER_EMPTY.iter().find(is_empty) {
        // Npgsql reads it as its default.
        Some(_) if declared.dialect() == Dialect::Npgsql => Ok(()),
        Some(name) => Err(format!("{}: must not be empty: set it, or leave it out", label(name))),
        None => Ok(()),
    }
}

/// Rejects values that libpq would reject, and values that ask for unsupported features.
///
/// # Errors
/// The parameter's name and its valid values. The value itself may be part of a password and is not
/// shown.
pub(super) fn check(params: &Params) -> Result<(), String> {
    for parameter in PARAMETERS {
        let Some(value) = params.get(parameter.name) else { continue };
        let wrong = |message: String| Err(format!("{}: {message}", label(parameter.name)));
        match &parameter.treatment {
            Honoured | NoEffect(Values::Any, _) => {}
            Only(words, why) if !words.contains(&value) => {
                return wrong(format!("must be one of {}: {why}", words.join(", ")));
            }
            NoEffect(Values::Integer, _) if value.trim().parse::<i32>().is_err() => {
                return wrong("must be a whole number, e.g. 10".to_owned());
            }
            _ => {}
        }
    }
    Ok(())
}

/// Returns the value that a parameter's word means.
///
/// # Errors
/// Names the parameter and lists the words, and the nearest of them.
pub(super) fn choice<T: Copy>(
    params: &Params,
    name: &str,
    words: &[(&str, T)],
) -> Result<Option<T>, String> {
    let Some(value) = params.get(name) else { return Ok(None) };
    if let Some((_, choice)) = words.iter().find(|(word, _)| *word == value) {
        return Ok(Some(*choice));
    }
    let names: Vec<_> = words.iter().map(|(word, _)| *word).collect();
    let near = nearest(&value.to_ascii_lowercase(), names.iter().copied())
        .map(|near| format!("; did you mean {near}?"))
        .unwrap_or_default();
    Err(format!("{}: must be one of {}{near}", label(name), names.join(", ")))
}

/// A parameter that libpq reads as `0` or `1`.
///
/// # Errors
/// Names the parameter.
pub(super) fn switch(params: &Params, name: &str) -> Result<Option<bool>, String> {
    choice(params, name, &[("0", false), ("1", true)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_words_and_numbers_must_not_be_empty() {
        let params = |name: &str, value: &str| {
            let mut params = Params::default();
            params.set(name, value);
            params
        };
        let none = Params::default();
        // Each as libpq 18 answers it.
        for name in NEVER_EMPTY {
            assert!(check_empty(&params(name, ""), &none).is_err(), "{name}");
            assert!(check_empty(&none, &params(name, "")).is_err(), "{name}");
            assert_eq!(check_empty(&params(name, "x"), &params(name, "")), Ok(()), "{name}");
        }
        for name in ["port", "require_auth", "ssl_min_protocol_version", "sslrootcert", "user"] {
            assert_eq!(check_empty(&params(name, ""), &none), Ok(()), "{name}");
        }
    }

    #[test]
    fn values_that_libpq_refuses_are_refused_by_name() {
        for (name, value, want) in [
            ("keepalives", "x", "keepalives: must be a whole number, e.g. 10"),
            ("tcp_user_timeout", "abc", "tcp_user_timeout: must be a whole number, e.g. 10"),
            (
                "gssencmode",
                "require",
                "gssencmode (or PGGSSENCMODE): must be one of disable, prefer: encryption by \
                GSSAPI is not supported",
            ),
            (
                "replication",
                "database",
                "replication: must be one of 0, no, off, false: a replication connection answers \
                no query",
            ),
            ("replication", "off", ""),
            ("keepalives", "1", ""),
            ("sslcompression", "1", ""),
        ] {
            let mut params = Params::default();
            params.set(name, value);
            assert_eq!(check(&params).err().unwrap_or_default(), want, "{name}={value}");
        }
    }
}
