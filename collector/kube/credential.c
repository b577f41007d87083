#include "collector/kube/credential.h"

#include <stdlib.h>
#include <string.h>

#include "collector/kube/exec_plugin.h"
#include "lib/base/backoff.h"
#include "lib/base/cleanup.h"
#include "lib/base/hash.h"
#include "lib/base/mem.h"
#include "lib/base/time.h"
#include "lib/io/oauth.h"

#define READ_AGAIN_US (50 * KLX_US_PER_S)
#define USED_AT_LEAST_US (10 * KLX_US_PER_S)
#define ACCEPTED_US (60 * KLX_US_PER_S) /* a credential that was good for so long was accepted */

/* A loop object: process is its only handle. */
struct klx_credential {
    struct klx_loop *loop;
    struct klx_clock *clock;
    struct klx_kube_access *access;
    int64_t read_us; /* monotonic: files were read, whatever they looked like */
    char digest[KLX_HASH_TEXT_BYTES];
    uint64_t generation;

    struct klx_oauth *oauth; /* NULL: none */
    struct klx_oauth_waiter token;

    /* of a plugin */
    struct klx_process *process; /* NULL: does not run */
    struct klx_credential_waiter *waiters;
    struct klx_exec_credential now;
    bool have, refused;
    int64_t fetched_us, not_before_us; /* monotonic */
    struct klx_backoff failures, refusals;
    struct klx_error error; /* of the last run */
};

static void wake_all(void *arg) {
    struct klx_credential *c = arg;
    while (c->waiters != NULL) {
        struct klx_credential_waiter *w = c->waiters;
        klx_credential_forget(w);
        w->fn(w->arg);
    }
}

struct klx_credential *klx_credential_new(struct klx_loop *l, struct klx_http *http,
                                          struct klx_clock *clock, struct klx_kube_access *access) {
    struct klx_credential *c = klx_alloc(struct klx_credential);
    c->loop = l;
    c->clock = clock;
    c->access = access;
    c->read_us = clock->mono_us(clock);
    c->not_before_us = c->read_us;
    if (access->oauth != NULL) {
        c->oauth = klx_oauth_new(l, http, clock, access->oauth);
        c->token = (struct klx_oauth_waiter){ .fn = wake_all, .arg = c };
    }
    klx_backoff_init(&c->failures, 1000, 1000, 60000);
    klx_backoff_init(&c->refusals, 1000, 2000, 60000);
    return c;
}

void klx_credential_free(struct klx_credential *c) {
    if (c == NULL) {
        return;
    }
    klx_process_cancel(c->process);
    klx_oauth_free(c->oauth);
    while (c->waiters != NULL) {
        klx_credential_forget(c->waiters);
    }
    klx_exec_credential_release(&c->now);
    free(c);
}

static int64_t wait_us(struct klx_credential *c, struct klx_backoff *b) {
    return klx_backoff_next(b, c->clock) * KLX_US_PER_MS;
}

static bool expired(const struct klx_credential *c) {
    return c->now.expires_us != KLX_TIME_NONE && c->clock->wall_us(c->clock) >= c->now.expires_us &&
           c->clock->mono_us(c->clock) - c->fetched_us >= USED_AT_LEAST_US;
}

static void forget_credential(struct klx_credential *c) {
    klx_exec_credential_release(&c->now);
    c->have = false;
}

/* One that is still good stays. */
static void run_failed(struct klx_credential *c) {
    if (c->have && (c->refused || expired(c))) {
        forget_credential(c);
    }
    c->not_before_us = c->clock->mono_us(c->clock) + wait_us(c, &c->failures);
}

static void take(struct klx_credential *c, const struct klx_exec_credential *fetched) {
    forget_credential(c);
    c->now = *fetched;
    c->have = true;
    c->refused = false;
    c->fetched_us = c->clock->mono_us(c->clock);
    c->generation++;
    klx_backoff_reset(&c->failures);
}

static void on_plugin_done(void *arg, const struct klx_process_result *r) {
    struct klx_credential *c = arg;
    struct klx_exec_credential fetched;
    c->process = NULL;
    if (klx_exec_plugin_result(c->access->exec, r, &fetched, &c->error) == 0) {
        take(c, &fetched);
    } else {
        run_failed(c);
    }
    wake_all(c);
}

static void add_waiter(struct klx_credential *c, struct klx_credential_waiter *w) {
    if (w != NULL && w->of == NULL) {
        w->of = c;
        w->next = c->waiters;
        c->waiters = w;
    }
}

bool klx_credential_ready(struct klx_credential *c, struct klx_credential_waiter *w) {
    if (c->oauth != NULL && !klx_oauth_ready(c->oauth, &c->token)) {
        add_waiter(c, w);
        return false;
    }
    if (c->access->exec == NULL) {
        return true;
    }
    if (c->process == NULL) {
        bool good = c->have && !c->refused && !expired(c);
        if (good || c->clock->mono_us(c->clock) < c->not_before_us) {
            return true;
        }
        if (klx_exec_plugin_start(c->loop, c->access, on_plugin_done, c, &c->process, &c->error) !=
            0) {
            run_failed(c);
            return true;
        }
    }
    add_waiter(c, w);
    return false;
}

void klx_credential_forget(struct klx_credential_waiter *w) {
    if (w->of == NULL) {
        return;
    }
    struct klx_credential_waiter **at = &w->of->waiters;
    while (*at != w) {
        at = &(*at)->next;
    }
    *at = w->next;
    w->of = NULL;
    w->next = NULL;
}

static void read_files_again(struct klx_credential *c) {
    const struct klx_kube_access *a = c->access;
    struct klx_secret *const files[] = { a->token, a->ca.file, a->cert.file, a->key.file };
    for (size_t i = 0; i < KLX_COUNT(files); i++) {
        if (files[i] != NULL) {
            klx_secret_again(files[i]);
        }
    }
    c->read_us = c->clock->mono_us(c->clock);
}

static int get_from_kubeconfig(struct klx_credential *c, struct klx_identity *i,
                               struct klx_error *e) {
    struct klx_kube_access *a = c->access;
    i->token = klx_sv(a->static_token);
    int rc = a->token != NULL ? klx_secret_get(a->token, &i->token, e) : 0;
    rc = rc == 0 ? klx_kube_pem_get(&a->cert, &i->cert_pem, e) : rc;
    rc = rc == 0 ? klx_kube_pem_get(&a->key, &i->key_pem, e) : rc;
    char digest[KLX_HASH_TEXT_BYTES];
    const struct klx_sv parts[] = { i->token, i->cert_pem };
    if (rc == 0) {
        klx_hash_parts(parts, KLX_COUNT(parts), digest);
        c->generation += strcmp(digest, c->digest) != 0;
        memcpy(c->digest, digest, sizeof(digest));
    }
    return rc;
}

static int get_from_plugin(struct klx_credential *c, struct klx_identity *i, struct klx_error *e) {
    if (!c->have) {
        return c->process != NULL
                   ? klx_fail(e, -EAGAIN, "%s has not answered yet", c->access->exec->argv[0])
                   : klx_fail(e, c->error.code, "%s", c->error.text);
    }
    i->token = klx_sv(c->now.token);
    i->cert_pem = c->now.cert_pem;
    i->key_pem = c->now.key_pem;
    return 0;
}

static int get_from_oauth(struct klx_credential *c, struct klx_identity *i, struct klx_error *e) {
    struct klx_oauth_token t;
    int rc = klx_oauth_get(c->oauth, &t, e);
    if (rc == 0) {
        i->token = t.value;
        c->generation = t.generation;
    }
    return rc;
}

int klx_credential_get(struct klx_credential *c, struct klx_identity *ret, struct klx_error *e) {
    struct klx_identity i = { 0 };
    if (c->clock->mono_us(c->clock) - c->read_us >= READ_AGAIN_US) {
        read_files_again(c);
    }
    int rc = c->oauth != NULL          ? get_from_oauth(c, &i, e)
             : c->access->exec != NULL ? get_from_plugin(c, &i, e)
                                       : get_from_kubeconfig(c, &i, e);
    rc = rc == 0 ? klx_kube_pem_get(&c->access->ca, &i.ca_pem, e) : rc;
    if (rc == 0) {
        i.generation = c->generation;
        *ret = i;
    }
    return rc;
}

void klx_credential_refused(struct klx_credential *c, uint64_t generation) {
    read_files_again(c);
    if (c->oauth != NULL) {
        klx_oauth_refused(c->oauth, generation);
        return;
    }
    if (c->access->exec == NULL || generation != c->generation || c->refused || !c->have) {
        return;
    }
    int64_t now_us = c->clock->mono_us(c->clock);
    if (now_us - c->fetched_us >= ACCEPTED_US) {
        klx_backoff_reset(&c->refusals);
    }
    bool first = c->refusals.attempt == 0;
    int64_t delay_us = wait_us(c, &c->refusals);
    c->refused = true;
    c->not_before_us = first ? now_us : now_us + delay_us;
}
