/* Channels that share a credential, and channels that can be probed. */
#include "tests/unit/support/lane_rig.h"

static void open_three(void) {
    rig_open_with(0, "token of app A");
    rig_open_with(1, "token of app A");
    rig_open_with(2, "token of app B");
}

/* The first of them finds with a1 that app A's token is refused. */
static void open_refused(void) {
    open_three();
    rig_push(0, "a1", "a");
    rig_advance(5);
    rig_answer(0, "a1", KLX_VERDICT_CREDENTIAL_BROKEN);
}

/* Which of the two tries; the other one does not. */
static size_t who_tries(int64_t ms) {
    for (int64_t waited = 0; waited <= ms; waited += 10) {
        bool one = rig_under_way(0)[0] != '\0', two = rig_under_way(1)[0] != '\0';
        assert_false(one && two);
        if (one || two) {
            return one ? 0 : 1;
        }
        rig_advance(10);
    }
    fail_msg("nobody tries");
    return 0;
}

static void a_refused_credential_holds_its_channels(void **state) {
    (void)state;
    open_refused();
    rig_push(1, "b1", "b");
    rig_push(2, "c1", "c");
    rig_advance(0);
    assert_string_equal(rig_under_way(1), ""); /* it was not even tried */
    assert_string_equal(rig_under_way(2), "c1");
    assert_true(klx_lane_is_broken(rig.lanes[1].lane));
    assert_false(klx_lane_is_broken(rig.lanes[2].lane));
    rig_assert_metric("klaxon_sink_circuit_open{sink=\"fake\",channel=\"two\"} 1\n");
    rig_assert_described(1, "channel two: 1 waiting, broken since 2026-03-11T");
    rig_assert_described(1, ": credential_broken, the credential of one, two; their messages are "
                            "kept until it is repaired\n");
    const char *log = rig_logged();
    rig_assert_contains(log, "the credential of channels is refused");
    rig_assert_contains(log, "\"channels\":\"one, two\"");
    rig_assert_contains(log,
                        "check its credentials (user, password, token); docs/channels/fake.md");
    assert_null(strstr(log, "the channel is broken"));
    assert_null(strstr(log, "token of app A"));
}

static void one_tries_and_its_success_frees_all(void **state) {
    (void)state;
    open_three();
    rig_push(0, "a1", "a");
    rig_push(1, "b1", "b");
    rig_advance(5);
    rig_answer(0, "a1", KLX_VERDICT_CREDENTIAL_BROKEN);
    rig_answer(1, "b1", KLX_VERDICT_CREDENTIAL_BROKEN);
    rig_logged();
    rig_advance(9000);
    assert_string_equal(rig_under_way(0), "");
    size_t first = who_tries(60000);
    rig_answer(first, first == 0 ? "a1" : "b1", KLX_VERDICT_CREDENTIAL_BROKEN);
    size_t second = who_tries(120000);
    assert_int_not_equal(first, second); /* turn and turn about */
    rig_advance(1000);
    rig_answer(second, second == 0 ? "a1" : "b1", KLX_VERDICT_DELIVERED);
    assert_string_equal(rig_under_way(first), first == 0 ? "a1" : "b1"); /* at once */
    assert_false(klx_lane_is_broken(rig.lanes[0].lane));
    const char *log = rig_logged();
    rig_assert_contains(log, "the credential works again");
    assert_null(strstr(log, "refused")); /* it was said before */
    rig_assert_metric("klaxon_sink_circuit_open{sink=\"fake\",channel=\"one\"} 0\n");
}

static void not_now_of_a_try_leaves_it_open(void **state) {
    (void)state;
    open_three();
    rig_push(0, "a1", "a");
    rig_push(1, "b1", "b");
    rig_advance(5);
    rig_answer(1, "b1", KLX_VERDICT_CREDENTIAL_BROKEN);
    rig_advance(1);
    rig_answer(0, "a1",
               KLX_VERDICT_DELIVERED); /* begun before: it says nothing of the credential */
    assert_true(klx_lane_is_broken(rig.lanes[0].lane));
    rig_push(0, "a2", "a");
    size_t first = who_tries(60000);
    rig_answer(first, first == 0 ? "a2" : "b1", KLX_VERDICT_RETRY_BACKOFF);
    assert_true(klx_lane_is_broken(rig.lanes[0].lane));
    size_t second = who_tries(120000);
    rig_answer(second, second == 0 ? "a2" : "b1", KLX_VERDICT_DELIVERED);
    assert_false(klx_lane_is_broken(rig.lanes[0].lane));
}

static void a_repair_is_tried_at_once(void **state) {
    (void)state;
    open_three();
    rig_push(0, "a1", "a");
    rig_push(1, "b1", "b");
    rig_advance(5);
    rig_answer(0, "a1", KLX_VERDICT_CREDENTIAL_BROKEN);
    rig_answer(1, "b1", KLX_VERDICT_CREDENTIAL_BROKEN);
    klx_lane_retry_now(rig.lanes[0].lane);
    klx_lane_retry_now(rig.lanes[1].lane);
    rig_advance(0);
    size_t first = who_tries(0);
    rig_answer(first, first == 0 ? "a1" : "b1", KLX_VERDICT_DELIVERED);
    assert_string_not_equal(rig_under_way(1 - first), "");
}

/* The one that tries is closed, or loses what it would send: another one goes on. */
static void who_leaves_does_not_keep_the_others_waiting(void **state) {
    (void)state;
    open_refused();
    rig_push(1, "b1", "b");
    klx_lane_retry_now(rig.lanes[0].lane);
    rig_advance(0);
    while (rig_under_way(0)[0] == '\0') { /* until it is its turn */
        rig_answer(1, "b1", KLX_VERDICT_CREDENTIAL_BROKEN);
        rig_advance(1000000);
    }
    klx_lane_free(rig.lanes[0].lane);
    rig.lanes[0].lane = NULL;
    memset(&rig.lanes[0], 0, sizeof(rig.lanes[0]));
    rig_wait(1, 400000);
    assert_string_equal(rig_under_way(1), "b1");
    rig_answer(1, "b1", KLX_VERDICT_DELIVERED);
    assert_false(klx_lane_is_broken(rig.lanes[1].lane));
}

/* A reload: the channel is made anew, with what may be another token. */
static void new_settings_are_tried_at_once(void **state) {
    (void)state;
    open_refused();
    struct klx_lane *old = rig.lanes[0].lane;
    rig_open_with(0, "token of app A");
    klx_lane_take_over(rig.lanes[0].lane, old);
    klx_lane_free(old);
    rig_assert_metric("klaxon_sink_circuit_open{sink=\"fake\",channel=\"one\"} 1\n");
    rig_advance(0);
    rig_answer(0, "a1", KLX_VERDICT_DELIVERED);
    rig_assert_metric("klaxon_sink_circuit_open{sink=\"fake\",channel=\"two\"} 0\n");
    rig_assert_contains(klx_buf_str(&rig.outcomes), "delivered a1 after 2\n");
}

static void a_channel_that_is_gone_alarms_nobody(void **state) {
    (void)state;
    rig_open(0);
    rig_push(0, "a1", "a");
    rig_advance(5);
    rig_answer(0, "a1", KLX_VERDICT_DESTINATION_BROKEN);
    rig_assert_metric("klaxon_sink_circuit_open{sink=\"fake\",channel=\"one\"} 1\n");
    klx_lane_free(rig.lanes[0].lane);
    rig.lanes[0].lane = NULL;
    rig_assert_metric("klaxon_sink_circuit_open{sink=\"fake\",channel=\"one\"} 0\n");
}

static void what_waits_for_a_credential_too_long_is_given_up(void **state) {
    (void)state;
    open_refused();
    rig_push(1, "b1", "b");
    while (klx_lane_depth(rig.lanes[0].lane) + klx_lane_depth(rig.lanes[1].lane) > 0) {
        rig_advance(60000);
        for (size_t i = 0; i < 2; i++) {
            if (rig_under_way(i)[0] != '\0') {
                rig_answer(i, i == 0 ? "a1" : "b1", KLX_VERDICT_CREDENTIAL_BROKEN);
            }
        }
    }
    assert_in_range(rig.clock.now_mono_us, RIG_DAY_MS * 1000, (RIG_DAY_MS + 400000) * 1000);
    rig_assert_contains(klx_buf_str(&rig.outcomes), "gave up credential_broken b1 after ");
}

static void a_channel_is_probed_at_the_start(void **state) {
    (void)state;
    rig.ops.probe = rig_probe;
    rig_open(0);
    rig_push(0, "a1", "a");
    rig_advance(0);
    assert_string_equal(rig_under_way(0), "?"); /* the message waits for it */
    rig_answer_probe(0, KLX_VERDICT_DELIVERED);
    assert_string_equal(rig_under_way(0), "a1");
    rig_assert_metric("klaxon_sink_probe_success{sink=\"fake\",channel=\"one\"} 1\n");
    rig_assert_described(0, "channel one: 1 waiting, well; probed 2026-03-11T");
    rig_assert_described(0, ": delivered\n");
    rig_answer(0, "a1", KLX_VERDICT_DELIVERED);
    rig_advance(1000000);
    assert_int_equal(rig.lanes[0].probes, 1);
}

static void a_probe_that_fails_at_the_start_is_said(void **state) {
    (void)state;
    rig.ops.probe = rig_probe;
    rig_open(0);
    rig_advance(0);
    rig_answer_probe(0, KLX_VERDICT_DESTINATION_BROKEN);
    rig_assert_metric("klaxon_sink_probe_success{sink=\"fake\",channel=\"one\"} 0\n");
    rig_assert_described(0, "channel one: 0 waiting, well; probed 2026-03-11T");
    rig_assert_described(0, ": destination_broken\n");
    rig_assert_contains(rig_logged(), "the channel was probed, and would not take a message now");
    rig_push(0, "a1", "a"); /* which decides */
    rig_advance(0);
    rig_answer(0, "a1", KLX_VERDICT_DELIVERED);
    rig_assert_described(0, "channel one: 0 waiting, well\n");
}

/* The probe at the start says that all is well, and the first message that it is not. */
static void break_behind_a_probe(void) {
    rig.ops.probe = rig_probe;
    rig_open(0);
    rig_advance(0);
    rig_answer_probe(0, KLX_VERDICT_DELIVERED);
    rig_push(0, "a1", "a");
    rig_advance(0);
    rig_answer(0, "a1", KLX_VERDICT_DESTINATION_BROKEN);
}

/* What was waiting has gone to klaxon.retry: the probe alone must find that it is over. */
static void an_empty_channel_is_probed_until_it_is_well(void **state) {
    (void)state;
    break_behind_a_probe();
    klx_delivery_done(klx_lane_take(rig.lanes[0].lane));
    for (int i = 0; i < 10; i++) {
        rig_wait(0, 400000);
        rig_answer_probe(0, KLX_VERDICT_DESTINATION_BROKEN);
    }
    rig_logged();
    rig_wait(0, 400000);
    rig_answer_probe(0, KLX_VERDICT_DELIVERED);
    assert_false(klx_lane_is_broken(rig.lanes[0].lane));
    rig_assert_contains(rig_logged(), "the channel works again");
}

static void a_probe_that_is_wrong_does_not_keep_it_closed(void **state) {
    (void)state;
    break_behind_a_probe();
    int probes = 0;
    for (rig_wait(0, 400000); strcmp(rig_under_way(0), "?") == 0; rig_wait(0, 400000)) {
        rig_answer_probe(0, KLX_VERDICT_DESTINATION_BROKEN);
        probes++;
    }
    assert_int_equal(probes, 3);
    rig_answer(0, "a1", KLX_VERDICT_DELIVERED);
    assert_false(klx_lane_is_broken(rig.lanes[0].lane));
}

static void an_open_circuit_is_probed_before_a_message_tells(void **state) {
    (void)state;
    rig.ops.probe = rig_probe;
    rig.ops.concurrency = 2;
    rig_open(0);
    rig_advance(0);
    rig_answer_probe(0, KLX_VERDICT_DELIVERED);
    rig_push_all(0, "a1 b1");
    rig_advance(5);
    rig_answer(0, "a1", KLX_VERDICT_DESTINATION_BROKEN);
    rig_advance(100000);
    assert_string_equal(rig_under_way(0), "b1"); /* no probe while a send is under way */
    rig_answer(0, "b1", KLX_VERDICT_DESTINATION_BROKEN);
    rig_advance(400000);
    for (int i = 0; i < 2; i++) {
        assert_string_equal(rig_under_way(0), "?");
        rig_answer_probe(0, KLX_VERDICT_DESTINATION_BROKEN);
        rig_wait(0, 400000);
    }
    rig_answer_probe(0, KLX_VERDICT_DELIVERED);
    assert_string_equal(rig_under_way(0), "a1"); /* one message, alone */
    assert_true(klx_lane_is_broken(rig.lanes[0].lane));
    rig_answer(0, "a1", KLX_VERDICT_DESTINATION_BROKEN); /* the probe was wrong: nothing is said */
    rig_logged();
    rig_wait(0, 400000);
    assert_string_equal(rig_under_way(0), "?");
    rig_answer_probe(0, KLX_VERDICT_DELIVERED);
    rig_answer(0, "a1", KLX_VERDICT_DELIVERED);
    rig_assert_contains(rig_logged(), "the channel works again");
    assert_string_equal(rig_under_way(0), "b1");
    rig_assert_contains(klx_buf_str(&rig.outcomes), "delivered a1 after 3\n");
}

static void a_shared_credential_is_probed_too(void **state) {
    (void)state;
    rig.ops.probe = rig_probe;
    rig_open_with(0, "A");
    rig_open_with(1, "A");
    rig_advance(0);
    rig_answer_probe(0, KLX_VERDICT_DELIVERED);
    rig_answer_probe(1, KLX_VERDICT_DELIVERED);
    rig_push(0, "a1", "a");
    rig_advance(5);
    rig_answer(0, "a1", KLX_VERDICT_CREDENTIAL_BROKEN);
    size_t first = who_tries(60000);
    assert_string_equal(rig_under_way(first), "?");
    rig_answer_probe(first, KLX_VERDICT_CREDENTIAL_BROKEN);
    size_t second = who_tries(200000);
    rig_answer_probe(second, KLX_VERDICT_DELIVERED);
    /* What is empty is content with the probe, what has a message tries it. */
    rig_advance(100000);
    assert_string_equal(rig_under_way(0), "a1");
    rig_answer(0, "a1", KLX_VERDICT_DELIVERED);
    assert_false(klx_lane_is_broken(rig.lanes[0].lane));
    assert_false(klx_lane_is_broken(rig.lanes[1].lane));
}

/* It went well, and before a message could tell, the messages have gone (parked, revoked). */
static void a_probe_whose_messages_are_gone_is_repeated(void **state) {
    (void)state;
    break_behind_a_probe();
    rig_wait(0, 60000);
    const struct klx_verdict v = rig_verdict(KLX_VERDICT_DELIVERED);
    klx_sent_fn done = rig.lanes[0].probed;
    rig.lanes[0].probed = NULL;
    done(rig.lanes[0].probed_arg, &v, 1);
    klx_delivery_done(klx_lane_take(rig.lanes[0].lane));
    rig_wait(0, 1000);
    assert_string_equal(rig_under_way(0), "?");
    rig_answer_probe(0, KLX_VERDICT_DELIVERED);
    assert_false(klx_lane_is_broken(rig.lanes[0].lane));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        RIG_TEST(a_refused_credential_holds_its_channels),
        RIG_TEST(one_tries_and_its_success_frees_all),
        RIG_TEST(not_now_of_a_try_leaves_it_open),
        RIG_TEST(a_repair_is_tried_at_once),
        RIG_TEST(who_leaves_does_not_keep_the_others_waiting),
        RIG_TEST(new_settings_are_tried_at_once),
        RIG_TEST(a_channel_that_is_gone_alarms_nobody),
        RIG_TEST(what_waits_for_a_credential_too_long_is_given_up),
        RIG_TEST(a_channel_is_probed_at_the_start),
        RIG_TEST(a_probe_that_fails_at_the_start_is_said),
        RIG_TEST(an_empty_channel_is_probed_until_it_is_well),
        RIG_TEST(a_probe_that_is_wrong_does_not_keep_it_closed),
        RIG_TEST(an_open_circuit_is_probed_before_a_message_tells),
        RIG_TEST(a_shared_credential_is_probed_too),
        RIG_TEST(a_probe_whose_messages_are_gone_is_repeated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
