//! `exec:` — the command exits 0. No shell; its whole process group is gone when the attempt is.

use std::{
    ffi::OsString,
    fs::OpenOptions,
    io,
    os::unix::{ffi::OsStrExt, process::ExitStatusExt},
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use rustix::{
    fs::{MemfdFlags, memfd_create},
    io::Errno,
    process::{Pid, Signal, WaitOptions, kill_process_group, waitpgid},
};
use tokio::{
    io::AsyncReadExt,
    process::{ChildStderr, Command},
};

use crate::{
    connect::is_local_limit,
    exec,
    os::describe,
    probe::{Attempt, AttemptFuture, Class, Failure, Probe, Verdict},
    signals,
    spec::{ConfigError, Grammar, Kind, Spec, expand::Text},
    text::{MAX_FOREIGN, one_line},
};

/// The kind.
pub static KIND: Kind = Kind {
    name: "exec",
    schemes: &["exec"],
    grammar: Grammar::Own(first_word),
    usage: "exec:COMMAND ARG...",
    summary: "the command exits 0 (stdin is /dev/null, stdout is thrown away)",
    keys: &[],
    build,
    ..Kind::DEFAULT
};

/// How long the killed may take to be gone.
const REAPING: Duration = Duration::from_millis(50);

/// What is kept of the end of its stderr, in bytes.
const TAIL: usize = 4096;

/// The command without its arguments, which names the dependency.
fn first_word(rest: &Text) -> Result<String, String> {
    let word = rest.split(' ').find(|word| !word.is_empty());
    // `PGPASSWORD=x psql` is a mistake, which `build` reports.
    let name = word.as_ref().and_then(|word| word.split('=').next());
    Ok(name.map(|name| name.display_redacted()).unwrap_or_default())
}

struct Exec {
    words: Vec<OsString>,
}

fn build(spec: &Spec) -> Result<Box<dyn Probe>, ConfigError> {
    // Split before expansions are put in: what a variable holds is one word, or part of one.
    let words =
        shell_words::split(spec.rest.raw()).map_err(|_| spec.error("a quote is not closed"))?;
    if words
        .first()
        .is_some_and(|word| word.split('/').next().is_some_and(|start| start.contains('=')))
    {
        return Err(spec
            .error("exec: starts no shell, which a NAME=VALUE before the command needs; env NAME=VALUE COMMAND does the same"));
    }
    let words: Vec<OsString> =
        words.iter().map(|word| spec.rest.part(word).expanded().into()).collect();
    if words.iter().any(|word| word.as_bytes().contains(&0)) {
        return Err(spec.error("exec: a NUL cannot be part of a command"));
    }
    let command =
        exec::Command::new(words.clone()).ok_or_else(|| spec.error("exec: needs a command"))?;
    // What it is told in confidence it may repeat in its last words.
    spec.rest.secrets().for_each(|secret| drop(spec.secret(secret)));
    let path = spec.env.var("PATH").map_err(|what| spec.error(what))?;
    command.look_up(path.as_deref().map(str::as_ref)).map_err(|e| spec.error(e.message))?;
    Ok(Box::new(Exec { words }))
}

impl Probe for Exec {
    fn attempt<'a>(&'a mut self, attempt: &'a Attempt<'a>) -> AttemptFuture<'a> {
        Box::pin(async {
            attempt.stage("no exit status");
            match self.run().await {
                Ok((status, _)) if status.success() => Verdict::Ready("exit status 0".to_owned()),
                Ok((status, tail)) => failed(status, &tail).verdict(),
                Err(error) if is_local_limit(&error) => Failure::new(
                    Class::Local,
                    format!("a limit of this process: {}", describe(&error)),
                )
                .verdict(),
                Err(error) => {
                    Failure::new(Class::Absent, format!("cannot be executed: {}", describe(&error)))
                        .verdict()
                }
            }
        })
    }

    fn is_local(&self) -> bool {
        true
    }
}

impl Exec {
    async fn run(&self) -> io::Result<(ExitStatus, Vec<u8>)> {
        let mut command = Command::new(&self.words[0]);
        command
            .args(&self.words[1..])
            .stdin(null())
            .stdout(null())
            .stderr(Stdio::piped())
            .process_group(0);
        signals::as_inherited(&mut command);
        let mut child = command.spawn()?;
        let _group = Group(child.id().and_then(|id| Pid::from_raw(id as i32)));
        let mut stderr = child.stderr.take();
        let mut tail = Vec::new();
        let status = loop {
            tokio::select! {
                biased;
                open = read_some(&mut stderr, &mut tail), if stderr.is_some() => if !open {
                    stderr = None;
                },
                status = child.wait() => break status?,
            }
        };
        Ok((status, tail))
    }
}

/// /dev/null; in an image that has no /dev, an empty file without a name, which is gone with the command.
fn null() -> Stdio {
    let null = OpenOptions::new().read(true).write(true).open("/dev/null").map(Stdio::from);
    null.or_else(|_| memfd_create("null", MemfdFlags::CLOEXEC).map(Stdio::from))
        .unwrap_or_else(|_| Stdio::null())
}

/// Reads what is there and keeps the end of it. False: nothing more will come.
async fn read_some(stderr: &mut Option<ChildStderr>, tail: &mut Vec<u8>) -> bool {
    let mut chunk = [0; 1024];
    let read = match stderr {
        Some(stderr) => stderr.read(&mut chunk).await.unwrap_or(0),
        None => 0,
    };
    tail.extend_from_slice(&chunk[..read]);
    tail.drain(..tail.len().saturating_sub(TAIL));
    read > 0
}

/// The command's process group. Whatever of it is left when the attempt ends, or is cut, is killed and reaped, or the service
/// that we become would inherit a zombie.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        let Group(Some(leader)) = *self else { return };
        // Gone already, in the usual case.
        let _ = kill_process_group(leader, Signal::KILL);
        // Not the leader alone: to PID 1 falls whoever loses its parent. A process makes its children orphans before it can be
        // reaped itself, so that the last one is met too. What we may not kill, since it changed its user, or what the kernel
        // cannot end yet, is left behind rather than waited for.
        let patience = Instant::now() + REAPING;
        while Instant::now() < patience {
            match waitpgid(leader, WaitOptions::NOHANG) {
                Err(Errno::INTR) | Ok(Some(_)) => {}
                Ok(None) => std::thread::sleep(Duration::from_millis(1)),
                Err(_) => return,
            }
        }
    }
}

fn failed(status: ExitStatus, tail: &[u8]) -> Failure {
    let how = match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("killed by {}", signals::name(signal)),
        (None, None) => "ended".to_owned(),
    };
    let text = String::from_utf8_lossy(tail);
    let last = text.lines().map(str::trim).rfind(|line| !line.is_empty());
    let message = match last {
        Some(last) => format!("{how}: {}", one_line(last, MAX_FOREIGN)),
        None => how,
    };
    Failure::new(Class::Absent, message).means_down()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_command_is_told_by_its_status_and_its_last_words() {
        let of = |raw: i32, tail: &str| failed(ExitStatus::from_raw(raw), tail.as_bytes()).message;
        assert_eq!(of(3 << 8, "first\nno\tanswer\u{1b}\n\n"), "exit status 3: no answer\u{fffd}");
        assert_eq!(of(1 << 8, ""), "exit status 1");
        assert_eq!(of(libc::SIGSEGV, ""), "killed by SIGSEGV");
    }
}
