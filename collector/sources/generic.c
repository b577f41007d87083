/*
 * Objects of any group, version and resource. Nothing is published by itself; the detector generic reads the fields that the operator names.
 */
#include "collector/sources/source.h"

#include <errno.h>

#define NAME_BYTES_MAX 253
#define NAMESPACE_BYTES_MAX 63

static int observe(const struct klx_json *object, struct klx_observation *ret) {
    ret->name = klx_json_str(object, "metadata.name");
    ret->namespace = klx_json_str(object, "metadata.namespace");
    ret->uid = klx_json_str(object, "metadata.uid");
    ret->resource_version = klx_json_str(object, "metadata.resourceVersion");
    ret->labels = klx_json_get(object, "metadata.labels");
    bool whole = ret->name.n > 0 && ret->resource_version.n > 0;
    bool fits = ret->name.n <= NAME_BYTES_MAX && ret->namespace.n <= NAMESPACE_BYTES_MAX;
    return whole && fits ? 0 : -EBADMSG;
}

const struct klx_source_ops klx_source_generic = {
    .name = "generic",
    .items = true,
    .bookmarks = true,
    .stateful = true,
    .observed = KLX_OBSERVED_GENERIC,
    .topic = KLX_TOPIC_KUBERNETES,
    .observe = observe,
    .publish = NULL,
};
