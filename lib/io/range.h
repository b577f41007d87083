/*
 * Reading a range of topics once, exactly: from the first record that may be in it to an end that is fixed before the first record is read.
 *
 * A record's timestamp says little about its neighbours' (several producers, retries, relists), so nothing ends at the first late one:
 *   begin   per partition, the first offset whose timestamp is at least from_ms. Every record before it is older.
 *   end     per partition, the end of what is committed when the reading begins. What comes later is not read, however busy the topic is.
 * In between every record is handed out that Kafka still has: whoever asks tests each record's own time. Of transactions only what is
 * committed is there. An open one holds the end where it begins: `high` is then past `end`, and nobody waits for it.
 *
 *      look up (klx_work) ── on_ready ──▶ READING ── all partitions at their ends ──▶ on_end
 *                ▲                          │
 *                └── trouble: tried again   └─ Kafka deleted what was to be read: counted in `gone`, goes on behind it
 *
 * No group, no offsets are committed. Records of one partition come in its order, partitions interleaved in no order. In memory are at most
 * 16 MiB (queued.max.messages.kbytes) and the answers under way.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/error.h"
#include "lib/base/record.h"
#include "lib/io/kafka_config.h"
#include "lib/io/loop.h"

struct klx_range;

struct klx_range_partition {
    const char *topic; /* of the range */
    int32_t partition;
    int64_t first;      /* the oldest offset that Kafka has; not 0: what was before it is deleted */
    int64_t begin, end; /* [begin, end) is read; begin may be past end: nothing is */
    int64_t high;       /* past `end`: a transaction is open, and its records and those behind it */
    int64_t next;       /* everything before it was handed out */
    int64_t gone;       /* offsets that were deleted before they were read */
    bool done;
};

struct klx_range_options {
    const struct klx_kafka_config *kafka;
    const char *const *topics; /* each once; they must exist, or are waited for */
    size_t topics_n;
    int64_t from_ms; /* INT64_MIN: the oldest record */
    bool bare;       /* records without headers, which costs less */
    /* Goes on with a reading that was broken off: topic, partition, begin, end, high, next and gone of its partitions. NULL: anew. */
    const struct klx_range_partition *resume;
    size_t resume_n;
};

struct klx_range_callbacks {
    void (*on_ready)(void *arg); /* once, before the first record: klx_range_partitions is known */
    /* Borrowed for the call; i is the place of its partition among klx_range_partitions. */
    void (*on_record)(void *arg, const struct klx_record *r, size_t i);
    void (*on_end)(void *arg);                       /* once */
    void (*on_trouble)(void *arg, const char *what); /* said now and then; tried again by itself */
    void (*on_fatal)(void *arg, const char *why);
    void *arg;
};

int klx_range_new(struct klx_loop *l, const struct klx_range_options *o,
                  const struct klx_range_callbacks *cb, struct klx_range **ret,
                  struct klx_error *e) KLX_MUST_CHECK;
/* By topic (in the order asked for) and number; their number. Valid until the range is freed. */
size_t klx_range_partitions(const struct klx_range *r, const struct klx_range_partition **ret);
/* Hands out nothing, at once, until klx_range_go_on. */
void klx_range_pause(struct klx_range *r);
void klx_range_go_on(struct klx_range *r);
/* From any callback but never inside _new. Closing runs on klx_work; nothing is called any more. */
void klx_range_free(struct klx_range *r);
