/*
 * Which bounds, and where it may be changed which target, a recorded load asks for.
 *
 *   max     raised to what the load asks for when it grows by `growth`; never lowered (the smallest that would do is told)
 *   min     the smallest with the least OOM minutes; above the load's own need only where it prevents kills
 *   target  where it may be changed: the cheapest of those that prevent what the bounds cannot, or that save a tenth of the replica-hours
 *
 * A proposal is never worse than today's settings in OOM minutes, time at the maximum or flaps. Where more replicas do not make pods
 * smaller (load.relief), or the largest pod stays over its limit however many there are, no bounds help, and that is what is said. Pure.
 */
#pragma once

#include "advice/autoscaler.h"
#include "advice/play.h"

#define KLX_SEARCH_GROWTH 1.2

enum klx_confidence { KLX_CONFIDENCE_LOW, KLX_CONFIDENCE_MEDIUM, KLX_CONFIDENCE_HIGH };

struct klx_search_options {
    const struct klx_load *load;
    const struct klx_autoscaler *subject;
    struct klx_scaler_flags flags;
    double growth;    /* for which the maximum must leave room */
    int32_t max_cap;  /* the greatest maximum that may be proposed */
    int32_t min_cap;  /* the smallest minimum */
    bool bounds_only; /* the target stays as it is */
};

/* Settings and what comes of them. */
struct klx_outcome {
    struct klx_scaler_spec spec;
    struct klx_play_result result;
    struct klx_play_result grown; /* with `growth` times the load */
};

struct klx_advice {
    struct klx_outcome now, proposed;
    bool differs;       /* the proposal is another one than now */
    int32_t max_needed; /* the smallest maximum that leaves room for the growth */
    bool capped;        /* the load asks for more than max_cap */
    bool no_relief;     /* more replicas do not make pods smaller */
    bool bounds_cannot; /* OOM minutes are left whatever the bounds */
    bool target_would;  /* of the add-on: another target would prevent them, and cannot be set */
    struct klx_outcome with_target; /* with target_would */
    enum klx_confidence confidence;
    const char *doubts[6]; /* why it is not higher; NULL ends */
};

void klx_search(const struct klx_search_options *o, struct klx_advice *ret);
const char *klx_confidence_name(enum klx_confidence c);
