/*
 * What the detector remembers of the containers of one pod, and its form in `klaxon.state`. Plain data; no I/O.
 *
 * Only pods with something to remember have a state: a container that was OOM-killed or killed, whose Pod repeats that in every frame
 * until the next restart; one that restarted a short while ago; an incident.
 */
#pragma once

#include "collector/detectors/scaling/pod_view.h"
#include "collector/detectors/scaling/scaling.h"
#include "lib/base/buf.h"

#define KLX_POD_CONTAINERS_MAX 32 /* of one pod that are remembered; more are not looked at */

struct klx_pod_container {
    char name[64];
    /* The last termination that was seen: another one is news. */
    char instance[96];
    int64_t finished_us;
    int64_t ordinal;
    enum klx_exit_cause cause;
    int64_t exit_code;
    char reason[64];
    int64_t first_ordinal; /* of the first termination that is remembered */
    int64_t
        held_us; /* since when it waits for the end of a possible wave; KLX_TIME_NONE: it does not */
    bool looping; /* in CrashLoopBackOff, as it was seen last */
    bool loop_told;
    uint32_t ooms; /* OOM kills of the incident */
    int64_t
        stable_us; /* when it will have run for long enough; KLX_TIME_NONE: it does not run, or has */
    bool settled;
    int64_t forget_us; /* KLX_TIME_NONE: not by time */
    struct klx_episode incident;
};

struct klx_pod_state {
    char namespace[KLX_NAMESPACE_BYTES];
    char name[KLX_NAME_BYTES];
    char uid[KLX_UID_BYTES];
    char labels[KLX_LABELS_BYTES];
    char node[KLX_NAME_BYTES];
    char workload_kind[64];
    char workload_name[KLX_NAME_BYTES];
    struct klx_pod_container *containers; /* owned */
    size_t containers_n;
};

void klx_pod_state_init(struct klx_pod_state *p, struct klx_sv namespace, struct klx_sv name);
void klx_pod_state_release(struct klx_pod_state *p);
struct klx_pod_container *klx_pod_container_find(const struct klx_pod_state *p, struct klx_sv name);
/* NULL when there are KLX_POD_CONTAINERS_MAX, or the name is longer than Kubernetes allows. Moves the others. */
struct klx_pod_container *klx_pod_container_add(struct klx_pod_state *p, struct klx_sv name);
void klx_pod_container_drop(struct klx_pod_state *p, struct klx_pod_container *c);
void klx_pod_state_write(const struct klx_pod_state *p, struct klx_buf *out);
/* -EBADMSG when it is not what _write wrote. *p needs klx_pod_state_release when it is 0. */
int klx_pod_state_read(struct klx_pod_state *p, struct klx_sv namespace, struct klx_sv name,
                       struct klx_sv value) KLX_MUST_CHECK;
