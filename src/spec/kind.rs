//! What a kind of dependency states about itself.

use super::{ConfigError, Spec};
use crate::probe::Probe;

/// A kind of dependency: what help, man page, completions and the check of keys walk.
pub struct Kind {
    /// The name that messages use.
    pub name: &'static str,
    /// The schemes that it answers to, without the colon; the first is the usual one.
    pub schemes: &'static [&'static str],
    /// How its URL is written, for help.
    pub usage: &'static str,
    /// When it is ready, for help.
    pub summary: &'static str,
    /// The keys of its own, beside the common ones.
    pub keys: &'static [&'static [Key]],
    /// Proves the declaration right and makes the probe. Reads files that the declaration names, opens no connection.
    pub build: fn(&Spec) -> Result<Box<dyn Probe>, ConfigError>,
}

impl Kind {
    /// The kind's own keys.
    pub fn own_keys(&self) -> impl Iterator<Item = &'static Key> {
        self.keys.iter().copied().flatten()
    }
}

/// A key behind the `#`.
pub struct Key {
    /// As it is written.
    pub name: &'static str,
    /// What stands for its value in help, e.g. `PATH`.
    pub value: &'static str,
    /// What it does, for help.
    pub help: &'static str,
}
