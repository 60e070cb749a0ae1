//! `grpc:` against grpcio's own health service; scripted servers only for what it cannot show.

use crate::recipes::texts;
use crate::support::look::{not_ready, once};
use crate::support::process::{Scope, Server, program, spawn_from_lasting_thread};
use crate::support::{
    Afterall, Authority, Dir, Identity, LONG, Reserved, Scripted, ports::Address, python, secs, sh,
    wait_until,
};
use rustix::process::Signal;
use std::ffi::OsStr;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

/// A server with a health service, or without one.
pub(crate) struct Health {
    child: Child,
    at: SocketAddr,
    dir: Dir,
    _address: Address,
}

const SCRIPT: &str = "
import sys, grpc
from concurrent import futures
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
address, service, cert, key, ca, socket = sys.argv[1:]
server = grpc.server(futures.ThreadPoolExecutor(4))
servicer = health.HealthServicer()
if service: health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
if cert:
    pair = [(open(key, 'rb').read(), open(cert, 'rb').read())]
    roots = open(ca, 'rb').read() if ca else None
    server.add_secure_port(address, grpc.ssl_server_credentials(pair, roots, bool(ca)))
else:
    server.add_insecure_port(address)
server.add_insecure_port('unix:' + socket)
server.start()
print('started', file=sys.stderr, flush=True)
for line in sys.stdin:
    name, status = line.rstrip('\\n').split('=')
    servicer.set(name, health_pb2.HealthCheckResponse.ServingStatus.Value(status))
    print('set', line, file=sys.stderr, flush=True)
";

impl Health {
    pub(crate) fn started(service: bool, identity: Option<&Identity>) -> Self {
        Self::wanting(service, identity, "")
    }

    /// A server that wants a certificate of the authority in the file `ca`.
    fn wanting(service: bool, identity: Option<&Identity>, ca: &str) -> Self {
        let (address, dir) = (Address::claim(), Dir::new());
        let at = address.free();
        let (cert, key) =
            identity.map_or(("", ""), |identity| (identity.cert_text(), identity.key_text()));
        let log = std::fs::File::create(dir.join("log")).unwrap();
        let mut command = Command::new(python());
        command.args(["-c", SCRIPT, &at.to_string(), if service { "yes" } else { "" }, cert, key]);
        command
            .args([ca, &dir.text("sock")])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log);
        let child = spawn_from_lasting_thread(command).unwrap();
        let health = Self { child, at, dir, _address: address };
        health.wait_for("started");
        health
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.at
    }

    fn wait_for(&self, needle: &str) {
        wait_until(&format!("the health server says {needle}"), LONG, || {
            self.dir.read("log").contains(needle)
        });
    }

    fn set(&mut self, service: &str, status: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{service}={status}").unwrap();
        self.wait_for(&format!("set {service}={status}"));
    }

    /// The outcome of grpcio's own client.
    fn client(&self, service: &str) -> String {
        const ASK: &str = "
import sys, grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
stub = health_pb2_grpc.HealthStub(grpc.insecure_channel(sys.argv[1]))
try:
    answer = stub.Check(health_pb2.HealthCheckRequest(service=sys.argv[2]), timeout=60)
    print(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))
except grpc.RpcError as e: print(e.code().name)
";
        let args = ["-c", ASK, &self.at.to_string(), service];
        let output = Command::new(python()).args(args).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

impl Drop for Health {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_service_is_ready_once_it_serves() {
    let mut server = Health::started(true, None);
    let url = format!("grpc://{}", server.at);
    once(&url).code(0).stdout_has("gRPC SERVING");
    assert_eq!(server.client(""), "SERVING");
    not_ready(&format!("{url}/app.Api"), "absent", "NOT_FOUND");
    assert_eq!(server.client("app.Api"), "NOT_FOUND");
    let waiting =
        Afterall::waiting_for([format!("api={url}/app.Api")]).becoming(sh("echo started")).spawn();
    waiting.wait_for_stderr("app.Api is not registered, or not yet", secs(20));
    server.set("app.Api", "NOT_SERVING");
    waiting.wait_for_stderr("NOT_SERVING (service app.Api)", secs(20));
    assert_eq!(server.client("app.Api"), "NOT_SERVING");
    server.set("app.Api", "SERVING");
    waiting.done().code(0).stdout("started\n").stderr_has("api: ready: gRPC SERVING (app.Api)");
    server.set("app.Api", "SERVICE_UNKNOWN");
    not_ready(&format!("{url}#service=app.Api"), "busy", "UNKNOWN (service app.Api)");
    once(&format!("grpc+unix://{}", server.dir.text("sock"))).code(0).any_stdout();
    let dead = Reserved::new();
    once(&format!("grpc://{},{}", dead.address(), server.at)).code(0).any_stdout();
    once(&format!("{url}#header=x-token: abc")).code(0).any_stdout();
}

#[test]
fn the_recipe_for_temporal_asks_its_frontend() {
    let calls = texts::in_markdown(&texts::read("docs/recipes.md"));
    let mut words = calls.iter().map(|words| words[1].as_str());
    let recipe = words.find(|word| word.starts_with("temporal=")).unwrap();
    let mut server = Health::started(true, None);
    let declared = recipe.replace("temporal:7233", &server.at.to_string());
    not_ready(&declared, "absent", "WorkflowService is not registered, or not yet");
    server.set("temporal.api.workflowservice.v1.WorkflowService", "SERVING");
    once(&declared).code(0).stdout_has("gRPC SERVING");
}

#[test]
fn a_server_without_a_health_service_is_named() {
    let server = Health::started(false, None);
    not_ready(&format!("grpc://{}", server.at), "absent", "there is no health service");
    assert_eq!(server.client(""), "UNIMPLEMENTED");
}

#[test]
fn tls_is_spoken_with_alpn_and_verified() {
    let (ca, other) = (Authority::new("ca"), Authority::new("other"));
    let server = Health::started(true, Some(&ca.server(&["api.test"])));
    let url = format!("grpcs://{}#server-name=api.test", server.at);
    once(&format!("{url},ca={}", ca.cert_text())).code(0).stdout_has("gRPC SERVING");
    once(&format!("grpcs://{}#insecure", server.at)).code(0).any_stdout();
    not_ready(&format!("{url},ca={}", other.cert_text()), "tls", "certificate not trusted");
    let wanting = Health::wanting(true, Some(&ca.server(&["api.test"])), ca.cert_text());
    let url = format!("grpcs://{}#server-name=api.test,ca={}", wanting.at, ca.cert_text());
    // grpcio closes without an alert.
    not_ready(&url, "connect", "");
    let known = ca.client("app");
    once(&format!("{url},cert={},key={}", known.cert_text(), known.key_text()))
        .code(0)
        .stdout_has("gRPC SERVING");
    let plain = Health::started(true, None);
    not_ready(&format!("grpcs://{}#insecure", plain.at), "tls", "does not speak TLS");
}

/// An alert comes after our handshake has ended, when HTTP/2 reads.
#[test]
fn a_server_that_wants_a_client_certificate_says_so() {
    let (ca, address, dir) = (Authority::new("ca"), Address::claim(), Dir::new());
    let (at, identity) = (address.free(), ca.server(&["api.test"]));
    let openssl = program("openssl", "openssl");
    let (accept, cert, key) = (at.to_string(), identity.cert_text(), identity.key_text());
    let words = ["s_server", "-accept", &accept, "-cert", cert, "-key", key, "-CAfile"];
    let more = [ca.cert_text(), "-Verify", "1", "-verify_return_error", "-quiet"];
    let words = words.iter().chain(&more).map(OsStr::new);
    let words: Vec<&OsStr> = std::iter::once(openssl.as_os_str()).chain(words).collect();
    let log = dir.join("log");
    let mut server = Server::start("s_server", &words, &log, Signal::TERM, Scope::Process);
    server.wait_until_up(|| std::net::TcpStream::connect(at).is_ok());
    let keys = format!("server-name=api.test,ca={}", ca.cert_text());
    for url in [format!("grpcs://{at}#{keys}"), format!("https://{at}/#http-version=2,{keys}")] {
        not_ready(&url, "tls", "the server wants a client certificate");
    }
}

#[test]
fn what_is_no_grpc_is_named() {
    for (says, class, want) in [
        ("HTTP/1.1 400 Bad Request\r\n\r\n", "protocol", "not HTTP/2, it says: HTTP/1.1 400"),
        ("\x15\x03\x01\0\x02\x02\x28", "protocol", "use grpcs:"),
    ] {
        let server = Scripted::answering_then_closing(says);
        not_ready(&format!("grpc://{}", server.address()), class, want);
    }
    let silent = Scripted::silent();
    let url = format!("grpc://{}#attempt-timeout=200ms", silent.address());
    not_ready(&url, "timeout", "but no response within 0.2s");
    not_ready(&format!("grpc://{}", Scripted::closing().address()), "connect", "");
}

/// A frame of HTTP/2 (RFC 9113, section 4.1) on the stream of the first call.
fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0, 0, payload.len() as u8, kind, flags, 0, 0, 0, 1];
    frame.extend(payload);
    frame
}

/// A server that answers a call with these frames. It reads the whole call first.
fn framed(frames: &[Vec<u8>]) -> Scripted {
    let (call, answer) = (frame(0, 1, &[0; 5]), frames.concat());
    Scripted::new(move |_, mut stream| {
        let (mut heard, mut byte) = (Vec::new(), [0]);
        while !heard.ends_with(&call) && stream.read_exact(&mut byte).is_ok() {
            heard.push(byte[0]);
        }
        const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
        let _ = stream.write_all(&SETTINGS);
        let _ = stream.write_all(&answer);
        while stream.read(&mut byte).is_ok_and(|read| read > 0) {}
    })
}

#[test]
fn a_status_before_the_body_does_not_end_a_call() {
    const STATUS: &[u8] = b"\x00\x0bgrpc-status\x010";
    const HEADERS: &[u8] = b"\x88\x0f\x10\x10application/grpc";
    let with_status = [HEADERS, STATUS].concat();
    let (serving, other) = (b"\0\0\0\0\x02\x08\x01", b"\x00\x01x\x01y");
    let asked = |frames: &[Vec<u8>], class: &str, want: &str| {
        let server = framed(frames);
        let url = format!("grpc://{}", server.address());
        match class {
            "" => drop(once(&url).code(0).stdout_has(want)),
            class => not_ready(&url, class, want),
        }
    };
    let trailers = frame(1, 5, STATUS);
    asked(&[frame(1, 4, HEADERS), frame(0, 0, serving), trailers], "", "gRPC SERVING");
    let missing = "an answer without grpc-status";
    asked(&[frame(1, 4, &with_status), frame(0, 1, serving)], "protocol", missing);
    let no_status = frame(1, 5, other);
    asked(&[frame(1, 4, &with_status), frame(0, 0, serving), no_status], "protocol", missing);
    // Without a body there are no trailers.
    let refused = [HEADERS, b"\x00\x0bgrpc-status\x0214"].concat();
    asked(&[frame(1, 5, &refused)], "busy", "UNAVAILABLE");
    // The two sides of a broken call.
    let early = [frame(0, 0, serving)];
    asked(&early, "protocol", "the server breaks the rules of HTTP/2: unspecific protocol error");
    let reset = [frame(3, 0, &[0, 0, 0, 7])];
    asked(&reset, "busy", "the server ends the request: refused stream");
}
