//! The requests of one attempt: one object, or a list page by page.

use http_body_util::Empty;
use hyper::{
    Request, StatusCode, Uri,
    body::Bytes,
    header::{ACCEPT, AUTHORIZATION, CONNECTION, HOST, HeaderValue, USER_AGENT},
};
use url::{Position, form_urlencoded};

use super::{
    access::Access,
    endpoints,
    object::Object,
    pods, refusal,
    target::{Selection, Target},
};
use crate::{
    kinds::http::{Answer, exchange},
    probe::{Attempt, BlockingLane, Class, Failure, compute, json},
    secret::Secrets,
    spec::Spec,
};

/// The longest body that is read, in bytes. An object has at most 1.5 MiB in etcd.
const MAX_BODY: usize = 4 << 20;
/// The longest part of a refusal that is read, in bytes.
const MAX_REFUSAL: usize = 64 * 1024;
/// Objects in one page of a list. A pod has some 10 KiB.
const PAGE: usize = 100;

/// The target, the server and the login of each attempt.
pub(super) struct Question {
    target: Target,
    access: Access,
    secrets: Secrets,
    /// The name of our own pod, which may be one of the awaited pods.
    own_pod: Option<String>,
    /// Reads the token, which may take long.
    lane: BlockingLane,
}

/// The counts of a list so far.
enum Census {
    Pods(pods::Census),
    Endpoints(endpoints::Census),
}

impl Question {
    pub(super) fn new(target: Target, access: Access, spec: &Spec) -> Self {
        Self {
            target,
            access,
            secrets: spec.secrets().clone(),
            own_pod: spec.env.var("HOSTNAME").ok().flatten(),
            lane: BlockingLane::default(),
        }
    }

    pub(super) fn is_local(&self) -> bool {
        self.access.endpoint.is_local()
    }

    /// Asks once. Returns the detail of a ready object, or the failure.
    pub(super) async fn ask(&self, attempt: &Attempt<'_>) -> Result<String, Failure> {
        attempt.stage("the file system has not returned the token");
        let login = self.access.authorization(&self.lane, &self.secrets).await?;
        match &self.target.selection {
            Selection::Object(name) => {
                let answer = self.get(attempt, login, &format!("/{name}")).await?;
                if answer.cut {
                    return Err(Failure::new(Class::Protocol, "the object is longer than 4 MiB"));
                }
                attempt.stage("200 OK, but the object was not read to its end");
                let (rule, name) = (self.target.resource.judge, name.clone());
                compute(answer.body.len(), move || judge(rule, &name, &answer.body)).await?
            }
            Selection::Pods(selector) => {
                let census = Census::Pods(pods::Census::default());
                let census = self.list(attempt, login, selector, census).await?;
                census.verdict(selector, self.own_pod.as_deref())
            }
            Selection::SlicesOf(service) => {
                let census = Census::Endpoints(endpoints::Census::default());
                let selector = format!("kubernetes.io/service-name={service}");
                let census = self.list(attempt, login, &selector, census).await?;
                census.verdict(service, None)
            }
        }
    }

    /// Counts a list, page by page, until nothing can change the verdict.
    ///
    /// Each page has the token of the next one (`metadata.continue`). All pages show the list as it
    /// was at the first one.
    async fn list(
        &self,
        attempt: &Attempt<'_>,
        login: Option<HeaderValue>,
        selector: &str,
        mut census: Census,
    ) -> Result<Census, Failure> {
        let (mut next, mut limit) = (String::new(), PAGE);
        loop {
            let query = query(selector, limit, &next);
            let answer = self.get(attempt, login.clone(), &query).await?;
            if answer.cut {
                // Large objects: fewer of them.
                limit /= 4;
                if limit == 0 {
                    return Err(Failure::new(Class::Protocol, "an object is longer than 4 MiB"));
                }
                continue;
            }
            attempt.stage("200 OK, but the list was not read to its end");
            let size = answer.body.len();
            let read = compute(size, move || census.read(&answer.body));
            (census, next) = read.await??;
            if next.is_empty() || census.is_decided() {
                return Ok(census);
            }
        }
    }

    /// Sends one GET for what follows the resource's path. Returns a response with status 200.
    async fn get(
        &self,
        attempt: &Attempt<'_>,
        login: Option<HeaderValue>,
        rest: &str,
    ) -> Result<Answer, Failure> {
        let Access { url, endpoint, host, tls, namespace, .. } = &self.access;
        let base = url.path().trim_end_matches('/');
        let uri = format!("{base}{}{rest}", self.target.path(namespace)).parse::<Uri>();
        let uri = uri.map_err(|_| Failure::new(Class::Config, "not a path that HTTP can have"))?;
        // An unreachable API server does not mean that the object is gone.
        let transport = |failure: Failure| failure.with(|reason| reason.means_down = false);
        let mut stream = attempt.connect(endpoint).await.map_err(transport)?;
        if let Some(tls) = tls {
            stream = tls.connect(attempt, host, stream).await.map_err(transport)?;
        }
        let mut request = Request::new(Empty::<Bytes>::new());
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        let host = HeaderValue::from_str(&url[Position::BeforeHost..Position::AfterPort]);
        headers.insert(HOST, host.unwrap_or_else(|_| HeaderValue::from_static("localhost")));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        headers.insert(
            USER_AGENT,
            HeaderValue::from_static(concat!("afterall/", env!("CARGO_PKG_VERSION"))),
        );
        headers.extend(login.map(|login| (AUTHORIZATION, login)));
        let max_body = |status| Some(if status == StatusCode::OK { MAX_BODY } else { MAX_REFUSAL });
        let answer = exchange(attempt, stream, endpoint, request, &max_body).await;
        let answer = answer.map_err(transport)?;
        match answer.status {
            StatusCode::OK => Ok(answer),
            _ => {
                attempt.stage("the refusal was not read to its end");
                Err(refusal::failure(&answer, &self.target, &self.access))
            }
        }
    }
}

/// Returns the query of one page.
fn query(selector: &str, limit: usize, next: &str) -> String {
    let mut query = form_urlencoded::Serializer::for_suffix("?".to_owned(), 1);
    query.append_pair("labelSelector", selector);
    query.append_pair("limit", &limit.to_string());
    if !next.is_empty() {
        query.append_pair("continue", next);
    }
    query.finish()
}

/// Judges the object of this name.
fn judge(
    rule: fn(&Object<'_>) -> Result<String, Failure>,
    name: &str,
    body: &[u8],
) -> Result<String, Failure> {
    let object = Object::read(body)?;
    if object.name() != name {
        let message = "not the Kubernetes API: an object without the name that was asked for";
        return Err(Failure::new(Class::Protocol, message));
    }
    rule(&object)
}

impl Census {
    /// Counts one page. Returns the token of the next page; empty: this is the last one.
    fn read(mut self, body: &[u8]) -> Result<(Self, String), Failure> {
        let list = Object::read(body)?;
        let odd = || Failure::new(Class::Protocol, "not the Kubernetes API: a list without items");
        let items = list.raw("/items").ok_or_else(odd)?;
        // Go writes an empty list as null.
        if items != "null" {
            let mut broken = None;
            let read = json::for_each(items, |item| match Object::read(item.as_bytes()) {
                Ok(object) => self.add(&object),
                Err(failure) => broken = Some(failure),
            });
            read.map_err(|_| odd())?;
            if let Some(failure) = broken {
                return Err(failure);
            }
        }
        let next = list.text("/metadata/continue");
        Ok((self, next))
    }

    fn add(&mut self, object: &Object<'_>) {
        match self {
            Census::Pods(census) => census.add(object),
            Census::Endpoints(census) => census.add(object),
        }
    }

    fn is_decided(&self) -> bool {
        match self {
            Census::Pods(census) => census.is_decided(),
            Census::Endpoints(census) => census.is_decided(),
        }
    }

    /// `of` is the selector of the pods, or the name of the Service.
    fn verdict(self, of: &str, own_pod: Option<&str>) -> Result<String, Failure> {
        match self {
            Census::Pods(census) => census.verdict(of, own_pod),
            Census::Endpoints(census) => census.verdict(of),
        }
    }
}
