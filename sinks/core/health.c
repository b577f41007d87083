#include "sinks/core/health.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/log.h"
#include "lib/base/time.h"

#define BACKOFF_FLOOR_MS 100
#define BACKOFF_BASE_MS 1000
#define BACKOFF_CAP_MS 60000

void klx_health_init(struct klx_health *h, const char *channel, const char *kind,
                     struct klx_clock *clock) {
    *h = (struct klx_health){ .channel = channel,
                              .kind = kind,
                              .clock = clock,
                              .failed_us = INT64_MIN,
                              .dead_since_us = INT64_MAX,
                              .since_wall_us = clock->wall_us(clock) };
    klx_backoff_init(&h->backoff, BACKOFF_FLOOR_MS, BACKOFF_BASE_MS, BACKOFF_CAP_MS);
    klx_backoff_init(&h->probe, KLX_PROBE_FLOOR_MS, KLX_PROBE_BASE_MS, KLX_PROBE_CAP_MS);
}

/* The verdicts of one send, added up. */
struct sum {
    bool final;                       /* some verdict is */
    const struct klx_verdict *broken; /* some verdict says so */
    const struct klx_verdict *open;   /* some recipient has to be tried again */
    int64_t retry_after_ms;           /* the longest that was asked for */
};

static struct sum add_up(const struct klx_verdict *verdicts, size_t n) {
    struct sum s = { 0 };
    for (size_t i = 0; i < n; i++) {
        const struct klx_verdict *v = &verdicts[i];
        if (klx_verdict_is_final(v->class)) {
            s.final = true;
            continue;
        }
        s.open = v;
        if (v->class == KLX_VERDICT_DESTINATION_BROKEN ||
            v->class == KLX_VERDICT_CREDENTIAL_BROKEN) {
            s.broken = v;
        }
        if (v->class == KLX_VERDICT_RETRY_AFTER && v->retry_after_ms > s.retry_after_ms) {
            s.retry_after_ms = v->retry_after_ms;
        }
    }
    return s;
}

static enum klx_health_state next_state(const struct klx_health *h, const struct sum *s,
                                        bool late) {
    if (s->broken != NULL || (h->state == KLX_HEALTH_BROKEN && (!s->final || late))) {
        return KLX_HEALTH_BROKEN;
    }
    return s->open != NULL ? KLX_HEALTH_FAILING : KLX_HEALTH_WELL;
}

void klx_health_advise(const struct klx_verdict *v, const char *kind,
                       char out[static KLX_ADVICE_BYTES]) {
    const char *what = "check its address (server, sender, webhook), and that it still exists";
    if (strcmp(v->reason, "tls") == 0 || strcmp(v->reason, "ca_file") == 0) {
        what = "check the server's certificate, and ca_file (or this machine's authorities)";
    } else if (v->class == KLX_VERDICT_CREDENTIAL_BROKEN) {
        what = "check its credentials (user, password, token)";
    }
    snprintf(out, KLX_ADVICE_BYTES, "%s; docs/channels/%s.md", what, kind);
}

static void say(const struct klx_health *h, enum klx_health_state before, int64_t delay_ms) {
    char advice[KLX_ADVICE_BYTES];
    if (h->state == KLX_HEALTH_BROKEN) {
        klx_health_advise(&h->last, h->kind, advice);
        klx_log_error("the channel is broken: its messages are kept until somebody repairs it",
                      KLX_F_STR("channel", h->channel),
                      KLX_F_STR("verdict", klx_verdict_name(h->last.class)),
                      KLX_F_STR("reason", h->last.reason), KLX_F_STR("answer", h->last.answer),
                      KLX_F_STR("do", advice), KLX_F_INT("probe_ms", delay_ms));
    } else if (h->state == KLX_HEALTH_FAILING) {
        klx_log_warn(before == KLX_HEALTH_BROKEN
                         ? "the channel is repaired, but not all of the message went through, "
                           "trying again"
                         : "a message did not go through, trying again",
                     KLX_F_STR("channel", h->channel),
                     KLX_F_STR("verdict", klx_verdict_name(h->last.class)),
                     KLX_F_STR("reason", h->last.reason), KLX_F_STR("answer", h->last.answer),
                     KLX_F_INT("retry_ms", delay_ms));
    } else {
        int64_t for_us = h->clock->wall_us(h->clock) - h->since_wall_us;
        klx_log_info(before == KLX_HEALTH_BROKEN
                         ? "the channel works again, its messages go out now"
                         : "messages go through again",
                     KLX_F_STR("channel", h->channel), KLX_F_INT("after_ms", for_us / 1000));
    }
}

/* Of one delivery, when the channel as such is well. */
static int64_t own_delay_ms(const struct klx_health *h, const struct sum *s, unsigned attempt) {
    struct klx_backoff b = h->backoff;
    b.attempt = attempt > 0 ? attempt - 1 : 0;
    return klx_backoff_next_after(&b, h->clock, s->retry_after_ms);
}

/* The delay before the next try; also what the log says. */
static int64_t next_delay_ms(struct klx_health *h, const struct sum *s, unsigned attempt) {
    if (h->state == KLX_HEALTH_BROKEN) {
        return klx_backoff_next_after(&h->probe, h->clock, s->retry_after_ms);
    }
    klx_backoff_reset(&h->probe);
    if (s->open != NULL && !s->final) {
        return klx_backoff_next_after(&h->backoff, h->clock, s->retry_after_ms);
    }
    klx_backoff_reset(&h->backoff);
    return s->open != NULL ? own_delay_ms(h, s, attempt) : 0;
}

static void note_life(struct klx_health *h, const struct sum *s, bool whole, int64_t now_us) {
    if (s->final) {
        h->dead_since_us = INT64_MAX;
    } else if (whole && h->dead_since_us == INT64_MAX) {
        h->dead_since_us = now_us;
    }
    /* While the circuit is open its reason stays: "not now" of a probe is no news. */
    if (s->broken != NULL || (s->open != NULL && h->state == KLX_HEALTH_FAILING)) {
        h->last = s->broken != NULL ? *s->broken : *s->open;
    }
}

int64_t klx_health_judge(struct klx_health *h, const struct klx_health_send *send) {
    int64_t now_us = h->clock->mono_us(h->clock), delay_ms = 0;
    struct sum s = add_up(send->verdicts, send->n);
    bool late = send->began_us < h->failed_us;
    enum klx_health_state before = h->state;
    h->state = next_state(h, &s, late);
    note_life(h, &s, send->whole, now_us);
    if (late && h->state == before && before != KLX_HEALTH_WELL) {
        delay_ms = own_delay_ms(h, &s, send->attempt);
    } else {
        delay_ms = next_delay_ms(h, &s, send->attempt);
        if (!s.final || h->state == KLX_HEALTH_BROKEN) {
            h->failed_us = now_us;
            h->not_before_us = now_us + delay_ms * KLX_US_PER_MS;
        }
    }
    if (s.final && h->state != KLX_HEALTH_BROKEN) {
        h->not_before_us = now_us;
    }
    int64_t asked_us = now_us + s.retry_after_ms * KLX_US_PER_MS;
    if (s.retry_after_ms > 0 && (!late || asked_us > h->asked_until_us)) {
        h->asked_until_us = asked_us;
    }
    if (h->state != before) {
        say(h, before, delay_ms);
        h->since_wall_us = h->clock->wall_us(h->clock);
    }
    return now_us + delay_ms * KLX_US_PER_MS;
}

size_t klx_health_limit(const struct klx_health *h, size_t concurrency) {
    bool dead = h->state == KLX_HEALTH_BROKEN || h->dead_since_us != INT64_MAX;
    return dead ? 1 : concurrency;
}

int64_t klx_health_due_us(const struct klx_health *h) {
    return h->not_before_us > h->asked_until_us ? h->not_before_us : h->asked_until_us;
}

void klx_health_retry_now(struct klx_health *h) {
    h->not_before_us = h->clock->mono_us(h->clock);
}

void klx_health_describe(const struct klx_health *h, struct klx_buf *out) {
    static const char *const names[] = { "well", "failing", "broken" };
    char since[KLX_TIME_TEXT_BYTES];
    klx_buf_add_str(out, names[h->state]);
    if (h->state == KLX_HEALTH_WELL) {
        return;
    }
    klx_time_format(h->since_wall_us, KLX_TIME_SECONDS, since);
    klx_buf_printf(out, " since %s: %s", since, h->last.reason);
    if (h->state == KLX_HEALTH_BROKEN) {
        klx_buf_add_str(out, "; its messages are kept until it is repaired");
    }
}
