/*
 * An HPA played over a load: the scaler looks once a sync period at the pods that there would have been, as metrics-server would have
 * shown them.
 *
 *   scaling up: new pods are Pending for the load's `start_us`, then run and take their share; their first sample comes with the next scrape
 *   scaling down: the newest go first
 *   at each instant of the load: what the pods hold; the largest at its limit or over it is an OOM kill
 *   with as many sampled pods as were recorded, the controller is shown what was recorded: killed containers hold little when they are scraped
 *   in a gap of the record nothing is looked at and no time is counted
 *
 * OOM minutes are the time in which at least one pod would be over its limit, kills how often that begins. Pure: the clock is the load's.
 */
#pragma once

#include "advice/load.h"
#include "advice/scaler.h"

#define KLX_PLAY_FLAP_US                                                                           \
    (INT64_C(1800) *                                                                               \
     1000000) /* three changes of direction in it are a flap, as in the detector autoscaling */

struct klx_play_options {
    const struct klx_load *load;
    struct klx_scaler_flags flags;
    double growth; /* of the load; 1: as recorded */
};

/* What was so from an instant on, for plots and comparisons. */
struct klx_play_point {
    int64_t at_us;
    int32_t replicas;
    double mean, largest; /* bytes, of the running pods */
};

struct klx_play_result {
    int64_t covered_us, at_max_us, oom_us;
    size_t oom_kills, changes, flaps;
    double replica_us;       /* replicas × time */
    int32_t lowest, highest; /* replicas */
    int32_t wanted;          /* the most that was recommended */
    double worst;            /* the largest pod's share of its limit; 0: no limit is known */
};

/* on_point may be NULL. It is called at each instant of the load and at each change of the replicas. */
void klx_play(const struct klx_play_options *o, const struct klx_scaler_spec *spec,
              void (*on_point)(void *arg, const struct klx_play_point *p), void *arg,
              struct klx_play_result *ret);
