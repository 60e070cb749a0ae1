//! `file:` — the path exists, and its content matches.

use std::{
    fs::{self, OpenOptions},
    io::{self, Read},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use crate::{
    connect::is_local_limit,
    os::describe,
    probe::{Attempt, AttemptFuture, BlockingLane, Class, Failure, Pattern, Probe, Verdict},
    spec::{ConfigError, Grammar, Key, Kind, Spec},
    text::quoted,
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
    pattern: Option<Pattern>,
    /// A file system that hangs blocks only the thread of this lane.
    lane: BlockingLane,
}

/// The part of a file that `match` searches, in bytes.
const MAX_CONTENT: u64 = 1024 * 1024;

/// The state of the path.
enum Found {
    /// Something exists, and no content is required.
    Something,
    /// The content matches.
    Match,
    /// The content does not match. Holds the first line, if all users may read the file.
    Mismatch(Option<String>),
}

/// Returns the path of a `file:` URL: `file:///p` and `file:/p` are `/p`, `file:p` is relative.
pub fn path_of(rest: &str) -> PathBuf {
    let rest = if rest.starts_with("///") { &rest[2..] } else { rest };
    PathBuf::from(rest)
}

fn build(spec: &Spec) -> Result<Box<dyn Probe>, ConfigError> {
    spec.check_unexpanded()?;
    let rest = spec.rest.expanded();
    if rest.starts_with("//") && !rest.starts_with("///") {
        return Err(spec.error("file: takes a path as written (file:/run/x, file:x), not a host"));
    }
    let pattern = spec.key("match").map(Pattern::parse).transpose();
    let pattern = pattern.map_err(|message| spec.key_error("match", message))?;
    match path_of(&rest) {
        path if path.as_os_str().is_empty() => {
            Err(spec.error("file: needs a path, e.g. file:/run/ready"))
        }
        path => Ok(Box::new(File { path, pattern, lane: BlockingLane::default() })),
    }
}

impl Probe for File {
    fn attempt<'a>(&'a mut self, attempt: &'a Attempt<'a>) -> AttemptFuture<'a> {
        Box::pin(async {
            let place = self.path.to_string_lossy();
            attempt.stage(format!("no answer from the file system ({place})"));
            let (path, pattern) = (self.path.clone(), self.pattern.clone());
            let found = match self.lane.run(move || look(&path, pattern.as_ref())).await {
                Ok(found) => found,
                Err(failure) => return failure.verdict(),
            };
            match found {
                Ok(Found::Something) => Verdict::ready("exists"),
                Ok(Found::Match) => Verdict::ready("exists and matches"),
                Ok(Found::Mismatch(line)) => {
                    let line = line.map(|line| format!(", it begins with: {line}"));
                    let message = format!("does not match ({place}){}", line.unwrap_or_default());
                    Failure::new(Class::Absent, message).verdict()
                }
                Err(error) => classify(&error, &place).verdict(),
            }
        })
    }

    fn is_local(&self) -> bool {
        true
    }
}

/// Checks the path, and with `pattern` the content of a regular file. May block.
fn look(path: &Path, pattern: Option<&Pattern>) -> io::Result<Found> {
    let Some(pattern) = pattern else { return fs::metadata(path).map(|_| Found::Something) };
    // A normal open of a FIFO without a writer would block.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Ok(Found::Mismatch(None));
    }
    let mut content = Vec::new();
    file.take(MAX_CONTENT).read_to_end(&mut content)?;
    if pattern.is_match(&content) {
        return Ok(Found::Match);
    }
    // A file that only some users may read may hold a secret.
    let is_public = metadata.mode() & 0o004 != 0;
    Ok(Found::Mismatch(quoted(&content).filter(|_| is_public)))
}

fn classify(error: &io::Error, path: &str) -> Failure {
    let message = format!("{} ({path})", describe(error));
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            Failure::new(Class::Absent, message).means_down()
        }
        io::ErrorKind::PermissionDenied => {
            Failure::new(Class::Absent, message).hint("this user may not look there")
        }
        _ if is_local_limit(error) => Failure::local(error, path),
        // E.g. a loop of symbolic links, or an error of the disk.
        _ => Failure::new(Class::Absent, message),
    }
}
