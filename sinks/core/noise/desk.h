/*
 * Noise control in a process: its timer, and its receipts and states on their way to Kafka.
 *
 * It stands between dispatch.c, which hands it messages and outcomes, and noise.h, which decides.
 */
#pragma once

#include "lib/io/loop.h"
#include "lib/io/producer.h"
#include "sinks/core/ledger.h"
#include "sinks/core/noise/noise.h"

struct klx_noise_desk;

struct klx_noise_desk_options {
    struct klx_loop *loop;
    struct klx_clock *clock;
    const struct klx_sink_ops *ops;
    const struct klx_topic_names *topics;
    struct klx_noise_use use;
    struct klx_message_pool *pool;
    struct klx_ledger *ledger;
    /* As klx_producer_send. */
    int (*produce)(void *arg, const struct klx_record *r, klx_produced_fn done, void *done_arg,
                   struct klx_error *e);
    /* Takes the delivery. */
    void (*deliver)(void *arg, size_t channel, struct klx_delivery *d);
    /* Something was settled, or held: look at the brake. */
    void (*on_change)(void *arg);
    void *arg;
};

struct klx_noise_desk *klx_noise_desk_new(const struct klx_noise_desk_options *o);
void klx_noise_desk_free(struct klx_noise_desk *k);
struct klx_noise *klx_noise_desk_noise(const struct klx_noise_desk *k);
