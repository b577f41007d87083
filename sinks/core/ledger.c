#include "sinks/core/ledger.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/base/backoff.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/time.h"
#include "lib/io/metrics.h"

#define CHUNK_BYTES 2048 /* a receipt; a dead letter takes more */
#define ENTRY_BYTES_MAX (8u << 20)
#define SAY_EVERY_US (30 * KLX_US_PER_S)

struct list {
    struct klx_ledger_entry *first, *last;
};

struct klx_ledger {
    struct klx_ledger_options o;
    struct list waiting, in_flight;
    struct klx_ledger_entry *latest; /* by key */
    size_t n, bytes;
    struct klx_backoff backoff;
    size_t refused_n; /* entries that were refused and are not acknowledged yet */
    bool queue_full;  /* the producer's: until the next wake-up */
    bool scheduled;
    char trouble[256];
    int64_t said_us;
    struct klx_gauge *pending;
    struct klx_counter *written;
};

struct klx_ledger *klx_ledger_new(const struct klx_ledger_options *o) {
    struct klx_ledger *l = klx_alloc(struct klx_ledger);
    l->o = *o;
    l->said_us = INT64_MIN / 2;
    klx_backoff_init(&l->backoff, 100, 500, 10000);
    l->pending = klx_gauge("klaxon_sink_ledger_records",
                           "Receipts and dead letters that Kafka has not acknowledged.", NULL);
    l->written = klx_counter("klaxon_sink_ledger_written_total",
                             "Receipts and dead letters that Kafka has acknowledged.", NULL);
    return l;
}

static void append(struct list *list, struct klx_ledger_entry *e) {
    e->prev = list->last;
    e->next = NULL;
    *(list->last != NULL ? &list->last->next : &list->first) = e;
    list->last = e;
}

static void take_out(struct list *list, struct klx_ledger_entry *e) {
    *(e->prev != NULL ? &e->prev->next : &list->first) = e->next;
    *(e->next != NULL ? &e->next->prev : &list->last) = e->prev;
}

struct klx_ledger_entry *klx_ledger_new_entry(struct klx_ledger *l) {
    struct klx_ledger_entry *e = klx_alloc(struct klx_ledger_entry);
    e->ledger = l;
    klx_arena_init(&e->arena, CHUNK_BYTES, ENTRY_BYTES_MAX);
    return e;
}

void klx_ledger_cover(struct klx_ledger_entry *e, struct klx_message *const *covered, size_t n) {
    if (n == 0) {
        return;
    }
    e->covered = klx_alloc_n(struct klx_message *, n);
    e->covered_n = n;
    for (size_t i = 0; i < n; i++) {
        e->covered[i] = klx_message_ref(covered[i]);
    }
}

void klx_ledger_drop_entry(struct klx_ledger_entry *e) {
    for (size_t i = 0; i < e->covered_n; i++) {
        klx_message_unref(e->covered[i]);
    }
    free(e->covered);
    klx_arena_release(&e->arena);
    free(e);
}

static void note_latest(struct klx_ledger *l, struct klx_ledger_entry *e) {
    struct klx_ledger_entry *before = NULL;
    if (!e->latest) {
        return;
    }
    HASH_FIND(hh, l->latest, e->record.key.p, e->record.key.n, before);
    if (before != NULL) {
        HASH_DEL(l->latest, before);
        before->outdated = true;
    }
    HASH_ADD_KEYPTR(hh, l->latest, e->record.key.p, e->record.key.n, e);
}

static void end_entry(struct klx_ledger *l, struct klx_ledger_entry *e) {
    struct klx_message *m = e->message;
    if (e->latest && !e->outdated) {
        HASH_DEL(l->latest, e);
    }
    l->n--;
    l->bytes -= e->arena.held_bytes;
    l->refused_n -= e->refused;
    if (l->refused_n == 0) {
        l->trouble[0] = '\0';
    }
    klx_gauge_set(l->pending, (double)l->n);
    klx_ledger_drop_entry(e);
    klx_message_unref(m);
}

static void free_list(struct klx_ledger *l, struct list *list) {
    while (list->first != NULL) {
        struct klx_ledger_entry *e = list->first;
        take_out(list, e);
        e->message->abandoned = true;
        for (size_t i = 0; i < e->covered_n; i++) {
            e->covered[i]->abandoned = true;
        }
        end_entry(l, e);
    }
}

void klx_ledger_free(struct klx_ledger *l) {
    if (l != NULL) {
        free_list(l, &l->waiting);
        free_list(l, &l->in_flight);
        free(l);
    }
}

static void schedule(struct klx_ledger *l) {
    if (!l->scheduled) {
        l->scheduled = true;
        l->o.schedule(l->o.arg, klx_backoff_next(&l->backoff, l->o.clock));
    }
}

static void say(struct klx_ledger *l, const char *why) {
    int64_t now_us = l->o.clock->mono_us(l->o.clock);
    snprintf(l->trouble, sizeof(l->trouble), "%s", why);
    if (now_us - l->said_us >= SAY_EVERY_US) {
        l->said_us = now_us;
        klx_log_warn("receipts wait for Kafka; offsets stay where they are until it takes them",
                     KLX_F_STR("why", why), KLX_F_INT("waiting", l->n));
    }
}

static void let_go(struct klx_ledger *l, struct klx_ledger_entry *e, const char *why) {
    const struct klx_record *of = &e->message->record;
    klx_log_error("a record of ours is larger than Kafka takes, and is not written",
                  KLX_F_STR("topic", e->record.topic), KLX_F_STR("why", why),
                  KLX_F_STR("of", of->topic), KLX_F_INT("partition", of->partition),
                  KLX_F_INT("offset", of->offset));
    end_entry(l, e);
}

static void cover_one(struct klx_ledger_entry *e, struct klx_message *m) {
    e->covered = klx_grow_array(e->covered, e->covered_n, e->covered_n + 1, sizeof(*e->covered));
    e->covered[e->covered_n++] = klx_message_ref(m);
}

/* The entry is in no list, and outdated: what it settles settles with the newest of its key, if Kafka has not taken that already. */
static void hand_over(struct klx_ledger *l, struct klx_ledger_entry *e) {
    struct klx_ledger_entry *newest = NULL;
    HASH_FIND(hh, l->latest, e->record.key.p, e->record.key.n, newest);
    if (newest != NULL) {
        cover_one(newest, e->message);
        for (size_t i = 0; i < e->covered_n; i++) {
            cover_one(newest, e->covered[i]);
        }
    }
    end_entry(l, e);
}

/* The entry is in no list. */
static void refused(struct klx_ledger *l, struct klx_ledger_entry *e, int status, const char *why) {
    if (status == -EMSGSIZE) {
        let_go(l, e, why);
        return;
    }
    if (e->outdated) {
        hand_over(l, e);
        return;
    }
    append(&l->waiting, e);
    schedule(l);
    if (status == -EAGAIN) {
        l->queue_full = true;
        return;
    }
    l->refused_n += !e->refused;
    e->refused = true;
    say(l, why);
}

static void on_produced(void *arg, int status, const char *why) {
    struct klx_ledger_entry *e = arg;
    struct klx_ledger *l = e->ledger;
    take_out(&l->in_flight, e);
    if (status != 0) {
        refused(l, e, status, why);
        return;
    }
    klx_counter_add(l->written, 1);
    if (l->waiting.first == NULL) {
        klx_backoff_reset(&l->backoff);
    }
    end_entry(l, e);
}

static void try_send(struct klx_ledger *l, struct klx_ledger_entry *e) {
    struct klx_error error = { .text = "" };
    append(&l->in_flight, e);
    int rc = l->o.send(l->o.arg, &e->record, on_produced, e, &error);
    if (rc != 0) {
        take_out(&l->in_flight, e);
        refused(l, e, rc, error.text);
    }
}

void klx_ledger_write(struct klx_ledger *l, struct klx_ledger_entry *e, struct klx_message *m) {
    e->message = klx_message_ref(m);
    l->n++;
    l->bytes += e->arena.held_bytes;
    klx_gauge_set(l->pending, (double)l->n);
    note_latest(l, e);
    if (l->queue_full) {
        append(&l->waiting, e);
    } else {
        try_send(l, e);
    }
}

void klx_ledger_wake(struct klx_ledger *l) {
    l->scheduled = false;
    l->queue_full = false;
    size_t n = l->n; /* what is refused goes to the end: each is tried once */
    while (l->waiting.first != NULL && !l->queue_full && n > 0) {
        struct klx_ledger_entry *e = l->waiting.first;
        take_out(&l->waiting, e);
        if (e->outdated) {
            hand_over(l, e);
        } else {
            try_send(l, e);
        }
        n--;
    }
}

size_t klx_ledger_pending(const struct klx_ledger *l) {
    return l->n;
}

bool klx_ledger_full(const struct klx_ledger *l) {
    return l->n >= KLX_LEDGER_MAX || l->bytes >= KLX_LEDGER_BYTES_MAX;
}

bool klx_ledger_has_room(const struct klx_ledger *l) {
    return l->n <= KLX_LEDGER_MAX / 4 * 3 && l->bytes <= KLX_LEDGER_BYTES_MAX / 4 * 3;
}

const char *klx_ledger_trouble(const struct klx_ledger *l) {
    return l->trouble;
}
