/*
 * Noise control: what of all that a channel could be told it is told, and when. It stands between route and outlet.
 *
 *                        an end whose beginning was told ──────────────────────────────┐
 *   message, targets ─▶ older than what was told? ─▶ silence ─▶ quiet hours ─▶ first escalation ─▶ throttle ─▶ deliver
 *                          │ superseded, repeated     │ silenced   │ quiet_hours   │ escalation      │
 *                          ▼                          ▼            ▼               ▼                 └▶ surplus ─▶ a digest, when there is
 *                        a receipt, and in the incident's state what is still to be told                          budget again (digested)
 *
 *   time, acknowledgements, ends of silences and hours ─▶ late news, reminders, escalations ─▶ throttle ─▶ deliver
 *
 * - An incident is one message: the lane asks for its handle (klx_noise_handle), the outcome brings it. While a newer update waits behind
 *   it, an older one is passed over (klx_noise_passes_over); never an opening or an end.
 * - The end of an incident is told when anything of it was, whatever the hour and the silence; and is suppressed when everything was.
 * - Nothing is suppressed without a receipt; the record settles when Kafka has it, and of what a digest holds when the digest is done.
 * - What time makes due is this replica's only while it has the partition that the incident's events come on, and has read klaxon.state.
 * - A channel that takes batches (Log Analytics) is a store: it is told everything.
 *
 * Bounded: KLX_SURPLUS_MAX deliveries a channel wait for budget (klx_noise_full asks for reading to pause; their messages count in the pool),
 * incidents and silences as their headers say. Nothing is called back from inside of klx_noise_control and klx_noise_state.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "schema/topics.h"
#include "sinks/core/lane.h"
#include "sinks/core/message.h"
#include "sinks/core/receipt.h"
#include "sinks/core/route.h"
#include "sinks/core/settings.h"

#define KLX_SURPLUS_MAX 5000

struct klx_noise;

/* The configuration that is in use. Borrowed until the next one. */
struct klx_noise_use {
    const struct klx_sinks_settings *settings;
    struct klx_edition *edition; /* for messages that are made of states; NULL: the settings stay */
    struct klx_route *route;
};

struct klx_noise_options {
    struct klx_clock *clock;
    const struct klx_sink_ops *ops;
    const struct klx_topic_names *topics;
    struct klx_noise_use use;
    struct klx_message_pool *pool; /* borrowed, for messages that are made of states */
    /* Takes the delivery; `channel` is the index of the settings. */
    void (*deliver)(void *arg, size_t channel, struct klx_delivery *d);
    /* Write a receipt, and keep its message until Kafka has it. */
    void (*suppressed)(void *arg, const struct klx_suppressed *s);
    /* Write a record of klaxon.state or klaxon.control (value.p NULL: a tombstone), and keep m, which may be NULL, until Kafka has it. */
    void (*write)(void *arg, enum klx_topic topic, struct klx_message *m, struct klx_sv key,
                  struct klx_sv value);
    /* Call klx_noise_wake in delay_ms; a later call replaces this one; -1: not at all. */
    void (*schedule)(void *arg, int64_t delay_ms);
    void *arg;
};

struct klx_noise *klx_noise_new(const struct klx_noise_options *o);
/* Channels go by their names: what is held for one stays held. What is held for one that is not there any more is delivered before. */
void klx_noise_reload(struct klx_noise *n, const struct klx_noise_use *use);
/* What waits is abandoned. */
void klx_noise_free(struct klx_noise *n);

/* Records of klaxon.control and klaxon.state, as klx_follow hands them out. */
void klx_noise_control(struct klx_noise *n, struct klx_sv key, struct klx_sv value);
void klx_noise_state(struct klx_noise *n, struct klx_sv key, struct klx_sv value);
/* Both topics have been read to where they ended when the partitions were given: what is due may be told. */
void klx_noise_ready(struct klx_noise *n);
/* Partitions of topics with events. After a revocation by the tracker; what waits of it is abandoned. */
void klx_noise_given(struct klx_noise *n, enum klx_topic topic, int32_t partition);
void klx_noise_revoked(struct klx_noise *n, enum klx_topic topic, int32_t partition);

/* Delivers, holds or suppresses, for each target. */
void klx_noise_take(struct klx_noise *n, enum klx_topic topic, struct klx_message *m,
                    const struct klx_target *targets, size_t targets_n);
/* Of a lane: one recipient has its outcome. */
void klx_noise_outcome(struct klx_noise *n, const struct klx_outcome *o);
/* A delivery is on klaxon.retry, and told from there, perhaps by another process, which does not know what a digest covers: that counts as
   told. Before klx_delivery_done. */
void klx_noise_parked(struct klx_noise *n, const char *channel, const struct klx_delivery *d);
/* Of a lane, before a delivery's first attempt: true, it is not to be sent; its receipt is written. */
bool klx_noise_passes_over(struct klx_noise *n, const char *channel, const struct klx_delivery *d);
/* Of a lane: the handle of the incident's first message; borrowed until the next call. *ret_is_old: the channel was told of a higher number
   of the incident, so this one, which somebody redrove or which is told again after a crash, must not take the message's place. */
struct klx_sv klx_noise_handle(const struct klx_noise *n, const char *channel,
                               const struct klx_delivery *d, bool *ret_is_old);
void klx_noise_wake(struct klx_noise *n);
/* Nothing is delivered any more. */
void klx_noise_stop(struct klx_noise *n);

bool klx_noise_full(const struct klx_noise *n);
bool klx_noise_has_room(const struct klx_noise *n);
/* Sets the gauges. */
void klx_noise_look(struct klx_noise *n);
/* Lines for /readyz: silences in force, what is held. */
void klx_noise_describe(const struct klx_noise *n, struct klx_buf *out);
