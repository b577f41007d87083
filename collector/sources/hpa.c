/*
 * HorizontalPodAutoscalers (autoscaling/v2). Nothing is published by itself; the detector autoscaling reads the object.
 */
#include "collector/sources/source.h"

const struct klx_source_ops klx_source_hpa = {
    .name = "hpa",
    .path = "/apis/autoscaling/v2/horizontalpodautoscalers",
    .namespaced_path = "/apis/autoscaling/v2/namespaces/%s/horizontalpodautoscalers",
    .bookmarks = true,
    .stateful = true,
    .observed = KLX_OBSERVED_HPA,
    .topic = KLX_TOPIC_SCALING,
    .observe = klx_source_observe_namespaced,
    .publish = NULL,
};
