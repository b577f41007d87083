#include "collector/detectors/gitops/rollout_view.h"

#include "collector/detectors/news.h"
#include "lib/base/cleanup.h"

static struct klx_sv annotation(const struct klx_json *object, struct klx_sv name) {
    return klx_json_str(klx_json_member(klx_json_get(object, "metadata.annotations"), name), "");
}

/* status.observedGeneration is a text, metadata.generation a number. With a workloadRef the workload's generation counts too. */
static bool is_current(const struct klx_json *object) {
    int64_t seen = 0, workload = 0;
    struct klx_sv wanted = annotation(object, KLX_SV("rollout.argoproj.io/workload-generation"));
    if (klx_sv_int(klx_json_str(object, "status.observedGeneration"), &seen) != 0 ||
        seen != klx_json_int(object, "metadata.generation", -1)) {
        return false;
    }
    if (klx_json_get(object, "spec.workloadRef") == NULL || wanted.n == 0) {
        return true;
    }
    struct klx_sv observed = klx_json_str(object, "status.workloadObservedGeneration");
    return klx_sv_int(observed, &workload) == 0 && klx_sv_eq(observed, wanted);
}

static const struct klx_json *step_at(const struct klx_json *object, int64_t index) {
    const struct klx_json *s = klx_json_first(klx_json_get(object, "spec.strategy.canary.steps"));
    while (s != NULL && index-- > 0) {
        s = klx_json_next(s);
    }
    return s;
}

struct klx_sv klx_rollout_step_words(struct klx_arena *a, const struct klx_rollout_view *v,
                                     int64_t index) {
    const struct klx_json *member = klx_json_first(step_at(v->object, index));
    struct klx_sv name = member != NULL ? klx_json_key(member) : klx_sv("");
    int64_t weight = klx_json_int(member, "", -1);
    return klx_sv_eq(name, KLX_SV("setWeight"))
               ? klx_arena_printf(a, "setWeight %lld", (long long)weight)
               : klx_sv_utf8_prefix(name, 40);
}

static int64_t count_steps(const struct klx_json *object) {
    int64_t n = 0;
    const struct klx_json *s = klx_json_first(klx_json_get(object, "spec.strategy.canary.steps"));
    for (; s != NULL; s = klx_json_next(s)) {
        n++;
    }
    return n;
}

/* A duration is a number of seconds, or a text such as "10m". */
static int64_t duration_us(const struct klx_json *value) {
    int64_t ms = 0, s = klx_json_int(value, "", -1);
    struct klx_sv text = klx_json_str(value, "");
    if (s < 0 && klx_sv_int(text, &s) != 0) {
        s = -1;
    }
    if (s >= 0 && s < INT64_C(1) << 32) {
        return s * KLX_US_PER_S;
    }
    return klx_duration_parse(text, &ms) == 0 ? ms * KLX_US_PER_MS : KLX_TIME_NONE;
}

static int64_t pause_of(const struct klx_rollout_view *v) {
    if (klx_sv_eq(v->pause, KLX_SV("CanaryPauseStep"))) {
        return duration_us(klx_json_get(step_at(v->object, v->step), "pause.duration"));
    }
    return klx_sv_eq(v->pause, KLX_SV("BlueGreenPause"))
               ? duration_us(
                     klx_json_get(v->object, "spec.strategy.blueGreen.autoPromotionSeconds"))
               : KLX_TIME_NONE;
}

static void read_pause(struct klx_rollout_view *v) {
    const struct klx_json *p = klx_json_first(klx_json_get(v->object, "status.pauseConditions"));
    if (v->aborted) {
        p = NULL; /* until the controller has seen it, the pause is still there */
    }
    v->pause = klx_json_str(p, "reason");
    v->paused_us = klx_news_time(p, "startTime");
    v->pause_ends_us = KLX_TIME_NONE;
    if (p == NULL && !v->aborted && klx_json_bool(v->object, "spec.paused", false)) {
        v->pause = KLX_SV("Manual");
    }
    int64_t lasts_us = v->pause.n > 0 ? pause_of(v) : KLX_TIME_NONE;
    v->endless = v->pause.n > 0 && lasts_us == KLX_TIME_NONE;
    if (lasts_us != KLX_TIME_NONE && v->paused_us != KLX_TIME_NONE) {
        v->pause_ends_us = v->paused_us + lasts_us;
    }
}

static bool ended_badly(struct klx_sv phase) {
    return klx_sv_eq(phase, KLX_SV("Failed")) || klx_sv_eq(phase, KLX_SV("Error")) ||
           klx_sv_eq(phase, KLX_SV("Inconclusive"));
}

static void read_analysis(struct klx_rollout_view *v) {
    static const char *const places[] = { "status.canary.currentStepAnalysisRunStatus",
                                          "status.canary.currentBackgroundAnalysisRunStatus",
                                          "status.blueGreen.prePromotionAnalysisRunStatus",
                                          "status.blueGreen.postPromotionAnalysisRunStatus" };
    for (size_t i = 0; i < KLX_COUNT(places); i++) {
        const struct klx_json *run = klx_json_get(v->object, places[i]);
        if (ended_badly(klx_json_str(run, "status"))) {
            v->analysis = klx_json_str(run, "name");
            v->analysis_phase = klx_json_str(run, "status");
            v->analysis_message = klx_json_str(run, "message");
            return;
        }
    }
}

void klx_rollout_view_read(const struct klx_json *object, struct klx_rollout_view *v) {
    *v = (struct klx_rollout_view){
        .object = object,
        .current = is_current(object),
        .canary = klx_json_is_object(klx_json_get(object, "spec.strategy.canary")),
        .phase = klx_json_str(object, "status.phase"),
        .message = klx_json_str(object, "status.message"),
        .revision = annotation(object, KLX_SV("rollout.argoproj.io/revision")),
        .pod_hash = klx_json_str(object, "status.currentPodHash"),
        .stable = klx_json_str(object, "status.stableRS"),
        .aborted = klx_json_bool(object, "status.abort", false),
        .aborted_us = klx_news_time(object, "status.abortedAt"),
        .step = klx_json_int(object, "status.currentStepIndex", -1),
        .steps = count_steps(object),
        .weight = klx_json_int(object, "status.canary.weights.canary.weight", -1),
    };
    read_pause(v);
    read_analysis(v);
}
