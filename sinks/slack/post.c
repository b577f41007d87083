#include "sinks/slack/post.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "sinks/slack/blocks.h"
#include "sinks/slack/errors.h"
#include "sinks/slack/limits.h"
#include "sinks/slack/webhook.h"

#define DEADLINE_MS 30000
#define ANSWER_BYTES_MAX 262144    /* a proxy's error page, with room to spare */
#define FIRST_ANSWER_BYTES_MAX 300 /* of the 511 that a verdict holds: the second one shows too */

enum state { IDLE, MESSAGE, PAUSE, PLAIN, PROBE, FAILED };

struct klx_slack_post {
    struct klx_sink_env env;
    struct klx_secret *webhook_url;
    enum state state;
    struct klx_http_call *call; /* in MESSAGE, PLAIN and PROBE */
    struct klx_timer *timer;    /* in PAUSE and FAILED */
    struct klx_buf payload;
    char *url;                   /* of the message under way; wiped when it has ended */
    struct klx_verdict rejected; /* the first answer, from PAUSE on */
    struct klx_verdict verdict;
    klx_sent_fn done;
    void *arg;
};

static void post(struct klx_slack_post *p, struct klx_sv body, enum state state);

static void wipe_url(struct klx_slack_post *p) {
    if (p->url != NULL) {
        explicit_bzero(p->url, strlen(p->url));
        free(p->url);
        p->url = NULL;
    }
}

static void finish(struct klx_slack_post *p) {
    const struct klx_verdict verdict = p->verdict; /* done may start the next, or free p */
    wipe_url(p);
    p->state = IDLE;
    p->done(p->arg, &verdict, 1);
}

static void fail(struct klx_slack_post *p, enum klx_verdict_class class, const char *reason,
                 const struct klx_error *e) {
    klx_verdict_set(&p->verdict, class, reason, klx_sv(e->text));
    p->state = FAILED;
    klx_timer_start(p->timer, 0);
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

static void judge(struct klx_slack_post *p, const struct klx_http_result *r) {
    struct klx_buf shown KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&shown, (size_t)4 * ANSWER_BYTES_MAX);
    klx_slack_webhook_redact(&shown, r->body, klx_sv(p->url));
    klx_slack_judge(r, klx_buf_sv(&shown), &p->verdict);
}

static void on_answer(void *arg, const struct klx_http_result *r) {
    struct klx_slack_post *p = arg;
    p->call = NULL;
    judge(p, r);
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

/* The URL as it is now: a rotated secret counts from the next message on. */
static int take_url(struct klx_slack_post *p, struct klx_error *e) {
    struct klx_sv url = { 0 };
    int rc = klx_secret_get(p->webhook_url, &url, e);
    if (rc == 0) {
        url = klx_sv_trim(url);
        rc = klx_slack_webhook_check(url, klx_secret_where(p->webhook_url), e);
    }
    if (rc == 0) {
        p->url = klx_sv_dup(url);
    }
    return rc;
}

static void post(struct klx_slack_post *p, struct klx_sv body, enum state state) {
    static const char *const headers[] = { "Content-Type: application/json; charset=utf-8",
                                           "User-Agent: klaxon", NULL };
    const struct klx_http_request request = {
        .method = "POST",
        .url = p->url,
        .headers = headers,
        .body = body,
        .deadline_ms = DEADLINE_MS,
        .body_bytes_max = ANSWER_BYTES_MAX,
        .on_done = on_answer,
        .arg = p,
    };
    struct klx_error e = { 0 };
    p->state = state;
    if (klx_http_start(p->env.http, &request, &p->call, &e) != 0) {
        fail(p, KLX_VERDICT_CREDENTIAL_BROKEN, "webhook_url", &e);
    }
}

struct klx_slack_post *klx_slack_post_new(const struct klx_sink_env *env,
                                          struct klx_secret *webhook_url) {
    struct klx_slack_post *p = klx_alloc(struct klx_slack_post);
    p->env = *env;
    p->webhook_url = webhook_url;
    p->timer = klx_timer_new(env->loop, on_timer, p);
    klx_buf_init(&p->payload, KLX_SLACK_PAYLOAD_BYTES_MAX);
    return p;
}

void klx_slack_post_start(struct klx_slack_post *p, struct klx_sv payload, klx_sent_fn done,
                          void *arg) {
    struct klx_error e = { 0 };
    assert(p->state == IDLE);
    p->done = done;
    p->arg = arg;
    klx_buf_reset(&p->payload);
    klx_buf_add_sv(&p->payload, payload);
    if (klx_buf_check(&p->payload) != 0) {
        klx_fail(&e, -EMSGSIZE, "the message is larger than %d bytes", KLX_SLACK_PAYLOAD_BYTES_MAX);
        fail(p, KLX_VERDICT_REJECT_MESSAGE, "too_large", &e);
    } else if (take_url(p, &e) != 0) {
        fail(p, KLX_VERDICT_CREDENTIAL_BROKEN, "webhook_url", &e);
    } else {
        post(p, klx_buf_sv(&p->payload), MESSAGE);
    }
}

/* What has neither text nor blocks is refused by a webhook that would take a message, and shown to nobody. */
void klx_slack_post_probe(struct klx_slack_post *p, klx_sent_fn done, void *arg) {
    struct klx_error e = { 0 };
    assert(p->state == IDLE);
    p->done = done;
    p->arg = arg;
    if (take_url(p, &e) != 0) {
        fail(p, KLX_VERDICT_CREDENTIAL_BROKEN, "webhook_url", &e);
    } else {
        post(p, KLX_SV("{}"), PROBE);
    }
}

void klx_slack_post_free(struct klx_slack_post *p) {
    if (p == NULL) {
        return;
    }
    if (p->call != NULL) {
        klx_http_cancel(p->call);
    }
    klx_timer_free(p->timer);
    klx_buf_release(&p->payload);
    wipe_url(p);
    free(p);
}
