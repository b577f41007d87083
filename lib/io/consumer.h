/*
 * Reading Kafka on the loop, read_committed, record by record. klx_reader reads given topics once, without a group.
 *
 * klx_consumer is a member of a group and hands out what its partitions hold after the committed offsets. Offsets move only by
 * klx_consumer_store; stored ones are committed every second, when the group takes the partition away, and at the end.
 *
 * The group is answered on the loop at least every second, whether or not records come or are wanted, so neither an idle topic nor a
 * pause costs the membership. Read but not handed out are at most 4 MiB (queued.max.messages.kbytes) and the answers under way.
 *
 * Partitions are shared out by `roundrobin`, all anew at each rebalance. The cooperative protocol would leave more of them in place, but
 * in librdkafka 2.0 it can resume from an old position (its issue 4636), lose the assignment to a commit (4059), compute for ever (4783)
 * and hang on closing (4528); `range` would give the first members the first partitions of every topic and the last ones nothing.
 *
 * A topic that is new to the group (no offset for any of its partitions) begins at its end: a sink that is set up tells of what happens
 * from then on, not of last week. Set `auto.offset.reset: earliest` among the `kafka:` properties to begin at the beginning. In every
 * other case nothing that can be had is skipped: a topic that is made later, a partition that is added, and a partition whose offset
 * Kafka has deleted (retention) begin at the first record there is.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/error.h"
#include "lib/base/record.h"
#include "lib/io/kafka_config.h"
#include "lib/io/loop.h"

struct klx_consumer;

struct klx_consumer_callbacks {
    /* The record is borrowed for the call. */
    void (*on_record)(void *arg, const struct klx_record *r);
    void (*on_assigned)(void *arg, const char *topic, int32_t partition);
    /* May be NULL. The partition was read to its end as it is now; next_offset is that of the record that will come next. Again after
       each seek, and whenever records have come since. */
    void (*on_end)(void *arg, const char *topic, int32_t partition, int64_t next_offset);
    /* May be NULL. The group wants the partitions back: nothing is handed out any more, and on_revoked follows as soon as
       klx_consumer_let_go is called, from here or later. The group waits meanwhile, so not for long. Not called for partitions that are
       lost already, nor after klx_consumer_stop. */
    void (*on_leaving)(void *arg);
    /* Everything about the partition that has no verdict is somebody else's now; a later store for it is ignored. */
    void (*on_revoked)(void *arg, const char *topic, int32_t partition);
    /* "Kafka does not answer", "topic klaxon.nodes does not exist": said at most every 5 s and, as long as it lasts, about that
       often; tried again by itself. Nothing more is said when it is over. */
    void (*on_trouble)(void *arg, const char *what);
    /* May be NULL. Beside on_trouble, each time it is found: the topic does not exist, or may not be read. What passes by itself, such as a
       broker that is lost, is no part of this. The consumer is not to be freed from here. */
    void (*on_denied)(void *arg, const char *topic, const char *why);
    /* This member is thrown out for good (another one has its group.instance.id). Stop it and begin anew. */
    void (*on_fatal)(void *arg, const char *why);
    void *arg;
};

int klx_consumer_new(struct klx_loop *l, const struct klx_kafka_config *kafka, const char *group,
                     const char *const *topics, size_t topics_n,
                     const struct klx_consumer_callbacks *cb, struct klx_consumer **ret,
                     struct klx_error *e) KLX_MUST_CHECK;
/* Reads these topics from now on. One that is new to the group begins at its end, as at the start; what is read already goes on where it is.
   The group shares all partitions out anew for that: on_leaving, on_revoked, then on_assigned. Nothing when they are the same. */
void klx_consumer_subscribe(struct klx_consumer *c, const char *const *topics, size_t topics_n);
/* Stops handing out records, at once, also from inside on_record; keeps the membership. */
void klx_consumer_pause(struct klx_consumer *c);
void klx_consumer_resume(struct klx_consumer *c);
/* Everything before `next_offset` is settled. Ignored for a partition that is not this member's (any more). */
void klx_consumer_store(struct klx_consumer *c, const char *topic, int32_t partition,
                        int64_t next_offset);
bool klx_consumer_assigned(
    const struct klx_consumer *c); /* the group has given it its partitions (perhaps none) */
/* session.timeout.ms, as it is in force. */
int64_t klx_consumer_session_ms(const struct klx_consumer *c);
/* After on_leaving: what is stored is committed, and the partitions go. Nothing when there is nothing to let go. */
void klx_consumer_let_go(struct klx_consumer *c);
/* The next record of the partition is that of `offset`; what was read ahead is dropped. Nothing for a partition that is not ours. */
void klx_consumer_seek(struct klx_consumer *c, const char *topic, int32_t partition,
                       int64_t offset);
/* Asks Kafka where the partitions of a topic end: done(arg, ends, n, why), where ends[p] is the offset of the next record of partition p.
   n is 0, and `why` not NULL, when the topic does not exist or may not be read; while Kafka does not say, it is asked again. Once, on the
   loop, unless the consumer is freed first. */
typedef void (*klx_consumer_ends_fn)(void *arg, const int64_t *ends, size_t n, const char *why);
void klx_consumer_ends(struct klx_consumer *c, const char *topic, klx_consumer_ends_fn done,
                       void *arg);
/* Commits what is stored, leaves the group, then on_stopped; at most wait_ms. From the call on only on_revoked may come, and nothing
   after on_stopped. */
void klx_consumer_stop(struct klx_consumer *c, int64_t wait_ms, void (*on_stopped)(void *arg),
                       void *arg);
/* From any callback but never inside _new. Without a stop, or when its time was over, what is stored may not be committed. The client ends
   on klx_work, in about a second at most; nothing is called any more. */
void klx_consumer_free(struct klx_consumer *c);

struct klx_reader;

enum klx_reader_start { KLX_READER_BEGINNING, KLX_READER_END, KLX_READER_TIME };

struct klx_reader_options {
    const struct klx_kafka_config *kafka;
    const char *const *topics;
    size_t topics_n;
    enum klx_reader_start start;
    int64_t
        start_ms; /* KLX_READER_TIME: the first record with a timestamp of at least this, per partition */
    /* Call on_end once every partition has been read to its end (of committed records). Reading goes on until klx_reader_free. */
    bool until_end;
    /* Also what belongs to a transaction that is open or was aborted, so that nobody's open transaction holds up what is behind it. For a
       reader of records that are written outside of transactions, and only of those. */
    bool uncommitted;
};

struct klx_reader_callbacks {
    void (*on_record)(void *arg, const struct klx_record *r); /* borrowed for the call */
    void (*on_end)(void *arg);                                /* once, with until_end */
    void (*on_trouble)(void *arg, const char *what);
    void (*on_fatal)(void *arg, const char *why);
    void *arg;
    /* May be NULL: as of a consumer. */
    void (*on_denied)(void *arg, const char *topic, const char *why);
};

int klx_reader_new(struct klx_loop *l, const struct klx_reader_options *o,
                   const struct klx_reader_callbacks *cb, struct klx_reader **ret,
                   struct klx_error *e) KLX_MUST_CHECK;
/* Calls on_synced(arg) once, when all that was in the topics at the time of this call has been handed out; tried until it succeeds. One at a
   time: again only from on_synced or later. */
void klx_reader_sync(struct klx_reader *r, void (*on_synced)(void *arg), void *arg);
/* From any callback but never inside _new. Closing runs on klx_work; nothing is called any more. */
void klx_reader_free(struct klx_reader *r);
