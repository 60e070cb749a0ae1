//! Server, login and path of declarations, and the meaning of refusals.

use hyper::{HeaderMap, StatusCode};
use serde_json::json;

use super::{
    access::{Access, Pod},
    refusal,
    target::Target,
};
use crate::{
    kinds::http::Answer,
    probe::{BlockingLane, Class, Failure},
    spec::{Spec, expand::Env},
};

/// A pod's files and variables.
struct InPod {
    dir: tempfile::TempDir,
    host: &'static str,
}

impl InPod {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let certificate = rcgen::generate_simple_self_signed(["kubernetes".to_owned()]).unwrap();
        std::fs::write(dir.path().join("ca.crt"), certificate.cert.pem()).unwrap();
        std::fs::write(dir.path().join("namespace"), "app").unwrap();
        std::fs::write(dir.path().join("token"), "t0ken-0ne\n").unwrap();
        Self { dir, host: "10.96.0.1" }
    }

    fn spec(&self, text: &str) -> Spec {
        let host = self.host;
        let env = Env::new(move |name| match name {
            "KUBERNETES_SERVICE_HOST" if !host.is_empty() => Some(host.into()),
            "KUBERNETES_SERVICE_PORT" => Some("6443".into()),
            _ => None,
        });
        Spec::parse("x", &super::KIND, text, &env).unwrap()
    }

    fn access(&self, text: &str) -> Result<Access, String> {
        let pod = Pod::at(self.dir.path().to_str().unwrap());
        Access::from_spec(&self.spec(text), &pod)
            .map_err(|error| error.to_string().replace(self.dir.path().to_str().unwrap(), "DIR"))
    }

    async fn login(&self, access: &Access) -> Result<Option<String>, Failure> {
        let secrets = self.spec("k8s:job/a").secrets().clone();
        let header = access.authorization(&BlockingLane::default(), &secrets).await?;
        Ok(header.map(|header| header.to_str().unwrap().to_owned()))
    }
}

#[tokio::test]
async fn a_pods_own_files_are_the_default() {
    let pod = InPod::new();
    let access = pod.access("k8s:job/a").unwrap();
    assert_eq!(access.url.as_str(), "https://10.96.0.1:6443/");
    assert_eq!((access.namespace.as_str(), access.tls.is_some()), ("app", true));
    assert_eq!(pod.login(&access).await.unwrap().unwrap(), "Bearer t0ken-0ne");
    // The kubelet has replaced it.
    std::fs::write(pod.dir.path().join("token"), "t0ken-2wo").unwrap();
    assert_eq!(pod.login(&access).await.unwrap().unwrap(), "Bearer t0ken-2wo");
    std::fs::remove_file(pod.dir.path().join("token")).unwrap();
    let failure = pod.login(&access).await.unwrap_err();
    assert_eq!(failure.class, Class::Auth, "{}", failure.message);
    assert_eq!(pod.access("k8s:job/a#namespace=other,bearer=b").unwrap().namespace, "other");
    let v6 = InPod { host: "fd00::1", ..InPod::new() };
    assert_eq!(v6.access("k8s:job/a").unwrap().url.as_str(), "https://[fd00::1]:6443/");
}

#[tokio::test]
async fn another_server_never_gets_the_pods_token() {
    let pod = InPod::new();
    let elsewhere = "k8s:job/a#server=https://api.example:6443/prefix/,namespace=x";
    let access = pod.access(elsewhere).unwrap();
    assert_eq!(access.url.as_str(), "https://api.example:6443/prefix");
    assert!(!access.has_token() && pod.login(&access).await.unwrap().is_none());
    let access = pod.access(&format!("{elsewhere},bearer=b3arer")).unwrap();
    assert_eq!(pod.login(&access).await.unwrap().unwrap(), "Bearer b3arer");
    let own = format!("{elsewhere},token-file={}/token", pod.dir.path().display());
    let access = pod.access(&own).unwrap();
    assert_eq!(pod.login(&access).await.unwrap().unwrap(), "Bearer t0ken-0ne");
    let proxy = pod.access("k8s:job/a#server=http://127.0.0.1:8001,namespace=x").unwrap();
    assert!(proxy.tls.is_none() && !proxy.has_token());
}

#[test]
fn a_wrong_access_says_what_must_be() {
    let outside = InPod { host: "", ..InPod::new() };
    let without = |file: &str| {
        let pod = InPod::new();
        std::fs::remove_file(pod.dir.path().join(file)).unwrap();
        pod
    };
    let pod = InPod::new();
    for (pod, text, want) in [
        (
            &outside,
            "k8s:job/a",
            "x: not in a pod (KUBERNETES_SERVICE_HOST is not set): server must",
        ),
        (
            &without("token"),
            "k8s:job/a",
            "x: DIR/token: no such file or directory; a pod without a service account's token",
        ),
        (
            &without("namespace"),
            "k8s:job/a",
            "x: namespace: must be given, because DIR/namespace cannot be read",
        ),
        (
            &without("ca.crt"),
            "k8s:job/a",
            "x: DIR/ca.crt: no such file or directory; a pod without",
        ),
        (&pod, "k8s:job/a#server=https://h", "x: namespace: must be given with server"),
        (&pod, "k8s:job/a#server=h:6443", "x: server: must be a URL"),
        (&pod, "k8s:job/a#server=https://u:p@h,namespace=a", "x: server: must be a URL"),
        (&pod, "k8s:job/a#server=http://h,namespace=a,insecure", "x: server: must be https:"),
        (&pod, "k8s:job/a#namespace=a/b", "x: namespace: must be the name of a namespace"),
        (&pod, "k8s:job/a#bearer=b,token-file=/t", "x: bearer: token-file is given too"),
        (&pod, "k8s:job/a#bearer=", "x: bearer: must be a token of one line"),
        (&pod, "k8s:job/a#token-file=/none", "x: token-file: /none: no such file"),
    ] {
        let error = pod.access(text).err().unwrap_or_else(|| panic!("{text}"));
        assert!(error.starts_with(want), "{text}: {error}");
    }
}

#[test]
fn a_target_is_a_kind_and_a_name() {
    let pod = InPod::new();
    let path = |text: &str| {
        Target::from_spec(&pod.spec(text))
            .map(|target| target.path("app"))
            .map_err(|e| e.to_string())
    };
    for (text, want) in [
        ("k8s:job/a", "/apis/batch/v1/namespaces/app/jobs"),
        ("k8s:pod/a.b-1", "/api/v1/namespaces/app/pods"),
        ("k8s:pods/app in (a, b),!x", "/api/v1/namespaces/app/pods"),
        ("k8s:deploy/a", "/apis/apps/v1/namespaces/app/deployments"),
        ("k8s:statefulset/a", "/apis/apps/v1/namespaces/app/statefulsets"),
        ("k8s:ds/a", "/apis/apps/v1/namespaces/app/daemonsets"),
        ("k8s:service/a", "/apis/discovery.k8s.io/v1/namespaces/app/endpointslices"),
    ] {
        assert_eq!(path(text).as_deref(), Ok(want), "{text}");
    }
    for (text, want) in [
        ("k8s:a", "must be job/NAME"),
        ("k8s://host/job/a", "must be job/NAME"),
        ("k8s:cronjob/a", "must be job/NAME"),
        ("k8s:job/", "the name of a job must be"),
        ("k8s:job/a/b", "the name of a job must be"),
        ("k8s:job/../pods/a", "the name of a job must be"),
        ("k8s:job/A", "the name of a job must be"),
        ("k8s:pods/", "pods/ must be followed by a label selector"),
        ("k8s:pods/a=b&limit=1", "the label selector must be as in kubectl -l"),
    ] {
        let error = path(text).unwrap_err();
        assert!(error.starts_with(&format!("x: {want}")), "{text}: {error}");
    }
}

#[test]
fn a_refusal_is_told_in_the_servers_words() {
    let pod = InPod::new();
    let access = pod.access("k8s:job/a").unwrap();
    let target = Target::from_spec(&pod.spec("k8s:job/migrate")).unwrap();
    let status = |reason: &str, message: &str| {
        json!({"kind": "Status", "status": "Failure", "reason": reason, "message": message})
            .to_string()
    };
    let not_found = status("NotFound", "jobs.batch \"migrate\" not found");
    for (code, body, class, want) in [
        (
            404,
            not_found.as_str(),
            Class::Absent,
            "not there yet (404: jobs.batch \"migrate\" not found)",
        ),
        (404, "404 page not found", Class::Absent, "status 404 Not Found, wanted 200"),
        (401, &status("Unauthorized", "Unauthorized"), Class::Auth, "401: Unauthorized"),
        (
            403,
            &status("Forbidden", "jobs.batch is forbidden"),
            Class::Auth,
            "403: jobs.batch is forbidden",
        ),
        (403, "", Class::Auth, "status 403 Forbidden, wanted 200"),
        (
            400,
            &status("BadRequest", "unable to parse requirement"),
            Class::Config,
            "400: unable to parse requirement",
        ),
        (
            400,
            &status("BadRequest", "continue key is not valid"),
            Class::Absent,
            "400: continue key is not valid",
        ),
        (
            400,
            "Client sent an HTTP request to an HTTPS server.",
            Class::Protocol,
            "the port speaks TLS: Client sent an HTTP request to an HTTPS server",
        ),
        (
            410,
            &status("Expired", "The provided continue parameter is too old"),
            Class::Busy,
            "410: The provided continue parameter is too old",
        ),
        (
            429,
            &status("TooManyRequests", "too many requests"),
            Class::Busy,
            "429: too many requests",
        ),
        (
            500,
            &status("InternalError", "etcdserver: leader changed"),
            Class::Busy,
            "500: etcdserver: leader changed",
        ),
        (504, &status("Timeout", "request timed out"), Class::Busy, "504: request timed out"),
        (302, "", Class::Absent, "status 302 Found, wanted 200"),
    ] {
        let answer = Answer {
            status: StatusCode::from_u16(code).unwrap(),
            headers: HeaderMap::new(),
            body: body.as_bytes().to_vec(),
            cut: false,
        };
        let failure = refusal::failure(&answer, &target, &access);
        assert_eq!((failure.class, failure.message.as_str()), (class, want), "{code}");
        assert_eq!(failure.means_down, body == not_found, "{code}");
    }
}

#[test]
fn a_missing_right_is_shown_as_a_rule_in_yaml() {
    let pod = InPod::new();
    let access = pod.access("k8s:job/a").unwrap();
    for (text, want) in [
        (
            "k8s:job/migrate",
            concat!(
                r#"{apiGroups: ["batch"], resources: [jobs], verbs: [get], "#,
                r#"resourceNames: ["migrate"]}"#,
            ),
        ),
        (
            "k8s:pod/1",
            r#"{apiGroups: [""], resources: [pods], verbs: [get], resourceNames: ["1"]}"#,
        ),
        ("k8s:pods/app=web", r#"{apiGroups: [""], resources: [pods], verbs: [list]}"#),
        (
            "k8s:service/api",
            r#"{apiGroups: ["discovery.k8s.io"], resources: [endpointslices], verbs: [list]}"#,
        ),
    ] {
        let rule = refusal::rule(&Target::from_spec(&pod.spec(text)).unwrap(), &access);
        let (_, yaml) = rule.split_once("rules: ").unwrap();
        assert_eq!(yaml, format!("- {want}"));
        let read = yaml_rust2::YamlLoader::load_from_str(yaml).unwrap();
        assert!(read[0][0]["apiGroups"][0].as_str().is_some(), "{yaml}");
    }
}
