#include "lib/base/sv.h"

#include <errno.h>

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

bool klx_sv_eq(struct klx_sv a, struct klx_sv b) {
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool klx_sv_eq_nocase(struct klx_sv a, struct klx_sv b) {
    if (a.n != b.n) {
        return false;
    }
    for (size_t i = 0; i < a.n; i++) {
        if (lower(a.p[i]) != lower(b.p[i])) {
            return false;
        }
    }
    return true;
}

bool klx_sv_starts(struct klx_sv s, struct klx_sv prefix) {
    return s.n >= prefix.n && klx_sv_eq(klx_sv_n(s.p, prefix.n), prefix);
}

bool klx_sv_ends(struct klx_sv s, struct klx_sv suffix) {
    return s.n >= suffix.n &&
           (suffix.n == 0 || memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0);
}

int klx_sv_cmp(struct klx_sv a, struct klx_sv b) {
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n > 0 ? memcmp(a.p, b.p, n) : 0;
    if (order != 0) {
        return order;
    }
    return (a.n > b.n) - (a.n < b.n);
}

size_t klx_sv_find(struct klx_sv s, char c) {
    const char *at = s.n > 0 ? memchr(s.p, c, s.n) : NULL;
    return at != NULL ? (size_t)(at - s.p) : s.n;
}

size_t klx_sv_find_sv(struct klx_sv s, struct klx_sv needle) {
    if (needle.n == 0) {
        return 0;
    }
    const char *at = s.n > 0 ? memmem(s.p, s.n, needle.p, needle.n) : NULL;
    return at != NULL ? (size_t)(at - s.p) : s.n;
}

static bool is_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

struct klx_sv klx_sv_trim(struct klx_sv s) {
    while (s.n > 0 && is_space(s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && is_space(s.p[s.n - 1])) {
        s.n--;
    }
    return s;
}

struct klx_sv klx_sv_cut(struct klx_sv *rest, char sep) {
    size_t at = klx_sv_find(*rest, sep);
    struct klx_sv head = klx_sv_n(rest->p, at);
    size_t skip = at < rest->n ? at + 1 : at;
    if (rest->p != NULL) {
        rest->p += skip;
    }
    rest->n -= skip;
    return head;
}

int klx_sv_int(struct klx_sv s, int64_t *ret) {
    bool negative = s.n > 0 && s.p[0] == '-';
    size_t i = negative ? 1 : 0;
    if (i >= s.n) {
        return -EINVAL;
    }
    int64_t value = 0;
    for (; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9') {
            return -EINVAL;
        }
        int digit = s.p[i] - '0';
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, negative ? -digit : digit, &value)) {
            return -ERANGE;
        }
    }
    *ret = value;
    return 0;
}

struct klx_sv klx_sv_utf8_prefix(struct klx_sv s, size_t n) {
    if (s.n <= n) {
        return s;
    }
    while (n > 0 && ((unsigned char)s.p[n] & 0xC0u) == 0x80u) {
        n--;
    }
    return klx_sv_n(s.p, n);
}
