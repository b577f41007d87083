/*
 * What an autoscaling/v2 HorizontalPodAutoscaler says of itself, read from its object. Pure; the views borrow from the object and the arena.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/json.h"

#define KLX_HPA_METRICS_MAX 8 /* more are not looked at */

struct klx_hpa_metric {
    struct klx_sv type;      /* Resource, ContainerResource, Pods, Object, External */
    struct klx_sv name;      /* memory, or the metric's own */
    struct klx_sv container; /* of a ContainerResource */
    struct klx_sv value,
        target;       /* for people: "7Gi", "83 %"; the value is empty while it is not known */
    bool utilization; /* a percentage of the request */
    double ratio;     /* value / target; negative: not known */
};

struct klx_hpa_condition {
    enum { KLX_HPA_CONDITION_UNKNOWN, KLX_HPA_CONDITION_FALSE, KLX_HPA_CONDITION_TRUE } status;
    struct klx_sv reason;
    struct klx_sv message;
    int64_t since_us; /* lastTransitionTime: of the status, not of the reason */
};

struct klx_hpa_view {
    struct klx_sv target_kind, target_name;
    int64_t min, max;
    bool has_status;          /* the controller has looked at it */
    int64_t current, desired; /* -1: not known */
    int64_t scaled_us;        /* lastScaleTime: when the HPA itself last scaled */
    struct klx_hpa_condition able, active, limited;
    struct klx_hpa_metric metrics[KLX_HPA_METRICS_MAX];
    size_t metrics_n;
    const struct klx_hpa_metric
        *pressing;    /* the one with the greatest ratio; NULL: none is known */
    bool up_disabled; /* behavior.scaleUp.selectPolicy */
    double up_tolerance;
    int64_t up_window_us; /* behavior.scaleUp.stabilizationWindowSeconds */
};

void klx_hpa_view_read(struct klx_arena *a, const struct klx_json *object,
                       struct klx_hpa_view *ret);
/* "memory of prometheus-collector 7Gi against 5Gi", in the arena; empty when m is NULL. */
struct klx_sv klx_hpa_metric_words(struct klx_arena *a, const struct klx_hpa_metric *m);
/* The name by which the HPA controller would speak of it: "memory resource". */
struct klx_sv klx_hpa_metric_name(struct klx_arena *a, const struct klx_hpa_metric *m);

/* Who wrote spec.minReplicas and maxReplicas last, by metadata.managedFields. */
struct klx_hpa_writer {
    struct klx_sv manager; /* empty: not known */
    int64_t time_us;       /* KLX_TIME_NONE: not known */
    const char *how;       /* "hand", "reconcile", or "" when the manager does not tell */
};
struct klx_hpa_writer klx_hpa_bounds_writer(const struct klx_json *object);
