/*
 * The outlet of one channel: the last stretch of a delivery's way, from "this channel is to be told" to an outcome for each recipient.
 *
 *                ┌─▶ lane ─▶ on_outcome
 *   push ─▶ gate ┤
 *                └─▶ parker ─▶ klaxon.retry ─▶ (the owner of its partition) push_parked ─▶ lane ─▶ on_outcome
 *
 * An outlet opens its channel, owns its lane and wakes it by a timer on the loop. What is pushed comes back as outcomes, is parked, or is
 * abandoned (a revoked partition, the end of the process). Nothing is called back from inside klx_outlet_push.
 *
 * What waits in the lane is parked when the channel is broken, has failed for park_after, or, with other channels beside it, has had a full
 * queue for a second, or one that is three quarters full and of which nothing was taken for a second, so that nobody waits for it: it goes
 * to klaxon.retry in its order, and what comes later follows (sinks/core/parking/gate.h). Only what has the key of a send that is under way
 * waits in the lane until that has ended, which may take as long as the channel's timeout, and is parked then. After the process stood still
 * for seconds nothing is sent until a heartbeat would have told that the partitions are others' now. Without klaxon.retry all stays where it
 * is, and a full queue stops reading.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/error.h"
#include "lib/io/producer.h"
#include "schema/topics.h"
#include "sinks/core/lane.h"
#include "sinks/core/settings.h"
#include "sinks/core/sink.h"

struct klx_edition;
struct klx_outlet;
struct klx_parking;

struct klx_outlet_options {
    struct klx_sink_env env;
    const struct klx_sink_ops *ops;
    const struct klx_channel_settings *channel; /* borrowed */
    struct klx_edition *edition;   /* of channel and links: a reference is taken; NULL: they stay */
    const struct klx_links *links; /* for notices; NULL: none */
    size_t queue_max;
    int64_t give_up_after_ms;
    struct klx_circuits *circuits; /* of the process */
    bool alone;                    /* there is no other channel that would wait for this one */
    int64_t park_after_ms;
    struct klx_parking *parking; /* NULL: nothing is parked; takes the outlet's parker */
    const struct klx_topic_names *topics;
    /* As klx_producer_place. */
    int (*place)(void *place_arg, const struct klx_record *r, klx_placed_fn placed,
                 void *placed_arg, struct klx_error *e);
    void *place_arg;
    /* As those of a lane. */
    void (*on_outcome)(void *arg, const struct klx_outcome *o);
    void (*on_change)(void *arg);
    /* As those of a lane, with the channel's name. */
    struct klx_sv (*find_handle)(void *arg, const char *channel, const struct klx_delivery *d,
                                 bool *ret_is_old);
    bool (*passes_over)(void *arg, const char *channel, const struct klx_delivery *d);
    /* As that of a parker. */
    void (*on_parked)(void *arg, const char *channel, const struct klx_delivery *d);
    void *arg;
};

/* Opens the channel; fails with its name and words. */
int klx_outlet_new(const struct klx_outlet_options *o, struct klx_outlet **ret,
                   struct klx_error *e) KLX_MUST_CHECK;
/* The same channel by another configuration (channel, links, edition of `o`): prepare opens it and changes nothing else, and what follows is
   one of the other two. After the commit nothing more is sent by the old one; when its sends have ended, what waits goes on with the new
   one, in its order, and nobody who has been told is told again. */
int klx_outlet_prepare(struct klx_outlet *t, const struct klx_outlet_options *o,
                       struct klx_error *e) KLX_MUST_CHECK;
bool klx_outlet_commit(struct klx_outlet *t); /* false: nothing was prepared */
void klx_outlet_cancel(struct klx_outlet *t); /* nothing when nothing is prepared */
/* queue_max, give_up_after_ms, park_after_ms and alone of `o` hold from now on. */
void klx_outlet_limit(struct klx_outlet *t, const struct klx_outlet_options *o);
/* There is no such channel any more: sends under way end, what waits is given up ("channel_removed"), then on_gone, from which it may be
   freed. Nothing may be pushed any more. */
void klx_outlet_remove(struct klx_outlet *t, void (*on_gone)(void *arg, struct klx_outlet *t),
                       void *arg);
/* The configuration that it is by, or is going to be by. */
const struct klx_channel_settings *klx_outlet_settings(const struct klx_outlet *t);
/* Closes the channel: a send under way is cancelled, deliveries that are left are abandoned. */
void klx_outlet_free(struct klx_outlet *t);
/* The names that deliveries have verdicts for. */
size_t klx_outlet_recipients(const struct klx_outlet *t, const struct klx_sv **ret);
/* Takes the delivery. Goes past queue_max when it must: look at klx_outlet_full before reading on. */
void klx_outlet_push(struct klx_outlet *t, struct klx_delivery *d);
/* One that was read from klaxon.retry. Takes it. */
void klx_outlet_push_parked(struct klx_outlet *t, struct klx_delivery *d);
/* Time has passed: looks whether the channel should be parked, and sets the gauges that time alone changes. */
void klx_outlet_look(struct klx_outlet *t);
/* As klx_lane_hold. */
void klx_outlet_hold(struct klx_outlet *t, bool held);
/* Parks what waits, since the partitions go to somebody else. */
void klx_outlet_park_rest(struct klx_outlet *t);
/* Something is on its way to klaxon.retry. */
bool klx_outlet_is_parking(const struct klx_outlet *t);
void klx_outlet_retry_now(struct klx_outlet *t);
void klx_outlet_drop_revoked(struct klx_outlet *t);
/* Nothing is sent any more; a send under way still ends. */
void klx_outlet_stop(struct klx_outlet *t);
bool klx_outlet_is_sending(const struct klx_outlet *t);
bool klx_outlet_full(const struct klx_outlet *t);
bool klx_outlet_has_room(const struct klx_outlet *t);
bool klx_outlet_is_broken(const struct klx_outlet *t);
size_t klx_outlet_depth(const struct klx_outlet *t);
const char *klx_outlet_name(const struct klx_outlet *t);
/* Appends the channel's line for /readyz. */
void klx_outlet_describe(const struct klx_outlet *t, struct klx_buf *out);
