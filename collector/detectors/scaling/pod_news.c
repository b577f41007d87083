#include "collector/detectors/scaling/pod_news.h"

#include <inttypes.h>
#include <string.h>

#include "collector/detectors/scaling/hpa_rules.h"
#include "collector/detectors/scaling/memory_news.h"
#include "collector/detectors/scaling/memory_rules.h"
#include "collector/detectors/scaling/pod_rules.h"
#include "lib/base/cleanup.h"

#define UNSEEN_MAX 1000000 /* more is no count of restarts */

/* What is told: the news, and the HPA of the pod's workload, for the callbacks that write the data. */
struct told {
    const struct klx_pod_news *n;
    const struct klx_hpa_state *hpa;           /* NULL: none is known */
    const struct klx_memory_container *memory; /* before an OOM kill; NULL: not known */
    int64_t unseen;
};

static bool at_max(const struct klx_hpa_state *h) {
    return h != NULL && h->desired >= h->max && h->desired > 0;
}

static bool blind(const struct klx_hpa_state *h) {
    return h != NULL && h->troubles[KLX_HPA_BLIND].since_us != KLX_TIME_NONE;
}

static void write_container(struct klx_jw *w, const struct told *t) {
    const struct klx_pod_container *k = t->n->k;
    klx_jw_key(w, "container");
    klx_jw_begin_object(w);
    klx_jw_member_str(w, "name", k->name);
    klx_jw_member_int(w, "exitCode", k->exit_code);
    klx_jw_member_sv_opt(w, "exitReason", klx_sv(k->reason));
    klx_jw_member_time(w, "finished", k->finished_us);
    klx_jw_member_int(w, "exits", k->ordinal);
    if (t->unseen > 0) {
        klx_jw_member_int(w, "unseen", t->unseen);
    }
    if (t->n->c != NULL) {
        klx_jw_member_time(w, "started", t->n->c->started_us);
        klx_jw_member_sv_opt(w, "limit", klx_container_memory(t->n->pod, t->n->c, "limits"));
        klx_jw_member_sv_opt(w, "request", klx_container_memory(t->n->pod, t->n->c, "requests"));
    }
    klx_jw_end_object(w);
}

void klx_pod_write_place(struct klx_jw *w, const char *workload_kind, const char *workload_name,
                         const char *node, const struct klx_hpa_state *hpa) {
    if (workload_name[0] != '\0') {
        klx_jw_key(w, "workload");
        klx_jw_begin_object(w);
        klx_jw_member_str(w, "kind", workload_kind);
        klx_jw_member_str(w, "name", workload_name);
        klx_jw_end_object(w);
    }
    klx_jw_member_sv_opt(w, "node", klx_sv(node));
    if (hpa != NULL) {
        klx_jw_key(w, "scaledBy");
        klx_jw_begin_object(w);
        klx_jw_member_str(w, "name", hpa->name);
        klx_jw_member_int(w, "min", hpa->min);
        klx_jw_member_int(w, "max", hpa->max);
        klx_jw_member_int(w, "desired", hpa->desired);
        klx_jw_member_bool(w, "atMax", at_max(hpa));
        klx_jw_member_bool(w, "blind", blind(hpa));
        klx_jw_end_object(w);
    }
}

static void details(struct klx_jw *w, const void *arg) {
    const struct told *t = arg;
    const struct klx_pod_state *p = t->n->p;
    write_container(w, t);
    if (t->memory != NULL) {
        klx_memory_write_trend(w, &t->memory->trend, t->memory->limit);
    }
    klx_pod_write_place(w, p->workload_kind, p->workload_name, p->node, t->hpa);
}

static void incident(struct klx_jw *w, const void *arg) {
    const struct told *t = arg;
    klx_jw_member_int(w, "oomKills", t->n->k->ooms);
}

static struct told told_of(struct klx_news_call *call, const struct klx_pod_news *n) {
    const struct klx_pod_state *p = n->p;
    return (struct told){ .n = n,
                          .hpa = klx_hpa_of(klx_scaling_of(call), p->namespace, p->workload_kind,
                                            p->workload_name) };
}

/* What makes the termination itself, whatever frame shows it. */
static struct klx_sv identity(struct klx_arena *a, const struct klx_pod_container *k) {
    return klx_arena_printf(a, "%s/%s/%" PRId64 "/%" PRId64, k->name, k->instance,
                            k->instance[0] != '\0' ? 0 : k->finished_us,
                            k->instance[0] != '\0' || k->finished_us != KLX_TIME_NONE ? 0
                                                                                      : k->ordinal);
}

/* Opens the incident of the container where there is none: the phase of what is told. NONE: it is told outside of one. */
static enum klx_phase phase_of(struct klx_news_call *call, const struct klx_pod_news *n,
                               int64_t at_us) {
    struct klx_arena *a = call->out->arena;
    struct klx_pod_container *k = n->k;
    if (n->leaving && !klx_episode_is_open(&k->incident)) {
        return KLX_PHASE_NONE;
    }
    const struct klx_sv parts[] = { KLX_SV("container"), klx_sv(n->p->namespace),
                                    klx_sv(n->p->name), klx_sv(n->p->uid), identity(a, k) };
    struct klx_sv id = klx_incident_id(a, klx_sv(call->cluster), parts, KLX_COUNT(parts));
    if (klx_memory_take_over(call, n->p->namespace, n->p->name, k->name, &k->incident)) {
        k->ooms = 0;
    }
    enum klx_phase phase = klx_episode_open(&k->incident, at_us, KLX_POD_REOPEN_US, id);
    if (phase == KLX_PHASE_OPEN) {
        k->ooms = 0;
    }
    k->forget_us = KLX_TIME_NONE;
    return phase;
}

/* The managed add-on of Azure Monitor: what a person may not know of it (facts: azure.md 2). */
static const char *hint_for(const struct told *t, enum klx_kind kind) {
    const struct klx_pod_state *p = t->n->p;
    bool ama = strcmp(p->namespace, "kube-system") == 0 &&
               strncmp(p->workload_name, "ama-metrics", strlen("ama-metrics")) == 0;
    if (!ama || kind != KLX_KIND_POD_OOM_KILLED) {
        return NULL;
    }
    if (strcmp(p->workload_name, "ama-metrics") != 0) {
        return "No HPA covers this part of the add-on, and its limit cannot be changed: let it "
               "scrape "
               "less, or fewer objects.";
    }
    return at_max(t->hpa)
               ? "The HPA has no replica left to give: raise its maxReplicas, or scrape less."
           : blind(t->hpa) ? "The HPA cannot scale: look at metrics-server first."
                           : "Memory grew faster than the HPA follows, or one target is too large "
                             "to be shared out "
                             "among replicas: look at the largest scrape target.";
}

static void tell(struct klx_news_call *call, const struct told *t, struct klx_news m) {
    const struct klx_pod_state *p = t->n->p;
    const struct klx_news_object about = {
        .kind = "Pod",
        .api_version = "v1",
        .source = "pods",
        .namespace = p->namespace,
        .name = p->name,
        .uid = p->uid,
        .labels = p->labels,
    };
    m.details = details;
    m.incident = incident;
    m.arg = t;
    m.hint = klx_sv(hint_for(t, m.kind));
    m.episode = m.phase != KLX_PHASE_NONE ? &t->n->k->incident : NULL;
    klx_news_tell(call, &about, &m);
}

static int64_t finished_of(struct klx_news_call *call, const struct klx_pod_container *k) {
    return k->finished_us != KLX_TIME_NONE ? k->finished_us : call->now_us;
}

static struct klx_sv limit_words(struct klx_arena *a, const struct klx_pod_news *n) {
    struct klx_sv limit = n->c != NULL ? klx_container_memory(n->pod, n->c, "limits") : klx_sv("");
    return limit.n > 0 ? klx_arena_printf(a, " (limit %.*s)", KLX_SV_FMT(limit))
                       : klx_sv(n->c != NULL ? " (no limit)" : "");
}

static struct klx_sv hpa_words(struct klx_arena *a, const struct klx_hpa_state *h) {
    return at_max(h)
               ? klx_arena_printf(a, "; its HPA %s is at its maximum of %" PRId64, h->name, h->max)
           : blind(h) ? klx_arena_printf(a, "; its HPA %s cannot scale", h->name)
                      : klx_sv("");
}

static struct klx_sv again_words(struct klx_news_call *call, const struct told *t, int64_t at_us) {
    const struct klx_pod_container *k = t->n->k;
    struct klx_arena *a = call->out->arena;
    if (k->ooms < 2 || !klx_episode_is_open(&k->incident)) {
        return klx_sv("");
    }
    struct klx_sv unseen = t->unseen > 0
                               ? klx_arena_printf(a, ", %" PRId64 " of them not seen", t->unseen)
                               : klx_sv("");
    return klx_arena_printf(a, " again, %u times in %s%.*s", k->ooms,
                            klx_news_words(call, k->incident.opened_us, at_us), KLX_SV_FMT(unseen));
}

/* What was seen of the memory of the run that has ended; NULL: nothing. */
static const struct klx_memory_container *memory_before(struct klx_news_call *call,
                                                        const struct klx_pod_news *n) {
    const struct klx_memory_container *m =
        klx_memory_of(klx_scaling_of(call), n->p->namespace, n->p->name, n->k->name);
    int64_t began_us = n->c != NULL ? n->c->started_us : KLX_TIME_NONE;
    bool of_this_run =
        m != NULL && m->trend.n > 0 &&
        (began_us == KLX_TIME_NONE || m->trend.samples[m->trend.n - 1].at_us > began_us);
    return of_this_run ? m : NULL;
}

void klx_pod_tell_oom(struct klx_news_call *call, const struct klx_pod_news *n, int64_t unseen) {
    struct klx_arena *a = call->out->arena;
    struct told t = told_of(call, n);
    int64_t at_us = finished_of(call, n->k);
    enum klx_phase phase = phase_of(call, n, at_us);
    t.unseen = unseen;
    t.memory = memory_before(call, n);
    n->k->ooms += 1 + (uint32_t)(unseen < UNSEEN_MAX ? unseen : UNSEEN_MAX);
    tell(call, &t,
         (struct klx_news){
             .kind = KLX_KIND_POD_OOM_KILLED,
             .severity =
                 n->k->ooms >= KLX_POD_OOMS_CRITICAL ? KLX_SEVERITY_CRITICAL : KLX_SEVERITY_WARNING,
             .time_us = at_us,
             .reason = KLX_SV("OOMKilled"),
             .summary = klx_arena_printf(
                 a, "Container %s of pod %s/%s was OOM-killed%.*s%.*s%.*s%.*s", n->k->name,
                 n->p->namespace, n->p->name, KLX_SV_FMT(again_words(call, &t, at_us)),
                 KLX_SV_FMT(limit_words(a, n)), KLX_SV_FMT(klx_memory_trend_words(a, t.memory)),
                 KLX_SV_FMT(hpa_words(a, t.hpa))),
             .phase = phase,
             .id = identity(a, n->k) });
}

void klx_pod_tell_killed(struct klx_news_call *call, const struct klx_pod_news *n) {
    struct klx_arena *a = call->out->arena;
    const struct told t = told_of(call, n);
    int64_t at_us = finished_of(call, n->k);
    tell(call, &t,
         (struct klx_news){
             .kind = KLX_KIND_POD_KILLED,
             .severity = klx_kind_specs[KLX_KIND_POD_KILLED].severity,
             .time_us = at_us,
             .reason = KLX_SV("Killed"),
             .summary = klx_arena_printf(
                 a,
                 "Container %s of pod %s/%s was killed, but not for memory: exit code %" PRId64
                 " (%s)",
                 n->k->name, n->p->namespace, n->p->name, n->k->exit_code, n->k->reason),
             .phase = phase_of(call, n, at_us),
             .id = identity(a, n->k) });
}

void klx_pod_tell_loop(struct klx_news_call *call, const struct klx_pod_news *n) {
    struct klx_arena *a = call->out->arena;
    const struct told t = told_of(call, n);
    const struct klx_pod_container *k = n->k;
    int64_t at_us = finished_of(call, k);
    enum klx_phase phase = phase_of(call, n, at_us);
    struct klx_sv last =
        k->reason[0] != '\0'
            ? klx_arena_printf(a, ": %" PRId64 " exit%s, the last with code %" PRId64 " (%s)",
                               k->ordinal, k->ordinal == 1 ? "" : "s", k->exit_code, k->reason)
            : klx_sv("");
    tell(call, &t,
         (struct klx_news){
             .kind = KLX_KIND_POD_CRASH_LOOP,
             .severity = klx_kind_specs[KLX_KIND_POD_CRASH_LOOP].severity,
             .time_us = at_us,
             .reason = KLX_SV("CrashLoopBackOff"),
             .summary = klx_arena_printf(a, "Container %s of pod %s/%s is in CrashLoopBackOff%.*s",
                                         k->name, n->p->namespace, n->p->name, KLX_SV_FMT(last)),
             .phase = phase,
             .id = identity(a, k) });
}

static struct klx_sv kills_words(struct klx_arena *a, const struct klx_pod_container *k) {
    return k->ooms == 0 ? klx_sv("")
                        : klx_arena_printf(a, " (%u OOM kill%s)", k->ooms, k->ooms == 1 ? "" : "s");
}

void klx_pod_tell_recovered(struct klx_news_call *call, const struct klx_pod_news *n,
                            int64_t at_us) {
    struct klx_arena *a = call->out->arena;
    const struct told t = told_of(call, n);
    tell(call, &t,
         (struct klx_news){
             .kind = KLX_KIND_POD_RECOVERED,
             .time_us = at_us,
             .reason = KLX_SV("Running"),
             .summary = klx_arena_printf(
                 a, "Container %s of pod %s/%s has run for %s again; the trouble lasted %s%.*s",
                 n->k->name, n->p->namespace, n->p->name,
                 klx_news_words(call, 0, klx_scaling_of(call)->recovered_after_us),
                 klx_news_words(call, n->k->incident.opened_us, at_us),
                 KLX_SV_FMT(kills_words(a, n->k))),
             .phase = KLX_PHASE_RESOLVED });
}

void klx_pod_tell_gone(struct klx_news_call *call, const struct klx_pod_news *n, const char *how) {
    struct klx_arena *a = call->out->arena;
    const struct told t = told_of(call, n);
    tell(call, &t,
         (struct klx_news){ .kind = KLX_KIND_POD_GONE,
                            .time_us = call->now_us,
                            .reason = KLX_SV("PodGone"),
                            .summary = klx_arena_printf(
                                a,
                                "Pod %s/%s %s, %s after the trouble of its container %s began%.*s",
                                n->p->namespace, n->p->name, how,
                                klx_news_words(call, n->k->incident.opened_us, call->now_us),
                                n->k->name, KLX_SV_FMT(kills_words(a, n->k))),
                            .phase = KLX_PHASE_RESOLVED,
                            .id = klx_arena_printf(a, "%s/gone", n->k->name) });
}
