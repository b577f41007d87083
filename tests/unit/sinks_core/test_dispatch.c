/* From a record to the stored offset, with a channel and a producer that answer when the case wants. */
#include "tests/unit/support/support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/cleanup.h"
#include "lib/base/log.h"
#include "lib/base/time.h"
#include "lib/io/metrics.h"
#include "sinks/core/dispatch.h"

#define PENDING_MAX 64
#define QUEUE 4

static struct {
    struct klx_loop *loop;
    struct klx_topic_names topics;
    struct klx_dispatch *dispatch;
    struct klx_timer *turn;
    struct klx_clock_driven clock; /* of the case that drives it */
    int64_t stored;                /* the last offset of partition 0 of nodes; -1: none */
    bool paused;
    bool open_fails;
    const char *credential;
    int queue; /* of the next reload; 0: as it was */
    /* The two channels' sends. */
    klx_sent_fn done[2];
    void *done_arg[2];
    char sent[2][64];
    int closed;
    /* The producer's records without an answer. */
    klx_produced_fn produced;
    void *produced_arg[PENDING_MAX];
    char topics_sent[PENDING_MAX][32];
    size_t pending;
    bool idle;
    int null_fd;
} w;

static int fake_open(const struct klx_sink_env *env, const char *name, const void *config,
                     void **ret_channel, struct klx_error *e) {
    (void)env;
    (void)config;
    if (w.open_fails) {
        return klx_fail(e, -EINVAL, "no key");
    }
    *ret_channel = strcmp(name, "a") == 0 ? &w.done[0] : &w.done[1];
    return 0;
}

static int fake_render(void *channel, const struct klx_notice *n, struct klx_buf *out,
                       struct klx_error *e) {
    (void)channel;
    (void)e;
    klx_buf_add_sv(out, n->event->id);
    return 0;
}

static void fake_send(void *channel, const struct klx_send *send, klx_sent_fn done, void *arg) {
    size_t i = channel == &w.done[0] ? 0 : 1;
    snprintf(w.sent[i], sizeof(w.sent[i]), "%.*s", KLX_SV_FMT(send->payloads[0]));
    w.done[i] = done;
    w.done_arg[i] = arg;
}

static void fake_close(void *channel) {
    (void)channel;
    w.closed++;
}

/* "": a channel of its own. */
static void fake_credential(const void *config, struct klx_buf *out) {
    (void)config;
    klx_buf_add_str(out, w.credential);
}

static const struct klx_sink_ops ops = {
    .name = "fake",
    .payload_bytes_max = 64,
    .open = fake_open,
    .render = fake_render,
    .send = fake_send,
    .credential = fake_credential,
    .close = fake_close,
};

static struct klx_channel_settings channels[] = { { .name = "a", .sink = "fake", .ops = &ops },
                                                  { .name = "b", .sink = "fake", .ops = &ops } };
static size_t to_a[] = { 0 }, to_both[] = { 0, 1 };
/* Warnings go to a, what is critical to both. */
static struct klx_subscription_settings subscriptions[] = {
    { .team = KLX_SV("one"),
      .topics = { [KLX_TOPIC_NODES] = true },
      .severities = { [KLX_SEVERITY_WARNING] = true },
      .channels = to_a,
      .channels_n = 1,
      .file = "x.yaml" },
    { .team = KLX_SV("two"),
      .topics = { [KLX_TOPIC_NODES] = true },
      .severities = { [KLX_SEVERITY_CRITICAL] = true },
      .channels = to_both,
      .channels_n = 2,
      .file = "x.yaml" },
};
static const struct klx_sinks_settings settings = {
    .process = { .queue = QUEUE, .give_up_after_ms = 86400000 },
    .channels = channels,
    .channels_n = 2,
    .subscriptions = subscriptions,
    .subscriptions_n = 2,
};

static void set_paused(void *arg, bool paused) {
    (void)arg;
    w.paused = paused;
}

static void store(void *arg, const char *topic, int32_t partition, int64_t next_offset) {
    (void)arg;
    assert_string_equal(topic, "klaxon.nodes");
    assert_int_equal(partition, 0);
    w.stored = next_offset;
}

static int produce(void *arg, const struct klx_record *r, klx_produced_fn done, void *done_arg,
                   struct klx_error *e) {
    (void)arg;
    (void)e;
    snprintf(w.topics_sent[w.pending], sizeof(w.topics_sent[0]), "%s", r->topic);
    w.produced = done;
    w.produced_arg[w.pending++] = done_arg;
    return 0;
}

static int open_dispatch_by(struct klx_clock *clock, struct klx_error *e) {
    const struct klx_dispatch_options o = {
        .env = { .loop = w.loop, .clock = clock },
        .ops = &ops,
        .topics = &w.topics,
        .settings = &settings,
        .pause = set_paused,
        .store = store,
        .produce = produce,
    };
    return klx_dispatch_new(&o, &w.dispatch, e);
}

static int open_dispatch(struct klx_error *e) {
    return open_dispatch_by(klx_clock_real(), e);
}

static void end_turn(void *arg) {
    klx_loop_stop(arg);
}

static int setup(void **state) {
    (void)state;
    memset(&w, 0, sizeof(w));
    w.stored = -1;
    w.credential = "";
    w.null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    klx_log_to_fd(w.null_fd);
    w.loop = klx_loop_new();
    w.turn = klx_timer_new(w.loop, end_turn, w.loop);
    return klx_topic_names_init(&w.topics, KLX_SV("klaxon."), NULL) == 0 ? open_dispatch(NULL) : -1;
}

static int teardown(void **state) {
    (void)state;
    klx_dispatch_free(w.dispatch); /* asserts that no message is left */
    klx_timer_free(w.turn);
    klx_loop_run(w.loop);
    klx_loop_free(w.loop); /* asserts that no timer is left */
    klx_metrics_reset();
    klx_log_to_fd(-1);
    close(w.null_fd);
    return 0;
}

/* Lets timers of 0 ms fire: lanes act in a turn of their own. */
static void turn(void) {
    for (int i = 0; i < 3; i++) {
        klx_timer_start(w.turn, 1);
        klx_loop_run(w.loop);
    }
}

static void read_record(int64_t offset, const char *severity, const char *value) {
    char id[32];
    snprintf(id, sizeof(id), "e%lld", (long long)offset);
    const struct klx_record_header headers[] = {
        { KLX_SV("ce_specversion"), KLX_SV("1.0") }, { KLX_SV("ce_id"), klx_sv(id) },
        { KLX_SV("ce_source"), KLX_SV("/x") },       { KLX_SV("ce_type"), KLX_SV("t") },
        { KLX_SV("ce_severity"), klx_sv(severity) },
    };
    const struct klx_record r = { .topic = "klaxon.nodes",
                                  .offset = offset,
                                  .value = klx_sv(value),
                                  .headers = headers,
                                  .headers_n = KLX_COUNT(headers) };
    klx_dispatch_record(w.dispatch, &r);
    turn();
}

static void answer(size_t channel, enum klx_verdict_class class) {
    struct klx_verdict v;
    klx_verdict_set(&v, class, "x", KLX_SV(""));
    klx_sent_fn done = w.done[channel];
    assert_non_null(done);
    w.done[channel] = NULL;
    done(w.done_arg[channel], &v, 1);
    turn();
}

static void acknowledge_all(void) {
    size_t n = w.pending;
    w.pending = 0;
    for (size_t i = 0; i < n; i++) {
        w.produced(w.produced_arg[i], 0, NULL);
    }
    turn();
}

static void an_offset_moves_when_all_is_acknowledged(void **state) {
    (void)state;
    read_record(10, "critical", "{}");
    assert_string_equal(w.sent[0], "e10");
    assert_string_equal(w.sent[1], "e10");
    answer(0, KLX_VERDICT_DELIVERED);
    acknowledge_all();
    assert_int_equal(w.stored, -1); /* the other channel has not answered */
    answer(1, KLX_VERDICT_REJECT_MESSAGE);
    assert_int_equal(w.pending, 2); /* a receipt and a dead letter */
    assert_string_equal(w.topics_sent[0], "klaxon.deliveries");
    assert_string_equal(w.topics_sent[1], "klaxon.dlq");
    assert_int_equal(w.stored, -1);
    acknowledge_all();
    assert_int_equal(w.stored, 11);
}

static void what_concerns_nobody_settles_by_itself(void **state) {
    (void)state;
    read_record(1, "info", "{}");
    read_record(2, "info", "not even JSON"); /* which nobody looks at */
    klx_dispatch_flush(w.dispatch);
    assert_int_equal(w.stored, 3);
    assert_int_equal(w.pending, 0);
    read_record(3, "warning", "{}");
    read_record(4, "info", "{}");
    klx_dispatch_flush(w.dispatch);
    assert_int_equal(w.stored, 3);
    answer(0, KLX_VERDICT_DELIVERED);
    acknowledge_all();
    assert_int_equal(w.stored, 5);
}

static void poison_is_a_dead_letter_alone(void **state) {
    (void)state;
    read_record(1, "loud", "{}");
    read_record(2, "warning", "{\"half\":");
    assert_int_equal(w.pending, 2);
    assert_string_equal(w.topics_sent[0], "klaxon.dlq");
    assert_string_equal(w.topics_sent[1], "klaxon.dlq");
    assert_null(w.done[0]);
    assert_int_equal(w.stored, -1);
    acknowledge_all();
    assert_int_equal(w.stored, 3);
}

static void a_revoked_partition_stores_nothing(void **state) {
    (void)state;
    read_record(1, "warning", "{}");
    read_record(2, "warning", "{}");
    klx_dispatch_revoke(w.dispatch, "klaxon.nodes", 0);
    turn();
    answer(0, KLX_VERDICT_DELIVERED);
    assert_int_equal(w.pending, 1); /* it was told, so its receipt is written */
    acknowledge_all();
    klx_dispatch_flush(w.dispatch);
    assert_int_equal(w.stored, -1);
    assert_null(w.done[0]);          /* e2 is not sent */
    read_record(1, "warning", "{}"); /* it comes back */
    answer(0, KLX_VERDICT_DELIVERED);
    acknowledge_all();
    assert_int_equal(w.stored, 2);
}

static void a_full_lane_pauses_reading(void **state) {
    (void)state;
    for (int i = 0; i < QUEUE; i++) {
        assert_false(w.paused);
        read_record(i, "warning", "{}");
    }
    assert_true(w.paused);
    answer(0, KLX_VERDICT_DELIVERED);
    assert_false(w.paused);
}

static void what_is_told_ahead_pauses_reading(void **state) {
    (void)state;
    read_record(0, "critical", "{}"); /* b never answers */
    answer(0, KLX_VERDICT_DELIVERED);
    acknowledge_all();
    for (int i = 1; i <= QUEUE; i++) {
        assert_false(w.paused);
        read_record(i, "warning", "{}");
        answer(0, KLX_VERDICT_DELIVERED);
        acknowledge_all();
    }
    assert_true(w.paused); /* a crash now would tell four again */
    answer(1, KLX_VERDICT_DELIVERED);
    acknowledge_all();
    assert_false(w.paused);
    assert_int_equal(w.stored, QUEUE + 1);
}

static void on_idle(void *arg) {
    (void)arg;
    w.idle = true;
}

static void on_drained(void *arg) {
    *(bool *)arg = true;
}

/* Another reading of the configuration, in which a is configured like `at_a`; NULL: as before. names_b false: nobody names b. */
static int reload(const struct klx_config_node *at_a, bool names_b, struct klx_error *e) {
    static struct klx_channel_settings next_channels[2];
    static struct klx_subscription_settings next_subscriptions[2];
    static struct klx_sinks_settings next;
    memcpy(next_channels, channels, sizeof(channels));
    memcpy(next_subscriptions, subscriptions, sizeof(subscriptions));
    next = settings;
    next.process.queue = w.queue > 0 ? w.queue : QUEUE;
    next_channels[0].at = at_a;
    next_subscriptions[1].channels_n = names_b ? 2 : 1;
    next.channels = next_channels;
    next.subscriptions = next_subscriptions;
    int rc = klx_dispatch_reload(w.dispatch, &next, NULL, e);
    turn();
    return rc;
}

static void a_reload_removes_a_channel_alone(void **state) {
    (void)state;
    read_record(1, "critical", "{}");
    read_record(2, "critical", "{}");
    assert_int_equal(reload(NULL, false, NULL), 0);
    assert_int_equal(w.closed, 0); /* b is sending; a goes on */
    read_record(3, "critical", "{}");
    answer(1, KLX_VERDICT_DELIVERED);
    assert_int_equal(w.closed, 1);
    assert_int_equal(w.pending, 3); /* e1 has a receipt; e2 has one and is a dead letter */
    assert_string_equal(w.topics_sent[2], "klaxon.dlq");
    for (int i = 1; i <= 3; i++) {
        answer(0, KLX_VERDICT_DELIVERED);
    }
    acknowledge_all();
    assert_int_equal(w.stored, 4); /* all are settled */
    assert_int_equal(w.closed, 1);
}

static struct klx_config *other_config(void) {
    struct klx_config *other = NULL;
    assert_int_equal(klx_config_parse(KLX_SV("{ fake: {} }"), "x.yaml", &other, NULL), 0);
    return other;
}

static void a_reload_changes_a_channel_when_its_send_has_ended(void **state) {
    (void)state;
    struct klx_config *other = other_config();
    read_record(1, "warning", "{}");
    read_record(2, "warning", "{}");
    assert_int_equal(reload(klx_config_root(other), true, NULL), 0);
    assert_int_equal(w.closed, 0);
    assert_string_equal(w.sent[0], "e1");
    answer(0, KLX_VERDICT_RETRY_BACKOFF);
    assert_int_equal(w.closed, 1);
    assert_string_equal(w.sent[0], "e1"); /* tried by the new one, before what is behind it */
    answer(0, KLX_VERDICT_DELIVERED);
    assert_string_equal(w.sent[0], "e2");
    answer(0, KLX_VERDICT_DELIVERED);
    acknowledge_all();
    assert_int_equal(w.stored, 3);
    klx_config_free(other);
}

static void a_reload_that_cannot_be_opened_changes_nothing(void **state) {
    (void)state;
    struct klx_config *other = other_config();
    struct klx_error e = { .text = "" };
    w.open_fails = true;
    assert_int_equal(reload(klx_config_root(other), false, &e), -EINVAL);
    assert_string_equal(e.text, "channel a: no key");
    assert_int_equal(w.closed, 0);
    read_record(1, "critical", "{}"); /* both are there as they were */
    answer(0, KLX_VERDICT_DELIVERED);
    answer(1, KLX_VERDICT_DELIVERED);
    acknowledge_all();
    assert_int_equal(w.stored, 2);
    klx_config_free(other);
}

static void a_reload_changes_the_limits(void **state) {
    (void)state;
    read_record(1, "warning", "{}");
    read_record(2, "warning", "{}");
    assert_false(w.paused);
    w.queue = 2;
    assert_int_equal(reload(NULL, true, NULL), 0);
    assert_true(w.paused);
    w.queue = 100;
    assert_int_equal(reload(NULL, true, NULL), 0);
    assert_false(w.paused);
    for (int i = 3; i < 3 * QUEUE; i++) {
        read_record(i, "warning", "{}");
    }
    assert_false(w.paused);
}

/* SIGSTOP, and then SIGCONT: what waits is others' to tell, if the group has given the partition away meanwhile. */
static void after_a_standstill_nothing_is_sent_at_once(void **state) {
    (void)state;
    klx_dispatch_free(w.dispatch);
    klx_clock_driven_init(&w.clock, 1773216000000000, 1);
    assert_int_equal(open_dispatch_by(&w.clock.clock, NULL), 0);
    read_record(1, "warning", "{}");
    read_record(2, "warning", "{}");
    read_record(3, "warning", "{}");
    klx_clock_driven_advance(&w.clock, 2 * KLX_US_PER_S);
    answer(0, KLX_VERDICT_DELIVERED);
    assert_string_equal(w.sent[0], "e2"); /* that happens */
    klx_clock_driven_advance(&w.clock, 3 * KLX_US_PER_S);
    answer(0, KLX_VERDICT_DELIVERED);
    assert_null(w.done[0]);
    klx_dispatch_revoke(w.dispatch, "klaxon.nodes", 0);
    klx_clock_driven_advance(&w.clock, 2 * KLX_US_PER_S);
    read_record(1, "warning", "{}"); /* it is ours after all, from where it was committed */
    assert_string_equal(w.sent[0], "e1");
}

static void it_ends_in_order(void **state) {
    (void)state;
    read_record(1, "warning", "{}");
    read_record(2, "warning", "{}");
    klx_dispatch_stop(w.dispatch, 60000, on_idle, NULL);
    turn();
    assert_false(w.idle); /* a send is under way */
    answer(0, KLX_VERDICT_DELIVERED);
    assert_true(w.idle);
    assert_null(w.done[0]);
    klx_dispatch_close(w.dispatch);
    assert_int_equal(w.closed, 2);
    assert_int_equal(w.stored, -1);
    acknowledge_all(); /* the producer still answers */
    klx_dispatch_flush(w.dispatch);
    assert_int_equal(w.stored, 2); /* the second one was dropped, and is read again */
}

static void a_hung_send_does_not_hold_the_end(void **state) {
    (void)state;
    read_record(1, "warning", "{}");
    klx_dispatch_stop(w.dispatch, 1, on_idle, NULL);
    turn();
    assert_true(w.idle);
    klx_dispatch_close(w.dispatch);
    klx_dispatch_flush(w.dispatch);
    assert_int_equal(w.stored, -1);
}

static void a_drained_dispatch_has_stored_what_was_told(void **state) {
    (void)state;
    read_record(1, "warning", "{}");
    read_record(2, "warning", "{}");
    klx_dispatch_drain(w.dispatch, 60000, on_idle, NULL);
    turn();
    assert_false(w.idle); /* a send is under way */
    answer(0, KLX_VERDICT_DELIVERED);
    assert_null(w.done[0]); /* no other begins */
    assert_false(w.idle);   /* its receipt is */
    acknowledge_all();
    assert_true(w.idle);
    assert_int_equal(w.stored, 2);
    klx_dispatch_revoke(w.dispatch, "klaxon.nodes", 0);
    klx_dispatch_resume(w.dispatch);
    read_record(7, "warning", "{}"); /* of what this member is given next */
    assert_string_equal(w.sent[0], "e7");
    answer(0, KLX_VERDICT_DELIVERED);
    acknowledge_all();
    assert_int_equal(w.stored, 8);
}

static void a_hung_send_does_not_hold_the_group(void **state) {
    (void)state;
    read_record(1, "warning", "{}");
    klx_dispatch_drain(w.dispatch, 1, on_idle, NULL);
    turn();
    assert_true(w.idle);
    klx_dispatch_revoke(w.dispatch, "klaxon.nodes", 0);
    klx_dispatch_resume(w.dispatch);
    answer(0,
           KLX_VERDICT_DELIVERED); /* late: its receipt is written, its offset is somebody else's */
    acknowledge_all();
    klx_dispatch_flush(w.dispatch);
    assert_int_equal(w.stored, -1);
}

/* The end comes while the group waits. */
static void a_stop_takes_the_place_of_a_drain(void **state) {
    (void)state;
    bool drained = false;
    read_record(1, "warning", "{}");
    klx_dispatch_drain(w.dispatch, 60000, on_drained, &drained);
    klx_dispatch_stop(w.dispatch, 60000, on_idle, NULL);
    answer(0, KLX_VERDICT_DELIVERED);
    assert_true(w.idle); /* receipts are waited for later */
    assert_false(drained);
    acknowledge_all();
    assert_int_equal(w.stored, 2);
}

static void a_channel_that_does_not_open_is_named(void **state) {
    (void)state;
    struct klx_error e = { 0 };
    klx_dispatch_free(w.dispatch);
    w.dispatch = NULL;
    w.open_fails = true;
    assert_int_equal(open_dispatch(&e), -EINVAL);
    assert_string_equal(e.text, "channel a: no key");
}

static void a_refused_credential_holds_both_channels(void **state) {
    (void)state;
    klx_dispatch_free(w.dispatch);
    w.credential = "app one";
    assert_int_equal(open_dispatch(NULL), 0);
    read_record(1, "warning", "{}");
    answer(0, KLX_VERDICT_CREDENTIAL_BROKEN);
    read_record(2, "critical", "{}");
    assert_null(w.done[1]); /* it is not even tried */
    klx_dispatch_retry_now(w.dispatch);
    turn();
    assert_true((w.done[0] == NULL) != (w.done[1] == NULL));
    answer(w.done[0] != NULL ? 0 : 1, KLX_VERDICT_DELIVERED);
    assert_non_null(w.done[0]);
}

static void it_tells_how_it_is(void **state) {
    (void)state;
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    const char *topics[KLX_TOPICS_N];
    klx_buf_init(&text, 4096);
    read_record(1, "warning", "{}");
    answer(0, KLX_VERDICT_CREDENTIAL_BROKEN);
    klx_dispatch_describe(w.dispatch, &text);
    assert_non_null(strstr(klx_buf_str(&text), "channel a: 1 waiting, broken since "));
    assert_non_null(strstr(klx_buf_str(&text), "channel b: 0 waiting, well\n"));
    assert_int_equal(klx_dispatch_topics(w.dispatch, topics), 1);
    assert_string_equal(topics[0], "klaxon.nodes");
    klx_dispatch_retry_now(w.dispatch);
    turn();
    answer(0, KLX_VERDICT_DELIVERED);
}

#define DISPATCH_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        DISPATCH_TEST(an_offset_moves_when_all_is_acknowledged),
        DISPATCH_TEST(what_concerns_nobody_settles_by_itself),
        DISPATCH_TEST(poison_is_a_dead_letter_alone),
        DISPATCH_TEST(a_revoked_partition_stores_nothing),
        DISPATCH_TEST(a_full_lane_pauses_reading),
        DISPATCH_TEST(what_is_told_ahead_pauses_reading),
        DISPATCH_TEST(a_reload_removes_a_channel_alone),
        DISPATCH_TEST(a_reload_changes_a_channel_when_its_send_has_ended),
        DISPATCH_TEST(a_reload_that_cannot_be_opened_changes_nothing),
        DISPATCH_TEST(a_reload_changes_the_limits),
        DISPATCH_TEST(after_a_standstill_nothing_is_sent_at_once),
        DISPATCH_TEST(it_ends_in_order),
        DISPATCH_TEST(a_hung_send_does_not_hold_the_end),
        DISPATCH_TEST(a_drained_dispatch_has_stored_what_was_told),
        DISPATCH_TEST(a_hung_send_does_not_hold_the_group),
        DISPATCH_TEST(a_stop_takes_the_place_of_a_drain),
        DISPATCH_TEST(a_channel_that_does_not_open_is_named),
        DISPATCH_TEST(a_refused_credential_holds_both_channels),
        DISPATCH_TEST(it_tells_how_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
