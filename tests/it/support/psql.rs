//! psql, for single statements and for sessions that hold locks, connections and transactions.

use super::dir::Dir;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Unaligned, tuples only, no psqlrc, and none of the caller's PG* variables.
pub fn command(program: &Path, host: &str, port: u16, user: &str, database: &str) -> Command {
    let mut command = bare(program);
    command.args(["-h", host, "-U", user, "-d", database, "-p", &port.to_string()]);
    command
}

/// psql without server and user.
pub fn bare(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1"]);
    command
        .env_clear()
        .env("PGCONNECT_TIMEOUT", "20")
        .env("PGAPPNAME", "harness")
        .env("LC_ALL", "C");
    command.stdin(Stdio::null());
    command
}

/// The statements' output without the last newline, or psql's error.
pub fn run(mut command: Command, sql: &str) -> Result<String, String> {
    let output = command.args(["-c", sql]).output().expect("psql runs");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim_end().to_owned();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

/// An open connection. Drop closes it and waits for the client's end.
pub struct Session {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    dir: Dir,
}

const DONE: &str = "-- done --";

impl Session {
    pub(super) fn open(mut command: Command) -> Self {
        let dir = Dir::new();
        let errors = std::fs::File::create(dir.join("errors")).unwrap();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors);
        let mut child = command.spawn().expect("psql runs");
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut session = Self { child, input, output, dir };
        session.run("select 1;");
        session
    }

    /// Runs SQL and returns its output. A lock of `begin; lock ...;` is held until `run("commit;")`
    /// or drop.
    #[track_caller]
    pub fn run(&mut self, sql: &str) -> String {
        self.send(sql);
        self.finish()
    }

    /// Starts a statement that blocks. `finish` waits for its end.
    pub fn send(&mut self, sql: &str) {
        let input = self.input.as_mut().unwrap();
        // `finish` reports a broken pipe with psql's own words.
        let _ = writeln!(input, "{sql}\n\\echo {DONE}");
        let _ = input.flush();
    }

    #[track_caller]
    pub fn finish(&mut self) -> String {
        let mut lines: Vec<String> = Vec::new();
        loop {
            let mut line = String::new();
            assert!(
                self.output.read_line(&mut line).unwrap() > 0,
                "psql ended: {}",
                self.dir.read("errors")
            );
            if line.trim_end() == DONE {
                return lines.concat().trim_end().to_owned();
            }
            lines.push(line);
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        drop(self.input.take());
        // psql does not notice the end of its input while a statement blocks.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
