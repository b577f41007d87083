/*
 * Rollouts of Argo Rollouts (facts: argocd.md 2). Nothing is published by itself; the detector rollouts reads the object.
 */
#include "collector/sources/source.h"

#include <errno.h>

static int observe(const struct klx_json *object, struct klx_observation *ret) {
    ret->kind = KLX_OBSERVED_ROLLOUT;
    ret->name = klx_json_str(object, "metadata.name");
    ret->namespace = klx_json_str(object, "metadata.namespace");
    ret->uid = klx_json_str(object, "metadata.uid");
    ret->resource_version = klx_json_str(object, "metadata.resourceVersion");
    ret->labels = klx_json_get(object, "metadata.labels");
    bool whole = ret->name.n > 0 && ret->namespace.n > 0 && ret->resource_version.n > 0;
    return whole ? 0 : -EBADMSG;
}

const struct klx_source_ops klx_source_rollouts = {
    .name = "rollouts",
    .path = "/apis/argoproj.io/v1alpha1/rollouts",
    .namespaced_path = "/apis/argoproj.io/v1alpha1/namespaces/%s/rollouts",
    .bookmarks = true,
    .stateful = true,
    .observed = KLX_OBSERVED_ROLLOUT,
    .topic = KLX_TOPIC_GITOPS,
    .observe = observe,
    .publish = NULL,
};
