/* AKS auto-repair's actions, by the reasons of its Events. */
#include "collector/detectors/nodes/node_rules.h"

#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"

enum stage { STAGE_START, STAGE_END, STAGE_ERROR };

/* Node(Reboot|Reimage|Redeploy)(Start|End|Error), by the reason alone. */
static bool parse_reason(struct klx_sv reason, enum klx_repair_action *ret_action,
                         enum stage *ret_stage) {
    static const char *const actions[] = { "NodeReboot", "NodeReimage", "NodeRedeploy" };
    static const char *const stages[] = { "Start", "End", "Error" };
    for (size_t a = 0; a < KLX_COUNT(actions); a++) {
        struct klx_sv prefix = klx_sv(actions[a]);
        for (size_t s = 0; s < KLX_COUNT(stages) && klx_sv_starts(reason, prefix); s++) {
            if (klx_sv_eq(klx_sv_n(reason.p + prefix.n, reason.n - prefix.n), klx_sv(stages[s]))) {
                *ret_action = (enum klx_repair_action)a;
                *ret_stage = (enum stage)s;
                return true;
            }
        }
    }
    return false;
}

static struct klx_node_action *last_of(struct klx_node_repair *r, enum klx_repair_action action) {
    for (size_t k = r->actions_n; k > 0; k--) {
        if (r->actions[k - 1].action == action) {
            return &r->actions[k - 1];
        }
    }
    return NULL;
}

static struct klx_node_action *add_action(struct klx_node_repair *r,
                                          enum klx_repair_action action) {
    if (r->actions_n == KLX_NODE_ACTIONS_MAX) {
        memmove(r->actions, r->actions + 1, (KLX_NODE_ACTIONS_MAX - 1) * sizeof(r->actions[0]));
        r->actions_n--;
    }
    r->actions_total++;
    r->actions[r->actions_n] =
        (struct klx_node_action){ action, KLX_TIME_NONE, KLX_TIME_NONE, KLX_TIME_NONE };
    return &r->actions[r->actions_n++];
}

/* The action an Event belongs to: an End or Error joins the last one of its kind that has none yet; a Start joins one whose End came
   first (they are microseconds apart, and two writers), else it is a new one. NULL: it says what is known already. */
static struct klx_node_action *action_for(struct klx_node_repair *r, enum klx_repair_action action,
                                          enum stage stage, int64_t at_us) {
    struct klx_node_action *a = last_of(r, action);
    if (a == NULL) {
        return add_action(r, action);
    }
    int64_t *seen = stage == STAGE_START ? &a->started_us
                    : stage == STAGE_END ? &a->ended_us
                                         : &a->failed_us;
    if (*seen == KLX_TIME_NONE) {
        return a;
    }
    return at_us > *seen ? add_action(r, action) : NULL;
}

static void tell_action(struct klx_node_call *c, struct klx_node_state *n,
                        enum klx_repair_action action, enum stage stage, enum klx_phase phase) {
    static const enum klx_kind kinds[] = { KLX_KIND_REPAIR_STARTED, KLX_KIND_REPAIR_ENDED,
                                           KLX_KIND_REPAIR_FAILED };
    static const char *const words[] = { "Auto-repair started a %s of node %s%.*s",
                                         "Auto-repair finished the %s of node %s%.*s",
                                         "Auto-repair's %s of node %s failed: %.*s" };
    struct klx_sv detail = stage == STAGE_ERROR ? klx_sv_utf8_prefix(c->o->event.message, 500)
                           : stage == STAGE_END && n->known ? KLX_SV(", which is not ready yet")
                                                            : klx_sv("");
    const char *name = klx_repair_action_names[action];
    struct klx_arena *a = c->out->arena;
    struct klx_sv summary =
        stage == STAGE_START ? klx_arena_printf(a, words[0], name, n->name, KLX_SV_FMT(detail))
        : stage == STAGE_END ? klx_arena_printf(a, words[1], name, n->name, KLX_SV_FMT(detail))
                             : klx_arena_printf(a, words[2], name, n->name, KLX_SV_FMT(detail));
    klx_node_tell(c, n,
                  (struct klx_node_news){ .kind = kinds[stage],
                                          .phase = phase,
                                          .time_us = c->o->event.time_us,
                                          .reason = klx_sv_utf8_prefix(c->o->event.reason, 128),
                                          .summary = summary });
}

/* Told as history: late news of an episode that is over, or part of the loss of many. */
static bool is_history(const struct klx_node_state *n, enum stage stage, int64_t at_us) {
    bool over = n->known && n->ready && (stage != STAGE_START || at_us <= n->ready_since_us);
    return !klx_episode_is_open(&n->episode) && (over || n->excuse == KLX_EXCUSE_BURST);
}

static void on_action(struct klx_node_call *c, struct klx_node_entry *e,
                      enum klx_repair_action action, enum stage stage) {
    struct klx_node_state *n = &e->n;
    int64_t at_us = c->o->event.time_us;
    if (is_history(n, stage, at_us)) {
        tell_action(c, n, action, stage, KLX_PHASE_NONE);
        return;
    }
    enum klx_phase phase = klx_node_open(c, n, &n->episode, "", at_us);
    struct klx_node_action *a = action_for(&n->repair, action, stage, at_us);
    n->alarm_us = KLX_TIME_NONE; /* this alarms */
    klx_node_set_excuse(c->d, n, KLX_EXCUSE_NONE);
    if (a == NULL) {
        return;
    }
    if (stage == STAGE_START) {
        phase = a->ended_us != KLX_TIME_NONE || a->failed_us != KLX_TIME_NONE
                    ? KLX_PHASE_NONE
                    : phase; /* its outcome is told */
        a->started_us = at_us;
    } else if (stage == STAGE_END) {
        a->ended_us = at_us;
    } else {
        a->failed_us = at_us;
    }
    n->repair.stuck_at_us = klx_news_begun(at_us, c->now_us) + KLX_NODE_STUCK_US;
    if (stage != STAGE_END ||
        a->failed_us == KLX_TIME_NONE) { /* the failure has been told: its End adds nothing */
        tell_action(c, n, action, stage, phase);
    }
}

bool klx_node_observe_action(struct klx_node_call *c) {
    enum klx_repair_action action = KLX_REPAIR_REBOOT;
    enum stage stage = STAGE_START;
    if (!parse_reason(c->o->event.reason, &action, &stage)) {
        return false;
    }
    struct klx_node_entry *e = klx_node_table_find_or_add(c->d, c->o->event.about_name);
    e->n.heard_us = e->n.known ? KLX_TIME_NONE : c->now_us;
    e->n.ready = e->n.ready && e->n.known;
    on_action(c, e, action, stage);
    klx_node_table_save(c, e);
    return true;
}

void klx_node_stuck(struct klx_node_call *c, struct klx_node_state *n) {
    const struct klx_node_repair *r = &n->repair;
    int64_t due_us = r->stuck_at_us;
    n->repair.stuck_at_us = KLX_TIME_NONE;
    if (!n->known && c->d->events_only) {
        return; /* nobody sees whether it is ready */
    }
    if (n->known && n->ready) {
        klx_node_resolve(c, n, due_us); /* it never was lost in our eyes, and is fine */
        return;
    }
    struct klx_sv summary = klx_arena_printf(
        c->out->arena,
        "Node %s is still not ready 10 min after auto-repair's last action (%s, %u in all)",
        n->name, klx_repair_action_names[r->actions[r->actions_n - 1].action], r->actions_total);
    klx_node_tell(c, n,
                  (struct klx_node_news){ .kind = KLX_KIND_REPAIR_STUCK,
                                          .phase = KLX_PHASE_UPDATE,
                                          .time_us = due_us,
                                          .reason = KLX_SV("NodeRepairStuck"),
                                          .summary = summary });
}
