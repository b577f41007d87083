#include "tests/unit/support/fake_hpa.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/time.h"
#include "tests/unit/support/support.h"

static void put(char *to, size_t n, struct klx_sv value) {
    if (value.n > 0) {
        snprintf(to, n, "%.*s", KLX_SV_FMT(value));
    }
}

static void put_time(char *to, int64_t us) {
    klx_time_format(us, KLX_TIME_SECONDS, to);
}

static void put_condition(struct fake_condition *c, struct klx_sv reason, int64_t now_us) {
    if (reason.n == 0) {
        return;
    }
    bool is_true = !klx_sv_starts(reason, KLX_SV("Failed")) &&
                   !klx_sv_starts(reason, KLX_SV("Invalid")) &&
                   !klx_sv_eq(reason, KLX_SV("ScalingDisabled")) &&
                   !klx_sv_eq(reason, KLX_SV("DesiredWithinRange"));
    if (is_true != c->is_true || c->since[0] == '\0') {
        put_time(c->since, now_us);
    }
    c->is_true = is_true;
    put(c->reason, sizeof(c->reason), reason);
}

static struct fake_hpa *find_or_add(struct fake_hpas *all, struct klx_sv name) {
    for (size_t i = 0; i < all->n; i++) {
        if (klx_sv_eq(name, klx_sv(all->items[i].name))) {
            return &all->items[i];
        }
    }
    assert_true(all->n < FAKE_HPAS_MAX);
    struct fake_hpa *h = &all->items[all->n++];
    *h = (struct fake_hpa){ .namespace = "kube-system",
                            .uid = "b4d4d9c5",
                            .min = "2",
                            .max = "12",
                            .current = "2",
                            .desired = "2",
                            .memory = "3Gi",
                            .target = "5Gi",
                            .manager = "addon-adapter" };
    put(h->name, sizeof(h->name), name);
    put_time(h->managed, TRANSCRIPT_BASE_US - 3600 * KLX_US_PER_S);
    put_condition(&h->able, KLX_SV("ReadyForNewScale"), TRANSCRIPT_BASE_US);
    put_condition(&h->active, KLX_SV("ValidMetricFound"), TRANSCRIPT_BASE_US);
    put_condition(&h->limited, KLX_SV("DesiredWithinRange"), TRANSCRIPT_BASE_US);
    return h;
}

static void take_options(struct fake_hpa *h, const char *line, int64_t now_us) {
    struct klx_sv scaled = transcript_option(line, "scaled"), by = transcript_option(line, "by");
    struct klx_sv at = transcript_option(line, "at");
    int64_t at_us = at.n > 0 ? transcript_time(at) : now_us;
    put(h->namespace, sizeof(h->namespace), transcript_option(line, "ns"));
    put(h->uid, sizeof(h->uid), transcript_option(line, "uid"));
    put(h->min, sizeof(h->min), transcript_option(line, "min"));
    put(h->max, sizeof(h->max), transcript_option(line, "max"));
    put(h->current, sizeof(h->current), transcript_option(line, "current"));
    put(h->desired, sizeof(h->desired), transcript_option(line, "desired"));
    put(h->memory, sizeof(h->memory), transcript_option(line, "memory"));
    put(h->target, sizeof(h->target), transcript_option(line, "target"));
    put(h->cpu, sizeof(h->cpu), transcript_option(line, "cpu"));
    put(h->up, sizeof(h->up), transcript_option(line, "up"));
    put_condition(&h->able, transcript_option(line, "able"), at_us);
    put_condition(&h->active, transcript_option(line, "active"), at_us);
    put_condition(&h->limited, transcript_option(line, "limited"), at_us);
    if (scaled.n > 0) {
        put_time(h->scaled, transcript_time(scaled));
    }
    if (by.n > 0) {
        put(h->manager, sizeof(h->manager), by);
        put_time(h->managed, now_us);
    }
}

static bool is_set(const char *text) {
    return text[0] != '\0' && strcmp(text, "-") != 0;
}

static struct klx_sv condition_json(struct transcript *t, const char *type,
                                    const struct fake_condition *c) {
    return klx_arena_printf(&t->arena,
                            "{\"type\":\"%s\",\"status\":\"%s\",\"lastTransitionTime\":\"%s\","
                            "\"reason\":\"%s\",\"message\":\"the text of %s\"}",
                            type, c->is_true ? "True" : "False", c->since, c->reason, c->reason);
}

static struct klx_sv status_json(struct transcript *t, const struct fake_hpa *h) {
    struct klx_arena *a = &t->arena;
    struct klx_sv memory = klx_sv(""), cpu = klx_sv(""), scaled = klx_sv("");
    if (is_set(h->memory)) {
        memory = klx_arena_printf(
            a,
            "{\"type\":\"ContainerResource\",\"containerResource\":{\"name\":\"memory\","
            "\"container\":\"prometheus-collector\",\"current\":{\"averageValue\":\"%s\"}}}",
            h->memory);
    }
    if (is_set(h->cpu)) {
        cpu =
            klx_arena_printf(a,
                             "%s{\"type\":\"Resource\",\"resource\":{\"name\":\"cpu\",\"current\":{"
                             "\"averageUtilization\":%s,\"averageValue\":\"100m\"}}}",
                             memory.n > 0 ? "," : "", h->cpu);
    }
    if (is_set(h->scaled)) {
        scaled = klx_arena_printf(a, "\"lastScaleTime\":\"%s\",", h->scaled);
    }
    return klx_arena_printf(
        a,
        "{%.*s\"currentReplicas\":%s,\"desiredReplicas\":%s,\"currentMetrics\":[%.*s%.*s],"
        "\"conditions\":[%.*s,%.*s,%.*s]}",
        KLX_SV_FMT(scaled), h->current, h->desired, KLX_SV_FMT(memory), KLX_SV_FMT(cpu),
        KLX_SV_FMT(condition_json(t, "AbleToScale", &h->able)),
        KLX_SV_FMT(condition_json(t, "ScalingActive", &h->active)),
        KLX_SV_FMT(condition_json(t, "ScalingLimited", &h->limited)));
}

static struct klx_sv spec_json(struct transcript *t, const struct fake_hpa *h) {
    const char *cpu = ",{\"type\":\"Resource\",\"resource\":{\"name\":\"cpu\",\"target\":{"
                      "\"type\":\"Utilization\",\"averageUtilization\":80}}}";
    struct klx_sv up =
        is_set(h->up) ? klx_arena_printf(&t->arena, "\"scaleUp\":{\"selectPolicy\":\"%s\"},", h->up)
                      : klx_sv("");
    return klx_arena_printf(
        &t->arena,
        "{\"scaleTargetRef\":{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",\"name\":\"ama-"
        "metrics\"},\"minReplicas\":%s,\"maxReplicas\":%s,\"metrics\":[{\"type\":"
        "\"ContainerResource\",\"containerResource\":{\"name\":\"memory\",\"container\":"
        "\"prometheus-collector\",\"target\":{\"type\":\"AverageValue\",\"averageValue\":\"%s\"}}}"
        "%s],\"behavior\":{%.*s\"scaleDown\":{\"stabilizationWindowSeconds\":300}}}",
        h->min, h->max, h->target, h->cpu[0] != '\0' ? cpu : "", KLX_SV_FMT(up));
}

struct klx_sv fake_hpa_json(struct fake_hpas *all, struct transcript *t, const char *line,
                            struct klx_sv name) {
    struct fake_hpa *h = find_or_add(all, name);
    take_options(h, line, t->now_us);
    bool fresh = transcript_has_word(line, "fresh");
    struct klx_sv status =
        fresh ? KLX_SV("{\"desiredReplicas\":0,\"currentMetrics\":null}") : status_json(t, h);
    return klx_arena_printf(
        &t->arena,
        "{\"metadata\":{\"name\":\"%s\",\"namespace\":\"%s\",\"uid\":\"%s\",\"resourceVersion\":"
        "\"%u\",\"labels\":{\"kubernetes.azure.com/managedby\":\"aks\"},\"managedFields\":[{"
        "\"manager\":\"%s\",\"operation\":\"Update\",\"time\":\"%s\",\"fieldsV1\":{\"f:spec\":{"
        "\"f:maxReplicas\":{},\"f:minReplicas\":{}}}},{\"manager\":\"kube-controller-manager\","
        "\"operation\":\"Update\",\"subresource\":\"status\",\"fieldsV1\":{\"f:status\":{}}}]},"
        "\"spec\":%.*s,\"status\":%.*s}",
        h->name, h->namespace, h->uid, ++t->version, h->manager, h->managed,
        KLX_SV_FMT(spec_json(t, h)), KLX_SV_FMT(status));
}
