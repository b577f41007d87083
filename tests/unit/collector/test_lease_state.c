/* Leader election: who leads, from when and until when, against a scripted API server. */
#include "tests/unit/support/support.h"

#include <stdio.h>
#include <string.h>

#include "collector/kube/lease_state.h"
#include "lib/base/cleanup.h"
#include "lib/base/time.h"

static const struct klx_lease_times times = { 15000, 10000, 2000 };
static struct klx_clock_driven driven;
static struct klx_arena arena;
static struct klx_lease_state s;

static int set_up(void **state) {
    (void)state;
    klx_clock_driven_init(&driven, 1700000000000000, 1);
    klx_arena_init(&arena, 4096, 1 << 20);
    klx_lease_begin(&s, "me", &times, driven.now_mono_us);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    klx_arena_release(&arena);
    return 0;
}

static enum klx_lease_next due(void) {
    return klx_lease_due(&s, driven.now_mono_us);
}

static void pass(int64_t ms) {
    klx_clock_driven_advance(&driven, ms * KLX_US_PER_MS);
}

static void answer(enum klx_lease_next asked, int status, const char *object) {
    const struct klx_json *lease = NULL;
    struct klx_error e = { 0 };
    assert_int_equal(due(), asked);
    klx_lease_sent(&s, driven.now_mono_us);
    if (object != NULL) {
        assert_int_equal(klx_json_parse(&arena, klx_sv(object), NULL, &lease, &e), 0);
    }
    klx_lease_answered(&s, status, lease, driven.now_mono_us, &driven.clock);
}

#define LEASE(version, holder)                                                                     \
    "{\"metadata\": {\"resourceVersion\": \"" version "\"}, \"spec\": {\"holderIdentity\": "       \
    "\"" holder "\", \"leaseDurationSeconds\": 15, \"leaseTransitions\": 3, \"acquireTime\": "     \
    "\"2026-01-01T00:00:00.000000Z\"}}"

static void lead(void) {
    answer(KLX_LEASE_GET, 404, NULL);
    answer(KLX_LEASE_CREATE, 201, LEASE("1", "me"));
    assert_true(s.leading);
}

static void whoever_finds_none_makes_it(void **state) {
    (void)state;
    lead();
    assert_int_equal(due(), KLX_LEASE_WAIT);
    pass(2000);
    answer(KLX_LEASE_UPDATE, 200, LEASE("2", "me"));
    assert_true(s.leading);
}

static void a_candidate_waits_until_it_has_not_changed_for_its_duration(void **state) {
    (void)state;
    int64_t began_us = driven.now_mono_us;
    answer(KLX_LEASE_GET, 200, LEASE("7", "other"));
    pass(1000);
    answer(KLX_LEASE_GET, 200, LEASE("8", "other")); /* renewed: it begins again from here */
    began_us = driven.now_mono_us;
    while (due() != KLX_LEASE_UPDATE) {
        if (due() == KLX_LEASE_GET) {
            answer(KLX_LEASE_GET, 200, LEASE("8", "other"));
        } else {
            pass(10);
        }
        assert_false(s.leading);
    }
    assert_in_range(driven.now_mono_us - began_us, 15000000, 15010000);
    answer(KLX_LEASE_UPDATE, 200, LEASE("9", "me"));
    assert_true(s.leading);
}

static void one_that_was_given_back_is_taken_within_a_second(void **state) {
    (void)state;
    answer(KLX_LEASE_GET, 200, LEASE("7", "other"));
    pass(1000);
    answer(KLX_LEASE_GET, 200, LEASE("8", ""));
    answer(KLX_LEASE_UPDATE, 200, LEASE("9", "me"));
    assert_true(s.leading);
}

static void the_slower_of_two_candidates_stands_back(void **state) {
    (void)state;
    answer(KLX_LEASE_GET, 200, LEASE("8", ""));
    answer(KLX_LEASE_UPDATE, 409, NULL);
    assert_false(s.leading);
    answer(KLX_LEASE_GET, 200, LEASE("9", "other"));
    assert_int_equal(due(), KLX_LEASE_WAIT);
}

static void a_leader_without_a_renewal_stands_back_before_another_may_lead(void **state) {
    (void)state;
    lead();
    int64_t renewed_us = s.renewed_us;
    while (due() != KLX_LEASE_GET) {
        assert_true(s.leading);
        if (due() == KLX_LEASE_UPDATE) {
            answer(KLX_LEASE_UPDATE, 0, NULL);
        }
        pass(10);
    }
    assert_false(s.leading);
    assert_in_range(driven.now_mono_us - renewed_us, 10000000, 10020000);
}

/* The time that counts is when the request was sent: the server may have taken it then. */
static void a_slow_renewal_counts_from_when_it_was_sent(void **state) {
    (void)state;
    lead();
    pass(2000);
    int64_t sent_us = driven.now_mono_us;
    klx_lease_sent(&s, sent_us);
    pass(4000);
    const struct klx_json *lease = NULL;
    assert_int_equal(klx_json_parse(&arena, KLX_SV(LEASE("2", "me")), NULL, &lease, NULL), 0);
    klx_lease_answered(&s, 200, lease, driven.now_mono_us, &driven.clock);
    assert_int_equal(klx_lease_deadline_us(&s), sent_us + 10000000);
}

static void after_a_lost_answer_it_is_still_ours(void **state) {
    (void)state;
    lead();
    pass(2000);
    answer(KLX_LEASE_UPDATE, 0, NULL); /* written, but the answer was lost */
    pass(2000);
    answer(KLX_LEASE_UPDATE, 409, NULL);
    assert_true(s.leading);
    answer(KLX_LEASE_GET, 200, LEASE("2", "me"));
    assert_true(s.leading);
    answer(KLX_LEASE_UPDATE, 200, LEASE("3", "me"));
    assert_true(s.leading);
}

static void one_that_another_took_is_lost_at_once(void **state) {
    (void)state;
    lead();
    pass(2000);
    answer(KLX_LEASE_UPDATE, 409, NULL);
    answer(KLX_LEASE_GET, 200, LEASE("2", "other"));
    assert_false(s.leading);
}

static void one_that_is_deleted_is_made_again(void **state) {
    (void)state;
    lead();
    pass(2000);
    answer(KLX_LEASE_UPDATE, 404, NULL);
    answer(KLX_LEASE_GET, 404, NULL);
    assert_string_equal(s.version, ""); /* an object that is created has none yet */
    answer(KLX_LEASE_CREATE, 201, LEASE("5", "me"));
    assert_true(s.leading);
}

static void a_refusal_is_not_stormed(void **state) {
    (void)state;
    answer(KLX_LEASE_GET, 403, NULL);
    assert_int_equal(due(), KLX_LEASE_WAIT);
    pass(2000);
    answer(KLX_LEASE_GET, 404, NULL);
    answer(KLX_LEASE_CREATE, 404, NULL); /* its namespace does not exist */
    assert_int_equal(due(), KLX_LEASE_WAIT);
}

static void expect_body(bool release, const char *words) {
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&out, 4096);
    klx_lease_body(&s, "klaxon", "l", driven.now_wall_us, release, &out);
    if (strstr(klx_buf_str(&out), words) == NULL) {
        fail_msg("%s\nhas no %s", klx_buf_str(&out), words);
    }
}

static void the_object_is_as_client_go_writes_it(void **state) {
    (void)state;
    expect_body(false, "{\"apiVersion\":\"coordination.k8s.io/v1\",\"kind\":\"Lease\","
                       "\"metadata\":{\"name\":\"l\",\"namespace\":\"klaxon\"},"
                       "\"spec\":{\"holderIdentity\":\"me\",\"leaseDurationSeconds\":15,"
                       "\"acquireTime\":\"2023-11-14T22:13:20.000000Z\","
                       "\"renewTime\":\"2023-11-14T22:13:20.000000Z\",\"leaseTransitions\":0}}");
    answer(KLX_LEASE_GET, 200, LEASE("8", ""));
    expect_body(false, "\"resourceVersion\":\"8\"");
    expect_body(false, "\"acquireTime\":\"2023-11-14T22:13:20.000000Z\"");
    expect_body(false, "\"leaseTransitions\":4");
    answer(KLX_LEASE_UPDATE, 200, LEASE("9", "me"));
    expect_body(false, "\"acquireTime\":\"2026-01-01T00:00:00.000000Z\"");
    expect_body(false, "\"leaseTransitions\":3");
    expect_body(true, "\"holderIdentity\":\"\",\"leaseDurationSeconds\":1,");
}

static void numbers_of_any_size_are_taken(void **state) {
    (void)state;
    answer(KLX_LEASE_GET, 200,
           "{\"metadata\": {\"resourceVersion\": \"1\"}, \"spec\": {\"holderIdentity\": \"other\", "
           "\"leaseDurationSeconds\": 9007199254740992, \"leaseTransitions\": "
           "9007199254740992}}");
    assert_false(s.leading);
    expect_body(false, "\"leaseTransitions\":2147483648}");
    pass(2000);
    answer(KLX_LEASE_GET, 200,
           "{\"metadata\": {\"resourceVersion\": \"2\"}, \"spec\": {\"holderIdentity\": \"other\", "
           "\"leaseDurationSeconds\": -9007199254740992}}");
    assert_int_equal(due(), KLX_LEASE_UPDATE);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(whoever_finds_none_makes_it),
        TEST(a_candidate_waits_until_it_has_not_changed_for_its_duration),
        TEST(one_that_was_given_back_is_taken_within_a_second),
        TEST(the_slower_of_two_candidates_stands_back),
        TEST(a_leader_without_a_renewal_stands_back_before_another_may_lead),
        TEST(a_slow_renewal_counts_from_when_it_was_sent),
        TEST(after_a_lost_answer_it_is_still_ours),
        TEST(one_that_another_took_is_lost_at_once),
        TEST(one_that_is_deleted_is_made_again),
        TEST(a_refusal_is_not_stormed),
        TEST(the_object_is_as_client_go_writes_it),
        TEST(numbers_of_any_size_are_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
