/*
 * Applications of Argo CD: app_rules.h says what is told when. This file keeps the table of them and tells what needs no rule: that one
 * was created, deleted, or had its auto-sync switched. State records are "<namespace>/<name>".
 */
#include <stddef.h>
#include <stdlib.h>

#include "collector/detectors/detector.h"
#include "collector/detectors/gitops/app_rules.h"
#include "collector/detectors/gitops/app_stall.h"
#include "collector/detectors/object_table.h"
#include "lib/base/mem.h"
#include "lib/base/url.h"

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
    { .key = "settled_after",
      .kind = KLX_CFG_DURATION,
      .offset = offsetof(struct klx_app_settings, settled_after_ms),
      .min = SETTING_MIN_MS,
      .max = SETTING_MAX_MS,
      .help = "one that was deployed and is Healthy for so long runs well; default 1m" },
    { .key = "stalled_after",
      .kind = KLX_CFG_DURATION,
      .offset = offsetof(struct klx_app_settings, stalled_after_ms),
      .min = SETTING_MIN_MS,
      .max = SETTING_MAX_MS,
      .help = "Applications that Argo CD has not refreshed for so long are told; default 15m: more "
              "than three times its timeout.reconciliation" },
    { .key = "argocd_url",
      .kind = KLX_CFG_STR,
      .offset = offsetof(struct klx_app_settings, argocd_url),
      .help = "where Argo CD's web page is: messages about an Application link to it; default: no "
              "link" },
    { .key = NULL },
};

static void check(const struct klx_config_node *map, const void *settings,
                  klx_config_report_fn report, void *arg) {
    const struct klx_app_settings *s = settings;
    struct klx_error e;
    struct klx_sv url = klx_sv(s->argocd_url);
    bool plain = klx_sv_find(url, '?') == url.n && klx_sv_find(url, '#') == url.n;
    if (s->argocd_url != NULL && !(klx_url_is_link(url) && plain)) {
        klx_config_fail(klx_config_get(map, "argocd_url"), &e,
                        "expected the address of Argo CD's web page without user and password, "
                        "for example https://argocd.example.com");
        report(arg, e.text);
    }
}

struct detector {
    char *cluster;
    struct klx_app_settings settings;
    struct klx_object_table *apps;
    struct klx_app_stall stall;
    int64_t next_us; /* no timer is due before; KLX_TIME_NONE: none is set */
    bool restored;   /* timers may be set that next_us does not know of */
};

struct context {
    struct detector *d;
    struct klx_news_call c;
};

static struct context context_of(struct detector *d, const struct klx_observation *o,
                                 int64_t now_us, struct klx_outbox *out) {
    return (struct context){ d, { d->cluster, "gitops", out, o, now_us, &d->settings, NULL } };
}

static void init_state(void *state, struct klx_sv namespace, struct klx_sv name) {
    klx_app_state_init(state, namespace, name);
}

static void write_state(const void *state, struct klx_buf *out) {
    klx_app_state_write(state, out);
}

static int read_state(void *state, struct klx_sv namespace, struct klx_sv name,
                      struct klx_sv value) {
    return klx_app_state_read(state, namespace, name, value);
}

static const struct klx_object_kind states = {
    .state_bytes = sizeof(struct klx_app_state),
    .record_bytes_max = STATE_BYTES_MAX,
    .init = init_state,
    .write = write_state,
    .read = read_state,
};

static void *create(struct klx_sv cluster, const void *settings) {
    struct detector *d = klx_alloc(struct detector);
    if (settings != NULL) {
        d->settings = *(const struct klx_app_settings *)settings;
        const char *url = d->settings.argocd_url;
        d->settings.argocd_url = url != NULL ? klx_strdup(url) : NULL;
    }
    d->cluster = klx_sv_dup(cluster);
    d->apps = klx_object_table_new(&states);
    klx_app_stall_init(&d->stall);
    d->next_us = KLX_TIME_NONE;
    return d;
}

static void destroy(void *detector) {
    struct detector *d = detector;
    klx_object_table_free(d->apps);
    free(d->settings.argocd_url);
    free(d->cluster);
    free(d);
}

static int restore(void *detector, struct klx_sv object, struct klx_sv value) {
    struct detector *d = detector;
    d->restored = true;
    if (klx_sv_eq(object, KLX_SV(KLX_APP_STALL_RECORD))) {
        return klx_app_stall_restore(&d->stall, value);
    }
    return klx_object_table_restore(d->apps, object, value);
}

static void save(struct context *x, struct klx_app_state *h) {
    klx_object_table_save(x->d->apps, &x->c, h);
    x->d->next_us = klx_news_earlier(x->d->next_us, klx_app_next(h));
}

static void on_removed(struct context *x, struct klx_app_state *h, const char *reason) {
    klx_app_removed(&x->c, h, reason);
    klx_object_table_forget(x->d->apps, &x->c, h);
}

/* A name that was removed and added again between two frames is another Application. */
static struct klx_app_state *known(struct context *x) {
    const struct klx_observation *o = x->c.o;
    struct klx_app_state *h = klx_object_table_find(x->d->apps, o->namespace, o->name);
    bool deleted = o->change == KLX_CHANGE_DELETED;
    if (h != NULL && (deleted || !klx_sv_eq(klx_sv(h->uid), o->uid))) {
        on_removed(x, h, deleted ? "Deleted" : "Replaced");
        return NULL;
    }
    return h;
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

static struct klx_sv policy_writer(const struct klx_json *object, int64_t since_us) {
    struct klx_sv by =
        klx_app_writer(object, "f:spec.f:syncPolicy.f:automated.f:enabled", since_us);
    return by.n > 0 ? by : klx_app_writer(object, "f:spec.f:syncPolicy.f:automated", since_us);
}

static void on_policy(struct context *x, struct klx_app_state *h, const struct klx_app_view *v) {
    struct klx_arena *a = x->c.out->arena;
    struct klx_app_news n = KLX_APP_NEWS(h, v);
    h->automated = v->automated;
    n.by = policy_writer(v->object, x->c.now_us - KLX_MINUTE_US);
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
    struct klx_app_state *h = known(&x);
    if (o->change == KLX_CHANGE_DELETED || o->name.n >= KLX_APP_NAME_BYTES ||
        o->namespace.n >= KLX_APP_NAMESPACE_BYTES) {
        return;
    }
    klx_app_view_read(out->arena, o->object, &v);
    bool first = h == NULL;
    h = first ? klx_object_table_add(x.d->apps, o->namespace, o->name) : h;
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
    klx_app_name_operation(h, &v);
    klx_app_operation(&x.c, h, &v, first);
    klx_app_troubles(&x.c, h, &v, first);
    klx_app_due(&x.c, h, &v);
    klx_app_stall_observe(&x.c, h, &v);
    save(&x, h);
}

static void relisted(void *detector, enum klx_observation_kind kind,
                     bool (*listed)(void *arg, struct klx_sv name), void *arg, int64_t now_us,
                     struct klx_outbox *out) {
    struct context x = context_of(detector, NULL, now_us, out);
    struct klx_app_state *h = klx_object_table_first(x.d->apps), *next = NULL;
    for (; kind == KLX_OBSERVED_APPLICATION && h != NULL; h = next) {
        next = klx_object_table_next(h);
        if (!listed(arg, klx_sv(klx_object_table_key(h)))) {
            klx_outbox_next_object(out);
            on_removed(&x, h, "GoneWhileAway");
        }
    }
}

static void caught_up(void *detector, enum klx_observation_kind kind, struct klx_sv namespace,
                      int64_t now_us, struct klx_outbox *out) {
    struct context x = context_of(detector, NULL, now_us, out);
    if (kind == KLX_OBSERVED_APPLICATION) {
        klx_app_stall_check(&x.c, &x.d->stall, x.d->apps, namespace);
    }
}

static int64_t tick(void *detector, int64_t now_us, struct klx_outbox *out) {
    struct context x = context_of(detector, NULL, now_us, out);
    bool due = x.d->next_us != KLX_TIME_NONE && x.d->next_us <= now_us;
    if (!due && !x.d->restored) {
        return x.d->next_us;
    }
    x.d->next_us = KLX_TIME_NONE;
    x.d->restored = false;
    for (struct klx_app_state *h = klx_object_table_first(x.d->apps); h != NULL;
         h = klx_object_table_next(h)) {
        int64_t due_us = klx_app_next(h);
        if (due_us != KLX_TIME_NONE && due_us <= now_us) {
            klx_outbox_next_object(out);
            klx_app_due(&x.c, h, NULL);
            save(&x, h);
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
    .check = check,
    .create = create,
    .destroy = destroy,
    .restore = restore,
    .observe = observe,
    .relisted = relisted,
    .caught_up = caught_up,
    .tick = tick,
};
