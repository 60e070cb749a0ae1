#!/usr/bin/env python3
"""A fleet of waiters on one PostgreSQL that starts late, crashes, and gets its role and database late.

    tests/campaign/fleet.py HOW WAITERS    prints a row for docs/fleets.md

HOW is `default`, `fleet` (the settings of docs/fleets.md), `pg_isready` or `psql` (shell loops).
"""

import os
import re
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import lab
from lab import BINARY, TABLE, compiled, defaults, environment, scratch
from real import Postgres, wait_until

GROUP = "a fleet on one PostgreSQL"
FLEET = {
    "AFTERALL_INTERVAL": "1s",
    "AFTERALL_MAX_INTERVAL": "10s",
    "AFTERALL_JITTER": "30%",
    "AFTERALL_TIMEOUT": "15m",
    "AFTERALL_ATTEMPT_TIMEOUT": "10s",
}
TICK = os.sysconf("SC_CLK_TCK")


def server_cpu(postgres):
    """Seconds that the server and its ended children have used."""
    fields = Path(f"/proc/{postgres.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(int(field) for field in fields[11:15]) / TICK


class Fleet:
    """Waiters that each note in one file when their command began."""

    def __init__(self, how, count):
        self.count = count
        self.starts = Path(scratch()) / "starts"
        self.starts.touch()
        self.postgres = Postgres(["max_connections = 100", "log_connections = on"])
        port, programs = self.postgres.port, self.postgres.programs
        started = [compiled("stamp")]
        url = f"db=postgres://app:pw@127.0.0.1:{port}/app"
        loops = {
            "pg_isready": f"until {programs}/pg_isready -q -h 127.0.0.1 -p {port}; do sleep 1; done",
            "psql": f"until PGPASSWORD=pw {programs}/psql -qAtc 'select 1'"
            f" 'host=127.0.0.1 port={port} user=app dbname=app' >/dev/null 2>&1; do sleep 1; done",
        }
        command = [BINARY, "-q", url, "--", *started]
        if how in loops:
            command = ["sh", "-c", f'{loops[how]}; exec "$0"', *started]
        settings = FLEET if how == "fleet" else {"AFTERALL_TIMEOUT": "5m"}
        env = environment({**settings, "STAMPS": str(self.starts)})
        quiet = dict(stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.waiters = [
            subprocess.Popen(command, env=env, preexec_fn=defaults, **quiet) for _ in range(count)
        ]

    def started(self):
        """How many commands have begun."""
        return self.starts.stat().st_size // 8

    def phase(self, seconds):
        """Lets time pass. Returns connections, FATAL lines and the server's CPU, a second each."""
        before, cpu = self.postgres.log.stat().st_size, server_cpu(self.postgres)
        began = time.monotonic()
        time.sleep(seconds)
        took = time.monotonic() - began
        text = self.postgres.log.read_text(errors="replace")[before:]
        used = (server_cpu(self.postgres) - cpu) / took
        return text.count("connection received") / took, text.count("FATAL:") / took, used

    def end(self):
        """Kills what is left."""
        for waiter in self.waiters:
            waiter.kill()
            waiter.wait()
        self.postgres.stop()


def measure(how, count):
    """Runs one fleet. Returns everything that was measured."""
    fleet = Fleet(how, count)
    postgres = fleet.postgres
    time.sleep(3)
    postgres.start()
    wait_until("PostgreSQL answers", lambda: "ready to accept" in postgres.log.read_text())
    no_role = fleet.phase(8)
    postgres.stop(signal.SIGQUIT)
    time.sleep(2)
    postgres.start()
    again = fleet.phase(8)
    early = fleet.started()
    postgres.sql("create role app login password 'pw'")
    cpu = server_cpu(postgres)
    postgres.sql("create database app owner app")
    ready = time.clock_gettime(time.CLOCK_MONOTONIC)
    until = time.monotonic() + 90
    while fleet.started() < count and time.monotonic() < until:
        time.sleep(0.05)
    used = server_cpu(postgres) - cpu
    stamps = struct.iter_unpack("q", fleet.starts.read_bytes())
    starts = sorted(stamp[0] / 1e9 - ready for stamp in stamps)
    fleet.end()
    return {"no_role": no_role, "again": again, "early": early, "starts": starts, "cpu": used}


def row(how, count, measured):
    """A row of the table in docs/fleets.md."""
    starts = measured["starts"]
    connections, lines, cpu = measured["no_role"]
    at = lambda share: starts[min(len(starts) - 1, int(len(starts) * share))]  # noqa: E731
    times = " / ".join(f"{at(share):.1f}" for share in (0, 0.5, 0.95, 1)) if starts else "-"
    return (
        f"| {count} | {how} | {connections:.0f} | {lines:.0f} | {cpu * 100:.0f}% "
        f"| {measured['early']} | {len(starts)} | {times} s | {measured['cpu']:.1f} s |"
    )


def main():
    count = 200
    measured = measure("default", count)
    print("  " + row("default", count, measured), flush=True)
    starts = measured["starts"]
    checks = {
        "none starts early": measured["early"] == 0,
        "all start": len(starts) == count,
        # max-interval is 1 s; the logins of 200 waiters queue for the cores. The rest is for load.
        "the last starts within 15 s": bool(starts) and starts[-1] < 15,
        # An attempt that leaves a line in the log is repeated after 500 ms, later after 1 s.
        "the log grows by at most 2 lines a second and waiter": measured["no_role"][1] < 2.2 * count,
    }
    for name, holds in checks.items():
        TABLE.add(GROUP, name, [] if holds else [row("default", count, measured)])


if __name__ == "__main__":
    if len(sys.argv) != 3 or not re.fullmatch(r"\d+", sys.argv[2]):
        sys.exit(__doc__)
    lab.raise_limits()
    try:
        print(row(sys.argv[1], int(sys.argv[2]), measure(sys.argv[1], int(sys.argv[2]))))
    finally:
        lab.clean()
