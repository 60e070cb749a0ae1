//! Becoming the command: looked up before the wait, executed after it, at most once.
#![allow(unsafe_code)] // execvp has no safe interface that keeps argv, environment and PATH rules as they are.

use std::{
    ffi::{CString, OsStr, OsString},
    io,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
};

use crate::{
    exit::Exit,
    os::describe,
    signals::{self, Signals},
    text::{MAX_FOREIGN, one_line},
};

/// The rest of the command line, as it was given.
#[derive(Debug)]
pub struct Command {
    name: OsString,
    argv: Vec<CString>,
}

/// Why the command cannot take our place.
#[derive(Debug, PartialEq, Eq)]
pub struct ExecError {
    /// 126 or 127.
    pub exit: Exit,
    /// What is wrong with what.
    pub message: String,
}

impl Command {
    /// The command and its arguments; `None` where there is none.
    pub fn new(words: Vec<OsString>) -> Option<Self> {
        let name = words.first()?.clone();
        // The kernel hands arguments over as C strings, so none of them can hold a NUL.
        let argv =
            words.into_iter().filter_map(|word| CString::new(word.into_vec()).ok()).collect();
        Some(Self { name, argv })
    }

    /// Its name, as messages show it; its arguments may hold secrets.
    pub fn name(&self) -> String {
        crate::text::one_line(&self.name.to_string_lossy(), 200)
    }

    /// The paths at which execvp(3) would look, in its order. `path` is PATH.
    pub fn candidates(&self, path: Option<&OsStr>) -> Vec<PathBuf> {
        if self.name.as_bytes().contains(&b'/') {
            return vec![PathBuf::from(&self.name)];
        }
        // What glibc and musl search where PATH is unset differs in order and in /usr/local/bin; this is glibc's.
        let path = path.unwrap_or(OsStr::new("/bin:/usr/bin"));
        path.as_bytes()
            .split(|&b| b == b':')
            .map(|dir| Path::new(OsStr::from_bytes(dir)).join(&self.name))
            .collect()
    }

    /// Proves, by execvp's rules, that the command can be executed: not after a minute of waiting, but before it.
    ///
    /// # Errors
    /// 127 where it does not exist, 126 where it is there but cannot be executed.
    pub fn look_up(&self, path: Option<&OsStr>) -> Result<(), ExecError> {
        let mut denied = None;
        for candidate in self.candidates(path).iter().filter(|_| !self.name.is_empty()) {
            match executable(candidate) {
                Ok(()) => return Ok(()),
                // Like execvp, which goes on after EACCES and remembers it.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    denied = Some((candidate.clone(), error))
                }
                Err(_) => {}
            }
        }
        Err(match denied {
            Some((at, error)) => ExecError {
                exit: Exit::NotExecutable,
                message: format!(
                    "{}: cannot be executed: {}",
                    shown(at.as_os_str()),
                    describe(&error)
                ),
            },
            None if self.name.is_empty() => {
                ExecError { exit: Exit::NotFound, message: "the command is empty".to_owned() }
            }
            None if self.argv[0].as_bytes().contains(&b'/') => self.not_found("no such file"),
            None => self.not_found("not found in PATH"),
        })
    }

    fn not_found(&self, what: &str) -> ExecError {
        ExecError { exit: Exit::NotFound, message: format!("{}: {what}", shown(&self.name)) }
    }

    /// Becomes the command. Returns only where that failed; a signal ends this process at once then.
    pub fn exec(self, signals: Signals) -> ExecError {
        let mut argv: Vec<*const libc::c_char> =
            self.argv.iter().map(|word| word.as_ptr()).collect();
        argv.push(std::ptr::null());
        signals.release();
        // SAFETY: argv is null-terminated and its strings live until execvp returns.
        let error = unsafe {
            libc::execvp(argv[0], argv.as_ptr());
            io::Error::last_os_error()
        };
        // What is still to be said must not end us where nobody reads it.
        signals::ignore_pipe();
        let name = shown(&self.name);
        match error.kind() {
            io::ErrorKind::NotFound
                if self.look_up(std::env::var_os("PATH").as_deref()).is_ok() =>
            {
                self.not_found("is there, but its interpreter or loader is not")
            }
            io::ErrorKind::NotFound => self.not_found("no such file"),
            _ => ExecError {
                exit: Exit::NotExecutable,
                message: format!("{name}: cannot be executed: {}", describe(&error)),
            },
        }
    }
}

/// A name or a path as messages show it.
fn shown(name: &OsStr) -> String {
    one_line(&name.to_string_lossy(), MAX_FOREIGN)
}

fn executable(path: &Path) -> io::Result<()> {
    if std::fs::metadata(path)?.is_dir() {
        return Err(io::Error::from_raw_os_error(libc::EACCES));
    }
    Ok(rustix::fs::access(path, rustix::fs::Access::EXEC_OK)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look_up(name: &str, path: &str) -> Result<(), (Exit, String)> {
        let command = Command::new(vec![name.into()]).unwrap();
        command.look_up(Some(OsStr::new(path))).map_err(|e| (e.exit, e.message))
    }

    #[test]
    fn the_command_is_looked_up_by_execvps_rules() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        for (name, mode) in [("a/tool", 0o644), ("b/tool", 0o755), ("a/plain", 0o644)] {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, "").unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        let path = format!("{}:{}", at("a"), at("b"));
        assert_eq!(look_up("tool", &path), Ok(()));
        assert_eq!(look_up(&at("b/tool"), ""), Ok(()));
        let denied = format!("{}: cannot be executed: permission denied", at("a/plain"));
        assert_eq!(look_up("plain", &path), Err((Exit::NotExecutable, denied.clone())));
        assert_eq!(look_up(&at("a/plain"), ""), Err((Exit::NotExecutable, denied)));
        let dir_denied = format!("{}: cannot be executed: permission denied", at("a"));
        assert_eq!(look_up(&at("a"), ""), Err((Exit::NotExecutable, dir_denied)));
        assert_eq!(
            look_up("none", &path),
            Err((Exit::NotFound, "none: not found in PATH".to_owned()))
        );
        assert_eq!(look_up("", &path), Err((Exit::NotFound, "the command is empty".to_owned())));
        assert_eq!(
            look_up("/no/such", ""),
            Err((Exit::NotFound, "/no/such: no such file".to_owned()))
        );
    }
}
