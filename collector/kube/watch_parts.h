/*
 * Internal to the transport of a watch: what its stream (watch.c) and its lists (watch_list.c) share. Nobody else includes this.
 */
#pragma once

#include "collector/kube/frame.h"
#include "collector/kube/pulse.h"
#include "collector/kube/watch.h"
#include "collector/kube/watch_state.h"

#define KLX_WATCH_QUERY_BYTES_MAX 32768 /* selectors and a continuation */
#define KLX_WATCH_PAGE_OBJECTS 500
#define KLX_WATCH_PAGE_BYTES_MAX (64u << 20)
#define KLX_WATCH_PAGE_TREE_BYTES_MAX (512u << 20)
#define KLX_WATCH_DETAIL_BYTES 300

struct klx_watch {
    struct klx_kube_client *client;
    struct klx_clock *clock;
    struct klx_watch_options o;
    struct klx_watch_callbacks cb;
    char *path, *selectors;
    struct klx_list_place resume_list;
    struct klx_watch_state state;
    enum klx_watch_phase next; /* what the timer starts */
    struct klx_timer *timer;   /* the wait before the next step, or the stream's deadline */
    struct klx_http_call *call;
    struct klx_credential_waiter credentials; /* the next step begins when they are there */
    uint64_t sent_with;                       /* the credentials of `call` */
    struct klx_pulse pulse;
    struct klx_timer *pulse_timer;
    struct klx_timer *mark_timer;
    struct klx_http_call *mark_call; /* asks for the server's version while a stream is quiet */
    struct klx_credential_waiter mark_credentials;
    struct klx_rv mark; /* and the answer; see ask_for_mark */
    struct klx_framer framer;
    struct klx_buf held; /* bytes of the stream that came before a pause took effect */
    struct klx_arena frame_arena;
    struct klx_arena page_arena;
    char continue_token[4096];
    char last_key[KLX_LIST_KEY_BYTES]; /* of this pass of the list */
    bool unordered;        /* the list is not in the order of its keys: it has no place */
    bool place_stored;     /* on_list_place was told one */
    unsigned page_objects; /* an eighth when a page is too large */
    int status;            /* of the stream */
    int64_t retry_after_ms;
    int64_t whole_since_us; /* wall time the connection was last known to be whole */
    int64_t timeout_ms;     /* when the server is to end the stream */
    int64_t stream_ms;      /* how long it may take in all */
    bool paused;
    bool waits;       /* the next step begins when resumed */
    bool failed;      /* this stream is over for us: what still comes of it is ignored */
    const char *said; /* the trouble that was said last */
    char said_detail[KLX_WATCH_DETAIL_BYTES];
    char detail
        [KLX_WATCH_DETAIL_BYTES]; /* of the trouble under way: libcurl's words, or those of the server's Status */
};

/* watch.c */
void klx_watch_input(struct klx_watch *w, struct klx_watch_input in);
void klx_watch_broken(struct klx_watch *w, const char *what);
const char *klx_watch_words_of(enum klx_http_failure f);
/* Of the trouble that is said next: the words, or what the server says of its refusal. */
void klx_watch_detail(struct klx_watch *w, struct klx_sv text);
void klx_watch_detail_of(struct klx_watch *w, struct klx_sv body);
void klx_watch_store_place(struct klx_watch *w);
/* Adds "key=value" with the value percent-encoded. */
void klx_watch_add_query(struct klx_buf *q, const char *key, struct klx_sv value);
/* The request of this step; the query is released. */
void klx_watch_get(struct klx_watch *w, struct klx_buf *query, struct klx_http_request *r);
/* How long a request that is no stream may take. */
int64_t klx_watch_short_ms(const struct klx_watch *w);

/* watch_list.c */
/* The next page of the list, or the probe. */
void klx_watch_ask_for_list(struct klx_watch *w);
/* In the page's arena. NULL: it cannot be read. */
const struct klx_json *klx_watch_parse_list(struct klx_watch *w, struct klx_sv body);
