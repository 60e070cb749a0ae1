//! The child processes of `exec:` probes: one process group for each, killed as soon as its attempt
//! ends.
//!
//! Killing takes microseconds, but a killed process takes a while to end. A group is therefore
//! killed when it is dropped, and reaped later. When a signal cuts 200 probes, all are killed first
//! and then reaped together.

use std::{
    io,
    os::unix::process::ExitStatusExt,
    process::ExitStatus,
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    process::{Pid, Signal, WaitOptions, WaitStatus, kill_process_group, wait, waitpgid, waitpid},
};

/// The longest wait for the end of all killed groups.
const REAPING: Duration = Duration::from_millis(50);

/// The groups that probes started and that may still contain our processes.
static GROUPS: Mutex<Groups> =
    Mutex::new(Groups { running: Vec::new(), ended: Vec::new(), killed: Vec::new() });

struct Groups {
    running: Vec<Pid>,
    /// Leaders that were reaped among the orphans, with the status that their attempts still ask
    /// for.
    ended: Vec<(Pid, WaitStatus)>,
    killed: Vec<Pid>,
}

/// The process group of one probe's command. Dropping it kills every process in it.
pub struct ProcessGroup(Pid);

impl ProcessGroup {
    /// Makes the group that `leader`, a child that was just started, leads.
    pub fn led_by(leader: Pid) -> Self {
        with_groups(|groups| groups.running.push(leader));
        Self(leader)
    }

    /// Kills every process of the group. A leader that has ended keeps its status.
    pub fn kill(&self) {
        // Usually none is left.
        let _ = kill_process_group(self.0, Signal::KILL);
    }

    /// The status of the leader, once it has ended. Never waits.
    ///
    /// # Errors
    /// Those of waitpid(2).
    pub fn leader_status(&self) -> io::Result<Option<ExitStatus>> {
        let known = with_groups(|groups| {
            groups.ended.iter().find(|(leader, _)| *leader == self.0).map(|(_, status)| *status)
        });
        let status = match known {
            Some(status) => Some(status),
            None => waitpid(Some(self.0), WaitOptions::NOHANG)?.map(|(_, status)| status),
        };
        Ok(status.map(|status| ExitStatus::from_raw(status.as_raw())))
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        self.kill();
        // Looks only at this group. For 200 probes that are cut together, looks at all killed
        // groups would be 20,000 looks.
        let is_left = may_hold_processes(self.0);
        with_groups(|groups| {
            groups.running.retain(|leader| *leader != self.0);
            groups.ended.retain(|(leader, _)| *leader != self.0);
            if is_left {
                groups.killed.push(self.0);
            }
        });
    }
}

/// Reaps what has ended of the killed groups. Never waits.
pub fn reap() {
    with_groups(|groups| groups.killed.retain(|leader| may_hold_processes(*leader)));
}

/// Reaps all killed groups, so that the command that takes our place inherits no zombie. Waits at
/// most 50 ms.
///
/// A process that changed its user cannot be killed, and one in an uninterruptible system call does
/// not end. Both are left behind.
pub fn reap_all() {
    let patience = Instant::now() + REAPING;
    loop {
        reap();
        if with_groups(|groups| groups.killed.is_empty()) || Instant::now() >= patience {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// Reaps the orphans that PID 1 inherits. Never waits.
pub fn reap_orphans() {
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        with_groups(|groups| {
            if groups.running.contains(&pid) {
                groups.ended.push((pid, status));
            }
        });
    }
}

/// Reaps one group. Not its leader alone: PID 1 inherits every process whose parent ends.
///
/// The kernel makes the children of a process orphans before the process can be reaped. So the last
/// one is met too.
fn may_hold_processes(leader: Pid) -> bool {
    loop {
        match waitpgid(leader, WaitOptions::NOHANG) {
            Err(Errno::INTR) | Ok(Some(_)) => {}
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
}

fn with_groups<T>(work: impl FnOnce(&mut Groups) -> T) -> T {
    work(&mut GROUPS.lock().unwrap_or_else(PoisonError::into_inner))
}
