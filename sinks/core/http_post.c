#include "sinks/core/http_post.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "sinks/core/secret_url.h"

#define DEADLINE_MS 30000
#define ANSWER_BYTES_MAX 262144
#define HEADERS_MAX 8

enum state { IDLE, UNDER_WAY, NOT_SENT };

struct klx_http_post {
    struct klx_http_post_options o;
    struct klx_sink_env env;
    enum state state;
    struct klx_http_call *call; /* UNDER_WAY */
    struct klx_timer *timer;    /* NOT_SENT */
    struct klx_error why;       /* NOT_SENT */
    char *url, *token;          /* UNDER_WAY */
    klx_http_post_fn done;
    void *arg;
};

static void wipe_secrets(struct klx_http_post *p) {
    klx_wipe(p->url);
    klx_wipe(p->token);
    p->url = NULL;
    p->token = NULL;
}

/* Appends what may be shown of an answer. */
static void redact(const struct klx_http_post *p, struct klx_sv answer, struct klx_buf *out) {
    struct klx_buf inner KLX_CLEANUP(klx_buf_release);
    const struct klx_sv token = klx_sv(p->token);
    klx_buf_init(&inner, out->max);
    klx_hide_secrets(&inner, answer, &token, p->token != NULL ? 1 : 0);
    if (p->o.url != NULL) {
        klx_secret_url_redact(out, klx_buf_sv(&inner), klx_sv(p->url));
    } else {
        klx_buf_add_sv(out, klx_buf_sv(&inner));
    }
}

/* done may start the next, or free p. */
static void on_answer(void *arg, const struct klx_http_result *r) {
    struct klx_http_post *p = arg;
    struct klx_buf shown KLX_CLEANUP(klx_buf_release);
    struct klx_http_result redacted = *r;
    klx_buf_init(&shown, (size_t)4 * p->o.answer_bytes_max + 16);
    redact(p, r->body, &shown);
    redacted.body = klx_buf_sv(&shown);
    p->call = NULL;
    wipe_secrets(p);
    p->state = IDLE;
    p->done(p->arg, &(struct klx_http_post_end){ .result = &redacted });
}

static void on_timer(void *arg) {
    struct klx_http_post *p = arg;
    const struct klx_error why = p->why;
    p->state = IDLE;
    p->done(p->arg, &(struct klx_http_post_end){ .not_sent = why.text });
}

static int take_url(struct klx_http_post *p) {
    struct klx_sv url = { 0 };
    if (p->o.url == NULL) {
        p->url = klx_sv_dup(klx_sv(p->o.address));
        return 0;
    }
    int rc = klx_secret_get(p->o.url, &url, &p->why);
    if (rc == 0) {
        url = klx_sv_trim(url);
        rc = p->o.check(url, klx_secret_where(p->o.url), &p->why);
    }
    if (rc == 0) {
        p->url = klx_sv_dup(url);
    }
    return rc;
}

static bool is_token(struct klx_sv s) {
    for (size_t i = 0; i < s.n; i++) {
        if ((unsigned char)s.p[i] <= ' ' || (unsigned char)s.p[i] >= 0x7f) {
            return false;
        }
    }
    return s.n > 0;
}

static int read_token(struct klx_secret *secret, klx_http_post_problem_fn problem_of,
                      struct klx_sv *ret, struct klx_error *e) {
    int rc = klx_secret_get(secret, ret, e);
    if (rc != 0) {
        return rc;
    }
    *ret = klx_sv_trim(*ret);
    const char *problem = !is_token(*ret) ? "is empty, or holds a space, a line end or another "
                                            "character that no token has"
                          : problem_of != NULL ? problem_of(*ret)
                                               : NULL;
    return problem == NULL
               ? 0
               : klx_fail(e, -EINVAL, "the token in %s %s", klx_secret_where(secret), problem);
}

int klx_http_post_check_token(struct klx_secret *token, klx_http_post_problem_fn problem_of,
                              struct klx_error *e) {
    struct klx_sv text = { 0 };
    return read_token(token, problem_of, &text, e);
}

static int take_token(struct klx_http_post *p) {
    struct klx_sv token = { 0 };
    if (p->o.bearer_token == NULL) {
        return 0;
    }
    int rc = read_token(p->o.bearer_token, p->o.token_problem, &token, &p->why);
    p->token = rc == 0 ? klx_sv_dup(token) : NULL;
    return rc;
}

static int start_call(struct klx_http_post *p, struct klx_sv body) {
    const char *headers[HEADERS_MAX + 2] = { 0 };
    char *authorization =
        p->token != NULL ? klx_asprintf("Authorization: Bearer %s", p->token) : NULL;
    size_t n = 0;
    for (; p->o.headers != NULL && p->o.headers[n] != NULL; n++) {
        assert(n < HEADERS_MAX);
        headers[n] = p->o.headers[n];
    }
    headers[n] = authorization;
    const struct klx_http_request request = {
        .method = "POST",
        .url = p->url,
        .headers = headers,
        .body = body,
        .deadline_ms = p->o.deadline_ms,
        .body_bytes_max = p->o.answer_bytes_max,
        .on_done = on_answer,
        .arg = p,
    };
    int rc = klx_http_start(p->env.http, &request, &p->call, &p->why);
    klx_wipe(authorization);
    return rc;
}

struct klx_http_post *klx_http_post_new(const struct klx_http_post_options *o) {
    struct klx_http_post *p = klx_alloc(struct klx_http_post);
    p->o = *o;
    p->env = *o->env;
    p->o.deadline_ms = o->deadline_ms > 0 ? o->deadline_ms : DEADLINE_MS;
    p->o.answer_bytes_max = o->answer_bytes_max > 0 ? o->answer_bytes_max : ANSWER_BYTES_MAX;
    p->timer = klx_timer_new(p->env.loop, on_timer, p);
    return p;
}

void klx_http_post_start(struct klx_http_post *p, struct klx_sv body, klx_http_post_fn done,
                         void *arg) {
    assert(p->state == IDLE);
    p->done = done;
    p->arg = arg;
    if (take_url(p) == 0 && take_token(p) == 0 && start_call(p, body) == 0) {
        p->state = UNDER_WAY;
        return;
    }
    wipe_secrets(p);
    p->state = NOT_SENT;
    klx_timer_start(p->timer, 0);
}

void klx_http_post_free(struct klx_http_post *p) {
    if (p == NULL) {
        return;
    }
    if (p->call != NULL) {
        klx_http_cancel(p->call);
    }
    klx_timer_free(p->timer);
    wipe_secrets(p);
    free(p);
}
