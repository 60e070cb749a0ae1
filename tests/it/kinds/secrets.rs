//! A canary in every place where a secret can enter, with every failure. No output may contain it.

use crate::support::scripted::finish;
use crate::support::{Afterall, Authority, Dir, Http, Reserved, Scripted, response_with};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;

const CANARY: &str = "c4naryS1ngs";

/// `u:c4naryS1ngs`, as HTTP Basic carries it.
const IN_BASE64: &str = "dTpjNG5hcnlTMW5ncw";

/// A declaration, its variables, and true if the other side echoes the secret.
struct Place {
    declared: String,
    env: Vec<(&'static str, String)>,
    echoed: bool,
}

impl Place {
    fn new(declared: impl Into<String>) -> Self {
        Self { declared: declared.into(), env: vec![], echoed: false }
    }

    fn env(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.env.push((name, value.into()));
        self
    }

    fn echoed(mut self) -> Self {
        self.echoed = true;
        self
    }
}

/// Waits for each, in every format of reports.
fn hear_nothing(places: &[Place]) {
    // The first failure ends the wait, however long a busy machine takes to reach it.
    const ANY: &str = "dns+connect+timeout+tls+auth+busy+absent+failed+protocol+local";
    let modes: [&[&str]; 5] = [
        &["-v", "--fail-fast", ANY],
        &["-v", "--fail-fast", ANY, "--format", "json"],
        &["--once", "--attempt-timeout", "10s"],
        &["--once", "--attempt-timeout", "10s", "--format", "json"],
        &["--print-plan", "-v"],
    ];
    // Nearly all of the time is waiting.
    let jobs = || {
        modes
            .iter()
            .flat_map(|mode| places.chunks(places.len().div_ceil(4)).map(move |some| (mode, some)))
    };
    thread::scope(|scope| {
        for (mode, some) in jobs() {
            scope.spawn(move || some.iter().for_each(|place| hear_nothing_in(mode, place)));
        }
    });
}

fn hear_nothing_in(mode: &[&str], place: &Place) {
    let run =
        Afterall::new().args(mode).arg(&place.declared).env("HOME", "/none").env("CANARY", CANARY);
    let run = place.env.iter().fold(run, |run, (name, value)| run.env(name, value));
    let done = run
        .env("RUST_BACKTRACE", "full")
        .env("RUST_LOG", "trace")
        .env("RUST_LIB_BACKTRACE", "1")
        .run();
    let said = format!("{mode:?} {}: {}{}", place.declared, done.stdout_text(), done.stderr_text());
    assert!(matches!(done.status().code(), Some(0 | 64 | 69 | 124)), "{said}");
    assert!(!said.replace(&place.declared, "").contains(CANARY), "{said}");
    assert!(!said.contains(IN_BASE64), "{said}");
    // A short timeout may cut the attempt before the server has echoed anything.
    let is_whole = mode.contains(&"--once");
    if place.echoed && is_whole && done.status().code() != Some(0) {
        assert!(said.contains("***"), "nothing was repeated: {said}");
    }
}

/// The text around the canary. It is short, because messages are cut.
fn around(text: &str) -> Option<String> {
    let at = text.find(CANARY).or_else(|| text.find(IN_BASE64))?;
    let from = text[..at].rfind(['\n', '\r', '\0', '{', ',']).map_or(0, |before| before + 1);
    let end = text[at..].find(['\n', '\r', '\0', '}', ',']).map_or(text.len(), |after| at + after);
    Some(text[from..end].to_owned())
}

/// Reads until the canary comes, or the client is silent.
fn heard(stream: &mut TcpStream) -> String {
    let _ = stream.set_read_timeout(Some(std::time::Duration::from_millis(500)));
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    while around(&String::from_utf8_lossy(&bytes)).is_none() {
        match stream.read(&mut chunk) {
            Ok(read) if read > 0 => bytes.extend(&chunk[..read]),
            _ => break,
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A NATS server that repeats the credentials in its refusal.
fn nats_that_repeats() -> Scripted {
    Scripted::new(|_, mut stream| {
        let _ = stream.write_all(
            b"INFO {\"version\":\"2.9.10\",\"nonce\":\"abc\",\"auth_required\":true}\r\n",
        );
        let text = heard(&mut stream);
        let _ = stream
            .write_all(format!("-ERR 'no {}'\r\n", around(&text).unwrap_or_default()).as_bytes());
        finish(stream);
    })
}

/// A PostgreSQL that wants the password in clear, and repeats it.
fn postgres_that_repeats() -> Scripted {
    Scripted::new(|_, mut stream| {
        let mut length = [0; 4];
        let mut packet = || -> std::io::Result<Vec<u8>> {
            stream.read_exact(&mut length)?;
            let mut rest = vec![0; u32::from_be_bytes(length) as usize - 4];
            stream.read_exact(&mut rest)?;
            Ok(rest)
        };
        let Ok(mut first) = packet() else { return };
        // No TLS here.
        if first == [4, 210, 22, 47] {
            let _ = stream.write_all(b"N");
            let mut packet = || -> std::io::Result<Vec<u8>> {
                stream.read_exact(&mut length)?;
                let mut rest = vec![0; u32::from_be_bytes(length) as usize - 4];
                stream.read_exact(&mut rest)?;
                Ok(rest)
            };
            let Ok(startup) = packet() else { return };
            first = startup;
        }
        let _ = stream.write_all(b"R\0\0\0\x08\0\0\0\x03");
        let text = format!("{}{}", String::from_utf8_lossy(&first), heard(&mut stream));
        let fields = format!("SFATAL\0C28P01\0Mno {}\0\0", around(&text).unwrap_or_default());
        let _ = stream.write_all(
            &[b"E", &(fields.len() as u32 + 4).to_be_bytes()[..], fields.as_bytes()].concat(),
        );
        finish(stream);
    })
}

fn http_that_repeats() -> Http {
    Http::answering(|_, request| response_with(500, &[], &around(request).unwrap_or_default()))
}

#[test]
fn a_password_of_postgres_is_shown_nowhere_in_whatever_dialect_it_stands() {
    let (server, dead, dir) = (postgres_that_repeats(), Reserved::new(), Dir::new());
    dir.write_secret("pgpass", format!("*:*:*:*:{CANARY}\n"));
    dir.write_with_mode("readable", 0o644, format!("*:*:*:*:{CANARY}\n"));
    dir.write(
        "services",
        format!(
            "[app]\nuser=u\npassword={CANARY}\n[broken]\npassword {CANARY}\nsslmode={CANARY}\n"
        ),
    );
    dir.write_secret("secret", format!("{CANARY}\n"));
    let (passfile, services, secret) =
        (dir.text("pgpass"), dir.text("services"), dir.text("secret"));
    let mut places = Vec::new();
    for (at, echoes) in [(server.address(), true), (dead.address(), false)] {
        let (host, port) = (at.ip(), at.port());
        let urls = [
            format!("postgres://u:{CANARY}@{at}/db"),
            format!("postgres://u@{at}/db?password={CANARY}"),
            format!("postgresql+psycopg2://u:{CANARY}@{at}/db?sslmode=disable"),
            format!("jdbc:postgresql://{at}/db?user=u&password={CANARY}"),
            format!("ecto://u:{CANARY}@{at}/db?pool_size=1"),
            format!("postgresql://u:{CANARY}@{at}/db?schema=public&connection_limit=1"),
            format!("postgres://u:{CANARY}@{at}/db?pool_max_conns=1&sslmode=prefer"),
            format!("postgres:host={host} port={port} user=u dbname=db password={CANARY}"),
            format!(
                "postgres:host={host} port={port} user=u dbname=db password='{CANARY}' keepalives=1"
            ),
            format!(
                "postgres:Host={host};Port={port};Username=u;Password={CANARY};Maximum Pool Size=2"
            ),
            format!("postgres:Host={host};Port={port};Username=u;Password='{CANARY}'"),
            format!("migrations+postgres://u:{CANARY}@{at}/db#version=1"),
        ];
        for url in urls {
            let variable = if url.starts_with("postgres:h") || url.starts_with("postgres:H") {
                "postgres:${DSN}"
            } else {
                "${DSN}"
            };
            let value =
                url.strip_prefix("postgres:").filter(|_| variable != "${DSN}").unwrap_or(&url);
            let of_variable = Place::new(variable).env("DSN", value);
            let as_written = Place::new(&url);
            places.extend(if echoes {
                [of_variable.echoed(), as_written.echoed()]
            } else {
                [of_variable, as_written]
            });
        }
        let base = format!("postgres://u@{at}/db");
        for place in [
            Place::new(format!("{base}#password={CANARY}")),
            Place::new(format!("{base}#password=${{CANARY}}")),
            Place::new(format!("{base}#password=${{file:{secret}}}")),
            Place::new(format!("postgres://u:${{CANARY}}@{at}/db")),
            Place::new(format!("postgres://u:${{file:{secret}}}@{at}/db")),
            Place::new(format!("{base}#passfile={passfile}")),
            Place::new(format!("{base}?passfile={passfile}")),
            Place::new(&base).env("PGPASSFILE", &passfile),
            Place::new(&base).env("PGPASSWORD", CANARY),
            Place::new(format!("postgres://{at}/db"))
                .env("PGSERVICE", "app")
                .env("PGSERVICEFILE", &services),
            Place::new(format!("postgres:host={host} port={port} service=app"))
                .env("PGSERVICEFILE", &services),
        ] {
            places.push(if echoes { place.echoed() } else { place });
        }
    }
    let at = dead.address();
    places.extend([
        Place::new(format!("postgres://u@{at}/db#passfile={}", dir.text("readable"))),
        Place::new(format!("postgres://u@{at}/db#passfile=${{CANARY}}")),
        Place::new(format!("postgres://{at}/db"))
            .env("PGSERVICE", "broken")
            .env("PGSERVICEFILE", &services),
        Place::new(format!("postgres://{at}/db"))
            .env("PGSERVICE", "none")
            .env("PGSERVICEFILE", &services),
    ]);
    // Values that are invalid.
    for wrong in [
        format!("postgres://u:{CANARY}@db:x/app"),
        format!("postgres://u:{CANARY}#@{at}/app"),
        format!("postgres://u:{CANARY}/@{at}/app"),
        format!("postgres://u:%zz{CANARY}@{at}/app"),
        format!("postgres://u@{at}/app?password=%zz{CANARY}"),
        format!("postgres://u@{at}/app?password=a&{CANARY}"),
        format!("postgres://u@{at}/app?password=a&{CANARY}=b"),
        format!("postgres://u@{at}/app?sslmode={CANARY}"),
        format!("postgres://u@{at}/app?target_session_attrs={CANARY}"),
        format!("postgres://u@{at}/app?connect_timeout={CANARY}"),
        format!("postgres:password=a {CANARY}"),
        format!("postgres:password='{CANARY}"),
        format!("postgres:Host={};Password=\"{CANARY}", at.ip()),
        format!("postgres:Host={};Port={CANARY};Password=x;{CANARY}=y", at.ip()),
        format!("jdbc:postgresql://{at}/db?targetServerType={CANARY}"),
        format!("jdbc:mysql://u:{CANARY}@{at}/db"),
    ] {
        places.extend([Place::new("${DSN}").env("DSN", &wrong), Place::new(&wrong)]);
    }
    hear_nothing(&places);
}

#[test]
fn what_logs_in_to_nats_is_shown_nowhere() {
    let (server, dead, dir) = (nats_that_repeats(), Reserved::new(), Dir::new());
    dir.write_secret("token", CANARY);
    dir.write_secret("broken.nk", format!("SU{CANARY}"));
    dir.write_secret("other.nk", CANARY);
    let seed = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";
    let creds = |jwt: &str, seed: &str| {
        format!(
            "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n-----BEGIN USER \
            NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        )
    };
    dir.write_secret("right.creds", creds(&format!("eyJ{CANARY}"), seed));
    dir.write_secret("seed.creds", creds("eyJ", &format!("SU{CANARY}")));
    dir.write_secret("none.creds", creds(CANARY, CANARY));
    let token = dir.text("token");
    let (at, dead) = (server.address(), dead.address());
    let mut places = Vec::new();
    for declared in [
        format!("nats://u:{CANARY}@{at}"),
        format!("nats://{CANARY}@{at}"),
        format!("nats://u:x@{dead},v:{CANARY}@{at}"),
        format!("nats://u:{CANARY}@{dead},{at}"),
        format!("nats://{at}#token={CANARY}"),
        format!("nats://{at}#token=${{file:{token}}}"),
        format!("nats://{at}#user=u,password={CANARY}"),
        format!("nats://u@{at}#password=${{CANARY}}"),
        format!("nats://{at}#creds={}", dir.text("right.creds")),
    ] {
        places.push(Place::new(&declared).echoed());
        places.push(Place::new(declared.replace(&at.to_string(), &dead.to_string())));
    }
    places.push(Place::new("${BUS}").env("BUS", format!("nats://u:{CANARY}@{at}")).echoed());
    for wrong in [
        format!("nats://u:{CANARY}@{at}/x"),
        format!("nats://u:{CANARY}@a:x"),
        format!("nats://u:{CANARY}@{at},nats"),
        format!("nats://u:%zz{CANARY}@{at}"),
        format!("nats://u:{CANARY}@{at}#token={CANARY},nkey=x"),
        format!("nats://{at}#password={CANARY}"),
        format!("nats://{at}#stream={CANARY}.x,user=u,password={CANARY}"),
        format!("tls://u:{CANARY}@{at}#insecure"),
        format!("tls://u:{CANARY}@{at}#ca=/none"),
        format!("nats://{at}#nkey={}", dir.text("broken.nk")),
        format!("nats://{at}#nkey={}", dir.text("other.nk")),
        format!("nats://{at}#creds={}", dir.text("seed.creds")),
        format!("nats://{at}#creds={}", dir.text("none.creds")),
        format!("nats://{at}#creds={token}"),
        format!("nats://{at}#creds=${{file:{}}}", dir.text("none.creds")),
        format!("nats://{at}#nkey=${{file:{}}}", dir.text("broken.nk")),
        format!("nats://{at}#nkey={CANARY}"),
    ] {
        places.push(Place::new(wrong));
    }
    hear_nothing(&places);
}

/// A Redis that repeats the credentials in its refusal.
#[cfg(feature = "redis")]
fn redis_that_repeats() -> Scripted {
    Scripted::new(|_, mut stream| {
        let text = heard(&mut stream);
        let _ = stream
            .write_all(format!("-WRONGPASS {}\r\n", around(&text).unwrap_or_default()).as_bytes());
        finish(stream);
    })
}

#[cfg(feature = "redis")]
#[test]
fn what_logs_in_to_redis_is_shown_nowhere() {
    let (server, dead, dir) = (redis_that_repeats(), Reserved::new(), Dir::new());
    dir.write_secret("password", CANARY);
    let file = dir.text("password");
    let (at, dead) = (server.address(), dead.address());
    let mut places = Vec::new();
    for declared in [
        format!("redis://:{CANARY}@{at}"),
        format!("redis://u:{CANARY}@{at}/1"),
        format!("redis://{CANARY}@{at}"),
        format!("redis://{at}?password={CANARY}"),
        format!("redis://{at}#password={CANARY}"),
        format!("redis://u@{at}#password=${{file:{file}}}"),
        format!("redis://{at}#sentinel=m,sentinel-password={CANARY}"),
        format!("redis+sentinel://:{CANARY}@{at}/m#sentinel-password={CANARY}"),
    ] {
        places.push(Place::new(&declared).echoed());
        places.push(Place::new(declared.replace(&at.to_string(), &dead.to_string())));
    }
    places.push(Place::new("${CACHE}").env("CACHE", format!("redis://u:{CANARY}@{at}")).echoed());
    for wrong in [
        format!("redis://:{CANARY}@{at}/x"),
        format!("redis://:{CANARY}@"),
        format!("redis://:{CANARY}@{at}/0#role=x"),
        format!("redis://:%zz{CANARY}@{at}"),
        format!("rediss://:{CANARY}@{at}?ssl_cert_reqs={CANARY}"),
        format!("redis+unix://:{CANARY}@/none/sock"),
        format!("redis+unix://:{CANARY}@{at}"),
    ] {
        places.push(Place::new(wrong));
    }
    hear_nothing(&places);
}

/// A MySQL that refuses everybody. The password itself is never sent to it.
#[cfg(feature = "mysql")]
fn mysql_that_refuses() -> Scripted {
    Scripted::new(|_, mut stream| {
        let mut greeting =
            b"\x4a\0\0\0\x0a8.0.36\0\x07\0\0\0abcdefgh\0\xff\xf7\xff\x02\0\xff\xdf\x15".to_vec();
        greeting.extend(b"\0\0\0\0\0\0\0\0\0\0ijklmnopqrst\0mysql_native_password\0");
        greeting[0] = greeting.len() as u8 - 4;
        let _ = stream.write_all(&greeting);
        let _ = stream.read(&mut [0; 4096]);
        let error = b"\xff\x15\x04#28000no";
        let _ = stream.write_all(&[&[error.len() as u8, 0, 0, 2], &error[..]].concat());
        finish(stream);
    })
}

#[cfg(feature = "mysql")]
#[test]
fn what_logs_in_to_mysql_is_shown_nowhere() {
    let (server, dead, dir) = (mysql_that_refuses(), Reserved::new(), Dir::new());
    dir.write_secret("password", CANARY);
    let file = dir.text("password");
    let (at, dead) = (server.address(), dead.address());
    let mut places = Vec::new();
    for declared in [
        format!("mysql://u:{CANARY}@{at}/db"),
        format!("mysql+pymysql://u:{CANARY}@{at}/db"),
        format!("jdbc:mysql://{at}/db?user=u&password={CANARY}"),
        format!("mysql:u:{CANARY}@tcp({at})/db"),
        format!("mysql://u:{CANARY}@tcp({at})/db"),
        format!("mysql:host={};port={};password={CANARY}#user=u", at.ip(), at.port()),
        format!("mysql://u@{at}/db#password=${{file:{file}}}"),
        format!("mysql://u@{at}/db#password={CANARY}"),
    ] {
        places.push(Place::new(&declared));
        places.push(Place::new(declared.replace(&at.to_string(), &dead.to_string())));
        places.push(Place::new("${DSN}").env("DSN", declared));
    }
    places.push(Place::new(format!("mysql://u@{at}/db")).env("MYSQL_PWD", CANARY));
    for wrong in [
        format!("mysql://u:{CANARY}@db:x/app"),
        format!("mysql://u:%zz{CANARY}@{at}/app"),
        format!("mysql:u:{CANARY}@udp({at})/db"),
        format!("mysql:u:{CANARY}@tcp({at})"),
        format!("mysql:u:{CANARY}@tcp({at}"),
        format!("mysql:password={CANARY};{CANARY}"),
        format!("mysql://u:{CANARY}@{at}/app?ssl-mode={CANARY}"),
        format!("mysql://u:{CANARY}@{at}/app?useSSL={CANARY}"),
        format!("jdbc:mysql://{at}/db?password={CANARY}"),
    ] {
        places.extend([Place::new("${DSN}").env("DSN", &wrong), Place::new(&wrong)]);
    }
    hear_nothing(&places);
}

#[cfg(feature = "k8s")]
#[test]
fn a_token_of_kubernetes_is_shown_nowhere() {
    let (server, dead, dir) = (http_that_repeats(), Reserved::new(), Dir::new());
    dir.write_secret("token", format!("{CANARY}\n"));
    let (at, file) = (server.address(), dir.text("token"));
    let mut places = Vec::new();
    for keys in [
        format!("bearer={CANARY}"),
        "bearer=${CANARY}".to_owned(),
        format!("bearer=${{file:{file}}}"),
        format!("token-file={file}"),
    ] {
        for what in ["job/migrate", "pods/app=web", "service/api"] {
            let declared = format!("k8s:{what}#server=http://{at},namespace=a,{keys}");
            places.push(Place::new(&declared).echoed());
            places.push(Place::new(declared.replace(&at.to_string(), &dead.address().to_string())));
        }
    }
    for wrong in [
        format!("k8s:job/a#server=https://u:{CANARY}@{at},namespace=a"),
        format!("k8s:job/a#server=http://{at},namespace=a,token-file=${{CANARY}}"),
        format!("k8s:job/a#server=http://{at},namespace=a,bearer={CANARY},token-file={file}"),
        format!("k8s:job/a#server=http://{at},bearer={CANARY}"),
    ] {
        places.push(Place::new(wrong));
    }
    hear_nothing(&places);
}

/// A RabbitMQ that repeats the credentials in its refusal.
#[cfg(feature = "amqp")]
fn rabbitmq_that_repeats() -> Scripted {
    Scripted::new(|_, mut stream| {
        let frame = |method: &[u8]| {
            let size = (method.len() as u32).to_be_bytes();
            [&[1, 0, 0], &size[..], method, b"\xce"].concat()
        };
        let start = b"\0\x0a\0\x0a\0\x09\0\0\0\0\0\0\0\x05PLAIN\0\0\0\x05en_US";
        let _ = stream.write_all(&frame(start));
        let text = format!("ACCESS_REFUSED {}", around(&heard(&mut stream)).unwrap_or_default());
        let close =
            [b"\0\x0a\0\x32\x01\x93", &[text.len() as u8][..], text.as_bytes(), b"\0\0\0\0"];
        let _ = stream.write_all(&frame(&close.concat()));
        finish(stream);
    })
}

#[cfg(feature = "amqp")]
#[test]
fn what_logs_in_to_rabbitmq_is_shown_nowhere() {
    let (server, dead) = (rabbitmq_that_repeats(), Reserved::new());
    let (at, dead) = (server.address(), dead.address());
    let mut places = Vec::new();
    for declared in [
        format!("amqp://u:{CANARY}@{at}"),
        format!("pyamqp://u:{CANARY}@{at}//"),
        format!("amqp://u@{at}/v#password={CANARY}"),
        format!("amqp://u@{at}/v#password=${{CANARY}}"),
    ] {
        places.push(Place::new(&declared).echoed());
        places.push(Place::new(declared.replace(&at.to_string(), &dead.to_string())));
    }
    for wrong in [
        format!("amqp://u:{CANARY}@mq:x/v"),
        format!("amqp://u:%zz{CANARY}@{at}/v"),
        format!("amqp://u:{CANARY}@/v"),
        format!("memcached://u:{CANARY}@{at}"),
        format!("memcached://:{CANARY}@{at}"),
    ] {
        places.push(Place::new(wrong));
    }
    hear_nothing(&places);
}

/// A Kafka that repeats the credentials in its refusal.
#[cfg(feature = "kafka")]
fn kafka_that_repeats() -> Scripted {
    Scripted::new(|_, mut stream| {
        let body = |number: u8, body: &[u8]| {
            [&[0, 0, 0, body.len() as u8 + 4, 0, 0, 0, number], body].concat()
        };
        let _ = stream.read(&mut [0; 4096]);
        let apis = b"\0\0\0\0\0\x02\0\x03\0\0\0\x08\0\x24\0\0\0\0";
        let _ = stream.write_all(&body(1, apis));
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(&body(2, b"\0\0\0\0\0\x01\0\x05PLAIN"));
        let text = format!("no {}", around(&heard(&mut stream)).unwrap_or_default());
        let refusal = [&[0, 58, 0, text.len() as u8], text.as_bytes(), &[0; 4]].concat();
        let _ = stream.write_all(&body(3, &refusal));
        finish(stream);
    })
}

#[cfg(feature = "kafka")]
#[test]
fn what_logs_in_to_kafka_is_shown_nowhere() {
    let (server, dead) = (kafka_that_repeats(), Reserved::new());
    let (at, dead) = (server.address(), dead.address());
    let mut places = Vec::new();
    for declared in [
        format!("kafka://u:{CANARY}@{at}#sasl=plain"),
        format!("kafka://{at}?sasl.mechanism=PLAIN&sasl.username=u&sasl.password={CANARY}"),
        format!("kafka://{at}#sasl=plain,user=u,password=${{CANARY}}"),
    ] {
        places.push(Place::new(&declared).echoed());
        places.push(Place::new(declared.replace(&at.to_string(), &dead.to_string())));
    }
    for wrong in [
        format!("kafka://u:{CANARY}@{at}"),
        format!("kafka://u:{CANARY}@{at}/a/b#sasl=plain"),
        format!("kafka://u:{CANARY}@{at}#sasl={CANARY}"),
        format!("kafka://u:%zz{CANARY}@{at}#sasl=plain"),
        format!("kafka://u:{CANARY}@{at},v:{CANARY}x@{at}#sasl=plain"),
        format!("kafka://{at}?security.protocol={CANARY}&sasl.password={CANARY}"),
    ] {
        places.push(Place::new(wrong));
    }
    hear_nothing(&places);
}

/// A MongoDB that repeats the credentials in its refusal.
#[cfg(feature = "mongodb")]
fn mongodb_that_repeats() -> Scripted {
    Scripted::new(|_, mut stream| {
        let reply = |elements: &[u8]| {
            let document = [&(elements.len() as u32 + 5).to_le_bytes(), elements, b"\0"].concat();
            let head = [document.len() as u32 + 21, 1, 1, 2013, 0];
            let head = head.map(u32::to_le_bytes).concat();
            [&head[..], b"\0", &document].concat()
        };
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(&reply(b"\x08ismaster\0\x01\x10ok\0\x01\0\0\0"));
        let text = format!("no {}", around(&heard(&mut stream)).unwrap_or_default());
        let errmsg = [&(text.len() as u32 + 1).to_le_bytes(), text.as_bytes(), b"\0"].concat();
        let elements = [&b"\x02errmsg\0"[..], &errmsg, b"\x10code\0\x12\0\0\0"].concat();
        let _ = stream.write_all(&reply(&elements));
        finish(stream);
    })
}

#[cfg(feature = "mongodb")]
#[test]
fn what_logs_in_to_mongodb_is_shown_nowhere() {
    let (server, dead) = (mongodb_that_repeats(), Reserved::new());
    let (at, dead) = (server.address(), dead.address());
    let mut places = Vec::new();
    for declared in [
        format!("mongodb://u:{CANARY}@{at}/?authMechanism=PLAIN"),
        format!("mongodb://{at}/?authMechanism=PLAIN#user=u,password={CANARY}"),
        format!("mongodb://u:${{CANARY}}@{at}/?authMechanism=PLAIN"),
    ] {
        places.push(Place::new(&declared).echoed());
        places.push(Place::new(declared.replace(&at.to_string(), &dead.to_string())));
    }
    // SCRAM never sends the password.
    places.push(Place::new(format!("mongodb://u:{CANARY}@{at}/db")));
    for wrong in [
        format!("mongodb://u:{CANARY}@{at}/?authMechanism={CANARY}"),
        format!("mongodb://u:{CANARY}@{at}/?readPreference={CANARY}"),
        format!("mongodb://u:{CANARY}@{at}/?{CANARY}={CANARY}"),
        format!("mongodb://u:{CANARY}@{at}/?tls={CANARY}"),
        format!("mongodb://u:%zz{CANARY}@{at}"),
        format!("mongodb://{CANARY}@{at}"),
        format!("mongodb://u:{CANARY}@{at}/a#role={CANARY}"),
        format!("mongodb+srv://u:{CANARY}@{at}"),
    ] {
        places.push(Place::new(wrong));
    }
    hear_nothing(&places);
}

#[test]
fn what_http_is_asked_with_is_shown_nowhere() {
    let (server, dead, dir) = (http_that_repeats(), Reserved::new(), Dir::new());
    dir.write_secret("token", CANARY);
    let token = dir.text("token");
    let (at, dead) = (server.address(), dead.address());
    let mut places = Vec::new();
    for declared in [
        format!("http://u:{CANARY}@{at}/"),
        format!("http://{at}/#user=u,password={CANARY}"),
        format!("http://u@{at}/#password=${{file:{token}}}"),
        format!("http://{at}/?token={CANARY}"),
        format!("http://{at}/?a=b&sig=${{CANARY}}"),
        format!("http://{at}/?${{CANARY}}"),
        format!("http://{at}/?a={CANARY}%20x"),
        format!("http://{at}/#bearer={CANARY}"),
        format!("http://{at}/#bearer=${{file:{token}}}"),
        format!("http://{at}/#header=X-Key: {CANARY}"),
        format!("http://{at}/#header=Authorization: Bearer {CANARY}"),
        format!("http://{at}/#header=Cookie: a=b; session={CANARY}; c=d"),
        format!("http://api.test/#proxy=http://u:{CANARY}@{at}"),
    ] {
        places.push(Place::new(&declared).echoed());
        places.push(Place::new(declared.replace(&at.to_string(), &dead.to_string())));
        places.push(Place::new(declared.replace("http://", "https://").replacen(
            "https://u:",
            "http://u:",
            usize::from(declared.contains("proxy=")),
        )));
    }
    let through = |name: &'static str, url: &str| {
        Place::new(url).env(name, format!("http://u:{CANARY}@{at}"))
    };
    places.push(through("http_proxy", "http://api.test/#proxy=env").echoed());
    places.push(through("https_proxy", "https://api.test/#proxy=env,insecure"));
    places.push(
        Place::new("http://api.test/#proxy=env")
            .env("http_proxy", format!("socks5://u:{CANARY}@x")),
    );
    places.push(
        Place::new("http://api.test/#proxy=env")
            .env("http_proxy", format!("http://u:{CANARY}@a b")),
    );
    for wrong in [
        format!("http://u:{CANARY}@/"),
        format!("http://u:{CANARY}@a b/"),
        format!("http://u:{CANARY}@a:x/"),
        format!("http://u:%zz{CANARY}@{at}/"),
        format!("http://{at}/#header={CANARY}"),
        format!("http://{at}/#header={CANARY} x: y"),
        format!("http://{at}/#header=X: {CANARY}%0A"),
        format!("http://{at}/#header=Connection: {CANARY}"),
        format!("http://{at}/#bearer={CANARY}%0A"),
        format!("http://{at}/#bearer={CANARY},user=u"),
        format!("http://{at}/#password={CANARY}"),
        format!("http://{at}/#user={CANARY}:x"),
        format!("http://{at}/#proxy=http://u:{CANARY}@a b"),
        format!("http://{at}/#proxy=ftp://u:{CANARY}@x"),
        format!("http://{at}/#bearer={CANARY},status=x"),
        format!("http://{at}/#bearer={CANARY},match=("),
        format!("http+unix://{CANARY}/x"),
    ] {
        // A host is not a secret.
        if !wrong.starts_with("http+unix") {
            places.push(Place::new(wrong));
        }
    }
    hear_nothing(&places);
}

#[test]
fn what_files_and_commands_hold_is_shown_nowhere() {
    let (authority, dir, dead) = (Authority::new("ca"), Dir::new(), Reserved::new());
    let client = authority.client("app");
    let pem = |label: &str| format!("-----BEGIN {label}-----\n{CANARY}\n-----END {label}-----\n");
    dir.write_secret("key", pem("PRIVATE KEY"));
    dir.write_secret("rsa", pem("RSA PRIVATE KEY"));
    dir.write_secret("locked", pem("ENCRYPTED PRIVATE KEY"));
    dir.write_secret("cert", pem("CERTIFICATE"));
    dir.write_secret("junk", CANARY);
    dir.write_secret("plain", format!("state: {CANARY}\n"));
    let at = dead.address();
    let mut places = Vec::new();
    for scheme in ["https", "tls", "postgres"] {
        for file in ["key", "rsa", "locked", "cert", "junk"] {
            let (file, cert) = (dir.text(file), client.cert_text());
            places.push(Place::new(format!("{scheme}://{at}#cert={cert},key={file}")));
            places
                .push(Place::new(format!("{scheme}://{at}#cert={file},key={}", client.key_text())));
            places.push(Place::new(format!("{scheme}://{at}#ca={file}")));
            // The content in place of the path.
            places.push(Place::new(format!("{scheme}://{at}#ca=${{file:{file}}}")));
            places.push(Place::new(format!("{scheme}://{at}#cert={cert},key=${{file:{file}}}")));
        }
    }
    let junk = dir.text("junk");
    for declared in [
        format!(
            "postgres://u@{at}/db?sslmode=require&sslcert={}&sslkey={}",
            client.cert_text(),
            dir.text("key")
        ),
        format!("postgres://u@{at}/db?sslmode=verify-ca&sslrootcert={junk}"),
        format!("file:{}#match=^no$", dir.text("plain")),
        format!("file:{}#match=state", dir.text("plain")),
        format!("${{file:{junk}}}"),
        format!("x=${{file:{junk}}}#timeout=1s"),
        format!("tcp://{at}#timeout=${{file:{junk}}}"),
        format!("exec:false {CANARY}"),
        format!("exec:'false' '{CANARY}' \"{CANARY}\""),
        format!("exec:PASSWORD={CANARY} false"),
        format!("exec:{}/no-such-command {CANARY}", dir.path().display()),
        "exec:false ${CANARY}".to_owned(),
    ] {
        places.push(Place::new(declared));
    }
    for declared in [
        format!("https://{at}/#ca=/none/${{NAME}}"),
        format!("nats://{at}#creds=/none/${{NAME}}"),
        format!("postgres://u@{at}/db#passfile=/none/${{NAME}}"),
        format!("migrations+postgres://u@{at}/db#dir=/none/${{NAME}}"),
        format!("tcp://{at}#timeout=${{NAME}}"),
    ] {
        places.push(Place::new(declared).env("NAME", CANARY));
    }
    for told in
        [format!("${{file:{junk}}}"), "${API_TOKEN}".to_owned(), "x${DB_PASSWORD}".to_owned()]
    {
        let echo = format!("exec:/bin/sh -c 'echo bad credentials: \"$1\" >&2; exit 1' sh {told}");
        places.push(Place::new(echo).env("API_TOKEN", CANARY).env("DB_PASSWORD", CANARY).echoed());
    }
    // The file is named, its content is not.
    assert!(!dir.text("").contains(CANARY));
    hear_nothing(&places);
}
