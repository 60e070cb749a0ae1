//! Every exit code, from outside. Those of the command are unchanged.

use crate::support::odd::odd;
use crate::support::{Afterall, Dir, Reserved, ms, sh};
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::thread;

#[test]
fn the_exit_codes_are_the_ones_of_the_table() {
    let port = Reserved::new();
    let dir = Dir::new();
    dir.write("plain", "");
    let refusing = format!("tcp://{}", port.address());
    let run = |args: &[&str]| Afterall::waiting_for(args.iter().copied()).run().any_stderr();
    run(&["file:/"]).code(0);
    run(&["--allow-empty"]).code(0);
    for usage in [
        &[][..],
        &["nonsense"],
        &["--nonsense"],
        &["file:/", "-t", "soon"],
        &["file:/#timeout=soon"],
        &["x=file:/", "x=file:/"],
    ] {
        run(usage).code(64);
    }
    run(&[&format!("{refusing}#fail-fast=connect")]).code(69);
    run(&["-t", "200ms", &refusing]).code(124).took(ms(200)..);
    run(&["-t", "0", &refusing]).code(124);
    run(&["-t", "never", "--deadline", "200ms", &refusing]).code(124).took(ms(200)..);
    run(&["file:/", "--", &dir.text("plain")]).code(126);
    run(&["file:/", "--", "no-such-command"]).code(127);
    run(&["file:/", "--", "/bin/sh", "-c", "exit 3"]).code(3);
    run(&["file:/", "--", "/bin/sh", "-c", "kill -9 $$"]).signal(9);
    let running = Afterall::waiting_for([&refusing]).spawn();
    running.wait_for_stderr("waiting:", ms(20_000));
    running.signal(15);
    running.done().signal(15).any_stderr();
}

#[test]
fn every_code_of_the_command_is_its_own() {
    thread::scope(|scope| {
        for first in 0..4 {
            scope.spawn(move || {
                for code in (first..256).step_by(4) {
                    let [shell, flag, script] = sh(&format!("exit {code}"));
                    let mut command = Command::new(Afterall::program());
                    let status = command
                        .args(["-q", "file:/", "--", &shell, &flag, &script])
                        .status()
                        .unwrap();
                    assert_eq!(status.code(), Some(code));
                }
            });
        }
    });
}

#[test]
fn a_signal_that_ends_the_command_is_visible_to_the_parent() {
    for number in [1, 2, 3, 6, 9, 11, 13, 14, 15, 34] {
        let [shell, flag, script] = sh(&format!("ulimit -c 0; kill -{number} $$"));
        let mut command = Command::new(Afterall::program());
        let status = command.args(["-q", "file:/", "--", &shell, &flag, &script]).status().unwrap();
        assert_eq!(status.signal(), Some(number));
    }
}

#[test]
fn too_few_descriptors_are_an_error_with_the_number() {
    let inherited: Vec<String> = (3..31).map(|fd| format!("open={fd}")).collect();
    let inherited = inherited.iter().map(String::as_str).chain(["nofile=32"]);
    for (ops, message) in [
        (
            odd(["nofile=12"]),
            "a limit of 12 open files is too low: must be at least 16 (ulimit -n)",
        ),
        (
            odd(inherited),
            "too many open files: 32 may be open (ulimit -n), and afterall needs about 16 beside \
             those that it inherits",
        ),
    ] {
        let done = Afterall::waiting_for(["file:/"]).under(ops).run().code(64);
        done.stderr(&format!("afterall: cannot start: {message}\n"));
    }
}
