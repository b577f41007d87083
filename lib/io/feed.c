#include "lib/io/feed.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/base/mem.h"

#define PER_TURN 64 /* then the loop's other objects have their turn */

struct klx_feed {
    rd_kafka_queue_t *queue;
    bool (*take)(void *arg);
    void *arg;
    int64_t every_ms;
    int event_fd;
    struct klx_fd *fd;
    struct klx_timer *timer;
    bool taking; /* take is being called: freeing waits for its return */
    bool freed;
};

static void serve(void *arg) {
    struct klx_feed *f = arg;
    int left = PER_TURN;
    f->taking = true;
    while (left > 0 && f->take(f->arg) && !f->freed) {
        left--;
    }
    f->taking = false;
    if (f->freed) {
        klx_feed_free(f);
        return;
    }
    klx_timer_start(f->timer, left == 0 ? 0 : f->every_ms);
}

static void on_fd(void *arg, int events) {
    struct klx_feed *f = arg;
    uint64_t count = 0;
    (void)events;
    (void)!read(f->event_fd, &count, sizeof(count));
    serve(f);
}

struct klx_feed *klx_feed_new(struct klx_loop *l, rd_kafka_queue_t *queue, int64_t every_ms,
                              bool (*take)(void *arg), void *arg) {
    uint64_t one = 1;
    struct klx_feed *f = klx_alloc(struct klx_feed);
    f->queue = queue;
    f->take = take;
    f->arg = arg;
    f->every_ms = every_ms;
    f->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    f->fd = klx_fd_new(l, f->event_fd, on_fd, f);
    klx_fd_set(f->fd, KLX_FD_READ);
    f->timer = klx_timer_new(l, serve, f);
    rd_kafka_queue_io_event_enable(queue, f->event_fd, &one, sizeof(one));
    klx_timer_start(f->timer, 0); /* nothing is written for what is in the queue already */
    return f;
}

void klx_feed_wake(struct klx_feed *f) {
    klx_timer_start(f->timer, 0);
}

void klx_feed_free(struct klx_feed *f) {
    if (f == NULL) {
        return;
    }
    f->freed = true;
    if (f->taking) {
        return;
    }
    klx_timer_free(f->timer);
    klx_fd_free(f->fd);
    rd_kafka_queue_io_event_enable(f->queue, -1, NULL, 0);
    rd_kafka_queue_destroy(f->queue);
    close(f->event_fd);
    free(f);
}
