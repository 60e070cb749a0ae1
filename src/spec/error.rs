//! Mistakes on the command line, in the environment or in a file.

use std::{error::Error, fmt};

use crate::{secret::Secrets, text::harmless};

/// One mistake on the command line, in the environment or in a file. Holds names, never a value.
///
/// It is one pointer, so that a `Result` stays small: see [`crate::verdict::Failure`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(Box<Mistake>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Mistake {
    message: String,
    /// The dependency that has the mistake, by its name or its place.
    dependency: Option<String>,
}

impl ConfigError {
    /// The message: the place, the mistake and a valid example.
    pub fn new(message: impl Into<String>) -> Self {
        Self(Box::new(Mistake { message: harmless(&message.into()), dependency: None }))
    }

    /// Makes a mistake whose message begins with `place`.
    pub fn at(place: impl fmt::Display, message: impl fmt::Display) -> Self {
        Self::new(format!("{place}: {message}"))
    }

    /// Returns the error without the secrets that it holds: a path or a name may come from a
    /// variable.
    pub fn without(mut self, secrets: &Secrets) -> Self {
        self.0.message = secrets.hide_in_own(&self.0.message);
        self
    }

    /// Returns the same mistake as one of a dependency, which has this name or place.
    pub fn with_dependency(mut self, name: impl Into<String>) -> Self {
        self.0.dependency = Some(name.into());
        self
    }

    /// Returns the dependency that has the mistake, by its name or its place.
    pub fn dependency(&self) -> Option<&str> {
        self.0.dependency.as_deref()
    }

    /// Returns the message without the dependency's name in front.
    pub fn without_name(&self) -> &str {
        let name = self.0.dependency.as_deref().unwrap_or_default();
        let message = self.0.message.strip_prefix(name).and_then(|rest| rest.strip_prefix(": "));
        message.unwrap_or(&self.0.message)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
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

    /// Returns true if a dependency with this name or place has a mistake.
    pub fn concern(&self, dependency: &str) -> bool {
        self.0.iter().any(|error| error.dependency() == Some(dependency))
    }

    /// Returns true if every mistake is one of a dependency.
    pub fn concern_dependencies_alone(&self) -> bool {
        self.0.iter().all(|error| error.dependency().is_some())
    }

    /// Takes all mistakes out.
    pub fn take(&mut self) -> Vec<ConfigError> {
        std::mem::take(&mut self.0)
    }

    /// Returns true if there is no mistake so far.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// # Errors
    /// All mistakes, if there is one.
    pub fn check(&mut self) -> Result<(), ConfigErrors> {
        if self.0.is_empty() { Ok(()) } else { Err(ConfigErrors(self.take())) }
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
