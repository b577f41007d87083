#include "sinks/slack/api.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "sinks/core/secret_url.h"
#include "sinks/slack/errors.h"

#define DEADLINE_MS 30000
#define ANSWER_BYTES_MAX (512u << 10) /* it repeats the message, with what Slack has added to it */

enum state { IDLE, UNDER_WAY, NOT_SENT };

struct klx_slack_api {
    struct klx_sink_env env;
    const struct klx_slack_config *c;
    enum state state;
    struct klx_http_call *call; /* UNDER_WAY */
    struct klx_timer *timer;    /* NOT_SENT */
    struct klx_error why;       /* NOT_SENT */
    char *token;                /* UNDER_WAY */
    klx_slack_answer_fn done;
    void *arg;
};

static void wipe(char **secret) {
    if (*secret != NULL) {
        explicit_bzero(*secret, strlen(*secret));
        free(*secret);
        *secret = NULL;
    }
}

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

static void judge(const struct klx_http_result *r, struct klx_sv body, struct klx_slack_answer *a) {
    klx_slack_judge(r, body, &a->verdict);
    if (r->failure == KLX_HTTP_TOO_LARGE && r->status / 100 == 2) {
        klx_verdict_set(&a->verdict, KLX_VERDICT_AMBIGUOUS, "answer_too_large", body);
    } else if (r->failure == KLX_HTTP_OK) {
        read_body(a, body);
    }
}

/* done may make the next call, or free a. */
static void on_answer(void *arg, const struct klx_http_result *r) {
    struct klx_slack_api *a = arg;
    struct klx_buf shown KLX_CLEANUP(klx_buf_release);
    struct klx_slack_answer answer = { 0 };
    const struct klx_sv secret = klx_sv(a->token);
    klx_buf_init(&shown, (size_t)4 * ANSWER_BYTES_MAX);
    klx_hide_secrets(&shown, r->body, &secret, 1);
    judge(r, klx_buf_sv(&shown), &answer);
    a->call = NULL;
    wipe(&a->token);
    a->state = IDLE;
    a->done(a->arg, &answer);
}

static void on_timer(void *arg) {
    struct klx_slack_api *a = arg;
    struct klx_slack_answer answer = { 0 };
    klx_verdict_set(&answer.verdict, KLX_VERDICT_CREDENTIAL_BROKEN, "token", klx_sv(a->why.text));
    a->state = IDLE;
    a->done(a->arg, &answer);
}

static int start(struct klx_slack_api *a, const char *method, struct klx_sv body) {
    bool slash = klx_sv_ends(klx_sv(a->c->base_url), KLX_SV("/"));
    char *url = klx_asprintf("%s%s%s", a->c->base_url, slash ? "" : "/", method);
    char *authorization = klx_asprintf("Authorization: Bearer %s", a->token);
    const char *const headers[] = { "Content-Type: application/json; charset=utf-8",
                                    "User-Agent: klaxon", authorization, NULL };
    const struct klx_http_request request = {
        .method = "POST",
        .url = url,
        .headers = headers,
        .body = body,
        .deadline_ms = DEADLINE_MS,
        .body_bytes_max = ANSWER_BYTES_MAX,
        .on_done = on_answer,
        .arg = a,
    };
    int rc = klx_http_start(a->env.http, &request, &a->call, &a->why);
    wipe(&authorization);
    free(url);
    return rc;
}

struct klx_slack_api *klx_slack_api_new(const struct klx_sink_env *env,
                                        const struct klx_slack_config *c) {
    struct klx_slack_api *a = klx_alloc(struct klx_slack_api);
    a->env = *env;
    a->c = c;
    a->timer = klx_timer_new(env->loop, on_timer, a);
    return a;
}

void klx_slack_api_call(struct klx_slack_api *a, const char *method, struct klx_sv body,
                        klx_slack_answer_fn done, void *arg) {
    struct klx_sv token = { 0 };
    assert(a->state == IDLE);
    a->done = done;
    a->arg = arg;
    if (klx_slack_settings_token(a->c, &token, &a->why) == 0) {
        a->token = klx_sv_dup(token);
        if (start(a, method, body) == 0) {
            a->state = UNDER_WAY;
            return;
        }
    }
    wipe(&a->token);
    a->state = NOT_SENT;
    klx_timer_start(a->timer, 0);
}

void klx_slack_api_free(struct klx_slack_api *a) {
    if (a == NULL) {
        return;
    }
    if (a->state == UNDER_WAY) {
        klx_http_cancel(a->call);
    }
    klx_timer_free(a->timer);
    wipe(&a->token);
    free(a);
}
