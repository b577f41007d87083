#include "sinks/webhook/post.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/base64.h"
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/base/time.h"
#include "sinks/core/secret_url.h"
#include "sinks/webhook/body.h"
#include "sinks/webhook/sign.h"

#define ANSWER_BYTES_MAX 262144
#define HEADERS_BYTES_MAX 131072
#define LINES_MAX 64

struct klx_webhook_post {
    struct klx_sink_env env;
    const struct klx_webhook_settings *s;
    struct message *first; /* under way or not sent */
};

/* One message on its way. */
struct message {
    struct message *next;
    struct klx_webhook_post *post;
    struct klx_http_call *call; /* NULL: not sent */
    struct klx_timer *timer;    /* of one that was not sent */
    struct klx_verdict verdict; /* the same */
    char *url;                  /* what is secret, for as long as an answer may repeat it */
    struct klx_buf headers;     /* lines, each with its NUL */
    struct klx_buf body;
    klx_sent_fn done;
    void *arg;
};

static void free_message(struct message *m) {
    struct message **at = &m->post->first;
    while (*at != m) {
        at = &(*at)->next;
    }
    *at = m->next;
    if (m->call != NULL) {
        klx_http_cancel(m->call);
    }
    klx_timer_free(m->timer);
    klx_wipe(m->url);
    klx_buf_wipe(&m->headers);
    klx_buf_wipe(&m->body);
    free(m);
}

static void finish(struct message *m, const struct klx_verdict *verdict) {
    klx_sent_fn done = m->done;
    void *arg = m->arg;
    const struct klx_verdict kept = *verdict;
    free_message(m);
    done(arg, &kept, 1); /* may start the next, or free the post */
}

static void on_not_sent(void *arg) {
    struct message *m = arg;
    finish(m, &m->verdict);
}

/* Whatever may not be shown: URL, values of secret headers, the login as it is sent, and what the template has. */
struct secrets {
    struct klx_sv values[KLX_WEBHOOK_HEADERS_MAX + KLX_WEBHOOK_SECRETS_MAX + 8];
    size_t n;
};

static void collect(struct secrets *all, struct klx_secret *secret) {
    struct klx_sv value;
    if (secret != NULL && klx_secret_get(secret, &value, NULL) == 0) {
        all->values[all->n++] = klx_sv_trim(value);
    }
}

static void hide(const struct message *m, struct klx_sv answer, struct klx_buf *out) {
    const struct klx_webhook_settings *s = m->post->s;
    struct klx_buf without_url KLX_CLEANUP(klx_buf_release);
    struct secrets all = { .n = 0 };
    for (size_t i = 0; i < s->headers_n; i++) {
        collect(&all, s->headers[i].secret);
    }
    for (size_t i = 0; i < s->secrets_n; i++) {
        collect(&all, s->secrets[i].secret);
    }
    collect(&all, s->config->bearer_token);
    collect(&all, s->config->password);
    collect(&all, s->config->signing_secret);
    for (const char *line = m->headers.data; line < m->headers.data + m->headers.len;
         line += strlen(line) + 1) {
        struct klx_sv basic = KLX_SV("Authorization: Basic ");
        if (klx_sv_starts(klx_sv(line), basic)) {
            all.values[all.n++] = klx_sv(line + basic.n);
        }
    }
    klx_buf_init(&without_url, (size_t)4 * ANSWER_BYTES_MAX + 16);
    klx_secret_url_redact(&without_url, answer, klx_sv(m->url));
    klx_hide_secrets(out, klx_buf_sv(&without_url), all.values, all.n);
}

static void on_answer(void *arg, const struct klx_http_result *r) {
    struct message *m = arg;
    struct klx_buf shown KLX_CLEANUP(klx_buf_release);
    struct klx_verdict verdict = { 0 };
    m->call = NULL;
    klx_buf_init(&shown, (size_t)8 * ANSWER_BYTES_MAX + 16);
    hide(m, r->body, &shown);
    klx_webhook_judge(m->post->s->rules, r, klx_buf_sv(&shown), &verdict);
    finish(m, &verdict);
}

static void end_line(struct klx_buf *b) {
    klx_buf_add_char(b, '\0');
}

static void add_header(struct message *m, struct klx_sv name, struct klx_sv value) {
    klx_buf_add_sv(&m->headers, name);
    klx_buf_add_str(&m->headers, ": ");
    klx_buf_add_sv(&m->headers, value);
    end_line(&m->headers);
}

static int add_values(struct message *m, struct klx_error *e) {
    const struct klx_webhook_settings *s = m->post->s;
    for (size_t i = 0; i < s->headers_n; i++) {
        struct klx_sv value = klx_sv(s->headers[i].text);
        int rc = s->headers[i].secret != NULL ? klx_secret_get(s->headers[i].secret, &value, e) : 0;
        if (rc != 0) {
            return rc;
        }
        add_header(m, s->headers[i].name, klx_sv_trim(value));
    }
    return 0;
}

static int add_login(struct message *m, struct klx_error *e) {
    const struct klx_webhook_config *c = m->post->s->config;
    struct klx_sv value = { 0 };
    struct klx_buf login;
    if (c->bearer_token == NULL && c->password == NULL) {
        return 0;
    }
    int rc = klx_secret_get(c->bearer_token != NULL ? c->bearer_token : c->password, &value, e);
    if (rc != 0) {
        return rc;
    }
    if (c->bearer_token != NULL) {
        value = klx_sv_trim(value);
        klx_buf_printf(&m->headers, "Authorization: Bearer %.*s", KLX_SV_FMT(value));
    } else {
        klx_buf_init(&login, HEADERS_BYTES_MAX);
        klx_buf_printf(&login, "%s:%.*s", c->user, KLX_SV_FMT(value));
        klx_buf_add_str(&m->headers, "Authorization: Basic ");
        klx_base64_add(&m->headers, klx_buf_sv(&login));
        klx_buf_wipe(&login);
    }
    end_line(&m->headers);
    return 0;
}

static int add_signature(struct message *m, struct klx_sv id, struct klx_error *e) {
    struct klx_secret *secret = m->post->s->config->signing_secret;
    struct klx_clock *clock = m->post->env.clock;
    int64_t now_s = clock->wall_us(clock) / KLX_US_PER_S;
    struct klx_sv keys = { 0 };
    if (secret == NULL) {
        return 0;
    }
    int rc = klx_secret_get(secret, &keys, e);
    rc = rc == 0 ? klx_webhook_sign_check(keys, klx_secret_where(secret), e) : rc;
    if (rc != 0) {
        return rc;
    }
    add_header(m, KLX_SV("webhook-id"), id);
    klx_buf_printf(&m->headers, "webhook-timestamp: %lld", (long long)now_s);
    end_line(&m->headers);
    klx_buf_add_str(&m->headers, "webhook-signature: ");
    klx_webhook_sign(&m->headers, keys, id, now_s, klx_buf_sv(&m->body));
    end_line(&m->headers);
    return 0;
}

static bool has_user_agent(const struct klx_webhook_settings *s) {
    for (size_t i = 0; i < s->headers_n; i++) {
        if (klx_sv_eq_nocase(s->headers[i].name, KLX_SV("User-Agent"))) {
            return true;
        }
    }
    return false;
}

/* Everything but the URL, from the payload and the secrets as they are now. */
static int compose(struct message *m, const struct klx_send *send, struct klx_error *e) {
    const struct klx_webhook_settings *s = m->post->s;
    struct klx_sv body = send->payloads[0], head = klx_webhook_cut_head(&body);
    while (head.n > 0) {
        klx_buf_add_sv(&m->headers, klx_sv_cut(&head, '\n'));
        end_line(&m->headers);
    }
    if (!has_user_agent(s)) {
        add_header(m, KLX_SV("User-Agent"), KLX_SV("klaxon"));
    }
    if (s->config->idempotency_header[0] != '\0') {
        add_header(m, klx_sv(s->config->idempotency_header), send->id);
    }
    int rc = klx_webhook_fill(s, body, &m->body, e);
    rc = rc == 0 ? add_values(m, e) : rc;
    rc = rc == 0 ? add_login(m, e) : rc;
    rc = rc == 0 ? add_signature(m, send->id, e) : rc;
    return rc == 0 ? klx_buf_check(&m->headers) : rc;
}

static int take_url(struct message *m, struct klx_error *e) {
    struct klx_sv url = { 0 };
    int rc = klx_webhook_url(m->post->s->config, &url, e);
    if (rc == 0) {
        m->url = klx_sv_dup(url);
    }
    return rc;
}

static int start_call(struct message *m, struct klx_error *e) {
    const struct klx_webhook_config *c = m->post->s->config;
    const char *lines[LINES_MAX + 1] = { NULL };
    struct klx_tls tls = { 0 };
    size_t n = 0;
    for (const char *line = m->headers.data;
         line < m->headers.data + m->headers.len && n < LINES_MAX; line += strlen(line) + 1) {
        lines[n++] = line;
    }
    if (c->ca_file != NULL) {
        int rc = klx_secret_get(c->ca_file, &tls.ca_pem, e);
        if (rc != 0) {
            return rc;
        }
    }
    const struct klx_http_request request = {
        .method = c->method,
        .url = m->url,
        .headers = lines,
        .body = klx_buf_sv(&m->body),
        .tls = c->ca_file != NULL ? &tls : NULL,
        .deadline_ms = c->timeout_ms,
        .body_bytes_max = ANSWER_BYTES_MAX,
        .on_done = on_answer,
        .arg = m,
    };
    return klx_http_start(m->post->env.http, &request, &m->call, e);
}

struct klx_webhook_post *klx_webhook_post_new(const struct klx_sink_env *env,
                                              const struct klx_webhook_settings *s) {
    struct klx_webhook_post *p = klx_alloc(struct klx_webhook_post);
    p->env = *env;
    p->s = s;
    return p;
}

void klx_webhook_post_start(struct klx_webhook_post *p, const struct klx_send *send,
                            klx_sent_fn done, void *arg) {
    struct message *m = klx_alloc(struct message);
    struct klx_error e = { 0 };
    m->post = p;
    m->done = done;
    m->arg = arg;
    m->next = p->first;
    p->first = m;
    klx_buf_init(&m->headers, HEADERS_BYTES_MAX);
    klx_buf_init(&m->body, (size_t)2 * KLX_WEBHOOK_PAYLOAD_BYTES_MAX);
    int rc = compose(m, send, &e);
    rc = rc == 0 ? take_url(m, &e) : rc;
    rc = rc == 0 ? start_call(m, &e) : rc;
    if (rc != 0) {
        klx_verdict_set(&m->verdict,
                        rc == -EMSGSIZE ? KLX_VERDICT_REJECT_MESSAGE
                                        : KLX_VERDICT_CREDENTIAL_BROKEN,
                        rc == -EMSGSIZE ? "too_large" : "secret", klx_sv(e.text));
        m->timer = klx_timer_new(p->env.loop, on_not_sent, m);
        klx_timer_start(m->timer, 0);
    }
}

void klx_webhook_post_free(struct klx_webhook_post *p) {
    if (p == NULL) {
        return;
    }
    while (p->first != NULL) {
        free_message(p->first);
    }
    free(p);
}
