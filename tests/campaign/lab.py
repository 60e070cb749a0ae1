"""Measured runs of afterall, and the table of what was tried, held and lost."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BINARY = os.environ.get("AFTERALL_BINARY", str(ROOT / "target/release/afterall"))

# The product's promises, in seconds and MB.
LATE = 0.050
SIGNAL = 0.100
MEMORY = 16

# The time that a loaded machine may add to a wall-clock time, in seconds.
ROOM = 0.300
# The processor time of the main thread from a signal to the end: the promise is 10 ms on the
# runtime's thread, and ending the process costs some more. A loaded machine does not change it.
SIGNAL_CPU = 0.015
# A process that waits for one dependency has this peak, in MB, before a server sends anything.
OWN_MEMORY = 8


class Table:
    """Groups of checks. A check is held, or lost with the reasons."""

    def __init__(self):
        self.groups = {}
        self.lock = threading.Lock()

    def add(self, group, name, faults):
        """Counts one check; `faults` is a list of what was wrong."""
        with self.lock:
            tried, lost = self.groups.setdefault(group, [0, []])
            self.groups[group][0] = tried + 1
            if faults:
                lost.append(name)
                print(f"LOST {group}: {name}: {'; '.join(faults)}", flush=True)

    def merge(self, other):
        """Takes in the groups that a table in another namespace printed."""
        for group, (tried, lost) in other.items():
            known = self.groups.setdefault(group, [0, []])
            known[0] += tried
            known[1] += lost

    def show(self):
        """Prints the table. Returns whether everything held."""
        rows = [(group, tried, len(lost)) for group, (tried, lost) in self.groups.items()]
        rows.append(("all", sum(row[1] for row in rows), sum(row[2] for row in rows)))
        print(f"\n| {'what':40} | {'tried':>6} | {'held':>6} | {'lost':>4} |")
        print(f"| {'-' * 40} | {'-' * 5}: | {'-' * 5}: | {'-' * 3}: |")
        for group, tried, lost in rows:
            print(f"| {group:40} | {tried:6} | {tried - lost:6} | {lost:4} |")
        return rows[-1][2] == 0


TABLE = Table()


@dataclass
class Run:
    """How a run ended. Times are in seconds, the peak of memory is in MB."""

    code: int
    wall: float
    cpu: float
    peak: float
    out: str
    hung: bool
    faults: list = field(default_factory=list)

    def ends(self, *codes):
        """Expects one of these exit codes, and that the run ended by itself."""
        if self.hung:
            self.faults.append("hung")
        elif self.code not in codes:
            last = self.out.strip().splitlines()[-1:] or [""]
            self.faults.append(f"exit code {self.code}, not {codes}: {last[0][:300]}")
        if "defect" in self.out or "panicked" in self.out:
            self.faults.append("a defect is reported")
        return self

    def by(self, seconds):
        """Expects an end at this deadline."""
        late = self.wall - seconds - LATE - ROOM
        if late > 0:
            self.faults.append(f"{(self.wall - seconds) * 1000:.0f} ms late")
        return self

    def within(self, megabytes=MEMORY + OWN_MEMORY):
        """Expects a bounded peak of memory."""
        if self.peak > megabytes:
            self.faults.append(f"{self.peak:.0f} MB")
        return self

    def has(self, text):
        """Expects these words in the output."""
        if text not in self.out:
            self.faults.append(f"{text!r} is not in: {self.out[-300:]}")
        return self

    def check(self, group, name):
        """Counts the run."""
        TABLE.add(group, name, self.faults)


def environment(extra=None):
    """The caller's environment without what afterall would read."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AFTERALL_", "PG"))}
    return {**kept, **(extra or {})}


def defaults():
    """Signals as they are by default, whatever the caller ignores."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGPIPE, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def spawn(args, env=None, before=None, program=None, **more):
    """Starts afterall, its output in a file."""
    out = tempfile.TemporaryFile()

    def prepare():
        defaults()
        if before:
            before()

    options = dict(stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment(env))
    process = subprocess.Popen([program or BINARY, *args], preexec_fn=prepare, **{**options, **more})
    return process, out


def peak(pid):
    """The most memory that the process has had, in MB; 0 once it is gone."""
    try:
        with open(f"/proc/{pid}/status") as status:
            line = next((line for line in status if line.startswith("VmHWM")), "VmHWM: 0 kB")
        return int(line.split()[1]) / 1024
    except OSError:
        return 0


def run(args, env=None, cap=10, before=None, program=None, **more):
    """One run from start to end."""
    began = time.monotonic()
    process, out = spawn(args, env, before, program, **more)
    highest = 0
    pause = 0.005
    while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        highest = max(highest, peak(process.pid))
        if time.monotonic() - began > cap:
            process.kill()
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        time.sleep(pause)
    wall = time.monotonic() - began
    hung = wall > cap
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    out.seek(0)
    text = out.read().decode(errors="replace")
    cpu = usage.ru_utime + usage.ru_stime
    return Run(process.returncode, wall, cpu, highest, text, hung)


def on_cpu(pid):
    """The processor time of the main thread, in seconds; of a zombie too."""
    with open(f"/proc/{pid}/task/{pid}/schedstat") as stat:
        return int(stat.read().split()[0]) / 1e9


def ended_by(args, after, number=signal.SIGTERM, env=None, cap=10, cpu=SIGNAL_CPU, room=ROOM):
    """Sends a signal after so many seconds. Returns what was wrong with the end.

    `cpu` is the most processor time of the main thread until then. Where `number` is None, no
    signal is sent, and `after` is the deadline that the arguments set.
    """
    process, _ = spawn(args, env)
    time.sleep(after)
    if number is not None and process.poll() is not None:
        return [f"it ended before the signal, with {process.returncode}"]
    cause, code = ("the deadline", 124) if number is None else (signal.Signals(number).name, -number)
    faults = []
    before, began = on_cpu(process.pid), time.monotonic()
    if number is not None:
        process.send_signal(number)
    while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if time.monotonic() - began > cap:
            faults.append(f"{cause} is not obeyed within {cap} s")
            process.kill()
            break
        time.sleep(0.001)
    took = time.monotonic() - began
    if not faults:
        used = on_cpu(process.pid) - before
        if used > cpu:
            faults.append(f"{used * 1000:.0f} ms of processor time after {cause}")
        if took > SIGNAL + room:
            faults.append(f"{took * 1000:.0f} ms until {cause} was obeyed")
    ended = process.wait()
    if not faults and ended != code:
        faults.append(f"exit code {ended} after {cause}")
    return faults


def in_parallel(jobs, workers=8):
    """Runs the functions beside each other; most of their time is waiting."""
    with ThreadPoolExecutor(workers) as pool:
        for future in [pool.submit(job) for job in jobs]:
            future.result()


def known(url):
    """Whether this build has the kind of this URL."""
    plan = subprocess.run(
        [BINARY, "--print-plan", url], env=environment(), capture_output=True, text=True
    )
    return plan.returncode == 0


def scratch():
    """A directory that is removed at the end of the campaign."""
    return tempfile.mkdtemp(prefix="campaign-", dir=SCRATCH)


SCRATCH = tempfile.mkdtemp(prefix="afterall-campaign-")
os.chmod(SCRATCH, 0o755)


def clean():
    """Removes everything that the campaign wrote."""
    shutil.rmtree(SCRATCH, ignore_errors=True)


def raise_limits():
    """As many descriptors as the machine allows: the campaign holds many sockets."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def compiled(name):
    """A C program of this directory, built once."""
    target = Path(SCRATCH) / name
    if not target.exists():
        source = Path(__file__).with_name(f"{name}.c")
        subprocess.run(["cc", "-O2", "-Wall", "-o", target, source], check=True)
    return str(target)


if sys.version_info < (3, 9):
    sys.exit("tests/campaign: needs Python 3.9 or newer")
