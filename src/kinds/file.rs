//! `file:` — the path exists.

use std::{io, path::PathBuf};

use crate::{
    connect::is_local_limit,
    expand::describe,
    probe::{Attempt, Attempting, Class, Failure, Kind, Probe, Verdict},
    spec::{ConfigError, Spec},
};

/// The kind.
pub static KIND: Kind =
    Kind { name: "file", schemes: &["file"], usage: "file:PATH", summary: "the path exists", keys: &[], build };

struct File {
    path: PathBuf,
}

/// The path that a `file:` URL names: `file:///p` and `file:/p` are `/p`, `file:p` is relative.
pub fn path_of(rest: &str) -> PathBuf {
    let rest = if rest.starts_with("///") { &rest[2..] } else { rest };
    PathBuf::from(rest)
}

fn build(spec: &Spec) -> Result<Box<dyn Probe>, ConfigError> {
    let rest = spec.rest.plain();
    if rest.starts_with("//") && !rest.starts_with("///") {
        return Err(spec.error("file: takes a path as written (file:/run/x, file:x), not a host"));
    }
    match path_of(&rest) {
        path if path.as_os_str().is_empty() => Err(spec.error("file: needs a path, e.g. file:/run/ready")),
        path => Ok(Box::new(File { path })),
    }
}

impl Probe for File {
    fn attempt<'a>(&'a mut self, _: &'a Attempt<'a>) -> Attempting<'a> {
        Box::pin(async {
            match std::fs::metadata(&self.path) {
                Ok(_) => Verdict::Ready("exists".to_owned()),
                Err(error) => classify(&error, &self.path.to_string_lossy()).verdict(),
            }
        })
    }

    fn is_local(&self) -> bool {
        true
    }
}

fn classify(error: &io::Error, path: &str) -> Failure {
    let message = format!("{} ({path})", describe(error));
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Failure::new(Class::Absent, message).gone(),
        _ if is_local_limit(error) => Failure::new(Class::Local, message),
        _ => Failure::new(Class::Absent, message).hint("this user may not look there"),
    }
}
