//! The parts of the reply to INFO, or to HELLO and ROLE, that decide readiness.

use super::resp::Reply;

/// The most pairs of HELLO that are read; a server sends seven.
const MAX_PAIRS: usize = 64;

/// A server's report about itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Info {
    /// Name and version, e.g. `Redis 7.0.15`.
    pub(super) product: String,
    pub(super) mode: Mode,
    /// The progress of loading its data, if it loads and reports it.
    pub(super) loading: Option<String>,
    pub(super) role: Role,
}

/// The server's mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Standalone,
    Cluster,
    Sentinel,
}

/// Its part in replication.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Role {
    Master,
    /// A replica, and its link to its master.
    Replica(Link),
}

/// A replica's link to its master.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Link {
    Up,
    /// The link is down, or the first copy of the data is incomplete. The text is the reason.
    Down(String),
    /// HELLO does not tell.
    Unknown,
}

impl Info {
    /// Reads the `name:value` lines of INFO. Lines that a server does not send count as their usual
    /// value.
    pub(super) fn parse(text: &str) -> Self {
        let value = |name: &str| {
            text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
        };
        let product = match (value("valkey_version"), value("dragonfly_version")) {
            (Some(version), _) => format!("Valkey {version}"),
            (None, Some(version)) => format!("Dragonfly {}", version.trim_start_matches("df-")),
            (None, None) => format!("Redis {}", value("redis_version").unwrap_or_default()),
        };
        let mode = match value("redis_mode").or(value("server_mode")) {
            Some("sentinel") => Mode::Sentinel,
            Some("cluster") => Mode::Cluster,
            _ if value("cluster_enabled") == Some("1") => Mode::Cluster,
            _ => Mode::Standalone,
        };
        let loading = (value("loading") == Some("1")).then(|| {
            let part = value("loading_loaded_perc").map(|part| format!("{part}% loaded"));
            let left = value("loading_eta_seconds").map(|left| format!("about {left} s left"));
            [part, left].into_iter().flatten().collect::<Vec<_>>().join(", ")
        });
        let role = match value("role") {
            Some("slave" | "replica") => Role::Replica(link(value)),
            _ => Role::Master,
        };
        Self { product: product.trim().to_owned(), mode, loading, role }
    }
}

impl Info {
    /// Reads the replies to HELLO and ROLE. `None` if there is neither.
    ///
    /// Sources: redis.io, "HELLO" (a flat list of names and values in RESP2) and "ROLE".
    pub(super) fn without_info(hello: Option<&[Reply]>, role: Option<&[Reply]>) -> Option<Self> {
        let text = |reply: Option<&Reply>| match reply {
            Some(Reply::Text(Some(text)) | Reply::Status(text)) => text.clone(),
            Some(Reply::Integer(number)) => number.to_string(),
            _ => String::new(),
        };
        let value = |name: &str| {
            let mut pairs = hello.unwrap_or_default().chunks_exact(2).take(MAX_PAIRS);
            let found = pairs.find(|pair| text(pair.first()) == name);
            found.map(|pair| text(pair.get(1))).unwrap_or_default()
        };
        let part = |at: usize| text(role.and_then(|role| role.get(at)));
        let (named, greeted) = (part(0), value("role"));
        let mode = match (value("mode").as_str(), named.as_str()) {
            ("sentinel", _) | (_, "sentinel") => Mode::Sentinel,
            ("cluster", _) => Mode::Cluster,
            _ => Mode::Standalone,
        };
        let role = match (named.as_str(), greeted.as_str()) {
            ("slave" | "replica", _) => {
                let master = format!("{}:{}", part(1), part(2));
                Role::Replica(match part(3).as_str() {
                    "connected" => Link::Up,
                    "sync" => Link::Down(format!("still copies the data of its master {master}")),
                    _ => Link::Down(format!("has no link to its master {master}")),
                })
            }
            ("master" | "sentinel", _) | ("", "master" | "sentinel") => Role::Master,
            ("", "slave" | "replica") => Role::Replica(Link::Unknown),
            _ => return None,
        };
        let name = if value("server") == "valkey" { "Valkey" } else { "Redis" };
        let product = format!("{name} {}", value("version")).trim().to_owned();
        Some(Self { product, mode, loading: None, role })
    }
}

fn link<'a>(value: impl Fn(&str) -> Option<&'a str>) -> Link {
    let up = value("master_link_status") == Some("up");
    let copies = value("master_sync_in_progress") == Some("1");
    let (host, port) = (value("master_host").unwrap_or("?"), value("master_port").unwrap_or("?"));
    match (up, copies) {
        (_, true) => Link::Down(format!("still copies the data of its master {host}:{port}")),
        (true, false) => Link::Up,
        (false, false) => Link::Down(format!("has no link to its master {host}:{port}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_that_matter_are_read() {
        let of = |lines: &[&str]| Info::parse(&lines.join("\r\n"));
        let info =
            of(&["# Server", "redis_version:7.0.15", "redis_mode:standalone", "role:master"]);
        let plain = Info {
            product: "Redis 7.0.15".to_owned(),
            mode: Mode::Standalone,
            loading: None,
            role: Role::Master,
        };
        assert_eq!(info, plain);
        assert_eq!(of(&["redis_version:7.2.4", "valkey_version:8.0.1"]).product, "Valkey 8.0.1");
        assert_eq!(of(&["redis_mode:sentinel"]).mode, Mode::Sentinel);
        assert_eq!(of(&["server_mode:cluster"]).mode, Mode::Cluster);
        assert_eq!(of(&["cluster_enabled:1"]).mode, Mode::Cluster);
        let loading =
            of(&["loading:1", "loading_loaded_perc:43.89", "loading_eta_seconds:12"]).loading;
        assert_eq!(loading.as_deref(), Some("43.89% loaded, about 12 s left"));
        assert_eq!(of(&["loading:0"]).loading, None);
        assert_eq!(of(&["async_loading:1"]).loading, None);
    }

    #[test]
    fn hello_and_role_replace_info() {
        let text = |text: &str| Reply::Text(Some(text.to_owned()));
        let hello = |mode: &str, role: &str| {
            let words = ["server", "redis", "version", "7.0.15", "mode", mode, "role", role];
            [&[text("proto"), Reply::Integer(2)][..], &words.map(text)].concat()
        };
        let replica = |state: &str| {
            vec![text("slave"), text("db"), Reply::Integer(1), text(state), Reply::Integer(0)]
        };
        let down = |what: &str| Role::Replica(Link::Down(format!("{what} its master db:1")));
        for (greeted, role, mode, want) in [
            (Some(hello("standalone", "master")), None, Mode::Standalone, Role::Master),
            (Some(hello("cluster", "master")), None, Mode::Cluster, Role::Master),
            (Some(hello("sentinel", "sentinel")), None, Mode::Sentinel, Role::Master),
            (
                Some(hello("standalone", "replica")),
                None,
                Mode::Standalone,
                Role::Replica(Link::Unknown),
            ),
            (
                Some(hello("standalone", "replica")),
                Some(replica("connected")),
                Mode::Standalone,
                Role::Replica(Link::Up),
            ),
            (None, Some(replica("sync")), Mode::Standalone, down("still copies the data of")),
            (None, Some(replica("connect")), Mode::Standalone, down("has no link to")),
            (None, Some(vec![text("master"), Reply::Integer(0)]), Mode::Standalone, Role::Master),
        ] {
            let info = Info::without_info(greeted.as_deref(), role.as_deref()).unwrap();
            let product = if greeted.is_some() { "Redis 7.0.15" } else { "Redis" };
            assert_eq!((info.mode, info.role, info.product.as_str()), (mode, want, product));
        }
        assert_eq!(Info::without_info(None, None), None);
        assert_eq!(Info::without_info(Some(&[text("role")]), Some(&[])), None);
    }

    #[test]
    fn a_replica_is_linked_only_with_its_data_complete() {
        for (role, status, copies, want) in [
            ("slave", "up", "0", Link::Up),
            ("replica", "up", "0", Link::Up),
            ("slave", "down", "0", Link::Down("has no link to its master db:1".to_owned())),
            (
                "slave",
                "down",
                "1",
                Link::Down("still copies the data of its master db:1".to_owned()),
            ),
        ] {
            let text = format!(
                "role:{role}\r\nmaster_host:db\r\nmaster_port:1\r\nmaster_link_status:{status}\r\n\
                master_sync_in_progress:{copies}"
            );
            assert_eq!(Info::parse(&text).role, Role::Replica(want), "{text}");
        }
    }
}
