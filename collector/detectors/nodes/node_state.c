#include "collector/detectors/nodes/node_state.h"

#include <stdio.h>
#include <stdlib.h>

#include "collector/detectors/news.h"
#include "collector/detectors/nodes/node_problems.h"
#include "lib/base/cleanup.h"
#include "lib/base/json.h"
#include "lib/base/mem.h"
#include "lib/base/time.h"

#define VERSION 1

const char *const klx_repair_action_names[KLX_REPAIR_ACTIONS_N] = { "reboot", "reimage",
                                                                    "redeploy" };
const char *const klx_vm_event_names[KLX_VM_EVENTS_N] = { "none",     "event",    "freeze",
                                                          "reboot",   "redeploy", "preempt",
                                                          "terminate" };

static void init_maintenance(struct klx_node_maintenance *m) {
    *m = (struct klx_node_maintenance){ .since_us = KLX_TIME_NONE,
                                        .heard_us = KLX_TIME_NONE,
                                        .ended_us = KLX_TIME_NONE,
                                        .tell_us = KLX_TIME_NONE };
    klx_episode_init(&m->episode);
}

void klx_node_state_init(struct klx_node_state *n, struct klx_sv name) {
    *n = (struct klx_node_state){
        .labels = "{}",
        .heard_us = KLX_TIME_NONE,
        .ready_since_us = KLX_TIME_NONE,
        .lost_us = KLX_TIME_NONE,
        .alarm_us = KLX_TIME_NONE,
        .upgrade_us = KLX_TIME_NONE,
        .scale_down_us = KLX_TIME_NONE,
        .auto_drain_us = KLX_TIME_NONE,
        .flap_since_us = KLX_TIME_NONE,
        .repair = { .stuck_at_us = KLX_TIME_NONE },
    };
    klx_episode_init(&n->episode);
    init_maintenance(&n->maintenance);
    snprintf(n->name, sizeof(n->name), "%.*s", KLX_SV_FMT(name));
}

void klx_node_state_release(struct klx_node_state *n) {
    free(n->problems);
    n->problems = NULL;
    n->problems_n = 0;
}

static void set_pool(struct klx_node_state *n, const struct klx_json *labels) {
    struct klx_sv pool =
        klx_json_str(klx_json_member(labels, KLX_SV("kubernetes.azure.com/agentpool")), "");
    klx_news_copy(n->pool, sizeof(n->pool),
                  pool.n > 0 ? pool
                             : klx_json_str(klx_json_member(labels, KLX_SV("agentpool")), ""));
}

void klx_node_state_set_labels(struct klx_node_state *n, const struct klx_json *labels) {
    static const char *const kept[] = { "agentpool",
                                        "kubernetes.azure.com/agentpool",
                                        "kubernetes.azure.com/mode",
                                        "kubernetes.azure.com/scalesetpriority",
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
    set_pool(n, labels);
}

struct klx_node_problem *klx_node_problem_find(struct klx_node_state *n, size_t spec) {
    for (size_t i = 0; i < n->problems_n; i++) {
        if (n->problems[i].spec == spec) {
            return &n->problems[i];
        }
    }
    return NULL;
}

struct klx_node_problem *klx_node_problem_add(struct klx_node_state *n, size_t spec) {
    n->problems =
        klx_grow_array(n->problems, n->problems_n, n->problems_n + 1, sizeof(n->problems[0]));
    struct klx_node_problem *p = &n->problems[n->problems_n++];
    *p = (struct klx_node_problem){ .spec = spec,
                                    .since_us = KLX_TIME_NONE,
                                    .due_us = KLX_TIME_NONE };
    klx_episode_init(&p->episode);
    return p;
}

void klx_node_problem_remove(struct klx_node_state *n, struct klx_node_problem *p) {
    *p = n->problems[--n->problems_n];
}

static void write_repair(struct klx_jw *w, const struct klx_node_repair *r) {
    klx_jw_key(w, "repair");
    klx_jw_begin_object(w);
    klx_jw_member_time(w, "stuckAt", r->stuck_at_us);
    klx_jw_member_int(w, "actionsTotal", r->actions_total);
    klx_jw_key(w, "actions");
    klx_jw_begin_array(w);
    for (size_t a = 0; a < r->actions_n; a++) {
        klx_jw_begin_object(w);
        klx_jw_member_int(w, "action", r->actions[a].action);
        klx_jw_member_time(w, "started", r->actions[a].started_us);
        klx_jw_member_time(w, "ended", r->actions[a].ended_us);
        klx_jw_member_time(w, "failed", r->actions[a].failed_us);
        klx_jw_end_object(w);
    }
    klx_jw_end_array(w);
    klx_jw_end_object(w);
}

static void write_maintenance(struct klx_jw *w, const struct klx_node_maintenance *m) {
    klx_jw_key(w, "maintenance");
    klx_jw_begin_object(w);
    klx_jw_member_int(w, "event", m->event);
    klx_jw_member_bool(w, "condition", m->condition);
    klx_jw_member_bool(w, "told", m->told);
    klx_jw_member_time(w, "since", m->since_us);
    klx_jw_member_time(w, "heard", m->heard_us);
    klx_jw_member_time(w, "ended", m->ended_us);
    klx_jw_member_time(w, "tell", m->tell_us);
    klx_episode_write(&m->episode, "incident", w);
    klx_jw_end_object(w);
}

static void write_problems(struct klx_jw *w, const struct klx_node_state *n) {
    klx_jw_key(w, "problems");
    klx_jw_begin_array(w);
    for (size_t i = 0; i < n->problems_n; i++) {
        const struct klx_node_problem *p = &n->problems[i];
        klx_jw_begin_object(w);
        klx_jw_member_str(w, "condition", klx_node_problem_specs[p->spec].condition);
        klx_jw_member_bool(w, "on", p->on);
        klx_jw_member_bool(w, "told", p->told);
        klx_jw_member_bool(w, "folded", p->folded);
        klx_jw_member_time(w, "since", p->since_us);
        klx_jw_member_time(w, "due", p->due_us);
        klx_jw_member_str(w, "reason", p->reason);
        klx_episode_write(&p->episode, "incident", w);
        klx_jw_end_object(w);
    }
    klx_jw_end_array(w);
}

static void write_loss(struct klx_jw *w, const struct klx_node_state *n) {
    klx_jw_member_sv_opt(w, "readyReason", klx_sv(n->ready_reason));
    klx_jw_member_time(w, "lost", n->lost_us);
    klx_jw_member_time(w, "alarm", n->alarm_us);
    klx_jw_member_bool(w, "lostListed", n->lost_listed);
    klx_jw_member_int(w, "excuse", n->excuse);
    klx_jw_member_bool(w, "upgradeFlag", n->upgrade_flag);
    klx_jw_member_time(w, "upgrade", n->upgrade_us);
    klx_jw_member_time(w, "scaleDown", n->scale_down_us);
    klx_jw_member_time(w, "autoDrain", n->auto_drain_us);
    klx_jw_member_bool(w, "vmGone", n->vm_gone);
    klx_jw_member_int(w, "remover", n->remover);
}

void klx_node_state_write(const struct klx_node_state *n, struct klx_buf *out) {
    struct klx_jw w;
    klx_jw_init(&w, out);
    klx_jw_begin_object(&w);
    klx_jw_member_int(&w, "version", VERSION);
    klx_jw_member_str(&w, "uid", n->uid);
    klx_jw_key(&w, "labels");
    klx_jw_raw(&w, klx_sv(n->labels));
    klx_jw_member_bool(&w, "known", n->known);
    klx_jw_member_time(&w, "heard", n->heard_us);
    klx_jw_member_bool(&w, "ready", n->ready);
    klx_jw_member_bool(&w, "wasReady", n->was_ready);
    klx_jw_member_bool(&w, "unschedulable", n->unschedulable);
    klx_jw_member_time(&w, "readySince", n->ready_since_us);
    write_loss(&w, n);
    klx_jw_member_time(&w, "flapSince", n->flap_since_us);
    klx_jw_member_int(&w, "flaps", n->flaps);
    klx_jw_member_bool(&w, "flapping", n->flapping);
    klx_episode_write(&n->episode, "incident", &w);
    if (n->repair.actions_n > 0 || n->repair.stuck_at_us != KLX_TIME_NONE) {
        write_repair(&w, &n->repair);
    }
    if (n->maintenance.event != KLX_VM_EVENT_NONE || n->maintenance.ended_us != KLX_TIME_NONE) {
        write_maintenance(&w, &n->maintenance);
    }
    if (n->problems_n > 0) {
        write_problems(&w, n);
    }
    klx_jw_end_object(&w);
}

static void copy_text(char *to, size_t n, const struct klx_json *node, const char *path) {
    klx_news_copy(to, n, klx_json_str(node, path));
}

/* 0 when it is none of n. */
static int64_t enum_at(const struct klx_json *node, const char *path, int64_t n) {
    int64_t value = klx_json_int(node, path, 0);
    return value > 0 && value < n ? value : 0;
}

static void read_repair(struct klx_node_repair *r, const struct klx_json *node) {
    r->stuck_at_us = klx_news_time(node, "stuckAt");
    r->actions_total = (uint32_t)klx_json_int(node, "actionsTotal", 0);
    const struct klx_json *a = klx_json_first(klx_json_get(node, "actions"));
    for (; a != NULL && r->actions_n < KLX_NODE_ACTIONS_MAX; a = klx_json_next(a)) {
        r->actions[r->actions_n++] = (struct klx_node_action){
            .action = (enum klx_repair_action)enum_at(a, "action", KLX_REPAIR_ACTIONS_N),
            .started_us = klx_news_time(a, "started"),
            .ended_us = klx_news_time(a, "ended"),
            .failed_us = klx_news_time(a, "failed"),
        };
    }
}

static void read_maintenance(struct klx_node_maintenance *m, const struct klx_json *node) {
    m->event = (enum klx_vm_event)enum_at(node, "event", KLX_VM_EVENTS_N);
    m->condition = klx_json_bool(node, "condition", false);
    m->told = klx_json_bool(node, "told", false);
    m->since_us = klx_news_time(node, "since");
    m->heard_us = klx_news_time(node, "heard");
    m->ended_us = klx_news_time(node, "ended");
    m->tell_us = klx_news_time(node, "tell");
    klx_episode_read(&m->episode, klx_json_get(node, "incident"));
}

/* A condition that is not known any more is forgotten. */
static void read_problem(struct klx_node_state *n, const struct klx_json *node) {
    size_t spec = klx_node_problem_spec_of(klx_json_str(node, "condition"));
    if (spec == klx_node_problem_specs_n || klx_node_problem_find(n, spec) != NULL) {
        return;
    }
    struct klx_node_problem *p = klx_node_problem_add(n, spec);
    p->on = klx_json_bool(node, "on", false);
    p->told = klx_json_bool(node, "told", false);
    p->folded = klx_json_bool(node, "folded", false);
    p->since_us = klx_news_time(node, "since");
    p->due_us = klx_news_time(node, "due");
    copy_text(p->reason, sizeof(p->reason), node, "reason");
    klx_episode_read(&p->episode, klx_json_get(node, "incident"));
}

static int read_labels(struct klx_node_state *n, const struct klx_json *labels) {
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&text, sizeof(n->labels) - 1);
    struct klx_jw w;
    klx_jw_init(&w, &text);
    klx_jw_node(&w, labels);
    if (!klx_json_is_object(labels) || text.failed) {
        return -EBADMSG;
    }
    snprintf(n->labels, sizeof(n->labels), "%s", klx_buf_str(&text));
    set_pool(n, labels);
    return 0;
}

static void read_loss(struct klx_node_state *n, const struct klx_json *v) {
    copy_text(n->ready_reason, sizeof(n->ready_reason), v, "readyReason");
    n->lost_us = klx_news_time(v, "lost");
    n->alarm_us = klx_news_time(v, "alarm");
    n->lost_listed = klx_json_bool(v, "lostListed", false);
    n->excuse = (enum klx_node_excuse)enum_at(v, "excuse", KLX_EXCUSES_N);
    n->upgrade_flag = klx_json_bool(v, "upgradeFlag", false);
    n->upgrade_us = klx_news_time(v, "upgrade");
    n->scale_down_us = klx_news_time(v, "scaleDown");
    n->auto_drain_us = klx_news_time(v, "autoDrain");
    n->vm_gone = klx_json_bool(v, "vmGone", false);
    n->remover = (enum klx_node_remover)enum_at(v, "remover", KLX_REMOVERS_N);
}

static void read_members(struct klx_node_state *n, const struct klx_json *v) {
    copy_text(n->uid, sizeof(n->uid), v, "uid");
    n->known = klx_json_bool(v, "known", false);
    n->heard_us = klx_news_time(v, "heard");
    n->ready = klx_json_bool(v, "ready", false);
    n->was_ready = klx_json_bool(v, "wasReady", false);
    n->unschedulable = klx_json_bool(v, "unschedulable", false);
    n->ready_since_us = klx_news_time(v, "readySince");
    n->flapping = klx_json_bool(v, "flapping", false);
    n->flaps = (uint32_t)klx_json_int(v, "flaps", 0);
    n->flap_since_us = klx_news_time(v, "flapSince");
    read_loss(n, v);
    klx_episode_read(&n->episode, klx_json_get(v, "incident"));
    const struct klx_json *repair = klx_json_get(v, "repair");
    read_repair(&n->repair, repair != NULL ? repair : klx_json_get(v, "incident"));
    read_maintenance(&n->maintenance, klx_json_get(v, "maintenance"));
    const struct klx_json *p = klx_json_first(klx_json_get(v, "problems"));
    for (; p != NULL; p = klx_json_next(p)) {
        read_problem(n, p);
    }
}

int klx_node_state_read(struct klx_node_state *n, struct klx_sv name, struct klx_sv value,
                        struct klx_error *e) {
    struct klx_arena arena KLX_CLEANUP(klx_arena_release);
    const struct klx_json *v = NULL;
    klx_arena_init(&arena, 8192, 1 << 20);
    klx_node_state_init(n, name);
    if (klx_json_parse(&arena, value, NULL, &v, e) != 0) {
        return klx_fail_in(e, -EBADMSG, "the state of node %.*s", KLX_SV_FMT(name));
    }
    if (klx_json_int(v, "version", 0) != VERSION ||
        read_labels(n, klx_json_get(v, "labels")) != 0) {
        return klx_fail(e, -EBADMSG, "the state of node %.*s is not of version %d",
                        KLX_SV_FMT(name), VERSION);
    }
    read_members(n, v);
    return 0;
}
