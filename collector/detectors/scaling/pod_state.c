#include "collector/detectors/scaling/pod_state.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"

#define VERSION 1

void klx_pod_state_init(struct klx_pod_state *p, struct klx_sv namespace, struct klx_sv name) {
    *p = (struct klx_pod_state){ .labels = "{}" };
    klx_news_copy(p->namespace, sizeof(p->namespace), namespace);
    klx_news_copy(p->name, sizeof(p->name), name);
}

void klx_pod_state_release(struct klx_pod_state *p) {
    free(p->containers);
    p->containers = NULL;
    p->containers_n = 0;
}

struct klx_pod_container *klx_pod_container_find(const struct klx_pod_state *p,
                                                 struct klx_sv name) {
    for (size_t i = 0; i < p->containers_n; i++) {
        if (klx_sv_eq(klx_sv(p->containers[i].name), name)) {
            return &p->containers[i];
        }
    }
    return NULL;
}

struct klx_pod_container *klx_pod_container_add(struct klx_pod_state *p, struct klx_sv name) {
    size_t n = p->containers_n;
    if (n == KLX_POD_CONTAINERS_MAX || name.n == 0 || name.n >= sizeof(p->containers[0].name)) {
        return NULL;
    }
    p->containers = klx_grow_array(p->containers, n, n + 1, sizeof(*p->containers));
    struct klx_pod_container *c = &p->containers[p->containers_n++];
    *c = (struct klx_pod_container){ .finished_us = KLX_TIME_NONE,
                                     .held_us = KLX_TIME_NONE,
                                     .stable_us = KLX_TIME_NONE,
                                     .forget_us = KLX_TIME_NONE };
    klx_news_copy(c->name, sizeof(c->name), name);
    klx_episode_init(&c->incident);
    return c;
}

void klx_pod_container_drop(struct klx_pod_state *p, struct klx_pod_container *c) {
    size_t at = (size_t)(c - p->containers);
    memmove(c, c + 1, (p->containers_n - at - 1) * sizeof(*c));
    p->containers_n--;
}

static void write_container(const struct klx_pod_container *c, struct klx_jw *w) {
    klx_jw_begin_object(w);
    klx_jw_member_str(w, "name", c->name);
    klx_jw_member_str(w, "instance", c->instance);
    klx_jw_member_time(w, "finished", c->finished_us);
    klx_jw_member_int(w, "ordinal", c->ordinal);
    klx_jw_member_int(w, "cause", c->cause);
    klx_jw_member_int(w, "exitCode", c->exit_code);
    klx_jw_member_str(w, "reason", c->reason);
    klx_jw_member_int(w, "firstOrdinal", c->first_ordinal);
    klx_jw_member_time(w, "held", c->held_us);
    klx_jw_member_bool(w, "looping", c->looping);
    klx_jw_member_bool(w, "loopTold", c->loop_told);
    klx_jw_member_int(w, "ooms", c->ooms);
    klx_jw_member_time(w, "stable", c->stable_us);
    klx_jw_member_bool(w, "settled", c->settled);
    klx_jw_member_time(w, "forget", c->forget_us);
    klx_episode_write(&c->incident, "incident", w);
    klx_jw_end_object(w);
}

void klx_pod_state_write(const struct klx_pod_state *p, struct klx_buf *out) {
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
    klx_jw_end_object(&w);
}

static enum klx_exit_cause read_cause(const struct klx_json *node) {
    int64_t cause = klx_json_int(node, "cause", KLX_EXIT_OTHER);
    return cause == KLX_EXIT_OOM      ? KLX_EXIT_OOM
           : cause == KLX_EXIT_KILLED ? KLX_EXIT_KILLED
                                      : KLX_EXIT_OTHER;
}

static void read_container(struct klx_pod_container *c, const struct klx_json *node) {
    klx_news_copy(c->instance, sizeof(c->instance), klx_json_str(node, "instance"));
    klx_news_copy(c->reason, sizeof(c->reason), klx_json_str(node, "reason"));
    c->finished_us = klx_news_time(node, "finished");
    c->ordinal = klx_json_int(node, "ordinal", 0);
    c->cause = read_cause(node);
    c->exit_code = klx_json_int(node, "exitCode", 0);
    c->first_ordinal = klx_json_int(node, "firstOrdinal", 0);
    c->held_us = klx_news_time(node, "held");
    c->looping = klx_json_bool(node, "looping", false);
    c->loop_told = klx_json_bool(node, "loopTold", false);
    c->ooms = (uint32_t)klx_json_int(node, "ooms", 0);
    c->stable_us = klx_news_time(node, "stable");
    c->settled = klx_json_bool(node, "settled", false);
    c->forget_us = klx_news_time(node, "forget");
    klx_episode_read(&c->incident, klx_json_get(node, "incident"));
}

int klx_pod_state_read(struct klx_pod_state *p, struct klx_sv namespace, struct klx_sv name,
                       struct klx_sv value) {
    struct klx_arena arena KLX_CLEANUP(klx_arena_release);
    const struct klx_json *v = NULL;
    klx_arena_init(&arena, 8192, 1 << 20);
    if (klx_json_parse(&arena, value, NULL, &v, NULL) != 0 ||
        klx_json_int(v, "version", 0) != VERSION) {
        return -EBADMSG;
    }
    klx_pod_state_init(p, namespace, name);
    klx_news_copy(p->uid, sizeof(p->uid), klx_json_str(v, "uid"));
    klx_scaling_labels(klx_json_get(v, "labels"), p->labels);
    klx_news_copy(p->node, sizeof(p->node), klx_json_str(v, "node"));
    klx_news_copy(p->workload_kind, sizeof(p->workload_kind), klx_json_str(v, "workloadKind"));
    klx_news_copy(p->workload_name, sizeof(p->workload_name), klx_json_str(v, "workloadName"));
    const struct klx_json *c = klx_json_first(klx_json_get(v, "containers"));
    for (; c != NULL; c = klx_json_next(c)) {
        struct klx_pod_container *to = klx_pod_container_add(p, klx_json_str(c, "name"));
        if (to != NULL) {
            read_container(to, c);
        }
    }
    return 0;
}
