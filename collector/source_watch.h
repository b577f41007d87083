/*
 * One watch of a source, in one namespace or in the whole cluster: its frames become observations, its places `klaxon.state`, its gaps
 * events, its troubles log lines and metrics.
 */
#pragma once

#include "collector/canary.h"
#include "collector/detection.h"
#include "collector/kube/client.h"
#include "collector/publish.h"
#include "collector/watch_places.h"
#include "lib/base/clock.h"

struct klx_source_watch;

/* What the watches of a cluster share; all of it lives longer than they do. */
struct klx_source_watch_env {
    const char *cluster;
    struct klx_kube_client *client;
    struct klx_publisher *publisher;
    struct klx_detection *detection;
    struct klx_clock *clock;
    int64_t dead_after_ms;
};

/* `slot`: its number among the publisher's checkpoints. */
struct klx_source_watch *klx_source_watch_new(const struct klx_source_watch_env *env,
                                              const struct klx_source_settings *s,
                                              struct klx_sv namespace, size_t slot);
/* Decides where it begins; when that is another place than what is stored, it is written, in the turn of the caller. */
void klx_source_watch_place(struct klx_source_watch *w, const struct klx_watch_places *places);
void klx_source_watch_start(struct klx_source_watch *w);
/* The canary that this watch shows; before the start. */
void klx_source_watch_set_canary(struct klx_source_watch *w, struct klx_canary *canary);
/* Whether what is in this namespace comes on it. */
bool klx_source_watch_shows(const struct klx_source_watch *w, const struct klx_source_ops *ops,
                            const char *namespace);
/* klx_watch_give_up */
void klx_source_watch_give_up(struct klx_source_watch *w, const char *why);
/* "hpa@kube-system" */
const char *klx_source_watch_of(const struct klx_source_watch *w);
bool klx_source_watch_is_connected(const struct klx_source_watch *w);
/* Whether what can be watched is: connected, or the API server does not have the resource (yet) and is asked again and again. A core
   resource is never absent for good reason. `words`: how it stands. */
bool klx_source_watch_is_ready(const struct klx_source_watch *w, struct klx_buf *words);
/* Back-pressure; nothing before the start. */
void klx_source_watch_pause(struct klx_source_watch *w, bool pause);
/* Nothing is observed any more. */
void klx_source_watch_stop(struct klx_source_watch *w);
void klx_source_watch_free(struct klx_source_watch *w);
