/*
 * Reading JSON over cJSON (which owns the syntax), writing it ourselves (the hot path of the collector).
 *
 * struct klx_json is a cJSON in disguise. While a parse runs, cJSON takes its memory from the caller's arena.
 */
#include "lib/base/json.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/time.h"

const struct klx_json_limits klx_json_limits_default = { .bytes_max = 4u << 20, .depth_max = 32 };

static _Thread_local struct klx_arena *parse_arena;
static _Thread_local bool arena_refused;

static void *arena_malloc(size_t n) {
    if (parse_arena == NULL) {
        return malloc(n);
    }
    void *p = klx_arena_alloc(parse_arena, n);
    arena_refused = arena_refused || p == NULL;
    return p;
}

static void arena_free(void *p) {
    if (parse_arena == NULL) {
        free(p);
    }
}

static void install_hooks(void) {
    cJSON_Hooks hooks = { .malloc_fn = arena_malloc, .free_fn = arena_free };
    cJSON_InitHooks(&hooks);
}

/* One pass that cJSON does not do: nesting, and \u0000, which would end a C string early. */
static int scan(struct klx_sv text, unsigned depth_max, struct klx_error *e) {
    unsigned depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (in_string) {
            if (c == '\\') {
                if (i + 5 < text.n && memcmp(text.p + i, "\\u0000", 6) == 0) {
                    return klx_fail(e, -EINVAL, "JSON: \\u0000 in a string at byte %zu", i);
                }
                i++;
            } else if (c == '"') {
                in_string = false;
            } else if (c == '\0') {
                return klx_fail(e, -EINVAL, "JSON: a NUL at byte %zu", i);
            }
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > depth_max) {
                return klx_fail(e, -EMSGSIZE, "JSON: nested deeper than %u at byte %zu", depth_max,
                                i);
            }
        } else if (c == '}' || c == ']') {
            depth -= depth > 0;
        }
    }
    return 0;
}

int klx_json_parse(struct klx_arena *a, struct klx_sv text, const struct klx_json_limits *limits,
                   const struct klx_json **ret, struct klx_error *e) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, install_hooks);
    limits = limits != NULL ? limits : &klx_json_limits_default;
    if (text.n > limits->bytes_max) {
        return klx_fail(e, -EMSGSIZE, "JSON: %zu bytes, more than the limit of %zu", text.n,
                        limits->bytes_max);
    }
    int rc = scan(text, limits->depth_max, e);
    if (rc != 0) {
        return rc;
    }
    const char *end = NULL;
    size_t left = a->max_bytes - a->used_bytes;
    parse_arena = a;
    arena_refused = false;
    cJSON *root = text.n > 0 ? cJSON_ParseWithLengthOpts(text.p, text.n, &end, false) : NULL;
    parse_arena = NULL;
    if (root == NULL) {
        if (arena_refused) {
            return klx_fail(e, -ENOMEM, "JSON: needs more than the %zu bytes that are left for it",
                            left);
        }
        size_t at = end != NULL ? (size_t)(end - text.p) : 0;
        return klx_fail(e, -EINVAL, "JSON: syntax error at byte %zu", at);
    }
    size_t used = (size_t)(end - text.p);
    struct klx_sv rest = klx_sv_trim(klx_sv_n(text.p + used, text.n - used));
    if (rest.n > 0) {
        return klx_fail(e, -EINVAL, "JSON: something follows the value at byte %zu",
                        text.n - rest.n);
    }
    *ret = (const struct klx_json *)root;
    return 0;
}

static const cJSON *cjson(const struct klx_json *node) {
    return (const cJSON *)node;
}

static bool has_type(const struct klx_json *node, int type) {
    return node != NULL && (cjson(node)->type & 0xFF) == type;
}

const struct klx_json *klx_json_member(const struct klx_json *object, struct klx_sv key) {
    if (!klx_json_is_object(object)) {
        return NULL;
    }
    char first = key.n > 0 ? key.p[0] : '\0';
    for (const cJSON *c = cjson(object)->child; c != NULL; c = c->next) {
        if (c->string[0] == first && strncmp(c->string, key.p, key.n) == 0 &&
            c->string[key.n] == '\0') {
            return (const struct klx_json *)c;
        }
    }
    return NULL;
}

const struct klx_json *klx_json_get(const struct klx_json *node, const char *path) {
    struct klx_sv rest = klx_sv(path);
    while (rest.n > 0 && node != NULL) {
        node = klx_json_member(node, klx_sv_cut(&rest, '.'));
    }
    return node;
}

struct klx_sv klx_json_str(const struct klx_json *node, const char *path) {
    const struct klx_json *n = klx_json_get(node, path);
    return klx_json_is_string(n) ? klx_sv(cjson(n)->valuestring) : klx_sv(NULL);
}

int64_t klx_json_int(const struct klx_json *node, const char *path, int64_t otherwise) {
    const double limit = 9007199254740992.0;
    double v = klx_json_double(node, path, NAN);
    return v >= -limit && v <= limit && v == trunc(v) ? (int64_t)v : otherwise;
}

bool klx_json_bool(const struct klx_json *node, const char *path, bool otherwise) {
    const cJSON *c = cjson(klx_json_get(node, path));
    return cJSON_IsBool(c) ? cJSON_IsTrue(c) != 0 : otherwise;
}

double klx_json_double(const struct klx_json *node, const char *path, double otherwise) {
    const cJSON *c = cjson(klx_json_get(node, path));
    return cJSON_IsNumber(c) ? c->valuedouble : otherwise;
}

bool klx_json_is_object(const struct klx_json *node) {
    return has_type(node, cJSON_Object);
}

bool klx_json_is_array(const struct klx_json *node) {
    return has_type(node, cJSON_Array);
}

bool klx_json_is_string(const struct klx_json *node) {
    return has_type(node, cJSON_String);
}

bool klx_json_is_null(const struct klx_json *node) {
    return cJSON_IsNull(cjson(node));
}

const struct klx_json *klx_json_first(const struct klx_json *node) {
    bool has_children = klx_json_is_object(node) || klx_json_is_array(node);
    return has_children ? (const struct klx_json *)cjson(node)->child : NULL;
}

const struct klx_json *klx_json_next(const struct klx_json *node) {
    return (const struct klx_json *)cjson(node)->next;
}

struct klx_sv klx_json_key(const struct klx_json *node) {
    return klx_sv(cjson(node)->string);
}

void klx_jw_init(struct klx_jw *w, struct klx_buf *out) {
    *w = (struct klx_jw){ .out = out };
}

static void before_value(struct klx_jw *w) {
    if (w->need_comma) {
        klx_buf_add_char(w->out, ',');
    }
    w->need_comma = true;
}

static void begin(struct klx_jw *w, char c) {
    before_value(w);
    klx_buf_add_char(w->out, c);
    w->need_comma = false;
}

static void end(struct klx_jw *w, char c) {
    klx_buf_add_char(w->out, c);
    w->need_comma = true;
}

void klx_jw_begin_object(struct klx_jw *w) {
    begin(w, '{');
}

void klx_jw_end_object(struct klx_jw *w) {
    end(w, '}');
}

void klx_jw_begin_array(struct klx_jw *w) {
    begin(w, '[');
}

void klx_jw_end_array(struct klx_jw *w) {
    end(w, ']');
}

/* The length of the valid UTF-8 sequence at s, 0 when there is none (RFC 3629: no overlong forms, no surrogates). */
static size_t utf8_length(struct klx_sv s) {
    const unsigned char *p = (const unsigned char *)s.p;
    if (p[0] < 0x80) {
        return 1;
    }
    size_t n = p[0] >= 0xF0 ? 4 : p[0] >= 0xE0 ? 3 : 2;
    if (p[0] < 0xC2 || p[0] > 0xF4 || s.n < n) {
        return 0;
    }
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xC0u) != 0x80u) {
            return 0;
        }
    }
    bool bad = (p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] > 0x9F) ||
               (p[0] == 0xF0 && p[1] < 0x90) || (p[0] == 0xF4 && p[1] > 0x8F);
    return bad ? 0 : n;
}

/* The bytes from `from` to `to`; an empty view may have no pointer to count from. */
static void add_run(struct klx_buf *out, struct klx_sv s, size_t from, size_t to) {
    if (to > from) {
        klx_buf_add(out, s.p + from, to - from);
    }
}

void klx_utf8_sanitize(struct klx_buf *out, struct klx_sv s) {
    size_t done = 0, i = 0;
    while (i < s.n) {
        size_t n = utf8_length(klx_sv_n(s.p + i, s.n - i));
        if (n > 0) {
            i += n;
            continue;
        }
        add_run(out, s, done, i);
        klx_buf_add_str(out, "\xEF\xBF\xBD");
        i++;
        done = i;
    }
    add_run(out, s, done, i);
}

static void add_escaped(struct klx_buf *out, unsigned char c) {
    static const char short_forms[] = "btn\0fr"; /* 0x08 … 0x0d */
    if (c == '"' || c == '\\') {
        char two[2] = { '\\', (char)c };
        klx_buf_add(out, two, 2);
    } else if (c >= 0x08 && c <= 0x0d && c != 0x0b) {
        char two[2] = { '\\', short_forms[c - 0x08] };
        klx_buf_add(out, two, 2);
    } else {
        klx_buf_printf(out, "\\u%04x", c);
    }
}

static bool is_plain(unsigned char c) {
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* Runs of plain bytes are appended in one go. */
static void add_string(struct klx_buf *out, struct klx_sv s) {
    klx_buf_add_char(out, '"');
    size_t done = 0, i = 0;
    while (i < s.n) {
        unsigned char c = (unsigned char)s.p[i];
        size_t n = is_plain(c) ? 1 : c < 0x80 ? 0 : utf8_length(klx_sv_n(s.p + i, s.n - i));
        if (n > 0) {
            i += n;
            continue;
        }
        add_run(out, s, done, i);
        if (c == 0 || c >= 0x80) { /* a NUL would be \\u0000, which reading refuses */
            klx_buf_add_str(out, "\xEF\xBF\xBD");
        } else {
            add_escaped(out, c);
        }
        i++;
        done = i;
    }
    add_run(out, s, done, i);
    klx_buf_add_char(out, '"');
}

void klx_jw_key_sv(struct klx_jw *w, struct klx_sv key) {
    before_value(w);
    add_string(w->out, key);
    klx_buf_add_char(w->out, ':');
    w->need_comma = false;
}

void klx_jw_key(struct klx_jw *w, const char *key) {
    before_value(w);
    klx_buf_add_char(w->out, '"');
    klx_buf_add_str(w->out, key);
    klx_buf_add(w->out, "\":", 2);
    w->need_comma = false;
}

void klx_jw_sv(struct klx_jw *w, struct klx_sv value) {
    before_value(w);
    add_string(w->out, value);
}

void klx_jw_str(struct klx_jw *w, const char *value) {
    klx_jw_sv(w, klx_sv(value));
}

void klx_jw_int(struct klx_jw *w, int64_t value) {
    before_value(w);
    klx_buf_add_int(w->out, value);
}

void klx_jw_double(struct klx_jw *w, double value) {
    before_value(w);
    if (isfinite(value)) {
        klx_buf_printf(w->out, "%.17g", value);
    } else {
        klx_buf_add_str(w->out, "null");
    }
}

void klx_jw_bool(struct klx_jw *w, bool value) {
    before_value(w);
    klx_buf_add_str(w->out, value ? "true" : "false");
}

void klx_jw_null(struct klx_jw *w) {
    before_value(w);
    klx_buf_add_str(w->out, "null");
}

void klx_jw_time(struct klx_jw *w, int64_t us) {
    if (us == KLX_TIME_NONE) {
        klx_jw_null(w);
        return;
    }
    char text[KLX_TIME_TEXT_BYTES];
    size_t n = klx_time_format(us, KLX_TIME_MICROS, text);
    klx_jw_sv(w, klx_sv_n(text, n));
}

static void write_number(struct klx_jw *w, double v) {
    if (v == trunc(v) && fabs(v) < 9007199254740992.0) {
        klx_jw_int(w, (int64_t)v);
    } else {
        klx_jw_double(w, v);
    }
}

void klx_jw_node(struct klx_jw *w, const struct klx_json *node) {
    const cJSON *c = cjson(node);
    if (klx_json_is_object(node) || klx_json_is_array(node)) {
        bool object = klx_json_is_object(node);
        begin(w, object ? '{' : '[');
        for (const struct klx_json *m = klx_json_first(node); m != NULL; m = klx_json_next(m)) {
            if (object) {
                klx_jw_key_sv(w, klx_json_key(m));
            }
            klx_jw_node(w, m);
        }
        end(w, object ? '}' : ']');
    } else if (cJSON_IsString(c)) {
        klx_jw_str(w, c->valuestring);
    } else if (cJSON_IsNumber(c)) {
        write_number(w, c->valuedouble);
    } else if (cJSON_IsBool(c)) {
        klx_jw_bool(w, cJSON_IsTrue(c) != 0);
    } else {
        klx_jw_null(w);
    }
}

void klx_jw_raw(struct klx_jw *w, struct klx_sv json) {
    before_value(w);
    klx_buf_add_sv(w->out, json);
}

void klx_jw_member_sv(struct klx_jw *w, const char *key, struct klx_sv value) {
    klx_jw_key(w, key);
    klx_jw_sv(w, value);
}

void klx_jw_member_str(struct klx_jw *w, const char *key, const char *value) {
    klx_jw_member_sv(w, key, klx_sv(value));
}

void klx_jw_member_int(struct klx_jw *w, const char *key, int64_t value) {
    klx_jw_key(w, key);
    klx_jw_int(w, value);
}

void klx_jw_member_bool(struct klx_jw *w, const char *key, bool value) {
    klx_jw_key(w, key);
    klx_jw_bool(w, value);
}

void klx_jw_member_time(struct klx_jw *w, const char *key, int64_t us) {
    klx_jw_key(w, key);
    klx_jw_time(w, us);
}

void klx_jw_member_sv_opt(struct klx_jw *w, const char *key, struct klx_sv value) {
    if (value.n > 0) {
        klx_jw_member_sv(w, key, value);
    }
}

void klx_jw_member_sv_null(struct klx_jw *w, const char *key, struct klx_sv value) {
    klx_jw_key(w, key);
    if (value.n > 0) {
        klx_jw_sv(w, value);
    } else {
        klx_jw_null(w);
    }
}
