/*
 * The episodes of a node: not ready, repaired by AKS (reboot, reimage, redeploy), ready again or gone.
 *
 * An incident opens when a node that was ready is not, or with the first repair action, whichever is seen first. It ends only when the
 * node is Ready or removed: an action's End says nothing about health. Error overrides End of the same action. Ten minutes after the
 * last action without Ready the node is stuck. A node that is lost again soon after it was resolved reopens its incident; the third time
 * in the window it is flapping, and says nothing more until it has been stable. Nothing here matches the text of a message.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <uthash.h>

#include "collector/detectors/detector.h"
#include "collector/detectors/node_state.h"
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/base/time.h"

#define MINUTE_US (60 * KLX_US_PER_S)
#define STUCK_US (10 * MINUTE_US)
#define JOINING_US                                                                                 \
    (10 * MINUTE_US) /* a node younger than this, not ready at the baseline, is joining */
#define REOPEN_US (10 * MINUTE_US)
#define FLAP_WINDOW_US (15 * MINUTE_US)
#define FLAPS_MIN 3
#define STABLE_US (10 * MINUTE_US)
#define UPGRADE_US (60 * MINUTE_US) /* how long an upgrader's Event stands for an upgrade */
#define DATA_BYTES_MAX 16384

struct entry {
    struct klx_node_state n;
    UT_hash_handle hh;
};

struct detector {
    char *cluster;
    struct entry *nodes;
};

/* One call's surroundings, so that helpers need few parameters. */
struct context {
    struct detector *d;
    struct klx_outbox *out;
    const struct klx_observation *o; /* NULL in a tick */
    int64_t now_us;
};

static void *create(struct klx_sv cluster, const void *settings) {
    (void)settings;
    struct detector *d = klx_alloc(struct detector);
    d->cluster = klx_sv_dup(cluster);
    return d;
}

static void forget(struct detector *d, struct entry *e) {
    HASH_DEL(d->nodes, e);
    free(e);
}

static void destroy(void *detector) {
    struct detector *d = detector;
    struct entry *e = NULL, *next = NULL;
    HASH_ITER(hh, d->nodes, e, next) {
        forget(d, e);
    }
    free(d->cluster);
    free(d);
}

static struct entry *find(struct detector *d, struct klx_sv name) {
    struct entry *e = NULL;
    HASH_FIND(hh, d->nodes, name.p, name.n, e);
    return e;
}

static struct entry *find_or_add(struct detector *d, struct klx_sv name) {
    struct entry *e = find(d, name);
    if (e == NULL) {
        e = klx_alloc(struct entry);
        klx_node_state_init(&e->n, name);
        HASH_ADD_KEYPTR(hh, d->nodes, e->n.name, strlen(e->n.name), e);
    }
    return e;
}

static int restore(void *detector, struct klx_sv object, struct klx_sv value) {
    struct klx_node_state n;
    int rc = klx_node_state_read(&n, object, value, NULL);
    if (rc == 0) {
        find_or_add(detector, object)->n = n;
    }
    return rc;
}

static void save(struct context *c, const struct klx_node_state *n) {
    struct klx_buf value KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&value, DATA_BYTES_MAX);
    klx_node_state_write(n, &value);
    c->out->state(c->out,
                  klx_arena_printf(c->out->arena, "%s/node_repair/%s", c->d->cluster, n->name),
                  klx_buf_sv(&value));
}

static bool is_upgrading(const struct klx_node_state *n, int64_t now_us) {
    return n->upgrade_us != KLX_TIME_NONE && now_us - n->upgrade_us < UPGRADE_US;
}

static void write_actions(struct klx_jw *w, const struct klx_node_incident *i) {
    klx_jw_key(w, "actions");
    klx_jw_begin_array(w);
    for (size_t a = 0; a < i->actions_n; a++) {
        klx_jw_begin_object(w);
        klx_jw_member_str(w, "action", klx_repair_action_names[i->actions[a].action]);
        klx_jw_member_time(w, "started", i->actions[a].started_us);
        klx_jw_member_time(w, "ended", i->actions[a].ended_us);
        klx_jw_member_time(w, "failed", i->actions[a].failed_us);
        klx_jw_end_object(w);
    }
    klx_jw_end_array(w);
}

/* What is to be said of a node. The incident's number and phase are set by `tell`. */
struct message {
    enum klx_kind kind;
    enum klx_phase phase; /* NONE: outside of the incident */
    int64_t time_us;
    struct klx_sv reason;
    struct klx_sv summary;
};

static void write_data(struct context *c, const struct klx_node_state *n, const struct message *m,
                       struct klx_buf *out) {
    struct klx_jw w;
    klx_jw_init(&w, out);
    klx_jw_begin_object(&w);
    klx_jw_member_sv(&w, "summary", m->summary);
    klx_jw_key(&w, "object");
    klx_jw_begin_object(&w);
    klx_jw_member_str(&w, "kind", "Node");
    klx_jw_member_str(&w, "name", n->name);
    klx_jw_member_sv_opt(&w, "uid", klx_sv(n->uid));
    klx_jw_end_object(&w);
    klx_jw_member_sv(&w, "reason", m->reason);
    klx_jw_key(&w, "labels");
    klx_jw_raw(&w, klx_sv(n->labels));
    klx_jw_member_bool(&w, "ready", n->ready);
    klx_jw_member_time(&w, "readySince", n->ready_since_us);
    klx_jw_member_bool(&w, "upgrade", is_upgrading(n, c->now_us));
    if (c->o != NULL) {
        klx_jw_key(&w, "cause");
        klx_jw_begin_object(&w);
        klx_jw_member_str(&w, "kind", c->o->kind == KLX_OBSERVED_NODE ? "Node" : "Event");
        klx_jw_member_sv(&w, "uid", c->o->uid);
        klx_jw_member_sv(&w, "resourceVersion", c->o->resource_version);
        klx_jw_end_object(&w);
    }
    if (m->phase != KLX_PHASE_NONE) {
        klx_jw_key(&w, "incident");
        klx_jw_begin_object(&w);
        klx_jw_member_time(&w, "opened", n->incident.opened_us);
        klx_jw_member_str(&w, "severity", klx_severity_name(n->incident.worst));
        klx_jw_member_int(&w, "actionsTotal", n->incident.actions_total);
        write_actions(&w, &n->incident);
        klx_jw_end_object(&w);
    }
    klx_jw_end_object(&w);
}

static struct klx_sv id_of(struct context *c, const struct klx_node_state *n,
                           const struct message *m) {
    char due[32];
    snprintf(due, sizeof(due), "%" PRId64, m->time_us);
    const struct klx_sv from_object[] = { klx_sv(n->name), c->o != NULL ? c->o->uid : klx_sv(""),
                                          c->o != NULL ? c->o->resource_version : klx_sv("") };
    const struct klx_sv from_clock[] = { klx_sv(n->name), klx_sv(n->incident.id), klx_sv(due) };
    return klx_event_id(c->out->arena, klx_sv(c->d->cluster), m->kind,
                        c->o != NULL ? from_object : from_clock, 3);
}

/* Outside of an incident there is nothing to be alarmed about: late news, and the noise of a node that is flapping. */
static enum klx_severity severity_of(struct context *c, const struct klx_node_state *n,
                                     const struct message *m) {
    enum klx_severity s = klx_kind_specs[m->kind].severity;
    bool softened =
        m->phase == KLX_PHASE_NONE || (s == KLX_SEVERITY_WARNING && is_upgrading(n, c->now_us));
    return softened ? KLX_SEVERITY_INFO : s;
}

static void tell(struct context *c, struct klx_node_state *n, struct message m) {
    struct klx_arena *a = c->out->arena;
    if (is_upgrading(n, c->now_us)) {
        m.summary = klx_arena_printf(a, "%.*s (an upgrade of this node is in progress)",
                                     KLX_SV_FMT(m.summary));
    }
    bool part_of_incident = m.phase != KLX_PHASE_NONE;
    enum klx_severity severity = severity_of(c, n, &m);
    n->incident.seq += part_of_incident;
    if (part_of_incident && severity > n->incident.worst) {
        n->incident.worst = severity;
    }
    struct klx_buf data KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&data, DATA_BYTES_MAX);
    write_data(c, n, &m, &data);
    struct klx_event e = {
        .kind = m.kind,
        .id = id_of(c, n, &m),
        .source = klx_arena_printf(a, "/clusters/%s/nodes", c->d->cluster),
        .subject = klx_arena_printf(a, "Node/%s", n->name),
        .key = klx_arena_printf(a, "%s/%s", c->d->cluster, n->name),
        .cluster = klx_sv(c->d->cluster),
        .severity = severity,
        .incident = part_of_incident ? klx_sv(n->incident.id) : klx_sv(""),
        .phase = m.phase,
        .incident_seq = part_of_incident ? n->incident.seq : 0,
        .resync = c->o != NULL && c->o->origin != KLX_ORIGIN_LIVE,
        .time_us = m.time_us,
        .data = klx_buf_sv(&data),
    };
    c->out->event(c->out, &e);
}

static bool is_open(const struct klx_node_state *n) {
    return n->incident.id[0] != '\0';
}

/* Opens an incident, or the last one again when it was resolved a short while ago. */
static enum klx_phase open_incident(struct context *c, struct klx_node_state *n, int64_t at_us) {
    bool reopen = n->last_id[0] != '\0' && at_us - n->resolved_us < REOPEN_US;
    n->incident = (struct klx_node_incident){ .opened_us = at_us, .stuck_at_us = KLX_TIME_NONE };
    if (reopen) {
        memcpy(n->incident.id, n->last_id, sizeof(n->last_id));
        n->incident.seq = n->last_seq;
        return KLX_PHASE_UPDATE;
    }
    char at[32];
    snprintf(at, sizeof(at), "%" PRId64, at_us);
    const struct klx_sv parts[] = { klx_sv(n->name), klx_sv(at) };
    struct klx_sv id = klx_incident_id(c->out->arena, klx_sv(c->d->cluster), parts, 2);
    snprintf(n->incident.id, sizeof(n->incident.id), "%.*s", KLX_SV_FMT(id));
    return KLX_PHASE_OPEN;
}

static void close_incident(struct klx_node_state *n, int64_t at_us) {
    memcpy(n->last_id, n->incident.id, sizeof(n->last_id));
    n->last_seq = n->incident.seq;
    n->resolved_us = at_us;
    n->incident =
        (struct klx_node_incident){ .opened_us = KLX_TIME_NONE, .stuck_at_us = KLX_TIME_NONE };
}

static struct klx_sv since_words(struct context *c, int64_t from_us, int64_t to_us) {
    char words[KLX_TIME_TEXT_BYTES];
    klx_duration_words(to_us > from_us ? (to_us - from_us) / 1000 : 0, words);
    return klx_arena_dup(c->out->arena, klx_sv(words));
}

static void lost(struct context *c, struct klx_node_state *n, int64_t at_us) {
    struct klx_sv reason = c->o->node.ready_reason;
    if (n->flap_since_us == KLX_TIME_NONE || at_us - n->flap_since_us > FLAP_WINDOW_US) {
        n->flap_since_us = at_us;
        n->flaps = 0;
    }
    n->flaps++;
    if (n->flapping) {
        tell(
            c, n,
            (struct message){ KLX_KIND_NODE_NOT_READY, KLX_PHASE_NONE, at_us, reason,
                              klx_arena_printf(c->out->arena,
                                               "Node %s is not ready (it is flapping)", n->name) });
        return;
    }
    enum klx_phase phase = is_open(n) ? KLX_PHASE_UPDATE : open_incident(c, n, at_us);
    n->flapping = n->flaps >= FLAPS_MIN;
    struct klx_sv summary =
        n->flapping
            ? klx_arena_printf(
                  c->out->arena,
                  "Node %s is flapping: not ready %u times in %.*s; quiet until it is stable",
                  n->name, n->flaps, KLX_SV_FMT(since_words(c, n->flap_since_us, at_us)))
            : klx_arena_printf(c->out->arena, "Node %s is not ready: %.*s", n->name,
                               KLX_SV_FMT(reason));
    tell(c, n,
         (struct message){ n->flapping ? KLX_KIND_NODE_FLAPPING : KLX_KIND_NODE_NOT_READY, phase,
                           at_us, reason, summary });
}

static struct klx_sv last_action_name(const struct klx_node_incident *i) {
    return klx_sv(klx_repair_action_names[i->actions[i->actions_n - 1].action]);
}

static void resolve(struct context *c, struct klx_node_state *n, int64_t at_us) {
    struct klx_arena *a = c->out->arena;
    struct klx_sv took = since_words(c, n->incident.opened_us, at_us);
    bool repaired = n->incident.actions_n > 0;
    struct klx_sv summary =
        repaired
            ? klx_arena_printf(
                  a,
                  "Node %s is ready again after %.*s of auto-repair, %.*s after the incident began",
                  n->name, KLX_SV_FMT(last_action_name(&n->incident)), KLX_SV_FMT(took))
            : klx_arena_printf(a, "Node %s is ready again after %.*s", n->name, KLX_SV_FMT(took));
    tell(c, n,
         (struct message){ repaired ? KLX_KIND_REPAIR_COMPLETED : KLX_KIND_NODE_READY,
                           KLX_PHASE_RESOLVED, at_us, KLX_SV("NodeReady"), summary });
    close_incident(n, at_us);
}

static void recovered(struct context *c, struct klx_node_state *n, int64_t at_us) {
    if (n->flapping) {
        tell(c, n,
             (struct message){
                 KLX_KIND_NODE_READY, KLX_PHASE_NONE, at_us, KLX_SV("NodeReady"),
                 klx_arena_printf(c->out->arena, "Node %s is ready (it is flapping)", n->name) });
    } else if (is_open(n)) {
        resolve(c, n, at_us);
    }
}

static void keep_labels(struct klx_node_state *n, const struct klx_json *labels) {
    static const char *const kept[] = { "agentpool",
                                        "kubernetes.azure.com/agentpool",
                                        "kubernetes.azure.com/mode",
                                        "kubernetes.io/os",
                                        "node.kubernetes.io/instance-type",
                                        "topology.kubernetes.io/zone",
                                        "team" };
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&text, sizeof(n->labels) - 1);
    struct klx_jw w;
    klx_jw_init(&w, &text);
    klx_jw_begin_object(&w);
    for (size_t i = 0; i < KLX_COUNT(kept); i++) {
        klx_jw_member_sv_opt(&w, kept[i],
                             klx_json_str(klx_json_member(labels, klx_sv(kept[i])), ""));
    }
    klx_jw_end_object(&w);
    snprintf(n->labels, sizeof(n->labels), "%s", text.failed ? "{}" : klx_buf_str(&text));
}

/* The Ready condition moved. Its own time counts, but time never runs backwards within an episode. */
static void on_ready_changed(struct context *c, struct klx_node_state *n, bool ready) {
    int64_t at_us =
        c->o->node.ready_since_us != KLX_TIME_NONE ? c->o->node.ready_since_us : c->now_us;
    n->ready = ready;
    n->ready_since_us = at_us;
    if (ready) {
        n->was_ready = true;
        recovered(c, n, at_us);
    } else if (n->was_ready) {
        lost(c, n, at_us);
    }
}

static void on_first_sight(struct context *c, struct klx_node_state *n, bool ready) {
    const struct klx_observed_node *v = &c->o->node;
    bool joining = v->created_us != KLX_TIME_NONE && c->now_us - v->created_us < JOINING_US;
    n->known = true;
    n->unschedulable = v->unschedulable;
    if (c->o->origin != KLX_ORIGIN_BASELINE) {
        tell(c, n,
             (struct message){ KLX_KIND_NODE_ADDED, KLX_PHASE_NONE,
                               v->created_us != KLX_TIME_NONE ? v->created_us : c->now_us,
                               KLX_SV("NodeAdded"),
                               klx_arena_printf(c->out->arena, "Node %s was added", n->name) });
    }
    n->was_ready = ready || (c->o->origin == KLX_ORIGIN_BASELINE && !joining) || is_open(n);
    n->ready = true; /* so that a node that is not ready now makes a transition, if it counts */
    if (!ready) {
        on_ready_changed(c, n, false);
    } else {
        n->ready_since_us = v->ready_since_us;
    }
}

static void on_removed(struct context *c, struct entry *e) {
    struct klx_node_state *n = &e->n;
    struct klx_arena *a = c->out->arena;
    struct klx_sv summary =
        is_open(n) ? klx_arena_printf(a, "Node %s was removed while it was not healthy", n->name)
                   : klx_arena_printf(a, "Node %s was removed", n->name);
    tell(c, n,
         (struct message){ KLX_KIND_NODE_REMOVED, is_open(n) ? KLX_PHASE_RESOLVED : KLX_PHASE_NONE,
                           c->now_us, KLX_SV("NodeRemoved"), summary });
    c->out->state(c->out, klx_arena_printf(a, "%s/node_repair/%s", c->d->cluster, n->name),
                  klx_sv(""));
    forget(c->d, e);
}

static void on_cordon(struct context *c, struct klx_node_state *n, bool unschedulable) {
    n->unschedulable = unschedulable;
    tell(c, n,
         (struct message){ unschedulable ? KLX_KIND_NODE_CORDONED : KLX_KIND_NODE_UNCORDONED,
                           KLX_PHASE_NONE, c->now_us,
                           unschedulable ? KLX_SV("NodeCordoned") : KLX_SV("NodeUncordoned"),
                           klx_arena_printf(c->out->arena, "Node %s was %s", n->name,
                                            unschedulable ? "cordoned" : "uncordoned") });
}

/* A name that was removed and added again between two frames is another node. */
static bool is_replaced(const struct klx_node_state *n, const struct klx_observation *o) {
    return n->known && n->uid[0] != '\0' && !klx_sv_eq(klx_sv(n->uid), o->uid);
}

static void observe_node(struct context *c) {
    const struct klx_observation *o = c->o;
    bool ready = o->node.ready == KLX_NODE_READY_TRUE;
    struct entry *e = find(c->d, o->name);
    if (o->change == KLX_CHANGE_DELETED || (e != NULL && is_replaced(&e->n, o))) {
        if (e != NULL) {
            on_removed(c, e);
        }
        if (o->change == KLX_CHANGE_DELETED) {
            return;
        }
    }
    struct klx_node_state *n = &find_or_add(c->d, o->name)->n;
    struct klx_node_state before = *n;
    snprintf(n->uid, sizeof(n->uid), "%.*s", KLX_SV_FMT(o->uid));
    keep_labels(n, o->labels);
    if (o->node.upgrading) {
        n->upgrade_us =
            c->now_us -
            c->now_us % MINUTE_US; /* coarse: a state record a minute, not one a heartbeat */
    }
    if (!n->known) {
        on_first_sight(c, n, ready);
    } else {
        if (ready != n->ready) {
            on_ready_changed(c, n, ready);
        }
        if (o->node.unschedulable != n->unschedulable) {
            on_cordon(c, n, o->node.unschedulable);
        }
    }
    if (memcmp(&before, n, sizeof(before)) != 0) {
        save(c, n);
    }
}

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

static struct klx_node_action *last_of(struct klx_node_incident *i, enum klx_repair_action action) {
    for (size_t k = i->actions_n; k > 0; k--) {
        if (i->actions[k - 1].action == action) {
            return &i->actions[k - 1];
        }
    }
    return NULL;
}

static struct klx_node_action *add_action(struct klx_node_incident *i,
                                          enum klx_repair_action action) {
    if (i->actions_n == KLX_NODE_ACTIONS_MAX) {
        memmove(i->actions, i->actions + 1, (KLX_NODE_ACTIONS_MAX - 1) * sizeof(i->actions[0]));
        i->actions_n--;
    }
    i->actions_total++;
    i->actions[i->actions_n] =
        (struct klx_node_action){ action, KLX_TIME_NONE, KLX_TIME_NONE, KLX_TIME_NONE };
    return &i->actions[i->actions_n++];
}

/* The action an Event belongs to: an End or Error joins the last one of its kind that has none yet; a Start joins one whose End came
   first (they are microseconds apart, and two writers), else it is a new one. NULL: it says what is known already. */
static struct klx_node_action *action_for(struct klx_node_incident *i,
                                          enum klx_repair_action action, enum stage stage,
                                          int64_t at_us) {
    struct klx_node_action *a = last_of(i, action);
    if (a == NULL) {
        return add_action(i, action);
    }
    int64_t *seen = stage == STAGE_START ? &a->started_us
                    : stage == STAGE_END ? &a->ended_us
                                         : &a->failed_us;
    if (*seen == KLX_TIME_NONE) {
        return a;
    }
    return at_us > *seen ? add_action(i, action) : NULL;
}

static void tell_action(struct context *c, struct klx_node_state *n, enum klx_repair_action action,
                        enum stage stage, enum klx_phase phase) {
    static const enum klx_kind kinds[] = { KLX_KIND_REPAIR_STARTED, KLX_KIND_REPAIR_ENDED,
                                           KLX_KIND_REPAIR_FAILED };
    static const char *const words[] = {
        "Auto-repair started a %s of node %s%.*s",
        "Auto-repair finished the %s of node %s, which is not ready yet%.*s",
        "Auto-repair's %s of node %s failed: %.*s"
    };
    struct klx_sv detail =
        stage == STAGE_ERROR ? klx_sv_utf8_prefix(c->o->event.message, 500) : klx_sv("");
    const char *name = klx_repair_action_names[action];
    struct klx_arena *a = c->out->arena;
    struct klx_sv summary =
        stage == STAGE_START ? klx_arena_printf(a, words[0], name, n->name, KLX_SV_FMT(detail))
        : stage == STAGE_END ? klx_arena_printf(a, words[1], name, n->name, KLX_SV_FMT(detail))
                             : klx_arena_printf(a, words[2], name, n->name, KLX_SV_FMT(detail));
    tell(c, n,
         (struct message){ kinds[stage], phase, c->o->event.time_us, c->o->event.reason, summary });
}

static void on_repair_event(struct context *c, enum klx_repair_action action, enum stage stage) {
    struct klx_node_state *n = &find_or_add(c->d, c->o->event.about_name)->n;
    int64_t at_us = c->o->event.time_us;
    bool over =
        !is_open(n) && n->known && n->ready && (stage != STAGE_START || at_us <= n->ready_since_us);
    if (over) {
        tell_action(c, n, action, stage,
                    KLX_PHASE_NONE); /* late news of an episode that is over: history, no alarm */
        return;
    }
    enum klx_phase phase = is_open(n) ? KLX_PHASE_UPDATE : open_incident(c, n, at_us);
    struct klx_node_action *a = action_for(&n->incident, action, stage, at_us);
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
    n->incident.stuck_at_us = at_us + STUCK_US;
    if (stage != STAGE_END ||
        a->failed_us == KLX_TIME_NONE) { /* the failure has been told: its End adds nothing */
        tell_action(c, n, action, stage, phase);
    }
    save(c, n);
}

static void on_upgrade_event(struct context *c) {
    struct klx_node_state *n = &find_or_add(c->d, c->o->event.about_name)->n;
    if (n->upgrade_us == KLX_TIME_NONE || c->o->event.time_us - n->upgrade_us >= MINUTE_US) {
        n->upgrade_us = c->o->event.time_us;
        save(c, n);
    }
}

static void observe_event(struct context *c) {
    const struct klx_observed_event *v = &c->o->event;
    enum klx_repair_action action = KLX_REPAIR_REBOOT;
    enum stage stage = STAGE_START;
    bool about_node = klx_sv_eq(v->about_kind, KLX_SV("Node")) && v->about_name.n > 0 &&
                      v->about_name.n < KLX_NODE_NAME_BYTES;
    if (!about_node || c->o->origin == KLX_ORIGIN_BASELINE || v->time_us == KLX_TIME_NONE) {
        return;
    }
    if (parse_reason(v->reason, &action, &stage)) {
        on_repair_event(c, action, stage);
    } else if (klx_sv_eq(v->component, KLX_SV("upgrader"))) {
        on_upgrade_event(c);
    }
}

static void observe(void *detector, const struct klx_observation *o, int64_t now_us,
                    struct klx_outbox *out) {
    struct context c = { .d = detector, .out = out, .o = o, .now_us = now_us };
    if (o->kind == KLX_OBSERVED_NODE && o->name.n < KLX_NODE_NAME_BYTES) {
        observe_node(&c);
    } else if (o->kind == KLX_OBSERVED_EVENT) {
        observe_event(&c);
    }
}

static void relisted(void *detector, enum klx_observation_kind kind,
                     bool (*listed)(void *arg, struct klx_sv name), void *arg, int64_t now_us,
                     struct klx_outbox *out) {
    struct context c = { .d = detector, .out = out, .now_us = now_us };
    struct entry *e = NULL, *next = NULL;
    if (kind != KLX_OBSERVED_NODE) {
        return;
    }
    HASH_ITER(hh, c.d->nodes, e, next) {
        if (e->n.known && !listed(arg, klx_sv(e->n.name))) {
            on_removed(&c, e);
        }
    }
}

static int64_t earlier(int64_t a, int64_t b) {
    return a == KLX_TIME_NONE || (b != KLX_TIME_NONE && b < a) ? b : a;
}

static void on_stuck(struct context *c, struct klx_node_state *n) {
    int64_t due_us = n->incident.stuck_at_us;
    n->incident.stuck_at_us = KLX_TIME_NONE;
    if (n->known && n->ready) {
        resolve(c, n, due_us); /* it never was lost in our eyes, and is fine */
    } else {
        tell(c, n,
             (struct message){ KLX_KIND_REPAIR_STUCK, KLX_PHASE_UPDATE, due_us,
                               KLX_SV("NodeRepairStuck"),
                               klx_arena_printf(c->out->arena,
                                                "Node %s is still not ready 10 min after "
                                                "auto-repair's last action (%.*s, %u in all)",
                                                n->name, KLX_SV_FMT(last_action_name(&n->incident)),
                                                n->incident.actions_total) });
    }
    save(c, n);
}

static void on_stable(struct context *c, struct klx_node_state *n, int64_t due_us) {
    n->flapping = false;
    n->flaps = 0;
    n->flap_since_us = KLX_TIME_NONE;
    if (n->ready && is_open(n)) {
        resolve(c, n, due_us);
    } else if (!n->ready && is_open(n)) {
        tell(c, n,
             (struct message){
                 KLX_KIND_NODE_NOT_READY, KLX_PHASE_UPDATE, due_us, KLX_SV("NodeNotReady"),
                 klx_arena_printf(c->out->arena, "Node %s has stopped flapping and stays not ready",
                                  n->name) });
    }
    save(c, n);
}

static int64_t tick(void *detector, int64_t now_us, struct klx_outbox *out) {
    struct context c = { .d = detector, .out = out, .now_us = now_us };
    struct entry *e = NULL, *following = NULL;
    int64_t next_us = KLX_TIME_NONE;
    HASH_ITER(hh, c.d->nodes, e, following) {
        struct klx_node_state *n = &e->n;
        int64_t stable_us = n->flapping ? n->ready_since_us + STABLE_US : KLX_TIME_NONE;
        if (n->incident.stuck_at_us != KLX_TIME_NONE && n->incident.stuck_at_us <= now_us) {
            on_stuck(&c, n);
        }
        if (stable_us != KLX_TIME_NONE && stable_us <= now_us) {
            on_stable(&c, n, stable_us);
            stable_us = KLX_TIME_NONE;
        }
        next_us = earlier(next_us, earlier(n->incident.stuck_at_us, stable_us));
    }
    return next_us;
}

const struct klx_detector_ops klx_detector_node_repair = {
    .name = "node_repair",
    .create = create,
    .destroy = destroy,
    .restore = restore,
    .observe = observe,
    .relisted = relisted,
    .tick = tick,
};
