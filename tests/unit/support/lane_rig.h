/*
 * Lanes over channels that answer what a case wants, several sends at once, on one clock that moves only when told.
 *
 *     rig_push(0, "a1", "a");        the event a1 of the incident a, to the lane 0
 *     rig_advance(0);
 *     assert_string_equal(rig_under_way(0), "a1");
 *     rig_answer(0, "a1", KLX_VERDICT_DELIVERED);
 *     assert_sv(klx_buf_sv(&rig.done), "a1 ");            (a1) stands for an abandoned one
 */
#pragma once

#include "tests/unit/support/support.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/log.h"
#include "lib/base/time.h"
#include "lib/io/metrics.h"
#include "sinks/core/lane.h"

#define RIG_LANES 3
#define RIG_SENDS 8
#define RIG_START_US INT64_C(1773216138000000)
#define RIG_DAY_MS INT64_C(86400000)

struct rig_send {
    klx_sent_fn done; /* NULL: not under way */
    void *arg;
    char text[256]; /* its payloads, a '+' between two */
    char id[64], handle[32];
    bool is_old;
    size_t n; /* verdicts that are due */
};

struct rig_lane {
    struct klx_lane *lane;
    int64_t wake_us; /* -1: none is wanted */
    struct rig_send sends[RIG_SENDS];
    klx_sent_fn probed; /* NULL: no probe is under way */
    void *probed_arg;
    size_t probes;
};

static struct {
    struct klx_clock_driven clock;
    struct klx_message_pool *pool;
    struct klx_tracker *tracker;
    struct klx_circuits *circuits;
    struct rig_lane lanes[RIG_LANES];
    struct klx_buf done;     /* messages, in the order in which they were given back */
    struct klx_buf outcomes; /* "verdict id at recipient after n" lines */
    struct klx_buf log;
    int64_t next_offset;
    int log_fds[2];
    const char *handle; /* of find_handle; NULL: "" */
    bool is_old;
    struct klx_sv names[2];
    size_t names_n;
    struct klx_sink_ops ops;
} rig;

static inline int rig_render(void *channel, const struct klx_notice *n, struct klx_buf *out,
                             struct klx_error *e) {
    (void)channel;
    (void)e;
    klx_buf_add_sv(out, n->event->id);
    if (n->digest != NULL) {
        klx_buf_printf(out, "*%zu", n->digest->events);
    }
    return 0;
}

static inline void rig_send(void *channel, const struct klx_send *send, klx_sent_fn done,
                            void *arg) {
    struct rig_lane *l = channel;
    assert_null(l->probed); /* not while it is probed */
    struct rig_send *s = l->sends;
    while (s->done != NULL) {
        s++;
        assert_true(s < l->sends + RIG_SENDS);
    }
    size_t len = 0;
    for (size_t i = 0; i < send->payloads_n; i++) {
        len += (size_t)snprintf(s->text + len, sizeof(s->text) - len, "%s%.*s", i > 0 ? "+" : "",
                                KLX_SV_FMT(send->payloads[i]));
    }
    snprintf(s->id, sizeof(s->id), "%.*s", KLX_SV_FMT(send->id));
    snprintf(s->handle, sizeof(s->handle), "%.*s", KLX_SV_FMT(send->handle));
    s->is_old = send->is_old;
    s->done = done;
    s->arg = arg;
    s->n = send->payloads_n > 1 ? send->payloads_n : send->recipients_n;
}

static inline void rig_probe(void *channel, klx_sent_fn done, void *arg) {
    struct rig_lane *l = channel;
    assert_null(l->probed);
    for (size_t i = 0; i < RIG_SENDS; i++) {
        assert_null(l->sends[i].done);
    }
    l->probed = done;
    l->probed_arg = arg;
    l->probes++;
}

static inline size_t rig_recipients(void *channel, const struct klx_sv **ret) {
    (void)channel;
    *ret = rig.names;
    return rig.names_n;
}

static inline void rig_close(void *channel) {
    (void)channel;
}

static inline void rig_on_outcome(void *arg, const struct klx_outcome *o) {
    (void)arg;
    klx_buf_printf(&rig.outcomes, "%s%s %.*s%s%.*s after %u\n", o->gave_up ? "gave up " : "",
                   klx_verdict_name(o->verdict->class), KLX_SV_FMT(o->message->event.id),
                   o->recipient.n > 0 ? " at " : "", KLX_SV_FMT(o->recipient), o->attempts);
}

static inline void rig_on_change(void *arg) {
    (void)arg;
}

static inline void rig_schedule(void *arg, int64_t delay_ms) {
    struct rig_lane *l = arg;
    l->wake_us = delay_ms < 0 ? -1 : rig.clock.now_mono_us + delay_ms * 1000;
}

static inline struct klx_sv rig_find_handle(void *arg, const struct klx_delivery *d,
                                            bool *ret_is_old) {
    (void)arg;
    (void)d;
    *ret_is_old = rig.is_old;
    return klx_sv(rig.handle != NULL ? rig.handle : "");
}

static inline void rig_on_message_done(void *arg, struct klx_message *m) {
    (void)arg;
    klx_buf_printf(&rig.done, m->abandoned ? "(%.*s) " : "%.*s ", KLX_SV_FMT(m->event.id));
    if (m->abandoned) {
        klx_tracker_forget(rig.tracker, &m->tracked, false);
    } else {
        klx_tracker_settle(rig.tracker, &m->tracked, true);
    }
}

static inline int rig_setup(void **state) {
    (void)state;
    memset(&rig, 0, sizeof(rig));
    rig.ops = (struct klx_sink_ops){ .name = "fake",
                                     .payload_bytes_max = 64,
                                     .render = rig_render,
                                     .send = rig_send,
                                     .close = rig_close };
    assert_int_equal(pipe2(rig.log_fds, O_CLOEXEC | O_NONBLOCK), 0);
    klx_log_to_fd(rig.log_fds[1]);
    klx_clock_driven_init(&rig.clock, RIG_START_US, 42);
    rig.pool = klx_message_pool_new(rig_on_message_done, NULL);
    rig.tracker = klx_tracker_new(100000);
    rig.circuits = klx_circuits_new(&rig.clock.clock, "fake");
    klx_buf_init(&rig.done, 1 << 20);
    klx_buf_init(&rig.outcomes, 1 << 20);
    klx_buf_init(&rig.log, 1 << 20);
    return 0;
}

static inline void rig_open_with(size_t i, const char *credential) {
    static const char *const names[RIG_LANES] = { "one", "two", "three" };
    const struct klx_lane_callbacks cb = { .on_outcome = rig_on_outcome,
                                           .on_change = rig_on_change,
                                           .schedule = rig_schedule,
                                           .find_handle = rig_find_handle,
                                           .arg = &rig.lanes[i] };
    rig.ops.recipients = rig.names_n > 0 ? rig_recipients : NULL;
    const struct klx_lane_options o = { .ops = &rig.ops,
                                        .channel = &rig.lanes[i],
                                        .name = names[i],
                                        .clock = &rig.clock.clock,
                                        .queue_max = 1000,
                                        .give_up_after_ms = RIG_DAY_MS,
                                        .circuits = rig.circuits,
                                        .credential = klx_sv(credential) };
    rig.lanes[i].wake_us = -1;
    rig.lanes[i].lane = klx_lane_new(&o, &cb);
}

static inline void rig_open(size_t i) {
    rig_open_with(i, "");
}

static inline int rig_teardown(void **state) {
    (void)state;
    for (size_t i = 0; i < RIG_LANES; i++) {
        klx_lane_free(rig.lanes[i].lane);
    }
    klx_circuits_free(rig.circuits);
    klx_message_pool_free(rig.pool); /* asserts that no message is left */
    klx_tracker_free(rig.tracker);
    klx_buf_release(&rig.done);
    klx_buf_release(&rig.outcomes);
    klx_buf_release(&rig.log);
    klx_metrics_reset();
    klx_log_to_fd(-1);
    close(rig.log_fds[0]);
    close(rig.log_fds[1]);
    return 0;
}

static inline struct klx_message *rig_message(const char *id, const char *incident,
                                              int32_t partition) {
    const struct klx_record_header headers[] = {
        { KLX_SV("ce_specversion"), KLX_SV("1.0") }, { KLX_SV("ce_id"), klx_sv(id) },
        { KLX_SV("ce_source"), KLX_SV("/x") },       { KLX_SV("ce_type"), KLX_SV("t") },
        { KLX_SV("ce_severity"), KLX_SV("info") },   { KLX_SV("ce_incident"), klx_sv(incident) },
        { KLX_SV("ce_incidentseq"), KLX_SV("1") },   { KLX_SV("ce_phase"), KLX_SV("open") },
    };
    const struct klx_record r = { .topic = "klaxon.nodes",
                                  .partition = partition,
                                  .offset = rig.next_offset++,
                                  .timestamp_ms = RIG_START_US / 1000,
                                  .value = KLX_SV("{}"),
                                  .headers = headers,
                                  .headers_n = incident[0] != '\0' ? 8 : 5 };
    struct klx_error e = { 0 };
    struct klx_message *m = klx_message_new(rig.pool, &r);
    klx_tracker_begin(rig.tracker, r.topic, partition, r.offset, r.timestamp_ms, &m->tracked);
    if (klx_message_decode(m, &e) != 0 || klx_message_keep(m, &e) != 0) {
        fail_msg("%s", e.text);
    }
    return m;
}

static inline void rig_push_of(size_t i, const char *id, const char *incident, int32_t partition) {
    static const struct klx_subscription_settings subscription = { .team = KLX_SV("ops") };
    struct klx_message *m = rig_message(id, incident, partition);
    klx_lane_push(rig.lanes[i].lane, klx_delivery_new(m, &subscription, rig.clock.now_mono_us));
    klx_message_unref(m);
}

static inline void rig_push(size_t i, const char *id, const char *incident) {
    rig_push_of(i, id, incident, 0);
}

/* "a1 a2 b1": in this order, each of the incident that its first letter names. */
static inline void rig_push_all(size_t i, const char *ids) {
    struct klx_sv rest = klx_sv(ids);
    while (rest.n > 0) {
        struct klx_sv id = klx_sv_cut(&rest, ' ');
        char text[16], incident[2] = { id.p[0], '\0' };
        snprintf(text, sizeof(text), "%.*s", KLX_SV_FMT(id));
        rig_push(i, text, incident);
    }
}

/* The lane whose wake-up is the next; RIG_LANES: none is wanted by then. */
static inline size_t rig_next(int64_t end_us) {
    size_t next = RIG_LANES;
    for (size_t i = 0; i < RIG_LANES; i++) {
        int64_t at = rig.lanes[i].wake_us;
        if (at >= 0 && rig.lanes[i].lane != NULL && at <= end_us &&
            (next == RIG_LANES || at < rig.lanes[next].wake_us)) {
            next = i;
        }
    }
    return next;
}

/* Moves the clock on, to each wake-up that is due by then. */
static inline void rig_advance(int64_t ms) {
    int64_t end_us = rig.clock.now_mono_us + ms * 1000;
    for (size_t i = rig_next(end_us); i < RIG_LANES; i = rig_next(end_us)) {
        struct rig_lane *l = &rig.lanes[i];
        if (l->wake_us > rig.clock.now_mono_us) {
            klx_clock_driven_advance(&rig.clock, l->wake_us - rig.clock.now_mono_us);
        }
        l->wake_us = -1;
        klx_lane_wake(l->lane);
    }
    klx_clock_driven_advance(&rig.clock, end_us - rig.clock.now_mono_us);
}

/* What is under way, "a1 b1"; a probe is "?". Valid until the next call. */
static inline const char *rig_under_way(size_t i) {
    static char text[1024];
    size_t len = 0;
    text[0] = '\0';
    for (size_t s = 0; s < RIG_SENDS; s++) {
        if (rig.lanes[i].sends[s].done != NULL) {
            len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s", len > 0 ? " " : "",
                                    rig.lanes[i].sends[s].text);
        }
    }
    if (rig.lanes[i].probed != NULL) {
        snprintf(text + len, sizeof(text) - len, "%s?", len > 0 ? " " : "");
    }
    return text;
}

static inline struct rig_send *rig_find(size_t i, const char *text) {
    for (size_t s = 0; s < RIG_SENDS; s++) {
        struct rig_send *send = &rig.lanes[i].sends[s];
        if (send->done != NULL && strcmp(send->text, text) == 0) {
            return send;
        }
    }
    fail_msg("%s is not under way, but %s", text, rig_under_way(i));
    return NULL;
}

static inline struct klx_verdict rig_verdict(enum klx_verdict_class class) {
    struct klx_verdict v;
    klx_verdict_set(&v, class, klx_verdict_name(class), KLX_SV("words"));
    return v;
}

static inline void rig_answer_each(size_t i, const char *text, const struct klx_verdict *v,
                                   size_t n) {
    struct rig_send *s = rig_find(i, text);
    assert_int_equal(n, s->n);
    klx_sent_fn done = s->done;
    s->done = NULL;
    char before[1024];
    snprintf(before, sizeof(before), "%s", rig_under_way(i));
    done(s->arg, v, n);
    assert_string_equal(rig_under_way(i), before); /* nothing is sent from inside the answer */
    rig_advance(0);
}

/* The same for all. */
static inline void rig_answer(size_t i, const char *text, enum klx_verdict_class class) {
    struct klx_verdict v[32];
    for (size_t k = 0; k < KLX_COUNT(v); k++) {
        v[k] = rig_verdict(class);
    }
    rig_answer_each(i, text, v, rig_find(i, text)->n);
}

static inline void rig_answer_probe(size_t i, enum klx_verdict_class class) {
    struct rig_lane *l = &rig.lanes[i];
    assert_non_null(l->probed);
    const struct klx_verdict v = rig_verdict(class);
    klx_sent_fn done = l->probed;
    l->probed = NULL;
    done(l->probed_arg, &v, 1);
    rig_advance(0);
}

/* Until something is under way at one of the lanes, at most ms; the result is how long it took. */
static inline int64_t rig_wait(size_t i, int64_t ms) {
    for (int64_t waited = 0; waited <= ms; waited++) {
        if (rig_under_way(i)[0] != '\0') {
            return waited;
        }
        rig_advance(1);
    }
    fail_msg("nothing is under way at %zu", i);
    return -1;
}

/* What was logged since the last call. */
static inline const char *rig_logged(void) {
    char chunk[4096];
    ssize_t n = 0;
    klx_buf_reset(&rig.log);
    while ((n = read(rig.log_fds[0], chunk, sizeof(chunk))) > 0) {
        klx_buf_add(&rig.log, chunk, (size_t)n);
    }
    return klx_buf_str(&rig.log);
}

static inline void rig_assert_contains(const char *text, const char *what) {
    if (strstr(text, what) == NULL) {
        fail_msg("%s\nis not in\n%s", what, text);
    }
}

static inline void rig_assert_described(size_t i, const char *what) {
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&text, 4096);
    klx_lane_describe(rig.lanes[i].lane, &text);
    rig_assert_contains(klx_buf_str(&text), what);
}

static inline void rig_assert_metric(const char *line) {
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&text, 1 << 20);
    klx_metrics_write(&text);
    rig_assert_contains(klx_buf_str(&text), line);
}

#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
