/*
 * Pods. Nothing is published by itself; the detector autoscaling reads what the object says of its containers.
 */
#include "collector/sources/source.h"

const struct klx_source_ops klx_source_pods = {
    .name = "pods",
    .path = "/api/v1/pods",
    .namespaced_path = "/api/v1/namespaces/%s/pods",
    .bookmarks = true,
    .stateful = true,
    .observed = KLX_OBSERVED_POD,
    .topic = KLX_TOPIC_SCALING,
    .observe = klx_source_observe_namespaced,
    .publish = NULL,
};
