/*
 * What a Pod says of its containers, read from its object (facts: kubernetes.md 3.3, azure.md 2.3). Pure; the views borrow from the object
 * and the arena.
 *
 * One termination of a container is seen in several shapes: in state.terminated with the restartCount that it had, then in
 * lastState.terminated while it waits (the count is still the same), then in lastState.terminated of the running container (one more).
 * `ordinal` is the same number in all of them: how many terminations there were, this one included.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "collector/observation.h"
#include "lib/base/json.h"

enum klx_exit_cause {
    KLX_EXIT_OTHER,
    KLX_EXIT_OOM,    /* reason OOMKilled, and nothing else */
    KLX_EXIT_KILLED, /* 137 without it: a failed liveness probe, or a child that was OOM-killed */
};

struct klx_container_view {
    const struct klx_json *status; /* of containerStatuses and its kin */
    struct klx_sv name;
    int64_t restarts;
    bool running;
    int64_t running_us; /* startedAt */
    bool looping;       /* waits in CrashLoopBackOff */
    /* The last termination. */
    bool terminated;
    enum klx_exit_cause cause;
    bool
        is_restart; /* it is one of a container that runs again or will: not an init container that is done */
    int64_t ordinal;
    int64_t exit_code;
    struct klx_sv reason, instance; /* instance: its containerID */
    int64_t started_us, finished_us;
};

struct klx_pod_view {
    const struct klx_json *object;
    struct klx_sv node, phase;
    bool ended;   /* Succeeded or Failed: nothing of it runs again */
    bool leaving; /* ended, or being deleted: what its containers exit with says nothing */
    /* The controller's name as people know it: a Deployment's, not its ReplicaSet's. Empty: a pod of its own. */
    struct klx_sv workload_kind, workload_name;
};

void klx_pod_view_read(const struct klx_observation *o, struct klx_pod_view *ret);

/* The containers of all three lists. for (it = { 0 }; klx_container_next(&pod, &it, &c);) */
struct klx_container_iterator {
    size_t list;
    const struct klx_json *at;
};
bool klx_container_next(const struct klx_pod_view *p, struct klx_container_iterator *it,
                        struct klx_container_view *ret);
/* "14Gi": what is in force, else what the spec asks for; empty: none. `which` is "limits" or "requests". */
struct klx_sv klx_container_memory(const struct klx_pod_view *p, const struct klx_container_view *c,
                                   const char *which);
