/*
 * One run of a cluster: its watches, detectors and publisher, and the order in which they start and stop.
 *
 *   start: publisher (fences a predecessor, reads the state) → detectors restored → watches at their resourceVersions
 *   stop:  watches → the last commit → the rest
 *
 * What lasts longer than a run is member.h.
 */
#pragma once

#include "collector/kube/client.h"
#include "collector/settings.h"
#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/io/loop.h"
#include "schema/topics.h"

struct klx_cluster;

struct klx_cluster_env {
    struct klx_loop *loop;
    struct klx_kube_client *client; /* borrowed, like all of this */
    struct klx_clock *clock;
    const struct klx_kafka_config *kafka;
    const struct klx_topic_names *topics;
    enum klx_txn_mode transactions;
    /* The run cannot go on: it is to be stopped, and the next one begins where the last commit was. */
    void (*on_fatal)(void *arg, const char *why);
    void *arg;
};

/* Kafka's properties that cannot be used are an error here. The settings stay valid as long as the cluster. */
int klx_cluster_new(const struct klx_cluster_env *env, const struct klx_cluster_settings *s,
                    struct klx_cluster **ret, struct klx_error *e) KLX_MUST_CHECK;
void klx_cluster_start(struct klx_cluster *c);
/* Nothing is observed any more, and what was is committed (klx_publisher_stop). Not clean: it must not be freed. */
void klx_cluster_stop(struct klx_cluster *c, int64_t wait_ms,
                      void (*on_stopped)(void *arg, bool clean), void *arg);
/* Appends a line for each watch, each poll and the canary; true when all watches are connected, or wait for their resource to appear, and
   the canary is not missing. */
bool klx_cluster_ready(const struct klx_cluster *c, struct klx_buf *why);
void klx_cluster_free(struct klx_cluster *c);
