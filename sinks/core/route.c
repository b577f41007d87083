#include "sinks/core/route.h"

#include <stdlib.h>

#include "lib/base/mem.h"
#include "sinks/core/route_index.h"
#include "sinks/core/subject.h"

struct list {
    const struct klx_subscription_settings **items;
    size_t n, room;
};

struct by_topic {
    bool read; /* some subscription of it names a channel of this process */
    struct list all;
    struct klx_route_index *index;
    /* One for each way of asking for attributes, however many subscriptions ask so: whether the data is worth parsing. */
    struct list ways;
    struct klx_route_index *ways_index;
};

struct klx_route {
    const struct klx_sinks_settings *settings;
    const struct klx_sink_ops *ops;
    struct by_topic topics[KLX_TOPICS_N];
    uint64_t *told; /* of each channel: the number of the last event it was told of */
    bool *named;    /* of each channel: by some subscription */
    uint64_t event; /* the number of the event in hand */
    struct klx_target *targets;
    size_t *place; /* of each channel, when it is told: which of the targets it is */
};

static bool is_ours(const struct klx_route *r, size_t channel) {
    return r->settings->channels[channel].ops == r->ops;
}

static void append(struct list *l, const struct klx_subscription_settings *s) {
    if (l->n == l->room) {
        size_t room = l->room > 0 ? 2 * l->room : 8;
        l->items = klx_grow_array(l->items, l->room, room, sizeof(*l->items));
        l->room = room;
    }
    l->items[l->n++] = s;
}

static bool name_ours(struct klx_route *r, const size_t *channels, size_t n) {
    bool ours = false;
    for (size_t i = 0; i < n; i++) {
        if (is_ours(r, channels[i])) {
            r->named[channels[i]] = true;
            ours = true;
        }
    }
    return ours;
}

static void add_subscription(struct klx_route *r, const struct klx_subscription_settings *s) {
    bool told = name_ours(r, s->channels, s->channels_n);
    bool escalated = name_ours(r, s->escalate_to, s->escalate_to_n);
    bool ours = told || escalated;
    for (size_t t = 0; (ours || s->stops) && t < KLX_TOPICS_N; t++) {
        if (s->topics[t]) {
            r->topics[t].read = r->topics[t].read || ours;
            append(&r->topics[t].all, s);
        }
    }
}

/* Equal for those that the attributes of every event decide alike. */
static uint64_t way_of(const struct klx_subscription_settings *s) {
    uint64_t flags = s->history;
    for (int i = 0; i <= KLX_SEVERITY_CRITICAL; i++) {
        flags = flags << 1 | s->severities[i];
    }
    return klx_match_hash(s->event, klx_match_hash(s->cluster, flags));
}

struct way {
    uint64_t hash;
    const struct klx_subscription_settings *of;
};

static int compare_ways(const void *a, const void *b) {
    const struct way *x = a, *y = b;
    return x->hash < y->hash ? -1 : x->hash > y->hash;
}

static void find_ways(struct by_topic *t) {
    struct way *ways = klx_alloc_n(struct way, t->all.n);
    for (size_t i = 0; i < t->all.n; i++) {
        ways[i] = (struct way){ way_of(t->all.items[i]), t->all.items[i] };
    }
    qsort(ways, t->all.n, sizeof(struct way), compare_ways);
    for (size_t i = 0; i < t->all.n; i++) {
        if (i == 0 || ways[i].hash != ways[i - 1].hash) {
            append(&t->ways, ways[i].of);
        }
    }
    free(ways);
}

struct klx_route *klx_route_new(const struct klx_sinks_settings *s,
                                const struct klx_sink_ops *ops) {
    struct klx_route *r = klx_alloc(struct klx_route);
    r->settings = s;
    r->ops = ops;
    r->told = klx_alloc_n(uint64_t, s->channels_n);
    r->named = klx_alloc_n(bool, s->channels_n);
    r->targets = klx_alloc_n(struct klx_target, s->channels_n);
    r->place = klx_alloc_n(size_t, s->channels_n);
    for (size_t i = 0; i < s->subscriptions_n; i++) {
        add_subscription(r, &s->subscriptions[i]);
    }
    for (size_t i = 0; i < KLX_TOPICS_N; i++) {
        struct by_topic *t = &r->topics[i];
        if (t->read) {
            find_ways(t);
            t->index = klx_route_index_new(t->all.items, t->all.n, false);
            t->ways_index = klx_route_index_new(t->ways.items, t->ways.n, true);
        }
    }
    return r;
}

void klx_route_free(struct klx_route *r) {
    if (r == NULL) {
        return;
    }
    for (size_t t = 0; t < KLX_TOPICS_N; t++) {
        klx_route_index_free(r->topics[t].index);
        klx_route_index_free(r->topics[t].ways_index);
        free(r->topics[t].all.items);
        free(r->topics[t].ways.items);
    }
    free(r->told);
    free(r->named);
    free(r->targets);
    free(r->place);
    free(r);
}

bool klx_route_reads(const struct klx_route *r, enum klx_topic topic) {
    return r->topics[topic].read;
}

bool klx_route_names(const struct klx_route *r, size_t channel) {
    return r->named[channel];
}

bool klx_route_may_match(const struct klx_route *r, enum klx_topic topic,
                         const struct klx_event *e) {
    const struct by_topic *t = &r->topics[topic];
    if (!t->read || e->replay_id.n > 0) {
        return false;
    }
    struct klx_subject subject;
    struct klx_route_cursor c;
    klx_subject_init(&subject, e, NULL);
    klx_route_index_find(t->ways_index, &subject, &c);
    const struct klx_subscription_settings *s = klx_route_cursor_next(&c);
    while (s != NULL && !klx_subject_may_match(&subject, s)) {
        s = klx_route_cursor_next(&c);
    }
    return s != NULL;
}

/* Who is told in any case is not asked whether he was told of the incident, and does not wait for an escalation. */
static bool is_weaker(const struct klx_target *a, const struct klx_target *b) {
    return a->end_only != b->end_only ? a->end_only : a->escalation && !b->escalation;
}

/* n targets so far; how many then. */
static size_t add_target(struct klx_route *r, struct klx_target t, size_t n) {
    bool known = r->told[t.channel] == r->event;
    if (!is_ours(r, t.channel) || (known && !is_weaker(&r->targets[r->place[t.channel]], &t))) {
        return n;
    }
    r->place[t.channel] = known ? r->place[t.channel] : n;
    r->told[t.channel] = r->event;
    r->targets[r->place[t.channel]] = t;
    return known ? n : n + 1;
}

static size_t add_targets(struct klx_route *r, const struct klx_subject *subject,
                          const struct klx_subscription_settings *s, bool end_only, size_t n) {
    struct klx_target t = { .subscription = s,
                            .severity = klx_subject_told(subject, s),
                            .end_only = end_only };
    for (size_t c = 0; c < s->channels_n; c++) {
        t.channel = s->channels[c];
        n = add_target(r, t, n);
    }
    t.escalation = true;
    for (size_t c = 0; c < s->escalate_to_n && subject->event->incident.n > 0; c++) {
        t.channel = s->escalate_to[c];
        n = add_target(r, t, n);
    }
    return n;
}

size_t klx_route_match(struct klx_route *r, enum klx_topic topic, const struct klx_event *e,
                       const struct klx_json *data, const struct klx_target **ret) {
    const struct by_topic *t = &r->topics[topic];
    size_t n = 0;
    bool stop = !t->read || e->replay_id.n > 0;
    struct klx_subject subject;
    struct klx_route_cursor cursor = { .n = 0 };
    r->event++;
    *ret = r->targets;
    if (!stop) {
        klx_subject_init(&subject, e, data);
        klx_route_index_find(t->index, &subject, &cursor);
    }
    while (!stop) {
        const struct klx_subscription_settings *s = klx_route_cursor_next(&cursor);
        enum klx_subject_match match = s != NULL ? klx_subject_match(&subject, s) : KLX_MATCH_NONE;
        n = match != KLX_MATCH_NONE ? add_targets(r, &subject, s, match == KLX_MATCH_END, n) : n;
        stop = s == NULL || (match == KLX_MATCH_WHOLE && klx_subject_stops(&subject, s));
    }
    return n;
}
