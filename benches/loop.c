// A C loop that waits for a port with the pauses of afterall. It shows the CPU of the pauses and of the kernel alone.
// loop SECONDS PORT
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

int main(int argc, char **argv) {
    if (argc != 3) return 64;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[2])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    double began = now(), age;
    int attempts = 0;
    for (; (age = now() - began) < atof(argv[1]); attempts++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), error;
        socklen_t size = sizeof error;
        connect(fd, (struct sockaddr *)&at, sizeof at);
        poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, 0);
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
        close(fd);
        // src/wait/policy.rs: 10.3 ms x sqrt(t), at least 10 ms, shortened by up to 10%.
        double pause = fmax(0.010, 0.0103 * sqrt(age)) * (1 - 0.1 * rand() / RAND_MAX);
        ppoll(NULL, 0, &(struct timespec){.tv_nsec = pause * 1e9}, NULL);
    }
    fprintf(stderr, "attempts=%d\n", attempts);
    return 124;
}
