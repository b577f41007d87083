/*
 * Each rule of advice/replicas.h. Those of the tables named after a test of k8s.io/kubernetes have the numbers of that test.
 */
#include "tests/unit/support/support.h"

#include "advice/replicas.h"
#include "lib/base/cleanup.h"

#define S INT64_C(1000000)
#define NOW (3600 * S)
#define PODS 12
#define NO_SAMPLE (-1)

struct row {
    const char *name;
    int64_t target;
    int64_t usage[PODS]; /* milli-units; 0 ends */
    char state
        [PODS +
         1]; /* r ready, u not ready, h hot (started a minute ago), p Pending, g gone, f Failed; "" is all ready */
    int64_t request[PODS]; /* 0: 1000 */
    int32_t current, wanted;
};

static void fill(struct klx_pod_usage *p, const struct row *row, size_t i) {
    char state = row->state[0] == '\0' ? 'r' : row->state[i];
    *p = (struct klx_pod_usage){ .has_sample = row->usage[i] != NO_SAMPLE,
                                 .usage = row->usage[i],
                                 .request = row->request[i] == 0 ? 1000 : row->request[i],
                                 .has_ready = true,
                                 .ready = state != 'u',
                                 .sample_us = NOW - 5 * S,
                                 .window_us = 60 * S };
    if (state == 'u') { /* never was ready */
        p->started_us = NOW - 600 * S;
        p->ready_changed_us = p->started_us + 5 * S;
    } else if (state == 'h') {
        p->started_us = NOW - 40 * S;
        p->ready_changed_us = NOW - 30 * S;
    }
    p->phase = state == 'p'                   ? KLX_POD_PENDING
               : state == 'g' || state == 'f' ? KLX_POD_GONE
                                              : KLX_POD_RUNNING;
}

static int wanted(const struct row *row, bool utilization, bool cpu, int32_t *ret) {
    struct klx_pod_usage pods[PODS];
    size_t n = 0;
    while (n < PODS && row->usage[n] != 0) {
        fill(&pods[n], row, n);
        n++;
    }
    const struct klx_replicas_question q = { .rules = &klx_replicas_rules_default,
                                             .target = { utilization, cpu, row->target },
                                             .pods = pods,
                                             .n = n,
                                             .current = row->current,
                                             .now_us = NOW };
    return klx_replicas_wanted(&q, ret);
}

static void check(const struct row *rows, size_t n, bool utilization, bool cpu) {
    for (size_t i = 0; i < n; i++) {
        int32_t got = -1;
        assert_int_equal(wanted(&rows[i], utilization, cpu, &got), 0);
        if (got != rows[i].wanted) {
            fail_msg("%s: %d replicas, not %d", rows[i].name, got, rows[i].wanted);
        }
    }
}

#define M NO_SAMPLE
/* clang-format off */
static const struct row percent_rows[] = {
    { "ScaleUp", 30, { 300, 500, 700 }, "", { 0 }, 3, 5 },
    { "ScaleUpUnreadyLessScale", 30, { 300, 500, 700 }, "urr", { 0 }, 3, 4 },
    { "ScaleUpHotCpuLessScale", 30, { 300, 500, 700 }, "hrr", { 0 }, 3, 4 },
    { "ScaleUpUnreadyNoScale", 30, { 400, 500, 700 }, "ruu", { 0 }, 3, 3 },
    { "ScaleHotCpuNoScale", 30, { 400, 500, 700 }, "rhh", { 0 }, 3, 3 },
    { "ScaleUpIgnoresFailedPods", 30, { 500, 700, M, M }, "rrff", { 0 }, 2, 4 },
    { "ScaleUpIgnoresDeletionPods", 30, { 500, 700, M, M }, "rrgg", { 0 }, 2, 4 },
    { "ScaleDown", 50, { 100, 300, 500, 250, 250 }, "", { 0 }, 5, 3 },
    { "ScaleDownExcludeUnreadyPods", 50, { 100, 300, 500, 250, 250 }, "rrruu", { 0 }, 5, 2 },
    { "ScaleDownExcludeUnscheduledPods", 50, { 100, M, M, M, M }, "rpppp", { 0 }, 5, 1 },
    { "ScaleDownIgnoreHotCpuPods", 50, { 100, 300, 500, 250, 250 }, "rrrhh", { 0 }, 5, 2 },
    { "Tolerance", 100, { 1010, 1030, 1020 }, "", { 900, 1000, 1100 }, 3, 3 },
    { "MissingMetrics", 100, { 400, 95, M, M }, "", { 0 }, 4, 3 },
    { "MissingMetricsNoChangeEq", 100, { 1000, M }, "", { 0 }, 2, 2 },
    { "MissingMetricsNoChangeGt", 100, { 1900, M }, "", { 0 }, 2, 2 },
    { "MissingMetricsNoChangeLt", 100, { 600, M }, "", { 0 }, 2, 2 },
    { "MissingMetricsUnreadyChange", 50, { 100, 450, M }, "urr", { 0 }, 3, 3 },
    { "MissingMetricsHotCpuNoChange", 50, { 100, 450, M }, "hrr", { 0 }, 3, 3 },
    { "MissingMetricsUnreadyScaleUp", 50, { 100, 2000, M }, "urr", { 0 }, 3, 4 },
    { "MissingMetricsHotCpuScaleUp", 50, { 100, 2000, M }, "hrr", { 0 }, 3, 4 },
    { "MissingMetricsUnreadyScaleDown", 50, { 100, 100, 100, M }, "urrr", { 0 }, 4, 3 },
    { "MissingMetricsScaleDownTargetOver100", 300, { 200, 100, 100, M }, "urrr", { 1000, 1000, 2000, 2000 }, 4, 2 },
    { "ComputedToleranceAlgImplementation", 56, { 150, 150, 150, 150, 150, 150, 150, 150, 150, 150 }, "", { 400, 200, 310, 290, 302, 298, 301, 299, 300, 300 }, 10, 9 },
    { "and within the tolerance", 55, { 150, 150, 150, 150, 150, 150, 150, 150, 150, 150 }, "", { 400, 200, 310, 290, 302, 298, 301, 299, 300, 300 }, 10, 10 },
};
/* clang-format on */

static void percent_of_cpu(void **state) {
    (void)state;
    check(percent_rows, KLX_COUNT(percent_rows), true, true);
}

/* clang-format off */
static const struct row plain_rows[] = {
    { "ScaleUpCM", 15000, { 20000, 10000, 30000 }, "", { 0 }, 3, 4 },
    { "ScaleDownCM", 20000, { 12000, 12000, 12000, 12000, 12000 }, "", { 0 }, 5, 3 },
    { "ToleranceCM", 20000, { 20000, 21000, 21000 }, "", { 0 }, 3, 3 },
    { "PlainMetricMissingNoChangeEq", 20000, { 20000, 19000, 21000, M, M }, "", { 0 }, 5, 5 },
    { "the last that is within the tolerance up", 1000, { 1100, 1100 }, "", { 0 }, 2, 2 },
    { "the first beyond it", 1000, { 1101, 1101 }, "", { 0 }, 2, 3 },
    { "the last that is within it down", 1000, { 900, 900, 900 }, "", { 0 }, 3, 3 },
    { "the first beyond it, rounded up", 1000, { 899, 899, 899 }, "", { 0 }, 3, 3 },
    { "far beyond", 1000, { 600, 600, 600 }, "", { 0 }, 3, 2 },
    { "the mean is cut, not rounded", 1000, { 1101, 1100 }, "", { 0 }, 2, 2 },
    { "a missing one counts nothing on the way up", 1000, { 2000, 2000, M }, "", { 0 }, 3, 4 },
    { "and as the target on the way down", 1000, { 100, 100, M }, "", { 0 }, 3, 2 },
    { "Pending counts nothing on the way up", 1000, { 2000, 2000, M }, "rrp", { 0 }, 3, 4 },
    { "and is left out on the way down", 1000, { 100, 100, M }, "rrp", { 0 }, 3, 1 },
    { "more pods than replicas: a rollout does not scale up by itself", 1000, { 800, 800, 800, M }, "", { 0 }, 2, 2 },
};
/* clang-format on */

static void plain_values(void **state) {
    (void)state;
    check(plain_rows, KLX_COUNT(plain_rows), false, false);
}

static void a_pod_that_is_not_ready_counts_where_the_metric_is_memory(void **state) {
    (void)state;
    static const struct row rows[] = {
        { "unready", 1000, { 2000, 2000 }, "ur", { 0 }, 2, 4 },
        { "hot", 1000, { 2000, 2000 }, "hr", { 0 }, 2, 4 },
    };
    check(rows, KLX_COUNT(rows), false, false);
    int32_t got = 0;
    assert_int_equal(wanted(&rows[0], false, true, &got), 0);
    assert_int_equal(got, 2); /* of CPU the other one alone counts, and the unready as nothing */
}

static void without_a_sample_nothing_is_known(void **state) {
    (void)state;
    int32_t got = 7;
    const struct row none = { "", 1000, { M, M }, "", { 0 }, 2, 0 };
    const struct row aside = { "", 1000, { 500, M }, "pu", { 0 }, 2, 0 };
    const struct row no_request = { "", 50, { 500, 500 }, "", { 1000, -1 }, 2, 0 };
    assert_int_equal(wanted(&none, false, false, &got), -ENODATA);
    assert_int_equal(wanted(&aside, false, true, &got), -ENODATA);
    assert_int_equal(wanted(&no_request, true, false, &got), -ENODATA);
    assert_int_equal(got, 7);
    assert_int_equal(wanted(&no_request, false, false, &got),
                     0); /* of a plain value no request is asked */
}

static void a_pod_that_is_new_is_cold_again_after_a_window(void **state) {
    (void)state;
    struct klx_pod_usage pods[2] = {
        { .has_sample = true, .usage = 600, .request = 1000, .has_ready = true, .ready = true },
        { .has_sample = true, .usage = 600, .request = 1000, .has_ready = true, .ready = true },
    };
    pods[1].started_us = NOW - 100 * S;
    pods[1].ready_changed_us = NOW - 90 * S;
    pods[1].window_us = 30 * S;
    struct klx_replicas_question q = { .rules = &klx_replicas_rules_default,
                                       .target = { true, true, 30 },
                                       .pods = pods,
                                       .n = 2,
                                       .current = 2,
                                       .now_us = NOW };
    int32_t got = 0;
    pods[1].sample_us = NOW - 61 * S; /* before a window has passed since it was ready */
    assert_int_equal(klx_replicas_wanted(&q, &got), 0);
    assert_int_equal(got, 2);
    pods[1].sample_us = NOW - 60 * S;
    assert_int_equal(klx_replicas_wanted(&q, &got), 0);
    assert_int_equal(got, 4);
    pods[1].has_ready = false;
    assert_int_equal(klx_replicas_wanted(&q, &got), 0);
    assert_int_equal(got, 2);
}

static void tolerances_of_each_direction(void **state) {
    (void)state;
    struct klx_replicas_rules rules = klx_replicas_rules_default;
    struct klx_pod_usage pods[4] = { { .has_sample = true, .usage = 1150 },
                                     { .has_sample = true, .usage = 1150 } };
    struct klx_replicas_question q = {
        .rules = &rules, .target = { .value = 1000 }, .pods = pods, .n = 2, .current = 2
    };
    int32_t got = 0;
    rules.up_tolerance = 0.2;
    assert_int_equal(klx_replicas_wanted(&q, &got), 0);
    assert_int_equal(got, 2);
    rules.up_tolerance = 0.14;
    assert_int_equal(klx_replicas_wanted(&q, &got), 0);
    assert_int_equal(got, 3);
    pods[0].usage = pods[1].usage = 400;
    rules.down_tolerance = 0.7;
    assert_int_equal(klx_replicas_wanted(&q, &got), 0);
    assert_int_equal(got, 2);
}

static void what_is_absurd_has_a_limit(void **state) {
    (void)state;
    struct klx_pod_usage pod = { .has_sample = true, .usage = INT64_C(1) << 60 };
    struct klx_replicas_question q = { .rules = &klx_replicas_rules_default,
                                       .target = { .value = 1 },
                                       .pods = &pod,
                                       .n = 1,
                                       .current = 1 };
    int32_t got = 0;
    assert_int_equal(klx_replicas_wanted(&q, &got), 0);
    assert_int_equal(got, KLX_REPLICAS_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percent_of_cpu),
        cmocka_unit_test(plain_values),
        cmocka_unit_test(a_pod_that_is_not_ready_counts_where_the_metric_is_memory),
        cmocka_unit_test(without_a_sample_nothing_is_known),
        cmocka_unit_test(a_pod_that_is_new_is_cold_again_after_a_window),
        cmocka_unit_test(tolerances_of_each_direction),
        cmocka_unit_test(what_is_absurd_has_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
