#include "collector/source_poll.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/kube/frame.h"
#include "collector/redact.h"
#include "lib/base/backoff.h"
#include "lib/base/cleanup.h"
#include "lib/base/hash.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/time.h"
#include "lib/base/url.h"
#include "lib/io/metrics.h"

#define PAGE_OBJECTS 500
#define QUERY_BYTES_MAX 32768
#define STATUS_BYTES_MAX 16384 /* of an answer that is not 200 */
#define DETAIL_BYTES 300
#define BACKOFF_MIN_MS 1000
#define BACKOFF_MAX_MS 60000
#define NOT_ALLOWED_MS 60000 /* rights do not come by themselves */
#define NOT_THERE_MS 30000
#define AT_ONCE_MS 500 /* the first request comes within this */
#define CONTINUE_BYTES 4096

struct klx_source_poll {
    struct klx_poll_sink sink; /* first: its callbacks find the poll by it */
    struct klx_source_poll_env env;
    const struct klx_source_settings *s;
    const struct klx_poll_ops *ops;
    void *reader;
    size_t i;
    char name[KLX_WATCH_KEY_BYTES], key[KLX_WATCH_KEY_BYTES];
    struct klx_timer *timer; /* the wait, or the deadline of `call` */
    struct klx_http_call *call;
    struct klx_credential_waiter credentials;
    uint64_t sent_with;
    struct klx_backoff backoff;
    char continue_token[CONTINUE_BYTES];
    int64_t asked_us;
    int status;
    int64_t retry_after_ms;
    struct klx_buf refusal; /* the body of an answer that is not 200 */
    bool started, paused, waits, answered;
    const char *trouble; /* a literal; NULL: none */
    char detail[DETAIL_BYTES];
    struct {
        struct klx_counter *answers, *failures, *samples, *skipped;
        struct klx_gauge *up, *answered_seconds;
    } metrics;
};

static int64_t now_us(const struct klx_source_poll *p) {
    return p->env.clock->wall_us(p->env.clock);
}

static bool is_of_api_server(const struct klx_source_poll *p) {
    return !p->s->ops->endpoints || p->s->endpoints[p->i].path != NULL;
}

static void observe(struct klx_poll_sink *s, const struct klx_observation *o) {
    struct klx_source_poll *p = (struct klx_source_poll *)s;
    klx_detection_observe(p->env.detection, o);
}

static void put_state(struct klx_poll_sink *s, const char *name, struct klx_sv value) {
    struct klx_source_poll *p = (struct klx_source_poll *)s;
    char more[64];
    snprintf(more, sizeof(more), "/%s", name);
    klx_publisher_put_state(p->env.publisher, p->key, more, value);
}

static void drop_call(struct klx_source_poll *p) {
    if (p->call != NULL) {
        klx_http_cancel(p->call);
        p->call = NULL;
    }
}

static void set_detail(struct klx_source_poll *p, struct klx_sv text) {
    struct klx_sv cut = klx_sv_utf8_prefix(text, sizeof(p->detail) - 1);
    snprintf(p->detail, sizeof(p->detail), "%.*s", KLX_SV_FMT(cut));
}

/* Its own place in each interval. */
static int64_t wait_for_next_ms(const struct klx_source_poll *p) {
    const struct klx_sv parts[] = { klx_sv(p->env.cluster), klx_sv(p->key) };
    char digest[KLX_HASH_TEXT_BYTES];
    klx_hash_parts(parts, KLX_COUNT(parts), digest);
    int64_t place = 0;
    for (size_t i = 0; i < 6; i++) {
        place = place * 31 + digest[i];
    }
    int64_t every = p->s->every_ms, now = now_us(p) / KLX_US_PER_MS;
    return every - ((now - place % every) % every + every) % every;
}

static void wait(struct klx_source_poll *p, int64_t ms) {
    klx_timer_start(p->timer, ms > 0 ? ms : 0);
}

/* The answer, or the attempt, is given up. `at_least_ms`: what the other side asks for, or what makes sense. */
static void fail(struct klx_source_poll *p, const char *what, int64_t at_least_ms) {
    drop_call(p);
    p->continue_token[0] = '\0';
    int64_t wait_ms = klx_backoff_next_after(&p->backoff, p->env.clock, at_least_ms);
    klx_counter_add(p->metrics.failures, 1);
    klx_gauge_set(p->metrics.up, 0);
    if (what != p->trouble) { /* literals: the same kind of trouble is the same pointer */
        klx_log_warn(what, KLX_F_STR("cluster", p->env.cluster), KLX_F_STR("source", p->name),
                     KLX_F_STR("detail", p->detail), KLX_F_INT("retry_ms", wait_ms));
    }
    p->trouble = what;
    p->detail[0] = '\0';
    wait(p, wait_ms);
}

static void on_answered(struct klx_source_poll *p) {
    klx_backoff_reset(&p->backoff);
    klx_counter_add(p->metrics.answers, 1);
    klx_gauge_set(p->metrics.up, 1);
    klx_gauge_set(p->metrics.answered_seconds, (double)now_us(p) / 1e6);
    if (p->trouble != NULL || !p->answered) {
        klx_log_info(p->trouble != NULL ? "the poll is answered again" : "the poll is answered",
                     KLX_F_STR("cluster", p->env.cluster), KLX_F_STR("source", p->name));
    }
    p->trouble = NULL;
    p->answered = true;
    wait(p, wait_for_next_ms(p));
}

static const char *words_of_failure(enum klx_http_failure f) {
    switch (f) {
    case KLX_HTTP_CONNECT:
        return "cannot connect to what is polled";
    case KLX_HTTP_TLS:
        return "the certificate of what is polled is not accepted: check the CA and the name";
    case KLX_HTTP_TIMEOUT:
        return "what is polled did not answer in time";
    default:
        return "the connection to what is polled broke";
    }
}

static void on_refused(struct klx_source_poll *p, int64_t retry_after_ms) {
    const char *what = "what is polled answers with an unexpected status";
    int64_t wait_ms = retry_after_ms;
    switch (p->status) {
    case 401:
        what = "401: the credentials are not accepted, fetching them again";
        if (is_of_api_server(p)) {
            klx_kube_client_refresh(p->env.client, p->sent_with);
        }
        break;
    case 403:
        what = "403: not allowed; `klaxon rbac` prints the rights that are needed";
        wait_ms = wait_ms > NOT_ALLOWED_MS ? wait_ms : NOT_ALLOWED_MS;
        break;
    case 404:
        what = !p->s->ops->endpoints ? "404: the cluster has no such API; is metrics-server "
                                       "installed?"
                                     : "404: there is nothing at this path";
        wait_ms = wait_ms > NOT_THERE_MS ? wait_ms : NOT_THERE_MS;
        break;
    case 429:
        what = "429: asked to wait";
        break;
    case 503:
        what = "503: what is polled is not available";
        break;
    default:
        break;
    }
    fail(p, what, wait_ms);
}

/* The message of a Status, or the text itself. */
static void set_detail_from_refusal(struct klx_source_poll *p) {
    struct klx_arena arena KLX_CLEANUP(klx_arena_release);
    const struct klx_json *status = NULL;
    const struct klx_json_limits limits = { .bytes_max = STATUS_BYTES_MAX, .depth_max = 16 };
    klx_arena_init(&arena, 4096, 1u << 20);
    bool read = klx_frame_parse(&arena, klx_buf_sv(&p->refusal), &limits, &status) == 0;
    struct klx_sv message = klx_json_str(read ? status : NULL, "message");
    char text[DETAIL_BYTES];
    snprintf(text, sizeof(text), "%d %.*s", p->status,
             KLX_SV_FMT(message.n > 0 ? message : klx_sv_trim(klx_buf_sv(&p->refusal))));
    set_detail(p, klx_redact(&arena, klx_sv(text), sizeof(text) - 1));
}

static void on_status(void *arg, int status, int64_t retry_after_ms) {
    struct klx_source_poll *p = arg;
    p->status = status;
    p->retry_after_ms = retry_after_ms;
}

static void count(struct klx_source_poll *p) {
    klx_counter_add(p->metrics.samples, p->sink.samples);
    klx_counter_add(p->metrics.skipped, p->sink.skipped);
    p->sink.samples = p->sink.skipped = 0;
}

static void on_body(void *arg, struct klx_sv chunk) {
    struct klx_source_poll *p = arg;
    struct klx_error e = { 0 };
    if (p->call == NULL) {
        return; /* given up */
    }
    if (p->status != 200) {
        size_t room = STATUS_BYTES_MAX - p->refusal.len;
        klx_buf_add(&p->refusal, chunk.p, chunk.n < room ? chunk.n : room);
        return;
    }
    int rc = p->ops->take(p->reader, chunk, &p->sink, &e);
    count(p);
    klx_publisher_end_turn(p->env.publisher);
    klx_detection_look_soon(p->env.detection);
    if (rc != 0) {
        set_detail(p, klx_sv(e.text));
        fail(p, "an answer is not what it should be", 0);
    }
}

static void ask(struct klx_source_poll *p);

static void on_whole(struct klx_source_poll *p) {
    struct klx_error e = { 0 };
    struct klx_sv more = { 0 };
    int rc = p->ops->end(p->reader, &p->sink, &more, &e);
    count(p);
    snprintf(p->continue_token, sizeof(p->continue_token), "%.*s", KLX_SV_FMT(more));
    klx_publisher_end_turn(p->env.publisher);
    klx_detection_look_soon(p->env.detection);
    if (rc != 0) {
        set_detail(p, klx_sv(e.text));
        fail(p, "an answer is not what it should be", 0);
    } else if (p->continue_token[0] != '\0') {
        wait(p, 0);
    } else {
        on_answered(p);
    }
}

static void on_done(void *arg, const struct klx_http_result *r) {
    struct klx_source_poll *p = arg;
    p->call = NULL;
    if (r->failure != KLX_HTTP_OK) {
        set_detail(p, klx_sv(r->error));
        fail(p, words_of_failure(r->failure), 0);
    } else if (r->status != 200) {
        set_detail_from_refusal(p);
        on_refused(p, r->retry_after_ms);
    } else {
        on_whole(p);
    }
}

/* To the API server: a list with its selectors and its place, or the path of an endpoint. */
static int ask_api_server(struct klx_source_poll *p, struct klx_http_request *r,
                          struct klx_error *e) {
    struct klx_buf path KLX_CLEANUP(klx_buf_release), query KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&path, QUERY_BYTES_MAX);
    klx_buf_init(&query, QUERY_BYTES_MAX);
    if (!p->s->ops->endpoints) {
        klx_source_watch_path(p->s, klx_source_namespace(p->s, p->i), &path);
        klx_buf_printf(&query, "limit=%d", PAGE_OBJECTS);
        if (p->continue_token[0] != '\0') {
            klx_buf_add_str(&query, "&continue=");
            klx_url_add_encoded(&query, klx_sv(p->continue_token));
        }
        klx_buf_add_char(&query, '&');
        size_t len = query.len;
        klx_source_selectors(p->s, &query);
        klx_buf_truncate(&query, query.len == len ? len - 1 : query.len);
    } else {
        klx_buf_add_str(&path, p->s->endpoints[p->i].path);
    }
    int rc = klx_kube_client_send(p->env.client, klx_buf_str(&path), klx_buf_str(&query), r,
                                  &p->call, e);
    p->sent_with = klx_kube_client_credential(p->env.client);
    return rc;
}

static int ask_url(struct klx_source_poll *p, struct klx_http_request *r, struct klx_error *e) {
    const struct klx_endpoint_settings *s = &p->s->endpoints[p->i];
    struct klx_sv token = { 0 }, ca = { 0 };
    int rc = s->token != NULL ? klx_secret_get(s->token, &token, e) : 0;
    rc = rc == 0 && s->ca != NULL ? klx_secret_get(s->ca, &ca, e) : rc;
    if (rc != 0) {
        return rc;
    }
    char *accept = klx_asprintf("Accept: %s", p->ops->accept);
    char *authorization =
        token.n > 0 ? klx_asprintf("Authorization: Bearer %.*s", KLX_SV_FMT(token)) : NULL;
    const char *headers[] = { accept, "User-Agent: klaxon-collector", authorization, NULL };
    const struct klx_tls tls = { .ca_pem = ca };
    r->method = "GET";
    r->url = s->url;
    r->headers = headers;
    r->tls = &tls;
    rc = klx_http_start(klx_kube_client_http(p->env.client), r, &p->call, e);
    free(accept);
    klx_wipe(authorization);
    return rc;
}

static void ask(struct klx_source_poll *p) {
    struct klx_error e = { 0 };
    bool more = p->continue_token[0] != '\0';
    struct klx_http_request r = {
        .on_status = on_status, .on_body = on_body, .on_done = on_done, .arg = p
    };
    if (is_of_api_server(p) && !klx_kube_client_ready(p->env.client, &p->credentials)) {
        return; /* on_credentials */
    }
    p->asked_us = more ? p->asked_us : now_us(p);
    p->status = 0;
    klx_buf_reset(&p->refusal);
    p->ops->begin(p->reader, p->asked_us, more);
    int rc = is_of_api_server(p) ? ask_api_server(p, &r, &e) : ask_url(p, &r, &e);
    if (rc != 0) {
        p->call = NULL;
        set_detail(p, klx_sv(e.text));
        fail(p, "what is polled cannot be asked", 0);
        return;
    }
    klx_timer_start(p->timer, p->s->timeout_ms);
}

static void on_timer(void *arg) {
    struct klx_source_poll *p = arg;
    if (p->call == NULL && p->paused) {
        p->waits = true;
    } else if (p->call == NULL) {
        ask(p);
    } else if (p->paused) {
        klx_timer_start(p->timer, p->s->timeout_ms); /* it is we who do not read */
    } else {
        fail(p, words_of_failure(KLX_HTTP_TIMEOUT), 0);
    }
}

static void on_credentials(void *arg) {
    struct klx_source_poll *p = arg;
    klx_timer_start(p->timer, 0);
}

static void make_metrics(struct klx_source_poll *p) {
    const struct klx_label labels[] = { { "cluster", p->env.cluster },
                                        { "source", p->name },
                                        { NULL, NULL } };
    p->metrics.answers = klx_counter("klaxon_poll_answers_total", "Polls with an answer.", labels);
    p->metrics.failures = klx_counter("klaxon_poll_failures_total", "Polls without.", labels);
    p->metrics.samples = klx_counter("klaxon_poll_samples_total", "Samples that were new.", labels);
    p->metrics.skipped = klx_counter("klaxon_poll_skipped_total",
                                     "Samples that were not readable, or too many.", labels);
    p->metrics.up = klx_gauge("klaxon_poll_up", "1 when the last poll was answered.", labels);
    p->metrics.answered_seconds = klx_gauge("klaxon_poll_answered_timestamp_seconds",
                                            "Unix time of the last answer.", labels);
}

static void make_name(struct klx_source_poll *p) {
    if (!p->s->ops->endpoints) {
        struct klx_sv namespace = klx_source_namespace(p->s, p->i);
        klx_source_watch_name(p->s, namespace, p->name);
        klx_source_watch_key(p->s, namespace, p->key);
    } else {
        klx_source_watch_name(p->s, klx_sv(p->s->endpoints[p->i].name), p->name);
        memcpy(p->key, p->name, sizeof(p->key));
    }
}

struct klx_source_poll *klx_source_poll_new(const struct klx_source_poll_env *env,
                                            const struct klx_source_settings *s, size_t i) {
    struct klx_source_poll *p = klx_alloc(struct klx_source_poll);
    p->env = *env;
    p->s = s;
    p->ops = s->ops->poll;
    p->i = i;
    make_name(p);
    p->reader = p->ops->open(s, i);
    p->sink = (struct klx_poll_sink){ .cluster = klx_sv(env->cluster),
                                      .out = klx_publisher_outbox(env->publisher),
                                      .observe = observe,
                                      .state = put_state };
    p->credentials = (struct klx_credential_waiter){ .fn = on_credentials, .arg = p };
    p->timer = klx_timer_new(env->loop, on_timer, p);
    klx_backoff_init(&p->backoff, BACKOFF_MIN_MS, BACKOFF_MIN_MS, BACKOFF_MAX_MS);
    klx_buf_init(&p->refusal, STATUS_BYTES_MAX);
    make_metrics(p);
    return p;
}

const char *klx_source_poll_key(const struct klx_source_poll *p) {
    return p->key;
}

const struct klx_source_ops *klx_source_poll_ops(const struct klx_source_poll *p) {
    return p->s->ops;
}

int klx_source_poll_restore(struct klx_source_poll *p, struct klx_sv name, struct klx_sv value) {
    return p->ops->restore != NULL ? p->ops->restore(p->reader, name, value) : -EBADMSG;
}

void klx_source_poll_start(struct klx_source_poll *p) {
    p->started = true;
    wait(p, (int64_t)(p->env.clock->random(p->env.clock) % AT_ONCE_MS));
}

void klx_source_poll_pause(struct klx_source_poll *p, bool pause) {
    if (pause == p->paused) {
        return;
    }
    p->paused = pause;
    if (pause && p->call != NULL) {
        klx_http_pause(p->call);
    } else if (!pause && p->call != NULL) {
        klx_timer_start(p->timer, p->s->timeout_ms);
        klx_http_resume(p->call);
    } else if (!pause && p->waits) {
        p->waits = false;
        wait(p, 0);
    }
}

void klx_source_poll_describe(const struct klx_source_poll *p, struct klx_buf *out) {
    klx_buf_printf(out, "poll %s/%s: %s\n", p->env.cluster, p->name,
                   p->trouble != NULL ? p->trouble
                   : p->answered      ? "answers"
                   : p->started       ? "not answered yet"
                                      : "waits for Kafka");
}

void klx_source_poll_stop(struct klx_source_poll *p) {
    drop_call(p);
    klx_credential_forget(&p->credentials);
    klx_timer_stop(p->timer);
}

void klx_source_poll_free(struct klx_source_poll *p) {
    if (p == NULL) {
        return;
    }
    klx_source_poll_stop(p);
    klx_timer_free(p->timer);
    p->ops->close(p->reader);
    klx_buf_release(&p->refusal);
    free(p);
}
