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

#include "collector/detectors/episode.h"
#include "collector/observation.h"
#include "collector/outbox.h"
#include "lib/base/time.h"

#define KLX_SCALING_MINUTE_US (60 * KLX_US_PER_S)
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

/* What an event is about. */
struct klx_scaling_object {
    const char *kind, *api_version, *source; /* "Pod", "v1", "pods" */
    const char *namespace, *name, *uid;
    const char *labels; /* JSON object */
};

struct klx_scaling_message {
    enum klx_kind kind;
    enum klx_severity severity;
    int64_t time_us;
    struct klx_sv reason;
    struct klx_sv summary;
    struct klx_sv hint; /* what is special to this object; may be empty */
    /* The incident it belongs to, and the phase; the number is counted here. NULL: none. */
    struct klx_episode *episode;
    enum klx_phase phase;
    /* Makes the event's id, with its kind: equal for the same change, however often and by whatever frame it is seen. Empty: the frame, or
       the time. */
    struct klx_sv id;
    /* MAY: more members of the data, and of data.incident. */
    void (*details)(struct klx_jw *w, const void *arg);
    void (*incident)(struct klx_jw *w, const void *arg);
    const void *arg;
};

void klx_scaling_tell(struct klx_scaling_call *c, const struct klx_scaling_object *about,
                      const struct klx_scaling_message *m);
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
/* "12 min", in the arena; at least "1 s", since the cluster's times are no finer. */
const char *klx_scaling_words(struct klx_scaling_call *c, int64_t from_us, int64_t to_us);
/* KLX_TIME_NONE when it is not a time. */
int64_t klx_scaling_time(const struct klx_json *node, const char *path);
/* A foreign text in an event or a name: whatever its writer made of it, it is no longer than this. */
struct klx_sv klx_scaling_cut(struct klx_sv text, size_t bytes_max);
void klx_scaling_copy(char *to, size_t n, struct klx_sv text);
/* The earlier of two times of which either may be KLX_TIME_NONE. */
int64_t klx_scaling_earlier(int64_t a, int64_t b);
