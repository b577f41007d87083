#include "collector/settings.h"

#include <stdlib.h>
#include <string.h>

#include "collector/sources/source.h"
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"

#define NAME_BYTES_MAX 63

static const struct klx_source_ops *const all_sources[] = {
#define KLX_SOURCE(name) &klx_source_##name,
#include "collector/sources/list.def"
#undef KLX_SOURCE
};

struct cluster {
    char *name, *kubeconfig, *context;
    const struct klx_config_node *sources;
};

static const struct klx_config_field cluster_fields[] = {
    { .key = "name",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct cluster, name),
      .required = true,
      .help = "it stands in every key" },
    { .key = "kubeconfig", .kind = KLX_CFG_STR, .offset = offsetof(struct cluster, kubeconfig) },
    { .key = "context", .kind = KLX_CFG_STR, .offset = offsetof(struct cluster, context) },
    { .key = "sources",
      .kind = KLX_CFG_NODE,
      .offset = offsetof(struct cluster, sources),
      .required = true,
      .help = "for example {events: {}, nodes: {}}" },
    { .key = NULL },
};

static const struct klx_config_field collector_fields[] = {
    { .key = "listen",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct klx_collector_settings, listen) },
    { .key = NULL },
};

static bool is_name(struct klx_sv s) {
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.')) {
            return false;
        }
    }
    return s.n > 0 && s.n <= NAME_BYTES_MAX;
}

static int add_source(struct klx_cluster_settings *c, const struct klx_config_node *n,
                      struct klx_error *e) {
    const char *names[KLX_COUNT(all_sources)];
    for (size_t i = 0; i < KLX_COUNT(all_sources); i++) {
        names[i] = all_sources[i]->name;
        if (klx_sv_eq(klx_config_key(n), klx_sv(names[i]))) {
            static const struct klx_config_field none[] = { { .key = NULL } };
            int unused = 0;
            c->sources[c->sources_n++] = all_sources[i];
            return klx_config_bind(n, none, &unused, e);
        }
    }
    const char *near = klx_config_nearest(klx_config_key(n), names, KLX_COUNT(names));
    return klx_config_fail(n, e, "there is no such source%s%s%s",
                           near != NULL ? ", did you mean \"" : "", near != NULL ? near : "",
                           near != NULL ? "\"?" : "");
}

static int add_cluster(struct klx_collector_settings *s, const struct klx_config_node *n,
                       struct klx_error *e) {
    struct cluster c = { 0 };
    int rc = klx_config_bind(n, cluster_fields, &c, e);
    if (rc != 0) {
        return rc;
    }
    s->clusters =
        klx_grow_array(s->clusters, s->clusters_n, s->clusters_n + 1, sizeof(*s->clusters));
    struct klx_cluster_settings *to = &s->clusters[s->clusters_n++];
    *to = (struct klx_cluster_settings){ .name = c.name,
                                         .kubeconfig = c.kubeconfig,
                                         .context = c.context };
    if (!is_name(klx_sv(c.name))) {
        return klx_config_fail(n, e, "name: 1 to %d of a-z, 0-9, '-' and '.', found \"%s\"",
                               NAME_BYTES_MAX, c.name);
    }
    for (size_t i = 0; i + 1 < s->clusters_n; i++) {
        if (strcmp(s->clusters[i].name, c.name) == 0) {
            return klx_config_fail(n, e, "name: \"%s\" is taken by another cluster", c.name);
        }
    }
    const struct klx_config_node *source = klx_config_first(c.sources);
    if (klx_config_type(c.sources) != KLX_CONFIG_MAP || source == NULL) {
        return klx_config_fail(c.sources, e,
                               "expected at least one source, for example {events: {}, nodes: {}}");
    }
    for (; rc == 0 && source != NULL; source = klx_config_next(source)) {
        rc = add_source(to, source, e);
    }
    return rc;
}

static int read_kafka(const struct klx_config_node *map, struct klx_kafka_config *k,
                      struct klx_error *e) {
    for (const struct klx_config_node *n = klx_config_first(map); n != NULL;
         n = klx_config_next(n)) {
        struct klx_error inner = { 0 };
        if (klx_kafka_config_set(k, klx_config_key(n), klx_config_scalar(n), &inner) != 0) {
            return klx_config_fail(n, e, "%s", inner.text);
        }
    }
    return 0;
}

int klx_collector_settings_load(const struct klx_settings *s, struct klx_collector_settings *ret,
                                struct klx_error *e) {
    struct klx_collector_settings c = { .kafka = klx_kafka_config_new() };
    int rc = read_kafka(s->kafka, c.kafka, e);
    const struct klx_config_node *n = s->clusters != NULL ? klx_config_first(s->clusters) : NULL;
    if (rc == 0 && n == NULL) {
        rc = klx_fail(e, -EINVAL, "no clusters are configured: add an item to `clusters:`");
    }
    if (rc == 0 && s->collector != NULL) {
        rc = klx_config_bind(s->collector, collector_fields, &c, e);
    }
    for (; rc == 0 && n != NULL; n = klx_config_next(n)) {
        rc = add_cluster(&c, n, e);
    }
    if (rc != 0) {
        klx_collector_settings_release(&c);
        return rc;
    }
    *ret = c;
    return 0;
}

void klx_collector_settings_release(struct klx_collector_settings *c) {
    for (size_t i = 0; i < c->clusters_n; i++) {
        free(c->clusters[i].name);
        free(c->clusters[i].kubeconfig);
        free(c->clusters[i].context);
    }
    free(c->clusters);
    free(c->listen);
    klx_kafka_config_free(c->kafka);
    *c = (struct klx_collector_settings){ 0 };
}
