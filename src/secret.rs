//! Values that are never shown.

use std::fmt;

/// A value that is never printed: not by `Debug`, not in a message, not when it is echoed by a server.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret in.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The secret itself, for the one place that sends it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// [`hide`] for a text that is mostly our own. A password that is an ordinary word stands in it by chance, and stars in its place
/// would tell it to whoever knows the text.
pub fn hide_in_own(text: &str, secrets: &[Secret]) -> String {
    let is_word = |secret: &&Secret| secret.0.chars().all(|c| c.is_ascii_lowercase());
    let odd: Vec<Secret> = secrets.iter().filter(|secret| !is_word(secret)).cloned().collect();
    hide(text, &odd)
}

/// Replaces every occurrence of a secret in `text` by `***`.
///
/// Messages are built from parts that hold no secret; this is for what the other side echoes. Secrets shorter than four
/// bytes are left alone: they would turn ordinary words into stars and tell more than they hide.
pub fn hide(text: &str, secrets: &[Secret]) -> String {
    let mut out = text.to_owned();
    for secret in secrets.iter().filter(|secret| secret.0.len() >= 4) {
        if out.contains(&secret.0) {
            out = out.replace(&secret.0, "***");
        }
        out = hide_cut(&out, &secret.0);
    }
    out
}

/// Foreign text is cut before it comes here, and the cut may go through an echoed secret: `wrong password s3cr…`.
fn hide_cut(text: &str, secret: &str) -> String {
    let mut parts: Vec<&str> = text.split('…').collect();
    let last = parts.pop().unwrap_or_default();
    let mut out = String::new();
    for part in parts {
        let beginnings = (4..secret.len()).rev().filter_map(|end| secret.get(..end));
        match beginnings.filter_map(|beginning| part.strip_suffix(beginning)).next() {
            Some(rest) => out.extend([rest, "***…"]),
            None => out.extend([part, "…"]),
        }
    }
    out + last
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::one_line;

    #[test]
    fn a_secret_is_hidden_wherever_it_is_echoed() {
        let secrets = [Secret::new("s3cr3t"), Secret::new("a")];
        assert_eq!(hide("no user a with s3cr3t", &secrets), "no user a with ***");
        assert_eq!(
            hide("a s3cr3t, and s3cr3… [class=auth]", &secrets),
            "a ***, and ***… [class=auth]"
        );
        assert_eq!(
            hide(&one_line("with s3cr3t", 8), &secrets),
            "with s3c…",
            "three bytes tell nothing"
        );
        assert_eq!(format!("{:?}", secrets[0]), "***");
        assert_eq!(
            hide_in_own("wrong password: s3cr3t", &[Secret::new("wrong"), Secret::new("s3cr3t")]),
            "wrong password: ***"
        );
    }
}
