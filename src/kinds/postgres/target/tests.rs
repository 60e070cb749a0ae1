use std::os::unix::fs::PermissionsExt;

use super::{
    super::{
        parameters,
        wire::{PROTOCOL_3_0, PROTOCOL_3_2},
    },
    login::{Protocol, RequireAuth},
    sources::environment,
    *,
};
use crate::{kinds::postgres::KIND, spec::expand::Env};

fn spec(text: &str, env: &[(&str, &str)]) -> Spec {
    // Nothing from the environment of whoever runs the tests.
    let mut env: Vec<(String, String)> =
        env.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    if !env.iter().any(|(name, _)| name == "HOME") {
        env.push(("HOME".to_owned(), "/does/not/exist".to_owned()));
    }
    let env = Env::new(move |name| env.iter().find(|(k, _)| k == name).map(|(_, v)| v.into()));
    Spec::parse("db", &KIND, text, &env).unwrap()
}

/// user@servers/database, or the error.
fn seen(text: &str, env: &[(&str, &str)]) -> String {
    match Target::from_spec(&spec(text, env)) {
        Ok(target) => {
            let servers: Vec<_> =
                target.servers.iter().map(|server| server.endpoint.to_string()).collect();
            format!(
                "{}@{}/{}",
                target.access.login.user,
                servers.join(","),
                target.access.login.database
            )
        }
        Err(error) => error.to_string(),
    }
}

#[test]
fn servers_users_and_databases_have_libpqs_defaults() {
    for (text, want) in [
        ("postgres://u@db", "u@db:5432/u"),
        ("postgres://u@db:5433/app", "u@db:5433/app"),
        ("postgres://u@", "u@/var/run/postgresql/.s.PGSQL.5432,/tmp/.s.PGSQL.5432/u"),
        ("postgres://u@%2Frun%2Fpg:5433/a", "u@/run/pg/.s.PGSQL.5433/a"),
        ("postgres:host=/run/pg/ user=u", "u@/run/pg/.s.PGSQL.5432/u"),
        ("postgres:host=@pg user=u", "u@@pg/.s.PGSQL.5432/u"),
        ("postgres://u@a,b:2,[::1]:3/x", "u@a:5432,b:2,[::1]:3/x"),
        ("postgres:host=a,b,/run/pg port=1,,3 user=u", "u@a:1,b:5432,/run/pg/.s.PGSQL.3/u"),
        ("postgres:host=a,b port=7 user=u", "u@a:7,b:7/u"),
        ("postgres:host=a,b port=1,2,3 user=u", "db: 3 ports for 2 hosts"),
        ("postgres:hostaddr=10.0.0.1,::1 user=u", "u@10.0.0.1:5432,[::1]:5432/u"),
        ("postgres:host=a,b hostaddr=10.0.0.1 user=u", "db: 2 host names, but 1 hostaddr values"),
        (
            "postgres:hostaddr=db user=u",
            "db: hostaddr (or PGHOSTADDR): must be an address, e.g. 10.0.0.7",
        ),
        ("postgres:port=x user=u", "db: port (or PGPORT): must be a number from 1 to 65535"),
        (
            "postgres://u@db?connect_timeout=soon",
            "db: connect_timeout (or PGCONNECT_TIMEOUT): must be a whole number of seconds, e.g. 3",
        ),
        (
            "postgres://u@db?channel_binding=maybe",
            "db: channel_binding (or PGCHANNELBINDING): must be one of disable, prefer, require",
        ),
        (
            "postgres://u@db?gssencmode=require",
            "db: gssencmode (or PGGSSENCMODE): must be one of disable, prefer: encryption by \
            GSSAPI is not supported",
        ),
        (
            "postgres://u@db?target_session_attrs=master",
            "db: target_session_attrs (or PGTARGETSESSIONATTRS): must be one of any, read-write, \
            read-only, primary, standby, prefer-standby",
        ),
        ("postgres://u@db#user=v,password=x", "v@db:5432/v"),
        (
            "postgres://db/app?user=app;password=x",
            "db: user (or PGUSER): must not hold a password: the separator before it is wrong (a \
            URL has &, pairs have a blank, Npgsql has ;)",
        ),
        ("postgres://u@db?scram_client_key=AA", "db: scram_client_key: must be 32 bytes in Base64"),
        (
            "postgres://u@db?min_protocol_version=3.2&max_protocol_version=3.0",
            "db: min_protocol_version (or PGMINPROTOCOLVERSION): must not be above \
            max_protocol_version",
        ),
    ] {
        assert_eq!(seen(text, &[]), want, "{text}");
    }
}

#[test]
fn variables_give_way_to_the_declaration() {
    let env = [("PGHOST", "env"), ("PGPORT", "7"), ("PGUSER", "eu"), ("PGDATABASE", "ed")];
    for (text, want) in [
        ("postgres:", "eu@env:7/ed"),
        ("postgres:///app", "eu@env:7/app"),
        ("postgres://db", "eu@db:7/ed"),
        ("postgres://u@db:1/app", "u@db:1/app"),
        ("postgres:dbname=app", "eu@env:7/app"),
    ] {
        assert_eq!(seen(text, &env), want, "{text}");
    }
}

#[test]
fn a_service_stands_between_the_declaration_and_the_variables() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("services");
    std::fs::write(&file, "[app]\nhost=service\nuser=su\nport=8\n").unwrap();
    let file = file.to_str().unwrap();
    let env = [("PGSERVICEFILE", file), ("PGHOST", "env"), ("PGDATABASE", "ed")];
    assert_eq!(seen("postgres:service=app port=9", &env), "su@service:9/ed");
    let env = [("PGSERVICEFILE", file), ("PGSERVICE", "app")];
    assert_eq!(seen("postgres://db", &env), "su@db:8/su");
    assert!(
        seen("postgres:service=none", &env)
            .starts_with("db: the service none is not defined (not in ")
    );
}

fn passwords(text: &str, env: &[(&str, &str)]) -> Vec<Option<String>> {
    let target = Target::from_spec(&spec(text, env)).unwrap();
    target
        .servers
        .iter()
        .map(|server| match &server.credentials {
            Some(Credentials::Password(password)) => Some(password.reveal().to_owned()),
            _ => None,
        })
        .collect()
}

#[test]
fn a_password_comes_from_where_libpq_takes_it() {
    let dir = tempfile::tempdir().unwrap();
    let (home, other) = (dir.path().join(".pgpass"), dir.path().join("other"));
    std::fs::write(
        &home,
        "a:1:*:u:one\nb:*:*:u:two\nlocalhost:5432:app:u:three\n/run/pg:*:*:*:four\n",
    )
    .unwrap();
    std::fs::write(&other, "*:*:*:*:other\n").unwrap();
    for file in [&home, &other] {
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    let (home, other) = (dir.path().to_str().unwrap(), other.to_str().unwrap());
    let some = |text: &str| Some(text.to_owned());
    for (text, env, want) in [
        ("postgres://u@a:1,b:2,c:3/app", &[][..], vec![some("one"), some("two"), None]),
        ("postgres://u@/app", &[], vec![some("three"), some("three")]),
        ("postgres://u@%2Frun%2Fpg/app", &[], vec![some("four")]),
        ("postgres://u@b?hostaddr=10.0.0.1", &[], vec![some("two")]),
        ("postgres://u:url@a:1", &[], vec![some("url")]),
        ("postgres://u@a:1", &[("PGPASSWORD", "env")], vec![some("env")]),
        ("postgres://u@a:1", &[("PGPASSFILE", other)], vec![some("other")]),
        ("postgres://u:url@a:1#password=key", &[("PGPASSWORD", "env")], vec![some("key")]),
        (
            &format!("postgres://u:url@a:1#passfile={other}"),
            &[("PGPASSWORD", "env")],
            vec![some("other")],
        ),
        (&format!("postgres://u@a:1?passfile={other}"), &[], vec![some("other")]),
    ] {
        let env: Vec<_> = env.iter().copied().chain([("HOME", home)]).collect();
        assert_eq!(passwords(text, &env), want, "{text}");
    }
}

#[test]
fn an_ignored_passfile_is_an_error_only_if_declared() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
    let path = file.path().to_str().unwrap();
    let error = seen(&format!("postgres://u@db#passfile={path}"), &[]);
    assert!(error.contains("its mode is 0644"), "{error}");
    let target = Target::from_spec(&spec("postgres://u@db", &[("PGPASSFILE", path)])).unwrap();
    assert!(target.access.login.passfile_note.unwrap().contains("its mode is 0644"));
}

#[test]
fn require_auth_is_a_list_of_the_allowed_or_of_the_forbidden() {
    for (text, allowed, forbidden) in
        [("scram-sha-256,md5", "md5", "password"), ("!password,!none", "md5", "none")]
    {
        let require = RequireAuth::read(text).unwrap();
        assert!(require.allows(allowed) && !require.allows(forbidden), "{text}");
    }
    assert!(RequireAuth::default().allows("none"));
    assert!(RequireAuth::read("!md5,password").is_err());
}

#[test]
fn sockets_never_speak_tls_and_need_none_of_its_files() {
    let target = Target::from_spec(&spec(
        "postgres:host=/run/pg user=u sslmode=verify-full sslrootcert=/none",
        &[],
    ))
    .unwrap();
    assert!(target.access.encryption.tls.is_none() && target.is_local());
    let error = seen("postgres:host=db user=u sslmode=verify-full sslrootcert=/none", &[]);
    assert!(error.contains("/none: no such file"), "{error}");
}

#[test]
fn a_url_names_the_table_of_migrations() {
    let table =
        |query: &str| match Target::from_spec(&spec(&format!("postgres://u@db?{query}"), &[])) {
            Ok(target) => match target.migrations_table() {
                Some(MigrationsTable { schema: Some(schema), table }) => {
                    format!("{schema} {table}")
                }
                Some(MigrationsTable { schema: None, table }) => table.clone(),
                None => "none".to_owned(),
            },
            Err(error) => error.to_string(),
        };
    for (query, want) in [
        ("sslmode=disable", "none"),
        ("x-migrations-table=svc_b", "svc_b"),
        ("x-migrations-table=a.b", "a.b"),
        ("x-migrations-table=%22a%22.%22b.c%22&x-migrations-table-quoted=1", "a b.c"),
        ("x-migrations-table=%22b%22&x-migrations-table-quoted=true", "b"),
    ] {
        assert_eq!(table(query), want, "{query}");
    }
    for query in [
        "x-migrations-table=b&x-migrations-table-quoted=1",
        "x-migrations-table=b&x-migrations-table-quoted=x",
    ] {
        assert!(table(query).contains("must be"), "{query}: {}", table(query));
    }
}

#[test]
fn a_search_path_is_set_where_its_driver_sets_it() {
    for (query, startup, options, session) in [
        ("search_path=a", Some("a"), None, ""),
        ("options[search_path]=a", None, Some("-c search_path=a"), ""),
        (
            "options=-c%20geqo%3Doff&options[search_path]=a%20b",
            None,
            Some("-c geqo=off -c search_path=a\\ b"),
            "",
        ),
        (
            "schema_search_path=o'x,%22y%22",
            None,
            None,
            "SELECT pg_catalog.set_config('search_path', E'o''x,\"y\"', true)",
        ),
    ] {
        let target = Target::from_spec(&spec(&format!("postgres://u@db?{query}"), &[])).unwrap();
        let login = target.access.login;
        let got = (login.search_path.as_deref(), login.options.as_deref());
        assert_eq!(got, (startup, options), "{query}");
        assert_eq!(login.session_setup().concat(), session, "{query}");
    }
}

#[test]
fn a_driver_decides_what_a_refusal_means() {
    for (text, want) in [
        ("postgres://u@a,b", AfterRefusal::Stop),
        ("postgresql+asyncpg://u@a,b", AfterRefusal::Stop),
        ("postgresql+psycopg2://u@a,b", AfterRefusal::Stop),
        ("postgresql+psycopg://u@a,b", AfterRefusal::TryNext),
        ("postgresql+psycopg_async://u@a,b", AfterRefusal::TryNext),
        ("jdbc:postgresql://a,b/x?user=u", AfterRefusal::TryNext),
        ("postgres:Host=a,b;Username=u", AfterRefusal::TryNext),
        ("postgres:host=a,b user=u", AfterRefusal::Stop),
    ] {
        let target = Target::from_spec(&spec(text, &[])).unwrap();
        assert_eq!(target.access.after_refusal, want, "{text}");
    }
}

#[test]
fn the_protocol_is_as_new_as_it_must_be() {
    for (query, asked, least) in [
        ("sslmode=disable", PROTOCOL_3_0, PROTOCOL_3_0),
        ("max_protocol_version=latest", PROTOCOL_3_2, PROTOCOL_3_0),
        ("min_protocol_version=3.2", PROTOCOL_3_2, PROTOCOL_3_2),
        ("min_protocol_version=3.0", PROTOCOL_3_0, PROTOCOL_3_0),
    ] {
        let target = Target::from_spec(&spec(&format!("postgres://u@db?{query}"), &[])).unwrap();
        assert_eq!(target.access.login.protocol, Protocol { asked, least }, "{query}");
    }
}

#[test]
fn every_variable_of_libpq_is_read() {
    for parameter in parameters::PARAMETERS {
        let Some(variable) = parameter.variable else { continue };
        let env = Env::new(move |name| (name == variable).then(|| "x".into()));
        let spec = Spec::parse("db", &KIND, "postgres:", &env).unwrap();
        let params = environment(&spec).unwrap();
        assert_eq!(params.get(parameter.name), Some("x"), "{variable}");
    }
}
