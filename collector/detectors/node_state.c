#include "collector/detectors/node_state.h"

#include <stdio.h>

#include "lib/base/cleanup.h"
#include "lib/base/json.h"
#include "lib/base/time.h"

#define VERSION 1

const char *const klx_repair_action_names[KLX_REPAIR_ACTIONS_N] = { "reboot", "reimage",
                                                                    "redeploy" };

void klx_node_state_init(struct klx_node_state *n, struct klx_sv name) {
    *n = (struct klx_node_state){
        .labels = "{}",
        .ready_since_us = KLX_TIME_NONE,
        .upgrade_us = KLX_TIME_NONE,
        .flap_since_us = KLX_TIME_NONE,
        .resolved_us = KLX_TIME_NONE,
        .incident = { .opened_us = KLX_TIME_NONE, .stuck_at_us = KLX_TIME_NONE },
    };
    snprintf(n->name, sizeof(n->name), "%.*s", KLX_SV_FMT(name));
}

static void write_incident(struct klx_jw *w, const struct klx_node_incident *i) {
    klx_jw_begin_object(w);
    klx_jw_member_str(w, "id", i->id);
    klx_jw_member_int(w, "seq", i->seq);
    klx_jw_member_str(w, "severity", klx_severity_name(i->worst));
    klx_jw_member_time(w, "opened", i->opened_us);
    klx_jw_member_time(w, "stuckAt", i->stuck_at_us);
    klx_jw_member_int(w, "actionsTotal", i->actions_total);
    klx_jw_key(w, "actions");
    klx_jw_begin_array(w);
    for (size_t a = 0; a < i->actions_n; a++) {
        klx_jw_begin_object(w);
        klx_jw_member_int(w, "action", i->actions[a].action);
        klx_jw_member_time(w, "started", i->actions[a].started_us);
        klx_jw_member_time(w, "ended", i->actions[a].ended_us);
        klx_jw_member_time(w, "failed", i->actions[a].failed_us);
        klx_jw_end_object(w);
    }
    klx_jw_end_array(w);
    klx_jw_end_object(w);
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
    klx_jw_member_bool(&w, "ready", n->ready);
    klx_jw_member_bool(&w, "wasReady", n->was_ready);
    klx_jw_member_bool(&w, "unschedulable", n->unschedulable);
    klx_jw_member_time(&w, "readySince", n->ready_since_us);
    klx_jw_member_time(&w, "upgrade", n->upgrade_us);
    klx_jw_member_time(&w, "flapSince", n->flap_since_us);
    klx_jw_member_int(&w, "flaps", n->flaps);
    klx_jw_member_bool(&w, "flapping", n->flapping);
    klx_jw_member_str(&w, "lastId", n->last_id);
    klx_jw_member_int(&w, "lastSeq", n->last_seq);
    klx_jw_member_time(&w, "resolved", n->resolved_us);
    if (n->incident.id[0] != '\0') {
        klx_jw_key(&w, "incident");
        write_incident(&w, &n->incident);
    }
    klx_jw_end_object(&w);
}

static int64_t time_at(const struct klx_json *node, const char *path) {
    int64_t us = 0;
    return klx_time_parse(klx_json_str(node, path), &us) == 0 ? us : KLX_TIME_NONE;
}

static void copy_text(char *to, size_t n, const struct klx_json *node, const char *path) {
    snprintf(to, n, "%.*s", KLX_SV_FMT(klx_json_str(node, path)));
}

static void read_incident(struct klx_node_incident *i, const struct klx_json *node) {
    copy_text(i->id, sizeof(i->id), node, "id");
    i->seq = (uint32_t)klx_json_int(node, "seq", 0);
    if (klx_severity_parse(klx_json_str(node, "severity"), &i->worst) != 0) {
        i->worst = KLX_SEVERITY_WARNING; /* what nearly every incident begins with */
    }
    i->opened_us = time_at(node, "opened");
    i->stuck_at_us = time_at(node, "stuckAt");
    i->actions_total = (uint32_t)klx_json_int(node, "actionsTotal", 0);
    const struct klx_json *a = klx_json_first(klx_json_get(node, "actions"));
    for (; a != NULL && i->actions_n < KLX_NODE_ACTIONS_MAX; a = klx_json_next(a)) {
        int64_t action = klx_json_int(a, "action", 0);
        i->actions[i->actions_n++] = (struct klx_node_action){
            .action = action > 0 && action < KLX_REPAIR_ACTIONS_N ? (enum klx_repair_action)action
                                                                  : KLX_REPAIR_REBOOT,
            .started_us = time_at(a, "started"),
            .ended_us = time_at(a, "ended"),
            .failed_us = time_at(a, "failed"),
        };
    }
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
    return 0;
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
    copy_text(n->uid, sizeof(n->uid), v, "uid");
    copy_text(n->last_id, sizeof(n->last_id), v, "lastId");
    n->known = klx_json_bool(v, "known", false);
    n->ready = klx_json_bool(v, "ready", false);
    n->was_ready = klx_json_bool(v, "wasReady", false);
    n->unschedulable = klx_json_bool(v, "unschedulable", false);
    n->flapping = klx_json_bool(v, "flapping", false);
    n->flaps = (uint32_t)klx_json_int(v, "flaps", 0);
    n->last_seq = (uint32_t)klx_json_int(v, "lastSeq", 0);
    n->ready_since_us = time_at(v, "readySince");
    n->upgrade_us = time_at(v, "upgrade");
    n->flap_since_us = time_at(v, "flapSince");
    n->resolved_us = time_at(v, "resolved");
    if (klx_json_get(v, "incident") != NULL) {
        read_incident(&n->incident, klx_json_get(v, "incident"));
    }
    return 0;
}
