#include "collector/settings.h"

#include <stdlib.h>
#include <string.h>

#include "collector/publish.h"
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"

#define NAME_BYTES_MAX 63
#define LEASE_NAME_BYTES_MAX 253
#define DEAD_AFTER_MIN_MS 2000
#define DEAD_AFTER_MAX_MS (60 * 60 * 1000)
#define HEARTBEAT_MIN_MS 1000
#define HEARTBEAT_MAX_MS (60 * 60 * 1000)

enum {
#define KLX_SOURCE(name) SOURCE_##name,
#include "collector/sources/list.def"
#undef KLX_SOURCE
    SOURCES_N
};
_Static_assert(SOURCES_N + KLX_GENERIC_ITEMS_MAX <= KLX_SOURCES_MAX,
               "each source may be configured");

struct cluster {
    char *name, *kubeconfig, *context;
    bool in_cluster;
    int64_t dead_after_ms, heartbeat_ms;
    const struct klx_config_node *lease, *canary;
    const struct klx_config_node *azure, *sources, *detectors;
};

const struct klx_config_field klx_cluster_fields[] = {
    { .key = "name",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct cluster, name),
      .required = true,
      .help = "it stands in every key" },
    { .key = "kubeconfig",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct cluster, kubeconfig),
      .help = "a file as kubectl has it; left out: $KUBECONFIG, ~/.kube/config" },
    { .key = "context",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct cluster, context),
      .help = "of the kubeconfig; left out: its current-context" },
    { .key = "in_cluster",
      .kind = KLX_CFG_BOOL,
      .offset = offsetof(struct cluster, in_cluster),
      .help = "true: as the service account of this pod, in place of a kubeconfig" },
    { .key = "azure",
      .kind = KLX_CFG_NODE,
      .offset = offsetof(struct cluster, azure),
      .help =
          "as an identity of Entra ID; {}: AKS workload identity, and the kubeconfig's cluster" },
    { .key = "dead_after",
      .kind = KLX_CFG_DURATION,
      .offset = offsetof(struct cluster, dead_after_ms),
      .min = DEAD_AFTER_MIN_MS,
      .max = DEAD_AFTER_MAX_MS,
      .help = "a watch that died in silence is noticed at the latest after this; default 5m15s, "
              "with bookmarks 10m15s" },
    { .key = "lease",
      .kind = KLX_CFG_NODE,
      .offset = offsetof(struct cluster, lease),
      .help = "{} or {namespace: klaxon}: of several collectors with this cluster one works, the "
              "others stand by; left out: there is only one" },
    { .key = "canary",
      .kind = KLX_CFG_NODE,
      .offset = offsetof(struct cluster, canary),
      .help = "an Event that klaxon writes and must see again, so that a watch that died in "
              "silence is noticed early; false: none" },
    { .key = "heartbeat",
      .kind = KLX_CFG_DURATION,
      .offset = offsetof(struct cluster, heartbeat_ms),
      .otherwise = "60s",
      .min = HEARTBEAT_MIN_MS,
      .max = HEARTBEAT_MAX_MS,
      .help = "how often readers of the topics are told that the cluster is watched" },
    { .key = "sources",
      .kind = KLX_CFG_NODE,
      .offset = offsetof(struct cluster, sources),
      .required = true,
      .help = "for example {events: {}, nodes: {}}" },
    { .key = "detectors",
      .kind = KLX_CFG_NODE,
      .offset = offsetof(struct cluster, detectors),
      .help = "what they tell when, for example {autoscaling: {at_max_after: 5m}}" },
    { .key = NULL },
};

/* The defaults and the rule between the times are client-go's. */
const struct klx_config_field klx_lease_fields[] = {
    { .key = "namespace",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct klx_lease_settings, namespace),
      .help = "where the Lease is; left out: the context's, or the pod's, or default" },
    { .key = "name",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct klx_lease_settings, name),
      .help = "of the Lease; left out: klaxon-collector-<cluster>" },
    { .key = "duration",
      .kind = KLX_CFG_DURATION,
      .offset = offsetof(struct klx_lease_settings, times.duration_ms),
      .otherwise = "15s",
      .min = 2000,
      .max = 600000,
      .help = "a leader that died is replaced after this, in whole seconds" },
    { .key = "renew_deadline",
      .kind = KLX_CFG_DURATION,
      .offset = offsetof(struct klx_lease_settings, times.renew_deadline_ms),
      .otherwise = "10s",
      .min = 1000,
      .max = 600000,
      .help = "a leader that cannot renew it for so long stands back; less than duration" },
    { .key = "retry",
      .kind = KLX_CFG_DURATION,
      .offset = offsetof(struct klx_lease_settings, times.retry_ms),
      .otherwise = "2s",
      .min = 100,
      .max = 60000,
      .help = "between renewals; 1.2 of them are less than renew_deadline" },
    { .key = NULL },
};

struct collector {
    char *listen, *transactions;
};

const struct klx_config_field klx_collector_fields[] = {
    { .key = "listen",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct collector, listen),
      .help = "host:port of /metrics, /healthz and /readyz; left out: no server" },
    { .key = "transactions",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct collector, transactions),
      .help = "auto, on or off; auto: unless Kafka has none. Off: a crash may repeat the last "
              "batch, with the same ids" },
    { .key = NULL },
};

char *klx_lease_name(const struct klx_cluster_settings *c) {
    return c->lease.name != NULL ? klx_strdup(c->lease.name)
                                 : klx_asprintf("klaxon-collector-%s", c->name);
}

static bool is_name_of(struct klx_sv s, size_t bytes_max) {
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.')) {
            return false;
        }
    }
    return s.n > 0 && s.n <= bytes_max;
}

struct binder {
    struct klx_collector_settings *out;
    klx_config_report_fn report;
    void *arg;
    size_t mistakes;
};

static void take_report(void *arg, const char *text) {
    struct binder *b = arg;
    b->mistakes++;
    b->report(b->arg, text);
}

static void mistake(struct binder *b, const struct klx_error *e) {
    take_report(b, e->text);
}

static void check_name(struct binder *b, const struct klx_config_node *n, const char *name) {
    struct klx_error e;
    if (!is_name_of(klx_sv(name), NAME_BYTES_MAX)) {
        klx_config_fail(klx_config_get(n, "name"), &e,
                        "1 to %d of a-z, 0-9, '-' and '.', found \"%s\"", NAME_BYTES_MAX, name);
        mistake(b, &e);
    }
    for (size_t i = 0; i + 1 < b->out->clusters_n; i++) {
        const struct klx_cluster_settings *other = &b->out->clusters[i];
        if (other->name != NULL && strcmp(other->name, name) == 0) {
            klx_config_fail(klx_config_get(n, "name"), &e,
                            "\"%s\" is taken by the cluster in line %u", name,
                            klx_config_line(other->at));
            mistake(b, &e);
        }
    }
}

static void count_watches(struct binder *b, const struct klx_cluster_settings *c,
                          const struct klx_config_node *map) {
    struct klx_error e;
    size_t watches = 0;
    for (size_t i = 0; i < c->sources_n; i++) {
        watches += klx_source_watches(&c->sources[i]);
    }
    if (watches > KLX_WATCHES_MAX) {
        klx_config_fail(map, &e,
                        "these make %zu watches, one for each source and namespace; at most %d for "
                        "a cluster: watch the whole of it, without those in `exclude_namespaces`",
                        watches, KLX_WATCHES_MAX);
        mistake(b, &e);
    }
}

static void add_sources(struct binder *b, struct klx_cluster_settings *c,
                        const struct klx_config_node *map) {
    bool is_map = klx_config_type(map) == KLX_CONFIG_MAP;
    const struct klx_config_node *n = is_map ? klx_config_first(map) : NULL;
    if (n == NULL) {
        struct klx_error e;
        klx_config_fail(map, &e,
                        "expected at least one source, for example {events: {}, nodes: {}}");
        mistake(b, &e);
    }
    for (; n != NULL; n = klx_config_next(n)) {
        /* A key stands once, so there are no more than sources. */
        c->sources_n += klx_source_settings_bind(n, &c->sources[c->sources_n],
                                                 KLX_SOURCES_MAX - c->sources_n, take_report, b);
    }
    count_watches(b, c, map);
}

/* Names of DNS, as the API server wants them: what it would refuse is said at the start. */
static void check_lease_names(struct binder *b, const struct klx_config_node *n,
                              const struct klx_lease_settings *s) {
    struct klx_error e;
    struct klx_sv name = klx_sv(s->name);
    bool edges = name.n > 0 && name.p[0] != '-' && name.p[0] != '.' && name.p[name.n - 1] != '-' &&
                 name.p[name.n - 1] != '.';
    if (s->name != NULL && (!edges || !is_name_of(name, LEASE_NAME_BYTES_MAX))) {
        klx_config_fail(klx_config_get(n, "name"), &e,
                        "expected the name of a Lease (a-z, 0-9, '-' and '.'), found \"%s\"",
                        s->name);
        mistake(b, &e);
    }
    if (s->namespace != NULL && !klx_source_is_namespace(klx_sv(s->namespace))) {
        klx_config_fail(klx_config_get(n, "namespace"), &e,
                        "expected the name of a namespace, found \"%s\"", s->namespace);
        mistake(b, &e);
    }
}

static void bind_lease(struct binder *b, const struct klx_config_node *n,
                       struct klx_lease_settings *ret) {
    struct klx_error e;
    if (klx_config_bind_all(n, klx_lease_fields, ret, take_report, b) > 0) {
        return;
    }
    const struct klx_lease_times *t = &ret->times;
    ret->wanted = true;
    check_lease_names(b, n, ret);
    if (t->duration_ms <= t->renew_deadline_ms || 5 * t->renew_deadline_ms <= 6 * t->retry_ms) {
        klx_config_fail(n, &e,
                        "expected duration > renew_deadline > 1.2 * retry, as in {duration: 15s, "
                        "renew_deadline: 10s, retry: 2s}");
        mistake(b, &e);
    } else if (t->duration_ms % 1000 != 0) {
        klx_config_fail(klx_config_get(n, "duration"), &e, "expected whole seconds");
        mistake(b, &e);
    }
}

static void check_ways(struct binder *b, const struct klx_config_node *n, const struct cluster *c) {
    struct klx_error e;
    bool kubeconfig = c->kubeconfig != NULL || c->context != NULL;
    bool server = c->azure != NULL && klx_config_type(c->azure) == KLX_CONFIG_MAP &&
                  klx_config_get(c->azure, "server") != NULL;
    if (c->in_cluster && (kubeconfig || c->azure != NULL)) {
        klx_config_fail(klx_config_get(n, "in_cluster"), &e, "beside %s: keep one of them",
                        kubeconfig ? "a kubeconfig or context" : "azure");
        mistake(b, &e);
    } else if (server && kubeconfig) {
        klx_config_fail(klx_config_get(c->azure, "server"), &e,
                        "beside a kubeconfig or context: keep one of them");
        mistake(b, &e);
    }
}

static void add_cluster(struct binder *b, const struct klx_config_node *n) {
    struct klx_collector_settings *s = b->out;
    struct cluster c = { 0 };
    klx_config_bind_all(n, klx_cluster_fields, &c, take_report, b);
    s->clusters =
        klx_grow_array(s->clusters, s->clusters_n, s->clusters_n + 1, sizeof(*s->clusters));
    struct klx_cluster_settings *to = &s->clusters[s->clusters_n++];
    *to = (struct klx_cluster_settings){
        .name = c.name,
        .kubeconfig = c.kubeconfig,
        .context = c.context,
        .in_cluster = c.in_cluster,
        .dead_after_ms = c.dead_after_ms,
        .heartbeat_ms = c.heartbeat_ms,
        .at = n,
    };
    if (c.lease != NULL) {
        bind_lease(b, c.lease, &to->lease);
    }
    klx_detector_settings_bind(c.detectors, &to->detectors, take_report, b);
    klx_canary_settings_bind(c.canary, &to->canary, take_report, b);
    check_ways(b, n, &c);
    if (c.azure != NULL) {
        to->azure = klx_azure_settings_bind(c.azure, take_report, b);
    }
    if (c.name != NULL) {
        check_name(b, n, c.name);
    }
    if (c.sources != NULL) {
        add_sources(b, to, c.sources);
    }
}

static void bind_collector(struct binder *b, const struct klx_config_node *n) {
    static const char *const modes[] = {
        [KLX_TXN_AUTO] = "auto", [KLX_TXN_ON] = "on", [KLX_TXN_OFF] = "off"
    };
    struct collector c = { 0 };
    klx_config_bind_all(n, klx_collector_fields, &c, take_report, b);
    bool known = c.transactions == NULL;
    for (size_t i = 0; i < KLX_COUNT(modes) && !known; i++) {
        known = strcmp(c.transactions, modes[i]) == 0;
        b->out->transactions = known ? (enum klx_txn_mode)i : KLX_TXN_AUTO;
    }
    if (!known) {
        struct klx_error e;
        klx_config_fail(klx_config_get(n, "transactions"), &e,
                        "expected auto, on or off, found \"%s\"", c.transactions);
        mistake(b, &e);
    }
    b->out->listen = c.listen;
    c.listen = NULL;
    klx_config_unbind(klx_collector_fields, &c);
}

static void bind_all(struct binder *b, const struct klx_settings *s) {
    const struct klx_config_node *n = s->clusters != NULL ? klx_config_first(s->clusters) : NULL;
    if (s->collector != NULL) {
        bind_collector(b, s->collector);
    }
    for (; n != NULL; n = klx_config_next(n)) {
        add_cluster(b, n);
    }
}

size_t klx_collector_settings_bind(const struct klx_settings *s, struct klx_collector_settings *ret,
                                   klx_config_report_fn report, void *arg) {
    *ret = (struct klx_collector_settings){ 0 };
    struct binder b = { .out = ret, .report = report, .arg = arg };
    bind_all(&b, s);
    return b.mistakes;
}

static void keep_first(void *arg, const char *text) {
    struct klx_error *e = arg;
    if (e->code == 0) {
        klx_fail(e, -EINVAL, "%s", text);
    }
}

int klx_cluster_settings_complete(struct klx_cluster_settings *c, struct klx_error *e) {
    return c->azure == NULL
               ? 0
               : klx_azure_settings_complete(c->azure, klx_config_get(c->at, "azure"), e);
}

int klx_collector_settings_load(const struct klx_settings *s, struct klx_collector_settings *ret,
                                struct klx_error *e) {
    struct klx_collector_settings c = { .kafka = klx_kafka_config_new() };
    struct klx_error first = { 0 };
    struct binder b = { .out = &c, .report = keep_first, .arg = &first };
    b.mistakes = klx_kafka_config_bind(c.kafka, s->kafka, keep_first, &first);
    bind_all(&b, s);
    for (size_t i = 0; i < c.clusters_n && b.mistakes == 0; i++) {
        struct klx_error why;
        if (klx_cluster_settings_complete(&c.clusters[i], &why) != 0) {
            klx_fail(&first, why.code, "%s", why.text);
            b.mistakes++;
        }
    }
    if (b.mistakes == 0 && c.clusters_n == 0) {
        klx_fail(&first, -EINVAL, "no clusters are configured: add an item to `clusters:`");
        b.mistakes++;
    }
    if (b.mistakes > 0) {
        klx_collector_settings_release(&c);
        return klx_fail(e, first.code, "%s", first.text);
    }
    *ret = c;
    return 0;
}

void klx_collector_settings_release(struct klx_collector_settings *c) {
    for (size_t i = 0; i < c->clusters_n; i++) {
        free(c->clusters[i].name);
        free(c->clusters[i].kubeconfig);
        free(c->clusters[i].context);
        klx_azure_settings_free(c->clusters[i].azure);
        free(c->clusters[i].lease.namespace);
        free(c->clusters[i].lease.name);
        for (size_t k = 0; k < c->clusters[i].sources_n; k++) {
            klx_source_settings_release(&c->clusters[i].sources[k]);
        }
        klx_detector_settings_release(&c->clusters[i].detectors);
        klx_canary_settings_release(&c->clusters[i].canary);
    }
    free(c->clusters);
    free(c->listen);
    klx_kafka_config_free(c->kafka);
    *c = (struct klx_collector_settings){ 0 };
}
