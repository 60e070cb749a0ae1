//! A probe that asks each server of a list in the same way. It is for kinds whose servers share
//! everything but their address.

use std::{future::Future, pin::Pin, sync::Arc};

#[cfg(any(feature = "redis", feature = "amqp", feature = "memcached"))]
use crate::spec::{ConfigError, Server as DeclaredServer, Spec, expand::Text};
use crate::{
    connect::Endpoint,
    probe::{
        Attempt, AttemptFuture, Failure, ListedServer, Order, Probe, Start, Turn, TurnFuture,
        Verdict, try_servers,
    },
};

/// One server's answer: a text for people, or the failure.
pub(super) type Asked<'a> = Pin<Box<dyn Future<Output = Result<String, Failure>> + Send + 'a>>;

/// The question that every server of a list is asked.
pub(super) trait Question: Send + Sync + 'static {
    /// Asks the server at `endpoint` once.
    fn ask<'a>(&'a self, attempt: &'a Attempt<'a>, endpoint: &'a Endpoint) -> Asked<'a>;

    /// See [`Probe::leaves_a_trace`].
    fn leaves_a_trace(&self) -> bool {
        false
    }
}

/// A probe that asks the servers at `endpoints` in turn.
pub(super) fn probe(question: impl Question, endpoints: &[Endpoint]) -> Box<dyn Probe> {
    let question: Arc<dyn Question> = Arc::new(question);
    let server = |endpoint: &Endpoint| Server {
        endpoint: endpoint.clone(),
        question: Arc::clone(&question),
    };
    let servers = endpoints.iter().map(server).collect();
    Box::new(List { servers, order: Order::new(Start::Next) })
}

#[cfg(any(feature = "redis", feature = "amqp", feature = "memcached"))]
/// Returns the servers of a list. Each must have a host, as in `example`.
pub(super) fn endpoints(
    spec: &Spec,
    servers: &Text,
    port: u16,
    example: &str,
) -> Result<Vec<Endpoint>, ConfigError> {
    let servers = spec.servers(servers)?;
    if servers.iter().any(|server| server.host.is_empty()) {
        return Err(spec.error(format_args!("needs a host, e.g. {example}")));
    }
    let endpoint = |server: DeclaredServer| Endpoint::Tcp(server.host, server.port.unwrap_or(port));
    Ok(servers.into_iter().map(endpoint).collect())
}

struct List {
    servers: Vec<Server>,
    order: Order,
}

struct Server {
    endpoint: Endpoint,
    question: Arc<dyn Question>,
}

impl Probe for List {
    fn attempt<'a>(&'a mut self, attempt: &'a Attempt<'a>) -> AttemptFuture<'a> {
        Box::pin(async { try_servers(attempt, &mut self.servers, &mut self.order).await.verdict() })
    }

    fn is_local(&self) -> bool {
        self.servers.iter().all(|server| server.endpoint.is_local())
    }

    fn leaves_a_trace(&self) -> bool {
        self.servers.iter().any(|server| server.question.leaves_a_trace())
    }
}

impl ListedServer for Server {
    fn ask<'a>(&'a mut self, attempt: &'a Attempt<'a>) -> TurnFuture<'a> {
        Box::pin(async {
            let asked = self.question.ask(attempt, &self.endpoint).await;
            Turn::from(asked.map_or_else(Verdict::from, Verdict::ready))
        })
    }
}
