//! `file:` — the path exists, and what it holds matches.

use std::{fs::OpenOptions, io, io::Read, os::unix::fs::OpenOptionsExt, path::PathBuf};

use regex_lite::Regex;

use crate::{
    connect::is_local_limit,
    os::describe,
    probe::{Attempt, AttemptFuture, Class, Failure, Probe, Verdict},
    spec::{ConfigError, Grammar, Key, Kind, Spec},
    text::pattern,
};

/// The kind.
pub static KIND: Kind = Kind {
    name: "file",
    schemes: &["file"],
    grammar: Grammar::AsWritten,
    awaited_file: Some(|spec| path_of(&spec.rest.expanded())),
    usage: "file:PATH",
    summary: "the path exists",
    keys: &[&[Key {
        name: "match",
        value: "REGEX",
        help: "what the file must hold, within its first MiB",
    }]],
    build,
    ..Kind::DEFAULT
};

struct File {
    path: PathBuf,
    pattern: Option<Regex>,
}

/// What is read of a file for `match`, in bytes.
const MOST: u64 = 1024 * 1024;

/// The path that a `file:` URL names: `file:///p` and `file:/p` are `/p`, `file:p` is relative.
pub fn path_of(rest: &str) -> PathBuf {
    let rest = if rest.starts_with("///") { &rest[2..] } else { rest };
    PathBuf::from(rest)
}

fn build(spec: &Spec) -> Result<Box<dyn Probe>, ConfigError> {
    let rest = spec.rest.expanded();
    if rest.starts_with("//") && !rest.starts_with("///") {
        return Err(spec.error("file: takes a path as written (file:/run/x, file:x), not a host"));
    }
    let pattern = spec.key("match").map(pattern).transpose();
    let pattern = pattern.map_err(|what| spec.key_error("match", what))?;
    match path_of(&rest) {
        path if path.as_os_str().is_empty() => {
            Err(spec.error("file: needs a path, e.g. file:/run/ready"))
        }
        path => Ok(Box::new(File { path, pattern })),
    }
}

impl Probe for File {
    fn attempt<'a>(&'a mut self, _: &'a Attempt<'a>) -> AttemptFuture<'a> {
        Box::pin(async {
            let place = self.path.to_string_lossy();
            let matched = match &self.pattern {
                None => std::fs::metadata(&self.path).map(|_| None),
                Some(pattern) => {
                    self.text().map(|text| Some(text.is_some_and(|text| pattern.is_match(&text))))
                }
            };
            match matched {
                Ok(None) => Verdict::Ready("exists".to_owned()),
                Ok(Some(true)) => Verdict::Ready("exists and matches".to_owned()),
                Ok(Some(false)) => {
                    Failure::new(Class::Absent, format!("does not match ({place})")).verdict()
                }
                Err(error) => classify(&error, &place).verdict(),
            }
        })
    }

    fn is_local(&self) -> bool {
        true
    }
}

impl File {
    /// What a regular file holds. Opened without blocking: a FIFO that nobody writes to must not hold the attempt up.
    fn text(&self) -> io::Result<Option<String>> {
        let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&self.path)?;
        if !file.metadata()?.is_file() {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        file.take(MOST).read_to_end(&mut bytes)?;
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }
}

fn classify(error: &io::Error, path: &str) -> Failure {
    let message = format!("{} ({path})", describe(error));
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            Failure::new(Class::Absent, message).means_down()
        }
        _ if is_local_limit(error) => Failure::new(Class::Local, message),
        _ => Failure::new(Class::Absent, message).hint("this user may not look there"),
    }
}
