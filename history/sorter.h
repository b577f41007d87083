/*
 * More items than fit into memory, in order: by time, then by partition (a number that the owner gives), then by offset.
 *
 * Times of records are in no order, so the first item is known when the last one has been read. Items are kept up to memory_max; then they are
 * sorted and written to a file, a run. At the end the runs are merged. So memory is bounded by memory_max and a few buffers, and the disk by
 * the size of the items. Equal keys do not occur.
 *
 * Runs are files without a name in `folder`, gone with the process. Where they are to outlive it (`keep`), each is a file
 * "run-000001" in `keep`, on disk when on_spill is called: whoever writes down then what has been added so far can go on from there
 * (klx_sorter_resume). Not portable between machines.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/error.h"
#include "lib/base/sv.h"

#define KLX_SORTER_MEMORY_MAX (64u << 20)

struct klx_sorter;

struct klx_sorter_key {
    int64_t time_us;
    int64_t offset;
    uint32_t partition;
};

struct klx_sorter_options {
    size_t memory_max;  /* 0: KLX_SORTER_MEMORY_MAX */
    const char *folder; /* NULL: $TMPDIR, or /var/tmp */
    const char *keep;   /* a folder that is there; NULL: runs go with the process */
    /* MAY, with keep: the runs that are there now, `n` names to resume with. */
    int (*on_spill)(void *arg, const uint32_t *runs, size_t n, struct klx_error *e);
    void *arg;
};

struct klx_sorter *klx_sorter_new(const struct klx_sorter_options *o);
/* Removes the runs, unless they were kept and the items not all handed out. */
void klx_sorter_free(struct klx_sorter *s);
/* Takes over runs of `keep`. -ENOENT, … with words when one is not there. Other files of the folder that are named as runs are removed. */
int klx_sorter_resume(struct klx_sorter *s, const uint32_t *runs, size_t n,
                      struct klx_error *e) KLX_MUST_CHECK;
/* Copies the item. Fails with words when a run cannot be written: -ENOSPC … */
int klx_sorter_add(struct klx_sorter *s, const struct klx_sorter_key *k, struct klx_sv item,
                   struct klx_error *e) KLX_MUST_CHECK;
/* Writes what is in memory to a run, so that nothing is lost that has been added. */
int klx_sorter_flush(struct klx_sorter *s, struct klx_error *e) KLX_MUST_CHECK;
/* Nothing is added any more: the first item, and then the next ones, until *ret_more is false. The item is valid until the next call. */
int klx_sorter_next(struct klx_sorter *s, struct klx_sorter_key *ret_key, struct klx_sv *ret_item,
                    bool *ret_more, struct klx_error *e) KLX_MUST_CHECK;
/* What is in memory and in runs, and how many bytes stand in the runs. */
size_t klx_sorter_items(const struct klx_sorter *s);
size_t klx_sorter_spilled_bytes(const struct klx_sorter *s);
