#include "lib/io/oauth.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/backoff.h"
#include "lib/base/buf.h"
#include "lib/base/mem.h"
#include "lib/base/time.h"
#include "lib/io/metrics.h"
#include "lib/io/oauth_answer.h"

#define DEADLINE_MS 30000
#define RETRY_AFTER_MAX_MS 600000
#define REQUEST_BYTES_MAX (1u << 20)
#define DUE_BEFORE_US (300 * KLX_US_PER_S)
#define ACCEPTED_US (60 * KLX_US_PER_S) /* a token that was good for so long was accepted */
#define ASSERTION_TYPE "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

/* A loop object: the call is its only handle. */
struct klx_oauth {
    struct klx_http *http;
    struct klx_clock *clock;
    const struct klx_oauth_settings *settings;
    struct klx_http_call *call; /* NULL: nothing is being asked */
    struct klx_oauth_waiter *waiters, *waking;
    char *token; /* NULL: none */
    uint64_t generation;
    bool refused;
    int64_t fetched_us, due_us, expires_us; /* monotonic, as those below */
    int64_t not_before_us;
    struct klx_backoff failures, refusals;
    struct klx_error error; /* of the last request; code 0: it had none */
    struct klx_counter *good, *bad;
    struct klx_gauge *expires;
};

static struct klx_counter *requests(const char *scope, const char *outcome) {
    return klx_counter("klaxon_token_requests_total", "Times a token was asked for.",
                       KLX_LABELS({ "scope", scope }, { "outcome", outcome }));
}

struct klx_oauth *klx_oauth_new(struct klx_loop *l, struct klx_http *http, struct klx_clock *clock,
                                const struct klx_oauth_settings *s) {
    (void)l; /* that of http */
    struct klx_oauth *o = klx_alloc(struct klx_oauth);
    o->http = http;
    o->clock = clock;
    o->settings = s;
    o->not_before_us = clock->mono_us(clock);
    o->good = requests(s->scope, "token");
    o->bad = requests(s->scope, "failed");
    o->expires = klx_gauge("klaxon_token_expires_timestamp_seconds",
                           "When the token that serves now expires (Unix time).",
                           KLX_LABELS({ "scope", s->scope }));
    klx_backoff_init(&o->failures, 1000, 1000, 60000);
    klx_backoff_init(&o->refusals, 1000, 2000, 60000);
    return o;
}

static void forget_token(struct klx_oauth *o) {
    klx_wipe(o->token);
    o->token = NULL;
}

void klx_oauth_free(struct klx_oauth *o) {
    if (o == NULL) {
        return;
    }
    if (o->call != NULL) {
        klx_http_cancel(o->call);
    }
    while (o->waiters != NULL) {
        klx_oauth_forget(o->waiters);
    }
    forget_token(o);
    free(o);
}

static int64_t now_us(const struct klx_oauth *o) {
    return o->clock->mono_us(o->clock);
}

static void take(struct klx_oauth *o, const struct klx_oauth_answer *a) {
    int64_t life_us = a->life_ms * KLX_US_PER_MS;
    int64_t before_us = life_us / 5 < DUE_BEFORE_US ? life_us / 5 : DUE_BEFORE_US;
    forget_token(o);
    o->token = a->token;
    o->generation++;
    o->refused = false;
    o->error.code = 0;
    o->fetched_us = now_us(o);
    o->expires_us = o->fetched_us + life_us;
    o->due_us = o->expires_us - before_us;
    klx_backoff_reset(&o->failures);
    klx_counter_add(o->good, 1);
    klx_gauge_set(o->expires, (double)(o->clock->wall_us(o->clock) + life_us) / KLX_US_PER_S);
}

/* A token that is still good stays. */
static void failed(struct klx_oauth *o, int64_t retry_after_ms) {
    int64_t asked_ms = retry_after_ms < RETRY_AFTER_MAX_MS ? retry_after_ms : RETRY_AFTER_MAX_MS;
    klx_counter_add(o->bad, 1);
    if (o->refused || now_us(o) >= o->expires_us) {
        forget_token(o);
    }
    int64_t delay_ms = klx_backoff_next_after(&o->failures, o->clock, asked_ms);
    o->not_before_us = now_us(o) + delay_ms * KLX_US_PER_MS;
}

/* Who is woken may start to wait again, which is for the next answer. */
static void wake_all(struct klx_oauth *o) {
    o->waking = o->waiters;
    o->waiters = NULL;
    while (o->waking != NULL) {
        struct klx_oauth_waiter *w = o->waking;
        klx_oauth_forget(w);
        w->fn(w->arg);
    }
}

static void on_answer(void *arg, const struct klx_http_result *r) {
    struct klx_oauth *o = arg;
    struct klx_oauth_answer answer = { 0 };
    o->call = NULL;
    if (klx_oauth_answer_read(o->settings, o->settings->token_url, r, &answer, &o->error) == 0) {
        take(o, &answer);
    } else {
        failed(o, r->retry_after_ms);
    }
    wake_all(o);
}

/* application/x-www-form-urlencoded, of a query too. */
static void add_field(struct klx_buf *out, const char *name, struct klx_sv value) {
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._";
    klx_buf_add_str(out, out->len > 0 ? "&" : "");
    klx_buf_add_str(out, name);
    klx_buf_add_char(out, '=');
    for (size_t i = 0; i < value.n; i++) {
        if (value.p[i] != '\0' && strchr(plain, value.p[i]) != NULL) {
            klx_buf_add_char(out, value.p[i]);
        } else {
            klx_buf_printf(out, "%%%02X", (unsigned char)value.p[i]);
        }
    }
}

/* Who we are, of a file that is read whatever it looks like. */
static int add_proof(const struct klx_oauth_settings *s, struct klx_buf *out, struct klx_error *e) {
    struct klx_sv proof;
    bool secret = s->way == KLX_OAUTH_SECRET;
    struct klx_secret *from = secret ? s->client_secret : s->federated_token;
    klx_secret_again(from);
    int rc = klx_secret_get(from, &proof, e);
    if (rc != 0) {
        return rc;
    }
    if (secret) {
        add_field(out, "client_secret", proof);
    } else {
        add_field(out, "client_assertion_type", KLX_SV(ASSERTION_TYPE));
        add_field(out, "client_assertion", klx_sv_trim(proof));
    }
    return 0;
}

static int start(struct klx_oauth *o, const char *url, struct klx_http_request *r) {
    struct klx_tls tls = { 0 };
    const struct klx_oauth_settings *s = o->settings;
    int rc = s->token_ca != NULL ? klx_secret_get(s->token_ca, &tls.ca_pem, &o->error) : 0;
    if (rc != 0) {
        return klx_fail_in(&o->error, rc, "token_ca");
    }
    r->url = url;
    r->tls = &tls;
    r->deadline_ms = DEADLINE_MS;
    r->body_bytes_max = KLX_OAUTH_ANSWER_BYTES_MAX;
    r->on_done = on_answer;
    r->arg = o;
    return klx_http_start(o->http, r, &o->call, &o->error);
}

static int ask_for_token(struct klx_oauth *o) {
    static const char *const headers[] = { "Content-Type: application/x-www-form-urlencoded",
                                           "Accept: application/json", NULL };
    const struct klx_oauth_settings *s = o->settings;
    struct klx_buf form;
    klx_buf_init(&form, 4 * REQUEST_BYTES_MAX);
    add_field(&form, "grant_type", KLX_SV("client_credentials"));
    add_field(&form, "client_id", klx_sv(s->client_id));
    add_field(&form, "scope", klx_sv(s->scope));
    int rc = add_proof(s, &form, &o->error);
    rc = rc == 0 && klx_buf_check(&form) != 0 ? klx_fail(&o->error, -EMSGSIZE, "%s is too large",
                                                         klx_secret_where(s->federated_token))
                                              : rc;
    if (rc == 0) {
        struct klx_http_request r = { .method = "POST",
                                      .headers = headers,
                                      .body = klx_buf_sv(&form) };
        rc = start(o, s->token_url, &r);
    }
    klx_buf_wipe(&form);
    return rc;
}

/* learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token: a resource, where others have a scope. */
static int ask_machine(struct klx_oauth *o) {
    static const char *const headers[] = { "Metadata: true", NULL };
    const struct klx_oauth_settings *s = o->settings;
    struct klx_sv resource = klx_sv(s->scope);
    struct klx_buf query;
    if (klx_sv_ends(resource, KLX_SV("/.default"))) {
        resource.n -= sizeof("/.default") - 1;
    }
    klx_buf_init(&query, 4 * REQUEST_BYTES_MAX);
    add_field(&query, "api-version", KLX_SV("2018-02-01"));
    add_field(&query, "resource", resource);
    if (s->client_id != NULL) {
        add_field(&query, "client_id", klx_sv(s->client_id));
    }
    char *url = klx_asprintf("%s?%s", s->token_url, klx_buf_str(&query));
    struct klx_http_request r = { .method = "GET", .headers = headers, .proxy = "" };
    int rc = start(o, url, &r);
    free(url);
    klx_buf_release(&query);
    return rc;
}

static void add_waiter(struct klx_oauth *o, struct klx_oauth_waiter *w) {
    if (w == NULL || w->of != NULL) {
        return;
    }
    struct klx_oauth_waiter **at = &o->waiters;
    while (*at != NULL) {
        at = &(*at)->next;
    }
    *at = w;
    w->of = o;
}

/* Asks, unless it is being asked, or it is too early after a failure. False: then nothing is under way. */
static bool ask(struct klx_oauth *o) {
    if (o->call != NULL) {
        return true;
    }
    if (now_us(o) < o->not_before_us) {
        return false;
    }
    int rc = o->settings->way == KLX_OAUTH_MANAGED ? ask_machine(o) : ask_for_token(o);
    if (rc != 0) {
        failed(o, -1);
    }
    return rc == 0;
}

static bool ready(struct klx_oauth *o, struct klx_oauth_waiter *w, bool fresh) {
    bool good = o->token != NULL && !o->refused && now_us(o) < o->expires_us;
    if (good && now_us(o) < o->due_us) {
        return true;
    }
    bool asking = ask(o);
    if (!asking || (good && !fresh)) {
        return true;
    }
    add_waiter(o, w);
    return false;
}

bool klx_oauth_ready(struct klx_oauth *o, struct klx_oauth_waiter *w) {
    return ready(o, w, false);
}

bool klx_oauth_ready_fresh(struct klx_oauth *o, struct klx_oauth_waiter *w) {
    return ready(o, w, true);
}

void klx_oauth_forget(struct klx_oauth_waiter *w) {
    if (w->of == NULL) {
        return;
    }
    struct klx_oauth_waiter **at = &w->of->waking;
    while (*at != NULL && *at != w) {
        at = &(*at)->next;
    }
    at = *at != NULL ? at : &w->of->waiters;
    while (*at != w) {
        at = &(*at)->next;
    }
    *at = w->next;
    w->of = NULL;
    w->next = NULL;
}

int klx_oauth_get(struct klx_oauth *o, struct klx_oauth_token *ret, struct klx_error *e) {
    if (o->token == NULL || now_us(o) >= o->expires_us) {
        return o->error.code == 0 ? klx_fail(e, -EAGAIN, "the token has not come yet")
                                  : klx_fail(e, o->error.code, "%s", o->error.text);
    }
    int64_t left_us = o->expires_us - now_us(o);
    *ret = (struct klx_oauth_token){
        .value = klx_sv(o->token),
        .left_ms = left_us > 0 ? left_us / KLX_US_PER_MS : 0,
        .generation = o->generation,
    };
    return 0;
}

void klx_oauth_refused(struct klx_oauth *o, uint64_t generation) {
    if (o->token == NULL || o->refused || generation != o->generation) {
        return;
    }
    if (now_us(o) - o->fetched_us >= ACCEPTED_US) {
        klx_backoff_reset(&o->refusals);
    }
    bool first = o->refusals.attempt == 0;
    int64_t delay_us = klx_backoff_next(&o->refusals, o->clock) * KLX_US_PER_MS;
    o->refused = true;
    o->not_before_us = first ? now_us(o) : now_us(o) + delay_us;
}

int64_t klx_oauth_retry_ms(const struct klx_oauth *o) {
    int64_t left_us = o->not_before_us - now_us(o);
    return left_us > 0 ? left_us / KLX_US_PER_MS + 1 : 0;
}
