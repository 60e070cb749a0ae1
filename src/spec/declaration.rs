//! One declaration as the user wrote it: name, scheme, the rest after the scheme, keys.

use super::{
    ConfigError, Grammar, Kind, Spec,
    expand::{Env, Expansion, Text},
    hidden, keys, slips,
    url::{
        check_authority, check_pairs, is_bare_ipv6, is_host_port, is_scheme, needs_brackets,
        servers_of, split_authority, tidy_list,
    },
};
use crate::text::cut_to_one_line;

/// A key with its value, both as one text and as a list of parts joined by `+`.
pub struct KeyValue {
    /// The name as written. No kind has confirmed that the key exists.
    pub name: String,
    /// The whole value, decoded.
    pub value: String,
    /// The parts between literal `+`, each decoded.
    pub items: Vec<String>,
    /// File and line, for a key from a file.
    pub at: Option<String>,
}

impl KeyValue {
    /// Makes a key whose value holds no expansion.
    pub fn literal(name: &str, value: &str) -> Self {
        let items = value.split('+').map(str::to_owned).collect();
        Self { name: name.to_owned(), value: value.to_owned(), items, at: None }
    }
}

/// One declaration, split and expanded. Its kind is not known yet.
pub struct Declaration {
    /// The name, if the user declares one.
    pub name: Option<String>,
    /// The label in errors: the name, or the place on the command line or in a file.
    pub place: String,
    /// The scheme without its colon, in lower case.
    pub scheme: String,
    /// The text after the scheme's colon.
    pub rest: Text,
    /// The text after the first `#`. [`Declaration::read_as`] reads it.
    behind: Option<Text>,
    /// The keys.
    pub keys: Vec<KeyValue>,
    /// `${VAR}` if one variable holds the whole declaration. Messages then use it as the name.
    variable: Option<String>,
    /// The text of a bare `HOST:PORT`, if the user wrote one.
    pub bare_host: Option<String>,
    /// Every expansion in the declaration, keys included.
    expansions: Vec<Expansion>,
}

/// The scheme of a bare `HOST:PORT`.
const BARE: &str = "tcp";

impl Declaration {
    /// Reads `[NAME=]URL[#KEY[=VALUE][,KEY[=VALUE]]...]`. Errors name `place` if there is no name.
    ///
    /// # Errors
    /// A malformed declaration, or a variable that is not set. No error shows a value.
    pub fn parse(place: &str, text: &str, env: &Env) -> Result<Self, ConfigError> {
        let (name, text) = split_name(text);
        let place = name.unwrap_or(place);
        Self::read(place, name, text, env)
            .map_err(|message| ConfigError::at(place, message).with_dependency(place))
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

    /// Reads a URL whose expansions are still opaque. The caller reads the keys.
    ///
    /// # Errors
    /// A malformed URL. No error shows a value.
    pub fn from_url(
        place: &str,
        name: Option<String>,
        url: &Text,
        env: &Env,
    ) -> Result<Self, String> {
        let expansions = url.expansions().cloned().collect();
        // The application's own connection string is not expanded. Its variable names the
        // dependency.
        let (variable, url) = match whole_value(url) {
            Some(value) => (Some(url.clone()), Text::literal(tidy_value(&value))),
            None => (None, url.clone()),
        };
        // A connection string of key=value pairs may have several lines; a URL may not.
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
            _ if url.raw().strip_suffix(',').is_some_and(is_host_port) => {
                return Err("dependencies are separated by blanks, without a comma".to_owned());
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
        let shown = variable.as_ref().map(Text::display_redacted);
        let (shown, scheme, rest) = match rest.as_value() {
            Some(value) => {
                let (scheme, rest) = from_value(scheme, value);
                (shown.or_else(|| Some(url.display_redacted())), scheme, rest)
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

    /// Reads the rest and the keys by the grammar of the kind. Returns the default name.
    ///
    /// # Errors
    /// Malformed servers or keys. No error shows the text or a value.
    pub fn read_as(&mut self, kind: &Kind) -> Result<String, ConfigError> {
        self.join_words(kind.grammar);
        let mut shown = self.read_rest(kind).map_err(|message| self.error(message))?;
        if let Some(behind) = self.behind.take() {
            self.keys = keys::read(&behind, kind.grammar).map_err(|message| self.error(message))?;
        }
        shown.insert_str(0, &self.scheme);
        Ok(self.variable.clone().unwrap_or_else(|| cut_to_one_line(shown, 120)))
    }

    /// Splits the keys off a command. A `#` within quotes belongs to the command.
    fn join_words(&mut self, grammar: Grammar) {
        // If one variable holds the whole command, its value holds no keys.
        if self.variable.is_some() || !matches!(grammar, Grammar::Words) {
            return;
        }
        let Some(behind) = self.behind.take() else { return };
        let joined = format!("{}#{}", self.rest.raw(), behind.raw());
        let at = hash_outside_quotes(&joined);
        self.behind = at.map(|at| behind.part(&joined[at + 1..]));
        self.rest = behind.part(&joined[..at.unwrap_or(joined.len())]);
    }

    /// Checks the rest. Returns the form of it that messages show after the scheme.
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
        if let Some(variable) = self.variable.as_ref().filter(|_| self.rest.raw().trim().is_empty())
        {
            return Err(format!("{variable} is empty; it must hold a connection string"));
        }
        check_pairs(&self.rest)?;
        match self.rest.strip_prefix("//") {
            Some(rest) => {
                check_authority(grammar, &rest)?;
                Ok(shown_servers(grammar, &rest))
            }
            // Only the kind can find the password in a connection string of key=value pairs.
            None => Ok(String::new()),
        }
    }

    /// Returns remarks for the operator about values that are probably mistakes.
    pub fn notes(&self, grammar: Grammar) -> Vec<String> {
        // Blanks around the servers of a list are no part of them.
        let is_list = self.variable.is_some() && matches!(grammar, Grammar::ServersWithLogins);
        let note = |expansion: &Expansion| {
            let end = match expansion.value().chars().next_back()? {
                '\n' | '\r' => "a newline (a Secret that was made with echo, not printf?)",
                ' ' | '\t' if !is_list => "a blank, which is part of the value",
                _ => return None,
            };
            Some(format!("{} ends in {end}", expansion.origin()))
        };
        let mut notes: Vec<String> = self.expansions.iter().filter_map(note).collect();
        let is_quoted = |expansion: &&Expansion| {
            let inner = |quote| expansion.value().strip_prefix(quote)?.strip_suffix(quote);
            inner('"').or_else(|| inner('\'')).is_some()
        };
        notes.extend(self.expansions.iter().filter(is_quoted).map(|expansion| {
            format!("{} holds a value in quotes, which are part of it", expansion.origin())
        }));
        let unexpanded = |expansion: &&Expansion| slips::is_variable(expansion.value());
        notes.extend(self.expansions.iter().filter(unexpanded).map(|expansion| {
            format!(
                "{} holds the name of a variable, which nothing has expanded",
                expansion.origin()
            )
        }));
        if slips::has_variable_as_password(self.rest.raw()) {
            let place = self.name.as_ref().unwrap_or(&self.place);
            notes.push(format!(
                "{place}: the password is a variable that nothing has expanded; only ${{NAME}} is"
            ));
        }
        notes
    }

    /// Adds the expansions of a key that the caller read.
    pub fn add_expansions(&mut self, text: &Text) {
        self.expansions.extend(text.expansions().cloned());
    }

    /// Returns the spec from which the kind builds. `keys` are the kind's own.
    pub fn into_spec(self, name: String, kind: &Kind, keys: Vec<KeyValue>, env: &Env) -> Spec {
        let spec = Spec::new(name, self.scheme, self.rest, keys, env.clone());
        hidden::take(spec.secrets(), kind.grammar, &spec.rest, &self.expansions);
        spec.keys.iter().for_each(|key| hidden::take_pairs(spec.secrets(), &key.value));
        spec
    }

    /// Makes an error about this declaration.
    pub fn error(&self, message: impl std::fmt::Display) -> ConfigError {
        let name = self.name.as_ref().unwrap_or(&self.place);
        ConfigError::at(&self.place, message).with_dependency(name)
    }
}

/// Returns the command without its arguments.
fn first_word(rest: &Text) -> String {
    let word = rest.split(' ').find(|word| !word.is_empty());
    // The kind reports `PGPASSWORD=x psql` as a mistake.
    let name = word.as_ref().and_then(|word| word.split('=').next());
    name.map(|name| name.display_redacted()).unwrap_or_default()
}

/// Returns the byte offset of the first `#` outside of a shell's quotes.
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

/// Expands a URL. `env:NAME` means `${NAME}`, also after `PREFIX+`.
///
/// The check for `env:` precedes the expansion, because a value may begin with `env:` by chance.
///
/// # Errors
/// Names the variable that is not set, or the file that cannot be read.
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

/// Splits `PREFIX+` off, if a scheme's name and a `+` precede `${` or `env:`.
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

/// Returns a variable's value without the newline at its end.
///
/// Clients of NATS drop blanks and empty entries of a list, also at its start.
fn tidy_value(value: &str) -> &str {
    let list = value.trim_matches(|c: char| c == ',' || c.is_whitespace());
    let is_nats = ["nats://", "tls://"].iter().any(|scheme| {
        list.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    });
    if is_nats { list } else { value.trim_end_matches(['\r', '\n']) }
}

/// Returns the value of `${URL}`, or of `PREFIX+${URL}` with the prefix in front.
fn whole_value(url: &Text) -> Option<String> {
    let (prefix, rest) = split_prefix(url.raw());
    let is_prefix = prefix.is_empty() || is_scheme(prefix);
    let value = url.part(rest).as_value().map(|value| format!("{prefix}{value}"));
    value.filter(|_| is_prefix)
}

/// Reads the value of `postgres:${DSN}`: a URL of the same scheme, or a connection string of
/// key=value pairs. Returns the scheme and the rest.
fn from_value(scheme: String, value: &str) -> (String, Text) {
    let value = value.trim_end_matches(['\r', '\n']);
    match value.split_once("://").filter(|(inner, _)| is_scheme(inner)) {
        Some((inner, _)) => (with_inner(&scheme, inner), Text::literal(&value[inner.len() + 1..])),
        None => (scheme, Text::literal(value)),
    }
}

/// Returns the scheme `inner` of a variable's URL. A `PREFIX+` of `scheme` stays in front of it.
fn with_inner(scheme: &str, inner: &str) -> String {
    let inner = inner.to_ascii_lowercase();
    match scheme.split_once('+') {
        Some((prefix, _)) if inner != scheme && !inner.starts_with(&format!("{prefix}+")) => {
            format!("{prefix}+{inner}")
        }
        _ => inner,
    }
}

/// Splits `NAME=` off, if `SCHEME:`, `HOST:PORT`, `${` or `env:` follows.
fn split_name(text: &str) -> (Option<&str>, &str) {
    let Some((name, rest)) = text.split_once('=') else { return (None, text) };
    let before_keys = rest.split('#').next().unwrap_or_default();
    let follows = split_prefix(before_keys).1.starts_with("${")
        || is_host_port(before_keys)
        || is_bare_ipv6(before_keys)
        || before_keys.split_once(':').is_some_and(|(scheme, _)| is_scheme(scheme));
    if is_name(name) && follows { (Some(name), rest) } else { (None, text) }
}

/// Returns the name before the `=`, if the declaration has one.
pub fn given_name(text: &str) -> Option<&str> {
    split_name(text).0
}

/// `[A-Za-z0-9][A-Za-z0-9_.-]*`.
pub fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}

/// Checks `//SERVERS...` for a kind with its own grammar. Returns the form that messages show.
///
/// # Errors
/// Malformed servers. The error does not show the text.
pub fn read_servers(rest: &Text) -> Result<String, String> {
    let Some(servers) = rest.strip_prefix("//") else { return Ok(String::new()) };
    check_authority(Grammar::Servers, &servers)?;
    Ok(shown_servers(Grammar::Servers, &servers).trim_start_matches(':').to_owned())
}

/// Returns host, port and path for messages: no userinfo, no query, and expansions as written.
fn shown_servers(grammar: Grammar, rest: &Text) -> String {
    let (authority, path) = split_authority(rest);
    // Room for the scheme, too, which the caller puts in front.
    let mut shown = String::with_capacity(rest.raw().len() + 24);
    shown.push_str(":/");
    for (place, server) in servers_of(grammar, &authority).enumerate() {
        shown.push(if place == 0 { '/' } else { ',' });
        server.push_redacted(&mut shown);
    }
    let before_query = path.raw().split('?').next().unwrap_or_default();
    if !matches!(before_query, "" | "/") {
        path.part(before_query).push_redacted(&mut shown);
    }
    shown
}
