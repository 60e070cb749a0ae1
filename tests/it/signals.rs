//! Signals that end the wait, and signals around the exec, which are not lost.

use crate::support::afterall::is_waiting;
use crate::support::odd::{handler, inspect, odd};
use crate::support::process::program;
use crate::support::{
    Address, Afterall, Counted, Dir, Done, LONG, Reserved, Running, Scripted, SilentFiles, ms,
    secs, sh, wait_for, wait_until,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use std::net::UdpSocket;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

/// Far more than it takes, and far less than the waits would take. The aim is 100 ms, which a
/// loaded machine can miss.
const AT_ONCE: Duration = Duration::from_secs(20);

/// Every signal whose default action ends a process, and some real-time ones.
fn ending() -> impl Iterator<Item = i32> {
    (1..32).filter(|n| ![9, 17, 18, 19, 20, 21, 22, 23, 28].contains(n)).chain([34, 37, 50, 64])
}

/// Waits for a port that refuses until the test lets it serve.
fn waiting(port: &Reserved) -> Afterall {
    Afterall::waiting_for([format!("tcp://{}", port.address())])
}

/// Runs as the first process of a PID namespace, for users other than root in a user namespace.
fn as_pid_1(afterall: Afterall) -> Afterall {
    let root = rustix::process::geteuid().is_root();
    let user = if root { &[][..] } else { &["--user", "--map-root-user"] };
    afterall.under(
        [&["unshare"][..], user, &["--pid", "--fork", "--mount-proc", "--kill-child", "--"]]
            .concat(),
    )
}

/// The only child of `unshare`, by its pid out here.
fn child_of(running: &Running) -> Pid {
    let pid = wait_for("the namespace has its first process", secs(20), || {
        running.proc(&format!("task/{}/children", running.pid())).trim().parse().ok()
    });
    Pid::from_raw(pid).unwrap()
}

fn send(pid: Pid, number: i32) {
    match Signal::from_named_raw(number) {
        Some(signal) => drop(kill_process(pid, signal)),
        None => {
            let args = [format!("-{number}"), pid.as_raw_pid().to_string()];
            assert!(Command::new(program("kill", "procps")).args(args).status().unwrap().success());
        }
    }
}

#[test]
fn every_ending_signal_ends_the_wait_by_itself() {
    let (port, command) = (Reserved::new(), Counted::new());
    let start = |number| (number, waiting(&port).becoming([command.path()]).spawn());
    let all: Vec<_> = ending().map(start).collect();
    for (number, running) in all {
        running.wait_for_stderr("waiting:", secs(20));
        running.signal(number);
        let done = running.wait(AT_ONCE).signal(number);
        done.stderr_has("afterall: ended by SIG")
            .stderr_has(&format!(" while waiting for tcp://{}\n", port.address()));
    }
    assert_eq!(command.runs(), 0);
}

#[test]
fn no_core_dump_holds_a_secret() {
    let (port, dir) = (Reserved::new(), Dir::new());
    let with_cores = || waiting(&port).cwd(dir.path()).under(odd(["core=max"]));
    for number in [3, 4, 5, 6, 7, 8, 11, 24, 25, 31] {
        let running = with_cores().spawn();
        running.wait_for_stderr("waiting:", secs(20));
        running.signal(number);
        let done = running.wait(secs(20)).signal(number).any_stderr();
        assert!(!done.status().core_dumped(), "{number}");
    }
    assert_eq!(dir.path().read_dir().unwrap().count(), 0);
}

#[test]
fn a_start_that_hangs_ends_by_a_signal() {
    let dir = Dir::new();
    let secret = dir.write("secret", "x");
    let Some(_silent) = SilentFiles::new(&[&secret]) else { return };
    let hanging = || {
        let running = Afterall::waiting_for([format!("exec:true ${{file:{}}}", secret.display())]);
        running.becoming(["/bin/echo", "started"])
    };
    let is_open = |running: &Running| running.proc("wchan").contains("fanotify");
    for number in [15, 2, 1] {
        let running = hanging().spawn();
        wait_until("it opens the file", secs(20), || is_open(&running));
        running.signal(number);
        running.wait(secs(20)).signal(number);
    }
    let running = as_pid_1(hanging()).spawn();
    let first = child_of(&running);
    // PID 1 opens it on another thread: a handler could not run in a thread that is held up.
    let status = format!("../{}/status", first.as_raw_pid());
    wait_until("it opens the file", secs(20), || running.proc(&status).contains("Threads:\t2"));
    send(first, 15);
    running.wait(secs(20)).code(128 + 15);
}

#[test]
fn as_pid_1_orphans_are_reaped_during_the_wait() {
    let dir = Dir::new();
    // The shell becomes afterall, which thereby inherits a child that it never started.
    let script = format!("(sleep 0.2; : > {}) & exec \"$@\"", dir.text("ended"));
    let waiting = Afterall::waiting_for([format!("file:{}", dir.text("flag"))]);
    let running = as_pid_1(waiting).under(["sh", "-c", &script, "sh"]).spawn();
    running.wait_for_stderr("waiting:", secs(20));
    let first = child_of(&running);
    wait_until("the orphan has ended", secs(20), || dir.join("ended").exists());
    let children = || {
        let pid = first.as_raw_pid();
        let pids = running.proc(&format!("../{pid}/task/{pid}/children"));
        // One that is reaped meanwhile has no file.
        let state =
            |pid: &str| std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        pids.split_whitespace().map(state).filter(|state| state.contains(") Z ")).count()
    };
    wait_until("no zombie is left", secs(20), || children() == 0);
    send(first, 15);
    running.done().code(128 + 15).any_stderr();
}

#[test]
fn a_file_that_may_not_grow_does_not_end_the_wait() {
    let (port, dir) = (Reserved::new(), Dir::new());
    let script = format!("ulimit -f 0; exec \"$@\" 2>{}", dir.text("log"));
    let waiting = || waiting(&port).arg("-v").under(["sh", "-c", &script, "sh"]);
    waiting().args(["-t", "200ms"]).run().code(124);
    // A signal from another process counts.
    let running = waiting().spawn();
    running.wait_until_waiting();
    running.signal(25);
    running.done().signal(25);
}

#[test]
fn the_last_line_names_the_signal_and_the_dependencies() {
    let port = Reserved::new();
    let running = Afterall::waiting_for([
        format!("db=tcp://{}", port.address()),
        "here=file:/".into(),
        "late=file:/none#after=db".into(),
    ]);
    let running = running.spawn();
    running.wait_for_stderr("here: ready", secs(20));
    running.signal(15);
    let done = running.done().signal(15);
    done.stderr_has("afterall: ended by SIGTERM while waiting for db, late\n");
}

#[test]
fn as_pid_1_a_signal_ends_the_wait_with_128_plus_n() {
    let (port, command) = (Reserved::new(), Counted::new());
    // WINCH and RTMIN+3 are what images use as STOPSIGNAL.
    let start = |number| (number, as_pid_1(waiting(&port)).becoming([command.path()]).spawn());
    let all: Vec<_> = ending().chain([28]).map(start).collect();
    for (number, running) in all {
        running.wait_for_stderr("waiting:", secs(20));
        send(child_of(&running), number);
        running.wait(AT_ONCE).code(128 + number).stderr_has("ended by SIG");
    }
    assert_eq!(command.runs(), 0);
}

#[test]
fn harmless_signals_do_not_end_the_wait() {
    let port = Reserved::new();
    let running = waiting(&port).becoming(sh("echo done")).spawn();
    running.wait_for_stderr("waiting:", secs(20));
    for number in [17, 18, 23, 28] {
        running.signal(number);
    }
    // Stopped and continued.
    for number in [19, 18, 20, 18] {
        running.signal(number);
    }
    let _server = port.serve(|_, _| {});
    running.done().code(0).stdout("done\n").stderr_has("ready:");
}

#[test]
fn an_inherited_ignored_signal_stays_ignored() {
    let port = Reserved::new();
    let ops = ["ignore=1", "ignore=2", "ignore=13", "ignore=15", "ignore=34"];
    let running =
        waiting(&port).under(odd(ops)).becoming(sh("kill -1 $$; kill -15 $$; echo done")).spawn();
    running.wait_for_stderr("waiting:", secs(20));
    for number in [1, 2, 13, 15, 34] {
        running.signal(number);
    }
    let _server = port.serve(|_, _| {});
    running.done().code(0).stdout("done\n").stderr_has("ready:");
}

#[test]
fn an_inherited_blocked_signal_stays_pending_for_the_command() {
    let (port, dir) = (Reserved::new(), Dir::new());
    let running = waiting(&port)
        .under(odd(["block=10", "block=15"]))
        .env("REPORT", dir.join("report"))
        .becoming([inspect()])
        .spawn();
    running.wait_for_stderr("waiting:", secs(20));
    running.signal(10);
    running.signal(15);
    let _server = port.serve(|_, _| {});
    running.done().code(0).stderr_has("ready:");
    let report = dir.read("report");
    assert!(
        report.contains("ShdPnd:\t0000000000004200\n")
            && report.contains("SigBlk:\t0000000000004200\n"),
        "{report}"
    );
}

#[test]
fn a_hanging_lookup_delays_no_signal() {
    if !rustix::process::geteuid().is_root() {
        // Only root can bind a resolver's port 53 and replace /etc/resolv.conf.
        return;
    }
    let (dir, command, address) = (Dir::new(), Counted::new(), Address::claim());
    let server = UdpSocket::bind((address.ip(), 53)).unwrap();
    server.set_read_timeout(Some(secs(20))).unwrap();
    dir.write(
        "resolv.conf",
        format!("nameserver {}\noptions timeout:30 attempts:5\n", address.ip()),
    );
    dir.write("nsswitch.conf", "hosts: files dns\n");
    let script = format!(
        "for f in resolv.conf nsswitch.conf; do mount --bind {}/$f /etc/$f; done; exec \"$@\"",
        dir.path().display()
    );
    let wrapper = ["unshare", "--mount", "--", "sh", "-ec", &script, "sh"];
    let hanging =
        |url: &str| Afterall::waiting_for([url]).under(wrapper).becoming([command.path()]).spawn();

    let running = hanging("tcp://db.example.com:5432");
    server.recv_from(&mut [0; 512]).expect("somebody asks for the name");
    running.signal(15);
    running.wait(AT_ONCE).signal(15).stderr_has("ended by SIGTERM");

    // Neither its own bound nor its deadline waits for the resolver.
    let running = hanging("tcp://db.example.com:5432#timeout=700ms,attempt-timeout=300ms");
    let done = running.wait(secs(20)).code(124).took(ms(700)..secs(5));
    done.stderr_has(
        "no answer from the resolver for db.example.com within 0.3s [class=timeout attempt=1",
    );
    // Nor does the exec.
    let running = hanging("tcp://db.example.com:5432#timeout=300ms,on-timeout=proceed");
    running.wait(secs(20)).code(0).took(ms(300)..secs(5)).stderr_has("going on without it");
    assert_eq!(command.runs(), 1);
}

#[test]
fn tini_passes_signals_on_and_sees_the_signal() {
    let (port, command) = (Reserved::new(), Counted::new());
    for number in [15, 2, 3] {
        let running =
            waiting(&port).under(["tini", "-w", "-s", "--"]).becoming([command.path()]).spawn();
        running.wait_for_stderr("waiting:", secs(20));
        running.signal(number);
        running.done().code(128 + number).stderr_has("ended by SIG");
    }
    assert_eq!(command.runs(), 0);
}

#[test]
fn a_broken_stderr_neither_ends_the_wait_nor_loses_the_exec() {
    for ops in [
        &["broken-stderr"][..],
        &["broken-stderr", "ignore=13"],
        &["broken-stderr", "block=13"],
        &["close=2"],
    ] {
        let (port, dir) = (Reserved::new(), Dir::new());
        let running = waiting(&port)
            .arg("-v")
            .under(odd(ops.iter().copied()))
            .becoming(sh("echo done"))
            .spawn();
        running.wait_until_waiting();
        dir.write("flag", "");
        let _server = port.serve(|_, _| {});
        running.done().code(0).stdout("done\n");
    }
}

#[test]
fn a_broken_stderr_does_not_hide_how_the_wait_ended() {
    let port = Reserved::new();
    waiting(&port).args(["-t", "200ms"]).under(odd(["broken-stderr"])).run().code(124);
    Afterall::waiting_for(["no such thing"]).under(odd(["broken-stderr"])).run().code(64);
    Afterall::waiting_for(["file:/"])
        .under(odd(["broken-stderr"]))
        .becoming(["/no/such"])
        .run()
        .code(127);
    let running = waiting(&port).under(odd(["broken-stderr"])).spawn();
    running.wait_until_waiting();
    running.signal(15);
    running.done().signal(15);
}

#[test]
fn a_foreign_sigpipe_ends_the_wait_and_our_own_does_not() {
    let port = Reserved::new();
    let running = waiting(&port).arg("-v").under(odd(["broken-stderr"])).spawn();
    running.wait_until_waiting();
    running.signal(13);
    running.done().signal(13);
}

#[test]
fn a_full_stderr_that_nobody_reads_delays_nothing() {
    for op in ["full-stderr", "nearly-full-stderr"] {
        let port = Reserved::new();
        let many = |count: usize, url: &str, extra: &str| {
            (0..count).map(|n| format!("a-rather-long-name-{n}={url}{extra}")).collect::<Vec<_>>()
        };
        let refusing = format!("tcp://{}", port.address());

        let ready = Afterall::waiting_for(many(200, "file:/", "")).arg("-v").under(odd([op]));
        ready.becoming(sh("echo done")).run().code(0).stdout("done\n").took(..AT_ONCE);

        let late =
            Afterall::waiting_for(many(200, &refusing, "")).args(["-t", "300ms"]).under(odd([op]));
        late.run().code(124).took(ms(300)..ms(300) + AT_ONCE);

        let running = Afterall::waiting_for(many(200, &refusing, ""))
            .args(["-t", "never"])
            .under(odd([op]))
            .spawn();
        running.wait_until_waiting();
        running.signal(15);
        running.wait(AT_ONCE).signal(15);
    }
}

/// The outcome of one run with a signal at a random time.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Fate {
    BySignal,
    Code(i32),
    Lost,
    /// By the kernel, between execve and the command's handler.
    Dropped,
}

/// Some at a time, on as many threads.
fn races(count: u32, race: impl Fn(u32) -> Fate + Sync) -> Vec<Fate> {
    const THREADS: u32 = 4;
    thread::scope(|scope| {
        let each = |first: u32| {
            let race = &race;
            scope.spawn(move || {
                (first..count).step_by(THREADS as usize).map(race).collect::<Vec<_>>()
            })
        };
        let threads: Vec<_> = (0..THREADS).map(each).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

/// From a fixed seed, since a failure is to be seen again; evenly spread over `below`.
fn random(n: u32, below: Duration) -> Duration {
    let hash = u64::from(n).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    below.mul_f64((hash >> 11) as f64 / (1_u64 << 53) as f64)
}

#[test]
fn no_signal_is_lost_between_the_start_and_the_command() {
    // The signal ends the command too, so the process must end by this signal in any case.
    let fates = races(300, |n| {
        let number = [15, 2, 1, 3][n as usize % 4];
        let mut command = Command::new(Afterall::program());
        command
            .args(["-q", "file:/", "--", "/bin/sleep", "600"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let pid = Pid::from_child(&child);
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).unwrap();
        // The point is the moment, not a wait.
        thread::sleep(random(n, ms(8)));
        send(pid, number);
        let ended = poll(
            &mut [PollFd::new(&pidfd, PollFlags::IN)],
            Some(&Timespec { tv_sec: 60, tv_nsec: 0 }),
        )
        .unwrap()
            > 0;
        let _ = child.kill();
        let status = child.wait().unwrap();
        match status.signal() {
            Some(by) if ended && by == number => Fate::BySignal,
            _ if ended => Fate::Code(status.code().unwrap_or(-1)),
            _ => Fate::Lost,
        }
    });
    assert_eq!(
        fates.iter().filter(|fate| **fate != Fate::BySignal).collect::<Vec<_>>(),
        Vec::<&Fate>::new()
    );
}

/// Returns true if the process is the command, and has its handler of SIGTERM, and no SIGTERM.
fn waits_in_vain(command: Pid) -> bool {
    let file = format!("/proc/{}/status", command.as_raw_pid());
    let status = std::fs::read_to_string(file).unwrap_or_default();
    let has_term = |name: &str| {
        let bits = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        u64::from_str_radix(bits.trim(), 16).is_ok_and(|bits| bits & 1 << (15 - 1) != 0)
    };
    status.starts_with("Name:\thandler\n")
        && has_term("SigCgt:")
        && !["SigPnd:", "ShdPnd:", "SigBlk:"].into_iter().any(has_term)
}

#[test]
fn as_pid_1_no_held_signal_is_lost() {
    let fates = races(120, |n| {
        let dir = Dir::new();
        let running = as_pid_1(Afterall::waiting_for([format!("file:{}", dir.text("flag"))]))
            .becoming([handler()])
            .spawn();
        running.wait_for_stderr("waiting:", secs(20));
        let first = child_of(&running);
        dir.write("flag", "");
        // The next attempt comes within 10 ms, and the exec with it.
        thread::sleep(random(n, ms(14)));
        send(first, 15);
        // Held even now: then it was held when it arrived.
        let was_held = is_waiting(first.as_raw_pid());
        let is_lost = wait_for("it ends, or the command has not got the signal", LONG, || {
            let vain = waits_in_vain(first);
            (vain || !running.is_running()).then_some(vain)
        });
        if is_lost {
            send(first, 15);
        }
        let status = running.done().any_stderr().status();
        match status.code() {
            _ if is_lost && was_held => Fate::Lost,
            // From execve to the command's own handler the kernel drops signals to PID 1. This gap
            // cannot be closed.
            _ if is_lost => Fate::Dropped,
            code => Fate::Code(code.unwrap_or(-1)),
        }
    });
    let count = |fate: Fate| fates.iter().filter(|other| **other == fate).count();
    let known = count(Fate::Code(143)) + count(Fate::Code(99)) + count(Fate::Dropped);
    assert!(known == fates.len() && count(Fate::Code(143)) > 0, "{fates:?}");
}

#[test]
fn a_signal_comes_before_readiness_at_the_same_time() {
    let (dir, command) = (Dir::new(), Counted::new());
    let running = Afterall::waiting_for([format!("file:{}", dir.text("flag"))])
        .becoming([command.path()])
        .spawn();
    running.wait_for_stderr("waiting:", secs(20));
    // Stopped, it finds both when it goes on.
    running.signal(19);
    wait_until("it is stopped", secs(20), || running.proc("stat").contains(") T "));
    dir.write("flag", "");
    running.signal(15);
    running.signal(18);
    running.done().signal(15).stderr_has("ended by SIGTERM");
    assert_eq!(command.runs(), 0);
}

#[test]
fn the_command_that_runs_gets_its_signals_itself() {
    let server = Scripted::silent();
    let command = sh("trap 'echo term; exit 7' TERM; echo up; while :; do sleep 0.01; done");
    let running =
        Afterall::waiting_for([format!("tcp://{}", server.address())]).becoming(command).spawn();
    running.wait_for_stdout("up", secs(20));
    running.signal(15);
    let done: Done = running.done();
    done.code(7).stdout("up\nterm\n").stderr_has("ready:");
}
