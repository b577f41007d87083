/*
 * What the detector remembers of one HPA, and its form in `klaxon.state`. Plain data; no I/O.
 */
#pragma once

#include "collector/detectors/scaling/scaling.h"
#include "lib/base/buf.h"

#define KLX_HPA_TURNS 3 /* changes of direction within the window that make it flapping */

enum klx_hpa_trouble_kind {
    KLX_HPA_AT_MAX,
    KLX_HPA_AT_MIN,
    KLX_HPA_BLIND,
    KLX_HPA_FLAPPING,
    KLX_HPA_TROUBLES_N
};

/* Something that is wrong, told when it has lasted for a while. */
struct klx_hpa_trouble {
    int64_t since_us; /* KLX_TIME_NONE: it is not so */
    int64_t
        due_us; /* when it is told (of flapping: when it is over); KLX_TIME_NONE: nothing to wait for */
    int64_t peak; /* at max, at min: the greatest ratio so far, in per mille */
    char reason[64];
    char detail[300]; /* the metric at its peak, or the condition's message */
    struct klx_episode episode;
};

struct klx_hpa_state {
    char namespace[KLX_NAMESPACE_BYTES];
    char name[KLX_NAME_BYTES];
    char uid[KLX_UID_BYTES];
    char labels[KLX_LABELS_BYTES];
    char target_kind[64];
    char target_name[KLX_NAME_BYTES];
    int64_t min, max;
    int64_t desired;   /* -1: the controller has not looked at it yet */
    int64_t scaled_us; /* lastScaleTime that was told */
    /* The Event of a rescale whose status has not come yet; size -1: none. */
    int64_t event_size;
    int64_t event_us;
    char event_reason[200];
    int64_t direction; /* of the last rescale: 1, -1; 0: none yet */
    int64_t turns[KLX_HPA_TURNS];
    struct klx_hpa_trouble troubles[KLX_HPA_TROUBLES_N];
};

void klx_hpa_state_init(struct klx_hpa_state *h, struct klx_sv namespace, struct klx_sv name);
void klx_hpa_state_write(const struct klx_hpa_state *h, struct klx_buf *out);
/* -EBADMSG when it is not what _write wrote. */
int klx_hpa_state_read(struct klx_hpa_state *h, struct klx_sv namespace, struct klx_sv name,
                       struct klx_sv value) KLX_MUST_CHECK;
