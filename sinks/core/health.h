/*
 * How a channel fares: when it may be tried again, and what an operator hears of it.
 *
 *               all final                     some not final                       all final
 *     WELL ◀──────────────── FAILING ◀────────────────────────────── WELL     WELL ◀─────────── BROKEN
 *                               │   backoff with full jitter, 0 … 60 s                   some final: FAILING
 *                               │   or as long as the other side asked                       ▲
 *                               └──────────────▶ BROKEN: the circuit is open ─────────────────┘
 *                  DESTINATION_ or CREDENTIAL_BROKEN: probes every 10 s to 5 min, messages kept
 *
 * A probe that is answered with "not now" says nothing about the repair: the circuit stays open until a verdict is final. Each change is
 * logged once, with what happens next. Embedded by value, owns nothing; times are monotonic unless they are shown.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/backoff.h"
#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "sinks/core/sink.h"

enum klx_health_state { KLX_HEALTH_WELL, KLX_HEALTH_FAILING, KLX_HEALTH_BROKEN };

struct klx_health {
    const char *channel, *kind; /* borrowed */
    struct klx_clock *clock;
    enum klx_health_state state;
    struct klx_backoff backoff, probe;
    int64_t not_before_us;  /* ours: backoff or probe */
    int64_t asked_until_us; /* the other side's: Retry-After */
    int64_t dead_since_us;  /* nothing at all got a final verdict since; INT64_MAX: something did */
    int64_t since_wall_us;  /* of the state */
    struct klx_verdict last;
};

/* kind: of the sink, "email"; docs/channels/KIND.md is where an operator is sent to. */
void klx_health_init(struct klx_health *h, const char *channel, const char *kind,
                     struct klx_clock *clock);
/* What one send brought. n >= 1; whole: it went to all recipients, so if none has a final verdict the channel is dead. */
void klx_health_judge(struct klx_health *h, const struct klx_verdict *verdicts, size_t n,
                      bool whole);
/* When the channel may be tried, monotonic. */
int64_t klx_health_due_us(const struct klx_health *h);
/* Without our own waiting, but not before the other side asked for. */
void klx_health_retry_now(struct klx_health *h);
/* Appends "well", "failing since TIME: http_503" or "broken since TIME: no_service (…)". */
void klx_health_describe(const struct klx_health *h, struct klx_buf *out);
