use super::*;
use crate::kinds;

/// Every character that a URL reserves, and a few that it does not.
const PASSWORD: &str = "p:/?#[]@!$&'()*+,;=% \"${X}é";

fn env() -> Env {
    Env::new(|name| {
        Some(match name {
            "PASSWORD" => PASSWORD.into(),
            "DATABASE_URL" => "postgres://app:p%40ss@db:5432/app?sslmode=disable".into(),
            "DSN" => "host=/run/pg dbname=app password=s3cret".into(),
            "ADDRESS" => "cache:6379".into(),
            "HOST" => "db".into(),
            "PORT" => "5433".into(),
            "EMPTY" => "".into(),
            _ => return None,
        })
    })
}

/// Reads the declaration by its kind's grammar. Returns it with its default name.
fn parse(text: &str) -> Result<(Declaration, String), String> {
    let mut d = Declaration::parse("argument 1", text, &env()).map_err(|e| e.to_string())?;
    let kind = kinds::find(&d.scheme, d.rest.raw())?;
    let target = d.read_as(kind).map_err(|e| e.to_string())?;
    Ok((d, target))
}

/// Returns name, scheme, the rest in the form of messages, and keys.
fn seen(text: &str) -> (String, String, String, Vec<(String, String)>) {
    let (d, target) = parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
    let keys = d.keys.into_iter().map(|k| (k.name, k.value)).collect();
    (d.name.unwrap_or(target), d.scheme, d.rest.display_redacted(), keys)
}

#[test]
fn server_lists_are_read_as_nats_clients_read_them() {
    for (text, scheme, rest) in [
        ("nats://a:1, nats://b:2", "nats", "//a:1,b:2"),
        ("nats://a:1,nats://b:2,", "nats", "//a:1,b:2"),
        ("nats://a:1/,nats://b:2/", "nats", "//a:1,b:2"),
        ("nats://a:1 , b:2", "nats", "//a:1,b:2"),
        ("nats://a,,b", "nats", "//a,b"),
        ("nats://u:p@a,NATS://v:q@b/", "nats", "//u:p@a,v:q@b"),
        ("nats://a,tls://b", "tls", "//a,b"),
        ("tls://a,nats://b,c", "tls", "//a,b,c"),
        ("nats://[::1]:4222/,[::2]", "nats", "//[::1]:4222,[::2]"),
    ] {
        let (_, seen_scheme, seen_rest, _) = seen(text);
        assert_eq!((seen_scheme.as_str(), seen_rest.as_str()), (scheme, rest), "{text}");
    }
    for text in ["nats://a b", "nats://a/x@b"] {
        assert!(parse(text).is_err(), "{text}");
    }
}

#[test]
fn declarations_are_split_as_people_write_them() {
    let none: &[(&str, &str)] = &[];
    for (text, name, scheme, rest, keys) in [
        (
            "db=postgres://app@db/app#timeout=30s",
            "db",
            "postgres",
            "//app@db/app",
            &[("timeout", "30s")][..],
        ),
        (
            "postgres://app:pw@db:5432/app?sslmode=disable",
            "postgres://db:5432/app",
            "postgres",
            "//app:pw@db:5432/app?sslmode=disable",
            none,
        ),
        ("cache:6379", "tcp://cache:6379", "tcp", "//cache:6379", none),
        ("cache=cache:6379", "cache", "tcp", "//cache:6379", none),
        ("postgres:5432", "tcp://postgres:5432", "tcp", "//postgres:5432", none),
        ("[::1]:5432", "tcp://[::1]:5432", "tcp", "//[::1]:5432", none),
        ("v6=[fe80::1%25eth0]:80", "v6", "tcp", "//[fe80::1%25eth0]:80", none),
        (
            "nats://a:4222,b:4222#creds=/run/a%2Cb",
            "nats://a:4222,b:4222",
            "nats",
            "//a:4222,b:4222",
            &[("creds", "/run/a,b")],
        ),
        (
            "nats://u:p@a:4222,nats://u:p@b:4222",
            "nats://a:4222,b:4222",
            "nats",
            "//u:p@a:4222,u:p@b:4222",
            none,
        ),
        (
            "https://api:8443/ready?token=x#status=200+204,insecure",
            "https://api:8443/ready",
            "https",
            "//api:8443/ready?token=x",
            &[("status", "200+204"), ("insecure", "true")],
        ),
        ("http://api/", "http://api", "http", "//api/", none),
        ("https://u@api/@me/x?a=b@c", "https://api/@me/x", "https", "//u@api/@me/x?a=b@c", none),
        ("file:/run/ready", "file:/run/ready", "file", "/run/ready", none),
        ("file:ready", "file:ready", "file", "ready", none),
        ("file:///run/a b", "file:///run/a b", "file", "///run/a b", none),
        ("pid=file:./x@y:z", "pid", "file", "./x@y:z", none),
        ("unix:@abstract", "unix:@abstract", "unix", "@abstract", none),
        (
            "postgres:host=/run/pg dbname=app password=x",
            "postgres",
            "postgres",
            "host=/run/pg dbname=app password=x",
            none,
        ),
        (
            "migrations+postgres://app@db/app#dir=/m",
            "migrations+postgres://db/app",
            "migrations+postgres",
            "//app@db/app",
            &[("dir", "/m")],
        ),
        ("POSTGRES://db", "postgres://db", "postgres", "//db", none),
        (
            "postgres:host=/run/pg\n\tdbname=app",
            "postgres",
            "postgres",
            "host=/run/pg\n\tdbname=app",
            none,
        ),
        ("a-1_b.c=tcp://x:1", "a-1_b.c", "tcp", "//x:1", none),
        // Variables: whole, behind a scheme, and inside.
        (
            "${DATABASE_URL}",
            "${DATABASE_URL}",
            "postgres",
            "//app:p%40ss@db:5432/app?sslmode=disable",
            none,
        ),
        ("${NONE:-tcp://a:1}", "${NONE}", "tcp", "//a:1", none),
        (
            "env:DATABASE_URL#timeout=5s",
            "${DATABASE_URL}",
            "postgres",
            "//app:p%40ss@db:5432/app?sslmode=disable",
            &[("timeout", "5s")],
        ),
        (
            "schema=migrations+env:DATABASE_URL#dir=m",
            "schema",
            "migrations+postgres",
            "//app:p%40ss@db:5432/app?sslmode=disable",
            &[("dir", "m")],
        ),
        ("db=env:DATABASE_URL", "db", "postgres", "//app:p%40ss@db:5432/app?sslmode=disable", none),
        (
            "migrations+${DATABASE_URL}#dir=m",
            "migrations+${DATABASE_URL}",
            "migrations+postgres",
            "//app:p%40ss@db:5432/app?sslmode=disable",
            &[("dir", "m")],
        ),
        (
            "schema=migrations+${DATABASE_URL}",
            "schema",
            "migrations+postgres",
            "//app:p%40ss@db:5432/app?sslmode=disable",
            none,
        ),
        (
            "postgres:${DSN}",
            "postgres:${DSN}",
            "postgres",
            "host=/run/pg dbname=app password=s3cret",
            none,
        ),
        (
            "postgres:${DATABASE_URL}",
            "postgres:${DATABASE_URL}",
            "postgres",
            "//app:p%40ss@db:5432/app?sslmode=disable",
            none,
        ),
        (
            "migrations+postgres:${DATABASE_URL}",
            "migrations+postgres:${DATABASE_URL}",
            "migrations+postgres",
            "//app:p%40ss@db:5432/app?sslmode=disable",
            none,
        ),
        ("${ADDRESS}", "${ADDRESS}", "tcp", "//cache:6379", none),
        (
            "postgres://app:${PASSWORD}@${HOST}:${PORT}/app",
            "postgres://${HOST}:${PORT}/app",
            "postgres",
            "//app:${PASSWORD}@${HOST}:${PORT}/app",
            none,
        ),
        (
            "postgres://app@db/app#password=${PASSWORD},query=select%20true",
            "postgres://db/app",
            "postgres",
            "//app@db/app",
            &[("password", PASSWORD), ("query", "select true")],
        ),
    ] {
        let keys = keys.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        assert_eq!(
            seen(text),
            (name.to_owned(), scheme.to_owned(), rest.to_owned(), keys),
            "{text}"
        );
    }
}

fn spec(text: &str) -> Spec {
    let (d, _) = parse(text).unwrap();
    Spec::new("x".to_owned(), d.scheme, d.rest, d.keys, env())
}

#[test]
fn a_password_arrives_whole_however_it_is_given() {
    let encoded: String = PASSWORD.bytes().map(|b| format!("%{b:02X}")).collect();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, format!("{PASSWORD}\n")).unwrap();
    for password in
        [encoded, "${PASSWORD}".to_owned(), format!("${{file:{}}}", file.path().display())]
    {
        let spec = spec(&format!("postgres://us%20er:{password}@db/app"));
        let parts = spec.parts().unwrap();
        let (user, password) = spec.userinfo(&parts.userinfo.unwrap()).unwrap();
        assert_eq!((user.as_str(), password.unwrap().reveal()), ("us er", PASSWORD));
        assert_eq!(
            spec.servers(&parts.servers).unwrap(),
            [Server { host: "db".to_owned(), port: None }]
        );
        assert!(!format!("{spec:?}").contains("p:/"));
    }
}

#[test]
fn a_hash_in_a_quoted_word_belongs_to_the_command() {
    for (text, rest, keys) in [
        ("exec:sh -c 'test $# = 0'", "sh -c 'test $# = 0'", 0),
        ("exec:sh -c 'a#b' \"c#d\"#timeout=5s", "sh -c 'a#b' \"c#d\"", 1),
        ("exec:a \\# b#timeout=5s", "a \\# b", 1),
        ("exec:a b#timeout=5s", "a b", 1),
    ] {
        let (d, _) = parse(text).unwrap();
        assert_eq!((d.rest.raw(), d.keys.len()), (rest, keys), "{text}");
    }
}

#[test]
fn a_newline_or_a_blank_at_the_end_of_a_variable_gets_a_note() {
    for (value, rest, says) in [
        ("nats://a:1\r\n", "//a:1", "the variable URL ends in a newline"),
        ("postgres://a/b ", "//a/b ", "the variable URL ends in a blank"),
    ] {
        let env = Env::new(|name| (name == "URL").then(|| value.into()));
        let d = Declaration::parse("x", "env:URL", &env).unwrap();
        assert_eq!(d.rest.raw(), rest);
        let notes = d.notes(Grammar::Servers);
        assert!(notes.len() == 1 && notes[0].starts_with(says), "{notes:?}");
    }
    let env = Env::new(|name| (name == "URL").then(|| "nats://a:1, nats://b:2 ".into()));
    let list = Declaration::parse("x", "env:URL", &env).unwrap();
    assert!(list.notes(Grammar::ServersWithLogins).is_empty());
}

#[test]
fn a_value_in_quotes_gets_a_note() {
    for (value, want) in [("\"s3cret\"", 1), ("'s3cret'", 1), ("\"s3cret", 0), ("\"", 0)] {
        let env = Env::new(|name| (name == "PASSWORD").then(|| value.into()));
        let d = Declaration::parse("x", "postgres://u:${PASSWORD}@a", &env).unwrap();
        let notes = d.notes(Grammar::Servers);
        assert_eq!(notes.len(), want, "{notes:?}");
        assert!(
            notes.iter().all(|note| note.starts_with("the variable PASSWORD holds a value in"))
        );
    }
}

#[test]
fn servers_are_read_in_every_form() {
    let server = |host: &str, port| Server { host: host.to_owned(), port };
    for (text, want) in [
        (
            "postgres://a:1,b:2,[::1]:3/x",
            vec![server("a", Some(1)), server("b", Some(2)), server("::1", Some(3))],
        ),
        ("postgres://a,b", vec![server("a", None), server("b", None)]),
        ("postgres:///app", vec![server("", None)]),
        ("postgres://%2Frun%2Fpg:5433/app", vec![server("/run/pg", Some(5433))]),
        ("postgres://%40abstract/app", vec![server("@abstract", None)]),
        ("tcp://[fe80::1%25eth0]:80", vec![server("fe80::1%eth0", Some(80))]),
        ("tcp://${HOST}:${PORT}", vec![server("db", Some(5433))]),
    ] {
        let spec = spec(text);
        assert_eq!(spec.servers(&spec.parts().unwrap().servers).unwrap(), want, "{text}");
    }
}

#[test]
fn lists_are_split_at_literal_plus_signs_only() {
    let spec = spec("http://x#status=200+204,header=A: b%2Bc,header=${PASSWORD}");
    assert_eq!(spec.list("status").unwrap(), ["200", "204"]);
    assert_eq!(spec.all("header").collect::<Vec<_>>(), ["A: b+c", PASSWORD]);
}

#[test]
fn what_cannot_be_read_is_told_without_showing_a_value() {
    const ENC: &str =
        "(a / ? # or @ in a password must be percent-encoded, or come from a variable)";
    for (text, want) in [
        (
            "",
            "nothing to wait for: must be a URL or HOST:PORT, e.g. postgres://app@db/app, \
            cache:6379",
        ),
        (
            "${EMPTY}",
            "the variable EMPTY is empty; it must hold a URL or HOST:PORT, e.g. \
            postgres://app@db/app, cache:6379",
        ),
        ("db=", "db= must be followed by a URL or HOST:PORT; is its variable empty?"),
        ("cache", "cache lacks its port, e.g. cache:5432; a command must stand behind --"),
        (":S3C", "must be a URL or HOST:PORT, e.g. postgres://app@db/app, cache:6379"),
        ("::1:5432", "an IPv6 address needs brackets, e.g. [::1]:5432"),
        ("::1:99999", "an IPv6 address needs brackets, e.g. [::1]:443"),
        ("::1:ab", "an IPv6 address needs brackets, e.g. [::1:ab]:443"),
        ("tcp://fe80::1%eth0:22", "an IPv6 address needs brackets, e.g. [fe80::1%eth0]:22"),
        ("2001:db8::1", "an IPv6 address needs brackets, e.g. [2001:db8::1]:443"),
        ("tcp://2001:db8::1", "an IPv6 address needs brackets, e.g. [2001:db8::1]:443"),
        ("tcp://db:0", "the port must be a number from 1 to 65535"),
        ("cache:99999", "the port must be a number from 1 to 65535"),
        ("postgres://app:SEC/RET@db/app", "the port must be a number from 1 to 65535 {ENC}"),
        ("postgres://app:1234/RET@db/app", "an @ behind the host {ENC}"),
        ("postgres://app:12?RET@db/app", "an @ behind the host {ENC}"),
        ("postgres://app:SEC#RET@db/app", "the port must be a number from 1 to 65535 {ENC}"),
        ("postgres://app:SEC#ret=x@db/app", "the port must be a number from 1 to 65535 {ENC}"),
        ("tcp://a b:1", "the host must be a name or an address {ENC}"),
        ("tcp://${ADDRESS}", "the variable ADDRESS must hold a host: a name or an address"),
        (
            "tcp://a:1#timeout=5s,",
            "behind the # must stand KEY=VALUE pairs, joined by commas (a literal comma in a value \
            is %2C, a # in the URL is %23)",
        ),
        (
            "tcp://a:1#timeout=%zz",
            "timeout: is not valid percent-encoding (a literal % is written %25)",
        ),
        (
            "postgres://${NONE}@db",
            "the variable NONE is not set (a default is written ${NONE:-...})",
        ),
        ("db:5432,", "dependencies are separated by blanks, without a comma"),
        ("tcp://${EMPTY}:1", "the variable EMPTY is empty, and leaves no host"),
        ("postgres://u@a,${EMPTY}:1/x", "the variable EMPTY is empty, and leaves no host"),
        (
            "postgres:dbname=x host=${EMPTY} port=1",
            "the variable EMPTY is empty, and leaves no host",
        ),
        ("postgres:host=a,${EMPTY} dbname=x", "the variable EMPTY is empty, and leaves no host"),
        ("postgres:${EMPTY}", "postgres:${EMPTY} is empty; it must hold a connection string"),
        ("postgres:Server=${EMPTY};Port=1", "the variable EMPTY is empty, and leaves no host"),
        ("postgres:///x?host=a&port=${EMPTY}", "the variable EMPTY is empty, and leaves no port"),
        ("tcp://a:${EMPTY}", "the variable EMPTY is empty, and leaves no port"),
        (
            "http://${EMPTY}.example.com/",
            "the variable EMPTY is empty, and leaves a gap in the host",
        ),
        (
            "http://$HOST:8080/",
            "the host is not a host: only ${NAME} is expanded here, and env:NAME in place of the \
            whole URL",
        ),
        (
            "tcp://db:$(PORT)",
            "the port is not a port: only ${NAME} is expanded here, and env:NAME in place of the \
            whole URL",
        ),
        (
            "http://x#status=200,204",
            "204 is no key; the parts of a list are joined by +, e.g. status=200+204",
        ),
        ("nats://a:4222,password=s3cr3t", "the host must be a name or an address {ENC}"),
        ("nats://a;nats://b", "the host must be a name or an address {ENC}"),
        ("tcp://a\nb:1", "the URL must not hold a control character"),
    ] {
        assert_eq!(
            parse(text).err(),
            Some(format!("argument 1: {}", want.replace("{ENC}", ENC))),
            "{text}"
        );
    }
}
