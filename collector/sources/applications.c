/*
 * Applications of Argo CD (facts: argocd.md 1). Nothing is published by itself; the detector gitops reads the object and publishes a
 * projection: an Application may hold secrets (Helm values, parameters, a plugin's env, manifests of a local sync), and may be larger than a
 * record.
 */
#include "collector/sources/source.h"

const struct klx_source_ops klx_source_applications = {
    .name = "applications",
    .path = "/apis/argoproj.io/v1alpha1/applications",
    .namespaced_path = "/apis/argoproj.io/v1alpha1/namespaces/%s/applications",
    .bookmarks = true,
    .stateful = true,
    .observed = KLX_OBSERVED_APPLICATION,
    .topic = KLX_TOPIC_GITOPS,
    .observe = klx_source_observe_namespaced,
    .publish = NULL,
};
