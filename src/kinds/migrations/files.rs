//! Turns a directory into the list of migrations that it asks for.

use crate::sort::sort_by;
use std::{
    cmp::Ordering,
    collections::{HashMap, hash_map::Entry},
};

use regex_lite::Regex;

use super::{
    dir::{File, Listing},
    key::{self, COMPILED, Order},
    tool::{Files, Scope, Tool},
    wanted::{Wanted, WantedMigration},
};

/// Returns true if some file looks like a migration of `tool`, by its name alone.
pub(super) fn recognises(tool: &Tool, listing: &Listing) -> bool {
    match &tool.files {
        Files::Named { .. } => Pattern::of(tool)
            .is_some_and(|pattern| listing.files.iter().any(|file| pattern.key(file).is_some())),
        Files::Read(reader) => {
            (reader.recognises)(listing) && !(reader.opens_files && listing.is_names_only())
        }
        Files::Undefined(_) => false,
    }
}

/// Returns true if some file looks like a migration of any of `tools`, by its name alone.
///
/// The first file usually decides. Tool by tool, each one without a migration would be compared
/// with every file.
pub(super) fn recognises_any<'a>(
    tools: impl Iterator<Item = &'a Tool> + Clone,
    listing: &Listing,
) -> bool {
    let patterns: Vec<Pattern> = tools.clone().filter_map(Pattern::of).collect();
    let is_migration = |file: &File| patterns.iter().any(|pattern| pattern.key(file).is_some());
    let is_read = |tool: &&Tool| matches!(tool.files, Files::Read(_));
    listing.files.iter().any(is_migration)
        || tools.filter(is_read).any(|tool| recognises(tool, listing))
}

impl Wanted {
    /// Reads a directory as `tool` does. The list is empty if no file is a migration of this tool.
    ///
    /// # Errors
    /// A file of the tool's cannot be read or understood, or one row would count for two files. Or
    /// the migrations of the tool cannot be listed.
    pub(super) fn of(tool: &Tool, listing: &Listing) -> Result<Self, String> {
        match &tool.files {
            Files::Named { scope, pattern, except } => {
                let pattern = Pattern::new(*scope, pattern, except)?;
                let list = named(listing, &pattern, tool.key)?;
                Self::list(sorted(list, tool.order)).checked(tool.name)
            }
            Files::Read(reader) if reader.opens_files && listing.is_names_only() => Err(format!(
                "must be the directory itself with tool={}: names alone do not list its migrations",
                tool.name
            )),
            Files::Read(reader) => (reader.read)(listing)?.checked(tool.name),
            Files::Undefined(_) => Ok(Self::default()),
        }
    }

    /// Reads a directory by the operator's own pattern. A pattern with a `/` is matched with a
    /// file's path, any other with the file's name.
    ///
    /// If two directories have files of one name, rows can only hold paths, so the path is the key.
    ///
    /// # Errors
    /// Two files with one key.
    pub(super) fn by_pattern(
        listing: &Listing,
        pattern: &str,
        regex: &Regex,
        key: fn(&str) -> String,
    ) -> Result<Self, String> {
        let capture = |text: &str| Some(key(regex.captures(text)?.get(1)?.as_str()));
        let of_path = pattern.contains('/');
        let mut by_name: HashMap<String, Vec<&File>> = HashMap::new();
        let mut found = Vec::new();
        for file in &listing.files {
            let subject = if of_path { &file.path } else { file.name() };
            if let Some(key) = capture(subject) {
                by_name.entry(key.clone()).or_default().push(file);
                found.push((file, key));
            }
        }
        let mut list: Vec<WantedMigration> = Vec::new();
        for (file, key) in found {
            let others = by_name.get(&key).map_or(&[][..], Vec::as_slice);
            let apart = others.iter().any(|other| other.dir() != file.dir());
            let label = if apart || of_path { &file.path } else { stem(file.name()) };
            let by_path = capture(&file.path).filter(|path| *path != key && !of_path);
            let mut keys = match (apart, by_path) {
                (true, Some(path)) => vec![path],
                (false, Some(path)) => vec![key, path],
                (_, None) => vec![key],
            };
            // A column of numbers holds 001 as 1.
            let number = key::strip_zeros(&keys[0]);
            if number != keys[0] {
                keys.push(number);
            }
            // `.up.sql` and `.down.sql` of one migration, or its variant for one database, lie
            // beside each other.
            let first = others.first() == Some(&file);
            if first || apart || !others.iter().all(|other| is_variant(others[0], other)) {
                list.push(WantedMigration { keys, ..WantedMigration::new(label, "") });
            }
        }
        Self::list(list).checked("key-pattern")
    }

    /// Reads a directory of an unknown tool: a row holds a file's name, with its extension or
    /// without.
    ///
    /// Where the directory itself holds no file, a row holds the path below it.
    ///
    /// # Errors
    /// Two files with one key.
    pub(super) fn by_file_name(listing: &Listing) -> Result<Self, String> {
        let flat: Vec<&File> = listing.flat().collect();
        let files = if flat.is_empty() { listing.files.iter().collect() } else { flat };
        let mut stems: HashMap<&str, usize> = HashMap::new();
        for file in &files {
            *stems.entry(stem(&file.path)).or_default() += 1;
        }
        let list = files.iter().map(|file| {
            let stem = stem(&file.path);
            let mut keys = vec![file.path.clone()];
            // A stem that two files share names neither of them.
            if stems.get(stem) == Some(&1) && stem != file.path {
                keys.push(stem.to_owned());
            }
            WantedMigration { keys, ..WantedMigration::new(stem, "") }
        });
        Self::list(list.collect()).checked("table")
    }

    /// Returns the list, unless one row would count for two different migrations.
    fn checked(self, tool: &str) -> Result<Self, String> {
        match self.shared_key() {
            None => Ok(self),
            Some((one, other, key)) => Err(format!(
                "{} and {} have the same key {key}: with {tool} every migration must have its own",
                one.label, other.label
            )),
        }
    }
}

/// A file pattern: it selects a tool's migrations and captures their keys.
struct Pattern {
    scope: Scope,
    pattern: Regex,
    except: Option<Regex>,
    /// The extensions that a file must have one of, where the pattern shows them.
    extensions: Vec<String>,
}

impl Pattern {
    /// The pattern of a tool whose files are identified by their names.
    fn of(tool: &Tool) -> Option<Self> {
        match tool.files {
            Files::Named { scope, pattern, except } => Self::new(scope, pattern, except).ok(),
            Files::Read(_) | Files::Undefined(_) => None,
        }
    }

    fn new(scope: Scope, pattern: &str, except: &str) -> Result<Self, String> {
        let compile = |text: &str| Regex::new(text).map_err(|e| e.to_string());
        let except = if except.is_empty() { None } else { Some(compile(except)?) };
        Ok(Self { scope, pattern: compile(pattern)?, except, extensions: extensions(pattern) })
    }

    /// Returns the key that the pattern captures from a file's path.
    fn key<'a>(&self, file: &'a File) -> Option<&'a str> {
        let subject = match self.scope {
            Scope::Flat if !file.is_flat() => return None,
            Scope::Flat | Scope::Deep => file.name(),
            Scope::Path => &file.path,
        };
        // Most files are of other tools, and a comparison costs less than a regular expression.
        let has = |extension: &String| {
            subject.strip_suffix(extension.as_str()).is_some_and(|stem| stem.ends_with('.'))
        };
        if !self.extensions.is_empty() && !self.extensions.iter().any(has) {
            return None;
        }
        if self.except.as_ref().is_some_and(|except| except.is_match(subject)) {
            return None;
        }
        Some(self.pattern.captures(subject)?.get(1)?.as_str())
    }
}

/// The extensions at the end of a pattern: `\.sql$`, `\.(?:sql|go)$` or `\.[cm]?[jt]s$`. Empty if
/// the pattern shows none.
fn extensions(pattern: &str) -> Vec<String> {
    const SCRIPTS: [&str; 6] = ["js", "ts", "cjs", "cts", "mjs", "mts"];
    let Some((start, end)) = pattern.strip_suffix('$').and_then(|all| all.rsplit_once("\\."))
    else {
        return Vec::new();
    };
    // After a `|` within brackets, this is the end of one alternative only.
    if start.contains('|') && start.matches('(').count() != start.matches(')').count() {
        return Vec::new();
    }
    let end = end.strip_suffix(')').filter(|end| !end.contains('(')).unwrap_or(end);
    let end = end.strip_prefix("(?:").and_then(|end| end.strip_suffix(')')).unwrap_or(end);
    let mut found = Vec::new();
    for part in end.split('|') {
        if part == "[cm]?[jt]s" {
            found.extend(SCRIPTS.map(str::to_owned));
        } else if part.bytes().all(|b| b.is_ascii_alphanumeric()) && !part.is_empty() {
            found.push(part.to_owned());
        } else {
            return Vec::new();
        }
    }
    found
}

fn named(
    listing: &Listing,
    pattern: &Pattern,
    key: fn(&str) -> String,
) -> Result<Vec<WantedMigration>, String> {
    let mut files: HashMap<String, &File> = HashMap::new();
    let mut list: Vec<WantedMigration> = Vec::new();
    for file in &listing.files {
        let Some(found) = pattern.key(file) else { continue };
        let key = key(found);
        let label = match pattern.scope {
            Scope::Path => file.path.split('/').next().unwrap_or(&file.path),
            Scope::Flat | Scope::Deep => stem(file.name()),
        };
        match files.entry(key.clone()) {
            Entry::Occupied(other) if same_migration(&[*other.get(), file]) => {}
            Entry::Occupied(other) => {
                return Err(format!(
                    "{} and {} have the same key {key}: every migration must have its own",
                    other.get().path,
                    file.path
                ));
            }
            Entry::Vacant(place) => {
                place.insert(file);
                list.push(WantedMigration::new(label, key));
            }
        }
    }
    Ok(list)
}

/// Returns true if files are of one migration: both directions, or a script and its compiled form.
fn same_migration(files: &[&File]) -> bool {
    let extension =
        |file: &File| file.name().rsplit_once('.').map(|(_, extension)| extension.to_owned());
    let script = |extension: &Option<String>| {
        extension.as_ref().is_some_and(|extension| COMPILED.contains(&extension.as_str()))
    };
    files.windows(2).all(|pair| {
        let (one, other) = (extension(pair[0]), extension(pair[1]));
        pair[0].dir() == pair[1].dir()
            && stem(pair[0].name()) == stem(pair[1].name())
            && (one == other || script(&one) && script(&other))
    })
}

/// Returns true if two files are of one migration. Their names differ in a direction, or one has a
/// word more before its extension, e.g. `1_a.up.sql` and `1_a.postgres.up.sql`.
fn is_variant(one: &File, other: &File) -> bool {
    let (one_stem, other_stem) = (stem(one.name()), stem(other.name()));
    let extends = |long: &str, short: &str| {
        long.strip_prefix(short).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    one.dir() == other.dir() && (extends(one_stem, other_stem) || extends(other_stem, one_stem))
}

/// A file's name without its extension, and without the direction before that.
pub(super) fn stem(name: &str) -> &str {
    let stem = match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() && !extension.contains('/') => stem,
        _ => name,
    };
    stem.strip_suffix(".up").or_else(|| stem.strip_suffix(".down")).unwrap_or(stem)
}

/// Sorts by the tool's order. Keys without an order stay sorted by name.
pub(super) fn sorted(mut list: Vec<WantedMigration>, order: Order) -> Vec<WantedMigration> {
    sort_by(&mut list, |a, b| {
        let (Some(a), Some(b)) = (a.keys.first(), b.keys.first()) else { return Ordering::Equal };
        let without_order = order.has(b).cmp(&order.has(a));
        key::compare(order, a, b).unwrap_or(without_order)
    });
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_are_read_from_a_pattern() {
        for (pattern, want) in [
            (r"^([0-9]+)_.*\.exs$", &["exs"][..]),
            (r"^(.+\.sql)$", &["sql"]),
            (r"^(.+)\.(?:json|yml)$", &["json", "yml"]),
            (r"^(m.*)\.[cm]?[jt]s$", &["js", "ts", "cjs", "cts", "mjs", "mts"]),
            (r"^(.+)\.(?:[cm]?[jt]s|sql)$", &["js", "ts", "cjs", "cts", "mjs", "mts", "sql"]),
            (r"^([0-9]+)_.*\.up\..*$", &[]),
            (r"^V(\d+(?:\.\d+)?)$", &[]),
            (r"^(.+)\.(?:ya?ml|json)$", &[]),
            (r"^([0-9]+)_.*\.sql", &[]),
            (r"^(.+?)(?:\.ts|(?:\.up)?\.sql)$", &[]),
        ] {
            assert_eq!(extensions(pattern), want, "{pattern}");
        }
    }
}
