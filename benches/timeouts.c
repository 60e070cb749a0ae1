// Measures how much longer than its timeout of 2 seconds a whole run takes, with the start of the process.
// timeouts ROUNDS AFTERALL
#include "bench.h"

enum { KINDS = 4, ROUNDS = 50 };

// Swallows connection attempts: its backlog is full, so the kernel drops every further SYN.
static void black_hole(struct sockaddr_in *at) {
    int hole = bound(at);
    if (listen(hole, 0)) die("listen");
    // Linux takes one more than the backlog says; how many exactly is found out, not assumed.
    for (;;) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct timeval patience = {.tv_usec = 100000};
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        if (connect(fd, (struct sockaddr *)at, sizeof *at)) {
            close(fd);
            return;
        }
    }
}

static struct target {
    char *afterall, *url;
    int rounds, code;
    double over[ROUNDS];
} targets[KINDS];

// One thread for each target: they wait nearly all of the time, and do so at once.
static void *repeat(void *arg) {
    struct target *target = arg;
    for (int round = 0; round < target->rounds; round++) {
        struct ended ended = finish(start((char *[]){target->afterall, "-t", "2s", target->url, NULL}, -1, -1));
        target->over[round] = ended.wall - 2000;
        target->code = code(ended);
    }
    return NULL;
}

int main(int argc, char **argv) {
    if (argc != 3) return 64;
    int rounds = atoi(argv[1]);
    if (rounds > ROUNDS) rounds = ROUNDS;
    struct sockaddr_in refused, silent, hole;
    bound(&refused);
    listening(&silent);  // the kernel accepts, and nobody ever answers
    black_hole(&hole);
    const char *names[KINDS] = {"tcp, refused", "http, accepted and silent", "postgres, accepted and silent", "tcp, SYN dropped"};
    char urls[KINDS][80];
    sprintf(urls[0], "tcp://127.0.0.1:%d", ntohs(refused.sin_port));
    sprintf(urls[1], "http://127.0.0.1:%d/", ntohs(silent.sin_port));
    sprintf(urls[2], "postgres://postgres@127.0.0.1:%d/postgres", ntohs(silent.sin_port));
    sprintf(urls[3], "tcp://127.0.0.1:%d", ntohs(hole.sin_port));

    pthread_t threads[KINDS];
    for (int i = 0; i < KINDS; i++) {
        targets[i] = (struct target){.afterall = argv[2], .url = urls[i], .rounds = rounds};
        if (pthread_create(&threads[i], NULL, repeat, &targets[i])) die("pthread_create");
    }
    for (int i = 0; i < KINDS; i++) pthread_join(threads[i], NULL);
    printf("| target | over 2 s: min ms | median | max | exit code |\n| --- | ---: | ---: | ---: | ---: |\n");
    for (int i = 0; i < KINDS; i++)
        printf("| %s | %.1f | %.1f | %.1f | %d |\n", names[i], quantile(targets[i].over, rounds, 0),
               quantile(targets[i].over, rounds, 0.5), quantile(targets[i].over, rounds, 1), targets[i].code);
    printf("\n%d round%s.\n", rounds, rounds == 1 ? "" : "s");
    return 0;
}
