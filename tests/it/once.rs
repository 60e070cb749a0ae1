//! `--once`: one look, a table, an exit code.

use crate::support::{Afterall, Nats, Postgres, Reserved, Scripted, Terminal, ms, secs, sh};
use serde_json::Value;
use std::io::Write;

#[test]
fn the_table_shows_what_answered_and_why_the_rest_is_not_ready() {
    let pg = Postgres::started();
    let nats = Nats::started("");
    let port = Reserved::new();
    let done = Afterall::waiting_for([
        &format!("db={}", pg.superuser_url()),
        &format!("bus={}", nats.url()),
        &format!("cache={}", port.address()),
    ]);
    let done = done.arg("--once").run().code(69);
    let lines: Vec<Vec<&str>> =
        done.stdout_text().lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines.len(), 4, "{}", done.stdout_text());
    assert_eq!(lines[0][..3], ["✓", "db", "ready"]);
    assert_eq!(lines[0][4], "ms");
    lines[0][3].parse::<f64>().unwrap();
    assert!(lines[0][5..].join(" ").starts_with("PostgreSQL "), "{:?}", lines[0]);
    assert_eq!(lines[1][..3], ["✓", "bus", "ready"]);
    assert!(lines[1][5..].join(" ").starts_with("NATS "), "{:?}", lines[1]);
    assert_eq!(lines[2][..4], ["✗", "cache", "not", "ready"]);
    assert_eq!(lines[3], ["2", "of", "3", "ready"]);
    assert!(
        done.stdout_text()
            .contains(&format!("connection refused ({}) [class=connect]\n", port.address()))
    );
}

#[test]
fn all_ready_is_0_and_a_hint_is_shown() {
    Afterall::waiting_for(["a=file:/", "b=file:/tmp"])
        .arg("--once")
        .run()
        .code(0)
        .stdout_has("a  ready ")
        .stdout_has("b  ready ");
    let pg = Postgres::started();
    pg.psql("create role app login password 'right'");
    pg.hba(&["host all all all scram-sha-256"]);
    let url = format!("db={}", pg.url("app", "SECRET", "postgres"));
    let done = Afterall::waiting_for([url]).arg("--once").run().code(69).says_nowhere("SECRET");
    done.stdout_has(
        "[class=auth] hint: wrong password, or the role or its password does not exist yet\n",
    );
}

#[test]
fn a_terminal_gets_colours_and_wrapped_reasons() {
    let port = Reserved::new();
    for (variable, is_colored) in [("", true), ("NO_COLOR=1", false)] {
        let terminal = Terminal::sh(60, 24);
        let program = Afterall::program().display();
        let words = format!("here=file:/ a-dependency-with-a-long-name=tcp://{}", port.address());
        let line = format!("clear; {variable} {program} --once {words}; echo code $?\n");
        terminal.dir().write("run", line);
        terminal.enters(&format!(". {}", terminal.dir().text("run")));
        terminal.wait_for("the table", |screen| screen.trim_end().ends_with("code 69\n$"));
        let screen = terminal.screen();
        assert!(screen.lines().all(|line| line.chars().count() <= 60), "{screen}");
        let words: Vec<&str> = screen.split_whitespace().collect();
        let text = words.join(" ");
        let refused = format!("connection refused ({}) [class=connect]", port.address());
        for wanted in ["✓ here ready ", "✗ a-depend", "…", &refused, " 1 of 2 ready "] {
            assert!(text.contains(wanted), "no {wanted:?}:\n{screen}");
        }
        let escapes = terminal.history();
        assert_eq!(escapes.contains("\u{1b}[32m✓ here"), is_colored, "{escapes:?}");
        assert_eq!(escapes.contains("\u{1b}[31m✗ a-depend"), is_colored, "{escapes:?}");
    }
}

#[test]
fn everything_is_asked_once_whatever_its_keys() {
    let server = Scripted::silent();
    let port = Reserved::new();
    let done = Afterall::waiting_for([
        format!("a=tcp://{}#on-timeout=proceed", port.address()),
        format!("b=tcp://{}#after=a,successes=5,max-interval=1m,interval=1m", server.address()),
        format!("c=tcp://{}#fail-fast=connect", port.address()),
    ]);
    let done = done.args(["--once", "-t", "1m"]).run().code(69).took(..secs(10));
    done.stdout_has("a  not ready").stdout_has("b  ready ").stdout_has("c  not ready");
    assert_eq!(server.connections(), 1);
}

#[test]
fn one_that_never_answers_is_cut_by_attempt_timeout() {
    let silent = Scripted::silent();
    let done = Afterall::waiting_for([format!("bus=nats://{}", silent.address())]).args([
        "--once",
        "--attempt-timeout",
        "200ms",
    ]);
    done.run()
        .code(69)
        .took(ms(200)..secs(5))
        .stdout_has("bus  not ready")
        .stdout_has("[class=timeout]");
}

#[test]
fn as_json_there_is_an_object_for_each() {
    let port = Reserved::new();
    let server = Scripted::silent();
    let done = Afterall::waiting_for([
        format!("a=tcp://{}", server.address()),
        format!("b=tcp://{}", port.address()),
        format!("c=tcp://{}#fail-fast=connect", port.address()),
    ]);
    let done = done.args(["--once", "--format", "json"]).run().code(69);
    let objects: Vec<Value> =
        done.stdout_text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<_> = objects
        .iter()
        .map(|o| (o["dependency"].as_str().unwrap(), o["event"].as_str().unwrap()))
        .collect();
    assert_eq!(told, [("a", "ready"), ("b", "unready"), ("c", "hopeless")]);
    assert!(
        objects
            .iter()
            .all(|o| o["attempts"] == 1 && o["elapsed"].is_number() && o["time"].is_string()),
        "{objects:?}"
    );
    assert_eq!(objects[1]["class"], "connect");
}

#[test]
fn a_dependency_with_a_mistake_is_a_row() {
    let look = || {
        Afterall::waiting_for([
            "a=file:/",
            "b=env:NOT_SET",
            "c=tcp://db:1#tiemout=1s,interval=1h",
            "env:NOT_SET_EITHER",
            "e=file:/none",
            "f=postgres://db/x#ca=/none",
        ])
        .arg("--once")
    };
    let done = look().run().code(64);
    let table = done.stdout_text();
    let rows: Vec<String> =
        table.lines().map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for (row, start, end) in [
        (0, "✓ a ready ", " exists"),
        (1, "✗ e not ready ", "[class=absent]"),
        (2, "✗ b cannot be asked the variable NOT_SET is not set", ""),
        (3, "✗ dependency 4 cannot be asked the variable NOT_SET_EITHER is not set", ""),
        (4, "✗ c cannot be asked unknown key tiemout, did you mean timeout?; interval: ", ""),
        (5, "✗ f cannot be asked ", "no such file or directory"),
        (6, "1 of 6 ready", ""),
    ] {
        assert!(rows[row].starts_with(start) && rows[row].ends_with(end), "{row}: {table}");
    }
    let done = look().args(["--format", "json"]).run().code(64);
    let objects: Vec<Value> =
        done.stdout_text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(objects.len(), 6);
    assert_eq!((&objects[2]["event"], &objects[2]["dependency"]), (&"error".into(), &"b".into()));
    assert_eq!(objects[2]["exit"], 64);
    let message = objects[2]["message"].as_str().unwrap();
    assert!(message.starts_with("cannot be asked: the variable NOT_SET is not set"), "{message}");
}

#[test]
fn without_a_dependency_to_ask_mistakes_are_errors() {
    Afterall::waiting_for(["b=env:NOT_SET"])
        .arg("--once")
        .run()
        .code(64)
        .stderr_has("afterall: b: the variable NOT_SET is not set");
    // A mistake that is no dependency's leaves open what the user meant.
    Afterall::waiting_for(["file:/", "b=env:NOT_SET"])
        .args(["--once", "--timeout", "soon"])
        .run()
        .code(64)
        .stderr_has("afterall: --timeout: must be a duration")
        .stderr_has("afterall: b: the variable NOT_SET is not set");
}

#[test]
fn a_command_is_refused_and_the_variable_works() {
    Afterall::waiting_for(["file:/"])
        .arg("--once")
        .becoming(sh("echo"))
        .run()
        .code(64)
        .stderr("afterall: --once looks, and runs no COMMAND\n");
    Afterall::waiting_for(["a=file:/"])
        .env("AFTERALL_ONCE", "1")
        .run()
        .code(0)
        .stdout_has("a  ready ");
    Afterall::waiting_for(["a=file:/"])
        .env("AFTERALL_ONCE", "0")
        .becoming(sh("echo started"))
        .run()
        .code(0)
        .stdout("started\n")
        .any_stderr();
}

#[test]
fn a_server_cannot_write_into_the_table() {
    let hostile = Scripted::new(|_, mut stream| {
        let _ = stream.write_all(b"-ERR 'x\x1b[2J\rbus  ready'\r\n");
    });
    let done = Afterall::waiting_for([format!("bus=nats://{}", hostile.address())])
        .arg("--once")
        .run()
        .code(69);
    let lines: Vec<&str> = done.stdout_text().lines().collect();
    assert!(
        lines.len() == 2 && !lines[0].contains(|c: char| c.is_control()),
        "{:?}",
        done.stdout_text()
    );
}

#[test]
fn a_signal_ends_a_look_and_there_is_no_table() {
    let silent = Scripted::silent();
    let running = Afterall::waiting_for([format!("nats://{}", silent.address())])
        .args(["--once", "--attempt-timeout", "1m"])
        .spawn();
    crate::support::wait_until("it asks", secs(20), || silent.connections() == 1);
    running.signal(2);
    running.done().signal(2).stderr("afterall: ended by SIGINT\n");
}
