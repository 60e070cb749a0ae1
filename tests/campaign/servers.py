"""Servers that misbehave, on loopback ports, and the first lines of the protocols they break."""

import random
import socket
import struct
import threading
import time


def listener(backlog=128, host="127.0.0.1", port=0):
    """A listening socket."""
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((host, port))
    server.listen(backlog)
    return server


def serve(handler):
    """Calls `handler(connection)` in a thread for each connection. Returns the port."""
    server = listener()

    def one(connection):
        try:
            handler(connection)
        # The client's bytes do not matter: the test is about the client.
        except Exception:  # noqa: BLE001
            pass
        finally:
            connection.close()

    def accept():
        while True:
            connection, _ = server.accept()
            threading.Thread(target=one, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return server.getsockname()[1]


def refusing():
    """A port on which nobody listens."""
    server = listener()
    port = server.getsockname()[1]
    server.close()
    return port


def full():
    """A port whose backlog is full, so that a connect gets no answer. The sockets keep it so."""
    server = listener(0)
    fillers = [server]
    for _ in range(4):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(server.getsockname())
        fillers.append(filler)
    FULL.append(fillers)
    return server.getsockname()[1]


FULL = []


def receive(connection, length):
    """Exactly so many bytes."""
    data = b""
    while len(data) < length:
        more = connection.recv(length - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def endless(connection, unit, first=b""):
    """Sends `unit` for ever, in large pieces."""
    connection.sendall(first)
    data = unit * max(1, 262144 // len(unit))
    while True:
        connection.sendall(data)


# PostgreSQL.


def message(tag, body=b""):
    """A message of PostgreSQL's protocol."""
    return tag + struct.pack("!I", len(body) + 4) + body


READY = message(b"Z", b"I")
PARAMETERS = b"".join(
    message(b"S", name + b"\0" + value + b"\0")
    for name, value in [
        (b"server_version", b"15.4"),
        (b"in_hot_standby", b"off"),
        (b"default_transaction_read_only", b"off"),
    ]
)
AUTHENTICATION_OK = message(b"R", struct.pack("!I", 0))
LOGIN = AUTHENTICATION_OK + PARAMETERS + message(b"K", b"\0" * 8) + READY


def postgres_startup(connection):
    """Reads the startup packet; refuses TLS and GSSAPI."""
    while True:
        length = struct.unpack("!I", receive(connection, 4))[0]
        body = receive(connection, length - 4)
        if struct.unpack("!I", body[:4])[0] not in (80877103, 80877104):
            return body
        connection.sendall(b"N")


def postgres_message(connection):
    """The client's next message."""
    head = receive(connection, 5)
    return head[:1], receive(connection, struct.unpack("!I", head[1:])[0] - 4)


NATS_INFO = b'INFO {"server_id":"x","version":"2.9","max_payload":1048576,"proto":1,"headers":true}\r\n'

# The first bytes of a server in every kind's conversation, for servers that send them too slowly.
GREETINGS = {
    "postgres": LOGIN,
    "migrations": LOGIN,
    "nats": NATS_INFO,
    "http": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "https": b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03",
    "redis": b"+PONG\r\n" * 4,
    "mysql": b"\x4a\x00\x00\x00\x0a8.0.30\0",
    "memcached": b"VERSION 1.6.18\r\n",
    "amqp": b"\x01\x00\x00\x00\x00\x01\xf4\x00\x0a\x00\x0a\x00\x09",
    "mongodb": struct.pack("<i", 200) + b"\0" * 12,
    "kafka": struct.pack("!i", 200) + b"\0" * 12,
    "grpc": b"\0\0\0\x04\0\0\0\0\0" * 3,
}

# Misbehaviours, by name.


def silent(connection):
    """Never answers."""
    time.sleep(30)


def reset(connection):
    """Closes with a RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def finish(_):
    """Closes with a FIN."""


def reset_after_reading(connection):
    """Reads the first words of the client, then closes with a RST."""
    connection.settimeout(0.2)
    try:
        connection.recv(4096)
    except TimeoutError:
        pass
    reset(connection)


def garbage(connection):
    """Sends random bytes for ever."""
    source = random.Random(1)
    data = source.randbytes(65536)
    while True:
        connection.sendall(data)


def never_reads(connection):
    """Has a tiny buffer that nobody empties."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    time.sleep(30)


def half_tls(connection):
    """Begins a TLS handshake and stops in the midst of ServerHello."""
    connection.recv(5000)
    connection.sendall(b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03" + b"a" * 40)
    time.sleep(30)


def tls_garbage(connection):
    """Sends a TLS record of random bytes."""
    connection.recv(5000)
    connection.sendall(b"\x16\x03\x03\x40\x00" + random.Random(2).randbytes(16384))
    time.sleep(30)


def tls_alert(connection):
    """Refuses the handshake."""
    connection.recv(5000)
    connection.sendall(b"\x15\x03\x03\x00\x02\x02\x28")


def tls_tiny_records(connection):
    """Sends a handshake in records of one byte, for ever."""
    connection.recv(5000)
    endless(connection, b"\x16\x03\x03\x00\x01\x02")


def tls_change_cipher(connection):
    """Sends ChangeCipherSpec for ever."""
    connection.recv(5000)
    endless(connection, b"\x14\x03\x03\x00\x01\x01")


def after(first, handler):
    """A server that first sends `first`, e.g. the invitation to TLS."""

    def begin(connection):
        if first == b"S":
            connection.recv(8)
        connection.sendall(first)
        handler(connection)

    return begin


def drip(data):
    """Sends a byte a second."""

    def send(connection):
        for byte in data:
            connection.sendall(bytes([byte]))
            time.sleep(1)

    return send
