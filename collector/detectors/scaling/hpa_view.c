#include "collector/detectors/scaling/hpa_view.h"

#include "collector/detectors/scaling/scaling.h"
#include "lib/base/cleanup.h"
#include "lib/base/quantity.h"
#include "lib/base/time.h"

#define NAME_BYTES_MAX 253
#define QUANTITY_BYTES_MAX 40
#define TOLERANCE_DEFAULT 0.1 /* of the HPA controller */

#define WINDOW_S_MAX 3600 /* of the API */

/* Where a metric of a type keeps its parts, in the spec and in the status. */
static const struct metric_type {
    const char *type, *member, *name;
} metric_types[] = {
    { "Resource", "resource", "name" },        { "ContainerResource", "containerResource", "name" },
    { "Pods", "pods", "metric.name" },         { "Object", "object", "metric.name" },
    { "External", "external", "metric.name" },
};

static const struct metric_type *type_of(const struct klx_json *metric) {
    struct klx_sv type = klx_json_str(metric, "type");
    for (size_t i = 0; i < KLX_COUNT(metric_types); i++) {
        if (klx_sv_eq(type, klx_sv(metric_types[i].type))) {
            return &metric_types[i];
        }
    }
    return NULL;
}

/* status.currentMetrics has no entry for a metric that cannot be read, so places say nothing. */
static const struct klx_json *current_of(const struct klx_json *object, const struct metric_type *t,
                                         const struct klx_hpa_metric *m) {
    const struct klx_json *c = klx_json_first(klx_json_get(object, "status.currentMetrics"));
    for (; c != NULL; c = klx_json_next(c)) {
        const struct klx_json *body = klx_json_get(c, t->member);
        if (type_of(c) == t && klx_sv_eq(klx_json_str(body, t->name), m->name) &&
            klx_sv_eq(klx_json_str(body, "container"), m->container)) {
            return klx_json_get(body, "current");
        }
    }
    return NULL;
}

/* Bytes are shown with a binary suffix; everything else as it is written. */
static struct klx_sv quantity_words(struct klx_arena *a, struct klx_sv text, bool bytes) {
    char words[KLX_QUANTITY_TEXT_BYTES];
    double value = 0;
    if (!bytes || klx_quantity_parse(text, &value) != 0) {
        return text;
    }
    klx_quantity_bytes(value, words);
    return klx_arena_dup(a, klx_sv(words));
}

static void read_quantity(struct klx_arena *a, struct klx_hpa_metric *m,
                          const struct klx_json *current, const struct klx_json *target,
                          const char *member) {
    struct klx_sv value = klx_news_cut(klx_json_str(current, member), QUANTITY_BYTES_MAX);
    struct klx_sv wanted = klx_news_cut(klx_json_str(target, member), QUANTITY_BYTES_MAX);
    bool bytes = klx_sv_eq(m->name, KLX_SV("memory")) || klx_sv_ends(wanted, KLX_SV("i"));
    double v = 0, t = 0;
    m->value = quantity_words(a, value, bytes);
    m->target = quantity_words(a, wanted, bytes);
    if (klx_quantity_parse(value, &v) == 0 && klx_quantity_parse(wanted, &t) == 0 && t > 0) {
        m->ratio = v / t;
    }
}

static void read_utilization(struct klx_arena *a, struct klx_hpa_metric *m,
                             const struct klx_json *current, const struct klx_json *target) {
    int64_t value = klx_json_int(current, "averageUtilization", -1);
    int64_t wanted = klx_json_int(target, "averageUtilization", -1);
    m->utilization = true;
    m->target = klx_arena_printf(a, "%lld %%", (long long)wanted);
    if (value >= 0) {
        m->value = klx_arena_printf(a, "%lld %%", (long long)value);
    }
    if (value >= 0 && wanted > 0) {
        m->ratio = (double)value / (double)wanted;
    }
}

static void read_metric(struct klx_arena *a, const struct klx_json *object,
                        const struct klx_json *spec, struct klx_hpa_view *v) {
    const struct metric_type *t = type_of(spec);
    if (t == NULL || v->metrics_n == KLX_HPA_METRICS_MAX) {
        return;
    }
    struct klx_hpa_metric *m = &v->metrics[v->metrics_n++];
    const struct klx_json *body = klx_json_get(spec, t->member);
    const struct klx_json *target = klx_json_get(body, "target");
    struct klx_sv type = klx_json_str(target, "type");
    *m = (struct klx_hpa_metric){ .type = klx_sv(t->type),
                                  .name = klx_news_cut(klx_json_str(body, t->name), NAME_BYTES_MAX),
                                  .container =
                                      klx_news_cut(klx_json_str(body, "container"), NAME_BYTES_MAX),
                                  .ratio = -1 };
    const struct klx_json *current = current_of(object, t, m);
    if (klx_sv_eq(type, KLX_SV("Utilization"))) {
        read_utilization(a, m, current, target);
    } else {
        read_quantity(a, m, current, target,
                      klx_sv_eq(type, KLX_SV("Value")) ? "value" : "averageValue");
    }
    if (m->ratio >= 0 && (v->pressing == NULL || m->ratio > v->pressing->ratio)) {
        v->pressing = m;
    }
}

static void read_condition(const struct klx_json *c, struct klx_hpa_view *v) {
    struct klx_sv type = klx_json_str(c, "type"), status = klx_json_str(c, "status");
    struct klx_hpa_condition *to = klx_sv_eq(type, KLX_SV("AbleToScale"))      ? &v->able
                                   : klx_sv_eq(type, KLX_SV("ScalingActive"))  ? &v->active
                                   : klx_sv_eq(type, KLX_SV("ScalingLimited")) ? &v->limited
                                                                               : NULL;
    if (to != NULL) {
        *to = (struct klx_hpa_condition){
            .status = klx_sv_eq(status, KLX_SV("True"))    ? KLX_HPA_CONDITION_TRUE
                      : klx_sv_eq(status, KLX_SV("False")) ? KLX_HPA_CONDITION_FALSE
                                                           : KLX_HPA_CONDITION_UNKNOWN,
            .reason = klx_json_str(c, "reason"),
            .message = klx_json_str(c, "message"),
            .since_us = klx_news_time(c, "lastTransitionTime"),
        };
    }
}

static void read_behavior(const struct klx_json *up, struct klx_hpa_view *v) {
    v->up_disabled = klx_sv_eq(klx_json_str(up, "selectPolicy"), KLX_SV("Disabled"));
    int64_t window_s = klx_json_int(up, "stabilizationWindowSeconds", 0);
    v->up_window_us = (window_s > 0 && window_s <= WINDOW_S_MAX ? window_s : 0) * KLX_US_PER_S;
    v->up_tolerance = TOLERANCE_DEFAULT;
    double tolerance = 0;
    if (klx_quantity_parse(klx_json_str(up, "tolerance"), &tolerance) == 0) {
        v->up_tolerance = tolerance;
    }
}

void klx_hpa_view_read(struct klx_arena *a, const struct klx_json *object,
                       struct klx_hpa_view *ret) {
    const struct klx_json *spec = klx_json_get(object, "spec");
    const struct klx_json *status = klx_json_get(object, "status");
    const struct klx_json *conditions = klx_json_first(klx_json_get(status, "conditions"));
    const struct klx_json *metrics = klx_json_first(klx_json_get(spec, "metrics"));
    *ret = (struct klx_hpa_view){
        .target_kind = klx_json_str(spec, "scaleTargetRef.kind"),
        .target_name = klx_json_str(spec, "scaleTargetRef.name"),
        .min = klx_json_int(spec, "minReplicas", 1),
        .max = klx_json_int(spec, "maxReplicas", 0),
        /* Before the first look the status is there, and says 0. */
        .has_status = conditions != NULL,
        .current = conditions != NULL ? klx_json_int(status, "currentReplicas", 0) : -1,
        .desired = conditions != NULL ? klx_json_int(status, "desiredReplicas", 0) : -1,
        .scaled_us = klx_news_time(status, "lastScaleTime"),
    };
    /* An HPA that never could compute says 0 as well; one that scaled to 0 has a lastScaleTime. */
    if (ret->desired == 0 && ret->current > 0 && ret->scaled_us == KLX_TIME_NONE) {
        ret->desired = -1;
    }
    for (; conditions != NULL; conditions = klx_json_next(conditions)) {
        read_condition(conditions, ret);
    }
    for (; metrics != NULL; metrics = klx_json_next(metrics)) {
        read_metric(a, object, metrics, ret);
    }
    read_behavior(klx_json_get(spec, "behavior.scaleUp"), ret);
}

struct klx_sv klx_hpa_metric_words(struct klx_arena *a, const struct klx_hpa_metric *m) {
    if (m == NULL) {
        return klx_sv("");
    }
    return klx_arena_printf(a, "%.*s%s%.*s %.*s against %.*s", KLX_SV_FMT(m->name),
                            m->container.n > 0 ? " of " : "", KLX_SV_FMT(m->container),
                            KLX_SV_FMT(m->value), KLX_SV_FMT(m->target));
}

struct klx_sv klx_hpa_metric_name(struct klx_arena *a, const struct klx_hpa_metric *m) {
    bool resource = klx_sv_ends(m->type, KLX_SV("Resource"));
    return klx_arena_printf(a, "%.*s %s%s", KLX_SV_FMT(m->name), resource ? "resource" : "metric",
                            m->utilization ? " utilization (percentage of request)" : "");
}

static bool owns_bounds(const struct klx_json *entry) {
    const struct klx_json *spec = klx_json_get(entry, "fieldsV1.f:spec");
    return klx_json_get(spec, "f:minReplicas") != NULL ||
           klx_json_get(spec, "f:maxReplicas") != NULL;
}

static bool has_part(struct klx_sv s, const char *const *parts, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (klx_sv_find_sv(s, klx_sv(parts[i])) < s.n) {
            return true;
        }
    }
    return false;
}

/* A person uses one of a few tools, and what reconciles is named by what it is. `kubectl apply` may be either. */
static const char *how_of(struct klx_sv manager) {
    static const char *const tools[] = {
        "kubectl-edit", "kubectl-patch", "kubectl-autoscale", "kubectl-replace", "kubectl-create",
        "k9s",          "Lens",          "Mozilla",           "headlamp"
    };
    static const char *const machines[] = { "controller", "manager", "operator",  "adapter",
                                            "helm",       "argocd",  "terraform", "flux" };
    if (has_part(manager, tools, KLX_COUNT(tools))) {
        return "hand";
    }
    return has_part(manager, machines, KLX_COUNT(machines)) ? "reconcile" : "";
}

struct klx_hpa_writer klx_hpa_bounds_writer(const struct klx_json *object) {
    struct klx_hpa_writer w = { .time_us = KLX_TIME_NONE, .how = "" };
    const struct klx_json *entry = klx_json_first(klx_json_get(object, "metadata.managedFields"));
    for (; entry != NULL; entry = klx_json_next(entry)) {
        int64_t at_us = klx_news_time(entry, "time");
        bool later = w.manager.n == 0 || (at_us != KLX_TIME_NONE && at_us >= w.time_us);
        if (owns_bounds(entry) && later) {
            w.manager = klx_news_cut(klx_json_str(entry, "manager"), NAME_BYTES_MAX);
            w.time_us = at_us;
        }
    }
    w.how = how_of(w.manager);
    return w;
}
