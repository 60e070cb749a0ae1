//! The process of a real server. Drop ends it.

use super::dir::read_lossy;
use super::wait::{LONG, wait_for, wait_until};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Sender};
use std::sync::{Mutex, OnceLock};
use std::thread;

/// The program's path. A missing server fails the test, which is never skipped.
#[track_caller]
pub fn program(name: &str, package: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian keeps servers in /usr/sbin, which is not in a plain user's PATH.
    let usual = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
    std::env::split_paths(&path)
        .chain(usual.iter().map(PathBuf::from))
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
        .unwrap_or_else(|| missing(name, package))
}

#[track_caller]
pub fn missing(name: &str, package: &str) -> ! {
    panic!("{name} is not installed, and the tests need it: apt-get install -y {package}");
}

/// The processes that are ended and paused together.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The process alone; its children notice its end.
    Process,
    /// The process group, because the children would survive their parent.
    Group,
}

pub struct Server {
    name: &'static str,
    child: Child,
    pid: Pid,
    log: PathBuf,
    ending: Signal,
    scope: Scope,
}

impl Server {
    /// The server's output is appended to `log`.
    pub fn start(
        name: &'static str,
        words: &[&OsStr],
        log: &Path,
        ending: Signal,
        scope: Scope,
    ) -> Self {
        Self::start_as(&[], name, words, log, ending, scope)
    }

    /// `identity` is for setpriv, which changes the user first: that change clears the parent-death
    /// signal.
    pub fn start_as(
        identity: &[&str],
        name: &'static str,
        words: &[&OsStr],
        log: &Path,
        ending: Signal,
        scope: Scope,
    ) -> Self {
        let output = OpenOptions::new().create(true).append(true).open(log).unwrap();
        let mut command = Command::new(program("setpriv", "util-linux"));
        // setpriv accepts only names of signals.
        let signal = if ending == Signal::QUIT { "QUIT" } else { "TERM" };
        command.args(identity).args(["--pdeathsig", signal, "--"]).args(words);
        command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
        // A group of its own: Ctrl-C does not reach it, and it can be paused and killed as one.
        command.process_group(0);
        let child =
            spawn_from_lasting_thread(command).unwrap_or_else(|error| panic!("{name}: {error}"));
        let pid = Pid::from_child(&child);
        Self { name, child, pid, log: log.to_owned(), ending, scope }
    }

    pub fn pid(&self) -> Pid {
        self.pid
    }

    pub fn signal(&self, signal: Signal) {
        let _ = kill_process(self.pid, signal);
    }

    pub fn pause(&self) {
        self.signal_all(Signal::STOP);
    }

    pub fn resume(&self) {
        self.signal_all(Signal::CONT);
    }

    /// Panics with the server's log when the process ends instead.
    #[track_caller]
    pub fn wait_until_up(&mut self, mut up: impl FnMut() -> bool) {
        wait_until(&format!("{} is up", self.name), LONG * 5, || {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("{} ended with {status}; its log:\n{}", self.name, read_lossy(&self.log));
            }
            up()
        });
    }

    #[track_caller]
    pub fn wait_until_down(&mut self) -> ExitStatus {
        wait_for(&format!("{} ends", self.name), LONG, || self.child.try_wait().unwrap())
    }

    pub fn is_up(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    fn signal_all(&self, signal: Signal) {
        match self.scope {
            Scope::Process => self.signal(signal),
            Scope::Group => {
                let _ = kill_process_group(self.pid, signal);
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        self.resume();
        self.signal(self.ending);
        // `wait_until` could panic during a panic, which would abort all tests.
        for _ in 0..2_000 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(std::time::Duration::from_millis(2));
        }
        let _ = kill_process_group(self.pid, Signal::KILL);
        let _ = self.child.wait();
    }
}

type Job = Box<dyn FnOnce() + Send>;

/// Spawns from one thread that lives as long as the process. The parent-death signal comes when the
/// *thread* that forked ends, and a test's thread may end before its server.
pub fn spawn_from_lasting_thread(mut command: Command) -> std::io::Result<Child> {
    static SPAWNER: OnceLock<Mutex<Sender<Job>>> = OnceLock::new();
    let jobs = SPAWNER.get_or_init(|| {
        let (jobs, queue) = mpsc::channel::<Job>();
        thread::Builder::new()
            .name("spawner".into())
            .spawn(move || queue.iter().for_each(|job| job()))
            .unwrap();
        Mutex::new(jobs)
    });
    let (answer, answered) = mpsc::channel();
    jobs.lock().unwrap().send(Box::new(move || drop(answer.send(command.spawn())))).unwrap();
    answered.recv().unwrap()
}
