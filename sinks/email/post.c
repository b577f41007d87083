#include "sinks/email/post.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"
#include "sinks/email/mail.h"
#include "sinks/email/verdicts.h"

enum state { IDLE, TOKEN, SENDING, FAILED };

struct klx_email_post {
    struct klx_sink_env env;
    const struct klx_email_settings *s;
    enum state state;
    struct klx_smtp_keeper *keeper; /* from the first mail on: who only renders has no client */
    struct klx_smtp_call *call;     /* in SENDING */
    struct klx_timer *timer;        /* in FAILED */
    struct klx_tls tls;
    char *host;
    char *from;

    /* With auth: xoauth2, else NULL. */
    struct klx_oauth_settings identity;
    struct klx_oauth *oauth;
    struct klx_oauth_waiter waiter;
    uint64_t generation; /* of the token of the mail under way */
    bool renewed;        /* it is the second one for this mail */

    /* Of the mail under way. */
    bool probe;
    struct klx_buf message;
    struct klx_smtp_recipient recipients[KLX_EMAIL_RECIPIENTS_MAX];
    struct klx_verdict verdicts[KLX_EMAIL_RECIPIENTS_MAX];
    size_t n; /* verdicts */
    klx_sent_fn done;
    void *arg;
};

static void step(struct klx_email_post *p);

static void forget_mail(struct klx_email_post *p) {
    for (size_t i = 0; i < p->n; i++) {
        free((char *)p->recipients[i].address);
        p->recipients[i].address = NULL;
    }
    klx_buf_reset(&p->message);
}

/* done may start the next or free p, so nothing follows. */
static void finish(struct klx_email_post *p) {
    forget_mail(p);
    p->state = IDLE;
    p->done(p->arg, p->verdicts, p->n);
}

static void on_timer(void *arg) {
    finish(arg);
}

static void fail(struct klx_email_post *p, enum klx_verdict_class class, const char *reason,
                 const char *words) {
    for (size_t i = 0; i < p->n; i++) {
        klx_verdict_set(&p->verdicts[i], class, reason, klx_sv(words));
    }
    p->state = FAILED;
    klx_timer_start(p->timer, 0);
}

/* A token may have been taken back before its time: the next one is worth a try. */
static bool is_token_worth_renewing(const struct klx_email_post *p,
                                    const struct klx_smtp_result *r) {
    return p->oauth != NULL && r->failure == KLX_SMTP_AUTH && r->code / 100 == 5 && !p->renewed;
}

static void on_done(void *arg, const struct klx_smtp_result *r) {
    struct klx_email_post *p = arg;
    p->call = NULL;
    if (is_token_worth_renewing(p, r)) {
        klx_oauth_refused(p->oauth, p->generation);
        p->renewed = true;
        step(p);
        return;
    }
    for (size_t i = 0; i < p->n; i++) {
        p->verdicts[i] = (struct klx_verdict){ 0 };
        if (p->probe) {
            klx_email_judge_probe(r, &p->verdicts[i]);
        } else {
            klx_email_judge(r, i, &p->verdicts[i]);
        }
    }
    finish(p);
}

static void send_mail(struct klx_email_post *p, struct klx_sv secret) {
    const struct klx_email_config *c = p->s->config;
    const struct klx_smtp_mail mail = {
        .host = p->host,
        .port = p->s->port,
        .helo = c->helo,
        .tls_mode = p->s->tls_mode,
        .tls = &p->tls,
        .keeper = p->keeper,
        .user = secret.n > 0 ? c->user : NULL,
        .password = secret,
        .auth = p->s->auth,
        .initial_response = c->initial_response,
        .no_notices = !c->dsn,
        .probe = p->probe,
        .from = p->from,
        .recipients = p->recipients,
        .recipients_n = p->n,
        .message = klx_buf_sv(&p->message),
        .on_done = on_done,
        .arg = p,
    };
    struct klx_error e = { 0 };
    const char *problem = p->probe ? NULL : klx_smtp_message_problem(klx_buf_sv(&p->message));
    p->state = SENDING;
    if (problem != NULL) {
        fail(p, KLX_VERDICT_REJECT_MESSAGE, "malformed", problem);
    } else if (klx_smtp_send(p->env.http, &mail, &p->call, &e) != 0) {
        fail(p, KLX_VERDICT_DESTINATION_BROKEN, "settings", e.text);
    }
}

/* Whoever gives tokens refuses us, or cannot be asked now. */
static void fail_without_token(struct klx_email_post *p, const struct klx_error *e) {
    bool comes_again = e->code == -EHOSTUNREACH || e->code == -ETIMEDOUT || e->code == -EBUSY ||
                       e->code == -EAGAIN;
    fail(p, comes_again ? KLX_VERDICT_RETRY_BACKOFF : KLX_VERDICT_CREDENTIAL_BROKEN, "token",
         e->text);
}

static void send_with_token(struct klx_email_post *p) {
    struct klx_oauth_token token = { .generation = 0 };
    struct klx_error e = { 0 };
    if (klx_oauth_get(p->oauth, &token, &e) != 0) {
        fail_without_token(p, &e);
        return;
    }
    p->generation = token.generation;
    send_mail(p, token.value);
}

static void on_token(void *arg) {
    send_with_token(arg);
}

static void send_with_password(struct klx_email_post *p) {
    struct klx_sv password = { 0 };
    struct klx_error e = { 0 };
    if (p->s->config->password != NULL &&
        klx_secret_get(p->s->config->password, &password, &e) != 0) {
        fail(p, KLX_VERDICT_CREDENTIAL_BROKEN, "password", e.text);
    } else {
        send_mail(p, password);
    }
}

static void step(struct klx_email_post *p) {
    struct klx_error e = { 0 };
    if (p->keeper == NULL) {
        p->keeper = klx_smtp_keeper_new(p->env.http);
    }
    p->tls.insecure = p->s->tls_mode == KLX_SMTP_OPPORTUNISTIC && p->s->config->ca_file == NULL;
    if (klx_email_settings_ca(p->s, &p->tls.ca_pem, &e) != 0) {
        fail(p, KLX_VERDICT_DESTINATION_BROKEN, "ca_file", e.text);
    } else if (p->oauth == NULL) {
        send_with_password(p);
    } else if (klx_oauth_ready(p->oauth, &p->waiter)) {
        send_with_token(p);
    } else {
        p->state = TOKEN;
    }
}

int klx_email_post_new(const struct klx_sink_env *env, const struct klx_email_settings *s,
                       struct klx_email_post **ret, struct klx_error *e) {
    struct klx_oauth_settings identity = { 0 };
    bool token = s->auth == KLX_SMTP_AUTH_XOAUTH2;
    int rc = token ? klx_email_identity(s->config, false, &identity, e) : 0;
    if (rc != 0) {
        return rc;
    }
    struct klx_email_post *p = klx_alloc(struct klx_email_post);
    p->env = *env;
    p->s = s;
    p->host = klx_sv_dup(s->host);
    p->from = klx_sv_dup(s->from_address);
    p->timer = klx_timer_new(env->loop, on_timer, p);
    klx_buf_init(&p->message, KLX_EMAIL_MESSAGE_BYTES_MAX);
    if (token) {
        p->identity = identity;
        p->oauth = klx_oauth_new(env->loop, env->http, env->clock, &p->identity);
        p->waiter = (struct klx_oauth_waiter){ .fn = on_token, .arg = p };
    }
    *ret = p;
    return 0;
}

static void begin(struct klx_email_post *p, bool probe, klx_sent_fn done, void *arg) {
    assert(p->state == IDLE);
    p->probe = probe;
    p->renewed = false;
    p->done = done;
    p->arg = arg;
}

void klx_email_post_start(struct klx_email_post *p, struct klx_sv message,
                          const struct klx_sv *recipients, size_t n, klx_sent_fn done, void *arg) {
    assert(n <= KLX_EMAIL_RECIPIENTS_MAX);
    begin(p, false, done, arg);
    p->n = n;
    for (size_t i = 0; i < n; i++) {
        p->recipients[i].address = klx_sv_dup(recipients[i]);
    }
    klx_buf_add_sv(&p->message, message);
    step(p);
}

void klx_email_post_probe(struct klx_email_post *p, klx_sent_fn done, void *arg) {
    begin(p, true, done, arg);
    p->n = 1;
    step(p);
}

void klx_email_post_free(struct klx_email_post *p) {
    if (p == NULL) {
        return;
    }
    if (p->call != NULL) {
        klx_smtp_cancel(p->call);
    }
    if (p->oauth != NULL) {
        klx_oauth_forget(&p->waiter);
        klx_oauth_free(p->oauth);
        klx_oauth_settings_release_copy(&p->identity, &p->s->config->oauth);
    }
    if (p->state != IDLE) {
        forget_mail(p);
    }
    klx_smtp_keeper_free(p->keeper);
    klx_timer_free(p->timer);
    klx_buf_release(&p->message);
    free(p->host);
    free(p->from);
    free(p);
}
