/*
 * Parking, for a whole process: the circuits on klaxon.control, and what is parked on the partitions of klaxon.retry that are ours.
 *
 *   klaxon.control ─▶ klx_parking_control ─▶ the gates of the channels (parker.h)
 *   klaxon.retry   ─▶ klx_parking_record  ─▶ deliver ─▶ … ─▶ klx_parking_done ─▶ store, seek, and the circuit on klaxon.control
 *
 * After partitions were given (klx_parking_assigned) nothing may be handed out before klx_parking_known: klaxon.control must have been
 * followed to its end, so that what a predecessor did is not done again, and the ends of klaxon.retry must be known to the gates.
 *
 * The owner of a partition writes, for each channel on it: {open, drainedTo} once a second while it gets on, {closed, drainedTo} when all is
 * delivered. Whoever else writes the circuit in between is corrected.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/record.h"
#include "sinks/core/parking/backlog.h"
#include "sinks/core/parking/parked.h"
#include "sinks/core/parking/parker.h"

#define KLX_PARKING_LOOK_MS 1000

struct klx_parking;

struct klx_parking_options {
    struct klx_clock *clock;
    const char *sink; /* borrowed, as the topics */
    const char *retry_topic, *control_topic;
    size_t hold_max; /* parked deliveries of one channel in memory */
    /* As klx_producer_place, klx_consumer_seek and _store, of klaxon.retry. */
    int (*place)(void *arg, const struct klx_record *r, klx_placed_fn placed, void *placed_arg,
                 struct klx_error *e);
    void (*seek)(void *arg, int32_t partition, int64_t offset);
    void (*store)(void *arg, int32_t partition, int64_t next_offset);
    /* To be delivered now; klx_parking_done(item) when all that follows from it is done. Borrowed for the call. */
    void (*deliver)(void *arg, const struct klx_parked *parked, struct klx_backlog_item *item);
    /* It is for this kind of sink, and cannot be read: a dead letter. */
    void (*unreadable)(void *arg, const struct klx_record *r, const char *why,
                       struct klx_backlog_item *item);
    void *arg;
};

struct klx_parking *klx_parking_new(const struct klx_parking_options *o);
/* Frees the parkers too; what they had not written is abandoned, and then every item must be done. The producer must be gone. */
void klx_parking_free(struct klx_parking *p);
/* Takes the parker of a channel that is open here; it hears of its circuit. Another one of the same channel must be closed. */
void klx_parking_add(struct klx_parking *p, const char *channel, struct klx_parker *parker);

/* Another hold_max from now on; what is in memory stays there. */
void klx_parking_limit(struct klx_parking *p, size_t hold_max);
void klx_parking_assigned(struct klx_parking *p, int32_t partition);
void klx_parking_revoked(struct klx_parking *p, int32_t partition);
/* All partitions of the process are others' now, or new ones were given: the gates know nothing. */
void klx_parking_given(struct klx_parking *p);
void klx_parking_known(struct klx_parking *p, const int64_t *ends, size_t n);
/* A record of klaxon.control; value.p NULL: the key was deleted. False: it is not about a circuit. */
bool klx_parking_control(struct klx_parking *p, struct klx_sv key, struct klx_sv value);
void klx_parking_record(struct klx_parking *p, const struct klx_record *r);
void klx_parking_end(struct klx_parking *p, int32_t partition, int64_t next);
void klx_parking_done(struct klx_parking *p, struct klx_backlog_item *item);
/* Every KLX_PARKING_LOOK_MS. */
void klx_parking_look(struct klx_parking *p);
/* Nothing is stored or written any more; what is not done is a successor's. */
void klx_parking_close(struct klx_parking *p);
/* Parked deliveries in hand. */
size_t klx_parking_taken(const struct klx_parking *p);
