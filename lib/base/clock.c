#include "lib/base/clock.h"

#include <sys/random.h>
#include <time.h>

static int64_t read_clock(clockid_t id) {
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int64_t real_wall_us(struct klx_clock *c) {
    (void)c;
    return read_clock(CLOCK_REALTIME);
}

static int64_t real_mono_us(struct klx_clock *c) {
    (void)c;
    return read_clock(CLOCK_MONOTONIC);
}

static uint64_t splitmix64(uint64_t *seed) {
    *seed += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t z = *seed;
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static uint64_t real_random(struct klx_clock *c) {
    uint64_t value = 0;
    if (getrandom(&value, sizeof(value), 0) != (ssize_t)sizeof(value)) {
        /* Only jitter is at stake: the time of day spreads well enough. */
        value = (uint64_t)real_mono_us(c);
        value = splitmix64(&value);
    }
    return value;
}

struct klx_clock *klx_clock_real(void) {
    static struct klx_clock real = { real_wall_us, real_mono_us, real_random };
    return &real;
}

static int64_t driven_wall_us(struct klx_clock *c) {
    return ((struct klx_clock_driven *)c)->now_wall_us;
}

static int64_t driven_mono_us(struct klx_clock *c) {
    return ((struct klx_clock_driven *)c)->now_mono_us;
}

static uint64_t driven_random(struct klx_clock *c) {
    return splitmix64(&((struct klx_clock_driven *)c)->seed);
}

void klx_clock_driven_init(struct klx_clock_driven *d, int64_t wall_us, uint64_t seed) {
    *d = (struct klx_clock_driven){
        .clock = { driven_wall_us, driven_mono_us, driven_random },
        .now_wall_us = wall_us,
        .seed = seed,
    };
}

void klx_clock_driven_advance(struct klx_clock_driven *d, int64_t us) {
    d->now_wall_us += us;
    d->now_mono_us += us;
}
