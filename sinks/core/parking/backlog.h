/*
 * What is parked on the partitions of klaxon.retry that this replica owns: which record is taken for which channel, how far each channel
 * is, and where to read next.
 *
 * A record stays where it is until it is done; a channel that waits has a *place* in the partition, not copies of its records at the end.
 * So its order is that of the log, a crash repeats no more than what was under way, and an outage costs no writing. In memory are at most
 * `hold_max` records a channel; what does not fit is passed over and read again, later, from the channel's own place:
 *
 *     offsets of the partition   4a 5b 6a 7a 8b 9a ...... 40b │ tail: the furthest that was read
 *     channel a, hold_max 2      └┬───┘  └ next: from here again, when there is room
 *     channel b                   └ taken   └ done: b is up to date, so only records behind the tail concern it
 *
 * A *run* is a stretch that is read without a gap: from the place of a channel that has room again, until no such channel is left; then
 * the tail. So a channel that is down holds up nobody who shares its partition.
 *
 * drained-to of a channel is the offset up to which all of it is done; `closed` when that is everything there is.
 *
 * Pure: no clock, no messages, only offsets. Seeking is the owner's, from klx_backlog_seek_to, which is asked for after each call.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/sv.h"
#include "sinks/core/parking/gate.h"

struct klx_backlog;
struct klx_backlog_channel;

/* A record that was taken, until it is done. */
struct klx_backlog_item {
    struct klx_backlog_item *prev, *next;
    struct klx_backlog_channel *channel; /* NULL: the partition was revoked */
    int64_t offset;
};

struct klx_backlog *klx_backlog_new(size_t hold_max);
/* Another hold_max from now on; what is in hand stays there. */
void klx_backlog_limit(struct klx_backlog *b, size_t hold_max);
/* Every item must be done. */
void klx_backlog_free(struct klx_backlog *b);

void klx_backlog_assign(struct klx_backlog *b, int32_t partition);
/* Its items stay valid until they are done, and move nothing any more. */
void klx_backlog_revoke(struct klx_backlog *b, int32_t partition);
/* What a predecessor had done of the channel; before its records are read. Nothing when the partition is not ours. */
void klx_backlog_resume(struct klx_backlog *b, struct klx_sv channel, struct klx_place drained);

/* A record was read. The result is the item when it is to be handled now, NULL when it was done before, is in hand, or must wait.
   An empty channel: a record that is nobody's here. */
struct klx_backlog_item *klx_backlog_read(struct klx_backlog *b, int32_t partition, int64_t offset,
                                          struct klx_sv channel);
/* The partition was read to its end; next is the offset of the record to come. */
void klx_backlog_end(struct klx_backlog *b, int32_t partition, int64_t next);
/* Where it stands; -1: the partition was revoked. */
int32_t klx_backlog_partition(const struct klx_backlog_item *item);
/* The item is handled, or was never: freed. */
void klx_backlog_done(struct klx_backlog *b, struct klx_backlog_item *item);
/* True: reading of the partition must go on at *ret. Once: it is taken as done. */
bool klx_backlog_seek_to(struct klx_backlog *b, int32_t partition, int64_t *ret);
/* Up to where nothing is left to do, for the group's offset; -1: not known. */
int64_t klx_backlog_settled(const struct klx_backlog *b, int32_t partition);

struct klx_backlog_progress {
    struct klx_sv channel;
    struct klx_place drained;
    bool closed;
    bool holds;        /* records of it are in hand or waiting */
    size_t taken;      /* in hand */
    int64_t last_seen; /* offset of its last record that was read; -1: none was */
};

/* Calls fn for each channel that has records, or had some, on the partitions that are ours. */
void klx_backlog_each(struct klx_backlog *b,
                      void (*fn)(void *arg, const struct klx_backlog_progress *p), void *arg);
