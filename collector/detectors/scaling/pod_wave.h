/*
 * Restarts that are held back, and what they turn out to be (pod_rules.h, "wave"). The held restarts of all remembered pods of a workload
 * are one group; it is decided when no pod has joined it for KLX_POD_WAVE_US. Nothing is kept of it but what the pods' states hold.
 */
#pragma once

#include "collector/detectors/scaling/pod_table.h"

/* When the group that p belongs to is decided. */
int64_t klx_pod_wave_due(const struct klx_scaling *d, const struct klx_pod_state *p);
/* Tells the wave, or each kill that was none, and what loops; saves the pods it changed, but not `own`. */
void klx_pod_wave_decide(struct klx_news_call *c, struct klx_pod_entry *own);
