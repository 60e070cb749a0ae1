//! An option that was given, and where.

use crate::spec::ConfigError;

/// Who says it: a later one beats an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The config file.
    File,
    /// The option's variable.
    Variable,
    /// The command line.
    Flag,
}

/// An option that was given, wherever that was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// Who says it.
    pub source: Source,
    /// The option, without its dashes.
    pub name: String,
    /// As it was written; of a flag, `true` or `false`.
    pub value: String,
    /// What errors call it: `--deadline`, `AFTERALL_DEADLINE` or `FILE:LINE: deadline`.
    pub place: String,
}

impl Given {
    pub(super) fn flag(&self) -> Result<bool, ConfigError> {
        self.value.parse().map_err(|_| ConfigError::at(&self.place, "is true or false"))
    }
}
