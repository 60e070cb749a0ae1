//! The cost of a start, in figures that do not depend on the machine's load.

use crate::support::process::program;
use crate::support::{Afterall, Dir, Scripted};
use std::process::Command;

/// The growth of a start's cost at which this test fails.
const ROOM: f64 = 1.1;

/// System calls from our first one to the exec.
const SYSTEM_CALLS: f64 = 32.0;

/// Instructions in user space of the whole process, without a command, in the unoptimised build.
const INSTRUCTIONS: f64 = 1_750_000.0;

/// Instructions in user space for each file of a directory of migrations, in the unoptimised build.
const INSTRUCTIONS_PER_FILE: f64 = 6_800.0;

#[test]
fn a_start_makes_few_system_calls() {
    let (server, dir) = (Scripted::silent(), Dir::new());
    let trace = dir.text("trace");
    let strace = program("strace", "strace");
    Afterall::waiting_for(["-q".to_owned(), format!("tcp://{}", server.address())])
        .under([strace.to_str().unwrap(), "-qq", "-o", &trace])
        .becoming(["/bin/true"])
        .run()
        .code(0);
    let text = dir.read("trace");
    // The loader works before the first line, and the command after the second execve.
    let lines: Vec<&str> = text.lines().collect();
    let first = lines.iter().position(|line| line.starts_with("poll([{fd=0,")).unwrap();
    let exec = lines.iter().rposition(|line| line.starts_with("execve(")).unwrap();
    let calls = &lines[first..exec];
    assert!(
        calls.len() as f64 <= SYSTEM_CALLS * ROOM,
        "{} calls:\n{}",
        calls.len(),
        calls.join("\n")
    );
}

#[test]
fn a_start_executes_few_instructions() {
    if !cfg!(all(target_arch = "x86_64", debug_assertions)) {
        // Each machine and each build has a figure of its own.
        return;
    }
    let server = Scripted::silent();
    let counted = instructions(&["-q", &format!("tcp://{}", server.address())]);
    assert!(counted <= INSTRUCTIONS * ROOM, "{counted} instructions");
}

#[test]
fn the_first_names_of_a_directory_identify_its_tool() {
    let dir = Dir::new();
    let plan_of = |files: usize| {
        let migrations = format!("{files}");
        dir.mkdir(&migrations);
        for n in 1..=files {
            dir.write(&format!("{migrations}/{n:04}_x.up.sql"), "");
        }
        let url = "migrations+postgres://db/app#dir";
        instructions(&["--print-plan", &format!("{url}={}", dir.text(&migrations))])
    };
    let (few, many) = (plan_of(20), plan_of(220));
    // A file is listed, sorted and freed, but not compared with the pattern of each tool.
    let each = (many - few) / 200.0;
    assert!(each <= INSTRUCTIONS_PER_FILE * ROOM, "{each} instructions");
}

#[test]
fn equal_declarations_cost_no_more_each_than_the_first_ones() {
    let plan_of = |count: usize| {
        let mut args = vec!["--print-plan"];
        args.resize(1 + count, "tcp://db:5432");
        instructions(&args)
    };
    let (none, some, twice) = (plan_of(1), plan_of(150), plan_of(300));
    let growth = (twice - none) / (some - none);
    assert!(growth <= 2.0 * ROOM, "twice as many take {growth} times the instructions");
}

/// Instructions in user space of the whole process. The unoptimised build is the same everywhere.
fn instructions(args: &[&str]) -> f64 {
    let done = Command::new(program("valgrind", "valgrind"))
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--"])
        .arg(Afterall::program())
        .args(args)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{text}");
    let counted = text.split("Collected : ").nth(1).unwrap().lines().next().unwrap();
    counted.trim().parse().unwrap()
}
