//! `k8s:` — the state of an object of Kubernetes, as its API server reports it.
//!
//! ```text
//! target + access -> ask (one GET, or a list page by page) -> job | pods | rollout | endpoints
//!                      |-> refusal: any status but 200
//! ```

mod access;
#[cfg(test)]
mod access_tests;
mod ask;
mod endpoints;
mod job;
mod object;
mod pods;
mod refusal;
mod rollout;
mod target;
#[cfg(test)]
mod tests;

use crate::{
    probe::{Attempt, AttemptFuture, Probe, Verdict},
    spec::{ConfigError, Grammar, Key, Kind, Spec},
    tls::KEYS as TLS_KEYS,
};
use access::{Access, Pod};
use ask::Question;
use target::Target;

/// The kind.
pub static KIND: Kind = Kind {
    name: "k8s",
    schemes: &["k8s"],
    grammar: Grammar::AsWritten,
    usage: "k8s:job/NAME, k8s:pods/SELECTOR, k8s:pod/NAME, k8s:deployment/NAME, k8s:service/NAME",
    summary: "the Job is complete, the pods are ready, the Deployment is available, \
              the Service has a ready endpoint",
    keys: &[KEYS, TLS_KEYS],
    build,
    ..Kind::DEFAULT
};

static KEYS: &[Key] = &[
    Key { name: "namespace", value: "NAME", help: "namespace of the object; default: the pod's" },
    Key {
        name: "server",
        value: "URL",
        help: "API server; default: the cluster's, with the pod's own token and CA",
    },
    Key { name: "bearer", value: "TOKEN", help: "token to send as Authorization: Bearer" },
    Key {
        name: "token-file",
        value: "PATH",
        help: "file with the token, read anew for each attempt; default: the pod's",
    },
];

struct K8s(Question);

fn build(spec: &Spec) -> Result<Box<dyn Probe>, ConfigError> {
    let target = Target::from_spec(spec)?;
    let access = Access::from_spec(spec, &Pod::default())?;
    Ok(Box::new(K8s(Question::new(target, access, spec))))
}

impl Probe for K8s {
    fn attempt<'a>(&'a mut self, attempt: &'a Attempt<'a>) -> AttemptFuture<'a> {
        Box::pin(async { self.0.ask(attempt).await.map_or_else(Verdict::from, Verdict::ready) })
    }

    fn is_local(&self) -> bool {
        self.0.is_local()
    }
}
