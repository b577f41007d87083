/*
 * One watch of one resource of one cluster, for ever: what it says to its owner, and its start and stop. The decisions are a pure step
 * function (watch_state.h), the transport is beside it (watch.c).
 *
 * Frames are handed up in order. After a 410 a paged relist hands up what is newer than the last resourceVersion seen, between
 * on_list(true) and on_list(false), and the gap is reported with its bounds. A list that is broken off, even by the end of the process,
 * goes on without repeating an object, given its place back. Errors are said once when the kind of trouble changes.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "collector/kube/client.h"
#include "collector/kube/list_place.h"
#include "collector/kube/resource_version.h"
#include "collector/observation.h"
#include "lib/base/clock.h"
#include "lib/base/json.h"

struct klx_watch;

/* What may be incomplete: everything after a resourceVersion, up to the list that follows. */
struct klx_watch_gap {
    struct klx_sv after; /* the last resourceVersion that was certainly seen */
    int64_t since_us;    /* wall time the connection was last known to be whole */
    int64_t until_us;
    const char *why; /* "expired": compacted; "ahead": the server's versions went backwards */
};

struct klx_watch_callbacks {
    /* One object, in an arena that is reset when the call returns. */
    void (*on_object)(void *arg, enum klx_change change, enum klx_origin origin,
                      const struct klx_json *object);
    /* Every object of a list, whether it is news or not: it exists. MAY be NULL. */
    void (*on_listed)(void *arg, const struct klx_json *object);
    /* Everything up to here has been handed up; a commit may now name this resourceVersion as the place to resume. */
    void (*on_checkpoint)(void *arg, struct klx_sv resource_version, bool bookmark);
    /* A page, or the gap before a list, has been handed up: the place to go on from, to be committed with it. NULL, in the same turn as
       on_list(false) and on_checkpoint: the list is complete. */
    void (*on_list_place)(void *arg, const struct klx_list_place *place);
    /* A full list begins (true) or is complete (false): objects that were not in it do not exist any more. */
    void (*on_list)(void *arg, bool begins, enum klx_origin origin);
    void (*on_gap)(void *arg, const struct klx_watch_gap *gap);
    void (*on_connected)(void *arg, bool connected); /* for readiness and metrics */
    /* After on_connected(false): the API server does not have the resource, and is asked again after this. It holds until the next
       on_connected. */
    void (*on_absent)(void *arg, int64_t retry_ms);
    /* What the objects are ("Deployment"), said by each list: the API server leaves it out of the items. MAY be NULL. */
    void (*on_object_kind)(void *arg, struct klx_sv kind);
    /* For the log: what happened, the words of who knows more ("" when nobody does), and when it is tried again (ms; 0: at once).
       Said when it changes. */
    void (*on_trouble)(void *arg, const char *what, const char *detail, int64_t retry_ms);
    void *arg;
};

struct klx_watch_options {
    const char *path;      /* "/api/v1/events" */
    const char *selectors; /* "fieldSelector=…&labelSelector=…", URL-encoded; NULL: none */
    bool bookmarks;
    struct klx_rv resume;  /* empty: start with a baseline list */
    int64_t checkpoint_us; /* wall time of `resume`, for a gap's bounds; KLX_TIME_NONE: unknown */
    const struct klx_list_place *list; /* a list was under way; copied. NULL: none */
    /* A connection that has died in silence is noticed at the latest after this; the server is asked to end each stream a little sooner.
       0: 5 min, or 10 with bookmarks. Where bookmarks come, three missing ones are enough (pulse.h). */
    int64_t dead_after_ms;
};

struct klx_watch *klx_watch_new(struct klx_kube_client *client, struct klx_clock *clock,
                                const struct klx_watch_options *o,
                                const struct klx_watch_callbacks *cb);
void klx_watch_start(struct klx_watch *w);
/* Back-pressure: the socket is not read. May be called from on_object. */
void klx_watch_pause(struct klx_watch *w);
void klx_watch_resume(struct klx_watch *w);
/* Its owner knows that the connection is dead: another one resumes at the same place. `why`: a literal, for on_trouble. Not from inside of a
   callback. Nothing happens unless a stream runs and is read. */
void klx_watch_give_up(struct klx_watch *w, const char *why);
/* No callback comes any more. */
void klx_watch_free(struct klx_watch *w);
