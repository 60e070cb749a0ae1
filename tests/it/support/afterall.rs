//! A builder around the binary.

use super::done::Done;
use super::process::program;
use super::wait::{LONG, secs, wait_until};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, kill_process_group, pidfd_open};
use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

/// The longest time that a run in a test may take.
const HARD_LIMIT: Duration = Duration::from_secs(300);

/// A run of the binary. By default only PATH is set, stdin is empty, and the directory is `/`.
#[must_use]
pub struct Afterall {
    wrapper: Vec<OsString>,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    cwd: PathBuf,
    stdin: Option<Vec<u8>>,
}

impl Afterall {
    pub fn new() -> Self {
        let path = std::env::var_os("PATH").unwrap_or_default();
        Self {
            wrapper: vec![],
            args: vec![],
            env: vec![("PATH".into(), path)],
            cwd: "/".into(),
            stdin: None,
        }
    }

    /// One look, whose attempts have a bound that suits a loaded machine.
    pub fn once() -> Self {
        Self::new().arg("--once").env("AFTERALL_ATTEMPT_TIMEOUT", "30s")
    }

    /// `Afterall::waiting_for([&url, "cache:6379"])`.
    pub fn waiting_for<S: AsRef<OsStr>>(dependencies: impl IntoIterator<Item = S>) -> Self {
        Self::new().args(dependencies)
    }

    /// The binary under test: the one built with the tests, or the one that AFTERALL_BINARY names.
    pub fn program() -> &'static Path {
        static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
        PROGRAM.get_or_init(|| {
            std::env::var_os("AFTERALL_BINARY")
                .map_or_else(|| env!("CARGO_BIN_EXE_afterall").into(), PathBuf::from)
        })
    }

    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// `--` and the command: `.becoming(sh("echo hello"))`.
    pub fn becoming<S: AsRef<OsStr>>(self, command: impl IntoIterator<Item = S>) -> Self {
        self.arg("--").args(command)
    }

    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.retain(|(known, _)| known != name.as_ref());
        self.env.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Clears the environment, PATH included.
    pub fn without_env(mut self) -> Self {
        self.env.clear();
        self
    }

    pub fn cwd(mut self, dir: impl AsRef<Path>) -> Self {
        self.cwd = dir.as_ref().to_owned();
        self
    }

    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(bytes.into());
        self
    }

    /// Has another chain-loader start the binary, e.g. `.under(["tini", "--"])` or `.under(["sh",
    /// "-c", "ulimit -n 32; exec \"$@\"", "sh"])`.
    pub fn under<S: AsRef<OsStr>>(mut self, wrapper: impl IntoIterator<Item = S>) -> Self {
        self.wrapper.extend(wrapper.into_iter().map(|word| word.as_ref().to_owned()));
        self
    }

    #[track_caller]
    pub fn run(self) -> Done {
        self.spawn().wait(HARD_LIMIT)
    }

    #[track_caller]
    pub fn spawn(self) -> Running {
        let mut words = self.wrapper;
        words.push(Self::program().into());
        words.extend(self.args);
        // The program is looked up here, because the test's PATH may be useless.
        let first = Path::new(&words[0]);
        let name = words[0].to_str().unwrap();
        let first = if first.is_absolute() { first.to_owned() } else { program(name, name) };
        let mut command = Command::new(first);
        command.args(&words[1..]).env_clear().envs(self.env).current_dir(self.cwd);
        command.stdin(if self.stdin.is_some() { Stdio::piped() } else { Stdio::null() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        // A group of its own, so that the children of the command can be killed too.
        command.process_group(0);
        let started = Instant::now();
        let mut child = command.spawn().unwrap();
        let pid = Pid::from_child(&child);
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).unwrap();
        if let (Some(mut pipe), Some(bytes)) = (child.stdin.take(), self.stdin) {
            // A thread, because the bytes may exceed the pipe, and the command may never read them.
            thread::spawn(move || drop(pipe.write_all(&bytes)));
        }
        let stdout = Captured::from(child.stdout.take().unwrap());
        let stderr = Captured::from(child.stderr.take().unwrap());
        Running { child, pid, pidfd, started, stdout, stderr }
    }
}

/// A run in progress. Drop kills its process group.
#[must_use]
pub struct Running {
    child: Child,
    pid: Pid,
    // The exit is awaited by poll(2), so that the measured duration is exact.
    pidfd: OwnedFd,
    started: Instant,
    stdout: Captured,
    stderr: Captured,
}

impl Running {
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_pid()
    }

    pub fn stderr_so_far(&self) -> String {
        self.stderr.text()
    }

    pub fn stdout_so_far(&self) -> String {
        self.stdout.text()
    }

    #[track_caller]
    pub fn wait_for_stderr(&self, needle: &str, timeout: Duration) {
        if let Err(text) = self.stderr.wait_for(needle, timeout) {
            panic!("waited {timeout:?} in vain for {needle:?} in stderr:\n{text}");
        }
    }

    #[track_caller]
    pub fn wait_for_stdout(&self, needle: &str, timeout: Duration) {
        if let Err(text) = self.stdout.wait_for(needle, timeout) {
            panic!(
                "waited {timeout:?} in vain for {needle:?} in stdout:\n{text}stderr:\n{}",
                self.stderr.text()
            );
        }
    }

    /// Signals this process alone. A process that has ended is ignored.
    pub fn signal(&self, number: i32) {
        match Signal::from_named_raw(number) {
            Some(signal) => drop(kill_process(self.pid, signal)),
            // rustix knows no real-time signals.
            None => {
                let kill = program("kill", "procps");
                let args = [format!("-{number}"), self.pid().to_string()];
                assert!(Command::new(kill).args(args).status().unwrap().success());
            }
        }
    }

    pub fn is_running(&self) -> bool {
        !ended(&self.pidfd, Duration::ZERO)
    }

    /// A file of /proc/PID.
    pub fn proc(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.pid())).unwrap()
    }

    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Until the wait has begun, from when on signals are read by the wait.
    #[track_caller]
    pub fn wait_until_waiting(&self) {
        wait_until("the wait has begun", LONG, || is_waiting(self.pid()));
    }

    #[track_caller]
    pub fn wait(mut self, timeout: Duration) -> Done {
        assert!(
            ended(&self.pidfd, timeout),
            "it still runs after {timeout:?}\n--- stdout\n{}--- stderr\n{}---",
            self.stdout.text(),
            self.stderr.text()
        );
        let elapsed = self.started.elapsed();
        let status = self.child.wait().unwrap();
        // A pipe that stays open shows a process that was left behind.
        let [stdout, stderr] = [&self.stdout, &self.stderr].map(|stream| {
            stream.wait_for_end(secs(10)).expect("nobody holds stdout or stderr any longer")
        });
        Done::new(status, stdout, stderr, elapsed)
    }

    /// Waits with a bound that suits a loaded machine.
    #[track_caller]
    pub fn done(self) -> Done {
        self.wait(LONG)
    }
}

/// Returns true if the process blocks the signals that would end it, as afterall does while it
/// waits.
pub fn is_waiting(pid: i32) -> bool {
    const TERM: u64 = 1 << (15 - 1);
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:\t"));
    blocked.and_then(|bits| u64::from_str_radix(bits, 16).ok()).is_some_and(|bits| bits & TERM != 0)
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = kill_process_group(self.pid, Signal::KILL);
        let _ = self.child.wait();
    }
}

fn ended(pidfd: &OwnedFd, timeout: Duration) -> bool {
    let deadline = Instant::now() + timeout;
    loop {
        let left = Timespec::try_from(deadline.saturating_duration_since(Instant::now())).unwrap();
        match poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(&left)) {
            Ok(ready) => return ready > 0,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("poll: {error}"),
        }
    }
}

/// A stream that a thread reads to its end.
#[derive(Clone)]
struct Captured(Arc<(Mutex<Stream>, Condvar)>);

#[derive(Default)]
struct Stream {
    bytes: Vec<u8>,
    ended: bool,
}

impl Stream {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

impl Captured {
    fn from(mut pipe: impl Read + Send + 'static) -> Self {
        let captured = Self(Arc::default());
        let writer = captured.clone();
        thread::spawn(move || {
            let (stream, changed) = &*writer.0;
            let mut buffer = [0; 8192];
            loop {
                let read = pipe.read(&mut buffer).unwrap_or(0);
                let mut stream = stream.lock().unwrap();
                stream.bytes.extend_from_slice(&buffer[..read]);
                stream.ended = read == 0;
                changed.notify_all();
                if stream.ended {
                    return;
                }
            }
        });
        captured
    }

    fn text(&self) -> String {
        self.0.0.lock().unwrap().text()
    }

    fn wait_for(&self, needle: &str, timeout: Duration) -> Result<(), String> {
        let stream =
            self.wait_while(timeout, |stream| !stream.ended && !stream.text().contains(needle));
        if stream.text().contains(needle) { Ok(()) } else { Err(stream.text()) }
    }

    fn wait_for_end(&self, timeout: Duration) -> Option<String> {
        let stream = self.wait_while(timeout, |stream| !stream.ended);
        stream.ended.then(|| stream.text())
    }

    fn wait_while(
        &self,
        timeout: Duration,
        mut unfinished: impl FnMut(&Stream) -> bool,
    ) -> std::sync::MutexGuard<'_, Stream> {
        let (stream, changed) = &*self.0;
        changed
            .wait_timeout_while(stream.lock().unwrap(), timeout, |stream| unfinished(stream))
            .unwrap()
            .0
    }
}
