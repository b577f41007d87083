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
 * Of sends that are under way together the first failure counts: the others began before it was known. A send that went through in part
 * holds nobody up but its own delivery.
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

/* Between two probes of what is broken. */
#define KLX_PROBE_FLOOR_MS 10000
#define KLX_PROBE_BASE_MS 30000
#define KLX_PROBE_CAP_MS 300000
#define KLX_ADVICE_BYTES 160

/* How one send ended. */
struct klx_health_send {
    const struct klx_verdict *verdicts;
    size_t n;   /* >= 1 */
    bool whole; /* it went to all recipients: if none has a final verdict the channel is dead */
    int64_t began_us; /* monotonic */
    unsigned attempt; /* of its delivery: 1, 2, … */
};

struct klx_health {
    const char *channel, *kind; /* borrowed */
    struct klx_clock *clock;
    enum klx_health_state state;
    struct klx_backoff backoff, probe;
    int64_t not_before_us;  /* ours: backoff or probe */
    int64_t asked_until_us; /* the other side's: Retry-After */
    int64_t failed_us;      /* of the last failure that counted */
    int64_t dead_since_us;  /* nothing at all got a final verdict since; INT64_MAX: something did */
    int64_t since_wall_us;  /* of the state */
    struct klx_verdict last;
};

/* kind: of the sink, "email"; docs/channels/KIND.md is where an operator is sent to. */
void klx_health_init(struct klx_health *h, const char *channel, const char *kind,
                     struct klx_clock *clock);
/* The result is when what is open of the send may be tried again. */
int64_t klx_health_judge(struct klx_health *h, const struct klx_health_send *send);
/* How many sends may be under way at once: one while nothing goes through. */
size_t klx_health_limit(const struct klx_health *h, size_t concurrency);
/* When the channel may be tried, monotonic. */
int64_t klx_health_due_us(const struct klx_health *h);
/* Without our own waiting, but not before the other side asked for. */
void klx_health_retry_now(struct klx_health *h);
/* What somebody should look at: "check its credentials …; docs/channels/slack.md". */
void klx_health_advise(const struct klx_verdict *v, const char *kind,
                       char out[static KLX_ADVICE_BYTES]);
/* Appends "well", "failing since TIME: http_503" or "broken since TIME: no_service (…)". */
void klx_health_describe(const struct klx_health *h, struct klx_buf *out);
