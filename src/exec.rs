//! Looks the command up before the wait, and executes it after the wait, at most once.
#![allow(unsafe_code)] // execvp and ptrace have no safe interface.

mod program;

use std::{
    ffi::{CString, OsStr, OsString},
    io,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
};

use program::Unfit;

use crate::{
    exit::Exit,
    os::describe,
    signals::{self, Signals},
    text::{MAX_FOREIGN, one_line},
};

/// The command and its arguments.
#[derive(Debug)]
pub struct Command {
    name: OsString,
    argv: Vec<CString>,
    is_looked_up: bool,
}

/// The reason why the command cannot be executed.
#[derive(Debug, PartialEq, Eq)]
pub struct ExecError {
    /// 126 or 127.
    pub exit: Exit,
    /// The message, which names the file.
    pub message: String,
}

impl std::fmt::Display for ExecError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ExecError {}

impl Command {
    /// The command and its arguments; `None` where there is none.
    pub fn new(words: Vec<OsString>) -> Option<Self> {
        let name = words.first()?.clone();
        // The kernel passes arguments as C strings, so none of them can hold a NUL.
        let argv =
            words.into_iter().filter_map(|word| CString::new(word.into_vec()).ok()).collect();
        Some(Self { name, argv, is_looked_up: false })
    }

    /// Returns the name for messages. The arguments may hold secrets, and are not shown.
    pub fn name(&self) -> String {
        one_line(&self.name.to_string_lossy(), 200)
    }

    /// Returns the paths at which execvp(3) looks, in its order. `path` is PATH.
    pub fn candidates(&self, path: Option<&OsStr>) -> Vec<PathBuf> {
        candidates(&self.name, path)
    }

    /// Checks before the wait that the command can be executed, by execvp's rules.
    ///
    /// # Errors
    /// 127 where it or its interpreter does not exist, 126 where it cannot be executed.
    pub fn look_up(&mut self, path: Option<&OsStr>) -> Result<(), ExecError> {
        let search = path.unwrap_or_else(|| OsStr::new(DEFAULT_PATH));
        self.find(path, |candidate| program::check(candidate, search))?;
        self.is_looked_up = true;
        Ok(())
    }

    /// Like [`Command::look_up`], but opens no file: for a command that is on a file system which
    /// may not answer yet.
    ///
    /// # Errors
    /// 127 where the command does not exist, 126 where it may not be executed.
    pub fn look_up_unopened(&self, path: Option<&OsStr>) -> Result<(), ExecError> {
        self.find(path, program::may_execute)
    }

    fn find(
        &self,
        path: Option<&OsStr>,
        check: impl Fn(&Path) -> Result<(), Unfit>,
    ) -> Result<(), ExecError> {
        if self.name.is_empty() {
            return Err(ExecError {
                exit: Exit::NotFound,
                message: "the command is empty".to_owned(),
            });
        }
        let (mut denied, mut broken) = (None, None);
        for candidate in self.candidates(path) {
            let error = |exit, why| {
                let message =
                    format!("{}: cannot be executed: {why}", shown(candidate.as_os_str()));
                ExecError { exit, message }
            };
            match check(&candidate) {
                Ok(()) => return Ok(()),
                Err(Unfit::Absent) => {}
                Err(Unfit::Denied(why)) => {
                    denied.get_or_insert(error(Exit::NotExecutable, why));
                }
                Err(Unfit::NoInterpreter(why)) => {
                    broken.get_or_insert(error(Exit::NotFound, why));
                }
                Err(Unfit::Foreign(why)) => return Err(error(Exit::NotExecutable, why)),
            }
        }
        let nothing =
            if self.name.as_bytes().contains(&b'/') { "no such file" } else { "not found in PATH" };
        Err(denied.or(broken).unwrap_or_else(|| self.not_found(nothing)))
    }

    fn not_found(&self, message: &str) -> ExecError {
        ExecError { exit: Exit::NotFound, message: format!("{}: {message}", shown(&self.name)) }
    }

    /// Becomes the command. Returns only on failure; a signal then ends this process at once.
    pub fn exec(mut self, signals: Signals) -> ExecError {
        let path = std::env::var_os("PATH");
        // The file of this command is itself a dependency, so the lookup happens only now.
        if !self.is_looked_up
            && let Err(error) = self.look_up(path.as_deref())
        {
            return error;
        }
        let mut argv: Vec<*const libc::c_char> =
            self.argv.iter().map(|word| word.as_ptr()).collect();
        argv.push(std::ptr::null());
        signals.release();
        // SAFETY: argv is null-terminated and its strings live until execvp returns.
        let error = unsafe {
            libc::execvp(argv[0], argv.as_ptr());
            io::Error::last_os_error()
        };
        // The last message must not end this process if its reader is gone.
        signals::ignore_own_writes();
        // If the lookup finds an error now, the command has changed since the first lookup.
        if let Err(error) = self.look_up(path.as_deref()) {
            return error;
        }
        let exit = match error.kind() {
            io::ErrorKind::NotFound => Exit::NotFound,
            _ => Exit::NotExecutable,
        };
        let message = format!("{}: cannot be executed: {}", shown(&self.name), describe(&error));
        ExecError { exit, message }
    }
}

/// The directories that glibc searches if PATH is not set. musl adds /usr/local/bin.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// Returns the paths at which execvp(3) looks for `name`, in its order.
fn candidates(name: &OsStr, path: Option<&OsStr>) -> Vec<PathBuf> {
    if name.as_bytes().contains(&b'/') {
        return vec![PathBuf::from(name)];
    }
    let path = path.unwrap_or_else(|| OsStr::new(DEFAULT_PATH));
    path.as_bytes()
        .split(|&b| b == b':')
        .map(|dir| Path::new(OsStr::from_bytes(dir)).join(name))
        .collect()
}

/// Returns a name or a path in the form of messages.
fn shown(name: &OsStr) -> String {
    one_line(&name.to_string_lossy(), MAX_FOREIGN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look_up(name: &str, path: &str) -> Result<(), (Exit, String)> {
        let mut command = Command::new(vec![name.into()]).unwrap();
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
        let dir_denied = format!("{}: cannot be executed: is a directory", at("a"));
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
