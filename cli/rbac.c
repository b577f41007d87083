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

/* Whether the source looks into this namespace alone; empty: into the whole cluster. */
static bool is_in(const struct klx_source_settings *s, struct klx_sv namespace) {
    for (size_t i = 0; i < klx_source_watches(s); i++) {
        if (klx_sv_eq(klx_source_namespace(s, i), namespace)) {
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
        if (is_in(&c->sources[i], namespace) && klx_sv_eq(other.group, r.group) &&
            klx_sv_eq(other.name, r.name)) {
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
        struct resource r = resource_of(&c->sources[k]);
        if (!is_in(&c->sources[k], namespace) || !klx_sv_eq(r.group, group)) {
            continue;
        }
        if (k < i) {
            return;
        }
        if (!is_repeated(c, namespace, k)) {
            klx_buf_printf(out, "%s%.*s", out->len > 0 ? ", " : "", KLX_SV_FMT(r.name));
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

struct rule {
    struct klx_sv group, resources;
    const char *verbs;
};

typedef void (*rule_fn)(void *arg, struct klx_sv namespace, const struct rule *rule);

static void each_rule(const struct klx_rbac *r, struct klx_sv namespace, rule_fn fn, void *arg) {
    const struct klx_cluster_settings *c = r->cluster;
    for (size_t i = 0; i < c->sources_n; i++) {
        struct klx_buf resources KLX_CLEANUP(klx_buf_release);
        klx_buf_init(&resources, RESOURCES_BYTES_MAX);
        if (is_in(&c->sources[i], namespace)) {
            add_resources(c, namespace, i, &resources);
        }
        if (resources.len > 0) {
            const struct rule rule = { resource_of(&c->sources[i]).group, klx_buf_sv(&resources),
                                       "list, watch" };
            fn(arg, namespace, &rule);
        }
    }
    if (namespace.n > 0 && klx_sv_eq(canary_namespace(r), namespace)) {
        const struct rule rule = { klx_sv(NULL), KLX_SV("events"), "create, patch" };
        fn(arg, namespace, &rule);
    }
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

/* The whole cluster, where a source needs it, then each namespace once. */
static void each_scope(const struct klx_rbac *r, scope_fn fn, void *arg) {
    const struct klx_cluster_settings *c = r->cluster;
    struct klx_sv canary = canary_namespace(r);
    if (any_is_in(c, c->sources_n, klx_sv(NULL))) {
        fn(arg, klx_sv(NULL));
    }
    for (size_t i = 0; i < c->sources_n; i++) {
        for (size_t k = 0; k < c->sources[i].namespaces.n; k++) {
            struct klx_sv namespace = c->sources[i].namespaces.items[k];
            if (!any_is_in(c, i, namespace)) {
                fn(arg, namespace);
            }
        }
    }
    if (canary.n > 0 && !any_is_in(c, c->sources_n, canary)) {
        fn(arg, canary);
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

static void write_rule(void *arg, struct klx_sv namespace, const struct rule *rule) {
    (void)namespace;
    klx_buf_printf(arg, "  - apiGroups: [\"%.*s\"]\n    resources: [%.*s]\n    verbs: [%s]\n",
                   KLX_SV_FMT(rule->group), KLX_SV_FMT(rule->resources), rule->verbs);
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

static void add_row(void *arg, struct klx_sv namespace, const struct rule *rule) {
    const struct rows *r = arg;
    klx_table_add(r->table, klx_sv(r->rbac->cluster->name));
    klx_table_add(r->table, namespace.n > 0 ? namespace : KLX_SV("<all>"));
    klx_table_add(r->table, rule->group.n > 0 ? rule->group : KLX_SV("<core>"));
    klx_table_add(r->table, rule->resources);
    klx_table_add(r->table, klx_sv(rule->verbs));
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
    { "config", 'c', KLX_OPT_STR, offsetof(struct options, config), "FILE", KLX_CLI_CONFIG_HELP,
      NULL },
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
