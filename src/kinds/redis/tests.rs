use std::ffi::OsString;

use super::target::{Target, WantedRole};
use crate::{
    connect::Endpoint,
    spec::{Spec, expand::Env},
};

fn target(url: &str) -> Result<Target, String> {
    let env = Env::new(|_| None::<OsString>);
    let spec = Spec::parse("cache", &super::KIND, url, &env).map_err(|e| e.to_string())?;
    Target::from_spec(&spec).map_err(|error| error.to_string())
}

/// Servers, user, password, database, master, TLS.
fn shown(url: &str) -> String {
    let target = target(url).unwrap_or_else(|error| panic!("{url}: {error}"));
    let servers: Vec<_> = target.servers.iter().map(Endpoint::to_string).collect();
    let login = target.login.map(|login| {
        let user = login.user.map(|user| user.reveal().to_owned()).unwrap_or_default();
        format!("{user}:{}", login.password.reveal())
    });
    let master = target.sentinel.map(|sentinel| sentinel.master);
    let parts = [
        Some(servers.join(",")),
        login,
        Some(format!("/{}", target.wanted.database)),
        master,
        target.tls.map(|_| "TLS".to_owned()),
        target.wanted.cluster.then(|| "cluster".to_owned()),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

#[test]
fn every_form_of_url_is_read_as_its_driver_reads_it() {
    for (url, want) in [
        ("redis://cache", "cache:6379 /0"),
        ("redis://:p%40w@cache:7000/2", "cache:7000 :p@w /2"),
        ("redis://app:pw@cache/0?protocol=resp3&socket_timeout=5", "cache:6379 app:pw /0"),
        ("redis://pw@cache", "cache:6379 pw: /0"),
        ("redis://@cache", "cache:6379 /0"),
        ("redis://:@cache", "cache:6379 /0"),
        ("redis://app:@cache", "cache:6379 app: /0"),
        ("redis://cache?db=3&username=u&password=p", "cache:6379 u:p /3"),
        ("redis://u:p@cache/1?db=3&username=x&password=y", "cache:6379 u:p /3"),
        ("redis://:p@cache?username=x&password=y", "cache:6379 x:p /0"),
        ("redis://:@cache?password=y", "cache:6379 :y /0"),
        ("redis://a,b:7000/1", "a:6379,b:7000 /1"),
        ("redis://[::1]:7000", "[::1]:7000 /0"),
        ("rediss://cache", "cache:6379 /0 TLS"),
        ("rediss://cache?ssl_cert_reqs=none", "cache:6379 /0 TLS"),
        ("rediss://cache?ssl_cert_reqs=CERT_REQUIRED", "cache:6379 /0 TLS"),
        ("redis://cache?ssl=true", "cache:6379 /0 TLS"),
        ("redis://cache#insecure", "cache:6379 /0 TLS"),
        ("valkey://cache", "cache:6379 /0"),
        ("valkeys://cache", "cache:6379 /0 TLS"),
        ("redis+unix:///run/redis.sock?db=1", "/run/redis.sock /1"),
        ("redis+unix://:pw@/run/redis.sock", "/run/redis.sock :pw /0"),
        ("redis-socket:///run/redis.sock", "/run/redis.sock /0"),
        ("redis+sentinel://:pw@s1,s2:1/mymaster/2", "s1:26379,s2:1 :pw /2 mymaster"),
        ("redis+sentinel://s1/mymaster", "s1:26379 /0 mymaster"),
        ("redis-sentinel://s1/3#sentinel=mymaster", "s1:26379 /3 mymaster"),
        ("rediss+sentinel://s1/mymaster", "s1:26379 /0 mymaster TLS"),
        ("redis://s1,s2/1#sentinel=mymaster", "s1:26379,s2:26379 /1 mymaster"),
        ("redis-cluster://a:7000,b:7001", "a:7000,b:7001 /0 cluster"),
        ("rediss-cluster://a", "a:6379 /0 TLS cluster"),
        ("redis://app:old@cache#user=u,password=p", "cache:6379 u:p /0"),
    ] {
        assert_eq!(shown(url), want, "{url}");
    }
    assert_eq!(target("redis://a#role=replica").unwrap().wanted.role, Some(WantedRole::Replica));
}

#[test]
fn what_cannot_work_is_an_error_that_shows_what_would() {
    for (url, says) in [
        ("redis://", "needs a host, e.g. redis://cache:6379"),
        ("redis://cache/app", "the database must be a number, e.g. redis://cache:6379/0"),
        ("redis://cache/0/1", "the path must be a database's number, e.g. /0"),
        ("redis://cache?db=x", "the database must be a number"),
        ("redis://cache#role=primary+", "role: must be master or replica"),
        ("redis://cache#exists=", "exists: must be a key's name, e.g. app:ready"),
        (
            "redis+unix://cache/0",
            "needs the path of a socket, e.g. redis+unix:///run/redis/redis.sock",
        ),
        ("redis+unix:///run/x#ca=/ca.pem", "a Unix socket needs no TLS"),
        ("redis+sentinel://s1", "needs the master's name, e.g. redis+sentinel://sentinel/mymaster"),
        ("redis-cluster://a#sentinel=m", "sentinel: must go with the scheme redis: or rediss:"),
        ("rediss://a?ssl_cert_reqs=never", "ssl_cert_reqs: must be none, optional or required"),
        ("rediss://a?ssl=maybe", "ssl: must be true or false"),
        ("rediss://a#ca=/none.pem", "/none.pem: no such file"),
    ] {
        let error = target(url).err().unwrap_or_else(|| panic!("{url} is taken"));
        assert!(error.contains(says), "{url}: {error}");
    }
}
