// Measures a wait in vain of 10 seconds: its attempts and its CPU, beside a C loop with the same pauses.
// load ROUNDS LOOP AFTERALL [NAME=URL...]
#include "bench.h"

enum { MOST = 8 };

int main(int argc, char **argv) {
    int rounds = atoi(argv[1]), count = 3;
    char *loop = argv[2], *afterall = argv[3], bare[32], tcp[64], http[64];
    struct sockaddr_in at;
    int never = bound(&at);
    struct http *server = http_server(503);
    sprintf(bare, "%d", ntohs(at.sin_port));
    sprintf(tcp, "tcp://127.0.0.1:%s", bare);
    sprintf(http, "http://127.0.0.1:%d/ready", ntohs(server->at.sin_port));
    // The first is the loop, which takes a port in place of a URL.
    char *names[MOST] = {"(a C loop, refused)", "tcp, refused", "http, 503"}, *urls[MOST] = {bare, tcp, http};
    for (int i = 4; i < argc && count < MOST; i++, count++) {
        names[count] = argv[i];
        *strchr(argv[i], '=') = 0;
        urls[count] = argv[i] + strlen(argv[i]) + 1;
    }

    double cpu[MOST][64], attempts[MOST][64];
    long rss[MOST] = {0};
    for (int round = 0; round < rounds && round < 64; round++) {
        struct child children[MOST];
        int err[MOST];
        for (int i = 0; i < count; i++) {
            int pipe[2];
            if (pipe2(pipe, O_CLOEXEC)) die("pipe");
            char *looped[] = {loop, "10", urls[i], NULL}, *waited[] = {afterall, "-t", "10s", urls[i], NULL};
            children[i] = start(i == 0 ? looped : waited, -1, pipe[1]);
            close(pipe[1]);
            err[i] = pipe[0];
        }
        for (int i = 0; i < count; i++) {
            attempts[i][round] = attempts_said(err[i]);
            struct ended ended = finish(children[i]);
            close(err[i]);
            if (code(ended) != 124) attempts[i][round] = -1;
            cpu[i][round] = ended.cpu;
            if (ended.rss > rss[i]) rss[i] = ended.rss;
        }
    }
    printf("| dependency | attempts in 10 s | CPU ms | peak RSS MB |\n| --- | ---: | ---: | ---: |\n");
    for (int i = 0; i < count; i++)
        printf("| %s | %.0f | %.1f | %.1f |\n", names[i], quantile(attempts[i], rounds, 0.5), quantile(cpu[i], rounds, 0.5), rss[i] / 1024.0);
    figure("load.ratio", quantile(cpu[1], rounds, 0.5) / quantile(cpu[0], rounds, 0.5));
    figure("load.attempts", quantile(attempts[1], rounds, 0.5));
    printf("\n%d round%s, medians. The HTTP server counted %d requests.\n", rounds, rounds == 1 ? "" : "s", atomic_load(&server->requests));
    close(never);
    return 0;
}
