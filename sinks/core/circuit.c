#include "sinks/core/circuit.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/backoff.h"
#include "lib/base/cleanup.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/time.h"
#include "sinks/core/health.h"

#define NAMES_BYTES_MAX 1000
#define ANOTHER_FIRST_US KLX_US_PER_S /* the member that tried last lets the others go first */

struct circuit {
    struct circuit *next;
    struct klx_circuits *owner;
    char *credential;
    struct klx_circuit_member *members;
    bool open;
    int64_t opened_us, opened_wall_us, not_before_us;
    struct klx_backoff probe;
    const struct klx_circuit_member *trying, *tried_last;
    struct klx_verdict last;
};

struct klx_circuit_member {
    struct klx_circuit_member *next;
    struct circuit *circuit;
    const char *name;
    void (*on_change)(void *arg);
    void *arg;
};

struct klx_circuits {
    struct klx_clock *clock;
    const char *kind;
    struct circuit *circuits;
};

struct klx_circuits *klx_circuits_new(struct klx_clock *clock, const char *kind) {
    struct klx_circuits *cs = klx_alloc(struct klx_circuits);
    cs->clock = clock;
    cs->kind = kind;
    return cs;
}

void klx_circuits_free(struct klx_circuits *cs) {
    if (cs != NULL) {
        assert(cs->circuits == NULL);
        free(cs);
    }
}

static struct circuit *find_or_add(struct klx_circuits *cs, struct klx_sv credential) {
    struct circuit *c = cs->circuits;
    while (c != NULL && !klx_sv_eq(klx_sv(c->credential), credential)) {
        c = c->next;
    }
    if (c == NULL) {
        c = klx_alloc(struct circuit);
        c->owner = cs;
        c->credential = klx_sv_dup(credential);
        c->next = cs->circuits;
        klx_backoff_init(&c->probe, KLX_PROBE_FLOOR_MS, KLX_PROBE_BASE_MS, KLX_PROBE_CAP_MS);
        cs->circuits = c;
    }
    return c;
}

struct klx_circuit_member *klx_circuit_join(struct klx_circuits *cs, struct klx_sv credential,
                                            const char *name, void (*on_change)(void *arg),
                                            void *arg) {
    struct klx_circuit_member *m = klx_alloc(struct klx_circuit_member);
    m->circuit = find_or_add(cs, credential);
    m->name = name;
    m->on_change = on_change;
    m->arg = arg;
    struct klx_circuit_member **last = &m->circuit->members;
    while (*last != NULL) {
        last = &(*last)->next;
    }
    *last = m;
    return m;
}

static void free_circuit(struct circuit *c) {
    struct circuit **at = &c->owner->circuits;
    while (*at != c) {
        at = &(*at)->next;
    }
    *at = c->next;
    free(c->credential);
    free(c);
}

static void tell_all(const struct circuit *c) {
    for (struct klx_circuit_member *m = c->members; m != NULL; m = m->next) {
        m->on_change(m->arg);
    }
}

void klx_circuit_leave(struct klx_circuit_member *m) {
    if (m == NULL) {
        return;
    }
    struct circuit *c = m->circuit;
    struct klx_circuit_member **at = &c->members;
    while (*at != m) {
        at = &(*at)->next;
    }
    *at = m->next;
    bool was_trying = c->trying == m;
    c->trying = was_trying ? NULL : c->trying;
    c->tried_last = c->tried_last == m ? NULL : c->tried_last;
    free(m);
    if (c->members == NULL) {
        free_circuit(c);
    } else if (was_trying) {
        tell_all(c);
    }
}

bool klx_circuit_is_shared(const struct klx_circuit_member *m) {
    return m != NULL && m->circuit->members->next != NULL;
}

bool klx_circuit_is_open(const struct klx_circuit_member *m) {
    return m != NULL && m->circuit->open;
}

int64_t klx_circuit_due_us(const struct klx_circuit_member *m) {
    if (!klx_circuit_is_open(m)) {
        return INT64_MIN;
    }
    const struct circuit *c = m->circuit;
    if (c->trying != NULL) {
        return c->trying == m ? INT64_MIN : INT64_MAX;
    }
    bool again = c->tried_last == m && klx_circuit_is_shared(m);
    return c->not_before_us + (again ? ANOTHER_FIRST_US : 0);
}

void klx_circuit_try(struct klx_circuit_member *m) {
    if (klx_circuit_is_open(m)) {
        m->circuit->trying = m->circuit->tried_last = m;
        tell_all(m->circuit);
    }
}

static void add_names(const struct circuit *c, struct klx_buf *out) {
    for (const struct klx_circuit_member *m = c->members; m != NULL; m = m->next) {
        klx_buf_printf(out, "%s%s", m == c->members ? "" : ", ", m->name);
    }
}

static void say(const struct circuit *c, int64_t delay_ms) {
    struct klx_clock *clock = c->owner->clock;
    struct klx_buf names KLX_CLEANUP(klx_buf_release);
    char advice[KLX_ADVICE_BYTES];
    klx_buf_init(&names, NAMES_BYTES_MAX);
    add_names(c, &names); /* as many as fit */
    if (!c->open) {
        klx_log_info("the credential works again, the messages of its channels go out now",
                     KLX_F_STR("channels", klx_buf_str(&names)),
                     KLX_F_INT("after_ms", (clock->wall_us(clock) - c->opened_wall_us) / 1000));
        return;
    }
    klx_health_advise(&c->last, c->owner->kind, advice);
    klx_log_error("the credential of channels is refused: their messages are kept until somebody "
                  "repairs it",
                  KLX_F_STR("channels", klx_buf_str(&names)),
                  KLX_F_STR("verdict", klx_verdict_name(c->last.class)),
                  KLX_F_STR("reason", c->last.reason), KLX_F_STR("answer", c->last.answer),
                  KLX_F_STR("do", advice), KLX_F_INT("probe_ms", delay_ms));
}

static int64_t wait_for_next_try(struct circuit *c) {
    int64_t delay_ms = klx_backoff_next(&c->probe, c->owner->clock);
    c->not_before_us = c->owner->clock->mono_us(c->owner->clock) + delay_ms * KLX_US_PER_MS;
    return delay_ms;
}

static void on_refused(struct circuit *c, const struct klx_verdict *v, int64_t began_us) {
    struct klx_clock *clock = c->owner->clock;
    if (c->open && began_us < c->opened_us) {
        return; /* it was under way: known already */
    }
    c->last = *v;
    c->trying = NULL;
    int64_t delay_ms = wait_for_next_try(c);
    if (!c->open) {
        c->open = true;
        c->opened_us = clock->mono_us(clock);
        c->opened_wall_us = clock->wall_us(clock);
        say(c, delay_ms);
    }
    tell_all(c);
}

static void on_proof(struct circuit *c) {
    c->open = false;
    c->trying = c->tried_last = NULL;
    klx_backoff_reset(&c->probe);
    say(c, 0);
    tell_all(c);
}

void klx_circuit_judge(struct klx_circuit_member *m, const struct klx_verdict *verdicts, size_t n,
                       int64_t began_us) {
    bool proof = false;
    const struct klx_verdict *refused = NULL;
    for (size_t i = 0; i < n; i++) {
        proof = proof || klx_verdict_is_final(verdicts[i].class);
        refused = verdicts[i].class == KLX_VERDICT_CREDENTIAL_BROKEN ? &verdicts[i] : refused;
    }
    struct circuit *c = m->circuit;
    if (refused != NULL) {
        on_refused(c, refused, began_us);
    } else if (c->open && proof && began_us >= c->opened_us) {
        on_proof(c);
    } else if (c->trying == m) {
        c->trying = NULL;
        wait_for_next_try(c);
        tell_all(c);
    }
}

void klx_circuit_retry_now(struct klx_circuit_member *m) {
    if (klx_circuit_is_open(m)) {
        struct klx_clock *clock = m->circuit->owner->clock;
        m->circuit->not_before_us = clock->mono_us(clock);
        m->circuit->tried_last = NULL;
        m->circuit->trying = m->circuit->trying == m ? NULL : m->circuit->trying;
        tell_all(m->circuit);
    }
}

int64_t klx_circuit_since_us(const struct klx_circuit_member *m) {
    return klx_circuit_is_open(m) ? m->circuit->opened_us : INT64_MAX;
}

const struct klx_verdict *klx_circuit_verdict(const struct klx_circuit_member *m) {
    return &m->circuit->last;
}

void klx_circuit_describe(const struct klx_circuit_member *m, struct klx_buf *out) {
    const struct circuit *c = m->circuit;
    char since[KLX_TIME_TEXT_BYTES];
    klx_time_format(c->opened_wall_us, KLX_TIME_SECONDS, since);
    klx_buf_printf(out, "broken since %s: %s, the credential of ", since, c->last.reason);
    add_names(c, out);
    klx_buf_add_str(out, "; their messages are kept until it is repaired");
}
