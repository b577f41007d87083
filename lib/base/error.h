/*
 * What went wrong, in words for a person.
 *
 * A fallible function returns 0 or a negative errno, and may fill its last argument, a struct klx_error that the caller owns
 * (NULL: not wanted). The text says what, where and, where it is not obvious, what to do. The struct is only meaningful after a failure.
 */
#pragma once

#include <errno.h>

#define KLX_MUST_CHECK __attribute__((warn_unused_result))
#define KLX_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

struct klx_error {
    int code; /* negative errno */
    char text[1024];
};

/* Fills *e (when not NULL) and returns `code`, so that a failure is one statement: return klx_fail(e, -EINVAL, "…"). */
int klx_fail(struct klx_error *e, int code, const char *fmt, ...) KLX_PRINTF(3, 4);
/* Puts "context: " before the text that is there; returns e's code (or `code` when e is NULL). */
int klx_fail_in(struct klx_error *e, int code, const char *fmt, ...) KLX_PRINTF(3, 4);
