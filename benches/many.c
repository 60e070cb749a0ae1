// Measures time and memory for many ready targets, beside a floor that connects to them one after the other.
// many ROUNDS FLOOR AFTERALL
#include "bench.h"

enum { MOST = 1000, SIZES = 4, ROUNDS = 100 };

int main(int argc, char **argv) {
    if (argc != 4) return 64;
    int rounds = atoi(argv[1]), sizes[SIZES] = {1, 10, 100, 1000};
    if (rounds > ROUNDS) rounds = ROUNDS;
    // The listeners need more descriptors than a process usually may have; what is measured gets what is usual.
    struct rlimit usual, ours;
    getrlimit(RLIMIT_NOFILE, &usual);
    ours = usual;
    ours.rlim_cur = ours.rlim_max;
    setrlimit(RLIMIT_NOFILE, &ours);
    static int listeners[MOST];
    static char bare[MOST][32], urls[MOST][40];
    for (int i = 0; i < MOST; i++) {
        struct sockaddr_in at;
        listeners[i] = listening(&at);
        fcntl(listeners[i], F_SETFL, O_NONBLOCK);
        sprintf(bare[i], "127.0.0.1:%d", ntohs(at.sin_port));
        sprintf(urls[i], "tcp://%s", bare[i]);
    }
    printf("| ready targets | floor, median ms | wall min ms | median | p90 | CPU ms | peak RSS MB | failed |\n");
    printf("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n");
    for (int s = 0; s < SIZES; s++) {
        double wall[2][ROUNDS], cpu[ROUNDS];
        long rss = 0;
        int failed = 0;
        for (int round = 0; round < rounds; round++)
            for (int which = 0; which < 2; which++) {
                char *words[MOST + 4] = {argv[2 + which]};
                int n = 1;
                if (which) words[n++] = "-q";
                for (int i = 0; i < sizes[s]; i++) words[n++] = which ? urls[i] : bare[i];
                words[n++] = "--";
                words[n++] = "true";
                words[n] = NULL;
                setrlimit(RLIMIT_NOFILE, &usual);
                struct ended ended = finish(start(words, -1, -1));
                setrlimit(RLIMIT_NOFILE, &ours);
                wall[which][round] = ended.wall;
                failed += ended.status != 0;
                if (which) {
                    cpu[round] = ended.cpu;
                    if (ended.rss > rss) rss = ended.rss;
                }
                for (int i = 0; i < sizes[s]; i++) drain(listeners[i]);
            }
        printf("| %d | %.2f | %.2f | %.2f | %.2f | %.2f | %.1f | %d |\n", sizes[s], quantile(wall[0], rounds, 0.5),
               quantile(wall[1], rounds, 0), quantile(wall[1], rounds, 0.5), quantile(wall[1], rounds, 0.9), quantile(cpu, rounds, 0.5),
               rss / 1024.0, failed);
        if (sizes[s] == MOST) {
            figure("many.ratio", quantile(wall[1], rounds, 0.5) / quantile(wall[0], rounds, 0.5));
            figure("many.rss", rss / 1024.0);
        }
    }
    printf("\n%d interleaved rounds, `ulimit -n` %lu.\n", rounds, (unsigned long)usual.rlim_cur);
    return 0;
}
