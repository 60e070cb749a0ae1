//! The description of a kind of dependency.

use std::path::PathBuf;

use super::{ConfigError, Spec, expand::Text};
use crate::probe::Probe;

/// Names of dependencies, or what is wrong with the list of them.
pub type Names = Result<Vec<String>, String>;

/// A kind of dependency. Help, man page, completions and the check of keys read it.
///
/// Most kinds set the fields that they need and take the others from [`Kind::DEFAULT`].
pub struct Kind {
    /// The name in messages.
    pub name: &'static str,
    /// The schemes of this kind, without the colon; the first is the usual one.
    pub schemes: &'static [&'static str],
    /// Other drivers' schemes for the same server, e.g. `pgsql`, without [`Kind::prefix`].
    ///
    /// `jdbc:mysql` means the scheme `jdbc:` followed by `mysql:`. Help does not list dialects.
    pub dialects: &'static [&'static [&'static str]],
    /// True if `SCHEME+DRIVER` means SCHEME, as in SQLAlchemy.
    pub has_drivers: bool,
    /// The prefix of another kind's scheme that selects this kind, e.g. `migrations+`.
    pub prefix: &'static str,
    /// The grammar of the text behind the scheme's colon.
    pub grammar: Grammar,
    /// The form of the URL, for help.
    pub usage: &'static str,
    /// The condition of readiness, for help.
    pub summary: &'static str,
    /// The kind's own keys, beside the common ones.
    pub keys: &'static [&'static [Key]],
    /// The keys that may occur several times. In a config file an array repeats such a key.
    pub repeats: &'static [&'static str],
    /// The file that exists once the dependency is ready, if the kind waits for one.
    ///
    /// COMMAND may be missing before the wait if a dependency waits for its file.
    pub awaited_file: Option<fn(&Spec) -> PathBuf>,
    /// Reads the names of other dependencies, of which one is enough, if the kind is such a choice.
    ///
    /// # Errors
    /// A malformed list of names.
    pub alternatives: Option<fn(&Text) -> Names>,
    /// The usual port, and the harm that a bare connect to it does, if any. `tcp:` to this port
    /// gets a note.
    pub harmed_by_connects: Option<(u16, &'static str)>,
    /// Checks the declaration and makes the probe. Reads files that the declaration names, and
    /// opens no connection.
    pub build: fn(&Spec) -> Result<Box<dyn Probe>, ConfigError>,
}

/// The grammar of the text behind a scheme's colon.
#[derive(Clone, Copy)]
pub enum Grammar {
    /// `//[USER[:PASSWORD]@]HOST[:PORT][,HOST[:PORT]...][/PATH][?QUERY]`, one login for all
    /// servers.
    ///
    /// The kind itself reads a text without `//`, as a connection string.
    Servers,
    /// As [`Grammar::Servers`], but each server may have its own login and scheme: `X://a, X://b/`
    /// is `X://a,b`.
    ///
    /// If the servers' schemes differ, the list has the one that comes last in [`Kind::schemes`].
    ServersWithLogins,
    /// As [`Grammar::Servers`], but path and query may hold an `@`, as in HTTP.
    Url,
    /// A name or a path, as written: nothing is percent-decoded.
    AsWritten,
    /// A command with a shell's quotes. A `#` within quotes belongs to the command. The first word
    /// names the dependency.
    Words,
    /// The kind reads the text itself. The function checks the text and returns the default name,
    /// which holds no secret and no value.
    ///
    /// # Errors
    /// A malformed text, which the error does not show.
    Own(fn(&Text) -> Result<String, String>),
}

impl Grammar {
    /// Returns true if the text names servers.
    pub fn has_servers(self) -> bool {
        matches!(self, Grammar::Servers | Grammar::ServersWithLogins | Grammar::Url)
    }
}

impl Kind {
    /// The default of each field: no keys, no dialects, no special rules.
    pub const DEFAULT: Kind = Kind {
        name: "",
        schemes: &[],
        dialects: &[],
        has_drivers: false,
        prefix: "",
        grammar: Grammar::Servers,
        usage: "",
        summary: "",
        keys: &[],
        repeats: &[],
        awaited_file: None,
        alternatives: None,
        harmed_by_connects: None,
        build: |spec| Err(spec.error("this kind has no probe")),
    };

    /// Returns the kind's own keys.
    pub fn own_keys(&self) -> impl Iterator<Item = &'static Key> {
        self.keys.iter().copied().flatten()
    }

    /// Returns true if `SCHEME:REST` is a dialect of this kind, or has a driver's name.
    pub fn has_dialect(&self, scheme: &str, rest: &str) -> bool {
        let Some(plain) = scheme.strip_prefix(self.prefix) else { return false };
        let matches = |dialect: &&str| match dialect.split_once(':') {
            Some((outer, inner)) => {
                plain == outer && rest.strip_prefix(inner).is_some_and(|rest| rest.starts_with(':'))
            }
            None => plain == *dialect,
        };
        let mut bases = scheme.match_indices('+').map(|(at, _)| &scheme[..at]);
        self.dialects.iter().copied().flatten().any(matches)
            || self.has_drivers && bases.any(|base| self.schemes.contains(&base))
    }
}

/// A key after the `#`.
pub struct Key {
    /// The name as the user writes it.
    pub name: &'static str,
    /// The placeholder for its value in help, e.g. `PATH`.
    pub value: &'static str,
    /// Its effect, for help.
    pub help: &'static str,
}
