// The fleet's command: appends to the file STAMPS when it began.
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int main(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  int64_t now = t.tv_sec * 1000000000LL + t.tv_nsec;
  int file = open(getenv("STAMPS"), O_WRONLY | O_APPEND);
  return write(file, &now, sizeof now) != sizeof now;
}
