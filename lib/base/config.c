/*
 * YAML over libyaml's document API. The document's nodes are copied into our own tree, which keeps the path and place of each.
 */
#include "lib/base/config.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/cleanup.h"
#include "lib/base/hash.h"
#include "lib/base/mem.h"
#include "lib/base/secret.h"
#include "lib/base/time.h"

#define FILE_BYTES_MAX (1u << 20)
#define TREE_BYTES_MAX (64u << 20)
#define DEPTH_MAX 32u

struct klx_config_node {
    struct klx_config *config;
    enum klx_config_type type;
    unsigned line, column; /* from 1 */
    struct klx_sv key; /* of a member of a map; its place is the error's place for unknown keys */
    unsigned key_line, key_column;
    struct klx_sv scalar;
    bool quoted;
    unsigned index; /* in a list */
    const struct klx_config_node *parent;
    struct klx_config_node *first, *next;
};

struct klx_config {
    char *file;
    uint64_t hash; /* of its text */
    struct klx_arena arena;
    struct klx_config_node *root;
};

static const char *const type_words[] = { "a single value", "a list", "a map" };

enum klx_config_type klx_config_type(const struct klx_config_node *n) {
    return n->type;
}

const struct klx_config_node *klx_config_root(const struct klx_config *c) {
    return c->root;
}

const struct klx_config_node *klx_config_first(const struct klx_config_node *n) {
    return n->first;
}

const struct klx_config_node *klx_config_next(const struct klx_config_node *n) {
    return n->next;
}

struct klx_sv klx_config_key(const struct klx_config_node *n) {
    return n->key;
}

struct klx_sv klx_config_scalar(const struct klx_config_node *n) {
    return n->type == KLX_CONFIG_SCALAR ? n->scalar : klx_sv(NULL);
}

const char *klx_config_file(const struct klx_config_node *n) {
    return n->config->file;
}

unsigned klx_config_line(const struct klx_config_node *n) {
    return n->key_line != 0 ? n->key_line : n->line;
}

const struct klx_config_node *klx_config_get(const struct klx_config_node *map, const char *key) {
    for (const struct klx_config_node *c = map->first; c != NULL; c = c->next) {
        if (map->type == KLX_CONFIG_MAP && klx_sv_eq(c->key, klx_sv(key))) {
            return c;
        }
    }
    return NULL;
}

static void add_path(struct klx_buf *b, const struct klx_config_node *n) {
    if (n->parent == NULL) {
        return;
    }
    add_path(b, n->parent);
    if (n->parent->type == KLX_CONFIG_LIST) {
        klx_buf_printf(b, "[%u]", n->index);
    } else {
        klx_buf_printf(b, "%s%.*s", b->len > 0 ? "." : "", KLX_SV_FMT(n->key));
    }
}

static int fail_at(const struct klx_config_node *at, unsigned line, unsigned column,
                   struct klx_error *e, const char *fmt, va_list args) {
    struct klx_buf path KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&path, 512);
    add_path(&path, at);
    char words[512];
    vsnprintf(words, sizeof(words), fmt, args);
    return klx_fail(e, -EINVAL, "%s:%u:%u: %s%s%s", at->config->file, line, column,
                    klx_buf_str(&path), path.len > 0 ? ": " : "", words);
}

int klx_config_fail(const struct klx_config_node *at, struct klx_error *e, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    int rc = fail_at(at, at->line, at->column, e, fmt, args);
    va_end(args);
    return rc;
}

int klx_config_fail_key(const struct klx_config_node *member, struct klx_error *e, const char *fmt,
                        ...) {
    va_list args;
    va_start(args, fmt);
    int rc = fail_at(member->parent, member->key_line, member->key_column, e, fmt, args);
    va_end(args);
    return rc;
}

struct builder {
    struct klx_config *config;
    yaml_document_t *doc;
    struct klx_error *e;
};

static struct klx_config_node *build(struct builder *b, int id,
                                     const struct klx_config_node *parent, unsigned depth);

static struct klx_config_node *new_node(struct klx_config *c, const yaml_node_t *y,
                                        const struct klx_config_node *parent) {
    struct klx_config_node *n = klx_arena_alloc(&c->arena, sizeof(*n));
    if (n != NULL) {
        *n = (struct klx_config_node){ .config = c,
                                       .parent = parent,
                                       .line = (unsigned)y->start_mark.line + 1,
                                       .column = (unsigned)y->start_mark.column + 1 };
    }
    return n;
}

static void append(struct klx_config_node *parent, struct klx_config_node **tail,
                   struct klx_config_node *child) {
    if (*tail != NULL) {
        (*tail)->next = child;
    } else {
        parent->first = child;
    }
    *tail = child;
}

static int build_list(struct builder *b, const yaml_node_t *y, struct klx_config_node *n,
                      unsigned depth) {
    struct klx_config_node *tail = NULL;
    n->type = KLX_CONFIG_LIST;
    unsigned index = 0;
    for (yaml_node_item_t *i = y->data.sequence.items.start; i < y->data.sequence.items.top; i++) {
        struct klx_config_node *child = build(b, *i, n, depth + 1);
        if (child == NULL) {
            return -EINVAL;
        }
        child->index = index++;
        append(n, &tail, child);
    }
    return 0;
}

static int build_map(struct builder *b, const yaml_node_t *y, struct klx_config_node *n,
                     unsigned depth) {
    struct klx_config_node *tail = NULL;
    n->type = KLX_CONFIG_MAP;
    for (yaml_node_pair_t *p = y->data.mapping.pairs.start; p < y->data.mapping.pairs.top; p++) {
        struct klx_config_node *key = build(b, p->key, n, depth + 1);
        if (key == NULL) {
            return -EINVAL;
        }
        if (key->type != KLX_CONFIG_SCALAR) {
            return klx_config_fail(n, b->e, "a key must be a single word");
        }
        char name[256];
        snprintf(name, sizeof(name), "%.*s", KLX_SV_FMT(key->scalar));
        const struct klx_config_node *before = klx_config_get(n, name);
        if (before != NULL) {
            return klx_config_fail(n, b->e, "\"%s\" is written twice, in lines %u and %u", name,
                                   before->key_line, key->line);
        }
        if (klx_sv_eq(key->scalar, KLX_SV("<<"))) {
            return klx_config_fail(n, b->e,
                                   "merge keys (<<) are not supported: write the values out");
        }
        struct klx_config_node *value = build(b, p->value, n, depth + 1);
        if (value == NULL) {
            return -EINVAL;
        }
        value->key = key->scalar;
        value->key_line = key->line;
        value->key_column = key->column;
        append(n, &tail, value);
    }
    return 0;
}

static struct klx_config_node *build(struct builder *b, int id,
                                     const struct klx_config_node *parent, unsigned depth) {
    const yaml_node_t *y = yaml_document_get_node(b->doc, id);
    struct klx_config_node *n = new_node(b->config, y, parent);
    if (n == NULL) {
        klx_fail(b->e, -EMSGSIZE, "%s: the document is too large", b->config->file);
        return NULL;
    }
    int rc = 0;
    if (depth > DEPTH_MAX) {
        rc = klx_config_fail(
            n, b->e, "nested deeper than %u levels (or an alias that contains itself)", DEPTH_MAX);
    } else if (y->type == YAML_SCALAR_NODE) {
        n->scalar = klx_arena_dup(
            &b->config->arena, klx_sv_n((const char *)y->data.scalar.value, y->data.scalar.length));
        n->quoted = y->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
        if (memchr(n->scalar.p, '\0', n->scalar.n) != NULL) {
            rc = klx_config_fail(n, b->e, "the value holds a NUL character");
        }
    } else if (y->type == YAML_SEQUENCE_NODE) {
        rc = build_list(b, y, n, depth);
    } else {
        rc = build_map(b, y, n, depth);
    }
    return rc == 0 ? n : NULL;
}

/* Of what is no text libyaml says the offset alone. */
static yaml_mark_t mark_of(struct klx_sv text, size_t offset) {
    yaml_mark_t mark = { 0 };
    for (size_t i = 0; i < offset && i < text.n; i++) {
        bool begins = ((unsigned char)text.p[i] & 0xc0u) != 0x80u; /* a character */
        mark.line += text.p[i] == '\n';
        mark.column = text.p[i] == '\n' ? 0 : mark.column + begins;
    }
    return mark;
}

static int syntax_error(const yaml_parser_t *p, struct klx_sv text, const char *file,
                        struct klx_error *e) {
    yaml_mark_t at =
        p->error == YAML_READER_ERROR ? mark_of(text, p->problem_offset) : p->problem_mark;
    return klx_fail(e, -EINVAL, "%s:%zu:%zu: %s", file, at.line + 1, at.column + 1,
                    p->problem != NULL ? p->problem : "not YAML");
}

static int depth_change(const yaml_event_t *event) {
    return event->type == YAML_SEQUENCE_START_EVENT || event->type == YAML_MAPPING_START_EVENT ? 1
           : event->type == YAML_SEQUENCE_END_EVENT || event->type == YAML_MAPPING_END_EVENT   ? -1
                                                                                               : 0;
}

/* Aliases make one value stand in two places, and expand without bound; libyaml's time grows with the square of the depth: both are
   refused while the text is scanned. */
static int refuse_while_scanning(struct klx_sv text, const char *file, struct klx_error *e) {
    yaml_parser_t p;
    yaml_parser_initialize(&p);
    yaml_parser_set_input_string(&p, (const unsigned char *)text.p, text.n);
    int rc = 0;
    bool more = true;
    unsigned documents = 0;
    int depth = 0;
    while (rc == 0 && more) {
        yaml_event_t event;
        if (!yaml_parser_parse(&p, &event)) {
            rc = syntax_error(&p, text, file, e);
            break;
        }
        documents += event.type == YAML_DOCUMENT_START_EVENT;
        depth += depth_change(&event);
        const yaml_char_t *tag =
            event.type == YAML_SCALAR_EVENT           ? event.data.scalar.tag
            : event.type == YAML_MAPPING_START_EVENT  ? event.data.mapping_start.tag
            : event.type == YAML_SEQUENCE_START_EVENT ? event.data.sequence_start.tag
                                                      : NULL;
        const char *problem = event.type == YAML_ALIAS_EVENT
                                  ? "aliases (*name) are not supported: write the value out"
                              : tag != NULL            ? "tags (!name) are not supported"
                              : depth > (int)DEPTH_MAX ? "nested too deep: 32 levels are the most"
                              : documents > 1 ? "one file holds one document: remove the \"---\""
                                              : NULL;
        if (problem != NULL) {
            rc = klx_fail(e, -EINVAL, "%s:%zu:%zu: %s", file, event.start_mark.line + 1,
                          event.start_mark.column + 1, problem);
        }
        more = event.type != YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&p);
    return rc;
}

static int build_document(struct klx_config *c, yaml_document_t *doc, struct klx_error *e) {
    yaml_node_t *root = yaml_document_get_root_node(doc);
    if (root == NULL) {
        yaml_node_t nothing = { 0 };
        c->root = new_node(c, &nothing, NULL);
        c->root->type = KLX_CONFIG_MAP;
        return 0;
    }
    struct builder b = { .config = c, .doc = doc, .e = e };
    c->root = build(&b, 1, NULL, 0);
    return c->root != NULL ? 0 : -EINVAL;
}

int klx_config_parse(struct klx_sv text, const char *file, struct klx_config **ret,
                     struct klx_error *e) {
    int rc = refuse_while_scanning(text, file, e);
    if (rc != 0) {
        return rc;
    }
    yaml_parser_t p;
    yaml_document_t doc;
    yaml_parser_initialize(&p);
    yaml_parser_set_input_string(&p, (const unsigned char *)text.p, text.n);
    if (!yaml_parser_load(&p, &doc)) {
        rc = syntax_error(&p, text, file, e);
        yaml_parser_delete(&p);
        return rc;
    }
    struct klx_config *c = klx_alloc(struct klx_config);
    c->file = klx_strdup(file);
    c->hash = klx_hash_seeded(text, 0);
    klx_arena_init(&c->arena, 16384, TREE_BYTES_MAX);
    rc = build_document(c, &doc, e);
    yaml_document_delete(&doc);
    yaml_parser_delete(&p);
    if (rc != 0) {
        klx_config_free(c);
        return rc;
    }
    *ret = c;
    return 0;
}

static int read_whole(const char *file, struct klx_buf *text, struct klx_error *e) {
    FILE *f = fopen(file, "rbe");
    if (f == NULL) {
        return klx_fail(e, -errno, "cannot read %s: %s", file, strerror(errno));
    }
    char chunk[16384];
    size_t n = 0;
    do {
        n = fread(chunk, 1, sizeof(chunk), f);
        klx_buf_add(text, chunk, n);
    } while (n > 0 && !text->failed);
    int rc = ferror(f)
                 ? klx_fail(e, -EIO, "cannot read %s: it is a folder or the disk failed", file)
                 : 0;
    fclose(f);
    if (rc == 0 && text->failed) {
        rc = klx_fail(e, -EMSGSIZE, "%s is larger than 1 MiB", file);
    }
    return rc;
}

int klx_config_load(const char *file, struct klx_config **ret, struct klx_error *e) {
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&text, FILE_BYTES_MAX);
    int rc = read_whole(file, &text, e);
    return rc != 0 ? rc : klx_config_parse(klx_sv_n(klx_buf_str(&text), text.len), file, ret, e);
}

uint64_t klx_config_hash(const struct klx_config *c) {
    return c->hash;
}

void klx_config_free(struct klx_config *c) {
    if (c != NULL) {
        klx_arena_release(&c->arena);
        free(c->file);
        free(c);
    }
}

bool klx_config_is_null(const struct klx_config_node *n) {
    return n->type == KLX_CONFIG_SCALAR && !n->quoted &&
           (n->scalar.n == 0 || klx_sv_eq(n->scalar, KLX_SV("~")) ||
            klx_sv_eq(n->scalar, KLX_SV("null")));
}

bool klx_config_equal(const struct klx_config_node *a, const struct klx_config_node *b) {
    if (a == NULL || b == NULL || a->type != b->type) {
        return a == b;
    }
    if (!klx_sv_eq(klx_config_scalar(a), klx_config_scalar(b)) ||
        klx_config_is_null(a) != klx_config_is_null(b)) {
        return false;
    }
    const struct klx_config_node *x = klx_config_first(a), *y = klx_config_first(b);
    while (x != NULL && y != NULL && klx_sv_eq(klx_config_key(x), klx_config_key(y)) &&
           klx_config_equal(x, y)) {
        x = klx_config_next(x);
        y = klx_config_next(y);
    }
    return x == NULL && y == NULL;
}

static int parse_bytes(struct klx_sv text, int64_t *ret) {
    static const struct {
        const char *suffix;
        int64_t factor;
    } units[] = { { "KiB", 1 << 10 }, { "MiB", 1 << 20 }, { "GiB", 1 << 30 },
                  { "k", 1000 },      { "M", 1000000 },   { "", 1 } };
    for (size_t i = 0; i < KLX_COUNT(units); i++) {
        struct klx_sv suffix = klx_sv(units[i].suffix);
        if (klx_sv_ends(text, suffix)) {
            int rc = klx_sv_int(klx_sv_n(text.p, text.n - suffix.n), ret);
            return rc != 0 ? rc : __builtin_mul_overflow(*ret, units[i].factor, ret) ? -ERANGE : 0;
        }
    }
    return -EINVAL;
}

/* A number, duration or size. Returns what was expected when it is not one, or NULL. */
static const char *parse_quantity(enum klx_config_kind kind, struct klx_sv text, int64_t *ret) {
    if (kind == KLX_CFG_DURATION) {
        return klx_duration_parse(text, ret) == 0 ? NULL : "a duration such as 30s";
    }
    if (kind == KLX_CFG_BYTES) {
        return parse_bytes(text, ret) == 0 ? NULL : "a size such as 4MiB";
    }
    return klx_sv_int(text, ret) == 0 ? NULL : "a whole number";
}

/* A bound as it would be written: 3600000 of a duration is 1h. */
static void bound_words(enum klx_config_kind kind, int64_t value, char out[static 32]) {
    static const struct {
        int64_t ms;
        const char *unit;
    } units[] = { { 86400000, "d" }, { 3600000, "h" }, { 60000, "m" }, { 1000, "s" }, { 1, "ms" } };
    size_t i = 0;
    if (kind != KLX_CFG_DURATION) {
        snprintf(out, 32, "%lld", (long long)value);
        return;
    }
    while (value % units[i].ms != 0) {
        i++;
    }
    i = value == 0 ? 3 : i;
    snprintf(out, 32, "%lld%s", (long long)(value / units[i].ms), units[i].unit);
}

static int bind_quantity(const struct klx_config_node *n, const struct klx_config_field *f,
                         void *at, struct klx_error *e) {
    int64_t value = 0;
    const char *expected = parse_quantity(f->kind, n->scalar, &value);
    if (expected != NULL) {
        return klx_config_fail(n, e, "expected %s, found \"%.*s\"", expected,
                               KLX_SV_FMT(n->scalar));
    }
    if ((f->min != 0 || f->max != 0) && (value < f->min || value > f->max)) {
        char min[32], max[32];
        bound_words(f->kind, f->min, min);
        bound_words(f->kind, f->max, max);
        return klx_config_fail(n, e, "%.*s is not between %s and %s", KLX_SV_FMT(n->scalar), min,
                               max);
    }
    *(int64_t *)at = value;
    return 0;
}

static int bind_bool(const struct klx_config_node *n, bool *at, struct klx_error *e) {
    bool yes = klx_sv_eq(n->scalar, KLX_SV("true"));
    if (!yes && !klx_sv_eq(n->scalar, KLX_SV("false"))) {
        return klx_config_fail(n, e, "expected true or false, found \"%.*s\"",
                               KLX_SV_FMT(n->scalar));
    }
    *at = yes;
    return 0;
}

static int bind_strings(const struct klx_config_node *n, struct klx_config_strings *at,
                        struct klx_error *e) {
    size_t count = 0;
    const struct klx_config_node *first = n->type == KLX_CONFIG_LIST ? n->first : n;
    for (const struct klx_config_node *c = first; c != NULL;
         c = n->type == KLX_CONFIG_LIST ? c->next : NULL) {
        if (c->type != KLX_CONFIG_SCALAR) {
            return klx_config_fail(c, e, "expected a text, found %s", type_words[c->type]);
        }
        count++;
    }
    at->items = klx_alloc_n(struct klx_sv, count);
    for (const struct klx_config_node *c = first; at->n < count; c = c->next) {
        at->items[at->n++] = klx_sv_n(klx_sv_dup(c->scalar), c->scalar.n);
    }
    return 0;
}

static int bind_secret(const struct klx_config_node *n, struct klx_secret **at,
                       struct klx_error *e) {
    if (n->type != KLX_CONFIG_MAP) {
        return klx_config_fail(n, e,
                               "a secret is not written into the configuration: put it into a file "
                               "and write {file: /path}");
    }
    const struct klx_config_node *only = n->first;
    bool file = only != NULL && klx_sv_eq(only->key, KLX_SV("file"));
    bool env = only != NULL && klx_sv_eq(only->key, KLX_SV("env"));
    if (only == NULL || only->next != NULL || only->type != KLX_CONFIG_SCALAR ||
        only->scalar.n == 0 || (!file && !env)) {
        return klx_config_fail(n, e, "expected {file: /path} or {env: NAME}");
    }
    *at = file ? klx_secret_from_file(only->scalar) : klx_secret_from_env(only->scalar);
    return 0;
}

static int bind_field(const struct klx_config_node *n, const struct klx_config_field *f,
                      void *target, struct klx_error *e) {
    void *at = (char *)target + f->offset;
    bool wants_scalar =
        f->kind != KLX_CFG_NODE && f->kind != KLX_CFG_SECRET && f->kind != KLX_CFG_STR_LIST;
    if (wants_scalar && n->type != KLX_CONFIG_SCALAR) {
        return klx_config_fail(n, e, "expected a single value, found %s", type_words[n->type]);
    }
    switch (f->kind) {
    case KLX_CFG_STR:
        *(char **)at = klx_sv_dup(n->scalar);
        return 0;
    case KLX_CFG_STR_LIST:
        return n->type == KLX_CONFIG_MAP
                   ? klx_config_fail(n, e, "expected a text or a list of texts, found a map")
                   : bind_strings(n, at, e);
    case KLX_CFG_BOOL:
        return bind_bool(n, at, e);
    case KLX_CFG_SECRET:
        return bind_secret(n, at, e);
    case KLX_CFG_FILE:
        if (n->scalar.n == 0) {
            return klx_config_fail(n, e, "expected the path of a file");
        }
        *(struct klx_secret **)at = klx_secret_from_file(n->scalar);
        return 0;
    case KLX_CFG_NODE:
        *(const struct klx_config_node **)at = n;
        return 0;
    case KLX_CFG_INT:
    case KLX_CFG_DURATION:
    case KLX_CFG_BYTES:
        break;
    }
    return bind_quantity(n, f, at, e);
}

static int bind_default(const struct klx_config_node *map, const struct klx_config_field *f,
                        void *target, struct klx_error *e) {
    struct klx_config_node n = *map;
    n.type = KLX_CONFIG_SCALAR;
    n.scalar = klx_sv(f->otherwise);
    n.first = NULL;
    return bind_field(&n, f, target, e);
}

static size_t field_count(const struct klx_config_field *fields) {
    size_t n = 0;
    while (fields[n].key != NULL) {
        n++;
    }
    return n;
}

struct reporter {
    klx_config_report_fn report;
    void *arg;
    size_t mistakes;
};

static void report(struct reporter *r, const struct klx_error *e) {
    r->mistakes++;
    r->report(r->arg, e->text);
}

static void refuse_unknown(const struct klx_config_node *map, const struct klx_config_field *fields,
                           struct reporter *r) {
    size_t n = field_count(fields);
    const char **names = (const char **)klx_alloc_n(char *, n);
    for (size_t i = 0; i < n; i++) {
        names[i] = fields[i].key;
    }
    for (const struct klx_config_node *c = map->first; c != NULL; c = c->next) {
        bool known = false;
        for (size_t i = 0; i < n; i++) {
            known = known || klx_sv_eq(c->key, klx_sv(names[i]));
        }
        if (!known) {
            struct klx_error e;
            klx_config_fail_key(c, &e, "unknown key \"%.*s\"%s", KLX_SV_FMT(c->key),
                                klx_config_hint(c->key, names, n).text);
            report(r, &e);
        }
    }
    free(names);
}

static int bind_or_default(const struct klx_config_node *map, const struct klx_config_field *f,
                           void *target, struct klx_error *e) {
    const struct klx_config_node *value = klx_config_get(map, f->key);
    if (value != NULL && (f->kind == KLX_CFG_NODE || !klx_config_is_null(value))) {
        return bind_field(value, f, target, e);
    }
    if (f->required) {
        return klx_config_fail(map, e, "\"%s\" is missing%s%s", f->key, f->help != NULL ? ": " : "",
                               f->help != NULL ? f->help : "");
    }
    return f->otherwise != NULL ? bind_default(map, f, target, e) : 0;
}

size_t klx_config_bind_all(const struct klx_config_node *n, const struct klx_config_field *fields,
                           void *target, klx_config_report_fn report_fn, void *arg) {
    struct reporter r = { .report = report_fn, .arg = arg };
    struct klx_error e;
    if (n->type != KLX_CONFIG_MAP && !klx_config_is_null(n)) {
        klx_config_fail(n, &e, "expected a map, found %s", type_words[n->type]);
        report(&r, &e);
        return r.mistakes;
    }
    refuse_unknown(n, fields, &r);
    for (const struct klx_config_field *f = fields; f->key != NULL; f++) {
        if (bind_or_default(n, f, target, &e) != 0) {
            report(&r, &e);
        }
    }
    return r.mistakes;
}

struct first {
    struct klx_error *e;
    bool filled;
};

static void keep_first(void *arg, const char *text) {
    struct first *first = arg;
    if (!first->filled) {
        klx_fail(first->e, -EINVAL, "%s", text);
        first->filled = true;
    }
}

int klx_config_bind(const struct klx_config_node *n, const struct klx_config_field *fields,
                    void *target, struct klx_error *e) {
    struct first first = { .e = e };
    if (klx_config_bind_all(n, fields, target, keep_first, &first) == 0) {
        return 0;
    }
    klx_config_unbind(fields, target);
    return -EINVAL;
}

void klx_config_unbind(const struct klx_config_field *fields, void *target) {
    for (const struct klx_config_field *f = fields; f->key != NULL; f++) {
        void *at = (char *)target + f->offset;
        if (f->kind == KLX_CFG_STR) {
            free(*(char **)at);
            *(char **)at = NULL;
        } else if (f->kind == KLX_CFG_SECRET || f->kind == KLX_CFG_FILE) {
            klx_secret_free(*(struct klx_secret **)at);
            *(struct klx_secret **)at = NULL;
        } else if (f->kind == KLX_CFG_STR_LIST) {
            struct klx_config_strings *list = at;
            for (size_t i = 0; i < list->n; i++) {
                free((char *)list->items[i].p);
            }
            free(list->items);
            *list = (struct klx_config_strings){ 0 };
        }
    }
}
