/*
 * Where the memory of a container is going: a robust line through its last samples (Theil–Sen: the median of the slopes of all pairs), which
 * neither a spike nor a garbage collection bends. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KLX_TREND_SAMPLES 24
#define KLX_TREND_SAMPLES_MIN 6

struct klx_trend_sample {
    int64_t at_us;
    double bytes;
};

struct klx_trend {
    struct klx_trend_sample samples[KLX_TREND_SAMPLES]; /* the oldest first */
    size_t n;
};

struct klx_trend_line {
    bool rising; /* nearly all pairs rise: a line is worth being told */
    double bytes_per_s;
    double bytes; /* the line at the last sample */
    int64_t span_us;
};

/* What a cluster says may be any number: the nearest that JSON carries exactly. */
int64_t klx_trend_whole(double value);
/* A sample that is not newer is left out. Half of what was there before, or a long silence, is a new beginning: the container was started
   again. */
void klx_trend_add(struct klx_trend *t, int64_t at_us, double bytes);
void klx_trend_fit(const struct klx_trend *t, struct klx_trend_line *ret);
