"""Ten thousand signals at random moments around exec: each ends the wait or the command."""

import os
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor

from lab import BINARY, SIGNAL, ROOM, TABLE, compiled, defaults, environment, scratch
from servers import finish, serve

GROUP = "signals around exec"
# As PID 1, the kernel drops signals before the loader's handlers and before the command's. A C loader
# loses a third. The first line of a larger program comes 0.4 ms later, which is a twentieth of the
# signals; the rest of this difference is chance, three times its standard error.
CHANCE = 0.14
# Signals to each loader as PID 1, and the microseconds over which their moments are spread. Both
# loaders have the same moments: the fewer they are spread, the more come before the first handler.
AS_PID_1, SPREAD_AS_PID_1 = 500, 8000


def interrupt(how, number, runs, spread, command):
    """Returns the counts that interrupt.c prints."""
    shared = os.path.join(scratch(), "shared")
    arguments = [part.replace("SHARED", shared) for part in command]
    done = subprocess.run(
        [compiled("interrupt"), how, str(int(number)), str(runs), str(spread), *arguments],
        env=environment({"SHARED": shared}),
        preexec_fn=defaults,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    names = ("before", "after", "lost", "other", "held_lost", "slowest")
    return dict(zip(names, map(float, done.stdout.split())))


def spread_over(how, command):
    """Microseconds over which the moments must be spread so that many come after exec."""
    spread = 4000
    for _ in range(6):
        counts = interrupt(how, signal.SIGTERM, 60, spread, command)
        if counts["after"] >= 15:
            break
        spread *= 2
    return spread


def count(name, counts, runs, allowed=0):
    """Counts every signal of one experiment."""
    faults = []
    if counts["lost"] > allowed:
        faults.append(f"{counts['lost']:.0f} of {runs} lost")
    if counts["other"]:
        faults.append(f"{counts['other']:.0f} ended in another way")
    if counts["held_lost"]:
        faults.append(f"{counts['held_lost']:.0f} lost though they were held")
    if counts["slowest"] > (SIGNAL + ROOM) * 1000:
        faults.append(f"the slowest took {counts['slowest']:.0f} ms")
    if not counts["before"] or not counts["after"]:
        faults.append(f"no signal hit one side of exec: {counts}")
    print(f"  {name}: {counts}", flush=True)
    TABLE.add(GROUP, name, faults)
    TABLE.groups[GROUP][0] += runs - 1


def main():
    ready = [BINARY, "-q", f"127.0.0.1:{serve(finish)}"]
    pauser = compiled("pauser")
    command = [*ready, "--", pauser, "SHARED"]
    spread = spread_over("plain", command)
    for number, runs in ((signal.SIGTERM, 7000), (signal.SIGINT, 1500), (signal.SIGHUP, 1500)):
        counts = interrupt("plain", number, runs, spread, command)
        count(f"{number.name}, plain", counts, runs)
    probing = [BINARY, "-q", "exec:sleep 0.004", "exec:sleep 0.002", "--", pauser, "SHARED"]
    spread_probing = spread_over("plain", probing)
    counts = interrupt("plain", signal.SIGTERM, 1000, spread_probing, probing)
    count("SIGTERM, with exec: probes", counts, 1000)
    with ThreadPoolExecutor(2) as pool:
        # Beside each other, so that both meet the same load.
        baseline, counts = pool.map(
            lambda command: interrupt(
                "pid1", signal.SIGTERM, AS_PID_1, SPREAD_AS_PID_1, [*command, "handler"]
            ),
            ([compiled("cloader"), pauser, "SHARED"], command),
        )
    print(f"  the C loader as PID 1: {baseline}", flush=True)
    allowed = int(baseline["lost"] + CHANCE * AS_PID_1)
    count("SIGTERM, as PID 1 beside a C loader", counts, AS_PID_1, allowed)
