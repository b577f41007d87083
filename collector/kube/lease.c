#include "collector/kube/lease.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/kube/frame.h"
#include "collector/redact.h"
#include "lib/base/mem.h"
#include "lib/base/time.h"

#define LEASES "/apis/coordination.k8s.io/v1/namespaces/%s/leases"
#define ANSWER_BYTES_MAX 65536
#define RELEASE_MS 1000
#define DETAIL_BYTES 300

struct klx_lease {
    struct klx_kube_client *client;
    struct klx_clock *clock;
    char *namespace, *name, *collection, *path;
    struct klx_lease_callbacks cb;
    struct klx_lease_state state;
    struct klx_timer *timer;
    struct klx_http_call *call;
    struct klx_credential_waiter credentials;
    uint64_t sent_with;
    struct klx_arena arena;
    bool led; /* what on_leading said last */
    char holder[KLX_LEASE_HOLDER_BYTES];
    const char *said; /* the trouble that was said last */
    void (*on_released)(void *arg);
    void *release_arg;
};

static int64_t mono_us(const struct klx_lease *l) {
    return l->clock->mono_us(l->clock);
}

static void say(struct klx_lease *l, const char *what, struct klx_sv detail) {
    if (what != l->said) { /* literals: the same kind of trouble is the same pointer */
        l->said = what;
        if (what != NULL) {
            char text[DETAIL_BYTES];
            struct klx_sv safe = klx_redact(&l->arena, detail, sizeof(text) - 1);
            snprintf(text, sizeof(text), "%.*s", KLX_SV_FMT(safe));
            l->cb.on_trouble(l->cb.arg, what, text);
        }
    }
}

/* What changed is said; it may free nothing: the owner stops what it has and waits. */
static void tell(struct klx_lease *l) {
    if (l->led != l->state.leading) {
        l->led = l->state.leading;
        l->cb.on_leading(l->cb.arg, l->led);
    }
    if (strcmp(l->holder, l->state.holder) != 0) {
        memcpy(l->holder, l->state.holder, sizeof(l->holder));
        l->cb.on_holder(l->cb.arg, l->holder);
    }
}

/* While an answer or credentials are under way, only a leader's deadline is waited for. */
static void plan(struct klx_lease *l) {
    int64_t at_us = l->state.at_us, deadline_us = klx_lease_deadline_us(&l->state);
    bool under_way = l->call != NULL || l->credentials.of != NULL;
    if (under_way || (l->state.leading && deadline_us < at_us)) {
        at_us = deadline_us;
    }
    if (!under_way || l->state.leading) {
        int64_t wait_us = at_us - mono_us(l);
        klx_timer_start(l->timer, wait_us > 0 ? wait_us / KLX_US_PER_MS + 1 : 0);
    }
}

static const char *words_of(const struct klx_http_result *r) {
    return r->failure != KLX_HTTP_OK ? "the Lease cannot be reached"
           : r->status == 401        ? "the Lease is refused: the credentials are not accepted"
           : r->status == 403
               ? "the Lease is refused: get, create and patch of leases are needed in "
                 "its namespace (`klaxon rbac` prints the rule)"
           : r->status == 404 ? "the Lease has no place: its namespace does not exist"
           : r->status < 300  ? "what is answered is no Lease: does `server` lead to an API server?"
                              : "the Lease cannot be read or written";
}

static const struct klx_json *parse(struct klx_lease *l, struct klx_sv body) {
    const struct klx_json *object = NULL;
    const struct klx_json_limits limits = { .bytes_max = ANSWER_BYTES_MAX, .depth_max = 32 };
    klx_arena_reset(&l->arena);
    return klx_frame_parse(&l->arena, body, &limits, &object) == 0 ? object : NULL;
}

static void on_done(void *arg, const struct klx_http_result *r) {
    struct klx_lease *l = arg;
    const struct klx_json *object = r->failure == KLX_HTTP_OK ? parse(l, r->body) : NULL;
    bool good = (r->status == 200 || r->status == 201) &&
                klx_sv_eq(klx_json_str(object, "kind"), KLX_SV("Lease"));
    bool expected = r->status == 409 || (r->status == 404 && l->state.next != KLX_LEASE_CREATE);
    l->call = NULL;
    if (r->status == 401) {
        klx_kube_client_refresh(l->client, l->sent_with);
    }
    if (!good && !expected) {
        say(l, words_of(r),
            r->failure == KLX_HTTP_OK ? klx_json_str(object, "message") : klx_sv(r->error));
    } else if (good) {
        say(l, NULL, klx_sv(NULL));
    }
    klx_lease_answered(&l->state, good || r->failure == KLX_HTTP_OK ? r->status : 0,
                       good ? object : NULL, mono_us(l), l->clock);
    tell(l);
    plan(l);
}

/* One that takes longer than the deadline achieves nothing. */
static int64_t deadline_ms(const struct klx_lease *l) {
    return l->state.times.renew_deadline_ms / 2;
}

static void send(struct klx_lease *l, bool release, int64_t wait_ms,
                 void (*done)(void *arg, const struct klx_http_result *r)) {
    static const char *const methods[] = {
        [KLX_LEASE_GET] = "GET", [KLX_LEASE_CREATE] = "POST", [KLX_LEASE_UPDATE] = "PATCH"
    };
    struct klx_error e = { 0 };
    struct klx_buf body;
    klx_buf_init(&body, ANSWER_BYTES_MAX);
    if (l->state.next != KLX_LEASE_GET) {
        klx_lease_body(&l->state, l->namespace, l->name, l->clock->wall_us(l->clock), release,
                       &body);
    }
    struct klx_http_request r = { .method = methods[l->state.next],
                                  .body = klx_buf_sv(&body),
                                  .on_done = done,
                                  .deadline_ms = wait_ms,
                                  .body_bytes_max = ANSWER_BYTES_MAX,
                                  .arg = l };
    bool create = l->state.next == KLX_LEASE_CREATE;
    klx_lease_sent(&l->state, mono_us(l));
    if (klx_kube_client_send(l->client, create ? l->collection : l->path, "", &r, &l->call, &e) !=
        0) {
        l->call = NULL;
        say(l, "there are no credentials for the Lease", klx_sv(e.text));
        klx_lease_answered(&l->state, 0, NULL, mono_us(l), l->clock);
    }
    l->sent_with = klx_kube_client_credential(l->client);
    klx_buf_release(&body);
}

static void step(void *arg) {
    struct klx_lease *l = arg;
    enum klx_lease_next next = klx_lease_due(&l->state, mono_us(l));
    tell(l);
    if (next != KLX_LEASE_WAIT && l->call == NULL &&
        klx_kube_client_ready(l->client, &l->credentials)) { /* else on_credentials */
        send(l, false, deadline_ms(l), on_done);
    }
    plan(l);
}

static void on_credentials(void *arg) {
    struct klx_lease *l = arg;
    klx_timer_start(l->timer, 0);
}

struct klx_lease *klx_lease_new(struct klx_kube_client *client, struct klx_clock *clock,
                                const char *namespace, const char *name, const char *identity,
                                const struct klx_lease_times *times,
                                const struct klx_lease_callbacks *cb) {
    struct klx_lease *l = klx_alloc(struct klx_lease);
    l->client = client;
    l->clock = clock;
    l->namespace = klx_strdup(namespace);
    l->name = klx_strdup(name);
    l->collection = klx_asprintf(LEASES, namespace);
    l->path = klx_asprintf(LEASES "/%s", namespace, name);
    l->cb = *cb;
    l->credentials = (struct klx_credential_waiter){ .fn = on_credentials, .arg = l };
    l->timer = klx_timer_new(klx_kube_client_loop(client), step, l);
    klx_arena_init(&l->arena, 8192, ANSWER_BYTES_MAX * 8);
    klx_lease_begin(&l->state, identity, times, mono_us(l));
    return l;
}

void klx_lease_start(struct klx_lease *l) {
    klx_timer_start(l->timer, 0);
}

static void end_all(struct klx_lease *l) {
    klx_timer_stop(l->timer);
    klx_credential_forget(&l->credentials);
    if (l->call != NULL) {
        klx_http_cancel(l->call);
        l->call = NULL;
    }
}

static void on_given_back(void *arg, const struct klx_http_result *r) {
    struct klx_lease *l = arg;
    (void)r; /* when it failed, the others wait until it runs out */
    l->call = NULL;
    l->on_released(l->release_arg);
}

static void on_nothing_to_give(void *arg) {
    struct klx_lease *l = arg;
    l->on_released(l->release_arg);
}

void klx_lease_release(struct klx_lease *l, void (*on_released)(void *arg), void *arg) {
    bool leading = l->state.leading;
    end_all(l);
    l->on_released = on_released;
    l->release_arg = arg;
    if (leading && klx_kube_client_ready(l->client, NULL)) {
        l->state.next = KLX_LEASE_UPDATE;
        send(l, true, RELEASE_MS, on_given_back);
    }
    if (l->call == NULL) {
        klx_loop_defer(klx_kube_client_loop(l->client), on_nothing_to_give, l);
    }
}

void klx_lease_free(struct klx_lease *l) {
    if (l == NULL) {
        return;
    }
    end_all(l);
    klx_timer_free(l->timer);
    klx_arena_release(&l->arena);
    free(l->namespace);
    free(l->name);
    free(l->collection);
    free(l->path);
    free(l);
}
