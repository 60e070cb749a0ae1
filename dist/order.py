"""Records what a start and a wait use of a program, for dist/linker.

    order.py PROGRAM    reads PROGRAM.map, a link map of lld; writes PROGRAM.functions, a list for
                        --symbol-ordering-file, and PROGRAM.constants, a linker script
"""

import bisect, os, re, socket, subprocess, sys

program = sys.argv[1]


def run(port, arguments, status, valgrind):
    """What valgrind reports of a run that waits for this port of 127.0.0.1."""
    command = ["valgrind", "-q", *valgrind, program, "-q", "tcp://127.0.0.1:%d" % port]
    ended = subprocess.run([*command, *arguments, "--", "/bin/true"], stderr=subprocess.PIPE, text=True)
    assert ended.returncode == status, ended
    return ended.stderr


def functions(port, arguments, status, dump):
    """The functions of a run, in the order of their first calls.

    The profile of a start is written when the program is about to execute its command, so that it
    lacks execvp itself.
    """
    profile = program + ".profile"
    callgrind = ["--tool=callgrind", "--demangle=no", "--dump-before=execvp", "--callgrind-out-file=" + profile]
    run(port, arguments, status, callgrind)
    with open(profile + dump) as text:
        names = re.findall(r"^c?fn=\(\d+\) ((?!0x)\S+?)(?:'\d+)?$", text.read(), re.M)
    for file in profile, profile + ".1":
        if os.path.exists(file):
            os.remove(file)
    return names


def with_variants(names):
    """Adds the C library's variants for processors that valgrind does not know (AVX-512)."""
    symbols = subprocess.run(["nm", program], stdout=subprocess.PIPE, text=True, check=True).stdout
    variant = re.compile(r"(__\w+)_(?:avx|evex)\w*(?<!_rtm)")
    variants = {}
    for line in symbols.splitlines():
        if match := variant.fullmatch(line.split()[-1]):
            variants.setdefault(match[1], []).append(match[0])
    used = [match[1] for match in map(variant.fullmatch, names) if match]
    return names + [name for stem in used for name in variants.get(stem, [])]


def constants(port):
    """The sections of constants that a start reads, as patterns of a linker script.

    Constants have no symbols, so their addresses are looked up in the link map. A program that may
    be loaded at any address runs elsewhere under valgrind; nothing is found then.
    """
    line = re.compile(r" *([0-9a-f]+) +[0-9a-f]+ +([0-9a-f]+) +\d+ {9}(\S.*):\((\.rodata.*)\)")
    with open(program + ".map") as text:
        found = [match.groups() for match in map(line.fullmatch, text.read().splitlines()) if match]
    # lld merges equal constants of many files into sections of its own, which stay in place.
    sections = sorted((int(at, 16), int(size, 16), file, name) for at, size, file, name in found if file != "<internal>")
    starts = [section[0] for section in sections]
    used = {}
    trace = run(port, [], 0, ["--tool=lackey", "--trace-mem=yes"])
    for address in re.findall(r"^ [LM] ([0-9a-f]+),\d+$", trace, re.M):
        address = int(address, 16)
        place = bisect.bisect_right(starts, address) - 1
        if place >= 0 and address < starts[place] + sections[place][1]:
            used[place] = True
    for place in used:
        _, _, file, name = sections[place]
        # Only the C library's files have several constants under one name.
        member = re.sub(r".*[/(]|\)$", "", file) if name == ".rodata" else ""
        yield "*%s(%s)" % (member, name)


with socket.create_server(("127.0.0.1", 0)) as server:
    port = server.getsockname()[1]
    # The last two are on the way to the command.
    start = with_variants(functions(port, [], 0, ".1")) + ["execvpe", "execve"]
    used_constants = list(constants(port))
wait = functions(port, ["-t", "200ms"], 124, "")
assert len(set(start)) > 300, "only %d functions were recorded" % len(set(start))

with open(program + ".functions", "w") as out:
    out.writelines(name + "\n" for name in dict.fromkeys(start + wait))
with open(program + ".constants", "w") as out:
    if used_constants:
        out.write("SECTIONS { .rodata.start : {\n%s\n} } INSERT BEFORE .rodata;\n" % "\n".join(used_constants))
