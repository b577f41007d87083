/*
 * A stretch of time as a person asks for it: [since, until), from words and a time zone to two instants.
 *
 *     TIME  = as klx_time_parse_human; a date without a zone, `today` and `yesterday` are those of the zone
 *     RANGE = since TIME until TIME, or at "TIME:TIME"
 *
 * A plain duration as the second bound is counted from the first one when that is an instant or a date ("2026-03-11 08:00" and "2h": two
 * hours from then), and back from now when the first one is counted from now ("2h" and "1h").
 */
#pragma once

#include <stdint.h>

#include "lib/base/error.h"
#include "lib/base/sv.h"
#include "lib/base/zone.h"

/* KLX_TIME_NONE: that end is open. */
struct klx_span {
    int64_t since_us, until_us;
};

/* NULL: not given. `at` excludes the others. */
struct klx_span_words {
    const char *since, *until, *at;
};

/* zone NULL is UTC. Of a time that the clock shows twice the first one is meant; one that it never shows (it was put forward) is what a clock
   would show that nobody has put forward yet. -EINVAL with the forms. */
int klx_span_time(struct klx_sv text, const struct klx_zone *zone, int64_t now_us, int64_t *ret_us,
                  struct klx_error *e) KLX_MUST_CHECK;
/* -EINVAL with the option ("--since") that is wrong, or when the range ends before it begins. An empty one is no mistake. */
int klx_span_parse(const struct klx_span_words *w, const struct klx_zone *zone, int64_t now_us,
                   struct klx_span *ret, struct klx_error *e) KLX_MUST_CHECK;
/* The zone of a name, of "local" (what $TZ or /etc/localtime says), or of NULL: UTC, which is *ret NULL. */
int klx_span_zone(const char *name, struct klx_zone **ret, struct klx_error *e) KLX_MUST_CHECK;
