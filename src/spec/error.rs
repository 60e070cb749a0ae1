//! Mistakes on the command line, in the environment or in a file.

use std::{error::Error, fmt};

use crate::{secret::Secrets, text::harmless};

/// One mistake on the command line, in the environment or in a file. Holds names, never a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(String);

impl ConfigError {
    /// The message: the place, the mistake and a valid example.
    pub fn new(message: impl Into<String>) -> Self {
        Self(harmless(&message.into()))
    }

    /// Makes a mistake whose message begins with `place`.
    pub fn at(place: impl fmt::Display, message: impl fmt::Display) -> Self {
        Self::new(format!("{place}: {message}"))
    }

    /// Returns the error without the secrets that it holds: a path or a name may come from a
    /// variable.
    pub fn without(self, secrets: &Secrets) -> Self {
        Self(secrets.hide_in_own(&self.0))
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for ConfigError {}

/// All mistakes so far, in the order of the declarations.
#[derive(Debug, Default)]
pub struct Mistakes(Vec<ConfigError>);

impl Mistakes {
    /// Records a mistake.
    pub fn push(&mut self, error: ConfigError) {
        // A mistake in a default would be reported for each use of the default.
        if !self.0.contains(&error) {
            self.0.push(error);
        }
    }

    /// Returns the value of a success. Records a mistake, so that the caller can find more of them.
    pub fn keep<T>(&mut self, result: Result<T, ConfigError>) -> Option<T> {
        result.map_err(|error| self.push(error)).ok()
    }

    /// Returns true if there is no mistake so far.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// # Errors
    /// All mistakes, if there is one.
    pub fn check(&mut self) -> Result<(), ConfigErrors> {
        if self.0.is_empty() { Ok(()) } else { Err(ConfigErrors(std::mem::take(&mut self.0))) }
    }
}

/// At least one mistake.
#[derive(Debug)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    /// Each mistake, for a line of its own.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        self.0.iter()
    }
}

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> Self {
        Self(vec![error])
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl Error for ConfigErrors {}
