// What the measuring programs share: clocks, children, quantiles, and servers that become ready when they are told to.
#pragma once
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

#define UNUSED __attribute__((unused))

static UNUSED void die(const char *what) {
    perror(what);
    exit(1);
}

static UNUSED double ms_of(struct timespec t) { return t.tv_sec * 1e3 + t.tv_nsec / 1e6; }

static UNUSED double now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return ms_of(t);
}

static UNUSED void sleep_until(double ms) {
    struct timespec t = {.tv_sec = ms / 1e3, .tv_nsec = (long)(ms * 1e6) % 1000000000L};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR) {}
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// The value below which the share q of them lies. Sorts.
static UNUSED double quantile(double *values, int n, double q) {
    if (n == 0) return -1;
    qsort(values, n, sizeof *values, ascending);
    int i = q * n;
    return values[i < n ? i : n - 1];
}

// One figure for the summary, appended to the file $FIGURES as `NAME VALUE`.
static UNUSED void figure(const char *name, double value) {
    const char *path = getenv("FIGURES");
    FILE *file = path ? fopen(path, "a") : NULL;
    if (!file) return;
    fprintf(file, "%s %g\n", name, value);
    fclose(file);
}

// Children. ---------------------------------------------------------------------------------------------------------------------

struct child {
    pid_t pid;
    double started;
};

struct ended {
    double wall, cpu;  // ms
    long rss;          // KiB, at its peak; what was before the exec counts too
    long faults;       // page faults without I/O
    int status;        // as wait4 has it
};

// out and err: where its stdout and stderr go; -1 is /dev/null.
static UNUSED struct child start(char *const argv[], int out, int err) {
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    for (int fd = 1; fd <= 2; fd++) {
        int to = fd == 1 ? out : err;
        if (to < 0) posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_WRONLY, 0);
        else posix_spawn_file_actions_adddup2(&actions, to, fd);
    }
    struct child child = {.started = now_ms()};
    if ((errno = posix_spawnp(&child.pid, argv[0], &actions, NULL, argv, environ)) != 0) die(argv[0]);
    posix_spawn_file_actions_destroy(&actions);
    return child;
}

static UNUSED struct ended finish(struct child child) {
    struct rusage used;
    struct ended ended;
    if (wait4(child.pid, &ended.status, 0, &used) < 0) die("wait4");
    ended.wall = now_ms() - child.started;
    ended.cpu = (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e3 + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e3;
    ended.rss = used.ru_maxrss;
    ended.faults = used.ru_minflt;
    return ended;
}

static UNUSED int code(struct ended ended) {
    return WIFEXITED(ended.status) ? WEXITSTATUS(ended.status) : 128 + WTERMSIG(ended.status);
}

// How often it asked, in its own words: the last `attempts=N` of what it says to `err`. Reads to the end.
static UNUSED int attempts_said(int err) {
    char text[65536];
    size_t length = 0;
    for (ssize_t n; length < sizeof text - 1 && (n = read(err, text + length, sizeof text - 1 - length)) > 0;) length += n;
    text[length] = 0;
    int attempts = -1;
    for (char *at = text; (at = strstr(at, "attempts=")); at++) attempts = atoi(at + strlen("attempts="));
    return attempts;
}

// Sockets. ----------------------------------------------------------------------------------------------------------------------

// A loopback port that is ours and refuses everybody until somebody listens on it.
static UNUSED int bound(struct sockaddr_in *at) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    socklen_t size = sizeof *at;
    *at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (fd < 0 || bind(fd, (struct sockaddr *)at, size) || getsockname(fd, (struct sockaddr *)at, &size)) die("bind");
    return fd;
}

static UNUSED int listening(struct sockaddr_in *at) {
    int fd = bound(at);
    if (listen(fd, 1024)) die("listen");
    return fd;
}

// Takes and closes what waits in the backlog, outside of what is measured.
static UNUSED void drain(int listener) {
    for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0;) close(fd);
}

// An HTTP server of one thread per connection, whose status can be changed at any time.
struct http {
    int listener;
    struct sockaddr_in at;
    atomic_int status, requests;
    pthread_t thread;
};

struct conversation {
    struct http *http;
    int fd;
};

static void *converse(void *arg) {
    struct conversation *with = arg;
    char request[8192], response[128];
    size_t length = 0;
    for (ssize_t n; (n = read(with->fd, request + length, sizeof request - 1 - length)) > 0;) {
        request[length += n] = 0;
        char *end = strstr(request, "\r\n\r\n");
        if (!end) continue;
        length = 0;
        atomic_fetch_add(&with->http->requests, 1);
        int status = atomic_load(&with->http->status);
        int size = snprintf(response, sizeof response, "HTTP/1.1 %d %s\r\nContent-Length: 0\r\n\r\n", status, status == 200 ? "OK" : "Busy");
        if (write(with->fd, response, size) != size) break;
    }
    close(with->fd);
    free(with);
    return NULL;
}

static void *serve(void *arg) {
    struct http *http = arg;
    for (int fd; (fd = accept4(http->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0;) {
        int one = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct conversation *with = malloc(sizeof *with);
        *with = (struct conversation){http, fd};
        pthread_t thread;
        if (pthread_create(&thread, NULL, converse, with)) die("pthread_create");
        pthread_detach(thread);
    }
    return NULL;
}

// Lives as long as the process: a conversation may still hold it.
static UNUSED struct http *http_server(int status) {
    struct http *http = calloc(1, sizeof *http);
    http->listener = listening(&http->at);
    atomic_store(&http->status, status);
    if (pthread_create(&http->thread, NULL, serve, http)) die("pthread_create");
    return http;
}

static UNUSED void http_stop(struct http *http) {
    shutdown(http->listener, SHUT_RDWR);
    pthread_join(http->thread, NULL);
    close(http->listener);
}

// PostgreSQL, as far as it takes to know whether one can log in. ------------------------------------------------------------------

enum login { REFUSED, REJECTED, READY };

static int read_all(int fd, unsigned char *to, size_t size) {
    for (ssize_t n; size > 0; to += n, size -= n)
        if ((n = read(fd, to, size)) <= 0) return 0;
    return 1;
}

// One login as `postgres`, who is trusted, up to ReadyForQuery.
static UNUSED enum login login(int port) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    enum login found = REFUSED;
    // Length, protocol 3.0, and pairs of name and value.
    static const char startup[] = "\0\0\0\51\0\3\0\0user\0postgres\0database\0postgres\0";
    if (connect(fd, (struct sockaddr *)&at, sizeof at) == 0 && write(fd, startup, sizeof startup) == sizeof startup) {
        unsigned char head[5], body[4096];
        while (read_all(fd, head, 5)) {
            size_t size = ((size_t)head[1] << 24 | head[2] << 16 | head[3] << 8 | head[4]) - 4;
            if (head[0] == 'E') found = REJECTED;
            if (size > sizeof body || !read_all(fd, body, size) || found == REJECTED) break;
            if (head[0] == 'Z') {
                found = READY;
                if (write(fd, "X\0\0\0\4", 5) != 5) found = REJECTED;
                break;
            }
        }
    }
    close(fd);
    return found;
}
