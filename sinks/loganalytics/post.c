#include "sinks/loganalytics/post.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/gzip.h"
#include "lib/base/hash.h"
#include "lib/base/mem.h"
#include "lib/io/metrics.h"
#include "lib/io/oauth.h"
#include "sinks/loganalytics/answer.h"
#include "sinks/loganalytics/batch.h"

#define DEADLINE_MS 60000
#define ANSWER_BYTES_MAX 262144
#define BODY_BYTES_MAX (2u << 20) /* a single row that is too long is refused there, not here */

enum state { IDLE, NEXT, TOKEN, POSTING };

struct klx_loganalytics_post {
    struct klx_sink_env env;
    const struct klx_loganalytics_config *config;
    struct klx_oauth_settings identity;
    struct klx_oauth *oauth;
    char *url;
    enum state state;
    struct klx_timer *timer;        /* NEXT: the turn after start */
    struct klx_oauth_waiter waiter; /* TOKEN */
    struct klx_http_call *call;     /* POSTING */
    struct klx_batch *batch;        /* not when idle, as those below */
    char id[KLX_HASH_TEXT_BYTES];
    bool renewed; /* the token, for this batch */
    uint64_t generation;
    char *token;       /* POSTING: as it was sent, for as long as an answer may repeat it */
    size_t body_bytes; /* of the request under way */
    klx_sent_fn done;
    void *arg;
    struct klx_counter *requests, *bytes, *splits;
};

static void on_token(void *arg);
static void step(struct klx_loganalytics_post *p);

static void on_timer(void *arg) {
    step(arg);
}

static void forget_token(struct klx_loganalytics_post *p) {
    klx_wipe(p->token);
    p->token = NULL;
}

static void make_metrics(struct klx_loganalytics_post *p, const char *name) {
    const struct klx_label *labels = KLX_LABELS({ "channel", name });
    p->requests = klx_counter("klaxon_loganalytics_requests_total",
                              "Requests to the Logs Ingestion API.", labels);
    p->bytes = klx_counter("klaxon_loganalytics_accepted_bytes_total",
                           "JSON that was accepted, before compression.", labels);
    p->splits =
        klx_counter("klaxon_loganalytics_refused_batches_total",
                    "Requests that were refused for one of their rows or their size.", labels);
}

int klx_loganalytics_post_new(const struct klx_sink_env *env, const char *name,
                              const struct klx_loganalytics_config *c,
                              struct klx_loganalytics_post **ret, struct klx_error *e) {
    struct klx_oauth_settings identity;
    int rc = klx_loganalytics_oauth(c, false, &identity, e);
    if (rc != 0) {
        return rc;
    }
    struct klx_loganalytics_post *p = klx_alloc(struct klx_loganalytics_post);
    p->env = *env;
    p->config = c;
    p->identity = identity;
    p->oauth = klx_oauth_new(env->loop, env->http, env->clock, &p->identity);
    p->url = klx_loganalytics_url(c);
    p->timer = klx_timer_new(env->loop, on_timer, p);
    p->waiter = (struct klx_oauth_waiter){ .fn = on_token, .arg = p };
    make_metrics(p, name);
    *ret = p;
    return 0;
}

/* done may start the next, or free p. */
static void finish(struct klx_loganalytics_post *p) {
    struct klx_batch *batch = p->batch;
    size_t n = 0;
    const struct klx_verdict *verdicts = klx_batch_verdicts(batch, &n);
    p->batch = NULL;
    p->state = IDLE;
    p->done(p->arg, verdicts, n);
    klx_batch_free(batch);
}

/* What was not sent has not been judged, and is not in doubt either. */
static void end_with(struct klx_loganalytics_post *p, const struct klx_verdict *v) {
    struct klx_verdict rest = *v;
    if (v->class == KLX_VERDICT_AMBIGUOUS) {
        rest.class = KLX_VERDICT_RETRY_BACKOFF;
    }
    klx_batch_end(p->batch, v, &rest);
}

/* Whoever gives tokens refuses us, or cannot be asked now. */
static void end_without_token(struct klx_loganalytics_post *p, const struct klx_error *e) {
    struct klx_verdict v;
    bool comes_again = e->code == -EHOSTUNREACH || e->code == -ETIMEDOUT || e->code == -EBUSY ||
                       e->code == -EAGAIN;
    klx_verdict_set(&v, comes_again ? KLX_VERDICT_RETRY_BACKOFF : KLX_VERDICT_CREDENTIAL_BROKEN,
                    "token", klx_sv(e->text));
    end_with(p, &v);
}

static void judge_token(struct klx_loganalytics_post *p,
                        const struct klx_loganalytics_answer *answer) {
    klx_oauth_refused(p->oauth, p->generation);
    if (p->renewed) {
        end_with(p, &answer->verdict);
        return;
    }
    p->renewed = true;
    klx_batch_again(p->batch);
}

static void judge(struct klx_loganalytics_post *p, const struct klx_http_result *r) {
    struct klx_loganalytics_answer answer;
    klx_loganalytics_judge(r, klx_sv(p->token), &answer);
    forget_token(p);
    switch (answer.meaning) {
    case KLX_LOGANALYTICS_TAKEN:
        klx_counter_add(p->bytes, p->body_bytes);
        klx_batch_taken(p->batch, &answer.verdict);
        break;
    case KLX_LOGANALYTICS_BATCH:
        klx_counter_add(p->splits, 1);
        klx_batch_refused(p->batch, &answer.verdict, answer.too_large);
        break;
    case KLX_LOGANALYTICS_TOKEN:
        judge_token(p, &answer);
        break;
    case KLX_LOGANALYTICS_OTHER:
        end_with(p, &answer.verdict);
        break;
    }
}

static void on_answer(void *arg, const struct klx_http_result *r) {
    struct klx_loganalytics_post *p = arg;
    p->call = NULL;
    judge(p, r);
    step(p);
}

/* The id of the batch and the rows' place in it, in the form of a GUID. */
static void write_request_id(const struct klx_loganalytics_post *p, char *out, size_t out_bytes) {
    char place[64], hex[KLX_HASH_TEXT_BYTES];
    size_t first, n = klx_batch_rows(p->batch, &first);
    snprintf(place, sizeof(place), "%zu %zu", first, n);
    const struct klx_sv parts[] = { klx_sv(p->id), klx_sv(place) };
    klx_hash_parts(parts, KLX_COUNT(parts), hex);
    snprintf(out, out_bytes, "x-ms-client-request-id: %.8s-%.4s-%.4s-%.4s-%s", hex, hex + 8,
             hex + 12, hex + 16, hex + 20);
}

static int start_call(struct klx_loganalytics_post *p, struct klx_sv body,
                      const char *authorization, struct klx_error *e) {
    char id[96];
    struct klx_tls tls = { 0 };
    write_request_id(p, id, sizeof(id));
    const char *const headers[] = { authorization,
                                    "Content-Type: application/json",
                                    "Content-Encoding: gzip",
                                    "User-Agent: klaxon",
                                    id,
                                    NULL };
    const struct klx_http_request request = {
        .method = "POST",
        .url = p->url,
        .headers = headers,
        .body = body,
        .tls = p->config->ca_file != NULL ? &tls : NULL,
        .deadline_ms = DEADLINE_MS,
        .body_bytes_max = ANSWER_BYTES_MAX,
        .on_done = on_answer,
        .arg = p,
    };
    int rc = p->config->ca_file != NULL ? klx_secret_get(p->config->ca_file, &tls.ca_pem, e) : 0;
    return rc == 0 ? klx_http_start(p->env.http, &request, &p->call, e) : rc;
}

static int post_range(struct klx_loganalytics_post *p, struct klx_error *e) {
    struct klx_buf json KLX_CLEANUP(klx_buf_release), packed KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&json, BODY_BYTES_MAX);
    klx_buf_init(&packed, BODY_BYTES_MAX);
    klx_batch_body(p->batch, &json);
    klx_gzip_add(&packed, klx_buf_sv(&json));
    p->body_bytes = json.len;
    if (json.failed || packed.failed) {
        return klx_fail(e, -EMSGSIZE, "the rows are too large to be sent");
    }
    char *authorization = klx_asprintf("Authorization: Bearer %s", p->token);
    int rc = start_call(p, klx_buf_sv(&packed), authorization, e);
    klx_wipe(authorization);
    return rc;
}

/* False: nothing is under way, and the batch has its verdicts. */
static bool post(struct klx_loganalytics_post *p) {
    struct klx_oauth_token token;
    struct klx_error e = { 0 };
    if (klx_oauth_get(p->oauth, &token, &e) != 0) {
        end_without_token(p, &e);
        return false;
    }
    p->generation = token.generation;
    p->token = klx_sv_dup(token.value);
    if (post_range(p, &e) != 0) {
        struct klx_verdict v;
        klx_verdict_set(&v, KLX_VERDICT_DESTINATION_BROKEN, "request", klx_sv(e.text));
        end_with(p, &v);
        forget_token(p);
        return false;
    }
    klx_counter_add(p->requests, 1);
    p->state = POSTING;
    return true;
}

static void on_token(void *arg) {
    struct klx_loganalytics_post *p = arg;
    if (!post(p)) {
        step(p);
    }
}

static void step(struct klx_loganalytics_post *p) {
    p->state = NEXT;
    while (klx_batch_next(p->batch)) {
        if (!klx_oauth_ready(p->oauth, &p->waiter)) {
            p->state = TOKEN;
            return;
        }
        if (post(p)) {
            return;
        }
    }
    finish(p);
}

void klx_loganalytics_post_start(struct klx_loganalytics_post *p, const struct klx_send *send,
                                 klx_sent_fn done, void *arg) {
    assert(p->state == IDLE);
    p->batch = klx_batch_new(send->payloads, send->payloads_n, KLX_LOGANALYTICS_BODY_BYTES_MAX);
    snprintf(p->id, sizeof(p->id), "%.*s", KLX_SV_FMT(send->id));
    p->renewed = false;
    p->done = done;
    p->arg = arg;
    p->state = NEXT;
    klx_timer_start(p->timer, 0);
}

void klx_loganalytics_post_free(struct klx_loganalytics_post *p) {
    if (p == NULL) {
        return;
    }
    if (p->call != NULL) {
        klx_http_cancel(p->call);
    }
    klx_oauth_forget(&p->waiter);
    klx_oauth_free(p->oauth);
    klx_timer_free(p->timer);
    klx_batch_free(p->batch);
    forget_token(p);
    klx_oauth_settings_release_copy(&p->identity, &p->config->oauth);
    free(p->url);
    free(p);
}
