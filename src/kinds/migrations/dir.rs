//! The files of one or several directories of migrations, listed once.

use std::{
    collections::HashSet,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::glob;
use crate::{
    os::{describe, read_bytes},
    sort::sort,
    text::{one_line, strip_byte_order_mark},
};

/// The most files that a listing holds.
const MAX_FILES: usize = 50_000;
/// The longest part of a list's line that an error shows, in characters.
const MAX_SHOWN: usize = 60;
/// The depth of a listing, in directories.
const MAX_DEPTH: usize = 12;
/// The largest file that is read, in bytes: revisions, journals, plans, lists of names.
const MAX_READ: u64 = 4 * 1024 * 1024;

/// The files of a declaration's `dir`, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Listing {
    /// The directories, absolute where possible. Empty if the names come from a file.
    roots: Vec<PathBuf>,
    /// Every file, by root and then by path.
    pub files: Vec<File>,
    /// The applications that the operator names. Empty means all.
    pub apps: Vec<String>,
}

/// One file of a listing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct File {
    root: usize,
    /// Below its root, with `/` between components.
    pub path: String,
}

impl File {
    /// The last component of the path.
    pub(super) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// Returns true if it lies in the directory itself.
    pub(super) fn is_flat(&self) -> bool {
        !self.path.contains('/')
    }

    /// Returns the file's directory, by root and path.
    pub(super) fn dir(&self) -> (usize, &str) {
        (self.root, self.path.rsplit_once('/').map_or("", |(dir, _)| dir))
    }

    /// The file `path` below the same root.
    pub(super) fn beside(&self, path: impl Into<String>) -> File {
        File { root: self.root, path: path.into() }
    }
}

impl Listing {
    /// Lists what `patterns` name: directories, or one file that lists names.
    ///
    /// # Errors
    /// No match, too many matches, an unreadable directory, too many files.
    pub(super) fn read(patterns: &[String]) -> Result<Self, String> {
        let mut paths = Vec::new();
        for pattern in patterns {
            paths.extend(glob::resolve(pattern)?);
        }
        if let [path] = paths.as_slice()
            && path.is_file()
        {
            return Self::from_names(path);
        }
        let mut listing = Self::default();
        let mut seen = HashSet::new();
        for (root, dir) in paths.iter().enumerate() {
            listing.roots.push(fs::canonicalize(dir).unwrap_or(dir.clone()));
            listing
                .walk(root, dir, "", MAX_DEPTH, &mut seen)
                .map_err(|message| format!("{}: {message}", dir.display()))?;
        }
        sort(&mut listing.files);
        Ok(listing)
    }

    /// A file with one path per line, as `ls` or `find . -type f` writes them.
    ///
    /// # Errors
    /// Not a text, too many lines, a line that is not one plain path.
    fn from_names(file: &Path) -> Result<Self, String> {
        let shown = file.display();
        let bytes = file
            .to_str()
            .ok_or_else(|| "its path is not UTF-8".to_owned())
            .and_then(|path| read_bytes(path, MAX_READ))
            .map_err(|message| format!("{shown}: {message}"))?;
        let bytes = strip_byte_order_mark(&bytes);
        let text = std::str::from_utf8(bytes)
            .ok()
            .filter(|text| !text.contains('\0'))
            .ok_or_else(|| format!("{shown}: must be a directory, or a text file of names"))?;
        let path = |line: &str| line.trim().trim_start_matches("./").to_owned();
        let mut paths: Vec<_> =
            text.split(['\n', '\r']).map(path).filter(|path| !path.is_empty()).collect();
        if let Some(odd) = paths.iter().find(|path| !is_plain(path)) {
            let odd = one_line(odd, MAX_SHOWN);
            return Err(format!("{shown}: each line must be one file name, and one is {odd}"));
        }
        sort(&mut paths);
        paths.dedup();
        if paths.len() > MAX_FILES {
            return Err(format!("{shown}: must list at most {MAX_FILES} files"));
        }
        let files = paths.into_iter().map(|path| File { root: 0, path }).collect();
        Ok(Self { files, ..Self::default() })
    }

    /// `deeper` is the number of levels that are left. `seen` holds directories by device and
    /// inode: a link to one of them, or a second mention, adds nothing.
    fn walk(
        &mut self,
        root: usize,
        dir: &Path,
        prefix: &str,
        deeper: usize,
        seen: &mut HashSet<(u64, u64)>,
    ) -> Result<(), String> {
        let metadata = fs::metadata(dir).map_err(|e| describe(&e))?;
        if !metadata.is_dir() {
            return Err("must be a directory".to_owned());
        }
        if !seen.insert((metadata.dev(), metadata.ino())) {
            return Ok(());
        }
        for entry in fs::read_dir(dir).map_err(|e| describe(&e))? {
            let entry = entry.map_err(|e| describe(&e))?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            // Hidden directories hold the files of a Kubernetes volume, which are linked to beside
            // them.
            if name.starts_with('.') || name == "node_modules" || name == "__pycache__" {
                continue;
            }
            let path = format!("{prefix}{name}");
            let kind = entry.file_type().map_err(|e| describe(&e))?;
            // Only a link costs a second look at the file system.
            let (is_dir, is_file) = if kind.is_symlink() {
                // A link that leads nowhere is a file that the tool would fail to open.
                fs::metadata(entry.path())
                    .map_or((false, true), |target| (target.is_dir(), target.is_file()))
            } else {
                (kind.is_dir(), kind.is_file())
            };
            if is_dir {
                let below = deeper.checked_sub(1).map(|deeper| {
                    self.walk(root, &entry.path(), &format!("{path}/"), deeper, seen)
                });
                if let Some(Err(message)) = below
                    && may_hold_migrations(&name)
                {
                    return Err(format!("{path}: {message}"));
                }
            } else if is_file {
                self.files.push(File { root, path });
            }
            if self.files.len() > MAX_FILES {
                return Err(format!("must hold at most {MAX_FILES} files"));
            }
        }
        Ok(())
    }

    /// Returns true if only names are known, and no file can be opened.
    pub(super) fn is_names_only(&self) -> bool {
        self.roots.is_empty()
    }

    /// The files of the directories themselves.
    pub(super) fn flat(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.is_flat())
    }

    /// Returns true if a file is there.
    pub(super) fn holds(&self, file: &File) -> bool {
        self.files.binary_search(file).is_ok()
    }

    /// The content of one file.
    ///
    /// # Errors
    /// Unreadable, larger than 4 MiB.
    pub(super) fn bytes(&self, file: &File) -> Result<Vec<u8>, String> {
        let path = &file.path;
        let root = self
            .roots
            .get(file.root)
            .ok_or_else(|| format!("{path}: cannot be opened, because dir lists names alone"))?;
        let full = root.join(path);
        let bytes = match full.to_str() {
            Some(full) => read_bytes(full, MAX_READ),
            None => Err("its path is not UTF-8".to_owned()),
        };
        bytes.map_err(|message| format!("{path}: {message}"))
    }

    /// The text of one file.
    ///
    /// # Errors
    /// As [`bytes`](Self::bytes), and where the file is not UTF-8. A byte order mark is removed.
    pub(super) fn text(&self, file: &File) -> Result<String, String> {
        let text = String::from_utf8(self.bytes(file)?)
            .map_err(|_| format!("{}: must be UTF-8", file.path))?;
        Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
    }

    /// The name of the directory that holds `file`, `above` levels higher; beyond our own directory
    /// too.
    pub(super) fn dir_name(&self, file: &File, above: usize) -> Option<String> {
        let root = self.roots.get(file.root).cloned().unwrap_or_default();
        let full = root.join(&file.path);
        let name = full.ancestors().nth(above + 1)?.file_name()?;
        name.to_str().map(str::to_owned)
    }

    /// The directories one level below, each as a listing of its own.
    pub(super) fn below(&self) -> Vec<(String, Listing)> {
        let mut found: Vec<(String, Listing)> = Vec::new();
        for file in &self.files {
            let Some((dir, rest)) = file.path.split_once('/') else { continue };
            let is_same = |(name, listing): &(String, Listing)| {
                name == dir && listing.files.last().is_some_and(|last| last.root == file.root)
            };
            if !found.last().is_some_and(is_same) {
                let roots = self.roots.iter().map(|root| root.join(dir)).collect();
                let listing = Listing { roots, files: Vec::new(), apps: self.apps.clone() };
                found.push((dir.to_owned(), listing));
            }
            if let Some((_, listing)) = found.last_mut() {
                listing.files.push(file.beside(rest));
            }
        }
        found
    }

    /// The directory above the only root, if it can be listed, and those beside the root.
    pub(super) fn above(&self) -> Option<Listing> {
        let [root] = self.roots.as_slice() else { return None };
        let parent = root.parent().filter(|parent| parent.parent().is_some())?;
        let mut above = Self { roots: vec![parent.to_owned()], ..Self::default() };
        above.walk(0, parent, "", 1, &mut HashSet::new()).ok()?;
        sort(&mut above.files);
        Some(above)
    }
}

/// Returns true if a directory's name is one that a migration tool gives: `20240101_name`,
/// `migrations`. An unreadable directory, such as `lost+found`, is not an error.
fn may_hold_migrations(name: &str) -> bool {
    const HOMES: [&str; 4] = ["migrations", "migrate", "versions", "committed"];
    name.starts_with(|c: char| c.is_ascii_digit()) || HOMES.contains(&name)
}

/// Returns true if a line of a list is one path, without quotes, second name or mark of `ls -F`.
fn is_plain(path: &str) -> bool {
    let extension = |word: &str| word.rsplit_once('.').map(|(_, extension)| extension.to_owned());
    let words: Vec<_> = path.split_whitespace().map(extension).collect();
    let is_one = words.iter().flatten().count() < 2
        || words.iter().flatten().any(|extension| words.first() != Some(&Some(extension.clone())));
    let is_comment = path.starts_with('#');
    let is_marked = path.ends_with(['*', '@', '=', '|']);
    is_comment || is_one && !is_marked && !path.contains(['"', '\'', ',', '\t', '[', '{'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(dir: &tempfile::TempDir, below: &[&str]) -> Result<Vec<String>, String> {
        let path = |path: &&str| dir.path().join(path).to_str().unwrap().to_owned();
        let listing = Listing::read(&below.iter().map(path).collect::<Vec<_>>())?;
        Ok(listing.files.into_iter().map(|file| file.path).collect())
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
        std::os::unix::fs::symlink("/none", dir.path().join("3_c.sql")).unwrap();
        let listing = Listing::read(&[dir.path().to_str().unwrap().to_owned()]).unwrap();
        assert_eq!(listing.flat().map(File::name).collect::<Vec<_>>(), ["1_a.sql", "3_c.sql"]);
        let nested = listing.files.iter().find(|file| file.path == "sub/2_b.sql").unwrap();
        assert_eq!(listing.text(&listing.files[0]).unwrap(), "hello");
        assert_eq!(listing.dir_name(nested, 0).as_deref(), Some("sub"));
        assert_eq!(listing.below()[0].0, "sub");
    }

    #[test]
    fn several_directories_are_one_listing() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["a/sub", "b"] {
            fs::create_dir_all(dir.path().join(path)).unwrap();
            fs::write(dir.path().join(path).join("1.sql"), "").unwrap();
        }
        assert_eq!(list(&dir, &["a", "b"]).unwrap(), ["sub/1.sql", "1.sql"]);
        assert_eq!(list(&dir, &["b", "b"]).unwrap(), ["1.sql"], "a second mention adds nothing");
        let one = list(&dir, &["b/1.sql", "a"]).unwrap_err();
        assert!(one.ends_with("b/1.sql: must be a directory"), "{one}");
    }

    #[test]
    fn a_file_may_list_the_names() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("list"), "./2_b.sql\r\n\n1_a.sql\nsub/3.sql\n").unwrap();
        assert_eq!(list(&dir, &["list"]).unwrap(), ["1_a.sql", "2_b.sql", "sub/3.sql"]);
        fs::write(dir.path().join("list"), "\u{feff}2_b.sql\r1_a b.sql\r").unwrap();
        assert_eq!(list(&dir, &["list"]).unwrap(), ["1_a b.sql", "2_b.sql"]);
        for odd in
            ["1.sql 2.sql", "1.sql\t2.sql", "1.sql, 2.sql", "'1.sql'", "1.sql*", "[\"1.sql\""]
        {
            fs::write(dir.path().join("list"), format!("0.sql\n{odd}\n")).unwrap();
            let error = list(&dir, &["list"]).unwrap_err();
            assert!(error.contains("each line must be one file name"), "{odd}: {error}");
        }
        fs::write(dir.path().join("binary"), b"\xff").unwrap();
        let binary = list(&dir, &["binary"]).unwrap_err();
        assert!(binary.ends_with("must be a directory, or a text file of names"), "{binary}");
    }
}
