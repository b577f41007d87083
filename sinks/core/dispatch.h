/*
 * From a record to its settling, and the brake on reading.
 *
 *   record ─▶ message ─▶ route ─▶ a lane for each channel ─▶ outcome ─▶ ledger (receipt, dead letter) ─▶ acknowledged
 *                │                                                                                        │
 *                └─ no event: a dead letter                    the settled prefix moves (tracker) ◀───────┘
 *
 * Everything is bounded: deliveries per channel, bytes of messages, records in the ledger, and what is told ahead of the prefix. When one
 * of them is full the owner is asked to pause reading, and to go on when there is room again (three quarters), so a slow channel delays no
 * other while its queue has room; and with klaxon.retry a channel that fails, or is too slow for the others, is parked there (outlet.h).
 *
 * Start: new. Stop: klx_dispatch_stop (nothing is sent any more, sends under way end) → klx_dispatch_close (channels are closed) → the
 * producer ends, which still answers → klx_dispatch_flush → the consumer ends → free. What is not done by then is not settled.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/error.h"
#include "lib/base/record.h"
#include "lib/io/http.h"
#include "lib/io/loop.h"
#include "lib/io/producer.h"
#include "schema/topics.h"
#include "sinks/core/settings.h"
#include "sinks/core/tracker.h"

#define KLX_DISPATCH_BYTES_MAX (16u << 20) /* of messages under way */

struct klx_dispatch;
struct klx_edition;

struct klx_dispatch_options {
    struct klx_sink_env env;
    const struct klx_sink_ops *ops;
    const struct klx_topic_names *topics;
    const struct klx_sinks_settings *settings; /* borrowed, as the topics */
    struct klx_edition
        *edition; /* that the settings are of: references are taken; NULL: they stay */
    /* Of the consumer. */
    void (*pause)(void *arg, bool paused);
    klx_tracker_store_fn store;
    /* Of the producer: klx_producer_send. */
    int (*produce)(void *arg, const struct klx_record *r, klx_produced_fn done, void *done_arg,
                   struct klx_error *e);
    /* Parking: klx_producer_place and klx_consumer_seek of klaxon.retry. NULL: nothing is parked. */
    int (*place)(void *arg, const struct klx_record *r, klx_placed_fn placed, void *placed_arg,
                 struct klx_error *e);
    void (*seek)(void *arg, const char *topic, int32_t partition, int64_t offset);
    /* Partitions were given: follow klaxon.control to its end and ask for the ends of klaxon.retry, then call klx_dispatch_parked_known. The
       records of the partitions wait for it. */
    void (*ask_parked)(void *arg);
    void *arg;
};

/* Opens the channels; fails with the channel's name and words. */
int klx_dispatch_new(const struct klx_dispatch_options *o, struct klx_dispatch **ret,
                     struct klx_error *e) KLX_MUST_CHECK;
/* The same for another configuration, from the next record on: channels are added, changed and removed, each by itself (outlet.h), and one
   that is configured as before notices nothing. What is under way ends by the configuration it began with. On an error nothing has changed. `queue` and `give_up_after` stay those of the start. Ask for the
   topics again. */
int klx_dispatch_reload(struct klx_dispatch *d, const struct klx_sinks_settings *settings,
                        struct klx_edition *edition, struct klx_error *e) KLX_MUST_CHECK;
/* The topics that some subscription reads for a channel of this process; the result is their number. */
size_t klx_dispatch_topics(const struct klx_dispatch *d, const char *ret[static KLX_TOPICS_N]);
/* Partitions of topics with events are ours; their records come after klx_dispatch_know. */
void klx_dispatch_given(struct klx_dispatch *d, const char *topic, int32_t partition);
/* A record of klaxon.state (sinks/core/memory.h). */
void klx_dispatch_state(struct klx_dispatch *d, struct klx_sv key, struct klx_sv value);
/* klaxon.control and klaxon.state have been read since the partitions were given: what others have told is known. */
void klx_dispatch_know(struct klx_dispatch *d);
/* The record is borrowed for the call. */
void klx_dispatch_record(struct klx_dispatch *d, const struct klx_record *r);
/* As the consumer tells; for all topics. */
void klx_dispatch_assigned(struct klx_dispatch *d, const char *topic, int32_t partition);
void klx_dispatch_end(struct klx_dispatch *d, const char *topic, int32_t partition, int64_t next);
/* The answer to ask_parked. n = 0: there is no klaxon.retry, or no klaxon.control, so nothing is parked. */
void klx_dispatch_parked_known(struct klx_dispatch *d, const int64_t *ends, size_t n);
/* A record of klaxon.control. */
void klx_dispatch_control(struct klx_dispatch *d, struct klx_sv key, struct klx_sv value);
/* Drops what waits of the partition; what is being sent ends, and stores nothing. */
void klx_dispatch_revoke(struct klx_dispatch *d, const char *topic, int32_t partition);
/* The group wants the partitions back. No send begins, those under way end, what waits for a slow channel is parked, so that others are not
   told twice, and what is written of all that is waited for; then, or after wait_ms, everything that is settled is stored and on_drained is
   called, once; klx_dispatch_stop takes its place. klx_dispatch_resume when the
   partitions are gone. */
void klx_dispatch_drain(struct klx_dispatch *d, int64_t wait_ms, void (*on_drained)(void *arg),
                        void *arg);
void klx_dispatch_resume(struct klx_dispatch *d);
/* Tries failing and broken channels now: somebody has repaired them. */
void klx_dispatch_retry_now(struct klx_dispatch *d);
/* Lines for /readyz, one a channel. */
void klx_dispatch_describe(const struct klx_dispatch *d, struct klx_buf *out);
/* on_idle: no send is under way any more, or wait_ms have passed. Once. */
void klx_dispatch_stop(struct klx_dispatch *d, int64_t wait_ms, void (*on_idle)(void *arg),
                       void *arg);
/* What waits is given up to the next start: klx_dispatch_say_again says how much of it was told already. */
void klx_dispatch_close(struct klx_dispatch *d);
/* Stores the prefixes that moved. */
void klx_dispatch_flush(struct klx_dispatch *d);
/* Logs how many events will be told again, and which channel holds them back. At the end, when all receipts are written: of a rebalance
   it is said by itself. */
void klx_dispatch_say_again(struct klx_dispatch *d);
/* The producer must be gone: nothing may answer any more. */
void klx_dispatch_free(struct klx_dispatch *d);
