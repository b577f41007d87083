/*
 * What a source makes of a frame: the observation, which detectors and the publisher read. Borrows from the frame's arena.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/json.h"
#include "lib/base/sv.h"

struct klx_generic;

enum klx_change { KLX_CHANGE_ADDED, KLX_CHANGE_MODIFIED, KLX_CHANGE_DELETED };

/* How it came: the first list ever, a relist after a gap, or live. */
enum klx_origin { KLX_ORIGIN_BASELINE, KLX_ORIGIN_RESYNC, KLX_ORIGIN_LIVE };

enum klx_observation_kind {
    KLX_OBSERVED_EVENT,
    KLX_OBSERVED_NODE,
    KLX_OBSERVED_POD,
    KLX_OBSERVED_HPA,
    KLX_OBSERVED_APPLICATION,
    KLX_OBSERVED_ROLLOUT,
    KLX_OBSERVED_ANALYSIS_RUN,
    KLX_OBSERVED_APPLICATION_SET,
    KLX_OBSERVED_GENERIC,
    KLX_OBSERVED_POD_METRICS,
};

/* A core Event, normalised over both recorders (facts: azure.md 1.3, kubernetes.md 1.7). */
struct klx_observed_event {
    struct klx_sv reason;
    struct klx_sv message;
    struct klx_sv type;      /* Normal, Warning */
    struct klx_sv component; /* source.component, else reportingComponent */
    struct klx_sv about_kind;
    struct klx_sv about_name;
    struct klx_sv about_namespace;
    int64_t time_us;
    int64_t count;
};

/* A Node's standing. */
struct klx_observed_node {
    enum { KLX_NODE_READY_UNKNOWN, KLX_NODE_READY_FALSE, KLX_NODE_READY_TRUE } ready;
    struct klx_sv ready_reason;
    struct klx_sv ready_message;
    int64_t ready_since_us; /* lastTransitionTime */
    bool unschedulable;
    bool upgrading; /* the two annotations of an AKS upgrade */
    int64_t created_us;
};

struct klx_observation {
    enum klx_observation_kind kind;
    enum klx_change change;
    enum klx_origin origin;
    struct klx_sv cluster;
    struct klx_sv name; /* of the object itself */
    struct klx_sv namespace;
    struct klx_sv uid;
    struct klx_sv resource_version;
    const struct klx_json *labels; /* what is kept of them; NULL: none */
    const struct klx_json
        *object; /* as it came: for kinds that have no structure of their own here */
    const struct klx_generic *generic; /* KLX_OBSERVED_GENERIC: what is followed of it */
    struct klx_sv object_kind; /* "Deployment", as the last list or the object itself says */
    union {
        struct klx_observed_event event;
        struct klx_observed_node node;
    };
};
