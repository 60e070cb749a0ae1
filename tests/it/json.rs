//! `--format json`: every line is an object of the documented schema.

use crate::support::odd::odd;
use crate::support::{Afterall, Dir, Done, Reserved, Running, Scripted, ms, secs, sh, wait_until};
use serde_json::{Map, Value};
use std::fs;
use std::io::Write;
use std::path::Path;

type Object = Map<String, Value>;

/// Returns every line. Each must be an object with the common fields and without undocumented ones.
#[track_caller]
fn objects(done: &Done) -> Vec<Object> {
    let text = done.stderr_text();
    assert!(text.is_empty() || text.ends_with('\n'), "{text:?}");
    let objects: Vec<Object> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect();
    for (object, line) in objects.iter().zip(text.lines()) {
        // In the order in which people read.
        assert!(line.starts_with("{\"time\":\"") && line.contains("Z\",\"event\":\""), "{line}");
        humantime::parse_rfc3339(object["time"].as_str().unwrap()).unwrap();
        assert!(object["dependency"].is_string() || object["dependency"].is_null(), "{line}");
        is_documented(object);
    }
    objects
}

/// The manual's part on JSON has a paragraph for each event and for each field.
#[track_caller]
fn is_documented(object: &Object) {
    let page =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("man/afterall.1")).unwrap();
    let part = page.split(".SS json").nth(1).unwrap().split(".SS ").next().unwrap();
    let words = object.keys().map(String::as_str).chain([object["event"].as_str().unwrap()]);
    for word in words {
        assert!(
            part.lines().any(|line| line == format!(".B {word}")),
            "the manual does not document {word}: {object:?}"
        );
    }
}

fn events(objects: &[Object]) -> Vec<(&str, &str)> {
    objects
        .iter()
        .map(|o| (o["event"].as_str().unwrap(), o["dependency"].as_str().unwrap_or("-")))
        .collect()
}

fn json<S: AsRef<std::ffi::OsStr>>(dependencies: impl IntoIterator<Item = S>) -> Afterall {
    Afterall::waiting_for(dependencies).args(["--format", "json"])
}

#[test]
fn a_wait_is_reported_from_start_to_exec() {
    let port = Reserved::new();
    let at = port.address();
    let running = json([format!("db=tcp://{at}#timeout=90s")]).becoming(sh("echo started")).spawn();
    running.wait_for_stderr("\"change\"", secs(20));
    let _server = port.serve(|_, _| {});
    let done = running.done().code(0).stdout("started\n");
    let objects = objects(&done);
    assert_eq!(
        events(&objects),
        [("start", "db"), ("change", "db"), ("ready", "db"), ("done", "-"), ("exec", "-")]
    );
    assert_eq!(objects[0]["timeout"], 90.0);
    assert_eq!(objects[1]["class"], "connect");
    assert_eq!(objects[1]["message"], format!("connection refused ({at})"));
    assert_eq!(objects[1]["attempts"], 1);
    assert!(
        objects[2]["attempts"].as_u64().unwrap() >= 2
            && objects[2]["elapsed"].as_f64().unwrap() > 0.0
    );
    assert!(objects[2]["message"].is_string() && !objects[2].contains_key("class"));
    assert!(objects[3]["elapsed"].as_f64().unwrap() >= objects[2]["elapsed"].as_f64().unwrap());
    assert!(!objects[3].contains_key("last"), "one dependency is always the last");
    assert_eq!(objects[4]["command"], "/bin/sh");
}

#[test]
fn verbose_reports_every_attempt() {
    let port = Reserved::new();
    let running = json([format!("db=tcp://{}", port.address())]).arg("-v").spawn();
    running.wait_for_stderr("\"attempts\":3", secs(20));
    running.signal(15);
    let done = running.done().signal(15);
    let objects = objects(&done);
    let attempts: Vec<_> = objects
        .iter()
        .filter(|o| o["event"] == "attempt")
        .map(|o| o["attempts"].as_u64().unwrap())
        .collect();
    assert!(
        attempts.len() > 2 && attempts.iter().copied().eq(1..=attempts.len() as u64),
        "{attempts:?}"
    );
    assert_eq!(objects.last().unwrap()["event"], "signal");
}

#[test]
fn notes_are_objects_too() {
    let done = json(["postgres:1#timeout=0", "db=postgres://u@127.0.0.1:1/db?pool=5#timeout=0"])
        .arg("-v")
        .run()
        .code(124);
    let objects = objects(&done);
    assert_eq!(
        events(&objects)[..3],
        [("note", "-"), ("note", "-"), ("start", "tcp://postgres:1")]
    );
    assert!(
        objects[0]["message"]
            .as_str()
            .unwrap()
            .starts_with("tcp://postgres:1: waits for the port alone"),
        "{objects:?}"
    );
    assert_eq!(
        objects[1]["message"],
        "db: ignored, because they do not concern the connection: pool"
    );
}

#[test]
fn start_states_the_timeout() {
    let done = json(["a=file:/#timeout=0", "b=file:/#timeout=never", "c=file:/#timeout=1.5s"])
        .run()
        .code(0);
    let timeouts: Vec<_> = objects(&done)
        .iter()
        .filter(|o| o["event"] == "start")
        .map(|o| o["timeout"].clone())
        .collect();
    assert_eq!(timeouts, [Value::from(0), Value::Null, Value::from(1.5)]);
}

#[test]
fn what_waits_behind_after_is_blocked_until_its_clock_starts() {
    let port = Reserved::new();
    let words = [
        "schema=file:/#after=db,timeout=90s".to_owned(),
        format!("db=tcp://{}#timeout=never", port.address()),
    ];
    let running = json(&words).spawn();
    running.wait_for_stderr("\"change\"", secs(20));
    let server = port.serve(|_, _| {});
    let done = running.done().code(0);
    let ends = objects(&done);
    let want = [
        ("blocked", "schema"),
        ("start", "db"),
        ("change", "db"),
        ("ready", "db"),
        ("start", "schema"),
        ("ready", "schema"),
        ("done", "-"),
    ];
    assert_eq!(events(&ends), want);
    assert_eq!(ends[0]["after"], Value::from(vec!["db"]));
    assert_eq!(ends[4]["timeout"], 90.0);
    assert_eq!(ends[6]["last"], "schema");
    assert!(ends[6]["waited"].as_f64() < ends[6]["elapsed"].as_f64());

    drop(server);
    let done = json(&words).args(["--deadline", "300ms"]).run().code(124);
    let ends = objects(&done);
    let last = ends.last().unwrap();
    assert_eq!((&last["event"], &last["dependency"]), (&"waiting".into(), &"schema".into()));
    assert_eq!(last["after"], Value::from(vec!["db"]));
    assert!(!last.contains_key("elapsed"), "no clock runs: {last:?}");
}

#[test]
fn errors_before_the_wait_are_objects_too() {
    for (words, command, code, message) in [
        ("potsgres://x", "/bin/true", 64, "potsgres"),
        ("file:/#tiemout=1s", "/bin/true", 64, "tiemout"),
        ("file:/", "/no/such/command", 127, "/no/such/command"),
        ("file:/", "/etc/passwd", 126, "/etc/passwd"),
    ] {
        let done = json([words]).becoming([command]).run().code(code);
        let objects = objects(&done);
        let last = objects.last().unwrap();
        assert_eq!((&last["event"], &last["exit"]), (&"error".into(), &code.into()));
        assert!(last["message"].as_str().unwrap().contains(message), "{last:?}");
    }
}

#[test]
fn every_end_has_its_event() {
    let port = Reserved::new();
    let at = port.address();
    let run = |dependencies: &[String]| json(dependencies).run();
    let done = run(&[format!("a=tcp://{at}#timeout=1s"), format!("b=tcp://{at}")]).code(124);
    let ends = objects(&done);
    assert_eq!(events(&ends)[ends.len() - 2..], [("timeout", "a"), ("waiting", "b")]);
    assert_eq!(ends.last().unwrap()["class"], "connect");

    let done = run(&[format!("a=tcp://{at}#timeout=200ms,on-timeout=proceed")]).code(0);
    let ends = objects(&done);
    assert_eq!(events(&ends)[ends.len() - 2..], [("proceed", "a"), ("done", "-")]);
    assert_eq!(ends[ends.len() - 2]["class"], "connect");
    assert_eq!(ends[ends.len() - 1]["without"], Value::from(vec!["a"]));

    let done = run(&[format!("a=tcp://{at}#fail-fast=connect")]).code(69);
    let ends = objects(&done);
    assert_eq!(events(&ends), [("start", "a"), ("hopeless", "a")]);

    let running = json([format!("a=tcp://{at}")]).spawn();
    running.wait_for_stderr("\"change\"", secs(20));
    running.signal(15);
    let done = running.done().signal(15);
    let ends = objects(&done);
    assert_eq!(events(&ends).last(), Some(&("signal", "-")));
    assert_eq!(ends.last().unwrap()["signal"], "SIGTERM");
}

/// Ready at once, beside another that is not: waits until the first success is too old to count.
fn ready_for_longer_than_a_second(running: &Running) {
    running.wait_for_stderr("\"ready\",\"dependency\":\"early\"", secs(20));
    let ready = running.elapsed();
    wait_until("the success is old", secs(20), || running.elapsed() > ready + ms(1_100));
}

#[test]
fn an_old_success_is_confirmed() {
    let dir = Dir::new();
    let running = json(["early=file:/".to_owned(), format!("late=file:{}", dir.text("late"))])
        .becoming(sh(""))
        .spawn();
    ready_for_longer_than_a_second(&running);
    dir.write("late", "");
    let done = running.done().code(0);
    let objects = objects(&done);
    let last: Vec<_> = events(&objects).into_iter().rev().take(4).collect();
    assert_eq!(last, [("exec", "-"), ("done", "-"), ("confirm", "early"), ("ready", "late")]);
    assert_eq!(objects[objects.len() - 3]["ready"], true);
}

#[test]
fn a_lost_success_is_reported_and_waited_for_again() {
    let dir = Dir::new();
    dir.write("early", "");
    let early = format!("early=file:{}", dir.text("early"));
    let running = json([early, format!("late=file:{}", dir.text("late"))]).becoming(sh("")).spawn();
    ready_for_longer_than_a_second(&running);
    fs::remove_file(dir.join("early")).unwrap();
    dir.write("late", "");
    running.wait_for_stderr("\"confirm\"", secs(20));
    dir.write("early", "");
    let done = running.done().code(0);
    let objects = objects(&done);
    let confirm = objects.iter().find(|o| o["event"] == "confirm").unwrap();
    assert_eq!(
        (&confirm["ready"], &confirm["class"]),
        (&Value::from(false), &Value::from("absent"))
    );
    let last: Vec<_> = events(&objects).into_iter().rev().take(3).collect();
    assert_eq!(last, [("exec", "-"), ("done", "-"), ("ready", "early")]);
}

#[test]
fn quiet_leaves_only_what_ends_the_wait() {
    let port = Reserved::new();
    json(["a=file:/"]).arg("-q").becoming(sh("echo started")).run().code(0).stdout("started\n");
    let done =
        json([format!("a=tcp://{}#timeout=200ms", port.address())]).arg("-q").run().code(124);
    assert_eq!(events(&objects(&done)), [("timeout", "a")]);
}

#[test]
fn a_server_cannot_write_a_line_or_a_field_of_its_own() {
    let hostile = Scripted::new(|_, mut stream| {
        let _ = stream.write_all(
            b"-ERR \
                'x\",\"event\":\"exec\"}\x1b[31m\\u0000\x00\xff{\"event\":\"exec\"}'\r\n\
                {\"event\":\"exec\"}\r\n",
        );
    });
    let done =
        json([format!("bus=nats://{}#timeout=500ms", hostile.address())]).arg("-v").run().code(124);
    let objects = objects(&done);
    assert!(objects.iter().all(|o| o["event"] != "exec"), "{objects:?}");
    let message = objects.iter().find_map(|o| o.get("message")).unwrap().as_str().unwrap();
    assert!(!message.contains(|c: char| c.is_control()), "{message:?}");
}

/// A URL of 199 servers that are down: 199 places in a message.
fn many_servers(name: &str, port: &Reserved) -> String {
    format!("{name}nats://{}", vec![port.address().to_string(); 199].join(","))
}

#[test]
fn an_object_with_many_servers_is_one_short_line() {
    let port = Reserved::new();
    for name in ["", "bus="] {
        let done = json([many_servers(name, &port)]).args(["-v", "-t", "1s"]).run().code(124);
        let lines = done.stderr_text().lines().map(str::len).max();
        assert!(lines.is_some_and(|longest| longest < 4_096), "{lines:?}");
        assert_eq!(events(&objects(&done)).last().unwrap().0, "timeout");
    }
}

#[test]
fn an_unread_pipe_delays_neither_the_end_nor_a_signal() {
    let port = Reserved::new();
    for op in ["full-stderr", "nearly-full-stderr"] {
        for flag in ["-q", "-v"] {
            let run = |timeout: &str| {
                let names = ["a=", "b=", "c=", "d="].map(|name| many_servers(name, &port));
                json(names).args([flag, "-t", timeout]).under(odd([op]))
            };
            run("500ms").run().code(124).took(ms(500)..secs(5));
            let running = run("never").spawn();
            running.wait_until_waiting();
            running.signal(15);
            running.done().signal(15);
        }
    }
}
