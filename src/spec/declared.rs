//! All declarations of the command line, the environment and a file.

use super::{ConfigError, Declaration, Mistakes};

/// Declarations, and the names of unreadable ones.
#[derive(Default)]
pub struct Declared {
    /// The valid declarations, in order.
    pub declarations: Vec<Declaration>,
    /// The names of those that could not be read: `after` may name one.
    pub broken: Vec<String>,
    /// Remarks for the operator.
    pub notes: Vec<String>,
}

impl Declared {
    /// Adds a declaration, or the reason why it cannot be read.
    pub fn add(
        &mut self,
        name: Option<&str>,
        read: Result<Declaration, ConfigError>,
        mistakes: &mut Mistakes,
    ) {
        let read = match name {
            Some(name) => read.map_err(|error| error.with_dependency(name)),
            None => read,
        };
        match mistakes.keep(read) {
            Some(declaration) => self.declarations.push(declaration),
            None => self.broken.extend(name.map(str::to_owned)),
        }
    }

    /// Returns true if nothing was read.
    pub fn is_empty(&self) -> bool {
        self.declarations.is_empty()
    }
}
