/*
 * Exponential backoff with full jitter: the n-th delay is uniform in [0, min(cap, base * 2^n)], but never under `floor`.
 */
#pragma once

#include <stdint.h>

#include "lib/base/clock.h"

struct klx_backoff {
    int64_t base_ms;
    int64_t cap_ms;
    int64_t floor_ms;
    unsigned attempt; /* failures since the last reset */
};

void klx_backoff_init(struct klx_backoff *b, int64_t floor_ms, int64_t base_ms, int64_t cap_ms);
/* The next delay in ms; counts an attempt. */
int64_t klx_backoff_next(struct klx_backoff *b, struct klx_clock *clock);
/* As klx_backoff_next, but not under what the other side asked for (Retry-After), whatever the cap. */
int64_t klx_backoff_next_after(struct klx_backoff *b, struct klx_clock *clock,
                               int64_t retry_after_ms);
void klx_backoff_reset(struct klx_backoff *b);
