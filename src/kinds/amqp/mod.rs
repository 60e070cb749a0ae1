//! `amqp:`, `amqps:` — logged in to a RabbitMQ, the vhost opened, the queue or exchange there.
//!
//! A broker logs every connection. It is therefore asked seldom, and not again to confirm.

mod failure;
mod frame;
mod session;
mod target;

use crate::{
    connect::Endpoint,
    kinds::listed::{Asked, Question, probe},
    probe::{Attempt, Probe},
    spec::{ConfigError, Kind, Spec},
    tls::KEYS as TLS_KEYS,
};
use target::{KEYS, Target};

/// The kind.
pub static KIND: Kind = Kind {
    name: "amqp",
    schemes: &["amqp", "amqps"],
    dialects: &[DIALECTS],
    usage: "amqp://[USER:PASSWORD@]HOST[:PORT][,...][/VHOST]",
    summary: "logged in, the vhost opened, the queue or exchange there",
    keys: &[KEYS, TLS_KEYS],
    build,
    ..Kind::DEFAULT
};

/// Celery's and MassTransit's schemes.
const DIALECTS: &[&str] = &["pyamqp", "librabbitmq", "rabbitmq", "rabbitmqs", "amqp+ssl"];

fn build(spec: &Spec) -> Result<Box<dyn Probe>, ConfigError> {
    let target = Target::from_spec(spec)?;
    let servers = target.servers.clone();
    Ok(probe(target, &servers))
}

impl Question for Target {
    fn ask<'a>(&'a self, attempt: &'a Attempt<'a>, endpoint: &'a Endpoint) -> Asked<'a> {
        Box::pin(session::ask(attempt, self, endpoint))
    }

    fn leaves_a_trace(&self) -> bool {
        true
    }
}
