// The floor: connects once to each address, then becomes the command. No tool that checks a port can do less.
// floor IP:PORT... -- COMMAND [ARG]...
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
    int i = 1;
    for (; i < argc && strcmp(argv[i], "--") != 0; i++) {
        char *colon = strrchr(argv[i], ':');
        if (!colon) return 64;
        *colon = 0;
        struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(atoi(colon + 1))};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (inet_pton(AF_INET, argv[i], &at.sin_addr) != 1 || connect(fd, (struct sockaddr *)&at, sizeof at) != 0) return 69;
        close(fd);
    }
    if (i + 1 >= argc) return 0;
    execvp(argv[i + 1], argv + i + 1);
    return 127;
}
