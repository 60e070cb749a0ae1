//! A scripted API server of Kubernetes over TLS: objects, label selectors, pages, tokens and
//! rights.
//!
//! It answers as the API's documentation describes (`Status`, `metadata.continue`, discovery), well
//! enough for `kubectl wait` and `kubectl rollout status`.

use super::certs::Authority;
use super::http::read_request;
use super::scripted::{Reserved, Scripted, listen_until_closed};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};

/// The token that the server knows at first.
pub const TOKEN: &str = "t0ken-0ne";

/// The kinds that it serves: path of the API, plural, kind, short name.
const RESOURCES: [(&str, &str, &str, &str); 6] = [
    ("api/v1", "pods", "Pod", "po"),
    ("apis/batch/v1", "jobs", "Job", ""),
    ("apis/apps/v1", "deployments", "Deployment", "deploy"),
    ("apis/apps/v1", "statefulsets", "StatefulSet", "sts"),
    ("apis/apps/v1", "daemonsets", "DaemonSet", "ds"),
    ("apis/discovery.k8s.io/v1", "endpointslices", "EndpointSlice", ""),
];

pub struct Kubernetes {
    server: Scripted,
    state: Arc<Mutex<State>>,
    pub authority: Authority,
}

/// A rule of a Role; no names: all names.
pub struct Rule {
    pub groups: Vec<String>,
    pub resources: Vec<String>,
    pub verbs: Vec<String>,
    pub names: Vec<String>,
}

impl Rule {
    fn allows(&self, group: &str, resource: &str, name: &str) -> bool {
        let has = |list: &[String], word: &str| list.iter().any(|known| known == word);
        has(&self.groups, group)
            && has(&self.resources, resource)
            && has(&self.verbs, if name.is_empty() { "list" } else { "get" })
            && (self.names.is_empty() || has(&self.names, name))
    }
}

struct State {
    objects: BTreeMap<(String, String), Value>,
    token: String,
    denied: Vec<String>,
    /// The rules of a Role; `None`: everything is allowed.
    rules: Option<Vec<Rule>>,
    /// A response to every request, in place of the right one.
    instead: Option<Vec<u8>>,
    requests: Vec<String>,
}

impl Kubernetes {
    pub fn new() -> Self {
        let (authority, port) = (Authority::new("kubernetes"), Reserved::new());
        let own = authority.server(&[&port.address().ip().to_string(), "kubernetes.default.svc"]);
        let certs = vec![CertificateDer::from_pem_file(&own.cert).unwrap()];
        let key = PrivateKeyDer::from_pem_file(&own.key).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(certs, key)
            .unwrap();
        let tls = Arc::new(tls);
        let state = Arc::new(Mutex::new(State {
            objects: BTreeMap::new(),
            token: TOKEN.to_owned(),
            denied: Vec::new(),
            rules: None,
            instead: None,
            requests: Vec::new(),
        }));
        let shared = Arc::clone(&state);
        let server = port.serve(move |_, stream| converse(&tls, &shared, stream));
        Self { server, state, authority }
    }

    /// Adds or replaces an object, e.g. of `jobs`. The labels are those of `metadata`.
    pub fn put(&self, plural: &str, object: Value) {
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        self.state().objects.insert((plural.to_owned(), name), object);
    }

    pub fn remove(&self, plural: &str, name: &str) {
        self.state().objects.remove(&(plural.to_owned(), name.to_owned())).unwrap();
    }

    pub fn set_token(&self, token: &str) {
        self.state().token = token.to_owned();
    }

    /// Refuses every request for these, as RBAC does without a rule.
    pub fn deny(&self, plurals: &[&str]) {
        self.state().denied = plurals.iter().map(|plural| (*plural).to_owned()).collect();
    }

    /// Allows only what the rules of a Role allow.
    pub fn allow_only(&self, rules: Vec<Rule>) {
        self.state().rules = Some(rules);
    }

    /// Answers every request with this.
    pub fn answer_with(&self, response: Option<Vec<u8>>) {
        self.state().instead = response;
    }

    /// The heads of all requests so far.
    pub fn requests(&self) -> Vec<String> {
        self.state().requests.clone()
    }

    /// From now on the port refuses connections. The authority's file lives on.
    pub fn stop(self) -> Authority {
        self.authority
    }

    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The keys for a declaration.
    pub fn keys(&self) -> String {
        let (at, ca) = (self.address(), self.authority.cert_text());
        format!("server=https://{at},ca={ca},bearer={TOKEN},namespace=app")
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

fn converse(tls: &Arc<ServerConfig>, state: &Mutex<State>, stream: TcpStream) {
    let Ok(raw) = stream.try_clone() else { return };
    let session = ServerConnection::new(Arc::clone(tls)).unwrap();
    let mut stream = StreamOwned::new(session, stream);
    while let Some(request) = read_request(&mut stream) {
        let (response, is_watch) = respond(&mut state.lock().unwrap(), &request);
        let head = String::from_utf8_lossy(&response[..response.len().min(512)]);
        let closes = head.contains("Connection: close");
        if stream.write_all(&response).and_then(|()| stream.flush()).is_err() {
            return;
        }
        if is_watch {
            // Nothing more happens.
            return listen_until_closed(raw);
        }
        if closes {
            stream.conn.send_close_notify();
            let _ = stream.flush();
            let _ = stream.read(&mut [0; 64]);
            return;
        }
    }
}

fn respond(state: &mut State, request: &str) -> (Vec<u8>, bool) {
    state.requests.push(request.to_owned());
    if let Some(response) = &state.instead {
        return (response.clone(), false);
    }
    let login = request.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("authorization").then(|| value.to_owned())
    });
    if login.as_deref() != Some(&format!("Bearer {}", state.token)) {
        return (refusal(401, "Unauthorized", "Unauthorized"), false);
    }
    let target = request.split(' ').nth(1).unwrap();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let path = path.trim_matches('/');
    let query: BTreeMap<String, String> =
        url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    if let Some(found) = discovery(path) {
        return (answer(&found), false);
    }
    let Some((api, rest)) = path.split_once("/namespaces/app/") else {
        return (not_found_page(), false);
    };
    let (plural, name) = rest.split_once('/').unwrap_or((rest, ""));
    let Some((_, _, kind, _)) =
        RESOURCES.iter().find(|(of, known, ..)| (*of, *known) == (api, plural))
    else {
        return (not_found_page(), false);
    };
    let group = group_of(api);
    let qualified = if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") };
    let is_allowed = state
        .rules
        .as_ref()
        .is_none_or(|rules| rules.iter().any(|rule| rule.allows(group, plural, name)));
    if !is_allowed || state.denied.iter().any(|denied| denied == plural) {
        let (verb, quoted) =
            if name.is_empty() { ("list", String::new()) } else { ("get", format!(" \"{name}\"")) };
        let message = format!(
            "{qualified}{quoted} is forbidden: User \"system:serviceaccount:app:default\" cannot \
            {verb} resource \"{plural}\" in API group \"{group}\" in the namespace \"app\""
        );
        return (refusal(403, "Forbidden", &message), false);
    }
    if query.get("watch").is_some_and(|watch| watch == "true" || watch == "1") {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: \
            chunked\r\n\r\n";
        return (head.as_bytes().to_vec(), true);
    }
    if name.is_empty() {
        return (list(state, plural, &format!("{kind}List"), version(api), &query), false);
    }
    match state.objects.get(&(plural.to_owned(), name.to_owned())) {
        Some(object) => (answer(object), false),
        None => (refusal(404, "NotFound", &format!("{qualified} \"{name}\" not found")), false),
    }
}

/// Selects by equality, and by the name as a field; serves pages.
fn list(
    state: &State,
    plural: &str,
    kind: &str,
    version: &str,
    query: &BTreeMap<String, String>,
) -> Vec<u8> {
    let wanted = query.get("labelSelector").map(String::as_str).unwrap_or_default();
    let field = query.get("fieldSelector").map(String::as_str).unwrap_or_default();
    let mut pairs = Vec::new();
    for part in wanted.split(',').filter(|part| !part.is_empty()) {
        match part.split_once('=') {
            Some(pair) => pairs.push(pair),
            None => {
                let message = format!("unable to parse requirement: found '{part}', expected: '='");
                return refusal(400, "BadRequest", &message);
            }
        }
    }
    let items: Vec<&Value> = state
        .objects
        .iter()
        .filter(|((of, name), _)| {
            of == plural && (field.is_empty() || field == format!("metadata.name={name}"))
        })
        .map(|(_, object)| object)
        .filter(|object| {
            pairs.iter().all(|(name, value)| object["metadata"]["labels"][*name] == *value)
        })
        .collect();
    let limit = query.get("limit").and_then(|limit| limit.parse().ok()).filter(|limit| *limit > 0);
    let start = match query.get("continue").map(|next| next.parse::<usize>()) {
        None => 0,
        Some(Ok(start)) if start <= items.len() => start,
        Some(_) => {
            return refusal(410, "Expired", "The provided continue parameter is too old");
        }
    };
    let end = limit.map_or(items.len(), |limit: usize| (start + limit).min(items.len()));
    let next = if end < items.len() { end.to_string() } else { String::new() };
    // Go leaves an empty continue out, and writes an empty list as null.
    let mut metadata = json!({"resourceVersion": "4711"});
    if !next.is_empty() {
        metadata["continue"] = json!(next);
    }
    let items = if items.is_empty() { Value::Null } else { json!(items[start..end]) };
    answer(&json!({"apiVersion": version, "kind": kind, "metadata": metadata, "items": items}))
}

fn group_of(api: &str) -> &str {
    api.strip_prefix("apis/").and_then(|rest| rest.split_once('/')).map_or("", |(group, _)| group)
}

fn version(api: &str) -> &str {
    api.split_once('/').unwrap().1
}

fn discovery(path: &str) -> Option<Value> {
    if path == "api" {
        return Some(json!({"kind": "APIVersions", "versions": ["v1"]}));
    }
    if path == "apis" {
        let groups = ["batch", "apps", "discovery.k8s.io"].map(|group| {
            let version = json!({"groupVersion": format!("{group}/v1"), "version": "v1"});
            json!({"name": group, "versions": [version], "preferredVersion": version})
        });
        return Some(json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}));
    }
    let served = RESOURCES.iter().filter(|(api, ..)| *api == path);
    let resources: Vec<Value> = served
        .map(|(_, plural, kind, short)| {
            let short = Some(*short).filter(|short| !short.is_empty());
            json!({"name": plural, "singularName": kind.to_lowercase(), "namespaced": true,
                "kind": kind, "verbs": ["get", "list", "watch"],
                "shortNames": short.into_iter().collect::<Vec<_>>()})
        })
        .collect();
    (!resources.is_empty()).then(|| {
        json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version(path),
            "resources": resources})
    })
}

fn answer(object: &Value) -> Vec<u8> {
    respond_with(200, "application/json", &object.to_string())
}

/// A `Status` (meta/v1).
pub fn refusal(code: u16, reason: &str, message: &str) -> Vec<u8> {
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code});
    respond_with(code, "application/json", &status.to_string())
}

fn not_found_page() -> Vec<u8> {
    respond_with(404, "text/plain; charset=utf-8", "404 page not found\n")
}

fn respond_with(code: u16, kind: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {code} Scripted\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
        Connection: close\r\n\r\n{body}"
    )
    .into_bytes()
}
