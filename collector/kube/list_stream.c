#include "collector/kube/list_stream.h"

#include <errno.h>

#define DEPTH_MAX 64
#define LIST_DEPTH 1  /* inside of the list's own object */
#define ITEMS_DEPTH 2 /* inside of its items */

void klx_list_stream_init(struct klx_list_stream *s) {
    *s = (struct klx_list_stream){ 0 };
    klx_buf_init(&s->item, KLX_LIST_ITEM_BYTES_MAX);
    klx_buf_init(&s->envelope, KLX_LIST_ENVELOPE_BYTES_MAX);
}

void klx_list_stream_release(struct klx_list_stream *s) {
    klx_buf_release(&s->item);
    klx_buf_release(&s->envelope);
}

void klx_list_stream_reset(struct klx_list_stream *s) {
    struct klx_buf item = s->item, envelope = s->envelope;
    klx_buf_reset(&item);
    klx_buf_reset(&envelope);
    *s = (struct klx_list_stream){ .item = item, .envelope = envelope };
}

void klx_list_stream_feed(struct klx_list_stream *s, struct klx_sv chunk) {
    s->chunk = chunk;
}

static void end_string(struct klx_list_stream *s) {
    s->in_string = false;
    if (!s->in_item && s->depth == LIST_DEPTH) {
        struct klx_sv string =
            klx_sv_n(s->envelope.data + s->string_from, s->envelope.len - s->string_from);
        s->after_items = klx_sv_eq(string, KLX_SV("\"items"));
    }
}

static void in_string(struct klx_list_stream *s, char c) {
    if (s->escaped) {
        s->escaped = false;
    } else if (c == '\\') {
        s->escaped = true;
    } else if (c == '"') {
        end_string(s);
    }
}

static void open_bracket(struct klx_list_stream *s, char c) {
    if (c == '[' && s->depth == LIST_DEPTH && s->after_items) {
        s->in_items = true;
    } else if (c == '{' && s->depth == ITEMS_DEPTH && s->in_items) {
        s->in_item = true;
        klx_buf_reset(&s->item);
    }
    s->after_items = false;
    s->depth++;
}

/* True: an item has ended. */
static bool close_bracket(struct klx_list_stream *s) {
    s->depth -= s->depth > 0;
    bool ended = s->in_item && s->depth == ITEMS_DEPTH;
    s->in_item = s->in_item && !ended;
    s->in_items = s->in_items && s->depth >= ITEMS_DEPTH;
    return ended;
}

/* Takes a character into the item or the envelope; true: an item has ended. */
static bool take(struct klx_list_stream *s, char c) {
    bool opens = !s->in_string && (c == '{' || c == '[');
    bool closes = !s->in_string && (c == '}' || c == ']');
    if (s->in_string) {
        in_string(s, c);
    } else if (opens) {
        open_bracket(s, c);
    } else if (c == '"') {
        s->in_string = true;
        s->string_from = s->envelope.len;
    } else if (c == ',') {
        s->after_items = false;
    }
    bool of_item = s->in_item;
    bool ended = closes && close_bracket(s);
    bool between_items = c == ',' && s->in_items && s->depth == ITEMS_DEPTH && !s->in_string;
    if (of_item) {
        klx_buf_add_char(&s->item, c);
    } else if (!between_items) { /* the envelope's items are empty */
        klx_buf_add_char(&s->envelope, c);
    }
    return ended;
}

int klx_list_stream_next(struct klx_list_stream *s, struct klx_sv *ret) {
    for (size_t i = 0; i < s->chunk.n; i++) {
        bool ended = take(s, s->chunk.p[i]);
        if (s->item.failed || s->envelope.failed || s->depth > DEPTH_MAX) {
            return -EMSGSIZE;
        }
        if (ended) {
            s->chunk = klx_sv_n(s->chunk.p + i + 1, s->chunk.n - i - 1);
            *ret = klx_buf_sv(&s->item);
            return 1;
        }
    }
    s->chunk = klx_sv(NULL);
    return 0;
}

int klx_list_stream_end(struct klx_list_stream *s, struct klx_arena *a,
                        const struct klx_json **ret) {
    const struct klx_json *list = NULL;
    bool whole = s->depth == 0 && s->envelope.len > 0 &&
                 klx_json_parse(a, klx_buf_sv(&s->envelope), NULL, &list, NULL) == 0 &&
                 klx_json_is_object(list);
    if (!whole) {
        return -EBADMSG;
    }
    *ret = list;
    return 0;
}
