/* Lost and recovered, and what explains a loss. */
#include "collector/detectors/nodes/node_rules.h"

#include "lib/base/mem.h"

const char *klx_node_excuse_name(enum klx_node_excuse why) {
    static const char *const names[KLX_EXCUSES_N] = { "nothing", "upgrade", "maintenance",
                                                      "removal", "burst" };
    return names[why];
}

/* How long a loss may be explained before it is an alarm after all. */
static int64_t grace_of(const struct klx_node_state *n, enum klx_node_excuse why) {
    switch (why) {
    case KLX_EXCUSE_UPGRADE:
    case KLX_EXCUSE_LEAVING:
        return 30 * KLX_MINUTE_US;
    case KLX_EXCUSE_MAINTENANCE:
        return (n->maintenance.event == KLX_VM_EVENT_FREEZE ? 5 : 15) * KLX_MINUTE_US;
    case KLX_EXCUSE_BURST:
    case KLX_EXCUSE_NONE:
    case KLX_EXCUSES_N:
        break;
    }
    return 0;
}

enum klx_node_excuse klx_node_excuse(const struct klx_nodes *d, const struct klx_node_state *n,
                                     int64_t now_us) {
    bool scaled_down =
        n->scale_down_us != KLX_TIME_NONE && now_us - n->scale_down_us < KLX_NODE_SCALE_DOWN_US;
    return n->remover != KLX_REMOVER_NONE || scaled_down ? KLX_EXCUSE_LEAVING
           : n->maintenance.event != KLX_VM_EVENT_NONE   ? KLX_EXCUSE_MAINTENANCE
           : klx_node_is_upgrading(n, now_us)            ? KLX_EXCUSE_UPGRADE
           : klx_node_burst_is_on(d)                     ? KLX_EXCUSE_BURST
                                                         : KLX_EXCUSE_NONE;
}

static const char *during(const struct klx_node_state *n) {
    static const char *const removers[KLX_REMOVERS_N] = { "while it was to be removed",
                                                          "while the cluster autoscaler removes it",
                                                          "while Karpenter removes it",
                                                          "while it is being deleted" };
    static const char *const events[KLX_VM_EVENTS_N] = {
        "during an event of its virtual machine",   "during an event of its virtual machine",
        "during a freeze of its virtual machine",   "during a reboot of its virtual machine",
        "during a redeploy of its virtual machine", "while its spot capacity is taken away",
        "during the end of its virtual machine"
    };
    switch (n->excuse) {
    case KLX_EXCUSE_LEAVING:
        return removers[n->remover];
    case KLX_EXCUSE_MAINTENANCE:
        return events[n->maintenance.event];
    case KLX_EXCUSE_UPGRADE:
        return "during an upgrade";
    case KLX_EXCUSE_BURST:
        return "together with many others";
    case KLX_EXCUSE_NONE:
    case KLX_EXCUSES_N:
        break;
    }
    return "";
}

/* Its loss is history, as part of something else. */
static void fold(struct klx_node_call *c, struct klx_node_entry *e, enum klx_node_excuse why,
                 int64_t at_us) {
    struct klx_node_state *n = &e->n;
    int64_t grace_us = grace_of(n, why);
    klx_node_recent_remove(c->d, e);
    klx_node_set_excuse(c->d, n, why);
    n->alarm_us = grace_us > 0 ? c->now_us + grace_us : KLX_TIME_NONE;
    klx_node_tell(c, n,
                  (struct klx_node_news){
                      .kind = KLX_KIND_NODE_NOT_READY,
                      .listed = n->lost_listed,
                      .time_us = at_us,
                      .reason = klx_sv(n->ready_reason),
                      .summary = klx_arena_printf(c->out->arena, "Node %s is not ready %s: %s",
                                                  n->name, during(n), n->ready_reason) });
    if (why == KLX_EXCUSE_BURST) {
        klx_node_burst_moved(c);
    }
}

static void count_flap(struct klx_node_state *n, int64_t at_us) {
    if (n->flap_since_us == KLX_TIME_NONE || at_us - n->flap_since_us > KLX_NODE_FLAP_WINDOW_US) {
        n->flap_since_us = at_us;
        n->flaps = 0;
    }
    n->flaps++;
}

static void tell_lost(struct klx_node_call *c, struct klx_node_state *n, enum klx_phase phase,
                      int64_t at_us, struct klx_sv summary) {
    klx_node_tell(c, n,
                  (struct klx_node_news){ .kind = n->flapping ? KLX_KIND_NODE_FLAPPING
                                                              : KLX_KIND_NODE_NOT_READY,
                                          .phase = phase,
                                          .listed = n->lost_listed,
                                          .time_us = at_us,
                                          .reason = klx_sv(n->ready_reason),
                                          .summary = summary });
}

/* The node's own incident begins, or goes on. */
static void alarm_now(struct klx_node_call *c, struct klx_node_entry *e, int64_t at_us) {
    struct klx_node_state *n = &e->n;
    n->alarm_us = KLX_TIME_NONE;
    tell_lost(
        c, n, klx_node_open(c, n, &n->episode, "", at_us), at_us,
        klx_arena_printf(c->out->arena, "Node %s is not ready: %s", n->name, n->ready_reason));
}

static void flap(struct klx_node_call *c, struct klx_node_entry *e, int64_t at_us) {
    struct klx_node_state *n = &e->n;
    n->flapping = true;
    n->alarm_us = KLX_TIME_NONE;
    tell_lost(c, n, klx_node_open(c, n, &n->episode, "", at_us), at_us,
              klx_arena_printf(c->out->arena,
                               "Node %s is flapping: not ready %u times in %s; quiet until it is "
                               "stable",
                               n->name, n->flaps, klx_node_words(c, n->flap_since_us, at_us)));
}

/* An alarm that was held: by now it is known whether it is one of many. */
static void decide(struct klx_node_call *c, struct klx_node_entry *e, int64_t due_us) {
    struct klx_node_state *n = &e->n;
    klx_node_burst_check(c, due_us);
    enum klx_node_excuse why = klx_node_excuse(c->d, n, c->now_us);
    if (why != KLX_EXCUSE_NONE) {
        n->flaps -= n->flaps > 0; /* it is not the node that flaps */
        fold(c, e, why, n->ready_since_us);
    } else if (n->flaps >= KLX_NODE_FLAPS_MIN) {
        flap(c, e, n->ready_since_us);
    } else {
        alarm_now(c, e, n->ready_since_us);
    }
}

static void lost(struct klx_node_call *c, struct klx_node_entry *e, int64_t at_us) {
    struct klx_node_state *n = &e->n;
    enum klx_node_excuse why = klx_node_excuse(c->d, n, c->now_us);
    n->lost_us = c->now_us;
    n->lost_listed = c->o->origin != KLX_ORIGIN_LIVE;
    if (why == KLX_EXCUSE_NONE || n->flapping) {
        count_flap(n, at_us);
    }
    if (why == KLX_EXCUSE_NONE) {
        klx_node_recent_add(c->d, e);
    }
    if (n->flapping) {
        klx_node_tell(c, n,
                      (struct klx_node_news){
                          .kind = KLX_KIND_NODE_NOT_READY,
                          .time_us = at_us,
                          .reason = klx_sv(n->ready_reason),
                          .summary = klx_arena_printf(
                              c->out->arena, "Node %s is not ready (it is flapping)", n->name) });
    } else if (klx_episode_is_open(&n->episode) && n->flaps >= KLX_NODE_FLAPS_MIN) {
        flap(c, e, at_us);
    } else if (klx_episode_is_open(&n->episode)) {
        alarm_now(c, e, at_us);
    } else if (why != KLX_EXCUSE_NONE) {
        fold(c, e, why, at_us);
    } else {
        n->alarm_us = c->now_us + c->d->set.alarm_after_ms * KLX_US_PER_MS;
        if (n->alarm_us == c->now_us) {
            decide(c, e, c->now_us);
        }
    }
}

static void never_ready(struct klx_node_call *c, struct klx_node_state *n, int64_t due_us) {
    n->alarm_us = KLX_TIME_NONE;
    klx_node_tell(
        c, n,
        (struct klx_node_news){
            .kind = KLX_KIND_NODE_NOT_READY,
            .phase = klx_node_open(c, n, &n->episode, "", due_us),
            .listed = n->lost_listed,
            .time_us = due_us,
            .since_us = due_us - KLX_NODE_NEVER_READY_US,
            .reason = klx_sv(n->ready_reason),
            .summary = klx_arena_printf(
                c->out->arena, "Node %s has not become ready within 15 min of its joining: %s",
                n->name, n->ready_reason),
            .hint = KLX_SV("Auto-repair does not act on a node that never was ready. Delete its "
                           "instance, or look at its start: network, image, quota.") });
}

void klx_node_alarm(struct klx_node_call *c, struct klx_node_entry *e, int64_t due_us) {
    struct klx_node_state *n = &e->n;
    if (!n->was_ready) {
        never_ready(c, n, due_us);
        return;
    }
    if (n->excuse == KLX_EXCUSE_NONE) {
        decide(c, e, due_us);
        return;
    }
    struct klx_sv summary = klx_arena_printf(
        c->out->arena, "Node %s is still not ready, %s after it was lost %s: %s", n->name,
        klx_node_words(c, n->ready_since_us, due_us), during(n), n->ready_reason);
    n->alarm_us = KLX_TIME_NONE;
    klx_node_set_excuse(c->d, n, KLX_EXCUSE_NONE);
    klx_node_tell(c, n,
                  (struct klx_node_news){ .kind = KLX_KIND_NODE_NOT_READY,
                                          .phase = klx_node_open(c, n, &n->episode, "", due_us),
                                          .severity = KLX_SEVERITY_WARNING,
                                          .time_us = due_us,
                                          .since_us = n->ready_since_us,
                                          .reason = klx_sv(n->ready_reason),
                                          .summary = summary });
}

void klx_node_resolve(struct klx_node_call *c, struct klx_node_state *n, int64_t at_us) {
    struct klx_arena *a = c->out->arena;
    const struct klx_node_repair *r = &n->repair;
    const char *took = klx_node_words(c, n->episode.opened_us, at_us);
    bool repaired = r->actions_n > 0;
    struct klx_sv summary =
        repaired
            ? klx_arena_printf(
                  a, "Node %s is ready again after %s of auto-repair, %s after the incident began",
                  n->name, klx_repair_action_names[r->actions[r->actions_n - 1].action], took)
            : klx_arena_printf(a, "Node %s is ready again after %s", n->name, took);
    klx_node_tell(
        c, n,
        (struct klx_node_news){ .kind = repaired ? KLX_KIND_REPAIR_COMPLETED : KLX_KIND_NODE_READY,
                                .phase = KLX_PHASE_RESOLVED,
                                .time_us = at_us,
                                .reason = KLX_SV("NodeReady"),
                                .summary = summary });
    klx_episode_close(&n->episode, at_us);
    n->repair = (struct klx_node_repair){ .stuck_at_us = KLX_TIME_NONE };
}

/* It was lost, and that was no alarm: because it was explained, or short. */
static struct klx_sv back_words(struct klx_node_call *c, const struct klx_node_state *n,
                                int64_t lost_at_us, int64_t at_us) {
    const char *took = klx_node_words(c, lost_at_us, at_us);
    return n->excuse != KLX_EXCUSE_NONE
               ? klx_arena_printf(c->out->arena, "Node %s is ready again after %s; it was lost %s",
                                  n->name, took, during(n))
               : klx_arena_printf(c->out->arena,
                                  "Node %s is ready again after %s: too short for an alarm",
                                  n->name, took);
}

static void recovered(struct klx_node_call *c, struct klx_node_entry *e, int64_t lost_at_us,
                      int64_t at_us) {
    struct klx_node_state *n = &e->n;
    bool open = klx_episode_is_open(&n->episode);
    bool was_history = n->excuse != KLX_EXCUSE_NONE || n->alarm_us != KLX_TIME_NONE;
    struct klx_node_news back = { .kind = KLX_KIND_NODE_READY,
                                  .time_us = at_us,
                                  .reason = KLX_SV("NodeReady") };
    if (n->flapping) {
        back.summary =
            klx_arena_printf(c->out->arena, "Node %s is ready (it is flapping)", n->name);
        klx_node_tell(c, n, back);
    } else if (open) {
        klx_node_resolve(c, n, at_us);
    } else if (was_history) {
        back.summary = back_words(c, n, lost_at_us, at_us);
        klx_node_tell(c, n, back);
    }
    n->lost_us = n->alarm_us = KLX_TIME_NONE;
    klx_node_recent_remove(c->d, e);
    klx_node_set_excuse(c->d, n, KLX_EXCUSE_NONE);
    klx_node_burst_moved(c);
    klx_node_maintenance_survived(c, n, at_us);
}

/* When the Ready condition moved, by its own word; but kubelets and the node controller have clocks of their own, and time runs neither
   backwards within an episode nor ahead of us. */
static int64_t moved_at(const struct klx_node_call *c, const struct klx_node_state *n) {
    int64_t at_us = c->o->node.ready_since_us;
    bool backwards = n->ready_since_us != KLX_TIME_NONE && at_us < n->ready_since_us;
    return at_us == KLX_TIME_NONE || backwards || at_us > c->now_us ? c->now_us : at_us;
}

void klx_node_ready_changed(struct klx_node_call *c, struct klx_node_entry *e, bool ready) {
    struct klx_node_state *n = &e->n;
    int64_t before_us = n->ready_since_us;
    bool held = n->alarm_us != KLX_TIME_NONE && n->excuse == KLX_EXCUSE_NONE && n->was_ready;
    if (ready && held && n->flaps >= KLX_NODE_FLAPS_MIN) {
        decide(c, e, c->now_us); /* each is too short for an alarm, but not all together */
    }
    int64_t at_us = moved_at(c, n);
    n->ready = ready;
    n->ready_since_us = at_us;
    if (ready) {
        n->alarm_us = n->was_ready ? n->alarm_us : KLX_TIME_NONE;
        n->was_ready = true;
        recovered(c, e, before_us, at_us);
    } else if (n->was_ready) {
        lost(c, e, at_us);
    }
}

void klx_node_stable(struct klx_node_call *c, struct klx_node_state *n, int64_t due_us) {
    n->flapping = false;
    n->flaps = 0;
    n->flap_since_us = KLX_TIME_NONE;
    if (!klx_episode_is_open(&n->episode)) {
        return;
    }
    if (n->ready) {
        klx_node_resolve(c, n, due_us);
    } else {
        tell_lost(c, n, KLX_PHASE_UPDATE, due_us,
                  klx_arena_printf(c->out->arena,
                                   "Node %s has stopped flapping and stays not ready", n->name));
    }
}
