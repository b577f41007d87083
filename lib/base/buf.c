#include "lib/base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CAP_MIN 128

void klx_buf_init(struct klx_buf *b, size_t max) {
    *b = (struct klx_buf){ .max = max };
}

void klx_buf_release(struct klx_buf *b) {
    free(b->data);
    *b = (struct klx_buf){ .max = b->max };
}

void klx_buf_wipe(struct klx_buf *b) {
    if (b->data != NULL) {
        explicit_bzero(b->data, b->cap);
    }
    klx_buf_release(b);
}

void klx_buf_reset(struct klx_buf *b) {
    b->len = 0;
    b->failed = false;
    if (b->data != NULL) {
        b->data[0] = '\0';
    }
}

/* Makes room for n more bytes and the NUL; false, and failed, when that would pass the maximum. */
static bool reserve(struct klx_buf *b, size_t n) {
    if (b->failed || n > b->max - b->len) {
        b->failed = true;
        return false;
    }
    size_t need = b->len + n + 1;
    if (need <= b->cap) {
        return true;
    }
    size_t cap = b->cap > 0 ? b->cap : CAP_MIN;
    while (cap < need) {
        cap *= 2;
    }
    if (cap > b->max + 1) {
        cap = b->max + 1;
    }
    char *data = realloc(b->data, cap);
    if (data == NULL) {
        b->failed = true;
        return false;
    }
    b->data = data;
    b->cap = cap;
    return true;
}

void klx_buf_reserve(struct klx_buf *b, size_t n) {
    (void)reserve(b, n);
}

void klx_buf_add(struct klx_buf *b, const void *p, size_t n) {
    if (!reserve(b, n)) {
        return;
    }
    if (n > 0) {
        memcpy(b->data + b->len, p, n);
    }
    b->len += n;
    b->data[b->len] = '\0';
}

void klx_buf_add_sv(struct klx_buf *b, struct klx_sv s) {
    klx_buf_add(b, s.p, s.n);
}

void klx_buf_add_str(struct klx_buf *b, const char *s) {
    klx_buf_add(b, s, strlen(s));
}

void klx_buf_add_char(struct klx_buf *b, char c) {
    klx_buf_add(b, &c, 1);
}

void klx_buf_add_int(struct klx_buf *b, int64_t value) {
    char digits[20];
    size_t at = sizeof(digits);
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (value < 0) {
        digits[--at] = '-';
    }
    klx_buf_add(b, digits + at, sizeof(digits) - at);
}

void klx_buf_printf(struct klx_buf *b, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (n < 0) {
        b->failed = true;
    } else if (reserve(b, (size_t)n)) {
        vsnprintf(b->data + b->len, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
    va_end(again);
}

void klx_buf_consume(struct klx_buf *b, size_t n) {
    if (n == 0) {
        return;
    }
    memmove(b->data, b->data + n, b->len - n + 1);
    b->len -= n;
}

void klx_buf_truncate(struct klx_buf *b, size_t n) {
    if (n < b->len) {
        b->len = n;
        b->data[n] = '\0';
    }
}

int klx_buf_check(const struct klx_buf *b) {
    return b->failed ? -EMSGSIZE : 0;
}
