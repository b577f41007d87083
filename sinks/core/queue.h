/*
 * The deliveries of one channel that have not left it: in order for each key (incident), and the oldest key first.
 *
 *             push                next, take                     remove
 *      ─────────────▶ waiting ───────────────▶ under way ───────────────────────▶
 *                        ▲                          │
 *                        └────── put_back ──────────┘   at its old place; its key rests until then
 *
 * A key's deliveries are a chain: only the first of it that is not under way may be next, and as long as one of it is under way, none. So
 * nothing of an incident overtakes anything else of it, and an incident that rests delays no other. Only a batch takes several of a key:
 * `more` keeps the chain open to the same batch until it is sealed.
 *
 * Every call costs the logarithm of the number of keys. Does not own the deliveries; owns the keys. One loop, no locks.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sinks/core/delivery.h"

struct klx_queue;

struct klx_queue *klx_queue_new(void);
/* Every delivery must have been removed. */
void klx_queue_free(struct klx_queue *q);
void klx_queue_push(struct klx_queue *q, struct klx_delivery *d);
/* What may be taken now; NULL: nothing may. */
struct klx_delivery *klx_queue_next(struct klx_queue *q, int64_t now_us);
/* When klx_queue_next will have something, if nothing else happens: INT64_MIN: it has; INT64_MAX: never. */
int64_t klx_queue_due_us(const struct klx_queue *q);
/* d is what klx_queue_next has just returned. */
void klx_queue_take(struct klx_queue *q, struct klx_delivery *d, bool more);
/* The batch of d is complete. */
void klx_queue_seal(struct klx_queue *q, const struct klx_delivery *d);
/* Of one that is under way. back: its key goes behind all that wait now. */
void klx_queue_put_back(struct klx_queue *q, struct klx_delivery *d, int64_t not_before_us,
                        bool back);
/* Whether it is under way or not; it is the caller's then. */
void klx_queue_remove(struct klx_queue *q, struct klx_delivery *d);
/* Something of its key is under way: itself, or what is before it. */
bool klx_queue_is_behind(const struct klx_delivery *d);
/* The first of the key of d that has not left, d itself or another; NULL: there is none. */
const struct klx_delivery *klx_queue_first_like(const struct klx_queue *q,
                                                const struct klx_delivery *d);
/* No key rests any longer. */
void klx_queue_wake_all(struct klx_queue *q);
/* By arrival, those under way too; goes on by klx_delivery.next. */
struct klx_delivery *klx_queue_oldest(const struct klx_queue *q);
size_t klx_queue_n(const struct klx_queue *q);
