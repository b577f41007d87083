#include "collector/detectors/scaling/hpa_rules.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <uthash.h>

#include "collector/detectors/scaling/hpa_news.h"
#include "collector/detectors/scaling/hpa_troubles.h"
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"

#define STATE_BYTES_MAX 65536
#define EVENT_PAIRS_US KLX_MINUTE_US /* an Event and a status this far apart are of one rescale */

struct klx_hpa_entry {
    struct klx_hpa_state h;
    char key[KLX_NAMESPACE_BYTES + KLX_NAME_BYTES];
    char written[KLX_HASH_TEXT_BYTES];
    UT_hash_handle hh;
};

static struct klx_hpa_entry *find(const struct klx_scaling *d, struct klx_sv namespace,
                                  struct klx_sv name) {
    char key[KLX_NAMESPACE_BYTES + KLX_NAME_BYTES];
    struct klx_hpa_entry *e = NULL;
    snprintf(key, sizeof(key), "%.*s/%.*s", KLX_SV_FMT(namespace), KLX_SV_FMT(name));
    HASH_FIND_STR(d->hpas, key, e);
    return e;
}

static struct klx_hpa_entry *add(struct klx_scaling *d, struct klx_sv namespace,
                                 struct klx_sv name) {
    struct klx_hpa_entry *e = klx_alloc(struct klx_hpa_entry);
    klx_hpa_state_init(&e->h, namespace, name);
    snprintf(e->key, sizeof(e->key), "%s/%s", e->h.namespace, e->h.name);
    HASH_ADD_STR(d->hpas, key, e);
    return e;
}

static void forget(struct klx_scaling *d, struct klx_hpa_entry *e) {
    HASH_DEL(d->hpas, e);
    free(e);
}

void klx_hpa_forget_all(struct klx_scaling *d) {
    struct klx_hpa_entry *e = NULL, *next = NULL;
    HASH_ITER(hh, d->hpas, e, next) {
        forget(d, e);
    }
}

int klx_hpa_restore(struct klx_scaling *d, struct klx_sv namespace, struct klx_sv name,
                    struct klx_sv value) {
    struct klx_hpa_state h;
    int rc = klx_hpa_state_read(&h, namespace, name, value);
    if (rc != 0) {
        return rc;
    }
    struct klx_hpa_entry *e = find(d, namespace, name);
    e = e != NULL ? e : add(d, namespace, name);
    e->h = h;
    klx_hash_parts(&value, 1, e->written);
    d->restored = true;
    return 0;
}

static void save(struct klx_news_call *c, struct klx_hpa_entry *e) {
    struct klx_buf value KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&value, STATE_BYTES_MAX);
    klx_hpa_state_write(&e->h, &value);
    klx_scaling_save(c, "hpa", e->h.namespace, e->h.name, klx_buf_sv(&value), e->written);
    klx_scaling_wake(klx_scaling_of(c), klx_hpa_next(&e->h));
}

const struct klx_hpa_state *klx_hpa_of(const struct klx_scaling *d, const char *namespace,
                                       const char *kind, const char *name) {
    const struct klx_hpa_entry *e = NULL, *next = NULL;
    HASH_ITER(hh, d->hpas, e, next) {
        if (strcmp(e->h.namespace, namespace) == 0 && strcmp(e->h.target_kind, kind) == 0 &&
            strcmp(e->h.target_name, name) == 0) {
            return &e->h;
        }
    }
    return NULL;
}

/* The reason in the words of the controller's own Events. */
static struct klx_sv own_reason(struct klx_arena *a, const struct klx_hpa_view *v, int64_t from) {
    if (from > v->max) {
        return KLX_SV("Current number of replicas above Spec.MaxReplicas");
    }
    if (from < v->min) {
        return KLX_SV("Current number of replicas below Spec.MinReplicas");
    }
    if (v->desired < from) {
        return KLX_SV("All metrics below target");
    }
    return v->pressing != NULL ? klx_arena_printf(a, "%.*s above target",
                                                  KLX_SV_FMT(klx_hpa_metric_name(a, v->pressing)))
                               : klx_sv("");
}

static struct klx_sv reason_of(struct klx_news_call *c, struct klx_hpa_state *h,
                               const struct klx_hpa_view *v, int64_t from) {
    bool fits = h->event_size == v->desired && h->event_us != KLX_TIME_NONE &&
                h->event_us < v->scaled_us + EVENT_PAIRS_US &&
                h->event_us > v->scaled_us - EVENT_PAIRS_US;
    struct klx_sv reason = fits ? klx_arena_dup(c->out->arena, klx_sv(h->event_reason))
                                : own_reason(c->out->arena, v, from);
    h->event_size = -1;
    h->event_us = KLX_TIME_NONE;
    h->event_reason[0] = '\0';
    return reason;
}

/* ", which is its maximum" */
static const char *bound_words(const struct klx_hpa_view *v, int64_t from) {
    return v->desired > from && v->desired == v->max   ? ", its maximum"
           : v->desired < from && v->desired == v->min ? ", its minimum"
                                                       : "";
}

static void tell_scaled(struct klx_news_call *c, struct klx_hpa_state *h,
                        const struct klx_hpa_view *v, struct klx_hpa_news n, int64_t at_us) {
    struct klx_arena *a = c->out->arena;
    bool up = n.to > n.from, ours = n.because.n > 0;
    struct klx_sv metric = klx_hpa_metric_words(a, v->pressing);
    struct klx_sv summary = klx_arena_printf(
        a, "HPA %s/%s scaled %s %s %s from %" PRId64 " to %" PRId64 "%s%s%.*s%s%.*s%s",
        h->namespace, h->name, h->target_kind, h->target_name, up ? "up" : "down", n.from, n.to,
        bound_words(v, n.from), ours ? ": " : "", KLX_SV_FMT(n.because), metric.n > 0 ? " (" : "",
        KLX_SV_FMT(metric), metric.n > 0 ? ")" : "");
    klx_hpa_tell(c, &n,
                 (struct klx_news){ .kind = up ? KLX_KIND_HPA_SCALED_UP : KLX_KIND_HPA_SCALED_DOWN,
                                    .time_us = at_us,
                                    .reason = KLX_SV("SuccessfulRescale"),
                                    .summary = summary });
}

static void on_rescale(struct klx_news_call *c, struct klx_hpa_state *h,
                       const struct klx_hpa_view *v) {
    /* The status of the rescale itself still shows what it found. After a gap what was known is where it began. */
    bool found = v->current != v->desired && (c->o->origin == KLX_ORIGIN_LIVE || h->desired < 0);
    int64_t from = found || h->desired < 0 ? v->current : h->desired;
    h->scaled_us = v->scaled_us;
    h->desired = v->desired;
    struct klx_sv because = reason_of(c, h, v, from);
    if (from == v->desired) {
        return;
    }
    const struct klx_hpa_news n = {
        .h = h, .v = v, .scaled = true, .from = from, .to = v->desired, .because = because
    };
    tell_scaled(c, h, v, n, v->scaled_us);
    klx_hpa_turn(c, h, v->desired > from ? 1 : -1, v->scaled_us, v);
}

static void on_scaled_by_other(struct klx_news_call *c, struct klx_hpa_state *h,
                               const struct klx_hpa_view *v) {
    const struct klx_hpa_news n = {
        .h = h, .v = v, .scaled = true, .from = h->desired, .to = v->desired
    };
    bool up = n.to > n.from;
    h->desired = v->desired;
    klx_hpa_tell(c, &n,
                 (struct klx_news){ .kind = up ? KLX_KIND_HPA_SCALED_UP : KLX_KIND_HPA_SCALED_DOWN,
                                    .time_us = c->now_us,
                                    .reason = KLX_SV("ScaledByAnother"),
                                    .summary = klx_arena_printf(
                                        c->out->arena,
                                        "%s %s/%s was scaled %s from %" PRId64 " to %" PRId64
                                        " by something else than its HPA %s",
                                        h->target_kind, h->namespace, h->target_name,
                                        up ? "up" : "down", n.from, n.to, h->name) });
}

static void on_replicas(struct klx_news_call *c, struct klx_hpa_state *h,
                        const struct klx_hpa_view *v) {
    if (v->scaled_us != KLX_TIME_NONE && v->scaled_us != h->scaled_us) {
        on_rescale(c, h, v);
    } else if (h->desired >= 0 && v->desired >= 0 && v->desired != h->desired) {
        on_scaled_by_other(c, h, v);
    } else if (v->desired >= 0) {
        h->desired = v->desired;
    }
}

static struct klx_sv writer_words(struct klx_arena *a, const struct klx_hpa_writer *w) {
    return w->manager.n == 0 ? klx_sv("")
           : w->how[0] != '\0'
               ? klx_arena_printf(a, " by %s (%.*s)",
                                  strcmp(w->how, "hand") == 0 ? "hand" : "reconciliation",
                                  KLX_SV_FMT(w->manager))
               : klx_arena_printf(a, " by %.*s", KLX_SV_FMT(w->manager));
}

static void on_bounds(struct klx_news_call *c, struct klx_hpa_state *h,
                      const struct klx_hpa_view *v) {
    const struct klx_hpa_writer writer = klx_hpa_bounds_writer(c->o->object);
    const struct klx_hpa_news n = {
        .h = h, .v = v, .writer = &writer, .old_min = h->min, .old_max = h->max
    };
    h->min = v->min;
    h->max = v->max;
    struct klx_arena *a = c->out->arena;
    klx_hpa_tell(
        c, &n,
        (struct klx_news){
            .kind = KLX_KIND_HPA_BOUNDS_CHANGED,
            .time_us = writer.time_us != KLX_TIME_NONE ? writer.time_us : c->now_us,
            .reason = KLX_SV("BoundsChanged"),
            .summary = klx_arena_printf(a,
                                        "The bounds of HPA %s/%s changed from %" PRId64 "–%" PRId64
                                        " to %" PRId64 "–%" PRId64 " replicas%.*s%s",
                                        h->namespace, h->name, n.old_min, n.old_max, h->min, h->max,
                                        KLX_SV_FMT(writer_words(a, &writer)),
                                        h->min == h->max ? ": it does not scale any more" : "") });
}

static void on_removed(struct klx_news_call *c, struct klx_hpa_entry *e) {
    klx_hpa_removed(c, &e->h);
    klx_scaling_save(c, "hpa", e->h.namespace, e->h.name, klx_sv(""), e->written);
    forget(klx_scaling_of(c), e);
}

static void take_identity(struct klx_hpa_state *h, const struct klx_observation *o,
                          const struct klx_hpa_view *v) {
    klx_news_copy(h->uid, sizeof(h->uid), o->uid);
    klx_news_copy(h->target_kind, sizeof(h->target_kind), v->target_kind);
    klx_news_copy(h->target_name, sizeof(h->target_name), v->target_name);
    klx_scaling_labels(o->labels, h->labels);
}

static void on_first_sight(struct klx_hpa_state *h, const struct klx_hpa_view *v) {
    h->min = v->min;
    h->max = v->max;
    h->desired = v->desired;
    h->scaled_us = v->scaled_us;
}

/* A name that was removed and added again between two frames is another HPA. */
static struct klx_hpa_entry *known(struct klx_news_call *c) {
    struct klx_hpa_entry *e = find(klx_scaling_of(c), c->o->namespace, c->o->name);
    bool gone = e != NULL &&
                (c->o->change == KLX_CHANGE_DELETED || !klx_sv_eq(klx_sv(e->h.uid), c->o->uid));
    if (gone) {
        on_removed(c, e);
    }
    return gone ? NULL : e;
}

void klx_hpa_observe(struct klx_news_call *c) {
    const struct klx_observation *o = c->o;
    struct klx_hpa_view v;
    struct klx_hpa_entry *e = known(c);
    if (o->change == KLX_CHANGE_DELETED || o->name.n >= KLX_NAME_BYTES ||
        o->namespace.n >= KLX_NAMESPACE_BYTES) {
        return;
    }
    klx_hpa_view_read(c->out->arena, o->object, &v);
    bool first = e == NULL;
    e = first ? add(klx_scaling_of(c), o->namespace, o->name) : e;
    take_identity(&e->h, o, &v);
    if (first) {
        on_first_sight(&e->h, &v);
    } else if (v.min != e->h.min || v.max != e->h.max) {
        on_bounds(c, &e->h, &v);
    }
    if (!first && v.has_status) {
        on_replicas(c, &e->h, &v);
    }
    klx_hpa_weigh(c, &e->h, &v);
    klx_hpa_due(c, &e->h, &v);
    save(c, e);
}

/* "New size: 3; reason: memory resource above target": the only place where the controller says why. */
static bool parse_rescale(struct klx_sv message, int64_t *ret_size, struct klx_sv *ret_reason) {
    struct klx_sv size = message, intro = KLX_SV("New size: "), why = KLX_SV("; reason: ");
    size_t at = klx_sv_find_sv(message, why);
    if (!klx_sv_starts(message, intro) || at == message.n) {
        return false;
    }
    size = klx_sv_n(message.p + intro.n, at - intro.n);
    *ret_reason = klx_sv_n(message.p + at + why.n, message.n - at - why.n);
    return klx_sv_int(size, ret_size) == 0 && *ret_size >= 0;
}

void klx_hpa_observe_event(struct klx_news_call *c) {
    const struct klx_observed_event *v = &c->o->event;
    int64_t size = 0;
    struct klx_sv reason;
    struct klx_hpa_entry *e = find(klx_scaling_of(c), v->about_namespace, v->about_name);
    if (e == NULL || c->o->origin == KLX_ORIGIN_BASELINE || v->time_us == KLX_TIME_NONE ||
        !klx_sv_eq(v->reason, KLX_SV("SuccessfulRescale")) ||
        !parse_rescale(v->message, &size, &reason)) {
        return;
    }
    bool told = e->h.desired == size && e->h.scaled_us != KLX_TIME_NONE &&
                v->time_us - e->h.scaled_us < EVENT_PAIRS_US;
    if (!told) {
        e->h.event_size = size;
        e->h.event_us = v->time_us;
        klx_news_copy(e->h.event_reason, sizeof(e->h.event_reason), reason);
        save(c, e);
    }
}

void klx_hpa_relisted(struct klx_news_call *c, bool (*listed)(void *arg, struct klx_sv name),
                      void *arg) {
    struct klx_hpa_entry *e = NULL, *next = NULL;
    HASH_ITER(hh, klx_scaling_of(c)->hpas, e, next) {
        if (!listed(arg, klx_sv(e->key))) {
            klx_outbox_next_object(c->out);
            on_removed(c, e);
        }
    }
}

void klx_hpa_tick(struct klx_news_call *c) {
    struct klx_hpa_entry *e = NULL, *following = NULL;
    HASH_ITER(hh, klx_scaling_of(c)->hpas, e, following) {
        int64_t due_us = klx_hpa_next(&e->h);
        if (due_us != KLX_TIME_NONE && due_us <= c->now_us) {
            klx_outbox_next_object(c->out);
            klx_hpa_due(c, &e->h, NULL);
            save(c, e);
        } else {
            klx_scaling_wake(klx_scaling_of(c), due_us);
        }
    }
}
