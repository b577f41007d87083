/*
 * What the detector generic says of an object: its events, from what is kept of it.
 */
#pragma once

#include "collector/generic.h"
#include "collector/observation.h"
#include "collector/outbox.h"

/* What is kept of an object. Texts are borrowed. */
struct klx_object_kept {
    struct klx_sv item; /* "deployments.apps" */
    struct klx_sv namespace, name;
    struct klx_sv kind, api_version, uid;
    struct klx_sv labels; /* JSON object */
    struct klx_sv values; /* JSON object (collector/detectors/generic/object_values.h) */
};

struct klx_object_change {
    struct klx_sv field;
    const struct klx_json *was, *is;
};

struct klx_object_news {
    enum klx_kind kind;
    struct klx_sv cluster;
    const struct klx_object_kept *about;
    const struct klx_observation *o; /* NULL: a relist has not shown it */
    int64_t now_us;
    const struct klx_object_change *changes;
    size_t changes_n;
    struct klx_arena *arena; /* scratch */
};

void klx_object_tell(const struct klx_object_news *m, struct klx_outbox *out);
