/*
 * The other side of a sink that is measured: an HTTP server on loopback that takes everything at once, and remembers when each request was
 * there whole.
 *
 *     bench-answer [STATUS [PORT]]   → "PORT\n" on stdout, then it serves until its stdin ends; STATUS: 200 unless given; "hang": it takes
 *                                      every request and never answers; PORT: any. At the end it prints what
 *                                      GET /taken tells, so that nothing is taken behind that
 *
 *     POST /anything                 remembered under the header ce-id or webhook-id, or else without an id
 *     GET /count                     how many were taken
 *     GET /taken                     a line for each: path, id, nanoseconds (CLOCK_MONOTONIC), bytes of the body
 *
 * Responses have no date and no other header than they need: what is measured is the sink.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define REQUEST_BYTES_MAX (4 << 20)
#define PATH_BYTES 48
#define ID_BYTES 48

struct taken {
    char path[PATH_BYTES], id[ID_BYTES];
    int64_t at_ns;
    size_t bytes;
};

struct connection {
    int fd;
    char *data;
    size_t n, room;
};

static struct taken *taken;
static size_t taken_n, taken_room;
static const char *status = "200 OK";
static bool hangs;
static int poller;

static void die(const char *what) {
    fprintf(stderr, "bench-answer: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void *grown(void *p, size_t bytes) {
    void *q = realloc(p, bytes);
    if (q == NULL) {
        die("memory");
    }
    return q;
}

static void put(int fd, const char *data, size_t n) {
    while (n > 0) {
        ssize_t sent = write(fd, data, n);
        if (sent < 0 && errno == EAGAIN) {
            usleep(100);
        } else if (sent <= 0) {
            return; /* the reader sees it, too */
        } else {
            data += sent;
            n -= (size_t)sent;
        }
    }
}

/* The header's value, up to the end of its line; "" when it is not there. `head` ends with a NUL. */
static void header(const char *head, const char *name, char *out, size_t bytes) {
    size_t n = strlen(name);
    out[0] = '\0';
    for (const char *line = strstr(head, "\r\n"); line != NULL; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, n) == 0 && line[n] == ':') {
            const char *value = line + n + 1 + strspn(line + n + 1, " ");
            snprintf(out, bytes, "%.*s", (int)strcspn(value, "\r\n"), value);
            return;
        }
    }
}

static void remember(const char *head, size_t body_bytes) {
    if (taken_n == taken_room) {
        taken_room = taken_room > 0 ? 2 * taken_room : 65536;
        taken = grown(taken, taken_room * sizeof(*taken));
    }
    struct taken *t = &taken[taken_n++];
    *t = (struct taken){ .at_ns = now_ns(), .bytes = body_bytes };
    const char *path = strchr(head, ' ');
    if (path != NULL) {
        snprintf(t->path, sizeof(t->path), "%.*s", (int)strcspn(path + 1, " ?"), path + 1);
    }
    header(head, "ce-id", t->id, sizeof(t->id));
    if (t->id[0] == '\0') {
        header(head, "webhook-id", t->id, sizeof(t->id));
    }
}

static void answer(int fd, const char *body, size_t n) {
    char head[128];
    int length = snprintf(head, sizeof(head), "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n",
                          body == NULL ? status : "200 OK", n);
    put(fd, head, (size_t)length);
    put(fd, body, n);
}

static char *taken_text(size_t *ret_n) {
    char *text = grown(NULL, taken_n * (PATH_BYTES + ID_BYTES + 48) + 1);
    size_t n = 0;
    for (size_t i = 0; i < taken_n; i++) {
        n += (size_t)sprintf(text + n, "%s %s %" PRId64 " %zu\n", taken[i].path,
                             taken[i].id[0] != '\0' ? taken[i].id : "-", taken[i].at_ns,
                             taken[i].bytes);
    }
    *ret_n = n;
    return text;
}

static void tell_taken(int fd) {
    size_t n = 0;
    char *text = taken_text(&n);
    answer(fd, text, n);
    free(text);
}

static void print_taken(void) {
    size_t n = 0;
    char *text = taken_text(&n);
    fwrite(text, 1, n, stdout);
    free(text);
}

static void serve(const struct connection *c, const char *head, size_t body_bytes) {
    char count[32];
    if (strncmp(head, "GET /count", 10) == 0) {
        int n = snprintf(count, sizeof(count), "%zu\n", taken_n);
        answer(c->fd, count, (size_t)n);
    } else if (strncmp(head, "GET /taken", 10) == 0) {
        tell_taken(c->fd);
    } else {
        remember(head, body_bytes);
        if (!hangs) {
            answer(c->fd, NULL, 0);
        }
    }
}

/* The bytes of the first whole request, 0 when there is none yet. */
static size_t take(struct connection *c) {
    char length[32];
    char *end = c->n > 0 ? memmem(c->data, c->n, "\r\n\r\n", 4) : NULL;
    if (end == NULL) {
        return 0;
    }
    size_t head = (size_t)(end - c->data) + 4;
    char kept = c->data[head - 2];
    c->data[head - 2] = '\0';
    header(c->data, "Content-Length", length, sizeof(length));
    size_t body = strtoul(length, NULL, 10);
    bool whole = c->n >= head + body;
    if (whole) {
        serve(c, c->data, body);
    }
    c->data[head - 2] = kept;
    return whole ? head + body : 0;
}

static void drop(struct connection *c) {
    close(c->fd);
    free(c->data);
    free(c);
}

static void on_readable(struct connection *c) {
    if (c->room - c->n < 65536) {
        c->room = c->room > 0 ? 2 * c->room : 131072;
        c->data = grown(c->data, c->room + 1);
    }
    ssize_t got = read(c->fd, c->data + c->n, c->room - c->n);
    if (got < 0 && errno == EAGAIN) {
        return;
    }
    if (got <= 0 || c->n + (size_t)got > REQUEST_BYTES_MAX) {
        drop(c);
        return;
    }
    c->n += (size_t)got;
    for (size_t used = take(c); used > 0; used = take(c)) {
        memmove(c->data, c->data + used, c->n - used);
        c->n -= used;
    }
}

static void watch(int fd, void *what) {
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = what };
    if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) != 0) {
        die("epoll_ctl");
    }
}

static int listen_on(uint16_t port) {
    struct sockaddr_in at = { .sin_family = AF_INET,
                              .sin_port = htons(port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) != 0 ||
        bind(fd, (struct sockaddr *)&at, n) != 0 || listen(fd, 1024) != 0 ||
        getsockname(fd, (struct sockaddr *)&at, &n) != 0) {
        die("listen");
    }
    printf("%u\n", ntohs(at.sin_port));
    fflush(stdout);
    return fd;
}

int main(int argc, char **argv) {
    static int listener_mark, stdin_mark;
    status = argc > 1 ? argv[1] : status;
    hangs = strcmp(status, "hang") == 0;
    poller = epoll_create1(EPOLL_CLOEXEC);
    int listener = listen_on(argc > 2 ? (uint16_t)strtoul(argv[2], NULL, 10) : 0);
    watch(listener, &listener_mark);
    watch(STDIN_FILENO, &stdin_mark);
    for (;;) {
        struct epoll_event events[64];
        int n = epoll_wait(poller, events, 64, -1);
        for (int i = 0; i < n; i++) {
            void *what = events[i].data.ptr;
            if (what == &stdin_mark) {
                print_taken();
                return 0; /* whoever began it has gone */
            }
            if (what == &listener_mark) {
                struct connection *c = calloc(1, sizeof(*c));
                if (c == NULL) {
                    die("memory");
                }
                c->fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
                watch(c->fd, c);
            } else {
                on_readable(what);
            }
        }
    }
}
