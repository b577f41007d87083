#include "sinks/core/parking/parker.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/base/backoff.h"
#include "lib/base/cleanup.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/time.h"
#include "lib/io/metrics.h"
#include "sinks/core/parking/parked.h"
#include "sinks/core/receipt.h"

#define CHUNK_BYTES 4096
#define ENTRY_BYTES_MAX (8u << 20)
#define REST_US (30 * KLX_US_PER_S) /* after a topic that does not take anything */

/* One delivery on its way to klaxon.retry. */
struct entry {
    struct entry *next;
    struct klx_parker *parker;
    struct klx_delivery *delivery;
    struct klx_arena arena;
    struct klx_record record;
    bool in_flight, acknowledged;
};

struct klx_parker {
    struct klx_parker_options o;
    struct klx_gate gate;
    struct klx_delivery *held, **held_tail;
    size_t held_n;
    struct entry *writing, **writing_tail;
    size_t writing_n, in_flight;
    struct klx_backoff backoff;
    int64_t
        again_us; /* monotonic: when what was refused is written again; INT64_MAX: nothing was */
    int64_t hold_until_us; /* of CLOSING; INT64_MAX: nothing is held for it */
    int64_t rest_until_us; /* nothing is opened before */
    bool has_topic, closed;
    bool retired; /* nothing is written any more, and what is refused goes back */

    bool waits_first; /* for klx_parker_put_first */
    enum { MARK_NONE, MARK_SENT, MARK_DONE, MARK_FAILED } mark;
    bool mark_in_flight;
    bool parked_any; /* since it was opened */
    struct klx_verdict why;
    int64_t not_before_us, since_us; /* wall */
    char trouble[256];
    struct {
        struct klx_counter *parked;
        struct klx_gauge *state, *waiting;
    } metrics;
};

static int64_t mono_us(const struct klx_parker *p) {
    return p->o.clock->mono_us(p->o.clock);
}

static int64_t wall_us(const struct klx_parker *p) {
    return p->o.clock->wall_us(p->o.clock);
}

struct klx_parker *klx_parker_new(const struct klx_parker_options *o) {
    struct klx_parker *p = klx_alloc(struct klx_parker);
    const struct klx_label labels[] = { { "sink", o->sink },
                                        { "channel", o->channel },
                                        { NULL, NULL } };
    p->o = *o;
    p->o.channel = klx_strdup(o->channel);
    klx_gate_init(&p->gate);
    p->held_tail = &p->held;
    p->writing_tail = &p->writing;
    klx_backoff_init(&p->backoff, 100, 500, 10000);
    p->again_us = p->hold_until_us = INT64_MAX;
    p->rest_until_us = INT64_MIN;
    p->not_before_us = p->since_us = KLX_TIME_NONE;
    p->metrics.parked = klx_counter("klaxon_sink_parked_total",
                                    "Deliveries that were written to klaxon.retry.", labels);
    p->metrics.state = klx_gauge("klaxon_sink_parking",
                                 "1 while this process parks what is for the channel.", labels);
    p->metrics.waiting = klx_gauge("klaxon_sink_parking_deliveries",
                                   "Deliveries on their way to klaxon.retry.", labels);
    return p;
}

static void changed(struct klx_parker *p) {
    klx_gauge_set(p->metrics.state, p->gate.state >= KLX_GATE_OPENING);
    klx_gauge_set(p->metrics.waiting, (double)(p->held_n + p->writing_n));
    if (!p->closed) {
        p->o.on_change(p->o.arg);
    }
}

static int64_t earlier(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static void plan(struct klx_parker *p) {
    int64_t at_us = earlier(p->again_us, p->hold_until_us), now_us = mono_us(p);
    if (at_us < INT64_MAX && !p->closed) {
        int64_t wait_us = at_us > now_us ? at_us - now_us : 0;
        p->o.schedule(p->o.arg, (wait_us + KLX_US_PER_MS - 1) / KLX_US_PER_MS);
    }
}

static void hold(struct klx_parker *p, struct klx_delivery *d) {
    d->next = NULL;
    *p->held_tail = d;
    p->held_tail = &d->next;
    p->held_n++;
}

static struct klx_delivery *unhold(struct klx_parker *p) {
    struct klx_delivery *d = p->held;
    if (d != NULL) {
        p->held = d->next;
        p->held_tail = p->held == NULL ? &p->held : p->held_tail;
        p->held_n--;
    }
    return d;
}

/* Those of its recipients that have no final verdict; false: all of the channel's. */
static bool list_left(const struct klx_parker *p, const struct klx_delivery *d,
                      struct klx_parked *parked, struct klx_sv *left) {
    for (size_t i = 0; i < d->recipients_n && i < p->o.recipients_n; i++) {
        const struct klx_delivery_recipient *r = &d->recipients[i];
        if (r->final) {
            continue;
        }
        left[parked->recipients_n++] = p->o.recipients[i];
        if (r->attempts > 0) {
            parked->last = r->last;
        }
        parked->attempts = r->attempts > parked->attempts ? r->attempts : parked->attempts;
        parked->ambiguous = r->ambiguous > parked->ambiguous ? r->ambiguous : parked->ambiguous;
    }
    return d->recipients != NULL && parked->recipients_n < p->o.recipients_n;
}

static int encode(const struct klx_parker *p, struct entry *e) {
    struct klx_delivery *d = e->delivery;
    klx_delivery_fit(d, p->o.recipients, p->o.recipients_n);
    struct klx_sv *left = klx_arena_alloc(&e->arena, (p->o.recipients_n + 1) * sizeof(*left));
    if (left == NULL) {
        return -ENOMEM;
    }
    struct klx_parked parked = {
        .channel = klx_sv(p->o.channel),
        .sink = klx_sv(p->o.sink),
        .team = d->subscription->team,
        .subscription = klx_subscription_place(&e->arena, d->subscription),
        .reason = d->reason,
        .severity = d->severity,
        .repeat = d->repeat,
        .digest = d->digest,
        .recipients = left,
        .parked_us = wall_us(p),
        .not_before_us = p->not_before_us,
        .first_us = d->recipients != NULL ? d->first_us : KLX_TIME_NONE,
        .last_us = d->recipients != NULL ? d->last_us : KLX_TIME_NONE,
        .original = d->message->record,
    };
    parked.some_recipients = list_left(p, d, &parked, left);
    return klx_parked_encode(&e->arena, p->o.retry_topic, &parked, &e->record);
}

static void free_entry(struct entry *e) {
    klx_arena_release(&e->arena);
    free(e);
}

static void write_all(struct klx_parker *p);

/* Everything that goes out from here again, in order. */
static void give_back_all(struct klx_parker *p) {
    while (p->writing != NULL) {
        struct entry *e = p->writing;
        assert(!e->in_flight);
        p->writing = e->next;
        p->writing_n--;
        if (!e->acknowledged) {
            klx_gate_parked(&p->gate, (struct klx_place){ -1, -1 });
            p->o.give_back(p->o.arg, e->delivery);
        }
        free_entry(e);
    }
    p->writing_tail = &p->writing;
    for (struct klx_delivery *d = unhold(p); d != NULL; d = unhold(p)) {
        p->o.give_back(p->o.arg, d);
    }
}

/* Nothing can be parked: as if there were no klaxon.retry, for a while. */
static void fall_back(struct klx_parker *p, const char *why) {
    klx_log_warn("deliveries cannot be parked; the channel is tried from here, and reading pauses "
                 "when its queue is full",
                 KLX_F_STR("channel", p->o.channel), KLX_F_STR("why", why));
    p->rest_until_us = mono_us(p) + REST_US;
    p->again_us = INT64_MAX;
    klx_gate_retreat(&p->gate);
    give_back_all(p);
}

/* The first of the list that is acknowledged, or cannot be written, leaves it, and so on: records settle in order. */
static void take_out_answered(struct klx_parker *p) {
    while (p->writing != NULL && p->writing->acknowledged) {
        struct entry *e = p->writing;
        p->writing = e->next;
        p->writing_tail = p->writing == NULL ? &p->writing : p->writing_tail;
        p->writing_n--;
        if (e->delivery != NULL) {
            klx_delivery_done(e->delivery);
        }
        free_entry(e);
    }
}

static void give_back_entry(struct klx_parker *p, struct entry *e) {
    struct klx_delivery *d = e->delivery;
    e->delivery = NULL;
    e->acknowledged = true;
    klx_gate_parked(&p->gate, (struct klx_place){ -1, -1 });
    p->o.give_back(p->o.arg, d);
}

/* False: everything is given back. */
static bool refuse(struct klx_parker *p, struct entry *e, int status, const char *why) {
    if (status == -EMSGSIZE) {
        struct klx_delivery *d = e->delivery;
        e->delivery = NULL;
        e->acknowledged = true;
        klx_gate_parked(&p->gate, (struct klx_place){ -1, -1 });
        if (p->closed) {
            klx_delivery_abandon(d);
        } else {
            p->o.lost(p->o.arg, d, why);
        }
        return true;
    }
    if (p->retired) {
        give_back_entry(p, e);
        return true;
    }
    snprintf(p->trouble, sizeof(p->trouble), "%s", why);
    if (p->again_us == INT64_MAX) {
        p->again_us = mono_us(p) + klx_backoff_next(&p->backoff, p->o.clock) * KLX_US_PER_MS;
        klx_log_warn("parked deliveries wait for Kafka; their records are not settled meanwhile",
                     KLX_F_STR("channel", p->o.channel), KLX_F_STR("why", why));
    }
    bool hopeless = (status == -ENOENT || status == -EACCES) && !p->parked_any;
    if (hopeless && p->in_flight == 0 && !p->closed) {
        fall_back(p, why);
        return false;
    }
    return true;
}

static void on_placed(void *arg, int status, const char *why, int32_t partition, int64_t offset) {
    struct entry *e = arg;
    struct klx_parker *p = e->parker;
    e->in_flight = false;
    p->in_flight--;
    if (status == 0) {
        e->acknowledged = true;
        p->parked_any = true;
        p->trouble[0] = '\0';
        klx_backoff_reset(&p->backoff);
        klx_counter_add(p->metrics.parked, 1);
        klx_gate_parked(&p->gate, (struct klx_place){ partition, offset });
        if (!p->closed && p->o.parked != NULL) {
            p->o.parked(p->o.arg, e->delivery);
        }
    } else if (!refuse(p, e, status, why)) {
        changed(p);
        return;
    }
    take_out_answered(p);
    write_all(p);
    changed(p);
    plan(p);
}

/* In order: behind one that was refused nothing is written until it is written again. */
static void write_entries(struct klx_parker *p) {
    for (struct entry *e = p->writing; e != NULL; e = e->next) {
        struct klx_error error = { .text = "" };
        if (e->in_flight || e->acknowledged) {
            continue;
        }
        int rc = p->o.place(p->o.arg, &e->record, on_placed, e, &error);
        if (rc == 0) {
            e->in_flight = true;
            p->in_flight++;
        } else {
            if (!refuse(p, e, rc, error.text)) {
                return;
            }
            if (!e->acknowledged) {
                return;
            }
        }
    }
}

static void write_all(struct klx_parker *p) {
    if (p->closed || p->retired || p->again_us != INT64_MAX) {
        return;
    }
    write_entries(p);
    take_out_answered(p);
}

static void park(struct klx_parker *p, struct klx_delivery *d) {
    struct entry *e = klx_alloc(struct entry);
    e->parker = p;
    e->delivery = d;
    klx_arena_init(&e->arena, CHUNK_BYTES, ENTRY_BYTES_MAX);
    if (encode(p, e) != 0) {
        free_entry(e);
        p->o.lost(p->o.arg, d, "it is larger than klaxon can park");
        return;
    }
    klx_gate_parking(&p->gate);
    *p->writing_tail = e;
    p->writing_tail = &e->next;
    p->writing_n++;
}

/* Does what the gate says with what is held. */
static void step(struct klx_parker *p) {
    bool closing = p->gate.state == KLX_GATE_CLOSING;
    if (!closing) {
        p->hold_until_us = INT64_MAX;
    } else if (p->hold_until_us == INT64_MAX) {
        p->hold_until_us = mono_us(p) + KLX_PARKER_HOLD_MS * KLX_US_PER_MS;
    }
    while (p->held != NULL && klx_gate_way(&p->gate) == KLX_WAY_LANE) {
        p->o.give_back(p->o.arg, unhold(p));
    }
    while (p->held != NULL && klx_gate_way(&p->gate) == KLX_WAY_RETRY) {
        park(p, unhold(p));
    }
    write_all(p);
    plan(p);
}

/* Says it once when the channel is told from here again. */
static void step_after(struct klx_parker *p, enum klx_gate_state before) {
    bool was_parked = before == KLX_GATE_PARKED || before == KLX_GATE_CLOSING;
    if (was_parked && p->gate.state == KLX_GATE_DIRECT && p->since_us != KLX_TIME_NONE) {
        klx_log_info("what was parked is delivered: the channel is told directly again",
                     KLX_F_STR("channel", p->o.channel));
    }
    if (p->gate.state == KLX_GATE_DIRECT) {
        p->since_us = KLX_TIME_NONE;
    }
    step(p);
    changed(p);
}

bool klx_parker_take(struct klx_parker *p, struct klx_delivery *d) {
    enum klx_way way = klx_gate_way(&p->gate);
    if (way == KLX_WAY_LANE && p->held == NULL) {
        return false;
    }
    d->queued_us = mono_us(p);
    hold(p, d);
    if (p->gate.state == KLX_GATE_CLOSING && p->held_n >= p->o.hold_max) {
        klx_gate_end_hold(&p->gate);
    }
    step(p);
    return true;
}

static void end_opening(struct klx_parker *p) {
    if (p->waits_first || p->mark == MARK_SENT) {
        return;
    }
    if (p->mark == MARK_DONE) {
        klx_gate_opened(&p->gate);
        step(p);
    } else {
        klx_gate_not_opened(&p->gate);
        p->rest_until_us = mono_us(p) + REST_US;
        p->since_us = KLX_TIME_NONE;
        step(p);
    }
    p->mark = MARK_NONE;
    changed(p);
}

static void on_mark_placed(void *arg, int status, const char *why, int32_t partition,
                           int64_t offset) {
    (void)partition;
    (void)offset;
    struct klx_parker *p = arg;
    p->mark_in_flight = false;
    if (p->closed) {
        return;
    }
    p->mark = status == 0 ? MARK_DONE : MARK_FAILED;
    if (status != 0) {
        klx_log_warn("deliveries cannot be parked; the channel is tried from here, and reading "
                     "pauses when its queue is full",
                     KLX_F_STR("channel", p->o.channel), KLX_F_STR("why", why));
    }
    end_opening(p);
}

static int place_mark(struct klx_parker *p) {
    struct klx_circuit_record r KLX_CLEANUP(klx_circuit_record_release);
    struct klx_error e = { .text = "" };
    const struct klx_circuit_mark m = {
        .sink = klx_sv(p->o.sink),
        .drained = p->gate.drained,
        .since_us = wall_us(p),
        .updated_us = wall_us(p),
        .reason = klx_sv(p->why.reason),
        .answer = klx_sv(p->why.answer),
    };
    int rc = klx_circuit_record_init(&r, p->o.control_topic, klx_sv(p->o.channel), &m);
    return rc == 0 ? p->o.place(p->o.arg, &r.record, on_mark_placed, p, &e) : rc;
}

bool klx_parker_open(struct klx_parker *p, const struct klx_verdict *why, int64_t not_before_us) {
    if (p->closed || !p->has_topic || p->gate.state != KLX_GATE_DIRECT ||
        mono_us(p) < p->rest_until_us || p->mark_in_flight) {
        return false;
    }
    p->why = *why;
    if (place_mark(p) != 0) {
        return false;
    }
    p->not_before_us = not_before_us;
    p->since_us = wall_us(p);
    p->mark_in_flight = true;
    p->mark = MARK_SENT;
    p->waits_first = true;
    p->parked_any = false;
    klx_gate_open(&p->gate);
    if (klx_verdict_is_final(why->class)) {
        klx_log_info("what waits for a channel is parked on klaxon.retry, for whoever takes over",
                     KLX_F_STR("channel", p->o.channel));
    } else {
        klx_log_warn("deliveries of a channel are parked on klaxon.retry until it takes them again",
                     KLX_F_STR("channel", p->o.channel), KLX_F_STR("reason", why->reason),
                     KLX_F_STR("answer", why->answer));
    }
    changed(p);
    return true;
}

void klx_parker_put_first(struct klx_parker *p, struct klx_delivery *first) {
    assert(p->waits_first);
    p->waits_first = false;
    struct klx_delivery *held = p->held;
    size_t held_n = p->held_n;
    p->held = NULL;
    p->held_tail = &p->held;
    p->held_n = 0;
    for (struct klx_delivery *next = NULL; first != NULL; first = next) {
        next = first->next;
        hold(p, first);
    }
    for (struct klx_delivery *next = NULL; held != NULL; held = next) {
        next = held->next;
        hold(p, held);
    }
    assert(p->held_n >= held_n);
    end_opening(p);
}

void klx_parker_wake(struct klx_parker *p) {
    int64_t now_us = mono_us(p);
    if (p->closed) {
        return;
    }
    if (now_us >= p->again_us && p->in_flight == 0) {
        p->again_us = INT64_MAX;
    } else if (now_us >= p->again_us) {
        p->again_us = now_us + KLX_US_PER_S; /* what is under way is answered first */
    }
    if (now_us >= p->hold_until_us) {
        klx_gate_end_hold(&p->gate);
    }
    step(p);
    changed(p);
}

void klx_parker_given(struct klx_parker *p) {
    klx_gate_given(&p->gate);
    p->hold_until_us = INT64_MAX;
}

void klx_parker_known(struct klx_parker *p, const int64_t *ends, size_t n) {
    p->has_topic = n > 0;
    if (p->gate.state == KLX_GATE_UNKNOWN) {
        klx_gate_known(&p->gate, ends, n);
        step_after(p, KLX_GATE_UNKNOWN);
    }
}

void klx_parker_circuit(struct klx_parker *p, const struct klx_circuit_mark *m) {
    enum klx_gate_state before = p->gate.state;
    if (m == NULL) {
        klx_gate_no_circuit(&p->gate);
    } else {
        klx_gate_circuit(&p->gate, m->closed, m->drained);
    }
    step_after(p, before);
}

void klx_parker_drop_revoked(struct klx_parker *p) {
    struct klx_delivery *held = p->held;
    p->held = NULL;
    p->held_tail = &p->held;
    p->held_n = 0;
    for (struct klx_delivery *next = NULL; held != NULL; held = next) {
        next = held->next;
        if (klx_delivery_is_revoked(held)) {
            klx_delivery_abandon(held);
        } else {
            hold(p, held);
        }
    }
    for (struct entry *e = p->writing; e != NULL; e = e->next) {
        if (!e->in_flight && !e->acknowledged && klx_delivery_is_revoked(e->delivery)) {
            klx_delivery_abandon(e->delivery);
            e->delivery = NULL;
            e->acknowledged = true;
            klx_gate_parked(&p->gate, (struct klx_place){ -1, -1 });
        }
    }
    take_out_answered(p);
    changed(p);
}

void klx_parker_limit(struct klx_parker *p, size_t hold_max) {
    p->o.hold_max = hold_max;
}

void klx_parker_set_recipients(struct klx_parker *p, const struct klx_sv *names, size_t n) {
    p->o.recipients = names;
    p->o.recipients_n = n;
}

bool klx_parker_retire(struct klx_parker *p) {
    p->retired = true;
    for (struct entry *e = p->writing; e != NULL; e = e->next) {
        if (!e->in_flight && !e->acknowledged) {
            give_back_entry(p, e);
        }
    }
    for (struct klx_delivery *d = unhold(p); d != NULL; d = unhold(p)) {
        p->o.give_back(p->o.arg, d);
    }
    if (p->in_flight > 0) {
        take_out_answered(p);
        return false;
    }
    klx_parker_close(p);
    return true;
}

void klx_parker_close(struct klx_parker *p) {
    p->closed = true;
    for (struct klx_delivery *d = unhold(p); d != NULL; d = unhold(p)) {
        klx_delivery_abandon(d);
    }
    for (struct entry *e = p->writing; e != NULL; e = e->next) {
        if (!e->in_flight && !e->acknowledged) {
            klx_delivery_abandon(e->delivery);
            e->delivery = NULL;
            e->acknowledged = true;
        }
    }
    take_out_answered(p);
}

void klx_parker_free(struct klx_parker *p) {
    if (p == NULL) {
        return;
    }
    klx_parker_close(p);
    for (struct entry *e = p->writing, *next = NULL; e != NULL; e = next) {
        next = e->next;
        if (e->delivery != NULL) {
            klx_delivery_abandon(e->delivery);
        }
        free_entry(e);
    }
    free((char *)(uintptr_t)p->o.channel);
    free(p);
}

enum klx_way klx_parker_way(const struct klx_parker *p) {
    return klx_gate_way(&p->gate);
}

size_t klx_parker_depth(const struct klx_parker *p) {
    return p->held_n + p->writing_n;
}

bool klx_parker_is_writing(const struct klx_parker *p) {
    return p->held_n > 0 || p->writing_n > 0 || p->mark_in_flight;
}

void klx_parker_describe(const struct klx_parker *p, struct klx_buf *out) {
    char at[KLX_TIME_TEXT_BYTES];
    if (p->gate.state >= KLX_GATE_OPENING) {
        klx_buf_add_str(out, "; its deliveries are parked on klaxon.retry");
        if (p->since_us != KLX_TIME_NONE) {
            klx_time_format(p->since_us, KLX_TIME_SECONDS, at);
            klx_buf_printf(out, " since %s", at);
        }
    }
    if (p->trouble[0] != '\0') {
        klx_buf_printf(out, "; %zu wait for Kafka: %s", p->writing_n, p->trouble);
    }
}
