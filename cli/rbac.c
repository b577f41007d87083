#include "cli/rbac.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "collector/kube/kubeconfig.h"
#include "lib/base/cleanup.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/options.h"

#define COMMAND "klaxon rbac"
#define OUTPUT_BYTES_MAX (1u << 20)
#define RESOURCES_BYTES_MAX 8192
#define GROUP "rbac.authorization.k8s.io"

/* What a path of the API serves: "/api/v1/events", "/apis/autoscaling/v2/horizontalpodautoscalers". */
struct resource {
    struct klx_sv group; /* empty: core */
    struct klx_sv name;
};

static struct resource resource_of(const struct klx_source_settings *s) {
    struct resource r = { 0 };
    struct klx_sv rest = klx_sv(klx_source_path(s));
    klx_sv_cut(&rest, '/');
    if (klx_sv_eq(klx_sv_cut(&rest, '/'), KLX_SV("apis"))) {
        r.group = klx_sv_cut(&rest, '/');
    }
    klx_sv_cut(&rest, '/'); /* the version */
    r.name = rest;
    return r;
}

/* What the path of an endpoint asks the API server for: a service or pod behind its proxy, or something of the server's own. */
struct endpoint_right {
    struct klx_sv namespace; /* empty: none */
    struct klx_sv resource;  /* "services"; empty: the path itself */
    struct klx_sv name;      /* "ksm:8080" */
    struct klx_sv path;      /* without a query */
};

/* "/api/v1/namespaces/NS/services/NAME:PORT/proxy/…" */
static struct endpoint_right endpoint_right(const struct klx_endpoint_settings *s) {
    struct klx_sv query = klx_sv(s->path), path = klx_sv_cut(&query, '?'), rest = path;
    struct endpoint_right r = { .path = path };
    struct klx_sv before = KLX_SV("/api/v1/namespaces/");
    if (!klx_sv_starts(path, before)) {
        return r;
    }
    rest = klx_sv_n(path.p + before.n, path.n - before.n);
    struct klx_sv namespace = klx_sv_cut(&rest, '/'), resource = klx_sv_cut(&rest, '/'),
                  name = klx_sv_cut(&rest, '/'), proxy = klx_sv_cut(&rest, '/');
    bool known = klx_sv_eq(resource, KLX_SV("services")) || klx_sv_eq(resource, KLX_SV("pods"));
    if (known && klx_sv_eq(proxy, KLX_SV("proxy"))) {
        r.namespace = namespace;
        r.resource = resource;
        r.name = name;
    }
    return r;
}

/* The namespaces that a source names: its own, or those of its endpoints, empty for the whole cluster. False: that was the last. */
static bool namespace_of(const struct klx_source_settings *s, size_t i, struct klx_sv *ret) {
    if (i >= klx_source_watches(s)) {
        return false;
    }
    bool scraped = s->ops->endpoints && s->endpoints[i].path != NULL;
    *ret = scraped ? endpoint_right(&s->endpoints[i]).namespace : klx_source_namespace(s, i);
    return true;
}

/* Whether the source looks into this namespace alone; empty: into the whole cluster. An endpoint with a url needs no right of the cluster. */
static bool is_in(const struct klx_source_settings *s, struct klx_sv namespace) {
    struct klx_sv own;
    for (size_t i = 0; namespace_of(s, i, &own); i++) {
        bool is_url = s->ops->endpoints && s->endpoints[i].path == NULL;
        if (!is_url && klx_sv_eq(own, namespace)) {
            return true;
        }
    }
    return false;
}

/* Whether a source before `k` reads the same there. */
static bool is_repeated(const struct klx_cluster_settings *c, struct klx_sv namespace, size_t k) {
    struct resource r = resource_of(&c->sources[k]);
    for (size_t i = 0; i < k; i++) {
        struct resource other = resource_of(&c->sources[i]);
        if (!c->sources[i].ops->endpoints && is_in(&c->sources[i], namespace) &&
            klx_sv_eq(other.group, r.group) && klx_sv_eq(other.name, r.name)) {
            return true;
        }
    }
    return false;
}

/* The resources of the rule that source `i` begins, "events, nodes"; nothing when one before it has its API group. */
static void add_resources(const struct klx_cluster_settings *c, struct klx_sv namespace, size_t i,
                          struct klx_buf *out) {
    struct klx_sv group = resource_of(&c->sources[i]).group;
    for (size_t k = 0; k < c->sources_n; k++) {
        if (c->sources[k].ops->endpoints || !is_in(&c->sources[k], namespace) ||
            !klx_sv_eq(resource_of(&c->sources[k]).group, group)) {
            continue;
        }
        if (k < i) {
            return;
        }
        if (!is_repeated(c, namespace, k)) {
            klx_buf_printf(out, "%s%.*s", out->len > 0 ? ", " : "",
                           KLX_SV_FMT(resource_of(&c->sources[k]).name));
        }
    }
}

/* Where the canary is; empty: there is none. */
static struct klx_sv canary_namespace(const struct klx_rbac *r) {
    const struct klx_cluster_settings *c = r->cluster;
    const char *name = c->canary.namespace != NULL ? c->canary.namespace : r->own_namespace;
    bool none = klx_canary_obstacle(&c->canary, c->sources, c->sources_n, name) != NULL;
    return klx_sv(none ? NULL : name);
}

static struct klx_sv lease_namespace(const struct klx_rbac *r) {
    const struct klx_lease_settings *l = &r->cluster->lease;
    const char *name = l->namespace != NULL ? l->namespace : r->own_namespace;
    return klx_sv(l->wanted ? name : NULL);
}

struct rule {
    struct klx_sv namespace, group, resources;
    struct klx_sv name; /* of the only object; empty: all */
    struct klx_sv url;  /* in place of group and resources */
    const char *verbs;
};

typedef void (*rule_fn)(void *arg, const struct rule *r);

static void each_endpoint_rule(const struct klx_source_settings *s, struct klx_sv namespace,
                               rule_fn fn, void *arg) {
    for (size_t i = 0; i < s->endpoints_n; i++) {
        if (s->endpoints[i].path == NULL) {
            continue;
        }
        struct endpoint_right right = endpoint_right(&s->endpoints[i]);
        bool pods = klx_sv_eq(right.resource, KLX_SV("pods"));
        struct rule r = { .namespace = namespace, .verbs = "get" };
        if (right.resource.n > 0) {
            r.resources = pods ? KLX_SV("pods/proxy") : KLX_SV("services/proxy");
            r.name = right.name;
        } else {
            r.url = right.path;
        }
        if (klx_sv_eq(right.namespace, namespace)) {
            fn(arg, &r);
        }
    }
}

/* For what klaxon writes. To create something cannot be granted by its name. */
static void each_own_rule(const struct klx_rbac *r, struct klx_sv namespace, rule_fn fn,
                          void *arg) {
    struct klx_sv group = KLX_SV("coordination.k8s.io"), leases = KLX_SV("leases");
    if (namespace.n > 0 && klx_sv_eq(canary_namespace(r), namespace)) {
        fn(arg, &(struct rule){ .namespace = namespace,
                                .resources = KLX_SV("events"),
                                .verbs = "create, patch" });
    }
    if (namespace.n > 0 && klx_sv_eq(lease_namespace(r), namespace)) {
        char *name = klx_lease_name(r->cluster);
        fn(arg, &(struct rule){ namespace, group, leases, .verbs = "create" });
        fn(arg,
           &(struct rule){ namespace, group, leases, .name = klx_sv(name), .verbs = "get, patch" });
        free(name);
    }
}

static void each_rule(const struct klx_rbac *r, struct klx_sv namespace, rule_fn fn, void *arg) {
    const struct klx_cluster_settings *c = r->cluster;
    for (size_t i = 0; i < c->sources_n; i++) {
        const struct klx_source_settings *s = &c->sources[i];
        struct klx_buf resources KLX_CLEANUP(klx_buf_release);
        klx_buf_init(&resources, RESOURCES_BYTES_MAX);
        each_endpoint_rule(s, namespace, fn, arg);
        if (!s->ops->endpoints && is_in(s, namespace)) {
            add_resources(c, namespace, i, &resources);
        }
        if (resources.len > 0) {
            fn(arg, &(struct rule){ .namespace = namespace,
                                    .group = resource_of(s).group,
                                    .resources = klx_buf_sv(&resources),
                                    .verbs = s->ops->poll != NULL ? "list" : "list, watch" });
        }
    }
    each_own_rule(r, namespace, fn, arg);
}

typedef void (*scope_fn)(void *arg, struct klx_sv namespace);

static bool any_is_in(const struct klx_cluster_settings *c, size_t n, struct klx_sv namespace) {
    for (size_t i = 0; i < n; i++) {
        if (is_in(&c->sources[i], namespace)) {
            return true;
        }
    }
    return false;
}

/* Whether the k-th namespace of source i was named before. */
static bool is_named_before(const struct klx_cluster_settings *c, size_t i, size_t k,
                            struct klx_sv namespace) {
    struct klx_sv other;
    for (size_t n = 0; n < k && namespace_of(&c->sources[i], n, &other); n++) {
        if (klx_sv_eq(other, namespace)) {
            return true;
        }
    }
    return any_is_in(c, i, namespace);
}

/* The whole cluster, where a source needs it, then each namespace once. */
static void each_scope(const struct klx_rbac *r, scope_fn fn, void *arg) {
    const struct klx_cluster_settings *c = r->cluster;
    struct klx_sv canary = canary_namespace(r), lease = lease_namespace(r);
    if (any_is_in(c, c->sources_n, klx_sv(NULL))) {
        fn(arg, klx_sv(NULL));
    }
    for (size_t i = 0; i < c->sources_n; i++) {
        struct klx_sv namespace;
        for (size_t k = 0; namespace_of(&c->sources[i], k, &namespace); k++) {
            if (namespace.n > 0 && !is_named_before(c, i, k, namespace)) {
                fn(arg, namespace);
            }
        }
    }
    if (canary.n > 0 && !any_is_in(c, c->sources_n, canary)) {
        fn(arg, canary);
    }
    if (lease.n > 0 && !klx_sv_eq(lease, canary) && !any_is_in(c, c->sources_n, lease)) {
        fn(arg, lease);
    }
}

struct yaml {
    const struct klx_rbac *rbac;
    struct klx_buf *out;
};

/* Names stand in quotes: a namespace may be called 123 or on. */
static void begin_object(const struct yaml *y, const char *kind, struct klx_sv namespace) {
    klx_buf_printf(y->out, "---\napiVersion: %s\nkind: %s\nmetadata:\n  name: \"%s\"\n",
                   strcmp(kind, "ServiceAccount") == 0 ? "v1" : GROUP "/v1", kind,
                   y->rbac->account.name);
    if (namespace.n > 0) {
        klx_buf_printf(y->out, "  namespace: \"%.*s\"\n", KLX_SV_FMT(namespace));
    }
}

static void write_rule(void *arg, const struct rule *r) {
    if (r->url.n > 0) {
        klx_buf_printf(arg, "  - nonResourceURLs: [\"%.*s\"]\n", KLX_SV_FMT(r->url));
    } else {
        klx_buf_printf(arg, "  - apiGroups: [\"%.*s\"]\n    resources: [%.*s]\n",
                       KLX_SV_FMT(r->group), KLX_SV_FMT(r->resources));
    }
    if (r->name.n > 0) {
        klx_buf_printf(arg, "    resourceNames: [\"%.*s\"]\n", KLX_SV_FMT(r->name));
    }
    klx_buf_printf(arg, "    verbs: [%s]\n", r->verbs);
}

static void write_role(void *arg, struct klx_sv namespace) {
    const struct yaml *y = arg;
    const struct klx_rbac_account *account = &y->rbac->account;
    const char *kind = namespace.n > 0 ? "Role" : "ClusterRole";
    begin_object(y, kind, namespace);
    klx_buf_add_str(y->out, "rules:\n");
    each_rule(y->rbac, namespace, write_rule, y->out);
    begin_object(y, namespace.n > 0 ? "RoleBinding" : "ClusterRoleBinding", namespace);
    klx_buf_printf(y->out,
                   "roleRef:\n  apiGroup: " GROUP "\n  kind: %s\n  name: \"%s\"\n"
                   "subjects:\n  - kind: ServiceAccount\n    name: \"%s\"\n    namespace: \"%s\"\n",
                   kind, account->name, account->name, account->namespace);
}

void klx_rbac_yaml(const struct klx_rbac *r, struct klx_buf *out) {
    struct yaml y = { r, out };
    klx_buf_printf(out, "# What klaxon-collector needs in cluster %s: `" COMMAND " -o yaml`.\n",
                   r->cluster->name);
    begin_object(&y, "ServiceAccount", klx_sv(r->account.namespace));
    each_scope(r, write_role, &y);
}

const char *const klx_rbac_heads[KLX_RBAC_COLUMNS] = { "CLUSTER", "NAMESPACE", "API GROUP",
                                                       "RESOURCES", "VERBS" };

struct rows {
    const struct klx_rbac *rbac;
    struct klx_table *table;
};

static void add_row(void *arg, const struct rule *r) {
    const struct rows *rows = arg;
    struct klx_sv what = r->url.n > 0 ? r->url : r->resources;
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&text, RESOURCES_BYTES_MAX + 4096);
    klx_buf_add_sv(&text, what);
    if (r->name.n > 0) {
        klx_buf_printf(&text, " of %.*s", KLX_SV_FMT(r->name));
    }
    klx_table_add(rows->table, klx_sv(rows->rbac->cluster->name));
    klx_table_add(rows->table, r->namespace.n > 0 ? r->namespace : KLX_SV("<all>"));
    klx_table_add(rows->table, r->url.n > 0     ? KLX_SV("<none>")
                               : r->group.n > 0 ? r->group
                                                : KLX_SV("<core>"));
    klx_table_add(rows->table, klx_buf_sv(&text));
    klx_table_add(rows->table, klx_sv(r->verbs));
}

static void add_rows(void *arg, struct klx_sv namespace) {
    const struct rows *r = arg;
    each_rule(r->rbac, namespace, add_row, arg);
}

void klx_rbac_rows(const struct klx_rbac *r, struct klx_table *table) {
    struct rows rows = { r, table };
    each_scope(r, add_rows, &rows);
}

struct options {
    const char *config, *cluster, *output;
    struct klx_rbac_account account;
};

/* A subdomain of DNS, as the API server wants the name of a ServiceAccount. */
static bool is_name(const char *text) {
    size_t n = strlen(text);
    bool good = n > 0 && n <= 253 && text[0] != '-' && text[0] != '.' && text[n - 1] != '-' &&
                text[n - 1] != '.';
    return good && strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-.") == n;
}

static int check_options(const struct options *o) {
    const char *wrong = !is_name(o->account.name)        ? o->account.name
                        : !is_name(o->account.namespace) ? o->account.namespace
                                                         : NULL;
    if (wrong != NULL) {
        fprintf(stderr,
                COMMAND ": expected a name of a-z, 0-9, '-' and '.', found \"%.80s\"\n"
                        "Try '" COMMAND " --help'.\n",
                wrong);
        return KLX_EXIT_USAGE;
    }
    return KLX_EXIT_OK;
}

static void print_mistake(void *arg, const char *text) {
    (void)arg;
    fprintf(stderr, COMMAND ": %s\n", text);
}

static bool is_chosen(const struct options *o, const struct klx_cluster_settings *c) {
    return o->cluster == NULL || strcmp(o->cluster, c->name) == 0;
}

/* How many clusters are meant; what is said when that is not possible. */
static size_t count_chosen(const struct options *o, const struct klx_collector_settings *s) {
    size_t n = 0;
    for (size_t i = 0; i < s->clusters_n; i++) {
        n += is_chosen(o, &s->clusters[i]);
    }
    bool one_only = strcmp(o->output, "yaml") == 0;
    if (n > 0 && (n == 1 || !one_only)) {
        return n;
    }
    if (s->clusters_n == 0) {
        print_mistake(NULL, "no clusters are configured");
        return 0;
    }
    fprintf(stderr, COMMAND ": %s; name one with --cluster:\n",
            n == 0 ? "there is no such cluster" : "there are several clusters");
    for (size_t i = 0; i < s->clusters_n; i++) {
        fprintf(stderr, "  %s\n", s->clusters[i].name);
    }
    return 0;
}

/* Where klaxon's own objects are. A pod's namespace is the ServiceAccount's; a kubeconfig that cannot be read here has none. */
static char *own_namespace(const struct options *o, const struct klx_cluster_settings *c) {
    struct klx_kube_access *access = NULL;
    struct klx_error e = { 0 };
    struct klx_clock *clock = klx_clock_real();
    if (c->in_cluster) {
        return klx_strdup(o->account.namespace);
    }
    bool known =
        klx_kubeconfig_load(c->kubeconfig, c->context, clock->wall_us(clock), &access, &e) == 0;
    char *copy = klx_strdup(known ? access->namespace : "default");
    klx_kube_access_free(access);
    return copy;
}

/* `yaml` NULL: rows. */
static void print_cluster(const struct options *o, const struct klx_cluster_settings *c,
                          struct klx_buf *yaml, struct klx_table *rows) {
    char *namespace = own_namespace(o, c);
    const struct klx_rbac r = { c, o->account, namespace };
    if (yaml != NULL) {
        klx_rbac_yaml(&r, yaml);
    } else {
        klx_rbac_rows(&r, rows);
    }
    free(namespace);
}

static int print(const struct options *o, const struct klx_collector_settings *s) {
    struct klx_buf out KLX_CLEANUP(klx_buf_release);
    struct klx_table table;
    bool yaml = strcmp(o->output, "yaml") == 0;
    klx_buf_init(&out, OUTPUT_BYTES_MAX);
    if (count_chosen(o, s) == 0) {
        return KLX_EXIT_USAGE;
    }
    klx_table_init(&table, klx_rbac_heads, KLX_RBAC_COLUMNS);
    for (size_t i = 0; i < s->clusters_n; i++) {
        if (is_chosen(o, &s->clusters[i])) {
            print_cluster(o, &s->clusters[i], yaml ? &out : NULL, &table);
        }
    }
    if (!yaml) {
        klx_table_write(&table, &out);
    }
    klx_table_release(&table);
    return klx_cli_print(COMMAND, klx_buf_sv(&out), KLX_EXIT_OK);
}

static int run(const struct options *o) {
    struct klx_settings settings;
    struct klx_collector_settings collector;
    struct klx_error e = { 0 };
    if (klx_settings_load(o->config, &settings, &e) != 0) {
        print_mistake(NULL, e.text);
        return KLX_EXIT_CONFIG;
    }
    size_t mistakes = klx_collector_settings_bind(&settings, &collector, print_mistake, NULL);
    int code = mistakes == 0 ? print(o, &collector) : KLX_EXIT_CONFIG;
    klx_collector_settings_release(&collector);
    klx_settings_release(&settings);
    return code;
}

static const struct klx_option table[] = {
    KLX_CLI_OPTION_CONFIG,
    { "cluster", 0, KLX_OPT_STR, offsetof(struct options, cluster), "NAME",
      "of this cluster; -o yaml needs it when there are several", NULL },
    { "service-account", 0, KLX_OPT_STR, offsetof(struct options, account.name), "NAME",
      "who gets the rights (default: klaxon-collector)", NULL },
    { "namespace", 0, KLX_OPT_STR, offsetof(struct options, account.namespace), "NAME",
      "where the ServiceAccount is; it must exist (default: klaxon)", NULL },
    { "output", 'o', KLX_OPT_CHOICE, offsetof(struct options, output), NULL,
      "a row for each rule, or what kubectl apply takes", "table|yaml" },
    { .name = NULL },
};

static const struct klx_command_help help = {
    .name = COMMAND,
    .operands = "",
    .summary = "Print the rights that the collector needs in its clusters, and none beyond.",
    .examples = "  klaxon rbac\n"
                "  klaxon rbac -o yaml --cluster prod-weu > klaxon-rbac.yaml\n",
};

int klx_cli_rbac(int argc, char **argv) {
    struct options o = { .output = "table",
                         .account = { .name = "klaxon-collector", .namespace = "klaxon" } };
    int code = KLX_EXIT_OK;
    int first = klx_options_parse(argc, argv, &help, table, &o, &code);
    code = first < 0 ? code : klx_cli_no_operands(COMMAND, argc, argv, first);
    if (first < 0 || code != KLX_EXIT_OK) {
        return code;
    }
    code = check_options(&o);
    return code == KLX_EXIT_OK ? run(&o) : code;
}
