//! Data directories that are made once and copied for each server.

use super::dir::Dir;
use rustix::process::getuid;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Returns the data directory `name`. `make` fills a new directory with it if none is there yet.
///
/// Making one takes a server's tool some seconds, and a copy 50 ms.
pub fn template(name: &str, make: impl FnOnce(&Dir) -> PathBuf) -> PathBuf {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(root).unwrap();
    // The name holds the user, because the files have an owner.
    let finished = root.join(format!("{name}-{}", getuid().as_raw()));
    let lock = File::create(finished.with_extension("lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    if !finished.exists() {
        // Made elsewhere: a server's user may not reach the target directory.
        let dir = Dir::new();
        let data = make(&dir);
        let unfinished = finished.with_extension("unfinished");
        let _ = fs::remove_dir_all(&unfinished);
        copy(&data, &unfinished);
        fs::rename(&unfinished, &finished).unwrap();
    }
    finished
}

/// Copies a directory with its files' owners and modes.
pub fn copy(from: &Path, to: &Path) {
    run(Command::new("cp").args(["-a", "--reflink=auto"]).args([from, to]));
}

/// Runs a command that must succeed.
#[track_caller]
pub fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "{command:?}: {}: {said}", output.status);
}
