//! `${VAR}`, `${VAR:-default}`, `${file:PATH}`: expanded once. Later splits and decodings see an
//! expansion as one opaque character.

use std::{ffi::OsString, ops::Range, rc::Rc};

use crate::{
    os::read_small,
    secret::{Secrets, is_plain},
};

/// The source of variables. Callers hand it in, so that tests can use their own.
#[derive(Clone)]
pub struct Env {
    lookup: Rc<Lookup>,
    secrets: Secrets,
}

type Lookup = dyn Fn(&str) -> Option<OsString>;

impl Env {
    /// Makes an environment of the variables that `lookup` knows.
    pub fn new(lookup: impl Fn(&str) -> Option<OsString> + 'static) -> Self {
        Self { lookup: Rc::new(lookup), secrets: Secrets::default() }
    }

    /// Returns the process's own variables.
    pub fn process() -> Self {
        Self::new(|name| std::env::var_os(name))
    }

    /// Returns the secrets of all dependencies that are declared in this environment.
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// Returns a variable's value, or an error if it is not UTF-8. The error never holds the value.
    pub fn var(&self, name: &str) -> Result<Option<String>, String> {
        match (self.lookup)(name).map(OsString::into_string) {
            None => Ok(None),
            Some(Ok(value)) => Ok(Some(value)),
            Some(Err(_)) => Err(format!("the variable {name} is not UTF-8")),
        }
    }
}

/// An expansion: its written form and its value.
#[derive(Clone, PartialEq, Eq)]
pub struct Expansion {
    /// The written form without the default, e.g. `${DB_PASSWORD}`.
    source: String,
    text: String,
}

impl Expansion {
    /// Returns the value, which may be a secret.
    pub fn value(&self) -> &str {
        &self.text
    }

    /// Returns the source of the value for messages: `the variable NAME` or `the file PATH`.
    pub fn origin(&self) -> String {
        let name = self.source.trim_start_matches("${").trim_end_matches('}');
        match name.strip_prefix("file:") {
            Some(path) => format!("the file {path}"),
            None => format!("the variable {name}"),
        }
    }

    /// Returns true if the value is always a secret. It comes from a file, or its variable's name
    /// means a secret.
    pub fn is_declared_secret(&self) -> bool {
        const WORDS: [&str; 9] =
            ["PASS", "SECRET", "TOKEN", "KEY", "CRED", "PW", "AUTH", "JWT", "HOOK"];
        let name = self.source.to_ascii_uppercase();
        name.starts_with("${FILE:") || WORDS.iter().any(|word| name.contains(word))
    }

    /// Returns true if messages may show the value. It reads as a name, and its variable's name
    /// does not mean a secret.
    pub fn is_plain(&self) -> bool {
        !self.is_declared_secret() && is_plain(&self.text)
    }
}

/// First character that represents an expansion. Each expansion is one character of a private plane
/// of Unicode: every split and search sees one opaque letter. If the input holds such a character,
/// it becomes an expansion of itself.
const FIRST: u32 = 0x10_0000;
const LAST: u32 = 0x10_fffd;

/// Text with opaque expansions. Parts can be cut out as from a string, and share its memory.
#[derive(Clone)]
pub struct Text {
    whole: Rc<str>,
    /// The place of this part in `whole`.
    range: Range<usize>,
    /// The expansions in `whole`. `None`: it has none, as most texts.
    values: Option<Rc<Vec<Expansion>>>,
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.raw() == other.raw() && self.values == other.values
    }
}

impl Eq for Text {}

impl Text {
    /// Makes a text without expansions, e.g. an application's own connection string.
    pub fn literal(text: &str) -> Self {
        Builder::default().push_literal(text).build()
    }

    /// Expands `text` once. Errors name the variable or the file, never a value.
    pub fn expand(text: &str, env: &Env) -> Result<Self, String> {
        let mut out = Builder::default();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            out = out.push_literal(&rest[..at]);
            rest = &rest[at..];
            if let Some(after) = rest.strip_prefix("$${") {
                out = out.push_literal("${");
                rest = after;
            } else if let Some(after) = rest.strip_prefix("${") {
                let Some((inside, after)) = after.split_once('}') else {
                    return Err("a ${ must be closed by } (a literal ${ is written $${)".to_owned());
                };
                // Messages show the name alone, because a default may hold a secret too.
                let shown = inside.split(":-").next().unwrap_or_default();
                out = out.value(format!("${{{shown}}}"), value_of(inside, env)?)?;
                rest = after;
            } else {
                out = out.push_literal("$");
                rest = &rest[1..];
            }
        }
        Ok(out.push_literal(rest).build())
    }

    /// Returns the text for searches. Each expansion is one character in it.
    pub fn raw(&self) -> &str {
        &self.whole[self.range.clone()]
    }

    /// Returns the text whose searchable form is `raw`: a slice of [`Text::raw`], which is not
    /// copied, or a new text with the same expansions.
    pub fn part(&self, raw: &str) -> Self {
        let start = raw.as_ptr().addr().wrapping_sub(self.whole.as_ptr().addr());
        match start.checked_add(raw.len()) {
            Some(end) if end <= self.whole.len() => self.within(start..end),
            _ => Self::new(raw, self.values.clone()),
        }
    }

    /// Returns the part at this place in `whole`.
    fn within(&self, range: Range<usize>) -> Self {
        Self { whole: Rc::clone(&self.whole), range, values: self.values.clone() }
    }

    fn new(raw: &str, values: Option<Rc<Vec<Expansion>>>) -> Self {
        Self { range: 0..raw.len(), whole: raw.into(), values }
    }

    /// Returns the text before and after the first `separator`, an ASCII character.
    pub fn split_once(&self, separator: char) -> Option<(Self, Self)> {
        self.around(self.raw().bytes().position(|byte| char::from(byte) == separator)?)
    }

    /// Returns the text before and after the last `separator`, an ASCII character.
    pub fn rsplit_once(&self, separator: char) -> Option<(Self, Self)> {
        self.around(self.raw().bytes().rposition(|byte| char::from(byte) == separator)?)
    }

    /// Returns the text before and after the character of one byte at `place`.
    fn around(&self, place: usize) -> Option<(Self, Self)> {
        let Range { start, end } = self.range;
        Some((self.within(start..start + place), self.within(start + place + 1..end)))
    }

    /// Returns the parts between separators, which are ASCII characters.
    pub fn split(&self, separator: char) -> impl Iterator<Item = Self> + use<> {
        let mut rest = Some(self.clone());
        std::iter::from_fn(move || {
            let text = rest.take()?;
            let Some((part, behind)) = text.split_once(separator) else { return Some(text) };
            rest = Some(behind);
            Some(part)
        })
    }

    /// Returns the text after `prefix`.
    pub fn strip_prefix(&self, prefix: &str) -> Option<Self> {
        self.raw().strip_prefix(prefix).map(|rest| self.part(rest))
    }

    /// Returns true if the text is empty.
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// Returns the value if the text is one single expansion.
    pub fn as_value(&self) -> Option<&str> {
        let mut chars = self.raw().chars();
        let value = self.value(chars.next()?)?;
        chars.next().is_none().then_some(value.text.as_str())
    }

    /// Returns the literal parts unchanged, with each expansion's value in place.
    pub fn expanded(&self) -> String {
        if self.values.is_none() {
            return self.raw().to_owned();
        }
        self.raw().chars().fold(String::new(), |mut out, c| {
            match self.value(c) {
                Some(value) => out.push_str(&value.text),
                None => out.push(c),
            }
            out
        })
    }

    /// Returns the text for messages: literal parts unchanged, expansions as written.
    pub fn display_redacted(&self) -> String {
        let mut out = String::with_capacity(self.raw().len());
        self.push_redacted(&mut out);
        out
    }

    /// Appends [`Text::display_redacted`] to a message.
    pub fn push_redacted(&self, out: &mut String) {
        if self.values.is_none() {
            return out.push_str(self.raw());
        }
        for c in self.raw().chars() {
            match self.value(c) {
                Some(value) => out.push_str(&value.source),
                None => out.push(c),
            }
        }
    }

    /// Returns the literal parts percent-decoded (RFC 3986, section 2.1), and expansions not
    /// decoded.
    pub fn percent_decoded(&self) -> Result<String, String> {
        const WRONG: &str = "is not valid percent-encoding (a literal % is written %25)";
        if self.values.is_none() && !self.raw().contains('%') {
            return Ok(self.raw().to_owned());
        }
        let mut out = Vec::with_capacity(self.raw().len());
        let mut literal = String::new();
        for c in self.raw().chars() {
            match self.value(c) {
                Some(value) => {
                    out.extend(decoded(&std::mem::take(&mut literal)).ok_or(WRONG)?);
                    out.extend_from_slice(value.text.as_bytes());
                }
                None => literal.push(c),
            }
        }
        out.extend(decoded(&literal).ok_or(WRONG)?);
        String::from_utf8(out).map_err(|_| WRONG.to_owned())
    }

    /// Returns the expansions in this text.
    pub fn expansions(&self) -> impl Iterator<Item = &Expansion> {
        let raw = if self.values.is_none() { "" } else { self.raw() };
        raw.chars().filter_map(|c| self.value(c)).filter(|value| value.source.starts_with("${"))
    }

    /// Returns the empty expansion, if the text consists of expansions that are all empty.
    pub fn emptied_by(&self) -> Option<&Expansion> {
        self.expansions().next().filter(|_| self.expanded().is_empty())
    }

    fn value(&self, c: char) -> Option<&Expansion> {
        (FIRST..=LAST)
            .contains(&u32::from(c))
            .then(|| self.values.as_ref()?.get((u32::from(c) - FIRST) as usize))
            .flatten()
    }
}

/// Percent-decodes literal text. `None`: a `%` without two hex digits, which the library would
/// accept.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let is_hex = |c: Option<char>| c.is_some_and(|c| c.is_ascii_hexdigit());
    let mut escapes = text.split('%').skip(1).map(str::chars);
    let whole = escapes.all(|mut behind| is_hex(behind.next()) && is_hex(behind.next()));
    whole.then(|| percent_encoding::percent_decode_str(text).collect())
}

#[derive(Default)]
struct Builder {
    raw: String,
    values: Vec<Expansion>,
}

impl Builder {
    fn push_literal(mut self, text: &str) -> Self {
        if text.is_ascii() {
            self.raw.push_str(text);
            return self;
        }
        for c in text.chars() {
            if (FIRST..=LAST).contains(&u32::from(c)) {
                self.values.push(Expansion { source: c.to_string(), text: c.to_string() });
                // Only input with 64 Ki such characters wraps around, and such input is garbage
                // already.
                let index = (self.values.len() as u32 - 1) % (LAST - FIRST);
                self.raw.extend(char::from_u32(FIRST + index));
            } else {
                self.raw.push(c);
            }
        }
        self
    }

    fn value(mut self, source: String, text: String) -> Result<Self, String> {
        let index = self.values.len() as u32;
        let placeholder = char::from_u32(FIRST + index).filter(|c| u32::from(*c) <= LAST);
        self.raw.push(placeholder.ok_or("too many expansions")?);
        self.values.push(Expansion { source, text });
        Ok(self)
    }

    fn build(self) -> Text {
        let values = (!self.values.is_empty()).then(|| Rc::new(self.values));
        Text::new(&self.raw, values)
    }
}

fn value_of(inside: &str, env: &Env) -> Result<String, String> {
    if let Some(path) = inside.strip_prefix("file:") {
        return read_small(path).map_err(|e| format!("${{file:{path}}}: {e}"));
    }
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !is_name {
        return Err(
            "a ${...} must hold a variable's name or file:PATH (a literal ${ is written $${)"
                .to_owned(),
        );
    }
    if default.is_some_and(|default| default.contains("${")) {
        return Err(format!("the default of ${{{name}:-...}} cannot hold another ${{"));
    }
    match (env.var(name)?, default) {
        (Some(value), None) => Ok(value),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value),
        (_, Some(default)) => Ok(default.to_owned()),
        (None, None) => {
            Err(format!("the variable {name} is not set (a default is written ${{{name}:-...}})"))
        }
    }
}

/// The error for a text that holds `$VAR`, `$(VAR)` or `{VAR}`, which afterall does not expand.
pub fn unexpanded(text: &str) -> Option<String> {
    let is_one = text.bytes().any(|byte| b"${}()".contains(&byte));
    is_one
        .then(|| "only ${NAME} is expanded here, and env:NAME in place of the whole URL".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env() -> Env {
        Env::new(|name| match name {
            "PW" => Some("p#a/s%s@w:o,rd${X}".into()),
            "EMPTY" => Some("".into()),
            "URL" => Some("postgres://a".into()),
            _ => None,
        })
    }

    fn expand(text: &str) -> Result<Text, String> {
        Text::expand(text, &env())
    }

    #[test]
    fn an_expansion_is_opaque_to_splits_and_to_percent_decoding() {
        let text = expand("user%40:${PW}@host").unwrap();
        assert_eq!(text.raw().matches(['#', '/', '%', '@', ',']).count(), 2);
        let (info, host) = text.rsplit_once('@').unwrap();
        assert_eq!(info.percent_decoded().unwrap(), "user@:p#a/s%s@w:o,rd${X}");
        assert_eq!(host.expanded(), "host");
        assert_eq!(text.display_redacted(), "user%40:${PW}@host");
    }

    #[test]
    fn what_is_written_is_what_is_expanded() {
        for (text, want) in [
            ("plain", "plain"),
            ("pa$$word$", "pa$$word$"),
            ("$${PW}", "${PW}"),
            ("$$${URL}", "$${URL}"),
            ("${NONE:-fall back}", "fall back"),
            ("${EMPTY:-fall back}", "fall back"),
            ("${EMPTY}", ""),
            ("${URL}?x", "postgres://a?x"),
            ("\u{100000}a${URL}", "\u{100000}apostgres://a"),
        ] {
            assert_eq!(expand(text).map(|t| t.expanded()), Ok(want.to_owned()), "{text}");
        }
    }

    #[test]
    fn one_expansion_alone_is_told_from_one_among_others() {
        assert_eq!(expand("${URL}").unwrap().as_value(), Some("postgres://a"));
        assert_eq!(expand("${URL}x").unwrap().as_value(), None);
        assert_eq!(expand("x").unwrap().as_value(), None);
    }

    #[test]
    fn errors_name_the_variable_or_file_and_no_value() {
        for (text, want) in [
            ("${NONE}", "the variable NONE is not set (a default is written ${NONE:-...})"),
            ("${PW", "a ${ must be closed by } (a literal ${ is written $${)"),
            (
                "${a b}",
                "a ${...} must hold a variable's name or file:PATH (a literal ${ is written $${)",
            ),
            ("${file:/does/not/exist}", "${file:/does/not/exist}: no such file or directory"),
            ("${file:/dev/null}", "${file:/dev/null}: not a regular file"),
        ] {
            assert_eq!(expand(text).err().as_deref(), Some(want), "{text}");
        }
    }

    #[test]
    fn bad_percent_encoding_is_refused() {
        for text in ["%", "%2", "%zz", "%ff"] {
            assert!(Text::literal(text).percent_decoded().is_err(), "{text}");
        }
        assert_eq!(Text::literal("%C3%A9").percent_decoded().unwrap(), "é");
    }
}
