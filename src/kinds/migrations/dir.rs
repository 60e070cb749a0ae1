//! The directory of migrations: found by a glob of our own, since there is no shell, and listed once.

use std::{
    collections::HashSet,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use crate::os::{describe, read_bytes};

/// More files than this are no directory of migrations.
const MAX_FILES: usize = 50_000;
/// Deeper than this nobody keeps migrations.
const MAX_DEPTH: usize = 12;
/// The largest file that is read, in bytes: revisions, journals and plans.
const MAX_READ: u64 = 4 * 1024 * 1024;
/// Matches of a glob that an error names.
const NAMED: usize = 5;

/// The files of a directory, by their paths below it, in order.
#[derive(Debug, Default)]
pub struct Listing {
    /// The directory itself, absolute if that could be found out.
    pub root: PathBuf,
    /// With `/` between components.
    pub files: Vec<String>,
}

impl Listing {
    /// Lists the one directory that `pattern` names.
    ///
    /// # Errors
    /// No match, several matches (named), no directory, unreadable.
    pub fn read(pattern: &str) -> Result<Self, String> {
        let dir = find(pattern)?;
        let mut listing =
            Self { root: fs::canonicalize(&dir).unwrap_or(dir.clone()), files: Vec::new() };
        listing
            .walk(&dir, "", 0, &mut HashSet::new())
            .map_err(|what| format!("{}: {what}", dir.display()))?;
        listing.files.sort();
        Ok(listing)
    }

    /// `seen` holds the directories by device and inode, so that a link to one of them is not gone into again.
    fn walk(
        &mut self,
        dir: &Path,
        prefix: &str,
        depth: usize,
        seen: &mut HashSet<(u64, u64)>,
    ) -> Result<(), String> {
        let metadata = fs::metadata(dir).map_err(|e| describe(&e))?;
        if !metadata.is_dir() {
            return Err("is not a directory".to_owned());
        }
        if depth > MAX_DEPTH || !seen.insert((metadata.dev(), metadata.ino())) {
            return Ok(());
        }
        for entry in fs::read_dir(dir).map_err(|e| describe(&e))? {
            let entry = entry.map_err(|e| describe(&e))?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            // Among the hidden ones are the directories behind a Kubernetes volume, whose files are linked to beside them.
            if name.starts_with('.') || name == "node_modules" || name == "__pycache__" {
                continue;
            }
            let path = format!("{prefix}{name}");
            match fs::metadata(entry.path()) {
                Ok(metadata) if metadata.is_dir() => {
                    // One that may not be read holds none that the service could read.
                    let _ = self.walk(&entry.path(), &format!("{path}/"), depth + 1, seen);
                }
                Ok(metadata) if metadata.is_file() => self.files.push(path),
                _ => {}
            }
            if self.files.len() > MAX_FILES {
                return Err(format!(
                    "holds more than {MAX_FILES} files, which no directory of migrations does"
                ));
            }
        }
        Ok(())
    }

    /// The names of the files of the directory itself.
    pub fn flat(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(String::as_str).filter(|path| !path.contains('/'))
    }

    /// The text of one file.
    ///
    /// # Errors
    /// Unreadable, larger than 4 MiB, not UTF-8.
    pub fn text(&self, path: &str) -> Result<String, String> {
        let full = self.root.join(path);
        let bytes = match full.to_str() {
            Some(full) => read_bytes(full, MAX_READ),
            None => Err("its path is not UTF-8".to_owned()),
        };
        String::from_utf8(bytes.map_err(|what| format!("{path}: {what}"))?)
            .map_err(|_| format!("{path}: not UTF-8"))
    }

    /// The name of the directory that holds `path`, `above` levels higher; beyond our own directory too.
    pub fn dir_name(&self, path: &str, above: usize) -> Option<String> {
        let full = self.root.join(path);
        let name = full.ancestors().nth(above + 1)?.file_name()?;
        name.to_str().map(str::to_owned)
    }
}

/// The directory that a path with `*`, `?` and `[...]` in its components names.
fn find(pattern: &str) -> Result<PathBuf, String> {
    let literal = Path::new(pattern);
    if pattern.is_empty() {
        return Err("is empty".to_owned());
    }
    if !is_glob(pattern) || literal.is_dir() {
        return match fs::metadata(literal) {
            Ok(_) => Ok(literal.to_owned()),
            Err(e) => Err(format!("{pattern}: {}", describe(&e))),
        };
    }
    let mut found = vec![PathBuf::from(if pattern.starts_with('/') { "/" } else { "" })];
    for component in pattern.split('/').filter(|component| !component.is_empty()) {
        found = found.iter().flat_map(|dir| matches(dir, component)).collect();
    }
    found.retain(|path| path.is_dir());
    match found.as_slice() {
        [] => Err(format!("{pattern}: matches no directory")),
        [only] => Ok(only.clone()),
        several => {
            let mut names: Vec<_> =
                several.iter().take(NAMED).map(|path| path.display().to_string()).collect();
            if several.len() > NAMED {
                names.push(format!("{} more", several.len() - NAMED));
            }
            Err(format!(
                "{pattern}: matches {} directories, and one is wanted: {}",
                several.len(),
                names.join(", ")
            ))
        }
    }
}

fn is_glob(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

fn matches(dir: &Path, component: &str) -> Vec<PathBuf> {
    if !is_glob(component) {
        let path = dir.join(component);
        return if path.exists() { vec![path] } else { Vec::new() };
    }
    let place = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    let entries: io::Result<Vec<_>> = fs::read_dir(place).and_then(Iterator::collect);
    let mut paths: Vec<PathBuf> = entries
        .unwrap_or_default()
        .iter()
        .filter_map(|entry| entry.file_name().to_str().map(str::to_owned))
        // As in a shell, a hidden name is matched by a pattern that begins with a dot.
        .filter(|name| name.starts_with('.') == component.starts_with('.') && fits(component, name))
        .map(|name| dir.join(name))
        .collect();
    paths.sort();
    paths
}

/// Whether a name fits a pattern of `*`, `?`, `[a-z]` and `[!a-z]`.
fn fits(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    let (mut p, mut n) = (0, 0);
    // Where the last star stood, and how much of the name it has taken so far.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        let step = match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
                continue;
            }
            Some('?') => Some(p + 1),
            Some('[') => set(&pattern, p, name[n]),
            Some(c) if *c == name[n] => Some(p + 1),
            _ => None,
        };
        match (step, star) {
            (Some(next), _) => (p, n) = (next, n + 1),
            (None, Some((at, taken))) => {
                star = Some((at, taken + 1));
                (p, n) = (at + 1, taken + 1);
            }
            (None, None) => return false,
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// Where the pattern goes on behind the `[...]` at `p`, if `c` is in it. One that is not closed is a plain `[`.
fn set(pattern: &[char], p: usize, c: char) -> Option<usize> {
    let negated = matches!(pattern.get(p + 1), Some('!' | '^'));
    let start = p + 1 + usize::from(negated);
    let Some(end) = (start + 1..pattern.len()).find(|at| pattern[*at] == ']') else {
        return (c == '[').then_some(p + 1);
    };
    let (mut at, mut found) = (start, false);
    while at < end {
        if at + 2 < end && pattern[at + 1] == '-' {
            found |= (pattern[at]..=pattern[at + 2]).contains(&c);
            at += 3;
        } else {
            found |= pattern[at] == c;
            at += 1;
        }
    }
    (found != negated).then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_fits_as_in_a_shell() {
        for (pattern, name, want) in [
            ("bosh-director-*", "bosh-director-1.2", true),
            ("*", "x", true),
            ("a*b*c", "aXbYbc", true),
            ("a*b*c", "aXbYb", false),
            ("3.?.0", "3.2.0", true),
            ("3.[0-9].[!1]", "3.2.0", true),
            ("3.[0-9].[!1]", "3.2.1", false),
            ("[", "[", true),
            ("[]a]", "]", true),
            ("", "", true),
            ("*", "", true),
        ] {
            assert_eq!(fits(pattern, name), want, "{pattern} {name}");
        }
    }

    #[test]
    fn one_directory_is_found_and_several_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().to_str().unwrap().to_owned();
        for path in [
            "ruby/3.2.0/gems/director-1/db/migrations",
            "ruby/3.2.0/gems/agent-1/db/migrations",
            "[odd]/x",
        ] {
            fs::create_dir_all(dir.path().join(path)).unwrap();
        }
        fs::write(dir.path().join("ruby/3.2.0/gems/director-1/db/migrations/1_a.rb"), "").unwrap();
        let read = |pattern: &str| {
            Listing::read(&format!("{root}/{pattern}")).map(|listing| listing.files)
        };
        assert_eq!(read("ruby/*/gems/director-*/db/migrations").unwrap(), ["1_a.rb"]);
        assert_eq!(read("[odd]").unwrap(), Vec::<String>::new());
        let several = read("ruby/*/gems/*/db/migrations").unwrap_err();
        assert!(several.contains("matches 2 directories, and one is wanted: "), "{several}");
        assert!(
            several.contains("agent-1/db/migrations, ")
                && several.contains("director-1/db/migrations"),
            "{several}"
        );
        assert!(read("ruby/*/none").unwrap_err().ends_with("matches no directory"));
        assert!(read("none").unwrap_err().ends_with("none: no such file or directory"));
        assert!(
            read("ruby/3.2.0/gems/director-1/db/migrations/1_a.rb")
                .unwrap_err()
                .ends_with("is not a directory")
        );
    }

    #[test]
    fn linked_and_nested_files_are_listed_and_hidden_ones_are_not() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("..data/x")).unwrap();
        fs::create_dir_all(dir.path().join("sub")).unwrap();
        fs::write(dir.path().join("..data/1_a.sql"), "hello").unwrap();
        fs::write(dir.path().join("sub/2_b.sql"), "").unwrap();
        std::os::unix::fs::symlink("..data/1_a.sql", dir.path().join("1_a.sql")).unwrap();
        std::os::unix::fs::symlink("..", dir.path().join("sub/loop")).unwrap();
        let listing = Listing::read(dir.path().to_str().unwrap()).unwrap();
        assert_eq!(listing.flat().collect::<Vec<_>>(), ["1_a.sql"]);
        assert!(listing.files.contains(&"sub/2_b.sql".to_owned()));
        assert_eq!(listing.text("1_a.sql").unwrap(), "hello");
        assert_eq!(listing.dir_name("sub/2_b.sql", 0).as_deref(), Some("sub"));
    }
}
