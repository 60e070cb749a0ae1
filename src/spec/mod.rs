//! One parsed declaration: name, scheme, target, keys. Its output never holds a secret.

pub mod declaration;
mod declared;
pub mod error;
pub mod expand;
mod hidden;
mod keys;
pub mod kind;
mod slips;
pub mod url;

use std::{cell::RefCell, fmt};

pub use declaration::{Declaration, KeyValue, read_servers};
pub use declared::Declared;
pub use error::{ConfigError, ConfigErrors, Mistakes};
pub use kind::{Grammar, Key, Kind};
pub use slips::behind_scheme as slip_behind_scheme;
pub use url::{Parts, Server};

use self::{
    expand::{Env, Text},
    url::{read_server, split_authority},
};
use crate::{
    secret::{Secret, Secrets},
    text::{MAX_FOREIGN, one_line},
};

/// A declaration with its name and kind, from which the kind builds the probe.
pub struct Spec {
    /// The name in messages.
    pub name: String,
    /// The scheme without its colon, in lower case.
    pub scheme: String,
    /// The text after the scheme's colon.
    pub rest: Text,
    /// The process's variables, for kinds that read some.
    pub env: Env,
    keys: Vec<KeyValue>,
    secrets: Secrets,
    notes: RefCell<Vec<String>>,
}

impl Spec {
    /// Makes a spec from a declaration and those of its keys that are the kind's own.
    pub fn new(name: String, scheme: String, rest: Text, keys: Vec<KeyValue>, env: Env) -> Self {
        let secrets = env.secrets().for_another();
        Self { name, scheme, rest, env, keys, secrets, notes: RefCell::default() }
    }

    /// Returns the spec of a whole declaration, for the tests of a kind.
    #[cfg(test)]
    pub fn parse(name: &str, kind: &Kind, text: &str, env: &Env) -> Result<Self, ConfigError> {
        let mut declaration = Declaration::parse("argument 1", text, env)?;
        declaration.read_as(kind)?;
        let keys = std::mem::take(&mut declaration.keys);
        Ok(declaration.into_spec(name.to_owned(), kind, keys, env))
    }

    /// Makes an error about this dependency.
    pub fn error(&self, message: impl fmt::Display) -> ConfigError {
        self.mistake(&message)
    }

    /// Makes an error about one of its keys.
    pub fn key_error(&self, key: &str, message: impl fmt::Display) -> ConfigError {
        self.mistake_in(key, &message)
    }

    // Compiled once for all types of messages, and called in hundreds of places.
    #[cold]
    #[inline(never)]
    fn mistake(&self, message: &dyn fmt::Display) -> ConfigError {
        ConfigError::at(&self.name, message).with_dependency(&self.name)
    }

    #[cold]
    #[inline(never)]
    fn mistake_in(&self, key: &str, message: &dyn fmt::Display) -> ConfigError {
        self.mistake(&format_args!("{key}: {message}"))
    }

    /// Returns a key's value.
    pub fn key(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Returns a key's value as a text of its own, to stand beside the options of a URL.
    pub fn owned(&self, name: &str) -> Option<String> {
        self.key(name).map(str::to_owned)
    }

    /// Returns the names of the kind's own keys.
    pub fn key_names(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|key| key.name.as_str())
    }

    /// Returns every value of a key that may repeat.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.keys.iter().filter(move |key| key.name == name).map(|key| key.value.as_str())
    }

    /// Returns the parts of a key whose value is a list.
    pub fn list(&self, name: &str) -> Option<&[String]> {
        self.keys.iter().find(|key| key.name == name).map(|key| key.items.as_slice())
    }

    /// Returns a key's `true` or `false`. A key without a value means true.
    pub fn flag(&self, name: &str) -> Result<bool, ConfigError> {
        match self.key(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(self.key_error(name, "must be true or false")),
        }
    }

    /// Registers a value that no output may show, not even in a server's echo.
    pub fn secret(&self, value: impl Into<String>) -> Secret {
        self.secrets.take(value)
    }

    /// Returns a key's value as a secret.
    pub fn secret_key(&self, name: &str) -> Option<Secret> {
        self.key(name).map(|value| self.secret(value))
    }

    /// Returns every secret of the declaration.
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// Adds a remark that `-v` prints. It holds names, never a value.
    pub fn note(&self, note: impl fmt::Display) {
        self.notes.borrow_mut().push(format!("{}: {note}", self.name));
    }

    /// Adds a remark if a path contains `$NAME`, which is not expanded.
    ///
    /// # Errors
    /// The path begins with `~/`, which only a shell expands, and only at the start of a word.
    pub fn check_unexpanded(&self) -> Result<(), ConfigError> {
        let mut behind = self.rest.raw().split('$').skip(1);
        let is_name_start = |c: char| c.is_ascii_alphabetic() || c == '_';
        if behind.any(|text| text.starts_with(is_name_start)) {
            self.note("$NAME stays as it is in a path; only ${NAME} is expanded");
        }
        match self.rest.raw().strip_prefix("~/") {
            Some(_) => Err(self.error("~ is not expanded in a path, only ${HOME} is")),
            None => Ok(()),
        }
    }

    /// Returns every remark so far, redacted for messages.
    pub fn notes(&self) -> Vec<String> {
        self.notes
            .borrow()
            .iter()
            .map(|note| self.secrets.hide(one_line(note, MAX_FOREIGN)))
            .collect()
    }

    /// Splits `//[USERINFO@]SERVERS[/PATH][?QUERY]`.
    pub fn parts(&self) -> Result<Parts, ConfigError> {
        self.parts_of(&self.rest)
    }

    /// Splits a part of the rest that has the same form.
    pub fn parts_of(&self, rest: &Text) -> Result<Parts, ConfigError> {
        let Some(rest) = rest.strip_prefix("//") else {
            return Err(self
                .error(format_args!("{0}: must be followed by //, e.g. {0}://host", self.scheme)));
        };
        let (authority, rest) = split_authority(&rest);
        let (userinfo, servers) = match authority.rsplit_once('@') {
            Some((userinfo, servers)) => (Some(userinfo), servers),
            None => (None, authority.clone()),
        };
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (rest, None),
        };
        Ok(Parts { authority, userinfo, servers, path, query })
    }

    /// Returns a part of the URL, percent-decoded. The error names `part` and shows no text.
    pub fn decoded(&self, part: &str, text: &Text) -> Result<String, ConfigError> {
        text.percent_decoded().map_err(|message| self.error(format_args!("the {part} {message}")))
    }

    /// Returns user and password, each decoded.
    pub fn userinfo(&self, userinfo: &Text) -> Result<(String, Option<Secret>), ConfigError> {
        let (user, password) = match userinfo.split_once(':') {
            Some((user, password)) => (user, Some(password)),
            None => (userinfo.clone(), None),
        };
        let password = password.map(|text| self.decoded("password", &text)).transpose()?;
        Ok((self.decoded("user", &user)?, password.map(|password| self.secret(password))))
    }

    /// Returns user and password of the keys `user` and `password`, else those of the URL.
    pub fn login(
        &self,
        userinfo: Option<&Text>,
    ) -> Result<(Option<String>, Option<Secret>), ConfigError> {
        let (user, password) = match userinfo.map(|userinfo| self.userinfo(userinfo)).transpose()? {
            Some((user, password)) => (Some(user), password),
            None => (None, None),
        };
        let user = self.owned("user").or(user).filter(|user| !user.is_empty());
        Ok((user, self.secret_key("password").or(password)))
    }

    /// Reads a list of `HOST[:PORT]`, joined by commas.
    pub fn servers(&self, servers: &Text) -> Result<Vec<Server>, ConfigError> {
        servers.split(',').map(|server| self.server(&server)).collect()
    }

    /// Reads one `HOST[:PORT]`.
    pub fn server(&self, text: &Text) -> Result<Server, ConfigError> {
        read_server(text).map_err(|message| self.error(message))
    }
}

impl fmt::Debug for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spec")
            .field("name", &self.name)
            .field("scheme", &self.scheme)
            .finish_non_exhaustive()
    }
}

// The tests declare dependencies of these kinds.
#[cfg(test)]
#[cfg(all(feature = "postgres", feature = "nats", feature = "http"))]
mod tests;
