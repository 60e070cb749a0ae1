//! Real servers for the recipes, which are started long before them.

use super::place::{MIGRATIONS, PASSWORD, Place};
use crate::support::{Counted, Nats, Nginx, Postgres, secs, wait_until};

struct Servers {
    place: Place,
    postgres: Postgres,
    nats: Nats,
    clear: Nginx,
    tls: Nginx,
}

impl Servers {
    /// Prepared; none of them runs.
    fn new() -> Self {
        let place = Place::new();
        let postgres = Postgres::new();
        postgres.tls(&place.authority.server(&[&postgres.host()]), None);
        postgres.hba(&["host all all all scram-sha-256"]);
        let nats = format!(
            "jetstream: {{ store_dir: \"@DIR@/js\" }}\nauthorization: {{ users: [ {{ user: app, \
            password: \"{PASSWORD}\" }} ] }}\nno_auth_user: app"
        );
        let nats = Nats::new(&nats);
        let answers = "location / { return 200 'ok'; }";
        let clear = Nginx::new("");
        clear.serve(answers);
        let tls = Nginx::new("");
        tls.serve_tls(&place.authority.server(&[&tls.host()]), answers);
        let url = postgres.url("app", PASSWORD, "app");
        Self { place: place.with_env("DATABASE_URL", &url), postgres, nats, clear, tls }
    }

    /// Names and ports of the recipes become addresses of these servers.
    fn addressed(&self, word: &str) -> String {
        let known = [
            ("bosh@127.0.0.1:5432/bosh", format!("app@{}/app", self.postgres.address())),
            ("@db/", format!("@{}/", self.postgres.address())),
            ("nats.internal:4222", self.nats.address().to_string()),
            ("127.0.0.1:4222", self.nats.address().to_string()),
            ("nats:4222", self.nats.address().to_string()),
            ("//api:8080", format!("//{}", self.clear.address())),
            ("//scheduler:8080", format!("//{}", self.clear.address())),
            ("//api:8443", format!("//{}", self.tls.address())),
            ("//127.0.0.1:25555", format!("//{}", self.tls.address())),
            ("//api/", format!("//{}/", self.tls.address())),
        ];
        known.iter().fold(word.to_owned(), |word, (name, address)| word.replace(name, address))
    }

    fn start_all(&self) {
        self.postgres.start();
        self.postgres.psql(&format!("create role app login password '{PASSWORD}'"));
        self.postgres.psql("create database app owner app");
        self.nats.start();
        self.clear.start();
        self.tls.start();
        self.place.bring_awaited();
    }

    fn migrate(&self, file: &str) {
        let table = "create table if not exists schema_migrations (filename text primary key)";
        self.postgres.psql_as(
            "app",
            "app",
            &format!("{table}; insert into schema_migrations values ('{file}')"),
        );
    }
}

/// Starts every recipe, and then its dependencies, one after the other.
#[track_caller]
pub fn becomes_its_service_when_all_is_ready(recipes: impl IntoIterator<Item = Vec<String>>) {
    becomes_its_service_with(&[], recipes);
}

/// Does so for recipes that name these config files.
#[track_caller]
pub fn becomes_its_service_with(
    files: &[(&str, String)],
    recipes: impl IntoIterator<Item = Vec<String>>,
) {
    let mut servers = Servers::new();
    for (path, content) in files {
        let content = servers.addressed(content);
        servers.place.add_file(path, &content);
    }
    let waiting: Vec<_> = recipes
        .into_iter()
        .map(|words| {
            let (wait, has_command) = servers.place.declared(&words);
            let needs_schema = wait
                .iter()
                .any(|word| word.contains("migrations+") || word.ends_with("schema.toml"));
            let afterall = servers.place.afterall(wait.iter().map(|word| servers.addressed(word)));
            let command = Counted::new();
            let afterall = if has_command { afterall.becoming([command.path()]) } else { afterall };
            (afterall.spawn(), has_command.then_some(command), needs_schema)
        })
        .collect();
    assert!(!waiting.is_empty());
    for (running, ..) in &waiting {
        running.wait_for_stderr("waiting: ", secs(20));
    }
    servers.start_all();
    let [first, last] = MIGRATIONS;
    servers.migrate(first);
    for (running, _, needs_schema) in &waiting {
        if *needs_schema {
            running.wait_for_stderr("[class=absent", secs(30));
        } else {
            wait_until(
                &format!("who needs no migration is done: {}", running.proc("cmdline")),
                secs(30),
                || !running.is_running(),
            );
        }
    }
    servers.migrate(last);
    for (running, command, _) in waiting {
        let pid = running.pid();
        running.done().code(0).any_stderr().says_nowhere(PASSWORD);
        if let Some(command) = command {
            assert_eq!(command.pids(), [pid], "it started once, under the pid that it had");
        }
    }
}
