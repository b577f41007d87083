/*
 * Each rule of advice/scaler.h. The tables named after a test of k8s.io/kubernetes have its numbers.
 */
#include "tests/unit/support/support.h"

#include <stdio.h>
#include <string.h>

#include "advice/scaler.h"
#include "lib/base/cleanup.h"

#define S INT64_C(1000000)
#define NOW (100000 * S)
#define GI (INT64_C(1) << 30)

static const enum klx_scaler_limit none = KLX_LIMIT_NONE, many = KLX_LIMIT_TOO_MANY,
                                   few = KLX_LIMIT_TOO_FEW, up = KLX_LIMIT_UP_RATE,
                                   down = KLX_LIMIT_DOWN_RATE;

/* Pods, their period, percent, its period, window: as generateScalingRules. All zero: the API's defaults. */
struct rules {
    int32_t pods, pods_s, percent, percent_s, window_s;
};

static struct klx_scaler_rules make(struct rules r, const struct klx_scaler_rules *otherwise) {
    struct klx_scaler_rules made = { .window_s = r.window_s, .tolerance = -1 };
    if (r.pods == 0 && r.percent == 0) {
        return *otherwise;
    }
    if (r.pods != 0) {
        made.policies[made.policies_n++] =
            (struct klx_scaler_policy){ .value = r.pods, .period_s = r.pods_s };
    }
    if (r.percent != 0) {
        made.policies[made.policies_n++] = (struct klx_scaler_policy){ .percent = true,
                                                                       .value = r.percent,
                                                                       .period_s = r.percent_s };
    }
    return made;
}

struct row {
    const char *name;
    struct rules up, down;
    int32_t ups[4], downs[4]; /* changes in the last 120 s; 0 ends */
    int32_t min, max, current, wanted;
    int32_t desired;
    const enum klx_scaler_limit *limit;
};

static void remember(struct klx_scaler *s, const int32_t changes[4], int32_t sign) {
    int32_t n = 0;
    while (n < 4 && changes[n] != 0) {
        n++;
    }
    for (int32_t i = 0; i < n; i++) {
        klx_scaler_remember_change(s, sign * changes[i], NOW - (120 - 120 / n * i - 60 / n) * S);
    }
}

/* clang-format off */
static const struct row rate_rows[] = {
    { "scaleUpLimit < max", { 0, 0, 1, 60, 0 }, { 0 }, { 0 }, { 0 }, 1, 2000, 3, 1000, 4, &up },
    { "min > scaleDownLimit", { 0 }, { 20, 60, 0, 0, 0 }, { 0 }, { 0 }, 3, 2000, 1000, 3, 980, &down },
    { "min", { 0 }, { 0 }, { 0 }, { 0 }, 2, 8, 3, 1, 2, &few },
    { "within", { 0 }, { 0 }, { 0 }, { 0 }, 3, 8, 5, 7, 7, &none },
    { "max", { 0 }, { 0 }, { 0 }, { 0 }, 100, 150, 100, 1000, 150, &many },
    { "default behavior", { 0 }, { 0 }, { 0 }, { 0 }, 1, 1000, 10, 50, 20, &up },
    { "default behavior, few", { 0 }, { 0 }, { 0 }, { 0 }, 1, 1000, 2, 50, 6, &up },
    { "pods larger than percent", { 100, 60, 100, 60, 0 }, { 0 }, { 0 }, { 0 }, 1, 1000, 10, 500, 110, &up },
    { "percent larger than pods", { 2, 60, 100, 60, 0 }, { 0 }, { 0 }, { 0 }, 1, 1000, 10, 500, 20, &up },
    { "large pod policy", { 100, 60, 0, 0, 0 }, { 0 }, { 0 }, { 0 }, 1, 1000, 10, 50, 50, &none },
    { "pod policy", { 30, 60, 0, 0, 0 }, { 0 }, { 0 }, { 0 }, 1, 1000, 10, 50, 40, &up },
    { "percent policy", { 0, 0, 200, 60, 0 }, { 0 }, { 0 }, { 0 }, 1, 1000, 10, 50, 30, &up },
    { "down, percent < pods", { 0 }, { 20, 60, 1, 60, 300 }, { 0 }, { 0 }, 1, 1000, 100, 2, 80, &down },
    { "down, pods > percent", { 0 }, { 2, 60, 1, 60, 300 }, { 0 }, { 0 }, 1, 1000, 100, 2, 98, &down },
    { "down, large pods", { 0 }, { 100, 60, 0, 0, 300 }, { 0 }, { 0 }, 1, 1000, 10, 0, 1, &few },
    { "down, large percent", { 0 }, { 0, 0, 100, 60, 300 }, { 0 }, { 0 }, 5, 1000, 10, 2, 5, &few },
    { "down, pods", { 0 }, { 5, 60, 0, 0, 300 }, { 0 }, { 0 }, 1, 1000, 10, 2, 5, &down },
    { "down, percent", { 0 }, { 0, 0, 50, 60, 300 }, { 0 }, { 0 }, 1, 1000, 10, 5, 5, &none },
    { "events, max", { 300, 60, 0, 0, 0 }, { 0 }, { 1, 5, 9 }, { 0 }, 1, 200, 100, 500, 200, &many },
    { "events, many", { 5, 120, 0, 0, 0 }, { 0 }, { 1, 5, 9 }, { 0 }, 1, 1000, 100, 500, 100, &up },
    { "events, pods", { 150, 120, 0, 0, 0 }, { 0 }, { 1, 5, 9 }, { 0 }, 1, 1000, 100, 500, 235, &up },
    { "events, percent", { 0, 0, 200, 120, 0 }, { 0 }, { 1, 5, 9 }, { 0 }, 1, 1000, 100, 500, 255, &up },
    { "events both ways, up", { 0, 0, 300, 300, 0 }, { 0 }, { 4 }, { 2 }, 1, 1000, 6, 24, 16, &up },
    { "events, default down", { 0 }, { 0 }, { 0 }, { 1, 5, 9 }, 1, 1000, 10, 5, 5, &none },
    { "events, min", { 0 }, { 115, 120, 0, 0, 300 }, { 0 }, { 1, 5, 9 }, 1, 1000, 100, 0, 1, &few },
    { "events, pods down", { 0 }, { 5, 120, 0, 0, 300 }, { 0 }, { 1, 5, 9 }, 1, 1000, 100, 2, 100, &down },
    { "events, percent down", { 0 }, { 0, 0, 50, 120, 300 }, { 0 }, { 2, 4, 6 }, 1, 1000, 100, 0, 56, &down },
    { "events both ways, down", { 0 }, { 0, 0, 50, 180, 0 }, { 2 }, { 4 }, 1, 1000, 10, 1, 6, &down },
    { "events that forbid more", { 0 }, { 0, 0, 10, 120, 300 }, { 0 }, { 10, 10, 10 }, 1, 1000, 100, 0, 100, &down },
    { "below zero", { 0 }, { 0, 0, 1000, 120, 300 }, { 0 }, { 10, 10, 10 }, 1, 1000, 10, 5, 5, &none },
    { "a short period forgets", { 1000, 30, 100, 60, 0 }, { 0 }, { 8, 12, 9, 11 }, { 0 }, 1, 1000, 100, 200, 200, &none },
};
/* clang-format on */

static void policies_limit_the_rate(void **state) {
    (void)state;
    for (size_t i = 0; i < KLX_COUNT(rate_rows); i++) {
        const struct row *r = &rate_rows[i];
        struct klx_scaler *s = klx_scaler_new(&klx_scaler_flags_default);
        struct klx_scaler_spec spec = { .min = r->min, .max = r->max, .has_behavior = true };
        spec.up = make(r->up, &klx_scaler_up_default);
        spec.down = make(r->down, &klx_scaler_down_default);
        remember(s, r->ups, 1);
        remember(s, r->downs, -1);
        struct klx_scaler_decision d = klx_scaler_settle(s, &spec, r->current, r->wanted, NOW);
        if (d.desired != r->desired || d.limit != *r->limit) {
            fail_msg("%s: %d (limit %d), not %d (limit %d)", r->name, d.desired, (int)d.limit,
                     r->desired, (int)*r->limit);
        }
        klx_scaler_free(s);
    }
}

static void select_policy(void **state) {
    (void)state;
    struct klx_scaler_spec spec = { .min = 1, .max = 100, .has_behavior = true };
    spec.up = make((struct rules){ 2, 60, 50, 60, 0 }, NULL);
    spec.down = make((struct rules){ 2, 60, 50, 60, 0 }, NULL);
    static const struct {
        enum klx_scaler_select select;
        int32_t up, down;
    } rows[] = { { KLX_SELECT_MAX, 15, 5 },
                 { KLX_SELECT_MIN, 12, 8 },
                 { KLX_SELECT_DISABLED, 10, 10 } };
    for (size_t i = 0; i < KLX_COUNT(rows); i++) {
        spec.up.select = spec.down.select = rows[i].select;
        struct klx_scaler *s = klx_scaler_new(&klx_scaler_flags_default);
        assert_int_equal(klx_scaler_settle(s, &spec, 10, 90, NOW).desired, rows[i].up);
        klx_scaler_free(s);
        s = klx_scaler_new(&klx_scaler_flags_default);
        assert_int_equal(klx_scaler_settle(s, &spec, 10, 1, NOW).desired, rows[i].down);
        klx_scaler_free(s);
    }
}

struct stable_row {
    const char *name;
    struct {
        int32_t replicas, minutes_ago;
    } past[4];
    int32_t current, wanted, up_s, down_s;
    int32_t desired;
};

static void windows_take_the_lowest_and_the_highest(void **state) {
    (void)state;
    static const struct stable_row rows[] = {
        /* TestNormalizeDesiredReplicasWithBehavior */
        { "empty", { { 0 } }, 100, 5, 0, 0, 5 },
        { "down", { { 4, 2 }, { 5, 1 } }, 100, 3, 0, 180, 5 },
        { "up", { { 4, 2 }, { 5, 1 } }, 1, 7, 300, 0, 4 },
        { "not down", { { 1, 2 }, { 2, 1 } }, 100, 3, 300, 0, 3 },
        { "not up", { { 4, 2 }, { 5, 1 } }, 1, 3, 0, 300, 3 },
        { "old, down", { { 10, 10 }, { 9, 9 } }, 100, 3, 0, 0, 3 },
        { "old, up", { { 10, 10 }, { 9, 9 } }, 1, 100, 0, 0, 100 },
        { "some old, down", { { 10, 10 }, { 4, 1 }, { 5, 2 }, { 9, 9 } }, 100, 3, 0, 180, 5 },
        { "some old, up", { { 10, 100 }, { 6, 1 }, { 5, 2 }, { 9, 3 } }, 1, 100, 300, 0, 5 },
        { "both, not up when it goes down", { { 2, 100 }, { 3, 3 } }, 2, 1, 300, 300, 2 },
        { "both, not down when it goes up", { { 2, 100 }, { 1, 3 } }, 2, 3, 300, 300, 2 },
    };
    for (size_t i = 0; i < KLX_COUNT(rows); i++) {
        const struct stable_row *r = &rows[i];
        struct klx_scaler *s = klx_scaler_new(&klx_scaler_flags_default);
        struct klx_scaler_spec spec = { .min = 0, .max = 1000, .has_behavior = true };
        spec.up = make((struct rules){ 1000, 15, 0, 0, r->up_s }, NULL);
        spec.down = make((struct rules){ 1000, 15, 0, 0, r->down_s }, NULL);
        for (size_t k = 0; k < 4 && r->past[k].replicas != 0; k++) {
            klx_scaler_remember(s, r->past[k].replicas, NOW - r->past[k].minutes_ago * 60 * S);
        }
        struct klx_scaler_decision d = klx_scaler_settle(s, &spec, r->current, r->wanted, NOW);
        if (d.desired != r->desired) {
            fail_msg("%s: %d, not %d", r->name, d.desired, r->desired);
        }
        assert_int_equal(d.stabilized, r->desired != r->wanted);
        klx_scaler_free(s);
    }
}

static void without_behavior(void **state) {
    (void)state;
    static const struct stable_row rows[] = {
        /* TestNormalizeDesiredReplicas, TestConvertDesiredReplicasWithRules */
        { "empty", { { 0 } }, 5, 5, 0, 0, 5 },
        { "down", { { 4, 2 }, { 5, 1 } }, 5, 3, 0, 0, 5 },
        { "not down", { { 1, 2 }, { 2, 1 } }, 5, 3, 0, 0, 3 },
        { "old", { { 10, 10 }, { 9, 9 } }, 10, 3, 0, 0, 3 },
        { "some old", { { 10, 10 }, { 4, 1 }, { 5, 2 }, { 9, 9 } }, 5, 3, 0, 0, 5 },
        { "at most twice", { { 0 } }, 3, 1000, 0, 0, 6 },
        { "or four", { { 0 } }, 1, 1000, 0, 0, 4 },
        { "at most max", { { 0 } }, 80, 1000, 0, 0, 100 },
    };
    for (size_t i = 0; i < KLX_COUNT(rows); i++) {
        const struct stable_row *r = &rows[i];
        struct klx_scaler *s = klx_scaler_new(&klx_scaler_flags_default);
        const struct klx_scaler_spec spec = { .min = 2, .max = 100 };
        for (size_t k = 0; k < 4 && r->past[k].replicas != 0; k++) {
            klx_scaler_remember(s, r->past[k].replicas, NOW - r->past[k].minutes_ago * 60 * S);
        }
        int32_t got = klx_scaler_settle(s, &spec, r->current, r->wanted, NOW).desired;
        if (got != r->desired) {
            fail_msg("%s: %d, not %d", r->name, got, r->desired);
        }
        klx_scaler_free(s);
    }
}

/* ama-metrics: 5Gi a pod, and the add-on's behavior. */
static struct klx_scaler_spec ama(int32_t min, int32_t max) {
    struct klx_scaler_spec spec = { .min = min,
                                    .max = max,
                                    .metrics = { { .value = 5 * GI } },
                                    .metrics_n = 1,
                                    .has_behavior = true,
                                    .up = klx_scaler_up_default };
    spec.down = make((struct rules){ 1, 300, 0, 0, 300 }, NULL);
    return spec;
}

static struct klx_scaler_decision look(struct klx_scaler *s, const struct klx_scaler_spec *spec,
                                       int32_t current, int64_t usage, int64_t now_us) {
    struct klx_pod_usage pods[32];
    for (int32_t i = 0; i < current; i++) {
        pods[i] = (struct klx_pod_usage){ .has_sample = usage >= 0, .usage = usage };
    }
    const struct klx_scaler_view view = {
        .pods = { pods }, .n = (size_t)current, .current = current, .now_us = now_us
    };
    return klx_scaler_look(s, spec, &view);
}

static void a_whole_story(void **state) {
    (void)state;
    struct klx_scaler *s = klx_scaler_new(&klx_scaler_flags_default);
    const struct klx_scaler_spec spec = ama(2, 12);
    int64_t t = NOW;
    int32_t n = 2;
    char story[256] = "";
    /* 60Gi in all for five minutes, then 6Gi: up as fast as it may, down one by one each five minutes after five. */
    for (int64_t second = 0; second < 3600; second += 15, t += 15 * S) {
        int64_t load = second < 300 ? 60 * GI : 6 * GI;
        int32_t next = look(s, &spec, n, load / n, t).desired;
        if (next != n) {
            snprintf(story + strlen(story), sizeof(story) - strlen(story), "%lld:%d ",
                     (long long)second, next);
        }
        n = next;
    }
    assert_string_equal(
        story, "0:6 15:12 585:11 885:10 1185:9 1485:8 1785:7 2085:6 2385:5 2685:4 2985:3 3285:2 ");
    klx_scaler_free(s);
}

static void outside_of_the_bounds(void **state) {
    (void)state;
    const struct klx_scaler_spec spec = ama(3, 5);
    struct klx_scaler *s = klx_scaler_new(&klx_scaler_flags_default);
    assert_int_equal(look(s, &spec, 12, -1, NOW).desired,
                     5); /* no metric is looked at, no policy limits it */
    assert_int_equal(look(s, &spec, 1, -1, NOW + S).desired, 3);
    struct klx_scaler_decision d = look(s, &spec, 0, -1, NOW + 2 * S);
    assert_int_equal(d.desired, 0); /* somebody has switched it off */
    assert_true(d.blind);
    klx_scaler_free(s);
}

static void blind(void **state) {
    (void)state;
    struct klx_scaler_spec spec = ama(2, 12);
    struct klx_scaler *s = klx_scaler_new(&klx_scaler_flags_default);
    struct klx_scaler_decision d = look(s, &spec, 4, -1, NOW);
    assert_true(d.blind);
    assert_int_equal(d.desired, 4);
    assert_int_equal(d.recommended, KLX_SCALER_UNSET);
    /* Of two metrics one fails: up by the other, never down. */
    struct klx_pod_usage known[4], unknown[4];
    memset(unknown, 0, sizeof(unknown));
    for (int i = 0; i < 4; i++) {
        known[i] = (struct klx_pod_usage){ .has_sample = true, .usage = 1 * GI };
    }
    spec.metrics[1] = spec.metrics[0];
    spec.metrics_n = 2;
    struct klx_scaler_view view = {
        .pods = { unknown, known }, .n = 4, .current = 4, .now_us = NOW + 600 * S
    };
    d = klx_scaler_look(s, &spec, &view);
    assert_true(d.blind);
    assert_int_equal(d.desired, 4);
    for (int i = 0; i < 4; i++) {
        known[i].usage = 10 * GI;
    }
    view.now_us += 15 * S;
    d = klx_scaler_look(s, &spec, &view);
    assert_false(d.blind);
    assert_int_equal(d.desired, 8);
    klx_scaler_free(s);
}

static void the_greatest_of_the_metrics(void **state) {
    (void)state;
    struct klx_scaler_spec spec = ama(1, 12);
    struct klx_scaler *s = klx_scaler_new(&klx_scaler_flags_default);
    struct klx_pod_usage a[2] = { { .has_sample = true, .usage = 1 * GI },
                                  { .has_sample = true, .usage = 1 * GI } };
    struct klx_pod_usage b[2] = { { .has_sample = true, .usage = 8 * GI },
                                  { .has_sample = true, .usage = 8 * GI } };
    spec.metrics[1] = spec.metrics[0];
    spec.metrics_n = 2;
    const struct klx_scaler_view view = { .pods = { a, b }, .n = 2, .current = 2, .now_us = NOW };
    assert_int_equal(klx_scaler_look(s, &spec, &view).recommended, 4);
    klx_scaler_free(s);
}

/* TestScaleDownStabilizeInitialSize: the replicas that are there at the first look count as a recommendation. */
static void the_first_size_is_a_recommendation(void **state) {
    (void)state;
    const struct klx_scaler_spec spec = ama(1, 12);
    struct klx_scaler *s = klx_scaler_new(&klx_scaler_flags_default);
    struct klx_scaler_decision d = look(s, &spec, 5, 1 * GI, NOW);
    assert_int_equal(d.desired, 5);
    assert_int_equal(d.recommended, 1);
    assert_true(d.stabilized);
    assert_int_equal(look(s, &spec, 5, 1 * GI, NOW + 299 * S).desired, 5);
    assert_int_equal(look(s, &spec, 5, 1 * GI, NOW + 300 * S).desired, 4);
    klx_scaler_free(s);
}

static void a_tolerance_of_the_spec(void **state) {
    (void)state;
    struct klx_scaler_spec spec = ama(1, 12);
    struct klx_scaler *s = klx_scaler_new(&klx_scaler_flags_default);
    assert_int_equal(look(s, &spec, 4, 6 * GI, NOW).recommended, 5);
    spec.up.tolerance = 0.25;
    assert_int_equal(look(s, &spec, 4, 6 * GI, NOW + S).recommended, 4);
    spec.has_behavior = false; /* it is part of behavior */
    assert_int_equal(look(s, &spec, 4, 6 * GI, NOW + 2 * S).recommended, 5);
    klx_scaler_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(policies_limit_the_rate),
        cmocka_unit_test(select_policy),
        cmocka_unit_test(windows_take_the_lowest_and_the_highest),
        cmocka_unit_test(without_behavior),
        cmocka_unit_test(a_whole_story),
        cmocka_unit_test(outside_of_the_bounds),
        cmocka_unit_test(blind),
        cmocka_unit_test(the_greatest_of_the_metrics),
        cmocka_unit_test(the_first_size_is_a_recommendation),
        cmocka_unit_test(a_tolerance_of_the_spec),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
