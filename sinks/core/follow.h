/*
 * Follows a topic of current values (klaxon.control, klaxon.state): every record by key and value, from the beginning, for as long as the
 * process lives.
 *
 * It keeps nothing itself. Of a key that was written again and not compacted yet, all values come, in the order that they were written
 * in: the last one counts. What collectors write to klaxon.state inside of a transaction comes too, committed or not: an open transaction
 * would hold up what sinks wrote after it, and its keys are not ours. So follow only keys that are written outside of transactions.
 *
 *     new ─▶ on_record … on_record ─▶ on_caught_up ─▶ on_record …          until klx_follow_free
 *                                        └ once: all that was in the topic at the start has been handed out
 *
 * klx_follow_sync is the same for a later time: after a rebalance, it says when all has been read that others had written until then.
 *
 * Trouble (Kafka away, no such topic) is told and tried again for ever; on_caught_up and what waits for a sync simply come late.
 */
#pragma once

#include <stdbool.h>

#include "lib/base/error.h"
#include "lib/base/sv.h"
#include "lib/io/consumer.h"
#include "lib/io/loop.h"

struct klx_follow;

struct klx_follow_callbacks {
    /* Borrowed for the call. value.p NULL: a tombstone, the key is deleted. */
    void (*on_record)(void *arg, struct klx_sv key, struct klx_sv value);
    void (*on_caught_up)(void *arg); /* may be NULL */
    /* Said at most every 5 s, as of a consumer. */
    void (*on_trouble)(void *arg, const char *what);
    /* The topic does not exist, or may not be read, so on_caught_up and syncs wait in vain until somebody acts. */
    void (*on_denied)(void *arg, const char *why); /* may be NULL */
    void *arg;
};

/* Copies the topic's name. -EINVAL: the `kafka:` properties are not valid. */
int klx_follow_new(struct klx_loop *l, const struct klx_kafka_config *kafka, const char *topic,
                   const struct klx_follow_callbacks *cb, struct klx_follow **ret,
                   struct klx_error *e) KLX_MUST_CHECK;
/* done(arg), once and never from inside this call: all that was in the topic at the time of the call has been handed out. Any number may be
   waiting; a failure is tried again and told as trouble. */
void klx_follow_sync(struct klx_follow *f, void (*done)(void *arg), void *arg);
/* Those who wait for a sync with this arg are not called any more. */
void klx_follow_forget(struct klx_follow *f, const void *arg);
bool klx_follow_is_caught_up(const struct klx_follow *f);
/* From any callback but never inside _new; nothing is called any more. */
void klx_follow_free(struct klx_follow *f);
