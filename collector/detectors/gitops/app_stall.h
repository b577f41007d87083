/*
 * Applications that Argo CD does not refresh any more: whatever their status says is from before, and nobody syncs or heals them. The rule
 * (facts: argocd.md 1.6, reconcile.stalled):
 *
 *   refreshed  status.reconciledAt moved. Argo CD does that by the clock (timeout.reconciliation: two to three minutes), whatever else
 *              happens; only the annotation argocd.argoproj.io/skip-reconcile switches it off.
 *   stalled    not refreshed for KLX_APP_STALLED_US (`stalled_after`). When the controller does not run all of them are: so they are one
 *              incident of the cluster, however many; it is told when they are no more than a bookmark before, since each is due at its own time,
 *              or KLX_APP_STALL_GROWS_US later. It is told again when they are half as many again, and is over when none is left.
 *
 * That nothing came is known only when the watch says so: everything here is decided at its bookmarks (klx_detector_ops.caught_up), and a
 * connection that is dead alarms nobody. When an Application was refreshed last is in no record, or each refresh would write one: after a
 * restart the time counts anew. Which ones are stalled, and the incident, is remembered.
 */
#pragma once

#include "collector/detectors/gitops/app_state.h"
#include "collector/detectors/news.h"
#include "collector/detectors/object_table.h"

#define KLX_APP_STALLED_US (15 * KLX_MINUTE_US)
#define KLX_APP_STALL_GROWS_US (5 * KLX_MINUTE_US)
#define KLX_APP_STALL_RECORD "stalled" /* its state record beside those of the Applications */

struct klx_app_stall {
    struct klx_episode episode;
    int64_t since_us; /* the first of them was refreshed last; KLX_TIME_NONE: none is stalled */
    int64_t told_n;   /* how many there were when it was told last */
    int64_t seen_n;   /* how many there were at the last bookmark; in no record */
    char written[KLX_HASH_TEXT_BYTES];
};

void klx_app_stall_init(struct klx_app_stall *s);
/* -EBADMSG when it is not what was written. */
int klx_app_stall_restore(struct klx_app_stall *s, struct klx_sv value) KLX_MUST_CHECK;
/* An observation of an Application, before its state is saved. */
void klx_app_stall_observe(struct klx_news_call *c, struct klx_app_state *h,
                           const struct klx_app_view *v);
/* A bookmark of the watch of the Applications in a namespace; empty: in all of them. */
void klx_app_stall_check(struct klx_news_call *c, struct klx_app_stall *s,
                         struct klx_object_table *apps, struct klx_sv namespace);
