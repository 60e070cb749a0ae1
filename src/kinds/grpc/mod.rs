//! `grpc:`, `grpcs:` — grpc.health.v1 reports SERVING.
//!
//! ```text
//! target -> exchange (http2) -> answer
//! ```

mod answer;
mod exchange;

use crate::{
    connect::Endpoint,
    kinds::{
        http2,
        listed::{Asked, Question, probe},
    },
    probe::{Attempt, Probe},
    spec::{ConfigError, Key, Kind, Spec},
    tls::{KEYS as TLS_KEYS, Tls},
};
use exchange::Health;

/// The kind.
pub static KIND: Kind = Kind {
    name: "grpc",
    schemes: &["grpc", "grpcs"],
    dialects: &[&["grpc+unix"]],
    usage: "grpc://HOST:PORT[/SERVICE], grpc+unix:///PATH",
    summary: "grpc.health.v1 says SERVING",
    keys: &[KEYS, TLS_KEYS],
    repeats: &["header"],
    build,
    ..Kind::DEFAULT
};

static KEYS: &[Key] = &[
    Key {
        name: "service",
        value: "NAME",
        help: "service to ask for; overrides the path; default: the server itself",
    },
    Key { name: "header", value: "NAME: VALUE", help: "metadata to send; repeats" },
];

fn build(spec: &Spec) -> Result<Box<dyn Probe>, ConfigError> {
    let parts = spec.parts()?;
    if parts.userinfo.is_some() || parts.query.is_some() {
        return Err(
            spec.error("must have servers and a service alone, e.g. grpc://api:50051/app.Api")
        );
    }
    let path = spec.decoded("service", &parts.path)?;
    let is_unix = spec.scheme == "grpc+unix";
    let encrypted = spec.scheme == "grpcs" || Tls::is_asked_for(spec);
    if is_unix && encrypted {
        return Err(spec.error("a Unix socket needs no TLS: the TLS keys must go"));
    }
    let mut endpoints = Vec::new();
    if is_unix {
        if !parts.servers.is_empty() || path.len() < 2 {
            return Err(spec.error("needs the path of a socket, e.g. grpc+unix:///run/api.sock"));
        }
        endpoints.push(Endpoint::Unix(path.clone()));
    } else {
        for server in spec.servers(&parts.servers)? {
            match server.port {
                Some(port) if !server.host.is_empty() => {
                    endpoints.push(Endpoint::Tcp(server.host, port));
                }
                _ => return Err(spec.error("needs a host and a port, e.g. grpc://api:50051")),
            }
        }
    }
    let by_path = if is_unix { "" } else { path.trim_start_matches('/') };
    let question = Health {
        service: spec.key("service").unwrap_or(by_path).to_owned(),
        headers: exchange::headers(spec)?,
        tls: encrypted
            .then(|| Tls::from_spec(spec))
            .transpose()?
            .map(|tls| tls.with_alpn(&[http2::ALPN])),
    };
    Ok(probe(question, &endpoints))
}

impl Question for Health {
    fn ask<'a>(&'a self, attempt: &'a Attempt<'a>, endpoint: &'a Endpoint) -> Asked<'a> {
        Box::pin(exchange::ask(attempt, self, endpoint))
    }
}
