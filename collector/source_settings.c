#include "collector/source_settings.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/hash.h"
#include "lib/base/mem.h"
#include "lib/base/url.h"

#define NAMESPACE_BYTES_MAX 63
#define SELECTOR_BYTES_MAX 1024
#define SELECTORS_BYTES_MAX 16384 /* both, encoded, and the namespaces left out */
#define DIGEST_BYTES 8
#define EVERY_MIN_MS 1000
#define EVERY_MAX_MS (60 * 60 * 1000)
#define TIMEOUT_MAX_MS (5 * 60 * 1000)

static const struct klx_source_ops *const all_sources[] = {
#define KLX_SOURCE(name) &klx_source_##name,
#include "collector/sources/list.def"
#undef KLX_SOURCE
};

/* clang-format off */
#define SELECTION_FIELDS                                                                           \
    { .key = "namespaces",                                                                         \
      .kind = KLX_CFG_STR_LIST,                                                                    \
      .offset = offsetof(struct klx_source_settings, namespaces),                                  \
      .help =                                                                                      \
          "only these, one watch each: rights in them are enough; left out: the whole cluster" },  \
    { .key = "exclude_namespaces",                                                                 \
      .kind = KLX_CFG_STR_LIST,                                                                    \
      .offset = offsetof(struct klx_source_settings, exclude_namespaces),                          \
      .help = "the whole cluster but these" },                                                     \
    { .key = "label_selector",                                                                     \
      .kind = KLX_CFG_STR,                                                                         \
      .offset = offsetof(struct klx_source_settings, label_selector),                              \
      .help = "as kubectl has it, for example tier=backend,env!=test" },                           \
    { .key = "field_selector",                                                                     \
      .kind = KLX_CFG_STR,                                                                         \
      .offset = offsetof(struct klx_source_settings, field_selector),                              \
      .help = "as kubectl has it, for example involvedObject.kind=Node" }

#define INTERVAL_FIELDS                                                                            \
    { .key = "every",                                                                              \
      .kind = KLX_CFG_DURATION,                                                                    \
      .offset = offsetof(struct klx_source_settings, every_ms),                                    \
      .otherwise = "30s",                                                                          \
      .min = EVERY_MIN_MS,                                                                         \
      .max = EVERY_MAX_MS,                                                                         \
      .help = "it is asked for so often" },                                                        \
    { .key = "timeout",                                                                            \
      .kind = KLX_CFG_DURATION,                                                                    \
      .offset = offsetof(struct klx_source_settings, timeout_ms),                                  \
      .otherwise = "10s",                                                                          \
      .min = EVERY_MIN_MS,                                                                         \
      .max = TIMEOUT_MAX_MS,                                                                       \
      .help = "an answer that takes longer is given up" }
/* clang-format on */

static const struct klx_config_field all_fields[] = { SELECTION_FIELDS, { .key = NULL } };

static const struct klx_config_field generic_fields[] = {
    { .key = "group",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct klx_source_settings, generic_settings.group),
      .help = "of the API, for example apps; left out: the core group" },
    { .key = "version",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct klx_source_settings, generic_settings.version),
      .required = true,
      .help = "of the API, for example v1" },
    { .key = "resource",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct klx_source_settings, generic_settings.resource),
      .required = true,
      .help = "its plural, for example deployments; not secrets" },
    { .key = "name",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct klx_source_settings, generic_settings.name),
      .help = "what this watch is called; left out: resource.group" },
    { .key = "fields",
      .kind = KLX_CFG_STR_LIST,
      .offset = offsetof(struct klx_source_settings, generic_settings.fields),
      .required = true,
      .help = "what is followed of an object, for example "
              "[spec.replicas, \"status.conditions[type=Available].status\"]" },
    SELECTION_FIELDS,
    { .key = NULL },
};

static const struct klx_config_field list_fields[] = { SELECTION_FIELDS,
                                                       INTERVAL_FIELDS,
                                                       { .key = NULL } };

static const struct klx_config_field scrape_fields[] = {
    INTERVAL_FIELDS,
    { .key = "endpoints",
      .kind = KLX_CFG_NODE,
      .offset = offsetof(struct klx_source_settings, endpoints_at),
      .required = true,
      .help = "what is scraped" },
    { .key = NULL },
};

static const struct klx_config_field *fields_of(const struct klx_source_ops *ops) {
    return ops->items          ? generic_fields
           : ops->endpoints    ? scrape_fields
           : ops->poll != NULL ? list_fields
                               : all_fields;
}

const struct klx_config_field *klx_source_fields(const struct klx_source_ops *ops) {
    const struct klx_config_field *f = fields_of(ops);
    while (!ops->items && !ops->endpoints && ops->namespaced_path == NULL &&
           klx_sv_ends(klx_sv(f->key), KLX_SV("namespaces"))) {
        f++; /* these two stand first */
    }
    return f;
}

/* A label of DNS, as the API server wants a namespace. */
bool klx_source_is_namespace(struct klx_sv s) {
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool edge = i == 0 || i + 1 == s.n;
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c == '-' && !edge))) {
            return false;
        }
    }
    return s.n > 0 && s.n <= NAMESPACE_BYTES_MAX;
}

struct binder {
    const struct klx_config_node *at; /* the source */
    klx_config_report_fn report;
    void *arg;
};

static void mistake(const struct binder *b, const struct klx_error *e) {
    b->report(b->arg, e->text);
}

/* The item of a list, or the list itself when it is a single text. */
static const struct klx_config_node *item(const struct klx_config_node *list, size_t i) {
    const struct klx_config_node *n =
        klx_config_type(list) == KLX_CONFIG_LIST ? klx_config_first(list) : list;
    for (; i > 0; i--) {
        n = klx_config_next(n);
    }
    return n;
}

static void check_namespaces(const struct binder *b, const char *key,
                             const struct klx_config_strings *names) {
    const struct klx_config_node *list = klx_config_get(b->at, key);
    struct klx_error e;
    if (list != NULL && names->n == 0 && klx_config_type(list) == KLX_CONFIG_LIST) {
        klx_config_fail(list, &e, "names no namespace: leave `%s` out to watch all of them", key);
        mistake(b, &e);
    }
    if (names->n > KLX_NAMESPACES_MAX) {
        klx_config_fail(list, &e,
                        "%zu namespaces, at most %d: watch the whole cluster, without those in "
                        "`exclude_namespaces`",
                        names->n, KLX_NAMESPACES_MAX);
        mistake(b, &e);
    }
    for (size_t i = 0; i < names->n; i++) {
        size_t same = 0;
        while (!klx_sv_eq(names->items[same], names->items[i])) {
            same++;
        }
        if (!klx_source_is_namespace(names->items[i])) {
            klx_config_fail(item(list, i), &e,
                            "expected the name of a namespace (no patterns), found \"%.*s\"",
                            KLX_SV_FMT(names->items[i]));
            mistake(b, &e);
        } else if (same < i) {
            klx_config_fail(item(list, i), &e, "\"%.*s\" stands there twice",
                            KLX_SV_FMT(names->items[i]));
            mistake(b, &e);
        }
    }
}

static void check_selector(const struct binder *b, const char *key, const char *text) {
    struct klx_error e;
    if (text == NULL) {
        return;
    }
    if (klx_sv_trim(klx_sv(text)).n == 0) {
        klx_config_fail(klx_config_get(b->at, key), &e, "selects nothing: leave it out");
        mistake(b, &e);
    } else if (strlen(text) > SELECTOR_BYTES_MAX) {
        klx_config_fail(klx_config_get(b->at, key), &e, "has more than %d bytes",
                        SELECTOR_BYTES_MAX);
        mistake(b, &e);
    }
}

/* What does not go together. */
static void check_scope(const struct binder *b, const struct klx_source_settings *s) {
    const struct klx_config_node *only = klx_config_get(b->at, "namespaces");
    const struct klx_config_node *all_but = klx_config_get(b->at, "exclude_namespaces");
    struct klx_error e;
    bool cluster_scoped = !s->ops->items && s->ops->namespaced_path == NULL;
    if (cluster_scoped && (only != NULL || all_but != NULL)) {
        klx_config_fail_key(only != NULL ? only : all_but, &e, "%s are in no namespace",
                            s->ops->name);
        mistake(b, &e);
    } else if (only != NULL && all_but != NULL) {
        klx_config_fail_key(all_but, &e, "`namespaces` says already which are watched");
        mistake(b, &e);
    }
}

static void bind_one(const struct klx_config_node *n, const struct klx_source_ops *ops,
                     struct klx_source_settings *s, klx_config_report_fn report, void *arg) {
    const struct binder b = { .at = n, .report = report, .arg = arg };
    *s = (struct klx_source_settings){ .ops = ops };
    klx_config_bind_all(n, fields_of(ops), s, report, arg);
    if (s->endpoints_at != NULL) {
        klx_endpoints_bind(s->endpoints_at, &s->endpoints, &s->endpoints_n, report, arg);
    }
    if (klx_config_type(n) == KLX_CONFIG_MAP && !ops->endpoints) {
        check_scope(&b, s);
        check_namespaces(&b, "namespaces", &s->namespaces);
        check_namespaces(&b, "exclude_namespaces", &s->exclude_namespaces);
        check_selector(&b, "label_selector", s->label_selector);
        check_selector(&b, "field_selector", s->field_selector);
    }
    if (ops->items && klx_config_type(n) == KLX_CONFIG_MAP) {
        s->generic = klx_generic_new(n, &s->generic_settings, report, arg);
    }
}

/* Two of one name would be one in the state. */
static void check_items(const struct klx_config_node *n, const struct klx_source_settings *items,
                        size_t i, const struct binder *b) {
    struct klx_error e;
    for (size_t k = 0; k < i; k++) {
        if (items[i].generic != NULL && items[k].generic != NULL &&
            strcmp(items[i].generic->name, items[k].generic->name) == 0) {
            klx_config_fail(n, &e, "\"%s\" stands there twice: give one of them another `name`",
                            items[i].generic->name);
            mistake(b, &e);
        }
    }
}

static size_t bind_items(const struct klx_config_node *list, const struct klx_source_ops *ops,
                         struct klx_source_settings *ret, size_t room, const struct binder *b) {
    struct klx_error e;
    size_t n = 0;
    if (klx_config_type(list) != KLX_CONFIG_LIST || klx_config_first(list) == NULL) {
        klx_config_fail(list, &e,
                        "expected a list, for example [ { group: apps, version: v1, resource: "
                        "deployments, fields: [spec.replicas] } ]");
        mistake(b, &e);
        return 0;
    }
    for (const struct klx_config_node *i = klx_config_first(list); i != NULL;
         i = klx_config_next(i)) {
        if (n == KLX_GENERIC_ITEMS_MAX || n == room) {
            klx_config_fail(i, &e, "more than %d items", KLX_GENERIC_ITEMS_MAX);
            mistake(b, &e);
            return n;
        }
        bind_one(i, ops, &ret[n], b->report, b->arg);
        check_items(i, ret, n, b);
        n++;
    }
    return n;
}

size_t klx_source_settings_bind(const struct klx_config_node *n, struct klx_source_settings *ret,
                                size_t room, klx_config_report_fn report, void *arg) {
    const struct binder b = { .at = n, .report = report, .arg = arg };
    const char *names[KLX_COUNT(all_sources)];
    const struct klx_source_ops *ops = NULL;
    struct klx_error e;
    for (size_t i = 0; i < KLX_COUNT(all_sources); i++) {
        names[i] = all_sources[i]->name;
        ops = klx_sv_eq(klx_config_key(n), klx_sv(names[i])) ? all_sources[i] : ops;
    }
    if (ops == NULL) {
        klx_config_fail_key(n, &e, "there is no source \"%.*s\"%s", KLX_SV_FMT(klx_config_key(n)),
                            klx_config_hint(klx_config_key(n), names, KLX_COUNT(names)).text);
        mistake(&b, &e);
        return 0;
    }
    if (ops->items) {
        return bind_items(n, ops, ret, room, &b);
    }
    bind_one(n, ops, ret, report, arg);
    return 1;
}

void klx_source_settings_release(struct klx_source_settings *s) {
    klx_config_unbind(s->ops != NULL ? fields_of(s->ops) : all_fields, s);
    klx_endpoints_free(s->endpoints, s->endpoints_n);
    s->endpoints = NULL;
    s->endpoints_n = 0;
    klx_generic_free(s->generic);
    s->generic = NULL;
    s->ops = NULL;
}

const char *klx_source_name(const struct klx_source_settings *s) {
    return s->generic != NULL ? s->generic->source : s->ops->name;
}

const char *klx_source_path(const struct klx_source_settings *s) {
    return s->generic != NULL ? s->generic->path : s->ops->path;
}

const char *klx_source_namespaced_path(const struct klx_source_settings *s) {
    return s->generic != NULL ? s->generic->namespaced_path : s->ops->namespaced_path;
}

bool klx_source_cut_item(const struct klx_source_settings *s, struct klx_sv *object) {
    return s->generic == NULL || klx_sv_eq(klx_sv_cut(object, '/'), klx_sv(s->generic->name));
}

size_t klx_source_watches(const struct klx_source_settings *s) {
    return s->ops->endpoints ? s->endpoints_n : s->namespaces.n > 0 ? s->namespaces.n : 1;
}

struct klx_sv klx_source_namespace(const struct klx_source_settings *s, size_t i) {
    return s->namespaces.n > 0 ? s->namespaces.items[i] : klx_sv(NULL);
}

void klx_source_watch_name(const struct klx_source_settings *s, struct klx_sv namespace,
                           char ret[static KLX_WATCH_KEY_BYTES]) {
    snprintf(ret, KLX_WATCH_KEY_BYTES, "%s%s%.*s", klx_source_name(s), namespace.n > 0 ? "@" : "",
             KLX_SV_FMT(namespace));
}

void klx_source_watch_key(const struct klx_source_settings *s, struct klx_sv namespace,
                          char ret[static KLX_WATCH_KEY_BYTES]) {
    struct klx_buf selectors KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&selectors, SELECTORS_BYTES_MAX);
    klx_source_selectors(s, &selectors);
    klx_source_watch_name(s, namespace, ret);
    if (selectors.len > 0) {
        char digest[KLX_HASH_TEXT_BYTES];
        const struct klx_sv parts[] = { klx_buf_sv(&selectors) };
        klx_hash_parts(parts, 1, digest);
        size_t n = strlen(ret);
        snprintf(ret + n, KLX_WATCH_KEY_BYTES - n, "~%.*s", DIGEST_BYTES, digest);
    }
}

void klx_source_watch_path(const struct klx_source_settings *s, struct klx_sv namespace,
                           struct klx_buf *out) {
    if (namespace.n == 0) {
        klx_buf_add_str(out, klx_source_path(s));
        return;
    }
    struct klx_sv rest = klx_sv(klx_source_namespaced_path(s)), mark = KLX_SV("%s");
    size_t at = klx_sv_find_sv(rest, mark);
    klx_buf_add(out, rest.p, at);
    klx_buf_add_sv(out, namespace);
    klx_buf_add_sv(out, klx_sv_n(rest.p + at + mark.n, rest.n - at - mark.n));
}

void klx_source_selectors(const struct klx_source_settings *s, struct klx_buf *out) {
    const char *before = "fieldSelector=", *comma = "%2C";
    if (s->label_selector != NULL) {
        klx_buf_add_str(out, "labelSelector=");
        klx_url_add_encoded(out, klx_sv_trim(klx_sv(s->label_selector)));
        before = "&fieldSelector=";
    }
    if (s->field_selector != NULL) {
        klx_buf_add_str(out, before);
        klx_url_add_encoded(out, klx_sv_trim(klx_sv(s->field_selector)));
        before = comma;
    }
    for (size_t i = 0; i < s->exclude_namespaces.n; i++) {
        klx_buf_add_str(out, before);
        klx_buf_add_str(out, "metadata.namespace%21%3D");
        klx_buf_add_sv(out, s->exclude_namespaces.items[i]);
        before = comma;
    }
}
