/* Two programs, told apart by the name that they are started under.
 *
 * odd OP... -- PROGRAM ARG...   puts this process into an odd state and becomes PROGRAM
 * inspect ARG...                writes all that a process inherits to the file $REPORT
 * handler                       ends with 99 on SIGTERM, for which it has a handler as early as a program can have one
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

extern char **environ;

static void fail(const char *what) {
    perror(what);
    _exit(111);
}

static void shown(FILE *out, const char *text) {
    for (const unsigned char *c = (const unsigned char *)text; *c; c++)
        fprintf(out, *c < 32 || *c > 126 ? "\\x%02x" : "%c", *c);
}

/* Numbers of pipes and sockets differ from run to run. */
static void without_number(char *link) {
    char *open = strchr(link, '[');
    if (open) *open = 0;
}

static int inspect(int argc, char **argv) {
    const char *path = getenv("REPORT");
    char *text = NULL;
    size_t size = 0;
    /* Written to memory first, so that the report's own descriptor is not reported. */
    FILE *out = open_memstream(&text, &size);
    fprintf(out, "pid %d\n", getpid());
    for (int i = 0; i < argc; i++) fprintf(out, "argv "), shown(out, argv[i]), fprintf(out, "\n");
    for (char **e = environ; *e; e++) {
        char own[64];
        snprintf(own, sizeof own, "LISTEN_PID=%d", getpid());
        fprintf(out, "env "), shown(out, strcmp(*e, own) ? *e : "LISTEN_PID=own"), fprintf(out, "\n");
    }
    char cwd[4096], line[4096];
    fprintf(out, "cwd %s\n", getcwd(cwd, sizeof cwd) ? cwd : "none");
    FILE *status = fopen("/proc/self/status", "r");
    static const char *fields[] = {"Name", "Umask", "Uid", "Gid", "Groups", "Threads", "SigPnd", "ShdPnd", "SigBlk", "SigIgn",
                                   "SigCgt", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp:"};
    while (status && fgets(line, sizeof line, status))
        for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
            if (!strncmp(line, fields[i], strlen(fields[i]))) {
                /* Two real-time signals are the C library's own, for its threads; no program can set them. */
                unsigned long long set;
                if (sscanf(line, "SigIgn: %llx", &set) == 1)
                    fprintf(out, "SigIgn:\t%016llx\n", set & ~0x180000000ULL);
                else
                    fputs(line, out);
            }
    if (status) fclose(status);
    DIR *fds = opendir("/proc/self/fd");
    for (struct dirent *entry; fds && (entry = readdir(fds));) {
        int fd = atoi(entry->d_name);
        if (entry->d_name[0] == '.' || fd == dirfd(fds)) continue;
        char link[4096] = "", name[64];
        snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
        if (readlink(name, link, sizeof link - 1) < 0) continue;
        without_number(link);
        fprintf(out, "fd %d status=%o descriptor=%o %s\n", fd, fcntl(fd, F_GETFL), fcntl(fd, F_GETFD), link);
    }
    if (fds) closedir(fds);
    for (int i = 0; i < RLIM_NLIMITS; i++) {
        struct rlimit limit;
        if (!getrlimit(i, &limit)) fprintf(out, "limit %d %lx %lx\n", i, (long)limit.rlim_cur, (long)limit.rlim_max);
    }
    int death = 0;
    prctl(PR_GET_PDEATHSIG, &death);
    fprintf(out, "pdeathsig %d dumpable %d slack %d\n", death, prctl(PR_GET_DUMPABLE), prctl(PR_GET_TIMERSLACK));
    fprintf(out, "nice %d policy %d leads-group %d leads-session %d\n", getpriority(PRIO_PROCESS, 0), sched_getscheduler(0),
            getpgrp() == getpid(), getsid(0) == getpid());
    fclose(out);
    /* Beside and renamed, so that nobody reads half of it. */
    char beside[4096];
    snprintf(beside, sizeof beside, "%s.unfinished", path ? path : "");
    FILE *file = fopen(beside, "w");
    if (!file) fail("REPORT");
    fwrite(text, 1, size, file);
    fclose(file);
    return rename(beside, path) ? 111 : 0;
}

static void on_term(int signal) {
    (void)signal;
    _exit(99);
}

static int handler(void) {
    signal(SIGTERM, on_term);
    for (;;) pause();
}

static void move(int from, int to) {
    if (from == to) return;
    if (dup2(from, to) < 0) fail("dup2");
    close(from);
}

/* A pipe in place of stderr: with no reader, or with one that never reads (its end is descriptor 9). */
static void replace_stderr(int broken, int room) {
    int ends[2];
    if (pipe(ends)) fail("pipe");
    if (broken) close(ends[0]);
    else move(ends[0], 9);
    move(ends[1], 2);
    if (broken) return;
    char page[4096];
    memset(page, '.', sizeof page);
    int flags = fcntl(2, F_GETFL);
    fcntl(2, F_SETFL, flags | O_NONBLOCK);
    while (write(2, page, sizeof page) > 0) {}
    fcntl(2, F_SETFL, flags);
    if (room && read(9, page, sizeof page) < 0) fail("read");
}

static void one(const char *op) {
    const char *value = strchr(op, '=');
    size_t length = value ? (size_t)(value - op) : strlen(op);
    int n = value ? atoi(value + 1) : 0;
    char name[64] = "";
    memcpy(name, op, length < 63 ? length : 63);
    if (!strcmp(name, "block")) {
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, n);
        sigprocmask(SIG_BLOCK, &set, NULL);
    } else if (!strcmp(name, "ignore")) {
        signal(n, SIG_IGN);
    } else if (!strcmp(name, "close")) {
        close(n);
    } else if (!strcmp(name, "open")) {
        move(open("/etc/passwd", O_RDONLY), n);
    } else if (!strcmp(name, "nonblock")) {
        if (fcntl(n, F_SETFL, fcntl(n, F_GETFL) | O_NONBLOCK)) fail("nonblock");
    } else if (!strcmp(name, "listen")) {
        struct sockaddr_un any = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        if (bind(fd, (struct sockaddr *)&any, sizeof(sa_family_t)) || listen(fd, 1)) fail("listen");
        move(fd, n);
        char pid[32];
        snprintf(pid, sizeof pid, "%d", getpid());
        setenv("LISTEN_PID", pid, 1);
        setenv("LISTEN_FDS", "1", 1);
    } else if (!strcmp(name, "umask")) {
        umask(strtol(value + 1, NULL, 8));
    } else if (!strcmp(name, "nofile") || !strcmp(name, "core") || !strcmp(name, "stack")) {
        int which = name[0] == 'n' ? RLIMIT_NOFILE : name[0] == 'c' ? RLIMIT_CORE : RLIMIT_STACK;
        struct rlimit limit;
        getrlimit(which, &limit);
        limit.rlim_cur = strcmp(value + 1, "max") ? (rlim_t)n : limit.rlim_max;
        if (setrlimit(which, &limit)) fail("setrlimit");
    } else if (!strcmp(name, "nice")) {
        if (setpriority(PRIO_PROCESS, 0, n)) fail("nice");
    } else if (!strcmp(name, "broken-stderr")) {
        replace_stderr(1, 0);
    } else if (!strcmp(name, "full-stderr")) {
        replace_stderr(0, 0);
    } else if (!strcmp(name, "nearly-full-stderr")) {
        replace_stderr(0, 1);
    } else {
        errno = EINVAL;
        fail(op);
    }
}

int main(int argc, char **argv) {
    const char *name = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];
    if (!strcmp(name, "handler")) return handler();
    if (!strcmp(name, "inspect")) return inspect(argc, argv);
    int direct = 0;
    /* What the test's own surroundings left open is not the test's. */
    close_range(3, ~0U, 0);
    for (argv++; *argv && strcmp(*argv, "--"); argv++) {
        if (!strcmp(*argv, "direct")) direct = 1;
        else one(*argv);
    }
    /* Directly: without the chain-loader in between, whose own words end at the next --. */
    if (direct)
        for (argv++; *argv && strcmp(*argv, "--"); argv++) {}
    if (!*argv || !argv[1]) return 112;
    execvp(argv[1], argv + 1);
    fail(argv[1]);
}
