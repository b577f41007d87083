/*
 * Time and randomness, from one place, so that tests can drive them.
 *
 * Wall time is microseconds since the Unix epoch, UTC; monotonic time is microseconds from an arbitrary start.
 */
#pragma once

#include <stdint.h>

struct klx_clock {
    int64_t (*wall_us)(struct klx_clock *c);
    int64_t (*mono_us)(struct klx_clock *c);
    uint64_t (*random)(struct klx_clock *c); /* uniform over all 64 bits */
};

/* The system's clock and getrandom(2). One for the process, never freed. */
struct klx_clock *klx_clock_real(void);

/* A clock that stands still until it is told to move. */
struct klx_clock_driven {
    struct klx_clock clock; /* first: pass &d->clock */
    int64_t now_wall_us;
    int64_t now_mono_us;
    uint64_t seed; /* of a splitmix64 generator */
};

void klx_clock_driven_init(struct klx_clock_driven *d, int64_t wall_us, uint64_t seed);
/* Moves both times on. */
void klx_clock_driven_advance(struct klx_clock_driven *d, int64_t us);
