//! The engine with real clocks and sockets: it behaves as the tests with a paused clock prove.

use crate::support::{
    Afterall, BlackHole, Counted, Dir, LONG, Nginx, Reserved, Scripted, ms, secs, sh, wait_until,
};
use std::io::{Read, Write};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

/// The time that a test allows a loaded machine beyond the declared one.
const SLACK: Duration = Duration::from_millis(300);

fn refusing(port: &Reserved) -> String {
    format!("tcp://{}", port.address())
}

#[test]
fn dependencies_are_waited_for_side_by_side() {
    let ports: Vec<_> = (0..5).map(|_| Reserved::new()).collect();
    let urls =
        ports.iter().map(|port| format!("{}#timeout=600ms,on-timeout=proceed", refusing(port)));
    let done = Afterall::waiting_for(urls).becoming(sh("echo done")).run().code(0).stdout("done\n");
    done.stderr_has_times(5, "going on without it: timed out: connection refused")
        .took(ms(600)..ms(600) + SLACK);
}

#[test]
fn a_timeout_is_kept_to_and_each_dependency_has_its_own() {
    let (a, b) = (Reserved::new(), Reserved::new());
    let done = Afterall::waiting_for([
        format!("a={}#timeout=1s", refusing(&a)),
        format!("b={}", refusing(&b)),
    ])
    .run()
    .code(124);
    done.stderr_has("afterall: a: timed out: ")
        .stderr_has("afterall: b: not ready: ")
        .took(secs(1)..ms(1150));
}

#[test]
fn the_deadline_bounds_everything_that_still_waits() {
    let (port, dir) = (Reserved::new(), Dir::new());
    let urls = [
        format!("{}#timeout=never", refusing(&port)),
        format!("file:{}#on-timeout=proceed", dir.text("none")),
    ];
    let done = Afterall::waiting_for(urls)
        .args(["--deadline", "500ms"])
        .becoming(["true"])
        .run()
        .code(124);
    done.any_stderr().took(ms(500)..ms(650));
}

#[test]
fn a_timeout_of_0_is_exactly_one_attempt() {
    let server = Scripted::silent();
    let up = format!("tcp://{}", server.address());
    // A server that is not down is a failed attempt, which can be counted.
    Afterall::waiting_for([format!("{up}#until=down")])
        .args(["-t", "0"])
        .run()
        .code(124)
        .took(..SLACK)
        .any_stderr();
    assert_eq!(server.connections(), 1);
    Afterall::waiting_for([&up]).args(["-t", "0", "-q"]).run().code(0);
    assert_eq!(server.connections(), 2);
}

#[test]
fn an_attempt_into_a_black_hole_is_cut_and_made_again() {
    let mut hole = BlackHole::new();
    let url = format!("tcp://{}#attempt-timeout=200ms,timeout=1s", hole.address());
    let done = Afterall::waiting_for([&url]).run().code(124).took(secs(1)..ms(1150));
    done.stderr_has(&format!(
        "no connection to {} within 0.2s [class=timeout attempt=1 elapsed=",
        hole.address()
    ));
    let running =
        Afterall::waiting_for([format!("tcp://{}#attempt-timeout=200ms", hole.address())]).spawn();
    running.wait_for_stderr("waiting:", secs(20));
    hole.open();
    running.done().code(0).stderr_has("ready: accepts connections");
}

#[test]
fn on_timeout_proceed_covers_timeouts_only() {
    let (port, command) = (Reserved::new(), Counted::new());
    let on = |keys: &str| {
        Afterall::waiting_for([format!("db={}#on-timeout=proceed,{keys}", refusing(&port))])
    };
    let run = |keys: &str| on(keys).becoming([command.path()]);
    let done = on("timeout=200ms").arg("-q").becoming([command.path()]).run().code(0);
    let want = format!(
        "afterall: db: going on without it: timed out: connection refused ({}) [class=connect \
        attempts=",
        port.address()
    );
    assert!(
        done.stderr_text().starts_with(&want) && done.stderr_text().lines().count() == 1,
        "{}",
        done.stderr_text()
    );
    assert_eq!(command.runs(), 1);

    run("fail-fast=connect")
        .run()
        .code(69)
        .stderr_has("db: cannot become ready: connection refused");
    let running = run("timeout=30s").spawn();
    running.wait_for_stderr("waiting:", secs(20));
    running.signal(15);
    running.done().signal(15).any_stderr();
    assert_eq!(command.runs(), 1);
}

#[test]
fn a_dependency_lost_before_the_start_is_waited_for_again() {
    let (first, last, command) =
        (Nginx::serving("location / { return 200; }"), Reserved::new(), Counted::new());
    let running = Afterall::waiting_for([
        format!("a=tcp://{}", first.address()),
        format!("b={}", refusing(&last)),
    ])
    .becoming([command.path()])
    .spawn();
    running.wait_for_stderr("a: ready:", secs(20));
    let ready = Instant::now();
    wait_until("its readiness has grown old", secs(20), || ready.elapsed() > ms(1100));
    first.stop();
    let _last = last.serve(|_, _| {});
    running.wait_for_stderr("a: waiting: connection refused", secs(20));
    assert_eq!(command.runs(), 0);
    first.start();
    running.done().code(0).stderr_has_times(2, "a: ready:");
    assert_eq!(command.runs(), 1);
}

#[test]
fn a_success_of_just_now_is_not_asked_again_before_the_start() {
    let (first, last) = (Scripted::silent(), Scripted::silent());
    let urls = [&first, &last].map(|server| format!("tcp://{}", server.address()));
    let done = Afterall::waiting_for(urls).run().code(0).any_stderr();
    // On a loaded machine the first success may have grown old before the second.
    if done.elapsed() < secs(1) {
        assert_eq!((first.connections(), last.connections()), (1, 1));
    }
}

#[test]
fn an_old_success_is_confirmed_before_the_start() {
    let (first, last) = (Scripted::silent(), Reserved::new());
    let running = Afterall::waiting_for([
        format!("a=tcp://{}", first.address()),
        format!("b={}", refusing(&last)),
    ])
    .spawn();
    running.wait_for_stderr("a: ready:", secs(20));
    let ready = Instant::now();
    wait_until("its success has grown old", secs(20), || ready.elapsed() > ms(1100));
    let _last = last.serve(|_, _| {});
    running.done().code(0).any_stderr();
    assert_eq!(first.connections(), 2);
}

/// A process that is stopped over its deadline reads the answer late.
#[test]
fn a_failed_confirmation_counts_after_the_deadline_too() {
    let (asked, was_asked) = mpsc::channel();
    let (go, may_go) = mpsc::channel::<()>();
    let may_go = Mutex::new(may_go);
    let server = Scripted::new(move |number, mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        if number == 2 {
            let _ = asked.send(());
            let _ = may_go.lock().unwrap().recv();
        }
        let status = if number == 1 { "200 OK" } else { "503 Busy" };
        let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
    });
    let dir = Dir::new();
    let urls = [format!("api=http://{}", server.address()), format!("file:{}", dir.text("late"))];
    let began = Instant::now();
    let run = Afterall::waiting_for(urls).args(["--deadline", "5s"]);
    let running = run.becoming(sh("echo started")).spawn();
    running.wait_for_stderr("api: ready", secs(20));
    let ready = Instant::now();
    wait_until("the success is old", secs(20), || ready.elapsed() > ms(1100));
    dir.write("late", "");
    was_asked.recv_timeout(secs(20)).unwrap();
    running.signal(libc::SIGSTOP);
    go.send(()).unwrap();
    wait_until("the deadline is over", secs(20), || began.elapsed() > ms(5500));
    running.signal(libc::SIGCONT);
    running.done().code(124).stderr_has("api: timed out: status 503");
}

#[test]
fn several_successes_are_made_by_several_connections() {
    let server = Scripted::silent();
    let done = Afterall::waiting_for([format!(
        "tcp://{}#successes=3,max-interval=100ms",
        server.address()
    )])
    .run()
    .code(0);
    done.stderr_has("ready: accepts connections [attempts=3 elapsed=")
        .took(ms(200)..ms(200) + SLACK);
    assert_eq!(server.connections(), 3);
}

#[test]
fn until_down_waits_for_what_goes() {
    let server = Scripted::silent();
    let dir = Dir::new();
    let file = dir.write("lock", "");
    let urls = [
        format!("tcp://{}#until=down", server.address()),
        format!("file:{}#until=down", file.display()),
    ];
    let running = Afterall::waiting_for(urls).becoming(sh("echo done")).spawn();
    running.wait_for_stderr("waiting: still there: accepts connections [class=absent", secs(20));
    running.wait_for_stderr("waiting: still there: exists [class=absent", secs(20));
    drop(server);
    running.wait_for_stderr("ready: gone: connection refused", secs(20));
    std::fs::remove_file(file).unwrap();
    running.done().code(0).stdout("done\n").stderr_has("ready: gone: no such file");
}

#[test]
fn a_timeout_is_not_gone() {
    let hole = BlackHole::new();
    let url = format!("tcp://{}#until=down,attempt-timeout=100ms,timeout=300ms", hole.address());
    Afterall::waiting_for([url]).run().code(124).stderr_has("class=timeout");
}

#[test]
fn what_comes_after_is_not_touched_before_and_its_clock_starts_then() {
    let (server, dir) = (Scripted::silent(), Dir::new());
    let urls = [
        format!("db=file:{}", dir.text("flag")),
        format!("schema=tcp://{}#after=db,until=down,timeout=400ms", server.address()),
    ];
    let running = Afterall::waiting_for(urls).spawn();
    running.wait_for_stderr("db: waiting:", secs(20));
    wait_until("longer than the second one may take", secs(20), || running.elapsed() > ms(600));
    assert_eq!(server.connections(), 0);
    dir.write("flag", "");
    running
        .done()
        .code(124)
        .took(secs(1)..)
        .stderr_has("db: ready:")
        .stderr_has("schema: timed out: still there");
}

#[test]
fn a_port_that_opens_is_noticed_soon() {
    let port = Reserved::new();
    let running = Afterall::waiting_for([refusing(&port)]).spawn();
    running.wait_for_stderr("waiting:", secs(20));
    let _server = port.serve(|_, _| {});
    running.wait(secs(30)).code(0).stderr_has("ready:");
}

#[test]
fn linear_backoff_without_jitter_is_what_the_server_sees() {
    let server = Scripted::silent();
    let keys = "until=down,backoff=linear,interval=60ms,max-interval=180ms,jitter=0";
    let begun = Instant::now();
    let _waiting = Afterall::waiting_for([format!("tcp://{}#{keys}", server.address())]).spawn();
    wait_until("six attempts", LONG, || server.arrivals().len() >= 6);
    // A loaded machine makes each attempt later, and none earlier.
    let earliest = [0, 60, 180, 360, 540, 720].map(ms);
    let arrivals: Vec<_> = server.arrivals().iter().map(|at| *at - begun).collect();
    let is_late = arrivals.iter().zip(earliest).all(|(at, earliest)| *at >= earliest);
    assert!(is_late, "{arrivals:?}");
}

#[test]
fn where_everything_is_ready_already_it_takes_no_time() {
    let (server, command) = (Scripted::silent(), Counted::new());
    let urls = (0..20).map(|_| format!("tcp://{}", server.address()));
    let done = Afterall::waiting_for(urls).becoming([command.path()]).run().code(0).any_stderr();
    done.took(..secs(5));
    assert_eq!(command.runs(), 1);
}

#[test]
fn nobody_is_asked_before_all_declarations_are_right() {
    let server = Scripted::silent();
    let done =
        Afterall::waiting_for([format!("tcp://{}", server.address()), "tcp://b:99999".to_owned()])
            .run();
    done.code(64).any_stderr();
    assert_eq!(server.connections(), 0);
}
