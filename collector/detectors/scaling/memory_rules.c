#include "collector/detectors/scaling/memory_rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <uthash.h>

#include "collector/detectors/scaling/memory_news.h"
#include "collector/detectors/scaling/pod_rules.h"
#include "collector/detectors/scaling/pod_view.h"
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/base/quantity.h"

#define STATE_BYTES_MAX (256 * 1024)
#define OVER_POINTS 5        /* near is over so many points below */
#define PREDICTED_PERCENT 50 /* of the limit: what uses less is growing up, not out of bounds */
#define HORIZON_OVER 2       /* a prediction is over beyond so many horizons */

struct klx_memory_entry {
    struct klx_memory_state p;
    char key[KLX_NAMESPACE_BYTES + KLX_NAME_BYTES];
    char written[KLX_HASH_TEXT_BYTES];
    UT_hash_handle hh;
};

static struct klx_memory_entry *find(const struct klx_scaling *d, struct klx_sv namespace,
                                     struct klx_sv name) {
    char key[KLX_NAMESPACE_BYTES + KLX_NAME_BYTES];
    struct klx_memory_entry *e = NULL;
    snprintf(key, sizeof(key), "%.*s/%.*s", KLX_SV_FMT(namespace), KLX_SV_FMT(name));
    HASH_FIND_STR(d->memories, key, e);
    return e;
}

static struct klx_memory_entry *add(struct klx_scaling *d, struct klx_sv namespace,
                                    struct klx_sv name) {
    struct klx_memory_entry *e = klx_alloc(struct klx_memory_entry);
    klx_memory_state_init(&e->p, namespace, name);
    snprintf(e->key, sizeof(e->key), "%s/%s", e->p.namespace, e->p.name);
    HASH_ADD_STR(d->memories, key, e);
    return e;
}

static void forget(struct klx_scaling *d, struct klx_memory_entry *e) {
    HASH_DEL(d->memories, e);
    klx_memory_state_release(&e->p);
    free(e);
}

void klx_memory_forget_all(struct klx_scaling *d) {
    struct klx_memory_entry *e = NULL, *next = NULL;
    HASH_ITER(hh, d->memories, e, next) {
        forget(d, e);
    }
}

int klx_memory_restore(struct klx_scaling *d, struct klx_sv namespace, struct klx_sv name,
                       struct klx_sv value) {
    struct klx_memory_state p;
    int rc = klx_memory_state_read(&p, namespace, name, value);
    if (rc != 0) {
        return rc;
    }
    struct klx_memory_entry *e = find(d, namespace, name);
    e = e != NULL ? e : add(d, namespace, name);
    klx_memory_state_release(&e->p);
    e->p = p;
    klx_hash_parts(&value, 1, e->written);
    return 0;
}

const struct klx_memory_container *klx_memory_of(const struct klx_scaling *d, const char *namespace,
                                                 const char *pod, const char *container) {
    const struct klx_memory_entry *e = find(d, klx_sv(namespace), klx_sv(pod));
    return e != NULL ? klx_memory_container_find(&e->p, klx_sv(container)) : NULL;
}

static void save(struct klx_news_call *call, struct klx_memory_entry *e) {
    struct klx_buf value KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&value, STATE_BYTES_MAX);
    for (size_t i = 0; i < e->p.containers_n; i++) {
        const struct klx_trend *t = &e->p.containers[i].trend;
        int64_t last_us = t->n > 0 ? t->samples[t->n - 1].at_us : KLX_TIME_NONE;
        e->p.saved_us = last_us > e->p.saved_us ? last_us : e->p.saved_us;
    }
    klx_memory_state_write(&e->p, &value);
    klx_scaling_save(call, "memory", e->p.namespace, e->p.name, klx_buf_sv(&value), e->written);
}

static void on_gone(struct klx_news_call *call, struct klx_memory_entry *e, const char *how) {
    for (size_t i = 0; i < e->p.containers_n; i++) {
        struct klx_memory_container *c = &e->p.containers[i];
        if (klx_episode_is_open(&c->incident)) {
            klx_memory_tell_gone(call, &e->p, c, how);
            klx_episode_close(&c->incident, call->now_us);
        }
    }
    klx_scaling_save(call, "memory", e->p.namespace, e->p.name, klx_sv(""), e->written);
    forget(klx_scaling_of(call), e);
}

void klx_memory_relisted(struct klx_news_call *c, bool (*listed)(void *arg, struct klx_sv name),
                         void *arg) {
    struct klx_memory_entry *e = NULL, *next = NULL;
    HASH_ITER(hh, klx_scaling_of(c)->memories, e, next) {
        if (!listed(arg, klx_sv(e->key))) {
            klx_outbox_next_object(c->out);
            on_gone(c, e, "was deleted");
        }
    }
}

/* True: it is another than before. */
static bool take_text(char *to, size_t n, struct klx_sv text) {
    bool same = klx_sv_eq(klx_sv(to), klx_sv_utf8_prefix(text, n - 1));
    klx_news_copy(to, n, text);
    return !same;
}

/* What the pod says of a container's limit. True: something of it changed. */
static bool take_limit(struct klx_memory_state *p, const struct klx_pod_view *pod,
                       const struct klx_container_view *c) {
    struct klx_sv limit = klx_container_memory(pod, c, "limits");
    struct klx_memory_container *to = klx_memory_container_find(p, c->name);
    if (to == NULL && limit.n > 0) {
        to = klx_memory_container_add(p, c->name);
    }
    if (to == NULL) {
        return false;
    }
    bool changed = take_text(to->limit_text, sizeof(to->limit_text), limit);
    changed |= take_text(to->request_text, sizeof(to->request_text),
                         klx_container_memory(pod, c, "requests"));
    if (klx_quantity_parse(limit, &to->limit) != 0) {
        to->limit = 0;
    }
    return changed;
}

static bool has_limit(const struct klx_pod_view *pod) {
    struct klx_container_view c;
    struct klx_container_iterator it = { 0 };
    while (klx_container_next(pod, &it, &c)) {
        if (klx_container_memory(pod, &c, "limits").n > 0) {
            return true;
        }
    }
    return false;
}

static void take_pod(struct klx_news_call *call, struct klx_memory_entry *e,
                     const struct klx_pod_view *pod) {
    const struct klx_observation *o = call->o;
    struct klx_memory_state *p = &e->p;
    struct klx_container_view c;
    struct klx_container_iterator it = { 0 };
    char labels[KLX_LABELS_BYTES];
    klx_scaling_labels(o->labels, labels);
    bool changed = take_text(p->uid, sizeof(p->uid), o->uid);
    changed |= take_text(p->labels, sizeof(p->labels), klx_sv(labels));
    changed |= take_text(p->node, sizeof(p->node), pod->node);
    changed |= take_text(p->workload_kind, sizeof(p->workload_kind), pod->workload_kind);
    changed |= take_text(p->workload_name, sizeof(p->workload_name), pod->workload_name);
    while (klx_container_next(pod, &it, &c)) {
        changed |= take_limit(p, pod, &c);
    }
    if (changed) {
        save(call, e);
    }
}

void klx_memory_observe_pod(struct klx_news_call *call) {
    const struct klx_observation *o = call->o;
    struct klx_scaling *d = klx_scaling_of(call);
    struct klx_memory_entry *e = find(d, o->namespace, o->name);
    struct klx_pod_view pod;
    bool deleted = o->change == KLX_CHANGE_DELETED;
    if (e != NULL && (deleted || !klx_sv_eq(klx_sv(e->p.uid), o->uid))) {
        on_gone(call, e, "was deleted");
        e = NULL;
    }
    if (deleted || o->name.n >= KLX_NAME_BYTES || o->namespace.n >= KLX_NAMESPACE_BYTES) {
        return;
    }
    klx_pod_view_read(o, &pod);
    if (pod.leaving) {
        if (e != NULL && pod.ended) {
            on_gone(
                call, e,
                klx_arena_printf(call->out->arena, "has ended (%.*s)", KLX_SV_FMT(pod.phase)).p);
        }
        return;
    }
    if (e == NULL && d->expects_metrics && has_limit(&pod)) {
        e = add(d, o->namespace, o->name);
    }
    if (e != NULL) {
        take_pod(call, e, &pod);
    }
}

/* What one sample says of one container. */
struct sight {
    struct klx_news_call *call;
    struct klx_memory_news n;
    bool near, predicted, urgent;
};

static void weigh(struct sight *s) {
    struct klx_memory_news *n = &s->n;
    const struct klx_scaling *d = klx_scaling_of(s->call);
    const struct klx_memory_container *c = n->c;
    double percent = 100 * n->bytes / c->limit;
    bool open = klx_episode_is_open(&c->incident);
    n->eta_us = KLX_TIME_NONE;
    s->near = percent >= (double)d->memory_near_percent - (open && c->near_told ? OVER_POINTS : 0);
    if (percent >= PREDICTED_PERCENT) {
        klx_trend_fit(&c->trend, &n->line);
    }
    if (!n->line.rising || n->line.span_us < 2 * d->memory_after_us) {
        return;
    }
    double seconds = n->bytes < c->limit ? (c->limit - n->bytes) / n->line.bytes_per_s : 0;
    double horizon_s = (double)d->memory_horizon_us / (double)KLX_US_PER_S *
                       (open && c->predicted_told ? HORIZON_OVER : 1);
    s->predicted = seconds <= horizon_s;
    if (s->predicted) {
        n->eta_us = klx_trend_whole(seconds * (double)KLX_US_PER_S);
        s->urgent = s->near && n->eta_us <= KLX_MEMORY_URGENT_US;
    }
}

/* It has been so for long enough: what of it is not told yet is. */
static void tell_news(struct sight *s) {
    struct klx_memory_container *c = s->n.c;
    bool near = s->near && !c->near_told, predicted = s->predicted && !c->predicted_told;
    bool urgent = s->urgent && !c->urgent_told;
    if (near) {
        klx_memory_tell_near(s->call, &s->n, s->urgent);
    } else if (predicted || urgent) {
        klx_memory_tell_predicted(s->call, &s->n, s->urgent);
    }
    c->near_told |= near;
    c->predicted_told |= s->predicted;
    c->urgent_told |= s->urgent;
}

/* The last story of the container goes on, if it is a short while ago. */
static void join_story(struct sight *s) {
    struct klx_episode *own = &s->n.c->incident;
    const struct klx_episode *other =
        klx_pod_incident(klx_scaling_of(s->call), s->n.p->namespace, s->n.p->name, s->n.c->name);
    bool newer = other != NULL && other->id[0] != '\0' && other->ended_us != KLX_TIME_NONE &&
                 (own->id[0] == '\0' || other->ended_us > own->ended_us);
    if (!klx_episode_is_open(own) && newer) {
        *own = *other;
    }
}

static void on_near(struct sight *s) {
    struct klx_memory_container *c = s->n.c;
    c->over_us = KLX_TIME_NONE;
    if (c->since_us == KLX_TIME_NONE) {
        c->since_us = s->n.at_us;
    }
    if (s->n.at_us - c->since_us >= klx_scaling_of(s->call)->memory_after_us) {
        join_story(s);
        tell_news(s);
    }
}

static void on_room(struct sight *s) {
    struct klx_memory_container *c = s->n.c;
    c->since_us = KLX_TIME_NONE;
    if (!klx_episode_is_open(&c->incident)) {
        return;
    }
    if (c->over_us == KLX_TIME_NONE) {
        c->over_us = s->n.at_us;
    }
    if (s->n.at_us - c->over_us >= klx_scaling_of(s->call)->memory_after_us) {
        klx_memory_tell_relieved(s->call, &s->n);
        klx_episode_close(&c->incident, s->n.at_us);
        klx_memory_container_calm(c);
    }
}

/* What is worth a record: everything but the trend, and a trend that begins anew. */
static bool differs(const struct klx_memory_container *a, const struct klx_memory_container *b) {
    return a->since_us != b->since_us || a->over_us != b->over_us || a->near_told != b->near_told ||
           a->predicted_told != b->predicted_told || a->urgent_told != b->urgent_told ||
           a->incident.seq != b->incident.seq || a->incident.ended_us != b->incident.ended_us ||
           b->trend.n < a->trend.n;
}

static bool line_is_due(const struct sight *s, bool in_incident) {
    int64_t saved_us = s->n.p->saved_us;
    int64_t every_us = in_incident ? KLX_MEMORY_SAVE_IN_INCIDENT_US : KLX_MEMORY_SAVE_US;
    return s->n.line.rising && (saved_us == KLX_TIME_NONE || s->n.at_us - saved_us >= every_us);
}

/* True: the record is to be written. */
static bool observe_container(struct klx_news_call *call, const struct klx_memory_state *p,
                              struct klx_memory_container *c, const struct klx_trend_sample *at) {
    struct sight s = { .call = call,
                       .n = { .p = p, .c = c, .bytes = at->bytes, .at_us = at->at_us } };
    const struct klx_memory_container before = *c;
    const struct klx_episode *other =
        klx_pod_incident(klx_scaling_of(call), p->namespace, p->name, c->name);
    bool told_by_pod = other != NULL && klx_episode_is_open(other);
    klx_trend_add(&c->trend, at->at_us, at->bytes);
    weigh(&s);
    if (told_by_pod) {
        c->since_us = KLX_TIME_NONE;
    } else if (s.near || s.predicted) {
        on_near(&s);
    } else {
        on_room(&s);
    }
    return differs(&before, c) || line_is_due(&s, told_by_pod || klx_episode_is_open(&c->incident));
}

void klx_memory_observe(struct klx_news_call *call) {
    const struct klx_observation *o = call->o;
    struct klx_memory_entry *e = find(klx_scaling_of(call), o->namespace, o->name);
    struct klx_trend_sample at = { .at_us = klx_news_time(o->object, "timestamp") };
    bool changed = false;
    klx_memory_publish(call, e != NULL ? &e->p : NULL);
    const struct klx_json *sample = klx_json_first(klx_json_get(o->object, "containers"));
    for (; e != NULL && sample != NULL; sample = klx_json_next(sample)) {
        struct klx_memory_container *c =
            klx_memory_container_find(&e->p, klx_json_str(sample, "name"));
        if (c != NULL && c->limit > 0 && at.at_us != KLX_TIME_NONE &&
            klx_quantity_parse(klx_json_str(sample, "usage.memory"), &at.bytes) == 0) {
            changed |= observe_container(call, &e->p, c, &at);
        }
    }
    if (changed) {
        save(call, e);
    }
}

bool klx_memory_take_over(struct klx_news_call *call, const char *namespace, const char *pod,
                          const char *container, struct klx_episode *incident) {
    struct klx_memory_entry *e = find(klx_scaling_of(call), klx_sv(namespace), klx_sv(pod));
    struct klx_memory_container *c =
        e != NULL ? klx_memory_container_find(&e->p, klx_sv(container)) : NULL;
    if (c == NULL || c->incident.id[0] == '\0' || klx_episode_is_open(incident)) {
        return false;
    }
    bool newer = klx_episode_is_open(&c->incident) || incident->id[0] == '\0' ||
                 c->incident.ended_us > incident->ended_us;
    if (newer) {
        *incident = c->incident;
    }
    klx_episode_init(&c->incident);
    klx_memory_container_calm(c);
    save(call, e);
    return newer;
}
