/*
 * A source knows one resource: where it is listed and watched, how a frame's object becomes an observation, and what of it is
 * published by itself (a core Event is; a Node is not, its detector speaks for it). Pure: no I/O, no clock.
 *
 * Adding a source: one file with its ops, one line in collector/sources/list.def, its page in docs/.
 */
#pragma once

#include "collector/observation.h"
#include "collector/outbox.h"
#include "collector/sources/poll.h"
#include "lib/base/json.h"

struct klx_source_ops {
    const char *name; /* "events": the key under `sources:` and in state keys */
    /* A list of items stands under its key, each of them a resource with a path of its own (collector/generic.h). */
    bool items;
    /* Its settings name endpoints, each of them a request of its own (collector/endpoint_settings.h); it is no resource of the API server. */
    bool endpoints;
    const char *path; /* "/api/v1/events" */
    const char *
        namespaced_path; /* printf with one %s, "/api/v1/namespaces/%s/events"; NULL: cluster-scoped */
    bool bookmarks;      /* the API server sends them for this resource */
    bool stateful;       /* a relist must report what has vanished (detector.relisted) */
    enum klx_observation_kind observed; /* what its objects are */
    enum klx_topic
        topic; /* of what is published of them, here or by a detector: it must exist at the start */
    /* Fills *ret from an object of a frame. -EBADMSG: not what it should be (counted, logged, skipped); -ENOENT: nothing to tell
       (DELETED of an Event is garbage collection). ret's kind, cluster, change, origin and object are set by the caller before. */
    int (*observe)(const struct klx_json *object, struct klx_observation *ret);
    /* MAY: publishes the observation itself. */
    void (*publish)(const struct klx_observation *o, const struct klx_json *object,
                    struct klx_outbox *out);
    const struct klx_poll_ops *poll; /* it is asked for on an interval; NULL: it is watched */
};

/* The observe of a namespaced object that its detector reads itself: the metadata only. */
int klx_source_observe_namespaced(const struct klx_json *object, struct klx_observation *ret);

#define KLX_SOURCE(name) extern const struct klx_source_ops klx_source_##name;
#include "collector/sources/list.def"
#undef KLX_SOURCE
