/*
 * What the replicas of a sink have told of incidents: klaxon.state, followed from the start of the process.
 *
 *    partitions are given ─▶ klx_memory_read ─▶ the topic has been read to where it ends now ─▶ on_read
 *
 * The owner lets no record of events in between, so that a new owner of a partition knows what the old one has told. Where the topic does
 * not exist or may not be read, on_read comes all the same, and klx_memory_describe says why: everything is told then, as if nothing were known.
 * Where Kafka does not answer it comes late.
 */
#pragma once

#include <stdbool.h>

#include "lib/base/buf.h"
#include "lib/base/error.h"
#include "lib/base/sv.h"
#include "lib/io/kafka_config.h"
#include "lib/io/loop.h"
#include "schema/topics.h"

struct klx_memory;

struct klx_memory_callbacks {
    /* A record; value.p NULL: a tombstone. */
    void (*on_state)(void *arg, struct klx_sv key, struct klx_sv value);
    /* Once for each klx_memory_read, or for several that came before it; never from inside of it. */
    void (*on_read)(void *arg);
    void *arg;
};

/* Borrows the topics. */
int klx_memory_new(struct klx_loop *l, const struct klx_kafka_config *kafka,
                   const struct klx_topic_names *topics, const struct klx_memory_callbacks *cb,
                   struct klx_memory **ret, struct klx_error *e) KLX_MUST_CHECK;
void klx_memory_read(struct klx_memory *m);
/* Lines for /readyz: what is not known, and why. */
void klx_memory_describe(const struct klx_memory *m, struct klx_buf *out);
void klx_memory_free(struct klx_memory *m);
