// Measures the time from the moment of readiness to the command's first instruction, for waits of several lengths.
// latency tcp|http|postgres-cold|postgres-recovery SCALE AFTERALL STAMP [CLUSTER [DIR:PORT]...]
#include "bench.h"
#include <stdbool.h>

// Waiters at once. They share the machine, but each is idle nearly always. A long wait asks more rarely still, so that more
// workers take part in the long waits, from 10 s on, and there are as many more samples of them: they have an aim.
enum { WORKERS = 16, LONG_WORKERS = 48, ALL_WORKERS = WORKERS + LONG_WORKERS, WAITS = 6, FIRST_LONG = 3 };

static const double waits[WAITS] = {0.2, 1, 3, 10, 60, 300};
// Samples of each wait for one SCALE.
static const int weight[WAITS] = {2, 2, 1, 3, 1, 1};
// How many of the waits are measured: all of them only with LONG=1.
static int measured = 4;

static char *afterall, *stamp, *cluster;
static struct { double *values; int taken, wanted, begun, failed; } results[WAITS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

// Takes the next sample to be made, the longest first, so that the workers end together. Returns its wait's number, which is
// at least `least`, or -1.
static int next_sample(int least) {
    int found = -1;
    pthread_mutex_lock(&lock);
    for (int i = measured - 1; i >= least && found < 0; i--)
        if (results[i].begun < results[i].wanted) results[found = i].begun++;
    pthread_mutex_unlock(&lock);
    return found;
}

static void note(int wait, bool good, double latency) {
    pthread_mutex_lock(&lock);
    if (good) results[wait].values[results[wait].taken++] = latency;
    else results[wait].failed++;
    pthread_mutex_unlock(&lock);
}

// The phase is random: a wait is up to 100 ms longer than its nominal time. Longer pauses have a random phase anyway.
static double chosen_wait(int wait, unsigned *seed) { return waits[wait] * 1e3 + 100.0 * rand_r(seed) / RAND_MAX; }

struct waiter {
    struct child child;
    int out;
};

static struct waiter begin(char *url) {
    int pipe[2];
    if (pipe2(pipe, O_CLOEXEC)) die("pipe");
    char *argv[] = {afterall, "-t", "never", url, "--", stamp, NULL};
    struct waiter waiter = {start(argv, pipe[1], -1), pipe[0]};
    close(pipe[1]);
    return waiter;
}

static void end(struct waiter waiter, int wait, double ready) {
    struct timespec began;
    bool good = read(waiter.out, &began, sizeof began) == sizeof began;
    good &= finish(waiter.child).status == 0;
    close(waiter.out);
    note(wait, good, good ? ms_of(began) - ready : 0);
}

static void sample_tcp(int wait, unsigned *seed) {
    struct sockaddr_in at;
    char url[64];
    int fd = bound(&at);
    sprintf(url, "tcp://127.0.0.1:%d", ntohs(at.sin_port));
    struct waiter waiter = begin(url);
    sleep_until(waiter.child.started + chosen_wait(wait, seed));
    double ready = now_ms();
    if (listen(fd, 16)) die("listen");
    end(waiter, wait, ready);
    close(fd);
}

static void sample_http(int wait, unsigned *seed) {
    char url[64];
    struct http *http = http_server(503);
    sprintf(url, "http://127.0.0.1:%d/ready", ntohs(http->at.sin_port));
    struct waiter waiter = begin(url);
    sleep_until(waiter.child.started + chosen_wait(wait, seed));
    double ready = now_ms();
    atomic_store(&http->status, 200);
    end(waiter, wait, ready);
    http_stop(http);
}

static void tell(const char *verb, const char *dir) {
    char line[4096];
    snprintf(line, sizeof line, "'%s' %s '%s'", cluster, verb, dir);
    if (system(line) != 0) die(line);
}

// Ready is what another client can do: one that logs in over and over.
static void sample_postgres(int wait, unsigned *seed, const char *dir, int port, bool recovery) {
    char url[64];
    sprintf(url, "postgres://postgres@127.0.0.1:%d/postgres", port);
    if (recovery) tell("standby", dir);
    struct waiter waiter = begin(url);
    sleep_until(waiter.child.started + chosen_wait(wait, seed));
    tell(recovery ? "promote" : "start", dir);
    while (login(port) != READY) sleep_until(now_ms() + 1);
    end(waiter, wait, now_ms());
    tell("stop", dir);
}

struct worker {
    const char *kind;
    char *dir;
    int port;
    int least;       // the number of the shortest wait that it takes part in
    double late_by;  // ms after which it begins
    unsigned seed;
    pthread_t thread;
};

static void *work(void *arg) {
    struct worker *worker = arg;
    // Not in step: those that become ready at once would delay each other's commands.
    sleep_until(now_ms() + worker->late_by);
    for (int wait; (wait = next_sample(worker->least)) >= 0;) {
        if (strcmp(worker->kind, "tcp") == 0) sample_tcp(wait, &worker->seed);
        else if (strcmp(worker->kind, "http") == 0) sample_http(wait, &worker->seed);
        else sample_postgres(wait, &worker->seed, worker->dir, worker->port, strcmp(worker->kind, "postgres-recovery") == 0);
    }
    return NULL;
}

int main(int argc, char **argv) {
    int scale = atoi(argv[2]), count = ALL_WORKERS;
    if (getenv("LONG") && *getenv("LONG")) measured = WAITS;
    afterall = argv[3];
    stamp = argv[4];
    if (argc > 5) cluster = argv[5], count = argc - 6;
    for (int i = 0; i < measured; i++) {
        results[i].wanted = scale * weight[i];
        if (!cluster && i >= FIRST_LONG) results[i].wanted *= ALL_WORKERS / WORKERS;
        results[i].values = calloc(results[i].wanted, sizeof(double));
    }
    struct worker workers[ALL_WORKERS];
    if (count > WORKERS && cluster) count = WORKERS;
    for (int i = 0; i < count; i++) {
        workers[i] = (struct worker){.kind = argv[1], .seed = time(NULL) * 31 + getpid() + i};
        workers[i].least = i < WORKERS ? 0 : FIRST_LONG;
        workers[i].late_by = cluster ? 0 : i * 10e3 / ALL_WORKERS;
        if (cluster) {
            char *colon = strrchr(workers[i].dir = argv[6 + i], ':');
            *colon = 0;
            workers[i].port = atoi(colon + 1);
        }
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i])) die("pthread_create");
    }
    for (int i = 0; i < count; i++) pthread_join(workers[i].thread, NULL);

    printf("| %s |", argv[1]);
    for (int i = 0; i < measured; i++) {
        double median = quantile(results[i].values, results[i].taken, 0.5), p95 = quantile(results[i].values, results[i].taken, 0.95);
        printf(" %.1f / %.1f (%d)", median, p95, results[i].taken);
        if (results[i].failed) printf(", %d failed", results[i].failed);
        char name[64];
        sprintf(name, "latency.%s.%g.median", argv[1], waits[i]), figure(name, median);
        sprintf(name, "latency.%s.%g.p95", argv[1], waits[i]), figure(name, p95);
        sprintf(name, "latency.%s.%g.max", argv[1], waits[i]), figure(name, quantile(results[i].values, results[i].taken, 1));
        printf(" |");
    }
    printf("\n");
    return 0;
}
