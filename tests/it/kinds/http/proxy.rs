//! Through a proxy that works: whole URLs for `http:`, tunnels for `https:`, and the variables as
//! curl reads them.

use crate::support::look::once;
use crate::support::{Afterall, Authority, Nginx, Reserved, Scripted};
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A forward proxy (RFC 9110, section 7.7) that resolves names of its own. `login` is the login
/// that it requires, in base64.
struct Proxy {
    server: Scripted,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    fn new(names: &[(&str, SocketAddr)], login: Option<&'static str>) -> Self {
        let names: HashMap<String, SocketAddr> =
            names.iter().map(|(name, at)| ((*name).to_owned(), *at)).collect();
        let heard = Arc::<Mutex<Vec<String>>>::default();
        let ears = Arc::clone(&heard);
        let server = Scripted::new(move |_, stream| drop(serve(stream, &names, login, &ears)));
        Self { server, heard }
    }

    fn url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// The first lines of the requests since the last call.
    fn heard(&self) -> Vec<String> {
        std::mem::take(&mut *self.heard.lock().unwrap())
    }
}

fn serve(
    mut client: TcpStream,
    names: &HashMap<String, SocketAddr>,
    login: Option<&str>,
    heard: &Mutex<Vec<String>>,
) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let (first, fields) = head.split_once("\r\n").unwrap();
    heard.lock().unwrap().push(first.to_owned());
    if login.is_some_and(|login| {
        !fields
            .to_ascii_lowercase()
            .contains(&format!("proxy-authorization: basic {}", login.to_ascii_lowercase()))
    }) {
        return client.write_all(
            b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: \
            0\r\nConnection: close\r\n\r\n",
        );
    }
    let mut words = first.split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let authority = match method {
        "CONNECT" => target,
        _ => target.strip_prefix("http://").unwrap().split('/').next().unwrap(),
    };
    let Some(at) = names.get(authority.split(':').next().unwrap()) else {
        return client.write_all(
            b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        );
    };
    let Ok(mut server) = TcpStream::connect(at) else {
        return client.write_all(
            b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        );
    };
    match method {
        "CONNECT" => {
            client.write_all(b"HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n")?
        }
        _ => {
            let path = &target["http://".len() + authority.len()..];
            server.write_all(head.replacen(target, path, 1).as_bytes())?;
        }
    }
    let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
    let upward = thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let _ = io::copy(&mut server, &mut client);
    let _ = client.shutdown(Shutdown::Both);
    let _ = upward.join();
    Ok(())
}

#[test]
fn a_proxy_that_is_named_is_asked_for_pages_and_for_tunnels() {
    let ca = Authority::new("ca");
    let plain = Nginx::serving("location / { return 200 \"plain $host\"; }");
    let tls = Nginx::serving_tls(
        &ca.server(&["secure.test"]),
        "location / { return 200 \"tls $host\"; }",
    );
    let proxy =
        Proxy::new(&[("plain.test", plain.address()), ("secure.test", tls.address())], None);
    let at = proxy.url();
    once(&format!("http://plain.test/ready?a=b#match=^plain plain.test$,proxy={at}"))
        .code(0)
        .stdout_has("200 OK");
    assert_eq!(proxy.heard(), ["GET http://plain.test/ready?a=b HTTP/1.1"]);
    let secure = format!(
        "https://secure.test:8443/ready#match=^tls secure.test$,ca={},proxy={at}",
        ca.cert_text()
    );
    once(&secure).code(0).stdout_has("200 OK");
    assert_eq!(proxy.heard(), ["CONNECT secure.test:8443 HTTP/1.1"]);
    // A server that the proxy cannot reach is not ready. A wrong certificate has a message of its
    // own.
    once(&format!("https://none.test/#insecure,proxy={at}"))
        .code(69)
        .stdout_has("the proxy gives no tunnel: 502 Bad Gateway");
    once(&format!("http://none.test/#proxy={at}")).code(69).stdout_has("status 502 Bad Gateway");
    once(&format!("https://plain.test/#ca={},proxy={at}", ca.cert_text()))
        .code(69)
        .stdout_has("[class=tls]")
        .stdout_has("plain HTTP");
    once(&format!("https://secure.test/#ca={},server-name=x.test,proxy={at}", ca.cert_text()))
        .code(69)
        .stdout_has("certificate not valid for x.test");
    let dead = Reserved::new();
    once(&format!("http://plain.test/#proxy=http://{}", dead.address()))
        .code(69)
        .stdout_has("connection refused");
}

#[test]
fn a_dead_proxy_does_not_mean_that_the_server_is_gone() {
    let server = Nginx::serving("location / { return 200 ok; }");
    let dead = Reserved::new();
    for url in [server.url("/"), format!("https://{}/", server.address())] {
        once(&format!("{url}#until=down,proxy=http://{}", dead.address()))
            .code(69)
            .stdout_has("connection refused")
            .stdout_has("[class=connect]");
    }
    let unknown = format!("{}#until=down,proxy=http://none.invalid:1", server.url("/"));
    once(&unknown).code(69).stdout_has("[class=dns]");
}

#[test]
fn a_proxy_that_wants_a_login_gets_its_own_and_nobody_elses() {
    let ca = Authority::new("ca");
    let plain = Nginx::serving(
        "location / { return 200 \"<$http_proxy_authorization><$http_authorization>\"; }",
    );
    let tls = Nginx::serving_tls(
        &ca.server(&["secure.test"]),
        "location / { return 200 \"<$http_proxy_authorization>\"; }",
    );
    // user:p@ss
    let proxy = Proxy::new(
        &[("plain.test", plain.address()), ("secure.test", tls.address())],
        Some("dXNlcjpwQHNz"),
    );
    let (at, ca) = (proxy.server.address(), ca.cert_text());
    once(&format!(
        "http://plain.test/#proxy=http://user:p%2540ss@{at},bearer=t0k3n,match=<Bearer t0k3n>"
    ))
    .code(0)
    .stdout_has("200 OK");
    once(&format!("https://secure.test/#proxy=http://user:p%2540ss@{at},ca={ca},match=^<>$"))
        .code(0)
        .stdout_has("200 OK");
    let refused = once(&format!("http://plain.test/#proxy=http://user:wr0ng@{at}"))
        .code(69)
        .says_nowhere("wr0ng");
    refused.stdout_has("status 407 Proxy Authentication Required").stdout_has("[class=auth]");
    let refused = once(&format!("https://secure.test/#proxy=http://{at},ca={ca}"))
        .code(69)
        .stdout_has("[class=auth]");
    refused
        .stdout_has("the proxy refused the tunnel: HTTP/1.1 407")
        .stdout_has("the proxy wants a user and a password in its URL");
}

#[test]
fn the_variables_are_read_as_curl_reads_them_and_only_where_asked() {
    let plain = Nginx::serving("location / { return 200 ok; }");
    let proxy = Proxy::new(&[("plain.test", plain.address())], None);
    let direct = plain.url("/");
    let at = proxy.url();
    let dead = format!("http://{}", Reserved::new().address());
    for (url, variables, code, through) in [
        // No proxy is declared.
        (direct.as_str(), &[("http_proxy", dead.as_str())][..], 0, 0),
        ("http://plain.test/#proxy=env", &[("http_proxy", &at)], 0, 1),
        ("http://plain.test/#proxy=env", &[("all_proxy", &at)], 0, 1),
        ("http://plain.test/#proxy=env", &[("ALL_PROXY", &at)], 0, 1),
        ("http://plain.test/#proxy=env", &[("http_proxy", &at), ("all_proxy", &dead)], 0, 1),
        (
            "http://plain.test/#proxy=env",
            &[("http_proxy", &at), ("no_proxy", "other.test,10.0.0.0/8")],
            0,
            1,
        ),
        // In capitals the variable may come from a CGI program's header.
        (&format!("{direct}#proxy=env"), &[("HTTP_PROXY", &dead)], 0, 0),
        (
            &format!("{direct}#proxy=env"),
            &[("http_proxy", &dead), ("no_proxy", "127.0.0.0/8")],
            0,
            0,
        ),
        (&format!("{direct}#proxy=env"), &[("http_proxy", &dead), ("NO_PROXY", "*")], 0, 0),
        (&format!("{direct}#proxy=env"), &[("http_proxy", "")], 0, 0),
        (&format!("{direct}#proxy=env"), &[("http_proxy", &dead)], 69, 0),
        ("http://plain.test/#proxy=env", &[("https_proxy", &at)], 69, 0),
        ("http://plain.test/#proxy=env", &[("http_proxy", &at), ("no_proxy", ".test")], 69, 0),
        ("https://plain.test/#insecure,proxy=env", &[("HTTPS_PROXY", &at)], 69, 1),
        ("http://plain.test/#proxy=env", &[("http_proxy", "socks5://x")], 64, 0),
    ] {
        let run = Afterall::once().arg(url);
        let done = variables.iter().fold(run, |run, (name, value)| run.env(name, value)).run();
        assert_eq!(
            (done.status().code(), proxy.heard().len()),
            (Some(code), through),
            "{url} {variables:?}"
        );
        done.any_stdout().any_stderr();
    }
}
