/*
 * A delivery: what one channel is to be told, from the routing of an event until the last recipient has a verdict.
 *
 * Noise makes deliveries, a channel's outlet takes them, its lane sends them, parking writes them to klaxon.retry and makes them again.
 * Whoever holds one owns it, and links it by `next`. It ends in one of two ways: klx_delivery_done, when all that follows from it is done
 * or written, or klx_delivery_abandon, when somebody else will do it (a revoked partition, the end of the process): the records of its
 * messages are not settled then, and Kafka gives them again.
 *
 * It holds a reference to its message, and for a digest to each message that the digest stands for, so that their records settle with it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/hash.h"
#include "sinks/core/message.h"
#include "sinks/core/settings.h"
#include "sinks/core/sink.h"

/* What has become of it at one recipient. */
struct klx_delivery_recipient {
    uint64_t name; /* a hash of it: a reload may give the channel other recipients */
    bool final;
    unsigned attempts, ambiguous;
    struct klx_verdict last;
};

struct klx_delivery {
    struct klx_delivery *next;   /* of whoever owns it */
    struct klx_message *message; /* a reference; of a digest: the last of its worst events */
    const struct klx_subscription_settings *subscription;
    enum klx_notice_reason reason;
    enum klx_severity severity; /* after the subscription's raise or lower */
    struct klx_digest *digest;  /* owned; NULL but for KLX_NOTICE_DIGEST */
    uint32_t repeat; /* the n-th reminder or digest of the same event: each has an id of its own */
    int64_t queued_us; /* monotonic: when it began to wait for the channel */

    /* What else a digest tells of: references. klx_delivery_cover adds to them. */
    struct klx_message **covered;
    size_t covered_n, covered_room;

    /* From the first attempt on; of a delivery that was tried before it was parked, from the start. */
    struct klx_delivery_recipient *recipients; /* as many as the channel has, NULL before */
    size_t recipients_n, recipients_left;
    int64_t first_us,
        last_us; /* wall time of the first and the last attempt; KLX_TIME_NONE without one */
    int64_t first_mono_us;  /* set by whoever sets first_us */
    int64_t parked_mono_us; /* it was read from klaxon.retry: since when it is parked; else 0 */

    /* Of the queue that it is in (sinks/core/queue.h). */
    struct klx_delivery *prev, *chain_prev, *chain_next;
    struct klx_queue_chain *chain;
    uint64_t arrival;
    bool under_way;
};

/* Takes a reference to the message. NEWS, with the event's own severity. */
struct klx_delivery *klx_delivery_new(struct klx_message *m,
                                      const struct klx_subscription_settings *s, int64_t now_us);
/* Makes it a digest. Copies what `digest` points to. */
void klx_delivery_set_digest(struct klx_delivery *d, const struct klx_digest *digest);
/* Takes a reference: the message's record settles with this delivery. */
void klx_delivery_cover(struct klx_delivery *d, struct klx_message *m);
/* What must stay in order within a channel: the event's incident, or else the key of its record. Empty: it has neither. */
struct klx_sv klx_delivery_key(const struct klx_delivery *d);
/* What the channel's other side may tell a repetition by: the same for every attempt, also of another process. */
void klx_delivery_id(const struct klx_delivery *d, struct klx_sv channel,
                     char out[static KLX_HASH_TEXT_BYTES]);
/* Makes its recipients, if it has none. */
void klx_delivery_begin(struct klx_delivery *d, const struct klx_sv *names, size_t n);
/* The channel has these recipients now: each keeps what became of it, who is new has not been tried. recipients_left may be 0. */
void klx_delivery_rename(struct klx_delivery *d, const struct klx_sv *names, size_t n);
/* The same for a delivery that is not done: when nobody is left to be told, all are told. */
void klx_delivery_fit(struct klx_delivery *d, const struct klx_sv *names, size_t n);
/* Everything of it was read from partitions that belong to somebody else now. */
bool klx_delivery_is_revoked(const struct klx_delivery *d);
/* Both free it; NULL is nothing to do. */
void klx_delivery_done(struct klx_delivery *d);
void klx_delivery_abandon(struct klx_delivery *d);
