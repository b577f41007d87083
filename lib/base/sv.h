/*
 * String views: a pointer and a length, borrowed, not NUL-terminated.
 *
 * A view owns nothing and lives as long as what it looks at. The empty view has n == 0; its p may be NULL.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct klx_sv {
    const char *p;
    size_t n;
};

#define KLX_SV(literal) ((struct klx_sv){ "" literal "", sizeof(literal) - 1 })
/* printf("%.*s", KLX_SV_FMT(sv)) */
#define KLX_SV_FMT(sv) (int)(sv).n, (sv).p ? (sv).p : ""

/* A view of a C string; NULL gives the empty view. */
static inline struct klx_sv klx_sv(const char *s) {
    return (struct klx_sv){ s, s ? strlen(s) : 0 };
}

static inline struct klx_sv klx_sv_n(const char *p, size_t n) {
    return (struct klx_sv){ p, n };
}

bool klx_sv_eq(struct klx_sv a, struct klx_sv b);
bool klx_sv_eq_nocase(struct klx_sv a, struct klx_sv b); /* ASCII only */
bool klx_sv_starts(struct klx_sv s, struct klx_sv prefix);
bool klx_sv_ends(struct klx_sv s, struct klx_sv suffix);
/* Less than, equal to or greater than zero, as memcmp, a shorter prefix first. */
int klx_sv_cmp(struct klx_sv a, struct klx_sv b);
/* Index of the first `c`, or s.n. */
size_t klx_sv_find(struct klx_sv s, char c);
/* Index of the first `needle`, or s.n. */
size_t klx_sv_find_sv(struct klx_sv s, struct klx_sv needle);
/* Without leading and trailing ASCII white space. */
struct klx_sv klx_sv_trim(struct klx_sv s);
/* Cuts what stands before the first `sep` off *rest and returns it; all of *rest (left empty) when there is none. */
struct klx_sv klx_sv_cut(struct klx_sv *rest, char sep);
/* The whole view as a decimal number. 0, or -EINVAL, or -ERANGE. */
int klx_sv_int(struct klx_sv s, int64_t *ret) __attribute__((warn_unused_result));
/* The longest prefix of at most n bytes that does not cut a UTF-8 sequence. */
struct klx_sv klx_sv_utf8_prefix(struct klx_sv s, size_t n);
