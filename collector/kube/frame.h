/*
 * Cuts a watch's stream into frames: one JSON document a line, whatever the reads and chunks were.
 *
 * A frame that lies whole in a chunk is handed out as a view into it, without a copy; only the beginning of a frame that is cut is kept.
 *
 *     klx_framer_feed(f, chunk);
 *     while ((rc = klx_framer_next(f, &frame)) > 0) { … }    rc == 0: all of the chunk is used up; -EMSGSIZE: a frame over the limit
 */
#pragma once

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/json.h"

#define KLX_FRAME_BYTES_MAX (16u << 20)

struct klx_framer {
    struct klx_buf partial; /* the frame that is being put together */
    struct klx_sv chunk;    /* what is left of the chunk */
    bool partial_is_out;    /* `partial` was handed out whole and is to be emptied */
};

void klx_framer_init(struct klx_framer *f);
void klx_framer_release(struct klx_framer *f);
/* Forgets everything: a new connection. */
void klx_framer_reset(struct klx_framer *f);
/* The chunk before must be used up. Borrowed until klx_framer_next has returned 0. */
void klx_framer_feed(struct klx_framer *f, struct klx_sv chunk);
/* The frame is valid until the next call; empty lines are passed over. */
int klx_framer_next(struct klx_framer *f, struct klx_sv *ret) KLX_MUST_CHECK;
/* What has been fed and not handed out of the chunk. */
static inline struct klx_sv klx_framer_rest(const struct klx_framer *f) {
    return f->chunk;
}

/* Parses a frame or a list. The escape \u0000, which JSON may hold, klx_json refuses and whoever may write an Event can put into its
   message, is read as U+FFFD: one object must not stop a watch. */
int klx_frame_parse(struct klx_arena *a, struct klx_sv text, const struct klx_json_limits *limits,
                    const struct klx_json **ret) KLX_MUST_CHECK;
