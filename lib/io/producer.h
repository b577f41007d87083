/*
 * An idempotent producer without transactions, for receipts and dead letters: each record has its own answer.
 *
 * A record is tried until Kafka (all in-sync replicas) has it or message.timeout.ms (5 min) is over; nothing of it is written twice, and
 * records of one partition keep their order. A fatal error of librdkafka answers what is under way with a failure, after which the
 * producer goes on with a new client by itself. A negative answer means "perhaps not written": the caller sends again or gives up.
 *
 * In memory are at most 16 MiB (queue.buffering.max.kbytes) and 100000 records.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "lib/base/error.h"
#include "lib/base/record.h"
#include "lib/io/kafka_config.h"
#include "lib/io/loop.h"

struct klx_producer;

/* status: 0 when Kafka has acknowledged the record, else negative errno with words: -ETIMEDOUT, -EMSGSIZE, -ENOENT (no such topic), -EACCES,
   -ECANCELED (a fatal error came between), -EIO. Exactly once a record, on the loop, never from inside the send; not after _free. */
typedef void (*klx_produced_fn)(void *arg, int status, const char *why);

int klx_producer_new(struct klx_loop *l, const struct klx_kafka_config *kafka,
                     struct klx_producer **ret, struct klx_error *e) KLX_MUST_CHECK;
/* Copies the record. -EAGAIN: the queue is full (or being renewed), nothing was taken: stop reading and try again later. Other failures
   are the record's own, as above; -ESHUTDOWN after _stop. done may be NULL. */
int klx_producer_send(struct klx_producer *p, const struct klx_record *r, klx_produced_fn done,
                      void *arg, struct klx_error *e) KLX_MUST_CHECK;
/* The same for whoever must know where the record stands: partition and offset with status 0, else -1 and -1. */
typedef void (*klx_placed_fn)(void *arg, int status, const char *why, int32_t partition,
                              int64_t offset);
int klx_producer_place(struct klx_producer *p, const struct klx_record *r, klx_placed_fn placed,
                       void *arg, struct klx_error *e) KLX_MUST_CHECK;
/* Asks Kafka who leads the topic's partitions, now: else the first record for it may wait for a second. For topics that must be quick when
   they are needed; at most KLX_PRODUCER_WARM_MAX. Borrows the name. */
#define KLX_PRODUCER_WARM_MAX 4
void klx_producer_warm(struct klx_producer *p, const char *topic);
size_t klx_producer_pending(const struct klx_producer *p);
/* Waits for what is pending, at most wait_ms, then calls on_stopped with what was left; p is freed from or after it. What is left may
   still be written and is not answered any more. */
void klx_producer_stop(struct klx_producer *p, int64_t wait_ms,
                       void (*on_stopped)(void *arg, size_t left), void *arg);
/* From any callback but never inside _new. The client ends on klx_work. */
void klx_producer_free(struct klx_producer *p);
