//! A Job is complete, or has failed.
//!
//! Source: batch/v1 `JobStatus`. `Complete` and `Failed` are final. `SuccessCriteriaMet` and
//! `FailureTarget` precede them while pods still end (Kubernetes 1.31).

use super::object::Object;
use crate::probe::{Class, Failure};

/// Returns the detail of a complete Job, or the failure.
pub(super) fn judge(job: &Object<'_>) -> Result<String, Failure> {
    let name = job.name();
    let failure =
        |class, message: String| Err(Failure::new(class, format!("job {name} {message}")));
    if job.is_being_deleted() {
        return failure(Class::Absent, "is being deleted".to_owned());
    }
    if job.holds("Complete").is_some() {
        return Ok(format!("job {name} is complete"));
    }
    if let Some(failed) = job.holds("Failed").or_else(|| job.holds("FailureTarget")) {
        return failure(Class::Failed, format!("has failed{}", failed.explanation()));
    }
    if let Some(suspended) = job.holds("Suspended") {
        return failure(Class::Busy, format!("is suspended{}", suspended.explanation()));
    }
    if job.holds("SuccessCriteriaMet").is_some() {
        return failure(Class::Busy, "has succeeded, but its pods have not all ended".to_owned());
    }
    let [active, succeeded, failed] = ["active", "succeeded", "failed"].map(|name| job.count(name));
    // Without completions, the first pod that succeeds completes the Job.
    let wanted = job.number("/spec/completions").unwrap_or(1);
    let progress = format!("{active} active, {succeeded} of {wanted} succeeded, {failed} failed");
    failure(Class::Busy, format!("is not complete: {progress}"))
}
