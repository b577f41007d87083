/*
 * The decisions of a watch, pure: (state, what happened, time) → what to do next. No I/O, no clock but the one given.
 *
 *               resume given                          server's RV ≥ ours
 *   START ────────────────────▶ PROBE ─────────────────────────────────────▶ WATCH ◀─┐ clean end: at once
 *     │                           │ ours is ahead: gap                        │  │ └───┘
 *     │ none                      ▼                                           │  │ broken, silent, 429, 5xx: after a wait, same RV
 *     └──── baseline ─────────▶ LIST ──────── whole list: its RV ─────────────▶  │
 *                                 ▲                                              │
 *                                 └───── 410, unreadable twice, oversize: gap ───┘
 *
 * Every failed step is tried again after a wait: what the server asked for (Retry-After), 60 s for 403 and other refusals, 30 s for a
 * resource that is not there, else exponential backoff with full jitter (0.8 s … 30 s), which starts over after 120 s of health.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "collector/kube/resource_version.h"
#include "collector/observation.h"
#include "lib/base/backoff.h"
#include "lib/base/clock.h"

enum klx_watch_phase { KLX_WATCH_PROBE, KLX_WATCH_LIST, KLX_WATCH_STREAM };

struct klx_watch_state {
    enum klx_watch_phase phase;
    struct klx_rv rv;     /* everything up to here has been handed up */
    struct klx_rv filter; /* of a relist: only what is newer is news; empty: all of it */
    enum klx_origin origin;
    struct klx_backoff backoff;
    int64_t began_us;          /* the request or stream that is under way */
    bool any_frame;            /* on this stream */
    bool unauthorized;         /* the last answer was 401: one immediate retry was given */
    int64_t internal_since_us; /* the first of a row of 500 frames; KLX_TIME_NONE: none */
    bool unreadable;           /* a frame after `rv` could not be read once already */
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
    const char *gap;     /* not NULL: record a gap, and why */
    bool refresh;        /* read the credentials again first */
    const char *trouble; /* not NULL: say so */
};

/* The first action. */
struct klx_watch_action klx_watch_begin(struct klx_watch_state *s, const struct klx_rv *resume);
/* The transport says when it begins what it was told to do. */
void klx_watch_began(struct klx_watch_state *s, int64_t now_us);
struct klx_watch_action klx_watch_step(struct klx_watch_state *s, const struct klx_watch_input *in,
                                       int64_t now_us, struct klx_clock *clock);
