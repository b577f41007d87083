#include "collector/detectors/gitops/rollout_state.h"

#include <errno.h>
#include <stdio.h>

#include "collector/detectors/news.h"
#include "lib/base/cleanup.h"

#define VERSION 1

void klx_rollout_state_init(struct klx_rollout_state *h, struct klx_sv namespace,
                            struct klx_sv name) {
    *h = (struct klx_rollout_state){ .labels = "{}", .started_us = KLX_TIME_NONE, .step = -1 };
    klx_news_copy(h->namespace, sizeof(h->namespace), namespace);
    klx_news_copy(h->name, sizeof(h->name), name);
    klx_episode_init(&h->waits);
    klx_episode_init(&h->failure);
}

void klx_rollout_state_write(const struct klx_rollout_state *h, struct klx_buf *out) {
    struct klx_jw w;
    klx_jw_init(&w, out);
    klx_jw_begin_object(&w);
    klx_jw_member_int(&w, "version", VERSION);
    klx_jw_member_str(&w, "uid", h->uid);
    klx_jw_key(&w, "labels");
    klx_jw_raw(&w, klx_sv(h->labels));
    klx_jw_member_str(&w, "podHash", h->pod_hash);
    klx_jw_member_str(&w, "stable", h->stable);
    klx_jw_member_str(&w, "phase", h->phase);
    klx_jw_member_str(&w, "pause", h->pause);
    klx_jw_member_str(&w, "analysis", h->analysis);
    klx_jw_member_bool(&w, "aborted", h->aborted);
    klx_jw_member_bool(&w, "underWay", h->under_way);
    klx_jw_member_time(&w, "started", h->started_us);
    klx_jw_member_int(&w, "step", h->step);
    klx_episode_write(&h->waits, "waits", &w);
    klx_episode_write(&h->failure, "failure", &w);
    klx_jw_end_object(&w);
}

static int read_labels(const struct klx_json *labels, char *to, size_t n) {
    struct klx_buf text KLX_CLEANUP(klx_buf_release);
    struct klx_jw w;
    klx_buf_init(&text, n - 1);
    klx_jw_init(&w, &text);
    if (klx_json_is_object(labels)) {
        klx_jw_node(&w, labels);
    }
    snprintf(to, n, "%s", klx_buf_str(&text));
    return klx_json_is_object(labels) && !text.failed ? 0 : -EBADMSG;
}

static void read_text(struct klx_rollout_state *h, const struct klx_json *v) {
    klx_news_copy(h->uid, sizeof(h->uid), klx_json_str(v, "uid"));
    klx_news_copy(h->pod_hash, sizeof(h->pod_hash), klx_json_str(v, "podHash"));
    klx_news_copy(h->stable, sizeof(h->stable), klx_json_str(v, "stable"));
    klx_news_copy(h->phase, sizeof(h->phase), klx_json_str(v, "phase"));
    klx_news_copy(h->pause, sizeof(h->pause), klx_json_str(v, "pause"));
    klx_news_copy(h->analysis, sizeof(h->analysis), klx_json_str(v, "analysis"));
}

int klx_rollout_state_read(struct klx_rollout_state *h, struct klx_sv namespace, struct klx_sv name,
                           struct klx_sv value) {
    struct klx_arena arena KLX_CLEANUP(klx_arena_release);
    const struct klx_json *v = NULL;
    klx_arena_init(&arena, 8192, 1 << 20);
    klx_rollout_state_init(h, namespace, name);
    if (klx_json_parse(&arena, value, NULL, &v, NULL) != 0 ||
        klx_json_int(v, "version", 0) != VERSION ||
        read_labels(klx_json_get(v, "labels"), h->labels, sizeof(h->labels)) != 0) {
        return -EBADMSG;
    }
    read_text(h, v);
    h->aborted = klx_json_bool(v, "aborted", false);
    h->under_way = klx_json_bool(v, "underWay", false);
    h->started_us = klx_news_time(v, "started");
    h->step = klx_json_int(v, "step", -1);
    klx_episode_read(&h->waits, klx_json_get(v, "waits"));
    klx_episode_read(&h->failure, klx_json_get(v, "failure"));
    return 0;
}
