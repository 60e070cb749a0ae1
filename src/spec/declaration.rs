//! One declaration as it was written: name, scheme, what follows it, keys.

use super::{
    ConfigError, Grammar, Kind, Spec,
    expand::{Env, Expansion, Text},
    hidden, keys, slips,
    url::{
        check_authority, check_pairs, is_bare_ipv6, is_host_port, is_scheme, needs_brackets,
        servers_of, split_authority, tidy_list, without_userinfo,
    },
};
use crate::text::one_line;

/// A key with its value, read both ways: as one, and as a list of parts joined by `+`.
pub struct KeyValue {
    /// As it was written; not yet known to exist.
    pub name: String,
    /// The whole value, decoded.
    pub value: String,
    /// The parts between literal `+`, each decoded.
    pub items: Vec<String>,
    /// File and line, where it stands in a file.
    pub at: Option<String>,
}

impl KeyValue {
    /// A key with a value that holds no expansion.
    pub fn literal(name: &str, value: &str) -> Self {
        let items = value.split('+').map(str::to_owned).collect();
        Self { name: name.to_owned(), value: value.to_owned(), items, at: None }
    }
}

/// One declaration as it was written: split and expanded. Its kind is not known yet.
pub struct Declaration {
    /// The name that was given, if one was.
    pub name: Option<String>,
    /// What errors call it: its name, or its place on the command line or in a file.
    pub place: String,
    /// Before the colon, in lower case.
    pub scheme: String,
    /// What follows the scheme's colon.
    pub rest: Text,
    /// What stands behind the first `#`. Read by [`Declaration::read_as`].
    behind: Option<Text>,
    /// The keys.
    pub keys: Vec<KeyValue>,
    /// Where a variable holds all of it: `${VAR}`, as messages call the dependency then.
    variable: Option<String>,
    /// Set where `HOST:PORT` was written.
    pub bare_host: Option<String>,
    /// Every expansion in it, keys included.
    expansions: Vec<Expansion>,
}

/// The scheme of a bare `HOST:PORT`.
const BARE: &str = "tcp";

impl Declaration {
    /// Reads `[NAME=]URL[#KEY[=VALUE][,KEY[=VALUE]]...]`. `place` is where it stands, for errors where it has no name.
    ///
    /// # Errors
    /// What is wrong with its shape, or a variable that is not set. A value is not shown.
    pub fn parse(place: &str, text: &str, env: &Env) -> Result<Self, ConfigError> {
        let (name, text) = split_name(text);
        let place = name.unwrap_or(place);
        Self::read(place, name, text, env).map_err(|message| ConfigError::at(place, message))
    }

    fn read(place: &str, name: Option<&str>, text: &str, env: &Env) -> Result<Self, String> {
        let text = expand_url(text, env)?;
        let (url, behind) = match text.split_once('#') {
            Some((url, behind)) => (url, Some(behind)),
            None => (text.clone(), None),
        };
        let read = Self::from_url(place, name.map(str::to_owned), &url, env)?;
        let expansions = text.expansions().cloned().collect();
        Ok(Self { behind, expansions, ..read })
    }

    /// Reads a URL whose expansions are still opaque. Its keys are read elsewhere.
    ///
    /// # Errors
    /// What is wrong with its shape. A value is not shown.
    pub fn from_url(
        place: &str,
        name: Option<String>,
        url: &Text,
        env: &Env,
    ) -> Result<Self, String> {
        let expansions = url.expansions().cloned().collect();
        // The application's own connection string is read as it stands, and is called by its variable.
        let (variable, url) = match whole_value(url) {
            Some(value) => (Some(url.clone()), Text::literal(value.trim_end_matches(['\r', '\n']))),
            None => (None, url.clone()),
        };
        let shown = variable.as_ref().map(Text::display_redacted);
        // A connection string of key=value pairs may stand on several lines; a URL may not.
        let is_odd =
            |c: char| c.is_control() && (url.raw().contains("//") || !c.is_ascii_whitespace());
        if url.raw().contains(is_odd) {
            return Err("the URL must not hold a control character".to_owned());
        }
        let mut bare_host = None;
        let (scheme, rest) = match url.split_once(':') {
            _ if is_host_port(url.raw()) => {
                bare_host = url.split_once(':').map(|(host, _)| host.display_redacted());
                (BARE.to_owned(), url.part(&format!("//{}", url.raw())))
            }
            _ if is_bare_ipv6(url.raw()) => {
                return Err(needs_brackets(url.raw()));
            }
            Some((scheme, rest)) if is_scheme(scheme.raw()) => {
                (scheme.raw().to_ascii_lowercase(), rest)
            }
            _ => {
                let origin = variable.as_ref().and_then(|variable| variable.expansions().next());
                return Err(slips::describe(&url, origin, env));
            }
        };
        // `postgres:${DSN}`: a connection string that is no URL, or a URL of the same scheme, whole in a variable.
        let (shown, scheme, rest) = match rest.as_value() {
            Some(value) => {
                let shown = shown.or_else(|| Some(url.display_redacted()));
                let value = value.trim_end_matches(['\r', '\n']);
                let inner = value.split_once("://").filter(|(inner, _)| is_scheme(inner));
                match inner {
                    Some((inner, _)) => {
                        let rest = Text::literal(&value[inner.len() + 1..]);
                        (shown, with_inner(&scheme, inner), rest)
                    }
                    None => (shown, scheme, Text::literal(value)),
                }
            }
            None => (shown, scheme, rest),
        };
        Ok(Self {
            name,
            place: place.to_owned(),
            scheme,
            rest,
            behind: None,
            keys: Vec::new(),
            variable: shown,
            bare_host,
            expansions,
        })
    }

    /// Reads the rest and the keys by the grammar of its kind, and returns what the dependency is called unless it has a name.
    ///
    /// # Errors
    /// What is wrong with the servers or the keys. Neither the text nor a value is shown.
    pub fn read_as(&mut self, kind: &Kind) -> Result<String, ConfigError> {
        self.join_words(kind.grammar);
        let shown = self.read_rest(kind).map_err(|message| self.error(message))?;
        if let Some(behind) = self.behind.take() {
            self.keys = keys::read(&behind, kind.grammar).map_err(|message| self.error(message))?;
        }
        let named = one_line(&format!("{}{shown}", self.scheme), 120);
        Ok(self.variable.clone().unwrap_or(named))
    }

    /// A `#` within quotes belongs to the words of a command.
    fn join_words(&mut self, grammar: Grammar) {
        // A variable that holds all of it ends where it ends.
        if self.variable.is_some() || !matches!(grammar, Grammar::Words) {
            return;
        }
        let Some(behind) = self.behind.take() else { return };
        let joined = format!("{}#{}", self.rest.raw(), behind.raw());
        let at = hash_outside_quotes(&joined);
        self.behind = at.map(|at| behind.part(&joined[at + 1..]));
        self.rest = behind.part(&joined[..at.unwrap_or(joined.len())]);
    }

    /// Proves the rest well formed, and returns how it is shown behind the scheme.
    fn read_rest(&mut self, kind: &Kind) -> Result<String, String> {
        let grammar = kind.grammar;
        match grammar {
            Grammar::AsWritten => return Ok(format!(":{}", self.rest.display_redacted())),
            Grammar::Words => return Ok(format!(":{}", first_word(&self.rest))),
            Grammar::Own(read) => return read(&self.rest).map(|shown| format!(":{shown}")),
            Grammar::Servers | Grammar::ServersWithLogins | Grammar::Url => {}
        }
        if matches!(grammar, Grammar::ServersWithLogins) && self.rest.raw().starts_with("//") {
            (self.scheme, self.rest) = tidy_list(kind.schemes, &self.scheme, &self.rest);
        }
        check_pairs(&self.rest)?;
        match self.rest.strip_prefix("//") {
            Some(rest) => {
                check_authority(grammar, &rest)?;
                Ok(shown_servers(grammar, &rest))
            }
            // A connection string of key=value pairs: where its password stands is known to its kind alone.
            None => Ok(String::new()),
        }
    }

    /// Remarks for the operator: values that are hardly meant as they are.
    pub fn notes(&self) -> Vec<String> {
        let ends = |expansion: &&Expansion| expansion.value().ends_with(['\n', '\r']);
        let note = |expansion: &Expansion| {
            format!(
                "{} ends in a newline (a Secret that was made with echo, not printf?)",
                expansion.origin()
            )
        };
        self.expansions.iter().filter(ends).map(note).collect()
    }

    /// Takes in the expansions of a key that was read elsewhere.
    pub fn add_expansions(&mut self, text: &Text) {
        self.expansions.extend(text.expansions().cloned());
    }

    /// The spec that its kind builds from. `keys` are the kind's own.
    pub fn into_spec(self, name: String, kind: &Kind, keys: Vec<KeyValue>, env: &Env) -> Spec {
        let spec = Spec::new(name, self.scheme, self.rest, keys, env.clone());
        hidden::take(spec.secrets(), kind.grammar, &spec.rest, &self.expansions);
        spec.keys.iter().for_each(|key| hidden::take_pairs(spec.secrets(), &key.value));
        spec
    }

    /// An error about this declaration.
    pub fn error(&self, message: impl std::fmt::Display) -> ConfigError {
        ConfigError::at(&self.place, message)
    }
}

/// The command without its arguments.
fn first_word(rest: &Text) -> String {
    let word = rest.split(' ').find(|word| !word.is_empty());
    // `PGPASSWORD=x psql` is a mistake, which the kind reports.
    let name = word.as_ref().and_then(|word| word.split('=').next());
    name.map(|name| name.display_redacted()).unwrap_or_default()
}

/// The first `#` outside of a shell's quotes, in bytes.
fn hash_outside_quotes(text: &str) -> Option<usize> {
    let (mut quote, mut chars) = (None, text.char_indices());
    while let Some((at, c)) = chars.next() {
        match (c, quote) {
            ('#', None) => return Some(at),
            ('\\', None | Some('"')) => drop(chars.next()),
            ('\'' | '"', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            _ => {}
        }
    }
    None
}

/// Expands a URL, in which `env:NAME` stands for `${NAME}`, also behind `PREFIX+`.
///
/// `env:` is looked for before anything is expanded: a value may begin with it by chance.
///
/// # Errors
/// A variable that is not set, or a file that cannot be read, by name.
pub fn expand_url(text: &str, env: &Env) -> Result<Text, String> {
    let (prefix, url) = split_prefix(text);
    match url.strip_prefix("env:") {
        Some(rest) => match rest.split_once('#') {
            Some((variable, keys)) => Text::expand(&format!("{prefix}${{{variable}}}#{keys}"), env),
            None => Text::expand(&format!("{prefix}${{{rest}}}"), env),
        },
        None => Text::expand(text, env),
    }
}

/// Splits `PREFIX+` off, where a scheme's name and a `+` stand before `${` or `env:`.
fn split_prefix(text: &str) -> (&str, &str) {
    let at = text.find(|c: char| !c.is_ascii_alphanumeric() && !"+-.".contains(c));
    let end = at.unwrap_or(text.len());
    match text[..end].rfind('+') {
        Some(plus) if text[plus + 1..].starts_with("env:") || plus + 1 == end => {
            text.split_at(plus + 1)
        }
        _ => ("", text),
    }
}

/// The value of `${URL}` or of `PREFIX+${URL}`, the prefix before it.
fn whole_value(url: &Text) -> Option<String> {
    let (prefix, rest) = split_prefix(url.raw());
    let is_prefix = prefix.is_empty() || is_scheme(prefix);
    let value = url.part(rest).as_value().map(|value| format!("{prefix}{value}"));
    value.filter(|_| is_prefix)
}

/// `postgres:${DSN}` where DSN is `postgresql://...` is that URL. `PREFIX+` stays in front.
fn with_inner(scheme: &str, inner: &str) -> String {
    let inner = inner.to_ascii_lowercase();
    match scheme.split_once('+') {
        Some((prefix, _)) if inner != scheme && !inner.starts_with(&format!("{prefix}+")) => {
            format!("{prefix}+{inner}")
        }
        _ => inner,
    }
}

/// Splits `NAME=` off, where `SCHEME:`, `HOST:PORT`, `${` or `env:` follows it.
fn split_name(text: &str) -> (Option<&str>, &str) {
    let Some((name, rest)) = text.split_once('=') else { return (None, text) };
    let before_keys = rest.split('#').next().unwrap_or_default();
    let follows = split_prefix(before_keys).1.starts_with("${")
        || is_host_port(before_keys)
        || is_bare_ipv6(before_keys)
        || before_keys.split_once(':').is_some_and(|(scheme, _)| is_scheme(scheme));
    if is_name(name) && follows { (Some(name), rest) } else { (None, text) }
}

/// The name that a declaration gives itself, if it gives one.
pub fn given_name(text: &str) -> Option<&str> {
    split_name(text).0
}

/// `[A-Za-z0-9][A-Za-z0-9_.-]*`.
pub fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}

/// Proves `//SERVERS...` well formed for a kind with a grammar of its own, and returns how it is shown.
///
/// # Errors
/// What is wrong with the servers, without the text.
pub fn read_servers(rest: &Text) -> Result<String, String> {
    let Some(servers) = rest.strip_prefix("//") else { return Ok(String::new()) };
    check_authority(Grammar::Servers, &servers)?;
    Ok(shown_servers(Grammar::Servers, &servers).trim_start_matches(':').to_owned())
}

/// Host, port and path as they are shown: no userinfo, no query, and expansions as they were written.
fn shown_servers(grammar: Grammar, rest: &Text) -> String {
    let (authority, path) = split_authority(rest);
    let path = path.raw().split('?').next().map(|raw| path.part(raw).display_redacted());
    let path = path.filter(|path| path != "/").unwrap_or_default();
    let servers = servers_of(grammar, &authority);
    let servers: Vec<_> =
        servers.split(',').map(|server| without_userinfo(&server).display_redacted()).collect();
    format!("://{}{path}", servers.join(","))
}
