/* Upgrades, whoever removes a node, and its removal. */
#include "collector/detectors/nodes/node_rules.h"

#include "lib/base/mem.h"

static const char *const removers[KLX_REMOVERS_N] = { "somebody", "the cluster autoscaler",
                                                      "Karpenter", "somebody" };
static const char *const remover_reasons[KLX_REMOVERS_N] = { "NodeRemoved", "ScaleDown",
                                                             "Disruption", "NodeDeletion" };

static bool is_recent(int64_t sign_us, int64_t now_us, int64_t within_us) {
    return sign_us != KLX_TIME_NONE && now_us - sign_us < within_us;
}

/* "ToBeDeleted…" came, or went: the autoscaler changed its mind. */
static void on_remover(struct klx_node_call *c, struct klx_node_entry *e,
                       enum klx_node_remover remover) {
    struct klx_node_state *n = &e->n;
    bool first = !n->known && c->o->origin == KLX_ORIGIN_BASELINE;
    n->remover = remover;
    if (remover == KLX_REMOVER_NONE) {
        n->scale_down_us = KLX_TIME_NONE;
        if (n->excuse == KLX_EXCUSE_LEAVING) {
            n->alarm_us = c->now_us;
        }
    } else if (!first) {
        klx_node_tell(
            c, n,
            (struct klx_node_news){ .kind = KLX_KIND_NODE_LEAVING,
                                    .time_us = c->now_us,
                                    .reason = klx_sv(remover_reasons[remover]),
                                    .summary = klx_arena_printf(
                                        c->out->arena, "%s removes node %s",
                                        remover == KLX_REMOVER_AUTOSCALER ? "The cluster autoscaler"
                                        : remover == KLX_REMOVER_KARPENTER ? "Karpenter"
                                                                           : "Somebody",
                                        n->name) });
    }
}

void klx_node_observe_leaving(struct klx_node_call *c, struct klx_node_entry *e,
                              const struct klx_node_view *v) {
    struct klx_node_state *n = &e->n;
    if (c->o->node.upgrading && !n->upgrade_flag) {
        n->upgrade_us = c->now_us;
    }
    n->upgrade_flag = c->o->node.upgrading;
    if (v->remover != n->remover) {
        on_remover(c, e, v->remover);
    }
}

/* Surge, Drain, Upgrade: the steps of an upgrade, as history. The Event of another node's surge may be the first sign of a node. */
static void on_upgrader(struct klx_node_call *c) {
    const struct klx_observed_event *v = &c->o->event;
    struct klx_node_entry *e = klx_node_table_find_or_add(c->d, v->about_name);
    struct klx_node_state *n = &e->n;
    bool newer = n->upgrade_us == KLX_TIME_NONE || v->time_us > n->upgrade_us;
    n->heard_us = n->known ? KLX_TIME_NONE : c->now_us;
    n->upgrade_us = newer ? v->time_us : n->upgrade_us;
    if (v->count <= 1) {
        klx_node_tell(
            c, n,
            (struct klx_node_news){
                .kind = KLX_KIND_NODE_UPGRADE,
                .time_us = v->time_us,
                .reason = v->reason.n > 0 ? klx_sv_utf8_prefix(v->reason, 128) : KLX_SV("Upgrade"),
                .summary = klx_arena_printf(c->out->arena, "Upgrade of node %s: %.*s", n->name,
                                            KLX_SV_FMT(klx_sv_utf8_prefix(v->message, 500))) });
    }
    klx_node_table_save(c, e);
}

/* By kubelet's Event, where the Node itself is not seen. */
static void on_ready_again(struct klx_node_call *c, struct klx_node_entry *e) {
    int64_t at_us = c->o->event.time_us;
    if (klx_episode_is_open(&e->n.episode) && at_us > e->n.episode.opened_us) {
        e->n.ready = true;
        e->n.ready_since_us = at_us;
        klx_node_resolve(c, &e->n, at_us);
        klx_node_table_save(c, e);
    }
}

void klx_node_observe_leaving_event(struct klx_node_call *c) {
    const struct klx_observed_event *v = &c->o->event;
    if (klx_sv_eq(v->component, KLX_SV("upgrader"))) {
        on_upgrader(c);
        return;
    }
    struct klx_node_entry *e = klx_node_table_find(c->d, v->about_name);
    bool scale_down = klx_sv_eq(v->component, KLX_SV("cluster-autoscaler")) &&
                      klx_sv_eq(v->reason, KLX_SV("ScaleDown"));
    if (e == NULL) {
        return;
    }
    if (c->d->events_only && klx_sv_eq(v->reason, KLX_SV("RemovingNode"))) {
        klx_node_removed(c, e); /* nothing else tells it */
        return;
    }
    if (c->d->events_only && klx_sv_eq(v->reason, KLX_SV("NodeReady"))) {
        on_ready_again(c, e);
        return;
    }
    if (scale_down) {
        e->n.scale_down_us = v->time_us;
    } else if (klx_sv_eq(v->reason, KLX_SV("DeletingNode"))) {
        e->n.vm_gone = true;
    } else {
        return;
    }
    klx_node_table_save(c, e);
}

struct farewell {
    enum klx_kind kind;
    const char *reason;
    struct klx_sv summary;
};

/* Why it went, as far as it is known. */
static struct farewell why_gone(struct klx_node_call *c, const struct klx_node_state *n) {
    static const char *const events[KLX_VM_EVENTS_N] = {
        "", "an event of it", "a freeze", "a reboot", "a redeploy", "its eviction", "its end"
    };
    struct klx_arena *a = c->out->arena;
    bool scaled_down = is_recent(n->scale_down_us, c->now_us, KLX_NODE_SCALE_DOWN_US);
    enum klx_node_remover by =
        n->remover == KLX_REMOVER_NONE && scaled_down ? KLX_REMOVER_AUTOSCALER : n->remover;
    if (by != KLX_REMOVER_NONE) {
        return (struct farewell){ KLX_KIND_NODE_REMOVED, remover_reasons[by],
                                  klx_arena_printf(a, "Node %s was removed by %s", n->name,
                                                   removers[by]) };
    }
    if (n->maintenance.event == KLX_VM_EVENT_PREEMPT) {
        return (struct farewell){ KLX_KIND_NODE_REMOVED, "Preempted",
                                  klx_arena_printf(a, "Spot node %s was evicted", n->name) };
    }
    if (n->maintenance.event != KLX_VM_EVENT_NONE) {
        return (struct farewell){ KLX_KIND_NODE_REMOVED, "VMEvent",
                                  klx_arena_printf(a,
                                                   "Node %s was removed after Azure announced %s",
                                                   n->name, events[n->maintenance.event]) };
    }
    bool announced = n->unschedulable || klx_node_is_upgrading(n, c->now_us) || !n->known ||
                     !n->was_ready || n->excuse != KLX_EXCUSE_NONE || c->o == NULL ||
                     c->o->change != KLX_CHANGE_DELETED;
    if (announced || klx_episode_is_open(&n->episode)) {
        return (struct farewell){ KLX_KIND_NODE_REMOVED, "NodeRemoved",
                                  klx_arena_printf(a, "Node %s was removed", n->name) };
    }
    return (struct farewell){
        KLX_KIND_NODE_VANISHED, "NodeVanished",
        klx_arena_printf(
            a, "Node %s is gone%s: it was %s, was not drained, and nothing announced it", n->name,
            n->vm_gone ? " with its virtual machine" : "", n->ready ? "ready" : "just lost")
    };
}

/* Resolves the incident; one event for each, so that every alarm ends. */
static void end_episode(struct klx_node_call *c, struct klx_node_state *n, struct klx_episode *e,
                        const struct farewell *f, bool unhealthy) {
    struct klx_arena *a = c->out->arena;
    struct klx_sv gone = f->kind == KLX_KIND_NODE_VANISHED
                             ? klx_arena_printf(a, "Node %s was removed", n->name)
                             : f->summary;
    klx_node_tell(c, n,
                  (struct klx_node_news){
                      .kind = KLX_KIND_NODE_REMOVED,
                      .phase = KLX_PHASE_RESOLVED,
                      .episode = e,
                      .time_us = c->now_us,
                      .reason = klx_sv(f->reason),
                      .summary = unhealthy ? klx_arena_printf(a, "%.*s while it was not healthy",
                                                              KLX_SV_FMT(gone))
                                           : gone });
}

void klx_node_removed(struct klx_node_call *c, struct klx_node_entry *e) {
    struct klx_node_state *n = &e->n;
    const struct farewell f = why_gone(c, n);
    bool told = false;
    if (klx_episode_is_open(&n->episode)) {
        end_episode(c, n, &n->episode, &f, true);
        told = true;
    }
    if (klx_episode_is_open(&n->maintenance.episode)) {
        end_episode(c, n, &n->maintenance.episode, &f, false);
        told = true;
    }
    for (size_t i = 0; i < n->problems_n; i++) {
        if (klx_episode_is_open(&n->problems[i].episode)) {
            end_episode(c, n, &n->problems[i].episode, &f, true);
            told = true;
        }
    }
    if (!told) {
        klx_node_tell(c, n,
                      (struct klx_node_news){ .kind = f.kind,
                                              .warns = f.kind == KLX_KIND_NODE_VANISHED,
                                              .time_us = c->now_us,
                                              .reason = klx_sv(f.reason),
                                              .summary = f.summary });
    }
    klx_node_table_remove(c, e);
    klx_node_burst_moved(c);
    klx_node_spreads_moved(c);
}
