/*
 * How many replicas the metrics of a workload's pods ask for, as the HPA controller computes it
 * (k8s.io/kubernetes 1.36, pkg/controller/podautoscaler/replica_calculator.go; of resource metrics only).
 *
 *   pods ─▶ deleting, Failed: left out
 *           Pending, and not ready where the metric is CPU: set aside
 *           without a sample: missing
 *           the others: their usage against the target gives the ratio
 *
 * With nobody missing and nobody set aside on the way up: within the tolerance nothing changes, else ceil(ratio × pods). Else the missing
 * count as the target on the way down and as nothing on the way up, those set aside as nothing on the way up, and a result that is within
 * the tolerance or points the other way changes nothing. Numbers are whole and cut as the controller cuts them. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/error.h"

#define KLX_REPLICAS_MAX 100000 /* nothing asks for more */
#define KLX_USAGE_MAX                                                                              \
    INT64_C(4000000000000000) /* of a pod, milli-units: 4 TB; a thousand of them fit into a sum */

enum klx_pod_phase { KLX_POD_RUNNING, KLX_POD_PENDING, KLX_POD_GONE /* deleting, or Failed */ };

struct klx_pod_usage {
    enum klx_pod_phase phase;
    bool has_sample;
    int64_t usage;   /* of the metric, in milli-units */
    int64_t request; /* milli-units; for a target in percent of the request */
    /* For CPU alone: */
    bool has_ready; /* it has a condition Ready and a start time */
    bool ready;
    int64_t started_us, ready_changed_us; /* its start; the last change of its condition Ready */
    int64_t sample_us, window_us;         /* of its sample: when, and over how long */
};

struct klx_replicas_target {
    bool utilization; /* `value` is percent of the request; else milli-units a pod */
    bool cpu;         /* pods that are not ready are set aside */
    int64_t value;
};

/* Flags of kube-controller-manager and behavior.*.tolerance. */
struct klx_replicas_rules {
    double up_tolerance, down_tolerance;
    int64_t cpu_initialization_us, readiness_delay_us;
};

/* The controller's defaults: 0.1, 5 min, 30 s. */
extern const struct klx_replicas_rules klx_replicas_rules_default;

struct klx_replicas_question {
    const struct klx_replicas_rules *rules;
    struct klx_replicas_target target;
    const struct klx_pod_usage *pods;
    size_t n;
    int32_t current; /* replicas that the workload has */
    int64_t now_us;
};

/* The replicas that are asked for. -ENODATA: no pod has a sample, or a request is missing; the controller then says FailedGet…Metric. */
int klx_replicas_wanted(const struct klx_replicas_question *q, int32_t *ret) KLX_MUST_CHECK;
