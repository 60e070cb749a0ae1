//! `exec:`: words without a shell, the outcome of the command, and the end of its processes.

use super::generic::down;
use crate::support::look::{not_ready, ready};
use crate::support::odd::odd;
use crate::support::{Afterall, Dir, LONG, secs, sh, wait_until};
use std::fs;
use std::path::Path;

#[test]
fn a_command_is_split_into_words_and_runs_without_a_shell() {
    let dir = Dir::new();
    let script = dir.write_script(
        "probe",
        &format!("#!/bin/sh\nprintf '<%s>' \"$@\" >{}\n", dir.text("words")),
    );
    let url = format!(
        "exec:{} '$HOME' '*' ';' 'a b' \"c d\" e\\ f ${{WORD}} x${{WORD}} '' %41",
        script.display()
    );
    Afterall::waiting_for([url])
        .env("WORD", "g h;'i")
        .run()
        .code(0)
        .stderr_has("ready: exit status 0");
    assert_eq!(dir.read("words"), "<$HOME><*><;><a b><c d><e f><g h;'i><xg h;'i><><%41>");
    // Stdin is empty, and stdout is discarded.
    let echo = "exec:/bin/sh -c 'read -r x && exit 3; echo to stdout'";
    Afterall::waiting_for([echo])
        .stdin("line\n")
        .becoming(sh("cat"))
        .run()
        .code(0)
        .stdout("line\n")
        .any_stderr();
}

#[test]
fn shell_syntax_is_refused_and_names_sh() {
    for operator in ["||", "&&", "|", ";", ">/dev/null", "2>&1"] {
        Afterall::waiting_for([format!("x=exec:test -e / {operator} exit 1")])
            .run()
            .code(64)
            .stderr_has(&format!(
                "exec: starts no shell, which {operator} needs; write exec:sh -c"
            ));
    }
    ready("exec:sh -c 'test -e / || exit 1'", "exit status 0");
    ready("exec:test '|' = '|'", "exit status 0");
}

#[test]
fn a_failed_command_is_reported_with_status_and_last_stderr_line() {
    let fails = |script: &str| format!("exec:/bin/sh -c '{script}'");
    not_ready(
        &fails("echo first >&2; echo no answer from cache >&2; echo >&2; exit 3"),
        "absent",
        "exit status 3: no answer from cache",
    );
    not_ready(&fails("exit 1"), "absent", "exit status 1 [");
    not_ready(&fails("kill -SEGV $$"), "absent", "killed by SIGSEGV");
    // Far more bytes than a pipe holds.
    not_ready(
        &fails("yes noise | head -c 300000 >&2; echo the end >&2; exit 2"),
        "absent",
        "exit status 2: the end",
    );
    not_ready(
        &format!("{}#attempt-timeout=200ms", fails("sleep 60")),
        "timeout",
        "no exit status within 0.2s",
    );
    Afterall::waiting_for(["x=exec:no-such-command"]).run().code(64).stderr_has("no-such-command");
    Afterall::waiting_for(["x=exec:'a"]).run().code(64).stderr_has("a quote is not closed");
}

#[test]
fn a_failed_command_is_down_and_a_hanging_one_is_not() {
    let dir = Dir::new();
    let file = dir.write("there", "");
    let waiting = down(&format!("exec:test -e {}", file.display()));
    waiting.wait_for_stderr("still there: exit status 0", secs(20));
    fs::remove_file(file).unwrap();
    waiting.done().code(0).stderr_has("ready: gone: exit status 1");
    let run =
        Afterall::waiting_for(["x=exec:sleep 60#until=down,attempt-timeout=100ms,timeout=300ms"]);
    run.run().code(124).stderr_has("class=timeout");
}

/// Returns a script that writes the pids of itself and its descendants to a file, and then runs
/// `then`.
fn family(dir: &Dir, then: &str) -> String {
    let pids = dir.text("pids");
    let script = format!(
        "#!/bin/sh\necho $$ >>{pids}\nsleep 600 & echo $! >>{pids}\nsh -c 'echo $$ >>{pids}; sleep \
        600 & echo $! >>{pids}; wait' &\n{then}\n"
    );
    format!("exec:{}", dir.write_script("family", &script).display())
}

fn family_of(dir: &Dir) -> Vec<String> {
    dir.read("pids").lines().map(str::to_owned).collect()
}

/// Returns true if a process is gone. A zombie of another parent counts as gone; a zombie of ours
/// does not.
fn is_dead(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.is_empty() || stat.rsplit(')').next().unwrap().trim_start().starts_with(['Z', 'X'])
}

#[test]
fn nothing_of_a_command_outlives_its_attempt() {
    let dir = Dir::new();
    let url = format!("{}#attempt-timeout=400ms", family(&dir, "wait"));
    let waiting = Afterall::waiting_for([url]).spawn();
    waiting.wait_for_stderr("[class=timeout", secs(20));
    // A loaded machine may need several attempts.
    wait_until("a family was there", LONG, || family_of(&dir).len() >= 4);
    let first: Vec<_> = family_of(&dir).into_iter().take(4).collect();
    wait_until("the first attempt's processes are dead", secs(20), || {
        first.iter().all(|pid| is_dead(pid))
    });
    wait_until("the next attempt has reaped it", secs(20), || {
        !Path::new(&format!("/proc/{}", first[0])).exists()
    });
    // A signal that ends the wait also ends the command's processes.
    let before = family_of(&dir).len();
    wait_until("another attempt is under way", secs(20), || family_of(&dir).len() >= before + 4);
    waiting.signal(15);
    waiting.done().signal(15).any_stderr();
    wait_until("all are dead", secs(20), || family_of(&dir).iter().all(|pid| is_dead(pid)));
}

#[test]
fn a_command_that_succeeds_leaves_nothing_in_the_background() {
    let dir = Dir::new();
    let done = Afterall::waiting_for([family(&dir, "exec 2>&-; sleep 0.1")]).run().code(0);
    done.stderr_has("ready: exit status 0");
    wait_until("all are dead", secs(20), || family_of(&dir).iter().all(|pid| is_dead(pid)));
}

/// Orphans become children of the first process of a PID namespace, and would be zombies of the
/// service.
#[test]
fn as_pid_1_the_command_inherits_neither_a_process_nor_a_zombie() {
    let root = rustix::process::geteuid().is_root();
    let user = if root { &[][..] } else { &["--user", "--map-root-user"] };
    let wrapper =
        [&["unshare"][..], user, &["--pid", "--fork", "--mount-proc", "--kill-child", "--"]]
            .concat();
    // Only builtins, because the shell would count its own children.
    let list = "for process in /proc/[0-9]*; do read -r pid name rest <$process/stat && echo $pid \
        $name; done";
    for (then, keys) in [
        ("wait", "attempt-timeout=1s,timeout=2s,on-timeout=proceed"),
        ("exec 2>&-; sleep 0.1", "attempt-timeout=1m,timeout=2m"),
    ] {
        let mut listed = String::new();
        // On a loaded machine the family may not grow within its second, and its killed members may
        // not get the processor within the 50 ms that the exec waits. One run of several must.
        let is_alone = (0..20).any(|_| {
            let dir = Dir::new();
            let url = format!("{}#{keys}", family(&dir, then));
            let run = Afterall::waiting_for([url]).under(&wrapper).becoming(sh(list)).run();
            let done = run.code(0).any_stderr();
            done.stdout_text().clone_into(&mut listed);
            listed == "1 (sh)\n" && family_of(&dir).len() >= 4
        });
        assert!(is_alone, "{then}: {listed}");
    }
}

#[test]
fn a_command_inherits_the_signals_that_we_inherited() {
    let dir = Dir::new();
    let script = dir.write_script(
        "probe",
        &format!("#!/bin/sh\nexec grep ^Sig /proc/self/status >{}\n", dir.text("status")),
    );
    let run = |ops: &[&str]| {
        let run = Afterall::waiting_for([format!("exec:{}", script.display())])
            .under(odd(ops.iter().copied()));
        run.run().code(0).any_stderr();
        let status = dir.read("status");
        let field = |name: &str| {
            status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned()
        };
        // The C library reserves 32 and 33.
        ["SigBlk:", "SigIgn:"]
            .map(|name| u64::from_str_radix(&field(name), 16).unwrap() & 0x7fff_ffff)
    };
    assert_eq!(run(&["block=10", "ignore=12"]), [1 << 9, 1 << 11]);
    assert_eq!(run(&[]), [0, 0]);
}
