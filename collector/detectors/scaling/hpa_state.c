#include "collector/detectors/scaling/hpa_state.h"

#include "lib/base/cleanup.h"

#define VERSION 1

static const char *const trouble_names[KLX_HPA_TROUBLES_N] = { "atMax", "atMin", "blind",
                                                               "flapping" };

static void init_trouble(struct klx_hpa_trouble *t) {
    *t = (struct klx_hpa_trouble){ .since_us = KLX_TIME_NONE, .due_us = KLX_TIME_NONE };
    klx_episode_init(&t->episode);
}

void klx_hpa_state_init(struct klx_hpa_state *h, struct klx_sv namespace, struct klx_sv name) {
    *h = (struct klx_hpa_state){
        .labels = "{}",
        .desired = -1,
        .scaled_us = KLX_TIME_NONE,
        .event_size = -1,
        .event_us = KLX_TIME_NONE,
    };
    klx_news_copy(h->namespace, sizeof(h->namespace), namespace);
    klx_news_copy(h->name, sizeof(h->name), name);
    for (size_t i = 0; i < KLX_HPA_TURNS; i++) {
        h->turns[i] = KLX_TIME_NONE;
    }
    for (size_t i = 0; i < KLX_HPA_TROUBLES_N; i++) {
        init_trouble(&h->troubles[i]);
    }
}

static void write_trouble(const struct klx_hpa_trouble *t, const char *key, struct klx_jw *w) {
    if (t->since_us == KLX_TIME_NONE && t->episode.id[0] == '\0') {
        return;
    }
    klx_jw_key(w, key);
    klx_jw_begin_object(w);
    klx_jw_member_time(w, "since", t->since_us);
    klx_jw_member_time(w, "due", t->due_us);
    klx_jw_member_int(w, "peak", t->peak);
    klx_jw_member_str(w, "reason", t->reason);
    klx_jw_member_str(w, "detail", t->detail);
    klx_episode_write(&t->episode, "incident", w);
    klx_jw_end_object(w);
}

void klx_hpa_state_write(const struct klx_hpa_state *h, struct klx_buf *out) {
    struct klx_jw w;
    klx_jw_init(&w, out);
    klx_jw_begin_object(&w);
    klx_jw_member_int(&w, "version", VERSION);
    klx_jw_member_str(&w, "uid", h->uid);
    klx_jw_key(&w, "labels");
    klx_jw_raw(&w, klx_sv(h->labels));
    klx_jw_member_str(&w, "targetKind", h->target_kind);
    klx_jw_member_str(&w, "targetName", h->target_name);
    klx_jw_member_int(&w, "min", h->min);
    klx_jw_member_int(&w, "max", h->max);
    klx_jw_member_int(&w, "desired", h->desired);
    klx_jw_member_time(&w, "scaled", h->scaled_us);
    if (h->event_size >= 0) {
        klx_jw_member_int(&w, "eventSize", h->event_size);
        klx_jw_member_time(&w, "eventAt", h->event_us);
        klx_jw_member_str(&w, "eventReason", h->event_reason);
    }
    klx_jw_member_int(&w, "direction", h->direction);
    klx_jw_key(&w, "turns");
    klx_jw_begin_array(&w);
    for (size_t i = 0; i < KLX_HPA_TURNS; i++) {
        klx_jw_time(&w, h->turns[i]);
    }
    klx_jw_end_array(&w);
    for (size_t i = 0; i < KLX_HPA_TROUBLES_N; i++) {
        write_trouble(&h->troubles[i], trouble_names[i], &w);
    }
    klx_jw_end_object(&w);
}

static void read_trouble(struct klx_hpa_trouble *t, const struct klx_json *node) {
    init_trouble(t);
    t->since_us = klx_news_time(node, "since");
    t->due_us = klx_news_time(node, "due");
    t->peak = klx_json_int(node, "peak", 0);
    klx_news_copy(t->reason, sizeof(t->reason), klx_json_str(node, "reason"));
    klx_news_copy(t->detail, sizeof(t->detail), klx_json_str(node, "detail"));
    klx_episode_read(&t->episode, klx_json_get(node, "incident"));
}

static void read_text(struct klx_hpa_state *h, const struct klx_json *v) {
    klx_news_copy(h->uid, sizeof(h->uid), klx_json_str(v, "uid"));
    klx_scaling_labels(klx_json_get(v, "labels"), h->labels);
    klx_news_copy(h->target_kind, sizeof(h->target_kind), klx_json_str(v, "targetKind"));
    klx_news_copy(h->target_name, sizeof(h->target_name), klx_json_str(v, "targetName"));
    klx_news_copy(h->event_reason, sizeof(h->event_reason), klx_json_str(v, "eventReason"));
}

int klx_hpa_state_read(struct klx_hpa_state *h, struct klx_sv namespace, struct klx_sv name,
                       struct klx_sv value) {
    struct klx_arena arena KLX_CLEANUP(klx_arena_release);
    const struct klx_json *v = NULL;
    klx_arena_init(&arena, 8192, 1 << 20);
    klx_hpa_state_init(h, namespace, name);
    if (klx_json_parse(&arena, value, NULL, &v, NULL) != 0 ||
        klx_json_int(v, "version", 0) != VERSION) {
        return -EBADMSG;
    }
    read_text(h, v);
    h->min = klx_json_int(v, "min", 0);
    h->max = klx_json_int(v, "max", 0);
    h->desired = klx_json_int(v, "desired", -1);
    h->scaled_us = klx_news_time(v, "scaled");
    h->event_size = klx_json_int(v, "eventSize", -1);
    h->event_us = klx_news_time(v, "eventAt");
    h->direction = klx_json_int(v, "direction", 0);
    const struct klx_json *turn = klx_json_first(klx_json_get(v, "turns"));
    for (size_t i = 0; i < KLX_HPA_TURNS && turn != NULL; i++, turn = klx_json_next(turn)) {
        h->turns[i] = klx_news_time(turn, "");
    }
    for (size_t i = 0; i < KLX_HPA_TROUBLES_N; i++) {
        read_trouble(&h->troubles[i], klx_json_get(v, trouble_names[i]));
    }
    return 0;
}
