/* What an outlet parks of its lane, and when: a channel of two sends at once, and a producer that answers when the case wants. */
#include "tests/unit/support/support.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/log.h"
#include "lib/base/time.h"
#include "lib/io/metrics.h"
#include "sinks/core/outlet.h"
#include "sinks/core/parking/parking.h"

#define SENDS 2
#define QUEUE 8
#define RECORDS_MAX 64

static struct {
    struct klx_clock_driven clock;
    struct klx_loop *loop;
    struct klx_timer *turn;
    struct klx_topic_names topics;
    struct klx_message_pool *pool;
    struct klx_parking *parking;
    struct klx_outlet *outlet;
    struct {
        klx_sent_fn done; /* NULL: not under way */
        void *arg;
        char id[16];
    } sends[SENDS];
    /* Records that the producer took and has not answered. */
    struct {
        klx_placed_fn placed;
        void *arg;
    } placed[RECORDS_MAX];
    size_t placed_n;
    char parked[256]; /* ids, in the order of klaxon.retry; the circuit's record as "circuit" */
    int64_t next_offset;
    int null_fd;
} w;

static const struct klx_subscription_settings subscription = { .team = KLX_SV("operations"),
                                                               .file = "ops.yaml" };
static const struct klx_channel_settings channel = { .name = "ops", .sink = "fake" };

static int fake_open(const struct klx_sink_env *env, const char *name, const void *config,
                     void **ret_channel, struct klx_error *e) {
    (void)env, (void)name, (void)config, (void)e;
    *ret_channel = &w;
    return 0;
}

static int fake_render(void *opened, const struct klx_notice *n, struct klx_buf *out,
                       struct klx_error *e) {
    (void)opened, (void)e;
    klx_buf_add_sv(out, n->event->id);
    return 0;
}

static void fake_send(void *opened, const struct klx_send *send, klx_sent_fn done, void *arg) {
    (void)opened;
    size_t i = 0;
    while (w.sends[i].done != NULL) {
        i++;
        assert_true(i < SENDS);
    }
    w.sends[i].done = done;
    w.sends[i].arg = arg;
    snprintf(w.sends[i].id, sizeof(w.sends[i].id), "%.*s", KLX_SV_FMT(send->payloads[0]));
}

static void fake_close(void *opened) {
    (void)opened;
}

static const struct klx_sink_ops ops = { .name = "fake",
                                         .payload_bytes_max = 64,
                                         .concurrency = SENDS,
                                         .open = fake_open,
                                         .render = fake_render,
                                         .send = fake_send,
                                         .close = fake_close };

static void append(struct klx_sv text) {
    size_t n = strlen(w.parked);
    snprintf(w.parked + n, sizeof(w.parked) - n, "%s%.*s", n > 0 ? " " : "", KLX_SV_FMT(text));
}

static int place(void *arg, const struct klx_record *r, klx_placed_fn placed, void *placed_arg,
                 struct klx_error *e) {
    (void)arg, (void)e;
    struct klx_sv id = KLX_SV("circuit");
    for (size_t i = 0; i < r->headers_n; i++) {
        id = klx_sv_eq(r->headers[i].name, KLX_SV("ce_id")) ? r->headers[i].value : id;
    }
    append(id);
    assert_true(w.placed_n < RECORDS_MAX);
    w.placed[w.placed_n].placed = placed;
    w.placed[w.placed_n++].arg = placed_arg;
    return 0;
}

static void on_outcome(void *arg, const struct klx_outcome *o) {
    (void)arg, (void)o;
}

static void on_change(void *arg) {
    (void)arg;
}

static struct klx_sv find_handle(void *arg, const char *name, const struct klx_delivery *d,
                                 bool *ret_is_old) {
    (void)arg, (void)name, (void)d;
    *ret_is_old = false;
    return klx_sv("");
}

static bool passes_over(void *arg, const char *name, const struct klx_delivery *d) {
    (void)arg, (void)name, (void)d;
    return false;
}

static void on_parked(void *arg, const char *name, const struct klx_delivery *d) {
    (void)arg, (void)name, (void)d;
}

static void on_message_done(void *arg, struct klx_message *m) {
    (void)arg, (void)m;
}

static void end_turn(void *arg) {
    klx_loop_stop(arg);
}

static void open_outlet(bool alone) {
    const struct klx_parking_options parking = { .clock = &w.clock.clock,
                                                 .sink = "fake",
                                                 .retry_topic = "klaxon.retry",
                                                 .control_topic = "klaxon.control",
                                                 .hold_max = QUEUE,
                                                 .place = place };
    const int64_t ends[] = { 0 };
    w.parking = klx_parking_new(&parking);
    const struct klx_outlet_options o = { .env = { .loop = w.loop, .clock = &w.clock.clock },
                                          .ops = &ops,
                                          .channel = &channel,
                                          .queue_max = QUEUE,
                                          .give_up_after_ms = 86400000,
                                          .alone = alone,
                                          .park_after_ms = 30000,
                                          .parking = w.parking,
                                          .topics = &w.topics,
                                          .place = place,
                                          .on_outcome = on_outcome,
                                          .on_change = on_change,
                                          .find_handle = find_handle,
                                          .passes_over = passes_over,
                                          .on_parked = on_parked };
    assert_int_equal(klx_outlet_new(&o, &w.outlet, NULL), 0);
    klx_parking_given(w.parking);
    klx_parking_known(w.parking, ends, 1);
}

static int setup(void **state) {
    (void)state;
    memset(&w, 0, sizeof(w));
    w.null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    klx_log_to_fd(w.null_fd);
    klx_clock_driven_init(&w.clock, 1773216000000000, 1);
    w.loop = klx_loop_new();
    w.turn = klx_timer_new(w.loop, end_turn, w.loop);
    w.pool = klx_message_pool_new(on_message_done, NULL);
    return klx_topic_names_init(&w.topics, KLX_SV("klaxon."), NULL);
}

static int teardown(void **state) {
    (void)state;
    klx_outlet_free(w.outlet);
    klx_parking_free(w.parking);
    klx_message_pool_free(w.pool); /* asserts that no message is left */
    klx_timer_free(w.turn);
    klx_loop_run(w.loop);
    klx_loop_free(w.loop); /* asserts that no timer is left */
    klx_metrics_reset();
    klx_log_to_fd(-1);
    close(w.null_fd);
    return 0;
}

/* Lets timers of 0 ms fire, and the producer answer. */
static void turn(void) {
    for (int i = 0; i < 4; i++) {
        klx_timer_start(w.turn, 1);
        klx_loop_run(w.loop);
        size_t n = w.placed_n;
        w.placed_n = 0;
        for (size_t k = 0; k < n; k++) {
            w.placed[k].placed(w.placed[k].arg, 0, NULL, 0, w.next_offset++);
        }
    }
}

/* "a1 b1 a2": events of the incidents a, b, a. */
static void push(const char *ids) {
    struct klx_sv rest = klx_sv(ids);
    while (rest.n > 0) {
        struct klx_sv id = klx_sv_cut(&rest, ' ');
        const struct klx_record_header headers[] = { { KLX_SV("ce_specversion"), KLX_SV("1.0") },
                                                     { KLX_SV("ce_id"), id },
                                                     { KLX_SV("ce_source"), KLX_SV("/x") },
                                                     { KLX_SV("ce_type"), KLX_SV("t") },
                                                     { KLX_SV("ce_severity"), KLX_SV("warning") } };
        const struct klx_record r = { .topic = "klaxon.nodes",
                                      .key = klx_sv_n(id.p, 1),
                                      .value = KLX_SV("{}"),
                                      .headers = headers,
                                      .headers_n = KLX_COUNT(headers) };
        struct klx_message *m = klx_message_new(w.pool, &r);
        assert_int_equal(klx_message_keep(m, NULL), 0);
        klx_outlet_push(w.outlet, klx_delivery_new(m, &subscription, w.clock.now_mono_us));
        klx_message_unref(m);
    }
    turn();
}

static void advance(int64_t ms) {
    klx_clock_driven_advance(&w.clock, ms * KLX_US_PER_MS);
    klx_outlet_look(w.outlet);
    turn();
}

static void answer(const char *id, enum klx_verdict_class class) {
    for (size_t i = 0; i < SENDS; i++) {
        if (w.sends[i].done != NULL && strcmp(w.sends[i].id, id) == 0) {
            struct klx_verdict v;
            klx_sent_fn done = w.sends[i].done;
            klx_verdict_set(&v, class, "x", klx_sv(""));
            w.sends[i].done = NULL;
            done(w.sends[i].arg, &v, 1);
            turn();
            return;
        }
    }
    fail_msg("%s is not under way", id);
}

/* A send without an answer holds nobody up but what is behind it, and that goes behind it when it has failed. */
static void what_is_behind_a_hung_send_is_parked_after_it(void **state) {
    (void)state;
    open_outlet(false);
    push("a1 b1 a2 c1 b2 d1 e1");
    assert_string_equal(w.parked, "");
    advance(1000);
    assert_string_equal(w.parked, "circuit c1 d1 e1");
    assert_true(klx_outlet_has_room(w.outlet));
    push("a3 c2 b3 f1");
    assert_string_equal(w.parked, "circuit c1 d1 e1 c2 f1");
    answer("b1", KLX_VERDICT_DELIVERED);
    assert_true(klx_outlet_is_parking(w.outlet));
    assert_string_equal(w.parked, "circuit c1 d1 e1 c2 f1");
    answer("a1", KLX_VERDICT_AMBIGUOUS);
    assert_string_equal(w.parked, "circuit c1 d1 e1 c2 f1 a1 a2 b2 a3 b3");
    assert_false(klx_outlet_is_parking(w.outlet));
    push("a4 b4");
    assert_string_equal(w.parked, "circuit c1 d1 e1 c2 f1 a1 a2 b2 a3 b3 a4 b4");
    assert_int_equal(klx_outlet_depth(w.outlet), 0);
}

static void a_filling_queue_of_a_channel_that_takes_is_not_parked(void **state) {
    (void)state;
    open_outlet(false);
    push("a1 b1 c1 d1 e1 f1 g1");
    advance(900);
    answer("a1", KLX_VERDICT_DELIVERED);
    push("h1");
    advance(900);
    assert_string_equal(w.parked, "");
    advance(100);
    assert_string_equal(w.parked, "circuit d1 e1 f1 g1 h1");
}

static void a_full_queue_is_parked_though_it_takes_some(void **state) {
    (void)state;
    open_outlet(false);
    push("a1 b1 c1 d1 e1 f1 g1 h1 i1 j1");
    for (int i = 0; i < 2; i++) {
        advance(450);
        answer(i == 0 ? "a1" : "b1", KLX_VERDICT_DELIVERED);
        push("k1 l1");
    }
    assert_string_equal(w.parked, "");
    advance(100);
    assert_string_equal(w.parked, "circuit e1 f1 g1 h1 i1 j1 k1 l1 k1 l1");
}

static void nobody_waits_for_the_only_channel(void **state) {
    (void)state;
    open_outlet(true);
    push("a1 b1 c1 d1 e1 f1 g1 h1");
    advance(5000);
    assert_string_equal(w.parked, "");
    assert_true(klx_outlet_full(w.outlet));
}

/* The process ends: what waits is parked, what is under way is waited for. */
static void the_rest_is_parked_before_the_partitions_go(void **state) {
    (void)state;
    open_outlet(false);
    push("a1 b1 a2 c1");
    klx_outlet_hold(w.outlet, true);
    klx_outlet_park_rest(w.outlet);
    turn();
    assert_string_equal(w.parked, "circuit c1");
    answer("a1", KLX_VERDICT_DELIVERED);
    assert_true(klx_outlet_is_parking(w.outlet));
    answer("b1", KLX_VERDICT_RETRY_BACKOFF);
    assert_string_equal(w.parked, "circuit c1 b1 a2");
    assert_false(klx_outlet_is_parking(w.outlet));
    klx_outlet_hold(w.outlet, false);
}

static bool is_under_way(const char *id) {
    for (size_t i = 0; i < SENDS; i++) {
        if (w.sends[i].done != NULL && strcmp(w.sends[i].id, id) == 0) {
            return true;
        }
    }
    return false;
}

/* The loop's timers do not go by the driven clock: the lane asks anew to be woken. */
static void plan_again(void) {
    klx_outlet_hold(w.outlet, true);
    klx_outlet_hold(w.outlet, false);
    turn();
}

/* Whoever stood still may have lost the partitions: their next owner may have told what waits here. */
static void after_a_standstill_a_heartbeat_is_waited_for(void **state) {
    (void)state;
    open_outlet(true);
    klx_clock_driven_advance(&w.clock, 2999 * KLX_US_PER_MS); /* busy, that is all */
    push("a1");
    assert_true(is_under_way("a1"));
    answer("a1", KLX_VERDICT_DELIVERED);
    klx_clock_driven_advance(&w.clock, 3000 * KLX_US_PER_MS);
    push("b1");
    assert_false(is_under_way("b1"));
    advance(1999);
    plan_again();
    assert_false(is_under_way("b1"));
    advance(1);
    plan_again();
    assert_true(is_under_way("b1"));
}

static void limits_count_from_a_reload_on(void **state) {
    (void)state;
    open_outlet(true);
    push("a1 b1 c1");
    assert_false(klx_outlet_full(w.outlet));
    const struct klx_outlet_options now = {
        .queue_max = 3, .give_up_after_ms = 86400000, .park_after_ms = 30000, .alone = false
    };
    klx_outlet_limit(w.outlet, &now);
    turn();
    assert_true(klx_outlet_full(w.outlet));
    assert_string_equal(w.parked, "");
    advance(1000); /* it is not alone any more */
    assert_string_equal(w.parked, "circuit c1");
}

#define OUTLET_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        OUTLET_TEST(what_is_behind_a_hung_send_is_parked_after_it),
        OUTLET_TEST(after_a_standstill_a_heartbeat_is_waited_for),
        OUTLET_TEST(limits_count_from_a_reload_on),
        OUTLET_TEST(a_filling_queue_of_a_channel_that_takes_is_not_parked),
        OUTLET_TEST(a_full_queue_is_parked_though_it_takes_some),
        OUTLET_TEST(nobody_waits_for_the_only_channel),
        OUTLET_TEST(the_rest_is_parked_before_the_partitions_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
