#include "lib/io/loop.h"

#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"

static const int signals[] = { SIGTERM, SIGINT, SIGHUP };

struct deferred {
    struct deferred *next;
    void (*fn)(void *arg);
    void *arg;
};

struct klx_loop {
    uv_loop_t uv;
    uv_signal_t signals[KLX_COUNT(signals)];
    uv_idle_t deferring; /* active while something is deferred: the loop then does not sleep */
    struct deferred *deferred, **deferred_tail;
    void (*on_signal)(void *arg, int signum);
    void *on_signal_arg;
    unsigned internal_open; /* handles of the loop itself that are not closed yet */
};

static void must(int rc) {
    if (rc != 0) {
        /* The system is out of descriptors or memory at the very start. */
        abort();
    }
}

static void run_deferred(uv_idle_t *idle) {
    struct klx_loop *l = idle->data;
    struct deferred *list = l->deferred;
    l->deferred = NULL;
    l->deferred_tail = &l->deferred;
    while (list != NULL) {
        struct deferred *next = list->next;
        list->fn(list->arg);
        free(list);
        list = next;
    }
    if (l->deferred == NULL) {
        uv_idle_stop(&l->deferring);
    }
}

struct klx_loop *klx_loop_new(void) {
    struct klx_loop *l = klx_alloc(struct klx_loop);
    must(uv_loop_init(&l->uv));
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < KLX_COUNT(signals); i++) {
        must(uv_signal_init(&l->uv, &l->signals[i]));
        l->signals[i].data = l;
        uv_unref((uv_handle_t *)&l->signals[i]);
    }
    must(uv_idle_init(&l->uv, &l->deferring));
    l->deferring.data = l;
    l->deferred_tail = &l->deferred;
    l->internal_open = KLX_COUNT(signals) + 1;
    return l;
}

static void on_internal_closed(uv_handle_t *h) {
    ((struct klx_loop *)h->data)->internal_open--;
}

void klx_loop_free(struct klx_loop *l) {
    for (size_t i = 0; i < KLX_COUNT(signals); i++) {
        uv_close((uv_handle_t *)&l->signals[i], on_internal_closed);
    }
    uv_close((uv_handle_t *)&l->deferring, on_internal_closed);
    while (l->internal_open > 0) {
        uv_run(&l->uv, UV_RUN_ONCE);
    }
    int rc = uv_loop_close(&l->uv);
    assert(rc == 0 && "an object of the loop was not freed");
    (void)rc;
    free(l);
}

void klx_loop_run(struct klx_loop *l) {
    uv_run(&l->uv, UV_RUN_DEFAULT);
}

void klx_loop_stop(struct klx_loop *l) {
    uv_stop(&l->uv);
}

void klx_loop_defer(struct klx_loop *l, void (*fn)(void *arg), void *arg) {
    struct deferred *d = klx_alloc(struct deferred);
    *d = (struct deferred){ .fn = fn, .arg = arg };
    *l->deferred_tail = d;
    l->deferred_tail = &d->next;
    uv_idle_start(&l->deferring, run_deferred);
}

int64_t klx_loop_now_us(struct klx_loop *l) {
    return (int64_t)uv_now(&l->uv) * 1000;
}

uv_loop_t *klx_loop_uv(struct klx_loop *l) {
    return &l->uv;
}

static void on_uv_signal(uv_signal_t *s, int signum) {
    struct klx_loop *l = s->data;
    if (l->on_signal != NULL) {
        l->on_signal(l->on_signal_arg, signum);
    }
}

void klx_loop_on_signal(struct klx_loop *l, void (*fn)(void *arg, int signum), void *arg) {
    l->on_signal = fn;
    l->on_signal_arg = arg;
    for (size_t i = 0; i < KLX_COUNT(signals); i++) {
        if (fn != NULL) {
            uv_signal_start(&l->signals[i], on_uv_signal, signals[i]);
        } else {
            uv_signal_stop(&l->signals[i]);
        }
    }
}

static void free_handle(uv_handle_t *h) {
    free(h->data);
}

struct klx_timer {
    uv_timer_t uv; /* data: this */
    void (*fn)(void *arg);
    void *arg;
};

static void on_uv_timer(uv_timer_t *uv) {
    struct klx_timer *t = uv->data;
    t->fn(t->arg);
}

struct klx_timer *klx_timer_new(struct klx_loop *l, void (*fn)(void *arg), void *arg) {
    struct klx_timer *t = klx_alloc(struct klx_timer);
    must(uv_timer_init(&l->uv, &t->uv));
    t->uv.data = t;
    t->fn = fn;
    t->arg = arg;
    return t;
}

static void timer_start(struct klx_timer *t, int64_t ms, int64_t repeat_ms) {
    uv_update_time(t->uv.loop); /* a long turn must not make the timer short */
    uv_timer_start(&t->uv, on_uv_timer, ms > 0 ? (uint64_t)ms : 0, (uint64_t)repeat_ms);
}

void klx_timer_start(struct klx_timer *t, int64_t ms) {
    timer_start(t, ms, 0);
}

void klx_timer_repeat(struct klx_timer *t, int64_t ms) {
    timer_start(t, ms, ms);
}

void klx_timer_stop(struct klx_timer *t) {
    uv_timer_stop(&t->uv);
}

bool klx_timer_active(const struct klx_timer *t) {
    return uv_is_active((const uv_handle_t *)&t->uv) != 0;
}

void klx_timer_free(struct klx_timer *t) {
    if (t != NULL) {
        uv_close((uv_handle_t *)&t->uv, free_handle);
    }
}

struct klx_fd {
    uv_poll_t uv; /* data: this */
    void (*fn)(void *arg, int events);
    void *arg;
};

static void on_uv_poll(uv_poll_t *uv, int status, int events) {
    struct klx_fd *w = uv->data;
    int ready =
        (events & UV_READABLE ? KLX_FD_READ : 0) | (events & UV_WRITABLE ? KLX_FD_WRITE : 0);
    w->fn(w->arg, status < 0 ? KLX_FD_READ | KLX_FD_WRITE : ready);
}

struct klx_fd *klx_fd_new(struct klx_loop *l, int fd, void (*fn)(void *arg, int events),
                          void *arg) {
    struct klx_fd *w = klx_alloc(struct klx_fd);
    must(uv_poll_init(&l->uv, &w->uv, fd));
    w->uv.data = w;
    w->fn = fn;
    w->arg = arg;
    return w;
}

void klx_fd_set(struct klx_fd *w, int events) {
    if (events == 0) {
        uv_poll_stop(&w->uv);
        return;
    }
    int wanted =
        (events & KLX_FD_READ ? UV_READABLE : 0) | (events & KLX_FD_WRITE ? UV_WRITABLE : 0);
    uv_poll_start(&w->uv, wanted, on_uv_poll);
}

void klx_fd_free(struct klx_fd *w) {
    if (w != NULL) {
        uv_close((uv_handle_t *)&w->uv, free_handle);
    }
}

struct klx_wakeup {
    uv_async_t uv; /* data: this */
    void (*fn)(void *arg);
    void *arg;
};

static void on_uv_async(uv_async_t *uv) {
    struct klx_wakeup *w = uv->data;
    w->fn(w->arg);
}

struct klx_wakeup *klx_wakeup_new(struct klx_loop *l, void (*fn)(void *arg), void *arg) {
    struct klx_wakeup *w = klx_alloc(struct klx_wakeup);
    must(uv_async_init(&l->uv, &w->uv, on_uv_async));
    w->uv.data = w;
    w->fn = fn;
    w->arg = arg;
    return w;
}

void klx_wakeup_send(struct klx_wakeup *w) {
    uv_async_send(&w->uv);
}

void klx_wakeup_free(struct klx_wakeup *w) {
    if (w != NULL) {
        uv_close((uv_handle_t *)&w->uv, free_handle);
    }
}

struct work {
    uv_work_t uv;
    void (*run)(void *arg);
    void (*done)(void *arg);
    void *arg;
};

static void on_work(uv_work_t *uv) {
    struct work *w = uv->data;
    w->run(w->arg);
}

static void on_work_done(uv_work_t *uv, int status) {
    (void)status; /* nothing is ever cancelled */
    struct work *w = uv->data;
    w->done(w->arg);
    free(w);
}

void klx_work_threads(unsigned n) {
    char text[16];
    snprintf(text, sizeof(text), "%u", n);
    setenv("UV_THREADPOOL_SIZE", text, 1); /* libuv has no other way */
}

void klx_work(struct klx_loop *l, void (*run)(void *arg), void (*done)(void *arg), void *arg) {
    struct work *w = klx_alloc(struct work);
    w->uv.data = w;
    w->run = run;
    w->done = done;
    w->arg = arg;
    must(uv_queue_work(&l->uv, &w->uv, on_work, on_work_done));
}
