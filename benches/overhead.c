// What is added to the start of a command when the dependency is ready already.
// overhead ROUNDS FLOOR AFTERALL [NAME=URL...]
#include "bench.h"

enum { MOST = 16 };

struct candidate {
    const char *name;
    char *argv[8];
    double *wall, *cpu;
    long rss;
    int failed;
};

static struct candidate candidates[MOST];
static int count;

static void add(const char *name, int rounds, char *const argv[]) {
    struct candidate *c = &candidates[count++];
    c->name = name;
    for (int i = 0; argv[i]; i++) c->argv[i] = argv[i];
    c->wall = calloc(rounds, sizeof *c->wall);
    c->cpu = calloc(rounds, sizeof *c->cpu);
}

// In user space, up to its own end: valgrind does not follow the exec, so there is no command behind it.
static long instructions(const struct candidate *c) {
    char line[4096] = "valgrind --tool=callgrind --callgrind-out-file=/dev/null", text[256];
    for (int i = 0; c->argv[i] && strcmp(c->argv[i], "--") != 0; i++) {
        strcat(line, " '");
        strcat(strcat(line, c->argv[i]), "'");
    }
    FILE *said = popen(strcat(line, " 2>&1 >/dev/null"), "r");
    long counted = -1;
    while (said && fgets(text, sizeof text, said)) {
        char *at = strstr(text, "Collected :");
        if (at) counted = atol(at + strlen("Collected :"));
    }
    if (said) pclose(said);
    return counted;
}

int main(int argc, char **argv) {
    int rounds = atoi(argv[1]);
    char *floor = argv[2], *afterall = argv[3], tcp[64], http[64], bare[32];
    struct sockaddr_in at;
    int listener = listening(&at);
    fcntl(listener, F_SETFL, O_NONBLOCK);
    struct http *server = http_server(200);
    sprintf(bare, "127.0.0.1:%d", ntohs(at.sin_port));
    sprintf(tcp, "tcp://%s", bare);
    sprintf(http, "http://127.0.0.1:%d/ready", ntohs(server->at.sin_port));

    add("(`true` alone)", rounds, (char *[]){"true", NULL});
    add("(the floor)", rounds, (char *[]){floor, bare, "--", "true", NULL});
    add("tcp", rounds, (char *[]){afterall, tcp, "--", "true", NULL});
    add("http", rounds, (char *[]){afterall, http, "--", "true", NULL});
    for (int i = 4; i < argc && count < MOST; i++) {
        char *url = strchr(argv[i], '=');
        *url++ = 0;
        add(argv[i], rounds, (char *[]){afterall, url, "--", "true", NULL});
    }

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

    int valgrind = system("command -v valgrind >/dev/null") == 0;
    double floor_median = quantile(candidates[1].wall, rounds, 0.5), floor_min = quantile(candidates[1].wall, rounds, 0);
    printf("| ready target | wall min ms | median | p90 | x floor (min) | x floor (median) | CPU ms | peak RSS MB | instructions | failed |\n");
    printf("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n");
    for (int i = 0; i < count; i++) {
        struct candidate *c = &candidates[i];
        double median = quantile(c->wall, rounds, 0.5), min = quantile(c->wall, rounds, 0);
        char counted[32] = "";
        if (valgrind && i > 0) sprintf(counted, "%.2f M", instructions(c) / 1e6);
        drain(listener);
        printf("| %s | %.2f | %.2f | %.2f | %.2f | %.2f | %.2f | %.1f | %s | %d |\n", c->name, min, median,
               quantile(c->wall, rounds, 0.9), min / floor_min, median / floor_median, quantile(c->cpu, rounds, 0.5),
               c->rss / 1024.0, counted, c->failed);
    }
    printf("\n%d interleaved rounds.%s\n", rounds, valgrind ? "" : " Instructions are counted where valgrind is installed.");
    return 0;
}
