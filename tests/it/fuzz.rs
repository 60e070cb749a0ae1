//! The fuzzers' targets, run on the corpus; and real conversations as its seeds.

#[path = "../../fuzz/src/lib.rs"]
#[allow(dead_code)]
mod targets;

use crate::support::{LONG, Nats, Nginx, Postgres};
use afterall::probe::Verdict;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Instant;
use targets::memory::{Conversation, Recording, SEPARATOR};
use targets::{DECLARATIONS, TARGETS, TOOLS, attempt, build, environment};

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus")
}

#[test]
fn no_input_of_the_corpus_fails() {
    for (target, run) in TARGETS {
        let entries = fs::read_dir(corpus().join(target)).unwrap();
        let files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        assert!(!files.is_empty(), "fuzz/corpus/{target} is empty");
        for file in files {
            let began = Instant::now();
            run(&fs::read(&file).unwrap());
            // A target's own bound is 0.5 s. The rest is for a loaded machine.
            assert!(began.elapsed() < LONG, "{} takes {:?}", file.display(), began.elapsed());
        }
    }
}

/// Adds an input to the corpus where UPDATE=1 asks for it.
fn seed(target: &str, name: &str, input: &[u8]) {
    if std::env::var_os("UPDATE").is_some_and(|value| value == "1") {
        fs::write(corpus().join(target).join(name), input).unwrap();
    }
}

/// Asks a real server once, plays its part from memory, and compares the verdicts. Returns the
/// server's bytes.
#[track_caller]
fn recorded(declaration: &str, server: SocketAddr) -> (Verdict, Vec<u8>) {
    let one = || {
        let mut dependencies = build(declaration, &environment(&[]));
        assert_eq!(dependencies.len(), 1, "{declaration}");
        dependencies.remove(0)
    };
    let recording = Recording::default();
    let real = attempt(one(), recording.of(server), LONG);
    let sent = recording.bytes();
    let played = attempt(one(), Conversation::read(&sent).into_net(), LONG);
    assert_eq!(format!("{real:?}"), format!("{played:?}"), "{declaration}");
    (real, sent)
}

#[track_caller]
fn seed_wire(name: &str, declaration: &str, server: SocketAddr) {
    let place = DECLARATIONS.iter().position(|known| *known == declaration);
    let place = u8::try_from(place.expect("a declaration of the target wire")).unwrap();
    let (_, sent) = recorded(declaration, server);
    seed("wire", name, &[&[place], sent.as_slice()].concat());
}

#[test]
fn a_recorded_postgres_is_judged_as_the_real_one() {
    let server = Postgres::started();
    server.psql("create role app login");
    let at = server.address();
    seed_wire("postgres-no-database", "postgres://app@h,i/app?target_session_attrs=read-write", at);
    server.psql("create database app");
    server.psql_in(
        "app",
        "create table t (c int); insert into t values (1), (3); grant all on t to app",
    );
    for (n, declaration) in DECLARATIONS.iter().enumerate().take(10) {
        seed_wire(&format!("postgres-{n}"), declaration, at);
    }
    server.hba(&["host all all all password"]);
    seed_wire("postgres-wrong-password", "postgres://app:${SECRET}@h/app", at);
    server.hba(&["host all all all reject"]);
    seed_wire("postgres-rejected", "postgres://app:${SECRET}@h/app#query=select true", at);
}

#[test]
fn a_recorded_nats_server_is_judged_as_the_real_one() {
    let open = Nats::started("jetstream { store_dir: \"@DIR@/js\" }");
    seed_wire("nats-jetstream", "nats://h:1#jetstream", open.address());
    seed_wire("nats-stream", "nats://h:1#stream=S", open.address());
    seed_wire("nats", "nats://h:1#insecure", open.address());
    let closed = Nats::started("authorization { user: u, password: other }");
    seed_wire("nats-wrong-password", "nats://u:${SECRET}@h:1", closed.address());
}

#[test]
fn a_recorded_nginx_is_judged_as_the_real_one() {
    let server = Nginx::serving("location /x { return 200 '{\"a\":{\"b\":1}}'; }");
    for (n, declaration) in DECLARATIONS.iter().enumerate().take(24).skip(14) {
        if declaration.starts_with("http:") {
            seed_wire(&format!("http-{n}"), declaration, server.address());
        }
    }
    server.configure(&format!(
        "server {{ listen {}; location /x {{ return 302 /y; }} location / {{ return 503; }} }}",
        server.address()
    ));
    server.reload();
    seed_wire("http-redirect", "http://h/x#redirects=3,status=2xx+404", server.address());
}

#[cfg(feature = "redis")]
#[test]
fn a_recorded_redis_is_judged_as_the_real_one() {
    let server = crate::support::Redis::started("");
    let at = server.address();
    seed_wire("redis-no-key", "redis://h#role=master,exists=k", at);
    server.cli(&["SET", "k", "1"]);
    seed_wire("redis", "redis://h#role=master,exists=k", at);
    seed_wire("redis-wrong-password", "redis://:${SECRET}@h/1", at);
    seed_wire("redis-no-sentinel", "redis+sentinel://h/m", at);
}

#[cfg(feature = "mysql")]
#[test]
fn a_recorded_mariadb_is_judged_as_the_real_one() {
    let server = crate::support::MariaDb::started(&[]);
    let at = server.address();
    seed_wire("mysql-no-user", "mysql://app:${SECRET}@h/app", at);
    server.sql(
        "create database app; create user app; grant all on app.* to app;
         create table app.schema_migrations (version varchar(255));
         insert into app.schema_migrations values ('3')",
    );
    seed_wire("mysql-query", "mysql://app@h/app#query=select true,writable", at);
    seed_wire("mysql-migrations", "migrations+mysql://app@h/app#version=3", at);
}

#[cfg(feature = "amqp")]
#[test]
fn a_recorded_rabbitmq_is_judged_as_the_real_one() {
    let broker = crate::support::RabbitMq::started("", true);
    let at = broker.address();
    seed_wire("amqp-wrong-password", "amqp://app:${SECRET}@h/v", at);
    seed_wire("amqp-no-vhost", "amqp://h/v#queue=q,exchange=e", at);
    broker.eval("rabbit_vhost:add(<<\"v\">>, <<\"x\">>)");
    let all = "<<\".*\">>, <<\".*\">>, <<\".*\">>, <<\"x\">>";
    broker.eval(&format!(
        "rabbit_auth_backend_internal:set_permissions(<<\"guest\">>, <<\"v\">>, {all})"
    ));
    seed_wire("amqp-no-exchange", "amqp://h/v#queue=q,exchange=e", at);
}

#[cfg(feature = "grpc")]
#[test]
fn a_recorded_grpc_server_is_judged_as_the_real_one() {
    let server = crate::kinds::grpc::Health::started(true, None);
    seed_wire("grpc-no-service", "grpc://h:1/s", server.address());
    let server = crate::kinds::grpc::Health::started(false, None);
    seed_wire("grpc-no-health", "grpc://h:1/s", server.address());
}

#[cfg(feature = "memcached")]
#[test]
fn a_recorded_memcached_is_judged_as_the_real_one() {
    let server = crate::kinds::memcached::Memcached::started(&[]);
    seed_wire("memcached", "memcached://h", server.address());
    let server = crate::kinds::memcached::Memcached::started(&["-Y", "@USERS@"]);
    seed_wire("memcached-wrong-password", "memcached://app:${SECRET}@h", server.address());
}

#[cfg(feature = "kafka")]
#[test]
fn a_recorded_kafka_is_judged_as_the_scripted_one() {
    let state = |more: &str| {
        format!(
            r#"{{"brokers": [[1, "@IP", @PORT], [2, "other", 9092]], "controller": 1,
                 "topics": {{"t": [0, [[0, 1], [0, 2]]]}}{more}}}"#
        )
    };
    let broker = crate::support::Stated::kafka(None, &state(""));
    let at = broker.address();
    seed_wire("kafka", "kafka://h/t", at);
    broker.set(&state(r#", "metadata": [0, 3]"#));
    seed_wire("kafka-old", "kafka://h/t", at);
    broker.set(&state(r#", "sasl": {"PLAIN": {}}"#));
    let login = "kafka://u:${SECRET}@h/t#sasl=plain,partitions=2";
    seed_wire("kafka-wrong-password", login, at);
    let login = "kafka://u:${SECRET}@h#sasl=scram-sha-256,brokers=2";
    seed_wire("kafka-no-mechanism", login, at);
}

#[cfg(feature = "mongodb")]
#[test]
fn a_recorded_mongodb_is_judged_as_the_scripted_one() {
    let server = crate::support::Stated::mongodb(None, r#"{"hello": {"isWritablePrimary": true}}"#);
    let at = server.address();
    seed_wire("mongodb", "mongodb://h/d", at);
    seed_wire("mongodb-wrong-password", "mongodb://u:${SECRET}@h/d?authMechanism=PLAIN", at);
    let set = r#""setName": "rs0", "me": "@IP:@PORT", "hosts": ["@IP:@PORT", "b:1"],
        "primary": "b:1", "tags": {"a": "b"}"#;
    server.set(&format!(r#"{{"hello": {{"secondary": true, {set}}}}}"#));
    let list = "mongodb://h,i/d?replicaSet=rs0&readPreference=nearest&readPreferenceTags=a:b";
    seed_wire("mongodb-secondary", list, at);
    server.set(&format!(r#"{{"modern": false, "hello": {{"arbiterOnly": true, {set}}}}}"#));
    seed_wire("mongodb-arbiter", "mongodb://h/d", at);
}

/// Fixture, directory of migrations and tool.
const MIGRATIONS: &[(&str, &str, &str)] = &[
    ("alembic", "alembic", "alembic"),
    ("alembic-branches", "alembic-branches", "alembic"),
    ("django", "django", "django"),
    ("django-squashed", "django-squashed", "django"),
    ("drizzle", "drizzle", "drizzle"),
    ("golang-migrate", "golang-migrate", "golang-migrate"),
    ("goose", "goose", "goose"),
    ("graphile-migrate", "graphile-migrate", "graphile-migrate"),
    ("knex", "knex", "knex"),
    ("postgrator", "postgrator", "postgrator"),
    ("prisma-failed", "prisma", "prisma"),
    ("sequel-timestamp", "sequel-timestamp", "sequel"),
    ("sqitch", "sqitch", "sqitch"),
    ("sqlx", "sqlx", "sqlx"),
    ("typeorm", "typeorm", "typeorm"),
    ("yoyo", "yoyo", "yoyo"),
];

#[test]
fn a_recorded_migrations_table_is_judged_as_the_real_one() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/migrations");
    let server = Postgres::started();
    server.psql("create role app superuser login");
    for (fixture, dir, tool) in MIGRATIONS {
        server.psql("drop database if exists app");
        server.psql("create database app");
        let sql = fs::read_to_string(fixtures.join(format!("{fixture}.sql"))).unwrap();
        server.psql_in("app", &sql);
        let dir = fixtures.join("dirs").join(dir);
        let declaration =
            format!("migrations+postgres://app@h/app#dir={},tool={tool}", dir.display());
        let (_, sent) = recorded(&declaration, server.address());
        let place = TOOLS.iter().position(|known| known == tool).unwrap();
        let input =
            [&[u8::try_from(place).unwrap()], packed(&dir).as_slice(), &SEPARATOR, &sent].concat();
        seed("migrations", fixture, &input);
    }
}

/// The files of a directory in the form of the target `migrations`.
fn packed(dir: &Path) -> Vec<u8> {
    let mut files: Vec<PathBuf> = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { open.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    let entry = |file: &PathBuf| {
        let name = file.strip_prefix(dir).unwrap().to_str().unwrap();
        [name.as_bytes(), b"\0", &fs::read(file).unwrap()].concat()
    };
    files.iter().map(entry).collect::<Vec<_>>().join(&1)
}
