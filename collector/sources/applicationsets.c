/*
 * ApplicationSets of Argo CD (facts: argocd.md 3). Nothing is published by itself; the detector applicationsets reads the object: templates
 * and generators may hold secrets.
 */
#include "collector/sources/source.h"

const struct klx_source_ops klx_source_applicationsets = {
    .name = "applicationsets",
    .path = "/apis/argoproj.io/v1alpha1/applicationsets",
    .namespaced_path = "/apis/argoproj.io/v1alpha1/namespaces/%s/applicationsets",
    .bookmarks = true,
    .stateful = true,
    .observed = KLX_OBSERVED_APPLICATION_SET,
    .topic = KLX_TOPIC_GITOPS,
    .observe = klx_source_observe_namespaced,
    .publish = NULL,
};
