//! `dns:` — the name resolves, to addresses of a type or to one in particular.

use std::net::{IpAddr, SocketAddr};

use crate::{
    probe::{Attempt, AttemptFuture, Class, Failure, Probe, Verdict},
    spec::{ConfigError, Grammar, Key, Kind, Spec},
};

/// The kind.
pub static KIND: Kind = Kind {
    name: "dns",
    schemes: &["dns"],
    grammar: Grammar::AsWritten,
    usage: "dns:NAME",
    summary: "the name resolves",
    keys: &[&[
        Key {
            name: "type",
            value: "A|AAAA",
            help: "only addresses of this type count; default: either",
        },
        Key {
            name: "expect",
            value: "ADDRESS+ADDRESS",
            help: "these addresses must be among them",
        },
    ]],
    build,
    ..Kind::DEFAULT
};

#[derive(Debug)]
struct Dns {
    host: String,
    wanted: Wanted,
}

#[derive(Debug, Default)]
struct Wanted {
    /// True: IPv6 only; false: IPv4 only.
    v6: Option<bool>,
    expect: Vec<IpAddr>,
}

fn build(spec: &Spec) -> Result<Box<dyn Probe>, ConfigError> {
    let host = spec.rest.expanded();
    let host = host.strip_prefix("//").unwrap_or(&host).trim_end_matches('/');
    if host.is_empty()
        || host.contains(|c: char| c.is_whitespace() || c.is_control() || "/:@?".contains(c))
    {
        return Err(spec.error("dns: takes a name and nothing else, e.g. dns:db.internal"));
    }
    let v6 = match spec.key("type").map(str::to_ascii_uppercase).as_deref() {
        None => None,
        Some("A") => Some(false),
        Some("AAAA") => Some(true),
        Some(_) => return Err(spec.key_error("type", "is A or AAAA")),
    };
    let expect =
        spec.list("expect").unwrap_or_default().iter().map(|address| address.parse::<IpAddr>());
    let expect = expect
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| spec.key_error("expect", "is an IP address"))?;
    if v6.is_some_and(|v6| expect.iter().any(|address| address.is_ipv6() != v6)) {
        return Err(spec.key_error("expect", "is not of the type that is asked for"));
    }
    Ok(Box::new(Dns { host: host.to_owned(), wanted: Wanted { v6, expect } }))
}

impl Probe for Dns {
    fn attempt<'a>(&'a mut self, attempt: &'a Attempt<'a>) -> AttemptFuture<'a> {
        Box::pin(async {
            attempt.stage(format!("no answer from the resolver for {}", self.host));
            match attempt.net.addresses(&self.host).await {
                Ok(addresses) => verdict(&self.host, &self.wanted, &addresses),
                Err(failure) => failure.verdict(),
            }
        })
    }
}

fn verdict(host: &str, wanted: &Wanted, addresses: &[SocketAddr]) -> Verdict {
    let found = addresses.iter().map(SocketAddr::ip);
    let found: Vec<IpAddr> =
        found.filter(|address| wanted.v6.is_none_or(|v6| address.is_ipv6() == v6)).collect();
    let listed = found.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ");
    if found.is_empty() {
        let kind = if wanted.v6 == Some(true) { "IPv6" } else { "IPv4" };
        return Failure::new(Class::Absent, format!("{host} has no {kind} address")).verdict();
    }
    match wanted.expect.iter().find(|address| !found.contains(address)) {
        Some(missing) => {
            Failure::new(Class::Absent, format!("{host} is {listed}, not {missing}")).verdict()
        }
        None => Verdict::Ready(listed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_judged_by_type_and_by_what_is_expected() {
        let found: Vec<SocketAddr> =
            ["10.0.0.1:0", "[2001:db8::1]:0"].iter().map(|a| a.parse().unwrap()).collect();
        let judged = |v6, expect: &[&str], found: &[SocketAddr]| {
            let wanted = Wanted { v6, expect: expect.iter().map(|a| a.parse().unwrap()).collect() };
            match verdict("db", &wanted, found) {
                Verdict::Ready(detail) => Ok(detail),
                Verdict::NotYet(failure) | Verdict::Hopeless(failure) => Err(failure.message),
            }
        };
        assert_eq!(judged(None, &[], &found), Ok("10.0.0.1, 2001:db8::1".to_owned()));
        assert_eq!(judged(Some(false), &["10.0.0.1"], &found), Ok("10.0.0.1".to_owned()));
        assert_eq!(judged(Some(true), &[], &found[..1]), Err("db has no IPv6 address".to_owned()));
        assert_eq!(
            judged(None, &["10.0.0.2"], &found[..1]),
            Err("db is 10.0.0.1, not 10.0.0.2".to_owned())
        );
    }
}
