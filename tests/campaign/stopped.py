"""SIGSTOP: of afterall itself, and of real servers."""

import os
import signal
import socket
import time

from lab import TABLE, spawn
from real import Nats, Postgres
from servers import refusing

GROUP = "stopped and continued"


def ended(process, out, began):
    """Exit code, seconds and output."""
    code = process.wait(30)
    out.seek(0)
    return code, time.monotonic() - began, out.read().decode(errors="replace")


def ourselves(name, timeout, pause, expected):
    """Stops afterall for a while. Its clock runs on."""
    began = time.monotonic()
    process, out = spawn(["-t", f"{timeout}s", f"127.0.0.1:{refusing()}"])
    time.sleep(0.3)
    process.send_signal(signal.SIGSTOP)
    time.sleep(pause)
    process.send_signal(signal.SIGCONT)
    code, took, text = ended(process, out, began)
    late = took - expected
    faults = [] if code == 124 else [f"{code}: {text}"]
    if not -0.1 < late < 0.5:
        faults.append(f"it ended after {took:.2f} s, not {expected:.1f} s")
    TABLE.add(GROUP, name, faults)


def ready_meanwhile():
    """A port that opens while afterall is stopped beyond its deadline is found by a last attempt."""
    port = refusing()
    process, out = spawn(["-t", "2s", f"127.0.0.1:{port}"])
    began = time.monotonic()
    time.sleep(0.3)
    process.send_signal(signal.SIGSTOP)
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", port))
        server.listen()
        time.sleep(2.5)
        process.send_signal(signal.SIGCONT)
        code, _, text = ended(process, out, began)
    # Its time is over. Either answer is right, but it must come at once.
    TABLE.add(GROUP, "ready while stopped over the deadline", [] if code in (0, 124) else [text])


def server(name, pids, url):
    """A server that is frozen when the wait begins, and then continues."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    process, out = spawn(["-t", "20s", "--attempt-timeout", "1s", url])
    time.sleep(2.5)
    faults = [] if process.poll() is None else [f"ended with {process.returncode}"]
    continued = time.monotonic()
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    code, took, text = ended(process, out, continued)
    if code != 0:
        faults.append(f"{code}: {text}")
    # An attempt that began against the frozen server may end by its own bound first.
    if took > 3:
        faults.append(f"found {took:.1f} s after the server continued")
    TABLE.add(GROUP, name, faults)


def main():
    ourselves("afterall, within its time", 4, 2, 4)
    ourselves("afterall, over its deadline", 1, 2, 2.3)
    ready_meanwhile()
    postgres, nats = Postgres(), Nats()
    postgres.start()
    postgres.sql("create role app login password 'pw12345'")
    postgres.sql("create database app owner app")
    app = f"postgres://app:pw12345@127.0.0.1:{postgres.port}/app"
    main_pid = postgres.process.pid
    server("PostgreSQL", [main_pid], app)
    server("PostgreSQL, query", [main_pid], app + "#query=select true")
    server("nats-server", [nats.process.pid], f"nats://u:p4ssw0rd@127.0.0.1:{nats.port}")
    postgres.stop()
    nats.stop()
