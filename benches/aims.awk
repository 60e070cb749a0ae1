# The figures of a run beside what is to be reached. Reads the lines `NAME VALUE` that the measuring programs wrote.
{ value[$1] = $2 }

function row(what, format, here, aim) {
    if (here in value && value[here] >= 0) printf("| %s | " format " | %s |\n", what, value[here], aim)
}

function latency(what, kind, wait, aim,    name) {
    name = "latency." kind "." wait
    if (name ".median" in value)
        printf("| %s | %.0f / %.0f | %s |\n", what, value[name ".median"], value[name ".p95"], aim)
}

END {
    print "| what | here | to reach |"
    print "| --- | ---: | ---: |"
    row("start, dynamic (PIE), x floor", "%.2f", "start.dynamic", "1.45")
    row("start, static, x floor", "%.2f", "start.static", "1.22")
    row("instructions of a start, dynamic, thousands", "%.0f", "instructions.dynamic", "480")
    row("instructions of a start, static, thousands", "%.0f", "instructions.static", "240")
    row("system calls of a start, static", "%d", "calls.static", "55")
    row("page faults of a start, static", "%d", "faults.static", "75")
    for (i = split("0.2 1 3 10", waits, " "); i > 0; i--) {
        name = "latency.postgres-recovery." waits[i]
        row("postgres-recovery at " waits[i] " s, p95, ms", "%.0f", name ".p95", "40")
        row("postgres-recovery at " waits[i] " s, slowest, ms", "%.0f", name ".max", "150")
    }
    latency("tcp at 10 s, median / p95, ms", "tcp", 10, "16 / 32")
    latency("http at 10 s, median / p95, ms", "http", 10, "16 / 32")
    latency("tcp at 60 s, median / p95, ms", "tcp", 60, "40 / 80")
    latency("tcp at 300 s, median / p95, ms", "tcp", 300, "80 / 170")
    row("attempts in 10 s", "%d", "load.attempts", "546")
    row("CPU of a 10 s wait, x C loop", "%.2f", "load.ratio", "1.3")
    row("1,000 ready targets, x floor", "%.2f", "many.ratio", "1.5")
    if (value["migrations.golang-migrate"] > 0) {
        value["migrations.ratio"] = value["migrations.auto"] / value["migrations.golang-migrate"]
        row("20,000 migrations, tool=auto, x tool=", "%.2f", "migrations.ratio", "1.3")
        row("20,000 migrations, tool=, s", "%.2f", "migrations.golang-migrate", "0.5")
    }
    row("memory at 1 target, MB", "%.1f", "rss.dynamic", "3.7")
    row("memory at 1,000 targets, MB", "%.1f", "many.rss", "7")
}
