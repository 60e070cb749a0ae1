"""Servers of the newer kinds whose answers are as costly to read as the protocol allows.

Each is asked by one dependency, and then by 200 at once: every deadline and every signal must hold,
however many of them have something to read.
"""

import base64
import struct
import time

import servers as s
import work
from lab import TABLE, ended_by, known, run
from work import HTTP, MIB, OK, answering, body

MANY = 200
# With 200 dependencies, the main thread's processor time until the end, in seconds: what is promised.
SIGNAL_CPU = 0.100
# The clock of the wait starts up to 30 ms after the process: 200 declarations are read first.
DEADLINE_CPU = 0.050 + 0.030
# The servers and their 200 clients share the cores, so that the time of the clock says less.
MANY_ROOM = 1.5
GROUP = "costly answers"


def once(data):
    """Reads the first words, answers, and waits."""

    def serve(connection):
        connection.recv(10000)
        connection.sendall(data)
        connection.recv(100000)
        time.sleep(30)

    return serve


# Kafka. A response has its length and the request's number in front.


def kafka(metadata):
    """Answers a request for versions, and then each one for metadata."""
    versions = b"\0\0" + struct.pack("!i", 2) + struct.pack("!hhhhhh", 3, 0, 8, 36, 0, 2)

    def serve(connection):
        answer = versions
        while True:
            request = s.receive(connection, struct.unpack("!i", s.receive(connection, 4))[0])
            connection.sendall(struct.pack("!i", len(answer) + 4) + request[4:8] + answer)
            answer = metadata

    return serve


def metadata(brokers, topics, count):
    """A response of version 8 with so many brokers, and these topics."""
    address = b"\0\x09127.0.0.1" + struct.pack("!i", 1) + b"\xff\xff"
    brokers = [struct.pack("!i", number) + address for number in range(brokers)]
    head = struct.pack("!ii", 0, len(brokers)) + b"".join(brokers)
    return head + b"\xff\xff" + struct.pack("!ii", 0, count) + topics + b"\0\0\0\0"


def topic(name, leaders):
    """A topic, a partition for each leader."""
    parts = [struct.pack("!hiiiiii", 0, 0, leader, 0, 0, 0, 0) for leader in leaders]
    return b"\0\0\0\x01%b\0" % name + struct.pack("!i", len(parts)) + b"".join(parts) + b"\0" * 4


# MongoDB. BSON has a document's length in front, and a NUL at its end.


def document(*elements):
    """A document of BSON."""
    inner = b"".join(elements)
    return struct.pack("<i", len(inner) + 5) + inner + b"\0"


def element(kind, name, value=b""):
    """An element of a document."""
    return bytes([kind]) + name + b"\0" + value


def text(value):
    """A text of BSON."""
    return struct.pack("<i", len(value) + 1) + value + b"\0"


def mongodb(*elements):
    """Answers every command with this document."""
    reply = b"\0" * 5 + document(*elements)
    reply = struct.pack("<iiii", 16 + len(reply), 1, 1, 2013) + reply

    def serve(connection):
        while True:
            s.receive(connection, struct.unpack("<i", s.receive(connection, 4))[0] - 4)
            connection.sendall(reply)

    return serve


def nested(depth):
    """Documents in documents."""
    inner = document()
    for _ in range(depth):
        inner = document(element(3, b"a", inner))
    return inner


DONE = element(0x10, b"ok", struct.pack("<i", 1))
MEMBER = element(2, b"setName", text(b"rs"))
HOSTS = [element(2, b"%d" % n, text(b"127.0.0.1:%d" % n)) for n in range(1, 30000)]


# Redis.


def redis(*replies):
    """Answers the first words with all replies, and later ones with the last."""

    def serve(connection):
        connection.recv(10000)
        for reply in replies:
            connection.sendall(reply)
        while connection.recv(10000):
            connection.sendall(replies[-1])

    return serve


def bulk(data):
    """A string of a length."""
    return b"$%d\r\n%b\r\n" % (len(data), data)


LARGE = MIB - 100


# MySQL. A packet has its length and its number in front.


def packet(number, payload):
    """A packet."""
    return struct.pack("<I", len(payload))[:3] + bytes([number & 255]) + payload


GREETING = packet(
    0,
    b"\x0a8.0.36\0\1\0\0\0abcdefgh\0\xff\xf7\x2d\x02\0\xff\xdf\x15" + b"\0" * 10 + b"ijklmnopqrst\0mysql_native_password\0",
)
COLUMN = b"\x03def\0\0\0\x01a\0\x0c\x2d\0\x01\0\0\0\x03\0\0\0\0\0"


def rows(row, columns=1):
    """Lets everybody in, and answers the first question with rows without end."""

    def serve(connection):
        connection.sendall(GREETING)
        connection.recv(10000)
        connection.sendall(packet(2, b"\0\0\0\2\0\0\0"))
        connection.recv(10000)
        head = [bytes([columns])] + [COLUMN] * columns
        connection.sendall(b"".join(packet(n, each) for n, each in enumerate(head, 1)))
        number, count = len(head) + 1, max(1, min(256, MIB // len(row)))
        while True:
            connection.sendall(b"".join(packet(number + n, row) for n in range(count)))

    return serve


def login(*answers):
    """Answers the login, and each word after it, with these packets in turn; the last one for ever."""

    def serve(connection):
        connection.sendall(GREETING)
        number, left = 2, list(answers)
        while connection.recv(10000):
            connection.sendall(packet(number, left[0]))
            number += 2
            left = left[1:] or left

    return serve


def der(tag, content):
    """An element of DER with a length of two bytes."""
    return bytes([tag, 0x82]) + struct.pack(">H", len(content)) + content


def public_key():
    """A public key of 4,096 bits with a long exponent."""
    key = der(0x30, der(2, b"\0" + b"\xff" * 512) + b"\x02\x04\xff\xff\xff\xff")
    algorithm = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\0"
    key = base64.encodebytes(der(0x30, algorithm + der(3, b"\0" + key)))
    return b"-----BEGIN PUBLIC KEY-----\n" + key + b"-----END PUBLIC KEY-----\n"


CACHING = b"\xfecaching_sha2_password\0abcdefghijklmnopqrst\0"
NATIVE = b"\xfemysql_native_password\0"


# AMQP.


def frame(kind, payload):
    """A frame of the connection's own channel."""
    return bytes([kind]) + struct.pack("!HI", 0, len(payload)) + payload + b"\xce"


def start(table, mechanisms=b"PLAIN"):
    """The broker's first method."""
    long = lambda data: struct.pack("!I", len(data)) + data  # noqa: E731
    return frame(1, b"\0\x0a\0\x0a\0\x09" + long(table) + long(mechanisms) + long(b"en_US"))


def during_tune(connection):
    """Heartbeats without end where Tune is awaited."""
    connection.recv(100)
    connection.sendall(start(b""))
    connection.recv(10000)
    s.endless(connection, frame(8, b""))


# HTTP/2.


def h2(kind, flags, stream, payload=b""):
    """A frame."""
    head = struct.pack("!I", len(payload))[1:] + bytes([kind, flags])
    return head + struct.pack("!I", stream) + payload


SETTINGS = h2(4, 0, 0)
GRPC = {
    "empty SETTINGS": SETTINGS,
    "long SETTINGS": h2(4, 0, 0, struct.pack("!HI", 1, 4096) * 2700),
    "PING": h2(6, 0, 0, b"x" * 8),
    "WINDOW_UPDATE": h2(8, 0, 0, b"\0\0\0\1"),
    "RST_STREAM": h2(3, 0, 1, b"\0" * 4),
    "PRIORITY": h2(2, 0, 1, b"\0\0\0\0\x10"),
    "GOAWAY": h2(7, 0, 0, b"\x7f\xff\xff\xff\0\0\0\0"),
    "unknown frames": h2(99, 0, 0),
    "interim responses": h2(1, 4, 1, b"\x08\x03100"),
    "indexed headers": h2(1, 4, 1, b"\x88\x40\x01a\x7f\xe1\x1f" + b"b" * 4000 + b"\xbe" * 10000),
}
HEADERS = SETTINGS + h2(1, 0, 1, b"\x88")

JSON = {
    "deep objects": b'{"a":' * 200000,
    "keys": b"{%b}" % b",".join(b'"k%d":1' % n for n in range(80000)),
    "escapes": b'{"%b":1}' % (b"\\u0041" * 170000),
    "arrays": b"[%b1]" % (b"[]," * 340000),
}
PODS = b'{"items":[%b]}' % b",".join([b'{"status":{"phase":"Succeeded"}}'] * 120000)

KAFKA, MONGODB, REDIS = "kafka://127.0.0.1:{}/t", "mongodb://127.0.0.1:{}/", "redis://127.0.0.1:{}"
MYSQL, AMQP, H2 = "mysql://u:p@127.0.0.1:{}/d", "amqp://127.0.0.1:{}", "grpc://127.0.0.1:{}"
PEER = "k8s:{}#server=http://127.0.0.1:{{}},namespace=n"

CASES = [
    ("Kafka: partitions", kafka(metadata(1, topic(b"t", [0] * 70000), 1)), KAFKA + "#partitions=65535,brokers=9"),
    ("Kafka: topics", kafka(metadata(1, topic(b"x", []) * 140000, 140000)), KAFKA),
    ("Kafka: brokers", kafka(metadata(2000, topic(b"t", range(2000)), 1)), KAFKA + "#brokers=9999"),
    ("Kafka: an array of 2^31", kafka(b"\0" * 4 + b"\x7f\xff\xff\xff"), KAFKA),
    ("MongoDB: elements", mongodb(element(0x0A, b"") * 500000), MONGODB),
    ("MongoDB: long names", mongodb(element(2, b"x" * 200, text(b"y")) * 4000), MONGODB),
    ("MongoDB: long texts", mongodb(*[element(2, b"", text(b"y" * 240))] * 3900), MONGODB),
    ("MongoDB: hosts", mongodb(DONE, MEMBER, element(4, b"hosts", document(*HOSTS))), MONGODB),
    ("MongoDB: a long set", mongodb(DONE, element(2, b"setName", text(b"r" * LARGE))), MONGODB),
    ("MongoDB: documents in documents", mongodb(DONE, MEMBER, element(3, b"tags", nested(3000))), MONGODB),
    ("Redis: an array of numbers", redis(b"*8192\r\n" + b":1\r\n" * 8192), REDIS),
    ("Redis: null arrays", redis(b"*8192\r\n" + b"*-1\r\n" * 8192), REDIS),
    ("Redis: invalid strings", redis(b"*4\r\n" + bulk(b"\xff" * LARGE) * 4), REDIS),
    ("Redis: INFO of empty lines", redis(bulk(b"\n" * LARGE), b"-LOADING\r\n"), REDIS),
    ("Redis: attributes", answering(b"|1\r\n+a\r\n:1\r\n"), REDIS),
    ("Redis: pushes", answering(b">1\r\n+a\r\n"), REDIS),
    ("Redis: HELLO", redis(b"-NOPERM x\r\n+PONG\r\n", b"*8192\r\n" + b"+a\r\n" * 8192), REDIS + "#role=master"),
    ("MySQL: rows of NULL", rows(b"\xfb"), MYSQL),
    ("MySQL: rows of 250 NULLs", rows(b"\xfb" * 250, 250), "migrations+" + MYSQL),
    ("MySQL: invalid rows", rows(b"\xfd" + struct.pack("<I", LARGE)[:3] + b"\xff" * LARGE), MYSQL),
    ("MySQL: plugins", login(NATIVE + b"abcdefghijklmnopqrst\0"), MYSQL),
    ("MySQL: long nonces", login(NATIVE + b"n" * LARGE), MYSQL),
    ("MySQL: public keys", login(CACHING, b"\1" + public_key()), MYSQL),
    ("AMQP: a table of fields", once(start(b"\0V" * 65000)), AMQP),
    ("AMQP: a table of short fields", once(start(b"\0V" * 8000)), AMQP),
    ("AMQP: empty frames", answering(frame(3, b"")), AMQP),
    ("AMQP: long frames", answering(frame(3, b"x" * 131072)), AMQP),
    ("AMQP: heartbeats before Tune", during_tune, AMQP),
    *[(f"gRPC: {name}", answering(unit, SETTINGS), H2) for name, unit in GRPC.items()],
    ("gRPC: CONTINUATION", answering(h2(9, 0, 1, b"\x82" * 16000), HEADERS), H2),
    ("gRPC: empty CONTINUATION", answering(h2(9, 0, 1), HEADERS), H2),
    ("gRPC: empty DATA", answering(h2(0, 0, 1), SETTINGS + h2(1, 4, 1, b"\x88")), H2),
    *[(f"HTTP: JSON of {name}", body(data), HTTP + "#json=/none/1") for name, data in JSON.items()],
    ("HTTP: small chunks", answering(b"1\r\nx\r\n", work.CHUNKED), HTTP + "#match=zzz"),
    ("HTTP: empty headers", once(OK + b"a:\r\n" * 95 + b"Content-Length: 0\r\n\r\n"), HTTP + "#status=404"),
    ("Kubernetes: pods", body(PODS), PEER.format("pods/a=b")),
    ("Kubernetes: an endless list", body(b'{"items":null,"metadata":{"continue":"x"}}'), PEER.format("pods/a=b")),
]


def main():
    for name, handler, url in [*CASES, *work.CASES]:
        if not known(url.format(1)):
            continue
        url = url.format(s.serve(handler))
        if (name, handler) in [case[:2] for case in CASES]:
            run(["-t", "1s", url]).ends(124).by(1).within().check(GROUP, name)
            faults = ended_by(["-t", "60s", "--attempt-timeout", "30s", url], after=0.5)
            TABLE.add(GROUP, f"SIGTERM, {name}", faults)
        many = [f"d{number}={url}" for number in range(MANY)]
        args = ["-q", "-t", "1s", *many]
        faults = ended_by(args, after=1, number=None, cap=20, cpu=DEADLINE_CPU, room=MANY_ROOM)
        TABLE.add(GROUP, f"{MANY}, {name}", faults)
        args = ["-q", "-t", "60s", "--attempt-timeout", "30s", *many]
        faults = ended_by(args, after=0.5, cpu=SIGNAL_CPU, room=MANY_ROOM)
        TABLE.add(GROUP, f"{MANY}, SIGTERM, {name}", faults)
