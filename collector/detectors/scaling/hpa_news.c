#include "collector/detectors/scaling/hpa_news.h"

#include <string.h>

static void write_metrics(struct klx_jw *w, const struct klx_hpa_view *v) {
    klx_jw_key(w, "metrics");
    klx_jw_begin_array(w);
    for (size_t i = 0; i < v->metrics_n; i++) {
        const struct klx_hpa_metric *m = &v->metrics[i];
        klx_jw_begin_object(w);
        klx_jw_member_sv(w, "type", m->type);
        klx_jw_member_sv(w, "name", m->name);
        klx_jw_member_sv_opt(w, "container", m->container);
        klx_jw_member_sv_opt(w, "value", m->value);
        klx_jw_member_sv(w, "target", m->target);
        if (m->ratio >= 0) {
            klx_jw_member_int(w, "percent",
                              m->ratio < 1e6 ? (int64_t)(m->ratio * 100 + 0.5) : 100000000);
        }
        klx_jw_end_object(w);
    }
    klx_jw_end_array(w);
}

static void write_hpa(struct klx_jw *w, const struct klx_hpa_news *n) {
    klx_jw_key(w, "hpa");
    klx_jw_begin_object(w);
    klx_jw_key(w, "target");
    klx_jw_begin_object(w);
    klx_jw_member_str(w, "kind", n->h->target_kind);
    klx_jw_member_str(w, "name", n->h->target_name);
    klx_jw_end_object(w);
    klx_jw_member_int(w, "min", n->h->min);
    klx_jw_member_int(w, "max", n->h->max);
    if (n->h->desired >= 0) {
        klx_jw_member_int(w, "desired", n->h->desired);
    }
    if (n->v != NULL && n->v->current >= 0) {
        klx_jw_member_int(w, "current", n->v->current);
    }
    klx_jw_member_time(w, "lastScale", n->h->scaled_us);
    if (n->v != NULL) {
        write_metrics(w, n->v);
    }
    klx_jw_end_object(w);
}

static void write_bounds(struct klx_jw *w, const struct klx_hpa_news *n) {
    klx_jw_key(w, "bounds");
    klx_jw_begin_object(w);
    klx_jw_member_int(w, "oldMin", n->old_min);
    klx_jw_member_int(w, "oldMax", n->old_max);
    klx_jw_member_sv_opt(w, "by", n->writer->manager);
    klx_jw_member_sv_opt(w, "how", klx_sv(n->writer->how));
    klx_jw_end_object(w);
}

static void details(struct klx_jw *w, const void *arg) {
    const struct klx_hpa_news *n = arg;
    write_hpa(w, n);
    if (n->scaled) {
        klx_jw_key(w, "scaled");
        klx_jw_begin_object(w);
        klx_jw_member_int(w, "from", n->from);
        klx_jw_member_int(w, "to", n->to);
        klx_jw_member_sv_opt(w, "because", n->because);
        klx_jw_end_object(w);
    }
    if (n->writer != NULL) {
        write_bounds(w, n);
    }
    if (n->trouble != NULL) {
        if (n->trouble->since_us != n->trouble->episode.opened_us) {
            klx_jw_member_time(w, "since", n->trouble->since_us); /* this time: it came back */
        }
        klx_jw_member_sv_opt(w, "detail", klx_sv(n->trouble->detail));
    }
}

/* The managed add-on of Azure Monitor: what a person may not know of this one (facts: azure.md 2.2). */
static const char *hint_for(const struct klx_hpa_state *h, enum klx_kind kind) {
    bool ama = strcmp(h->namespace, "kube-system") == 0 && strcmp(h->name, "ama-metrics-hpa") == 0;
    if (!ama) {
        return NULL;
    }
    switch (kind) {
    case KLX_KIND_HPA_AT_MAX:
        return "Raise spec.maxReplicas with kubectl patch, which survives the add-on's "
               "reconciliation "
               "within its limits, or scrape less. The memory target cannot be changed.";
    case KLX_KIND_HPA_AT_MIN:
    case KLX_KIND_HPA_BLIND:
        return "Metrics collection does not follow the load meanwhile: look at metrics-server, and "
               "at "
               "the ama-metrics pods for OOM kills.";
    case KLX_KIND_HPA_BOUNDS_CHANGED:
        return "The add-on's reconciliation keeps a minimum and a maximum that it finds acceptable "
               "and "
               "puts its own in place of others.";
    default:
        return NULL;
    }
}

void klx_hpa_tell(struct klx_news_call *c, const struct klx_hpa_news *n, struct klx_news m) {
    const struct klx_news_object about = {
        .kind = "HorizontalPodAutoscaler",
        .api_version = "autoscaling/v2",
        .source = "hpa",
        .namespace = n->h->namespace,
        .name = n->h->name,
        .uid = n->h->uid,
        .labels = n->h->labels,
    };
    m.details = details;
    m.arg = n;
    m.hint = klx_sv(hint_for(n->h, m.kind));
    klx_news_tell(c, &about, &m);
}
