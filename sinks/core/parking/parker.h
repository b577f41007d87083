/*
 * What is parked of one channel by this replica: the gate, what is held at it, and what is on its way to klaxon.retry.
 *
 *                       DIRECT                                    opened            acknowledged
 *     klx_parker_take ─────────▶ false: send it           held ──────────▶ writing ─────────────▶ done: its record settles
 *                       HOLD, RETRY: true, it is mine ──▶   │                 │ no such topic, not allowed, and nothing was parked yet
 *                                                           └───▶ give_back ◀─┘
 *
 * Deliveries are written in the order in which they came. What Kafka refuses is written again with everything behind it, after a pause; what
 * is too large for Kafka is told as lost. The record of the circuit on klaxon.control is acknowledged before the first delivery is written.
 *
 * Nothing is called back from inside of a call but give_back and lost; times are the clock's.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/io/producer.h"
#include "sinks/core/delivery.h"
#include "sinks/core/parking/gate.h"
#include "sinks/core/parking/marks.h"

#define KLX_PARKER_HOLD_MS 2000 /* for what is missing of drained-to */

struct klx_parker;

struct klx_parker_options {
    struct klx_clock *clock;
    const char *channel; /* copied */
    const char *sink;    /* borrowed, as the topics */
    const char *retry_topic, *control_topic;
    size_t hold_max; /* deliveries */
    /* Of the channel: the names that deliveries have verdicts for. */
    const struct klx_sv *recipients;
    size_t recipients_n;
    /* As klx_producer_place. */
    int (*place)(void *arg, const struct klx_record *r, klx_placed_fn placed, void *placed_arg,
                 struct klx_error *e);
    /* To be sent from here, in order. Takes it. */
    void (*give_back)(void *arg, struct klx_delivery *d);
    /* It cannot be parked for good: its outcome is to be told. Takes it. */
    void (*lost)(void *arg, struct klx_delivery *d, const char *why);
    /* MAY: it is on klaxon.retry, and done here after the call. */
    void (*parked)(void *arg, const struct klx_delivery *d);
    /* What is held or being written has become less, or the way is another one. */
    void (*on_change)(void *arg);
    /* Call klx_parker_wake in delay_ms; a later call replaces this one. */
    void (*schedule)(void *arg, int64_t delay_ms);
    void *arg;
};

struct klx_parker *klx_parker_new(const struct klx_parker_options *o);
/* Another hold_max from now on. */
void klx_parker_limit(struct klx_parker *p, size_t hold_max);
/* Borrowed, as at the start: the channel is configured differently. */
void klx_parker_set_recipients(struct klx_parker *p, const struct klx_sv *names, size_t n);
/* There is no such channel any more: what is not on its way is given back, and what is refused will be. False: something is on its way; ask
   again when it has changed. True: it is closed. */
bool klx_parker_retire(struct klx_parker *p);
/* The channel is about to be closed: what is not on its way is abandoned, and nothing but answers comes any more. */
void klx_parker_close(struct klx_parker *p);
/* Nothing may answer any more: the producer is gone. */
void klx_parker_free(struct klx_parker *p);

/* A delivery that is to go out. False: send it. True: it was taken. */
bool klx_parker_take(struct klx_parker *p, struct klx_delivery *d);
/* The channel keeps failing, or is too slow: from now on its deliveries are parked. False: not now (there is no topic, or it is parked
   already). `why` is the last verdict, a final one when nothing failed. True: klx_parker_put_first is next. */
bool klx_parker_open(struct klx_parker *p, const struct klx_verdict *why, int64_t not_before_us);
/* What was to be sent from here, in order, by `next`: it goes before what is held. Once after each klx_parker_open. */
void klx_parker_put_first(struct klx_parker *p, struct klx_delivery *first);
void klx_parker_wake(struct klx_parker *p);

/* Partitions were given; later: what is known of them (see gate.h). */
void klx_parker_given(struct klx_parker *p);
void klx_parker_known(struct klx_parker *p, const int64_t *ends, size_t n);
/* The circuit on klaxon.control, by whomever it was written; NULL: it was deleted. */
void klx_parker_circuit(struct klx_parker *p, const struct klx_circuit_mark *m);
void klx_parker_drop_revoked(struct klx_parker *p);

enum klx_way klx_parker_way(const struct klx_parker *p);
size_t klx_parker_depth(const struct klx_parker *p); /* held or being written */
bool klx_parker_is_writing(
    const struct klx_parker *p); /* something, the circuit too, is not acknowledged */
/* Appends "; parked on klaxon.retry since TIME: …", or nothing. */
void klx_parker_describe(const struct klx_parker *p, struct klx_buf *out);
