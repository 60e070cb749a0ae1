//! The target of a request: the declared URL, assembled from its parts, with each expansion as
//! data.

use url::{Host, Position, Url};

use crate::{
    connect::Endpoint,
    spec::{ConfigError, Spec, expand::Text},
};

/// The URL without userinfo, and the address of its server.
pub(super) struct Target {
    pub(super) url: Url,
    pub(super) endpoint: Endpoint,
    pub(super) userinfo: Option<Text>,
}

/// Messages hide query values of this length or more, because any of them may be a token.
const MAYBE_A_TOKEN: usize = 8;

impl Target {
    /// Assembles the URL from parts that are already split. An expansion with `/`, `?` or `#` thus
    /// stays within its part.
    pub(super) fn from_spec(spec: &Spec) -> Result<Self, ConfigError> {
        let parts = spec.parts()?;
        let server = spec.server(&parts.servers)?;
        let is_unix = spec.scheme == "http+unix";
        if server.host == "unix" && parts.servers.raw() == "unix:" {
            return Err(spec.error(
                "http://unix:PATH:/URL is another tool's form; write \
                http+unix://%2Frun%2Fapp.sock/URL",
            ));
        }
        if server.host.is_empty()
            || is_unix != server.host.starts_with('/')
            || (is_unix && server.port.is_some())
        {
            let usage =
                if is_unix { "http+unix://%2Frun%2Fx.sock/ready" } else { "https://api/ready" };
            return Err(spec.error(format_args!("{}: needs a host, e.g. {usage}", spec.scheme)));
        }
        // The zone of an address has a meaning on this machine only, so the server must not see it.
        let bare = server.host.split('%').next().unwrap_or_default();
        let mut base = match (is_unix, bare.contains(':')) {
            (true, _) => "http://localhost".to_owned(),
            (false, true) => format!("{}://[{bare}]", spec.scheme),
            (false, false) => format!("{}://{}", spec.scheme, server.host),
        };
        if let Some(port) = server.port {
            base = format!("{base}:{port}");
        }
        let path = component(&parts.path, b"/:@!$&'()*+,;=");
        let query = parts.query.as_ref().map(|query| match query.as_value() {
            // The application's whole query, unchanged.
            Some(whole) => whole.replace('#', "%23"),
            None => component(query, b"/?:@"),
        });
        remember_tokens(spec, query.as_deref().unwrap_or_default());
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        let url = Url::parse(&format!("{base}{path}{query}"))
            .ok()
            .filter(|url| origin_form(url).is_some());
        let url = url.ok_or_else(|| spec.error("not a URL that HTTP can ask for"))?;
        let endpoint = if is_unix {
            Endpoint::Unix(server.host)
        } else if server.host.contains('%') {
            Endpoint::Tcp(server.host, url.port_or_known_default().unwrap_or(80))
        } else {
            endpoint_of(&url).ok_or_else(|| spec.error("the URL has no host"))?
        };
        Ok(Self { url, endpoint, userinfo: parts.userinfo })
    }
}

/// Returns the address of a URL's server.
pub(in crate::kinds) fn endpoint_of(url: &Url) -> Option<Endpoint> {
    Some(Endpoint::Tcp(host_of(url)?, url.port_or_known_default()?))
}

/// Returns the host for lookups and certificates: an address without its brackets.
pub(in crate::kinds) fn host_of(url: &Url) -> Option<String> {
    Some(match url.host()? {
        Host::Domain(name) => name.to_owned(),
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_string(),
    })
}

/// Returns `/path?query`, if a request line can hold it.
pub(super) fn origin_form(url: &Url) -> Option<hyper::Uri> {
    url[Position::BeforePath..Position::AfterQuery].parse().ok()
}

/// Returns the literal parts unchanged, and expansions percent-encoded (RFC 3986, section 2) except
/// for `keep`.
fn component(text: &Text, keep: &[u8]) -> String {
    let mut out = String::new();
    for c in text.raw().chars() {
        let Some(value) = text.part(c.encode_utf8(&mut [0; 4])).as_value().map(str::to_owned)
        else {
            out.push(c);
            continue;
        };
        for byte in value.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || keep.contains(&byte) {
                out.push(char::from(byte));
            } else {
                out.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    out
}

fn remember_tokens(spec: &Spec, query: &str) {
    const SECRETS: [&str; 6] = ["token", "key", "secret", "pass", "auth", "sig"];
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or(("", pair));
        let name = name.to_ascii_lowercase();
        if value.len() >= MAYBE_A_TOKEN || SECRETS.iter().any(|word| name.contains(word)) {
            spec.secret(value);
            if let Ok(decoded) = Text::literal(value).percent_decoded() {
                spec.secret(decoded);
            }
        }
    }
}
