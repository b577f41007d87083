/*
 * Applications of Argo CD (facts: argocd.md 1). Nothing is published by itself; the detector gitops reads the object and publishes a
 * projection: an Application may hold secrets (Helm values, parameters, a plugin's env, manifests of a local sync), and may be larger than a
 * record.
 */
#include "collector/sources/source.h"

#include <errno.h>

static int observe(const struct klx_json *object, struct klx_observation *ret) {
    ret->kind = KLX_OBSERVED_APPLICATION;
    ret->name = klx_json_str(object, "metadata.name");
    ret->namespace = klx_json_str(object, "metadata.namespace");
    ret->uid = klx_json_str(object, "metadata.uid");
    ret->resource_version = klx_json_str(object, "metadata.resourceVersion");
    ret->labels = klx_json_get(object, "metadata.labels");
    bool whole = ret->name.n > 0 && ret->namespace.n > 0 && ret->resource_version.n > 0;
    return whole ? 0 : -EBADMSG;
}

const struct klx_source_ops klx_source_applications = {
    .name = "applications",
    .path = "/apis/argoproj.io/v1alpha1/applications",
    .namespaced_path = "/apis/argoproj.io/v1alpha1/namespaces/%s/applications",
    .bookmarks = true,
    .stateful = true,
    .observed = KLX_OBSERVED_APPLICATION,
    .topic = KLX_TOPIC_GITOPS,
    .observe = observe,
    .publish = NULL,
};
