//! `amqp:` against a real RabbitMQ, compared with pika; scripted servers only for what it cannot
//! show.

use crate::support::look::{not_ready, once};
use crate::support::scripted::finish;
use crate::support::{Address, Afterall, Authority, Dir, LONG, RabbitMq, Scripted, python, sh};
use std::io::{Read, Write};
use std::process::Command;

/// The outcome of pika, a real client, for the URL: `ready`, or the code of the refusal.
fn pika(url: &str, queue: &str) -> String {
    const SCRIPT: &str = "
import sys, pika
from pika.exceptions import *
url, queue = sys.argv[1:]
try:
    connection = pika.BlockingConnection(pika.URLParameters(url))
    if queue: connection.channel().queue_declare(queue, passive=True)
    connection.close(); print('ready')
except ProbableAuthenticationError: print(403)
except (ConnectionClosedByBroker, ChannelClosedByBroker, ProbableAccessDeniedError) as e: \
print(e.args[0] if isinstance(e.args[0], int) else 530)
except AMQPConnectionError as e:
    inner = e.args[0].exception if e.args and hasattr(e.args[0], 'exception') else e
    print(getattr(inner, 'reply_code', None) or 530 if 'ConnectionClosed' in repr(inner) or \
    'ProbableAccess' in repr(inner) else repr(e))
";
    let output = Command::new(python()).args(["-c", SCRIPT, url, queue]).output().unwrap();
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
    .trim()
    .to_owned()
}

#[test]
fn a_broker_is_waited_for_from_its_boot_to_its_queue() {
    let mut broker = RabbitMq::started("log.file.level = info", false);
    let at = broker.address();
    let url = format!("amqp://app:s3cr3t@{at}/%2Fapp");
    let declared = format!("mq={url}#queue=orders,max-interval=500ms,timeout=30m");
    let waiting = Afterall::waiting_for([declared]).becoming(sh("echo started")).spawn();
    waiting.wait_for_stderr("mq: waiting: connection refused", LONG);
    broker.wait_until_up();
    let user = |name: &str| {
        format!("rabbit_auth_backend_internal:add_user(<<\"{name}\">>, <<\"s3cr3t\">>, <<\"x\">>)")
    };
    waiting.wait_for_stderr("403 ACCESS_REFUSED - Login was refused", LONG);
    broker.eval(&user("app"));
    waiting.wait_for_stderr("530 NOT_ALLOWED - vhost /app not found", LONG);
    assert_eq!(pika(&url, ""), "530");
    // A name does not look like a reason.
    let limits = format!("amqp://app:s3cr3t@{at}/limits");
    not_ready(&limits, "absent", "530 NOT_ALLOWED - vhost limits not found");
    broker.eval("rabbit_vhost:add(<<\"limits\">>, <<\"x\">>)");
    not_ready(&limits, "auth", "access to vhost 'limits' refused");
    assert_eq!(pika(&limits, ""), "530");
    broker.eval("rabbit_vhost:add(<<\"/app\">>, <<\"x\">>)");
    waiting.wait_for_stderr("530 NOT_ALLOWED - access to vhost '/app' refused", LONG);
    not_ready(&url, "auth", "the user has no permission for that vhost, or not yet");
    assert_eq!(pika(&url, ""), "530");
    broker.eval(
        "rabbit_auth_backend_internal:set_permissions(<<\"app\">>, <<\"/app\">>, <<\".*\">>, \
        <<\".*\">>, <<\".*\">>, <<\"x\">>)",
    );
    waiting.wait_for_stderr("404 NOT_FOUND - no queue 'orders' in vhost '/app'", LONG);
    assert_eq!(pika(&url, "orders"), "404");
    once(&url).code(0).stdout_has("RabbitMQ 3.").stdout_has("vhost /app");
    assert_eq!(pika(&url, ""), "ready");
    broker.eval(
        "rabbit_amqqueue:declare(rabbit_misc:r(<<\"/app\">>, queue, <<\"orders\">>), true, false, \
        [], none, <<\"x\">>), ok",
    );
    let done = waiting.done().code(0).stdout("started\n");
    done.stderr_has("mq: ready: RabbitMQ 3.").stderr_has("queue orders").says_nowhere("s3cr3t");
    assert_eq!(pika(&url, "orders"), "ready");
    not_ready(&format!("amqp://app:wrong@{at}/%2Fapp"), "auth", "403 ACCESS_REFUSED");
    not_ready(&format!("{url}#exchange=none"), "absent", "404 NOT_FOUND - no exchange 'none'");
    once(&format!("{url}#exchange=amq.topic,queue=orders"))
        .code(0)
        .stdout_has("exchange amq.topic, queue orders");
    for form in [
        format!("pyamqp://guest:guest@{at}//"),
        format!("amqp://guest@{at}/?heartbeat=10"),
        format!("rabbitmq://{at}"),
        format!("amqp://app@{at}#vhost=/app,password=s3cr3t"),
    ] {
        once(&form).code(0).stdout_has("RabbitMQ 3.");
    }
    // An attempt leaves its connection in the log, but no warning.
    assert!(!broker.log().contains("closed unexpectedly"), "{}", broker.log());
    broker.pause();
    not_ready(
        &format!("{url}#attempt-timeout=300ms"),
        "timeout",
        "but no answer from AMQP within 0.3s",
    );
}

/// The password is `s3cr3t`, with the salt `salt` before it and before its hash.
const DEFINITIONS: &str = r#"{
    "users": [{"name": "app", "tags": "",
        "password_hash": "c2FsdKDLiEodnZ/QD/SZRrbBW9ak4N+lMpNQX7CWsV381HxF",
        "hashing_algorithm": "rabbit_password_hashing_sha256"}],
    "vhosts": [{"name": "/app"}],
    "permissions": [
        {"user": "app", "vhost": "/app", "configure": "", "write": "", "read": ""}],
    "queues": [{"name": "orders", "vhost": "/app", "durable": true, "auto_delete": false,
        "arguments": {}}],
    "exchanges": [{"name": "events", "vhost": "/app", "type": "topic", "durable": true,
        "auto_delete": false, "internal": false, "arguments": {}}]}"#;

#[test]
fn a_broker_serves_only_once_it_has_its_definitions() {
    let (dir, ca, other) = (Dir::new(), Authority::new("ca"), Authority::new("other"));
    let definitions = dir.write_with_mode("definitions.json", 0o644, DEFINITIONS);
    let (identity, address) = (ca.server(&["mq.test"]), Address::claim());
    let secure = address.free();
    let lines = [
        format!("load_definitions = {}", definitions.display()),
        format!("listeners.ssl.default = {secure}"),
        format!("ssl_options.cacertfile = {}", ca.cert_text()),
        format!("ssl_options.certfile = {}", identity.cert_text()),
        format!("ssl_options.keyfile = {}", identity.key_text()),
    ];
    let mut broker = RabbitMq::started(&lines.join("\n"), false);
    let url = format!("amqp://app:s3cr3t@{}/%2Fapp", broker.address());
    let declared = format!("mq={url}#queue=orders,exchange=events,timeout=30m");
    let done = Afterall::waiting_for([declared]).spawn().done().code(0);
    // The port is closed until everything is there.
    for lacking in ["class=auth", "class=absent", "class=busy"] {
        assert!(!done.stderr_text().contains(lacking), "{}", done.stderr_text());
    }
    done.stderr_has("mq: ready: RabbitMQ 3.").stderr_has("exchange events, queue orders");
    assert_eq!(pika(&url, "orders"), "ready");
    broker.wait_until_up();
    let secure = format!("amqps://app:s3cr3t@{secure}/%2Fapp#server-name=mq.test");
    once(&format!("{secure},ca={},queue=orders", ca.cert_text())).code(0).stdout_has("RabbitMQ");
    not_ready(&format!("{secure},ca={}", other.cert_text()), "tls", "certificate not trusted");
    let wrong_port = secure.replace("amqps", "amqp").replace("#server-name=mq.test", "");
    not_ready(&wrong_port, "protocol", "use the scheme amqps:");
    not_ready(&url.replace("amqp:", "amqps:"), "tls", "does not speak TLS");
}

#[test]
fn what_is_no_rabbitmq_is_named() {
    for (says, class, want) in [
        ("HTTP/1.1 400 Bad Request\r\n\r\n", "protocol", "not AMQP, it says: HTTP/1.1 400"),
        ("AMQP\x03\x01\0\0", "protocol", "the server speaks AMQP 1.0, not 0-9-1"),
        ("\x15\x03\x01\0\x02\x02\x28", "protocol", "use the scheme amqps:"),
    ] {
        let server = Scripted::answering_then_closing(says);
        not_ready(&format!("amqp://{}", server.address()), class, want);
    }
    let silent = Scripted::silent();
    let url = format!("amqp://{}#attempt-timeout=200ms", silent.address());
    not_ready(&url, "timeout", "but no answer from AMQP within 0.2s");
}

fn frame(class: u16, method: u16, arguments: &[u8]) -> Vec<u8> {
    let size = (arguments.len() as u32 + 4).to_be_bytes();
    let name = [class.to_be_bytes(), method.to_be_bytes()].concat();
    [&[1, 0, 0], &size[..], &name, arguments, b"\xce"].concat()
}

/// A broker that lets everybody in.
fn open_broker() -> Scripted {
    Scripted::new(|_, mut stream| {
        let start = b"\0\x09\0\0\0\0\0\0\0\x05PLAIN\0\0\0\x05en_US";
        for reply in [
            frame(10, 10, start),
            frame(10, 30, b"\x07\xff\0\x02\0\0\0\0"),
            frame(10, 41, b"\0"),
            frame(10, 51, b""),
        ] {
            if !stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {
                return;
            }
            let _ = stream.write_all(&reply);
        }
        finish(stream);
    })
}

/// A success is not asked again to confirm it, however old it is.
#[test]
fn a_ready_broker_is_asked_once() {
    let (broker, late) = (open_broker(), Scripted::silent());
    let declared = [
        format!("mq=amqp://{}", broker.address()),
        format!("late=tcp://{}#successes=4,max-interval=600ms", late.address()),
    ];
    let done = Afterall::waiting_for(declared).run().code(0);
    done.stderr_has("mq: ready: ").stderr_has("late was last");
    assert_eq!(broker.connections(), 1);
}

/// Two attempts a second at most.
#[test]
fn a_broker_is_asked_seldom() {
    let refusing = Scripted::answering_then_closing("AMQP\0\0\x09\x02");
    Afterall::waiting_for([format!("amqp://{}#timeout=1500ms", refusing.address())])
        .run()
        .code(124)
        .any_stderr();
    assert!(refusing.connections() <= 6, "{} connections", refusing.connections());
}
