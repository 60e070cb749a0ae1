"""The fault matrix: every kind against every way in which a server can be broken."""

import servers as s
from lab import in_parallel, known, run

KINDS = {
    "postgres": "postgres://u:pw@127.0.0.1:{}/d",
    "postgres tls": "postgres://u:pw@127.0.0.1:{}/d?sslmode=require",
    "postgres query": "postgres://u:pw@127.0.0.1:{}/d#query=select true",
    "migrations": "migrations+postgres://u:pw@127.0.0.1:{}/d",
    "nats": "nats://127.0.0.1:{}",
    "nats tls": "tls://127.0.0.1:{}#insecure",
    "http": "http://127.0.0.1:{}/x#match=x",
    "https": "https://127.0.0.1:{}/x#insecure",
    "redis": "redis://:pw@127.0.0.1:{}",
    "redis tls": "rediss://:pw@127.0.0.1:{}#insecure",
    "mysql": "mysql://u:pw@127.0.0.1:{}/d",
    "migrations mysql": "migrations+mysql://u:pw@127.0.0.1:{}/d",
    "grpc": "grpc://127.0.0.1:{}",
    "grpc tls": "grpcs://127.0.0.1:{}#insecure",
    "amqp": "amqp://u:pw@127.0.0.1:{}",
    "amqp tls": "amqps://u:pw@127.0.0.1:{}#insecure",
    "memcached": "memcached://127.0.0.1:{}",
    "mongodb": "mongodb://127.0.0.1:{}",
    "kafka": "kafka://127.0.0.1:{}",
}

FAULTS = {
    "silent": s.silent,
    "RST": s.reset,
    "FIN": s.finish,
    "RST after the first words": s.reset_after_reading,
    "garbage": s.garbage,
    "never reads": s.never_reads,
}

TLS_FAULTS = {
    "half TLS": s.half_tls,
    "TLS garbage": s.tls_garbage,
    "TLS alert": s.tls_alert,
    "TLS in records of one byte": s.tls_tiny_records,
    "endless ChangeCipherSpec": s.tls_change_cipher,
}

INVITATION = {"postgres tls": b"S", "nats tls": b'INFO {"tls_required":true,"version":"2"}\r\n'}


def main():
    kinds = {kind: url for kind, url in KINDS.items() if known(url.format(1))}
    dead, full = s.refusing(), s.full()
    jobs = []

    def job(name, port, url):
        def one():
            ended = run(["-t", "1s", url.format(port)])
            ended.ends(124).by(1).within().check("faults", name)

        jobs.append(one)

    for kind, url in kinds.items():
        job(f"refused, {kind}", dead, url)
        job(f"full backlog, {kind}", full, url)
        for fault, handler in FAULTS.items():
            job(f"{fault}, {kind}", s.serve(handler), url)
        greeting = s.GREETINGS.get(kind.split()[0])
        if greeting and "tls" not in kind:
            job(f"a byte a second, {kind}", s.serve(s.drip(greeting)), url)
        if "tls" in kind or kind == "https":
            for fault, handler in TLS_FAULTS.items():
                handler = s.after(INVITATION.get(kind, b""), handler)
                job(f"{fault}, {kind}", s.serve(handler), url)
    in_parallel(jobs)
