"""A canary in every place where a secret can enter; every byte that comes out is searched for it."""

import base64
import json
import os
import pty
import re
import socket
import struct
import subprocess
import time
import urllib.parse
from pathlib import Path

import servers as s
from lab import BINARY, TABLE, in_parallel, known, scratch

GROUP = "secrets"
CANARY = "Zq7kP9wX2mLcNRY"
MODES = ("plain", "-v", "json -v", "live", "once", "once json", "print-plan")
SOME = ("plain", "json -v", "print-plan")


def forms(canary):
    """The forms in which the canary would be recognised."""
    yield canary.encode()
    yield canary[: len(canary) // 2 + 1].encode()
    yield canary[len(canary) // 2 - 1 :].encode()
    yield canary.lower().encode()
    yield canary.upper().encode()
    yield urllib.parse.quote(canary, safe="").encode()
    yield json.dumps(canary)[1:-1].encode()
    for offset in range(3):
        yield base64.b64encode(b"x" * offset + canary.encode())[4 if offset else 0 : -4]


def on_terminal(command, environment):
    """All that it writes to a terminal."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(command[0], command, environment)
    out = b""
    try:
        while data := os.read(terminal, 65536):
            out += data
    except OSError:
        pass
    os.waitpid(pid, 0)
    os.close(terminal)
    return out


def output(mode, args, env):
    """Everything that a run in this mode says, to systemd too."""
    command = [BINARY, "-t", "350ms", *args]
    if "json" in mode:
        command += ["--format", "json"]
    if "-v" in mode:
        command.append("-v")
    if "once" in mode:
        command.append("--once")
    if mode == "print-plan":
        command.append("--print-plan")
    where = scratch()
    environment = {"PATH": os.environ["PATH"], "TERM": "xterm", "RUST_BACKTRACE": "1", **env}
    if mode == "live":
        return on_terminal([*command, "--format", "live"], environment)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(f"{where}/notify")
        notified.setblocking(False)
        environment["NOTIFY_SOCKET"] = f"{where}/notify"
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=30
        )
        out = done.stdout + done.stderr
        try:
            while True:
                out += notified.recv(65536)
        except OSError:
            return out


def search(name, out, canary=CANARY):
    """Counts one output."""
    faults = []
    for form in forms(canary):
        if form in out:
            at = out.index(form)
            faults.append(f"{out[max(0, at - 80) : at + 40]!r}")
            break
    TABLE.add(GROUP, name, faults)


# Servers that echo the client's bytes.


def http_echo(connection):
    request = connection.recv(65536)
    text = request.decode("latin1").replace("\r\n", " ")
    for word in re.findall(r"[Bb]asic (\S+)", text):
        text += " " + base64.b64decode(word).decode("latin1")
    body = json.dumps({"status": 404, "error": text, "path": text.split(" ")[1]}).encode()
    head = b"HTTP/1.1 404 %s\r\nContent-Length: %d\r\n\r\n" % (text[:100].encode(), len(body))
    connection.sendall(head + body)
    connection.recv(1)


def http_redirect(connection):
    path = connection.recv(65536).split(b" ")[1]
    to = b"Location: http://u:%s@127.0.0.1:1%s\r\n" % (CANARY.encode(), path)
    connection.sendall(b"HTTP/1.1 302 F\r\n" + to + b"Content-Length: 0\r\n\r\n")
    connection.recv(1)


def nats_echo(connection):
    connection.sendall(b'INFO {"version":"2","nonce":"abc","auth_required":true}\r\n')
    told = connection.recv(65536).split(b"CONNECT ")[1].split(b"\r\n")[0]
    values = " ".join(str(value) for value in json.loads(told).values())
    said = told.replace(b"'", b'"') + b" " + values.encode()
    connection.sendall(b"-ERR 'bad " + said + b"'\r\n")
    connection.recv(1)


def postgres_echo(connection):
    startup = s.postgres_startup(connection)
    connection.sendall(s.message(b"R", struct.pack("!I", 3)))
    _, password = s.postgres_message(connection)
    said = password.rstrip(b"\0") + b" " + startup[8:].replace(b"\0", b" ")
    fields = b"SFATAL\0VFATAL\0C28P01\0M" + said + b"\0D" + said + b"\0H" + said + b"\0\0"
    connection.sendall(s.message(b"E", fields))


def postgres_echo_query(connection):
    s.postgres_startup(connection)
    connection.sendall(s.LOGIN)
    while True:
        tag, body = s.postgres_message(connection)
        if tag == b"Q":
            connection.sendall(s.message(b"C", b"BEGIN\0") + s.READY)
        if tag == b"P":
            said = b"syntax error at " + body.replace(b"\0", b" ")
            connection.sendall(s.message(b"E", b"SERROR\0VERROR\0C42601\0M" + said + b"\0\0"))
        if tag == b"S":
            connection.sendall(s.READY)


def line_echo(connection):
    """Sends back every word, in errors of Redis and memcached."""
    while told := connection.recv(65536):
        connection.sendall(b"-ERR " + told.replace(b"\r\n", b" ") + b"\r\n")


def raw_echo(connection):
    """Sends back every byte."""
    while told := connection.recv(65536):
        connection.sendall(told)


def entries():
    """(name, arguments, environment, modes) of every place where a secret can enter."""
    handlers = (http_echo, http_redirect, nats_echo, postgres_echo, postgres_echo_query, line_echo, raw_echo)
    at = {handler.__name__: s.serve(handler) for handler in handlers}
    where = Path(scratch())
    (where / "secret").write_text(CANARY + "\n")
    (where / "passfile").write_text(f"127.0.0.1:*:*:*:{CANARY}\n")
    (where / "passfile").chmod(0o600)
    (where / "services").write_text(
        f"[s]\nhost=127.0.0.1\nport={at['postgres_echo']}\nuser=u\npassword={CANARY}\ndbname=d\n"
    )
    hosts = {
        "postgres": [at["postgres_echo"], 1],
        "migrations+postgres": [at["postgres_echo"]],
        "nats": [at["nats_echo"], at["raw_echo"], 1],
        "http": [at["http_echo"], at["raw_echo"], 1],
        "redis": [at["line_echo"]],
        "mysql": [at["raw_echo"]],
        "amqp": [at["raw_echo"]],
        "mongodb": [at["raw_echo"]],
        "grpc": [at["raw_echo"]],
    }
    for scheme, ports in hosts.items():
        path = "" if scheme in ("nats", "redis", "http", "grpc") else "/d"
        if not known(f"{scheme}://u:p@127.0.0.1:1{path}"):
            continue
        for port in ports:
            url = f"{scheme}://usr:{{}}@127.0.0.1:{port}{path}"
            yield f"{scheme}: password", [url.format(CANARY)], {}, MODES
            yield f"{scheme}: ${{V}}", [url.format("${V}")], {"V": CANARY}, SOME
            yield f"{scheme}: env:V", ["env:V"], {"V": url.format(CANARY)}, MODES
            yield f"{scheme}: ${{file:}}", [url.format(f"${{file:{where}/secret}}")], {}, SOME
    web, bus, db = at["http_echo"], at["nats_echo"], at["postgres_echo"]
    odd = {"V": CANARY}
    for keys in (f"bearer={CANARY}", f"header=X-Key: {CANARY}", f"user=u,password={CANARY}"):
        yield f"http: {keys.split('=')[0]}", [f"http://127.0.0.1:{web}/#{keys}"], {}, MODES
    for url in (f"/a?key={CANARY}", "/hook/${V}", "/hook/${V}/x?${V}#json=/${V}"):
        yield f"http: {url[:9]}", [f"http://127.0.0.1:{web}{url}"], odd, MODES
    for redirects in (0, 2):
        url = f"http://127.0.0.1:{at['http_redirect']}/#redirects={redirects}"
        yield f"http: userinfo of a redirect, {redirects}", [url], {}, SOME
    yield "http: proxy", [f"http://db/#proxy=http://u:{CANARY}@127.0.0.1:{web}"], {}, MODES
    proxy = {"http_proxy": f"http://u:{CANARY}@127.0.0.1:{web}"}
    yield "http: proxy=env", ["http://db/#proxy=env"], proxy, SOME
    for keys in (f"token={CANARY}", f"user=u,password={CANARY}"):
        yield f"nats: {keys.split('=')[0]}", [f"nats://127.0.0.1:{bus}#{keys}"], {}, MODES
    for key in ("creds", "nkey", "ca"):
        yield f"nats: {key} is the secret", [f"nats://127.0.0.1:{bus}#{key}=${{V}}"], odd, SOME
        yield f"nats: {key} file", [f"nats://127.0.0.1:{bus}#{key}={where}/secret"], {}, SOME
    url = f"postgres://u@127.0.0.1:{db}/d"
    yield "PGPASSWORD", [url], {"PGPASSWORD": CANARY}, MODES
    yield "PGPASSFILE", [url], {"PGPASSFILE": f"{where}/passfile"}, SOME
    yield "passfile", [f"{url}#passfile={where}/passfile"], {}, SOME
    yield "service", ["postgres:service=s"], {"PGSERVICEFILE": f"{where}/services"}, SOME
    query = f"postgres://u@127.0.0.1:{at['postgres_echo_query']}/d#query=select f('${{V}}')"
    yield "postgres: query", [query], odd, MODES
    for script in ("echo wrong $0 >&2; exit 1' ${V}", "echo ${V} >&2; exit 1'"):
        yield "exec:", [f"exec:sh -c '{script}"], odd, SOME
    url = {"DATABASE_URL": f"postgres://u:{CANARY}@h/d"}
    yield "exec: a URL", ["exec:sh -c 'echo wrong $0 >&2; exit 1' ${DATABASE_URL}"], url, SOME


WRONG = [
    "postgres://u:{}@h:x/d", "postgres://u:{}/{}@h/d", "postgres://u:{}#{}@h/d",
    "postgres://u:p@h/d?password={}&nope=1", "postgres:host=h passwrd={}",
    "postgres:host=h password={} x", "postgres:password='{}", "nats://u:{}@h:99999",
    "http://u:{}@h:99999/", "http://u:{}%zz@h/", "http://h/#bearer={}\x01", "http://u:x@h/#bearer={}",
    "postgres://u:{}@h/d#password=2", "nats://u:{}@h#token=x", "redis://:{}@h:x", "ecto://u:{}@h:x/d",
    "jdbc:postgresql://h:x/d?password={}", "postgres:Host=h;Password={};Nope=1",
    "http+unix://u:{}@%2Fx/y", "postgres://u:{}\n@h/d", "http://h/#proxy=ftp://u:{}@x",
    "nats://u:{}@h/x?x", "tcp://u:{}@h:1", "mysql://u:{}@h:x/d", "amqp://u:{}@h:x",
]  # fmt: skip


def wrong():
    """Declarations that are rejected, in four ways of giving them."""
    for number, template in enumerate(WRONG):
        text = template.replace("{}", CANARY)
        config = Path(scratch()) / "config"
        config.write_text("[dependency.a]\nurl = " + json.dumps(text) + "\n")
        name = f"rejected: {template[:24]!r}"
        yield f"{name}, argument", [text], {}, ("plain",)
        yield f"{name}, env:V", ["env:V"], {"V": text}, ("plain", "print-plan")
        yield f"{name}, variable", [], {"AFTERALL_DEPENDENCIES": text}, ("plain",)
        yield f"{name}, file", ["-c", str(config)], {}, ("plain",)


def command_line():
    """What /proc shows of a waiting process."""
    args = [BINARY, "-q", "-t", "5s", "postgres://u:${V}@127.0.0.1:1/d"]
    process = subprocess.Popen(
        args, env={"PATH": "/bin", "V": CANARY}, stderr=subprocess.DEVNULL
    )
    time.sleep(0.3)
    search("/proc/PID/cmdline", Path(f"/proc/{process.pid}/cmdline").read_bytes())
    process.kill()
    process.wait()


def main():
    jobs = []
    for name, args, env, modes in [*entries(), *wrong()]:
        for mode in modes:
            jobs.append(
                lambda name=name, args=args, env=env, mode=mode: search(
                    f"{name}, {mode}", output(mode, args, env)
                )
            )
    # pty.fork in several threads is not safe: the children of one inherit the other's terminal.
    live = [job for job in jobs if job.__defaults__[3] == "live"]
    for job in live:
        job()
    in_parallel([job for job in jobs if job not in live])
    command_line()
