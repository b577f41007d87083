#include "collector/detectors/scaling/pod_rules.h"

#include <stdio.h>

#include "collector/detectors/scaling/pod_news.h"
#include "collector/detectors/scaling/pod_table.h"
#include "collector/detectors/scaling/pod_wave.h"

#define RECENT_US (3 * KLX_MINUTE_US) /* a restart without a memory of it: older ones are history */

/* One container of one frame. */
struct sight {
    struct klx_news_call *call;
    struct klx_pod_entry *e; /* NULL: nothing of the pod is remembered yet */
    const struct klx_pod_view *pod;
    const struct klx_container_view *c;
    struct klx_pod_container *k; /* NULL: nothing of the container */
};

void klx_pod_forget_all(struct klx_scaling *d) {
    struct klx_pod_entry *e = NULL, *next = NULL;
    HASH_ITER(hh, d->pods, e, next) {
        klx_pod_table_forget(d, e);
    }
}

int klx_pod_restore(struct klx_scaling *d, struct klx_sv namespace, struct klx_sv name,
                    struct klx_sv value) {
    struct klx_pod_state p;
    int rc = klx_pod_state_read(&p, namespace, name, value);
    if (rc != 0) {
        return rc;
    }
    struct klx_pod_entry *e = klx_pod_table_find(d, namespace, name);
    e = e != NULL ? e : klx_pod_table_add(d, namespace, name);
    klx_pod_state_release(&e->p);
    e->p = p;
    klx_hash_parts(&value, 1, e->written);
    d->restored = true;
    return 0;
}

const struct klx_episode *klx_pod_incident(const struct klx_scaling *d, const char *namespace,
                                           const char *pod, const char *container) {
    const struct klx_pod_entry *e = klx_pod_table_find(d, klx_sv(namespace), klx_sv(pod));
    const struct klx_pod_container *k =
        e != NULL ? klx_pod_container_find(&e->p, klx_sv(container)) : NULL;
    return k != NULL ? &k->incident : NULL;
}

static bool is_seen(const struct klx_pod_container *k, const struct klx_container_view *c) {
    if (k->instance[0] != '\0' && c->instance.n > 0) {
        return klx_sv_eq(klx_sv(k->instance), c->instance);
    }
    if (k->finished_us != KLX_TIME_NONE && c->finished_us != KLX_TIME_NONE) {
        return k->finished_us == c->finished_us;
    }
    return k->ordinal == c->ordinal;
}

/* Whether a termination of a container of which nothing is remembered is to be remembered. */
static bool is_worth_it(const struct sight *s) {
    const struct klx_container_view *c = s->c;
    int64_t now_us = s->call->now_us;
    if (c->cause != KLX_EXIT_OTHER) {
        return c->cause == KLX_EXIT_OOM || !s->pod->leaving;
    }
    bool recent = c->finished_us != KLX_TIME_NONE && now_us - c->finished_us < RECENT_US;
    return c->is_restart && recent && !s->pod->leaving && s->call->o->origin != KLX_ORIGIN_BASELINE;
}

static void remember_pod(struct sight *s) {
    const struct klx_observation *o = s->call->o;
    if (s->e == NULL) {
        s->e = klx_pod_table_add(klx_scaling_of(s->call), o->namespace, o->name);
    }
    struct klx_pod_state *p = &s->e->p;
    klx_news_copy(p->uid, sizeof(p->uid), o->uid);
    klx_news_copy(p->node, sizeof(p->node), s->pod->node);
    klx_news_copy(p->workload_kind, sizeof(p->workload_kind), s->pod->workload_kind);
    klx_news_copy(p->workload_name, sizeof(p->workload_name), s->pod->workload_name);
    klx_scaling_labels(o->labels, p->labels);
}

static void remember_exit(struct sight *s) {
    struct klx_pod_container *k = s->k;
    const struct klx_container_view *c = s->c;
    klx_news_copy(k->instance, sizeof(k->instance), c->instance);
    klx_news_copy(k->reason, sizeof(k->reason), c->reason);
    k->finished_us = c->finished_us;
    k->ordinal = c->ordinal;
    k->cause = c->cause;
    k->exit_code = c->exit_code;
    k->stable_us = KLX_TIME_NONE;
    k->settled = false;
}

static struct klx_pod_news news_of(const struct sight *s) {
    return (struct klx_pod_news){
        .p = &s->e->p, .k = s->k, .pod = s->pod, .c = s->c, .leaving = s->pod->leaving
    };
}

/* At the first list, what is over is only remembered. */
static bool is_history(const struct sight *s, bool is_new) {
    return is_new && s->call->o->origin == KLX_ORIGIN_BASELINE;
}

static void on_exit_seen(struct sight *s) {
    bool is_new = s->k == NULL;
    if (is_new) {
        remember_pod(s);
        s->k = klx_pod_container_add(&s->e->p, s->c->name);
    }
    if (s->k == NULL) {
        return;
    }
    struct klx_pod_container *k = s->k;
    int64_t unseen = s->c->ordinal - k->ordinal - 1;
    bool oom_before = !is_new && k->cause == KLX_EXIT_OOM && unseen > 0;
    if (is_new || k->settled) {
        k->first_ordinal = s->c->ordinal;
    }
    remember_exit(s);
    k->settled = is_history(s, is_new);
    if (k->settled) {
        return;
    }
    const struct klx_pod_news n = news_of(s);
    if (k->cause == KLX_EXIT_OOM) {
        k->held_us = KLX_TIME_NONE;
        klx_pod_tell_oom(s->call, &n, oom_before ? unseen : 0);
    } else if (!s->pod->leaving && !k->loop_told && k->held_us == KLX_TIME_NONE) {
        k->held_us = s->call->now_us;
    }
}

/* A loop that was there before anything of it is remembered. */
static void on_loop_first_seen(struct sight *s) {
    remember_pod(s);
    s->k = klx_pod_container_add(&s->e->p, s->c->name);
    if (s->k != NULL) {
        s->k->first_ordinal = s->c->ordinal;
        remember_exit(s);
    }
}

static void on_standing(struct sight *s) {
    struct klx_pod_container *k = s->k;
    const struct klx_container_view *c = s->c;
    k->looping = c->looping;
    bool certain = klx_episode_is_open(&k->incident) || s->call->o->origin != KLX_ORIGIN_LIVE ||
                   k->held_us == KLX_TIME_NONE || k->ordinal > k->first_ordinal;
    if (c->looping && !k->loop_told && certain && !s->pod->leaving) {
        const struct klx_pod_news n = news_of(s);
        k->loop_told = true;
        k->held_us = KLX_TIME_NONE;
        k->settled = false;
        klx_pod_tell_loop(s->call, &n);
    }
    if (!c->running) {
        k->stable_us = KLX_TIME_NONE;
    } else if (!k->settled && k->stable_us == KLX_TIME_NONE) {
        k->stable_us = (c->running_us != KLX_TIME_NONE ? c->running_us : s->call->now_us) +
                       klx_scaling_of(s->call)->recovered_after_us;
    }
}

static void observe_container(struct sight *s) {
    const struct klx_container_view *c = s->c;
    s->k = s->e != NULL ? klx_pod_container_find(&s->e->p, c->name) : NULL;
    if (c->terminated && (s->k != NULL ? !is_seen(s->k, c) : is_worth_it(s))) {
        on_exit_seen(s);
    }
    if (s->k == NULL && c->looping && !s->pod->leaving) {
        on_loop_first_seen(s);
    }
    if (s->k != NULL) {
        on_standing(s);
    }
}

static void end_incident(struct klx_news_call *call, struct klx_pod_state *p,
                         struct klx_pod_container *k, const char *how) {
    const struct klx_pod_news n = { .p = p, .k = k, .leaving = true };
    if (klx_episode_is_open(&k->incident)) {
        klx_pod_tell_gone(call, &n, how);
        klx_episode_close(&k->incident, call->now_us);
    } else if (k->held_us != KLX_TIME_NONE && k->cause == KLX_EXIT_KILLED) {
        klx_pod_tell_killed(call, &n);
    }
    k->held_us = KLX_TIME_NONE;
    k->stable_us = KLX_TIME_NONE;
    k->settled = true;
    k->looping = false;
    k->loop_told = false;
}

static void end_pod(struct klx_news_call *call, struct klx_pod_state *p, const char *how) {
    for (size_t i = 0; i < p->containers_n; i++) {
        end_incident(call, p, &p->containers[i], how);
    }
}

static void on_removed(struct klx_news_call *call, struct klx_pod_entry *e) {
    end_pod(call, &e->p, "was deleted");
    e->p.containers_n = 0;
    klx_pod_table_save(call, e);
}

/* A name that was removed and added again between two frames is another pod. */
static struct klx_pod_entry *known(struct klx_news_call *call) {
    const struct klx_observation *o = call->o;
    struct klx_pod_entry *e = klx_pod_table_find(klx_scaling_of(call), o->namespace, o->name);
    bool gone =
        e != NULL && (o->change == KLX_CHANGE_DELETED || !klx_sv_eq(klx_sv(e->p.uid), o->uid));
    if (gone) {
        on_removed(call, e);
    }
    return gone ? NULL : e;
}

void klx_pod_observe(struct klx_news_call *call) {
    const struct klx_observation *o = call->o;
    struct klx_pod_view pod;
    struct klx_container_view c;
    struct sight s = { .call = call, .e = known(call), .pod = &pod, .c = &c };
    if (o->change == KLX_CHANGE_DELETED || o->name.n >= KLX_NAME_BYTES ||
        o->namespace.n >= KLX_NAMESPACE_BYTES) {
        return;
    }
    klx_pod_view_read(o, &pod);
    struct klx_container_iterator it = { 0 };
    while (klx_container_next(&pod, &it, &c)) {
        observe_container(&s);
    }
    if (s.e != NULL && pod.ended) {
        end_pod(call, &s.e->p,
                klx_arena_printf(call->out->arena, "has ended (%.*s)", KLX_SV_FMT(pod.phase)).p);
    }
    if (s.e != NULL) {
        klx_pod_table_save(call, s.e);
    }
}

void klx_pod_relisted(struct klx_news_call *c, bool (*listed)(void *arg, struct klx_sv name),
                      void *arg) {
    struct klx_pod_entry *e = NULL, *next = NULL;
    HASH_ITER(hh, klx_scaling_of(c)->pods, e, next) {
        if (!listed(arg, klx_sv(e->key))) {
            klx_outbox_next_object(c->out);
            on_removed(c, e);
        }
    }
}

static void on_stable(struct klx_news_call *call, struct klx_pod_state *p,
                      struct klx_pod_container *k) {
    int64_t at_us = k->stable_us;
    const struct klx_pod_news n = { .p = p, .k = k };
    k->stable_us = KLX_TIME_NONE;
    k->settled = true;
    k->loop_told = false;
    k->forget_us = at_us;
    if (klx_episode_is_open(&k->incident)) {
        klx_pod_tell_recovered(call, &n, at_us);
        klx_episode_close(&k->incident, at_us);
        k->forget_us = at_us + KLX_POD_REOPEN_US;
    }
}

/* What the Pod goes on to show as its last termination must stay known, or it would be news again. */
static void on_forget(struct klx_pod_state *p, struct klx_pod_container *k) {
    k->forget_us = KLX_TIME_NONE;
    if (k->cause == KLX_EXIT_OTHER) {
        klx_pod_container_drop(p, k);
    } else {
        klx_episode_init(&k->incident);
        k->ooms = 0;
    }
}

static bool is_due(int64_t due_us, int64_t now_us) {
    return due_us != KLX_TIME_NONE && due_us <= now_us;
}

static void fire(struct klx_news_call *call, struct klx_pod_entry *e) {
    struct klx_pod_state *p = &e->p;
    e->recheck_us = KLX_TIME_NONE;
    for (size_t i = p->containers_n; i > 0; i--) {
        struct klx_pod_container *k = &p->containers[i - 1];
        if (k->held_us != KLX_TIME_NONE) {
            e->recheck_us = klx_pod_wave_due(klx_scaling_of(call), p);
        }
        if (k->held_us != KLX_TIME_NONE && is_due(e->recheck_us, call->now_us)) {
            klx_pod_wave_decide(call, e);
        }
        if (is_due(k->stable_us, call->now_us)) {
            on_stable(call, p, k);
        }
        if (is_due(k->forget_us, call->now_us)) {
            on_forget(p, k);
        }
    }
}

void klx_pod_tick(struct klx_news_call *call) {
    struct klx_pod_entry *e = NULL, *following = NULL;
    HASH_ITER(hh, klx_scaling_of(call)->pods, e, following) {
        int64_t due_us = klx_pod_table_next(e);
        if (is_due(due_us, call->now_us)) {
            klx_outbox_next_object(call->out);
            fire(call, e);
            klx_pod_table_save(call, e);
        } else {
            klx_scaling_wake(klx_scaling_of(call), due_us);
        }
    }
}
