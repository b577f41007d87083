/*
 * A cluster for as long as it is configured: its API client, its Lease, and its runs (cluster.h), one after the other.
 *
 *     STANDBY ──it leads──▶ RUNNING ──it cannot go on, or leads no more──▶ STOPPING ──▶ STANDBY
 *        ▲ without a Lease it always leads                                                 │
 *        └────────────────── after a run that could not go on, a wait ─────────────────────┘
 *
 * What one of them suffers costs the others nothing.
 */
#pragma once

#include "collector/settings.h"
#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/io/http.h"
#include "lib/io/loop.h"
#include "schema/topics.h"

struct klx_member;

struct klx_member_env {
    struct klx_loop *loop;
    struct klx_http *http;
    struct klx_clock *clock;
    const struct klx_kafka_config *kafka;
    const struct klx_topic_names *topics;
    enum klx_txn_mode transactions;
    /* A run has ended with a commit on its way that Kafka does not answer: only the end of the process ends it. */
    void (*on_stuck)(void *arg);
    void *arg;
};

/* A kubeconfig or Kafka properties that cannot be used are an error here. The settings stay valid as long as the member. */
int klx_member_new(const struct klx_member_env *env, const struct klx_cluster_settings *s,
                   struct klx_member **ret, struct klx_error *e) KLX_MUST_CHECK;
void klx_member_start(struct klx_member *m);
const struct klx_cluster_settings *klx_member_settings(const struct klx_member *m);
/* Appends what it does; true when it does all that is asked of it: to stand by is enough. */
bool klx_member_ready(const struct klx_member *m, struct klx_buf *why);
/* Ends the run, gives the Lease back, then on_stopped. Not clean: see on_stuck; it must not be freed. */
void klx_member_stop(struct klx_member *m, int64_t wait_ms,
                     void (*on_stopped)(void *arg, bool clean), void *arg);
void klx_member_free(struct klx_member *m);
