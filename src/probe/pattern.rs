//! `match`: a regular expression that the user declares, tried on what a file or a response holds.

use regex_lite::{Regex, RegexBuilder};

use crate::text::strip_byte_order_mark;

/// The largest compiled pattern, in bytes. Matching costs time in proportion to it and to the text.
const MAX_COMPILED: usize = 64 * 1024;

/// A regular expression in the dialect of the crate `regex`, which has neither look-around nor
/// back-references.
#[derive(Clone)]
pub struct Pattern(Regex);

impl Pattern {
    /// Compiles `text`.
    ///
    /// # Errors
    /// What is wrong with the pattern, without repeating it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let regex = RegexBuilder::new(text).size_limit(MAX_COMPILED).build();
        let regex = regex
            .map_err(|error| format!("must be a regular expression, e.g. ^ready$ ({error})"))?;
        Ok(Self(regex))
    }

    /// Returns true if `text` matches somewhere.
    ///
    /// As in grep, Perl and Python, `$` also matches before a newline that ends the text. May run
    /// for seconds on a large text: call it on a [`BlockingLane`](crate::blocking::BlockingLane).
    pub fn is_match(&self, text: &[u8]) -> bool {
        let text = String::from_utf8_lossy(strip_byte_order_mark(text));
        if self.0.is_match(&text) {
            return true;
        }
        let line = text.strip_suffix('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
        self.0.as_str().contains('$') && line.is_some_and(|line| self.0.is_match(line))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_dollar_accepts_the_newline_that_ends_a_text() {
        for (pattern, text, want) in [
            ("^ready$", "ready", true),
            ("^ready$", "ready\n", true),
            ("^ready$", "ready\r\n", true),
            ("^ready$", "\u{feff}ready\r\n", true),
            ("^ready$", "ready\n\n", false),
            ("^ready$", "ready\nnot", false),
            ("^ready$", "not ready\n", false),
            ("(?m)^ready$", "x\nready\ny", true),
            ("^$", "\n", true),
            (r"ready\n", "ready\n", true),
            ("ready", "\u{fffd}already\0", true),
        ] {
            let got = Pattern::parse(pattern).unwrap().is_match(text.as_bytes());
            assert_eq!(got, want, "{pattern:?} on {text:?}");
        }
        assert!(Pattern::parse("a").unwrap().is_match(b"\xff\xfea"));
        assert!(Pattern::parse("(?:a{200}){200}").is_err());
    }
}
