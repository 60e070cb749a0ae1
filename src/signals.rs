//! What ends the wait from outside, and the signal state that the command must find as if we had never been there.
//!
//! Every signal that would end us is blocked from the first line of `main` and read from a signalfd, so none can fall between
//! a check and what follows it: one that arrives after the last look stays pending, and is delivered when the
//! inherited mask is put back, an instant before exec. PID 1 is not ended by a signal's default action, so at that instant a handler
//! does it; the handlers are reset by exec itself. What was ignored, or blocked, when we started is left alone.
#![allow(unsafe_code)] // Signal masks and dispositions have no safe interface that covers all of this.

use std::{
    io, mem,
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::process::CommandExt,
    },
    ptr,
    rc::Rc,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use tokio::io::unix::AsyncFd;

/// Whether SIGPIPE was ignored when we started. Rust's runtime ignores it before `main`, whatever was inherited.
static PIPE_IGNORED: AtomicBool = AtomicBool::new(false);

/// The signal mask that we were started with, for the command and for the children of `exec:` probes.
static INHERITED: OnceLock<libc::sigset_t> = OnceLock::new();

/// Runs before Rust's runtime, which would lose two things that the command is to inherit.
extern "C" fn before_runtime() {
    PIPE_IGNORED.store(disposition(libc::SIGPIPE) == libc::SIG_IGN, Relaxed);
    for fd in 0..3 {
        // The runtime opens /dev/null over closed standard descriptors, for good, and aborts where there is none. A directory
        // that is closed by exec holds the place instead: reading and writing it fails, and the command finds it closed.
        // SAFETY: plain system calls on constants; open takes the lowest free descriptor, which is `fd`.
        unsafe {
            if libc::fcntl(fd, libc::F_GETFD) < 0 {
                libc::open(c"/".as_ptr(), libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC);
            }
        }
    }
}

// SAFETY: the loader calls the functions of this section before main, once, with no other thread running.
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_RUNTIME: extern "C" fn() = before_runtime;

/// The signals that end the wait, held back.
pub struct Signals {
    inherited: libc::sigset_t,
    /// SIGCHLD was ignored, so that the kernel would reap our probes' children before we can learn how they ended.
    child_ignored: bool,
    held: Vec<i32>,
    pending: Rc<OwnedFd>,
}

impl Signals {
    /// Holds back every signal that would end this process. To be called before any thread is started.
    ///
    /// # Errors
    /// Where no descriptor is left for the signalfd.
    pub fn hold() -> io::Result<Self> {
        if !PIPE_IGNORED.load(Relaxed) {
            set_disposition(libc::SIGPIPE, libc::SIG_DFL);
        }
        let mut inherited = set_of(&[]);
        // SAFETY: with a null new mask this only reads.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, ptr::null(), &mut inherited) };
        let held: Vec<i32> = (1..=libc::SIGRTMAX())
            .filter(|&signal| ends_a_process(signal) || (signal == libc::SIGWINCH && is_first()))
            .filter(|&signal| disposition(signal) != libc::SIG_IGN)
            // SAFETY: reads a set that was initialised above.
            .filter(|&signal| unsafe { libc::sigismember(&inherited, signal) } == 0)
            .collect();
        let _ = INHERITED.set(inherited);
        let child_ignored = disposition(libc::SIGCHLD) == libc::SIG_IGN;
        if child_ignored {
            set_disposition(libc::SIGCHLD, libc::SIG_DFL);
        }
        let set = set_of(&held);
        // SAFETY: the set is initialised; signalfd returns a new descriptor that nobody else owns.
        let pending = unsafe {
            libc::pthread_sigmask(libc::SIG_BLOCK, &set, ptr::null_mut());
            match libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) {
                -1 => return Err(io::Error::last_os_error()),
                fd => Rc::new(OwnedFd::from_raw_fd(fd)),
            }
        };
        Ok(Self { inherited, child_ignored, held, pending })
    }

    /// The next signal that is to end the wait.
    pub async fn next(&self) -> i32 {
        // Without a place in epoll nothing could wake us; the runtime itself has not come up then, and says so first.
        // SAFETY: the descriptor is owned by what is registered, which never exchanges it for another.
        let registered = unsafe { AsyncFd::register(Rc::clone(&self.pending)) };
        let Ok(readable) = registered else { return std::future::pending().await };
        loop {
            let Ok(mut ready) = readable.readable().await else { continue };
            while let Some(signal) = self.take() {
                if let Some(signal) = signal {
                    return signal;
                }
            }
            ready.clear_ready();
        }
    }

    /// Takes one pending signal; `Some(None)` is one that does not count.
    fn take(&self) -> Option<Option<i32>> {
        // SAFETY: signalfd_siginfo is plain data, of the size that read is told.
        let (read, info) = unsafe {
            let mut info: libc::signalfd_siginfo = mem::zeroed();
            let size = mem::size_of_val(&info);
            (
                libc::read(self.pending.as_raw_fd(), (&raw mut info).cast(), size) == size as isize,
                info,
            )
        };
        if !read {
            return None;
        }
        // Our own write to a closed pipe raises SIGPIPE too; that is an error of the write, and no reason to end.
        let signal = info.ssi_signo as i32;
        let own = signal == libc::SIGPIPE
            && info.ssi_pid == rustix::process::getpid().as_raw_nonzero().get() as u32;
        Some((!own).then_some(signal))
    }

    /// Puts the inherited mask back. Every held signal that is pending, or comes before exec, ends this process here.
    pub fn release(self) {
        while let Some(signal) = self.take() {
            if let Some(signal) = signal {
                die_of(signal);
            }
        }
        if self.child_ignored {
            set_disposition(libc::SIGCHLD, libc::SIG_IGN);
        }
        if is_first() {
            for &signal in &self.held {
                set_disposition(signal, die_in_handler as *const () as libc::sighandler_t);
            }
        }
        // SAFETY: the mask is the one that was read at the start.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.inherited, ptr::null_mut()) };
    }
}

/// Has a child start with the signal mask that we were started with, rather than with everything held back.
pub fn as_inherited(command: &mut std::process::Command) {
    let mask = INHERITED.get().copied();
    // SAFETY: pthread_sigmask is async-signal-safe, and the mask was copied before the fork.
    unsafe {
        command.pre_exec(move || {
            if let Some(mask) = &mask {
                libc::pthread_sigmask(libc::SIG_SETMASK, mask, ptr::null_mut());
            }
            Ok(())
        });
    }
}

extern "C" fn die_in_handler(signal: i32) {
    die_of(signal)
}

/// Ends this process by the signal's default action, or, where that does not end PID 1, with 128+n. Async-signal-safe.
pub fn die_of(signal: i32) -> ! {
    // SAFETY: all of these are on POSIX's list of async-signal-safe functions.
    unsafe {
        // An operator's SIGQUIT is to end us, not to leave a core dump of what holds secrets.
        libc::setrlimit(libc::RLIMIT_CORE, &libc::rlimit { rlim_cur: 0, rlim_max: 0 });
        set_disposition(signal, libc::SIG_DFL);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &set_of(&[signal]), ptr::null_mut());
        libc::kill(libc::getpid(), signal);
        libc::_exit(128 + signal)
    }
}

/// Whether we are PID 1, which default actions do not end.
fn is_first() -> bool {
    rustix::process::getpid().is_init()
}

/// From here on a write to a closed pipe is an error and nothing more.
pub fn ignore_pipe() {
    set_disposition(libc::SIGPIPE, libc::SIG_IGN);
}

/// Whether the default action ends a process, and the signal can be held back (signal(7)).
fn ends_a_process(signal: i32) -> bool {
    const IGNORED: [i32; 4] = [libc::SIGCHLD, libc::SIGCONT, libc::SIGURG, libc::SIGWINCH];
    const STOPPING: [i32; 4] = [libc::SIGSTOP, libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];
    // Between the standard and the real-time signals lie those that the C library keeps for itself.
    let exists = signal < 32 || signal >= libc::SIGRTMIN();
    exists && signal != libc::SIGKILL && !IGNORED.contains(&signal) && !STOPPING.contains(&signal)
}

/// The name of a signal, e.g. `SIGTERM`.
pub fn name(signal: i32) -> String {
    const NAMES: [&str; 32] = [
        "0", "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV",
        "USR2", "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU",
        "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
    ];
    match usize::try_from(signal).ok().and_then(|n| NAMES.get(n)) {
        Some(name) => format!("SIG{name}"),
        None => format!("SIGRTMIN+{}", signal - libc::SIGRTMIN()),
    }
}

fn set_of(signals: &[i32]) -> libc::sigset_t {
    // SAFETY: sigemptyset initialises the set before anything reads it.
    unsafe {
        let mut set = mem::zeroed();
        libc::sigemptyset(&mut set);
        for &signal in signals {
            libc::sigaddset(&mut set, signal);
        }
        set
    }
}

fn disposition(signal: i32) -> libc::sighandler_t {
    // SAFETY: with a null new action this only reads.
    unsafe {
        let mut action: libc::sigaction = mem::zeroed();
        libc::sigaction(signal, ptr::null(), &mut action);
        action.sa_sigaction
    }
}

fn set_disposition(signal: i32, handler: libc::sighandler_t) {
    // SAFETY: the handler is SIG_DFL or a function that is async-signal-safe.
    unsafe {
        let mut action: libc::sigaction = mem::zeroed();
        action.sa_sigaction = handler;
        libc::sigaction(signal, &action, ptr::null_mut());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_the_names_that_operators_know() {
        for (signal, want) in [
            (libc::SIGTERM, "SIGTERM"),
            (libc::SIGSYS, "SIGSYS"),
            (libc::SIGRTMIN() + 3, "SIGRTMIN+3"),
        ] {
            assert_eq!(name(signal), want);
        }
    }

    #[test]
    fn what_ends_a_process_is_held_and_nothing_else() {
        let held: Vec<i32> = (1..32).filter(|&signal| ends_a_process(signal)).collect();
        assert_eq!(
            held,
            [1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16, 24, 25, 26, 27, 29, 30, 31]
        );
    }
}
