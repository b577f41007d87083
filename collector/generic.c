#include "collector/generic.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"

#define LABEL_BYTES_MAX 63
#define GROUP_BYTES_MAX 253

struct check {
    const struct klx_config_node *at;
    klx_config_report_fn report;
    void *arg;
    bool wrong;
};

static void mistake(struct check *c, const struct klx_error *e) {
    c->wrong = true;
    c->report(c->arg, e->text);
}

/* The member, or the whole item when it is left out. */
static const struct klx_config_node *where(const struct check *c, const char *key) {
    const struct klx_config_node *n = klx_config_get(c->at, key);
    return n != NULL ? n : c->at;
}

/* Labels of DNS, joined by dots when `dots`. */
static bool is_name(struct klx_sv s, bool dots, size_t bytes_max) {
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool edge = i == 0 || i + 1 == s.n;
        bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!plain && (edge || (c != '-' && !(dots && c == '.')))) {
            return false;
        }
    }
    return s.n > 0 && s.n <= bytes_max;
}

static void check_name(struct check *c, const char *key, const char *text, bool dots,
                       size_t bytes_max) {
    struct klx_error e;
    if (text != NULL && !is_name(klx_sv(text), dots, bytes_max)) {
        klx_config_fail(where(c, key), &e,
                        "expected at most %zu of a-z, 0-9%s and '-', found \"%.80s\"", bytes_max,
                        dots ? ", '.'" : "", text);
        mistake(c, &e);
    }
}

static bool is_core(const struct klx_generic_settings *s) {
    return s->group == NULL || s->group[0] == '\0';
}

static void check_resource(struct check *c, const struct klx_generic_settings *s) {
    struct klx_error e;
    bool core = is_core(s);
    if (!core) {
        check_name(c, "group", s->group, true, GROUP_BYTES_MAX);
    }
    check_name(c, "version", s->version, false, LABEL_BYTES_MAX);
    check_name(c, "resource", s->resource, false, LABEL_BYTES_MAX);
    check_name(c, "name", s->name, true, LABEL_BYTES_MAX);
    if (s->resource == NULL) {
        return;
    }
    if (core && strcmp(s->resource, "secrets") == 0) {
        klx_config_fail(where(c, "resource"), &e,
                        "Secrets are not read: whatever is known of one would stay in Kafka, for "
                        "everybody who may read there");
        mistake(c, &e);
    }
    if (strcmp(s->resource, "events") == 0 && (core || strcmp(s->group, "events.k8s.io") == 0)) {
        klx_config_fail(where(c, "resource"), &e, "Events have a source of their own: `events`");
        mistake(c, &e);
    }
}

/* The item of a list, or the list itself when it is a single text. */
static const struct klx_config_node *field_at(const struct check *c, size_t i) {
    const struct klx_config_node *list = where(c, "fields");
    const struct klx_config_node *n =
        klx_config_type(list) == KLX_CONFIG_LIST ? klx_config_first(list) : list;
    for (; i > 0; i--) {
        n = klx_config_next(n);
    }
    return n;
}

static void set_true(void *arg, const struct klx_json *node) {
    (void)node;
    *(bool *)arg = true;
}

/* Whether it leads to what changes with every write, however it is written: metadata["generation"], metadata[*], metadata. */
static bool is_moving(const struct klx_json_path *path) {
    struct klx_arena arena KLX_CLEANUP(klx_arena_release);
    const struct klx_json *probe = NULL;
    bool leads = false;
    klx_arena_init(&arena, 1024, 8192);
    if (klx_json_parse(&arena,
                       KLX_SV("{\"metadata\":{\"resourceVersion\":\"1\",\"generation\":1,"
                              "\"managedFields\":[{\"time\":\"1\"}]}}"),
                       NULL, &probe, NULL) == 0) {
        klx_json_path_each(path, probe, set_true, &leads);
    }
    return leads;
}

/* What changes with every write, or repeats the whole object. */
static const char *why_not(const struct klx_json_path *path, struct klx_sv field) {
    static const char *const moving[] = { "metadata.resourceVersion", "metadata.generation",
                                          "metadata.managedFields" };
    for (size_t i = 0; i < KLX_COUNT(moving); i++) {
        if (klx_sv_starts(field, klx_sv(moving[i]))) {
            return "changes with every write, and says nothing";
        }
    }
    if (is_moving(path)) {
        return "holds what changes with every write: name the fields of it that matter";
    }
    if (klx_sv_find_sv(field, KLX_SV("last-applied-configuration")) < field.n) {
        return "holds the whole object: name the fields of it that matter";
    }
    return NULL;
}

static void add_field(struct check *c, struct klx_generic *g, struct klx_sv text, size_t i) {
    struct klx_error e = { 0 }, why = { 0 };
    struct klx_json_path *path = NULL;
    struct klx_sv trimmed = klx_sv_trim(text);
    for (size_t k = 0; k < g->fields_n; k++) {
        if (klx_sv_eq(klx_sv(g->fields[k].text), trimmed)) {
            klx_config_fail(field_at(c, i), &e, "\"%.*s\" stands there twice", KLX_SV_FMT(trimmed));
            mistake(c, &e);
            return;
        }
    }
    if (klx_json_path_parse(trimmed, &path, &why) != 0) {
        klx_config_fail(field_at(c, i), &e, "%s", why.text);
        mistake(c, &e);
        return;
    }
    const char *no = why_not(path, trimmed);
    if (no != NULL) {
        klx_config_fail(field_at(c, i), &e, "\"%.*s\" %s", KLX_SV_FMT(trimmed), no);
        mistake(c, &e);
    }
    g->fields[g->fields_n].path = path;
    g->fields[g->fields_n++].text = klx_sv_dup(trimmed);
}

static void add_fields(struct check *c, struct klx_generic *g,
                       const struct klx_config_strings *fields) {
    struct klx_error e;
    const struct klx_config_node *list = klx_config_get(c->at, "fields");
    if (list == NULL) {
        return; /* said already */
    }
    if (fields->n == 0 || fields->n > KLX_GENERIC_FIELDS_MAX) {
        klx_config_fail(list, &e, "expected 1 to %d fields, for example [spec.replicas], found %zu",
                        KLX_GENERIC_FIELDS_MAX, fields->n);
        mistake(c, &e);
        return;
    }
    for (size_t i = 0; i < fields->n; i++) {
        add_field(c, g, fields->items[i], i);
    }
}

static void make_names(struct check *c, struct klx_generic *g,
                       const struct klx_generic_settings *s) {
    struct klx_error e;
    bool core = is_core(s);
    const char *root = core ? "/api/" : "/apis/", *group = core ? "" : s->group;
    const char *slash = core ? "" : "/", *dot = core ? "" : ".";
    g->source = s->name != NULL
                    ? klx_asprintf(KLX_GENERIC_PREFIX "%s", s->name)
                    : klx_asprintf(KLX_GENERIC_PREFIX "%s%s%s", s->resource, dot, group);
    g->name = g->source + strlen(KLX_GENERIC_PREFIX);
    g->api_version = klx_asprintf("%s%s%s", group, slash, s->version);
    g->path = klx_asprintf("%s%s%s%s/%s", root, group, slash, s->version, s->resource);
    g->namespaced_path =
        klx_asprintf("%s%s%s%s/namespaces/%%s/%s", root, group, slash, s->version, s->resource);
    if (strlen(g->name) > KLX_GENERIC_NAME_BYTES_MAX) {
        klx_config_fail(c->at, &e, "\"%s\" is longer than %d bytes: give it a `name`", g->name,
                        KLX_GENERIC_NAME_BYTES_MAX);
        mistake(c, &e);
    }
}

struct klx_generic *klx_generic_new(const struct klx_config_node *at,
                                    const struct klx_generic_settings *s,
                                    klx_config_report_fn report, void *arg) {
    struct check c = { .at = at, .report = report, .arg = arg };
    struct klx_generic *g = klx_alloc(struct klx_generic);
    check_resource(&c, s);
    add_fields(&c, g, &s->fields);
    if (!c.wrong && s->version != NULL && s->resource != NULL && g->fields_n > 0) {
        make_names(&c, g, s);
    } else {
        c.wrong = true;
    }
    if (c.wrong) {
        klx_generic_free(g);
        return NULL;
    }
    return g;
}

void klx_generic_free(struct klx_generic *g) {
    if (g == NULL) {
        return;
    }
    for (size_t i = 0; i < g->fields_n; i++) {
        free(g->fields[i].text);
        klx_json_path_free(g->fields[i].path);
    }
    free(g->source);
    free(g->api_version);
    free(g->path);
    free(g->namespaced_path);
    free(g);
}
