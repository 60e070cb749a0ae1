//! Both versions of TLS, against servers that speak one of them alone: client certificates are
//! refused at different moments.

use crate::support::{Afterall, Authority, Identity, Nginx, Postgres, look};

#[track_caller]
fn once(url: &str, ready: bool, says: &str) {
    let done = look::once(url).code(if ready { 0 } else { 69 });
    done.stdout_has(if ready { "ready" } else { "[class=tls]" }).stdout_has(says);
}

#[test]
fn tls_1_2_and_1_3_both_report_a_refused_client_certificate() {
    let (ca, other) = (Authority::new("ca"), Authority::new("other"));
    let identity = ca.server(&["srv.test"]);
    let (known, stranger) = (ca.client("app"), other.client("app"));
    let database = Postgres::started();
    database.tls(&identity, Some(ca.cert_path()));
    database.psql("create role app login");
    database.hba(&["hostssl all app all cert", "hostssl all all all trust"]);
    for version in ["TLSv1.2", "TLSv1.3"] {
        database.conf(&format!("ssl_min_protocol_version = '{version}'"));
        database.conf(&format!("ssl_max_protocol_version = '{version}'"));
        database.reload();
        let asked_for = "ssl_client_certificate CA; ssl_verify_client on; location / { return 200 \
            $ssl_protocol; }";
        let web = Nginx::serving_tls(
            &identity,
            &format!("ssl_protocols {version}; {}", asked_for.replace("CA", ca.cert_text())),
        );
        let trusting = format!("ca={},server-name=srv.test", ca.cert_text());
        let with = |client: &Identity| {
            format!("{trusting},cert={},key={}", client.cert_text(), client.key_text())
        };
        let at = |role: &str, keys: &str| {
            format!("postgres://{role}@{}/postgres#{keys}", database.address())
        };
        let spoken =
            format!("select version = '{version}' from pg_stat_ssl where pid = pg_backend_pid()");
        // The server logs a reload before it is done, so the test waits for the new version of TLS.
        Afterall::waiting_for([at("postgres", &format!("{trusting},query={spoken}"))])
            .run()
            .code(0)
            .any_stderr();
        once(&at("postgres", &trusting), true, "PostgreSQL");
        once(&at("postgres", &format!("{trusting},query={spoken}")), true, "PostgreSQL");
        once(&at("app", &with(&known)), true, "PostgreSQL");
        once(&at("app", &with(&stranger)), false, "the server refused our client certificate");
        once(&format!("{}#{},match=^{version}$", web.https_url("/"), with(&known)), true, "200 OK");
        once(
            &format!("{}#{trusting}", web.https_url("/")),
            false,
            "No required SSL certificate was sent",
        );
        once(
            &format!("{}#{}", web.https_url("/"), with(&stranger)),
            false,
            "The SSL certificate error",
        );
    }
}
