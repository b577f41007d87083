/*
 * What is settled of each partition, and so how far its offset may move.
 *
 * A record is *settled* when everything that follows from it is done. The offset to commit is the settled prefix: the offset of the
 * first record that is not settled, or the one after the last record seen. Only unsettled records are kept, in a list per partition, so
 * memory follows what is under way, not what has gone by.
 *
 *     records seen   10  11  12  13  14         12 is not settled, the others are:
 *                                |              the prefix ends at 12, and 13 and 14 are *ahead* of it:
 *                                ▼              after a crash they are told again. There is a limit to that (ahead_max),
 *     unsettled              12                 and past it klx_tracker_full asks for reading to stop.
 *
 * A revoked partition belongs to somebody else: its records may still be settled, late, and that moves nothing. A record with an offset
 * that was seen before (the group was reset) begins the partition anew in the same way.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct klx_tracker;
struct klx_tracked_partition;

/* Of one record, in its owner's memory, until it is settled or forgotten. */
struct klx_tracked {
    struct klx_tracked *prev, *next;
    struct klx_tracked_partition *partition; /* NULL: not tracked */
    int64_t offset;
    int64_t timestamp_ms;
    size_t ahead; /* told records between the unsettled one before this and this */
};

typedef void (*klx_tracker_store_fn)(void *arg, const char *topic, int32_t partition,
                                     int64_t next_offset);

struct klx_tracker *klx_tracker_new(size_t ahead_max);
/* Another ahead_max from now on. */
void klx_tracker_limit(struct klx_tracker *t, size_t ahead_max);
/* Every record must have been settled or forgotten. */
void klx_tracker_free(struct klx_tracker *t);
/* A record was read. Within a partition in rising order. */
void klx_tracker_begin(struct klx_tracker *t, const char *topic, int32_t partition, int64_t offset,
                       int64_t timestamp_ms, struct klx_tracked *r);
/* `told`: somebody was told of it, so that reading it again would be a duplicate. */
void klx_tracker_settle(struct klx_tracker *t, struct klx_tracked *r, bool told);
/* The record goes without being settled: nothing of its partition moves past it any more. `told`: somebody was told of it already. */
void klx_tracker_forget(struct klx_tracker *t, struct klx_tracked *r, bool told);
void klx_tracker_revoke(struct klx_tracker *t, const char *topic, int32_t partition);
bool klx_tracker_is_revoked(const struct klx_tracked *r);
/* Hands out the prefixes that moved since the last call. */
void klx_tracker_flush(struct klx_tracker *t, klx_tracker_store_fn store, void *arg);
/* Records that somebody was told of and that Kafka will give again, for good: forgotten ones, those past a forgotten one, and those that
   were ahead when their partition was revoked. It only grows. */
size_t klx_tracker_again(const struct klx_tracker *t);
/* Told records that are ahead of a prefix now: if the process ended here they would be told again. */
size_t klx_tracker_ahead(const struct klx_tracker *t);
/* Some partition has ahead_max records or more ahead of its prefix; room: none has more than three quarters of that. */
bool klx_tracker_full(const struct klx_tracker *t);
bool klx_tracker_has_room(const struct klx_tracker *t);
/* For metrics. The oldest timestamp of an unsettled record, INT64_MAX when there is none. */
size_t klx_tracker_unsettled(const struct klx_tracker *t);
int64_t klx_tracker_oldest_ms(const struct klx_tracker *t);
