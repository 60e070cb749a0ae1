//! `http:`, `https:`, `http+unix:` — a response with an expected status and body.

mod answer;
mod exchange;
mod expect;
mod failure;
#[cfg(feature = "grpc")]
mod over_http2;
mod proxy;
mod request;
mod retry_after;
mod target;

use hyper::{
    StatusCode,
    header::{HeaderValue, LOCATION, PROXY_AUTHORIZATION},
};
use url::{Position, Url};

use crate::{
    connect::{Endpoint, Stream},
    probe::{Attempt, AttemptFuture, Class, Failure, Message, Probe, Verdict},
    spec::{ConfigError, Grammar, Key, Kind, Spec},
    tls::{KEYS as TLS_KEYS, Tls, TlsFiles, Verify},
};
use expect::Expect;
use proxy::{Proxies, Proxy};
use request::{Origin, Template};
use target::{Target, origin_form};

pub(super) use answer::Answer;
pub(super) use exchange::exchange;
#[cfg(feature = "k8s")]
pub(super) use failure::status_failure;
pub(super) use target::{endpoint_of, host_of};

/// The kind.
pub static KIND: Kind = Kind {
    name: "http",
    schemes: &["http", "https", "http+unix"],
    grammar: Grammar::Url,
    repeats: &["header"],
    usage: "https://[USER:PASSWORD@]HOST[:PORT]/PATH, http+unix://%2FRUN%2FX.SOCK/PATH",
    summary: "a response with an expected status and body",
    keys: &[KEYS, TLS_KEYS],
    build,
    ..Kind::DEFAULT
};

static KEYS: &[Key] = &[
    Key {
        name: "status",
        value: "STATUS+STATUS",
        help: "statuses wanted: 200, 2xx, 200-204; default 200-299",
    },
    Key { name: "method", value: "METHOD", help: "GET or HEAD; default GET" },
    Key { name: "header", value: "NAME: VALUE", help: "header to send; repeats" },
    Key {
        name: "match",
        value: "REGEX",
        help: "regular expression that the body must match somewhere",
    },
    Key {
        name: "json",
        value: "POINTER[==VALUE]",
        help: "RFC 6901 pointer into the body: to VALUE, or to anything but false and null",
    },
    Key {
        name: "redirects",
        value: "N",
        help: "redirects to follow; default 0: a redirect is a status as any other",
    },
    Key {
        name: "proxy",
        value: "URL",
        help: "http:// proxy to use, or env for http_proxy, https_proxy and no_proxy; default none",
    },
    // The library comes with the feature `grpc`.
    #[cfg(feature = "grpc")]
    Key {
        name: "http-version",
        value: "1.1|2",
        help: "version to speak; 2 in clear is h2c without an upgrade; default 1.1",
    },
    Key { name: "user", value: "NAME", help: "user of HTTP Basic" },
    Key { name: "password", value: "PASSWORD", help: "the user's password" },
    Key { name: "bearer", value: "TOKEN", help: "token to send as Authorization: Bearer" },
];

/// curl's limit; no health check needs more.
const MAX_REDIRECTS: u32 = 50;

const NO_PLAIN_PROXY: &str = "a proxy passes HTTP/2 on inside TLS alone: use https:, or no proxy";

/// The longest part of a body that is searched, in bytes.
const MAX_BODY: usize = 1 << 20;

struct Http {
    url: Url,
    endpoint: Endpoint,
    template: Template,
    expect: Expect,
    redirects: u32,
    proxies: Proxies,
    http2: bool,
    tls: Tls,
    /// For other origins: the same trusted certificates, without client certificate and
    /// server-name.
    elsewhere: Tls,
}

fn build(spec: &Spec) -> Result<Box<dyn Probe>, ConfigError> {
    let Target { url, endpoint, userinfo } = Target::from_spec(spec)?;
    let template = Template::from_spec(spec, userinfo.as_ref())?;
    let expect = Expect::from_spec(spec)?;
    if template.is_head() && expect.needs_body() {
        return Err(
            spec.key_error("method", "a response to HEAD has no body for match or json to look at")
        );
    }
    let redirects = match spec.key("redirects").map(str::parse) {
        None => 0,
        Some(Ok(n)) if n <= MAX_REDIRECTS => n,
        Some(_) => {
            return Err(spec.key_error(
                "redirects",
                format_args!("must be a number from 0 to {MAX_REDIRECTS}, e.g. 5"),
            ));
        }
    };
    let proxies =
        if spec.scheme == "http+unix" { Proxies::default() } else { Proxies::from_spec(spec)? };
    let proxy = proxies.proxy_for(&url).map_err(|message| spec.key_error("proxy", message))?;
    let http2 = match spec.key("http-version") {
        None | Some("1.1") => false,
        Some("2") => true,
        Some(_) => return Err(spec.key_error("http-version", "must be 1.1 or 2")),
    };
    if http2 && proxy.is_some() && spec.scheme == "http" {
        return Err(spec.key_error("http-version", NO_PLAIN_PROXY));
    }
    if http2 && let Some(name) = template.header_of_http1_only() {
        return Err(spec.key_error("header", format_args!("HTTP/2 has no header {name}")));
    }
    let alpn: &[&[u8]] = if http2 { &[b"h2"] } else { &[] };
    let tls = Tls::from_spec(spec)?.with_alpn(alpn);
    if Tls::is_asked_for(spec) && spec.scheme != "https" && redirects == 0 {
        return Err(
            spec.error(format_args!("{}: speaks no TLS; its keys belong to https:", spec.scheme))
        );
    }
    let verify = if spec.flag("insecure")? { Verify::Nothing } else { Verify::Full };
    let files = TlsFiles { ca: spec.owned("ca"), ..TlsFiles::default() };
    let elsewhere =
        Tls::new(files, None, verify).map_err(|message| spec.key_error("ca", message))?;
    let elsewhere = elsewhere.with_alpn(alpn);
    Ok(Box::new(Http {
        url,
        endpoint,
        template,
        expect,
        redirects,
        proxies,
        http2,
        tls,
        elsewhere,
    }))
}

impl Probe for Http {
    fn attempt<'a>(&'a mut self, attempt: &'a Attempt<'a>) -> AttemptFuture<'a> {
        Box::pin(async { self.ask(attempt).await.map_or_else(Verdict::from, Verdict::ready) })
    }

    fn is_local(&self) -> bool {
        self.endpoint.is_local() && matches!(self.proxies.proxy_for(&self.url), Ok(None))
    }
}

impl Http {
    async fn ask(&self, attempt: &Attempt<'_>) -> Result<String, Failure> {
        let mut url = self.url.clone();
        let mut followed = 0;
        loop {
            let origin = if url.origin() == self.url.origin() {
                Origin::Declared
            } else {
                Origin::Redirected
            };
            let answer = self.fetch(attempt, &url, origin).await?;
            let location = answer.headers.get(LOCATION).filter(|_| is_redirect(answer.status));
            match location {
                Some(location) if followed < self.redirects => {
                    url = next(&url, location).ok_or_else(|| {
                        let status = failure::shown(answer.status);
                        Failure::new(
                            Class::Absent,
                            format!("status {status} redirects to what is no http: or https: URL"),
                        )
                    })?;
                    followed += 1;
                }
                _ => {
                    if self.expect.needs_body() {
                        let status = failure::shown(answer.status);
                        attempt.stage(format!("{status}, but the search of the body did not end"));
                    }
                    let credentials = origin == Origin::Declared && self.template.credentials;
                    let judged = self.expect.judge(&answer, credentials).await;
                    let target = location.and_then(|location| next(&url, location));
                    return judged.map_err(|failure| match target {
                        Some(target) => redirected(failure, &target, followed),
                        None => failure,
                    });
                }
            }
        }
    }

    /// Makes one request to one server.
    async fn fetch(
        &self,
        attempt: &Attempt<'_>,
        url: &Url,
        origin: Origin,
    ) -> Result<Answer, Failure> {
        let nowhere =
            || Failure::new(Class::Absent, "redirected to a URL that HTTP cannot ask for");
        let (host, server) = host_of(url).zip(endpoint_of(url)).ok_or_else(nowhere)?;
        let server = if origin == Origin::Declared { &self.endpoint } else { &server };
        let is_tls = url.scheme() == "https";
        let proxy = match server {
            Endpoint::Unix(_) => None,
            Endpoint::Tcp(..) => self
                .proxies
                .proxy_for(url)
                .map_err(|message| Failure::new(Class::Config, format!("proxy: {message}")))?,
        };
        if self.http2 && proxy.is_some() && !is_tls {
            return Err(Failure::new(Class::Config, format!("http-version: {NO_PLAIN_PROXY}")));
        }
        let peer = proxy.map_or(server, |proxy| &proxy.endpoint);
        let mut stream = attempt.connect(peer).await.map_err(|failure| {
            // A dead proxy, or the dead target of a redirect, does not mean that the declared
            // server is gone.
            let is_declared = proxy.is_none() && origin == Origin::Declared;
            failure.with(|reason| reason.means_down &= is_declared)
        })?;
        if is_tls {
            if let Some(proxy) = proxy {
                proxy
                    .tunnel(attempt, &mut stream, &host, url.port_or_known_default().unwrap_or(443))
                    .await?;
            }
            stream = self.shake_hands(attempt, &host, origin, stream).await?;
        }
        let (uri, login) = match proxy.filter(|_| !is_tls) {
            // A proxy needs the whole URL (RFC 9112, section 3.2.2).
            Some(Proxy { authorization, .. }) => {
                let login = authorization
                    .as_ref()
                    .and_then(|login| HeaderValue::from_str(login.reveal()).ok());
                (url.as_str().split('#').next().and_then(|url| url.parse().ok()), login)
            }
            None => (origin_form(url), None),
        };
        let login = login.map(|login| (PROXY_AUTHORIZATION, login));
        let request = self.template.request(url, uri.ok_or_else(nowhere)?, origin, login);
        let endpoint = if is_tls { server } else { peer };
        let max_body = |status: StatusCode| {
            let is_needed = self.expect.needs_body() && self.expect.wants(status.as_u16());
            is_needed.then_some(MAX_BODY)
        };
        #[cfg(feature = "grpc")]
        if self.http2 {
            let scheme = if is_tls { "https" } else { "http" };
            return over_http2::exchange(attempt, stream, endpoint, request, scheme, &max_body)
                .await;
        }
        exchange(attempt, stream, endpoint, request, &max_body).await
    }

    async fn shake_hands(
        &self,
        attempt: &Attempt<'_>,
        host: &str,
        origin: Origin,
        stream: Box<dyn Stream>,
    ) -> Result<Box<dyn Stream>, Failure> {
        let tls = if origin == Origin::Declared { &self.tls } else { &self.elsewhere };
        tls.connect(attempt, host, stream).await.map_err(|failure| {
            if failure.plaintext_reply.as_ref().is_some_and(|reply| reply.starts_with("HTTP/")) {
                failure.hint("the port speaks plain HTTP: use http:")
            } else {
                failure
            }
        })
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// Adds the redirect's target and the key that follows it. The query may hold a secret, and is left
/// out.
fn redirected(failure: Failure, target: &Url, followed: u32) -> Failure {
    let leads = &target[..Position::AfterPath];
    let hint = match followed {
        0 => "redirects=N follows up to N redirects".to_owned(),
        n => format!("{n} redirects were followed; redirects=N follows up to N"),
    };
    let message = Message::from(format!("{} (redirects to {leads})", failure.message));
    failure.with(|reason| reason.message = message.one_line()).hint(hint)
}

/// Returns the URL to which a redirect leads, without its userinfo, which is never sent.
fn next(url: &Url, location: &HeaderValue) -> Option<Url> {
    let mut next = url.join(location.to_str().ok()?).ok()?;
    let _ = next.set_username("");
    let _ = next.set_password(None);
    next.set_fragment(None);
    matches!(next.scheme(), "http" | "https").then_some(next)
}

#[cfg(test)]
mod tests;
