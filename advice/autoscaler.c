#include "advice/autoscaler.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/quantity.h"

#define MILLI 1000.0
#define PERCENT_MAX 100000
#define REPLICAS_MAX 1000 /* that are played */

bool klx_autoscaler_is_name(struct klx_sv text) {
    if (text.n == 0 || text.n >= KLX_AUTOSCALER_NAME_BYTES) {
        return false;
    }
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '-' || c == '.' || c == '_';
        if (!plain) {
            return false;
        }
    }
    return true;
}

static bool take_name(char out[static KLX_AUTOSCALER_NAME_BYTES], struct klx_sv text) {
    if (!klx_autoscaler_is_name(text)) {
        return false;
    }
    snprintf(out, KLX_AUTOSCALER_NAME_BYTES, "%.*s", KLX_SV_FMT(text));
    return true;
}

void klx_autoscaler_init(struct klx_autoscaler *s, const char *namespace, const char *name) {
    *s = (struct klx_autoscaler){ .spec = { .min = 1 } };
    snprintf(s->namespace, sizeof(s->namespace), "%s", namespace != NULL ? namespace : "");
    snprintf(s->name, sizeof(s->name), "%s", name);
    snprintf(s->workload_api, sizeof(s->workload_api), "apps/v1");
}

static bool take_bounds(struct klx_autoscaler *s, int64_t min, int64_t max) {
    if (min < 1 || max < min || max > REPLICAS_MAX) {
        return false;
    }
    s->spec.min = (int32_t)min;
    s->spec.max = (int32_t)max;
    s->has_bounds = true;
    return true;
}

static bool take_value(struct klx_autoscaler *s, bool utilization, double value) {
    double most = utilization ? PERCENT_MAX : (double)KLX_USAGE_MAX / MILLI;
    if (!(value > 0) || value > most) {
        return false;
    }
    s->spec.metrics[0] =
        (struct klx_replicas_target){ .utilization = utilization,
                                      .value = (int64_t)(utilization ? value : value * MILLI) };
    s->spec.metrics_n = 1;
    s->has_target = true;
    return true;
}

static void leave_out(struct klx_autoscaler *s, struct klx_sv name) {
    size_t used = strlen(s->left_out);
    bool room = used + name.n + 3 < sizeof(s->left_out);
    if (room && klx_autoscaler_is_name(name)) {
        snprintf(s->left_out + used, sizeof(s->left_out) - used, "%s%.*s", used > 0 ? ", " : "",
                 KLX_SV_FMT(name));
    }
}

/* Of the memory of a pod, or of one of its containers. */
static bool take_object_metric(struct klx_autoscaler *s, const struct klx_json *metric,
                               size_t index) {
    bool container = klx_sv_eq(klx_json_str(metric, "type"), KLX_SV("ContainerResource"));
    const struct klx_json *r = klx_json_get(metric, container ? "containerResource" : "resource");
    double value = 0;
    if (r == NULL || !klx_sv_eq(klx_json_str(r, "name"), KLX_SV("memory")) || s->has_target) {
        leave_out(s, r != NULL ? klx_json_str(r, "name") : klx_json_str(metric, "type"));
        return true;
    }
    s->metric_index = index;
    if (container && !take_name(s->container, klx_json_str(r, "container"))) {
        return false;
    }
    int64_t percent = klx_json_int(r, "target.averageUtilization", 0);
    if (percent > 0) {
        return take_value(s, true, (double)percent);
    }
    return klx_quantity_parse(klx_json_str(r, "target.averageValue"), &value) == 0 &&
           take_value(s, false, value);
}

/* "apps/v1". */
static void take_api(struct klx_autoscaler *s, struct klx_sv version) {
    struct klx_sv rest = version, group = klx_sv_cut(&rest, '/');
    if (klx_autoscaler_is_name(group) && (rest.n == 0 || klx_autoscaler_is_name(rest))) {
        snprintf(s->workload_api, sizeof(s->workload_api), "%.*s", KLX_SV_FMT(version));
    }
}

static bool read_policy(const struct klx_json *p, struct klx_scaler_policy *ret) {
    int64_t value = klx_json_int(p, "value", 0), period = klx_json_int(p, "periodSeconds", 0);
    ret->percent = klx_sv_eq(klx_json_str(p, "type"), KLX_SV("Percent"));
    ret->value = (int32_t)value;
    ret->period_s = (int32_t)period;
    return value > 0 && value <= KLX_REPLICAS_MAX && period > 0 &&
           period <= KLX_SCALER_PERIOD_MAX_S;
}

/* What is not there keeps the API's default. */
static int read_rules(const struct klx_json *from, struct klx_scaler_rules *r,
                      struct klx_error *e) {
    int64_t window = klx_json_int(from, "stabilizationWindowSeconds", r->window_s);
    struct klx_sv select = klx_json_str(from, "selectPolicy");
    const struct klx_json *policies = klx_json_get(from, "policies");
    double tolerance = -1;
    if (window < -1 || window > KLX_SCALER_WINDOW_MAX_S) {
        return klx_fail(e, -EINVAL, "stabilizationWindowSeconds of %lld", (long long)window);
    }
    r->window_s = (int32_t)window;
    r->select = klx_sv_eq(select, KLX_SV("Disabled")) ? KLX_SELECT_DISABLED
                : klx_sv_eq(select, KLX_SV("Min"))    ? KLX_SELECT_MIN
                                                      : KLX_SELECT_MAX;
    if (klx_quantity_parse(klx_json_str(from, "tolerance"), &tolerance) == 0) {
        r->tolerance = tolerance;
    }
    r->policies_n = policies != NULL ? 0 : r->policies_n;
    for (const struct klx_json *p = klx_json_first(policies); p != NULL; p = klx_json_next(p)) {
        if (r->policies_n == KLX_SCALER_POLICIES_MAX ||
            !read_policy(p, &r->policies[r->policies_n++])) {
            return klx_fail(e, -EINVAL, "a policy that is not understood, or more than %d",
                            KLX_SCALER_POLICIES_MAX);
        }
    }
    return 0;
}

static int read_behavior(struct klx_autoscaler *s, const struct klx_json *behavior,
                         struct klx_error *e) {
    s->behavior_known = true;
    s->spec.has_behavior = klx_json_is_object(behavior);
    s->spec.up = klx_scaler_up_default;
    s->spec.down = klx_scaler_down_default;
    int rc = read_rules(klx_json_get(behavior, "scaleUp"), &s->spec.up, e);
    if (rc != 0) {
        return klx_fail_in(e, rc, "spec.behavior.scaleUp");
    }
    rc = read_rules(klx_json_get(behavior, "scaleDown"), &s->spec.down, e);
    return rc != 0 ? klx_fail_in(e, rc, "spec.behavior.scaleDown") : 0;
}

static int read_identity(struct klx_autoscaler *s, const struct klx_json *hpa,
                         struct klx_error *e) {
    if (!klx_sv_eq(klx_json_str(hpa, "kind"), KLX_SV("HorizontalPodAutoscaler"))) {
        return klx_fail(e, -EINVAL,
                        "it is no HorizontalPodAutoscaler: print it with `kubectl get hpa %s -n "
                        "NAMESPACE -o json`",
                        s->name);
    }
    if (!klx_sv_eq(klx_json_str(hpa, "metadata.name"), klx_sv(s->name))) {
        return klx_fail(e, -EINVAL, "it is the HPA \"%.*s\", not \"%s\"",
                        KLX_SV_FMT(klx_json_str(hpa, "metadata.name")), s->name);
    }
    return take_name(s->namespace, klx_json_str(hpa, "metadata.namespace")) &&
                   take_name(s->workload_kind, klx_json_str(hpa, "spec.scaleTargetRef.kind")) &&
                   take_name(s->workload, klx_json_str(hpa, "spec.scaleTargetRef.name"))
               ? 0
               : klx_fail(e, -EINVAL, "it has no namespace, or no scaleTargetRef");
}

int klx_autoscaler_read_object(struct klx_autoscaler *s, const struct klx_json *hpa,
                               struct klx_error *e) {
    int rc = read_identity(s, hpa, e);
    if (rc != 0) {
        return rc;
    }
    s->left_out[0] = '\0';
    s->has_target = false;
    size_t index = 0;
    take_api(s, klx_json_str(hpa, "spec.scaleTargetRef.apiVersion"));
    for (const struct klx_json *m = klx_json_first(klx_json_get(hpa, "spec.metrics")); m != NULL;
         m = klx_json_next(m), index++) {
        if (!take_object_metric(s, m, index)) {
            return klx_fail(e, -EINVAL, "spec.metrics: a memory metric without a usable target");
        }
    }
    if (!take_bounds(s, klx_json_int(hpa, "spec.minReplicas", 1),
                     klx_json_int(hpa, "spec.maxReplicas", 0))) {
        return klx_fail(e, -EINVAL, "spec: minReplicas and maxReplicas must be 1 to %d",
                        REPLICAS_MAX);
    }
    return read_behavior(s, klx_json_get(hpa, "spec.behavior"), e);
}

/* "5Gi", or "80 %". */
static void take_target_words(struct klx_autoscaler *s, struct klx_sv words) {
    double value = 0;
    int64_t percent = 0;
    if (klx_sv_ends(words, KLX_SV("%"))) {
        words.n--;
        if (klx_sv_int(klx_sv_trim(words), &percent) == 0) {
            take_value(s, true, (double)percent);
        }
    } else if (klx_quantity_parse(words, &value) == 0) {
        take_value(s, false, value);
    }
}

static void take_event_metrics(struct klx_autoscaler *s, const struct klx_json *metrics) {
    bool found = false;
    size_t index = 0;
    s->left_out[0] = '\0';
    for (const struct klx_json *m = klx_json_first(metrics); m != NULL;
         m = klx_json_next(m), index++) {
        struct klx_sv type = klx_json_str(m, "type");
        bool resource =
            klx_sv_eq(type, KLX_SV("Resource")) || klx_sv_eq(type, KLX_SV("ContainerResource"));
        if (!resource || found || !klx_sv_eq(klx_json_str(m, "name"), KLX_SV("memory"))) {
            leave_out(s, klx_json_str(m, "name"));
            continue;
        }
        found = true;
        s->metric_index = index;
        s->container[0] = '\0';
        (void)take_name(s->container, klx_json_str(m, "container"));
        take_target_words(s, klx_json_str(m, "target"));
    }
}

void klx_autoscaler_take_event(struct klx_autoscaler *s, const struct klx_json *hpa) {
    const struct klx_json *metrics = klx_json_get(hpa, "metrics");
    (void)take_bounds(s, klx_json_int(hpa, "min", 0), klx_json_int(hpa, "max", 0));
    (void)take_name(s->workload_kind, klx_json_str(hpa, "target.kind"));
    (void)take_name(s->workload, klx_json_str(hpa, "target.name"));
    if (klx_json_first(metrics) != NULL) {
        take_event_metrics(s, metrics);
    }
}

/* As the add-on renders it: one pod in five minutes down, up by default. */
static void assume_managed(struct klx_autoscaler *s) {
    s->spec.has_behavior = true;
    s->spec.up = klx_scaler_up_default;
    s->spec.down = (struct klx_scaler_rules){ .window_s = 300,
                                              .policies = { { .value = 1, .period_s = 300 } },
                                              .policies_n = 1,
                                              .tolerance = -1 };
    if (!s->has_target) {
        snprintf(s->container, sizeof(s->container), "prometheus-collector");
        (void)take_value(s, false, 5.0 * (1 << 30));
    }
}

int klx_autoscaler_settle(struct klx_autoscaler *s, struct klx_error *e) {
    s->managed =
        strcmp(s->name, KLX_MANAGED_HPA) == 0 && strcmp(s->namespace, KLX_MANAGED_NAMESPACE) == 0;
    if (s->managed && !s->behavior_known) {
        assume_managed(s);
    }
    if (!s->has_bounds || s->workload[0] == '\0') {
        return klx_fail(e, -EINVAL,
                        "no event of this time says what HPA %s is like; give it with --hpa FILE, "
                        "as `kubectl get hpa %s -o json` prints it",
                        s->name, s->name);
    }
    if (!s->has_target) {
        return klx_fail(e, -EINVAL,
                        "HPA %s has no memory metric that is known%s%s: only those are played; "
                        "--hpa FILE says which it has",
                        s->name, s->left_out[0] != '\0' ? ", only " : "", s->left_out);
    }
    return 0;
}

void klx_autoscaler_target_words(const struct klx_scaler_spec *spec, struct klx_buf *out) {
    char text[KLX_QUANTITY_TEXT_BYTES];
    const struct klx_replicas_target *t = &spec->metrics[0];
    if (t->utilization) {
        klx_buf_printf(out, "%lld %%", (long long)t->value);
    } else {
        klx_quantity_bytes((double)t->value / MILLI, text);
        klx_buf_add_str(out, text);
    }
}
