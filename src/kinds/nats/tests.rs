//! The conversation with scripted servers, and how declarations are read.

#![allow(clippy::unwrap_used)]

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::Instant,
};

use super::*;
use crate::{
    connect::Net,
    probe::Stage,
    spec::expand::{Env, Text},
};

fn spec(text: &str) -> Spec {
    Spec::parse("nats", &KIND, text, &Env::new(|_| None)).unwrap()
}

fn error(text: &str) -> String {
    build(&spec(text)).err().map_or_else(|| "no error".to_owned(), |error| error.to_string())
}

/// Asks a server that sends `says` at once and `answers` after the first bytes from us. `keys` are
/// the keys.
async fn ask(keys: &str, says: &'static str, answers: &'static str) -> (String, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(says.as_bytes()).await.unwrap();
        if answers.is_empty() {
            stream.shutdown().await.unwrap();
        }
        let mut heard = vec![0; 4096];
        let n = stream.read(&mut heard).await.unwrap_or_default();
        let _ = stream.write_all(answers.as_bytes()).await;
        let mut rest = Vec::new();
        let _ = stream.shutdown().await;
        let _ = stream.read_to_end(&mut rest).await;
        heard.truncate(n);
        String::from_utf8_lossy(&heard).into_owned()
    });
    let verdict = verdict_of(port, keys).await;
    (verdict, serve.await.unwrap())
}

/// Asks a server that replies `answers` to the login. Returns the bytes that it received until the
/// connection was closed, too.
async fn ask_again(keys: &str, answers: &'static str) -> (String, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(format!("{INFO}{answers}").as_bytes()).await.unwrap();
        let mut heard = String::new();
        let _ = stream.read_to_string(&mut heard).await;
        heard
    });
    let verdict = verdict_of(port, keys).await;
    (verdict, serve.await.unwrap())
}

async fn verdict_of(port: u16, keys: &str) -> String {
    let mut probe = build(&spec(&format!("nats://127.0.0.1:{port}{keys}"))).unwrap();
    let (net, stage) = (Net::system(), Stage::default());
    let attempt = Attempt::new(&net, Instant::now() + Duration::from_secs(5), &stage);
    match probe.attempt(&attempt).await {
        Verdict::Ready(ready) => format!("ready: {}", ready.detail),
        Verdict::NotYet(failure) => {
            format!("{}: {}", failure.class, failure.message.replace(&port.to_string(), "PORT"))
        }
        Verdict::Hopeless(failure) => format!("hopeless: {}", failure.message),
    }
}

const INFO: &str = "INFO {\"server_id\":\"x\",\"version\":\"2.9.10\",\"headers\":true}\r\n";

#[tokio::test]
async fn only_the_pong_to_our_ping_is_ready() {
    for (says, answers, want) in [
        (INFO, "PONG\r\n", "ready: NATS 2.9.10"),
        (INFO, "+OK\r\nINFO {}\r\nPING\r\nPONG\r\n", "ready: NATS 2.9.10"),
        (INFO, "+OK\r\n", "connect: connection closed by the server (127.0.0.1:PORT)"),
        (
            INFO,
            "-ERR 'Authorization Violation'\r\n",
            "auth: -ERR 'Authorization Violation' (127.0.0.1:PORT)",
        ),
        (
            INFO,
            "-ERR 'maximum connections exceeded'\r\n",
            "busy: -ERR 'maximum connections exceeded' (127.0.0.1:PORT)",
        ),
        (INFO, "WHAT 1\r\n", "protocol: not NATS: WHAT 1 (127.0.0.1:PORT)"),
        (
            INFO,
            "MSG a 1 99999999999\r\n",
            "protocol: not NATS: a message of an impossible size (127.0.0.1:PORT)",
        ),
        (
            "HTTP/1.1 400 Bad Request\r\n\r\n",
            "",
            "protocol: not NATS, it says: HTTP/1.1 400 Bad Request (127.0.0.1:PORT)",
        ),
        ("SSH-2.0-x\r\n", "", "protocol: not NATS, it says: SSH-2.0-x (127.0.0.1:PORT)"),
        ("I", "", "connect: connection closed by the server (127.0.0.1:PORT)"),
        ("INFO hello\r\n", "", "protocol: not NATS, it says: INFO hello (127.0.0.1:PORT)"),
        ("\u{1}\u{2}\u{3}", "", "protocol: not NATS (127.0.0.1:PORT)"),
        (
            "-ERR 'maximum connections exceeded'\r\n",
            "",
            "busy: -ERR 'maximum connections exceeded' (127.0.0.1:PORT)",
        ),
        (
            "INFO {\"ldm\":true}\r\n",
            "",
            "busy: the server is in lame duck mode, about to shut down (127.0.0.1:PORT)",
        ),
    ] {
        assert_eq!(ask("", says, answers).await.0, want, "{says}{answers}");
    }
}

#[tokio::test]
async fn declared_tls_is_never_left_out() {
    let (verdict, heard) = ask("#insecure", INFO, "").await;
    assert_eq!(
        (verdict.as_str(), heard.as_str()),
        ("tls: the server does not offer TLS (127.0.0.1:PORT)", "")
    );
    let says = "INFO {\"tls_required\":true}\r\n-ERR 'maximum connections exceeded'\r\n";
    assert_eq!(
        ask("#insecure,user=a,password=b", says, "").await.0,
        "busy: -ERR 'maximum connections exceeded' (127.0.0.1:PORT)"
    );
    let (verdict, heard) =
        ask("#insecure,user=a,password=b", "INFO {\"tls_required\":true}\r\n", "-ERR 'x'\r\n")
            .await;
    assert_eq!(verdict, "protocol: -ERR 'x' (127.0.0.1:PORT)");
    assert!(!heard.contains("CONNECT"), "{heard}");
}

#[tokio::test]
async fn jetstream_is_asked_after_the_login() {
    const ANSWER: &str =
        "PONG\r\nMSG _INBOX.x 1 32\r\n{\"memory\":0,\"storage\":0,\"x\":\"y\"}\r\n";
    assert_eq!(ask("#jetstream", INFO, ANSWER).await.0, "ready: NATS 2.9.10, JetStream");
    const NOBODY: &str = "PONG\r\nHMSG _INBOX.x 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n";
    let want = "absent: JetStream is not enabled (503 no responders)";
    assert_eq!(ask("#stream=S", INFO, NOBODY).await.0, want);
}

#[tokio::test]
async fn a_request_goes_to_its_domain_and_inbox() {
    let answer = "PONG\r\nMSG x.afterall 1 2\r\n{}\r\n";
    let (verdict, heard) = ask_again("#jetstream,domain=hub,inbox-prefix=_IN.app", answer).await;
    assert_eq!(verdict, "ready: NATS 2.9.10, JetStream");
    assert!(heard.contains("SUB _IN.app.afterall."), "{heard}");
    assert!(heard.contains("PUB $JS.hub.API.INFO _IN.app.afterall."), "{heard}");
    let both = "PONG\r\nMSG x 1 2\r\n{}\r\nMSG x 2 2\r\n{}\r\n";
    let (verdict, heard) = ask_again("#jetstream,stream=S", both).await;
    assert_eq!(verdict, "ready: NATS 2.9.10, JetStream, stream S");
    assert!(heard.contains("$JS.API.INFO") && heard.contains("$JS.API.STREAM.INFO.S"), "{heard}");
}

#[tokio::test]
async fn a_flood_is_cut_by_its_number_of_operations() {
    let flood: &'static str = Box::leak("+OK\r\n".repeat(200_000).into_boxed_str());
    let want = "protocol: not NATS: more than 1000 operations and not the one that was asked for \
                (127.0.0.1:PORT)";
    assert_eq!(ask("", INFO, flood).await.0, want);
    let large: &'static str = Box::leak(
        format!("MSG a 1 1000000\r\n{}\r\n{flood}", "x".repeat(1_000_000)).into_boxed_str(),
    );
    assert_eq!(ask("", INFO, large).await.0, want);
    let line: &'static str = Box::leak(format!("INFO {}", "x".repeat(200_000)).into_boxed_str());
    let want = "protocol: not NATS: a line of more than 64 KiB (127.0.0.1:PORT)";
    assert_eq!(ask("", line, "").await.0, want);
}

#[tokio::test]
async fn credentials_are_sent_as_they_were_declared() {
    let (_, heard) = ask("#user=a,password=p%2Cq", INFO, "PONG\r\n").await;
    assert!(heard.contains(r#""user":"a""#) && heard.contains(r#""pass":"p,q""#), "{heard}");
    let (_, heard) = ask("#token=t", INFO, "PONG\r\n").await;
    assert!(heard.contains(r#""auth_token":"t""#), "{heard}");
    assert!(heard.starts_with("CONNECT {") && heard.ends_with("}\r\nPING\r\n"), "{heard}");
}

#[test]
fn each_server_has_its_own_credentials_or_those_of_the_one_before() {
    let spec = spec("nats://u:p%40@a,b:1,t@c");
    let userinfo = spec.parts().unwrap().authority;
    let servers: Vec<_> = userinfo.split(',').collect();
    assert_eq!(servers.len(), 3);
    let login = |text: &Text| match Login::from_userinfo(&spec, &text.rsplit_once('@').unwrap().0)
        .unwrap()
    {
        Login::Password { user, password } => format!("{user} {}", password.unwrap().reveal()),
        Login::Token(token) => token.reveal().to_owned(),
        _ => unreachable!(),
    };
    assert_eq!((login(&servers[0]), login(&servers[2])), ("u p@".to_owned(), "t".to_owned()));
    assert!(build(&spec).is_ok());
}

#[test]
fn configuration_errors_are_found_at_build() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x");
    std::fs::write(&path, "SUSECRET").unwrap();
    let path = path.to_str().unwrap();
    for (text, want) in [
        ("nats://a/x", "nats: nats: takes servers and nothing behind them".to_owned()),
        ("nats://a,http://b", "nats: nats: takes servers and nothing behind them".to_owned()),
        ("nats://:4222,b", "nats: nats: needs a host, e.g. nats://nats:4222".to_owned()),
        (
            "nats://a#token=t,user=u",
            "nats: token: must not stand beside user: one way to log in is enough".to_owned(),
        ),
        ("nats://a#password=p", "nats: password: needs a user".to_owned()),
        (
            "nats://a#stream=a.b",
            "nats: stream: must be a stream's name, e.g. ORDERS: no blanks, dots, *, >, / or \\"
                .to_owned(),
        ),
        (
            "nats://a#stream=S,domain=a.b",
            "nats: domain: must be one token of a subject, e.g. hub: no blanks, dots, * or >"
                .to_owned(),
        ),
        (
            "nats://a#stream=S,inbox-prefix=a.*",
            "nats: inbox-prefix: must be a subject without * and >, e.g. _INBOX_app".to_owned(),
        ),
        (
            "nats://a#domain=hub",
            "nats: domain: needs jetstream or stream=NAME beside it".to_owned(),
        ),
        ("nats://a#nkey=/no", "nats: nkey: /no: no such file or directory".to_owned()),
        (
            &format!("nats://a#nkey={path}"),
            format!("nats: nkey: {path}: not an nkey seed: too short"),
        ),
        (
            &format!("nats://a#creds={path}"),
            format!("nats: creds: {path}: not a .creds file: holds no JWT"),
        ),
        ("nats://a#ca=/no", "nats: ca: /no: no such file or directory".to_owned()),
        ("nats://a#jetstream=maybe", "nats: jetstream: must be true or false".to_owned()),
    ] {
        assert_eq!(error(text), want, "{text}");
    }
}
