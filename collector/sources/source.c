#include "collector/sources/source.h"

#include <errno.h>

int klx_source_observe_namespaced(const struct klx_json *object, struct klx_observation *ret) {
    ret->name = klx_json_str(object, "metadata.name");
    ret->namespace = klx_json_str(object, "metadata.namespace");
    ret->uid = klx_json_str(object, "metadata.uid");
    ret->resource_version = klx_json_str(object, "metadata.resourceVersion");
    ret->labels = klx_json_get(object, "metadata.labels");
    bool whole = ret->name.n > 0 && ret->namespace.n > 0 && ret->resource_version.n > 0;
    return whole ? 0 : -EBADMSG;
}
