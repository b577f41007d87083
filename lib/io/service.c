#include "lib/io/service.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/sv.h"

#define US_PER_MS 1000

struct klx_service {
    int fd; /* -1: nobody listens */
    struct klx_timer *watchdog;
};

/* A path, or with '@' a name of the abstract namespace. 0: neither. */
static socklen_t address_of(const char *name, struct sockaddr_un *ret) {
    size_t n = strlen(name);
    if ((name[0] != '/' && name[0] != '@') || n < 2 || n >= sizeof(ret->sun_path)) {
        return 0;
    }
    *ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
    memcpy(ret->sun_path, name, n);
    if (name[0] == '@') {
        ret->sun_path[0] = '\0';
    }
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
}

static int open_socket(const char *name) {
    struct sockaddr_un address;
    socklen_t n = address_of(name, &address);
    int fd = n > 0 ? socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) : -1;
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, n) != 0) {
        close(fd);
        fd = -1;
    }
    if (fd < 0) {
        klx_log_warn("the service manager cannot be told: $NOTIFY_SOCKET leads nowhere",
                     KLX_F_STR("socket", name));
    }
    return fd;
}

/* One that is lost is followed by the next; READY is sent to a queue that is empty. */
static void say(const struct klx_service *s, const char *what) {
    if (s->fd >= 0 && send(s->fd, what, strlen(what), MSG_NOSIGNAL) < 0) {
        klx_log_debug("the service manager did not take a word", KLX_F_STR("word", what),
                      KLX_F_STR("why", strerror(errno)));
    }
}

static void on_watchdog(void *arg) {
    say(arg, "WATCHDOG=1");
}

/* The process may be a child of the one that is watched: $WATCHDOG_PID says which. */
static int64_t watchdog_us(void) {
    const char *us = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    int64_t interval = 0, watched = 0;
    if (pid != NULL && (klx_sv_int(klx_sv(pid), &watched) != 0 || watched != getpid())) {
        return 0;
    }
    return us != NULL && klx_sv_int(klx_sv(us), &interval) == 0 ? interval : 0;
}

static void start_watchdog(struct klx_service *s) {
    int64_t ms = watchdog_us() / 2 / US_PER_MS;
    if (ms > 0) {
        klx_timer_repeat(s->watchdog, ms);
    }
}

struct klx_service *klx_service_new(struct klx_loop *l) {
    struct klx_service *s = klx_alloc(struct klx_service);
    const char *name = getenv("NOTIFY_SOCKET");
    s->fd = name != NULL ? open_socket(name) : -1;
    s->watchdog = klx_timer_new(l, on_watchdog, s);
    say(s, "READY=1");
    start_watchdog(s);
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    return s;
}

void klx_service_stopping(struct klx_service *s) {
    say(s, "STOPPING=1");
}

void klx_service_free(struct klx_service *s) {
    if (s != NULL) {
        klx_timer_free(s->watchdog);
        if (s->fd >= 0) {
            close(s->fd);
        }
        free(s);
    }
}
