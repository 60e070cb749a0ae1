//! `mysql:` against a real MariaDB; scripted servers only for what it cannot show, MySQL 8 above
//! all.

mod surroundings;

use crate::support::look::{not_ready, once};
use crate::support::{
    Afterall, Authority, Dir, MariaDb, Reserved, Scripted, ms, process::program, scripted, secs,
    sh, wait_until,
};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

#[track_caller]
fn ready(url: &str) {
    once(url).code(0).any_stdout();
}

#[test]
fn one_server_in_all_its_states() {
    let server = MariaDb::started(&["--plugin-load-add=auth_ed25519", "--max-connections=12"]);
    server.sql(
        "create database app; create table app.t (done int, at varchar(9)); insert into app.t \
        values (1, 'x');
         create user app identified by 's3cr3t/#'; grant all on app.* to app;
         create user bare identified by 'pw';
         create user locked identified by 'pw' account lock;
         create user expired identified by 'pw' password expire;
         create user ed identified via ed25519 using password('s3cr3t');
         create user pam identified via unix_socket;
         create user adm identified by 'pw'; grant all on *.* to adm;
         create user empty",
    );
    logins(&server);
    connection_strings(&server);
    queries(&server);
    a_late_user(&server);
    a_full_server(&server);
    a_paused_server(&server);
}

/// Each login has the outcome of the real client, in the same words.
fn logins(server: &MariaDb) {
    let at = server.address();
    for (user, password, database, class, code) in [
        ("app", "s3cr3t/#", "app", "ready", ""),
        ("app", "s3cr3t/#", "", "ready", ""),
        ("bare", "pw", "", "ready", ""),
        ("ed", "s3cr3t", "", "ready", ""),
        ("empty", "", "", "ready", ""),
        ("ed", "other", "", "auth", "1045"),
        ("app", "wrong", "app", "auth", "1045"),
        ("nobody", "pw", "app", "auth", "1045"),
        ("bare", "pw", "app", "auth", "1044"),
        ("app", "s3cr3t/#", "none", "auth", "1044"),
        ("adm", "pw", "none", "absent", "1049"),
        ("locked", "pw", "", "auth", "4151"),
        ("expired", "pw", "", "auth", "1820"),
        ("pam", "pw", "", "auth", "1698"),
    ] {
        let url = format!(
            "mysql://{user}:{}@{at}/{database}",
            password.replace('/', "%2F").replace('#', "%23")
        );
        let password = format!("-p{password}");
        let words = ["-u", user, &password, "-D", database];
        let theirs = server.client(&words[..if database.is_empty() { 3 } else { 5 }]);
        match class {
            "ready" => {
                ready(&url);
                assert_eq!(theirs.as_deref(), Ok("1"), "{url}");
            }
            class => {
                not_ready(&url, class, &format!("{code}: "));
                let theirs = theirs.unwrap_err();
                assert!(theirs.contains(&format!("ERROR {code} ")), "{url}: {theirs}");
            }
        }
    }
    // A login leaves no line in the log. MariaDB would warn of a connection that just ends.
    let url = format!("mysql://app:s3cr3t%2F%23@{at}/app");
    let before = server.log();
    for _ in 0..3 {
        ready(&url);
    }
    assert_eq!(server.log(), before);
    drop(TcpStream::connect(at).unwrap().read(&mut [0; 4]));
    wait_until("the log has what a bare connect leaves", secs(20), || server.log() != before);
    server.sql("set global read_only = 1");
    ready(&url);
    not_ready(&format!("{url}#writable"), "absent", "the server takes no writes (read_only)");
    server.sql("set global read_only = 0");
    ready(&format!("{url}#writable"));
    not_ready(&format!("{url}?ssl-mode=REQUIRED"), "tls", "the server does not offer TLS");
    not_ready(&format!("{url}#insecure"), "tls", "ssl-mode=REQUIRED wants it");
}

fn connection_strings(server: &MariaDb) {
    let (at, socket) = (server.address(), server.socket());
    for url in [
        format!("mariadb://app:s3cr3t%2F%23@{at}/app"),
        format!("mysql2://app:s3cr3t%2F%23@{at}/app?pool=5"),
        format!("mysql+pymysql://app:s3cr3t%2F%23@{at}/app?charset=utf8mb4"),
        format!("jdbc:mysql://{at}/app?user=app&password=s3cr3t%2F%23&useSSL=false"),
        format!("jdbc:mariadb:loadbalance://{at}/app?user=app&password=s3cr3t%2F%23"),
        format!("mysql:app:s3cr3t/%23@tcp({at})/app").replace("%23", "${HASH}"),
        format!("mysql://app:${{PASSWORD}}@tcp({at})/app"),
        format!("mysql:app:${{PASSWORD}}@unix({socket})/app"),
        format!(
            "mysql:host={};port={};dbname=app#user=app,password=${{PASSWORD}}",
            at.ip(),
            at.port()
        ),
        format!("mysql://app@localhost/app?socket={socket}#password=${{PASSWORD}}"),
        format!("mysql://app@{}/app", Reserved::new().address()).replace("@", &format!("@{at},")),
    ] {
        Afterall::once()
            .arg(&url)
            .env("PASSWORD", "s3cr3t/#")
            .env("HASH", "#")
            .env("MYSQL_PWD", "s3cr3t/#")
            .run()
            .code(0)
            .stdout_has("MariaDB 10.");
    }
}

fn queries(server: &MariaDb) {
    let url = format!("mysql://app:s3cr3t%2F%23@{}/app", server.address());
    let adm = format!("mysql://adm:pw@{}/app", server.address());
    for (query, class, says) in [
        ("select count(*) > 0 from t", "ready", ""),
        ("select done = 1 from t", "ready", ""),
        ("select done = 2 from t", "absent", "query: false"),
        ("select null = 1", "absent", "query: NULL"),
        ("select 1 from t where done = 7", "absent", "query: no row"),
        ("select 7", "config", "must be 0 or 1"),
        ("select at from t", "config", "must be a condition"),
        ("select 1 from missing", "absent", "1146: Table 'app.missing' doesn't exist"),
        ("select missing from t", "config", "1054"),
        ("selekt 1", "config", "1064"),
        ("select 1; select 1", "config", "1064"),
        ("select ?", "config", "must have no parameters"),
        ("delete from t", "config", "1792"),
        ("create table app.u (a int)", "config", "1792"),
        ("select 1 from mysql.user", "auth", "1142"),
    ] {
        let url = format!("{url}#query={}", query.replace(',', "%2C"));
        match class {
            "ready" => ready(&url),
            class => not_ready(&url, class, says),
        }
    }
    // Whatever the rights: a function that writes is refused by the read-only session.
    server.sql(
        "delimiter //\ncreate function app.f() returns int modifies sql data begin insert into \
        app.t values (2, 'y'); return 1; end//",
    );
    not_ready(&format!("{adm}#query=select app.f()"), "config", "1792");
    assert_eq!(server.sql("select count(*) from app.t"), "1");
    let url = format!("{adm}#query=select sleep(60) = 0,attempt-timeout=1s");
    not_ready(&url, "timeout", "");
}

fn a_late_user(server: &MariaDb) {
    let url = format!("db=mysql://late:s3cr3t@{}/late#max-interval=100ms", server.address());
    let waiting = Afterall::waiting_for([url]).becoming(sh("echo started")).spawn();
    waiting.wait_for_stderr("1045: Access denied for user 'late'", secs(20));
    server.sql("create user late identified by 's3cr3t'");
    waiting.wait_for_stderr("1044: Access denied for user 'late'@'%' to database 'late'", secs(20));
    server.sql("create database late; grant all on late.* to late");
    let done = waiting.done().code(0).stdout("started\n");
    done.stderr_has("db: ready: MariaDB 10.").says_nowhere("s3cr3t");
}

fn a_full_server(server: &MariaDb) {
    let url = format!("mysql://bare:pw@{}", server.address());
    // Each connection occupies a place from its greeting on. A login that is ending may occupy one
    // too.
    let greeted = || {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        let mut head = [0; 5];
        stream.read_exact(&mut head).map(|()| (stream, head[4])).ok()
    };
    let mut holders = Vec::new();
    wait_until("the server is full", secs(30), || match greeted() {
        Some((stream, 10)) => {
            holders.push(stream);
            false
        }
        _ => true,
    });
    not_ready(&url, "busy", "1040: Too many connections");
    drop(holders);
    Afterall::waiting_for([url]).run().code(0).any_stderr();
}

fn a_paused_server(server: &MariaDb) {
    server.pause();
    let url = format!("mysql://bare:pw@{}#attempt-timeout=300ms", server.address());
    not_ready(&url, "timeout", "but no greeting of MySQL within 0.3s");
    server.resume();
    ready(&url.replace("300ms", "10s"));
}

#[test]
fn a_server_that_starts_is_waited_for_in_every_stage() {
    let server = MariaDb::new();
    let socket = format!("mysql:root@unix({})/", server.socket());
    not_ready(&format!("mysql://root@{}", server.address()), "connect", "connection refused");
    not_ready(&socket, "connect", "");
    // As the image starts it for its scripts.
    server.start(&["--skip-networking"]);
    not_ready(&socket, "busy", "the server has no network yet (skip_networking)");
    server.sql("create user app identified by 'pw'");
    server.stop();
    // The port is open without a greeting: the init-file runs first.
    let init = server.dir().write("init.sql", "select sleep(2);\n");
    let url = format!("db=mysql://app:pw@{}#attempt-timeout=300ms", server.address());
    let waiting = Afterall::waiting_for([url]).spawn();
    waiting.wait_for_stderr("connection refused", secs(20));
    server.start_without_waiting(&[&format!("--init-file={}", init.display())]);
    waiting.wait_for_stderr("but no greeting of MySQL within 0.3s", secs(30));
    waiting.done().code(0).stderr_has("db: ready: MariaDB 10.");
    ready(&socket);
}

#[test]
fn tls_is_used_if_offered_and_verified_if_required() {
    let (ca, other) = (Authority::new("ca"), Authority::new("other"));
    let server = MariaDb::new();
    let identity = ca.server(&[&server.host()]);
    let [ca_file, cert, key] = [ca.cert_text(), identity.cert_text(), identity.key_text()];
    server.start(&[
        &format!("--ssl-ca={ca_file}"),
        &format!("--ssl-cert={cert}"),
        &format!("--ssl-key={key}"),
        "--plugin-load-add=auth_ed25519",
    ]);
    server.sql(
        "create user app identified by 'pw' require ssl; create user cert identified by 'pw' \
        require x509;
         create user plain identified by 'pw';
         create user ed identified via ed25519 using password('pw');
         create database app; create table app.t (done int); insert into app.t values (1);
         grant all on app.* to app",
    );
    let url = |user: &str, rest: &str| format!("mysql://{user}:pw@{}/{rest}", server.address());
    let client = ca.client("app");
    let client = format!("cert={},key={}", client.cert_text(), client.key_text());
    let before = server.log();
    ready(&url("app", ""));
    ready(&url("app", &format!("#ca={ca_file}")));
    ready(&url("app", &format!("?ssl-mode=VERIFY_IDENTITY&ssl-ca={ca_file}")));
    ready(&url("app", "#insecure"));
    ready(&url("cert", &format!("#ca={ca_file},{client}")));
    ready(&url("plain", "?ssl-mode=DISABLED"));
    // The session has what the login asks for: the database, another plugin, the form of results.
    ready(&url("ed", ""));
    ready(&url("app", "app#query=select done = 1 from t"));
    not_ready(&url("app", "app#query=select done = 2 from t"), "absent", "query: false");
    let migrations = url("app", "app#table=t,column=done,version=1");
    ready(&format!("migrations+{migrations}"));
    assert_eq!(server.log(), before, "an attempt leaves no line in the server's log");
    not_ready(&url("app", "none"), "auth", "1044");
    server.sql("set global read_only = 1");
    not_ready(&url("app", "app#writable"), "absent", "the server takes no writes (read_only)");
    server.sql("set global read_only = 0");
    not_ready(&url("app", "?ssl-mode=DISABLED"), "auth", "or the server wants TLS for it");
    not_ready(&url("cert", &format!("#ca={ca_file}")), "auth", "1045");
    not_ready(&url("app", &format!("#ca={}", other.cert_text())), "tls", "certificate not trusted");
    not_ready(
        &url("app", &format!("#ca={ca_file},server-name=db.test")),
        "tls",
        "certificate not valid for db.test",
    );
}

/// A packet of the protocol.
fn packet(sequence: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = (payload.len() as u32).to_le_bytes().to_vec();
    out[3] = sequence;
    out.extend(payload);
    out
}

const NONCE: &[u8; 20] = b"abcdefghijklmnopqrst";

/// The greeting of MySQL 8 without TLS.
fn greeting() -> Vec<u8> {
    let mut out = b"\x0a8.0.36\0\x07\0\0\0abcdefgh\0\xff\xf7\xff\x02\0\xff\xdf\x15".to_vec();
    out.extend(b"\0\0\0\0\0\0\0\0\0\0ijklmnopqrst\0caching_sha2_password\0");
    packet(0, &out)
}

fn receive(stream: &mut impl Read) -> Option<Vec<u8>> {
    let mut head = [0; 4];
    stream.read_exact(&mut head).ok()?;
    let mut payload = vec![0; u32::from_le_bytes([head[0], head[1], head[2], 0]) as usize];
    stream.read_exact(&mut payload).ok()?;
    Some(payload)
}

/// Answers SHOW VARIABLES with no rows, until the client quits.
fn serve(mut stream: impl Read + Write) {
    while let Some(command) = receive(&mut stream).filter(|command| command[0] == 3) {
        assert!(String::from_utf8_lossy(&command).contains("SHOW VARIABLES"));
        let column = b"\x03def\0\0\0\x01a\0\x0c\x2d\0\x01\0\0\0\xfd\0\0\0\0\0";
        let rows = [
            packet(1, b"\x02"),
            packet(2, column),
            packet(3, column),
            packet(4, b"\xfe\0\0\x02\0\0\0"),
        ];
        let _ = stream.write_all(&rows.concat());
    }
}

const OK: &[u8] = b"\0\0\0\x02\0\0\0";

#[test]
fn mysql_8_knows_us_by_its_cache_or_by_a_sealed_password() {
    let fast = Scripted::new(|_, mut stream| {
        let _ = stream.write_all(&greeting());
        let Some(login) = receive(&mut stream) else { return };
        // The answer to the nonce, by Python's hashlib, for the password `secret`.
        let answer = b"\xc7\x6e\x28\x98\x61\x2a\x4c\xf0\x42\xc7\x7f\xa8\xc4\x70\x2c\x4c";
        let is_right = login.windows(answer.len()).any(|window| window == answer);
        if is_right {
            let _ = stream.write_all(&[packet(2, b"\x01\x03"), packet(3, OK)].concat());
            serve(stream);
        }
    });
    once(&format!("mysql://app:secret@{}/app", fast.address())).code(0).stdout_has("MySQL 8.0.36");
    let dir = Dir::new();
    let (private, public) = (dir.text("private.pem"), dir.text("public.pem"));
    openssl(&["genrsa", "-out", &private, "2048"], b"");
    openssl(&["rsa", "-in", &private, "-pubout", "-out", &public], b"");
    let pem = std::fs::read(&public).unwrap();
    let full = Scripted::new(move |_, mut stream| {
        let _ = stream.write_all(&greeting());
        receive(&mut stream);
        let _ = stream.write_all(&packet(2, b"\x01\x04"));
        assert_eq!(receive(&mut stream).as_deref(), Some(&[2][..]));
        let _ = stream.write_all(&packet(4, &[b"\x01", &pem[..]].concat()));
        let Some(sealed) = receive(&mut stream) else { return };
        let padding = ["-pkeyopt", "rsa_padding_mode:oaep"];
        let words = [&["pkeyutl", "-decrypt", "-inkey", &private], &padding[..]].concat();
        let opened = openssl(&words, &sealed);
        let password: Vec<u8> = opened.iter().zip(NONCE).map(|(a, b)| a ^ b).collect();
        let error = packet(6, b"\xff\x15\x04#28000Access denied");
        let is_right = password == b"secret\0";
        let _ = stream.write_all(&if is_right { packet(6, OK) } else { error });
        serve(stream);
    });
    ready(&format!("mysql://app:secret@{}/app", full.address()));
}

#[test]
fn mysql_8_gets_the_password_itself_inside_tls() {
    let authority = Authority::new("mysql");
    let tls = authority.server(&["db.test"]).server_config();
    let server = Scripted::new(move |_, mut stream| {
        let mut greeting = greeting();
        // The capability of TLS.
        let lower = greeting.iter().position(|&byte| byte == 0xf7).unwrap();
        greeting[lower] |= 0x08;
        let _ = stream.write_all(&greeting);
        let Some(request) = receive(&mut stream) else { return };
        let tls = rustls::ServerConnection::new(tls.clone()).unwrap();
        let mut stream = rustls::StreamOwned::new(tls, stream);
        let Some(login) = receive(&mut stream) else { return };
        assert_eq!(login[..32], request, "the server takes capabilities from the request alone");
        let _ = stream.write_all(&packet(3, b"\x01\x04"));
        let is_right = receive(&mut stream).as_deref() == Some(b"s3cr3t/#\0");
        let error = packet(5, b"\xff\x15\x04#28000Access denied");
        let _ = stream.write_all(&if is_right { packet(5, OK) } else { error });
        serve(stream);
    });
    let url = |password| {
        let (at, ca) = (server.address(), authority.cert_text());
        format!(
            "mysql://app:{password}@{at}/app?ssl-mode=verify_identity#ca={ca},server-name=db.test"
        )
    };
    ready(&url("s3cr3t%2F%23"));
    not_ready(&url("wrong"), "auth", "1045");
}

fn openssl(words: &[&str], input: &[u8]) -> Vec<u8> {
    let mut command = Command::new(program("openssl", "openssl"));
    command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "openssl {words:?}");
    output.stdout
}

/// Greets, reads the login, says this, and closes.
fn answering(answer: &'static [u8]) -> Scripted {
    Scripted::new(move |_, mut stream| {
        let _ = stream.write_all(&greeting());
        receive(&mut stream);
        let _ = stream.write_all(&packet(2, answer));
        scripted::finish(stream);
    })
}

#[test]
fn what_is_no_mysql_or_refuses_is_named() {
    for (first, class, says) in [
        (&b"SSH-2.0-OpenSSH_9.2\r\n"[..], "protocol", "not MySQL, it says: SSH-2.0-OpenSSH_9.2"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "protocol", "not MySQL, it says: HTTP/1.1 400"),
        (b"\x17\0\0\0\xff\x10\x04Too many connections", "busy", "1040: Too many connections"),
        (b"\x13\0\0\0\xff\x69\x04Host is blocked", "connect", ""),
        (b"\x12\0\0\0\xff\x69\x04Host is blocked", "auth", "FLUSH HOSTS"),
        (b"\x13\0\0\0\xff\x1d\x04Server shutdown.", "busy", "1053"),
    ] {
        let server = Scripted::saying_then_closing(first);
        not_ready(&format!("mysql://app@{}", server.address()), class, says);
    }
    for (answer, class, says) in [
        (
            &b"\xff\x57\x0c#HY000Connections using insecure transport are prohibited"[..],
            "tls",
            "3159",
        ),
        (b"\xff\x2e\x0c#HY000Access denied. Account is locked", "auth", "3118"),
        // A user that does not exist yet seems to have the plugin of any other.
        (b"\xfedialog\0x", "auth", "plugin dialog, which this client lacks"),
        (b"\xfe", "auth", "mysql_old_password"),
        (b"\xff\xe3\x04#08004Client does not support", "auth", "1251"),
        (b"\xfemysql_clear_password\0", "auth", "asks for the password in clear"),
        (b"\x07", "protocol", "not what MySQL sends"),
    ] {
        let server = answering(answer);
        not_ready(&format!("mysql://app:pw@{}", server.address()), class, says);
    }
    let endless = Scripted::dripping(b"\x7f\0\0\0".to_vec(), ms(1));
    let url = format!("mysql://app@{}#attempt-timeout=200ms", endless.address());
    once(&url).code(69).any_stdout();
}
