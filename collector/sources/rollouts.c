/*
 * Rollouts of Argo Rollouts (facts: argocd.md 2). Nothing is published by itself; the detector rollouts reads the object.
 */
#include "collector/sources/source.h"

const struct klx_source_ops klx_source_rollouts = {
    .name = "rollouts",
    .path = "/apis/argoproj.io/v1alpha1/rollouts",
    .namespaced_path = "/apis/argoproj.io/v1alpha1/namespaces/%s/rollouts",
    .bookmarks = true,
    .stateful = true,
    .observed = KLX_OBSERVED_ROLLOUT,
    .topic = KLX_TOPIC_GITOPS,
    .observe = klx_source_observe_namespaced,
    .publish = NULL,
};
