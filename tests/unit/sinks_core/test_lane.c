/* A lane over a channel that answers what a case wants, on a clock that moves only when told. */
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
#include "sinks/core/wording.h"

#define DAY_MS INT64_C(86400000)
#define START_US INT64_C(1773216138000000)

struct world {
    struct klx_clock_driven clock;
    struct klx_message_pool *pool;
    struct klx_tracker *tracker;
    struct klx_lane *lane;
    int64_t wake_us;       /* monotonic; -1: no wake-up is wanted */
    struct klx_buf story;  /* what happened, a line each */
    struct klx_buf stored; /* settled messages */
    int64_t next_offset;

    /* The channel. */
    struct klx_sv names[3];
    size_t names_n; /* 0: the channel has no recipients of its own */
    bool render_fails;
    const struct klx_wording *wording; /* of the channel; the renderer says that it fails */
    klx_sent_fn done;
    void *done_arg;
    size_t sending; /* recipients of the send under way */
    char id[64];
    bool closed;
};

static struct world w;
static int null_fd = -1;

static size_t fake_recipients(void *channel, const struct klx_sv **ret) {
    (void)channel;
    *ret = w.names;
    return w.names_n;
}

static int fake_render(void *channel, const struct klx_notice *n, struct klx_buf *out,
                       struct klx_error *e) {
    (void)channel;
    if (w.render_fails) {
        return klx_fail(e, -EINVAL, "there is no template for %.*s", KLX_SV_FMT(n->event->id));
    }
    assert_ptr_equal(n->wording != NULL ? n->wording->of_channel : NULL, w.wording);
    if (n->wording != NULL) {
        n->wording->failed = 2;
        klx_fail(&n->wording->why, -ETIME, "k.yaml:1:1: title: too much");
    }
    klx_buf_printf(out, "%.*s for %.*s", KLX_SV_FMT(n->event->id), KLX_SV_FMT(n->team));
    return 0;
}

static void fake_send(void *channel, const struct klx_send *send, klx_sent_fn done, void *arg) {
    (void)channel;
    assert_null(w.done); /* one at a time */
    klx_buf_printf(&w.story, "%lld send %.*s", (long long)((w.clock.now_wall_us - START_US) / 1000),
                   KLX_SV_FMT(send->payloads[0]));
    for (size_t i = 0; i < send->recipients_n; i++) {
        const struct klx_sv to = send->recipients[i];
        klx_buf_printf(&w.story, "%s%.*s", to.n > 0 ? " to " : "", KLX_SV_FMT(to));
    }
    klx_buf_add_char(&w.story, '\n');
    snprintf(w.id, sizeof(w.id), "%.*s", KLX_SV_FMT(send->id));
    w.done = done;
    w.done_arg = arg;
    w.sending = send->recipients_n;
}

static void fake_close(void *channel) {
    (void)channel;
    w.closed = true;
}

static const struct klx_subscription_settings subscription = { .team = KLX_SV("ops") };

static void on_outcome(void *arg, const struct klx_outcome *o) {
    (void)arg;
    klx_buf_printf(&w.story, "%lld %s%s %s", (long long)((w.clock.now_wall_us - START_US) / 1000),
                   o->gave_up ? "gave up, " : "", klx_verdict_name(o->verdict->class),
                   o->verdict->reason);
    klx_buf_printf(&w.story, " %.*s%s%.*s after %u", KLX_SV_FMT(o->message->event.id),
                   o->recipient.n > 0 ? " at " : "", KLX_SV_FMT(o->recipient), o->attempts);
    if (o->ambiguous > 0) {
        klx_buf_printf(&w.story, ", %u unknown", o->ambiguous);
    }
    klx_buf_add_char(&w.story, '\n');
}

static void on_change(void *arg) {
    (void)arg;
}

static void schedule(void *arg, int64_t delay_ms) {
    (void)arg;
    w.wake_us = delay_ms < 0 ? -1 : w.clock.now_mono_us + delay_ms * 1000;
}

static void on_message_done(void *arg, struct klx_message *m) {
    (void)arg;
    if (m->abandoned) {
        klx_buf_printf(&w.stored, "(%.*s)", KLX_SV_FMT(m->event.id));
        klx_tracker_forget(w.tracker, &m->tracked, false);
    } else {
        klx_buf_add_sv(&w.stored, m->event.id);
        klx_tracker_settle(w.tracker, &m->tracked, true);
    }
}

static struct klx_sink_ops ops = {
    .name = "fake",
    .payload_bytes_max = 64,
    .render = fake_render,
    .send = fake_send,
    .close = fake_close,
};

static int setup(void **state) {
    (void)state;
    w = (struct world){ .wake_us = -1 };
    null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    klx_log_to_fd(null_fd);
    klx_clock_driven_init(&w.clock, START_US, 42);
    w.pool = klx_message_pool_new(on_message_done, NULL);
    w.tracker = klx_tracker_new(100);
    klx_buf_init(&w.story, 1 << 20);
    klx_buf_init(&w.stored, 65536);
    ops.min_interval_ms = 0;
    ops.recipients = NULL;
    return 0;
}

static void make_lane(void) {
    const struct klx_lane_callbacks cb = { .on_outcome = on_outcome,
                                           .on_change = on_change,
                                           .schedule = schedule };
    ops.recipients = w.names_n > 0 ? fake_recipients : NULL;
    const struct klx_lane_options o = { .ops = &ops,
                                        .channel = &w,
                                        .name = "chan",
                                        .clock = &w.clock.clock,
                                        .wording = w.wording,
                                        .queue_max = 8,
                                        .give_up_after_ms = DAY_MS };
    w.lane = klx_lane_new(&o, &cb);
}

static int teardown(void **state) {
    (void)state;
    klx_lane_free(w.lane);
    assert_true(w.closed);
    klx_message_pool_free(w.pool); /* asserts that no message is left */
    klx_tracker_free(w.tracker);
    klx_buf_release(&w.story);
    klx_buf_release(&w.stored);
    klx_metrics_reset();
    klx_log_to_fd(-1);
    close(null_fd);
    return 0;
}

static void push(const char *id) {
    if (w.lane == NULL) {
        make_lane();
    }
    const struct klx_record_header headers[] = {
        { KLX_SV("ce_specversion"), KLX_SV("1.0") }, { KLX_SV("ce_id"), klx_sv(id) },
        { KLX_SV("ce_source"), KLX_SV("/x") },       { KLX_SV("ce_type"), KLX_SV("t") },
        { KLX_SV("ce_severity"), KLX_SV("info") },
    };
    const struct klx_record r = { .topic = "klaxon.nodes",
                                  .offset = w.next_offset++,
                                  .timestamp_ms = START_US / 1000,
                                  .value = KLX_SV("{}"),
                                  .headers = headers,
                                  .headers_n = KLX_COUNT(headers) };
    struct klx_error e = { 0 };
    struct klx_message *m = klx_message_new(w.pool, &r);
    klx_tracker_begin(w.tracker, r.topic, 0, r.offset, r.timestamp_ms, &m->tracked);
    if (klx_message_decode(m, &e) != 0 || klx_message_keep(m, &e) != 0) {
        fail_msg("%s", e.text);
    }
    klx_lane_push(w.lane, klx_delivery_new(m, &subscription, w.clock.now_mono_us));
    klx_message_unref(m);
}

/* Moves the clock on to each wake-up that is due by then. */
static void advance(int64_t ms) {
    int64_t end_us = w.clock.now_mono_us + ms * 1000;
    while (w.wake_us >= 0 && w.wake_us <= end_us) {
        klx_clock_driven_advance(&w.clock, w.wake_us - w.clock.now_mono_us);
        w.wake_us = -1;
        klx_lane_wake(w.lane);
    }
    klx_clock_driven_advance(&w.clock, end_us - w.clock.now_mono_us);
}

static void answer_all(const struct klx_verdict *v, size_t n) {
    assert_non_null(w.done);
    assert_int_equal(n, w.sending);
    klx_sent_fn done = w.done;
    w.done = NULL;
    done(w.done_arg, v, n);
    assert_null(w.done); /* the lane does not send from inside the answer */
    advance(0);
}

static struct klx_verdict verdict(enum klx_verdict_class class, const char *reason) {
    struct klx_verdict v;
    klx_verdict_set(&v, class, reason, KLX_SV("words"));
    return v;
}

static void answer(enum klx_verdict_class class) {
    struct klx_verdict v = verdict(class, "x");
    answer_all(&v, 1);
}

/* Until the next send begins, at most ms. */
static int64_t wait_for_send(int64_t ms) {
    int64_t from_us = w.clock.now_mono_us;
    while (w.done == NULL && w.wake_us >= 0 && w.wake_us - from_us <= ms * 1000) {
        advance((w.wake_us - w.clock.now_mono_us + 999) / 1000);
    }
    assert_non_null(w.done);
    return (w.clock.now_mono_us - from_us) / 1000;
}

static void assert_story(const char *expected) {
    if (strcmp(klx_buf_str(&w.story), expected) != 0) {
        fail_msg("expected\n%sfound\n%s", expected, klx_buf_str(&w.story));
    }
}

static void in_order_one_at_a_time(void **state) {
    (void)state;
    push("a");
    push("b");
    push("c");
    assert_story(""); /* not from inside push */
    advance(0);
    assert_story("0 send a for ops\n");
    advance(500);
    answer(KLX_VERDICT_DELIVERED);
    answer(KLX_VERDICT_ACCEPTED);
    assert_sv(klx_buf_sv(&w.stored), "ab");
    answer(KLX_VERDICT_REJECT_MESSAGE);
    assert_sv(klx_buf_sv(&w.stored), "abc");
    assert_int_equal(klx_lane_depth(w.lane), 0);
    assert_int_equal(w.wake_us, -1);
    push("d");
    advance(0);
    answer(KLX_VERDICT_REJECT_RECIPIENT);
    assert_story("0 send a for ops\n500 delivered x a after 1\n"
                 "500 send b for ops\n500 accepted x b after 1\n"
                 "500 send c for ops\n500 reject_message x c after 1\n"
                 "500 send d for ops\n500 reject_recipient x d after 1\n");
}

/* From the answer on: a send that took long, because of its connection, counts at the other side from its end. */
static void sends_keep_their_distance(void **state) {
    (void)state;
    ops.min_interval_ms = 1000;
    push("a");
    push("b");
    advance(0);
    advance(300);
    answer(KLX_VERDICT_DELIVERED);
    advance(5000);
    advance(700);
    answer(KLX_VERDICT_DELIVERED);
    assert_story("0 send a for ops\n300 delivered x a after 1\n"
                 "1300 send b for ops\n6000 delivered x b after 1\n");
}

static void a_failure_is_tried_again_in_place(void **state) {
    (void)state;
    push("a");
    push("b");
    advance(0);
    char id[64];
    memcpy(id, w.id, sizeof(id));
    int64_t bound_ms = 1000, longest_ms = 0;
    for (int i = 0; i < 12; i++) {
        answer(i % 2 == 0 ? KLX_VERDICT_RETRY_BACKOFF : KLX_VERDICT_AMBIGUOUS);
        assert_null(w.done);
        int64_t waited_ms = wait_for_send(60000);
        assert_in_range(waited_ms, 100, bound_ms + 1);
        longest_ms = waited_ms > longest_ms ? waited_ms : longest_ms;
        bound_ms = bound_ms * 2 < 60000 ? bound_ms * 2 : 60000;
        assert_string_equal(w.id, id); /* so that a reader can tell a duplicate */
    }
    assert_true(longest_ms > 10000);
    klx_buf_reset(&w.story);
    answer(KLX_VERDICT_DELIVERED);
    assert_non_null(strstr(klx_buf_str(&w.story), "delivered x a after 13, 6 unknown\n"));
    assert_string_not_equal(w.id, id);
    answer(KLX_VERDICT_RETRY_BACKOFF);
    assert_in_range(wait_for_send(60000), 100, 1001); /* success has reset it */
    answer(KLX_VERDICT_DELIVERED);
    assert_sv(klx_buf_sv(&w.stored), "ab");
}

static void retry_after_is_kept_to(void **state) {
    (void)state;
    push("a");
    advance(0);
    struct klx_verdict v = verdict(KLX_VERDICT_RETRY_AFTER, "http_429");
    v.retry_after_ms = 120000;
    answer_all(&v, 1);
    advance(60000);
    klx_lane_retry_now(
        w.lane); /* an operator's SIGHUP does not shorten what the other side asked for */
    advance(59998);
    assert_null(w.done);
    assert_in_range(wait_for_send(60000), 1, 1100);
    answer(KLX_VERDICT_DELIVERED);
}

static void only_open_recipients_are_tried_again(void **state) {
    (void)state;
    w.names[0] = KLX_SV("r1");
    w.names[1] = KLX_SV("r2");
    w.names[2] = KLX_SV("r3");
    w.names_n = 3;
    push("a");
    push("b");
    advance(0);
    struct klx_verdict v[3] = { verdict(KLX_VERDICT_DELIVERED, "250"),
                                verdict(KLX_VERDICT_RETRY_BACKOFF, "450"),
                                verdict(KLX_VERDICT_REJECT_RECIPIENT, "550") };
    answer_all(v, 3);
    assert_sv(klx_buf_sv(&w.stored), "");
    wait_for_send(60000);
    assert_int_equal(w.sending, 1);
    answer_all(&v[1], 1);
    wait_for_send(60000);
    answer_all(&v[0], 1);
    assert_sv(klx_buf_sv(&w.stored), "a");
    assert_int_equal(w.sending, 3); /* the next one goes to all */
    const char *story = klx_buf_str(&w.story);
    assert_non_null(strstr(story,
                           "0 send a for ops to r1 to r2 to r3\n0 delivered 250 a at r1 after 1\n"
                           "0 reject_recipient 550 a at r3 after 1\n"));
    assert_non_null(strstr(story, "send a for ops to r2\n"));
    assert_non_null(strstr(story, "delivered 250 a at r2 after 3\n"));
    const struct klx_verdict all[3] = { v[0], v[0], v[0] };
    answer_all(all, 3);
}

static void a_broken_channel_keeps_its_messages(void **state) {
    (void)state;
    push("a");
    push("b");
    advance(0);
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&text, 1000);
    struct klx_verdict v = verdict(KLX_VERDICT_DESTINATION_BROKEN, "no_service");
    for (int i = 0; i < 20; i++) {
        answer_all(&v, 1);
        assert_in_range(wait_for_send(300000), 10000, 300000);
        v = verdict(i < 10 ? KLX_VERDICT_CREDENTIAL_BROKEN : KLX_VERDICT_RETRY_BACKOFF,
                    i < 10 ? "token_revoked" : "http_503"); /* "not now" does not close it */
    }
    klx_lane_describe(w.lane, &text);
    assert_non_null(
        strstr(klx_buf_str(&text), "channel chan: 2 waiting, broken since 2026-03-11T"));
    assert_non_null(strstr(klx_buf_str(&text), ": token_revoked; its messages are kept"));
    answer_all(&v, 1);
    klx_lane_retry_now(w.lane); /* somebody has repaired it and says so */
    assert_in_range(wait_for_send(300000), 0, 1);
    answer(KLX_VERDICT_DELIVERED);
    answer(KLX_VERDICT_DELIVERED); /* the circuit is closed: b goes out at once */
    assert_sv(klx_buf_sv(&w.stored), "ab");
    klx_buf_reset(&text);
    klx_lane_describe(w.lane, &text);
    assert_sv(klx_buf_sv(&text), "channel chan: 0 waiting, well\n");
}

static void what_is_tried_too_long_is_given_up(void **state) {
    (void)state;
    push("a");
    push("b");
    advance(0);
    int64_t half_us = DAY_MS * 1000 / 2;
    while (klx_lane_depth(w.lane) > 1 || w.clock.now_mono_us < half_us) {
        answer(KLX_VERDICT_RETRY_BACKOFF);
        while (w.done == NULL && w.wake_us >= 0) {
            advance(1000);
        }
        if (w.clock.now_mono_us > half_us && w.next_offset == 2) {
            push("c"); /* it waits for half of the time only */
        }
    }
    const char *story = klx_buf_str(&w.story);
    assert_non_null(strstr(story, "gave up, retry_backoff x a after "));
    /* b waited as long, behind a channel where nothing went through */
    assert_non_null(strstr(story, "gave up, retry_backoff x b after 0\n"));
    assert_sv(klx_buf_sv(&w.stored), "ab");
    assert_in_range(w.clock.now_mono_us, DAY_MS * 1000, DAY_MS * 1000 + 120 * KLX_US_PER_S);
    answer(KLX_VERDICT_DELIVERED);
    assert_sv(klx_buf_sv(&w.stored), "abc");
}

static void one_bad_recipient_does_not_give_up_the_next(void **state) {
    (void)state;
    w.names[0] = KLX_SV("r1");
    w.names[1] = KLX_SV("r2");
    w.names_n = 2;
    push("a");
    push("b");
    advance(0);
    const struct klx_verdict v[2] = { verdict(KLX_VERDICT_DELIVERED, "250"),
                                      verdict(KLX_VERDICT_RETRY_BACKOFF, "450") };
    answer_all(v, 2);
    while (w.sending == 2 || klx_lane_depth(w.lane) == 2) {
        wait_for_send(60000);
        if (w.sending == 2) {
            break; /* b is tried, though it waited a day */
        }
        answer_all(&v[1], 1);
    }
    assert_non_null(strstr(klx_buf_str(&w.story), "gave up, retry_backoff 450 a at r2"));
    const struct klx_verdict good[2] = { v[0], v[0] };
    answer_all(good, 2);
    assert_sv(klx_buf_sv(&w.stored), "ab");
}

static void what_cannot_be_rendered_is_rejected(void **state) {
    (void)state;
    w.render_fails = true;
    push("a");
    push("b");
    advance(0);
    assert_sv(klx_buf_sv(&w.stored), "ab");
    w.render_fails = false;
    push("a name that is so long that the payload passes its maximum of 64 bytes");
    advance(0);
    const char *story = klx_buf_str(&w.story);
    assert_non_null(strstr(story, "0 reject_message render_failed a after 0\n"));
    assert_non_null(strstr(story, "0 reject_message render_failed a name"));
    assert_null(w.done);
}

/* Words that fail are counted, and said once a minute; the message goes out. */
static void words_that_fail_cost_no_message(void **state) {
    (void)state;
    char log[8192] = "";
    int fds[2];
    klx_lane_free(w.lane);
    w.wording = (const struct klx_wording *)&w; /* only its being there counts here */
    make_lane();
    assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
    klx_log_to_fd(fds[1]);
    push("a");
    push("b");
    advance(0);
    answer(KLX_VERDICT_DELIVERED);
    answer(KLX_VERDICT_DELIVERED);
    assert_sv(klx_buf_sv(&w.stored), "ab");
    assert_true(read(fds[0], log, sizeof(log) - 1) > 0);
    const char *said = strstr(log, "cannot be filled in");
    assert_non_null(said);
    assert_non_null(strstr(log, "k.yaml:1:1: title: too much"));
    assert_null(strstr(said + 1, "cannot be filled in"));
    advance(60000);
    push("c");
    advance(0);
    answer(KLX_VERDICT_DELIVERED);
    assert_true(read(fds[0], log, sizeof(log) - 1) > 0);
    klx_log_to_fd(null_fd);
    close(fds[0]);
    close(fds[1]);
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&text, 65536);
    klx_metrics_write(&text);
    assert_non_null(strstr(klx_buf_str(&text), "klaxon_sink_template_failures_total{sink=\"fake\","
                                               "channel=\"chan\"} 6\n"));
}

static void a_revoked_partition_is_dropped(void **state) {
    (void)state;
    push("a");
    push("b");
    push("c");
    advance(0);
    klx_tracker_revoke(w.tracker, "klaxon.nodes", 0);
    klx_lane_drop_revoked(w.lane);
    assert_sv(klx_buf_sv(&w.stored), "(b)(c)");
    assert_int_equal(klx_lane_depth(w.lane), 1); /* a is on its way */
    push("d");
    answer(KLX_VERDICT_RETRY_BACKOFF); /* not tried again: somebody else has it */
    assert_sv(klx_buf_sv(&w.stored), "(b)(c)(a)");
    wait_for_send(60000);
    answer(KLX_VERDICT_DELIVERED);
    assert_sv(klx_buf_sv(&w.stored), "(b)(c)(a)d");
    push("e");
    advance(0);
    klx_tracker_revoke(w.tracker, "klaxon.nodes", 0);
    klx_lane_drop_revoked(w.lane);
    answer(KLX_VERDICT_DELIVERED); /* it was told: its receipt is due, and moves no offset */
    assert_sv(klx_buf_sv(&w.stored), "(b)(c)(a)de");
}

static void a_stopped_lane_ends_its_send(void **state) {
    (void)state;
    push("a");
    push("b");
    advance(0);
    klx_lane_stop(w.lane);
    assert_true(klx_lane_is_sending(w.lane));
    answer(KLX_VERDICT_DELIVERED);
    advance(100000);
    assert_false(klx_lane_is_sending(w.lane));
    assert_null(w.done);
    assert_sv(klx_buf_sv(&w.stored), "a");
}

static void it_is_full_with_hysteresis(void **state) {
    (void)state;
    for (int i = 0; i < 8; i++) {
        assert_false(w.lane != NULL && klx_lane_full(w.lane));
        push("a");
    }
    assert_true(klx_lane_full(w.lane));
    advance(0);
    answer(KLX_VERDICT_DELIVERED);
    assert_false(klx_lane_full(w.lane));
    assert_false(klx_lane_has_room(w.lane));
    answer(KLX_VERDICT_DELIVERED);
    assert_true(klx_lane_has_room(w.lane));
}

static void the_metrics_tell_it(void **state) {
    (void)state;
    push("a");
    push("b");
    advance(0);
    answer(KLX_VERDICT_RETRY_BACKOFF);
    wait_for_send(60000);
    answer(KLX_VERDICT_DELIVERED);
    answer(KLX_VERDICT_DESTINATION_BROKEN);
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&text, 65536);
    klx_metrics_write(&text);
    static const char *const wanted[] = {
        "klaxon_sink_verdicts_total{sink=\"fake\",channel=\"chan\",verdict=\"delivered\"} 1\n",
        "klaxon_sink_verdicts_total{sink=\"fake\",channel=\"chan\",verdict=\"retry_backoff\"} 1\n",
        "klaxon_sink_retries_total{sink=\"fake\",channel=\"chan\"} 1\n",
        "klaxon_sink_queue_deliveries{sink=\"fake\",channel=\"chan\"} 1\n",
        "klaxon_sink_in_flight{sink=\"fake\",channel=\"chan\"} 0\n",
        "klaxon_sink_circuit_open{sink=\"fake\",channel=\"chan\"} 1\n",
        "klaxon_sink_delivery_seconds_count{sink=\"fake\",channel=\"chan\"} 1\n",
    };
    for (size_t i = 0; i < KLX_COUNT(wanted); i++) {
        if (strstr(klx_buf_str(&text), wanted[i]) == NULL) {
            fail_msg("%sis not in\n%s", wanted[i], klx_buf_str(&text));
        }
    }
}

#define LANE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        LANE_TEST(in_order_one_at_a_time),
        LANE_TEST(sends_keep_their_distance),
        LANE_TEST(a_failure_is_tried_again_in_place),
        LANE_TEST(retry_after_is_kept_to),
        LANE_TEST(only_open_recipients_are_tried_again),
        LANE_TEST(a_broken_channel_keeps_its_messages),
        LANE_TEST(what_is_tried_too_long_is_given_up),
        LANE_TEST(one_bad_recipient_does_not_give_up_the_next),
        LANE_TEST(what_cannot_be_rendered_is_rejected),
        LANE_TEST(words_that_fail_cost_no_message),
        LANE_TEST(a_revoked_partition_is_dropped),
        LANE_TEST(a_stopped_lane_ends_its_send),
        LANE_TEST(it_is_full_with_hysteresis),
        LANE_TEST(the_metrics_tell_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
