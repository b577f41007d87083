#include "tests/unit/support/schema_change.h"

#include <stdio.h>

#include "lib/base/cleanup.h"

#define PATH_BYTES 256

static void compare(const char *path, const struct klx_json *old, const struct klx_json *new,
                    struct klx_buf *out);

static void text_of(const struct klx_json *node, struct klx_buf *out) {
    struct klx_jw w;
    klx_buf_init(out, 1 << 20);
    klx_jw_init(&w, out);
    if (node != NULL) {
        klx_jw_node(&w, node);
    }
}

static bool same(const struct klx_json *a, const struct klx_json *b) {
    struct klx_buf left KLX_CLEANUP(klx_buf_release), right KLX_CLEANUP(klx_buf_release);
    text_of(a, &left);
    text_of(b, &right);
    return klx_sv_eq(klx_buf_sv(&left), klx_buf_sv(&right));
}

static bool holds(const struct klx_json *list, struct klx_sv word) {
    const struct klx_json *v = klx_json_first(list);
    while (v != NULL && !klx_sv_eq(klx_json_str(v, ""), word)) {
        v = klx_json_next(v);
    }
    return v != NULL;
}

static void say(struct klx_buf *out, const char *path, const char *what) {
    klx_buf_printf(out, "%s: %s\n", path[0] != '\0' ? path : "the data", what);
}

static void join(char out[PATH_BYTES], const char *path, struct klx_sv name) {
    snprintf(out, PATH_BYTES, "%.150s%s%.*s", path, path[0] != '\0' ? "." : "", KLX_SV_FMT(name));
}

static void compare_words(const char *path, const struct klx_json *old, const struct klx_json *new,
                          struct klx_buf *out) {
    if ((old == NULL) != (new == NULL)) {
        say(out, path, "is a list of words in one of them only");
        return;
    }
    for (const struct klx_json *v = klx_json_first(old); v != NULL; v = klx_json_next(v)) {
        if (!holds(new, klx_json_str(v, ""))) {
            klx_buf_printf(out, "%s: the word %.*s is gone\n", path,
                           KLX_SV_FMT(klx_json_str(v, "")));
        }
    }
}

static void compare_members(const char *path, const struct klx_json *old,
                            const struct klx_json *new, struct klx_buf *out) {
    const struct klx_json *there = klx_json_get(new, "properties");
    const struct klx_json *m = klx_json_first(klx_json_get(old, "properties"));
    for (; m != NULL; m = klx_json_next(m)) {
        char at[PATH_BYTES];
        const struct klx_json *now = klx_json_member(there, klx_json_key(m));
        join(at, path, klx_json_key(m));
        if (now == NULL) {
            say(out, at, "is gone");
        } else {
            compare(at, m, now, out);
        }
    }
}

static void compare_required(const char *path, const struct klx_json *a, const struct klx_json *b,
                             const char *what, struct klx_buf *out) {
    const struct klx_json *others = klx_json_get(b, "required");
    const struct klx_json *v = klx_json_first(klx_json_get(a, "required"));
    for (; v != NULL; v = klx_json_next(v)) {
        if (!holds(others, klx_json_str(v, ""))) {
            char at[PATH_BYTES];
            join(at, path, klx_json_str(v, ""));
            say(out, at, what);
        }
    }
}

/* Every other keyword is told by its name: whoever adds one decides here what its change means. */
static void compare_rest(const char *path, const struct klx_json *old, const struct klx_json *new,
                         struct klx_buf *out) {
    static const char *const rest[] = { "type",    "format",  "const",  "additionalProperties",
                                        "minimum", "maximum", "pattern" };
    for (size_t i = 0; i < KLX_COUNT(rest); i++) {
        if (!same(klx_json_get(old, rest[i]), klx_json_get(new, rest[i]))) {
            klx_buf_printf(out, "%s: its %s is another\n", path[0] != '\0' ? path : "the data",
                           rest[i]);
        }
    }
}

static void compare(const char *path, const struct klx_json *old, const struct klx_json *new,
                    struct klx_buf *out) {
    const struct klx_json *items = klx_json_get(old, "items");
    compare_rest(path, old, new, out);
    compare_words(path, klx_json_get(old, "enum"), klx_json_get(new, "enum"), out);
    compare_members(path, old, new, out);
    compare_required(path, old, new, "is not always there any more", out);
    compare_required(path, new, old, "is always there from now on, but was not before", out);
    if (items != NULL) {
        char at[PATH_BYTES];
        snprintf(at, sizeof(at), "%.200s[]", path);
        compare(at, items, klx_json_get(new, "items"), out);
    }
}

void test_schema_breaks(const struct klx_json *old, const struct klx_json *new,
                        struct klx_buf *out) {
    compare("", old, new, out);
}
