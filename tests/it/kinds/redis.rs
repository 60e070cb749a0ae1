//! `redis:` against a real redis-server; scripted servers only for what a real one cannot show.

use crate::support::look::{not_ready, once, ready};
use crate::support::{Afterall, Authority, Redis, Reserved, Scripted, ms, secs, sh};
use std::net::TcpStream;

#[test]
fn every_login_has_the_outcome_of_redis_cli() {
    let server = Redis::started("maxclients 100");
    server.cli(&["ACL", "SETUSER", "app", "on", ">s3cr3t/#", "+@read", "+ping", "+info", "~app:*"]);
    server.cli(&["ACL", "SETUSER", "mute", "on", ">pw", "+@read", "~*"]);
    server.cli(&["ACL", "SETUSER", "publisher", "on", ">pw", "+publish", "&*"]);
    server.cli(&["ACL", "SETUSER", "off", "off", ">pw", "+@all"]);
    server.cli(&["SET", "app:ready", "1"]);
    server.cli(&["CONFIG", "SET", "requirepass", "first"]);
    let at = server.address();
    let before = server.log();
    // The URL, the class, the message, and whether redis-cli gets a PONG.
    for (url, class, says, pong) in [
        (format!("redis://:first@{at}"), "ready", "Redis 7.", true),
        (format!("redis://default:first@{at}/3"), "ready", "Redis 7.", true),
        (format!("redis://app:s3cr3t%2F%23@{at}"), "ready", "Redis 7.", true),
        (format!("redis://{at}"), "auth", "-NOAUTH Authentication required.", false),
        (format!("redis://:wrong@{at}"), "auth", "-WRONGPASS", false),
        (
            format!("redis://first@{at}"),
            "auth",
            "a password alone is written redis://:PASSWORD@",
            true,
        ),
        (format!("redis://nobody:pw@{at}"), "auth", "-WRONGPASS", false),
        (format!("redis://off:pw@{at}"), "auth", "the user does not exist yet or is off", false),
        (format!("redis://:first@{at}/99"), "absent", "-ERR DB index is out of range", true),
        // DBSIZE and HELLO prove as much as PING and INFO, which this user may not run.
        (format!("redis://mute:pw@{at}"), "ready", "Redis 7.", false),
        (
            format!("redis://publisher:pw@{at}"),
            "auth",
            "this user may run neither PING nor INFO nor DBSIZE",
            false,
        ),
    ] {
        match class {
            "ready" => ready(&url, says),
            class => not_ready(&url, class, says),
        }
        // redis-cli takes a lone user for a password, unlike the drivers, and an empty one for a
        // name.
        let theirs = url.replace("redis://:", "redis://default:");
        let words = ["--no-auth-warning", "-u", &theirs, "PING"];
        assert_eq!(server.cli(&words).contains("PONG"), pong, "{url}");
    }
    let url = format!("redis://app:s3cr3t%2F%23@{at}");
    ready(&format!("{url}#exists=app:ready,role=master"), "key app:ready");
    not_ready(&format!("{url}#key=app:other"), "absent", "no key app:other");
    not_ready(&format!("{url}#key=other"), "auth", "-NOPERM");
    ready(&format!("redis://mute:pw@{at}#role=master"), "Redis 7.");
    not_ready(
        &format!("redis://mute:pw@{at}#role=replica"),
        "absent",
        "role=replica wants a replica",
    );
    let file = "key=/etc/redis/redis.key";
    not_ready(
        &format!("{url}#{file}"),
        "config",
        "a private key must have its cert beside it; a key of Redis with this name is exists=",
    );
    not_ready(
        &format!("rediss://{at}#cert=/etc/redis/redis.crt,{file}"),
        "config",
        "must be the file of the cert's private key; a key of Redis is exists=NAME",
    );
    not_ready(
        &format!("redis://:first@{at}#role=replica"),
        "absent",
        "role=replica wants a replica",
    );
    not_ready(&format!("redis-cluster://:first@{at}"), "absent", "is no cluster's node");
    let socket = format!("redis+unix://:first@{}?db=1", server.dir().text("sock"));
    ready(&socket, "Redis 7.");
    assert_eq!(server.log(), before, "an attempt leaves no line in the server's log");
    server.pause();
    not_ready(
        &format!("{url}#attempt-timeout=300ms"),
        "timeout",
        "but no answer from Redis within 0.3s",
    );
}

#[test]
fn a_user_that_appears_late_is_waited_for() {
    let (server, dead) = (Redis::started(""), Reserved::new());
    let url = format!("cache=redis://app:s3cr3t@{},{}", dead.address(), server.address());
    let waiting = Afterall::waiting_for([url]).becoming(sh("echo started")).spawn();
    waiting.wait_for_stderr("-WRONGPASS", secs(20));
    server.cli(&["ACL", "SETUSER", "app", "on", ">s3cr3t", "+ping"]);
    let done = waiting.done().code(0).stdout("started\n");
    done.stderr_has("cache: ready: Redis").says_nowhere("s3cr3t");
}

#[test]
fn a_server_that_loads_its_data_is_busy() {
    let server = Redis::started("");
    server.cli(&["EVAL", "for i=1,5000 do redis.call('set',i,string.rep('x',100)) end", "0"]);
    assert_eq!(server.cli(&["SAVE"]), "OK");
    server.stop();
    // Far more than a minute, until the delay is taken away.
    server.configure("key-load-delay 100000\nloading-process-events-interval-bytes 1024");
    server.start_loading();
    let waiting = Afterall::waiting_for([format!("cache={}", server.url())]).spawn();
    waiting.wait_for_stderr("cache: waiting: Redis 7.", secs(20));
    waiting.wait_for_stderr("is loading its data: ", secs(20));
    assert!(server.cli(&["PING"]).contains("LOADING"), "redis-cli is refused too");
    // Neither user may run INFO, and the second one no PING.
    for rights in [&["+@all", "-@dangerous"][..], &["+@read"]] {
        let user = [&["ACL", "SETUSER", "app", "reset", "on", ">pw", "~*"][..], rights].concat();
        server.cli(&user);
        // The server looks at its sockets once a second.
        let url = format!("redis://app:pw@{}#attempt-timeout=30s", server.address());
        not_ready(&url, "busy", "-LOADING");
    }
    server.cli(&["CONFIG", "SET", "key-load-delay", "0"]);
    waiting.done().code(0).stderr_has("[class=busy").stderr_has("cache: ready: Redis 7.");
}

/// Replies to PING that are no PONG, each by a real server in that state.
#[test]
fn a_server_that_refuses_its_work_is_busy() {
    let server = Redis::started("busy-reply-threshold 100\nsave 3600 1");
    let url = server.url();
    ready(&url, "Redis 7.");
    // It cannot save its data where a directory has that name.
    let in_the_way = server.dir().mkdir("dump.rdb");
    server.cli(&["SET", "a", "1"]);
    server.cli(&["BGSAVE"]);
    server.wait_for(&["INFO", "persistence"], "rdb_last_bgsave_status:err");
    assert!(server.cli(&["PING"]).contains("MISCONF"));
    not_ready(&url, "busy", "-MISCONF");
    std::fs::remove_dir(in_the_way).unwrap();
    server.cli(&["BGSAVE"]);
    server.wait_for(&["INFO", "persistence"], "rdb_last_bgsave_status:ok");
    ready(&url, "Redis 7.");
    std::thread::scope(|scope| {
        scope.spawn(|| server.cli(&["EVAL", "while true do end", "0"]));
        server.wait_for(&["PING"], "BUSY");
        not_ready(&url, "busy", "-BUSY");
        server.cli(&["SCRIPT", "KILL"]);
    });
    ready(&url, "Redis 7.");
    let dead = Reserved::new();
    let stale = format!(
        "replicaof {} {}\nreplica-serve-stale-data no",
        dead.address().ip(),
        dead.address().port()
    );
    let replica = Redis::started(&stale);
    not_ready(&replica.url(), "busy", "is a replica that has no link to its master");
    assert!(replica.cli(&["PING"]).contains("MASTERDOWN"));
    replica.cli(&["ACL", "SETUSER", "app", "on", ">pw", "~*", "+@read", "+ping"]);
    let app = replica.url().replace("redis://", "redis://app:pw@");
    not_ready(&app, "busy", "-MASTERDOWN");
}

#[test]
fn a_replica_is_ready_once_it_has_its_masters_data() {
    let master = Redis::new("");
    let replica = Redis::started(&format!("replicaof {} {}", master.host(), master.port()));
    not_ready(&replica.url(), "busy", "is a replica that has no link to its master");
    assert_eq!(replica.cli(&["PING"]), "PONG", "what PING hides");
    let rights = ["+@all", "-@dangerous"];
    replica.cli(&[&["ACL", "SETUSER", "app", "on", ">pw", "~*"][..], &rights].concat());
    let app = format!("redis://app:pw@{}", replica.address());
    not_ready(&app, "auth", "its link to its master is not known, because this user may run");
    replica.cli(&["ACL", "SETUSER", "app", "+role"]);
    not_ready(&app, "busy", "is a replica that has no link to its master");
    let waiting = Afterall::waiting_for([format!("cache={}", replica.url())]).spawn();
    waiting.wait_for_stderr("has no link to its master", secs(20));
    master.start();
    waiting.done().code(0).stderr_has("cache: ready: Redis 7.");
    ready(&app, "Redis 7.");
    let replica_url = format!("{}#role=replica", replica.url());
    ready(&replica_url, "Redis 7.");
    not_ready(&format!("{}#role=master", replica.url()), "absent", "role=master wants a master");
    // In a list, the server with the role counts.
    ready(&format!("redis://{},{}#role=master", replica.address(), master.address()), "Redis 7.");
}

#[test]
fn sentinels_name_the_server_that_is_asked() {
    let master = Redis::new("requirepass pw");
    let (host, port) = (master.host(), master.port());
    let replica = Redis::new("");
    let announced = format!("replica-announce-ip {}", replica.host());
    replica
        .configure(&format!("replicaof {host} {port}\nmasterauth pw\nrequirepass pw\n{announced}"));
    replica.start();
    let monitor = format!(
        "sentinel monitor mymaster {host} {port} 1\nsentinel auth-pass mymaster pw\nsentinel \
        down-after-milliseconds mymaster 60000"
    );
    let sentinel = Redis::new(&monitor);
    sentinel.start_sentinel();
    let url = format!("redis+sentinel://:pw@{}/mymaster", sentinel.address());
    not_ready(&url, "connect", "names it for mymaster");
    not_ready(&url, "connect", &format!("({host}:{port})"));
    not_ready(
        &format!("redis://:pw@{}#sentinel=other", sentinel.address()),
        "absent",
        "the Sentinel knows no master called other",
    );
    not_ready(&sentinel.url(), "absent", "is a Sentinel, not a server with data");
    let waiting = Afterall::waiting_for([format!("cache={url}")]).spawn();
    waiting.wait_for_stderr("names it for mymaster", secs(20));
    master.start();
    waiting.done().code(0).stderr_has("cache: ready: Redis 7.");
    // The Sentinel reads the list of replicas from the master every ten seconds.
    let waiting = Afterall::waiting_for([format!("cache={url}#role=replica")]).spawn();
    waiting.done().code(0).any_stderr();
    assert_eq!(
        sentinel.cli(&["SENTINEL", "get-master-addr-by-name", "mymaster"]),
        format!("{host}\n{port}")
    );
    not_ready(
        &format!("redis://:pw@{}#sentinel=m", replica.address()),
        "absent",
        "not a Sentinel?",
    );
    let locked = Redis::new(&format!("{monitor}\nrequirepass sentinels"));
    locked.start_sentinel();
    let url = format!("redis+sentinel://:pw@{}/mymaster", locked.address());
    not_ready(&url, "auth", "-WRONGPASS");
    ready(&format!("{url}#sentinel-password=sentinels"), "Redis 7.");
}

/// A Sentinel may know several replicas, of which some have no data.
#[test]
fn one_of_the_replicas_that_a_sentinel_names_is_enough() {
    let (master, dead) = (Redis::started(""), Reserved::new());
    let alone =
        Redis::started(&format!("replicaof {} {}", dead.address().ip(), dead.address().port()));
    let linked = Redis::started(&format!("replicaof {} {}", master.host(), master.port()));
    linked.wait_for(&["ROLE"], "connected");
    let named = |server: &Redis| {
        let (host, port) = (server.host(), server.port().to_string());
        let fields = ["ip", &host, "port", &port, "flags", "slave"];
        let fields = fields.map(|field| format!("${}\r\n{field}\r\n", field.len()));
        format!("*6\r\n{}", fields.concat())
    };
    let url = |list: String| {
        let sentinel = Scripted::answering_then_closing(list);
        (format!("redis+sentinel://{}/mymaster#role=replica", sentinel.address()), sentinel)
    };
    let (both, _sentinel) = url(format!("*2\r\n{}{}", named(&alone), named(&linked)));
    ready(&both, "Redis 7.");
    let (one, _sentinel) = url(format!("*1\r\n{}", named(&alone)));
    not_ready(&one, "busy", "has no link to its master");
}

#[test]
fn a_cluster_is_ready_once_it_serves_every_slot() {
    let first = Redis::new("");
    // Without this setting, the nodes announce 127.0.0.1.
    let lines = format!(
        "cluster-enabled yes\ncluster-node-timeout 10000\ncluster-announce-ip {}",
        first.host()
    );
    first.configure(&lines);
    first.start();
    let nodes = [Redis::beside(first.claimed(), &lines), Redis::beside(first.claimed(), &lines)];
    nodes.iter().for_each(Redis::start);
    let seeds = format!("{},{}", first.address(), nodes[0].address());
    let cluster = format!("redis-cluster://{seeds}");
    not_ready(&cluster, "busy", "cluster state fail, 0 of 16384 slots are served");
    assert_eq!(first.cli(&["PING"]), "PONG", "what PING hides");
    not_ready(&format!("redis://{}/1", first.address()), "config", "SELECT is not allowed");
    let waiting = Afterall::waiting_for([format!("cache={cluster}")]).spawn();
    waiting.wait_for_stderr("cluster state fail", secs(20));
    let all: Vec<_> =
        [&first, &nodes[0], &nodes[1]].map(|node| node.address().to_string()).to_vec();
    let mut words = vec!["--cluster", "create"];
    words.extend(all.iter().map(String::as_str));
    words.extend(["--cluster-replicas", "0", "--cluster-yes"]);
    let created = first.cli(&words);
    assert!(created.contains("All 16384 slots covered"), "{created}");
    waiting.done().code(0).stderr_has("cache: ready: Redis 7.").stderr_has(", cluster");
    for node in nodes.iter().chain([&first]) {
        node.wait_for(&["CLUSTER", "INFO"], "cluster_state:ok");
    }
    // One of these is on each node.
    for key in ["a", "b", "c", "d"] {
        let url = format!("redis://{}#exists={key}", first.address());
        not_ready(&url, "absent", &format!("no key {key}"));
        first.cli(&["-c", "SET", key, "1"]);
        ready(&url, &format!("cluster, key {key}"));
    }
    // An application's user often lacks CLUSTER INFO. A key shows the state, if it may read one.
    let rights = ["ACL", "SETUSER", "app", "on", ">pw", "~*", "+@read", "+@connection"];
    first.cli(&rights);
    let app = format!("redis://app:pw@{}", first.address());
    ready(&app, "Redis 7.");
    first.cli(&["ACL", "SETUSER", "narrow", "on", ">pw", "~app:*", "+@read", "+@connection"]);
    let narrow = app.replace("app:pw", "narrow:pw");
    not_ready(&narrow, "auth", "+cluster|info");
    nodes[1].stop();
    let url = format!("redis://{}", first.address());
    // Some of these are on the dead node. The node that is asked is up.
    for key in ["a", "b", "c", "d"] {
        once(&format!("{url}#until=down,exists={key}")).code(69).any_stdout();
    }
    Afterall::waiting_for([format!("{url}#until=down,timeout=1s")]).run().code(124).any_stderr();
    first.wait_for(&["CLUSTER", "INFO"], "cluster_state:fail");
    not_ready(&url, "busy", "of 16384 slots are served");
    not_ready(&app, "busy", "-CLUSTERDOWN");
    not_ready(&format!("{narrow}#exists=app:a"), "busy", "-CLUSTERDOWN");
}

#[test]
fn tls_is_verified_and_its_mistakes_are_named() {
    let (ca, other) = (Authority::new("ca"), Authority::new("other"));
    let plain = Redis::new("");
    let identity = ca.server(&[&plain.host()]);
    let port = plain.claimed().free_port();
    plain.configure(&format!(
        "tls-port {port}\ntls-cert-file {}\ntls-key-file {}\ntls-ca-cert-file {}",
        identity.cert_text(),
        identity.key_text(),
        ca.cert_text()
    ));
    plain.start();
    let url = format!("rediss://{}:{port}", plain.host());
    let client = ca.client("app");
    let cert = format!("cert={},key={}", client.cert_text(), client.key_text());
    let before = plain.log();
    ready(&format!("{url}#ca={},{cert}", ca.cert_text()), "Redis 7.");
    ready(&format!("{url}?ssl_cert_reqs=none#{cert}"), "Redis 7.");
    assert_eq!(plain.log(), before, "an attempt leaves no line in the server's log");
    not_ready(&format!("{url}#ca={}", ca.cert_text()), "tls", "client certificate");
    not_ready(&format!("{url}#ca={},{cert}", other.cert_text()), "tls", "certificate not trusted");
    not_ready(&url.replace("rediss", "redis"), "connect", "rediss:");
    let wrong = format!("rediss://{}#insecure,attempt-timeout=500ms", plain.address());
    not_ready(&wrong, "timeout", "a port without TLS keeps silent so");
}

#[test]
fn what_is_no_redis_and_what_is_full_is_named() {
    let full = Redis::started("maxclients 1");
    let _holder = TcpStream::connect(full.address()).unwrap();
    not_ready(&full.url(), "busy", "-ERR max number of clients reached");
    for (says, class, want) in [
        ("HTTP/1.1 400 Bad Request\r\n\r\n", "protocol", "not Redis, it says: HTTP/1.1 400"),
        ("-DENIED Redis is running in protected mode because\r\n", "auth", "protected mode: set"),
        ("\x15\x03\x01\x00\x02\x02\x28", "protocol", "use the scheme rediss:"),
        ("$99999999\r\n", "protocol", "a reply that is too long"),
    ] {
        let server = Scripted::answering_then_closing(says);
        not_ready(&format!("redis://{}", server.address()), class, want);
    }
    for server in [Scripted::silent(), Scripted::dripping("+", ms(1))] {
        let url = format!("redis://{}#attempt-timeout=200ms", server.address());
        not_ready(&url, "timeout", "but no answer from Redis within 0.2s");
    }
}
