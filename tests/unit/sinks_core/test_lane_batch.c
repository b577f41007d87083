/* A channel that is sent batches: when one is full, old enough, half refused, or in the way. */
#include "tests/unit/support/lane_rig.h"

static void open_batches(size_t bytes, size_t n) {
    rig.ops.batch_bytes_max = bytes;
    rig.ops.batch_n_max = n;
    rig.ops.batch_age_ms = 5000;
    rig.ops.payload_bytes_max = 16;
    rig_open(0);
}

static void it_goes_when_the_first_is_old_enough(void **state) {
    (void)state;
    open_batches(1000, 100);
    rig_push(0, "a1", "a");
    rig_advance(3000);
    rig_push(0, "b1", "b");
    rig_push(0, "a2", "a"); /* the same incident, in the same batch */
    rig_advance(1999);
    assert_string_equal(rig_under_way(0), "");
    assert_false(klx_lane_is_sending(rig.lanes[0].lane)); /* gathered is not sent */
    rig_advance(1);
    assert_string_equal(rig_under_way(0), "a1+b1+a2");
    rig_assert_metric("klaxon_sink_batches_total{sink=\"fake\",channel=\"one\"} 1\n");
    rig_answer(0, "a1+b1+a2", KLX_VERDICT_DELIVERED);
    assert_sv(klx_buf_sv(&rig.done), "a1 b1 a2 ");
    assert_int_equal(rig.lanes[0].wake_us, -1);
}

static void it_goes_when_it_is_full(void **state) {
    (void)state;
    open_batches(1000, 3);
    for (int i = 0; i < 7; i++) {
        char id[16];
        snprintf(id, sizeof(id), "e%d", i);
        rig_push(0, id, id);
    }
    rig_advance(0);
    assert_string_equal(rig_under_way(0), "e0+e1+e2");
    rig_answer(0, "e0+e1+e2", KLX_VERDICT_ACCEPTED);
    assert_string_equal(rig_under_way(0), "e3+e4+e5");
    rig_answer(0, "e3+e4+e5", KLX_VERDICT_ACCEPTED);
    assert_string_equal(rig_under_way(0), "");
    rig_advance(5000);
    assert_string_equal(rig_under_way(0), "e6");
    rig_answer(0, "e6", KLX_VERDICT_ACCEPTED);
}

/* 3 + 1, 3 + 1, 3 + 1 bytes: a fourth would be 16, and the first to pass 15. */
static void bytes_fill_it_too(void **state) {
    (void)state;
    open_batches(16, 0);
    rig_push_all(0, "aaa bbb ccc ddd e");
    rig_advance(0);
    assert_string_equal(rig_under_way(0), "aaa+bbb+ccc+ddd");
    rig_advance(5000);
    rig_answer(0, "aaa+bbb+ccc+ddd", KLX_VERDICT_DELIVERED);
    assert_string_equal(rig_under_way(0), "e");
    rig_answer(0, "e", KLX_VERDICT_DELIVERED);
}

static void what_is_not_final_goes_again_in_order(void **state) {
    (void)state;
    open_batches(1000, 4);
    rig_push_all(0, "a1 a2 b1 c1 a3");
    rig_advance(0);
    const struct klx_verdict v[4] = { rig_verdict(KLX_VERDICT_RETRY_BACKOFF),
                                      rig_verdict(KLX_VERDICT_RETRY_BACKOFF),
                                      rig_verdict(KLX_VERDICT_REJECT_MESSAGE),
                                      rig_verdict(KLX_VERDICT_DELIVERED) };
    rig_answer_each(0, "a1+a2+b1+c1", v, 4);
    assert_sv(klx_buf_sv(&rig.done), "b1 c1 ");
    rig_push(0, "d1", "d");
    rig_wait(0, 10000);
    /* d1 did not wait for the incident that rested. */
    assert_string_equal(rig_under_way(0), "d1+a1+a2+a3");
    rig_answer(0, "d1+a1+a2+a3", KLX_VERDICT_DELIVERED);
    rig_assert_contains(klx_buf_str(&rig.outcomes), "delivered a1 after 2\n");
    rig_assert_contains(klx_buf_str(&rig.outcomes), "delivered a3 after 1\n");
    rig_assert_metric("klaxon_sink_retries_total{sink=\"fake\",channel=\"one\"} 2\n");
}

static void a_failing_channel_has_one_batch_under_way(void **state) {
    (void)state;
    rig.ops.concurrency = 2;
    open_batches(1000, 2);
    for (int i = 0; i < 6; i++) {
        char id[16];
        snprintf(id, sizeof(id), "e%d", i);
        rig_push(0, id, id);
    }
    rig_advance(5);
    assert_string_equal(rig_under_way(0), "e0+e1 e2+e3");
    rig_answer(0, "e0+e1", KLX_VERDICT_RETRY_BACKOFF);
    rig_answer(0, "e2+e3", KLX_VERDICT_RETRY_BACKOFF);
    rig_wait(0, 2000);
    rig_advance(2000);
    assert_string_equal(rig_under_way(0), "e0+e1");
    rig_answer(0, "e0+e1", KLX_VERDICT_DELIVERED);
    assert_string_equal(rig_under_way(0), "e2+e3 e4+e5");
}

static void a_stop_sends_what_is_gathered(void **state) {
    (void)state;
    open_batches(1000, 100);
    rig_push_all(0, "a1 b1");
    rig_advance(1000);
    klx_lane_stop(rig.lanes[0].lane);
    assert_true(klx_lane_is_sending(rig.lanes[0].lane));
    assert_string_equal(rig_under_way(0), "a1+b1");
    rig_push(0, "c1", "c");
    rig_answer(0, "a1+b1", KLX_VERDICT_DELIVERED);
    rig_advance(100000);
    assert_string_equal(rig_under_way(0), "");
    assert_sv(klx_buf_sv(&rig.done), "a1 b1 ");
}

static void a_stop_does_not_try_what_is_broken(void **state) {
    (void)state;
    rig.ops.concurrency = 2;
    open_batches(1000, 2);
    rig_push_all(0, "a1 b1");
    rig_push(0, "c1", "c"); /* gathered while the first batch is under way */
    rig_advance(5);
    rig_answer(0, "a1+b1", KLX_VERDICT_DESTINATION_BROKEN);
    klx_lane_stop(rig.lanes[0].lane);
    assert_false(klx_lane_is_sending(rig.lanes[0].lane));
}

static void a_revoked_one_leaves_the_batch(void **state) {
    (void)state;
    open_batches(1000, 100);
    rig_push_of(0, "a1", "a", 0);
    rig_push_of(0, "b1", "b", 1);
    rig_push_of(0, "a2", "a", 0);
    rig_push_of(0, "c1", "c", 1);
    rig_advance(1000);
    klx_tracker_revoke(rig.tracker, "klaxon.nodes", 0);
    klx_lane_drop_revoked(rig.lanes[0].lane);
    assert_sv(klx_buf_sv(&rig.done), "(a1) (a2) ");
    rig_advance(4000);
    assert_string_equal(rig_under_way(0), "b1+c1");
    klx_tracker_revoke(rig.tracker, "klaxon.nodes", 1);
    klx_lane_drop_revoked(rig.lanes[0].lane);
    rig_answer(0, "b1+c1", KLX_VERDICT_RETRY_BACKOFF);
    assert_sv(klx_buf_sv(&rig.done), "(a1) (a2) (b1) (c1) ");
}

static void what_waits_in_it_can_be_taken(void **state) {
    (void)state;
    open_batches(1000, 100);
    rig_push_all(0, "a1 b1");
    rig_advance(1000);
    klx_delivery_done(klx_lane_take(rig.lanes[0].lane));
    assert_sv(klx_buf_sv(&rig.done), "a1 ");
    rig_advance(4000);
    assert_string_equal(rig_under_way(0), "b1");
}

static void what_is_tried_too_long_is_given_up(void **state) {
    (void)state;
    open_batches(1000, 2);
    rig_push_all(0, "a1 b1 c1");
    rig_advance(0);
    rig_answer(0, "a1+b1", KLX_VERDICT_RETRY_BACKOFF);
    while (klx_lane_depth(rig.lanes[0].lane) > 0) {
        rig_advance(30000);
        if (rig_under_way(0)[0] != '\0') {
            char text[64];
            snprintf(text, sizeof(text), "%.63s", rig_under_way(0));
            rig_answer(0, text, KLX_VERDICT_RETRY_BACKOFF);
        }
    }
    assert_in_range(rig.clock.now_mono_us, RIG_DAY_MS * 1000, (RIG_DAY_MS + 200000) * 1000);
    rig_assert_contains(klx_buf_str(&rig.outcomes), "gave up retry_backoff a1 after ");
    rig_assert_contains(klx_buf_str(&rig.outcomes), "gave up retry_backoff c1 after ");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        RIG_TEST(it_goes_when_the_first_is_old_enough),
        RIG_TEST(it_goes_when_it_is_full),
        RIG_TEST(bytes_fill_it_too),
        RIG_TEST(what_is_not_final_goes_again_in_order),
        RIG_TEST(a_failing_channel_has_one_batch_under_way),
        RIG_TEST(a_stop_sends_what_is_gathered),
        RIG_TEST(a_stop_does_not_try_what_is_broken),
        RIG_TEST(a_revoked_one_leaves_the_batch),
        RIG_TEST(what_waits_in_it_can_be_taken),
        RIG_TEST(what_is_tried_too_long_is_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
