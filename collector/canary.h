/*
 * The canary of a cluster: an Event of klaxon's own (core/v1) that it writes every period and must see come back on the watch of events. A
 * connection that accepts and acknowledges everything and forwards nothing cannot be told from a quiet one otherwise.
 *
 * What it decides is a pure step function (canary_state.h); here are the requests, the log and the metrics. Its name is stable for a
 * cluster, a Kafka and a prefix of topics, so restarts write on the same Event, and two installations do not meet; each write has a
 * number of this process, so another's is not taken for ours. It needs the verbs create and patch on events in its namespace.
 *
 * Since it moves the events' resourceVersion every period, a quiet night does not grow older than the API server's history.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "collector/kube/client.h"
#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/json.h"

struct klx_canary;

struct klx_canary_env {
    const char *cluster;
    const char *identity; /* tells installations apart that watch the same cluster */
    const char *namespace;
    int64_t every_ms;
    struct klx_kube_client *client;
    struct klx_clock *clock;
    /* The watch that shows it is dead (klx_watch_give_up). Not from inside of a call here. */
    void (*on_dead)(void *arg);
    void *arg;
};

/* Everything in `env` lives longer; the texts are copied. */
struct klx_canary *klx_canary_new(const struct klx_canary_env *env);
/* An Event of a canary, ours or of another klaxon: nobody is told of it. */
bool klx_canary_is_one(const struct klx_json *event);
/* The watch that shows it. */
void klx_canary_connected(struct klx_canary *c, bool connected);
void klx_canary_paused(struct klx_canary *c, bool paused);
void klx_canary_heard(struct klx_canary *c);
void klx_canary_seen(struct klx_canary *c, const struct klx_json *event);
/* Since it came back last, and how long that took; KLX_TIME_NONE: not known. */
int64_t klx_canary_age(const struct klx_canary *c);
int64_t klx_canary_round_trip(const struct klx_canary *c);
/* A line for /readyz; false when it is missing. */
bool klx_canary_describe(const struct klx_canary *c, struct klx_buf *out);
/* It is written no more. NULL: nothing. */
void klx_canary_stop(struct klx_canary *c);
void klx_canary_free(struct klx_canary *c);
