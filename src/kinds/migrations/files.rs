//! How a directory becomes the list of migrations that it asks for.

use regex_lite::Regex;

use super::{
    dir::Listing,
    key::{self, Order},
    tool::{Files, Scope, Tool},
    wanted::{Want, Wanted},
};

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
        let list = listing.flat().map(|name| Want {
            keys: vec![name.to_owned(), stem(name).to_owned()],
            ..Want::new(stem(name), "")
        });
        Self { list: list.collect(), graph: None }
    }
}

fn compile(pattern: &str) -> Result<Regex, String> {
    Regex::new(pattern).map_err(|e| e.to_string())
}

fn named(
    listing: &Listing,
    scope: Scope,
    pattern: &Regex,
    except: Option<&Regex>,
    key: fn(&str) -> String,
) -> Vec<Want> {
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
        let Some(found) = pattern.captures(subject).and_then(|captures| captures.get(1)) else {
            continue;
        };
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
    list.sort_by(|a, b| {
        key::compare(order, &first(a), &first(b)).unwrap_or(std::cmp::Ordering::Equal)
    });
    list
}
