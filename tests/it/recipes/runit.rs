//! The runit service, under the real runsv.

use super::place::Place;
use super::texts::{in_script, read};
use crate::support::process::{Scope, Server, program};
use crate::support::{Afterall, Counted, Dir, LONG, Postgres, secs, wait_for, wait_until};
use rustix::process::Signal;
use std::path::Path;
use std::process::Command;

const RUN: &str = "examples/runit/scheduler/run";
const FINISH: &str = "examples/runit/scheduler/finish";

struct Service {
    _runsv: Server,
    dir: Dir,
}

impl Service {
    /// The recipe with this command and this URL, and `afterall` where its PATH finds it.
    fn start(url: &str, command: &str, edit: impl Fn(String) -> String) -> Self {
        let dir = Dir::new();
        let place = Path::new(Afterall::program()).parent().unwrap();
        let run = read(RUN)
            .replace("#!/bin/sh\n", &format!("#!/bin/sh\nPATH={}:$PATH\n", place.display()));
        let run = run.replace("/usr/lib/scheduler/scheduler --listen 127.0.0.1:8080", command);
        // Another test checks the dependencies; this one checks the supervisor.
        let schema = run.lines().find(|line| line.contains("schema=")).unwrap().to_owned() + "\n";
        let run = run
            .replace(&schema, "")
            .replace("exec 2>&1", &format!("exec >>{} 2>&1", dir.text("log")));
        dir.write_script("scheduler/run", &edit(run));
        let finish = read(FINISH).replace(
            "#!/bin/sh\n",
            &format!("#!/bin/sh\necho \"$1\" >>{}\n", dir.text("finished")),
        );
        dir.write_script("scheduler/finish", &finish);
        dir.write("scheduler/env/DATABASE_URL", url);
        let runsv = program("runsv", "runit");
        let scheduler = dir.join("scheduler");
        let words = [runsv.as_os_str(), scheduler.as_os_str()];
        let _runsv =
            Server::start("runsv", &words, &dir.join("runsv.log"), Signal::TERM, Scope::Process);
        Self { _runsv, dir }
    }

    fn sv(&self, verb: &str) -> String {
        let output = Command::new(program("sv", "runit"))
            .args([verb, &self.dir.text("scheduler")])
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn log(&self) -> String {
        self.dir.read("log")
    }

    fn pid(&self) -> String {
        // runsv writes it after the start.
        wait_for("a pid", LONG, || {
            let pid = self.dir.read("scheduler/supervise/pid").trim().to_owned();
            (!pid.is_empty()).then_some(pid)
        })
    }
}

#[test]
fn the_run_script_is_accepted() {
    let calls = in_script(&read(RUN));
    assert_eq!(calls.len(), 1);
    Place::new().with_env("DATABASE_URL", "postgres://app:secret@db/app").accepts(&calls[0]);
}

#[test]
fn the_script_becomes_its_service_when_the_real_servers_are_ready() {
    super::ready::becomes_its_service_when_all_is_ready(in_script(&read(RUN)));
}

#[test]
fn runsv_keeps_one_pid_and_ends_wait_and_service() {
    let postgres = Postgres::new();
    let service = Counted::doing("exec sleep 600");
    let runit = Service::start(&postgres.superuser_url(), service.path(), |run| run);
    wait_until("it waits", secs(20), || runit.log().contains("db: waiting: "));
    let waiting = runit.pid();
    postgres.start();
    wait_until("the service runs", secs(20), || service.runs() == 1);
    assert_eq!(runit.pid(), waiting, "runsv still has the pid that it started");
    assert_eq!(service.pids(), [waiting.parse::<i32>().unwrap()]);
    assert!(runit.sv("status").starts_with("run: "));
    runit.sv("down");
    wait_until("the service is down", secs(20), || runit.sv("status").starts_with("down: "));
    assert_eq!(service.runs(), 1);
}

#[test]
fn sv_down_ends_a_wait_at_once_and_starts_nothing() {
    let service = Counted::new();
    let runit = Service::start("postgres://app@127.0.0.1:1/app", service.path(), |run| run);
    wait_until("it waits", secs(20), || runit.log().contains("db: waiting: "));
    runit.sv("down");
    wait_until("it is down", secs(20), || runit.sv("status").starts_with("down: "));
    assert_eq!(service.runs(), 0);
    assert!(runit.log().contains("ended by SIGTERM"), "{}", runit.log());
}

#[test]
fn what_no_restart_can_mend_stays_down() {
    let service = Counted::new();
    let runit = Service::start("postgres://app@127.0.0.1:1/app", service.path(), |run| {
        run.replace("--timeout never", "--timeout soon")
    });
    wait_until("it has ended with 64", secs(20), || runit.dir.read("finished").contains("64"));
    // Between two starts runsv reports `want up`.
    let stays_down =
        || runit.sv("status").starts_with("down: ") && !runit.sv("status").contains("want up");
    wait_until("it stays down", secs(20), stays_down);
    assert_eq!(
        (runit.dir.read("finished").as_str(), service.runs()),
        ("64\n", 0),
        "it was tried once"
    );
}
