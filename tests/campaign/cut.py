"""Real conversations, cut after every third byte in three ways. None of them may be called ready."""

import asyncio
import http.server
import logging
import socket
import struct
import threading

from lab import BINARY, TABLE, environment
from real import Nats, Postgres

STEP = 3
BESIDE_EACH_OTHER = 12
BOUND = 0.4


class Health(http.server.BaseHTTPRequestHandler):
    """Answers in one write, so that the last byte is the body's."""

    def do_GET(self):
        body = b'{"status":"UP","list":[1,2,3]}'
        self.wfile.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
        )

    def log_message(self, *_):
        pass


async def cutting(upstream, limit, way):
    """A proxy that ends each connection after `limit` bytes of the server's.

    Returns it, its port, and the counts of bytes that came and that were withheld.
    """
    counts = {"came": 0, "withheld": 0}

    async def connected(reader, writer):
        # The campaign's end cancels connections that are still open.
        try:
            await relay(reader, writer)
        except asyncio.CancelledError:
            writer.close()

    async def relay(reader, writer):
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", upstream)

        async def client():
            try:
                while data := await reader.read(65536):
                    up_writer.write(data)
                    await up_writer.drain()
            except OSError:
                pass

        task = asyncio.ensure_future(client())
        left, received = limit, 0
        try:
            while left is None or left > 0:
                data = await up_reader.read(65536)
                if not data:
                    break
                received += len(data)
                if left is not None:
                    counts["withheld"] += max(0, len(data) - left)
                    data = data[:left]
                    left -= len(data)
                writer.write(data)
                await writer.drain()
            if left == 0 and way == "silence":
                await asyncio.sleep(2)
            if left == 0 and way == "RST":
                linger = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, linger
                )
                writer.transport.abort()
            writer.close()
            if left == 0:
                # A conversation may be a few bytes shorter than the one that was measured.
                more = await asyncio.wait_for(up_reader.read(65536), 0.1)
                counts["withheld"] += len(more)
        except (OSError, asyncio.TimeoutError):
            pass
        counts["came"] = max(counts["came"], received)
        task.cancel()
        writer.close()
        up_writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()[1], counts


async def once(url, bound=BOUND):
    """Exit code and output of one attempt."""
    process = await asyncio.create_subprocess_exec(
        BINARY, "-t", "0", "--attempt-timeout", f"{bound}s", url,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT, env=environment(),
    )
    try:
        out, _ = await asyncio.wait_for(process.communicate(), 20)
        return process.returncode, out.decode(errors="replace")
    except asyncio.TimeoutError:
        process.kill()
        await process.wait()
        return None, "hung"


# The reply to ROLLBACK comes after the answer and decides nothing.
ROLLED_BACK = 20


async def conversation(name, upstream, url, tail=0):
    """Cuts one conversation everywhere. Its last `tail` bytes decide nothing."""
    server, port, counts = await cutting(upstream, None, "")
    code, out = await once(url.format(port), bound=10)
    server.close()
    await asyncio.sleep(0.2)
    whole = counts["came"]
    TABLE.add("cut conversations", f"{name}, whole", [] if code == 0 else [f"{code}: {out}"])
    turns = asyncio.Semaphore(BESIDE_EACH_OTHER)

    async def cut(limit, way):
        async with turns:
            server, port, counts = await cutting(upstream, limit, way)
            code, out = await once(url.format(port))
            server.close()
        faults = []
        if code == 0 and counts["withheld"] > tail:
            faults.append(f"ready after {limit} of {whole} bytes")
        elif code == 0:
            pass
        elif code is None or code not in (69, 124) or "defect" in out:
            faults.append(f"{code}: {out[-300:]}")
        TABLE.add("cut conversations", f"{name}, {way} after {limit}", faults)

    # The last byte of each conversation completes readiness.
    for way, step in (("FIN", STEP), ("RST", STEP), ("silence", STEP * 4)):
        await asyncio.gather(*[cut(limit, way) for limit in range(1, whole, step)])


def main():
    # asyncio reports connections that are still open when a conversation's loop ends.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    postgres, nats = Postgres(), Nats()
    postgres.start()
    for statement in (
        "create role app login password 'pw12345'",
        "create database app owner app",
    ):
        postgres.sql(statement)
    postgres.sql(
        "create table schema_migrations (version bigint not null primary key, dirty boolean not null);"
        "insert into schema_migrations values (2, false); grant select on schema_migrations to app",
        "app",
    )
    health = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Health)
    threading.Thread(target=health.serve_forever, daemon=True).start()
    app = "postgres://app:pw12345@127.0.0.1:{}/app"
    for name, upstream, url, tail in (
        ("HTTP, JSON", health.server_address[1], "http://127.0.0.1:{}/#json=/status==UP", 0),
        ("NATS", nats.port, "nats://u:p4ssw0rd@127.0.0.1:{}", 0),
        ("NATS, JetStream", nats.port, "nats://u:p4ssw0rd@127.0.0.1:{}#jetstream", 0),
        ("PostgreSQL, SCRAM", postgres.port, app, 0),
        ("PostgreSQL, query", postgres.port, app + "#query=select true", ROLLED_BACK),
        ("migrations", postgres.port, "migrations+" + app + "#version=2", ROLLED_BACK),
    ):
        asyncio.run(conversation(name, upstream, url, tail))
    nats.stop()
    postgres.stop()
    health.shutdown()
