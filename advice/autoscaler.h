/*
 * The HPA that advice is asked for: what it scales, by which rules, and what may be changed about it.
 *
 * Read from the object (autoscaling/v2, as `kubectl get hpa -o json` prints it), which says everything, or from what the events of
 * klaxon.scaling say of it: they carry bounds, metrics and target, but no `behavior`. Of ama-metrics it is that of the add-on, of all
 * others the API's defaults, and the report says so.
 *
 * Played is a target of memory: `averageValue`, or `averageUtilization` where requests are known. Other metrics can only ask for more
 * replicas than it does; they are named in `left_out`.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "advice/scaler.h"
#include "lib/base/buf.h"
#include "lib/base/error.h"
#include "lib/base/json.h"

#define KLX_AUTOSCALER_NAME_BYTES 254
#define KLX_AUTOSCALER_WORDS_BYTES 256

/* The add-on's HPA (facts: prometheus-collector, addon-chart/azure-monitor-metrics-addon). */
#define KLX_MANAGED_HPA "ama-metrics-hpa"
#define KLX_MANAGED_NAMESPACE "kube-system"
#define KLX_MANAGED_MIN 2 /* what its reconciliation keeps */
#define KLX_MANAGED_MAX 30
#define KLX_MANAGED_MAX_RESET                                                                      \
    24 /* a maximum of so many is taken for an old default, and replaced */

struct klx_autoscaler {
    char cluster[KLX_AUTOSCALER_NAME_BYTES]; /* "" until an event said it */
    char namespace[KLX_AUTOSCALER_NAME_BYTES];
    char name[KLX_AUTOSCALER_NAME_BYTES];
    char workload_kind[KLX_AUTOSCALER_NAME_BYTES], workload[KLX_AUTOSCALER_NAME_BYTES];
    char workload_api
        [KLX_AUTOSCALER_NAME_BYTES]; /* its apiVersion, "apps/v1" unless the object said it */
    char container[KLX_AUTOSCALER_NAME_BYTES]; /* of ContainerResource; "": the whole pod */
    struct klx_scaler_spec spec;               /* of one metric: the memory's */
    size_t metric_index;                       /* of the memory among spec.metrics */
    bool has_bounds, has_target;               /* what is known by now */
    bool behavior_known;                       /* it was in the object */
    bool managed;                              /* of the add-on: only min and max can be changed */
    char left_out[KLX_AUTOSCALER_WORDS_BYTES]; /* "cpu 80 %": metrics that are not played */
};

void klx_autoscaler_init(struct klx_autoscaler *s, const char *namespace, const char *name);
/* -EINVAL with what is wrong or missing about the object. */
int klx_autoscaler_read_object(struct klx_autoscaler *s, const struct klx_json *hpa,
                               struct klx_error *e) KLX_MUST_CHECK;
/* The `hpa` of an event's data; what is not in it stays as it was. Foreign values are passed over. */
void klx_autoscaler_take_event(struct klx_autoscaler *s, const struct klx_json *hpa);
/* Decides what an event and an object leave open: behavior, whether it is the add-on's. -EINVAL with what is missing and how to give it. */
int klx_autoscaler_settle(struct klx_autoscaler *s, struct klx_error *e) KLX_MUST_CHECK;
/* A name of Kubernetes: what is written to terminals and files as it is. */
bool klx_autoscaler_is_name(struct klx_sv text);
/* "5Gi" or "80 %". */
void klx_autoscaler_target_words(const struct klx_scaler_spec *spec, struct klx_buf *out);
