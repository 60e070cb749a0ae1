//! The API server and the login: those of the pod, or the declared ones.

use hyper::header::HeaderValue;
use url::Url;

use super::target::is_name;
use crate::{
    connect::Endpoint,
    kinds::http::{endpoint_of, host_of},
    os::read_small,
    probe::{BlockingLane, Class, Cost, Failure},
    secret::{Secret, Secrets},
    spec::{ConfigError, Spec},
    text::path_shown,
    tls::{Tls, TlsFiles, Verify},
};

/// The directory where the kubelet mounts the files of a pod's service account.
const MOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// The files of a pod's service account.
pub(super) struct Pod {
    dir: String,
}

impl Default for Pod {
    fn default() -> Self {
        Self { dir: MOUNT.to_owned() }
    }
}

impl Pod {
    #[cfg(test)]
    pub(super) fn at(dir: &str) -> Self {
        Self { dir: dir.to_owned() }
    }

    fn file(&self, name: &str) -> String {
        format!("{}/{name}", self.dir)
    }
}

/// The address of the API server, the login, and TLS.
pub(super) struct Access {
    /// Without a slash at its end.
    pub(super) url: Url,
    pub(super) endpoint: Endpoint,
    pub(super) host: String,
    /// `None`: `http:`, as `kubectl proxy` serves it.
    pub(super) tls: Option<Tls>,
    pub(super) namespace: String,
    token: Token,
}

enum Token {
    /// No token; a client certificate may identify us.
    None,
    Declared(Secret),
    /// Read anew for each attempt, because the kubelet replaces the token each hour.
    File(String),
}

impl Access {
    /// Reads the keys `server`, `namespace`, `bearer`, `token-file` and those of TLS.
    ///
    /// The pod's token and CA are used only with the cluster's own server: another one must not
    /// get the token.
    pub(super) fn from_spec(spec: &Spec, pod: &Pod) -> Result<Self, ConfigError> {
        let declared = spec.key("server");
        let url = match declared {
            Some(server) => read_url(server).ok_or_else(|| {
                spec.key_error("server", "must be a URL, e.g. https://10.0.0.1:6443")
            })?,
            None => server_of_pod(spec)?,
        };
        let pod = declared.is_none().then_some(pod);
        let tls = match url.scheme() {
            "http" if Tls::is_asked_for(spec) => {
                return Err(spec.key_error("server", "must be https: with the TLS keys"));
            }
            "http" => None,
            _ => Some(tls(spec, pod)?),
        };
        let nowhere = || spec.key_error("server", "must have a host, e.g. https://10.0.0.1:6443");
        let (host, endpoint) = host_of(&url).zip(endpoint_of(&url)).ok_or_else(nowhere)?;
        let namespace = namespace(spec, pod)?;
        Ok(Self { token: token(spec, pod)?, url, endpoint, host, tls, namespace })
    }

    /// Returns true if a login is sent.
    pub(super) fn has_token(&self) -> bool {
        !matches!(self.token, Token::None)
    }

    /// Returns the header of the login. Reads the token's file on `lane`, because a file system may
    /// hang.
    pub(super) async fn authorization(
        &self,
        lane: &BlockingLane,
        secrets: &Secrets,
    ) -> Result<Option<HeaderValue>, Failure> {
        let token = match &self.token {
            Token::None => return Ok(None),
            Token::Declared(token) => token.clone(),
            Token::File(path) => {
                let own = path.clone();
                let read = lane.run(move || read_token(&own)).await?;
                secrets.take(read.map_err(|message| {
                    let message = format!("no token in {}: {message}", path_shown(path));
                    Failure::new(Class::Auth, message).cost(Cost::Nothing)
                })?)
            }
        };
        header(&token)
            .map(Some)
            .ok_or_else(|| Failure::new(Class::Auth, "the token holds a control character"))
    }
}

/// Returns `Bearer TOKEN`, if a header can hold it.
fn header(token: &Secret) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.reveal())).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Reads an `http:` or `https:` URL of a server, with a path or without, and nothing else.
fn read_url(text: &str) -> Option<Url> {
    let mut url = Url::parse(text).ok()?;
    let is_plain = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if !is_plain || !matches!(url.scheme(), "http" | "https") {
        return None;
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Some(url)
}

/// Returns the server whose address the kubelet puts into each container.
fn server_of_pod(spec: &Spec) -> Result<Url, ConfigError> {
    const HOST: &str = "KUBERNETES_SERVICE_HOST";
    const PORT: &str = "KUBERNETES_SERVICE_PORT";
    let variable = |name: &str| {
        let value = spec.env.var(name).map_err(|message| spec.error(message))?;
        Ok(value.filter(|value| !value.is_empty()))
    };
    let Some(host) = variable(HOST)? else {
        return Err(spec.error(format_args!(
            "not in a pod ({HOST} is not set): server must be the API server, \
             e.g. server=https://10.0.0.1:6443,namespace=app,token-file=PATH,ca=PATH"
        )));
    };
    let port = variable(PORT)?.unwrap_or_else(|| "443".to_owned());
    let port = port.parse::<u16>().ok().filter(|port| *port > 0);
    let port = port.ok_or_else(|| spec.error(format_args!("{PORT} must be a port, e.g. 443")))?;
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    read_url(&format!("https://{host}:{port}"))
        .ok_or_else(|| spec.error(format_args!("{HOST} must be an address, e.g. 10.96.0.1")))
}

fn tls(spec: &Spec, pod: Option<&Pod>) -> Result<Tls, ConfigError> {
    let Some(pod) = pod.filter(|_| spec.key("ca").is_none()) else { return Tls::from_spec(spec) };
    if spec.flag("insecure")? {
        return Tls::from_spec(spec);
    }
    let ca = pod.file("ca.crt");
    let files = TlsFiles { ca: Some(ca), ..TlsFiles::default() }.overridden_by(spec);
    Tls::new(files, spec.owned("server-name"), Verify::Full).map_err(|message| {
        spec.error(format_args!("{message}; a pod without a service account's files needs ca=PATH"))
    })
}

fn namespace(spec: &Spec, pod: Option<&Pod>) -> Result<String, ConfigError> {
    let (place, namespace) = match (spec.key("namespace"), pod) {
        (Some(namespace), _) => ("namespace".to_owned(), namespace.to_owned()),
        (None, None) => {
            return Err(
                spec.key_error("namespace", "must be given with server, e.g. namespace=app")
            );
        }
        (None, Some(pod)) => {
            let path = pod.file("namespace");
            let read = read_small(&path).map_err(|message| {
                spec.key_error(
                    "namespace",
                    format_args!("must be given, because {path} cannot be read: {message}"),
                )
            })?;
            (path, read.trim().to_owned())
        }
    };
    if is_name(&namespace, 63) && !namespace.contains('.') {
        Ok(namespace)
    } else {
        Err(spec.error(format_args!("{place}: must be the name of a namespace, e.g. app")))
    }
}

fn token(spec: &Spec, pod: Option<&Pod>) -> Result<Token, ConfigError> {
    let file = spec.owned("token-file");
    let has_certificate = spec.key("cert").is_some();
    let (path, is_declared) = match (spec.secret_key("bearer"), file, pod) {
        (Some(_), Some(_), _) => {
            return Err(spec.key_error("bearer", "token-file is given too; one is enough"));
        }
        (Some(token), None, _) if token.reveal().is_empty() || header(&token).is_none() => {
            return Err(spec.key_error("bearer", "must be a token of one line"));
        }
        (Some(token), None, _) => return Ok(Token::Declared(token)),
        (None, Some(path), _) => (path, true),
        (None, None, Some(pod)) if !has_certificate => (pod.file("token"), false),
        (None, None, _) => return Ok(Token::None),
    };
    match read_token(&path) {
        // Each attempt reads the file anew. A server may echo the token of now.
        Ok(token) => drop(spec.secret(token)),
        Err(message) if is_declared => {
            return Err(
                spec.key_error("token-file", format_args!("{}: {message}", path_shown(&path)))
            );
        }
        Err(message) => {
            return Err(spec.error(format_args!(
                "{path}: {message}; a pod without a service account's token \
                 (automountServiceAccountToken: false) needs token-file=PATH or bearer"
            )));
        }
    }
    Ok(Token::File(path))
}

/// Reads a token without the blanks around it, as client-go does.
fn read_token(path: &str) -> Result<String, String> {
    let text = read_small(path)?;
    let token = text.trim();
    if token.is_empty() {
        return Err("is empty".to_owned());
    }
    Ok(token.to_owned())
}
