#include "sinks/core/follow.h"

#include <stdlib.h>

#include "lib/base/mem.h"

struct waiter {
    struct waiter *next;
    void (*done)(void *arg);
    void *arg;
};

struct klx_follow {
    struct klx_follow_callbacks cb;
    struct klx_reader *reader;
    char *topic;
    bool caught_up;
    bool syncing; /* the reader is asked, for those in `asked` */
    bool in_callback, freed;
    struct waiter *asked, *later; /* of this sync, and of the next one */
};

static void on_record(void *arg, const struct klx_record *r) {
    struct klx_follow *f = arg;
    f->cb.on_record(f->cb.arg, r->key, r->value);
}

static void on_trouble(void *arg, const char *what) {
    struct klx_follow *f = arg;
    f->cb.on_trouble(f->cb.arg, what);
}

static void on_denied(void *arg, const char *topic, const char *why) {
    struct klx_follow *f = arg;
    (void)topic;
    if (f->cb.on_denied != NULL) {
        f->cb.on_denied(f->cb.arg, why);
    }
}

static void add_last(struct waiter **list, struct waiter *w) {
    while (*list != NULL) {
        list = &(*list)->next;
    }
    *list = w;
}

static void on_synced(void *arg);

static void begin_sync(struct klx_follow *f) {
    f->syncing = true;
    f->asked = f->later;
    f->later = NULL;
    klx_reader_sync(f->reader, on_synced, f);
}

static void free_list(struct waiter *w) {
    while (w != NULL) {
        struct waiter *next = w->next;
        free(w);
        w = next;
    }
}

static void end_follow(struct klx_follow *f) {
    free_list(f->asked);
    free_list(f->later);
    free(f->topic);
    free(f);
}

/* What is asked for from in here waits for the next sync. */
static void call_waiters(struct klx_follow *f) {
    while (f->asked != NULL && !f->freed) {
        struct waiter *w = f->asked;
        void (*done)(void *arg) = w->done;
        void *done_arg = w->arg;
        f->asked = w->next;
        free(w);
        done(done_arg);
    }
}

static void on_synced(void *arg) {
    struct klx_follow *f = arg;
    bool first = !f->caught_up;
    f->caught_up = true;
    f->in_callback = true;
    if (first && f->cb.on_caught_up != NULL) {
        f->cb.on_caught_up(f->cb.arg);
    }
    call_waiters(f);
    f->in_callback = false;
    f->syncing = false;
    if (f->freed) {
        end_follow(f);
    } else if (f->later != NULL) {
        begin_sync(f);
    }
}

int klx_follow_new(struct klx_loop *l, const struct klx_kafka_config *kafka, const char *topic,
                   const struct klx_follow_callbacks *cb, struct klx_follow **ret,
                   struct klx_error *e) {
    struct klx_follow *f = klx_alloc(struct klx_follow);
    f->cb = *cb;
    f->topic = klx_strdup(topic);
    const char *const topics[] = { f->topic };
    const struct klx_reader_options o = { .kafka = kafka,
                                          .topics = topics,
                                          .topics_n = 1,
                                          .start = KLX_READER_BEGINNING,
                                          .uncommitted = true };
    const struct klx_reader_callbacks reader_cb = { .on_record = on_record,
                                                    .on_trouble = on_trouble,
                                                    .on_denied = on_denied,
                                                    .on_fatal = on_trouble,
                                                    .arg = f };
    int rc = klx_reader_new(l, &o, &reader_cb, &f->reader, e);
    if (rc != 0) {
        end_follow(f);
        return rc;
    }
    begin_sync(f); /* the first: what is there at the start */
    *ret = f;
    return 0;
}

void klx_follow_sync(struct klx_follow *f, void (*done)(void *arg), void *arg) {
    struct waiter *w = klx_alloc(struct waiter);
    *w = (struct waiter){ .done = done, .arg = arg };
    add_last(&f->later, w);
    if (!f->syncing) {
        begin_sync(f);
    }
}

static void forget_in(struct waiter **list, const void *arg) {
    while (*list != NULL) {
        struct waiter *w = *list;
        if (w->arg == arg) {
            *list = w->next;
            free(w);
        } else {
            list = &w->next;
        }
    }
}

void klx_follow_forget(struct klx_follow *f, const void *arg) {
    if (f != NULL) {
        forget_in(&f->asked, arg);
        forget_in(&f->later, arg);
    }
}

bool klx_follow_is_caught_up(const struct klx_follow *f) {
    return f->caught_up;
}

void klx_follow_free(struct klx_follow *f) {
    if (f == NULL) {
        return;
    }
    klx_reader_free(f->reader);
    f->freed = true;
    if (!f->in_callback) {
        end_follow(f);
    }
}
