/*
 * An event about an HPA: its object, its data, its hint. Internal to the HPA's half.
 */
#pragma once

#include "collector/detectors/scaling/hpa_state.h"
#include "collector/detectors/scaling/hpa_view.h"

struct klx_hpa_news {
    const struct klx_hpa_state *h;
    const struct klx_hpa_view *v; /* NULL: the clock, or it is gone */
    /* Scaled: the numbers and why. */
    bool scaled;
    int64_t from, to;
    struct klx_sv because;
    /* Bounds: what they were, and who changed them. */
    const struct klx_hpa_writer *writer;
    int64_t old_min, old_max;
    /* One of the four. */
    const struct klx_hpa_trouble *trouble;
};

/* Fills m's details and hint, and tells it. */
void klx_hpa_tell(struct klx_news_call *c, const struct klx_hpa_news *n, struct klx_news m);
