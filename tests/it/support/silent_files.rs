//! Files whose `open` does not return, as on an NFS mount whose server is gone.

use super::process::program;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A listener of fanotify(7) that never replies, so that every open of these files waits.
const LISTENER: &str = r#"
import ctypes, sys, time
libc = ctypes.CDLL(None, use_errno=True)
FAN_CLASS_CONTENT, FAN_MARK_ADD, FAN_OPEN_PERM, AT_FDCWD = 4, 1, ctypes.c_uint64(0x10000), -100
fd = libc.fanotify_init(FAN_CLASS_CONTENT, 0)
for path in sys.argv[1:]:
    if fd < 0 or libc.fanotify_mark(fd, FAN_MARK_ADD, FAN_OPEN_PERM, AT_FDCWD, path.encode()):
        sys.exit("fanotify: errno %d" % ctypes.get_errno())
print("marked", flush=True)
time.sleep(120)
"#;

pub struct SilentFiles(Child);

impl SilentFiles {
    /// `None` for other users than root, because only root may receive these events.
    pub fn new(paths: &[&Path]) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let mut command = Command::new(program("setpriv", "util-linux"));
        command.args(["--pdeathsig", "KILL", "--"]).arg(program("python3", "python3"));
        command.args(["-c", LISTENER]).args(paths).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "marked\n");
        Some(Self(child))
    }
}

impl Drop for SilentFiles {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
