//! `dns:` — the name resolves, with `type` or `expect` to certain addresses.

use std::net::{IpAddr, SocketAddr};

use crate::{
    connect::Family,
    probe::{Attempt, AttemptFuture, Class, Failure, Probe, Verdict},
    spec::{ConfigError, Grammar, Key, Kind, Spec, expand::unexpanded},
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
    family: Family,
    expect: Vec<IpAddr>,
}

fn build(spec: &Spec) -> Result<Box<dyn Probe>, ConfigError> {
    let host = spec.rest.expanded();
    let host = host.strip_prefix("//").unwrap_or(&host).trim_end_matches('/');
    if let Some(remedy) = unexpanded(spec.rest.raw()) {
        return Err(spec.error(remedy));
    }
    if host.is_empty()
        || host.contains(|c: char| c.is_whitespace() || c.is_control() || "/:@?".contains(c))
    {
        return Err(spec.error("dns: takes a name and nothing else, e.g. dns:db.internal"));
    }
    let family = match spec.key("type").map(str::to_ascii_uppercase).as_deref() {
        None => Family::Any,
        Some("A") => Family::V4,
        Some("AAAA") => Family::V6,
        Some(_) => return Err(spec.key_error("type", "must be A or AAAA")),
    };
    let expect =
        spec.list("expect").unwrap_or_default().iter().map(|address| address.parse::<IpAddr>());
    let expect = expect
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| spec.key_error("expect", "must be an IP address, e.g. 10.0.0.7"))?;
    if expect.iter().any(|address| !is_of(family, *address)) {
        return Err(spec.key_error("expect", "must be an address of the type that type names"));
    }
    Ok(Box::new(Dns { host: host.to_owned(), family, expect }))
}

fn is_of(family: Family, address: IpAddr) -> bool {
    match family {
        Family::Any => true,
        Family::V4 => address.is_ipv4(),
        Family::V6 => address.is_ipv6(),
    }
}

impl Probe for Dns {
    fn attempt<'a>(&'a mut self, attempt: &'a Attempt<'a>) -> AttemptFuture<'a> {
        Box::pin(async {
            match attempt.addresses(&self.host, self.family).await {
                Ok(addresses) => judge(&self.host, &self.expect, &addresses),
                Err(failure) => failure.verdict(),
            }
        })
    }
}

fn judge(host: &str, expect: &[IpAddr], addresses: &[SocketAddr]) -> Verdict {
    let found: Vec<IpAddr> = addresses.iter().map(SocketAddr::ip).collect();
    let listed = found.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ");
    match expect.iter().find(|address| !found.contains(address)) {
        Some(missing) => {
            Failure::new(Class::Absent, format!("{host} is {listed}, not {missing}")).verdict()
        }
        None => Verdict::ready(listed),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_expected_addresses_must_be_among_those_found() {
        let found: Vec<SocketAddr> =
            ["10.0.0.1:0", "[2001:db8::1]:0"].iter().map(|a| a.parse().unwrap()).collect();
        for (expect, found, want) in [
            (&[][..], &found[..], Ok("10.0.0.1, 2001:db8::1")),
            (&["10.0.0.1", "2001:db8::1"], &found[..], Ok("10.0.0.1, 2001:db8::1")),
            (&["10.0.0.2"], &found[..1], Err("db is 10.0.0.1, not 10.0.0.2")),
        ] {
            let expect: Vec<IpAddr> = expect.iter().map(|a| a.parse().unwrap()).collect();
            let got = match judge("db", &expect, found) {
                Verdict::Ready(ready) => Ok(ready.detail),
                Verdict::NotYet(failure) | Verdict::Hopeless(failure) => {
                    Err(failure.message.to_string())
                }
            };
            assert_eq!(got, want.map(str::to_owned).map_err(str::to_owned));
        }
    }
}
