#include "sinks/slack/post.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "sinks/core/http_post.h"
#include "sinks/slack/blocks.h"
#include "sinks/slack/errors.h"
#include "sinks/slack/limits.h"
#include "sinks/slack/webhook.h"

#define FIRST_ANSWER_BYTES_MAX 300 /* of the 511 that a verdict holds: the second one shows too */

enum state { IDLE, MESSAGE, PAUSE, PLAIN, PROBE, FAILED };

struct klx_slack_post {
    enum state state;
    struct klx_http_post *http; /* busy in MESSAGE, PLAIN and PROBE */
    struct klx_timer *timer;    /* in PAUSE and FAILED */
    struct klx_buf payload;
    struct klx_verdict rejected; /* the first answer, from PAUSE on */
    struct klx_verdict verdict;
    klx_sent_fn done;
    void *arg;
};

static void finish(struct klx_slack_post *p) {
    const struct klx_verdict verdict = p->verdict; /* done may start the next, or free p */
    p->state = IDLE;
    p->done(p->arg, &verdict, 1);
}

/* Both answers, and the reason of the first when the second says no as well. */
static void join_verdicts(struct klx_slack_post *p) {
    struct klx_buf both KLX_CLEANUP(klx_buf_release);
    struct klx_verdict v = p->verdict;
    const char *reason = v.reason;
    klx_buf_init(&both, sizeof(p->rejected.answer) + sizeof(v.answer) + 64);
    klx_buf_add_sv(&both, klx_sv_utf8_prefix(klx_sv(p->rejected.answer), FIRST_ANSWER_BYTES_MAX));
    klx_buf_printf(&both, "; as plain text: %s", v.answer);
    if (v.class == KLX_VERDICT_REJECT_MESSAGE) {
        reason = p->rejected.reason;
    } else if (v.class == KLX_VERDICT_DELIVERED) {
        reason = "plain_text";
    }
    klx_verdict_set(&p->verdict, v.class, reason, klx_buf_sv(&both));
    p->verdict.retry_after_ms = v.retry_after_ms;
}

static void on_end(void *arg, const struct klx_http_post_end *end) {
    struct klx_slack_post *p = arg;
    if (end->result == NULL) {
        klx_verdict_set(&p->verdict, KLX_VERDICT_CREDENTIAL_BROKEN, "webhook_url",
                        klx_sv(end->not_sent));
        finish(p);
        return;
    }
    klx_slack_judge(end->result, end->result->body, &p->verdict);
    if (p->state == MESSAGE && p->verdict.class == KLX_VERDICT_REJECT_MESSAGE) {
        p->rejected = p->verdict;
        p->state = PAUSE;
        klx_timer_start(p->timer, KLX_SLACK_INTERVAL_MS);
        return;
    }
    if (p->state == PLAIN) {
        join_verdicts(p);
    } else if (p->state == PROBE && p->verdict.class == KLX_VERDICT_REJECT_MESSAGE) {
        klx_verdict_set(&p->verdict, KLX_VERDICT_DELIVERED, "reachable", klx_sv(p->verdict.answer));
    }
    finish(p);
}

static void post(struct klx_slack_post *p, struct klx_sv body, enum state state) {
    p->state = state;
    klx_http_post_start(p->http, body, on_end, p);
}

static void post_plain(struct klx_slack_post *p) {
    struct klx_buf plain KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&plain, KLX_SLACK_PAYLOAD_BYTES_MAX);
    if (klx_slack_render_plain(klx_buf_sv(&p->payload), &plain) != 0) {
        p->verdict = p->rejected; /* nothing that could be said more simply */
        finish(p);
        return;
    }
    post(p, klx_buf_sv(&plain), PLAIN);
}

static void on_timer(void *arg) {
    struct klx_slack_post *p = arg;
    if (p->state == PAUSE) {
        post_plain(p);
    } else {
        finish(p);
    }
}

struct klx_slack_post *klx_slack_post_new(const struct klx_sink_env *env,
                                          struct klx_secret *webhook_url) {
    static const char *const headers[] = { "Content-Type: application/json; charset=utf-8",
                                           "User-Agent: klaxon", NULL };
    struct klx_slack_post *p = klx_alloc(struct klx_slack_post);
    p->http = klx_http_post_new(&(struct klx_http_post_options){
        .env = env, .url = webhook_url, .check = klx_slack_webhook_check, .headers = headers });
    p->timer = klx_timer_new(env->loop, on_timer, p);
    klx_buf_init(&p->payload, KLX_SLACK_PAYLOAD_BYTES_MAX);
    return p;
}

void klx_slack_post_start(struct klx_slack_post *p, struct klx_sv payload, klx_sent_fn done,
                          void *arg) {
    assert(p->state == IDLE);
    p->done = done;
    p->arg = arg;
    klx_buf_reset(&p->payload);
    klx_buf_add_sv(&p->payload, payload);
    if (klx_buf_check(&p->payload) == 0) {
        post(p, klx_buf_sv(&p->payload), MESSAGE);
        return;
    }
    klx_verdict_set(&p->verdict, KLX_VERDICT_REJECT_MESSAGE, "too_large",
                    KLX_SV("the message is larger than Slack takes"));
    p->state = FAILED;
    klx_timer_start(p->timer, 0);
}

/* What has neither text nor blocks is refused by a webhook that would take a message, and shown to nobody. */
void klx_slack_post_probe(struct klx_slack_post *p, klx_sent_fn done, void *arg) {
    assert(p->state == IDLE);
    p->done = done;
    p->arg = arg;
    post(p, KLX_SV("{}"), PROBE);
}

void klx_slack_post_free(struct klx_slack_post *p) {
    if (p == NULL) {
        return;
    }
    klx_http_post_free(p->http);
    klx_timer_free(p->timer);
    klx_buf_release(&p->payload);
    free(p);
}
