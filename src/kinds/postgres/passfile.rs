//! The password file: libpq's `~/.pgpass` (PostgreSQL manual, section 34.16).

use std::{fs, os::unix::fs::MetadataExt};

use crate::{
    os::{describe, read_small},
    text::path_shown,
};

/// Reads a password file as libpq does. A file that other users can read is ignored, and so is
/// anything but a regular file. The error is the reason.
pub(super) fn read(path: &str) -> Result<String, String> {
    let ignored = |why: &str| format!("the password file {} is ignored: {why}", path_shown(path));
    let metadata = fs::metadata(path).map_err(|e| ignored(&describe(&e)))?;
    if !metadata.is_file() {
        return Err(ignored("it is not a plain file"));
    }
    if metadata.mode() & 0o077 != 0 {
        let mode = metadata.mode() & 0o777;
        return Err(ignored(&format!(
            "its mode is {mode:04o}, and group or others may use it (wanted: 0600)"
        )));
    }
    read_small(path).map_err(|why| ignored(&why))
}

/// Returns the password of the first line that matches. `fields` are host, port, database and user.
pub(super) fn lookup(text: &str, fields: [&str; 4]) -> Option<String> {
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let mut rest = line;
        for field in fields {
            rest = match rest.strip_prefix("*:") {
                Some(rest) => rest,
                None => {
                    let (value, after) = take(rest);
                    after.filter(|_| value == field)?
                }
            };
        }
        let (password, _) = take(rest);
        Some(password).filter(|password| !password.is_empty())
    })
}

/// Returns the text up to the next `:` without its backslashes, and the text after the `:`.
fn take(text: &str) -> (String, Option<&str>) {
    let mut out = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            ':' => return (out, Some(&text[at + 1..])),
            '\\' => out.push(chars.next().map_or('\\', |(_, c)| c)),
            c => out.push(c),
        }
    }
    (out, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_first_line_that_matches_gives_the_password() {
        const FILE: &str = "# a comment\n\
            db:5432:app:app:one\n\
            *:*:*:ops:two:and no more\n\
            2001\\:db8\\:\\:1:5432:*:app:three\n\
            db:5433:a\\:b:us\\\\er:p\\:w\\\\d\r\n\
            localhost:5432:app:app:four\n\
            db:5432:empty:app:\n\
            db:5432:*:app:five\n\
            too:short\n";
        for (fields, want) in [
            (["db", "5432", "app", "app"], Some("one")),
            (["elsewhere", "1", "x", "ops"], Some("two")),
            (["2001:db8::1", "5432", "x", "app"], Some("three")),
            (["db", "5433", "a:b", "us\\er"], Some("p:w\\d")),
            (["localhost", "5432", "app", "app"], Some("four")),
            (["db", "5432", "other", "app"], Some("five")),
            (["db", "5432", "empty", "app"], Some("five")),
            (["db", "5433", "app", "app"], None),
            (["too", "short", "", ""], None),
        ] {
            assert_eq!(lookup(FILE, fields).as_deref(), want, "{fields:?}");
        }
    }

    #[test]
    fn a_file_that_others_can_read_is_ignored_and_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pgpass");
        fs::write(&path, "*:*:*:*:x\n").unwrap();
        let path = path.to_str().unwrap();
        for (mode, readable) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false)] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(read(path).is_ok(), readable, "{mode:o}");
        }
        let why = read(path).unwrap_err();
        assert!(
            why.ends_with(
                "is ignored: its mode is 0604, and group or others may use it (wanted: 0600)"
            ),
            "{why}"
        );
        assert!(read("/dev/null").unwrap_err().contains("not a plain file"));
        assert!(read("/does/not/exist").unwrap_err().contains("no such file"));
    }
}
