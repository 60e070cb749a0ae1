//! The servers that the lists `host`, `hostaddr` and `port` declare.

use std::net::IpAddr;

use super::dsn::Params;
use crate::connect::Endpoint;

/// The default socket directories of Debian's libpq and of PostgreSQL's own.
const SOCKET_DIRS: [&str; 2] = ["/var/run/postgresql", "/tmp"];

/// One server as the user declares it.
pub(super) struct Place {
    pub(super) endpoint: Endpoint,
    /// The name that its certificate must be valid for.
    pub(super) host: String,
    pub(super) port: String,
    /// Its name in a password file.
    pub(super) named: String,
}

/// Returns the servers, paired as in libpq. There are as many addresses as names, and as many
/// ports, or one port for all.
pub(super) fn read(all: &Params) -> Result<Vec<Place>, String> {
    let list = |keyword: &str| {
        all.get(keyword).map(|text| text.split(',').map(str::trim).collect::<Vec<_>>())
    };
    let (hosts, addresses, ports) =
        (list("host"), list("hostaddr"), list("port").unwrap_or_else(|| vec![""]));
    let count = match (&hosts, &addresses) {
        (Some(hosts), Some(addresses)) if hosts.len() != addresses.len() => {
            return Err(format!(
                "{} host names, but {} hostaddr values",
                hosts.len(),
                addresses.len()
            ));
        }
        (Some(hosts), _) => hosts.len(),
        (None, Some(addresses)) => addresses.len(),
        (None, None) => 1,
    };
    if ports.len() != 1 && ports.len() != count {
        return Err(format!("{} ports for {count} hosts", ports.len()));
    }
    let mut places = Vec::new();
    for n in 0..count {
        let port = *ports.get(n).or(ports.first()).unwrap_or(&"");
        let port = match port {
            "" => 5432,
            port => port
                .parse::<u16>()
                .ok()
                .filter(|port| *port > 0)
                .ok_or("port (or PGPORT): must be a number from 1 to 65535")?,
        };
        let host = hosts.as_ref().map_or("", |hosts| hosts[n]);
        let address = addresses.as_ref().map_or("", |addresses| addresses[n]);
        places.extend(place(host, address, port)?);
    }
    Ok(places)
}

fn place(host: &str, address: &str, port: u16) -> Result<Vec<Place>, String> {
    let unix = |dir: &str| Place {
        endpoint: Endpoint::Unix(format!("{dir}/.s.PGSQL.{port}")),
        host: dir.to_owned(),
        port: port.to_string(),
        named: if SOCKET_DIRS.contains(&dir) { "localhost" } else { dir }.to_owned(),
    };
    if !address.is_empty() {
        if address.split('%').next().and_then(|address| address.parse::<IpAddr>().ok()).is_none() {
            return Err("hostaddr (or PGHOSTADDR): must be an address, e.g. 10.0.0.7".to_owned());
        }
        let host = if host.is_empty() { address } else { host }.to_owned();
        let endpoint = Endpoint::Tcp(address.to_owned(), port);
        return Ok(vec![Place { endpoint, named: host.clone(), host, port: port.to_string() }]);
    }
    Ok(match host {
        "" => SOCKET_DIRS.into_iter().map(unix).collect(),
        dir if dir.starts_with(['/', '@']) => vec![unix(dir.trim_end_matches('/'))],
        host => {
            let endpoint = Endpoint::Tcp(host.to_owned(), port);
            vec![Place {
                endpoint,
                host: host.to_owned(),
                port: port.to_string(),
                named: host.to_owned(),
            }]
        }
    })
}
