"""Limits and odd surroundings: descriptors, processes, memory, disk, /proc, closed and unread streams."""

import os
import resource
import subprocess

from lab import BINARY, TABLE, ended_by, environment, run, scratch

GROUP = "limits and surroundings"


def limit(which, value):
    """For the child: a soft and hard limit."""
    return lambda: resource.setrlimit(which, (value, value))


def unprivileged_without_processes():
    """For the child: another user, who may start no process and no thread."""
    os.setgroups([])
    os.setgid(65533)
    os.setuid(65533)
    resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))


def shell(script, *args):
    """Runs afterall below a shell script, in which it is `$0`."""
    return run(["-c", script, BINARY, *args], program="/bin/bash")


def descriptors():
    many = [f"t{n}=tcp://127.0.0.1:{n}" for n in range(1, 61)]
    files = lambda n: limit(resource.RLIMIT_NOFILE, n)  # noqa: E731
    run(["-t", "1s", "127.0.0.1:1"], before=files(10)).ends(64).check(GROUP, "10 descriptors")
    for count, args in ((16, ["127.0.0.1:1"]), (32, many), (20, ["e=exec:false", "f=exec:false"])):
        ended = run(["-t", "1s", *args], before=files(count))
        ended.ends(124).by(1).check(GROUP, f"{count} descriptors, {len(args)} dependencies")


def inherit_many():
    """For the child: 25 inherited descriptors of 32."""
    for number in range(5, 30):
        os.dup2(0, number)
    resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))


def processes():
    before = unprivileged_without_processes
    for args in (["localhost:1", "dns:localhost"], ["http://localhost:1/"], ["exec:/bin/true"]):
        ended = run(["-t", "1s", "--fail-fast", "protocol", *args], before=before)
        name = f"no thread and no process: {args[0]}"
        # Both outcomes are right: a name that needs no thread may be found, and a port may refuse.
        ended.ends(124).by(1).check(GROUP, name)


def memory():
    for megabytes in (10, 20, 40, 100):
        space = limit(resource.RLIMIT_AS, megabytes << 20)
        ended = run(["-t", "1s", "postgres://u:p@127.0.0.1:1/d", "https://localhost:2"], before=space)
        # The loader itself may not start in so little memory: 127. No other outcome is allowed.
        ended.ends(124, 127).check(GROUP, f"{megabytes} MB of address space")
    stack = limit(resource.RLIMIT_STACK, 128 << 10)
    run(["-t", "1s", "127.0.0.1:1"], before=stack).ends(124).by(1).check(GROUP, "128 KiB of stack")


def streams():
    many = " ".join(f"t{n}=tcp://127.0.0.1:{n}" for n in range(1, 61))
    for name, script, codes in (
        ("stderr is full", 'exec "$0" -t 1s 127.0.0.1:1 2>/dev/full', (124,)),
        ("stdout is full, --once", 'exec "$0" --once 127.0.0.1:1 >/dev/full', (69, 74)),
        ("stdout is full, --help", 'exec "$0" --help >/dev/full', (1, 74)),
        ("no stdin, stdout, stderr", 'exec "$0" -t 1s 127.0.0.1:1 0<&- 1>&- 2>&-', (124,)),
        (
            "a pipe that nobody reads",
            f'mkfifo p; sleep 3 <>p & exec "$0" -v -t 1s {many} 2>p',
            (124,),
        ),
        ("a file of no bytes", 'ulimit -f 0; exec "$0" -t 1s 127.0.0.1:1 2>f', (124,)),
        ("a directory that is gone", 'mkdir g; cd g; rmdir ../g; exec "$0" -t 1s 127.0.0.1:1', (124,)),
    ):
        where = scratch()
        ended = shell(f"cd {where}; {script}")
        ended.ends(*codes).by(1).check(GROUP, name)


def namespaces():
    full = scratch()
    for name, script in (
        ("no /proc", 'umount -l /proc; exec "$0" -t 1s 127.0.0.1:1 localhost:2'),
        (
            "a read-only root, an unknown user, no HOME",
            "mount -o remount,ro,bind /;"
            'exec setpriv --reuid=77777 --regid=77777 --clear-groups env -i "$0" -t 1s postgres://u@127.0.0.1:1/d',
        ),
        (
            "a full disk",
            f"mount -t tmpfs -o size=16k t {full}; cd {full}; cat /dev/zero >x 2>/dev/null;"
            'exec "$0" -t 1s 127.0.0.1:1 2>err',
        ),
    ):
        args = ["-m", "--propagation", "private", "bash", "-c", script, BINARY]
        run(args, program="/usr/bin/unshare").ends(124).check(GROUP, name)


def no_core():
    """A crash of the wait must not write its memory, which holds passwords, to a file."""
    where = scratch()
    for name in ("ABRT", "SEGV", "TRAP", "SYS", "QUIT"):
        script = f'cd {where}; ulimit -c unlimited; "$0" -q -t 9s postgres://u:CANARY@127.0.0.1:1/d & p=$!; sleep 0.3; kill -{name} $p; wait $p; ls core* 2>/dev/null'
        out = subprocess.run(
            ["bash", "-m", "-c", script, BINARY], env=environment(), capture_output=True, text=True
        )
        faults = [f"a core file: {out.stdout}"] if "core" in out.stdout else []
        TABLE.add(GROUP, f"no core after SIG{name}", faults)


def main():
    descriptors()
    run(["-t", "1s", "127.0.0.1:1"], before=inherit_many, close_fds=False).ends(124).check(
        GROUP, "32 descriptors, 25 of them inherited"
    )
    processes()
    memory()
    streams()
    namespaces()
    no_core()
    probes = [f"e{n}=exec:sleep 60" for n in range(200)]
    faults = ended_by(["-t", "60s", "--attempt-timeout", "50s", *probes], after=2)
    # Two hundred processes are killed and reaped: that is more than a signal alone costs.
    faults = [fault for fault in faults if "processor time" not in fault]
    TABLE.add(GROUP, "SIGTERM with 200 exec: probes", faults)
    ended = run(["-t", "2s", *[f"e{n}=exec:sleep 60" for n in range(200)]])
    ended.ends(124).by(2).check(GROUP, "a deadline with 200 exec: probes")
