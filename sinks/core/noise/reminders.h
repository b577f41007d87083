/*
 * What time alone makes due of an incident: late news, a reminder, an escalation, its being forgotten.
 *
 *     news         somebody was not told because of a silence or quiet hours, and they are over while the incident is open
 *     reminder     `repeat` after the last message, while it is open and nobody has acknowledged it
 *     escalation   `escalate.after` after the first event, likewise, on a channel that was not told so far
 *     forget       KLX_INCIDENT_KEEP_US after the end, or when nothing was heard of it for KLX_INCIDENT_STALE_US
 *
 * Quiet hours hold up the first three (`critical: pass` lets them through). Pure: a function of state, rules and time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/time.h"
#include "sinks/core/noise/hours.h"
#include "sinks/core/noise/incidents.h"

/* After the end, what comes late is still known to be old; and a collector repeats nothing after a day. */
#define KLX_INCIDENT_KEEP_US (3600 * KLX_US_PER_S)
#define KLX_INCIDENT_STALE_US (30 * 86400 * KLX_US_PER_S)

enum klx_due {
    KLX_DUE_NOTHING,
    KLX_DUE_NEWS,
    KLX_DUE_REMINDER,
    KLX_DUE_ESCALATION,
    KLX_DUE_FORGET,
};

/* Of the subscription; all zero: none. */
struct klx_reminder_rules {
    int64_t repeat_us; /* 0: never */
    int64_t escalate_after_us;
    bool acknowledged;
    const struct klx_hours *quiet;
};

/* What comes next, and when (INT64_MAX: nothing). It is due when *ret_at_us <= now_us. */
enum klx_due klx_reminders_next(const struct klx_incident *i, const struct klx_reminder_rules *r,
                                int64_t now_us, int64_t *ret_at_us);
