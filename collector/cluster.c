#include "collector/cluster.h"

#include <errno.h>
#include <stdlib.h>

#include "collector/canary.h"
#include "collector/detection.h"
#include "collector/heartbeat.h"
#include "collector/publish.h"
#include "collector/source_polls.h"
#include "collector/source_watch.h"
#include "lib/base/cleanup.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"

struct klx_cluster {
    struct klx_cluster_env env;
    const struct klx_cluster_settings *settings;
    struct klx_publisher *publisher;
    struct klx_detection *detection;
    struct klx_source_watch *watches[KLX_WATCHES_MAX];
    size_t watches_n;
    struct klx_canary *canary;
    const char *no_canary; /* why there is none */
    struct klx_source_watch *canary_watch;
    struct klx_source_polls *polls;
    struct klx_heartbeat *heartbeat;
    struct klx_watch_places places; /* from reading the state until the watches start */
    struct klx_log_lasting kafka_lasting;
    bool started; /* the watches run */
    bool stopped; /* nothing is observed any more, whatever the publisher says */
};

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
            klx_publisher_put_state(c->publisher, old->key, "", klx_sv(NULL));
            klx_publisher_put_state(c->publisher, old->key, "/list", klx_sv(NULL));
            klx_log_info("watch is not configured any more, forgotten",
                         KLX_F_STR("cluster", c->settings->name), KLX_F_STR("source", old->key));
        }
    }
    if (any && s->ops->stateful) {
        klx_detection_relisted(c->detection, s->ops->observed, is_covered, (void *)(uintptr_t)s);
    }
}

static void on_publisher_ready(void *arg) {
    struct klx_cluster *c = arg;
    if (c->stopped) {
        return;
    }
    if (klx_source_polls_are_new(c->polls)) {
        klx_watch_places_list_again(&c->places, KLX_SV("pods")); /* whose limits nobody has kept */
    }
    for (size_t i = 0; i < c->watches_n; i++) {
        klx_source_watch_place(c->watches[i], &c->places);
    }
    for (size_t i = 0; i < c->settings->sources_n; i++) {
        retire_watches(c, &c->settings->sources[i]);
    }
    klx_publisher_end_turn(c->publisher);
    klx_watch_places_release(&c->places);
    c->started = true;
    for (size_t i = 0; i < c->watches_n; i++) {
        klx_source_watch_start(c->watches[i]);
    }
    klx_source_polls_start(c->polls);
    klx_detection_look_soon(c->detection);
    klx_heartbeat_start(c->heartbeat);
}

/* "events", "events/list" → the place of a watch; "node_repair/aks-1" → a detector's state. */
static void on_state(void *arg, struct klx_sv key, struct klx_sv value) {
    struct klx_cluster *c = arg;
    if (klx_source_polls_restore(c->polls, key, value)) {
        return;
    }
    for (size_t i = 0; i < c->settings->sources_n; i++) {
        if (klx_watch_places_restore(&c->places, &c->settings->sources[i], key, value)) {
            return; /* a detector may have the name of a source */
        }
    }
    if (klx_detection_restore(c->detection, key, value) == -EBADMSG) {
        klx_log_warn("a stored state cannot be read, skipped",
                     KLX_F_STR("cluster", c->settings->name), KLX_F_SV("key", key));
    }
}

static void on_full(void *arg, bool full) {
    struct klx_cluster *c = arg;
    if (c->stopped) {
        return;
    }
    for (size_t i = 0; i < c->watches_n; i++) {
        klx_source_watch_pause(c->watches[i], full);
    }
    klx_source_polls_pause(c->polls, full);
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
    c->env.on_fatal(c->env.arg, why);
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
    const struct klx_source_watch_env env = { .cluster = s->name,
                                              .client = c->env.client,
                                              .publisher = c->publisher,
                                              .detection = c->detection,
                                              .clock = c->env.clock,
                                              .dead_after_ms = s->dead_after_ms };
    for (size_t i = 0; i < s->sources_n; i++) {
        bool watched = s->sources[i].ops->poll == NULL;
        for (size_t k = 0; watched && k < klx_source_watches(&s->sources[i]); k++) {
            c->watches[c->watches_n] = klx_source_watch_new(
                &env, &s->sources[i], klx_source_namespace(&s->sources[i], k), c->watches_n);
            c->watches_n++;
        }
    }
}

static void on_canary_missing(void *arg) {
    struct klx_cluster *c = arg;
    klx_source_watch_give_up(c->canary_watch, "the watch is dead: its canary has not come back");
}

/* The prefix of the topics and the Kafka: two installations may watch the same cluster under the same name. */
static void make_canary(struct klx_cluster *c) {
    const struct klx_cluster_settings *s = c->settings;
    const char *namespace = s->canary.namespace != NULL ? s->canary.namespace
                                                        : klx_kube_client_namespace(c->env.client);
    c->no_canary = klx_canary_obstacle(&s->canary, s->sources, s->sources_n, namespace);
    if (c->no_canary != NULL) {
        return;
    }
    char *identity = klx_asprintf("%s %s", klx_kafka_config_bootstrap(c->env.kafka),
                                  c->env.topics->name[KLX_TOPIC_STATE]);
    const struct klx_canary_env env = { .cluster = s->name,
                                        .identity = identity,
                                        .namespace = namespace,
                                        .every_ms = s->canary.every_ms,
                                        .client = c->env.client,
                                        .clock = c->env.clock,
                                        .on_dead = on_canary_missing,
                                        .arg = c };
    c->canary = klx_canary_new(&env);
    free(identity);
    for (size_t i = 0; i < c->watches_n && c->canary_watch == NULL; i++) {
        if (klx_source_watch_shows(c->watches[i], &klx_source_events, namespace)) {
            c->canary_watch = c->watches[i];
            klx_source_watch_set_canary(c->canary_watch, c->canary);
        }
    }
}

static void make_polls(struct klx_cluster *c) {
    const struct klx_source_poll_env env = { .cluster = c->settings->name,
                                             .loop = c->env.loop,
                                             .client = c->env.client,
                                             .publisher = c->publisher,
                                             .detection = c->detection,
                                             .clock = c->env.clock };
    c->polls = klx_source_polls_new(&env, c->settings);
}

/* A bit for each kind of observation that its sources make. */
static uint32_t observed_of(const struct klx_cluster_settings *s) {
    uint32_t observed = 0;
    for (size_t i = 0; i < s->sources_n; i++) {
        observed |= 1u << s->sources[i].ops->observed;
    }
    return observed;
}

static void count_watches(void *arg, size_t *ret_of, size_t *ret_connected) {
    const struct klx_cluster *c = arg;
    *ret_of = c->watches_n;
    *ret_connected = 0;
    for (size_t i = 0; i < c->watches_n; i++) {
        *ret_connected += klx_source_watch_is_connected(c->watches[i]) ? 1 : 0;
    }
}

static void make_heartbeat(struct klx_cluster *c) {
    const struct klx_heartbeat_env env = {
        .loop = c->env.loop,
        .clock = c->env.clock,
        .cluster = c->settings->name,
        .publisher = c->publisher,
        .canary = c->canary,
        .topics = topics_of(c->settings) & ~(1u << KLX_TOPIC_STATE),
        .every_ms = c->settings->heartbeat_ms,
        .count = count_watches,
        .arg = c,
    };
    c->heartbeat = klx_heartbeat_new(&env);
}

int klx_cluster_new(const struct klx_cluster_env *env, const struct klx_cluster_settings *s,
                    struct klx_cluster **ret, struct klx_error *e) {
    struct klx_cluster *c = klx_alloc(struct klx_cluster);
    const struct klx_publisher_callbacks cb = { on_publisher_ready, on_state, on_full,
                                                on_kafka_trouble,   on_fatal, c };
    c->env = *env;
    c->settings = s;
    const struct klx_publisher_options o = { .clock = env->clock,
                                             .kafka = env->kafka,
                                             .topics = env->topics,
                                             .used = topics_of(s),
                                             .cluster = s->name,
                                             .transactions = env->transactions };
    int rc = klx_publisher_new(env->loop, &o, &cb, &c->publisher, e);
    if (rc != 0) {
        klx_cluster_free(c);
        return rc;
    }
    c->detection =
        klx_detection_new(env->loop, env->clock, c->publisher, klx_sv(s->name), &s->detectors);
    klx_detection_expect(c->detection, observed_of(s));
    make_watches(c);
    make_canary(c);
    make_polls(c);
    make_heartbeat(c);
    *ret = c;
    return 0;
}

void klx_cluster_start(struct klx_cluster *c) {
    klx_publisher_start(c->publisher);
}

bool klx_cluster_ready(const struct klx_cluster *c, struct klx_buf *why) {
    bool ready = c->started && klx_publisher_ready(c->publisher, why);
    for (size_t i = 0; i < c->watches_n; i++) {
        const struct klx_source_watch *w = c->watches[i];
        struct klx_buf words KLX_CLEANUP(klx_buf_release);
        klx_buf_init(&words, 200);
        ready = klx_source_watch_is_ready(w, &words) && ready;
        klx_buf_printf(why, "watch %s/%s: %s\n", c->settings->name, klx_source_watch_of(w),
                       c->started ? klx_buf_str(&words) : "waits for Kafka");
    }
    klx_source_polls_describe(c->polls, why);
    if (c->canary != NULL) {
        return klx_canary_describe(c->canary, why) && ready;
    }
    klx_buf_printf(why, "canary %s: off: %s\n", c->settings->name, c->no_canary);
    return ready;
}

void klx_cluster_stop(struct klx_cluster *c, int64_t wait_ms,
                      void (*on_stopped)(void *arg, bool clean), void *arg) {
    c->stopped = true;
    for (size_t i = 0; i < c->watches_n; i++) {
        klx_source_watch_stop(c->watches[i]);
    }
    klx_canary_stop(c->canary);
    klx_source_polls_stop(c->polls);
    klx_heartbeat_stop(c->heartbeat);
    klx_detection_stop(c->detection);
    klx_publisher_stop(c->publisher, wait_ms, on_stopped, arg);
}

void klx_cluster_free(struct klx_cluster *c) {
    if (c == NULL) {
        return;
    }
    for (size_t i = 0; i < c->watches_n; i++) {
        klx_source_watch_free(c->watches[i]);
    }
    klx_heartbeat_free(c->heartbeat);
    klx_canary_free(c->canary);
    klx_source_polls_free(c->polls);
    klx_detection_free(c->detection);
    klx_watch_places_release(&c->places);
    klx_publisher_free(c->publisher);
    free(c);
}
