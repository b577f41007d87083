/*
 * A growable byte buffer with a mandatory maximum.
 *
 * Once an addition would pass the maximum (or memory is out) nothing is added, the buffer is *failed* and stays so until
 * klx_buf_reset: a sequence of additions needs one check, at its end. The content is always followed by a NUL that does not count.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/error.h"
#include "lib/base/sv.h"

struct klx_buf {
    char *data; /* NULL while nothing was ever added */
    size_t len;
    size_t cap;
    size_t max;
    bool failed;
};

void klx_buf_init(struct klx_buf *b, size_t max);
void klx_buf_release(struct klx_buf *b); /* also for KLX_CLEANUP */
void klx_buf_wipe(struct klx_buf *b);    /* the same, and zeroes what is freed: it held a secret */
/* Room for n more bytes at once; fails as an addition of n bytes would. */
void klx_buf_reserve(struct klx_buf *b, size_t n);
/* Empty again, memory kept. */
void klx_buf_reset(struct klx_buf *b);
void klx_buf_add(struct klx_buf *b, const void *p, size_t n);
void klx_buf_add_sv(struct klx_buf *b, struct klx_sv s);
void klx_buf_add_str(struct klx_buf *b, const char *s);
void klx_buf_add_char(struct klx_buf *b, char c);
void klx_buf_add_int(struct klx_buf *b, int64_t value);
void klx_buf_printf(struct klx_buf *b, const char *fmt, ...) KLX_PRINTF(2, 3);
/* Drops the first n bytes (n <= len). */
void klx_buf_consume(struct klx_buf *b, size_t n);
/* Cuts the length to n (n <= len). */
void klx_buf_truncate(struct klx_buf *b, size_t n);
/* 0, or -EMSGSIZE when the buffer is failed. */
int klx_buf_check(const struct klx_buf *b) KLX_MUST_CHECK;

static inline struct klx_sv klx_buf_sv(const struct klx_buf *b) {
    return klx_sv_n(b->data, b->len);
}
/* The content as a C string; "" when empty. */
static inline const char *klx_buf_str(const struct klx_buf *b) {
    return b->data ? b->data : "";
}
