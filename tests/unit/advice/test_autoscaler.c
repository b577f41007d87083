/*
 * What an HPA is like: from its object, and from what events say of it (advice/autoscaler.h).
 */
#include "tests/unit/support/support.h"

#include <string.h>

#include "advice/play.h"
#include "lib/base/cleanup.h"
#include "tests/unit/support/hpa_evidence.h"

#define HEAD                                                                                       \
    "{\"kind\":\"HorizontalPodAutoscaler\",\"metadata\":{\"name\":\"web\",\"namespace\":\"shop\"}" \
    ","                                                                                            \
    "\"spec\":{\"maxReplicas\":9,\"scaleTargetRef\":{\"apiVersion\":\"apps/v1\",\"kind\":"         \
    "\"StatefulSet\",\"name\":\"web\"},"
#define MEMORY                                                                                     \
    "\"metrics\":[{\"type\":\"Resource\",\"resource\":{\"name\":\"memory\",\"target\":{\"type\":"  \
    "\"AverageValue\",\"averageValue\":\"1500M\"}}}]"

static int read_text(struct klx_autoscaler *a, const char *text, struct klx_error *e) {
    struct klx_arena arena;
    const struct klx_json *object = NULL;
    klx_arena_init(&arena, 4096, 1u << 20);
    klx_autoscaler_init(a, NULL, "web");
    int rc = klx_json_parse(&arena, klx_sv(text), NULL, &object, e);
    rc = rc == 0 ? klx_autoscaler_read_object(a, object, e) : rc;
    klx_arena_release(&arena);
    return rc;
}

static void what_is_left_out_is_the_apis_default(void **state) {
    (void)state;
    struct klx_autoscaler a;
    struct klx_error e;
    assert_int_equal(read_text(&a, HEAD MEMORY "}}", &e), 0);
    assert_int_equal(klx_autoscaler_settle(&a, &e), 0);
    assert_int_equal(a.spec.min, 1);
    assert_int_equal(a.spec.max, 9);
    assert_int_equal(a.spec.metrics[0].value, 1500000000000);
    assert_string_equal(a.workload_kind, "StatefulSet");
    assert_true(a.behavior_known);
    assert_false(a.spec.has_behavior);
    assert_false(a.managed);
    assert_int_equal(read_text(&a, HEAD MEMORY ",\"behavior\":{}}}", &e), 0);
    assert_true(a.spec.has_behavior);
    assert_int_equal(a.spec.up.policies_n, 2);
    assert_int_equal(a.spec.up.policies[0].value, 4);
    assert_int_equal(a.spec.up.window_s, 0);
    assert_int_equal(a.spec.down.window_s, KLX_SCALER_UNSET);
    assert_true(a.spec.down.policies[0].percent);
    assert_true(a.spec.down.tolerance < 0);
}

static void a_behavior(void **state) {
    (void)state;
    struct klx_autoscaler a;
    struct klx_error e;
    const char *text = HEAD MEMORY
        ",\"behavior\":{\"scaleUp\":{\"selectPolicy\":\"Disabled\",\"tolerance\":\"50m\"},"
        "\"scaleDown\":"
        "{\"stabilizationWindowSeconds\":60,\"selectPolicy\":\"Min\",\"policies\":[{\"type\":"
        "\"Pods\",\"value\":2,"
        "\"periodSeconds\":30},{\"type\":\"Percent\",\"value\":10,\"periodSeconds\":1800}]}}}}";
    assert_int_equal(read_text(&a, text, &e), 0);
    assert_int_equal(a.spec.up.select, KLX_SELECT_DISABLED);
    assert_true(a.spec.up.tolerance > 0.049 && a.spec.up.tolerance < 0.051);
    assert_int_equal(a.spec.up.policies_n, 2); /* still the default ones */
    assert_int_equal(a.spec.down.select, KLX_SELECT_MIN);
    assert_int_equal(a.spec.down.window_s, 60);
    assert_int_equal(a.spec.down.policies_n, 2);
    assert_int_equal(a.spec.down.policies[0].value, 2);
    assert_int_equal(a.spec.down.policies[1].period_s, 1800);
}

static void the_memory_among_others(void **state) {
    (void)state;
    struct klx_autoscaler a;
    struct klx_error e;
    const char *text =
        HEAD "\"metrics\":[{\"type\":\"Resource\",\"resource\":{\"name\":\"cpu\",\"target\":{"
             "\"averageUtilization\":80}}},"
             "{\"type\":\"External\",\"external\":{\"metric\":{\"name\":\"queue\"}}},"
             "{\"type\":\"ContainerResource\",\"containerResource\":{\"name\":\"memory\","
             "\"container\":\"app\",\"target\":"
             "{\"type\":\"Utilization\",\"averageUtilization\":80}}}]}}";
    assert_int_equal(read_text(&a, text, &e), 0);
    assert_int_equal(klx_autoscaler_settle(&a, &e), 0);
    assert_string_equal(a.left_out, "cpu, External");
    assert_string_equal(a.container, "app");
    assert_int_equal(a.metric_index, 2);
    assert_true(a.spec.metrics[0].utilization);
    assert_int_equal(a.spec.metrics[0].value, 80);
}

static void what_cannot_be_used(void **state) {
    (void)state;
    static const struct {
        const char *text, *says;
    } rows[] = {
        { "{\"kind\":\"Deployment\"}", "no HorizontalPodAutoscaler" },
        { "{\"kind\":\"HorizontalPodAutoscaler\",\"metadata\":{\"name\":\"x\"}}", "the HPA \"x\"" },
        { "{\"kind\":\"HorizontalPodAutoscaler\",\"metadata\":{\"name\":\"web\"}}",
          "no namespace" },
        { HEAD "\"minReplicas\":10," MEMORY "}}", "minReplicas and maxReplicas" },
        { HEAD "\"minReplicas\":0," MEMORY "}}", "minReplicas and maxReplicas" },
        { HEAD "\"metrics\":[{\"type\":\"Resource\",\"resource\":{\"name\":\"memory\",\"target\":{"
               "\"averageValue\":\"much\"}}}]}}",
          "spec.metrics" },
        { HEAD "\"metrics\":[{\"type\":\"Resource\",\"resource\":{\"name\":\"memory\",\"target\":{"
               "\"averageValue\":\"9E\"}}}]}}",
          "spec.metrics" },
        { HEAD MEMORY ",\"behavior\":{\"scaleDown\":{\"stabilizationWindowSeconds\":3601}}}}",
          "spec.behavior.scaleDown: stabilizationWindowSeconds of 3601" },
        { HEAD MEMORY ",\"behavior\":{\"scaleUp\":{\"policies\":[{\"type\":\"Pods\",\"value\":1,"
                      "\"periodSeconds\":1801}]}}}}",
          "spec.behavior.scaleUp: a policy" },
    };
    for (size_t i = 0; i < KLX_COUNT(rows); i++) {
        struct klx_autoscaler a;
        struct klx_error e = { 0 };
        assert_int_equal(read_text(&a, rows[i].text, &e), -EINVAL);
        if (strstr(e.text, rows[i].says) == NULL) {
            fail_msg("row %zu: %s", i, e.text);
        }
    }
}

static void of_a_whole_pod_the_container_nearest_to_its_limit_decides(void **state) {
    (void)state;
    struct klx_evidence h;
    struct klx_arena arena;
    const struct klx_json *object = NULL;
    klx_arena_init(&arena, 4096, 1u << 20);
    klx_evidence_init(&h, "prod-weu", NULL, "web");
    assert_int_equal(klx_json_parse(&arena, klx_sv(HEAD MEMORY "}}"), NULL, &object, NULL), 0);
    assert_int_equal(klx_evidence_object(&h, object, NULL), 0);
    assert_int_equal(klx_evidence_choose(&h, NULL), 0);
    const char *sample = "{\"sample\":{\"time\":\"2026-03-11T07:00:00Z\",\"containers\":[{\"name\":"
                         "\"app\",\"memoryBytes\":600000000,\"memoryLimit\":"
                         "\"2G\",\"memoryRequest\":\"1G\"},{\"name\":\"side\",\"memoryBytes\":"
                         "300000000,\"memoryLimit\":\"400M\",\"memoryRequest\":\"100M\"}]}}";
    test_record(&h, "io.klaxon.pod.sample", "prod-weu/shop/web-0", TEST_START_US, sample,
                klx_evidence_metrics);
    klx_evidence_sort(&h);
    assert_int_equal(h.samples_n, 1);
    assert_int_equal(h.samples[0].bytes, 900000000);
    assert_int_equal(h.request_bytes, 1100000000);
    assert_int_equal(h.limit_bytes, 1200000000); /* 300M of 400M are 75 %, as 900M of 1200M */
    klx_evidence_release(&h);
    klx_arena_release(&arena);
}

static double steady(double second) {
    return second < 600 ? 2e9 : 6e9;
}

/* 80 % of a request of 500Mi: 2 GB and a base of 100 MB a pod ask for six. */
static void a_percentage_of_the_request_is_played(void **state) {
    (void)state;
    const struct test_load l = { .load = steady,
                                 .base = 1e8,
                                 .seconds = 1800,
                                 .scrape_s = 15,
                                 .start_s = 20,
                                 .min = 2,
                                 .max = 12,
                                 .began_us = TEST_START_US };
    const struct klx_load_options options = { .base = 1e8 };
    struct klx_evidence h;
    struct klx_load load;
    struct test_sequence unused;
    struct klx_play_result r;
    test_evidence(&h, &l, &unused);
    assert_int_equal(klx_load_init(&load, &h, &options, NULL), 0);
    struct klx_scaler_spec spec = h.subject.spec;
    spec.max = 100;
    spec.metrics[0] = (struct klx_replicas_target){ .utilization = true, .value = 80 };
    const struct klx_play_options play = { .load = &load,
                                           .flags = klx_scaler_flags_default,
                                           .growth = 1 };
    klx_play(&play, &spec, NULL, NULL, &r);
    /* n pods hold (load / n + base), 419.4 MB at 80 %: 2e9 / 3.19e8 = 6.3, 6e9 / 3.19e8 = 18.8, a tenth less or more. */
    assert_true(r.highest >= 17 && r.highest <= 21);
    klx_load_release(&load);
    klx_evidence_release(&h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_left_out_is_the_apis_default),
        cmocka_unit_test(a_behavior),
        cmocka_unit_test(the_memory_among_others),
        cmocka_unit_test(what_cannot_be_used),
        cmocka_unit_test(of_a_whole_pod_the_container_nearest_to_its_limit_decides),
        cmocka_unit_test(a_percentage_of_the_request_is_played),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
