//! Connection strings of other drivers than libpq.

use super::*;

#[test]
fn the_connection_strings_of_other_drivers_are_read() {
    let server = Postgres::started();
    let at = server.address();
    for url in [
        format!("postgresql+psycopg2://postgres@{at}/postgres?prepare_threshold=0"),
        format!("jdbc:postgresql://{at}/postgres?user=postgres&reWriteBatchedInserts=true"),
        format!("ecto://postgres@{at}/postgres?pool_size=10"),
        format!(
            "postgresql://postgres@{at}/postgres?schema=public&connection_limit=1&pgbouncer=true"
        ),
        format!(
            "postgresql+asyncpg://postgres@{at}/postgres?ssl=prefer&prepared_statement_cache_size=0"
        ),
        format!(
            "postgres://postgres@{at}/postgres?pool_max_conns=4&pool_min_conns=1&default_query_exec\
            _mode=exec"
        ),
        format!(
            "postgresql://postgres@{at}/postgres?pool=5&checkout_timeout=5&prepared_statements=fals\
            e"
        ),
    ] {
        let done = Afterall::waiting_for(["${DATABASE_URL}", "postgres:${DATABASE_URL}"])
            .env("DATABASE_URL", &url)
            .run();
        done.code(0).stderr_has_times(2, "ready: PostgreSQL ");
    }
}

#[test]
fn npgsqls_strings_and_key_value_strings_are_read_behind_the_scheme() {
    let server = Postgres::started();
    server.psql("create role app login password 'a;b '");
    server.hba(&["host all app all scram-sha-256", "host all all all trust"]);
    let (host, port) = (server.host(), server.port());
    for dsn in [
        format!(
            "Host={host};Port={port};Username=postgres;Database=postgres;SSL \
            Mode=Prefer;Pooling=true"
        ),
        format!(
            "Server={host};Port={port};User Id=app;Password='a;b ';Database=postgres;Timeout=3"
        ),
        format!("host={host} port={port} user=app password='a;b ' dbname=postgres"),
        format!("Host={host}:{port};Username=postgres"),
    ] {
        Afterall::waiting_for(["postgres:${DSN}"])
            .env("DSN", &dsn)
            .run()
            .code(0)
            .stderr_has("ready: PostgreSQL ");
    }
    let require =
        format!("postgres:Host={host};Port={port};Username=postgres;Password=x;SSL Mode=Require");
    once(&require)
        .code(69)
        .stdout_has("the server does not support TLS, and sslmode=require wants it");
}

#[test]
fn verbose_reports_skipped_parts_of_a_connection_string() {
    let server = Postgres::started();
    let url = format!(
        "db=postgres://postgres@{}/postgres?pool_max_conns=4&statement_cache_mode=v4lue",
        server.address()
    );
    let line = "afterall: db: ignored, because they do not concern the connection: pool_max_conns, \
        statement_cache_mode\n";
    Afterall::waiting_for([&url]).arg("-v").run().code(0).stderr_has(line).says_nowhere("v4lue");
    Afterall::waiting_for([&url]).run().code(0).stderr_has_times(0, "ignored");
    Afterall::waiting_for([&url])
        .args(["--print-plan", "-v"])
        .run()
        .code(0)
        .stderr(line)
        .any_stdout();
}
