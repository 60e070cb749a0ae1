//! Paths with `*`, `?` and `[...]`, resolved here because there is no shell.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::os::describe;
use crate::sort::sort;

/// Matches of a glob that an error names.
const NAMED: usize = 5;

/// Returns the directories, or the one file, that a path means.
///
/// A pattern in the last component may match several directories side by side, e.g. `db/*migrate`.
/// A pattern above it must match one: two matches of `gems/app-*/migrations` are two releases.
///
/// # Errors
/// No match, several where one is wanted, an unreadable path.
pub(super) fn resolve(pattern: &str) -> Result<Vec<PathBuf>, String> {
    let literal = Path::new(pattern);
    if pattern.is_empty() {
        return Err("must be a path, e.g. /app/migrations".to_owned());
    }
    if !is_glob(pattern) || literal.is_dir() {
        return match fs::metadata(literal) {
            Ok(_) => Ok(vec![literal.to_owned()]),
            Err(e) => Err(format!("{pattern}: {}", describe(&e))),
        };
    }
    let mut found = vec![PathBuf::from(if pattern.starts_with('/') { "/" } else { "" })];
    for component in pattern.split('/').filter(|component| !component.is_empty()) {
        found = found.iter().flat_map(|dir| matches(dir, component)).collect();
    }
    found.retain(|path| path.is_dir());
    let side_by_side = found.windows(2).all(|pair| pair[0].parent() == pair[1].parent());
    match found.len() {
        0 => Err(format!("{pattern}: matches no directory")),
        1 => Ok(found),
        _ if side_by_side => Ok(found),
        several => {
            let mut names: Vec<_> =
                found.iter().take(NAMED).map(|path| path.display().to_string()).collect();
            if several > NAMED {
                names.push(format!("{} more", several - NAMED));
            }
            Err(format!(
                "{pattern}: matches {several} directories, and one is wanted: {}",
                names.join(", ")
            ))
        }
    }
}

/// Returns true if a path holds a pattern.
pub(super) fn is_glob(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// Returns the entries of `dir` that a component of a path matches, by name.
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
    sort(&mut paths);
    paths
}

/// Returns true if a name fits a pattern of `*`, `?`, `[a-z]` and `[!a-z]`.
fn fits(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    let (mut p, mut n) = (0, 0);
    // The place of the last star, and the length of the name that it has matched so far.
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

/// Returns the place after the `[...]` at `p`, if it contains `c`. An unclosed `[` is a plain
/// character.
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
    fn a_pattern_above_the_last_component_stands_for_one_directory() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().to_str().unwrap().to_owned();
        for path in [
            "ruby/3.2.0/gems/director-1/db/migrations",
            "ruby/3.2.0/gems/agent-1/db/migrations",
            "db/migrate",
            "db/post_migrate",
            "db/seeds",
            "[odd]/x",
        ] {
            fs::create_dir_all(dir.path().join(path)).unwrap();
        }
        let found = |pattern: &str| {
            resolve(&format!("{root}/{pattern}")).map(|paths| {
                let below =
                    |path: &PathBuf| path.strip_prefix(&root).unwrap().display().to_string();
                paths.iter().map(below).collect::<Vec<_>>()
            })
        };
        assert_eq!(
            found("ruby/*/gems/director-*/db/migrations").unwrap(),
            ["ruby/3.2.0/gems/director-1/db/migrations"]
        );
        assert_eq!(found("db/*migrate").unwrap(), ["db/migrate", "db/post_migrate"]);
        assert_eq!(found("[odd]").unwrap(), ["[odd]"]);
        let several = found("ruby/*/gems/*/db/migrations").unwrap_err();
        assert!(several.contains("matches 2 directories, and one is wanted: "), "{several}");
        assert!(several.contains("agent-1/db/migrations, "), "{several}");
        assert!(found("ruby/*/none").unwrap_err().ends_with("matches no directory"));
        assert!(found("none").unwrap_err().ends_with("none: no such file or directory"));
    }
}
