/*
 * The items of a list as they arrive: one is put together at a time, however long the list is.
 *
 *     klx_list_stream_feed(s, chunk);
 *     while ((rc = klx_list_stream_next(s, &item)) > 0) { … }     0: the chunk is used up; -EMSGSIZE: an item or the rest is too large
 *     … at the end of the body: rc = klx_list_stream_end(s, arena, &list)     the list without its items: kind, metadata
 *
 * Only brackets and strings are looked at: whether an item is JSON is for whoever parses it.
 */
#pragma once

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/json.h"

#define KLX_LIST_ITEM_BYTES_MAX (4u << 20)
#define KLX_LIST_ENVELOPE_BYTES_MAX 65536

struct klx_list_stream {
    struct klx_sv chunk;
    struct klx_buf item, envelope;
    unsigned depth;
    size_t string_from; /* where the last string of the envelope begins */
    bool in_string, escaped;
    bool after_items; /* the last string of the envelope is the key "items" */
    bool in_items, in_item;
};

void klx_list_stream_init(struct klx_list_stream *s);
void klx_list_stream_release(struct klx_list_stream *s);
void klx_list_stream_reset(struct klx_list_stream *s);
/* The chunk before must be used up. Borrowed until klx_list_stream_next has returned 0. */
void klx_list_stream_feed(struct klx_list_stream *s, struct klx_sv chunk);
/* The item is valid until the next call. */
int klx_list_stream_next(struct klx_list_stream *s, struct klx_sv *ret) KLX_MUST_CHECK;
/* -EBADMSG: it ended before its end, or is no JSON. */
int klx_list_stream_end(struct klx_list_stream *s, struct klx_arena *a,
                        const struct klx_json **ret) KLX_MUST_CHECK;
