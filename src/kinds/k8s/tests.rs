//! Every state of every kind of object, as the API server writes them.

use serde_json::{Value, json};

use super::{endpoints, object::Object, pods};
use crate::probe::{Class, Failure};

type Judged = Result<String, Failure>;

fn judged(rule: fn(&Object<'_>) -> Judged, object: &Value) -> (Option<Class>, String) {
    explanation(rule(&Object::read(object.to_string().as_bytes()).unwrap()))
}

fn explanation(judged: Judged) -> (Option<Class>, String) {
    match judged {
        Ok(text) => (None, text),
        Err(failure) => (Some(failure.class), failure.message.to_string()),
    }
}

fn object(name: &str, spec: Value, status: Value) -> Value {
    json!({
        "metadata": {"name": name, "generation": 2, "managedFields": [{"manager": "kubectl"}]},
        "spec": spec,
        "status": status,
    })
}

fn condition(kind: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({"type": kind, "status": status, "reason": reason, "message": message})
}

fn deleted(mut object: Value) -> Value {
    object["metadata"]["deletionTimestamp"] = json!("2026-08-01T12:00:00Z");
    object
}

#[test]
fn a_job_is_ready_when_complete() {
    let job = |status| object("migrate", json!({"completions": 3}), status);
    let complete = json!({"succeeded": 3, "conditions": [
        condition("SuccessCriteriaMet", "True", "CompletionsReached", ""),
        condition("Complete", "True", "CompletionsReached", "Reached expected number of pods")]});
    let limit = "Job has reached the specified backoff limit";
    let failed = |kind: &str| {
        let failed = condition(kind, "True", "BackoffLimitExceeded", limit);
        json!({"conditions": [failed]})
    };
    for (job, class, want) in [
        (
            job(json!({})),
            Some(Class::Busy),
            "is not complete: 0 active, 0 of 3 succeeded, 0 failed",
        ),
        (
            job(json!({"active": 1, "succeeded": 1, "failed": 2, "ready": 1})),
            Some(Class::Busy),
            "is not complete: 1 active, 1 of 3 succeeded, 2 failed",
        ),
        (
            job(json!({"conditions": [condition("Suspended", "True", "JobSuspended", "Job \
                suspended")]})),
            Some(Class::Busy),
            "is suspended: JobSuspended: Job suspended",
        ),
        (
            job(json!({"conditions": [condition("SuccessCriteriaMet", "True", "", "")]})),
            Some(Class::Busy),
            "has succeeded, but its pods have not all ended",
        ),
        (job(complete.clone()), None, "is complete"),
        (deleted(job(complete)), Some(Class::Absent), "is being deleted"),
        (
            job(json!({"conditions": [condition("Complete", "False", "", "")]})),
            Some(Class::Busy),
            "is not complete: 0 active, 0 of 3 succeeded, 0 failed",
        ),
        (
            job(failed("Failed")),
            Some(Class::Failed),
            "has failed: BackoffLimitExceeded: Job has reached the specified backoff limit",
        ),
        (
            job(failed("FailureTarget")),
            Some(Class::Failed),
            "has failed: BackoffLimitExceeded: Job has reached the specified backoff limit",
        ),
    ] {
        assert_eq!(judged(super::job::judge, &job), (class, format!("job migrate {want}")));
    }
}

fn pod(name: &str, phase: &str, conditions: Value) -> Value {
    object(name, json!({}), json!({"phase": phase, "conditions": conditions}))
}

fn ready(name: &str) -> Value {
    pod(name, "Running", json!([condition("Ready", "True", "", "")]))
}

fn unready(name: &str) -> Value {
    let why = "containers with unready status: [web]";
    pod(name, "Running", json!([condition("Ready", "False", "ContainersNotReady", why)]))
}

fn ended(name: &str, phase: &str) -> Value {
    pod(name, phase, json!([condition("Ready", "False", "PodCompleted", "")]))
}

#[test]
fn a_pod_is_ready_when_its_condition_holds() {
    let unscheduled = json!([condition("PodScheduled", "False", "Unschedulable", "0/3 nodes fit")]);
    let mut crashing = unready("web-0");
    crashing["status"]["containerStatuses"] = json!([
        {"name": "log", "state": {"running": {}}},
        {"name": "web", "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off \
            5m0s"}}},
    ]);
    let mut starting = unready("web-0");
    starting["status"]["containerStatuses"] =
        json!([{"name": "web", "state": {"waiting": {"reason": "ContainerCreating"}}}]);
    let mut evicted = ended("web-0", "Failed");
    evicted["status"]["reason"] = json!("Evicted");
    evicted["status"]["message"] = json!("The node was low on resource: memory.");
    let not_ready = "is not ready: ContainersNotReady: containers with unready status: [web]";
    for (pod, class, want) in [
        (ready("web-0"), None, "is ready"),
        (unready("web-0"), Some(Class::Busy), not_ready),
        (starting, Some(Class::Busy), not_ready),
        (
            crashing,
            Some(Class::Busy),
            "is not ready: container web: CrashLoopBackOff: back-off 5m0s",
        ),
        (
            pod("web-0", "Pending", unscheduled),
            Some(Class::Busy),
            "is not ready: Unschedulable: 0/3 nodes fit",
        ),
        (pod("web-0", "Pending", json!([])), Some(Class::Busy), "is not ready: Pending"),
        (object("web-0", json!({}), Value::Null), Some(Class::Busy), "is not ready"),
        (ended("web-0", "Succeeded"), Some(Class::Absent), "has completed"),
        (
            evicted,
            Some(Class::Failed),
            "has failed: Evicted: The node was low on resource: memory.",
        ),
        (deleted(ready("web-0")), Some(Class::Absent), "is being deleted"),
    ] {
        assert_eq!(judged(pods::judge, &pod), (class, format!("pod web-0 {want}")));
    }
}

#[test]
fn pods_that_have_ended_or_are_leaving_do_not_count() {
    let old = [ended("a", "Succeeded"), ended("b", "Failed"), deleted(ready("c"))];
    let with_old = |more: &[Value]| [&old[..], more].concat();
    let many: Vec<Value> = (0..5).map(|n| unready(&format!("web-{n}"))).collect();
    let unready_one =
        "is not ready (web-1): ContainersNotReady: containers with unready status: [web]";
    for (all, class, want) in [
        (vec![], Some(Class::Absent), "no pod has app=web".to_owned()),
        (
            old.to_vec(),
            Some(Class::Absent),
            "no pod with app=web runs (1 completed, 1 failed, 1 being deleted)".to_owned(),
        ),
        (vec![ready("web-0")], None, "1 pod is ready".to_owned()),
        (
            with_old(&[ready("web-0"), ready("web-1")]),
            None,
            "2 pods are ready (1 completed, 1 failed, 1 being deleted)".to_owned(),
        ),
        (
            vec![ready("web-0"), unready("web-1")],
            Some(Class::Busy),
            format!("1 of 2 pods {unready_one}"),
        ),
        (
            many,
            Some(Class::Busy),
            "5 of 5 pods are not ready (web-0, web-1, web-2, ...): ContainersNotReady: containers \
            with unready status: [web]"
                .to_owned(),
        ),
    ] {
        let mut census = pods::Census::default();
        for pod in &all {
            census.add(&Object::read(pod.to_string().as_bytes()).unwrap());
        }
        assert_eq!(census.is_decided(), class == Some(Class::Busy));
        assert_eq!(explanation(census.verdict("app=web", None)), (class, want));
    }
}

#[test]
fn a_pod_that_waits_for_itself_is_told() {
    let mut census = pods::Census::default();
    census.add(&Object::read(unready("web-1").to_string().as_bytes()).unwrap());
    let failure = census.verdict("app=web", Some("web-1")).unwrap_err();
    assert!(failure.hint.as_ref().unwrap().contains("waits for itself"));
}

#[test]
fn a_deployment_is_ready_when_available_at_its_generation() {
    let deployment =
        |replicas: i64, status: Value| object("api", json!({"replicas": replicas}), status);
    let status = |observed: i64, available: i64, conditions: Value| {
        json!({
            "observedGeneration": observed, "availableReplicas": available,
            "conditions": conditions,
        })
    };
    let minimum = |status| condition("Available", status, "MinimumReplicasAvailable", "");
    let late = condition(
        "Progressing",
        "False",
        "ProgressDeadlineExceeded",
        "ReplicaSet \"api-5\" has timed out progressing.",
    );
    let quota = condition("ReplicaFailure", "True", "FailedCreate", "exceeded quota");
    for (deployment, class, want) in [
        (
            deployment(2, status(2, 2, json!([minimum("True")]))),
            None,
            ": 2 of 2 replicas are available",
        ),
        (
            deployment(2, status(2, 1, json!([minimum("True")]))),
            None,
            ": 1 of 2 replicas are available",
        ),
        (
            deployment(2, status(1, 2, json!([minimum("True")]))),
            Some(Class::Busy),
            ": its controller has not seen the latest change yet",
        ),
        (
            deployment(2, json!({})),
            Some(Class::Busy),
            ": its controller has not seen the latest change yet",
        ),
        (
            deployment(0, status(2, 0, json!([minimum("True")]))),
            Some(Class::Absent),
            " is scaled to 0 replicas",
        ),
        (
            deployment(1, status(2, 0, json!([minimum("True")]))),
            Some(Class::Busy),
            ": 0 of 1 replicas are available",
        ),
        (
            deployment(
                2,
                status(
                    2,
                    0,
                    json!([condition("Available", "False", "MinimumReplicasUnavailable", "")]),
                ),
            ),
            Some(Class::Busy),
            ": 0 of 2 replicas are available: MinimumReplicasUnavailable",
        ),
        (
            deployment(2, status(2, 0, json!([minimum("False"), quota]))),
            Some(Class::Busy),
            ": 0 of 2 replicas are available: FailedCreate: exceeded quota",
        ),
        (
            deployment(2, status(2, 0, json!([minimum("False"), late.clone()]))),
            Some(Class::Failed),
            ": 0 of 2 replicas are available: ProgressDeadlineExceeded: ReplicaSet \"api-5\" has \
            timed out progressing.",
        ),
        // The old version still serves.
        (
            deployment(2, status(2, 2, json!([minimum("True"), late]))),
            None,
            ": 2 of 2 replicas are available",
        ),
        (
            deleted(deployment(2, status(2, 2, json!([minimum("True")])))),
            Some(Class::Absent),
            " is being deleted",
        ),
    ] {
        assert_eq!(
            judged(super::rollout::deployment, &deployment),
            (class, format!("deployment api{want}"))
        );
    }
}

#[test]
fn a_stateful_set_is_ready_when_rolled_out() {
    let set = |strategy: Value, ready: i64, updated: i64, current: &str| {
        object(
            "db",
            json!({"replicas": 3, "updateStrategy": strategy}),
            json!({"observedGeneration": 2, "readyReplicas": ready, "updatedReplicas": updated,
                "currentRevision": current, "updateRevision": "db-2"}),
        )
    };
    let rolling = json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 0}});
    let partition = json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 2}});
    let by_hand = json!({"type": "OnDelete"});
    for (set, class, want) in [
        (set(rolling.clone(), 3, 3, "db-2"), None, "3 of 3 replicas are ready"),
        (set(rolling.clone(), 2, 3, "db-2"), Some(Class::Busy), "2 of 3 replicas are ready"),
        (set(rolling, 3, 1, "db-1"), Some(Class::Busy), "1 of 3 replicas are updated"),
        (set(partition.clone(), 3, 1, "db-1"), None, "3 of 3 replicas are ready"),
        (set(partition, 3, 0, "db-1"), Some(Class::Busy), "0 of 3 replicas are updated"),
        (set(by_hand, 3, 0, "db-1"), None, "3 of 3 replicas are ready"),
    ] {
        assert_eq!(
            judged(super::rollout::stateful_set, &set),
            (class, format!("statefulset db: {want}"))
        );
    }
}

#[test]
fn a_daemon_set_is_ready_when_rolled_out() {
    let set = |observed: i64, desired: i64, updated: i64, available: i64| {
        object(
            "log",
            json!({"updateStrategy": {"type": "RollingUpdate"}}),
            json!({"observedGeneration": observed, "desiredNumberScheduled": desired,
                "updatedNumberScheduled": updated, "numberAvailable": available}),
        )
    };
    for (set, class, want) in [
        (set(2, 3, 3, 3), None, "3 of 3 pods are available"),
        (set(2, 3, 3, 2), Some(Class::Busy), "2 of 3 pods are available"),
        (set(2, 3, 1, 3), Some(Class::Busy), "1 of 3 pods are updated"),
        (set(1, 3, 3, 3), Some(Class::Busy), "its controller has not seen the latest change yet"),
        (set(2, 0, 0, 0), Some(Class::Absent), "no node should run its pod"),
    ] {
        assert_eq!(
            judged(super::rollout::daemon_set, &set),
            (class, format!("daemonset log: {want}"))
        );
    }
}

#[test]
fn a_service_is_ready_with_one_ready_endpoint() {
    let endpoint = |conditions: Value| json!({"addresses": ["10.1.2.3"], "conditions": conditions});
    let slice = |endpoints: Value| json!({"metadata": {"name": "api-x"}, "endpoints": endpoints});
    for (slices, class, want) in [
        (vec![], Some(Class::Absent), " has no EndpointSlice"),
        (vec![slice(Value::Null)], Some(Class::Absent), " has no endpoints"),
        (vec![slice(json!([]))], Some(Class::Absent), " has no endpoints"),
        (
            vec![slice(json!([{"addresses": [], "conditions": {}}, {"addresses": null}]))],
            Some(Class::Absent),
            " has no endpoints",
        ),
        (
            vec![slice(json!([endpoint(
                json!({"ready": false, "serving": true, "terminating": true})
            )]))],
            Some(Class::Busy),
            ": 0 of 1 endpoints are ready",
        ),
        (
            vec![
                slice(json!([endpoint(json!({"ready": false}))])),
                slice(json!([endpoint(json!({"ready": false})), endpoint(json!({"ready": true}))])),
            ],
            None,
            ": 1 ready endpoint",
        ),
        // A missing value counts as true.
        (
            vec![slice(json!([endpoint(json!({})), endpoint(json!({"ready": null}))]))],
            None,
            ": 2 ready endpoints",
        ),
        (
            vec![deleted(slice(json!([endpoint(json!({"ready": true}))])))],
            Some(Class::Absent),
            " has no EndpointSlice",
        ),
    ] {
        let mut census = endpoints::Census::default();
        for slice in &slices {
            census.add(&Object::read(slice.to_string().as_bytes()).unwrap());
        }
        assert_eq!(explanation(census.verdict("api")), (class, format!("service api{want}")));
    }
}

#[test]
fn what_is_no_object_is_not_judged() {
    let long = format!(r#"{{"status":{{"x":"{}"}}}}"#, "x".repeat(200_000));
    for text in ["", "<html>", r#"{"status":"#, &long] {
        let failure = Object::read(text.as_bytes()).err().unwrap();
        assert_eq!(failure.class, Class::Protocol, "{}", failure.message);
    }
}
