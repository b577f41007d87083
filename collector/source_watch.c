#include "collector/source_watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/kube/watch.h"
#include "collector/listed_names.h"
#include "lib/base/cleanup.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/time.h"
#include "lib/io/metrics.h"

#define LIST_PLACE_BYTES_MAX 8192
#define REQUEST_BYTES_MAX 16384
#define OBJECT_KIND_BYTES 128

struct klx_source_watch {
    struct klx_source_watch_env env;
    const struct klx_source_settings *source;
    const struct klx_source_ops *ops;
    struct klx_sv namespace; /* empty: the whole cluster */
    char name[KLX_WATCH_KEY_BYTES], key[KLX_WATCH_KEY_BYTES];
    char object_kind[OBJECT_KIND_BYTES]; /* as the last list says; "" before */
    size_t slot;
    struct klx_watch_place at; /* where it begins */
    struct klx_watch *watch;
    struct klx_listed_names listed; /* of the relist under way, when what vanishes matters */
    bool keeps_names;
    struct klx_canary *canary; /* NULL: it shows none */
    bool quiet;         /* nothing but a live object was handed up since the last checkpoint */
    bool showed_canary; /* and that was a canary */
    bool connected;
    int64_t
        absent_retry_ms; /* the resource is not there, and looked for again after each; 0: it is */
    bool troubled;       /* said, and not yet over */
    struct {
        struct klx_counter *objects, *bad_objects, *relists, *gaps, *disconnects;
        struct klx_gauge *connected, *absent, *lag_seconds;
    } metrics;
};

static int64_t now_us(const struct klx_source_watch *w) {
    return w->env.clock->wall_us(w->env.clock);
}

static void on_object_kind(void *arg, struct klx_sv kind) {
    struct klx_source_watch *w = arg;
    snprintf(w->object_kind, sizeof(w->object_kind), "%.*s", KLX_SV_FMT(kind));
}

static struct klx_sv object_kind(const struct klx_source_watch *w, const struct klx_json *object) {
    struct klx_sv own = klx_json_str(object, "kind");
    return own.n > 0 ? own : klx_sv(w->object_kind);
}

/* It moves the place to resume, and is no reason for a transaction of its own. */
static void on_canary(struct klx_source_watch *w, enum klx_origin origin,
                      const struct klx_json *object) {
    if (origin == KLX_ORIGIN_LIVE && w->canary != NULL) {
        klx_canary_seen(w->canary, object);
    }
    w->quiet = w->showed_canary = origin == KLX_ORIGIN_LIVE;
}

static void on_object(void *arg, enum klx_change change, enum klx_origin origin,
                      const struct klx_json *object) {
    struct klx_source_watch *w = arg;
    struct klx_observation o = { .kind = w->ops->observed,
                                 .change = change,
                                 .origin = origin,
                                 .cluster = klx_sv(w->env.cluster),
                                 .object = object,
                                 .generic = w->source->generic,
                                 .object_kind = object_kind(w, object) };
    if (w->ops == &klx_source_events && klx_canary_is_one(object)) {
        on_canary(w, origin, object);
        return;
    }
    klx_counter_add(w->metrics.objects, 1);
    w->quiet = origin == KLX_ORIGIN_LIVE;
    int rc = w->ops->observe(object, &o);
    if (rc == -ENOENT) {
        return;
    }
    if (rc != 0) {
        klx_counter_add(w->metrics.bad_objects, 1);
        if (klx_counter_value(w->metrics.bad_objects) == 1) {
            klx_log_warn("an object of the watch is not what it should be, skipped",
                         KLX_F_STR("cluster", w->env.cluster), KLX_F_STR("source", w->name),
                         KLX_F_SV("name", klx_json_str(object, "metadata.name")));
        }
        return;
    }
    if (o.kind == KLX_OBSERVED_EVENT && origin == KLX_ORIGIN_LIVE &&
        o.event.time_us != KLX_TIME_NONE) {
        klx_gauge_set(w->metrics.lag_seconds, (double)(now_us(w) - o.event.time_us) / 1e6);
    }
    struct klx_outbox *out = klx_publisher_outbox(w->env.publisher);
    if (w->ops->publish != NULL) {
        w->ops->publish(&o, object, out);
    }
    klx_detection_observe(w->env.detection, &o);
    klx_arena_reset(out->arena); /* a page has room for each of its objects, not for all at once */
}

/* What a live object has made goes out with the checkpoint. One that has made nothing is as good as a bookmark: whoever sees it again makes
   nothing of it again. */
static void on_checkpoint(void *arg, struct klx_sv resource_version, bool bookmark) {
    struct klx_source_watch *w = arg;
    bool lazy = bookmark || w->quiet, is_news = !bookmark && !w->showed_canary;
    w->quiet = w->showed_canary = false;
    if (w->canary != NULL) {
        klx_canary_heard(w->canary);
    }
    if (bookmark) {
        klx_detection_caught_up(w->env.detection, w->ops->observed, w->namespace);
    }
    klx_publisher_checkpoint(w->env.publisher, w->slot, w->key, resource_version, lazy);
    klx_publisher_end_turn(w->env.publisher);
    if (is_news) {
        klx_detection_look_soon(w->env.detection);
    }
}

/* "events/list" (collector/watch_places.h), written in the transaction of the page's objects, and removed in that of the list's
   checkpoint. */
static void put_list_place(struct klx_source_watch *w, const struct klx_list_place *place) {
    struct klx_buf value KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&value, LIST_PLACE_BYTES_MAX);
    if (place != NULL) {
        klx_list_place_write(place, &value);
    }
    klx_publisher_put_state(w->env.publisher, w->key, "/list", klx_buf_sv(&value));
}

static void on_list_place(void *arg, const struct klx_list_place *place) {
    struct klx_source_watch *w = arg;
    put_list_place(w, place);
    if (place != NULL) {
        klx_publisher_end_turn(w->env.publisher);
    }
}

static void on_listed(void *arg, const struct klx_json *object) {
    struct klx_source_watch *w = arg;
    if (w->keeps_names) {
        klx_listed_names_add(&w->listed, klx_json_str(object, "metadata.namespace"),
                             klx_json_str(object, "metadata.name"));
    }
}

/* Of another namespace, or another resource, this list knows nothing. */
static bool is_listed(void *arg, struct klx_sv name) {
    struct klx_source_watch *w = arg;
    struct klx_sv own = name, rest = name;
    if (!klx_source_cut_item(w->source, &own)) {
        return true;
    }
    rest = own;
    if (w->namespace.n > 0 && !klx_sv_eq(klx_sv_cut(&rest, '/'), w->namespace)) {
        return true;
    }
    return klx_listed_names_has(&w->listed, own);
}

static void on_list(void *arg, bool begins, enum klx_origin origin) {
    struct klx_source_watch *w = arg;
    klx_counter_add(w->metrics.relists, begins);
    w->quiet = w->showed_canary = false; /* the end of a list is worth a transaction */
    w->keeps_names = w->ops->stateful && origin == KLX_ORIGIN_RESYNC;
    if (begins) {
        klx_listed_names_begin(&w->listed, w->env.clock->random(w->env.clock));
    } else if (w->keeps_names) {
        klx_detection_relisted(w->env.detection, w->ops->observed, is_listed, w);
    }
    if (!begins) {
        klx_listed_names_forget(&w->listed);
    }
}

static void write_gap(struct klx_jw *w, const struct klx_source_watch *s,
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
    struct klx_source_watch *s = arg;
    struct klx_outbox *out = klx_publisher_outbox(s->env.publisher);
    struct klx_arena *a = out->arena;
    struct klx_sv name = klx_sv(s->env.cluster);
    struct klx_sv summary = klx_arena_printf(
        a, "What happened on %s of cluster %s after resourceVersion %.*s may be incomplete (%s)",
        s->name, s->env.cluster, KLX_SV_FMT(gap->after), gap->why);
    struct klx_buf data KLX_CLEANUP(klx_buf_release);
    klx_buf_init(&data, 8192);
    struct klx_jw w;
    klx_jw_init(&w, &data);
    write_gap(&w, s, gap, summary);
    const struct klx_sv parts[] = { klx_sv(s->name), gap->after, klx_sv(gap->why) };
    const struct klx_event e = {
        .kind = KLX_KIND_WATCH_GAP,
        .id = klx_event_id(a, name, KLX_KIND_WATCH_GAP, parts, 3),
        .source =
            klx_arena_printf(a, "/clusters/%s/%s", s->env.cluster, klx_source_name(s->source)),
        .subject = klx_arena_printf(a, "Watch/%s", s->name),
        .key = klx_arena_printf(a, "%s/-/Watch/%s", s->env.cluster, s->name),
        .cluster = name,
        .severity = KLX_SEVERITY_WARNING,
        .time_us = gap->until_us,
        .data = klx_buf_sv(&data),
    };
    out->event(out, &e);
    klx_counter_add(s->metrics.gaps, 1);
    klx_log_warn("gap in the watch, listing what is there", KLX_F_STR("cluster", s->env.cluster),
                 KLX_F_STR("source", s->name), KLX_F_STR("why", gap->why),
                 KLX_F_SV("after", gap->after));
}

static void on_connected(void *arg, bool connected) {
    struct klx_source_watch *w = arg;
    klx_counter_add(w->metrics.disconnects, w->connected && !connected);
    klx_gauge_set(w->metrics.connected, connected);
    klx_gauge_set(w->metrics.absent, 0);
    w->connected = connected;
    w->absent_retry_ms = 0;
    if (w->canary != NULL) {
        klx_canary_connected(w->canary, connected);
    }
    if (connected && w->troubled) {
        w->troubled = false;
        klx_log_info("the watch is connected again", KLX_F_STR("cluster", w->env.cluster),
                     KLX_F_STR("source", w->name));
    }
}

static void on_absent(void *arg, int64_t retry_ms) {
    struct klx_source_watch *w = arg;
    klx_gauge_set(w->metrics.absent, 1);
    w->absent_retry_ms = retry_ms;
}

static void make_metrics(struct klx_source_watch *w) {
    const struct klx_label labels[] = { { "cluster", w->env.cluster },
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
    w->metrics.absent =
        klx_gauge("klaxon_watch_absent",
                  "1 while the API server does not have the resource of the watch.", labels);
    w->metrics.lag_seconds = klx_gauge(
        "klaxon_watch_lag_seconds", "From the last Event's own time to its arrival here.", labels);
}

static void on_watch_trouble(void *arg, const char *what, const char *detail, int64_t retry_ms) {
    struct klx_source_watch *w = arg;
    w->troubled = true;
    klx_log_warn(what, KLX_F_STR("cluster", w->env.cluster), KLX_F_STR("source", w->name),
                 KLX_F_STR("detail", detail),
                 KLX_F_STR("server", klx_kube_client_server(w->env.client)),
                 KLX_F_STR("kubeconfig", klx_kube_client_from(w->env.client)),
                 KLX_F_INT("retry_ms", retry_ms));
}

void klx_source_watch_start(struct klx_source_watch *w) {
    const struct klx_watch_place *at = &w->at;
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
                                         .dead_after_ms = w->env.dead_after_ms };
    const struct klx_watch_callbacks cb = {
        .on_object = on_object,
        .on_listed = on_listed,
        .on_checkpoint = on_checkpoint,
        .on_list_place = on_list_place,
        .on_list = on_list,
        .on_gap = on_gap,
        .on_connected = on_connected,
        .on_absent = on_absent,
        .on_object_kind = on_object_kind,
        .on_trouble = on_watch_trouble,
        .arg = w,
    };
    klx_log_info(at->list_under_way && at->is_new ? "watch of another selection begins with a list"
                 : at->list_under_way             ? "watch goes on with its list"
                 : at->rv.text[0] != '\0'         ? "watch resumes"
                                                  : "watch begins with a list",
                 KLX_F_STR("cluster", w->env.cluster), KLX_F_STR("source", w->name),
                 KLX_F_STR("resourceVersion", at->rv.text));
    w->watch = klx_watch_new(w->env.client, w->env.clock, &o, &cb);
    klx_watch_start(w->watch);
}

struct klx_source_watch *klx_source_watch_new(const struct klx_source_watch_env *env,
                                              const struct klx_source_settings *s,
                                              struct klx_sv namespace, size_t slot) {
    struct klx_source_watch *w = klx_alloc(struct klx_source_watch);
    w->env = *env;
    w->source = s;
    w->ops = s->ops;
    w->namespace = namespace;
    w->slot = slot;
    klx_source_watch_name(s, namespace, w->name);
    klx_source_watch_key(s, namespace, w->key);
    make_metrics(w);
    return w;
}

/* Where another selection begins is written with the end of what was there before it. */
void klx_source_watch_place(struct klx_source_watch *w, const struct klx_watch_places *places) {
    klx_watch_places_begin(places, w->source, w->namespace, &w->at);
    if (w->at.is_new && w->at.list_under_way) {
        put_list_place(w, &w->at.list);
    } else if (w->at.is_new) {
        klx_publisher_checkpoint(w->env.publisher, w->slot, w->key, klx_rv_sv(&w->at.rv), false);
    }
}

const char *klx_source_watch_of(const struct klx_source_watch *w) {
    return w->name;
}

bool klx_source_watch_is_connected(const struct klx_source_watch *w) {
    return w->connected;
}

bool klx_source_watch_is_ready(const struct klx_source_watch *w, struct klx_buf *words) {
    char every[KLX_TIME_TEXT_BYTES];
    if (w->connected || w->absent_retry_ms == 0) {
        klx_buf_add_str(words, w->connected ? "connected" : "not connected");
        return w->connected;
    }
    klx_duration_words(w->absent_retry_ms, every);
    klx_buf_printf(words, "absent, looked for again every %s", every);
    return klx_sv_starts(klx_sv(klx_source_path(w->source)), KLX_SV("/apis/"));
}

void klx_source_watch_set_canary(struct klx_source_watch *w, struct klx_canary *canary) {
    w->canary = canary;
}

bool klx_source_watch_shows(const struct klx_source_watch *w, const struct klx_source_ops *ops,
                            const char *namespace) {
    return w->ops == ops && (w->namespace.n == 0 || klx_sv_eq(w->namespace, klx_sv(namespace)));
}

void klx_source_watch_give_up(struct klx_source_watch *w, const char *why) {
    if (w->watch != NULL) {
        klx_watch_give_up(w->watch, why);
    }
}

void klx_source_watch_pause(struct klx_source_watch *w, bool pause) {
    if (w->canary != NULL) {
        klx_canary_paused(w->canary, pause);
    }
    if (w->watch != NULL && pause) {
        klx_watch_pause(w->watch);
    } else if (w->watch != NULL) {
        klx_watch_resume(w->watch);
    }
}

void klx_source_watch_stop(struct klx_source_watch *w) {
    klx_watch_free(w->watch);
    w->watch = NULL;
    w->connected = false;
    klx_gauge_set(w->metrics.connected, 0);
    klx_listed_names_forget(&w->listed);
}

void klx_source_watch_free(struct klx_source_watch *w) {
    if (w == NULL) {
        return;
    }
    klx_source_watch_stop(w);
    free(w);
}
