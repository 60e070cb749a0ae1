//! Errors for words that are not dependencies, with the right form.

use super::{
    expand::{Env, Expansion, Text, unexpanded},
    url::{is_host_port, is_scheme},
};
use crate::secret::is_plain;

/// Returns the error for a text that is neither a URL nor `HOST:PORT`.
///
/// The error shows the text only if it reads as a name, because it may be part of a password.
/// `origin` is the variable that holds the whole text.
pub(super) fn describe(url: &Text, origin: Option<&Expansion>, env: &Env) -> String {
    let text = url.raw();
    if let Some(origin) = origin {
        return of_a_value(text, &origin.origin());
    }
    if let Some(remedy) = unexpanded(text) {
        return remedy;
    }
    let remedy = of_a_word(text, env);
    remedy.unwrap_or_else(|| format!("must be {EXAMPLES}"))
}

const EXAMPLES: &str = "a URL or HOST:PORT, e.g. postgres://app@db/app, cache:6379";

fn of_a_value(text: &str, origin: &str) -> String {
    let value = text.trim();
    if value.is_empty() {
        return format!("{origin} is empty; it must hold {EXAMPLES}");
    }
    let remedy = if value.starts_with(['"', '\'']) {
        "its value begins with a quote, which --env-file and systemd keep"
    } else if value.ends_with('+') {
        "its value is empty"
    } else if is_pairs(value) {
        return format!(
            "{origin} holds KEY=VALUE pairs; they are read behind their scheme, e.g. \
            postgres:${{NAME}}"
        );
    } else if text.starts_with(char::is_whitespace) {
        "its value begins with a blank"
    } else if is_list(text) {
        "its value must be one HOST:PORT; AFTERALL_DEPENDENCIES may hold several"
    } else {
        return format!("{origin} must hold {EXAMPLES}");
    };
    format!("{origin}: {remedy}")
}

fn of_a_word(text: &str, env: &Env) -> Option<String> {
    if text.is_empty() {
        return Some(format!("nothing to wait for: must be {EXAMPLES}"));
    }
    if text.starts_with(['"', '\'']) {
        return Some("begins with a quote, which nothing has removed".to_owned());
    }
    if is_pairs(text) {
        return Some(
            "KEY=VALUE pairs are read behind their scheme, e.g. 'postgres:host=db dbname=app'"
                .to_owned(),
        );
    }
    if let Some(prefix) = text.strip_suffix('+').filter(|prefix| is_scheme(prefix)) {
        return Some(format!("behind {prefix}+ must stand a URL; is its variable empty?"));
    }
    if let Some((scheme, _)) = text.split_once("//").filter(|(scheme, _)| is_scheme(scheme)) {
        return Some(format!("{scheme}// lacks its colon, e.g. {scheme}://host"));
    }
    if let Some((place, _)) = text.split_once('?').filter(|(place, _)| is_host_port(place)) {
        return Some(format!("keys stand behind a #, e.g. {place}#timeout=5m"));
    }
    if let Some((name, value)) = text.split_once('=') {
        let is_key = !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '-');
        return match value {
            "" if is_plain(name) => Some(format!(
                "{name}= must be followed by a URL or HOST:PORT; is its variable empty?"
            )),
            _ if is_key => Some(format!(
                "{name}= must be followed by a URL or HOST:PORT; a key stands behind the # of its \
                dependency (quote the whole)"
            )),
            _ => None,
        };
    }
    if is_host_port(text.trim()) {
        return Some("no blank must follow HOST:PORT".to_owned());
    }
    if is_list(text) {
        return Some("each dependency must be an argument of its own, e.g. a:1 b:2".to_owned());
    }
    if ["/", "./", "../", "~/"].iter().any(|start| text.starts_with(start)) {
        let shown = if is_plain(text) { text } else { "PATH" };
        return Some(format!("a path must be written file:{shown}; a command stands behind --"));
    }
    if !is_plain(text) {
        return None;
    }
    Some(match text {
        "-" => "- must be --, in front of the command".to_owned(),
        _ if text.starts_with(':') => format!("{text} lacks its host, e.g. db:5432"),
        "help" | "version" => format!("{text} is no dependency; did you mean --{text}?"),
        _ if text.chars().all(|c| c.is_ascii_digit()) => {
            format!("{text} lacks its host; HOST:PORT must be one word, e.g. db:{text}")
        }
        _ if is_command(text, env) => {
            format!("{text} is a command here; a command must stand behind --, e.g. -- {text}")
        }
        _ => format!("{text} lacks its port, e.g. {text}:5432; a command must stand behind --"),
    })
}

/// Returns the remedy for a `SCHEME:REST` whose scheme is unknown: it may be `HOST:PORT` with more
/// behind it, or a user with its password.
///
/// The remedy shows no part of the text.
pub fn behind_scheme(rest: &str) -> Option<&'static str> {
    if ["@tcp(", "@unix(", "@("].iter().any(|mark| rest.contains(mark)) {
        return Some(
            "a connection string of Go's MySQL driver must follow its scheme, e.g. mysql:${NAME}",
        );
    }
    if rest.is_empty() {
        return Some("a port or a URL must follow the colon; is its variable empty?");
    }
    let behind = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    if behind.is_empty() {
        // `db:5432` itself is HOST:PORT.
        return Some("a port in a variable must follow its scheme, e.g. tcp://db:${PORT}");
    }
    if behind.len() == rest.len() || behind.contains('@') {
        return None;
    }
    match behind.chars().next()? {
        '/' => Some("a URL must begin with its scheme, e.g. http://api:8080/ready"),
        '?' => Some("keys stand behind a #, e.g. db:5432#timeout=5m"),
        ' ' if behind.trim().is_empty() => Some("no blank must follow HOST:PORT"),
        ' ' | ',' | ';' if is_list(behind) => {
            Some("each dependency must be an argument of its own, e.g. a:1 b:2")
        }
        ' ' | ',' | ';' if behind.contains('=') => {
            Some("keys stand behind a #, e.g. db:5432#timeout=5m")
        }
        _ => None,
    }
}

/// Returns true if the text is a connection string: `host=db dbname=app`, `Host=db;Database=app`.
fn is_pairs(text: &str) -> bool {
    let pairs: Vec<_> = text.split([' ', ';', '\n']).filter(|pair| !pair.is_empty()).collect();
    pairs.len() >= 2
        && pairs.iter().all(|pair| pair.split_once('=').is_some_and(|(key, _)| !key.is_empty()))
}

/// Returns true if the text is several `HOST:PORT`.
fn is_list(text: &str) -> bool {
    let mut words = text.split([',', ';', ' ']).filter(|word| !word.is_empty()).peekable();
    words.peek().is_some() && words.all(is_host_port)
}

/// Returns true if a directory of PATH has a program of this name.
fn is_command(word: &str, env: &Env) -> bool {
    let path = env.var("PATH").ok().flatten().unwrap_or_default();
    path.split(':').any(|dir| !dir.is_empty() && std::path::Path::new(dir).join(word).is_file())
}

/// Returns true if a text is `$NAME`, `${NAME}` or `$(NAME)` and nothing else.
pub(super) fn is_variable(text: &str) -> bool {
    let Some(name) = text.strip_prefix('$') else { return false };
    let inside = |open, close| name.strip_prefix(open).and_then(|name| name.strip_suffix(close));
    let name = inside('{', '}').or_else(|| inside('(', ')')).unwrap_or(name);
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Returns true if the password of a connection string is a variable that nothing has expanded.
pub(super) fn has_variable_as_password(rest: &str) -> bool {
    let authority = rest.strip_prefix("//").and_then(|rest| rest.split(['/', '?']).next());
    let userinfo = authority.and_then(|authority| authority.rsplit_once('@'));
    let of_userinfo = userinfo.and_then(|(userinfo, _)| userinfo.split_once(':'));
    let is_between = |c: char| c.is_whitespace() || "?&;".contains(c);
    let mut pairs = rest.split(is_between).filter_map(|pair| pair.split_once('='));
    of_userinfo.is_some_and(|(_, password)| is_variable(password))
        || pairs.any(|(name, value)| {
            let name = name.to_ascii_lowercase();
            (name.ends_with("password") || name == "pwd") && is_variable(value.trim_matches('\''))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(text: &str) -> String {
        let env = Env::new(|name| (name == "PATH").then(|| "/none:/bin".into()));
        describe(&Text::literal(text), None, &env)
    }

    #[test]
    fn every_common_slip_gets_its_remedy() {
        for (text, want) in [
            ("true", "true is a command here; a command must stand behind --"),
            ("127.0.0.1", "127.0.0.1 lacks its port, e.g. 127.0.0.1:5432"),
            ("5432", "5432 lacks its host"),
            ("/run/ready", "a path must be written file:/run/ready"),
            ("./S3CRET", "a path must be written file:PATH"),
            ("postgres//db", "postgres// lacks its colon, e.g. postgres://host"),
            ("-", "- must be --, in front of the command"),
            (":5432", ":5432 lacks its host, e.g. db:5432"),
            ("127.0.0.1:1 127.0.0.1:2", "each dependency must be an argument of its own"),
            ("127.0.0.1:1;127.0.0.1:2", "each dependency must be an argument of its own"),
            ("127.0.0.1:1 ", "no blank must follow HOST:PORT"),
            ("help", "help is no dependency; did you mean --help?"),
            ("a:1,b:2", "each dependency must be an argument of its own"),
            ("127.0.0.1:1?timeout=5m", "keys stand behind a #, e.g. 127.0.0.1:1#timeout=5m"),
            ("$DATABASE_URL", "only ${NAME} is expanded here"),
            ("$(DATABASE_URL)", "only ${NAME} is expanded here"),
            ("{{ url }}", "only ${NAME} is expanded here"),
            ("migrations+", "behind migrations+ must stand a URL"),
            ("\"postgres://db\"", "begins with a quote"),
            (
                "on-timeout=proceed",
                "on-timeout= must be followed by a URL or HOST:PORT; a key stands behind the #",
            ),
            ("db=", "db= must be followed by a URL"),
            ("host=db dbname=app", "KEY=VALUE pairs are read behind their scheme"),
            ("S3CRET", "must be a URL or HOST:PORT"),
        ] {
            let message = described(text);
            assert!(message.starts_with(want) && !message.contains("S3CRET"), "{text}: {message}");
        }
    }

    #[test]
    fn a_host_that_reads_as_a_scheme_gets_its_remedy() {
        for (rest, want) in [
            ("5432/app", Some("a URL must begin with its scheme")),
            ("5432?timeout=5m", Some("keys stand behind a #")),
            ("5432 ", Some("no blank must follow HOST:PORT")),
            ("5432,cache:6379", Some("each dependency must be an argument of its own")),
            ("5432,timeout=5m", Some("keys stand behind a #")),
            ("5432,x", None),
            ("5432 cache:6379", Some("each dependency must be an argument of its own")),
            ("5432", Some("a port in a variable must follow its scheme")),
            ("s3cr3t@tcp(db:3306)/app", Some("a connection string of Go's MySQL driver")),
            ("5432/s3cr3t@db/app", None),
            ("//db/app", None),
            ("", Some("a port or a URL must follow the colon")),
        ] {
            let remedy = behind_scheme(rest);
            assert!(
                remedy.is_some() == want.is_some()
                    && remedy.unwrap_or_default().starts_with(want.unwrap_or_default()),
                "{rest}: {remedy:?}"
            );
        }
    }

    #[test]
    fn a_password_that_nothing_has_expanded_is_seen() {
        for (rest, want) in [
            ("//app:$DB_PASS@db/app", true),
            ("//app:${DB_PASS}@db/app", true),
            ("//app:$(DB_PASS)@db", true),
            ("//db/app?user=app&password=$PW", true),
            ("host=db password='$PW'", true),
            ("Host=db;Pwd=${PW};Database=x", true),
            ("//app:$ecret!@db/app", false),
            ("//app:$1@db", false),
            ("//app:a$B@db", false),
            ("//$USER@db", false),
            ("", false),
        ] {
            assert_eq!(has_variable_as_password(rest), want, "{rest}");
        }
    }
}
