/* The watch's decisions, row by row of the error table. */
#include "tests/unit/support/support.h"

#include <string.h>

#include "collector/kube/watch_state.h"
#include "lib/base/cleanup.h"
#include "lib/base/time.h"

static struct klx_clock_driven driven;
static struct klx_watch_state s;

static void at_stream(const char *rv) {
    struct klx_rv resume;
    klx_rv_set(&resume, klx_sv(rv));
    klx_clock_driven_init(&driven, 0, 1);
    klx_watch_begin(&s, &resume, NULL);
    s.phase = KLX_WATCH_STREAM;
    klx_watch_began(&s, driven.now_mono_us);
}

static struct klx_watch_action step(struct klx_watch_input in) {
    return klx_watch_step(&s, &in, driven.now_mono_us, &driven.clock);
}

static void it_begins_with_a_list_or_a_probe(void **state) {
    (void)state;
    struct klx_rv none = { "" }, some;
    klx_rv_set(&some, KLX_SV("100"));
    assert_int_equal(klx_watch_begin(&s, &none, NULL).next, KLX_WATCH_LIST);
    assert_int_equal(s.list.origin, KLX_ORIGIN_BASELINE);
    assert_int_equal(klx_watch_begin(&s, &some, NULL).next, KLX_WATCH_PROBE);
    struct klx_watch_action a =
        step((struct klx_watch_input){ .kind = KLX_WATCH_IN_PROBED, .rv = KLX_SV("100") });
    assert_int_equal(a.next, KLX_WATCH_STREAM);
    assert_null(a.gap);
}

static void a_version_ahead_of_the_server_is_a_gap_and_everything_is_news(void **state) {
    (void)state;
    struct klx_rv some;
    klx_rv_set(&some, KLX_SV("1000"));
    klx_watch_begin(&s, &some, NULL);
    struct klx_watch_action a =
        step((struct klx_watch_input){ .kind = KLX_WATCH_IN_PROBED, .rv = KLX_SV("999") });
    assert_int_equal(a.next, KLX_WATCH_LIST);
    assert_string_equal(a.gap, "ahead");
    assert_string_equal(s.list.filter.text, "");
    assert_int_equal(s.list.origin, KLX_ORIGIN_RESYNC);
}

static void a_410_relists_what_is_newer_with_one_gap(void **state) {
    (void)state;
    at_stream("77");
    struct klx_watch_action a =
        step((struct klx_watch_input){ .kind = KLX_WATCH_IN_ERROR, .code = 410 });
    assert_int_equal(a.next, KLX_WATCH_LIST);
    assert_string_equal(a.gap, "expired");
    assert_int_equal(a.wait_ms, 0);
    assert_string_equal(s.list.filter.text, "77");
    /* The list fails twice: no second gap. */
    a = step(
        (struct klx_watch_input){ .kind = KLX_WATCH_IN_STATUS, .code = 500, .retry_after_ms = -1 });
    assert_int_equal(a.next, KLX_WATCH_LIST);
    assert_null(a.gap);
    assert_false(a.from_start); /* the same page again */
    a = step(
        (struct klx_watch_input){ .kind = KLX_WATCH_IN_STATUS, .code = 410, .retry_after_ms = -1 });
    assert_int_equal(a.next, KLX_WATCH_LIST);
    assert_null(a.gap);
    assert_true(a.from_start);
    assert_true(a.wait_ms >= 200); /* a server that always says 410 is not stormed */
    a = step((struct klx_watch_input){ .kind = KLX_WATCH_IN_LISTED, .rv = KLX_SV("120") });
    assert_int_equal(a.next, KLX_WATCH_STREAM);
    assert_string_equal(s.rv.text, "120");
    assert_int_equal(s.list.origin, KLX_ORIGIN_LIVE);
}

/* A server that has just started has an empty cache; the next one behind the balancer may know. */
static void a_410_of_a_cache_is_believed_the_fifth_time(void **state) {
    (void)state;
    const struct klx_watch_input gone = { .kind = KLX_WATCH_IN_ERROR, .code = 410 };
    for (int round = 0; round < 2; round++) {
        at_stream("100");
        s.cached = true;
        struct klx_watch_action a = step(gone);
        assert_null(a.gap);
        assert_int_equal(a.next, KLX_WATCH_STREAM);
        assert_true(a.wait_ms >= 100 && a.wait_ms < 200);
        assert_string_equal(s.rv.text, "100");
        if (round == 0) { /* another one knows */
            step((struct klx_watch_input){ .kind = KLX_WATCH_IN_PROGRESS, .rv = KLX_SV("101") });
            assert_null(step(gone).gap);
        }
        assert_null(step(gone).gap);
        assert_null(step(gone).gap);
        assert_null(step((struct klx_watch_input){ .kind = KLX_WATCH_IN_STATUS, .code = 410 }).gap);
        a = step(gone);
        assert_string_equal(a.gap, "expired");
        assert_int_equal(a.next, KLX_WATCH_LIST);
    }
}

static void statuses(void **state) {
    (void)state;
    static const struct {
        int code;
        int64_t retry_after_ms, wait_min_ms, wait_max_ms;
        bool gap, refresh, probe;
    } cases[] = {
        { 401, -1, 0, 0, false, true, false },
        { 403, -1, 60000, 60000, false, false, false },
        { 404, -1, 30000, 30000, false, false, false },
        { 405, -1, 60000, 60000, false, false, false },
        { 422, -1, 60000, 60000, false, false, false },
        { 429, 7000, 7000, 7000, false, false, false },
        { 429, -1, 200, 800, false, false, false },
        { 500, -1, 200, 800, false, false, true },
        { 503, 45000, 45000, 45000, false, false, true },
        { 504, -1, 200, 800, false, false, true }, /* a gateway's: no word about versions */
        { 410, -1, 0, 0, true, false, false },
    };
    for (size_t i = 0; i < KLX_COUNT(cases); i++) {
        at_stream("5");
        struct klx_watch_action a =
            step((struct klx_watch_input){ .kind = KLX_WATCH_IN_STATUS,
                                           .code = cases[i].code,
                                           .retry_after_ms = cases[i].retry_after_ms });
        assert_true(a.wait_ms >= cases[i].wait_min_ms && a.wait_ms <= cases[i].wait_max_ms);
        assert_int_equal(a.gap != NULL, cases[i].gap);
        assert_int_equal(a.refresh, cases[i].refresh);
        assert_int_equal(a.absent, cases[i].code == 404);
        assert_int_equal(a.next, cases[i].gap     ? KLX_WATCH_LIST
                                 : cases[i].probe ? KLX_WATCH_PROBE
                                                  : KLX_WATCH_STREAM);
        assert_int_equal(a.trouble != NULL, !cases[i].gap && cases[i].code != 401);
    }
}

static void a_second_401_waits_and_says_so(void **state) {
    (void)state;
    at_stream("5");
    struct klx_watch_input in = { .kind = KLX_WATCH_IN_STATUS, .code = 401, .retry_after_ms = -1 };
    assert_int_equal(step(in).wait_ms, 0);
    struct klx_watch_action a = step(in);
    assert_true(a.wait_ms >= 200);
    assert_non_null(a.trouble);
    step((struct klx_watch_input){ .kind = KLX_WATCH_IN_PROGRESS, .rv = KLX_SV("6") });
    assert_int_equal(step(in).wait_ms, 0);
}

static void a_clean_end_reconnects_at_once_unless_it_comes_too_soon(void **state) {
    (void)state;
    struct klx_watch_input ended = { .kind = KLX_WATCH_IN_ENDED };
    at_stream("5");
    assert_true(step(ended).wait_ms > 0);
    at_stream("5");
    step((struct klx_watch_input){ .kind = KLX_WATCH_IN_PROGRESS, .rv = KLX_SV("6") });
    struct klx_watch_action a = step(ended);
    assert_int_equal(a.wait_ms, 0);
    assert_int_equal(a.next, KLX_WATCH_STREAM);
    assert_string_equal(s.rv.text, "6");
}

static void doubt_asks_for_the_servers_version_first(void **state) {
    (void)state;
    at_stream("5");
    klx_clock_driven_advance(&driven, KLX_US_PER_S);
    struct klx_watch_action a = step((struct klx_watch_input){ .kind = KLX_WATCH_IN_ENDED });
    assert_int_equal(a.next, KLX_WATCH_PROBE); /* nothing was heard: is our version ahead? */
    assert_int_equal(a.wait_ms, 0);
    at_stream("5");
    a = step((struct klx_watch_input){ .kind = KLX_WATCH_IN_BROKEN, .what = "connection lost" });
    assert_int_equal(a.next, KLX_WATCH_PROBE);
    assert_true(a.wait_ms >= 200);
    a = step((struct klx_watch_input){ .kind = KLX_WATCH_IN_PROBED, .rv = KLX_SV("4") });
    assert_string_equal(a.gap, "ahead");
    /* What fails on a list is tried again as a list. */
    a = step((struct klx_watch_input){ .kind = KLX_WATCH_IN_BROKEN, .what = "connection lost" });
    assert_int_equal(a.next, KLX_WATCH_LIST);
}

static void a_list_that_was_under_way_goes_on(void **state) {
    (void)state;
    struct klx_rv rv;
    struct klx_list_place place = { .origin = KLX_ORIGIN_RESYNC };
    klx_rv_set(&rv, KLX_SV("77"));
    place.filter = rv;
    struct klx_watch_action a = klx_watch_begin(&s, &rv, &place);
    assert_int_equal(a.next, KLX_WATCH_LIST);
    assert_null(a.gap); /* it was told before */
    assert_string_equal(s.list.filter.text, "77");
    assert_int_equal(s.list.origin, KLX_ORIGIN_RESYNC);
}

static void a_second_gap_soon_after_waits(void **state) {
    (void)state;
    struct klx_watch_input expired = { .kind = KLX_WATCH_IN_ERROR, .code = 410 };
    at_stream("5");
    assert_int_equal(step(expired).wait_ms, 0);
    s.phase = KLX_WATCH_STREAM;
    assert_true(step(expired).wait_ms >= 200);
    s.phase = KLX_WATCH_STREAM;
    klx_clock_driven_advance(&driven, 121 * KLX_US_PER_S);
    assert_int_equal(step(expired).wait_ms, 0);
}

static void an_unreadable_frame_is_tried_once_more_and_then_skipped_with_a_gap(void **state) {
    (void)state;
    struct klx_watch_input bad = { .kind = KLX_WATCH_IN_UNREADABLE };
    at_stream("5");
    struct klx_watch_action a = step(bad);
    assert_int_equal(a.next, KLX_WATCH_STREAM);
    assert_null(a.gap);
    a = step(bad);
    assert_int_equal(a.next, KLX_WATCH_LIST);
    assert_string_equal(a.gap, "unreadable");
    at_stream("5");
    assert_string_equal(step((struct klx_watch_input){ .kind = KLX_WATCH_IN_OVERSIZE }).gap,
                        "oversize");
}

static void internal_errors_are_retried_for_a_minute(void **state) {
    (void)state;
    struct klx_watch_input in = { .kind = KLX_WATCH_IN_ERROR, .code = 500, .retry_after_ms = -1 };
    at_stream("5");
    assert_null(step(in).gap);
    klx_clock_driven_advance(&driven, 50 * KLX_US_PER_S);
    assert_null(step(in).gap);
    klx_clock_driven_advance(&driven, 11 * KLX_US_PER_S);
    assert_string_equal(step(in).gap, "internal");
}

static void waits_grow_and_start_over_after_two_healthy_minutes(void **state) {
    (void)state;
    struct klx_watch_input broken = { .kind = KLX_WATCH_IN_BROKEN, .what = "connection lost" };
    at_stream("5");
    int64_t longest = 0;
    for (int i = 0; i < 30; i++) {
        int64_t wait = step(broken).wait_ms;
        longest = wait > longest ? wait : longest;
        assert_true(wait <= 30000);
    }
    assert_true(longest > 5000);
    klx_watch_began(&s, driven.now_mono_us);
    klx_clock_driven_advance(&driven, 121 * KLX_US_PER_S);
    assert_true(step(broken).wait_ms <= 800);
}

static void resource_versions_compare_as_numbers_of_any_length(void **state) {
    (void)state;
    assert_true(klx_rv_cmp(KLX_SV("9"), KLX_SV("10")) < 0);
    assert_true(klx_rv_cmp(KLX_SV("340282366920938463463374607431768211455"),
                           KLX_SV("340282366920938463463374607431768211454")) > 0);
    assert_int_equal(klx_rv_cmp(KLX_SV("42"), KLX_SV("42")), 0);
    assert_false(klx_rv_valid(KLX_SV("0")));
    assert_false(klx_rv_valid(KLX_SV("")));
    assert_false(klx_rv_valid(KLX_SV("1x")));
    assert_false(klx_rv_valid(KLX_SV("3402823669209384634633746074317682114551")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_begins_with_a_list_or_a_probe),
        cmocka_unit_test(a_version_ahead_of_the_server_is_a_gap_and_everything_is_news),
        cmocka_unit_test(a_410_relists_what_is_newer_with_one_gap),
        cmocka_unit_test(a_410_of_a_cache_is_believed_the_fifth_time),
        cmocka_unit_test(statuses),
        cmocka_unit_test(a_second_401_waits_and_says_so),
        cmocka_unit_test(a_clean_end_reconnects_at_once_unless_it_comes_too_soon),
        cmocka_unit_test(doubt_asks_for_the_servers_version_first),
        cmocka_unit_test(a_list_that_was_under_way_goes_on),
        cmocka_unit_test(a_second_gap_soon_after_waits),
        cmocka_unit_test(an_unreadable_frame_is_tried_once_more_and_then_skipped_with_a_gap),
        cmocka_unit_test(internal_errors_are_retried_for_a_minute),
        cmocka_unit_test(waits_grow_and_start_over_after_two_healthy_minutes),
        cmocka_unit_test(resource_versions_compare_as_numbers_of_any_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
