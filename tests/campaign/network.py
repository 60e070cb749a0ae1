"""Networks that fail, in a network namespace of its own: ICMP of every kind, black holes, name servers."""

import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import lab
from lab import TABLE, ended_by, run

GROUP = "networks and name servers"
REJECTIONS = [
    "icmp-net-unreachable", "icmp-host-unreachable", "icmp-port-unreachable",
    "icmp-proto-unreachable", "icmp-net-prohibited", "icmp-host-prohibited",
    "icmp-admin-prohibited", "tcp-reset",
]  # fmt: skip


def main():
    """Runs `inside` below unshare, and takes in its table."""
    inner = ["unshare", "-nm", "--propagation", "private", sys.executable, __file__]
    environment = {**os.environ, "CAMPAIGN_SCRATCH": lab.scratch(), "AFTERALL_BINARY": lab.BINARY}
    process = subprocess.run(inner, env=environment, stdout=subprocess.PIPE, text=True)
    lines = process.stdout.splitlines()
    print("\n".join(lines[:-1]))
    if process.returncode or not lines:
        TABLE.add(GROUP, "the namespace", [f"ended with {process.returncode}"])
        return
    TABLE.merge(json.loads(lines[-1]))


def call(command):
    """Runs a command of the set-up."""
    subprocess.run(command.split(), check=True)


def name_of(query):
    """The name that a query asks for, and where the question ends."""
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode())
        at += query[at] + 1
    return ".".join(labels), at + 5


def reply(query, tcp):
    """What the name in the query asks the server to do. None: silence."""
    name, end = name_of(query)
    kind = struct.unpack("!H", query[end - 4 : end - 2])[0]
    question = query[12:end]
    record = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 1, 4)

    def message(code=0, records=b"", count=0, truncated=False):
        flags = 0x8180 | code | (0x200 if truncated else 0)
        return query[:2] + struct.pack("!HHHHH", flags, 1, count, 0, 0) + question + records

    loopback = message(0, record + b"\x7f\0\0\1", 1) if kind == 1 else message()
    if "silent" in name:
        return None
    for word, code in (("servfail", 2), ("nxdomain", 3), ("refused", 5)):
        if word in name:
            return message(code)
    if "slow" in name:
        time.sleep(0.7)
        return loopback
    if "garbage" in name:
        return b"\xff" * 40
    if "empty" in name:
        return message()
    if "truncated" in name:
        return b"" if tcp else message(truncated=True)
    if "huge" in name:
        if kind != 1:
            return message()
        many = b"".join(record + bytes([127, 1, n >> 8, n & 255]) for n in range(4000))
        return message(0, many, 4000) if tcp else message(truncated=True)
    if "loop" in name:
        return message(0, b"\xc0\x0c" + struct.pack("!HHIH", 5, 1, 1, 2) + b"\xc0\x0c", 1)
    return loopback


def name_server():
    """Serves on 127.0.0.53, by UDP and TCP."""
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.53", 53))
    tcp = socket.socket()
    tcp.bind(("127.0.0.53", 53))
    tcp.listen(50)

    def datagram(query, client):
        answer = reply(query, False)
        if answer:
            udp.sendto(answer, client)

    def datagrams():
        while True:
            threading.Thread(target=datagram, args=udp.recvfrom(4096), daemon=True).start()

    def stream(connection):
        try:
            while True:
                length = struct.unpack("!H", connection.recv(2))[0]
                answer = reply(connection.recv(length), True)
                if not answer:
                    time.sleep(30)
                    return
                connection.sendall(struct.pack("!H", len(answer)) + answer)
        except (OSError, struct.error):
            pass

    def streams():
        while True:
            threading.Thread(target=stream, args=(tcp.accept()[0],), daemon=True).start()

    for loop in (datagrams, streams):
        threading.Thread(target=loop, daemon=True).start()


def replace(path, text):
    """Puts a file over a file of the machine, in this namespace alone."""
    own = Path(lab.SCRATCH) / Path(path).name
    own.write_text(text)
    call(f"mount --bind {own} {path}")


def check(name, code, seconds, *args):
    """One run with its exit code and deadline."""
    run(["-t", f"{seconds}s", *args]).ends(code).by(seconds).check(GROUP, name)


def rejections():
    for kind in REJECTIONS:
        call("iptables -F OUTPUT")
        call(f"iptables -A OUTPUT -p tcp -d 127.0.0.9 -j REJECT --reject-with {kind}")
        check(f"{kind}", 124, 1, "postgres://127.0.0.9/x")
        run(["-t", "5s", "127.0.0.9:5#until=down"]).ends(0).check(GROUP, f"{kind}, until=down")
    call("iptables -F OUTPUT")
    call("iptables -A OUTPUT -p tcp -d 127.0.0.9 -j DROP")
    check("a black hole", 124, 1, "127.0.0.9:5")
    check("a black hole, until=down", 124, 1, "127.0.0.9:5#until=down")
    good = "postgres://127.0.0.9,127.0.0.1:1/x#until=down,attempt-timeout=400ms"
    check("a black hole before a refused port is not down", 124, 2, good)
    TABLE.add(GROUP, "SIGTERM in a black hole", ended_by(["-t", "60s", "127.0.0.9:5"], after=0.5))
    for number, kind in ((10, "unreachable"), (11, "prohibit"), (12, "blackhole"), (13, "throw")):
        call(f"ip route add {kind} 10.{number}.0.0/16")
        check(f"route {kind}", 124, 1, f"10.{number}.0.1:5")
    check("multicast", 124, 1, "224.0.0.1:5")
    check("0.0.0.0", 124, 1, "0.0.0.0:5")


def names():
    for word in ("silent", "servfail", "refused", "nxdomain", "garbage", "empty", "truncated", "loop"):
        check(f"a name server: {word}", 124, 2, f"dns:{word}.test")
    check("a name server: slow", 0, 3, "dns:slow.test")
    check("a name server: 4,000 addresses", 0, 3, "dns:huge.test")
    check("4,000 addresses that refuse", 124, 3, "huge.test:1")
    check("until=down: nxdomain", 0, 2, "dns:nxdomain.test#until=down")
    for word in ("servfail", "silent"):
        check(f"until=down: {word}", 124, 2, f"dns:{word}.test#until=down")
    SOCKETS.append(listening := socket.socket())
    listening.bind(("127.0.0.1", 7777))
    listening.listen(50)
    for count in (7, 8, 20):
        silent = [f"s{n}=s{n}.silent.test:1#timeout=2s,on-timeout=proceed" for n in range(count)]
        ended = run(["-t", "5s", *silent, "good=inhosts:7777"]).ends(0).by(3)
        ended.has("good: ready").check(GROUP, f"{count} silent names before a good one")
    faults = ended_by(["-t", "60s", *[f"n{n}.silent.test:1" for n in range(20)]], after=1)
    TABLE.add(GROUP, "SIGTERM with 20 silent names", faults)


SOCKETS = []


def inside():
    """All checks, within the namespace."""
    call("ip link set lo up")
    rejections()
    name_server()
    replace("/etc/resolv.conf", "nameserver 127.0.0.53\n")
    replace("/etc/nsswitch.conf", "hosts: files dns\n")
    replace("/etc/hosts", "127.0.0.1 localhost inhosts\n")
    names()
    print(json.dumps(TABLE.groups), flush=True)
    os._exit(0)


if __name__ == "__main__":
    lab.SCRATCH = os.environ["CAMPAIGN_SCRATCH"]
    inside()
