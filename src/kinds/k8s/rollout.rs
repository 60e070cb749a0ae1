//! A Deployment is available. A StatefulSet or DaemonSet is rolled out.
//!
//! Sources: apps/v1, and `rollout_status.go` of kubectl.

use super::object::Object;
use crate::probe::{Class, Failure};

/// A Deployment is ready when it is `Available` at its current generation and has a pod that is.
///
/// A new version may still roll out, because the Deployment serves meanwhile.
pub(super) fn deployment(object: &Object<'_>) -> Result<String, Failure> {
    let place = format!("deployment {}", object.name());
    let wanted = wanted(object, &place)?;
    let available = object.count("availableReplicas");
    let progress = format!("{available} of {wanted} replicas are available");
    let is_available = object.holds("Available").is_some();
    if is_available && available > 0 {
        return Ok(format!("{place}: {progress}"));
    }
    let progressing = object.condition("Progressing");
    if let Some(late) = progressing.filter(|at| at.reason == "ProgressDeadlineExceeded") {
        let message = format!("{place}: {progress}{}", late.explanation());
        return Err(Failure::new(Class::Failed, message));
    }
    let reason = object
        .holds("ReplicaFailure")
        .or_else(|| object.condition("Available").filter(|condition| condition.status != "True"));
    let reason = reason.map(|reason| reason.explanation()).unwrap_or_default();
    Err(Failure::new(Class::Busy, format!("{place}: {progress}{reason}")))
}

/// A StatefulSet is ready when all its pods are, and have the current revision.
pub(super) fn stateful_set(object: &Object<'_>) -> Result<String, Failure> {
    let place = format!("statefulset {}", object.name());
    let wanted = wanted(object, &place)?;
    let (ready, updated) = (object.count("readyReplicas"), object.count("updatedReplicas"));
    if ready < wanted {
        return busy(format!("{place}: {ready} of {wanted} replicas are ready"));
    }
    // With OnDelete, pods are updated only when somebody deletes them.
    if object.text("/spec/updateStrategy/type") == "OnDelete" {
        return Ok(format!("{place}: {ready} of {wanted} replicas are ready"));
    }
    let partition = object.number("/spec/updateStrategy/rollingUpdate/partition").unwrap_or(0);
    let current = object.status("/currentRevision") == object.status("/updateRevision");
    let is_updated = match partition {
        0 => current || updated >= wanted,
        partition => updated >= wanted - partition,
    };
    if is_updated {
        Ok(format!("{place}: {ready} of {wanted} replicas are ready"))
    } else {
        busy(format!("{place}: {updated} of {wanted} replicas are updated"))
    }
}

/// A DaemonSet is ready when each node that should run a pod has an available and updated one.
pub(super) fn daemon_set(object: &Object<'_>) -> Result<String, Failure> {
    let place = format!("daemonset {}", object.name());
    observed(object, &place)?;
    let [wanted, available, updated] =
        ["desiredNumberScheduled", "numberAvailable", "updatedNumberScheduled"]
            .map(|name| object.count(name));
    if wanted == 0 {
        return Err(Failure::new(Class::Absent, format!("{place}: no node should run its pod")));
    }
    if available < wanted {
        return busy(format!("{place}: {available} of {wanted} pods are available"));
    }
    if updated < wanted && object.text("/spec/updateStrategy/type") != "OnDelete" {
        return busy(format!("{place}: {updated} of {wanted} pods are updated"));
    }
    Ok(format!("{place}: {available} of {wanted} pods are available"))
}

/// Returns the number of replicas that should run. At zero no pod serves, whatever the conditions.
fn wanted(object: &Object<'_>, place: &str) -> Result<i64, Failure> {
    observed(object, place)?;
    match object.number("/spec/replicas").unwrap_or(1) {
        0 => Err(Failure::new(Class::Absent, format!("{place} is scaled to 0 replicas"))),
        wanted => Ok(wanted),
    }
}

/// Until the controller has seen the newest change, `status` describes an older one.
fn observed(object: &Object<'_>, place: &str) -> Result<(), Failure> {
    if object.is_being_deleted() {
        return Err(Failure::new(Class::Absent, format!("{place} is being deleted")));
    }
    if object.is_observed() {
        Ok(())
    } else {
        busy(format!("{place}: its controller has not seen the latest change yet"))
    }
}

fn busy<T>(message: String) -> Result<T, Failure> {
    Err(Failure::new(Class::Busy, message))
}
