//! Our verdict beside tokio-postgres's and psql's, on the same server in the same state.

use crate::support::postgres::libpq;
use crate::support::{Afterall, LONG, Postgres, Scripted, Shutdown};
use std::str::FromStr;

/// The outcome of tokio-postgres: a session that answers, or its error.
fn tokio_postgres(pairs: &str) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut config = tokio_postgres::Config::from_str(pairs).map_err(|e| e.to_string())?;
        config.connect_timeout(LONG);
        let talk = async {
            let (client, connection) =
                config.connect(tokio_postgres::NoTls).await.map_err(|error| error.to_string())?;
            let connection = tokio::spawn(connection);
            let rows = client.simple_query("select 1").await.map_err(|error| error.to_string());
            drop(client);
            let _ = connection.await;
            rows.map(drop)
        };
        let bounded = tokio::time::timeout(LONG, talk).await;
        bounded.unwrap_or_else(|_| Err("no answer".to_owned()))
    })
}

#[test]
fn every_server_state_matches_psql_and_tokio_postgres() {
    let server = Postgres::started();
    server
        .psql("create role app login password 's3cr3t'; create role full login connection limit 0");
    server.psql("create role asleep nologin; create role trusted login");
    server.psql("create database closed allow_connections false");
    server.hba(&[
        "host all app all scram-sha-256",
        "host all rejected all reject",
        "host all all all trust",
    ]);
    let starting = Postgres::starting_up();
    let stopped = Postgres::started();
    let closing = Scripted::closing();
    let other = Scripted::saying("HTTP/1.1 400 Bad Request\r\n\r\n");
    let at = |host: String, port: u16, rest: &str| format!("host={host} port={port} {rest}");
    let on = |rest: &str| at(server.host(), server.port(), rest);
    stopped.stop(Shutdown::Fast);
    let states = [
        (on("user=trusted dbname=postgres"), "ready"),
        (on("user=app password=s3cr3t dbname=postgres"), "ready"),
        (on("user=app password=wrong dbname=postgres"), "auth"),
        (on("user=app dbname=postgres"), "auth"),
        (on("user=missing dbname=postgres"), "auth"),
        (on("user=asleep dbname=postgres"), "auth"),
        (on("user=rejected dbname=postgres"), "auth"),
        (on("user=full dbname=postgres"), "busy"),
        (on("user=trusted dbname=none"), "absent"),
        (on("user=trusted dbname=closed"), "busy"),
        (at(starting.host(), starting.port(), "user=postgres dbname=postgres"), "busy"),
        (at(stopped.host(), stopped.port(), "user=postgres dbname=postgres"), "connect"),
        (at(closing.host(), closing.port(), "user=postgres dbname=postgres"), "connect"),
        (at(other.host(), other.port(), "user=postgres dbname=postgres"), "protocol"),
    ];
    for (pairs, want) in states {
        let pairs = format!("{pairs} sslmode=disable");
        let done = Afterall::once().arg(format!("db=postgres:{pairs}")).run();
        let code = if want == "ready" { 0 } else { 69 };
        let done = done.code(code);
        let done = match want {
            "ready" => done.stdout_has("ready"),
            class => done.stdout_has(&format!("[class={class}]")),
        };
        let ours = done.stdout_text().to_owned();
        let (psql, tokio) = (libpq(&pairs, &[]), tokio_postgres(&pairs));
        assert_eq!(psql.is_ok(), want == "ready", "{pairs}: psql {psql:?}, we {ours}");
        assert_eq!(tokio.is_ok(), want == "ready", "{pairs}: tokio-postgres {tokio:?}, we {ours}");
    }
}
