//! Proxies. None is used unless declared, because a probe through a proxy mostly checks the proxy.

use std::net::IpAddr;

use base64::{Engine, engine::general_purpose::STANDARD};
use hyper::StatusCode;
use ipnet::IpNet;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use url::Url;

use super::{
    failure,
    target::{endpoint_of, host_of},
};
use crate::{
    connect::{Endpoint, Stream, stream_failure},
    probe::{Attempt, Class, Failure},
    secret::Secret,
    spec::{ConfigError, Spec, expand::Text},
    text::quoted,
};

/// The longest head of a reply to CONNECT, in bytes.
const MAX_HEAD: usize = 16 * 1024;

/// The proxies of one dependency.
#[derive(Default)]
pub(super) struct Proxies {
    http: Option<Result<Proxy, String>>,
    https: Option<Result<Proxy, String>>,
    /// The entries of no_proxy.
    except: Vec<String>,
}

/// One proxy.
#[derive(Clone)]
pub(super) struct Proxy {
    pub(super) endpoint: Endpoint,
    /// The value of Proxy-Authorization.
    pub(super) authorization: Option<Secret>,
}

impl Proxies {
    /// Reads the key `proxy`: `env`, or a URL.
    pub(super) fn from_spec(spec: &Spec) -> Result<Self, ConfigError> {
        match spec.key("proxy") {
            None | Some("none") => Ok(Self::default()),
            Some("env") => Self::from_env(spec).map_err(|message| spec.key_error("proxy", message)),
            Some(url) => {
                let proxy =
                    Proxy::parse(spec, url).map_err(|message| spec.key_error("proxy", message))?;
                Ok(Self {
                    http: Some(Ok(proxy.clone())),
                    https: Some(Ok(proxy)),
                    except: Vec::new(),
                })
            }
        }
    }

    /// Reads the variables as curl does. HTTP_PROXY in capitals is ignored: a `Proxy:` header sets
    /// it in a CGI program.
    ///
    /// A wrong variable fails only the requests that would use it, because variables belong to the
    /// whole container.
    fn from_env(spec: &Spec) -> Result<Self, String> {
        let first = |names: &[&str]| -> Result<Option<(String, String)>, String> {
            for name in names {
                if let Some(value) = spec.env.var(name)?.filter(|value| !value.is_empty()) {
                    return Ok(Some(((*name).to_owned(), value)));
                }
            }
            Ok(None)
        };
        let proxy = |names: &[&str]| -> Result<Option<Result<Proxy, String>>, String> {
            Ok(first(names)?.map(|(name, value)| {
                Proxy::parse(spec, &value)
                    .map_err(|message| format!("the variable {name} {message}"))
            }))
        };
        let except = first(&["no_proxy", "NO_PROXY"])?.map(|(_, value)| value).unwrap_or_default();
        Ok(Self {
            http: proxy(&["http_proxy", "all_proxy", "ALL_PROXY"])?,
            https: proxy(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])?,
            except: except
                .split([',', ' '])
                .map(|e| e.trim().to_ascii_lowercase())
                .filter(|e| !e.is_empty())
                .collect(),
        })
    }

    /// Returns the proxy for `url`, if it has one.
    ///
    /// # Errors
    /// The mistake in the variable that names the proxy.
    pub(super) fn proxy_for(&self, url: &Url) -> Result<Option<&Proxy>, &str> {
        let proxy = if url.scheme() == "https" { self.https.as_ref() } else { self.http.as_ref() };
        let Some((host, port)) = host_of(url).zip(url.port_or_known_default()) else {
            return Ok(None);
        };
        match proxy.filter(|_| !self.except.iter().any(|entry| excepts(entry, &host, port))) {
            None => Ok(None),
            Some(Ok(proxy)) => Ok(Some(proxy)),
            Some(Err(message)) => Err(message),
        }
    }
}

/// Returns true if an entry of `no_proxy` matches this host. Entries are `*`, a name with its
/// subdomains, an address or a network, each with or without a port.
fn excepts(entry: &str, host: &str, port: u16) -> bool {
    if entry == "*" {
        return true;
    }
    if let Ok(address) = host.parse::<IpAddr>() {
        let (bare, only) = match entry.strip_prefix('[').and_then(|entry| entry.split_once(']')) {
            Some((bare, rest)) => (bare, rest.strip_prefix(':')),
            None if entry.matches(':').count() == 1 => {
                entry.split_once(':').map_or((entry, None), |(bare, port)| (bare, Some(port)))
            }
            None => (entry, None),
        };
        return in_network(bare, address) && only.is_none_or(|only| only.parse() == Ok(port));
    }
    let (name, only) =
        entry.split_once(':').map_or((entry, None), |(name, port)| (name, Some(port)));
    let name = name.trim_start_matches('*').trim_start_matches('.').trim_end_matches('.');
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let below =
        host.strip_suffix(name).is_some_and(|above| above.is_empty() || above.ends_with('.'));
    !name.is_empty() && below && only.is_none_or(|only| only.parse() == Ok(port))
}

fn in_network(network: &str, address: IpAddr) -> bool {
    match network.parse::<IpNet>() {
        Ok(network) => network.contains(&address),
        Err(_) => network.parse() == Ok(address),
    }
}

impl Proxy {
    /// Reads `http://[USER:PASSWORD@]HOST[:PORT]` or `HOST:PORT`. The error does not show the text.
    fn parse(spec: &Spec, text: &str) -> Result<Self, String> {
        let wrong = || "must be env, none or the URL of a proxy, e.g. http://proxy:3128".to_owned();
        let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let url = Url::parse(&text).map_err(|_| wrong())?;
        if url.scheme() != "http" {
            return Err("must be the URL of an http:// proxy, e.g. http://proxy:3128; others are \
                not supported"
                .to_owned());
        }
        let decoded = |text: &str| Text::literal(text).percent_decoded().map_err(|_| wrong());
        let authorization = match (url.username(), url.password()) {
            ("", None) => None,
            (user, password) => {
                let password = spec.secret(decoded(password.unwrap_or_default())?);
                Some(spec.secret(format!(
                    "Basic {}",
                    STANDARD.encode(format!("{}:{}", decoded(user)?, password.reveal()))
                )))
            }
        };
        Ok(Self { endpoint: endpoint_of(&url).ok_or_else(wrong)?, authorization })
    }

    /// Asks the proxy for a tunnel to `host:port` by CONNECT (RFC 9110, section 9.3.6).
    pub(super) async fn tunnel(
        &self,
        attempt: &Attempt<'_>,
        stream: &mut dyn Stream,
        host: &str,
        port: u16,
    ) -> Result<(), Failure> {
        attempt.stage(format!("connected to the proxy {}, but no tunnel", self.endpoint));
        let place =
            if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let login = self
            .authorization
            .as_ref()
            .map(|login| format!("Proxy-Authorization: {}\r\n", login.reveal()))
            .unwrap_or_default();
        let request = format!("CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n{login}\r\n");
        let failed = |error: std::io::Error| stream_failure(&error, &self.endpoint);
        stream.write_all(request.as_bytes()).await.map_err(failed)?;
        stream.flush().await.map_err(failed)?;
        let mut head = Vec::new();
        // Reads byte by byte, because the bytes after the empty line belong to the tunnel.
        while !head.ends_with(b"\r\n\r\n") && head.len() < MAX_HEAD {
            head.push(stream.read_u8().await.map_err(failed)?);
        }
        refusal(&head, &self.endpoint).map_or(Ok(()), Err)
    }
}

/// Returns the failure that a proxy's reply to CONNECT means, if the proxy opened no tunnel.
fn refusal(head: &[u8], proxy: &Endpoint) -> Option<Failure> {
    let line = quoted(head).unwrap_or_default();
    let status = line
        .strip_prefix("HTTP/1.")
        .and_then(|line| line.split(' ').nth(1))
        .and_then(|code| code.parse().ok());
    match status.and_then(|code: u16| StatusCode::from_u16(code).ok()) {
        Some(status) if status.is_success() => None,
        Some(StatusCode::PROXY_AUTHENTICATION_REQUIRED) => Some(
            Failure::new(Class::Auth, format!("the proxy refused the tunnel: {line} ({proxy})"))
                .hint("the proxy wants a user and a password in its URL"),
        ),
        // 502, 503, 504: the proxy could not connect to the server.
        Some(status) => Some(Failure::new(
            Class::Connect,
            format!("the proxy gives no tunnel: {} ({proxy})", failure::shown(status)),
        )),
        None => Some(Failure::new(
            Class::Protocol,
            format!("the proxy does not speak HTTP, it says: {line} ({proxy})"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_proxy_is_read_as_curl_reads_it() {
        for (entry, host, port, want) in [
            ("*", "a", 80, true),
            ("example.com", "example.com", 80, true),
            ("example.com", "a.example.com", 80, true),
            (".example.com", "a.example.com", 80, true),
            ("*.example.com", "a.example.com", 80, true),
            ("example.com", "notexample.com", 80, false),
            ("example.com:8080", "example.com", 80, false),
            ("example.com:80", "example.com", 80, true),
            ("10.0.0.0/8", "10.1.2.3", 80, true),
            ("10.0.0.0/8", "11.1.2.3", 80, false),
            ("0.0.0.0/0", "11.1.2.3", 80, true),
            ("127.0.0.1", "127.0.0.1", 80, true),
            ("127.0.0.1:81", "127.0.0.1", 80, false),
            ("fd00::/8", "fd00::1", 80, true),
            ("[::1]:80", "::1", 80, true),
            ("::1", "::1", 80, true),
            ("10.0.0.0/99", "10.0.0.0", 80, false),
            (".", "a", 80, false),
        ] {
            assert_eq!(excepts(entry, host, port), want, "{entry} {host}:{port}");
        }
    }

    #[test]
    fn every_refusal_of_a_proxy_has_a_class() {
        let proxy = Endpoint::Tcp("proxy".to_owned(), 3128);
        for (head, want) in [
            ("HTTP/1.1 200 Connection established\r\n\r\n", None),
            ("HTTP/1.0 200 OK\r\n\r\n", None),
            ("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", Some(Class::Auth)),
            ("HTTP/1.1 503 Service Unavailable\r\n\r\n", Some(Class::Connect)),
            ("SSH-2.0\r\n\r\n", Some(Class::Protocol)),
        ] {
            assert_eq!(
                refusal(head.as_bytes(), &proxy).map(|failure| failure.class),
                want,
                "{head}"
            );
        }
    }
}
