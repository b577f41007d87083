/*
 * The decisions of a watch, pure: (state, what happened, time) → what to do next. No I/O, no clock but the one given.
 *
 *               resume given                          server's RV ≥ ours
 *   START ────────────────────▶ PROBE ─────────────────────────────────────▶ WATCH ◀─┐ clean end after frames: at once
 *     │                         ▲ │ ours is ahead: gap                        │ │ └──┘ 429, ERROR 5xx: after a wait, same RV
 *     │ none, or a list was     │ ▼                                           │ │
 *     │ under way ────────────▶ LIST ──────── whole list: its RV ───────────▶ │ │
 *                               │ ▲                                             │ │
 *                               │ └───── 410, unreadable twice, oversize: gap ──┘ │
 *                               └──────── broken, silent, 5xx, nothing heard ─────┘
 *
 * A 410 of a watch that is served from a server's memory (`cached`) is believed the third time: a server that has just started says it too.
 *
 * A watch whose RV is ahead of the server hears nothing for ever, and no error says so: after every doubt (the connection broke, an
 * internal error, a whole stream without a frame) the server's RV is asked for first.
 *
 * Every failed step is tried again after a wait: what the server asked for (Retry-After), 60 s for 403 and other refusals, 30 s for a
 * resource that is not there, else exponential backoff with full jitter (0.8 s … 30 s), which starts over after 120 s of health.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "collector/kube/list_place.h"
#include "collector/kube/resource_version.h"
#include "collector/observation.h"
#include "lib/base/backoff.h"
#include "lib/base/clock.h"

enum klx_watch_phase { KLX_WATCH_PROBE, KLX_WATCH_LIST, KLX_WATCH_STREAM };

struct klx_watch_state {
    enum klx_watch_phase phase;
    struct klx_rv rv; /* everything up to here has been handed up */
    struct klx_list_place list;
    struct klx_backoff backoff;
    int64_t began_us;          /* the request or stream that is under way */
    bool any_frame;            /* on this stream */
    bool unauthorized;         /* the last answer was 401: one immediate retry was given */
    int64_t internal_since_us; /* the first of a row of 500 frames; KLX_TIME_NONE: none */
    int64_t relisted_us;       /* the last gap: a second one soon after it waits */
    bool
        cached; /* set by the owner after the begin: bookmarks were asked for, so a server's memory answers, not etcd */
    unsigned expired_n; /* answers of 410 in a row */
    bool unreadable;    /* a frame after `rv` could not be read once already */
};

enum klx_watch_input_kind {
    KLX_WATCH_IN_PROBED,   /* rv: the server's */
    KLX_WATCH_IN_LISTED,   /* the list is complete; rv: the list's */
    KLX_WATCH_IN_PROGRESS, /* an object or bookmark was handed up; rv: its */
    KLX_WATCH_IN_STATUS, /* HTTP status other than 200, of whatever was asked; code, retry_after_ms */
    KLX_WATCH_IN_ERROR,      /* an ERROR frame; code, retry_after_ms */
    KLX_WATCH_IN_ENDED,      /* the stream ended as it should */
    KLX_WATCH_IN_BROKEN,     /* connection lost, refused, silent for too long; what: words */
    KLX_WATCH_IN_UNREADABLE, /* a frame that is not JSON, or not a watch's */
    KLX_WATCH_IN_OVERSIZE,   /* a frame over the limit */
};

struct klx_watch_input {
    enum klx_watch_input_kind kind;
    struct klx_sv rv;
    int code;
    int64_t retry_after_ms; /* -1: none */
    const char *what;
};

struct klx_watch_action {
    bool none; /* go on as you are */
    enum klx_watch_phase next;
    int64_t wait_ms;     /* before it; 0: at once */
    bool from_start;     /* LIST: from its first page, not from the one that failed */
    const char *gap;     /* not NULL: record a gap, and why */
    bool refresh;        /* read the credentials again first */
    const char *trouble; /* not NULL: say so */
    bool
        absent; /* the API server does not have the resource: it is looked for again after the wait */
};

/* The first action. `list`: the place of a list that was under way when the process ended; NULL: none was. */
struct klx_watch_action klx_watch_begin(struct klx_watch_state *s, const struct klx_rv *resume,
                                        const struct klx_list_place *list);
/* The transport says when it begins what it was told to do. */
void klx_watch_began(struct klx_watch_state *s, int64_t now_us);
struct klx_watch_action klx_watch_step(struct klx_watch_state *s, const struct klx_watch_input *in,
                                       int64_t now_us, struct klx_clock *clock);
