/*
 * What a command on history writes down, so that it can go on when it was broken off: what was asked, the range and the ends of each partition
 * as they were then, how far it is. One file, replaced whole.
 *
 * `klaxon export --resume` writes how far each partition was read, and the runs that hold what was selected (history/sorter.h); `klaxon replay
 * --resume` the id and how many events of the sorted range have been told.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/error.h"
#include "lib/base/span.h"
#include "lib/io/range.h"

#define KLX_HISTORY_RUNS_MAX 1024

struct klx_history_state {
    struct klx_sv question; /* a digest of the options: another question does not go on here */
    struct klx_span span;   /* as it was then */
    uint64_t selected, not_events;
    struct klx_sv replay_id; /* of a replay */
    uint64_t done;           /* likewise: events that need not be told again */
    const struct klx_range_partition *partitions;
    size_t partitions_n;
    const uint32_t *runs;
    size_t runs_n;
};

/* A crash leaves the old one or the new one. */
int klx_history_state_save(const char *path, const struct klx_history_state *s,
                           struct klx_error *e) KLX_MUST_CHECK;
/* Borrows from the arena. -ENOENT: there is none. -EBADMSG: it is none of ours. */
int klx_history_state_load(const char *path, struct klx_arena *a, struct klx_history_state *ret,
                           struct klx_error *e) KLX_MUST_CHECK;
