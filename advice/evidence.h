/*
 * What was recorded of one HPA and the pods of its workload: collected from events, first those of klaxon.scaling, then those of
 * klaxon.metrics, in any order of time within each.
 *
 *   scaling: bounds, targets, changes of the replicas, OOM kills, the times at the maximum and without metrics
 *   metrics: a sample a pod and scrape: the memory that the HPA looks at (a container's, or the pod's), its limit and request
 *
 * An HPA is looked for by its name; where several clusters or namespaces have one of that name, which is meant must be said
 * (klx_evidence_choose). Samples have a limit: past it they are refused, and whoever asks must ask for less time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "advice/autoscaler.h"
#include "lib/base/json.h"
#include "lib/base/record.h"

#define KLX_EVIDENCE_SAMPLES_MAX (8u << 20) /* 24 bytes each */
#define KLX_EVIDENCE_PODS_MAX 100000
#define KLX_EVIDENCE_CHANGES_MAX 100000
#define KLX_EVIDENCE_PLACES_MAX 64
#define KLX_EVIDENCE_KILLS_MAX 100000

struct klx_sample {
    int64_t at_us;
    int64_t bytes;
    uint32_t pod; /* 0, 1, 2 … of this history */
};

/* A change of the replicas by the HPA. */
struct klx_scaling_change {
    int64_t at_us;
    int32_t from, to;
};

struct klx_evidence {
    int64_t since_us,
        until_us; /* what is counted, [since, until); what an HPA is like is also taken from before */
    struct klx_autoscaler subject; /* after klx_evidence_choose */
    struct klx_sample *samples;    /* by time after klx_evidence_sort */
    size_t samples_n, samples_allocated;
    struct klx_scaling_change *changes; /* by time after klx_evidence_choose */
    size_t changes_n, changes_allocated;
    int64_t
        *kills_us; /* OOM kills of the workload's containers, by time after klx_evidence_choose */
    size_t kills;  /* how many there are */
    int64_t at_max_us, blind_us; /* as the incidents that are over say */
    int64_t limit_bytes;         /* of what the HPA looks at; 0: not known */
    int64_t request_bytes;       /* the same */
    double worst;                /* the greatest share of its limit that was used */
    bool full;                   /* there was more than the limits allow */
    struct klx_evidence_own *own;
};

/* cluster, namespace: NULL for any. */
void klx_evidence_init(struct klx_evidence *h, const char *cluster, const char *namespace,
                       const char *name);
/* An object of the HPA, before anything else: what it says goes before what events say. */
int klx_evidence_object(struct klx_evidence *h, const struct klx_json *hpa,
                        struct klx_error *e) KLX_MUST_CHECK;
void klx_evidence_release(struct klx_evidence *h);
/* A record of klaxon.scaling. What is of something else, or is no event, is passed over. */
void klx_evidence_scaling(struct klx_evidence *h, const struct klx_record *r);
/* After the last of klaxon.scaling: which HPA it is, settled. -EEXIST with the places where there are several, else as
   klx_autoscaler_settle. */
int klx_evidence_choose(struct klx_evidence *h, struct klx_error *e) KLX_MUST_CHECK;
/* A record of klaxon.metrics, after klx_evidence_choose. */
void klx_evidence_metrics(struct klx_evidence *h, const struct klx_record *r);
/* After the last: by time, and each sample once. */
void klx_evidence_sort(struct klx_evidence *h);
size_t klx_evidence_pods_n(const struct klx_evidence *h);
