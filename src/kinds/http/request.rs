//! The request: method, headers, credentials. Read and checked once, put together for each attempt.

use base64::{Engine, engine::general_purpose::STANDARD};
use http_body_util::Empty;
use hyper::{
    HeaderMap, Method, Request, Uri,
    body::Bytes,
    header::{
        ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST, HeaderName, HeaderValue,
        TRANSFER_ENCODING, USER_AGENT,
    },
};
use url::{Position, Url};

use crate::spec::{ConfigError, Spec, expand::Text};

/// The origin that receives the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// Scheme, host and port equal those of the declaration.
    Declared,
    /// A redirect leads elsewhere, so credentials and declared headers are left out.
    Redirected,
}

/// The parts that all requests of one dependency share.
pub(super) struct Template {
    method: Method,
    /// The declared headers and credentials. Only the declared origin gets them.
    own: HeaderMap,
    /// True if the headers hold credentials.
    pub(super) credentials: bool,
}

impl Template {
    /// Reads the keys `method`, `header`, `user`, `password` and `bearer`, and the URL's userinfo.
    pub(super) fn from_spec(spec: &Spec, userinfo: Option<&Text>) -> Result<Self, ConfigError> {
        let method = match spec.key("method") {
            None | Some("GET") => Method::GET,
            Some("HEAD") => Method::HEAD,
            Some(_) => {
                return Err(spec
                    .key_error("method", "must be GET or HEAD, because a probe changes nothing"));
            }
        };
        let mut own = HeaderMap::new();
        for header in spec.all("header") {
            let (name, value) =
                read_header(spec, header).map_err(|message| spec.key_error("header", message))?;
            own.append(name, value);
        }
        if let Some((key, value)) = authorization(spec, userinfo)? {
            if own.contains_key(AUTHORIZATION) {
                return Err(
                    spec.key_error(key, "the header Authorization is given too; one is enough")
                );
            }
            own.insert(AUTHORIZATION, value);
        }
        let credentials = own.contains_key(AUTHORIZATION);
        Ok(Self { method, own, credentials })
    }

    /// Returns true if a response to this method has a body.
    pub(super) fn is_head(&self) -> bool {
        self.method == Method::HEAD
    }

    /// Returns a declared header that HTTP/2 does not have (RFC 9113, section 8.2.2).
    pub(super) fn header_of_http1_only(&self) -> Option<&'static str> {
        ["keep-alive", "proxy-connection", "te", "upgrade"]
            .into_iter()
            .find(|name| self.own.contains_key(*name))
    }

    /// Returns the request for `url`. `more` holds headers for the next hop only.
    pub(super) fn request(
        &self,
        url: &Url,
        uri: Uri,
        origin: Origin,
        more: Option<(HeaderName, HeaderValue)>,
    ) -> Request<Empty<Bytes>> {
        let mut request = Request::new(Empty::new());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        if origin == Origin::Declared {
            *headers = self.own.clone();
        }
        let host = HeaderValue::from_str(&url[Position::BeforeHost..Position::AfterPort]);
        headers
            .entry(HOST)
            .or_insert(host.unwrap_or_else(|_| HeaderValue::from_static("localhost")));
        headers
            .entry(USER_AGENT)
            .or_insert(HeaderValue::from_static(concat!("afterall/", env!("CARGO_PKG_VERSION"))));
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        headers.extend(more);
        request
    }
}

/// Reads `Name: value`. No error shows the value, or an invalid name, which may be a value without
/// its name.
fn read_header(spec: &Spec, header: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) =
        header.split_once(':').ok_or("must be written Name: value, e.g. Accept: text/plain")?;
    let name = HeaderName::try_from(name.trim())
        .map_err(|_| "must begin with the name of a header, e.g. Accept: text/plain")?;
    if [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING].contains(&name) {
        return Err(format!("must not set {name}, which the probe sets itself"));
    }
    let value = spec.secret(value.trim());
    // A server may echo only the token of `Bearer TOKEN` or `session=TOKEN; ...`.
    for token in value.reveal().split([' ', ';', ',', '=']).filter(|token| token.len() >= 8) {
        spec.secret(token);
    }
    let mut value = HeaderValue::from_str(value.reveal())
        .map_err(|_| format!("the value of {name} must not hold a control character"))?;
    value.set_sensitive(true);
    Ok((name, value))
}

/// Returns the value of Authorization, and the key that sets it.
fn authorization(
    spec: &Spec,
    userinfo: Option<&Text>,
) -> Result<Option<(&'static str, HeaderValue)>, ConfigError> {
    let mut user = spec.owned("user");
    let mut password = spec.secret_key("password");
    if let Some(userinfo) = userinfo {
        let (in_url, password_in_url) = spec.userinfo(userinfo)?;
        user = user.or(Some(in_url));
        password = password.or(password_in_url);
    }
    let bearer = spec.secret_key("bearer");
    let (key, secret) = match (user, password, bearer) {
        (None, None, None) => return Ok(None),
        (None, None, Some(token)) => ("bearer", spec.secret(format!("Bearer {}", token.reveal()))),
        (_, _, Some(_)) => {
            return Err(spec.key_error("bearer", "a user is given too; one is enough"));
        }
        (None, Some(_), None) => return Err(spec.key_error("password", "needs a user")),
        (Some(user), _, None) if user.contains(':') => {
            return Err(
                spec.key_error("user", "must not hold a colon, which HTTP Basic cannot carry")
            );
        }
        (Some(user), password, None) => {
            let password = password.unwrap_or_default();
            let encoded = spec.secret(STANDARD.encode(format!("{user}:{}", password.reveal())));
            ("user", spec.secret(format!("Basic {}", encoded.reveal())))
        }
    };
    let mut value = HeaderValue::from_str(secret.reveal())
        .map_err(|_| spec.key_error(key, "must not hold a control character"))?;
    value.set_sensitive(true);
    Ok(Some((key, value)))
}
