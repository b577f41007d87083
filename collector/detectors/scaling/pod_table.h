/*
 * The pods that are remembered, by "namespace/name". Internal to the pods' half.
 */
#pragma once

#include <uthash.h>

#include "collector/detectors/scaling/pod_state.h"

struct klx_pod_entry {
    struct klx_pod_state p;
    char key[KLX_NAMESPACE_BYTES + KLX_NAME_BYTES];
    char written[KLX_HASH_TEXT_BYTES];
    int64_t
        recheck_us; /* what is held is not decided before; only spares looking, so it is in no state */
    UT_hash_handle hh;
};

struct klx_pod_entry *klx_pod_table_find(const struct klx_scaling *d, struct klx_sv namespace,
                                         struct klx_sv name);
struct klx_pod_entry *klx_pod_table_add(struct klx_scaling *d, struct klx_sv namespace,
                                        struct klx_sv name);
/* Only from memory; klx_pod_table_save removes its state record as well when nothing of it is remembered any more. */
void klx_pod_table_forget(struct klx_scaling *d, struct klx_pod_entry *e);
/* When something of it may be due; KLX_TIME_NONE: nothing. */
int64_t klx_pod_table_next(const struct klx_pod_entry *e);
/* Writes what changed, and sets the timer. An entry without containers is removed and freed. */
void klx_pod_table_save(struct klx_news_call *c, struct klx_pod_entry *e);
