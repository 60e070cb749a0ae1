//! Recipes over sockets in the file system: a container's health, and the temporary server of the
//! `postgres` image.

use super::texts::{in_yaml, read, yaml};
use crate::support::{Afterall, Counted, Dir, Postgres, Shutdown, response, secs};
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

/// The only `afterall` of a recipe: what it waits for, without its command.
#[track_caller]
fn wait_of(path: &str) -> Vec<String> {
    let mut found: Vec<_> = yaml(&read(path)).iter().flat_map(in_yaml).collect();
    assert_eq!(found.len(), 1, "{path}: {found:?}");
    let words = found.remove(0);
    words[1..].iter().take_while(|word| *word != "--").cloned().collect()
}

/// A server on a socket with one answer at a time, as Docker's.
fn docker_on(socket: &Path) -> Arc<Mutex<Vec<u8>>> {
    let answer = Arc::new(Mutex::new(Vec::new()));
    let (listener, current) = (UnixListener::bind(socket).unwrap(), Arc::clone(&answer));
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 4096];
            let length = stream.read(&mut request).unwrap_or(0);
            let request = String::from_utf8_lossy(&request[..length]).into_owned();
            let known = request.starts_with("GET /containers/engine/json HTTP/1.1\r\n");
            let answer = if known { current.lock().unwrap().clone() } else { response(400, "") };
            // The client may have ended at its deadline.
            let _ = stream.write_all(&answer);
        }
    });
    answer
}

#[test]
fn a_container_that_becomes_healthy_is_waited_for() {
    let dir = Dir::new();
    let docker = docker_on(&dir.join("docker.sock"));
    let answers = |status: u16, body: &str| *docker.lock().unwrap() = response(status, body);
    answers(404, r#"{"message":"No such container: engine"}"#);
    let socket = dir.text("docker.sock").replace('/', "%2F");
    let words = wait_of("examples/compose/health.yaml")
        .into_iter()
        .map(|word| word.replace("%2Fvar%2Frun%2Fdocker.sock", &socket));
    let command = Counted::new();
    let running = Afterall::waiting_for(words).becoming([command.path()]).spawn();
    running.wait_for_stderr("engine: waiting: status 404", secs(20));
    let health = |status: &str| format!(r#"{{"State":{{"Health":{{"Status":"{status}"}}}}}}"#);
    // Docker reports a container without a health check this way.
    answers(200, r#"{"State":{"Status":"running"}}"#);
    running.wait_for_stderr("/State/Health/Status", secs(20));
    answers(200, &health("starting"));
    assert_eq!(command.runs(), 0);
    answers(200, &health("healthy"));
    let pid = running.pid();
    running.done().code(0).any_stderr();
    assert_eq!(command.pids(), [pid]);
}

#[test]
fn the_temporary_server_of_the_image_is_not_ready() {
    let postgres = Postgres::new();
    postgres.conf("listen_addresses = ''");
    postgres.start();
    let socket = format!("{}&port={}", postgres.socket_dir(), postgres.port());
    let words = wait_of("examples/compose/socket.yaml").into_iter().map(|word| {
        word.replace("app@/app", "postgres@/postgres").replace("/var/run/postgresql", &socket)
    });
    let command = Counted::new();
    let running = Afterall::waiting_for(words).becoming([command.path()]).spawn();
    running.wait_for_stderr("db: waiting: query: false", secs(20));
    postgres.stop(Shutdown::Fast);
    running.wait_for_stderr("[class=connect", secs(20));
    assert_eq!(command.runs(), 0);
    postgres.conf(&format!("listen_addresses = '{}'", postgres.host()));
    postgres.start();
    let pid = running.pid();
    running.done().code(0).stderr_has("db: ready: PostgreSQL").any_stderr();
    assert_eq!(command.pids(), [pid]);
}
