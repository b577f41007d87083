/*
 * RFC 3339 times and durations.
 *
 * An instant is an int64_t of microseconds since the Unix epoch, UTC. KLX_TIME_NONE stands for "no time given".
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "lib/base/error.h"
#include "lib/base/sv.h"

#define KLX_TIME_NONE INT64_MIN
#define KLX_US_PER_MS INT64_C(1000)
#define KLX_US_PER_S INT64_C(1000000)
#define KLX_TIME_TEXT_BYTES 40

enum klx_time_digits { KLX_TIME_SECONDS = 0, KLX_TIME_MILLIS = 3, KLX_TIME_MICROS = 6 };

/* Accepts any number of fraction digits (cut after six), an offset or Z, 'T' or a space, leap second 60. 0 or -EINVAL. */
int klx_time_parse(struct klx_sv text, int64_t *ret_us) KLX_MUST_CHECK;
/* "2026-03-11T07:52:18.316045Z"; returns the length. Years 0001 to 9999, else "0001-01-01T00:00:00Z"-like clamping. */
size_t klx_time_format(int64_t us, enum klx_time_digits digits,
                       char out[static KLX_TIME_TEXT_BYTES]);

/* Days since 1970-01-01 of a date of the Gregorian calendar, and back. */
int64_t klx_days_from_date(int64_t y, int64_t m, int64_t d);
void klx_date_from_days(int64_t days, int *ret_y, int *ret_m, int *ret_d);

/* Prometheus style: ms s m h d w y, joinable, "1d12h"; "0" alone is allowed. 0, -EINVAL or -ERANGE. Result in milliseconds. */
int klx_duration_parse(struct klx_sv text, int64_t *ret_ms) KLX_MUST_CHECK;
/* For people: "4 s", "10 min", "2 h 5 min", "3 d 4 h"; returns the length. */
size_t klx_duration_words(int64_t ms, char out[static KLX_TIME_TEXT_BYTES]);

/* What a person types for an instant (docs: facts of the command line): RFC 3339, YYYY-MM-DD[ HH:MM[:SS]] (UTC), 10 digits (s),
   13 digits (ms), now, today, yesterday, now-DUR, DUR or -DUR (that long ago). 0 or -EINVAL with a text that lists the forms. */
int klx_time_parse_human(struct klx_sv text, int64_t now_us, int64_t *ret_us,
                         struct klx_error *e) KLX_MUST_CHECK;
