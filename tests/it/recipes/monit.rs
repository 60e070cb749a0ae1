//! The control script and the rules, under the real monit.

use super::place::Place;
use super::ready::becomes_its_service_when_all_is_ready;
use super::texts::{in_script, read};
use crate::support::{Afterall, Counted, Dir, LONG, Monit, Postgres, secs, wait_for, wait_until};
use std::path::Path;

const SCRIPT: &str = "examples/monit/scheduler-ctl";
const RULES: &str = "examples/monit/scheduler.monitrc";

/// The recipe in a directory of its own, with cycles of a second and a service that counts them.
struct Service {
    // Dropped first, because its processes hold the files open.
    _monit: Monit,
    dir: Dir,
}

impl Service {
    fn start(url: &str, command: &str, edit: impl Fn(&str) -> String) -> Self {
        let dir = Dir::new();
        let here = dir.path().display();
        let own = Path::new(Afterall::program()).parent().unwrap().display();
        let script = read(SCRIPT).replace("set -eu\n", &format!("set -eu\nPATH={own}:$PATH\n"));
        // Another test checks the dependencies; this one checks the supervisor.
        let schema =
            script.lines().find(|line| line.contains("schema=")).unwrap().to_owned() + "\n";
        let script = script
            .replace(&schema, "")
            .replace("/usr/lib/scheduler/scheduler --listen 127.0.0.1:8080", command);
        let moved = |text: &str| {
            let paths = ["/run/scheduler", "/var/log/scheduler", "/etc/scheduler"];
            paths
                .iter()
                .fold(text.to_owned(), |text, path| text.replace(path, &format!("{here}{path}")))
        };
        dir.write_script("etc/scheduler/scheduler-ctl", &edit(&moved(&script)));
        dir.write_secret("etc/scheduler/database-url", url);
        let tick = dir.write_script("tick", &format!("#!/bin/sh\necho >>{here}/ticks\n"));
        let counter = format!(
            "check program tick with path \"{}\" if status != 0 then alert\n",
            tick.display()
        );
        // Nobody listens there.
        let rules = edit(&moved(&read(RULES))).replace("port 8080", "port 1");
        // A cycle is a second here, not ten. monit allows no more than 64.
        let rules = rules.replace("for 36 cycles", "for 60 cycles");
        // As long as a start may take, 30 s by default, monit leaves ports alone.
        let rules =
            rules.replace("scheduler-ctl start\"", "scheduler-ctl start\" with timeout 1 seconds");
        Self { _monit: Monit::start(&dir, &(counter + &rules)), dir }
    }

    fn log(&self) -> String {
        self.dir.read("var/log/scheduler/scheduler.stderr.log")
    }

    /// The pid in monit's own namespace.
    fn pid(&self) -> String {
        // The script writes it after the start.
        wait_for("a pid", LONG, || {
            let pid = self.dir.read("run/scheduler/scheduler.pid").trim().to_owned();
            (!pid.is_empty()).then_some(pid)
        })
    }

    #[track_caller]
    fn wait_for_log(&self, needle: &str) {
        wait_until(&format!("{needle} in the log"), LONG, || self.log().contains(needle));
    }

    #[track_caller]
    fn wait_for_cycles(&self, cycles: usize) {
        let seen = || self.dir.read("ticks").len();
        let before = seen();
        wait_until("monit goes round", LONG, || seen() >= before + cycles);
    }
}

fn as_it_is(text: &str) -> String {
    text.to_owned()
}

#[test]
fn the_control_script_is_accepted() {
    let calls = in_script(&read(SCRIPT));
    assert_eq!(calls.len(), 1);
    Place::new().with_env("DATABASE_URL", "postgres://app:secret@db/app").accepts(&calls[0]);
}

#[test]
fn the_script_becomes_its_service_when_the_real_servers_are_ready() {
    becomes_its_service_when_all_is_ready(in_script(&read(SCRIPT)));
}

#[test]
fn monit_keeps_one_pid_and_restarts_the_service() {
    let postgres = Postgres::new();
    let dir = Dir::new();
    let ending = dir.text("end");
    // The first one runs until it is told to end, the next ones for good.
    let service = Counted::doing(&format!(
        "if [ -e {ending} ]; then exec sleep 600; fi; while [ ! -e {ending} ]; do sleep 0.1; done"
    ));
    let monit = Service::start(&postgres.superuser_url(), service.path(), as_it_is);
    monit.wait_for_log("db: waiting: ");
    let waiting = monit.pid();
    // A foreground wait would stop monit here.
    monit.wait_for_cycles(2);
    assert_eq!((monit.pid(), service.runs()), (waiting.clone(), 0));
    postgres.start();
    wait_until("the service runs", secs(20), || service.runs() == 1);
    monit.wait_for_cycles(2);
    assert_eq!(monit.pid(), waiting, "monit's pid file is still right");
    assert_eq!(service.pids(), [waiting.parse::<i32>().unwrap()]);
    dir.write("end", "");
    wait_until("monit has started it again", LONG, || service.runs() == 2);
    assert_ne!(monit.pid(), waiting);
}

#[test]
fn a_health_rule_needs_cycles_to_allow_the_wait() {
    let service = Counted::new();
    let nobody = "postgres://app@127.0.0.1:1/app";
    let monit = Service::start(nobody, service.path(), as_it_is);
    monit.wait_for_log("db: waiting: ");
    let waiting = monit.pid();
    monit.wait_for_cycles(4);
    assert_eq!(
        (monit.pid(), monit.log().matches("ended by").count()),
        (waiting, 0),
        "{}",
        monit.log()
    );
    drop(monit);

    let impatient = |text: &str| text.replace(" for 36 cycles", "");
    let monit = Service::start(nobody, service.path(), impatient);
    monit.wait_for_log("ended by SIGTERM");
    assert_eq!(service.runs(), 0);
}

#[test]
fn a_wait_that_fails_five_times_is_not_started_for_ever() {
    let service = Counted::new();
    let monit = Service::start("postgres://app@127.0.0.1:1/app", service.path(), |text| {
        text.replace("--timeout 5m", "--timeout 500ms")
    });
    wait_until("monit gives up", LONG, || monit.dir.read("monit.log").contains("unmonitor"));
    let tried = || monit.log().matches("db: timed out").count();
    // The last wait may not have ended yet.
    wait_until("five waits have failed", LONG, || tried() >= 5);
    monit.wait_for_cycles(3);
    let before = tried();
    monit.wait_for_cycles(3);
    assert_eq!((tried(), service.runs()), (before, 0));
}
