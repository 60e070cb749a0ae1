//! The target: a kind of object, and its name or a selector.

use super::{job, object::Object, pods, rollout};
use crate::{
    probe::Failure,
    spec::{ConfigError, Spec},
};

/// One kind of object of the API.
pub(super) struct Resource {
    /// Empty for the core group.
    pub(super) group: &'static str,
    version: &'static str,
    /// The name in paths and in rules of a Role.
    pub(super) plural: &'static str,
    /// Returns the detail of a ready object, or the failure.
    pub(super) judge: fn(&Object<'_>) -> Result<String, Failure>,
}

const APPS: (&str, &str) = ("apps", "v1");
const JOBS: Resource = resource(("batch", "v1"), "jobs", job::judge);
const PODS: Resource = resource(("", "v1"), "pods", pods::judge);
const DEPLOYMENTS: Resource = resource(APPS, "deployments", rollout::deployment);
const STATEFUL_SETS: Resource = resource(APPS, "statefulsets", rollout::stateful_set);
const DAEMON_SETS: Resource = resource(APPS, "daemonsets", rollout::daemon_set);
const ENDPOINT_SLICES: Resource =
    resource(("discovery.k8s.io", "v1"), "endpointslices", |_| Ok(String::new()));

const fn resource(
    (group, version): (&'static str, &'static str),
    plural: &'static str,
    judge: fn(&Object<'_>) -> Result<String, Failure>,
) -> Resource {
    Resource { group, version, plural, judge }
}

/// The target of a declaration.
pub(super) struct Target {
    pub(super) resource: Resource,
    pub(super) selection: Selection,
}

/// The objects of the resource that count.
pub(super) enum Selection {
    /// The one with this name.
    Object(String),
    /// Pods by a label selector.
    Pods(String),
    /// The EndpointSlices of the Service with this name.
    SlicesOf(String),
}

impl Target {
    /// Reads `KIND/NAME` or `pods/SELECTOR`. KIND may be a plural or a short name, as in kubectl.
    pub(super) fn from_spec(spec: &Spec) -> Result<Self, ConfigError> {
        let rest = spec.rest.expanded();
        let usage = || {
            spec.error(
                "must be job/NAME, pod/NAME, pods/SELECTOR, service/NAME, deployment/NAME, \
                 statefulset/NAME or daemonset/NAME, e.g. k8s:job/migrate",
            )
        };
        let (kind, name) = rest.split_once('/').ok_or_else(usage)?;
        let (resource, longest) = match kind {
            "job" | "jobs" => (JOBS, MAX_NAME),
            "pods" => return Self::pods(spec, name),
            "pod" | "po" => (PODS, MAX_NAME),
            "deployment" | "deployments" | "deploy" => (DEPLOYMENTS, MAX_NAME),
            "statefulset" | "statefulsets" | "sts" => (STATEFUL_SETS, MAX_NAME),
            "daemonset" | "daemonsets" | "ds" => (DAEMON_SETS, MAX_NAME),
            "service" | "services" | "svc" => (ENDPOINT_SLICES, MAX_LABEL),
            _ => return Err(usage()),
        };
        if !is_name(name, longest) {
            return Err(spec.error(format_args!(
                "the name of a {kind} must be a-z, 0-9, - and ., e.g. k8s:{kind}/app"
            )));
        }
        let name = name.to_owned();
        let selection = if resource.plural == ENDPOINT_SLICES.plural {
            Selection::SlicesOf(name)
        } else {
            Selection::Object(name)
        };
        Ok(Self { resource, selection })
    }

    fn pods(spec: &Spec, selector: &str) -> Result<Self, ConfigError> {
        let selector = selector.trim();
        // All pods of a namespace: the waiting one is among them.
        if selector.is_empty() {
            return Err(
                spec.error("pods/ must be followed by a label selector, e.g. k8s:pods/app=web")
            );
        }
        let is_odd = |c: char| !c.is_ascii_alphanumeric() && !"-_./=!,() <>".contains(c);
        if selector.contains(is_odd) {
            return Err(spec.error("the label selector must be as in kubectl -l, e.g. app=web"));
        }
        Ok(Self { resource: PODS, selection: Selection::Pods(selector.to_owned()) })
    }

    /// The path below the server, without a name.
    pub(super) fn path(&self, namespace: &str) -> String {
        let Resource { group, version, plural, .. } = &self.resource;
        let api = if group.is_empty() { "api" } else { "apis/" };
        format!("/{api}{group}/{version}/namespaces/{namespace}/{plural}")
    }
}

/// The longest name of an object, and of a label or Service.
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

/// Returns true if a text is a DNS subdomain (RFC 1123), as the names of objects are.
pub(super) fn is_name(text: &str, longest: usize) -> bool {
    let is_part = |part: &str| {
        !part.is_empty()
            && !part.starts_with('-')
            && !part.ends_with('-')
            && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    };
    text.len() <= longest && text.split('.').all(is_part)
}
