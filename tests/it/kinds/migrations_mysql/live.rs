//! Ten real tools at work on MariaDB. They are not ready before, in the middle or after a failure,
//! and ready at the end. No look changes anything.

use super::tools::{TOOLS, Tool};
use crate::support::process::program;
use crate::support::{Afterall, Dir, LONG, MariaDb, wait_until};
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::thread;

/// A session that holds a named lock, at which a migration waits.
pub(super) struct Gate(Child);

impl Gate {
    pub(super) fn closed(server: &MariaDb, name: &str) -> Self {
        Self::closed_by(server, "do 0", name)
    }

    /// The session runs `statement` first.
    pub(super) fn closed_by(server: &MariaDb, statement: &str, name: &str) -> Self {
        let mut client = Command::new(program("mariadb", "mariadb-client"));
        client.args(["--no-defaults", "--user=root", "-N", "-B"]);
        client.arg(format!("--socket={}", server.socket()));
        client.stdin(Stdio::piped()).stdout(Stdio::null());
        let mut client = client.spawn().unwrap();
        let stdin = client.stdin.as_mut().unwrap();
        writeln!(stdin, "{statement}; select get_lock('{name}', 0);").unwrap();
        wait_until("the gate is closed", LONG, || {
            server.sql(&format!("select is_used_lock('{name}') is not null")).contains('1')
        });
        Self(client)
    }
}

impl Drop for Gate {
    /// Opens the gate.
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// One tool with a database of its own on the shared server.
struct Case<'a> {
    server: &'a MariaDb,
    tool: &'a Tool,
    dir: Dir,
}

impl Case<'_> {
    fn write(&self, n: usize, more: &[&str]) {
        // On MySQL a failed migration leaves what it has made.
        let made = format!("create table if not exists t{n} (n int)");
        let statements: Vec<_> =
            [made].into_iter().chain(more.iter().map(|text| (*text).to_owned())).collect();
        (self.tool.write)(&self.dir, n, &statements);
    }

    fn command(&self) -> Command {
        let mut command = (self.tool.command)(&self.dir, self.server.address(), self.tool.name);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Asks once for every migration of the directory; the text of the verdict.
    #[track_caller]
    fn look(&self, is_ready: bool) -> String {
        let is_django = self.tool.name == "django";
        let migrations = if is_django { "shop/migrations" } else { "migrations" };
        self.look_for(&format!("dir={}", self.dir.text(migrations)), is_ready)
    }

    /// Asks once; the text of the verdict. Nothing in the database has changed.
    #[track_caller]
    fn look_for(&self, key: &str, is_ready: bool) -> String {
        let (name, at) = (self.tool.name, self.server.address());
        let url =
            format!("schema=migrations+mysql://app:s3cr3t@{at}/{name}#{key},attempt-timeout=2m");
        let names = [name.to_owned()];
        let before = self.server.dump(&names);
        let done = Afterall::once().arg(&url).run().any_stdout().any_stderr();
        let said = done.stdout_text().to_owned();
        assert_eq!(done.status().code(), Some(if is_ready { 0 } else { 69 }), "{name}: {said}");
        assert_eq!(self.server.dump(&names), before, "{name}: the look has changed something");
        said
    }

    #[track_caller]
    fn run(&self, is_success: bool) {
        let output = self.command().output().unwrap();
        let (stdout, stderr) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.success(), is_success, "{}: {stdout}{stderr}", self.tool.name);
    }

    fn walk(&self) {
        let name = self.tool.name;
        self.write(1, &[]);
        let gate = format!("select get_lock('gate_{name}', 600)");
        let open = format!("select release_lock('gate_{name}')");
        self.write(2, &[&gate, &open]);
        let said = self.look(false);
        assert!(said.contains("no migration table yet"), "{name}: {said}");
        // In the middle.
        let closed = Gate::closed(self.server, &format!("gate_{name}"));
        let migrator = self.command().spawn().unwrap();
        let waits = format!(
            "select count(*) from information_schema.processlist
             where db = '{name}' and state = 'User lock'"
        );
        wait_until(&format!("{name} is in the middle"), LONG * 3, || {
            self.server.sql(&waits).contains('1')
        });
        let said = self.look(false);
        assert!(!said.contains("class=failed"), "{name}: {said}");
        // The tools that show that they are at work: by a named lock, and by a row.
        if ["rails", "kysely", "knex", "sqlx"].contains(&name) {
            let said = self.look_for(&format!("tool={name}"), false);
            assert!(said.contains("[class=absent]"), "{name}: {said}");
        }
        drop(closed);
        let output = migrator.wait_with_output().unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let said = self.look(true);
        assert!(said.contains("2 of 2 migrations applied"), "{name}: {said}");
        // A failure, and its mending.
        self.write(3, &["insert into missing values (1)"]);
        self.look(false);
        self.run(false);
        self.look(false);
        self.write(3, &[]);
        if name == "sqlx" {
            // sqlx refuses to go on before somebody has looked at the failure.
            self.server.sql_in(name, "delete from _sqlx_migrations where success = 0");
        }
        self.run(true);
        let said = self.look(true);
        assert!(said.contains("3 of 3 migrations applied"), "{name}: {said}");
    }
}

#[test]
fn ten_tools_are_ready_at_their_end_alone() {
    let server = MariaDb::started(&[]);
    server.sql("create user app identified by 's3cr3t'");
    for tool in &TOOLS {
        let name = tool.name;
        server.sql(&format!("create database {name}; grant select on {name}.* to app"));
    }
    thread::scope(|scope| {
        for tools in TOOLS.chunks(3) {
            let server = &server;
            scope.spawn(move || {
                for tool in tools {
                    Case { server, tool, dir: Dir::new() }.walk();
                }
            });
        }
    });
}
