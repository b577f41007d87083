/*
 * A recorded load, played and searched: advice/play.h, advice/search.h.
 */
#include "tests/unit/support/support.h"

#include <math.h>

#include "advice/search.h"
#include "tests/unit/support/hpa_evidence.h"

#define GI ((double)TEST_GI)
#define HOUR 3600
#define TOLERANCE_US                                                                               \
    (16 * TEST_S) /* one sync period, and the second by which looks are elsewhere */

static double waves(double second) {
    return GI * (14 + 12 * sin(second / HOUR * 3.14159));
}

static double high_waves(double second) {
    return 3 * waves(second - HOUR / 2.0); /* from its lowest on */
}

static double ramp(double second) {
    return GI * (6 + second / HOUR * 40);
}

/* 4Gi, and for ten minutes of each hour 40Gi from one second to the next. */
static double spikes(double second) {
    return fmod(second, HOUR) < 3000 ? 4 * GI : 40 * GI;
}

static double flat(double second) {
    (void)second;
    return 9 * GI;
}

struct world {
    struct klx_evidence h;
    struct klx_load load;
    struct test_sequence recorded;
    struct klx_search_options options;
    struct klx_advice advice;
};

static const struct test_load usual = { .base = 0.5 * GI,
                                        .scrape_s = 15,
                                        .start_s = 20,
                                        .seconds = 6 * HOUR,
                                        .min = 2,
                                        .max = 12,
                                        .began_us = TEST_START_US };

static void begin(struct world *w, const struct test_load *l) {
    const struct klx_load_options options = { .base = -1 };
    test_evidence(&w->h, l, &w->recorded);
    assert_int_equal(klx_load_init(&w->load, &w->h, &options, NULL), 0);
    w->options = (struct klx_search_options){ .load = &w->load,
                                              .subject = &w->h.subject,
                                              .flags = klx_scaler_flags_default,
                                              .growth = KLX_SEARCH_GROWTH,
                                              .max_cap = KLX_MANAGED_MAX,
                                              .min_cap = KLX_MANAGED_MIN };
}

static void end(struct world *w) {
    klx_load_release(&w->load);
    klx_evidence_release(&w->h);
}

static void on_point(void *arg, const struct klx_play_point *p) {
    struct test_sequence *s = arg;
    int32_t last = s->n > 0 ? s->changes[s->n - 1].to : 2;
    if (p->replicas != last && s->n < TEST_CHANGES_MAX) {
        s->changes[s->n++] = (struct klx_scaling_change){ p->at_us, last, p->replicas };
    }
}

/* What the scaler did with the pods that there were, the player does with those that it makes of their memory. */
static void the_recorded_sequence_is_played_again(void **state) {
    (void)state;
    double (*const loads[])(double) = { waves, ramp, spikes, high_waves };
    for (size_t i = 0; i < KLX_COUNT(loads); i++) {
        struct world w;
        struct test_load l = usual;
        struct test_sequence played = { .n = 0 };
        struct klx_play_result r;
        l.load = loads[i];
        begin(&w, &l);
        const struct klx_play_options o = { .load = &w.load,
                                            .flags = klx_scaler_flags_default,
                                            .growth = 1 };
        klx_play(&o, &w.h.subject.spec, on_point, &played, &r);
        assert_int_equal(r.changes, played.n);
        size_t same = 0;
        for (size_t k = 0; k < w.recorded.n && k < played.n; k++) {
            const struct klx_scaling_change *a = &w.recorded.changes[k], *b = &played.changes[k];
            same += a->to == b->to && llabs(a->at_us - b->at_us) <= TOLERANCE_US;
        }
        if (same != w.recorded.n || played.n != w.recorded.n) {
            fail_msg("load %zu: %zu of %zu changes are played (%zu)", i, same, w.recorded.n,
                     played.n);
        }
        end(&w);
    }
}

static void a_maximum_that_is_too_small(void **state) {
    (void)state;
    struct world w;
    struct test_load l = usual;
    l.load = high_waves;
    l.max = 6;
    begin(&w, &l);
    klx_search(&w.options, &w.advice);
    const struct klx_advice *a = &w.advice;
    assert_true(a->now.result.at_max_us > HOUR * TEST_S);
    assert_true(a->now.result.oom_us == 0); /* 78Gi in six pods */
    assert_true(a->differs);
    assert_int_equal(a->proposed.spec.min, 2);
    assert_int_equal(a->proposed.spec.max, a->max_needed);
    assert_true(a->max_needed >= 18 && a->max_needed <= 24); /* (3 × 26 × 1.2 + bases) / 5 */
    assert_int_equal(a->proposed.result.at_max_us, 0);
    assert_int_equal(a->proposed.grown.at_max_us, 0);
    assert_int_equal(a->proposed.spec.metrics[0].value, a->now.spec.metrics[0].value);
    end(&w);
}

static void an_oom_that_the_bounds_prevent(void **state) {
    (void)state;
    struct world w;
    struct test_load l = usual;
    l.load = high_waves;
    l.max = 4; /* 78Gi in four pods of 14Gi */
    begin(&w, &l);
    klx_search(&w.options, &w.advice);
    assert_true(w.advice.now.result.oom_us > HOUR * TEST_S);
    assert_true(w.advice.now.result.oom_kills >= 2);
    assert_true(w.advice.now.result.worst > 1.2);
    assert_int_equal(w.advice.proposed.result.oom_us, 0);
    assert_int_equal(w.advice.proposed.grown.oom_us, 0);
    assert_false(w.advice.bounds_cannot);
    assert_true(w.advice.proposed.spec.max > 4);
    end(&w);
}

/* Faster than scraping: 40Gi in two pods are over 14Gi until others run. A minimum of three would have 13.8Gi. */
static void a_burst_needs_a_minimum(void **state) {
    (void)state;
    struct world w;
    struct test_load l = usual;
    l.load = spikes;
    begin(&w, &l);
    klx_search(&w.options, &w.advice);
    assert_true(w.advice.now.result.oom_us > 0);
    assert_int_equal(w.advice.proposed.result.oom_us, 0);
    assert_true(w.advice.proposed.spec.min == 3 || w.advice.proposed.spec.min == 4);
    assert_true(w.advice.proposed.result.replica_us > w.advice.now.result.replica_us);
    end(&w);
}

static void what_is_well_is_left_alone(void **state) {
    (void)state;
    struct world w;
    struct test_load l = usual;
    l.load = flat;
    begin(&w, &l);
    klx_search(&w.options, &w.advice);
    assert_false(w.advice.differs);
    assert_int_equal(w.advice.now.result.oom_us, 0);
    assert_int_equal(w.advice.now.result.at_max_us, 0);
    assert_int_equal(w.advice.confidence, KLX_CONFIDENCE_LOW);
    assert_non_null(strstr(w.advice.doubts[0], "two days"));
    end(&w);
}

static void a_minimum_that_is_too_large_is_kept_on_little_data(void **state) {
    (void)state;
    struct world w;
    struct test_load l = usual;
    l.load = flat;
    l.min = 6;
    begin(&w, &l);
    klx_search(&w.options, &w.advice);
    assert_int_equal(w.advice.proposed.spec.min, 6);
    end(&w);
}

static void on_two_days_it_is_lowered(void **state) {
    (void)state;
    struct world w;
    struct test_load l = usual;
    l.load = flat;
    l.min = 6;
    l.scrape_s = 60;
    l.seconds = 49 * HOUR;
    begin(&w, &l);
    klx_search(&w.options, &w.advice);
    assert_int_equal(w.advice.confidence, KLX_CONFIDENCE_MEDIUM);
    assert_true(w.advice.proposed.spec.min < 6);
    assert_int_equal(w.advice.proposed.result.oom_us, 0);
    end(&w);
}

static void a_leak_is_no_matter_of_bounds(void **state) {
    (void)state;
    struct world w;
    struct test_load l = usual;
    l.load = ramp;
    l.giant = 1; /* all of it in the first pod */
    l.seconds = HOUR;
    begin(&w, &l);
    klx_search(&w.options, &w.advice);
    assert_true(w.advice.no_relief);
    assert_false(w.advice.differs);
    assert_true(w.advice.bounds_cannot);
    end(&w);
}

/* Not of the add-on: a lower target does what no bounds of 5Gi do. */
static void a_target_that_may_be_changed(void **state) {
    (void)state;
    struct world w;
    struct test_load l = usual;
    l.load = high_waves;
    begin(&w, &l);
    w.h.subject.managed = false;
    w.h.subject.spec.metrics[0].value =
        13 * TEST_GI * 1000; /* nearly the limit: the tolerance is past it */
    klx_search(&w.options, &w.advice);
    assert_true(w.advice.now.result.oom_us > 0);
    assert_int_equal(w.advice.proposed.result.oom_us, 0);
    assert_true(w.advice.proposed.spec.metrics[0].value < 13 * TEST_GI * 1000);
    w.h.subject.managed = true;
    w.options.max_cap = 12;
    klx_search(&w.options, &w.advice);
    assert_int_equal(w.advice.proposed.spec.metrics[0].value, 13 * TEST_GI * 1000);
    end(&w);
}

static void more_than_may_be_proposed(void **state) {
    (void)state;
    struct world w;
    struct test_load l = usual;
    l.load = high_waves;
    begin(&w, &l);
    w.options.max_cap = 12;
    klx_search(&w.options, &w.advice);
    assert_true(w.advice.capped);
    assert_int_equal(w.advice.proposed.spec.max, 12);
    end(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_recorded_sequence_is_played_again),
        cmocka_unit_test(a_maximum_that_is_too_small),
        cmocka_unit_test(an_oom_that_the_bounds_prevent),
        cmocka_unit_test(a_burst_needs_a_minimum),
        cmocka_unit_test(what_is_well_is_left_alone),
        cmocka_unit_test(a_minimum_that_is_too_large_is_kept_on_little_data),
        cmocka_unit_test(on_two_days_it_is_lowered),
        cmocka_unit_test(a_leak_is_no_matter_of_bounds),
        cmocka_unit_test(a_target_that_may_be_changed),
        cmocka_unit_test(more_than_may_be_proposed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
