#include "collector/detectors/scaling/pod_wave.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "collector/detectors/scaling/hpa_rules.h"
#include "collector/detectors/scaling/pod_news.h"
#include "collector/detectors/scaling/pod_rules.h"
#include "lib/base/cleanup.h"

#define CODES_MAX 4 /* exit codes that are told apart */

struct group {
    const struct klx_pod_state *of;
    size_t pods, containers;
    int64_t begun_us, joined_us; /* the first and the last pod of it, by our clock */
    int64_t first_us, last_us;   /* of the exits, by the cluster's */
    int64_t codes[CODES_MAX];
    size_t codes_n;
};

static bool same_workload(const struct klx_pod_state *a, const struct klx_pod_state *b) {
    return a == b || (a->workload_name[0] != '\0' && strcmp(a->namespace, b->namespace) == 0 &&
                      strcmp(a->workload_kind, b->workload_kind) == 0 &&
                      strcmp(a->workload_name, b->workload_name) == 0);
}

static void add_code(struct group *g, int64_t code) {
    for (size_t i = 0; i < g->codes_n; i++) {
        if (g->codes[i] == code) {
            return;
        }
    }
    if (g->codes_n < CODES_MAX) {
        g->codes[g->codes_n++] = code;
    }
}

static void add_container(struct group *g, const struct klx_pod_container *k) {
    g->containers++;
    add_code(g, k->exit_code);
    if (k->finished_us != KLX_TIME_NONE) {
        g->first_us = klx_news_earlier(g->first_us, k->finished_us);
        g->last_us = k->finished_us > g->last_us ? k->finished_us : g->last_us;
    }
}

static void add_pod(struct group *g, const struct klx_pod_state *p) {
    int64_t held_us = KLX_TIME_NONE;
    for (size_t i = 0; i < p->containers_n; i++) {
        if (p->containers[i].held_us != KLX_TIME_NONE) {
            held_us = klx_news_earlier(held_us, p->containers[i].held_us);
            add_container(g, &p->containers[i]);
        }
    }
    if (held_us != KLX_TIME_NONE) {
        g->pods++;
        g->begun_us = klx_news_earlier(g->begun_us, held_us);
        g->joined_us = held_us > g->joined_us ? held_us : g->joined_us;
    }
}

static struct group gather(const struct klx_scaling *d, const struct klx_pod_state *p) {
    struct group g = { .of = p,
                       .begun_us = KLX_TIME_NONE,
                       .joined_us = KLX_TIME_NONE,
                       .first_us = KLX_TIME_NONE,
                       .last_us = KLX_TIME_NONE };
    const struct klx_pod_entry *e = NULL, *next = NULL;
    HASH_ITER(hh, d->pods, e, next) {
        if (same_workload(p, &e->p)) {
            add_pod(&g, &e->p);
        }
    }
    return g;
}

int64_t klx_pod_wave_due(const struct klx_scaling *d, const struct klx_pod_state *p) {
    struct group g = gather(d, p);
    return klx_news_earlier(g.joined_us + KLX_POD_WAVE_US, g.begun_us + KLX_POD_WAVE_MAX_US);
}

static bool is_wave(const struct klx_scaling *d, const struct group *g) {
    const struct klx_hpa_state *h =
        klx_hpa_of(d, g->of->namespace, g->of->workload_kind, g->of->workload_name);
    bool all = h != NULL && g->pods >= 2 && h->desired >= 0 && (int64_t)g->pods >= h->desired;
    return g->pods >= KLX_POD_WAVE_PODS || all;
}

static void details(struct klx_jw *w, const void *arg) {
    const struct group *g = arg;
    klx_jw_key(w, "wave");
    klx_jw_begin_object(w);
    klx_jw_member_int(w, "pods", (int64_t)g->pods);
    klx_jw_member_int(w, "containers", (int64_t)g->containers);
    klx_jw_member_time(w, "first", g->first_us);
    klx_jw_member_time(w, "last", g->last_us);
    klx_jw_key(w, "exitCodes");
    klx_jw_begin_array(w);
    for (size_t i = 0; i < g->codes_n; i++) {
        klx_jw_int(w, g->codes[i]);
    }
    klx_jw_end_array(w);
    klx_jw_end_object(w);
}

static const char *api_version(const char *kind) {
    return strcmp(kind, "Rollout") == 0                               ? "argoproj.io/v1alpha1"
           : strcmp(kind, "Job") == 0 || strcmp(kind, "CronJob") == 0 ? "batch/v1"
                                                                      : "apps/v1";
}

static struct klx_sv codes_words(struct klx_arena *a, const struct group *g) {
    struct klx_buf b KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&b, 256);
    for (size_t i = 0; i < g->codes_n; i++) {
        klx_buf_printf(&b, "%s%" PRId64, i > 0 ? ", " : "", g->codes[i]);
    }
    return klx_arena_dup(a, klx_buf_sv(&b));
}

static void tell_wave(struct klx_news_call *c, const struct group *g) {
    const struct klx_pod_state *p = g->of;
    bool ama = strcmp(p->namespace, "kube-system") == 0 &&
               strncmp(p->workload_name, "ama-metrics", strlen("ama-metrics")) == 0;
    const struct klx_news_object about = { .kind = p->workload_kind,
                                           .api_version = api_version(p->workload_kind),
                                           .source = "pods",
                                           .namespace = p->namespace,
                                           .name = p->workload_name,
                                           .uid = "",
                                           .labels = p->labels };
    struct klx_arena *a = c->out->arena;
    klx_news_tell(
        c, &about,
        &(struct klx_news){
            .kind = KLX_KIND_RESTART_WAVE,
            .time_us = g->last_us != KLX_TIME_NONE ? g->last_us : c->now_us,
            .reason = KLX_SV("RestartWave"),
            .summary = klx_arena_printf(
                a,
                "%zu pods of %s %s/%s restarted their containers in %s, none for memory (exit "
                "code%s %.*s): as after a change of their configuration",
                g->pods, p->workload_kind, p->namespace, p->workload_name,
                klx_news_words(c, g->first_us, g->last_us), g->codes_n > 1 ? "s" : "",
                KLX_SV_FMT(codes_words(a, g))),
            .hint = klx_sv(ama ? "Expected after a change of an ama-metrics-* ConfigMap." : NULL),
            .details = details,
            .arg = g });
}

static void decide_container(struct klx_news_call *c, struct klx_pod_state *p,
                             struct klx_pod_container *k, bool wave) {
    const struct klx_pod_news n = { .p = p, .k = k };
    k->held_us = KLX_TIME_NONE;
    if (wave) {
        k->first_ordinal =
            k->ordinal + 1; /* this exit is explained: it makes no loop of the next */
    }
    if (k->looping && !k->loop_told) {
        k->loop_told = true;
        klx_pod_tell_loop(c, &n);
    } else if (!wave && k->cause == KLX_EXIT_KILLED) {
        klx_pod_tell_killed(c, &n);
    }
}

void klx_pod_wave_decide(struct klx_news_call *c, struct klx_pod_entry *own) {
    const struct group g = gather(klx_scaling_of(c), &own->p);
    bool wave = is_wave(klx_scaling_of(c), &g);
    if (wave) {
        tell_wave(c, &g);
    }
    struct klx_pod_entry *e = NULL, *next = NULL;
    HASH_ITER(hh, klx_scaling_of(c)->pods, e, next) {
        if (!same_workload(&own->p, &e->p)) {
            continue;
        }
        for (size_t i = 0; i < e->p.containers_n; i++) {
            if (e->p.containers[i].held_us != KLX_TIME_NONE) {
                decide_container(c, &e->p, &e->p.containers[i], wave);
            }
        }
        if (e != own) {
            klx_pod_table_save(c, e);
        }
    }
}
