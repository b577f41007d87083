/*
 * One cluster: its API client, watches, detectors and publisher, and the order in which they start and stop.
 *
 *   start: publisher (fences a predecessor, reads the state) → detectors restored → watches at their resourceVersions
 *   stop:  watches → the last commit → the rest
 */
#pragma once

#include "collector/settings.h"
#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/io/http.h"
#include "lib/io/loop.h"
#include "schema/topics.h"

struct klx_cluster;

struct klx_cluster_env {
    struct klx_loop *loop;
    struct klx_http *http;
    struct klx_clock *clock;
    const struct klx_kafka_config *kafka;
    const struct klx_topic_names *topics;
    /* The cluster cannot go on: the process logs it and ends; the next start is safe. */
    void (*on_fatal)(void *arg, const char *cluster, const char *why);
    void *arg;
};

/* A kubeconfig that cannot be used is an error here. The settings stay valid as long as the cluster. */
int klx_cluster_new(const struct klx_cluster_env *env, const struct klx_cluster_settings *s,
                    struct klx_cluster **ret, struct klx_error *e) KLX_MUST_CHECK;
void klx_cluster_start(struct klx_cluster *c);
/* Appends a line for each watch; true when all of them are connected. */
bool klx_cluster_ready(const struct klx_cluster *c, struct klx_buf *why);
void klx_cluster_stop(struct klx_cluster *c, int64_t wait_ms,
                      void (*on_stopped)(void *arg, bool clean), void *arg);
void klx_cluster_free(struct klx_cluster *c);
