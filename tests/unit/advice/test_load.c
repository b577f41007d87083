/*
 * From records to a load: advice/evidence.h, advice/load.h.
 */
#include "tests/unit/support/support.h"

#include <math.h>

#include "advice/play.h"
#include "tests/unit/support/hpa_evidence.h"

#define GI ((double)TEST_GI)

static double waves(double second) {
    return GI * (14 + 12 * sin(second / 3600 * 3.14159));
}

static double ramp(double second) {
    return GI * (6 + second / 3600 * 20);
}

static const struct klx_load_options options = { .base = -1 };

static void what_an_hpa_is_like_comes_from_its_events(void **state) {
    (void)state;
    struct klx_evidence h;
    klx_evidence_init(&h, NULL, NULL, TEST_HPA);
    h.since_us = TEST_START_US;
    h.until_us = TEST_START_US + 1000 * TEST_S;
    test_scaled(&h, TEST_START_US - TEST_S, 2, 9, 2,
                3); /* too early to be counted, and still told of */
    assert_int_equal(klx_evidence_choose(&h, NULL), 0);
    assert_string_equal(h.subject.cluster, "prod-weu");
    assert_string_equal(h.subject.namespace, "kube-system");
    assert_string_equal(h.subject.container, "prometheus-collector");
    assert_int_equal(h.subject.spec.min, 2);
    assert_int_equal(h.subject.spec.max, 9);
    assert_int_equal(h.subject.spec.metrics[0].value, 5 * TEST_GI * 1000);
    assert_true(h.subject.managed);
    assert_int_equal(h.subject.spec.down.policies[0].period_s, 300);
    assert_int_equal(h.changes_n, 0);
    klx_evidence_release(&h);
}

static void the_newest_bounds_count(void **state) {
    (void)state;
    struct klx_evidence h;
    klx_evidence_init(&h, "prod-weu", "kube-system", TEST_HPA);
    h.until_us = TEST_START_US + 100 * TEST_S;
    test_hpa_event(&h, "hpa.bounds", TEST_START_US + 50 * TEST_S, 3, 10, "");
    test_scaled(&h, TEST_START_US, 2, 24, 3, 4);
    test_scaled(&h, TEST_START_US + 20 * TEST_S, 2, 24, 4, 5);
    test_hpa_event(&h, "hpa.bounds", TEST_START_US + 500 * TEST_S, 7, 8,
                   ""); /* after the time that is asked for */
    assert_int_equal(klx_evidence_choose(&h, NULL), 0);
    assert_int_equal(h.subject.spec.min, 3);
    assert_int_equal(h.subject.spec.max, 10);
    assert_int_equal(h.changes_n, 2);
    assert_int_equal(h.changes[1].to, 5);
    klx_evidence_release(&h);
}

static void incidents_and_kills_are_counted(void **state) {
    (void)state;
    struct klx_evidence h;
    const char *kill =
        "{\"summary\":\"s\",\"object\":{\"kind\":\"Pod\",\"name\":\"ama-metrics-1\",\"namespace\":"
        "\"kube-system\"},\"workload\":{\"kind\":\"Deployment\",\"name\":\"ama-metrics\"}}";
    const char *other =
        "{\"summary\":\"s\",\"object\":{\"kind\":\"Pod\",\"name\":\"ama-metrics-node-1\","
        "\"namespace\":"
        "\"kube-system\"},\"workload\":{\"kind\":\"DaemonSet\",\"name\":\"ama-metrics-node\"}}";
    klx_evidence_init(&h, NULL, NULL, TEST_HPA);
    h.since_us = TEST_START_US;
    test_record(&h, "io.klaxon.pod.oomkilled", "prod-weu/kube-system/ama-metrics-1", TEST_START_US,
                kill, klx_evidence_scaling);
    test_record(&h, "io.klaxon.pod.oomkilled", "prod-weu/kube-system/ama-metrics-node-1",
                TEST_START_US, other, klx_evidence_scaling);
    test_hpa_event(
        &h, "hpa.relieved", TEST_START_US + 600 * TEST_S, 2, 4,
        ",\"incident\":{\"opened\":\"2026-03-11T06:50:00Z\"}"); /* ten minutes of it before --since */
    test_hpa_event(&h, "hpa.sighted", TEST_START_US + 700 * TEST_S, 2, 4,
                   ",\"incident\":{\"opened\":\"2026-03-11T07:11:00Z\"}");
    assert_int_equal(klx_evidence_choose(&h, NULL), 0);
    assert_int_equal(h.kills, 1);
    assert_int_equal(h.at_max_us, 600 * TEST_S);
    assert_int_equal(h.blind_us, 40 * TEST_S);
    klx_evidence_release(&h);
}

static void an_hpa_that_nobody_tells_of(void **state) {
    (void)state;
    struct klx_evidence h;
    struct klx_error e;
    klx_evidence_init(&h, NULL, NULL, TEST_HPA);
    assert_int_equal(klx_evidence_choose(&h, &e), -EINVAL);
    assert_non_null(strstr(e.text, "--hpa FILE"));
    klx_evidence_release(&h);
}

static void one_of_several_must_be_named(void **state) {
    (void)state;
    const char *hpa = "{\"summary\":\"s\",\"object\":{\"name\":\"" TEST_HPA
                      "\",\"namespace\":\"kube-system\"},\"hpa\":{\"min\":2,"
                      "\"max\":5,\"target\":{\"kind\":\"Deployment\",\"name\":\"ama-metrics\"}}}";
    struct klx_error e;
    for (int named = 0; named < 2; named++) {
        struct klx_evidence h;
        klx_evidence_init(&h, named != 0 ? "prod-neu" : NULL, NULL, TEST_HPA);
        test_record(&h, "io.klaxon.hpa.bounds", "prod-weu/kube-system/" TEST_HPA, TEST_START_US,
                    hpa, klx_evidence_scaling);
        test_record(&h, "io.klaxon.hpa.bounds", "prod-neu/kube-system/" TEST_HPA, TEST_START_US,
                    hpa, klx_evidence_scaling);
        assert_int_equal(klx_evidence_choose(&h, &e), named != 0 ? 0 : -EEXIST);
        if (named == 0) {
            assert_non_null(strstr(e.text, "prod-weu/kube-system, prod-neu/kube-system"));
        } else {
            assert_string_equal(h.subject.cluster, "prod-neu");
        }
        klx_evidence_release(&h);
    }
}

static void only_pods_of_the_workload_count(void **state) {
    (void)state;
    struct klx_evidence h;
    klx_evidence_init(&h, NULL, NULL, TEST_HPA);
    h.until_us = TEST_START_US + 60 * TEST_S;
    test_hpa_event(&h, "hpa.bounds", TEST_START_US, 2, 12, "");
    assert_int_equal(klx_evidence_choose(&h, NULL), 0);
    test_sample(&h, TEST_START_US, 1, 7 * TEST_GI);
    test_sample(&h, TEST_START_US, 1, 7 * TEST_GI);               /* told twice */
    test_sample(&h, TEST_START_US + 61 * TEST_S, 1, 9 * TEST_GI); /* too late */
    const char *sample =
        "{\"sample\":{\"time\":\"2026-03-11T07:00:30Z\",\"containers\":[{\"name\":\"prometheus-"
        "collector\","
        "\"memoryBytes\":5}]},\"workload\":{\"kind\":\"DaemonSet\",\"name\":\"ama-metrics-node\"}}";
    const char *keys[] = { "prod-weu/kube-system/ama-metrics-node-x",
                           "prod-weu/other/ama-metrics-1", "prod-neu/kube-system/ama-metrics-1",
                           "prod-weu/kube-system/ama-metrics", "x" };
    for (size_t i = 0; i < KLX_COUNT(keys); i++) {
        test_record(&h, "io.klaxon.pod.sample", keys[i], TEST_START_US + 30 * TEST_S, sample,
                    klx_evidence_metrics);
    }
    klx_evidence_sort(&h);
    assert_int_equal(h.samples_n, 1);
    assert_int_equal(h.samples[0].bytes, 7 * TEST_GI);
    assert_int_equal(h.limit_bytes, 14 * TEST_GI);
    assert_int_equal(h.request_bytes, 500 << 20);
    klx_evidence_release(&h);
}

static void base_and_relief_are_measured(void **state) {
    (void)state;
    const struct test_load l = { .load = waves,
                                 .base = 0.8 * GI,
                                 .seconds = 5 * 7200,
                                 .scrape_s = 15,
                                 .start_s = 20,
                                 .min = 2,
                                 .max = 12,
                                 .began_us = TEST_START_US };
    struct klx_evidence h;
    struct klx_load load;
    struct test_sequence s;
    test_evidence(&h, &l, &s);
    assert_true(s.n > 10);
    assert_int_equal(klx_load_init(&load, &h, &options, NULL), 0);
    assert_true(klx_load_measured(&load));
    assert_int_equal(load.scrape_us, 15 * TEST_S);
    assert_true(fabs(load.base - 0.8 * GI) < 0.2 * GI);
    assert_true(load.relief > 0.9);
    assert_true(load.start_us >= 10 * TEST_S && load.start_us <= 35 * TEST_S);
    assert_true(load.limit == 14 * GI);
    klx_load_release(&load);
    klx_evidence_release(&h);
}

static void a_leak_gives_no_relief(void **state) {
    (void)state;
    const struct test_load l = { .load = ramp,
                                 .base = 0,
                                 .leak = 2e6,
                                 .giant = 1,
                                 .seconds = 7200,
                                 .scrape_s = 15,
                                 .start_s = 20,
                                 .min = 2,
                                 .max = 12,
                                 .began_us = TEST_START_US };
    struct klx_evidence h;
    struct klx_load load;
    struct test_sequence s;
    test_evidence(&h, &l, &s);
    assert_int_equal(klx_load_init(&load, &h, &options, NULL), 0);
    assert_true(klx_load_measured(&load));
    assert_true(load.relief < KLX_LOAD_RELIEF_LEAST);
    klx_load_release(&load);
    klx_evidence_release(&h);
}

static void the_first_pod_keeps_its_skew(void **state) {
    (void)state;
    const struct test_load l = { .load = waves,
                                 .base = 0.5 * GI,
                                 .giant = 0.3,
                                 .seconds = 3600,
                                 .scrape_s = 15,
                                 .start_s = 20,
                                 .min = 4,
                                 .max = 4,
                                 .began_us = TEST_START_US };
    struct klx_evidence h;
    struct klx_load load;
    struct test_sequence s;
    struct klx_load_options given = { .base = 0.5 * GI };
    test_evidence(&h, &l, &s);
    assert_int_equal(klx_load_init(&load, &h, &given, NULL), 0);
    struct klx_load_pods same = klx_load_at(&load, 100, 4, 1);
    assert_true(fabs(same.mean - load.items[100].total / 4) < 1e4);
    assert_true(fabs(same.largest - load.items[100].largest) < 1e4);
    struct klx_load_pods twice = klx_load_at(&load, 100, 8, 1);
    assert_true(twice.mean < same.mean && twice.largest < same.largest);
    struct klx_load_pods one = klx_load_at(&load, 100, 1, 1);
    assert_true(one.largest == one.mean); /* one pod has all of it, and no more */
    klx_load_release(&load);
    klx_evidence_release(&h);
}

/* An HPA of 2 to 12, without a record yet. */
static void choose_bounds(struct klx_evidence *h) {
    klx_evidence_init(h, NULL, NULL, TEST_HPA);
    test_hpa_event(h, "hpa.bounds", TEST_START_US, 2, 12, "");
    assert_int_equal(klx_evidence_choose(h, NULL), 0);
}

/* By hand: two pods, of which one is killed and takes its memory up again. */
static void a_short_dip_is_filled_and_a_long_one_is_not(void **state) {
    (void)state;
    struct klx_evidence h;
    struct klx_load load;
    choose_bounds(&h);
    for (int i = 0; i < 40; i++) {
        bool dip = i == 10 || i == 11 || i >= 30;
        test_sample(&h, TEST_START_US + i * 15 * TEST_S, 0, 8 * TEST_GI);
        test_sample(&h, TEST_START_US + i * 15 * TEST_S, 1, dip ? TEST_GI : 8 * TEST_GI);
    }
    klx_evidence_sort(&h);
    const struct klx_load_options given = { .base = 0 };
    assert_int_equal(klx_load_init(&load, &h, &given, NULL), 0);
    assert_true(load.items[9].load == 16 * GI);
    assert_true(load.items[10].load == 16 * GI);
    assert_true(load.items[11].load == 16 * GI);
    assert_true(load.items[29].load == 16 * GI);
    assert_true(load.items[30].load == 9 * GI); /* the edge stays where it is */
    assert_true(load.items[39].load == 9 * GI);
    klx_load_release(&load);
    klx_evidence_release(&h);
}

/* 9Gi in two pods, until one is killed; then 40Gi, which is seen when six pods carry it. */
static void a_kill_hides_what_is_seen_later(void **state) {
    (void)state;
    struct klx_evidence h;
    struct klx_load load;
    const char *kill =
        "{\"summary\":\"s\",\"object\":{\"kind\":\"Pod\",\"name\":\"ama-metrics-1\",\"namespace\":"
        "\"kube-system\"},\"workload\":{\"kind\":\"Deployment\",\"name\":\"ama-metrics\"}}";
    klx_evidence_init(&h, NULL, NULL, TEST_HPA);
    test_hpa_event(&h, "hpa.bounds", TEST_START_US, 2, 12, "");
    test_record(&h, "io.klaxon.pod.oomkilled", "prod-weu/kube-system/ama-metrics-1",
                TEST_START_US + 155 * TEST_S, kill, klx_evidence_scaling);
    assert_int_equal(klx_evidence_choose(&h, NULL), 0);
    for (int i = 0; i < 60; i++) {
        bool after = i > 16 && i < 40;
        for (int pod = 0; pod < (after ? 6 : 2); pod++) {
            test_sample(&h, TEST_START_US + i * 15 * TEST_S, pod,
                        after ? 40 * TEST_GI / 6 : 9 * TEST_GI / 2);
        }
    }
    klx_evidence_sort(&h);
    const struct klx_load_options given = { .base = 0 };
    assert_int_equal(klx_load_init(&load, &h, &given, NULL), 0);
    assert_true(load.items[9].load < 10 * GI);
    assert_true(load.items[10].load > 39 * GI); /* the scrape before the kill */
    assert_true(load.items[16].load > 39 * GI);
    assert_true(load.items[39].load > 39 * GI);
    assert_true(load.items[40].load < 10 * GI);
    klx_load_release(&load);
    klx_evidence_release(&h);
}

static void too_little_is_said(void **state) {
    (void)state;
    struct klx_evidence h;
    struct klx_load load;
    struct klx_error e;
    choose_bounds(&h);
    klx_evidence_sort(&h);
    assert_int_equal(klx_load_init(&load, &h, &options, &e), -ENODATA);
    assert_non_null(strstr(e.text, "podmetrics"));
    klx_evidence_release(&h);
}

static void gaps_do_not_count(void **state) {
    (void)state;
    struct klx_evidence h;
    struct klx_load load;
    choose_bounds(&h);
    for (int i = 0; i < 40; i++) {
        int64_t gap_us = i >= 20 ? 7200 * TEST_S : 0;
        test_sample(&h, TEST_START_US + i * 15 * TEST_S + gap_us, 0, 20 * TEST_GI);
    }
    klx_evidence_sort(&h);
    const struct klx_load_options given = { .base = 0 };
    assert_int_equal(klx_load_init(&load, &h, &given, NULL), 0);
    assert_int_equal(load.covered_us, 38 * 15 * TEST_S);
    struct klx_play_result r;
    const struct klx_play_options play = { .load = &load,
                                           .flags = klx_scaler_flags_default,
                                           .growth = 1 };
    klx_play(&play, &h.subject.spec, NULL, NULL, &r);
    assert_int_equal(r.covered_us, 38 * 15 * TEST_S);
    klx_load_release(&load);
    klx_evidence_release(&h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_an_hpa_is_like_comes_from_its_events),
        cmocka_unit_test(the_newest_bounds_count),
        cmocka_unit_test(incidents_and_kills_are_counted),
        cmocka_unit_test(an_hpa_that_nobody_tells_of),
        cmocka_unit_test(one_of_several_must_be_named),
        cmocka_unit_test(only_pods_of_the_workload_count),
        cmocka_unit_test(base_and_relief_are_measured),
        cmocka_unit_test(a_leak_gives_no_relief),
        cmocka_unit_test(the_first_pod_keeps_its_skew),
        cmocka_unit_test(a_short_dip_is_filled_and_a_long_one_is_not),
        cmocka_unit_test(a_kill_hides_what_is_seen_later),
        cmocka_unit_test(too_little_is_said),
        cmocka_unit_test(gaps_do_not_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
