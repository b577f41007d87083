/*
 * What the two halves of the detector `autoscaling` share: HPAs (hpa_rules.h) and the containers of pods (pod_rules.h). Internal to it.
 *
 * One detector, because each half tells what it knows to the other: a container that is OOM-killed is another matter when the HPA of its
 * workload is at its maximum, or blind. State records are "hpa/<namespace>/<name>" and "pod/<namespace>/<name>"; only pods with something
 * to remember have one. Memory near its limit, and when it will be reached, belongs to the metrics of pods: a third half beside these two,
 * with the workloads and limits that pod_rules knows.
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

struct klx_scaling {
    char *cluster;
    struct klx_hpa_entry *hpas; /* uthash by "namespace/name" */
    struct klx_pod_entry *pods;
    int64_t next_us; /* no timer is due before; KLX_TIME_NONE: none is set */
    /* Settings, in us. */
    int64_t at_max_after_us, blind_after_us, recovered_after_us;
    bool restored; /* timers may be set that next_us does not know of */
};

/* One call's surroundings, so that helpers need few parameters. */
struct klx_scaling_call {
    struct klx_scaling *d;
    struct klx_outbox *out;
    const struct klx_observation *o; /* NULL: the clock, or a relist */
    int64_t now_us;
};

void klx_scaling_tell(struct klx_scaling_call *c, const struct klx_news_object *about,
                      const struct klx_news *m);
/* Writes the state record of `kind`/namespace/name unless `written` says that it is the same as the last one. Empty: removes it. */
void klx_scaling_save(struct klx_scaling_call *c, const char *kind, const char *namespace,
                      const char *name, struct klx_sv value,
                      char written[static KLX_HASH_TEXT_BYTES]);
/* A timer is set for at_us, or none (KLX_TIME_NONE). */
void klx_scaling_wake(struct klx_scaling *d, int64_t at_us);
/* What `written` is for a record that was restored. */
void klx_scaling_mark(struct klx_sv value, char written[static KLX_HASH_TEXT_BYTES]);

/* The labels that are kept, as JSON; "{}" when they are too large. */
void klx_scaling_labels(const struct klx_json *labels, char out[static KLX_LABELS_BYTES]);
/* "12 min", in the arena; "less than 1 s", too. */
const char *klx_scaling_words(struct klx_scaling_call *c, int64_t from_us, int64_t to_us);
