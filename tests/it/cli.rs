//! The command line: mistakes, help, sources of values, and secrets, which are never shown.

use crate::support::{Afterall, Dir, Scripted};
use afterall::{cli::args::definitions, exit, kinds::KINDS, wait::settings::COMMON};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

#[test]
fn every_mistake_is_one_line_and_64_and_nothing_is_started() {
    let server = Scripted::silent();
    let good = format!("tcp://{}", server.address());
    let dir = Dir::new();
    dir.write("big", vec![b'x'; 70_000]);
    let big = format!("tcp://${{file:{}}}", dir.text("big"));
    const UNKNOWN: &str = "unknown option (see --help; a command must stand behind --)";
    const NEITHER: &str = "must be a URL or HOST:PORT, e.g. postgres://app@db/app, cache:6379";
    const TIMEOUT: &str = "must be a duration, 0 or never, e.g. 30s, 2m";
    const NOTHING: &str = "nothing to wait for: give a DEPENDENCY, e.g. db:5432, or set \
        AFTERALL_DEPENDENCIES (see -h; --allow-empty goes on)";
    const PORT: &str = "the port must be a number from 1 to 65535";
    let cases: &[(&[&str], String)] = &[
        (&[], NOTHING.into()),
        (&["--", "true"], NOTHING.into()),
        (&[&good, "--colour"], format!("--colour: {UNKNOWN}")),
        (&[&good, "--colour=red"], format!("--colour: {UNKNOWN}")),
        (&[&good, "-x"], format!("-x: {UNKNOWN}")),
        (&[&good, "--timout", "5"], "--timout: unknown option, did you mean --timeout?".into()),
        (
            &[&good, "--timeout 5s"],
            "--timeout: an option and its value must be two arguments, or be joined by =".into(),
        ),
        (&[&good, "-t"], "--timeout: needs a value".into()),
        (&[&good, "-t", "soon"], format!("--timeout: {TIMEOUT}")),
        (&[&good, "--timeout="], format!("--timeout: {TIMEOUT}")),
        (&[&good, "-t", "-5"], format!("--timeout: {TIMEOUT}")),
        (
            &[&good, "-t", "8days"],
            "--timeout: must be at most 7 days; for no limit write never".into(),
        ),
        (
            &[&good, "--attempt-timeout", "8days"],
            "--attempt-timeout: must be at most 7 days".into(),
        ),
        (&[&good, "--deadline", "8days"], "--deadline: must be at most 7 days".into()),
        (&[&good, "--deadline", "x"], "--deadline: must be a duration, e.g. 30s, 2m, 500ms".into()),
        (&[&good, "--quiet=yes"], "--quiet: takes no value".into()),
        (
            &[&good, "--backoff", "fast"],
            "--backoff: must be one of adaptive, linear, exponential, constant".into(),
        ),
        (
            &[&good, "--fail-fast", "auht"],
            "--fail-fast: must list classes of failure; did you mean auth?".into(),
        ),
        (
            &[&good, "--jitter", "200%"],
            "--jitter: must be a percentage from 0% to 100%, e.g. 10%".into(),
        ),
        (&[&good, "--successes", "0"], "--successes: must be a number from 1 to 1000".into()),
        (&[&good, "--interval", "0"], "--interval: must be at least 1ms".into()),
        (&[&good, "help"], "dependency 2: help is no dependency; did you mean --help?".into()),
        (&[&good, "S3CRET"], format!("dependency 2: {NEITHER}")),
        (&[&good, ""], format!("dependency 2: nothing to wait for: {NEITHER}")),
        (&["::1:5432"], "dependency 1: an IPv6 address needs brackets, e.g. [::1]:5432".into()),
        (&["db=tcp://a:99999"], format!("db: {PORT}")),
        (
            &["db=${NONE}"],
            "db: the variable NONE is not set (a default is written ${NONE:-...})".into(),
        ),
        (
            &["tcp://cache"],
            "tcp://cache: tcp: needs a host and a port, e.g. tcp://cache:6379".into(),
        ),
        (&["tcp://cache:0"], format!("dependency 1: {PORT}")),
        (
            &["tcp://u:p@cache:1"],
            "tcp://cache:1: tcp: takes a host and a port and nothing else".into(),
        ),
        (&["tpc://cache:1"], "dependency 1: unknown scheme tpc:, did you mean tcp:?".into()),
        (&["x=file:a", "x=file:b"], "x: the name is given to two dependencies".into()),
        (&["x=file:a#tiemout=5"], "x: unknown key tiemout, did you mean timeout?".into()),
        (&["x=file:a#timeout=5,timeout=6"], "x: timeout: is given twice".into()),
        (&["x=file:a#after=y"], "x: after: must name a dependency; none is called y".into()),
        (
            &["x=file:a#after=y", "y=file:b#after=x"],
            "x: after: must not lead back to itself".into(),
        ),
        (
            &["file://host/x"],
            "file://host/x: file: takes a path as written (file:/run/x, file:x), not a host".into(),
        ),
        (&["file:"], "file:: file: needs a path, e.g. file:/run/ready".into()),
        (&["a=file:~/x"], "a: ~ is not expanded in a path, only ${HOME} is".into()),
        (&["a=unix:~/x"], "a: ~ is not expanded in a path, only ${HOME} is".into()),
        (
            &["a=unix:///run/redis.sock?db=1"],
            "a: unix: takes a path as written, without options; a Redis is \
            redis+unix:///run/redis.sock?db=0"
                .into(),
        ),
        (
            &["cache:6379,db:5432"],
            "dependency 1: each dependency must be an argument of its own, e.g. a:1 b:2".into(),
        ),
        (
            &["db:5432/app"],
            "dependency 1: a URL must begin with its scheme, e.g. http://api:8080/ready".into(),
        ),
        (
            &["tcp://${NONE}:1"],
            "dependency 1: the variable NONE is not set (a default is written ${NONE:-...})".into(),
        ),
        (
            &["env:NONE"],
            "dependency 1: the variable NONE is not set (a default is written ${NONE:-...})".into(),
        ),
        (
            &["tcp://${file:/no/such}:1"],
            "dependency 1: ${file:/no/such}: no such file or directory".into(),
        ),
        (&[&big], format!("dependency 1: ${{file:{}}}: larger than 64 KiB", dir.text("big"))),
    ];
    for (args, want) in cases {
        let mut args: Vec<&str> = args.to_vec();
        if !args.contains(&"--") && !args.is_empty() {
            // Valid arguments beside it are unchanged.
            args.insert(0, "-v");
            args.extend(["--", "touch", "ran"]);
        }
        Afterall::new()
            .args(args)
            .cwd(dir.path())
            .run()
            .code(64)
            .stderr(&format!("afterall: {want}\n"));
    }
    assert_eq!(server.connections(), 0);
    assert!(!dir.join("ran").exists());
}

#[test]
fn an_argument_that_is_not_utf8_is_told_apart() {
    let odd = || OsString::from_vec(b"tcp://\xff:1".to_vec());
    Afterall::new().arg(odd()).run().code(64).stderr("afterall: dependency 1: must be UTF-8\n");
    let done = Afterall::new().arg("file:/").arg("-t").arg(odd()).run().code(64);
    done.stderr("afterall: --timeout: must be UTF-8\n");
}

#[test]
fn help_names_every_kind_key_and_exit_code_and_no_variables_value() {
    let variables = definitions().filter_map(|known| known.variable());
    let run = variables.fold(Afterall::new().arg("--help"), |run, name| run.env(name, "c4nary"));
    let help = run.env("AFTERALL_DEPENDENCIES", "c4nary").run().code(0).says_nowhere("c4nary");
    let text = help.stdout_text();
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for kind in KINDS {
        assert!(flat.contains(kind.usage.split(", ").next().unwrap()), "{}", kind.name);
        assert!(flat.contains(kind.summary), "{}", kind.name);
        for key in kind.own_keys().chain(COMMON.iter().map(|common| &common.key)) {
            assert!(
                flat.contains(key.name) && flat.contains(key.help),
                "{} {}",
                kind.name,
                key.name
            );
        }
    }
    for known in definitions().filter(|known| !known.name.is_empty()) {
        assert!(flat.contains(&format!("--{} ", known.name)), "{}", known.name);
    }
    for (codes, meaning) in exit::TABLE {
        assert!(flat.contains(codes) && flat.contains(meaning), "{codes}");
    }
    assert!(flat.contains("AFTERALL_DEPENDENCIES"), "{text}");
    let widest = text.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(100), "{widest:?} columns:\n{text}");
}

#[test]
fn short_help_fits_a_screen_and_stands_alone() {
    let done = Afterall::new().arg("-h").run().code(0);
    let text = done.stdout_text();
    assert!(text.lines().count() <= 30, "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    assert!(text.contains("--once") && text.contains("--help"), "{text}");
    for args in [
        &["-h", "db", "-p", "5432", "--", "true"][..],
        &["-h", "file:/"],
        &["-vh"],
        &["file:/", "-h"],
    ] {
        let done = Afterall::new().args(args).run().code(64).stdout("");
        done.stderr(
            "afterall: -h is help, and must stand alone; a host is written with its port, e.g. \
            db:5432\n",
        );
    }
}

#[test]
fn two_dashes_need_a_command() {
    for args in [&["file:/", "--"][..], &["--allow-empty", "--"], &["--print-plan", "file:/", "--"]]
    {
        let done = Afterall::new().args(args).run().code(64).stdout("");
        done.stderr_has("no command behind --");
    }
}

#[test]
fn every_mistake_is_reported_in_one_run() {
    let args = [
        "--colour",
        "red",
        "-t",
        "soon",
        "potsgres://a",
        "b=http://x#statsu=1,timeout=x",
        "d=env:NOPE",
    ];
    for more in [&["--once"][..], &["--print-plan"], &["-q"]] {
        let done = Afterall::new().args(args).args(more).env("AFTERALL_QUIET", "maybe").run();
        let done = done.code(64).stdout("");
        for (line, want) in done.stderr_text().lines().zip([
            "afterall: --colour: unknown option",
            "afterall: AFTERALL_QUIET: must be true or false",
            "afterall: --timeout: must be a duration",
            "afterall: d: the variable NOPE is not set",
            "afterall: dependency 1: unknown scheme potsgres:",
            "afterall: b: unknown key statsu",
            "afterall: b: timeout: must be a duration",
        ]) {
            assert!(line.starts_with(want), "{want}: {}", done.stderr_text());
        }
        assert_eq!(done.stderr_text().lines().count(), 7, "{}", done.stderr_text());
        done.any_stderr();
    }
}

#[test]
fn a_variable_that_is_no_yes_and_no_no_is_an_error() {
    let run = |value: &str| {
        Afterall::new().env("AFTERALL_ALLOW_EMPTY", value).becoming(["/bin/echo", "ran"]).run()
    };
    for yes in ["1", "yes", "TRUE", "on"] {
        run(yes).code(0).stdout("ran\n");
    }
    for no in ["0", "no", "False", "off", ""] {
        run(no).code(64).stderr_has("nothing to wait for");
    }
    for neither in ["disabled", "2", "maybe"] {
        run(neither).code(64).stdout("").stderr_has("AFTERALL_ALLOW_EMPTY: must be true or false");
    }
}

#[test]
fn a_plan_is_printed_though_the_command_is_missing() {
    let run = |more: &[&str]| {
        Afterall::new()
            .args(["--print-plan", "--deadline", "5m", "db=tcp://db:1#timeout=9s"])
            .args(more)
            .becoming(["no-such-command"])
            .run()
            .code(0)
    };
    let done = run(&[]);
    let text = done.stdout_text();
    assert!(text.starts_with("db\n  kind             tcp\n"), "{text}");
    assert!(text.ends_with("here               no-such-command: not found in PATH\n"), "{text}");
    let done = run(&["--format", "json"]);
    let plan: serde_json::Value = serde_json::from_str(done.stdout_text()).unwrap();
    assert_eq!(plan["dependencies"][0]["name"], "db");
    assert_eq!(plan["dependencies"][0]["timeout"], "9s");
    assert_eq!(plan["deadline"], "5m");
    assert_eq!(plan["problem"], "no-such-command: not found in PATH");
}

#[test]
fn well_known_variables_are_waited_for() {
    let server = Scripted::silent();
    let run = || Afterall::new().arg("--from-env").env("AFTERALL_DEPENDENCIES", "'not even read");
    let done = run()
        .env("DATABASE_URL", "tcp://u.internal:1")
        .env("NATS_URL", "")
        .env("REDIS_URL", "nope://h")
        .env("AMQP_URL", server.address().to_string())
        .arg("--print-plan")
        .run()
        .code(0);
    let names: Vec<_> = done
        .stdout_text()
        .lines()
        .filter(|line| line.ends_with("_URL"))
        .map(str::to_owned)
        .collect();
    assert_eq!(names, ["DATABASE_URL", "AMQP_URL"]);
    done.stderr_has("REDIS_URL is not waited for: unknown scheme nope:");
    run().run().code(64).stderr_has("--from-env: nothing to wait for: set one of DATABASE_URL");
    let done = run().env("DATABASE_URL", "S3CR").run().code(64);
    done.says_nowhere("S3CR").stderr_has("DATABASE_URL: the variable DATABASE_URL must hold a URL");
}

/// Another build would wait for it.
#[cfg(not(feature = "redis"))]
#[test]
fn a_variable_of_a_kind_that_this_build_leaves_out_is_a_mistake() {
    let run = Afterall::new().arg("--from-env").env("REDIS_URL", "redis://cache");
    let done = run.env("DATABASE_URL", "sqlite:x.db").run().code(64);
    done.stderr_has("REDIS_URL: redis: is not in this build").stderr_lacks("DATABASE_URL: ");
}

#[cfg(all(feature = "kafka", feature = "mongodb"))]
#[test]
fn variables_of_mongodb_and_kafka_are_waited_for() {
    let run = Afterall::new().args(["--from-env", "--print-plan"]);
    let done = run
        .env("MONGODB_URI", "mongodb://u:S3CRETS3@db.internal/app?retryWrites=true")
        .env("MONGO_URL", "mongodb+srv://u:S3CRETS3@c.mongo.internal")
        .env("KAFKA_URL", "kafka+ssl://a.internal:9096,kafka+ssl://b.internal:9096")
        .run()
        .code(0);
    let lines: Vec<_> = done.stdout_text().lines().map(str::to_owned).collect();
    for name in ["MONGODB_URI", "MONGO_URL", "KAFKA_URL"] {
        assert!(lines.iter().any(|line| line == name), "no {name} in {lines:?}");
    }
    done.says_nowhere("S3CRETS3");
}

#[test]
fn a_newline_in_a_secret_gets_one_note() {
    let done = Afterall::waiting_for(["env:URL", "b=env:URL"]).env("URL", "file:/\n").run().code(0);
    done.stderr_has_times(1, "the variable URL ends in a newline");
}

#[test]
fn the_version_is_the_packages() {
    for flag in ["--version", "-V"] {
        Afterall::new().arg(flag).run().code(0).stdout(concat!(
            "afterall ",
            env!("CARGO_PKG_VERSION"),
            "\n"
        ));
    }
}

#[test]
fn help_and_version_survive_a_stdout_that_nobody_reads() {
    Afterall::new().arg("--help").under(["sh", "-c", "\"$@\" >&-", "sh"]).run().code(0);
    // A closed pipe is not an error.
    let gone = "\"$@\" | true; exit ${PIPESTATUS[0]}";
    Afterall::new().arg("--help").under(["bash", "-c", gone, "bash"]).run().code(0);
}

#[test]
fn a_stdout_that_is_full_is_an_error() {
    for args in [&["--help"][..], &["--version"], &["--print-plan", "file:/"]] {
        let full = ["sh", "-c", "\"$@\" >/dev/full", "sh"];
        let done = Afterall::new().args(args.iter().copied()).under(full).run().code(74);
        done.stderr("afterall: cannot write to stdout: no space left on device\n");
    }
}
