/*
 * What the detector remembers of one Rollout, and its form in `klaxon.state`. Plain data; no I/O.
 */
#pragma once

#include "collector/detectors/episode.h"
#include "lib/base/buf.h"
#include "lib/base/error.h"

#define KLX_ROLLOUT_HASH_BYTES 64

struct klx_rollout_state {
    char namespace[64];
    char name[254];
    char uid[64];
    char labels[512]; /* JSON object */
    char pod_hash[KLX_ROLLOUT_HASH_BYTES], stable[KLX_ROLLOUT_HASH_BYTES];
    char phase[32];
    char pause[64];     /* the reason that was told; empty: it is not paused */
    char analysis[254]; /* the last run that was told */
    bool aborted;
    bool under_way;     /* started, and not completed */
    int64_t started_us; /* of what is under way */
    int64_t step;
    struct klx_episode waits;   /* for somebody */
    struct klx_episode failure; /* analysis, abort, deadline, spec */
};

void klx_rollout_state_init(struct klx_rollout_state *h, struct klx_sv namespace,
                            struct klx_sv name);
void klx_rollout_state_write(const struct klx_rollout_state *h, struct klx_buf *out);
/* -EBADMSG when it is not what _write wrote. */
int klx_rollout_state_read(struct klx_rollout_state *h, struct klx_sv namespace, struct klx_sv name,
                           struct klx_sv value) KLX_MUST_CHECK;
