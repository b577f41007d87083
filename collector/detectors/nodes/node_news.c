#include "collector/detectors/nodes/node_news.h"

#include <inttypes.h>
#include <stdio.h>

#include "collector/detectors/nodes/node_rules.h"
#include "lib/base/cleanup.h"

#define DATA_BYTES_MAX (64 * 1024)

bool klx_node_is_upgrading(const struct klx_node_state *n, int64_t now_us) {
    return n->upgrade_us != KLX_TIME_NONE &&
           now_us - n->upgrade_us <
               (n->upgrade_flag ? KLX_NODE_UPGRADE_MAX_US : KLX_NODE_UPGRADE_US);
}

const char *klx_node_words(struct klx_node_call *c, int64_t from_us, int64_t to_us) {
    char words[KLX_TIME_TEXT_BYTES];
    klx_duration_words(to_us > from_us ? (to_us - from_us) / KLX_US_PER_MS : 0, words);
    return klx_arena_dup(c->out->arena, klx_sv(words)).p;
}

enum klx_phase klx_node_open(struct klx_node_call *c, const struct klx_node_state *n,
                             struct klx_episode *e, const char *what, int64_t at_us) {
    char at[32];
    snprintf(at, sizeof(at), "%" PRId64, at_us);
    const struct klx_sv parts[] = { klx_sv(n->name), klx_sv(at), klx_sv(what) };
    return klx_episode_open(
        e, at_us, KLX_NODE_REOPEN_US,
        klx_incident_id(c->out->arena, klx_sv(c->d->cluster), parts, what[0] != '\0' ? 3 : 2));
}

static void write_actions(struct klx_jw *w, const struct klx_node_repair *r) {
    klx_jw_member_int(w, "actionsTotal", r->actions_total);
    klx_jw_key(w, "actions");
    klx_jw_begin_array(w);
    for (size_t a = 0; a < r->actions_n; a++) {
        klx_jw_begin_object(w);
        klx_jw_member_str(w, "action", klx_repair_action_names[r->actions[a].action]);
        klx_jw_member_time(w, "started", r->actions[a].started_us);
        klx_jw_member_time(w, "ended", r->actions[a].ended_us);
        klx_jw_member_time(w, "failed", r->actions[a].failed_us);
        klx_jw_end_object(w);
    }
    klx_jw_end_array(w);
}

static void write_object(struct klx_jw *w, const struct klx_node_state *n) {
    klx_jw_key(w, "object");
    klx_jw_begin_object(w);
    klx_jw_member_str(w, "kind", "Node");
    klx_jw_member_str(w, "name", n->name);
    klx_jw_member_sv_opt(w, "uid", klx_sv(n->uid));
    klx_jw_end_object(w);
}

static void write_cause(struct klx_jw *w, const struct klx_observation *o) {
    klx_jw_key(w, "cause");
    klx_jw_begin_object(w);
    klx_jw_member_str(w, "kind", o->kind == KLX_OBSERVED_NODE ? "Node" : "Event");
    klx_jw_member_sv(w, "uid", klx_news_cut(o->uid, sizeof(((struct klx_node_state *)0)->uid)));
    klx_jw_member_sv(w, "resourceVersion", klx_news_cut(o->resource_version, 64));
    klx_jw_end_object(w);
}

/* What its loss is part of: the incident of it, if that has one. */
static void write_during(struct klx_node_call *c, struct klx_jw *w,
                         const struct klx_node_state *n) {
    const struct klx_episode *e = n->excuse == KLX_EXCUSE_BURST         ? &c->d->burst.episode
                                  : n->excuse == KLX_EXCUSE_MAINTENANCE ? &n->maintenance.episode
                                                                        : NULL;
    if (n->excuse == KLX_EXCUSE_NONE) {
        return;
    }
    klx_jw_key(w, "during");
    klx_jw_begin_object(w);
    klx_jw_member_str(w, "what", klx_node_excuse_name(n->excuse));
    klx_jw_member_sv_opt(w, "incident", klx_sv(e != NULL ? e->id : NULL));
    klx_jw_end_object(w);
}

static void write_circumstances(struct klx_node_call *c, struct klx_jw *w,
                                const struct klx_node_state *n, const struct klx_node_news *m) {
    write_during(c, w, n);
    if (n->maintenance.event != KLX_VM_EVENT_NONE) {
        klx_jw_member_str(w, "vmEvent", klx_vm_event_names[n->maintenance.event]);
    }
    if (m->problem != NULL) {
        klx_jw_key(w, "problem");
        klx_jw_begin_object(w);
        klx_jw_member_str(w, "condition", klx_node_problem_specs[m->problem->spec].condition);
        klx_jw_member_str(w, "reason", m->problem->reason);
        klx_jw_end_object(w);
    }
    if (m->since_us != 0 && m->since_us != KLX_TIME_NONE) {
        klx_jw_member_time(w, "since", m->since_us);
    }
    klx_jw_member_sv_opt(w, "hint", m->hint);
}

static void write_data(struct klx_node_call *c, const struct klx_node_state *n,
                       const struct klx_node_news *m, struct klx_buf *out) {
    static const struct klx_node_repair none; /* auto-repair belongs to the node's own incident */
    struct klx_jw w;
    klx_jw_init(&w, out);
    klx_jw_begin_object(&w);
    klx_jw_member_sv(&w, "summary", m->summary);
    write_object(&w, n);
    klx_jw_member_sv(&w, "reason", m->reason);
    klx_jw_key(&w, "labels");
    klx_jw_raw(&w, klx_sv(n->labels));
    klx_jw_member_bool(&w, "ready", n->ready);
    klx_jw_member_time(&w, "readySince", n->ready_since_us);
    klx_jw_member_bool(&w, "upgrade", klx_node_is_upgrading(n, c->now_us));
    write_circumstances(c, &w, n, m);
    if (c->o != NULL) {
        write_cause(&w, c->o);
    }
    if (m->phase != KLX_PHASE_NONE) {
        klx_jw_key(&w, "incident");
        klx_jw_begin_object(&w);
        klx_jw_member_time(&w, "opened", m->episode->opened_us);
        klx_jw_member_str(&w, "severity", klx_severity_name(m->episode->worst));
        write_actions(&w, m->episode == &n->episode ? &n->repair : &none);
        klx_jw_end_object(&w);
    }
    klx_jw_end_object(&w);
}

static struct klx_sv id_of(struct klx_node_call *c, const struct klx_node_state *n,
                           const struct klx_node_news *m) {
    struct klx_arena *a = c->out->arena;
    struct klx_sv incident = klx_sv(m->phase != KLX_PHASE_NONE ? m->episode->id : NULL);
    struct klx_sv due = klx_arena_printf(a, "%" PRId64, m->time_us);
    const struct klx_sv from_object[] = { klx_sv(n->name), c->o != NULL ? c->o->uid : due,
                                          c->o != NULL ? c->o->resource_version : due, incident };
    const struct klx_sv from_clock[] = { klx_sv(n->name), due, incident };
    return c->o != NULL
               ? klx_event_id(a, klx_sv(c->d->cluster), m->kind, from_object,
                              KLX_COUNT(from_object))
               : klx_event_id(a, klx_sv(c->d->cluster), m->kind, from_clock, KLX_COUNT(from_clock));
}

static enum klx_severity severity_of(const struct klx_node_call *c, const struct klx_node_state *n,
                                     const struct klx_node_news *m) {
    enum klx_severity s = m->severity != 0 ? m->severity : klx_kind_specs[m->kind].severity;
    bool history = m->phase == KLX_PHASE_NONE && !m->warns;
    bool softened = s == KLX_SEVERITY_WARNING && m->severity == 0 && m->episode == &n->episode &&
                    m->phase != KLX_PHASE_NONE && klx_node_is_upgrading(n, c->now_us);
    return history || softened || m->calm ? KLX_SEVERITY_INFO : s;
}

void klx_node_tell(struct klx_node_call *c, struct klx_node_state *n, struct klx_node_news m) {
    struct klx_arena *a = c->out->arena;
    bool part_of_incident = m.phase != KLX_PHASE_NONE;
    m.episode = m.episode != NULL ? m.episode : &n->episode;
    bool said = m.kind == KLX_KIND_NODE_UPGRADE || n->excuse == KLX_EXCUSE_UPGRADE;
    if (klx_node_is_upgrading(n, c->now_us) && !said) {
        m.summary = klx_arena_printf(a, "%.*s (an upgrade of this node is in progress)",
                                     KLX_SV_FMT(m.summary));
    }
    m.severity = severity_of(c, n, &m);
    if (part_of_incident) {
        klx_episode_count(m.episode, m.severity);
    }
    struct klx_buf data KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&data, DATA_BYTES_MAX);
    write_data(c, n, &m, &data);
    const struct klx_event e = {
        .kind = m.kind,
        .id = id_of(c, n, &m),
        .source = klx_arena_printf(a, "/clusters/%s/nodes", c->d->cluster),
        .subject = klx_arena_printf(a, "Node/%s", n->name),
        .key = klx_arena_printf(a, "%s/%s", c->d->cluster, n->name),
        .cluster = klx_sv(c->d->cluster),
        .severity = m.severity,
        .incident = klx_sv(part_of_incident ? m.episode->id : NULL),
        .phase = m.phase,
        .incident_seq = part_of_incident ? m.episode->seq : 0,
        .resync = m.listed || (c->o != NULL && c->o->origin != KLX_ORIGIN_LIVE),
        .time_us = m.time_us,
        .data = klx_buf_sv(&data),
    };
    c->out->event(c->out, &e);
}
