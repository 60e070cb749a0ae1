//! The log of a wait: plain lines on stderr, and no more of them than are useful.

use crate::support::{Afterall, BlackHole, Dir, Reserved, Scripted, ms, secs, sh, wait_until};
use std::io::Write;

fn refusing(port: &Reserved) -> String {
    format!("db=tcp://{}", port.address())
}

/// The lines without what depends on time: `attempt=12` is `attempt=N`, `elapsed=0.3s` is
/// `elapsed=N`.
fn shape(text: &str) -> Vec<String> {
    let word = |word: &str| match word.split_once('=') {
        Some((key @ ("attempt" | "attempts" | "elapsed"), value)) if value.ends_with(']') => {
            format!("{key}=N]")
        }
        Some((key @ ("attempt" | "attempts" | "elapsed" | "[attempts"), _)) => format!("{key}=N"),
        _ => word.to_owned(),
    };
    let line = |line: &str| match line.strip_prefix("afterall: ready after ") {
        Some(rest) => {
            let without_time = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
            format!("afterall: ready after N{}", without_time.trim_start_matches('s'))
        }
        None => line.split(' ').map(word).collect::<Vec<_>>().join(" "),
    };
    text.lines().map(line).collect()
}

/// The time that a line ends with, in seconds.
fn elapsed(line: &str) -> Option<f64> {
    line.split_once(" elapsed=")?.1.split_once("s]")?.0.parse().ok()
}

#[test]
fn the_first_failure_is_reported_at_once_and_repeats_are_not() {
    let port = Reserved::new();
    let at = port.address();
    let running =
        Afterall::waiting_for([refusing(&port)]).becoming(sh("echo out; echo err >&2")).spawn();
    let first = format!(
        "afterall: db: waiting: connection refused ({at}) [class=connect attempt=1 elapsed="
    );
    running.wait_for_stderr(&first, secs(20));
    wait_until("many attempts were made", secs(20), || running.elapsed() > ms(700));
    assert_eq!(running.stderr_so_far().matches('\n').count(), 1, "{}", running.stderr_so_far());
    let _server = port.serve(|_, _| {});
    let done = running.done().code(0).stdout("out\n");
    let ready = "afterall: db: ready: accepts connections [attempts=N elapsed=N]".to_owned();
    let done_line = "afterall: ready after N".to_owned();
    let first = format!(
        "afterall: db: waiting: connection refused ({at}) [class=connect attempt=N elapsed=N]"
    );
    assert_eq!(shape(done.stderr_text()), [first, ready, done_line, "err".to_owned()]);
}

#[test]
fn a_timeout_is_one_line_for_each_dependency_with_its_last_failure() {
    let (port, dir) = (Reserved::new(), Dir::new());
    let at = port.address();
    let file = dir.text("none");
    let done = Afterall::waiting_for([
        refusing(&port),
        format!("f=file:{file}#timeout=9s"),
        "here=file:/".to_owned(),
    ])
    .args(["-t", "1s"])
    .becoming(["true"])
    .run()
    .code(124);
    let mut said = shape(done.stderr_text());
    assert_eq!(
        said.split_off(3),
        [
            format!(
                "afterall: db: timed out: connection refused ({at}) [class=connect attempts=N \
                elapsed=N]"
            ),
            format!(
                "afterall: f: not ready: no such file or directory ({file}) [class=absent \
                attempts=N elapsed=N]"
            ),
        ]
    );
}

#[test]
fn a_change_of_class_is_reported_at_most_once_a_second() {
    // A black hole at first, then a refusal.
    let hole = BlackHole::new();
    let url = format!("db=tcp://{}#attempt-timeout=100ms", hole.address());
    let running = Afterall::waiting_for([url]).spawn();
    running.wait_for_stderr("[class=timeout attempt=1 elapsed=", secs(20));
    drop(hole);
    running.wait_for_stderr("db: waiting: connection refused", secs(20));
    running.signal(15);
    let done = running.done().signal(15);
    let elapsed: Vec<f64> = done.stderr_text().lines().filter_map(elapsed).collect();
    assert_eq!(elapsed.len(), 2, "{}", done.stderr_text());
    // Both are rounded, and the second is that of the last attempt before its line.
    assert!(elapsed[1] - elapsed[0] > 0.6, "{}", done.stderr_text());
}

#[test]
fn quiet_reports_only_failures_and_what_is_left_behind() {
    let port = Reserved::new();
    let at = port.address();
    let failed = |line: &str| {
        format!(
            "afterall: db: {line}connection refused ({at}) [class=connect attempts=N elapsed=N]"
        )
    };
    for quiet in [["-q", "-q"], ["--quiet", "-t1s"]] {
        let done = Afterall::waiting_for([format!("{}#timeout=200ms", refusing(&port))])
            .args(quiet)
            .run()
            .code(124);
        assert_eq!(shape(done.stderr_text()), [failed("timed out: ")]);
    }
    let url = format!("{}#timeout=200ms,on-timeout=proceed", refusing(&port));
    let done = Afterall::waiting_for([url.as_str()])
        .env("AFTERALL_QUIET", "1")
        .becoming(["true"])
        .run()
        .code(0);
    assert_eq!(shape(done.stderr_text()), [failed("going on without it: timed out: ")]);
    let done = Afterall::waiting_for([format!("{}#fail-fast=connect", refusing(&port))])
        .arg("-q")
        .run()
        .code(69);
    assert_eq!(shape(done.stderr_text()), [failed("cannot become ready: ")]);
}

#[test]
fn verbose_reports_every_attempt() {
    let port = Reserved::new();
    let running = Afterall::waiting_for([refusing(&port)]).arg("-v").spawn();
    running.wait_for_stderr(" attempt=3 ", secs(20));
    let _server = port.serve(|_, _| {});
    let done = running.done().code(0);
    let said = done.stderr_text();
    let attempts = said.matches(" attempt=").count() + 1;
    assert!(said.contains(&format!("[attempts={attempts} ")), "{said}");
}

#[test]
fn a_flag_beats_the_opposite_variable() {
    let quiet = Afterall::waiting_for(["file:/", "-q"]).env("AFTERALL_VERBOSE", "1");
    quiet.run().code(0);
    let verbose = Afterall::waiting_for(["file:/", "-v"]).env("AFTERALL_QUIET", "1").run();
    verbose.code(0).stderr_has("ready: exists");
    Afterall::waiting_for(["file:/"])
        .env("AFTERALL_QUIET", "0")
        .run()
        .code(0)
        .stderr_has("ready: exists");
}

#[test]
fn stdout_is_the_commands_alone() {
    let port = Reserved::new();
    for flags in [&[][..], &["-v"], &["-q"]] {
        Afterall::waiting_for([refusing(&port)])
            .args(["-t", "200ms"])
            .args(flags)
            .run()
            .code(124)
            .stdout("")
            .any_stderr();
    }
}

#[test]
fn a_requested_backtrace_changes_nothing() {
    let port = Reserved::new();
    let said = |backtrace: &str| {
        let run = Afterall::waiting_for([refusing(&port)])
            .args(["-t", "0"])
            .env("RUST_BACKTRACE", backtrace)
            .env("RUST_LOG", "trace");
        shape(run.run().code(124).stderr_text())
    };
    assert_eq!(said("0"), said("full"));
    let wrong = |backtrace: &str| {
        Afterall::waiting_for(["x y z"])
            .env("RUST_BACKTRACE", backtrace)
            .run()
            .code(64)
            .stderr_text()
            .to_owned()
    };
    assert_eq!(wrong("0"), wrong("full"));
}

#[test]
fn a_line_follows_every_10_seconds_while_nothing_changes() {
    let port = Reserved::new();
    let done = Afterall::waiting_for([refusing(&port)]).args(["-t", "11500ms"]).run().code(124);
    let said = shape(done.stderr_text());
    // At once, after ten seconds, and at the end.
    assert_eq!(said.len(), 3, "{said:?}");
    let second = done.stderr_text().lines().nth(1).and_then(elapsed);
    assert!(second.is_some_and(|elapsed| elapsed >= 10.0), "{}", done.stderr_text());
}

#[test]
fn what_waits_behind_after_is_reported_as_waiting() {
    let port = Reserved::new();
    let done = Afterall::waiting_for([
        format!("{}#timeout=4s", refusing(&port)),
        "schema=file:/#after=db,timeout=1s".to_owned(),
        "last=file:/#after=schema+db".to_owned(),
    ]);
    let done = done.run().code(124);
    let said = shape(done.stderr_text());
    assert_eq!(said.len(), 6, "{said:?}");
    assert!(said[0].starts_with("afterall: db: waiting: "), "{said:?}");
    assert_eq!(
        said[1..3],
        ["afterall: schema: waits for db", "afterall: last: waits for schema, db"]
    );
    assert!(said[3].starts_with("afterall: db: timed out: "), "{said:?}");
    assert_eq!(
        said[4..],
        [
            "afterall: schema: not ready: waits for db",
            "afterall: last: not ready: waits for schema, db"
        ]
    );
}

#[test]
fn the_last_line_names_the_last_dependency_and_what_it_waited() {
    let port = Reserved::new();
    let running = Afterall::waiting_for([
        "schema=file:/#after=db".to_owned(),
        refusing(&port),
        "gone=file:/none#timeout=100ms,on-timeout=proceed".to_owned(),
    ])
    .spawn();
    running.wait_for_stderr("going on without it", secs(20));
    wait_until("the clocks differ", secs(20), || running.elapsed() > ms(600));
    let _server = port.serve(|_, _| {});
    let done = running.done().code(0);
    let last = done.stderr_text().lines().last().unwrap_or_default();
    assert!(last.starts_with("afterall: ready after "), "{last}");
    let (total, own) = last.split_once("s without gone; schema was last (waited ").unwrap();
    let seconds = |text: &str| text.rsplit(' ').next().unwrap().parse::<f64>().unwrap();
    let (total, own) = (seconds(total), seconds(own.trim_end_matches("s)")));
    assert!(total - own > 0.4, "{last}");
}

#[test]
fn the_hint_is_part_of_the_first_and_the_last_line() {
    let server = Scripted::new(|_, mut stream| {
        let _ = stream.write_all(b"-ERR 'Authorization Violation'\r\n");
    });
    let run = Afterall::waiting_for([format!("bus=nats://{}", server.address())]);
    let running = run.args(["-v", "-t", "3s", "--max-interval", "100ms"]).spawn();
    running.wait_for_stderr(" attempt=3 ", secs(20));
    let done = running.done().code(124);
    let lines: Vec<&str> = done.stderr_text().lines().collect();
    let hints: Vec<bool> = lines.iter().map(|line| line.contains(" hint: ")).collect();
    assert!(hints.len() >= 4, "{lines:?}");
    assert!(hints[0] && hints[hints.len() - 1], "{lines:?}");
    assert!(hints[1..hints.len() - 1].iter().all(|hint| !hint), "{lines:?}");
}

#[test]
fn on_github_a_failure_is_one_error_line() {
    let port = Reserved::new();
    let at = port.address();
    let run = |words: &[&str], variable: &str| {
        let run = Afterall::waiting_for(words).env("GITHUB_ACTIONS", variable);
        let done = run.run();
        let code = done.status().code();
        let text = format!("{}{}", done.stdout_text(), done.stderr_text());
        let errors: Vec<String> =
            text.lines().filter(|line| line.starts_with("::")).map(str::to_owned).collect();
        (code, errors)
    };
    let (db, cache) = (format!("db=tcp://{at}#timeout=1s"), format!("cache=tcp://{at}"));
    let missing = "f=file:/no%25such".to_owned();
    let both = format!(
        "::error::afterall: db: not ready: connection refused ({at})%0A\
         cache: not ready: connection refused ({at})%0A\
         f: not ready: no such file or directory (/no%2525such)"
    );
    assert_eq!(run(&[&db, &cache, &missing], "true"), (Some(124), vec![both.clone()]));
    assert_eq!(run(&["--once", &db, &cache, &missing], "true"), (Some(69), vec![both]));
    let (code, errors) = run(&["potsgres://x"], "true");
    assert_eq!((code, errors.len()), (Some(64), 1), "{errors:?}");
    assert!(errors[0].starts_with("::error::afterall: "), "{errors:?}");
    let (code, errors) = run(&["file:/", "--", "/no/such/command"], "true");
    assert_eq!((code, errors.len()), (Some(127), 1), "{errors:?}");
    for (words, variable) in
        [(&[db.as_str()][..], "false"), (&[&db], ""), (&["--format", "json", &db], "true")]
    {
        assert_eq!(run(words, variable), (Some(124), vec![]), "{words:?}");
    }
    assert_eq!(run(&["file:/"], "true"), (Some(0), vec![]));
}

#[test]
fn control_characters_of_a_declaration_do_not_reach_the_terminal() {
    let dir = Dir::new();
    let done = Afterall::waiting_for([format!("file:{}", dir.text("a%1B[2J"))])
        .args(["-t", "0"])
        .run()
        .code(124);
    assert!(!done.stderr_text().contains('\u{1b}'), "{}", done.stderr_text());
    for hostile in [
        "file:a\u{1b}[2J",
        "file:a\nafterall: db: ready",
        "tcp://a\u{7}:1",
        "a\u{1b}",
        "x=\u{1b}[2J:1",
    ] {
        let done = Afterall::waiting_for([hostile]).args(["-t", "0"]).run();
        assert!([64, 124].contains(&done.status().code().unwrap()), "{hostile:?}");
        let said = done.stderr_text();
        assert!(
            said.lines().count() == 1 && !said.trim_end().contains(char::is_control),
            "{said:?}"
        );
    }
    let odd = "no\u{1b}[2J\nsuch";
    let done = Afterall::waiting_for(["file:/"]).becoming([odd]).run().code(127);
    let said = done.stderr_text();
    assert!(said.lines().count() == 1 && !said.trim_end().contains(char::is_control), "{said:?}");
}

#[test]
fn a_variables_value_that_holds_control_characters_is_harmless() {
    let server = Scripted::silent();
    let hostile = "/none\u{1b}[2J\nafterall: db: ready: fine";
    let run = Afterall::waiting_for(["file:${HOSTILE}", &format!("tcp://{}", server.address())])
        .env("HOSTILE", hostile);
    let done = run.args(["-t", "0"]).run();
    let said = done.any_stderr();
    assert!(
        !said.stderr_text().contains('\u{1b}')
            && !said.stderr_text().contains("\nafterall: db: ready: fine"),
        "{}",
        said.stderr_text()
    );
    said.code(124);
}
