//! docs/recipes.md: each command line against the replies that the product's documentation
//! describes.

use super::texts::{in_markdown, read};
use crate::support::{Afterall, Dir, Http, response};

/// A reply, and the class of the verdict; `ready` if it is one.
type Reply = (u16, &'static str, &'static str);

/// The dependency's name, the request line, and replies from a cold product to a ready one.
const RECIPES: &[(&str, &str, &[Reply])] = &[
    (
        "influxdb",
        "GET /health HTTP/1.1",
        &[
            (404, "404 page not found\n", "absent"),
            (503, r#"{"name":"influxdb","status":"fail","checks":[]}"#, "busy"),
            (
                200,
                concat!(
                    r#"{"name":"influxdb","message":"ready for queries and writes","#,
                    r#""status":"pass","checks":[],"version":"v2.7.1"}"#
                ),
                "ready",
            ),
        ],
    ),
    (
        "influxdb-setup",
        "GET /api/v2/setup HTTP/1.1",
        &[(200, r#"{"allowed": true}"#, "absent"), (200, r#"{"allowed": false}"#, "ready")],
    ),
    (
        "elasticsearch",
        "GET /_cluster/health?wait_for_status=yellow&timeout=1s HTTP/1.1",
        &[
            (401, r#"{"error":{"type":"security_exception"},"status":401}"#, "auth"),
            (503, r#"{"error":{"type":"master_not_discovered_exception"},"status":503}"#, "busy"),
            (408, r#"{"cluster_name":"es","status":"red","timed_out":true}"#, "absent"),
            // Before version 7.
            (200, r#"{"cluster_name":"es","status":"red","timed_out":true}"#, "absent"),
            (200, r#"{"cluster_name":"es","status":"yellow","timed_out":false}"#, "ready"),
        ],
    ),
    (
        "clickhouse",
        "GET /?query=SELECT+count()+FROM+app.events HTTP/1.1",
        &[
            (403, "Code: 516. DB::Exception: app: Authentication failed", "auth"),
            (404, "Code: 60. DB::Exception: Table app.events does not exist", "absent"),
            (200, "0\n", "ready"),
        ],
    ),
    (
        "replicas",
        "GET /replicas_status HTTP/1.1",
        &[
            (503, "app.events: Absolute delay: 22. Relative delay: 22.\n", "busy"),
            (200, "Ok.\n", "ready"),
        ],
    ),
    (
        "etcd",
        "GET /health HTTP/1.1",
        &[
            (503, r#"{"health":"false","reason":"RAFT NO LEADER"}"#, "busy"),
            (200, r#"{"health":"false","reason":"ALARM NOSPACE"}"#, "absent"),
            (200, r#"{"health":"true","reason":""}"#, "ready"),
        ],
    ),
    (
        "consul",
        "GET /v1/status/leader HTTP/1.1",
        &[
            (500, "No cluster leader", "absent"),
            (200, r#""""#, "absent"),
            (200, r#""10.1.10.12:8300""#, "ready"),
        ],
    ),
    (
        "vault",
        "GET /v1/sys/health HTTP/1.1",
        &[
            (501, r#"{"initialized":false,"sealed":true}"#, "absent"),
            (503, r#"{"initialized":true,"sealed":true}"#, "busy"),
            (472, r#"{"initialized":true,"sealed":false}"#, "absent"),
            (429, r#"{"initialized":true,"sealed":false,"standby":true}"#, "ready"),
            (473, r#"{"initialized":true,"sealed":false,"performance_standby":true}"#, "ready"),
            (200, r#"{"initialized":true,"sealed":false,"standby":false}"#, "ready"),
        ],
    ),
    (
        "keycloak",
        "GET /health/ready HTTP/1.1",
        &[
            (503, r#"{"status":"DOWN","checks":[]}"#, "busy"),
            (200, r#"{"status":"UP","checks":[]}"#, "ready"),
        ],
    ),
    (
        "realm",
        "GET /realms/app/.well-known/openid-configuration HTTP/1.1",
        &[
            (404, r#"{"error":"Realm does not exist"}"#, "absent"),
            (200, r#"{"issuer":"x"}"#, "ready"),
        ],
    ),
    ("minio", "GET /minio/health/cluster HTTP/1.1", &[(503, "", "busy"), (200, "", "ready")]),
    (
        "alarms",
        "GET /api/health/checks/alarms HTTP/1.1",
        &[
            (401, r#"{"error":"not_authorized","reason":"Login failed"}"#, "auth"),
            (503, r#"{"status":"failed","reason":"resource alarm(s) in effect"}"#, "busy"),
            (200, r#"{"status":"ok"}"#, "ready"),
        ],
    ),
    (
        "queue",
        "GET /api/queues/%2Fapp/jobs HTTP/1.1",
        &[
            (404, r#"{"error":"Object Not Found","reason":"Not Found"}"#, "absent"),
            (200, r#"{"name":"jobs","state":"down"}"#, "absent"),
            (200, r#"{"name":"jobs","state":"running"}"#, "ready"),
        ],
    ),
    (
        "certificate",
        "GET /apis/cert-manager.io/v1/namespaces/app/certificates/api HTTP/1.1",
        &[
            (404, r#"{"kind":"Status","reason":"NotFound","code":404}"#, "absent"),
            (200, r#"{"status":{"conditions":[{"type":"Ready","status":"False"}]}}"#, "absent"),
            (200, r#"{"status":{"conditions":[{"type":"Ready","status":"True"}]}}"#, "ready"),
        ],
    ),
    (
        "job",
        "GET /apis/batch/v1/namespaces/app/jobs/migrate HTTP/1.1",
        &[
            (404, r#"{"kind":"Status","reason":"NotFound","code":404}"#, "absent"),
            (403, r#"{"kind":"Status","reason":"Forbidden","code":403}"#, "auth"),
            (200, r#"{"kind":"Job","status":{}}"#, "absent"),
            (200, r#"{"kind":"Job","status":{"active":1,"failed":1}}"#, "absent"),
            (200, r#"{"kind":"Job","status":{"succeeded":1}}"#, "ready"),
        ],
    ),
];

/// The declarations of the page by HTTP, each with its name.
fn declared() -> Vec<(String, String)> {
    let calls = in_markdown(&read("docs/recipes.md"));
    let words = calls.into_iter().map(|words| words[1].clone());
    let named = words.map(|word| {
        let (name, url) = word.split_once('=').unwrap();
        (name.to_owned(), url.to_owned())
    });
    named.filter(|(_, url)| url.starts_with("http")).collect()
}

/// The URL at the scripted server in clear, and its keys without those of TLS.
fn moved(url: &str, at: &str, dir: &Dir) -> String {
    let (url, keys) = url.split_once('#').unwrap_or((url, ""));
    let (_, rest) = url.split_once("://").unwrap();
    let (authority, path) = rest.split_once('/').unwrap();
    let user = authority.split_once('@').map(|(user, _)| format!("{user}@")).unwrap_or_default();
    let is_tls = |key: &&str| ["ca=", "cert=", "key="].iter().any(|tls| key.starts_with(tls));
    let keys: Vec<String> = keys
        .split(',')
        .filter(|key| !key.is_empty() && !is_tls(key))
        .map(|key| {
            key.replace("${file:/run/secrets/", &format!("${{file:{}/", dir.path().display()))
        })
        .collect();
    let keys = if keys.is_empty() { String::new() } else { format!("#{}", keys.join(",")) };
    format!("http://{user}{at}/{path}{keys}")
}

#[test]
fn each_product_is_ready_when_its_documentation_says_so() {
    let dir = Dir::new();
    for secret in ["es", "clickhouse", "mq", "token"] {
        dir.write_secret(secret, "s3cr3t\n");
    }
    let declared = declared();
    let names: Vec<&str> = declared.iter().map(|(name, _)| name.as_str()).collect();
    let known: Vec<&str> = RECIPES.iter().map(|(name, ..)| *name).collect();
    assert_eq!(names, known, "every recipe is tried");
    for ((name, url), (_, request, replies)) in declared.iter().zip(RECIPES) {
        for (status, body, class) in *replies {
            let server = Http::always(*status, body);
            let url = moved(url, &server.address().to_string(), &dir);
            let done = Afterall::once().arg(&url).run().any_stdout();
            let said = done.stdout_text();
            let as_expected = match *class {
                "ready" => done.status().success(),
                class => !done.status().success() && said.contains(&format!("[class={class}]")),
            };
            assert!(as_expected, "{name}: {status} {body} must be {class}: {said}");
            let text = &server.requests()[0].text;
            assert!(text.starts_with(&format!("{request}\r\n")), "{name}: {text}");
            let has_login = text.to_ascii_lowercase().contains("\r\nauthorization: ");
            assert_eq!(has_login, url.contains("password=") || url.contains("bearer="), "{name}");
        }
    }
}

#[test]
fn a_text_that_says_true_is_told_from_the_boolean() {
    let server = Http::answering(|_, _| response(200, r#"{"health":"true"}"#));
    let once = |key: &str| Afterall::once().arg(server.url(key)).run();
    once(r#"/#json=/health=="true""#).code(0).stdout_has("200 OK");
    once("/#json=/health==true").code(69).stdout_has(r#"/health is "true", wanted true"#);
}
