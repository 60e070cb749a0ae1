"""Servers that make the client work without end, at every stage of their conversations.

Each wait must end at its deadline, in bounded memory, and at a signal.
"""

import base64
import re
import struct
import time

import servers as s
from lab import TABLE, ended_by, known, run

MIB = 1 << 20
POSTGRES = "postgres://u:pw@127.0.0.1:{}/d"
QUERY = POSTGRES + "#query=select true"
MIGRATIONS = "migrations+" + POSTGRES
NATS = "nats://127.0.0.1:{}"
HTTP = "http://127.0.0.1:{}/"


def scram(iterations):
    """Asks for so many rounds of SCRAM."""

    def serve(connection):
        s.postgres_startup(connection)
        mechanisms = struct.pack("!I", 10) + b"SCRAM-SHA-256\0\0"
        connection.sendall(s.message(b"R", mechanisms))
        _, body = s.postgres_message(connection)
        nonce = re.search(rb"r=([^,]+)", body).group(1)
        salt = base64.b64encode(b"0123456789abcdef")
        first = b"r=%sx,s=%s,i=%d" % (nonce, salt, iterations)
        connection.sendall(s.message(b"R", struct.pack("!I", 11) + first))
        connection.recv(10000)
        time.sleep(30)

    return serve


def postgres(unit, first=s.LOGIN):
    """Sends `unit` for ever after the startup packet and `first`."""

    def serve(connection):
        s.postgres_startup(connection)
        s.endless(connection, unit, first)

    return serve


def rows(row):
    """Answers BEGIN, and every other question with rows without end."""

    def serve(connection):
        s.postgres_startup(connection)
        connection.sendall(s.LOGIN)
        while True:
            tag, _ = s.postgres_message(connection)
            if tag == b"Q":
                connection.sendall(s.message(b"C", b"BEGIN\0") + s.READY)
            elif tag == b"S":
                s.endless(connection, row)

    return serve


def nats(unit, large_first):
    """Sends `unit` for ever after CONNECT, where asked after a message that grows the buffer."""

    def serve(connection):
        connection.sendall(s.NATS_INFO)
        connection.recv(10000)
        if large_first:
            connection.sendall(b"MSG a 1 1000000\r\n" + b"x" * 1000000 + b"\r\n")
        time.sleep(0.2)
        s.endless(connection, unit)

    return serve


def answering(unit, first=b""):
    """Reads the first words, then sends `unit` for ever."""

    def serve(connection):
        connection.recv(10000)
        s.endless(connection, unit, first)

    return serve


def body(data):
    """An HTTP response with this body."""

    def serve(connection):
        connection.recv(10000)
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(data)
        connection.sendall(head + data)
        connection.recv(1)

    return serve


def pattern(text):
    """A URL whose body must match this pattern."""
    escaped = "".join(f"%{ord(c):02X}" if c in "%{},#+\"\\" else c for c in text)
    return HTTP + "#match=" + escaped.replace("{", "{{").replace("}", "}}")


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
LETTERS = (b"abcdefgh " * (MIB // 9))[: MIB - 10]
NOTICE = s.message(b"N", b"SNOTICE\0MAAAA\0\0")

CASES = [
    ("SCRAM, 10,000,000 rounds", scram(10_000_000), POSTGRES),
    ("SCRAM, 4,294,967,295 rounds", scram(4_294_967_295), POSTGRES),
    ("PostgreSQL: notices before the login", postgres(NOTICE, b""), POSTGRES),
    ("PostgreSQL: notices after the login", postgres(NOTICE), QUERY),
    ("PostgreSQL: parameters", postgres(s.PARAMETERS, s.AUTHENTICATION_OK), POSTGRES),
    ("PostgreSQL: notifications", postgres(s.message(b"A", b"\0\0\0\1c\0p\0")), QUERY),
    ("PostgreSQL: one long message", postgres(b"x", b"N\x3f\xff\xff\xff"), POSTGRES),
    ("query: rows without columns", rows(s.message(b"D", b"\0\0")), QUERY),
    ("migrations: rows without columns", rows(s.message(b"D", b"\0\0")), MIGRATIONS),
    ("migrations: rows of one NULL", rows(s.message(b"D", b"\0\1" + b"\xff" * 4)), MIGRATIONS),
    ("migrations: rows of three texts", rows(s.message(b"D", b"\0\3" + b"\0" * 12)), MIGRATIONS),
    ("NATS: +OK", nats(b"+OK\r\n", False), NATS),
    ("NATS: +OK after a large message", nats(b"+OK\r\n", True), NATS),
    ("NATS: empty messages", nats(b"MSG a 1 0\r\n\r\n", True), NATS),
    ("NATS: INFO", nats(b"INFO {}\r\n", True), NATS),
    ("NATS: PING", nats(b"PING\r\n", True), NATS),
    ("NATS: JetStream, +OK", nats(b"+OK\r\n", True), NATS + "#jetstream"),
    ("NATS: JetStream, other messages", nats(b"MSG a 9 1\r\nx\r\n", False), NATS + "#stream=S"),
    ("NATS: endless INFO line", lambda c: s.endless(c, b"x", b"INFO {"), NATS),
    ("HTTP: body, match", answering(b"x", OK + b"\r\n"), HTTP + "#match=zzz"),
    ("HTTP: body of a 503", answering(b"x", b"HTTP/1.1 503 X\r\n\r\n"), HTTP),
    ("HTTP: headers", answering(b"X-A: bbbbbbbbbbbbbbbbbbbb\r\n", OK), HTTP),
    ("HTTP: header line", answering(b"x", OK + b"X: "), HTTP),
    ("HTTP: 100 Continue", answering(b"HTTP/1.1 100 Continue\r\n\r\n"), HTTP),
    ("HTTP: 102 Processing", answering(b"HTTP/1.1 102 Processing\r\n\r\n"), HTTP),
    ("HTTP: 103 Early Hints", answering(b"HTTP/1.1 103 E\r\nLink: a\r\n\r\n"), HTTP),
    ("HTTP: chunks of one byte", answering(b"1\r\nx\r\n", CHUNKED), HTTP + "#match=zzz"),
    ("HTTP: chunk extension", answering(b"x", CHUNKED + b"1;a="), HTTP + "#match=zzz"),
    ("HTTP: trailers", answering(b"X-A: b\r\n", CHUNKED + b"0\r\n"), HTTP + "#match=zzz"),
    ("HTTP: JSON of brackets", body(b"[" * MIB), HTTP + "#json=/a"),
    ("HTTP: JSON of objects", body(b"[" + b"{}," * (MIB // 3 - 5) + b"1]"), HTTP + "#json=/a"),
    ("match: .{0,80}UP", body(LETTERS), pattern(".{0,80}UP")),
    ("match: [a-z]{0,300}Z", body(LETTERS), pattern("[a-z]{0,300}Z")),
    ("match: [a-z]{0,600}Z", body(LETTERS), pattern("[a-z]{0,600}Z")),
    ("match: (.*)*(.*)*(.*)*Z", body(LETTERS), pattern("(.*)*(.*)*(.*)*Z")),
    ("Redis: status lines", answering(b"+A\r\n"), "redis://127.0.0.1:{}"),
    ("Redis: endless line", answering(b"x", b"+"), "redis://127.0.0.1:{}"),
    ("Redis: nested arrays", answering(b"*1\r\n"), "redis://127.0.0.1:{}"),
    ("Redis: endless bulk", answering(b"x", b"$2147483647\r\n"), "redis://127.0.0.1:{}"),
    ("MySQL: packets", lambda c: s.endless(c, b"\1\0\0\0\xff"), "mysql://u@127.0.0.1:{}/d"),
    ("MySQL: endless greeting", lambda c: s.endless(c, b"x", b"\xff\xff\xff\0\x0a8"), "mysql://u@127.0.0.1:{}/d"),
    ("memcached: lines", answering(b"STAT a 1\r\n"), "memcached://127.0.0.1:{}"),
    ("AMQP: frames", answering(b"\x08\0\0\0\0\0\0\xce"), "amqp://127.0.0.1:{}"),
    ("gRPC: PING frames", answering(b"\0\0\x08\x06\0\0\0\0\0" + b"x" * 8, b"\0\0\0\4\0\0\0\0\0"), "grpc://127.0.0.1:{}"),
    ("gRPC: SETTINGS frames", answering(b"\0\0\0\4\0\0\0\0\0"), "grpc://127.0.0.1:{}"),
    ("Kafka: endless response", answering(b"x", b"\x7f\xff\xff\xff"), "kafka://127.0.0.1:{}"),
    ("MongoDB: endless reply", answering(b"x", b"\xff\xff\xff\x7f"), "mongodb://127.0.0.1:{}"),
]


def main():
    for name, handler, url in CASES:
        if not known(url.format(1)):
            continue
        url = url.format(s.serve(handler))
        run(["-t", "1s", url]).ends(124).by(1).within().check("endless servers", name)
        faults = ended_by(["-t", "60s", "--attempt-timeout", "30s", url], after=0.5)
        TABLE.add("endless servers", f"SIGTERM, {name}", faults)
