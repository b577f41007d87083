/*
 * The transport of a watch: it does what watch_state.h decides.
 */
#include "collector/kube/watch_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/kube/frame.h"
#include "collector/redact.h"
#include "lib/base/mem.h"
#include "lib/base/time.h"
#include "lib/base/url.h"

#define SHORT_REQUEST_MS 60000 /* a list's page, and the head of a stream */
#define LATE_MS 1000   /* a timer that fires so late: the process did not run, and has not read */
#define GRACE_MS 15000 /* for the server's own end of a stream to arrive */
#define MARK_BEFORE_END_MS 1000 /* at least: what was written before the mark has arrived by then */
#define STATUS_BYTES_MAX 16384  /* of an answer that is not 200 */
#define DEAD_AFTER_MS 315000
#define DEAD_AFTER_WITH_BOOKMARKS_MS 615000

static const char no_credentials[] = "there are no credentials for the API server";

/* The same trouble is said once; of missing credentials each reason is: who has repaired the first must hear of the next. */
static void say(struct klx_watch *w, const char *what, int64_t retry_ms) {
    bool another = what == no_credentials && strcmp(w->detail, w->said_detail) != 0;
    if (what != w->said || another) { /* literals: the same kind of trouble is the same pointer */
        w->said = what;
        memcpy(w->said_detail, w->detail, sizeof(w->said_detail));
        if (what != NULL) {
            w->cb.on_trouble(w->cb.arg, what, w->detail, retry_ms);
        }
    }
}

void klx_watch_detail(struct klx_watch *w, struct klx_sv text) {
    struct klx_sv cut = klx_sv_utf8_prefix(text, sizeof(w->detail) - 1);
    snprintf(w->detail, sizeof(w->detail), "%.*s", KLX_SV_FMT(cut));
}

/* What the server says of its refusal: the message of a Status, or the line of its limiter, its aggregator or a proxy. */
void klx_watch_detail_of(struct klx_watch *w, struct klx_sv body) {
    const struct klx_json *status = NULL;
    const struct klx_json_limits limits = { .bytes_max = STATUS_BYTES_MAX, .depth_max = 16 };
    klx_arena_reset(&w->frame_arena);
    bool read = klx_frame_parse(&w->frame_arena, body, &limits, &status) == 0;
    struct klx_sv line = body;
    line = klx_sv_cut(&line, '\n');
    line = read ? klx_json_str(status, "message") : line;
    klx_watch_detail(w, klx_redact(&w->frame_arena, line, sizeof(w->detail) - 1));
}

static void cancel(struct klx_http_call **call) {
    if (*call != NULL) {
        klx_http_cancel(*call);
        *call = NULL;
    }
}

void klx_watch_store_place(struct klx_watch *w) {
    w->place_stored = true;
    w->cb.on_list_place(w->cb.arg, &w->state.list);
}

static void perform(struct klx_watch *w, struct klx_watch_action a) {
    if (a.none) {
        return;
    }
    cancel(&w->call);
    cancel(&w->mark_call);
    klx_credential_forget(&w->mark_credentials);
    klx_timer_stop(w->mark_timer);
    klx_timer_stop(w->pulse_timer);
    w->mark.text[0] = '\0';
    klx_buf_reset(&w->held);
    w->failed = true;
    if (a.next == KLX_WATCH_LIST || a.wait_ms > 0 || a.trouble != NULL) {
        w->cb.on_connected(w->cb.arg, false); /* else it is a renewal */
    }
    if (a.absent) {
        w->cb.on_absent(w->cb.arg, a.wait_ms);
    }
    if (a.refresh) {
        klx_kube_client_refresh(w->client, w->sent_with);
    }
    if (a.gap != NULL) {
        int64_t now_us = w->clock->wall_us(w->clock); /* which may have been set back */
        const struct klx_watch_gap gap = {
            .after = klx_rv_sv(&w->state.rv),
            .since_us = w->whole_since_us < now_us ? w->whole_since_us : now_us,
            .until_us = now_us,
            .why = a.gap,
        };
        w->cb.on_gap(w->cb.arg, &gap);
        klx_watch_store_place(w);
    }
    if (a.trouble != NULL) {
        say(w, a.trouble, a.wait_ms);
    }
    w->detail[0] = '\0';
    w->next = a.next;
    if (a.from_start || a.next != KLX_WATCH_LIST) {
        w->continue_token[0] = '\0';
    }
    klx_timer_start(w->timer, a.wait_ms);
}

void klx_watch_input(struct klx_watch *w, struct klx_watch_input in) {
    perform(w, klx_watch_step(&w->state, &in, w->clock->mono_us(w->clock), w->clock));
}

void klx_watch_broken(struct klx_watch *w, const char *what) {
    klx_watch_input(w, (struct klx_watch_input){ .kind = KLX_WATCH_IN_BROKEN, .what = what });
}

const char *klx_watch_words_of(enum klx_http_failure f) {
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

void klx_watch_add_query(struct klx_buf *q, const char *key, struct klx_sv value) {
    klx_buf_printf(q, "%s%s=", q->len > 0 ? "&" : "", key);
    klx_url_add_encoded(q, value);
}

/* Starts the request; the query is released. */
static int try_get(struct klx_watch *w, struct klx_buf *query, struct klx_http_request *r,
                   struct klx_http_call **ret, struct klx_error *e) {
    if (w->selectors != NULL) {
        klx_buf_printf(query, "&%s", w->selectors);
    }
    r->arg = w;
    int rc = klx_kube_client_send(w->client, w->path, klx_buf_str(query), r, ret, e);
    klx_buf_release(query);
    return rc;
}

void klx_watch_get(struct klx_watch *w, struct klx_buf *query, struct klx_http_request *r) {
    struct klx_error e = { 0 };
    if (try_get(w, query, r, &w->call, &e) != 0) {
        w->call = NULL;
        klx_watch_detail(w, klx_sv(e.text));
        klx_watch_broken(w, no_credentials);
    }
    w->sent_with = klx_kube_client_credential(w->client);
}

static int64_t dead_after_ms(const struct klx_watch *w) {
    return w->o.dead_after_ms > 0 ? w->o.dead_after_ms
           : w->o.bookmarks       ? DEAD_AFTER_WITH_BOOKMARKS_MS
                                  : DEAD_AFTER_MS;
}

int64_t klx_watch_short_ms(const struct klx_watch *w) {
    int64_t dead_ms = dead_after_ms(w);
    return dead_ms < SHORT_REQUEST_MS ? dead_ms : SHORT_REQUEST_MS;
}

static void on_mark_done(void *arg, const struct klx_http_result *r) {
    struct klx_watch *w = arg;
    w->mark_call = NULL;
    if (r->failure == KLX_HTTP_OK && r->status == 200) {
        const struct klx_json *list = klx_watch_parse_list(w, r->body);
        klx_rv_set(&w->mark, klx_json_str(list, "metadata.resourceVersion"));
        klx_arena_release(&w->page_arena);
    }
}

/* Without bookmarks (Events have none, nor has a server without a watch cache) and without news a resourceVersion grows old, until a compaction makes a gap of a quiet hour. So the server's version
   is noted when three quarters of a quiet stream have passed: when the stream then ends as it should, and has brought nothing since,
   everything up to the mark has been seen. A stream that has died in silence never ends as it should. */
static void ask_for_mark(void *arg) {
    struct klx_watch *w = arg;
    struct klx_error e = { 0 };
    struct klx_buf query;
    if (w->paused || w->mark_call != NULL || w->pulse.measured ||
        !klx_kube_client_ready(w->client, &w->mark_credentials)) {
        return;
    }
    klx_buf_init(&query, KLX_WATCH_QUERY_BYTES_MAX);
    klx_buf_add_str(&query, "limit=1");
    struct klx_http_request r = { .on_done = on_mark_done,
                                  .deadline_ms = klx_watch_short_ms(w),
                                  .body_bytes_max = KLX_WATCH_PAGE_BYTES_MAX };
    if (try_get(w, &query, &r, &w->mark_call, &e) != 0) {
        w->mark_call = NULL;
    }
}

static void on_mark_credentials(void *arg) {
    struct klx_watch *w = arg;
    klx_timer_start(w->mark_timer, 0);
}

/* The stream has ended as it should. */
static void take_mark(struct klx_watch *w) {
    struct klx_rv mark = w->mark;
    bool all_seen = w->held.len == 0; /* what came while we were paused is asked for again */
    if (all_seen && mark.text[0] != '\0' &&
        klx_rv_cmp(klx_rv_sv(&mark), klx_rv_sv(&w->state.rv)) > 0) {
        klx_watch_input(
            w, (struct klx_watch_input){ .kind = KLX_WATCH_IN_PROGRESS, .rv = klx_rv_sv(&mark) });
        w->cb.on_checkpoint(w->cb.arg, klx_rv_sv(&mark), true);
    }
}

static void on_error_frame(struct klx_watch *w, const struct klx_json *status) {
    klx_watch_detail(w, klx_json_str(status, "message"));
    int64_t seconds = klx_json_int(status, "details.retryAfterSeconds", -1);
    int code = (int)klx_json_int(status, "code", 500);
    struct klx_sv reason = klx_json_str(status, "reason");
    if (klx_sv_eq(reason, KLX_SV("Expired")) || klx_sv_eq(reason, KLX_SV("Gone"))) {
        code = 410;
    }
    klx_watch_input(
        w, (struct klx_watch_input){ .kind = KLX_WATCH_IN_ERROR,
                                     .code = code,
                                     .retry_after_ms = seconds >= 0 ? seconds * 1000 : -1 });
}

/* Frames do not touch the timer: it looks for itself, when it fires, whether something has come. */
static void watch_pulse(struct klx_watch *w) {
    int64_t due_us = klx_pulse_due_us(&w->pulse);
    if (due_us != INT64_MAX && !klx_timer_active(w->pulse_timer)) {
        klx_timer_start(w->pulse_timer, (due_us - w->clock->mono_us(w->clock)) / KLX_US_PER_MS + 1);
    }
}

static void on_pulse_timer(void *arg) {
    struct klx_watch *w = arg;
    int64_t now_us = w->clock->mono_us(w->clock), due_us = klx_pulse_due_us(&w->pulse);
    if (w->paused || now_us - due_us > LATE_MS * KLX_US_PER_MS) {
        klx_pulse_excuse(&w->pulse, now_us);
    } else if (now_us >= due_us) {
        klx_pulse_lost(&w->pulse);
        klx_watch_broken(w, "the watch went silent: three bookmarks are missing");
        return;
    }
    watch_pulse(w);
}

static void progress(struct klx_watch *w, struct klx_sv rv, bool bookmark) {
    w->whole_since_us = w->clock->wall_us(w->clock);
    if (bookmark) {
        klx_pulse_frame(&w->pulse, true, w->clock->mono_us(w->clock));
        watch_pulse(w);
    }
    w->mark.text[0] = '\0';
    say(w, NULL, 0);
    klx_watch_input(w, (struct klx_watch_input){ .kind = KLX_WATCH_IN_PROGRESS, .rv = rv });
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
    bool read = klx_frame_parse(&w->frame_arena, text, &limits, &frame) == 0;
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
        klx_watch_input(w, (struct klx_watch_input){ .kind = KLX_WATCH_IN_UNREADABLE });
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
            klx_watch_input(w, (struct klx_watch_input){ .kind = KLX_WATCH_IN_OVERSIZE });
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
        klx_timer_start(w->timer, w->stream_ms);
        klx_pulse_begin(&w->pulse, w->clock->mono_us(w->clock));
        watch_pulse(w);
        if (w->timeout_ms >= 4 * MARK_BEFORE_END_MS) {
            klx_timer_start(w->mark_timer, w->timeout_ms * 3 / 4);
        }
    }
}

static void on_stream_body(void *arg, struct klx_sv chunk) {
    struct klx_watch *w = arg;
    if (w->failed) {
        return;
    }
    if (w->status != 200) {
        size_t room = STATUS_BYTES_MAX - w->held.len;
        klx_buf_add(&w->held, chunk.p, chunk.n < room ? chunk.n : room);
        return;
    }
    klx_pulse_frame(&w->pulse, false, w->clock->mono_us(w->clock)); /* a part of one, at least */
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
        klx_watch_detail_of(w, klx_buf_sv(&w->held));
        klx_watch_input(w, (struct klx_watch_input){ .kind = KLX_WATCH_IN_STATUS,
                                                     .code = r->status,
                                                     .retry_after_ms = r->retry_after_ms });
    } else if (r->failure == KLX_HTTP_OK && w->framer.partial.len == 0) {
        w->whole_since_us = w->clock->wall_us(w->clock);
        take_mark(w);
        klx_watch_input(w, (struct klx_watch_input){ .kind = KLX_WATCH_IN_ENDED });
    } else {
        klx_watch_detail(w, klx_sv(r->error));
        klx_watch_broken(w, klx_watch_words_of(r->failure));
    }
}

static void ask_for_stream(struct klx_watch *w) {
    struct klx_buf query;
    int64_t dead_ms = dead_after_ms(w);
    int64_t grace_ms = dead_ms / 4 < GRACE_MS ? dead_ms / 4 : GRACE_MS;
    int64_t most_s = (dead_ms - grace_ms) / 1000 > 0 ? (dead_ms - grace_ms) / 1000 : 1;
    /* Not all watches of a fleet at the same time. */
    int64_t timeout_s = most_s - (int64_t)(w->clock->random(w->clock) % ((uint64_t)most_s / 4 + 1));
    klx_buf_init(&query, KLX_WATCH_QUERY_BYTES_MAX);
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
    klx_watch_get(w, &query, &r);
    /* A peer that is gone without a word is found by its silence: by then the server would have answered, or ended the stream itself. */
    w->timeout_ms = timeout_s * 1000;
    w->stream_ms = w->timeout_ms + grace_ms;
    if (w->call != NULL) {
        klx_timer_start(w->timer, klx_watch_short_ms(w));
    }
}

static void start_step(struct klx_watch *w) {
    if (!klx_kube_client_ready(w->client, &w->credentials)) {
        return; /* on_credentials */
    }
    w->failed = false;
    if (w->continue_token[0] == '\0') {
        klx_watch_began(&w->state, w->clock->mono_us(w->clock));
    }
    if (w->next == KLX_WATCH_STREAM) {
        ask_for_stream(w);
    } else {
        klx_watch_ask_for_list(w);
    }
}

static void on_credentials(void *arg) {
    struct klx_watch *w = arg;
    klx_timer_start(w->timer, 0);
}

static void on_timer(void *arg) {
    struct klx_watch *w = arg;
    if (w->call == NULL && w->paused) {
        w->waits = true;
    } else if (w->call == NULL) {
        start_step(w);
    } else if (w->paused) {
        klx_timer_start(w->timer, GRACE_MS); /* it is we who do not read */
    } else {
        klx_watch_broken(w, "the watch went silent");
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
    w->credentials = (struct klx_credential_waiter){ .fn = on_credentials, .arg = w };
    w->mark_credentials = (struct klx_credential_waiter){ .fn = on_mark_credentials, .arg = w };
    w->path = klx_strdup(o->path);
    w->selectors = o->selectors != NULL ? klx_strdup(o->selectors) : NULL;
    w->whole_since_us = o->checkpoint_us;
    w->page_objects = KLX_WATCH_PAGE_OBJECTS;
    w->place_stored = o->list != NULL;
    if (o->list != NULL) {
        w->resume_list = *o->list;
    }
    w->timer = klx_timer_new(klx_kube_client_loop(client), on_timer, w);
    w->mark_timer = klx_timer_new(klx_kube_client_loop(client), ask_for_mark, w);
    w->pulse_timer = klx_timer_new(klx_kube_client_loop(client), on_pulse_timer, w);
    klx_framer_init(&w->framer);
    klx_buf_init(&w->held, KLX_FRAME_BYTES_MAX + (1u << 20));
    klx_arena_init(&w->frame_arena, 65536, 8 * KLX_FRAME_BYTES_MAX);
    klx_arena_init(&w->page_arena, 1u << 20, KLX_WATCH_PAGE_TREE_BYTES_MAX);
    return w;
}

void klx_watch_start(struct klx_watch *w) {
    w->next =
        klx_watch_begin(&w->state, &w->o.resume, w->place_stored ? &w->resume_list : NULL).next;
    w->state.cached = w->o.bookmarks;
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
    klx_pulse_excuse(&w->pulse, w->clock->mono_us(w->clock));
    if (w->waits) {
        w->waits = false;
        klx_timer_start(w->timer, 0);
    }
    if (w->held.len > 0 && !w->failed && w->status == 200) {
        struct klx_buf bytes = w->held;
        klx_buf_init(&w->held, bytes.max);
        on_stream_body(w, klx_buf_sv(&bytes));
        klx_buf_release(&bytes);
    }
    if (!w->paused && w->call != NULL && w->next == KLX_WATCH_STREAM) {
        klx_http_resume(w->call);
    }
}

void klx_watch_give_up(struct klx_watch *w, const char *why) {
    if (w->call != NULL && !w->paused && w->next == KLX_WATCH_STREAM && w->status == 200) {
        klx_watch_broken(w, why);
    }
}

void klx_watch_free(struct klx_watch *w) {
    if (w == NULL) {
        return;
    }
    cancel(&w->call);
    cancel(&w->mark_call);
    klx_credential_forget(&w->credentials);
    klx_credential_forget(&w->mark_credentials);
    klx_timer_free(w->timer);
    klx_timer_free(w->mark_timer);
    klx_timer_free(w->pulse_timer);
    klx_framer_release(&w->framer);
    klx_buf_release(&w->held);
    klx_arena_release(&w->frame_arena);
    klx_arena_release(&w->page_arena);
    free(w->path);
    free(w->selectors);
    free(w);
}
