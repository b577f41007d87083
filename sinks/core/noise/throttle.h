/*
 * How many messages a channel may get: a token bucket, so that in any stretch of `per` there are at most `messages` of them.
 *
 *     throttle: { messages: 20, per: 1m, burst: 10 }
 *
 * `burst` of them may come at once; the others are spread evenly, one in per / (messages − burst). So a flood is told at once, and people hear
 * from it at a steady pace. burst is less than messages, but where there is only one. Pure: embedded by value, owns nothing.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct klx_throttle {
    int64_t every_us; /* 0: no limit */
    int64_t slack_us; /* what a full bucket holds, but for one */
    int64_t full_us;  /* when the bucket will be full again */
};

/* messages 0: no limit. burst 0: half of the messages, at least one. Starts full. */
void klx_throttle_init(struct klx_throttle *t, int64_t messages, int64_t per_us, int64_t burst);
/* Takes one, if there is one. */
bool klx_throttle_take(struct klx_throttle *t, int64_t now_us);
/* When there will be one: now_us, or later. */
int64_t klx_throttle_next_us(const struct klx_throttle *t, int64_t now_us);
