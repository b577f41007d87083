/*
 * HPAs, the containers of pods and their memory: hpa_rules.h, pod_rules.h and memory_rules.h say what is told when. This file only leads to
 * them, and reads
 *
 *     detectors: { autoscaling: { at_max_after: 10m, blind_after: 2m, recovered_after: 10m, memory_near: 90, memory_near_after: 2m,
 *                                 memory_horizon: 30m } }
 */
#include <stddef.h>
#include <stdlib.h>

#include "collector/detectors/detector.h"
#include "collector/detectors/scaling/hpa_rules.h"
#include "collector/detectors/scaling/memory_rules.h"
#include "collector/detectors/scaling/pod_rules.h"
#include "collector/detectors/scaling/scaling.h"
#include "lib/base/mem.h"

#define SETTING_MIN_MS 1000
#define SETTING_MAX_MS (24 * 60 * 60 * 1000)

struct settings {
    /* 0: the default */
    int64_t at_max_after_ms, blind_after_ms, recovered_after_ms;
    int64_t memory_near, memory_near_after_ms, memory_horizon_ms;
};

static const struct klx_config_field fields[] = {
    { .key = "at_max_after",
      .kind = KLX_CFG_DURATION,
      .offset = offsetof(struct settings, at_max_after_ms),
      .min = SETTING_MIN_MS,
      .max = SETTING_MAX_MS,
      .help = "an HPA at its maximum, or held at its minimum, is told after this; default 10m" },
    { .key = "blind_after",
      .kind = KLX_CFG_DURATION,
      .offset = offsetof(struct settings, blind_after_ms),
      .min = SETTING_MIN_MS,
      .max = SETTING_MAX_MS,
      .help = "an HPA that cannot scale is told after this; default 2m" },
    { .key = "recovered_after",
      .kind = KLX_CFG_DURATION,
      .offset = offsetof(struct settings, recovered_after_ms),
      .min = SETTING_MIN_MS,
      .max = SETTING_MAX_MS,
      .help = "a container that has run for so long is well again; default 10m" },
    { .key = "memory_near",
      .kind = KLX_CFG_INT,
      .offset = offsetof(struct settings, memory_near),
      .otherwise = "90",
      .min = 50,
      .max = 100,
      .help = "percent of its limit from which the memory of a container is near it" },
    { .key = "memory_near_after",
      .kind = KLX_CFG_DURATION,
      .offset = offsetof(struct settings, memory_near_after_ms),
      .min = SETTING_MIN_MS,
      .max = SETTING_MAX_MS,
      .help = "memory that is near its limit, or will reach it, is told after this, and so is its "
              "end; default 2m" },
    { .key = "memory_horizon",
      .kind = KLX_CFG_DURATION,
      .offset = offsetof(struct settings, memory_horizon_ms),
      .min = SETTING_MIN_MS,
      .max = SETTING_MAX_MS,
      .help = "memory that grows so that it reaches its limit within this is told; default 30m" },
    { .key = NULL },
};

static int64_t set_or(int64_t set_ms, int64_t otherwise_us) {
    return set_ms > 0 ? set_ms * KLX_US_PER_MS : otherwise_us;
}

static void *create(struct klx_sv cluster, const void *settings) {
    static const struct settings defaults;
    const struct settings *s = settings != NULL ? settings : &defaults;
    struct klx_scaling *d = klx_alloc(struct klx_scaling);
    d->at_max_after_us = set_or(s->at_max_after_ms, KLX_HPA_LIMITED_US);
    d->blind_after_us = set_or(s->blind_after_ms, KLX_HPA_BLIND_US);
    d->recovered_after_us = set_or(s->recovered_after_ms, KLX_POD_STABLE_US);
    d->memory_near_percent = s->memory_near > 0 ? s->memory_near : KLX_MEMORY_NEAR_PERCENT;
    d->memory_after_us = set_or(s->memory_near_after_ms, KLX_MEMORY_AFTER_US);
    d->memory_horizon_us = set_or(s->memory_horizon_ms, KLX_MEMORY_HORIZON_US);
    d->cluster = klx_sv_dup(cluster);
    d->next_us = KLX_TIME_NONE;
    return d;
}

static void destroy(void *detector) {
    struct klx_scaling *d = detector;
    klx_hpa_forget_all(d);
    klx_pod_forget_all(d);
    klx_memory_forget_all(d);
    free(d->cluster);
    free(d);
}

static void expect(void *detector, uint32_t observed) {
    struct klx_scaling *d = detector;
    d->expects_metrics = (observed >> KLX_OBSERVED_POD_METRICS & 1u) != 0;
}

static struct klx_news_call call_of(struct klx_scaling *d, const struct klx_observation *o,
                                    int64_t now_us, struct klx_outbox *out) {
    return (struct klx_news_call){ .cluster = d->cluster,
                                   .detector = "autoscaling",
                                   .out = out,
                                   .o = o,
                                   .now_us = now_us,
                                   .own = d };
}

/* "hpa/kube-system/ama-metrics-hpa" */
static int restore(void *detector, struct klx_sv object, struct klx_sv value) {
    struct klx_sv name = object, half = klx_sv_cut(&name, '/'), namespace = klx_sv_cut(&name, '/');
    if (klx_sv_eq(half, KLX_SV("hpa"))) {
        return klx_hpa_restore(detector, namespace, name, value);
    }
    if (klx_sv_eq(half, KLX_SV("pod"))) {
        return klx_pod_restore(detector, namespace, name, value);
    }
    if (klx_sv_eq(half, KLX_SV("memory"))) {
        return klx_memory_restore(detector, namespace, name, value);
    }
    return -EBADMSG;
}

static void observe(void *detector, const struct klx_observation *o, int64_t now_us,
                    struct klx_outbox *out) {
    struct klx_news_call c = call_of(detector, o, now_us, out);
    if (o->kind == KLX_OBSERVED_HPA) {
        klx_hpa_observe(&c);
    } else if (o->kind == KLX_OBSERVED_POD) {
        klx_pod_observe(&c);
        klx_memory_observe_pod(&c);
    } else if (o->kind == KLX_OBSERVED_POD_METRICS) {
        klx_memory_observe(&c);
    } else if (o->kind == KLX_OBSERVED_EVENT &&
               klx_sv_eq(o->event.about_kind, KLX_SV("HorizontalPodAutoscaler"))) {
        klx_hpa_observe_event(&c);
    }
}

static void relisted(void *detector, enum klx_observation_kind kind,
                     bool (*listed)(void *arg, struct klx_sv name), void *arg, int64_t now_us,
                     struct klx_outbox *out) {
    struct klx_news_call c = call_of(detector, NULL, now_us, out);
    if (kind == KLX_OBSERVED_HPA) {
        klx_hpa_relisted(&c, listed, arg);
    } else if (kind == KLX_OBSERVED_POD) {
        klx_pod_relisted(&c, listed, arg);
        klx_memory_relisted(&c, listed, arg);
    }
}

static int64_t tick(void *detector, int64_t now_us, struct klx_outbox *out) {
    struct klx_news_call c = call_of(detector, NULL, now_us, out);
    struct klx_scaling *d = detector;
    bool due = d->next_us != KLX_TIME_NONE && d->next_us <= now_us;
    if (due || d->restored) {
        d->next_us = KLX_TIME_NONE;
        d->restored = false;
        klx_hpa_tick(&c);
        klx_pod_tick(&c);
    }
    return d->next_us;
}

const struct klx_detector_ops klx_detector_autoscaling = {
    .name = "autoscaling",
    .settings = fields,
    .settings_bytes = sizeof(struct settings),
    .create = create,
    .destroy = destroy,
    .expect = expect,
    .restore = restore,
    .observe = observe,
    .relisted = relisted,
    .tick = tick,
};
