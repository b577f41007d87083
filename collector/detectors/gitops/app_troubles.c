/*
 * Drift, health, errors, deletion and the clock of an Application: app_rules.h.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "collector/detectors/gitops/app_rules.h"
#include "collector/redact.h"
#include "lib/base/cleanup.h"

#define NAME(h) (h)->namespace, (h)->name

#define DRIFTED "Drifted"
#define COMMIT_WAITS "CommitWaits"
#define SPEC_EDITED "SpecEdited"
#define NOT_COMPARED "NotCompared" /* the status is from before an operation */

static const char *const errors[] = { "InvalidSpecError", "ComparisonError", "UnknownError" };
static const char *const warnings[] = { "SharedResourceWarning", "RepeatedResourceWarning",
                                        "ExcludedResourceWarning", "OrphanedResourceWarning" };

static bool is_reason(const struct klx_app_trouble *t, const char *reason) {
    return strcmp(t->reason, reason) == 0;
}

static void begin(const struct klx_news_call *c, struct klx_app_trouble *t, const char *reason,
                  int64_t given_us, int64_t hold_us) {
    int64_t since_us = klx_news_begun(given_us, c->now_us);
    t->since_us = t->since_us != KLX_TIME_NONE ? t->since_us : since_us;
    t->due_us = since_us + hold_us;
    t->told = false;
    snprintf(t->reason, sizeof(t->reason), "%s", reason);
}

/* An old trouble that a list shows happened long ago, and is told now. */
static int64_t telling_time(const struct klx_news_call *c, int64_t due_us) {
    return due_us < c->now_us - KLX_MINUTE_US ? c->now_us : due_us;
}

static struct klx_app_news news_of(const struct klx_app_state *h, const struct klx_app_view *v,
                                   enum klx_app_trouble_kind which) {
    struct klx_app_news n = KLX_APP_NEWS(h, v);
    const struct klx_app_trouble *t = &h->troubles[which];
    n.detail = klx_sv(t->detail);
    n.since_us = t->since_us;
    if (which == KLX_APP_OUT) {
        n.resources = klx_sv(h->out_resources);
        n.resources_n = h->out_resources_n;
    }
    return n;
}

static const char *why_out(const struct klx_app_state *h, const struct klx_app_view *v) {
    const char *known = h->synced_revision[0] != '\0' ? h->synced_revision : h->deployed_revision;
    if (h->synced_to[0] != '\0' && strcmp(h->synced_to, v->compared_to) != 0) {
        return SPEC_EDITED;
    }
    return klx_sv_eq(v->revision, klx_sv(known)) ? DRIFTED : COMMIT_WAITS;
}

static void take_out_resources(struct klx_news_call *c, struct klx_app_state *h,
                               const struct klx_json *list, enum klx_app_filter filter) {
    int64_t n = 0;
    struct klx_sv text =
        klx_app_resources(c->out->arena, list, filter, sizeof(h->out_resources) - 1, &n);
    if (n > 0) {
        snprintf(h->out_resources, sizeof(h->out_resources), "%.*s", KLX_SV_FMT(text));
        h->out_resources_n = n;
    }
}

static struct klx_sv out_words(struct klx_news_call *c, const struct klx_app_state *h) {
    return klx_app_resource_words(c->out->arena, klx_sv(h->out_resources), h->out_resources_n);
}

static void tell_out(struct klx_news_call *c, struct klx_app_state *h, const struct klx_app_view *v,
                     int64_t at_us) {
    struct klx_arena *a = c->out->arena;
    struct klx_app_trouble *t = &h->troubles[KLX_APP_OUT];
    struct klx_app_news n = news_of(h, v, KLX_APP_OUT);
    bool drifted = is_reason(t, DRIFTED);
    struct klx_sv deployed = klx_sv(h->deployed_revision), compared = klx_sv(h->revision);
    n.from = deployed;
    n.to = compared;
    const char *what = drifted                     ? "is not what git says any more"
                       : is_reason(t, SPEC_EDITED) ? "waits to be synced since its spec was edited"
                                                   : "waits to be synced";
    struct klx_sv to = klx_app_short(a, compared);
    klx_app_alarm(c, &n, h, KLX_APP_OUT,
                  (struct klx_news){
                      .kind = drifted ? KLX_KIND_APP_DRIFTED : KLX_KIND_APP_CHANGE_WAITS,
                      .time_us = at_us,
                      .reason = klx_sv(t->reason),
                      .summary = klx_arena_printf(a, "Application %s/%s %s (%s%.*s)%.*s", NAME(h),
                                                  what, drifted ? "at " : "to ", KLX_SV_FMT(to),
                                                  KLX_SV_FMT(out_words(c, h))),
                  });
    t->due_us = t->since_us + KLX_APP_HOLD(c, out_of_sync, OUT);
}

static void tell_too_long(struct klx_news_call *c, struct klx_app_state *h,
                          const struct klx_app_view *v, int64_t at_us) {
    struct klx_app_trouble *t = &h->troubles[KLX_APP_OUT];
    const struct klx_app_news n = news_of(h, v, KLX_APP_OUT);
    t->due_us = KLX_TIME_NONE;
    h->out_too_long = true;
    klx_app_alarm(
        c, &n, h, KLX_APP_OUT,
        (struct klx_news){
            .kind = KLX_KIND_APP_OUT_OF_SYNC,
            .time_us = at_us,
            .reason = KLX_SV("OutOfSyncTooLong"),
            .summary = klx_arena_printf(
                c->out->arena, "Application %s/%s has been out of sync for %s%.*s", NAME(h),
                klx_news_words(c, t->since_us, at_us), KLX_SV_FMT(out_words(c, h))),
        });
}

static void tell_in_sync(struct klx_news_call *c, struct klx_app_state *h,
                         const struct klx_app_view *v, int64_t at_us) {
    struct klx_app_trouble *t = &h->troubles[KLX_APP_OUT];
    struct klx_app_news n = news_of(h, v, KLX_APP_OUT);
    bool synced = h->op_started_us != KLX_TIME_NONE && h->op_phase == KLX_APP_OP_SUCCEEDED &&
                  h->op_started_us >= t->since_us - KLX_US_PER_S;
    bool healed = is_reason(t, DRIFTED) || is_reason(t, "DriftLoop");
    n.by = !synced                      ? klx_sv("")
           : h->op_heals > 0 && !healed ? KLX_SV("auto-sync") /* it healed what was deployed */
                                        : klx_sv(h->op_by);
    n.to = klx_sv(h->revision);
    klx_app_relieve(c, &n, h, KLX_APP_OUT,
                    (struct klx_news){
                        .kind = KLX_KIND_APP_IN_SYNC,
                        .time_us = at_us,
                        .reason = synced ? KLX_SV("Synced") : KLX_SV("BackByItself"),
                        .summary = klx_arena_printf(
                            c->out->arena, "Application %s/%s is in sync again after %s%s%.*s",
                            NAME(h), klx_news_words(c, t->since_us, at_us),
                            synced ? ", by " : ", without a sync", KLX_SV_FMT(n.by)),
                    });
    snprintf(h->out_resources, sizeof(h->out_resources), "[]");
    h->out_resources_n = 0;
    h->out_too_long = false;
}

static void on_out(struct klx_news_call *c, struct klx_app_state *h, const struct klx_app_view *v) {
    struct klx_app_trouble *t = &h->troubles[KLX_APP_OUT];
    const char *why = why_out(h, v);
    int64_t hold_us = strcmp(why, DRIFTED) == 0 ? KLX_APP_HOLD(c, drift, DRIFT)
                                                : KLX_APP_HOLD(c, change_waits, PENDING);
    if (klx_app_is_stale(c, h, v)) {
        why = NOT_COMPARED;
        hold_us = hold_us > KLX_APP_STALE_US ? hold_us : KLX_APP_STALE_US;
    }
    bool changed = !t->told && !is_reason(t, why);
    if (t->since_us == KLX_TIME_NONE || changed) {
        begin(c, t, why, c->now_us, hold_us);
    }
    if (!t->told) {
        take_out_resources(c, h, klx_json_get(v->object, "status.resources"),
                           KLX_APP_OUT_OF_SYNC_ONLY);
    }
}

/* Between an operation and the next comparison the status is that from before: only a comparison says what is in sync with what. While an
   operation runs its end is waited for, so that it is told who did it. */
static void on_synced(struct klx_news_call *c, struct klx_app_state *h,
                      const struct klx_app_view *v, bool compared) {
    struct klx_app_trouble *t = &h->troubles[KLX_APP_OUT];
    bool ours = klx_sv_eq(v->revision, v->op.revision) ||
                klx_sv_eq(v->revision, klx_sv(h->deployed_revision));
    /* Or at a commit that came since, when it was compared after the operation. */
    bool since = !klx_app_operates(h) && !klx_app_is_stale(c, h, v);
    h->was_synced = h->was_synced || ours || since;
    if (compared) {
        klx_news_copy(h->synced_revision, sizeof(h->synced_revision), v->revision);
        klx_news_copy(h->synced_to, sizeof(h->synced_to), klx_sv(v->compared_to));
    }
    if (t->since_us != KLX_TIME_NONE && !klx_app_operates(h) && h->loop_us == KLX_TIME_NONE) {
        tell_in_sync(c, h, v, c->now_us);
    }
}

static void on_sync(struct klx_news_call *c, struct klx_app_state *h,
                    const struct klx_app_view *v) {
    bool compared = h->sync != v->sync || !klx_sv_eq(v->revision, klx_sv(h->revision));
    h->sync = v->sync;
    h->was_unknown =
        v->sync == KLX_APP_SYNC_UNKNOWN || (h->was_unknown && v->sync != KLX_APP_SYNCED);
    klx_news_copy(h->revision, sizeof(h->revision), v->revision);
    if (v->sync == KLX_APP_OUT_OF_SYNC) {
        on_out(c, h, v);
    } else if (v->sync == KLX_APP_SYNCED) {
        on_synced(c, h, v, compared);
    }
}

/* Remembers the heal; true: they are so many that they make a loop. */
static bool is_loop(struct klx_app_state *h, int64_t at_us) {
    int64_t oldest = h->heals[1];
    memmove(h->heals, h->heals + 1, sizeof(h->heals) - sizeof(h->heals[0]));
    h->heals[KLX_APP_HEALS - 1] = at_us;
    return oldest != KLX_TIME_NONE && at_us - oldest < KLX_APP_LOOP_US;
}

static void tell_loop(struct klx_news_call *c, struct klx_app_state *h,
                      const struct klx_app_view *v, int64_t at_us) {
    struct klx_app_trouble *t = &h->troubles[KLX_APP_OUT];
    struct klx_app_news n = news_of(h, v, KLX_APP_OUT);
    n.op = &v->op;
    snprintf(t->reason, sizeof(t->reason), "DriftLoop");
    klx_app_alarm(
        c, &n, h, KLX_APP_OUT,
        (struct klx_news){
            .kind = KLX_KIND_APP_DRIFT_LOOP,
            .time_us = at_us,
            .reason = KLX_SV("DriftLoop"),
            .summary = klx_arena_printf(
                c->out->arena, "Application %s/%s drifts again and again: %d self-heals in %s%.*s",
                NAME(h), KLX_APP_HEALS, klx_news_words(c, h->heals[0], at_us),
                KLX_SV_FMT(out_words(c, h))),
        });
}

/* What was compared was the cluster from before the deployment: nobody is that quick. */
static bool is_echo(const struct klx_app_state *h, int64_t at_us) {
    bool just_deployed = h->op_heals == 0 && h->op_succeeded_us != KLX_TIME_NONE &&
                         at_us - h->op_succeeded_us <= KLX_APP_ECHO_US;
    return !h->was_synced || just_deployed;
}

void klx_app_heals(struct klx_news_call *c, struct klx_app_state *h, const struct klx_app_view *v) {
    struct klx_app_trouble *t = &h->troubles[KLX_APP_OUT];
    int64_t at_us = v->op.started_us != KLX_TIME_NONE ? v->op.started_us : c->now_us;
    bool loop = is_loop(h, at_us), looping = h->loop_us != KLX_TIME_NONE;
    if (is_echo(h, at_us) && !t->told && !loop && !looping) {
        return;
    }
    if (t->since_us == KLX_TIME_NONE) {
        begin(c, t, DRIFTED, at_us, KLX_APP_HOLD(c, drift, DRIFT));
    }
    take_out_resources(c, h, v->op.resources, KLX_APP_ALL);
    klx_news_copy(h->revision, sizeof(h->revision), v->revision);
    if (loop && !looping) {
        tell_loop(c, h, v, at_us);
    } else if (!t->told && !looping) {
        snprintf(t->reason, sizeof(t->reason), DRIFTED);
        tell_out(c, h, v, at_us);
    }
    h->loop_us = loop || looping ? at_us : KLX_TIME_NONE;
    t->due_us = h->loop_us != KLX_TIME_NONE ? klx_news_begun(at_us, c->now_us) + KLX_APP_LOOP_US
                                            : t->due_us;
}

static void on_out_due(struct klx_news_call *c, struct klx_app_state *h,
                       const struct klx_app_view *v, int64_t due_us) {
    struct klx_app_trouble *t = &h->troubles[KLX_APP_OUT];
    if (is_reason(t, NOT_COMPARED)) { /* nor was it since */
        bool same = strcmp(h->revision, h->synced_revision) == 0;
        snprintf(t->reason, sizeof(t->reason), "%s", same ? DRIFTED : COMMIT_WAITS);
    }
    bool busy = klx_app_operates(h) || klx_episode_is_open(&h->troubles[KLX_APP_SYNC].episode);
    if (h->loop_us != KLX_TIME_NONE) {
        h->loop_us = KLX_TIME_NONE;
        t->due_us = t->since_us + KLX_APP_HOLD(c, out_of_sync, OUT);
        if (h->sync == KLX_APP_SYNCED) {
            tell_in_sync(c, h, v, due_us);
        }
    } else if (t->told) {
        tell_too_long(c, h, v, due_us);
    } else if (busy && !is_reason(t, DRIFTED)) {
        t->due_us = c->now_us + KLX_APP_HOLD(c, change_waits, PENDING);
    } else {
        tell_out(c, h, v, due_us);
    }
}

static int64_t hold_of(const struct klx_news_call *c, enum klx_app_health health) {
    return health == KLX_APP_DEGRADED  ? KLX_APP_HOLD(c, degraded, DEGRADED)
           : health == KLX_APP_MISSING ? KLX_APP_MISSING_US
                                       : KLX_APP_UNKNOWN_US;
}

/* What is not there before the first deployment is not missing, and what cannot be compared is an error. */
static bool is_bad(const struct klx_app_state *h, enum klx_app_health health) {
    return health == KLX_APP_DEGRADED || (health == KLX_APP_MISSING && h->deployed_revision[0]) ||
           (health == KLX_APP_HEALTH_UNKNOWN &&
            h->troubles[KLX_APP_ERROR].since_us == KLX_TIME_NONE);
}

static void tell_recovered(struct klx_news_call *c, struct klx_app_state *h,
                           const struct klx_app_view *v, int64_t at_us) {
    const struct klx_app_trouble *t = &h->troubles[KLX_APP_HEALTH];
    struct klx_app_news n = news_of(h, v, KLX_APP_HEALTH);
    n.detail = klx_sv("");
    klx_app_relieve(c, &n, h, KLX_APP_HEALTH,
                    (struct klx_news){
                        .kind = KLX_KIND_APP_RECOVERED,
                        .time_us = at_us,
                        .reason = KLX_SV("Healthy"),
                        .summary = klx_arena_printf(c->out->arena,
                                                    "Application %s/%s is Healthy again after %s",
                                                    NAME(h), klx_news_words(c, t->since_us, at_us)),
                    });
}

static void tell_suspended(struct klx_news_call *c, struct klx_app_state *h,
                           const struct klx_app_view *v, int64_t at_us) {
    if (h->suspended_us != KLX_TIME_NONE && at_us - h->suspended_us < KLX_APP_SUSPENDED_US) {
        return;
    }
    struct klx_app_news n = KLX_APP_NEWS(h, v);
    n.detail = klx_redact(c->out->arena, v->health_message, 400);
    h->suspended_us = at_us;
    klx_app_tell(
        c, &n,
        (struct klx_news){
            .kind = KLX_KIND_APP_SUSPENDED,
            .time_us = at_us,
            .reason = KLX_SV("Suspended"),
            .summary = klx_arena_printf(c->out->arena, "Application %s/%s is suspended%s%.*s",
                                        NAME(h), n.detail.n > 0 ? ": " : "", KLX_SV_FMT(n.detail)),
        });
}

static void on_bad_health(struct klx_news_call *c, struct klx_app_state *h,
                          const struct klx_app_view *v, int64_t since_us) {
    struct klx_app_trouble *t = &h->troubles[KLX_APP_HEALTH];
    const char *reason = klx_app_health_name(v->health);
    if (t->since_us == KLX_TIME_NONE || !is_reason(t, reason)) {
        begin(c, t, reason, since_us, hold_of(c, v->health));
    }
    if (!t->told) {
        klx_news_copy(t->detail, sizeof(t->detail),
                      klx_redact(c->out->arena, v->health_message, sizeof(t->detail) - 1));
    }
}

static void on_health(struct klx_news_call *c, struct klx_app_state *h,
                      const struct klx_app_view *v, bool first) {
    struct klx_app_trouble *t = &h->troubles[KLX_APP_HEALTH];
    enum klx_app_health before = h->health;
    int64_t since_us = klx_news_begun(v->health_since_us, c->now_us);
    h->health = v->health;
    if (v->health == KLX_APP_HEALTHY && before != v->health && h->settling) {
        h->settles_us = c->now_us + KLX_APP_HOLD(c, settled, SETTLE);
    }
    if (v->health == KLX_APP_SUSPENDED && before != v->health && !first) {
        tell_suspended(c, h, v, since_us);
    }
    if (is_bad(h, v->health)) {
        on_bad_health(c, h, v, since_us);
    } else if (v->health == KLX_APP_HEALTHY && t->since_us != KLX_TIME_NONE) {
        tell_recovered(c, h, v, since_us);
    } else if (!klx_episode_is_open(&t->episode)) {
        klx_app_trouble_clear(t);
    }
}

static void on_health_due(struct klx_news_call *c, struct klx_app_state *h,
                          const struct klx_app_view *v, int64_t due_us) {
    struct klx_app_trouble *t = &h->troubles[KLX_APP_HEALTH];
    const struct klx_app_news n = news_of(h, v, KLX_APP_HEALTH);
    t->due_us = KLX_TIME_NONE;
    bool missing = is_reason(t, "Missing"), degraded = is_reason(t, "Degraded");
    klx_app_alarm(
        c, &n, h, KLX_APP_HEALTH,
        (struct klx_news){
            .kind = degraded  ? KLX_KIND_APP_DEGRADED
                    : missing ? KLX_KIND_APP_MISSING
                              : KLX_KIND_APP_HEALTH_UNKNOWN,
            .time_us = due_us,
            .reason = klx_sv(t->reason),
            .summary = klx_arena_printf(c->out->arena, "Application %s/%s is %s%s%s", NAME(h),
                                        missing    ? "missing: none of its resources is there"
                                        : degraded ? "Degraded"
                                                   : "of unknown health",
                                        t->detail[0] != '\0' ? ": " : "", t->detail),
        });
}

struct found_error {
    const char *type; /* NULL: none */
    struct klx_sv message;
    int64_t since_us;
};

static struct found_error find_error(const struct klx_news_call *c, const struct klx_app_view *v) {
    for (size_t i = 0; i < KLX_COUNT(errors); i++) {
        const struct klx_json *e = klx_app_condition(v->object, klx_sv(errors[i]));
        if (e != NULL) {
            int64_t at_us = klx_news_time(e, "lastTransitionTime");
            return (struct found_error){ errors[i], klx_json_str(e, "message"),
                                         at_us != KLX_TIME_NONE ? at_us : c->now_us };
        }
    }
    const struct klx_json *hydration =
        klx_json_get(v->object, "status.sourceHydrator.currentOperation");
    if (klx_sv_eq(klx_json_str(hydration, "phase"), KLX_SV("Failed"))) {
        return (struct found_error){ "HydrationFailed", klx_json_str(hydration, "message"),
                                     c->now_us };
    }
    bool unknown = v->sync == KLX_APP_SYNC_UNKNOWN;
    return (struct found_error){ unknown ? "SyncUnknown" : NULL, klx_sv(""), c->now_us };
}

static void tell_error_cleared(struct klx_news_call *c, struct klx_app_state *h,
                               const struct klx_app_view *v) {
    const struct klx_app_trouble *t = &h->troubles[KLX_APP_ERROR];
    const struct klx_app_news n = news_of(h, v, KLX_APP_ERROR);
    klx_app_relieve(c, &n, h, KLX_APP_ERROR,
                    (struct klx_news){
                        .kind = KLX_KIND_APP_ERROR_CLEARED,
                        .time_us = c->now_us,
                        .reason = klx_arena_dup(c->out->arena, klx_sv(t->reason)),
                        .summary = klx_arena_printf(
                            c->out->arena, "Argo CD can compare application %s/%s again, after %s",
                            NAME(h), klx_news_words(c, t->since_us, c->now_us)),
                    });
}

static void on_error(struct klx_news_call *c, struct klx_app_state *h,
                     const struct klx_app_view *v) {
    struct klx_app_trouble *t = &h->troubles[KLX_APP_ERROR];
    const struct found_error e = find_error(c, v);
    if (e.type == NULL && t->since_us != KLX_TIME_NONE) {
        tell_error_cleared(c, h, v);
    }
    if (e.type == NULL) {
        return;
    }
    if (t->since_us == KLX_TIME_NONE || !is_reason(t, e.type)) {
        begin(c, t, e.type, t->since_us == KLX_TIME_NONE ? e.since_us : c->now_us,
              strcmp(e.type, "InvalidSpecError") == 0 ? KLX_APP_INVALID_US
                                                      : KLX_APP_HOLD(c, error, ERROR));
    }
    if (!t->told) {
        klx_news_copy(t->detail, sizeof(t->detail),
                      klx_redact(c->out->arena, e.message, sizeof(t->detail) - 1));
    }
}

static void on_error_due(struct klx_news_call *c, struct klx_app_state *h,
                         const struct klx_app_view *v, int64_t due_us) {
    struct klx_app_trouble *t = &h->troubles[KLX_APP_ERROR];
    const struct klx_app_news n = news_of(h, v, KLX_APP_ERROR);
    t->due_us = KLX_TIME_NONE;
    klx_app_alarm(c, &n, h, KLX_APP_ERROR,
                  (struct klx_news){
                      .kind = KLX_KIND_APP_ERROR,
                      .time_us = due_us,
                      .reason = klx_sv(t->reason),
                      .summary = klx_arena_printf(
                          c->out->arena, "Argo CD cannot compare application %s/%s (%s)%s%s",
                          NAME(h), t->reason, t->detail[0] != '\0' ? ": " : "", t->detail),
                  });
}

static void on_gave_up(struct klx_news_call *c, struct klx_app_state *h,
                       const struct klx_app_view *v, const struct klx_json *condition) {
    struct klx_arena *a = c->out->arena;
    struct klx_app_trouble *t = &h->troubles[KLX_APP_SYNC];
    int64_t at_us = klx_news_time(condition, "lastTransitionTime");
    at_us = at_us != KLX_TIME_NONE ? at_us : c->now_us;
    klx_news_copy(t->detail, sizeof(t->detail),
                  klx_redact(a, klx_json_str(condition, "message"), sizeof(t->detail) - 1));
    begin(c, t, "SyncError", at_us, 0);
    t->due_us = KLX_TIME_NONE;
    h->gave_up = true;
    struct klx_app_news n = news_of(h, v, KLX_APP_SYNC);
    n.to = v->revision;
    klx_app_alarm(c, &n, h, KLX_APP_SYNC,
                  (struct klx_news){
                      .kind = KLX_KIND_APP_SYNC_GAVE_UP,
                      .time_us = telling_time(c, at_us),
                      .reason = KLX_SV("SyncError"),
                      .summary = klx_arena_printf(
                          a, "Argo CD does not try to sync application %s/%s any more: %s", NAME(h),
                          t->detail),
                  });
}

/* The sync's trouble ends without a sync when git, or somebody, has made it needless. */
static void on_needless(struct klx_news_call *c, struct klx_app_state *h,
                        const struct klx_app_view *v, bool condition_went) {
    struct klx_app_trouble *t = &h->troubles[KLX_APP_SYNC];
    bool changed = h->sync != KLX_APP_SYNCED || !klx_sv_eq(v->revision, klx_sv(h->revision));
    bool moved = changed && !klx_sv_eq(v->revision, klx_sv(h->failed_revision));
    if (!klx_episode_is_open(&t->episode) || v->sync != KLX_APP_SYNCED || klx_app_operates(h) ||
        h->gave_up || !(condition_went || moved)) {
        return;
    }
    struct klx_app_news n = news_of(h, v, KLX_APP_SYNC);
    n.to = v->revision;
    klx_app_relieve(c, &n, h, KLX_APP_SYNC,
                    (struct klx_news){
                        .kind = KLX_KIND_APP_SYNC_SUCCEEDED,
                        .time_us = c->now_us,
                        .reason = KLX_SV("SyncNeedless"),
                        .summary = klx_arena_printf(
                            c->out->arena,
                            "Application %s/%s is in sync without the sync that failed", NAME(h)),
                    });
    h->failures = 0;
}

static void on_sync_error(struct klx_news_call *c, struct klx_app_state *h,
                          const struct klx_app_view *v) {
    const struct klx_json *condition = klx_app_condition(v->object, KLX_SV("SyncError"));
    bool went = h->gave_up && condition == NULL;
    if (condition != NULL && !h->gave_up) {
        on_gave_up(c, h, v, condition);
    }
    h->gave_up = condition != NULL;
    on_needless(c, h, v, went);
}

static void on_warnings(struct klx_news_call *c, struct klx_app_state *h,
                        const struct klx_app_view *v, bool first) {
    for (size_t i = 0; i < KLX_COUNT(warnings); i++) {
        const struct klx_json *w = klx_app_condition(v->object, klx_sv(warnings[i]));
        int64_t bit = INT64_C(1) << i;
        bool appeared = w != NULL && (h->warned & bit) == 0;
        h->warned = w != NULL ? h->warned | bit : h->warned & ~bit;
        if (!appeared || first) {
            continue;
        }
        struct klx_app_news n = KLX_APP_NEWS(h, v);
        n.detail = klx_redact(c->out->arena, klx_json_str(w, "message"), 400);
        int64_t at_us = klx_news_time(w, "lastTransitionTime");
        klx_app_tell(c, &n,
                     (struct klx_news){
                         .kind = KLX_KIND_APP_WARNING,
                         .time_us = at_us != KLX_TIME_NONE ? at_us : c->now_us,
                         .reason = klx_sv(warnings[i]),
                         .summary = klx_arena_printf(c->out->arena, "Application %s/%s: %.*s",
                                                     NAME(h), KLX_SV_FMT(n.detail)),
                     });
    }
}

static void on_waiting_due(struct klx_news_call *c, struct klx_app_state *h,
                           const struct klx_app_view *v, int64_t due_us) {
    struct klx_app_trouble *t = &h->troubles[KLX_APP_SYNC];
    struct klx_app_news n = news_of(h, v, KLX_APP_SYNC);
    n.by = klx_sv(h->op_by);
    t->due_us = KLX_TIME_NONE;
    const char *what = is_reason(t, "AwaitsConfirmation")
                           ? "waited for somebody to confirm a pruning"
                       : is_reason(t, "BlockedByWindow") ? "been blocked by a sync window"
                                                         : "been running";
    klx_app_alarm(c, &n, h, KLX_APP_SYNC,
                  (struct klx_news){
                      .kind = KLX_KIND_APP_SYNC_WAITS,
                      .time_us = due_us,
                      .reason = klx_sv(t->reason),
                      .summary = klx_arena_printf(
                          c->out->arena, "Application %s/%s: its sync has %s for %s%s%s", NAME(h),
                          what, klx_news_words(c, t->since_us, due_us),
                          t->detail[0] != '\0' ? ": " : "", t->detail),
                  });
}

static void on_deleting(struct klx_news_call *c, struct klx_app_state *h,
                        const struct klx_app_view *v, bool first) {
    struct klx_app_trouble *t = &h->troubles[KLX_APP_DELETION];
    const struct klx_json *error = klx_app_condition(v->object, KLX_SV("DeletionError"));
    if (t->since_us == KLX_TIME_NONE) {
        begin(c, t, "Deleting", v->deleting_us, KLX_APP_HOLD(c, deletion_stuck, DELETION));
        const struct klx_app_news n = KLX_APP_NEWS(h, v);
        if (!first) {
            klx_app_tell(c, &n,
                         (struct klx_news){
                             .kind = KLX_KIND_APP_DELETING,
                             .time_us = v->deleting_us,
                             .reason = KLX_SV("Deleting"),
                             .summary = klx_arena_printf(
                                 c->out->arena, "Application %s/%s is being deleted", NAME(h)),
                         });
        }
    }
    if (error != NULL && !is_reason(t, "DeletionError")) {
        begin(c, t, "DeletionError", c->now_us, 0);
        klx_news_copy(
            t->detail, sizeof(t->detail),
            klx_redact(c->out->arena, klx_json_str(error, "message"), sizeof(t->detail) - 1));
    }
}

static void on_deletion_due(struct klx_news_call *c, struct klx_app_state *h,
                            const struct klx_app_view *v, int64_t due_us) {
    struct klx_app_trouble *t = &h->troubles[KLX_APP_DELETION];
    const struct klx_app_news n = news_of(h, v, KLX_APP_DELETION);
    t->due_us = KLX_TIME_NONE;
    klx_app_alarm(
        c, &n, h, KLX_APP_DELETION,
        (struct klx_news){
            .kind = KLX_KIND_APP_DELETION_STUCK,
            .time_us = due_us,
            .reason = klx_sv(t->reason),
            .summary = klx_arena_printf(
                c->out->arena, "Application %s/%s is still there %s after its deletion began%s%s",
                NAME(h), klx_news_words(c, t->since_us, due_us), t->detail[0] != '\0' ? ": " : "",
                t->detail),
        });
}

void klx_app_removed(struct klx_news_call *c, struct klx_app_state *h, const char *reason) {
    const struct klx_app_news n = KLX_APP_NEWS(h, NULL);
    const struct klx_news m = {
        .kind = KLX_KIND_APP_DELETED,
        .time_us = c->now_us,
        .reason = klx_sv(reason),
        .summary = klx_arena_printf(c->out->arena, "Application %s/%s was deleted", NAME(h)),
    };
    bool told = false;
    for (size_t i = 0; i < KLX_APP_TROUBLES_N; i++) {
        told = klx_app_relieve(c, &n, h, (enum klx_app_trouble_kind)i, m) || told;
    }
    if (!told) {
        klx_app_tell(c, &n, m);
    }
}

/* What was waited for is no trouble of something that goes; what was told ends with it. */
static void forget_what_waits(struct klx_app_state *h) {
    h->settling = false;
    h->loop_us = KLX_TIME_NONE;
    for (size_t i = 0; i < KLX_APP_DELETION; i++) {
        h->troubles[i].due_us = KLX_TIME_NONE;
    }
}

void klx_app_troubles(struct klx_news_call *c, struct klx_app_state *h,
                      const struct klx_app_view *v, bool first) {
    if (v->deleting_us != KLX_TIME_NONE) {
        forget_what_waits(h);
        on_deleting(c, h, v, first);
        return;
    }
    on_sync_error(c, h, v);
    on_error(c, h, v);
    on_warnings(c, h, v, first);
    on_sync(c, h, v);
    on_health(c, h, v, first);
}

static void on_settled(struct klx_news_call *c, struct klx_app_state *h,
                       const struct klx_app_view *v, int64_t due_us) {
    struct klx_app_news n = KLX_APP_NEWS(h, v);
    struct klx_sv revision = klx_app_short(c->out->arena, klx_sv(h->deployed_revision));
    n.to = klx_sv(h->deployed_revision);
    h->settling = false;
    h->settles_us = KLX_TIME_NONE;
    klx_app_tell(
        c, &n,
        (struct klx_news){
            .kind = KLX_KIND_APP_SETTLED,
            .time_us = due_us,
            .reason = KLX_SV("Healthy"),
            .summary = klx_arena_printf(c->out->arena, "Application %s/%s runs %.*s and is Healthy",
                                        NAME(h), KLX_SV_FMT(revision)),
        });
}

/* Only a Healthy one can settle, and no operation may run. */
static int64_t settles_at(const struct klx_app_state *h) {
    bool can = h->settling && h->health == KLX_APP_HEALTHY && !klx_app_operates(h);
    return can ? h->settles_us : KLX_TIME_NONE;
}

void klx_app_due(struct klx_news_call *c, struct klx_app_state *h, const struct klx_app_view *v) {
    typedef void (*due_fn)(struct klx_news_call *, struct klx_app_state *,
                           const struct klx_app_view *, int64_t);
    static const due_fn fns[KLX_APP_TROUBLES_N] = { on_out_due, on_waiting_due, on_health_due,
                                                    on_error_due, on_deletion_due };
    for (size_t i = 0; i < KLX_APP_TROUBLES_N; i++) {
        int64_t due_us = h->troubles[i].due_us;
        if (due_us != KLX_TIME_NONE && due_us <= c->now_us) {
            fns[i](c, h, v, telling_time(c, due_us));
        }
    }
    int64_t settles_us = settles_at(h);
    if (settles_us != KLX_TIME_NONE && settles_us <= c->now_us) {
        on_settled(c, h, v, telling_time(c, settles_us));
    }
}

int64_t klx_app_next(const struct klx_app_state *h) {
    int64_t next_us = settles_at(h);
    for (size_t i = 0; i < KLX_APP_TROUBLES_N; i++) {
        next_us = klx_news_earlier(next_us, h->troubles[i].due_us);
    }
    return next_us;
}
