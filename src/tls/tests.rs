//! Handshakes over an in-memory pipe, against rustls's own server with certificates made for the
//! test.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{RootCertStore, ServerConfig, server::WebPkiClientVerifier};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, duplex},
    time::{Duration, Instant},
};

use super::*;
use crate::{connect::Net, probe::Stage};

struct Issued {
    pem: String,
    key_pem: String,
    der: CertificateDer<'static>,
    key: Vec<u8>,
}

fn issued(params: CertificateParams, issuer: Option<&CertifiedIssuer<'static, KeyPair>>) -> Issued {
    let key = KeyPair::generate().unwrap();
    let cert = match issuer {
        Some(issuer) => params.signed_by(&key, issuer).unwrap(),
        None => params.self_signed(&key).unwrap(),
    };
    Issued {
        pem: cert.pem(),
        key_pem: key.serialize_pem(),
        der: cert.der().clone(),
        key: key.serialize_der(),
    }
}

fn names(names: &[&str]) -> CertificateParams {
    CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap()
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = names(&[]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

struct Dir(tempfile::TempDir);

impl Dir {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, text: &str) -> Option<String> {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        Some(path.to_str().unwrap().to_owned())
    }
}

fn server(cert: &Issued, clients: Option<&CertificateDer<'static>>) -> ServerConfig {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        Some(ca) => {
            let mut roots = RootCertStore::empty();
            roots.add(ca.clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
                .build()
                .unwrap();
            builder.with_client_cert_verifier(verifier)
        }
        None => builder.with_no_client_auth(),
    };
    builder.with_single_cert(vec![cert.der.clone()], cert.key.clone().try_into().unwrap()).unwrap()
}

/// Does the handshake for `host`, and then reads one byte.
async fn greet(tls: &Tls, host: &str, server: ServerConfig) -> Result<(), Failure> {
    let (ours, theirs) = duplex(64 * 1024);
    let serve = tokio::spawn(async move {
        if let Ok(mut stream) =
            tokio_rustls::TlsAcceptor::from(Arc::new(server)).accept(theirs).await
        {
            let _ = stream.write_all(b"x").await;
            let _ = stream.shutdown().await;
        }
    });
    let (net, stage) = (Net::system(), Stage::default());
    let attempt = Attempt::new(&net, Instant::now() + Duration::from_secs(5), &stage);
    let endpoint = Endpoint::Tcp(host.to_owned(), 1);
    let result = async {
        let mut stream = tls.connect(&attempt, host, Box::new(ours)).await?;
        stream.read_u8().await.map(drop).map_err(|e| tls_stream_failure(&e, &endpoint))
    };
    let result = result.await;
    serve.await.unwrap();
    result
}

fn message(result: Result<(), Failure>) -> String {
    result.map_or_else(
        |failure| format!("{}: {}", failure.class, failure.message),
        |()| "ok".to_owned(),
    )
}

#[tokio::test]
async fn a_certificate_is_verified_as_far_as_was_asked() {
    let (dir, ca) = (Dir::new(), authority());
    let own = dir.file("ca.pem", &ca.pem());
    let other = dir.file("other.pem", &authority().pem());
    let cert = issued(names(&["db", "127.0.0.1", "::1"]), Some(&ca));
    for (ca, name, verify, host, want) in [
        (&own, None, Verify::Full, "db", "ok"),
        (&own, None, Verify::Full, "db.", "ok"),
        (&own, None, Verify::Full, "127.0.0.1", "ok"),
        (&own, None, Verify::Full, "::1%lo", "ok"),
        (&own, Some("db"), Verify::Full, "elsewhere", "ok"),
        (
            &own,
            None,
            Verify::Full,
            "elsewhere",
            "tls: certificate not valid for elsewhere: it is for db, 127.0.0.1, ::1 (elsewhere)",
        ),
        (&own, None, Verify::Chain, "elsewhere", "ok"),
        (
            &other,
            None,
            Verify::Chain,
            "db",
            "tls: certificate not trusted: another authority of the same name signed it (db)",
        ),
        (&other, None, Verify::Nothing, "elsewhere", "ok"),
        (
            &own,
            None,
            Verify::Full,
            "a host",
            "config: neither a host name nor an address: a host; set server-name",
        ),
    ] {
        let tls = Tls::new(
            TlsFiles { ca: ca.clone(), ..TlsFiles::default() },
            name.map(str::to_owned),
            verify,
        )
        .unwrap();
        assert_eq!(
            message(greet(&tls, host, server(&cert, None)).await),
            want,
            "{host} {verify:?}"
        );
    }
}

#[tokio::test]
async fn a_certificate_as_its_own_authority_needs_valid_name_and_dates() {
    let (dir, issuer) = (Dir::new(), authority());
    let mut of_an_authority = names(&["db"]);
    of_an_authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let mut expired = names(&["db"]);
    expired.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    expired.not_after = rcgen::date_time_ymd(2020, 1, 1);
    for (cert, host, want) in [
        (issued(names(&["db"]), None), "db", "ok"),
        (issued(of_an_authority.clone(), None), "db", "ok"),
        (issued(names(&["db"]), Some(&issuer)), "db", "ok"),
        (
            issued(of_an_authority, None),
            "other",
            "tls: certificate not valid for other: it is for db (other)",
        ),
        (issued(expired, None), "db", "tls: certificate expired "),
    ] {
        let files = TlsFiles { ca: dir.file("ca.pem", &cert.pem), ..TlsFiles::default() };
        let tls = Tls::new(files, None, Verify::Full).unwrap();
        let got = message(greet(&tls, host, server(&cert, None)).await);
        assert!(got.starts_with(want), "{got}");
    }
}

#[tokio::test]
async fn a_late_demand_for_a_client_certificate_is_recognized() {
    let (dir, ca) = (Dir::new(), authority());
    let cert = issued(names(&["db"]), Some(&ca));
    let client = issued(names(&["client"]), Some(&ca));
    let stranger = issued(names(&["client"]), None);
    let root = CertificateDer::from(ca.der().to_vec());
    let files = |client: Option<&Issued>| TlsFiles {
        ca: dir.file("ca.pem", &ca.pem()),
        cert: client.and_then(|client| dir.file("cert.pem", &client.pem)),
        key: client.and_then(|client| dir.file("key.pem", &client.key_pem)),
    };
    let tls = Tls::new(files(Some(&client)), None, Verify::Full).unwrap();
    assert_eq!(message(greet(&tls, "db", server(&cert, Some(&root))).await), "ok");
    for client in [None, Some(&stranger)] {
        let tls = Tls::new(files(client), None, Verify::Full).unwrap();
        let got = message(greet(&tls, "db", server(&cert, Some(&root))).await);
        assert!(got.starts_with("tls: the server "), "{got}");
        assert!(got.contains("client certificate"), "{got}");
    }
}

#[tokio::test]
async fn a_server_that_speaks_something_else_is_quoted() {
    let tls = Tls::new(TlsFiles::default(), None, Verify::Nothing).unwrap();
    let (ours, mut theirs) = duplex(64 * 1024);
    theirs.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").await.unwrap();
    let (net, stage) = (Net::system(), Stage::default());
    let attempt = Attempt::new(&net, Instant::now() + Duration::from_secs(5), &stage);
    let failure = tls.connect(&attempt, "db", Box::new(ours)).await.err().unwrap();
    assert_eq!(
        &*failure.message,
        "the server does not speak TLS, it says: SSH-2.0-OpenSSH_9.2 (db)"
    );
}

#[test]
fn build_checks_files_and_errors_name_only_the_path() {
    let dir = Dir::new();
    let (a, b) = (issued(names(&["a"]), None), issued(names(&["b"]), None));
    let cert = dir.file("cert.pem", &a.pem);
    let key = dir.file("key.pem", &a.key_pem);
    let other = dir.file("other.pem", &b.key_pem);
    let junk = dir.file("junk.pem", "junk");
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &a.pem);
    let twice = dir.file("twice.pem", &format!("{}\n{}\n", &encoded[..76], &encoded[76..]));
    let locked = dir.file(
        "locked.pem",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    let missing = Some("/does/not/exist".to_owned());
    let at = dir.0.path().to_str().unwrap().to_owned();
    for (ca, cert, key, want) in [
        (&missing, &None, &None, "/does/not/exist: no such file or directory".to_owned()),
        (&junk, &None, &None, format!("{at}/junk.pem: holds no PEM certificate")),
        (&key, &None, &None, format!("{at}/key.pem: holds no PEM certificate")),
        (
            &twice,
            &None,
            &None,
            format!(
                "{at}/twice.pem: is base64 of a PEM file, encoded once too often (a Secret's data \
                made from data?): base64 -d decodes it"
            ),
        ),
        (&None, &cert, &None, "a client certificate needs its private key beside it".to_owned()),
        (&None, &None, &key, "a private key needs its client certificate beside it".to_owned()),
        (
            &None,
            &cert,
            &other,
            format!("{at}/other.pem is not the private key of the certificate {at}/cert.pem"),
        ),
        (&None, &cert, &junk, format!("{at}/junk.pem: holds no PEM private key")),
        (
            &None,
            &cert,
            &locked,
            format!(
                "{at}/locked.pem: the private key is encrypted, and must be in clear (sslpassword \
                opens that of PostgreSQL)"
            ),
        ),
    ] {
        let files = TlsFiles { ca: ca.clone(), cert: cert.clone(), key: key.clone() };
        assert_eq!(Tls::new(files, None, Verify::Full).unwrap_err(), want);
    }
    let files = TlsFiles { ca: Some("system".to_owned()), cert, key };
    assert!(Tls::new(files, Some("a b".to_owned()), Verify::Full).is_err());
}
