#include "sinks/email/post.h"

#include <assert.h>
#include <stdlib.h>

#include "lib/base/mem.h"
#include "sinks/email/verdicts.h"

enum state { IDLE, SENDING, FAILED };

struct klx_email_post {
    struct klx_sink_env env;
    const struct klx_email_settings *s;
    enum state state;
    struct klx_smtp_call *call; /* in SENDING */
    struct klx_timer *timer;    /* in FAILED */
    struct klx_tls tls;
    char *host;
    char *from;
    struct klx_smtp_recipient recipients[KLX_EMAIL_RECIPIENTS_MAX];
    struct klx_verdict verdicts[KLX_EMAIL_RECIPIENTS_MAX];
    size_t n;
    klx_sent_fn done;
    void *arg;
};

static void free_addresses(struct klx_email_post *p) {
    for (size_t i = 0; i < p->n; i++) {
        free((char *)p->recipients[i].address);
        p->recipients[i].address = NULL;
    }
}

/* done may start the next or free p, so nothing follows. */
static void finish(struct klx_email_post *p) {
    free_addresses(p);
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

static void on_done(void *arg, const struct klx_smtp_result *r) {
    struct klx_email_post *p = arg;
    p->call = NULL;
    for (size_t i = 0; i < p->n; i++) {
        p->verdicts[i] = (struct klx_verdict){ 0 };
        klx_email_judge(r, i, &p->verdicts[i]);
    }
    finish(p);
}

static void send_mail(struct klx_email_post *p, struct klx_sv password, struct klx_sv message) {
    const struct klx_email_config *c = p->s->config;
    const struct klx_smtp_mail mail = {
        .host = p->host,
        .port = p->s->port,
        .helo = c->helo,
        .tls_mode = p->s->tls_mode,
        .tls = &p->tls,
        .user = password.n > 0 ? c->user : NULL,
        .password = password,
        .from = p->from,
        .recipients = p->recipients,
        .recipients_n = p->n,
        .message = message,
        .on_done = on_done,
        .arg = p,
    };
    struct klx_error e = { 0 };
    const char *problem = klx_smtp_message_problem(message);
    p->state = SENDING;
    if (problem != NULL) {
        fail(p, KLX_VERDICT_REJECT_MESSAGE, "malformed", problem);
    } else if (klx_smtp_send(p->env.http, &mail, &p->call, &e) != 0) {
        fail(p, KLX_VERDICT_DESTINATION_BROKEN, "settings", e.text);
    }
}

struct klx_email_post *klx_email_post_new(const struct klx_sink_env *env,
                                          const struct klx_email_settings *s) {
    struct klx_email_post *p = klx_alloc(struct klx_email_post);
    p->env = *env;
    p->s = s;
    p->host = klx_sv_dup(s->host);
    p->from = klx_sv_dup(s->from_address);
    p->timer = klx_timer_new(env->loop, on_timer, p);
    return p;
}

void klx_email_post_start(struct klx_email_post *p, struct klx_sv message,
                          const struct klx_sv *recipients, size_t n, klx_sent_fn done, void *arg) {
    struct klx_sv password = { 0 };
    struct klx_error e = { 0 };
    assert(p->state == IDLE && n <= KLX_EMAIL_RECIPIENTS_MAX);
    p->done = done;
    p->arg = arg;
    p->n = n;
    for (size_t i = 0; i < n; i++) {
        p->recipients[i].address = klx_sv_dup(recipients[i]);
    }
    if (p->s->config->password != NULL &&
        klx_secret_get(p->s->config->password, &password, &e) != 0) {
        fail(p, KLX_VERDICT_CREDENTIAL_BROKEN, "password", e.text);
    } else if (klx_email_settings_ca(p->s, &p->tls.ca_pem, &e) != 0) {
        fail(p, KLX_VERDICT_DESTINATION_BROKEN, "ca_file", e.text);
    } else {
        send_mail(p, password, message);
    }
}

void klx_email_post_free(struct klx_email_post *p) {
    if (p == NULL) {
        return;
    }
    if (p->state == SENDING) {
        klx_smtp_cancel(p->call);
    }
    if (p->state != IDLE) {
        free_addresses(p);
    }
    klx_timer_free(p->timer);
    free(p->host);
    free(p->from);
    free(p);
}
