/* Several sends of one channel at once: what may be, what must wait, and what a failure does to the others. */
#include "tests/unit/support/lane_rig.h"

#include <time.h>

static void as_many_as_the_ops_allow_of_different_incidents(void **state) {
    (void)state;
    rig.ops.concurrency = 3;
    rig_open(0);
    rig_push_all(0, "a1 a2 b1 c1 d1");
    assert_string_equal(rig_under_way(0), ""); /* not from inside push */
    rig_advance(0);
    assert_string_equal(rig_under_way(0), "a1 b1 c1");
    rig_assert_metric("klaxon_sink_in_flight{sink=\"fake\",channel=\"one\"} 3\n");
    rig_answer(0, "b1", KLX_VERDICT_DELIVERED);
    assert_string_equal(rig_under_way(0), "a1 d1 c1");
    rig_answer(0, "a1", KLX_VERDICT_DELIVERED);
    assert_string_equal(rig_under_way(0), "a2 d1 c1");
    rig_answer(0, "d1", KLX_VERDICT_REJECT_MESSAGE);
    rig_answer(0, "c1", KLX_VERDICT_DELIVERED);
    rig_answer(0, "a2", KLX_VERDICT_DELIVERED);
    assert_sv(klx_buf_sv(&rig.done), "b1 a1 d1 c1 a2 ");
    assert_int_equal(klx_lane_depth(rig.lanes[0].lane), 0);
    assert_int_equal(rig.lanes[0].wake_us, -1);
}

static void starts_keep_their_distance(void **state) {
    (void)state;
    rig.ops.concurrency = 3;
    rig.ops.min_interval_ms = 1000;
    rig_open(0);
    rig_push_all(0, "a1 b1 c1");
    rig_advance(999);
    assert_string_equal(rig_under_way(0), "a1");
    rig_advance(1);
    assert_string_equal(rig_under_way(0), "a1 b1");
    rig_answer(0, "a1", KLX_VERDICT_DELIVERED); /* an answer is no start */
    rig_advance(999);
    assert_string_equal(rig_under_way(0), "b1");
    rig_advance(1);
    assert_string_equal(rig_under_way(0), "c1 b1");
}

static void a_failure_of_the_channel_holds_all(void **state) {
    (void)state;
    rig.ops.concurrency = 3;
    rig_open(0);
    rig_push_all(0, "a1 b1 c1 d1");
    rig_advance(10);
    rig_answer(0, "a1", KLX_VERDICT_RETRY_BACKOFF);
    assert_string_equal(rig_under_way(0), "b1 c1"); /* d1 waits, though there is room */
    rig_advance(10);
    rig_answer(0, "b1", KLX_VERDICT_RETRY_BACKOFF);
    rig_answer(0, "c1", KLX_VERDICT_RETRY_BACKOFF);
    assert_string_equal(rig_under_way(0), "");
    /* Three that failed together are one failure: the first backoff, not the third. */
    assert_in_range(rig_wait(0, 1100), 50, 1001);
    assert_string_equal(rig_under_way(0), "a1"); /* the oldest, alone */
    rig_advance(1000);
    assert_string_equal(rig_under_way(0), "a1");
    rig_answer(0, "a1", KLX_VERDICT_DELIVERED);
    assert_non_null(strstr(rig_under_way(0), "d1")); /* it goes through: all go */
    rig_advance(1000);
    assert_non_null(strstr(rig_under_way(0), "b1"));
    assert_non_null(strstr(rig_under_way(0), "c1"));
}

static void retry_after_holds_all(void **state) {
    (void)state;
    rig.ops.concurrency = 2;
    rig_open(0);
    rig_push_all(0, "a1 b1 c1");
    rig_advance(0);
    struct klx_verdict v = rig_verdict(KLX_VERDICT_RETRY_AFTER);
    v.retry_after_ms = 30000;
    rig_answer_each(0, "a1", &v, 1);
    rig_answer(0, "b1", KLX_VERDICT_DELIVERED);
    rig_advance(29999);
    assert_string_equal(rig_under_way(0), "");
    rig_wait(0, 2000);
}

static void half_a_delivery_waits_alone(void **state) {
    (void)state;
    rig.names[0] = KLX_SV("r1");
    rig.names[1] = KLX_SV("r2");
    rig.names_n = 2;
    rig_open(0); /* one at a time: an incident that rests does not hold the channel */
    rig_push_all(0, "a1 a2 b1");
    rig_advance(0);
    const struct klx_verdict half[2] = { rig_verdict(KLX_VERDICT_DELIVERED),
                                         rig_verdict(KLX_VERDICT_RETRY_BACKOFF) };
    rig_answer_each(0, "a1", half, 2);
    assert_string_equal(rig_under_way(0), "b1");
    rig_answer(0, "b1", KLX_VERDICT_DELIVERED);
    assert_string_equal(rig_under_way(0), "");
    rig_wait(0, 1100);
    assert_string_equal(rig_under_way(0), "a1"); /* a2 did not overtake it */
    rig_answer(0, "a1", KLX_VERDICT_DELIVERED);
    assert_string_equal(rig_under_way(0), "a2");
    rig_answer(0, "a2", KLX_VERDICT_DELIVERED);
    rig_assert_contains(klx_buf_str(&rig.outcomes), "delivered a1 at r2 after 2\n");
}

/* The other side takes everything but this one, and says "not now" to it. */
static void one_bad_message_does_not_hold_the_channel(void **state) {
    (void)state;
    rig_open(0);
    rig_push_all(0, "poison poison2");
    rig_advance(0);
    int answered = 0;
    for (int i = 0; i < 20; i++) {
        char id[16];
        snprintf(id, sizeof(id), "n%d", i);
        rig_push(0, id, id);
        rig_wait(0, 61000);
        if (strcmp(rig_under_way(0), "poison") == 0) {
            rig_answer(0, "poison", KLX_VERDICT_RETRY_BACKOFF);
        } else {
            snprintf(id, sizeof(id), "%.15s", rig_under_way(0));
            rig_answer(0, id, KLX_VERDICT_DELIVERED);
            answered++;
        }
    }
    assert_true(answered > 8);
    assert_null(strstr(klx_buf_str(&rig.done), "poison"));
}

static void late_success_does_not_mend_what_broke_meanwhile(void **state) {
    (void)state;
    rig.ops.concurrency = 2;
    rig_open(0);
    rig_push_all(0, "a1 b1");
    rig_advance(5);
    rig_answer(0, "a1", KLX_VERDICT_DESTINATION_BROKEN);
    rig_answer(0, "b1", KLX_VERDICT_DELIVERED);
    assert_true(klx_lane_is_broken(rig.lanes[0].lane));
    assert_sv(klx_buf_sv(&rig.done), "b1 ");
    rig_advance(5000);
    assert_string_equal(rig_under_way(0), "");
    assert_in_range(rig_wait(0, 60000), 5000 - 10, 60000);
    rig_answer(0, "a1", KLX_VERDICT_DELIVERED);
    assert_false(klx_lane_is_broken(rig.lanes[0].lane));
}

static void what_is_tried_keeps_its_handle_and_id(void **state) {
    (void)state;
    rig_open(0);
    rig_push_all(0, "a1 a2");
    rig_advance(0);
    char id[64];
    snprintf(id, sizeof(id), "%s", rig_find(0, "a1")->id);
    assert_string_equal(rig_find(0, "a1")->handle, "");
    rig_answer(0, "a1", KLX_VERDICT_AMBIGUOUS);
    rig_wait(0, 2000);
    assert_string_equal(rig_find(0, "a1")->id, id);
    rig.handle = "1700000000.0001"; /* the owner learns it with the outcome */
    rig.is_old = true;
    assert_false(rig_find(0, "a1")->is_old);
    rig_answer(0, "a1", KLX_VERDICT_DELIVERED);
    assert_string_equal(rig_find(0, "a2")->handle, "1700000000.0001");
    assert_true(rig_find(0, "a2")->is_old);
    assert_string_not_equal(rig_find(0, "a2")->id, id);
}

static void revoked_ones_go_but_for_those_under_way(void **state) {
    (void)state;
    rig.ops.concurrency = 2;
    rig_open(0);
    rig_push_of(0, "a1", "a", 0);
    rig_push_of(0, "a2", "a", 0);
    rig_push_of(0, "b1", "b", 1);
    rig_push_of(0, "b2", "b", 1);
    rig_advance(0);
    klx_tracker_revoke(rig.tracker, "klaxon.nodes", 0);
    klx_lane_drop_revoked(rig.lanes[0].lane);
    assert_sv(klx_buf_sv(&rig.done), "(a2) ");
    rig_answer(0, "a1", KLX_VERDICT_RETRY_BACKOFF); /* not tried again: somebody else has it */
    assert_sv(klx_buf_sv(&rig.done), "(a2) (a1) ");
    rig_answer(0, "b1", KLX_VERDICT_DELIVERED);
    assert_string_equal(rig_under_way(0), "b2");
}

static void a_held_lane_ends_what_is_under_way(void **state) {
    (void)state;
    rig.ops.concurrency = 2;
    rig_open(0);
    rig_push_all(0, "a1 b1 c1");
    rig_advance(0);
    klx_lane_hold(rig.lanes[0].lane, true);
    rig_answer(0, "a1", KLX_VERDICT_DELIVERED);
    rig_answer(0, "b1", KLX_VERDICT_RETRY_BACKOFF);
    assert_false(klx_lane_is_sending(rig.lanes[0].lane));
    rig_advance(100000);
    assert_string_equal(rig_under_way(0), "");
    klx_lane_hold(rig.lanes[0].lane, false);
    rig_advance(0);
    assert_string_equal(rig_under_way(0), "b1");
}

static void what_waits_can_be_taken_in_order(void **state) {
    (void)state;
    rig_open(0);
    rig_push_all(0, "a1 b1 a2");
    rig_advance(0);
    rig_answer(0, "a1", KLX_VERDICT_DESTINATION_BROKEN);
    for (struct klx_delivery *d = klx_lane_take(rig.lanes[0].lane); d != NULL;
         d = klx_lane_take(rig.lanes[0].lane)) {
        if (d->first_us != KLX_TIME_NONE) { /* what is known of its attempts goes with it */
            assert_int_equal(d->recipients[0].attempts, 1);
            assert_string_equal(d->recipients[0].last.reason, "destination_broken");
        }
        klx_delivery_done(d);
    }
    assert_sv(klx_buf_sv(&rig.done), "a1 b1 a2 ");
    rig_assert_described(0, "channel one: 0 waiting, broken since");
}

static void the_lag_is_the_age_of_the_oldest(void **state) {
    (void)state;
    rig_open(0);
    klx_lane_look(rig.lanes[0].lane);
    rig_assert_metric("klaxon_sink_lag_seconds{sink=\"fake\",channel=\"one\"} 0\n");
    rig_push(0, "a1", "a");
    rig_advance(1500);
    rig_push(0, "b1", "b");
    klx_lane_look(rig.lanes[0].lane);
    rig_assert_metric("klaxon_sink_lag_seconds{sink=\"fake\",channel=\"one\"} 1.5\n");
}

/* Ten thousand wait: a send costs no look at all of them. */
static void a_long_queue_costs_nothing(void **state) {
    (void)state;
    rig.ops.concurrency = 4;
    rig_open(0);
    for (int i = 0; i < 10000; i++) {
        char id[16], incident[16];
        snprintf(id, sizeof(id), "e%d", i);
        snprintf(incident, sizeof(incident), "i%d", i % 500);
        rig_push(0, id, incident);
    }
    clock_t began = clock(); /* of this process: others do not count */
    rig_advance(0);
    while (klx_lane_depth(rig.lanes[0].lane) > 0) {
        char first[256];
        snprintf(first, sizeof(first), "%.255s", rig_under_way(0));
        first[strcspn(first, " ")] = '\0';
        rig_answer(0, first, KLX_VERDICT_DELIVERED);
    }
    /* A second under sanitizers; a scan of all would be minutes. */
    assert_true(clock() - began < 5 * CLOCKS_PER_SEC);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        RIG_TEST(as_many_as_the_ops_allow_of_different_incidents),
        RIG_TEST(starts_keep_their_distance),
        RIG_TEST(a_failure_of_the_channel_holds_all),
        RIG_TEST(retry_after_holds_all),
        RIG_TEST(half_a_delivery_waits_alone),
        RIG_TEST(one_bad_message_does_not_hold_the_channel),
        RIG_TEST(late_success_does_not_mend_what_broke_meanwhile),
        RIG_TEST(what_is_tried_keeps_its_handle_and_id),
        RIG_TEST(revoked_ones_go_but_for_those_under_way),
        RIG_TEST(a_held_lane_ends_what_is_under_way),
        RIG_TEST(what_waits_can_be_taken_in_order),
        RIG_TEST(the_lag_is_the_age_of_the_oldest),
        RIG_TEST(a_long_queue_costs_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
