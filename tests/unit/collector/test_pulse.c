/* How long a stream with bookmarks may be silent. */
#include "tests/unit/support/support.h"

#include "collector/kube/pulse.h"

#define S INT64_C(1000000)

static void without_bookmarks_there_is_no_telling(void **state) {
    (void)state;
    struct klx_pulse p = { 0 };
    klx_pulse_begin(&p, 10 * S);
    assert_true(klx_pulse_due_us(&p) == INT64_MAX);
    klx_pulse_frame(&p, false, 20 * S);
    assert_true(klx_pulse_due_us(&p) == INT64_MAX);
}

static void three_missing_bookmarks_are_a_death(void **state) {
    (void)state;
    struct klx_pulse p = { 0 };
    klx_pulse_begin(&p, 0);
    klx_pulse_frame(&p, true, 60 * S);
    assert_true(klx_pulse_due_us(&p) == 240 * S);
    klx_pulse_frame(&p, false, 100 * S); /* news are a sign of life */
    assert_true(klx_pulse_due_us(&p) == 280 * S);
}

static void the_longest_period_of_a_stream_counts(void **state) {
    (void)state;
    struct klx_pulse p = { 0 };
    klx_pulse_begin(&p, 0);
    klx_pulse_frame(&p, true, 60 * S);
    klx_pulse_frame(&p, true, 63 * S); /* the one before the end */
    assert_true(klx_pulse_due_us(&p) == (63 + 180) * S);
    klx_pulse_frame(&p, true, 163 * S);
    assert_true(klx_pulse_due_us(&p) == (163 + 300) * S);
    /* Another stream is measured anew, and until then believed. */
    klx_pulse_begin(&p, 200 * S);
    assert_true(klx_pulse_due_us(&p) == 500 * S);
    klx_pulse_frame(&p, true, 210 * S);
    assert_true(klx_pulse_due_us(&p) == 240 * S);
}

static void what_was_too_short_is_doubled(void **state) {
    (void)state;
    struct klx_pulse p = { 0 };
    klx_pulse_begin(&p, 0);
    klx_pulse_frame(&p, true, 10 * S);
    klx_pulse_lost(&p);
    klx_pulse_begin(&p, 40 * S);
    assert_true(klx_pulse_due_us(&p) == 100 * S);
    klx_pulse_frame(&p, true, 40 * S + 1); /* nobody's bookmarks are that near to each other */
    assert_true(klx_pulse_due_us(&p) >= 41 * S);
}

static void silence_of_ours_is_no_death(void **state) {
    (void)state;
    struct klx_pulse p = { 0 };
    klx_pulse_begin(&p, 0);
    klx_pulse_frame(&p, true, 10 * S);
    klx_pulse_excuse(&p, 1000 * S);
    assert_true(klx_pulse_due_us(&p) == 1030 * S);
    klx_pulse_frame(&p, true, 1001 * S); /* nor does the time of it count as a period */
    assert_true(klx_pulse_due_us(&p) == 1031 * S);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_bookmarks_there_is_no_telling),
        cmocka_unit_test(three_missing_bookmarks_are_a_death),
        cmocka_unit_test(the_longest_period_of_a_stream_counts),
        cmocka_unit_test(what_was_too_short_is_doubled),
        cmocka_unit_test(silence_of_ours_is_no_death),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
