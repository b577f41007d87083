/*
 * An idempotent producer without transactions, for receipts and dead letters: each record has its own answer.
 */
#pragma once

#include <stddef.h>

#include "lib/base/error.h"
#include "lib/base/record.h"
#include "lib/io/kafka_config.h"
#include "lib/io/loop.h"

struct klx_producer;

/* status: 0 when Kafka has acknowledged the record, else negative errno with words. */
typedef void (*klx_produced_fn)(void *arg, int status, const char *why);

int klx_producer_new(struct klx_loop *l, const struct klx_kafka_config *kafka,
                     struct klx_producer **ret, struct klx_error *e) KLX_MUST_CHECK;
/* Copies the record. -EAGAIN: the queue is full, nothing was taken: stop reading and try again later. done may be NULL. */
int klx_producer_send(struct klx_producer *p, const struct klx_record *r, klx_produced_fn done,
                      void *arg, struct klx_error *e) KLX_MUST_CHECK;
size_t klx_producer_pending(const struct klx_producer *p);
/* Waits for what is pending, at most wait_ms, then calls on_stopped with what was left; p is freed from or after it. */
void klx_producer_stop(struct klx_producer *p, int64_t wait_ms,
                       void (*on_stopped)(void *arg, size_t left), void *arg);
void klx_producer_free(struct klx_producer *p);
