/*
 * What `klaxon export --resume` writes down while it reads, so that it can go on when it was broken off: what was asked, how far each
 * partition was read, and the runs that hold what was selected (history/sorter.h). One file, "state.json" beside the runs, replaced whole.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/error.h"
#include "lib/base/span.h"
#include "lib/io/range.h"

#define KLX_EXPORT_RUNS_MAX 1024

struct klx_export_state {
    struct klx_sv question; /* a digest of the options: another question does not go on here */
    struct klx_span span;   /* as it was then */
    uint64_t selected, not_events;
    const struct klx_range_partition *partitions;
    size_t partitions_n;
    const uint32_t *runs;
    size_t runs_n;
};

/* Into the folder, so that a crash leaves the old one or the new one. */
int klx_export_state_save(const char *folder, const struct klx_export_state *s,
                          struct klx_error *e) KLX_MUST_CHECK;
/* Borrows from the arena. -ENOENT: there is none. -EBADMSG: it is none of ours. */
int klx_export_state_load(const char *folder, struct klx_arena *a, struct klx_export_state *ret,
                          struct klx_error *e) KLX_MUST_CHECK;
/* Removes it, and the folder when nothing else is in it. */
void klx_export_state_remove(const char *folder);
