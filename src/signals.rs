//! Signals that end the wait, and the signal state that the command must find as if `afterall` had
//! never run.
//!
//! Before the wait, every signal has its default action: a start that hangs can be ended like any
//! other program. From then on to the exec, the signals that end a process are blocked and read
//! from a signalfd. So no signal can fall between a check and what follows it. One that arrives
//! after the last look stays pending. The kernel delivers it when the inherited mask is restored,
//! an instant before exec.
//!
//! Default actions do not end PID 1, so PID 1 has handlers from its first line on; exec resets
//! them. Signals that were ignored or blocked at the start are left alone.
// Signal masks and dispositions have no safe interface that covers all of this.
#![allow(unsafe_code)]

use std::{
    io, mem,
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::process::CommandExt,
    },
    ptr,
    sync::{Arc, OnceLock},
};

use tokio::io::unix::AsyncFd;

use crate::children;

/// The signal mask that this process was started with: for the command, and for the children of
/// `exec:` probes.
static INHERITED: OnceLock<libc::sigset_t> = OnceLock::new();

/// Signals that our own writes raise beside the write's error. The pipe is closed, or the file may
/// not grow (`ulimit -f`). Neither is a reason to end.
const RAISED_BY_WRITES: [i32; 2] = [libc::SIGPIPE, libc::SIGXFSZ];

/// Prepares the process: to be called first of all, before any thread is started.
pub fn at_start() {
    hold_descriptors();
    let own = set_of(RAISED_BY_WRITES);
    let mut inherited = set_of([]);
    // SAFETY: both sets are initialised.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &own, &mut inherited) };
    let _ = INHERITED.set(inherited);
    if is_pid_1() {
        for signal in (1..=libc::SIGRTMAX()).filter(|&signal| ends_pid_1(signal)) {
            if disposition(signal) != libc::SIG_IGN {
                set_disposition(signal, die_in_handler as *const () as libc::sighandler_t);
            }
        }
    }
}

/// Opens a directory in the place of each standard descriptor that is closed. Otherwise a file or a
/// socket of ours would get its number, and our messages would go there.
///
/// Reading and writing a directory fails. Exec closes it, so the command finds the descriptor
/// closed.
fn hold_descriptors() {
    let mut fds = [0, 1, 2].map(|fd| libc::pollfd { fd, events: 0, revents: 0 });
    // SAFETY: plain system calls; the array has three entries. open takes the lowest free number.
    unsafe {
        if libc::poll(fds.as_mut_ptr(), 3, 0) <= 0 {
            return;
        }
        for fd in fds.iter().filter(|fd| fd.revents & libc::POLLNVAL != 0) {
            let held =
                libc::open(c"/".as_ptr(), libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC);
            debug_assert_eq!(held, fd.fd);
        }
    }
}

/// Blocked signals that end the wait, read through a signalfd.
pub struct Signals {
    /// SIGCHLD was ignored. The kernel would then reap our children before we learn how they ended.
    child_ignored: bool,
    pending: Arc<OwnedFd>,
}

/// The meaning of a pending signal.
enum Pending {
    /// No signal is pending.
    Nothing,
    /// The signal is no reason to end.
    Harmless,
    /// The signal ends the wait.
    Ends(i32),
}

impl Signals {
    /// Blocks every signal that would end this process. Called when the wait begins.
    ///
    /// Dispositions are not looked at here. The kernel keeps a blocked signal pending even if it is
    /// ignored, and [`Signals::take`] looks when one arrives.
    ///
    /// # Errors
    /// Where no descriptor is left for the signalfd.
    pub fn hold() -> io::Result<Self> {
        let (inherited, is_pid_1) = (inherited(), is_pid_1());
        let watched = (1..=libc::SIGRTMAX())
            .filter(|&signal| ends_a_process(signal) || is_pid_1 && is_for_pid_1(signal))
            // SAFETY: reads a set that is initialised.
            .filter(|&signal| unsafe { libc::sigismember(inherited, signal) } == 0);
        let watched = set_of(watched);
        let child_ignored = disposition(libc::SIGCHLD) == libc::SIG_IGN;
        if child_ignored {
            set_disposition(libc::SIGCHLD, libc::SIG_DFL);
        }
        // SAFETY: the set is initialised; signalfd returns a new descriptor that no other code
        // owns.
        let pending = unsafe {
            libc::pthread_sigmask(libc::SIG_BLOCK, &watched, ptr::null_mut());
            match libc::signalfd(-1, &watched, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) {
                -1 => return Err(io::Error::last_os_error()),
                fd => Arc::new(OwnedFd::from_raw_fd(fd)),
            }
        };
        Ok(Self { child_ignored, pending })
    }

    /// The next signal that ends the wait.
    pub async fn next(&self) -> i32 {
        // Without a place in epoll nothing could wake us. The runtime has reported that already.
        // SAFETY: the registered value owns the descriptor and never exchanges it for another.
        let registered = unsafe { AsyncFd::register(Arc::clone(&self.pending)) };
        let Ok(readable) = registered else { return std::future::pending().await };
        // Exec closes the descriptor. To take it out of epoll before that costs two system calls.
        let readable = mem::ManuallyDrop::new(readable);
        loop {
            let Ok(mut ready) = readable.readable().await else { continue };
            match self.take() {
                Pending::Ends(signal) => return signal,
                Pending::Harmless => {}
                Pending::Nothing => ready.clear_ready(),
            }
        }
    }

    /// Takes one pending signal. As PID 1, reaps orphans when a child has ended.
    fn take(&self) -> Pending {
        // SAFETY: signalfd_siginfo is plain data, of the size that is passed to read.
        let (is_read, info) = unsafe {
            let mut info: libc::signalfd_siginfo = mem::zeroed();
            let size = mem::size_of_val(&info);
            let read = libc::read(self.pending.as_raw_fd(), (&raw mut info).cast(), size);
            (read == size as isize, info)
        };
        if !is_read {
            return Pending::Nothing;
        }
        let signal = info.ssi_signo as i32;
        let is_own = RAISED_BY_WRITES.contains(&signal)
            && info.ssi_pid == rustix::process::getpid().as_raw_nonzero().get() as u32;
        if signal == libc::SIGCHLD {
            children::reap_orphans();
            Pending::Harmless
        } else if is_own || disposition(signal) == libc::SIG_IGN {
            Pending::Harmless
        } else {
            Pending::Ends(signal)
        }
    }

    /// Restores the inherited mask. A held signal that is pending, or that arrives before exec,
    /// ends this process.
    pub fn release(self) {
        loop {
            match self.take() {
                Pending::Ends(signal) => die_of(signal),
                Pending::Harmless => {}
                Pending::Nothing => break,
            }
        }
        if self.child_ignored {
            set_disposition(libc::SIGCHLD, libc::SIG_IGN);
        }
        // SAFETY: the mask is the one that was read at the start.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, inherited(), ptr::null_mut()) };
    }
}

/// The mask that this process was started with.
fn inherited() -> &'static libc::sigset_t {
    INHERITED.get_or_init(|| {
        // `at_start` was not called, so the mask is unchanged.
        let mut mask = set_of([]);
        // SAFETY: with a null new mask this only reads.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, ptr::null(), &mut mask) };
        mask
    })
}

/// Blocks every signal in the calling thread, so that the kernel delivers them to the main thread.
pub fn leave_to_main_thread() {
    // SAFETY: sigfillset initialises the set before it is read.
    unsafe {
        let mut all = mem::zeroed();
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_BLOCK, &all, ptr::null_mut());
    }
}

/// Makes a call that a file system may hold up for ever: all that comes before the wait. A signal
/// still ends this process.
///
/// In such a call the kernel lets a default action end a process. But it lets no handler of PID 1
/// run. So PID 1 makes the call on another thread.
pub fn stoppable<T: Send>(call: impl FnOnce() -> T + Send) -> T {
    if !is_pid_1() {
        return call();
    }
    let call = || {
        leave_to_main_thread();
        call()
    };
    match std::thread::scope(|scope| scope.spawn(call).join()) {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Makes a child start with the inherited signal mask, instead of all signals blocked.
pub fn restore_signal_mask(command: &mut std::process::Command) {
    let mask = *inherited();
    // SAFETY: pthread_sigmask is async-signal-safe, and the mask was copied before the fork.
    unsafe {
        command.pre_exec(move || {
            libc::pthread_sigmask(libc::SIG_SETMASK, &mask, ptr::null_mut());
            Ok(())
        });
    }
}

extern "C" fn die_in_handler(signal: i32) {
    die_of(signal)
}

/// Ends this process by the signal's default action or, as PID 1, with 128+n. Async-signal-safe.
pub fn die_of(signal: i32) -> ! {
    // SAFETY: prctl is a plain system call; the others are on POSIX's list of async-signal-safe
    // functions.
    unsafe {
        // SIGQUIT must not leave a core dump, because the memory holds secrets. A limit of 0 would
        // not keep it from a handler (core(5): `|` in core_pattern).
        libc::prctl(libc::PR_SET_DUMPABLE, 0);
        // A default action ends PID 1 only while its main thread blocks the signal, e.g. when it
        // starts a thread. The end must not depend on that.
        if libc::getpid() == 1 {
            libc::_exit(128 + signal);
        }
        set_disposition(signal, libc::SIG_DFL);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &set_of([signal]), ptr::null_mut());
        libc::kill(libc::getpid(), signal);
        libc::_exit(128 + signal)
    }
}

/// Returns true if this process is PID 1, which default actions do not end.
fn is_pid_1() -> bool {
    static IS_PID_1: OnceLock<bool> = OnceLock::new();
    *IS_PID_1.get_or_init(|| rustix::process::getpid().is_init())
}

/// Makes our own writes to a closed pipe, or beyond `ulimit -f`, an error and nothing more.
pub fn ignore_own_writes() {
    for signal in RAISED_BY_WRITES {
        set_disposition(signal, libc::SIG_IGN);
    }
}

/// Returns true if the default action ends a process, and the signal can be blocked (signal(7)).
fn ends_a_process(signal: i32) -> bool {
    const IGNORED: [i32; 4] = [libc::SIGCHLD, libc::SIGCONT, libc::SIGURG, libc::SIGWINCH];
    const STOPPING: [i32; 4] = [libc::SIGSTOP, libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];
    // The C library keeps the signals between the standard and the real-time ones for itself.
    let exists = signal < 32 || signal >= libc::SIGRTMIN();
    exists && signal != libc::SIGKILL && !IGNORED.contains(&signal) && !STOPPING.contains(&signal)
}

/// Returns true if PID 1 watches a signal that ends no other process. Images use SIGWINCH as
/// STOPSIGNAL, and SIGCHLD announces an orphan that has ended.
fn is_for_pid_1(signal: i32) -> bool {
    [libc::SIGWINCH, libc::SIGCHLD].contains(&signal)
}

/// Returns true if a signal ends the wait of PID 1.
fn ends_pid_1(signal: i32) -> bool {
    ends_a_process(signal) || signal == libc::SIGWINCH
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

fn set_of(signals: impl IntoIterator<Item = i32>) -> libc::sigset_t {
    // SAFETY: sigemptyset initialises the set before anything reads it.
    unsafe {
        let mut set = mem::zeroed();
        libc::sigemptyset(&mut set);
        for signal in signals {
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
