//! PostgREST's start: it looks at its database once before it listens. Without its database it
//! listens all the same. It answers 503 until one of its own, ever rarer, attempts succeeds. A
//! password that is refused ends it.

use crate::support::process::program;
use crate::support::{Afterall, Counted, Nginx, Postgres, Running, Shutdown, ms, secs, wait_until};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

const PASSWORD: &str = "s3cret";

/// A stub with PostgREST's behaviour: nginx serves what psql has found out.
struct Stub {
    // Its address and its files; nginx itself is started by the stub.
    nginx: Nginx,
    script: Counted,
}

impl Stub {
    fn new(postgres: &Postgres) -> Self {
        let nginx = Nginx::new("");
        let config = |name: &str, directives: &str| {
            nginx.serve(directives);
            nginx.dir().write(name, nginx.dir().read("nginx.conf"));
        };
        config("loading.conf", "location / { add_header Retry-After 0 always; return 503; }");
        config("loaded.conf", "location / { return 200; }");
        let psql = Postgres::programs().join("psql");
        let script = format!(
            "cd {}\nlook() {{ PGPASSWORD={PASSWORD} {} -X -q -h {} -p {} -U app -d postgres -c \
            'select 1' >/dev/null 2>errors; }}\n\
             if look; then cp loaded.conf nginx.conf\n\
             elif grep -q 'password authentication failed' errors; then cat errors >&2; exit 1\n\
             else\n    cp loading.conf nginx.conf; self=$$\n    \
             (pause=1; until look; do sleep $pause; pause=$((pause * 2)); done; cp loaded.conf \
             nginx.conf; kill -HUP $self) &\nfi\n\
             exec {} -p . -c nginx.conf -e log",
            nginx.dir().path().display(),
            psql.display(),
            postgres.host(),
            postgres.port(),
            program("nginx", "nginx-light").display(),
        );
        Self { nginx, script: Counted::doing(&script) }
    }

    /// A wait for its login precedes it, or an empty wait.
    fn start(&self, postgres: &Postgres, wrapped: bool) -> Running {
        let afterall = if wrapped {
            Afterall::waiting_for([postgres.url("app", PASSWORD, "postgres")])
        } else {
            Afterall::new().arg("--allow-empty")
        };
        afterall.becoming([self.script.path()]).spawn()
    }
}

/// Asks all the time and records each changed answer: `refused`, `503`, `200`.
struct Client {
    _stop: Sender<()>,
    answers: JoinHandle<Vec<String>>,
}

impl Client {
    /// Asks until it is answered `last`.
    fn asking(at: SocketAddr, last: &'static str) -> Self {
        let (_stop, stopped): (Sender<()>, Receiver<()>) = channel();
        let answers = thread::spawn(move || {
            let mut answers: Vec<String> = Vec::new();
            loop {
                let answer = ask(at);
                if answers.last() != Some(&answer) {
                    answers.push(answer.clone());
                }
                let given_up = stopped.recv_timeout(ms(10))
                    == Err(std::sync::mpsc::RecvTimeoutError::Disconnected);
                if answer == last || given_up {
                    return answers;
                }
            }
        });
        Self { _stop, answers }
    }

    fn answers(self) -> Vec<String> {
        wait_until("the client has its last answer", secs(30), || self.answers.is_finished());
        self.answers.join().unwrap()
    }
}

fn ask(at: SocketAddr) -> String {
    let Ok(mut stream) = TcpStream::connect(at) else { return "refused".to_owned() };
    let _ = stream.write_all(b"GET / HTTP/1.0\r\n\r\n");
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer.split(' ').nth(1).unwrap_or("closed").to_owned()
}

/// The server has its role, with a password, and is down.
fn prepared() -> Postgres {
    let postgres = Postgres::started();
    postgres.psql(&format!("create role app login password '{PASSWORD}'"));
    postgres.hba(&["host all all all scram-sha-256"]);
    postgres.stop(Shutdown::Fast);
    postgres
}

#[test]
fn without_a_wait_its_clients_see_503_when_the_database_is_late() {
    let postgres = prepared();
    let stub = Stub::new(&postgres);
    let client = Client::asking(stub.nginx.address(), "200");
    let running = stub.start(&postgres, false);
    wait_until("it answers 503", secs(20), || ask(stub.nginx.address()) == "503");
    postgres.start();
    let answers = client.answers();
    assert!(answers.contains(&"503".to_owned()), "{answers:?}");
    drop(running);
}

#[test]
fn behind_a_wait_its_clients_see_refused_and_then_200_alone() {
    let postgres = prepared();
    let stub = Stub::new(&postgres);
    let client = Client::asking(stub.nginx.address(), "200");
    let running = stub.start(&postgres, true);
    running.wait_for_stderr("waiting: ", secs(20));
    postgres.start();
    assert_eq!(client.answers(), ["refused", "200"]);
    assert_eq!(stub.script.pids(), [running.pid()], "it started once, under the pid that it had");
}

#[test]
fn a_late_password_crashes_the_service_only_without_a_wait() {
    let postgres = Postgres::started();
    postgres.psql("create role app login");
    postgres.hba(&["host all all all scram-sha-256"]);
    let stub = Stub::new(&postgres);
    stub.start(&postgres, false).done().code(1).stderr_has("password authentication failed");

    let client = Client::asking(stub.nginx.address(), "200");
    let running = stub.start(&postgres, true);
    running.wait_for_stderr("28P01", secs(20));
    postgres.psql(&format!("alter role app password '{PASSWORD}'"));
    assert_eq!(client.answers(), ["refused", "200"]);
    drop(running);
}
