//! Becoming the command: it inherits what it would have inherited without afterall.

mod program;

use crate::support::odd::{inspect, odd};
use crate::support::template::copy;
use crate::support::{Afterall, Counted, Dir, Reserved, Scripted, ms, secs, sh};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::symlink;

/// Returns the report of the inspecting program from this odd state, without its pid.
fn report(direct: bool, ops: &[&str], shape: &impl Fn(Afterall) -> Afterall) -> String {
    let dir = Dir::new();
    // The path is the same in both runs, because the compared environment contains it.
    let path = std::path::Path::new("/tmp").join(format!(
        "afterall-report-{}-{:?}",
        std::process::id(),
        std::thread::current().id()
    ));
    let ops: Vec<&str> = ops.iter().copied().chain(direct.then_some("direct")).collect();
    let afterall = shape(Afterall::waiting_for(["-q", "file:/"]).env("REPORT", &path))
        .cwd(dir.path())
        .under(odd(ops));
    let command: Vec<OsString> = [inspect().into(), "a b".into(), "".into(), "$HOME".into()].into();
    let running = afterall.becoming(command).spawn();
    let pid = running.pid();
    running.done().code(0);
    let report = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let own = format!("pid {pid}\n");
    assert!(report.starts_with(&own), "it has another pid than {pid}:\n{report}");
    report[own.len()..].replace(dir.path().to_str().unwrap(), "DIR")
}

/// Asserts that a direct run and one through the binary report the same bytes, and returns them.
#[track_caller]
fn inherits_the_same(ops: &[&str], shape: impl Fn(Afterall) -> Afterall) -> String {
    let (direct, through) = (report(true, ops, &shape), report(false, ops, &shape));
    assert_eq!(direct, through, "{ops:?}");
    through
}

fn as_it_is(afterall: Afterall) -> Afterall {
    afterall
}

#[test]
fn the_command_keeps_the_pid_and_inherits_the_process_state_unchanged() {
    let report = inherits_the_same(&[], as_it_is);
    assert!(
        report.contains("Threads:\t1\n") && report.contains("SigBlk:\t0000000000000000\n"),
        "{report}"
    );
    let descriptors: Vec<_> = report.lines().filter(|line| line.starts_with("fd ")).collect();
    assert_eq!(descriptors.len(), 3, "{descriptors:?}");
}

#[test]
fn blocked_and_ignored_signals_are_inherited() {
    let report = inherits_the_same(
        &[
            "block=10",
            "block=15",
            "block=37",
            "ignore=1",
            "ignore=2",
            "ignore=3",
            "ignore=12",
            "ignore=13",
            "ignore=17",
            "ignore=34",
        ],
        as_it_is,
    );
    let bits = |signals: &[u32]| {
        format!("{:016x}", signals.iter().fold(0_u64, |set, signal| set | 1 << (signal - 1)))
    };
    assert!(report.contains(&format!("SigBlk:\t{}", bits(&[10, 15, 37]))), "{report}");
    assert!(report.contains(&format!("SigIgn:\t{}", bits(&[1, 2, 3, 12, 13, 17, 34]))), "{report}");
}

#[test]
fn sigpipe_is_left_as_it_was_found() {
    const PIPE: &str = "0000000000001000";
    let report = inherits_the_same(&["ignore=13"], as_it_is);
    assert!(report.contains(&format!("SigIgn:\t{PIPE}")), "{report}");
    let report = inherits_the_same(&["block=13"], as_it_is);
    assert!(
        report.contains(&format!("SigBlk:\t{PIPE}"))
            && report.contains("SigIgn:\t0000000000000000"),
        "{report}"
    );
}

#[test]
fn every_signal_that_can_be_ignored_or_blocked_stays_so() {
    for how in ["ignore", "block"] {
        let ops: Vec<String> = (1..32)
            .chain([34, 64])
            .filter(|n| ![9, 19].contains(n))
            .map(|n| format!("{how}={n}"))
            .collect();
        inherits_the_same(&ops.iter().map(String::as_str).collect::<Vec<_>>(), as_it_is);
    }
}

#[test]
fn inherited_descriptors_go_through() {
    let report = inherits_the_same(&["listen=3", "open=7", "open=200"], as_it_is);
    for line in [
        "fd 3 status=2 descriptor=0 socket:",
        "fd 7 status=100000 descriptor=0 /etc/passwd",
        "fd 200 ",
    ] {
        assert!(report.contains(line), "{line}\n{report}");
    }
    assert!(report.contains("env LISTEN_PID=own\nenv LISTEN_FDS=1\n"), "{report}");
}

#[test]
fn closed_standard_descriptors_stay_closed() {
    for closed in [
        &["close=0"][..],
        &["close=1"],
        &["close=2"],
        &["close=0", "close=1"],
        &["close=0", "close=1", "close=2"],
    ] {
        let report = inherits_the_same(closed, as_it_is);
        assert_eq!(report.matches("\nfd ").count(), 3 - closed.len(), "{closed:?}\n{report}");
    }
}

#[test]
fn non_blocking_flags_are_left_alone() {
    let report = inherits_the_same(&["nonblock=1", "nonblock=2"], as_it_is);
    assert!(report.contains("fd 2 status=4001 "), "{report}");
}

#[test]
fn directory_umask_limits_and_priority_are_left_alone() {
    let report = inherits_the_same(
        &["umask=0137", "nofile=77", "core=1000", "stack=4194304", "nice=5"],
        as_it_is,
    );
    for line in ["Umask:\t0137", "cwd DIR", "limit 7 4d ", "limit 4 3e8 ", "nice 5 "] {
        assert!(report.contains(line), "{line}\n{report}");
    }
}

#[test]
fn the_environment_goes_through_unchanged_our_own_variables_included() {
    let report = inherits_the_same(&[], |afterall| {
        afterall
            .env("NOTIFY_SOCKET", "@nobody")
            .env("AFTERALL_TIMEOUT", "7s")
            .env("EMPTY", "")
            .env("NOT_UTF8", OsString::from_vec(vec![0xff, 0xfe]))
            .env("AFTERALL_DEPENDENCIES", "not even read")
            .env("DOLLAR", "$HOME ${X}")
    });
    for line in [
        "env NOTIFY_SOCKET=@nobody",
        "env NOT_UTF8=\\xff\\xfe",
        "env AFTERALL_TIMEOUT=7s",
        "env EMPTY=\n",
    ] {
        assert!(report.contains(line), "{line}\n{report}");
    }
}

#[test]
fn nothing_of_a_network_wait_is_left_to_the_command() {
    let server = Scripted::silent();
    let url = format!("tcp://localhost:{}", server.port());
    let at = format!("tcp://{}", server.address());
    // The name is looked up on a thread of its own. The port may refuse.
    let report = inherits_the_same(&[], |afterall| {
        afterall.args([&at, &format!("{url}#timeout=0,on-timeout=proceed,until=down")])
    });
    assert!(report.contains("Threads:\t1\n"), "{report}");
}

#[test]
fn arguments_arrive_as_they_were_given() {
    let odd: Vec<OsString> = [
        "a b",
        "$HOME",
        "",
        "*",
        "'q'",
        "\"q\"",
        "\\",
        "--",
        "-h",
        "${X}",
        "a\nb",
        "--timeout=1",
        "#",
    ]
    .map(Into::into)
    .into();
    let odd: Vec<OsString> =
        odd.into_iter().chain([OsString::from_vec(b"\xff\xfe".to_vec())]).collect();
    let [shell, flag, _] = sh("");
    let script = r#"for arg; do printf '[%s]' "$arg"; done | od -An -tx1 | tr -d ' \n'"#;
    let words: Vec<OsString> = [shell, flag, script.into(), "sh".into()].map(Into::into).into();
    let want: String = odd
        .iter()
        .flat_map(|arg| [b"[", arg.as_encoded_bytes(), b"]"].concat())
        .map(|b| format!("{b:02x}"))
        .collect();
    Afterall::waiting_for(["-q", "file:/"])
        .becoming(words.into_iter().chain(odd))
        .run()
        .code(0)
        .stdout(&want);
}

#[test]
fn stdin_is_the_commands() {
    Afterall::waiting_for(["-q", "file:/"])
        .becoming(sh("cat"))
        .stdin("as it was")
        .run()
        .code(0)
        .stdout("as it was");
}

#[test]
fn no_shell_stands_between() {
    let dir = Dir::new();
    // A command with a path needs neither PATH nor a shell.
    let running = Afterall::waiting_for(["-q", "file:/"])
        .without_env()
        .env("REPORT", dir.join("report"))
        .becoming([inspect()])
        .spawn();
    let pid = running.pid();
    running.done().code(0);
    assert!(dir.read("report").starts_with(&format!("pid {pid}\n")));
}

#[test]
fn the_command_is_executed_exactly_once_and_by_our_own_process() {
    let command = Counted::new();
    let port = Reserved::new();
    let running = Afterall::waiting_for([format!("tcp://{}", port.address())])
        .becoming([command.path()])
        .spawn();
    running.wait_for_stderr("waiting:", secs(20));
    assert_eq!(command.runs(), 0);
    let _server = port.serve(|_, _| {});
    let pid = running.pid();
    running.done().code(0).stderr_has("ready:");
    assert_eq!(command.pids(), [pid]);
}

#[test]
fn without_a_command_readiness_is_exit_0() {
    Afterall::waiting_for(["file:/"])
        .run()
        .code(0)
        .stderr_has("afterall: file:/: ready: exists [attempts=1 elapsed=")
        .stderr_has("afterall: ready after ");
    Afterall::waiting_for(["file:/", "-q"]).run().code(0);
}

#[test]
fn a_command_that_is_missing_is_said_before_any_wait() {
    let server = Scripted::silent();
    let dir = Dir::new();
    dir.write("plain", "#!/bin/sh\n");
    let cases = [
        ("/no/such/command".to_owned(), 127, "/no/such/command: no such file".to_owned()),
        ("no-such-command".to_owned(), 127, "no-such-command: not found in PATH".to_owned()),
        (String::new(), 127, "the command is empty".to_owned()),
        (
            dir.text("plain"),
            126,
            format!("{}: cannot be executed: permission denied", dir.text("plain")),
        ),
        (dir.text(""), 126, format!("{}: cannot be executed: is a directory", dir.text(""))),
        (dir.text("plain/x"), 127, format!("{}: no such file", dir.text("plain/x"))),
    ];
    for (command, code, message) in cases {
        let run = Afterall::waiting_for([format!("tcp://{}", server.address())])
            .becoming([command.as_str(), "x"])
            .run();
        run.code(code).stderr(&format!("afterall: {message}\n"));
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_command_that_is_itself_waited_for_may_be_missing() {
    let dir = Dir::new();
    let path = dir.text("late");
    let running = Afterall::waiting_for([format!("file:{path}")]).becoming([path.as_str()]).spawn();
    running.wait_for_stderr("waiting:", secs(20));
    dir.write_script("late", "#!/bin/sh\necho here\n");
    running.done().code(0).stdout("here\n").stderr_has("ready: exists");

    // In PATH, too.
    let running = Afterall::waiting_for([format!("file://{}", dir.text("tool"))])
        .env("PATH", dir.path())
        .becoming(["tool"])
        .spawn();
    running.wait_for_stderr("waiting:", secs(20));
    dir.write_script("tool", "#!/bin/sh\necho found\n");
    running.done().code(0).stdout("found\n").stderr_has("ready: exists");
}

#[test]
fn a_command_that_is_not_executable_after_the_wait_exits_126() {
    let dir = Dir::new();
    let path = dir.text("late");
    for ops in [&[][..], &["broken-stderr"]] {
        let _ = std::fs::remove_file(&path);
        let flag = dir.text("flag");
        let _ = std::fs::remove_file(&flag);
        let deps = [format!("file:{path}"), format!("file:{flag}#successes=2,max-interval=10ms")];
        let running = Afterall::waiting_for(deps)
            .under(odd(ops.iter().copied()))
            .becoming([path.as_str()])
            .spawn();
        dir.write("late", "not a program");
        dir.write("flag", "");
        let done = running.done().code(126);
        if ops.is_empty() {
            done.stderr_has(&format!("afterall: {path}: cannot be executed: permission denied\n"));
        }
    }
}

#[test]
fn what_execvp_finds_is_what_is_executed() {
    let dir = Dir::new();
    dir.write("a/tool", "not executable");
    dir.write_script("b/tool", "#!/bin/sh\necho b\n");
    dir.write_script("c/tool", "echo no shebang\n");
    dir.mkdir("d/tool");
    symlink(dir.join("nowhere"), dir.mkdir("e").join("tool")).unwrap();
    let path = |dirs: &[&str]| dirs.iter().map(|name| dir.text(name)).collect::<Vec<_>>().join(":");
    let run = |path: String| {
        Afterall::waiting_for(["-q", "file:/"]).env("PATH", path).becoming(["tool"]).run()
    };
    run(path(&["a", "d", "e", "b"])).code(0).stdout("b\n");
    run(path(&["none", "c"])).code(0).stdout("no shebang\n");
    run(path(&["e"])).code(127).stderr("afterall: tool: not found in PATH\n");
    run(path(&["d"]))
        .code(126)
        .stderr(&format!("afterall: {}: cannot be executed: is a directory\n", dir.text("d/tool")));
    // An empty entry is the current directory.
    Afterall::waiting_for(["-q", "file:/"])
        .env("PATH", "")
        .cwd(dir.join("b"))
        .becoming(["tool"])
        .run()
        .code(0)
        .stdout("b\n");
}

#[test]
fn it_works_without_any_variable() {
    let done = Afterall::waiting_for(["-q", "file:/"])
        .without_env()
        .becoming(["sh", "-c", "echo found"])
        .run();
    done.code(0).stdout("found\n");
}

#[test]
fn it_works_as_an_unknown_user_in_a_read_only_directory() {
    if !rustix::process::geteuid().is_root() {
        // Then the whole suite is run by such a user, more or less; only root can become another
        // one.
        return;
    }
    let dir = Dir::new();
    let port = Reserved::new();
    // The binary may be in a directory that only its builder can enter.
    copy(Afterall::program(), &dir.join("afterall"));
    let script =
        "shift; exec setpriv --reuid=12345 --regid=12345 --clear-groups -- ./afterall \"$@\"";
    let running = Afterall::waiting_for([format!("tcp://{}", port.address())])
        .cwd(dir.path())
        .env("HOME", "/nonexistent")
        .under(["sh", "-c", script, "sh"])
        .becoming(sh("id -u; ls -A"))
        .spawn();
    running.wait_for_stderr("waiting:", secs(20));
    let _server = port.serve(|_, _| {});
    running.done().code(0).stdout("12345\nafterall\n").stderr_has("ready:");
}

#[test]
fn a_hundred_dependencies_get_by_with_32_descriptors() {
    let server = Scripted::silent();
    let hole = Reserved::new();
    let limited = ["sh", "-c", "ulimit -n 32; exec \"$@\"", "sh"];
    let ready = (0..100).map(|_| format!("tcp://{}", server.address()));
    Afterall::waiting_for(ready)
        .under(limited)
        .becoming(sh("echo done"))
        .run()
        .code(0)
        .stdout("done\n")
        .stderr_lacks("local")
        .any_stderr();
    // On a loaded machine the first successes grow old, and are confirmed.
    assert!(server.connections() >= 100);
    let refusing = (0..100).map(|_| format!("tcp://{}#timeout=500ms", hole.address()));
    let done = Afterall::waiting_for(refusing)
        .under(limited)
        .becoming(sh("echo done"))
        .run()
        .code(124)
        .took(ms(450)..secs(5));
    let lines = |text: &str| done.stderr_text().matches(text).count();
    assert_eq!(
        (lines("timed out: ") + lines("not ready: "), lines("class=local")),
        (100, 0),
        "{}",
        done.stderr_text()
    );
}

#[test]
fn nothing_is_written_anywhere_and_no_child_is_left() {
    let dir = Dir::new();
    let server = Scripted::silent();
    let running = Afterall::waiting_for([
        format!("tcp://{}", server.address()),
        "file:none#timeout=300ms,on-timeout=proceed".to_owned(),
    ])
    .cwd(dir.path())
    .becoming(sh("ls -A; cat /proc/$$/task/*/children 2>/dev/null | wc -w"))
    .spawn();
    running.done().code(0).stdout_has("\n").any_stderr();
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}
