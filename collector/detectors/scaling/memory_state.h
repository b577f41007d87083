/*
 * What the detector remembers of the memory of one pod's containers, and its form in `klaxon.state`. Plain data; no I/O.
 */
#pragma once

#include "collector/detectors/scaling/memory_trend.h"
#include "collector/detectors/scaling/scaling.h"
#include "lib/base/buf.h"

#define KLX_MEMORY_CONTAINERS_MAX 32 /* of one pod; of more nothing is told */

struct klx_memory_container {
    char name[64];
    char limit_text[48], request_text[48]; /* as the Pod has them */
    double limit;                          /* bytes; 0: none, and nothing is told */
    struct klx_trend trend;
    int64_t since_us; /* since when it is near or predicted; KLX_TIME_NONE: it is not */
    int64_t over_us;  /* an open incident: since when it is not any more */
    bool near_told, predicted_told, urgent_told;
    struct klx_episode incident;
};

struct klx_memory_state {
    char namespace[KLX_NAMESPACE_BYTES];
    char name[KLX_NAME_BYTES];
    char uid[KLX_UID_BYTES];
    char labels[KLX_LABELS_BYTES];
    char node[KLX_NAME_BYTES];
    char workload_kind[64];
    char workload_name[KLX_NAME_BYTES];
    struct klx_memory_container *containers; /* owned */
    size_t containers_n;
    int64_t saved_us; /* of the last sample that is in its record */
};

void klx_memory_state_init(struct klx_memory_state *p, struct klx_sv namespace, struct klx_sv name);
void klx_memory_state_release(struct klx_memory_state *p);
struct klx_memory_container *klx_memory_container_find(const struct klx_memory_state *p,
                                                       struct klx_sv name);
/* NULL when there are too many, or the name is longer than Kubernetes allows. Moves the others. */
struct klx_memory_container *klx_memory_container_add(struct klx_memory_state *p,
                                                      struct klx_sv name);
/* Ends what was told, so that the next time is news. */
void klx_memory_container_calm(struct klx_memory_container *c);
void klx_memory_state_write(const struct klx_memory_state *p, struct klx_buf *out);
/* -EBADMSG when it is not what _write wrote. *p needs klx_memory_state_release when it is 0. */
int klx_memory_state_read(struct klx_memory_state *p, struct klx_sv namespace, struct klx_sv name,
                          struct klx_sv value) KLX_MUST_CHECK;
