/*
 * Applications of Argo CD: app_rules.h says what is told when. This file keeps the table of them and tells what needs no rule: that one
 * was created, deleted, or had its auto-sync switched. State records are "<namespace>/<name>".
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <uthash.h>

#include "collector/detectors/app_rules.h"
#include "collector/detectors/detector.h"
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"

#define STATE_BYTES_MAX 32768

#define SETTING_MIN_MS 1000
#define SETTING_MAX_MS (7 * 24 * 60 * 60 * 1000)

static const struct klx_config_field fields[] = {
    { .key = "drift_after",
      .kind = KLX_CFG_DURATION,
      .offset = offsetof(struct klx_app_settings, drift_after_ms),
      .min = SETTING_MIN_MS,
      .max = SETTING_MAX_MS,
      .help = "an Application that is not what git says any more is told after this; default 1m" },
    { .key = "change_waits_after",
      .kind = KLX_CFG_DURATION,
      .offset = offsetof(struct klx_app_settings, change_waits_after_ms),
      .min = SETTING_MIN_MS,
      .max = SETTING_MAX_MS,
      .help = "a commit that is not synced is told after this; default 10m" },
    { .key = "out_of_sync_after",
      .kind = KLX_CFG_DURATION,
      .offset = offsetof(struct klx_app_settings, out_of_sync_after_ms),
      .min = SETTING_MIN_MS,
      .max = SETTING_MAX_MS,
      .help = "one that is still out of sync is told once more after this; default 12h" },
    { .key = "degraded_after",
      .kind = KLX_CFG_DURATION,
      .offset = offsetof(struct klx_app_settings, degraded_after_ms),
      .min = SETTING_MIN_MS,
      .max = SETTING_MAX_MS,
      .help = "a Degraded Application is told after this; default 30s" },
    { .key = "error_after",
      .kind = KLX_CFG_DURATION,
      .offset = offsetof(struct klx_app_settings, error_after_ms),
      .min = SETTING_MIN_MS,
      .max = SETTING_MAX_MS,
      .help = "an Application that cannot be compared is told after this; default 3m" },
    { .key = "deletion_stuck_after",
      .kind = KLX_CFG_DURATION,
      .offset = offsetof(struct klx_app_settings, deletion_stuck_after_ms),
      .min = SETTING_MIN_MS,
      .max = SETTING_MAX_MS,
      .help = "an Application that is still being deleted is told after this; default 10m" },
    { .key = NULL },
};

struct entry {
    struct klx_app_state h;
    char key[KLX_APP_NAMESPACE_BYTES + KLX_APP_NAME_BYTES];
    char written[KLX_HASH_TEXT_BYTES];
    UT_hash_handle hh;
};

struct detector {
    char *cluster;
    struct klx_app_settings settings;
    struct entry *apps; /* by "namespace/name" */
    int64_t next_us;    /* no timer is due before; KLX_TIME_NONE: none is set */
    bool restored;      /* timers may be set that next_us does not know of */
};

struct context {
    struct detector *d;
    struct klx_news_call c;
};

static struct context context_of(struct detector *d, const struct klx_observation *o,
                                 int64_t now_us, struct klx_outbox *out) {
    return (struct context){ d, { d->cluster, "gitops", out, o, now_us, &d->settings, NULL } };
}

static void *create(struct klx_sv cluster, const void *settings) {
    struct detector *d = klx_alloc(struct detector);
    if (settings != NULL) {
        d->settings = *(const struct klx_app_settings *)settings;
    }
    d->cluster = klx_sv_dup(cluster);
    d->next_us = KLX_TIME_NONE;
    return d;
}

static struct entry *find(const struct detector *d, struct klx_sv namespace, struct klx_sv name) {
    char key[KLX_APP_NAMESPACE_BYTES + KLX_APP_NAME_BYTES];
    struct entry *e = NULL;
    snprintf(key, sizeof(key), "%.*s/%.*s", KLX_SV_FMT(namespace), KLX_SV_FMT(name));
    HASH_FIND_STR(d->apps, key, e);
    return e;
}

static struct entry *add(struct detector *d, struct klx_sv namespace, struct klx_sv name) {
    struct entry *e = klx_alloc(struct entry);
    klx_app_state_init(&e->h, namespace, name);
    snprintf(e->key, sizeof(e->key), "%s/%s", e->h.namespace, e->h.name);
    HASH_ADD_STR(d->apps, key, e);
    return e;
}

static void forget(struct detector *d, struct entry *e) {
    HASH_DEL(d->apps, e);
    free(e);
}

static void destroy(void *detector) {
    struct detector *d = detector;
    struct entry *e = NULL, *next = NULL;
    HASH_ITER(hh, d->apps, e, next) {
        forget(d, e);
    }
    free(d->cluster);
    free(d);
}

static int restore(void *detector, struct klx_sv object, struct klx_sv value) {
    struct detector *d = detector;
    struct klx_sv name = object, namespace = klx_sv_cut(&name, '/');
    struct klx_app_state h;
    if (name.n == 0 || klx_app_state_read(&h, namespace, name, value) != 0) {
        return -EBADMSG;
    }
    struct entry *e = find(d, namespace, name);
    e = e != NULL ? e : add(d, namespace, name);
    e->h = h;
    klx_hash_parts(&value, 1, e->written);
    d->restored = true;
    return 0;
}

static void save(struct context *x, struct entry *e) {
    struct klx_buf value KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&value, STATE_BYTES_MAX);
    klx_app_state_write(&e->h, &value);
    klx_news_save(&x->c, e->h.namespace, e->h.name, klx_buf_sv(&value), e->written);
    x->d->next_us = klx_news_earlier(x->d->next_us, klx_app_next(&e->h));
}

static void on_removed(struct context *x, struct entry *e, const char *reason) {
    klx_app_removed(&x->c, &e->h, reason);
    klx_news_save(&x->c, e->h.namespace, e->h.name, klx_sv(""), e->written);
    forget(x->d, e);
}

/* A name that was removed and added again between two frames is another Application. */
static struct entry *known(struct context *x) {
    const struct klx_observation *o = x->c.o;
    struct entry *e = find(x->d, o->namespace, o->name);
    bool deleted = o->change == KLX_CHANGE_DELETED;
    if (e != NULL && (deleted || !klx_sv_eq(klx_sv(e->h.uid), o->uid))) {
        on_removed(x, e, deleted ? "Deleted" : "Replaced");
        return NULL;
    }
    return e;
}

static void take_identity(struct context *x, struct klx_app_state *h) {
    const struct klx_observation *o = x->c.o;
    klx_news_copy(h->uid, sizeof(h->uid), o->uid);
    klx_app_labels(o->labels, h->labels, sizeof(h->labels));
    klx_app_about(x->c.out->arena, o->object, h->about, sizeof(h->about));
}

static void on_created(struct context *x, struct klx_app_state *h, const struct klx_app_view *v) {
    struct klx_app_news n = KLX_APP_NEWS(h, v);
    int64_t at_us = klx_news_time(v->object, "metadata.creationTimestamp");
    klx_app_tell(&x->c, &n,
                 (struct klx_news){
                     .kind = KLX_KIND_APP_CREATED,
                     .time_us = at_us != KLX_TIME_NONE ? at_us : x->c.now_us,
                     .reason = KLX_SV("Created"),
                     .summary = klx_arena_printf(x->c.out->arena, "Application %s/%s was created",
                                                 h->namespace, h->name),
                 });
}

static void on_policy(struct context *x, struct klx_app_state *h, const struct klx_app_view *v) {
    struct klx_arena *a = x->c.out->arena;
    struct klx_app_news n = KLX_APP_NEWS(h, v);
    h->automated = v->automated;
    n.by = klx_app_policy_writer(v->object, x->c.now_us - KLX_MINUTE_US);
    klx_app_tell(
        &x->c, &n,
        (struct klx_news){
            .kind = v->automated ? KLX_KIND_APP_AUTO_SYNC_ON : KLX_KIND_APP_AUTO_SYNC_OFF,
            .time_us = x->c.now_us,
            .reason = v->automated ? KLX_SV("AutoSyncOn") : KLX_SV("AutoSyncOff"),
            .summary = klx_arena_printf(a, "Auto-sync of application %s/%s was switched %s%s%.*s",
                                        h->namespace, h->name, v->automated ? "on" : "off",
                                        n.by.n > 0 ? " through " : "", KLX_SV_FMT(n.by)),
        });
}

static void observe(void *detector, const struct klx_observation *o, int64_t now_us,
                    struct klx_outbox *out) {
    struct context x = context_of(detector, o, now_us, out);
    struct klx_app_view v;
    if (o->kind != KLX_OBSERVED_APPLICATION) {
        return;
    }
    struct entry *e = known(&x);
    if (o->change == KLX_CHANGE_DELETED || o->name.n >= KLX_APP_NAME_BYTES ||
        o->namespace.n >= KLX_APP_NAMESPACE_BYTES) {
        return;
    }
    klx_app_view_read(out->arena, o->object, &v);
    bool first = e == NULL;
    e = first ? add(x.d, o->namespace, o->name) : e;
    struct klx_app_state *h = &e->h;
    take_identity(&x, h);
    if (first) {
        h->automated = v.automated;
        h->health = v.health;
    }
    if (first && o->change == KLX_CHANGE_ADDED && o->origin != KLX_ORIGIN_BASELINE) {
        on_created(&x, h, &v);
    }
    if (h->automated != v.automated) {
        on_policy(&x, h, &v);
    }
    klx_app_operation(&x.c, h, &v, first);
    klx_app_troubles(&x.c, h, &v, first);
    klx_app_due(&x.c, h, &v);
    save(&x, e);
}

static void relisted(void *detector, enum klx_observation_kind kind,
                     bool (*listed)(void *arg, struct klx_sv name), void *arg, int64_t now_us,
                     struct klx_outbox *out) {
    struct context x = context_of(detector, NULL, now_us, out);
    struct entry *e = NULL, *next = NULL;
    if (kind != KLX_OBSERVED_APPLICATION) {
        return;
    }
    HASH_ITER(hh, x.d->apps, e, next) {
        if (!listed(arg, klx_sv(e->key))) {
            on_removed(&x, e, "GoneWhileAway");
        }
    }
}

static int64_t tick(void *detector, int64_t now_us, struct klx_outbox *out) {
    struct context x = context_of(detector, NULL, now_us, out);
    struct entry *e = NULL, *next = NULL;
    bool due = x.d->next_us != KLX_TIME_NONE && x.d->next_us <= now_us;
    if (!due && !x.d->restored) {
        return x.d->next_us;
    }
    x.d->next_us = KLX_TIME_NONE;
    x.d->restored = false;
    HASH_ITER(hh, x.d->apps, e, next) {
        int64_t due_us = klx_app_next(&e->h);
        if (due_us != KLX_TIME_NONE && due_us <= now_us) {
            klx_app_due(&x.c, &e->h, NULL);
            save(&x, e);
        } else {
            x.d->next_us = klx_news_earlier(x.d->next_us, due_us);
        }
    }
    return x.d->next_us;
}

const struct klx_detector_ops klx_detector_gitops = {
    .name = "gitops",
    .settings = fields,
    .settings_bytes = sizeof(struct klx_app_settings),
    .create = create,
    .destroy = destroy,
    .restore = restore,
    .observe = observe,
    .relisted = relisted,
    .tick = tick,
};
