/*
 * What is told of the memory of a container, in words and data. Internal to the memory's part.
 */
#pragma once

#include "collector/detectors/scaling/memory_state.h"

struct klx_memory_news {
    const struct klx_memory_state *p;
    struct klx_memory_container *c;
    double bytes; /* of the sample */
    struct klx_trend_line line;
    int64_t eta_us; /* until the line meets the limit; KLX_TIME_NONE: it does not */
    int64_t at_us;
};

void klx_memory_tell_near(struct klx_news_call *call, const struct klx_memory_news *n, bool urgent);
void klx_memory_tell_predicted(struct klx_news_call *call, const struct klx_memory_news *n,
                               bool urgent);
void klx_memory_tell_relieved(struct klx_news_call *call, const struct klx_memory_news *n);
/* The pod went with its incident open. */
void klx_memory_tell_gone(struct klx_news_call *call, const struct klx_memory_state *p,
                          struct klx_memory_container *c, const char *how);
/* PodMetrics, with what is known of the pod (NULL: nothing). */
void klx_memory_publish(struct klx_news_call *call, const struct klx_memory_state *p);
/* The member "memory": the last sample of a trend, and its line. Nothing when there is no sample. */
void klx_memory_write_trend(struct klx_jw *w, const struct klx_trend *t, double limit);
/* "; its memory had grown by 21Mi a minute to 97 % of the limit", or nothing. */
struct klx_sv klx_memory_trend_words(struct klx_arena *a, const struct klx_memory_container *c);
