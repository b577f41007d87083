#include "collector/detectors/scaling/memory_news.h"

#include <inttypes.h>
#include <string.h>

#include "collector/detectors/scaling/hpa_rules.h"
#include "collector/detectors/scaling/memory_rules.h"
#include "collector/detectors/scaling/pod_news.h"
#include "collector/detectors/scaling/pod_rules.h"
#include "lib/base/cleanup.h"
#include "lib/base/quantity.h"

#define SECONDS_A_MINUTE 60
#define WINDOW_BYTES_MAX 32

static int64_t percent_of(double bytes, double limit) {
    return limit > 0 ? klx_trend_whole(100 * bytes / limit) : 0;
}

static const char *bytes_words(struct klx_arena *a, double bytes) {
    char text[KLX_QUANTITY_TEXT_BYTES];
    klx_quantity_bytes(bytes, text);
    return klx_arena_dup(a, klx_sv(text)).p;
}

static const struct klx_trend_sample *last_of(const struct klx_trend *t) {
    return &t->samples[t->n - 1];
}

void klx_memory_write_trend(struct klx_jw *w, const struct klx_trend *t, double limit) {
    struct klx_trend_line line;
    if (t->n == 0) {
        return;
    }
    klx_trend_fit(t, &line);
    klx_jw_key(w, "memory");
    klx_jw_begin_object(w);
    klx_jw_member_int(w, "bytes", klx_trend_whole(last_of(t)->bytes));
    klx_jw_member_int(w, "limitBytes", klx_trend_whole(limit));
    klx_jw_member_int(w, "percent", percent_of(last_of(t)->bytes, limit));
    klx_jw_member_time(w, "time", last_of(t)->at_us);
    klx_jw_member_time(w, "trendSince", t->samples[0].at_us);
    klx_jw_member_int(w, "trendSamples", (int64_t)t->n);
    klx_jw_member_bool(w, "rising", line.rising);
    if (t->n >= KLX_TREND_SAMPLES_MIN) {
        klx_jw_member_int(w, "bytesPerMinute",
                          klx_trend_whole(line.bytes_per_s * SECONDS_A_MINUTE));
    }
    klx_jw_end_object(w);
}

struct klx_sv klx_memory_trend_words(struct klx_arena *a, const struct klx_memory_container *c) {
    struct klx_trend_line line;
    if (c == NULL || c->trend.n == 0 || c->limit <= 0) {
        return klx_sv("");
    }
    klx_trend_fit(&c->trend, &line);
    int64_t percent = percent_of(last_of(&c->trend)->bytes, c->limit);
    return line.rising
               ? klx_arena_printf(a,
                                  "; its memory had grown by %s a minute, to %" PRId64
                                  " %% of the limit when it was last seen",
                                  bytes_words(a, line.bytes_per_s * SECONDS_A_MINUTE), percent)
               : klx_arena_printf(a, "; its memory was last seen at %" PRId64 " %% of the limit",
                                  percent);
}

/* What is told, for the callbacks that write the data. */
struct told {
    const struct klx_memory_state *p;
    const struct klx_memory_container *c;
    const struct klx_memory_news *n; /* NULL: the pod is gone */
    const struct klx_hpa_state *hpa;
};

static void details(struct klx_jw *w, const void *arg) {
    const struct told *t = arg;
    klx_jw_key(w, "container");
    klx_jw_begin_object(w);
    klx_jw_member_str(w, "name", t->c->name);
    klx_jw_member_sv_opt(w, "limit", klx_sv(t->c->limit_text));
    klx_jw_member_sv_opt(w, "request", klx_sv(t->c->request_text));
    klx_jw_end_object(w);
    klx_memory_write_trend(w, &t->c->trend, t->c->limit);
    if (t->n != NULL && t->n->eta_us != KLX_TIME_NONE) {
        klx_jw_member_time(w, "limitReached", t->n->at_us + t->n->eta_us);
    }
    klx_pod_write_place(w, t->p->workload_kind, t->p->workload_name, t->p->node, t->hpa);
}

static void tell(struct klx_news_call *call, struct told t, struct klx_news m) {
    const struct klx_memory_state *p = t.p;
    const struct klx_news_object about = { .kind = "Pod",
                                           .api_version = "v1",
                                           .source = "podmetrics",
                                           .namespace = p->namespace,
                                           .name = p->name,
                                           .uid = p->uid,
                                           .labels = p->labels };
    t.hpa = klx_hpa_of(klx_scaling_of(call), p->namespace, p->workload_kind, p->workload_name);
    m.details = details;
    m.arg = &t;
    m.id = klx_arena_printf(call->out->arena, "%s/%" PRId64, t.c->name, m.time_us);
    klx_news_tell(call, &about, &m);
}

/* Opens the incident where there is none. */
static enum klx_phase phase_of(struct klx_news_call *call, const struct klx_memory_news *n) {
    struct klx_arena *a = call->out->arena;
    struct klx_sv since = klx_arena_printf(a, "%" PRId64, n->c->since_us);
    const struct klx_sv parts[] = { KLX_SV("memory"),  klx_sv(n->p->namespace), klx_sv(n->p->name),
                                    klx_sv(n->p->uid), klx_sv(n->c->name),      since };
    return klx_episode_open(&n->c->incident, n->at_us, KLX_POD_REOPEN_US,
                            klx_incident_id(a, klx_sv(call->cluster), parts, KLX_COUNT(parts)));
}

static struct klx_sv standing_words(struct klx_arena *a, const struct klx_memory_news *n) {
    return klx_arena_printf(a, "%s of %s, %" PRId64 " %%", bytes_words(a, n->bytes),
                            n->c->limit_text, percent_of(n->bytes, n->c->limit));
}

/* A prediction has no seconds. */
static int64_t rounded(int64_t us) {
    int64_t step_us = us >= 2 * KLX_MINUTE_US ? KLX_MINUTE_US : 10 * KLX_US_PER_S;
    return (us + step_us / 2) / step_us * step_us;
}

static struct klx_sv line_words(struct klx_news_call *call, const struct klx_memory_news *n) {
    struct klx_arena *a = call->out->arena;
    if (n->eta_us == KLX_TIME_NONE) {
        return klx_sv("");
    }
    return klx_arena_printf(a, "grows by %s a minute and reaches it in about %s",
                            bytes_words(a, n->line.bytes_per_s * SECONDS_A_MINUTE),
                            klx_news_words(call, n->at_us, n->at_us + rounded(n->eta_us)));
}

void klx_memory_tell_near(struct klx_news_call *call, const struct klx_memory_news *n,
                          bool urgent) {
    struct klx_arena *a = call->out->arena;
    struct klx_sv line = line_words(call, n);
    enum klx_phase phase = phase_of(call, n);
    tell(call, (struct told){ .p = n->p, .c = n->c, .n = n },
         (struct klx_news){
             .kind = KLX_KIND_POD_MEMORY_NEAR,
             .severity = urgent ? KLX_SEVERITY_CRITICAL : KLX_SEVERITY_WARNING,
             .time_us = n->at_us,
             .reason = KLX_SV("MemoryNearLimit"),
             .summary = klx_arena_printf(
                 a, "Memory of container %s of pod %s/%s is near its limit: %.*s%s%.*s", n->c->name,
                 n->p->namespace, n->p->name, KLX_SV_FMT(standing_words(a, n)),
                 line.n > 0 ? "; it " : "", KLX_SV_FMT(line)),
             .episode = &n->c->incident,
             .phase = phase });
}

void klx_memory_tell_predicted(struct klx_news_call *call, const struct klx_memory_news *n,
                               bool urgent) {
    struct klx_arena *a = call->out->arena;
    struct klx_sv line = line_words(call, n);
    enum klx_phase phase = phase_of(call, n);
    tell(call, (struct told){ .p = n->p, .c = n->c, .n = n },
         (struct klx_news){
             .kind = KLX_KIND_POD_MEMORY_PREDICTED,
             .severity = urgent ? KLX_SEVERITY_CRITICAL : KLX_SEVERITY_WARNING,
             .time_us = n->at_us,
             .reason = KLX_SV("MemoryLimitPredicted"),
             .summary = klx_arena_printf(
                 a, "Memory of container %s of pod %s/%s will reach its limit: %.*s (%.*s)",
                 n->c->name, n->p->namespace, n->p->name, KLX_SV_FMT(line),
                 KLX_SV_FMT(standing_words(a, n))),
             .episode = &n->c->incident,
             .phase = phase });
}

void klx_memory_tell_relieved(struct klx_news_call *call, const struct klx_memory_news *n) {
    struct klx_arena *a = call->out->arena;
    tell(call, (struct told){ .p = n->p, .c = n->c, .n = n },
         (struct klx_news){
             .kind = KLX_KIND_POD_MEMORY_RELIEVED,
             .time_us = n->at_us,
             .reason = KLX_SV("MemoryRelieved"),
             .summary = klx_arena_printf(
                 a, "Memory of container %s of pod %s/%s has room again: %.*s, after %s",
                 n->c->name, n->p->namespace, n->p->name, KLX_SV_FMT(standing_words(a, n)),
                 klx_news_words(call, n->c->incident.opened_us, n->at_us)),
             .episode = &n->c->incident,
             .phase = KLX_PHASE_RESOLVED });
}

void klx_memory_tell_gone(struct klx_news_call *call, const struct klx_memory_state *p,
                          struct klx_memory_container *c, const char *how) {
    tell(call, (struct told){ .p = p, .c = c },
         (struct klx_news){
             .kind = KLX_KIND_POD_MEMORY_RELIEVED,
             .time_us = call->now_us,
             .reason = KLX_SV("PodGone"),
             .summary = klx_arena_printf(
                 call->out->arena,
                 "Pod %s/%s %s, %s after the memory of its container %s came near its limit",
                 p->namespace, p->name, how,
                 klx_news_words(call, c->incident.opened_us, call->now_us), c->name),
             .episode = &c->incident,
             .phase = KLX_PHASE_RESOLVED });
}

/* PodMetrics, and the pod. */
struct sample {
    const struct klx_json *object;
    const struct klx_memory_state *p;
};

static void write_usage(struct klx_jw *w, const struct klx_json *usage,
                        const struct klx_memory_container *known) {
    double memory = 0, cpu = 0;
    bool has_memory = klx_quantity_parse(klx_json_str(usage, "memory"), &memory) == 0;
    if (klx_quantity_parse(klx_json_str(usage, "cpu"), &cpu) == 0) {
        klx_jw_key(w, "cpuCores");
        klx_jw_double(w, cpu);
    }
    if (has_memory) {
        klx_jw_member_int(w, "memoryBytes", klx_trend_whole(memory));
    }
    if (known != NULL) {
        klx_jw_member_sv_opt(w, "memoryLimit", klx_sv(known->limit_text));
        klx_jw_member_sv_opt(w, "memoryRequest", klx_sv(known->request_text));
    }
    if (known != NULL && known->limit > 0 && has_memory) {
        klx_jw_member_int(w, "memoryPercent", percent_of(memory, known->limit));
    }
}

static void write_sample(struct klx_jw *w, const void *arg) {
    const struct sample *s = arg;
    const struct klx_json *c = klx_json_first(klx_json_get(s->object, "containers"));
    klx_jw_key(w, "sample");
    klx_jw_begin_object(w);
    klx_jw_member_time(w, "time", klx_news_time(s->object, "timestamp"));
    klx_jw_member_sv_opt(w, "window",
                         klx_news_cut(klx_json_str(s->object, "window"), WINDOW_BYTES_MAX));
    klx_jw_key(w, "containers");
    klx_jw_begin_array(w);
    for (size_t i = 0; c != NULL && i < KLX_MEMORY_CONTAINERS_MAX; c = klx_json_next(c), i++) {
        struct klx_sv name = klx_news_cut(klx_json_str(c, "name"), KLX_NAME_BYTES);
        klx_jw_begin_object(w);
        klx_jw_member_sv(w, "name", name);
        write_usage(w, klx_json_get(c, "usage"),
                    s->p != NULL ? klx_memory_container_find(s->p, name) : NULL);
        klx_jw_end_object(w);
    }
    klx_jw_end_array(w);
    klx_jw_end_object(w);
    if (s->p != NULL) {
        klx_pod_write_place(w, s->p->workload_kind, s->p->workload_name, s->p->node, NULL);
    }
}

/* The whole pod's, for the sentence. */
static void add_up(const struct klx_json *object, double *ret_memory, double *ret_cpu) {
    const struct klx_json *c = klx_json_first(klx_json_get(object, "containers"));
    for (; c != NULL; c = klx_json_next(c)) {
        double memory = 0, cpu = 0;
        if (klx_quantity_parse(klx_json_str(c, "usage.memory"), &memory) == 0) {
            *ret_memory += memory;
        }
        if (klx_quantity_parse(klx_json_str(c, "usage.cpu"), &cpu) == 0) {
            *ret_cpu += cpu;
        }
    }
}

void klx_memory_publish(struct klx_news_call *call, const struct klx_memory_state *p) {
    const struct klx_observation *o = call->o;
    struct klx_arena *a = call->out->arena;
    struct klx_news_call quiet = *call;
    const struct sample s = { o->object, p };
    const struct klx_news_object about = { .kind = "Pod",
                                           .api_version = "v1",
                                           .source = "podmetrics",
                                           .namespace = klx_arena_dup(a, o->namespace).p,
                                           .name = klx_arena_dup(a, o->name).p,
                                           .uid = "",
                                           .labels = "{}" };
    double memory = 0, cpu = 0;
    int64_t at_us = klx_news_time(o->object, "timestamp");
    add_up(o->object, &memory, &cpu);
    quiet.o = NULL; /* a sample is its own cause */
    klx_news_tell(&quiet, &about,
                  &(struct klx_news){ .kind = KLX_KIND_POD_SAMPLE,
                                      .time_us = at_us,
                                      .reason = KLX_SV("Sampled"),
                                      .summary = klx_arena_printf(
                                          a, "Pod %s/%s uses %s of memory and %.3f cores",
                                          about.namespace, about.name, bytes_words(a, memory), cpu),
                                      .id = klx_arena_printf(a, "%" PRId64, at_us),
                                      .details = write_sample,
                                      .arg = &s });
}
