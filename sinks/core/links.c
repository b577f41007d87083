#include "sinks/core/links.h"

#include <stdlib.h>

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/base/url.h"

#define AKS "/providers/Microsoft.ContainerService/managedClusters/"

struct azure {
    char *subscription, *resource_group, *name, *tenant, *portal;
};

struct cluster {
    struct klx_sv name;
    char *argocd;
    const struct klx_config_node *azure_node;
    struct azure azure; /* subscription NULL: none */
};

struct klx_links {
    char *console, *runbooks;
    const struct klx_config_node *clusters_node;
    struct cluster *clusters;
    size_t clusters_n;
};

const struct klx_config_field klx_links_fields[] = {
    { .key = "console",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct klx_links, console),
      .help = "where the console is: /incidents/<incident> is added" },
    { .key = "runbooks",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct klx_links, runbooks),
      .help = "where the runbooks are: /<kind> is added, for example /node.repair.failed" },
    { .key = "clusters",
      .kind = KLX_CFG_NODE,
      .offset = offsetof(struct klx_links, clusters_node),
      .help = "by the name of the cluster: what only one of them has" },
    { .key = NULL },
};

const struct klx_config_field klx_links_cluster_fields[] = {
    { .key = "argocd",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct cluster, argocd),
      .help = "where its Argo CD is: /applications/<namespace>/<name> is added" },
    { .key = "azure",
      .kind = KLX_CFG_NODE,
      .offset = offsetof(struct cluster, azure_node),
      .help = "its resource in the Azure portal" },
    { .key = NULL },
};

const struct klx_config_field klx_links_azure_fields[] = {
    { .key = "subscription",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct azure, subscription),
      .required = true,
      .help = "the id of the subscription" },
    { .key = "resource_group",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct azure, resource_group),
      .required = true,
      .help = "the resource group of the AKS cluster, not the one of its nodes" },
    { .key = "name",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct azure, name),
      .help = "the name of the AKS cluster; left out: as klaxon calls it" },
    { .key = "tenant",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct azure, tenant),
      .help = "a domain or the id of the tenant, for people who have several" },
    { .key = "portal",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct azure, portal),
      .otherwise = "https://portal.azure.com",
      .help = "of another cloud, for example https://portal.azure.us" },
    { .key = NULL },
};

struct binder {
    klx_config_report_fn report;
    void *arg;
    size_t mistakes;
};

static void check_url(struct binder *b, const struct klx_config_node *map, const char *key,
                      const char *url) {
    struct klx_error e = { 0 };
    if (url != NULL && !klx_url_is_link(klx_sv(url))) {
        klx_config_fail(klx_config_get(map, key), &e,
                        "expected a URL that a person may follow, https://…, found \"%s\"", url);
        b->report(b->arg, e.text);
        b->mistakes++;
    }
}

static void bind_cluster(struct binder *b, const struct klx_config_node *n, struct cluster *c) {
    c->name = klx_config_key(n);
    b->mistakes += klx_config_bind_all(n, klx_links_cluster_fields, c, b->report, b->arg);
    check_url(b, n, "argocd", c->argocd);
    if (c->azure_node != NULL) {
        b->mistakes += klx_config_bind_all(c->azure_node, klx_links_azure_fields, &c->azure,
                                           b->report, b->arg);
        check_url(b, c->azure_node, "portal", c->azure.portal);
    }
}

static void bind_clusters(struct binder *b, struct klx_links *l) {
    struct klx_error e = { 0 };
    if (klx_config_type(l->clusters_node) != KLX_CONFIG_MAP) {
        klx_config_fail(l->clusters_node, &e,
                        "expected a map, for example {prod-weu: {argocd: https://…}}");
        b->report(b->arg, e.text);
        b->mistakes++;
        return;
    }
    const struct klx_config_node *n = klx_config_first(l->clusters_node);
    for (; n != NULL; n = klx_config_next(n)) {
        l->clusters =
            klx_grow_array(l->clusters, l->clusters_n, l->clusters_n + 1, sizeof(struct cluster));
        bind_cluster(b, n, &l->clusters[l->clusters_n++]);
    }
}

size_t klx_links_bind(const struct klx_config_node *n, struct klx_links **ret,
                      klx_config_report_fn report, void *arg) {
    struct binder b = { .report = report, .arg = arg };
    struct klx_links *l = klx_alloc(struct klx_links);
    if (n != NULL) {
        b.mistakes = klx_config_bind_all(n, klx_links_fields, l, report, arg);
        check_url(&b, n, "console", l->console);
        check_url(&b, n, "runbooks", l->runbooks);
    }
    if (l->clusters_node != NULL) {
        bind_clusters(&b, l);
    }
    *ret = l;
    return b.mistakes;
}

void klx_links_free(struct klx_links *l) {
    if (l == NULL) {
        return;
    }
    for (size_t i = 0; i < l->clusters_n; i++) {
        klx_config_unbind(klx_links_azure_fields, &l->clusters[i].azure);
        klx_config_unbind(klx_links_cluster_fields, &l->clusters[i]);
    }
    free(l->clusters);
    klx_config_unbind(klx_links_fields, l);
    free(l);
}

struct maker {
    struct klx_arena *arena;
    struct klx_link *out;
    size_t n;
};

/* base, the words as they are, and the names encoded, in turns. */
static void add(struct maker *m, const char *title, const char *base, const char *const *words,
                const struct klx_sv *names, size_t n) {
    struct klx_buf url KLX_CLEANUP(klx_buf_release);
    struct klx_sv root = klx_sv(base);
    while (root.n > 0 && root.p[root.n - 1] == '/') {
        root.n--;
    }
    klx_buf_init(&url, KLX_URL_LINK_BYTES_MAX);
    klx_buf_add_sv(&url, root);
    for (size_t i = 0; i < n; i++) {
        klx_buf_add_str(&url, words[i]);
        klx_url_add_encoded(&url, names[i]);
    }
    if (klx_buf_check(&url) == 0 && klx_url_is_link(klx_buf_sv(&url)) && m->n < KLX_LINKS_MAX) {
        struct klx_sv kept = klx_arena_dup(m->arena, klx_buf_sv(&url));
        if (kept.p != NULL) {
            m->out[m->n++] = (struct klx_link){ klx_sv(title), kept };
        }
    }
}

static void add_console(struct maker *m, const char *base, const struct klx_event *e) {
    bool incident = e->incident.n > 0;
    const char *const words[] = { incident ? "/incidents/" : "/events/" };
    add(m, "klaxon", base, words, incident ? &e->incident : &e->id, 1);
}

static void add_runbook(struct maker *m, const char *base, const struct klx_event *e) {
    static const char *const words[] = { "/" };
    const struct klx_sv kind = klx_event_short_type(e->type);
    add(m, "Runbook", base, words, &kind, 1);
}

static void add_argocd(struct maker *m, const char *base, const struct klx_json *data) {
    static const char *const words[] = { "/applications/", "/" };
    const struct klx_sv names[] = { klx_json_str(data, "object.namespace"),
                                    klx_json_str(data, "object.name") };
    bool application =
        klx_sv_eq(klx_json_str(data, "object.kind"), KLX_SV("Application")) && names[0].n > 0;
    if (application && names[1].n > 0) {
        add(m, "Argo CD", base, words, names, KLX_COUNT(words));
    }
}

static void add_azure(struct maker *m, const struct cluster *c) {
    const struct azure *a = &c->azure;
    struct klx_sv name = a->name != NULL ? klx_sv(a->name) : c->name;
    const struct klx_sv names[] = { klx_sv(a->tenant), klx_sv(a->subscription),
                                    klx_sv(a->resource_group), name, KLX_SV("overview") };
    const char *const words[] = { a->tenant != NULL ? "/#@" : "/#",
                                  a->tenant != NULL ? "/resource/subscriptions/"
                                                    : "resource/subscriptions/",
                                  "/resourceGroups/", AKS, "/" };
    add(m, "Azure portal", a->portal, words, names, KLX_COUNT(words));
}

static const struct cluster *find_cluster(const struct klx_links *l, struct klx_sv name) {
    for (size_t i = 0; i < l->clusters_n; i++) {
        if (klx_sv_eq(l->clusters[i].name, name)) {
            return &l->clusters[i];
        }
    }
    return NULL;
}

size_t klx_links_make(const struct klx_links *l, struct klx_arena *a, const struct klx_event *e,
                      const struct klx_json *data, struct klx_link ret[static KLX_LINKS_MAX]) {
    struct maker m = { .arena = a, .out = ret };
    if (l == NULL) {
        return 0;
    }
    const struct cluster *c = find_cluster(l, e->cluster);
    if (c != NULL && c->argocd != NULL) {
        add_argocd(&m, c->argocd, data);
    }
    if (l->runbooks != NULL) {
        add_runbook(&m, l->runbooks, e);
    }
    if (l->console != NULL) {
        add_console(&m, l->console, e);
    }
    if (c != NULL && c->azure.subscription != NULL) {
        add_azure(&m, c);
    }
    return m.n;
}
