//! Requests to scripted servers, and how declarations are read.

#![allow(clippy::unwrap_used)]

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::{Duration, Instant},
};

use super::*;
use crate::{connect::Net, probe::Stage, spec::expand::Env};

fn spec_with(text: &str, env: &Env) -> Spec {
    Spec::parse("api", &KIND, text, env).unwrap()
}

fn spec(text: &str) -> Spec {
    spec_with(text, &Env::new(|_| None))
}

fn error(text: &str) -> String {
    build(&spec(text)).err().map_or_else(|| "no error".to_owned(), |error| error.to_string())
}

/// A server that sends each connection the next of `answers`, and returns the requests.
async fn server(answers: Vec<String>) -> (u16, tokio::task::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = tokio::spawn(async move {
        let mut heard = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 8192];
            let n = stream.read(&mut request).await.unwrap_or_default();
            heard.push(String::from_utf8_lossy(&request[..n]).into_owned());
            let _ = stream.write_all(answer.replace("PORT", &port.to_string()).as_bytes()).await;
            let _ = stream.shutdown().await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
        heard
    });
    (port, serve)
}

async fn ask_spec(spec: &Spec) -> String {
    let mut probe = build(spec).unwrap();
    let (net, stage) = (Net::system(), Stage::default());
    let attempt = Attempt::new(&net, Instant::now() + Duration::from_secs(5), &stage);
    match probe.attempt(&attempt).await {
        Verdict::Ready(ready) => format!("ready: {}", ready.detail),
        Verdict::NotYet(failure) => format!("{}: {}", failure.class, failure.message),
        Verdict::Hopeless(failure) => format!("hopeless: {}", failure.message),
    }
}

/// Probes `/x` with these keys. Returns the verdict and the requests.
async fn ask(keys: &str, answers: &[&str]) -> (String, Vec<String>) {
    let (port, serve) = server(answers.iter().map(|answer| (*answer).to_owned()).collect()).await;
    let verdict = ask_spec(&spec(&format!("http://127.0.0.1:{port}/x{keys}"))).await;
    (verdict.replace(&port.to_string(), "PORT"), serve.await.unwrap())
}

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn a_response_is_judged_by_status_and_body() {
    for (keys, answer, want) in [
        ("", answer("200 OK", ""), "ready: 200 OK"),
        ("", answer("204 No Content", ""), "ready: 204 No Content"),
        ("#status=404", answer("404 Not Found", ""), "ready: 404 Not Found"),
        ("", answer("502 Bad Gateway", ""), "absent: status 502 Bad Gateway, wanted 200-299"),
        (
            "",
            answer("503 x", "starting"),
            "busy: status 503 Service Unavailable, wanted 200-299: starting",
        ),
        ("#match=^up$", answer("200 OK", "up"), "ready: 200 OK"),
        (
            "#match=^up$",
            answer("200 OK", "down"),
            "absent: 200 OK, but the body does not match, it begins with: down",
        ),
        ("#json=/a==1", answer("200 OK", r#"{"a":1}"#), "ready: 200 OK"),
        ("#json=/a==2", answer("200 OK", r#"{"a":1}"#), "absent: 200 OK, but /a is 1, wanted 2"),
        ("#json=/a", answer("200 OK", "a"), "absent: 200 OK, but the body is not JSON"),
        (
            "#method=HEAD",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n".to_owned(),
            "ready: 200 OK",
        ),
        ("", "".to_owned(), "connect: connection closed without a response (127.0.0.1:PORT)"),
        ("", "HTTP/1.1 200".to_owned(), "connect: the response ends half-way (127.0.0.1:PORT)"),
        (
            "#match=a",
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\na".to_owned(),
            "connect: the response ends half-way (127.0.0.1:PORT)",
        ),
        ("", "SSH-2.0-x\r\n".to_owned(), "protocol: not HTTP, it says: SSH-2.0-x (127.0.0.1:PORT)"),
        ("", "\u{15}\u{3}\u{1}\u{0}\u{2}\u{2}F".to_owned(), "protocol: the port speaks TLS"),
        (
            "",
            "\u{0}\u{0}\u{6}\u{4}\u{0}\u{0}".to_owned(),
            "protocol: the server speaks HTTP/2 only (127.0.0.1:PORT)",
        ),
    ] {
        assert_eq!(ask(keys, &[&answer]).await.0, want, "{keys} {answer}");
    }
}

#[tokio::test]
async fn endless_interim_responses_and_headers_are_cut() {
    let interim = "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n".repeat(20_000);
    let want = "protocol: not HTTP/1: more than 256 KiB before the response (127.0.0.1:PORT)";
    assert_eq!(ask("", &[&interim]).await.0, want);
    let few = format!("{}{}", &interim[..interim.len() / 10_000], answer("200 OK", ""));
    assert_eq!(ask("", &[&few]).await.0, "ready: 200 OK");
    let headers = format!("HTTP/1.1 200 OK\r\n{}", "X-A: b\r\n".repeat(50_000));
    let (got, _) = ask("", &[&headers]).await;
    assert!(got.starts_with("protocol: not HTTP/1: "), "{got}");
    let chunks =
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;{}", "x".repeat(90_000));
    let (got, _) = ask("#match=a", &[&chunks]).await;
    assert!(got.starts_with("protocol: not HTTP/1: "), "{got}");
    let line = format!("HTTP/1.1 200 OK\r\nX-A: {}", "b".repeat(1_000_000));
    let (got, _) = ask("", &[&line]).await;
    assert!(got.starts_with("protocol: not HTTP/1: "), "{got}");
}

#[tokio::test]
async fn a_slow_pattern_is_cut_with_the_attempt() {
    let body = "a".repeat(100_000);
    let (port, serve) = server(vec![answer("200 OK", &body)]).await;
    let text = format!("http://127.0.0.1:{port}/x#match=[a-z]{{0%2C300}}Z");
    let mut probe = build(&spec(&text)).unwrap();
    let (net, stage) = (Net::system(), Stage::default());
    let attempt = Attempt::new(&net, Instant::now() + Duration::from_secs(60), &stage);
    let mut asked = probe.attempt(&attempt);
    // While the search of the body runs, this thread is free.
    let mut searching = false;
    for _ in 0..2000 {
        let cut = tokio::time::timeout(Duration::from_millis(10), &mut asked).await;
        assert!(cut.is_err(), "the search takes seconds");
        let now = stage.take();
        searching |= now.ends_with("but the search of the body did not end");
        if searching {
            break;
        }
    }
    assert!(searching);
    drop(asked);
    serve.await.unwrap();
}

#[tokio::test]
async fn a_server_that_speaks_first_is_quoted() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"INFO {}\r\n").await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    let got = ask_spec(&spec(&format!("http://127.0.0.1:{port}"))).await;
    assert_eq!(got, format!("protocol: not HTTP, it says: INFO {{}} (127.0.0.1:{port})"));
    serve.await.unwrap();
}

#[tokio::test]
async fn the_request_says_what_was_asked_for() {
    let (_, heard) = ask(
        "?a=b%20c#header=X-A: 1,header=Accept: text/plain,user=u,password=p",
        &[&answer("200 OK", "")],
    )
    .await;
    let request = heard[0].to_ascii_lowercase();
    assert!(request.starts_with("get /x?a=b%20c http/1.1\r\n"), "{request}");
    for line in [
        "x-a: 1",
        "accept: text/plain",
        "authorization: basic dtpw",
        "connection: close",
        "host: 127.0.0.1:",
        "user-agent: afterall/",
    ] {
        assert!(request.contains(&format!("\r\n{line}")), "{line} in {request}");
    }
    assert!(!request.contains("*/*"), "{request}");
}

#[tokio::test]
async fn expansions_are_data_and_stay_in_their_part() {
    let env = Env::new(|name| match name {
        "P" => Some("a/b?c#d%e".into()),
        "T" => Some("s3cr3t&t=#%+".into()),
        "Q" => Some("x=1&y=2".into()),
        _ => None,
    });
    let (port, serve) = server(vec![answer("200 OK", ""), answer("200 OK", "")]).await;
    let spec = spec_with(&format!("http://127.0.0.1:{port}/${{P}}/z?t=${{T}}"), &env);
    assert_eq!(ask_spec(&spec).await, "ready: 200 OK");
    let shown: Vec<_> = spec.secrets().revealed();
    assert_eq!(shown, ["a/b?c#d%e", "s3cr3t&t=#%+", "s3cr3t%26t%3D%23%25%2B"]);
    ask_spec(&spec_with(&format!("http://127.0.0.1:{port}?${{Q}}"), &env)).await;
    let heard = serve.await.unwrap();
    assert!(
        heard[0].starts_with("GET /a/b%3Fc%23d%25e/z?t=s3cr3t%26t%3D%23%25%2B HTTP/1.1\r\n"),
        "{}",
        heard[0]
    );
    assert!(heard[1].starts_with("GET /?x=1&y=2 HTTP/1.1\r\n"), "{}", heard[1]);
}

#[tokio::test]
async fn a_redirect_is_followed_only_where_asked_and_credentials_stay_at_home() {
    let redirect =
        |to: &str| format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
    let (got, _) = ask("", &[&redirect("/y")]).await;
    let want = "absent: status 302 Found, wanted 200-299 (redirects to http://127.0.0.1:PORT/y)";
    assert_eq!(got, want);
    let (got, heard) =
        ask("#redirects=1,bearer=t0k3n,header=X-A: 1", &[&redirect("/y"), &answer("200 OK", "")])
            .await;
    assert_eq!(got, "ready: 200 OK");
    assert!(
        heard[1].starts_with("GET /y ")
            && heard[1].contains("Bearer t0k3n")
            && heard[1].contains("x-a: 1"),
        "{}",
        heard[1]
    );
    let (got, heard) = ask(
        "#redirects=1,bearer=t0k3n,header=X-A: 1",
        &[&redirect("http://localhost:PORT/y"), &answer("200 OK", "")],
    )
    .await;
    assert_eq!(got, "ready: 200 OK");
    assert!(
        !heard[1].contains("t0k3n") && !heard[1].to_lowercase().contains("x-a"),
        "{}",
        heard[1]
    );
    let (got, _) = ask("#redirects=1", &[&redirect("/y"), &redirect("/z?t=s3cr3t")]).await;
    assert_eq!(got, want.replace("/y", "/z"));
    let (got, _) = ask("#redirects=1", &[&redirect("file:///etc/passwd")]).await;
    assert_eq!(got, "absent: status 302 Found redirects to what is no http: or https: URL");
}

#[tokio::test]
async fn a_proxy_gets_the_whole_url_and_tunnels_https() {
    let (port, serve) =
        server(vec![answer("200 OK", ""), "HTTP/1.1 503 x\r\n\r\n".to_owned()]).await;
    let text = format!("http://api.test/x#proxy=http://u:p@127.0.0.1:{port}");
    assert_eq!(ask_spec(&spec(&text)).await, "ready: 200 OK");
    let text = format!("https://api.test/x#insecure,proxy=127.0.0.1:{port}");
    let want =
        format!("connect: the proxy gives no tunnel: 503 Service Unavailable (127.0.0.1:{port})");
    assert_eq!(ask_spec(&spec(&text)).await, want);
    let heard = serve.await.unwrap();
    assert!(heard[0].starts_with("GET http://api.test/x HTTP/1.1\r\n"), "{}", heard[0]);
    assert!(heard[0].contains("proxy-authorization: Basic dTpw"), "{}", heard[0]);
    assert!(
        heard[1].starts_with("CONNECT api.test:443 HTTP/1.1\r\nHost: api.test:443\r\n"),
        "{}",
        heard[1]
    );
}

#[test]
fn a_proxy_variable_is_wrong_only_where_it_is_used() {
    let env = Env::new(|name| match name {
        "https_proxy" => Some("socks5://x".into()),
        "no_proxy" => Some("internal".into()),
        _ => None,
    });
    let error = |text: &str| build(&spec_with(text, &env)).err().map(|error| error.to_string());
    assert_eq!(error("http://a/#proxy=env"), None);
    assert_eq!(error("https://api.internal/#proxy=env"), None);
    let want = "api: proxy: the variable https_proxy must be the URL of an http:// proxy, e.g. \
        http://proxy:3128; others are not supported";
    assert_eq!(error("https://a/#proxy=env").as_deref(), Some(want));
}

#[test]
fn configuration_errors_are_found_at_build_and_show_no_value() {
    for (text, want) in [
        ("http:///x", "api: http: needs a host, e.g. https://api/ready"),
        (
            "http://unix:/run/app.sock:/health",
            "api: http://unix:PATH:/URL is another tool's form; write \
            http+unix://%2Frun%2Fapp.sock/URL",
        ),
        ("http+unix://a/x", "api: http+unix: needs a host, e.g. http+unix://%2Frun%2Fx.sock/ready"),
        (
            "http://a#status=2x",
            "api: status: must be statuses, ranges or classes of them, joined by +, e.g. 200+204, \
            200-299, 2xx",
        ),
        (
            "http://a#method=POST",
            "api: method: must be GET or HEAD, because a probe changes nothing",
        ),
        (
            "http://a#method=HEAD,match=x",
            "api: method: a response to HEAD has no body for match or json to look at",
        ),
        (
            "http://a#header=secret",
            "api: header: must be written Name: value, e.g. Accept: text/plain",
        ),
        (
            "http://a#header=se cret: x",
            "api: header: must begin with the name of a header, e.g. Accept: text/plain",
        ),
        (
            "http://a#header=A: b%0Ac",
            "api: header: the value of a must not hold a control character",
        ),
        (
            "http://a#header=Connection: x",
            "api: header: must not set connection, which the probe sets itself",
        ),
        (
            "http://a#match=(",
            "api: match: must be a regular expression, e.g. ^ready$ (found open group without \
            closing ')')",
        ),
        (
            "http://a#json=x",
            "api: json: must be a JSON pointer, alone or with a value, e.g. /status==UP, \
            /checks/0/ready",
        ),
        ("http://a#redirects=x", "api: redirects: must be a number from 0 to 50, e.g. 5"),
        ("http://a#password=x", "api: password: needs a user"),
        ("http://u:p@a#bearer=x", "api: bearer: a user is given too; one is enough"),
        (
            "http://a#bearer=x,header=Authorization: y",
            "api: bearer: the header Authorization is given too; one is enough",
        ),
        (
            "http://a#proxy=socks5://x",
            "api: proxy: must be the URL of an http:// proxy, e.g. http://proxy:3128; others are \
            not supported",
        ),
        ("http://a#ca=/x", "api: ca: /x: no such file or directory"),
        ("http://a#insecure", "api: http: speaks no TLS; its keys belong to https:"),
    ] {
        assert_eq!(error(text), want, "{text}");
    }
}
