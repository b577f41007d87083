/*
 * The lists of a watch: its pages are handed up one after the other, and its first object tells the server's version (a probe).
 */
#include "collector/kube/watch_parts.h"

#include <stdio.h>
#include <string.h>

#include "collector/kube/frame.h"

#define PROBE_MS 15000 /* asks for one object */

static void hand_up_listed(struct klx_watch *w, const struct klx_json *item) {
    char key[KLX_LIST_KEY_BYTES];
    klx_list_key(item, key);
    w->unordered = w->unordered || strcmp(key, w->last_key) <= 0;
    memcpy(w->last_key, key, sizeof(key));
    if (w->cb.on_listed != NULL) {
        w->cb.on_listed(w->cb.arg, item);
    }
    struct klx_sv rv = klx_json_str(item, "metadata.resourceVersion");
    if (klx_list_place_is_news(&w->state.list, key, rv)) {
        w->cb.on_object(w->cb.arg, KLX_CHANGE_ADDED, klx_list_place_origin(&w->state.list, rv),
                        item);
    }
}

/* More pages follow: what has come so far may be committed, and is not repeated whatever happens. */
static void on_page_of_more(struct klx_watch *w, struct klx_sv rv, struct klx_sv more) {
    snprintf(w->continue_token, sizeof(w->continue_token), "%.*s", KLX_SV_FMT(more));
    if (w->unordered) {
        w->state.list.steps_n = 0;
    } else if (w->last_key[0] != '\0') {
        klx_list_place_advance(&w->state.list, w->last_key, rv);
    }
    klx_watch_store_place(w);
    klx_timer_start(w->timer, 0);
}

static void on_whole_list(struct klx_watch *w, struct klx_sv rv) {
    struct klx_rv list_rv;
    klx_rv_set(&list_rv, rv);
    w->cb.on_list(w->cb.arg, false, w->state.list.origin);
    if (w->place_stored) {
        w->place_stored = false;
        w->cb.on_list_place(w->cb.arg, NULL);
    }
    klx_watch_input(
        w, (struct klx_watch_input){ .kind = KLX_WATCH_IN_LISTED, .rv = klx_rv_sv(&list_rv) });
    w->cb.on_checkpoint(w->cb.arg, klx_rv_sv(&list_rv), false);
}

/* "DeploymentList" is a list of Deployments. */
static void say_object_kind(struct klx_watch *w, struct klx_sv kind) {
    struct klx_sv end = KLX_SV("List");
    if (w->cb.on_object_kind != NULL && klx_sv_ends(kind, end) && kind.n > end.n) {
        w->cb.on_object_kind(w->cb.arg, klx_sv_n(kind.p, kind.n - end.n));
    }
}

static void on_page(struct klx_watch *w, const struct klx_json *list) {
    struct klx_sv rv = klx_json_str(list, "metadata.resourceVersion");
    struct klx_sv more = klx_json_str(list, "metadata.continue");
    say_object_kind(w, klx_json_str(list, "kind"));
    if (w->next == KLX_WATCH_PROBE) {
        klx_watch_input(w, (struct klx_watch_input){ .kind = KLX_WATCH_IN_PROBED, .rv = rv });
        return;
    }
    if (w->continue_token[0] == '\0') {
        klx_list_place_begin(&w->state.list, rv);
    }
    for (const struct klx_json *i = klx_json_first(klx_json_get(list, "items")); i != NULL;
         i = klx_json_next(i)) {
        hand_up_listed(w, i);
    }
    if (more.n > 0) {
        on_page_of_more(w, rv, more);
    } else {
        on_whole_list(w, rv);
    }
}

/* NULL: it cannot be read. */
const struct klx_json *klx_watch_parse_list(struct klx_watch *w, struct klx_sv body) {
    const struct klx_json_limits limits = { .bytes_max = KLX_WATCH_PAGE_BYTES_MAX,
                                            .depth_max = 64 };
    const struct klx_json *list = NULL;
    bool read = klx_frame_parse(&w->page_arena, body, &limits, &list) == 0;
    return read && klx_rv_valid(klx_json_str(list, "metadata.resourceVersion")) ? list : NULL;
}

static void on_short_done(void *arg, const struct klx_http_result *r) {
    struct klx_watch *w = arg;
    const struct klx_json *list = NULL;
    w->call = NULL;
    if (r->failure == KLX_HTTP_TOO_LARGE && w->page_objects > 1) {
        w->page_objects = w->page_objects / 8 > 0 ? w->page_objects / 8 : 1;
    }
    if (r->failure != KLX_HTTP_OK) {
        klx_watch_detail(w, klx_sv(r->error));
        klx_watch_broken(w, klx_watch_words_of(r->failure));
        return;
    }
    if (r->status != 200) {
        klx_watch_detail_of(w, r->body);
        klx_watch_input(w, (struct klx_watch_input){ .kind = KLX_WATCH_IN_STATUS,
                                                     .code = r->status,
                                                     .retry_after_ms = r->retry_after_ms });
        return;
    }
    list = klx_watch_parse_list(w, r->body);
    if (list == NULL) {
        klx_watch_broken(w, "the API server's list cannot be read");
    } else if (klx_json_str(list, "metadata.continue").n >= sizeof(w->continue_token)) {
        klx_watch_broken(w, "the API server's token for the next page is longer than any known");
    } else {
        w->whole_since_us = w->clock->wall_us(w->clock);
        on_page(w, list);
    }
    klx_arena_release(&w->page_arena); /* a page may be large, and the next list is far away */
}

/* A probe is sent when a connection is in doubt, and another one that stood idle meanwhile is too: it takes a new one. */
void klx_watch_ask_for_list(struct klx_watch *w) {
    struct klx_buf query;
    bool probe = w->next == KLX_WATCH_PROBE;
    klx_buf_init(&query, KLX_WATCH_QUERY_BYTES_MAX);
    klx_buf_printf(&query, "limit=%u", probe ? 1 : w->page_objects);
    if (w->continue_token[0] != '\0') {
        klx_watch_add_query(&query, "continue", klx_sv(w->continue_token));
    } else if (!probe) {
        w->last_key[0] = '\0';
        w->unordered = false;
        w->cb.on_list(w->cb.arg, true, w->state.list.origin);
    }
    int64_t deadline_ms = klx_watch_short_ms(w);
    struct klx_http_request r = {
        .on_done = on_short_done,
        .deadline_ms = probe && deadline_ms > PROBE_MS ? PROBE_MS : deadline_ms,
        .body_bytes_max = KLX_WATCH_PAGE_BYTES_MAX,
        .own_connection = probe,
    };
    klx_watch_get(w, &query, &r);
}
