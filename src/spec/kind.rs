//! What a kind of dependency states about itself.

use std::path::PathBuf;

use super::{ConfigError, Spec, expand::Text};
use crate::probe::Probe;

/// A kind of dependency: what help, man page, completions and the check of keys walk.
///
/// Most kinds fill in the fields that they need and take the others from [`Kind::DEFAULT`].
pub struct Kind {
    /// The name that messages use.
    pub name: &'static str,
    /// The schemes that it answers to, without the colon; the first is the usual one.
    pub schemes: &'static [&'static str],
    /// Other drivers' schemes for the same server, e.g. `pgsql`, without [`Kind::prefix`].
    ///
    /// `jdbc:mysql` stands for the scheme `jdbc:` followed by `mysql:`. Help does not list dialects.
    pub dialects: &'static [&'static [&'static str]],
    /// Whether `SCHEME+DRIVER` is SCHEME, as SQLAlchemy writes it.
    pub has_drivers: bool,
    /// What stands before another kind's scheme to ask for this kind, e.g. `migrations+`.
    pub prefix: &'static str,
    /// How the text behind the scheme's colon is read.
    pub grammar: Grammar,
    /// How its URL is written, for help.
    pub usage: &'static str,
    /// When it is ready, for help.
    pub summary: &'static str,
    /// The keys of its own, beside the common ones.
    pub keys: &'static [&'static [Key]],
    /// The keys that may be given several times. In a config file an array repeats such a key.
    pub repeats: &'static [&'static str],
    /// The file that exists once the dependency is ready, if the kind waits for one.
    ///
    /// COMMAND may be missing before the wait if a dependency waits for that very file.
    pub awaited_file: Option<fn(&Spec) -> PathBuf>,
    /// The usual port, and what a bare connect to it does, if that does harm. `tcp:` to this port gets a note.
    pub harmed_by_connects: Option<(u16, &'static str)>,
    /// Proves the declaration right and makes the probe. Reads files that the declaration names, opens no connection.
    pub build: fn(&Spec) -> Result<Box<dyn Probe>, ConfigError>,
}

/// How the text behind a scheme's colon is read.
#[derive(Clone, Copy)]
pub enum Grammar {
    /// `//[USER[:PASSWORD]@]HOST[:PORT][,HOST[:PORT]...][/PATH][?QUERY]`, one login for all servers.
    ///
    /// A text that does not begin with `//` is a connection string, which the kind reads itself.
    Servers,
    /// As [`Grammar::Servers`], but each server may have its own login and scheme: `X://a, X://b/` is `X://a,b`.
    ///
    /// Where the servers' schemes differ, the list has the one that stands last in [`Kind::schemes`].
    ServersWithLogins,
    /// As [`Grammar::Servers`], but path and query may hold an `@`, as in HTTP.
    Url,
    /// A name or a path, taken as written: nothing is percent-decoded.
    AsWritten,
    /// A command in a shell's quotes. A `#` within quotes belongs to it. Its first word names the dependency.
    Words,
    /// The kind reads the text itself. The function proves the shape and returns what names the
    /// dependency: no secret, and nothing of a value.
    ///
    /// # Errors
    /// What is wrong, without the text.
    Own(fn(&Text) -> Result<String, String>),
}

impl Grammar {
    /// Whether the text names servers.
    pub fn has_servers(self) -> bool {
        matches!(self, Grammar::Servers | Grammar::ServersWithLogins | Grammar::Url)
    }
}

impl Kind {
    /// A kind without keys, dialects and peculiarities: what is left out of a `static KIND`.
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
        harmed_by_connects: None,
        build: |spec| Err(spec.error("this kind has no probe")),
    };

    /// The kind's own keys.
    pub fn own_keys(&self) -> impl Iterator<Item = &'static Key> {
        self.keys.iter().copied().flatten()
    }

    /// Whether `SCHEME:REST` is written in a dialect of this kind, or with a driver's name.
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

/// A key behind the `#`.
pub struct Key {
    /// As it is written.
    pub name: &'static str,
    /// What stands for its value in help, e.g. `PATH`.
    pub value: &'static str,
    /// What it does, for help.
    pub help: &'static str,
}
