"""A file system that never answers: every option that names a file, also as PID 1, at the start and
during the wait. A signal must end the process."""

import ctypes
import json
import os
import signal
import subprocess
import tempfile
import time

from lab import BINARY, ROOM, SIGNAL, TABLE, defaults, environment, scratch

GROUP = "a file system that never answers"
CA = "/etc/ssl/certs/ca-certificates.crt"


def mount():
    """Mounts FUSE in a namespace of our own, and answers nothing. Returns the directory."""
    libc = ctypes.CDLL(None, use_errno=True)
    directory = scratch()
    # CLONE_NEWNS; then MS_REC | MS_PRIVATE, so that nobody else meets the mount.
    failed = libc.unshare(0x20000) or libc.mount(b"none", b"/", None, 0x44000, None)
    device = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
    if failed or libc.mount(b"dead", directory.encode(), b"fuse", 0, options):
        raise OSError(ctypes.get_errno(), "mounting FUSE")
    return directory, device


def cases(directory):
    """Names, variables and arguments."""
    file = f"{directory}/f"
    postgres = "postgres://u@127.0.0.1:1/d"
    full = f"{postgres}?sslmode=verify-full&sslrootcert={CA}"
    return [
        ("ca", {}, [f"https://127.0.0.1:1/#ca={file}"]),
        ("an expansion", {}, [f"http://127.0.0.1:1/${{file:{file}}}"]),
        ("config", {}, ["-c", file]),
        ("creds", {}, [f"nats://127.0.0.1:1#creds={file}"]),
        ("passfile", {}, [f"{postgres}#passfile={file}"]),
        ("HOME", {"HOME": directory}, [f"{postgres}?sslmode=require"]),
        ("sslkey", {}, [f"{postgres}?sslmode=require&sslcert={file}&sslkey={file}"]),
        ("sslcrl", {}, [f"{full}&sslcrl={file}"]),
        ("sslcrldir", {}, [f"{full}&sslcrldir={directory}"]),
        ("PGSERVICEFILE", {"PGSERVICEFILE": file}, ["postgres://127.0.0.1:1/d?service=x"]),
        ("migrations", {}, [f"migrations+{postgres}#dir={directory}"]),
        ("a pattern of migrations", {}, [f"migrations+{postgres}#dir={directory}/*/x"]),
        ("file", {}, [f"file:{file}"]),
        ("match", {}, [f"file:{file}#match=x"]),
        ("unix", {}, [f"unix:{file}"]),
        ("http+unix", {}, [f"http+unix://{file.replace('/', '%2F')}/x"]),
        ("a socket of PostgreSQL", {}, [f"postgres:host={directory} user=u"]),
        ("exec", {}, [f"exec:{file}"]),
        ("COMMAND", {}, ["127.0.0.1:1", "--", file]),
        ("PATH", {"PATH": f"{directory}:/usr/bin:/bin"}, ["127.0.0.1:1", "--", "sleep", "1"]),
    ]


def ended(variables, args, as_pid_1):
    """Sends SIGTERM after half a second. Returns what was wrong with the end."""
    loader = ["/usr/bin/unshare", "-pf", "--kill-child"] if as_pid_1 else []
    out = tempfile.TemporaryFile()
    process = subprocess.Popen(
        [*loader, BINARY, "-q", "-t", "60s", *args],
        env=environment(variables),
        preexec_fn=defaults,
        **dict(stdin=subprocess.DEVNULL, stdout=out, stderr=out),
    )
    time.sleep(0.5)
    if process.poll() is not None:
        return [f"it ended before the signal, with {process.returncode}"]
    pid = process.pid
    if as_pid_1:
        with open(f"/proc/{pid}/task/{pid}/children") as children:
            pid = int(children.read().split()[0])
    os.kill(pid, signal.SIGTERM)
    began = time.monotonic()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        os.kill(pid, signal.SIGKILL)
        process.kill()
        process.wait()
        return ["SIGTERM is not obeyed within 5 s"]
    took = time.monotonic() - began
    return [f"{took * 1000:.0f} ms until the signal was obeyed"] if took > SIGNAL + ROOM else []


def check():
    """Runs every case, in the namespace of the mount."""
    directory, device = mount()
    for name, variables, args in cases(directory):
        for as_pid_1 in (False, True):
            role = ", as PID 1" if as_pid_1 else ""
            TABLE.add(GROUP, f"{name}{role}", ended(variables, args, as_pid_1))
    # The kernel then ends every call that still waits.
    os.close(device)


def main():
    # The mount is in the namespace of a child, which takes its part of the table back.
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        TABLE.groups = {}
        try:
            check()
            os.write(writer, json.dumps(TABLE.groups).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader) as result:
        text = result.read()
    os.waitpid(child, 0)
    if text:
        TABLE.merge({GROUP: json.loads(text)[GROUP]})
    else:
        TABLE.add(GROUP, "mounting FUSE", ["no /dev/fuse?"])
