/*
 * AnalysisRuns of Argo Rollouts: why an analysis did not succeed, in numbers (facts: argocd.md 2.2). The rules:
 *
 *   failed    the phase became Failed, Error or Inconclusive: the metrics that are no success, what they measured, and their message. Once
 *             for each run; one that had ended when it was first listed is history.
 *
 * The incident is the Rollout's, whose detector tells that its analysis failed and what becomes of it: the event is about the Rollout, which
 * the run's ownerReference names, and has its key, so that it stands beside them. A run of nobody is told of itself. Dry runs count for
 * nothing. Queries, arguments and their values stay where they are.
 *
 * State records are "<namespace>/<name>" of each run that is told, until it is deleted. There are no timers.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "collector/detectors/detector.h"
#include "collector/detectors/gitops/app_news.h"
#include "collector/detectors/news.h"
#include "collector/redact.h"
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"

#define STATE_BYTES_MAX 1024
#define LABELS_BYTES 512
#define NAME_BYTES_MAX 253
#define MESSAGE_BYTES_MAX 400
#define METRICS_MAX 8
#define VALUES_MAX 5 /* the last ones */
#define VALUE_BYTES_MAX 120
#define KEY_BYTES (64 + 254)

struct entry {
    char key[KEY_BYTES]; /* "namespace/name" */
    char uid[80];
    UT_hash_handle hh;
};

struct detector {
    char *cluster;
    struct entry *told;
};

/* A run that did not succeed. */
struct run {
    struct klx_news_call *c;
    const struct klx_json *object;
    struct klx_sv name, phase, message;
    struct klx_sv rollout, rollout_uid; /* empty: nobody's */
};

static void *create(struct klx_sv cluster, const void *settings) {
    (void)settings;
    struct detector *d = klx_alloc(struct detector);
    d->cluster = klx_sv_dup(cluster);
    return d;
}

static void forget(struct detector *d, struct entry *e) {
    HASH_DEL(d->told, e);
    free(e);
}

static void destroy(void *detector) {
    struct detector *d = detector;
    struct entry *e = NULL, *next = NULL;
    HASH_ITER(hh, d->told, e, next) {
        forget(d, e);
    }
    free(d->cluster);
    free(d);
}

static struct entry *find(const struct detector *d, struct klx_sv key) {
    struct entry *e = NULL;
    HASH_FIND(hh, d->told, key.p, key.n, e);
    return e;
}

static struct entry *remember(struct detector *d, struct klx_sv key, struct klx_sv uid) {
    struct entry *e = find(d, key);
    if (e == NULL) {
        e = klx_alloc(struct entry);
        klx_news_copy(e->key, sizeof(e->key), key);
        HASH_ADD_STR(d->told, key, e);
    }
    klx_news_copy(e->uid, sizeof(e->uid), uid);
    return e;
}

static int restore(void *detector, struct klx_sv object, struct klx_sv value) {
    struct klx_arena arena KLX_CLEANUP(klx_arena_release);
    const struct klx_json *v = NULL;
    klx_arena_init(&arena, 1024, 65536);
    if (klx_sv_find(object, '/') == object.n || object.n >= KEY_BYTES ||
        klx_json_parse(&arena, value, NULL, &v, NULL) != 0 || klx_json_int(v, "version", 0) != 1 ||
        klx_json_str(v, "uid").n == 0) {
        return -EBADMSG;
    }
    remember(detector, object, klx_json_str(v, "uid"));
    return 0;
}

static void put_state(struct klx_news_call *c, const struct entry *e, struct klx_sv value) {
    c->out->state(c->out,
                  klx_arena_printf(c->out->arena, "%s/%s/%s", c->cluster, c->detector, e->key),
                  value);
}

static void save(struct klx_news_call *c, const struct entry *e) {
    struct klx_buf value KLX_CLEANUP(klx_buf_release);
    struct klx_jw w;
    klx_buf_init(&value, STATE_BYTES_MAX);
    klx_jw_init(&w, &value);
    klx_jw_begin_object(&w);
    klx_jw_member_int(&w, "version", 1);
    klx_jw_member_str(&w, "uid", e->uid);
    klx_jw_end_object(&w);
    put_state(c, e, klx_buf_sv(&value));
}

static bool ended_badly(struct klx_sv phase) {
    return klx_sv_eq(phase, KLX_SV("Failed")) || klx_sv_eq(phase, KLX_SV("Error")) ||
           klx_sv_eq(phase, KLX_SV("Inconclusive"));
}

static bool counts(const struct klx_json *metric) {
    return !klx_json_bool(metric, "dryRun", false) && ended_badly(klx_json_str(metric, "phase"));
}

static const struct klx_json *next_bad(const struct klx_json *metric) {
    while (metric != NULL && !counts(metric)) {
        metric = klx_json_next(metric);
    }
    return metric;
}

static const struct klx_json *first_bad(const struct run *r) {
    return next_bad(klx_json_first(klx_json_get(r->object, "status.metricResults")));
}

static struct klx_sv safe(const struct run *r, const struct klx_json *node, const char *path,
                          size_t bytes_max) {
    return klx_redact(r->c->out->arena, klx_json_str(node, path), bytes_max);
}

/* The last of its measurements, oldest first. */
static const struct klx_json *first_shown(const struct klx_json *metric) {
    const struct klx_json *first = klx_json_first(klx_json_get(metric, "measurements")), *m = first;
    for (size_t n = 0; m != NULL; m = klx_json_next(m), n++) {
        first = n >= VALUES_MAX ? klx_json_next(first) : first;
    }
    return first;
}

static void write_metric(struct klx_jw *w, const struct run *r, const struct klx_json *metric) {
    static const char *const numbers[] = { "count", "failed", "error", "inconclusive" };
    klx_jw_begin_object(w);
    klx_jw_member_sv(w, "name", klx_news_cut(klx_json_str(metric, "name"), NAME_BYTES_MAX));
    klx_jw_member_sv(w, "phase", klx_json_str(metric, "phase"));
    klx_jw_member_sv_opt(w, "message", safe(r, metric, "message", MESSAGE_BYTES_MAX));
    for (size_t i = 0; i < KLX_COUNT(numbers); i++) {
        int64_t n = klx_json_int(metric, numbers[i], 0);
        if (n > 0) {
            klx_jw_member_int(w, numbers[i], n);
        }
    }
    klx_jw_key(w, "values");
    klx_jw_begin_array(w);
    for (const struct klx_json *m = first_shown(metric); m != NULL; m = klx_json_next(m)) {
        klx_jw_sv(w, safe(r, m, "value", VALUE_BYTES_MAX));
    }
    klx_jw_end_array(w);
    klx_jw_end_object(w);
}

static void write_metrics(struct klx_jw *w, const struct run *r) {
    size_t n = 0;
    klx_jw_key(w, "metrics");
    klx_jw_begin_array(w);
    for (const struct klx_json *m = first_bad(r); m != NULL && n < METRICS_MAX;
         m = next_bad(klx_json_next(m)), n++) {
        write_metric(w, r, m);
    }
    klx_jw_end_array(w);
}

static struct klx_sv label(const struct run *r, const char *key) {
    const struct klx_json *labels = klx_json_get(r->object, "metadata.labels");
    return klx_news_cut(klx_json_str(klx_json_member(labels, klx_sv(key)), ""), NAME_BYTES_MAX);
}

static void details(struct klx_jw *w, const void *arg) {
    const struct run *r = arg;
    if (r->rollout.n > 0) {
        klx_jw_key(w, "rollout");
        klx_jw_begin_object(w);
        klx_jw_member_sv_opt(w, "podHash", label(r, "rollouts-pod-template-hash"));
        klx_jw_member_sv(w, "analysis", r->name);
        klx_jw_end_object(w);
    }
    klx_jw_key(w, "analysisRun");
    klx_jw_begin_object(w);
    klx_jw_member_sv(w, "name", r->name);
    klx_jw_member_sv(w, "phase", r->phase);
    klx_jw_member_sv_opt(w, "type", label(r, "rollout-type"));
    klx_jw_member_sv_opt(w, "step", label(r, "step-index"));
    klx_jw_member_sv_opt(w, "message", r->message);
    write_metrics(w, r);
    klx_jw_end_object(w);
}

/* "error-rate measured 0.12, 0.2", or the run's message when no metric is to blame. */
static struct klx_sv why(const struct run *r) {
    struct klx_arena *a = r->c->out->arena;
    const struct klx_json *metric = first_bad(r);
    if (metric == NULL) {
        return r->message;
    }
    struct klx_sv name = klx_news_cut(klx_json_str(metric, "name"), NAME_BYTES_MAX);
    struct klx_sv values = klx_sv(NULL);
    for (const struct klx_json *m = first_shown(metric); m != NULL; m = klx_json_next(m)) {
        struct klx_sv value = safe(r, m, "value", VALUE_BYTES_MAX);
        values = value.n == 0    ? values
                 : values.n == 0 ? value
                                 : KLX_CONCAT(a, values, KLX_SV(", "), value);
    }
    return values.n > 0
               ? KLX_CONCAT(a, name, KLX_SV(" measured "), values)
               : KLX_CONCAT(a, name, KLX_SV(": "), safe(r, metric, "message", MESSAGE_BYTES_MAX));
}

static struct klx_sv summary(const struct run *r, const char *namespace) {
    struct klx_arena *a = r->c->out->arena;
    struct klx_sv reason = why(r);
    struct klx_sv what =
        r->rollout.n > 0
            ? KLX_CONCAT(a, KLX_SV("Rollout "), klx_sv(namespace), KLX_SV("/"), r->rollout,
                         KLX_SV(": analysis "), r->name)
            : KLX_CONCAT(a, KLX_SV("AnalysisRun "), klx_sv(namespace), KLX_SV("/"), r->name);
    return KLX_CONCAT(a, what, KLX_SV(" ended "), r->phase,
                      reason.n > 0 ? KLX_SV(": ") : KLX_SV(""), reason);
}

static void tell(const struct run *r) {
    const struct klx_observation *o = r->c->o;
    struct klx_arena *a = r->c->out->arena;
    bool of_rollout = r->rollout.n > 0;
    char labels[LABELS_BYTES];
    klx_app_labels(o->labels, labels, sizeof(labels));
    struct klx_sv name = of_rollout ? r->rollout : r->name;
    const struct klx_news_object about = {
        .kind = of_rollout ? "Rollout" : "AnalysisRun",
        .api_version = "argoproj.io/v1alpha1",
        .source = "analysisruns",
        .namespace = klx_arena_dup(a, o->namespace).p,
        .name = klx_arena_dup(a, name).p,
        .uid = klx_arena_dup(a, klx_news_cut(of_rollout ? r->rollout_uid : o->uid, 79)).p,
        .labels = labels,
    };
    int64_t ended_us = klx_news_time(r->object, "status.completedAt");
    klx_news_tell(r->c, &about,
                  &(struct klx_news){
                      .kind = KLX_KIND_ANALYSIS_FAILED,
                      .severity = klx_kind_specs[KLX_KIND_ANALYSIS_FAILED].severity,
                      .time_us = ended_us != KLX_TIME_NONE ? ended_us : r->c->now_us,
                      .reason = KLX_CONCAT(a, KLX_SV("AnalysisRun"), r->phase),
                      .summary = summary(r, about.namespace),
                      .id = o->uid, /* once for each run, whatever of it is seen later */
                      .details = details,
                      .arg = r,
                  });
}

static void find_owner(struct run *r) {
    const struct klx_json *o = klx_json_first(klx_json_get(r->object, "metadata.ownerReferences"));
    for (; o != NULL; o = klx_json_next(o)) {
        if (klx_sv_eq(klx_json_str(o, "kind"), KLX_SV("Rollout"))) {
            r->rollout = klx_news_cut(klx_json_str(o, "name"), NAME_BYTES_MAX);
            r->rollout_uid = klx_json_str(o, "uid");
        }
    }
}

static void observe(void *detector, const struct klx_observation *o, int64_t now_us,
                    struct klx_outbox *out) {
    struct detector *d = detector;
    struct klx_news_call c = {
        .cluster = d->cluster, .detector = "analysisruns", .out = out, .o = o, .now_us = now_us
    };
    if (o->kind != KLX_OBSERVED_ANALYSIS_RUN) {
        return;
    }
    struct klx_sv key = KLX_CONCAT(out->arena, o->namespace, KLX_SV("/"), o->name);
    struct klx_sv uid = klx_news_cut(o->uid, sizeof(((struct entry *)NULL)->uid) - 1);
    struct entry *e = find(d, key);
    if (o->change == KLX_CHANGE_DELETED) {
        if (e != NULL) {
            put_state(&c, e, klx_sv(NULL));
            forget(d, e);
        }
        return;
    }
    struct run r = { .c = &c, .object = o->object, .name = klx_news_cut(o->name, NAME_BYTES_MAX) };
    r.phase = klx_json_str(o->object, "status.phase");
    if (!ended_badly(r.phase) || key.n >= KEY_BYTES ||
        (e != NULL && klx_sv_eq(klx_sv(e->uid), uid))) {
        return;
    }
    r.message = safe(&r, o->object, "status.message", MESSAGE_BYTES_MAX);
    find_owner(&r);
    save(&c, remember(d, key, uid));
    if (o->origin != KLX_ORIGIN_BASELINE) {
        tell(&r);
    }
}

static void relisted(void *detector, enum klx_observation_kind kind,
                     bool (*listed)(void *arg, struct klx_sv name), void *arg, int64_t now_us,
                     struct klx_outbox *out) {
    struct detector *d = detector;
    struct klx_news_call c = {
        .cluster = d->cluster, .detector = "analysisruns", .out = out, .now_us = now_us
    };
    struct entry *e = NULL, *next = NULL;
    HASH_ITER(hh, d->told, e, next) {
        if (kind == KLX_OBSERVED_ANALYSIS_RUN && !listed(arg, klx_sv(e->key))) {
            klx_outbox_next_object(out);
            put_state(&c, e, klx_sv(NULL));
            forget(d, e);
        }
    }
}

static int64_t tick(void *detector, int64_t now_us, struct klx_outbox *out) {
    (void)detector;
    (void)now_us;
    (void)out;
    return KLX_TIME_NONE;
}

const struct klx_detector_ops klx_detector_analysisruns = {
    .name = "analysisruns",
    .create = create,
    .destroy = destroy,
    .restore = restore,
    .observe = observe,
    .relisted = relisted,
    .tick = tick,
};
