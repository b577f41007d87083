#include "sinks/core/parking/parking.h"

#include <stdlib.h>

#include <uthash.h>

#include "lib/base/cleanup.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/time.h"
#include "lib/io/metrics.h"

#define SCRATCH_BYTES 16384
#define SCRATCH_BYTES_MAX (8u << 20)
#define REASON_BYTES_MAX 64
#define ANSWER_BYTES_MAX 512
#define AGAIN_US (5 * KLX_US_PER_S) /* a circuit that somebody else wrote meanwhile */

/* A channel that has a circuit on klaxon.control, a parker here, or both. */
struct circuit {
    UT_hash_handle hh; /* by channel */
    struct klx_parking *parking;
    char *channel;
    struct klx_parker *parker; /* NULL: not a channel of this process */
    bool known;                /* it is on klaxon.control: */
    bool closed;
    struct klx_place drained;
    int64_t since_us;
    char *reason, *answer;

    bool writing; /* what this process wrote last is not acknowledged */
    bool wrote_closed;
    struct klx_place wrote;
    int64_t wrote_us;
};

struct klx_parking {
    struct klx_parking_options o;
    struct klx_backlog *backlog;
    struct circuit *circuits;
    struct klx_arena scratch;
    struct klx_parker **retired;
    size_t retired_n;
    bool closed, ticking;
    size_t taken;
    struct klx_gauge *taken_gauge;
};

static int64_t mono_us(const struct klx_parking *p) {
    return p->o.clock->mono_us(p->o.clock);
}

struct klx_parking *klx_parking_new(const struct klx_parking_options *o) {
    struct klx_parking *p = klx_alloc(struct klx_parking);
    p->o = *o;
    p->backlog = klx_backlog_new(o->hold_max);
    klx_arena_init(&p->scratch, SCRATCH_BYTES, SCRATCH_BYTES_MAX);
    p->taken_gauge = klx_gauge("klaxon_sink_parked_in_hand",
                               "Deliveries read from klaxon.retry that are not done.", NULL);
    return p;
}

void klx_parking_free(struct klx_parking *p) {
    if (p == NULL) {
        return;
    }
    for (struct circuit *c = p->circuits; c != NULL; c = c->hh.next) {
        klx_parker_free(c->parker);
        c->parker = NULL;
    }
    while (p->retired_n > 0) {
        klx_parker_free(p->retired[--p->retired_n]);
    }
    free(p->retired);
    while (p->circuits != NULL) {
        struct circuit *c = p->circuits;
        HASH_DEL(p->circuits, c);
        free(c->channel);
        free(c->reason);
        free(c->answer);
        free(c);
    }
    klx_backlog_free(p->backlog);
    klx_arena_release(&p->scratch);
    free(p);
}

static struct circuit *look_up(const struct klx_parking *p, struct klx_sv channel) {
    struct circuit *c = NULL;
    HASH_FIND(hh, p->circuits, channel.p, channel.n, c);
    return c;
}

static struct circuit *find_circuit(struct klx_parking *p, struct klx_sv channel) {
    struct circuit *c = look_up(p, channel);
    if (c == NULL) {
        c = klx_alloc(struct circuit);
        *c = (struct circuit){ .parking = p,
                               .channel = klx_sv_dup(channel),
                               .drained = { -1, -1 },
                               .wrote = { -1, -1 },
                               .since_us = KLX_TIME_NONE,
                               .wrote_us = INT64_MIN / 2 };
        HASH_ADD_KEYPTR(hh, p->circuits, c->channel, channel.n, c);
    }
    return c;
}

void klx_parking_add(struct klx_parking *p, const char *channel, struct klx_parker *parker) {
    struct circuit *c = find_circuit(p, klx_sv(channel));
    if (c->parker != NULL) {
        p->retired =
            klx_grow_array(p->retired, p->retired_n, p->retired_n + 1, sizeof(struct klx_parker *));
        p->retired[p->retired_n++] = c->parker; /* something may still be on its way */
    }
    c->parker = parker;
}

void klx_parking_limit(struct klx_parking *p, size_t hold_max) {
    klx_backlog_limit(p->backlog, hold_max);
}

void klx_parking_assigned(struct klx_parking *p, int32_t partition) {
    klx_backlog_assign(p->backlog, partition);
}

void klx_parking_revoked(struct klx_parking *p, int32_t partition) {
    klx_backlog_revoke(p->backlog, partition);
}

void klx_parking_given(struct klx_parking *p) {
    for (struct circuit *c = p->circuits; c != NULL; c = c->hh.next) {
        if (c->parker != NULL) {
            klx_parker_given(c->parker);
        }
    }
}

void klx_parking_known(struct klx_parking *p, const int64_t *ends, size_t n) {
    for (struct circuit *c = p->circuits; c != NULL; c = c->hh.next) {
        if (c->known && klx_place_is_in(c->drained, ends, n)) {
            klx_backlog_resume(p->backlog, klx_sv(c->channel), c->drained);
        } else {
            c->drained = (struct klx_place){ -1, -1 };
        }
        if (c->parker != NULL) {
            klx_parker_known(c->parker, ends, n);
        }
    }
}

static void keep_mark(struct circuit *c, const struct klx_circuit_mark *m) {
    free(c->reason);
    free(c->answer);
    c->known = true;
    c->closed = m->closed;
    c->drained = m->drained;
    c->since_us = m->since_us;
    c->reason = klx_sv_dup(klx_sv_utf8_prefix(m->reason, REASON_BYTES_MAX));
    c->answer = klx_sv_dup(klx_sv_utf8_prefix(m->answer, ANSWER_BYTES_MAX));
}

static void forget_mark(struct circuit *c) {
    if (c == NULL) {
        return;
    }
    c->known = false;
    c->drained = (struct klx_place){ -1, -1 };
    if (c->parker != NULL) {
        klx_parker_circuit(c->parker, NULL);
    }
}

static void write_marks(struct klx_parking *p, bool tick);

bool klx_parking_control(struct klx_parking *p, struct klx_sv key, struct klx_sv value) {
    struct klx_sv channel = klx_circuit_channel(key);
    struct klx_circuit_mark m;
    struct klx_error e = { .text = "" };
    if (channel.n == 0) {
        return false;
    }
    if (value.p == NULL) {
        forget_mark(look_up(p, channel));
        return true;
    }
    klx_arena_reset(&p->scratch);
    if (klx_circuit_decode(&p->scratch, value, &m, &e) != 0) {
        klx_log_warn("a circuit on klaxon.control cannot be read, and is passed over",
                     KLX_F_SV("key", key), KLX_F_STR("why", e.text));
    } else if (klx_sv_eq(m.sink, klx_sv(p->o.sink))) {
        struct circuit *c = find_circuit(p, channel);
        keep_mark(c, &m);
        if (c->parker != NULL) {
            klx_parker_circuit(c->parker, &m);
        }
        write_marks(p, false);
    }
    return true;
}

static void on_mark_placed(void *arg, int status, const char *why, int32_t partition,
                           int64_t offset) {
    (void)partition;
    (void)offset;
    struct circuit *c = arg;
    c->writing = false;
    if (status != 0) {
        klx_log_debug("a circuit was not written, trying again", KLX_F_STR("channel", c->channel),
                      KLX_F_STR("why", why));
        c->wrote_us = INT64_MIN / 2;
        c->wrote = (struct klx_place){ -1, -1 };
    }
}

static void write_mark(struct klx_parking *p, struct circuit *c, bool closed,
                       struct klx_place drained) {
    struct klx_circuit_record r KLX_CLEANUP(klx_circuit_record_release);
    struct klx_error e = { .text = "" };
    int64_t now_us = p->o.clock->wall_us(p->o.clock);
    bool same = c->known && c->closed == closed;
    const struct klx_circuit_mark m = {
        .closed = closed,
        .sink = klx_sv(p->o.sink),
        .drained = drained,
        .since_us = same && c->since_us != KLX_TIME_NONE ? c->since_us : now_us,
        .updated_us = now_us,
        .reason = closed ? klx_sv("") : klx_sv(c->reason),
        .answer = closed ? klx_sv("") : klx_sv(c->answer),
    };
    if (klx_circuit_record_init(&r, p->o.control_topic, klx_sv(c->channel), &m) == 0 &&
        p->o.place(p->o.arg, &r.record, on_mark_placed, c, &e) == 0) {
        c->writing = true;
        c->wrote = drained;
        c->wrote_closed = closed;
        c->wrote_us = mono_us(p);
    }
}

/* Whether klaxon.control says less of the channel than is known here. */
static bool needs_mark(const struct klx_parking *p, const struct circuit *c,
                       const struct klx_backlog_progress *b) {
    const struct klx_place last = { b->drained.partition, b->last_seen };
    bool mine = c->known && c->drained.partition == b->drained.partition;
    if (b->closed) {
        return (mine && !c->closed) ||
               (b->last_seen >= 0 && (!c->known || !klx_place_covers(c->drained, last)));
    }
    if (!p->ticking || !b->holds) {
        return false;
    }
    return !c->known || c->closed || !mine || c->drained.offset < b->drained.offset;
}

static void look_at(void *arg, const struct klx_backlog_progress *b) {
    struct klx_parking *p = arg;
    struct circuit *c = find_circuit(p, b->channel);
    p->taken += b->taken;
    if (c->writing || !needs_mark(p, c, b)) {
        return;
    }
    bool same = c->wrote_closed == b->closed && c->wrote.partition == b->drained.partition &&
                c->wrote.offset == b->drained.offset;
    if (!same || mono_us(p) - c->wrote_us > AGAIN_US) {
        write_mark(p, c, b->closed, b->drained);
    }
}

static void write_marks(struct klx_parking *p, bool tick) {
    if (p->closed) {
        return;
    }
    p->ticking = tick;
    p->taken = 0;
    klx_backlog_each(p->backlog, look_at, p);
    klx_gauge_set(p->taken_gauge, (double)p->taken);
}

static void go_on(struct klx_parking *p, int32_t partition) {
    int64_t to = 0, settled = klx_backlog_settled(p->backlog, partition);
    if (p->closed) {
        return;
    }
    if (klx_backlog_seek_to(p->backlog, partition, &to)) {
        p->o.seek(p->o.arg, partition, to);
    }
    if (settled >= 0) {
        p->o.store(p->o.arg, partition, settled);
    }
}

static void take(struct klx_parking *p, const struct klx_record *r, struct klx_backlog_item *item) {
    struct klx_parked parked;
    struct klx_error e = { .text = "" };
    klx_arena_reset(&p->scratch);
    if (klx_parked_decode(&p->scratch, r, &parked, &e) != 0) {
        p->o.unreadable(p->o.arg, r, e.text, item);
    } else {
        p->o.deliver(p->o.arg, &parked, item);
    }
}

void klx_parking_record(struct klx_parking *p, const struct klx_record *r) {
    struct klx_sv sink, channel;
    klx_parked_whose(r, &sink, &channel);
    bool mine = klx_sv_eq(sink, klx_sv(p->o.sink));
    struct klx_backlog_item *item =
        klx_backlog_read(p->backlog, r->partition, r->offset, mine ? channel : klx_sv(""));
    if (item != NULL) {
        p->taken++;
        take(p, r, item);
    }
    go_on(p, r->partition);
}

void klx_parking_end(struct klx_parking *p, int32_t partition, int64_t next) {
    klx_backlog_end(p->backlog, partition, next);
    go_on(p, partition);
    write_marks(p, false);
}

void klx_parking_done(struct klx_parking *p, struct klx_backlog_item *item) {
    int32_t partition = klx_backlog_partition(item);
    klx_backlog_done(p->backlog, item);
    if (partition >= 0) {
        go_on(p, partition);
        write_marks(p, false);
    }
}

void klx_parking_look(struct klx_parking *p) {
    write_marks(p, true);
}

void klx_parking_close(struct klx_parking *p) {
    write_marks(p, true);
    p->closed = true;
}

size_t klx_parking_taken(const struct klx_parking *p) {
    return p->taken;
}
