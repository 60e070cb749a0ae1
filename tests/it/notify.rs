//! Under systemd: the messages at the notification socket.

use crate::support::{Afterall, Dir, LONG, Reserved, Scripted, ms, secs, sh, wait_until};
use std::io::Write;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

/// The service manager's end.
struct Manager {
    socket: UnixDatagram,
    dir: Dir,
}

impl Manager {
    fn new() -> Self {
        let dir = Dir::new();
        let socket = UnixDatagram::bind(dir.join("notify")).unwrap();
        Self { socket, dir }
    }

    fn path(&self) -> String {
        self.dir.text("notify")
    }

    /// All lines that have arrived so far.
    fn lines(&self) -> Vec<String> {
        lines(&self.socket)
    }
}

fn lines(socket: &UnixDatagram) -> Vec<String> {
    socket.set_nonblocking(true).unwrap();
    let mut buffer = [0; 65_536];
    let mut lines = Vec::new();
    while let Ok(read) = socket.recv(&mut buffer) {
        let message = std::str::from_utf8(&buffer[..read]).unwrap();
        assert!(message.ends_with('\n'), "{message:?}");
        lines.extend(message.lines().map(str::to_owned));
    }
    lines
}

/// We may send these two variables and no other.
#[track_caller]
fn are_ours(lines: &[String]) {
    for line in lines {
        assert!(
            line.starts_with("STATUS=") || line.starts_with("EXTEND_TIMEOUT_USEC="),
            "{lines:?}"
        );
    }
}

#[test]
fn the_status_follows_the_wait_and_the_variable_stays_for_the_command() {
    let manager = Manager::new();
    let (db, cache) = (Reserved::new(), Reserved::new());
    let dependencies =
        [format!("db=tcp://{}", db.address()), format!("cache=tcp://{}", cache.address())];
    let afterall =
        Afterall::waiting_for(dependencies).env("NOTIFY_SOCKET", manager.path()).arg("-q");
    let running = afterall.becoming(sh("echo $NOTIFY_SOCKET")).spawn();
    let mut lines = Vec::new();
    let mut wait_for_status = |status: &str| {
        wait_until(status, secs(20), || {
            lines.extend(manager.lines());
            lines.iter().any(|line| *line == format!("STATUS={status}"))
        });
    };
    let refused = |port: &Reserved| format!("connection refused ({})", port.address());
    let both = format!("waiting for db: {}; cache: {}", refused(&db), refused(&cache));
    let one = format!("waiting for cache: {}", refused(&cache));
    wait_for_status("waiting for db, cache");
    wait_for_status(&both);
    let _db = db.serve(|_, _| {});
    wait_for_status(&one);
    let _cache = cache.serve(|_, _| {});
    wait_for_status("starting /bin/sh");
    running.done().code(0).stdout(&format!("{}\n", manager.path()));
    lines.extend(manager.lines());
    are_ours(&lines);
    let mut statuses: Vec<_> =
        lines.iter().filter_map(|line| line.strip_prefix("STATUS=")).collect();
    // Either of the two may have failed first.
    statuses.retain(|status| status.matches("refused").count() != 1 || *status == one);
    assert_eq!(
        statuses,
        ["waiting for db, cache", &both, &one, "all dependencies are ready", "starting /bin/sh"]
    );
}

/// A chain's end is not ready because its beginning is not, and a timeout is no readiness.
#[test]
fn the_last_status_names_everything_that_is_not_ready() {
    let port = Reserved::new();
    let refused = format!("connection refused ({})", port.address());
    let first = format!("db=tcp://{}", port.address());
    for (dependencies, want) in [
        (vec![&*first], format!("not ready: db: {refused}")),
        (
            vec![&first, "seed=file:/#after=db", "app=file:/#after=seed"],
            format!("not ready: db: {refused}; seed: waits for db; app: waits for seed"),
        ),
    ] {
        let manager = Manager::new();
        let run = Afterall::waiting_for(dependencies).args(["-q", "-t", "200ms"]);
        run.env("NOTIFY_SOCKET", manager.path()).run().code(124).any_stderr();
        assert_eq!(manager.lines().last(), Some(&format!("STATUS={want}")));
    }
}

#[test]
fn an_abstract_socket_works_too() {
    let name = format!("afterall-{}-{:?}", std::process::id(), std::thread::current().id());
    let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    Afterall::waiting_for(["db=file:/"])
        .env("NOTIFY_SOCKET", format!("@{name}"))
        .arg("-q")
        .run()
        .code(0);
    let lines = lines(&socket);
    are_ours(&lines);
    assert_eq!(lines[0], "STATUS=waiting for db");
}

#[test]
fn the_unit_is_extended_within_timeouts_and_not_under_never() {
    let extended = |args: &[&str]| {
        let manager = Manager::new();
        let port = Reserved::new();
        let afterall = Afterall::waiting_for([format!("tcp://{}", port.address())])
            .args(args)
            .env("NOTIFY_SOCKET", manager.path());
        afterall.arg("-q").run().code(124).any_stderr();
        let lines = manager.lines();
        are_ours(&lines);
        lines.iter().filter(|line| line.starts_with("EXTEND_TIMEOUT_USEC=")).count()
    };
    assert_eq!(extended(&["-t", "300ms"]), 1);
    assert_eq!(extended(&["-t", "never", "--deadline", "300ms"]), 0);
}

#[test]
fn a_long_wait_is_extended_again_before_the_last_extension_ends() {
    let manager = Manager::new();
    let port = Reserved::new();
    let afterall = Afterall::waiting_for([format!("tcp://{}", port.address())])
        .env("NOTIFY_SOCKET", manager.path());
    let running = afterall.arg("-q").spawn();
    let mut arrivals: Vec<(Instant, Duration)> = Vec::new();
    wait_until("a second extension", LONG, || {
        for line in manager.lines() {
            if let Some(usec) = line.strip_prefix("EXTEND_TIMEOUT_USEC=") {
                arrivals.push((Instant::now(), Duration::from_micros(usec.parse().unwrap())));
            }
        }
        arrivals.len() >= 2
    });
    assert!(arrivals[1].0 < arrivals[0].0 + arrivals[0].1, "{arrivals:?}");
    running.signal(15);
    running.done().signal(15).any_stderr();
}

#[test]
fn neither_a_server_nor_a_name_can_inject_a_line() {
    let manager = Manager::new();
    let hostile = Scripted::new(|_, mut stream| {
        let _ = stream.write_all(b"-ERR 'x\nREADY=1\n'\r\nREADY=1\r\n");
    });
    let dependencies =
        [format!("nats://{}", hostile.address()), "unix:/x\u{2028}READY=1".to_owned()];
    let afterall = Afterall::waiting_for(dependencies)
        .args(["-q", "-t", "400ms"])
        .env("NOTIFY_SOCKET", manager.path());
    afterall.run().code(124).any_stderr();
    let lines = manager.lines();
    are_ours(&lines);
    assert!(
        !lines.is_empty() && lines.iter().all(|line| !line.contains(['\u{2028}', '\0'])),
        "{lines:?}"
    );
    // The command's name is shown too, and may contain any text.
    let command = manager.dir.write_script("x\nREADY=1", "#!/bin/sh\n");
    Afterall::waiting_for(["file:/"])
        .arg("-q")
        .env("NOTIFY_SOCKET", manager.path())
        .becoming([command])
        .run()
        .code(0);
    are_ours(&manager.lines());
}

#[test]
fn a_socket_that_is_absent_full_or_odd_delays_nothing() {
    let manager = Manager::new();
    // The socket is not read until it is full.
    let sender = UnixDatagram::unbound().unwrap();
    sender.set_nonblocking(true).unwrap();
    while sender.send_to(b"x", manager.path()).is_ok() {}
    let long = format!("/{}", "x".repeat(200));
    for socket in [&manager.path(), "/no/such/socket", "", "@", "vsock:2:1", &long, "/dev/null"] {
        let afterall = Afterall::waiting_for(["file:/"]).arg("-q").env("NOTIFY_SOCKET", socket);
        afterall
            .becoming(sh("printf %s \"$NOTIFY_SOCKET\""))
            .run()
            .code(0)
            .stdout(socket)
            .took(..ms(2_000));
    }
}

#[test]
fn a_look_sends_nothing() {
    let manager = Manager::new();
    Afterall::waiting_for(["a=file:/"])
        .arg("--once")
        .env("NOTIFY_SOCKET", manager.path())
        .run()
        .code(0)
        .any_stdout();
    assert_eq!(manager.lines(), Vec::<String>::new());
}
