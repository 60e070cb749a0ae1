//! A directory for one test. Drop removes it.

use std::fs::{self, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use tempfile::TempDir;

/// The longest path of a test's directory. `sun_path` holds 107 bytes; sockets below need the rest.
const LONGEST_BASE: usize = 40;

pub struct Dir(TempDir);

impl Dir {
    /// Other users may enter the directory: root's tests run PostgreSQL as another user.
    pub fn new() -> Self {
        let mut builder = tempfile::Builder::new();
        builder.prefix("afterall-").permissions(Permissions::from_mode(0o755));
        let dir = builder.tempdir_in(base()).expect("a temporary directory");
        // The umask has reduced the mode above.
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        Self(dir)
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path().join(name)
    }

    /// The path as text, for URLs and arguments.
    pub fn text(&self, name: &str) -> String {
        self.join(name).to_str().unwrap().to_owned()
    }

    /// Writes elsewhere and renames, so that a reader never sees a part of the file.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        self.write_with_mode(name, 0o644, content)
    }

    pub fn write_script(&self, name: &str, content: &str) -> PathBuf {
        self.write_with_mode(name, 0o755, content)
    }

    pub fn write_secret(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        self.write_with_mode(name, 0o600, content)
    }

    pub fn write_with_mode(&self, name: &str, mode: u32, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // The temporary file is not in the watched directory.
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let unfinished = self.join(format!(".unfinished-{}", NEXT.fetch_add(1, Ordering::Relaxed)));
        if mode & 0o111 == 0 {
            fs::write(&unfinished, content).unwrap();
            fs::set_permissions(&unfinished, Permissions::from_mode(mode)).unwrap();
        } else {
            install(&unfinished, mode, content.as_ref());
        }
        fs::rename(&unfinished, &path).unwrap();
        path
    }

    pub fn append(&self, name: &str, line: &str) {
        let mut file = OpenOptions::new().create(true).append(true).open(self.join(name)).unwrap();
        writeln!(file, "{line}").unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        read_lossy(&self.join(name))
    }

    pub fn mkdir(&self, name: &str) -> PathBuf {
        let path = self.join(name);
        fs::create_dir_all(&path).unwrap();
        path
    }
}

/// Writes a program. The kernel does not execute a file that any process has open for writing, and
/// a child that another test is starting has all our files open. So a process of its own writes.
pub fn install(path: &Path, mode: u32, content: &[u8]) {
    let mut command = Command::new("install");
    command.args(["-m", &format!("{mode:o}"), "/dev/stdin"]).arg(path).stdin(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(content).unwrap();
    assert!(child.wait().unwrap().success(), "install {}", path.display());
}

/// The file's text; empty where the file does not exist, e.g. before its server starts.
pub fn read_lossy(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

fn base() -> PathBuf {
    let wanted = std::env::temp_dir();
    // A server that runs as another user cannot use a TMPDIR that only root may enter.
    let private = wanted
        .ancestors()
        .any(|dir| fs::metadata(dir).is_ok_and(|m| m.permissions().mode() & 0o001 == 0));
    if private || wanted.as_os_str().len() > LONGEST_BASE { PathBuf::from("/tmp") } else { wanted }
}
