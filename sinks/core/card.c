#include "sinks/core/card.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/time.h"
#include "lib/base/url.h"
#include "lib/base/utf8.h"
#include "sinks/core/card_digest.h"
#include "sinks/core/wording.h"

#define ACTIONS_SHOWN_MAX 6
#define METRICS_SHOWN_MAX 3
#define POOLS_SHOWN_MAX 4
#define RESOURCES_SHOWN_MAX 3
#define LINK_TITLE_BYTES_MAX 40
#define COMMIT_DIGITS 40
#define COMMIT_DIGITS_SHOWN 7
#define CODE_NAME_BYTES_MAX 253 /* a DNS subdomain, as Kubernetes wants names */

struct maker {
    struct klx_arena *arena;
    const struct klx_event *event;
    const struct klx_json *data;
    struct klx_card *card;
};

static struct klx_sv line(struct maker *m, struct klx_sv text, size_t bytes_max) {
    struct klx_buf b KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&b, bytes_max + 1);
    klx_utf8_line(&b, text, bytes_max);
    return klx_arena_dup(m->arena, klx_buf_sv(&b));
}

static void add_fact(struct maker *m, const char *name, struct klx_sv value) {
    struct klx_card *c = m->card;
    struct klx_sv shown = line(m, value, KLX_CARD_FACT_BYTES_MAX);
    if (shown.n > 0 && c->facts_n < KLX_CARD_FACTS_MAX) {
        c->facts[c->facts_n++] = (struct klx_card_fact){ klx_sv(name), shown };
    }
}

/* "2026-03-11 08:02:18 UTC" */
static struct klx_sv instant(struct maker *m, int64_t us) {
    char text[KLX_TIME_TEXT_BYTES];
    size_t n = klx_time_format(us, KLX_TIME_SECONDS, text);
    return n < 20
               ? klx_sv(NULL)
               : klx_arena_printf(m->arena, "%.10s %.8s UTC", text, text + strlen("2026-03-11T"));
}

static int64_t time_at(const struct klx_json *node, const char *path) {
    int64_t us = KLX_TIME_NONE;
    return klx_time_parse(klx_json_str(node, path), &us) == 0 ? us : KLX_TIME_NONE;
}

/* The instant, and how long before the event it was. */
static void add_since(struct maker *m, const char *name, const char *path) {
    int64_t since_us = time_at(m->data, path);
    if (since_us == KLX_TIME_NONE) {
        return;
    }
    int64_t ago_us = m->event->time_us - since_us;
    char words[KLX_TIME_TEXT_BYTES];
    klx_duration_words(ago_us / KLX_US_PER_MS, words);
    struct klx_sv at = instant(m, since_us);
    add_fact(m, name,
             ago_us < KLX_US_PER_S
                 ? at
                 : klx_arena_printf(m->arena, "%.*s (%s)", KLX_SV_FMT(at), words));
}

static void add_clock(struct klx_buf *b, const char *before, int64_t us) {
    char text[KLX_TIME_TEXT_BYTES];
    klx_time_format(us, KLX_TIME_SECONDS, text);
    klx_buf_printf(b, "%s%.5s", before, text + strlen("2026-03-11T"));
}

static void add_action(struct klx_buf *b, const struct klx_json *action) {
    int64_t started_us = time_at(action, "started"), ended_us = time_at(action, "ended"),
            failed_us = time_at(action, "failed");
    klx_buf_printf(b, "%s%.*s", b->len > 0 ? ", " : "", KLX_SV_FMT(klx_json_str(action, "action")));
    if (started_us != KLX_TIME_NONE) {
        add_clock(b, " ", started_us);
    }
    if (failed_us != KLX_TIME_NONE) {
        add_clock(b, ", failed ", failed_us);
    } else if (ended_us != KLX_TIME_NONE) {
        add_clock(b, "–", ended_us);
    } else if (started_us != KLX_TIME_NONE) {
        klx_buf_add_str(b, ", under way");
    }
}

/* "reboot 08:02–08:03, reimage 08:10, under way": the last ones, when there are many. */
static void add_actions(struct maker *m) {
    struct klx_buf b KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&b, 4096);
    size_t n = 0, i = 0;
    const struct klx_json *first = klx_json_first(klx_json_get(m->data, "incident.actions"));
    for (const struct klx_json *a = first; a != NULL; a = klx_json_next(a)) {
        n++;
    }
    for (const struct klx_json *a = first; a != NULL; a = klx_json_next(a), i++) {
        if (i + ACTIONS_SHOWN_MAX >= n) {
            add_action(&b, a);
        }
    }
    int64_t total = klx_json_int(m->data, "incident.actionsTotal", (int64_t)n);
    if (total > ACTIONS_SHOWN_MAX) {
        klx_buf_printf(&b, " (the last of %lld)", (long long)total);
    }
    add_fact(m, "Auto-repair", klx_buf_sv(&b));
}

static struct klx_sv object_name(struct maker *m) {
    struct klx_sv ns = klx_json_str(m->data, "object.namespace");
    struct klx_sv name = klx_json_str(m->data, "object.name");
    return ns.n == 0 ? name
                     : klx_arena_printf(m->arena, "%.*s/%.*s", KLX_SV_FMT(ns), KLX_SV_FMT(name));
}

static struct klx_sv object_kind(const struct maker *m) {
    struct klx_sv kind = klx_json_str(m->data, "object.kind");
    return kind.n > 0 ? kind : KLX_SV("Object");
}

/* It is about the cluster itself. */
static bool is_cluster(const struct maker *m) {
    return klx_sv_eq(object_kind(m), KLX_SV("Cluster")) &&
           klx_sv_eq(klx_json_str(m->data, "object.name"), m->event->cluster);
}

static struct klx_sv label(const struct maker *m, struct klx_sv key) {
    return klx_json_str(klx_json_member(klx_json_get(m->data, "labels"), key), "");
}

/* "6 of 30 not ready" */
static struct klx_sv lost_of(struct maker *m, const struct klx_json *counts) {
    return klx_arena_printf(m->arena, "%lld of %lld not ready",
                            (long long)klx_json_int(counts, "lost", 0),
                            (long long)klx_json_int(counts, "known", 0));
}

/* Of the loss of many: how many, and in which pools. */
static void add_burst_facts(struct maker *m) {
    const struct klx_json *nodes = klx_json_get(m->data, "nodes");
    const struct klx_json *pool = klx_json_first(klx_json_get(m->data, "pools"));
    size_t shown = 0;
    if (nodes == NULL) {
        return;
    }
    add_fact(m, "Nodes", lost_of(m, nodes));
    for (; pool != NULL && shown < POOLS_SHOWN_MAX; pool = klx_json_next(pool)) {
        if (klx_json_int(pool, "lost", 0) > 0) {
            add_fact(m, "Pool",
                     klx_arena_printf(m->arena, "%.*s: %.*s",
                                      KLX_SV_FMT(klx_json_str(pool, "name")),
                                      KLX_SV_FMT(lost_of(m, pool))));
            shown++;
        }
    }
}

static void add_node_facts(struct maker *m) {
    const struct klx_json *ready = klx_json_get(m->data, "ready");
    struct klx_sv pool = label(m, KLX_SV("kubernetes.azure.com/agentpool"));
    add_fact(m, "Pool", pool.n > 0 ? pool : klx_json_str(m->data, "labels.agentpool"));
    add_fact(m, "Zone", label(m, KLX_SV("topology.kubernetes.io/zone")));
    add_fact(m, "Size", label(m, KLX_SV("node.kubernetes.io/instance-type")));
    add_fact(m, "VM event", klx_json_str(m->data, "vmEvent"));
    add_fact(m, "Part of", klx_json_str(m->data, "during.what"));
    add_burst_facts(m);
    if (ready != NULL) {
        add_since(m, klx_json_bool(ready, "", false) ? "Ready since" : "Not ready since",
                  "readySince");
    }
    add_actions(m);
    if (klx_json_bool(m->data, "upgrade", false)) {
        add_fact(m, "Upgrade", KLX_SV("in progress on this node"));
    }
}

/* "2–12" */
static struct klx_sv bounds(struct maker *m, const char *min, const char *max) {
    return klx_arena_printf(m->arena, "%lld–%lld", (long long)klx_json_int(m->data, min, 0),
                            (long long)klx_json_int(m->data, max, 0));
}

static void add_metrics(struct maker *m) {
    const struct klx_json *metric = klx_json_first(klx_json_get(m->data, "hpa.metrics"));
    for (size_t i = 0; metric != NULL && i < METRICS_SHOWN_MAX;
         metric = klx_json_next(metric), i++) {
        struct klx_sv value = klx_json_str(metric, "value"),
                      container = klx_json_str(metric, "container");
        if (value.n > 0) {
            add_fact(m, "Metric",
                     klx_arena_printf(m->arena, "%.*s%s%.*s %.*s against %.*s (%lld %%)",
                                      KLX_SV_FMT(klx_json_str(metric, "name")),
                                      container.n > 0 ? " of " : "", KLX_SV_FMT(container),
                                      KLX_SV_FMT(value), KLX_SV_FMT(klx_json_str(metric, "target")),
                                      (long long)klx_json_int(metric, "percent", 0)));
        }
    }
}

static void add_hpa_facts(struct maker *m) {
    const struct klx_json *hpa = klx_json_get(m->data, "hpa");
    int64_t desired = klx_json_int(hpa, "desired", -1),
            from = klx_json_int(m->data, "scaled.from", -1);
    if (hpa == NULL) {
        return;
    }
    add_fact(m, "Scales",
             klx_arena_printf(m->arena, "%.*s %.*s", KLX_SV_FMT(klx_json_str(hpa, "target.kind")),
                              KLX_SV_FMT(klx_json_str(hpa, "target.name"))));
    struct klx_sv within = bounds(m, "hpa.min", "hpa.max");
    if (from >= 0) {
        add_fact(m, "Replicas",
                 klx_arena_printf(m->arena, "%lld → %lld (bounds %.*s)", (long long)from,
                                  (long long)klx_json_int(m->data, "scaled.to", 0),
                                  KLX_SV_FMT(within)));
    } else if (desired >= 0) {
        add_fact(m, "Replicas",
                 klx_arena_printf(m->arena, "%lld (bounds %.*s)", (long long)desired,
                                  KLX_SV_FMT(within)));
    }
    if (klx_json_get(m->data, "bounds") != NULL) {
        add_fact(m, "Bounds",
                 klx_arena_printf(m->arena, "%.*s → %.*s",
                                  KLX_SV_FMT(bounds(m, "bounds.oldMin", "bounds.oldMax")),
                                  KLX_SV_FMT(within)));
        add_fact(m, "Changed by", klx_json_str(m->data, "bounds.by"));
    }
    add_metrics(m);
}

static void add_container_facts(struct maker *m) {
    const struct klx_json *c = klx_json_get(m->data, "container");
    struct klx_sv kind = klx_json_str(m->data, "workload.kind");
    if (c == NULL) {
        return;
    }
    add_fact(m, "Container", klx_json_str(c, "name"));
    if (kind.n > 0) {
        add_fact(m, "Workload",
                 klx_arena_printf(m->arena, "%.*s %.*s", KLX_SV_FMT(kind),
                                  KLX_SV_FMT(klx_json_str(m->data, "workload.name"))));
    }
    add_fact(m, "Node", klx_json_str(m->data, "node"));
    add_fact(m, "Memory limit", klx_json_str(c, "limit"));
    int64_t ooms = klx_json_int(m->data, "incident.oomKills", 0);
    if (ooms > 0) {
        add_fact(m, "OOM kills", klx_arena_printf(m->arena, "%lld", (long long)ooms));
    }
}

static struct klx_sv bytes_text(struct maker *m, int64_t bytes) {
    static const char *const suffixes[] = { "", "Ki", "Mi", "Gi", "Ti" };
    double value = (double)bytes;
    size_t i = 0;
    while (value >= 1024 && i + 1 < sizeof(suffixes) / sizeof(suffixes[0])) {
        value /= 1024;
        i++;
    }
    return klx_arena_printf(m->arena, value < 100 && i > 0 ? "%.1f%s" : "%.0f%s", value,
                            suffixes[i]);
}

/* "12.6Gi (90 % of the limit), 300.0Mi a minute" */
static void add_memory_facts(struct maker *m) {
    const struct klx_json *memory = klx_json_get(m->data, "memory");
    if (memory == NULL) {
        return;
    }
    bool rising = klx_json_bool(memory, "rising", false);
    struct klx_sv used = bytes_text(m, klx_json_int(memory, "bytes", 0));
    struct klx_sv rate = bytes_text(m, klx_json_int(memory, "bytesPerMinute", 0));
    struct klx_sv growth =
        rising ? klx_arena_printf(m->arena, ", growing by %.*s a minute", KLX_SV_FMT(rate))
               : klx_sv("");
    add_fact(m, "Memory",
             klx_arena_printf(m->arena, "%.*s (%lld %% of the limit)%.*s", KLX_SV_FMT(used),
                              (long long)klx_json_int(memory, "percent", 0), KLX_SV_FMT(growth)));
    int64_t reached_us = time_at(m->data, "limitReached");
    if (reached_us != KLX_TIME_NONE) {
        add_fact(m, "Limit reached", instant(m, reached_us));
    }
}

/* "1111111 → 2222222": of commits the beginning. */
static void add_revisions(struct maker *m) {
    struct klx_sv from = klx_json_str(m->data, "revision.from"),
                  to = klx_json_str(m->data, "revision.to");
    from = from.n == COMMIT_DIGITS ? klx_sv_n(from.p, COMMIT_DIGITS_SHOWN) : from;
    to = to.n == COMMIT_DIGITS ? klx_sv_n(to.p, COMMIT_DIGITS_SHOWN) : to;
    if (from.n > 0 && to.n > 0 && !klx_sv_eq(from, to)) {
        add_fact(m, "Revision",
                 klx_arena_printf(m->arena, "%.*s → %.*s", KLX_SV_FMT(from), KLX_SV_FMT(to)));
    } else {
        add_fact(m, "Revision", to.n > 0 ? to : from);
    }
}

static void add_resource(struct klx_buf *b, const struct klx_json *r) {
    struct klx_sv ns = klx_json_str(r, "namespace"), message = klx_json_str(r, "message");
    klx_buf_printf(b, "%s%.*s %.*s%s%.*s", b->len > 0 ? ", " : "",
                   KLX_SV_FMT(klx_json_str(r, "kind")), KLX_SV_FMT(ns), ns.n > 0 ? "/" : "",
                   KLX_SV_FMT(klx_json_str(r, "name")));
    if (message.n > 0) {
        klx_buf_printf(b, " (%.*s)", KLX_SV_FMT(message));
    }
}

static void add_resources(struct maker *m) {
    struct klx_buf b KLX_CLEANUP(klx_buf_release);
    int64_t shown = 0, total = klx_json_int(m->data, "resourcesTotal", 0);
    const struct klx_json *r = klx_json_first(klx_json_get(m->data, "resources"));
    klx_buf_init(&b, 8192);
    for (; r != NULL && shown < RESOURCES_SHOWN_MAX; r = klx_json_next(r), shown++) {
        add_resource(&b, r);
    }
    if (total > shown) {
        klx_buf_printf(&b, " and %lld more", (long long)(total - shown));
    }
    add_fact(m, "Resources", klx_buf_sv(&b));
}

static void add_app_facts(struct maker *m) {
    const struct klx_json *app = klx_json_get(m->data, "app");
    if (app == NULL) {
        return;
    }
    struct klx_sv health = klx_json_str(m->data, "status.health"),
                  sync = klx_json_str(m->data, "status.sync");
    add_fact(m, "Project", klx_json_str(app, "project"));
    add_fact(m, "By", klx_json_str(m->data, "by"));
    add_revisions(m);
    add_fact(m, "Status",
             klx_arena_printf(m->arena, "%.*s%s%.*s", KLX_SV_FMT(sync),
                              sync.n > 0 && health.n > 0 ? ", " : "", KLX_SV_FMT(health)));
    add_resources(m);
}

static void add_rollout_facts(struct maker *m) {
    const struct klx_json *r = klx_json_get(m->data, "rollout");
    int64_t step = klx_json_int(r, "step", -1), steps = klx_json_int(r, "steps", 0);
    int64_t ends_us = time_at(m->data, "ends");
    if (r == NULL) {
        return;
    }
    add_fact(m, "Strategy", klx_json_str(r, "strategy"));
    add_fact(m, "Version", klx_json_str(r, "podHash"));
    add_fact(m, "Stable", klx_json_str(r, "stable"));
    if (step >= 0 && steps > 0) {
        add_fact(m, "Step",
                 klx_arena_printf(m->arena, "%lld of %lld", (long long)step, (long long)steps));
    }
    add_fact(m, "Analysis", klx_json_str(r, "analysis"));
    add_fact(m, "By", klx_json_str(m->data, "by"));
    if (ends_us != KLX_TIME_NONE) {
        add_fact(m, "Goes on at", instant(m, ends_us));
    }
}

static void add_node(struct klx_buf *b, const struct klx_json *node) {
    struct klx_jw w;
    klx_jw_init(&w, b);
    klx_jw_node(&w, node);
}

/* "spec.replicas: 3 → 5" */
static void add_changes(struct maker *m) {
    struct klx_buf b KLX_CLEANUP(klx_buf_release);
    const struct klx_json *c = klx_json_first(klx_json_get(m->data, "changes"));
    klx_buf_init(&b, 65536);
    for (; c != NULL && klx_json_is_object(c); c = klx_json_next(c)) {
        klx_buf_printf(&b, "%s%.*s: ", b.len > 0 ? ", " : "", KLX_SV_FMT(klx_json_str(c, "field")));
        add_node(&b, klx_json_get(c, "old"));
        klx_buf_add_str(&b, " → ");
        add_node(&b, klx_json_get(c, "new"));
    }
    add_fact(m, "Changes", klx_buf_sv(&b));
}

/* "error-rate: [0.041], [0.052]" */
static void add_measured(struct maker *m) {
    struct klx_buf b KLX_CLEANUP(klx_buf_release);
    const struct klx_json *i = klx_json_first(klx_json_get(m->data, "analysisRun.metrics"));
    klx_buf_init(&b, 65536);
    for (; i != NULL; i = klx_json_next(i)) {
        const struct klx_json *v = klx_json_first(klx_json_get(i, "values"));
        klx_buf_printf(&b, "%s%.*s", b.len > 0 ? "; " : "", KLX_SV_FMT(klx_json_str(i, "name")));
        for (const char *before = ": "; v != NULL; v = klx_json_next(v), before = ", ") {
            klx_buf_printf(&b, "%s%.*s", before, KLX_SV_FMT(klx_json_str(v, "")));
        }
    }
    add_fact(m, "Measured", klx_buf_sv(&b));
}

static void add_application_set_facts(struct maker *m) {
    int64_t n = klx_json_int(m->data, "applications.count", -1);
    if (n >= 0) {
        add_fact(m, "Applications", klx_arena_printf(m->arena, "%lld", (long long)n));
    }
}

/* "41 of 412: argocd/shop, argocd/web": counts and some names. */
static void add_counted(struct maker *m, const char *title, const struct klx_json *r,
                        const char *count) {
    struct klx_buf b KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&b, 4096);
    klx_buf_printf(&b, "%lld of %lld", (long long)klx_json_int(r, count, 0),
                   (long long)klx_json_int(r, "known", 0));
    const struct klx_json *name = klx_json_first(klx_json_get(r, "names"));
    for (const char *before = ": "; name != NULL; name = klx_json_next(name), before = ", ") {
        klx_buf_printf(&b, "%s%.*s", before, KLX_SV_FMT(klx_json_str(name, "")));
    }
    add_fact(m, title, klx_buf_sv(&b));
}

static void add_refresh_facts(struct maker *m) {
    const struct klx_json *r = klx_json_get(m->data, "refresh");
    if (klx_json_int(r, "stalled", 0) > 0) {
        add_counted(m, "Not refreshed", r, "stalled");
    }
}

/* "21 of 30: aks-1, aks-2" */
static void add_spread_facts(struct maker *m) {
    const struct klx_json *r = klx_json_get(m->data, "affected");
    if (r != NULL) {
        add_counted(m, "Nodes", r, "nodes");
    }
}

static void add_facts(struct maker *m) {
    struct klx_sv name = object_name(m);
    add_fact(m, "Cluster", m->event->cluster);
    struct klx_sv kind = line(m, object_kind(m), 40);
    if (!is_cluster(m)) {
        add_fact(m, kind.p, name);
    }
    add_fact(m, "Reason", klx_json_str(m->data, "reason"));
    add_fact(m, "Component", klx_json_str(m->data, "component"));
    int64_t count = klx_json_int(m->data, "count", 0);
    if (count > 1) {
        add_fact(m, "Seen", klx_arena_printf(m->arena, "%lld times", (long long)count));
    }
    add_node_facts(m);
    add_hpa_facts(m);
    add_container_facts(m);
    add_memory_facts(m);
    add_app_facts(m);
    add_rollout_facts(m);
    add_measured(m);
    add_application_set_facts(m);
    add_refresh_facts(m);
    add_spread_facts(m);
    add_changes(m);
    add_fact(m, "Note", klx_json_str(m->data, "hint"));
    add_since(m, m->event->kind == KLX_KIND_WATCH_GAP ? "From" : "Since", "since");
    add_since(m, "Incident began", "incident.opened");
}

static bool is_plain_name(struct klx_sv s, bool empty_is) {
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool inner = c == '-' || c == '.';
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
              (inner && i > 0 && i + 1 < s.n))) {
            return false;
        }
    }
    return s.n > 0 ? s.n <= CODE_NAME_BYTES_MAX : empty_is;
}

static bool is_word(struct klx_sv s) {
    for (size_t i = 0; i < s.n; i++) {
        if (!isalnum((unsigned char)s.p[i])) {
            return false;
        }
    }
    return s.n > 0 && s.n <= 63;
}

/* A command that a person may copy without looking at it: only from names that cannot be anything else. */
static struct klx_sv make_code(struct maker *m) {
    struct klx_sv kind = klx_json_str(m->data, "object.kind");
    struct klx_sv name = klx_json_str(m->data, "object.name");
    struct klx_sv ns = klx_json_str(m->data, "object.namespace");
    bool ours = klx_sv_eq(kind, KLX_SV("Watch")) || klx_sv_eq(kind, KLX_SV("Channel")) ||
                klx_sv_eq(kind, KLX_SV("Endpoint")) || klx_sv_eq(kind, KLX_SV("Configuration"));
    bool gone =
        m->event->kind == KLX_KIND_NODE_REMOVED || m->event->kind == KLX_KIND_NODE_VANISHED ||
        m->event->kind == KLX_KIND_HPA_REMOVED || m->event->kind == KLX_KIND_POD_GONE ||
        m->event->kind == KLX_KIND_APP_DELETED || m->event->kind == KLX_KIND_ROLLOUT_REMOVED ||
        m->event->kind == KLX_KIND_APPSET_REMOVED || m->event->kind == KLX_KIND_OBJECT_VANISHED;
    if (is_cluster(m)) {
        return klx_json_get(m->data, "refresh") != NULL
                   ? KLX_SV("kubectl get pods -A -l "
                            "app.kubernetes.io/name=argocd-application-controller")
                   : KLX_SV("kubectl get nodes");
    }
    if (ours || gone || !is_word(kind) || !is_plain_name(name, false) || !is_plain_name(ns, true)) {
        return klx_sv("");
    }
    struct klx_sv container = klx_json_str(m->data, "container.name");
    bool exits = m->event->kind == KLX_KIND_POD_CRASH_LOOP || m->event->kind == KLX_KIND_POD_KILLED;
    if (exits && ns.n > 0 && is_plain_name(container, false)) {
        return klx_arena_printf(m->arena, "kubectl logs %.*s -n %.*s -c %.*s --previous",
                                KLX_SV_FMT(name), KLX_SV_FMT(ns), KLX_SV_FMT(container));
    }
    return ns.n > 0 ? klx_arena_printf(m->arena, "kubectl describe %.*s %.*s -n %.*s",
                                       KLX_SV_FMT(kind), KLX_SV_FMT(name), KLX_SV_FMT(ns))
                    : klx_arena_printf(m->arena, "kubectl describe %.*s %.*s", KLX_SV_FMT(kind),
                                       KLX_SV_FMT(name));
}

static void add_link(struct maker *m, struct klx_sv title, struct klx_sv url) {
    struct klx_card *c = m->card;
    for (size_t i = 0; i < c->links_n; i++) {
        if (klx_sv_eq(c->links[i].title, title)) {
            return;
        }
    }
    if (c->links_n < KLX_CARD_LINKS_MAX && url.p != NULL && title.n > 0) {
        c->links[c->links_n++] = (struct klx_link){ title, url };
    }
}

/* Those that the event has: whoever wrote them, only a plain address is shown. */
static void add_own_links(struct maker *m) {
    const struct klx_json *link = klx_json_first(klx_json_get(m->data, "links"));
    for (; link != NULL && m->card->links_n < KLX_CARD_LINKS_MAX; link = klx_json_next(link)) {
        struct klx_sv url = klx_json_str(link, "url"), title = klx_json_str(link, "title");
        if (klx_url_is_link(url)) {
            add_link(m, line(m, title.n > 0 ? title : KLX_SV("Details"), LINK_TITLE_BYTES_MAX),
                     klx_arena_dup(m->arena, url));
        }
    }
}

static void make_links(struct maker *m, const struct klx_links *configured) {
    struct klx_link more[KLX_LINKS_MAX];
    add_own_links(m);
    size_t n = klx_links_make(configured, m->arena, m->event, m->data, more);
    for (size_t i = 0; i < n; i++) {
        add_link(m, more[i].title, more[i].url);
    }
    if (m->card->links_n > 0) {
        m->card->link = m->card->links[0].url;
        m->card->link_title = m->card->links[0].title;
    }
}

static struct klx_sv make_state(struct maker *m, enum klx_notice_reason reason) {
    if (reason == KLX_NOTICE_REMINDER) {
        return KLX_SV("still open");
    }
    if (reason == KLX_NOTICE_ESCALATION) {
        return KLX_SV("escalated, nobody has acknowledged it");
    }
    switch (m->event->phase) {
    case KLX_PHASE_OPEN:
        return KLX_SV("opened");
    case KLX_PHASE_UPDATE:
        return klx_arena_printf(m->arena, "update %u", m->event->incident_seq);
    case KLX_PHASE_RESOLVED:
        return KLX_SV("resolved");
    case KLX_PHASE_NONE:
        break;
    }
    return klx_sv("");
}

static struct klx_sv make_footer(struct maker *m, struct klx_sv team,
                                 const struct klx_digest *digest) {
    struct klx_buf b KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&b, 1024);
    klx_buf_add_str(&b, "klaxon");
    if (team.n > 0) {
        klx_buf_add_str(&b, " · ");
        klx_utf8_line(&b, team, 100);
    }
    if (digest == NULL && m->event->incident.n > 0) {
        klx_buf_add_str(&b, " · incident ");
        klx_utf8_line(&b, klx_sv_utf8_prefix(m->event->incident, 8), 8);
    }
    struct klx_sv at = instant(m, digest != NULL ? digest->until_us : m->event->time_us);
    bool listed = digest == NULL && m->event->resync;
    klx_buf_printf(&b, " · %.*s%s", KLX_SV_FMT(at), listed ? " · seen in a list" : "");
    return klx_arena_dup(m->arena, klx_buf_sv(&b));
}

const char *klx_card_word(const struct klx_card *card) {
    static const char *const words[] = {
        [KLX_SEVERITY_INFO] = "",
        [KLX_SEVERITY_WARNING] = "Warning",
        [KLX_SEVERITY_CRITICAL] = "Critical",
    };
    return card->resolved ? "Resolved" : words[card->severity];
}

/* The footer is made last: when there was no room for it, something before it may be missing as well. */
static int finish(struct maker *m, const struct klx_notice *notice, struct klx_card *ret) {
    struct klx_card *c = m->card;
    c->footer = make_footer(m, notice->team, notice->digest);
    if (c->footer.p == NULL || c->subject.p == NULL || c->summary.p == NULL) {
        return -ENOMEM;
    }
    *ret = *c;
    return 0;
}

static int make_digest(struct klx_arena *a, const struct klx_notice *notice, struct klx_card *ret) {
    struct klx_card c = { .severity = notice->event->severity };
    struct maker m = { a, notice->event, notice->data, &c };
    klx_card_fill_digest(a, notice->digest, &c);
    return finish(&m, notice, ret);
}

static int make_event(struct klx_arena *a, const struct klx_notice *notice, struct klx_card *ret) {
    const struct klx_event *e = notice->event;
    bool known = e->kind < KLX_KINDS_N;
    struct klx_card c = { .severity = e->severity, .resolved = e->phase == KLX_PHASE_RESOLVED };
    struct maker m = { a, e, notice->data, &c };
    struct klx_sv name = object_name(&m), kind = object_kind(&m);
    struct klx_sv where =
        is_cluster(&m) ? klx_sv("") : klx_arena_printf(a, " (%.*s)", KLX_SV_FMT(e->cluster));
    c.subject = line(
        &m,
        klx_arena_printf(a, "%.*s %.*s%.*s", KLX_SV_FMT(kind), KLX_SV_FMT(name), KLX_SV_FMT(where)),
        KLX_CARD_LINE_BYTES_MAX);
    c.title =
        known ? klx_sv(klx_kind_specs[e->kind].title) : line(&m, e->type, KLX_CARD_LINE_BYTES_MAX);
    c.state = make_state(&m, notice->reason);
    struct klx_sv summary = klx_json_str(notice->data, "summary");
    c.summary = line(&m, summary.n > 0 ? summary : c.title, KLX_CARD_SUMMARY_BYTES_MAX);
    add_facts(&m);
    c.advice = known && !c.resolved && e->severity > KLX_SEVERITY_INFO
                   ? klx_sv(klx_kind_specs[e->kind].advice)
                   : klx_sv("");
    c.code = make_code(&m);
    make_links(&m, notice->links);
    return finish(&m, notice, ret);
}

int klx_card_make(struct klx_arena *a, const struct klx_notice *notice, struct klx_card *ret) {
    int rc = (notice->digest != NULL ? make_digest : make_event)(a, notice, ret);
    if (rc == 0 && notice->wording != NULL) {
        klx_wording_apply(a, notice, ret);
    }
    return rc;
}
