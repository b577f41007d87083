/*
 * What a channel could not be told at once, until it can be told of it in one message.
 *
 * The surplus of a throttle (throttle.h): deliveries in the order they came in. klx_surplus_flush makes one of them: itself when there is but
 * one, else a digest, with a line for each incident (or, outside of incidents, each object and kind of event), the worst first and of those
 * the one with the most events. The digest's delivery holds the messages of all, so their records settle with it.
 *
 * Bounded by its owner: klx_surplus_n is what it looks at.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "sinks/core/delivery.h"

#define KLX_DIGEST_LINES_MAX 50
#define KLX_DIGEST_TEXT_BYTES_MAX 300

/* Zeroed is empty. */
struct klx_surplus {
    struct klx_delivery *first, *last;
    size_t n;
};

/* Takes the delivery. */
void klx_surplus_add(struct klx_surplus *s, struct klx_delivery *d);
/* Abandons what was read from partitions that belong to somebody else now. */
void klx_surplus_drop_revoked(struct klx_surplus *s);
/* Abandons all. */
void klx_surplus_release(struct klx_surplus *s);

/* Called for each delivery that the digest stands for, before it ends; `digest` is the digest's. */
typedef void (*klx_digested_fn)(void *arg, const struct klx_delivery *member,
                                const struct klx_delivery *digest);

/* All of it as one delivery, and empty; NULL when it was empty. */
struct klx_delivery *klx_surplus_flush(struct klx_surplus *s, int64_t mono_us, klx_digested_fn fn,
                                       void *arg);
