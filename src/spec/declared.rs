//! All declarations of the command line, the environment and a file.

use super::{ConfigError, Declaration, Mistakes};

/// Declarations, and what is known of those that cannot be read.
#[derive(Default)]
pub struct Declared {
    /// Those that could be read, in order.
    pub declarations: Vec<Declaration>,
    /// The names of those that could not be read: `after` may name one.
    pub broken: Vec<String>,
    /// Remarks for the operator.
    pub notes: Vec<String>,
}

impl Declared {
    /// Takes in a declaration, or why it cannot be read.
    pub fn add(
        &mut self,
        name: Option<&str>,
        read: Result<Declaration, ConfigError>,
        mistakes: &mut Mistakes,
    ) {
        match mistakes.keep(read) {
            Some(declaration) => self.declarations.push(declaration),
            None => self.broken.extend(name.map(str::to_owned)),
        }
    }

    /// Whether nothing was read.
    pub fn is_empty(&self) -> bool {
        self.declarations.is_empty()
    }
}
