#include "collector/cluster.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "collector/detector_settings.h"
#include "collector/kube/in_cluster.h"
#include "collector/kube/kubeconfig.h"
#include "collector/kube/watch.h"
#include "collector/publish.h"
#include "collector/watch_places.h"
#include "lib/base/cleanup.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/time.h"
#include "lib/io/metrics.h"

#define LIST_PLACE_BYTES_MAX 8192
#define REQUEST_BYTES_MAX 16384

/* A name that a list has shown, "namespace/name" where there is a namespace. */
struct listed {
    char *name;
    UT_hash_handle hh;
};

struct source_watch {
    struct klx_cluster *cluster;
    const struct klx_source_settings *source;
    const struct klx_source_ops *ops;
    struct klx_sv namespace; /* empty: the whole cluster */
    char name[KLX_WATCH_KEY_BYTES], key[KLX_WATCH_KEY_BYTES];
    size_t slot;
    struct klx_watch *watch;
    struct listed *listed;
    bool connected;
    bool troubled; /* said, and not yet over */
    struct {
        struct klx_counter *objects, *bad_objects, *relists, *gaps, *disconnects;
        struct klx_gauge *connected, *lag_seconds;
    } metrics;
};

struct klx_cluster {
    struct klx_cluster_env env;
    const struct klx_cluster_settings *settings;
    struct klx_kube_client *client;
    struct klx_publisher *publisher;
    void *detectors[KLX_DETECTORS_N];
    struct source_watch *watches;
    size_t watches_n;
    struct klx_watch_places places; /* from reading the state until the watches start */
    struct klx_log_lasting kafka_lasting;
    struct klx_timer *ticks;
    bool tick_soon; /* the timer fires in a moment: frames that come meanwhile do not put it off */
    bool started;   /* the watches run */
};

static int64_t now_us(const struct klx_cluster *c) {
    return c->env.clock->wall_us(c->env.clock);
}

static void tick(void *arg) {
    struct klx_cluster *c = arg;
    int64_t next_us = KLX_TIME_NONE;
    c->tick_soon = false;
    for (size_t i = 0; i < KLX_DETECTORS_N; i++) {
        int64_t due_us =
            klx_detectors[i]->tick(c->detectors[i], now_us(c), klx_publisher_outbox(c->publisher));
        next_us = next_us == KLX_TIME_NONE || (due_us != KLX_TIME_NONE && due_us < next_us)
                      ? due_us
                      : next_us;
    }
    klx_publisher_end_turn(c->publisher);
    if (next_us != KLX_TIME_NONE) {
        int64_t wait_ms = (next_us - now_us(c)) / KLX_US_PER_MS + 1;
        klx_timer_start(c->ticks, wait_ms > 1 ? wait_ms : 1);
    }
}

static void on_object(void *arg, enum klx_change change, enum klx_origin origin,
                      const struct klx_json *object) {
    struct source_watch *w = arg;
    struct klx_cluster *c = w->cluster;
    struct klx_outbox *out = klx_publisher_outbox(c->publisher);
    struct klx_observation o = { .kind = w->ops->observed,
                                 .change = change,
                                 .origin = origin,
                                 .cluster = klx_sv(c->settings->name),
                                 .object = object };
    int rc = w->ops->observe(object, &o);
    if (rc == -ENOENT) {
        return;
    }
    if (rc != 0) {
        klx_counter_add(w->metrics.bad_objects, 1);
        if (klx_counter_value(w->metrics.bad_objects) == 1) {
            klx_log_warn("an object of the watch is not what it should be, skipped",
                         KLX_F_STR("cluster", c->settings->name), KLX_F_STR("source", w->name),
                         KLX_F_SV("name", klx_json_str(object, "metadata.name")));
        }
        return;
    }
    if (o.kind == KLX_OBSERVED_EVENT && origin == KLX_ORIGIN_LIVE &&
        o.event.time_us != KLX_TIME_NONE) {
        klx_gauge_set(w->metrics.lag_seconds, (double)(now_us(c) - o.event.time_us) / 1e6);
    }
    if (w->ops->publish != NULL) {
        w->ops->publish(&o, object, out);
    }
    for (size_t i = 0; i < KLX_DETECTORS_N; i++) {
        klx_detectors[i]->observe(c->detectors[i], &o, now_us(c), out);
    }
}

static void on_checkpoint(void *arg, struct klx_sv resource_version, bool bookmark) {
    struct source_watch *w = arg;
    struct klx_cluster *c = w->cluster;
    klx_publisher_checkpoint(c->publisher, w->slot, w->key, resource_version, bookmark);
    klx_publisher_end_turn(c->publisher);
    if (!bookmark && !c->tick_soon) {
        c->tick_soon = true;
        klx_timer_start(c->ticks, 1); /* what was seen may have set a detector's timer */
    }
}

static void put_state(struct klx_cluster *c, const char *key, const char *more,
                      struct klx_sv value) {
    struct klx_outbox *out = klx_publisher_outbox(c->publisher);
    out->state(out, klx_arena_printf(out->arena, "%s/%s%s", c->settings->name, key, more), value);
}

/* "cluster/events/list" (collector/watch_places.h), written in the transaction of the page's objects, and removed in that of the list's checkpoint. */
static void on_list_place(void *arg, const struct klx_list_place *place) {
    struct source_watch *w = arg;
    struct klx_cluster *c = w->cluster;
    struct klx_buf value KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&value, LIST_PLACE_BYTES_MAX);
    if (place != NULL) {
        klx_list_place_write(place, &value);
    }
    put_state(c, w->key, "/list", klx_buf_sv(&value));
    if (place != NULL) {
        klx_publisher_end_turn(c->publisher);
    }
}

static void forget_listed(struct source_watch *w) {
    struct listed *l = NULL, *next = NULL;
    HASH_ITER(hh, w->listed, l, next) {
        HASH_DEL(w->listed, l);
        free(l->name);
        free(l);
    }
}

static void on_listed(void *arg, const struct klx_json *object) {
    struct source_watch *w = arg;
    struct klx_sv name = klx_json_str(object, "metadata.name");
    struct klx_sv ns = klx_json_str(object, "metadata.namespace");
    if (!w->ops->stateful || name.n == 0) {
        return;
    }
    char *key = klx_asprintf("%.*s%s%.*s", KLX_SV_FMT(ns), ns.n > 0 ? "/" : "", KLX_SV_FMT(name));
    struct listed *l = NULL;
    HASH_FIND_STR(w->listed, key, l);
    if (l != NULL) {
        free(key);
        return;
    }
    l = klx_alloc(struct listed);
    l->name = key;
    HASH_ADD_KEYPTR(hh, w->listed, l->name, strlen(key), l);
}

/* Of another namespace this list knows nothing. */
static bool is_listed(void *arg, struct klx_sv name) {
    const struct source_watch *w = arg;
    struct listed *l = NULL;
    struct klx_sv rest = name;
    if (w->namespace.n > 0 && !klx_sv_eq(klx_sv_cut(&rest, '/'), w->namespace)) {
        return true;
    }
    HASH_FIND(hh, w->listed, name.p, name.n, l);
    return l != NULL;
}

static void tell_what_is_there(struct klx_cluster *c, enum klx_observation_kind kind,
                               bool (*listed)(void *arg, struct klx_sv name), void *arg) {
    for (size_t i = 0; i < KLX_DETECTORS_N; i++) {
        if (klx_detectors[i]->relisted != NULL) {
            klx_detectors[i]->relisted(c->detectors[i], kind, listed, arg, now_us(c),
                                       klx_publisher_outbox(c->publisher));
        }
    }
}

static void on_list(void *arg, bool begins, enum klx_origin origin) {
    struct source_watch *w = arg;
    klx_counter_add(w->metrics.relists, begins);
    if (!begins && w->ops->stateful && origin == KLX_ORIGIN_RESYNC) {
        tell_what_is_there(w->cluster, w->ops->observed, is_listed, w);
    }
    forget_listed(w);
}

static void write_gap(struct klx_jw *w, const struct source_watch *s,
                      const struct klx_watch_gap *gap, struct klx_sv summary) {
    klx_jw_begin_object(w);
    klx_jw_member_sv(w, "summary", summary);
    klx_jw_key(w, "object");
    klx_jw_begin_object(w);
    klx_jw_member_str(w, "kind", "Watch");
    klx_jw_member_str(w, "name", s->name);
    klx_jw_end_object(w);
    klx_jw_member_str(w, "reason", "WatchGap");
    klx_jw_key(w, "labels");
    klx_jw_begin_object(w);
    klx_jw_end_object(w);
    klx_jw_member_str(w, "why", gap->why);
    klx_jw_member_sv(w, "after", gap->after);
    klx_jw_member_time(w, "since", gap->since_us);
    klx_jw_member_time(w, "until", gap->until_us);
    klx_jw_end_object(w);
}

static void on_gap(void *arg, const struct klx_watch_gap *gap) {
    struct source_watch *s = arg;
    struct klx_cluster *c = s->cluster;
    struct klx_outbox *out = klx_publisher_outbox(c->publisher);
    struct klx_arena *a = out->arena;
    struct klx_sv name = klx_sv(c->settings->name);
    struct klx_sv summary = klx_arena_printf(
        a, "What happened on %s of cluster %s after resourceVersion %.*s may be incomplete (%s)",
        s->name, c->settings->name, KLX_SV_FMT(gap->after), gap->why);
    struct klx_buf data KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&data, 8192);
    struct klx_jw w;
    klx_jw_init(&w, &data);
    write_gap(&w, s, gap, summary);
    const struct klx_sv parts[] = { klx_sv(s->name), gap->after, klx_sv(gap->why) };
    const struct klx_event e = {
        .kind = KLX_KIND_WATCH_GAP,
        .id = klx_event_id(a, name, KLX_KIND_WATCH_GAP, parts, 3),
        .source = klx_arena_printf(a, "/clusters/%s/%s", c->settings->name, s->ops->name),
        .subject = klx_arena_printf(a, "Watch/%s", s->name),
        .key = klx_arena_printf(a, "%s/-/Watch/%s", c->settings->name, s->name),
        .cluster = name,
        .severity = KLX_SEVERITY_WARNING,
        .time_us = gap->until_us,
        .data = klx_buf_sv(&data),
    };
    out->event(out, &e);
    klx_counter_add(s->metrics.gaps, 1);
    klx_log_warn("gap in the watch, listing what is there", KLX_F_STR("cluster", c->settings->name),
                 KLX_F_STR("source", s->name), KLX_F_STR("why", gap->why),
                 KLX_F_SV("after", gap->after));
}

static void on_connected(void *arg, bool connected) {
    struct source_watch *w = arg;
    klx_counter_add(w->metrics.disconnects, w->connected && !connected);
    klx_gauge_set(w->metrics.connected, connected);
    w->connected = connected;
    if (connected && w->troubled) {
        w->troubled = false;
        klx_log_info("the watch is connected again",
                     KLX_F_STR("cluster", w->cluster->settings->name),
                     KLX_F_STR("source", w->name));
    }
}

static void make_metrics(struct source_watch *w) {
    const struct klx_label labels[] = { { "cluster", w->cluster->settings->name },
                                        { "source", w->name },
                                        { NULL, NULL } };
    w->metrics.objects =
        klx_counter("klaxon_watch_objects_total", "Objects of lists and watches.", labels);
    w->metrics.bad_objects = klx_counter("klaxon_watch_bad_objects_total",
                                         "Objects that were not what they should be.", labels);
    w->metrics.relists = klx_counter("klaxon_watch_lists_total",
                                     "Lists begun: the first one, and one after each gap.", labels);
    w->metrics.gaps = klx_counter("klaxon_watch_gaps_total", "Gaps recorded.", labels);
    w->metrics.disconnects = klx_counter("klaxon_watch_disconnects_total",
                                         "Connections that ended with a wait.", labels);
    w->metrics.connected =
        klx_gauge("klaxon_watch_connected", "1 while the watch is connected.", labels);
    w->metrics.lag_seconds = klx_gauge(
        "klaxon_watch_lag_seconds", "From the last Event's own time to its arrival here.", labels);
}

static void on_watch_trouble(void *arg, const char *what, const char *detail, int64_t retry_ms) {
    struct source_watch *w = arg;
    w->troubled = true;
    klx_log_warn(what, KLX_F_STR("cluster", w->cluster->settings->name),
                 KLX_F_STR("source", w->name), KLX_F_STR("detail", detail),
                 KLX_F_INT("retry_ms", retry_ms));
}

static void start_watch(struct source_watch *w, const struct klx_watch_place *at) {
    struct klx_cluster *c = w->cluster;
    struct klx_buf path KLX_CLEANUP(klx_buf_release);
    struct klx_buf selectors KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&path, REQUEST_BYTES_MAX);
    klx_buf_init(&selectors, REQUEST_BYTES_MAX);
    klx_source_watch_path(w->source, w->namespace, &path);
    klx_source_selectors(w->source, &selectors);
    const struct klx_watch_options o = { .path = klx_buf_str(&path),
                                         .selectors =
                                             selectors.len > 0 ? klx_buf_str(&selectors) : NULL,
                                         .bookmarks = w->ops->bookmarks,
                                         .resume = at->rv,
                                         .checkpoint_us = at->at_us,
                                         .list = at->list_under_way ? &at->list : NULL,
                                         .dead_after_ms = c->settings->dead_after_ms };
    const struct klx_watch_callbacks cb = {
        .on_object = on_object,
        .on_listed = on_listed,
        .on_checkpoint = on_checkpoint,
        .on_list_place = on_list_place,
        .on_list = on_list,
        .on_gap = on_gap,
        .on_connected = on_connected,
        .on_trouble = on_watch_trouble,
        .arg = w,
    };
    klx_log_info(at->list_under_way && at->is_new ? "watch of another selection begins with a list"
                 : at->list_under_way             ? "watch goes on with its list"
                 : at->rv.text[0] != '\0'         ? "watch resumes"
                                                  : "watch begins with a list",
                 KLX_F_STR("cluster", c->settings->name), KLX_F_STR("source", w->name),
                 KLX_F_STR("resourceVersion", at->rv.text));
    w->watch = klx_watch_new(c->client, c->env.clock, &o, &cb);
    klx_watch_start(w->watch);
}

/* Where another selection begins is written with the end of what was there before it. */
static void write_place(struct source_watch *w, const struct klx_watch_place *at) {
    if (at->is_new && at->list_under_way) {
        struct klx_buf value KLX_CLEANUP(klx_buf_release);
        klx_buf_init(&value, LIST_PLACE_BYTES_MAX);
        klx_list_place_write(&at->list, &value);
        put_state(w->cluster, w->key, "/list", klx_buf_sv(&value));
    } else if (at->is_new) {
        klx_publisher_checkpoint(w->cluster->publisher, w->slot, w->key, klx_rv_sv(&at->rv), false);
    }
}

static bool is_covered(void *arg, struct klx_sv name) {
    return klx_source_covers(arg, name);
}

/* Watches that were there before and are not configured any more. What they alone have seen is gone from our sight. */
static void retire_watches(struct klx_cluster *c, const struct klx_source_settings *s) {
    bool any = false;
    for (size_t i = 0; i < c->places.n; i++) {
        const struct klx_watch_place *old = &c->places.items[i];
        if (klx_watch_places_is_retired(old, s)) {
            any = true;
            put_state(c, old->key, "", klx_sv(NULL));
            put_state(c, old->key, "/list", klx_sv(NULL));
            klx_log_info("watch is not configured any more, forgotten",
                         KLX_F_STR("cluster", c->settings->name), KLX_F_STR("source", old->key));
        }
    }
    if (any && s->ops->stateful) {
        tell_what_is_there(c, s->ops->observed, is_covered, (void *)(uintptr_t)s);
    }
}

static void on_publisher_ready(void *arg) {
    struct klx_cluster *c = arg;
    struct klx_watch_place *at = klx_alloc_n(struct klx_watch_place, c->watches_n);
    for (size_t i = 0; i < c->watches_n; i++) {
        struct source_watch *w = &c->watches[i];
        klx_watch_places_begin(&c->places, w->source, w->namespace, &at[i]);
        write_place(w, &at[i]);
    }
    for (size_t i = 0; i < c->settings->sources_n; i++) {
        retire_watches(c, &c->settings->sources[i]);
    }
    klx_publisher_end_turn(c->publisher);
    c->started = true;
    for (size_t i = 0; i < c->watches_n; i++) {
        start_watch(&c->watches[i], &at[i]);
    }
    free(at);
    klx_watch_places_release(&c->places);
    tick(c);
}

/* "events", "events/list" → the place of a watch; "node_repair/aks-1" → a detector's state. */
static void on_state(void *arg, struct klx_sv key, struct klx_sv value) {
    struct klx_cluster *c = arg;
    struct klx_sv object = key, owner = klx_sv_cut(&object, '/');
    for (size_t i = 0; i < c->settings->sources_n; i++) {
        if (klx_watch_places_restore(&c->places, &c->settings->sources[i], key, value)) {
            return; /* a detector may have the name of a source */
        }
    }
    for (size_t i = 0; i < KLX_DETECTORS_N && object.n > 0; i++) {
        if (klx_sv_eq(owner, klx_sv(klx_detectors[i]->name)) &&
            klx_detectors[i]->restore(c->detectors[i], object, value) != 0) {
            klx_log_warn("a stored state cannot be read, skipped",
                         KLX_F_STR("cluster", c->settings->name), KLX_F_SV("key", key));
        }
    }
}

static void on_full(void *arg, bool full) {
    struct klx_cluster *c = arg;
    for (size_t i = 0; i < c->watches_n; i++) {
        if (c->watches[i].watch != NULL && full) {
            klx_watch_pause(c->watches[i].watch);
        } else if (c->watches[i].watch != NULL) {
            klx_watch_resume(c->watches[i].watch);
        }
    }
}

static void on_kafka_trouble(void *arg, const char *what) {
    struct klx_cluster *c = arg;
    if (klx_log_lasting_due(&c->kafka_lasting, what, klx_loop_now_us(c->env.loop))) {
        klx_log_warn("trouble with Kafka, trying again", KLX_F_STR("cluster", c->settings->name),
                     KLX_F_STR("what", what));
    }
}

static void on_fatal(void *arg, const char *why) {
    struct klx_cluster *c = arg;
    c->env.on_fatal(c->env.arg, c->settings->name, why);
}

static int open_client(struct klx_cluster *c, struct klx_error *e) {
    struct klx_kube_access *access = NULL;
    const struct klx_cluster_settings *s = c->settings;
    int rc = s->in_cluster ? klx_in_cluster_load(&access, e)
                           : klx_kubeconfig_load(s->kubeconfig, s->context, now_us(c), &access, e);
    if (rc != 0) {
        return klx_fail_in(e, rc, "cluster %s", c->settings->name);
    }
    if (access->insecure) {
        klx_log_warn("INSECURE: the kubeconfig says insecure-skip-tls-verify; anybody on the way "
                     "can read the token and invent events",
                     KLX_F_STR("cluster", c->settings->name),
                     KLX_F_STR("context", access->context));
    }
    c->client = klx_kube_client_new(c->env.loop, c->env.http, c->env.clock, access);
    return 0;
}

/* A bit for each topic: gaps go to klaxon.kubernetes, whatever is watched. */
static uint32_t topics_of(const struct klx_cluster_settings *s) {
    uint32_t used = 1u << KLX_TOPIC_STATE | 1u << KLX_TOPIC_KUBERNETES;
    for (size_t i = 0; i < s->sources_n; i++) {
        used |= 1u << s->sources[i].ops->topic;
    }
    return used;
}

static void make_watches(struct klx_cluster *c) {
    const struct klx_cluster_settings *s = c->settings;
    c->watches = klx_alloc_n(struct source_watch, KLX_WATCHES_MAX);
    for (size_t i = 0; i < s->sources_n; i++) {
        for (size_t k = 0; k < klx_source_watches(&s->sources[i]); k++) {
            struct source_watch *w = &c->watches[c->watches_n];
            *w = (struct source_watch){ .cluster = c,
                                        .source = &s->sources[i],
                                        .ops = s->sources[i].ops,
                                        .namespace = klx_source_namespace(&s->sources[i], k),
                                        .slot = c->watches_n++ };
            klx_source_watch_name(w->source, w->namespace, w->name);
            klx_source_watch_key(w->source, w->namespace, w->key);
            make_metrics(w);
        }
    }
}

int klx_cluster_new(const struct klx_cluster_env *env, const struct klx_cluster_settings *s,
                    struct klx_cluster **ret, struct klx_error *e) {
    struct klx_cluster *c = klx_alloc(struct klx_cluster);
    const struct klx_publisher_callbacks cb = { on_publisher_ready, on_state, on_full,
                                                on_kafka_trouble,   on_fatal, c };
    c->env = *env;
    c->settings = s;
    int rc = open_client(c, e);
    rc = rc == 0 ? klx_publisher_new(env->loop, env->clock, env->kafka, env->topics, topics_of(s),
                                     s->name, &cb, &c->publisher, e)
                 : rc;
    if (rc != 0) {
        klx_cluster_free(c);
        return rc;
    }
    for (size_t i = 0; i < KLX_DETECTORS_N; i++) {
        c->detectors[i] = klx_detectors[i]->create(klx_sv(s->name), s->detectors.of[i]);
    }
    make_watches(c);
    c->ticks = klx_timer_new(env->loop, tick, c);
    *ret = c;
    return 0;
}

void klx_cluster_start(struct klx_cluster *c) {
    klx_publisher_start(c->publisher);
}

bool klx_cluster_ready(const struct klx_cluster *c, struct klx_buf *why) {
    bool ready = c->started;
    for (size_t i = 0; i < c->watches_n; i++) {
        const struct source_watch *w = &c->watches[i];
        klx_buf_printf(why, "watch %s/%s: %s\n", c->settings->name, w->name,
                       w->connected ? "connected"
                       : c->started ? "not connected"
                                    : "waits for Kafka");
        ready = ready && w->connected;
    }
    return ready;
}

static void stop_watches(struct klx_cluster *c) {
    for (size_t i = 0; i < c->watches_n; i++) {
        klx_watch_free(c->watches[i].watch);
        c->watches[i].watch = NULL;
        forget_listed(&c->watches[i]);
    }
}

void klx_cluster_stop(struct klx_cluster *c, int64_t wait_ms,
                      void (*on_stopped)(void *arg, bool clean), void *arg) {
    stop_watches(c);
    klx_timer_stop(c->ticks);
    klx_publisher_stop(c->publisher, wait_ms, on_stopped, arg);
}

void klx_cluster_free(struct klx_cluster *c) {
    if (c == NULL) {
        return;
    }
    stop_watches(c);
    klx_timer_free(c->ticks);
    for (size_t i = 0; i < KLX_DETECTORS_N; i++) {
        if (c->detectors[i] != NULL) {
            klx_detectors[i]->destroy(c->detectors[i]);
        }
    }
    klx_watch_places_release(&c->places);
    free(c->watches);
    klx_publisher_free(c->publisher);
    klx_kube_client_free(c->client);
    free(c);
}
