#include "collector/detectors/generic/object_values.h"

#include "collector/redact.h"
#include "lib/base/cleanup.h"
#include "lib/base/hash.h"

#define BLANK "***"
#define STRING_BYTES_MAX 400        /* longer ones are cut, and so the value */
#define SHOWN_BYTES_MAX 240         /* of what is cut */
#define SAFE_BYTES_MAX 16384        /* looked at before it is cut */
#define WHOLE_BYTES_MAX (32u << 20) /* for its digest: as large as a frame may be, escaped */
#define KEY_BYTES_MAX 512

struct value {
    struct klx_arena *arena;
    struct klx_sv field_key; /* the last one of the path */
    struct klx_jw safe, whole;
    const struct klx_json *only; /* the last node */
    bool cut;
};

/* "password: x" would be redacted, and so is what stands under such a key. */
static bool is_secret(struct klx_arena *a, struct klx_sv key) {
    struct klx_sv text = KLX_CONCAT(a, klx_sv_utf8_prefix(key, KEY_BYTES_MAX), KLX_SV("=x"));
    return key.n > 0 && !klx_sv_eq(klx_redact(a, text, KEY_BYTES_MAX + 2), text);
}

static bool is_bookkeeping(struct klx_sv key) {
    return klx_sv_eq(key, KLX_SV("managedFields")) ||
           klx_sv_find_sv(key, KLX_SV("last-applied-configuration")) < key.n;
}

static void write_safe(struct value *v, const struct klx_json *node, struct klx_sv key);

/* { name: DB_PASSWORD, value: … } */
static void write_object(struct value *v, const struct klx_json *node) {
    struct klx_sv name = klx_json_str(klx_json_member(node, KLX_SV("name")), "");
    klx_jw_begin_object(&v->safe);
    for (const struct klx_json *m = klx_json_first(node); m != NULL; m = klx_json_next(m)) {
        struct klx_sv key = klx_json_key(m);
        if (!is_bookkeeping(key)) {
            klx_jw_key_sv(&v->safe, key);
            write_safe(v, m, klx_sv_eq(key, KLX_SV("value")) ? name : key);
        }
    }
    klx_jw_end_object(&v->safe);
}

static void write_string(struct value *v, struct klx_sv text) {
    v->cut = v->cut || text.n > STRING_BYTES_MAX;
    klx_jw_sv(&v->safe, klx_redact(v->arena, text, STRING_BYTES_MAX + 1));
}

/* Not deeper than JSON is read. */
static void write_safe(struct value *v, const struct klx_json *node, struct klx_sv key) {
    if (v->safe.out->failed) {
        return; /* it is cut in any case */
    }
    if (is_secret(v->arena, key)) {
        klx_jw_str(&v->safe, BLANK);
    } else if (klx_json_is_object(node)) {
        write_object(v, node);
    } else if (klx_json_is_array(node)) {
        klx_jw_begin_array(&v->safe);
        for (const struct klx_json *m = klx_json_first(node); m != NULL; m = klx_json_next(m)) {
            write_safe(v, m, klx_sv(NULL));
        }
        klx_jw_end_array(&v->safe);
    } else if (klx_json_is_string(node)) {
        write_string(v, klx_json_str(node, ""));
    } else {
        klx_jw_node(&v->safe, node);
    }
}

static void take_node(void *arg, const struct klx_json *node) {
    struct value *v = arg;
    struct klx_sv key = klx_json_key(node);
    v->only = node;
    write_safe(v, node, key.n > 0 ? key : v->field_key);
}

static void take_whole(void *arg, const struct klx_json *node) {
    struct value *v = arg;
    klx_jw_node(&v->whole, node);
}

/* Of the whole value, as its beginning says nothing about its end. */
static void write_cut(struct value *v, const struct klx_generic_field *f,
                      const struct klx_json *object, struct klx_jw *w) {
    struct klx_buf whole KLX_CLEANUP(klx_buf_release);
    char digest[KLX_HASH_TEXT_BYTES];
    bool many = klx_json_path_is_many(f->path);
    klx_buf_init(&whole, WHOLE_BYTES_MAX);
    klx_jw_init(&v->whole, &whole);
    klx_json_path_each(f->path, object, take_whole, v);
    const struct klx_sv parts[] = { klx_buf_sv(&whole) };
    klx_hash_parts(parts, 1, digest);
    struct klx_sv shown =
        !many && klx_json_is_string(v->only) ? klx_json_str(v->only, "") : klx_buf_sv(v->safe.out);
    klx_jw_begin_object(w);
    klx_jw_member_sv(w, "truncated", klx_redact(v->arena, shown, SHOWN_BYTES_MAX));
    klx_jw_member_int(w, "bytes", (int64_t)whole.len);
    klx_jw_member_str(w, "digest", digest);
    klx_jw_end_object(w);
}

static void write_field(struct klx_arena *a, const struct klx_generic_field *f,
                        const struct klx_json *object, struct klx_jw *w) {
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    struct value v = { .arena = a, .field_key = klx_json_path_last_key(f->path) };
    bool many = klx_json_path_is_many(f->path);
    klx_buf_init(&text, SAFE_BYTES_MAX);
    klx_jw_init(&v.safe, &text);
    if (many) {
        klx_jw_begin_array(&v.safe);
    }
    klx_json_path_each(f->path, object, take_node, &v);
    if (many) {
        klx_jw_end_array(&v.safe);
    }
    klx_jw_key_sv(w, klx_sv(f->text));
    if (v.cut || text.failed || text.len > KLX_OBJECT_VALUE_BYTES_MAX) {
        write_cut(&v, f, object, w);
    } else if (v.only == NULL && !many) {
        klx_jw_null(w);
    } else {
        klx_jw_raw(w, klx_buf_sv(&text));
    }
}

void klx_object_values_write(struct klx_arena *a, const struct klx_generic *g,
                             const struct klx_json *object, struct klx_buf *out) {
    struct klx_jw w;
    klx_jw_init(&w, out);
    klx_jw_begin_object(&w);
    for (size_t i = 0; i < g->fields_n; i++) {
        write_field(a, &g->fields[i], object, &w);
    }
    klx_jw_end_object(&w);
}

bool klx_object_value_is_cut(const struct klx_json *value) {
    return klx_json_is_string(klx_json_member(value, KLX_SV("truncated"))) &&
           klx_json_is_string(klx_json_member(value, KLX_SV("digest")));
}
