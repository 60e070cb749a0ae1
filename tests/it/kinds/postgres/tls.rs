//! Forms of certificates and keys: our verdict beside psql's, on certificates that openssl makes.

use super::libpq::Compared;
use crate::support::process::{Scope, Server, program};
use crate::support::{Address, Afterall, Dir, Postgres};
use rustix::process::Signal;
use std::process::Command;

/// Files of openssl's making, in a directory that the server may enter.
struct Openssl(Dir);

impl Openssl {
    /// An authority whose certificate is ca.crt.
    fn new() -> Self {
        let openssl = Self(Dir::new());
        openssl.0.write(
            "ca.cnf",
            "[ca]\ndefault_ca=c\n[c]\ndatabase=index.txt\ncrlnumber=crlnumber\n\
            default_md=sha256\ndefault_crl_days=30\nnew_certs_dir=.\nserial=serial\n",
        );
        openssl.0.write("index.txt", "");
        openssl.0.write("crlnumber", "01\n");
        openssl.run(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj \
            /CN=authority \
            -addext keyUsage=critical,keyCertSign,cRLSign -keyout ca.key -out ca.crt",
        );
        openssl
    }

    #[track_caller]
    fn run(&self, args: &str) {
        let mut command = Command::new(program("openssl", "openssl"));
        command.args(args.split_whitespace()).current_dir(self.0.path());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{args}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// A certificate for `subject` that the authority signs. Without `extensions` it is of X.509
    /// version 1.
    fn issue(&self, name: &str, key: &str, subject: &str, extensions: &str, sign: &str) {
        self.issue_by("ca", name, key, subject, extensions, sign);
    }

    /// As `issue`, with another authority.
    fn issue_by(
        &self,
        ca: &str,
        name: &str,
        key: &str,
        subject: &str,
        extensions: &str,
        sign: &str,
    ) {
        self.run(&format!("genpkey {key} -out {name}.key"));
        self.run(&format!("req -new -key {name}.key -subj {subject} -out {name}.csr"));
        let extensions = match extensions {
            "" => String::new(),
            text => {
                self.0.write(&format!("{name}.ext"), text);
                format!("-extfile {name}.ext")
            }
        };
        self.run(&format!(
            "x509 -req -in {name}.csr -CA {ca}.crt -CAkey {ca}.key -CAcreateserial -days 20 {sign} \
            {extensions} -out {name}.crt"
        ));
        self.restrict(&format!("{name}.key"));
    }

    fn restrict(&self, name: &str) {
        let path = self.0.path().join(name);
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .unwrap();
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    /// Has the server speak TLS with the certificate of this name.
    fn serve(&self, server: &Postgres, name: &str) {
        let at = |name: &str| self.0.path().join(name);
        let (cert, key) = (at(&format!("{name}.crt")), at(&format!("{name}.key")));
        server.tls_files(&cert, &key, Some(&at("ca.crt")));
    }
}

const P256: &str = "-algorithm EC -pkeyopt ec_paramgen_curve:P-256";
const P521: &str = "-algorithm EC -pkeyopt ec_paramgen_curve:P-521";
const SAN: &str = "subjectAltName=DNS:localhost\n";

#[test]
fn server_certificates_are_judged_as_by_psql() {
    let (openssl, server) = (Openssl::new(), Postgres::started());
    openssl.issue("san", P256, "/CN=x", SAN, "-sha256");
    openssl.issue("cn", P256, "/CN=localhost", "basicConstraints=CA:FALSE\n", "-sha384");
    openssl.issue("v1", P256, "/CN=localhost", "", "-sha256");
    openssl.issue("v1-other", P256, "/CN=other", "", "-sha256");
    openssl.issue("rsa", "-algorithm RSA -pkeyopt rsa_keygen_bits:2048", "/CN=x", SAN, "-sha256");
    server.hba(&["hostssl all all all scram-sha-256"]);
    server.psql("create role app login password 's3cr3t'");
    let mut compared = Compared::default();
    for name in ["san", "cn", "v1", "v1-other", "rsa"] {
        openssl.serve(&server, name);
        for mode in ["require", "verify-ca", "verify-full"] {
            for host in ["localhost", "elsewhere.test"] {
                for binding in ["disable", "prefer", "require"] {
                    if binding != "prefer" && mode != "require" {
                        continue;
                    }
                    compared.compare(
                        &format!(
                            "host={host} hostaddr={} port={} dbname=postgres user=app \
                            password=s3cr3t sslmode={mode} \
                             sslrootcert={} channel_binding={binding}",
                            server.host(),
                            server.port(),
                            openssl.path("ca.crt")
                        ),
                        &[],
                    );
                }
            }
        }
    }
    compared.agree();
}

#[test]
fn revoked_certificates_are_refused_as_by_psql() {
    let (openssl, server) = (Openssl::new(), Postgres::started());
    openssl.issue("srv", P256, "/CN=x", SAN, "-sha256");
    openssl.run("ca -config ca.cnf -cert ca.crt -keyfile ca.key -gencrl -out nobody.crl");
    openssl.run("ca -config ca.cnf -cert ca.crt -keyfile ca.key -revoke srv.crt");
    openssl.run("ca -config ca.cnf -cert ca.crt -keyfile ca.key -gencrl -out srv.crl");
    openssl.0.mkdir("hashed");
    std::fs::copy(openssl.path("srv.crl"), openssl.path("hashed/srv.crl")).unwrap();
    openssl.run("rehash hashed");
    openssl.0.mkdir("unhashed");
    std::fs::copy(openssl.path("srv.crl"), openssl.path("unhashed/srv.crl")).unwrap();
    openssl.serve(&server, "srv");
    let other = Openssl::new();
    other.run("ca -config ca.cnf -cert ca.crt -keyfile ca.key -gencrl -out other.crl");
    let mut compared = Compared::default();
    for crl in [
        format!("sslcrl={}", openssl.path("nobody.crl")),
        format!("sslcrl={}", openssl.path("srv.crl")),
        format!("sslcrl={}", other.path("other.crl")),
        format!("sslcrldir={}", openssl.path("hashed")),
        format!("sslcrldir={}", openssl.path("unhashed")),
        "sslcrldir=/none".to_owned(),
        "sslcrl=/none".to_owned(),
    ] {
        for mode in ["require", "verify-full"] {
            compared.compare(
                &format!(
                    "host=localhost hostaddr={} port={} dbname=postgres user=postgres \
                    sslmode={mode} sslrootcert={} {crl}",
                    server.host(),
                    server.port(),
                    openssl.path("ca.crt")
                ),
                &[],
            );
        }
    }
    compared.agree();
}

#[test]
fn client_keys_are_read_in_every_form_that_psql_reads() {
    let (openssl, server) = (Openssl::new(), Postgres::started());
    openssl.issue("srv", P256, "/CN=x", SAN, "-sha256");
    openssl.issue("v1", P256, "/CN=app", "", "-sha256");
    openssl.issue(
        "rsa",
        "-algorithm RSA -pkeyopt rsa_keygen_bits:2048",
        "/CN=app",
        "basicConstraints=CA:FALSE\n",
        "-sha256",
    );
    openssl.run("pkcs8 -topk8 -in v1.key -v2 aes-256-cbc -passout pass:secret -out aes.key");
    openssl.run("pkcs8 -topk8 -in v1.key -v2 des3 -passout pass:secret -out des3.key");
    openssl.run("pkcs8 -topk8 -in v1.key -scrypt -passout pass:secret -out scrypt.key");
    openssl.run(
        "pkcs8 -topk8 -in v1.key -outform DER -v2 aes-128-cbc -passout pass:secret -out \
        der-aes.key",
    );
    openssl.run("pkcs8 -topk8 -in v1.key -nocrypt -outform DER -out der.key");
    openssl.run("ec -in v1.key -aes256 -passout pass:secret -out old-aes.key");
    openssl.run("ec -in v1.key -des3 -passout pass:secret -out old-des3.key");
    openssl.run("rsa -in rsa.key -traditional -aes128 -passout pass:secret -out old-rsa.key");
    openssl.run("ec -in v1.key -out sec1.key");
    let text = std::fs::read_to_string(openssl.path("v1.key")).unwrap();
    openssl.0.write("crlf.key", text.replace('\n', "\r\n"));
    server.psql("create role app login");
    openssl.serve(&server, "srv");
    server.hba(&["hostssl all app all cert", "hostssl all all all trust"]);
    let mut compared = Compared::default();
    for (cert, keys) in [
        (
            "v1",
            &[
                "v1", "aes", "des3", "scrypt", "der-aes", "der", "old-aes", "old-des3", "sec1",
                "crlf", "none", "rsa",
            ][..],
        ),
        ("rsa", &["rsa", "old-rsa", "v1"]),
        ("none", &["v1", "none"]),
    ] {
        for key in keys {
            if *key != "none" {
                openssl.restrict(&format!("{key}.key"));
            }
            for (password, role) in [
                ("", "app"),
                (" sslpassword=secret", "app"),
                (" sslpassword=wrong", "app"),
                ("", "postgres"),
            ] {
                {
                    compared.compare(
                        &format!(
                            "host=localhost hostaddr={} port={} dbname=postgres user={role} \
                            sslmode=require sslcert={} \
                             sslkey={}{password}",
                            server.host(),
                            server.port(),
                            openssl.path(&format!("{cert}.crt")),
                            openssl.path(&format!("{key}.key"))
                        ),
                        &[],
                    );
                }
            }
        }
    }
    compared.agree();
    // OpenSSL itself reads PBES1 only with its provider of old algorithms.
    openssl.run("pkcs8 -topk8 -in v1.key -v1 PBE-SHA1-3DES -passout pass:secret -out pbes1.key");
    openssl.restrict("pbes1.key");
    let old = format!(
        "postgres://app@{}/postgres?sslmode=require&sslcert={}&sslkey={}&sslpassword=secret",
        server.address(),
        openssl.path("v1.crt"),
        openssl.path("pbes1.key")
    );
    let done = Afterall::once().arg(old).run().code(64);
    done.stderr_has(
        "pbes1.key: the private key is encrypted by an algorithm that is not supported",
    )
    .stderr_has("(openssl pkcs8 -topk8 -v2 aes-256-cbc makes one that is)");
    // pgjdbc reads an encrypted key in DER, and libpq does not.
    let jdbc = format!(
        "jdbc:postgresql://{}/postgres?user=app&sslmode=require&sslcert={}&sslkey={}&sslpassword=se\
        cret",
        server.address(),
        openssl.path("v1.crt"),
        openssl.path("der-aes.key")
    );
    Afterall::once().arg(jdbc).run().code(0).stdout_has("ready");
}

#[test]
fn what_this_build_cannot_verify_is_named() {
    let (openssl, server) = (Openssl::new(), Postgres::started());
    openssl.issue("p521", P521, "/CN=localhost", SAN, "-sha256");
    openssl.issue("sha512", P256, "/CN=localhost", SAN, "-sha512");
    // The authority of RSA-PSS has an RSA key.
    let rsa = "-algorithm RSA -pkeyopt rsa_keygen_bits:2048";
    let pss = "-sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:";
    openssl.issue("rsa-ca", rsa, "/CN=ca", "basicConstraints=CA:TRUE\n", "-sha256");
    for salt in ["20", "32", "max"] {
        let name = format!("pss{salt}");
        openssl.issue_by("rsa-ca", &name, rsa, "/CN=localhost", SAN, &format!("{pss}{salt}"));
    }
    for (name, words) in [
        ("p521", "its key is ECDSA on the curve P-521, which this build does not support"),
        ("sha512", "it is signed by ECDSA with SHA-512"),
        ("pss20", "it is signed by RSA-PSS with an unusual salt or hash, which this build"),
        ("pssmax", "it is signed by RSA-PSS with an unusual salt or hash, which this build"),
        ("pss32", ""),
    ] {
        openssl.serve(&server, name);
        let url = |mode: &str| {
            format!(
                "db=postgres:host=localhost hostaddr={} port={} dbname=postgres user=postgres \
                sslmode={mode} sslrootcert={}",
                server.host(),
                server.port(),
                match (mode, name.starts_with("pss")) {
                    ("require", _) => "/none".to_owned(),
                    (_, true) => openssl.path("rsa-ca.crt"),
                    (_, false) => openssl.path("ca.crt"),
                }
            )
        };
        Afterall::once().arg(url("require")).run().code(0).stdout_has("ready");
        let look = Afterall::once().arg(url("verify-full"));
        if words.is_empty() {
            look.run().code(0).stdout_has("ready");
        } else {
            look.run().code(69).stdout_has("[class=tls]").stdout_has(words);
        }
    }
}

#[test]
fn a_short_rsa_key_is_named() {
    let openssl = Openssl::new();
    let short = "-algorithm RSA -pkeyopt rsa_keygen_bits:1024";
    openssl.issue("short", short, "/CN=localhost", SAN, "-sha256");
    let address = Address::claim();
    let at = address.free().to_string();
    let words = [
        "openssl",
        "s_server",
        "-accept",
        &at,
        "-cert",
        &openssl.path("short.crt"),
        "-key",
        &openssl.path("short.key"),
        "-cipher",
        "DEFAULT:@SECLEVEL=0",
        "-www",
    ];
    let words = words.map(std::ffi::OsStr::new);
    let log = openssl.0.path().join("s_server.log");
    let mut server = Server::start("openssl", &words, &log, Signal::TERM, Scope::Group);
    server.wait_until_up(|| std::fs::read_to_string(&log).unwrap_or_default().contains("ACCEPT"));
    let url = |keys: String| format!("https://{at}/#server-name=localhost,{keys}");
    let trusting = url(format!("ca={}", openssl.path("ca.crt")));
    let done = Afterall::once().arg(&trusting).run().code(69);
    done.stdout_has("its RSA key has 1024 bits, and must have at least 2048")
        .stdout_has("[class=tls]");
    Afterall::once().arg(url("insecure".to_owned())).run().code(0).stdout_has("ready");
}
