//! The config file and `--print-plan`, from outside.

use crate::support::{Afterall, Dir, Done, Postgres, Reserved, ms, sh};

/// Runs with this file as `--config` and further arguments.
fn with_file(text: &str, args: &[&str]) -> Done {
    let dir = Dir::new();
    let file = dir.write("afterall.toml", text);
    Afterall::new().arg("--config").arg(&file).args(args).run()
}

/// The value of a line of a printed plan, of the first dependency that has it.
#[track_caller]
fn planned(done: &Done, name: &str) -> String {
    let text = done.stdout_text();
    let line = text.lines().find(|line| line.split_whitespace().next() == Some(name));
    line.unwrap_or_else(|| panic!("no {name} in\n{text}"))
        .split_once(name)
        .unwrap()
        .1
        .trim()
        .to_owned()
}

/// The path of the file differs in each run.
#[track_caller]
fn error(text: &str) -> String {
    let done = with_file(text, &["--print-plan"]).code(64);
    let line = done.stderr_text().to_owned();
    assert!(line.matches('\n').count() == 1 && line.ends_with('\n'), "{line:?}");
    line.split_once("/afterall.toml").map_or(line.clone(), |(_, rest)| rest.trim_end().to_owned())
}

#[test]
fn a_file_declares_and_its_dependencies_are_waited_for() {
    let port = Reserved::new();
    let at = port.address();
    let dir = Dir::new();
    let text = format!(
        "[dependency.first]\nurl = 'file:/'\n[dependency.db]\nurl = 'tcp://{at}'\nafter = \
        ['first']\n"
    );
    let file = dir.write("f.toml", text);
    let running = Afterall::new().arg("-c").arg(file).becoming(sh("echo started")).spawn();
    running.wait_for_stderr("afterall: db: waiting: connection refused", ms(20_000));
    let _server = port.serve(|_, _| {});
    running
        .done()
        .code(0)
        .stdout("started\n")
        .stderr_has("afterall: first: ready: ")
        .stderr_has("afterall: db: ready: ");
}

#[test]
fn every_key_and_option_of_a_file_arrives_in_the_plan() {
    let text = r#"
        timeout = "2m"
        attempt-timeout = 2.5
        interval = "20ms"
        max-interval = "3s"
        backoff = "linear"
        jitter = "25%"
        successes = 2
        on-timeout = "proceed"
        fail-fast = ["auth", "tls"]
        until = "down"
        deadline = "1h"

        [dependency.first]
        url = "tcp://localhost:1"
        timeout = "never"
        attempt-timeout = "1s"
        interval = "30ms"
        max-interval = "4s"
        backoff = "exponential"
        jitter = 0
        successes = 3
        on-timeout = "fail"
        fail-fast = ["dns"]
        until = "ready"

        [dependency.second]
        url = "dns:localhost"
        type = "A"
        expect = ["127.0.0.1", "127.0.0.2"]
        after = ["first"]
    "#;
    with_file(text, &["--print-plan"]).code(0).stdout(
        "\
first
  kind             tcp
  target           tcp://localhost:1
  ready when       a connection is accepted
  timeout          never
  attempt-timeout  1s
  interval         30ms
  max-interval     4s
  backoff          exponential
  jitter           0%
  successes        3
  on-timeout       fail
  fail-fast        dns
  until            ready
second
  kind             dns
  target           dns:localhost
  ready when       the name resolves
  timeout          2m
  attempt-timeout  2s 500ms
  interval         20ms
  max-interval     3s
  backoff          linear
  jitter           25%
  successes        2
  on-timeout       proceed
  fail-fast        auth+tls
  until            down
  after            first
  type             (set)
  expect           (set)
deadline           1h
no command: exit 0 when all is ready
",
    );
}

/// Parameters, variables and files can name the servers, and the target does not.
#[test]
#[cfg(feature = "postgres")]
fn the_plan_names_the_servers_of_a_database() {
    for (url, want) in [
        ("db=postgres:///app?host=/run/pg", "/run/pg/.s.PGSQL.5432"),
        ("db=postgres://app@/app?host=/a,b&port=1,2", "/a/.s.PGSQL.1, b:2"),
        ("db=migrations+postgres:host=/run/pg dbname=app", "/run/pg/.s.PGSQL.5432"),
        ("db=postgres://db/app", "db:5432"),
    ] {
        let run = Afterall::waiting_for([url]).arg("--print-plan").run();
        run.code(0).stdout_has(&format!("\n  servers          {want}\n"));
    }
    let run = Afterall::waiting_for(["postgres:///app"]).arg("--print-plan");
    let run = run.env("PGHOST", "/run/pg").args(["--format", "json"]).run();
    run.code(0).stdout_has(r#""servers":"/run/pg/.s.PGSQL.5432""#);
}

#[test]
fn a_dependency_overrides_flag_variable_and_file_in_this_order() {
    let file = "timeout = '1s'\n[dependency.a]\nurl = 'file:/'\n";
    let own = "timeout = '1s'\n[dependency.a]\nurl = 'file:/'\ntimeout = '4s'\n";
    let timeout = |text: &str, variable: Option<&str>, flag: &[&str]| {
        let dir = Dir::new();
        let config = dir.write("afterall.toml", text);
        let afterall = Afterall::new().arg("-c").arg(config).arg("--print-plan").args(flag);
        let afterall = match variable {
            Some(value) => afterall.env("AFTERALL_TIMEOUT", value),
            None => afterall,
        };
        planned(&afterall.run().code(0), "timeout")
    };
    assert_eq!(timeout(file, None, &[]), "1s");
    assert_eq!(timeout(file, Some("2s"), &[]), "2s");
    assert_eq!(timeout(file, Some("2s"), &["-t", "3s"]), "3s");
    assert_eq!(timeout(own, Some("2s"), &["-t", "3s"]), "4s");
}

#[test]
fn booleans_follow_the_order_of_flag_variable_and_file() {
    let run = |text: &str, variables: &[(&str, &str)], flags: &[&str]| {
        let dir = Dir::new();
        let config = dir.write("afterall.toml", text);
        let afterall = Afterall::new().arg("-c").arg(config).args(flags);
        variables.iter().fold(afterall, |afterall, (name, value)| afterall.env(name, value)).run()
    };
    for (value, code) in [("0", 64), ("false", 64), ("1", 0), ("", 0)] {
        run("allow-empty = true\n", &[("AFTERALL_ALLOW_EMPTY", value)], &[])
            .code(code)
            .any_stderr();
    }
    run("allow-empty = false\n", &[("AFTERALL_ALLOW_EMPTY", "1")], &[]).code(0);
    run("allow-empty = false\n", &[("AFTERALL_ALLOW_EMPTY", "0")], &["--allow-empty"]).code(0);
    // The verbosity that counts: every failed attempt is reported, or the first, or none.
    let port = Reserved::new();
    let lines = |top: &str, variables: &[(&str, &str)], flags: &[&str]| {
        let text =
            format!("{top}\ntimeout = '300ms'\n[dependency.a]\nurl = 'tcp://{}'\n", port.address());
        match run(&text, variables, flags)
            .code(124)
            .any_stderr()
            .stderr_text()
            .matches("waiting: ")
            .count()
        {
            0 => "quiet",
            1 => "normal",
            _ => "verbose",
        }
    };
    let (q, v) = ("AFTERALL_QUIET", "AFTERALL_VERBOSE");
    assert_eq!(lines("verbose = true", &[], &[]), "verbose");
    assert_eq!(lines("verbose = true", &[(v, "0")], &[]), "normal");
    assert_eq!(lines("verbose = true", &[(v, "")], &[]), "verbose");
    assert_eq!(lines("verbose = true", &[(q, "0")], &[]), "verbose");
    assert_eq!(lines("verbose = true", &[(q, "1")], &[]), "quiet");
    assert_eq!(lines("quiet = true", &[(q, "0")], &[]), "normal");
    assert_eq!(lines("quiet = true", &[(v, "1")], &[]), "verbose");
    assert_eq!(lines("quiet = true", &[(q, "1")], &["-v"]), "verbose");
    assert_eq!(lines("", &[(v, "1")], &["-q"]), "quiet");
    assert_eq!(lines("verbose = true", &[(v, "0")], &["-v"]), "verbose");
}

#[test]
fn a_variable_may_be_the_whole_url_in_a_file_too() {
    let text =
        "[dependency.a]\nurl = 'env:A'\n[dependency.b]\nurl = 'migrations+env:B'\nversion = '1'\n";
    let dir = Dir::new();
    let config = dir.write("afterall.toml", text);
    let run = Afterall::new().arg("-c").arg(config).arg("--print-plan");
    let done = run
        .env("A", "tcp://localhost:1")
        .env("B", "postgres://app:c4nary@db/app")
        .run()
        .code(0)
        .says_nowhere("c4nary");
    done.stdout_has("a\n  kind             tcp\n").stdout_has("b\n  kind             migrations\n");
    with_file(text, &["--print-plan"])
        .code(64)
        .stderr_has(":2: url: the variable A is not set")
        .stderr_has(":4: url: the variable B is not set");
    assert!(error("[dependency.a]\nurl = 'env:A#timeout=3'\n").starts_with(":2: url: "));
}

#[test]
fn what_only_the_top_of_a_file_knows_is_heeded() {
    with_file("allow-empty = true\n", &[]).code(0);
    with_file("quiet = true\n[dependency.a]\nurl = 'file:/'\n", &[]).code(0);
    with_file("format = 'json'\n[dependency.a]\nurl = 'file:/'\n", &[])
        .code(0)
        .stderr_has("\"event\":\"ready\"");
    with_file("format = 'json'\n[dependency.a]\nurl = 'file:/'\n", &["--format", "plain"])
        .code(0)
        .stderr_has("afterall: a: ready: ");
    let port = Reserved::new();
    let text = format!(
        "verbose = true\ndeadline = '200ms'\n[dependency.a]\nurl = 'tcp://{}'\n",
        port.address()
    );
    let done = with_file(&text, &[]).code(124).took(ms(200)..);
    assert!(done.stderr_text().matches("waiting: ").count() > 1, "{}", done.stderr_text());
    with_file(&text, &["-q"]).code(124).stderr_lacks("waiting: ").stderr_has("timed out");
}

#[test]
fn the_command_line_adds_to_a_file_and_the_variable_does_not() {
    let file = "[dependency.a]\nurl = 'file:/'\n";
    let dir = Dir::new();
    let config = dir.write("f.toml", file);
    let run = |args: &[&str]| {
        let afterall = Afterall::new()
            .arg("-c")
            .arg(&config)
            .args(args)
            .env("AFTERALL_DEPENDENCIES", "variable=file:/");
        afterall.arg("--print-plan").run().code(0).stdout_lacks("variable").any_stdout()
    };
    run(&[]).stdout_lacks("argv");
    run(&["argv=file:/tmp"]).stdout_has("a\n  kind").stdout_has("argv\n  kind");
    // A file that only sets options declares nothing.
    with_file("timeout = 3\n", &[]).code(64).stderr_has("nothing to wait for");
    let config = dir.write("options.toml", "timeout = 3\n");
    let afterall = Afterall::new().arg("--print-plan").env("AFTERALL_CONFIG", config);
    afterall
        .env("AFTERALL_DEPENDENCIES", "variable=file:/")
        .run()
        .code(0)
        .stdout_has("variable\n")
        .stdout_has("timeout          3s");
}

#[test]
fn variables_and_files_are_expanded_in_a_file_and_are_data() {
    let port = Reserved::new();
    let at = port.address();
    let _server = port.serve(|_, _| {});
    let dir = Dir::new();
    dir.write("port", format!("{}\n", at.port()));
    dir.write("text", "one#two,three%2C");
    let config = format!(
        "[dependency.db]\nurl = 'tcp://${{HOST}}:${{file:{}}}'\n\
         [dependency.text]\nurl = 'file:{}'\nmatch = '^one#two,${{THREE}}%2C$'\n\
         [dependency.none]\nurl = 'file:${{NONE:-/}}'\n",
        dir.text("port"),
        dir.text("text")
    );
    let config = dir.write("f.toml", config);
    let afterall = Afterall::new()
        .arg("-c")
        .arg(config)
        .env("HOST", at.ip().to_string())
        .env("THREE", "three");
    afterall.arg("-q").run().code(0);
}

#[test]
fn mistakes_in_a_file_name_the_line_and_the_nearest_key() {
    let head = "[dependency.db]\nurl = 'postgres://app@db/app'\n";
    for (text, want) in [
        ("\ntiemout = '3s'\n".to_owned(), ":2: unknown key tiemout, did you mean timeout?"),
        ("dependancy = 3\n".to_owned(), ":1: unknown key dependancy, did you mean dependency?"),
        ("once = true\n".to_owned(), ":1: unknown key once"),
        (
            format!("{head}\n\nqurey = 'select true'\n"),
            ":5: unknown key qurey, did you mean query?",
        ),
        (format!("{head}jetstream = true\n"), ":3: unknown key jetstream"),
        (format!("{head}timeout = 'soon'\n"), ":3: db: timeout: must be a duration"),
        (
            format!("{head}fail-fast = ['auth', 'tsl']\n"),
            ":3: db: fail-fast: must list classes of failure; did you mean tls?",
        ),
        (format!("{head}after = ['bd']\n"), "db: after: must name a dependency; none is called bd"),
        (format!("{head}after = ['db']\n"), "db: after: must not lead back to itself"),
        (
            "[dependency.a]\nurl = 'postgress://x'\n".to_owned(),
            "unknown scheme postgress:, did you mean postgres:?",
        ),
        (
            "[dependency.a]\nurl = 'file:${NONE}'\n".to_owned(),
            ":2: url: the variable NONE is not set",
        ),
        (
            "[dependency.a]\nurl = 'file:/#timeout=3'\n".to_owned(),
            ":2: url: keys must stand on lines of their own here",
        ),
        ("[dependency.a]\nurl = 'file:/'\nurl = 'file:/'\n".to_owned(), ":3: duplicate key"),
        ("[dependency.a\n".to_owned(), ":1: "),
        ("timeout = '1s\n".to_owned(), ":1: "),
        (
            "\ninterval = '5s'\n".to_owned(),
            ":2: interval: must not be longer than max-interval, which is 1s",
        ),
        (
            "interval = '5s'\nmax-interval = '2s'\n".to_owned(),
            ":2: max-interval: must not be shorter than interval, which is 5s",
        ),
        (
            format!("{head}\ninterval = '5s'\n"),
            ": db: interval: must not be longer than max-interval, which is 1s",
        ),
        (
            "deadline = 'soon'\n[dependency.a]\nurl = 'file:/'\n".to_owned(),
            ":1: deadline: must be a duration",
        ),
        (
            "\nformat = 'xml'\n[dependency.a]\nurl = 'file:/'\n".to_owned(),
            ":2: format: must be one of auto, live, plain, json",
        ),
        (
            "quiet = 'maybe'\n[dependency.a]\nurl = 'file:/'\n".to_owned(),
            ":1: quiet: must be true or false",
        ),
        (
            "verbose = 7\n[dependency.a]\nurl = 'file:/'\n".to_owned(),
            ":1: verbose: must be true or false",
        ),
        ("allow-empty = [true, false]\n".to_owned(), ":1: allow-empty: must be true or false"),
    ] {
        let error = error(&text);
        assert!(error.contains(want), "{text}: {error}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let dir = Dir::new();
    dir.write("latin", b"timeout = '\xe4'\n");
    let run = |path: &str| Afterall::new().args(["--config", path, "--print-plan"]).run().code(64);
    run(&dir.text("none"))
        .stderr(&format!("afterall: {}: no such file or directory\n", dir.text("none")));
    run(dir.path().to_str().unwrap()).stderr_has(": not a regular file\n");
    run(&dir.text("latin")).stderr_has(": not UTF-8\n");
}

#[test]
fn a_printed_plan_holds_no_secret() {
    let text = "[dependency.db]\nurl = 'postgres://app:SECRET1@db/app?password=SECRET2'\npassword \
        = 'SECRET3'\n\
                [dependency.web]\nurl = 'https://u:SECRET4@api/ready?token=SECRET5'\nheader = \
                ['X-Key: SECRET6']\n\
                [dependency.dsn]\nurl = '${DSN}'\n\
                [dependency.words]\nurl = 'postgres:host=db password=SECRET7 dbname=app'\n";
    let dir = Dir::new();
    let config = dir.write("f.toml", text);
    let afterall = Afterall::new().arg("-c").arg(config).env("DSN", "nats://app:SECRET8@nats:4222");
    let done = afterall.arg("--print-plan").becoming(["/bin/echo", "SECRET9"]).run().code(0);
    let done = done
        .says_nowhere("SECRET")
        .stdout_has("${DSN}")
        .stdout_has("command            /bin/echo\n");
    done.stdout_has("password         (set)").stdout_has("header           (set)");
}

#[test]
fn a_printed_plan_was_proved_right() {
    let text = "[dependency.web]\nurl = 'https://api/ready'\nca = '/no/such/ca.pem'\n";
    with_file(text, &["--print-plan"])
        .code(64)
        .stderr_has("web: ca: ")
        .stderr_has("/no/such/ca.pem");
    // No server is asked: the port has no listener.
    let port = Reserved::new();
    Afterall::waiting_for([format!("tcp://{}", port.address())])
        .arg("--print-plan")
        .run()
        .code(0)
        .stdout_has("kind             tcp");
}

#[test]
fn a_secret_in_a_file_is_not_shown_while_it_is_used() {
    let pg = Postgres::started();
    pg.psql("create role app login password 'right'");
    pg.hba(&["host all all all scram-sha-256"]);
    let text = format!(
        "timeout = 0\n[dependency.db]\nurl = 'postgres://app@{}/postgres'\npassword = 'SECRET'\n",
        pg.address()
    );
    with_file(&text, &["-v"]).code(124).says_nowhere("SECRET").stderr_has("28P01");
}

#[test]
fn budgets_that_cannot_work_are_warned_about() {
    let warned = |text: &str| {
        with_file(text, &["--print-plan"]).code(0).any_stdout().stderr_text().to_owned()
    };
    let attempt = "timeout = '2s'\nattempt-timeout = '10s'\n[dependency.a]\nurl = 'file:/'\n";
    assert_eq!(
        warned(attempt),
        "afterall: a: attempt-timeout is longer than timeout, which cuts it\n"
    );
    // The default bound under a short timeout is cut as it should be.
    assert_eq!(warned("timeout = '2s'\n[dependency.a]\nurl = 'file:/'\n"), "");
    let chain = |deadline: &str| {
        format!(
            "deadline = '{deadline}'\ntimeout = '20s'\n[dependency.a]\nurl = 'file:/'\n\
             [dependency.b]\nurl = 'file:/'\nafter = ['a']\n[dependency.c]\nurl = 'file:/'\nafter \
             = ['b']\ntimeout = '30s'\n"
        )
    };
    let says = "afterall: the timeouts of the longest chain of after add up to 1m 10s, more than \
        the deadline of 1m\n";
    assert_eq!(warned(&chain("1m")), says);
    assert_eq!(warned(&chain("2m")), "");
    // The timeouts of dependencies side by side are not added.
    let beside = "deadline = '30s'\ntimeout = '20s'\n[dependency.a]\nurl = 'file:/'\n\
        [dependency.b]\nurl = 'file:/'\n";
    assert_eq!(warned(beside), "");
}
