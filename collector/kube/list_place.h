/*
 * How far a list has come: which of its objects were handed up already, so that a list that has to begin again (its continuation has
 * expired, the process was restarted) repeats nothing.
 *
 * A list comes in the order of its keys ("namespace/name"). What a pass at resourceVersion V has handed up to key K is news again only
 * when it is newer than V. A pass that was broken off leaves a step (K, V); a later one that came less far leaves a second in front of
 * it, so that keys rise and versions fall. Stored with the objects, in the same transaction.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "collector/kube/resource_version.h"
#include "collector/observation.h"
#include "lib/base/buf.h"
#include "lib/base/json.h"

#define KLX_LIST_KEY_BYTES 320 /* a namespace of 63, a name of 253 */
#define KLX_LIST_STEPS_MAX                                                                         \
    4 /* passes broken off at ever smaller keys; more are forgotten, and may repeat */

struct klx_list_step {
    char key[KLX_LIST_KEY_BYTES];
    struct klx_rv rv;
};

struct klx_list_place {
    enum klx_origin origin; /* BASELINE or RESYNC; LIVE: no list is under way */
    struct klx_rv filter;   /* only what is newer is news; empty: everything is */
    bool
        widened; /* the selection is another than before: what is not newer may never have been seen, and is handed up as at a first list */
    struct klx_list_step steps[KLX_LIST_STEPS_MAX];
    size_t steps_n;
};

/* "namespace/name" or "name", as the list is ordered; "" when it is too long to be one. */
void klx_list_key(const struct klx_json *object, char ret[KLX_LIST_KEY_BYTES]);
/* A pass begins, at this version. What was stored at a later one is worthless: the server's versions went backwards. */
void klx_list_place_begin(struct klx_list_place *p, struct klx_sv rv);
bool klx_list_place_is_news(const struct klx_list_place *p, const char *key, struct klx_sv rv);
/* How an object that is news is handed up. */
enum klx_origin klx_list_place_origin(const struct klx_list_place *p, struct klx_sv rv);
/* Everything up to this key has been handed up as it was at `rv`. */
void klx_list_place_advance(struct klx_list_place *p, const char *key, struct klx_sv rv);

void klx_list_place_write(const struct klx_list_place *p, struct klx_buf *out);
/* -EBADMSG for what klx_list_place_write did not write. */
int klx_list_place_read(struct klx_list_place *p, struct klx_sv text) KLX_MUST_CHECK;
