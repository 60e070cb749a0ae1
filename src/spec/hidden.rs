//! Finds secrets in a declaration that no key marks as secret.

use super::{
    Grammar,
    expand::{Expansion, Text},
    url::{servers_of, split_authority},
};
use crate::secret::Secrets;

/// Registers every expansion, and text that looks like a password, as secrets.
///
/// Messages need some values, which stay visible. A host or port is visible unless its variable's
/// name means a secret. Elsewhere a value is visible if it reads as a name
/// ([`Expansion::is_plain`]). Path and query of a [`Grammar::Url`] are never visible.
pub(super) fn take(secrets: &Secrets, grammar: Grammar, rest: &Text, expansions: &[Expansion]) {
    let (mut places, mut path) = (Vec::new(), Vec::new());
    if let Some(rest) = rest.strip_prefix("//").filter(|_| grammar.has_servers()) {
        let (authority, behind) = split_authority(&rest);
        for server in servers_of(grammar, &authority) {
            places.extend(server.expansions().cloned());
        }
        if matches!(grammar, Grammar::Url) {
            path.extend(behind.expansions().cloned());
        }
    }
    for expansion in expansions {
        let is_shown = if places.contains(expansion) {
            !expansion.is_declared_secret()
        } else {
            expansion.is_plain() && !path.contains(expansion)
        };
        if !is_shown {
            secrets.take(expansion.value());
        }
        take_password(secrets, expansion.value());
        take_pairs(secrets, expansion.value());
    }
    take_pairs(secrets, &rest.expanded());
}

/// Registers the password of a URL.
fn take_password(secrets: &Secrets, text: &str) {
    let authority = text
        .split_once("://")
        .map(|(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or_default());
    let userinfo = authority.and_then(|authority| authority.rsplit_once('@'));
    if let Some((_, password)) = userinfo.and_then(|(userinfo, _)| userinfo.split_once(':')) {
        take_decoded(secrets, password);
    }
}

/// Registers the value of each `password=VALUE`, whatever character precedes it.
///
/// With a wrong separator the pair becomes part of a user name or path, which messages show.
pub(super) fn take_pairs(secrets: &Secrets, text: &str) {
    const WORDS: [&str; 8] =
        ["password", "passwd", "passphrase", "pass", "pwd", "secret", "token", "apikey"];
    let lower = text.to_ascii_lowercase();
    for (at, _) in lower.match_indices('=') {
        let name = lower[..at].trim_end();
        if !WORDS.iter().any(|word| name.ends_with(word)) {
            continue;
        }
        let value = text[at + 1..].trim_start();
        let (value, ends): (&str, &[char]) = match value.strip_prefix(['\'', '"']) {
            Some(quoted) => (quoted, &['\'', '"']),
            None => (value, &[' ', '\t', '\n', '\r', ';', '&', ',', '#']),
        };
        take_decoded(secrets, value.split(ends).next().unwrap_or_default());
    }
}

fn take_decoded(secrets: &Secrets, value: &str) {
    secrets.take(value);
    secrets.take(percent_encoding::percent_decode_str(value).decode_utf8_lossy());
}

#[cfg(test)]
#[cfg(all(feature = "postgres", feature = "http"))]
mod tests {
    use crate::spec::{Spec, expand::Env};

    fn hidden(text: &str, kind: &str) -> Vec<String> {
        let env = Env::new(|name| match name {
            "PLAIN" => Some("orders".into()),
            "ODD" => Some("0dd Value".into()),
            "DB_CREDENTIAL" => Some("ordinary".into()),
            "URL" => Some("http://app:p%40ss@db/x".into()),
            _ => None,
        });
        let kind = crate::kinds::find(kind, "").unwrap();
        let spec = Spec::parse("x", kind, text, &env).unwrap();
        spec.secrets().revealed()
    }

    #[test]
    fn an_expansion_is_hidden_unless_it_reads_as_a_name() {
        for (text, kind, want) in [
            ("tcp://${PLAIN}:1", "tcp", &[][..]),
            ("tcp://${DB_CREDENTIAL}:1", "tcp", &["ordinary"]),
            ("postgres://a@b/${PLAIN}", "postgres", &[]),
            ("postgres://a@b/${ODD}", "postgres", &["0dd Value"]),
            ("postgres://a@b/x#query=${DB_CREDENTIAL}", "postgres", &["ordinary"]),
            ("postgres://a@b/x#query=select '${ODD}'", "postgres", &["0dd Value"]),
            ("http://b/${PLAIN}", "http", &["orders"]),
            ("http://b/?${PLAIN}", "http", &["orders"]),
            ("http://${PLAIN}/", "http", &[]),
            ("exec:run ${URL}", "exec", &["http://app:p%40ss@db/x", "p%40ss", "p@ss"]),
        ] {
            let mut found = hidden(text, kind);
            found.sort();
            let mut want: Vec<_> = want.iter().map(ToString::to_string).collect();
            want.sort();
            assert_eq!(found, want, "{text}");
        }
    }

    #[test]
    fn a_password_behind_any_separator_is_hidden() {
        for text in [
            "postgres://b/x?user=app;password=S3CRET",
            "postgres://b/x?user=app,Password=S3CRET",
            "postgres://b/x?user=app password = 'S3CRET'",
            "postgres:host=b;Pwd=S3CRET;Database=x",
            "postgres://b/x#user=app;sslpassword=S3CRET",
            "postgres://b/x?user=app%3bpassword=S3CRET",
        ] {
            assert!(hidden(text, "postgres").contains(&"S3CRET".to_owned()), "{text}");
        }
    }
}
