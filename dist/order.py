"""Records what an attempt, a start and a wait use of a program, for dist/linker.

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
    """The functions of a run, in the order of their first calls, each with its own instructions.

    The profile of a start is written when the program is about to execute its command, so that it
    lacks execvp itself.
    """
    profile = program + ".profile"
    callgrind = ["--tool=callgrind", "--demangle=no", "--dump-before=execvp", "--callgrind-out-file=" + profile]
    run(port, arguments, status, callgrind)
    names, costs, current, is_call = {}, {}, None, False
    with open(profile + dump) as lines:
        for line in lines:
            if match := re.fullmatch(r"(c?)fn=\((\d+)\)(?: (.*?)(?:'\d+)?)?\n", line):
                called, number, name = match.groups()
                name = names.setdefault(number, name)
                costs.setdefault(name, 0)
                current = current if called else name
            elif line.startswith("calls="):
                is_call = True
            elif match := re.fullmatch(r"[-+*\d]\S* (\d+)\n", line):
                # The line after a call has the cost of what was called.
                costs[current] += 0 if is_call else int(match[1])
                is_call = False
    for file in profile, profile + ".1":
        if os.path.exists(file):
            os.remove(file)
    return {name: cost for name, cost in costs.items() if re.fullmatch(r"(?!0x)\S+", name)}


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
    # The last three are on the way to the command.
    start = with_variants(list(functions(port, [], 0, ".1"))) + ["execvp", "execvpe", "execve"]
    used_constants = list(constants(port))
short, long = (functions(port, ["-t", time], 124, "") for time in ("100ms", "400ms"))
# An attempt comes after a pause, in which other programs take the caches. So what an attempt needs is
# closest together.
attempt = with_variants([name for name in long if long[name] > 1.2 * short.get(name, 0)])
assert len(set(start)) > 300, "only %d functions were recorded" % len(set(start))
assert len(attempt) > 100, "only %d functions of an attempt were recorded" % len(attempt)

with open(program + ".functions", "w") as out:
    out.writelines(name + "\n" for name in dict.fromkeys(attempt + start + list(long)))
with open(program + ".constants", "w") as out:
    if used_constants:
        out.write("SECTIONS { .rodata.start : {\n%s\n} } INSERT BEFORE .rodata;\n" % "\n".join(used_constants))
