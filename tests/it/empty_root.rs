//! An image FROM scratch: a root directory that holds the binary, /etc/hosts, /etc/resolv.conf, a
//! CA file, and nothing else.
//!
//! The binary of the tests needs its libraries beside it. The static one, which `dist/check` names
//! in AFTERALL_BINARY, must not.

#[cfg(feature = "redis")]
use crate::support::Redis;
use crate::support::process::program;
use crate::support::{Afterall, Authority, Dir, Done, Nats, Nginx, Postgres};
use std::fs;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

struct Root(Dir);

impl Root {
    fn new(hosts: &[(&str, &str)]) -> Self {
        let root = Self(Dir::new());
        let lines: String = [("127.0.0.1", "localhost")]
            .iter()
            .chain(hosts)
            .map(|(ip, name)| format!("{ip} {name}\n"))
            .collect();
        root.0.write("etc/hosts", lines);
        root.0.write("etc/resolv.conf", "nameserver 127.0.0.1\n");
        root.put(Afterall::program());
        let libraries =
            Command::new(program("ldd", "libc-bin")).arg(Afterall::program()).output().unwrap();
        for word in String::from_utf8(libraries.stdout)
            .unwrap()
            .split_whitespace()
            .filter(|word| word.starts_with("/lib"))
        {
            root.put(Path::new(word));
        }
        root
    }

    /// The file at the same path as outside.
    fn put(&self, file: &Path) {
        let inside = self.0.join(file.strip_prefix("/").unwrap());
        fs::create_dir_all(inside.parent().unwrap()).unwrap();
        // Copied by a process of its own. The kernel does not execute a file that any process has
        // open for writing, e.g. a child that another test just forked.
        assert!(Command::new("cp").args([file, &inside]).status().unwrap().success());
    }

    fn run(&self, afterall: Afterall) -> Done {
        let root = format!("--root={}", self.0.path().display());
        // Other users may change their root only in a user namespace.
        let as_root =
            if rustix::process::geteuid().is_root() { None } else { Some("--map-root-user") };
        afterall
            .without_env()
            .under(["unshare"].into_iter().chain(as_root).chain([root.as_str()]))
            .run()
    }
}

#[test]
fn every_kind_works_with_nothing_but_itself_hosts_and_a_ca_file() {
    let authority = Authority::new("tests");
    let pg = Postgres::new();
    pg.tls(&authority.server(&["db.test"]), None);
    pg.hba(&["hostssl all all all scram-sha-256"]);
    pg.start();
    pg.psql("create role app login password 'right'");
    pg.psql("create table schema_migrations (version bigint primary key, dirty boolean not null)");
    pg.psql(
        "insert into schema_migrations values (1, false); grant select on schema_migrations to app",
    );
    let server = authority.server(&["nats.test"]);
    let nats = Nats::started(&format!(
        "tls {{ cert_file: \"{}\", key_file: \"{}\" }}",
        server.cert_text(),
        server.key_text()
    ));
    let pod =
        r#"{"metadata":{"name":"x"},"status":{"conditions":[{"type":"Ready","status":"True"}]}}"#;
    let answers =
        format!("location / {{ return 200 'ok'; }} location /api/v1/ {{ return 200 '{pod}'; }}");
    let nginx = Nginx::serving_tls(&authority.server(&["api.test"]), &answers);

    #[cfg(feature = "redis")]
    let redis = Redis::started("");

    let root = Root::new(&[
        #[cfg(feature = "redis")]
        (&redis.host(), "cache.test"),
        (&pg.host(), "db.test"),
        (&nats.host(), "nats.test"),
        (&nginx.host(), "api.test"),
    ]);
    root.0.write("ca.pem", fs::read(authority.cert_path()).unwrap());
    root.0.write("password", "right\n");
    root.0.mkdir("run");
    let _listener = UnixListener::bind(root.0.join("run/socket")).unwrap();
    let https = nginx.https_url("/").replace(&nginx.host(), "api.test");
    let postgres =
        format!("postgres://app:${{file:/password}}@db.test:{}/postgres#ca=/ca.pem", pg.port());
    let mut dependencies = vec![
        format!("postgres={postgres}"),
        format!("migrations=migrations+{postgres}"),
        format!("nats=nats://nats.test:{}#ca=/ca.pem", nats.port()),
        format!("http={https}#ca=/ca.pem"),
        format!("tcp=tcp://db.test:{}", pg.port()),
        #[cfg(feature = "redis")]
        format!("redis=redis://cache.test:{}", redis.port()),
        // The other servers are slow to start. A refused connection needs the same files.
        #[cfg(feature = "mysql")]
        "mysql=mysql://app@db.test:1/app#ca=/ca.pem,until=down".to_owned(),
        #[cfg(feature = "mysql")]
        "migrations-mysql=migrations+mysql://app@db.test:1/app#ca=/ca.pem,until=down".to_owned(),
        #[cfg(feature = "grpc")]
        "grpc=grpcs://db.test:1#ca=/ca.pem,until=down".to_owned(),
        #[cfg(feature = "amqp")]
        "amqp=amqps://app@db.test:1#ca=/ca.pem,until=down".to_owned(),
        #[cfg(feature = "memcached")]
        "memcached=memcached://db.test:1#until=down".to_owned(),
        #[cfg(feature = "kafka")]
        "kafka=kafkas://db.test:1#ca=/ca.pem,until=down".to_owned(),
        #[cfg(feature = "mongodb")]
        "mongodb=mongodb://db.test:1/?tls=true#ca=/ca.pem,until=down".to_owned(),
        #[cfg(feature = "k8s")]
        format!("k8s=k8s:pod/x#server={},namespace=n,ca=/ca.pem", https.trim_end_matches('/')),
        "any=any:tcp+unix".to_owned(),
        "unix=unix:/run/socket".to_owned(),
        "dns=dns:localhost".to_owned(),
        "file=file:/ca.pem".to_owned(),
        format!("exec=exec:{} --version", Afterall::program().display()),
    ];
    let done = root.run(Afterall::waiting_for(&dependencies).arg("--once")).code(0).any_stdout();
    for kind in afterall::kinds::KINDS {
        // A new kind must be added above.
        let is_there = |scheme: &&&str| {
            dependencies
                .iter()
                .any(|d| d.split_once('=').unwrap().1.starts_with(&format!("{scheme}:")))
        };
        assert!(
            kind.schemes.iter().any(|scheme| is_there(&scheme)),
            "{}: {}",
            kind.name,
            done.stdout_text()
        );
    }
    // The command is afterall itself.
    dependencies.push("-q".to_owned());
    let again = Afterall::program().to_str().unwrap();
    root.run(Afterall::waiting_for(&dependencies).becoming([again, "--version"]))
        .code(0)
        .stdout(&format!("afterall {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_missing_ca_store_is_a_matter_of_tls_alone() {
    let nginx = Nginx::serving("location / { return 200 'ok'; }");
    let root = Root::new(&[(&nginx.host(), "api.test")]);
    let http = nginx.url("/").replace(&nginx.host(), "api.test");
    root.run(Afterall::waiting_for([http]).arg("-q")).code(0);
}
