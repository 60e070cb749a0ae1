// Measures what a tool adds to the start of a command when the dependency is ready already.
// overhead ROUNDS FLOOR NOP AFTERALL [NAME=URL...]
// In the same rounds, AFTERALL_STATIC=PATH also runs another build, and PEERS=DIR each known program of DIR.
#include "bench.h"

enum { MOST = 24, WORDS = 12 };

struct candidate {
    const char *name;
    const char *key;  // of its figures; NULL where the summary has no row for it
    char *argv[WORDS];
    double *wall, *cpu;
    long rss;
    int failed;
};

static struct candidate candidates[MOST];
static int count;

static struct candidate *add(const char *name, const char *key, int rounds, char *const argv[]) {
    if (count == MOST) die("too many programs");
    struct candidate *c = &candidates[count++];
    c->name = name;
    c->key = key;
    for (int i = 0; argv[i] && i < WORDS - 1; i++) c->argv[i] = argv[i];
    c->wall = calloc(rounds, sizeof *c->wall);
    c->cpu = calloc(rounds, sizeof *c->cpu);
    return c;
}

// How other programs of this field are told to wait for a port. docker-compose-wait is told by WAIT_HOSTS and WAIT_COMMAND.
static void add_peers(const char *dir, char *bare, int rounds) {
    static const char *const names[] = {"docker-compose-wait", "wait-for-them", "wait4x", "wait-for-it"};
    setenv("WAIT_HOSTS", bare, 1);
    setenv("WAIT_COMMAND", "true", 1);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *path;
        if (asprintf(&path, "%s/%s", dir, names[i]) < 0 || access(path, X_OK) != 0) continue;
        if (i == 0) add(names[i], NULL, rounds, (char *[]){path, NULL});
        else if (i == 2) add(names[i], NULL, rounds, (char *[]){path, "tcp", bare, "--quiet", "--", "true", NULL});
        else add(names[i], NULL, rounds, (char *[]){path, bare, "--", "true", NULL});
    }
}

// Runs a candidate under a tool, with another command or none. Returns the last number that it prints behind `mark`.
static long under(const char *tool, const struct candidate *c, const char *command, const char *mark) {
    char line[4096], text[512];
    snprintf(line, sizeof line, "%s", tool);
    for (int i = 0; c->argv[i] && strcmp(c->argv[i], "--") != 0; i++) {
        strcat(line, " '");
        strcat(strcat(line, c->argv[i]), "'");
    }
    if (command) strcat(strcat(strcat(line, " -- '"), command), "'");
    FILE *said = popen(strcat(line, " 2>&1 >/dev/null"), "r");
    long found = -1;
    while (said && fgets(text, sizeof text, said)) {
        char *at = strstr(text, mark);
        if (at) found = atol(at + strlen(mark));
    }
    if (said) pclose(said);
    return found;
}

// Counts instructions in user space up to its own end. It has no command: valgrind does not follow the exec.
static long instructions(const struct candidate *c) {
    return under("valgrind --tool=callgrind --callgrind-out-file=/dev/null", c, NULL, "Collected :");
}

// Both execs, and those of a command that does nothing.
static long system_calls(const struct candidate *c, const char *nothing) {
    return under("strace -c -U name,calls", c, nothing, "total ");
}

// Page faults of a start, with those of a command that does nothing.
static long page_faults(const struct candidate *c, char *nothing, int listener) {
    struct candidate other = *c;
    long least = -1;
    for (int i = 0; other.argv[i]; i++)
        if (strcmp(other.argv[i], "--") == 0) other.argv[i + 1] = nothing;
    for (int round = 0; round < 10; round++) {
        struct ended ended = finish(start(other.argv, -1, -1));
        if (least < 0 || ended.faults < least) least = ended.faults;
        drain(listener);
    }
    return least;
}

int main(int argc, char **argv) {
    int rounds = atoi(argv[1]);
    char *floor = argv[2], *nothing = argv[3], *afterall = argv[4], tcp[64], http[64], bare[32];
    struct sockaddr_in at;
    int listener = listening(&at);
    fcntl(listener, F_SETFL, O_NONBLOCK);
    struct http *server = http_server(200);
    sprintf(bare, "127.0.0.1:%d", ntohs(at.sin_port));
    sprintf(tcp, "tcp://%s", bare);
    sprintf(http, "http://127.0.0.1:%d/ready", ntohs(server->at.sin_port));

    char *fixed = getenv("AFTERALL_STATIC"), *peers = getenv("PEERS");
    add("(`true` alone)", NULL, rounds, (char *[]){"true", NULL});
    struct candidate *least = add("(the floor)", NULL, rounds, (char *[]){floor, bare, "--", "true", NULL});
    add("tcp", "dynamic", rounds, (char *[]){afterall, "-q", tcp, "--", "true", NULL});
    if (fixed) add("tcp, static", "static", rounds, (char *[]){fixed, "-q", tcp, "--", "true", NULL});
    add("http", NULL, rounds, (char *[]){afterall, http, "--", "true", NULL});
    for (int i = 5; i < argc && count < MOST; i++) {
        char *url = strchr(argv[i], '=');
        *url++ = 0;
        add(argv[i], NULL, rounds, (char *[]){afterall, url, "--", "true", NULL});
    }
    if (peers) add_peers(peers, bare, rounds);

    for (int round = 0; round < rounds; round++)
        for (int i = 0; i < count; i++) {
            struct candidate *c = &candidates[i];
            struct ended ended = finish(start(c->argv, -1, -1));
            c->wall[round] = ended.wall;
            c->cpu[round] = ended.cpu;
            if (ended.rss > c->rss) c->rss = ended.rss;
            c->failed += ended.status != 0;
            drain(listener);
        }

    int valgrind = system("command -v valgrind >/dev/null") == 0, strace = system("command -v strace >/dev/null") == 0;
    double floor_median = quantile(least->wall, rounds, 0.5), floor_min = quantile(least->wall, rounds, 0);
    printf("| ready target | wall min ms | median | p90 | x floor (min) | x floor (median) | CPU ms | page faults | peak RSS MB | instructions | system calls | failed |\n");
    printf("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n");
    for (int i = 0; i < count; i++) {
        struct candidate *c = &candidates[i];
        double median = quantile(c->wall, rounds, 0.5), min = quantile(c->wall, rounds, 0);
        char counted[32] = "", calls[32] = "", faulted[32] = "";
        int is_ours = strcmp(c->argv[0], afterall) == 0 || (fixed && strcmp(c->argv[0], fixed) == 0) || c == least;
        long executed = valgrind && is_ours ? instructions(c) : -1;
        drain(listener);
        long faults = is_ours ? page_faults(c, nothing, listener) : -1;
        long called = strace && is_ours ? system_calls(c, nothing) : -1;
        drain(listener);
        if (executed >= 0) sprintf(counted, "%.2f M", executed / 1e6);
        if (called >= 0) sprintf(calls, "%ld", called);
        if (faults >= 0) sprintf(faulted, "%ld", faults);
        printf("| %s | %.2f | %.2f | %.2f | %.2f | %.2f | %.2f | %s | %.1f | %s | %s | %d |\n", c->name, min, median,
               quantile(c->wall, rounds, 0.9), min / floor_min, median / floor_median, quantile(c->cpu, rounds, 0.5), faulted,
               c->rss / 1024.0, counted, calls, c->failed);
        if (!c->key) continue;
        char name[64];
        sprintf(name, "start.%s", c->key), figure(name, median / floor_median);
        sprintf(name, "instructions.%s", c->key), figure(name, executed / 1e3);
        sprintf(name, "calls.%s", c->key), figure(name, called);
        sprintf(name, "faults.%s", c->key), figure(name, faults);
        sprintf(name, "rss.%s", c->key), figure(name, c->rss / 1024.0);
    }
    printf("\n%d interleaved rounds.%s\n", rounds, valgrind && strace ? "" : " Install valgrind and strace for the figures that are missing.");
    return 0;
}
