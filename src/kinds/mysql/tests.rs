use std::ffi::OsString;

use super::{params::Mode, target::Target};
use crate::{
    connect::Endpoint,
    secret::Secret,
    spec::{Spec, expand::Env},
};

fn declared(url: &str, env: &'static [(&str, &str)]) -> Result<Target, String> {
    let env = Env::new(|name| {
        env.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
    });
    let spec = Spec::parse("db", &super::KIND, url, &env).map_err(|e| e.to_string())?;
    Target::from_spec(&spec).map_err(|error| error.to_string())
}

/// User, password, servers, database, ssl-mode.
fn shown(url: &str) -> String {
    let target = declared(url, &[]).unwrap_or_else(|error| panic!("{url}: {error}"));
    let servers: Vec<_> = target.servers.iter().map(|server| server.endpoint.to_string()).collect();
    let password = target.password.as_ref().map(Secret::reveal).unwrap_or("-");
    let mode = match target.encryption.mode {
        Mode::Preferred => "",
        mode => mode.word(),
    };
    let database = target.database.clone().unwrap_or_default();
    format!("{}:{password}@{}/{database} {mode}", target.user, servers.join(",")).trim().to_owned()
}

#[test]
fn every_drivers_connection_string_is_read() {
    for (url, want) in [
        ("mysql://app@db", "app:-@db:3306/"),
        ("mysql://app:s3cr3t%40@db:3307/app?charset=utf8", "app:s3cr3t@@db:3307/app"),
        ("mariadb://app@a,b:1/app", "app:-@a:3306,b:1/app"),
        ("mysql2://app:s3cr3t@db/app?pool=5", "app:s3cr3t@db:3306/app"),
        ("trilogy://app@db/app", "app:-@db:3306/app"),
        ("mysql+pymysql://app@db/app?unix_socket=/run/x.sock", "app:-@/run/x.sock/app"),
        ("mysql://app@localhost/app?socket=/run/x.sock", "app:-@/run/x.sock/app"),
        ("mysql+mysqldb://app@db/app?ssl_disabled=true", "app:-@db:3306/app DISABLED"),
        ("mysql://app@db/app?ssl-mode=REQUIRED", "app:-@db:3306/app REQUIRED"),
        ("mysql://app@db/app?ssl-mode=disabled", "app:-@db:3306/app DISABLED"),
        ("mysql://app@db/app?sslaccept=strict", "app:-@db:3306/app VERIFY_IDENTITY"),
        (
            "mysql://app@db/app?ssl={\"rejectUnauthorized\":true}",
            "app:-@db:3306/app VERIFY_IDENTITY",
        ),
        ("mysql://app@db/app?ssl={\"rejectUnauthorized\":false}", "app:-@db:3306/app REQUIRED"),
        ("jdbc:mysql://a:3306,b/app?user=app&password=s3cr3t", "app:s3cr3t@a:3306,b:3306/app"),
        ("jdbc:mysql:replication://a,b/app?user=app", "app:-@a:3306,b:3306/app"),
        ("jdbc:mysql:loadbalance://a/app?user=app&sslMode=VERIFY_CA", "app:-@a:3306/app VERIFY_CA"),
        ("jdbc:mariadb://a/app?user=app&sslMode=verify-full", "app:-@a:3306/app VERIFY_IDENTITY"),
        ("jdbc:mariadb://a/app?user=app&sslMode=trust", "app:-@a:3306/app REQUIRED"),
        ("jdbc:mysql://a/app?user=app&useSSL=false", "app:-@a:3306/app DISABLED"),
        (
            "jdbc:mysql://a/app?user=app&useSSL=true&verifyServerCertificate=true",
            "app:-@a:3306/app VERIFY_CA",
        ),
        ("mysql:app:s3cr3t@tcp(db:3307)/app?parseTime=true", "app:s3cr3t@db:3307/app"),
        ("mysql:app:s3cr3t@/x@tcp(db)/app", "app:s3cr3t@/x@db:3306/app"),
        ("mysql:app@unix(/run/x.sock)/app", "app:-@/run/x.sock/app"),
        ("mysql:app@tcp([::1]:3306)/app?tls=skip-verify", "app:-@[::1]:3306/app REQUIRED"),
        ("mysql:app@tcp(db)/app?tls=true", "app:-@db:3306/app VERIFY_IDENTITY"),
        ("mysql:app:s3cr3t@(db:3307)/app", "app:s3cr3t@db:3307/app"),
        ("mysql://app:s3cr3t@(db)/app", "app:s3cr3t@db:3306/app"),
        ("mysql:app@/app", "app:-@127.0.0.1:3306/app"),
        ("mysql://app:s3cr3t@tcp(db:3306)/app?x-migrations-table=m", "app:s3cr3t@db:3306/app"),
        ("mysql:host=db;port=3307;dbname=app#user=app,password=s3cr3t", "app:s3cr3t@db:3307/app"),
        (
            "mysql:Server=db;Port=3307;Database=app;User ID=app;Password=s3cr3t;SslMode=None",
            "app:s3cr3t@db:3307/app DISABLED",
        ),
        (
            "mysql:Data Source=db;Uid=app;Pwd='s;3';Initial Catalog=app;SSL Mode=VerifyFull",
            "app:s;3@db:3306/app VERIFY_IDENTITY",
        ),
        ("mysql:unix_socket=/run/x.sock;dbname=app#user=app", "app:-@/run/x.sock/app"),
        ("mysql://x:old@db/app#user=app,password=s3cr3t", "app:s3cr3t@db:3306/app"),
        ("mysql://app@db/app#insecure", "app:-@db:3306/app REQUIRED"),
        ("mysql://app@db/app#server-name=other", "app:-@db:3306/app VERIFY_IDENTITY"),
    ] {
        assert_eq!(shown(url), want, "{url}");
    }
    let target = declared("mysql://app@db/a?x-migrations-table=m", &[]).unwrap();
    assert_eq!(target.migrations_table(), Some("m"));
}

#[test]
fn the_variables_of_mysqls_clients_fill_in_what_is_missing() {
    const ENV: &[(&str, &str)] =
        &[("MYSQL_PWD", "s3cr3t"), ("MYSQL_HOST", "db"), ("MYSQL_TCP_PORT", "3307")];
    let target = declared("mysql://app@/app", ENV).unwrap();
    assert_eq!(target.servers[0].endpoint, Endpoint::Tcp("db".to_owned(), 3307));
    assert_eq!(target.password.as_ref().map(Secret::reveal), Some("s3cr3t"));
    let target = declared("mysql://app:own@other:1/app", ENV).unwrap();
    assert_eq!(target.servers[0].endpoint, Endpoint::Tcp("other".to_owned(), 1));
    assert_eq!(target.password.as_ref().map(Secret::reveal), Some("own"));
}

#[test]
fn what_cannot_work_is_an_error_that_shows_what_would() {
    for (url, says) in [
        ("mysql://db/app", "needs a user, e.g. mysql://app@db/app"),
        ("mysql://app@/app", "needs a host, e.g. mysql://app@db/app"),
        ("mysql://app@db/app?ssl-mode=STRICT", "ssl-mode: must be one of DISABLED, PREFERRED"),
        ("mysql://app@db/app?useSSL=maybe", "useSSL: must be true or false"),
        ("mysql://app@db/app?ssl-mode=DISABLED#ca=/ca.pem", "ca: contradicts ssl-mode=DISABLED"),
        (
            "mysql://app@db/app?ssl-mode=VERIFY_CA#insecure",
            "insecure: contradicts ssl-mode=VERIFY_CA",
        ),
        ("mysql://app@db/app#ca=/none.pem", "/none.pem: no such file"),
        ("mysql:app:s3cr3t@tcp(db:3306)", "must be USER:PASSWORD@tcp(HOST:PORT)/DATABASE"),
        ("mysql:app:s3cr3t@udp(db:3306)/app", "must be USER:PASSWORD@tcp(HOST:PORT)/DATABASE"),
        ("mysql:host=db;port=x;dbname=app#user=app", "port: must be a number from 1 to 65535"),
        ("mysql://app:s3cr3t@db:x/app", "the port"),
    ] {
        let error = declared(url, &[]).err().unwrap_or_else(|| panic!("{url} is taken"));
        assert!(error.contains(says) && !error.contains("s3cr3t"), "{url}: {error}");
    }
}
