//! Values that are never shown.

use crate::sort::sort_by_key;
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

/// A value that is never printed. `Display` and `Debug` write `***`.
///
/// Only [`Secrets::take`] makes one, so that a secret that exists is also hidden wherever it is
/// echoed.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(Arc<str>);

impl Secret {
    /// The secret itself, for the one place that sends it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(STARS)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(STARS)
    }
}

const STARS: &str = "***";

/// Shorter secrets are left alone, in characters: they would turn ordinary words into stars and
/// reveal more than they hide.
const SHORTEST: usize = 4;
/// From this length on, in characters, an echo counts whatever its case.
const LONG: usize = 8;

/// The secrets of one dependency, and those that all dependencies share.
///
/// An `exec:` command inherits the environment, and may repeat a secret that another dependency
/// declares. A secret that is an ordinary word is not shared. It would blank that word in the
/// messages of all the others.
#[derive(Clone, Default)]
pub struct Secrets {
    own: Arc<Mutex<Vec<Secret>>>,
    shared: Arc<Mutex<Vec<Secret>>>,
}

impl Secrets {
    /// The secrets of another dependency: it has none of its own yet, and shares the same.
    pub fn for_another(&self) -> Self {
        Self { own: Arc::default(), shared: Arc::clone(&self.shared) }
    }

    /// Registers a value, which is hidden from now on.
    pub fn take(&self, value: impl Into<String>) -> Secret {
        let secret = Secret(value.into().into());
        // A long key is echoed line by line, and what is cut to one line has no blanks around it.
        let lines = secret.0.lines().map(str::trim).filter(|line| line.chars().count() >= LONG);
        let lines = lines.filter(|line| *line != &*secret.0).map(|line| Secret(line.into()));
        for secret in [secret.clone()].into_iter().chain(lines) {
            if secret.0.chars().count() >= SHORTEST {
                let list = if is_plain(&secret.0) { &self.own } else { &self.shared };
                let mut list = list.lock().unwrap_or_else(PoisonError::into_inner);
                if !list.contains(&secret) {
                    list.push(secret);
                }
            }
        }
        secret
    }

    /// Returns true if there is nothing to hide.
    pub fn is_empty(&self) -> bool {
        let lists = [&self.own, &self.shared];
        lists.iter().all(|list| list.lock().unwrap_or_else(PoisonError::into_inner).is_empty())
    }

    /// Replaces every echo of a secret in `text` by `***`.
    ///
    /// An echo may be percent-encoded, escaped as in JSON or HTML, or cut off by `…`. A long one
    /// may be in other case.
    pub fn hide(&self, text: impl Into<String>) -> String {
        self.hide_those(text.into(), |_| true)
    }

    /// [`Secrets::hide`] for a text of our own. A secret that is an ordinary word stays: redacting
    /// a common word of our own text would reveal the secret.
    pub fn hide_in_own(&self, text: impl Into<String>) -> String {
        self.hide_those(text.into(), |secret| !is_plain(&secret.0))
    }

    fn hide_those(&self, text: String, is_meant: impl Fn(&Secret) -> bool) -> String {
        let mut secrets: Vec<Secret> = Vec::new();
        for list in [&self.own, &self.shared] {
            let list = list.lock().unwrap_or_else(PoisonError::into_inner);
            secrets.extend(list.iter().filter(|secret| is_meant(secret)).cloned());
        }
        // A secret that contains another one is hidden whole.
        sort_by_key(&mut secrets, |secret| std::cmp::Reverse(secret.0.len()));
        secrets.iter().fold(text, |text, secret| hide_one(text, &secret.0))
    }

    /// Every secret in clear, for tests.
    #[cfg(test)]
    pub fn revealed(&self) -> Vec<String> {
        let lists = [&self.own, &self.shared].map(|list| list.lock().unwrap().clone());
        lists.concat().iter().map(|secret| secret.0.to_string()).collect()
    }
}

/// Returns true if a value reads as a name rather than as a secret, e.g. `orders`, `app_v2`,
/// `db-1.internal`, `/run/pg`, `5432`.
pub fn is_plain(value: &str) -> bool {
    value.len() <= 64
        && value.split(['-', '_', '.', '/', ':']).all(|part| {
            let digits = part.trim_start_matches(|c: char| c.is_ascii_lowercase());
            digits.len() <= 5 && digits.chars().all(|c| c.is_ascii_digit())
        })
}

fn hide_one(text: String, secret: &str) -> String {
    let wanted: Vec<char> = secret.chars().collect();
    let given: Vec<char> = text.chars().collect();
    let mut out = String::new();
    let mut at = 0;
    while at < given.len() {
        match echo(&given, at, &wanted) {
            Some(end) => {
                out.push_str(STARS);
                at = end;
            }
            None => {
                out.push(given[at]);
                at += 1;
            }
        }
    }
    out
}

/// Returns the end of an echo of `secret` that begins at `start`. A cut text may end the echo
/// early.
fn echo(text: &[char], start: usize, secret: &[char]) -> Option<usize> {
    // Several places are possible at once: `%25` may be literal or an escape for `%`.
    let mut places = vec![start];
    for (matched, want) in secret.iter().enumerate() {
        let cut = places.iter().copied().find(|at| text.get(*at) == Some(&'…'));
        if matched >= SHORTEST && cut.is_some() {
            return cut;
        }
        let mut next = Vec::new();
        for at in places {
            for (char, end) in readings(text, at) {
                let same = char == *want
                    || secret.len() >= LONG && char.to_lowercase().eq(want.to_lowercase())
                    // A character that was neutralised for a log.
                    || char == '\u{fffd}' && want.is_control()
                    || char == ' ' && *want == '\t';
                if same && !next.contains(&end) {
                    next.push(end);
                }
            }
        }
        if next.is_empty() {
            return None;
        }
        places = next;
    }
    places.into_iter().max()
}

/// Returns the characters that the text may represent at a place, each with the place after it.
fn readings(text: &[char], at: usize) -> Vec<(char, usize)> {
    let Some(&first) = text.get(at) else { return Vec::new() };
    let mut readings = vec![(first, at + 1)];
    let rest = || text[at + 1..].iter();
    match first {
        '+' => readings.push((' ', at + 1)),
        '%' => readings.extend(percent_encoded(text, at)),
        '\\' => match text.get(at + 1) {
            Some('n') => readings.push(('\n', at + 2)),
            Some('r') => readings.push(('\r', at + 2)),
            Some('t') => readings.push(('\t', at + 2)),
            Some('u') => readings.extend(hex(text, at + 2, 4).map(|c| (c, at + 6))),
            Some('x') => readings.extend(hex(text, at + 2, 2).map(|c| (c, at + 4))),
            Some(escaped) => readings.push((*escaped, at + 2)),
            None => {}
        },
        '&' => {
            let entities = [
                ("amp;", '&'),
                ("lt;", '<'),
                ("gt;", '>'),
                ("quot;", '"'),
                ("apos;", '\''),
                ("#39;", '\''),
                ("#34;", '"'),
            ];
            let found =
                entities.iter().find(|(name, _)| name.chars().eq(rest().copied().take(name.len())));
            readings.extend(found.map(|(name, c)| (*c, at + 1 + name.len())));
        }
        // SQL doubles a quote within quotes.
        '\'' if text.get(at + 1) == Some(&'\'') => readings.push(('\'', at + 2)),
        _ => {}
    }
    readings
}

/// One character of UTF-8, each of its bytes as `%XX`.
fn percent_encoded(text: &[char], at: usize) -> Option<(char, usize)> {
    let mut bytes = Vec::new();
    for n in 0..4 {
        let at = at + 3 * n;
        if text.get(at) != Some(&'%') {
            return None;
        }
        bytes.push(hex(text, at + 1, 2)? as u8);
        if let Ok(decoded) = std::str::from_utf8(&bytes) {
            return decoded.chars().next().map(|c| (c, at + 3));
        }
    }
    None
}

/// The character of `count` hexadecimal digits.
fn hex(text: &[char], at: usize, count: usize) -> Option<char> {
    let digits = text.get(at..at + count)?;
    let value = digits.iter().try_fold(0, |value, c| Some(value * 16 + c.to_digit(16)?))?;
    char::from_u32(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::one_line;

    fn hidden(secret: &str, text: &str) -> String {
        let secrets = Secrets::default();
        secrets.take(secret);
        secrets.hide(text)
    }

    #[test]
    fn an_echo_is_hidden_in_every_form() {
        for (secret, text, want) in [
            ("s3cr3t", "no user with s3cr3t, s3cr3t!", "no user with ***, ***!"),
            ("a1B", "a1B is too short to tell", "a1B is too short to tell"),
            ("a1Bc", "a1Bc", "***"),
            ("s3cr3t", "S3CR3T", "S3CR3T"),
            ("l0ngS3cr3t", "L0NGs3CR3T", "***"),
            ("p\"w\\d/1é", r#"{"pass":"p\"w\\d\/1\u00e9"}"#, r#"{"pass":"***"}"#),
            ("p/w d?1é", "p%2Fw%20d%3f1%C3%A9&x", "***&x"),
            ("p/w d?1", "p%2Fw+d%3F1", "***"),
            ("100%25x", "a 100%25x b 100%2525x", "a *** b ***"),
            ("a<b>&'c", "a&lt;b&gt;&amp;&#39;c", "***"),
            ("it's s3t", "'it''s s3t'", "'***'"),
            ("tab\tS3t", "tab S3t", "***"),
            ("line-0ne-L\nline-2wo-L\n", "no line-2wo-L here", "no *** here"),
        ] {
            assert_eq!(hidden(secret, text), want, "{secret}");
        }
    }

    #[test]
    fn an_echo_that_was_cut_is_hidden() {
        assert_eq!(
            hidden("s3cr3t", "a s3cr3t, and s3cr3… [class=auth]"),
            "a ***, and ***… [class=auth]"
        );
        assert_eq!(hidden("s3cr3t", &one_line("with s3cr3t", 9)), "with ***…");
        assert_eq!(
            hidden("s3cr3t", &one_line("with s3cr3t", 8)),
            "with s3c…",
            "three tell nothing"
        );
    }

    #[test]
    fn a_secret_prints_as_stars() {
        let secret = Secrets::default().take("s3cr3t");
        assert_eq!(format!("{secret} {secret:?}"), "*** ***");
    }

    #[test]
    fn an_ordinary_word_stays_in_our_own_text_and_is_not_shared() {
        let secrets = Secrets::default();
        let other = secrets.for_another();
        secrets.take("wrong");
        secrets.take("s3cr3t");
        assert_eq!(secrets.hide_in_own("wrong password: s3cr3t"), "wrong password: ***");
        assert_eq!(secrets.hide("wrong password: s3cr3t"), "*** password: ***");
        assert_eq!(other.hide("wrong password: s3cr3t"), "wrong password: ***");
    }

    #[test]
    fn a_name_is_told_from_a_secret() {
        for name in
            ["orders", "app_v2", "db-1.internal", "5432", "10.0.0.5", "/run/pg", "cache:6379"]
        {
            assert!(is_plain(name), "{name}");
        }
        for secret in ["s3cr3t", "Orders", "123456", "a b", "p@ss", "Zq7kP9wX2mLcNRY"] {
            assert!(!is_plain(secret), "{secret}");
        }
    }
}
