//! The command line: mistakes, help, sources of values, and secrets, which are never shown.

use crate::support::{Afterall, Dir, Reserved, Scripted, ms, sh};
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

#[test]
fn dependencies_come_from_the_variable_where_argv_has_none() {
    let dir = Dir::new();
    dir.write("with space", "");
    let words = format!(
        "here=file:/  'quoted=file:{}'\n\"file:${{AT}}\"#timeout=5s env:URL",
        dir.text("with space")
    );
    let run = Afterall::new()
        .env("AFTERALL_DEPENDENCIES", &words)
        .env("AT", "/ ")
        .env("URL", "file:/")
        .env("AT", "/tmp");
    let done = run.run().code(0);
    for line in ["here: ready", "quoted: ready", "file:${AT}: ready", "${URL}: ready"] {
        assert!(
            done.stderr_text().contains(&format!("afterall: {line}: exists")),
            "{line}: {}",
            done.stderr_text()
        );
    }
    let done = Afterall::waiting_for(["mine=file:/"])
        .env("AFTERALL_DEPENDENCIES", "'not even read")
        .run()
        .code(0);
    done.stderr_has_times(1, ": ready: ").stderr_has("mine: ready");
    Afterall::new()
        .env("AFTERALL_DEPENDENCIES", "'x")
        .run()
        .code(64)
        .stderr("afterall: AFTERALL_DEPENDENCIES: a quote must be closed\n");
    let done = Afterall::new().env("AFTERALL_DEPENDENCIES", "file:/ x").run().code(64);
    done.stderr_has("afterall: AFTERALL_DEPENDENCIES 2: x lacks its port");
    Afterall::new()
        .env("AFTERALL_DEPENDENCIES", " ")
        .run()
        .code(64)
        .stderr_has("nothing to wait for");
    Afterall::new()
        .env("AFTERALL_DEPENDENCIES", "")
        .arg("--allow-empty")
        .becoming(sh("echo ran"))
        .run()
        .code(0)
        .stdout("ran\n");
}

#[test]
fn a_nested_run_reads_the_variable_only_without_dependencies() {
    let nested = Afterall::program().to_str().unwrap();
    let run = Afterall::waiting_for(["a=file:/"]).becoming([
        nested,
        "b=file:/",
        "--",
        "/bin/echo",
        "ran",
    ]);
    run.run().code(0).stdout("ran\n").stderr_has("a: ready").stderr_has_times(2, ": ready: ");
}

#[test]
fn a_key_beats_a_flag_which_beats_a_variable() {
    let port = Reserved::new();
    let url = format!("tcp://{}", port.address());
    let run = |keys: &str| {
        Afterall::waiting_for([format!("{url}{keys}")]).env("AFTERALL_TIMEOUT", "200ms")
    };
    run("").run().code(124).took(ms(200)..ms(500)).any_stderr();
    run("").args(["-t", "600ms"]).run().code(124).took(ms(600)..ms(900)).any_stderr();
    run("#timeout=900ms")
        .args(["-t", "600ms"])
        .run()
        .code(124)
        .took(ms(900)..ms(1200))
        .any_stderr();
    run("")
        .args(["-t", "50s", "--timeout", "300ms"])
        .run()
        .code(124)
        .took(ms(300)..ms(600))
        .any_stderr();
    Afterall::waiting_for([&url])
        .env("AFTERALL_DEADLINE", "300ms")
        .run()
        .code(124)
        .took(ms(300)..ms(600))
        .any_stderr();
    let run = Afterall::waiting_for([&url])
        .env("AFTERALL_TIMEOUT", "200ms")
        .env("AFTERALL_ON_TIMEOUT", "proceed");
    run.run().code(0).stderr_has("going on without it");
    Afterall::new().env("AFTERALL_ALLOW_EMPTY", "true").run().code(0);
    Afterall::new()
        .env("AFTERALL_ALLOW_EMPTY", "false")
        .run()
        .code(64)
        .stderr_has("nothing to wait for");
    Afterall::waiting_for(["file:/"])
        .env("AFTERALL_SUCCESSES", "x")
        .run()
        .code(64)
        .stderr_has("AFTERALL_SUCCESSES: must be a number");
}

#[test]
fn variables_and_files_are_data_except_as_the_whole_url() {
    let server = Scripted::silent();
    let dir = Dir::new();
    let (ip, port) = (server.host(), server.port().to_string());
    dir.write_secret("port", format!("{port}\n"));
    let url = format!("tcp://{}", server.address());
    dir.write("url", format!("{url}\n"));
    let run = |declared: &str| {
        Afterall::waiting_for([declared])
            .env("IP", &ip)
            .env("PORT", &port)
            .env("URL", &url)
            .env("EMPTY", "")
            .run()
            .code(0)
    };
    let named = |name: &str| format!("afterall: {name}: ready: accepts connections [");
    for declared in [
        "tcp://${IP}:${PORT}",
        "tcp://${IP}:${NONE:-PORT}",
        "${URL}",
        "env:URL",
        "x=env:URL#timeout=5s",
    ] {
        let declared = declared.replace("-PORT", &format!("-{port}"));
        let name = match declared.as_str() {
            "env:URL" => "${URL}",
            // A default may be as secret as a value.
            other if other.contains(":-") => "tcp://${IP}:${NONE}",
            "x=env:URL#timeout=5s" => "x",
            other => other,
        };
        run(&declared).stderr_has(&named(name));
    }
    let file = format!("tcp://${{IP}}:${{file:{}}}", dir.text("port"));
    run(&file).stderr_has(&named(&file));
    let whole = format!("${{file:{}}}", dir.text("url"));
    run(&whole).stderr_has(&named(&whole));
    assert_eq!(server.connections(), 7);
    // The command's own arguments are not shown.
    let done = Afterall::waiting_for(["file:/", "-q"])
        .env("URL", "x")
        .becoming(["/bin/echo", "${URL}", "env:URL"])
        .run();
    done.code(0).stdout("${URL} env:URL\n");
}

#[test]
fn a_secret_is_shown_nowhere_whatever_goes_wrong() {
    const CANARY: &str = "c4nary";
    let dir = Dir::new();
    dir.write_secret("secret", CANARY);
    dir.write_secret("url", format!("tcp://u:{CANARY}@127.0.0.1:1"));
    let port = Reserved::new();
    let at = port.address();
    let file = dir.text("secret");
    let declared = [
        format!("tcp://u:{CANARY}@{at}"),
        format!("tcp://u:{CANARY}/x@{at}"),
        format!("tcp://u:a#{CANARY}@{at}"),
        format!("tcp://u:a#{CANARY},b@{at}"),
        format!("tcp://u:a?{CANARY}@{at}"),
        format!("tcp://{at}?password={CANARY}"),
        format!("tcp://{at}#password={CANARY}"),
        format!("tcp://{at}#timeout={CANARY}"),
        format!("tcp://{at}#after=x"),
        format!("tcp://{at}#fail-fast={CANARY}"),
        format!("tcp://{at}#successes={CANARY}"),
        format!("tcp://{at}#timeout=1s,{CANARY}=1"),
        format!("tcp://u:${{SECRET}}@{at}"),
        format!("tcp://{at}:${{SECRET}}"),
        format!("tcp://{at}#timeout=${{SECRET}}"),
        format!("tcp://{at}#timeout=${{file:{file}}}"),
        format!("tcp://u:${{file:{file}}}@{at}"),
        format!("${{file:{}}}", dir.text("url")),
        format!("${{file:{file}}}"),
        "env:URL".to_owned(),
        "env:SECRET".to_owned(),
        "x=env:URL#timeout=1s".to_owned(),
        "${URL}x".to_owned(),
        format!("http://u:{CANARY}@{at}/"),
        format!("http://{at}/?token={CANARY}"),
        format!("http://{at}/#password={CANARY},user=u"),
        format!("http://{at}/#header=Authorization: {CANARY}"),
        format!("postgres://u:{CANARY}@{at}/db"),
        format!("postgres://u@{at}/db?password={CANARY}"),
        format!("postgres://u@{at}/db#password={CANARY}"),
        format!("postgres:host={} password={CANARY}", at.ip()),
        format!("postgres:hots={} password={CANARY}", at.ip()),
        "postgres:${DSN}".to_owned(),
        format!("migrations+postgres://u:{CANARY}@{at}/db#version=1"),
        format!("nats://u:{CANARY}@{at}"),
        format!("nats://{CANARY}@{at}"),
        format!("nats://{at}#token={CANARY}"),
        format!("redis://:{CANARY}@{at}"),
        format!("exec:false {CANARY}"),
        format!("exec:PGPASSWORD={CANARY} psql"),
    ];
    let options: [&[&str]; 4] =
        [&[], &["-v"], &["-q"], &["-v", "--fail-fast", "connect+protocol+auth+absent+busy"]];
    std::thread::scope(|scope| {
        for options in options {
            let declared = &declared;
            scope.spawn(move || {
                for declared in declared {
                    let run = Afterall::waiting_for([declared])
                        .args(["-t", "60ms"])
                        .args(options)
                        .env("SECRET", CANARY)
                        .env("URL", format!("tcp://u:{CANARY}@127.0.0.1:1/{CANARY}"))
                        .env("DSN", format!("host=127.0.0.1 port=1 password={CANARY}"))
                        .env("RUST_BACKTRACE", "full")
                        .env("RUST_LOG", "trace");
                    let done = run.run();
                    assert!([64, 69, 124].contains(&done.status().code().unwrap()), "{declared}");
                    done.any_stderr().says_nowhere(CANARY);
                }
            });
        }
    });
    let bad: [&[&str]; 8] = [
        &["--pasword=c4nary"],
        &["--timeout=c4nary"],
        &["-tc4nary"],
        &["-xc4nary"],
        &["--quiet=c4nary"],
        &["--format", "c4nary"],
        &["--deadline", "c4nary"],
        &["--fail-fast", "auth+c4nary"],
    ];
    for options in bad {
        Afterall::waiting_for(["file:/"])
            .args(options)
            .run()
            .code(64)
            .any_stderr()
            .says_nowhere(CANARY);
    }
    for name in [
        "TIMEOUT",
        "DEADLINE",
        "FORMAT",
        "INTERVAL",
        "JITTER",
        "BACKOFF",
        "UNTIL",
        "DEPENDENCIES",
        "FAIL_FAST",
    ] {
        let run = Afterall::new().env(format!("AFTERALL_{name}"), CANARY).run();
        run.code(64).any_stderr().says_nowhere(CANARY);
        let odd = OsString::from_vec([CANARY.as_bytes(), b"\xff"].concat());
        let run = Afterall::new().env(format!("AFTERALL_{name}"), odd).run();
        run.code(64).any_stderr().says_nowhere(CANARY);
    }
    // Valid and ready.
    let server = Scripted::silent();
    for declared in
        [format!("x=tcp://{}#timeout=${{T:-9s}}", server.address()), format!("file:{file}")]
    {
        Afterall::waiting_for([declared])
            .arg("-v")
            .env("SECRET", CANARY)
            .run()
            .code(0)
            .stderr_has("ready")
            .says_nowhere(CANARY);
    }
}

#[test]
fn an_empty_variable_is_unset_and_a_wrong_one_is_named() {
    Afterall::waiting_for(["file:/"])
        .env("AFTERALL_TIMEOUT", "")
        .env("AFTERALL_FORMAT", "")
        .run()
        .code(0)
        .stderr_has("ready");
    let done = Afterall::waiting_for(["file:/"]).env("AFTERALL_MAX_INTERVAL", "x").run();
    done.code(64)
        .stderr("afterall: AFTERALL_MAX_INTERVAL: must be a duration, e.g. 30s, 2m, 500ms\n");
    let done = Afterall::waiting_for(["file:/"]).env("AFTERALL_DEADLINE", "8days").run();
    done.code(64).stderr("afterall: AFTERALL_DEADLINE: must be at most 7 days\n");
    let done = Afterall::waiting_for(["file:/"]).env("AFTERALL_FORMAT", "x").run();
    done.code(64).stderr("afterall: AFTERALL_FORMAT: must be one of auto, live, plain, json\n");
}
