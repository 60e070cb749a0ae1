//! What a directory asks for: a list of migrations, and for some tools the graph that ties them together.

use regex_lite::Regex;

use super::{
    dir::Listing,
    graph::Graph,
    key,
    tool::{Files, Order, Scope, Tool},
};

/// One migration that has to be recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Want {
    /// What messages call it.
    pub label: String,
    /// Any of these names, in the tool's writing, is this migration.
    pub keys: Vec<String>,
    /// A later one that is recorded will do.
    pub or_later: bool,
    /// All of these together will do: what a squashed migration replaces.
    pub or_all: Vec<String>,
}

impl Want {
    /// A migration with one name.
    pub fn new(label: impl Into<String>, key: impl Into<String>) -> Self {
        Self { label: label.into(), keys: vec![key.into()], ..Self::default() }
    }
}

/// Everything that a directory asks for.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// In the tool's order.
    pub list: Vec<Want>,
    /// Where the table holds heads alone.
    pub graph: Option<Graph>,
}

impl Wanted {
    /// Reads a directory as `tool` does. An empty list: none of the files is of this tool.
    ///
    /// # Errors
    /// A file of the tool's that cannot be read or understood, or that the condition cannot be defined.
    pub fn of(tool: &Tool, listing: &Listing) -> Result<Self, String> {
        match &tool.files {
            Files::Named { scope, pattern, except } => {
                let except = match *except {
                    "" => None,
                    except => Some(compile(except)?),
                };
                let list = named(listing, *scope, &compile(pattern)?, except.as_ref(), tool.key);
                Ok(Self { list: sorted(list, tool.order), graph: None })
            }
            Files::Read(read) => read(listing),
            Files::Undefined(_) => Ok(Self::default()),
        }
    }

    /// Reads a directory by the operator's own pattern.
    pub fn by_pattern(listing: &Listing, pattern: &Regex, key: fn(&str) -> String) -> Self {
        Self { list: named(listing, Scope::Deep, pattern, None, key), graph: None }
    }

    /// Reads a directory of which nothing is known: a migration is recorded by its file's name, with the extension or without.
    pub fn by_file_name(listing: &Listing) -> Self {
        let list =
            listing.flat().map(|name| Want { keys: vec![name.to_owned(), stem(name).to_owned()], ..Want::new(stem(name), "") });
        Self { list: list.collect(), graph: None }
    }
}

fn compile(pattern: &str) -> Result<Regex, String> {
    Regex::new(pattern).map_err(|e| e.to_string())
}

fn named(listing: &Listing, scope: Scope, pattern: &Regex, except: Option<&Regex>, key: fn(&str) -> String) -> Vec<Want> {
    let mut list: Vec<Want> = Vec::new();
    for path in &listing.files {
        let name = path.rsplit('/').next().unwrap_or(path);
        let subject = match scope {
            Scope::Flat if path.contains('/') => continue,
            Scope::Flat | Scope::Deep => name,
            Scope::Path => path,
        };
        if except.is_some_and(|except| except.is_match(subject)) {
            continue;
        }
        let Some(found) = pattern.captures(subject).and_then(|captures| captures.get(1)) else { continue };
        let label = match scope {
            Scope::Path => path.split('/').next().unwrap_or(path),
            Scope::Flat | Scope::Deep => stem(name),
        };
        let want = Want::new(label, key(found.as_str()));
        // `.up.sql` and `.down.sql`, `.js` and `.ts` of one migration.
        if !list.iter().any(|other| other.keys == want.keys) {
            list.push(want);
        }
    }
    list
}

/// A file's name without its extension, and without the direction before that.
pub fn stem(name: &str) -> &str {
    let stem = match name.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem,
        _ => name,
    };
    stem.strip_suffix(".up").or_else(|| stem.strip_suffix(".down")).unwrap_or(stem)
}

/// In the tool's order; the listing is by name already.
pub fn sorted(mut list: Vec<Want>, order: Order) -> Vec<Want> {
    let first = |want: &Want| want.keys.first().cloned().unwrap_or_default();
    list.sort_by(|a, b| key::compare(order, &first(a), &first(b)).unwrap_or(std::cmp::Ordering::Equal));
    list
}
