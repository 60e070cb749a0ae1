//! The sources of declarations and options: command line, variables and files. No secret is shown.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use crate::support::{Afterall, Dir, Reserved, Scripted, ms, sh};

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
