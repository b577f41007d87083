/*
 * The publisher of one cluster: events, detector states and resourceVersions, committed together (docs/architecture.md, "Exactly once").
 *
 * Two batches: one is filled while the other is on its way as a transaction. When the one being filled reaches its limit, on_full(true)
 * asks for the watches to be paused; on_full(false) follows when there is room again.
 *
 * What arrives after a quiet time goes out at the end of the turn. What arrives within a few milliseconds of a commit gathers for so
 * long, unless the batch is full: a transaction costs the same for one record as for a hundred.
 */
#pragma once

#include <stdbool.h>

#include "collector/outbox.h"
#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/io/kafka_config.h"
#include "lib/io/loop.h"
#include "lib/io/transaction.h"
#include "schema/topics.h"

/* Small, because memory is twice this and what librdkafka holds of it; large enough that filling one takes as long as a commit. */
#define KLX_BATCH_RECORDS_MAX 1500
#define KLX_BATCH_BYTES_MAX (2u << 20)
#define KLX_WATCHES_MAX 64 /* of a cluster */

struct klx_publisher;

struct klx_publisher_callbacks {
    /* Everything that was committed before has been handed to on_state: watches may start. Once. */
    void (*on_ready)(void *arg);
    /* A record of `klaxon.state` with this cluster's prefix cut off its key, before on_ready; the last one of a key counts; empty: gone. */
    void (*on_state)(void *arg, struct klx_sv key, struct klx_sv value);
    void (*on_full)(void *arg, bool full);
    void (*on_trouble)(void *arg, const char *what);
    /* Never from inside of putting something; the batch that is being filled is not written any more. */
    void (*on_fatal)(void *arg, const char *why);
    void *arg;
};

struct klx_publisher_options {
    struct klx_clock *clock;
    const struct klx_kafka_config *kafka;
    const struct klx_topic_names *topics;
    uint32_t
        used; /* a bit (1u << KLX_TOPIC_…) for each topic that must exist before anything starts */
    const char *cluster;
    enum klx_txn_mode transactions; /* where AUTO goes on without them, that is logged */
};

int klx_publisher_new(struct klx_loop *l, const struct klx_publisher_options *o,
                      const struct klx_publisher_callbacks *cb, struct klx_publisher **ret,
                      struct klx_error *e) KLX_MUST_CHECK;
void klx_publisher_start(struct klx_publisher *p);
/* False while what was said to on_trouble lasts, which is then appended as a line: nothing is committed meanwhile. */
bool klx_publisher_ready(const struct klx_publisher *p, struct klx_buf *why);
/* Its scratch memory is emptied by klx_publisher_end_turn. */
struct klx_outbox *klx_publisher_outbox(struct klx_publisher *p);
/* A record of `klaxon.state` of this cluster, "<cluster>/<key><more>"; an empty value removes it. */
void klx_publisher_put_state(struct klx_publisher *p, const char *key, const char *more,
                             struct klx_sv value);
/* An event on every partition of a topic that is `used`, whatever its kind's topic is: a heartbeat. Each is a record of its own, and
   `id` is asked for each. Nothing on partitions that were added since the start. */
void klx_publisher_put_everywhere(struct klx_publisher *p, enum klx_topic topic,
                                  struct klx_event *e,
                                  struct klx_sv (*id)(struct klx_arena *a,
                                                      const struct klx_event *e,
                                                      enum klx_topic topic, int32_t partition));
/* The number of the batch that is being filled, and whether that one is committed. */
uint64_t klx_publisher_batch(const struct klx_publisher *p);
bool klx_publisher_has_committed(const struct klx_publisher *p, uint64_t batch);
/* The place where the watch `slot` (named in the state by `source`) resumes, in the transaction that holds what came before. A lazy one
   (a bookmark) does not cause a transaction by itself, but at most a minute later. */
void klx_publisher_checkpoint(struct klx_publisher *p, size_t slot, const char *source,
                              struct klx_sv resource_version, bool lazy);
void klx_publisher_end_turn(struct klx_publisher *p);
/* Commits what is there (at most wait_ms), then on_stopped. Not clean: a commit is still under way on its thread; the process must end
   without klx_publisher_free, and the next start finds out what became of it. */
void klx_publisher_stop(struct klx_publisher *p, int64_t wait_ms,
                        void (*on_stopped)(void *arg, bool clean), void *arg);
void klx_publisher_free(struct klx_publisher *p);
