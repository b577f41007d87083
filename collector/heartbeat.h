/*
 * The heartbeat of a cluster: an event on every partition of every topic that its sources write to, each period (a minute). Whoever reads
 * one of them can so tell a quiet cluster from one that is not watched any more, and how far behind it is itself; on every partition,
 * because replicas of a sink share them.
 *
 * It goes with the other records in a transaction, which it causes; what is lazy (the place after a canary, a bookmark) goes along. While
 * an earlier heartbeat is not committed there is no other: they do not pile up while Kafka is away.
 */
#pragma once

#include "collector/canary.h"
#include "collector/publish.h"
#include "lib/base/clock.h"
#include "lib/io/loop.h"

struct klx_heartbeat;

struct klx_heartbeat_env {
    struct klx_loop *loop;
    struct klx_clock *clock;
    const char *cluster;
    struct klx_publisher *publisher;
    const struct klx_canary *canary; /* NULL: there is none */
    uint32_t topics;                 /* a bit 1u << KLX_TOPIC_… each */
    int64_t every_ms;
    /* How many watches there are, and are connected. */
    void (*count)(void *arg, size_t *ret_of, size_t *ret_connected);
    void *arg;
};

/* Everything in `env` is borrowed. */
struct klx_heartbeat *klx_heartbeat_new(const struct klx_heartbeat_env *env);
/* When the publisher is ready. The first one comes after five seconds, or a period if that is less. */
void klx_heartbeat_start(struct klx_heartbeat *h);
void klx_heartbeat_stop(struct klx_heartbeat *h);
void klx_heartbeat_free(struct klx_heartbeat *h);
