/*
 * The four incidents of an HPA (hpa_rules.h says when): begun, told when they have lasted, ended. Internal to the HPA's half.
 */
#pragma once

#include "collector/detectors/scaling/hpa_state.h"
#include "collector/detectors/scaling/hpa_view.h"

/* What the object says now, of at max, at min and blind. */
void klx_hpa_weigh(struct klx_news_call *c, struct klx_hpa_state *h, const struct klx_hpa_view *v);
/* The HPA scaled up (1) or down (-1). */
void klx_hpa_turn(struct klx_news_call *c, struct klx_hpa_state *h, int direction, int64_t at_us,
                  const struct klx_hpa_view *v);
/* When the next of them is due; KLX_TIME_NONE: none. */
int64_t klx_hpa_next(const struct klx_hpa_state *h);
/* Tells what is due, with the object when there is one. */
void klx_hpa_due(struct klx_news_call *c, struct klx_hpa_state *h, const struct klx_hpa_view *v);
/* The HPA is gone: tells it, as the end of whatever is open. */
void klx_hpa_removed(struct klx_news_call *c, struct klx_hpa_state *h);
