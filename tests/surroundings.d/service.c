// The service of the tests: it reports how it was started, listens, and ends with 0 on SIGTERM.
#include <netinet/in.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void end(int signal_number) {
    char line[64];
    int length = snprintf(line, sizeof line, "service: signal %d\n", signal_number);
    _exit(write(2, line, length) != length);
}

// systemd's notification protocol: one datagram to the socket that NOTIFY_SOCKET names.
static void notify(const char *message) {
    const char *path = getenv("NOTIFY_SOCKET");
    if (!path) return;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    socklen_t length = offsetof(struct sockaddr_un, sun_path) + strlen(path);
    if (path[0] == '@') address.sun_path[0] = 0;
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    sendto(fd, message, strlen(message), 0, (void *)&address, length);
    close(fd);
}

int main(int argc, char **argv) {
    signal(SIGTERM, end);
    signal(SIGINT, end);
    fprintf(stderr, "service: started pid=%d ppid=%d uid=%d\n", getpid(), getppid(), getuid());
    int port = 8080, one = 1;
    for (int i = 1; i < argc; i++) {
        char *colon = strrchr(argv[i], ':');
        if (colon) port = atoi(colon + 1);
    }
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (bind(listener, (void *)&address, sizeof address) || listen(listener, 8)) {
        perror("service: bind");
        return 1;
    }
    fprintf(stderr, "service: listening on %d\n", port);
    notify("READY=1\nSTATUS=serving");
    for (;;) {
        static const char reply[] =
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n";
        char request[1024];
        int client = accept(listener, 0, 0);
        if (client < 0) continue;
        if (read(client, request, sizeof request) > 0) (void)!write(client, reply, sizeof reply - 1);
        close(client);
    }
}
