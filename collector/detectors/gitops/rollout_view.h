/*
 * What a Rollout of Argo Rollouts says of itself, read from its object (facts: argocd.md 2.1). Pure; the view borrows from the object and the
 * arena.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/json.h"

struct klx_rollout_view {
    const struct klx_json *object;
    bool
        current; /* the controller has seen the spec as it is: otherwise the phase is of the one before */
    bool canary;
    struct klx_sv phase; /* Healthy, Degraded, Progressing, Paused */
    struct klx_sv message;
    struct klx_sv revision; /* of the annotation: a rollback is a higher number */
    struct klx_sv pod_hash; /* of what is rolled out */
    struct klx_sv stable;   /* of what is stable: promotion makes it the former */
    bool aborted;
    int64_t aborted_us;
    int64_t step, steps; /* step == steps: all are done; -1: there are none */
    struct klx_sv
        pause; /* CanaryPauseStep, BlueGreenPause, Inconclusive…, Manual; empty: it is not paused */
    int64_t paused_us;
    bool endless;          /* nothing but a person ends the pause */
    int64_t pause_ends_us; /* KLX_TIME_NONE: not known */
    struct klx_sv analysis, analysis_phase,
        analysis_message; /* the first that did not end well; empty: none */
    int64_t weight;       /* of the canary, in percent; -1: not known */
};

void klx_rollout_view_read(const struct klx_json *object, struct klx_rollout_view *ret);
/* "setWeight 25", "pause", "analysis": the step at an index; empty: there is none. */
struct klx_sv klx_rollout_step_words(struct klx_arena *a, const struct klx_rollout_view *v,
                                     int64_t index);
