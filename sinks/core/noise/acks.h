/*
 * Acknowledgements: incidents that somebody has taken in hand. They end reminders and escalations, not news.
 *
 *     klaxon.control   key ack/<incident>   value {"by":"ada","at":"2026-…","comment":"…"}; a tombstone takes it back
 *
 * Only that there is one is kept here. Bounded: the oldest are forgotten first.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/sv.h"

#define KLX_ACK_KEY_PREFIX "ack/"
#define KLX_ACKS_MAX 50000

struct klx_acks;

struct klx_acks *klx_acks_new(void);
void klx_acks_free(struct klx_acks *a);
/* A record of klaxon.control. False: it is about something else. */
bool klx_acks_put(struct klx_acks *a, struct klx_sv key, struct klx_sv value);
bool klx_acks_has(const struct klx_acks *a, struct klx_sv incident);
size_t klx_acks_n(const struct klx_acks *a);
