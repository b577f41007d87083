#include "collector/detectors/scaling/memory_state.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/base/quantity.h"

#define VERSION 1

void klx_memory_state_init(struct klx_memory_state *p, struct klx_sv namespace,
                           struct klx_sv name) {
    *p = (struct klx_memory_state){ .labels = "{}", .saved_us = KLX_TIME_NONE };
    klx_news_copy(p->namespace, sizeof(p->namespace), namespace);
    klx_news_copy(p->name, sizeof(p->name), name);
}

void klx_memory_state_release(struct klx_memory_state *p) {
    free(p->containers);
    p->containers = NULL;
    p->containers_n = 0;
}

struct klx_memory_container *klx_memory_container_find(const struct klx_memory_state *p,
                                                       struct klx_sv name) {
    for (size_t i = 0; i < p->containers_n; i++) {
        if (klx_sv_eq(klx_sv(p->containers[i].name), name)) {
            return &p->containers[i];
        }
    }
    return NULL;
}

struct klx_memory_container *klx_memory_container_add(struct klx_memory_state *p,
                                                      struct klx_sv name) {
    size_t n = p->containers_n;
    if (n == KLX_MEMORY_CONTAINERS_MAX || name.n == 0 || name.n >= sizeof(p->containers[0].name)) {
        return NULL;
    }
    p->containers = klx_grow_array(p->containers, n, n + 1, sizeof(*p->containers));
    struct klx_memory_container *c = &p->containers[p->containers_n++];
    klx_news_copy(c->name, sizeof(c->name), name);
    klx_episode_init(&c->incident);
    klx_memory_container_calm(c);
    return c;
}

void klx_memory_container_calm(struct klx_memory_container *c) {
    c->since_us = KLX_TIME_NONE;
    c->over_us = KLX_TIME_NONE;
    c->near_told = c->predicted_told = c->urgent_told = false;
}

static void write_trend(const struct klx_trend *t, struct klx_jw *w) {
    klx_jw_key(w, "trend");
    klx_jw_begin_array(w);
    for (size_t i = 0; i < t->n; i++) {
        klx_jw_begin_array(w);
        klx_jw_int(w, t->samples[i].at_us);
        klx_jw_int(w, klx_trend_whole(t->samples[i].bytes));
        klx_jw_end_array(w);
    }
    klx_jw_end_array(w);
}

static void write_container(const struct klx_memory_container *c, struct klx_jw *w) {
    klx_jw_begin_object(w);
    klx_jw_member_str(w, "name", c->name);
    klx_jw_member_str(w, "limit", c->limit_text);
    klx_jw_member_str(w, "request", c->request_text);
    if (c->trend.n > 0) {
        write_trend(&c->trend, w);
    }
    klx_jw_member_time(w, "since", c->since_us);
    klx_jw_member_time(w, "over", c->over_us);
    klx_jw_member_bool(w, "nearTold", c->near_told);
    klx_jw_member_bool(w, "predictedTold", c->predicted_told);
    klx_jw_member_bool(w, "urgentTold", c->urgent_told);
    klx_episode_write(&c->incident, "incident", w);
    klx_jw_end_object(w);
}

void klx_memory_state_write(const struct klx_memory_state *p, struct klx_buf *out) {
    struct klx_jw w;
    klx_jw_init(&w, out);
    klx_jw_begin_object(&w);
    klx_jw_member_int(&w, "version", VERSION);
    klx_jw_member_str(&w, "uid", p->uid);
    klx_jw_key(&w, "labels");
    klx_jw_raw(&w, klx_sv(p->labels));
    klx_jw_member_str(&w, "node", p->node);
    klx_jw_member_str(&w, "workloadKind", p->workload_kind);
    klx_jw_member_str(&w, "workloadName", p->workload_name);
    klx_jw_key(&w, "containers");
    klx_jw_begin_array(&w);
    for (size_t i = 0; i < p->containers_n; i++) {
        write_container(&p->containers[i], &w);
    }
    klx_jw_end_array(&w);
    klx_jw_member_time(&w, "saved", p->saved_us);
    klx_jw_end_object(&w);
}

static void read_trend(struct klx_trend *t, const struct klx_json *node) {
    for (const struct klx_json *s = klx_json_first(node); s != NULL; s = klx_json_next(s)) {
        const struct klx_json *at = klx_json_first(s),
                              *bytes = at != NULL ? klx_json_next(at) : NULL;
        if (bytes != NULL && t->n < KLX_TREND_SAMPLES) {
            t->samples[t->n++] =
                (struct klx_trend_sample){ klx_json_int(at, "", 0), klx_json_double(bytes, "", 0) };
        }
    }
}

static void read_container(struct klx_memory_container *c, const struct klx_json *node) {
    klx_news_copy(c->limit_text, sizeof(c->limit_text), klx_json_str(node, "limit"));
    klx_news_copy(c->request_text, sizeof(c->request_text), klx_json_str(node, "request"));
    if (klx_quantity_parse(klx_sv(c->limit_text), &c->limit) != 0) {
        c->limit = 0;
    }
    read_trend(&c->trend, klx_json_get(node, "trend"));
    c->since_us = klx_news_time(node, "since");
    c->over_us = klx_news_time(node, "over");
    c->near_told = klx_json_bool(node, "nearTold", false);
    c->predicted_told = klx_json_bool(node, "predictedTold", false);
    c->urgent_told = klx_json_bool(node, "urgentTold", false);
    klx_episode_read(&c->incident, klx_json_get(node, "incident"));
}

int klx_memory_state_read(struct klx_memory_state *p, struct klx_sv namespace, struct klx_sv name,
                          struct klx_sv value) {
    struct klx_arena arena KLX_CLEANUP(klx_arena_release);
    const struct klx_json *v = NULL;
    klx_arena_init(&arena, 8192, 1 << 20);
    if (klx_json_parse(&arena, value, NULL, &v, NULL) != 0 ||
        klx_json_int(v, "version", 0) != VERSION) {
        return -EBADMSG;
    }
    klx_memory_state_init(p, namespace, name);
    klx_news_copy(p->uid, sizeof(p->uid), klx_json_str(v, "uid"));
    klx_scaling_labels(klx_json_get(v, "labels"), p->labels);
    klx_news_copy(p->node, sizeof(p->node), klx_json_str(v, "node"));
    klx_news_copy(p->workload_kind, sizeof(p->workload_kind), klx_json_str(v, "workloadKind"));
    klx_news_copy(p->workload_name, sizeof(p->workload_name), klx_json_str(v, "workloadName"));
    p->saved_us = klx_news_time(v, "saved");
    const struct klx_json *c = klx_json_first(klx_json_get(v, "containers"));
    for (; c != NULL; c = klx_json_next(c)) {
        struct klx_memory_container *to = klx_memory_container_add(p, klx_json_str(c, "name"));
        if (to != NULL) {
            read_container(to, c);
        }
    }
    return 0;
}
