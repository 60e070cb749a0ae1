//! A canary in every place where a secret can enter, with every failure. No output may contain it.

mod brokers;
#[cfg(any(feature = "redis", feature = "mysql", feature = "mongodb"))]
mod databases;

use crate::support::scripted::finish;
use crate::support::{Afterall, Authority, Dir, Http, Reserved, Scripted, response_with, secs};
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
        &["--once", "--attempt-timeout", "30s"],
        &["--once", "--attempt-timeout", "30s", "--format", "json"],
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

/// Reads until the canary comes, or the client is silent for a while.
fn heard(stream: &mut TcpStream) -> String {
    let _ = stream.set_read_timeout(Some(secs(5)));
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
