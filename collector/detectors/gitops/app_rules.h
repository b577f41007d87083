/*
 * Applications of Argo CD, 3.4 to 3.6. The rules (facts: argocd.md 1.4 to 1.6); P is what was known, C the object as it is:
 *
 *   sync started     operationState is of another operation: another startedAt or self-heal attempt, or there was none in between.
 *   retrying         retryCount grew: told the first time, and then at 8, 16, 32 …
 *   waiting          it runs, and its message says that somebody must confirm a pruning, or that a sync window blocks it; or it runs for
 *                    KLX_APP_LONG_US.
 *   failed           it ended Failed or Error. Automated ones in a row are told at the 1st, 2nd, 4th, 8th …
 *   gave up          the condition SyncError appeared: auto-sync does not try again by itself.
 *   succeeded        it ended Succeeded; told when it ends an incident, or was partial. A full one is a deployment.
 *   deployed         status.history has a greater id: the only ledger. Told when its operation has ended: only then its result says what was
 *                    pruned. Rolled back: to a revision and source that were first deployed before those which they replace. Without an
 *                    entry: a full operation of another revision succeeded (revisionHistoryLimit 0), or one that is no self-heal but is
 *                    called one.
 *   settled          deployed, and Healthy for KLX_APP_SETTLE_US. No change of health is needed.
 *   drifted          OutOfSync while the revision and what it is compared to are those of the last Synced, for KLX_APP_DRIFT_US; or a
 *                    self-heal began, at once.
 *                    A self-heal of what was never Synced since it was deployed, or that begins within KLX_APP_ECHO_US of that, comes of a
 *                    comparison from before: it counts for a loop only. A sync status from before the last operation ended (reconciledAt) is believed after KLX_APP_STALE_US.
 *   change waits     OutOfSync, and the revision moved (git) or the spec was edited, for KLX_APP_PENDING_US, and no operation runs.
 *   out of sync      for KLX_APP_OUT_US: told once more.
 *   drift loop       KLX_APP_HEALS self-heals within KLX_APP_LOOP_US; over when there was none for as long.
 *   in sync          Synced again, after what was told.
 *   degraded …       Degraded, Missing (once something was deployed) or Unknown (for no error's sake) for a hold-down; recovered when Healthy.
 *   suspended        Suspended, for the first time in KLX_APP_SUSPENDED_US: a rollout that goes on and pauses makes it flicker.
 *   error            InvalidSpecError, ComparisonError, UnknownError, a failed hydration, or sync status Unknown, for a hold-down.
 *   warning          a condition …Warning appeared.
 *   stalled          not refreshed any more: app_stall.h.
 *   auto-sync        spec.syncPolicy.automated came or went.
 *   created, deleting, deleted; deletion stuck after KLX_APP_DELETION_US, or with DeletionError at once.
 *
 * Five incidents an Application, one a cause: drift, sync, health, error, deletion; one that comes back within KLX_APP_REOPEN_US goes on.
 * An Application that is being deleted has no other trouble than that.
 */
#pragma once

#include "collector/detectors/gitops/app_news.h"

#define KLX_APP_DRIFT_US (1 * KLX_MINUTE_US)
#define KLX_APP_PENDING_US (10 * KLX_MINUTE_US)
#define KLX_APP_OUT_US (12 * 60 * KLX_MINUTE_US)
#define KLX_APP_LOOP_US (30 * KLX_MINUTE_US)
#define KLX_APP_DEGRADED_US                                                                        \
    (30 * KLX_US_PER_S) /* Healthy → Degraded → Healthy within a second is common */
#define KLX_APP_MISSING_US (1 * KLX_MINUTE_US)
#define KLX_APP_UNKNOWN_US (3 * KLX_MINUTE_US)
#define KLX_APP_INVALID_US (30 * KLX_US_PER_S)
#define KLX_APP_ERROR_US (3 * KLX_MINUTE_US) /* a restart of the repo-server passes */
#define KLX_APP_SUSPENDED_US (10 * KLX_US_PER_S)
#define KLX_APP_WAIT_US (1 * KLX_MINUTE_US)
#define KLX_APP_LONG_US (30 * KLX_MINUTE_US)
#define KLX_APP_SETTLE_US (1 * KLX_MINUTE_US)
#define KLX_APP_ECHO_US (2 * KLX_US_PER_S)
#define KLX_APP_STALE_US (1 * KLX_MINUTE_US)
#define KLX_APP_DELETION_US (10 * KLX_MINUTE_US)
#define KLX_APP_REOPEN_US (10 * KLX_MINUTE_US)

/* What an operator may set, in ms; 0: the default above. */
struct klx_app_settings {
    int64_t drift_after_ms, change_waits_after_ms, out_of_sync_after_ms;
    int64_t degraded_after_ms, error_after_ms, deletion_stuck_after_ms, settled_after_ms;
    int64_t stalled_after_ms;
    char *argocd_url; /* of Argo CD's web page, for links; NULL: no links */
};

static inline int64_t klx_app_hold(int64_t set_ms, int64_t otherwise_us) {
    return set_ms > 0 ? set_ms * KLX_US_PER_MS : otherwise_us;
}

/* KLX_APP_HOLD(c, drift, DRIFT): what is set as drift_after, or KLX_APP_DRIFT_US. */
#define KLX_APP_HOLD(c, name, DEFAULT)                                                             \
    klx_app_hold(((const struct klx_app_settings *)(c)->settings)->name##_after_ms,                \
                 KLX_APP_##DEFAULT##_US)

/* Once a comparison has failed, Argo CD takes the next commit for a self-heal: attempt 1, partial, and no entry in the history. It is one only
   when it syncs what was synced before; this makes the other what it is, a deployment by auto-sync. Before everything else. */
void klx_app_name_operation(const struct klx_app_state *h, struct klx_app_view *v);
/* All of them: h is what was known, and becomes what is. `first`: there was nothing before. */
void klx_app_operation(struct klx_news_call *c, struct klx_app_state *h,
                       const struct klx_app_view *v, bool first);
void klx_app_history(struct klx_news_call *c, struct klx_app_state *h, const struct klx_app_view *v,
                     bool first);
/* A self-heal began. */
void klx_app_heals(struct klx_news_call *c, struct klx_app_state *h, const struct klx_app_view *v);
void klx_app_troubles(struct klx_news_call *c, struct klx_app_state *h,
                      const struct klx_app_view *v, bool first);
/* Tells what is due now; v is NULL when the clock calls. */
void klx_app_due(struct klx_news_call *c, struct klx_app_state *h, const struct klx_app_view *v);
/* When the next is due; KLX_TIME_NONE: nothing is. */
int64_t klx_app_next(const struct klx_app_state *h);
/* It is gone: ends whatever was open. */
void klx_app_removed(struct klx_news_call *c, struct klx_app_state *h, const char *reason);

/* The sync status is from before the last operation ended: Argo CD compares soon after. */
static inline bool klx_app_is_stale(const struct klx_news_call *c, const struct klx_app_state *h,
                                    const struct klx_app_view *v) {
    return h->op_succeeded_us != KLX_TIME_NONE && v->reconciled_us != KLX_TIME_NONE &&
           v->reconciled_us < h->op_succeeded_us &&
           c->now_us - h->op_succeeded_us < KLX_APP_STALE_US;
}

static inline bool klx_app_operates(const struct klx_app_state *h) {
    return !h->op_gone &&
           (h->op_phase == KLX_APP_OP_RUNNING || h->op_phase == KLX_APP_OP_TERMINATING);
}
