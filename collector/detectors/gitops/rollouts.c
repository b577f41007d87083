/*
 * Rollouts of Argo Rollouts. The custom resource is the truth: its Events are aggregated, filtered, and silent about what matters most.
 * The rules (facts: argocd.md 2.1); a phase counts only when the controller has seen the spec as it is:
 *
 *   started     currentPodHash changed, and is not what is stable.
 *   step        currentStepIndex grew, of the same pod hash.
 *   paused      pauseConditions has an entry, or spec.paused: by whom, what ends it. One that only a person ends is an incident.
 *   resumed     it has none any more, and is not aborted.
 *   analysis    a run of the Rollout's status ended Failed, Error or Inconclusive. Opens the incident of the failure.
 *   aborted     abort became true.          retried    it is not any more, of the same pod hash.
 *   degraded    the phase is Degraded without an abort: deadline, spec. Recovered when it is Healthy again without a promotion.
 *   completed   what is rolled out became stable. Back to stable: the spec went back to it.
 *   removed     ends what was open.
 *
 * State records are "<namespace>/<name>". There are no timers.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "collector/detectors/detector.h"
#include "collector/detectors/gitops/app_news.h"
#include "collector/detectors/gitops/rollout_state.h"
#include "collector/detectors/gitops/rollout_view.h"
#include "collector/detectors/object_table.h"
#include "collector/redact.h"
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"

#define STATE_BYTES_MAX 16384
#define REOPEN_US (10 * KLX_MINUTE_US)
#define MESSAGE_BYTES_MAX 400
#define NAME(h) (h)->namespace, (h)->name

struct detector {
    char *cluster;
    struct klx_object_table *rollouts;
};

/* One Rollout in one call. */
struct work {
    struct klx_news_call *c;
    struct klx_rollout_state *h;
    const struct klx_rollout_view *v; /* NULL: it is gone */
    struct klx_sv by, detail, from;
};

static void init_state(void *state, struct klx_sv namespace, struct klx_sv name) {
    klx_rollout_state_init(state, namespace, name);
}

static void write_state(const void *state, struct klx_buf *out) {
    klx_rollout_state_write(state, out);
}

static int read_state(void *state, struct klx_sv namespace, struct klx_sv name,
                      struct klx_sv value) {
    return klx_rollout_state_read(state, namespace, name, value);
}

static const struct klx_object_kind states = {
    .state_bytes = sizeof(struct klx_rollout_state),
    .record_bytes_max = STATE_BYTES_MAX,
    .init = init_state,
    .write = write_state,
    .read = read_state,
};

static void *create(struct klx_sv cluster, const void *settings) {
    (void)settings;
    struct detector *d = klx_alloc(struct detector);
    d->cluster = klx_sv_dup(cluster);
    d->rollouts = klx_object_table_new(&states);
    return d;
}

static void destroy(void *detector) {
    struct detector *d = detector;
    klx_object_table_free(d->rollouts);
    free(d->cluster);
    free(d);
}

static int restore(void *detector, struct klx_sv object, struct klx_sv value) {
    return klx_object_table_restore(((struct detector *)detector)->rollouts, object, value);
}

static void write_rollout(struct klx_jw *w, const struct work *x) {
    klx_jw_key(w, "rollout");
    klx_jw_begin_object(w);
    klx_jw_member_sv_opt(w, "podHash", klx_sv(x->h->pod_hash));
    klx_jw_member_sv_opt(w, "stable", klx_sv(x->h->stable));
    klx_jw_member_sv_opt(w, "from", x->from);
    if (x->v != NULL) {
        klx_jw_member_str(w, "strategy", x->v->canary ? "canary" : "blueGreen");
        klx_jw_member_sv_opt(w, "phase", x->v->phase);
        klx_jw_member_sv_opt(w, "revision", x->v->revision);
        klx_jw_member_sv_opt(w, "pause", x->v->pause);
        klx_jw_member_sv_opt(w, "analysis", x->v->analysis);
    }
    if (x->v != NULL && x->v->steps > 0) {
        klx_jw_member_int(w, "step", x->v->step);
        klx_jw_member_int(w, "steps", x->v->steps);
    }
    if (x->v != NULL && x->v->weight >= 0) {
        klx_jw_member_int(w, "weight", x->v->weight);
    }
    klx_jw_end_object(w);
}

static void details(struct klx_jw *w, const void *arg) {
    const struct work *x = arg;
    write_rollout(w, x);
    klx_jw_member_sv_opt(w, "by", x->by);
    klx_jw_member_sv_opt(w, "detail", x->detail);
    if (x->v != NULL && x->v->pause_ends_us != KLX_TIME_NONE) {
        klx_jw_member_time(w, "ends", x->v->pause_ends_us);
    }
}

static void tell(const struct work *x, struct klx_news m) {
    const struct klx_news_object about = {
        .kind = "Rollout",
        .api_version = "argoproj.io/v1alpha1",
        .source = "rollouts",
        .namespace = x->h->namespace,
        .name = x->h->name,
        .uid = x->h->uid,
        .labels = x->h->labels,
    };
    m.severity = m.severity == 0 ? klx_kind_specs[m.kind].severity : m.severity;
    bool before = x->c->o != NULL && x->c->o->origin == KLX_ORIGIN_BASELINE;
    m.time_us = m.time_us != KLX_TIME_NONE && !before ? m.time_us : x->c->now_us;
    m.details = details;
    m.arg = x;
    klx_news_tell(x->c, &about, &m);
}

static void alarm_of(const struct work *x, struct klx_episode *e, const char *cause,
                     struct klx_news m) {
    int64_t at_us = m.time_us != KLX_TIME_NONE ? m.time_us : x->c->now_us;
    struct klx_sv at = klx_arena_printf(x->c->out->arena, "%" PRId64, at_us);
    const struct klx_sv parts[] = { KLX_SV("Rollout"), klx_sv(x->h->namespace), klx_sv(x->h->name),
                                    klx_sv(x->h->uid), klx_sv(cause),           at };
    m.phase = klx_episode_open(
        e, at_us, REOPEN_US,
        klx_incident_id(x->c->out->arena, klx_sv(x->c->cluster), parts, KLX_COUNT(parts)));
    m.episode = e;
    tell(x, m);
}

/* Tells it as the end of the incident; without one it is told anyway when `always`. */
static void relieve(const struct work *x, struct klx_episode *e, struct klx_news m, bool always) {
    bool was_open = klx_episode_is_open(e);
    if (was_open) {
        m.episode = e;
        m.phase = KLX_PHASE_RESOLVED;
    }
    if (was_open || always) {
        tell(x, m);
    }
    if (was_open) {
        klx_episode_close(e, m.time_us != KLX_TIME_NONE ? m.time_us : x->c->now_us);
    }
}

/* " (revision 7)", or nothing. */
static const char *revision_words(const struct work *x) {
    struct klx_sv r = x->v->revision;
    return r.n > 0 ? klx_arena_printf(x->c->out->arena, " (revision %.*s)", KLX_SV_FMT(r)).p : "";
}

static void on_started(struct work *x) {
    struct klx_arena *a = x->c->out->arena;
    struct klx_rollout_state *h = x->h;
    h->under_way = true;
    h->started_us = x->c->now_us;
    h->step = x->v->step;
    x->from = klx_arena_dup(a, klx_sv(h->stable));
    tell(x, (struct klx_news){
                .kind = KLX_KIND_ROLLOUT_STARTED,
                .time_us = KLX_TIME_NONE,
                .reason = KLX_SV("RolloutStarted"),
                .summary = klx_arena_printf(a, "Rollout %s/%s: %s of %s%s began", NAME(h),
                                            x->v->canary ? "canary" : "blue-green rollout",
                                            h->pod_hash, revision_words(x)),
            });
}

static void on_completed(struct work *x, bool back) {
    struct klx_arena *a = x->c->out->arena;
    struct klx_rollout_state *h = x->h;
    const char *lasted =
        h->started_us == KLX_TIME_NONE
            ? ""
            : klx_arena_printf(a, " after %s", klx_news_words(x->c, h->started_us, x->c->now_us)).p;
    const struct klx_news m = {
        .kind = KLX_KIND_ROLLOUT_COMPLETED,
        .time_us = KLX_TIME_NONE,
        .reason = back ? KLX_SV("BackToStable") : KLX_SV("RolloutCompleted"),
        .summary = back ? klx_arena_printf(a, "Rollout %s/%s went back to what is stable, %s%s",
                                           NAME(h), h->pod_hash, revision_words(x))
                        : klx_arena_printf(a, "Rollout %s/%s: %s%s is stable%s", NAME(h),
                                           h->pod_hash, revision_words(x), lasted),
    };
    bool waited = klx_episode_is_open(&h->waits), failed = klx_episode_is_open(&h->failure);
    relieve(x, &h->waits, m, false);
    relieve(x, &h->failure, m, !waited || failed);
    h->under_way = false;
    h->started_us = KLX_TIME_NONE;
}

static void on_step(struct work *x) {
    struct klx_arena *a = x->c->out->arena;
    int64_t done = x->v->step - 1;
    struct klx_sv words = klx_rollout_step_words(a, x->v, done);
    tell(x, (struct klx_news){
                .kind = KLX_KIND_ROLLOUT_STEP,
                .time_us = KLX_TIME_NONE,
                .reason = KLX_SV("RolloutStepCompleted"),
                .summary = klx_arena_printf(
                    a, "Rollout %s/%s: step %" PRId64 " of %" PRId64 "%s%.*s%s is done", NAME(x->h),
                    x->v->step, x->v->steps, words.n > 0 ? " (" : "", KLX_SV_FMT(words),
                    words.n > 0 ? ")" : ""),
            });
}

static const char *pause_words(const struct work *x) {
    struct klx_sv p = x->v->pause;
    if (x->v->pause_ends_us != KLX_TIME_NONE) {
        return klx_arena_printf(x->c->out->arena, "goes on by itself after %s",
                                klx_news_words(x->c, x->v->paused_us, x->v->pause_ends_us))
            .p;
    }
    return klx_sv_starts(p, KLX_SV("Inconclusive"))
               ? "waits for somebody: its analysis is inconclusive"
           : klx_sv_eq(p, KLX_SV("Manual")) ? "was paused by hand"
                                            : "waits for somebody to promote it";
}

static void on_paused(struct work *x) {
    struct klx_arena *a = x->c->out->arena;
    const struct klx_rollout_view *v = x->v;
    bool manual = klx_sv_eq(v->pause, KLX_SV("Manual"));
    x->by = manual ? klx_app_writer(v->object, "f:spec.f:paused", x->c->now_us - KLX_MINUTE_US)
                   : klx_sv("");
    const struct klx_news m = {
        .kind = v->endless ? KLX_KIND_ROLLOUT_WAITS : KLX_KIND_ROLLOUT_PAUSED,
        .time_us = v->paused_us,
        .reason = v->pause,
        .summary =
            klx_arena_printf(a, "Rollout %s/%s is paused: it %s%s%.*s", NAME(x->h), pause_words(x),
                             x->by.n > 0 ? ", through " : "", KLX_SV_FMT(x->by)),
    };
    if (v->endless) {
        alarm_of(x, &x->h->waits, "waits", m);
    } else {
        tell(x, m);
    }
    x->by = klx_sv("");
}

/* Of a timed pause nobody needs to hear that its time is over: a step tells that. */
static void on_resumed(struct work *x) {
    relieve(x, &x->h->waits,
            (struct klx_news){
                .kind = KLX_KIND_ROLLOUT_RESUMED,
                .time_us = KLX_TIME_NONE,
                .reason = x->v->aborted ? KLX_SV("RolloutAborted") : KLX_SV("RolloutResumed"),
                .summary =
                    klx_arena_printf(x->c->out->arena, "Rollout %s/%s %s", NAME(x->h),
                                     x->v->aborted ? "waits no more: it was aborted" : "goes on"),
            },
            false);
}

/* A pause of another step is another pause. */
static void on_pause(struct work *x) {
    struct klx_rollout_state *h = x->h;
    struct klx_sv pause = x->v->pause;
    struct klx_sv mark = pause.n == 0 ? pause
                                      : klx_arena_printf(x->c->out->arena, "%.*s/%" PRId64,
                                                         KLX_SV_FMT(pause), x->v->step);
    if (klx_sv_eq(mark, klx_sv(h->pause))) {
        return;
    }
    klx_news_copy(h->pause, sizeof(h->pause), mark);
    on_resumed(x);
    if (pause.n > 0) {
        on_paused(x);
    }
}

static void on_analysis(struct work *x) {
    struct klx_arena *a = x->c->out->arena;
    const struct klx_rollout_view *v = x->v;
    if (v->analysis.n == 0 || klx_sv_eq(v->analysis, klx_sv(x->h->analysis))) {
        return;
    }
    klx_news_copy(x->h->analysis, sizeof(x->h->analysis), v->analysis);
    x->detail = klx_redact(a, v->analysis_message, MESSAGE_BYTES_MAX);
    alarm_of(x, &x->h->failure, "failure",
             (struct klx_news){
                 .kind = KLX_KIND_ROLLOUT_ANALYSIS,
                 .time_us = KLX_TIME_NONE,
                 .reason = klx_arena_printf(a, "Analysis%.*s", KLX_SV_FMT(v->analysis_phase)),
                 .summary = klx_arena_printf(a, "Rollout %s/%s: analysis %.*s ended %.*s%s%.*s",
                                             NAME(x->h), KLX_SV_FMT(v->analysis),
                                             KLX_SV_FMT(v->analysis_phase),
                                             x->detail.n > 0 ? ": " : "", KLX_SV_FMT(x->detail)),
             });
    x->detail = klx_sv("");
}

/* Who set status.abort; the controller itself is nobody. */
static struct klx_sv abort_writer(const struct work *x) {
    struct klx_sv by =
        klx_app_writer(x->v->object, "f:status.f:abort", x->c->now_us - KLX_MINUTE_US);
    return klx_sv_starts(by, KLX_SV("rollouts-controller")) ? klx_sv("") : by;
}

static const char *through_words(const struct work *x) {
    return x->by.n > 0 ? klx_arena_printf(x->c->out->arena, " through %.*s", KLX_SV_FMT(x->by)).p
                       : "";
}

/* While somebody's abort is only asked for, the message is of what was before. */
static void on_aborted(struct work *x) {
    struct klx_arena *a = x->c->out->arena;
    bool says = klx_sv_starts(x->v->message, KLX_SV("RolloutAborted"));
    x->by = abort_writer(x);
    x->detail = klx_redact(a, says ? x->v->message : klx_sv(""), MESSAGE_BYTES_MAX);
    alarm_of(x, &x->h->failure, "failure",
             (struct klx_news){
                 .kind = KLX_KIND_ROLLOUT_ABORTED,
                 .time_us = x->v->aborted_us,
                 .reason = KLX_SV("RolloutAborted"),
                 .summary = klx_arena_printf(
                     a, "Rollout %s/%s of %s%s was aborted%s; %s is served%s%.*s", NAME(x->h),
                     x->h->pod_hash, revision_words(x), through_words(x), x->h->stable,
                     x->detail.n > 0 ? ": " : "", KLX_SV_FMT(x->detail)),
             });
    x->by = x->detail = klx_sv("");
}

static void on_retried(struct work *x) {
    struct klx_episode *e = &x->h->failure;
    bool goes_on = klx_episode_is_open(e);
    x->by = abort_writer(x);
    tell(x,
         (struct klx_news){
             .kind = KLX_KIND_ROLLOUT_RETRIED,
             .time_us = KLX_TIME_NONE,
             .reason = KLX_SV("RolloutRetry"),
             .summary = klx_arena_printf(x->c->out->arena, "Rollout %s/%s of %s is tried again%s",
                                         NAME(x->h), x->h->pod_hash, through_words(x)),
             .episode = goes_on ? e : NULL,
             .phase = goes_on ? KLX_PHASE_UPDATE : KLX_PHASE_NONE,
         });
    x->by = klx_sv("");
}

static void on_abort(struct work *x, bool same) {
    bool was = x->h->aborted;
    x->h->aborted = x->v->aborted;
    if (x->v->aborted && !was) {
        on_aborted(x);
    } else if (was && !x->v->aborted && same) {
        on_retried(x);
    }
}

/* "ProgressDeadlineExceeded: …" */
static struct klx_sv degraded_reason(struct klx_sv message) {
    struct klx_sv rest = message, word = klx_sv_cut(&rest, ':');
    return rest.n > 0 && klx_sv_find(word, ' ') == word.n ? word : KLX_SV("Degraded");
}

static void on_degraded(struct work *x) {
    struct klx_arena *a = x->c->out->arena;
    x->detail = klx_redact(a, x->v->message, MESSAGE_BYTES_MAX);
    alarm_of(x, &x->h->failure, "failure",
             (struct klx_news){
                 .kind = KLX_KIND_ROLLOUT_DEGRADED,
                 .time_us = KLX_TIME_NONE,
                 .reason = degraded_reason(x->v->message),
                 .summary = klx_arena_printf(a, "Rollout %s/%s is Degraded%s%.*s", NAME(x->h),
                                             x->detail.n > 0 ? ": " : "", KLX_SV_FMT(x->detail)),
             });
}

static void on_phase(struct work *x) {
    struct klx_rollout_state *h = x->h;
    bool changed = !klx_sv_eq(x->v->phase, klx_sv(h->phase));
    klx_news_copy(h->phase, sizeof(h->phase), x->v->phase);
    if (changed && klx_sv_eq(x->v->phase, KLX_SV("Degraded")) && !x->v->aborted) {
        on_degraded(x);
    } else if (klx_sv_eq(x->v->phase, KLX_SV("Healthy")) && !h->under_way) {
        relieve(x, &h->failure,
                (struct klx_news){
                    .kind = KLX_KIND_ROLLOUT_RECOVERED,
                    .time_us = KLX_TIME_NONE,
                    .reason = KLX_SV("Healthy"),
                    .summary = klx_arena_printf(x->c->out->arena, "Rollout %s/%s is Healthy again",
                                                NAME(h)),
                },
                false);
    }
}

/* What is rolled out, and what is stable. */
static void on_hashes(struct work *x, bool same) {
    struct klx_rollout_state *h = x->h;
    bool is_stable = klx_sv_eq(x->v->pod_hash, x->v->stable);
    klx_news_copy(h->pod_hash, sizeof(h->pod_hash), x->v->pod_hash);
    if (!same && !is_stable) {
        on_started(x);
    } else if (h->under_way && is_stable) {
        bool back = klx_sv_eq(x->v->stable, klx_sv(h->stable));
        klx_news_copy(h->stable, sizeof(h->stable), x->v->stable);
        on_completed(x, back);
    }
    klx_news_copy(h->stable, sizeof(h->stable), x->v->stable);
}

static void on_steps(struct work *x, bool same) {
    bool further = same && x->h->under_way && x->v->steps > 0 && x->v->step > x->h->step;
    if (further && !x->v->aborted) {
        on_step(x);
    }
    x->h->step = x->v->step;
}

/* What is seen first has begun before: only what waits or fails now is told. */
static void on_first(struct work *x) {
    struct klx_rollout_state *h = x->h;
    const struct klx_rollout_view *v = x->v;
    klx_news_copy(h->pod_hash, sizeof(h->pod_hash), v->pod_hash);
    klx_news_copy(h->stable, sizeof(h->stable), v->stable);
    klx_news_copy(h->analysis, sizeof(h->analysis), v->analysis);
    h->step = v->step;
    /* The first version of all replaces nothing. */
    h->under_way = v->stable.n > 0 && !klx_sv_eq(v->pod_hash, v->stable);
    on_pause(x);
    on_abort(x, true);
    on_phase(x);
}

static void on_change(struct work *x) {
    bool same = klx_sv_eq(x->v->pod_hash, klx_sv(x->h->pod_hash));
    on_hashes(x, same);
    on_steps(x, same);
    on_analysis(x);
    on_pause(x);
    on_abort(x, same);
    on_phase(x);
}

static void on_removed(struct klx_news_call *c, struct detector *d, struct klx_rollout_state *h) {
    struct work x = { .c = c, .h = h };
    const struct klx_news m = {
        .kind = KLX_KIND_ROLLOUT_REMOVED,
        .time_us = KLX_TIME_NONE,
        .reason = KLX_SV("Removed"),
        .summary = klx_arena_printf(c->out->arena, "Rollout %s/%s was removed", NAME(h)),
    };
    relieve(&x, &h->waits, m, false);
    relieve(&x, &h->failure, m, false);
    klx_object_table_forget(d->rollouts, c, h);
}

static void observe(void *detector, const struct klx_observation *o, int64_t now_us,
                    struct klx_outbox *out) {
    struct detector *d = detector;
    struct klx_news_call c = { d->cluster, "rollouts", out, o, now_us, NULL, NULL };
    struct klx_rollout_view v;
    if (o->kind != KLX_OBSERVED_ROLLOUT ||
        o->name.n >= sizeof(((struct klx_rollout_state *)NULL)->name) ||
        o->namespace.n >= sizeof(((struct klx_rollout_state *)NULL)->namespace)) {
        return;
    }
    struct klx_rollout_state *h = klx_object_table_find(d->rollouts, o->namespace, o->name);
    bool deleted = o->change == KLX_CHANGE_DELETED;
    if (h != NULL && (deleted || !klx_sv_eq(klx_sv(h->uid), o->uid))) {
        on_removed(&c, d, h);
        h = NULL;
    }
    klx_rollout_view_read(o->object, &v);
    if (deleted || !v.current) {
        return;
    }
    bool first = h == NULL;
    h = first ? klx_object_table_add(d->rollouts, o->namespace, o->name) : h;
    klx_news_copy(h->uid, sizeof(h->uid), o->uid);
    klx_app_labels(o->labels, h->labels, sizeof(h->labels));
    struct work x = { .c = &c, .h = h, .v = &v };
    if (first) {
        on_first(&x);
    } else {
        on_change(&x);
    }
    klx_object_table_save(d->rollouts, &c, h);
}

static void relisted(void *detector, enum klx_observation_kind kind,
                     bool (*listed)(void *arg, struct klx_sv name), void *arg, int64_t now_us,
                     struct klx_outbox *out) {
    struct detector *d = detector;
    struct klx_news_call c = { d->cluster, "rollouts", out, NULL, now_us, NULL, NULL };
    struct klx_rollout_state *h = klx_object_table_first(d->rollouts), *next = NULL;
    for (; kind == KLX_OBSERVED_ROLLOUT && h != NULL; h = next) {
        next = klx_object_table_next(h);
        if (!listed(arg, klx_sv(klx_object_table_key(h)))) {
            klx_outbox_next_object(out);
            on_removed(&c, d, h);
        }
    }
}

static int64_t tick(void *detector, int64_t now_us, struct klx_outbox *out) {
    (void)detector;
    (void)now_us;
    (void)out;
    return KLX_TIME_NONE;
}

const struct klx_detector_ops klx_detector_rollouts = {
    .name = "rollouts",
    .create = create,
    .destroy = destroy,
    .restore = restore,
    .observe = observe,
    .relisted = relisted,
    .tick = tick,
};
