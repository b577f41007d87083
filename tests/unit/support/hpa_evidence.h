/*
 * A history of an HPA, made by records as the collector writes them: by hand, or of a load that a scaler followed.
 *
 * Static, so that a test needs no library for it.
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "advice/evidence.h"
#include "lib/base/cleanup.h"
#include "lib/base/time.h"

#define TEST_START_US (INT64_C(1773212400) * 1000000) /* 2026-03-11T07:00:00Z */
#define TEST_S INT64_C(1000000)
#define TEST_GI (INT64_C(1) << 30)
#define TEST_HPA "ama-metrics-hpa"

/* A record of the kind, for as long as `fn` runs. */
static inline void test_record(struct klx_evidence *h, const char *type, const char *key,
                               int64_t at_us, const char *value,
                               void (*fn)(struct klx_evidence *h, const struct klx_record *r)) {
    char time[KLX_TIME_TEXT_BYTES];
    klx_time_format(at_us, KLX_TIME_MICROS, time);
    const struct klx_record_header headers[] = {
        { KLX_SV("ce_specversion"), KLX_SV("1.0") },
        { KLX_SV("ce_id"), klx_sv(time) },
        { KLX_SV("ce_source"), KLX_SV("/clusters/prod-weu/hpa") },
        { KLX_SV("ce_type"), klx_sv(type) },
        { KLX_SV("ce_time"), klx_sv(time) },
        { KLX_SV("ce_cluster"), klx_sv_n(key, klx_sv_find(klx_sv(key), '/')) },
        { KLX_SV("ce_severity"), KLX_SV("info") },
        { KLX_SV("content-type"), KLX_SV("application/json") },
    };
    const struct klx_record r = { .topic = "t",
                                  .timestamp_ms = at_us / 1000,
                                  .key = klx_sv(key),
                                  .value = klx_sv(value),
                                  .headers = headers,
                                  .headers_n = KLX_COUNT(headers) };
    fn(h, &r);
}

/* kind: "hpa.scaled.up" …; more: members behind `hpa`, with their comma. */
static inline void test_hpa_event(struct klx_evidence *h, const char *kind, int64_t at_us, int min,
                                  int max, const char *more) {
    char type[64], value[2048];
    snprintf(type, sizeof(type), "io.klaxon.%s", kind);
    snprintf(
        value, sizeof(value),
        "{\"summary\":\"s\",\"object\":{\"kind\":\"HorizontalPodAutoscaler\",\"name\":\"" TEST_HPA
        "\",\"namespace\":\"kube-system\"},\"reason\":\"r\",\"labels\":{},\"hpa\":{\"target\":"
        "{\"kind\":\"Deployment\",\"name\":\"ama-metrics\"},\"min\":%d,\"max\":%d,\"metrics\":[{"
        "\"type\":"
        "\"ContainerResource\",\"name\":\"memory\",\"container\":\"prometheus-collector\","
        "\"target\":"
        "\"5Gi\"}]}%s}",
        min, max, more);
    test_record(h, type, "prod-weu/kube-system/" TEST_HPA, at_us, value, klx_evidence_scaling);
}

static inline void test_scaled(struct klx_evidence *h, int64_t at_us, int min, int max, int from,
                               int to) {
    char more[128];
    snprintf(more, sizeof(more), ",\"scaled\":{\"from\":%d,\"to\":%d}", from, to);
    test_hpa_event(h, to > from ? "hpa.scaled.up" : "hpa.scaled.down", at_us, min, max, more);
}

static inline void test_sample(struct klx_evidence *h, int64_t at_us, int pod, int64_t bytes) {
    char key[128], value[1024], time[KLX_TIME_TEXT_BYTES];
    klx_time_format(at_us, KLX_TIME_MICROS, time);
    snprintf(key, sizeof(key), "prod-weu/kube-system/ama-metrics-%d", pod);
    snprintf(
        value, sizeof(value),
        "{\"summary\":\"s\",\"object\":{\"kind\":\"Pod\",\"name\":\"ama-metrics-%d\",\"namespace\":"
        "\"kube-system\"},\"reason\":\"Sampled\",\"labels\":{},\"sample\":{\"time\":\"%s\","
        "\"containers\":"
        "[{\"name\":\"addon-token-adapter\",\"memoryBytes\":31457280,\"memoryLimit\":\"500Mi\"},"
        "{\"name\":\"prometheus-collector\",\"memoryBytes\":%lld,\"memoryLimit\":\"14Gi\","
        "\"memoryRequest\":\"500Mi\"}]},\"workload\":{\"kind\":\"Deployment\",\"name\":\"ama-"
        "metrics\"}}",
        pod, time, (long long)bytes);
    test_record(h, "io.klaxon.pod.sample", key, at_us, value, klx_evidence_metrics);
}

/* A load, and a workload that carries it. */
struct test_load {
    double (*load)(double second); /* bytes of all pods, without their base */
    double base;
    double leak; /* bytes a second that each pod grows by, whatever the load */
    int seconds, scrape_s;
    int start_s; /* until a new pod runs */
    double
        giant; /* the share of the load that the first pod keeps, however many there are; 0: none */
    int min, max;
    int64_t began_us;
};

#define TEST_PODS_MAX 64
#define TEST_CHANGES_MAX 1000

/* What was scaled, for comparisons. */
struct test_sequence {
    struct klx_scaling_change changes[TEST_CHANGES_MAX];
    size_t n;
};

struct test_pod {
    int name;
    int64_t runs_us;
    bool sampled;
    double held;
};

struct test_workload {
    const struct test_load *load;
    struct test_pod pods[TEST_PODS_MAX];
    int n, named;
};

static inline double test_held(const struct test_workload *w, int pod, int64_t at_us) {
    const struct test_load *l = w->load;
    double second = (double)(at_us - l->began_us) / 1e6, load = l->load(second);
    int running = 0;
    for (int i = 0; i < w->n; i++) {
        running += w->pods[i].runs_us <= at_us;
    }
    running = running > 0 ? running : 1;
    double share = (load - load * l->giant) / running + (pod == 0 ? load * l->giant : 0);
    return l->base + share + l->leak * (double)(at_us - w->pods[pod].runs_us) / 1e6;
}

static inline void test_resize(struct test_workload *w, int n, int64_t runs_us) {
    for (int i = w->n; i < n; i++) {
        w->pods[i] = (struct test_pod){ .name = w->named++, .runs_us = runs_us };
    }
    w->n = n;
}

/* Follows the load with the add-on's rules, and writes what the collector would have; first klaxon.scaling, then, when the HPA has been
   chosen, klaxon.metrics. `samples` false: only the first. */
static inline void test_follow(struct klx_evidence *h, const struct test_load *l, bool samples,
                               struct test_sequence *ret) {
    struct test_workload w = { .load = l };
    struct klx_scaler *s = klx_scaler_new(&klx_scaler_flags_default);
    struct klx_autoscaler a;
    klx_autoscaler_init(&a, "kube-system", TEST_HPA);
    a.spec = (struct klx_scaler_spec){ .min = l->min, .max = l->max };
    a.has_bounds = true;
    snprintf(a.workload, sizeof(a.workload), "ama-metrics");
    if (klx_autoscaler_settle(&a, NULL) != 0) {
        abort();
    }
    *ret = (struct test_sequence){ .n = 0 };
    test_resize(&w, l->min, l->began_us);
    for (int second = 0; second < l->seconds; second++) {
        int64_t at_us = l->began_us + second * TEST_S;
        if (second % l->scrape_s == 0) {
            for (int i = 0; i < w.n; i++) {
                w.pods[i].sampled = w.pods[i].runs_us <= at_us;
                w.pods[i].held = test_held(&w, i, at_us);
                if (samples && w.pods[i].sampled) {
                    test_sample(h, at_us, w.pods[i].name, (int64_t)w.pods[i].held);
                }
            }
        }
        if (second % 15 != 7) {
            continue;
        }
        struct klx_pod_usage usages[TEST_PODS_MAX];
        for (int i = 0; i < w.n; i++) {
            usages[i] = (struct klx_pod_usage){
                .phase = w.pods[i].runs_us <= at_us ? KLX_POD_RUNNING : KLX_POD_PENDING,
                .has_sample = w.pods[i].sampled,
                .usage = (int64_t)w.pods[i].held * 1000,
            };
        }
        const struct klx_scaler_view view = {
            .pods = { usages }, .n = (size_t)w.n, .current = w.n, .now_us = at_us
        };
        struct klx_scaler_decision d = klx_scaler_look(s, &a.spec, &view);
        if (d.desired != w.n) {
            if (!samples) {
                test_scaled(h, at_us, l->min, l->max, w.n, d.desired);
            }
            ret->changes[ret->n++] = (struct klx_scaling_change){ at_us, w.n, d.desired };
            test_resize(&w, d.desired, at_us + l->start_s * TEST_S);
        }
    }
    klx_scaler_free(s);
}

/* A whole history of it. */
static inline void test_evidence(struct klx_evidence *h, const struct test_load *l,
                                 struct test_sequence *ret) {
    klx_evidence_init(h, NULL, NULL, TEST_HPA);
    test_hpa_event(h, "hpa.bounds", l->began_us, l->min, l->max, "");
    test_follow(h, l, false, ret);
    struct klx_error e = { 0 };
    if (klx_evidence_choose(h, &e) != 0) {
        fprintf(stderr, "%s\n", e.text);
        abort();
    }
    test_follow(h, l, true, ret);
    klx_evidence_sort(h);
}
