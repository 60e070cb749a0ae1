//! The jobs: their scripts and config files, and monit's rules.

use crate::recipes::bosh::{files, named};
use crate::recipes::place::{MIGRATIONS, PASSWORD, Place};
use crate::recipes::texts::read;
use crate::support::process::program;
use crate::support::{Address, Afterall, Postgres};
use rustix::process::getuid;
use std::net::SocketAddr;

pub struct Addresses {
    pub nats: SocketAddr,
    pub director: SocketAddr,
    pub health_monitor: SocketAddr,
    _claimed: Address,
}

impl Addresses {
    pub fn claim() -> Self {
        let address = Address::claim();
        let free = || address.free();
        Self { nats: free(), director: free(), health_monitor: free(), _claimed: address }
    }

    /// The text of a recipe with the chain's ports in place of BOSH's.
    fn put_into(&self, postgres: &Postgres, text: &str) -> String {
        let known = [
            ("127.0.0.1:5432", postgres.address()),
            ("127.0.0.1:4222", self.nats),
            ("127.0.0.1:25555", self.director),
            ("127.0.0.1:25923", self.health_monitor),
        ];
        known
            .iter()
            .fold(text.to_owned(), |text, (name, address)| text.replace(name, &address.to_string()))
    }
}

pub struct Jobs<'a> {
    pub place: &'a mut Place,
    pub at: &'a Addresses,
    pub postgres: &'a Postgres,
}

/// A command that fails as a program of Ruby or Python does when it was started too early.
const OR_TRACE: &str =
    "|| { echo 'Traceback (most recent call last): it was started too early' >&2; exit 1; }";

impl Jobs<'_> {
    /// Writes everything that the jobs need, and returns monit's rules for them, in this order.
    pub fn install(self, order: &[&str]) -> String {
        for (path, content) in files() {
            let content = self.at.put_into(self.postgres, &content);
            self.place.add_file(path, &content);
        }
        for dir in ["log", "run", "starts", "services", "var/vcap/sys/run/nats"] {
            self.place.dir.mkdir(dir);
        }
        self.postgres.hba(&["host all bosh all scram-sha-256", "host all all all trust"]);
        let dir = self.place.dir.path().display().to_string();
        self.place.dir.write_script(
            "ctl",
            &format!(
                "#!/bin/sh\nset -eu\ncd {dir}\ncase \"$2\" in\n\
                 start)\n    echo >>starts/$1\n    export RUST_BACKTRACE=1\n\
                 \x20   setsid ./jobs/$1 </dev/null >>log/$1.log 2>&1 &\n    echo $! >run/$1.pid \
                 ;;\n\
                 stop) kill -TERM $(cat run/$1.pid) ;;\nesac\n"
            ),
        );
        self.place.dir.write_script("tick", &format!("#!/bin/sh\necho >>{dir}/ticks\n"));
        self.nats();
        self.postgres();
        self.director();
        self.nats_sync();
        self.health_monitor();
        self.scheduler();
        let tick =
            format!("check program tick with path \"{dir}/tick\" if status != 0 then alert\n");
        order.iter().fold(tick, |rules, job| rules + &self.rules(&dir, job))
    }

    fn rules(&self, dir: &str, job: &str) -> String {
        if job == "health_monitor" {
            let recipe = read("examples/bosh/health_monitor.monit");
            let moved = recipe
                .replace("/var/vcap/sys/run/bpm/health_monitor", &format!("{dir}/run"))
                .replace(
                    "/var/vcap/jobs/bpm/bin/bpm start health_monitor",
                    &format!("{dir}/ctl health_monitor start"),
                )
                .replace(
                    "/var/vcap/jobs/bpm/bin/bpm stop health_monitor",
                    &format!("{dir}/ctl health_monitor stop"),
                )
                .replace(
                    "host 127.0.0.1 port 25923",
                    &format!(
                        "host {} port {}",
                        self.at.health_monitor.ip(),
                        self.at.health_monitor.port()
                    ),
                );
            // A cycle is a second here, not ten.
            return moved.replace("for 18 cycles", "for 60 cycles");
        }
        format!(
            "check process {job} with pidfile {dir}/run/{job}.pid\n    start program = \"{dir}/ctl \
            {job} start\"\n    \
             stop program = \"{dir}/ctl {job} stop\"\n"
        )
    }

    /// A job that is `afterall` as its recipe calls it, in front of this script.
    fn waiting(&self, job: &str, script: &str) {
        let (wait, _) = self.place.declared(&named(job));
        let wait: Vec<_> = wait.iter().map(|word| self.at.put_into(self.postgres, word)).collect();
        let service = self.service(job, script);
        let words = [
            &[Afterall::program().to_str().unwrap().to_owned()],
            &wait[..],
            &["--".to_owned(), service],
        ]
        .concat();
        self.job(job, &format!("exec {}", shell_words::join(words)));
    }

    fn job(&self, job: &str, script: &str) {
        self.place.dir.write_script(&format!("jobs/{job}"), &format!("#!/bin/sh\n{script}\n"));
    }

    /// The service itself. It records its start and its user.
    fn service(&self, job: &str, script: &str) -> String {
        let own = format!(
            "#!/bin/sh\ncd {}\necho $$ >>services/{job}\n{script}\n",
            self.place.dir.path().display()
        );
        self.place.dir.write_script(&format!("bin/{job}"), &own).to_str().unwrap().to_owned()
    }

    /// A script beside it creates the database. It waits for the server like the other jobs.
    fn postgres(&self) {
        let psql = self.psql("postgres");
        let create = [
            "create database bosh".to_owned(),
            "create role bosh login".to_owned(),
            format!("alter role bosh password '{PASSWORD}'"),
        ];
        let create: String = create
            .iter()
            .map(|sql| format!("{psql} postgres -c {} {OR_TRACE}\n", shell_words::quote(sql)))
            .collect();
        let grant = format!("{psql} bosh -c 'grant all on schema public to bosh' {OR_TRACE}\n");
        let script = self
            .place
            .dir
            .write_script("bin/create-database", &format!("#!/bin/sh\n{create}{grant}"));
        let wait = [
            Afterall::program().to_str().unwrap(),
            &self.postgres.superuser_url(),
            "--",
            script.to_str().unwrap(),
        ];
        let service = self.service(
            "postgres",
            &format!("exec {}", shell_words::join(self.postgres.command_line())),
        );
        self.job("postgres", &format!("{} &\nexec {service}", shell_words::join(wait)));
    }

    fn psql(&self, user: &str) -> String {
        let psql = Postgres::programs().join("psql");
        let [psql, password] = [psql.to_str().unwrap(), PASSWORD].map(shell_words::quote);
        let (host, port) = (self.postgres.host(), self.postgres.port());
        format!(
            "PGPASSWORD={password} {psql} -XAtq -v ON_ERROR_STOP=1 -h {host} -p {port} -U {user} -d"
        )
    }

    /// In its first phase the server accepts one token that no client has, as under BOSH.
    fn nats(&self) {
        let server = self.place.authority.server(&[&self.at.nats.ip().to_string()]);
        self.place.dir.write("auth.json", r#"{"authorization": {"token": "f0oBar"}}"#);
        let config = format!(
            "listen: \"{}\"\npid_file: \"{}\"\ntls {{ cert_file: \"{}\", key_file: \"{}\", \
            ca_file: \"{}\", verify_and_map: true }}\n\
             include \"auth.json\"\n",
            self.at.nats,
            self.place.at("/var/vcap/sys/run/nats/nats.pid"),
            server.cert_text(),
            server.key_text(),
            self.place.authority.cert_text()
        );
        let config = self.place.dir.write("nats.cfg", config);
        let words = [program("nats-server", "nats-server"), "-c".into(), config]
            .map(|word| word.to_str().unwrap().to_owned());
        let service = self.service("nats", &format!("exec {}", shell_words::join(words)));
        self.job("nats", &format!("exec {service}"));
    }

    /// Migrates first, one file after the other, and then serves.
    fn director(&self) {
        let psql = self.psql("bosh");
        let run = |sql: &str| format!("{psql} bosh -c {} {OR_TRACE}\n", shell_words::quote(sql));
        let mut script = run("create table schema_migrations (filename text primary key)");
        for (n, file) in MIGRATIONS.iter().enumerate() {
            script += &run(&format!(
                "begin; create table t{n} (); insert into schema_migrations values ('{file}'); \
                commit"
            ));
        }
        let identity = self.place.authority.server(&[&self.at.director.ip().to_string()]);
        let tls = format!(
            "listen {} ssl; ssl_certificate {}; ssl_certificate_key {};",
            self.at.director,
            identity.cert_text(),
            identity.key_text()
        );
        script +=
            &self.nginx("director", &format!("{tls} location /info {{ return 200 '{{}}'; }}"));
        self.waiting("director", &script);
    }

    /// Writes the users that the director knows, and has nats-server read them.
    fn nats_sync(&self) {
        let users = r#"{"authorization": {"users": [{"user": "CN=recipe"}]}}"#;
        let nats = program("nats-server", "nats-server");
        let script = format!(
            "echo '{users}' >auth.new && mv auth.new auth.json\n{} --signal reload={} {OR_TRACE}\n\
            exec sleep 600",
            nats.display(),
            self.place.at("/var/vcap/sys/run/nats/nats.pid")
        );
        self.waiting("bosh_nats_sync", &script);
    }

    /// Ends if the server rejects its login.
    fn health_monitor(&self) {
        let (wait, _) = self.place.declared(&named("health_monitor"));
        let connect = shell_words::join(
            [&[Afterall::program().to_str().unwrap().to_owned(), "--once".into()], &wait[..]]
                .concat(),
        );
        let serve =
            format!("listen {}; location /healthz {{ return 200 'ok'; }}", self.at.health_monitor);
        let script = format!("{connect} {OR_TRACE}\n{}", self.nginx("health_monitor", &serve));
        self.waiting("health_monitor", &script);
    }

    /// Ends if the table does not exist.
    fn scheduler(&self) {
        let last = MIGRATIONS.len() - 1;
        let script = format!(
            "{} bosh -c 'select count(*) from t{last}' {OR_TRACE}\nexec sleep 600",
            self.psql("bosh")
        );
        self.waiting("scheduler", &script);
    }

    /// The last line of a service's script: nginx with this one server.
    fn nginx(&self, job: &str, directives: &str) -> String {
        let prefix = self.place.dir.mkdir(&format!("nginx/{job}")).display().to_string();
        // As root, workers would become `nobody` and could not reach their own files.
        let user = if getuid().is_root() { "user root;" } else { "" };
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {prefix}/{kind};"))
            .concat();
        let config = format!(
            "{user} daemon off; worker_processes 1; pid {prefix}/pid; error_log {prefix}/log;\n\
            events {{}}\n\
             http {{ access_log off; {temporary}\n server {{ {directives} }} }}\n"
        );
        let config = self.place.dir.write(&format!("nginx/{job}/nginx.conf"), config);
        let words = [
            program("nginx", "nginx-light"),
            "-e".into(),
            format!("{prefix}/log").into(),
            "-c".into(),
            config,
        ];
        format!("exec {}", shell_words::join(words.map(|word| word.to_str().unwrap().to_owned())))
    }
}
