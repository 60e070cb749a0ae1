//! Our verdict beside a real client's: we report ready where reqwest gets a success, and nowhere
//! else.

use crate::support::{Afterall, Authority, Identity, Nginx, Reserved, Scripted, secs};
use reqwest::redirect::Policy;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;

/// The declaration for both clients.
#[derive(Clone, Default)]
struct Way<'a> {
    keys: String,
    ca: Option<&'a Authority>,
    client: Option<&'a Identity>,
    redirects: usize,
    login: Option<(&'a str, &'a str)>,
}

impl Way<'_> {
    fn keys(&self) -> String {
        let mut keys: Vec<String> = vec!["attempt-timeout=30s".to_owned()];
        keys.extend(Some(self.keys.clone()).filter(|keys| !keys.is_empty()));
        keys.extend(self.ca.map(|ca| format!("ca={}", ca.cert_text())));
        keys.extend(
            self.client.map(|own| format!("cert={},key={}", own.cert_text(), own.key_text())),
        );
        keys.extend((self.redirects > 0).then(|| format!("redirects={}", self.redirects)));
        keys.extend(self.login.map(|(user, password)| format!("user={user},password={password}")));
        keys.join(",")
    }

    fn client(&self) -> reqwest::Client {
        let mut roots = RootCertStore::empty();
        if let Some(ca) = self.ca {
            roots.add(CertificateDer::from_pem_file(&ca.cert).unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let tls = match self.client {
            Some(own) => tls
                .with_client_auth_cert(
                    vec![CertificateDer::from_pem_file(&own.cert).unwrap()],
                    PrivateKeyDer::from_pem_file(&own.key).unwrap(),
                )
                .unwrap(),
            None => tls.with_no_client_auth(),
        };
        let redirects = match self.redirects {
            0 => Policy::none(),
            n => Policy::limited(n),
        };
        reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(redirects)
            .no_proxy()
            .timeout(secs(30))
            .build()
            .unwrap()
    }
}

/// Returns true if both got a success. Panics where they disagree.
#[track_caller]
fn both(url: &str, way: &Way) -> bool {
    let done = Afterall::once().arg(format!("api={url}#{}", way.keys())).run();
    let ours = done.status().code();
    let text = format!("{}{}", done.stdout_text(), done.stderr_text());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let theirs = runtime.block_on(async {
        let mut request = way.client().get(url);
        if let Some((user, password)) = way.login {
            request = request.basic_auth(user, Some(password));
        }
        request.send().await.and_then(reqwest::Response::error_for_status)
    });
    let success = theirs.as_ref().is_ok_and(|response| response.status().is_success());
    assert_eq!(ours == Some(0), success, "{url}\nwe: {ours:?} {text}\nreqwest: {theirs:?}");
    success
}

/// A server with a certificate of `ca` for its own address, or for another name.
fn with_tls(ca: &Authority, name: Option<&str>, directives: &str) -> Nginx {
    let nginx = Nginx::new("");
    let url = nginx.url("");
    let address = url.trim_start_matches("http://").split(':').next().unwrap().to_owned();
    nginx.serve_tls(&ca.server(&[name.unwrap_or(&address)]), directives);
    nginx.start();
    nginx
}

#[test]
fn every_state_of_a_server_ends_as_with_reqwest() {
    let (ca, other) = (Authority::new("ca"), Authority::new("other"));
    let web = Nginx::serving(
        "location /ok { return 200 ok; } location /empty { return 204; } location /moved { return \
        302 /ok; }
         location /twice { return 307 /moved; } location /loop { return 302 /loop; } location /401 \
         { return 401; }
         location /404 { return 404; } location /429 { return 429; } location /500 { return 500; } \
         location /503 { return 503; }",
    );
    let plain = "location / { return 200 ok; }";
    let clients = format!("ssl_client_certificate {}; ssl_verify_client on;", ca.cert_text());
    let named = with_tls(&ca, None, plain);
    let misnamed = with_tls(&ca, Some("elsewhere.test"), plain);
    let mutual = with_tls(&ca, None, &format!("{clients} {plain}"));
    let (dead, closing) = (Reserved::new(), Scripted::closing());
    let (ssh, http10) = (
        Scripted::saying("SSH-2.0-OpenSSH_9.2\r\n"),
        Scripted::answering_then_closing("HTTP/1.0 200 OK\r\n\r\nok"),
    );
    let half = Scripted::answering_then_closing("HTTP/1.1 200 OK\r\nContent-Le");
    let (app, stranger) = (ca.client("app"), other.client("app"));
    let at = |server: &Scripted| format!("http://{}/", server.address());
    let plainly = Way::default();
    let trusting = Way { ca: Some(&ca), ..Way::default() };
    let following = |redirects| Way { redirects, ..Way::default() };
    let with = |client| Way { client: Some(client), ..trusting.clone() };
    for (url, way, want) in [
        (web.url("/ok"), plainly.clone(), true),
        (web.url("/empty"), plainly.clone(), true),
        (web.url("/moved"), plainly.clone(), false),
        (web.url("/moved"), following(1), true),
        (web.url("/twice"), following(1), false),
        (web.url("/twice"), following(2), true),
        (web.url("/loop"), following(3), false),
        (web.url("/401"), plainly.clone(), false),
        (web.url("/404"), plainly.clone(), false),
        (web.url("/429"), plainly.clone(), false),
        (web.url("/500"), plainly.clone(), false),
        (web.url("/503"), plainly.clone(), false),
        (web.url("/ok"), Way { login: Some(("u", "p")), ..Way::default() }, true),
        (named.https_url("/"), trusting.clone(), true),
        (named.https_url("/"), Way { ca: Some(&other), ..Way::default() }, false),
        (misnamed.https_url("/"), trusting.clone(), false),
        (mutual.https_url("/"), trusting.clone(), false),
        (mutual.https_url("/"), with(&app), true),
        (mutual.https_url("/"), with(&stranger), false),
        (named.url("/"), plainly.clone(), false),
        (web.https_url("/ok"), trusting.clone(), false),
        (format!("http://{}/", dead.address()), plainly.clone(), false),
        (at(&closing), plainly.clone(), false),
        (at(&ssh), plainly.clone(), false),
        (at(&half), plainly.clone(), false),
        (at(&http10), plainly.clone(), true),
    ] {
        assert_eq!(both(&url, &way), want, "{url} {}", way.keys());
    }
}
