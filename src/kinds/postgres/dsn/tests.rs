use super::*;
use crate::{kinds::postgres::KIND, spec::expand::Env};

const PASSWORD: &str = "p:/?#[]@!$&'()*+,;=% \"\\é";

fn params(text: &str) -> Result<Params, String> {
    let env = Env::new(|name| {
        Some(match name {
            "PASSWORD" => PASSWORD.into(),
            "JDBC" => "jdbc:postgresql://db:5433/app?user=u&password=s3cret&ssl=true".into(),
            "NPGSQL" => "Host=db;Username=u;Password=\"s3 cret;=\";Database=app".into(),
            "DSN" => "host=/run/pg dbname=app password='s3 cret'".into(),
            _ => return None,
        })
    });
    let spec = Spec::parse("db", &KIND, text, &env).map_err(|e| e.to_string())?;
    read(&spec).map_err(|e| e.to_string())
}

#[test]
fn connection_strings_are_read_in_every_form_that_drivers_take() {
    for (text, want) in [
        ("postgres:", ""),
        ("postgres://", ""),
        ("postgres:///app", "dbname=app"),
        ("postgres://db", "host=db"),
        ("postgres://app@db:5433/app", "dbname=app host=db port=5433 user=app"),
        ("postgresql://a:1,b:2,[2001:db8::1]:3/app", "dbname=app host=a,b,2001:db8::1 port=1,2,3"),
        ("postgres://a,b/app", "dbname=app host=a,b port=,"),
        ("postgres://%2Frun%2Fpg:5433/app", "dbname=app host=/run/pg port=5433"),
        ("postgres://u:p%40%2F@db/my%20app", "dbname=my app host=db password=p@/ user=u"),
        ("postgres:///app?host=/run/pg&port=5433", "dbname=app host=/run/pg port=5433"),
        ("postgres:///app?host=@pg", "dbname=app host=@pg"),
        (
            "postgres://db/app?hostaddr=10.0.0.1&connect_timeout=3",
            "connect_timeout=3 dbname=app host=db hostaddr=10.0.0.1",
        ),
        ("postgres://db/app?options=-c%20geqo%3Doff", "dbname=app host=db options=-c geqo=off"),
        (
            "postgres://db/a?sslmode=verify-full&sslrootcert=system",
            "dbname=a host=db sslmode=verify-full sslrootcert=system",
        ),
        // Pairs.
        (
            "postgres:host=/run/pg dbname=app user = 'o''x' port=5433",
            "unreadable: the connection string is neither //HOST... nor KEY=VALUE pairs",
        ),
        ("postgres:host = /run/pg  dbname='my \\'app\\''", "dbname=my 'app' host=/run/pg"),
        ("postgres:host=a,b port=1,2 password=a\\ b\\\\c", "host=a,b password=a b\\c port=1,2"),
        ("postgres:user='' host=db", "host=db"),
        (
            "postgres:app",
            "unreadable: the connection string is neither //HOST... nor KEY=VALUE pairs",
        ),
        ("postgres:password='x", "unreadable: a quote in the connection string is not closed"),
        ("postgres:${DSN}", "dbname=app host=/run/pg password=s3 cret"),
        // Passwords with everything in them.
        (
            "postgres://u:${PASSWORD}@db/app",
            &format!("dbname=app host=db password={PASSWORD} user=u"),
        ),
        (
            "postgres:host=db password=${PASSWORD} user=u",
            &format!("host=db password={PASSWORD} user=u"),
        ),
        (
            "postgres://db/app?user=u&password=${PASSWORD}",
            &format!("dbname=app host=db password={PASSWORD} user=u"),
        ),
        // SQLAlchemy, asyncpg.
        ("postgresql+psycopg2://u:p@db:5433/app", "dbname=app host=db password=p port=5433 user=u"),
        ("postgresql+psycopg://u@/app?host=a:1&host=b:2", "dbname=app host=a,b port=1,2 user=u"),
        ("postgresql+asyncpg://db/app?ssl=verify-full", "dbname=app host=db sslmode=verify-full"),
        ("postgresql+asyncpg://db/app?prepared_statement_cache_size=0", "dbname=app host=db"),
        // JDBC.
        (
            "jdbc:postgresql://db:5433/app?user=u&password=p",
            "dbname=app host=db password=p port=5433 user=u",
        ),
        ("jdbc:postgresql:app", "dbname=app host=localhost"),
        ("jdbc:postgresql:///app", "dbname=app host=localhost"),
        ("${JDBC}", "dbname=app host=db password=s3cret port=5433 sslmode=verify-full user=u"),
        (
            "postgres:${JDBC}",
            "dbname=app host=db password=s3cret port=5433 sslmode=verify-full user=u",
        ),
        ("postgres:jdbc:postgresql://db/app?ssl=false", "dbname=app host=db"),
        (
            "jdbc:postgresql://a,b/app?targetServerType=preferSecondary&ApplicationName=x&currentSc\
            hema=s&loadBalanceHosts=true",
            "application_name=x dbname=app host=a,b load_balance_hosts=random port=, schema=s \
            target_session_attrs=prefer-standby",
        ),
        (
            "jdbc:mysql://db/app",
            "unreadable: of the jdbc: URLs, only jdbc:postgresql: is understood",
        ),
        ("jdbc:postgresql://db/app?password=a+b%2Bc", "dbname=app host=db password=a b+c"),
        (
            "jdbc:postgresql://db/app?user=u&password=${PASSWORD}",
            &format!("dbname=app host=db password={PASSWORD} user=u"),
        ),
        ("postgres://db/app?password=a+b", "dbname=app host=db password=a+b"),
        (
            "jdbc:postgresql://db/app?ssl=true&sslfactory=org.postgresql.ssl.NonValidatingFactory",
            "dbname=app host=db no-verify=true sslmode=require",
        ),
        // Prisma, Ecto, pgx, Rails, node.
        (
            "postgresql://u@db/app?schema=public&connection_limit=5&pgbouncer=true&pool_timeout=2",
            "dbname=app host=db schema=public user=u",
        ),
        (
            "postgresql://db/app?sslmode=require&sslaccept=strict&sslcert=ca.pem",
            "dbname=app host=db sslmode=verify-full sslrootcert=ca.pem",
        ),
        (
            "ecto://u:p@db/app?ssl=true&pool_size=10",
            "dbname=app host=db password=p sslmode=require user=u",
        ),
        (
            "postgres://db/app?pool_max_conns=4&default_query_exec_mode=exec&search_path=x",
            "dbname=app host=db search_path=x",
        ),
        (
            "postgresql://db/app?pool=5&prepared_statements=false&checkout_timeout=5&encoding=unico\
            de",
            "dbname=app host=db",
        ),
        // Npgsql.
        (
            "postgres:Host=db;Port=5433;Username=u;Password=p;Database=app;SSL Mode=Require",
            "dbname=app host=db password=p port=5433 sslmode=require user=u",
        ),
        (
            "postgres:Server=db;User Id=u;Pwd='a;''b';Maximum Pool Size=9;",
            "host=db password=a;'b user=u",
        ),
        (
            "postgres:host=db; database=app ;sslmode=VerifyFull;Root Certificate=ca",
            "dbname=app host=db sslmode=verify-full sslrootcert=ca",
        ),
        (
            "postgres:Host=a:1,b;Username=u;Trust Server Certificate=true",
            "host=a,b no-verify=true port=1, user=u",
        ),
        (
            "postgres:Host=db;Username=u;Password=${PASSWORD};Timeout=3",
            &format!("connect_timeout=3 host=db password={PASSWORD} user=u"),
        ),
        (
            "postgres:Host=/run/pg;Target Session Attributes=Prefer-Standby",
            "host=/run/pg target_session_attrs=prefer-standby",
        ),
        ("postgres:${NPGSQL}", "dbname=app host=db password=s3 cret;= user=u"),
        ("postgres:host=db password=a;b user=u", "host=db password=a;b user=u"),
        ("postgres:password=a;b host=db", "host=db password=a;b"),
        ("postgres:Host=db;Port=1;User=u;DbName=app", "dbname=app host=db port=1 user=u"),
        // PHP's PDO.
        (
            "pgsql:host=db;port=5433;dbname=app;user=u;password=p",
            "dbname=app host=db password=p port=5433 user=u",
        ),
        ("pgsql:host=db;dbname=app", "dbname=app host=db"),
        (
            "postgres:host=a,b; dbname=app ;sslmode=verify-full;hostaddr=10.0.0.1,10.0.0.2;",
            "dbname=app host=a,b hostaddr=10.0.0.1,10.0.0.2 sslmode=verify-full",
        ),
        (
            "pgsql:host=db;dbname=app;user=u;password='a b'",
            "dbname=app host=db password=a b user=u",
        ),
        (
            "pgsql:host=db;dbname=app;password=${PASSWORD}",
            &format!("dbname=app host=db password={PASSWORD}"),
        ),
        ("postgres:host=db password=a;dbname=b", "host=db password=a;dbname=b"),
        ("postgres://db/app?ssl=no-verify", "dbname=app host=db sslmode=no-verify"),
        ("postgres://db/app?ssl=0", "dbname=app host=db sslmode=disable"),
    ] {
        let got = match params(text) {
            Ok(params) => params
                .values
                .iter()
                .filter(|(_, value)| !value.is_empty())
                .map(|(key, value)| format!("{key}={value}"))
                .collect::<Vec<_>>()
                .join(" "),
            Err(error) => error.replace("db: ", "unreadable: "),
        };
        assert_eq!(got, want, "{text}");
    }
}

#[test]
fn a_password_is_known_as_a_secret_wherever_it_stood() {
    for text in [
        "postgres://u:${PASSWORD}@db",
        "postgres:password=${PASSWORD}",
        "postgres://db?password=${PASSWORD}",
    ] {
        let env = Env::new(|name| (name == "PASSWORD").then(|| PASSWORD.into()));
        let spec = Spec::parse("db", &KIND, text, &env).unwrap();
        read(&spec).unwrap();
        assert!(spec.secrets().revealed().contains(&PASSWORD.to_owned()), "{text}");
    }
}

fn notes(text: &str) -> Vec<String> {
    let spec = Spec::parse("db", &KIND, text, &Env::new(|_| None)).unwrap();
    read(&spec).unwrap();
    spec.notes()
}

#[test]
fn parameters_unrelated_to_the_connection_get_a_remark_without_a_value() {
    let says = |names: &str| {
        vec![format!("db: ignored, because they do not concern the connection: {names}")]
    };
    for (text, names) in [
        (
            "postgres://u:p@db/app?pool_max_conns=4&sslmode=disable&default_query_exec_mode=v4lue",
            "pool_max_conns, default_query_exec_mode",
        ),
        (
            "postgresql://db/app?schema=public&connection_limit=5&pgbouncer=true",
            "connection_limit, pgbouncer",
        ),
        ("jdbc:postgresql://db/app?prepareThreshold=0", "prepareThreshold"),
        ("postgres:Host=db;Username=u;Maximum Pool Size=9", "Maximum Pool Size"),
    ] {
        assert_eq!(notes(text), says(names), "{text}");
    }
    assert!(notes("postgres://u:p@db/app?sslmode=require&application_name=x").is_empty());
    // A text that is not a key may be a piece of a password.
    assert!(notes("postgres://db/app?password=a&s3cr3t!=1&4=5").is_empty());
}
