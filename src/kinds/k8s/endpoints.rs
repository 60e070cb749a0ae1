//! A Service has a ready endpoint, by its EndpointSlices.
//!
//! Source: discovery.k8s.io/v1 `EndpointConditions`: `ready` counts as true where it is missing.

use super::object::Object;
use crate::probe::{Class, Failure, json};

/// The endpoints of a Service, counted slice by slice.
#[derive(Default)]
pub(super) struct Census {
    slices: usize,
    ready: usize,
    unready: usize,
}

impl Census {
    /// Counts the endpoints of one slice.
    pub(super) fn add(&mut self, slice: &Object<'_>) {
        if slice.is_being_deleted() {
            return;
        }
        self.slices += 1;
        // A slice without endpoints may have null in their place.
        let endpoints = slice.raw("/endpoints").filter(|raw| raw.starts_with('['));
        let _ = json::for_each(endpoints.unwrap_or("[]"), |endpoint| {
            let Ok(endpoint) = Object::read(endpoint.as_bytes()) else { return };
            let has_address = endpoint.raw("/addresses/0").is_some();
            match endpoint.raw("/conditions/ready") {
                Some("false") => self.unready += 1,
                _ if has_address => self.ready += 1,
                _ => {}
            }
        });
    }

    /// Returns true if no further page can change the verdict.
    pub(super) fn is_decided(&self) -> bool {
        self.ready > 0
    }

    /// Returns the detail of ready endpoints, or the failure.
    pub(super) fn verdict(self, service: &str) -> Result<String, Failure> {
        let Self { slices, ready, unready } = self;
        if ready > 0 {
            let endpoints = if ready == 1 { "endpoint" } else { "endpoints" };
            return Ok(format!("service {service}: {ready} ready {endpoints}"));
        }
        let absent =
            |message: &str| Failure::new(Class::Absent, format!("service {service} {message}"));
        match (slices, unready) {
            (0, _) => Err(absent("has no EndpointSlice")
                .means_down()
                .hint("it does not exist yet, or has neither a selector nor endpoints of its own")),
            (_, 0) => Err(absent("has no endpoints").hint("no pod has the labels of its selector")),
            (_, unready) => Err(Failure::new(
                Class::Busy,
                format!("service {service}: 0 of {unready} endpoints are ready"),
            )),
        }
    }
}
