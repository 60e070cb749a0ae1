#!/usr/bin/env python3
"""A fleet of waiters on one PostgreSQL that starts late, crashes, and gets its role and database late.

    tests/campaign/fleet.py HOW WAITERS    prints a row for docs/fleets.md
    tests/campaign/fleet.py table          prints all rows, in at most 15 minutes

HOW is `default`, `settings` (those of docs/fleets.md), `pg_isready` or `psql` (shell loops).
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
from lab import BINARY, TABLE, compiled, environment, scratch
from real import Postgres, wait_until

GROUP = "a fleet on one PostgreSQL"
SETTINGS = {
    "AFTERALL_INTERVAL": "1s",
    "AFTERALL_MAX_INTERVAL": "10s",
    "AFTERALL_JITTER": "30%",
    "AFTERALL_TIMEOUT": "15m",
    "AFTERALL_ATTEMPT_TIMEOUT": "10s",
}
WAYS = {
    "settings": "afterall, settings",
    "default": "afterall",
    "psql": "shell loop, `psql` each second",
    "pg_isready": "shell loop, `pg_isready` each second",
}
ROWS = [(how, count) for count in (1000, 200) for how in WAYS]
HEAD = [
    "waiters",
    "how",
    "no role yet, first 5 s",
    "no role yet, after 15 s",
    "after the crash",
    "started too early",
    "all started",
    "first / median / p95 / last after the database appeared",
    "server's CPU until then",
]
# How long all waiters may take to start once they can, in seconds.
LAST_START = 70
TICK = os.sysconf("SC_CLK_TCK")


def prefer(yes):
    """Lets this script, and what it starts from now on, go before everything else on the machine.

    The waiters of a real fleet have machines of their own. Here a thousand clients would take the
    server's processor time, and its start alone would last minutes.
    """
    how, priority = (os.SCHED_RR, 1) if yes else (os.SCHED_OTHER, 0)
    try:
        os.sched_setscheduler(0, how, os.sched_param(priority))
    except PermissionError:
        sys.exit("tests/campaign: must run as root, so that the server goes before its waiters")


def server_cpu(postgres):
    """Seconds that the server and its ended children have used."""
    fields = Path(f"/proc/{postgres.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(int(field) for field in fields[11:15]) / TICK


class Fleet:
    """Waiters that each note in one file when their command began."""

    def __init__(self, how, count):
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
        loop = loops.get(how, "")
        command = started if loop else [BINARY, "-q", url, "--", *started]
        # Each waiter first waits for the end of a pipe: all begin together, on an idle machine.
        script = f'read -r _; exec </dev/null; {loop}\nexec "$@"'
        settings = SETTINGS if how == "settings" else {"AFTERALL_TIMEOUT": "15m"}
        env = environment({**settings, "STAMPS": str(self.starts)})
        gate, self.gate = os.pipe()
        quiet = dict(stdin=gate, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.waiters = [
            subprocess.Popen(["sh", "-c", script, "sh", *command], env=env, start_new_session=True, **quiet)
            for _ in range(count)
        ]
        os.close(gate)

    def begin(self):
        """Lets all waiters begin."""
        os.close(self.gate)

    def started(self):
        """How many commands have begun."""
        return self.starts.stat().st_size // 8

    def phase(self, seconds):
        """Lets time pass. Returns connections, FATAL lines and the server's CPU, a second each."""
        before, cpu = self.postgres.log.stat().st_size, server_cpu(self.postgres)
        began = time.monotonic()
        time.sleep(seconds)
        took = time.monotonic() - began
        used = (server_cpu(self.postgres) - cpu) / took
        text = self.postgres.log.read_bytes()[before:]
        return text.count(b"connection received") / took, text.count(b"FATAL:") / took, used

    def end(self):
        """Kills what is left, and the clients of the loops."""
        for waiter in self.waiters:
            os.killpg(waiter.pid, signal.SIGKILL)
        for waiter in self.waiters:
            waiter.wait()
        self.postgres.stop()


def measure(how, count):
    """Runs one fleet. Returns everything that was measured."""
    fleet = Fleet(how, count)
    prefer(True)
    try:
        return watch(fleet, count)
    finally:
        fleet.end()
        prefer(False)


def watch(fleet, count):
    """Starts the server, ends it, starts it again, and makes its role and database."""
    postgres = fleet.postgres
    fleet.begin()
    time.sleep(3)
    postgres.start()
    wait_until("PostgreSQL answers", lambda: "ready to accept" in postgres.log.read_text())
    first = fleet.phase(5)
    time.sleep(10)
    later = fleet.phase(5)
    postgres.stop(signal.SIGQUIT)
    time.sleep(2)
    postgres.start()
    again = fleet.phase(5)
    early = fleet.started()
    postgres.sql("create role app login password 'pw'")
    cpu = server_cpu(postgres)
    postgres.sql("create database app owner app")
    ready = time.clock_gettime(time.CLOCK_MONOTONIC)
    until = time.monotonic() + LAST_START
    while fleet.started() < count and time.monotonic() < until:
        time.sleep(0.05)
    used = server_cpu(postgres) - cpu
    stamps = struct.iter_unpack("q", fleet.starts.read_bytes())
    starts = sorted(stamp[0] / 1e9 - ready for stamp in stamps)
    return {"phases": [first, later, again], "early": early, "starts": starts, "cpu": used}


def row(how, count, measured):
    """A row of the table in docs/fleets.md."""
    starts = measured["starts"]
    phases = [
        f"{connections:.0f}, {lines:.0f}, {cpu * 100:.0f}%"
        for connections, lines, cpu in measured["phases"]
    ]
    at = lambda share: starts[min(len(starts) - 1, int(len(starts) * share))]  # noqa: E731
    times = " / ".join(f"{at(share):.1f}" for share in (0, 0.5, 0.95, 1)) if starts else "-"
    cells = [count, WAYS[how], *phases, measured["early"], len(starts), f"{times} s"]
    return line([*cells, f"{measured['cpu']:.1f} s"])


def line(cells):
    """A line of a table."""
    return f"| {' | '.join(map(str, cells))} |"


def table():
    """Prints all rows."""
    print(line(HEAD))
    print(line("---:" if name != "how" else "---" for name in HEAD), flush=True)
    for how, count in ROWS:
        print(row(how, count, measure(how, count)), flush=True)


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
        "the log grows by at most 2 lines a second and waiter": measured["phases"][0][1] < 2.2 * count,
    }
    for name, holds in checks.items():
        TABLE.add(GROUP, name, [] if holds else [row("default", count, measured)])


if __name__ == "__main__":
    is_row = len(sys.argv) == 3 and sys.argv[1] in WAYS and re.fullmatch(r"\d+", sys.argv[2])
    if not is_row and sys.argv[1:] != ["table"]:
        sys.exit(__doc__)
    lab.raise_limits()
    try:
        if is_row:
            print(row(sys.argv[1], int(sys.argv[2]), measure(sys.argv[1], int(sys.argv[2]))))
        else:
            table()
    finally:
        lab.clean()
