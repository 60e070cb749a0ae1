//! `exec:` — the command exits 0. No shell; its process group is killed when the attempt ends.

mod shell;

use std::{
    ffi::OsString,
    fs::{File, OpenOptions},
    io::{self, Read},
    os::{
        fd::OwnedFd,
        unix::{
            ffi::OsStrExt,
            fs::OpenOptionsExt,
            process::{CommandExt, ExitStatusExt},
        },
    },
    path::PathBuf,
    process::{Command, ExitStatus, Stdio},
    time::Duration,
};

use rustix::{
    fs::{MemfdFlags, memfd_create},
    process::{Pid, PidfdFlags, pidfd_open},
};
use tokio::{io::AsyncReadExt, net::unix::pipe, time::sleep};

use crate::{
    children::{self, ProcessGroup},
    connect::is_local_limit,
    exec,
    os::describe,
    probe::{Attempt, AttemptFuture, BlockingLane, Class, Failure, Probe, Verdict},
    signals,
    spec::{ConfigError, Grammar, Kind, Spec},
    text::{MAX_FOREIGN, one_line},
};

/// The kind.
pub static KIND: Kind = Kind {
    name: "exec",
    schemes: &["exec"],
    grammar: Grammar::Words,
    usage: "exec:COMMAND ARG...",
    summary: "the command exits 0 (stdin is /dev/null, stdout is thrown away)",
    keys: &[],
    build,
    ..Kind::DEFAULT
};

/// The part of the command's stderr that is kept, from its end, in bytes.
const TAIL: usize = 4096;

/// The pause between two checks for the command's end, on a kernel without pidfds (before Linux
/// 5.3).
const POLL: Duration = Duration::from_millis(5);

struct Exec {
    words: Vec<OsString>,
    /// The paths at which the system looks for the command, in its order.
    candidates: Vec<PathBuf>,
    /// A file system that does not answer holds this lane's thread, and nothing else.
    lane: BlockingLane,
}

fn build(spec: &Spec) -> Result<Box<dyn Probe>, ConfigError> {
    if let Some(operator) = shell::find_operator(spec.rest.raw()) {
        return Err(spec.error(format_args!(
            "exec: starts no shell, which {operator} needs; write exec:sh -c '...', or quote a \
            word that is data"
        )));
    }
    // Split before expansions are put in: the value of a variable is one word, or part of one.
    let words =
        shell_words::split(spec.rest.raw()).map_err(|_| spec.error("a quote is not closed"))?;
    if words
        .first()
        .is_some_and(|word| word.split('/').next().is_some_and(|start| start.contains('=')))
    {
        return Err(spec.error(
            "exec: starts no shell, which a NAME=VALUE before the command needs; env NAME=VALUE \
            COMMAND does the same",
        ));
    }
    let words: Vec<OsString> =
        words.iter().map(|word| spec.rest.part(word).expanded().into()).collect();
    if words.iter().any(|word| word.as_bytes().contains(&0)) {
        return Err(spec.error("exec: a NUL cannot be part of a command"));
    }
    let command =
        exec::Command::new(words.clone()).ok_or_else(|| spec.error("exec: needs a command"))?;
    let path = spec.env.var("PATH").map_err(|message| spec.error(message))?;
    let path = path.as_deref().map(str::as_ref);
    command.look_up_unopened(path).map_err(|e| spec.error(e.message))?;
    let candidates = command.candidates(path);
    Ok(Box::new(Exec { words, candidates, lane: BlockingLane::default() }))
}

impl Probe for Exec {
    fn attempt<'a>(&'a mut self, attempt: &'a Attempt<'a>) -> AttemptFuture<'a> {
        Box::pin(async {
            self.ask(attempt).await.map_or_else(Verdict::from, |()| Verdict::ready("exit status 0"))
        })
    }

    fn is_local(&self) -> bool {
        true
    }
}

impl Exec {
    async fn ask(&self, attempt: &Attempt<'_>) -> Result<(), Failure> {
        children::reap();
        attempt.stage("the file system does not answer, so the command was not started");
        let candidates = self.candidates.clone();
        self.lane.run(move || touch(&candidates)).await?;
        attempt.stage("no exit status");
        match self.run().await {
            Ok((status, _)) if status.success() => Ok(()),
            Ok((status, tail)) => Err(failed(status, &tail)),
            Err(error) if is_local_limit(&error) => {
                Err(Failure::local(&error, "starting the command"))
            }
            Err(error) => Err(Failure::new(
                Class::Absent,
                format!("cannot be executed: {}", describe(&error)),
            )),
        }
    }

    async fn run(&self) -> io::Result<(ExitStatus, Vec<u8>)> {
        let mut command = Command::new(&self.words[0]);
        command
            .args(&self.words[1..])
            .stdin(null())
            .stdout(null())
            .stderr(Stdio::piped())
            .process_group(0);
        signals::restore_signal_mask(&mut command);
        let mut child = command.spawn()?;
        let leader = Pid::from_child(&child);
        let group = ProcessGroup::led_by(leader);
        let stderr = child.stderr.take().map(OwnedFd::from);
        let mut stderr = stderr.map(pipe::Receiver::from_owned_fd).transpose()?;
        let mut tail = Vec::new();
        let status = {
            let mut ended = std::pin::pin!(status_of(&group, leader));
            loop {
                tokio::select! {
                    biased;
                    open = read_some(&mut stderr, &mut tail), if stderr.is_some() => if !open {
                        stderr = None;
                    },
                    status = &mut ended => break status?,
                }
            }
        };
        Ok((status, tail))
    }
}

/// Opens the command's file and reads its first bytes, because starting a command waits for its
/// file system.
///
/// Errors are left to the start itself, which meets them too. A FIFO must not block an ordinary
/// open.
fn touch(candidates: &[PathBuf]) {
    let open = |path: &PathBuf| -> io::Result<File> {
        OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)
    };
    if let Some(mut file) = candidates.iter().find_map(|path| open(path).ok()) {
        let _ = file.read(&mut [0; 2]);
    }
}

/// Waits for the end of the group's leader, and kills the rest of the group before the leader is
/// reaped.
async fn status_of(group: &ProcessGroup, leader: Pid) -> io::Result<ExitStatus> {
    // EPERM and ENOSYS: an old kernel, or an old container's seccomp filter.
    match pidfd_open(leader, PidfdFlags::empty()) {
        Ok(pidfd) => {
            // Only waited on, never read. tokio's safe wrapper for a descriptor of any type is the
            // one for pipes.
            pipe::Receiver::from_owned_fd_unchecked(pidfd)?.readable().await?;
            group.kill();
        }
        Err(error) if is_local_limit(&error.into()) => return Err(error.into()),
        Err(_) => {}
    }
    loop {
        match group.leader_status()? {
            Some(status) => return Ok(status),
            None => sleep(POLL).await,
        }
    }
}

/// /dev/null; in an image that has no /dev, an empty file without a name, which is gone with the
/// command.
fn null() -> Stdio {
    let null = OpenOptions::new().read(true).write(true).open("/dev/null").map(Stdio::from);
    null.or_else(|_| memfd_create("null", MemfdFlags::CLOEXEC).map(Stdio::from))
        .unwrap_or_else(|_| Stdio::null())
}

/// Reads the available bytes and keeps the last of them. Returns false at the end of the stream.
async fn read_some(stderr: &mut Option<pipe::Receiver>, tail: &mut Vec<u8>) -> bool {
    let mut chunk = [0; 1024];
    let read = match stderr {
        Some(stderr) => stderr.read(&mut chunk).await.unwrap_or(0),
        None => 0,
    };
    tail.extend_from_slice(&chunk[..read]);
    tail.drain(..tail.len().saturating_sub(TAIL));
    read > 0
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
        let of = |raw: i32, tail: &str| {
            failed(ExitStatus::from_raw(raw), tail.as_bytes()).message.to_string()
        };
        assert_eq!(of(3 << 8, "first\nno\tanswer\u{1b}\n\n"), "exit status 3: no answer\u{fffd}");
        assert_eq!(of(1 << 8, ""), "exit status 1");
        assert_eq!(of(libc::SIGSEGV, ""), "killed by SIGSEGV");
    }
}
