/*
 * Nodes: what of a Node matters to people. Nothing is published by itself; the detectors speak for a node.
 */
#include "collector/sources/source.h"

#include <errno.h>

#include "lib/base/time.h"

#define UPGRADE_FLAG "cluster-autoscaler.kubernetes.io/scale-down-disabled"
#define UPGRADE_REASON "kubernetes.azure.com/azure-cluster-autoscaler-scale-down-disabled-reason"

static const struct klx_json *ready_condition(const struct klx_json *object) {
    const struct klx_json *conditions = klx_json_get(object, "status.conditions");
    for (const struct klx_json *c = klx_json_first(conditions); c != NULL; c = klx_json_next(c)) {
        if (klx_sv_eq(klx_json_str(c, "type"), KLX_SV("Ready"))) {
            return c;
        }
    }
    return NULL;
}

static int64_t time_at(const struct klx_json *node, const char *path) {
    int64_t us = 0;
    return klx_time_parse(klx_json_str(node, path), &us) == 0 ? us : KLX_TIME_NONE;
}

static bool is_upgrading(const struct klx_json *object) {
    const struct klx_json *annotations = klx_json_get(object, "metadata.annotations");
    struct klx_sv flag = klx_json_str(klx_json_member(annotations, KLX_SV(UPGRADE_FLAG)), "");
    struct klx_sv reason = klx_json_str(klx_json_member(annotations, KLX_SV(UPGRADE_REASON)), "");
    return klx_sv_eq(flag, KLX_SV("true")) && klx_sv_eq(reason, KLX_SV("upgrade"));
}

static int observe(const struct klx_json *object, struct klx_observation *ret) {
    const struct klx_json *ready = ready_condition(object);
    struct klx_sv status = klx_json_str(ready, "status");
    ret->name = klx_json_str(object, "metadata.name");
    ret->namespace = KLX_SV("");
    ret->uid = klx_json_str(object, "metadata.uid");
    ret->resource_version = klx_json_str(object, "metadata.resourceVersion");
    ret->labels = klx_json_get(object, "metadata.labels");
    ret->node = (struct klx_observed_node){
        .ready = klx_sv_eq(status, KLX_SV("True"))    ? KLX_NODE_READY_TRUE
                 : klx_sv_eq(status, KLX_SV("False")) ? KLX_NODE_READY_FALSE
                                                      : KLX_NODE_READY_UNKNOWN,
        .ready_reason = klx_json_str(ready, "reason"),
        .ready_message = klx_json_str(ready, "message"),
        .ready_since_us = time_at(ready, "lastTransitionTime"),
        .unschedulable = klx_json_bool(object, "spec.unschedulable", false),
        .upgrading = is_upgrading(object),
        .created_us = time_at(object, "metadata.creationTimestamp"),
    };
    return ret->name.n == 0 || ret->resource_version.n == 0 ? -EBADMSG : 0;
}

const struct klx_source_ops klx_source_nodes = {
    .name = "nodes",
    .path = "/api/v1/nodes",
    .namespaced_path = NULL,
    .bookmarks = true,
    .stateful = true,
    .observed = KLX_OBSERVED_NODE,
    .topic = KLX_TOPIC_NODES,
    .observe = observe,
    .publish = NULL,
};
