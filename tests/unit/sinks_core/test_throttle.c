/* The throttle of a channel. */
#include "tests/unit/support/support.h"

#include "lib/base/time.h"
#include "sinks/core/noise/throttle.h"

#define MINUTE (60 * KLX_US_PER_S)
#define T0 INT64_C(1773216000000000)

static int take_all(struct klx_throttle *t, int64_t now_us) {
    int n = 0;
    while (n < 1000 && klx_throttle_take(t, now_us)) {
        n++;
    }
    return n;
}

static void a_burst_then_a_steady_pace(void **state) {
    (void)state;
    struct klx_throttle t;
    klx_throttle_init(&t, 20, MINUTE, 10);
    assert_int_equal(take_all(&t, T0), 10);
    assert_int_equal(klx_throttle_next_us(&t, T0) - T0, 6 * KLX_US_PER_S);
    assert_int_equal(take_all(&t, T0 + 5 * KLX_US_PER_S), 0);
    assert_int_equal(take_all(&t, T0 + 6 * KLX_US_PER_S), 1);
    assert_int_equal(take_all(&t, T0 + 18 * KLX_US_PER_S), 2);
    assert_int_equal(take_all(&t, T0 + 10 * MINUTE), 10); /* full again, and no fuller */
}

/* Whoever asks all the time, from a full bucket, gets no more than `messages` in any stretch of `per`. */
static void no_stretch_has_more_than_is_allowed(void **state) {
    (void)state;
    static const struct {
        int messages, burst, at_once;
    } cases[] = {
        { 20, 0, 10 }, { 20, 1, 1 }, { 20, 19, 19 }, { 7, 3, 3 }, { 2, 0, 1 }, { 1, 0, 1 }
    };
    for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
        struct klx_throttle t;
        int64_t taken[4096];
        size_t n = 0;
        klx_throttle_init(&t, cases[c].messages, MINUTE, cases[c].burst);
        for (int64_t now = T0; now < T0 + 5 * MINUTE && n < 4096; now += 100000) {
            while (klx_throttle_take(&t, now)) {
                taken[n++] = now;
            }
            assert_true(now != T0 || (int)n == cases[c].at_once);
        }
        for (size_t i = 0; i < n; i++) {
            size_t within = 0;
            for (size_t j = i; j < n && taken[j] < taken[i] + MINUTE; j++) {
                within++;
            }
            assert_true((int)within <= cases[c].messages);
        }
        assert_true((int)n >= 4); /* it goes on */
    }
}

static void none_is_no_limit(void **state) {
    (void)state;
    struct klx_throttle t;
    klx_throttle_init(&t, 0, MINUTE, 0);
    assert_int_equal(take_all(&t, T0), 1000);
    assert_int_equal(klx_throttle_next_us(&t, T0), T0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_then_a_steady_pace),
        cmocka_unit_test(no_stretch_has_more_than_is_allowed),
        cmocka_unit_test(none_is_no_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
