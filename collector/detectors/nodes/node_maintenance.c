/* What Azure announces for a virtual machine, and AKS's drains. */
#include "collector/detectors/nodes/node_rules.h"

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"

struct vm_event_spec {
    enum klx_kind kind;
    bool calm;                  /* no alarm */
    const char *before, *after; /* the node's name */
    const char *hint;
};

/* What AKS does by itself: facts, azure.md 1.6. */
static const struct vm_event_spec specs[KLX_VM_EVENTS_N] = {
    [KLX_VM_EVENT_UNNAMED] = { KLX_KIND_MAINTENANCE_SCHEDULED, false,
                               "Azure announced an event of the virtual machine of node ", "", "" },
    [KLX_VM_EVENT_FREEZE] = { KLX_KIND_MAINTENANCE_SCHEDULED, true,
                              "Azure announced a freeze of node ", "",
                              "The virtual machine stands still for some seconds. AKS does not "
                              "drain the node." },
    [KLX_VM_EVENT_REBOOT] = { KLX_KIND_MAINTENANCE_SCHEDULED, false,
                              "Azure announced a reboot of node ", "",
                              "AKS does not drain the node before it." },
    [KLX_VM_EVENT_REDEPLOY] = { KLX_KIND_MAINTENANCE_SCHEDULED, false,
                                "Azure announced a redeploy of node ", "",
                                "AKS cordons and drains the node before it. What is on its local "
                                "disk is lost." },
    [KLX_VM_EVENT_PREEMPT] = { KLX_KIND_NODE_PREEMPTED, false, "Spot node ", " is being evicted",
                               "About 30 s are left. AKS drains what it can." },
    [KLX_VM_EVENT_TERMINATE] = { KLX_KIND_MAINTENANCE_SCHEDULED, false,
                                 "Azure announced the end of the virtual machine of node ", "",
                                 "AKS does not drain the node before it." },
};

static const char *reason_of(enum klx_vm_event event) {
    static const char *const reasons[KLX_VM_EVENTS_N] = {
        "",
        "VMEventScheduled",
        "FreezeScheduled",
        "RebootScheduled",
        "RedeployScheduled",
        "PreemptScheduled",
        "TerminateScheduled",
    };
    return reasons[event];
}

static void tell(struct klx_node_call *c, struct klx_node_state *n, int64_t at_us) {
    struct klx_node_maintenance *m = &n->maintenance;
    const struct vm_event_spec *s = &specs[m->event];
    enum klx_phase phase = klx_node_open(c, n, &m->episode, "vm-event", m->since_us);
    bool expected = n->remover != KLX_REMOVER_NONE; /* by whoever removes it */
    m->told = true;
    m->tell_us = KLX_TIME_NONE;
    klx_node_tell(c, n,
                  (struct klx_node_news){ .kind = s->kind,
                                          .phase = phase,
                                          .episode = &m->episode,
                                          .calm = s->calm || expected,
                                          .time_us = at_us,
                                          .since_us = m->since_us,
                                          .reason = klx_sv(reason_of(m->event)),
                                          .summary = klx_arena_printf(c->out->arena, "%s%s%s",
                                                                      s->before, n->name, s->after),
                                          .hint = klx_sv(s->hint) });
}

static void end(struct klx_node_call *c, struct klx_node_state *n, int64_t at_us,
                const char *words) {
    static const char *const nouns[KLX_VM_EVENTS_N] = { "",           "announced event", "freeze",
                                                        "reboot",     "redeploy",        "eviction",
                                                        "termination" };
    struct klx_node_maintenance *m = &n->maintenance;
    if (m->told) {
        klx_node_tell(c, n,
                      (struct klx_node_news){ .kind = KLX_KIND_MAINTENANCE_OVER,
                                              .phase = KLX_PHASE_RESOLVED,
                                              .episode = &m->episode,
                                              .time_us = at_us,
                                              .since_us = m->since_us,
                                              .reason = KLX_SV("NoVMEventScheduled"),
                                              .summary = klx_arena_printf(
                                                  c->out->arena,
                                                  "The %s of node %s %s, %s after it was announced",
                                                  nouns[m->event], n->name, words,
                                                  klx_node_words(c, m->since_us, at_us)) });
    }
    klx_episode_close(&m->episode, at_us);
    m->ended_us = at_us;
    m->event = KLX_VM_EVENT_NONE;
    m->condition = m->told = false;
    m->tell_us = m->heard_us = KLX_TIME_NONE;
}

/* A sign of an event, of which there are many. */
static void sign(struct klx_node_call *c, struct klx_node_state *n, enum klx_vm_event event,
                 int64_t at_us) {
    struct klx_node_maintenance *m = &n->maintenance;
    bool late =
        m->event == KLX_VM_EVENT_NONE && m->ended_us != KLX_TIME_NONE && at_us <= m->ended_us;
    if (late) {
        return;
    }
    if (m->event == KLX_VM_EVENT_NONE) {
        m->since_us = at_us;
        m->event = KLX_VM_EVENT_UNNAMED;
        m->tell_us = c->now_us + KLX_VM_EVENT_NAME_US;
    }
    m->heard_us = c->now_us - c->now_us % KLX_MINUTE_US; /* a state record a minute at most */
    if (event != KLX_VM_EVENT_UNNAMED && event != m->event) {
        m->event = event;
        tell(c, n, at_us);
    }
}

void klx_node_observe_maintenance(struct klx_node_call *c, struct klx_node_state *n,
                                  const struct klx_node_view *v) {
    struct klx_node_maintenance *m = &n->maintenance;
    if (v->vm_event == KLX_CONDITION_TRUE && (!m->condition || m->event == KLX_VM_EVENT_UNNAMED)) {
        int64_t at_us = v->vm_event_us != KLX_TIME_NONE ? v->vm_event_us : c->now_us;
        sign(c, n, v->vm_event_is, at_us);
        m->condition = m->event != KLX_VM_EVENT_NONE;
    } else if (v->vm_event == KLX_CONDITION_FALSE && m->condition) {
        end(c, n, v->vm_event_us != KLX_TIME_NONE ? v->vm_event_us : c->now_us, "is over");
    }
}

void klx_node_maintenance_survived(struct klx_node_call *c, struct klx_node_state *n,
                                   int64_t at_us) {
    const struct klx_node_maintenance *m = &n->maintenance;
    if (m->told && !m->condition && m->event != KLX_VM_EVENT_PREEMPT && at_us > m->since_us) {
        end(c, n, at_us, "is over");
    }
}

int64_t klx_node_maintenance_next(const struct klx_node_maintenance *m) {
    int64_t silent_us =
        m->event != KLX_VM_EVENT_NONE && !m->condition && m->heard_us != KLX_TIME_NONE
            ? m->heard_us + KLX_VM_EVENT_SILENCE_US
            : KLX_TIME_NONE;
    return klx_news_earlier(m->tell_us, silent_us);
}

void klx_node_maintenance_due(struct klx_node_call *c, struct klx_node_state *n) {
    const struct klx_node_maintenance *m = &n->maintenance;
    int64_t due_us = klx_node_maintenance_next(m);
    if (due_us == KLX_TIME_NONE || due_us > c->now_us) {
        return;
    }
    if (due_us == m->tell_us) {
        tell(c, n, due_us);
    } else {
        end(c, n, due_us, "is not announced any more");
    }
}

/* Node(Cordon|Drain|Uncordon)(Start|End|Error) of AKS's remediator. That a node is cordoned its own spec tells. */
static const struct drain {
    const char *reason, *verb;
    enum { DRAIN_SILENT, DRAIN_STARTED, DRAIN_ENDED, DRAIN_FAILED } stage;
} drains[] = {
    { "NodeCordonStart", "cordon", DRAIN_SILENT },
    { "NodeCordonEnd", "cordon", DRAIN_SILENT },
    { "NodeCordonError", "cordon", DRAIN_FAILED },
    { "NodeDrainStart", "drain", DRAIN_STARTED },
    { "NodeDrainEnd", "drain", DRAIN_ENDED },
    { "NodeDrainError", "drain", DRAIN_FAILED },
    { "NodeUncordonStart", "uncordon", DRAIN_SILENT },
    { "NodeUncordonEnd", "uncordon", DRAIN_SILENT },
    { "NodeUncordonError", "uncordon", DRAIN_FAILED },
};

static const struct drain *drain_of(struct klx_sv reason) {
    for (size_t i = 0; i < KLX_COUNT(drains); i++) {
        if (klx_sv_eq(reason, klx_sv(drains[i].reason))) {
            return &drains[i];
        }
    }
    return NULL;
}

static void tell_drain(struct klx_node_call *c, struct klx_node_state *n, const struct drain *d) {
    const struct klx_observed_event *v = &c->o->event;
    struct klx_arena *a = c->out->arena;
    struct klx_episode *e = klx_episode_is_open(&n->maintenance.episode) ? &n->maintenance.episode
                            : klx_episode_is_open(&n->episode)           ? &n->episode
                                                                         : NULL;
    struct klx_node_news m = { .phase = e != NULL ? KLX_PHASE_UPDATE : KLX_PHASE_NONE,
                               .episode = e,
                               .warns = d->stage == DRAIN_FAILED,
                               .time_us = v->time_us,
                               .reason = klx_sv(d->reason) };
    if (d->stage == DRAIN_STARTED) {
        m.kind = KLX_KIND_NODE_DRAIN_STARTED;
        m.summary = klx_arena_printf(a, "AKS drains node %s", n->name);
    } else if (d->stage == DRAIN_ENDED) {
        m.kind = KLX_KIND_NODE_DRAIN_ENDED;
        m.summary = klx_arena_printf(a, "AKS has drained node %s", n->name);
    } else {
        m.kind = KLX_KIND_NODE_DRAIN_FAILED;
        m.summary = klx_arena_printf(a, "AKS could not %s node %s: %.*s", d->verb, n->name,
                                     KLX_SV_FMT(klx_sv_utf8_prefix(v->message, 500)));
    }
    klx_node_tell(c, n, m);
}

static void on_drain(struct klx_node_call *c, struct klx_node_state *n, const struct drain *d) {
    bool repeated = c->o->event.count > 1;
    n->auto_drain_us = n->auto_drain_us == KLX_TIME_NONE || c->o->event.time_us > n->auto_drain_us
                           ? c->o->event.time_us
                           : n->auto_drain_us;
    if (d->stage != DRAIN_SILENT && !repeated) {
        tell_drain(c, n, d);
    }
}

bool klx_node_observe_maintenance_event(struct klx_node_call *c) {
    const struct klx_observed_event *v = &c->o->event;
    const struct drain *d = drain_of(v->reason);
    enum klx_vm_event event = klx_vm_event_of(v->reason);
    bool scheduled =
        event != KLX_VM_EVENT_UNNAMED || klx_sv_eq(v->reason, KLX_SV("VMEventScheduled"));
    bool over = klx_sv_eq(v->reason, KLX_SV("NoVMEventScheduled"));
    if (d == NULL && !scheduled && !over) {
        return false;
    }
    struct klx_node_entry *e = klx_node_table_of_event(c);
    if (e == NULL) {
        return true;
    }
    struct klx_node_maintenance *m = &e->n.maintenance;
    if (d != NULL) {
        on_drain(c, &e->n, d);
    } else if (scheduled) {
        sign(c, &e->n, event == KLX_VM_EVENT_UNNAMED ? klx_vm_event_of(v->message) : event,
             v->time_us);
    } else if (m->event != KLX_VM_EVENT_NONE && v->time_us > m->since_us) {
        end(c, &e->n, v->time_us, "is over");
    }
    klx_node_table_save(c, e);
    return true;
}
