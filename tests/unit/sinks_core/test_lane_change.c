/* Lanes that take the place of others: who has been told is not told again, and nothing that waits is lost. */
#include "tests/unit/support/support.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/log.h"
#include "lib/io/metrics.h"
#include "sinks/core/lane.h"

#define OUTCOMES_MAX 32

/* The recipients of the old and of the new channel. */
static const struct klx_sv names_before[] = { KLX_SV("a"), KLX_SV("b"), KLX_SV("c") };
static const struct klx_sv names_after[] = { KLX_SV("d"), KLX_SV("b"), KLX_SV("a") };

struct channel {
    const struct klx_sv *names;
    size_t n;
    char sent[256]; /* "id:a,b " … */
    klx_sent_fn done;
    void *done_arg;
    size_t sent_n; /* recipients of the send under way */
    bool closed;
};

static struct {
    struct klx_clock clock;
    int64_t now_us;
    struct klx_message_pool *pool;
    struct klx_tracker *tracker;
    int64_t offset;
    size_t given_back, abandoned;
    char outcomes[OUTCOMES_MAX][128];
    size_t outcomes_n;
    int null_fd;
} w;

static int64_t now_us(struct klx_clock *c) {
    (void)c;
    return w.now_us;
}

static uint64_t no_chance(struct klx_clock *c) {
    (void)c;
    return 0;
}

static size_t recipients(void *channel, const struct klx_sv **ret) {
    struct channel *c = channel;
    *ret = c->names;
    return c->n;
}

static int render(void *channel, const struct klx_notice *n, struct klx_buf *out,
                  struct klx_error *e) {
    (void)channel;
    (void)e;
    klx_buf_add_sv(out, n->event->id);
    return 0;
}

static void send_to(void *channel, const struct klx_send *s, klx_sent_fn done, void *arg) {
    struct channel *c = channel;
    size_t at = strlen(c->sent);
    at += (size_t)snprintf(c->sent + at, sizeof(c->sent) - at, "%.*s:", KLX_SV_FMT(s->payloads[0]));
    for (size_t i = 0; i < s->recipients_n; i++) {
        at += (size_t)snprintf(c->sent + at, sizeof(c->sent) - at, "%.*s",
                               KLX_SV_FMT(s->recipients[i]));
    }
    snprintf(c->sent + at, sizeof(c->sent) - at, " ");
    c->done = done;
    c->done_arg = arg;
    c->sent_n = s->recipients_n;
}

static void close_channel(void *channel) {
    ((struct channel *)channel)->closed = true;
}

static const struct klx_sink_ops ops = {
    .name = "fake",
    .payload_bytes_max = 64,
    .recipients = recipients,
    .render = render,
    .send = send_to,
    .close = close_channel,
};

static void on_outcome(void *arg, const struct klx_outcome *o) {
    (void)arg;
    assert_true(w.outcomes_n < OUTCOMES_MAX);
    snprintf(w.outcomes[w.outcomes_n++], sizeof(w.outcomes[0]), "%.1s %.1s %s",
             o->message->event.id.p, o->recipient.p, o->verdict->reason);
}

static void on_change(void *arg) {
    (void)arg;
}

static void schedule(void *arg, int64_t delay_ms) {
    (void)arg;
    (void)delay_ms;
}

static void on_done(void *arg, struct klx_message *m) {
    (void)arg;
    w.given_back++;
    w.abandoned += m->abandoned;
    klx_tracker_settle(w.tracker, &m->tracked, true);
}

static int setup(void **state) {
    (void)state;
    memset(&w, 0, sizeof(w));
    w.clock = (struct klx_clock){ .mono_us = now_us, .wall_us = now_us, .random = no_chance };
    w.now_us = 1000000;
    w.pool = klx_message_pool_new(on_done, NULL);
    w.tracker = klx_tracker_new(100);
    w.null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    klx_log_to_fd(w.null_fd);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    klx_message_pool_free(w.pool);
    klx_tracker_free(w.tracker);
    klx_metrics_reset();
    klx_log_to_fd(-1);
    close(w.null_fd);
    return 0;
}

static struct klx_lane *lane(struct channel *c) {
    const struct klx_lane_callbacks cb = { .on_outcome = on_outcome,
                                           .on_change = on_change,
                                           .schedule = schedule };
    const struct klx_lane_options o = { .ops = &ops,
                                        .channel = c,
                                        .name = "ops",
                                        .clock = &w.clock,
                                        .queue_max = 10,
                                        .give_up_after_ms = 3600000 };
    return klx_lane_new(&o, &cb);
}

static const struct klx_subscription_settings subscription = { .team = KLX_SV("ops") };

/* All of one record key, so in order. */
static void push(struct klx_lane *l, const char *id) {
    const struct klx_record_header headers[] = {
        { KLX_SV("ce_specversion"), KLX_SV("1.0") },
        { KLX_SV("ce_id"), klx_sv(id) },
        { KLX_SV("ce_source"), KLX_SV("/x") },
        { KLX_SV("ce_type"), KLX_SV("io.klaxon.node.ready") },
        { KLX_SV("ce_cluster"), KLX_SV("prod") },
        { KLX_SV("ce_time"), KLX_SV("2026-03-11T07:42:18Z") },
        { KLX_SV("ce_severity"), KLX_SV("info") },
    };
    const struct klx_record r = { .topic = "klaxon.nodes",
                                  .key = KLX_SV("k"),
                                  .value = KLX_SV("{\"summary\":\"x\"}"),
                                  .headers = headers,
                                  .headers_n = KLX_COUNT(headers) };
    struct klx_error e = { .text = "" };
    struct klx_message *m = klx_message_new(w.pool, &r);
    klx_tracker_begin(w.tracker, r.topic, 0, w.offset++, 0, &m->tracked);
    if (klx_message_keep(m, &e) != 0) {
        fail_msg("%s", e.text);
    }
    klx_lane_push(l, klx_delivery_new(m, &subscription, w.now_us));
    klx_message_unref(m);
}

/* delivered: a letter for each recipient of the send, in order: + or - (tried again). */
static void answer(struct channel *c, const char *delivered) {
    struct klx_verdict v[3];
    size_t n = strlen(delivered);
    assert_int_equal(n, c->sent_n);
    for (size_t i = 0; i < n; i++) {
        klx_verdict_set(&v[i],
                        delivered[i] == '+' ? KLX_VERDICT_DELIVERED : KLX_VERDICT_RETRY_BACKOFF,
                        delivered[i] == '+' ? "ok" : "busy", klx_sv(""));
    }
    klx_sent_fn done = c->done;
    c->done = NULL;
    done(c->done_arg, v, n);
}

static void recipients_keep_what_became_of_them(void **state) {
    (void)state;
    struct channel before = { .names = names_before, .n = 3 },
                   after = { .names = names_after, .n = 3 };
    struct klx_lane *old = lane(&before);
    push(old, "1");
    push(old, "2");
    klx_lane_wake(old);
    assert_string_equal(before.sent, "1:abc ");
    klx_lane_stop(old);
    answer(&before, "+--"); /* a was told; b and c are to be tried again */
    assert_false(klx_lane_is_sending(old));
    struct klx_lane *new = lane(&after);
    klx_lane_take_over(new, old);
    klx_lane_free(old);
    assert_true(before.closed);
    assert_int_equal(w.outcomes_n, 2);
    assert_string_equal(w.outcomes[0], "1 a ok");
    assert_string_equal(w.outcomes[1], "1 c recipient_removed");
    w.now_us += 120 * 1000000; /* whatever the wait was */
    klx_lane_wake(new);
    assert_string_equal(after.sent, "1:db "); /* d is new, and a has been told */
    answer(&after, "++");
    klx_lane_wake(new);
    assert_string_equal(after.sent, "1:db 2:dba ");
    answer(&after, "+++");
    assert_int_equal(w.given_back, 2);
    assert_int_equal(w.abandoned, 0);
    klx_lane_free(new);
}

static void what_everybody_left_has_been_told_is_done(void **state) {
    (void)state;
    struct channel before = { .names = names_before, .n = 2 },
                   after = { .names = names_before, .n = 1 };
    struct klx_lane *old = lane(&before);
    push(old, "1");
    klx_lane_wake(old);
    klx_lane_stop(old);
    answer(&before, "+-");
    struct klx_lane *new = lane(&after);
    klx_lane_take_over(new, old);
    klx_lane_free(old);
    assert_int_equal(klx_lane_depth(new), 0);
    assert_int_equal(w.given_back, 1);
    assert_string_equal(w.outcomes[1], "1 b recipient_removed");
    klx_lane_free(new);
}

static void what_waits_for_a_channel_that_is_removed_is_given_up(void **state) {
    (void)state;
    struct channel c = { .names = names_before, .n = 1 };
    struct klx_lane *l = lane(&c);
    push(l, "1");
    push(l, "2");
    klx_lane_stop(l);
    klx_lane_give_up_all(l, "channel_removed");
    assert_int_equal(klx_lane_depth(l), 0);
    assert_int_equal(w.outcomes_n, 2);
    assert_string_equal(w.outcomes[0], "1 a channel_removed");
    assert_string_equal(w.outcomes[1], "2 a channel_removed");
    assert_int_equal(w.given_back, 2);
    assert_int_equal(w.abandoned, 0);
    klx_lane_free(l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(recipients_keep_what_became_of_them, setup, teardown),
        cmocka_unit_test_setup_teardown(what_everybody_left_has_been_told_is_done, setup, teardown),
        cmocka_unit_test_setup_teardown(what_waits_for_a_channel_that_is_removed_is_given_up, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
