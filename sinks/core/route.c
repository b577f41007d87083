#include "sinks/core/route.h"

#include <stdlib.h>

#include "lib/base/mem.h"

struct klx_route {
    const struct klx_sinks_settings *settings;
    const struct klx_sink_ops *ops;
    struct {
        const struct klx_subscription_settings **items;
        size_t n;
    } topics[KLX_TOPICS_N];
    uint64_t *told; /* of each channel: the number of the last event it was told of */
    bool *named;    /* of each channel: by some subscription */
    uint64_t event; /* the number of the event in hand */
    struct klx_target *targets;
};

static bool is_ours(const struct klx_route *r, size_t channel) {
    return r->settings->channels[channel].ops == r->ops;
}

static void add_subscription(struct klx_route *r, const struct klx_subscription_settings *s) {
    bool ours = false;
    for (size_t i = 0; i < s->channels_n; i++) {
        if (is_ours(r, s->channels[i])) {
            r->named[s->channels[i]] = true;
            ours = true;
        }
    }
    for (size_t t = 0; ours && t < KLX_TOPICS_N; t++) {
        if (s->topics[t]) {
            size_t n = r->topics[t].n++;
            r->topics[t].items =
                klx_grow_array(r->topics[t].items, n, n + 1, sizeof(*r->topics[t].items));
            r->topics[t].items[n] = s;
        }
    }
}

struct klx_route *klx_route_new(const struct klx_sinks_settings *s,
                                const struct klx_sink_ops *ops) {
    struct klx_route *r = klx_alloc(struct klx_route);
    r->settings = s;
    r->ops = ops;
    r->told = klx_alloc_n(uint64_t, s->channels_n);
    r->named = klx_alloc_n(bool, s->channels_n);
    r->targets = klx_alloc_n(struct klx_target, s->channels_n);
    for (size_t i = 0; i < s->subscriptions_n; i++) {
        add_subscription(r, &s->subscriptions[i]);
    }
    return r;
}

void klx_route_free(struct klx_route *r) {
    if (r == NULL) {
        return;
    }
    for (size_t t = 0; t < KLX_TOPICS_N; t++) {
        free(r->topics[t].items);
    }
    free(r->told);
    free(r->named);
    free(r->targets);
    free(r);
}

bool klx_route_reads(const struct klx_route *r, enum klx_topic topic) {
    return r->topics[topic].n > 0;
}

bool klx_route_names(const struct klx_route *r, size_t channel) {
    return r->named[channel];
}

/* The end of an incident is only info: whether it is told is decided by the data, which has the incident's worst severity. */
static bool attributes_match(const struct klx_subscription_settings *s, const struct klx_event *e) {
    bool is_history = e->resync && e->incident.n == 0;
    return (s->severities[e->severity] || e->phase == KLX_PHASE_RESOLVED) &&
           (s->history || !is_history) && klx_match_test(s->cluster, e->cluster);
}

static bool severity_matches(const struct klx_subscription_settings *s, const struct klx_event *e,
                             const struct klx_json *data) {
    enum klx_severity worst = e->severity;
    bool matches = s->severities[e->severity];
    if (e->phase == KLX_PHASE_RESOLVED &&
        klx_severity_parse(klx_json_str(data, "incident.severity"), &worst) == 0) {
        for (int i = 0; i <= (int)worst; i++) {
            matches = matches || s->severities[i];
        }
    }
    return matches;
}

static bool data_matches(const struct klx_subscription_settings *s, const struct klx_event *e,
                         const struct klx_json *data) {
    const struct klx_json *object = klx_json_get(data, "object");
    if (!severity_matches(s, e, data) ||
        !klx_match_test(s->namespace, klx_json_str(object, "namespace")) ||
        !klx_match_test(s->name, klx_json_str(object, "name")) ||
        !klx_match_test(s->kind, klx_json_str(object, "kind")) ||
        !klx_match_test(s->reason, klx_json_str(data, "reason"))) {
        return false;
    }
    const struct klx_json *labels = klx_json_get(data, "labels");
    for (size_t i = 0; i < s->labels_n; i++) {
        struct klx_sv value = klx_json_str(klx_json_member(labels, s->labels[i].key), "");
        if (!klx_match_test(s->labels[i].value, value)) {
            return false;
        }
    }
    return true;
}

bool klx_route_may_match(const struct klx_route *r, enum klx_topic topic,
                         const struct klx_event *e) {
    for (size_t i = 0; e->replay_id.n == 0 && i < r->topics[topic].n; i++) {
        if (attributes_match(r->topics[topic].items[i], e)) {
            return true;
        }
    }
    return false;
}

size_t klx_route_match(struct klx_route *r, enum klx_topic topic, const struct klx_event *e,
                       const struct klx_json *data, const struct klx_target **ret) {
    size_t n = 0;
    r->event++;
    for (size_t i = 0; e->replay_id.n == 0 && i < r->topics[topic].n; i++) {
        const struct klx_subscription_settings *s = r->topics[topic].items[i];
        if (!attributes_match(s, e) || !data_matches(s, e, data)) {
            continue;
        }
        for (size_t c = 0; c < s->channels_n; c++) {
            size_t channel = s->channels[c];
            if (is_ours(r, channel) && r->told[channel] != r->event) {
                r->told[channel] = r->event;
                r->targets[n++] = (struct klx_target){ channel, s };
            }
        }
    }
    *ret = r->targets;
    return n;
}
