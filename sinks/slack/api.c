#include "sinks/slack/api.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "sinks/core/http_post.h"
#include "sinks/slack/errors.h"

#define METHOD_BYTES_MAX 32
#define ANSWER_BYTES_MAX (512u << 10) /* it repeats the message, with what Slack has added to it */

struct klx_slack_api {
    const struct klx_slack_config *c;
    struct klx_http_post *post;
    char *url; /* of the method that is called; the post looks there */
    size_t url_bytes;
    klx_slack_answer_fn done;
    void *arg;
};

/* What is wrong with which block stands behind the message that Slack repeats: it goes first when not all has room. */
static void add_errors(struct klx_buf *out, const struct klx_json *body) {
    const struct klx_json *lists[] = { klx_json_get(body, "response_metadata.messages"),
                                       klx_json_get(body, "errors") };
    klx_buf_add_sv(out, klx_json_str(body, "error"));
    for (size_t i = 0; i < KLX_COUNT(lists); i++) {
        for (const struct klx_json *m = klx_json_first(lists[i]); m != NULL; m = klx_json_next(m)) {
            klx_buf_add_str(out, "; ");
            klx_buf_add_sv(out, klx_json_str(m, ""));
        }
    }
    klx_buf_add_str(out, "; ");
}

static void copy_id(char *out, struct klx_sv id, bool good) {
    snprintf(out, KLX_SLACK_ID_BYTES_MAX + 1, "%.*s", KLX_SV_FMT(good ? id : klx_sv(NULL)));
}

/* A receipt is better off with the message's name than with the beginning of its text. */
static void take_message(struct klx_slack_answer *a, const struct klx_json *body) {
    struct klx_sv channel = klx_json_str(body, "channel"), ts = klx_json_str(body, "ts");
    bool good = klx_slack_is_id(channel) && klx_slack_is_ts(ts);
    copy_id(a->channel, channel, good);
    copy_id(a->ts, ts, good);
    if (good) {
        char answer[2 * KLX_SLACK_ID_BYTES_MAX + 32];
        snprintf(answer, sizeof(answer), "ok, channel %s, ts %s", a->channel, a->ts);
        klx_verdict_set(&a->verdict, KLX_VERDICT_DELIVERED, "ok", klx_sv(answer));
    }
}

static void read_body(struct klx_slack_answer *a, struct klx_sv text) {
    struct klx_arena arena;
    const struct klx_json *body = NULL;
    klx_arena_init(&arena, 16384, (size_t)8 * ANSWER_BYTES_MAX);
    if (klx_json_parse(&arena, text, NULL, &body, NULL) != 0) {
        body = NULL;
    }
    if (a->verdict.class == KLX_VERDICT_DELIVERED) {
        take_message(a, body);
    } else if (text.n >= sizeof(a->verdict.answer) && klx_json_is_object(body)) {
        struct klx_buf words KLX_CLEANUP(klx_buf_release);
        struct klx_verdict v = a->verdict;
        klx_buf_init(&words, (size_t)2 * ANSWER_BYTES_MAX);
        add_errors(&words, body);
        klx_buf_add_sv(&words, text);
        klx_verdict_set(&a->verdict, v.class, v.reason, klx_buf_sv(&words));
        a->verdict.retry_after_ms = v.retry_after_ms;
    }
    klx_arena_release(&arena);
}

static void judge(const struct klx_http_result *r, struct klx_slack_answer *a) {
    klx_slack_judge(r, r->body, &a->verdict);
    if (r->failure == KLX_HTTP_TOO_LARGE && r->status / 100 == 2) {
        klx_verdict_set(&a->verdict, KLX_VERDICT_AMBIGUOUS, "answer_too_large", r->body);
    } else if (r->failure == KLX_HTTP_OK) {
        read_body(a, r->body);
    }
}

/* done may make the next call, or free a. */
static void on_end(void *arg, const struct klx_http_post_end *end) {
    struct klx_slack_api *a = arg;
    struct klx_slack_answer answer = { 0 };
    if (end->result == NULL) {
        klx_verdict_set(&answer.verdict, KLX_VERDICT_CREDENTIAL_BROKEN, "token",
                        klx_sv(end->not_sent));
    } else {
        judge(end->result, &answer);
    }
    a->done(a->arg, &answer);
}

struct klx_slack_api *klx_slack_api_new(const struct klx_sink_env *env,
                                        const struct klx_slack_config *c) {
    static const char *const headers[] = { "Content-Type: application/json; charset=utf-8",
                                           "User-Agent: klaxon", NULL };
    struct klx_slack_api *a = klx_alloc(struct klx_slack_api);
    a->c = c;
    a->url_bytes = strlen(c->base_url) + 1 + METHOD_BYTES_MAX + 1;
    a->url = klx_new_bytes(a->url_bytes);
    a->post =
        klx_http_post_new(&(struct klx_http_post_options){ .env = env,
                                                           .address = a->url,
                                                           .bearer_token = c->token,
                                                           .token_problem = klx_slack_token_problem,
                                                           .headers = headers,
                                                           .answer_bytes_max = ANSWER_BYTES_MAX });
    return a;
}

void klx_slack_api_call(struct klx_slack_api *a, const char *method, struct klx_sv body,
                        klx_slack_answer_fn done, void *arg) {
    bool slash = klx_sv_ends(klx_sv(a->c->base_url), KLX_SV("/"));
    assert(strlen(method) <= METHOD_BYTES_MAX);
    a->done = done;
    a->arg = arg;
    snprintf(a->url, a->url_bytes, "%s%s%s", a->c->base_url, slash ? "" : "/", method);
    klx_http_post_start(a->post, body, on_end, a);
}

void klx_slack_api_free(struct klx_slack_api *a) {
    if (a == NULL) {
        return;
    }
    klx_http_post_free(a->post);
    free(a->url);
    free(a);
}
