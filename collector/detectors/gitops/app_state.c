#include "collector/detectors/gitops/app_state.h"

#include <errno.h>
#include <stdio.h>

#include "collector/detectors/news.h"
#include "lib/base/cleanup.h"

#define VERSION 1

static const char *const trouble_names[KLX_APP_TROUBLES_N] = { "out", "sync", "health", "error",
                                                               "deletion" };

void klx_app_trouble_clear(struct klx_app_trouble *t) {
    t->since_us = KLX_TIME_NONE;
    t->due_us = KLX_TIME_NONE;
    t->told = false;
    t->reason[0] = '\0';
    t->detail[0] = '\0';
}

void klx_app_state_init(struct klx_app_state *h, struct klx_sv namespace, struct klx_sv name) {
    *h = (struct klx_app_state){
        .labels = "{}",
        .about = "{}",
        .out_resources = "[]",
        .deployments = -1,
        .settles_us = KLX_TIME_NONE,
        .was_synced = true,
        .op_started_us = KLX_TIME_NONE,
        .op_succeeded_us = KLX_TIME_NONE,
        .loop_us = KLX_TIME_NONE,
        .suspended_us = KLX_TIME_NONE,
        .reconciled_us = KLX_TIME_NONE,
        .refreshed_us = KLX_TIME_NONE,
    };
    klx_news_copy(h->namespace, sizeof(h->namespace), namespace);
    klx_news_copy(h->name, sizeof(h->name), name);
    for (size_t i = 0; i < KLX_APP_HEALS; i++) {
        h->heals[i] = KLX_TIME_NONE;
    }
    for (size_t i = 0; i < KLX_APP_TROUBLES_N; i++) {
        klx_app_trouble_clear(&h->troubles[i]);
        klx_episode_init(&h->troubles[i].episode);
    }
}

static void write_trouble(const struct klx_app_trouble *t, const char *key, struct klx_jw *w) {
    if (t->since_us == KLX_TIME_NONE && t->episode.id[0] == '\0') {
        return;
    }
    klx_jw_key(w, key);
    klx_jw_begin_object(w);
    klx_jw_member_time(w, "since", t->since_us);
    klx_jw_member_time(w, "due", t->due_us);
    klx_jw_member_bool(w, "told", t->told);
    klx_jw_member_str(w, "reason", t->reason);
    klx_jw_member_str(w, "detail", t->detail);
    klx_episode_write(&t->episode, "incident", w);
    klx_jw_end_object(w);
}

static void write_operation(const struct klx_app_state *h, struct klx_jw *w) {
    klx_jw_key(w, "operation");
    klx_jw_begin_object(w);
    klx_jw_member_time(w, "started", h->op_started_us);
    klx_jw_member_time(w, "succeeded", h->op_succeeded_us);
    klx_jw_member_int(w, "heals", h->op_heals);
    klx_jw_member_int(w, "retries", h->op_retries);
    klx_jw_member_int(w, "phase", h->op_phase);
    klx_jw_member_bool(w, "gone", h->op_gone);
    klx_jw_member_bool(w, "misnamed", h->op_misnamed);
    klx_jw_member_bool(w, "wasSynced", h->was_synced);
    klx_jw_member_bool(w, "wasUnknown", h->was_unknown);
    klx_jw_member_str(w, "by", h->op_by);
    klx_jw_end_object(w);
}

static void write_standing(const struct klx_app_state *h, struct klx_jw *w) {
    klx_jw_member_int(w, "sync", h->sync);
    klx_jw_member_str(w, "revision", h->revision);
    klx_jw_member_str(w, "syncedRevision", h->synced_revision);
    klx_jw_member_str(w, "syncedTo", h->synced_to);
    klx_jw_member_int(w, "health", h->health);
    klx_jw_member_bool(w, "automated", h->automated);
    klx_jw_member_int(w, "deployments", h->deployments);
    klx_jw_member_str(w, "deployedRevision", h->deployed_revision);
    klx_jw_member_bool(w, "settling", h->settling);
    klx_jw_member_time(w, "settles", h->settles_us);
    klx_jw_member_str(w, "failedRevision", h->failed_revision);
    klx_jw_member_int(w, "failures", h->failures);
    klx_jw_member_bool(w, "gaveUp", h->gave_up);
    klx_jw_member_bool(w, "outTooLong", h->out_too_long);
    klx_jw_member_time(w, "loop", h->loop_us);
    klx_jw_member_time(w, "suspended", h->suspended_us);
    klx_jw_member_int(w, "warned", h->warned);
    if (h->stalled || h->left_alone) {
        klx_jw_member_bool(w, "stalled", h->stalled);
        klx_jw_member_bool(w, "leftAlone", h->left_alone);
    }
}

void klx_app_state_write(const struct klx_app_state *h, struct klx_buf *out) {
    struct klx_jw w;
    klx_jw_init(&w, out);
    klx_jw_begin_object(&w);
    klx_jw_member_int(&w, "version", VERSION);
    klx_jw_member_str(&w, "uid", h->uid);
    klx_jw_key(&w, "labels");
    klx_jw_raw(&w, klx_sv(h->labels));
    klx_jw_key(&w, "about");
    klx_jw_raw(&w, klx_sv(h->about));
    write_standing(h, &w);
    write_operation(h, &w);
    klx_jw_key(&w, "heals");
    klx_jw_begin_array(&w);
    for (size_t i = 0; i < KLX_APP_HEALS; i++) {
        klx_jw_time(&w, h->heals[i]);
    }
    klx_jw_end_array(&w);
    klx_jw_key(&w, "outResources");
    klx_jw_raw(&w, klx_sv(h->out_resources));
    klx_jw_member_int(&w, "outResourcesTotal", h->out_resources_n);
    klx_jw_key(&w, "troubles");
    klx_jw_begin_object(&w);
    for (size_t i = 0; i < KLX_APP_TROUBLES_N; i++) {
        write_trouble(&h->troubles[i], trouble_names[i], &w);
    }
    klx_jw_end_object(&w);
    klx_jw_end_object(&w);
}

static void read_trouble(struct klx_app_trouble *t, const struct klx_json *node) {
    t->since_us = klx_news_time(node, "since");
    t->due_us = klx_news_time(node, "due");
    t->told = klx_json_bool(node, "told", false);
    klx_news_copy(t->reason, sizeof(t->reason), klx_json_str(node, "reason"));
    klx_news_copy(t->detail, sizeof(t->detail), klx_json_str(node, "detail"));
    klx_episode_read(&t->episode, klx_json_get(node, "incident"));
}

/* A number that names a member of an enum; 0 for what cannot be one. */
static int64_t within(const struct klx_json *v, const char *path, int64_t last) {
    int64_t value = klx_json_int(v, path, 0);
    return value >= 0 && value <= last ? value : 0;
}

static void read_operation(struct klx_app_state *h, const struct klx_json *v) {
    h->op_started_us = klx_news_time(v, "started");
    h->op_succeeded_us = klx_news_time(v, "succeeded");
    h->op_heals = klx_json_int(v, "heals", 0);
    h->op_retries = klx_json_int(v, "retries", 0);
    h->op_phase = (enum klx_app_phase)within(v, "phase", KLX_APP_OP_SUCCEEDED);
    h->op_gone = klx_json_bool(v, "gone", false);
    h->op_misnamed = klx_json_bool(v, "misnamed", false);
    h->was_synced = klx_json_bool(v, "wasSynced", true);
    h->was_unknown = klx_json_bool(v, "wasUnknown", false);
    klx_news_copy(h->op_by, sizeof(h->op_by), klx_json_str(v, "by"));
}

static void read_standing(struct klx_app_state *h, const struct klx_json *v) {
    h->sync = (enum klx_app_sync)within(v, "sync", KLX_APP_OUT_OF_SYNC);
    h->health = (enum klx_app_health)within(v, "health", KLX_APP_HEALTH_UNKNOWN);
    h->automated = klx_json_bool(v, "automated", false);
    h->deployments = klx_json_int(v, "deployments", -1);
    h->settling = klx_json_bool(v, "settling", false);
    h->settles_us = klx_news_time(v, "settles");
    h->failures = klx_json_int(v, "failures", 0);
    h->gave_up = klx_json_bool(v, "gaveUp", false);
    h->out_too_long = klx_json_bool(v, "outTooLong", false);
    h->loop_us = klx_news_time(v, "loop");
    h->suspended_us = klx_news_time(v, "suspended");
    h->warned = klx_json_int(v, "warned", 0);
    h->stalled = klx_json_bool(v, "stalled", false);
    h->left_alone = klx_json_bool(v, "leftAlone", false);
    h->out_resources_n = klx_json_int(v, "outResourcesTotal", 0);
}

static void read_text(struct klx_app_state *h, const struct klx_json *v) {
    klx_news_copy(h->uid, sizeof(h->uid), klx_json_str(v, "uid"));
    klx_news_copy(h->revision, sizeof(h->revision), klx_json_str(v, "revision"));
    klx_news_copy(h->synced_revision, sizeof(h->synced_revision),
                  klx_json_str(v, "syncedRevision"));
    klx_news_copy(h->synced_to, sizeof(h->synced_to), klx_json_str(v, "syncedTo"));
    klx_news_copy(h->deployed_revision, sizeof(h->deployed_revision),
                  klx_json_str(v, "deployedRevision"));
    klx_news_copy(h->failed_revision, sizeof(h->failed_revision),
                  klx_json_str(v, "failedRevision"));
}

/* JSON in a state stays JSON; what does not fit was not written by us. */
static int read_json(const struct klx_json *node, char *to, size_t n) {
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    struct klx_jw w;
    klx_buf_init(&text, n - 1);
    klx_jw_init(&w, &text);
    if (node != NULL) {
        klx_jw_node(&w, node);
    }
    if (node == NULL || text.failed) {
        return -EBADMSG;
    }
    snprintf(to, n, "%s", klx_buf_str(&text));
    return 0;
}

int klx_app_state_read(struct klx_app_state *h, struct klx_sv namespace, struct klx_sv name,
                       struct klx_sv value) {
    struct klx_arena arena KLX_CLEANUP(klx_arena_release);
    const struct klx_json *v = NULL;
    klx_arena_init(&arena, 16384, 1 << 20);
    klx_app_state_init(h, namespace, name);
    if (klx_json_parse(&arena, value, NULL, &v, NULL) != 0 ||
        klx_json_int(v, "version", 0) != VERSION ||
        read_json(klx_json_get(v, "labels"), h->labels, sizeof(h->labels)) != 0 ||
        read_json(klx_json_get(v, "about"), h->about, sizeof(h->about)) != 0 ||
        read_json(klx_json_get(v, "outResources"), h->out_resources, sizeof(h->out_resources)) !=
            0) {
        return -EBADMSG;
    }
    read_text(h, v);
    read_standing(h, v);
    read_operation(h, klx_json_get(v, "operation"));
    const struct klx_json *heal = klx_json_first(klx_json_get(v, "heals"));
    for (size_t i = 0; i < KLX_APP_HEALS && heal != NULL; i++, heal = klx_json_next(heal)) {
        h->heals[i] = klx_news_time(heal, "");
    }
    for (size_t i = 0; i < KLX_APP_TROUBLES_N; i++) {
        const struct klx_json *t = klx_json_get(klx_json_get(v, "troubles"), trouble_names[i]);
        if (t != NULL) {
            read_trouble(&h->troubles[i], t);
        }
    }
    return 0;
}
