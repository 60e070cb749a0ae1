//! What is wrong on the command line, in the environment or in a file.

use std::fmt;

/// Something that the command line, the environment or a file says wrongly. Never holds a value, only names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(String);

impl ConfigError {
    /// What is wrong, where, and what would be right.
    pub fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }

    /// The same, said of `place`.
    pub fn at(place: impl fmt::Display, what: impl fmt::Display) -> Self {
        Self(format!("{place}: {what}"))
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
