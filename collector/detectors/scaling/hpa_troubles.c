#include "collector/detectors/scaling/hpa_troubles.h"

#include <inttypes.h>
#include <stdio.h>

#include "collector/detectors/scaling/hpa_news.h"
#include "collector/detectors/scaling/hpa_rules.h"
#include "lib/base/cleanup.h"

#define CALM_RATIO 0.95 /* a metric that was over its target is no pressure any more */
#define PEAK_STEP                                                                                  \
    1.1 /* a peak is kept when it is this much above the last: the state is not written at each sample */
#define FRESH_US KLX_MINUTE_US

/* One trouble of one HPA in one call. */
struct work {
    struct klx_news_call *c;
    struct klx_hpa_state *h;
    const struct klx_hpa_view *v;
    enum klx_hpa_trouble_kind kind;
    struct klx_hpa_trouble *t;
};

static struct work work_on(struct klx_news_call *c, struct klx_hpa_state *h,
                           const struct klx_hpa_view *v, enum klx_hpa_trouble_kind kind) {
    return (struct work){ c, h, v, kind, &h->troubles[kind] };
}

static void tell(const struct work *w, enum klx_kind kind, enum klx_phase phase, int64_t at_us,
                 struct klx_sv summary) {
    const struct klx_hpa_news n = { .h = w->h, .v = w->v, .trouble = w->t };
    klx_hpa_tell(w->c, &n,
                 (struct klx_news){ .kind = kind,
                                    .severity = klx_kind_specs[kind].severity,
                                    .time_us = at_us,
                                    .reason = klx_sv(w->t->reason),
                                    .summary = summary,
                                    .episode = &w->t->episode,
                                    .phase = phase });
}

static struct klx_sv opening_words(const struct work *w, int64_t at_us) {
    struct klx_arena *a = w->c->out->arena;
    const struct klx_hpa_state *h = w->h;
    const char *lasted = klx_news_words(w->c, w->t->since_us, at_us);
    const char *colon = w->t->detail[0] != '\0' ? ": " : "";
    switch (w->kind) {
    case KLX_HPA_AT_MAX:
        return klx_arena_printf(
            a, "HPA %s/%s has been at its maximum of %" PRId64 " for %s under pressure%s%s",
            h->namespace, h->name, h->max, lasted, colon, w->t->detail);
    case KLX_HPA_AT_MIN:
        return klx_arena_printf(a,
                                "HPA %s/%s has stayed at its minimum of %" PRId64
                                " for %s although it is over target%s%s",
                                h->namespace, h->name, h->min, lasted, colon, w->t->detail);
    case KLX_HPA_BLIND:
        return klx_arena_printf(a, "HPA %s/%s has not been able to scale %s %s for %s (%s)%s%s",
                                h->namespace, h->name, h->target_kind, h->target_name, lasted,
                                w->t->reason, colon, w->t->detail);
    default:
        return klx_arena_printf(a, "HPA %s/%s is flapping: it changed direction %d times in %s",
                                h->namespace, h->name, KLX_HPA_TURNS, lasted);
    }
}

static void open_incident(const struct work *w, int64_t at_us) {
    static const enum klx_kind kinds[] = { KLX_KIND_HPA_AT_MAX, KLX_KIND_HPA_AT_MIN,
                                           KLX_KIND_HPA_BLIND, KLX_KIND_HPA_FLAPPING };
    char since[32];
    snprintf(since, sizeof(since), "%" PRId64, w->t->since_us);
    const struct klx_sv parts[] = { klx_sv(klx_kind_specs[kinds[w->kind]].type),
                                    klx_sv(w->h->namespace), klx_sv(w->h->name), klx_sv(w->h->uid),
                                    klx_sv(since) };
    struct klx_sv id =
        klx_incident_id(w->c->out->arena, klx_sv(w->c->cluster), parts, KLX_COUNT(parts));
    enum klx_phase phase = klx_episode_open(&w->t->episode, w->t->since_us, KLX_HPA_REOPEN_US, id);
    tell(w, kinds[w->kind], phase, at_us, opening_words(w, at_us));
}

static struct klx_sv ending_words(const struct work *w, int64_t at_us) {
    struct klx_arena *a = w->c->out->arena;
    const struct klx_hpa_state *h = w->h;
    const char *lasted = klx_news_words(w->c, w->t->since_us, at_us);
    switch (w->kind) {
    case KLX_HPA_AT_MAX:
    case KLX_HPA_AT_MIN:
        return klx_arena_printf(a,
                                "HPA %s/%s is no longer under pressure at its %s: %" PRId64
                                " replicas, bounds %" PRId64 "–%" PRId64 ", after %s",
                                h->namespace, h->name,
                                w->kind == KLX_HPA_AT_MAX ? "maximum" : "minimum", h->desired,
                                h->min, h->max, lasted);
    case KLX_HPA_BLIND:
        return klx_arena_printf(a, "HPA %s/%s is able to scale %s %s again, after %s", h->namespace,
                                h->name, h->target_kind, h->target_name, lasted);
    default:
        return klx_arena_printf(a, "HPA %s/%s is not flapping any more: one direction for %s",
                                h->namespace, h->name, klx_news_words(w->c, 0, KLX_HPA_FLAP_US));
    }
}

static void clear(struct klx_hpa_trouble *t) {
    t->since_us = KLX_TIME_NONE;
    t->due_us = KLX_TIME_NONE;
    t->peak = 0;
    t->reason[0] = '\0';
    t->detail[0] = '\0';
}

static void end(const struct work *w, int64_t at_us) {
    static const enum klx_kind kinds[] = { KLX_KIND_HPA_RELIEVED, KLX_KIND_HPA_RELIEVED,
                                           KLX_KIND_HPA_SIGHTED, KLX_KIND_HPA_STEADY };
    if (klx_episode_is_open(&w->t->episode)) {
        tell(w, kinds[w->kind], KLX_PHASE_RESOLVED, at_us, ending_words(w, at_us));
        klx_episode_close(&w->t->episode, at_us);
    }
    clear(w->t);
}

static void begin(const struct work *w, int64_t since_us, int64_t hold_us, struct klx_sv reason) {
    w->t->since_us = since_us;
    w->t->due_us = since_us + hold_us;
    klx_news_copy(w->t->reason, sizeof(w->t->reason), reason);
}

/* When it began, by the condition's own time, unless that is the time of something else: lastTransitionTime stays when only the reason
   changes, but a list after a gap has no better one. */
static int64_t since_of(const struct work *w, int64_t transition_us) {
    bool known = transition_us != KLX_TIME_NONE && transition_us <= w->c->now_us;
    bool fresh = known && w->c->now_us - transition_us < FRESH_US;
    return fresh || (known && w->c->o->origin != KLX_ORIGIN_LIVE) ? transition_us : w->c->now_us;
}

static void keep_peak(const struct work *w) {
    const struct klx_hpa_metric *m = w->v->pressing;
    if (m == NULL || m->ratio * 1000 <= (double)w->t->peak * PEAK_STEP) {
        return;
    }
    w->t->peak = m->ratio < 1e6 ? (int64_t)(m->ratio * 1000) : 1000000000;
    klx_news_copy(w->t->detail, sizeof(w->t->detail), klx_hpa_metric_words(w->c->out->arena, m));
}

static void weigh_max(const struct work *w) {
    const struct klx_hpa_view *v = w->v;
    bool wants_more = v->limited.status == KLX_HPA_CONDITION_TRUE &&
                      klx_sv_eq(v->limited.reason, KLX_SV("TooManyReplicas"));
    bool at_max = v->desired >= v->max && v->desired > 0;
    bool pressed = wants_more || (v->pressing != NULL && v->pressing->ratio > 1);
    /* A blind HPA shows no metric: that is no calm. */
    bool calm = !wants_more && (v->pressing != NULL ? v->pressing->ratio <= CALM_RATIO
                                                    : v->active.status == KLX_HPA_CONDITION_TRUE);
    if (w->t->since_us == KLX_TIME_NONE && at_max && pressed) {
        begin(w, since_of(w, wants_more ? v->limited.since_us : v->scaled_us),
              klx_scaling_of(w->c)->at_max_after_us,
              wants_more ? KLX_SV("TooManyReplicas") : KLX_SV("MaxReplicasUnderPressure"));
    } else if (w->t->since_us != KLX_TIME_NONE && (!at_max || calm)) {
        end(w, w->c->now_us);
    }
    if (w->t->since_us != KLX_TIME_NONE) {
        keep_peak(w);
    }
}

static void weigh_min(const struct work *w) {
    const struct klx_hpa_view *v = w->v;
    double ratio = v->pressing != NULL ? v->pressing->ratio : -1;
    bool at_min = v->desired == v->min && v->desired < v->max && v->desired > 0;
    if (w->t->since_us == KLX_TIME_NONE && at_min && ratio > 1 + v->up_tolerance) {
        begin(w, w->c->now_us, klx_scaling_of(w->c)->at_max_after_us + v->up_window_us,
              v->up_disabled ? KLX_SV("ScaleUpDisabled") : KLX_SV("MinReplicasUnderPressure"));
    } else if (w->t->since_us != KLX_TIME_NONE && (!at_min || (ratio >= 0 && ratio <= 1))) {
        end(w, w->c->now_us);
    }
    if (w->t->since_us != KLX_TIME_NONE) {
        keep_peak(w);
    }
}

static void weigh_blind(const struct work *w) {
    const struct klx_hpa_view *v = w->v;
    bool no_metrics = v->active.status == KLX_HPA_CONDITION_FALSE &&
                      !klx_sv_eq(v->active.reason, KLX_SV("ScalingDisabled"));
    bool unable = v->able.status == KLX_HPA_CONDITION_FALSE;
    const struct klx_hpa_condition *why = no_metrics ? &v->active : &v->able;
    bool blind = no_metrics || unable;
    if (blind && w->t->since_us == KLX_TIME_NONE) {
        begin(w, klx_news_begun(why->since_us, w->c->now_us), klx_scaling_of(w->c)->blind_after_us,
              why->reason);
        klx_news_copy(w->t->detail, sizeof(w->t->detail), why->message);
    } else if (!blind && w->t->since_us != KLX_TIME_NONE) {
        end(w, w->c->now_us);
    }
}

void klx_hpa_weigh(struct klx_news_call *c, struct klx_hpa_state *h, const struct klx_hpa_view *v) {
    struct work max = work_on(c, h, v, KLX_HPA_AT_MAX);
    struct work min = work_on(c, h, v, KLX_HPA_AT_MIN);
    struct work blind = work_on(c, h, v, KLX_HPA_BLIND);
    if (v->has_status) {
        weigh_max(&max);
        weigh_min(&min);
        weigh_blind(&blind);
    }
}

void klx_hpa_turn(struct klx_news_call *c, struct klx_hpa_state *h, int direction, int64_t at_us,
                  const struct klx_hpa_view *v) {
    struct work w = work_on(c, h, v, KLX_HPA_FLAPPING);
    bool turned = h->direction != 0 && h->direction != direction;
    h->direction = direction;
    if (!turned) {
        return;
    }
    for (size_t i = 0; i + 1 < KLX_HPA_TURNS; i++) {
        h->turns[i] = h->turns[i + 1];
    }
    h->turns[KLX_HPA_TURNS - 1] = at_us;
    bool many = h->turns[0] != KLX_TIME_NONE && at_us - h->turns[0] <= KLX_HPA_FLAP_US;
    if (w.t->since_us == KLX_TIME_NONE && many) {
        begin(&w, h->turns[0], 0, KLX_SV("Flapping"));
        open_incident(&w, at_us);
    }
    if (w.t->since_us != KLX_TIME_NONE) {
        w.t->due_us = at_us + KLX_HPA_FLAP_US;
    }
}

int64_t klx_hpa_next(const struct klx_hpa_state *h) {
    int64_t next_us = KLX_TIME_NONE;
    for (size_t i = 0; i < KLX_HPA_TROUBLES_N; i++) {
        next_us = klx_news_earlier(next_us, h->troubles[i].due_us);
    }
    return next_us;
}

void klx_hpa_due(struct klx_news_call *c, struct klx_hpa_state *h, const struct klx_hpa_view *v) {
    for (size_t i = 0; i < KLX_HPA_TROUBLES_N; i++) {
        struct work w = work_on(c, h, v, (enum klx_hpa_trouble_kind)i);
        int64_t due_us = w.t->due_us;
        if (due_us == KLX_TIME_NONE || due_us > c->now_us) {
            continue;
        }
        w.t->due_us = KLX_TIME_NONE;
        if (w.kind == KLX_HPA_FLAPPING) {
            end(&w, due_us);
        } else {
            open_incident(&w, due_us);
        }
    }
}

static void tell_removed(struct klx_news_call *c, struct klx_hpa_state *h,
                         struct klx_hpa_trouble *t, const char *was) {
    const struct klx_hpa_news n = { .h = h, .trouble = t };
    struct klx_arena *a = c->out->arena;
    struct klx_sv keeps = h->desired > 0
                              ? klx_arena_printf(a, "its %" PRId64 " replicas", h->desired)
                              : KLX_SV("the replicas it has");
    klx_hpa_tell(c, &n,
                 (struct klx_news){
                     .kind = KLX_KIND_HPA_REMOVED,
                     .time_us = c->now_us,
                     .reason = KLX_SV("HpaRemoved"),
                     .summary = klx_arena_printf(a, "HPA %s/%s was removed%s: %s %s keeps %.*s",
                                                 h->namespace, h->name, was, h->target_kind,
                                                 h->target_name, KLX_SV_FMT(keeps)),
                     .episode = t != NULL ? &t->episode : NULL,
                     .phase = KLX_PHASE_RESOLVED });
}

void klx_hpa_removed(struct klx_news_call *c, struct klx_hpa_state *h) {
    static const char *const was[] = { " while it was at its maximum",
                                       " while it was held at its minimum",
                                       " while it could not scale", " while it was flapping" };
    size_t told = 0;
    for (size_t i = 0; i < KLX_HPA_TROUBLES_N; i++) {
        if (klx_episode_is_open(&h->troubles[i].episode)) {
            tell_removed(c, h, &h->troubles[i], was[i]);
            told++;
        }
    }
    if (told == 0) {
        tell_removed(c, h, NULL, "");
    }
}
