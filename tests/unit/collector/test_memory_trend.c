#include "tests/unit/support/support.h"

#include <math.h>

#include "collector/detectors/scaling/memory_trend.h"
#include "lib/base/time.h"

#define EVERY_US (30 * (int64_t)KLX_US_PER_S)

static struct klx_trend trend;

static int forget(void **state) {
    (void)state;
    trend = (struct klx_trend){ 0 };
    return 0;
}

static void add(size_t i, double bytes) {
    klx_trend_add(&trend, (int64_t)i * EVERY_US, bytes);
}

static struct klx_trend_line fit(void) {
    struct klx_trend_line line;
    klx_trend_fit(&trend, &line);
    return line;
}

static void a_line_is_found(void **state) {
    (void)state;
    for (size_t i = 0; i < 40; i++) {
        add(i, 1000 + 30.0 * (double)i);
    }
    struct klx_trend_line line = fit();
    assert_true(line.rising);
    assert_true(fabs(line.bytes_per_s - 1) < 1e-9);
    assert_true(fabs(line.bytes - (1000 + 30.0 * 39)) < 1e-6);
    assert_int_equal(trend.n, KLX_TREND_SAMPLES);
    assert_int_equal(line.span_us, (KLX_TREND_SAMPLES - 1) * EVERY_US);
}

/* Two of twenty-four that are far off do not bend it. */
static void spikes_do_not_bend_it(void **state) {
    (void)state;
    for (size_t i = 0; i < KLX_TREND_SAMPLES; i++) {
        add(i, 1000 + 30.0 * (double)i + (i == 5 || i == 15 ? 900 : 0));
    }
    struct klx_trend_line line = fit();
    assert_true(fabs(line.bytes_per_s - 1) < 0.05);
}

static void few_samples_are_no_line(void **state) {
    (void)state;
    for (size_t i = 0; i + 1 < KLX_TREND_SAMPLES_MIN; i++) {
        add(i, 1000 + 30.0 * (double)i);
        assert_false(fit().rising);
    }
    add(KLX_TREND_SAMPLES_MIN, 5000);
    assert_true(fit().rising);
}

static void what_does_not_rise_is_no_line(void **state) {
    (void)state;
    for (size_t i = 0; i < KLX_TREND_SAMPLES; i++) {
        add(i, 1000);
    }
    assert_false(fit().rising);
    forget(NULL);
    for (size_t i = 0; i < KLX_TREND_SAMPLES; i++) {
        add(i, 3000 - 10.0 * (double)i);
    }
    assert_false(fit().rising);
    forget(NULL);
    for (size_t i = 0; i < KLX_TREND_SAMPLES; i++) {
        add(i, i < KLX_TREND_SAMPLES / 2 ? 1000 : 1500); /* one step */
    }
    assert_false(fit().rising);
    forget(NULL);
    for (size_t i = 0; i < KLX_TREND_SAMPLES; i++) {
        add(i, 1000 + 50.0 * (double)(i % 8)); /* a sawtooth */
    }
    assert_false(fit().rising);
}

static void it_begins_anew(void **state) {
    (void)state;
    for (size_t i = 0; i < 10; i++) {
        add(i, 1000);
    }
    add(9, 2000); /* not newer */
    assert_int_equal(trend.n, 10);
    add(10, 400); /* restarted */
    assert_int_equal(trend.n, 1);
    add(11, 400);
    add(200, 400); /* nobody looked for long */
    assert_int_equal(trend.n, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_line_is_found, forget),
        cmocka_unit_test_setup(spikes_do_not_bend_it, forget),
        cmocka_unit_test_setup(few_samples_are_no_line, forget),
        cmocka_unit_test_setup(what_does_not_rise_is_no_line, forget),
        cmocka_unit_test_setup(it_begins_anew, forget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
