//! `k8s:` against a scripted API server, with kubectl as the judge of its states.

use crate::recipes::texts;
use crate::support::kubernetes::{Kubernetes, Rule, TOKEN, refusal};
use crate::support::process::program;
use crate::support::{Afterall, Dir, Done, secs, sh};
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::process::Command;

fn once(api: &Kubernetes, what: &str) -> Done {
    let declared = format!("{what}#{}", api.keys());
    Afterall::new().args(["--once", "--attempt-timeout", "4m", &declared]).run()
}

fn ready(api: &Kubernetes, what: &str, says: &str) {
    once(api, what).code(0).stdout_has(says);
}

fn not_ready(api: &Kubernetes, what: &str, class: &str, says: &str) {
    once(api, what).code(69).stdout_has(&format!("[class={class}]")).stdout_has(says);
}

/// An object as `kubectl get -o json` shows it.
fn object(api: &str, kind: &str, name: &str, spec: Value, status: Value) -> Value {
    json!({
        "apiVersion": api,
        "kind": kind,
        "metadata": {
            "name": name, "namespace": "app", "labels": {"app": "web"}, "generation": 2,
            "uid": "0b1c2d3e-0000-4000-8000-000000000000", "resourceVersion": "4711",
            "creationTimestamp": "2026-08-01T12:00:00Z",
            "managedFields": [{"manager": "kube-controller-manager", "operation": "Update",
                "apiVersion": api, "fieldsType": "FieldsV1", "fieldsV1": {"f:status": {}}}],
        },
        "spec": spec,
        "status": status,
    })
}

fn condition(kind: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({"type": kind, "status": status, "reason": reason, "message": message,
        "lastTransitionTime": "2026-08-01T12:00:00Z"})
}

fn job(status: Value) -> Value {
    let spec = json!({"parallelism": 1, "completions": 1, "backoffLimit": 6});
    object("batch/v1", "Job", "migrate", spec, status)
}

fn pod(name: &str, phase: &str, is_ready: &str) -> Value {
    let status = json!({"phase": phase, "conditions": [
        condition("Initialized", "True", "", ""),
        condition("Ready", is_ready, "", ""),
        condition("PodScheduled", "True", "", "")]});
    let spec = json!({"containers": [{"name": "web", "image": "web:1"}]});
    object("v1", "Pod", name, spec, status)
}

fn workload(kind: &str, name: &str, spec: Value, status: Value) -> Value {
    object("apps/v1", kind, name, spec, status)
}

fn slice(name: &str, is_ready: &[bool]) -> Value {
    let endpoints: Vec<Value> = is_ready
        .iter()
        .map(|ready| {
            json!({"addresses": ["10.1.2.3"], "targetRef": {"kind": "Pod", "name": "web-0"},
                "conditions": {"ready": ready, "serving": ready, "terminating": false}})
        })
        .collect();
    json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": name, "namespace": "app", "labels": {"kubernetes.io/service-name": "ap\
            i"}},
        "endpoints": endpoints, "ports": [{"name": "http", "protocol": "TCP", "port": 8080}]})
}

#[test]
fn a_job_is_waited_for_until_it_is_complete() {
    let api = Kubernetes::new();
    let waiting = Afterall::waiting_for([format!("k8s:job/migrate#{}", api.keys())])
        .becoming(sh("echo started"))
        .spawn();
    let wait_for = |text: &str| waiting.wait_for_stderr(text, secs(30));
    wait_for("waiting: not there yet (404: jobs.batch \"migrate\" not found) [class=absent");
    api.put("jobs", job(json!({"active": 1})));
    wait_for("job migrate is not complete: 1 active, 0 of 1 succeeded, 0 failed [class=busy");
    let limit = condition("Failed", "True", "BackoffLimitExceeded", "reached the backoff limit");
    api.put("jobs", job(json!({"failed": 7, "conditions": [limit]})));
    wait_for(
        "job migrate has failed: BackoffLimitExceeded: reached the backoff limit [class=failed",
    );
    // The operator has mended it, and has made a new one.
    let complete = condition("Complete", "True", "CompletionsReached", "");
    api.put("jobs", job(json!({"succeeded": 1, "conditions": [complete]})));
    waiting.done().code(0).stdout("started\n").stderr_has("ready: job migrate is complete");
}

#[test]
fn a_failed_job_ends_the_wait_where_fail_fast_says_so() {
    let api = Kubernetes::new();
    let failed = condition("Failed", "True", "DeadlineExceeded", "Job was active too long");
    api.put("jobs", job(json!({"conditions": [failed]})));
    Afterall::waiting_for([format!("m=k8s:job/migrate#{},fail-fast=failed", api.keys())])
        .run()
        .code(69)
        .stderr_has("m: cannot become ready: job migrate has failed: DeadlineExceeded");
}

#[test]
fn a_service_is_waited_for_until_an_endpoint_is_ready() {
    let api = Kubernetes::new();
    let waiting = Afterall::waiting_for([format!("k8s:service/api#{}", api.keys())]).spawn();
    let wait_for = |text: &str| waiting.wait_for_stderr(text, secs(30));
    wait_for("service api has no EndpointSlice [class=absent");
    api.put("endpointslices", slice("api-1", &[false, false]));
    wait_for("service api: 0 of 2 endpoints are ready [class=busy");
    api.put("endpointslices", slice("api-2", &[true]));
    waiting.done().code(0).stderr_has("ready: service api: 1 ready endpoint");
}

#[test]
fn all_pages_of_a_list_count() {
    let api = Kubernetes::new();
    not_ready(&api, "k8s:pods/app=web", "absent", "no pod has app=web");
    for n in 0..250 {
        api.put("pods", pod(&format!("web-{n:03}"), "Running", "True"));
    }
    ready(&api, "k8s:pods/app=web", "250 pods are ready");
    let pages = api.requests().iter().filter(|request| request.contains("continue=")).count();
    assert_eq!(pages, 2);
    api.put("pods", pod("web-249", "Pending", "False"));
    not_ready(&api, "k8s:pods/app=web", "busy", "1 of 250 pods is not ready (web-249): Pending");
    not_ready(&api, "k8s:pods/app=other", "absent", "no pod has app=other");
    once(&api, "k8s:pods/app").code(69).stdout_has("unable to parse requirement");
}

#[test]
fn large_objects_are_asked_for_in_smaller_pages() {
    let api = Kubernetes::new();
    for n in 0..12 {
        let mut large = pod(&format!("web-{n:02}"), "Running", "True");
        large["metadata"]["annotations"] = json!({"large": "x".repeat(500_000)});
        api.put("pods", large);
    }
    ready(&api, "k8s:pods/app=web", "12 pods are ready");
    let mut huge = job(json!({}));
    huge["metadata"]["annotations"] = json!({"large": "x".repeat(5_000_000)});
    api.put("jobs", huge);
    not_ready(&api, "k8s:job/migrate", "protocol", "the object is longer than 4 MiB");
}

#[test]
fn a_refusal_names_the_rule_that_is_missing() {
    let api = Kubernetes::new();
    api.put("jobs", job(json!({})));
    api.deny(&["jobs", "pods"]);
    not_ready(
        &api,
        "k8s:job/migrate",
        "auth",
        "cannot get resource \"jobs\" in API group \"batch\"",
    );
    once(&api, "k8s:job/migrate").code(69).stdout_has(
        "- {apiGroups: [\"batch\"], resources: [jobs], verbs: [get], resourceNames: [\"migrate\"]}",
    );
    once(&api, "k8s:pods/app=web")
        .code(69)
        .stdout_has("- {apiGroups: [\"\"], resources: [pods], verbs: [list]}");
    api.set_token("another");
    once(&api, "k8s:job/migrate")
        .code(69)
        .stdout_has("401: Unauthorized [class=auth]")
        .stdout_has("the token has expired");
}

#[test]
fn a_server_in_trouble_is_busy() {
    let api = Kubernetes::new();
    let leader = refusal(500, "InternalError", "etcdserver: leader changed");
    api.answer_with(Some(leader));
    not_ready(&api, "k8s:job/migrate", "busy", "500: etcdserver: leader changed");
    api.answer_with(Some(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}".to_vec()));
    not_ready(&api, "k8s:job/migrate", "protocol", "not the Kubernetes API");
    not_ready(&api, "k8s:pods/app=web", "protocol", "not the Kubernetes API");
}

#[test]
fn an_object_that_is_gone_is_down_but_a_dead_server_is_not() {
    let api = Kubernetes::new();
    let down = |timeout: &str, keys: &str| {
        let declared = format!("k8s:pod/old#until=down,timeout={timeout},{keys}");
        Afterall::waiting_for([declared]).run()
    };
    down("60s", &api.keys())
        .code(0)
        .stderr_has("gone: not there yet (404: pods \"old\" not found)");
    let keys = api.keys();
    let _authority = api.stop();
    down("1s", &keys).code(124).stderr_has("class=connect");
}

/// A pod's files, but for the CA.
fn pod_files() -> Dir {
    let dir = Dir::new();
    dir.write("namespace", "app");
    dir.write("token", TOKEN);
    dir
}

/// Runs the binary in a mount namespace that has a pod's files, from `dir`.
fn in_pod<S: AsRef<OsStr>>(
    dir: &Dir,
    api: &Kubernetes,
    words: impl IntoIterator<Item = S>,
) -> Afterall {
    let script = format!(
        "at=/run/secrets/kubernetes.io/serviceaccount
         mount -t tmpfs none /run && mkdir -p $at && mount --bind {} $at && exec \"$@\"",
        dir.path().display()
    );
    let is_root = rustix::process::geteuid().is_root();
    let user = (!is_root).then_some("--map-root-user");
    let unshare = ["unshare", "--mount"].into_iter().chain(user);
    Afterall::waiting_for(words)
        .env("KUBERNETES_SERVICE_HOST", api.address().ip().to_string())
        .env("KUBERNETES_SERVICE_PORT", api.address().port().to_string())
        .under(unshare.chain(["sh", "-c", &script, "sh"]))
}

#[test]
fn a_pod_needs_no_keys_and_its_token_may_change() {
    let (api, dir) = (Kubernetes::new(), pod_files());
    dir.write("ca.crt", std::fs::read(&api.authority.cert).unwrap());
    api.put("jobs", job(json!({"active": 1})));
    let waiting = in_pod(&dir, &api, ["k8s:job/migrate"]).spawn();
    waiting.wait_for_stderr("is not complete", secs(30));
    api.set_token("t0ken-2wo");
    waiting.wait_for_stderr("401: Unauthorized", secs(30));
    dir.write("token", "t0ken-2wo\n");
    let complete = condition("Complete", "True", "", "");
    api.put("jobs", job(json!({"succeeded": 1, "conditions": [complete]})));
    waiting.done().code(0).stderr_has("ready: job migrate is complete");
    std::fs::remove_file(dir.join("token")).unwrap();
    in_pod(&dir, &api, ["k8s:job/migrate"])
        .run()
        .code(64)
        .stderr_has("a pod without a service account's token");
}

#[test]
fn the_recipe_for_a_job_needs_no_more_than_its_role() {
    let documents = texts::yaml(&texts::read("examples/kubernetes/job.yaml"));
    let of_kind = |kind: &str| {
        documents.iter().find(|document| document["kind"].as_str() == Some(kind)).unwrap()
    };
    let (role, binding) = (of_kind("Role"), of_kind("RoleBinding"));
    let pod = &of_kind("Deployment")["spec"]["template"]["spec"];
    assert_eq!(binding["roleRef"]["name"], role["metadata"]["name"]);
    assert_eq!(binding["subjects"][0]["name"], pod["serviceAccountName"]);
    assert_eq!(of_kind("ServiceAccount")["metadata"]["name"], pod["serviceAccountName"]);
    let rules = role["rules"].as_vec().unwrap().iter().map(|rule| Rule {
        groups: texts::words(&rule["apiGroups"]),
        resources: texts::words(&rule["resources"]),
        verbs: texts::words(&rule["verbs"]),
        names: texts::words(&rule["resourceNames"]),
    });
    let (api, dir) = (Kubernetes::new(), pod_files());
    dir.write("ca.crt", std::fs::read(&api.authority.cert).unwrap());
    api.allow_only(rules.collect());
    let name = of_kind("Job")["metadata"]["name"].as_str().unwrap();
    let complete = json!({"conditions": [condition("Complete", "True", "", "")]});
    api.put("jobs", object("batch/v1", "Job", name, json!({}), complete));
    let args = texts::words(&pod["containers"][0]["args"]);
    let wait: Vec<&String> = args.iter().take_while(|word| *word != "--").collect();
    let waiting = in_pod(&dir, &api, wait).becoming(["echo", "started"]).spawn();
    waiting.wait_for_stderr("search: waiting: not there yet", secs(30));
    // Otherwise the Job may be the last one.
    waiting.wait_for_stderr(": ready: ", secs(30));
    let status = json!({"observedGeneration": 2, "availableReplicas": 1,
        "conditions": [condition("Available", "True", "", "")]});
    api.put("deployments", workload("Deployment", "search", json!({"replicas": 1}), status));
    waiting
        .done()
        .code(0)
        .stdout("started\n")
        .stderr_has("search was last")
        .stderr_lacks("class=auth");
    // One rule less is a refusal.
    api.allow_only(Vec::new());
    in_pod(&dir, &api, ["--fail-fast=auth", "k8s:job/migrate-1.4.2"])
        .run()
        .code(69)
        .stderr_has("resourceNames: [\"migrate-1.4.2\"]");
}

/// Returns true if kubectl with these words succeeds at once.
fn kubectl(api: &Kubernetes, cache: &Dir, words: &[&str]) -> String {
    let done = Command::new(program("kubectl", "kubernetes-client"))
        .args(["--server", &format!("https://{}", api.address()), "--token", TOKEN])
        .args(["--certificate-authority", api.authority.cert_text(), "--namespace", "app"])
        .args(["--cache-dir", &cache.text("cache"), "--request-timeout", "20s"])
        .args(words)
        .env_clear()
        .env("HOME", cache.path())
        .output()
        .unwrap();
    let text = [done.stdout, done.stderr].concat();
    format!("{} {}", done.status.success(), String::from_utf8_lossy(&text))
}

#[test]
fn kubectl_agrees_on_every_state() {
    let (api, cache) = (Kubernetes::new(), Dir::new());
    let wait = |what: &str, until: &str| {
        let until = format!("--for=condition={until}");
        kubectl(&api, &cache, &["wait", what, &until, "--timeout=0s"]).starts_with("true")
    };
    let rolled_out = |what: &str| {
        let said = kubectl(&api, &cache, &["rollout", "status", what, "--watch=false"]);
        assert!(said.starts_with("true"), "{said}");
        said.contains("successfully rolled out") || said.contains("update complete")
    };
    let is_ready = |what: &str| once(&api, &format!("k8s:{what}")).any_stdout().status().success();
    for status in [
        json!({"active": 1}),
        json!({"conditions": [condition("Failed", "True", "BackoffLimitExceeded", "")]}),
        json!({"conditions": [condition("SuccessCriteriaMet", "True", "", "")]}),
        json!({"succeeded": 1, "conditions": [condition("Complete", "True", "", "")]}),
    ] {
        api.put("jobs", job(status.clone()));
        assert_eq!(is_ready("job/migrate"), wait("job/migrate", "Complete"), "{status}");
    }
    for (phase, status) in
        [("Pending", "False"), ("Running", "False"), ("Running", "True"), ("Succeeded", "False")]
    {
        api.put("pods", pod("web-0", phase, status));
        assert_eq!(is_ready("pod/web-0"), wait("pod/web-0", "Ready"), "{phase} {status}");
    }
    for (observed, available, condition_status) in [(2, 1, "True"), (2, 0, "False"), (1, 1, "True")]
    {
        let status = json!({"observedGeneration": observed, "replicas": 1,
            "availableReplicas": available, "updatedReplicas": 1,
            "conditions": [condition("Available", condition_status, "", "")]});
        api.put("deployments", workload("Deployment", "web", json!({"replicas": 1}), status));
        // kubectl wait compares no generations for Available; rollout status does.
        let theirs = wait("deployment/web", "Available") && rolled_out("deployment/web");
        assert_eq!(is_ready("deployment/web"), theirs, "{observed} {available}");
    }
    for (observed, ready, updated, current) in
        [(2, 3, 3, "web-2"), (2, 2, 3, "web-2"), (2, 3, 1, "web-1"), (1, 3, 3, "web-2")]
    {
        let status = json!({"observedGeneration": observed, "replicas": 3, "readyReplicas": ready,
            "updatedReplicas": updated, "currentRevision": current, "updateRevision": "web-2"});
        let spec = json!({"replicas": 3, "updateStrategy": {"type": "RollingUpdate"}});
        api.put("statefulsets", workload("StatefulSet", "web", spec, status));
        let theirs = rolled_out("statefulset/web");
        assert_eq!(is_ready("statefulset/web"), theirs, "{observed} {ready} {updated}");
    }
    for (observed, available, updated) in [(2, 3, 3), (2, 2, 3), (2, 3, 1), (1, 3, 3)] {
        let status = json!({"observedGeneration": observed, "desiredNumberScheduled": 3,
            "numberAvailable": available, "updatedNumberScheduled": updated});
        let spec = json!({"updateStrategy": {"type": "RollingUpdate"}});
        api.put("daemonsets", workload("DaemonSet", "web", spec, status));
        let theirs = rolled_out("daemonset/web");
        assert_eq!(is_ready("daemonset/web"), theirs, "{observed} {available} {updated}");
    }
}
