//! The parts of a URL: authority, servers, path, query. No error shows the wrong text.

use super::{
    Grammar,
    expand::{Expansion, Text, unexpanded},
};

/// Returns true if `scheme` is valid (RFC 3986, section 3.1). SQLAlchemy's drivers, after a `+`,
/// may hold an underscore.
pub(super) fn is_scheme(scheme: &str) -> bool {
    let base = scheme.split('+').next().unwrap_or_default();
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-._".contains(c))
        && !base.contains('_')
}

/// Returns true if the text is exactly `HOST:DIGITS` or `[V6]:DIGITS`.
pub(super) fn is_host_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let host_ok = match host.strip_prefix('[') {
        Some(v6) => v6.strip_suffix(']').is_some_and(|v6| v6.contains(':')),
        None => !host.is_empty() && !host.contains(['/', '?', ':', '@', '=', ' ', ',', '[', ']']),
    };
    host_ok && !port.is_empty() && port.chars().all(|c| c.is_ascii_digit())
}

/// Returns true if the text is an IPv6 address without brackets, with or without a port.
pub(super) fn is_bare_ipv6(text: &str) -> bool {
    let address = text.split('%').next().unwrap_or_default();
    address.matches(':').count() >= 2
        && address.chars().all(|c| c.is_ascii_hexdigit() || c == ':' || c == '.')
        && (address.parse::<std::net::Ipv6Addr>().is_ok()
            || address
                .rsplit_once(':')
                .is_some_and(|(host, _)| host.parse::<std::net::Ipv6Addr>().is_ok()))
}

/// Returns the error for an IPv6 address without brackets. Digits after the last colon count as the
/// port if they can be one.
pub(super) fn needs_brackets(text: &str) -> String {
    let is_address = |text: &str| {
        text.split('%').next().is_some_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok())
    };
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if is_address(host) => match port.parse::<u16>() {
            Ok(port) if port > 0 => (host, port),
            // The last part is neither a port nor part of the address.
            _ if !is_address(text) => (host, 443),
            _ => (text, 443),
        },
        _ => (text, 443),
    };
    format!("an IPv6 address needs brackets, e.g. [{host}]:{port}")
}

/// Checks the servers before the dependency gets its name from them.
///
/// If a password holds an unencoded `/`, `?`, `#` or `@`, parts of it become host, port, path or
/// keys. Errors do not show these parts.
pub(super) fn check_authority(grammar: Grammar, rest: &Text) -> Result<(), String> {
    let (authority, rest) = split_authority(rest);
    for server in servers_of(grammar, &authority) {
        if plain_parts(server.raw()).is_none() {
            read_server(&server)?;
        }
    }
    let before_value = rest.raw().split('=').next().unwrap_or_default();
    if before_value.contains('@') && !matches!(grammar, Grammar::Url) {
        return Err(format!("an @ behind the host {ENCODE}"));
    }
    Ok(())
}

/// Reads a list as NATS clients do (`processUrlString` of nats.go). Returns the scheme and the
/// normalized list.
///
/// Blanks, one slash at the end of a server and empty entries are dropped. A server may repeat the
/// scheme, or have another one of `schemes`. The list then has the later of the two, e.g. `tls`
/// beside `nats`.
pub(super) fn tidy_list(schemes: &[&str], scheme: &str, rest: &Text) -> (String, Text) {
    let rank = |scheme: &str| schemes.iter().position(|known| known.eq_ignore_ascii_case(scheme));
    let mut highest = rank(scheme);
    let mut servers = Vec::new();
    for server in rest.raw().strip_prefix("//").unwrap_or_default().split(',') {
        let mut server = server.trim_matches(' ');
        if let Some((own, bare)) = server.split_once("://")
            && rank(own).is_some()
        {
            highest = highest.max(rank(own));
            server = bare;
        }
        server = server.strip_suffix('/').unwrap_or(server);
        if !server.is_empty() {
            servers.push(server);
        }
    }
    let scheme = highest.map_or(scheme, |index| schemes[index]);
    (scheme.to_owned(), rest.part(&format!("//{}", servers.join(","))))
}

const ENCODE: &str =
    "(a / ? # or @ in a password must be percent-encoded, or come from a variable)";

/// Returns the servers of an authority without userinfo. Some kinds allow one for each server.
pub(super) fn servers_of(grammar: Grammar, authority: &Text) -> impl Iterator<Item = Text> + use<> {
    let has_logins = matches!(grammar, Grammar::ServersWithLogins);
    let servers = if has_logins { authority.clone() } else { without_userinfo(authority) };
    let bare = move |server| if has_logins { without_userinfo(&server) } else { server };
    servers.split(',').map(bare)
}

fn without_userinfo(server: &Text) -> Text {
    server.rsplit_once('@').map_or_else(|| server.clone(), |(_, server)| server)
}

/// Splits the text after `//` at the first `/` or `?`.
pub(super) fn split_authority(rest: &Text) -> (Text, Text) {
    let end = rest.raw().bytes().position(|byte| byte == b'/' || byte == b'?');
    let end = end.unwrap_or(rest.raw().len());
    (rest.part(&rest.raw()[..end]), rest.part(&rest.raw()[end..]))
}

/// Reads one `HOST[:PORT]`. No error shows the text, which may be part of a password with an
/// unencoded `/` or `@`.
pub(super) fn read_server(text: &Text) -> Result<Server, String> {
    if let Some((host, port)) = plain_parts(text.raw()) {
        return Ok(Server { host: host.to_owned(), port });
    }
    let (host, port) = match text.strip_prefix("[") {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or("a [ is not closed by ]")?;
            match port.strip_prefix(":") {
                Some(port) => (host, Some(port)),
                None if port.is_empty() => (host, None),
                None => return Err(format!("only :PORT can follow the ] {ENCODE}")),
            }
        }
        None if is_bare_ipv6(text.raw()) => {
            return Err(needs_brackets(text.raw()));
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text.clone(), None),
        },
    };
    for (part, text) in [("host", Some(&host)), ("port", port.as_ref())] {
        if let Some(expansion) = text.and_then(Text::emptied_by) {
            return Err(format!("{} is empty, and leaves no {part}", expansion.origin()));
        }
        if let Some(remedy) = text.and_then(|text| unexpanded(text.raw())) {
            return Err(format!("the {part} is not a {part}: {remedy}"));
        }
    }
    let port = port.filter(|port| !port.is_empty()).map(|port| read_port(&port)).transpose()?;
    if let Some(gap) = gap_in(&host) {
        return Err(gap);
    }
    let whole = host;
    let host = whole.percent_decoded().map_err(|e| format!("the host {e}"))?;
    // The directory of a Unix socket, or an abstract socket, percent-encoded as in libpq.
    let is_path = host.starts_with(['/', '@']);
    let is_v6 =
        host.split('%').next().is_some_and(|host| host.parse::<std::net::Ipv6Addr>().is_ok());
    // `=` and `;`: another form of connection string, whose values may be secrets.
    let is_odd = |c: char| c.is_whitespace() || c.is_control() || "@?#\"<>[]=;".contains(c);
    if !is_path && (host.contains(is_odd) || (host.contains(':') && !is_v6)) {
        let is_odd = |value: &str| value.contains(is_odd) || value.contains(':');
        if let Some(expansion) = whole.expansions().find(|expansion| is_odd(expansion.value())) {
            return Err(wrong_value(expansion, "a host: a name or an address"));
        }
        return Err(format!("the host must be a name or an address {ENCODE}"));
    }
    Ok(Server { host, port })
}

/// Returns host and port of the usual server: a name or an IPv4 address in plain letters, and
/// perhaps a port. A thousand declarations are read in a third of the time.
fn plain_parts(text: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-';
    let is_number = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    if host.is_empty() || !host.bytes().all(is_plain) || !port.is_none_or(is_number) {
        return None;
    }
    let port = match port {
        Some(port) => Some(port.parse().ok().filter(|port| *port > 0)?),
        None => None,
    };
    Some((host, port))
}

/// Checks that no expansion leaves `host=` or `port=` empty, in a query or in a connection string
/// of pairs.
pub(super) fn check_pairs(text: &Text) -> Result<(), String> {
    const NAMES: [(&str, &str); 5] = [
        ("host", "host"),
        ("hostaddr", "host"),
        ("hostname", "host"),
        ("server", "host"),
        ("port", "port"),
    ];
    if !text.raw().contains('=') {
        return Ok(());
    }
    let is_between = |c: char| c.is_whitespace() || "?&;'\"".contains(c);
    for pair in text.raw().split(is_between) {
        let Some((name, value)) = pair.split_once('=') else { continue };
        let name = name.to_ascii_lowercase();
        let part = NAMES.iter().find(|(known, _)| *known == name).map(|(_, part)| part);
        let Some(part) = part else { continue };
        for item in value.split(',').map(|item| text.part(item)) {
            if let Some(empty) = item.emptied_by() {
                return Err(format!("{} is empty, and leaves no {part}", empty.origin()));
            }
            let is_path = item.raw().starts_with(['/', '@']);
            if let Some(remedy) = unexpanded(item.raw()).filter(|_| !is_path) {
                return Err(format!("the {part} is not a {part}: {remedy}"));
            }
        }
    }
    Ok(())
}

fn read_port(text: &Text) -> Result<u16, String> {
    let port = text.expanded();
    let expansion = text.expansions().next();
    match (port.parse::<u16>(), expansion) {
        (Ok(port), _) if port > 0 => Ok(port),
        (_, Some(expansion)) => Err(wrong_value(expansion, "a port: a number from 1 to 65535")),
        _ if port.chars().all(|c| c.is_ascii_digit()) => {
            Err("the port must be a number from 1 to 65535".to_owned())
        }
        _ => Err(format!("the port must be a number from 1 to 65535 {ENCODE}")),
    }
}

/// Returns the error for a variable or a file that a host or a port comes from. It shows no value.
fn wrong_value(expansion: &Expansion, wanted: &str) -> String {
    let end = if expansion.value().ends_with(['\n', '\r']) { "; it ends in a newline" } else { "" };
    format!("{} must hold {wanted}{end}", expansion.origin())
}

/// Returns the error for a host with a gap from an empty expansion, e.g. `${REGION}.example.com`.
fn gap_in(host: &Text) -> Option<String> {
    let empty = host.expansions().find(|expansion| expansion.value().is_empty())?;
    let name = host.expanded();
    let has_gap = name.starts_with('.') || name.contains("..");
    has_gap.then(|| format!("{} is empty, and leaves a gap in the host", empty.origin()))
}

/// One server of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// A name or an address; IPv6 without brackets. May be empty if the kind has a default.
    pub host: String,
    /// The port, if the user declares one.
    pub port: Option<u16>,
}

/// The parts of `//[USERINFO@]SERVERS[/PATH][?QUERY]`, still undecoded.
pub struct Parts {
    /// Userinfo and servers together, for a kind whose servers may have a login each.
    pub authority: Text,
    /// The text before the last `@` of the authority.
    pub userinfo: Option<Text>,
    /// The servers, joined by commas.
    pub servers: Text,
    /// The path with its leading slash; empty if there is none.
    pub path: Text,
    /// The text after the `?`.
    pub query: Option<Text>,
}
