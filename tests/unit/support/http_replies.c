#include "tests/unit/support/http_replies.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/support/support.h"

/* A body may hold NUL. */
static bool is_whole(const char *request, size_t n) {
    const char *length = strstr(request, "Content-Length: ");
    const char *body = strstr(request, "\r\n\r\n");
    if (body == NULL) {
        return false;
    }
    return length == NULL ? strncmp(request, "GET ", 4) == 0
                          : n - (size_t)(body + 4 - request) >=
                                strtoul(length + strlen("Content-Length: "), NULL, 10);
}

static void reset_connection(int fd) {
    struct linger now = { .l_onoff = 1, .l_linger = 0 };
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

static void serve_one(struct http_replies *s, int fd, int i) {
    char *request = s->requests[i], byte;
    size_t n = 0;
    ssize_t got = 1;
    while (!is_whole(request, n) && got > 0) {
        got = read(fd, request + n, sizeof(s->requests[i]) - 1 - n);
        n += got > 0 ? (size_t)got : 0;
    }
    s->bytes[i] = n;
    s->served = i + 1;
    if (strcmp(s->replies[i], HTTP_REPLIES_RESET) == 0) {
        reset_connection(fd);
    } else if (strcmp(s->replies[i], HTTP_REPLIES_SILENT) == 0) {
        (void)!read(fd, &byte, 1);
    } else {
        (void)!write(fd, s->replies[i], strlen(s->replies[i]));
    }
}

static void *serve(void *arg) {
    struct http_replies *s = arg;
    for (int i = 0; s->replies[i] != NULL; i++) {
        int fd = accept(s->fd, NULL, NULL);
        serve_one(s, fd, i);
        close(fd);
    }
    return NULL;
}

void http_replies_listen(struct http_replies *s) {
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t length = sizeof(address);
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(s->fd, 4), 0);
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&address, &length), 0);
    s->port = ntohs(address.sin_port);
}

void http_replies_start(struct http_replies *s) {
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
    s->running = true;
}

void http_replies_stop(struct http_replies *s) {
    if (s->running) {
        pthread_join(s->thread, NULL);
        s->running = false;
    }
    close(s->fd);
}
