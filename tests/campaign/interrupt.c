// Starts a command many times, sends a signal at a random moment, and counts how it ended.
//   interrupt plain|pid1 SIGNAL RUNS MICROSECONDS COMMAND...
// The environment's SHARED names the file through which `pauser` says that it has begun.
// Prints: before after lost other held_lost slowest_ms
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

// Whether the process holds the signal back at this moment.
static int is_held(pid_t pid, int number) {
  char path[64], text[4096] = "";
  snprintf(path, sizeof path, "/proc/%d/status", pid);
  int fd = open(path, O_RDONLY);
  ssize_t length = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
  if (fd >= 0) close(fd);
  text[length > 0 ? length : 0] = 0;
  char *mask = strstr(text, "SigBlk:");
  return mask && (strtoull(mask + 7, 0, 16) >> (number - 1)) & 1;
}

static pid_t start(int pid1, char **command) {
  pid_t pid = pid1 ? syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0) : fork();
  if (pid) return pid;
  int null = open("/dev/null", O_RDWR);
  dup2(null, 0), dup2(null, 1), dup2(null, 2);
  execv(command[0], command);
  _exit(99);
}

int main(int count, char **args) {
  if (count < 6) return 64;
  int pid1 = !strcmp(args[1], "pid1"), number = atoi(args[2]), runs = atoi(args[3]);
  int64_t most = atoi(args[4]) * 1000LL, slowest = 0;
  int before = 0, after = 0, lost = 0, other = 0, held_lost = 0;
  int shared = open(getenv("SHARED"), O_RDWR | O_CREAT, 0600);
  if (ftruncate(shared, 4096)) return 1;
  volatile int64_t *began = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, shared, 0);
  srandom(getpid());
  for (int i = 0; i < runs; i++) {
    *began = 0;
    pid_t pid = start(pid1, args + 5);
    int64_t due = now() + random() % most;
    while (now() < due - 60000) usleep(20);
    while (now() < due) {}
    int held = is_held(pid, number);
    int64_t sent = now();
    kill(pid, number);
    // Exec may have come between the look and the signal: only a second look proves it held.
    held = held && is_held(pid, number);
    struct pollfd end = {syscall(SYS_pidfd_open, pid, 0), POLLIN, 0};
    // As PID 1 a third of the signals is lost, with any loader, and each costs this time.
    int ended = poll(&end, 1, pid1 ? 150 : 2000) == 1, status;
    int64_t took = now() - sent;
    close(end.fd);
    if (!ended) kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    if (!ended) {
      lost++;
      // The kernel drops a signal between execve and the command's own handlers: that is not ours.
      held_lost += held && *began - sent > 1000000;
      continue;
    }
    if (took > slowest) slowest = took;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) after++;
    else if (WIFEXITED(status) && WEXITSTATUS(status) == 128 + number) before++;
    else if (!WIFSIGNALED(status) || WTERMSIG(status) != number) other++;
    else if (*began && *began < sent) after++;
    else before++;
  }
  printf("%d %d %d %d %d %.1f\n", before, after, lost, other, held_lost, slowest / 1e6);
  return 0;
}
