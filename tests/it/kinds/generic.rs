//! `unix:`, `dns:`, `file:` and sandboxes, also with `until=down` and `after`.

use crate::support::look::{not_ready, once, ready};
use crate::support::{Afterall, Dir, Done, Nats, Reserved, Running, SilentFiles, ms, secs, sh};
use std::fs;
use std::net::UdpSocket;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::thread;

pub(super) fn down(url: &str) -> Running {
    Afterall::waiting_for([format!("x={url}#until=down")]).spawn()
}

#[test]
fn a_unix_socket_that_appears_late_is_waited_for() {
    let dir = Dir::new();
    let path = dir.text("app.sock");
    let waiting =
        Afterall::waiting_for([format!("app=unix:{path}")]).becoming(sh("echo started")).spawn();
    waiting.wait_for_stderr(
        &format!("app: waiting: no such file or directory ({path}) [class=connect"),
        secs(20),
    );
    // A socket whose listener is gone does not accept.
    drop(UnixListener::bind(&path).unwrap());
    not_ready(&format!("unix://{path}"), "connect", &format!("connection refused ({path})"));
    fs::remove_file(&path).unwrap();
    let _listener = UnixListener::bind(&path).unwrap();
    waiting.done().code(0).stdout("started\n").stderr_has("app: ready: accepts connections");
    not_ready(&format!("unix:{}", dir.text("no")), "connect", "no such file or directory");
    dir.write("plain", "");
    not_ready(&format!("unix:{}", dir.text("plain")), "connect", "connection refused");
}

#[test]
fn an_abstract_socket_has_no_file_and_is_found_all_the_same() {
    let dir = Dir::new();
    let name = format!("afterall-{}", dir.path().file_name().unwrap().display());
    not_ready(&format!("unix:@{name}"), "connect", &format!("connection refused (@{name})"));
    let _listener =
        UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    ready(&format!("unix:@{name}"), "accepts connections");
}

#[test]
fn a_unix_socket_is_down_if_nobody_accepts_or_no_file_exists() {
    let dir = Dir::new();
    let path = dir.text("app.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let waiting = down(&format!("unix:{path}"));
    waiting.wait_for_stderr("waiting: still there: accepts connections", secs(20));
    drop(listener);
    waiting.done().code(0).stderr_has("ready: gone: connection refused");
    fs::remove_file(&path).unwrap();
    down(&format!("unix:{path}"))
        .done()
        .code(0)
        .stderr_has("ready: gone: no such file or directory");
}

#[test]
fn a_path_that_no_socket_can_have_is_a_config_error() {
    let long = "x".repeat(108);
    Afterall::waiting_for([format!("s=unix:{long}")])
        .run()
        .code(64)
        .stderr_has("has at most 107 bytes");
    Afterall::waiting_for(["s=unix:"]).run().code(64).stderr_has("unix: needs a path");
}

/// Runs with these `hosts`, and a name server that replies `rcode` to every query (RFC 1035,
/// section 4.1.1).
///
/// Only root can bind port 53 or replace /etc/hosts for a process. Returns `None` for other users.
struct Names {
    dir: Dir,
    _socket: UdpSocket,
}

impl Names {
    fn new(hosts: &str, rcode: u8) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let (dir, address) = (Dir::new(), crate::support::Address::claim());
        let socket = UdpSocket::bind((address.ip(), 53)).unwrap();
        let server = socket.try_clone().unwrap();
        dir.write("hosts", hosts);
        dir.write(
            "resolv.conf",
            format!("nameserver {}\noptions timeout:5 attempts:1\n", address.ip()),
        );
        dir.write("nsswitch.conf", "hosts: files dns\n");
        thread::spawn(move || {
            let _address = address;
            let mut packet = [0; 512];
            while let Ok((length, from)) = server.recv_from(&mut packet) {
                // A response without an answer section, and without optional records.
                let end = packet[12..length]
                    .iter()
                    .position(|byte| *byte == 0)
                    .map_or(length, |zero| 12 + zero + 5);
                packet[2] = 0x81;
                packet[3] = 0x80 | rcode;
                packet[6..12].fill(0);
                let _ = server.send_to(&packet[..end], from);
            }
        });
        Some(Self { dir, _socket: socket })
    }

    fn under(&self, afterall: Afterall) -> Afterall {
        let dir = self.dir.path().display();
        let script = format!(
            "for f in hosts resolv.conf nsswitch.conf; do mount --bind {dir}/$f /etc/$f; done; \
            exec \"$@\""
        );
        afterall.under(["unshare", "--mount", "--", "sh", "-ec", &script, "sh"])
    }

    fn once(&self, url: &str) -> Done {
        self.under(Afterall::once().arg(url)).run()
    }
}

const NO_ERROR: u8 = 0;
const SERVER_FAILURE: u8 = 2;
const NAME_ERROR: u8 = 3;

#[test]
fn a_name_is_checked_by_type_and_expected_addresses() {
    let hosts = "10.0.0.1 db.test four.test\n10.0.0.2 db.test\n2001:db8::1 db.test six.test\n";
    let Some(names) = Names::new(hosts, NAME_ERROR) else { return };
    for (url, code, says) in [
        ("dns:db.test", 0, "10.0.0.1"),
        ("dns://db.test", 0, "2001:db8::1"),
        ("dns:db.test#type=A", 0, "10.0.0.1, 10.0.0.2\n"),
        ("dns:db.test#type=AAAA", 0, "ready  "),
        ("dns:db.test#expect=10.0.0.2", 0, "ready  "),
        ("dns:db.test#expect=10.0.0.2+2001:db8::1", 0, "ready  "),
        (
            "dns:db.test#type=A,expect=10.0.0.3",
            69,
            "db.test is 10.0.0.1, 10.0.0.2, not 10.0.0.3 [class=absent]",
        ),
        (
            "dns:four.test#type=AAAA",
            69,
            "four.test does not resolve to an IPv6 address: name or service not known [class=dns]",
        ),
        ("dns:six.test#type=A", 69, "six.test does not resolve to an IPv4 address: "),
        ("dns:127.0.0.1", 0, "127.0.0.1"),
        ("dns:none.test", 69, "none.test does not resolve: name or service not known [class=dns]"),
    ] {
        names.once(url).code(code).stdout_has(says);
    }
}

#[test]
fn a_missing_name_is_down_and_a_failed_resolver_is_not() {
    let gone = |rcode, timeout| {
        let names = Names::new("127.0.0.1 localhost\n", rcode)?;
        let run = Afterall::waiting_for(["x=dns:none.test", "y=tcp://none.test:1"]);
        let run = run.args(["--until", "down", "--timeout", timeout]);
        Some(names.under(run).run())
    };
    let Some(done) = gone(NAME_ERROR, "60s") else { return };
    done.code(0)
        .stderr_has_times(2, "ready: gone: none.test does not resolve: name or service not known");
    gone(NO_ERROR, "60s")
        .unwrap()
        .code(0)
        .stderr_has_times(2, "ready: gone: none.test does not resolve: ");
    let done = gone(SERVER_FAILURE, "2s").unwrap().code(124);
    done.stderr_has(
        "x: timed out: none.test does not resolve: temporary failure in name resolution [class=dns",
    );
}

#[test]
fn a_name_that_appears_late_is_waited_for() {
    let Some(names) = Names::new("127.0.0.1 localhost\n", NAME_ERROR) else { return };
    let waiting = names.under(Afterall::waiting_for(["db=dns:db.test"])).spawn();
    waiting.wait_for_stderr("db: waiting: db.test does not resolve", secs(20));
    // Written in place, because the file is mounted, not its directory.
    fs::write(names.dir.join("hosts"), "10.0.0.1 db.test\n").unwrap();
    waiting.done().code(0).stderr_has("db: ready: 10.0.0.1");
}

#[test]
fn what_a_file_holds_is_matched_and_waited_for() {
    let dir = Dir::new();
    let path = dir.text("state");
    let waiting =
        Afterall::waiting_for([format!("state=file:{path}#match=^phase: (ready|done)$")]).spawn();
    waiting.wait_for_stderr(
        &format!("state: waiting: no such file or directory ({path}) [class=absent"),
        secs(20),
    );
    dir.write("state", "phase: starting\n");
    waiting.wait_for_stderr(
        &format!(
            "state: waiting: does not match ({path}), it begins with: phase: starting [class=absent"
        ),
        secs(20),
    );
    dir.write("state", "phase: ready\n");
    waiting.done().code(0).stderr_has("state: ready: exists and matches");
    // Only the first MiB is searched. Anything but a regular file has no content, and never delays
    // the attempt.
    dir.write("large", [vec![b' '; 1 << 20], b"ready".to_vec()].concat());
    not_ready(&format!("file:{}#match=ready", dir.text("large")), "absent", "does not match");
    let fifo = dir.text("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    once(&format!("file:{fifo}#match=.")).code(69).stdout_has("does not match").took(..secs(10));
    ready(&format!("file:{fifo}"), "exists");
    dir.write("bytes", b"\xff\xfeready\0");
    ready(&format!("file:{}#match=ready", dir.text("bytes")), "exists and matches");
    let secret = dir.write_secret("secret", "t0k3n");
    let done = once(&format!("file:{}#match=x", secret.display())).code(69);
    done.stdout_has("does not match").says_nowhere("t0k3n");
    Afterall::waiting_for(["f=file:/#match=("])
        .run()
        .code(64)
        .stderr_has("f: match: must be a regular expression, e.g. ^ready$ (");
    // A relative path, and a dangling link.
    Afterall::waiting_for(["file:bytes"]).cwd(dir.path()).run().code(0).any_stderr();
    std::os::unix::fs::symlink(dir.join("nowhere"), dir.join("link")).unwrap();
    not_ready(&format!("file:{}", dir.text("link")), "absent", "no such file or directory");
    // The hint about a missing right would mislead.
    std::os::unix::fs::symlink("loop", dir.join("loop")).unwrap();
    once(&format!("file:{}", dir.text("loop")))
        .code(69)
        .stdout_has("too many levels of symbolic links")
        .says_nowhere("hint");
}

#[test]
fn a_missing_file_is_down_and_an_unreadable_one_is_not() {
    let dir = Dir::new();
    let path = dir.write("lock", "held");
    let waiting = down(&format!("file:{}", path.display()));
    waiting.wait_for_stderr("still there: exists", secs(20));
    fs::remove_file(&path).unwrap();
    waiting.done().code(0).stderr_has("ready: gone: no such file or directory");
    let closed = dir.mkdir("closed");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
    let url = format!("x=file:{}/lock#until=down,timeout=200ms", closed.display());
    let run = Afterall::waiting_for([url]);
    // Root can read every directory.
    let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"];
    let run = if rustix::process::geteuid().is_root() { run.under(nobody) } else { run };
    run.run()
        .code(124)
        .stderr_has("permission denied")
        .stderr_has("hint: this user may not look there");
}

/// Runs its arguments while socket(2) fails for IPv4 and IPv6, as under
/// RestrictAddressFamilies=AF_UNIX.
const WITHOUT_SOCKETS: &str = r#"
import ctypes, errno, os, platform, struct, sys
arch, socket = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}[platform.machine()]
op = lambda code, yes, no, value: struct.pack("HBBI", code, yes, no, value)
load, equal, ret = 0x20, 0x15, 0x06
program = b"".join([
    op(load, 0, 0, 4), op(equal, 0, 6, arch), op(load, 0, 0, 0), op(equal, 0, 4, socket),
    op(load, 0, 0, 16), op(equal, 1, 0, 2), op(equal, 0, 1, 10),
    op(ret, 0, 0, 0x50000 | errno.EAFNOSUPPORT), op(ret, 0, 0, 0x7FFF0000),
])
text = ctypes.create_string_buffer(program)
packed = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(text))
filter = ctypes.create_string_buffer(packed)
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, filter, 0, 0):
    sys.exit("no seccomp: errno %d" % ctypes.get_errno())
os.execvp(sys.argv[1], sys.argv[1:])
"#;

#[test]
fn a_sandbox_without_sockets_is_named_and_ends_the_wait() {
    let server = Nats::started("");
    let says = "cannot become ready: this process may not open IPv4 sockets \
        (RestrictAddressFamilies, seccomp?) [class=local";
    for url in [format!("x=tcp://{}", server.address()), format!("x={}", server.url())] {
        let run = Afterall::waiting_for([url]).under(["python3", "-c", WITHOUT_SOCKETS]);
        run.run().code(69).stderr_has(says);
    }
}

#[test]
fn a_held_connection_must_stay_open() {
    let (server, closing) = (Nats::started(""), crate::support::Scripted::closing());
    let hold = |address, time| format!("tcp://{address}#hold={time},attempt-timeout=50s");
    ready(&hold(server.address(), "50ms"), "accepts connections, still open after 50ms");
    let closed = "connection accepted, and closed within 20.0s";
    not_ready(&hold(closing.address(), "20s"), "connect", closed);
    Afterall::waiting_for(["x=tcp://a:1#hold=soon"]).run().code(64).stderr_has("x: hold: ");
}

#[test]
fn a_connection_is_held_for_less_than_an_attempt() {
    for (keys, says) in [
        ("hold=5s", "attempt-timeout, which is 5s"),
        ("hold=2s,attempt-timeout=2s", "attempt-timeout, which is 2s"),
        ("hold=2s,timeout=1s", "timeout, which is 1s"),
    ] {
        let says = format!("x: hold: must be shorter than {says}");
        let url = format!("x=tcp://127.0.0.1:1#{keys}");
        Afterall::waiting_for([url]).run().code(64).stderr_has(&says);
    }
    // A server that is gone needs no time.
    let server = crate::support::Scripted::closing();
    let address = server.address();
    drop(server);
    let gone = format!("x=tcp://{address}#hold=9s,until=down");
    Afterall::waiting_for([gone]).run().code(0).any_stderr();
}

#[test]
fn a_silent_file_system_delays_no_deadline_and_no_signal() {
    let dir = Dir::new();
    let state = dir.write("state", "ready");
    let probe = dir.write_script("probe", "#!/bin/sh\n");
    let Some(_silent) = SilentFiles::new(&[&state, &probe]) else { return };
    for (held, says) in [
        (format!("file:{}#match=x,", state.display()), "no answer from the file system"),
        (format!("exec:{}#", probe.display()), "the file system does not answer"),
    ] {
        let held = format!("held={held}attempt-timeout=200ms");
        let port = Reserved::new();
        let beside = format!("beside=tcp://{}#timeout=500ms", port.address());
        let done = Afterall::waiting_for([held.clone(), beside]).run().code(124);
        done.stderr_has("beside: timed out").took(ms(500)..secs(10));
        let waiting = Afterall::waiting_for([held]).spawn();
        waiting.wait_for_stderr(says, secs(20));
        waiting.signal(15);
        waiting.done().signal(15).any_stderr();
    }
}

#[test]
fn a_rejected_login_is_not_gone_and_a_refused_connection_is() {
    let server = Nats::started("authorization { token: t }");
    let waiting = down(&server.url());
    waiting.wait_for_stderr("x: waiting: -ERR 'Authorization Violation'", secs(20));
    server.stop();
    waiting.done().code(0).stderr_has("x: ready: gone: connection refused");
}

#[test]
fn after_must_name_another_dependency_and_not_come_back() {
    for (after, want) in [
        (["a=file:/#after=b", "b=file:/#after=a"], "a: after: must not lead back to itself"),
        (["a=file:/#after=a", "b=file:/"], "a: after: must not lead back to itself"),
        (
            ["a=file:/#after=bb", "b=file:/"],
            "a: after: must name a dependency; none is called bb, did you mean b?",
        ),
        (
            ["db=file:/#after=cache", "b=file:/"],
            "db: after: must name a dependency; none is called cache",
        ),
    ] {
        Afterall::waiting_for(after).becoming(sh("echo started")).run().code(64).stderr_has(want);
    }
}

#[test]
fn a_dependency_after_one_that_was_proceeded_past_is_waited_for() {
    let (port, dir) = (Reserved::new(), Dir::new());
    let urls = [
        format!("a=tcp://{}#timeout=300ms,on-timeout=proceed", port.address()),
        format!("b=file:{}#after=a", dir.text("flag")),
    ];
    let waiting = Afterall::waiting_for(urls).becoming(sh("echo started")).spawn();
    waiting.wait_for_stderr("a: going on without it: timed out: connection refused", secs(20));
    waiting.wait_for_stderr("b: waiting: no such file or directory", secs(20));
    assert!(
        !waiting.stderr_so_far().split("going on without it").next().unwrap().contains("b: "),
        "{}",
        waiting.stderr_so_far()
    );
    dir.write("flag", "");
    waiting.done().code(0).took(ms(300)..).stdout("started\n").stderr_has("b: ready: exists");
}
