"""The real servers of the campaign, each in a directory of its own, killed with the campaign."""

import ctypes
import glob
import os
import pwd
import signal
import socket
import subprocess
import time
from pathlib import Path

from lab import scratch
from servers import refusing

# PostgreSQL refuses to run as root.
USER = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name


def dies_with_us():
    """The server gets SIGKILL when the campaign ends, however it ends."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def as_user():
    """Becomes the server's user."""
    entry = pwd.getpwnam(USER)
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)
    dies_with_us()


def wait_until(what, condition, seconds=60):
    """Waits for a condition."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError(f"waited {seconds} s in vain: {what}")
        time.sleep(0.02)


class Postgres:
    """A PostgreSQL with the role `super`, who is trusted on the Unix socket."""

    def __init__(self, lines=()):
        programs = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
        if not programs:
            raise SystemExit("tests/campaign: PostgreSQL is missing: apt-get install postgresql")
        self.programs = programs[-1]
        self.dir = Path(scratch())
        os.chmod(self.dir, 0o755)
        self.data = self.dir / "data"
        self.log = self.dir / "log"
        self.port = refusing()
        self.process = None
        for path in (self.data, self.dir / "socket"):
            path.mkdir(mode=0o700)
            if os.geteuid() == 0:
                os.chown(path, pwd.getpwnam(USER).pw_uid, -1)
        initdb = ["-U", "super", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "-D", self.data]
        self.call("initdb", *initdb)
        own = [
            "listen_addresses = '127.0.0.1'",
            f"port = {self.port}",
            f"unix_socket_directories = '{self.dir}/socket'",
            "fsync = off",
            "password_encryption = scram-sha-256",
            "dynamic_shared_memory_type = mmap",
        ]
        with open(self.data / "postgresql.conf", "a") as conf:
            conf.write("\n".join([*own, *lines]) + "\n")
        access = "local all super trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
        (self.data / "pg_hba.conf").write_text(access)

    def call(self, program, *args):
        """Runs one of the server's programs to its end."""
        command = [f"{self.programs}/{program}", *args]
        subprocess.run(command, check=True, capture_output=True, preexec_fn=as_user, cwd="/")

    def start(self):
        """Starts it, without waiting."""
        log = open(self.log, "a")
        command = [f"{self.programs}/postgres", "-D", self.data]
        self.process = subprocess.Popen(
            command, stdout=log, stderr=log, preexec_fn=as_user, cwd="/"
        )

    def sql(self, text, database="postgres"):
        """Runs SQL as the superuser. Waits for the server where it starts."""
        command = [f"{self.programs}/psql", "-X", "-qAt", "-v", "ON_ERROR_STOP=1"]
        command += ["-h", f"{self.dir}/socket", "-p", str(self.port), "-U", "super", "-c", text, database]
        done = []

        def attempt():
            result = subprocess.run(command, capture_output=True, text=True)
            # psql ends with 2 where there is no connection.
            if result.returncode not in (0, 2):
                raise SystemExit(f"{text}: {result.stderr}")
            done[:] = [result.stdout.strip()]
            return result.returncode == 0

        wait_until("PostgreSQL takes the superuser", attempt)
        return done[0]

    def stop(self, how=signal.SIGINT):
        """Stops it: SIGINT is the fast shutdown, SIGQUIT a crash."""
        self.process.send_signal(how)
        self.process.wait()
        self.process = None


class Nats:
    """A nats-server with the user `u` and JetStream."""

    def __init__(self):
        self.dir = Path(scratch())
        self.port = refusing()
        (self.dir / "conf").write_text(
            f"listen: 127.0.0.1:{self.port}\nauthorization {{ user: u, password: p4ssw0rd }}\n"
            f"jetstream {{ store_dir: {self.dir}/js }}\n"
        )
        log = open(self.dir / "log", "a")
        self.process = subprocess.Popen(
            ["nats-server", "-c", self.dir / "conf"], stdout=log, stderr=log, preexec_fn=dies_with_us
        )
        wait_until("nats-server listens", self.listens)

    def listens(self):
        """Whether a connection is accepted."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self):
        """Ends it."""
        self.process.kill()
        self.process.wait()
