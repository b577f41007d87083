/*
 * Where the watches of a cluster begin, from what `klaxon.state` holds of the watches before them. Pure.
 *
 *     "hpa@kube-system~1f2e3d4c"         its checkpoint
 *     "hpa@kube-system~1f2e3d4c/list"    the place of its list, while one is under way
 *
 * Another selection of objects is another watch (collector/source_settings.h), which begins so that nothing is told twice:
 *   - the same one was here before:            it goes on
 *   - the same selectors, then in the whole cluster, now in a namespace: it goes on where the other was; all of this was seen
 *   - another selection, of this namespace:    a list. What has changed since is told as after a gap; what has not, of a source whose
 *                                              objects last, is handed up as at a first list, since it may be new in the selection
 *   - nothing was here before:                 a first list
 * The records of watches that are not configured any more are removed, together with writing the places of the new ones.
 */
#pragma once

#include "collector/kube/list_place.h"
#include "collector/source_settings.h"

struct klx_watch_place {
    char key[KLX_WATCH_KEY_BYTES];
    struct klx_rv rv; /* everything up to here was seen; empty: nothing was */
    int64_t at_us;    /* wall time of `rv`; KLX_TIME_NONE: unknown */
    bool list_under_way;
    struct klx_list_place list;
    bool is_new; /* decided just now: to be written before the watch starts */
};

struct klx_watch_places {
    struct klx_watch_place *items;
    size_t n;
};

void klx_watch_places_release(struct klx_watch_places *p);
/* A record of `klaxon.state`, without the cluster in its key. False: it is no place of a watch of this source, and left alone. */
bool klx_watch_places_restore(struct klx_watch_places *p, const struct klx_source_settings *s,
                              struct klx_sv key, struct klx_sv value);
/* All watches of the source begin with a list: what has changed since is told as after a gap, and what has not is handed up as at a first
   list, for somebody who looks at it for the first time. */
void klx_watch_places_list_again(struct klx_watch_places *p, struct klx_sv source);
/* Where the watch of this namespace (empty: the whole cluster) begins. */
void klx_watch_places_begin(const struct klx_watch_places *p, const struct klx_source_settings *s,
                            struct klx_sv namespace, struct klx_watch_place *ret);
/* Whether this was a watch of the source, and is not one any more. */
bool klx_watch_places_is_retired(const struct klx_watch_place *place,
                                 const struct klx_source_settings *s);
/* Whether the object ("namespace/name", or "name"; klx_source_cut_item) lies where the source looks. */
bool klx_source_covers(const struct klx_source_settings *s, struct klx_sv object);
