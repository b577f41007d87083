/*
 * The lane of one channel: its deliveries, each tried until every recipient has a final verdict.
 *
 *          push                    next of its key, and due                 no recipient is left
 *     ─────────────▶ WAITING ───────────────────────────────▶ SENDING ─────────────────────────────▶ outcome
 *                      ▲  │                                      │
 *                      │  └─▶ outcome: rejected by render,       │
 *                      │      given up                           │
 *                      └─────────────────────────────────────────┘
 *                        not final: it keeps its place, and waits
 *
 * As many sends are under way as the ops allow (concurrency), and never two of a key: what is of one incident (or, outside of incidents, of
 * one record key) goes out in order, and what is behind it waits (sinks/core/queue.h). A delivery is tried only at its recipients without a
 * final verdict.
 *
 * When the channel may be tried is health's to say: all of the lane waits for a backoff with full jitter, for as long as the other side
 * asked (Retry-After), and for a probe; a delivery of which some recipients have a final verdict waits alone. min_interval is between the
 * starts of sends; of a channel with a concurrency of one, from an answer to the next send. What failed often, while other deliveries
 * wait, lets them go first.
 *
 * A batch (batch_bytes_max) is gathered in order of arrival, rendered as it grows, and sent when it is full or its first delivery has
 * waited for batch_age_ms. Each payload counts a byte more than it has, for what stands between two. What has no final verdict keeps its
 * place and goes into the next one. One batch at a time is gathered, so a crash repeats those that were under way.
 *
 * The circuit: DESTINATION_BROKEN and CREDENTIAL_BROKEN open it, and the channel is tried at long intervals only, until somebody has
 * repaired it. Messages are kept meanwhile. Where there is an ops->probe, it is tried with that, and when the probe went well with one
 * message; with a message after three probes that did not, too, since a probe may be wrong. The first final verdict of a message closes it
 * (of a probe, when nothing waits). A refused credential holds all channels that use it (sinks/core/circuit.h). At the start a channel is
 * probed as well: this is said, and decides nothing.
 *
 * A delivery that was tried for give_up_after, or waited so long while nothing at all went through, is given up: its outcome has the last
 * verdict and `gave_up`.
 *
 * Nothing is called from inside klx_lane_push: the lane asks its owner for a wake-up (schedule), and acts in klx_lane_wake. Times are the
 * clock's, so tests drive them. The lane logs what an operator must know of the channel, once when it begins and once when it is over.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/clock.h"
#include "sinks/core/circuit.h"
#include "sinks/core/delivery.h"
#include "sinks/core/sink.h"

struct klx_lane;

/* What became of a message at one recipient: final, or given up. Borrowed for the call. */
struct klx_outcome {
    const struct klx_delivery *delivery;
    const struct klx_message *message; /* of the delivery, as the subscription */
    const struct klx_subscription_settings *subscription;
    const char *channel;
    struct klx_sv recipient; /* empty: the channel has but one */
    const struct klx_verdict *verdict;
    bool gave_up;
    unsigned attempts;  /* sends that held this recipient */
    unsigned ambiguous; /* those of them without an answer: it may have been told more than once */
    int64_t first_us;   /* wall time of the first and the last attempt; KLX_TIME_NONE without one */
    int64_t last_us;
};

/* Neither delivered nor accepted: a dead letter. */
bool klx_outcome_is_lost(const struct klx_outcome *o);

struct klx_lane_callbacks {
    /* Once for each recipient, before the lane ends the delivery. */
    void (*on_outcome)(void *arg, const struct klx_outcome *o);
    /* A delivery has left the lane, or a send has ended. */
    void (*on_change)(void *arg);
    /* Call klx_lane_wake in delay_ms; a later call replaces this one; -1: not at all. */
    void (*schedule)(void *arg, int64_t delay_ms);
    /* The handle of the incident's first message on this channel, for render and send; borrowed until the lane is next called. NULL, or
       empty: there is none. *ret_is_old, false before the call: as in klx_send. */
    struct klx_sv (*find_handle)(void *arg, const struct klx_delivery *d, bool *ret_is_old);
    /* MAY: before the first attempt. True: it is not to be sent after all; its owner has written why, and the lane ends it. */
    bool (*passes_over)(void *arg, const struct klx_delivery *d);
    void *arg;
};

struct klx_lane_options {
    const struct klx_sink_ops *ops;
    void *channel; /* of ops->open; the lane closes it */
    const char *name;
    struct klx_clock *clock;
    const struct klx_links *links;     /* for notices; NULL: none */
    const struct klx_wording *wording; /* the channel's; NULL: none */
    size_t queue_max;
    int64_t give_up_after_ms;
    /* NULL: the credential is the channel's own. `credential` names it, and is borrowed for klx_lane_new. */
    struct klx_circuits *circuits;
    struct klx_sv credential;
};

struct klx_lane *klx_lane_new(const struct klx_lane_options *o,
                              const struct klx_lane_callbacks *cb);
/* Other limits from now on. */
void klx_lane_limit(struct klx_lane *l, size_t queue_max, int64_t give_up_after_ms);
/* Cancels sends under way; deliveries that are left are abandoned. */
void klx_lane_free(struct klx_lane *l);
/* Takes the delivery. Goes past queue_max when it must: look at klx_lane_full before reading on. */
void klx_lane_push(struct klx_lane *l, struct klx_delivery *d);
void klx_lane_wake(struct klx_lane *l);
/* Probes an open circuit, or tries again, without waiting longer; not earlier than the other side asked for. */
void klx_lane_retry_now(struct klx_lane *l);
/* Abandons the deliveries of revoked partitions, but for those that are being sent: they end, and are not tried again. */
void klx_lane_drop_revoked(struct klx_lane *l);
/* Takes the oldest delivery out of the lane of whose key nothing is being sent, for whoever will deliver it otherwise; NULL: there is none.
   So its order is kept; what is left is behind a send that is under way. */
struct klx_delivery *klx_lane_take(struct klx_lane *l);
/* The first of the key of d that is in the lane, or NULL. */
const struct klx_delivery *klx_lane_first_like(const struct klx_lane *l,
                                               const struct klx_delivery *d);
/* Takes over what waits in `from`, a lane of the same channel with other settings in which nothing is under way, in its order. Recipients of
   the same name keep what became of them. */
void klx_lane_take_over(struct klx_lane *l, struct klx_lane *from);
/* Everything that waits is given up with `reason`, a code, as its verdict's. */
void klx_lane_give_up_all(struct klx_lane *l, const char *reason);
/* Held: no send begins, those under way end. For a while (a rebalance). */
void klx_lane_hold(struct klx_lane *l, bool held);
/* Nothing is sent any more; sends under way still end, and what is gathered of a batch is sent before, when the channel may be tried. */
void klx_lane_stop(struct klx_lane *l);
/* Sets the gauges that time alone changes. */
void klx_lane_look(struct klx_lane *l);
bool klx_lane_is_sending(const struct klx_lane *l);
bool klx_lane_full(const struct klx_lane *l);     /* queue_max deliveries or more */
bool klx_lane_has_room(const struct klx_lane *l); /* at most three quarters of that */
bool klx_lane_is_broken(const struct klx_lane *l);
/* For how long something waits and nothing was taken by the channel. */
int64_t klx_lane_stands_ms(const struct klx_lane *l);
size_t klx_lane_depth(const struct klx_lane *l);
/* The last verdict while the channel fails or is broken, and for how long it has been so; NULL: it is well. */
const struct klx_verdict *klx_lane_trouble(const struct klx_lane *l, int64_t *ret_ms);
/* Wall time until which the other side asked not to be tried; KLX_TIME_NONE: it did not. */
int64_t klx_lane_asked_until_us(const struct klx_lane *l);
const char *klx_lane_name(const struct klx_lane *l);
/* Appends "channel ops-slack: 3 waiting, well" or "…, broken since TIME: no_service (…)". */
void klx_lane_describe(const struct klx_lane *l, struct klx_buf *out);
