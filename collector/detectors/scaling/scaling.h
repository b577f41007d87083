/*
 * What the parts of the detector autoscaling share: HPAs (hpa_rules.h), the containers of pods (pod_rules.h) and their memory
 * (memory_rules.h). Internal to it.
 *
 * One detector, because each part tells what it knows to the others: a container that is OOM-killed is another matter when the HPA of its
 * workload is at its maximum, or blind, and its memory has a history. State records are "hpa/<namespace>/<name>", "pod/<namespace>/<name>"
 * and "memory/<namespace>/<name>"; only pods with something to remember have one.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "collector/detectors/news.h"

#define KLX_NAME_BYTES 254
#define KLX_NAMESPACE_BYTES 64
#define KLX_UID_BYTES 64
#define KLX_LABELS_BYTES 1024

struct klx_hpa_entry;
struct klx_pod_entry;
struct klx_memory_entry;

struct klx_scaling {
    char *cluster;
    struct klx_hpa_entry *hpas; /* uthash by "namespace/name" */
    struct klx_pod_entry *pods;
    struct klx_memory_entry *memories;
    bool expects_metrics; /* PodMetrics will come */
    int64_t next_us;      /* no timer is due before; KLX_TIME_NONE: none is set */
    /* Settings, in us. */
    int64_t at_max_after_us, blind_after_us, recovered_after_us, memory_after_us, memory_horizon_us;
    int64_t memory_near_percent;
    bool restored; /* timers may be set that next_us does not know of */
};

/* The detector whose call it is. */
static inline struct klx_scaling *klx_scaling_of(const struct klx_news_call *c) {
    return c->own;
}

/* Writes the state record "<part>/<namespace>/<name>" as klx_news_save does. */
void klx_scaling_save(struct klx_news_call *c, const char *part, const char *namespace,
                      const char *name, struct klx_sv value,
                      char written[static KLX_HASH_TEXT_BYTES]);
/* A timer is set for at_us, or none (KLX_TIME_NONE). */
void klx_scaling_wake(struct klx_scaling *d, int64_t at_us);
/* The labels that are kept, as JSON; "{}" when they are too large. */
void klx_scaling_labels(const struct klx_json *labels, char out[static KLX_LABELS_BYTES]);
