/*
 * Nodes: node_rules.h says what is told when. This file only leads to the rules, and reads
 *
 *     detectors: { node_repair: { alarm_after: 20s, burst_nodes: 5, burst_percent: 20, burst_at_most: 50, burst_within: 60s } }
 *
 * A Node in which nothing changed but its heartbeat costs a look-up by its name and one digest.
 */
#include <stddef.h>
#include <stdlib.h>

#include "collector/detectors/detector.h"
#include "collector/detectors/nodes/node_rules.h"
#include "lib/base/mem.h"

static const struct klx_config_field fields[] = {
    { .key = "alarm_after",
      .kind = KLX_CFG_DURATION,
      .offset = offsetof(struct klx_node_settings, alarm_after_ms),
      .otherwise = "20s",
      .max = 10 * 60 * 1000,
      .help = "a node that is not ready is told after this; 0s: at once, which makes bursts of "
              "nodes late; default 20s" },
    { .key = "burst_nodes",
      .kind = KLX_CFG_INT,
      .offset = offsetof(struct klx_node_settings, burst_nodes),
      .otherwise = "5",
      .min = 2,
      .max = 10000,
      .help = "so many nodes, at least, lost at once are one incident; default 5" },
    { .key = "burst_percent",
      .kind = KLX_CFG_INT,
      .offset = offsetof(struct klx_node_settings, burst_percent),
      .otherwise = "20",
      .min = 1,
      .max = 100,
      .help = "and so many percent of the cluster's nodes; default 20" },
    { .key = "burst_at_most",
      .kind = KLX_CFG_INT,
      .offset = offsetof(struct klx_node_settings, burst_at_most),
      .otherwise = "50",
      .min = 2,
      .max = 10000,
      .help = "so many nodes are enough, however large the cluster is; default 50" },
    { .key = "burst_within",
      .kind = KLX_CFG_DURATION,
      .offset = offsetof(struct klx_node_settings, burst_within_ms),
      .otherwise = "60s",
      .min = 1000,
      .max = 10 * 60 * 1000,
      .help = "lost within this is at once; default 60s" },
    { .key = NULL },
};

static const struct klx_node_settings defaults = { .alarm_after_ms = 20 * 1000,
                                                   .burst_nodes = 5,
                                                   .burst_percent = 20,
                                                   .burst_at_most = 50,
                                                   .burst_within_ms = 60 * 1000 };

static void *create(struct klx_sv cluster, const void *settings) {
    struct klx_nodes *d = klx_alloc(struct klx_nodes);
    d->cluster = klx_sv_dup(cluster);
    d->set = settings != NULL ? *(const struct klx_node_settings *)settings : defaults;
    d->next_us = KLX_TIME_NONE;
    klx_node_spreads_init(d);
    klx_episode_init(&d->burst.episode);
    d->burst.since_us = d->burst.told_us = KLX_TIME_NONE;
    d->burst.update_us = d->burst.over_us = KLX_TIME_NONE;
    return d;
}

static void destroy(void *detector) {
    struct klx_nodes *d = detector;
    klx_node_table_clear(d);
    free(d->cluster);
    free(d);
}

static void expect(void *detector, uint32_t observed) {
    struct klx_nodes *d = detector;
    d->events_only = (observed & 1u << KLX_OBSERVED_NODE) == 0;
}

static int restore(void *detector, struct klx_sv object, struct klx_sv value) {
    if (klx_sv_eq(object, KLX_SV("cluster/burst"))) {
        return klx_node_burst_restore(detector, value);
    }
    struct klx_sv many = KLX_SV(KLX_NODE_SPREAD_RECORD);
    if (klx_sv_starts(object, many)) {
        return klx_node_spread_restore(detector, klx_sv_n(object.p + many.n, object.n - many.n),
                                       value);
    }
    return object.n < KLX_NODE_NAME_BYTES ? klx_node_table_restore(detector, object, value)
                                          : -EBADMSG;
}

static void on_first_sight(struct klx_node_call *c, struct klx_node_entry *e, bool ready) {
    const struct klx_observed_node *v = &c->o->node;
    struct klx_node_state *n = &e->n;
    bool baseline = c->o->origin == KLX_ORIGIN_BASELINE;
    bool joining =
        v->created_us != KLX_TIME_NONE && c->now_us - v->created_us < KLX_NODE_JOINING_US;
    klx_node_known(c->d, n);
    n->unschedulable = v->unschedulable;
    if (!baseline) {
        klx_node_tell(
            c, n,
            (struct klx_node_news){
                .kind = KLX_KIND_NODE_ADDED,
                .time_us = v->created_us != KLX_TIME_NONE ? v->created_us : c->now_us,
                .reason = KLX_SV("NodeAdded"),
                .summary = klx_arena_printf(c->out->arena, "Node %s was added", n->name) });
    }
    n->was_ready = ready || (baseline && !joining) || klx_episode_is_open(&n->episode);
    n->ready = true; /* so that a node that is not ready now makes a transition, if it counts */
    if (!ready) {
        klx_node_ready_changed(c, e, false);
    } else {
        n->ready_since_us = v->ready_since_us;
    }
    if (!n->was_ready) {
        n->lost_listed = c->o->origin != KLX_ORIGIN_LIVE;
        n->alarm_us = c->now_us + KLX_NODE_NEVER_READY_US;
    }
}

static void on_cordon(struct klx_node_call *c, struct klx_node_state *n, bool unschedulable) {
    bool by_aks =
        n->auto_drain_us != KLX_TIME_NONE && c->now_us - n->auto_drain_us < KLX_NODE_AUTO_DRAIN_US;
    n->unschedulable = unschedulable;
    klx_node_tell(c, n,
                  (struct klx_node_news){
                      .kind = unschedulable ? KLX_KIND_NODE_CORDONED : KLX_KIND_NODE_UNCORDONED,
                      .time_us = c->now_us,
                      .reason = unschedulable ? KLX_SV("NodeCordoned") : KLX_SV("NodeUncordoned"),
                      .summary = klx_arena_printf(c->out->arena, "Node %s was %s%s", n->name,
                                                  unschedulable ? "cordoned" : "uncordoned",
                                                  by_aks ? " by AKS" : "") });
}

/* A name that was removed and added again between two frames is another node. */
static bool is_replaced(const struct klx_node_state *n, const struct klx_observation *o) {
    return n->known && n->uid[0] != '\0' && !klx_sv_eq(klx_sv(n->uid), o->uid);
}

/* What explains a loss before the loss. */
static void on_changed(struct klx_node_call *c, struct klx_node_entry *e,
                       const struct klx_node_view *v) {
    const struct klx_observation *o = c->o;
    struct klx_node_state *n = &e->n;
    bool ready = o->node.ready == KLX_NODE_READY_TRUE;
    klx_news_copy(n->uid, sizeof(n->uid), o->uid);
    klx_node_state_set_labels(n, o->labels);
    if (!ready) {
        klx_news_copy(n->ready_reason, sizeof(n->ready_reason),
                      o->node.ready_reason.n > 0 ? o->node.ready_reason : KLX_SV("NotReady"));
    }
    klx_node_observe_leaving(c, e, v);
    klx_node_observe_maintenance(c, n, v);
    if (!n->known) {
        on_first_sight(c, e, ready);
    } else {
        if (ready != n->ready) {
            klx_node_ready_changed(c, e, ready);
        }
        if (o->node.unschedulable != n->unschedulable) {
            on_cordon(c, n, o->node.unschedulable);
        }
    }
    klx_node_observe_problems(c, n, v);
    klx_node_table_save(c, e);
}

static void observe_node(struct klx_node_call *c) {
    const struct klx_observation *o = c->o;
    struct klx_node_entry *e = klx_node_table_find(c->d, o->name);
    struct klx_node_view v;
    char mark[KLX_HASH_TEXT_BYTES];
    if (e != NULL && (o->change == KLX_CHANGE_DELETED || is_replaced(&e->n, o))) {
        klx_node_removed(c, e);
        e = NULL;
    }
    if (o->change == KLX_CHANGE_DELETED) {
        return;
    }
    klx_node_view_read(o, &v);
    klx_node_view_mark(o, &v, mark);
    e = e != NULL ? e : klx_node_table_find_or_add(c->d, o->name);
    if (memcmp(mark, e->seen, sizeof(mark)) == 0) {
        return;
    }
    memcpy(e->seen, mark, sizeof(mark));
    on_changed(c, e, &v);
}

static void observe_event(struct klx_node_call *c) {
    const struct klx_observed_event *v = &c->o->event;
    bool about_node = klx_sv_eq(v->about_kind, KLX_SV("Node")) && v->about_name.n > 0 &&
                      v->about_name.n < KLX_NODE_NAME_BYTES;
    if (!about_node || c->o->change == KLX_CHANGE_DELETED || c->o->origin == KLX_ORIGIN_BASELINE ||
        v->time_us == KLX_TIME_NONE) {
        return;
    }
    if (!klx_node_observe_action(c) && !klx_node_observe_maintenance_event(c) &&
        !klx_node_observe_problem_event(c)) {
        klx_node_observe_leaving_event(c);
    }
}

static void observe(void *detector, const struct klx_observation *o, int64_t now_us,
                    struct klx_outbox *out) {
    struct klx_node_call c = { .d = detector, .out = out, .o = o, .now_us = now_us };
    klx_node_table_settle(c.d);
    if (o->kind == KLX_OBSERVED_NODE && o->name.n < KLX_NODE_NAME_BYTES) {
        observe_node(&c);
    } else if (o->kind == KLX_OBSERVED_EVENT) {
        observe_event(&c);
    }
}

static void relisted(void *detector, enum klx_observation_kind kind,
                     bool (*listed)(void *arg, struct klx_sv name), void *arg, int64_t now_us,
                     struct klx_outbox *out) {
    struct klx_node_call c = { .d = detector, .out = out, .now_us = now_us };
    struct klx_node_entry *e = NULL, *next = NULL;
    if (kind != KLX_OBSERVED_NODE) {
        return;
    }
    klx_node_table_settle(c.d);
    HASH_ITER(hh, c.d->nodes, e, next) {
        if (e->n.known && !listed(arg, klx_sv(e->n.name))) {
            klx_outbox_next_object(out);
            klx_node_removed(&c, e);
        }
    }
}

/* Only Events ever named it. */
static void on_unseen(struct klx_node_call *c, struct klx_node_entry *e) {
    struct klx_node_state *n = &e->n;
    if (klx_episode_is_open(&n->episode)) {
        klx_node_tell(
            c, n,
            (struct klx_node_news){
                .kind = KLX_KIND_NODE_REMOVED,
                .phase = KLX_PHASE_RESOLVED,
                .time_us = n->heard_us + KLX_NODE_UNSEEN_US,
                .reason = KLX_SV("NotHeardOf"),
                .summary = klx_arena_printf(
                    c->out->arena,
                    "Nothing more was heard of node %s for an hour, and it was never seen",
                    n->name) });
    }
    klx_node_table_remove(c, e);
}

static bool is_unseen(const struct klx_node_call *c, const struct klx_node_state *n) {
    bool due = n->heard_us != KLX_TIME_NONE && n->heard_us + KLX_NODE_UNSEEN_US <= c->now_us;
    for (size_t i = 0; i < n->problems_n && due; i++) {
        due = !n->problems[i].told; /* it ends first */
    }
    return due;
}

static void on_due(struct klx_node_call *c, struct klx_node_entry *e) {
    struct klx_node_state *n = &e->n;
    if (n->alarm_us != KLX_TIME_NONE && n->alarm_us <= c->now_us) {
        klx_node_alarm(c, e, n->alarm_us);
    }
    if (n->repair.stuck_at_us != KLX_TIME_NONE && n->repair.stuck_at_us <= c->now_us) {
        klx_node_stuck(c, n);
    }
    if (n->flapping && n->ready_since_us + KLX_NODE_STABLE_US <= c->now_us) {
        klx_node_stable(c, n, n->ready_since_us + KLX_NODE_STABLE_US);
    }
    klx_node_maintenance_due(c, n);
    klx_node_problems_due(c, n);
    if (is_unseen(c, n)) {
        on_unseen(c, e);
    } else {
        bool held = n->heard_us != KLX_TIME_NONE && n->heard_us + KLX_NODE_UNSEEN_US <= c->now_us;
        n->heard_us = held ? c->now_us : n->heard_us;
        klx_node_table_save(c, e);
    }
}

/* At most so many nodes in one turn: a batch is bounded. */
static int64_t tick(void *detector, int64_t now_us, struct klx_outbox *out) {
    struct klx_node_call c = { .d = detector, .out = out, .now_us = now_us };
    struct klx_node_entry *e = NULL, *following = NULL;
    size_t told = 0;
    klx_node_table_settle(c.d);
    if (c.d->next_us == KLX_TIME_NONE || c.d->next_us > now_us) {
        return c.d->next_us;
    }
    c.d->next_us = KLX_TIME_NONE;
    klx_node_burst_due(&c);
    klx_node_spreads_due(&c);
    HASH_ITER(hh, c.d->nodes, e, following) {
        int64_t due_us = klx_node_table_next(&e->n);
        bool due = due_us != KLX_TIME_NONE && due_us <= now_us;
        if (due && told < KLX_NODE_AT_ONCE_MAX) {
            told++;
            klx_outbox_next_object(out);
            on_due(&c, e);
        } else {
            c.d->next_us = klx_news_earlier(c.d->next_us, due_us);
        }
    }
    c.d->next_us = klx_news_earlier(c.d->next_us, klx_node_burst_next(c.d));
    return c.d->next_us;
}

const struct klx_detector_ops klx_detector_node_repair = {
    .name = "node_repair",
    .settings = fields,
    .settings_bytes = sizeof(struct klx_node_settings),
    .create = create,
    .destroy = destroy,
    .expect = expect,
    .restore = restore,
    .observe = observe,
    .relisted = relisted,
    .tick = tick,
};
