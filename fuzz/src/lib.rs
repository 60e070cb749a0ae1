//! Runs one input of a fuzzer: one function for each target. The tests run them too.
//!
//! A target fails when the product panics. It also fails when a message of the product holds a
//! control character or a secret.

use std::{
    ffi::OsString,
    fs,
    path::{Component, Path},
    time::Duration,
};

use afterall::{
    cli::config,
    connect::Net,
    plan,
    probe::{Attempt, Stage, Verdict},
    secret::Secrets,
    spec::{Declaration, Declared, Mistakes, expand::Env},
    wait::{Dependency, settings::Settings},
};
use tokio::time::Instant;

pub mod memory;

use memory::Conversation;

/// A target and its name, which is also that of its corpus.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub static TARGETS: &[Target] = &[
    ("declaration", declaration),
    ("config", config),
    ("connection_string", connection_string),
    ("secret_file", secret_file),
    ("migrations", migrations),
    ("wire", wire),
];

/// The value of `${SECRET}` in every target. No message may hold it.
const SECRET: &str = "Zq7kP9wX2mLcNRY";

/// Longer than any attempt against memory takes.
const BOUND: Duration = Duration::from_millis(500);

/// Returns true if the input spells the secret out. The fuzzer finds the value in the program; text
/// that shows it then is no leak.
fn spells_secret(input: &[u8]) -> bool {
    input.windows(SECRET.len()).any(|window| window == SECRET.as_bytes())
}

/// Input: a declaration, and after a NUL the value of `${V}`.
pub fn declaration(input: &[u8]) {
    if spells_secret(input) {
        return;
    }
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (text, value) = text.split_once('\0').unwrap_or((text, "value"));
    // The target `migrations` reads directories; here `dir=/` would read the whole machine.
    if text.contains("dir") || value.contains("dir") {
        return;
    }
    let env = environment(&[("V", value), ("http_proxy", value), ("PGPASSWORD", value)]);
    build(text, &env);
}

/// Input: a config file.
pub fn config(input: &[u8]) {
    if spells_secret(input) || input.windows(3).any(|word| word == b"dir") {
        return;
    }
    let file = temporary(input);
    let env = environment(&[("V", "value")]);
    let mut mistakes = Mistakes::default();
    let config = config::read(file.path().to_str().unwrap(), &env, &mut mistakes);
    drop(planned(config.declared, mistakes, &env));
}

/// Input: a byte that chooses how the application declares its connection string, and the string.
pub fn connection_string(input: &[u8]) {
    const WAYS: &[&str] = &[
        "${V}",
        "postgres:${V}",
        "migrations+${V}",
        "nats://${V}",
        "http://${V}",
        "postgres://u:${V}@h/d?${V}",
        "postgres://u@${V}/d",
    ];
    let Some((&way, value)) = input.split_first().filter(|_| !spells_secret(input)) else { return };
    let Ok(value) = std::str::from_utf8(value) else { return };
    let way = WAYS[usize::from(way) % WAYS.len()];
    build(way, &environment(&[("V", value)]));
}

/// Input: a byte that chooses the key, and the file that the key names.
pub fn secret_file(input: &[u8]) {
    const KEYS: &[&str] = &[
        "nats://h#creds=FILE",
        "nats://h#nkey=FILE",
        "https://h#ca=FILE",
        "https://h#cert=FILE,key=FILE",
        "postgres://u@h/d#passfile=FILE",
        "postgres:service=s",
        "postgres://u@h/d?sslmode=verify-full&sslrootcert=FILE",
        "postgres://u@h/d?sslcert=FILE&sslkey=FILE",
        "http://u:${file:FILE}@h/",
    ];
    let Some((&key, content)) = input.split_first().filter(|_| !spells_secret(input)) else {
        return;
    };
    let file = temporary(content);
    let path = file.path().to_str().unwrap();
    let env = environment(&[("PGSERVICEFILE", path)]);
    build(&KEYS[usize::from(key) % KEYS.len()].replace("FILE", path), &env);
}

/// The tools of the target `migrations`. Only append: the corpus holds their positions.
pub static TOOLS: &[&str] = &[
    "auto",
    "alembic",
    "atlas",
    "db-migrate",
    "dbmate",
    "diesel",
    "django",
    "drizzle",
    "flyway",
    "golang-migrate",
    "goose",
    "graphile-migrate",
    "knex",
    "kysely",
    "liquibase",
    "mikro-orm",
    "node-pg-migrate",
    "postgrator",
    "prisma",
    "rails",
    "refinery",
    "sea-orm",
    "sequel",
    "sequelize",
    "sqitch",
    "sqlx",
    "typeorm",
    "yoyo",
    "aerich",
    "doctrine",
    "efcore",
    "phinx",
];

/// Input: a byte that chooses the tool, files (`NAME NUL CONTENT 0x01`), and a conversation.
///
/// The first [`memory::SEPARATOR`] ends the files.
pub fn migrations(input: &[u8]) {
    let Some((&tool, rest)) = input.split_first().filter(|_| !spells_secret(input)) else { return };
    let (files, conversation) = memory::split_once(rest).unwrap_or((rest, &[]));
    let dir = tempfile::tempdir_in("/dev/shm").unwrap();
    for file in files.split(|&byte| byte == 1).take(8) {
        let mut parts = file.splitn(2, |&byte| byte == 0);
        let name = std::str::from_utf8(parts.next().unwrap_or_default()).unwrap_or_default();
        write_below(dir.path(), name, parts.next().unwrap_or_default());
    }
    let tool = TOOLS[usize::from(tool) % TOOLS.len()];
    let dir = dir.path().to_str().unwrap();
    let text = format!("migrations+postgres://app@h/app#dir={dir},tool={tool}");
    for dependency in build(&text, &environment(&[])) {
        ask(dependency, Conversation::read(conversation));
    }
}

/// The declarations of the target `wire`. Only append: the corpus holds their positions.
pub static DECLARATIONS: &[&str] = &[
    "postgres://app:${SECRET}@h/app",
    "postgres://app:${SECRET}@h/app?sslmode=prefer",
    "postgres://app:${SECRET}@h/app#query=select true",
    "postgres://app@h,i/app?target_session_attrs=read-write",
    "migrations+postgres://app@h/app",
    "migrations+postgres://app@h/app#version=3",
    "migrations+postgres://app@h/app#tool=flyway,version=3",
    "migrations+postgres://app@h/app#tool=golang-migrate,version=3",
    "migrations+postgres://app@h/app#tool=liquibase",
    "migrations+postgres://app@h/app#table=t,column=c,version=3",
    "nats://u:${SECRET}@h:1",
    "nats://h:1#jetstream",
    "nats://h:1#stream=S",
    "nats://h:1#insecure",
    "http://h/x",
    "http://u:${SECRET}@h/x#match=^o+k$",
    "http://h/x#json=/a/b==1",
    "http://h/x#redirects=3,status=2xx+404",
    "https://h/x#insecure",
    "http://h/x#proxy=http://u:${SECRET}@h:1",
    "https://h/x#insecure,proxy=http://u:${SECRET}@h:1",
    "http://h/x#method=HEAD",
    "postgres://app:${SECRET}@h/app?sslmode=require",
    "tls://h:1#insecure",
    "redis://:${SECRET}@h/1",
    "redis://h#role=master,exists=k",
    "redis+sentinel://h/m",
    "mysql://app:${SECRET}@h/app",
    "mysql://app@h/app#query=select true,writable",
    "migrations+mysql://app@h/app#version=3",
    "amqp://app:${SECRET}@h/v",
    "amqp://h/v#queue=q,exchange=e",
    "grpc://h:1/s",
    "memcached://h",
    "memcached://app:${SECRET}@h",
    "rediss://h#insecure",
    "kafka://h/t",
    "kafka://u:${SECRET}@h/t#sasl=plain,partitions=2",
    "kafka://u:${SECRET}@h#sasl=scram-sha-256,brokers=2",
    "mongodb://h/d",
    "mongodb://h,i/d?replicaSet=rs0&readPreference=nearest&readPreferenceTags=a:b",
    "mongodb://u:${SECRET}@h/d?authMechanism=PLAIN",
    "mongodb://u:${SECRET}@h/d",
    "http://h/x#http-version=2",
    "k8s:job/a#server=http://h,namespace=n,bearer=${SECRET}",
    "k8s:pods/a=b#server=http://h,namespace=n",
    "k8s:service/a#server=http://h,namespace=n",
    "k8s:deployment/a#server=http://h,namespace=n",
];

/// Input: a byte that chooses the declaration, and the server's bytes.
pub fn wire(input: &[u8]) {
    let Some((&choice, conversation)) = input.split_first() else { return };
    let declaration = DECLARATIONS[usize::from(choice) % DECLARATIONS.len()];
    for dependency in build(declaration, &environment(&[])) {
        ask(dependency, Conversation::read(conversation));
    }
}

/// An environment of these variables and `SECRET`.
pub fn environment(variables: &[(&str, &str)]) -> Env {
    let mut variables: Vec<(String, OsString)> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), value.into())).collect();
    variables.push(("SECRET".to_owned(), SECRET.into()));
    variables.push(("PATH".to_owned(), "/bin".into()));
    Env::new(move |wanted| {
        let found = variables.iter().find(|(name, _)| name == wanted);
        found.map(|(_, value)| value.clone())
    })
}

/// The dependencies that a declaration becomes, if it is valid.
pub fn build(text: &str, env: &Env) -> Vec<Dependency> {
    let (mut declared, mut mistakes) = (Declared::default(), Mistakes::default());
    declared.add(None, Declaration::parse("dependency 1", text, env), &mut mistakes);
    planned(declared, mistakes, env)
}

fn planned(declared: Declared, mut mistakes: Mistakes, env: &Env) -> Vec<Dependency> {
    let none = Secrets::default();
    let plan = plan::plan(declared, &Settings::default(), env, &mut mistakes);
    plan.notes.iter().for_each(|note| harmless(note, &none));
    plan::warnings(&plan.planned, None).iter().for_each(|warning| harmless(warning, &none));
    let (dependencies, notes) = plan::build(plan.planned, &mut mistakes);
    notes.iter().for_each(|note| harmless(note, &none));
    if let Err(errors) = mistakes.check() {
        errors.iter().for_each(|error| harmless(&error.to_string(), &none));
    }
    dependencies
}

/// One attempt against a server that plays `conversation`.
fn ask(dependency: Dependency, conversation: Conversation) {
    // The fuzzer finds the value in the program. A server that sends the value unprompted is not a
    // leak.
    if conversation.holds(SECRET.as_bytes()) {
        return;
    }
    let secrets = dependency.secrets.clone();
    match attempt(dependency, conversation.into_net(), BOUND) {
        Verdict::Ready(ready) => harmless(&ready.detail, &secrets),
        Verdict::NotYet(failure) | Verdict::Hopeless(failure) => {
            harmless(&failure.message, &secrets);
            harmless(failure.hint.as_deref().unwrap_or_default(), &secrets);
        }
    }
}

/// Returns the verdict of one attempt on this network, which is cut after `bound`.
///
/// Random choices, such as the subject of a NATS request, are the same in every run.
pub fn attempt(mut dependency: Dependency, net: Net, bound: Duration) -> Verdict {
    fastrand::seed(1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stage = Stage::default();
        let attempt = Attempt::new(&net, Instant::now() + bound, &stage);
        match tokio::time::timeout(bound, dependency.probe.attempt(&attempt)).await {
            Ok(verdict) => verdict,
            Err(_) => attempt.timed_out(bound).verdict(),
        }
    })
}

/// Panics where a text that is shown holds a secret or a control character.
#[track_caller]
fn harmless(text: &str, secrets: &Secrets) {
    let shown = secrets.hide(text);
    assert!(!shown.contains(SECRET), "a secret is shown: {shown}");
    let control = shown.chars().find(|c| c.is_control() && *c != '\n');
    assert!(control.is_none(), "a control character is shown: {shown:?}");
}

/// A file with this content.
fn temporary(content: &[u8]) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new_in("/dev/shm").unwrap();
    fs::write(file.path(), content).unwrap();
    file
}

/// Writes a file below `dir`, unless its name leads elsewhere.
fn write_below(dir: &Path, name: &str, content: &[u8]) {
    let normal = |component| matches!(component, Component::Normal(_));
    if name.is_empty() || name.len() > 200 || !Path::new(name).components().all(normal) {
        return;
    }
    let path = dir.join(name);
    // A name may be too long, or one file may stand where another needs a directory.
    let _ = path.parent().map(fs::create_dir_all);
    let _ = fs::write(path, content);
}
