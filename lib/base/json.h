/*
 * JSON: reading with limits, and writing.
 *
 * Reading: klx_json_parse builds a tree in an arena; the tree is freed with the arena and borrows nothing else. Depth and size are
 * limited; after the value only white space may follow. Strings are decoded; bytes that are not UTF-8 are kept as they came and are
 * replaced by U+FFFD when written. An embedded \u0000 is refused. Access is by path and typed: a missing or mistyped value reads as
 * "not there", so code that reads a foreign object needs no checks on the way.
 *
 * Writing: klx_jw appends to a klx_buf, commas and escapes are its work; output is always valid UTF-8 on one line, and can be read again:
 * a NUL in a string becomes U+FFFD.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/error.h"
#include "lib/base/sv.h"

struct klx_json; /* a node of a tree */

struct klx_json_limits {
    size_t bytes_max;
    unsigned depth_max; /* at most 64 */
};

/* 4 MiB and 32 levels: what a Kubernetes object may need. */
extern const struct klx_json_limits klx_json_limits_default;

/* -EMSGSIZE (bytes or depth), -EINVAL (with the byte offset in the text), -ENOMEM (arena full). limits NULL = default. */
int klx_json_parse(struct klx_arena *a, struct klx_sv text, const struct klx_json_limits *limits,
                   const struct klx_json **ret, struct klx_error *e) KLX_MUST_CHECK;

/* Paths are "metadata.name"; "" is the node itself. A node of NULL is allowed everywhere and reads as "not there".
   A key that holds a dot is reached by klx_json_member. */
const struct klx_json *klx_json_get(const struct klx_json *node, const char *path);
const struct klx_json *klx_json_member(const struct klx_json *object, struct klx_sv key);
struct klx_sv klx_json_str(const struct klx_json *node,
                           const char *path); /* empty when not a string */
int64_t klx_json_int(const struct klx_json *node, const char *path,
                     int64_t otherwise); /* a whole number within ±2^53 */
bool klx_json_bool(const struct klx_json *node, const char *path, bool otherwise);
double klx_json_double(const struct klx_json *node, const char *path, double otherwise);
bool klx_json_is_object(const struct klx_json *node);
bool klx_json_is_array(const struct klx_json *node);
bool klx_json_is_string(const struct klx_json *node);
bool klx_json_is_null(const struct klx_json *node);

/* Children in order, of an object or array; NULL ends. for (c = klx_json_first(n); c; c = klx_json_next(c)) */
const struct klx_json *klx_json_first(const struct klx_json *node);
const struct klx_json *klx_json_next(const struct klx_json *node);
struct klx_sv klx_json_key(const struct klx_json *node); /* of a member of an object */

struct klx_jw {
    struct klx_buf *out;
    bool need_comma;
};

void klx_jw_init(struct klx_jw *w, struct klx_buf *out);
void klx_jw_begin_object(struct klx_jw *w);
void klx_jw_end_object(struct klx_jw *w);
void klx_jw_begin_array(struct klx_jw *w);
void klx_jw_end_array(struct klx_jw *w);
void klx_jw_key(struct klx_jw *w, const char *key); /* a literal that needs no escape */
void klx_jw_key_sv(struct klx_jw *w, struct klx_sv key);
void klx_jw_sv(struct klx_jw *w, struct klx_sv value);
void klx_jw_str(struct klx_jw *w, const char *value);
void klx_jw_int(struct klx_jw *w, int64_t value);
void klx_jw_double(struct klx_jw *w, double value); /* not finite: null */
void klx_jw_bool(struct klx_jw *w, bool value);
void klx_jw_null(struct klx_jw *w);
/* An instant as RFC 3339 with microseconds; KLX_TIME_NONE: null. */
void klx_jw_time(struct klx_jw *w, int64_t us);
/* A whole tree again. */
void klx_jw_node(struct klx_jw *w, const struct klx_json *node);
/* Text that is JSON already, trusted. */
void klx_jw_raw(struct klx_jw *w, struct klx_sv json);

/* Members, the common case: key and value in one call. */
void klx_jw_member_sv(struct klx_jw *w, const char *key, struct klx_sv value);
void klx_jw_member_str(struct klx_jw *w, const char *key, const char *value);
void klx_jw_member_int(struct klx_jw *w, const char *key, int64_t value);
void klx_jw_member_bool(struct klx_jw *w, const char *key, bool value);
void klx_jw_member_time(struct klx_jw *w, const char *key, int64_t us);
/* Writes nothing when the value is empty; writes null then. */
void klx_jw_member_sv_opt(struct klx_jw *w, const char *key, struct klx_sv value);
void klx_jw_member_sv_null(struct klx_jw *w, const char *key, struct klx_sv value);

/* Appends s as valid UTF-8: each byte that is not part of a sequence becomes U+FFFD. */
void klx_utf8_sanitize(struct klx_buf *out, struct klx_sv s);
