/*
 * The HPA controller's algorithm with a driven clock (k8s.io/kubernetes 1.36, pkg/controller/podautoscaler/horizontal.go): what one look at
 * a workload makes of its replicas. Pure but for what the controller itself remembers of an HPA: its recommendations and its changes.
 *
 *   metrics ─▶ recommendation (the greatest of them) ─▶ stabilization ─▶ policies, or without `behavior` at most max(2 × current, 4) ─▶ min, max
 *
 * Outside of the bounds the replicas are put to the bound at once, no metric is looked at. Where all metrics fail nothing changes; where
 * some fail, nothing is scaled down.
 *
 *   stabilization   with `behavior`: up to the lowest recommendation of its scaleUp window, down to the highest of its scaleDown window;
 *                   without: the highest of the last five minutes (--horizontal-pod-autoscaler-downscale-stabilization)
 *   policies        how far the replicas may be from what they were `period_s` ago; Max takes the largest change, Min the smallest
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "advice/replicas.h"

#define KLX_SCALER_METRICS_MAX 8
#define KLX_SCALER_POLICIES_MAX 8
#define KLX_SCALER_WINDOW_MAX_S 3600 /* the API's own limits */
#define KLX_SCALER_PERIOD_MAX_S 1800
#define KLX_SCALER_UNSET (-1)

enum klx_scaler_select { KLX_SELECT_MAX, KLX_SELECT_MIN, KLX_SELECT_DISABLED };

struct klx_scaler_policy {
    bool percent; /* else pods */
    int32_t value;
    int32_t period_s;
};

struct klx_scaler_rules {
    int32_t window_s; /* KLX_SCALER_UNSET: of scaleDown, the controller's */
    enum klx_scaler_select select;
    struct klx_scaler_policy policies[KLX_SCALER_POLICIES_MAX];
    size_t policies_n;
    double tolerance; /* negative: the controller's */
};

struct klx_scaler_spec {
    int32_t min, max;
    struct klx_replicas_target metrics[KLX_SCALER_METRICS_MAX];
    size_t metrics_n;
    bool has_behavior;
    struct klx_scaler_rules up, down; /* with has_behavior */
};

/* Of kube-controller-manager. */
struct klx_scaler_flags {
    int64_t sync_us;      /* --horizontal-pod-autoscaler-sync-period */
    int64_t downscale_us; /* --horizontal-pod-autoscaler-downscale-stabilization */
    struct klx_replicas_rules rules;
};
extern const struct klx_scaler_flags klx_scaler_flags_default; /* 15 s, 5 min */

/* What the API server puts in for what a behavior leaves out: scaleUp 0 s, 4 pods or 100 % in 15 s; scaleDown 100 % in 15 s. */
extern const struct klx_scaler_rules klx_scaler_up_default, klx_scaler_down_default;

/* Pods as each metric of the spec sees them. */
struct klx_scaler_view {
    const struct klx_pod_usage *pods[KLX_SCALER_METRICS_MAX];
    size_t n;
    int32_t current;
    int64_t now_us; /* never before that of the last look */
};

enum klx_scaler_limit {
    KLX_LIMIT_NONE,
    KLX_LIMIT_TOO_MANY, /* ScalingLimited: TooManyReplicas, … */
    KLX_LIMIT_TOO_FEW,
    KLX_LIMIT_UP_RATE,
    KLX_LIMIT_DOWN_RATE,
};

struct klx_scaler_decision {
    int32_t desired; /* the replicas from now on */
    int32_t
        recommended; /* by the metrics alone; KLX_SCALER_UNSET: they were not looked at, or fail */
    bool stabilized; /* AbleToScale: ScaleUpStabilized, ScaleDownStabilized */
    bool blind;      /* ScalingActive False: nothing changes */
    enum klx_scaler_limit limit;
};

struct klx_scaler; /* what the controller remembers of one HPA */

struct klx_scaler *klx_scaler_new(const struct klx_scaler_flags *flags);
void klx_scaler_free(struct klx_scaler *s);
/* One look. A spec may be another one than at the last look. */
struct klx_scaler_decision klx_scaler_look(struct klx_scaler *s, const struct klx_scaler_spec *spec,
                                           const struct klx_scaler_view *view);
/* The steps behind the metrics, for what was recommended: stabilization, policies, bounds. It is remembered, as in a look. */
struct klx_scaler_decision klx_scaler_settle(struct klx_scaler *s,
                                             const struct klx_scaler_spec *spec, int32_t current,
                                             int32_t recommended, int64_t now_us);
/* What it would remember of the past: a recommendation; a change of the replicas (negative: down). For tests. */
void klx_scaler_remember(struct klx_scaler *s, int32_t recommended, int64_t at_us);
void klx_scaler_remember_change(struct klx_scaler *s, int32_t change, int64_t at_us);
