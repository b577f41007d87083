/*
 * The transport of a watch: it does what watch_state.h decides.
 */
#include "collector/kube/watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/kube/frame.h"
#include "collector/kube/watch_state.h"
#include "lib/base/mem.h"
#include "lib/base/time.h"

#define PAGE_OBJECTS 500
#define PAGE_BYTES_MAX (64u << 20)
#define PAGE_TREE_BYTES_MAX (512u << 20)
#define SHORT_REQUEST_MS 60000
#define SILENCE_MS 15000

struct klx_watch {
    struct klx_kube_client *client;
    struct klx_clock *clock;
    struct klx_watch_options o;
    struct klx_watch_callbacks cb;
    char *path, *selectors;
    struct klx_watch_state state;
    enum klx_watch_phase next; /* what the timer starts */
    struct klx_timer *timer;   /* the wait before the next step, or the stream's deadline */
    struct klx_http_call *call;
    struct klx_framer framer;
    struct klx_buf held; /* bytes of the stream that came before a pause took effect */
    struct klx_arena frame_arena;
    struct klx_arena page_arena;
    char continue_token[4096];
    int status; /* of the stream; an answer that is not 200 is collected in `held` */
    int64_t retry_after_ms;
    int64_t whole_since_us; /* wall time the connection was last known to be whole */
    bool listing;           /* on_list(true) was said */
    bool paused;
    bool page_waits;  /* the next page is asked for when resumed */
    bool failed;      /* this stream is over for us: what still comes of it is ignored */
    const char *said; /* the trouble that was said last */
};

static void start_step(struct klx_watch *w);

static void say(struct klx_watch *w, const char *what, int64_t retry_ms) {
    if (what != w->said) { /* literals: the same kind of trouble is the same pointer */
        w->said = what;
        if (what != NULL) {
            w->cb.on_trouble(w->cb.arg, what, retry_ms);
        }
    }
}

static void end_call(struct klx_watch *w) {
    if (w->call != NULL) {
        klx_http_cancel(w->call);
        w->call = NULL;
    }
}

static void perform(struct klx_watch *w, struct klx_watch_action a) {
    if (a.none) {
        return;
    }
    end_call(w);
    w->failed = true;
    w->cb.on_connected(w->cb.arg,
                       a.next == KLX_WATCH_STREAM && a.wait_ms == 0 && a.trouble == NULL);
    if (a.refresh) {
        klx_kube_client_refresh(w->client);
    }
    if (a.gap != NULL) {
        const struct klx_watch_gap gap = {
            .after = klx_rv_sv(&w->state.rv),
            .since_us = w->whole_since_us,
            .until_us = w->clock->wall_us(w->clock),
            .why = a.gap,
        };
        w->cb.on_gap(w->cb.arg, &gap);
    }
    if (a.trouble != NULL) {
        say(w, a.trouble, a.wait_ms);
    }
    w->next = a.next;
    w->continue_token[0] = '\0';
    klx_timer_start(w->timer, a.wait_ms);
}

static void input(struct klx_watch *w, struct klx_watch_input in) {
    perform(w, klx_watch_step(&w->state, &in, w->clock->mono_us(w->clock), w->clock));
}

static void broken(struct klx_watch *w, const char *what) {
    input(w, (struct klx_watch_input){ .kind = KLX_WATCH_IN_BROKEN, .what = what });
}

static const char *words_of(enum klx_http_failure f) {
    switch (f) {
    case KLX_HTTP_CONNECT:
        return "cannot connect to the API server";
    case KLX_HTTP_TLS:
        return "the API server's certificate is not accepted: check certificate-authority and the "
               "name";
    case KLX_HTTP_TIMEOUT:
        return "the API server did not answer in time";
    case KLX_HTTP_TOO_LARGE:
        return "the API server's answer is larger than allowed";
    case KLX_HTTP_OK:
    case KLX_HTTP_BROKEN:
        break;
    }
    return "the connection to the API server broke";
}

static void hand_up_listed(struct klx_watch *w, const struct klx_json *item) {
    struct klx_sv rv = klx_json_str(item, "metadata.resourceVersion");
    struct klx_sv filter = klx_rv_sv(&w->state.filter);
    if (w->cb.on_listed != NULL) {
        w->cb.on_listed(w->cb.arg, item);
    }
    if (w->state.origin == KLX_ORIGIN_BASELINE || filter.n == 0 || klx_rv_cmp(rv, filter) > 0) {
        w->cb.on_object(w->cb.arg, KLX_CHANGE_ADDED, w->state.origin, item);
    }
}

static void on_page(struct klx_watch *w, const struct klx_json *list) {
    struct klx_sv rv = klx_json_str(list, "metadata.resourceVersion");
    if (w->next == KLX_WATCH_PROBE) {
        input(w, (struct klx_watch_input){ .kind = KLX_WATCH_IN_PROBED, .rv = rv });
        return;
    }
    for (const struct klx_json *i = klx_json_first(klx_json_get(list, "items")); i != NULL;
         i = klx_json_next(i)) {
        hand_up_listed(w, i);
    }
    struct klx_sv more = klx_json_str(list, "metadata.continue");
    if (more.n > 0 && more.n < sizeof(w->continue_token)) {
        snprintf(w->continue_token, sizeof(w->continue_token), "%.*s", KLX_SV_FMT(more));
        w->page_waits = w->paused;
        if (!w->paused) {
            klx_timer_start(w->timer, 0);
        }
        return;
    }
    w->listing = false;
    w->cb.on_list(w->cb.arg, false, w->state.origin);
    struct klx_rv list_rv;
    klx_rv_set(&list_rv, rv);
    input(w, (struct klx_watch_input){ .kind = KLX_WATCH_IN_LISTED, .rv = klx_rv_sv(&list_rv) });
    w->cb.on_checkpoint(w->cb.arg, klx_rv_sv(&list_rv), false);
}

static void on_short_done(void *arg, const struct klx_http_result *r) {
    struct klx_watch *w = arg;
    const struct klx_json *list = NULL;
    w->call = NULL;
    if (r->failure != KLX_HTTP_OK) {
        broken(w, words_of(r->failure));
        return;
    }
    if (r->status != 200) {
        input(w, (struct klx_watch_input){ .kind = KLX_WATCH_IN_STATUS,
                                           .code = r->status,
                                           .retry_after_ms = r->retry_after_ms });
        return;
    }
    const struct klx_json_limits limits = { .bytes_max = PAGE_BYTES_MAX, .depth_max = 64 };
    if (klx_json_parse(&w->page_arena, r->body, &limits, &list, NULL) != 0 ||
        !klx_rv_valid(klx_json_str(list, "metadata.resourceVersion"))) {
        broken(w, "the API server's list cannot be read");
    } else {
        w->whole_since_us = w->clock->wall_us(w->clock);
        on_page(w, list);
    }
    klx_arena_release(&w->page_arena); /* a page may be large, and the next list is far away */
}

/* Adds "key=value" with the value percent-encoded. */
static void add_query(struct klx_buf *q, const char *key, struct klx_sv value) {
    klx_buf_printf(q, "%s%s=", q->len > 0 ? "&" : "", key);
    for (size_t i = 0; i < value.n; i++) {
        unsigned char c = (unsigned char)value.p[i];
        bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                     c == '-' || c == '_' || c == '.';
        if (plain) {
            klx_buf_add_char(q, (char)c);
        } else {
            klx_buf_printf(q, "%%%02X", c);
        }
    }
}

static void get(struct klx_watch *w, struct klx_buf *query, struct klx_http_request *r) {
    struct klx_error e = { 0 };
    if (w->selectors != NULL) {
        klx_buf_printf(query, "&%s", w->selectors);
    }
    r->arg = w;
    int rc = klx_kube_client_get(w->client, w->path, klx_buf_str(query), r, &w->call, &e);
    klx_buf_release(query);
    if (rc != 0) {
        w->call = NULL;
        broken(w, "the request cannot be made: the credentials cannot be read");
    }
}

static void ask_for_list(struct klx_watch *w) {
    struct klx_buf query;
    klx_buf_init(&query, 16384);
    klx_buf_printf(&query, "limit=%d", w->next == KLX_WATCH_PROBE ? 1 : PAGE_OBJECTS);
    if (w->continue_token[0] != '\0') {
        add_query(&query, "continue", klx_sv(w->continue_token));
    } else if (w->next == KLX_WATCH_LIST) {
        w->listing = true;
        w->cb.on_list(w->cb.arg, true, w->state.origin);
    }
    struct klx_http_request r = { .on_done = on_short_done,
                                  .deadline_ms = SHORT_REQUEST_MS,
                                  .body_bytes_max = PAGE_BYTES_MAX };
    get(w, &query, &r);
}

static void on_error_frame(struct klx_watch *w, const struct klx_json *status) {
    int64_t seconds = klx_json_int(status, "details.retryAfterSeconds", -1);
    int code = (int)klx_json_int(status, "code", 500);
    struct klx_sv reason = klx_json_str(status, "reason");
    if (klx_sv_eq(reason, KLX_SV("Expired")) || klx_sv_eq(reason, KLX_SV("Gone"))) {
        code = 410;
    }
    input(w, (struct klx_watch_input){ .kind = KLX_WATCH_IN_ERROR,
                                       .code = code,
                                       .retry_after_ms = seconds >= 0 ? seconds * 1000 : -1 });
}

static void progress(struct klx_watch *w, struct klx_sv rv, bool bookmark) {
    w->whole_since_us = w->clock->wall_us(w->clock);
    say(w, NULL, 0);
    input(w, (struct klx_watch_input){ .kind = KLX_WATCH_IN_PROGRESS, .rv = rv });
    w->cb.on_checkpoint(w->cb.arg, rv, bookmark);
}

static int change_of(struct klx_sv type) {
    return klx_sv_eq(type, KLX_SV("ADDED"))      ? KLX_CHANGE_ADDED
           : klx_sv_eq(type, KLX_SV("MODIFIED")) ? KLX_CHANGE_MODIFIED
           : klx_sv_eq(type, KLX_SV("DELETED"))  ? KLX_CHANGE_DELETED
                                                 : -1;
}

static void on_frame(struct klx_watch *w, struct klx_sv text) {
    const struct klx_json *frame = NULL;
    const struct klx_json_limits limits = { .bytes_max = KLX_FRAME_BYTES_MAX, .depth_max = 64 };
    klx_arena_reset(&w->frame_arena);
    bool read = klx_json_parse(&w->frame_arena, text, &limits, &frame, NULL) == 0;
    struct klx_sv type = klx_json_str(frame, "type");
    const struct klx_json *object = klx_json_get(frame, "object");
    if (read && klx_sv_eq(type, KLX_SV("ERROR"))) {
        on_error_frame(w, object);
        return;
    }
    struct klx_sv rv = klx_json_str(object, "metadata.resourceVersion");
    int change = change_of(type);
    bool bookmark = klx_sv_eq(type, KLX_SV("BOOKMARK"));
    if (!read || !klx_rv_valid(rv) || (change < 0 && !bookmark)) {
        input(w, (struct klx_watch_input){ .kind = KLX_WATCH_IN_UNREADABLE });
        return;
    }
    if (!bookmark) {
        w->cb.on_object(w->cb.arg, (enum klx_change)change, KLX_ORIGIN_LIVE, object);
    }
    progress(w, rv, bookmark);
}

/* Hands up what the framer holds, until it is used up, paused, or the stream is given up. */
static void drain(struct klx_watch *w) {
    while (!w->failed && !w->paused) {
        struct klx_sv frame;
        int rc = klx_framer_next(&w->framer, &frame);
        if (rc == 0) {
            return;
        }
        if (rc < 0) {
            input(w, (struct klx_watch_input){ .kind = KLX_WATCH_IN_OVERSIZE });
            return;
        }
        on_frame(w, frame);
    }
}

static void on_stream_status(void *arg, int status, int64_t retry_after_ms) {
    struct klx_watch *w = arg;
    w->status = status;
    w->retry_after_ms = retry_after_ms;
    if (status == 200) {
        w->cb.on_connected(w->cb.arg, true);
    }
}

static void on_stream_body(void *arg, struct klx_sv chunk) {
    struct klx_watch *w = arg;
    if (w->failed || w->status != 200) {
        return;
    }
    if (w->paused) {
        klx_buf_add_sv(&w->held, chunk);
        return;
    }
    klx_framer_feed(&w->framer, chunk);
    drain(w);
    if (!w->failed && w->paused) {
        klx_buf_add_sv(&w->held, klx_framer_rest(&w->framer));
        klx_framer_feed(&w->framer, klx_sv(NULL));
    }
}

static void on_stream_done(void *arg, const struct klx_http_result *r) {
    struct klx_watch *w = arg;
    w->call = NULL;
    if (w->failed) {
        return;
    }
    if (r->failure == KLX_HTTP_OK && r->status != 200) {
        input(w, (struct klx_watch_input){ .kind = KLX_WATCH_IN_STATUS,
                                           .code = r->status,
                                           .retry_after_ms = r->retry_after_ms });
    } else if (r->failure == KLX_HTTP_OK && w->framer.partial.len == 0) {
        w->whole_since_us = w->clock->wall_us(w->clock);
        input(w, (struct klx_watch_input){ .kind = KLX_WATCH_IN_ENDED });
    } else {
        broken(w, words_of(r->failure));
    }
}

static void ask_for_stream(struct klx_watch *w) {
    struct klx_buf query;
    int64_t low = w->o.timeout_min_s > 0 ? w->o.timeout_min_s : w->o.bookmarks ? 300 : 240;
    int64_t high = w->o.timeout_max_s > 0 ? w->o.timeout_max_s : w->o.bookmarks ? 600 : 300;
    int64_t timeout_s = low + (int64_t)(w->clock->random(w->clock) % (uint64_t)(high - low + 1));
    klx_buf_init(&query, 16384);
    klx_buf_printf(&query, "watch=1&timeoutSeconds=%lld&resourceVersion=%s", (long long)timeout_s,
                   w->state.rv.text);
    if (w->o.bookmarks) {
        klx_buf_add_str(&query, "&allowWatchBookmarks=true");
    }
    klx_framer_reset(&w->framer);
    klx_buf_reset(&w->held);
    w->status = 0;
    struct klx_http_request r = { .on_status = on_stream_status,
                                  .on_body = on_stream_body,
                                  .on_done = on_stream_done,
                                  .own_connection = true };
    get(w, &query, &r);
    if (w->call != NULL) {
        /* A peer that is gone without a word is found here: by then the server would have ended the stream itself. */
        klx_timer_start(w->timer,
                        timeout_s * 1000 + (w->o.silence_ms > 0 ? w->o.silence_ms : SILENCE_MS));
    }
}

static void start_step(struct klx_watch *w) {
    w->failed = false;
    if (w->continue_token[0] == '\0') {
        klx_watch_began(&w->state, w->clock->mono_us(w->clock));
    }
    if (w->next == KLX_WATCH_STREAM) {
        ask_for_stream(w);
    } else {
        ask_for_list(w);
    }
}

static void on_timer(void *arg) {
    struct klx_watch *w = arg;
    if (w->call == NULL) {
        start_step(w);
    } else if (w->paused) {
        klx_timer_start(w->timer, SILENCE_MS); /* it is we who do not read */
    } else {
        broken(w, "the watch went silent");
    }
}

struct klx_watch *klx_watch_new(struct klx_kube_client *client, struct klx_clock *clock,
                                const struct klx_watch_options *o,
                                const struct klx_watch_callbacks *cb) {
    struct klx_watch *w = klx_alloc(struct klx_watch);
    w->client = client;
    w->clock = clock;
    w->o = *o;
    w->cb = *cb;
    w->path = klx_strdup(o->path);
    w->selectors = o->selectors != NULL ? klx_strdup(o->selectors) : NULL;
    w->whole_since_us = o->checkpoint_us;
    w->timer = klx_timer_new(klx_kube_client_loop(client), on_timer, w);
    klx_framer_init(&w->framer);
    klx_buf_init(&w->held, KLX_FRAME_BYTES_MAX + (1u << 20));
    klx_arena_init(&w->frame_arena, 65536, 8 * KLX_FRAME_BYTES_MAX);
    klx_arena_init(&w->page_arena, 1u << 20, PAGE_TREE_BYTES_MAX);
    return w;
}

void klx_watch_start(struct klx_watch *w) {
    w->next = klx_watch_begin(&w->state, &w->o.resume).next;
    klx_timer_start(w->timer, 0);
}

void klx_watch_pause(struct klx_watch *w) {
    w->paused = true;
    if (w->call != NULL && w->next == KLX_WATCH_STREAM) {
        klx_http_pause(w->call);
    }
}

void klx_watch_resume(struct klx_watch *w) {
    if (!w->paused) {
        return;
    }
    w->paused = false;
    if (w->page_waits) {
        w->page_waits = false;
        klx_timer_start(w->timer, 0);
    }
    if (w->held.len > 0 && !w->failed) {
        struct klx_buf bytes = w->held;
        klx_buf_init(&w->held, bytes.max);
        on_stream_body(w, klx_buf_sv(&bytes));
        klx_buf_release(&bytes);
    }
    if (!w->paused && w->call != NULL && w->next == KLX_WATCH_STREAM) {
        klx_http_resume(w->call);
    }
}

void klx_watch_free(struct klx_watch *w) {
    if (w == NULL) {
        return;
    }
    end_call(w);
    klx_timer_free(w->timer);
    klx_framer_release(&w->framer);
    klx_buf_release(&w->held);
    klx_arena_release(&w->frame_arena);
    klx_arena_release(&w->page_arena);
    free(w->path);
    free(w->selectors);
    free(w);
}
